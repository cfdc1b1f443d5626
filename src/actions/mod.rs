//! Actions: one type in one file each; target, precondition, undo record, execution. How to add one:
//! docs/ADDING_AN_ACTION.md.

mod daemon_reload;
mod error;
mod free_disk;
mod path_drop_in;
mod remount_rw;
mod renew_uplink;
mod restart_container;
mod restart_interface;
mod run_declared;
mod sync_clock;
mod terminate_process;
#[cfg(test)]
mod tests;
mod units;
mod vacuum_journal;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use serde::de::Error as _;
use serde_json::{Value, json};

use self::daemon_reload::DaemonReload;
pub use self::error::ActionError;
use self::free_disk::FreeDisk;
/// In the name of each drop-in of ours.
pub use self::path_drop_in::MARK as DROP_IN_MARK;
use self::path_drop_in::PathDropIn;
use self::remount_rw::RemountRw;
use self::renew_uplink::RenewUplink;
use self::restart_container::RestartContainer;
use self::restart_interface::RestartInterface;
use self::run_declared::RunDeclared;
use self::sync_clock::SyncClock;
use self::terminate_process::TerminateProcess;
use self::units::UnitOrder;
use self::vacuum_journal::VacuumJournal;
use crate::core::config::Config;
use crate::core::model::action::ActionKind;
use crate::core::model::finding::Finding;
use crate::core::model::healthy::HealthyUnits;
use crate::core::model::proposal::{Proposal, Terms};
use crate::core::model::sorted::SortedMap;
use crate::core::model::unit::UnitName;
use crate::core::reading::wanted::NotWanted;
use crate::core::remedy::target::TargetError;
use crate::host::Host;
use crate::host::exec::{self, Command, ExecError};
use crate::services::{self, Order, ServiceManager};

/// What actions work with.
#[derive(Debug)]
pub struct ActionContext<'a> {
    pub host: &'a Host,
    pub config: &'a Config,
    pub managers: &'a [Arc<dyn ServiceManager>],
    /// Directory for backups of files that an action changes (below the state directory).
    pub backup_dir: &'a std::path::Path,
    /// What each unit was like while it was well.
    pub healthy: &'a HealthyUnits,
}

/// How an action's effect is taken back. Stored before acting, as JSON.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Undo {
    /// Nothing to take back: a restart, a vacuum.
    None,
    /// Remove the file that the action will write, or put `backup` back, then daemon-reload.
    RestoreFile {
        path: String,
        backup: Option<String>,
        /// Its text; not known of a record of an earlier version. What else stands there by then is somebody's work,
        /// of which a copy is kept.
        written: Option<String>,
    },
    /// Start the unit again that the action stops.
    StartUnit {
        unit: String,
    },
    RemountReadOnly {
        mount: String,
    },
    /// Give the interface the addresses and routes again that it had: lines for `ip -batch`.
    PutBack {
        interface: String,
        lines: String,
    },
}

/// Read and written by hand: derived it took 13 KB of the binary.
impl Undo {
    /// As JSON, as it is stored.
    pub fn written(&self) -> String {
        let object = match self {
            Self::None => json!({ "undo": "none" }),
            Self::RestoreFile {
                path,
                backup,
                written,
            } => {
                json!({ "undo": "restore_file", "path": path, "backup": backup, "written": written })
            }
            Self::StartUnit { unit } => json!({ "undo": "start_unit", "unit": unit }),
            Self::RemountReadOnly { mount } => {
                json!({ "undo": "remount_read_only", "mount": mount })
            }
            Self::PutBack { interface, lines } => {
                json!({ "undo": "put_back", "interface": interface, "lines": lines })
            }
        };
        object.to_string()
    }

