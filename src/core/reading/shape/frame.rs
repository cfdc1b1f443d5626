//! Lines that show where something happened and not what: frames of a stack trace, as run times print them.

use super::scan::unindented;

/// True for a frame, or for the heading of frames.
pub(crate) fn is_frame(text: &str) -> bool {
    let text = unindented(text);
    if !matches!(
        text.as_bytes(),
        [
            b'a' | b'.' | b'i' | b'g' | b'b' | b'B' | b's' | b'S' | b'/' | b'#' | b'[',
            ..
        ]
    ) {
        return false;
    }
    let text = text.trim_end();
    match text.as_bytes().first() {
        Some(b'a') => is_call(text),
        Some(b'.') => {
            text.starts_with("... ") && (text.ends_with("more") || text.ends_with("omitted"))
        }
        Some(b'i') => text.starts_with("in thread ") && text.contains(" scheduled from "),
        Some(b'g') => text.starts_with("goroutine ") && text.ends_with("]:"),
        Some(b'b' | b'B' | b's' | b'S') if text.ends_with(':') => is_heading(text),
        Some(b'/' | b'#' | b'[') => is_address(text),
        _ => false,
    }
}

/// `at Flow.handle (/opt/flow.js:435:30)`, `at a.b.C.run(C.java:12)`, `at A.B(C c) in D.cs:line 7`.
fn is_call(text: &str) -> bool {
    let Some(place) = text.strip_prefix("at ") else {
        return false;
    };
    let numbered = place
        .rsplit([':', ' '])
        .next()
        .is_some_and(|number| !number.is_empty() && number.bytes().all(|c| c.is_ascii_digit()));
    let called = place.ends_with(')') && place.contains('(');
    called || (numbered && place.contains(':'))
}

/// `Backtrace for 9 stack frames:`, `stack backtrace:`, `Stack trace:`.
fn is_heading(text: &str) -> bool {
    let begins = |start: &str| {
        text.get(..start.len())
            .is_some_and(|head| head.eq_ignore_ascii_case(start))
    };
    ["backtrace", "stack trace", "stacktrace", "stack backtrace"]
        .iter()
        .any(|start| begins(start))
}

/// C's: `/usr/lib/libx.so.0(run+0x60) [0x7fee62dd5a60]`, `#3 0x00007f… in run () from …`, `[0x55aa…]`.
fn is_address(text: &str) -> bool {
    if let Some(rest) = text.strip_prefix('#') {
        let rest = rest.trim_start_matches(|c: char| c.is_ascii_digit());
        return rest.trim_start().starts_with("0x");
    }
    let Some((place, address)) = text.rsplit_once("[0x") else {
        return false;
    };
    let hex = address.strip_suffix(']').unwrap_or("");
    let is_hex = !hex.is_empty() && hex.bytes().all(|c| c.is_ascii_hexdigit());
    is_hex && (place.is_empty() || place.trim_end().ends_with(')'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_is_known_by_how_run_times_print_it() {
        for (text, want) in [
            ("    at Array.forEach (<anonymous>)", true),
            ("at /opt/flows/Flow.js:443:62", true),
            ("at org.a.B$2.run(B.java:606)", true),
            (
                "at A.B.Open(CancellationToken token) in /src/B.cs:line 71",
                true,
            ),
            ("... 7 more", true),
            ("... 12 common frames omitted", true),
            ("goroutine 12 [running]:", true),
            ("Backtrace for 4 stack frames:", true),
            ("stack backtrace:", true),
            ("/usr/lib/libz.so.0(z_run+0x60) [0x7f10a2]", true),
            ("/usr/sbin/zd() [0x4005e6]", true),
            ("#3 0x00007f10a2 in run () from /usr/lib/libz.so.0", true),
            ("in thread poll_main scheduled from main.c:71", true),
            ("at least one pump is off", false),
            ("at 10:00:02 the pump stopped", false),
            ("... and that is all", false),
            ("Backtrace written to /var/crash/a", false),
            ("/dev/sda1 is full [0x]", false),
            ("[0x12] wrote a register", false),
            ("", false),
        ] {
            assert_eq!(is_frame(text), want, "{text}");
        }
    }
}
