//! Network interfaces that the operator says must be up.

use std::time::Duration;

use crate::core::config::Config;
use crate::core::model::class::Class;
use crate::core::model::facts::Fact;
use crate::core::model::finding::{Finding, Severity};
use crate::detectors::{DetectError, Detector, Snapshot, Sweep};

const INTERVAL: Duration = Duration::from_secs(10);

#[derive(Debug)]
pub struct Network;

impl Detector for Network {
    fn name(&self) -> &'static str {
        "network_down"
    }

    fn classes(&self) -> &'static [Class] {
        &[Class::NetworkDown]
    }

    fn interval(&self, _config: &Config) -> Duration {
        INTERVAL
    }

    fn examine(&self, look: &Snapshot<'_>) -> Result<Sweep, DetectError> {
        let wanted = &look.config.detect.interfaces;
        if wanted.is_empty() {
            return Ok(Sweep::Absent("detect.interfaces names none".to_owned()));
        }
        let mut found = Vec::new();
        for interface in wanted {
            let path = format!("/sys/class/net/{interface}/operstate");
            let what = match super::told(&path, look.host.read(&path, 64))? {
                // Tunnels and modems say unknown while they work.
                Some(state) if matches!(state.trim(), "up" | "unknown") => continue,
                Some(state) => format!("interface is {}", state.trim()),
                None => "interface does not exist".to_owned(),
            };
            let finding = Finding::new(
                Class::NetworkDown,
                interface,
                Severity::Error,
                &what,
                "network",
                look.now,
            );
            found.push(finding.with(Fact::Device(interface)));
        }
        Ok(Sweep::Present(found))
    }
}
