//! Whom does a stop belong to? Folds the manager's own words into how each unit last left `active`. Pure. Not time
//! stamps are compared: what counts is the order in which the manager spoke, and its job ids, which only grow.
//!
//! A stop job belongs to somebody, unless another unit caused it. The manager stops at once what is bound to a unit
//! that ended, and puts into one transaction what stops with a unit that is stopped. So a stop job of a unit that was
//! up until the other one ended, or that came under a higher id than the other one's stop job, is that one's
//! consequence, and belongs to whom the other one's end belongs to.

use std::time::Duration;

use crate::core::model::manager_event::{
    Happening, JobId, JobKind, JobResult, ManagerEvent, UnitChange,
};
use crate::core::model::sorted::SortedMap;
use crate::core::model::time::Timestamp;
use crate::core::model::unit::{Left, Purpose, UnitState};

/// Units remembered; those that are up give way first.
const UNITS_MOST: usize = 1024;
/// Ends remembered of one unit: what it took along is asked for when it runs again.
const ENDS_MOST: usize = 4;
/// Levels of units bound to each other that are followed up.
const LEVELS_MOST: u32 = 16;
/// A signal that somebody had sent counts as long as a stop is waited for (`DefaultTimeoutStopSec=`).
const SIGNAL_COUNTS: Duration = Duration::from_secs(90);
/// A signal's word comes with the journal, the unit's end over the bus: it may come this much later than an end
/// that it brought about, and is stamped by who wrote it down.
const SIGNAL_LATE: Duration = Duration::from_secs(5);
/// Signals by which somebody ends a unit.
const ENDING: [&str; 5] = ["SIGTERM", "SIGKILL", "SIGINT", "SIGQUIT", "SIGABRT"];

/// How a unit went down once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    /// No job wanted it.
    Ended,
    /// The manager was asked to send it a signal, and it ended.
    Signalled,
    /// A stop job of this id.
    Stopped(JobId),
    /// It was to be started, also again, and was not.
    NotStarted(JobResult),
}

impl Way {
    /// Nobody is known to have wanted it.
    const fn is_its_own(self) -> bool {
        matches!(self, Self::Ended | Self::NotStarted(JobResult::Failed))
    }
}

/// One end of a unit. Words are counted as they come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct End {
    word: u64,
    way: Way,
    seen: Timestamp,
    /// The word that told that it was up before.
    up: u64,
    /// The job that had started it then; 0 where unknown.
    start_job: JobId,
}

/// The number of a word, and when it was heard.
type Word = (u64, Timestamp);

/// What is known of one unit.
#[derive(Clone, Debug, Default)]
struct Course {
    /// Word that told that it was up, or on its way there; 0 for never.
    up: u64,
    up_seen: Timestamp,
    start_job: JobId,
    /// The last state that was told.
    active: bool,
    /// It was told to be down and at rest.
    rests: bool,
    /// The job under way.
    job: Option<(JobId, JobKind)>,
    /// The last job that came when it had been down before and at rest, while it stays so.
    in_vain: Option<JobId>,
    signalled: Option<Timestamp>,
    /// The newest last.
    ends: heapless::Deque<End, ENDS_MOST>,
    /// What took it along at this end: that one may have ended too often since to be found again.
    along: Option<(End, String)>,
}

impl Course {
    /// How it went down, while it is not up again.
    fn end(&self) -> Option<End> {
        self.ends.back().copied().filter(|end| end.word > self.up)
    }

    fn went_down(&mut self, word: u64, seen: Timestamp, way: Way) {
        self.active = false;
        let asked = self
            .signalled
            .take()
            .is_some_and(|at| seen.since(at) <= SIGNAL_COUNTS);
        let way = if asked && way.is_its_own() {
            Way::Signalled
        } else {
            way
        };
        let known = self.end();
        let word = match (known.map(|end| end.way), way) {
            // It is down already: only a job says more about it.
            (Some(_), Way::Ended | Way::Signalled) => return,
            (Some(Way::Signalled), way) if way.is_its_own() => return,
            (Some(Way::Stopped(known_job)), Way::Stopped(job)) if known_job == job => {
                known.map_or(word, |end| end.word)
            }
            _ => word,
        };
        let repeated = known.is_some_and(|end| end.way == way);
        // It ended by itself and is not at rest yet: what its end took along may stop it in turn.
        let in_turn = !self.rests
            && matches!(way, Way::Stopped(_))
            && known.is_some_and(|end| end.way == Way::Ended);
        let (up, start_job) = match way {
            // The manager stops only what is up: a stop of what is down already is nobody's consequence.
            Way::Stopped(job) if known.is_some() && !repeated && !in_turn => (word, job),
            Way::Stopped(_) if repeated => {
                known.map_or((self.up, self.start_job), |end| (end.up, end.start_job))
            }
            Way::Stopped(_) | Way::Ended | Way::Signalled | Way::NotStarted(_) => {
                (self.up, self.start_job)
            }
        };
        if known.is_some() && !in_turn {
            self.ends.pop_back();
        } else if self.ends.is_full() {
            self.ends.pop_front();
        }
        // Room was made above.
        let _ = self.ends.push_back(End {
            word,
            way,
            seen,
            up,
            start_job,
        });
    }

