//! Safe start: a daemon that was ended again and again comes back without what it reads most of.
//!
//! Each start leaves a mark in the store that a clean end takes away. After [`ENDS`] unclean ends within [`WINDOW`] the
//! next start holds its streams back, with their positions kept: unit detectors, repairs and escalation go on. The
//! streams are taken in again one by one; after [`CALM`] all is as usual. Should one of them be what ends the daemon,
//! the next start is a safe one again.

use std::time::{Duration, Instant};

use crate::core::model::time::Timestamp;
use crate::store::{Store, StoreError};

/// Unclean ends that make a start a safe one.
const ENDS: usize = 3;
const WINDOW: Duration = Duration::from_secs(600);
const CALM: Duration = Duration::from_secs(600);
/// Meta row: the times of unclean ends, the oldest first, and [`RUNNING`] while a daemon runs.
const ROW: &str = "unclean_ends";
const RUNNING: &str = "running";

/// A safe start that is not over.
#[derive(Clone, Copy, Debug)]
pub struct SafeStart {
    ends: usize,
    since: Instant,
}

impl SafeStart {
    pub fn new(ends: usize) -> Self {
        let since = Instant::now();
        Self { ends, since }
    }

    pub fn is_over(&self) -> bool {
        self.since.elapsed() >= CALM
    }

    /// For log, status and finding.
    pub fn text(&self) -> String {
        format!(
            "safe start: {} unclean ends within ten minutes; the log streams are held back and taken in again one by one",
            self.ends
        )
    }

    /// True when stream number `at` of `streams` may be read.
    pub fn is_due(&self, at: usize, streams: usize) -> bool {
        self.since.elapsed() >= held(at, streams)
    }
}

/// How long a safe start holds stream number `at` of `streams` back: all of them within [`CALM`], evenly apart.
pub fn held(at: usize, streams: usize) -> Duration {
    let part = |count: usize| u32::try_from(count).unwrap_or(u32::MAX);
    CALM / part(streams.saturating_add(1)) * part(at.saturating_add(1))
}

/// Unclean ends within [`WINDOW`] before `now`, that of the run before this one included; and the row from now on.
fn ends(row: &str, now: Timestamp) -> (usize, String) {
    let since = now.minus(WINDOW);
    let was_running = row.split(',').any(|word| word == RUNNING);
    let mut ends: Vec<Timestamp> = row
        .split(',')
        .filter_map(|word| word.parse().ok())
        .filter(|at| *at > since && *at <= now)
        .collect();
    ends.extend(was_running.then_some(now));
    let kept = ends.iter().rev().take(ENDS).rev();
    let mut words: Vec<String> = kept.map(ToString::to_string).collect();
    words.push(RUNNING.to_owned());
    (ends.len(), words.join(","))
}

/// Marks the start; says whether it is a safe one.
pub fn begin(store: &Store, now: Timestamp) -> Result<Option<SafeStart>, StoreError> {
    let (ends, row) = ends(&store.meta(ROW)?.unwrap_or_default(), now);
    store.set_meta(ROW, &row)?;
    Ok((ends >= ENDS).then(|| SafeStart::new(ends)))
}

/// A clean end: the next start has nothing to fear, whatever was before.
pub fn end(store: &Store) -> Result<(), StoreError> {
    store.set_meta(ROW, "")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::store::StoreOptions;

    const NOW: Timestamp = Timestamp::from_millis(1_800_000_000_000);
    const MINUTE: Duration = Duration::from_secs(60);

    struct Bench {
        _dir: tempfile::TempDir,
        store: Store,
    }

    impl Bench {
        fn new() -> Self {
            let dir = tempfile::tempdir().unwrap();
            let options = StoreOptions::at(dir.path().join("tasks.db"));
            let (store, _) = Store::open(&options, NOW).unwrap();
            Self { _dir: dir, store }
        }

        fn starts(&self, minute: u32) -> bool {
            let now = NOW.plus(MINUTE * minute);
            begin(&self.store, now).unwrap().is_some()
        }
    }

    #[test]
    fn three_unclean_ends_within_ten_minutes_make_a_safe_start() {
        let bench = Bench::new();
        let safe: Vec<bool> = (0..6).map(|minute| bench.starts(minute)).collect();
        assert_eq!(safe, [false, false, false, true, true, true]);
        assert!(!bench.starts(17), "one end, the others are long ago");
    }

    #[test]
    fn ends_that_are_far_apart_make_none_and_a_clean_end_forgets_them() {
        let bench = Bench::new();
        assert!((0..9).all(|n| !bench.starts(n * 6)));
        let bench = Bench::new();
        for minute in 0..3 {
            assert!(!bench.starts(minute));
        }
        end(&bench.store).unwrap();
        assert!(!bench.starts(3));
        assert!(!bench.starts(4));
    }

    #[test]
    fn a_row_that_cannot_be_read_or_lies_ahead_counts_nothing() {
        for row in ["", "nonsense", ",,", "2099-01-01 00:00:00.000"] {
            assert_eq!(ends(row, NOW).0, 0, "{row}");
        }
    }

    #[test]
    fn streams_are_taken_in_one_by_one_before_all_is_as_usual() {
        let of = |streams: usize| -> Vec<u64> {
            let held = (0..streams).map(|at| held(at, streams));
            held.map(|span| span.as_secs()).collect()
        };
        assert_eq!(of(1), [300]);
        assert_eq!(of(2), [200, 400]);
        assert_eq!(of(3), [150, 300, 450]);
    }
}
