//! What a change owes the outbox: rows written with the state change that they tell of.

use std::time::Duration;

use rusqlite::{Connection, OptionalExtension, params};
use serde_json::{Value, json};

use crate::core::human::issue;
use crate::core::human::route::{GITHUB, Route};
use crate::core::model::finding::Finding;
use crate::core::model::id::{IssueNumber, OutboxId, TaskId};
use crate::core::model::task::{Resolution, Task};
use crate::core::model::time::Timestamp;
use crate::store::error::StoreError;
use crate::store::meta::{meta, set_meta};
use crate::store::restored;
use crate::store::rows::{TASK_COLUMNS, task_row};
use crate::store::sql::Prepared;
use crate::store::tx::Tx;

/// Meta row: the destinations that are configured, each a [`Route`] as a word, separated by blanks. In the database, since every process that
/// changes a task queues the same rows. Before version 5 another row named those beside GitHub.
pub(super) const ROUTES: &str = "routes";
/// Meta row: the tracker that the numbers of issues belong to ([`Route::numbering`]); none = GitHub, as before there
/// were others.
const NUMBERING: &str = "issue_numbers_of";
/// Meta row: seconds between two comments on one issue.
pub(super) const COALESCE_S: &str = "coalesce_s";

/// Every destination, and what it is told. Before a daemon has said what is configured, GitHub.
pub(super) fn routes(connection: &Connection) -> Result<Vec<Route>, StoreError> {
    let routes = meta(connection, ROUTES)?.unwrap_or_else(|| GITHUB.to_owned());
    Ok(routes.split_whitespace().map(Route::of_word).collect())
}

/// The numbers of issues in `tasks` are GitHub's.
pub(super) fn numbers_are_githubs(connection: &Connection) -> Result<bool, StoreError> {
    Ok(meta(connection, NUMBERING)?.is_none_or(|known| known == GITHUB))
}

