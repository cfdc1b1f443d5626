//! Starts that take their time. The attempt stays open and its task claimed; no worker stands by: whoever has time looks
//! whether the start is over: its manager ends it at the unit's own limit. An end of this program in between is like one amid any attempt.

use std::sync::PoisonError;
use std::time::Duration;

use crate::core::model::finding::Finding;
use crate::core::model::task::Task;
use crate::core::model::time::Timestamp;
use crate::core::model::unit::{UnitName, UnitState};
use crate::core::remedy::ending::Seen;
use crate::daemon::job::Job;
use crate::daemon::runtime::Runtime;
use crate::daemon::underway;
use crate::daemon::underway::{Awaited, Underway};
use crate::services;
use crate::store::StoreError;

/// A worker stands by for so long: most starts are over by then.
const HELD: Duration = Duration::from_secs(5);
/// Between two looks.
const PAUSE: Duration = Duration::from_secs(1);
/// Longest that a start is awaited. Its manager ends it at the unit's own limit, which a start that still works may put off
/// (`EXTEND_TIMEOUT_USEC=` of sd_notify(3)): no other limit is ours to keep.
const LONGEST: Duration = Duration::from_secs(1_800);

/// Its manager starts it now. What waits to be restarted has failed.
fn is_starting(state: &UnitState) -> bool {
    state.active_state == "activating" && state.sub_state != "auto-restart"
}

fn state_of(job: &Job<'_>, unit: Option<&UnitName>) -> Option<UnitState> {
    let found = services::find(&job.loaded.managers, unit?);
    found.ok().map(|(_, state)| state)
}

/// Its manager has started it, and what asks it gives it until then to answer.
fn answers_by(finding: &Finding, now: Timestamp) -> Option<Timestamp> {
    let until = finding.evidence.starting_until();
    until.filter(|until| now < *until)
}

/// Hands the attempt over if what it started is still starting; gives it back otherwise.
pub fn hand_over(
    job: &Job<'_>,
    booked: Underway,
    finding: &Finding,
) -> Result<Option<Underway>, StoreError> {
    let now = job.now();
    if now.since(booked.at) < HELD {
        return Ok(Some(booked));
    }
    let unit = booked.starts.clone();
    let state = state_of(job, unit.as_ref());
    let starts = state.as_ref().is_some_and(is_starting);
    let starts_by = starts.then(|| booked.at.plus(LONGEST));
    let Some(until) = starts_by.max(answers_by(finding, now)) else {
        return Ok(Some(booked));
    };
    let left = note_left(job, &booked, finding, starts)?;
    let what = unit
        .as_ref()
        .map_or(job.task.subject.as_str(), UnitName::as_str);
    log::info!("task {}: {what} takes its time to start", job.task.id);
    let until = until.min(booked.at.plus(LONGEST));
    let awaited = Awaited {
        task: job.task.id,
        worker: job.worker.to_owned(),
        unit,
        booked,
        left,
        until,
        next: now.plus(PAUSE),
    };
    keep(job.runtime, awaited);
    Ok(None)
}

/// Keeps what is said of it once it is up.
fn note_left(
    job: &Job<'_>,
    booked: &Underway,
    finding: &Finding,
    starts: bool,
) -> Result<bool, StoreError> {
    if starts {
        return Ok(false);
    }
    underway::note_left(job, booked.id, finding)?;
    Ok(true)
}

fn keep(runtime: &Runtime, awaited: Awaited) {
    let mut all = runtime
        .awaited
        .lock()
        .unwrap_or_else(PoisonError::into_inner);
    all.push(awaited);
}

/// Takes one that is due out of the list: it is one worker's.
fn take(runtime: &Runtime, now: Timestamp) -> Option<Awaited> {
    let mut all = runtime
        .awaited
        .lock()
        .unwrap_or_else(PoisonError::into_inner);
    let at = all.iter().position(|one| one.next <= now)?;
    Some(all.swap_remove(at))
}

/// Whose start is over: its attempt ends with what was seen.
#[derive(Debug)]
pub struct Over {
    pub task: Task,
    pub worker: String,
    pub booked: Underway,
    pub seen: Seen,
}

/// Looks at one that is due; `None` where none is, or where it still starts.
pub fn over(runtime: &Runtime, now: Timestamp) -> Result<Option<Over>, StoreError> {
    let Some(mut awaited) = take(runtime, now) else {
        return Ok(None);
    };
    let Some(task) = runtime.store.reader()?.task(awaited.task)? else {
        return Ok(None);
    };
    let job = Job::new(runtime, &task, &awaited.worker);
    let seen = job.look();
    let lasts = match &seen {
        Seen::Present(finding) => {
            let state = state_of(&job, awaited.unit.as_ref());
            let starts = state.is_some_and(|unit| is_starting(&unit));
            if !awaited.left {
                awaited.left = note_left(&job, &awaited.booked, finding, starts)?;
            }
            starts || answers_by(finding, now).is_some()
        }
        Seen::CouldNotLook(_) => true,
        Seen::Clear | Seen::Over(_) | Seen::Stands => false,
    };
    if (lasts && now < awaited.until) || (runtime.stopping() && seen != Seen::Clear) {
        let next = now.plus(PAUSE);
        keep(runtime, Awaited { next, ..awaited });
        return Ok(None);
    }
    Ok(Some(Over {
        task,
        worker: awaited.worker,
        booked: awaited.booked,
        seen,
    }))
}
