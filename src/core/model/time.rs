//! Wall-clock timestamps as the store keeps them: UTC, milliseconds, text that sorts.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use time::format_description::BorrowedFormatItem;
use time::format_description::well_known::Rfc3339;
use time::macros::format_description;
use time::{OffsetDateTime, PrimitiveDateTime};

/// The Python daemon wrote SQLite's CURRENT_TIMESTAMP: no fraction.
const TEXT_SECONDS: &[BorrowedFormatItem<'_>] =
    format_description!("[year]-[month]-[day] [hour]:[minute]:[second]");

/// Milliseconds since 1970-01-01 UTC. Text form: `YYYY-MM-DD HH:MM:SS.sss`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(i64);

impl Timestamp {
    /// `millis` since the Unix epoch.
    pub const fn from_millis(millis: i64) -> Self {
        Self(millis)
    }

    /// Since the Unix epoch; negative before it.
    pub const fn as_millis(self) -> i64 {
        self.0
    }

    /// Ends at the largest time instead of overflowing.
    #[must_use]
    pub fn plus(self, span: Duration) -> Self {
        Self(self.0.saturating_add(millis(span)))
    }

    /// Ends at the smallest time instead of overflowing.
    #[must_use]
    pub fn minus(self, span: Duration) -> Self {
        Self(self.0.saturating_sub(millis(span)))
    }

    /// Time from `earlier` to `self`; zero when `earlier` is later.
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_millis(u64::try_from(self.0.saturating_sub(earlier.0)).unwrap_or(0))
    }
}

/// `45 s`, `12 m`, `3 h`, `5 d`: the largest unit that says enough.
pub fn brief(span: Duration) -> String {
    match span.as_secs() {
        s @ 0..=119 => format!("{s} s"),
        s @ 120..=7_199 => format!("{} m", s / 60),
        s @ 7_200..=172_799 => format!("{} h", s / 3_600),
        s => format!("{} d", s / 86_400),
    }
}

fn millis(span: Duration) -> i64 {
    i64::try_from(span.as_millis()).unwrap_or(i64::MAX)
}

/// What is shown of a time outside the years 0..=9999: only a broken clock says that.
const EPOCH: [u8; 23] = *b"1970-01-01 00:00:00.000";

impl Timestamp {
    /// Its text. Each row of the store holds several, hence not by a format description.
    fn text(self) -> [u8; 23] {
        let at = OffsetDateTime::from_unix_timestamp_nanos(i128::from(self.0) * 1_000_000).ok();
        let Some((at, year)) = at.and_then(|at| Some((at, u32::try_from(at.year()).ok()?))) else {
            return EPOCH;
        };
        let mut text = EPOCH;
        for (end, digits, mut number) in [
            (4, 4, year),
            (7, 2, u32::from(u8::from(at.month()))),
            (10, 2, u32::from(at.day())),
            (13, 2, u32::from(at.hour())),
            (16, 2, u32::from(at.minute())),
            (19, 2, u32::from(at.second())),
            (23, 3, u32::from(at.millisecond())),
        ] {
            for digit in text.iter_mut().take(end).rev().take(digits) {
                *digit = b'0' + u8::try_from(number % 10).unwrap_or(0);
                number /= 10;
            }
        }
        text
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(std::str::from_utf8(&self.text()).unwrap_or_default())
    }
}

/// The text is not `YYYY-MM-DD HH:MM:SS[.sss]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NotATimestamp(pub String);

impl fmt::Display for NotATimestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "'{}' is not a time: expected YYYY-MM-DD HH:MM:SS.sss in UTC",
            self.0
        )
    }
}

impl std::error::Error for NotATimestamp {}

impl Timestamp {
    /// `2026-03-01 12:00:00`, as humans are shown it: in UTC, without its milliseconds.
    pub fn second(self) -> String {
        let text = self.to_string();
        text.get(..19).unwrap_or(&text).to_owned()
    }

    /// For programs: `YYYY-MM-DDTHH:MM:SS.sssZ`.
    pub fn rfc3339(self) -> String {
        format!("{}Z", self.to_string().replacen(' ', "T", 1))
    }

    /// `2026-03-01T12:00:00Z`, or with an offset; nothing else.
    pub fn from_rfc3339(text: &str) -> Option<Self> {
        let at = OffsetDateTime::parse(text, &Rfc3339).ok()?;
        Some(Self(at.unix_timestamp().saturating_mul(1000)))
    }
}

impl FromStr for Timestamp {
    type Err = NotATimestamp;

    /// Also takes `T` between date and time, a trailing `Z`, and any number of fraction digits.
    fn from_str(text: &str) -> Result<Self, NotATimestamp> {
        let clean = text.trim().trim_end_matches('Z').replacen('T', " ", 1);
        let (whole, fraction) = clean.split_once('.').unwrap_or((&clean, ""));
        let at = PrimitiveDateTime::parse(whole, TEXT_SECONDS)
            .map_err(|_| NotATimestamp(text.to_owned()))?
            .assume_utc();
        let digits: String = fraction.chars().take(3).collect();
        let sub = match digits.len() {
            0 => 0,
            n => digits
                .parse::<i64>()
                .map_err(|_| NotATimestamp(text.to_owned()))?
                .saturating_mul([100, 10, 1].get(n - 1).copied().unwrap_or(1)),
        };
        Ok(Self(
            at.unix_timestamp().saturating_mul(1000).saturating_add(sub),
        ))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn spans_are_short() {
        for (seconds, text) in [
            (0, "0 s"),
            (119, "119 s"),
            (120, "2 m"),
            (7_200, "2 h"),
            (172_800, "2 d"),
        ] {
            assert_eq!(brief(Duration::from_secs(seconds)), text);
        }
    }

    #[test]
    fn text_round_trips_and_sorts() {
        let at = Timestamp::from_millis(1_763_878_648_123);
        assert_eq!(at.to_string(), "2025-11-23 06:17:28.123");
        assert_eq!(at.to_string().parse::<Timestamp>().unwrap(), at);
        assert!(at.to_string() < at.plus(Duration::from_millis(1)).to_string());
    }

    #[test]
    fn text_is_what_the_format_description_gives() {
        let text: &[BorrowedFormatItem<'_>] = format_description!(
            "[year]-[month]-[day] [hour]:[minute]:[second].[subsecond digits:3]"
        );
        // Every 37 days, 1 hour, 1 minute, 1.001 s of the years 1 to 9999.
        let step = ((37 * 24 + 1) * 60 + 1) * 60_000 + 1_001;
        for millis in (-62_135_596_800_000..253_402_300_800_000).step_by(step) {
            let at = OffsetDateTime::from_unix_timestamp_nanos(millis * 1_000_000).unwrap();
            let ours = Timestamp::from_millis(i64::try_from(millis).unwrap());
            assert_eq!(ours.to_string(), at.format(text).unwrap());
        }
    }

    #[test]
    fn python_and_iso_forms_are_read() {
        let want = Timestamp::from_millis(1_763_878_648_500);
        for text in ["2025-11-23 06:17:28.5", "2025-11-23T06:17:28.500Z"] {
            assert_eq!(text.parse::<Timestamp>().unwrap(), want);
        }
        assert!("yesterday".parse::<Timestamp>().is_err());
    }

    #[test]
    fn a_broken_clock_never_panics() {
        for millis in [i64::MIN, -1, 0, i64::MAX] {
            let _ = Timestamp::from_millis(millis)
                .plus(Duration::MAX)
                .to_string();
        }
    }
}