/// Numbers of issues belong to the tracker that is configured: those of another one are forgotten. True where there
/// was another one. While there is none they stay, should it come back.
pub(super) fn renumber(tx: &Tx<'_>, routes: &[Route]) -> Result<bool, StoreError> {
    let Some(numbering) = routes.iter().find_map(Route::numbering) else {
        return Ok(false);
    };
    let known = meta(tx, NUMBERING)?;
    if known.as_deref().unwrap_or(GITHUB) == numbering {
        return Ok(false);
    }
    set_meta(tx, NUMBERING, &numbering)?;
    tx.run(
        "UPDATE tasks SET github_issue_number = NULL WHERE github_issue_number IS NOT NULL",
        [],
    )?;
    Ok(true)
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
    if route.takes_all() {
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

/// A destination that is new here is told of each open escalation that it has no row of; a tracker in a new place
/// (`is_elsewhere`), of each.
pub(super) fn tell_of_open(
    tx: &Tx<'_>,
    route: &Route,
    is_elsewhere: bool,
    now: Timestamp,
) -> Result<(), StoreError> {
    let destination = route.destination.as_str();
    let untold: Vec<(TaskId, String, String, bool)> = tx
        .prepare_cached(
            "SELECT tasks.id, title, body, github_issue_number IS NOT NULL
             FROM escalations JOIN tasks ON tasks.id = task_id
             WHERE resolved_at IS NULL AND status <> 'closed'
               AND (?2 OR NOT EXISTS (SELECT 1 FROM outbox WHERE outbox.task_id = tasks.id AND destination = ?1))
             ORDER BY tasks.id",
        )?
        .query_map(params![destination, is_elsewhere], |row| {
            Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?))
        })?
        .collect::<Result<_, _>>()?;
    for (task_id, title, body, has_issue) in untold {
        if !takes(tx, route, task_id)? {
            continue;
        }
        // One row opens it; where that is done, in another place, it is not found and opened all the same.
        let was_told = is_elsewhere && knows(tx, task_id, destination)?;
        let operation = match was_told || (has_issue && route.is_tracker()) {
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
/// one that links it, the courier decides by the time since it was closed. False = there is none, or the tracker does
/// not want to hear of it this time.
pub(super) fn take_over_issue(tx: &Tx<'_>, task_id: TaskId) -> Result<bool, StoreError> {
    let tracker = routes(tx)?.into_iter().find(Route::is_tracker);
    let tracker = tracker.unwrap_or_else(|| Route::all(GITHUB));
    if !takes(tx, &tracker, task_id)? {
        return Ok(false);
    }
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
        params![previous, tracker.destination],
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
    Ok(!route.takes_all() && !knows(connection, task_id, &route.destination)?)
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
        closed_at(tx, &route, task_id, reason, now)?;
    }
    Ok(())
}

fn closed_at(
    tx: &Tx<'_>,
    route: &Route,
    task_id: TaskId,
    reason: &str,
    now: Timestamp,
) -> Result<(), StoreError> {
    let destination = route.destination.as_str();
    // Named after the escalation: it was never told of it.
    if !knows(tx, task_id, destination)? {
        return Ok(());
    }
    let never_sent = tx.run(
        "UPDATE outbox SET state = 'cancelled', last_error = 'closed before it was sent'
         WHERE task_id = ?1 AND destination = ?2 AND operation IN ('create', 'reopen') AND state = 'pending' AND attempts = 0",
        params![task_id, destination],
    )?;
    if never_sent > 0 && !(route.is_tracker() && stands_open(tx, destination, task_id)?) {
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

/// True when the issue of the tracker that a task took over was left open for it, or may be: the close of the life before was dropped
/// when the problem came back, and nobody else would say that it is over.
fn stands_open(tx: &Tx<'_>, destination: &str, task_id: TaskId) -> Result<bool, StoreError> {
    let last: Option<String> = tx
        .query_row(
            "SELECT o.operation FROM tasks AS own
             JOIN tasks AS life ON life.github_issue_number = own.github_issue_number
             JOIN outbox AS o ON o.task_id = life.id
             WHERE own.id = ?1 AND o.destination = ?2
               AND o.state IN ('confirmed', 'sending', 'unknown')
             ORDER BY o.id DESC LIMIT 1",
            params![task_id, destination],
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
            AND NOT EXISTS (SELECT 1 FROM outbox WHERE task_id = ?1 AND destination = ?2
                            AND operation IN ('create', 'reopen') AND state <> 'cancelled')
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

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::core::model::finding::Severity;
    use crate::store::tests::{Bench, NOW, bench, one};
    use crate::store::{NewEscalation, OutboxRow, Store};

    const HOUR: Duration = Duration::from_secs(3_600);
    const FORGE: &str = "forge:info::tracker-5f0c";
    const MOVED: &str = "forge:info::tracker-77aa";

    fn route(store: &Store, words: &[&str]) {
        store.set_routing(words, HOUR, NOW).unwrap();
    }

    fn escalate(bench: &Bench, message: &str) -> TaskId {
        let task = one(&bench.store, message).task_id;
        let told = NewEscalation {
            reason: "r".to_owned(),
            title: "t".to_owned(),
            body: "b".to_owned(),
            severity: Severity::Error,
            retry_at: None,
            proposed: None,
        };
        bench.store.escalate(task, told, "t", NOW).unwrap();
        task
    }

    fn next(bench: &Bench, destination: &str) -> Option<OutboxRow> {
        bench.store.outbox_next(destination, NOW).unwrap()
    }

    /// The next row there is confirmed with this number.
    fn deliver(bench: &Bench, destination: &str, number: i64) -> OutboxRow {
        let row = next(bench, destination).unwrap();
        bench.store.outbox_sending(row.id, NOW).unwrap();
        let number = IssueNumber::from_number(number);
        let confirmed = bench
            .store
            .outbox_confirmed(row.id, Some(number), None, NOW);
        confirmed.unwrap();
        row
    }

    fn close(bench: &Bench, task: TaskId) {
        bench
            .store
            .close_task(task, Resolution::Fixed, NOW)
            .unwrap();
    }

    fn told(row: &OutboxRow) -> (&str, Option<i64>) {
        let number = row.issue_number.map(|number| number.number());
        (row.operation.as_str(), number)
    }

    #[test]
    fn a_problem_that_comes_back_takes_over_its_issue_at_whichever_tracker() {
        let bench = bench();
        route(&bench.store, &[FORGE]);
        let task = escalate(&bench, "boom");
        assert_eq!(told(&deliver(&bench, "forge", 7)), ("create", None));
        close(&bench, task);
        let again = escalate(&bench, "boom");
        let row = next(&bench, "forge").unwrap();
        assert_eq!((told(&row), row.task_id), (("reopen", Some(7)), again));
        // Never sent: the issue still stands open from the life before.
        close(&bench, again);
        let row = next(&bench, "forge").unwrap();
        assert_eq!((told(&row), row.task_id), (("close", Some(7)), again));
    }

    #[test]
    fn another_tracker_is_told_of_what_is_open_once_and_of_no_number_of_the_one_before() {
        let bench = bench();
        let (open, over) = (escalate(&bench, "open"), escalate(&bench, "over"));
        deliver(&bench, "github", 1);
        deliver(&bench, "github", 2);
        close(&bench, over);
        for words in [&[FORGE][..], &[FORGE], &[], &[FORGE]] {
            route(&bench.store, words);
        }
        let row = deliver(&bench, "forge", 9);
        assert_eq!((told(&row), row.task_id), (("create", None), open));
        assert!(next(&bench, "forge").is_none());
        // What is over has no issue there to reopen.
        let back = escalate(&bench, "over");
        let row = deliver(&bench, "forge", 10);
        assert_eq!((told(&row), row.task_id), (("create", None), back));
        // The same name for another project: told anew, though it has rows.
        route(&bench.store, &[MOVED]);
        assert_eq!(told(&deliver(&bench, "forge", 3)), ("reopen", None));
        assert_eq!(told(&deliver(&bench, "forge", 4)), ("reopen", None));
        assert!(next(&bench, "forge").is_none());
        close(&bench, open);
        assert_eq!(told(&deliver(&bench, "forge", 3)), ("close", Some(3)));
    }

    #[test]
    fn a_tracker_that_wants_to_hear_of_it_no_more_closes_its_issue() {
        let bench = bench();
        route(&bench.store, &[FORGE]);
        let task = escalate(&bench, "boom");
        deliver(&bench, "forge", 7);
        close(&bench, task);
        route(&bench.store, &["forge:critical::tracker-5f0c", "ops"]);
        let again = escalate(&bench, "boom");
        assert_eq!(told(&deliver(&bench, "forge", 7)), ("close", Some(7)));
        assert!(next(&bench, "forge").is_none());
        let row = next(&bench, "ops").unwrap();
        assert_eq!((told(&row), row.task_id), (("create", None), again));
    }
}
