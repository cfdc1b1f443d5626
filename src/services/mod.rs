//! Service managers: what runs, and starting, stopping, restarting it.

// Numbers from outside must not overflow; tests know theirs.
#![cfg_attr(not(test), warn(clippy::arithmetic_side_effects))]

pub mod census;
mod declared;
pub mod deployment;
pub mod engine;
pub(crate) mod openrc;
pub mod outside;
pub mod standing;
pub mod survey;
pub(crate) mod systemd;
mod sysv;

use std::error::Error;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::core::config::Config;
use crate::core::model::manager_event::{JobResult, ManagerEvent, ManagerState};
use crate::core::model::unit::{UnitEnd, UnitName, UnitState};
use crate::core::reading::last_run::About;
use crate::core::reading::unit_file::{self, PathCondition};
use crate::core::reading::unit_state::has_unit_type;
use crate::core::reading::wanted::{self, Around, Unwanted};
use crate::host::exec::ExecError;
use crate::host::{Host, READ_CAP, boot, pid_files, procfs};

/// Longest a service manager may take for one order, where a unit has no time of its own.
pub const ORDER_DEADLINE: Duration = Duration::from_secs(25);
/// Longest that a job is waited for, whatever time its unit has.
pub const ORDER_MOST: Duration = Duration::from_secs(80);

/// Levels of what a start pulls in that are read unit by unit.
const PULLS_MOST: usize = 8;

/// What can be ordered of a unit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    Start,
    Stop,
    Restart,
    /// Clears failure and start-limit counters, then starts.
    ResetFailedStart,
}

/// What came of an order within the time that it was given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ordered {
    /// The job is over. A manager without jobs ends each with `done`.
    Ended(JobResult),
    /// The job still waits or runs.
    UnderWay,
}

impl Ordered {
    pub const DONE: Self = Self::Ended(JobResult::Done);
}

/// Time to wait for an order's end, by the unit's own word.
pub fn time_for(order: Order, unit: &UnitState) -> Duration {
    let own = match order {
        Order::Stop => ORDER_DEADLINE,
        Order::Restart => ORDER_MOST,
        Order::Start | Order::ResetFailedStart => unit.start_timeout.map_or(ORDER_MOST, |time| {
            time.saturating_add(Duration::from_secs(1))
        }),
    };
    own.clamp(ORDER_DEADLINE, ORDER_MOST)
}

/// Why a service manager did not do what was asked.
#[derive(Debug)]
pub enum ServiceError {
    /// This manager does not run on this host.
    Absent(String),
    UnknownUnit(String),
    /// The manager's own words.
    Refused(String),
    Exec(ExecError),
    /// The connection to it broke or timed out: whether it did what was asked is not known.
    Lost(Box<dyn Error + Send + Sync>),
}

impl fmt::Display for ServiceError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Absent(name) => write!(f, "{name}: not running on this host"),
            Self::UnknownUnit(unit) => write!(f, "{unit}: no such unit"),
            Self::Refused(why) => write!(f, "refused: {why}"),
            Self::Exec(why) => write!(f, "{why}"),
            Self::Lost(why) => write!(f, "{why}"),
        }
    }
}

impl Error for ServiceError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Exec(why) => Some(why),
            Self::Lost(why) => Some(why.as_ref()),
            Self::Absent(_) | Self::UnknownUnit(_) | Self::Refused(_) => None,
        }
    }
}

/// Who hears the manager's words.
pub trait Ear {
    /// False ends the hearing; asked at least every few seconds.
    fn listens(&mut self) -> bool;
    fn hear(&mut self, event: ManagerEvent);
}

/// One way of running services. Four are maintained: systemd, OpenRC, SysV scripts, declared commands.
pub trait ServiceManager: Send + Sync + fmt::Debug {
    fn name(&self) -> &'static str;
    /// All units it knows, in ONE query.
    fn units(&self) -> Result<Vec<UnitState>, ServiceError>;
    /// One unit, fresh.
    fn unit(&self, unit: &UnitName) -> Result<UnitState, ServiceError>;
    /// Several units, fresh; of one that does not exist nothing, or `not-found`.
    fn named(&self, units: &[&str]) -> Result<Vec<UnitState>, ServiceError> {
        let names = units.iter().filter_map(|name| UnitName::new(name).ok());
        Ok(names.filter_map(|name| self.unit(&name).ok()).collect())
    }
    /// What goes with a unit that is down: its last run, what it requires, its sandbox. Few managers know of such.
    fn about(&self, _unit: &UnitName) -> Result<About, ServiceError> {
        Err(ServiceError::Absent("what goes with a unit".to_owned()))
    }
    /// The manager as a whole; one that knows no states of its own is always ready.
    fn state(&self) -> Result<ManagerState, ServiceError> {
        Ok(ManagerState::Running)
    }
    /// Takes in its own words, as they come.
    fn hear(&self, _events: &[ManagerEvent]) {}
    /// Takes in all its words of this boot, in place of what was heard.
    fn recall(&self, _events: &[ManagerEvent]) {}
    /// Takes in how units of this boot went down, as an earlier life of this program told it.
    fn remember(&self, _ends: &[UnitEnd]) {}
    /// How the units that are down went down, as far as it is known.
    fn ends(&self) -> Vec<UnitEnd> {
        Vec::new()
    }
    /// It must be told what it said before.
    fn wants_recall(&self) -> bool {
        false
    }
    /// Gives the order and waits for its end, at most `within`.
    fn order(
        &self,
        order: Order,
        unit: &UnitName,
        within: Duration,
    ) -> Result<Ordered, ServiceError>;
    /// Re-reads unit files; nothing to do for managers that keep none.
    fn reload(&self) -> Result<(), ServiceError>;
    /// Tells `ear` what happens, until it listens no more. Most managers say nothing by themselves.
    fn follow(&self, _ear: &mut dyn Ear) -> Result<(), ServiceError> {
        Err(ServiceError::Absent("its own word".to_owned()))
    }
    /// The unit that a process belongs to, if any.
    fn unit_of(&self, pid: u32) -> Option<String>;
}

