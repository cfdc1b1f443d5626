//! How well the program does, computed from its tasks: auto-fix rate, false escalations, time to repair.

use std::fmt;
use std::time::Duration;

use time::OffsetDateTime;

use crate::core::model::class::{Class, Clearing};
use crate::core::model::sorted::SortedMap;
use crate::core::model::task::{Resolution, Status, Task};
use crate::core::model::time::Timestamp;
use crate::core::remedy::patience::is_ended_by_hand;

/// Share of settled tasks with an allowed action that end verified stable.
pub const AUTO_FIX_TARGET: f64 = 0.70;
/// A fifth of 771 of 913, the share of needless escalations of the system that this one replaces.
pub const FALSE_ESCALATION_TARGET: f64 = 0.2 * 771.0 / 913.0;
/// From detection to first green, for known patterns.
pub const MTTR_TARGET: Duration = Duration::from_secs(5 * 60);

/// Nobody reads a message, looks and repairs sooner than this.
const NOBODY_ACTS: Duration = Duration::from_secs(120);

/// What counts of one task.
#[derive(Clone, Debug)]
pub struct StatsRow {
    pub class: Class,
    pub detected_at: Timestamp,
    pub first_green_at: Option<Timestamp>,
    pub closed_at: Option<Timestamp>,
    /// When it was first put before a human, if ever.
    pub told_at: Option<Timestamp>,
    /// An action was allowed: one was booked.
    pub action_allowed: bool,
    /// Closed, or a human was told: what became of it is known, however long it is put off now.
    pub settled: bool,
    /// A human took its last action back.
    pub taken_back: bool,
    /// Its cause ends by nobody's waiting.
    pub ends_by_hand: bool,
    pub resolution: Option<Resolution>,
}

/// What became of it so far is known. A snooze takes nothing out of the count again, nor does an acknowledgement.
fn is_settled(status: Status, told: bool) -> bool {
    told || matches!(status, Status::Closed | Status::Escalated)
}

impl StatsRow {
    /// `told_at`, `attempted` (by us and not refused) and `taken_back` come from the rows beside the task.
    pub fn new(task: &Task, told_at: Option<Timestamp>, attempted: bool, taken_back: bool) -> Self {
        // What an adopted task says of attempts is the word of another program.
        let adopted = task.is_adopted();
        let cause = task.cause.as_deref().and_then(|cause| cause.parse().ok());
        Self {
            class: task.class,
            detected_at: task.detected_at,
            first_green_at: task.first_green_at,
            closed_at: task.closed_at,
            told_at,
            action_allowed: attempted || (task.fix_attempted && !adopted),
            settled: is_settled(task.status, told_at.is_some()),
            taken_back,
            ends_by_hand: cause.is_some_and(is_ended_by_hand),
            resolution: task.resolution,
        }
    }

    /// Repaired by an action of ours and seen well by its detector for the whole window: that no line came is no proof.
    fn fixed(&self) -> bool {
        let is_seen = self.class.clearing() == Clearing::Sweep;
        let holds = is_seen && !self.taken_back;
        holds && self.action_allowed && self.resolution == Some(Resolution::Fixed)
    }

