//! The store as the courier's outbox.

use crate::core::human::delivery::Delivery;
use crate::core::model::class::Class;
use crate::core::model::finding::{Finding, Severity};
use crate::core::model::task::{Resolution, Transition};
use crate::core::model::time::Timestamp;
use crate::escalation::courier::Outbox;
use crate::store::{Intake, OutboxRow, Store, StoreError};

/// The store seen as the queue of one destination.
#[derive(Debug)]
pub struct StoreOutbox<'a> {
    pub store: &'a Store,
    pub destination: String,
}

fn text(why: StoreError) -> String {
    why.to_string()
}

fn delivery(row: OutboxRow) -> Result<Delivery, String> {
    let unknown = |what: &str| format!("outbox row {}: unknown {what}", row.id);
    Ok(Delivery {
        operation: row.operation.parse().map_err(|_| unknown("operation"))?,
        state: row.state.parse().map_err(|_| unknown("state"))?,
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
    })
}

impl Outbox for StoreOutbox<'_> {
    fn next(&self, destination: &str, now: Timestamp) -> Result<Option<Delivery>, String> {
        self.store
            .outbox_next(destination, now)
            .map_err(text)?
            .map(delivery)
            .transpose()
    }

    fn sending(&self, id: i64, now: Timestamp) -> Result<(), String> {
        self.store.outbox_sending(id, now).map_err(text)
    }

    fn confirmed(
        &self,
        id: i64,
        issue_number: Option<i64>,
        url: Option<&str>,
        now: Timestamp,
    ) -> Result<(), String> {
        self.store
            .outbox_confirmed(id, issue_number, url, now)
            .map_err(text)
    }

    fn unknown(
        &self,
        id: i64,
        retry_at: Timestamp,
        why: &str,
        now: Timestamp,
    ) -> Result<(), String> {
        self.store
            .outbox_unknown(id, retry_at, why, now)
            .map_err(text)
    }

    fn retry(&self, id: i64, retry_at: Timestamp, why: &str, now: Timestamp) -> Result<(), String> {
        self.store
            .outbox_retry(id, retry_at, why, now)
            .map_err(text)
    }

    fn dead(&self, id: i64, why: &str, now: Timestamp) -> Result<(), String> {
        self.store.outbox_dead(id, why, now).map_err(text)
    }

    fn created_since(&self, destination: &str, since: Timestamp) -> Result<u32, String> {
        self.store
            .outbox_created_since(destination, since)
            .map_err(text)
    }

    fn parked(&self, why: &str, now: Timestamp) -> Result<(), String> {
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
        self.store.intake(intake, now).map(|_| ()).map_err(text)
    }

    fn unparked(&self, now: Timestamp) -> Result<(), String> {
        let open = self
            .store
            .reader()
            .and_then(|reader| reader.open_tasks())
            .map_err(text)?;
        for task in open.iter().filter(|task| {
            task.class == Class::SelfEscalationDown && task.subject == self.destination
        }) {
            let message = "deliveries go through again".to_owned();
            let close = Transition::Close {
                resolution: Resolution::SelfCleared,
                message,
            };
            self.store
                .transition(task.id, close, "courier", now)
                .map_err(text)?;
        }
        Ok(())
    }
}
