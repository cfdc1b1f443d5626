//! Units that their manager restarts again and again, by their rate or, minutes apart, by their count over a day: said
//! once when it starts, cleared once when it ends.

use std::sync::Mutex;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::core::config::Config;
use crate::core::model::class::Class;
use crate::core::model::facts::Fact;
use crate::core::model::finding::{Finding, Severity};
use crate::core::model::sorted::{SortedMap, SortedSet};
use crate::core::model::time::{Timestamp, brief};
use crate::core::model::unit::UnitState;
use crate::core::reading::crash_loop::{CrashLoop, Crashing, Pace, ended_as_meant};
use crate::core::reading::unit_state::{is_excluded, status_text, with_unit_facts};
use crate::detectors::last_run::with_last_runs;
use crate::detectors::{DetectError, Detector, Snapshot, Sweep};

/// Restarts remembered per unit; more in one window change nothing.
const REMEMBERED: usize = 16;
/// Units whose crashes are kept over a restart of this program; of more, those that crashed last.
const KEPT_MOST: usize = 64;

/// Restarts of one unit: the manager's counter and when it was seen to rise.
#[derive(Debug, Default)]
struct History {
    counter: u32,
    since: Timestamp,
    rises: heapless::Deque<(Timestamp, u32), REMEMBERED>,
}

impl History {
    fn new(counter: u32, now: Timestamp) -> Self {
        Self {
            counter,
            since: now,
            rises: heapless::Deque::new(),
        }
    }

    fn see(&mut self, counter: u32, now: Timestamp) {
        // The counter starts anew after a manual start; a lower one is no rise.
        let rise = counter.saturating_sub(self.counter);
        self.counter = counter;
        if rise > 0 {
            if self.rises.is_full() {
                self.rises.pop_front();
            }
            // Room was made above.
            let _ = self.rises.push_back((now, rise));
        }
    }

    fn within(&self, window: Duration, now: Timestamp) -> u32 {
        self.rises
            .iter()
            .filter(|(at, _)| now.since(*at) <= window)
            .map(|(_, rise)| *rise)
            .sum()
    }
}

/// Crashes of one unit, and the manager's counter up to which they were counted.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Slow {
    counter: u32,
    crashes: CrashLoop,
    /// How it was last seen to end.
    meant: bool,
}

impl Slow {
    fn see(&mut self, unit: &UnitState, pace: Pace, now: Timestamp) {
        let rise = unit.n_restarts.saturating_sub(self.counter);
        self.counter = unit.n_restarts;
        if !unit.is_active() && !unit.result.is_empty() {
            self.meant = ended_as_meant(unit);
        }
        let crashes = if self.meant { 0 } else { rise };
        self.crashes.see(crashes, pace, now);
    }
}

/// Remembers restarts in memory; what stood open before a restart of the daemon stays open until a whole
/// half window was watched. Crashes that are minutes apart are kept over it.
#[derive(Debug, Default)]
pub struct ServiceFlapping {
    units: Mutex<SortedMap<String, History>>,
    slow: Mutex<SortedMap<String, Slow>>,
}

impl ServiceFlapping {
    /// Counts what is new of `unit`'s crashes; says whether they are a slow loop, and whether it last ended as it is meant to.
    fn crashing(
        &self,
        unit: &UnitState,
        look: &Snapshot<'_>,
    ) -> Result<(Option<Crashing>, bool), DetectError> {
        let Ok(mut slow) = self.slow.lock() else {
            return Err(DetectError::Poisoned);
        };
        let pace = Pace::of(&look.config.detect);
        let known = slow.entry(unit.name.clone()).or_insert_with(|| Slow {
            counter: unit.n_restarts,
            ..Slow::default()
        });
        known.see(unit, pace, look.now);
        Ok((known.crashes.judge(pace, look.now), known.meant))
    }

    /// Forgets units that are gone.
    fn forget(&self, names: &SortedSet<&str>) {
        if let Ok(mut slow) = self.slow.lock() {
            slow.retain(|name, _| names.contains(name.as_str()));
        }
    }
}

