//! One attempt: booked durably, undo recorded, done, verified; and what a crash in between means.

use std::time::Duration;

use crate::actions::{self, Action, ActionError, Undo};
use crate::core::model::action::ActionKind;
use crate::core::model::task::{Phase, Task, Transition};
use crate::core::model::time::Timestamp;
use crate::daemon::Runtime;
use crate::daemon::diagnose::Diagnosis;
use crate::daemon::escalate;
use crate::daemon::loaded_config::LoadedConfig;
use crate::daemon::verify::{self, Look};
use crate::store::{Attempt, Booked, Booking, Outcome, StoreError};

/// First pause between two looks after an action; doubles up to [`LOOK_PAUSE_MAX`].
const LOOK_PAUSE: Duration = Duration::from_millis(100);
const LOOK_PAUSE_MAX: Duration = Duration::from_secs(2);
/// While another disruptive action holds the host's slot.
const SLOT_RECHECK: Duration = Duration::from_secs(2);

/// A stop comes first: the attempt stays open, and [`recover`] verifies it before anything else is done.
const HANDED_OVER: &str = "the daemon stops; verified at the next start";

/// Debug builds end here by SIGKILL when `AO_KILL_AT` names the step: the kill matrix of the tests.
fn step(_name: &str) {
    #[cfg(debug_assertions)]
    if std::env::var("AO_KILL_AT").as_deref() == Ok(_name) {
        let _ = nix::sys::signal::kill(nix::unistd::Pid::this(), nix::sys::signal::Signal::SIGKILL);
    }
}

/// Takes `action` for a claimed task and leaves the task fixed, failed or waiting.
pub fn take(
    runtime: &Runtime,
    loaded: &LoadedConfig,
    task: &Task,
    phase: Phase,
    action: &dyn Action,
    diagnosis: &Diagnosis,
    worker: &str,
) -> Result<(), StoreError> {
    let now = runtime.host.clock.now();
    let unit = action.unit().map(|unit| unit.as_str().to_owned());
    let budget = &loaded.config.budget;
    if let Some(spent) = runtime
        .store
        .budget_spent(task, unit.as_deref(), budget, now)?
    {
        return out_of_budget(runtime, loaded, task, diagnosis, spent, worker, now);
    }
    let Some(_slot) = runtime.slot(action.kind()) else {
        let reason = "slot: another disruptive action is running".to_owned();
        let until = now.plus(SLOT_RECHECK);
        return runtime
            .store
            .transition(task.id, Transition::Wait { until, reason }, worker, now);
    };
    let context = runtime.action_context(loaded);
    let undo = match action.undo_record(&context) {
        Ok(undo) => undo,
        Err(why) => {
            return fail_unbooked(runtime, task, phase, action, &why.to_string(), worker, now);
        }
    };
    step("undo_recorded");
    let booking = Booking {
        action_kind: action.kind().as_str().to_owned(),
        action_text: action.to_string(),
        subject: task.subject.clone(),
        unit,
        phase: phase.number(),
        undo: serde_json::to_string(&undo).unwrap_or_default(),
        actor: worker.to_owned(),
    };
    let attempt = match runtime.store.book_attempt(task.id, booking, budget, now)? {
        Booked::Granted(attempt) => attempt,
        // Another worker took the last of it.
        spent => return out_of_budget(runtime, loaded, task, diagnosis, spent, worker, now),
    };
    log::info!("task {}: {action}", task.id);
    step("booked");
    match actions::execute(&context, action) {
        Ok(done) => {
            step("acted");
            let evidence = serde_json::to_string(&done.evidence).unwrap_or_default();
            runtime.store.note_acted(
                attempt,
                &done.message,
                &evidence,
                worker,
                runtime.host.clock.now(),
            )?;
            step("noted");
            prove(runtime, loaded, task, phase, action, attempt, &undo, worker)
        }
        Err(why) if runtime.stopping() => {
            log::warn!("task {}: {action}: {why}: {HANDED_OVER}", task.id);
            Ok(())
        }
        Err(why) => {
            let outcome = match why {
                ActionError::Failed(_) => Outcome::Failed,
                ActionError::PreconditionGone(_) | ActionError::Refused(_) => Outcome::Refused,
            };
            log::warn!("task {}: {action}: {why}", task.id);
            failed(
                runtime,
                loaded,
                phase,
                attempt,
                outcome,
                &format!("{action}: {why}"),
                &undo,
                worker,
            )
        }
    }
}

