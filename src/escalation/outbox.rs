//! The durable queue, as the courier asks for it.

use std::borrow::Cow;
use std::error::Error;
use std::fmt;

use crate::core::human::delivery::{Counted, Delivery};
use crate::core::model::hint::Hint;
use crate::core::model::id::{IssueNumber, OutboxId};
use crate::core::model::named::UnknownName;
use crate::core::model::time::Timestamp;

/// Why the queue did not give or take a row.
#[derive(Debug)]
pub enum OutboxError {
    /// What keeps the rows failed, and what to do about it.
    Store(Box<dyn Error + Send + Sync>, Cow<'static, str>),
    /// A row holds a name that this version does not know.
    Row {
        /// Of the row.
        id: OutboxId,
        /// The name, and those known.
        why: UnknownName,
    },
}

impl fmt::Display for OutboxError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Store(why, _) => write!(f, "{why}"),
            Self::Row { id, why } => write!(f, "outbox row {id}: {why}"),
        }
    }
}

impl Error for OutboxError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Store(why, _) => Some(why.as_ref()),
            Self::Row { why, .. } => Some(why),
        }
    }
}

impl Hint for OutboxError {
    fn hint(&self) -> Cow<'static, str> {
        match self {
            Self::Store(_, hint) => hint.clone(),
            Self::Row { .. } => "".into(),
        }
    }
}

/// The durable queue. Implemented by the daemon over the store, and by the schedule tests in memory.
pub trait Outbox {
    /// The due row that goes first: what is confirmed before what was said, severity, then age; rows of one task and of its earlier lives
    /// in order. `sending` rows count as due,
    /// and so does a row put off by more than [`PUT_OFF_MOST`](crate::core::human::delivery::PUT_OFF_MOST).
    fn next(&self, destination: &str, now: Timestamp) -> Result<Option<Delivery>, OutboxError>;
    /// All rows that are due and not sent, the oldest first: for a digest. A queue whose destinations have none needs
    /// none.
    fn waiting(&self, _destination: &str, _now: Timestamp) -> Result<Vec<Delivery>, OutboxError> {
        Ok(Vec::new())
    }
    /// Durable on return. Counts one attempt.
    fn sending(&self, id: OutboxId, now: Timestamp) -> Result<(), OutboxError>;
    /// The destination has it; number and address are kept where it gave them.
    fn confirmed(
        &self,
        id: OutboxId,
        issue_number: Option<IssueNumber>,
        url: Option<&str>,
        now: Timestamp,
    ) -> Result<(), OutboxError>;
    /// A write may have happened: looked for at `retry_at`.
    fn unknown(
        &self,
        id: OutboxId,
        retry_at: Timestamp,
        why: &str,
        now: Timestamp,
    ) -> Result<(), OutboxError>;
    /// Back to `pending`.
    fn retry(
        &self,
        id: OutboxId,
        retry_at: Timestamp,
        why: &str,
        now: Timestamp,
    ) -> Result<(), OutboxError>;
    /// Back to what it was before [`Outbox::sending`]: nothing left, so that the attempt is none.
    fn unsent(
        &self,
        id: OutboxId,
        retry_at: Timestamp,
        why: &str,
        now: Timestamp,
    ) -> Result<(), OutboxError> {
        self.retry(id, retry_at, why, now)
    }
    /// Never to be sent again.
    fn dead(&self, id: OutboxId, why: &str, now: Timestamp) -> Result<(), OutboxError>;
    /// `create` and `reopen` rows that were marked as sending since then, whatever came of them.
    fn created_since(
        &self,
        destination: &str,
        counted: Counted<'_>,
        since: Timestamp,
    ) -> Result<u32, OutboxError>;
    /// Never to be sent: one summary tells of it and of others.
    fn folded(&self, id: OutboxId, why: &str, now: Timestamp) -> Result<(), OutboxError>;
    /// Raises the local finding `self_escalation_down`.
    fn parked(&self, why: &str, now: Timestamp) -> Result<(), OutboxError>;
    /// Clears it.
    fn unparked(&self, now: Timestamp) -> Result<(), OutboxError>;
}