    /// Somebody had a signal sent at this time: what ended by it may be known to be down already.
    fn was_signalled(&mut self, at: Timestamp) {
        let Some(end) = self.end() else {
            // One that ended its last run says nothing of this one.
            if at >= self.up_seen {
                self.signalled = Some(at);
            }
            return;
        };
        let brought_about = at <= end.seen.plus(SIGNAL_LATE) && end.seen.since(at) <= SIGNAL_COUNTS;
        if end.way.is_its_own()
            && brought_about
            && let Some(last) = self.ends.back_mut()
        {
            last.way = Way::Signalled;
        }
    }

    fn came_up(&mut self, word: u64, seen: Timestamp) {
        if self.up == 0 || self.end().is_some() {
            self.up = word;
            self.up_seen = seen;
        }
        self.signalled = None;
    }

    /// The manager stops it for the job under way: the job's end will tell.
    fn is_being_stopped(&self) -> bool {
        self.job
            .is_some_and(|(_, kind)| kind.stops() || kind == JobKind::Other)
    }

    fn job_begins(&mut self, id: JobId, kind: JobKind) {
        if self.job.is_none_or(|(known, _)| known != id) {
            self.in_vain = (self.rests && self.end().is_some()).then_some(id);
        }
        self.job = Some((id, kind));
    }

    fn job_new(&mut self, (word, seen): Word, id: JobId, kind: JobKind) {
        self.job_begins(id, kind);
        match kind {
            JobKind::Stop => {
                let active = self.active;
                self.went_down(word, seen, Way::Stopped(id));
                self.active = active;
            }
            JobKind::Start => {
                self.came_up(word, seen);
                self.start_job = id;
            }
            JobKind::VerifyActive
            | JobKind::Reload
            | JobKind::Restart
            | JobKind::ReloadOrStart
            | JobKind::TryRestart
            | JobKind::TryReload
            | JobKind::Nop
            | JobKind::Other => {}
        }
    }

    fn job_removed(&mut self, (word, seen): Word, id: JobId, kind: JobKind, result: JobResult) {
        let known = self.job.filter(|(known, _)| *known == id);
        let kind = match (kind, known) {
            (JobKind::Other, Some((_, known))) if known != JobKind::Other => known,
            // It was over before it could be asked for: what came of it tells.
            (JobKind::Other, _) if result == JobResult::Done && self.active => JobKind::Start,
            // `try-restart` of what is down comes to nothing, and says nothing of how it went down.
            (JobKind::Other, _) if self.in_vain == Some(id) => JobKind::Nop,
            (JobKind::Other, _) if result == JobResult::Done => JobKind::Stop,
            (kind, _) => kind,
        };
        self.job = self.job.filter(|(known, _)| *known != id);
        match (kind, result) {
            (JobKind::Stop, JobResult::Canceled) => self.not_stopped(id),
            (JobKind::Stop, _) => self.went_down(word, seen, Way::Stopped(id)),
            (JobKind::Start, JobResult::Done) => {
                self.came_up(word, seen);
                self.start_job = id;
                self.active = true;
                self.job = None;
            }
            // Over the bus it runs again, in the journal it is down and on its way up.
            (JobKind::Restart | JobKind::TryRestart, JobResult::Done) => {
                self.not_stopped(id);
                self.up = word;
                self.up_seen = seen;
                self.start_job = id;
                self.active = false;
            }
            (JobKind::Start | JobKind::Restart | JobKind::TryRestart, why) if !self.active => {
                self.start_job = id;
                self.went_down(word, seen, Way::NotStarted(why));
            }
            _ => {}
        }
    }

    /// A stop that was called off, or was the first half of a restart, left nothing down.
    fn not_stopped(&mut self, job: JobId) {
        if self.end().is_some_and(|end| end.way == Way::Stopped(job)) {
            self.ends.pop_back();
        }
    }

    fn changed(&mut self, (word, seen): Word, change: &UnitChange) {
        match change.job {
            Some(JobId::NONE) => self.job = None,
            Some(id) if self.job.is_none_or(|(known, _)| known != id) => {
                self.job_begins(id, JobKind::Other);
            }
            Some(_) | None => {}
        }
        let state = change.active.as_deref().unwrap_or_default();
        let sub = change.sub.as_deref().unwrap_or_default();
        if !state.is_empty() {
            self.rests = matches!(state, "inactive" | "failed");
            self.in_vain = self.in_vain.filter(|_| self.rests);
        }
        match state {
            "active" | "reloading" => {
                self.active = true;
                if !self.is_being_stopped() {
                    self.came_up(word, seen);
                }
            }
            "inactive" | "failed" | "deactivating" | "maintenance" => self.ended(word, seen),
            "activating" if sub.starts_with("auto-restart") => self.ended(word, seen),
            _ => {}
        }
    }

