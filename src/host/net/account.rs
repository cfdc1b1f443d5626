//! Who pays for a connection: its bytes are counted where the thread that made it said whose it is.

use std::cell::RefCell;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

thread_local! {
    static CURRENT: RefCell<Option<Arc<Account>>> = const { RefCell::new(None) };
}

/// Bytes of TCP's payload, sent and received, TLS included; what TCP and IP add is not known here.
#[derive(Debug, Default)]
pub struct Account(AtomicU64);

impl Account {
    pub(crate) fn add(&self, bytes: u64) {
        self.0.fetch_add(bytes, Ordering::Relaxed);
    }

    /// What came since it was asked last.
    pub fn take(&self) -> u64 {
        self.0.swap(0, Ordering::Relaxed)
    }
}

/// Connections that `work` makes are on `account`, also those of threads that it waits for.
pub fn charged<T>(account: &Arc<Account>, work: impl FnOnce() -> T) -> T {
    let before = CURRENT.with(|current| current.replace(Some(Arc::clone(account))));
    let done = work();
    CURRENT.with(|current| current.replace(before));
    done
}

/// For a thread that works for this one.
pub(super) fn current() -> Option<Arc<Account>> {
    CURRENT.with(|current| current.borrow().clone())
}

/// The same in the thread that works for another.
pub(super) fn inherit(account: Option<Arc<Account>>) {
    CURRENT.with(|current| current.replace(account));
}
