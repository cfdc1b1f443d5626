//! start, restart, stop, reset-failed and start: one order to the unit's manager each.

use std::fmt;

use crate::actions::{Action, ActionContext, ActionError, Basis, Done, IRREVERSIBLE, Undo};
use crate::core::model::action::ActionKind;
use crate::core::model::proposal::Terms;
use crate::core::model::unit::{UnitName, UnitState};
use crate::core::reading::unit_state;
use crate::core::remedy::target::{self, TargetError};
use crate::services::{self, Order};

/// One order to the unit's manager.
#[derive(Debug)]
pub struct UnitOrder {
    pub(super) order: Order,
    pub(super) unit: UnitName,
}

impl UnitOrder {
    pub fn of(order: Order, basis: &Basis<'_>) -> Result<Self, TargetError> {
        let unit = target::unit(basis.finding)?;
        Ok(Self { order, unit })
    }
}

impl fmt::Display for UnitOrder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let order = match self.order {
            Order::Start => "start",
            Order::Restart => "restart",
            Order::Stop => "stop",
            Order::ResetFailedStart => "reset-failed and start",
        };
        write!(f, "{order} {}", self.unit)
    }
}

/// Kinds of unit that may be ordered about; a target or slice stands for many units at once.
const KINDS: [&str; 4] = ["service", "socket", "timer", "path"];
/// Orders to these end the host, somebody's session, or what we speak through.
const PROTECTED: [&str; 17] = [
    "reboot",
    "poweroff",
    "halt",
    "kexec",
    "shutdown",
    "single",
    "rescue",
    "emergency",
    "sendsigs",
    "killprocs",
    "umountfs",
    "umountroot",
    "mount-ro",
    "rc",
    "rcS",
    "dbus",
    "dbus-broker",
];
/// Parts of systemd that are services like any other.
const ORDINARY: [&str; 3] = ["systemd-networkd", "systemd-resolved", "systemd-timesyncd"];

/// Units that must never be ordered about, whoever asks.
fn is_protected(unit: &UnitName) -> bool {
    let name = unit.as_str();
    let (stem, kind) = match name.rsplit_once('.') {
        Some((stem, kind)) if unit_state::has_unit_type(name) => (stem, kind),
        // Other managers' names carry no type, at most the ending of a script.
        _ => (name.strip_suffix(".sh").unwrap_or(name), "service"),
    };
    !KINDS.contains(&kind)
        || PROTECTED.contains(&stem)
        || name.starts_with("autonomous-orchestrator")
        || name.starts_with("user@")
        || name.starts_with("initrd-")
        || (name.starts_with("systemd-") && !ORDINARY.contains(&stem))
}

/// Why a unit that does not run must not be started, as it is now.
fn not_wanted(unit: &UnitState) -> Option<&'static str> {
    let down = !unit.is_active() && !unit.is_changing();
    let quiet = down && !unit.is_failed();
    match () {
        () if down && unit.stopped_by_job => Some("was stopped by somebody"),
        () if down && !unit.condition_result => Some("has a condition that is false"),
        () if quiet && !unit.triggered_by.is_empty() => Some("is started on demand"),
        () if quiet && unit.service_type == "oneshot" => Some("has done its work"),
        () if quiet && unit.unit_file_state == "disabled" => Some("is disabled"),
        () => None,
    }
}

fn state(context: &ActionContext<'_>, unit: &UnitName) -> Result<UnitState, ActionError> {
    services::find(context.managers, unit)
        .map(|(_, state)| state)
        .map_err(|why| ActionError::PreconditionGone(why.to_string()))
}

impl Action for UnitOrder {
    fn kind(&self) -> ActionKind {
        match self.order {
            Order::Start => ActionKind::StartUnit,
            Order::Restart => ActionKind::RestartUnit,
            Order::Stop => ActionKind::StopUnit,
            Order::ResetFailedStart => ActionKind::ResetFailedStart,
        }
    }

    fn unit(&self) -> Option<&UnitName> {
        Some(&self.unit)
    }

    fn terms(&self, _context: &ActionContext<'_>) -> Result<Terms, ActionError> {
        let undo = match self.order {
            Order::Stop => format!("start {}", self.unit),
            Order::Start | Order::Restart | Order::ResetFailedStart => IRREVERSIBLE.to_owned(),
        };
        Ok(Terms::undone_by(undo).with("unit", &self.unit))
    }

    /// The unit still exists, may run, and is not already where the order would bring it.
    fn precondition(&self, context: &ActionContext<'_>) -> Result<(), ActionError> {
        let (order, unit) = (self.order, &self.unit);
        if is_protected(unit) {
            return Err(ActionError::Refused(format!(
                "{unit} belongs to the system or to this program"
            )));
        }
        let state = state(context, unit)?;
        if state.load_state == "masked" || state.unit_file_state.starts_with("masked") {
            return Err(ActionError::Refused(format!(
                "{unit} is masked: somebody does not want it to run"
            )));
        }
        if state.load_state == "not-found" {
            return Err(ActionError::PreconditionGone(format!(
                "{unit} does not exist any more"
            )));
        }
        if order != Order::Stop
            && let Some(why) = not_wanted(&state)
        {
            return Err(ActionError::PreconditionGone(format!("{unit} {why}")));
        }
        match order {
            Order::Start | Order::ResetFailedStart if state.is_active() => Err(
                ActionError::PreconditionGone(format!("{unit} is active again")),
            ),
            Order::Stop if !state.is_active() => Err(ActionError::PreconditionGone(format!(
                "{unit} is not running"
            ))),
            Order::Start | Order::Restart | Order::Stop | Order::ResetFailedStart => Ok(()),
        }
    }

    fn undo_record(&self, _context: &ActionContext<'_>) -> Result<Undo, ActionError> {
        let (order, unit) = (self.order, &self.unit);
        Ok(match order {
            Order::Stop => Undo::StartUnit {
                unit: unit.to_string(),
            },
            Order::Start | Order::Restart | Order::ResetFailedStart => Undo::None,
        })
    }

    fn act(&self, context: &ActionContext<'_>) -> Result<Done, ActionError> {
        let (order, unit) = (self.order, &self.unit);
        order_unit(context, order, unit)?;
        Ok(Done::new(format!("{self}: done")))
    }
}

/// Starts a unit that waited for something, if it may be started; says why not otherwise.
pub(super) fn start_if_wanted(
    context: &ActionContext<'_>,
    unit: &UnitName,
) -> Result<Option<String>, ActionError> {
    let start = UnitOrder {
        order: Order::ResetFailedStart,
        unit: unit.clone(),
    };
    match start.precondition(context) {
        Ok(()) => start.act(context).map(|_| None),
        Err(why) => Ok(Some(why.to_string())),
    }
}

/// Gives the order to the manager that knows the unit.
pub(super) fn order_unit(
    context: &ActionContext<'_>,
    order: Order,
    unit: &UnitName,
) -> Result<(), ActionError> {
    let (manager, _) = services::find(context.managers, unit)
        .map_err(|why| ActionError::PreconditionGone(why.to_string()))?;
    manager
        .order(order, unit)
        .map_err(|why| ActionError::Failed(why.to_string()))
}
