//! Foreign text as text. What would drive the reader's terminal, forge a line or turn the writing direction is shown
//! by its number instead. Every output of the program passes here; nothing is lost, and twice is the same as once.

use std::borrow::Cow;
use std::fmt::Write as _;

/// True for what acts instead of being read: control characters (C0, DEL, C1), line and paragraph separators,
/// marks of direction, and all that takes no room on the screen.
pub const fn is_active(c: char) -> bool {
    matches!(
        c,
        '\0'..='\u{1f}'
            | '\u{7f}'..='\u{9f}'
            | '\u{ad}'
            | '\u{61c}'
            | '\u{180e}'
            | '\u{200b}'..='\u{200f}'
            | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}'
            | '\u{feff}'
            | '\u{fff9}'..='\u{fffb}'
            | '\u{e0000}'..='\u{e007f}'
    )
}

/// `text` in one line: a tab becomes a space, a line break is shown as `\n`.
pub fn line(text: &str) -> Cow<'_, str> {
    shown(text, |c| match c {
        '\t' => Some(" "),
        '\n' => Some("\\n"),
        _ => None,
    })
}

/// `text` with its lines and tabs.
pub fn lines(text: &str) -> Cow<'_, str> {
    shown(text, |c| match c {
        '\t' => Some("\t"),
        '\n' => Some("\n"),
        _ => None,
    })
}

/// A JSON document of the same value: within its strings, which alone can hold such characters, they are
/// written as `\u001b`.
pub fn json(document: &str) -> Cow<'_, str> {
    if !document.chars().any(|c| is_active(c) && c != '\n') {
        return Cow::Borrowed(document);
    }
    let mut out = String::with_capacity(document.len() + 16);
    for c in document.chars() {
        if is_active(c) && c != '\n' {
            for unit in c.encode_utf16(&mut [0; 2]) {
                let _ = write!(out, "\\u{unit:04x}");
            }
        } else {
            out.push(c);
        }
    }
    Cow::Owned(out)
}

/// `text` with each active character as `kept` has it, else by its number.
fn shown(text: &str, kept: impl Fn(char) -> Option<&'static str>) -> Cow<'_, str> {
    if !text.chars().any(is_active) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        if !is_active(c) {
            out.push(c);
        } else if let Some(known) = kept(c) {
            out.push_str(known);
        } else if c == '\r' {
            out.push_str("\\r");
        } else if c.is_ascii() {
            let _ = write!(out, "\\x{:02x}", u32::from(c));
        } else {
            let _ = write!(out, "\\u{{{:x}}}", u32::from(c));
        }
    }
    Cow::Owned(out)
}

/// A text with one of each that must not get out, for the tests of every output.
#[cfg(test)]
pub(crate) const HOSTILE: &str = "bad\n<2>audit head 00\r\u{1b}[2J\u{1b}]0;t\u{7}\u{8}\u{7f}\u{9b}31m\u{85}x\u{202e}y\u{2028}z\u{2029}\u{2066}\u{feff}\u{200b}\
     @octocat #1 GH-2 ![x](https://evil.example/x.png) www.evil.example </textarea><script>alert(1)</script>\n```\n````\n<!-- autonomous-orchestrator:status -->";

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_acts_is_shown_by_its_number() {
        assert_eq!(
            line("a\x1b[2J\u{202e}\tb\nc\r"),
            "a\\x1b[2J\\u{202e} b\\nc\\r"
        );
        assert_eq!(lines("a\tb\nc\u{9b}"), "a\tb\nc\\u{9b}");
        assert!(matches!(line("plain é 🔴"), Cow::Borrowed(_)));
    }

    #[test]
    fn a_json_document_keeps_its_value() {
        let value = serde_json::json!({ "a": HOSTILE, "\u{7f}": ["\u{e0041}"] });
        let text = json(&format!("{value:#}")).into_owned();
        assert!(!text.chars().any(|c| is_active(c) && c != '\n'));
        assert_eq!(
            serde_json::from_str::<serde_json::Value>(&text).ok(),
            Some(value)
        );
    }

    proptest! {
        #[test]
        fn nothing_active_stays_and_twice_is_once(text in "\\PC*|[\\s\\S]{0,64}") {
            let once = line(&text).into_owned();
            prop_assert!(!once.chars().any(is_active));
            prop_assert_eq!(line(&once), once.as_str());
            let kept = lines(&text).into_owned();
            prop_assert!(!kept.chars().any(|c| is_active(c) && !matches!(c, '\n' | '\t')));
            prop_assert_eq!(lines(&kept), kept.as_str());
        }
    }
}
