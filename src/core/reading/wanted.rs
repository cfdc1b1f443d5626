//! Does anybody want this unit to run? Pure. What somebody stopped, what nobody wants, and what was meant to run once is
//! never started, whatever fault names it.

use std::fmt;
use std::time::Duration;

use crate::core::model::manager_event::ManagerState;
use crate::core::model::sorted::SortedSet;
use crate::core::model::text::matches_glob;
use crate::core::model::unit::{Left, Purpose, UnitState};
use crate::core::reading::unit_state::{has_unit_type, is_prevented, status_text};

/// Levels of units that want each other which are followed up.
const LEVELS_MOST: u32 = 8;
/// A boot that lasts longer hangs on one of its jobs, and may do so for ever; the slowest that are known to end take
/// a few minutes. Our jobs replace none of its own.
const BOOT_MOST: Duration = Duration::from_secs(600);

/// What a unit is judged among.
#[derive(Clone, Copy, Debug)]
pub struct Around<'a> {
    /// The units that it names, and theirs.
    pub units: &'a [UnitState],
    pub manager: ManagerState,
    /// The operator's list of units that are wanted whatever the host says.
    pub listed: &'a [String],
}

/// A unit that is not to be started, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NotWanted {
    pub unit: String,
    pub why: Unwanted,
}

impl fmt::Display for NotWanted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.unit, self.why)
    }
}

/// Why a unit is not started.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Unwanted {
    /// The manager starts up, stops, or is kept in rescue.
    Manager(ManagerState),
    OnPurpose(Purpose),
    /// How it went down is not known, and it ended without a fault.
    NotKnown,
    /// Its condition was false at the last start.
    Condition,
    /// While this path is there its file asks that it is not started: somebody put it there.
    Flag(String),
    /// Its file asks that it is started only where this path is, which is gone.
    Lacks(String),
    /// Disabled, and nothing that runs wants it.
    Disabled,
    /// Nothing that runs wants it.
    Nobody,
    /// It is started on demand, by this one.
    OnDemand(String),
    /// A job of this timer: it runs when its time comes.
    JobOf(String),
    /// Made by a command that somebody gave.
    Transient,
    /// Runs once, when somebody starts it.
    ByHand,
    /// Has done its work.
    Done,
    /// `RestartPreventExitStatus=` names how it ended.
    Prevented(String),
    /// `RefuseManualStart=`.
    Refuses,
    /// Its files make no sense to the manager, whose word for that this is.
    Misread(String),
    /// Its file asserts this path, which is not there, or its absence: the manager refuses to start it.
    Asserts(String),
    /// Its failure started this one, which is still at work.
    Repairing(String),
    /// Its start would stop this one, which runs in its place.
    InPlaceOf(String),
    /// Its start would start this one, too, which is down on purpose.
    Needs(String, Purpose),
    /// A socket whose service runs: its manager refuses to start it beside that.
    Serves(String),
    /// Its socket is down: started without it, it would not be reached.
    Socket(String),
}

impl Unwanted {
    /// True where units further away than those that it names may change the answer.
    pub const fn hangs_on_others(&self) -> bool {
        matches!(
            self,
            Self::OnDemand(_) | Self::Disabled | Self::Nobody | Self::ByHand | Self::Needs(..)
        )
    }

    /// True where another unit's state is in the way: when that changes, nobody says so.
    pub const fn is_of_another(&self) -> bool {
        matches!(self, Self::InPlaceOf(_) | Self::Serves(_) | Self::Needs(..))
    }

    /// True for what passes without anybody's doing, and for what a human who did it knows: nobody is told.
    pub const fn is_quiet(&self) -> bool {
        matches!(
            self,
            Self::Manager(_)
                | Self::Disabled
                | Self::Socket(_)
                | Self::Flag(_)
                | Self::Lacks(_)
                | Self::Repairing(_)
        )
    }
}