/// A spent budget is told to a human, with the time at which there is room again.
fn out_of_budget(
    runtime: &Runtime,
    loaded: &LoadedConfig,
    task: &Task,
    diagnosis: &Diagnosis,
    spent: Booked,
    worker: &str,
    now: Timestamp,
) -> Result<(), StoreError> {
    let Booked::Exhausted {
        scope,
        used,
        limit,
        free_at,
    } = spent
    else {
        return Ok(());
    };
    let reason =
        format!("budget of this {scope} is spent ({used} of {limit}), free again at {free_at}");
    let again = Some(free_at);
    escalate::to_human(
        runtime, loaded, task, diagnosis, &reason, again, worker, now,
    )
}

/// How long an action may take to show: an equal share of its phase's time.
fn time_to_show(loaded: &LoadedConfig, phase: Phase) -> Duration {
    let fix = &loaded.config.fix;
    let (whole, attempts) = match phase {
        Phase::QuickFix => (fix.quick_deadline_s, phase.max_attempts()),
        _ => (fix.research_deadline_s, Phase::Research.max_attempts()),
    };
    let share = Duration::from_secs(whole) / attempts.max(1);
    share.min(Duration::from_secs(fix.quick_deadline_s))
}

/// Looks again with the detector until it is green or the phase's time is over.
#[allow(clippy::too_many_arguments)] // One attempt's whole context, passed straight on.
fn prove(
    runtime: &Runtime,
    loaded: &LoadedConfig,
    task: &Task,
    phase: Phase,
    action: &dyn Action,
    attempt: i64,
    undo: &Undo,
    worker: &str,
) -> Result<(), StoreError> {
    let deadline = time_to_show(loaded, phase);
    let started = std::time::Instant::now();
    let mut pause = LOOK_PAUSE;
    loop {
        match verify::look(runtime, task) {
            Look::Clear => {
                let now = runtime.host.clock.now();
                let window = Duration::from_secs(loaded.config.fix.stability_s);
                log::info!("green: task {} after {action}", task.id);
                let message = format!("{action}; verified by its detector");
                let green = Transition::FirstGreen {
                    stable_until: now.plus(window),
                    message,
                };
                runtime.store.end_attempt(
                    attempt,
                    Outcome::Verified,
                    "green",
                    green,
                    worker,
                    now,
                )?;
                step("green");
                // What this one caused may be over too.
                runtime.poke.ring();
                return Ok(());
            }
            Look::Present(_) | Look::Unknown(_) if runtime.stopping() => {
                log::warn!("task {}: {action}: {HANDED_OVER}", task.id);
                return Ok(());
            }
            Look::Present(_) if started.elapsed() < deadline => {
                runtime.beat(worker);
                runtime.poke.pause(pause);
                pause = (pause * 2).min(LOOK_PAUSE_MAX);
            }
            Look::Present(finding) => {
                let message = format!("{action}: still there afterwards: {}", finding.message);
                return failed(
                    runtime,
                    loaded,
                    phase,
                    attempt,
                    Outcome::Failed,
                    &message,
                    undo,
                    worker,
                );
            }
            Look::Unknown(why) => {
                let message = format!("{action}: cannot verify: {why}");
                return failed(
                    runtime,
                    loaded,
                    phase,
                    attempt,
                    Outcome::Unknown,
                    &message,
                    undo,
                    worker,
                );
            }
        }
    }
}

