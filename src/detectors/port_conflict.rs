//! Ports that a unit needs and something else holds.

use std::sync::Mutex;
use std::time::Duration;

use crate::core::time::Timestamp;

/// A journal line makes a unit suspect for this long; the sweep then decides.
const HINT_LIFE: Duration = Duration::from_secs(60);
/// Most units under suspicion at a time.
const HINTS_MOST: usize = 32;

static HINTS: Mutex<Vec<(String, Timestamp)>> = Mutex::new(Vec::new());

/// The journal told that `unit` could not bind an address. Only a hint: after a restart the unit's own
/// recent lines tell the same.
pub fn hint(unit: &str, now: Timestamp) {
    let Ok(mut hints) = HINTS.lock() else { return };
    hints.retain(|(name, at)| name != unit && now.since(*at) < HINT_LIFE);
    if hints.len() < HINTS_MOST {
        hints.push((unit.to_owned(), now));
    }
}
