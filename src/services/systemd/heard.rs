//! What was heard of the manager's words, shared by who listens and who asks.

use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::core::model::manager_event::{Happening, JobKind, ManagerEvent};
use crate::core::model::sorted::{SortedMap, SortedSet};
use crate::core::model::time::Timestamp;
use crate::core::model::unit::{Left, Purpose, UnitEnd, UnitState};
use crate::core::reading::intent::Intents;
use crate::services::systemd::words::RUNS_MOST;

/// Ends remembered; on a host with more units down than that the rest is read from the journal alone.
const ENDS_MOST: usize = 1_024;

/// Runs remembered of which all words were heard; the rest is asked for again.
const RUNS_KNOWN_MOST: usize = 4_096;

#[derive(Debug, Default)]
pub struct Hearing {
    memory: Mutex<Memory>,
    /// Runs, by their invocation, of which all words were heard. Held while they are read: who comes meanwhile waits.
    heard_out: Mutex<SortedSet<String>>,
}

#[derive(Debug)]
struct Memory {
    intents: Intents,
    /// Words of the journal up to here were read back: the stream brings them again.
    until: Timestamp,
    /// What was said before is not known: it is to be read back.
    gap: bool,
    /// Ends that were told apart once, each with its time: their words may be gone.
    ends: SortedMap<String, (u64, Left)>,
}

impl Default for Memory {
    fn default() -> Self {
        Self {
            intents: Intents::default(),
            until: Timestamp::from_millis(0),
            gap: true,
            ends: SortedMap::new(),
        }
    }
}

impl Hearing {
    fn memory(&self) -> MutexGuard<'_, Memory> {
        self.memory.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Hears what `read` knows of the last runs of those among `units` that seem to have ended by themselves: that
    /// somebody had them signalled is not told over the bus. Once for each run.
    pub fn hear_out(&self, units: &[UnitState], read: impl Fn(&[&UnitState]) -> Vec<ManagerEvent>) {
        let ended: Vec<&UnitState> = units.iter().filter(|unit| may_be_signalled(unit)).collect();
        if ended.is_empty() {
            return;
        }
        let mut known = self
            .heard_out
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let asks = |unit: &&UnitState| {
            !known.contains(&unit.invocation) && self.memory().intents.seems_its_own(&unit.name)
        };
        let asked: Vec<&UnitState> = ended.into_iter().filter(asks).collect();
        if known.len() > RUNS_KNOWN_MOST {
            known.clear();
        }
        for some in asked.chunks(RUNS_MOST) {
            let mut words = read(some);
            // The rest was told in its own time and order.
            words.retain(|word| matches!(word.what, Happening::Signal { .. }));
            words
                .iter()
                .for_each(|word| self.memory().intents.hear(word));
            known.extend(some.iter().map(|unit| unit.invocation.clone()));
        }
    }

    /// Words as they come.
    pub fn hear(&self, events: &[ManagerEvent]) {
        let mut memory = self.memory();
        for event in events {
            memory.gap |= event.what == Happening::Gap;
            // Somebody wants it up again, whatever comes of that.
            if let Happening::JobNew { unit, kind, .. } | Happening::JobRemoved { unit, kind, .. } =
                &event.what
                && matches!(kind, JobKind::Start | JobKind::Restart)
            {
                memory.ends.remove(unit);
            }
            if event.seen > memory.until || event.what == Happening::Gap {
                memory.intents.hear(event);
            }
        }
    }

    /// All words of this boot up to now, as far as they are still known: in place of what was heard.
    pub fn recall(&self, events: &[ManagerEvent]) {
        let mut intents = Intents::default();
        for event in events {
            intents.hear(event);
        }
        let until = events.last().map(|event| event.seen);
        let mut memory = self.memory();
        memory.intents = intents;
        memory.until = until.unwrap_or(Timestamp::from_millis(0));
        memory.gap = false;
    }

    #[cfg(test)]
    pub fn forget_runs(&self) {
        self.heard_out
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clear();
    }

