//! Escalations and the outbox: written with the state change that they tell of.

use std::time::Duration;

use rusqlite::{Connection, OptionalExtension, params};
use serde_json::{Value, json};

use crate::core::human::delivery::PUT_OFF_MOST;
use crate::core::human::issue;
use crate::core::model::audit;
use crate::core::model::finding::Finding;
use crate::core::model::task::{Resolution, Task, Transition};
use crate::core::model::time::Timestamp;
use crate::store::read::{OUTBOX_COLUMNS, TASK_COLUMNS, outbox_row, task_row};
use crate::store::sql::Prepared;
use crate::store::tx::Tx;
use crate::store::types::{NewEscalation, OutboxRow};
use crate::store::{Store, StoreError, history, open, repair, tasks};

/// The destination of issues: its rows are always kept, so that one named later is told of what is open.
const GITHUB: &str = "github";
/// Meta row: further destinations, separated by blanks. In the database, since every process that changes a
/// task queues the same rows.
const DESTINATIONS: &str = "destinations";
/// Meta row: seconds between two comments on one issue.
const COALESCE_S: &str = "coalesce_s";
/// Rounds of trying again that are told as a comment.
const COMMENTED_ROUNDS: u32 = 2;

impl Store {
    /// Where escalations go beside GitHub and how long changes of one are collected: as configured.
    pub fn set_routing(&self, further: &[&str], coalesce: Duration) -> Result<(), StoreError> {
        let wanted = [
            (DESTINATIONS, further.join(" ")),
            (COALESCE_S, coalesce.as_secs().to_string()),
        ];
        let reader = self.reader()?;
        for (key, value) in wanted {
            if reader.meta(key)?.unwrap_or_default() != value {
                self.set_meta(key, &value)?;
            }
        }
        Ok(())
    }

