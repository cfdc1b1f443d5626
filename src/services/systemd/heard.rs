//! What was heard of the manager's words, shared by who listens and who asks.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::core::model::manager_event::{Happening, ManagerEvent};
use crate::core::model::time::Timestamp;
use crate::core::model::unit::{Left, Purpose, UnitState};
use crate::core::reading::intent::{Find, Intents};

#[derive(Debug)]
pub struct Heard(Mutex<Memory>);

#[derive(Debug)]
struct Memory {
    intents: Intents,
    /// Words of the journal up to here were read back: the stream brings them again.
    until: Timestamp,
    /// What was said before is not known: it is to be read back.
    gap: bool,
}

impl Default for Heard {
    fn default() -> Self {
        Self(Mutex::new(Memory {
            intents: Intents::default(),
            until: Timestamp::from_millis(0),
            gap: true,
        }))
    }
}

impl Heard {
    fn memory(&self) -> MutexGuard<'_, Memory> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Words as they come.
    pub fn hear(&self, events: &[ManagerEvent]) {
        let mut memory = self.memory();
        for event in events {
            memory.gap |= event.what == Happening::Gap;
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
        *self.memory() = Memory {
            intents,
            until: until.unwrap_or(Timestamp::from_millis(0)),
            gap: false,
        };
    }

    pub fn wants_recall(&self) -> bool {
        self.memory().gap
    }

    /// Must other units be known to tell whom this one's stop belongs to?
    pub fn asks_others(&self, unit: &UnitState) -> bool {
        !unit.is_active() && self.memory().intents.is_stopped(&unit.name)
    }

    /// Fills in how each of these left `active`.
    pub fn fill(&self, units: &mut [UnitState]) {
        let left = {
            let memory = self.memory();
            let by_name: BTreeMap<&str, &UnitState> = units
                .iter()
                .map(|unit| (unit.name.as_str(), unit))
                .collect();
            let find = |name: &str| by_name.get(name).copied();
            let left = units.iter().map(|unit| match unit.is_active() {
                true => Left::Unknown,
                false => left(&memory.intents, unit, &find),
            });
            left.collect::<Vec<_>>()
        };
        for (unit, left) in units.iter_mut().zip(left) {
            unit.left = left;
        }
    }
}

/// The words, and where there are none the time stamps, if they look like a stop.
fn left(intents: &Intents, unit: &UnitState, find: &Find<'_>) -> Left {
    let left = intents.left(unit, find);
    if left == Left::Unknown && unit.stopped_by_job {
        return Left::OnPurpose(Purpose::Stopped);
    }
    left
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::core::model::manager_event::{JobKind, JobResult};

    fn word(seen_ms: i64, kind: JobKind) -> ManagerEvent {
        ManagerEvent {
            seen: Timestamp::from_millis(seen_ms),
            what: Happening::JobRemoved {
                id: u32::try_from(seen_ms).unwrap(),
                unit: "a.service".to_owned(),
                kind,
                result: JobResult::Done,
            },
        }
    }

    fn asked(heard: &Heard, stamps: bool) -> Left {
        let mut units = [UnitState {
            name: "a.service".to_owned(),
            active_state: "inactive".to_owned(),
            stopped_by_job: stamps,
            ..UnitState::default()
        }];
        heard.fill(&mut units);
        let [unit] = units;
        unit.left
    }

    #[test]
    fn what_was_read_back_is_not_heard_again() {
        let heard = Heard::default();
        assert!(heard.wants_recall());
        let story = [word(1, JobKind::Start), word(2, JobKind::Stop)];
        heard.recall(&story);
        heard.hear(&story[..1]);
        assert_eq!(asked(&heard, false), Left::OnPurpose(Purpose::Stopped));
        heard.hear(&[word(3, JobKind::Start)]);
        assert_eq!(asked(&heard, false), Left::Unknown);
    }

    #[test]
    fn after_a_gap_it_is_to_be_read_back() {
        let heard = Heard::default();
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
    fn time_stamps_count_only_where_no_word_is_known() {
        let heard = Heard::default();
        assert_eq!(asked(&heard, true), Left::OnPurpose(Purpose::Stopped));
        heard.recall(&[ManagerEvent {
            seen: Timestamp::from_millis(1),
            what: Happening::UnitChanged(crate::core::model::manager_event::UnitChange {
                unit: "a.service".to_owned(),
                active: Some("failed".to_owned()),
                ..Default::default()
            }),
        }]);
        assert_eq!(asked(&heard, true), Left::ByItself);
    }
}
