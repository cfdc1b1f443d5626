//! The composition root: what runs, on which thread, and in which order it stops.
//!
//! Threads: supervisor (the caller's), `writer` (owned by the store), `scanner`, one `stream-…` per
//! source, `worker-1…N`, `courier`, `fleet`. Producers stop first, then those they feed; the writer is last.

pub mod attempt;
mod awaited;
pub mod bell;
pub mod carry_out;
pub mod changes;
pub mod courier;
pub mod demo;
pub mod diagnose;
mod ends;
pub mod escalate;
pub mod explain;
pub mod feedback;
pub mod fleet;
#[cfg(fuzzing)]
pub mod fuzzing;
pub mod gather;
pub mod habits;
pub mod healthy;
pub mod job;
pub mod llm;
pub mod loaded_config;
pub mod logging;
pub mod manager;
mod memory;
pub mod once;
pub mod ourselves;
pub mod outbox;
mod returns;
pub mod runtime;
pub mod safe_start;
pub mod scanner;
pub mod status;
pub mod storm_limit;
pub mod streams;
pub mod supervisor;
pub mod take_back;
#[cfg(test)]
mod tests;
pub mod transports;
pub mod verify;
pub mod worker;

use std::thread::{self, Scope, ScopedJoinHandle};

pub use runtime::{Options, Runtime, StartError, Timing};

use crate::core::model::hint::Hint;
use crate::store::StoreError;

/// Starts every thread, supervises until a stop is asked for, then drains.
pub fn run(runtime: &Runtime) -> Result<(), StoreError> {
    courier::route(runtime);
    safe_start::start(runtime)?;
    worker::recover(runtime, runtime.host.clock.now())?;
    thread::scope(|scope| {
        let mut producers = vec![spawn(scope, "scanner", || scanner::run(runtime))];
        producers.push(spawn(scope, "stream-manager", || manager::run(runtime)));
        let sources = streams::sources(runtime);
        let streams = sources.len();
        for (at, source) in sources.into_iter().enumerate() {
            let name = format!("stream-{}", source.name());
            producers.push(spawn(scope, &name, move || {
                if safe_start::wait(runtime, source.name(), at, streams) {
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
