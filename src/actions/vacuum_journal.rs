//! Shrinks archived journal files.

use std::time::Duration;

use crate::actions::{ActionContext, ActionError, Done, Undo};
use crate::core::model::action::Action;
use crate::host::{exec, files};

const DEADLINE: Duration = Duration::from_secs(60);
/// Less than this is never kept: the journal is what explains the next fault.
const KEEP_LEAST: u64 = 8 << 20;

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

fn keep(action: &Action) -> Result<u64, ActionError> {
    match action {
        Action::VacuumJournal { keep_bytes } => Ok((*keep_bytes).max(KEEP_LEAST)),
        other => Err(ActionError::Refused(format!(
            "{other} is no journal vacuum"
        ))),
    }
}

pub fn precondition(context: &ActionContext<'_>, action: &Action) -> Result<(), ActionError> {
    let (keep, size) = (keep(action)?, size(context));
    if context.host.is_real() && size > keep {
        return Ok(());
    }
    Err(ActionError::PreconditionGone(format!(
        "the journal takes {size} bytes; {keep} are kept"
    )))
}

pub fn undo_record(_shop: &ActionContext<'_>, _action: &Action) -> Result<Undo, ActionError> {
    Ok(Undo::None)
}

pub fn execute(context: &ActionContext<'_>, action: &Action) -> Result<Done, ActionError> {
    let before = size(context);
    let wanted = format!("--vacuum-size={}", keep(action)?);
    let out = exec::run("journalctl", &["--rotate", &wanted], DEADLINE)
        .map_err(|why| ActionError::Failed(why.to_string()))?;
    let freed = before.saturating_sub(size(context));
    if !out.success() || freed == 0 {
        return Err(ActionError::Failed(format!(
            "{freed} bytes freed: {}",
            out.reason()
        )));
    }
    Ok(
        Done::new(format!("journal shrunk by {freed} bytes"))
            .with("freed_bytes", freed.to_string()),
    )
}
