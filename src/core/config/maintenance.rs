//! Maintenance windows: times at which nothing is repaired, because people work on the box.

use crate::core::config::ConfigError;
use crate::core::config::settings::section;
use crate::core::model::time::Timestamp;

section! {
    /// `[[maintenance]]`: from one minute of the day to another.
    pub Maintenance {
        /// `HH:MM`.
        from: String = String::new(),
        /// `HH:MM`; before `from` it is on the next day.
        to: String = String::new(),
        /// Times and days by this host's clock on the wall; else UTC.
        local: bool = false,
        /// `mon` to `sun`, the days on which it begins; empty = every day.
        days: Vec<String> = Vec::new(),
        /// Units, other subjects and classes that are left alone then; empty: nothing is repaired on the whole host.
        only: Vec<String> = Vec::new(),
        /// Shown where an action waits.
        reason: String = String::new(),
    }
}

/// A maintenance window that is open now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OpenWindow {
    pub until: Timestamp,
    /// Until when and why, for humans.
    pub text: String,
}

const DAYS: [&str; 7] = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];
const MINUTE_MS: i64 = 60_000;
const DAY_MINUTES: i64 = 24 * 60;

/// Minutes since midnight.
fn minutes(text: &str) -> Option<i64> {
    let (hours, minutes) = text.split_once(':')?;
    let (hours, minutes): (i64, i64) = (hours.parse().ok()?, minutes.parse().ok()?);
    ((0..24).contains(&hours) && (0..60).contains(&minutes)).then_some(hours * 60 + minutes)
}

impl Maintenance {
    /// What is wrong with the window that stands at `key`.
    pub(super) fn mistake(&self, key: String) -> Option<ConfigError> {
        let known = |day: &String| DAYS.contains(&day.as_str());
        let times = minutes(&self.from).zip(minutes(&self.to));
        let nothing = |name: &String| name.trim().is_empty() || name == "*";
        if self.only.iter().any(nothing) {
            let what = "maintenance: `only` names units, subjects or classes; leave it out for the whole host";
            return Some(ConfigError::of(key, what));
        }
        let wrong = times.is_none_or(|(from, to)| from == to) || !self.days.iter().all(known);
        wrong.then(|| {
            let what = format!(
                "maintenance '{}' to '{}': needs two different times as HH:MM, and days as mon to sun",
                self.from, self.to
            );
            ConfigError::of(key, what)
        })
    }

    /// Why nothing is repaired at `now` and until when, while the window is open; `ahead_s` is how far this host's clock
    /// on the wall is ahead of UTC.
    pub fn open_at(&self, now: Timestamp, ahead_s: i64) -> Option<OpenWindow> {
        let (from, to) = minutes(&self.from).zip(minutes(&self.to))?;
        let length = (to - from).rem_euclid(DAY_MINUTES);
        let (ahead, clock) = match self.local {
            true => (ahead_s.div_euclid(60), "local time"),
            false => (0, "UTC"),
        };
        let minute = now.as_millis().div_euclid(MINUTE_MS) + ahead;
        let since = (minute - from).rem_euclid(DAY_MINUTES);
        // The first of January 1970 was a Thursday.
        let begun = minute - since;
        let day = usize::try_from((begun.div_euclid(DAY_MINUTES) + 3).rem_euclid(7)).ok()?;
        let today = DAYS.get(day).copied().unwrap_or("");
        let on_day = self.days.is_empty() || self.days.iter().any(|one| one == today);
        (since < length && on_day).then(|| {
            let reason = match self.reason.as_str() {
                "" => "no reason given",
                reason => reason,
            };
            OpenWindow {
                until: Timestamp::from_millis((begun + length - ahead) * MINUTE_MS),
                text: format!("maintenance until {} {clock}: {reason}", self.to),
            }
        })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn window(from: &str, to: &str, days: &[&str]) -> Maintenance {
        Maintenance {
            from: from.to_owned(),
            to: to.to_owned(),
            days: days.iter().map(|day| (*day).to_owned()).collect(),
            ..Maintenance::default()
        }
    }

    #[test]
    fn a_window_is_open_from_its_first_to_before_its_last_minute() {
        let night = window("22:30", "02:00", &["sun"]);
        // The 23rd of November 2025 was a Sunday.
        for (at, open) in [
            ("2025-11-23 22:29:59", false),
            ("2025-11-23 22:30:00", true),
            ("2025-11-24 01:59:59", true),
            ("2025-11-24 02:00:00", false),
            ("2025-11-24 23:00:00", false),
            ("2025-11-23 01:00:00", false),
        ] {
            let until = night
                .open_at(at.parse().unwrap(), 3_600)
                .map(|window| window.until);
            let end = open.then(|| "2025-11-24 02:00:00".parse().unwrap());
            assert_eq!(until, end, "{at}");
        }
        let daily = window("09:00", "10:00", &[]);
        assert!(
            daily
                .open_at("1970-01-01 09:30:00".parse().unwrap(), 0)
                .is_some()
        );
    }

    #[test]
    fn a_local_window_goes_by_the_clock_on_the_wall() {
        let night = Maintenance {
            local: true,
            ..window("22:30", "02:00", &["sun"])
        };
        // An hour and a half east, a Sunday from 21:00 to Monday 00:30 in UTC; eight hours west, Monday from 06:30 on.
        for (ahead, at, end) in [
            (5_400, "2025-11-23 20:59:59", None),
            (5_400, "2025-11-23 21:00:00", Some("2025-11-24 00:30:00")),
            (5_400, "2025-11-24 00:30:00", None),
            (-28_800, "2025-11-24 06:29:59", None),
            (-28_800, "2025-11-24 06:30:00", Some("2025-11-24 10:00:00")),
        ] {
            let open = night.open_at(at.parse().unwrap(), ahead);
            let until = open.as_ref().map(|window| window.until);
            assert_eq!(until, end.map(|end| end.parse().unwrap()), "{ahead} {at}");
            assert!(open.is_none_or(|window| window.text.contains("until 02:00 local time")));
        }
    }

    #[test]
    fn what_is_no_window_is_refused() {
        let mistake = |from, to, days| window(from, to, days).mistake("maintenance[0]".to_owned());
        for (from, to, days) in [
            ("", "", &[][..]),
            ("9", "10:00", &[]),
            ("24:00", "01:00", &[]),
            ("09:00", "09:00", &[]),
            ("09:00", "10:00", &["Sunday"]),
        ] {
            assert!(mistake(from, to, days).is_some(), "{from} {to} {days:?}");
        }
        assert_eq!(mistake("09:00", "10:00", &["mon"]), None);
        for (name, refused) in [("", true), ("*", true), ("web.service", false)] {
            let mut window = window("09:00", "10:00", &[]);
            window.only.push(name.to_owned());
            assert_eq!(window.mistake(String::new()).is_some(), refused, "{name:?}");
        }
    }
}
