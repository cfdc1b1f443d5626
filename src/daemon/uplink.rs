//! What telling costs: bytes a day by destination, and the ceiling that the operator set.
//!
//! Counted on the connections themselves, kept in one row of `meta`, written when it grew by [`WRITTEN_EACH`] and once
//! a quarter of an hour: a process that is killed forgets no more than that.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use serde_json::{Value, json};

use crate::core::config::Config;
use crate::core::model::hint::Hint;
use crate::core::model::sorted::{SortedMap, SortedSet};
use crate::core::model::time::Timestamp;
use crate::daemon::days::day_of;
use crate::detectors::Errand;
use crate::host::net::account::Account;
use crate::store::{Reader, Store, StoreError};

/// Its row.
const ROW: &str = "uplink_bytes";
const WRITTEN_EACH: u64 = 64 << 10;
const WRITTEN_EVERY: Duration = Duration::from_secs(900);

/// Bytes of one day, in UTC.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DayBytes {
    /// Days since 1970.
    pub day: i64,
    pub bytes: SortedMap<String, u64>,
}

impl DayBytes {
    /// As it was written last; nothing on another day.
    pub fn today(reader: &Reader, now: Timestamp) -> Result<Self, StoreError> {
        let row = reader.meta(ROW)?.unwrap_or_default();
        let spent = Self::read(&row).unwrap_or_default();
        let day = day_of(now);
        Ok(match spent.day == day {
            true => spent,
            false => Self {
                day,
                ..Self::default()
            },
        })
    }

    /// By hand: derived it took 2 KB of the binary.
    fn read(row: &str) -> Option<Self> {
        let row: Value = serde_json::from_str(row).ok()?;
        let mut bytes = SortedMap::new();
        for (destination, count) in row.get("bytes")?.as_object()? {
            bytes.insert(destination.clone(), count.as_u64()?);
        }
        let day = row.get("day")?.as_i64()?;
        Some(Self { day, bytes })
    }

    pub fn sum(&self) -> u64 {
        self.bytes.values().sum()
    }

    pub fn of(&self, destination: &str) -> u64 {
        self.bytes.get(destination).copied().unwrap_or(0)
    }
}

/// When the day of `now` is over.
pub fn day_ends(now: Timestamp) -> Timestamp {
    const DAY_MS: i64 = 24 * 3_600_000;
    Timestamp::from_millis((day_of(now).saturating_add(1)).saturating_mul(DAY_MS))
}

#[derive(Debug, Default)]
struct State {
    spent: Option<DayBytes>,
    accounts: SortedMap<String, Arc<Account>>,
    /// Destinations that take nothing now.
    failing: SortedSet<String>,
    unwritten: u64,
    written_at: Option<Timestamp>,
}

/// The accounts of all destinations.
#[derive(Debug, Default)]
pub struct Uplink(Mutex<State>);

impl Uplink {
    /// The account of this destination.
    pub fn account(&self, destination: &str) -> Arc<Account> {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let account = state.accounts.entry(destination.to_owned());
        Arc::clone(account.or_default())
    }

    /// Books what came, and answers what today has cost.
    pub fn book(&self, store: &Store, now: Timestamp) -> u64 {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let state = &mut *state;
        let day = day_of(now);
        let known = state.spent.take().filter(|spent| spent.day == day);
        let mut spent = known.unwrap_or_else(|| {
            let reader = store.reader();
            let today = reader.and_then(|reader| DayBytes::today(&reader, now));
            today.unwrap_or_else(|_| DayBytes {
                day,
                ..DayBytes::default()
            })
        });
        for (destination, account) in &state.accounts {
            let bytes = account.take();
            if bytes > 0 {
                let sum = spent.bytes.entry(destination.clone()).or_default();
                *sum = sum.saturating_add(bytes);
                state.unwritten = state.unwritten.saturating_add(bytes);
            }
        }
        let is_old = state
            .written_at
            .is_none_or(|at| now.since(at) >= WRITTEN_EVERY || now < at);
        if state.unwritten >= WRITTEN_EACH || (is_old && state.unwritten > 0) {
            write(store, &spent);
            state.unwritten = 0;
            state.written_at = Some(now);
        }
        let sum = spent.sum();
        state.spent = Some(spent);
        sum
    }

    /// Whether a destination could be told when it was tried last.
    pub fn tried(&self, destination: &str, fails: bool) {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match fails {
            true => drop(state.failing.insert(destination.to_owned())),
            false => drop(state.failing.remove(destination)),
        }
    }

    /// What a walk beyond the gateway costs is counted as what is told.
    pub(crate) fn errand(&self, store: &Store, config: &Config, now: Timestamp) -> Errand {
        let ceiling = config.uplink.bytes_per_day;
        let may_spend = ceiling == 0 || self.book(store, now) < ceiling;
        let account = self.account("uplink-doctor");
        let state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // What is not configured any more fails for ever.
        let told = config.destinations();
        let mut failing = state.failing.iter();
        let trouble = failing.any(|one| one == "ping" || told.contains(&one.as_str()));
        Errand {
            account,
            trouble,
            may_spend,
        }
    }

    /// The last word before the end.
    pub fn close(&self, store: &Store, now: Timestamp) {
        self.book(store, now);
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(spent) = state.spent.take().filter(|_| state.unwritten > 0) {
            write(store, &spent);
            state.unwritten = 0;
        }
    }
}

fn write(store: &Store, spent: &DayBytes) {
    let bytes: serde_json::Map<String, Value> = spent
        .bytes
        .iter()
        .map(|(destination, count)| (destination.clone(), Value::from(*count)))
        .collect();
    let text = json!({ "day": spent.day, "bytes": bytes }).to_string();
    if let Err(why) = store.set_meta(ROW, &text) {
        log::warn!("what the uplink cost is not recorded: {}", why.with_hint());
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::store::StoreOptions;

    #[test]
    fn a_day_is_counted_over_a_restart_and_begins_anew() {
        let dir = tempfile::tempdir().unwrap();
        let noon: Timestamp = "2026-03-01 12:00:00".parse().unwrap();
        let options = StoreOptions::at(dir.path().join("tasks.db"));
        let (store, _) = Store::open(&options, noon).unwrap();
        let uplink = Uplink::default();
        uplink.account("ops").add(1_000);
        uplink.account("bus").add(30);
        assert_eq!(uplink.book(&store, noon), 1_030);
        uplink.account("ops").add(70);
        uplink.close(&store, noon);
        let later = Uplink::default();
        assert_eq!(later.book(&store, noon), 1_100);
        let reader = store.reader().unwrap();
        assert_eq!(DayBytes::today(&reader, noon).unwrap().of("ops"), 1_070);
        let ends = day_ends(noon);
        assert_eq!(ends.to_string(), "2026-03-02 00:00:00.000");
        assert_eq!(later.book(&store, ends), 0);
        assert_eq!(DayBytes::today(&reader, ends).unwrap().sum(), 0);
    }
}