    /// Escalates a task: status, escalation, outbox row and audit event in one transaction. A task that
    /// was escalated before keeps its issue: only the new facts are added as a comment.
    pub fn escalate(
        &self,
        task_id: i64,
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
            let times: u32 = tx.row(
                "SELECT count(*) FROM task_history WHERE task_id = ?1 AND action = 'escalated'",
                [task_id],
                |row| row.get(0),
            )?;
            tasks::apply(tx, task_id, &transition, &actor, now)?;
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
            // A problem that stays is not told again and again: after a few rounds its issue says it all.
            if times > COMMENTED_ROUNDS {
                return Ok(());
            }
            let operation = match new {
                1 if take_over_issue(tx, task_id)? => "reopen",
                1 => "create",
                _ => "comment",
            };
            let payload = json!({ "title": escalation.title, "body": escalation.body });
            for destination in destinations(tx)? {
                enqueue(tx, &destination, task_id, operation, &payload, now)?;
            }
            Ok(())
        })
    }

    /// The next delivery that is due. A task's rows go in order: none before those ahead of it are
    /// confirmed or dead; the most severe task first. A row put off beyond any possible wait was booked
    /// under a wrong clock: it is due.
    pub fn outbox_next(
        &self,
        destination: &str,
        now: Timestamp,
    ) -> Result<Option<OutboxRow>, StoreError> {
        self.reader()?.with(|connection| {
            let sql = format!(
                "SELECT {OUTBOX_COLUMNS} FROM outbox AS o
                 WHERE destination = ?1 AND state IN ('pending', 'sending', 'unknown') AND (next_at <= ?2 OR next_at > ?3)
                   AND NOT EXISTS (SELECT 1 FROM outbox AS ahead
                                   WHERE ahead.task_id = o.task_id AND ahead.destination = o.destination
                                     AND ahead.id < o.id AND ahead.state NOT IN ('confirmed', 'dead'))
                 ORDER BY severity_rank, id LIMIT 1"
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

    /// Committed BEFORE the request: a crash from here on leaves `sending`, which counts as unknown.
    pub fn outbox_sending(&self, id: i64, now: Timestamp) -> Result<(), StoreError> {
        self.write(move |tx| {
            tx.run(
                "UPDATE outbox SET state = 'sending', attempts = attempts + 1, sent_at = ?2 WHERE id = ?1",
                params![id, now.to_string()],
            )?;
            Ok(())
        })
    }

    pub fn outbox_confirmed(
        &self,
        id: i64,
        issue_number: Option<i64>,
        remote_url: Option<&str>,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let url = remote_url.map(str::to_owned);
        self.write(move |tx| {
            let (task_id, operation): (i64, String) = tx.row(
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
        id: i64,
        retry_at: Timestamp,
        why: &str,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        self.outbox_state(id, "unknown", retry_at, why, now)
    }

    /// Certainly not delivered: to be sent again.
    pub fn outbox_retry(
        &self,
        id: i64,
        retry_at: Timestamp,
        why: &str,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        self.outbox_state(id, "pending", retry_at, why, now)
    }

    /// Never to be sent again.
    pub fn outbox_dead(&self, id: i64, why: &str, now: Timestamp) -> Result<(), StoreError> {
        self.outbox_state(id, "dead", now, why, now)
    }

    fn outbox_state(
        &self,
        id: i64,
        state: &'static str,
        next_at: Timestamp,
        why: &str,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let why = why.to_owned();
        self.write(move |tx| {
            let task_id: i64 = tx.row(
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
        since: Timestamp,
    ) -> Result<u32, StoreError> {
        self.reader()?.with(|connection| {
            Ok(connection
                .prepare_cached(
                    "SELECT count(*) FROM outbox WHERE destination = ?1 AND operation IN ('create', 'reopen')
                     AND state IN ('sending', 'confirmed', 'unknown') AND sent_at > ?2",
                )?
                .query_row(params![destination, since.to_string()], |row| row.get(0))?)
        })
    }
}

/// Every destination that is told.
fn destinations(connection: &Connection) -> Result<Vec<String>, StoreError> {
    let further = open::meta(connection, DESTINATIONS)?.unwrap_or_default();
    let mut all = vec![GITHUB.to_owned()];
    all.extend(further.split_whitespace().map(str::to_owned));
    Ok(all)
}

/// Adds one row to deliver, with the task's facts beside the text.
fn enqueue(
    tx: &Tx<'_>,
    destination: &str,
    task_id: i64,
    operation: &str,
    payload: &Value,
    now: Timestamp,
) -> Result<i64, StoreError> {
    let (hash, episode, rank, facts): (String, u64, u8, Value) = tx
        .prepare_cached(
            "SELECT issue_hash, episode, severity_rank, issue_type, subject, coalesce(cause, ''), issue_message, detected_at
             FROM tasks WHERE id = ?1",
        )?
        .query_row([task_id], |row| {
            let text = |at| row.get::<_, String>(at);
            let facts = json!({
                "class": text(3)?, "subject": text(4)?, "cause": text(5)?, "message": text(6)?, "since": text(7)?,
            });
            Ok((row.get(0)?, row.get(1)?, row.get(2)?, facts))
        })?;
    let mut payload = payload.clone();
    if let Some(fields) = payload.as_object_mut() {
        fields.insert("facts".to_owned(), facts);
    }
    let payload = payload.to_string();
    let key = audit::delivery_key(&open::gateway_id(tx)?, &hash, episode);
    // After a restore an issue of this very key may exist already: looked for before it is created.
    let state = match operation == "create" && open::meta(tx, repair::RESTORED_AT)?.is_some() {
        true => "unknown",
        false => "pending",
    };
    tx.prepare_cached(
        "INSERT INTO outbox (task_id, destination, operation, state, payload, delivery_key, severity_rank, created_at, next_at)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?8)",
    )?
    .execute(params![task_id, destination, operation, state, payload, key, rank, now.to_string()])?;
    Ok(tx.last_insert_rowid())
}

/// A problem that came back takes over the issue of its last life; whether that is reopened or followed by a new
/// one that links it, the courier decides by the time since it was closed. False = there is none.
fn take_over_issue(tx: &Tx<'_>, task_id: i64) -> Result<bool, StoreError> {
    let last_life: Option<(i64, i64)> = tx
        .query_row(
            "SELECT old.id, old.github_issue_number FROM tasks JOIN tasks AS old ON old.id = tasks.previous_id
             WHERE tasks.id = ?1 AND old.github_issue_number IS NOT NULL",
            [task_id],
            |row| Ok((row.get(0)?, row.get(1)?)),
        )
        .optional()?;
    let Some((previous, number)) = last_life else {
        return Ok(false);
    };
    tx.run(
        "UPDATE tasks SET github_issue_number = ?2 WHERE id = ?1",
        params![task_id, number],
    )?;
    // Rows of two tasks have no order between them: a late close would shut the issue again.
    tx.run(
        "UPDATE outbox SET state = 'dead', last_error = 'the problem came back before it was sent'
         WHERE task_id = ?1 AND destination = ?2 AND state IN ('pending', 'unknown')",
        params![previous, GITHUB],
    )?;
    Ok(true)
}

/// Least time between two comments on one issue where none is configured; what comes meanwhile is one comment.
const COMMENT_EVERY: Duration = Duration::from_secs(3_600);

/// True when something about this task is on its way to every destination already: a repeat owes nothing more.
pub(super) fn is_told(connection: &Connection, task_id: i64) -> Result<bool, StoreError> {
    for destination in destinations(connection)? {
        if !is_told_at(connection, task_id, &destination)? {
            return Ok(false);
        }
    }
    Ok(true)
}

fn is_told_at(
    connection: &Connection,
    task_id: i64,
    destination: &str,
) -> Result<bool, StoreError> {
    Ok(connection
        .prepare_cached(
            "SELECT EXISTS (SELECT 1 FROM outbox WHERE task_id = ?1 AND destination = ?2
                            AND operation IN ('create', 'reopen', 'comment') AND state IN ('pending', 'sending', 'unknown'))",
        )?
        .query_row(params![task_id, destination], |row| row.get(0))?)
}

/// An escalated problem was seen again: one comment, the configured time after the one before it at the earliest.
pub(super) fn recurrence(
    tx: &Tx<'_>,
    task_id: i64,
    finding: &Finding,
    now: Timestamp,
) -> Result<(), StoreError> {
    let task = task(tx, task_id)?;
    let payload = json!({
        "body": issue::recurrence_comment(&task, &finding.message),
        "status": issue::status_block(&task),
    });
    let every = open::meta(tx, COALESCE_S)?
        .and_then(|text| text.parse().ok())
        .map_or(COMMENT_EVERY, Duration::from_secs);
    for destination in destinations(tx)? {
        if is_told_at(tx, task_id, &destination)? {
            continue;
        }
        let last: Option<String> = tx
            .prepare_cached(
                "SELECT max(sent_at) FROM outbox WHERE task_id = ?1 AND destination = ?2
                 AND operation IN ('create', 'reopen', 'comment')",
            )?
            .query_row(params![task_id, destination], |row| row.get(0))?;
        let due = last
            .and_then(|text| text.parse::<Timestamp>().ok())
            .map_or(now, |last| last.min(now).plus(every).max(now));
        let row = enqueue(tx, &destination, task_id, "comment", &payload, now)?;
        tx.run(
            "UPDATE outbox SET next_at = ?2 WHERE id = ?1",
            params![row, due.to_string()],
        )?;
    }
    Ok(())
}

/// A task was closed: its escalation is resolved, its issue gets closed; one never sent is not sent.
pub(super) fn closed(
    tx: &Tx<'_>,
    task_id: i64,
    reason: &str,
    now: Timestamp,
) -> Result<(), StoreError> {
    let resolved = tx.run(
        "UPDATE escalations SET resolved_at = ?2 WHERE task_id = ?1 AND resolved_at IS NULL",
        params![task_id, now.to_string()],
    )?;
    if resolved == 0 {
        return Ok(());
    }
    for destination in destinations(tx)? {
        closed_at(tx, &destination, task_id, reason, now)?;
    }
    Ok(())
}

fn closed_at(
    tx: &Tx<'_>,
    destination: &str,
    task_id: i64,
    reason: &str,
    now: Timestamp,
) -> Result<(), StoreError> {
    // Named after the escalation: it was never told of it.
    let known: bool = tx.row(
        "SELECT EXISTS (SELECT 1 FROM outbox WHERE task_id = ?1 AND destination = ?2)",
        params![task_id, destination],
        |row| row.get(0),
    )?;
    if !known && destination != GITHUB {
        return Ok(());
    }
    let never_sent = tx.run(
        "UPDATE outbox SET state = 'dead', last_error = 'closed before it was sent'
         WHERE task_id = ?1 AND destination = ?2 AND operation IN ('create', 'reopen') AND state = 'pending' AND attempts = 0",
        params![task_id, destination],
    )?;
    if never_sent > 0 {
        tx.run(
            "UPDATE outbox SET state = 'dead', last_error = 'its issue was never sent'
             WHERE task_id = ?1 AND destination = ?2 AND state = 'pending'",
            params![task_id, destination],
        )?;
        return Ok(());
    }
    // A comment that still waits for its time has nothing left to say, and would hold up the close.
    tx.run(
        "UPDATE outbox SET state = 'dead', last_error = 'over before it was sent'
         WHERE task_id = ?1 AND destination = ?2 AND operation = 'comment' AND state = 'pending' AND attempts = 0",
        params![task_id, destination],
    )?;
    let task = task(tx, task_id)?;
    let resolution = task.resolution.unwrap_or(Resolution::Human);
    let payload = json!({
        "body": issue::closing_comment(resolution, reason, now),
        "resolution": resolution.as_str(),
        "status": issue::status_block(&task),
    });
    enqueue(tx, destination, task_id, "close", &payload, now).map(drop)
}

/// The task as it stands inside the transaction.
fn task(tx: &Tx<'_>, task_id: i64) -> Result<Task, StoreError> {
    let sql = format!("SELECT {TASK_COLUMNS} FROM tasks WHERE id = ?1");
    Ok(tx.prepare_cached(&sql)?.query_row([task_id], task_row)?)
}