/// The managers that run on this host. Declared services go beside whichever init there is.
pub fn present(host: &Host, config: &Config) -> Vec<Arc<dyn ServiceManager>> {
    let mut managers: Vec<Arc<dyn ServiceManager>> = Vec::new();
    if !host.is_running() {
        return managers;
    }
    if let Some(manager) = systemd::Systemd::present(host) {
        managers.push(Arc::new(manager));
    } else if let Some(manager) = openrc::OpenRc::present(host) {
        managers.push(Arc::new(manager));
    } else if let Some(manager) = sysv::Sysv::present(host) {
        managers.push(Arc::new(manager));
    }
    if let Some(manager) = declared::Declared::present(host, config) {
        managers.push(Arc::new(manager));
    }
    managers
}

/// What an init script's exit status means (LSB Core, init script actions).
fn answer_of_script(done: Result<i32, ExecError>) -> Result<(), ServiceError> {
    let why = match done.map_err(ServiceError::Exec)? {
        0 => return Ok(()),
        2 => "invalid arguments",
        3 => "the script does not know this order",
        4 => "insufficient privilege",
        5 => "the program is not installed",
        6 => "the program is not configured",
        7 => "the program is not running",
        status => return Err(ServiceError::Refused(format!("exit status {status}"))),
    };
    Err(ServiceError::Refused(why.to_owned()))
}

/// The files of a unit and its drop-ins, in the order in which they count.
pub fn unit_files(host: &Host, unit: &UnitState) -> Vec<String> {
    std::iter::once(&unit.fragment_path)
        .chain(&unit.drop_in_paths)
        .filter_map(|path| host.read(path, READ_CAP).ok())
        .collect()
}

/// Why `unit`, as it was read from `manager`, is not to be started or restarted now, if so.
pub fn unwanted(
    manager: &dyn ServiceManager,
    unit: &UnitState,
    host: &Host,
    config: &Config,
) -> Result<Option<Unwanted>, ServiceError> {
    if !unit.is_active()
        && let Some(why) = kept_by_a_path(unit, host)
    {
        return Ok(Some(why));
    }
    let state = wanted::state_for(unit, manager.state()?, since_boot(host));
    if let Some(why) = wanted::whatever_others(unit, state) {
        return Ok(Some(why));
    }
    let judge = |units: &[UnitState]| {
        let around = Around {
            units,
            manager: state,
            listed: &config.detect.wanted_units,
        };
        wanted::unwanted(unit, &around)
    };
    let names: Vec<&str> = wanted::named_by(unit).collect();
    let mut units = manager.named(&names)?;
    for _ in 0..PULLS_MOST {
        let more = manager.named(&wanted::unread(unit, &units))?;
        if more.is_empty() {
            break;
        }
        units.extend(more);
    }
    match judge(&units) {
        // One of the others may be wanted, or down, through units further away.
        Some(why) if why.hangs_on_others() => Ok(judge(&manager.units()?)),
        known => Ok(known),
    }
}

/// The time that a boot is given is over.
pub fn is_boot_over(host: &Host) -> bool {
    wanted::is_boot_over(since_boot(host))
}

/// How long process 1 has run: in a container it is younger than the host.
fn since_boot(host: &Host) -> Duration {
    let up = boot::uptime_millis(host).and_then(|up| u64::try_from(up).ok());
    let up = Duration::from_millis(up.unwrap_or(0));
    let init = procfs::process(host, 1).ok().flatten();
    let began = init.map_or(0, |init| pid_files::started_us(&init));
    up.saturating_sub(Duration::from_micros(began))
}

