//! Crashes that are minutes apart and never end: found by their count over a day, where their rate says nothing. Pure.

use std::time::Duration;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;

use crate::core::config::Detect;
use crate::core::model::time::Timestamp;
use crate::core::model::unit::UnitState;

const DAY: Duration = Duration::from_secs(24 * 3_600);
/// So many usual intervals without a crash: it is over.
const OVER_AFTER: u32 = 3;

fn part(span: Duration, of: u32) -> Duration {
    span.checked_div(of).unwrap_or(span)
}

/// What makes crashes a slow loop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pace {
    /// Crashes within this time are the business of the rate, and count as one.
    burst: Duration,
    /// As long as the rate would be watched before a human hears of it.
    lasting: Duration,
    /// Spread over a day, so many are a loop.
    a_day: u32,
}

impl Pace {
    pub fn of(detect: &Detect) -> Self {
        let window = Duration::from_secs(detect.flap_window_s);
        Self {
            burst: part(window, detect.flap_restarts),
            lasting: window.saturating_mul(2),
            a_day: detect.flap_per_day.max(2),
        }
    }

    /// A longer pause than this begins a new loop.
    fn pause_most(self) -> Duration {
        part(DAY, self.a_day)
    }
}

/// Crashes of one unit, each not too long after the one before.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct CrashLoop {
    first_ms: i64,
    last_ms: i64,
    /// Of those that do not count as one with the one before: the last, and how many.
    apart_ms: i64,
    apart: u32,
    crashes: u32,
}

/// By hand: derived it took 2 KB of the binary.
impl<'de> Deserialize<'de> for CrashLoop {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let whole = Value::deserialize(from)?;
        let part = |name: &str| {
            let number = whole.get(name).and_then(Value::as_i64);
            number.ok_or_else(|| D::Error::custom("a part of a crash loop is missing"))
        };
        let count = |name: &str| Ok(u32::try_from(part(name)?).unwrap_or(u32::MAX));
        Ok(Self {
            first_ms: part("first_ms")?,
            last_ms: part("last_ms")?,
            apart_ms: part("apart_ms")?,
            apart: count("apart")?,
            crashes: count("crashes")?,
        })
    }
}

impl CrashLoop {
    fn first(&self) -> Timestamp {
        Timestamp::from_millis(self.first_ms)
    }

    pub fn last(&self) -> Timestamp {
        Timestamp::from_millis(self.last_ms)
    }

    /// Takes in `crashes` that were seen at `now`.
    pub fn see(&mut self, crashes: u32, pace: Pace, now: Timestamp) {
        if crashes == 0 {
            return;
        }
        if self.is_past(pace, now) {
            *self = Self::default();
        }
        let at = now.as_millis();
        if self.crashes == 0 {
            (self.first_ms, self.apart_ms, self.apart) = (at, at, 1);
        } else if now.since(Timestamp::from_millis(self.apart_ms)) >= pace.burst {
            (self.apart_ms, self.apart) = (at, self.apart.saturating_add(1));
        }
        self.last_ms = at;
        self.crashes = self.crashes.saturating_add(crashes);
    }

    /// Too long ago to be one with what comes next.
    fn is_past(&self, pace: Pace, now: Timestamp) -> bool {
        self.crashes == 0 || now.since(self.last()) > pace.pause_most()
    }

    /// Was a crash seen at all?
    pub const fn any(&self) -> bool {
        self.crashes > 0
    }

    /// The loop, where it is one and goes on.
    pub fn judge(&self, pace: Pace, now: Timestamp) -> Option<Crashing> {
        let span = self.last().since(self.first());
        if self.apart < pace.a_day || span < pace.lasting {
            return None;
        }
        let every = span.checked_div(self.crashes.saturating_sub(1))?;
        let usual = every.saturating_mul(OVER_AFTER).max(part(pace.lasting, 2));
        let goes_on = now.since(self.last()) <= usual.min(pace.pause_most());
        goes_on.then_some(Crashing {
            times: self.crashes,
            span,
            every,
        })
    }
}

/// A slow crash loop as it is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Crashing {
    pub times: u32,
    /// From the first to the last.
    pub span: Duration,
    pub every: Duration,
}

