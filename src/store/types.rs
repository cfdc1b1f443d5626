//! Rows and arguments of the store.

use crate::core::model::sorted::SortedMap;

use crate::core::diagnosis::learning;
use crate::core::model::action::ActionKind;
use crate::core::model::class::Class;
use crate::core::model::finding::{Finding, Severity};
use crate::core::model::id::{AttemptId, EscalationId, EventId, IssueNumber, OutboxId, TaskId};
use crate::core::model::named::{UnknownName, named};
use crate::core::model::proposal::Proposal;
use crate::core::model::task::{Outcome, Status, Task};
use crate::core::model::time::Timestamp;
use crate::core::remedy::step::Spent;

/// Position of a stream, stored with the findings that were read up to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cursor {
    /// Which one, as in `journal` or `file:/var/log/app.log`.
    pub stream: String,
    /// What its reader made; only the reader takes it apart.
    pub position: String,
}

/// What a detector or stream hands over: committed as one.
#[derive(Clone, Debug, Default)]
pub struct Intake {
    /// May be empty: then only the position moves.
    pub findings: Vec<Finding>,
    /// `None` for a sweep, which has no position.
    pub cursor: Option<Cursor>,
}

/// What became of one finding.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Recorded {
    pub task_id: TaskId,
    /// False when an open task of the same fingerprint took it as a repeat.
    pub created: bool,
    pub seen_count: u64,
    pub episode: u64,
    pub previous_id: Option<TaskId>,
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
    /// Outcome of a detector's run.
    RunOutcome "outcome of a run" {
        /// It looked, whatever it found.
        Ok = "ok",
        /// Its source does not exist on this host: no fault.
        Absent = "absent",
        /// It could not look, which is a finding about ourselves.
        Broken = "broken",
    }
}

/// An attempt to book before acting.
#[derive(Clone, Debug)]
pub struct Booking {
    /// Of which budget and what was learned hang.
    pub action_kind: ActionKind,
    /// What is done to what, for a human.
    pub action_text: String,
    /// Of the task, under which it is learned.
    pub subject: String,
    /// Whose budget it counts against as well; `None` where it touches no unit.
    pub unit: Option<String>,
    /// 1..=4.
    pub phase: u8,
    /// JSON of the undo record.
    pub undo: String,
    /// The worker that acts.
    pub actor: String,
}

/// Answer to a booking.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Booked {
    /// The attempt's id; it counts from now on.
    Granted(AttemptId),
    /// A budget has no room: nothing is stored, nothing may be done.
    Exhausted(Spent),
}

/// One row of `attempts`.
#[derive(Clone, Debug)]
pub struct Attempt {
    pub id: AttemptId,
    pub task_id: TaskId,
    pub phase: u8,
    /// `Err` has the stored name, which a newer version wrote.
    pub action_kind: Result<ActionKind, UnknownName>,
    pub action_text: String,
    pub undo: String,
    pub actor: String,
    /// `None` before its end, and where a newer version gave it another.
    pub outcome: Option<Outcome>,
    pub message: String,
    pub evidence: String,
    pub started_at: Timestamp,
    pub ended_at: Option<Timestamp>,
}

/// What is noted in an attempt's evidence besides what its action tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Noted {
    /// What the service manager answered to an order that it refused.
    Answer,
    /// What was still said of the condition after it.
    Left,
    /// The answer after it was the very one before it.
    Unmoved,
    /// When it had started its unit, in microseconds since the boot, as the manager tells.
    Started,
}

impl Noted {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Answer => "answer",
            Self::Left => "left",
            Self::Unmoved => "unmoved",
            Self::Started => "started",
        }
    }
}

impl Attempt {
    pub fn noted(&self, what: Noted) -> Option<String> {
        let mut evidence: SortedMap<String, String> = serde_json::from_str(&self.evidence).ok()?;
        evidence.remove(what.name())
    }

    /// Its action interrupts something that runs, as far as this version knows it.
    pub fn is_disruptive(&self) -> bool {
        self.action_kind
            .as_ref()
            .is_ok_and(|kind| kind.is_disruptive())
    }
}

/// What a human is asked for.
#[derive(Clone, Debug)]
pub struct Proposed {
    /// This and nothing else.
    pub action: Proposal,
    /// The issue has shown another action before: a label must name this one's digest.
    pub by_name: bool,
    /// Nothing keeps it from being done but mode `observe`.
    pub held_back: bool,
}

/// A decision that a human is needed.
#[derive(Clone, Debug)]
pub struct NewEscalation {
    /// One sentence, for the audit and listings.
    pub reason: String,
    /// Of the issue, redacted.
    pub title: String,
    /// Of the issue: Markdown, redacted.
    pub body: String,
    /// Decides the order of delivery when the uplink returns.
    pub severity: Severity,
    /// When the gateway tries again by itself.
    pub retry_at: Option<Timestamp>,
    /// What would be done with a human's leave.
    pub proposed: Option<Proposed>,
}

/// One row of `escalations`.
#[derive(Clone, Debug)]
pub struct EscalationRow {
    pub id: EscalationId,
    pub task_id: TaskId,
    pub reason: String,
    pub title: String,
    pub body: String,
    pub severity: String,
    pub created_at: Timestamp,
    pub resolved_at: Option<Timestamp>,
    pub issue_number: Option<IssueNumber>,
}

/// One row of `outbox`.
#[derive(Clone, Debug)]
pub struct OutboxRow {
    /// Grows with the order of booking.
    pub id: OutboxId,
    /// Its rows are delivered in order: none before those ahead of it are confirmed or dead.
    pub task_id: TaskId,
    /// `github`, or the name of a further one.
    pub destination: String,
    /// Name of an [`Operation`](crate::core::human::delivery::Operation).
    pub operation: String,
    /// Name of a [`State`](crate::core::human::delivery::State).
    pub state: String,
    /// Times it was marked as sending.
    pub attempts: u32,
    /// JSON: `title` and `body`, or `body` alone.
    pub payload: String,
    /// 64 hex.
    pub delivery_key: String,
    /// Of its task; `None` while there is no issue.
    pub issue_number: Option<IssueNumber>,
    /// 0 is critical, 3 is info: the lowest goes first.
    pub severity_rank: u8,
    /// When the change that it tells of was committed.
    pub created_at: Timestamp,
    /// Not tried before.
    pub next_at: Timestamp,
    /// Start of the last attempt; `None` before the first.
    pub sent_at: Option<Timestamp>,
    /// Why the last attempt did not end it, after the note for the next one.
    pub last_error: Option<String>,
    /// Of its task: writer of the line that alone tells of it.
    pub said_by: Option<String>,
    /// Where a human finds what was delivered; `None` where the destination gave no address.
    pub remote_url: Option<String>,
}

/// One row of `task_history`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuditEvent {
    pub id: EventId,
    pub task_id: Option<TaskId>,
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

impl Learned {
    /// Something is left of it at the weight that another gateway's counts have.
    pub fn is_worth_something(&self) -> bool {
        learning::discounted(self.wins, self.losses) != (0, 0)
    }
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
    /// Leaves out what is closed.
    pub open_only: bool,
    /// `None` takes all.
    pub status: Option<Status>,
    /// `None` takes all.
    pub class: Option<Class>,
    /// Exact; `None` takes all.
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