impl Detector for ServiceFlapping {
    fn name(&self) -> &'static str {
        "service_flapping"
    }

    fn classes(&self) -> &'static [Class] {
        &[Class::ServiceFlapping]
    }

    fn interval(&self, config: &Config) -> Duration {
        super::unit_interval(config)
    }

    fn examine(&self, look: &Snapshot<'_>) -> Result<Sweep, DetectError> {
        if look.managers.is_empty() {
            return Ok(Sweep::Absent("no service manager".to_owned()));
        }
        let units = look.units()?;
        let Ok(mut histories) = self.units.lock() else {
            return Err(DetectError::Poisoned);
        };
        let names: SortedSet<&str> = units.iter().map(|unit| unit.name.as_str()).collect();
        histories.retain(|name, _| names.contains(name.as_str()));
        self.forget(&names);
        let mut found = Vec::new();
        for unit in units {
            let restarts = !matches!(unit.restart.as_str(), "" | "no") || unit.n_restarts > 0;
            if !restarts
                || super::is_own(&unit.name)
                || is_excluded(unit, &look.config.detect.ignore_units)
            {
                continue;
            }
            let open = look.open.contains(Class::ServiceFlapping, &unit.name);
            let history = histories.entry(unit.name.clone()).or_insert_with(|| {
                // Restarts before the first look count when the unit is in trouble right now.
                let before = if unit.is_changing() {
                    0
                } else {
                    unit.n_restarts
                };
                History::new(before, look.now)
            });
            history.see(unit.n_restarts, look.now);
            let (crashing, meant) = self.crashing(unit, look)?;
            let flaps = match meant && !open {
                true => spins(history, look.config, look.now),
                false => flaps(history, look.config, open, look.now),
            };
            found.extend(judge(unit, flaps, crashing, look.now));
        }
        Ok(Sweep::Present(with_last_runs(look, found)))
    }

    fn memory(&self) -> Option<String> {
        let slow = self.slow.lock().ok()?;
        let mut kept: Vec<_> = slow.iter().filter(|(_, one)| one.crashes.any()).collect();
        kept.sort_by_key(|(_, one)| std::cmp::Reverse(one.crashes.last()));
        kept.truncate(KEPT_MOST);
        let kept: SortedMap<&String, &Slow> = kept.into_iter().collect();
        (!kept.is_empty()).then(|| serde_json::to_string(&kept).ok())?
    }

    fn recall(&self, memory: &str) {
        if let (Ok(kept), Ok(mut slow)) = (serde_json::from_str(memory), self.slow.lock()) {
            *slow = kept;
        }
    }
}

/// By the rate. Raise high, clear low.
fn flaps(history: &History, config: &Config, open: bool, now: Timestamp) -> bool {
    let window = Duration::from_secs(config.detect.flap_window_s);
    let half = Duration::from_millis(config.detect.flap_window_s.saturating_mul(500));
    let watched = now.since(history.since) >= half;
    history.within(window, now) >= config.detect.flap_restarts
        || (open && (!watched || history.within(half, now) > 0))
}

/// One that ends as it is meant to and is started again does its work, unless no second passes between.
fn spins(history: &History, config: &Config, now: Timestamp) -> bool {
    let most = config.detect.flap_restarts;
    history.within(Duration::from_secs(most.into()), now) >= most
}

