//! Rows of the tables as values: the columns to select, and how each row is read.

use rusqlite::Row;

use crate::core::model::class::Class;
use crate::core::model::finding::Severity;
use crate::core::model::proposal::Proposal;
use crate::core::model::task::{Phase, Status, Task};
use crate::core::model::time::Timestamp;
use crate::store::types::{Attempt, Learned, OutboxRow};

pub(super) const TASK_COLUMNS: &str = "id, issue_hash, issue_type, subject, severity, issue_source, issue_message, evidence,
    status, phase, resolution, cause, confidence, seen_count, episode, previous_id, action, fix_attempted,
    fix_successful, fix_message, github_issue_number, waiting_reason, next_attempt_at, stable_until, acknowledged_by,
    approved_action, approved_until, detected_at, last_seen_at, first_green_at, fixed_at, github_created_at, closed_at,
    said_by, proposal, proposed_digest, approved_digest, asked_at, status = 'waiting' AND (waiting_gate IS 'snooze'
    OR waiting_gate IS NULL AND coalesce(waiting_reason, '') LIKE 'snoozed by %')";

pub(super) const OUTBOX_COLUMNS: &str = "id, task_id, destination, operation, state, attempts, payload, delivery_key,
    (SELECT github_issue_number FROM tasks WHERE tasks.id = task_id), severity_rank, created_at, next_at, sent_at,
    last_error, remote_url, (SELECT said_by FROM tasks WHERE tasks.id = task_id)";

/// A stored text that must be one of a closed set; an unknown one falls back, since a reader must be
/// able to show a row that an adoption or a newer tool wrote.
pub(super) fn parsed<T: std::str::FromStr>(text: Option<String>) -> Option<T> {
    text.and_then(|text| text.parse().ok())
}

pub(super) fn time(row: &Row<'_>, column: usize) -> rusqlite::Result<Timestamp> {
    Ok(parsed(row.get(column)?).unwrap_or_default())
}

pub(super) fn maybe_time(row: &Row<'_>, column: usize) -> rusqlite::Result<Option<Timestamp>> {
    Ok(parsed(row.get(column)?))
}

pub(super) fn task_row(row: &Row<'_>) -> rusqlite::Result<Task> {
    let evidence: String = row.get(7)?;
    Ok(Task {
        id: row.get(0)?,
        issue_hash: row.get(1)?,
        class: parsed(row.get(2)?).unwrap_or(Class::LogError),
        subject: row.get(3)?,
        severity: parsed(row.get(4)?).unwrap_or(Severity::Error),
        source: row.get(5)?,
        message: row.get(6)?,
        evidence: serde_json::from_str(&evidence).unwrap_or_default(),
        status: parsed(row.get(8)?).unwrap_or(Status::Escalated),
        phase: Phase::from_number(row.get(9)?),
        resolution: parsed(row.get(10)?),
        cause: row.get(11)?,
        confidence: row.get(12)?,
        seen_count: row.get(13)?,
        episode: row.get(14)?,
        previous_id: row.get(15)?,
        action: row.get(16)?,
        fix_attempted: row.get(17)?,
        fix_successful: row.get(18)?,
        fix_message: row.get(19)?,
        github_issue_number: row.get(20)?,
        waiting_reason: row.get(21)?,
        next_attempt_at: maybe_time(row, 22)?,
        stable_until: maybe_time(row, 23)?,
        acknowledged_by: row.get(24)?,
        approved_action: row.get(25)?,
        approved_until: maybe_time(row, 26)?,
        detected_at: time(row, 27)?,
        last_seen_at: time(row, 28)?,
        first_green_at: maybe_time(row, 29)?,
        fixed_at: maybe_time(row, 30)?,
        github_created_at: maybe_time(row, 31)?,
        closed_at: maybe_time(row, 32)?,
        said_by: row.get(33)?,
        proposal: proposal(row.get(34)?, row.get(35)?),
        approved_digest: parsed(row.get(36)?),
        asked_at: maybe_time(row, 37)?,
        snoozed: row.get(38)?,
    })
}

/// What stands there as proposed; one that is not what its digest names was never shown to anybody.
fn proposal(json: Option<String>, digest: Option<String>) -> Option<Proposal> {
    let proposal: Proposal = serde_json::from_str(&json?).ok()?;
    (proposal.digest().as_str() == digest?).then_some(proposal)
}

pub(super) fn outbox_row(row: &Row<'_>) -> rusqlite::Result<OutboxRow> {
    Ok(OutboxRow {
        id: row.get(0)?,
        task_id: row.get(1)?,
        destination: row.get(2)?,
        operation: row.get(3)?,
        state: row.get(4)?,
        attempts: row.get(5)?,
        payload: row.get(6)?,
        delivery_key: row.get(7)?,
        issue_number: row.get(8)?,
        severity_rank: row.get(9)?,
        created_at: time(row, 10)?,
        next_at: time(row, 11)?,
        sent_at: maybe_time(row, 12)?,
        last_error: row.get(13)?,
        remote_url: row.get(14)?,
        said_by: row.get(15)?,
    })
}

pub(super) const ATTEMPT_COLUMNS: &str =
    "id, task_id, phase, action_kind, action_text, undo, actor, outcome, message, evidence,
    started_at, ended_at";

pub(super) fn attempt_row(row: &Row<'_>) -> rusqlite::Result<Attempt> {
    let outcome: Option<String> = row.get(7)?;
    Ok(Attempt {
        id: row.get(0)?,
        task_id: row.get(1)?,
        phase: row.get(2)?,
        action_kind: row.get::<_, String>(3)?.parse(),
        action_text: row.get(4)?,
        undo: row.get(5)?,
        actor: row.get(6)?,
        outcome: outcome.and_then(|name| name.parse().ok()),
        message: row.get(8)?,
        evidence: row.get(9)?,
        started_at: time(row, 10)?,
        ended_at: maybe_time(row, 11)?,
    })
}

pub(super) fn learned_row(row: &Row<'_>) -> rusqlite::Result<Learned> {
    Ok(Learned {
        class: row.get(0)?,
        subject: row.get(1)?,
        action: row.get(2)?,
        wins: row.get(3)?,
        losses: row.get(4)?,
        last: maybe_time(row, 5)?,
    })
}

/// Stands in the place of a gate where a human put it off: nothing but time ends that.
pub(super) const SNOOZE: &str = "snooze";

/// Of a row of `tasks`: no human put it off. Programs before the word stood in its column left it to the reason alone.
pub(super) fn is_not_snoozed() -> String {
    format!(
        "waiting_gate IS NOT '{SNOOZE}'
         AND (waiting_gate IS NOT NULL OR coalesce(waiting_reason, '') NOT LIKE 'snoozed by %')"
    )
}
