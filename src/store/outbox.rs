//! Escalations and the outbox: written with the state change that they tell of.

use std::time::Duration;

use rusqlite::{OptionalExtension, params};
use serde_json::json;

use crate::core::human::delivery::{Counted, PUT_OFF_MOST};
use crate::core::human::route::Route;
use crate::core::model::id::{IssueNumber, OutboxId, TaskId};
use crate::core::model::proposal::Digest;
use crate::core::model::task::Transition;
use crate::core::model::time::Timestamp;
use crate::store::enqueue::{self, COALESCE_S, ROUTES, enqueue, routes, take_over_issue};
use crate::store::error::StoreError;
use crate::store::handle::Store;
use crate::store::meta::set_meta;
use crate::store::read::Reader;
use crate::store::rows::{OUTBOX_COLUMNS, TASK_COLUMNS, outbox_row, task_row};
use crate::store::sql::Prepared;
use crate::store::tx::Tx;
use crate::store::types::{NewEscalation, OutboxRow};
use crate::store::{history, tasks};

/// Most rows of one digest; the next one tells of the rest.
const DIGEST_MOST: u32 = 200;
/// Event of a task that the issue of its case's root names; its details are the root's id.
const IN_CASE: &str = "in_case";
/// Rounds of trying again that are told as a comment.
const COMMENTED_ROUNDS: u32 = 2;

/// A condition that keeps back what would tell of a task that a human wants left alone: not what answers him, nor that it
/// is over. Empty where there is none; what a silence held is due when it ends.
fn held_by_silence(reader: &Reader, now: Timestamp) -> Result<String, StoreError> {
    let silenced = reader.silenced_deliveries(now)?.into_iter();
    let ids: Vec<String> = silenced.map(|(id, _)| id.to_string()).collect();
    Ok(match ids.is_empty() {
        true => String::new(),
        false => format!(
            " AND NOT (task_id IN ({}) AND operation IN ('create', 'reopen'))",
            ids.join(", ")
        ),
    })
}

impl OutboxRow {
    /// A silence of its task holds it back.
    pub fn yields_to_silence(&self) -> bool {
        matches!(self.state.as_str(), "pending" | "unknown")
            && matches!(self.operation.as_str(), "create" | "reopen")
    }
}

impl Reader {
    /// Tasks of which a silence holds back what would tell of them, and until when.
    pub fn silenced_deliveries(
        &self,
        now: Timestamp,
    ) -> Result<Vec<(TaskId, Timestamp)>, StoreError> {
        let silences = self.silences()?;
        if silences.at(now).next().is_none() {
            return Ok(Vec::new());
        }
        let sql = format!(
            "SELECT {TASK_COLUMNS} FROM tasks WHERE id IN
             (SELECT task_id FROM outbox WHERE state IN ('pending', 'unknown') AND operation IN ('create', 'reopen'))"
        );
        let waiting = self.list(&sql, &[], task_row)?.into_iter();
        let covered = waiting.filter_map(|task| {
            let silence = silences.of(&task, &task.finding(), now)?;
            Some((task.id, silence.until))
        });
        Ok(covered.collect())
    }
}

impl Store {
    /// Where escalations go (each a `Route` as a word) and how long changes of one are collected: as configured. One
    /// that is new is told of what is open; a tracker in a new place knows nothing of the issues of the one before.
    pub fn set_routing(
        &self,
        routes: &[&str],
        coalesce: Duration,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let coalesce = coalesce.as_secs().to_string();
        let reader = self.reader()?;
        if reader.meta(COALESCE_S)?.as_deref() != Some(&coalesce) {
            self.set_meta(COALESCE_S, &coalesce)?;
        }
        let wanted = routes.join(" ");
        if reader.meta(ROUTES)?.as_deref() == Some(&wanted) {
            return Ok(());
        }
        self.write(move |tx| {
            set_meta(tx, ROUTES, &wanted)?;
            let routes: Vec<Route> = wanted.split_whitespace().map(Route::of_word).collect();
            let is_elsewhere = enqueue::renumber(tx, &routes)?;
            routes.iter().try_for_each(|route| {
                enqueue::tell_of_open(tx, route, is_elsewhere && route.is_tracker(), now)
            })
        })
    }

