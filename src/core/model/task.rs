//! The stored unit of work, its statuses and the transitions between them.

use crate::core::model::class::Class;
use crate::core::model::facts::Facts;
use crate::core::model::finding::{Finding, Severity};
use crate::core::model::gate::Gate;
use crate::core::model::id::{IssueNumber, TaskId};
use crate::core::model::named::named;
use crate::core::model::proposal::{Digest, Proposal};
use crate::core::model::time::Timestamp;

named! {
    /// Where a task stands (design, section 5). Open is everything but `Closed`.
    Status "status" {
        /// Nobody has claimed it yet.
        Detected = "detected",
        /// A worker has claimed it; the phase says how far it got.
        InProgress = "in_progress",
        /// For a time, an approval or an open gate; the waiting reason says which.
        Waiting = "waiting",
        /// An attempt failed, the next step is due.
        FixFailed = "fix_failed",
        /// Green, inside its stability window.
        Fixed = "fixed",
        /// Put before a human; may be tried again by itself later.
        Escalated = "escalated",
        /// Over: nothing leaves it. A recurrence is a new task.
        Closed = "closed",
    }
}

named! {
    /// Why a task was closed.
    Resolution "resolution" {
        /// Repaired by an action, verified, and stable through the window.
        Fixed = "fixed",
        /// The condition went by itself: never counted as a fix.
        SelfCleared = "self_cleared",
        /// A human closed it.
        Human = "human",
        /// An adopted row that another task took over.
        Superseded = "superseded",
        /// A human says that nothing was wrong: a false escalation.
        NotAFault = "not_a_fault",
        /// Gone after an attempt that nobody could verify, or with its unit: in neither rate.
        Unverified = "unverified",
    }
}

named! {
    /// How an attempt ended. `Acted` is not an end: it waits for its verification.
    Outcome "outcome" {
        /// Done; whether it helped is not known yet.
        Acted = "acted",
        /// The detector that found the condition no longer does. A win for learning.
        Verified = "verified",
        /// It could not be done, the condition stayed, or it came back within the stability window. A loss.
        Failed = "failed",
        /// A gate or precondition stopped it before anything was touched: counts for no budget.
        Refused = "refused",
        /// It held, and a human took it back. A loss.
        Undone = "undone",
        /// Interrupted, or nobody could look: neither a win nor a loss.
        Unknown = "unknown",
    }
}

/// 1 quick fix, 2 research, 3 consensus, 4 escalation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Phase {
    /// The certain action of a runbook, or one that has proven itself here.
    QuickFix,
    /// What the analyst ranks with the bundle.
    Research,
    /// What two of three advisors agree on.
    Consensus,
    /// A human.
    Escalation,
}

impl Phase {
    pub(crate) const fn number(self) -> u8 {
        match self {
            Self::QuickFix => 1,
            Self::Research => 2,
            Self::Consensus => 3,
            Self::Escalation => 4,
        }
    }

    /// Anything outside 1..=4 is phase 4: a human looks at it.
    pub(crate) const fn from_number(number: i64) -> Self {
        match number {
            0 | 1 => Self::QuickFix,
            2 => Self::Research,
            3 => Self::Consensus,
            _ => Self::Escalation,
        }
    }

    /// The phase after this one; escalation is the last.
    #[must_use]
    pub(crate) const fn next(self) -> Self {
        match self {
            Self::QuickFix => Self::Research,
            Self::Research => Self::Consensus,
            Self::Consensus | Self::Escalation => Self::Escalation,
        }
    }

    /// Attempts allowed within the phase.
    pub(crate) const fn max_attempts(self) -> u32 {
        match self {
            Self::QuickFix | Self::Consensus => 2,
            Self::Research => 3,
            Self::Escalation => 0,
        }
    }
}

