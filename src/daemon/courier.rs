//! The courier thread: delivers what is due.

use std::time::Duration;

use crate::core::config;
use crate::core::model::hint::Hint;
use crate::daemon::feedback::ReplyPoller;
use crate::daemon::outbox::StoreOutbox;
use crate::daemon::runtime::Runtime;
use crate::daemon::storeless::Storeless;
use crate::daemon::transports;
use crate::escalation::courier::Courier;
use crate::escalation::github::{self, GitHub};
use crate::escalation::tracker::Tracker;
use crate::escalation::webhook::{self, Webhook};

/// Longest wait without a ring: back-offs end, networks come back.
const IDLE_WAIT: Duration = Duration::from_secs(30);

/// The couriers of one configuration, one per destination.
#[derive(Default)]
struct Couriers {
    github: Option<Courier<GitHub>>,
    webhook: Option<Courier<Webhook>>,
    /// What each is told past the store.
    github_storeless: Storeless,
    webhook_storeless: Storeless,
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
                github: transports::github(runtime, &config.escalation),
                webhook: transports::webhook(runtime, &config),
                github_storeless: Storeless::default(),
                webhook_storeless: Storeless::default(),
                poller: ReplyPoller::new(runtime, &config.escalation),
            };
            serving = Some((config.escalation, config.webhook, couriers));
        }
        let wait = match &mut serving {
            Some((.., couriers)) if !runtime.dry_run => {
                let github = tick(
                    runtime,
                    couriers.github.as_mut(),
                    &mut couriers.github_storeless,
                );
                let webhook = tick(
                    runtime,
                    couriers.webhook.as_mut(),
                    &mut couriers.webhook_storeless,
                );
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
fn tick<T: Tracker>(
    runtime: &Runtime,
    courier: Option<&mut Courier<T>>,
    storeless: &mut Storeless,
) -> Duration {
    let Some(courier) = courier else {
        return IDLE_WAIT;
    };
    let now = runtime.host.clock.now();
    let outbox = StoreOutbox {
        store: &runtime.store,
        destination: courier.destination().to_owned(),
    };
    storeless.tick(runtime, courier, &outbox, now);
    let wait = courier.tick(&outbox, now).at.since(now).min(IDLE_WAIT);
    runtime.beat("courier");
    wait
}

/// Tells the store where escalations go. Called before the first worker starts, and on a reload.
pub fn route(runtime: &Runtime) {
    let loaded = runtime.loaded();
    let config = &loaded.config;
    let mut destinations = Vec::new();
    if config.escalation.github.is_some() {
        destinations.push(github::DESTINATION);
    }
    if !config.webhook.url.is_empty() {
        destinations.push(webhook::DESTINATION);
    }
    let coalesce = Duration::from_secs(config.escalation.coalesce_s);
    let now = runtime.host.clock.now();
    if let Err(why) = runtime.store.set_routing(&destinations, coalesce, now) {
        log::error!("destinations are not recorded: {}", why.with_hint());
    }
}