    /// Escalates a task: status, escalation, outbox row and audit event in one transaction. A task that
    /// was escalated before keeps its issue: only the new facts are added as a comment.
    pub fn escalate(
        &self,
        task_id: TaskId,
        escalation: NewEscalation,
        actor: &str,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let actor = actor.to_owned();
        self.write(move |tx| {
            let transition = Transition::Escalate {
                reason: escalation.reason.clone(),
                retry_at: escalation.retry_at,
            };
            // What mode `observe` holds back cannot be allowed: nothing names it as such.
            let asked = escalation.proposed.as_ref().filter(|one| !one.held_back);
            let digest = asked.map(|one| one.action.digest());
            let shown = shown(tx, task_id)?;
            if let Some(proposed) = &escalation.proposed {
                tasks::propose(tx, task_id, proposed, &actor, &escalation.reason, now)?;
            }
            tasks::apply(tx, task_id, &transition, &actor, now)?;
            let told: u32 = tx.row("SELECT told FROM tasks WHERE id = ?1", [task_id], |row| {
                row.get(0)
            })?;
            let new = tx.run(
                "INSERT INTO escalations (task_id, reason, title, body, severity, created_at)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6) ON CONFLICT (task_id) DO NOTHING",
                params![
                    task_id,
                    escalation.reason,
                    escalation.title,
                    escalation.body,
                    escalation.severity.as_str(),
                    now.to_string()
                ],
            )?;
            // A problem that stays is not told again and again: after a few rounds its issue says it all. What a
            // human is asked for must stand there.
            let stands = digest.is_none() || digest == shown;
            if stands && told > COMMENTED_ROUNDS + 1 {
                return Ok(());
            }
            let operation = match new {
                1 if take_over_issue(tx, task_id)? => "reopen",
                1 => "create",
                _ => "comment",
            };
            let mut payload = json!({ "title": escalation.title, "body": escalation.body, "reason": escalation.reason });
            if let (Some(fields), Some(digest)) = (payload.as_object_mut(), &digest) {
                fields.insert("proposal".to_owned(), json!(digest.as_str()));
            }
            if let (Some(fields), Some(proposed)) = (payload.as_object_mut(), &escalation.proposed) {
                let action = &proposed.action;
                fields.insert("action".to_owned(), json!(action.whole()));
                fields.insert("action_kind".to_owned(), json!(action.kind.as_str()));
            }
            for route in routes(tx)? {
                let destination = route.destination.as_str();
                let is_new = enqueue::is_new(tx, &route, task_id)?;
                if is_new && !enqueue::takes(tx, &route, task_id)? {
                    continue;
                }
                if operation == "comment" && enqueue::in_summary(tx, task_id, destination)? {
                    continue;
                }
                // What was not severe enough for it before is new there.
                let operation = match operation == "comment" && is_new {
                    true => "create",
                    false => operation,
                };
                enqueue(tx, destination, task_id, operation, &payload, now)?;
            }
            Ok(())
        })
    }

    /// These hang on `root`, of which a human was told: named by its issue from now on, at once where the issue itself
    /// names them, else by one comment with the text of `body`, which takes the place of one that is not sent yet.
    /// Nothing where all were named before.
    pub fn join_case(
        &self,
        root: TaskId,
        members: &[TaskId],
        body: Option<String>,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        let members = members.to_vec();
        self.write(move |tx| {
            let mut joined = false;
            for member in &members {
                if !is_named(tx, root, *member)? {
                    history::append(
                        tx,
                        Some(*member),
                        IN_CASE,
                        &root.to_string(),
                        "daemon",
                        "",
                        now,
                    )?;
                    joined = true;
                }
            }
            if let (true, Some(body)) = (joined, &body) {
                enqueue::joined(tx, root, body, now)?;
            }
            Ok(joined)
        })
    }

