//! One attempt: booked durably, undo recorded, done, verified; and what a crash in between means.

use std::time::Duration;

use crate::actions::{self, Action, ActionError, Undo};
use crate::core::model::action::ActionKind;
use crate::core::model::finding::Finding;
use crate::core::model::healthy::HealthyUnits;
use crate::core::model::hint::Hint;
use crate::core::model::id::AttemptId;
use crate::core::model::proposal::Proposal;
use crate::core::model::task::{Outcome, Phase, Resolution, Transition, WaitsFor};
use crate::core::remedy::ending::Seen;
use crate::core::remedy::step::Reason;
use crate::daemon::healthy;
use crate::daemon::job::Job;
use crate::daemon::kill_point;
use crate::daemon::take_back::{self, TakeBackError};
use crate::daemon::underway::Underway;
use crate::daemon::verify;
use crate::daemon::{awaited, by_hand, gather, underway};
use crate::services;
use crate::store::{Attempt, Booked, Booking, Noted, StoreError};

/// First pause between two looks after an action; doubles up to [`LOOK_PAUSE_MAX`].
const LOOK_PAUSE: Duration = Duration::from_millis(100);
const LOOK_PAUSE_MAX: Duration = Duration::from_secs(2);
/// What nobody could look at after an action is looked at again this soon.
const BLIND_RECHECK: Duration = Duration::from_secs(30);
/// While another disruptive action holds the host's slot.
const SLOT_RECHECK: Duration = Duration::from_secs(2);

/// A stop comes first: the attempt stays open, and [`recover`] verifies it before anything else is done.
const AFTER_ALL: &str =
    "green later, though the same was said after it as before: not counted as its work";
const HANDED_OVER: &str = "the daemon stops; verified at the next start";

fn step(name: &str) {
    kill_point::reached(format_args!("{name}"));
}

/// The action that all gates are open for.
#[derive(Clone, Copy)]
pub struct Chosen<'a> {
    pub phase: Phase,
    pub action: &'a dyn Action,
    /// What was decided on, and allowed where a human was asked: nothing else is done.
    pub decided: &'a Proposal,
}

/// Takes the chosen action for a claimed task and leaves the task fixed, failed or waiting.
pub fn take(job: &Job<'_>, chosen: &Chosen<'_>) -> Result<(), StoreError> {
    let (runtime, task) = (job.runtime, job.task);
    let Chosen {
        phase,
        action,
        decided,
    } = *chosen;
    let Some(_slot) = runtime.slot(action.kind()) else {
        return job.wait(job.now().plus(SLOT_RECHECK), &Reason::Slot);
    };
    let known = healthy::known_for(action.kind(), &runtime.store.reader()?)?;
    let context = runtime.action_context(&job.loaded, &known);
    let undo = match action.undo_record(&context) {
        Ok(undo) => undo,
        Err(why) => return fail_unbooked(job, phase, action, &why.with_hint()),
    };
    step("undo_recorded");
    let booking = Booking {
        action_kind: action.kind(),
        action_text: action.to_string(),
        subject: task.subject.clone(),
        unit: action.unit().map(|unit| unit.as_str().to_owned()),
        phase: phase.number(),
        undo: undo.written(),
        actor: job.worker.to_owned(),
    };
    let budget = &job.loaded.config.budget;
    let id = match runtime
        .store
        .book_attempt(task.id, booking, budget, job.now())?
    {
        Booked::Granted(attempt) => attempt,
        // Another worker took the last of it since it was looked at: decided anew.
        Booked::Exhausted(spent) => {
            let soon = job.now().plus(SLOT_RECHECK).min(spent.free_at);
            return job.wait(soon, &Reason::Budget(spent));
        }
    };
    log::info!("task {}: {action}", task.id);
    step("booked");
    let starts = action.kind().is_start();
    let booked = Underway {
        id,
        phase,
        action: action.to_string(),
        undo,
        starts: action.unit().filter(|_| starts).cloned(),
        at: job.now(),
    };
    match actions::execute(&context, action, decided) {
        Ok(done) => {
            step("acted");
            let evidence = serde_json::to_string(&done.noted).unwrap_or_default();
            let store = &runtime.store;
            store.note_acted(id, &done.message, &evidence, job.worker, job.now())?;
            step("noted");
            prove(job, booked)
        }
        Err(why) => not_done(job, &booked, &why),
    }
}

