//! Intake of findings: one open task per fingerprint, repeats counted, cursors in the same commit.

use std::time::Duration;

use rusqlite::{Connection, OptionalExtension, params};

use crate::core::identity;
use crate::core::model::audit;
use crate::core::model::finding::{Finding, Severity};
use crate::core::model::id::TaskId;
use crate::core::model::sorted::SortedMap;
use crate::core::model::time::Timestamp;
use crate::store::error::StoreError;
use crate::store::meta::gateway_id;
use crate::store::rows::{is_not_snoozed, parsed};
use crate::store::tx::Tx;
use crate::store::types::{Intake, Recorded};
use crate::store::{adopted, enqueue, history};

/// Repeats are committed at most this often.
pub(super) const COALESCE: Duration = Duration::from_secs(5);
/// Bare cursor moves alone are committed at most this often: after a crash their lines are read once
/// more, which costs less than a commit every 5 s on an eMMC (30 an hour are 0.7 MB).
pub(super) const COALESCE_CURSORS: Duration = Duration::from_secs(120);

/// Repeats and cursor moves that wait for a commit.
#[derive(Debug, Default)]
pub(super) struct Coalesced {
    seen: SortedMap<TaskId, (u64, Timestamp)>,
    cursors: SortedMap<String, (String, Timestamp)>,
}

impl Coalesced {
    pub(super) fn is_empty(&self) -> bool {
        self.seen.is_empty() && self.cursors.is_empty()
    }

    /// How long this may wait for somebody else's commit.
    pub(super) fn may_wait(&self) -> Duration {
        if self.seen.is_empty() {
            COALESCE_CURSORS
        } else {
            COALESCE
        }
    }

    pub(super) fn add(&mut self, batch: &Intake, recorded: &[Recorded], now: Timestamp) {
        for (finding, one) in batch.findings.iter().zip(recorded) {
            let entry = self.seen.entry(one.task_id).or_insert((0, now));
            entry.0 += finding.count;
            entry.1 = entry.1.max(finding.seen_at);
        }
        if let Some(cursor) = &batch.cursor {
            self.cursors
                .insert(cursor.stream.clone(), (cursor.position.clone(), now));
        }
    }

    fn waiting(&self, task_id: TaskId) -> u64 {
        self.seen.get(&task_id).map_or(0, |(count, _)| *count)
    }

    pub(super) fn write(&self, tx: &Tx<'_>) -> Result<(), StoreError> {
        for (task_id, (count, at)) in &self.seen {
            raise(tx, *task_id, *count, *at)?;
        }
        for (stream, (position, at)) in &self.cursors {
            move_cursor(tx, stream, position, *at)?;
        }
        Ok(())
    }
}

/// If every finding repeats an open task (or there is none), what would be recorded; else `None`.
pub(super) fn as_repeats(
    connection: &Connection,
    batch: &Intake,
    held: &Coalesced,
) -> Result<Option<Vec<Recorded>>, StoreError> {
    let mut recorded = Vec::with_capacity(batch.findings.len());
    for finding in &batch.findings {
        match open_task(connection, &finding.fingerprint().to_string())? {
            // A repeat of something already put before a human may owe a comment, and one that is worse is decided
            // anew: not held back.
            Some((one, status, severity))
                if finding.severity <= severity
                    && (status != "escalated" || enqueue::is_told(connection, one.task_id)?) =>
            {
                recorded.push(Recorded {
                    seen_count: one.seen_count + held.waiting(one.task_id) + finding.count,
                    ..one
                });
            }
            _ => return Ok(None),
        }
    }
    Ok(Some(recorded))
}

fn open_task(
    connection: &Connection,
    hash: &str,
) -> Result<Option<(Recorded, String, Severity)>, StoreError> {
    Ok(connection
        .prepare_cached(
            "SELECT id, seen_count, episode, previous_id, status, severity FROM tasks
             WHERE issue_hash = ?1 AND status <> 'closed'",
        )?
        .query_row([hash], |row| {
            let recorded = Recorded {
                task_id: row.get(0)?,
                created: false,
                seen_count: row.get(1)?,
                episode: row.get(2)?,
                previous_id: row.get(3)?,
            };
            let severity = parsed(row.get(5)?).unwrap_or(Severity::Error);
            Ok((recorded, row.get(4)?, severity))
        })
        .optional()?)
}

/// Writes the findings of one intake inside the writer's transaction.
pub(super) fn write(
    tx: &Tx<'_>,
    findings: &[Finding],
    now: Timestamp,
) -> Result<Vec<Recorded>, StoreError> {
    findings
        .iter()
        .map(|finding| record(tx, finding, now))
        .collect()
}

