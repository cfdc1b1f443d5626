//! The writer thread: group commit of typed operations, and coalescing of what may wait.

use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TryRecvError, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rusqlite::Connection;

use crate::core::time::Timestamp;
use crate::store::intake::{self, Coalesced};
use crate::store::open::StoreOptions;
use crate::store::types::{Intake, Recorded};
use crate::store::{StoreError, repair};

/// Requests that may wait before a caller blocks: back-pressure reaches the source.
const QUEUE: usize = 256;
/// Most operations in one transaction: bounds the time until the first of them is durable.
const BATCH_MAX: usize = 256;
/// Repeats and bare cursor moves are committed at most this often.
pub(super) const COALESCE: Duration = Duration::from_secs(5);
/// Pause before a batch that met a foreign lock for the whole busy timeout is tried again.
const BUSY_PAUSE: Duration = Duration::from_millis(50);

/// One operation on its way: runs inside the transaction, is answered after the commit.
trait Job: Send {
    fn run(&mut self, tx: &Connection) -> Result<(), StoreError>;
    /// `Ok` after the commit; the error that kept the whole batch from committing otherwise.
    fn answer(self: Box<Self>, commit: Result<(), StoreError>);
}

enum Request {
    Job(Box<dyn Job>),
    Intake {
        batch: Intake,
        now: Timestamp,
        reply: SyncSender<Result<Vec<Recorded>, StoreError>>,
    },
    Stop,
}

/// Receipt for an intake on its way.
#[derive(Debug)]
pub struct Ticket(Receiver<Result<Vec<Recorded>, StoreError>>);

impl Ticket {
    /// Blocks until the intake is acknowledged.
    pub fn wait(self) -> Result<Vec<Recorded>, StoreError> {
        self.0.recv().unwrap_or(Err(StoreError::Closed))
    }
}

/// Sends to the writer thread; joins it when dropped, after it wrote everything accepted.
pub(super) struct Writer {
    queue: SyncSender<Request>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl std::fmt::Debug for Writer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Writer")
    }
}

impl Writer {
    pub(super) fn start(connection: Connection, options: StoreOptions) -> Result<Self, StoreError> {
        let (queue, requests) = sync_channel(QUEUE);
        let path = options.path.clone();
        let thread = std::thread::Builder::new()
            .name("writer".to_owned())
            .stack_size(1 << 20)
            .spawn(move || {
                Loop {
                    connection,
                    options,
                    requests,
                    held: Coalesced::default(),
                    held_since: None,
                }
                .run()
            })
            .map_err(|why| StoreError::Unusable {
                path,
                why: format!("cannot start the writer thread: {why}"),
            })?;
        Ok(Self {
            queue,
            thread: Mutex::new(Some(thread)),
        })
    }

    pub(super) fn run<T: Send + 'static>(
        &self,
        operation: impl FnMut(&Connection) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let (reply, answer) = sync_channel(1);
        let job = Typed {
            operation,
            result: None,
            reply,
        };
        self.queue
            .send(Request::Job(Box::new(job)))
            .map_err(|_| StoreError::Closed)?;
        answer.recv().unwrap_or(Err(StoreError::Closed))
    }

    pub(super) fn intake(&self, batch: Intake, now: Timestamp) -> Result<Ticket, StoreError> {
        let (reply, answer) = sync_channel(1);
        self.queue
            .send(Request::Intake { batch, now, reply })
            .map_err(|_| StoreError::Closed)?;
        Ok(Ticket(answer))
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        // The thread may be gone already; then there is nothing to stop.
        let _ = self.queue.send(Request::Stop);
        let thread = self
            .thread
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        if let Some(thread) = thread {
            let _ = thread.join();
        }
    }
}

struct Typed<T, F> {
    operation: F,
    result: Option<T>,
    reply: SyncSender<Result<T, StoreError>>,
}

impl<T: Send, F: FnMut(&Connection) -> Result<T, StoreError> + Send> Job for Typed<T, F> {
    fn run(&mut self, tx: &Connection) -> Result<(), StoreError> {
        self.result = Some((self.operation)(tx)?);
        Ok(())
    }

    fn answer(self: Box<Self>, commit: Result<(), StoreError>) {
        let Self { result, reply, .. } = *self;
        // A caller that gave up is not waiting for it.
        let _ = reply.send(commit.and_then(|()| result.ok_or(StoreError::Closed)));
    }
}

/// An intake as a job, once it needs a commit.
struct IntakeJob {
    batch: Intake,
    now: Timestamp,
    recorded: Vec<Recorded>,
    reply: SyncSender<Result<Vec<Recorded>, StoreError>>,
}

impl Job for IntakeJob {
    fn run(&mut self, tx: &Connection) -> Result<(), StoreError> {
        self.recorded = intake::write(tx, &self.batch, self.now)?;
        Ok(())
    }

    fn answer(self: Box<Self>, commit: Result<(), StoreError>) {
        let Self {
            recorded, reply, ..
        } = *self;
        let _ = reply.send(commit.map(|()| recorded));
    }
}

struct Loop {
    connection: Connection,
    options: StoreOptions,
    requests: Receiver<Request>,
    /// Acknowledged repeats and cursor moves that wait for the next commit. A crash loses both
    /// together, so the source is read again from before them.
    held: Coalesced,
    held_since: Option<Instant>,
}