    fn ended(&mut self, word: u64, seen: Timestamp) {
        self.active = false;
        if self.is_being_stopped() {
            return;
        }
        self.went_down(word, seen, Way::Ended);
    }

    /// Was it down when word `at` was said, and how had it gone down?
    fn down_at(&self, at: u64) -> Option<End> {
        let before = self.ends.iter().rev().find(|end| end.word < at)?;
        let next = self.ends.iter().find(|end| end.word > before.word);
        let up_again = next.map_or(self.up, |end| end.up);
        let up_before = up_again > before.word && up_again < at;
        (!up_before).then_some(*before)
    }
}

/// What the manager said of all units, as far as it was heard.
#[derive(Clone, Debug, Default)]
pub struct Intents {
    courses: SortedMap<String, Course>,
    words: u64,
}

/// The state of a unit by its name.
pub type Find<'a> = dyn Fn(&str) -> Option<&'a UnitState> + 'a;

impl Intents {
    /// Takes one word in, in the manager's order; one that is heard twice changes nothing.
    pub fn hear(&mut self, event: &ManagerEvent) {
        self.words = self.words.saturating_add(1);
        let word = (self.words, event.seen);
        match &event.what {
            Happening::JobNew { id, unit, kind } => self.course(unit).job_new(word, *id, *kind),
            Happening::JobRemoved {
                id,
                unit,
                kind,
                result,
            } => self.course(unit).job_removed(word, *id, *kind, *result),
            Happening::UnitChanged(change) => {
                self.course(&change.unit).changed(word, change);
            }
            Happening::Signal { unit, signal } if ENDING.contains(&signal.as_str()) => {
                self.course(unit).was_signalled(event.seen);
            }
            // What was not heard is not known.
            Happening::Gap => self.courses.clear(),
            Happening::Signal { .. }
            | Happening::UnitNew(_)
            | Happening::UnitRemoved(_)
            | Happening::Reloading(_)
            | Happening::ManagerState(_) => {}
        }
    }

    fn course(&mut self, unit: &str) -> &mut Course {
        if self.courses.len() >= UNITS_MOST && !self.courses.contains_key(unit) {
            self.make_room();
        }
        self.courses.entry(unit.to_owned()).or_default()
    }

    /// Forgets a unit that is up, or else the one that went down first.
    fn make_room(&mut self) {
        let first = self.courses.iter().min_by_key(|(_, course)| {
            let down = course.end().map(|end| end.word);
            (down.is_some(), down.unwrap_or(course.up))
        });
        if let Some(name) = first.map(|(name, _)| name.clone()) {
            self.courses.remove(&name);
        }
    }

    /// Did a stop job take it down last? Then other units may have caused it.
    pub fn is_stopped(&self, unit: &str) -> bool {
        let end = self.courses.get(unit).and_then(Course::end);
        end.is_some_and(|end| matches!(end.way, Way::Stopped(_)))
    }

    /// As far as it is known nobody wanted this unit's last end.
    pub fn seems_its_own(&self, unit: &str) -> bool {
        let end = self.courses.get(unit).and_then(Course::end);
        end.is_none_or(|end| end.way.is_its_own())
    }

    /// How `unit`, which is not up now, went down. `find` knows what it is bound to.
    pub fn left(&self, unit: &UnitState, find: &Find<'_>) -> Left {
        let course = self.courses.get(&unit.name);
        match course.and_then(Course::end) {
            Some(end) => self.by(unit, end, find, LEVELS_MOST),
            // It is seen to be down before its end is told.
            None if course.is_some_and(|course| course.signalled.is_some()) => {
                Left::OnPurpose(Purpose::Signalled)
            }
            None => Left::Unknown,
        }
    }