/// One row of `tasks`.
#[derive(Clone, Debug, PartialEq)]
pub struct Task {
    /// Never used again, also after retention removed the row.
    pub id: TaskId,
    /// Fingerprint, 64 lower-case hex.
    pub issue_hash: String,
    /// `log_error` where the stored name is not known to this version.
    pub class: Class,
    /// What it is about: unit, port, mount…; may be empty for `log_error` alone.
    pub subject: String,
    /// Of the finding that opened it.
    pub severity: Severity,
    /// Detector or stream that found it.
    pub source: String,
    /// Of the finding that opened it; at most `MESSAGE_CAP` bytes.
    pub message: String,
    /// Of the finding that opened it; what its unit's last run says, as it was read last.
    pub evidence: Facts,
    /// Open is everything but closed.
    pub status: Status,
    /// The one that is due next; [`Phase::Escalation`] once a human was told.
    pub phase: Phase,
    /// `None` while open.
    pub resolution: Option<Resolution>,
    /// Name of the cause; `None` before the diagnosis. Adopted rows may hold other words.
    pub cause: Option<String>,
    /// Confidence of the named cause, 0..=1.
    pub confidence: Option<f64>,
    /// Observations in this episode, at least 1. Repeats may be counted up to 5 s late.
    pub seen_count: u64,
    /// 1 for the first life of this fingerprint here, then counting up.
    pub episode: u64,
    /// The task of the episode before, which retention may have removed; `None` for the first.
    pub previous_id: Option<TaskId>,
    /// Text of the last action taken, as shown to a human.
    pub action: Option<String>,
    /// An attempt was booked in this episode.
    pub fix_attempted: bool,
    /// Closed as fixed, or said so by the Python daemon.
    pub fix_successful: bool,
    /// What came of the last attempt, or why it was closed; `None` before either.
    pub fix_message: Option<String>,
    /// An issue of the last episode is taken over; `None` while there is none.
    pub github_issue_number: Option<IssueNumber>,
    /// What it waits for, or why a human was told; `None` once claimed.
    pub waiting_reason: Option<String>,
    /// When it is due by itself; `None`: at once, or, once escalated, when a human says so.
    pub next_attempt_at: Option<Timestamp>,
    /// End of the stability window; `None` outside of it.
    pub stable_until: Option<Timestamp>,
    /// The human who took note: nothing is repaired until it is approved or tried again.
    pub acknowledged_by: Option<String>,
    /// What a human was last asked for.
    pub proposal: Option<Proposal>,
    /// Set by `approve`: the kind of action that a human allowed, until the given time and for one attempt.
    pub approved_action: Option<String>,
    /// The very action: nothing else is allowed.
    pub approved_digest: Option<Digest>,
    /// The approval counts for nothing from then on.
    pub approved_until: Option<Timestamp>,
    /// When a human last asked to try again, or what it failed of was over: a round of attempts begins, and those before
    /// are given back.
    pub asked_at: Option<Timestamp>,
    /// When it was recorded first.
    pub detected_at: Timestamp,
    /// When it was observed last.
    pub last_seen_at: Timestamp,
    /// When its detector first found it over after an action: the time to repair ends here.
    pub first_green_at: Option<Timestamp>,
    /// End of the window of a task closed as fixed.
    pub fixed_at: Option<Timestamp>,
    /// When its issue was first confirmed.
    pub github_created_at: Option<Timestamp>,
    /// `None` while open.
    pub closed_at: Option<Timestamp>,
    /// Whose line it stands on, where nothing but a line told of it.
    pub said_by: Option<String>,
    /// A human put it off, until `next_attempt_at`.
    pub snoozed: bool,
}

/// Adopted tasks have this fact.
const LEGACY: &str = "legacy_status";

impl Task {
    /// It comes from the database of another program, which alone has seen it.
    pub fn is_adopted(&self) -> bool {
        self.evidence.iter().any(|(name, _)| name == LEGACY)
    }

    /// The stored finding, as its detector reported it.
    pub(crate) fn finding(&self) -> Finding {
        Finding {
            class: self.class,
            subject: self.subject.clone(),
            severity: self.severity,
            message: self.message.clone(),
            evidence: self.evidence.clone(),
            source: self.source.clone(),
            seen_at: self.last_seen_at,
            count: self.seen_count,
            said_by: self.said_by.clone(),
        }
    }
}

