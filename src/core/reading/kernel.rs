//! Kernel log lines: which fault they report, about what, and where a multi-line report ends.

use crate::core::model::class::{Class, KERNEL};
use crate::core::model::finding::Severity;
use crate::core::model::text::cut;
use crate::core::model::unit::unit_of_cgroup;
use crate::core::reading::kernel_table::{At, REPORTS, SINGLES};
use crate::core::reading::writer::program;

/// One fault told by the kernel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KernelFault {
    pub class: Class,
    /// Device, unit or process where the kernel names one; [`KERNEL`] otherwise.
    pub subject: String,
    pub severity: Severity,
    /// The line that names the fault.
    pub message: String,
    /// Unit the fault belongs to (OOM victim); empty when unknown.
    pub unit: String,
}

/// A report is over when the kernel was silent for this long, microseconds.
const REPORT_GAP_US: u64 = 2_000_000;
/// Longest report, lines: a dump of all tasks on a big machine stays below.
const REPORT_LINES: u32 = 1_500;
/// After the cut mark this many lines may pass before the line that names the fault.
const CUT_LINES: u8 = 4;
/// This many resets of one USB device within [`USB_WINDOW_US`] are a fault; a single one is ordinary.
const USB_RESETS: u32 = 5;
const USB_WINDOW_US: u64 = 60_000_000;

/// The report being read.
#[derive(Clone, Copy, Debug)]
struct Report {
    lines: u32,
    /// Its end mark was seen: only a closing panic still belongs to it.
    ended: bool,
}

/// Reads kernel lines in order and says each fault once. A stack trace belongs to the line that opened it.
#[derive(Clone, Debug, Default)]
pub struct KernelReader {
    report: Option<Report>,
    last_us: u64,
    /// Lines since `[ cut here ]` and the first of them.
    cut: Option<(u8, String)>,
    /// Unit of the OOM victim that the next `Killed process` line names.
    oom_unit: String,
    usb: Option<(String, u32, u64)>,
}

impl KernelReader {
    /// One message without time stamp; `at_us` is its time in microseconds where known.
    pub fn line(&mut self, at_us: Option<u64>, text: &str) -> Option<KernelFault> {
        let text = text.trim_end();
        self.pass(at_us);
        if let Some(fault) = self.single(at_us.unwrap_or(self.last_us), text) {
            return Some(fault);
        }
        let head = bare(text);
        if head.starts_with("---[ end") || head.starts_with("Kernel Offset:") {
            self.end_mark();
            return self.unnamed();
        }
        if head.contains("[ cut here ]") || head.contains("8<--- cut here") {
            let earlier = self.unnamed();
            if self.report.is_none_or(|report| report.ended) {
                self.report = None;
                self.cut = Some((0, String::new()));
            }
            return earlier;
        }
        if let Some((class, severity)) = report_start(head) {
            self.cut = None;
            return self.open(class, severity, text);
        }
        if let Some((lines, first)) = &mut self.cut {
            if first.is_empty() {
                cut(head, 400).clone_into(first);
            }
            *lines = lines.saturating_add(1);
            if *lines > CUT_LINES {
                return self.unnamed();
            }
        }
        None
    }

    /// The input is over: what was still waiting for its name.
    pub fn finish(&mut self) -> Option<KernelFault> {
        self.report = None;
        self.unnamed()
    }

    fn pass(&mut self, at_us: Option<u64>) {
        // Back by more than the disorder of several processors: the machine booted again.
        let quiet = at_us.is_some_and(|at| at.abs_diff(self.last_us) > REPORT_GAP_US);
        self.last_us = at_us.unwrap_or(self.last_us);
        if let Some(report) = &mut self.report {
            report.lines = report.lines.saturating_add(1);
            if quiet || report.lines > REPORT_LINES {
                self.report = None;
            }
        }
    }

    fn end_mark(&mut self) {
        if let Some(report) = &mut self.report {
            report.ended = true;
        }
    }