    fn by(&self, unit: &UnitState, end: End, find: &Find<'_>, levels: u32) -> Left {
        if let Some(name) = self.known_along(&unit.name, end) {
            return Left::TakenAlong(name);
        }
        match end.way {
            Way::Signalled => Left::OnPurpose(Purpose::Signalled),
            // Only somebody takes a mount or a swap away; one that broke is failed.
            Way::Ended if is_taken_away(&unit.name) && !unit.is_failed() => {
                Left::OnPurpose(Purpose::Unmounted)
            }
            Way::NotStarted(JobResult::Canceled) => Left::OnPurpose(Purpose::CalledOff),
            Way::NotStarted(JobResult::Dependency) => Left::TakenAlong(self.need(unit, end)),
            Way::Ended | Way::NotStarted(_) => Left::ByItself,
            Way::Stopped(job) => match self.cause(unit, job, end) {
                Some((name, above)) if levels > 0 => {
                    let bare = UnitState {
                        name: name.to_owned(),
                        ..UnitState::default()
                    };
                    let other = find(name).unwrap_or(&bare);
                    match self.by(other, above, find, levels.saturating_sub(1)) {
                        // Whoever stopped that one has it running again, and asked for no more.
                        Left::OnPurpose(_) if !self.runs(name) => {
                            Left::OnPurpose(Purpose::With(name.to_owned()))
                        }
                        Left::OnPurpose(_) => Left::TakenAlong(name.to_owned()),
                        Left::ByItself | Left::TakenAlong(_) | Left::Unknown => {
                            Left::TakenAlong(name.to_owned())
                        }
                    }
                }
                _ => self.made_way(unit, job, end),
            },
        }
    }

    /// Keeps that `unit` was taken along: more ends of the other one will follow than are remembered.
    pub fn keep(&mut self, unit: &str, left: &Left) {
        if let (Left::TakenAlong(name), Some(course)) = (left, self.courses.get_mut(unit)) {
            course.along = course.end().map(|end| (end, name.clone()));
        }
    }

    fn known_along(&self, unit: &str, end: End) -> Option<String> {
        let (at, name) = self.courses.get(unit)?.along.as_ref()?;
        (*at == end).then(|| name.clone())
    }

    fn runs(&self, unit: &str) -> bool {
        let course = self.courses.get(unit);
        course.is_some_and(|course| course.active && course.end().is_none())
    }

    /// The unit whose end caused the stop job of `unit`, with that end.
    fn cause<'a>(&self, unit: &'a UnitState, job: JobId, end: End) -> Option<(&'a str, End)> {
        let bound = unit.binds_to.iter().find_map(|name| {
            let above = self.courses.get(name)?.down_at(end.word)?;
            let ended = !matches!(above.way, Way::Stopped(_));
            (ended && above.word > end.up).then_some((name.as_str(), above))
        });
        bound.or_else(|| {
            let above = unit.binds_to.iter().chain(&unit.requires);
            above.chain(&unit.stops_with).find_map(|name| {
                let ends = &self.courses.get(name)?.ends;
                let with = ends.iter().rev().find(|above| match above.way {
                    Way::Stopped(other) => {
                        (end.start_job..job).contains(&other) && above.word > end.up
                    }
                    Way::Ended | Way::Signalled | Way::NotStarted(_) => false,
                })?;
                Some((name.as_str(), *with))
            })
        })
    }

    /// The unit without which `unit` was not started: the one that it needs and that went down last before.
    fn need(&self, unit: &UnitState, end: End) -> String {
        let needs = unit.requires.iter().chain(&unit.binds_to);
        let down = needs.filter_map(|name| {
            let above = self.courses.get(name)?.down_at(end.word)?;
            Some((above.word, name))
        });
        down.max()
            .map_or_else(String::new, |(_, name)| name.clone())
    }

    /// For whom somebody stopped it, if for one that excludes it. When that one's start failed, neither runs, which
    /// nobody wanted: the switch took it along.
    fn made_way(&self, unit: &UnitState, job: JobId, end: End) -> Left {
        let of_this_job = |word: u64, start_job: JobId| {
            word > end.up && (end.start_job..job).contains(&start_job)
        };
        let partners = || {
            let known = |name| Some((name, self.courses.get(name)?));
            unit.excludes.iter().filter_map(known)
        };
        let runs = |other: &Course| other.end().is_none() && of_this_job(other.up, other.start_job);
        if let Some((name, _)) = partners().find(|(_, other)| runs(other)) {
            return Left::OnPurpose(Purpose::For(name.clone()));
        }
        let failed = |other: &Course| {
            let not_started = |at: &End| match at.way {
                Way::NotStarted(why) => why != JobResult::Canceled,
                Way::Ended | Way::Signalled | Way::Stopped(_) => false,
            };
            let mut ends = other.ends.iter();
            let took_it = |at: &End| not_started(at) && of_this_job(at.word, at.start_job);
            other.end().is_some() && ends.any(took_it)
        };
        match partners().find(|(_, other)| failed(other)) {
            Some((name, _)) => Left::TakenAlong(name.clone()),
            None => Left::OnPurpose(Purpose::Stopped),
        }
    }
}

/// Units that do not end: what is mounted stays so until somebody takes it away.
fn is_taken_away(unit: &str) -> bool {
    [".mount", ".swap", ".automount"]
        .iter()
        .any(|kind| unit.ends_with(kind))
}

#[cfg(test)]
mod tests;
