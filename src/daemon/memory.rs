//! What detectors have to know after a restart of this program: a row of `meta` each, in the detector's own words.

use std::time::Duration;

use crate::core::model::sorted::SortedMap;
use crate::core::model::time::Timestamp;
use crate::detectors::Detector;
use crate::store::{DetectorRun, Reader, RunOutcome, Store, StoreError};

/// Written at most this often, and only what changed.
const EVERY: Duration = Duration::from_secs(600);

fn key(detector: &dyn Detector) -> String {
    format!("memory_of_{}", detector.name())
}

/// Gives each detector what an earlier life wrote down: nothing is that of one that looked and had nothing to say.
pub fn recall(reader: &Reader, detectors: &[Box<dyn Detector>]) -> Result<(), StoreError> {
    let runs = reader.detector_runs()?;
    for detector in detectors {
        let has_looked = |run: &&DetectorRun| {
            run.name == detector.name() && matches!(run.outcome, RunOutcome::Ok)
        };
        let memory = reader.meta(&key(detector.as_ref()))?;
        match memory {
            Some(memory) => detector.recall(&memory),
            None if runs.iter().any(|run| has_looked(&run)) => detector.recall(""),
            None => {}
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
        let is_due = self.at.is_none_or(|at| now.since(at) >= EVERY);
        if !is_due && !detectors.iter().any(|one| one.has_news()) {
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
