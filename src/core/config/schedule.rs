//! When the message of a channel goes out: quiet hours, the day's digest, what is late. Pure.

use std::time::Duration;

use crate::core::model::finding::Severity;
use crate::core::model::time::Timestamp;

const MINUTE: Duration = Duration::from_secs(60);
const DAY_MINUTES: i64 = 24 * 60;

/// When a message goes out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Due {
    Now,
    /// Not before: quiet hours, or the next digest.
    At(Timestamp),
    /// With all that wait for the digest.
    Together,
}

/// Quiet hours and digest of one channel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Schedule {
    pub(super) at_once: Severity,
    /// Minutes of the day.
    pub(super) quiet: Option<(i64, i64)>,
    pub(super) digest: Option<i64>,
    pub(super) local: bool,
    pub(super) gathers: bool,
}

impl Default for Schedule {
    /// Everything at once.
    fn default() -> Self {
        Self {
            at_once: Severity::Info,
            quiet: None,
            digest: None,
            local: false,
            gathers: false,
        }
    }
}

impl Schedule {
    /// What is late comes as one message.
    pub fn gathers(&self) -> bool {
        self.gathers
    }

    /// When a message of `created_at` is due; `ahead_s` is how far this host's clock on the wall is ahead of UTC.
    pub fn due(
        &self,
        severity: Severity,
        created_at: Timestamp,
        now: Timestamp,
        ahead_s: i64,
    ) -> Due {
        if severity >= self.at_once {
            return Due::Now;
        }
        let ahead = match self.local {
            true => ahead_s.div_euclid(60),
            false => 0,
        };
        let minute = |at: Timestamp| at.as_millis().div_euclid(60_000) + ahead;
        // The moment at which so many minutes of the day have passed next, after `at`.
        let next = |at: Timestamp, wanted: i64| {
            let here = minute(at);
            let wait = (wanted - here).rem_euclid(DAY_MINUTES);
            let wait = if wait == 0 { DAY_MINUTES } else { wait };
            Timestamp::from_millis((here + wait - ahead) * 60_000)
        };
        if let Some(digest) = self.digest {
            // A clock that was ahead when it was written down must not hold it back for long.
            let at = next(created_at.min(now), digest);
            return if now >= at {
                Due::Together
            } else {
                Due::At(at)
            };
        }
        match self.quiet {
            Some((from, to)) => {
                let since = (minute(now) - from).rem_euclid(DAY_MINUTES);
                match since < (to - from).rem_euclid(DAY_MINUTES) {
                    true => Due::At(next(now, to)),
                    false => Due::Now,
                }
            }
            None => Due::Now,
        }
    }

    /// Most time that [`Schedule::due`] puts a message off.
    pub const fn wait_most() -> Duration {
        Duration::from_secs(DAY_MINUTES as u64 * MINUTE.as_secs())
    }
}

/// Minutes since midnight.
pub(super) fn minutes(text: &str) -> Option<i64> {
    let (hours, minutes) = text.trim().split_once(':')?;
    let (hours, minutes): (i64, i64) = (hours.parse().ok()?, minutes.parse().ok()?);
    ((0..24).contains(&hours) && (0..60).contains(&minutes)).then_some(hours * 60 + minutes)
}

pub(super) fn span(text: &str) -> Option<(i64, i64)> {
    let (from, to) = text.split_once('-')?;
    let (from, to) = minutes(from).zip(minutes(to))?;
    (from != to).then_some((from, to))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    fn schedule(quiet: &str, digest: &str, local: bool) -> Schedule {
        let timed = !quiet.is_empty() || !digest.is_empty();
        Schedule {
            at_once: if timed {
                Severity::Critical
            } else {
                Severity::Info
            },
            quiet: span(quiet),
            digest: minutes(digest),
            local,
            gathers: false,
        }
    }

    #[test]
    fn what_is_severe_is_told_at_once_and_the_rest_when_its_time_comes() {
        let noon = at("2026-03-01 12:00:30");
        let night = at("2026-03-01 23:30:00");
        let morning = at("2026-03-02 06:00:00");
        let (error, critical) = (Severity::Error, Severity::Critical);
        let none = schedule("", "", true);
        assert_eq!(none.due(Severity::Info, night, night, 0), Due::Now);
        let quiet = schedule("22:00-06:00", "", false);
        for (severity, now, want) in [
            (critical, night, Due::Now),
            (error, noon, Due::Now),
            (error, night, Due::At(morning)),
            (error, at("2026-03-02 05:59:59"), Due::At(morning)),
            (error, morning, Due::Now),
        ] {
            assert_eq!(quiet.due(severity, now, now, 0), want, "{severity} {now}");
        }
        let digest = schedule("", "07:00", false);
        let seven = at("2026-03-02 07:00:00");
        for (severity, created, now, want) in [
            (critical, night, night, Due::Now),
            (error, night, night, Due::At(seven)),
            (error, night, at("2026-03-02 06:59:59"), Due::At(seven)),
            (error, night, seven, Due::Together),
            (error, seven, seven, Due::At(at("2026-03-03 07:00:00"))),
            // Written down while the clock was years ahead.
            (error, at("2031-01-01 00:00:00"), noon, Due::At(seven)),
        ] {
            assert_eq!(
                digest.due(severity, created, now, 0),
                want,
                "{created} {now}"
            );
        }
        // Two hours east, seven on the wall is five in UTC.
        let local = schedule("", "07:00", true);
        let five = Due::At(at("2026-03-02 05:00:00"));
        assert_eq!(local.due(error, night, night, 7_200), five);
    }
}
