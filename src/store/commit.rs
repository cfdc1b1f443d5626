//! The writer thread: group commit, coalescing of what may wait, and what is done when a commit fails.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TryRecvError};
use std::time::{Duration, Instant};

use rusqlite::Connection;
use rusqlite::backup::{Backup, StepResult};

use crate::core::model::hint::Hint;
use crate::core::model::sorted::SortedMap;
use crate::store::ballast;
use crate::store::connect;
use crate::store::error::StoreError;
use crate::store::heal::{self, Wound};
use crate::store::health::Health;
use crate::store::holders::other_holder;
use crate::store::intake::{self, Coalesced};
use crate::store::job::{IntakeJob, WriteJob, WriteRequest};
use crate::store::link::{Identity, ReadLink, Slot};
use crate::store::options::StoreOptions;
use crate::store::tx::Tx;

/// The first repeats of a process wait only this long: one that is killed again and again in less than
/// [`intake::COALESCE`] still gets on.
const COALESCE_FIRST: Duration = Duration::from_millis(500);
/// Most operations in one transaction: bounds the time until the first of them is durable.
const BATCH_MAX: usize = 256;
/// Pause before a batch that met a foreign lock for the whole busy timeout is tried again.
const BUSY_PAUSE: Duration = Duration::from_millis(50);
/// A foreign lock is waited for this long once a stop was asked for; then the callers get `Busy`.
const STOP_WAIT: Duration = Duration::from_secs(2);
/// A foreign lock is told after this long, and again every so often.
const TELL_FIRST: Duration = Duration::from_secs(2);
const TELL_AGAIN: Duration = Duration::from_secs(10);
/// Callers that were just answered get this long to hand in their next operation, if the last batch
/// had several: without it batches alternate between one and all others. Far below one fdatasync.
const GATHER: Duration = Duration::from_micros(150);
/// Without a request for this long, the page cache is given back.
const COOL_DOWN: Duration = Duration::from_secs(20);
/// Pages copied between two looks at the queue while a backup runs: 256 KiB.
const BACKUP_STEP: i32 = 64;

/// What the thread works with.
pub(super) struct Setup {
    pub slot: Slot,
    pub read: ReadLink,
    pub options: StoreOptions,
    pub health: Arc<Health>,
    pub alone: bool,
}

/// What to do after the batch at hand.
enum Flow {
    On,
    Stop,
    Backup(PathBuf, SyncSender<Result<(), StoreError>>),
}

/// One outcome for each operation of a batch that committed.
type Results = Vec<Result<(), StoreError>>;

/// Why a batch did not commit.
enum Trouble {
    Wound(Wound),
    Failed(StoreError),
}

impl From<StoreError> for Trouble {
    fn from(why: StoreError) -> Self {
        if let StoreError::Corrupt(why) = why {
            Self::Wound(Wound::Damaged(why))
        } else {
            Self::Failed(why)
        }
    }
}

pub(super) struct Loop {
    setup: Setup,
    requests: Receiver<WriteRequest>,
    stopping: Arc<AtomicBool>,
    batch: Vec<Box<dyn WriteJob>>,
    /// Since when requests are taken into the transaction under way; `None`: it takes no more.
    taking: Option<Instant>,
    /// What a request asked for that is no operation; done after the commit.
    flow: Flow,
    /// The last batch had several: its callers are about to hand in their next operations.
    expecting: bool,
    /// Size of the recent batches.
    usual: usize,
    /// Acknowledged repeats and cursor moves that wait for the next commit. A crash loses both
    /// together, so the source is read again from before them.
    held: Coalesced,
    held_since: Option<Instant>,
    /// Something held back was committed since the start.
    held_once: bool,
    identity: Option<Identity>,
    /// Something was done since the page cache was given back.
    warm: bool,
}

impl Loop {
    pub(super) fn new(
        setup: Setup,
        requests: Receiver<WriteRequest>,
        stopping: Arc<AtomicBool>,
    ) -> Self {
        let mut state = Self {
            setup,
            requests,
            stopping,
            batch: Vec::new(),
            taking: None,
            flow: Flow::On,
            expecting: false,
            usual: 1,
            held: Coalesced::default(),
            held_since: None,
            held_once: false,
            identity: None,
            warm: true,
        };
        state.settle_in();
        state
    }

