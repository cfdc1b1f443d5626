//! The daemon from its first thread to its last.

use std::thread::{self, Scope, ScopedJoinHandle};
use std::time::Duration;

use crate::core::model::class::Class;
use crate::core::model::finding::{Finding, Severity};
use crate::core::model::hint::Hint;
use crate::daemon::runtime::Runtime;
use crate::daemon::safe_start::SafeStart;
use crate::daemon::{
    courier, fleet, manager, safe_start, scanner, status, streams, supervisor, worker,
};
use crate::store::{Intake, StoreError};

/// Starts every thread, supervises until a stop is asked for, then drains.
pub fn run(runtime: &Runtime) -> Result<(), StoreError> {
    courier::route(runtime);
    start(runtime)?;
    worker::recover(runtime, runtime.host.clock.now())?;
    thread::scope(|scope| {
        let mut producers = vec![spawn(scope, "scanner", || scanner::run(runtime))];
        producers.push(spawn(scope, "stream-manager", || manager::run(runtime)));
        let sources = streams::sources(runtime);
        let streams = sources.len();
        for (at, source) in sources.into_iter().enumerate() {
            let name = format!("stream-{}", source.name());
            producers.push(spawn(scope, &name, move || {
                if wait(runtime, source.name(), at, streams) {
                    streams::run(runtime, source);
                }
            }));
        }
        let mut consumers = vec![
            spawn(scope, "courier", || courier::run(runtime)),
            spawn(scope, "fleet", || fleet::run(runtime)),
        ];
        for number in 1..=runtime.loaded().config.daemon.workers {
            let name = format!("worker-{number}");
            let own = name.clone();
            consumers.push(spawn(scope, &name, move || {
                worker::run(runtime, &own, number == 1)
            }));
        }
        supervisor::supervise(runtime);
        runtime.stop();
        for thread in producers.into_iter().chain(consumers) {
            if thread.join().is_err() {
                log::error!("a thread ended by panic");
            }
        }
    });
    if let Err(why) = safe_start::end(&runtime.store) {
        log::error!("this end will count as an unclean one: {}", why.with_hint());
    }
    status::write(runtime, "stopped");
    Ok(())
}

/// Marks the start, and says loudly when it is a safe one.
fn start(runtime: &Runtime) -> Result<(), StoreError> {
    let safe = safe_start::begin(&runtime.store, runtime.host.clock.now())?;
    if let Some(safe) = safe.filter(|_| runtime.loaded().config.daemon.safe_start) {
        runtime.starts_safely(safe);
        tell(runtime, &safe);
    }
    Ok(())
}

fn tell(runtime: &Runtime, safe: &SafeStart) {
    let now = runtime.host.clock.now();
    log::error!("{}", safe.text());
    let finding = Finding::new(
        Class::SelfGap,
        "safe start",
        Severity::Error,
        &safe.text(),
        "supervisor",
        now,
    );
    let intake = Intake {
        findings: vec![finding],
        cursor: None,
    };
    if let Err(why) = runtime.store.intake(intake, now) {
        log::error!("intake: {}", why.with_hint());
    }
}

/// Waits until stream number `at` of `streams` may be read; false when everything stops.
fn wait(runtime: &Runtime, name: &str, at: usize, streams: usize) -> bool {
    let Some(safe) = runtime.safe_start() else {
        return true;
    };
    log::warn!(
        "stream {name}: held back for {} s",
        safe_start::held(at, streams).as_secs()
    );
    while !safe.is_due(at, streams) {
        if runtime.stopping() {
            return false;
        }
        runtime.halt.pause(Duration::from_secs(1));
    }
    log::warn!("stream {name}: taken in again");
    true
}

/// Stack of a thread of ours: the deepest path is JSON and SQLite, far below this.
const STACK_BYTES: usize = 512 << 10;

fn spawn<'scope, 'env>(
    scope: &'scope Scope<'scope, 'env>,
    name: &str,
    body: impl FnOnce() + Send + 'scope,
) -> ScopedJoinHandle<'scope, ()> {
    let builder = thread::Builder::new()
        .name(name.to_owned())
        .stack_size(STACK_BYTES);
    match builder.spawn_scoped(scope, body) {
        Ok(handle) => handle,
        Err(why) => {
            // Without its threads the daemon would look alive and watch nothing.
            log::error!("cannot start thread {name}: {why}");
            std::process::exit(1)
        }
    }
}
