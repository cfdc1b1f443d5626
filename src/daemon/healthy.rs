//! Keeps the record of what is healthy: when units are looked at for it, and when what was seen is written.

use std::collections::{BTreeMap, VecDeque};
use std::time::{Duration, Instant};

use crate::core::model::action::ActionKind;
use crate::core::model::class::Class;
use crate::core::model::healthy::{HealthyUnit, HealthyUnits};
use crate::core::model::time::Timestamp;
use crate::core::model::unit::UnitState;
use crate::core::reading::journal_entry::OWN_NAME;
use crate::daemon::Runtime;
use crate::host::clock::end_after;
use crate::services::census::{self, Census, Listening};
use crate::store::{Reader, StoreError};

/// All units are looked at this often.
const EVERY: Duration = Duration::from_secs(60);
/// A service that has just started opens its ports and begins its workers within this time.
const SETTLING: Duration = Duration::from_secs(30);
/// Commits in an hour, each some 16 KiB on the medium: what a host changes all the time is written with the next one.
const COMMITS_AN_HOUR: usize = 30;
/// Time that one look gives to new files, whose content is read; the rest comes with the next one.
const LOOK_MOST: Duration = Duration::from_secs(1);
const HOUR: Duration = Duration::from_secs(3_600);

/// What was noted, and when it was written.
#[derive(Debug, Default)]
pub struct Notes {
    known: HealthyUnits,
    read: bool,
    due: Option<Timestamp>,
    /// Each unit's main process, and since when it was seen to be that.
    mains: BTreeMap<String, (u32, Timestamp)>,
    listening: Listening,
    /// What waits to be written.
    unwritten: BTreeMap<String, HealthyUnit>,
    commits: VecDeque<Timestamp>,
}

impl Notes {
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

    /// Looks at those of `units` that are well and due, and writes what changed.
    pub fn keep(
        &mut self,
        runtime: &Runtime,
        units: &[UnitState],
        now: Timestamp,
    ) -> Result<(), StoreError> {
        self.known(&runtime.store.reader()?)?;
        let well: Vec<&UnitState> = units.iter().filter(|unit| is_well(unit)).collect();
        self.mains
            .retain(|name, _| well.iter().any(|unit| unit.name == *name));
        let all = self.due.is_none_or(|due| due <= now);
        let looked: Vec<&UnitState> = well
            .into_iter()
            .filter(|unit| self.is_settling(unit, now) || all)
            .collect();
        let whole = looked.is_empty() || self.look(runtime, &looked);
        if all {
            self.due = Some(if whole { now.plus(EVERY) } else { now });
        }
        self.write(runtime, now)
    }

    /// Has it a new main process, or had one a short while ago?
    fn is_settling(&mut self, unit: &UnitState, now: Timestamp) -> bool {
        let entry = self
            .mains
            .entry(unit.name.clone())
            .or_insert((unit.main_pid, now));
        if entry.0 != unit.main_pid {
            *entry = (unit.main_pid, now);
        }
        now.since(entry.1) < SETTLING
    }

    /// False when its time was over before all were looked at: what is known already takes none.
    fn look(&mut self, runtime: &Runtime, units: &[&UnitState]) -> bool {
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
            let before = self.known.of(&unit.name);
            let seen = census::record(host, &census, &self.listening, unit, before);
            if before != Some(&seen) {
                self.known.insert(unit.name.clone(), seen.clone());
                self.unwritten.insert(unit.name.clone(), seen);
            }
        }
        true
    }

    fn write(&mut self, runtime: &Runtime, now: Timestamp) -> Result<(), StoreError> {
        while self
            .commits
            .front()
            .is_some_and(|at| now.since(*at) >= HOUR)
        {
            self.commits.pop_front();
        }
        if self.unwritten.is_empty() || self.commits.len() >= COMMITS_AN_HOUR {
            return Ok(());
        }
        self.commits.push_back(now);
        self.flush(runtime, now)
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
    const LEAN: [Class; 3] = [
        Class::PortConflict,
        Class::StaleProcess,
        Class::InvalidUnitPath,
    ];
    known_if(LEAN.contains(&class), reader)
}

/// What an action of a kind leans on.
pub fn known_for(kind: ActionKind, reader: &Reader) -> Result<HealthyUnits, StoreError> {
    known_if(kind == ActionKind::TerminateProcess, reader)
}

fn known_if(leans: bool, reader: &Reader) -> Result<HealthyUnits, StoreError> {
    match leans {
        true => reader.healthy_units(),
        false => Ok(HealthyUnits::default()),
    }
}
