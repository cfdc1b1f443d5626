//! Wake-ups between threads. A ring is a lossy hint: whoever waits looks at the store, which is the truth.

use std::sync::{Condvar, Mutex, PoisonError};
use std::time::Duration;

/// Rung by any thread, heard by all that wait; rings before the wait are not lost.
#[derive(Debug, Default)]
pub struct Bell {
    rings: Mutex<u64>,
    heard: Condvar,
}

impl Bell {
    pub fn ring(&self) {
        let mut rings = self.rings.lock().unwrap_or_else(PoisonError::into_inner);
        *rings = rings.wrapping_add(1);
        drop(rings);
        self.heard.notify_all();
    }

    /// Waits for a ring after `seen`, at most `timeout`; returns the number of rings so far, to be
    /// given to the next wait.
    pub fn wait(&self, seen: u64, timeout: Duration) -> u64 {
        let rings = self.rings.lock().unwrap_or_else(PoisonError::into_inner);
        let (rings, _) = self
            .heard
            .wait_timeout_while(rings, timeout, |rings| *rings == seen)
            .unwrap_or_else(PoisonError::into_inner);
        *rings
    }

    /// Waits for the next ring, at most `timeout`.
    pub fn pause(&self, timeout: Duration) {
        let seen = *self.rings.lock().unwrap_or_else(PoisonError::into_inner);
        self.wait(seen, timeout);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ring_before_the_wait_is_heard() {
        let bell = Bell::default();
        bell.ring();
        assert_eq!(bell.wait(0, Duration::from_secs(60)), 1);
        assert_eq!(bell.wait(1, Duration::ZERO), 1);
    }
}
