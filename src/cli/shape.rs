//! How stored rows look to a human and to a program.

use std::borrow::Cow;
use std::fmt::Write;

use serde_json::{Value, json};

pub(super) use crate::cli::local::{moment, second};
use crate::cli::table::{Cell, Tone};
use crate::core::model::case::{Case, Member};
use crate::core::model::finding::{Finding, Severity};
use crate::core::model::inert;
use crate::core::model::object::object;
use crate::core::model::proposal::Proposal;
use crate::core::model::task::{Status, Task};
use crate::core::model::time::{Timestamp, brief};
use crate::core::remedy::silence::Silence;
use crate::store::{Attempt, AuditEvent, DetectorRun, EscalationRow, OutboxRow};

/// The documented JSON object of a task.
pub(super) fn task(task: &Task) -> Value {
    object!({
        "id": task.id,
        "class": task.class.as_str(),
        "subject": task.subject,
        "severity": task.severity.as_str(),
        "status": task.status.as_str(),
        "phase": task.phase.number(),
        "resolution": task.resolution.map(|resolution| resolution.as_str()),
        "cause": task.cause,
        "confidence": task.confidence,
        "action": task.action,
        "message": task.message,
        "seen_count": task.seen_count,
        "episode": task.episode,
        "previous_id": task.previous_id,
        "fingerprint": task.issue_hash,
        "detected_at": time(task.detected_at),
        "last_seen_at": time(task.last_seen_at),
        "first_green_at": task.first_green_at.map(time),
        "fixed_at": task.fixed_at.map(time),
        "closed_at": task.closed_at.map(time),
        "github_issue_number": task.github_issue_number,
        "waiting_reason": task.waiting_reason,
        "next_attempt_at": task.next_attempt_at.map(time),
        "acknowledged_by": task.acknowledged_by,
        "proposal": task.proposal.as_ref().map(proposal),
        "approved_action": task.approved_action,
        "approved_digest": task.approved_digest.as_ref().map(|digest| digest.as_str()),
        "approved_until": task.approved_until.map(time),
        "fix_attempted": task.fix_attempted,
        "fix_successful": task.fix_successful,
        "fix_message": task.fix_message,
        "source": task.source,
    })
}

pub(super) fn case(case: &Case) -> Value {
    let part = |member: &Member| {
        object!({
            "id": member.task,
            "class": member.class.as_str(),
            "subject": member.subject,
        })
    };
    object!({
        "root": part(&case.root),
        "members": case.members.iter().map(part).collect::<Vec<_>>(),
        "shared": case.shared,
    })
}

/// Everything that is allowed with an action, a line a parameter.
pub(super) fn whole(proposal: &Proposal) -> String {
    let mut text = String::new();
    for (name, value) in proposal.lines() {
        let _ = writeln!(text, "  {:<18} {}", inert::line(name), inert::line(&value));
    }
    text
}

/// An action with all that is allowed with it.
fn proposal(proposal: &Proposal) -> Value {
    let terms: Vec<Value> = proposal
        .lines()
        .into_iter()
        .filter(|(name, _)| *name != "digest")
        .map(|(name, value)| json!([name, value]))
        .collect();
    object!({
        "action": proposal.kind.as_str(),
        "text": proposal.text,
        "digest": proposal.digest().as_str(),
        "terms": terms,
    })
}

pub(super) fn attempt(attempt: &Attempt) -> Value {
    object!({
        "id": attempt.id,
        "task_id": attempt.task_id,
        "phase": attempt.phase,
        "action": match &attempt.action_kind {
            Ok(kind) => kind.as_str(),
            Err(unknown) => &unknown.name,
        },
        "text": attempt.action_text,
        "actor": attempt.actor,
        "outcome": attempt.outcome.map(|outcome| outcome.as_str()),
        "message": attempt.message,
        "started_at": time(attempt.started_at),
        "ended_at": attempt.ended_at.map(time),
    })
}

pub(super) fn event(event: &AuditEvent) -> Value {
    object!({
        "id": event.id,
        "task_id": event.task_id,
        "timestamp": event.timestamp.parse().map_or_else(|_| event.timestamp.clone(), time),
        "action": event.action,
        "details": event.details,
        "actor": event.actor,
        "reason": event.reason,
        "hash": event.hash,
        "prev_hash": event.prev_hash,
    })
}