impl Loop {
    fn run(mut self) {
        loop {
            let wait = self.held_since.map_or(Duration::from_secs(3_600), |since| {
                COALESCE.saturating_sub(since.elapsed())
            });
            let mut batch = Vec::new();
            let mut stop = match self.requests.recv_timeout(wait) {
                Ok(request) => self.take(request, &mut batch),
                Err(RecvTimeoutError::Timeout) => {
                    self.commit(Vec::new());
                    continue;
                }
                Err(RecvTimeoutError::Disconnected) => true,
            };
            // Everything that came meanwhile shares this commit.
            while !stop && batch.len() < BATCH_MAX {
                match self.requests.try_recv() {
                    Ok(request) => stop = self.take(request, &mut batch),
                    Err(TryRecvError::Empty) => break,
                    Err(TryRecvError::Disconnected) => stop = true,
                }
            }
            if !batch.is_empty() || stop {
                self.commit(batch);
            }
            if stop {
                // Moves the WAL into the database, so that a stopped store is one file.
                let _ = self
                    .connection
                    .execute_batch("PRAGMA wal_checkpoint(TRUNCATE)");
                return;
            }
        }
    }

    /// Queues one request for the commit, or answers it at once if it may wait; true for a stop.
    fn take(&mut self, request: Request, batch: &mut Vec<Box<dyn Job>>) -> bool {
        match request {
            Request::Stop => return true,
            Request::Job(job) => batch.push(job),
            Request::Intake {
                batch: intake,
                now,
                reply,
            } => {
                let repeats = if batch.is_empty() {
                    intake::as_repeats(&self.connection, &intake, &self.held)
                } else {
                    Ok(None)
                };
                match repeats {
                    Ok(Some(recorded)) => {
                        self.held.add(&intake, &recorded, now);
                        self.held_since.get_or_insert_with(Instant::now);
                        let _ = reply.send(Ok(recorded));
                    }
                    Ok(None) | Err(_) => {
                        batch.push(Box::new(IntakeJob {
                            batch: intake,
                            now,
                            recorded: Vec::new(),
                            reply,
                        }));
                    }
                }
            }
        }
        false
    }

    /// Commits `batch` and what was held back; answers every caller.
    fn commit(&mut self, mut batch: Vec<Box<dyn Job>>) {
        if batch.is_empty() && self.held.is_empty() {
            self.held_since = None;
            return;
        }
        let mut freed_ballast = false;
        let results = loop {
            match self.transaction(&mut batch) {
                Ok(results) => break Ok(results),
                // The lock is somebody else's: keep the batch and wait on, for as long as it takes.
                Err(why) if why.is_busy() => std::thread::sleep(BUSY_PAUSE),
                Err(StoreError::Full) if !freed_ballast && repair::free_ballast(&self.options) => {
                    freed_ballast = true;
                    log::error!("store: no space left; the ballast file was freed");
                }
                Err(why) => break Err(why),
            }
        };
        match results {
            Ok(results) => {
                self.held = Coalesced::default();
                self.held_since = None;
                for (job, result) in batch.into_iter().zip(results) {
                    job.answer(result);
                }
            }
            Err(why) => {
                log::error!("store: {why}");
                let text = Arc::new(why);
                // What was held back stays held: it is tried again with the next commit.
                self.held_since = (!self.held.is_empty()).then(Instant::now);
                for job in batch {
                    job.answer(Err(repeat(&text)));
                }
            }
        }
    }

    fn transaction(
        &mut self,
        batch: &mut [Box<dyn Job>],
    ) -> Result<Vec<Result<(), StoreError>>, StoreError> {
        self.connection.execute_batch("BEGIN IMMEDIATE")?;
        let done = self.inside(batch).and_then(|results| {
            self.connection.execute_batch("COMMIT")?;
            Ok(results)
        });
        if done.is_err() && !self.connection.is_autocommit() {
            // The error is what matters; a failed rollback shows in the next BEGIN.
            let _ = self.connection.execute_batch("ROLLBACK");
        }
        done
    }

    fn inside(
        &mut self,
        batch: &mut [Box<dyn Job>],
    ) -> Result<Vec<Result<(), StoreError>>, StoreError> {
        self.held.write(&self.connection)?;
        let mut results = Vec::with_capacity(batch.len());
        for job in batch {
            // A savepoint each: one that fails fails alone.
            self.connection.execute_batch("SAVEPOINT one")?;
            let result = job.run(&self.connection);
            match &result {
                Ok(()) => self.connection.execute_batch("RELEASE one")?,
                Err(StoreError::Full | StoreError::Busy | StoreError::Corrupt(_)) => {
                    result?;
                    continue;
                }
                Err(_) => self
                    .connection
                    .execute_batch("ROLLBACK TO one; RELEASE one")?,
            }
            results.push(result);
        }
        Ok(results)
    }
}

/// The same error for each caller of a batch that failed as a whole.
fn repeat(why: &StoreError) -> StoreError {
    match why {
        StoreError::Full => StoreError::Full,
        StoreError::Busy => StoreError::Busy,
        StoreError::Corrupt(text) => StoreError::Corrupt(text.clone()),
        other => StoreError::Corrupt(other.to_string()),
    }
}
