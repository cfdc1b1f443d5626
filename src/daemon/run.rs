//! The daemon from its first thread to its last.

use std::thread::{self, Scope, ScopedJoinHandle};

use crate::core::model::hint::Hint;
use crate::daemon::runtime::Runtime;
use crate::daemon::{
    courier, fleet, manager, safe_start, scanner, status, streams, supervisor, worker,
};
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
