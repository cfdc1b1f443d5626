//! How well the program does, computed from its tasks: auto-fix rate, false escalations, time to repair.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use time::OffsetDateTime;

use crate::core::model::class::Class;
use crate::core::model::task::{Resolution, Status, Task};
use crate::core::model::time::Timestamp;

/// Share of settled tasks with an allowed action that end verified stable.
pub const AUTO_FIX_TARGET: f64 = 0.70;
/// A fifth of 771 of 913, the share of needless escalations of the system that this one replaces.
pub const FALSE_ESCALATION_TARGET: f64 = 0.2 * 771.0 / 913.0;
/// From detection to first green, for known patterns.
pub const MTTR_TARGET: Duration = Duration::from_secs(5 * 60);

/// What counts of one task.
#[derive(Clone, Debug)]
pub struct StatsRow {
    pub class: Class,
    pub detected_at: Timestamp,
    pub first_green_at: Option<Timestamp>,
    /// When it was put before a human, if ever.
    pub escalated: bool,
    /// An action was allowed: one was booked.
    pub action_allowed: bool,
    /// Closed, or waiting for a human: its outcome is known.
    pub settled: bool,
    pub resolution: Option<Resolution>,
}

impl StatsRow {
    /// `escalated` and `attempted` come from the rows beside the task.
    pub fn new(task: &Task, escalated: bool, attempted: bool) -> Self {
        Self {
            class: task.class,
            detected_at: task.detected_at,
            first_green_at: task.first_green_at,
            escalated,
            action_allowed: attempted || task.fix_attempted,
            settled: matches!(task.status, Status::Closed | Status::Escalated),
            resolution: task.resolution,
        }
    }

    /// Repaired by an action of ours and stable for the whole window.
    fn fixed(&self) -> bool {
        self.action_allowed && self.resolution == Some(Resolution::Fixed)
    }

    /// It reached a human and there was nothing to do: no fault, or gone untouched.
    fn needless(&self) -> bool {
        self.escalated
            && match self.resolution {
                Some(Resolution::NotAFault) => true,
                Some(Resolution::SelfCleared) => !self.action_allowed,
                _ => false,
            }
    }

    fn time_to_repair(&self) -> Option<Duration> {
        let green = self.first_green_at?;
        self.fixed().then(|| green.since(self.detected_at))
    }
}

/// ISO 8601 week, sorting by time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Week {
    pub year: i32,
    /// 1..=53.
    pub week: u8,
}

impl Week {
    /// The week of a time; the first week of 1970 for a clock out of any range.
    pub fn of(at: Timestamp) -> Self {
        let day = OffsetDateTime::from_unix_timestamp(at.as_millis().div_euclid(1_000))
            .unwrap_or(OffsetDateTime::UNIX_EPOCH);
        let (year, week, _) = day.to_iso_week_date();
        Self { year, week }
    }
}

impl fmt::Display for Week {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-W{:02}", self.year, self.week)
    }
}

/// Figures of one group of tasks.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Figures {
    pub tasks: usize,
    /// Settled tasks with an allowed action, and how many of them were verified stable.
    pub fixable: usize,
    pub fixed: usize,
    pub escalated: usize,
    pub needless: usize,
    /// Of the fixed ones.
    pub mttr_median: Option<Duration>,
    pub mttr_p95: Option<Duration>,
}

impl Figures {
    pub fn auto_fix_rate(&self) -> Option<f64> {
        share(self.fixed, self.fixable)
    }

    pub fn false_escalation_rate(&self) -> Option<f64> {
        share(self.needless, self.escalated)
    }
}

fn share(part: usize, whole: usize) -> Option<f64> {
    (whole > 0).then(|| part as f64 / whole as f64)
}

/// Everything, per class and per week of detection.
#[derive(Clone, Debug, Default)]
pub struct Stats {
    pub all: Figures,
    pub by_class: BTreeMap<Class, Figures>,
    pub by_week: BTreeMap<Week, Figures>,
}

