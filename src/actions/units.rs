//! start, restart, stop, reset-failed and start: one order to the unit's manager each.

use crate::actions::{ActionError, Done, Undo, Workshop};
use crate::core::action::Action;
use crate::core::unit::{UnitName, UnitState};
use crate::services::{self, Order};

fn target(action: &Action) -> Result<(Order, &UnitName), ActionError> {
    match action {
        Action::StartUnit(unit) => Ok((Order::Start, unit)),
        Action::RestartUnit(unit) => Ok((Order::Restart, unit)),
        Action::StopUnit(unit) => Ok((Order::Stop, unit)),
        Action::ResetFailedStart(unit) => Ok((Order::ResetFailedStart, unit)),
        other => Err(ActionError::Refused(format!(
            "{other} is no order to a unit"
        ))),
    }
}

/// Units that must never be ordered about, whoever asks.
fn is_protected(unit: &UnitName) -> bool {
    let name = unit.as_str();
    name.starts_with("autonomous-orchestrator")
        || ["systemd-", "dbus.", "init.", "-.", "user@"]
            .iter()
            .any(|prefix| name.starts_with(prefix))
}

fn state(shop: &Workshop<'_>, unit: &UnitName) -> Result<UnitState, ActionError> {
    services::find(shop.managers, unit)
        .map(|(_, state)| state)
        .map_err(|why| ActionError::PreconditionGone(why.to_string()))
}

/// The unit still exists, may run, and is not already where the order would bring it.
pub fn precondition(shop: &Workshop<'_>, action: &Action) -> Result<(), ActionError> {
    let (order, unit) = target(action)?;
    if is_protected(unit) {
        return Err(ActionError::Refused(format!(
            "{unit} belongs to the system or to this program"
        )));
    }
    let state = state(shop, unit)?;
    if state.load_state == "masked" || state.unit_file_state == "masked" {
        return Err(ActionError::Refused(format!(
            "{unit} is masked: somebody does not want it to run"
        )));
    }
    if state.load_state == "not-found" {
        return Err(ActionError::PreconditionGone(format!(
            "{unit} does not exist any more"
        )));
    }
    match order {
        Order::Start | Order::ResetFailedStart if state.is_active() => Err(
            ActionError::PreconditionGone(format!("{unit} is active again")),
        ),
        Order::Stop if !state.is_active() => Err(ActionError::PreconditionGone(format!(
            "{unit} is not running"
        ))),
        _ => Ok(()),
    }
}

pub fn undo_record(_shop: &Workshop<'_>, action: &Action) -> Result<Undo, ActionError> {
    let (order, unit) = target(action)?;
    Ok(match order {
        Order::Stop => Undo::StartUnit {
            unit: unit.to_string(),
        },
        Order::Start | Order::Restart | Order::ResetFailedStart => Undo::None,
    })
}

pub fn execute(shop: &Workshop<'_>, action: &Action) -> Result<Done, ActionError> {
    let (order, unit) = target(action)?;
    order_unit(shop, order, unit)?;
    Ok(Done::new(format!("{action}: done")))
}

/// Gives the order to the manager that knows the unit.
pub(super) fn order_unit(
    shop: &Workshop<'_>,
    order: Order,
    unit: &UnitName,
) -> Result<(), ActionError> {
    let (manager, _) = services::find(shop.managers, unit)
        .map_err(|why| ActionError::PreconditionGone(why.to_string()))?;
    manager
        .order(order, unit)
        .map_err(|why| ActionError::Failed(why.to_string()))
}
