//! What a stream heard and a sweep then judges: units that told a short while ago that a port was taken.

use std::time::Duration;

use crate::core::model::time::Timestamp;

/// A journal line makes a unit suspect for this long; the sweep then decides.
const LIFE: Duration = Duration::from_secs(60);
/// Most units under suspicion at a time.
const MOST: usize = 32;

/// Only a hint: after a restart of the daemon the unit's own recent lines tell the same.
#[derive(Clone, Debug, Default)]
pub struct Suspects(Vec<(String, Timestamp)>);

impl Suspects {
    /// The journal told that `unit` could not bind an address.
    pub fn add(&mut self, unit: String, now: Timestamp) {
        self.0
            .retain(|(name, at)| *name != unit && now.since(*at) < LIFE);
        if self.0.len() < MOST {
            self.0.push((unit, now));
        }
    }

    pub fn contains(&self, unit: &str, now: Timestamp) -> bool {
        self.0
            .iter()
            .any(|(name, at)| name == unit && now.since(*at) < LIFE)
    }
}