/// Writes down why an action was not done, or failed.
fn not_done(job: &Job<'_>, booked: &Underway, why: &ActionError) -> Result<(), StoreError> {
    let (runtime, id) = (job.runtime, job.task.id);
    let message = format!("{}: {}", booked.action, why.with_hint());
    if runtime.stopping() {
        log::warn!("task {id}: {message}: {HANDED_OVER}");
        return Ok(());
    }
    log::warn!("task {id}: {message}");
    if let Some(answer) = why.answer() {
        let noted = [(Noted::Answer, answer.to_owned())];
        runtime.store.note_attempt(booked.id, &noted)?;
    }
    let outcome = match why {
        ActionError::Failed(_) => Outcome::Failed,
        ActionError::PreconditionGone(_) | ActionError::Refused(_) => Outcome::Refused,
    };
    failed(job, booked, outcome, &message)
}

/// How long an action may take to show: an equal share of its phase's time.
fn time_to_show(job: &Job<'_>, phase: Phase) -> Duration {
    let fix = &job.loaded.config.fix;
    let (whole, attempts) = match phase {
        Phase::QuickFix => (fix.quick_deadline_s, phase.max_attempts()),
        Phase::Research | Phase::Consensus | Phase::Escalation => {
            (fix.research_deadline_s, Phase::Research.max_attempts())
        }
    };
    let share = Duration::from_secs(whole) / attempts.max(1);
    share.min(Duration::from_secs(fix.quick_deadline_s))
}

/// Looks again with the detector until it is green or the phase's time is over; a start that takes longer is awaited
/// elsewhere.
fn prove(job: &Job<'_>, mut booked: Underway) -> Result<(), StoreError> {
    let runtime = job.runtime;
    let deadline = time_to_show(job, booked.phase);
    let started = job.now();
    let mut pause = LOOK_PAUSE;
    let mut was_red = false;
    loop {
        let seen = job.look();
        if seen != Seen::Clear && runtime.stopping() {
            log::warn!("task {}: {}: {HANDED_OVER}", job.task.id, booked.action);
            return Ok(());
        }
        match &seen {
            Seen::Present(finding) => {
                if !was_red {
                    was_red = true;
                    underway::note_red(job, &booked, finding)?;
                }
                match awaited::hand_over(job, booked, finding)? {
                    None => return Ok(()),
                    Some(back) => booked = back,
                }
            }
            Seen::CouldNotLook(_) => {}
            Seen::Clear | Seen::Over(_) | Seen::Stands => return ended(job, &booked, seen),
        }
        if job.now().since(started) >= deadline {
            return ended(job, &booked, seen);
        }
        runtime.beat(job.worker);
        let clock = &runtime.host.clock;
        clock.pass(pause, |span| runtime.poke.pause(span));
        pause = (pause * 2).min(LOOK_PAUSE_MAX);
    }
}

/// Writes down what came of an attempt, by the last look.
pub fn ended(job: &Job<'_>, booked: &Underway, seen: Seen) -> Result<(), StoreError> {
    let action = &booked.action;
    let (outcome, message) = match seen {
        Seen::Clear => match not_ours(job, booked)? {
            None => return green(job, booked.id, action),
            Some(Credit::ToHuman(what)) => {
                let closed = Transition::Close {
                    resolution: Resolution::Human,
                    message: what.clone(),
                };
                let store = &job.runtime.store;
                let (id, now) = (booked.id, job.now());
                store.end_attempt(id, Outcome::Unknown, &what, closed, job.worker, now)?;
                job.runtime.courier.ring();
                return Ok(());
            }
            Some(Credit::ToNobody) => {
                let message = format!("{action}: {AFTER_ALL}");
                (Outcome::Unknown, message)
            }
        },
        Seen::CouldNotLook(why) => return unverified(job, booked, why),
        Seen::Over(why) => {
            let message = format!("{action}: the fault is over without it: {why}");
            (Outcome::Unknown, message)
        }
        Seen::Present(finding) => {
            underway::note_left(job, booked.id, &finding)?;
            let message = format!("{action}: still there afterwards: {}", finding.message);
            (Outcome::Failed, message)
        }
        Seen::Stands => {
            let message = format!("{action}: only new lines would tell whether it helped");
            (Outcome::Unknown, message)
        }
    };
    failed(job, booked, outcome, &message)
}

/// Whose a green is that came after an attempt and was not its.
enum Credit {
    ToHuman(String),
    ToNobody,
}