    pub(super) fn run(mut self) {
        loop {
            let first = match self.next() {
                Ok(request) => {
                    self.warm = true;
                    Some(request)
                }
                Err(RecvTimeoutError::Timeout) => None,
                Err(RecvTimeoutError::Disconnected) => Some(WriteRequest::Stop),
            };
            let slot = self.setup.slot.clone();
            let mut db = slot.lock();
            if first.is_none()
                && !self.expecting
                && std::mem::take(&mut self.warm)
                && let Some(db) = db.as_ref()
            {
                // What the last burst left in the page cache; best effort.
                let _ = db.release_memory();
            }
            self.serve(&mut db, first);
            let mut asked = self.asked();
            if let Flow::Backup(target, reply) = asked {
                self.back_up(&mut db, &target, &reply);
                asked = self.asked();
            }
            if matches!(asked, Flow::Stop) {
                return finish(&db);
            }
        }
    }

    /// The next request; if some are expected, they are taken into a transaction that waits for them.
    fn next(&self) -> Result<WriteRequest, RecvTimeoutError> {
        if self.expecting {
            return Err(RecvTimeoutError::Timeout);
        }
        let wait = match self.warm {
            true => self.patience().min(COOL_DOWN),
            false => self.patience(),
        };
        self.requests.recv_timeout(wait)
    }

    /// How long to wait for a request before what is held back is due.
    fn patience(&self) -> Duration {
        self.held_since.map_or(Duration::from_secs(3_600), |since| {
            self.hold().saturating_sub(since.elapsed())
        })
    }

    /// Takes what is waiting and commits it as one.
    fn serve(&mut self, db: &mut Option<Connection>, first: Option<WriteRequest>) {
        if let Some(request) = first {
            self.take(request, db.as_ref());
        }
        // A storm of pure repeats must not keep them from being committed.
        while !self.expecting
            && self.batch.is_empty()
            && matches!(self.flow, Flow::On)
            && !self.held_is_due()
        {
            match self.requests.try_recv() {
                Ok(request) => self.take(request, db.as_ref()),
                Err(TryRecvError::Disconnected) => self.flow = Flow::Stop,
                Err(TryRecvError::Empty) => break,
            }
        }
        let expecting = std::mem::take(&mut self.expecting) && db.is_some();
        if expecting || self.has_to_commit() {
            self.taking = (expecting || !self.batch.is_empty()).then(Instant::now);
            self.commit(db);
        }
    }

    fn has_to_commit(&self) -> bool {
        !self.batch.is_empty() || self.held_is_due() || matches!(self.flow, Flow::Stop)
    }

    /// What came that is no operation; once.
    fn asked(&mut self) -> Flow {
        std::mem::replace(&mut self.flow, Flow::On)
    }

    fn held_is_due(&self) -> bool {
        self.held_since
            .is_some_and(|since| since.elapsed() >= self.hold())
    }

    /// How long what is held back may wait for somebody else's commit.
    fn hold(&self) -> Duration {
        let most = self.held.may_wait();
        if self.held_once {
            most
        } else {
            most.min(COALESCE_FIRST)
        }
    }

    /// True if one more operation came for the transaction under way. Each runs as it comes: the callers
    /// that were just answered are still on their way with their next ones.
    fn more(&mut self, db: &Connection) -> bool {
        while let Some(since) = self.taking
            && matches!(self.flow, Flow::On)
            && self.batch.len() < BATCH_MAX
        {
            match self.requests.try_recv() {
                Ok(request) => {
                    let before = self.batch.len();
                    self.take(request, Some(db));
                    if self.batch.len() > before {
                        return true;
                    }
                    // Nothing but repeats, which need no commit yet.
                    if self.batch.is_empty() && since.elapsed() >= GATHER {
                        break;
                    }
                }
                Err(TryRecvError::Disconnected) => self.flow = Flow::Stop,
                Err(TryRecvError::Empty)
                    if self.batch.len() >= self.usual || since.elapsed() >= GATHER =>
                {
                    break;
                }
                Err(TryRecvError::Empty) => std::thread::yield_now(),
            }
        }
        self.taking = None;
        false
    }