impl fmt::Display for Unwanted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Manager(state) => write!(f, "waits: the service manager is {}", state.word()),
            Self::OnPurpose(purpose) => write!(f, "{purpose}: it stays as it is"),
            Self::NotKnown => f.write_str(
                "is down, and it is not known how it came so: it may have been stopped by somebody",
            ),
            Self::Condition => f.write_str("has a condition that is false"),
            Self::Flag(path) => write!(f, "is not to run while {path} is there, says its file"),
            Self::Lacks(path) => write!(f, "is to run only where {path} is, says its file"),
            Self::Repairing(other) => write!(
                f,
                "waits for {other}, which its failure started and which is still at work"
            ),
            Self::Disabled => f.write_str("is disabled"),
            Self::Nobody => f.write_str("is wanted by nothing that runs"),
            Self::OnDemand(by) => write!(f, "is started on demand, by {by}"),
            Self::JobOf(timer) => {
                write!(
                    f,
                    "is a job of {timer}, which runs it again when its time comes"
                )
            }
            Self::Transient => {
                f.write_str("was started by a command that somebody gave: it is not run again")
            }
            Self::ByHand => f.write_str("runs once, when somebody starts it: it is not run again"),
            Self::Done => f.write_str("has done its work"),
            Self::Prevented(status) => write!(
                f,
                "ended with {status}, after which its file forbids to start it again (RestartPreventExitStatus=)"
            ),
            Self::Refuses => f.write_str("may not be started by hand (RefuseManualStart=)"),
            Self::Misread(state) => write!(
                f,
                "cannot be started: its manager refuses its files (LoadState={state})"
            ),
            Self::Asserts(path) => write!(
                f,
                "cannot be started: what its file asserts of {path} does not hold (AssertPathExists=)"
            ),
            Self::InPlaceOf(other) => write!(
                f,
                "cannot run beside {other}, which runs in its place: to start it would stop that one"
            ),
            Self::Needs(other, purpose) => {
                write!(
                    f,
                    "is started together with {other}, which {purpose}: to start it would start that one"
                )
            }
            Self::Serves(service) => write!(
                f,
                "cannot be started while {service} runs: its manager refuses that (service already active)"
            ),
            Self::Socket(socket) => {
                write!(f, "waits for {socket}, without which it is not reached")
            }
        }
    }
}

/// Why `unit` is not to be started now, if so. Of one that runs only what holds for a restart is asked.
pub fn unwanted(unit: &UnitState, around: &Around<'_>) -> Option<Unwanted> {
    if let Some(why) = whatever_others(unit, around.manager) {
        return Some(why);
    }
    if unit.is_active() {
        return None;
    }
    of_its_kind(unit, around)
        .or_else(|| of_no_words(unit))
        .or_else(|| of_others(unit, around))
}

/// True where the boot began so long ago that a unit without a job is not kept by it.
pub fn is_boot_over(boot: Duration) -> bool {
    boot > BOOT_MOST
}

/// What `state` means for `unit` where the boot began so long ago: one that hangs is over for what has no part in it.
pub fn state_for(unit: &UnitState, state: ManagerState, boot: Duration) -> ManagerState {
    let hangs = state == ManagerState::Starting && is_boot_over(boot);
    if hangs && !unit.has_job {
        ManagerState::Running
    } else {
        state
    }
}

/// What the unit alone and the manager say, whatever the other units are.
pub fn whatever_others(unit: &UnitState, manager: ManagerState) -> Option<Unwanted> {
    if !manager.is_settled() {
        return Some(Unwanted::Manager(manager));
    }
    if unit.refuse_manual_start {
        return Some(Unwanted::Refuses);
    }
    if unit.is_misread() {
        return Some(Unwanted::Misread(unit.load_state.clone()));
    }
    if unit.is_active() {
        return None;
    }
    of_its_end(unit)
}

/// What the way it went down says.
fn of_its_end(unit: &UnitState) -> Option<Unwanted> {
    if let Some(purpose) = unit.purpose() {
        return Some(Unwanted::OnPurpose(purpose.clone()));
    }
    if !unit.condition_result {
        return Some(Unwanted::Condition);
    }
    let prevented = is_prevented(unit);
    let once = prevented || unit.service_type == "oneshot";
    if once && is_quiet(unit) && unit.result == "success" {
        return Some(Unwanted::Done);
    }
    prevented.then(|| Unwanted::Prevented(status_text(unit)))
}

fn is_quiet(unit: &UnitState) -> bool {
    !unit.is_failed() && !unit.is_changing()
}

/// Where nothing is known, what ended without a fault was stopped.
fn of_no_words(unit: &UnitState) -> Option<Unwanted> {
    (is_quiet(unit) && unit.left == Left::Unknown).then_some(Unwanted::NotKnown)
}

/// What it is, and who wants it.
fn of_its_kind(unit: &UnitState, around: &Around<'_>) -> Option<Unwanted> {
    let by = |kind: &str| unit.triggered_by.iter().find(|name| name.ends_with(kind));
    let oneshot = unit.service_type == "oneshot";
    if let Some(timer) = by(".timer")
        && (oneshot || !has_target(unit, around))
    {
        return Some(Unwanted::JobOf(timer.clone()));
    }
    if unit.is_transient() && !is_listed(unit, around) {
        return Some(Unwanted::Transient);
    }
    if is_wanted(unit, around, LEVELS_MOST, &mut SortedSet::new()) {
        return None;
    }
    if !unit.is_failed()
        && let Some(trigger) = unit.triggered_by.first()
    {
        return Some(Unwanted::OnDemand(trigger.clone()));
    }
    Some(match unit.unit_file_state.as_str() {
        _ if oneshot => Unwanted::ByHand,
        "disabled" => Unwanted::Disabled,
        _ => Unwanted::Nobody,
    })
}

