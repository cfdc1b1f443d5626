//! Units in state failed, with what they last said.

use std::time::Duration;

use crate::core::config::Config;
use crate::core::model::class::Class;
use crate::core::reading::unit_state::{is_excluded, judge_failed};
use crate::detectors::last_run::with_last_runs;
use crate::detectors::{DetectError, Detector, Snapshot, Sweep};

#[derive(Debug)]
pub struct ServiceFailed;

impl Detector for ServiceFailed {
    fn name(&self) -> &'static str {
        "service_failed"
    }

    fn classes(&self) -> &'static [Class] {
        &[Class::ServiceFailed, Class::ServiceWatchdog]
    }

    fn interval(&self, config: &Config) -> Duration {
        super::unit_interval(config)
    }

    fn examine(&self, look: &Snapshot<'_>) -> Result<Sweep, DetectError> {
        if look.managers.is_empty() {
            return Ok(Sweep::Absent("no service manager".to_owned()));
        }
        let found = look
            .units()?
            .iter()
            .filter(|unit| !super::is_own(&unit.name))
            .filter(|unit| !is_excluded(unit, &look.config.detect.ignore_units))
            .filter_map(|unit| judge_failed(unit, look.now))
            .collect();
        Ok(Sweep::Present(with_last_runs(look, found)))
    }
}