    /// Queues one request for the commit, or answers it at once if it may wait.
    fn take(&mut self, request: WriteRequest, db: Option<&Connection>) {
        match request {
            WriteRequest::Stop => self.flow = Flow::Stop,
            WriteRequest::Backup { target, reply } => self.flow = Flow::Backup(target, reply),
            WriteRequest::Job(job) => self.batch.push(job),
            WriteRequest::Intake { batch, now, reply } => {
                self.setup.health.at(now);
                // Behind a batch it has to keep its place: its cursor must not overtake.
                let repeats = match db {
                    Some(db) if self.batch.is_empty() => {
                        intake::as_repeats(db, &batch, &self.held).unwrap_or(None)
                    }
                    _ => None,
                };
                match repeats {
                    Some(recorded) => {
                        self.held.add(&batch, &recorded, now);
                        self.held_since.get_or_insert_with(Instant::now);
                        let _ = reply.send(Ok(recorded));
                    }
                    None => self.batch.push(Box::new(IntakeJob::new(batch, now, reply))),
                }
            }
        }
    }

    /// Commits the batch and what was held back; answers every caller.
    fn commit(&mut self, db: &mut Option<Connection>) {
        if self.batch.is_empty() && self.held.is_empty() && self.taking.is_none() {
            self.held_since = None;
            return;
        }
        let mut freed = false;
        let mut healed = false;
        let mut stop_since = None;
        let outcome = loop {
            let tried = match db.as_ref() {
                Some(db) => self.attempt(db),
                None => self.open_again(db).map_err(Trouble::from),
            };
            let trouble = match tried {
                Ok(Some(results)) => break Ok(results),
                // What was expected did not come.
                Ok(None) | Err(Trouble::Failed(_)) if !self.has_to_commit() => {
                    self.taking = None;
                    return;
                }
                Ok(None) => continue,
                Err(trouble) => trouble,
            };
            match trouble {
                Trouble::Wound(wound) if !healed => {
                    healed = true;
                    if let Err(why) = self.heal(db, &wound) {
                        break Err(why);
                    }
                }
                Trouble::Wound(Wound::Damaged(why)) => break Err(StoreError::Corrupt(why)),
                Trouble::Wound(Wound::Replaced) => {
                    break Err(StoreError::Io(
                        "the file is replaced again and again".into(),
                    ));
                }
                // The lock is somebody else's: keep the batch and wait on, for as long as it takes.
                Trouble::Failed(StoreError::Busy) if self.may_wait(&mut stop_since) => {}
                Trouble::Failed(StoreError::Full)
                    if !freed && ballast::free(&self.setup.options) =>
                {
                    freed = true;
                    self.setup
                        .health
                        .say("no space left; the ballast file was freed".to_owned());
                }
                Trouble::Failed(why) => break Err(why),
            }
        };
        self.answer(outcome);
        if self.setup.alone && self.held.is_empty() {
            self.leave_alone(db);
        }
    }

    /// False once a stop was asked for and waited for.
    fn may_wait(&self, stop_since: &mut Option<Instant>) -> bool {
        self.setup.health.waited();
        std::thread::sleep(BUSY_PAUSE);
        !self.stopping.load(Ordering::Relaxed)
            || stop_since.get_or_insert_with(Instant::now).elapsed() < STOP_WAIT
    }

    fn answer(&mut self, outcome: Result<Results, StoreError>) {
        let batch = std::mem::take(&mut self.batch);
        self.taking = None;
        match outcome {
            Ok(results) => {
                self.usual = batch.len().max(self.usual.saturating_sub(1));
                self.expecting = batch.len() > 1;
                self.held_once |= !self.held.is_empty();
                self.held = Coalesced::default();
                self.held_since = None;
                self.setup.health.committed(batch.len());
                for (job, result) in batch.into_iter().zip(results) {
                    job.answer(result);
                }
            }
            Err(why) => {
                log::error!("store: {}", why.with_hint());
                self.setup.health.failed(&why);
                // What was held back stays held: it is tried again with the next commit.
                self.held_since = (!self.held.is_empty()).then(Instant::now);
                for job in batch {
                    job.answer(Err(why.again()));
                }
            }
        }
    }

    fn attempt(&mut self, db: &Connection) -> Result<Option<Results>, Trouble> {
        self.look(db)?;
        Ok(self.transaction(db)?)
    }

    /// An earlier repair could not finish: from the start, then on with the batch.
    fn open_again(&mut self, db: &mut Option<Connection>) -> Result<Option<Results>, StoreError> {
        heal::reopen(db, &self.setup.read, &self.setup.options)?;
        self.settle(db);
        Ok(None)
    }

