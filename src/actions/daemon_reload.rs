//! Re-reads unit files.

use crate::actions::{ActionContext, ActionError, Done, Undo};
use crate::core::model::action::Action;

pub fn precondition(context: &ActionContext<'_>, _action: &Action) -> Result<(), ActionError> {
    if context.managers.is_empty() {
        return Err(ActionError::PreconditionGone(
            "no service manager on this host".to_owned(),
        ));
    }
    Ok(())
}

pub fn undo_record(_shop: &ActionContext<'_>, _action: &Action) -> Result<Undo, ActionError> {
    Ok(Undo::None)
}

pub fn execute(context: &ActionContext<'_>, _action: &Action) -> Result<Done, ActionError> {
    reload(context)?;
    Ok(Done::new("unit files read again".to_owned()))
}

pub(super) fn reload(context: &ActionContext<'_>) -> Result<(), ActionError> {
    for manager in context.managers {
        manager
            .reload()
            .map_err(|why| ActionError::Failed(format!("{}: {why}", manager.name())))?;
    }
    Ok(())
}
