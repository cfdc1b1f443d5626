//! How units went down, kept over a restart of this program: the words that told it may be gone by then.

use std::sync::Arc;
use std::time::Duration;

use crate::core::model::time::Timestamp;
use crate::core::model::unit::UnitEnds;
use crate::host::{Host, boot};
use crate::services::ServiceManager;
use crate::store::{Reader, Store, StoreError};

/// The row of `meta` that holds them, as JSON.
const KEY: &str = "unit_ends";
/// They are written at most this often, and only when they changed.
const EVERY: Duration = Duration::from_secs(30);

/// Tells the managers what was kept, if it is of this boot. What cannot be read is not known.
pub fn recall(
    host: &Host,
    reader: &Reader,
    managers: &[Arc<dyn ServiceManager>],
) -> Result<(), StoreError> {
    let kept = reader.meta(KEY)?;
    let kept = kept.and_then(|text| serde_json::from_str::<UnitEnds>(&text).ok());
    if let Some(kept) = kept.filter(|kept| kept.boot == boot::id(host)) {
        for manager in managers {
            manager.remember(&kept.ends);
        }
    }
    Ok(())
}

/// What was written last, and when.
#[derive(Debug, Default)]
pub struct Kept {
    ends: UnitEnds,
    at: Option<Timestamp>,
}

impl Kept {
    /// Writes what is known now, if it changed and is due.
    pub fn keep(
        &mut self,
        host: &Host,
        store: &Store,
        managers: &[Arc<dyn ServiceManager>],
        now: Timestamp,
    ) -> Result<(), StoreError> {
        if self.at.is_some_and(|at| now.since(at) < EVERY) {
            return Ok(());
        }
        let ends = UnitEnds {
            boot: boot::id(host),
            ends: managers.iter().flat_map(|one| one.ends()).collect(),
        };
        if ends == self.ends || (self.at.is_none() && ends.ends.is_empty()) {
            return Ok(());
        }
        let text = serde_json::to_string(&ends)
            .map_err(|why| StoreError::Corrupt(format!("ends of units: {why}")))?;
        store.set_meta(KEY, &text)?;
        (self.ends, self.at) = (ends, Some(now));
        Ok(())
    }
}
