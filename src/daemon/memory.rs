//! What detectors have to know after a restart of this program: a row of `meta` each, in the detector's own words.

use std::time::Duration;

use crate::core::model::sorted::SortedMap;
use crate::core::model::time::Timestamp;
use crate::detectors::Detector;
use crate::store::{Reader, Store, StoreError};

/// Written at most this often, and only what changed.
const EVERY: Duration = Duration::from_secs(600);

fn key(detector: &dyn Detector) -> String {
    format!("memory_of_{}", detector.name())
}

/// Gives each detector what an earlier life wrote down.
pub fn recall(reader: &Reader, detectors: &[Box<dyn Detector>]) -> Result<(), StoreError> {
    for detector in detectors {
        if let Some(memory) = reader.meta(&key(detector.as_ref()))? {
            detector.recall(&memory);
        }
    }
    Ok(())
}

/// What was written last, and when.
#[derive(Debug, Default)]
pub struct Memories {
    written: SortedMap<&'static str, String>,
    at: Option<Timestamp>,
}

impl Memories {
    /// Writes what changed, if it is due.
    pub fn keep(
        &mut self,
        store: &Store,
        detectors: &[Box<dyn Detector>],
        now: Timestamp,
    ) -> Result<(), StoreError> {
        if self.at.is_some_and(|at| now.since(at) < EVERY) {
            return Ok(());
        }
        if self.flush(store, detectors)? {
            self.at = Some(now);
        }
        Ok(())
    }

    /// Writes what changed: a stop must not lose it. Says whether anything had.
    pub fn flush(
        &mut self,
        store: &Store,
        detectors: &[Box<dyn Detector>],
    ) -> Result<bool, StoreError> {
        let mut any = false;
        for detector in detectors {
            let memory = detector.memory().unwrap_or_default();
            let written = self.written.entry(detector.name()).or_default();
            if *written != memory {
                store.set_meta(&key(detector.as_ref()), &memory)?;
                *written = memory;
                any = true;
            }
        }
        Ok(any)
    }
}