    /// Three looks at inodes a commit, against rows that vanish with a deleted file.
    fn look(&mut self, db: &Connection) -> Result<(), Trouble> {
        let (found, is_cut) = Identity::look(&self.setup.options.path);
        match &self.identity {
            Some(known) if !known.fits(&found) => Err(Trouble::Wound(Wound::Replaced)),
            _ if is_cut => Err(Trouble::Wound(Wound::Damaged(
                "the file was cut".to_owned(),
            ))),
            Some(known) if *known == found => Ok(()),
            _ => {
                self.identity = Some(heal::identity(db, &self.setup.options)?);
                Ok(())
            }
        }
    }

    fn heal(&mut self, db: &mut Option<Connection>, wound: &Wound) -> Result<(), StoreError> {
        if !self.setup.health.owns() {
            return Err(StoreError::Io(
                "the file was replaced or damaged while in use: try again".to_owned(),
            ));
        }
        let Setup {
            read,
            options,
            health,
            ..
        } = &self.setup;
        let done = heal::heal(db, wound, read, options, health, health.now());
        self.settle(db);
        done
    }

    /// With room again, a second connection and other processes are let in.
    fn leave_alone(&mut self, db: &mut Option<Connection>) {
        match heal::reopen(db, &self.setup.read, &self.setup.options) {
            Ok(()) => {
                self.setup.alone = false;
                log::info!("store: there is room again; opened normally");
            }
            Err(why) => {
                log::debug!("store: still a single connection: {why}");
                self.setup.read.replace(None);
                *db = connect::single(&self.setup.options).ok();
            }
        }
        self.settle(db);
    }

    /// Prepares a connection for this thread: the wait for a foreign lock watches for a stop.
    fn settle(&mut self, db: &mut Option<Connection>) {
        let Some(connection) = db.as_mut() else {
            return;
        };
        let stopping = Arc::clone(&self.stopping);
        let timeout = self.setup.options.busy_timeout;
        let path = self.setup.options.path.clone();
        let mut since = Instant::now();
        let mut tell_at = TELL_FIRST;
        let wait = move |tries: i32| {
            if tries == 0 {
                since = Instant::now();
                tell_at = TELL_FIRST;
            }
            let waited = since.elapsed();
            if waited >= tell_at {
                tell_at = waited + TELL_AGAIN;
                let who = other_holder(&path)
                    .map_or_else(|| "another process".to_owned(), |one| one.to_string());
                log::warn!("store: {who} holds the write lock; waiting for it, nothing is lost");
            }
            let limit = match stopping.load(Ordering::Relaxed) {
                true => timeout.min(STOP_WAIT),
                false => timeout,
            };
            if waited >= limit {
                return false;
            }
            // Short at first: most locks are held for one fdatasync.
            std::thread::sleep(Duration::from_millis(u64::from(
                tries.clamp(1, 20).unsigned_abs(),
            )));
            true
        };
        if let Err(why) = connection.busy_handler(Some(wait)) {
            // The plain timeout that every connection gets stays in force.
            log::warn!("store: {why}");
        }
        self.identity = None;
    }

    fn settle_in(&mut self) {
        let slot = self.setup.slot.clone();
        self.settle(&mut slot.lock());
    }

    /// All operations in one transaction. At first without a savepoint each, which would copy every page
    /// that they touch; should one fail, all are rolled back and run again with savepoints, so that it
    /// fails alone.
    /// `None` if there was nothing to commit.
    fn transaction(&mut self, db: &Connection) -> Result<Option<Results>, StoreError> {
        match self.once(db, false)? {
            None if !self.batch.is_empty() => self.once(db, true),
            done => Ok(done),
        }
    }

    fn once(&mut self, db: &Connection, careful: bool) -> Result<Option<Results>, StoreError> {
        run(db, "BEGIN IMMEDIATE")?;
        let done = self.inside(db, careful).and_then(|results| {
            if results.is_some() {
                run(db, "COMMIT")?;
            }
            Ok(results)
        });
        if !matches!(done, Ok(Some(_))) && !db.is_autocommit() {
            // The error is what matters; a failed rollback shows in the next BEGIN.
            let _ = run(db, "ROLLBACK");
        }
        done
    }

