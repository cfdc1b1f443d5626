//! One row of the Python daemon's tables as one of ours. Whatever does not fit is kept as evidence.

use std::borrow::Cow;

use rusqlite::types::Value;
use rusqlite::{Connection, OptionalExtension, params};

use crate::core::identity;
use crate::core::model::audit;
use crate::core::model::class::{Class, Clearing};
use crate::core::model::facts::Key;
use crate::core::model::finding::Finding;
use crate::core::model::id::TaskId;
use crate::core::model::sorted::SortedMap;
use crate::core::model::time::Timestamp;
use crate::core::model::unit::{UnitName, is_unit_name};
use crate::core::reading::shape;
use crate::store::enqueue::numbers_are_githubs;
use crate::store::error::StoreError;
use crate::store::history;
use crate::store::meta::gateway_id;
use crate::store::tx::Tx;

/// New ids of old tasks, where they differ.
pub(super) type Ids = SortedMap<TaskId, TaskId>;

/// Column name to text; NULL is left out.
type OldRow = SortedMap<String, String>;

const KNOWN: &[&str] = &[
    "id",
    "issue_hash",
    "issue_type",
    "issue_source",
    "issue_message",
    "status",
    "fix_attempted",
    "fix_successful",
    "fix_message",
    "github_issue_number",
    "detected_at",
    "github_created_at",
    "fixed_at",
    "closed_at",
];

const KNOWN_HISTORY: &[&str] = &["id", "task_id", "action", "details", "timestamp"];

/// True when every column of the old history has its place.
pub(super) fn knows_history(names: &[String]) -> bool {
    names
        .iter()
        .all(|name| KNOWN_HISTORY.contains(&name.as_str()))
}

fn old_row(names: &[String], values: Vec<Value>) -> OldRow {
    let text = |value: Value| match value {
        Value::Null => None,
        Value::Integer(number) => Some(number.to_string()),
        Value::Real(number) => Some(number.to_string()),
        Value::Text(text) => Some(text),
        Value::Blob(bytes) => Some(String::from_utf8_lossy(&bytes).into_owned()),
    };
    names
        .iter()
        .cloned()
        .zip(values)
        .filter_map(|(name, value)| Some((name, text(value)?)))
        .collect()
}

/// Python's adapters wrote numbers, booleans and words for the same thing.
fn flag(old: &OldRow, name: &str) -> bool {
    old.get(name).is_some_and(|value| {
        !matches!(
            value.trim().to_lowercase().as_str(),
            "" | "0" | "0.0" | "false" | "no"
        )
    })
}

/// The Python daemon's statuses onto ours. What it had handed to GitHub stays before a human; work it
/// had begun starts over; anything unknown stays open rather than being dropped.
fn status_of(old: &OldRow) -> (&'static str, Option<&'static str>) {
    let status = old.get("status").map(|status| status.trim().to_lowercase());
    match status.as_deref() {
        Some("closed" | "resolved" | "done") => {
            let fixed = flag(old, "fix_successful");
            ("closed", Some(if fixed { "fixed" } else { "human" }))
        }
        Some("fixed" | "completed") => ("closed", Some("fixed")),
        Some("escalated" | "github_created" | "reported") => ("escalated", None),
        Some("fix_failed" | "failed") => ("fix_failed", None),
        _ => ("detected", None),
    }
}

/// What becomes of an old task here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    /// It goes on: what it is about is looked at, or lines tell of it.
    Open,
    /// It was over at that time.
    Over(Timestamp),
    /// It was open there, and nothing here can tell whether it still holds: closed with the adoption.
    Unverified,
}

/// Why a task is closed as [`Fate::Unverified`].
pub(super) const UNVERIFIED: &str =
    "adopted: what it is about is not known, so nothing can tell whether it still holds";

