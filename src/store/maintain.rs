//! Maintenance: retention, size bound, checkpoint, backup. Called by the supervisor.

use std::fs;
use std::path::PathBuf;
use std::sync::PoisonError;
use std::time::Duration;

use rusqlite::{Connection, OptionalExtension, params};

use crate::core::time::Timestamp;
use crate::store::open::{self, set_meta};
use crate::store::{Store, StoreError, history, repair};

/// Most closed tasks removed in one run: a long backlog is worked off over several.
const PRUNE_MAX: u32 = 500;
/// Backups kept; the oldest goes first.
const BACKUPS_KEPT: usize = 2;
/// Detector outcomes are written at most this often: they are for display, not for recovery.
const RUNS_EVERY: Duration = Duration::from_secs(600);

/// What one run did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Maintenance {
    pub pruned_tasks: u64,
    pub pruned_events: u64,
    pub backup: Option<PathBuf>,
}

impl Store {
    pub fn maintain(&self, now: Timestamp) -> Result<Maintenance, StoreError> {
        let mut done = Maintenance::default();
        self.flush_runs(now)?;
        let options = &self.inner.options;
        let bytes = fs::metadata(&options.path).map_or(0, |meta| meta.len());
        let keep = Duration::from_secs(u64::from(options.retain_days) * 86_400);
        // Above the size bound the oldest closed tasks go, whatever their age.
        let before = if bytes > options.max_bytes {
            now
        } else {
            now.minus(keep)
        };
        if self.prunable(before)? {
            (done.pruned_tasks, done.pruned_events) =
                self.write(move |tx| prune(tx, before, now))?;
        }
        if self.backup_due(now)? {
            done.backup = Some(self.backup(now)?);
        }
        repair::make_ballast(options);
        Ok(done)
    }

    fn flush_runs(&self, now: Timestamp) -> Result<(), StoreError> {
        let last = self
            .meta("detector_runs_at")?
            .and_then(|text| text.parse::<Timestamp>().ok());
        if last.is_some_and(|at| now.since(at) < RUNS_EVERY && at <= now) {
            return Ok(());
        }
        let runs = std::mem::take(
            &mut *self
                .inner
                .runs
                .lock()
                .unwrap_or_else(PoisonError::into_inner),
        );
        if runs.is_empty() {
            return Ok(());
        }
        self.write(move |tx| {
            for run in &runs {
                tx.prepare_cached(
                    "INSERT INTO detector_runs (name, outcome, message, duration_us, runs, last_at)
                     VALUES (?1, ?2, ?3, ?4, ?5, ?6) ON CONFLICT (name) DO UPDATE
                     SET outcome = ?2, message = ?3, duration_us = ?4, runs = runs + ?5, last_at = ?6",
                )?
                .execute(params![
                    run.name,
                    run.outcome.as_str(),
                    run.message,
                    run.duration_us,
                    run.runs,
                    run.last_at.to_string()
                ])?;
            }
            set_meta(tx, "detector_runs_at", &now.to_string())
        })
    }

    fn prunable(&self, before: Timestamp) -> Result<bool, StoreError> {
        self.reader()?.with(|connection| {
            Ok(connection
                .prepare_cached("SELECT EXISTS (SELECT 1 FROM tasks WHERE status = 'closed' AND closed_at < ?1)")?
                .query_row([before.to_string()], |row| row.get(0))?)
        })
    }

    fn backup_due(&self, now: Timestamp) -> Result<bool, StoreError> {
        let last = self
            .meta("backup_at")?
            .and_then(|text| text.parse::<Timestamp>().ok());
        Ok(last.is_none_or(|at| now.since(at) >= self.inner.options.backup_every || at > now))
    }

