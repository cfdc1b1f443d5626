//! Rows and arguments of the store.

use crate::core::model::finding::{Finding, Severity};
use crate::core::model::named::named;
use crate::core::model::task::Task;
use crate::core::model::time::Timestamp;
use crate::core::remedy::step::Spent;

/// Position of a stream, stored with the findings that were read up to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cursor {
    pub stream: String,
    pub position: String,
}

/// What a detector or stream hands over: committed as one.
#[derive(Clone, Debug, Default)]
pub struct Intake {
    pub findings: Vec<Finding>,
    pub cursor: Option<Cursor>,
}

/// What became of one finding.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Recorded {
    pub task_id: i64,
    /// False when an open task of the same fingerprint took it as a repeat.
    pub created: bool,
    pub seen_count: u64,
    pub episode: u64,
    pub previous_id: Option<i64>,
}

/// What a worker may do next.
#[derive(Clone, Debug, Default)]
pub struct Due {
    /// A fixed task whose stability window is over.
    pub stable: Option<Task>,
    /// True when a claim would find something.
    pub claimable: bool,
}

named! {
    /// How an attempt ended. `Acted` is not an end: it waits for its verification.
    Outcome "outcome" {
        Acted = "acted",
        Verified = "verified",
        Failed = "failed",
        Refused = "refused",
        Undone = "undone",
        Unknown = "unknown",
    }
}

named! {
    /// Outcome of a detector's run.
    RunOutcome "outcome of a run" {
        Ok = "ok",
        Absent = "absent",
        Broken = "broken",
    }
}

/// An attempt to book before acting.
#[derive(Clone, Debug)]
pub struct Booking {
    pub action_kind: String,
    pub action_text: String,
    pub subject: String,
    pub unit: Option<String>,
    pub phase: u8,
    /// JSON of the undo record.
    pub undo: String,
    pub actor: String,
}

/// Answer to a booking.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Booked {
    /// The attempt's id; it counts from now on.
    Granted(i64),
    Exhausted(Spent),
}

/// One row of `attempts`.
#[derive(Clone, Debug)]
pub struct Attempt {
    pub id: i64,
    pub task_id: i64,
    pub phase: u8,
    pub action_kind: String,
    pub action_text: String,
    pub undo: String,
    pub actor: String,
    pub outcome: Option<Outcome>,
    pub message: String,
    pub evidence: String,
    pub started_at: Timestamp,
    pub ended_at: Option<Timestamp>,
}

/// A decision that a human is needed.
#[derive(Clone, Debug)]
pub struct NewEscalation {
    pub reason: String,
    pub title: String,
    pub body: String,
    pub severity: Severity,
    /// When the gateway tries again by itself.
    pub retry_at: Option<Timestamp>,
}

/// One row of `escalations`.
#[derive(Clone, Debug)]
pub struct EscalationRow {
    pub id: i64,
    pub task_id: i64,
    pub reason: String,
    pub title: String,
    pub body: String,
    pub severity: String,
    pub created_at: Timestamp,
    pub resolved_at: Option<Timestamp>,
    pub issue_number: Option<i64>,
}

/// One row of `outbox`.
#[derive(Clone, Debug)]
pub struct OutboxRow {
    pub id: i64,
    pub task_id: i64,
    pub destination: String,
    pub operation: String,
    pub state: String,
    pub attempts: u32,
    /// JSON: `title` and `body`, or `body` alone.
    pub payload: String,
    /// 64 hex.
    pub delivery_key: String,
    pub issue_number: Option<i64>,
    pub severity_rank: u8,
    pub created_at: Timestamp,
    pub next_at: Timestamp,
    pub sent_at: Option<Timestamp>,
    pub last_error: Option<String>,
    pub remote_url: Option<String>,
}

/// One row of `task_history`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuditEvent {
    pub id: i64,
    pub task_id: Option<i64>,
    pub action: String,
    pub details: String,
    /// As stored: the hash covers the text.
    pub timestamp: String,
    pub actor: String,
    pub reason: String,
    pub prev_hash: String,
    pub hash: String,
}

/// What worked here.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Learned {
    pub class: String,
    pub subject: String,
    pub action: String,
    pub wins: u32,
    pub losses: u32,
    pub last: Option<Timestamp>,
}

/// Last outcome of a detector.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DetectorRun {
    pub name: String,
    pub outcome: RunOutcome,
    pub message: String,
    pub duration_us: u64,
    pub runs: u64,
    pub last_at: Timestamp,
}

/// Which tasks to list; the newest first.
#[derive(Clone, Debug, Default)]
pub struct TaskFilter {
    pub open_only: bool,
    pub status: Option<String>,
    pub class: Option<String>,
    pub subject: Option<String>,
    /// 0 means 1,000.
    pub limit: u32,
}

/// Numbers of tasks.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    pub open: u64,
    pub by_status: Vec<(String, u64)>,
    pub by_resolution: Vec<(String, u64)>,
    pub outbox_waiting: u64,
    pub outbox_dead: u64,
}
