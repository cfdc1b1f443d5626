//! One task on its way through a step: what everything that is done for it needs.

use std::sync::Arc;

use crate::core::diagnosis::naming;
use crate::core::model::task::{Task, Transition};
use crate::core::model::time::Timestamp;
use crate::core::remedy::step::Reason;
use crate::daemon::diagnose::{self, Diagnosis};
use crate::daemon::gather::TaskFacts;
use crate::daemon::loaded_config::LoadedConfig;
use crate::daemon::runtime::Runtime;
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

    /// Puts the task off; what the reason waits for makes it due sooner.
    pub fn wait(&self, until: Timestamp, reason: &Reason) -> Result<(), StoreError> {
        let waits_for = reason.waits_for();
        let reason = match waits_for.gate() {
            Some(gate) => format!("{gate}: {reason}"),
            None => reason.to_string(),
        };
        self.transition(Transition::Wait {
            until,
            waits_for,
            reason,
        })
    }

    /// Names the cause, ranks what could be done, and writes the cause down.
    pub fn diagnosed(&self, facts: &TaskFacts) -> Result<Diagnosis, StoreError> {
        let found = diagnose::diagnose(self.runtime, &self.loaded, self.task, &facts.finding)?;
        // Why it failed stays known while its next run is still to tell anything.
        let before = facts
            .before
            .as_ref()
            .filter(|_| naming::only_counts(found.cause));
        let before = before.map(|before| naming::name_cause(before, &self.loaded.causes));
        let (cause, confidence, why) = match &before {
            Some(named) => (named.cause, named.confidence, &named.why),
            None => (found.cause, found.confidence, &found.why),
        };
        let store = &self.runtime.store;
        store.set_diagnosis(
            self.task.id,
            cause.as_str(),
            confidence,
            why,
            self.worker,
            self.now(),
        )?;
        Ok(found)
    }
}
