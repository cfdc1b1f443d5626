//! The closed list of actions, as data: name, risk and what else is decided without the host.

use crate::core::model::named::{named, table};

named! {
    /// How much harm an action can do; decides the default mode.
    Risk "risk" {
        Low = "low",
        Medium = "medium",
        High = "high",
    }
}

/// What an action leans on beside its target.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum LeansOn {
    Nothing,
    /// What each unit was like while it was well.
    HealthyUnits,
    /// The new place of a path, as it was told.
    Move,
    /// A command that the operator declared.
    Command,
    /// How the container did before.
    Container,
}

/// What is decided about an action without a look at the host.
#[derive(Debug)]
struct Spec {
    /// Risk class where the operator declared none.
    risk: Risk,
    /// It interrupts something that runs.
    disruptive: bool,
    /// It does nothing but start a unit.
    starts: bool,
    leans_on: LeansOn,
    /// Words of operators' prose, and of the tools' own names, that advise it; lower case.
    words: &'static [&'static str],
}

// One row an action: all that is decided about it here. Its target, and what it does, is its file in
// src/actions.
table! {
    /// The closed list of actions. The name is the action's id in runbooks, budgets and learning.
    ActionKind "action" Spec {
        /// Starts a unit that is wanted and does not run.
        StartUnit = "start_unit" {
            risk: Risk::Low, disruptive: false, starts: true, leans_on: LeansOn::Nothing,
            words: &["systemctl start", "start the service", "rc-service"],
        }
        /// Stops and starts a unit that may still run.
        RestartUnit = "restart_unit" {
            risk: Risk::Low, disruptive: true, starts: true, leans_on: LeansOn::Nothing,
            words: &["restart"],
        }
        /// Stops a unit; undone by starting it.
        StopUnit = "stop_unit" {
            risk: Risk::Medium, disruptive: true, starts: false, leans_on: LeansOn::Nothing,
            words: &["systemctl stop"],
        }
        /// Forgets the failures that keep a unit from starting, then starts it.
        ResetFailedStart = "reset_failed_start" {
            risk: Risk::Low, disruptive: false, starts: true, leans_on: LeansOn::Nothing,
            words: &["reset-failed", "restart", "systemctl start"],
        }
        /// Makes the service manager read unit files again.
        DaemonReload = "daemon_reload" {
            risk: Risk::Low, disruptive: false, starts: false, leans_on: LeansOn::Nothing,
            words: &["daemon-reload"],
        }
        /// Gives a unit the new place of a path that moved; the unit file is never edited.
        PathDropIn = "path_drop_in" {
            risk: Risk::Medium, disruptive: true, starts: false, leans_on: LeansOn::Move,
            words: &["drop-in", "systemctl edit", "moved to", "renamed", "new path"],
        }
        /// Ends a left-over process in the way of a unit, then starts the unit.
        TerminateProcess = "terminate_process" {
            risk: Risk::Medium, disruptive: true, starts: false, leans_on: LeansOn::HealthyUnits,
            words: &["kill ", "pkill", "fuser -k", "stale process", "terminate"],
        }
        /// Shrinks archived journal files to a size.
        VacuumJournal = "vacuum_journal" {
            risk: Risk::Low, disruptive: false, starts: false, leans_on: LeansOn::Nothing,
            words: &["vacuum"],
        }
        /// Removes allow-listed files from one mount, oldest first; never directories.
        FreeDisk = "free_disk" {
            risk: Risk::Medium, disruptive: false, starts: false, leans_on: LeansOn::Nothing,
            words: &["logrotate", "apt clean", "apt-get clean", "free space", "free up", "delete old"],
        }
        /// Makes a file system writable again.
        RemountRw = "remount_rw" {
            risk: Risk::Medium, disruptive: true, starts: false, leans_on: LeansOn::Nothing,
            words: &["remount"],
        }
        /// Asks the host's time service to synchronise; never sets the clock.
        SyncClock = "sync_clock" {
            risk: Risk::Medium, disruptive: false, starts: false, leans_on: LeansOn::Nothing,
            words: &["chronyc makestep", "timedatectl", "ntpdate", "makestep"],
        }
        /// Takes a network interface that the operator named down and up.
        RestartInterface = "restart_interface" {
            risk: Risk::High, disruptive: true, starts: false, leans_on: LeansOn::Nothing,
            words: &["ip link set", "ifdown", "ifup", "networkctl"],
        }
        /// Stops and starts a container, through its engine or through the unit that runs it.
        RestartContainer = "restart_container" {
            risk: Risk::Medium, disruptive: true, starts: true, leans_on: LeansOn::Container,
            words: &["docker restart", "podman restart", "docker compose restart", "restart the container"],
        }
        /// Has the network manager of the uplink's interface set it up anew, with an undo armed before.
        RenewUplink = "renew_uplink" {
            risk: Risk::Medium, disruptive: true, starts: false, leans_on: LeansOn::Nothing,
            words: &["nmcli", "networkctl", "ifdown", "ifup", "renew the lease"],
        }
        /// Runs a command that the operator declared.
        RunDeclared = "run_declared" {
            risk: Risk::High, disruptive: true, starts: false, leans_on: LeansOn::Command,
            words: &[],
        }
    }
}

impl ActionKind {
    /// Risk class where the operator declared none.
    pub const fn risk(self) -> Risk {
        self.spec().risk
    }

    /// True when it interrupts something that runs: at most one of these per host at a time.
    pub(crate) const fn is_disruptive(self) -> bool {
        self.spec().disruptive
    }

    /// True when it does nothing but start a unit.
    pub(crate) const fn is_start(self) -> bool {
        self.spec().starts
    }

    /// True when only what units were like while they were well tells whom it may touch.
    pub(crate) const fn leans_on_healthy_units(self) -> bool {
        matches!(self.spec().leans_on, LeansOn::HealthyUnits)
    }

    /// True when it follows a path to its new place, and is as sure as that place.
    pub(crate) const fn follows_a_move(self) -> bool {
        matches!(self.spec().leans_on, LeansOn::Move)
    }

    /// True when it is of low risk to what is proven to work, and only to that.
    pub(crate) const fn leans_on_proof(self) -> bool {
        matches!(self.spec().leans_on, LeansOn::Container)
    }

    /// True of a kind that a release brought to hosts which ran without it: it is suggested until the operator gives it
    /// a mode of its own.
    pub(crate) const fn waits_for_a_mode(self) -> bool {
        matches!(self, Self::RestartContainer | Self::RenewUplink)
    }

    /// True when a command that the operator declared goes with it.
    pub(crate) const fn takes_command(self) -> bool {
        matches!(self.spec().leans_on, LeansOn::Command)
    }

    /// Does a passage of prose, in lower case, advise it?
    pub(crate) fn is_advised_by(self, text: &str) -> bool {
        self.spec().words.iter().any(|word| text.contains(word))
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
