//! Units that are enabled and wanted by a running target, and do not run.

use std::sync::Mutex;
use std::time::Duration;

use crate::core::config::Config;
use crate::core::model::class::Class;
use crate::core::model::sorted::{SortedMap, SortedSet};
use crate::core::model::time::Timestamp;
use crate::core::reading::unit_state::{has_unit_type, is_excluded, judge_inactive};
use crate::detectors::last_run::with_last_runs;
use crate::detectors::{DetectError, Detector, Snapshot, Sweep};

/// A unit must be seen inactive this long: between stop and start of a restart it is so for a moment.
const SETTLE: Duration = Duration::from_secs(5);

/// Remembers since when a unit was seen inactive; a restart of the daemon only delays a finding.
#[derive(Debug, Default)]
pub struct ServiceInactive {
    since: Mutex<SortedMap<String, Timestamp>>,
}

impl Detector for ServiceInactive {
    fn name(&self) -> &'static str {
        "service_inactive"
    }

    fn classes(&self) -> &'static [Class] {
        &[Class::ServiceInactive]
    }

    fn interval(&self, config: &Config) -> Duration {
        super::unit_interval(config)
    }

    fn examine(&self, look: &Snapshot<'_>) -> Result<Sweep, DetectError> {
        if look.managers.is_empty() {
            return Ok(Sweep::Absent("no service manager".to_owned()));
        }
        let units = look.units()?;
        let active: SortedSet<&str> = units
            .iter()
            .filter(|unit| unit.is_active())
            .map(|unit| unit.name.as_str())
            .collect();
        // Run levels and declared services have no unit that could be down.
        let is_up = |name: &str| !has_unit_type(name) || active.contains(name);
        let found: Vec<_> = units
            .iter()
            .filter(|unit| !super::is_own(&unit.name))
            .filter(|unit| !is_excluded(unit, &look.config.detect.ignore_units))
            .filter_map(|unit| judge_inactive(unit, &is_up, look.now))
            .collect();
        let Ok(mut since) = self.since.lock() else {
            return Err(DetectError::Poisoned);
        };
        let now_seen: SortedSet<&str> = found.iter().map(|f| f.subject.as_str()).collect();
        since.retain(|name, _| now_seen.contains(name.as_str()));
        let settled = |name: &str, first: Timestamp| {
            look.now.since(first) >= SETTLE || look.open.contains(Class::ServiceInactive, name)
        };
        let mut kept = Vec::new();
        for finding in found {
            let first = *since.entry(finding.subject.clone()).or_insert(look.now);
            if settled(&finding.subject, first) {
                kept.push(finding);
            }
        }
        Ok(Sweep::Present(with_last_runs(look, kept)))
    }
}
