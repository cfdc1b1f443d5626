//! The stored unit of work, its statuses and the transitions between them.

use crate::core::model::class::Class;
use crate::core::model::facts::Facts;
use crate::core::model::finding::Severity;
use crate::core::model::named::named;
use crate::core::model::time::Timestamp;

named! {
    /// Where a task stands (design, section 5). Open is everything but `Closed`.
    Status "status" {
        Detected = "detected",
        InProgress = "in_progress",
        Waiting = "waiting",
        FixFailed = "fix_failed",
        Fixed = "fixed",
        Escalated = "escalated",
        Closed = "closed",
    }
}

named! {
    /// Why a task was closed.
    Resolution "resolution" {
        Fixed = "fixed",
        SelfCleared = "self_cleared",
        Human = "human",
        Superseded = "superseded",
        NotAFault = "not_a_fault",
        Unverified = "unverified",
    }
}

/// 1 quick fix, 2 research, 3 consensus, 4 escalation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Phase {
    QuickFix,
    Research,
    Consensus,
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
    pub const fn from_number(number: i64) -> Self {
        match number {
            0 | 1 => Self::QuickFix,
            2 => Self::Research,
            3 => Self::Consensus,
            _ => Self::Escalation,
        }
    }

    /// The phase after this one; escalation is the last.
    #[must_use]
    pub const fn next(self) -> Self {
        match self {
            Self::QuickFix => Self::Research,
            Self::Research => Self::Consensus,
            Self::Consensus | Self::Escalation => Self::Escalation,
        }
    }

    /// Attempts allowed within the phase.
    pub const fn max_attempts(self) -> u32 {
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
    pub id: i64,
    /// Fingerprint, 64 lower-case hex.
    pub issue_hash: String,
    pub class: Class,
    pub subject: String,
    pub severity: Severity,
    pub source: String,
    pub message: String,
    pub evidence: Facts,
    pub status: Status,
    pub phase: Phase,
    pub resolution: Option<Resolution>,
    pub cause: Option<String>,
    /// Confidence of the named cause, 0..=1.
    pub confidence: Option<f64>,
    pub seen_count: u64,
    /// 1 for the first life of this fingerprint here, then counting up.
    pub episode: u64,
    pub previous_id: Option<i64>,
    /// Text of the last action taken, as shown to a human.
    pub action: Option<String>,
    pub fix_attempted: bool,
    pub fix_successful: bool,
    pub fix_message: Option<String>,
    pub github_issue_number: Option<i64>,
    pub waiting_reason: Option<String>,
    pub next_attempt_at: Option<Timestamp>,
    pub stable_until: Option<Timestamp>,
    pub acknowledged_by: Option<String>,
    /// Set by `approve`: the action id a human allowed, until the given time.
    pub approved_action: Option<String>,
    pub approved_until: Option<Timestamp>,
    pub detected_at: Timestamp,
    pub last_seen_at: Timestamp,
    pub first_green_at: Option<Timestamp>,
    pub fixed_at: Option<Timestamp>,
    pub github_created_at: Option<Timestamp>,
    pub closed_at: Option<Timestamp>,
}

/// A state change, each with its data. The store refuses one whose start state does not fit.
#[derive(Clone, Debug, PartialEq)]
pub enum Transition {
    /// To `waiting`: approval, back-off, inhibition or maintenance.
    Wait { until: Timestamp, reason: String },
    /// To `fix_failed`, with the phase that is due next.
    FixFailed { phase: Phase, message: String },
    /// First green: to `fixed`, stability window running.
    FirstGreen {
        stable_until: Timestamp,
        message: String,
    },
    /// Nobody could look at the end of the stability window: it goes on, still `fixed`.
    LookLater {
        stable_until: Timestamp,
        message: String,
    },
    /// A regression inside the stability window: back to `fix_failed`.
    Regressed { phase: Phase, message: String },
    Close {
        resolution: Resolution,
        message: String,
    },
    /// To `escalated`; the outbox row is written in the same transaction.
    Escalate {
        reason: String,
        /// When it is tried again by itself; `None` waits for a human.
        retry_at: Option<Timestamp>,
    },
    /// Claimed by a worker that stopped or crashed: back to where it can be claimed again.
    Release { reason: String },
}

impl Transition {
    pub(crate) const fn target(&self) -> Status {
        match self {
            Self::Wait { .. } => Status::Waiting,
            Self::FixFailed { .. } | Self::Regressed { .. } => Status::FixFailed,
            Self::FirstGreen { .. } | Self::LookLater { .. } => Status::Fixed,
            Self::Close { .. } => Status::Closed,
            Self::Escalate { .. } => Status::Escalated,
            Self::Release { .. } => Status::Detected,
        }
    }

    /// Start states from which this transition is legal.
    pub const fn allowed_from(&self) -> &'static [Status] {
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
            Self::FixFailed { .. } => &[Status::InProgress],
            Self::FirstGreen { .. } => &[Status::InProgress, Status::Escalated],
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
    pub const fn event(&self) -> &'static str {
        match self {
            Self::Wait { .. } => "waiting",
            Self::FixFailed { .. } => "fix_failed",
            Self::FirstGreen { .. } => "first_green",
            Self::LookLater { .. } => "look_later",
            Self::Regressed { .. } => "regressed",
            Self::Close { .. } => "closed",
            Self::Escalate { .. } => "escalated",
            Self::Release { .. } => "released",
        }
    }

    /// The reason that reaches the audit.
    pub fn reason(&self) -> &str {
        match self {
            Self::Wait { reason, .. }
            | Self::Escalate { reason, .. }
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
