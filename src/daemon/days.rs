//! On which days the host was watched: the report tells a day without faults from one that nobody saw.

use crate::core::model::time::Timestamp;
use crate::store::{Reader, Store, StoreError};

/// The row of `meta` that holds them.
const KEY: &str = "days_watched";

/// The number of a day (UTC) since 1970-01-01.
pub const fn day_of(at: Timestamp) -> i64 {
    at.as_millis().div_euclid(86_400_000)
}

/// The last 64 days up to one of them: bit 0 is that day, bit 1 the one before.
#[derive(Clone, Copy, Debug, Default)]
pub struct Days {
    last: i64,
    bits: u64,
}

impl Days {
    /// Those that are known; what cannot be read is none.
    pub fn of(reader: &Reader) -> Result<Self, StoreError> {
        let text = reader.meta(KEY)?.unwrap_or_default();
        let known = text.split_once(' ').and_then(|(last, bits)| {
            let (last, bits) = (last.parse().ok()?, bits.parse().ok()?);
            Some(Self { last, bits })
        });
        Ok(known.unwrap_or_default())
    }

    /// Each of them.
    #[cfg(test)]
    pub fn all_up_to(now: Timestamp) -> Self {
        Self {
            last: day_of(now),
            bits: u64::MAX,
        }
    }

    pub fn has(self, day: i64) -> bool {
        let back = u32::try_from(self.last.saturating_sub(day)).unwrap_or(u32::MAX);
        self.bits
            .checked_shr(back)
            .is_some_and(|bits| bits & 1 == 1)
    }

    pub fn with(self, day: i64) -> Self {
        // A clock that was ahead is set right by now: what it wrote counts for nothing.
        let on = u32::try_from(day.saturating_sub(self.last)).unwrap_or(u32::MAX);
        let before = self.bits.checked_shl(on).unwrap_or(0);
        Self {
            last: day,
            bits: before | 1,
        }
    }

    /// Writes today down, once.
    pub fn keep(&mut self, store: &Store, now: Timestamp) -> Result<(), StoreError> {
        let today = day_of(now);
        if self.last == today {
            return Ok(());
        }
        let days = Self::of(&store.reader()?)?.with(today);
        store.set_meta(KEY, &format!("{} {}", days.last, days.bits))?;
        *self = days;
        Ok(())
    }
}
