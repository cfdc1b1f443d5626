//! What a service manager says about one unit, whichever manager it is.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// A validated, non-empty unit name: an empty target can not be built.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UnitName(String);

/// Longest unit name that systemd takes (`UNIT_NAME_MAX`, bytes).
pub const UNIT_NAME_MAX: usize = 255;

impl UnitName {
    /// Takes what `systemd.unit(5)` allows: ASCII letters, digits, `:-_.\@`, not empty, not starting
    /// with `-` (an option to the tools we call) and at most [`UNIT_NAME_MAX`] bytes.
    pub fn new(name: &str) -> Result<Self, BadUnitName> {
        let legal = |c: u8| c.is_ascii_alphanumeric() || b":-_.\\@".contains(&c);
        if name.is_empty()
            || name.len() > UNIT_NAME_MAX
            || name.starts_with(['-', '.'])
            || !name.bytes().all(legal)
        {
            return Err(BadUnitName(name.to_owned()));
        }
        Ok(Self(name.to_owned()))
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for UnitName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Suffixes of the units that run, hold or start something.
const UNIT_KINDS: [&str; 11] = [
    ".service",
    ".socket",
    ".mount",
    ".automount",
    ".target",
    ".swap",
    ".path",
    ".timer",
    ".scope",
    ".slice",
    ".device",
];

/// True for a name that ends like a unit's.
pub fn is_unit_name(name: &str) -> bool {
    UNIT_KINDS.iter().any(|kind| name.ends_with(kind))
}

/// The unit of the system's manager that a control group belongs to: the first name below the slices. What stands
/// below it was made by whom the group was handed to, a user's manager or a program, and may be called anything.
pub fn unit_of_cgroup(path: &str) -> Option<&str> {
    path.split('/')
        .find(|part| !part.is_empty() && !part.ends_with(".slice"))
        .filter(|part| part.ends_with(".service") || part.ends_with(".scope"))
}

/// Not a unit name; acting on it is refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BadUnitName(pub String);

impl fmt::Display for BadUnitName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} is not a unit name", self.0)
    }
}

impl std::error::Error for BadUnitName {}

/// How a unit last left `active`, or why it never came there.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Left {
    /// The manager's words of that time are not known.
    #[default]
    Unknown,
    /// Its own end: it exited, crashed, ran into a limit, or got a signal from nobody the manager knows.
    ByItself,
    OnPurpose(Purpose),
    /// It went down, or was not started, with this one, which nobody stopped; empty where it is not known which.
    TakenAlong(String),
}

/// What somebody wanted when a unit left `active`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Purpose {
    Stopped,
    /// Ended by a signal that the manager was asked to send.
    Signalled,
    Unmounted,
    /// Its start was called off.
    CalledOff,
    /// Stopped together with this one, which was stopped on purpose and is still down.
    With(String),
    /// Stopped for this one, which excludes it.
    For(String),
}

/// How a unit went down once: known of that very end, of no other.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct UnitEnd {
    pub unit: String,
    /// Microseconds since boot.
    pub at_us: u64,
    pub left: Left,
}

/// The ends of one boot, as they are kept over a restart of this program.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct UnitEnds {
    pub boot: String,
    pub ends: Vec<UnitEnd>,
}

impl Left {
    /// Of a manager that says no more than a state: what is neither up nor failed was stopped.
    pub fn of_state(active_state: &str) -> Self {
        match active_state {
            "inactive" => Self::OnPurpose(Purpose::Stopped),
            "failed" => Self::ByItself,
            _ => Self::Unknown,
        }
    }
}

impl Purpose {
    const STOPPED: &'static str = "was stopped by somebody";
}

impl fmt::Display for Purpose {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Stopped => f.write_str(Self::STOPPED),
            Self::Signalled => f.write_str("was ended by somebody with a signal"),
            Self::Unmounted => f.write_str("was unmounted by somebody"),
            Self::CalledOff => f.write_str("was not started: somebody called it off"),
            Self::With(unit) => write!(f, "{} together with {unit}", Self::STOPPED),
            Self::For(unit) => write!(f, "{} for {unit}, which excludes it", Self::STOPPED),
        }
    }
}