/// The unit or mount point that an old task is about, where its class is about one. The Python daemon had no place for
/// it: the source may be the log file that told.
fn subject_of(class: Class, old: &OldRow) -> Option<&str> {
    let text = |name: &str| old.get(name).map_or("", String::as_str);
    let source = text("issue_source");
    let about = class.row().subject;
    if about == Some(Key::Unit) {
        let said = text("issue_message").split([' ', ':', ',', '\'', '"']);
        let mut named = std::iter::once(source).chain(said);
        return named.find(|word| is_unit_name(word) && UnitName::new(word).is_ok());
    }
    let is_place = source.starts_with('/') && !source.contains('.');
    (about == Some(Key::Mount) && is_place).then_some(source)
}

/// The subject of one that goes on; `None` where nothing can be looked at.
fn goes_on(old: &OldRow) -> Option<&str> {
    let class: Class = old.get("issue_type")?.parse().ok()?;
    match class.clearing() {
        // Silence ends it.
        Clearing::Quiet => Some(subject_of(class, old).unwrap_or_default()),
        Clearing::Sweep => subject_of(class, old),
        // Of a boot that is over.
        Clearing::Reboot => None,
    }
}

/// What would become of a task.
pub(super) fn fate(names: &[String], values: Vec<Value>, now: Timestamp) -> Fate {
    let old = old_row(names, values);
    let at = old.get("closed_at").or_else(|| old.get("fixed_at"));
    let at = at.and_then(|written| written.parse().ok()).unwrap_or(now);
    match status_of(&old).0 {
        "closed" => Fate::Over(at),
        _ if goes_on(&old).is_some() => Fate::Open,
        _ => Fate::Unverified,
    }
}

/// Inserts one task; its id stays where it is free. Says which it is here, and what became of it.
pub(super) fn task(
    tx: &Tx<'_>,
    names: &[String],
    values: Vec<Value>,
    ids: &mut Ids,
    now: Timestamp,
) -> Result<(TaskId, Fate), StoreError> {
    let old = old_row(names, values);
    let text = |name: &str| old.get(name).cloned().unwrap_or_default();
    let (mut status, mut resolution) = status_of(&old);
    let mut evidence: OldRow = old
        .iter()
        .filter(|(name, _)| !KNOWN.contains(&name.as_str()))
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect();
    evidence.insert("legacy_status".to_owned(), text("status"));
    // A time or number that is none is kept as it was written.
    let mut time = |name: &str| -> Option<String> {
        let written = old.get(name)?;
        match written.parse::<Timestamp>() {
            Ok(at) => Some(at.to_string()),
            Err(_) => {
                evidence.insert(format!("legacy_{name}"), written.clone());
                Some(now.to_string())
            }
        }
    };
    let detected = time("detected_at").unwrap_or_else(|| now.to_string());
    let [created, fixed, closed] = ["github_created_at", "fixed_at", "closed_at"].map(&mut time);
    let issue = old.get("github_issue_number");
    let number = issue.and_then(|text| text.trim().trim_start_matches('#').parse::<i64>().ok());
    if let (Some(issue), None) = (issue, number) {
        evidence.insert("legacy_github_issue_number".to_owned(), issue.clone());
    }
    // Another tracker knows no issue of that number.
    let number = match numbers_are_githubs(tx)? {
        true => number,
        false => None,
    };
    let old_id = old.get("id").and_then(|id| id.parse::<i64>().ok());
    let hash = match text("issue_hash") {
        hash if hash.is_empty() => format!("legacy:{}", old_id.unwrap_or_default()),
        hash => hash,
    };
    // The old key was unique; should it not be, the second row is kept too, as closed.
    if status != "closed" && exists(tx, "issue_hash = ?1 AND status <> 'closed'", &hash)? {
        (status, resolution) = ("closed", Some("superseded"));
    }
    let subject = goes_on(&old);
    let is_unverified = status != "closed" && subject.is_none();
    if is_unverified {
        (status, resolution) = ("closed", Some("unverified"));
    }
    let closed =
        (status == "closed").then(|| closed.or_else(|| fixed.clone()).unwrap_or(now.to_string()));
    let free_id = match old_id {
        Some(id) if id > 0 && !exists(tx, "id = ?1", &id)? => Some(id),
        _ => None,
    };
    tx.prepare_cached(
        "INSERT INTO tasks (id, issue_hash, legacy_hash, subject, issue_type, issue_source, issue_message, evidence, status,
                            resolution, fix_attempted, fix_successful, fix_message, github_issue_number, detected_at,
                            last_seen_at, github_created_at, fixed_at, closed_at, algorithm, delivery_key)
         VALUES (?1, ?2, ?2, ?18, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?13, ?14, ?15, ?16, 0, ?17)",
    )?
    .execute(params![
        free_id,
        hash,
        text("issue_type"),
        text("issue_source"),
        text("issue_message"),
        serde_json::to_string(&evidence).unwrap_or_else(|_| "{}".to_owned()),
        status,
        resolution,
        flag(&old, "fix_attempted"),
        flag(&old, "fix_successful"),
        old.get("fix_message"),
        number,
        detected,
        created,
        fixed,
        &closed,
        audit::delivery_key(&gateway_id(tx)?, &hash, 1),
        subject.unwrap_or_default(),
    ])?;
    let id = TaskId::from_number(tx.last_insert_rowid());
    if let Some(old_id) = old_id.filter(|_| free_id.is_none()) {
        ids.insert(TaskId::from_number(old_id), id);
    }
    let fate = match closed.and_then(|at| at.parse().ok()) {
        _ if is_unverified => Fate::Unverified,
        Some(at) => Fate::Over(at),
        None => Fate::Open,
    };
    Ok((id, fate))
}