    /// `None`: an operation failed, and without savepoints its traces cannot be told from the others'; or
    /// nothing came.
    fn inside(&mut self, db: &Connection, careful: bool) -> Result<Option<Results>, StoreError> {
        let tx = &Tx::of(db);
        let mut results = Vec::with_capacity(self.batch.len().max(self.usual));
        loop {
            let Some(job) = self.batch.get_mut(results.len()) else {
                if self.more(db) {
                    continue;
                }
                break;
            };
            if results.is_empty() {
                // From now on nothing is held back that this transaction does not hold.
                self.held.write(tx)?;
            }
            if careful {
                run(tx, "SAVEPOINT one")?;
            }
            let result = job.run(tx);
            match &result {
                Ok(()) if careful => run(tx, "RELEASE one")?,
                Ok(()) => {}
                Err(why) if why.is_of_the_file() || tx.is_autocommit() => {
                    // SQLite may have rolled back all by itself.
                    return result.map(|()| None);
                }
                Err(_) if careful => {
                    run(tx, "ROLLBACK TO one")?;
                    run(tx, "RELEASE one")?;
                    tx.rolled_back();
                }
                Err(_) => return Ok(None),
            }
            results.push(result);
        }
        if results.is_empty() {
            if !self.has_to_commit() {
                return Ok(None);
            }
            self.held.write(tx)?;
        }
        let mut cursors = SortedMap::new();
        for (job, result) in self.batch.iter().zip(&results) {
            if let (Ok(()), Some((cursor, now))) = (result, job.cursor()) {
                cursors.insert(cursor.stream.as_str(), (cursor.position.as_str(), now));
            }
        }
        for (stream, (position, now)) in cursors {
            intake::move_cursor(tx, stream, position, now)?;
        }
        Ok(Some(results))
    }

    /// Serves requests between the steps of a backup. Writes of this very connection go into the copy
    /// as well, so that it ends however busy the daemon is; a snapshot is held for one step only.
    fn back_up(
        &mut self,
        db: &mut Option<Connection>,
        target: &Path,
        reply: &SyncSender<Result<(), StoreError>>,
    ) {
        let result = match db.as_ref() {
            Some(_) if self.setup.alone => Err(StoreError::Full),
            Some(connection) => self.copy(connection, target),
            None => Err(StoreError::Closed),
        };
        let _ = reply.send(result);
        // What a wound left behind, or came with the stop.
        if !self.batch.is_empty() || matches!(self.flow, Flow::Stop) {
            self.commit(db);
        }
    }

    fn copy(&mut self, db: &Connection, target: &Path) -> Result<(), StoreError> {
        let mut copy = Connection::open(target)?;
        // Synced as a whole at the end; its pages pass through once.
        copy.pragma_update(None, "synchronous", "OFF")?;
        copy.pragma_update(None, "cache_size", -64)?;
        let backup = Backup::new(db, &mut copy)?;
        loop {
            let step = backup.step(BACKUP_STEP)?;
            if step == StepResult::Done {
                return Ok(());
            }
            if matches!(step, StepResult::Busy | StepResult::Locked) {
                std::thread::sleep(BUSY_PAUSE);
            }
            while self.batch.len() < BATCH_MAX
                && let Ok(request) = self.requests.try_recv()
            {
                self.take(request, Some(db));
                if matches!(self.flow, Flow::Stop) {
                    return Err(StoreError::Closed);
                }
                if let Flow::Backup(_, second) = self.asked() {
                    let _ = second.send(Err(StoreError::Busy));
                }
            }
            if !self.batch.is_empty() || self.held_is_due() {
                match self.attempt(db) {
                    Ok(results) => self.answer(Ok(results.unwrap_or_default())),
                    // Whatever it is, it is dealt with once the backup has let go.
                    Err(_) => return Err(StoreError::Busy),
                }
            }
        }
    }
}

/// Statements that come with every batch stay prepared.
fn run(db: &Connection, sql: &str) -> Result<(), StoreError> {
    db.prepare_cached(sql)?.execute([])?;
    Ok(())
}

/// Moves the WAL into the database, so that a stopped store is one file; a foreign reader that pins it
/// is not waited for.
fn finish(db: &Option<Connection>) {
    if let Some(db) = db {
        let _ = db.busy_timeout(Duration::from_millis(200));
        let _ = db.execute_batch("PRAGMA wal_checkpoint(TRUNCATE)");
    }
}
