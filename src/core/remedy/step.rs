//! What was decided about a task: a step with its gate and its reason as data. The text is made of them, for
//! the audit, the issue and `explain`, and never read back.

use std::fmt;

use crate::core::config::Mode;
use crate::core::model::action::ActionKind;
use crate::core::model::class::Class;
use crate::core::model::gate::Gate;
use crate::core::model::hint::Hint;
use crate::core::model::id::TaskId;
use crate::core::model::named::named;
use crate::core::model::proposal::Proposal;
use crate::core::model::task::{Phase, Resolution, WaitsFor};
use crate::core::model::time::Timestamp;
use crate::core::reading::wanted::NotWanted;
use crate::core::remedy::target::TargetError;

/// The next step of a claimed task.
#[derive(Clone, Debug, PartialEq)]
pub enum Step {
    /// Nothing now; asked again at `until`, or sooner when what it waits for changes.
    Wait {
        /// `None` where no gate is closed: it is only too soon.
        gate: Option<Gate>,
        until: Timestamp,
        reason: Reason,
    },
    /// All gates are open: this is done.
    Act {
        phase: Phase,
        action: Proposal,
        /// Who offered it and on what grounds.
        why: String,
    },
    /// A human is needed.
    Tell {
        reason: Reason,
        /// What would be done with a human's leave.
        proposed: Option<Proposal>,
        /// When it is tried again by itself; `None` waits for the human.
        retry_at: Option<Timestamp>,
    },
    /// The last attempt was a start, and the condition is over since: it is that attempt's, and must hold.
    Green,
    /// The condition is over.
    Close {
        resolution: Resolution,
        reason: Reason,
    },
    /// This action is not taken and not offered again in this round; the next offer is due at once.
    Refuse {
        phase: Phase,
        kind: ActionKind,
        reason: Reason,
    },
}

impl Step {
    /// What kind of step it is.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Wait { .. } => "wait",
            Self::Act { .. } => "act",
            Self::Tell { .. } => "tell",
            Self::Green => "green",
            Self::Close { .. } => "close",
            Self::Refuse { .. } => "refuse",
        }
    }

    /// Why; `None` where all gates are open and it is done, or was.
    pub const fn reason(&self) -> Option<&Reason> {
        match self {
            Self::Wait { reason, .. }
            | Self::Tell { reason, .. }
            | Self::Close { reason, .. }
            | Self::Refuse { reason, .. } => Some(reason),
            Self::Act { .. } | Self::Green => None,
        }
    }

    /// The gate that answered, where one did.
    pub fn gate(&self) -> Option<Gate> {
        match self {
            Self::Wait { gate, .. } => *gate,
            Self::Tell { reason, .. } => reason.gate(),
            Self::Refuse { .. } => Some(Gate::Precondition),
            Self::Act { .. } | Self::Green | Self::Close { .. } => None,
        }
    }
}

/// What a human is told, as it is written down.
pub fn told(reason: &Reason, proposed: Option<&Proposal>) -> String {
    match (proposed, reason.gate()) {
        (Some(action), Some(gate)) => format!("{reason}; proposed: {action} ({gate})"),
        (Some(action), None) => format!("{reason}; proposed: {action}"),
        (None, _) => reason.to_string(),
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Wait {
                until,
                reason,
                gate: Some(gate),
            } => write!(
                f,
                "looked at again at {} UTC: {gate}: {reason}",
                until.second()
            ),
            Self::Wait { until, reason, .. } => {
                write!(f, "looked at again at {} UTC: {reason}", until.second())
            }
            Self::Act { phase, action, why } => {
                write!(f, "{action} (phase {}; {why})", phase.number())
            }
            Self::Tell {
                reason,
                proposed,
                retry_at,
            } => {
                write!(f, "put it before a human: {reason}")?;
                if let Some(action) = proposed {
                    write!(f, "; proposed: {action}")?;
                }
                match retry_at {
                    Some(at) => write!(f, "; tried again at {} UTC", at.second()),
                    None => Ok(()),
                }
            }
            Self::Green => f.write_str("green after the last attempt"),
            Self::Close { resolution, reason } => write!(f, "close as {resolution}: {reason}"),
            Self::Refuse { kind, reason, .. } => write!(f, "refuse {kind}: {reason}"),
        }
    }
}

