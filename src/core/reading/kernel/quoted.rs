//! What a user brings into the kernel's own lines. In a namespace of his own anybody mounts with options of any words and
//! names interfaces as he likes, and the kernel quotes them in its errors; names of programs and of control groups it
//! writes out without quotes.

use std::borrow::Cow;

use crate::core::model::class::Class;

/// What follows is the name of a driver, in quotes of the kernel's own.
const OWN_NAME: &str = "unregister ";

/// The text with `?` for each byte between its first quote and its last: what is quoted may hold quotes itself.
pub(super) fn masked(text: &str) -> Cow<'_, str> {
    let bytes = text.as_bytes();
    let is_word = |at: Option<usize>| {
        at.and_then(|at| bytes.get(at))
            .is_some_and(u8::is_ascii_alphanumeric)
    };
    let is_quote = |at: usize| matches!(bytes.get(at), Some(b'\'' | b'"' | b'`'));
    let opens = |at: &usize| {
        is_quote(*at)
            && !is_word(at.checked_sub(1))
            && !text.get(..*at).is_some_and(|head| head.ends_with(OWN_NAME))
    };
    let Some(first) = (0..bytes.len()).find(opens) else {
        return Cow::Borrowed(text);
    };
    let from = first.saturating_add(1);
    // In the middle of a word it is an apostrophe.
    let closes =
        |at: &usize| is_quote(*at) && !(is_word(at.checked_sub(1)) && is_word(at.checked_add(1)));
    let to = (from..bytes.len()).rev().find(closes);
    let to = to.unwrap_or(bytes.len());
    let [head, inner, tail] = [text.get(..from), text.get(from..to), text.get(to..)];
    let inner = "?".repeat(inner.unwrap_or_default().len());
    Cow::Owned([head.unwrap_or_default(), &inner, tail.unwrap_or_default()].concat())
}

/// What a line begins with in which words of anybody's choice stand without quotes: names of his programs and groups,
/// paths, interfaces.
const ANYBODYS: &[&str] = &[
    "overlayfs: ",
    "Dead loop on virtual device ",
    "cgroup: ",
    "Memory cgroup stats for ",
    "Tasks in ",
    "futex_wake_op: ",
    "mmap: ",
    "process ",
    "raw_sendmsg: ",
    "sctp: ",
    "umip: ",
    "x86/split lock detection: ",
];

/// The one class that a line may have in which anybody's words stand, whatever these words are; none for other lines.
pub(super) fn may_only_be(text: &str) -> Option<Class> {
    let behind = text.split_once(": ").map_or("", |(_, rest)| rest);
    let is_options =
        behind.starts_with("Unknown parameter '") || behind.starts_with("Bad value for '");
    let is_address = text.starts_with("IPv6: ") && behind.contains(": IPv6 duplicate address ");
    // `CPU: 0 PID: 812 Comm: name Not tainted`, `[  812]  1000   812 …  0 name`, of every report and of a lack of memory.
    let is_listed = text.starts_with("CPU: ") && text.contains(" Comm: ") || is_row(text);
    let is_users = ANYBODYS.iter().any(|start| text.starts_with(start));
    if is_options || is_address || is_listed || is_users || text.contains(": usbfs: process ") {
        return Some(Class::KernelOther);
    }
    if text.starts_with("INFO: task ") {
        return Some(Class::KernelLockup);
    }
    let bonds = [": (slave ", ": now running without any active interface"];
    let is_bonds = bonds.iter().any(|words| text.contains(words));
    is_bonds.then_some(Class::DeviceFault)
}

