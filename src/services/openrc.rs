//! OpenRC through `rc-status`, `rc-update` and `rc-service`.

use std::time::Duration;

use crate::core::model::sorted::SortedMap;
use crate::core::model::unit::{Left, UnitName, UnitState};
use crate::host::exec::{Command, Output};
use crate::host::{Host, READ_CAP, files, pid_files};
use crate::services::{Order, Ordered, ServiceError, ServiceManager};

const QUERY_DEADLINE: Duration = Duration::from_secs(15);
const SOFTLEVEL: &str = "/run/openrc/softlevel";

#[derive(Debug)]
pub struct OpenRc {
    host: Host,
}

impl OpenRc {
    /// `None` where OpenRC does not run the host.
    pub fn present(host: &Host) -> Option<Self> {
        let running = host.path(SOFTLEVEL).exists();
        running.then(|| Self { host: host.clone() })
    }

    fn call(
        &self,
        program: &str,
        args: &[&str],
        deadline: Duration,
    ) -> Result<Output, ServiceError> {
        self.host
            .run(program, args, deadline)
            .map_err(ServiceError::Exec)
    }

    fn state(&self, name: &str, runlevel: &str, state: &str) -> UnitState {
        let softlevel = self.host.read(SOFTLEVEL, 256).unwrap_or_default();
        let wanted = [softlevel.trim(), "boot", "sysinit"].contains(&runlevel);
        let failed = self.host.path(format!("/run/openrc/failed/{name}"));
        let state = match state {
            "started" if self.is_dead(name) => "crashed",
            "stopped" if failed.exists() => "failed",
            other => other,
        };
        unit_state(name, wanted.then_some(runlevel), state)
    }

    /// OpenRC compares program paths as they are written, and where they do not match, or start-stop-daemon
    /// is Debian's own, it calls a killed daemon started: the pid file that it noted tells.
    fn is_dead(&self, name: &str) -> bool {
        let read = |path: &str| self.host.read(path, READ_CAP).unwrap_or_default();
        let option = read(&format!("/run/openrc/options/{name}/pidfile"));
        let daemons = files::glob(&self.host, &format!("/run/openrc/daemons/{name}/*"));
        let notes: Vec<String> = daemons.iter().map(|note| read(&note.path)).collect();
        notes
            .iter()
            .filter_map(|note| note_value(note, "pidfile"))
            .chain(Some(option.trim()).filter(|path| path.starts_with('/')))
            // Without its file nothing can be said: a stop removes it, and some never write one.
            .any(|path| {
                self.host.path(path).exists()
                    && matches!(pid_files::named(&self.host, path), Ok(None))
            })
    }
}

/// A value of OpenRC's notes, `key=value` lines; `None` when it is empty.
fn note_value<'a>(text: &'a str, key: &str) -> Option<&'a str> {
    text.lines()
        .find_map(|line| line.strip_prefix(key)?.strip_prefix('='))
        .map(str::trim)
        .filter(|value| value.starts_with('/'))
}

/// Parses `rc-status --all --format ini`: `name = state` lines below `[runlevel]` heads.
pub fn parse_status(text: &str) -> SortedMap<String, (String, String)> {
    let mut runlevel = String::new();
    let mut services = SortedMap::new();
    for line in text.lines().map(str::trim) {
        if let Some(name) = line
            .strip_prefix('[')
            .and_then(|rest| rest.strip_suffix(']'))
        {
            name.clone_into(&mut runlevel);
        } else if let Some((name, state)) = line.split_once('=') {
            let entry = (runlevel.clone(), state.trim().to_owned());
            services.entry(name.trim().to_owned()).or_insert(entry);
        }
    }
    services
}

/// `runlevel` is the one that wants it now, if any.
fn unit_state(name: &str, runlevel: Option<&str>, state: &str) -> UnitState {
    // rc-status: started, stopped, crashed, starting, stopping, inactive, failed.
    let active = match state.split_ascii_whitespace().next().unwrap_or("") {
        "started" => "active",
        "crashed" | "failed" => "failed",
        "starting" => "activating",
        "stopping" => "deactivating",
        _ => "inactive",
    };
    UnitState {
        name: name.to_owned(),
        load_state: "loaded".to_owned(),
        active_state: active.to_owned(),
        sub_state: state.to_owned(),
        service_type: "forking".to_owned(),
        result: if active == "failed" {
            "signal"
        } else {
            "success"
        }
        .to_owned(),
        unit_file_state: if runlevel.is_some() {
            "enabled"
        } else {
            "disabled"
        }
        .to_owned(),
        wanted_by: runlevel.map(str::to_owned).into_iter().collect(),
        condition_result: true,
        // OpenRC says `crashed` when a daemon died; plain `stopped` means somebody stopped it.
        left: Left::of_state(active),
        fragment_path: format!("/etc/init.d/{name}"),
        ..UnitState::default()
    }
}

