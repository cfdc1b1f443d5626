//! systemd: what its units are, what happens to them, and jobs for them.

#[allow(dead_code, reason = "typed values come with the bus")]
mod decode;
mod heard;
mod systemctl;

use std::time::Duration;

use crate::core::model::manager_event::{ManagerEvent, ManagerState};
use crate::core::model::unit::{UnitEnd, UnitName, UnitState, unit_of_cgroup};
use crate::host::{Host, READ_CAP, procfs};
use crate::services::systemd::heard::Heard;
use crate::services::systemd::systemctl::Systemctl;
use crate::services::{Order, ServiceError, ServiceManager};

#[cfg(fuzzing)]
pub use systemctl::parse_show;

/// Longest a query may take before the manager counts as stuck.
const QUERY_DEADLINE: Duration = Duration::from_secs(15);

#[derive(Debug)]
pub struct Systemd {
    host: Host,
    systemctl: Systemctl,
    heard: Heard,
}

impl Systemd {
    /// `None` where systemd is not the running init (sd_booted(3)).
    pub fn present(host: &Host) -> Option<Self> {
        let running = host.path("/run/systemd/system").is_dir();
        running.then(|| Self {
            host: host.clone(),
            systemctl: Systemctl::new(host),
            heard: Heard::default(),
        })
    }
}

impl ServiceManager for Systemd {
    fn name(&self) -> &'static str {
        "systemd"
    }

    fn units(&self) -> Result<Vec<UnitState>, ServiceError> {
        let mut units = self.systemctl.units()?;
        self.heard.fill(&mut units);
        Ok(units)
    }

    fn unit(&self, unit: &UnitName) -> Result<UnitState, ServiceError> {
        let mut found = self.systemctl.named(&[unit.as_str()])?;
        if found.iter().any(|state| self.heard.asks_others(state)) {
            let others = self.systemctl.units()?;
            found.extend(
                others
                    .into_iter()
                    .filter(|other| other.name != unit.as_str()),
            );
        }
        self.heard.fill(&mut found);
        found
            .into_iter()
            .next()
            .filter(|state| state.load_state != "not-found")
            .ok_or_else(|| ServiceError::UnknownUnit(unit.to_string()))
    }

    fn named(&self, units: &[&str]) -> Result<Vec<UnitState>, ServiceError> {
        if units.is_empty() {
            return Ok(Vec::new());
        }
        let mut found = self.systemctl.named(units)?;
        self.heard.fill(&mut found);
        Ok(found)
    }

    fn state(&self) -> Result<ManagerState, ServiceError> {
        self.systemctl.state()
    }

    fn hear(&self, events: &[ManagerEvent]) {
        self.heard.hear(events);
    }

    fn recall(&self, events: &[ManagerEvent]) {
        self.heard.recall(events);
    }

    fn remember(&self, ends: &[UnitEnd]) {
        self.heard.remember(ends);
    }

    fn ends(&self) -> Vec<UnitEnd> {
        self.heard.ends()
    }

    fn wants_recall(&self) -> bool {
        self.heard.wants_recall()
    }

    fn order(&self, order: Order, unit: &UnitName) -> Result<(), ServiceError> {
        self.systemctl.order(order, unit)
    }

    fn reload(&self) -> Result<(), ServiceError> {
        self.systemctl.reload()
    }

    fn unit_of(&self, pid: u32) -> Option<String> {
        owner_of_cgroup(&self.host, &procfs::group_below_manager(&self.host, pid)?)
    }
}

/// A container's scope is a unit as good as a service, and so is the session of somebody who is logged in.
fn owner_of_cgroup(host: &Host, cgroup: &str) -> Option<String> {
    let unit = unit_of_cgroup(cgroup)?;
    let session = unit
        .strip_prefix("session-")
        .and_then(|rest| rest.strip_suffix(".scope"));
    let over = session.is_some_and(|id| {
        host.read(format!("/run/systemd/sessions/{id}"), READ_CAP)
            .map_or(true, |text| {
                text.lines().any(|line| line == "STATE=closing")
            })
    });
    (!over).then(|| unit.to_owned())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn services_containers_and_live_sessions_own_their_processes() {
        let dir = tempfile::tempdir().unwrap();
        let sessions = dir.path().join("run/systemd/sessions");
        std::fs::create_dir_all(&sessions).unwrap();
        std::fs::write(sessions.join("3"), "UID=0\nSTATE=active\n").unwrap();
        std::fs::write(sessions.join("4"), "UID=0\nSTATE=closing\n").unwrap();
        let clock = crate::host::clock::Clock::manual(Default::default());
        let host = Host::at(dir.path(), clock);
        for (cgroup, want) in [
            ("/system.slice/a.service", Some("a.service")),
            ("/system.slice/a.service/worker", Some("a.service")),
            ("/system.slice/docker-0a.scope", Some("docker-0a.scope")),
            (
                "/user.slice/user-0.slice/session-3.scope",
                Some("session-3.scope"),
            ),
            (
                "/user.slice/user-0.slice/session-3.scope/web.service",
                Some("session-3.scope"),
            ),
            ("/user.slice/user-0.slice/session-4.scope", None),
            ("/user.slice/user-0.slice/session-5.scope", None),
            ("/", None),
        ] {
            assert_eq!(owner_of_cgroup(&host, cgroup).as_deref(), want, "{cgroup}");
        }
    }
}
