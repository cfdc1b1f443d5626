//! Digests of what came before: logs say few things often, and many of them word for word.
//!
//! Two direct-mapped tables: one by message, which spares the scan, one by key, which spares the SHA-256.
//! The slot is decided by a cheap hash and the whole text is compared, so what is answered is always what
//! the hash would have been.

use std::borrow::Cow;
use std::fmt;

use super::hash::Hasher;

/// Slots by message and by key; powers of two. With [`TEXT_MOST`] about 225 KiB.
const MESSAGES: usize = 256;
const KEYS: usize = 512;
/// Longer texts are scanned or hashed each time, bytes.
const TEXT_MOST: usize = 224;
/// Odd, with its bits well spread: the golden ratio's.
const SPREAD: u64 = 0x9e37_79b9_7f4a_7c15;

struct Slot {
    length: usize,
    text: [u8; TEXT_MOST],
    hex: [u8; 64],
}

/// Fingerprints of many lines of one class and subject, as hexadecimal text.
pub struct Memo {
    hasher: Hasher,
    messages: Table,
    keys: Table,
}

impl fmt::Debug for Memo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Memo")
    }
}

impl Memo {
    /// For findings of this class about this subject.
    pub fn new(class: &str, subject: &str) -> Self {
        Self {
            hasher: Hasher::new(class, subject),
            messages: Table::new(MESSAGES),
            keys: Table::new(KEYS),
        }
    }

    /// The 64 hexadecimal digits of the fingerprint of what `line` says; `said` finds that, asked once for each line
    /// that is remembered, and `scratch` spares an allocation.
    pub fn hex<'a>(
        &mut self,
        line: &'a str,
        said: impl FnOnce(&'a str) -> Cow<'a, str>,
        scratch: &mut String,
    ) -> [u8; 64] {
        let hasher = &self.hasher;
        let keys = &mut self.keys;
        self.messages.get_or(line.as_bytes(), || {
            hasher.key(&said(line), scratch);
            let key = scratch.as_bytes();
            keys.get_or(key, || hasher.of_key(key).hex())
        })
    }
}

struct Table(Vec<Option<Box<Slot>>>);

impl Table {
    fn new(slots: usize) -> Self {
        Self(std::iter::repeat_with(|| None).take(slots).collect())
    }

    /// What belongs to `text`, remembered or made, and then remembered in place of what shared its slot.
    fn get_or(&mut self, text: &[u8], make: impl FnOnce() -> [u8; 64]) -> [u8; 64] {
        if text.len() > TEXT_MOST {
            return make();
        }
        let spread = usize::try_from(spread(text) >> 32).unwrap_or(0);
        let place = spread.checked_rem(self.0.len());
        let Some(slot) = place.and_then(|place| self.0.get_mut(place)) else {
            return make();
        };
        if let Some(known) = slot
            && known.text.get(..known.length) == Some(text)
        {
            return known.hex;
        }
        let hex = make();
        let known = slot.get_or_insert_with(|| {
            Box::new(Slot {
                length: 0,
                text: [0; TEXT_MOST],
                hex,
            })
        });
        known.hex = hex;
        if let Some(head) = known.text.get_mut(..text.len()) {
            head.copy_from_slice(text);
            known.length = text.len();
        }
        hex
    }
}

/// Eight bytes a step; only the upper half is used, where all bits have mixed.
fn spread(text: &[u8]) -> u64 {
    let (words, tail) = text.as_chunks::<8>();
    let mix = |hash: u64, word: u64| (hash.rotate_left(23) ^ word).wrapping_mul(SPREAD);
    let hash = words.iter().fold(text.len() as u64, |hash, word| {
        mix(hash, u64::from_le_bytes(*word))
    });
    tail.iter()
        .fold(hash, |hash, byte| mix(hash, u64::from(*byte)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_remembered_is_what_was_hashed() {
        let mut memo = Memo::new("log_error", "");
        let mut scratch = String::new();
        // Many more keys than slots, long ones among them, each asked for twice and again later.
        let words = |n: usize| {
            let letters: String = format!("{n:05}")
                .bytes()
                .map(|b| char::from(b + 32))
                .collect();
            format!("{letters} {}", "word ".repeat(n % 70))
        };
        for round in 0..2 {
            for n in (0..3000).flat_map(|n| [n, n]) {
                let message = words(n);
                let want = super::super::fingerprint("log_error", "", &message).hex();
                assert_eq!(
                    memo.hex(&message, Cow::Borrowed, &mut scratch),
                    want,
                    "{round} {message}"
                );
            }
        }
    }
}
