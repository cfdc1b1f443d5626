//! systemd through `systemctl`: one `show` for all units of a sweep. The way where no bus of it can be reached.

use std::convert::Infallible;
use std::time::Duration;

use crate::core::model::manager_event::{JobResult, ManagerState};
use crate::core::model::unit::{UnitName, UnitState};
use crate::core::reading::last_run::About;
use crate::host::Host;
use crate::host::exec::{ExecError, Output};
use crate::services::systemd::QUERY_DEADLINE;
use crate::services::systemd::decode::{self, Draft, Value};
use crate::services::{ORDER_DEADLINE, Order, Ordered, ServiceError};

#[derive(Debug)]
pub struct Systemctl {
    host: Host,
}

impl Systemctl {
    pub fn new(host: &Host) -> Self {
        Self { host: host.clone() }
    }

    fn call(&self, args: &[&str], deadline: Duration) -> Result<Output, ServiceError> {
        match self.host.run("systemctl", args, deadline) {
            Ok(out) => Ok(out),
            Err(ExecError::Absent(_)) => Err(ServiceError::Absent("systemctl".to_owned())),
            Err(why) => Err(ServiceError::Exec(why)),
        }
    }

    fn done(&self, args: &[&str], within: Duration) -> Result<(), ServiceError> {
        let out = self.call(args, within)?;
        if out.success() {
            Ok(())
        } else {
            Err(ServiceError::Refused(out.reason()))
        }
    }

    fn show(&self, what: &[&str]) -> Result<Vec<UnitState>, ServiceError> {
        let names = decode::property_names();
        let mut args = vec!["show", "--all", "--no-pager", "-p", &names];
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

    pub fn units(&self) -> Result<Vec<UnitState>, ServiceError> {
        let kinds = format!("--type={}", decode::KINDS.join(","));
        self.show(&[&kinds, "*"])
    }

    /// Those of these names, in their order; one that does not exist is `not-found`.
    pub fn named(&self, names: &[&str]) -> Result<Vec<UnitState>, ServiceError> {
        self.show(&[&["--"], names].concat())
    }

    /// What goes with a unit that is down.
    pub fn about(&self, unit: &UnitName) -> Result<About, ServiceError> {
        let names = format!("--property={}", About::names());
        let out = self.call(&["show", &names, "--", unit.as_str()], QUERY_DEADLINE)?;
        match out.success() {
            true => Ok(About::read(&out.text())),
            false => Err(ServiceError::Refused(out.reason())),
        }
    }

    /// A job that is there already is not pushed aside: what it was told for may be a human's wish.
    pub fn order(
        &self,
        order: Order,
        unit: &UnitName,
        within: Duration,
    ) -> Result<Ordered, ServiceError> {
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
        let name = unit.as_str();
        self.done(
            &[verb, "--job-mode=fail", "--no-ask-password", "--", name],
            within,
        )?;
        Ok(Ordered::Ended(JobResult::Done))
    }

    /// The manager as a whole.
    pub fn state(&self) -> Result<ManagerState, ServiceError> {
        let args = ["show", "--no-pager", "--value", "-p", "SystemState"];
        let out = self.call(&args, QUERY_DEADLINE)?;
        if !out.success() {
            return Err(ServiceError::Refused(out.reason()));
        }
        Ok(ManagerState::of(out.text().trim()))
    }

    pub fn reload(&self) -> Result<(), ServiceError> {
        self.done(&["daemon-reload"], ORDER_DEADLINE)
    }
}

/// Parses the answer of `systemctl show`: `Name=value` lines, units separated by an empty line.
pub fn parse_show(text: &str) -> Vec<UnitState> {
    text.split("\n\n").filter_map(parse_unit).collect()
}

fn parse_unit(block: &str) -> Option<UnitState> {
    let mut draft = Draft::new();
    for (name, text) in block.lines().filter_map(|line| line.split_once('=')) {
        let Ok(_) = draft.take(name, || Ok::<_, Infallible>(Value::Text(text)));
    }
    draft.finish()
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
        Id=b.service\nLoadState=masked\nActiveState=inactive\nConditionResult=no\nTriggers=a.service\nJob=7\n";

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
    fn a_false_condition_is_told_from_one_never_asked() {
        let head = "Id=a.service\nConditionResult=no\nInactiveExitTimestampMonotonic=0\n";
        assert!(!one(&format!("{head}ConditionTimestampMonotonic=5\n")).condition_result);
        assert!(one(&format!("{head}ConditionTimestampMonotonic=0\n")).condition_result);
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
        assert_eq!(units.last().unwrap().triggers, ["a.service"]);
        assert!(units.last().unwrap().has_job && !first.has_job);
    }

    #[test]
    fn torn_answers_are_no_units() {
        assert!(parse_show("").is_empty());
        assert!(parse_show("garbage\n\n\n=\n").is_empty());
    }
}
