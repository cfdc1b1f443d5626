//! What opening and adopting did, as text for the log.

use std::fmt;
use std::path::PathBuf;

/// What opening had to do; each message is for the log.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OpenReport {
    pub created: bool,
    /// A damaged file was set aside: budgets count as spent, deliveries as unknown, mode is suggest.
    pub restored: bool,
    /// The disk was too full for a second connection: reads go through the writer's.
    pub alone: bool,
    /// A database of the Python daemon stood at the path.
    pub adopted: Option<ImportReport>,
    pub messages: Vec<String>,
    /// Those of the messages that tell of damage or a full disk.
    pub troubles: Vec<String>,
}

impl OpenReport {
    pub(super) fn trouble(&mut self, what: String) {
        self.troubles.push(what.clone());
        self.messages.push(what);
    }
}

/// What an adoption did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ImportReport {
    pub tasks: u64,
    pub history: u64,
    /// Unknown tables, kept as `legacy_NAME`.
    pub kept_tables: Vec<String>,
    pub copy: Option<PathBuf>,
    /// It had been adopted before: nothing was changed.
    pub already: bool,
}

impl fmt::Display for ImportReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.already {
            return write!(f, "already adopted: nothing to do");
        }
        write!(
            f,
            "adopted {} tasks and {} history rows of the Python daemon",
            self.tasks, self.history
        )?;
        if !self.kept_tables.is_empty() {
            write!(
                f,
                "; other tables kept as legacy_*: {}",
                self.kept_tables.join(", ")
            )?;
        }
        match &self.copy {
            Some(copy) => write!(f, "; the original is kept as {}", copy.display()),
            None => Ok(()),
        }
    }
}
