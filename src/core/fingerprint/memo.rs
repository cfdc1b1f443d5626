//! Digests of keys that came before: logs say few things often, so most keys need no SHA-256.
//!
//! A direct-mapped table: the slot is decided by a cheap hash, the whole key is compared, so what is
//! answered is always what the hash would have been.

use std::fmt;

use super::hash::Hasher;

/// Slots; a power of two. With [`KEY_MOST`] about 150 KiB.
const SLOTS: usize = 512;
/// Longer keys are hashed each time, bytes.
const KEY_MOST: usize = 224;
/// Odd, with its bits well spread: the golden ratio's.
const SPREAD: u64 = 0x9e37_79b9_7f4a_7c15;

struct Slot {
    length: usize,
    key: [u8; KEY_MOST],
    hex: [u8; 64],
}

/// Fingerprints of many messages of one class and subject, as hexadecimal text.
pub struct Memo {
    hasher: Hasher,
    slots: Vec<Option<Box<Slot>>>,
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
            slots: std::iter::repeat_with(|| None).take(SLOTS).collect(),
        }
    }

    /// The 64 hexadecimal digits of `message`'s fingerprint; `scratch` holds its key afterwards.
    pub fn hex(&mut self, message: &str, scratch: &mut String) -> [u8; 64] {
        self.hasher.key(message, scratch);
        let key = scratch.as_bytes();
        let place = usize::try_from(spread(key) >> 32).unwrap_or(0) % SLOTS;
        let Some(slot) = self.slots.get_mut(place) else {
            return self.hasher.of_key(key).hex();
        };
        if let Some(known) = slot
            && known.key.get(..known.length) == Some(key)
        {
            return known.hex;
        }
        let hex = self.hasher.of_key(key).hex();
        if key.len() <= KEY_MOST {
            let known = slot.get_or_insert_with(|| {
                Box::new(Slot {
                    length: 0,
                    key: [0; KEY_MOST],
                    hex,
                })
            });
            known.length = key.len();
            known.hex = hex;
            if let Some(head) = known.key.get_mut(..key.len()) {
                head.copy_from_slice(key);
            }
        }
        hex
    }
}

/// Eight bytes a step; only the upper half is used, where all bits have mixed.
fn spread(key: &[u8]) -> u64 {
    let (words, tail) = key.as_chunks::<8>();
    let mix = |hash: u64, word: u64| (hash.rotate_left(23) ^ word).wrapping_mul(SPREAD);
    let hash = words.iter().fold(key.len() as u64, |hash, word| {
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
                assert_eq!(memo.hex(&message, &mut scratch), want, "{round} {message}");
            }
        }
    }
}
