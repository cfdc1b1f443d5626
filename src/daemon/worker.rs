//! The workers: claim a task, name its cause, pass the gates, act, prove it, learn from it.

use std::time::Duration;

use crate::actions::{self, Basis};
use crate::core::diagnosis::learning;
use crate::core::diagnosis::naming;
use crate::core::diagnosis::root_cause::{self, OpenCondition};
use crate::core::model::class::{Class, Clearing};
use crate::core::model::finding::{Finding, Severity};
use crate::core::model::task::{Phase, Resolution, Status, Task, Transition};
use crate::core::model::time::Timestamp;
use crate::core::remedy::gates::{self, Gate, GateFacts, Verdict};
use crate::core::remedy::phases::{self, Offer, Plan, Tried};
use crate::daemon::diagnose::{self, Diagnosis};
use crate::daemon::loaded_config::LoadedConfig;
use crate::daemon::verify::{self, Look};
use crate::daemon::{Runtime, attempt, escalate};
use crate::store::{Outcome, StoreError};

/// Longest wait of the first worker without a ring: due back-offs, ends of stability windows and what
/// another process wrote (an approval) are looked for.
const LOOKOUT_WAIT: Duration = Duration::from_secs(1);
/// The others are rung for new work and otherwise only look whether the first one is busy.
const IDLE_WAIT: Duration = Duration::from_secs(5);
/// Nobody is told sooner after the first sight: the root cause may be found a sweep later than its
/// symptom, and most blips are over by then.
const SETTLE: Duration = Duration::from_secs(10);
/// What is too young to bother a human is looked at again this often.
const YOUNG_RECHECK: Duration = Duration::from_secs(30);

/// Thread body of one worker; one of them is the `lookout`.
pub fn run(runtime: &Runtime, name: &str, lookout: bool) {
    let idle_wait = if lookout { LOOKOUT_WAIT } else { IDLE_WAIT };
    let mut rings = 0;
    while !runtime.stopping() {
        match step(runtime, name) {
            Ok(true) => {}
            Ok(false) => rings = runtime.work.wait(rings, idle_wait),
            Err(why) => {
                log::error!("{name}: {why}");
                rings = runtime.work.wait(rings, idle_wait);
            }
        }
        runtime.beat(name);
    }
}

/// One unit of work; false when nothing is due.
pub fn step(runtime: &Runtime, worker: &str) -> Result<bool, StoreError> {
    let now = runtime.host.clock.now();
    let work = runtime.store.reader()?.due(now)?;
    // One worker at a time ends windows; it reads the task again, since another may just have ended it.
    if let Some(due) = work.stable
        && let Ok(_guard) = runtime.windows.try_lock()
        && let Some(task) = runtime.store.reader()?.task(due.id)?
        && task.status == Status::Fixed
    {
        return end_of_window(runtime, &task, worker, now).map(|()| true);
    }
    if !work.claimable {
        return Ok(false);
    }
    let Some(task) = runtime.store.claim_next(worker, now)? else {
        return Ok(false);
    };
    log::debug!("{worker}: task {} {} {}", task.id, task.class, task.subject);
    handle(runtime, &task, worker)?;
    Ok(true)
}

/// A stability window is over: still green closes the task, anything else is a regression.
fn end_of_window(
    runtime: &Runtime,
    task: &Task,
    worker: &str,
    now: Timestamp,
) -> Result<(), StoreError> {
    match verify::look(runtime, task) {
        Look::Present(finding) => runtime.regressed(task, &finding, now),
        Look::Unknown(why) => {
            log::debug!("task {}: cannot look again: {why}", task.id);
            runtime.close(
                task,
                Resolution::Fixed,
                "no repeat within the stability window",
                worker,
                now,
            )
        }
        Look::Clear => {
            log::info!("fixed: task {} {} {}", task.id, task.class, task.subject);
            runtime.close(
                task,
                Resolution::Fixed,
                "verified by its detector and stable through the window",
                worker,
                now,
            )
        }
    }
}

