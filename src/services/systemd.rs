//! systemd through `systemctl`: one `show` for all units of a sweep.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::core::model::unit::{UnitName, UnitState, unit_of_cgroup};
use crate::host::exec::{ExecError, Output};
use crate::host::{Host, READ_CAP, procfs};
use crate::services::{ORDER_DEADLINE, Order, ServiceError, ServiceManager};

/// Longest a query may take before the manager counts as stuck.
const QUERY_DEADLINE: Duration = Duration::from_secs(15);

/// What is asked of every unit; the names are systemd's own (org.freedesktop.systemd1(5)).
const PROPERTIES: &str = "Id,LoadState,ActiveState,SubState,Type,Result,ExecMainCode,ExecMainStatus,NRestarts,MainPID,\
UnitFileState,Restart,RemainAfterExit,ConditionResult,ConditionTimestampMonotonic,TriggeredBy,WantedBy,RequiredBy,Requires,BindsTo,FragmentPath,DropInPaths,\
NeedDaemonReload,ExecStart,WorkingDirectory,User,ActiveEnterTimestampMonotonic,InactiveEnterTimestampMonotonic,\
InactiveExitTimestampMonotonic,ExecMainStartTimestampMonotonic,ExecMainExitTimestampMonotonic,ActiveExitTimestampMonotonic,ControlGroup";

/// No stop of a service is given less time than this, in microseconds.
const STOP_TIMEOUT_LEAST_US: u64 = 1_000_000;

#[derive(Debug)]
pub struct Systemd {
    host: Host,
}

impl Systemd {
    /// `None` where systemd is not the running init (sd_booted(3)).
    pub fn present(host: &Host) -> Option<Self> {
        let running = host.path("/run/systemd/system").is_dir();
        running.then(|| Self { host: host.clone() })
    }

    fn call(&self, args: &[&str], deadline: Duration) -> Result<Output, ServiceError> {
        match self.host.run("systemctl", args, deadline) {
            Ok(out) => Ok(out),
            Err(ExecError::Absent(_)) => Err(ServiceError::Absent("systemctl".to_owned())),
            Err(why) => Err(ServiceError::Exec(why)),
        }
    }

    fn show(&self, what: &[&str]) -> Result<Vec<UnitState>, ServiceError> {
        let mut args = vec!["show", "--all", "--no-pager", "-p", PROPERTIES];
        args.extend(what);
        let out = self.call(&args, QUERY_DEADLINE)?;
        if !out.success() {
            return Err(ServiceError::Refused(out.reason()));
        }
        let units = parse_show(&out.text());
        // A manager always has units: an answer without any says nothing about them.
        if units.is_empty() {
            return Err(ServiceError::Refused("an answer without units".to_owned()));
        }
        Ok(units)
    }
}

