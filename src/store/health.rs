//! How the store fares while it runs: for the status file, the log and a finding about ourselves.

use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use crate::core::model::hint::Hint;
use crate::core::model::time::Timestamp;
use crate::store::error::StoreError;

/// Shared with the writer thread.
#[derive(Debug, Default)]
pub struct Health {
    owns: AtomicBool,
    commits: AtomicU64,
    operations: AtomicU64,
    busy: AtomicU64,
    /// The latest `now` that a caller brought: this module has no clock.
    now: AtomicI64,
    troubles: Mutex<Vec<Trouble>>,
}

/// Something that a human should know of: repaired, refused, or still wrong.
#[derive(Debug)]
struct Trouble {
    what: String,
    since: Timestamp,
    /// It stands in the store as a finding.
    told: bool,
}

/// Troubles kept until each was told and the file is well again.
const TROUBLES_MAX: usize = 32;

impl Health {
    pub(super) fn new(owns: bool, now: Timestamp) -> Self {
        Self {
            owns: AtomicBool::new(owns),
            now: AtomicI64::new(now.as_millis()),
            ..Self::default()
        }
    }

    /// This process is the one that repairs, prunes and backs up the file.
    pub fn owns(&self) -> bool {
        self.owns.load(Ordering::Relaxed)
    }

    pub(super) fn now_owns(&self) {
        self.owns.store(true, Ordering::Relaxed);
    }

    /// Commits since the start.
    pub fn commits(&self) -> u64 {
        self.commits.load(Ordering::Relaxed)
    }

    /// Operations in those commits: their quotient is what group commit gains.
    pub fn operations(&self) -> u64 {
        self.operations.load(Ordering::Relaxed)
    }

    /// How often another process held the lock for a whole busy timeout.
    pub fn busy(&self) -> u64 {
        self.busy.load(Ordering::Relaxed)
    }

    /// What is or was wrong with the file, the oldest first: until it was told, and then until maintenance finds
    /// everything well. Each is already in the log.
    pub fn troubles(&self) -> Vec<String> {
        let troubles = self.troubles.lock().unwrap_or_else(PoisonError::into_inner);
        troubles.iter().map(|one| one.what.clone()).collect()
    }

    /// Those of before this time that nobody could write down yet: the store still takes nothing.
    pub fn untold(&self, before: Timestamp) -> Vec<String> {
        let troubles = self.troubles.lock().unwrap_or_else(PoisonError::into_inner);
        let old = troubles
            .iter()
            .filter(|one| !one.told && one.since < before);
        old.map(|one| one.what.clone()).collect()
    }

    /// These are written down where a human sees them.
    pub fn told(&self, known: &[String]) {
        let mut troubles = self.troubles.lock().unwrap_or_else(PoisonError::into_inner);
        for one in troubles.iter_mut() {
            one.told |= known.contains(&one.what);
        }
    }

    /// The file is well: what was told of it is over.
    pub(super) fn is_well(&self) {
        let mut troubles = self.troubles.lock().unwrap_or_else(PoisonError::into_inner);
        troubles.retain(|one| !one.told);
    }

    pub(super) fn committed(&self, operations: usize) {
        self.commits.fetch_add(1, Ordering::Relaxed);
        self.operations
            .fetch_add(operations as u64, Ordering::Relaxed);
    }

    pub(super) fn at(&self, now: Timestamp) {
        self.now.store(now.as_millis(), Ordering::Relaxed);
    }

    pub(super) fn now(&self) -> Timestamp {
        Timestamp::from_millis(self.now.load(Ordering::Relaxed))
    }

    pub(super) fn waited(&self) {
        self.busy.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn say(&self, message: String) {
        log::error!("store: {message}");
        self.remember(message);
    }

    /// The same for what is in the log already; said again, it is the same trouble.
    pub(super) fn remember(&self, what: String) {
        let mut troubles = self.troubles.lock().unwrap_or_else(PoisonError::into_inner);
        if troubles.len() < TROUBLES_MAX && troubles.iter().all(|one| one.what != what) {
            troubles.push(Trouble {
                what,
                since: self.now(),
                told: false,
            });
        }
    }

    /// An operation was refused; only what is wrong with the file or its disk is a trouble of the store.
    pub(super) fn failed(&self, why: &StoreError) {
        let is_lock = matches!(why, StoreError::Busy);
        if why.is_of_the_file() && !is_lock {
            self.remember(why.with_hint());
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::core::model::id::TaskId;
    use crate::store::handle::Store;
    use crate::store::options::StoreOptions;

    const NOW: Timestamp = Timestamp::from_millis(1_800_000_000_000);

    fn room(store: &Store, pages: &str) {
        let sql = format!("PRAGMA max_page_count = {pages}");
        store
            .write(move |tx| Ok(tx.query_row(&sql, [], |_| Ok(()))?))
            .unwrap();
    }

    #[test]
    fn a_trouble_stands_until_it_was_told_and_the_file_is_well_again() {
        let dir = tempfile::tempdir().unwrap();
        let options = StoreOptions {
            ballast_bytes: 64 << 10,
            ..StoreOptions::at(dir.path().join("tasks.db"))
        };
        let (store, _) = Store::open(&options, NOW).unwrap();
        let health = store.health();
        room(&store, "1");
        let big = "x".repeat(200_000);
        let note = || store.note(None, "big", &big, "t", "", NOW);
        assert!(matches!(note(), Err(StoreError::Full)));
        let _ = note();
        let troubles = health.troubles();
        assert_eq!(troubles.len(), 2, "{troubles:?}");
        room(&store, "100000");
        store.maintain(NOW).unwrap();
        assert_eq!(health.troubles(), troubles, "nobody was told");
        health.told(&troubles);
        store.maintain(NOW).unwrap();
        assert!(health.troubles().is_empty());
        note().unwrap();
    }

    #[test]
    fn damage_found_at_the_start_is_a_trouble_and_another_writer_is_none() {
        let dir = tempfile::tempdir().unwrap();
        let options = StoreOptions {
            ballast_bytes: 0,
            ..StoreOptions::at(dir.path().join("tasks.db"))
        };
        drop(Store::open(&options, NOW).unwrap());
        std::fs::write(&options.path, [0x55; 8192]).unwrap();
        let (store, report) = Store::open(&options, NOW).unwrap();
        assert!(report.restored);
        assert_eq!(store.health().troubles(), report.troubles);
        store.health().failed(&StoreError::Busy);
        store
            .health()
            .failed(&StoreError::NoTask(TaskId::from_number(1)));
        assert_eq!(store.health().troubles().len(), report.troubles.len());
    }
}
