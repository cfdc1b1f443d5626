//! Re-reads unit files.

use crate::actions::{ActionError, Done, Undo, Workshop};
use crate::core::model::action::Action;

pub fn precondition(shop: &Workshop<'_>, _action: &Action) -> Result<(), ActionError> {
    if shop.managers.is_empty() {
        return Err(ActionError::PreconditionGone(
            "no service manager on this host".to_owned(),
        ));
    }
    Ok(())
}

pub fn undo_record(_shop: &Workshop<'_>, _action: &Action) -> Result<Undo, ActionError> {
    Ok(Undo::None)
}

pub fn execute(shop: &Workshop<'_>, _action: &Action) -> Result<Done, ActionError> {
    reload(shop)?;
    Ok(Done::new("unit files read again".to_owned()))
}

pub(super) fn reload(shop: &Workshop<'_>) -> Result<(), ActionError> {
    for manager in shop.managers {
        manager
            .reload()
            .map_err(|why| ActionError::Failed(format!("{}: {why}", manager.name())))?;
    }
    Ok(())
}
