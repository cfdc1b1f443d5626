//! Units that their manager restarts again and again: said once when it starts, cleared once when it ends.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Mutex;
use std::time::Duration;

use crate::core::config::Config;
use crate::core::model::class::Class;
use crate::core::model::finding::{Finding, Severity};
use crate::core::model::time::Timestamp;
use crate::core::model::unit::UnitState;
use crate::core::reading::unit_state::{is_excluded, status_text, with_unit_facts};
use crate::detectors::last_run::with_last_runs;
use crate::detectors::{DetectError, Detector, Snapshot, Sweep};

/// Restarts remembered per unit; more in one window change nothing.
const REMEMBERED: usize = 16;

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

/// Remembers restarts in memory; what stood open before a restart of the daemon stays open until a whole
/// half window was watched.
#[derive(Debug, Default)]
pub struct ServiceFlapping {
    units: Mutex<BTreeMap<String, History>>,
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
        let names: BTreeSet<&str> = units.iter().map(|unit| unit.name.as_str()).collect();
        histories.retain(|name, _| names.contains(name.as_str()));
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
            found.extend(judge(unit, history, look.config, open, look.now));
        }
        Ok(Sweep::Present(with_last_runs(look, found)))
    }
}

fn judge(
    unit: &UnitState,
    history: &History,
    config: &Config,
    open: bool,
    now: Timestamp,
) -> Option<Finding> {
    let window = Duration::from_secs(config.detect.flap_window_s);
    let restarts = history.within(window, now);
    let half = Duration::from_millis(config.detect.flap_window_s.saturating_mul(500));
    let watched = now.since(history.since) >= half;
    // Raise high, clear low; a failed unit no longer flaps, that is another class.
    let flaps = restarts >= config.detect.flap_restarts
        || (open && (!watched || history.within(half, now) > 0));
    if !flaps || (unit.is_failed() && !unit.is_changing()) {
        return None;
    }
    let mut message = format!(
        "restarted again and again by its manager: Result={}",
        if unit.result.is_empty() {
            "unknown"
        } else {
            &unit.result
        }
    );
    if !unit.exit_code.is_empty() {
        message.push_str(" status=");
        message.push_str(&status_text(unit));
    }
    let finding = Finding::new(
        Class::ServiceFlapping,
        &unit.name,
        Severity::Error,
        &message,
        "units",
        now,
    );
    Some(with_unit_facts(finding, unit))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_millis(seconds * 1000)
    }

    #[test]
    fn it_is_raised_high_and_cleared_low() {
        let config = Config::default();
        let unit = UnitState {
            name: "a.service".to_owned(),
            active_state: "activating".to_owned(),
            ..UnitState::default()
        };
        let mut history = History::new(0, at(0));
        for second in 1..=4 {
            history.see(u32::try_from(second).unwrap(), at(second));
            assert_eq!(judge(&unit, &history, &config, false, at(second)), None);
        }
        history.see(5, at(5));
        assert!(judge(&unit, &history, &config, false, at(5)).is_some());
        assert!(judge(&unit, &history, &config, true, at(200)).is_some());
        assert_eq!(judge(&unit, &history, &config, true, at(900)), None);
    }

    #[test]
    fn an_open_condition_survives_a_restart() {
        let config = Config::default();
        let unit = UnitState::default();
        let history = History::new(9, at(0));
        assert!(judge(&unit, &history, &config, true, at(10)).is_some());
        assert_eq!(judge(&unit, &history, &config, true, at(400)), None);
        assert_eq!(judge(&unit, &history, &config, false, at(10)), None);
    }

    #[test]
    fn a_counter_that_starts_anew_is_no_rise() {
        let mut history = History::new(7, at(0));
        history.see(0, at(1));
        history.see(1, at(2));
        assert_eq!(history.within(Duration::from_secs(10), at(2)), 1);
    }
}