/// Whether a green after a start that took its time was somebody else's.
fn not_ours(job: &Job<'_>, booked: &Underway) -> Result<Option<Credit>, StoreError> {
    let attempts = job.runtime.store.reader()?.attempts(job.task.id)?;
    let Some(own) = attempts.iter().find(|one| one.id == booked.id) else {
        return Ok(None);
    };
    if own.noted(Noted::Started).is_some()
        && let Some(unit) = &booked.starts
        && let Ok((_, unit)) = services::find(&job.loaded.managers, unit)
    {
        let (host, reader) = (&job.runtime.host, job.runtime.store.reader()?);
        if let Some(what) = by_hand::mended(host, &reader, job.task, &unit, true)? {
            return Ok(Some(Credit::ToHuman(what)));
        }
    }
    Ok(gather::is_in_vain(&attempts, own).then_some(Credit::ToNobody))
}

fn green(job: &Job<'_>, id: AttemptId, action: &str) -> Result<(), StoreError> {
    let (runtime, now) = (job.runtime, job.now());
    let window = job.window()?;
    log::info!("green: task {} after {action}", job.task.id);
    let green = Transition::FirstGreen {
        stable_until: now.plus(window),
        message: format!("{action}; verified by its detector"),
    };
    let store = &runtime.store;
    store.end_attempt(id, Outcome::Verified, "green", green, job.worker, now)?;
    step("green");
    // What this one caused may be over too.
    runtime.poke.ring();
    Ok(())
}

/// What was booked as failed shows now: it is the last attempt's.
pub fn green_late(job: &Job<'_>) -> Result<(), StoreError> {
    let attempts = job.runtime.store.reader()?.attempts(job.task.id)?;
    let acted = |one: &&Attempt| one.outcome != Some(Outcome::Refused);
    match attempts.iter().rfind(acted) {
        Some(last) => green(job, last.id, &last.action_text),
        None => job.transition(Transition::Release {
            reason: "the attempt is not at hand".to_owned(),
        }),
    }
}

/// Nobody could look: the attempt neither held nor failed. It is not taken back; somebody looks again.
fn unverified(job: &Job<'_>, booked: &Underway, why: String) -> Result<(), StoreError> {
    let now = job.now();
    let reason = Reason::CouldNotLook(why);
    let message = format!("{}: {reason}", booked.action);
    log::warn!("task {}: {message}", job.task.id);
    let later = Transition::Wait {
        until: now.plus(BLIND_RECHECK),
        waits_for: WaitsFor::Time,
        reason: message.clone(),
    };
    let store = &job.runtime.store;
    store.end_attempt(
        booked.id,
        Outcome::Unknown,
        &message,
        later,
        job.worker,
        now,
    )?;
    Ok(())
}

/// An attempt did not hold: takes it back and makes the task due again.
fn failed(
    job: &Job<'_>,
    booked: &Underway,
    outcome: Outcome,
    message: &str,
) -> Result<(), StoreError> {
    let message = match take_back(job, &booked.undo) {
        Some(undone) => format!("{message}; {undone}"),
        None => message.to_owned(),
    };
    let red = Transition::FixFailed {
        phase: booked.phase,
        message: message.clone(),
    };
    let store = &job.runtime.store;
    store.end_attempt(booked.id, outcome, &message, red, job.worker, job.now())?;
    job.runtime.work.ring();
    Ok(())
}

/// Undoes; the text says what was put back, or that it could not be.
fn take_back(job: &Job<'_>, undo: &Undo) -> Option<String> {
    if *undo == Undo::None {
        return None;
    }
    // What is put back was ours.
    let known = HealthyUnits::default();
    let context = job.runtime.action_context(&job.loaded, &known);
    Some(match actions::undo(&context, undo) {
        Ok(done) => format!("undone: {done}"),
        Err(why) => {
            let why = why.with_hint();
            log::error!("task {}: undo failed: {why}", job.task.id);
            format!("undo FAILED: {why}")
        }
    })
}

/// Undoes by a stored record, and the phase that is due after it. One that cannot be read is refused loudly:
/// nothing more is tried on a host in an unknown state.
fn take_back_stored(job: &Job<'_>, attempt: &Attempt) -> (Option<String>, Phase) {
    match take_back::record(attempt) {
        Ok(undo) => (
            take_back(job, &undo),
            Phase::from_number(i64::from(attempt.phase)),
        ),
        Err(why) => {
            let text = format!("undo REFUSED: its record cannot be read: {why}");
            let torn = TakeBackError::Record(Box::new(attempt.clone()), why);
            log::error!("{}", torn.with_hint());
            (Some(text), Phase::Escalation)
        }
    }
}

