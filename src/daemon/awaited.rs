//! Starts that take their time. The attempt stays open and its task claimed; no worker stands by: whoever has time looks
//! whether the start is over, up to the unit's own limit. An end of this program in between is like one amid any attempt.

use std::sync::PoisonError;
use std::time::Duration;

use crate::core::model::id::TaskId;
use crate::core::model::time::Timestamp;
use crate::core::model::unit::{UnitName, UnitState};
use crate::core::remedy::ending::Seen;
use crate::daemon::Runtime;
use crate::daemon::attempt::{self, Underway};
use crate::daemon::job::Job;
use crate::services;
use crate::store::StoreError;

/// A worker stands by for so long: most starts are over by then.
const HELD: Duration = Duration::from_secs(5);
/// Between two looks.
const PAUSE: Duration = Duration::from_secs(1);
/// Longest that a start is awaited whose unit has no limit of its own.
const LONGEST: Duration = Duration::from_secs(1_800);
/// Its manager ends what is over its limit; that is seen this much later.
const AFTER: Duration = Duration::from_secs(5);

/// A start that is under way.
#[derive(Debug)]
pub struct Awaited {
    task: TaskId,
    worker: String,
    unit: UnitName,
    booked: Underway,
    until: Timestamp,
    next: Timestamp,
}

/// Its manager starts it now. What waits to be restarted has failed.
fn starting(job: &Job<'_>, unit: &UnitName) -> Option<UnitState> {
    let (_, state) = services::find(&job.loaded.managers, unit).ok()?;
    let starts = state.active_state == "activating" && state.sub_state != "auto-restart";
    starts.then_some(state)
}

/// Hands the attempt over if its unit is still starting; gives it back otherwise.
pub fn hand_over(job: &Job<'_>, booked: Underway) -> Option<Underway> {
    let now = job.now();
    if now.since(booked.at) < HELD {
        return Some(booked);
    }
    let Some(unit) = booked.starts.clone() else {
        return Some(booked);
    };
    let Some(state) = starting(job, &unit) else {
        return Some(booked);
    };
    let own = state
        .start_timeout
        .map_or(LONGEST, |own| own.saturating_add(AFTER));
    log::info!("task {}: {unit} takes its time to start", job.task.id);
    let until = booked.at.plus(own.min(LONGEST));
    let awaited = Awaited {
        task: job.task.id,
        worker: job.worker.to_owned(),
        unit,
        booked,
        until,
        next: now.plus(PAUSE),
    };
    keep(job.runtime, awaited);
    None
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

/// Looks at one that is due; true when it came to its end.
pub fn look(runtime: &Runtime, now: Timestamp) -> Result<bool, StoreError> {
    let Some(awaited) = take(runtime, now) else {
        return Ok(false);
    };
    let Some(task) = runtime.store.reader()?.task(awaited.task)? else {
        return Ok(true);
    };
    let job = Job::new(runtime, &task, &awaited.worker);
    let seen = job.look();
    let lasts = match &seen {
        Seen::Present(_) => starting(&job, &awaited.unit).is_some(),
        Seen::CouldNotLook(_) => true,
        Seen::Clear | Seen::Over(_) | Seen::Stands => false,
    };
    if (lasts && now < awaited.until) || (runtime.stopping() && seen != Seen::Clear) {
        let next = now.plus(PAUSE);
        keep(runtime, Awaited { next, ..awaited });
        return Ok(false);
    }
    attempt::ended(&job, &awaited.booked, seen)?;
    Ok(true)
}