/// Takes one claimed task one step further.
fn handle(runtime: &Runtime, task: &Task, worker: &str) -> Result<(), StoreError> {
    let loaded = runtime.loaded();
    let now = runtime.host.clock.now();
    let finding = match verify::look(runtime, task) {
        Look::Clear => {
            let open = runtime.store.reader()?.open_tasks()?;
            let (resolution, why) = ended(task, &open, "gone before anything was done");
            return runtime.close(task, resolution, &why, worker, now);
        }
        Look::Present(finding) => verify::with_first_sight(finding, task),
        Look::Unknown(_) => verify::finding_of(task),
    };
    let open = runtime.store.reader()?.open_tasks()?;
    let finding = diagnose::enrich(&runtime.host, &loaded, finding, task, &open);
    let inhibited = |(reason, _): (String, Status)| {
        let wait = gates::admit(&facts(runtime, &loaded, task, None, Some(reason), now), now);
        settle(runtime, &loaded, task, wait, worker, now)
    };
    let root = inhibitor(task, &finding, &open);
    let healing = match root {
        Some((_, Status::Fixed)) | None => root,
        Some(broken) => return inhibited(broken),
    };
    let diagnosis = diagnose::diagnose(runtime, &loaded, task, &finding)?;
    runtime.store.set_diagnosis(
        task.id,
        diagnosis.cause.as_str(),
        diagnosis.confidence,
        &diagnosis.why,
        worker,
        now,
    )?;
    if healing.is_none() && returns_too_often(runtime, task, &diagnosis, worker, now)? {
        return Ok(());
    }
    if let Some(until) = too_young(&loaded, task, &diagnosis, now) {
        let reason = "nothing to repair here: put before a human only if it goes on".to_owned();
        return runtime
            .store
            .transition(task.id, Transition::Wait { until, reason }, worker, now);
    }
    let tried = tried(runtime, task)?;
    match (phases::plan(task.phase, &diagnosis.offers, &tried), healing) {
        // The root is green but not yet proven: what is left of it is no reason to tell a human.
        (Plan::Escalate { .. }, Some(root)) => inhibited(root),
        (Plan::Escalate { .. }, None) if now.since(task.detected_at) < SETTLE => {
            let reason = "its cause may still show".to_owned();
            let until = task.detected_at.plus(SETTLE);
            runtime
                .store
                .transition(task.id, Transition::Wait { until, reason }, worker, now)
        }
        (Plan::Escalate { reason }, None) => {
            let retry_at = rearm(runtime, &loaded, task, &tried, now)?;
            escalate::to_human(
                runtime, &loaded, task, &diagnosis, &reason, retry_at, worker, now,
            )
        }
        (Plan::Act { phase, offer }, _) => {
            if phase != task.phase {
                runtime
                    .store
                    .set_phase(task.id, phase, worker, &offer.why, now)?;
            }
            act(
                runtime, &loaded, task, &finding, &diagnosis, phase, &offer, worker,
            )
        }
    }
}

/// How a condition ended that is no longer seen: with the repair of its root cause, or by itself.
pub(super) fn ended(task: &Task, open: &[Task], by_itself: &str) -> (Resolution, String) {
    match inhibitor(task, &verify::finding_of(task), open) {
        Some((symptom, Status::Fixed)) => (
            Resolution::Fixed,
            format!("over with its root cause: {symptom}"),
        ),
        _ => (Resolution::SelfCleared, by_itself.to_owned()),
    }
}

/// The root cause that explains this finding, as text for the reason, and how far its repair is.
fn inhibitor(task: &Task, finding: &Finding, open: &[Task]) -> Option<(String, Status)> {
    let open: Vec<OpenCondition> = open.iter().map(condition).collect();
    let mut own = condition(task);
    own.evidence = finding.evidence.clone();
    root_cause::root_of(&own, naming::name_cause(finding).cause, &open).map(|root| {
        let reason = format!(
            "{}({} {})",
            gates::symptom_of(root.task_id),
            root.class,
            root.subject
        );
        (reason, root.status)
    })
}

fn condition(task: &Task) -> OpenCondition {
    OpenCondition {
        task_id: task.id,
        class: task.class,
        subject: task.subject.clone(),
        status: task.status,
        evidence: task.evidence.clone(),
    }
}