/// Computes all figures; one pass to group, one sort per group.
pub fn compute(rows: &[StatsRow]) -> Stats {
    let mut by_class: BTreeMap<Class, Vec<&StatsRow>> = BTreeMap::new();
    let mut by_week: BTreeMap<Week, Vec<&StatsRow>> = BTreeMap::new();
    for row in rows {
        by_class.entry(row.class).or_default().push(row);
        by_week
            .entry(Week::of(row.detected_at))
            .or_default()
            .push(row);
    }
    Stats {
        all: figures(&rows.iter().collect::<Vec<_>>()),
        by_class: by_class
            .into_iter()
            .map(|(class, rows)| (class, figures(&rows)))
            .collect(),
        by_week: by_week
            .into_iter()
            .map(|(week, rows)| (week, figures(&rows)))
            .collect(),
    }
}

fn figures(rows: &[&StatsRow]) -> Figures {
    let count = |wanted: &dyn Fn(&StatsRow) -> bool| rows.iter().filter(|row| wanted(row)).count();
    let mut times: Vec<Duration> = rows.iter().filter_map(|row| row.time_to_repair()).collect();
    times.sort_unstable();
    Figures {
        tasks: rows.len(),
        fixable: count(&|row| row.settled && row.action_allowed),
        fixed: count(&|row| row.settled && row.fixed()),
        escalated: count(&|row| row.escalated),
        needless: count(&StatsRow::needless),
        mttr_median: percentile(&times, 50),
        mttr_p95: percentile(&times, 95),
    }
}

/// Nearest-rank percentile of sorted values: always one that was measured.
fn percentile(sorted: &[Duration], percent: usize) -> Option<Duration> {
    let rank = (sorted.len() * percent).div_ceil(100).max(1);
    sorted.get(rank - 1).copied()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing)]
    use super::*;

    fn row(minutes_to_green: Option<u64>, resolution: Option<Resolution>) -> StatsRow {
        let detected_at: Timestamp = "2025-12-31 12:00:00".parse().unwrap();
        StatsRow {
            class: Class::ServiceFailed,
            detected_at,
            first_green_at: minutes_to_green
                .map(|minutes| detected_at.plus(Duration::from_secs(minutes * 60))),
            escalated: false,
            action_allowed: true,
            settled: true,
            resolution,
        }
    }

    #[test]
    fn rates_follow_their_definitions() {
        let fixed = row(Some(1), Some(Resolution::Fixed));
        let untouched = StatsRow {
            action_allowed: false,
            escalated: true,
            ..row(None, Some(Resolution::SelfCleared))
        };
        let tried = StatsRow {
            escalated: true,
            ..row(None, Some(Resolution::SelfCleared))
        };
        let no_fault = StatsRow {
            escalated: true,
            ..untouched.clone()
        };
        let no_fault = StatsRow {
            resolution: Some(Resolution::NotAFault),
            ..no_fault
        };
        let open = StatsRow {
            settled: false,
            ..row(None, None)
        };
        let stats = compute(&[fixed, untouched, tried, no_fault, open]);
        // The open one and those nobody may repair are not in the denominator.
        assert_eq!((stats.all.fixed, stats.all.fixable), (1, 2));
        assert_eq!((stats.all.needless, stats.all.escalated), (2, 3));
        assert_eq!(stats.all.auto_fix_rate(), Some(0.5));
    }

    #[test]
    fn repair_times_are_measured_ones() {
        let rows: Vec<StatsRow> = (1..=20)
            .map(|minutes| row(Some(minutes), Some(Resolution::Fixed)))
            .collect();
        let stats = compute(&rows);
        assert_eq!(stats.all.mttr_median, Some(Duration::from_secs(600)));
        assert_eq!(stats.all.mttr_p95, Some(Duration::from_secs(19 * 60)));
        let one = compute(&rows[..1]);
        assert_eq!(one.all.mttr_median, one.all.mttr_p95);
        assert_eq!(compute(&[]).all, Figures::default());
    }

    #[test]
    fn a_fix_without_an_action_of_ours_is_no_fix_of_ours() {
        let by_itself = StatsRow {
            action_allowed: false,
            ..row(Some(1), Some(Resolution::Fixed))
        };
        let stats = compute(&[by_itself]);
        assert_eq!((stats.all.fixed, stats.all.mttr_median), (0, None));
    }

    #[test]
    fn weeks_are_iso_weeks() {
        let week = |text: &str| Week::of(text.parse().unwrap()).to_string();
        assert_eq!(week("2025-12-31 12:00:00"), "2026-W01");
        assert_eq!(week("2027-01-01 12:00:00"), "2026-W53");
        assert_eq!(
            Week::of(Timestamp::from_millis(i64::MAX)).to_string(),
            "1970-W01"
        );
    }
}
