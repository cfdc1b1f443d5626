//! Shrinks archived journal files.

use std::time::Duration;

use crate::actions::{ActionError, Done, Undo, Workshop};
use crate::core::action::Action;
use crate::host::exec;

const DEADLINE: Duration = Duration::from_secs(60);
/// Less than this is never kept: the journal is what explains the next fault.
const KEEP_LEAST: u64 = 8 << 20;

pub fn precondition(shop: &Workshop<'_>, _action: &Action) -> Result<(), ActionError> {
    let kept = ["/var/log/journal", "/run/log/journal"]
        .iter()
        .any(|dir| shop.host.path(dir).is_dir());
    if shop.host.is_real() && kept {
        Ok(())
    } else {
        Err(ActionError::PreconditionGone(
            "no journal on this host".to_owned(),
        ))
    }
}

pub fn undo_record(_shop: &Workshop<'_>, _action: &Action) -> Result<Undo, ActionError> {
    Ok(Undo::None)
}

pub fn execute(_shop: &Workshop<'_>, action: &Action) -> Result<Done, ActionError> {
    let Action::VacuumJournal { keep_bytes } = action else {
        return Err(ActionError::Refused(format!(
            "{action} is no journal vacuum"
        )));
    };
    let size = format!("--vacuum-size={}", (*keep_bytes).max(KEEP_LEAST));
    let out = exec::run("journalctl", &["--rotate", &size], DEADLINE)
        .map_err(|why| ActionError::Failed(why.to_string()))?;
    if out.success() {
        Ok(Done::new(out.reason()))
    } else {
        Err(ActionError::Failed(out.reason()))
    }
}