    /// The next delivery that is due, of nothing that a silence covers. The rows of a task and of its earlier lives, which share an issue, go in order: none
    /// before those ahead of it are confirmed or given up; what the host confirms before what a line said, the most severe task first. A row put off beyond any possible wait was booked
    /// under a wrong clock: it is due.
    pub fn outbox_next(
        &self,
        destination: &str,
        now: Timestamp,
    ) -> Result<Option<OutboxRow>, StoreError> {
        let reader = self.reader()?;
        let held = held_by_silence(&reader, now)?;
        reader.with(|connection| {
            let sql = format!(
                "SELECT {OUTBOX_COLUMNS} FROM outbox AS o
                 WHERE destination = ?1 AND state IN ('pending', 'sending', 'unknown') AND (next_at <= ?2 OR next_at > ?3){held}
                   AND NOT EXISTS (SELECT 1 FROM outbox AS ahead
                                   WHERE ahead.task_id IN (SELECT life.id FROM tasks AS own
                                                           JOIN tasks AS life ON life.issue_hash = own.issue_hash
                                                           WHERE own.id = o.task_id)
                                     AND ahead.destination = o.destination
                                     AND ahead.id < o.id AND ahead.state NOT IN ('confirmed', 'dead', 'cancelled'))
                 ORDER BY (SELECT said_by IS NOT NULL FROM tasks WHERE tasks.id = o.task_id), severity_rank, id LIMIT 1"
            );
            Ok(connection
                .prepare_cached(&sql)?
                .query_row(
                    params![destination, now.to_string(), now.plus(PUT_OFF_MOST).to_string()],
                    outbox_row,
                )
                .optional()?)
        })
    }

    /// What is due there and not sent, of nothing that a silence covers, the oldest first: for a digest of at most `DIGEST_MOST`.
    pub fn outbox_waiting(
        &self,
        destination: &str,
        now: Timestamp,
    ) -> Result<Vec<OutboxRow>, StoreError> {
        let reader = self.reader()?;
        let held = held_by_silence(&reader, now)?;
        let sql = format!(
            "SELECT {OUTBOX_COLUMNS} FROM outbox
             WHERE destination = ?1 AND state IN ('pending', 'unknown') AND (next_at <= ?2 OR next_at > ?3){held}
             ORDER BY id LIMIT {DIGEST_MOST}"
        );
        reader.list(
            &sql,
            &[
                &destination,
                &now.to_string(),
                &now.plus(PUT_OFF_MOST).to_string(),
            ],
            outbox_row,
        )
    }

    /// Committed BEFORE the request: a crash from here on leaves `sending`, which counts as unknown.
    pub fn outbox_sending(&self, id: OutboxId, now: Timestamp) -> Result<(), StoreError> {
        self.write(move |tx| {
            tx.run(
                "UPDATE outbox SET state = 'sending', attempts = attempts + 1, sent_at = ?2 WHERE id = ?1",
                params![id, now.to_string()],
            )?;
            Ok(())
        })
    }

    /// Delivered: row, the task's issue number where one came, and audit event in one transaction.
    pub fn outbox_confirmed(
        &self,
        id: OutboxId,
        issue_number: Option<IssueNumber>,
        remote_url: Option<&str>,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let url = remote_url.map(str::to_owned);
        self.write(move |tx| {
            let (task_id, operation): (TaskId, String) = tx.row(
                "UPDATE outbox SET state = 'confirmed', remote_url = coalesce(?2, remote_url), last_error = NULL
                 WHERE id = ?1 RETURNING task_id, operation",
                params![id, url],
                |row| Ok((row.get(0)?, row.get(1)?)),
            )?;
            if let Some(number) = issue_number {
                tx.run(
                    "UPDATE tasks SET github_issue_number = ?2, github_created_at = coalesce(github_created_at, ?3) WHERE id = ?1",
                    params![task_id, number, now.to_string()],
                )?;
            }
            let details = issue_number.map_or_else(|| operation.clone(), |number| format!("{operation} #{number}"));
            history::append(tx, Some(task_id), "delivered", &details, "courier", url.as_deref().unwrap_or(""), now)
        })
    }

    /// The outcome of the request is not known: look before sending again.
    pub fn outbox_unknown(
        &self,
        id: OutboxId,
        retry_at: Timestamp,
        why: &str,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        self.outbox_state(id, "unknown", retry_at, why, now)
    }

    /// Certainly not delivered: to be sent again.
    pub fn outbox_retry(
        &self,
        id: OutboxId,
        retry_at: Timestamp,
        why: &str,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        self.outbox_state(id, "pending", retry_at, why, now)
    }