/// What nothing can repair and mostly ends by itself waits before it reaches a human: log lines, and
/// units that their own manager still restarts (its restarts leave the window one window after the last).
fn too_young(
    loaded: &LoadedConfig,
    task: &Task,
    diagnosis: &Diagnosis,
    now: Timestamp,
) -> Option<Timestamp> {
    let offers = &diagnosis.offers;
    if !offers.certain.is_empty() || !offers.researched.is_empty() {
        return None;
    }
    let (lasted, patience_s) = match task.class {
        Class::ServiceFlapping => (
            now.since(task.detected_at),
            2 * loaded.config.detect.flap_window_s,
        ),
        class
            if class.clearing() == Clearing::Quiet
                && !class.is_self()
                && task.severity < Severity::Critical =>
        {
            (
                task.last_seen_at.since(task.detected_at),
                loaded.config.fix.log_escalate_after_s,
            )
        }
        _ => return None,
    };
    let patience = Duration::from_secs(patience_s);
    // Every look is written down: not before the answer can have changed.
    let next = now.plus(YOUNG_RECHECK.max(patience / 8));
    (lasted < patience).then(|| next.max(task.detected_at.plus(patience)))
}

/// A problem that comes back after each verified repair is put before a human once, with that evidence. Then it
/// is repaired again all the same: the service is needed while the human looks.
fn returns_too_often(
    runtime: &Runtime,
    task: &Task,
    diagnosis: &Diagnosis,
    worker: &str,
    now: Timestamp,
) -> Result<bool, StoreError> {
    let offers = &diagnosis.offers;
    if task.previous_id.is_none() || runtime.dry_run || offers.certain.is_empty() {
        return Ok(false);
    }
    let before = runtime.store.fixed_before(task, learning::RETURNS_MOST)?;
    let Some(reason) = learning::not_lasting(&before, now) else {
        return Ok(false);
    };
    let history = runtime.store.reader()?.history(Some(task.id), 1_000)?;
    if history.iter().any(|event| event.action == "escalated") {
        return Ok(false);
    }
    let loaded = runtime.loaded();
    escalate::to_human(
        runtime,
        &loaded,
        task,
        diagnosis,
        &reason,
        Some(now),
        worker,
        now,
    )?;
    Ok(true)
}

/// Attempts of this episode that are over.
fn tried(runtime: &Runtime, task: &Task) -> Result<Vec<Tried>, StoreError> {
    // Rounds before the last re-arming are over: what failed then may work now.
    let round = Duration::from_secs(runtime.loaded().config.fix.rearm_s);
    let now = runtime.host.clock.now();
    Ok(runtime
        .store
        .reader()?
        .attempts(task.id)?
        .iter()
        .filter(|attempt| now.since(attempt.started_at) < round)
        .filter_map(|attempt| {
            Some(Tried {
                phase: Phase::from_number(i64::from(attempt.phase)),
                kind: attempt.action_kind.parse().ok()?,
                acted: attempt.outcome != Some(Outcome::Refused),
            })
        })
        .collect())
}

/// When a task that was tried in vain is tried again by itself: later each round, never given up
/// silently for ever. One that nothing could be done about waits for a human.
fn rearm(
    runtime: &Runtime,
    loaded: &LoadedConfig,
    task: &Task,
    tried: &[Tried],
    now: Timestamp,
) -> Result<Option<Timestamp>, StoreError> {
    if !tried.iter().any(|one| one.acted) {
        return Ok(None);
    }
    let history = runtime.store.reader()?.history(Some(task.id), 1_000)?;
    let rounds = history
        .iter()
        .filter(|event| event.action == "escalated")
        .count();
    let first = Duration::from_secs(loaded.config.fix.rearm_s);
    let rounds = u32::try_from(rounds).unwrap_or(u32::MAX);
    Ok(Some(now.plus(gates::rearm_after(first, rounds))))
}

