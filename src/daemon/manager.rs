//! The thread that hears the service manager's own words as they come: the manager takes them in, and those after
//! which a fault may stand or be over poke the scanner at once.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::core::model::gate::Gate;
use crate::core::model::hint::Hint;
use crate::core::model::manager_event::{Happening, JobResult, ManagerEvent};
use crate::daemon::loaded_config::LoadedConfig;
use crate::daemon::runtime::Runtime;
use crate::services::{Ear, ServiceError, ServiceManager};

/// Name of the heartbeat; the thread is `stream-manager`.
pub const NAME: &str = "manager";
/// First pause before the manager is listened to again; doubles up to [`RETRY_MAX`].
const RETRY_FIRST: Duration = Duration::from_millis(100);
const RETRY_MAX: Duration = Duration::from_secs(60);

/// True for words after which a fault may stand, or be over.
fn concerns(what: &Happening) -> bool {
    match what {
        Happening::UnitChanged(change) => change.active.is_some() || change.n_restarts.is_some(),
        Happening::JobRemoved { result, .. } => *result != JobResult::Done,
        Happening::Gap => true,
        Happening::JobNew { .. }
        | Happening::UnitNew(_)
        | Happening::UnitRemoved(_)
        | Happening::Reloading(_)
        | Happening::Signal { .. }
        | Happening::ManagerState(_) => false,
    }
}

/// Hears for the daemon as long as the settings stay what they are: a reload brings other managers.
struct Hearing<'a> {
    runtime: &'a Runtime,
    loaded: &'a Arc<LoadedConfig>,
    manager: &'a dyn ServiceManager,
}

impl Ear for Hearing<'_> {
    fn listens(&mut self) -> bool {
        self.runtime.beat(NAME);
        !self.runtime.stopping() && Arc::ptr_eq(self.loaded, &self.runtime.loaded())
    }

    fn hear(&mut self, event: ManagerEvent) {
        log::trace!("manager: {:?}", event.what);
        self.runtime.set_manager_followed(true);
        take_in(self.runtime, self.manager, &event);
    }
}

/// What a word of the manager means for this program.
pub fn take_in(runtime: &Runtime, manager: &dyn ServiceManager, event: &ManagerEvent) {
    // Before the sweep that the poke asks for.
    manager.hear(std::slice::from_ref(event));
    if concerns(&event.what) {
        runtime.poke.ring();
    }
    if let Happening::ManagerState(state) = event.what
        && state.is_settled()
    {
        // What is not started amid a boot waits for no other word.
        match runtime.store.wake_waiting(Gate::Wanted, event.seen) {
            Ok(0) => {}
            Ok(_) => runtime.work.ring(),
            Err(why) => log::warn!("what waits for the end of the boot: {}", why.with_hint()),
        }
    }
}

/// Thread body. Listens again with growing pauses where the manager is silent or broke off.
pub fn run(runtime: &Runtime) {
    let mut pause = RETRY_FIRST;
    while !runtime.stopping() {
        let started = Instant::now();
        let loaded = runtime.loaded();
        for manager in &loaded.managers {
            let mut hearing = Hearing {
                runtime,
                loaded: &loaded,
                manager: manager.as_ref(),
            };
            match manager.follow(&mut hearing) {
                Ok(()) => pause = RETRY_FIRST,
                Err(ServiceError::Absent(what)) => log::debug!("{}: {what}", manager.name()),
                Err(why) => log::warn!("{}: {why}", manager.name()),
            }
        }
        runtime.set_manager_followed(false);
        if started.elapsed() > RETRY_MAX {
            pause = RETRY_FIRST;
        }
        rest(runtime, pause);
        pause = pause.saturating_mul(2).min(RETRY_MAX);
    }
    runtime.ends(NAME);
}

/// Pauses with signs of life.
fn rest(runtime: &Runtime, pause: Duration) {
    runtime.beat(NAME);
    if !runtime.stopping() {
        runtime.halt.pause(pause);
    }
    runtime.beat(NAME);
}
