//! Claims and transitions: each checks its start state and commits with its audit event.

use std::sync::atomic::Ordering;
use std::time::Duration;

use rusqlite::{OptionalExtension, params};

use crate::core::model::facts::Facts;
use crate::core::model::gate::Gate;
use crate::core::model::id::TaskId;
use crate::core::model::proposal::Digest;
use crate::core::model::task::{Phase, Resolution, Status, Task, Transition, WaitsFor};
use crate::core::model::time::Timestamp;
use crate::store::error::StoreError;
use crate::store::handle::Store;
use crate::store::read::{KnownBy, next_claim};
use crate::store::rows::{SNOOZE, TASK_COLUMNS, is_not_snoozed, task_row};
use crate::store::sql::Prepared;
use crate::store::tx::Tx;
use crate::store::types::Proposed;
use crate::store::{enqueue, history};

/// What a task failed of may be over again and again: its attempts are given back this often.
const ANEW_EVERY: Duration = Duration::from_secs(3_600);
/// One claim in this many looks first for what was merely said; the others look first for what is confirmed.
const SHARE: usize = 8;

fn claim(kind: KnownBy) -> String {
    let next = next_claim(kind);
    format!(
        "UPDATE tasks SET status = 'in_progress', claimed_by = ?2, claimed_at = ?1,
                waiting_reason = NULL, waiting_gate = NULL, waiting_on = NULL, next_attempt_at = NULL,
                phase = CASE status WHEN 'escalated' THEN 1 ELSE phase END -- armed again: from the start
         WHERE id = ({next}) RETURNING {TASK_COLUMNS}"
    )
}

impl Store {
    /// Claims the most severe, oldest task that is due: of what the host confirms before what a line said, but for
    /// one claim in `SHARE`, so that neither kind waits for the end of the other.
    pub fn claim_next(&self, worker: &str, now: Timestamp) -> Result<Option<Task>, StoreError> {
        let worker = worker.to_owned();
        let turn = self.inner.claims.fetch_add(1, Ordering::Relaxed) % SHARE;
        let order = match turn == SHARE - 1 {
            false => [KnownBy::Confirmed, KnownBy::Said],
            true => [KnownBy::Said, KnownBy::Confirmed],
        };
        let order = order.map(claim);
        self.inner.health.at(now);
        self.write(move |tx| {
            for sql in &order {
                let task = tx
                    .prepare_cached(sql)?
                    .query_row(params![now.to_string(), worker], task_row)
                    .optional()?;
                if let Some(task) = task {
                    history::append(tx, Some(task.id), "claimed", "", &worker, "", now)?;
                    return Ok(Some(task));
                }
            }
            Ok(None)
        })
    }

    /// Applies a transition with its audit event, and what it owes the outbox.
    pub fn transition(
        &self,
        task_id: TaskId,
        transition: Transition,
        actor: &str,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let actor = actor.to_owned();
        self.write(move |tx| apply(tx, task_id, &transition, &actor, now))
    }

    /// Stores the named cause; an unchanged one writes nothing.
    pub fn set_diagnosis(
        &self,
        task_id: TaskId,
        cause: &str,
        confidence: f64,
        why: &str,
        actor: &str,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        if self
            .reader()?
            .task(task_id)?
            .is_some_and(|task| task.cause.as_deref() == Some(cause))
        {
            return Ok(());
        }
        let [cause, why, actor] = [cause, why, actor].map(str::to_owned);
        self.write(move |tx| {
            open_status(tx, task_id)?;
            tx.run(
                "UPDATE tasks SET cause = ?2, confidence = ?3 WHERE id = ?1",
                params![
                    task_id,
                    cause,
                    if confidence.is_nan() {
                        0.0
                    } else {
                        confidence.clamp(0.0, 1.0)
                    }
                ],
            )?;
            history::append(tx, Some(task_id), "diagnosed", &cause, &actor, &why, now)
        })
    }

    /// What was read again of an open task's unit takes the place of what its first sight told.
    pub(crate) fn keep_evidence(
        &self,
        task_id: TaskId,
        evidence: &Facts,
    ) -> Result<(), StoreError> {
        let evidence =
            serde_json::to_string(evidence).map_err(|why| StoreError::Corrupt(why.to_string()))?;
        self.write(move |tx| {
            tx.run(
                "UPDATE tasks SET evidence = ?2 WHERE id = ?1 AND status <> 'closed'",
                params![task_id, evidence],
            )?;
            Ok(())
        })
    }

