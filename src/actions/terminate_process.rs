//! Ends a stale process that holds what a unit needs, then starts the unit.

use crate::actions::{ActionError, Done, Undo, Workshop, units};
use crate::core::action::{Action, ProcessIdentity};
use crate::core::finding::evidence;
use crate::core::unit::UnitName;
use crate::host::procfs;
use crate::host::signals::{self, SignalError, TERM_GRACE};
use crate::services::Order;

fn target(action: &Action) -> Result<(&ProcessIdentity, Option<&UnitName>), ActionError> {
    match action {
        Action::TerminateProcess {
            process,
            then_start,
        } => Ok((process, then_start.as_ref())),
        other => Err(ActionError::Refused(format!("{other} ends no process"))),
    }
}

fn refuse(why: SignalError) -> ActionError {
    match why {
        SignalError::Gone(why) => ActionError::PreconditionGone(why),
        SignalError::Protected(why) => ActionError::Refused(why),
        SignalError::Failed(why) => ActionError::Failed(why),
    }
}

/// Still the same process, not protected, and of no running unit.
pub fn precondition(shop: &Workshop<'_>, action: &Action) -> Result<(), ActionError> {
    let (process, _) = target(action)?;
    signals::check(shop.host, process).map_err(refuse)?;
    if let Some(unit) = shop
        .managers
        .iter()
        .find_map(|manager| manager.unit_of(process.pid))
    {
        return Err(ActionError::Refused(format!(
            "process {} belongs to {unit}",
            process.pid
        )));
    }
    Ok(())
}

pub fn undo_record(_shop: &Workshop<'_>, _action: &Action) -> Result<Undo, ActionError> {
    // An ended process cannot be brought back: that is why it is medium risk and only a stale one.
    Ok(Undo::None)
}

pub fn execute(shop: &Workshop<'_>, action: &Action) -> Result<Done, ActionError> {
    precondition(shop, action)?;
    let (process, then_start) = target(action)?;
    let command =
        procfs::process(shop.host, process.pid).map_or_else(String::new, |one| one.cmdline);
    let ended = signals::terminate(shop.host, process, TERM_GRACE).map_err(refuse)?;
    if let Some(unit) = then_start {
        units::order_unit(shop, Order::ResetFailedStart, unit)?;
    }
    Ok(
        Done::new(format!("process {} ended ({ended:?})", process.pid))
            .with(evidence::HOLDER_COMMAND, command),
    )
}