    pub fn wants_recall(&self) -> bool {
        self.memory().gap
    }

    /// Must other units be known to tell whom this one's stop belongs to?
    pub fn asks_others(&self, unit: &UnitState) -> bool {
        !unit.is_active() && self.memory().intents.is_stopped(&unit.name)
    }

    /// Takes in what was told apart in an earlier life of this program.
    pub fn remember(&self, ends: &[UnitEnd]) {
        let mut memory = self.memory();
        let known = ends.iter().take(ENDS_MOST);
        let known = known.map(|end| (end.unit.clone(), (end.at_us, end.left.clone())));
        memory.ends.extend(known);
    }

    /// All ends that are known now.
    pub fn ends(&self) -> Vec<UnitEnd> {
        let memory = self.memory();
        let ends = memory.ends.iter().map(|(unit, (at_us, left))| UnitEnd {
            unit: unit.clone(),
            at_us: *at_us,
            left: left.clone(),
        });
        ends.collect()
    }

    /// Fills in how each of these left `active`.
    pub fn fill(&self, units: &mut [UnitState]) {
        let mut memory = self.memory();
        let left = {
            let by_name: SortedMap<&str, &UnitState> = units
                .iter()
                .map(|unit| (unit.name.as_str(), unit))
                .collect();
            let find = |name: &str| by_name.get(name).copied();
            let left = units.iter().map(|unit| match unit.is_active() {
                true => Left::Unknown,
                false => memory.intents.left(unit, &find),
            });
            left.collect::<Vec<_>>()
        };
        for (unit, left) in units.iter_mut().zip(left) {
            memory.intents.keep(&unit.name, &left);
            unit.left = memory.told_apart(unit, left);
        }
    }
}

impl Memory {
    /// Keeps what is known of an end, and knows it again when its words are gone.
    fn told_apart(&mut self, unit: &UnitState, left: Left) -> Left {
        let at_us = unit.inactive_enter_us;
        if unit.is_active() || at_us == 0 {
            self.ends.remove(&unit.name);
            return left;
        }
        match self.ends.get(&unit.name) {
            Some((at, known)) if *at == at_us && tells_more(known, &left) => return known.clone(),
            Some(known) if *known == (at_us, left.clone()) => return left,
            Some(_) | None => {}
        }
        if left == Left::Unknown {
            self.ends.remove(&unit.name);
            return stamps(unit);
        }
        if self.ends.len() < ENDS_MOST || self.ends.contains_key(&unit.name) {
            self.ends.insert(unit.name.clone(), (at_us, left.clone()));
        }
        left
    }
}

/// Of one end: no journal has the stop of what had failed before, which the bus told.
const fn tells_more(known: &Left, left: &Left) -> bool {
    matches!(left, Left::Unknown)
        || matches!(
            (known, left),
            (Left::OnPurpose(Purpose::Stopped), Left::ByItself)
        )
}

/// It ran and is down: only services are sent signals by hand.
fn may_be_signalled(unit: &UnitState) -> bool {
    let is_down = unit.is_failed()
        || unit.active_state == "inactive"
        || unit.sub_state.starts_with("auto-restart");
    let is_done = unit.service_type == "oneshot" && !unit.is_failed();
    is_down && !is_done && !unit.invocation.is_empty() && unit.name.ends_with(".service")
}