    /// What is no record of this version, or lacks a part, is an error.
    pub fn read(text: &str) -> Result<Self, serde_json::Error> {
        let object: Value = serde_json::from_str(text)?;
        let part = |name: &str| {
            let text = object.get(name).and_then(Value::as_str).map(str::to_owned);
            text.ok_or_else(|| serde_json::Error::custom(format_args!("it lacks `{name}`")))
        };
        Ok(match part("undo")?.as_str() {
            "none" => Self::None,
            "restore_file" => Self::RestoreFile {
                path: part("path")?,
                backup: part("backup").ok(),
                written: part("written").ok(),
            },
            "start_unit" => Self::StartUnit {
                unit: part("unit")?,
            },
            "remount_read_only" => Self::RemountReadOnly {
                mount: part("mount")?,
            },
            "put_back" => Self::PutBack {
                interface: part("interface")?,
                lines: part("lines")?,
            },
            other => {
                let why = format_args!("`{other}` is no way back of this version");
                return Err(serde_json::Error::custom(why));
            }
        })
    }
}

impl fmt::Display for Undo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::None => f.write_str(IRREVERSIBLE),
            Self::RestoreFile {
                path, backup: None, ..
            } => write!(f, "removes {path}"),
            Self::RestoreFile { path, .. } => write!(f, "puts {path} back as it was"),
            Self::StartUnit { unit } => write!(f, "starts {unit}"),
            Self::RemountReadOnly { mount } => write!(f, "makes {mount} read-only"),
            Self::PutBack { interface, .. } => {
                write!(f, "gives {interface} its addresses and routes back")
            }
        }
    }
}

/// How most actions are taken back.
const IRREVERSIBLE: &str = "nothing to take back";

/// What an action did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Done {
    pub message: String,
    /// For the record of the attempt: bytes freed, file written, output.
    pub noted: SortedMap<&'static str, String>,
}

impl Done {
    fn new(message: String) -> Self {
        Self {
            message,
            noted: SortedMap::new(),
        }
    }

    fn noting(mut self, what: &'static str, value: impl Into<String>) -> Self {
        self.noted.insert(what, value.into());
        self
    }
}

/// What an action is made of.
#[derive(Clone, Copy, Debug)]
pub struct Basis<'a> {
    pub finding: &'a Finding,
    pub config: &'a Config,
    /// The name that the runbook's step gives, for `run_declared`.
    pub command: Option<&'a str>,
}

/// One remediation with its target: one type, one file. There is no value that means "all". Its text, as
/// `Display`, is what humans and the audit read.
pub trait Action: fmt::Debug + fmt::Display {
    fn kind(&self) -> ActionKind;

    /// The unit whose budget it uses; whoever touches a unit names it.
    fn unit(&self) -> Option<&UnitName>;

