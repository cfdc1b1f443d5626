//! Maintenance: retention, space, WAL, audit check, backup. Called by the supervisor.

use std::fmt;
use std::fs;
use std::path::PathBuf;
use std::sync::PoisonError;
use std::time::Duration;

use rusqlite::params;

use crate::core::model::time::Timestamp;
use crate::store::ballast;
use crate::store::error::StoreError;
use crate::store::handle::Store;
use crate::store::history::{self, AuditBreak};
use crate::store::holders::{DatabaseHolder, other_holder};
use crate::store::link::OwnerLock;
use crate::store::meta::set_meta;
use crate::store::paths::suffixed;

/// Detector outcomes are written at most this often: they are for display, not for recovery.
const RUNS_EVERY: Duration = Duration::from_secs(600);
/// A WAL above this is pinned by somebody's read transaction: ours last a second at most.
pub const WAL_MAX: u64 = 64 << 20;

/// When the file was last found well after a trouble.
const WELL_AT: &str = "well_at";

/// What one run did and found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Maintenance {
    pub pruned_tasks: u64,
    pub pruned_events: u64,
    /// Pages given back to the file system.
    pub freed_pages: u64,
    pub backup: Option<PathBuf>,
    pub wal_bytes: u64,
    /// Set when the WAL cannot be folded in because another process reads for too long.
    pub pinned: Option<Pin>,
    /// The audit chain does not verify: a finding about ourselves.
    pub audit: Option<AuditBreak>,
}

/// A WAL above [`WAL_MAX`], and who keeps it there, if that can be seen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pin {
    pub bytes: u64,
    pub holder: Option<DatabaseHolder>,
}

impl fmt::Display for Pin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mib = self.bytes >> 20;
        write!(
            f,
            "the WAL grew above {} MiB ({mib} MiB) and cannot be folded in: ",
            WAL_MAX >> 20
        )?;
        match &self.holder {
            Some(holder) => write!(f, "{holder} reads for too long"),
            None => f.write_str("another process reads for too long"),
        }
    }
}

impl Maintenance {
    /// What it found wrong.
    fn troubles(&self) -> Vec<String> {
        let audit = self.audit.as_ref().map(ToString::to_string);
        let pinned = self.pinned.as_ref().map(ToString::to_string);
        audit.into_iter().chain(pinned).collect()
    }
}

impl Store {
    /// One bounded run; what is left over comes with the next. A process that does not own the file, as a
    /// command beside the daemon, only writes down its detector runs.
    pub fn maintain(&self, now: Timestamp) -> Result<Maintenance, StoreError> {
        let health = &self.inner.health;
        let done = self
            .maintain_once(now)
            .inspect_err(|why| health.failed(why))?;
        let wrong = done.troubles();
        let is_well = wrong.is_empty();
        wrong.into_iter().for_each(|what| health.say(what));
        // Only a write proves that the file can be written again.
        if is_well && !health.troubles().is_empty() {
            self.set_meta(WELL_AT, &now.to_string())?;
            health.is_well();
        }
        Ok(done)
    }

    fn maintain_once(&self, now: Timestamp) -> Result<Maintenance, StoreError> {
        let mut done = Maintenance::default();
        self.inner.health.at(now);
        self.flush_runs(now)?;
        if !self.own() {
            return Ok(done);
        }
        let options = &self.inner.options;
        let pruned = self.retain(now)?;
        (done.pruned_tasks, done.pruned_events, done.freed_pages) =
            (pruned.tasks, pruned.events, pruned.pages);
        done.wal_bytes = fs::metadata(suffixed(&options.path, "-wal")).map_or(0, |meta| meta.len());
        if done.wal_bytes > WAL_MAX {
            done.pinned = Some(Pin {
                bytes: done.wal_bytes,
                holder: other_holder(&options.path),
            });
        }
        done.audit = self.verify_on()?;
        // A chain that does not verify, or a damaged file, must not replace the last good copy.
        if done.audit.is_none() {
            done.backup = self.back_up_if_due(now)?;
        }
        ballast::make(options);
        Ok(done)
    }

    /// Takes over the file from a command that owned it for a moment when this process started.
    fn own(&self) -> bool {
        if self.inner.health.owns() {
            return true;
        }
        let mut owner = self
            .inner
            .owner
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        *owner = OwnerLock::take(&self.inner.options.path);
        if owner.is_some() {
            self.inner.health.now_owns();
        }
        owner.is_some()
    }

    /// Verifies what was appended since the last time, a bounded piece a run.
    fn verify_on(&self) -> Result<Option<AuditBreak>, StoreError> {
        let from = self.meta(history::VERIFIED)?;
        let reader = self.reader()?;
        let step = reader.with(|connection| history::verify_step(connection, from.as_deref()))?;
        match step {
            Ok(Some(upto)) if Some(&upto) != from.as_ref() => {
                // Once a few thousand events: noting each single one would double the idle writes.
                if history::worth_noting(from.as_deref(), &upto) {
                    self.write(move |tx| set_meta(tx, history::VERIFIED, &upto))?;
                }
                Ok(None)
            }
            Ok(_) => Ok(None),
            Err(broken) => Ok(Some(broken)),
        }
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
}
