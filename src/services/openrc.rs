//! OpenRC through `rc-status`, `rc-update` and `rc-service`.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::core::unit::{UnitName, UnitState};
use crate::host::Host;
use crate::host::exec::{self, Output};
use crate::services::{ORDER_DEADLINE, Order, ServiceError, ServiceManager};

const QUERY_DEADLINE: Duration = Duration::from_secs(15);

#[derive(Debug)]
pub struct OpenRc;

impl OpenRc {
    /// `None` where OpenRC does not run the host.
    pub fn present(host: &Host) -> Option<Self> {
        (host.is_real() && host.path("/run/openrc/softlevel").exists()).then_some(Self)
    }
}

fn call(program: &str, args: &[&str], deadline: Duration) -> Result<Output, ServiceError> {
    exec::run(program, args, deadline).map_err(ServiceError::Exec)
}

/// Parses `rc-status --all --format ini`: `name = state` lines below `[runlevel]` heads.
pub fn parse_status(text: &str) -> BTreeMap<String, (String, String)> {
    let mut runlevel = String::new();
    let mut services = BTreeMap::new();
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

fn unit_state(name: &str, runlevel: &str, state: &str) -> UnitState {
    // rc-status: started, stopped, crashed, starting, stopping, inactive, failed.
    let active = match state.split_ascii_whitespace().next().unwrap_or("") {
        "started" => "active",
        "crashed" | "failed" => "failed",
        "starting" => "activating",
        "stopping" => "deactivating",
        _ => "inactive",
    };
    let in_runlevel = !matches!(
        runlevel,
        "" | "manual" | "dynamic" | "dynamic/needed/wanted" | "dynamic/manual"
    );
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
        unit_file_state: if in_runlevel { "enabled" } else { "disabled" }.to_owned(),
        wanted_by: in_runlevel
            .then(|| runlevel.to_owned())
            .into_iter()
            .collect(),
        condition_result: true,
        // OpenRC says `crashed` when a daemon died; plain `stopped` means somebody stopped it.
        stopped_by_job: active == "inactive",
        fragment_path: format!("/etc/init.d/{name}"),
        ..UnitState::default()
    }
}

impl ServiceManager for OpenRc {
    fn name(&self) -> &'static str {
        "openrc"
    }

    fn units(&self) -> Result<Vec<UnitState>, ServiceError> {
        let out = call(
            "rc-status",
            &["--all", "--nocolor", "--format", "ini"],
            QUERY_DEADLINE,
        )?;
        if !out.success() {
            return Err(ServiceError::Refused(out.reason()));
        }
        Ok(parse_status(&out.text())
            .iter()
            .map(|(name, (runlevel, state))| unit_state(name, runlevel, state))
            .collect())
    }

    fn unit(&self, unit: &UnitName) -> Result<UnitState, ServiceError> {
        self.units()?
            .into_iter()
            .find(|state| state.name == unit.as_str())
            .ok_or_else(|| ServiceError::UnknownUnit(unit.to_string()))
    }

    fn order(&self, order: Order, unit: &UnitName) -> Result<(), ServiceError> {
        let service = unit.as_str();
        let verb = match order {
            Order::Start => "start",
            Order::Stop => "stop",
            Order::Restart => "restart",
            Order::ResetFailedStart => {
                // A crashed service counts as started until it is zapped; zapping a stopped one is refused
                // and changes nothing.
                call("rc-service", &["--nocolor", service, "zap"], QUERY_DEADLINE)?;
                "start"
            }
        };
        let out = call("rc-service", &["--nocolor", service, verb], ORDER_DEADLINE)?;
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
    fn ini_status_is_parsed() {
        let text = "[default]\nsshd = started\ngateway = crashed\n[manual]\nextra = stopped\n";
        let services = parse_status(text);
        let state = |name: &str| {
            services
                .get(name)
                .map(|(runlevel, state)| unit_state(name, runlevel, state))
        };
        assert!(
            state("gateway")
                .is_some_and(|unit| unit.is_failed() && unit.unit_file_state == "enabled")
        );
        assert!(state("extra").is_some_and(|unit| unit.unit_file_state == "disabled"));
    }
}
