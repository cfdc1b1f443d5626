//! Re-reads unit files.

use std::fmt;

use crate::actions::error::Why;
use crate::actions::{Action, ActionContext, ActionError, Done, IRREVERSIBLE, Undo};
use crate::core::model::action::ActionKind;
use crate::core::model::proposal::Terms;
use crate::core::model::unit::UnitName;

#[derive(Debug)]
pub struct DaemonReload;

impl fmt::Display for DaemonReload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("daemon-reload")
    }
}

impl Action for DaemonReload {
    fn kind(&self) -> ActionKind {
        ActionKind::DaemonReload
    }

    fn unit(&self) -> Option<&UnitName> {
        None
    }

    fn terms(&self, _context: &ActionContext<'_>) -> Result<Terms, ActionError> {
        Ok(Terms::undone_by(IRREVERSIBLE))
    }

    fn precondition(&self, context: &ActionContext<'_>) -> Result<(), ActionError> {
        if context.managers.is_empty() {
            return Err(ActionError::gone(
                "no service manager on this host".to_owned(),
            ));
        }
        Ok(())
    }

    fn undo_record(&self, _context: &ActionContext<'_>) -> Result<Undo, ActionError> {
        Ok(Undo::None)
    }

    fn act(&self, context: &ActionContext<'_>) -> Result<Done, ActionError> {
        reload(context)?;
        Ok(Done::new("unit files read again".to_owned()))
    }
}

pub(super) fn reload(context: &ActionContext<'_>) -> Result<(), ActionError> {
    for manager in context.managers {
        manager
            .reload()
            .map_err(|why| ActionError::failed(Why::from(why).at(manager.name())))?;
    }
    Ok(())
}