/// Why.
#[derive(Clone, Debug, PartialEq)]
pub enum Reason {
    /// A human wants it left alone for a while: until when, by whom and why.
    Silenced(String),
    /// The kill switch is on, with its text.
    KillSwitch(String),
    /// A maintenance window is open.
    Maintenance(String),
    /// The clock is before this build's own date.
    Clock,
    StartupGrace,
    /// A target that the facts do not give, or that is not allowed.
    NoTarget {
        kind: ActionKind,
        why: TargetError,
    },
    /// The host, read again now, no longer fits the action.
    Precondition {
        action: String,
        why: String,
    },
    /// The unit that would be started is down on purpose, or nobody wants it up.
    Unwanted(NotWanted),
    /// Another process holds what the unit wants: which one, or what.
    Held(String),
    /// Another open task is its root.
    SymptomOf {
        task: TaskId,
        class: Class,
        subject: String,
    },
    /// Another open task fails of the same: it is tried first, and told for both.
    SameAs {
        task: TaskId,
        class: Class,
        subject: String,
    },
    /// This probe never answered well.
    NeverGreen(String),
    /// What the probe asks was started a moment ago.
    Starting,
    /// Something is being installed: what.
    Deployment(String),
    /// The mode wants a human.
    Mode(Mode),
    /// A human took this action back when it was last done here.
    TakenBack,
    /// A human allowed something else than this: what was allowed, and what it is now.
    Changed(String),
    Budget(Spent),
    /// Another disruptive action runs on this host.
    Slot,
    /// Nothing to repair, and most of its kind ends by itself.
    MayPass,
    /// What a line warns of: recorded and shown, told to nobody.
    OnlyAWarning,
    /// This box prints it at every boot, or for weeks, and nothing follows.
    Habit,
    /// A digest tells of it: the box is new, or it was told so lately.
    InDigest,
    /// So many attempts did not hold; the next one is spaced.
    Spaced {
        attempts: usize,
    },
    /// Its root may be found a sweep later than the symptom.
    MayStillShow,
    /// No runbook allows an action for this cause.
    NothingSafe,
    /// Actions were offered; none could be taken.
    NoneTaken,
    /// So many attempts did not hold.
    NotHeld {
        attempts: usize,
    },
    /// Each of its repairs breaks something else: what.
    Breaks(String),
    /// Repaired again and again, and it comes back.
    NotLasting(String),
    /// The detector no longer sees it, and nothing was done.
    GoneUntouched,
    /// The detector no longer sees it after an attempt that could not be verified.
    GoneUnverified,
    /// Only lines tell of it, and no further one came.
    NoMoreLines,
    /// Another program wrote it down, and nothing here has seen it since.
    NeverSeenHere,
    /// Its unit is gone for good, and nothing wants it any more.
    GoneWithUnit,
    /// It ended together with the repair of its root.
    OverWithRoot {
        task: TaskId,
        class: Class,
        subject: String,
    },
    /// Ended by itself: seen by a sweep, or quiet for long enough.
    EndedByItself,
    /// Green all through the stability window.
    Stable,
    /// Lines alone tell, and none came in the stability window.
    QuietWindow,
    /// Nobody could look: neither healthy nor failed.
    CouldNotLook(String),
    /// The repair could not be verified to hold, because nobody could look.
    NotVerified(String),
}

named! {
    /// Whose budget it is.
    BudgetScope "budget" {
        Fingerprint = "fingerprint",
        Unit = "unit",
        Host = "host",
        /// What a human allowed.
        Approvals = "approvals",
        /// First starts that are under way: no budget, but a queue.
        FirstStarts = "first starts",
    }
}

/// A budget without room.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Spent {
    pub scope: BudgetScope,
    pub used: u32,
    pub limit: u32,
    pub free_at: Timestamp,
}

impl Reason {
    /// The gate that this reason belongs to.
    pub fn gate(&self) -> Option<Gate> {
        match self {
            Self::Silenced(_) => Some(Gate::Silence),
            Self::KillSwitch(_) => Some(Gate::KillSwitch),
            Self::Maintenance(_) => Some(Gate::Maintenance),
            Self::Clock => Some(Gate::Clock),
            Self::StartupGrace => Some(Gate::StartupGrace),
            Self::NoTarget { .. } | Self::Precondition { .. } => Some(Gate::Precondition),
            Self::Unwanted(_) => Some(Gate::Wanted),
            Self::SymptomOf { .. } | Self::SameAs { .. } => Some(Gate::Inhibition),
            Self::Deployment(_) => Some(Gate::Deployment),
            Self::Mode(_) | Self::TakenBack | Self::Changed(_) => Some(Gate::Mode),
            Self::Budget(_) => Some(Gate::Budget),
            Self::Slot => Some(Gate::Slot),
            Self::MayPass
            | Self::NeverGreen(_)
            | Self::Starting
            | Self::OnlyAWarning
            | Self::Habit
            | Self::InDigest
            | Self::Spaced { .. }
            | Self::MayStillShow
            | Self::NothingSafe
            | Self::NoneTaken
            | Self::NotHeld { .. }
            | Self::Breaks(_)
            | Self::Held(_)
            | Self::NotLasting(_)
            | Self::GoneUntouched
            | Self::GoneUnverified
            | Self::NoMoreLines
            | Self::NeverSeenHere
            | Self::GoneWithUnit
            | Self::OverWithRoot { .. }
            | Self::EndedByItself
            | Self::Stable
            | Self::QuietWindow
            | Self::CouldNotLook(_)
            | Self::NotVerified(_) => None,
        }
    }

