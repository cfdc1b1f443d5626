//! Whether what a probe asks is still starting: by when it was started, and by how long its last starts took. Pure.

use std::time::Duration;

use crate::core::model::time::Timestamp;
use crate::core::model::unit::UnitState;

/// StartTimes remembered.
const STARTS_MOST: usize = 4;
/// What takes longer is no start.
const LONGEST: Duration = Duration::from_secs(1_800);

/// The moment so many microseconds after the boot; `None` where either is not known.
pub fn at(since_boot_us: u64, booted_at: Option<Timestamp>) -> Option<Timestamp> {
    let known = booted_at.filter(|_| since_boot_us > 0);
    known.map(|boot| boot.plus(Duration::from_micros(since_boot_us)))
}

/// When this was last started: the unit, or what it does not run without, which it may wait for. `None` where it is not
/// known. One that its manager still starts or stops is started now.
pub fn started_at<'u>(
    units: impl IntoIterator<Item = &'u UnitState>,
    booted_at: Option<Timestamp>,
    now: Timestamp,
) -> Option<Timestamp> {
    let began = |unit: &UnitState| match unit.is_changing() {
        true => Some(now),
        false => at(unit.inactive_exit_us, booted_at),
    };
    units.into_iter().filter_map(began).max()
}

/// When a running unit was started by a job that somebody asked for. Its manager counts its own restarts, anew after
/// each other start, and starts by itself only what is started on demand or with a device.
pub fn asked_for_at(unit: &UnitState, booted_at: Option<Timestamp>) -> Option<Timestamp> {
    let is_device = |name: &String| name.ends_with(".device");
    let on_demand = !unit.triggered_by.is_empty()
        || unit.service_type == "dbus"
        || unit.wanted_by.iter().any(is_device);
    let up = unit.is_active() && !on_demand && unit.n_restarts == 0;
    at(unit.inactive_exit_us, booted_at).filter(|_| up)
}

/// What the answers of a probe told about the starts of its unit.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StartTimes {
    green_at: Option<Timestamp>,
    /// The start after which it has only failed so far.
    failing_after: Option<Timestamp>,
    /// How long the last starts took to the first good answer, in seconds.
    took_s: Vec<u64>,
}

impl StartTimes {
    pub fn remembered(took_s: Vec<u64>) -> Self {
        let mut starts = Self::default();
        took_s.into_iter().for_each(|took| starts.remember(took));
        starts
    }

    pub fn took_s(&self) -> &[u64] {
        &self.took_s
    }

    fn remember(&mut self, took_s: u64) {
        self.took_s.push(took_s.min(LONGEST.as_secs()));
        let more = self.took_s.len().saturating_sub(STARTS_MOST);
        self.took_s.drain(..more);
    }

    /// A good answer.
    pub fn good(&mut self, now: Timestamp) {
        let took = self.failing_after.take().map(|start| now.since(start));
        if let Some(took) = took.filter(|took| *took <= LONGEST) {
            self.remember(took.as_secs());
        }
        self.green_at = Some(now);
    }

