//! The courier thread, and the store as its outbox.

use std::path::PathBuf;
use std::time::Duration;

use crate::core::config;
use crate::core::human::delivery::Delivery;
use crate::core::model::class::Class;
use crate::core::model::finding::{Finding, Severity};
use crate::core::model::task::{Resolution, Transition};
use crate::core::model::time::Timestamp;
use crate::daemon::Runtime;
use crate::daemon::feedback::ReplyPoller;
use crate::escalation::courier::{Courier, Limits, Outbox};
use crate::escalation::github::{GitHub, Settings};
use crate::escalation::http::Https;
use crate::escalation::tracker::Tracker;
use crate::escalation::webhook::{self, Webhook};
use crate::store::{Intake, OutboxRow, StoreError};

/// Longest wait without a ring: back-offs end, networks come back.
const IDLE_WAIT: Duration = Duration::from_secs(30);

/// The couriers of one configuration, one per destination.
#[derive(Default)]
struct Couriers {
    github: Option<Courier<GitHub>>,
    webhook: Option<Courier<Webhook>>,
    poller: Option<ReplyPoller>,
}

/// Thread body: deliver what is due, then wait for a ring or the next due time.
pub fn run(runtime: &Runtime) {
    let mut serving: Option<(config::Escalation, config::Webhook, Couriers)> = None;
    let mut rings = 0;
    while !runtime.stopping() {
        let config = runtime.loaded().config.clone();
        let current = serving
            .as_ref()
            .is_some_and(|(one, other, _)| *one == config.escalation && *other == config.webhook);
        if !current {
            route(runtime);
            let couriers = Couriers {
                github: github(runtime, &config.escalation),
                webhook: webhook(runtime, &config),
                poller: ReplyPoller::new(runtime, &config.escalation),
            };
            serving = Some((config.escalation, config.webhook, couriers));
        }
        let wait = match &mut serving {
            Some((.., couriers)) if !runtime.dry_run => {
                let github = tick(runtime, couriers.github.as_mut());
                let webhook = tick(runtime, couriers.webhook.as_mut());
                let now = runtime.host.clock.now();
                let poller = couriers.poller.as_mut();
                let replies =
                    poller.map_or(IDLE_WAIT, |poller| poller.tick(runtime, now).since(now));
                github.min(webhook).min(replies)
            }
            _ => IDLE_WAIT,
        };
        runtime.beat("courier");
        if !wait.is_zero() {
            rings = runtime.courier.wait(rings, wait);
        }
    }
}

/// One attempt at one destination; the time until the next is due.
fn tick<T: Tracker>(runtime: &Runtime, courier: Option<&mut Courier<T>>) -> Duration {
    let Some(courier) = courier else {
        return IDLE_WAIT;
    };
    let now = runtime.host.clock.now();
    let outbox = StoreOutbox {
        runtime,
        destination: courier.destination().to_owned(),
    };
    let wait = courier.tick(&outbox, now).at.since(now).min(IDLE_WAIT);
    runtime.beat("courier");
    wait
}

/// Tells the store where escalations go. Called before the first worker starts, and on a reload.
pub fn route(runtime: &Runtime) {
    let loaded = runtime.loaded();
    let further: &[&str] = match loaded.config.webhook.url.is_empty() {
        true => &[],
        false => &[webhook::DESTINATION],
    };
    let coalesce = Duration::from_secs(loaded.config.escalation.coalesce_s);
    if let Err(why) = runtime.store.set_routing(further, coalesce) {
        log::error!("destinations are not recorded: {why}");
    }
}

/// systemd's `$CREDENTIALS_DIRECTORY`.
pub(super) fn credentials() -> Option<PathBuf> {
    std::env::var_os("CREDENTIALS_DIRECTORY").map(PathBuf::from)
}

/// `None` keeps everything local.
fn github(runtime: &Runtime, config: &config::Escalation) -> Option<Courier<GitHub>> {
    let github = config.github.clone()?;
    let transport = Https::new(Duration::from_secs(github.timeout_s), &github.ca_file)
        .map_err(|why| not_served("escalation.github", &why))
        .ok()?
        .stopped_by(runtime.stop_flag());
    let settings = Settings {
        github,
        credentials: credentials(),
        reopen: Duration::from_secs(config.reopen_s),
    };
    let gateway_id = runtime.store.gateway_id().unwrap_or_default();
    Some(Courier::new(
        GitHub::new(settings, Box::new(transport)),
        Limits::new(config, &gateway_id),
    ))
}

fn webhook(runtime: &Runtime, config: &config::Config) -> Option<Courier<Webhook>> {
    let webhook = config.webhook.clone();
    if webhook.url.is_empty() {
        return None;
    }
    let timeout = Duration::from_secs(webhook.timeout_s);
    let transport = Https::with_plain(timeout, &webhook.ca_file)
        .map_err(|why| not_served("webhook", &why))
        .ok()?
        .stopped_by(runtime.stop_flag());
    let gateway_id = runtime.store.gateway_id().unwrap_or_default();
    let limits = Limits {
        // Its receiver is the operator's own: nobody's shared limit is to be kept.
        spread: Duration::ZERO,
        ..Limits::new(&config.escalation, &gateway_id)
    };
    let gateway = runtime.host_name(&runtime.loaded());
    let tracker = Webhook::new(Box::new(transport), webhook, credentials(), &gateway);
    Some(Courier::new(tracker, limits))
}

pub(super) fn not_served(section: &str, why: &str) {
    log::error!("{section}: {why}; nothing is delivered until the configuration is put right");
}

/// The store seen as the queue of one destination.
struct StoreOutbox<'a> {
    runtime: &'a Runtime,
    destination: String,
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
        self.runtime
            .store
            .outbox_next(destination, now)
            .map_err(text)?
            .map(delivery)
            .transpose()
    }

    fn sending(&self, id: i64, now: Timestamp) -> Result<(), String> {
        self.runtime.store.outbox_sending(id, now).map_err(text)
    }

    fn confirmed(
        &self,
        id: i64,
        issue_number: Option<i64>,
        url: Option<&str>,
        now: Timestamp,
    ) -> Result<(), String> {
        self.runtime
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
        self.runtime
            .store
            .outbox_unknown(id, retry_at, why, now)
            .map_err(text)
    }

    fn retry(&self, id: i64, retry_at: Timestamp, why: &str, now: Timestamp) -> Result<(), String> {
        self.runtime
            .store
            .outbox_retry(id, retry_at, why, now)
            .map_err(text)
    }

    fn dead(&self, id: i64, why: &str, now: Timestamp) -> Result<(), String> {
        self.runtime.store.outbox_dead(id, why, now).map_err(text)
    }

    fn created_since(&self, destination: &str, since: Timestamp) -> Result<u32, String> {
        self.runtime
            .store
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
        self.runtime
            .store
            .intake(intake, now)
            .map(|_| ())
            .map_err(text)
    }

    fn unparked(&self, now: Timestamp) -> Result<(), String> {
        let open = self
            .runtime
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
            self.runtime
                .store
                .transition(task.id, close, "courier", now)
                .map_err(text)?;
        }
        Ok(())
    }
}
