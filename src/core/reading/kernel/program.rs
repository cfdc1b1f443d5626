//! Lines that the kernel begins with the name of a program, or of a network interface in a namespace of a user's. Anybody
//! may call his program `Kernel panic: `, so only the kernel's own words behind the name tell what happened.

/// Longest name, bytes (`TASK_COMM_LEN` and `IFNAMSIZ` without their end).
const NAME_MOST: usize = 15;

/// What the kernel says right behind a name without a process id.
const BEHIND_A_NAME: &[&str] = &[
    ": received packet on ",
    ": hw csum failure",
    ": renamed from ",
    " invoked oom-killer: ",
    ": page allocation failure",
    ": page allocation stalls for ",
    ": vmalloc error: ",
    ": unhandled ",
];

/// The program that a line begins with, and the kernel's own words; of any other line no program and the whole line.
pub(super) fn told_of(text: &str) -> (Option<&str>, &str) {
    let named = text.strip_prefix("traps: ").unwrap_or(text);
    // A name may look like one with its id, or with the kernel's words behind it: what comes last is the kernel's.
    let splits = [with_id(named), without_id(named)].into_iter().flatten();
    match splits.min_by_key(|(_, own)| own.len()) {
        Some((name, own)) => (Some(name), own),
        None => (None, text),
    }
}

/// `name[123]: segfault at 0 ip …`, `name[123] bad frame in …`, `name(123): Attempt to …`
fn with_id(text: &str) -> Option<(&str, &str)> {
    text.match_indices(['[', '('])
        // A blank may stand before the id.
        .take_while(|(at, _)| *at <= NAME_MOST.saturating_add(1))
        .filter(|(at, _)| *at > 0)
        // A name may look like one with its id: the last one is the kernel's.
        .filter_map(|(at, opening)| {
            let (name, rest) = text.split_at_checked(at)?;
            let closing = if opening == "[" { ']' } else { ')' };
            let (id, own) = rest.strip_prefix(opening)?.split_once(closing)?;
            let is_id = !id.is_empty() && id.bytes().all(|digit| digit.is_ascii_digit());
            is_id.then_some((name, own))
        })
        .last()
}

fn without_id(text: &str) -> Option<(&str, &str)> {
    BEHIND_A_NAME
        .iter()
        .filter_map(|words| text.find(words))
        .filter(|at| (1..=NAME_MOST).contains(at))
        .max()
        .and_then(|at| text.split_at_checked(at))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::core::reading::kernel::{KernelLine, KernelReader};
    use crate::core::reading::level::Level;

    /// What the kernel says of a program of this name.
    fn lines(name: &str) -> [String; 9] {
        [
            format!(
                "{name}: received packet on veth0 with own address as source address (addr:02)"
            ),
            format!("{name}: (slave veth0): Error: Device can not be enslaved while up"),
            format!("{name}[812]: segfault at 0 ip 000055 sp 00007ffd error 4 in app[55+1]"),
            format!("{name}[812] bad frame in rt_sigreturn frame:00007ffd ip:7feb sp:2000 orax:0"),
            format!(
                "traps: {name}[812] general protection fault ip:7feb sp:2000 error:0 in app[7+8]"
            ),
            format!("traps: {name}[812] trap invalid opcode ip:7feb sp:2000 error:0 in app[7+8]"),
            format!(
                "{name} invoked oom-killer: gfp_mask=0xcc0(GFP_KERNEL), order=0, oom_score_adj=0"
            ),
            format!(
                "{name}: page allocation failure: order:4, mode:0x40dc0(GFP_KERNEL|__GFP_COMP)"
            ),
            format!("{name}[812]: unhandled exception: DABT (lower EL), ESR 0x92000006"),
        ]
    }

    /// The fault without its subject.
    fn told(text: &str) -> Option<String> {
        told_at(Level::Warning, text)
    }

    fn told_at(level: Level, text: &str) -> Option<String> {
        let line = KernelLine {
            at_us: None,
            level: Some(level),
            text,
        };
        let told = KernelReader::default().line(&line)?;
        Some(format!("{} {}", told.class, told.severity))
    }

    fn like_any_other(name: &str) {
        for (own, other) in lines(name).iter().zip(lines("app")) {
            assert_eq!(told(own), told(&other), "{own}");
        }
    }

    #[test]
    fn a_program_called_like_a_fault_is_none() {
        for name in [
            "BUG: ",
            "Kernel panic: ",
            "PANICOops: ",
            "Internal error:",
            "Oops[1]: x",
            "UBSAN: x in y",
            "WARNING: CPU: ",
            "a[1]: segfault",
            "[ cut here ]",
            "eth0: x",
            "hard LOCKUP",
            "skb_over_panic",
        ] {
            like_any_other(name);
        }
    }

    #[test]
    fn a_name_that_looks_like_one_with_its_id_is_a_name() {
        for name in ["x(1)GPU HANG:", "x[1]GPU HANG:", "x (1)SDA stuck"] {
            let line = format!("{name}: page allocation failure: order:4, mode:0x40dc0");
            assert_eq!(told_of(&line).0, Some(name), "{line}");
        }
    }

    proptest! {
        #[test]
        fn whatever_a_program_is_called_the_kernel_says_the_same(name in "[!-~][ -~]{0,14}") {
            like_any_other(&name);
        }
    }

    #[test]
    fn what_is_told_below_a_warning_is_no_report() {
        for line in [
            "BUG: port 1(veth0) entered disabled state",
            "PANIC: left promiscuous mode",
        ] {
            assert_eq!(told_at(Level::Info, line), None, "{line}");
        }
        let leaks = "kmemleak: 3 new suspected memory leaks (see /sys/kernel/debug/kmemleak)";
        assert!(told_at(Level::Info, leaks).is_some());
    }

    #[test]
    fn what_the_kernel_says_of_itself_begins_with_no_program() {
        for line in [
            "Oops: 0002 [#1] PREEMPT SMP NOPTI",
            "Kernel bug detected[#1]:",
            "BUG: soft lockup - CPU#0 stuck for 22s! [swapper/0:1]",
            "sd 0:0:0:0: [sda] Write cache: enabled",
            "[  812]  1000   812     1024 app",
        ] {
            assert_eq!(told_of(line), (None, line));
        }
    }
}
