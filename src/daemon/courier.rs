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
use crate::escalation::channel::Channel;
use crate::escalation::courier::Courier;
use crate::escalation::issues::IssueTracker;
use crate::escalation::tracker::Tracker;
use crate::host::net::account::charged;

/// Longest wait without a ring: back-offs end, networks come back.
const IDLE_WAIT: Duration = Duration::from_secs(30);

/// Stack of a channel's thread: the deepest path is JSON, TLS and SQLite, far below this.
const STACK_BYTES: usize = 512 << 10;
const NO_THREAD_WAIT: Duration = Duration::from_secs(5);

/// The couriers of one configuration, one per destination.
#[derive(Default)]
struct Couriers {
    tracker: Option<Courier<IssueTracker>>,
    /// What each is told past the store.
    tracker_storeless: Storeless,
    channels: Vec<(Courier<Channel>, Storeless)>,
    poller: Option<ReplyPoller>,
    answers: Vec<AnswerPoller>,
}

/// Thread body: deliver what is due, then wait for a ring or the next due time.
pub fn run(runtime: &Runtime) {
    let mut serving: Option<(Told, Couriers)> = None;
    let mut rings = 0;
    while !runtime.stopping() {
        let config = runtime.loaded().config.clone();
        let told = Told::of(&config);
        let current = serving.as_ref().is_some_and(|(one, _)| *one == told);
        if !current {
            leave(serving.take());
            route(runtime);
            let couriers = Couriers {
                tracker: transports::tracker(runtime, &config),
                tracker_storeless: Storeless::default(),
                channels: transports::channels(runtime, &config)
                    .into_iter()
                    .map(|courier| (courier, Storeless::default()))
                    .collect(),
                poller: ReplyPoller::new(runtime, &config.escalation),
                answers: AnswerPoller::all(runtime, &config.channels()),
            };
            serving = Some((told, couriers));
        }
        let now = runtime.host.clock.now();
        let cost = runtime.uplink.book(&runtime.store, now);
        let ceiling = config.uplink.bytes_per_day;
        let spent = ceiling > 0 && cost >= ceiling;
        let held = spent.then(|| uplink::day_ends(now));
        let wait = match &mut serving {
            Some((_, couriers)) if !runtime.dry_run => {
                let served = pass(runtime, couriers, held);
                let now = runtime.host.clock.now();
                // Nobody is asked for answers once the ceiling is reached.
                let poller = couriers.poller.as_mut().filter(|_| !spent);
                let replies = poller.map_or(IDLE_WAIT, |poller| {
                    let account = runtime.uplink.account(GITHUB);
                    charged(&account, || poller.tick(runtime, now)).since(now)
                });
                let answers = couriers.answers.iter_mut().filter(|_| !spent);
                let answers = answers.map(|one| {
                    let account = runtime.uplink.account(one.destination());
                    charged(&account, || one.tick(runtime, now)).since(now)
                });
                served.min(replies).min(answers.min().unwrap_or(IDLE_WAIT))
            }
            _ => IDLE_WAIT,
        };
        runtime.beat("courier");
        if !wait.is_zero() {
            rings = runtime.courier.wait(rings, wait);
        }
    }
    leave(serving);
    let now = runtime.host.clock.now();
    runtime.uplink.close(&runtime.store, now);
}

/// Each destination once, all at the same time: many that are away cost the time of one attempt. The time until the
/// next is due.
fn pass(runtime: &Runtime, couriers: &mut Couriers, held: Option<Timestamp>) -> Duration {
    if let Some(courier) = &mut couriers.tracker {
        courier.hold_until(held);
    }
    std::thread::scope(|scope| {
        let serve = |(courier, storeless): &mut (Courier<Channel>, Storeless)| {
            courier.at_wall(runtime.host.clock.ahead_s());
            courier.hold_until(held);
            let wait = tick(runtime, Some(courier), storeless);
            let account = runtime.uplink.account(courier.destination());
            charged(&account, || {
                courier.tracker().keep(&mut || standing(runtime))
            });
            runtime.beat("courier");
            wait
        };
        let begun = couriers.channels.iter_mut().map(|channel| {
            let thread = std::thread::Builder::new().name("channel".to_owned());
            let thread = thread.stack_size(STACK_BYTES);
            thread.spawn_scoped(scope, move || serve(channel))
        });
        let begun: Vec<_> = begun.collect();
        let tracker = tick(
            runtime,
            couriers.tracker.as_mut(),
            &mut couriers.tracker_storeless,
        );
        let channels = begun.into_iter().map(|thread| match thread {
            Ok(thread) => thread
                .join()
                .unwrap_or_else(|panic| std::panic::resume_unwind(panic)),
            Err(why) => {
                log::error!("a channel is served later: no thread: {why}");
                NO_THREAD_WAIT
            }
        });
        channels.fold(tracker, Duration::min)
    })
}

/// What is kept open is ended in order.
fn leave(serving: Option<(Told, Couriers)>) {
    if let Some((_, couriers)) = serving {
        for (mut courier, _) in couriers.channels {
            courier.tracker().leave();
        }
    }
}

/// How the gateway stands; `None` while the store does not say.
fn standing(runtime: &Runtime) -> Option<Tally> {
    let (open, needs_human) = runtime.store.reader().ok()?.open_and_escalated().ok()?;
    Some(Tally { open, needs_human })
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
    let account = runtime.uplink.account(courier.destination());
    let next = charged(&account, || {
        storeless.tick(runtime, courier, &outbox, now);
        runtime.beat("courier");
        courier.tick(&outbox, now)
    });
    let wait = next.at.since(now).min(IDLE_WAIT);
    runtime.beat("courier");
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
    let destinations = tracker.into_iter().chain(channels.iter().map(Route::of));
    let words: Vec<String> = destinations.map(|route| route.word()).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let coalesce = Duration::from_secs(config.escalation.coalesce_s);
    let now = runtime.host.clock.now();
    if let Err(why) = runtime.store.set_routing(&words, coalesce, now) {
        log::error!("destinations are not recorded: {}", why.with_hint());
    }
}