fn has_target(unit: &UnitState, around: &Around<'_>) -> bool {
    is_listed(unit, around) || unit.wanted_by.iter().any(|name| is_up(name, around))
}

fn is_listed(unit: &UnitState, around: &Around<'_>) -> bool {
    around
        .listed
        .iter()
        .any(|glob| matches_glob(glob, &unit.name))
}

/// Run levels and declared services have no unit that could be down.
fn is_up(name: &str, around: &Around<'_>) -> bool {
    !has_unit_type(name) || find(name, around).is_some_and(UnitState::is_active)
}

fn find<'a>(name: &str, around: &Around<'a>) -> Option<&'a UnitState> {
    around.units.iter().find(|unit| unit.name == name)
}

/// Wanted by the operator, by something that is up, or by something down that is wanted itself.
fn is_wanted(
    unit: &UnitState,
    around: &Around<'_>,
    levels: u32,
    seen: &mut SortedSet<String>,
) -> bool {
    if has_target(unit, around) {
        return true;
    }
    if unit.is_failed() && unit.triggered_by.iter().any(|name| is_up(name, around)) {
        return true;
    }
    levels > 0
        && seen.insert(unit.name.clone())
        && unit.wanted_by.iter().any(|name| {
            find(name, around).is_some_and(|above| {
                above.purpose().is_none()
                    && !above.name.ends_with(".target")
                    && is_wanted(above, around, levels.saturating_sub(1), seen)
            })
        })
}

/// What its start would do to others.
fn of_others(unit: &UnitState, around: &Around<'_>) -> Option<Unwanted> {
    let starts = |other: &UnitState| other.is_active() || other.active_state == "activating";
    let runs = |name: &&String| find(name, around).is_some_and(starts);
    if let Some(other) = unit.excludes.iter().find(runs) {
        return Some(Unwanted::InPlaceOf(other.clone()));
    }
    // Instances of a service, one for each connection, are in no socket's way.
    let own = |name: &&String| name.contains('@') == unit.name.contains('@');
    let mut served = unit.triggers.iter().filter(own);
    if unit.name.ends_with(".socket")
        && let Some(service) = served.find(runs)
    {
        return Some(Unwanted::Serves(service.clone()));
    }
    let is_fallback = |name: &&String| {
        find(name, around).is_some_and(|other| {
            starts(other) && other.main_pid > 0 && other.service_type != "oneshot"
        })
    };
    if let Some(other) = unit.on_failure.iter().find(is_fallback) {
        return Some(Unwanted::InPlaceOf(other.clone()));
    }
    let is_at_work =
        |name: &&String| find(name, around).is_some_and(|other| other.active_state == "activating");
    if let Some(other) = unit.on_failure.iter().find(is_at_work) {
        return Some(Unwanted::Repairing(other.clone()));
    }
    let stopped = pulled_in(unit, around.units).into_iter().find_map(|name| {
        let purpose = find(name, around)?.purpose()?;
        Some(Unwanted::Needs(name.to_owned(), purpose.clone()))
    });
    if stopped.is_some() {
        return stopped;
    }
    let is_down = |name: &&String| {
        name.ends_with(".socket") && find(name, around).is_some_and(|other| other.is_failed())
    };
    let socket = unit.triggered_by.iter().find(is_down);
    socket.map(|name| Unwanted::Socket(name.clone()))
}

/// What a start of `unit` would start with it, level by level: what it asks for, and what those of `units` ask for that
/// are down. What is up already starts nothing anew.
fn pulled_in<'a>(unit: &'a UnitState, units: &'a [UnitState]) -> Vec<&'a str> {
    let mut names: Vec<&str> = Vec::new();
    let mut level = vec![unit];
    for _ in 0..LEVELS_MOST {
        let mut next = Vec::new();
        for name in level.into_iter().flat_map(UnitState::pulls_in) {
            if name != &unit.name && !names.contains(&name.as_str()) {
                names.push(name);
                let down = |other: &&UnitState| other.name == *name && !other.is_active();
                next.extend(units.iter().find(down));
            }
        }
        level = next;
    }
    names
}

/// Units that a start of `unit` would start, too, and that are not among `known`: what they ask for is not known yet.
pub fn unread<'a>(unit: &'a UnitState, known: &'a [UnitState]) -> Vec<&'a str> {
    let mut names = pulled_in(unit, known);
    names.retain(|name| has_unit_type(name) && known.iter().all(|other| other.name != *name));
    names
}

/// The other units that [`unwanted`] looks at for this one.
pub fn named_by(unit: &UnitState) -> impl Iterator<Item = &str> {
    unit.wanted_by
        .iter()
        .chain(&unit.triggered_by)
        .chain(&unit.triggers)
        .chain(unit.pulls_in())
        .chain(&unit.excludes)
        .chain(&unit.on_failure)
        .map(String::as_str)
        .filter(|name| has_unit_type(name))
}

#[cfg(test)]
mod tests;