/// Facts of one unit in one sweep. Fields that a manager does not know stay at their default.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct UnitState {
    pub name: String,
    /// `loaded`, `not-found`, `masked`, `bad-setting`, `error`.
    pub load_state: String,
    /// `active`, `inactive`, `failed`, `activating`, `deactivating`, `reloading`.
    pub active_state: String,
    pub sub_state: String,
    /// `simple`, `notify`, `oneshot`, `forking`, `dbus`, …
    pub service_type: String,
    /// `success`, `exit-code`, `signal`, `core-dump`, `watchdog`, `oom-kill`, `start-limit-hit`, `timeout`, …
    pub result: String,
    /// `exited`, `killed`, `dumped`; empty when no process ended yet.
    pub exit_code: String,
    /// Exit status, or the signal number when killed.
    pub exit_status: i32,
    pub n_restarts: u32,
    pub main_pid: u32,
    /// `enabled`, `disabled`, `static`, `masked`, `generated`, …
    pub unit_file_state: String,
    /// `Restart=`: `no`, `always`, `on-failure`, …
    pub restart: String,
    pub remain_after_exit: bool,
    /// `TimeoutStartSec=`; `None` without an end, or not known.
    pub start_timeout: Option<Duration>,
    /// `no` when a `Condition…=` was false at the last start.
    pub condition_result: bool,
    /// Timers, sockets and paths that start this unit on demand.
    pub triggered_by: Vec<String>,
    /// What it starts on demand, as a timer, socket or path.
    pub triggers: Vec<String>,
    /// Targets and units that want or require this unit.
    pub wanted_by: Vec<String>,
    /// Units this one needs, started before it.
    pub requires: Vec<String>,
    /// Units that are started with this one, and may be down beside it (`Wants=`).
    pub wants: Vec<String>,
    /// Units with which this one stops, however they end (`BindsTo=`).
    pub binds_to: Vec<String>,
    /// Units with which this one is stopped or restarted by a job (`PartOf=`, `StopPropagatedFrom=`, `Requisite=`).
    pub stops_with: Vec<String>,
    /// Units that cannot run at the same time, whichever of the two says so.
    pub excludes: Vec<String>,
    /// Started when this one fails (`OnFailure=`).
    pub on_failure: Vec<String>,
    /// `RefuseManualStart=`.
    pub refuse_manual_start: bool,
    /// `RestartPreventExitStatus=`: numbers, and signals without `SIG`.
    pub restart_prevent: Vec<String>,
    pub fragment_path: String,
    pub drop_in_paths: Vec<String>,
    pub need_daemon_reload: bool,
    /// First words of `ExecStart=` as absolute paths, without systemd's prefixes.
    pub exec_start: Vec<String>,
    pub working_directory: String,
    pub user: String,
    /// Microseconds since boot; 0 when it never happened.
    pub active_enter_us: u64,
    pub inactive_enter_us: u64,
    pub inactive_exit_us: u64,
    /// Of its last run, 32 lower-case hex digits; empty when it has not run since it was loaded.
    pub invocation: String,
    pub left: Left,
    /// A job waits or runs for it.
    pub has_job: bool,
    /// Its time stamps look like a stop by a job. Only where the manager's words are not known does it count.
    pub stopped_by_job: bool,
    pub control_group: String,
}

impl UnitState {
    pub fn is_active(&self) -> bool {
        matches!(self.active_state.as_str(), "active" | "reloading")
    }

    /// Down because somebody wanted it so.
    pub fn purpose(&self) -> Option<&Purpose> {
        match &self.left {
            Left::OnPurpose(purpose) if !self.is_active() => Some(purpose),
            Left::OnPurpose(_) | Left::Unknown | Left::ByItself | Left::TakenAlong(_) => None,
        }
    }

    /// Made by a command (`systemd-run`), not by a file.
    pub fn is_transient(&self) -> bool {
        self.unit_file_state == "transient"
            || self.fragment_path.starts_with("/run/systemd/transient/")
    }

    pub fn is_failed(&self) -> bool {
        self.active_state == "failed"
    }

    /// Its manager found its files and makes no sense of them.
    pub fn is_misread(&self) -> bool {
        matches!(self.load_state.as_str(), "bad-setting" | "error")
    }

    /// Units without which this one does not run and that can themselves be down, separated by blanks.
    pub fn required(&self) -> String {
        that_can_fail(self.requires.iter().chain(&self.binds_to))
    }

    /// Units that its start asks for and that can themselves be down, separated by blanks.
    pub fn asked_for(&self) -> String {
        that_can_fail(self.pulls_in())
    }

    /// What is started with it.
    pub fn pulls_in(&self) -> impl Iterator<Item = &String> {
        self.requires
            .iter()
            .chain(&self.binds_to)
            .chain(&self.wants)
    }

    pub fn is_changing(&self) -> bool {
        matches!(self.active_state.as_str(), "activating" | "deactivating")
    }
}

fn that_can_fail<'a>(names: impl Iterator<Item = &'a String>) -> String {
    let kinds = [".service", ".socket", ".mount"];
    let can_fail = |name: &&str| kinds.iter().any(|kind| name.ends_with(kind));
    let mut units: Vec<&str> = names.map(String::as_str).filter(can_fail).collect();
    units.sort_unstable();
    units.dedup();
    units.join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hostile_names_are_refused() {
        for bad in [
            "",
            "-a.service",
            "a b.service",
            "../x",
            "a\n.service",
            "é",
            "a/b",
            ".hidden",
        ] {
            assert!(UnitName::new(bad).is_err(), "{bad:?}");
        }
        assert!(UnitName::new(&"a".repeat(256)).is_err());
        assert!(UnitName::new("getty@tty1.service").is_ok());
        assert!(UnitName::new("dev-disk-by\\x2duuid.swap").is_ok());
    }

    #[test]
    fn the_unit_of_a_group_stands_right_below_the_slices() {
        for (path, want) in [
            ("/system.slice/a.service", Some("a.service")),
            ("/system.slice/a.service/worker", Some("a.service")),
            (
                "/system.slice/evebox.service/web.service",
                Some("evebox.service"),
            ),
            (
                "/user.slice/user-1000.slice/user@1000.service/app.slice/web.service",
                Some("user@1000.service"),
            ),
            (
                "/user.slice/user-0.slice/session-3.scope/web.service",
                Some("session-3.scope"),
            ),
            ("/docker/0a1b/system.slice/web.service", None),
            ("/init.scope", Some("init.scope")),
            ("/", None),
            ("", None),
        ] {
            assert_eq!(unit_of_cgroup(path), want, "{path}");
        }
    }
}
