//! The handle that everybody has: opening, reading, and the one way to write.

use std::sync::atomic::AtomicUsize;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rusqlite::OptionalExtension;

use crate::core::model::id::TaskId;
use crate::core::model::sorted::SortedMap;
use crate::core::model::time::Timestamp;
use crate::store::commit::Setup;
use crate::store::connect::reader_connection;
use crate::store::error::StoreError;
use crate::store::health::Health;
use crate::store::link::{OwnerLock, ReadLink, Slot};
use crate::store::meta::{gateway_id, set_meta};
use crate::store::options::StoreOptions;
use crate::store::read::Reader;
use crate::store::report::OpenReport;
use crate::store::tx::Tx;
use crate::store::types::{DetectorRun, Intake, Recorded, RunOutcome};
use crate::store::writer::WriterThread;
use crate::store::{history, open, restored};

/// Cheap handle; all clones share one writer thread, which ends with the last of them.
#[derive(Clone, Debug)]
pub struct Store {
    pub(super) inner: Arc<Inner>,
}

#[derive(Debug)]
pub(super) struct Inner {
    pub(super) writer: WriterThread,
    read: ReadLink,
    pub(super) options: StoreOptions,
    pub(super) runs: Mutex<Vec<DetectorRun>>,
    gateway_id: String,
    /// Claims so far, for the turn of each kind.
    pub(super) claims: AtomicUsize,
    pub(super) health: Arc<Health>,
    // Dropped last: whoever takes it next finds the writer gone and the WAL folded in.
    pub(super) owner: Mutex<Option<OwnerLock>>,
}

impl Store {
    /// Opens or creates the store; see `OpenReport` for what had to be repaired.
    pub fn open(options: &StoreOptions, now: Timestamp) -> Result<(Self, OpenReport), StoreError> {
        let opened = open::open(options, now)?;
        let report = opened.report;
        let gateway_id = gateway_id(&opened.writer)?;
        let health = Arc::new(Health::new(opened.owner.is_some(), now));
        for trouble in &report.troubles {
            health.remember(trouble.clone());
        }
        let slot = Slot::new(opened.writer);
        let read = ReadLink::new(opened.reader, Some(slot.clone()));
        let writer = WriterThread::start(Setup {
            slot,
            read: read.clone(),
            options: options.clone(),
            health: Arc::clone(&health),
            alone: report.alone,
        })?;
        let inner = Inner {
            writer,
            read,
            options: options.clone(),
            runs: Mutex::new(Vec::new()),
            gateway_id,
            claims: AtomicUsize::new(0),
            health,
            owner: Mutex::new(opened.owner),
        };
        Ok((
            Self {
                inner: Arc::new(inner),
            },
            report,
        ))
    }

    /// Writes everything accepted and folds the WAL into the database, if this is the last handle.
    pub fn close(self) {
        drop(self);
    }

    /// A reader for listings; never writes, works beside a running daemon.
    pub fn open_read_only(options: &StoreOptions) -> Result<Reader, StoreError> {
        let own = reader_connection(options)?;
        Ok(Reader::new(ReadLink::new(Some(own), None)))
    }

    /// Reads what is committed, beside the writer; each question is a read transaction of its own.
    pub fn reader(&self) -> Result<Reader, StoreError> {
        Ok(Reader::new(self.inner.read.clone()))
    }

    /// Random identity of this gateway, made at first start; never the machine id.
    pub fn gateway_id(&self) -> Result<String, StoreError> {
        Ok(self.inner.gateway_id.clone())
    }

    /// Position of a stream, as of the last commit.
    pub fn cursor(&self, stream: &str) -> Result<Option<String>, StoreError> {
        self.reader()?.with(|connection| {
            Ok(connection
                .prepare_cached("SELECT position FROM cursors WHERE stream = ?1")?
                .query_row([stream], |row| row.get(0))
                .optional()?)
        })
    }

    /// How the store fares.
    pub fn health(&self) -> &Health {
        &self.inner.health
    }