/// Creates the task of a finding, or counts a repeat of the open one.
pub(super) fn record(
    tx: &Tx<'_>,
    finding: &Finding,
    now: Timestamp,
) -> Result<Recorded, StoreError> {
    let hash = finding.fingerprint().to_string();
    let newest: Option<(TaskId, u64)> = tx
        .prepare_cached(
            "SELECT id, episode FROM tasks WHERE issue_hash = ?1 ORDER BY id DESC LIMIT 1",
        )?
        .query_row([&hash], |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()?;
    let before = match newest {
        Some((id, episode)) => (Some(id), episode),
        None => {
            adopted::rekey(tx, finding, &hash, now)?;
            (None, past_episode(tx, &hash)?)
        }
    };
    if let Some(created) = create(tx, finding, &hash, before, now)? {
        return Ok(created);
    }
    let (open, status, severity) = open_task(tx, &hash)?.ok_or_else(|| {
        StoreError::Corrupt("an open task vanished inside a transaction".to_owned())
    })?;
    raise(tx, open.task_id, finding.count, finding.seen_at)?;
    if finding.severity > severity {
        worsen(tx, open.task_id, finding, severity, now)?;
    }
    if status == "escalated" {
        enqueue::recurrence(tx, open.task_id, finding, now)?;
    }
    Ok(Recorded {
        seen_count: open.seen_count + finding.count,
        ..open
    })
}

/// `INSERT … ON CONFLICT … DO NOTHING`: only the one-open index may make it do nothing; NOT NULL and CHECK
/// violations stay errors, which a bare `OR IGNORE` would hide. No `RETURNING`: SQLite makes it a trigger, and
/// for one copies each page that the statement touches. `before` is the last life of this fingerprint: its
/// row, if that is still there, and its episode.
fn create(
    tx: &Tx<'_>,
    finding: &Finding,
    hash: &str,
    before: (Option<TaskId>, u64),
    now: Timestamp,
) -> Result<Option<Recorded>, StoreError> {
    let (previous_id, episode) = (before.0, before.1 + 1);
    let evidence = serde_json::to_string(&finding.evidence).unwrap_or_else(|_| "{}".to_owned());
    let seen_at = finding.seen_at.to_string();
    // Of this episode for good: an upgrade of the fingerprint changes the hash beside it, not the key.
    let key = audit::delivery_key(&gateway_id(tx)?, hash, episode);
    let inserted = tx
        .prepare_cached(
            "INSERT INTO tasks (issue_hash, issue_type, subject, severity, issue_source, issue_message, evidence,
                                seen_count, episode, previous_id, algorithm, detected_at, last_seen_at, delivery_key, said_by)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15)
             ON CONFLICT (issue_hash) WHERE status <> 'closed' DO NOTHING",
        )?
        .execute(
            params![
                hash,
                finding.class.as_str(),
                finding.subject,
                finding.severity.as_str(),
                finding.source,
                finding.message,
                evidence,
                finding.count.max(1),
                episode,
                previous_id,
                identity::ALGORITHM_VERSION,
                now.to_string(),
                seen_at,
                key,
                finding.said_by,
            ],
        )?;
    if inserted == 0 {
        return Ok(None);
    }
    let task_id = TaskId::from_number(tx.last_insert_rowid());
    let details = format!("{} {}: {}", finding.class, finding.subject, finding.message);
    let reason = previous_id.map_or_else(String::new, |id| {
        format!("episode {episode}, follows task {id}")
    });
    history::append(
        tx,
        Some(task_id),
        "found",
        &details,
        &finding.source,
        &reason,
        now,
    )?;
    Ok(Some(Recorded {
        task_id,
        created: true,
        seen_count: finding.count.max(1),
        episode,
        previous_id,
    }))
}

/// Last episode whose row retention removed; 0 when there was none.
pub(super) fn past_episode(connection: &Connection, hash: &str) -> Result<u64, StoreError> {
    Ok(connection
        .prepare_cached("SELECT episode FROM past_episodes WHERE issue_hash = ?1")?
        .query_row([hash], |row| row.get(0))
        .optional()?
        .unwrap_or(0))
}

/// Also of a task that another process closed since: it was seen while the task was open.
fn raise(tx: &Tx<'_>, task_id: TaskId, count: u64, at: Timestamp) -> Result<(), StoreError> {
    tx.prepare_cached(
        "UPDATE tasks SET seen_count = seen_count + ?2, last_seen_at = max(last_seen_at, ?3) WHERE id = ?1",
    )?
    .execute(params![task_id, count, at.to_string()])?;
    Ok(())
}

/// The same fault is worse than it was: who waited only because it was harmless is decided about anew.
fn worsen(
    tx: &Tx<'_>,
    task_id: TaskId,
    finding: &Finding,
    before: Severity,
    now: Timestamp,
) -> Result<(), StoreError> {
    let sql = format!(
        "UPDATE tasks SET severity = ?2,
                next_attempt_at = CASE WHEN status = 'waiting' AND waiting_gate IS NULL AND {}
                                       THEN min(next_attempt_at, ?3) ELSE next_attempt_at END
         WHERE id = ?1",
        is_not_snoozed()
    );
    tx.prepare_cached(&sql)?.execute(params![
        task_id,
        finding.severity.as_str(),
        now.to_string()
    ])?;
    // What waits for its hour may be urgent by now.
    tx.prepare_cached(
        "UPDATE outbox SET severity_rank = (SELECT severity_rank FROM tasks WHERE id = ?1), next_at = min(next_at, ?2)
         WHERE task_id = ?1 AND state = 'pending' AND attempts = 0",
    )?
    .execute(params![task_id, now.to_string()])?;
    let details = format!("{before} to {}: {}", finding.severity, finding.message);
    history::append(
        tx,
        Some(task_id),
        "worsened",
        &details,
        &finding.source,
        "",
        now,
    )
}

pub(super) fn move_cursor(
    tx: &Tx<'_>,
    stream: &str,
    position: &str,
    now: Timestamp,
) -> Result<(), StoreError> {
    tx.prepare_cached(
        "INSERT INTO cursors (stream, position, moved_at) VALUES (?1, ?2, ?3)
         ON CONFLICT (stream) DO UPDATE SET position = ?2, moved_at = ?3",
    )?
    .execute(params![stream, position, now.to_string()])?;
    Ok(())
}
