//! What the readers hand to the builder: a source with its passages, secrets already taken out.

use sha2::{Digest, Sha256};

use crate::core::human::redact::{REDACTED, Redactor};
use crate::core::model::hex::hex;
use crate::core::model::text::cut;

/// Longest passage kept, in bytes: what is longer is cut and no longer useful to read anyway.
pub(super) const PASSAGE_MAX: usize = 64 * 1024;
const TITLE_MAX: usize = 300;

/// One input file, commit list or embedded text.
#[derive(Clone, Debug, Default)]
pub(super) struct Source {
    /// As citations show it.
    pub path: String,
    pub kind: &'static str,
    /// Commit or time of modification; empty when unknown.
    pub revision: String,
    pub sha256: String,
    pub bytes: u64,
    /// Number of secrets taken out.
    pub redacted: u64,
    pub passages: Vec<Passage>,
}

/// One passage of a source. Lines count from 1; 0 when the source has none.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Passage {
    /// Given id of a ready-made snippet; empty otherwise.
    pub key: String,
    pub title: String,
    pub text: String,
    pub first_line: u32,
    pub last_line: u32,
}

impl Passage {
    /// A passage within the bounds: control characters out, too long cut.
    pub fn new(title: &str, text: &str, first_line: u32, last_line: u32) -> Self {
        Self {
            key: String::new(),
            title: one_line(title),
            text: cut(text.trim_end(), PASSAGE_MAX).replace('\0', " "),
            first_line,
            last_line,
        }
    }
}

/// `text` as one line of bounded length: keys and titles stand in tables and tab-separated output.
pub(super) fn one_line(text: &str) -> String {
    let flat: String = text
        .chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect();
    cut(flat.trim(), TITLE_MAX).to_owned()
}

pub(super) fn sha256_hex(bytes: &[u8]) -> String {
    hex(&Sha256::digest(bytes))
}

/// `text` without secrets, each line at its place, and how many were taken out. `None` when what is left
/// cannot be trusted to keep its lines: such a text is left out as a whole.
pub(super) fn without_secrets(redactor: &Redactor, text: &str) -> Option<(String, u64)> {
    let blanked = blank_key_blocks(text);
    let mut clean = redactor.redact(&blanked);
    if clean.lines().count() != blanked.lines().count() {
        // A secret over several lines: line by line keeps the places, a second look shows what that missed.
        clean = blanked
            .lines()
            .map(|line| redactor.redact(line))
            .collect::<Vec<_>>()
            .join("\n");
        let again = redactor.redact(&clean);
        if again.lines().count() != clean.lines().count() {
            return None;
        }
        clean = again;
    }
    let count = |text: &str| text.matches(REDACTED).count() as u64;
    let found = count(&clean).saturating_sub(count(text));
    Some((clean, found))
}

/// Private keys span lines: each line of such a block is replaced by itself, so that later lines keep
/// their numbers. A block without an end lasts while lines look like base64.
fn blank_key_blocks(text: &str) -> String {
    if !text.contains("PRIVATE KEY") {
        return text.to_owned();
    }
    let mut inside = false;
    let mut out = String::with_capacity(text.len());
    for line in text.split_inclusive('\n') {
        let body = line.trim_end_matches(['\n', '\r']);
        let begins = body.contains("-----BEGIN ") && body.contains("PRIVATE KEY");
        let ends = body.contains("-----END ");
        inside |= begins;
        if inside && !looks_like_key(body) && !begins && !ends {
            inside = false;
        }
        if inside {
            out.push_str(REDACTED);
            out.push_str(line.get(body.len()..).unwrap_or("\n"));
        } else {
            out.push_str(line);
        }
        inside &= !ends;
    }
    out
}

fn looks_like_key(line: &str) -> bool {
    let line = line.trim_matches(|c: char| c.is_whitespace() || "|>\"',#".contains(c));
    let header = line.starts_with("Proc-Type:") || line.starts_with("DEK-Info:");
    header
        || line
            .bytes()
            .all(|c| c.is_ascii_alphanumeric() || b"+/=\\".contains(&c))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn keys_vanish_and_lines_stay() {
        let text = "a\n-----BEGIN RSA PRIVATE KEY-----\nMIIEowIBAAKCAQEA7bq1\nabcd+/==\n-----END RSA PRIVATE KEY-----\nlast\n";
        let (clean, found) = without_secrets(&Redactor::new(), text).unwrap();
        assert!(
            !clean.contains("MIIE") && !clean.contains("abcd"),
            "{clean}"
        );
        assert_eq!(clean.lines().nth(5), Some("last"));
        assert!(found >= 1);
    }

    #[test]
    fn plain_text_is_untouched() {
        let text = "Restart the broker.\n\n  systemctl restart mosquitto\n";
        assert_eq!(
            without_secrets(&Redactor::new(), text).unwrap(),
            (text.to_owned(), 0)
        );
    }
}
