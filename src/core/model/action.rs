//! Actions as data: typed, allow-listed, each with its risk.

use std::fmt;
use std::str::FromStr;

use crate::core::model::named::named;
use crate::core::model::unit::UnitName;

named! {
    /// How much harm an action can do; decides the default mode.
    Risk "risk" {
        Low = "low",
        Medium = "medium",
        High = "high",
    }
}

macro_rules! kinds {
    ($( $variant:ident $name:literal $risk:ident $disruptive:literal; )*) => {
        /// The closed list of actions. The name is the action id in runbooks, budgets and learning.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum ActionKind { $( $variant, )* }

        impl ActionKind {
            pub const ALL: &'static [Self] = &[ $( Self::$variant, )* ];

            pub const fn as_str(self) -> &'static str {
                match self { $( Self::$variant => $name, )* }
            }

            /// Risk class where the operator declared none.
            pub const fn risk(self) -> Risk {
                match self { $( Self::$variant => Risk::$risk, )* }
            }

            /// True when it interrupts something that runs: at most one of these per host at a time.
            pub const fn is_disruptive(self) -> bool {
                match self { $( Self::$variant => $disruptive, )* }
            }
        }
    };
}

kinds! {
    StartUnit "start_unit" Low true;
    RestartUnit "restart_unit" Low true;
    StopUnit "stop_unit" Medium true;
    ResetFailedStart "reset_failed_start" Low true;
    DaemonReload "daemon_reload" Low false;
    PathDropIn "path_drop_in" Medium true;
    TerminateProcess "terminate_process" Medium true;
    VacuumJournal "vacuum_journal" Low false;
    FreeDisk "free_disk" Medium false;
    RemountRw "remount_rw" Medium true;
    SyncClock "sync_clock" Medium false;
    RestartInterface "restart_interface" High true;
    RunDeclared "run_declared" High true;
}

impl fmt::Display for ActionKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for ActionKind {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        Self::ALL
            .iter()
            .copied()
            .find(|kind| kind.as_str() == name)
            .ok_or_else(|| format!("unknown action '{name}'"))
    }
}

/// A process that may be signalled only while it is still the same process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProcessIdentity {
    pub pid: u32,
    /// Clock ticks since boot, `/proc/PID/stat` field 22.
    pub start_ticks: u64,
    /// Target of `/proc/PID/exe`.
    pub exe: String,
}

/// One remediation with its typed target. There is no value that means "all".
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    StartUnit(UnitName),
    RestartUnit(UnitName),
    StopUnit(UnitName),
    ResetFailedStart(UnitName),
    DaemonReload,
    PathDropIn {
        unit: UnitName,
        /// `ExecStart` or `WorkingDirectory`.
        setting: String,
        old: String,
        new: String,
    },
    TerminateProcess {
        process: ProcessIdentity,
        /// Port (`tcp/8080`) that it is ended for; one that let it go meanwhile is left alone.
        holds: Option<String>,
        /// Unit that waits for what the process holds; started afterwards when given.
        then_start: Option<UnitName>,
    },
    /// Shrinks archived journal files to `keep_bytes`.
    VacuumJournal {
        keep_bytes: u64,
    },
    /// Removes allow-listed files on `mount` until `target_percent` used.
    FreeDisk {
        mount: String,
        target_percent: u8,
    },
    RemountRw {
        mount: String,
    },
    SyncClock,
    RestartInterface {
        interface: String,
    },
    /// A command the operator declared under this name.
    RunDeclared {
        name: String,
    },
}

impl Action {
    pub const fn kind(&self) -> ActionKind {
        match self {
            Self::StartUnit(_) => ActionKind::StartUnit,
            Self::RestartUnit(_) => ActionKind::RestartUnit,
            Self::StopUnit(_) => ActionKind::StopUnit,
            Self::ResetFailedStart(_) => ActionKind::ResetFailedStart,
            Self::DaemonReload => ActionKind::DaemonReload,
            Self::PathDropIn { .. } => ActionKind::PathDropIn,
            Self::TerminateProcess { .. } => ActionKind::TerminateProcess,
            Self::VacuumJournal { .. } => ActionKind::VacuumJournal,
            Self::FreeDisk { .. } => ActionKind::FreeDisk,
            Self::RemountRw { .. } => ActionKind::RemountRw,
            Self::SyncClock => ActionKind::SyncClock,
            Self::RestartInterface { .. } => ActionKind::RestartInterface,
            Self::RunDeclared { .. } => ActionKind::RunDeclared,
        }
    }

    /// The unit whose budget and slot this action uses.
    pub fn unit(&self) -> Option<&UnitName> {
        match self {
            Self::StartUnit(unit)
            | Self::RestartUnit(unit)
            | Self::StopUnit(unit)
            | Self::ResetFailedStart(unit)
            | Self::PathDropIn { unit, .. } => Some(unit),
            Self::TerminateProcess { then_start, .. } => then_start.as_ref(),
            _ => None,
        }
    }
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::StartUnit(unit) => write!(f, "start {unit}"),
            Self::RestartUnit(unit) => write!(f, "restart {unit}"),
            Self::StopUnit(unit) => write!(f, "stop {unit}"),
            Self::ResetFailedStart(unit) => write!(f, "reset-failed and start {unit}"),
            Self::DaemonReload => write!(f, "daemon-reload"),
            Self::PathDropIn {
                unit,
                setting,
                old,
                new,
            } => write!(f, "drop-in for {unit}: {setting} {old} -> {new}"),
            Self::TerminateProcess { process, .. } => {
                write!(f, "terminate process {} ({})", process.pid, process.exe)
            }
            Self::VacuumJournal { keep_bytes } => write!(f, "vacuum journal to {keep_bytes} bytes"),
            Self::FreeDisk {
                mount,
                target_percent,
            } => write!(f, "free disk {mount} to {target_percent} %"),
            Self::RemountRw { mount } => write!(f, "remount {mount} read-write"),
            Self::SyncClock => write!(f, "sync clock"),
            Self::RestartInterface { interface } => write!(f, "restart interface {interface}"),
            Self::RunDeclared { name } => write!(f, "run declared command {name}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_round_trip() {
        for kind in ActionKind::ALL {
            assert_eq!(kind.as_str().parse(), Ok(*kind));
        }
    }
}
