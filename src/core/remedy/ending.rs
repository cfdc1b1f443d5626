//! How a condition ends: the end of a stability window, and the end of a condition that nobody repaired. Pure.
//! "Could not look" is neither healthy nor failed: it is looked at again with growing pauses.

use std::time::Duration;

use crate::core::diagnosis::learning::{Fixed, RETURNS_MOST, RETURNS_WITHIN};
use crate::core::diagnosis::root_cause::{self, OpenCondition};
use crate::core::identity;
use crate::core::model::action::ActionKind;
use crate::core::model::class::{Class, Clearing, ToldBy};
use crate::core::model::finding::{Finding, Severity};
use crate::core::model::task::{Outcome, Resolution, Status, Task};
use crate::core::model::time::Timestamp;
use crate::core::remedy::step::Reason;

/// A repair that nobody could verify for this long after its first green is given up as unverified.
pub const UNVERIFIED_AFTER: Duration = Duration::from_secs(3_600);
/// The longest proof of what came back fewer times.
const PROVEN_MOST: Duration = Duration::from_secs(3_600);
/// From this severity on a human is told instead.
const TOLD_FROM: Severity = Severity::Error;

/// What the second look at a condition saw.
#[derive(Clone, Debug, PartialEq)]
pub enum Seen {
    /// It holds; the finding carries fresh evidence.
    Present(Finding),
    Clear,
    /// No fault any more, and not as it was wanted either: nobody wants it, and why.
    Over(String),
    /// Only lines tell of it, or nothing looks for its class: the stored finding stands.
    Stands,
    /// The detector was asked and could not look.
    CouldNotLook(String),
}

/// How a stability window ended.
#[derive(Clone, Debug, PartialEq)]
pub enum WindowEnd {
    Close {
        resolution: Resolution,
        reason: Reason,
    },
    /// It came back: the repair is undone and counts as failed.
    Regressed(Finding),
    /// Nobody could look: the window goes on until then.
    Longer { until: Timestamp, reason: Reason },
    /// Nobody could look for too long, about something that matters.
    Tell(Reason),
}

/// How long a repair must hold until it is proven. What came back within a day has to hold twice as long as it did then,
/// what came back again and again a whole day: else each of its repairs would be told as one that held.
pub fn window(stability: Duration, task: &Task, before: &[Fixed], now: Timestamp) -> Duration {
    let lately = |one: &&Fixed| now.since(one.closed_at) <= RETURNS_WITHIN;
    let Some(last) = before.first().filter(lately) else {
        return stability;
    };
    if before.iter().filter(lately).count() >= RETURNS_MOST {
        return RETURNS_WITHIN;
    }
    let held = task
        .detected_at
        .since(last.closed_at)
        .saturating_add(stability);
    let twice = held.saturating_mul(2);
    twice.min(PROVEN_MOST).max(stability)
}

/// What the end of a stability window of `window` means for `task`.
pub fn of_window(task: &Task, seen: Seen, window: Duration, now: Timestamp) -> WindowEnd {
    let why = match seen {
        Seen::Present(finding) => return WindowEnd::Regressed(finding),
        Seen::Clear => {
            return WindowEnd::Close {
                resolution: Resolution::Fixed,
                reason: Reason::Stable,
            };
        }
        Seen::Stands => {
            return WindowEnd::Close {
                resolution: Resolution::Fixed,
                reason: Reason::QuietWindow,
            };
        }
        Seen::Over(why) => {
            return WindowEnd::Close {
                resolution: Resolution::Unverified,
                reason: Reason::NotVerified(why),
            };
        }
        Seen::CouldNotLook(why) => why,
    };
    let waited = now.since(task.first_green_at.unwrap_or(now));
    if waited < UNVERIFIED_AFTER {
        return WindowEnd::Longer {
            // As long again as it has lasted: few looks, each of which is written down.
            until: now.plus(waited.max(window)),
            reason: Reason::CouldNotLook(why),
        };
    }
    if task.severity >= TOLD_FROM {
        return WindowEnd::Tell(Reason::NotVerified(why));
    }
    WindowEnd::Close {
        resolution: Resolution::Unverified,
        reason: Reason::NotVerified(why),
    }
}

