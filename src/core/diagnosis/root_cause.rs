//! Cases: which open condition hangs on which other, up to the root, and who speaks for those that fail of one thing
//! which is no condition. Pure over the open conditions, which live in the store, so it survives a restart by itself.

use std::time::Duration;

use crate::core::diagnosis::cause_rules::CauseRules;
use crate::core::diagnosis::naming::{Named, name_cause};
use crate::core::diagnosis::shared_root::{self, SharedRoot};
use crate::core::diagnosis::way_out;
use crate::core::model::case::{Case, Member};
use crate::core::model::cause::Cause;
use crate::core::model::class::{Class, ToldBy};
use crate::core::model::facts::{Facts, Key};
use crate::core::model::finding::{Finding, Severity};
use crate::core::model::id::TaskId;
use crate::core::model::sorted::SortedMap;
use crate::core::model::task::{Status, Task};
use crate::core::model::time::Timestamp;

/// One open condition, as far as correlation needs it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OpenCondition {
    pub task_id: TaskId,
    pub class: Class,
    pub subject: String,
    pub status: Status,
    pub message: String,
    pub evidence: Facts,
    /// When it was first seen.
    pub since: Timestamp,
    /// Something was tried about it.
    pub tried: bool,
    /// Since when it is green, where it is.
    pub green_since: Option<Timestamp>,
}

impl OpenCondition {
    /// The condition of `task`, with what `finding` says of it now.
    pub fn of(task: &Task, finding: &Finding) -> Self {
        Self {
            task_id: task.id,
            class: task.class,
            subject: task.subject.clone(),
            status: task.status,
            message: finding.message.clone(),
            evidence: finding.evidence.clone(),
            since: task.detected_at,
            tried: task.fix_attempted,
            green_since: task.first_green_at.filter(|_| task.status == Status::Fixed),
        }
    }

    fn cause(&self) -> Cause {
        self.named().cause
    }

    /// Named only where it is asked for: most conditions hang on nothing.
    fn named(&self) -> Named {
        let evidence = self.evidence.clone();
        let (subject, message) = (&self.subject, &self.message);
        let now = Timestamp::default();
        let finding = Finding::new(self.class, subject, Severity::Error, message, "", now);
        let finding = Finding {
            evidence,
            ..finding
        };
        name_cause(&finding, CauseRules::builtin())
    }

    /// What it fails of, where other units may fail of the same.
    pub(crate) fn shared_root(&self) -> Option<SharedRoot> {
        let is_start = self.is_down() || self.class == Class::InvalidUnitPath;
        let who = self.who().filter(|_| is_start)?;
        let shared = SharedRoot::of(who, &self.named(), &self.evidence)?;
        match self.is_container() {
            true => shared.of_project(self.evidence.text(Key::Project)),
            false => Some(shared),
        }
    }

    /// Why its unit is down.
    pub(crate) fn named_when_down(&self) -> Option<Named> {
        self.is_down().then(|| self.named())
    }

    /// The path that the line tells of which names its cause.
    pub(crate) fn path(&self) -> Option<String> {
        self.named().path
    }

    /// The line that names its cause.
    pub(crate) fn line(&self) -> Option<String> {
        self.named().line
    }

    /// Of those that fail of one thing the first that was tried speaks, else the oldest.
    fn turn(&self) -> (bool, TaskId) {
        (!self.tried, self.task_id)
    }

    fn member(&self) -> Member {
        Member {
            task: self.task_id,
            class: self.class,
            subject: self.subject.clone(),
        }
    }

    /// True when its unit or container does not run as it should.
    fn is_down(&self) -> bool {
        self.class.row().told_by.tells_an_end()
    }

    fn is_container(&self) -> bool {
        self.class.row().told_by == ToldBy::ContainerState
    }

    /// The unit or the container that it is about, if any.
    fn who(&self) -> Option<&str> {
        let container = self.is_container().then_some(self.subject.as_str());
        container.or_else(|| self.unit())
    }

    /// True of a line, and of a unit that is down, that say of another side that it does not answer.
    pub(crate) fn tells_of_another_side(&self) -> bool {
        (self.class == Class::LogError || self.is_down())
            && matches!(
                self.cause(),
                Cause::ConnectionRefused | Cause::ConnectionTimeout
            )
    }

