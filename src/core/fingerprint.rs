//! One stable name for a fault (placeholder until the scanner lands in the next commit).
use sha2::{Digest, Sha256};
use std::fmt;

/// SHA-256 of algorithm version, class, subject and template.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Fingerprint([u8; 32]);

impl Fingerprint {
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// Fingerprint of a message of `class` about `subject`.
pub fn fingerprint(class: &str, subject: &str, message: &str) -> Fingerprint {
    let mut hash = Sha256::new();
    for field in [class, subject, message] {
        hash.update((field.len() as u64).to_le_bytes());
        hash.update(field.as_bytes());
    }
    Fingerprint(hash.finalize().into())
}

/// Version of the algorithm.
pub const ALGORITHM_VERSION: u32 = 1;
