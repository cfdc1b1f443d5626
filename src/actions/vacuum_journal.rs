//! Shrinks archived journal files.

use std::fmt;
use std::time::Duration;

use crate::actions::{Action, ActionContext, ActionError, Basis, Done, Undo};
use crate::core::model::action::ActionKind;
use crate::core::model::proposal::Terms;
use crate::core::model::unit::UnitName;
use crate::host::files;

const DEADLINE: Duration = Duration::from_secs(60);
/// Less than this is never kept: the journal is what explains the next fault.
const KEEP_LEAST: u64 = 8 << 20;

/// Shrinks archived journal files to `keep_bytes`.
#[derive(Debug)]
pub struct VacuumJournal {
    keep_bytes: u64,
}

impl VacuumJournal {
    pub fn of(basis: &Basis<'_>) -> Self {
        Self {
            keep_bytes: basis.config.fix.journal_keep_mib << 20,
        }
    }

    fn keep(&self) -> u64 {
        self.keep_bytes.max(KEEP_LEAST)
    }
}

impl fmt::Display for VacuumJournal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "vacuum journal to {} bytes", self.keep_bytes)
    }
}

/// The journal's files, in one folder per machine and log namespace.
const FILES: [&str; 2] = [
    "/var/log/journal/*/*.journal*",
    "/run/log/journal/*/*.journal*",
];

/// What the journal takes on disk, in bytes.
fn size(context: &ActionContext<'_>) -> u64 {
    FILES
        .iter()
        .flat_map(|glob| files::glob(context.host, glob))
        .map(|file| file.bytes)
        .sum()
}

impl Action for VacuumJournal {
    fn kind(&self) -> ActionKind {
        ActionKind::VacuumJournal
    }

    fn unit(&self) -> Option<&UnitName> {
        None
    }

    fn terms(&self, _context: &ActionContext<'_>) -> Result<Terms, ActionError> {
        Ok(
            Terms::undone_by("nothing: removed journal files do not come back")
                .with("keep bytes", self.keep()),
        )
    }

    fn precondition(&self, context: &ActionContext<'_>) -> Result<(), ActionError> {
        let (keep, size) = (self.keep(), size(context));
        if size > keep {
            return Ok(());
        }
        Err(ActionError::gone(format!(
            "the journal takes {size} bytes; {keep} are kept"
        )))
    }

    fn undo_record(&self, _context: &ActionContext<'_>) -> Result<Undo, ActionError> {
        Ok(Undo::None)
    }

    fn act(&self, context: &ActionContext<'_>) -> Result<Done, ActionError> {
        let before = size(context);
        let wanted = format!("--vacuum-size={}", self.keep());
        let out = context
            .host
            .run("journalctl", &["--rotate", &wanted], DEADLINE)
            .map_err(ActionError::failed)?;
        let freed = before.saturating_sub(size(context));
        if !out.success() || freed == 0 {
            return Err(ActionError::failed(format!(
                "{freed} bytes freed: {}",
                out.reason()
            )));
        }
        Ok(Done::new(format!("journal shrunk by {freed} bytes"))
            .noting("freed_bytes", freed.to_string()))
    }
}