/// An attempt did not hold: takes it back and makes the task due again.
#[allow(clippy::too_many_arguments)] // As above.
fn failed(
    runtime: &Runtime,
    loaded: &LoadedConfig,
    phase: Phase,
    attempt: i64,
    outcome: Outcome,
    message: &str,
    undo: &Undo,
    worker: &str,
) -> Result<(), StoreError> {
    let now = runtime.host.clock.now();
    let message = match take_back(runtime, loaded, undo) {
        Some(undone) => format!("{message}; {undone}"),
        None => message.to_owned(),
    };
    let red = Transition::FixFailed {
        phase,
        message: message.clone(),
    };
    runtime
        .store
        .end_attempt(attempt, outcome, &message, red, worker, now)?;
    runtime.work.ring();
    Ok(())
}

/// Undoes; the text says what was put back, or that it could not be.
pub fn take_back(runtime: &Runtime, loaded: &LoadedConfig, undo: &Undo) -> Option<String> {
    if *undo == Undo::None {
        return None;
    }
    Some(match actions::undo(&runtime.action_context(loaded), undo) {
        Ok(done) => format!("undone: {done}"),
        Err(why) => {
            log::error!("undo failed: {why}");
            format!("undo FAILED: {why}")
        }
    })
}

fn fail_unbooked(
    runtime: &Runtime,
    task: &Task,
    phase: Phase,
    action: &dyn Action,
    why: &str,
    worker: &str,
    now: Timestamp,
) -> Result<(), StoreError> {
    refused(runtime, task, phase, action.kind(), why, worker, now)?;
    let message = format!("{action}: {why}");
    runtime.store.transition(
        task.id,
        Transition::FixFailed { phase, message },
        worker,
        now,
    )
}

/// Writes down an action that was not taken, so that it is not offered again in this episode.
pub fn refused(
    runtime: &Runtime,
    task: &Task,
    phase: Phase,
    kind: ActionKind,
    why: &str,
    worker: &str,
    now: Timestamp,
) -> Result<(), StoreError> {
    log::info!("task {}: {kind} refused: {why}", task.id);
    let booking = Booking {
        action_kind: kind.as_str().to_owned(),
        action_text: kind.as_str().to_owned(),
        subject: task.subject.clone(),
        unit: None,
        phase: phase.number(),
        undo: String::new(),
        actor: worker.to_owned(),
    };
    runtime.store.record_refusal(task.id, booking, why, now)
}

/// After a crash in the middle of an action: verify first, never repeat blindly.
pub fn recover(
    runtime: &Runtime,
    task: &Task,
    attempt: &Attempt,
    now: Timestamp,
) -> Result<(), StoreError> {
    let loaded = runtime.loaded();
    let (outcome, message, then) = match verify::look(runtime, task) {
        Look::Clear => (
            Outcome::Verified,
            "green after an interrupted attempt".to_owned(),
            Transition::FirstGreen {
                stable_until: now.plus(Duration::from_secs(loaded.config.fix.stability_s)),
                message: format!("{}; interrupted, found green", attempt.action_text),
            },
        ),
        Look::Present(_) | Look::Unknown(_) => {
            let undo: Undo = serde_json::from_str(&attempt.undo).unwrap_or(Undo::None);
            let undone =
                take_back(runtime, &loaded, &undo).unwrap_or_else(|| "nothing to undo".to_owned());
            let message = format!(
                "{}: interrupted and not green; {undone}",
                attempt.action_text
            );
            let red = Transition::FixFailed {
                phase: Phase::from_number(i64::from(attempt.phase)),
                message: message.clone(),
            };
            (Outcome::Unknown, message, red)
        }
    };
    runtime
        .store
        .end_attempt(attempt.id, outcome, &message, then, "recovery", now)?;
    Ok(())
}
