//! One operation on its way through the writer.

use std::path::PathBuf;
use std::sync::mpsc::SyncSender;

use crate::core::model::time::Timestamp;
use crate::store::error::StoreError;
use crate::store::intake;
use crate::store::tx::Tx;
use crate::store::types::{Cursor, Intake, Recorded};

pub(super) enum WriteRequest {
    Job(Box<dyn WriteJob>),
    Intake {
        batch: Intake,
        now: Timestamp,
        reply: SyncSender<Result<Vec<Recorded>, StoreError>>,
    },
    Backup {
        target: PathBuf,
        reply: SyncSender<Result<(), StoreError>>,
    },
    Stop,
}

/// Runs inside the transaction, is answered after the commit.
pub(super) trait WriteJob: Send {
    /// May run again when the commit had to be repeated.
    fn run(&mut self, tx: &Tx<'_>) -> Result<(), StoreError>;
    /// A cursor to move if this ran: written once for the whole batch, the last position wins.
    fn cursor(&self) -> Option<(&Cursor, Timestamp)> {
        None
    }
    /// `Ok` after the commit; the error that kept the operation or its whole batch from it otherwise.
    fn answer(self: Box<Self>, outcome: Result<(), StoreError>);
}

/// Any operation with a typed result.
pub(super) struct TypedJob<T, F> {
    operation: F,
    result: Option<T>,
    reply: SyncSender<Result<T, StoreError>>,
}

impl<T, F> TypedJob<T, F> {
    pub(super) fn new(operation: F, reply: SyncSender<Result<T, StoreError>>) -> Self {
        Self {
            operation,
            result: None,
            reply,
        }
    }
}

impl<T: Send, F: FnMut(&Tx<'_>) -> Result<T, StoreError> + Send> WriteJob for TypedJob<T, F> {
    fn run(&mut self, tx: &Tx<'_>) -> Result<(), StoreError> {
        self.result = Some((self.operation)(tx)?);
        Ok(())
    }

    fn answer(self: Box<Self>, outcome: Result<(), StoreError>) {
        let Self { result, reply, .. } = *self;
        // A caller that gave up is not waiting for it.
        let _ = reply.send(outcome.and_then(|()| result.ok_or(StoreError::Closed)));
    }
}

/// An intake, once it needs a commit.
pub(super) struct IntakeJob {
    batch: Intake,
    now: Timestamp,
    recorded: Vec<Recorded>,
    reply: SyncSender<Result<Vec<Recorded>, StoreError>>,
}

impl IntakeJob {
    pub(super) fn new(
        batch: Intake,
        now: Timestamp,
        reply: SyncSender<Result<Vec<Recorded>, StoreError>>,
    ) -> Self {
        Self {
            batch,
            now,
            recorded: Vec::new(),
            reply,
        }
    }
}

impl WriteJob for IntakeJob {
    fn run(&mut self, tx: &Tx<'_>) -> Result<(), StoreError> {
        self.recorded = intake::write(tx, &self.batch.findings, self.now)?;
        Ok(())
    }

    fn cursor(&self) -> Option<(&Cursor, Timestamp)> {
        Some((self.batch.cursor.as_ref()?, self.now))
    }

    fn answer(self: Box<Self>, outcome: Result<(), StoreError>) {
        let Self {
            recorded, reply, ..
        } = *self;
        let _ = reply.send(outcome.map(|()| recorded));
    }
}