    /// A cut mark whose report named no known fault is still a fault.
    fn unnamed(&mut self) -> Option<KernelFault> {
        let (_, first) = self.cut.take()?;
        if first.is_empty() {
            return None;
        }
        self.open(Class::KernelWarning, Severity::Warning, &first)
    }

    fn open(&mut self, class: Class, severity: Severity, text: &str) -> Option<KernelFault> {
        let closing = is_closing(bare(text));
        if let Some(report) = self.report
            && (!report.ended || closing)
        {
            return None;
        }
        self.report = Some(Report {
            lines: 0,
            ended: false,
        });
        Some(fault(class, "kernel", severity, text))
    }

    fn single(&mut self, at_us: u64, text: &str) -> Option<KernelFault> {
        if let Some(rest) = text.strip_prefix("oom-kill:") {
            self.oom_unit = rest
                .split(',')
                .find_map(|part| part.strip_prefix("task_memcg="))
                .and_then(unit_of_cgroup)
                .unwrap_or_default()
                .to_owned();
            return None;
        }
        if let Some(name) = oom_victim(text) {
            let unit = std::mem::take(&mut self.oom_unit);
            let subject = match unit.as_str() {
                "" => program(name),
                unit => unit.to_owned(),
            };
            let mut fault = fault(Class::OomKill, &subject, Severity::Error, text);
            fault.unit = unit;
            return Some(fault);
        }
        if let Some(name) = segfault_of(text) {
            return Some(fault(
                Class::LogError,
                &program(name),
                Severity::Warning,
                text,
            ));
        }
        if let Some(device) = usb_reset(text) {
            return self.usb_reset(at_us, device, text);
        }
        let row = SINGLES.iter().find(|row| {
            let first = match row.at {
                At::Start => text.starts_with(row.first),
                At::Anywhere => text.contains(row.first),
            };
            first && (row.second.is_empty() || row.second.iter().any(|word| text.contains(word)))
        })?;
        let subject = device_of(text).unwrap_or(KERNEL);
        Some(fault(row.class, subject, row.severity, text))
    }

    fn usb_reset(&mut self, at_us: u64, device: &str, text: &str) -> Option<KernelFault> {
        let (count, since) = match &self.usb {
            Some((last, count, since))
                if last == device && at_us.saturating_sub(*since) <= USB_WINDOW_US =>
            {
                (count.saturating_add(1), *since)
            }
            _ => (1, at_us),
        };
        self.usb = Some((device.to_owned(), count, since));
        (count == USB_RESETS).then(|| fault(Class::KernelOther, device, Severity::Warning, text))
    }
}

fn fault(class: Class, subject: &str, severity: Severity, text: &str) -> KernelFault {
    KernelFault {
        class,
        subject: subject.to_owned(),
        severity,
        message: text.trim().to_owned(),
        unit: String::new(),
    }
}

/// The text without the tags that kernels of different age put before the same message.
fn bare(text: &str) -> &str {
    let mut rest = text.trim_start();
    while let Some(next) = [
        "[ ",
        "watchdog: ",
        "NMI watchdog: ",
        "Watchdog ",
        "rcu: ",
        "traps: PANIC",
    ]
    .iter()
    .find_map(|tag| rest.strip_prefix(tag))
    {
        rest = next.trim_start();
    }
    rest
}

/// Lines that end a report rather than start one.
fn is_closing(head: &str) -> bool {
    ["Kernel panic", "Oops", "Internal error", "Rebooting in"]
        .iter()
        .any(|start| head.starts_with(start))
}

fn report_start(head: &str) -> Option<(Class, Severity)> {
    let untagged = ["WARNING: ", "INFO: ", "BUG: "]
        .iter()
        .find_map(|tag| head.strip_prefix(tag))
        .unwrap_or(head);
    REPORTS.iter().find_map(|row| {
        // Phrases stand after any of the three tags; whole starts are compared with their tag.
        let first = match row.at {
            At::Start => head.starts_with(row.first),
            At::Anywhere => untagged.contains(row.first) && starts_like_report(head, untagged),
        };
        let fits =
            first && (row.second.is_empty() || row.second.iter().any(|word| head.contains(word)));
        fits.then_some((row.class, row.severity))
    })
}

