//! The courier thread, and the store as its outbox.

use std::path::PathBuf;
use std::time::Duration;

use crate::core::class::Class;
use crate::core::config;
use crate::core::delivery::Delivery;
use crate::core::finding::{Finding, Severity};
use crate::core::task::{Resolution, Transition};
use crate::core::time::Timestamp;
use crate::daemon::Runtime;
use crate::escalation::courier::{Courier, Limits, Outbox};
use crate::escalation::github::{GitHub, Settings};
use crate::escalation::http::Https;
use crate::store::{Intake, OutboxRow, StoreError};

/// Longest wait without a ring: back-offs end, networks come back.
const IDLE_WAIT: Duration = Duration::from_secs(30);
const GITHUB: &str = "github";

/// Thread body: deliver what is due, then wait for a ring or the next due time.
pub fn run(runtime: &Runtime) {
    let mut serving: Option<(config::Escalation, Option<Courier<GitHub>>)> = None;
    let mut rings = 0;
    while !runtime.stopping() {
        let wanted = runtime.live().config.escalation.clone();
        if serving.as_ref().is_none_or(|(config, _)| *config != wanted) {
            let courier = courier(runtime, &wanted);
            serving = Some((wanted, courier));
        }
        let now = runtime.host.clock.now();
        let wait = match &mut serving {
            Some((_, Some(courier))) if !runtime.dry_run => courier
                .tick(&StoreOutbox(runtime), now)
                .at
                .since(now)
                .min(IDLE_WAIT),
            _ => IDLE_WAIT,
        };
        runtime.beat("courier");
        if !wait.is_zero() {
            rings = runtime.courier.wait(rings, wait);
        }
    }
}

/// The courier of the configured destination; `None` keeps everything local.
fn courier(runtime: &Runtime, config: &config::Escalation) -> Option<Courier<GitHub>> {
    let github = config.github.clone()?;
    let transport = match Https::new(Duration::from_secs(github.timeout_s), &github.ca_file) {
        Ok(transport) => transport.stopped_by(runtime.stop_flag()),
        Err(why) => {
            log::error!(
                "escalation.github: {why}; nothing is delivered until the configuration is put right"
            );
            return None;
        }
    };
    let settings = Settings {
        github,
        credentials: std::env::var_os("CREDENTIALS_DIRECTORY").map(PathBuf::from),
        reopen: Duration::from_secs(config.reopen_s),
    };
    let gateway_id = runtime.store.gateway_id().unwrap_or_default();
    Some(Courier::new(
        GitHub::new(settings, Box::new(transport)),
        Limits::new(config, &gateway_id),
    ))
}

/// The store seen as the courier's queue.
struct StoreOutbox<'a>(&'a Runtime);

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
        self.0
            .store
            .outbox_next(destination, now)
            .map_err(text)?
            .map(delivery)
            .transpose()
    }

    fn sending(&self, id: i64, now: Timestamp) -> Result<(), String> {
        self.0.store.outbox_sending(id, now).map_err(text)
    }

    fn confirmed(
        &self,
        id: i64,
        issue_number: Option<i64>,
        url: Option<&str>,
        now: Timestamp,
    ) -> Result<(), String> {
        self.0
            .store
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
        self.0
            .store
            .outbox_unknown(id, retry_at, why, now)
            .map_err(text)
    }

    fn retry(&self, id: i64, retry_at: Timestamp, why: &str, now: Timestamp) -> Result<(), String> {
        self.0
            .store
            .outbox_retry(id, retry_at, why, now)
            .map_err(text)
    }

    fn dead(&self, id: i64, why: &str, now: Timestamp) -> Result<(), String> {
        self.0.store.outbox_dead(id, why, now).map_err(text)
    }

    fn created_since(&self, destination: &str, since: Timestamp) -> Result<u32, String> {
        self.0
            .store
            .outbox_created_since(destination, since)
            .map_err(text)
    }

    fn parked(&self, why: &str, now: Timestamp) -> Result<(), String> {
        let finding = Finding::new(
            Class::SelfEscalationDown,
            GITHUB,
            Severity::Error,
            &format!("nothing can be delivered: {why}"),
            "courier",
            now,
        );
        let intake = Intake {
            findings: vec![finding],
            cursor: None,
        };
        self.0.store.intake(intake, now).map(|_| ()).map_err(text)
    }

    fn unparked(&self, now: Timestamp) -> Result<(), String> {
        let open = self
            .0
            .store
            .reader()
            .and_then(|reader| reader.open_tasks())
            .map_err(text)?;
        for task in open
            .iter()
            .filter(|task| task.class == Class::SelfEscalationDown)
        {
            let message = "deliveries go through again".to_owned();
            let close = Transition::Close {
                resolution: Resolution::SelfCleared,
                message,
            };
            self.0
                .store
                .transition(task.id, close, "courier", now)
                .map_err(text)?;
        }
        Ok(())
    }
}
