//! Wall-clock timestamps as the store keeps them: UTC, milliseconds, text that sorts.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use time::format_description::BorrowedFormatItem;
use time::macros::format_description;
use time::{OffsetDateTime, PrimitiveDateTime};

const TEXT: &[BorrowedFormatItem<'_>] =
    format_description!("[year]-[month]-[day] [hour]:[minute]:[second].[subsecond digits:3]");
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

    pub const fn as_millis(self) -> i64 {
        self.0
    }

    #[must_use]
    pub fn plus(self, span: Duration) -> Self {
        Self(self.0.saturating_add(millis(span)))
    }

    #[must_use]
    pub fn minus(self, span: Duration) -> Self {
        Self(self.0.saturating_sub(millis(span)))
    }

    /// Time from `earlier` to `self`; zero when `earlier` is later.
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_millis(u64::try_from(self.0.saturating_sub(earlier.0)).unwrap_or(0))
    }
}

fn millis(span: Duration) -> i64 {
    i64::try_from(span.as_millis()).unwrap_or(i64::MAX)
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = OffsetDateTime::from_unix_timestamp_nanos(i128::from(self.0) * 1_000_000)
            .ok()
            .and_then(|at| at.format(TEXT).ok());
        // Outside years 1..=9999 only after a broken clock: show the epoch rather than fail.
        f.write_str(text.as_deref().unwrap_or("1970-01-01 00:00:00.000"))
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
    fn text_round_trips_and_sorts() {
        let at = Timestamp::from_millis(1_763_878_648_123);
        assert_eq!(at.to_string(), "2025-11-23 06:17:28.123");
        assert_eq!(at.to_string().parse::<Timestamp>().unwrap(), at);
        assert!(at.to_string() < at.plus(Duration::from_millis(1)).to_string());
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