/// What makes a waiting task due before its time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WaitsFor {
    /// Nothing but news of what it failed of.
    Time,
    /// Nothing at all: a human put it off.
    Snooze,
    /// This gate opens.
    Gate(Gate),
    /// Its root, the task with this id, is green or over.
    Root(TaskId),
}

impl WaitsFor {
    /// The gate that is closed.
    pub const fn gate(self) -> Option<Gate> {
        match self {
            Self::Time | Self::Snooze => None,
            Self::Gate(gate) => Some(gate),
            Self::Root(_) => Some(Gate::Inhibition),
        }
    }

    /// The task that it hangs on.
    pub const fn root(self) -> Option<TaskId> {
        match self {
            Self::Root(task) => Some(task),
            Self::Time | Self::Snooze | Self::Gate(_) => None,
        }
    }
}

/// A state change, each with its data. The store refuses one whose start state does not fit.
#[derive(Clone, Debug, PartialEq)]
pub enum Transition {
    /// To `waiting`: approval, back-off, inhibition or maintenance.
    Wait {
        /// Due by itself then; what it waits for may make it due sooner.
        until: Timestamp,
        /// What ends the wait sooner.
        waits_for: WaitsFor,
        /// Kept with the task as well.
        reason: String,
    },
    /// To `fix_failed`, with the phase that is due next.
    FixFailed {
        /// Due next, unless the task is further already.
        phase: Phase,
        /// What failed, and what was taken back.
        message: String,
    },
    /// First green: to `fixed`, stability window running.
    FirstGreen {
        /// End of the window.
        stable_until: Timestamp,
        /// What was done and who verified it.
        message: String,
    },
    /// Nobody could look at the end of the stability window: it goes on, still `fixed`.
    LookLater {
        /// When somebody looks again.
        stable_until: Timestamp,
        /// Why nobody could look.
        message: String,
    },
    /// A regression inside the stability window: back to `fix_failed`.
    Regressed {
        /// Due next, unless the task is further already.
        phase: Phase,
        /// What was seen again, and what was taken back.
        message: String,
    },
    /// To `closed`; its symptoms become due, and whoever was told hears that it is over.
    Close {
        /// A task closed as fixed counts as a repair, any other does not.
        resolution: Resolution,
        /// Why, for the audit and the issue.
        message: String,
    },
    /// To `escalated`; the outbox row is written in the same transaction.
    Escalate {
        /// Why a human is needed; kept with the task as well.
        reason: String,
        /// When it is tried again by itself; `None` waits for a human.
        retry_at: Option<Timestamp>,
    },
    /// A human was told and it is tried again by itself: `escalated`, with nothing new to tell.
    StillEscalated {
        /// Due by itself then.
        until: Timestamp,
        /// Why not now.
        reason: String,
    },
    /// Claimed by a worker that stopped or crashed: back to where it can be claimed again.
    Release {
        /// What became of the worker.
        reason: String,
    },
}

impl Transition {
    pub(crate) const fn target(&self) -> Status {
        match self {
            Self::Wait { .. } => Status::Waiting,
            Self::FixFailed { .. } | Self::Regressed { .. } => Status::FixFailed,
            Self::FirstGreen { .. } | Self::LookLater { .. } => Status::Fixed,
            Self::Close { .. } => Status::Closed,
            Self::Escalate { .. } | Self::StillEscalated { .. } => Status::Escalated,
            Self::Release { .. } => Status::Detected,
        }
    }