/// What an event says of itself, for a human: a number alone is that of a task.
pub(super) fn details(event: &AuditEvent) -> Cow<'_, str> {
    match event.action.as_str() {
        "in_case" | "given_back" => Cow::Owned(format!("task {}", event.details)),
        _ => Cow::Borrowed(&event.details),
    }
}

pub(super) fn silence(one: &Silence) -> Value {
    object!({
        "what": one.scope.to_string(),
        "until": time(one.until),
        "by": one.by,
        "reason": one.reason,
    })
}

pub(super) fn escalation(row: &EscalationRow) -> Value {
    object!({
        "id": row.id,
        "task_id": row.task_id,
        "severity": row.severity,
        "title": row.title,
        "reason": row.reason,
        "body": row.body,
        "created_at": time(row.created_at),
        "resolved_at": row.resolved_at.map(time),
        "github_issue_number": row.issue_number,
    })
}

/// A task of an adopted database, in the shape of an escalation.
pub(super) fn adopted(task: &Task, reason: &str) -> Value {
    object!({
        "id": Value::Null,
        "task_id": task.id,
        "severity": task.severity.as_str(),
        "title": format!("{} {}", task.class, task.subject),
        "reason": reason,
        "body": task.message,
        "created_at": time(task.detected_at),
        "resolved_at": Value::Null,
        "github_issue_number": task.github_issue_number,
        "delivery": "adopted",
    })
}

pub(super) fn delivery(row: &OutboxRow) -> Value {
    object!({
        "id": row.id,
        "task_id": row.task_id,
        "destination": row.destination,
        "operation": row.operation,
        "state": row.state,
        "attempts": row.attempts,
        "created_at": time(row.created_at),
        "next_at": time(row.next_at),
        "sent_at": row.sent_at.map(time),
        "last_error": row.last_error,
        "github_issue_number": row.issue_number,
        "remote_url": row.remote_url,
        "delivery_key": row.delivery_key,
    })
}

pub(super) fn detector(run: &DetectorRun) -> Value {
    object!({
        "name": run.name,
        "outcome": run.outcome.as_str(),
        "message": run.message,
        "duration_ms": run.duration_us as f64 / 1000.0,
        "runs": run.runs,
        "last_at": time(run.last_at),
    })
}

pub(super) fn finding(finding: &Finding) -> Value {
    object!({
        "class": finding.class.as_str(),
        "subject": finding.subject,
        "severity": finding.severity.as_str(),
        "message": finding.message,
        "evidence": finding.evidence,
        "source": finding.source,
        "fingerprint": finding.fingerprint().to_string(),
        "seen_at": time(finding.seen_at),
        "count": finding.count,
    })
}

/// RFC 3339, for programs.
pub(super) fn time(at: Timestamp) -> String {
    at.rfc3339()
}

pub(super) fn severity_cell(severity: Severity) -> Cell {
    let tone = match severity {
        Severity::Critical | Severity::Error => Tone::Bad,
        Severity::Warning => Tone::Warn,
        Severity::Info => Tone::Plain,
    };
    Cell::new(severity.as_str(), tone)
}

pub(super) fn status_cell(status: Status) -> Cell {
    let tone = match status {
        Status::Escalated | Status::FixFailed => Tone::Bad,
        Status::Waiting | Status::Detected | Status::InProgress => Tone::Warn,
        Status::Fixed => Tone::Good,
        Status::Closed => Tone::Dim,
    };
    Cell::new(status.as_str(), tone)
}

/// `1 task`, `2 tasks`.
pub(super) fn counted(count: u64, one: &str, many: &str) -> String {
    format!("{count} {}", if count == 1 { one } else { many })
}

/// How long ago.
pub(super) fn age(at: Timestamp, now: Timestamp) -> String {
    brief(now.since(at))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn programs_get_times_as_in_rfc_3339() {
        let at = Timestamp::from_millis(1_763_878_648_123);
        assert_eq!(time(at), "2025-11-23T06:17:28.123Z");
        assert_eq!(time(at).parse(), Ok(at));
    }
}