    /// Online backup, verified before it counts.
    fn backup(&self, now: Timestamp) -> Result<PathBuf, StoreError> {
        let options = &self.inner.options;
        let dir = repair::backup_dir(&options.path);
        let unusable = |why: &dyn std::fmt::Display| StoreError::Unusable {
            path: dir.clone(),
            why: why.to_string(),
        };
        fs::create_dir_all(&dir).map_err(|why| unusable(&why))?;
        let stamp: String = now
            .to_string()
            .chars()
            .filter(char::is_ascii_digit)
            .collect();
        let target = dir.join(format!("tasks-{stamp}.db"));
        let part = dir.join("tasks.part");
        let _ = fs::remove_file(&part);
        let source = open::reader_connection(options)?;
        let mut copy = Connection::open(&part)?;
        rusqlite::backup::Backup::new(&source, &mut copy)?.run_to_completion(
            256,
            Duration::from_millis(5),
            None,
        )?;
        drop(copy);
        if !repair::is_good(&part) {
            let _ = fs::remove_file(&part);
            return Err(StoreError::Corrupt(
                "a fresh backup does not pass its integrity check".to_owned(),
            ));
        }
        fs::File::open(&part)
            .and_then(|file| file.sync_all())
            .map_err(|why| unusable(&why))?;
        fs::rename(&part, &target).map_err(|why| unusable(&why))?;
        self.write(move |tx| set_meta(tx, "backup_at", &now.to_string()))?;
        remove_old(&dir);
        Ok(target)
    }
}

fn remove_old(dir: &std::path::Path) {
    let Ok(entries) = fs::read_dir(dir) else {
        return;
    };
    let mut backups: Vec<PathBuf> = entries
        .flatten()
        .map(|entry| entry.path())
        .filter(|path| path.extension().is_some_and(|ending| ending == "db"))
        .collect();
    backups.sort();
    let surplus = backups.len().saturating_sub(BACKUPS_KEPT);
    for old in backups.into_iter().take(surplus) {
        let _ = fs::remove_file(old);
    }
}

/// Summarises and removes closed tasks, then prunes the audit prefix that only they stood in.
fn prune(tx: &Connection, before: Timestamp, now: Timestamp) -> Result<(u64, u64), StoreError> {
    let chosen = "SELECT id FROM tasks WHERE status = 'closed' AND closed_at < ?1 ORDER BY closed_at LIMIT ?2";
    let bound = params![before.to_string(), PRUNE_MAX];
    tx.execute(
        &format!(
            "INSERT INTO daily_counts (day, class, resolution, tasks, seen)
             SELECT substr(closed_at, 1, 10), issue_type, resolution, count(*), sum(seen_count)
             FROM tasks WHERE id IN ({chosen}) GROUP BY 1, 2, 3
             ON CONFLICT (day, class, resolution) DO UPDATE SET tasks = tasks + excluded.tasks, seen = seen + excluded.seen"
        ),
        bound,
    )?;
    for table in ["attempts", "escalations", "outbox"] {
        tx.execute(
            &format!("DELETE FROM {table} WHERE task_id IN ({chosen})"),
            bound,
        )?;
    }
    let tasks = tx.execute(&format!("DELETE FROM tasks WHERE id IN ({chosen})"), bound)? as u64;
    let events = prune_history(tx, before, now)?;
    tx.execute_batch("PRAGMA incremental_vacuum(1000)")?;
    Ok((tasks, events))
}

/// Removes the oldest events up to the first one of a task that still exists. The checkpoint comes
/// first, so that the chain can still be verified from where it now starts.
fn prune_history(tx: &Connection, before: Timestamp, now: Timestamp) -> Result<u64, StoreError> {
    let last: Option<(i64, String)> = tx
        .query_row(
            "SELECT id, hash FROM task_history
             WHERE timestamp < ?1 AND id < coalesce((SELECT min(h.id) FROM task_history AS h JOIN tasks ON tasks.id = h.task_id), 9223372036854775807)
             ORDER BY id DESC LIMIT 1",
            [before.to_string()],
            |row| Ok((row.get(0)?, row.get(1)?)),
        )
        .optional()?;
    let Some((id, hash)) = last else { return Ok(0) };
    let count: u64 = tx.query_row(
        "SELECT count(*) FROM task_history WHERE id <= ?1",
        [id],
        |row| row.get(0),
    )?;
    let details = format!("{count} events up to {id} with hash {hash}");
    history::append(
        tx,
        None,
        "checkpoint",
        &details,
        "retention",
        "older than the retention",
        now,
    )?;
    set_meta(tx, "audit_checkpoint", &format!("{id} {hash}"))?;
    set_meta(tx, "pruning_up_to", &id.to_string())?;
    tx.execute("DELETE FROM task_history WHERE id <= ?1", [id])?;
    tx.execute("DELETE FROM meta WHERE key = 'pruning_up_to'", [])?;
    Ok(count)
}
