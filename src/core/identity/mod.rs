//! One stable name for a fault: SHA-256 over class, subject and message template.
//!
//! The template is a pure function of the message, so the name is the same on every host and after
//! every restart. `docs/FINGERPRINT.md` lists the placeholders and what each rule adds.

#![cfg_attr(not(test), warn(clippy::arithmetic_side_effects))]

mod bytes;
mod hash;
mod item;
mod kind;
mod mask;
mod memo;
mod path;
mod scan;
mod shape;
#[cfg(test)]
mod tests;
mod value;
mod words;

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

pub use hash::Hasher;
#[doc(hidden)]
pub use mask::{MaskRule, Only};
pub use memo::Memo;

use crate::core::model::finding::Finding;
use crate::core::model::hex;

/// Version of template and hash layout; a change of either raises it, and open tasks are re-keyed.
pub const ALGORITHM_VERSION: u32 = 3;

/// Only the first 4096 bytes of a message count: what comes later is payload, not identity.
pub const MESSAGE_CAP: usize = 4096;

/// Writes the template of `message` into `out`, which is cleared first and reused.
pub fn template_into(message: &str, out: &mut String) {
    out.clear();
    scan::Scanner::run(capped(message), out, true, mask::All);
}

/// The template of `message`.
#[cfg(test)]
pub fn template(message: &str) -> String {
    let mut out = String::with_capacity(message.len().min(MESSAGE_CAP));
    template_into(message, &mut out);
    out
}

/// [`template_into`] with some rules left out; for measurements only.
#[doc(hidden)]
pub fn template_with(message: &str, typed: bool, only: Only, out: &mut String) {
    out.clear();
    scan::Scanner::run(capped(message), out, typed, only);
}

fn capped(message: &str) -> &str {
    message.get(..boundary(message)).unwrap_or(message)
}

/// The last character boundary within the cap.
fn boundary(text: &str) -> usize {
    let mut at = text.len().min(MESSAGE_CAP);
    while !text.is_char_boundary(at) {
        at = at.saturating_sub(1);
    }
    at
}

/// A message line from bytes: invalid UTF-8 becomes U+FFFD, cut at `MESSAGE_CAP` bytes.
pub fn lossy_line(bytes: &[u8]) -> Cow<'_, str> {
    // Decoding a little more than the cap keeps a character that straddles it whole, so that it is dropped, not broken.
    let head = bytes.get(..MESSAGE_CAP + 4).unwrap_or(bytes);
    // Nearly every line is valid: the plain check is faster than the lossy one.
    if let Ok(text) = std::str::from_utf8(head) {
        return Cow::Borrowed(capped(text));
    }
    let mut text = String::from_utf8_lossy(head).into_owned();
    text.truncate(boundary(&text));
    Cow::Owned(text)
}

/// The identity of a fault: 32 bytes, shown as 64 lower-case hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Fingerprint([u8; 32]);

impl Fingerprint {
    /// All 64 hexadecimal digits, without an allocation.
    pub fn hex(&self) -> [u8; 64] {
        let mut out = [0; 64];
        hex::write(&self.0, &mut out);
        out
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(std::str::from_utf8(&self.hex()).unwrap_or_default())
    }
}

impl fmt::Debug for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Fingerprint({self})")
    }
}

/// A text that is no fingerprint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ParseError;

impl fmt::Display for ParseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("cannot read the fingerprint: it is not 64 lower-case hexadecimal digits: copy it whole from `tasks --json`")
    }
}

impl std::error::Error for ParseError {}

impl FromStr for Fingerprint {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        if text.len() != 64 || !text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f')) {
            return Err(ParseError);
        }
        let mut bytes = [0; 32];
        for (byte, pair) in bytes.iter_mut().zip(text.as_bytes().chunks_exact(2)) {
            let pair = std::str::from_utf8(pair).map_err(|_| ParseError)?;
            *byte = u8::from_str_radix(pair, 16).map_err(|_| ParseError)?;
        }
        Ok(Fingerprint(bytes))
    }
}

/// The fingerprint of one finding.
pub fn fingerprint(class: &str, subject: &str, message: &str) -> Fingerprint {
    Hasher::new(class, subject).fingerprint(
        message,
        &mut String::with_capacity(message.len().min(MESSAGE_CAP)),
    )
}

impl Finding {
    /// Stable across restarts, machines and repeats of the same fault.
    pub fn fingerprint(&self) -> Fingerprint {
        fingerprint(self.class.as_str(), &self.subject, &self.message)
    }
}
