//! Which settings the daemon works with: what was refused or put off under other ones is decided anew.

use rusqlite::params;

use crate::core::model::time::Timestamp;
use crate::store::error::StoreError;
use crate::store::handle::Store;
use crate::store::history;
use crate::store::meta::{meta, set_meta};
use crate::store::read::Reader;
use crate::store::sql::Prepared;
use crate::store::tasks::may_be_woken;

const DIGEST: &str = "settings_digest";
const SINCE: &str = "settings_since";

impl Store {
    /// The daemon works with these settings from now on. Where the ones before were others, everything that waits, or
    /// that a human was told of and did not put off, is due. Returns how many tasks.
    pub fn works_with(&self, settings: &str, now: Timestamp) -> Result<usize, StoreError> {
        if self.reader()?.meta(DIGEST)?.as_deref() == Some(settings) {
            return Ok(0);
        }
        let settings = settings.to_owned();
        self.write(move |tx| {
            let known = meta(tx, DIGEST)?.is_some();
            set_meta(tx, DIGEST, &settings)?;
            // Nothing is known of what an older version worked with.
            if !known {
                return Ok(0);
            }
            set_meta(tx, SINCE, &now.to_string())?;
            let due = format!(
                "UPDATE tasks SET next_attempt_at = ?1
                 WHERE {} AND status <> 'closed' AND acknowledged_by IS NULL",
                may_be_woken()
            );
            let woken = tx.run(&due, params![now.to_string()])?;
            let details = format!("{woken} tasks are decided anew");
            history::append(tx, None, "settings_changed", &details, "daemon", "", now)?;
            Ok(woken)
        })
    }
}

impl Reader {
    /// When the settings changed last while this store was worked with.
    pub fn settings_since(&self) -> Result<Option<Timestamp>, StoreError> {
        Ok(self.meta(SINCE)?.and_then(|at| at.parse().ok()))
    }
}
