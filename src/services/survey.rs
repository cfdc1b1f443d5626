//! What runs on this host and is worth watching: what a first configuration is proposed from.

use std::sync::Arc;

use crate::core::model::sorted::SortedSet;
use crate::core::model::unit::UnitState;
use crate::host::{Host, procfs};
use crate::services::census::{Census, ListeningProcesses};
use crate::services::{ServiceError, ServiceManager};

/// Where unit files of the distribution, and those that the boot makes, lie.
const OF_THE_DISTRIBUTION: [&str; 4] = ["/usr/lib/", "/lib/", "/run/", "/usr/share/"];
/// Beginnings of what keeps the host itself going, and of ourselves.
const OF_THE_HOST: [&str; 7] = [
    "systemd-",
    "getty",
    "serial-getty",
    "user@",
    "dbus",
    "session-",
    "autonomous-orchestrator",
];
/// Beginnings of device files by which the world outside is reached.
const FIELD: [&str; 12] = [
    "ttyS", "ttyUSB", "ttyACM", "ttyAMA", "ttymxc", "ttyO", "ttymod", "i2c-", "spidev", "gpiochip",
    "hidraw", "cdc-wdm",
];

/// A service that runs, and what tells how it does.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Surveyed {
    pub unit: String,
    /// Its unit file is no distribution's.
    pub own: bool,
    /// TCP ports it listens on.
    pub ports: SortedSet<u16>,
    /// Devices of the field that it holds open.
    pub devices: SortedSet<String>,
    /// Log files that it holds open.
    pub logs: SortedSet<String>,
}

/// The services that run, by name. Without root what they listen on and hold open is not seen.
pub fn survey(
    host: &Host,
    managers: &[Arc<dyn ServiceManager>],
) -> Result<Vec<Surveyed>, ServiceError> {
    let census = Census::take(host);
    let mut listening = ListeningProcesses::default();
    // A host without these tables has services without ports.
    let _ = listening.refresh(host, &census);
    let mut found = Vec::new();
    for manager in managers {
        let units = manager.units()?;
        let running = units.iter().filter(|unit| is_worth_watching(unit));
        found.extend(running.map(|unit| {
            let mut one = Surveyed {
                unit: unit.name.clone(),
                own: !OF_THE_DISTRIBUTION
                    .iter()
                    .any(|at| unit.fragment_path.starts_with(at)),
                ..Surveyed::default()
            };
            for pid in census.pids_of(unit) {
                one.ports.extend(listening.tcp_of(pid));
                holds(host, pid, &mut one);
            }
            one
        }));
    }
    found.sort_by(|a, b| a.unit.cmp(&b.unit));
    Ok(found)
}

fn is_worth_watching(unit: &UnitState) -> bool {
    let runs = unit.active_state == "active" && unit.sub_state != "exited";
    runs && unit.name.ends_with(".service")
        && !OF_THE_HOST.iter().any(|start| unit.name.starts_with(start))
}

/// Notes the devices and log files that a process holds open.
fn holds(host: &Host, pid: u32, one: &mut Surveyed) {
    for path in procfs::open_paths(host, pid) {
        if let Some(name) = path.strip_prefix("/dev/")
            && FIELD.iter().any(|start| name.starts_with(start))
        {
            one.devices.insert(path);
        } else if path.starts_with("/var/log/") && !path.starts_with("/var/log/journal/") {
            one.logs.insert(path);
        }
    }
}

/// Network interfaces of real hardware that are up.
pub fn interfaces(host: &Host) -> Vec<String> {
    let Ok(entries) = std::fs::read_dir(host.path("/sys/class/net")) else {
        return Vec::new();
    };
    let mut names: Vec<String> = entries
        .flatten()
        .filter_map(|entry| entry.file_name().into_string().ok())
        .filter(|name| {
            let at = format!("/sys/class/net/{name}");
            let is_up = host
                .read(format!("{at}/operstate"), 64)
                .is_ok_and(|state| state.trim() == "up");
            is_up && host.path(format!("{at}/device")).exists()
        })
        .collect();
    names.sort();
    names
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::host::clock::Clock;

    fn unit(name: &str, active: &str, sub: &str) -> UnitState {
        UnitState {
            name: name.to_owned(),
            active_state: active.to_owned(),
            sub_state: sub.to_owned(),
            ..UnitState::default()
        }
    }

    #[test]
    fn what_runs_for_the_operator_is_worth_watching() {
        for (name, active, sub, worth) in [
            ("web.service", "active", "running", true),
            ("web.service", "failed", "failed", false),
            ("once.service", "active", "exited", false),
            ("web.socket", "active", "listening", false),
            ("systemd-journald.service", "active", "running", false),
            ("getty@tty1.service", "active", "running", false),
            (
                "autonomous-orchestrator.service",
                "active",
                "running",
                false,
            ),
        ] {
            assert_eq!(is_worth_watching(&unit(name, active, sub)), worth, "{name}");
        }
    }

    #[test]
    fn only_hardware_that_is_up_is_an_interface() {
        let dir = tempfile::tempdir().unwrap();
        for (name, state, hardware) in [
            ("eth0", "up\n", true),
            ("eth1", "down\n", true),
            ("lo", "unknown\n", false),
            ("br0", "up\n", false),
        ] {
            let at = dir.path().join("sys/class/net").join(name);
            std::fs::create_dir_all(&at).unwrap();
            std::fs::write(at.join("operstate"), state).unwrap();
            if hardware {
                std::fs::create_dir(at.join("device")).unwrap();
            }
        }
        let host = Host::at(dir.path(), Clock::system());
        assert_eq!(interfaces(&host), ["eth0"]);
        assert!(interfaces(&Host::at(dir.path().join("none"), Clock::system())).is_empty());
    }

    #[test]
    fn devices_and_logs_are_told_by_what_is_open() {
        let dir = tempfile::tempdir().unwrap();
        let fd = dir.path().join("proc/7/fd");
        std::fs::create_dir_all(&fd).unwrap();
        for (at, target) in [
            "/dev/ttyUSB0",
            "/dev/null",
            "/var/log/app/app.log",
            "/var/log/journal/x",
            "socket:[7]",
        ]
        .iter()
        .enumerate()
        {
            std::os::unix::fs::symlink(target, fd.join(at.to_string())).unwrap();
        }
        let mut one = Surveyed::default();
        holds(&Host::at(dir.path(), Clock::system()), 7, &mut one);
        assert_eq!(
            one.devices.into_iter().collect::<Vec<_>>(),
            ["/dev/ttyUSB0"]
        );
        assert_eq!(
            one.logs.into_iter().collect::<Vec<_>>(),
            ["/var/log/app/app.log"]
        );
    }
}