fn exists(tx: &Tx<'_>, what: &str, value: &dyn rusqlite::ToSql) -> Result<bool, StoreError> {
    Ok(tx
        .prepare_cached(&format!("SELECT EXISTS (SELECT 1 FROM tasks WHERE {what})"))?
        .query_row([value], |row| row.get(0))?)
}

/// Appends one old history row to the chain, with the time it had.
pub(super) fn event(
    tx: &Tx<'_>,
    names: &[String],
    values: Vec<Value>,
    ids: &Ids,
    now: Timestamp,
) -> Result<(), StoreError> {
    let old = old_row(names, values);
    let text = |name: &str| old.get(name).map_or("", String::as_str);
    let task = text("task_id").parse::<i64>().ok().map(TaskId::from_number);
    let task = task.map(|id| ids.get(&id).copied().unwrap_or(id));
    let written = text("timestamp");
    let (at, reason) = match written.parse::<Timestamp>() {
        Ok(at) => (at, "adopted".to_owned()),
        Err(_) => (now, format!("adopted; its time was '{written}'")),
    };
    history::append(
        tx,
        task,
        text("action"),
        text("details"),
        "python-daemon",
        &reason,
        at,
    )
}

/// The open adopted task that is this very fault: its stored message has the same fingerprint. From
/// then on it is known by ours.
pub(super) fn rekey(
    tx: &Tx<'_>,
    finding: &Finding,
    hash: &str,
    now: Timestamp,
) -> Result<Option<TaskId>, StoreError> {
    let (class, subject, message) = (finding.class, &finding.subject, &finding.message);
    let waiting: Vec<(TaskId, String)> = tx
        .prepare_cached(
            "SELECT id, issue_message FROM tasks INDEXED BY tasks_legacy
             WHERE algorithm = 0 AND status <> 'closed' AND issue_type = ?1",
        )?
        .query_map([class.as_str()], |row| Ok((row.get(0)?, row.get(1)?)))?
        .collect::<Result<_, _>>()?;
    let same = waiting
        .into_iter()
        .filter(|(_, old)| identity::fingerprint(class.as_str(), subject, old).to_string() == hash)
        // Several may be the same by our key: the very message first, then the oldest.
        .min_by_key(|(id, old)| (old != message, *id));
    let Some((id, _)) = same else { return Ok(None) };
    tx.execute(
        "UPDATE tasks SET issue_hash = ?2, subject = ?3, algorithm = ?4 WHERE id = ?1",
        params![id, hash, subject, identity::ALGORITHM_VERSION],
    )?;
    let reason = "an adopted task was seen again";
    history::append(tx, Some(id), "rekeyed", hash, "store", reason, now)?;
    Ok(Some(id))
}