/// Where no word is known the time stamps count, if they look like a stop.
fn stamps(unit: &UnitState) -> Left {
    if unit.stopped_by_job {
        Left::OnPurpose(Purpose::Stopped)
    } else {
        Left::Unknown
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::core::model::manager_event::{JobId, JobResult, UnitChange};

    fn word(seen_ms: i64, kind: JobKind) -> ManagerEvent {
        ManagerEvent {
            seen: Timestamp::from_millis(seen_ms),
            what: Happening::JobRemoved {
                id: JobId::from_number(u32::try_from(seen_ms).unwrap()),
                unit: "a.service".to_owned(),
                kind,
                result: JobResult::Done,
            },
        }
    }

    fn asked(heard: &Hearing, stamps: bool) -> Left {
        asked_of(heard, stamps, 7)
    }

    /// How the end at `at_us` came about.
    fn asked_of(heard: &Hearing, stamps: bool, at_us: u64) -> Left {
        let mut units = [UnitState {
            name: "a.service".to_owned(),
            active_state: "inactive".to_owned(),
            stopped_by_job: stamps,
            inactive_enter_us: at_us,
            ..UnitState::default()
        }];
        heard.fill(&mut units);
        let [unit] = units;
        unit.left
    }

    #[test]
    fn what_was_read_back_is_not_heard_again() {
        let heard = Hearing::default();
        assert!(heard.wants_recall());
        let story = [word(1, JobKind::Start), word(2, JobKind::Stop)];
        heard.recall(&story);
        heard.hear(&story[..1]);
        assert_eq!(asked(&heard, false), Left::OnPurpose(Purpose::Stopped));
        heard.hear(&[word(3, JobKind::Start)]);
        assert_eq!(asked_of(&heard, false, 8), Left::Unknown);
    }

    #[test]
    fn after_a_gap_it_is_to_be_read_back() {
        let heard = Hearing::default();
        heard.recall(&[word(1, JobKind::Stop)]);
        assert!(!heard.wants_recall());
        heard.hear(&[ManagerEvent {
            seen: Timestamp::from_millis(1),
            what: Happening::Gap,
        }]);
        assert!(heard.wants_recall());
        assert_eq!(asked(&heard, false), Left::Unknown);
    }

    #[test]
    fn an_end_that_was_told_apart_is_known_again_when_its_words_are_gone() {
        let heard = Hearing::default();
        heard.recall(&[word(1, JobKind::Stop)]);
        assert_eq!(asked(&heard, false), Left::OnPurpose(Purpose::Stopped));
        let ends = heard.ends();
        let later = Hearing::default();
        later.remember(&ends);
        later.recall(&[]);
        assert_eq!(asked(&later, false), Left::OnPurpose(Purpose::Stopped));
        assert_eq!(later.ends(), ends);
        let of_another_end = UnitEnd {
            at_us: 6,
            ..ends.into_iter().next().unwrap()
        };
        let later = Hearing::default();
        later.remember(&[of_another_end]);
        assert_eq!(asked(&later, false), Left::Unknown);
    }

    #[test]
    fn time_stamps_count_only_where_no_word_is_known() {
        let heard = Hearing::default();
        assert_eq!(asked(&heard, true), Left::OnPurpose(Purpose::Stopped));
        heard.recall(&[ManagerEvent {
            seen: Timestamp::from_millis(1),
            what: Happening::UnitChanged(failed()),
        }]);
        assert_eq!(asked(&heard, true), Left::ByItself);
    }

    fn failed() -> UnitChange {
        UnitChange {
            unit: "a.service".to_owned(),
            active: Some("failed".to_owned()),
            ..UnitChange::default()
        }
    }

    /// The journal tells of the failure alone.
    #[test]
    fn a_stop_of_what_had_failed_is_known_after_a_restart_until_it_is_started() {
        let fails = ManagerEvent {
            seen: Timestamp::from_millis(1),
            what: Happening::UnitChanged(failed()),
        };
        let heard = Hearing::default();
        heard.recall(std::slice::from_ref(&fails));
        assert_eq!(asked(&heard, false), Left::ByItself);
        heard.hear(&[word(2, JobKind::Stop)]);
        assert_eq!(asked(&heard, false), Left::OnPurpose(Purpose::Stopped));
        let later = Hearing::default();
        later.remember(&heard.ends());
        later.recall(&[fails]);
        assert_eq!(asked(&later, false), Left::OnPurpose(Purpose::Stopped));
        later.hear(&[word(3, JobKind::Start)]);
        assert_ne!(asked(&later, false), Left::OnPurpose(Purpose::Stopped));
    }
}
