//! What the readers of a build share: the redaction, the room that is left, the report.

use std::fmt;

use super::error::LeftOut;
use super::opened::SNIPPETS_MAX;
use crate::core::human::redact::Redactor;

/// Most text of one bundle, in bytes: bounds the memory of a build to about three times that.
pub const TEXT_MAX: usize = 128 << 20;
/// Most left-out inputs that a report names one by one.
const SKIPPED_NAMED: usize = 1000;

/// What a build did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    pub snippets: usize,
    pub sources: usize,
    /// Passages left out because they say the same as an earlier one.
    pub duplicates: usize,
    /// Sources that held secrets, with how many were taken out.
    pub redacted: Vec<(String, u64)>,
    /// Inputs left out, with the reason; at most the first thousand.
    pub skipped: Vec<(String, String)>,
    pub skipped_total: usize,
    /// Known moves of paths.
    pub moves: usize,
    pub bytes: u64,
    /// SHA-256 of the content.
    pub digest: String,
    /// Nothing changed since the bundle at `out` was built, so it was left alone.
    pub unchanged: bool,
}

/// What the readers share: the redaction, the room that is left, the report.
#[derive(Debug, Default)]
pub(super) struct Builder {
    pub redactor: Redactor,
    pub report: Report,
    room: Room,
}

impl Builder {
    /// True, and booked, when one more passage of `bytes` fits.
    pub fn has_room(&mut self, bytes: usize) -> bool {
        self.room.take(bytes)
    }

    pub fn skip(&mut self, what: impl fmt::Display, why: &LeftOut) {
        self.report.skip(what, why);
    }
}

impl Report {
    fn skip(&mut self, what: impl fmt::Display, why: &LeftOut) {
        self.skipped_total += 1;
        if self.skipped.len() < SKIPPED_NAMED {
            self.skipped.push((what.to_string(), why.to_string()));
        }
    }
}

/// What still fits.
#[derive(Debug, Default)]
struct Room {
    bytes: usize,
    passages: u32,
}

impl Room {
    fn take(&mut self, bytes: usize) -> bool {
        let fits = self.passages < SNIPPETS_MAX && self.bytes.saturating_add(bytes) <= TEXT_MAX;
        if fits {
            self.bytes += bytes;
            self.passages += 1;
        }
        fits
    }
}
