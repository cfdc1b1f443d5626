//! The workers: claim a task, gather its situation, ask what to do, do it, write it down.

use std::time::Duration;

use crate::core::model::hint::Hint;
use crate::core::model::task::Status;
use crate::core::model::time::Timestamp;
use crate::core::remedy::decide::{Decision, Question, decide};
use crate::core::remedy::ending;
use crate::core::remedy::step::{Reason, Step};
use crate::daemon::gather::Gather;
use crate::daemon::job::Job;
use crate::daemon::runtime::Runtime;
use crate::daemon::{attempt, awaited, carry_out};
use crate::store::StoreError;

/// Longest wait of the first worker without a ring: due back-offs, ends of stability windows and what
/// another process wrote (an approval) are looked for.
const LOOKOUT_WAIT: Duration = Duration::from_secs(1);
/// The others are rung for new work and otherwise only look whether the first one is busy.
const IDLE_WAIT: Duration = Duration::from_secs(5);
/// More questions than this about one task mean that an answer was not understood.
const QUESTIONS_MOST: usize = 8;

/// Thread body of one worker; one of them is the `lookout`.
pub fn run(runtime: &Runtime, name: &str, lookout: bool) {
    let idle_wait = if lookout { LOOKOUT_WAIT } else { IDLE_WAIT };
    let mut rings = 0;
    while !runtime.stopping() {
        match step(runtime, name) {
            Ok(true) => {}
            Ok(false) => rings = runtime.work.wait(rings, idle_wait),
            Err(why) => {
                log::error!("{name}: {}", why.with_hint());
                rings = runtime.work.wait(rings, idle_wait);
            }
        }
        runtime.beat(name);
    }
}

/// One unit of work; false when nothing is due.
pub fn step(runtime: &Runtime, worker: &str) -> Result<bool, StoreError> {
    let now = runtime.host.clock.now();
    if let Some(over) = awaited::over(runtime, now)? {
        let job = Job::new(runtime, &over.task, &over.worker);
        return attempt::ended(&job, &over.booked, over.seen).map(|()| true);
    }
    let work = runtime.store.reader()?.due(now)?;
    // One worker at a time ends windows; it reads the task again, since another may just have ended it.
    if let Some(due) = work.stable
        && let Ok(_guard) = runtime.windows.try_lock()
        && let Some(task) = runtime.store.reader()?.task(due.id)?
        && task.status == Status::Fixed
    {
        return end_of_window(&Job::new(runtime, &task, worker)).map(|()| true);
    }
    if !work.claimable {
        return Ok(false);
    }
    let Some(task) = runtime.store.claim_next(worker, now)? else {
        return Ok(false);
    };
    log::debug!("{worker}: task {} {} {}", task.id, task.class, task.subject);
    handle(&Job::new(runtime, &task, worker))?;
    Ok(true)
}

/// A stability window is over.
fn end_of_window(job: &Job<'_>) -> Result<(), StoreError> {
    let seen = job.look();
    let window = job.window()?;
    let end = ending::of_window(job.task, seen, window, job.now());
    carry_out::window_end(job, end)
}

/// Takes one claimed task one step further.
fn handle(job: &Job<'_>) -> Result<(), StoreError> {
    let (runtime, task) = (job.runtime, job.task);
    let reader = runtime.store.reader()?;
    let gather = Gather {
        host: &runtime.host,
        loaded: &job.loaded,
        reader: &reader,
        detectors: &runtime.detectors,
    };
    let facts = gather.facts(task)?;
    if let Some(evidence) = &facts.read_again {
        runtime.store.keep_evidence(task.id, evidence)?;
    }
    let mut situation = facts.situation(task, &job.loaded, runtime.host_facts(&job.loaded)?);
    let mut prepared = carry_out::Groundwork::default();
    for _ in 0..QUESTIONS_MOST {
        match decide(&situation, &facts.finding, job.now()) {
            Decision::Ask(Question::Offers) => {
                let found = job.diagnosed(&facts)?;
                situation.offers = Some(found.offers.clone());
                prepared.diagnosis = Some(found);
            }
            Decision::Ask(Question::Check(offer)) => {
                let (mut checked, action) =
                    gather.check(task, &facts.finding, &offer, runtime.backup_dir())?;
                checked.slot_free = runtime.slot(offer.kind).is_some();
                situation.checked = Some(checked);
                prepared.action = action;
            }
            Decision::Step(step) => return carry_out::step(job, step, &facts, prepared),
        }
    }
    let reason = Reason::CouldNotLook("the decision asks again and again".to_owned());
    let proposed = None;
    let tell = Step::Tell {
        reason,
        proposed,
        retry_at: None,
    };
    carry_out::step(job, tell, &facts, prepared)
}

/// At start: attempts that a crash cut short are verified first and never repeated blindly.
pub fn recover(runtime: &Runtime, now: Timestamp) -> Result<usize, StoreError> {
    let cut_short = runtime.store.open_attempts()?;
    for open in &cut_short {
        let Some(task) = runtime.store.reader()?.task(open.task_id)? else {
            continue;
        };
        attempt::recover(&Job::new(runtime, &task, "recovery"), open)?;
    }
    let released = runtime.store.recover_claims(now)?;
    if released > 0 || !cut_short.is_empty() {
        log::warn!(
            "after an unclean end: {} attempts verified, {released} claims released",
            cut_short.len()
        );
    }
    Ok(cut_short.len())
}