/// A fixed task is seen broken again inside its window: the fix did not hold; take it back.
pub fn regressed(job: &Job<'_>, finding: &Finding) -> Result<(), StoreError> {
    let (runtime, task, now) = (job.runtime, job.task, job.now());
    let mut phase = task.phase;
    let mut message = format!("came back inside the stability window: {}", finding.message);
    let attempts = runtime.store.reader()?.attempts(task.id)?;
    let last = attempts
        .iter()
        .rev()
        .find(|one| one.outcome == Some(Outcome::Verified));
    if let Some(last) = last {
        let (undone, due) = take_back_stored(job, last);
        phase = due;
        if let Some(undone) = undone {
            message = format!("{message}; {undone}");
        }
    }
    log::warn!(
        "task {} {} {}: {message}",
        task.id,
        task.class,
        task.subject
    );
    let back = Transition::Regressed {
        phase,
        message: message.clone(),
    };
    let store = &runtime.store;
    match last {
        Some(last) => {
            store.end_attempt(last.id, Outcome::Failed, &message, back, job.worker, now)?;
        }
        None => job.transition(back)?,
    }
    runtime.work.ring();
    Ok(())
}

fn fail_unbooked(
    job: &Job<'_>,
    phase: Phase,
    action: &dyn Action,
    why: &str,
) -> Result<(), StoreError> {
    refused(job, phase, action.kind(), why)?;
    let message = format!("{action}: {why}");
    job.transition(Transition::FixFailed { phase, message })
}

/// Writes down an action that was not taken, so that it is not offered again in this episode.
pub fn refused(job: &Job<'_>, phase: Phase, kind: ActionKind, why: &str) -> Result<(), StoreError> {
    log::info!("task {}: {kind} refused: {why}", job.task.id);
    let booking = Booking {
        action_kind: kind,
        action_text: kind.as_str().to_owned(),
        subject: job.task.subject.clone(),
        unit: None,
        phase: phase.number(),
        undo: String::new(),
        actor: job.worker.to_owned(),
    };
    let store = &job.runtime.store;
    store.record_refusal(job.task.id, booking, why, job.now())
}

/// After a crash in the middle of an action: verify first, never repeat blindly.
pub fn recover(job: &Job<'_>, attempt: &Attempt) -> Result<(), StoreError> {
    let now = job.now();
    let (outcome, message, then) = match job.look() {
        Seen::Clear => (
            Outcome::Verified,
            "green after an interrupted attempt".to_owned(),
            Transition::FirstGreen {
                stable_until: now.plus(job.window()?),
                message: format!("{}; interrupted, found green", attempt.action_text),
            },
        ),
        Seen::CouldNotLook(why) => {
            let reason = Reason::CouldNotLook(why);
            let message = format!("{}: interrupted; {reason}", attempt.action_text);
            let later = Transition::Wait {
                until: now.plus(BLIND_RECHECK),
                waits_for: WaitsFor::Time,
                reason: message.clone(),
            };
            (Outcome::Unknown, message, later)
        }
        seen @ (Seen::Present(_) | Seen::Over(_) | Seen::Stands) => {
            let (undone, phase) = take_back_stored(job, attempt);
            let undone = undone.unwrap_or_else(|| "nothing to undo".to_owned());
            let message = format!(
                "{}: interrupted and not green; {undone}",
                attempt.action_text
            );
            let red = Transition::FixFailed {
                phase,
                message: message.clone(),
            };
            if let Seen::Present(finding) = &seen {
                underway::note_left(job, attempt.id, finding)?;
            }
            (Outcome::Unknown, message, red)
        }
    };
    let store = &job.runtime.store;
    store.end_attempt(attempt.id, outcome, &message, then, "recovery", now)?;
    Ok(())
}

impl Job<'_> {
    /// How long a repair must hold.
    pub fn window(&self) -> Result<Duration, StoreError> {
        let reader = self.runtime.store.reader()?;
        gather::window(&reader, &self.loaded.config, self.task, self.now())
    }

    /// Asks the detector of the task's class whether the condition still holds.
    pub fn look(&self) -> Seen {
        let runtime = self.runtime;
        match runtime.store.reader() {
            Ok(reader) => verify::look(
                &runtime.host,
                &self.loaded,
                &runtime.detectors,
                self.task,
                &reader,
            ),
            Err(why) => Seen::CouldNotLook(why.to_string()),
        }
    }
}