    /// The port of this host on which the other side that it tells of does not answer.
    pub(crate) fn silent_port(&self) -> Option<u16> {
        shared_root::local_port(&self.named().line?)
    }

    /// True when both are about units that are down, or this is a probe that fails or a line about another side, and this
    /// one does not run without the other.
    fn needs(&self, other: &Self) -> bool {
        let required = |unit| self.evidence.requires(unit);
        let is_probe = self.class == Class::ProbeFailed;
        let of_a_kind = self.is_container() == other.is_container();
        let by_unit = of_a_kind && other.is_down() && other.who().is_some_and(required);
        let by_probe = other.class == Class::ProbeFailed && required(&other.subject);
        by_unit && (self.is_down() || is_probe || self.tells_of_another_side())
            || is_probe && by_probe
    }

    /// True of a failure after which the manager no longer restarts, where `flapping` tells of its restarts before: they
    /// are over, and what it failed of is nearer to the root.
    fn gave_up(&self, flapping: &Self) -> bool {
        self.class == Class::ServiceFailed
            && self.evidence.start_limit()
            && flapping.class == Class::ServiceFlapping
    }

    /// The unit it is about, if any.
    fn unit(&self) -> Option<&str> {
        self.evidence.text(Key::Unit).or_else(|| {
            self.subject
                .ends_with(".service")
                .then_some(self.subject.as_str())
        })
    }
}

/// True when `root` is what `cause` names in `symptom`.
fn explains(root: &OpenCondition, symptom: &OpenCondition, cause: Cause) -> bool {
    if root.class != Class::UplinkDown {
        return root.class.row().explains.contains(&cause);
    }
    let (class, subject) = (symptom.class, symptom.subject.as_str());
    way_out::explains(&root.evidence, (class, subject), cause, || symptom.line())
}

/// How near `other` stands to the root, if it can explain others about its unit: of the processes that are left
/// over, only one that holds the unit's pid file keeps it from starting.
fn rank_as_root(other: &OpenCondition) -> Option<u8> {
    let row = other.class.row();
    let known = |key| other.evidence.text(key).is_some();
    row.rank.filter(|_| row.root_with.is_none_or(known))
}

/// The open condition that `symptom` hangs on, if there is one: what its named `cause` says is broken on this host,
/// one about the same unit and nearer to the root, or that of a unit which its own needs. One that is still broken is
/// preferred: the symptoms of a green root may be repaired.
fn root_of<'a>(
    symptom: &OpenCondition,
    cause: Cause,
    open: &'a [OpenCondition],
) -> Option<&'a OpenCondition> {
    let own = symptom.class.row().rank?;
    let unit = symptom.unit();
    let about = |other: &OpenCondition| {
        let nearer = match (symptom.gave_up(other), other.gave_up(symptom)) {
            (true, _) => false,
            (_, true) => true,
            (false, false) => rank_as_root(other).is_some_and(|rank| rank < own),
        };
        unit.is_some() && other.unit() == unit && nearer
    };
    open.iter()
        .filter(|other| other.task_id != symptom.task_id)
        .filter(|other| explains(other, symptom, cause) || about(other) || symptom.needs(other))
        .min_by_key(|other| {
            let green = other.status == Status::Fixed;
            let elsewhere = !explains(other, symptom, cause);
            let rank = other.class.row().rank.unwrap_or(u8::MAX);
            (green, elsewhere, rank, other.task_id)
        })
}

/// What `own` hangs on, the nearest first, up to the root of its case; nothing where it hangs on nothing. In a circle
/// the oldest task is the root.
pub fn above<'a>(own: &OpenCondition, open: &'a [OpenCondition]) -> Vec<&'a OpenCondition> {
    let mut steps: Vec<&'a OpenCondition> = Vec::new();
    loop {
        let last = steps.last().copied().unwrap_or(own);
        let Some(next) = root_of(last, last.cause(), open) else {
            return steps;
        };
        let ids = || std::iter::once(own.task_id).chain(steps.iter().map(|step| step.task_id));
        if let Some(met) = ids().position(|id| id == next.task_id) {
            // The circle is what was passed since; its root may be `own`, on which the others hang.
            let oldest = ids().enumerate().skip(met).min_by_key(|(_, id)| *id);
            steps.truncate(oldest.map_or(0, |(at, _)| at));
            return steps;
        }
        steps.push(next);
    }
}

