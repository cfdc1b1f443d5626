//! Times for a human: in UTC, as the log and the issue have them, and by the clock on the wall.

use std::time::Duration;

use crate::core::model::time::Timestamp;
use crate::host::clock::zone;

/// `2026-01-05 10:00:00 UTC (11:00:00 CET)`; once where both are the same.
pub(super) fn moment(at: Timestamp) -> String {
    match zone(at) {
        Some((offset, name)) => beside(at, offset, &name),
        None => format!("{} UTC", second(at)),
    }
}

/// In UTC, without its milliseconds.
pub(super) fn second(at: Timestamp) -> String {
    at.second()
}

/// The time with the one of a zone so many seconds east of UTC beside it; the day is told where it is another one.
fn beside(at: Timestamp, offset: i64, zone: &str) -> String {
    let utc = second(at);
    if offset == 0 {
        return format!("{utc} UTC");
    }
    let span = Duration::from_secs(offset.unsigned_abs());
    let local = second(if offset < 0 {
        at.minus(span)
    } else {
        at.plus(span)
    });
    let same_day = local.get(..10) == utc.get(..10);
    let shown = local.get(11..).filter(|_| same_day).unwrap_or(&local);
    format!("{utc} UTC ({shown} {zone})")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn the_local_time_stands_beside_utc() {
        let at: Timestamp = "2026-01-05 22:30:00".parse().unwrap();
        for (offset, name, told) in [
            (0, "UTC", "2026-01-05 22:30:00 UTC"),
            (3_600, "CET", "2026-01-05 22:30:00 UTC (23:30:00 CET)"),
            (
                19_800,
                "IST",
                "2026-01-05 22:30:00 UTC (2026-01-06 04:00:00 IST)",
            ),
            (-18_000, "EST", "2026-01-05 22:30:00 UTC (17:30:00 EST)"),
        ] {
            assert_eq!(beside(at, offset, name), told);
        }
        assert!(moment(at).starts_with("2026-01-05 22:30:00 UTC"));
    }
}
