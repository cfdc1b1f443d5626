//! Backups: an online copy on a schedule, verified before it counts.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::core::model::time::Timestamp;
use crate::store::connect::quick_check;
use crate::store::error::StoreError;
use crate::store::handle::Store;
use crate::store::meta::set_meta;
use crate::store::paths::{create_private, publish};
use crate::store::sql::Prepared;
use crate::store::{ballast, repair};

/// Backups kept; the oldest goes first.
const KEPT: usize = 2;
/// How long a database as an older program knows it is kept.
const SCHEMA_COPY_KEPT: Duration = Duration::from_secs(7 * 86_400);

impl Store {
    /// A backup when one is due and something happened since the last.
    pub(super) fn back_up_if_due(&self, now: Timestamp) -> Result<Option<PathBuf>, StoreError> {
        let last = self
            .meta("backup_at")?
            .and_then(|text| text.parse::<Timestamp>().ok());
        let due =
            last.is_none_or(|at| now.since(at) >= self.inner.options.backup_every || at > now);
        if !due {
            return Ok(None);
        }
        // An unchanged store is not copied again: eMMC wears.
        let head = self.reader()?.audit_head()?;
        let unchanged = self.meta("backup_head")?.as_deref() == Some(head.as_str());
        if unchanged && repair::has_backup(&self.inner.options.path) {
            return Ok(None);
        }
        let bytes = fs::metadata(&self.inner.options.path).map_or(0, |meta| meta.len());
        if ballast::room(&self.inner.options).is_some_and(|room| room < bytes.saturating_mul(2)) {
            log::warn!("store: no backup: less than twice the database's size is free");
            return Ok(None);
        }
        let target = self.back_up(now)?;
        let at = now.to_string();
        self.write(move |tx| {
            set_meta(tx, "backup_at", &at)?;
            set_meta(tx, "backup_head", &head)
        })?;
        self.drop_schema_copy(now)?;
        Ok(Some(target))
    }

    fn drop_schema_copy(&self, now: Timestamp) -> Result<(), StoreError> {
        let made = self
            .meta(repair::SCHEMA_COPY_AT)?
            .and_then(|text| text.parse::<Timestamp>().ok());
        if made.is_none_or(|at| now.since(at) < SCHEMA_COPY_KEPT) {
            return Ok(());
        }
        repair::remove_schema_copies(&self.inner.options.path);
        self.write(|tx| {
            tx.run("DELETE FROM meta WHERE key = ?1", [repair::SCHEMA_COPY_AT])?;
            Ok(())
        })
    }

    fn back_up(&self, now: Timestamp) -> Result<PathBuf, StoreError> {
        let options = &self.inner.options;
        let dir = repair::backup_dir(&options.path);
        let unusable = |why: io::Error| StoreError::unusable(&dir, why);
        fs::create_dir_all(&dir).map_err(unusable)?;
        let stamp: String = now
            .to_string()
            .chars()
            .filter(char::is_ascii_digit)
            .collect();
        let target = dir.join(format!("tasks-{stamp}.db"));
        let part = dir.join("tasks.part");
        let _ = fs::remove_file(&part);
        create_private(&part);
        self.inner.writer.backup(part.clone())?;
        if !repair::is_good(&part) {
            let _ = fs::remove_file(&part);
            // The copy is bad because the source is, or because the disk is: the writer looks, and
            // restores an earlier backup if it is the source.
            self.write(|tx| quick_check(tx))?;
            return Err(StoreError::Io(
                "a fresh backup does not pass its integrity check".to_owned(),
            ));
        }
        publish(&part, &target).map_err(unusable)?;
        remove_old(&dir);
        Ok(target)
    }
}

fn remove_old(dir: &Path) {
    let backups = repair::backups_in(dir);
    let surplus = backups.len().saturating_sub(KEPT);
    for old in backups.into_iter().take(surplus) {
        let _ = fs::remove_file(old);
    }
}