impl ServiceManager for Systemd {
    fn name(&self) -> &'static str {
        "systemd"
    }

    fn units(&self) -> Result<Vec<UnitState>, ServiceError> {
        let mut units = self.show(&["--type=service,socket,mount,target", "*"])?;
        release_bound(&mut units);
        Ok(units)
    }

    fn unit(&self, unit: &UnitName) -> Result<UnitState, ServiceError> {
        let mut found = self.show(&["--", unit.as_str()])?;
        let bound = found.first().filter(|state| state.stopped_by_job);
        let bound = bound.map_or_else(Vec::new, |state| state.binds_to.clone());
        if !bound.is_empty() {
            let mut names = vec!["--"];
            names.extend(bound.iter().map(String::as_str));
            found.extend(self.show(&names)?);
            release_bound(&mut found);
        }
        found
            .into_iter()
            .next()
            .filter(|state| state.load_state != "not-found")
            .ok_or_else(|| ServiceError::UnknownUnit(unit.to_string()))
    }

    fn order(&self, order: Order, unit: &UnitName) -> Result<(), ServiceError> {
        let verb = match order {
            Order::Start => "start",
            Order::Stop => "stop",
            Order::Restart => "restart",
            Order::ResetFailedStart => {
                // A unit that is not failed has nothing to reset: its answer does not matter.
                self.call(&["reset-failed", "--", unit.as_str()], QUERY_DEADLINE)?;
                "start"
            }
        };
        let out = self.call(
            &[verb, "--no-ask-password", "--", unit.as_str()],
            ORDER_DEADLINE,
        )?;
        if out.success() {
            Ok(())
        } else {
            Err(ServiceError::Refused(out.reason()))
        }
    }

    fn reload(&self) -> Result<(), ServiceError> {
        let out = self.call(&["daemon-reload"], ORDER_DEADLINE)?;
        if out.success() {
            Ok(())
        } else {
            Err(ServiceError::Refused(out.reason()))
        }
    }

    fn unit_of(&self, pid: u32) -> Option<String> {
        // A manager in a container sees its own group first.
        let root = procfs::cgroup(&self.host, 1).unwrap_or_default();
        let root = root.strip_suffix("/init.scope").unwrap_or("");
        let group = procfs::cgroup(&self.host, pid)?;
        owner_of_cgroup(&self.host, group.strip_prefix(root)?)
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

/// Parses the answer of `systemctl show`: `Name=value` lines, units separated by an empty line.
pub fn parse_show(text: &str) -> Vec<UnitState> {
    text.split("\n\n").filter_map(parse_unit).collect()
}

fn parse_unit(block: &str) -> Option<UnitState> {
    let mut unit = UnitState {
        condition_result: true,
        ..UnitState::default()
    };
    let mut condition_us = 0_u64;
    let (mut main_start_us, mut main_exit_us, mut active_exit_us) = (0_u64, 0_u64, 0_u64);
    for line in block.lines() {
        let Some((name, value)) = line.split_once('=') else {
            continue;
        };
        let words = || value.split_ascii_whitespace().map(str::to_owned);
        let number = || value.parse::<u64>().unwrap_or(0);
        let text = || value.to_owned();
        match name {
            "Id" => unit.name = text(),
            "LoadState" => unit.load_state = text(),
            "ActiveState" => unit.active_state = text(),
            "SubState" => unit.sub_state = text(),
            "Type" => unit.service_type = text(),
            "Result" => unit.result = text(),
            "ExecMainCode" => unit.exit_code = exit_code(value).to_owned(),
            "ExecMainStatus" => unit.exit_status = value.parse().unwrap_or(0),
            "NRestarts" => unit.n_restarts = u32::try_from(number()).unwrap_or(u32::MAX),
            "MainPID" => unit.main_pid = u32::try_from(number()).unwrap_or(0),
            "UnitFileState" => unit.unit_file_state = text(),
            "Restart" => unit.restart = text(),
            "RemainAfterExit" => unit.remain_after_exit = value == "yes",
            "ConditionResult" => unit.condition_result = value != "no",
            "ConditionTimestampMonotonic" => condition_us = number(),
            "TriggeredBy" => unit.triggered_by = words().collect(),
            "WantedBy" | "RequiredBy" => unit.wanted_by.extend(words()),
            "Requires" => unit.requires = words().collect(),
            "BindsTo" => unit.binds_to = words().collect(),
            "FragmentPath" => unit.fragment_path = text(),
            "DropInPaths" => unit.drop_in_paths = words().collect(),
            "NeedDaemonReload" => unit.need_daemon_reload = value == "yes",
            "ExecStart" => unit.exec_start.extend(exec_path(value)),
            "WorkingDirectory" => {
                unit.working_directory = value.trim_start_matches(['!', '-']).to_owned()
            }
            "User" => unit.user = text(),
            "ActiveEnterTimestampMonotonic" => unit.active_enter_us = number(),
            "InactiveEnterTimestampMonotonic" => unit.inactive_enter_us = number(),
            "InactiveExitTimestampMonotonic" => unit.inactive_exit_us = number(),
            "ExecMainStartTimestampMonotonic" => main_start_us = number(),
            "ExecMainExitTimestampMonotonic" => main_exit_us = number(),
            "ActiveExitTimestampMonotonic" => active_exit_us = number(),
            "ControlGroup" => unit.control_group = text(),
            _ => {}
        }
    }
    // A stop job makes the unit leave `active` first and its process end afterwards; a process that
    // ends by itself ends first. Only since the last start, and only of the process that was active then:
    // one that fails while starting is no stop. A watchdog or out-of-memory stop has the same order, but nobody asked for it.
    let asked_for = match unit.result.as_str() {
        "watchdog" | "oom-kill" | "core-dump" | "resources" | "protocol" | "start-limit-hit" => {
            false
        }
        // A stop that timed out takes its TimeoutStopSec=; what ended sooner had reached its RuntimeMaxSec=.
        "timeout" => main_exit_us.saturating_sub(active_exit_us) >= STOP_TIMEOUT_LEAST_US,
        _ => true,
    };
    unit.stopped_by_job = asked_for
        && active_exit_us > unit.inactive_exit_us
        && main_start_us <= active_exit_us
        && main_exit_us >= active_exit_us;
    // Never evaluated reads as `no` too.
    if condition_us == 0 {
        unit.condition_result = true;
    }
    (!unit.name.is_empty()).then_some(unit)
}

/// A unit that went down right after one to which it is bound (`BindsTo=`), and which nobody stopped either, was
/// stopped by systemd and not by somebody: it is wanted again with the other.
fn release_bound(units: &mut [UnitState]) {
    const RIGHT_AFTER_US: u64 = 5_000_000;
    let ended: BTreeMap<String, u64> = units
        .iter()
        .filter(|unit| !unit.stopped_by_job && unit.inactive_enter_us > 0)
        .map(|unit| (unit.name.clone(), unit.inactive_enter_us))
        .collect();
    for unit in units.iter_mut().filter(|unit| unit.stopped_by_job) {
        let down = unit.inactive_enter_us;
        let after = |other: &String| {
            let ended = ended.get(other);
            ended.is_some_and(|ended| {
                (*ended..=ended.saturating_add(RIGHT_AFTER_US)).contains(&down)
            })
        };
        unit.stopped_by_job = !unit.binds_to.iter().any(after);
    }
}

/// `ExecMainCode` is the numeric si_code of waitid(2).
fn exit_code(code: &str) -> &'static str {
    match code {
        "1" => "exited",
        "2" => "killed",
        "3" => "dumped",
        _ => "",
    }
}