/// True when a unit that is down ended as it was meant to: its manager's next start is no sign of a crash. A plain
/// service has no time limit to start in: what ended it was the limit of its run.
pub fn ended_as_meant(unit: &UnitState) -> bool {
    let plain = matches!(unit.service_type.as_str(), "simple" | "exec" | "idle");
    unit.result == "success" || (unit.result == "timeout" && plain)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::config::Config;

    const MINUTE: u64 = 60;
    const HOUR: u64 = 60 * MINUTE;

    fn pace() -> Pace {
        Pace::of(&Config::default().detect)
    }

    fn at(seconds: u64) -> Timestamp {
        Timestamp::from_millis(0).plus(Duration::from_secs(seconds))
    }

    /// `(first, pause, how many)`: crashes at an even pace.
    fn after(parts: &[(u64, u64, u64)]) -> CrashLoop {
        let mut crashes = CrashLoop::default();
        for (first, pause, many) in parts {
            for nth in 0..*many {
                crashes.see(1, pace(), at(first + pause * nth));
            }
        }
        crashes
    }

    #[test]
    fn only_what_goes_on_for_ever_is_a_loop() {
        type Row = (&'static str, &'static [(u64, u64, u64)], u64, Option<u64>);
        let rows: [Row; 10] = [
            ("no crash", &[], 0, None),
            (
                "every four minutes",
                &[(0, 4 * MINUTE, 8)],
                28 * MINUTE,
                Some(8),
            ),
            ("one fewer", &[(0, 4 * MINUTE, 7)], 24 * MINUTE, None),
            ("every two hours", &[(0, 2 * HOUR, 8)], 14 * HOUR, Some(8)),
            (
                "once a day, for weeks",
                &[(0, 24 * HOUR, 30)],
                29 * 24 * HOUR,
                None,
            ),
            ("every four hours", &[(0, 4 * HOUR, 30)], 116 * HOUR, None),
            ("a burst", &[(0, 1, 100)], 100, None),
            (
                "a burst each day",
                &[(0, 1, 100), (24 * HOUR, 1, 100), (48 * HOUR, 1, 100)],
                48 * HOUR + 100,
                None,
            ),
            (
                "faster than the rate, and long",
                &[(0, MINUTE, 25)],
                24 * MINUTE,
                Some(25),
            ),
            ("long over", &[(0, 4 * MINUTE, 8)], 48 * MINUTE, None),
        ];
        for (name, parts, now, want) in rows {
            let found = after(parts).judge(pace(), at(now));
            let times = found.map(|found| u64::from(found.times));
            assert_eq!(times, want, "{name}");
        }
    }

    #[test]
    fn it_is_told_with_its_count_and_its_interval() {
        let found = after(&[(0, 4 * MINUTE, 16)]).judge(pace(), at(HOUR));
        let want = Crashing {
            times: 16,
            span: Duration::from_secs(HOUR),
            every: Duration::from_secs(4 * MINUTE),
        };
        assert_eq!(found, Some(want));
    }

    #[test]
    fn a_pause_begins_a_new_loop() {
        let crashes = after(&[(0, 4 * MINUTE, 7), (12 * HOUR, 4 * MINUTE, 7)]);
        assert_eq!(crashes.judge(pace(), at(12 * HOUR + 24 * MINUTE)), None);
    }

    #[test]
    fn many_at_one_look_are_counted_and_are_one_sight() {
        let mut crashes = after(&[(0, 4 * MINUTE, 7)]);
        crashes.see(30, pace(), at(3 * HOUR));
        let times = crashes.judge(pace(), at(3 * HOUR)).map(|found| found.times);
        assert_eq!(times, Some(37));
    }

    #[test]
    fn an_end_that_was_meant_is_no_crash() {
        for (result, service_type, want) in [
            ("success", "simple", true),
            ("timeout", "simple", true),
            ("timeout", "notify", false),
            ("exit-code", "simple", false),
            ("signal", "simple", false),
            ("watchdog", "simple", false),
            ("", "simple", false),
        ] {
            let unit = UnitState {
                result: result.to_owned(),
                service_type: service_type.to_owned(),
                ..UnitState::default()
            };
            assert_eq!(ended_as_meant(&unit), want, "{result} {service_type}");
        }
    }
}