/// One task of the list that the kernel prints where memory is short.
fn is_row(text: &str) -> bool {
    let id = text.strip_prefix('[').and_then(|rest| rest.split_once(']'));
    id.is_some_and(|(id, rest)| {
        let id = id.trim_start();
        !id.is_empty() && id.bytes().all(|digit| digit.is_ascii_digit()) && rest.starts_with(' ')
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::model::finding::Severity;
    use crate::core::reading::kernel::{KernelFault, KernelLine, KernelReader};
    use crate::core::reading::kernel_table;
    use crate::core::reading::level::Level;

    /// Words of faults, as a user may choose them for an option of a mount.
    const FORGED: &[&str] = &[
        "I/O error, dev sda, sector 5 x",
        "soft lockup - CPU#1 stuck for 22s! x",
        "critical temperature reached x",
        "switched to read-only mode x",
        "hard LOCKUP x",
        "list_add corruption x",
        "Kernel panic - not syncing: x",
        "x' Kernel panic - not syncing: y",
        "x' \" hard LOCKUP ` z",
        "------------[ cut here ]------------",
        "fork rejected by pids controller in /system.slice/web.service x",
        "Out of memory: Killed process 1 (web) x",
        "[1]: segfault at 0 ip 0",
    ];

    /// The frames in which kernels quote such words.
    fn quoting(words: &str) -> [String; 5] {
        [
            format!("tmpfs: Unknown parameter '{words}'"),
            format!("tmpfs: Bad value for '{words}'"),
            format!("overlay: Unknown parameter '{words}'"),
            format!("overlayfs: failed to resolve '{words}': -2"),
            format!("overlayfs: unrecognized mount option \"{words}\" or missing value"),
        ]
    }

    #[test]
    fn what_a_user_has_quoted_is_no_fault_of_the_kernels() {
        for line in FORGED.iter().flat_map(|words| quoting(words)) {
            let mut reader = KernelReader::default();
            let told = reader.line(&KernelLine {
                at_us: Some(1),
                level: Some(Level::Error),
                text: &line,
            });
            let told: Vec<_> = told.into_iter().chain(reader.finish()).collect();
            for fault in &told {
                let rank = (fault.class, fault.severity <= Severity::Error);
                assert_eq!(rank, (Class::KernelOther, true), "{line}");
                assert!(fault.said && fault.unit.is_empty(), "{line}");
                assert_eq!(fault.message, line);
            }
            assert_eq!(told.len(), 1, "{line}");
        }
    }

    #[test]
    fn lines_that_anybody_makes_are_said_by_somebody() {
        for (line, subject) in [
            (
                "IPv6: web.service: IPv6 duplicate address fe80::1 used by 02:00:00:00:00:01 detected!",
                "web.service (program)",
            ),
            (
                "IPv6: eth0: IPv6 duplicate address fe80::1 used by 02:00:00:00:00:01 detected!",
                "eth0",
            ),
            (
                "Dead loop on virtual device evilzz, fix it urgently!",
                "evilzz",
            ),
            ("overlayfs: failed to resolve '/a': -2", "kernel"),
            (
                "web.service: something new is wrong",
                "web.service (program)",
            ),
        ] {
            let mut reader = KernelReader::default();
            let told = reader.line(&KernelLine {
                at_us: Some(1),
                level: Some(Level::Error),
                text: line,
            });
            let told = told.map(|fault| (fault.subject, fault.said));
            assert_eq!(told, Some((subject.to_owned(), true)), "{line}");
        }
    }

    fn told(level: Level, line: &str) -> Option<KernelFault> {
        let mut reader = KernelReader::default();
        let told = reader.line(&KernelLine {
            at_us: Some(1),
            level: Some(level),
            text: line,
        });
        told.or_else(|| reader.finish())
    }

    /// The frames in which kernels write names and paths without quotes, with the level of each.
    fn writing(words: &str) -> Vec<(Level, String)> {
        let group = "/user.slice/user-1001.slice/user@1001.service";
        // A program has a short one.
        let name = words.get(..15).unwrap_or(words);
        vec![
            (
                Level::Info,
                format!("futex_wake_op: {name} tries to shift op by -1; fix this program"),
            ),
            (
                Level::Info,
                format!("raw_sendmsg: {name} forgot to set AF_INET. Fix it!"),
            ),
            (
                Level::Warning,
                format!(
                    "mmap: {name} (812) uses deprecated remap_file_pages() syscall. See Documentation"
                ),
            ),
            (
                Level::Warning,
                format!("mmap: {name} (812): VmData 4096 exceed data ulimit 1. Update limits"),
            ),
            (
                Level::Warning,
                format!(
                    "umip: {name}[812] ip:401136 sp:7ffd: SGDT instruction cannot be used by applications."
                ),
            ),
            (
                Level::Warning,
                format!(
                    "x86/split lock detection: #AC: {name}/812 took a split_lock trap at address: 0x401136"
                ),
            ),
            (
                Level::Warning,
                format!(
                    "{name}(812): Attempt to set a LOCK_MAND lock via flock(2). This support has been removed"
                ),
            ),
            (
                Level::Warning,
                format!(
                    "sctp: [Deprecated]: {name} (pid 812) Use of int in max_burst socket option."
                ),
            ),
            (
                Level::Warning,
                format!(
                    "usb 1-1: usbfs: process 812 ({name}) did not claim interface 0 before use"
                ),
            ),
            (
                Level::Info,
                format!("process 812 ({name}) no longer affine to cpu1"),
            ),
            (
                Level::Warning,
                format!(
                    "CPU: 1 UID: 1001 PID: 812 Comm: {name} Not tainted 6.18.44 #1 PREEMPT(none)"
                ),
            ),
            (
                Level::Info,
                format!(
                    "[    812]  1001   812     1024      256      128     4096        0             0 {name}"
                ),
            ),
            (
                Level::Info,
                format!("Memory cgroup stats for {group}/{words}:"),
            ),
            (
                Level::Info,
                format!(
                    "Tasks in {group}/{words} are going to be killed due to memory.oom.group set"
                ),
            ),
            (
                Level::Info,
                format!("cgroup: fork rejected by pids controller in {group}/{words}"),
            ),
            (
                Level::Error,
                format!(
                    "overlayfs: failed to create directory {words}/work (errno: 13); mounting read-only"
                ),
            ),
        ]
    }

    #[test]
    fn what_a_user_calls_his_programs_and_groups_is_no_fault_of_the_kernels() {
        let names = [
            "error, dev sda",
            "hard LOCKUP",
            "[ cut here ]",
            "a: TX timeout",
            "GPU HANG:",
            "unregister_netdevice: waiting for /system.slice/web.service to become free",
        ];
        let forged = FORGED.iter().chain(&names).copied();
        for words in forged.chain(kernel_table::samples()) {
            for (level, line) in writing(words) {
                let Some(fault) = told(level, &line) else {
                    continue;
                };
                assert!(
                    matches!(fault.class, Class::KernelOther | Class::LogError),
                    "{line}: {}",
                    fault.class
                );
                assert!(fault.said && fault.severity <= Severity::Error, "{line}");
                assert_eq!(fault.unit, "", "{line}");
            }
        }
    }

    #[test]
    fn a_lack_of_processes_is_a_services_own_and_a_users_is_said() {
        let of = |group: &str| {
            let line = format!("cgroup: fork rejected by pids controller in {group}");
            told(Level::Info, &line).map(|fault| (fault.subject, fault.said))
        };
        let web = Some(("web.service".to_owned(), false));
        assert_eq!(of("/system.slice/web.service"), web);
        assert_eq!(of("/system.slice/web.service/worker"), web);
        let users = Some(("user@1001.service".to_owned(), true));
        assert_eq!(of("/user.slice/user-1001.slice/user@1001.service/x"), users);
    }

    #[test]
    fn a_bond_that_lost_its_links_is_told_and_anybody_can_have_one() {
        for line in [
            "evil0: (slave eth0): link status definitely down, disabling slave",
            "evil0: now running without any active interface!",
            "br0: received packet on evil0 with own address as source address (addr:00:11:22:33:44:55, vlan:0)",
        ] {
            let told =
                told(Level::Info, line).map(|fault| (fault.class, fault.subject, fault.said));
            let want = (Class::DeviceFault, "evil0".to_owned(), true);
            assert_eq!(told, Some(want), "{line}");
        }
    }

    #[test]
    fn a_task_that_hangs_is_a_lock_up_whatever_it_is_called() {
        for name in ["jbd2/mmcblk0p2-8", "a"] {
            let line = format!("INFO: task {name}:97 blocked for more than 120 seconds.");
            let told = told(Level::Error, &line).map(|fault| (fault.class, fault.said));
            assert_eq!(told, Some((Class::KernelLockup, false)), "{line}");
        }
        let line = "INFO: task error, dev sda:97 blocked for more than 120 seconds.";
        let told = told(Level::Error, line).map(|fault| (fault.class, fault.said));
        assert_eq!(told, Some((Class::KernelOther, true)));
    }

    #[test]
    fn only_what_stands_in_quotes_is_masked() {
        for (line, want) in [
            (
                "tmpfs: Unknown parameter 'a b'",
                "tmpfs: Unknown parameter '???'",
            ),
            ("x `a' and \"b\" y", "x `?????????\" y"),
            (
                "usb 1-2: can't set config #1, error -71",
                "usb 1-2: can't set config #1, error -71",
            ),
            ("x 'a' isn't there", "x '?' isn't there"),
            ("x 'é", "x '??"),
            (
                "cdc_ether 1-1:1.0 usb0: unregister 'cdc_ether' usb-1",
                "cdc_ether 1-1:1.0 usb0: unregister 'cdc_ether' usb-1",
            ),
            ("", ""),
        ] {
            assert_eq!(masked(line), want);
        }
    }
}