    pub(crate) fn set_phase(
        &self,
        task_id: TaskId,
        phase: Phase,
        actor: &str,
        reason: &str,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let [actor, reason] = [actor, reason].map(str::to_owned);
        self.write(move |tx| {
            open_status(tx, task_id)?;
            tx.run(
                "UPDATE tasks SET phase = ?2 WHERE id = ?1",
                params![task_id, phase.number()],
            )?;
            let details = format!("phase {}", phase.number());
            history::append(tx, Some(task_id), "phase", &details, &actor, &reason, now)
        })
    }

    /// At start: tasks that a dead daemon had claimed become due again.
    pub fn recover_claims(&self, now: Timestamp) -> Result<u64, StoreError> {
        self.write(move |tx| {
            let claimed: Vec<TaskId> = tx
                .prepare(
                    "SELECT id FROM tasks WHERE status = 'in_progress' AND status <> 'closed'",
                )?
                .query_map([], |row| row.get(0))?
                .collect::<Result<_, _>>()?;
            let release = Transition::Release {
                reason: "the daemon that had claimed it is gone".to_owned(),
            };
            for id in &claimed {
                apply(tx, *id, &release, "recovery", now)?;
            }
            Ok(claimed.len() as u64)
        })
    }

    /// A human takes note: no repair is tried until the task is closed or approved.
    pub fn acknowledge(
        &self,
        task_id: TaskId,
        actor: &str,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let actor = actor.to_owned();
        self.write(move |tx| {
            open_status(tx, task_id)?;
            tx.run(
                "UPDATE tasks SET acknowledged_by = ?2 WHERE id = ?1",
                params![task_id, actor],
            )?;
            history::append(tx, Some(task_id), "acknowledged", "", &actor, "", now)
        })
    }

    /// Writes down which action a human is asked for: the last one asked for is the one that `approve` means.
    pub fn propose(
        &self,
        task_id: TaskId,
        proposed: Proposed,
        actor: &str,
        reason: &str,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let [actor, reason] = [actor, reason].map(str::to_owned);
        self.write(move |tx| propose(tx, task_id, &proposed, &actor, &reason, now))
    }

    /// A human allows the action that is proposed, which `digest` names, until `until` and for one attempt; the
    /// task is due at once.
    pub fn approve(
        &self,
        task_id: TaskId,
        digest: &Digest,
        until: Timestamp,
        actor: &str,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let (digest, actor) = (digest.clone(), actor.to_owned());
        self.write(move |tx| {
            let from = open_status(tx, task_id)?;
            if matches!(from, Status::InProgress | Status::Fixed) {
                return Err(StoreError::WrongState { task: task_id, from, wanted: "approved" });
            }
            let (kind, stands): (Option<String>, Option<String>) = tx.row(
                "SELECT proposed_action, proposed_digest FROM tasks WHERE id = ?1",
                [task_id],
                |row| Ok((row.get(0)?, row.get(1)?)),
            )?;
            let (Some(kind), true) = (kind, stands.as_deref() == Some(digest.as_str())) else {
                return Err(StoreError::NotProposed { task: task_id, digest: digest.clone(), stands });
            };
            tx.run(
                "UPDATE tasks SET approved_action = ?2, approved_digest = ?3, approved_until = ?4, status = 'waiting',
                        phase = 1, waiting_reason = 'approved', waiting_gate = NULL, waiting_on = NULL,
                        next_attempt_at = ?5 WHERE id = ?1",
                params![task_id, kind, digest.as_str(), until.to_string(), now.to_string()],
            )?;
            let (details, reason) = (format!("{kind} {digest}"), format!("until {until}"));
            history::append(tx, Some(task_id), "approved", &details, &actor, &reason, now)
        })
    }

    /// A human wants it tried again now, from the start; an acknowledgement ends with it.
    pub fn retry(&self, task_id: TaskId, actor: &str, now: Timestamp) -> Result<(), StoreError> {
        let actor = actor.to_owned();
        self.write(move |tx| {
            let from = open_status(tx, task_id)?;
            if matches!(from, Status::InProgress | Status::Fixed) {
                return Err(StoreError::WrongState {
                    task: task_id,
                    from,
                    wanted: "retried",
                });
            }
            tx.run(
                "UPDATE tasks SET acknowledged_by = NULL, status = 'waiting', phase = 1,
                        waiting_reason = 'asked to try again', waiting_gate = NULL, waiting_on = NULL, next_attempt_at = ?2,
                        asked_at = ?2
                 WHERE id = ?1",
                params![task_id, now.to_string()],
            )?;
            history::append(tx, Some(task_id), "retried", "", &actor, "", now)
        })
    }