    /// What ends a wait of this reason before its time.
    pub fn waits_for(&self) -> WaitsFor {
        match (self, self.gate()) {
            (Self::SymptomOf { task, .. } | Self::SameAs { task, .. }, _) => WaitsFor::Root(*task),
            (_, Some(gate)) => WaitsFor::Gate(gate),
            (_, None) => WaitsFor::Time,
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::KillSwitch(text) => write!(f, "kill switch is on: {text}"),
            Self::Silenced(text)
            | Self::Maintenance(text)
            | Self::NotLasting(text)
            | Self::Changed(text) => f.write_str(text),
            Self::Breaks(other) => write!(
                f,
                "each repair breaks {other} within the stability window: stopped, both cannot have their way"
            ),
            Self::Deployment(what) => write!(f, "something is being installed: {what}"),
            Self::NeverGreen(probe) => write!(
                f,
                "this probe was never green: check the probe with `probe test {probe}`; no unit is touched for it"
            ),
            Self::Starting => f.write_str("it was started a moment ago and may still be starting"),
            Self::Clock => f.write_str(
                "the clock is before this build's own date; waiting for time synchronisation",
            ),
            Self::StartupGrace => f.write_str("the daemon has just started"),
            Self::NoTarget { kind, why } => write!(f, "{kind}: {}", why.with_hint()),
            Self::Precondition { action, why } => write!(f, "{action}: {why}"),
            Self::Unwanted(unit) => unit.fmt(f),
            Self::Held(what) => write!(f, "{what}: a start cannot help before that ends"),
            Self::SymptomOf {
                task,
                class,
                subject,
            } => write!(f, "symptom of task {task} ({class} {subject})"),
            Self::SameAs {
                task,
                class,
                subject,
            } => write!(f, "fails of the same as task {task} ({class} {subject})"),
            Self::TakenBack => f.write_str("a human took it back here: a human must approve"),
            Self::Mode(Mode::Suggest) => f.write_str("mode suggest: a human must approve"),
            Self::Mode(Mode::Observe) => f.write_str("mode observe: nothing is touched"),
            Self::Mode(Mode::Auto) => f.write_str("mode auto"),
            Self::Budget(spent) => write!(
                f,
                "budget of this {} is spent ({} of {}), free again at {} UTC",
                spent.scope,
                spent.used,
                spent.limit,
                spent.free_at.second()
            ),
            Self::Slot => f.write_str("another disruptive action is running"),
            Self::MayPass => {
                f.write_str("nothing to repair here: put before a human only if it goes on")
            }
            Self::Spaced { attempts: 0 } => {
                f.write_str("what ended it lies elsewhere and may pass; the first attempt is spaced")
            }
            Self::Spaced { attempts: 1 } => {
                f.write_str("an attempt did not hold; the next one is spaced")
            }
            Self::Spaced { attempts } => write!(
                f,
                "{attempts} attempts did not hold; the next one is spaced"
            ),
            Self::OnlyAWarning => f.write_str("a line's warning: shown, told to nobody"),
            Self::Habit => f.write_str(
                "this box prints it at every boot or for weeks, and nothing follows: shown, told to nobody",
            ),
            Self::InDigest => f.write_str("a digest tells of it, with what else is ordinary here"),
            Self::MayStillShow => f.write_str("its cause may still show"),
            Self::NothingSafe => f.write_str("no action is known to be safe for this cause"),
            Self::NoneTaken => f.write_str("no offered action could be taken"),
            Self::NotHeld { attempts: 1 } => f.write_str("an attempt did not hold"),
            Self::NotHeld { attempts } => write!(f, "{attempts} attempts did not hold"),
            Self::GoneUntouched => f.write_str("gone before anything was done"),
            Self::GoneUnverified => f.write_str("gone after an attempt that could not be verified"),
            Self::NoMoreLines => {
                f.write_str("no further line of it came; whether it is over no line can tell")
            }
            Self::NeverSeenHere => {
                f.write_str("adopted from another program, and nothing here has seen it")
            }
            Self::GoneWithUnit => {
                f.write_str("its unit is gone for a day, and nothing wants it any more")
            }
            Self::OverWithRoot {
                task,
                class,
                subject,
            } => write!(
                f,
                "over with its root cause: symptom of task {task} ({class} {subject})"
            ),
            Self::EndedByItself => f.write_str("the condition ended by itself"),
            Self::Stable => f.write_str("verified by its detector and stable through the window"),
            Self::QuietWindow => f.write_str("no repeat within the stability window"),
            Self::CouldNotLook(why) => write!(f, "nobody could look: {why}"),
            Self::NotVerified(why) => write!(
                f,
                "repaired, but whether it holds is not known: nobody could look: {why}"
            ),
        }
    }
}