    /// All that is allowed with it, as the host is now: every parameter, and of each file that it would have run
    /// the identity. Touches nothing.
    fn terms(&self, context: &ActionContext<'_>) -> Result<Terms, ActionError>;

    /// May it still be taken? Reads the host again and touches nothing.
    fn precondition(&self, context: &ActionContext<'_>) -> Result<(), ActionError>;

    /// The unit that it would start, where nobody wants that. Reads the host again and touches nothing.
    fn unwanted(&self, _context: &ActionContext<'_>) -> Result<Option<NotWanted>, ActionError> {
        Ok(None)
    }

    /// How it would be taken back; makes backups, changes nothing.
    fn undo_record(&self, context: &ActionContext<'_>) -> Result<Undo, ActionError>;

    /// Changes the host. Called by [`execute`] alone, which looks once more before.
    fn act(&self, context: &ActionContext<'_>) -> Result<Done, ActionError>;
}

/// The one table of actions: makes the action of a kind, or says which fact is missing for it.
pub fn resolve(kind: ActionKind, basis: &Basis<'_>) -> Result<Box<dyn Action>, TargetError> {
    match kind {
        ActionKind::StartUnit => boxed(UnitOrder::of(Order::Start, basis)),
        ActionKind::RestartUnit => boxed(UnitOrder::of(Order::Restart, basis)),
        ActionKind::StopUnit => boxed(UnitOrder::of(Order::Stop, basis)),
        ActionKind::ResetFailedStart => boxed(UnitOrder::of(Order::ResetFailedStart, basis)),
        ActionKind::DaemonReload => Ok(Box::new(DaemonReload)),
        ActionKind::PathDropIn => boxed(PathDropIn::of(basis)),
        ActionKind::TerminateProcess => boxed(TerminateProcess::of(basis)),
        ActionKind::VacuumJournal => Ok(Box::new(VacuumJournal::of(basis))),
        ActionKind::FreeDisk => boxed(FreeDisk::of(basis)),
        ActionKind::RemountRw => boxed(RemountRw::of(basis)),
        ActionKind::SyncClock => Ok(Box::new(SyncClock)),
        ActionKind::RenewUplink => boxed(RenewUplink::of(basis)),
        ActionKind::RestartInterface => boxed(RestartInterface::of(basis)),
        ActionKind::RestartContainer => boxed(RestartContainer::of(basis)),
        ActionKind::RunDeclared => boxed(RunDeclared::of(basis)),
    }
}

fn boxed(made: Result<impl Action + 'static, TargetError>) -> Result<Box<dyn Action>, TargetError> {
    Ok(Box::new(made?))
}

/// Runs `order` (program and arguments) with rights that our hardened unit gave up: as a transient unit
/// where systemd runs, directly elsewhere.
fn outside(
    context: &ActionContext<'_>,
    order: &[&str],
    deadline: Duration,
) -> Result<exec::Output, ExecError> {
    let (program, args) = order
        .split_first()
        .ok_or_else(|| ExecError::Absent(String::new()))?;
    let command = Command::new(program, args, deadline);
    services::outside::run(context.host, context.managers, &command)
}

/// The action as it can be allowed: one kind, one target, as the host is now.
pub fn proposal(
    context: &ActionContext<'_>,
    action: &dyn Action,
    command: Option<&str>,
) -> Result<Proposal, ActionError> {
    Ok(Proposal {
        kind: action.kind(),
        command: command.map(str::to_owned),
        text: action.to_string(),
        terms: action.terms(context)?,
    })
}

/// Acts, after one more look: what was checked before the gates may have changed since, and only what was
/// `decided` is done.
pub fn execute(
    context: &ActionContext<'_>,
    action: &dyn Action,
    decided: &Proposal,
) -> Result<Done, ActionError> {
    action.precondition(context)?;
    if let Some(unit) = action.unwanted(context)? {
        return Err(ActionError::gone(unit.to_string()));
    }
    let now = proposal(context, action, decided.command.as_deref())?;
    if let Some(changed) = decided.changed_to(&now) {
        return Err(ActionError::refused(changed));
    }
    let done = action.act(context);
    match replaced(context, action, decided) {
        None => done,
        Some(what) => Err(ActionError::failed(format!(
            "replaced after it was proven, which of the two ran is not known: {what}"
        ))),
    }
}

/// What became of a command's files between their proof and its end. They are run by their paths, or a script would not
/// know its own: who may write there may put another one there in between.
fn replaced(
    context: &ActionContext<'_>,
    action: &dyn Action,
    decided: &Proposal,
) -> Option<String> {
    if action.kind() != ActionKind::RunDeclared {
        return None;
    }
    match proposal(context, action, decided.command.as_deref()) {
        Ok(now) => decided.changed_to(&now),
        Err(why) => Some(why.to_string()),
    }
}

/// Takes an action back by its record; doing it twice is the same as once.
pub fn undo(context: &ActionContext<'_>, undo: &Undo) -> Result<String, ActionError> {
    match undo {
        Undo::None => Ok("nothing to undo".to_owned()),
        Undo::RestoreFile {
            path,
            backup,
            written,
        } => path_drop_in::restore(context, path, backup.as_deref(), written.as_deref()),
        Undo::StartUnit { unit } => {
            let unit = UnitName::new(unit).map_err(ActionError::refused)?;
            units::order_unit(context, Order::Start, &unit)?;
            Ok(format!("{unit} started again"))
        }
        Undo::RemountReadOnly { mount } => remount_rw::back(context, mount),
        Undo::PutBack { interface, lines } => renew_uplink::put_back(context, interface, lines),
    }
}
