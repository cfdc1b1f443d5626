//! The way to the writer thread: a bounded queue of typed operations, each answered once it is durable.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Mutex, PoisonError};
use std::thread::JoinHandle;

use crate::core::model::time::Timestamp;
use crate::store::commit::{Loop, Setup};
use crate::store::error::StoreError;
use crate::store::job::{TypedJob, WriteRequest};
use crate::store::tx::Tx;
use crate::store::types::{Intake, Recorded};

/// Requests that may wait before a caller blocks: back-pressure reaches the source.
const QUEUE: usize = 256;
/// Sends to the writer thread; joins it when dropped, after it wrote everything accepted.
pub(super) struct WriterThread {
    queue: SyncSender<WriteRequest>,
    stopping: Arc<AtomicBool>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl std::fmt::Debug for WriterThread {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Writer")
    }
}

impl WriterThread {
    pub(super) fn start(setup: Setup) -> Result<Self, StoreError> {
        let (queue, requests) = sync_channel(QUEUE);
        let path = setup.options.path.clone();
        let stopping = Arc::new(AtomicBool::new(false));
        let state = Loop::new(setup, requests, Arc::clone(&stopping));
        let thread = std::thread::Builder::new()
            .name("writer".to_owned())
            .stack_size(1 << 20)
            .spawn(move || state.run())
            .map_err(|why| {
                StoreError::unusable(&path, format!("cannot start the writer thread: {why}"))
            })?;
        Ok(Self {
            queue,
            stopping,
            thread: Mutex::new(Some(thread)),
        })
    }

    pub(super) fn run<T: Send + 'static>(
        &self,
        operation: impl FnMut(&Tx<'_>) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let (reply, answer) = sync_channel(1);
        self.ask(
            WriteRequest::Job(Box::new(TypedJob::new(operation, reply))),
            &answer,
        )
    }

    pub(super) fn intake(
        &self,
        batch: Intake,
        now: Timestamp,
    ) -> Result<Vec<Recorded>, StoreError> {
        let (reply, answer) = sync_channel(1);
        self.ask(WriteRequest::Intake { batch, now, reply }, &answer)
    }

    /// Copies the database to `target` page by page between commits; the source may change meanwhile.
    pub(super) fn backup(&self, target: PathBuf) -> Result<(), StoreError> {
        let (reply, answer) = sync_channel(1);
        self.ask(WriteRequest::Backup { target, reply }, &answer)
    }

    /// Blocks while the queue is full, then until the answer.
    fn ask<T>(
        &self,
        request: WriteRequest,
        answer: &Receiver<Result<T, StoreError>>,
    ) -> Result<T, StoreError> {
        self.queue.send(request).map_err(|_| StoreError::Closed)?;
        answer.recv().unwrap_or(Err(StoreError::Closed))
    }

    /// Writes everything accepted before, then ends the thread; later operations get `Closed`.
    pub(super) fn stop(&self) {
        self.stopping.store(true, Ordering::Relaxed);
        // The thread may be gone already; then there is nothing to stop.
        let _ = self.queue.send(WriteRequest::Stop);
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

impl Drop for WriterThread {
    fn drop(&mut self) {
        self.stop();
    }
}
