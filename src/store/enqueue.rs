//! What a change owes the outbox: rows written with the state change that they tell of.

use std::time::Duration;

use rusqlite::{Connection, OptionalExtension, params};
use serde_json::{Value, json};

use crate::core::human::issue;
use crate::core::human::route::Route;
use crate::core::model::finding::Finding;
use crate::core::model::id::{IssueNumber, OutboxId, TaskId};
use crate::core::model::task::{Resolution, Task};
use crate::core::model::time::Timestamp;
use crate::store::error::StoreError;
use crate::store::meta::meta;
use crate::store::restored;
use crate::store::rows::{TASK_COLUMNS, task_row};
use crate::store::sql::Prepared;
use crate::store::tx::Tx;

/// The destination of issues.
const GITHUB: &str = "github";
/// Meta row: the destinations that are configured, each a [`Route`] as a word, separated by blanks. In the database, since every process that
/// changes a task queues the same rows. Before version 5 another row named those beside GitHub.
pub(super) const ROUTES: &str = "routes";
/// Meta row: seconds between two comments on one issue.
pub(super) const COALESCE_S: &str = "coalesce_s";

/// Every destination, and what it is told. Before a daemon has said what is configured, GitHub.
pub(super) fn routes(connection: &Connection) -> Result<Vec<Route>, StoreError> {
    let routes = meta(connection, ROUTES)?.unwrap_or_else(|| GITHUB.to_owned());
    Ok(routes.split_whitespace().map(Route::of_word).collect())
}

/// The destination was told of the task, or is to be.
pub(super) fn knows(
    connection: &Connection,
    task_id: TaskId,
    destination: &str,
) -> Result<bool, StoreError> {
    let sql = "SELECT EXISTS (SELECT 1 FROM outbox WHERE task_id = ?1 AND destination = ?2)";
    let row = params![task_id, destination];
    Ok(connection
        .prepare_cached(sql)?
        .query_row(row, |row| row.get(0))?)
}

/// The route takes the task, as severe as it is by now.
pub(super) fn takes(
    connection: &Connection,
    route: &Route,
    task_id: TaskId,
) -> Result<bool, StoreError> {
    if *route == Route::all(&route.destination) {
        return Ok(true);
    }
    let (severity, class): (String, String) = connection
        .prepare_cached("SELECT severity, issue_type FROM tasks WHERE id = ?1")?
        .query_row([task_id], |row| Ok((row.get(0)?, row.get(1)?)))?;
    // A name of another version hides nothing.
    let (severity, class) = (severity.parse(), class.parse());
    Ok(severity
        .ok()
        .zip(class.ok())
        .is_none_or(|(severity, class)| route.takes(severity, class)))
}

/// A destination that is new here is told of each open escalation that it has no row of.
pub(super) fn tell_of_open(tx: &Tx<'_>, route: &Route, now: Timestamp) -> Result<(), StoreError> {
    let destination = route.destination.as_str();
    let untold: Vec<(TaskId, String, String, bool)> = tx
        .prepare_cached(
            "SELECT tasks.id, title, body, github_issue_number IS NOT NULL
             FROM escalations JOIN tasks ON tasks.id = task_id
             WHERE resolved_at IS NULL AND status <> 'closed'
               AND NOT EXISTS (SELECT 1 FROM outbox WHERE outbox.task_id = tasks.id AND destination = ?1)
             ORDER BY tasks.id",
        )?
        .query_map([destination], |row| {
            Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?))
        })?
        .collect::<Result<_, _>>()?;
    for (task_id, title, body, has_issue) in untold {
        if !takes(tx, route, task_id)? {
            continue;
        }
        let operation = match has_issue && destination == GITHUB {
            true => "reopen",
            false => "create",
        };
        let payload = json!({ "title": title, "body": body });
        enqueue(tx, destination, task_id, operation, &payload, now)?;
    }
    Ok(())
}

/// The destination hears of an open escalation for the first time.
fn tell_of(
    tx: &Tx<'_>,
    destination: &str,
    task_id: TaskId,
    now: Timestamp,
) -> Result<(), StoreError> {
    let told: Option<(String, String, String)> = tx
        .prepare_cached(
            "SELECT title, body, reason FROM escalations WHERE task_id = ?1 AND resolved_at IS NULL",
        )?
        .query_row([task_id], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))
        .optional()?;
    let Some((title, body, reason)) = told else {
        return Ok(());
    };
    let payload = json!({ "title": title, "body": body, "reason": reason });
    enqueue(tx, destination, task_id, "create", &payload, now).map(drop)
}