    /// Start states from which this transition is legal.
    pub(crate) const fn allowed_from(&self) -> &'static [Status] {
        match self {
            // A human may put off what waits for one.
            Self::Wait { .. } => &[
                Status::Detected,
                Status::InProgress,
                Status::Waiting,
                Status::FixFailed,
                Status::Escalated,
            ],
            Self::Escalate { .. } => &[
                Status::Detected,
                Status::InProgress,
                Status::Waiting,
                Status::FixFailed,
                // A repair that nobody could verify.
                Status::Fixed,
            ],
            Self::FixFailed { .. } | Self::StillEscalated { .. } => &[Status::InProgress],
            // What was tried in vain may show late.
            Self::FirstGreen { .. } => &[
                Status::InProgress,
                Status::Waiting,
                Status::FixFailed,
                Status::Escalated,
            ],
            Self::Regressed { .. } | Self::LookLater { .. } => &[Status::Fixed],
            Self::Release { .. } => &[Status::InProgress],
            Self::Close { .. } => &[
                Status::Detected,
                Status::InProgress,
                Status::Waiting,
                Status::FixFailed,
                Status::Fixed,
                Status::Escalated,
            ],
        }
    }

    /// Name of the audit event.
    pub(crate) const fn event(&self) -> &'static str {
        match self {
            Self::Wait { .. } => "waiting",
            Self::FixFailed { .. } => "fix_failed",
            Self::FirstGreen { .. } => "first_green",
            Self::LookLater { .. } => "look_later",
            Self::Regressed { .. } => "regressed",
            Self::Close { .. } => "closed",
            Self::Escalate { .. } => "escalated",
            Self::StillEscalated { .. } => "still_escalated",
            Self::Release { .. } => "released",
        }
    }

    /// The reason that reaches the audit.
    pub(crate) fn reason(&self) -> &str {
        match self {
            Self::Wait { reason, .. }
            | Self::Escalate { reason, .. }
            | Self::StillEscalated { reason, .. }
            | Self::Release { reason } => reason,
            Self::FixFailed { message, .. }
            | Self::FirstGreen { message, .. }
            | Self::LookLater { message, .. }
            | Self::Regressed { message, .. }
            | Self::Close { message, .. } => message,
        }
    }
}

#[cfg(test)]
impl Task {
    /// One in a worker's hands, found at `at`, of which nothing more is known: what a test is about it sets itself.
    pub fn sample(id: i64, class: Class, subject: &str, at: Timestamp) -> Self {
        Self {
            id: TaskId::from_number(id),
            issue_hash: format!("{id:064x}"),
            class,
            subject: subject.to_owned(),
            severity: Severity::Error,
            source: "units".to_owned(),
            message: "m".to_owned(),
            evidence: Facts::default(),
            status: Status::InProgress,
            phase: Phase::QuickFix,
            resolution: None,
            cause: None,
            confidence: None,
            seen_count: 1,
            episode: 1,
            previous_id: None,
            action: None,
            fix_attempted: false,
            fix_successful: false,
            fix_message: None,
            github_issue_number: None,
            waiting_reason: None,
            next_attempt_at: None,
            stable_until: None,
            acknowledged_by: None,
            proposal: None,
            approved_action: None,
            approved_digest: None,
            approved_until: None,
            asked_at: None,
            detected_at: at,
            last_seen_at: at,
            first_green_at: None,
            fixed_at: None,
            github_created_at: None,
            closed_at: None,
            said_by: None,
            snoozed: false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_round_trip() {
        for status in Status::ALL {
            assert_eq!(status.as_str().parse(), Ok(*status));
        }
        for resolution in Resolution::ALL {
            assert_eq!(resolution.as_str().parse(), Ok(*resolution));
        }
    }

    #[test]
    fn phases_end_in_escalation() {
        let mut phase = Phase::QuickFix;
        for _ in 0..5 {
            assert_eq!(Phase::from_number(i64::from(phase.number())), phase);
            phase = phase.next();
        }
        assert_eq!(phase, Phase::Escalation);
        assert_eq!(Phase::from_number(-7), Phase::Escalation);
    }

    #[test]
    fn nothing_leaves_closed() {
        let close = Transition::Close {
            resolution: Resolution::Human,
            message: String::new(),
        };
        assert!(!close.allowed_from().contains(&Status::Closed));
    }
}
