//! The courier thread: delivers what is due.

use std::time::Duration;

use crate::core::config;
use crate::core::human::mqtt::Tally;
use crate::core::human::route::{GITHUB, Route};
use crate::core::model::hint::Hint;
use crate::core::model::time::Timestamp;
use crate::daemon::answers::AnswerPoller;
use crate::daemon::feedback::ReplyPoller;
use crate::daemon::outbox::StoreOutbox;
use crate::daemon::runtime::Runtime;
use crate::daemon::storeless::Storeless;
use crate::daemon::{transports, uplink};
use crate::escalation::courier::Courier;
use crate::escalation::outbox::{Outbox, OutboxError};
use crate::escalation::tracker::{AnyTracker, Tracker};
use crate::host::net::account::charged;
use crate::store::Store;

/// Longest wait without a ring: back-offs end, networks come back.
const IDLE_WAIT: Duration = Duration::from_secs(30);

/// Stack of a channel's thread: the deepest path is JSON, TLS and SQLite, far below this.
const STACK_BYTES: usize = 512 << 10;

/// Thread body, with a thread of its own for each channel: what is slow or away holds up nobody else. Each delivers what
/// is due, then waits for a ring or the next due time.
pub fn run(runtime: &Runtime) {
    while !runtime.stopping() {
        let config = runtime.loaded().config.clone();
        let told = Told::of(&config);
        let is_current = || !runtime.stopping() && Told::of(&runtime.loaded().config) == told;
        route(runtime);
        std::thread::scope(|scope| {
            let channels = match runtime.dry_run {
                true => Vec::new(),
                false => transports::channels(runtime, &config),
            };
            for courier in channels {
                let thread = std::thread::Builder::new().name("channel".to_owned());
                let thread = thread.stack_size(STACK_BYTES);
                let body = || channel(runtime, courier, &is_current);
                if let Err(why) = thread.spawn_scoped(scope, body) {
                    // As for every thread: without it the daemon would look alive and tell nobody.
                    log::error!("cannot start the thread of a channel: {why}");
                    std::process::exit(1);
                }
            }
            tracker(runtime, &config, &is_current);
            // Each channel's attempt in hand ends first; they give their own signs of life.
            runtime.ends("courier");
        });
    }
}

/// The tracker, and the answers that humans gave there.
fn tracker(runtime: &Runtime, config: &config::Config, is_current: &dyn Fn() -> bool) {
    let mut courier = transports::tracker(runtime, config);
    let mut poller = ReplyPoller::new(runtime, &config.escalation);
    let mut storeless = Storeless::default();
    let mut rings = 0;
    while is_current() {
        let wait = match &mut courier {
            Some(courier) if !runtime.dry_run => {
                let held = held(runtime);
                courier.hold_until(held);
                let wait = tick(runtime, "courier", courier, &mut storeless);
                let now = runtime.host.clock.now();
                // Nobody is asked for answers once the ceiling is reached.
                let poller = poller.as_mut().filter(|_| held.is_none());
                let replies = poller.map_or(IDLE_WAIT, |poller| {
                    let account = runtime.uplink.account(GITHUB);
                    charged(&account, || poller.tick(runtime, now)).since(now)
                });
                wait.min(replies)
            }
            _ => IDLE_WAIT,
        };
        runtime.beat("courier");
        rings = runtime.courier.wait(rings, wait);
    }
    let now = runtime.host.clock.now();
    runtime.uplink.close(&runtime.store, now);
}

/// One channel and the answers from there, until it is configured otherwise; what is kept open is ended in order.
fn channel(runtime: &Runtime, mut courier: Courier<AnyTracker>, is_current: &dyn Fn() -> bool) {
    let destination = courier.destination().to_owned();
    let name = format!("channel {destination}");
    let account = runtime.uplink.account(&destination);
    let mut answers = AnswerPoller::of(runtime, &destination);
    let mut storeless = Storeless::default();
    let mut rings = 0;
    while is_current() {
        let held = held(runtime);
        courier.at_wall(runtime.host.clock.ahead_s());
        courier.hold_until(held);
        let mut wait = tick(runtime, &name, &mut courier, &mut storeless);
        charged(&account, || {
            courier.tracker().keep(&mut || standing(runtime))
        });
        if let Some(answers) = answers.as_mut().filter(|_| held.is_none()) {
            let now = runtime.host.clock.now();
            let next = charged(&account, || answers.tick(runtime, now));
            wait = wait.min(next.since(now));
        }
        runtime.beat(&name);
        rings = runtime.courier.wait(rings, wait);
    }
    charged(&account, || courier.tracker().leave());
    runtime.ends(&name);
}

