//! Actions: one file each; precondition, undo record, execution, undo.

mod daemon_reload;
mod free_disk;
mod path_drop_in;
mod remount_rw;
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

use crate::core::config::Config;
use crate::core::model::action::{Action, ActionKind};
use crate::core::model::finding::Evidence;
use crate::core::model::unit::UnitName;
use crate::host::Host;
use crate::host::exec::{self, ExecError};
use crate::services::{Order, ServiceManager};

/// What actions work with.
#[derive(Debug)]
pub struct ActionContext<'a> {
    pub host: &'a Host,
    pub config: &'a Config,
    pub managers: &'a [Arc<dyn ServiceManager>],
    /// Directory for backups of files that an action changes (below the state directory).
    pub backup_dir: &'a std::path::Path,
}

/// How an action's effect is taken back. Stored before acting, as JSON.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(tag = "undo", rename_all = "snake_case")]
pub enum Undo {
    /// Nothing to take back: a restart, a vacuum.
    None,
    /// Remove the file that the action will write, or put `backup` back, then daemon-reload.
    RestoreFile {
        path: String,
        backup: Option<String>,
    },
    /// Start the unit again that the action stops.
    StartUnit {
        unit: String,
    },
    RemountReadOnly {
        mount: String,
    },
}

/// Why an action was not done, or failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ActionError {
    /// The host changed since the decision; nothing was touched.
    PreconditionGone(String),
    /// Safety: nothing was touched.
    Refused(String),
    /// It was tried and failed.
    Failed(String),
}

impl fmt::Display for ActionError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::PreconditionGone(why) => write!(f, "precondition no longer true: {why}"),
            Self::Refused(why) => write!(f, "refused: {why}"),
            Self::Failed(why) => write!(f, "failed: {why}"),
        }
    }
}

impl std::error::Error for ActionError {}

/// What an action did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Done {
    pub message: String,
    /// Facts for the audit: bytes freed, file written, output.
    pub evidence: Evidence,
}

impl Done {
    fn new(message: String) -> Self {
        Self {
            message,
            evidence: Evidence::new(),
        }
    }

    fn with(mut self, key: &str, value: impl Into<String>) -> Self {
        self.evidence.insert(key.to_owned(), value.into());
        self
    }
}

/// The functions of one action.
struct Row {
    /// Reads the host again: may this action still be taken? Touches nothing.
    precondition: fn(&ActionContext<'_>, &Action) -> Result<(), ActionError>,
    undo_record: fn(&ActionContext<'_>, &Action) -> Result<Undo, ActionError>,
    execute: fn(&ActionContext<'_>, &Action) -> Result<Done, ActionError>,
}

macro_rules! row {
    ($module:ident) => {
        Row {
            precondition: $module::precondition,
            undo_record: $module::undo_record,
            execute: $module::execute,
        }
    };
}

/// The one table of actions: which file does what.
const fn row(kind: ActionKind) -> Row {
    match kind {
        ActionKind::StartUnit
        | ActionKind::RestartUnit
        | ActionKind::StopUnit
        | ActionKind::ResetFailedStart => row!(units),
        ActionKind::DaemonReload => row!(daemon_reload),
        ActionKind::PathDropIn => row!(path_drop_in),
        ActionKind::TerminateProcess => row!(terminate_process),
        ActionKind::VacuumJournal => row!(vacuum_journal),
        ActionKind::FreeDisk => row!(free_disk),
        ActionKind::RemountRw => row!(remount_rw),
        ActionKind::SyncClock => row!(sync_clock),
        ActionKind::RestartInterface => row!(restart_interface),
        ActionKind::RunDeclared => row!(run_declared),
    }
}

/// Runs `order` (program and arguments) with rights that our hardened unit gave up: as a transient unit
/// where systemd runs, directly elsewhere.
fn outside(
    context: &ActionContext<'_>,
    order: &[&str],
    deadline: Duration,
) -> Result<exec::Output, ExecError> {
    const TRANSIENT: [&str; 4] = ["--quiet", "--wait", "--collect", "--"];
    let systemd = context
        .managers
        .iter()
        .any(|manager| manager.name() == "systemd");
    match order.split_first() {
        _ if systemd => exec::run("systemd-run", &[&TRANSIENT, order].concat(), deadline),
        Some((program, args)) => exec::run(program, args, deadline),
        None => Err(ExecError::Absent(String::new())),
    }
}

/// May this action still be taken? Reads the host again and touches nothing.
pub fn precondition(context: &ActionContext<'_>, action: &Action) -> Result<(), ActionError> {
    (row(action.kind()).precondition)(context, action)
}

/// How the action would be taken back; makes backups, changes nothing.
pub fn undo_record(context: &ActionContext<'_>, action: &Action) -> Result<Undo, ActionError> {
    (row(action.kind()).undo_record)(context, action)
}

/// Acts, after one more look: what was checked before the gates may have changed since.
pub fn execute(context: &ActionContext<'_>, action: &Action) -> Result<Done, ActionError> {
    precondition(context, action)?;
    (row(action.kind()).execute)(context, action)
}

/// Takes an action back by its record; doing it twice is the same as once.
pub fn undo(context: &ActionContext<'_>, undo: &Undo) -> Result<String, ActionError> {
    match undo {
        Undo::None => Ok("nothing to undo".to_owned()),
        Undo::RestoreFile { path, backup } => {
            path_drop_in::restore(context, path, backup.as_deref())
        }
        Undo::StartUnit { unit } => {
            let unit = UnitName::new(unit).map_err(|why| ActionError::Refused(why.to_string()))?;
            units::order_unit(context, Order::Start, &unit)?;
            Ok(format!("{unit} started again"))
        }
        Undo::RemountReadOnly { mount } => remount_rw::back(context, mount),
    }
}
