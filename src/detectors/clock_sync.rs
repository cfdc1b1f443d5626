//! A clock that should be synchronised and is not.

use std::io;
use std::time::Duration;

use crate::core::config::Config;
use crate::core::model::class::Class;
use crate::core::model::facts::Fact;
use crate::core::model::finding::{Finding, Severity};
use crate::core::model::unit::UnitState;
use crate::detectors::{DetectError, Detector, Snapshot, Sweep};
use crate::host::boot::uptime_millis;

const INTERVAL: Duration = Duration::from_secs(30);
/// A time daemon needs so long after its start for the first synchronisation over a slow uplink.
const PATIENCE_MS: i64 = 600_000;
/// Units that synchronise the clock. Without one running, an unsynchronised clock is how the box was built.
const DAEMONS: &[&str] = &[
    "systemd-timesyncd",
    "chronyd",
    "chrony",
    "ntpd",
    "ntp",
    "ntpsec",
    "openntpd",
    "ptp4l",
    "phc2sys",
];

#[derive(Debug)]
pub struct ClockSync;

impl Detector for ClockSync {
    fn name(&self) -> &'static str {
        "clock_unsynced"
    }

    fn classes(&self) -> &'static [Class] {
        &[Class::ClockUnsynced]
    }

    fn interval(&self, _config: &Config) -> Duration {
        INTERVAL
    }

    fn examine(&self, look: &Snapshot<'_>) -> Result<Sweep, DetectError> {
        let Some(daemon) = look.units()?.iter().find(|unit| is_time_daemon(unit)) else {
            return Ok(Sweep::Absent(
                "no time synchronisation runs here".to_owned(),
            ));
        };
        let up = uptime_millis(look.host).unwrap_or(0);
        let since = i64::try_from(daemon.active_enter_us / 1000).unwrap_or(i64::MAX);
        let Some(synced) = kernel_says(look.host.clock.is_synced())? else {
            return Ok(Sweep::Absent("this kernel does not tell".to_owned()));
        };
        if synced || up.saturating_sub(since) < PATIENCE_MS {
            return Ok(Sweep::Present(Vec::new()));
        }
        let message = "the clock is not synchronised although a time daemon runs";
        let finding = Finding::new(
            Class::ClockUnsynced,
            "clock",
            Severity::Warning,
            message,
            "clock",
            look.now,
        );
        Ok(Sweep::Present(vec![finding.with(Fact::Unit(&daemon.name))]))
    }
}

fn is_time_daemon(unit: &UnitState) -> bool {
    let name = unit.name.strip_suffix(".service").unwrap_or(&unit.name);
    unit.is_active() && DAEMONS.contains(&name)
}

/// A kernel without the call is built so; one that refuses it to us says nothing about the clock.
fn kernel_says(synced: io::Result<bool>) -> Result<Option<bool>, DetectError> {
    match synced {
        Err(why) if why.kind() == io::ErrorKind::Unsupported => Ok(None),
        other => super::told("adjtimex", other),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_kernel_that_refuses_to_answer_says_neither_yes_nor_no() {
        let refused = |number| Err(io::Error::from_raw_os_error(number));
        assert_eq!(kernel_says(Ok(false)).unwrap(), Some(false));
        assert_eq!(kernel_says(refused(nix::libc::ENOSYS)).unwrap(), None);
        let told = kernel_says(refused(nix::libc::EPERM)).unwrap_err();
        assert!(told.to_string().starts_with("adjtimex: "), "{told}");
    }
}