/// Until when only what is critical is told: the uplink's ceiling is reached.
fn held(runtime: &Runtime) -> Option<Timestamp> {
    let now = runtime.host.clock.now();
    let cost = runtime.uplink.book(&runtime.store, now);
    let ceiling = runtime.loaded().config.uplink.bytes_per_day;
    (ceiling > 0 && cost >= ceiling).then(|| uplink::day_ends(now))
}

/// How the gateway stands; `None` while the store does not say.
fn standing(runtime: &Runtime) -> Option<Tally> {
    let reader = runtime.store.reader().ok()?;
    let asks = reader.asks(runtime.host.clock.now()).ok()?;
    Some(Tally {
        open: reader.open().ok()?,
        needs_human: asks.count(),
    })
}

/// What decides which destinations there are, and how they are spoken to.
#[derive(PartialEq)]
struct Told(config::Escalation, Vec<config::Notify>);

impl Told {
    fn of(config: &config::Config) -> Self {
        let channels = config.channels().into_iter();
        let all = channels.chain(config.tracker().cloned()).collect();
        Self(config.escalation.clone(), all)
    }
}

/// One attempt at one destination; the time until the next is due.
fn tick(
    runtime: &Runtime,
    thread: &str,
    courier: &mut Courier<AnyTracker>,
    storeless: &mut Storeless,
) -> Duration {
    let now = runtime.host.clock.now();
    let outbox = StoreOutbox {
        store: &runtime.store,
        destination: courier.destination().to_owned(),
    };
    let account = runtime.uplink.account(courier.destination());
    let next = charged(&account, || {
        storeless.tick(runtime, courier, &outbox, now);
        runtime.beat(thread);
        courier.tick(&outbox, now)
    });
    let wait = next.at.since(now).min(IDLE_WAIT);
    runtime.uplink.tried(courier.destination(), courier.fails());
    runtime.beat(thread);
    wait
}

/// Tells the store where escalations go. Called before the first worker starts, and on a reload.
pub fn route(runtime: &Runtime) {
    let loaded = runtime.loaded();
    let config = &loaded.config;
    let github = config.escalation.github.as_ref();
    let github = github.map(|_| Route::all(GITHUB));
    let tracker = github.or_else(|| config.tracker().map(Route::of));
    let channels = config.channels();
    let channels = channels.iter().map(Route::of);
    let destinations: Vec<Route> = tracker.into_iter().chain(channels).collect();
    let words: Vec<String> = destinations.iter().map(Route::word).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let coalesce = Duration::from_secs(config.escalation.coalesce_s);
    let now = runtime.host.clock.now();
    if let Err(why) = runtime.store.set_routing(&words, coalesce, now) {
        log::error!("destinations are not recorded: {}", why.with_hint());
    }
    let told: Vec<&str> = destinations
        .iter()
        .map(|one| one.destination.as_str())
        .collect();
    if let Err(why) = forget_others(&runtime.store, &told, now) {
        log::error!("what is told no more is not closed: {}", why.with_hint());
    }
}

/// Nobody serves a destination that is not configured any more: that it cannot be reached is over.
fn forget_others(store: &Store, told: &[&str], now: Timestamp) -> Result<(), OutboxError> {
    for destination in StoreOutbox::parked_ones(store)? {
        if !told.contains(&destination.as_str()) {
            StoreOutbox { store, destination }.unparked(now)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::store::StoreOptions;

    #[test]
    fn what_is_not_configured_any_more_is_not_down_any_more() {
        let now: Timestamp = "2026-03-01 12:00:00".parse().unwrap();
        let dir = tempfile::tempdir().unwrap();
        let options = StoreOptions::at(dir.path().join("tasks.db"));
        let (store, _) = Store::open(&options, now).unwrap();
        for destination in ["gone", "stays"] {
            let destination = destination.to_owned();
            let outbox = StoreOutbox {
                store: &store,
                destination,
            };
            outbox.parked("wrong password", now).unwrap();
        }
        forget_others(&store, &["stays"], now).unwrap();
        assert_eq!(StoreOutbox::parked_ones(&store).unwrap(), ["stays"]);
    }
}