/// Adds one row to deliver, with the task's facts beside the text.
pub(super) fn enqueue(
    tx: &Tx<'_>,
    destination: &str,
    task_id: TaskId,
    operation: &str,
    payload: &Value,
    now: Timestamp,
) -> Result<OutboxId, StoreError> {
    let (key, rank, facts): (String, u8, Value) = tx
        .prepare_cached(
            "SELECT delivery_key, severity_rank, issue_type, subject, coalesce(cause, ''), issue_message, detected_at
             FROM tasks WHERE id = ?1",
        )?
        .query_row([task_id], |row| {
            let text = |at| row.get::<_, String>(at);
            let facts = json!({
                "class": text(2)?, "subject": text(3)?, "cause": text(4)?, "message": text(5)?, "since": text(6)?,
            });
            Ok((row.get(0)?, row.get(1)?, facts))
        })?;
    let mut payload = payload.clone();
    if let Some(fields) = payload.as_object_mut() {
        fields.insert("facts".to_owned(), facts);
    }
    let payload = payload.to_string();
    // After a restore an issue of this very key may exist already: looked for before it is created.
    let state = match operation == "create" && restored::unsettled(tx)?.is_some() {
        true => "unknown",
        false => "pending",
    };
    tx.prepare_cached(
        "INSERT INTO outbox (task_id, destination, operation, state, payload, delivery_key, severity_rank, created_at, next_at)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?8)",
    )?
    .execute(params![task_id, destination, operation, state, payload, key, rank, now.to_string()])?;
    Ok(OutboxId::from_number(tx.last_insert_rowid()))
}

/// A problem that came back takes over the issue of its last life; whether that is reopened or followed by a new
/// one that links it, the courier decides by the time since it was closed. False = there is none.
pub(super) fn take_over_issue(tx: &Tx<'_>, task_id: TaskId) -> Result<bool, StoreError> {
    let last_life: Option<(TaskId, IssueNumber)> = tx
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
        "UPDATE outbox SET state = 'cancelled', last_error = 'the problem came back before it was sent'
         WHERE task_id = ?1 AND destination = ?2 AND state IN ('pending', 'unknown')",
        params![previous, GITHUB],
    )?;
    Ok(true)
}

/// Least time between two comments on one issue where none is configured; what comes meanwhile is one comment.
const COMMENT_EVERY: Duration = Duration::from_secs(3_600);

/// What comes to hang on a root within this time is one comment.
const JOINED_WITHIN: Duration = Duration::from_secs(30);

/// True when something about this task is on its way to every destination already, or a summary tells of it there: a
/// repeat owes nothing more.
pub(super) fn is_told(connection: &Connection, task_id: TaskId) -> Result<bool, StoreError> {
    for route in routes(connection)? {
        let is_told = is_told_at(connection, task_id, &route.destination)?;
        if !is_told && is_due(connection, &route, task_id)? {
            return Ok(false);
        }
    }
    Ok(true)
}

/// The destination is to hear of what happens to the task: it was told of it, or takes it by now.
fn is_due(connection: &Connection, route: &Route, task_id: TaskId) -> Result<bool, StoreError> {
    Ok(knows(connection, task_id, &route.destination)? || takes(connection, route, task_id)?)
}

/// The destination chooses what it hears, and was not told of the task yet.
pub(super) fn is_new(
    connection: &Connection,
    route: &Route,
    task_id: TaskId,
) -> Result<bool, StoreError> {
    let chooses = *route != Route::all(&route.destination);
    Ok(chooses && !knows(connection, task_id, &route.destination)?)
}

fn is_told_at(
    connection: &Connection,
    task_id: TaskId,
    destination: &str,
) -> Result<bool, StoreError> {
    Ok(connection
        .prepare_cached(
            "SELECT EXISTS (SELECT 1 FROM outbox WHERE task_id = ?1 AND destination = ?2
                            AND operation IN ('create', 'reopen', 'comment')
                            AND (state IN ('pending', 'sending', 'unknown') OR (state = 'cancelled' AND operation <> 'comment')))",
        )?
        .query_row(params![task_id, destination], |row| row.get(0))?)
}

