//! Units in state failed, with what they last said.

use std::time::Duration;

use crate::core::config::Config;
use crate::core::model::class::Class;
use crate::core::model::facts::Fact;
use crate::core::model::finding::Finding;
use crate::core::model::text::cut;
use crate::core::reading::unit_state::{is_excluded, judge_failed};
use crate::detectors::{DetectError, Detector, Snapshot, Sweep};
use crate::host::Host;

/// Lines of the unit's own log that go with a finding.
const LOG_LINES: &str = "12";
/// Most bytes kept of them.
const LOG_CAP: usize = 2_000;
const LOG_DEADLINE: Duration = Duration::from_secs(5);
/// Log lines are read for this many failed units of one sweep: a storm must not fork for each.
const LOGS_MOST: usize = 8;

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
        let mut read = 0_usize;
        let found = look
            .units()?
            .iter()
            .filter(|unit| !super::is_own(&unit.name))
            .filter(|unit| !is_excluded(unit, &look.config.detect.ignore_units))
            .filter_map(|unit| judge_failed(unit, look.now))
            .map(|finding| {
                // A standing condition was given its log lines when it was new.
                if look.open.contains(finding.class, &finding.subject) || read >= LOGS_MOST {
                    return finding;
                }
                read = read.saturating_add(1);
                with_log(look.host, finding)
            })
            .collect();
        Ok(Sweep::Present(found))
    }
}

/// Adds the newest lines of the subject's own log, newest first. No log is no fault.
fn with_log(host: &Host, finding: Finding) -> Finding {
    if finding.subject.starts_with('-') {
        return finding;
    }
    let args = [
        "-u",
        &finding.subject,
        "-n",
        LOG_LINES,
        "-r",
        "-q",
        "-o",
        "cat",
        "--no-pager",
    ];
    match host.run("journalctl", &args, LOG_DEADLINE) {
        Ok(out) if out.success() => {
            let text = out.text();
            finding.with(Fact::Log(cut(text.trim(), LOG_CAP)))
        }
        _ => finding,
    }
}