/// A phrase counts only in a line of the kernel's own making, not inside a name or a quoted text.
fn starts_like_report(head: &str, untagged: &str) -> bool {
    head.len() != untagged.len()
        || head.starts_with(|c: char| c.is_ascii_alphabetic()) && !head.contains("comm=\"")
}

fn oom_victim(text: &str) -> Option<&str> {
    let rest = [
        "Out of memory: ",
        "Memory cgroup out of memory: ",
        "Out of memory (oom_kill_allocating_task): ",
    ]
    .iter()
    .find_map(|start| text.strip_prefix(start))
    .or_else(|| text.starts_with("Killed process ").then_some(text))?;
    let rest = rest.strip_prefix("Killed process ")?;
    let (_, rest) = rest.split_once(['(', ','])?;
    let name = rest.split([')', ',']).next()?.trim();
    Some(name.strip_prefix("UID ").map_or(name, |_| name))
}

/// `name[123]: segfault at 0 ip …`
fn segfault_of(text: &str) -> Option<&str> {
    let (who, _) = text.split_once("]: segfault at ")?;
    let (name, pid) = who.rsplit_once('[')?;
    let sane = !name.is_empty() && name.len() <= 16 && pid.bytes().all(|c| c.is_ascii_digit());
    sane.then_some(name)
}

/// `usb 1-1: reset high-speed USB device number 2 using xhci_hcd`
fn usb_reset(text: &str) -> Option<&str> {
    let (device, rest) = text.strip_prefix("usb ")?.split_once(": ")?;
    (rest.starts_with("reset ") && rest.contains(" USB device ")).then_some(device)
}