#[allow(clippy::too_many_arguments)] // One step's whole context; a struct would only be taken apart again.
fn act(
    runtime: &Runtime,
    loaded: &LoadedConfig,
    task: &Task,
    finding: &Finding,
    diagnosis: &Diagnosis,
    phase: Phase,
    offer: &Offer,
    worker: &str,
) -> Result<(), StoreError> {
    let now = runtime.host.clock.now();
    let basis = Basis {
        finding,
        config: &loaded.config,
        command: offer.command.as_deref(),
    };
    let action = match actions::resolve(offer.kind, &basis) {
        Ok(action) => action,
        Err(why) => {
            attempt::refused(runtime, task, phase, offer.kind, &why, worker, now)?;
            return runtime.store.transition(
                task.id,
                Transition::FixFailed {
                    phase,
                    message: format!("{}: {why}", offer.kind),
                },
                worker,
                now,
            );
        }
    };
    let context = runtime.action_context(loaded);
    let action = action.as_ref();
    let gone = action.precondition(&context).err();
    let gone = gone.map(|why| why.to_string());
    match gates::admit(
        &facts(runtime, loaded, task, Some((offer, gone)), None, now),
        now,
    ) {
        Verdict::Go => attempt::take(runtime, loaded, task, phase, action, diagnosis, worker),
        Verdict::Gone { reason } => {
            attempt::refused(runtime, task, phase, offer.kind, &reason, worker, now)?;
            let message = format!("{action}: {reason}");
            runtime.store.transition(
                task.id,
                Transition::FixFailed { phase, message },
                worker,
                now,
            )
        }
        Verdict::Human { gate, reason } => {
            let reason = format!("{reason}; proposed: {action} ({gate})");
            runtime.store.note(
                Some(task.id),
                "proposed",
                offer.kind.as_str(),
                worker,
                &reason,
                now,
            )?;
            if runtime.dry_run {
                let until = now.plus(Duration::from_secs(3_600));
                return runtime.store.transition(
                    task.id,
                    Transition::Wait { until, reason },
                    worker,
                    now,
                );
            }
            escalate::proposal(
                runtime, loaded, task, diagnosis, action, &reason, worker, now,
            )
        }
        verdict @ Verdict::Wait { .. } => settle(runtime, loaded, task, verdict, worker, now),
    }
}

/// Facts for the gates, read now.
fn facts(
    runtime: &Runtime,
    loaded: &LoadedConfig,
    task: &Task,
    offer: Option<(&Offer, Option<String>)>,
    inhibited_by: Option<String>,
    now: Timestamp,
) -> GateFacts {
    let (mode, approved, precondition_gone) = match offer {
        Some((offer, gone)) => {
            let risk = loaded.config.risk_of(offer.kind, offer.command.as_deref());
            let approved = task.approved_action.as_deref() == Some(offer.kind.as_str())
                && task.approved_until.is_some_and(|until| until > now);
            (runtime.mode(loaded, task.class, risk), approved, gone)
        }
        None => (loaded.config.mode.limit, false, None),
    };
    GateFacts {
        kill_switch: runtime.kill_switch(loaded),
        clock_sane: runtime.host.clock.is_sane(),
        grace_until: runtime.grace_until(loaded, now),
        precondition_gone,
        age: now.since(task.detected_at),
        inhibited_by,
        // Flapping subjects have their own class, whose runbook says what may be done.
        flapping: None,
        mode,
        approved,
    }
}

/// Puts a waiting verdict into the store.
fn settle(
    runtime: &Runtime,
    loaded: &LoadedConfig,
    task: &Task,
    verdict: Verdict,
    worker: &str,
    now: Timestamp,
) -> Result<(), StoreError> {
    let transition = match verdict {
        Verdict::Wait {
            gate,
            until,
            reason,
        } => {
            let until = if gate == Gate::StartupGrace {
                runtime.grace_until(loaded, now).unwrap_or(until)
            } else {
                until
            };
            Transition::Wait {
                until,
                reason: format!("{gate}: {reason}"),
            }
        }
        Verdict::Go | Verdict::Human { .. } | Verdict::Gone { .. } => Transition::Release {
            reason: "nothing to wait for".to_owned(),
        },
    };
    runtime.store.transition(task.id, transition, worker, now)
}

/// At start: attempts that a crash cut short are verified first and never repeated blindly.
pub fn recover(runtime: &Runtime, now: Timestamp) -> Result<usize, StoreError> {
    let cut_short = runtime.store.open_attempts()?;
    for attempt in &cut_short {
        let Some(task) = runtime.store.reader()?.task(attempt.task_id)? else {
            continue;
        };
        attempt::recover(runtime, &task, attempt, now)?;
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