    /// Something new may be what these hang on: those that wait are due.
    pub(crate) fn look_anew(&self, tasks: &[TaskId], now: Timestamp) -> Result<(), StoreError> {
        let tasks = tasks.to_vec();
        self.write(move |tx| {
            for task_id in &tasks {
                let sql = format!(
                    "UPDATE tasks SET next_attempt_at = ?2 WHERE id = ?1 AND {}",
                    may_be_woken()
                );
                tx.run(&sql, params![task_id, now.to_string()])?;
            }
            Ok(())
        })
    }

    /// What the task's unit failed of is there again: it is due, and tried from the start. False where it was not long
    /// ago, or the task does not wait.
    pub(crate) fn returned(
        &self,
        task_id: TaskId,
        what: &str,
        actor: &str,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        let [what, actor] = [what, actor].map(str::to_owned);
        self.write(move |tx| {
            let which = format!("id = ?1 AND {}", may_be_woken());
            if begin_anew(tx, &which, task_id, now)?.is_empty() {
                return Ok(false);
            }
            tx.run(
                "UPDATE tasks SET next_attempt_at = ?2 WHERE id = ?1",
                params![task_id, now.to_string()],
            )?;
            history::append(tx, Some(task_id), "returned", &what, &actor, "", now)?;
            Ok(true)
        })
    }

    /// Nothing is done about a task until `until`.
    pub fn snooze(
        &self,
        task_id: TaskId,
        until: Timestamp,
        actor: &str,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let wait = Transition::Wait {
            until,
            waits_for: WaitsFor::Snooze,
            reason: format!("snoozed by {actor}"),
        };
        self.transition(task_id, wait, actor, now)
    }

    /// The gate opened: what waits for it is due. Returns how many tasks.
    pub fn wake_waiting(&self, gate: Gate, now: Timestamp) -> Result<usize, StoreError> {
        self.write(move |tx| wake(tx, WaitsFor::Gate(gate), now))
    }

    /// Closes an open task in the name of `actor`; an attempt under way finds it closed.
    pub fn close_by_human(
        &self,
        task_id: TaskId,
        resolution: Resolution,
        actor: &str,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let close = Transition::Close {
            resolution,
            message: format!("closed by {actor}"),
        };
        self.transition(task_id, close, actor, now)
    }
}

/// Writes a proposal down; what was approved before is not this one.
pub(super) fn propose(
    tx: &Tx<'_>,
    task_id: TaskId,
    proposed: &Proposed,
    actor: &str,
    reason: &str,
    now: Timestamp,
) -> Result<(), StoreError> {
    open_status(tx, task_id)?;
    let (kind, digest) = (proposed.action.kind, proposed.action.digest());
    let json = serde_json::to_string(&proposed.action)
        .map_err(|why| StoreError::Corrupt(why.to_string()))?;
    tx.run(
        "UPDATE tasks SET proposed_action = ?2, proposal = ?3, proposed_digest = ?4, proposed_by_name = ?5,
                approved_action = NULL, approved_digest = NULL WHERE id = ?1",
        params![task_id, kind.as_str(), json, digest.as_str(), proposed.by_name],
    )?;
    let details = format!("{kind} {digest}");
    let event = match proposed.held_back {
        true => history::HELD_BACK,
        false => history::PROPOSED,
    };
    history::append(tx, Some(task_id), event, &details, actor, reason, now)
}

/// Status of an open task.
fn open_status(tx: &Tx<'_>, task_id: TaskId) -> Result<Status, StoreError> {
    let status: Option<String> = tx
        .prepare_cached("SELECT status FROM tasks WHERE id = ?1")?
        .query_row([task_id], |row| row.get(0))
        .optional()?;
    let status = status.ok_or(StoreError::NoTask(task_id))?;
    match status.parse() {
        Ok(Status::Closed) => Err(StoreError::WrongState {
            task: task_id,
            from: Status::Closed,
            wanted: "changed",
        }),
        Ok(status) => Ok(status),
        Err(why) => Err(StoreError::Corrupt(why.to_string())),
    }
}