    /// Marked as sending, and nothing left: as if it had not been tried. What is over meanwhile need not be told then.
    pub fn outbox_unsent(
        &self,
        id: OutboxId,
        retry_at: Timestamp,
        why: &str,
    ) -> Result<(), StoreError> {
        let why = why.to_owned();
        self.write(move |tx| {
            // One that was unclear before stays that: it may have arrived then.
            tx.run(
                "UPDATE outbox SET state = CASE WHEN attempts > 1 THEN 'unknown' ELSE 'pending' END,
                                   attempts = max(attempts - 1, 0), next_at = ?2, last_error = ?3
                 WHERE id = ?1",
                params![id, retry_at.to_string(), why],
            )?;
            Ok(())
        })
    }

    /// Never to be sent again.
    pub fn outbox_dead(&self, id: OutboxId, why: &str, now: Timestamp) -> Result<(), StoreError> {
        self.outbox_state(id, "dead", now, why, now)
    }

    /// Told otherwise: not sent.
    pub fn outbox_cancelled(
        &self,
        id: OutboxId,
        why: &str,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        self.outbox_state(id, "cancelled", now, why, now)
    }

    fn outbox_state(
        &self,
        id: OutboxId,
        state: &'static str,
        next_at: Timestamp,
        why: &str,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let why = why.to_owned();
        self.write(move |tx| {
            let task_id: TaskId = tx.row(
                "UPDATE outbox SET state = ?2, next_at = ?3, last_error = ?4 WHERE id = ?1 RETURNING task_id",
                params![id, state, next_at.to_string(), why],
                |row| row.get(0),
            )?;
            history::append(tx, Some(task_id), &format!("delivery_{state}"), "", "courier", &why, now)
        })
    }

    /// Issues opened and reopened since `since`, for the caps per hour and day.
    pub fn outbox_created_since(
        &self,
        destination: &str,
        counted: Counted<'_>,
        since: Timestamp,
    ) -> Result<u32, StoreError> {
        // What was sent at one moment is one message.
        const SENT: &str = "SELECT count(DISTINCT sent_at) FROM outbox AS o WHERE destination = ?1 AND operation IN ('create', 'reopen')
             AND state IN ('sending', 'confirmed', 'unknown') AND sent_at > ?2";
        let of = match counted {
            Counted::All => "",
            Counted::Said | Counted::SaidBy(_) => {
                " AND EXISTS (SELECT 1 FROM tasks WHERE tasks.id = o.task_id AND said_by IS NOT NULL AND said_by = coalesce(?3, said_by))"
            }
        };
        let sql = format!("{SENT}{of}");
        self.reader()?.with(|connection| {
            let mut statement = connection.prepare_cached(&sql)?;
            let since = since.to_string();
            let count = |row: &rusqlite::Row<'_>| row.get(0);
            Ok(match counted {
                Counted::All => statement.query_row(params![destination, since], count),
                Counted::Said => {
                    let anybody: Option<&str> = None;
                    statement.query_row(params![destination, since, anybody], count)
                }
                Counted::SaidBy(writer) => {
                    statement.query_row(params![destination, since, writer], count)
                }
            }?)
        })
    }
}

/// The issue of `root` names `member`.
fn is_named(tx: &Tx<'_>, root: TaskId, member: TaskId) -> Result<bool, StoreError> {
    Ok(tx.row(
        "SELECT EXISTS (SELECT 1 FROM task_history WHERE task_id = ?1 AND action = ?2 AND details = ?3)",
        params![member, IN_CASE, root.to_string()],
        |row| row.get(0),
    )?)
}

/// Digest of the action that the task's issue showed last.
fn shown(tx: &Tx<'_>, task_id: TaskId) -> Result<Option<Digest>, StoreError> {
    // What mode `observe` held back was never named.
    let sql = "SELECT (SELECT proposed_digest FROM outbox
                       WHERE task_id = ?1 AND instr(payload, '\"proposal\":\"' || proposed_digest || '\"') > 0 LIMIT 1)
               FROM tasks WHERE id = ?1";
    let digest: Option<String> = tx.row(sql, [task_id], |row| row.get(0))?;
    Ok(digest.and_then(|digest| digest.parse().ok()))
}