    /// Every detector has looked since the restore at `at` and found nothing: what it left unknown is settled.
    pub fn clean_sweep(&self, at: Timestamp, now: Timestamp) -> Result<(), StoreError> {
        self.write(move |tx| restored::settle(tx, at, now))
    }

    /// Positions of all streams.
    pub fn cursors(&self) -> Result<SortedMap<String, String>, StoreError> {
        self.reader()?.with(|connection| {
            let mut statement =
                connection.prepare_cached("SELECT stream, position FROM cursors")?;
            let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?;
            Ok(rows.collect::<Result<_, _>>()?)
        })
    }

    pub(crate) fn meta(&self, key: &str) -> Result<Option<String>, StoreError> {
        self.reader()?.meta(key)
    }

    pub(crate) fn set_meta(&self, key: &str, value: &str) -> Result<(), StoreError> {
        let (key, value) = (key.to_owned(), value.to_owned());
        self.write(move |tx| set_meta(tx, &key, &value))
    }

    /// Notes the outcome of a detector's run; written with the next maintenance, so that sweeps cost
    /// no commit of their own.
    pub fn record_detector_run(
        &self,
        name: &str,
        outcome: RunOutcome,
        took: Duration,
        message: &str,
        now: Timestamp,
    ) {
        let mut runs = self
            .inner
            .runs
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let duration_us = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        match runs.iter_mut().find(|run| run.name == name) {
            Some(run) => {
                run.outcome = outcome;
                message.clone_into(&mut run.message);
                run.duration_us = duration_us;
                run.runs += 1;
                run.last_at = now;
            }
            None => runs.push(DetectorRun {
                name: name.to_owned(),
                outcome,
                message: message.to_owned(),
                duration_us,
                runs: 1,
                last_at: now,
            }),
        }
    }

    /// The last outcome of each detector by now: what is stored, and what is not yet.
    pub fn live_runs(&self) -> Result<Vec<DetectorRun>, StoreError> {
        let mut known = self.reader()?.detector_runs()?;
        let runs = self
            .inner
            .runs
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        for run in runs.iter() {
            match known.iter_mut().find(|one| one.name == run.name) {
                Some(one) => {
                    let runs = one.runs.saturating_add(run.runs);
                    *one = DetectorRun {
                        runs,
                        ..run.clone()
                    };
                }
                None => known.push(run.clone()),
            }
        }
        Ok(known)
    }

    /// Records findings and moves the cursor; blocks until acknowledged. New fingerprints are durable
    /// then; pure repeats and bare cursor moves may share a commit up to 5 s later, and after a crash
    /// are read again from the source, since their cursor waited with them.
    ///
    /// What a reader may have on its way without an answer is one batch: were there more, those behind a
    /// refused one could move the cursor past it.
    pub fn intake(&self, batch: Intake, now: Timestamp) -> Result<Vec<Recorded>, StoreError> {
        self.inner.writer.intake(batch, now)
    }

    /// Writes down one event without a state change.
    pub fn note(
        &self,
        task_id: Option<TaskId>,
        action: &str,
        details: &str,
        actor: &str,
        reason: &str,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let [action, details, actor, reason] = [action, details, actor, reason].map(str::to_owned);
        self.write(move |tx| history::append(tx, task_id, &action, &details, &actor, &reason, now))
    }

    /// The database may have so many pages, or as many as it has.
    #[cfg(test)]
    pub(crate) fn give_pages(&self, pages: u32) {
        let sql = format!("PRAGMA max_page_count = {pages}");
        let given = self.write(move |tx| Ok(tx.query_row(&sql, [], |_| Ok(()))?));
        assert!(given.is_ok(), "{given:?}");
    }

    /// Runs one typed operation in the writer thread and blocks until its commit is durable. The
    /// operation may run twice when a commit had to be repeated: it must work on `tx` alone.
    pub(super) fn write<T: Send + 'static>(
        &self,
        operation: impl FnMut(&Tx<'_>) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        self.inner.writer.run(operation)
    }
}