/// One transition inside the caller's transaction.
pub(super) fn apply(
    tx: &Tx<'_>,
    task_id: TaskId,
    transition: &Transition,
    actor: &str,
    now: Timestamp,
) -> Result<(), StoreError> {
    let from = open_status(tx, task_id)?;
    if !transition.allowed_from().contains(&from) {
        return Err(StoreError::WrongState {
            task: task_id,
            from,
            wanted: transition.target().as_str(),
        });
    }
    let at = now.to_string();
    match transition {
        Transition::Wait {
            until,
            waits_for,
            reason,
        } => tx.run(
            "UPDATE tasks SET status = 'waiting', waiting_reason = ?2, next_attempt_at = ?3, waiting_gate = ?4,
                    waiting_on = ?5, claimed_by = NULL WHERE id = ?1",
            params![
                task_id,
                reason,
                until.to_string(),
                closed_gate(*waits_for),
                waits_for.root()
            ],
        )?,
        Transition::FixFailed { phase, message } | Transition::Regressed { phase, message } => tx.run(
            "UPDATE tasks SET status = 'fix_failed', phase = max(phase, ?2), fix_message = ?3, fix_successful = 0,
                    stable_until = NULL, claimed_by = NULL WHERE id = ?1",
            params![task_id, phase.number(), message],
        )?,
        Transition::FirstGreen { stable_until, message } => tx.run(
            "UPDATE tasks SET status = 'fixed', stable_until = ?2, fix_message = ?3, claimed_by = NULL,
                    first_green_at = coalesce(first_green_at, ?4) WHERE id = ?1",
            params![task_id, stable_until.to_string(), message, at],
        )?,
        Transition::LookLater { stable_until, .. } => tx.run(
            "UPDATE tasks SET stable_until = ?2 WHERE id = ?1",
            params![task_id, stable_until.to_string()],
        )?,
        Transition::Close { resolution, message } => close(tx, task_id, *resolution, message, &at)?,
        Transition::Escalate { reason, retry_at } => tx.run(
            "UPDATE tasks SET status = 'escalated', phase = 4, waiting_reason = ?2, next_attempt_at = ?3, claimed_by = NULL,
                    waiting_gate = NULL, waiting_on = NULL, told = told + 1 WHERE id = ?1",
            params![task_id, reason, retry_at.map(|at| at.to_string())],
        )?,
        Transition::StillEscalated { until, reason } => tx.run(
            "UPDATE tasks SET status = 'escalated', waiting_reason = ?2, next_attempt_at = ?3, claimed_by = NULL,
                    waiting_gate = NULL, waiting_on = NULL WHERE id = ?1",
            params![task_id, reason, until.to_string()],
        )?,
        Transition::Release { .. } => tx.run(
            "UPDATE tasks SET status = 'detected', claimed_by = NULL WHERE id = ?1",
            [task_id],
        )?,
    };
    let details = format!("{from} -> {}", transition.target());
    history::append(
        tx,
        Some(task_id),
        transition.event(),
        &details,
        actor,
        transition.reason(),
        now,
    )?;
    if matches!(
        transition,
        Transition::Close { .. } | Transition::FirstGreen { .. }
    ) {
        wake(tx, WaitsFor::Root(task_id), now)?;
    }
    if matches!(transition, Transition::Close { .. }) {
        enqueue::closed(tx, task_id, transition.reason(), now)?;
    }
    Ok(())
}

/// Makes the tasks due that wait for this.
pub(super) fn wake(tx: &Tx<'_>, waits_for: WaitsFor, now: Timestamp) -> Result<usize, StoreError> {
    let gate = closed_gate(waits_for);
    if let Some(root) = waits_for.root() {
        let of_root = "status = 'waiting' AND status <> 'closed' AND waiting_on = ?1";
        for task_id in begin_anew(tx, of_root, root, now)? {
            let root = root.to_string();
            history::append(tx, Some(task_id), "given_back", &root, "daemon", "", now)?;
        }
    }
    Ok(tx.run(
        "UPDATE tasks SET next_attempt_at = ?3
         WHERE status = 'waiting' AND status <> 'closed' AND next_attempt_at > ?3
           AND waiting_gate = ?1 AND waiting_on IS ?2",
        params![gate, waits_for.root(), now.to_string()],
    )?)
}

