//! SysV init scripts: the S links of the running level, and each script's own `status`.

use std::time::Duration;

use crate::core::model::unit::{Left, UnitName, UnitState};
use crate::host::exec::Command;
use crate::host::{Host, READ_CAP, pid_files};
use crate::services::{Order, Ordered, ServiceError, ServiceManager};

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
        (scripts && !other).then(|| Self { host: host.clone() })
    }

    /// Names with an S link in the running level; in any multi-user level where init does not say which.
    fn enabled(&self) -> Vec<String> {
        let running = self
            .host
            .run("runlevel", &[], QUERY_DEADLINE)
            .ok()
            .and_then(|out| runlevel(&out.text()));
        let levels = running.map_or(RUNLEVELS.to_vec(), |level| vec![level]);
        let mut names: Vec<String> = levels
            .iter()
            .filter_map(|level| std::fs::read_dir(self.host.path(format!("/etc/rc{level}.d"))).ok())
            .flat_map(|entries| entries.flatten())
            .filter_map(|entry| start_link(entry.file_name().to_str()?))
            .filter(|name| self.host.path(format!("/etc/init.d/{name}")).is_file())
            .collect();
        names.sort();
        names.dedup();
        names
    }

    /// Only scripts that know the word are asked: others may do anything when called with it.
    fn knows_status(&self, name: &str) -> bool {
        self.host
            .read(format!("/etc/init.d/{name}"), READ_CAP)
            .is_ok_and(|text| knows_status(&text))
    }

    /// Its own pid file tells at once, without a process per service and sweep, that a service runs;
    /// everything else is asked of the script.
    fn state(&self, name: &str) -> Result<Option<UnitState>, ServiceError> {
        let alive = ["/run", "/var/run"].iter().any(|dir| {
            pid_files::named(&self.host, &format!("{dir}/{name}.pid"))
                .is_ok_and(|named| named.is_some_and(|named| named.sure))
        });
        if alive {
            return Ok(Some(unit_state(name, 0)));
        }
        if !self.knows_status(name) {
            return Ok(None);
        }
        let script = format!("/etc/init.d/{name}");
        // A script that hangs or cannot be started says neither that it runs nor that it does not.
        let out = self.host.run(&script, &["status"], QUERY_DEADLINE);
        let out = out.map_err(ServiceError::Exec)?;
        Ok(Some(unit_state(name, out.status)))
    }
}

/// A `case` label `status`, or Debian's interpreter that brings one.
fn knows_status(script: &str) -> bool {
    let is_label = |line: &str| {
        line.split_once(')').is_some_and(|(labels, _)| {
            labels
                .split('|')
                .any(|label| label.trim_matches([' ', '\t', '(', '"', '\'']) == "status")
        })
    };
    script
        .lines()
        .next()
        .is_some_and(|first| first.ends_with("init-d-script"))
        || script.lines().any(is_label)
}

/// `N 2` -> `2`, as runlevel(8) prints the last level and this one.
fn runlevel(text: &str) -> Option<char> {
    let level = text.split_ascii_whitespace().nth(1)?;
    RUNLEVELS
        .into_iter()
        .find(|known| level.chars().eq([*known]))
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
        left: Left::of_state(active),
        fragment_path: format!("/etc/init.d/{name}"),
        ..UnitState::default()
    }
}

impl ServiceManager for Sysv {
    fn name(&self) -> &'static str {
        "sysv"
    }

    fn units(&self) -> Result<Vec<UnitState>, ServiceError> {
        let states = self.enabled();
        let states = states.iter().map(|name| self.state(name));
        states.filter_map(Result::transpose).collect()
    }

    fn unit(&self, unit: &UnitName) -> Result<UnitState, ServiceError> {
        self.state(unit.as_str())?
            .ok_or_else(|| ServiceError::UnknownUnit(unit.to_string()))
    }

    fn order(
        &self,
        order: Order,
        unit: &UnitName,
        within: Duration,
    ) -> Result<Ordered, ServiceError> {
        let verb = match order {
            Order::Start => "start",
            Order::Stop => "stop",
            // A plain start of a dead service with a stale pid file is refused by many scripts.
            Order::Restart | Order::ResetFailedStart => "restart",
        };
        let script = format!("/etc/init.d/{unit}");
        let args = [verb];
        let command = Command::new(&script, &args, within);
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
        assert!(!stopped.is_failed() && stopped.purpose().is_some());
    }

    #[test]
    fn the_running_level_is_read_where_init_knows_it() {
        assert_eq!(runlevel("N 2\n"), Some('2'));
        for other in ["unknown", "", "N 6", "N S", "2"] {
            assert_eq!(runlevel(other), None, "{other}");
        }
    }

    #[test]
    fn a_script_without_the_word_is_never_asked() {
        let dir = tempfile::tempdir().unwrap_or_else(|why| unreachable!("{why}"));
        let scripts = dir.path().join("etc/init.d");
        let put = |name: &str, text: &str| std::fs::write(scripts.join(name), text);
        let done = std::fs::create_dir_all(&scripts)
            .and_then(|()| put("asks", "case $1 in\nstart|stop|status)\n;;\nesac\n"))
            .and_then(|()| put("mute", "echo $1; reboot\n"))
            .and_then(|()| put("talks", "# status of the line\necho (status)\n"))
            .and_then(|()| put("debian", "#!/lib/init/init-d-script\nNAME=x\n"));
        assert!(done.is_ok());
        let sysv = Sysv {
            host: Host::at(dir.path(), Clock::manual(Timestamp::default())),
        };
        assert!(sysv.knows_status("asks") && sysv.knows_status("debian"));
        assert!(!sysv.knows_status("mute") && !sysv.knows_status("talks"));
        assert!(!sysv.knows_status("none"));
    }

    #[test]
    fn a_script_that_does_not_answer_leaves_its_state_unknown() {
        use crate::host::exec::scripted::{Scripted, hangs, says};
        let dir = tempfile::tempdir().unwrap();
        for folder in ["etc/init.d", "etc/rc2.d"] {
            std::fs::create_dir_all(dir.path().join(folder)).unwrap();
        }
        let script = "#!/bin/sh\ncase $1 in\nstatus) exit 0 ;;\nesac\n";
        std::fs::write(dir.path().join("etc/init.d/meter"), script).unwrap();
        std::fs::write(dir.path().join("etc/rc2.d/S01meter"), script).unwrap();
        let scripted = std::sync::Arc::new(Scripted::default());
        scripted.on("runlevel", |_| says("N 2"));
        scripted.on("/etc/init.d/meter status", |_| says(""));
        let clock = crate::host::clock::Clock::manual(Default::default());
        let host = Host::at(dir.path(), clock).with_executor(scripted.clone());
        let sysv = Sysv { host };
        assert!(sysv.units().unwrap().iter().all(UnitState::is_active));
        scripted.on("/etc/init.d/meter status", |_| hangs("meter"));
        assert!(matches!(sysv.units(), Err(ServiceError::Exec(_))));
    }
}