/// An escalated problem was seen again: one comment, the configured time after the one before it at the earliest.
pub(super) fn recurrence(
    tx: &Tx<'_>,
    task_id: TaskId,
    finding: &Finding,
    now: Timestamp,
) -> Result<(), StoreError> {
    let task = task(tx, task_id)?;
    let payload = json!({
        "body": issue::recurrence_comment(&task, &finding.message),
        "status": issue::status_block(&task),
    });
    let every = meta(tx, COALESCE_S)?
        .and_then(|text| text.parse().ok())
        .map_or(COMMENT_EVERY, Duration::from_secs);
    for route in routes(tx)? {
        let destination = route.destination.as_str();
        if is_told_at(tx, task_id, destination)? || !is_due(tx, &route, task_id)? {
            continue;
        }
        // It was not severe enough for this one when it was escalated.
        if is_new(tx, &route, task_id)? {
            tell_of(tx, destination, task_id, now)?;
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
        let row = enqueue(tx, destination, task_id, "comment", &payload, now)?;
        tx.run(
            "UPDATE outbox SET next_at = ?2 WHERE id = ?1",
            params![row, due.to_string()],
        )?;
    }
    Ok(())
}

/// More than the issue names has come to hang on its task: one comment, which waits for what else comes. One that is not
/// sent yet says the later text; it is known by its mark, which no text within the JSON can hold unescaped.
pub(super) fn joined(
    tx: &Tx<'_>,
    task_id: TaskId,
    body: &str,
    now: Timestamp,
) -> Result<(), StoreError> {
    let status = issue::status_block(&task(tx, task_id)?);
    for route in routes(tx)? {
        let destination = route.destination.as_str();
        if !is_due(tx, &route, task_id)? || in_summary(tx, task_id, destination)? {
            continue;
        }
        tx.run(
            "UPDATE outbox SET state = 'cancelled', last_error = 'a later one names more'
             WHERE task_id = ?1 AND destination = ?2 AND operation = 'comment' AND state = 'pending' AND attempts = 0
               AND instr(payload, '\"case\":true') > 0",
            params![task_id, destination],
        )?;
        let payload = json!({ "body": body, "status": status, "case": true });
        let row = enqueue(tx, destination, task_id, "comment", &payload, now)?;
        tx.run(
            "UPDATE outbox SET next_at = ?2 WHERE id = ?1",
            params![row, now.plus(JOINED_WITHIN).to_string()],
        )?;
    }
    Ok(())
}

/// A task was closed: its escalation is resolved, its issue gets closed; one never sent is not sent.
pub(super) fn closed(
    tx: &Tx<'_>,
    task_id: TaskId,
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
    for route in routes(tx)? {
        closed_at(tx, &route.destination, task_id, reason, now)?;
    }
    Ok(())
}

fn closed_at(
    tx: &Tx<'_>,
    destination: &str,
    task_id: TaskId,
    reason: &str,
    now: Timestamp,
) -> Result<(), StoreError> {
    // Named after the escalation: it was never told of it.
    if !knows(tx, task_id, destination)? {
        return Ok(());
    }
    let never_sent = tx.run(
        "UPDATE outbox SET state = 'cancelled', last_error = 'closed before it was sent'
         WHERE task_id = ?1 AND destination = ?2 AND operation IN ('create', 'reopen') AND state = 'pending' AND attempts = 0",
        params![task_id, destination],
    )?;
    if never_sent > 0 && !stands_open(tx, destination, task_id)? {
        tx.run(
            "UPDATE outbox SET state = 'cancelled', last_error = 'its issue was never sent'
             WHERE task_id = ?1 AND destination = ?2 AND state = 'pending'",
            params![task_id, destination],
        )?;
        return Ok(());
    }
    if in_summary(tx, task_id, destination)? {
        return Ok(());
    }
    // A comment that still waits for its time has nothing left to say, and would hold up the close.
    tx.run(
        "UPDATE outbox SET state = 'cancelled', last_error = 'over before it was sent'
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

/// True when the issue that a task took over was left open for it, or may be: the close of the life before was dropped
/// when the problem came back, and nobody else would say that it is over.
fn stands_open(tx: &Tx<'_>, destination: &str, task_id: TaskId) -> Result<bool, StoreError> {
    let last: Option<String> = tx
        .query_row(
            "SELECT o.operation FROM tasks AS own
             JOIN tasks AS life ON life.github_issue_number = own.github_issue_number
             JOIN outbox AS o ON o.task_id = life.id
             WHERE own.id = ?1 AND o.destination = ?2 AND o.destination = ?3
               AND o.state IN ('confirmed', 'sending', 'unknown')
             ORDER BY o.id DESC LIMIT 1",
            params![task_id, destination, GITHUB],
            |row| row.get(0),
        )
        .optional()?;
    Ok(last.is_some_and(|operation| operation != "close"))
}

/// True when a summary tells of the task there: it has no issue to comment on or to close.
pub(super) fn in_summary(
    tx: &Tx<'_>,
    task_id: TaskId,
    destination: &str,
) -> Result<bool, StoreError> {
    Ok(tx.row(
        "SELECT EXISTS (SELECT 1 FROM outbox WHERE task_id = ?1 AND destination = ?2
                        AND operation IN ('create', 'reopen') AND state = 'cancelled')
            AND NOT EXISTS (SELECT 1 FROM tasks WHERE id = ?1 AND github_issue_number IS NOT NULL)",
        params![task_id, destination],
        |row| row.get(0),
    )?)
}

/// The task as it stands inside the transaction.
fn task(tx: &Tx<'_>, task_id: TaskId) -> Result<Task, StoreError> {
    let sql = format!("SELECT {TASK_COLUMNS} FROM tasks WHERE id = ?1");
    Ok(tx.prepare_cached(&sql)?.query_row([task_id], task_row)?)
}