/// Of a row of `tasks`: it waits, and no human put it off.
pub(super) fn may_be_woken() -> String {
    format!(
        "status IN ('waiting', 'escalated') AND {}",
        is_not_snoozed()
    )
}

/// The column of that name.
fn closed_gate(waits_for: WaitsFor) -> Option<&'static str> {
    match waits_for {
        WaitsFor::Snooze => Some(SNOOZE),
        WaitsFor::Time | WaitsFor::Gate(_) | WaitsFor::Root(_) => {
            waits_for.gate().map(Gate::as_str)
        }
    }
}

/// What they failed of is over: a round of attempts begins for these, and those before are given back. At most once an
/// hour, or what comes and goes would start them for ever.
fn begin_anew(
    tx: &Tx<'_>,
    which: &str,
    id: TaskId,
    now: Timestamp,
) -> Result<Vec<TaskId>, StoreError> {
    let sql = format!(
        "UPDATE tasks SET asked_at = ?2, phase = 1
         WHERE {which} AND (asked_at IS NULL OR asked_at <= ?3) RETURNING id"
    );
    let last = now.minus(ANEW_EVERY);
    let mut statement = tx.prepare_cached(&sql)?;
    let begun = statement.query_map(params![id, now.to_string(), last.to_string()], |row| {
        row.get(0)
    })?;
    Ok(begun.collect::<Result<_, _>>()?)
}

fn close(
    tx: &Tx<'_>,
    task_id: TaskId,
    resolution: Resolution,
    message: &str,
    at: &str,
) -> Result<usize, StoreError> {
    let fixed = resolution == Resolution::Fixed;
    Ok(tx.run(
        "UPDATE tasks SET status = 'closed', resolution = ?2, closed_at = ?3, claimed_by = NULL,
                waiting_gate = NULL, waiting_on = NULL, next_attempt_at = NULL, stable_until = NULL, fix_successful = ?4, fix_message = CASE WHEN ?4 THEN fix_message ELSE ?5 END,
                fixed_at = CASE WHEN ?4 THEN ?3 END WHERE id = ?1",
        params![task_id, resolution.as_str(), at, fixed, message],
    )?)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::core::model::finding::{Finding, Severity};
    use crate::store::tests::{NOW, bench, finding};

    #[test]
    fn what_a_human_put_off_is_woken_by_nothing_before_its_time_whatever_its_reason_says() {
        let worse = |severity| Finding {
            severity,
            ..finding("boom")
        };
        let until = NOW.plus(Duration::from_secs(900));
        // As it is written now, and as the programs before left it.
        for reason in ["leave it", "snoozed by anna"] {
            let bench = bench();
            let store = &bench.store;
            let due = || store.reader().unwrap().due(NOW).unwrap().claimable;
            let task = store.create_task(worse(Severity::Warning), NOW).unwrap();
            store.snooze(task.task_id, until, "anna", NOW).unwrap();
            let gate = match reason {
                "leave it" => "waiting_gate",
                _ => "NULL",
            };
            let sql = format!("UPDATE tasks SET waiting_reason = ?1, waiting_gate = {gate}");
            store
                .write(move |tx| Ok(tx.execute(&sql, [reason])?))
                .unwrap();
            store.look_anew(&[task.task_id], NOW).unwrap();
            assert!(!store.returned(task.task_id, "x", "t", NOW).unwrap());
            assert_eq!(store.works_with("one", NOW).unwrap(), 0);
            assert_eq!(store.works_with("another", NOW).unwrap(), 0, "{reason}");
            let worse = worse(Severity::Critical);
            assert!(!store.create_task(worse, NOW).unwrap().created);
            assert!(!due(), "{reason}");
            assert!(store.reader().unwrap().due(until).unwrap().claimable);
        }
    }

    #[test]
    fn what_waits_for_a_gate_is_woken_though_its_reason_begins_like_a_snooze() {
        let bench = bench();
        let task = bench.store.create_task(finding("boom"), NOW).unwrap();
        let wait = Transition::Wait {
            until: NOW.plus(Duration::from_secs(900)),
            waits_for: WaitsFor::Gate(Gate::Budget),
            reason: "snoozed by a word of the finding".to_owned(),
        };
        bench
            .store
            .transition(task.task_id, wait, "t", NOW)
            .unwrap();
        bench.store.look_anew(&[task.task_id], NOW).unwrap();
        assert!(bench.store.reader().unwrap().due(NOW).unwrap().claimable);
    }
}
