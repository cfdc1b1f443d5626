//! How the store fares while it runs: for the status file, the log and a finding about ourselves.

use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use crate::core::model::time::Timestamp;

/// Shared with the writer thread.
#[derive(Debug, Default)]
pub struct Health {
    owns: AtomicBool,
    commits: AtomicU64,
    operations: AtomicU64,
    busy: AtomicU64,
    /// The latest `now` that a caller brought: this module has no clock.
    now: AtomicI64,
    messages: Mutex<Vec<String>>,
}

/// Messages kept until somebody takes them.
const MESSAGES_MAX: usize = 32;

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

    /// What had to be repaired since the last call; each is already in the log.
    pub fn take_messages(&self) -> Vec<String> {
        std::mem::take(&mut *self.messages.lock().unwrap_or_else(PoisonError::into_inner))
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
        let mut messages = self.messages.lock().unwrap_or_else(PoisonError::into_inner);
        if messages.len() < MESSAGES_MAX {
            messages.push(message);
        }
    }
}
