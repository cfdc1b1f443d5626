//! SHA-256 over length-prefixed fields, the common ones absorbed once.

use std::fmt;

use sha2::block_api::compress256;
use sha2::{Digest, Sha256};

use super::{ALGORITHM_VERSION, Fingerprint, capped, mask, scan};

/// Bytes in a block of SHA-256.
const BLOCK: usize = 64;

/// Blocks that the short way takes: what is left of the fields before it, and a key of about 200 bytes.
const SHORT: usize = 4 * BLOCK;

/// First state of SHA-256 (FIPS 180-4, 5.3.3).
const INITIAL: [u32; 8] = [
    0x6a09_e667,
    0xbb67_ae85,
    0x3c6e_f372,
    0xa54f_f53a,
    0x510e_527f,
    0x9b05_688c,
    0x1f83_d9ab,
    0x5be0_cd19,
];

/// Hashes many messages of one class and subject.
#[derive(Clone)]
pub struct Hasher {
    /// Version, class and subject as SHA-256 has them.
    common: Sha256,
    /// The same for the short way: the state after the whole blocks, how many bytes those were, and the rest.
    state: [u32; 8],
    absorbed: usize,
    rest: [u8; BLOCK],
    pending: usize,
}

impl fmt::Debug for Hasher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Hasher")
    }
}

impl Hasher {
    /// Absorbs version, class and subject.
    pub fn new(class: &str, subject: &str) -> Self {
        let mut fields = Vec::with_capacity(
            BLOCK
                .saturating_add(class.len())
                .saturating_add(subject.len()),
        );
        for field in [
            &b"ao-fp"[..],
            &ALGORITHM_VERSION.to_le_bytes(),
            class.as_bytes(),
            whose(subject).as_bytes(),
        ] {
            fields.extend_from_slice(&length(field));
            fields.extend_from_slice(field);
        }
        let (blocks, tail) = fields.as_chunks::<BLOCK>();
        let mut state = INITIAL;
        compress256(&mut state, blocks);
        let mut rest = [0; BLOCK];
        for (to, from) in rest.iter_mut().zip(tail) {
            *to = *from;
        }
        Hasher {
            common: Sha256::new_with_prefix(&fields),
            state,
            absorbed: fields.len().saturating_sub(tail.len()),
            rest,
            pending: tail.len(),
        }
    }

    /// The fingerprint of `message`; `scratch` spares an allocation per message.
    pub fn fingerprint(&self, message: &str, scratch: &mut String) -> Fingerprint {
        self.key(message, scratch);
        self.of_key(scratch.as_bytes())
    }

    /// Writes what of `message` is hashed into `scratch`.
    pub(super) fn key(&self, message: &str, scratch: &mut String) {
        scratch.clear();
        scan::Scanner::run(capped(message), scratch, false, mask::All);
    }

    pub(super) fn of_key(&self, key: &[u8]) -> Fingerprint {
        self.short(key).unwrap_or_else(|| self.long(key))
    }

    /// The plain way, for a key of any length.
    fn long(&self, key: &[u8]) -> Fingerprint {
        let mut hash = self.common.clone();
        hash.update(length(key));
        hash.update(key);
        Fingerprint(hash.finalize().into())
    }

    /// The same for a short key: padded here and compressed in one call, which saves a tenth of all time.
    fn short(&self, key: &[u8]) -> Option<Fingerprint> {
        let start = self.pending.saturating_add(4);
        let end = start.saturating_add(key.len());
        // One byte of padding mark and eight of length in bits close the last block.
        let total = end.checked_add(9)?.checked_next_multiple_of(BLOCK)?;
        let mut message = [0; SHORT];
        message.get_mut(..BLOCK)?.copy_from_slice(&self.rest);
        message
            .get_mut(self.pending..start)?
            .copy_from_slice(&length(key));
        message.get_mut(start..end)?.copy_from_slice(key);
        *message.get_mut(end)? = 0x80;
        let bits = (self.absorbed.saturating_add(end) as u64).saturating_mul(8);
        message
            .get_mut(total.checked_sub(8)?..total)?
            .copy_from_slice(&bits.to_be_bytes());
        let (blocks, _) = message.get(..total)?.as_chunks::<BLOCK>();
        let mut state = self.state;
        compress256(&mut state, blocks);
        let mut digest = [0; 32];
        for (bytes, word) in digest.as_chunks_mut::<4>().0.iter_mut().zip(state) {
            *bytes = word.to_be_bytes();
        }
        Some(Fingerprint(digest))
    }
}

/// A service is the same whether its unit is known (the journal) or its program alone (a file).
fn whose(subject: &str) -> &str {
    match subject.strip_suffix(".service") {
        Some(name) if !name.is_empty() => name,
        _ => subject,
    }
}

/// Length first, so that no two lists of fields share one byte string.
fn length(field: &[u8]) -> [u8; 4] {
    u32::try_from(field.len()).unwrap_or(u32::MAX).to_le_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_ways_agree_for_every_length() {
        for subject in 0..2 * BLOCK {
            let hasher = Hasher::new("log_error", &"s".repeat(subject));
            for len in (0..SHORT + 9).step_by(if subject < 2 { 1 } else { 13 }) {
                let key = vec![b'k'; len];
                if let Some(short) = hasher.short(&key) {
                    assert_eq!(short, hasher.long(&key), "subject {subject}, key {len}");
                }
            }
            assert!(hasher.short(&[b'k'; 100]).is_some());
            assert!(hasher.short(&[b'k'; SHORT]).is_none());
        }
    }
}