impl ServiceManager for OpenRc {
    fn name(&self) -> &'static str {
        "openrc"
    }

    fn units(&self) -> Result<Vec<UnitState>, ServiceError> {
        let out = self.call(
            "rc-status",
            &["--all", "--nocolor", "--format", "ini"],
            QUERY_DEADLINE,
        )?;
        if !out.success() {
            return Err(ServiceError::Refused(out.reason()));
        }
        Ok(parse_status(&out.text())
            .iter()
            .map(|(name, (runlevel, state))| self.state(name, runlevel, state))
            .collect())
    }

    fn unit(&self, unit: &UnitName) -> Result<UnitState, ServiceError> {
        self.units()?
            .into_iter()
            .find(|state| state.name == unit.as_str())
            .ok_or_else(|| ServiceError::UnknownUnit(unit.to_string()))
    }

    fn order(
        &self,
        order: Order,
        unit: &UnitName,
        within: Duration,
    ) -> Result<Ordered, ServiceError> {
        let service = unit.as_str();
        let verb = match order {
            Order::Start => "start",
            Order::Stop => "stop",
            // What is dead cannot be stopped, so that its restart would fail.
            Order::Restart if !self.is_dead(service) => "restart",
            Order::Restart | Order::ResetFailedStart => {
                // A crashed service counts as started until it is zapped; zapping a stopped one is refused
                // and changes nothing.
                self.call("rc-service", &["--nocolor", service, "zap"], QUERY_DEADLINE)?;
                "start"
            }
        };
        let args = ["--nocolor", service, verb];
        let command = Command::new("rc-service", &args, within);
        super::answer_of_script(self.host.start(&command)).map(|()| Ordered::DONE)
    }

    fn reload(&self) -> Result<(), ServiceError> {
        Ok(())
    }

    fn unit_of(&self, pid: u32) -> Option<String> {
        pid_files::owner(&self.host, pid)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::core::model::time::Timestamp;
    use crate::host::clock::Clock;
    use std::fs;

    #[test]
    fn ini_status_is_parsed() {
        let text = "[default]\nsshd = started\ngateway = crashed\n[manual]\nextra = stopped\n";
        let services = parse_status(text);
        let of = |name: &str| {
            services
                .get(name)
                .map(|(level, state)| (level.as_str(), state.as_str()))
        };
        assert_eq!(of("gateway"), Some(("default", "crashed")));
        assert_eq!(of("extra"), Some(("manual", "stopped")));
        assert!(unit_state("gateway", Some("default"), "crashed").is_failed());
        assert!(parse_status("").is_empty());
    }

    #[test]
    fn a_killed_daemon_is_dead_whatever_openrc_says() {
        let dir = tempfile::tempdir().unwrap();
        for sub in [
            "run/openrc/daemons/meter",
            "run/openrc/options/bridge",
            "run/openrc/failed",
            "proc/70",
        ] {
            fs::create_dir_all(dir.path().join(sub)).unwrap();
        }
        let put = |path: &str, text: &str| fs::write(dir.path().join(path), text).unwrap();
        put("run/openrc/softlevel", "default\n");
        put(
            "run/openrc/daemons/meter/001",
            "exec=/bin/meter\nname=\npidfile=/run/meter.pid\n",
        );
        let openrc = OpenRc {
            host: Host::at(dir.path(), Clock::manual(Timestamp::default())),
        };
        let of = |state: &str| openrc.state("meter", "default", state);
        assert!(of("started").is_active(), "it never wrote a pid file");
        put("run/meter.pid", "70\n");
        assert!(of("started").is_failed(), "no such process");
        put(
            "proc/70/stat",
            "70 (meter) S 1 70 70 0 -1 0 0 0 0 0 0 0 0 0 20 0 1 0 10000 0",
        );
        put("proc/70/cmdline", "/bin/meter");
        assert!(of("started").is_active());
        // As Debian notes it.
        put("run/openrc/options/bridge/pidfile", "/run/bridge.pid\n");
        put("run/bridge.pid", "71\n");
        assert!(openrc.state("bridge", "default", "started").is_failed());
        let stopped = of("stopped");
        assert!(!stopped.is_failed() && stopped.purpose().is_some());
        put("run/openrc/failed/meter", "");
        assert!(of("stopped").is_failed(), "its start failed");
    }

    #[test]
    fn only_the_running_level_wants_its_services() {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir_all(dir.path().join("run/openrc")).unwrap();
        fs::write(dir.path().join("run/openrc/softlevel"), "default").unwrap();
        let openrc = OpenRc {
            host: Host::at(dir.path(), Clock::manual(Timestamp::default())),
        };
        let enabled = |level: &str| openrc.state("killprocs", level, "stopped").unit_file_state;
        assert_eq!(enabled("default"), "enabled");
        assert_eq!(enabled("boot"), "enabled");
        for level in [
            "shutdown",
            "manual",
            "nonetwork",
            "dynamic/needed/wanted",
            "",
        ] {
            assert_eq!(enabled(level), "disabled", "{level}");
        }
    }
}
