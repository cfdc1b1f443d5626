//! systemd: what its units are, what happens to them, and jobs for them.

mod bus;
mod decode;
mod events;
mod follow;
#[cfg(fuzzing)]
mod fuzzing;
mod heard;
mod jobs;
mod known;
mod systemctl;
#[cfg(test)]
mod tests;
mod wire;
mod words;

use std::time::Duration;

use crate::core::model::manager_event::{ManagerEvent, ManagerState};
use crate::core::model::unit::{UnitEnd, UnitName, UnitState, unit_of_cgroup};
use crate::core::reading::last_run::About;
use crate::host::clock::end_after;
use crate::host::{Host, READ_CAP, procfs};
use crate::services::systemd::bus::{BusConnection, BusError};
use crate::services::systemd::heard::Hearing;
use crate::services::systemd::known::Known;
use crate::services::systemd::systemctl::Systemctl;
use crate::services::{Ear, ORDER_DEADLINE, Order, Ordered, ServiceError, ServiceManager};

#[cfg(fuzzing)]
pub use fuzzing::read_bus;
#[cfg(fuzzing)]
pub use systemctl::parse_show;
pub use words::of_boot as words_of_boot;

/// Longest a query may take before the manager counts as stuck.
const QUERY_DEADLINE: Duration = Duration::from_secs(15);
/// The job of a start is waited for this long by whoever ordered it.
const START_STANDS_BY: Duration = Duration::from_secs(5);

#[derive(Debug)]
pub struct Systemd {
    host: Host,
    known: Known,
    systemctl: Systemctl,
    heard: Hearing,
}

impl Systemd {
    /// `None` where systemd is not the running init (sd_booted(3)).
    pub fn present(host: &Host) -> Option<Self> {
        let running = host.path("/run/systemd/system").is_dir();
        running.then(|| Self {
            host: host.clone(),
            known: Known::default(),
            systemctl: Systemctl::new(host),
            heard: Hearing::default(),
        })
    }

    /// All units, as they are told.
    fn sweep(&self) -> Result<Vec<UnitState>, ServiceError> {
        let sweep = || {
            let end = end_after(QUERY_DEADLINE);
            self.known
                .sweep(&mut BusConnection::open(&self.host, end)?, end)
        };
        told_or_else(sweep(), || self.systemctl.units())
    }

    /// Fills in how these left `active`, once the manager's words about each end are all heard.
    fn tell_left(&self, units: &mut [UnitState]) {
        self.heard.hear_out(units, |ended| {
            words::of_last_runs(&self.host, ended).unwrap_or_else(|why| {
                log::debug!("the manager's words about an end: {why}");
                Vec::new()
            })
        });
        self.heard.fill(units);
    }

    /// Units of these names; `not-found` where there is none.
    fn read(&self, names: &[&str]) -> Result<Vec<UnitState>, ServiceError> {
        let read = || {
            let end = end_after(QUERY_DEADLINE);
            let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
            known::read(&mut BusConnection::open(&self.host, end)?, &names, end)
        };
        told_or_else(read(), || self.systemctl.named(names))
    }
}

/// What the bus told; where it could not be asked, or its answer cannot be read, the other way: to ask twice harms nobody.
fn told_or_else<T>(
    of_bus: Result<T, BusError>,
    other: impl FnOnce() -> Result<T, ServiceError>,
) -> Result<T, ServiceError> {
    match of_bus {
        Err(why @ BusError::Wire(_)) => {
            log::warn!("{why}: systemctl is asked");
            other()
        }
        told => or_else(told, other),
    }
}

/// What the bus gave; where it could not be asked, the other way.
fn or_else<T>(
    of_bus: Result<T, BusError>,
    other: impl FnOnce() -> Result<T, ServiceError>,
) -> Result<T, ServiceError> {
    match of_bus {
        Ok(given) => Ok(given),
        Err(BusError::Unreachable(_)) => other(),
        Err(why @ BusError::Refused(..)) => Err(ServiceError::Refused(why.to_string())),
        Err(why) => Err(ServiceError::Lost(Box::new(why))),
    }
}

impl ServiceManager for Systemd {
    fn name(&self) -> &'static str {
        "systemd"
    }

    fn units(&self) -> Result<Vec<UnitState>, ServiceError> {
        let mut units = self.sweep()?;
        self.tell_left(&mut units);
        Ok(units)
    }

    fn unit(&self, unit: &UnitName) -> Result<UnitState, ServiceError> {
        let mut found = self.read(&[unit.as_str()])?;
        if found.iter().any(|state| self.heard.asks_others(state)) {
            let mut others = self.sweep()?;
            others.retain(|other| other.name != unit.as_str());
            found.extend(others);
        }
        self.tell_left(&mut found);
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
        let mut found = self.read(units)?;
        self.tell_left(&mut found);
        Ok(found)
    }

    fn about(&self, unit: &UnitName) -> Result<About, ServiceError> {
        let about = || {
            let end = end_after(QUERY_DEADLINE);
            known::about(&mut BusConnection::open(&self.host, end)?, unit, end)
        };
        told_or_else(about(), || self.systemctl.about(unit))
    }

    fn state(&self) -> Result<ManagerState, ServiceError> {
        let state = || {
            let end = end_after(QUERY_DEADLINE);
            known::manager_state(&mut BusConnection::open(&self.host, end)?, end)
        };
        told_or_else(state(), || self.systemctl.state())
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

    fn order(
        &self,
        order: Order,
        unit: &UnitName,
        within: Duration,
    ) -> Result<Ordered, ServiceError> {
        // Whoever ordered a start looks whether its job is still under way, and need not stand by for all of it.
        let stands_by = match order {
            Order::Start | Order::ResetFailedStart => within.min(START_STANDS_BY),
            Order::Restart | Order::Stop => within,
        };
        or_else(jobs::order(&self.host, order, unit, stands_by), || {
            self.systemctl.order(order, unit, within)
        })
    }

    fn reload(&self) -> Result<(), ServiceError> {
        or_else(jobs::reload(&self.host, ORDER_DEADLINE), || {
            self.systemctl.reload()
        })
    }

    fn follow(&self, ear: &mut dyn Ear) -> Result<(), ServiceError> {
        or_else(follow::follow(&self.host, &self.known, ear), || {
            Err(ServiceError::Absent("systemd's bus".to_owned()))
        })
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