/// What the sweeps say about an open condition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Condition {
    /// Seen in this sweep.
    Present,
    /// Its detector did not run, is absent or failed: nothing was learned.
    NotLooked,
    /// Not seen since then, by a detector that looked.
    GoneSince(Timestamp),
}

/// How long an end must last before it counts.
#[derive(Clone, Copy, Debug)]
pub struct Patience {
    /// For what a sweep no longer sees.
    pub hold: Duration,
    /// For what only lines tell.
    pub quiet: Duration,
}

/// A claimed task and one in its stability window belong to a worker: sweeps leave them alone.
pub fn is_at_work(status: Status) -> bool {
    matches!(status, Status::InProgress | Status::Fixed | Status::Closed)
}

/// True when `task` may be closed because its condition ended without us.
pub fn is_over(task: &Task, condition: Condition, patience: Patience, now: Timestamp) -> bool {
    if is_at_work(task.status) {
        return false;
    }
    match task.class.clearing() {
        Clearing::Sweep => match condition {
            Condition::Present | Condition::NotLooked => false,
            Condition::GoneSince(since) => now.since(since) >= patience.hold,
        },
        // The kernel's own faults are over with the boot; quiet closes them only once a human was told.
        Clearing::Reboot if task.status != Status::Escalated => false,
        Clearing::Reboot | Clearing::Quiet => now.since(task.last_seen_at) >= patience.quiet,
    }
}

/// The last attempt that touched anything.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LastAttempt {
    pub kind: ActionKind,
    pub outcome: Outcome,
    /// Whatever it changed may have been put back when it did not hold.
    pub taken_back: bool,
    /// What it was about was still said when its time was over, or was said as after one like it that failed.
    pub in_vain: bool,
    pub ended_at: Timestamp,
}

impl LastAttempt {
    /// The detector of `class` is green since `green`: was it this attempt that ended the condition? Whoever looked,
    /// only what is green soon after an attempt is the attempt's, and no repetition of one that failed.
    pub fn ended_it(&self, class: Class, stability: Duration, green: Timestamp) -> bool {
        let soon = green.since(self.ended_at) <= stability;
        match self.outcome {
            // Not seen again since.
            Outcome::Verified => true,
            Outcome::Refused | Outcome::Undone => false,
            _ if self.taken_back || self.in_vain => false,
            // A unit's own state says for sure that a start failed; all else may see what it brings up late.
            Outcome::Failed if self.kind.is_start() => {
                class.row().told_by != ToldBy::UnitState && soon
            }
            Outcome::Failed | Outcome::Unknown | Outcome::Acted => soon,
        }
    }
}

/// Two answers that differ in nothing but numbers, times and the like.
pub fn says_the_same(one: &str, other: &str) -> bool {
    let (mut template, mut of_other) = (String::new(), String::new());
    identity::template_into(one, &mut template);
    identity::template_into(other, &mut of_other);
    template == of_other
}

/// Why a condition is over that nobody repaired.
pub fn by_itself(last: Option<&LastAttempt>) -> Reason {
    match last.map(|last| last.outcome) {
        Some(Outcome::Unknown) => Reason::GoneUnverified,
        Some(_) | None => Reason::EndedByItself,
    }
}

/// How a condition that is over ended: with the repair of its root cause, or by itself.
pub fn how(
    task: &OpenCondition,
    open: &[OpenCondition],
    by_itself: Reason,
) -> (Resolution, Reason) {
    match root_cause::above(task, open).first() {
        Some(root) if root.status == Status::Fixed => (
            Resolution::Fixed,
            Reason::OverWithRoot {
                task: root.task_id,
                class: root.class,
                subject: root.subject.clone(),
            },
        ),
        _ if matches!(
            by_itself,
            Reason::GoneUnverified | Reason::GoneWithUnit | Reason::NeverSeenHere
        ) =>
        {
            (Resolution::Unverified, by_itself)
        }
        _ => (Resolution::SelfCleared, by_itself),
    }
}
