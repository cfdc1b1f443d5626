//! Unit files that changed on disk while the service manager still uses what it read before.

use std::sync::Mutex;
use std::time::Duration;

use crate::core::config::Config;
use crate::core::model::class::Class;
use crate::core::model::facts::Fact;
use crate::core::model::finding::{Finding, Severity};
use crate::core::model::sorted::SortedMap;
use crate::core::model::time::Timestamp;
use crate::core::reading::unit_state::is_excluded;
use crate::detectors::{DetectError, Detector, Snapshot, Sweep};

/// Someone who edits a unit file is given this long to reload by hand.
const PATIENCE: Duration = Duration::from_secs(120);

/// Remembers since when a unit waits for a reload.
#[derive(Debug, Default)]
pub struct ConfigDrift {
    since: Mutex<SortedMap<String, Timestamp>>,
}

impl Detector for ConfigDrift {
    fn name(&self) -> &'static str {
        "config_drift"
    }

    fn classes(&self) -> &'static [Class] {
        &[Class::ConfigDrift]
    }

    fn interval(&self, config: &Config) -> Duration {
        Duration::from_secs(config.detect.path_sweep_s.max(1))
    }

    fn examine(&self, look: &Snapshot<'_>) -> Result<Sweep, DetectError> {
        if look.managers.is_empty() {
            return Ok(Sweep::Absent("no service manager".to_owned()));
        }
        let Ok(mut since) = self.since.lock() else {
            return Err(DetectError::Poisoned);
        };
        let drifted: Vec<&str> = look
            .units()?
            .iter()
            .filter(|unit| unit.need_daemon_reload && !super::is_own(&unit.name))
            .filter(|unit| !is_excluded(unit, &look.config.detect.ignore_units))
            .map(|unit| unit.name.as_str())
            .collect();
        since.retain(|name, _| drifted.contains(&name.as_str()));
        let mut found = Vec::new();
        for name in drifted {
            let first = *since.entry(name.to_owned()).or_insert(look.now);
            if look.now.since(first) >= PATIENCE || look.open.contains(Class::ConfigDrift, name) {
                let message = "its unit file changed on disk; the service manager uses the old one until a reload";
                found.push(
                    Finding::new(
                        Class::ConfigDrift,
                        name,
                        Severity::Info,
                        message,
                        "units",
                        look.now,
                    )
                    .with(Fact::Unit(name)),
                );
            }
        }
        Ok(Sweep::Present(found))
    }
}
