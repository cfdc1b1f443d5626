//! The queue in memory, with the store's rules. It survives the simulated death of its courier.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::time::Duration;

use autonomous_orchestrator::{
    Counted, Delivery, IssueNumber, Operation, Outbox, OutboxError, OutboxId, PUT_OFF_MOST,
    Severity, State, TaskId, Timestamp,
};

/// One row and when it was marked as sending.
#[derive(Clone, Debug)]
pub struct Row {
    pub delivery: Delivery,
    pub sent_at: Option<Timestamp>,
    pub confirmed_number: Option<IssueNumber>,
}

#[derive(Debug, Default)]
pub struct Memory {
    pub rows: RefCell<BTreeMap<OutboxId, Row>>,
    /// Issue number of each task, as the store keeps it.
    pub numbers: RefCell<BTreeMap<TaskId, IssueNumber>>,
    pub parked: RefCell<Option<String>>,
    pub times_parked: Cell<u32>,
    pub writes: Cell<u32>,
    /// Counts down at every write; at zero the process dies there, before or after the commit.
    pub dies_in: Cell<Option<(u32, bool)>>,
}

/// Payload of the simulated death; unwinding with it runs no panic hook.
pub struct Killed;

impl Memory {
    pub fn push(
        &self,
        task: i64,
        operation: Operation,
        payload: &str,
        key: &str,
        severity: Severity,
        now: Timestamp,
    ) -> OutboxId {
        let mut rows = self.rows.borrow_mut();
        let id = OutboxId::from_number(rows.len() as i64 + 1);
        let delivery = Delivery {
            id,
            task_id: TaskId::from_number(task),
            destination: "github".to_owned(),
            operation,
            state: State::Pending,
            attempts: 0,
            payload: payload.to_owned(),
            delivery_key: key.to_owned(),
            issue_number: None,
            created_at: now,
            next_at: now,
            last_error: None,
            said_by: None,
            severity,
        };
        rows.insert(
            id,
            Row {
                delivery,
                sent_at: None,
                confirmed_number: None,
            },
        );
        id
    }

    pub fn open(&self) -> usize {
        let done = |row: &&Row| {
            !matches!(
                row.delivery.state,
                State::Confirmed | State::Dead | State::Cancelled
            )
        };
        self.rows.borrow().values().filter(done).count()
    }

    fn write(&self, id: OutboxId, change: impl FnOnce(&mut Row)) -> Result<(), OutboxError> {
        self.writes.set(self.writes.get() + 1);
        let dies = match self.dies_in.get() {
            Some((0, after)) => Some(after),
            Some((n, after)) => {
                self.dies_in.set(Some((n - 1, after)));
                None
            }
            None => None,
        };
        if dies == Some(false) {
            self.die();
        }
        change(
            self.rows
                .borrow_mut()
                .get_mut(&id)
                .ok_or_else(|| OutboxError::Store("no such row".into(), "".into()))?,
        );
        if dies == Some(true) {
            self.die();
        }
        Ok(())
    }

    fn die(&self) {
        self.dies_in.set(None);
        std::panic::resume_unwind(Box::new(Killed));
    }
}

impl Outbox for Memory {
    fn next(&self, destination: &str, now: Timestamp) -> Result<Option<Delivery>, OutboxError> {
        let rows = self.rows.borrow();
        let open = |row: &Row| {
            !matches!(
                row.delivery.state,
                State::Confirmed | State::Dead | State::Cancelled
            )
        };
        let due = rows
            .values()
            .filter(|row| open(row) && row.delivery.destination == destination)
            .filter(|row| {
                row.delivery.next_at <= now || row.delivery.next_at > now.plus(PUT_OFF_MOST)
            })
            .filter(|row| {
                !rows.values().any(|ahead| {
                    ahead.delivery.task_id == row.delivery.task_id
                        && ahead.delivery.id < row.delivery.id
                        && open(ahead)
                })
            })
            .min_by_key(|row| {
                let delivery = &row.delivery;
                let said = delivery.said_by.is_some();
                (said, std::cmp::Reverse(delivery.severity), delivery.id)
            });
        Ok(due.map(|row| Delivery {
            issue_number: self.numbers.borrow().get(&row.delivery.task_id).copied(),
            ..row.delivery.clone()
        }))
    }

    fn sending(&self, id: OutboxId, now: Timestamp) -> Result<(), OutboxError> {
        self.write(id, |row| {
            row.delivery.state = State::Sending;
            row.delivery.attempts += 1;
            row.sent_at = Some(now);
        })
    }

    fn confirmed(
        &self,
        id: OutboxId,
        issue_number: Option<IssueNumber>,
        _: Option<&str>,
        _: Timestamp,
    ) -> Result<(), OutboxError> {
        self.write(id, |row| {
            row.delivery.state = State::Confirmed;
            row.delivery.last_error = None;
            row.confirmed_number = issue_number;
            if let Some(number) = issue_number {
                self.numbers
                    .borrow_mut()
                    .insert(row.delivery.task_id, number);
            }
        })
    }

    fn unknown(
        &self,
        id: OutboxId,
        retry_at: Timestamp,
        why: &str,
        _: Timestamp,
    ) -> Result<(), OutboxError> {
        self.write(id, |row| {
            row.delivery.state = State::Unknown;
            row.delivery.next_at = retry_at;
            row.delivery.last_error = Some(why.to_owned());
        })
    }

    fn retry(
        &self,
        id: OutboxId,
        retry_at: Timestamp,
        why: &str,
        _: Timestamp,
    ) -> Result<(), OutboxError> {
        self.write(id, |row| {
            row.delivery.state = State::Pending;
            row.delivery.next_at = retry_at;
            row.delivery.last_error = Some(why.to_owned());
        })
    }

    fn dead(&self, id: OutboxId, why: &str, _: Timestamp) -> Result<(), OutboxError> {
        self.write(id, |row| {
            row.delivery.state = State::Dead;
            row.delivery.last_error = Some(why.to_owned());
        })
    }

    fn folded(&self, id: OutboxId, why: &str, _: Timestamp) -> Result<(), OutboxError> {
        self.write(id, |row| {
            row.delivery.state = State::Cancelled;
            row.delivery.last_error = Some(why.to_owned());
        })
    }

    fn created_since(
        &self,
        destination: &str,
        counted: Counted<'_>,
        since: Timestamp,
    ) -> Result<u32, OutboxError> {
        let of = |row: &Row| match counted {
            Counted::All => true,
            Counted::Said => row.delivery.said_by.is_some(),
            Counted::SaidBy(writer) => row.delivery.said_by.as_deref() == Some(writer),
        };
        let rows = self.rows.borrow();
        let counted = rows.values().filter(|row| {
            of(row)
                && row.delivery.destination == destination
                && matches!(
                    row.delivery.operation,
                    Operation::Create | Operation::Reopen
                )
                && matches!(
                    row.delivery.state,
                    State::Sending | State::Unknown | State::Confirmed
                )
                && row.sent_at.is_some_and(|at| at > since)
        });
        Ok(u32::try_from(counted.count()).unwrap_or(u32::MAX))
    }

    fn parked(&self, why: &str, _: Timestamp) -> Result<(), OutboxError> {
        self.times_parked.set(self.times_parked.get() + 1);
        self.parked.replace(Some(why.to_owned()));
        Ok(())
    }

    fn unparked(&self, _: Timestamp) -> Result<(), OutboxError> {
        self.parked.replace(None);
        Ok(())
    }
}

/// A span in seconds, for readability of the scenarios.
pub const fn s(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}