/// What its file asks of a path and does not find. One that failed for want of what it asks for is a human's.
fn kept_by_a_path(unit: &UnitState, host: &Host) -> Option<Unwanted> {
    let conditions = unit_file::path_conditions(&unit_files(host, unit));
    // Our own sandbox may hide a path, and a link may lead out of the root that process 1 has.
    let exists = |path: &str| host.path(path).exists() || host.of_init().path(path).exists();
    let fails = |one: &PathCondition| exists(&one.path) != one.wanted;
    let counts = |one: &PathCondition| one.asserted || !one.wanted || !unit.is_failed();
    let failing = conditions
        .into_iter()
        .find(|one| counts(one) && fails(one))?;
    Some(match (failing.asserted, failing.wanted) {
        (true, _) => Unwanted::Asserts(failing.path),
        (false, true) => Unwanted::Lacks(failing.path),
        (false, false) => Unwanted::Flag(failing.path),
    })
}

/// The manager that knows `unit`, with the unit's state read now.
pub fn find(
    managers: &[Arc<dyn ServiceManager>],
    unit: &UnitName,
) -> Result<(Arc<dyn ServiceManager>, UnitState), ServiceError> {
    let mut last = ServiceError::UnknownUnit(unit.to_string());
    for manager in managers {
        match manager.unit(unit) {
            Ok(state) => return Ok((Arc::clone(manager), state)),
            Err(why) => last = why,
        }
    }
    Err(last)
}

/// The same for a name as a human types it: `.service` may be left out.
pub fn find_typed(
    managers: &[Arc<dyn ServiceManager>],
    name: &str,
) -> Result<(Arc<dyn ServiceManager>, UnitState), ServiceError> {
    let unknown = |_| ServiceError::UnknownUnit(name.to_owned());
    let named = |name: &str| find(managers, &UnitName::new(name).map_err(unknown)?);
    match named(name) {
        Err(ServiceError::UnknownUnit(_)) if !has_unit_type(name) => {
            named(&format!("{name}.service"))
        }
        found => found,
    }
}

/// As whom `unit` runs, by number; `None` where nobody knows it.
pub fn user_of(host: &Host, managers: &[Arc<dyn ServiceManager>], unit: &str) -> Option<u32> {
    let (_, state) = find(managers, &UnitName::new(unit).ok()?).ok()?;
    match state.user.as_str() {
        _ if state.load_state != "loaded" => None,
        "" => Some(0),
        user => standing::user_id(host, user),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::core::model::time::Timestamp;
    use crate::host::clock::Clock;
    use crate::host::exec::scripted::{Scripted, absent, fails, hangs, says};

    #[test]
    fn a_manager_that_does_not_answer_has_no_units_to_judge() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(dir.path().join("run/systemd/system")).unwrap();
        let script = Arc::new(Scripted::default());
        let tree = Host::at(dir.path(), Clock::manual(Timestamp::default()));
        let config = Config::default();
        assert!(present(&tree, &config).is_empty(), "nothing runs in it");
        let host = tree.with_executor(script.clone());
        let managers = present(&host, &config);
        let systemd = managers.first().unwrap();
        script.on("systemctl show", |_| {
            says("Id=a.service\nLoadState=loaded\nActiveState=active\n")
        });
        assert_eq!(systemd.units().unwrap().len(), 1);
        script.on("systemctl show", |_| says(""));
        assert!(matches!(systemd.units(), Err(ServiceError::Refused(_))));
        script.on("systemctl show", |_| fails(1, "Access denied"));
        assert!(matches!(systemd.units(), Err(ServiceError::Refused(_))));
        script.on("systemctl show", |_| hangs("systemctl"));
        assert!(matches!(systemd.units(), Err(ServiceError::Exec(_))));
        script.on("systemctl", |_| absent("systemctl"));
        assert!(matches!(systemd.units(), Err(ServiceError::Absent(_))));
    }

    #[test]
    fn what_its_file_asks_of_a_path_decides_about_a_start() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("there"), "").unwrap();
        let host = Host::at(dir.path(), Clock::manual(Timestamp::default()));
        let asks = |text: &str, active_state: &str| {
            std::fs::write(dir.path().join("a.service"), text).unwrap();
            let unit = UnitState {
                active_state: active_state.to_owned(),
                fragment_path: "/a.service".to_owned(),
                ..UnitState::default()
            };
            kept_by_a_path(&unit, &host)
        };
        let gone = || "/gone".to_owned();
        let there = || "/there".to_owned();
        for (text, state, want) in [
            ("ConditionPathExists=/there", "inactive", None),
            (
                "ConditionPathExists=/gone",
                "inactive",
                Some(Unwanted::Lacks(gone())),
            ),
            ("ConditionPathExists=/gone", "failed", None),
            (
                "ConditionPathExists=!/there",
                "failed",
                Some(Unwanted::Flag(there())),
            ),
            ("AssertPathExists=/there", "failed", None),
            (
                "AssertPathExists=/gone",
                "failed",
                Some(Unwanted::Asserts(gone())),
            ),
            (
                "AssertPathExists=!/there",
                "failed",
                Some(Unwanted::Asserts(there())),
            ),
        ] {
            assert_eq!(asks(text, state), want, "{text} {state}");
        }
    }
}
