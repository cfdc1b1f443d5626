//! What a user brings into the kernel's own lines. In a namespace of his own anybody mounts with options of any words and
//! names interfaces as he likes, and the kernel quotes them in its errors.

use std::borrow::Cow;

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

/// Lines that anybody makes the kernel say, as many kinds of them as he likes.
pub(super) fn is_made_by_anybody(text: &str) -> bool {
    let of_options =
        |rest: &str| rest.starts_with("Unknown parameter '") || rest.starts_with("Bad value for '");
    match text.split_once(": ") {
        Some(("overlayfs", _)) => true,
        Some(("IPv6", rest)) => rest.contains(": IPv6 duplicate address "),
        Some((_, rest)) if of_options(rest) => true,
        Some(_) | None => text.starts_with("Dead loop on virtual device "),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::model::class::Class;
    use crate::core::reading::kernel::{KernelLine, KernelReader};
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
                let rank = (
                    fault.class,
                    fault.severity <= crate::core::model::finding::Severity::Error,
                );
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
