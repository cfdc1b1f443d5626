//! One task on its way through a step: what everything that is done for it needs.

use std::sync::Arc;

use crate::core::model::task::Task;
use crate::core::model::time::Timestamp;
use crate::daemon::Runtime;
use crate::daemon::diagnose::{self, Diagnosis};
use crate::daemon::gather::Facts;
use crate::daemon::loaded_config::LoadedConfig;
use crate::store::StoreError;

/// One task in a worker's hands, with the set of settings that its step began with.
#[derive(Debug)]
pub struct Job<'a> {
    pub runtime: &'a Runtime,
    pub loaded: Arc<LoadedConfig>,
    pub task: &'a Task,
    pub worker: &'a str,
}

impl<'a> Job<'a> {
    pub fn new(runtime: &'a Runtime, task: &'a Task, worker: &'a str) -> Self {
        Self {
            runtime,
            loaded: runtime.loaded(),
            task,
            worker,
        }
    }

    pub fn now(&self) -> Timestamp {
        self.runtime.host.clock.now()
    }

    /// Names the cause, ranks what could be done, and writes the cause down.
    pub fn diagnosed(&self, facts: &Facts) -> Result<Diagnosis, StoreError> {
        let found = diagnose::diagnose(self.runtime, &self.loaded, self.task, &facts.finding)?;
        let (cause, why) = (found.cause.as_str(), &found.why);
        let store = &self.runtime.store;
        store.set_diagnosis(
            self.task.id,
            cause,
            found.confidence,
            why,
            self.worker,
            self.now(),
        )?;
        Ok(found)
    }
}
