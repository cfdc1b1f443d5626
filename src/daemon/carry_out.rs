//! Carries a decided step out: what it makes of the task, the host and the human, written down as it is done.

use std::time::Duration;

use crate::actions::Action;
use crate::core::config::Mode;
use crate::core::model::gate::Gate;
use crate::core::model::proposal::Proposal;
use crate::core::model::task::{Resolution, Transition, WaitsFor};
use crate::core::model::time::Timestamp;
use crate::core::reading::wanted::Unwanted;
use crate::core::remedy::ending::WindowEnd;
use crate::core::remedy::step::{Reason, Step};
use crate::daemon::diagnose::Diagnosis;
use crate::daemon::gather::TaskFacts;
use crate::daemon::job::Job;
use crate::daemon::{attempt, by_hand, escalate};
use crate::store::{Proposed, StoreError};

/// A dry run tells nobody and asks itself again after this long.
const DRY_PAUSE: Duration = Duration::from_secs(3_600);

/// What was made on the way to a decision.
#[derive(Debug, Default)]
pub struct Groundwork {
    pub diagnosis: Option<Diagnosis>,
    /// The action that was checked last.
    pub action: Option<Box<dyn Action>>,
}

/// Does `step` for a claimed task.
pub fn step(
    job: &Job<'_>,
    step: Step,
    facts: &TaskFacts,
    prepared: Groundwork,
) -> Result<(), StoreError> {
    let Groundwork { diagnosis, action } = prepared;
    // Steps that were decided without a diagnosis need one for what the human reads.
    let diagnosed = |found: Option<Diagnosis>| match found {
        Some(found) => Ok(found),
        None => job.diagnosed(facts),
    };
    match step {
        Step::Wait { until, reason, .. } => {
            if reason.waits_for().root().is_some() {
                escalate::waits_in_case(job, facts)?;
            }
            match facts.past.told {
                0 => job.wait(until, &reason),
                _ => wait_told(job, until, &reason),
            }
        }
        Step::Act {
            phase,
            why,
            action: decided,
        } => {
            let Some(action) = action else {
                return job.transition(Transition::Release {
                    reason: "the action that was decided on is not at hand".to_owned(),
                });
            };
            if phase != job.task.phase {
                let store = &job.runtime.store;
                store.set_phase(job.task.id, phase, job.worker, &why, job.now())?;
            }
            let chosen = attempt::Chosen {
                phase,
                action: action.as_ref(),
                decided: &decided,
            };
            attempt::take(job, &chosen)
        }
        Step::Tell {
            reason,
            proposed,
            retry_at,
        } => {
            let told = escalate::Telling {
                diagnosis: &diagnosed(diagnosis)?,
                reason,
                proposed,
                retry_at,
            };
            tell(job, &told)
        }
        // A human may have been quicker than we were.
        Step::Green => match by_hand::of(job, facts)? {
            Some(what) => close(job, Resolution::Human, &what),
            None => attempt::green_late(job),
        },
        Step::Close { resolution, reason } => {
            let with_root = matches!(reason, Reason::OverWithRoot { .. });
            let by_hand = match with_root {
                true => None,
                false => by_hand::of(job, facts)?,
            };
            match by_hand {
                Some(what) => close(job, Resolution::Human, &what),
                None => close(job, resolution, &reason.to_string()),
            }
        }
        Step::Refuse {
            phase,
            kind,
            reason,
        } => {
            attempt::refused(job, phase, kind, &reason.to_string())?;
            let message = reason.to_string();
            let next = Transition::FixFailed { phase, message };
            job.transition(next)
        }
    }
}

/// Puts the task before a human; a dry run only writes down that it would.
pub fn tell(job: &Job<'_>, told: &escalate::Telling<'_>) -> Result<(), StoreError> {
    let proposed = match &told.proposed {
        Some(action) => Some(proposed(job, action, &told.reason)?),
        None => None,
    };
    if !job.runtime.dry_run {
        return escalate::to_human(job, told, proposed);
    }
    if let Some(proposed) = proposed {
        let (store, now) = (&job.runtime.store, job.now());
        store.propose(job.task.id, proposed, job.worker, &told.text(), now)?;
    }
    let mut reason = told.text();
    if told.proposed.is_none() {
        reason = format!("would escalate: {reason}");
        job.note("proposed", "escalate", &reason)?;
    }
    let until = job.now().plus(DRY_PAUSE);
    job.transition(Transition::Wait {
        until,
        waits_for: WaitsFor::Time,
        reason,
    })
}

/// An action with how it is to be named on the task's issue.
fn proposed(job: &Job<'_>, action: &Proposal, why: &Reason) -> Result<Proposed, StoreError> {
    let reader = job.runtime.store.reader()?;
    Ok(Proposed {
        by_name: reader.showed_another(job.task.id, &action.digest())?,
        action: action.clone(),
        held_back: matches!(why, Reason::Mode(Mode::Observe)),
    })
}

/// Puts off what a human was told of: it stays escalated, unless something else than time may end the wait.
fn wait_told(job: &Job<'_>, until: Timestamp, reason: &Reason) -> Result<(), StoreError> {
    let wakes = match reason.waits_for() {
        WaitsFor::Root(_) => true,
        WaitsFor::Gate(gate) => {
            matches!(gate, Gate::KillSwitch | Gate::Maintenance | Gate::Silence)
                || is_of_boot(reason)
        }
        WaitsFor::Time | WaitsFor::Snooze => false,
    };
    if wakes {
        return job.wait(until, reason);
    }
    let reason = reason.to_string();
    job.transition(Transition::StillEscalated { until, reason })
}

/// The manager starts up or stops: its word of the end, or the time that a boot is given, ends the wait.
fn is_of_boot(reason: &Reason) -> bool {
    matches!(reason, Reason::Unwanted(unit) if matches!(unit.why, Unwanted::Manager(_)))
}

fn close(job: &Job<'_>, resolution: Resolution, why: &str) -> Result<(), StoreError> {
    let (task, now) = (job.task, job.now());
    job.runtime.close(task, resolution, why, job.worker, now)
}

/// Does what the end of a stability window means.
pub fn window_end(job: &Job<'_>, end: WindowEnd) -> Result<(), StoreError> {
    let task = job.task;
    match end {
        WindowEnd::Close { resolution, reason } => {
            log::info!(
                "{resolution}: task {} {} {}",
                task.id,
                task.class,
                task.subject
            );
            close(job, resolution, &reason.to_string())
        }
        WindowEnd::Regressed(finding) => attempt::regressed(job, &finding),
        WindowEnd::Longer { until, reason } => {
            log::debug!("task {}: {reason}", task.id);
            let message = reason.to_string();
            job.transition(Transition::LookLater {
                stable_until: until,
                message,
            })
        }
        WindowEnd::Tell(reason) => {
            let finding = task.finding();
            let runtime = job.runtime;
            let found = crate::daemon::diagnose::diagnose(runtime, &job.loaded, task, &finding)?;
            let told = escalate::Telling {
                diagnosis: &found,
                reason,
                proposed: None,
                retry_at: None,
            };
            tell(job, &told)
        }
    }
}

impl Job<'_> {
    pub fn transition(&self, transition: Transition) -> Result<(), StoreError> {
        let store = &self.runtime.store;
        store.transition(self.task.id, transition, self.worker, self.now())
    }

    pub fn note(&self, event: &str, details: &str, reason: &str) -> Result<(), StoreError> {
        let store = &self.runtime.store;
        store.note(
            Some(self.task.id),
            event,
            details,
            self.worker,
            reason,
            self.now(),
        )
    }
}
