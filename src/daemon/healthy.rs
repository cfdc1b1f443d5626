//! Keeps the record of what is healthy: when units are looked at for it, and when what was seen is written.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use crate::core::model::action::ActionKind;
use crate::core::model::class::{Class, ToldBy};
use crate::core::model::healthy::{HealthyUnit, HealthyUnits};
use crate::core::model::sorted::SortedMap;
use crate::core::model::time::Timestamp;
use crate::core::model::unit::UnitState;
use crate::core::reading::journal_entry::OWN_NAME;
use crate::daemon::runtime::Runtime;
use crate::host::clock::end_after;
use crate::services::census::{self, Census, ListeningProcesses};
use crate::store::{Reader, StoreError};

/// All units are looked at this often.
const EVERY: Duration = Duration::from_secs(60);
/// A service that has just started opens its ports and begins its workers: so long after its start it is looked at.
const LOOKS: [Duration; 7] = [
    Duration::ZERO,
    Duration::from_secs(1),
    Duration::from_secs(2),
    Duration::from_secs(4),
    Duration::from_secs(8),
    Duration::from_secs(15),
    Duration::from_secs(30),
];
/// What a host changes all the time is written this often at most, each commit some 16 KiB on the medium.
const ROUTINE_EVERY: Duration = Duration::from_secs(120);
/// Commits in an hour for what is new; more of it waits as what is routine does.
const NEWS_MOST: usize = 120;
/// Time that one look gives to new files, whose content is read; the rest comes with the next one.
const LOOK_MOST: Duration = Duration::from_secs(1);
const HOUR: Duration = Duration::from_secs(3_600);

/// What was noted, and when it was written.
#[derive(Debug, Default)]
pub struct HealthyNotes {
    known: HealthyUnits,
    read: bool,
    due: Option<Timestamp>,
    /// How each unit that is well began.
    begun: SortedMap<String, Begun>,
    listening: ListeningProcesses,
    /// What waits to be written.
    unwritten: SortedMap<String, HealthyUnit>,
    /// Something new is among it.
    has_news: bool,
    pace: Pace,
}

/// A unit's main process, since when it was seen to be that, and how many of its first looks it had.
#[derive(Debug)]
struct Begun {
    main_pid: u32,
    since: Timestamp,
    looks: usize,
}

impl Begun {
    fn next_look(&self) -> Option<Timestamp> {
        let after = LOOKS.get(self.looks)?;
        Some(self.since.plus(*after))
    }

    fn is_due(&self, now: Timestamp) -> bool {
        self.next_look().is_some_and(|at| at <= now)
    }

    /// True when it was one of the first looks.
    fn looked(&mut self, now: Timestamp) -> bool {
        let before = self.looks;
        while self.is_due(now) {
            self.looks = self.looks.saturating_add(1);
        }
        self.looks > before
    }
}

/// When a commit may be made: for what is new at once, else now and then.
#[derive(Debug, Default)]
struct Pace {
    commits: VecDeque<Timestamp>,
}

impl Pace {
    fn allows(&mut self, news: bool, now: Timestamp) -> bool {
        let is_past = |at: &Timestamp| now.since(*at) >= HOUR;
        while self.commits.front().is_some_and(is_past) {
            self.commits.pop_front();
        }
        let last = self.commits.back();
        let is_time = last.is_none_or(|at| now.since(*at) >= ROUTINE_EVERY);
        let allowed = is_time || news && self.commits.len() < NEWS_MOST;
        if allowed {
            self.commits.push_back(now);
        }
        allowed
    }
}

impl HealthyNotes {
    /// What is known of the units, from before this start too.
    pub fn known(&mut self, reader: &Reader) -> Result<&HealthyUnits, StoreError> {
        if !self.read {
            self.known = reader.healthy_units()?;
            self.read = true;
        }
        Ok(&self.known)
    }

    /// Nothing was looked at since this start.
    pub const fn is_new(&self) -> bool {
        self.due.is_none()
    }

    /// When a unit that began a short while ago is to be looked at again.
    pub fn next_look(&self) -> Option<Timestamp> {
        self.begun.values().filter_map(Begun::next_look).min()
    }

    /// Looks at those of `units` that are well and due, and writes what changed.
    pub fn keep(
        &mut self,
        runtime: &Runtime,
        units: &[UnitState],
        now: Timestamp,
    ) -> Result<(), StoreError> {
        self.known(&runtime.store.reader()?)?;
        let well: Vec<&UnitState> = units.iter().filter(|unit| is_well(unit)).collect();
        self.begun
            .retain(|name, _| well.iter().any(|unit| unit.name == *name));
        let all = self.due.is_none_or(|due| due <= now);
        let looked: Vec<&UnitState> = well
            .into_iter()
            .filter(|unit| self.begin(unit, now).is_due(now) || all)
            .collect();
        let whole = looked.is_empty() || self.look(runtime, &looked, now);
        if all {
            self.due = Some(if whole { now.plus(EVERY) } else { now });
        }
        let waits = !self.unwritten.is_empty();
        if waits && self.pace.allows(self.has_news, now) {
            self.flush(runtime, now)?;
        }
        Ok(())
    }

