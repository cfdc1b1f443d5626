//! A mail in seven bits (RFC 5322, 2045, 2047), whatever its words are. Pure.

use std::fmt::Write as _;

use time::OffsetDateTime;
use time::format_description::well_known::Rfc2822;

use crate::core::human::notice::{Notice, visible};
use crate::core::model::finding::Severity;
use crate::core::model::time::Timestamp;

/// Longest subject, in bytes, before it is encoded.
const SUBJECT: usize = 200;
/// Longest line of quoted-printable text without its end (RFC 2045, 6.7).
const LINE: usize = 76;
/// Longest encoded word: 75 (RFC 2047, 2), less what stands before the first in its line of 76.
const WORD: usize = 66;

/// The whole mail with CRLF. Repeats of one row bear one `Message-ID`, all of one problem one thread; `gateway_id` is
/// the random id of this gateway.
pub fn compose(
    message: &Notice,
    from: &str,
    to: &[String],
    gateway_id: &str,
    now: Timestamp,
) -> String {
    // A domain that nobody can have (RFC 2606).
    let own = plain(gateway_id);
    let domain = format!("{}.invalid", own.get(..16).unwrap_or(&own));
    let id = plain(&message.key.replace(':', "."));
    let thread = plain(message.problem.get(..24).unwrap_or(&message.problem));
    let headline = format!("{} {}", message.icon(), message.headline());
    let headline = crate::core::human::notice::shortened(&headline, SUBJECT);
    let mut out = String::new();
    let mut header = |name: &str, value: &str| {
        let _ = write!(out, "{name}: {value}\r\n");
    };
    header("From", from);
    header("To", &to.join(",\r\n "));
    header("Subject", &encoded(&headline));
    header("Date", &date(now));
    header("Message-ID", &format!("<{id}@{domain}>"));
    header("References", &format!("<{thread}@{domain}>"));
    // RFC 3834: no holiday note comes back.
    header("Auto-Submitted", "auto-generated");
    if message.severity == Severity::Critical && !message.is_over() {
        header("Importance", "high");
    }
    header("MIME-Version", "1.0");
    header("Content-Type", "text/plain; charset=utf-8");
    header("Content-Transfer-Encoding", "quoted-printable");
    out.push_str("\r\n");
    let mut text = message.plain(usize::MAX);
    if !message.is_over() && message.class != "digest" && message.text.len() > text.len() {
        text.push_str("\n\n-- The whole issue --\n\n");
        text.push_str(&visible(&message.text));
    }
    quoted(&text, &mut out);
    out
}

/// What can stand in the middle of an id.
fn plain(text: &str) -> String {
    text.chars()
        .filter(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | '_'))
        .collect()
}

fn date(now: Timestamp) -> String {
    let at = OffsetDateTime::from_unix_timestamp(now.as_millis().div_euclid(1_000));
    at.ok()
        .and_then(|at| at.format(&Rfc2822).ok())
        .unwrap_or_default()
}

/// A header's text as encoded words of UTF-8, or as it is.
fn encoded(text: &str) -> String {
    if text.bytes().all(|c| c == b' ' || c.is_ascii_graphic()) && text.len() <= LINE - 10 {
        return text.to_owned();
    }
    const START: &str = "=?utf-8?q?";
    let mut words = vec![START.to_owned()];
    for c in text.chars() {
        let mut code = String::new();
        for byte in c.to_string().bytes() {
            match byte {
                b' ' => code.push('_'),
                c if c.is_ascii_alphanumeric() => code.push(char::from(c)),
                other => {
                    let _ = write!(code, "={other:02X}");
                }
            }
        }
        // A word ends between characters.
        if words
            .last()
            .is_some_and(|word| word.len() + code.len() + 2 > WORD)
        {
            words.push(START.to_owned());
        }
        if let Some(word) = words.last_mut() {
            word.push_str(&code);
        }
    }
    words.join("?=\r\n ") + "?="
}

/// Quoted-printable lines.
fn quoted(text: &str, out: &mut String) {
    for line in text.lines() {
        let mut length = 0;
        let bytes = line.as_bytes();
        for (at, byte) in bytes.iter().enumerate() {
            let is_last = at + 1 == bytes.len();
            let plain = match byte {
                b' ' | b'\t' => !is_last,
                b'=' => false,
                // `From ` and a lone dot at the start of a line are touched by some on their way.
                b'F' | b'.' if length == 0 => false,
                c => c.is_ascii_graphic(),
            };
            let size = if plain { 1 } else { 3 };
            if length + size > LINE - 1 {
                out.push_str("=\r\n");
                length = 0;
            }
            match plain {
                true => out.push(char::from(*byte)),
                false => {
                    let _ = write!(out, "={byte:02X}");
                }
            }
            length += size;
        }
        out.push_str("\r\n");
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::core::human::notice::tests::{golden, message};

    fn mail(message: &Notice) -> String {
        let now = "2025-11-23 06:27:40".parse().unwrap();
        let to = [
            "ann@plant.example".to_owned(),
            "shift@plant.example".to_owned(),
        ];
        compose(message, "iac1@plant.example", &to, "5f0c77aa", now)
    }

    /// `docs/example-mail.eml` is what is sent; set `UPDATE_GOLDEN=1` to write it anew.
    #[test]
    fn the_example_in_docs_is_what_is_sent() {
        golden("example-mail.eml", &mail(&message()).replace("\r\n", "\n"));
    }

    #[test]
    fn every_line_is_short_and_of_seven_bits() {
        let evil = Notice {
            title: "Ü=?\r\nBcc: x@y ".repeat(30),
            text: format!(
                "From me\n.\n..\ntrailing \n{}\n\u{1f534}",
                "ä".repeat(1_500)
            ),
            message: "x".repeat(300),
            ..message()
        };
        let text = mail(&evil);
        for line in text.split("\r\n") {
            assert!(line.len() <= 78 && line.is_ascii(), "{line}");
            assert!(!line.contains(['\r', '\n']), "{line}");
            assert!(
                !line.starts_with('.') && !line.starts_with("From "),
                "{line}"
            );
        }
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        assert!(!head.contains("\nBcc"), "{head}");
        assert_eq!(head.matches("Message-ID").count(), 1);
        assert!(body.contains("=46rom me"));
    }
}