fn judge(
    unit: &UnitState,
    flaps: bool,
    crashing: Option<Crashing>,
    now: Timestamp,
) -> Option<Finding> {
    // A failed unit no longer flaps, that is another class.
    if !(flaps || crashing.is_some()) || (unit.is_failed() && !unit.is_changing()) {
        return None;
    }
    let mut message = match crashing {
        Some(Crashing { times, span, every }) => format!(
            "crashes for ever and is started again by its manager: {times} times in {}, every {}: Result=",
            brief(span),
            brief(every)
        ),
        None => "restarted again and again by its manager: Result=".to_owned(),
    };
    message.push_str(match unit.result.as_str() {
        "" => "unknown",
        result => result,
    });
    if !unit.exit_code.is_empty() {
        message.push_str(" status=");
        message.push_str(&status_text(unit));
    }
    let (class, severity) = (Class::ServiceFlapping, Severity::Error);
    let finding = Finding::new(class, &unit.name, severity, &message, "units", now);
    let crashing = crashing.map(|Crashing { times, span, .. }| Fact::Crashing { times, span });
    Some(with_unit_facts(finding, unit).with(crashing))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic)]
    use std::sync::Arc;

    use super::*;
    use crate::core::config::DeclaredService;
    use crate::detectors::Open;
    use crate::host::Host;
    use crate::host::clock::Clock;
    use crate::host::exec::System;
    use crate::services;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_millis(seconds * 1000)
    }

    #[test]
    fn it_is_raised_high_and_cleared_low() {
        let config = Config::default();
        let mut history = History::new(0, at(0));
        for second in 1..=4 {
            history.see(u32::try_from(second).unwrap(), at(second));
            assert!(!flaps(&history, &config, false, at(second)));
        }
        history.see(5, at(5));
        assert!(flaps(&history, &config, false, at(5)));
        assert!(flaps(&history, &config, true, at(200)));
        assert!(!flaps(&history, &config, true, at(900)));
    }

    #[test]
    fn an_open_condition_survives_a_restart() {
        let config = Config::default();
        let history = History::new(9, at(0));
        assert!(flaps(&history, &config, true, at(10)));
        assert!(!flaps(&history, &config, true, at(400)));
        assert!(!flaps(&history, &config, false, at(10)));
    }

    #[test]
    fn a_counter_that_starts_anew_is_no_rise() {
        let mut history = History::new(7, at(0));
        history.see(0, at(1));
        history.see(1, at(2));
        assert_eq!(history.within(Duration::from_secs(10), at(2)), 1);
    }

    const BETWEEN: Duration = Duration::from_secs(240);

    /// A unit that crashes every four minutes, and how it looks each time before its manager starts it again.
    struct Crasher {
        flapping: ServiceFlapping,
        host: Host,
        config: Config,
        unit: UnitState,
        between: Duration,
    }

    impl Crasher {
        fn new() -> Self {
            Self {
                flapping: ServiceFlapping::default(),
                host: Host::at("/", Clock::manual(at(0)))
                    .with_executor(Arc::new(System::default())),
                config: Config::default(),
                between: BETWEEN,
                unit: UnitState {
                    name: "a.service".to_owned(),
                    active_state: "activating".to_owned(),
                    restart: "always".to_owned(),
                    result: "exit-code".to_owned(),
                    exit_code: "exited".to_owned(),
                    exit_status: 5,
                    ..UnitState::default()
                },
            }
        }

        /// What is found when it has crashed so many times more.
        fn crashes(&mut self, times: u32) -> Option<String> {
            let mut found = None;
            for _ in 0..times {
                found = self.look();
                self.host.clock.advance(self.between);
                self.unit.n_restarts += 1;
            }
            found.or_else(|| self.look())
        }

        fn look(&self) -> Option<String> {
            let mut any = self.config.clone();
            any.service.push(DeclaredService::default());
            let managers = services::present(&self.host, &any);
            let open = Open::default();
            let look = Snapshot::new(&self.host, &self.config, &managers, &open);
            let look = look.knowing(Some(vec![self.unit.clone()]));
            match self.flapping.examine(&look) {
                Ok(Sweep::Present(found)) => found.first().map(|one| one.message.clone()),
                other => panic!("{other:?}"),
            }
        }
    }

    #[test]
    fn a_crash_every_few_minutes_is_found_by_its_count() {
        let mut crasher = Crasher::new();
        assert_eq!(crasher.crashes(7), None);
        let found = crasher.crashes(1).unwrap_or_default();
        assert!(found.contains("8 times in 28 m, every 4 m"), "{found}");
        assert!(
            found.ends_with("Result=exit-code status=5/NOTINSTALLED"),
            "{found}"
        );
    }

    #[test]
    fn the_count_outlives_this_program() {
        let mut crasher = Crasher::new();
        assert_eq!(crasher.flapping.memory(), None);
        assert_eq!(crasher.crashes(5), None);
        let memory = crasher.flapping.memory().unwrap();
        crasher.flapping = ServiceFlapping::default();
        crasher.flapping.recall(&memory);
        assert_eq!(crasher.flapping.memory(), Some(memory));
        assert!(crasher.crashes(3).is_some());
        crasher.flapping.recall("{\"x\":");
        assert!(
            crasher.look().is_some(),
            "what cannot be read changes nothing"
        );
    }

    #[test]
    fn a_restart_that_was_meant_does_not_count() {
        let mut polls = Crasher::new();
        (polls.unit.result, polls.unit.exit_status) = ("success".to_owned(), 0);
        assert_eq!(polls.crashes(40), None);
        let by_hand = Crasher::new();
        // A start by hand raises no counter.
        for _ in 0..40 {
            by_hand.host.clock.advance(Duration::from_secs(240));
            assert_eq!(by_hand.look(), None);
        }
    }

    #[test]
    fn one_that_does_its_work_every_few_seconds_is_no_fault_and_one_that_spins_is() {
        for (between, spins) in [(5_000, false), (1_500, false), (150, true)] {
            let mut polls = Crasher::new();
            (polls.unit.result, polls.unit.exit_status) = ("success".to_owned(), 0);
            polls.between = Duration::from_millis(between);
            assert_eq!(polls.crashes(40).is_some(), spins, "every {between} ms");
        }
        let mut fails = Crasher::new();
        fails.between = Duration::from_secs(5);
        assert!(fails.crashes(5).is_some());
    }

    #[test]
    fn of_very_many_units_the_last_to_crash_are_kept() {
        let flapping = ServiceFlapping::default();
        for number in 0..100 {
            let mut slow = Slow::default();
            slow.crashes
                .see(1, Pace::of(&Config::default().detect), at(number));
            flapping
                .slow
                .lock()
                .unwrap()
                .insert(format!("{number:03}.service"), slow);
        }
        let kept: SortedMap<String, Slow> =
            serde_json::from_str(&flapping.memory().unwrap()).unwrap();
        assert_eq!(kept.len(), KEPT_MOST);
        assert_eq!(kept.keys().next().map(String::as_str), Some("036.service"));
    }
}