    /// How it began; anew with another main process.
    fn begin(&mut self, unit: &UnitState, now: Timestamp) -> &Begun {
        let begun = || Begun {
            main_pid: unit.main_pid,
            since: now,
            looks: 0,
        };
        let entry = self.begun.entry(unit.name.clone()).or_insert_with(begun);
        if entry.main_pid != unit.main_pid {
            *entry = begun();
        }
        entry
    }

    /// False when its time was over before all were looked at: what is known already takes none.
    fn look(&mut self, runtime: &Runtime, units: &[&UnitState], now: Timestamp) -> bool {
        let end = end_after(LOOK_MOST);
        let host = &runtime.host;
        let census = Census::take(host);
        if let Err(why) = self.listening.refresh(host, &census) {
            log::debug!("who listens where: {why}");
        }
        for unit in units {
            if Instant::now() >= end {
                return false;
            }
            let begun = self.begun.get_mut(&unit.name);
            let is_first = begun.is_some_and(|begun| begun.looked(now));
            // It ended since its state was read: what is gone was not well.
            if !census.runs(unit) {
                continue;
            }
            let before = self.known.of(&unit.name);
            let seen = census::record(host, &census, &self.listening, unit, before);
            if before != Some(&seen) {
                self.has_news |= is_first || seen.is_news_after(before);
                self.known.insert(unit.name.clone(), seen.clone());
                self.unwritten.insert(unit.name.clone(), seen);
            }
        }
        true
    }

    /// Writes what waits: a stop must not lose it.
    pub fn flush(&mut self, runtime: &Runtime, now: Timestamp) -> Result<(), StoreError> {
        let changed = self
            .unwritten
            .iter()
            .map(|(unit, record)| (unit.clone(), record.clone()))
            .collect();
        runtime.store.note_healthy(changed, now)?;
        self.unwritten.clear();
        self.has_news = false;
        Ok(())
    }
}

/// It runs, is somebody's to keep, and not this program.
fn is_well(unit: &UnitState) -> bool {
    let kind = unit
        .name
        .rsplit_once('.')
        .map_or("service", |(_, kind)| kind);
    let is_service =
        kind == "service" || unit.control_group.is_empty() && unit.fragment_path.is_empty();
    unit.is_active() && is_service && !unit.name.starts_with(OWN_NAME)
}

/// What a look for a class of findings leans on.
pub fn known_to(class: Class, reader: &Reader) -> Result<HealthyUnits, StoreError> {
    let leans = match class.row().told_by {
        ToldBy::Holder | ToldBy::Process | ToldBy::Setting => true,
        ToldBy::Words | ToldBy::UnitState | ToldBy::ContainerState | ToldBy::Stage => false,
    };
    known_if(leans, reader)
}

/// What an action of a kind leans on.
pub fn known_for(kind: ActionKind, reader: &Reader) -> Result<HealthyUnits, StoreError> {
    known_if(kind.leans_on_healthy_units(), reader)
}

fn known_if(leans: bool, reader: &Reader) -> Result<HealthyUnits, StoreError> {
    match leans {
        true => reader.healthy_units(),
        false => Ok(HealthyUnits::default()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: i64 = 1_000;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_millis(seconds * SECOND)
    }

    #[test]
    fn a_unit_is_looked_at_as_it_begins_and_until_it_has_settled() {
        let mut begun = Begun {
            main_pid: 7,
            since: at(100),
            looks: 0,
        };
        for (now, due) in [
            (100, true),
            (100, false),
            (101, true),
            (104, true),
            (107, false),
            (112, true),
            (114, false),
            (129, true),
            (130, true),
            (3_000, false),
        ] {
            assert_eq!(begun.looked(at(now)), due, "{now}");
        }
        assert_eq!(begun.next_look(), None);
    }

    #[test]
    fn what_is_new_is_written_at_once_however_much_else_was_written() {
        let mut pace = Pace::default();
        assert!(pace.allows(false, at(0)));
        assert!(!pace.allows(false, at(119)));
        assert!(pace.allows(true, at(119)), "something new");
        assert!(!pace.allows(false, at(230)), "since that");
        let routine = (240..7_440).filter(|now| pace.allows(false, at(*now)));
        assert_eq!(routine.count(), 60, "thirty an hour");
    }

    #[test]
    fn a_storm_of_new_units_is_written_as_routine_when_it_has_had_its_share() {
        let mut pace = Pace::default();
        let commits = (0..600).filter(|now| pace.allows(true, at(*now))).count();
        assert_eq!(commits, NEWS_MOST + 4);
    }
}
