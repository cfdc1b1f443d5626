//! The store as the courier's outbox.

use crate::core::human::delivery::{Counted, Delivery};
use crate::core::model::class::Class;
use crate::core::model::finding::{Finding, Severity};
use crate::core::model::hint::Hint;
use crate::core::model::id::{IssueNumber, OutboxId};
use crate::core::model::task::{Resolution, Transition};
use crate::core::model::time::Timestamp;
use crate::daemon::kill_point;
use crate::escalation::outbox::{Outbox, OutboxError};
use crate::store::{Intake, OutboxRow, Store, StoreError, TaskFilter};

/// The store seen as the queue of one destination.
#[derive(Debug)]
pub struct StoreOutbox<'a> {
    /// Holds the rows.
    pub store: &'a Store,
    /// Subject of the finding that it cannot be reached.
    pub destination: String,
}

impl StoreOutbox<'_> {
    /// Destinations of which a finding says that they cannot be reached.
    pub fn parked_ones(store: &Store) -> Result<Vec<String>, OutboxError> {
        let filter = TaskFilter {
            open_only: true,
            class: Some(Class::SelfEscalationDown),
            ..TaskFilter::default()
        };
        let open = store
            .reader()
            .and_then(|reader| reader.tasks(&filter))
            .map_err(failed)?;
        Ok(open.into_iter().map(|task| task.subject).collect())
    }

    fn step(&self, name: &str) {
        kill_point::reached(format_args!("{name}/{}", self.destination));
    }
}

fn failed(why: StoreError) -> OutboxError {
    let hint = why.hint();
    OutboxError::Store(Box::new(why), hint)
}

fn delivery(row: OutboxRow) -> Result<Delivery, OutboxError> {
    let unknown = |why| OutboxError::Row { id: row.id, why };
    Ok(Delivery {
        operation: row.operation.parse().map_err(unknown)?,
        state: row.state.parse().map_err(unknown)?,
        severity: match row.severity_rank {
            0 => Severity::Critical,
            1 => Severity::Error,
            2 => Severity::Warning,
            _ => Severity::Info,
        },
        id: row.id,
        task_id: row.task_id,
        destination: row.destination,
        attempts: row.attempts,
        payload: row.payload,
        delivery_key: row.delivery_key,
        issue_number: row.issue_number,
        created_at: row.created_at,
        next_at: row.next_at,
        last_error: row.last_error,
        said_by: row.said_by,
    })
}

impl Outbox for StoreOutbox<'_> {
    fn next(&self, destination: &str, now: Timestamp) -> Result<Option<Delivery>, OutboxError> {
        self.store
            .outbox_next(destination, now)
            .map_err(failed)?
            .map(delivery)
            .transpose()
    }

    fn waiting(&self, destination: &str, now: Timestamp) -> Result<Vec<Delivery>, OutboxError> {
        let rows = self
            .store
            .outbox_waiting(destination, now)
            .map_err(failed)?;
        rows.into_iter().map(delivery).collect()
    }

    fn sending(&self, id: OutboxId, now: Timestamp) -> Result<(), OutboxError> {
        self.step("before_sending");
        self.store.outbox_sending(id, now).map_err(failed)?;
        self.step("sending");
        Ok(())
    }

    fn confirmed(
        &self,
        id: OutboxId,
        issue_number: Option<IssueNumber>,
        url: Option<&str>,
        now: Timestamp,
    ) -> Result<(), OutboxError> {
        self.step("before_confirmed");
        self.store
            .outbox_confirmed(id, issue_number, url, now)
            .map_err(failed)
    }

    fn unknown(
        &self,
        id: OutboxId,
        retry_at: Timestamp,
        why: &str,
        now: Timestamp,
    ) -> Result<(), OutboxError> {
        self.store
            .outbox_unknown(id, retry_at, why, now)
            .map_err(failed)
    }

    fn retry(
        &self,
        id: OutboxId,
        retry_at: Timestamp,
        why: &str,
        now: Timestamp,
    ) -> Result<(), OutboxError> {
        self.store
            .outbox_retry(id, retry_at, why, now)
            .map_err(failed)
    }

    fn unsent(
        &self,
        id: OutboxId,
        retry_at: Timestamp,
        why: &str,
        _now: Timestamp,
    ) -> Result<(), OutboxError> {
        self.store.outbox_unsent(id, retry_at, why).map_err(failed)
    }

    fn dead(&self, id: OutboxId, why: &str, now: Timestamp) -> Result<(), OutboxError> {
        self.store.outbox_dead(id, why, now).map_err(failed)
    }

    fn created_since(
        &self,
        destination: &str,
        counted: Counted<'_>,
        since: Timestamp,
    ) -> Result<u32, OutboxError> {
        self.store
            .outbox_created_since(destination, counted, since)
            .map_err(failed)
    }

    fn folded(&self, id: OutboxId, why: &str, now: Timestamp) -> Result<(), OutboxError> {
        // First what tells of it: a crash in between counts one twice, and forgets none.
        let finding = Finding::new(
            Class::LogError,
            &format!("messages not told at {}", self.destination),
            Severity::Warning,
            "the caps on new issues held messages back for a day: they are counted together",
            "courier",
            now,
        );
        let intake = Intake {
            findings: vec![finding],
            cursor: None,
        };
        self.store.intake(intake, now).map_err(failed)?;
        self.store.outbox_cancelled(id, why, now).map_err(failed)
    }

    fn parked(&self, why: &str, now: Timestamp) -> Result<(), OutboxError> {
        let finding = Finding::new(
            Class::SelfEscalationDown,
            &self.destination,
            Severity::Error,
            &format!("nothing can be delivered: {why}"),
            "courier",
            now,
        );
        let intake = Intake {
            findings: vec![finding],
            cursor: None,
        };
        self.store.intake(intake, now).map(|_| ()).map_err(failed)
    }

    fn unparked(&self, now: Timestamp) -> Result<(), OutboxError> {
        let open = self
            .store
            .reader()
            .and_then(|reader| {
                reader.tasks(&TaskFilter {
                    open_only: true,
                    class: Some(Class::SelfEscalationDown),
                    subject: Some(self.destination.clone()),
                    ..TaskFilter::default()
                })
            })
            .map_err(failed)?;
        for task in &open {
            let message = "deliveries go through again".to_owned();
            let close = Transition::Close {
                resolution: Resolution::SelfCleared,
                message,
            };
            self.store
                .transition(task.id, close, "courier", now)
                .map_err(failed)?;
        }
        Ok(())
    }
}