/// At the owner's start: tasks of an older fingerprint algorithm get the key of this one, computed
/// from what is stored. Two that become the same fault are joined.
pub(super) fn upgrade(connection: &mut Connection, now: Timestamp) -> Result<u64, StoreError> {
    let transaction =
        connection.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)?;
    let tx = &Tx::of(&transaction);
    let old: Vec<(TaskId, String, String, String, u64)> = tx
        .prepare(
            "SELECT id, issue_type, subject, issue_message, seen_count FROM tasks INDEXED BY tasks_open
             WHERE status <> 'closed' AND algorithm NOT IN (0, ?1) ORDER BY id",
        )?
        .query_map([identity::ALGORITHM_VERSION], |row| {
            Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?, row.get(4)?))
        })?
        .collect::<Result<_, _>>()?;
    for (id, class, subject, message, seen) in &old {
        let hash = key_now(class, subject, message);
        let other: Option<TaskId> = tx
            .query_row(
                "SELECT id FROM tasks WHERE issue_hash = ?1 AND status <> 'closed' AND id <> ?2",
                params![hash, id],
                |row| row.get(0),
            )
            .optional()?;
        let reason = "new fingerprint algorithm";
        if let Some(other) = other {
            tx.execute(
                "UPDATE tasks SET seen_count = seen_count + ?2 WHERE id = ?1",
                params![other, seen],
            )?;
            tx.execute(
                "UPDATE tasks SET status = 'closed', resolution = 'superseded', closed_at = ?2, claimed_by = NULL,
                        next_attempt_at = NULL, stable_until = NULL WHERE id = ?1",
                params![id, now.to_string()],
            )?;
            let details = format!("the same as task {other}");
            history::append(tx, Some(*id), "closed", &details, "store", reason, now)?;
        } else {
            tx.execute(
                "UPDATE tasks SET issue_hash = ?2, algorithm = ?3 WHERE id = ?1",
                params![id, hash, identity::ALGORITHM_VERSION],
            )?;
            history::append(tx, Some(*id), "rekeyed", &hash, "store", reason, now)?;
        }
    }
    rekey_closed(tx)?;
    transaction.commit()?;
    Ok(old.len() as u64)
}

/// The key that a stored finding has now. Of a log line it is that of what the line says: earlier versions stored it
/// with all that it was wrapped in.
fn key_now(class: &str, subject: &str, message: &str) -> String {
    let said = match class == Class::LogError.as_str() {
        true => shape::read(message).message,
        false => Cow::Borrowed(message),
    };
    identity::fingerprint(class, subject, &said).to_string()
}

/// What is over as well: whoever comes back finds his last life, and its issue, by the key.
fn rekey_closed(tx: &Tx<'_>) -> Result<(), StoreError> {
    let over: Vec<(TaskId, String, String, String)> = tx
        .prepare(
            "SELECT id, issue_type, subject, issue_message FROM tasks
             WHERE status = 'closed' AND algorithm NOT IN (0, ?1)",
        )?
        .query_map([identity::ALGORITHM_VERSION], |row| {
            Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?))
        })?
        .collect::<Result<_, _>>()?;
    for (id, class, subject, message) in &over {
        let hash = key_now(class, subject, message);
        tx.prepare_cached("UPDATE tasks SET issue_hash = ?2, algorithm = ?3 WHERE id = ?1")?
            .execute(params![id, hash, identity::ALGORITHM_VERSION])?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wrapped_line_keeps_its_task() {
        let old = "{\"log\":\"2024-05-02 10:11:12 ERROR pump 7 is off\\n\",\"stream\":\"stderr\",\"time\":\"x\"}";
        let now = identity::fingerprint("log_error", "a.service", "pump 9 is off");
        assert_eq!(key_now("log_error", "a.service", old), now.to_string());
        let kernels = identity::fingerprint("io_error", "sda", old).to_string();
        assert_eq!(key_now("io_error", "sda", old), kernels);
    }
}