/// The block device, interface or bus address that a line is about.
fn device_of(text: &str) -> Option<&str> {
    let end = |c: char| !(c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.' | '!'));
    let word = |rest: &'static str| {
        text.split_once(rest).and_then(|(_, after)| {
            let name = after.get(..after.find(end).unwrap_or(after.len()))?;
            (!name.is_empty()).then_some(name)
        })
    };
    word("(device ")
        .or_else(|| word(" dev "))
        .or_else(|| word(" device "))
        .or_else(|| word("NETDEV WATCHDOG: "))
        .or_else(|| word("unregister_netdevice: waiting for "))
        .or_else(|| word("-fs ("))
        .or_else(|| word("XFS ("))
        .or_else(|| word("] ["))
        .or_else(|| word(": ["))
        .or_else(|| word("nvme "))
        .or_else(|| word("thermal "))
        .or_else(|| {
            let (name, _) = text
                .strip_prefix("mce: ")
                .unwrap_or(text)
                .split_once(": ")?;
            let sane = name.len() <= 16 && !name.is_empty() && !name.contains(' ');
            sane.then_some(name)
        })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn read(text: &str) -> Vec<(Class, String)> {
        let mut reader = KernelReader::default();
        let mut found: Vec<_> = text
            .lines()
            .filter_map(|line| reader.line(None, line))
            .collect();
        found.extend(reader.finish());
        found.into_iter().map(|f| (f.class, f.subject)).collect()
    }

    #[test]
    fn a_report_is_one_finding() {
        let text = "------------[ cut here ]------------\nrefcount_t: addition on 0; use-after-free.\nWARNING: CPU: 0 PID: 1 at lib/refcount.c:25 x+0x1/0x2\nModules linked in:\nCall Trace:\n f+0x1/0x2\n---[ end trace 0000000000000000 ]---\nKernel panic - not syncing: panic_on_warn set ...";
        assert_eq!(read(text), [(Class::KernelWarning, "kernel".to_owned())]);
    }

    #[test]
    fn a_boot_ends_a_report() {
        let mut reader = KernelReader::default();
        let oops = "Unable to handle kernel NULL pointer dereference at virtual address 0";
        assert!(reader.line(Some(900_000_000), oops).is_some());
        assert!(reader.line(Some(900_500_000), oops).is_none());
        assert!(reader.line(Some(12_000_000), oops).is_some());
    }

    #[test]
    fn two_reports_are_two_findings() {
        let one = "BUG: kernel NULL pointer dereference, address: 0000000000000010\nOops: 0000 [#1] SMP\n---[ end trace 1 ]---";
        assert_eq!(read(&format!("{one}\n{one}")).len(), 2);
        let mut reader = KernelReader::default();
        let hung = "INFO: task kworker/0:1:12 blocked for more than 120 seconds.";
        assert!(reader.line(Some(1_000_000), hung).is_some());
        assert!(reader.line(Some(1_100_000), hung).is_none());
        assert!(reader.line(Some(125_000_000), hung).is_some());
    }

    #[test]
    fn single_lines_name_their_device() {
        for (line, class, subject) in [
            (
                "blk_update_request: I/O error, dev mmcblk0, sector 8192 op 0x0:(READ)",
                Class::IoError,
                "mmcblk0",
            ),
            (
                "Buffer I/O error on dev sda1, logical block 0, async page read",
                Class::IoError,
                "sda1",
            ),
            (
                "EXT4-fs error (device mmcblk0p2): ext4_find_entry:1455: inode #2: comm ls: reading directory lblock 0",
                Class::IoError,
                "mmcblk0p2",
            ),
            (
                "EXT4-fs (mmcblk0p2): Remounting filesystem read-only",
                Class::ReadonlyFs,
                "mmcblk0p2",
            ),
            (
                "BTRFS error (device sdb1): bdev /dev/sdb1 errs: wr 1, rd 0",
                Class::IoError,
                "sdb1",
            ),
            (
                "XFS (dm-0): metadata I/O error in \"xfs_trans\" at daddr 0x1",
                Class::IoError,
                "dm-0",
            ),
            (
                "mmc0: error -110 whilst initialising SD card",
                Class::IoError,
                "mmc0",
            ),
            (
                "Memory cgroup out of memory: Killed process 812 (python3) total-vm:1kB",
                Class::OomKill,
                "python3",
            ),
            (
                "Under-voltage detected! (0x00050005)",
                Class::KernelOther,
                "kernel",
            ),
            (
                "CPU0: Core temperature above threshold, cpu clock throttled (total events = 1)",
                Class::Thermal,
                "CPU0",
            ),
            (
                "gateway[812]: segfault at 0 ip 000055 sp 00007ffd error 4 in gateway[55+1]",
                Class::LogError,
                "gateway",
            ),
        ] {
            assert_eq!(read(line), [(class, subject.to_owned())], "{line}");
        }
    }

    #[test]
    fn the_oom_victim_names_its_unit() {
        let text = "python3 invoked oom-killer: gfp_mask=0xcc0\noom-kill:constraint=CONSTRAINT_MEMCG,nodemask=(null),task_memcg=/system.slice/app.service,task=python3,pid=812,uid=0\nMemory cgroup out of memory: Killed process 812 (python3) total-vm:1kB";
        assert_eq!(read(text), [(Class::OomKill, "app.service".to_owned())]);
    }

    #[test]
    fn ordinary_lines_are_ordinary() {
        for line in [
            "INFO: Stall ended before state dump start",
            "WARNING: the mand mount option is being deprecated",
            "traps: app[3615] general protection fault ip:7feb sp:2000 error:0 in app[7feb+84000]",
            "EXT4-fs (sda1): mounted filesystem with ordered data mode. Opts: errors=remount-ro",
            "usb 1-1: reset high-speed USB device number 2 using xhci_hcd",
            "mce: CPU0: Thermal monitoring enabled (TM1)",
            "ata1: SATA link up 6.0 Gbps (SStatus 133 SControl 300)",
            "RAS: Correctable Errors collector initialized.",
            "perf: interrupt took too long (2506 > 2500), lowering kernel.perf_event_max_sample_rate to 79750",
            "",
        ] {
            assert_eq!(read(line), [], "{line}");
        }
    }
}