/// Of what a condition hangs on: the topmost that is still broken. It waits for that.
pub fn first_broken<'a>(above: &[&'a OpenCondition]) -> Option<&'a OpenCondition> {
    let mut from_root = above.iter().rev().copied();
    from_root.find(|one| one.status != Status::Fixed)
}

/// A unit that was started for others too has to run for this long before they are: one that only forks is up for a moment.
const SPEAKER_HOLDS: Duration = Duration::from_secs(5);

/// Those of the open conditions that hang on no other and fail of something that others may fail of too: named once,
/// for all who are asked about.
struct Sharing<'a>(Vec<(&'a OpenCondition, SharedRoot)>);

impl<'a> Sharing<'a> {
    /// Those that are broken, or were when `held` says so.
    fn of(open: &'a [OpenCondition], held: impl Fn(&OpenCondition) -> bool) -> Self {
        let speaking = open
            .iter()
            .filter(|one| one.status != Status::Fixed || !held(one));
        let sharing = speaking.filter_map(|one| Some((one, one.shared_root()?)));
        Self(
            sharing
                .filter(|(one, _)| above(one, open).is_empty())
                .collect(),
        )
    }

    /// Who speaks for `own`, where that is another one, and of what both fail.
    fn speaker(&self, own: &OpenCondition) -> Option<(&'a OpenCondition, &SharedRoot)> {
        let shared = own.shared_root()?;
        let others = self.0.iter().filter(|(other, theirs)| {
            other.turn() < own.turn()
                && other.who() != own.who()
                && shared.is_also(theirs, own.since, other.since)
        });
        let first = others.min_by_key(|(other, _)| other.turn());
        first.map(|(other, theirs)| (*other, theirs))
    }
}

/// Who is tried first and told for all that fail of what `own` fails of, where that is another one; for what hangs on
/// no condition. A speaker that is green again holds nobody up, as soon as that has lasted.
pub fn speaker<'a>(
    own: &OpenCondition,
    open: &'a [OpenCondition],
    now: Timestamp,
) -> Option<&'a OpenCondition> {
    own.shared_root()?;
    let sharing = Sharing::of(open, |one| holds_from(one).is_none_or(|at| at <= now));
    sharing.speaker(own).map(|(speaker, _)| speaker)
}

/// When a speaker that is green will have been so for long enough.
pub fn holds_from(speaker: &OpenCondition) -> Option<Timestamp> {
    speaker.green_since.map(|since| since.plus(SPEAKER_HOLDS))
}

/// The cases of all that is open, by the age of their roots. What hangs on nothing, and nothing on it, is in none.
pub fn cases(open: &[OpenCondition]) -> Vec<Case> {
    let sharing = Sharing::of(open, |_| true);
    let mut cases: SortedMap<TaskId, Case> = SortedMap::new();
    for own in open {
        let top = above(own, open).last().copied().unwrap_or(own);
        let speaks = sharing.speaker(top);
        let root = speaks.map_or(top, |(speaker, _)| speaker);
        if root.task_id == own.task_id {
            continue;
        }
        let case = cases.entry(root.task_id).or_insert_with(|| Case {
            root: root.member(),
            members: Vec::new(),
            shared: None,
        });
        case.members.push(own.member());
        case.members.sort_by_key(|member| member.task);
        if let Some((_, shared)) = speaks {
            case.shared = Some(shared.to_string());
        }
    }
    cases.into_values().collect()
}

/// When the youngest was first seen of what hangs on `root`.
pub fn joined_last(root: TaskId, open: &[OpenCondition]) -> Option<Timestamp> {
    let cases = cases(open);
    let members = cases
        .iter()
        .find(|case| case.root.task == root)?
        .members
        .iter();
    let since = |task: TaskId| {
        open.iter()
            .find(|one| one.task_id == task)
            .map(|one| one.since)
    };
    members.filter_map(|member| since(member.task)).max()
}

#[cfg(test)]
#[path = "root_cause_tests.rs"]
mod tests;
