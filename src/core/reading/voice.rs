//! Which service used to write to its log again and again, and has gone silent against its own habit. Pure.

use std::time::Duration;

use crate::core::model::sorted::SortedMap;
use crate::core::model::time::Timestamp;

/// Units that are listened to; of more, those that were heard last.
const UNITS_MOST: usize = 128;
/// A week holds each day of it: before that no silence is against a habit.
const KNOWN_AFTER: Duration = Duration::from_secs(8 * 86_400);
/// Who was ever silent for longer than this does not write out of habit.
const PAUSE_MOST: Duration = Duration::from_secs(6 * 3_600);
/// A silence counts that is so many times as long as the longest before, and at least so long.
const LONGER: u32 = 4;
const SILENCE_LEAST: Duration = Duration::from_secs(3_600);
/// The log as a whole must have gone on: who is silent together with all others is not to blame.
const ANY_WITHIN: Duration = Duration::from_secs(600);

/// One unit's lines, of which only the times matter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Voice {
    since: Timestamp,
    last: Timestamp,
    /// The longest time between two lines.
    pause: Duration,
}

/// A unit that has gone silent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SilentUnit {
    pub unit: String,
    /// When it was last heard.
    pub last: Timestamp,
    /// Its longest silence before.
    pub pause: Duration,
}

/// All units that were heard since this program runs. A restart begins anew: nothing is judged for a week.
#[derive(Debug, Default)]
pub struct Voices {
    units: SortedMap<String, Voice>,
    any: Timestamp,
}

impl Voices {
    /// `unit` wrote one line or more.
    pub fn hear(&mut self, unit: &str, now: Timestamp) {
        self.any = now;
        if let Some(voice) = self.units.get_mut(unit) {
            voice.pause = voice.pause.max(now.since(voice.last));
            voice.last = now;
            return;
        }
        if self.units.len() >= UNITS_MOST {
            let longest = self.units.iter().min_by_key(|(_, voice)| voice.last);
            let longest = longest.map(|(unit, _)| unit.clone());
            longest.map(|unit| self.units.remove(&unit));
        }
        let voice = Voice {
            since: now,
            last: now,
            pause: Duration::ZERO,
        };
        self.units.insert(unit.to_owned(), voice);
    }

    /// Those that are silent against their habit.
    pub fn silent(&self, now: Timestamp) -> Vec<SilentUnit> {
        let all = self.units.iter();
        let silent = all.filter(|(_, voice)| {
            let least = voice.pause.saturating_mul(LONGER).max(SILENCE_LEAST);
            voice.last.since(voice.since) >= KNOWN_AFTER
                && voice.pause <= PAUSE_MOST
                && now.since(voice.last) >= least
                && now.since(self.any) <= ANY_WITHIN
        });
        let told = silent.map(|(unit, voice)| SilentUnit {
            unit: unit.clone(),
            last: voice.last,
            pause: voice.pause,
        });
        told.collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: Duration = Duration::from_secs(3_600);

    fn hour(n: u32) -> Timestamp {
        Timestamp::from_millis(1_800_000_000_000).plus(HOUR * n)
    }

    /// `meter` writes at each of these hours, `clock` every hour until `end`.
    fn heard(hours: impl Iterator<Item = u32>, end: u32) -> Vec<String> {
        let mut voices = Voices::default();
        let meter: Vec<u32> = hours.collect();
        for n in 0..=end {
            voices.hear("clock", hour(n));
            if meter.contains(&n) {
                voices.hear("meter", hour(n));
            }
        }
        let silent = voices.silent(hour(end)).into_iter();
        silent.map(|one| one.unit).collect()
    }

    #[test]
    fn who_wrote_every_hour_for_a_week_and_then_no_more_is_silent() {
        assert!(heard(0..200, 202).is_empty());
        assert_eq!(heard(0..200, 203), ["meter"]);
    }

    #[test]
    fn who_is_not_known_for_a_week_or_was_silent_as_long_before_is_not() {
        assert!(heard(0..100, 150).is_empty(), "not known yet");
        assert!(heard((0..200).step_by(5), 210).is_empty(), "its pauses");
        assert!(
            heard((0..200).step_by(8), 400).is_empty(),
            "no habit of writing"
        );
    }

    #[test]
    fn a_log_in_which_nobody_writes_says_nothing() {
        let mut voices = Voices::default();
        for n in 0..200 {
            voices.hear("meter", hour(n));
        }
        assert!(voices.silent(hour(250)).is_empty());
        voices.hear("clock", hour(250));
        assert_eq!(voices.silent(hour(250)).len(), 1);
    }

    #[test]
    fn of_too_many_those_stay_that_were_heard_last() {
        let mut voices = Voices::default();
        for n in 0..300 {
            voices.hear(&n.to_string(), hour(n));
        }
        assert_eq!(voices.units.len(), UNITS_MOST);
        assert!(voices.units.contains_key("299") && !voices.units.contains_key("0"));
    }
}