/// `{ path=/bin/x ; argv[]=… ; … }`
fn exec_path(value: &str) -> Option<String> {
    let rest = value.split_once("path=")?.1;
    let path = rest.split(" ; ").next()?.trim();
    (!path.is_empty()).then(|| path.to_owned())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    /// As systemd 252 prints it.
    const SHOW: &str = "Type=simple\nRestart=no\nNRestarts=0\nMainPID=0\nResult=exit-code\nExecMainExitTimestampMonotonic=500\n\
        ExecMainCode=1\nExecMainStatus=203\nExecStart={ path=/opt/old/run ; argv[]=/opt/old/run --x ; ignore_errors=no ; \
        start_time=[n/a] ; stop_time=[n/a] ; pid=0 ; code=(null) ; status=0/0 }\nWorkingDirectory=/opt/old\nId=a.service\n\
        LoadState=loaded\nActiveState=failed\nSubState=failed\nUnitFileState=enabled\nConditionResult=yes\n\
        InactiveExitTimestampMonotonic=400\nActiveExitTimestampMonotonic=501\nWantedBy=multi-user.target\n\n\
        Id=b.service\nLoadState=masked\nActiveState=inactive\nConditionResult=no\n";

    fn one(block: &str) -> UnitState {
        parse_show(block).pop().unwrap()
    }

    #[test]
    fn a_stop_job_is_told_from_an_end_by_itself() {
        let head = "Id=a.service\nInactiveExitTimestampMonotonic=100\n";
        let stopped =
            "ActiveExitTimestampMonotonic=200\nExecMainExitTimestampMonotonic=210\n".to_owned();
        let ended = "ActiveExitTimestampMonotonic=210\nExecMainExitTimestampMonotonic=200\n";
        assert!(one(&format!("{head}Result=success\n{stopped}")).stopped_by_job);
        // A program that answers TERM with a status of its own.
        assert!(one(&format!("{head}Result=exit-code\n{stopped}")).stopped_by_job);
        assert!(!one(&format!("{head}Result=watchdog\n{stopped}")).stopped_by_job);
        assert!(!one(&format!("{head}Result=success\n{ended}")).stopped_by_job);
        // Stopped once, started again, failed while starting.
        let again = "Id=a.service\nInactiveExitTimestampMonotonic=300\nResult=exit-code\n";
        assert!(!one(&format!("{again}{stopped}")).stopped_by_job);
        assert!(!one("Id=never-started.service\n").stopped_by_job);
        // RuntimeMaxSec= was reached; a stop that hung.
        assert!(!one(&format!("{head}Result=timeout\n{stopped}")).stopped_by_job);
        let hung = "ActiveExitTimestampMonotonic=200\nExecMainExitTimestampMonotonic=90000200\n";
        assert!(one(&format!("{head}Result=timeout\n{hung}")).stopped_by_job);
    }

    #[test]
    fn a_unit_that_went_down_with_another_was_not_stopped_by_somebody() {
        let both = |stopped: bool, bound_at: u64| {
            let state = |name: &str, stopped_by_job, inactive_enter_us| UnitState {
                name: name.to_owned(),
                stopped_by_job,
                inactive_enter_us,
                ..UnitState::default()
            };
            let mut units = [
                state("a.service", stopped, 1_000),
                UnitState {
                    binds_to: vec!["a.service".to_owned()],
                    ..state("b.service", true, bound_at)
                },
            ];
            release_bound(&mut units);
            units[1].stopped_by_job
        };
        assert!(!both(false, 2_000), "it failed, and took the other along");
        assert!(both(true, 2_000), "somebody stopped both");
        assert!(
            both(false, 60_000_000),
            "stopped a minute later, by somebody"
        );
        assert!(both(false, 500), "down before");
    }

    #[test]
    fn a_false_condition_is_told_from_one_never_asked() {
        let head = "Id=a.service\nConditionResult=no\nInactiveExitTimestampMonotonic=0\n";
        assert!(!one(&format!("{head}ConditionTimestampMonotonic=5\n")).condition_result);
        assert!(one(&format!("{head}ConditionTimestampMonotonic=0\n")).condition_result);
    }

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

    #[test]
    fn show_is_parsed_unit_by_unit() {
        let units = parse_show(SHOW);
        assert_eq!(units.len(), 2);
        let first = units.first().unwrap();
        assert_eq!(
            (
                first.name.as_str(),
                first.exit_status,
                first.exit_code.as_str()
            ),
            ("a.service", 203, "exited")
        );
        assert_eq!(first.exec_start, ["/opt/old/run"]);
        assert_eq!(first.wanted_by, ["multi-user.target"]);
        assert!(
            !first.stopped_by_job,
            "its process ended before the unit left active"
        );
        assert_eq!(units.last().unwrap().load_state, "masked");
    }

    #[test]
    fn torn_answers_are_no_units() {
        assert!(parse_show("").is_empty());
        assert!(parse_show("garbage\n\n\n=\n").is_empty());
    }
}
