//! SysV init scripts: the S links of the running level, and each script's own `status`.

use std::time::Duration;

use crate::core::unit::{UnitName, UnitState};
use crate::host::exec;
use crate::host::{Host, READ_CAP};
use crate::services::{ORDER_DEADLINE, Order, ServiceError, ServiceManager};

const QUERY_DEADLINE: Duration = Duration::from_secs(10);
/// Runlevels whose links count where the running one cannot be asked (LSB: 2 to 5 are multi-user).
const RUNLEVELS: [char; 4] = ['2', '3', '4', '5'];

#[derive(Debug)]
pub struct Sysv {
    host: Host,
}

impl Sysv {
    /// `None` where another init runs the host, or there are no scripts.
    pub fn present(host: &Host) -> Option<Self> {
        let other = host.path("/run/systemd/system").is_dir()
            || host.path("/run/openrc/softlevel").exists();
        let scripts = host.path("/etc/init.d").is_dir();
        (host.is_real() && scripts && !other).then(|| Self { host: host.clone() })
    }

    /// Names with an S link in a multi-user level.
    fn enabled(&self) -> Vec<String> {
        let mut names: Vec<String> = RUNLEVELS
            .iter()
            .filter_map(|level| std::fs::read_dir(self.host.path(format!("/etc/rc{level}.d"))).ok())
            .flat_map(|entries| entries.flatten())
            .filter_map(|entry| start_link(entry.file_name().to_str()?))
            .collect();
        names.sort();
        names.dedup();
        names
    }

    /// Only scripts that know the word are asked: others may do anything when called with it.
    fn knows_status(&self, name: &str) -> bool {
        self.host
            .read(format!("/etc/init.d/{name}"), READ_CAP)
            .is_ok_and(|text| {
                text.lines()
                    .any(|line| line.trim_start().starts_with("status") || line.contains("status)"))
            })
    }

    fn run(
        &self,
        name: &str,
        verb: &str,
        deadline: Duration,
    ) -> Result<exec::Output, ServiceError> {
        exec::run(&format!("/etc/init.d/{name}"), &[verb], deadline).map_err(ServiceError::Exec)
    }

    fn state(&self, name: &str) -> Option<UnitState> {
        if !self.knows_status(name) {
            return None;
        }
        let out = self.run(name, "status", QUERY_DEADLINE).ok()?;
        Some(unit_state(name, out.status))
    }
}

/// `S20name` -> `name`
fn start_link(file: &str) -> Option<String> {
    let rest = file.strip_prefix('S')?;
    let name = rest.trim_start_matches(|c: char| c.is_ascii_digit());
    (name.len() < rest.len() && !name.is_empty()).then(|| name.to_owned())
}

/// Exit statuses of `status` (LSB Core, init script actions): 0 running, 1 dead with a pid file, 2 dead
/// with a lock file, 3 not running.
fn unit_state(name: &str, status: i32) -> UnitState {
    let active = match status {
        0 => "active",
        1 | 2 => "failed",
        _ => "inactive",
    };
    UnitState {
        name: name.to_owned(),
        load_state: "loaded".to_owned(),
        active_state: active.to_owned(),
        service_type: "forking".to_owned(),
        result: if active == "failed" {
            "signal"
        } else {
            "success"
        }
        .to_owned(),
        unit_file_state: "enabled".to_owned(),
        wanted_by: vec!["runlevel".to_owned()],
        condition_result: true,
        // Without its pid file it was stopped in order; one that died leaves the file behind.
        stopped_by_job: active == "inactive",
        fragment_path: format!("/etc/init.d/{name}"),
        ..UnitState::default()
    }
}

impl ServiceManager for Sysv {
    fn name(&self) -> &'static str {
        "sysv"
    }

    fn units(&self) -> Result<Vec<UnitState>, ServiceError> {
        Ok(self
            .enabled()
            .iter()
            .filter_map(|name| self.state(name))
            .collect())
    }

    fn unit(&self, unit: &UnitName) -> Result<UnitState, ServiceError> {
        self.state(unit.as_str())
            .ok_or_else(|| ServiceError::UnknownUnit(unit.to_string()))
    }

    fn order(&self, order: Order, unit: &UnitName) -> Result<(), ServiceError> {
        let verb = match order {
            Order::Start => "start",
            Order::Stop => "stop",
            // A plain start of a dead service with a stale pid file is refused by many scripts.
            Order::Restart | Order::ResetFailedStart => "restart",
        };
        let out = self.run(unit.as_str(), verb, ORDER_DEADLINE)?;
        if out.success() {
            Ok(())
        } else {
            Err(ServiceError::Refused(out.reason()))
        }
    }

    fn reload(&self) -> Result<(), ServiceError> {
        Ok(())
    }

    fn unit_of(&self, _pid: u32) -> Option<String> {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn start_links_name_their_service() {
        assert_eq!(start_link("S20gateway").as_deref(), Some("gateway"));
        for other in ["K20gateway", "README", "S20", "Sgateway", "S"] {
            assert_eq!(start_link(other), None, "{other}");
        }
    }

    #[test]
    fn only_a_pid_file_left_behind_is_a_failure() {
        assert!(unit_state("a", 1).is_failed());
        let stopped = unit_state("a", 3);
        assert!(!stopped.is_failed() && stopped.stopped_by_job);
    }
}
