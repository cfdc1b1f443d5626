//! Tells a human, past the store, that the store takes nothing.
//!
//! What is told otherwise is written down first. While that cannot be, one message about it goes from memory straight to
//! each destination, under the key that the store's own finding will have: once that can be recorded, the tracker knows
//! the issue already and it is taken over. A restart forgets the message and finds it the same way.

use std::cell::{Cell, RefCell};
use std::time::Duration;

use crate::core::human::delivery::{Counted, Delivery, Operation, State};
use crate::core::human::issue::{StorelessFacts, storeless};
use crate::core::model::finding::Severity;
use crate::core::model::hint::Hint;
use crate::core::model::id::{IssueNumber, OutboxId, TaskId};
use crate::core::model::object::object;
use crate::core::model::time::Timestamp;
use crate::daemon::ourselves;
use crate::daemon::runtime::Runtime;
use crate::detectors::{Open, Snapshot};
use crate::escalation::courier::Courier;
use crate::escalation::outbox::{Outbox, OutboxError};
use crate::escalation::tracker::Tracker;
use crate::store::StoreError;

/// So long the store has to refuse before a human hears of it this way.
const REFUSES_FOR: Duration = Duration::from_secs(60);

/// The message about the store, while it is needed.
#[derive(Debug, Default)]
pub struct Storeless {
    row: Option<OneRow>,
}

impl Storeless {
    /// Sends what is due by this courier, which serves `queue` otherwise. Nothing, as long as the store takes what it is
    /// given.
    pub fn tick<T: Tracker>(
        &mut self,
        runtime: &Runtime,
        courier: &mut Courier<T>,
        queue: &dyn Outbox,
        now: Timestamp,
    ) {
        let untold = runtime.store.health().untold(now.minus(REFUSES_FOR));
        if untold.is_empty() {
            let reached = self.row.take().is_some_and(|row| row.reached.get());
            // That it can be reached was not written down either.
            if reached && let Err(why) = queue.unparked(now) {
                log::error!("{}: {}", courier.destination(), why.with_hint());
            }
            return;
        }
        if self.row.is_none() {
            match message(runtime, courier.destination(), now) {
                Ok(row) => self.row = Some(OneRow::new(row)),
                Err(why) => {
                    return log::error!("the store's trouble is not told: {}", why.with_hint());
                }
            }
        }
        if let Some(row) = &self.row {
            courier.tick(row, now);
        }
    }
}

/// What is told now.
fn message(runtime: &Runtime, destination: &str, now: Timestamp) -> Result<Delivery, StoreError> {
    let troubles = runtime.store.health().troubles();
    let loaded = runtime.loaded();
    let open = Open::new([]);
    let look = Snapshot::new(&runtime.host, &loaded.config, &loaded.managers, &open);
    let units = look.units().unwrap_or_default();
    let failed = units.iter().filter(|unit| unit.is_failed());
    let failed: Vec<String> = failed.map(|unit| unit.name.to_string()).collect();
    let host = runtime.host_name(&loaded);
    let (title, body) = storeless(&StorelessFacts {
        host: &host,
        troubles: &troubles,
        failed: &failed,
        now,
    });
    let finding = ourselves::store(runtime, &troubles, now);
    let hash = finding.map_or_else(String::new, |one| one.fingerprint().to_string());
    let payload = object!({
        "title": title,
        "body": body,
        "message": troubles.last(),
    });
    Ok(Delivery {
        id: OutboxId::from_number(0),
        task_id: TaskId::from_number(0),
        destination: destination.to_owned(),
        operation: Operation::Create,
        state: State::Pending,
        attempts: 0,
        payload: payload.to_string(),
        delivery_key: runtime.store.reader()?.key_to_come(&hash)?,
        issue_number: None,
        created_at: now,
        next_at: now,
        last_error: None,
        severity: Severity::Critical,
        said_by: None,
    })
}

/// A queue of one row that nobody keeps.
#[derive(Debug)]
struct OneRow {
    row: RefCell<Delivery>,
    /// The destination answered.
    reached: Cell<bool>,
}

impl OneRow {
    fn new(row: Delivery) -> Self {
        Self {
            row: RefCell::new(row),
            reached: Cell::new(false),
        }
    }

    fn put(&self, state: State, next_at: Timestamp, note: Option<&str>) {
        let mut row = self.row.borrow_mut();
        row.state = state;
        row.next_at = next_at;
        row.last_error = note.map(str::to_owned);
    }
}

impl Outbox for OneRow {
    fn next(&self, _: &str, now: Timestamp) -> Result<Option<Delivery>, OutboxError> {
        let row = self.row.borrow();
        let waits = match row.state {
            State::Pending | State::Sending | State::Unknown => row.next_at > now,
            State::Confirmed | State::Dead | State::Cancelled => true,
        };
        Ok((!waits).then(|| row.clone()))
    }

    fn sending(&self, _: OutboxId, _: Timestamp) -> Result<(), OutboxError> {
        let mut row = self.row.borrow_mut();
        row.state = State::Sending;
        row.attempts = row.attempts.saturating_add(1);
        Ok(())
    }

    fn confirmed(
        &self,
        _: OutboxId,
        _: Option<IssueNumber>,
        _: Option<&str>,
        now: Timestamp,
    ) -> Result<(), OutboxError> {
        self.put(State::Confirmed, now, None);
        Ok(())
    }

    fn unknown(
        &self,
        _: OutboxId,
        retry_at: Timestamp,
        why: &str,
        _: Timestamp,
    ) -> Result<(), OutboxError> {
        self.put(State::Unknown, retry_at, Some(why));
        Ok(())
    }

    fn retry(
        &self,
        _: OutboxId,
        retry_at: Timestamp,
        why: &str,
        _: Timestamp,
    ) -> Result<(), OutboxError> {
        self.put(State::Pending, retry_at, Some(why));
        Ok(())
    }

    fn dead(&self, _: OutboxId, why: &str, now: Timestamp) -> Result<(), OutboxError> {
        self.put(State::Dead, now, Some(why));
        Ok(())
    }

    fn created_since(&self, _: &str, _: Counted<'_>, _: Timestamp) -> Result<u32, OutboxError> {
        Ok(0)
    }

    fn folded(&self, _: OutboxId, why: &str, now: Timestamp) -> Result<(), OutboxError> {
        self.put(State::Cancelled, now, Some(why));
        Ok(())
    }

    fn parked(&self, _: &str, _: Timestamp) -> Result<(), OutboxError> {
        Ok(())
    }

    fn unparked(&self, _: Timestamp) -> Result<(), OutboxError> {
        self.reached.set(true);
        Ok(())
    }
}
