//! start, restart, stop, reset-failed and start: one order to the unit's manager each.

use std::fmt;

use crate::actions::{Action, ActionContext, ActionError, Basis, Done, IRREVERSIBLE, Undo};
use crate::core::model::action::ActionKind;
use crate::core::model::hint::Hint;
use crate::core::model::manager_event::JobResult;
use crate::core::model::proposal::Terms;
use crate::core::model::unit::{UnitName, UnitState};
use crate::core::reading::unit_state;
use crate::core::reading::wanted::NotWanted;
use crate::core::remedy::target::{self, TargetError};
use crate::services::{self, Order, Ordered};

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
/// Kinds that may be started alone: to stop a mount takes away what others have open.
const STARTED_ONLY: [&str; 1] = ["mount"];
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
fn is_protected(order: Order, unit: &UnitName) -> bool {
    let name = unit.as_str();
    let (stem, kind) = match name.rsplit_once('.') {
        Some((stem, kind)) if unit_state::has_unit_type(name) => (stem, kind),
        // Other managers' names carry no type, at most the ending of a script.
        _ => (name.strip_suffix(".sh").unwrap_or(name), "service"),
    };
    let starts = matches!(order, Order::Start | Order::ResetFailedStart);
    let is_of_kind = KINDS.contains(&kind) || starts && STARTED_ONLY.contains(&kind);
    !is_of_kind
        || name == "-.mount"
        || PROTECTED.contains(&stem)
        || name.starts_with("autonomous-orchestrator")
        || name.starts_with("user@")
        || name.starts_with("initrd-")
        || (name.starts_with("systemd-") && !ORDINARY.contains(&stem))
}

fn state(context: &ActionContext<'_>, unit: &UnitName) -> Result<UnitState, ActionError> {
    services::find(context.managers, unit)
        .map(|(_, state)| state)
        .map_err(ActionError::gone)
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
        if is_protected(order, unit) {
            return Err(ActionError::refused(format!(
                "{unit} belongs to the system or to this program"
            )));
        }
        let state = state(context, unit)?;
        if state.load_state == "masked" || state.unit_file_state.starts_with("masked") {
            return Err(ActionError::refused(format!(
                "{unit} is masked: somebody does not want it to run"
            )));
        }
        if state.load_state == "not-found" {
            return Err(ActionError::gone(format!("{unit} does not exist any more")));
        }
        match order {
            Order::Start | Order::ResetFailedStart if state.is_active() => {
                Err(ActionError::gone(format!("{unit} is active again")))
            }
            Order::Stop if !state.is_active() => {
                Err(ActionError::gone(format!("{unit} is not running")))
            }
            Order::Start | Order::Restart | Order::Stop | Order::ResetFailedStart => Ok(()),
        }
    }

    fn unwanted(&self, context: &ActionContext<'_>) -> Result<Option<NotWanted>, ActionError> {
        if self.order == Order::Stop {
            return Ok(None);
        }
        let (manager, state) =
            services::find(context.managers, &self.unit).map_err(ActionError::gone)?;
        let why = services::unwanted(manager.as_ref(), &state, context.host, context.config)
            .map_err(ActionError::gone)?;
        Ok(why.map(|why| NotWanted {
            unit: self.unit.to_string(),
            why,
        }))
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
        let how = order_unit(context, order, unit)?;
        Ok(Done::new(format!("{self}: {how}")))
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
    if let Err(why) = start.precondition(context) {
        return Ok(Some(why.with_hint()));
    }
    match start.unwanted(context)? {
        None => start.act(context).map(|_| None),
        Some(unit) => Ok(Some(unit.to_string())),
    }
}

/// Gives the order to the manager that knows the unit, and says what came of it. A job that is still under way
/// when its time is over is no failure: the look that follows tells.
pub(super) fn order_unit(
    context: &ActionContext<'_>,
    order: Order,
    unit: &UnitName,
) -> Result<&'static str, ActionError> {
    let (manager, state) = services::find(context.managers, unit).map_err(ActionError::gone)?;
    let within = services::time_for(order, &state);
    match manager.order(order, unit, within) {
        Ok(Ordered::Ended(JobResult::Done)) => Ok("done"),
        Ok(Ordered::UnderWay) => Ok("its job is under way"),
        Ok(Ordered::Ended(result)) => {
            let why = format!("the job for {unit} ended: {}", result.word());
            Err(ActionError::failed(why))
        }
        Err(why) => Err(ActionError::failed(why)),
    }
}
