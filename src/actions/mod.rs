//! Actions: one file each; precondition, undo record, execution, undo.

use std::fmt;
use std::sync::Arc;

use crate::core::action::Action;
use crate::core::config::Config;
use crate::host::Host;
use crate::services::ServiceManager;

/// What actions work with.
#[derive(Debug)]
pub struct Workshop<'a> {
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

/// Reads the host again: may this action still be taken? Touches nothing.
pub type Precondition = fn(&Workshop<'_>, &Action) -> Result<(), ActionError>;