    /// A bad answer from what was started at `start`: until when it may still be starting.
    pub fn bad(
        &mut self,
        start: Option<Timestamp>,
        period: Duration,
        now: Timestamp,
    ) -> Option<Timestamp> {
        let start = start.filter(|start| self.green_at.is_none_or(|green| green < *start))?;
        self.failing_after = Some(start);
        let longest = self.took_s.iter().max().copied().unwrap_or(0);
        let known = Duration::from_secs(longest.saturating_add(longest / 2));
        let until = start.plus(period.max(known));
        (now < until).then_some(until)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PERIOD: Duration = Duration::from_secs(60);

    fn at_s(seconds: u64) -> Timestamp {
        Timestamp::from_millis(0).plus(Duration::from_secs(seconds))
    }

    #[test]
    fn what_has_just_been_started_is_given_its_time() {
        let fresh = StartTimes::default;
        let green = |seconds| {
            let mut starts = StartTimes::default();
            starts.good(at_s(seconds));
            starts
        };
        let slow = || StartTimes::remembered(vec![5, 200, 10]);
        type Row = (&'static str, StartTimes, Option<u64>, u64, Option<u64>);
        let rows: [Row; 9] = [
            ("just started", fresh(), Some(100), 103, Some(160)),
            ("its time is over", fresh(), Some(100), 160, None),
            ("it is not known when", fresh(), None, 103, None),
            ("it answered since", green(101), Some(100), 103, None),
            ("it answered before", green(99), Some(100), 103, Some(160)),
            (
                "its last starts took long",
                slow(),
                Some(100),
                300,
                Some(400),
            ),
            ("longer than ever", slow(), Some(100), 400, None),
            ("before this program", fresh(), Some(0), 9_000, None),
            (
                "the clock of the host is behind",
                fresh(),
                Some(200),
                103,
                Some(260),
            ),
        ];
        for (name, mut starts, start, now, until) in rows {
            let found = starts.bad(start.map(at_s), PERIOD, at_s(now));
            assert_eq!(found, until.map(at_s), "{name}");
        }
    }

    #[test]
    fn a_start_is_measured_from_its_beginning_to_the_first_good_answer() {
        let mut starts = StartTimes::default();
        starts.good(at_s(50));
        assert!(starts.took_s().is_empty(), "nobody saw it begin");
        for (began, good) in [(100, 145), (200, 203), (300, 301), (400, 402), (500, 530)] {
            assert!(
                starts
                    .bad(Some(at_s(began)), PERIOD, at_s(began + 1))
                    .is_some()
            );
            starts.good(at_s(good));
        }
        assert_eq!(starts.took_s(), [3, 1, 2, 30], "the last ones");
        assert_eq!(starts.bad(Some(at_s(500)), PERIOD, at_s(540)), None);
        starts.good(at_s(600));
        assert_eq!(
            starts.took_s(),
            [3, 1, 2, 30],
            "a failure in between is no start"
        );
    }

    #[test]
    fn only_what_nothing_starts_by_itself_was_asked_for() {
        let asked = |change: fn(&mut UnitState)| {
            let mut unit = UnitState {
                active_state: "active".to_owned(),
                inactive_exit_us: 5_000_000,
                ..UnitState::default()
            };
            change(&mut unit);
            asked_for_at(&unit, Some(at_s(1_000)))
        };
        assert_eq!(asked(|_| {}), Some(at_s(1_005)));
        for (name, change) in [
            (
                "it is down",
                (|unit| unit.active_state = "failed".to_owned()) as fn(&mut UnitState),
            ),
            ("its own manager", |unit| unit.n_restarts = 1),
            ("nobody says when", |unit| unit.inactive_exit_us = 0),
            ("a timer or a socket", |unit| {
                unit.triggered_by = vec!["a.timer".to_owned()];
            }),
            ("the message bus", |unit| {
                unit.service_type = "dbus".to_owned();
            }),
            ("a device", |unit| {
                unit.wanted_by = vec!["dev-ttyUSB0.device".to_owned()];
            }),
        ] {
            assert_eq!(asked(change), None, "{name}");
        }
    }

    #[test]
    fn it_starts_with_the_last_of_what_it_needs() {
        let unit = |state: &str, since_s: u64| UnitState {
            active_state: state.to_owned(),
            inactive_exit_us: since_s * 1_000_000,
            ..UnitState::default()
        };
        let started = |units: &[UnitState]| started_at(units, Some(at_s(1_000)), at_s(9_000));
        assert_eq!(started(&[]), None);
        assert_eq!(
            started(&[unit("active", 0)]),
            None,
            "its manager does not say"
        );
        let both = [unit("active", 5), unit("active", 70)];
        assert_eq!(started(&both), Some(at_s(1_070)));
        let changing = [unit("activating", 5), unit("active", 70)];
        assert_eq!(started(&changing), Some(at_s(9_000)));
    }
}
