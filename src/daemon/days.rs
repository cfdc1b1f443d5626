//! On which days the host was watched: the report tells a day without faults from one that nobody saw.

use crate::core::model::time::Timestamp;
use crate::store::{Reader, Store, StoreError};

/// The row of `meta` that holds them: numbers since 1970-01-01, separated by blanks.
const KEY: &str = "days_watched";
/// As far back as the report looks, and the day that begins.
const KEPT_MOST: usize = 31;

/// The number of a day (UTC).
pub const fn day_of(at: Timestamp) -> i64 {
    at.as_millis().div_euclid(86_400_000)
}

/// The days that are known, the oldest first; a word that cannot be read is no day.
pub fn watched(reader: &Reader) -> Result<Vec<i64>, StoreError> {
    let text = reader.meta(KEY)?.unwrap_or_default();
    let days = text.split(' ').filter_map(|word| word.parse().ok());
    Ok(days.collect())
}

/// The day that was written last.
#[derive(Debug, Default)]
pub struct Days(Option<i64>);

impl Days {
    /// Writes today down, once.
    pub fn keep(&mut self, store: &Store, now: Timestamp) -> Result<(), StoreError> {
        let today = day_of(now);
        if self.0 == Some(today) {
            return Ok(());
        }
        let mut days = watched(&store.reader()?)?;
        // A clock that was ahead is set right by now.
        days.retain(|day| *day < today);
        days.push(today);
        let from = days.len().saturating_sub(KEPT_MOST);
        let days = days.iter().skip(from).map(i64::to_string);
        store.set_meta(KEY, &days.collect::<Vec<_>>().join(" "))?;
        self.0 = Some(today);
        Ok(())
    }
}