    /// It reached a human and there was nothing to do: no fault, as a human says, or gone untouched before anybody
    /// could have acted. What went away later may be what the human was asked for.
    fn needless(&self) -> bool {
        let Some(told_at) = self.told_at else {
            return false;
        };
        let too_soon = |closed: Timestamp| closed.since(told_at) < NOBODY_ACTS;
        match self.resolution {
            Some(Resolution::NotAFault) => true,
            Some(Resolution::SelfCleared) => {
                !self.action_allowed && !self.ends_by_hand && self.closed_at.is_some_and(too_soon)
            }
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
    pub by_class: SortedMap<Class, Figures>,
    pub by_week: SortedMap<Week, Figures>,
}

/// Computes all figures; one pass to group, one sort per group.
pub fn compute(rows: &[StatsRow]) -> Stats {
    let mut by_class: SortedMap<Class, Vec<&StatsRow>> = SortedMap::new();
    let mut by_week: SortedMap<Week, Vec<&StatsRow>> = SortedMap::new();
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
    // What nobody could look at says nothing of how well we do: it is in no rate.
    let told = |row: &&&StatsRow| row.resolution != Some(Resolution::Unverified);
    let rated: Vec<&StatsRow> = rows.iter().filter(told).copied().collect();
    let count = |wanted: &dyn Fn(&StatsRow) -> bool| rated.iter().filter(|row| wanted(row)).count();
    let mut times: Vec<Duration> = rows.iter().filter_map(|row| row.time_to_repair()).collect();
    times.sort_unstable();
    Figures {
        tasks: rows.len(),
        fixable: count(&|row| row.settled && row.action_allowed),
        fixed: count(&|row| row.settled && row.fixed()),
        escalated: count(&|row| row.told_at.is_some()),
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
            closed_at: None,
            told_at: None,
            action_allowed: true,
            settled: true,
            taken_back: false,
            ends_by_hand: false,
            resolution,
        }
    }

    /// Told a minute after it was found, and over so many seconds later.
    fn told(over_s: u64, resolution: Resolution) -> StatsRow {
        let untold = row(None, Some(resolution));
        let told_at = untold.detected_at.plus(Duration::from_secs(60));
        StatsRow {
            told_at: Some(told_at),
            closed_at: Some(told_at.plus(Duration::from_secs(over_s))),
            ..untold
        }
    }

    fn untouched(mut row: StatsRow) -> StatsRow {
        row.action_allowed = false;
        row
    }

    #[test]
    fn rates_follow_their_definitions() {
        let open = StatsRow {
            settled: false,
            ..row(None, None)
        };
        let stats = compute(&[
            row(Some(1), Some(Resolution::Fixed)),
            untouched(told(5, Resolution::SelfCleared)),
            told(5, Resolution::SelfCleared),
            untouched(told(5, Resolution::NotAFault)),
            row(None, Some(Resolution::Unverified)),
            told(5, Resolution::Unverified),
            open,
            StatsRow {
                ends_by_hand: true,
                ..untouched(told(5, Resolution::SelfCleared))
            },
            StatsRow {
                taken_back: true,
                ..row(Some(1), Some(Resolution::Fixed))
            },
        ]);
        assert_eq!(stats.all.tasks, 9);
        // The open one, those nobody may repair and those nobody could look at are not in the denominator.
        assert_eq!((stats.all.fixed, stats.all.fixable), (1, 3));
        assert_eq!((stats.all.needless, stats.all.escalated), (2, 4));
        assert_eq!(stats.all.auto_fix_rate(), Some(1.0 / 3.0));
    }

    #[test]
    fn what_another_program_tried_is_in_no_rate() {
        let mut task = Task::sample(
            1,
            Class::ServiceFailed,
            "a.service",
            Timestamp::from_millis(0),
        );
        task.status = Status::Closed;
        task.resolution = Some(Resolution::Fixed);
        task.fix_attempted = true;
        let allowed = |task: &Task, by_us| StatsRow::new(task, None, by_us, false).action_allowed;
        assert!(allowed(&task, false));
        task.evidence = serde_json::from_str("{\"legacy_status\":\"fixed\"}").unwrap();
        assert!(!allowed(&task, false));
        assert!(allowed(&task, true));
    }

    #[test]
    fn only_what_nobody_could_have_repaired_is_a_false_escalation() {
        for (name, row, want) in [
            (
                "gone before anybody could act",
                untouched(told(119, Resolution::SelfCleared)),
                1,
            ),
            (
                "a human did what was asked",
                untouched(told(120, Resolution::SelfCleared)),
                0,
            ),
            ("and says so", untouched(told(5, Resolution::Human)), 0),
            (
                "no fault, says a human, whenever",
                told(9_000, Resolution::NotAFault),
                1,
            ),
            (
                "gone after an action of ours",
                told(5, Resolution::SelfCleared),
                0,
            ),
            ("repaired by us after all", told(5, Resolution::Fixed), 0),
            (
                "nobody was told",
                untouched(row(None, Some(Resolution::NotAFault))),
                0,
            ),
        ] {
            assert_eq!(compute(&[row]).all.needless, want, "{name}");
        }
    }

    #[test]
    fn what_a_human_was_told_of_counts_however_it_is_put_off() {
        for (name, status, told, want) in [
            ("escalated or acknowledged", Status::Escalated, true, true),
            ("snoozed", Status::Waiting, true, true),
            (
                "tried again after it was told",
                Status::InProgress,
                true,
                true,
            ),
            ("closed untold", Status::Closed, false, true),
            ("waiting untold", Status::Waiting, false, false),
        ] {
            assert_eq!(is_settled(status, told), want, "{name}");
        }
    }

    #[test]
    fn silence_is_no_proof_of_a_repair() {
        let line = StatsRow {
            class: Class::LogError,
            ..row(Some(1), Some(Resolution::Fixed))
        };
        let stats = compute(&[line]);
        assert_eq!(stats.all.auto_fix_rate(), Some(0.0));
        assert_eq!(stats.all.mttr_median, None);
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
