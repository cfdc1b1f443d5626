//! Takes a listed network interface down and up, through transient units outside our own sandbox.

use std::fmt;
use std::time::Duration;

use crate::actions::error::Why;
use crate::actions::{self, Action, ActionContext, ActionError, Basis, Done, IRREVERSIBLE, Undo};
use crate::core::model::action::ActionKind;
use crate::core::model::proposal::Terms;
use crate::core::model::unit::UnitName;
use crate::core::remedy::target::TargetError;
use crate::host::net::logins;

const DEADLINE: Duration = Duration::from_secs(20);

#[derive(Debug)]
pub struct RestartInterface {
    pub(super) interface: String,
}

impl RestartInterface {
    /// Only interfaces that the operator listed may be restarted.
    pub fn of(basis: &Basis<'_>) -> Result<Self, TargetError> {
        let name = &basis.finding.subject;
        let plain = !name.is_empty() && !name.starts_with('-');
        if !plain || !basis.config.detect.interfaces.contains(name) {
            return Err(TargetError::NotListed(name.clone()));
        }
        Ok(Self {
            interface: name.clone(),
        })
    }
}

impl fmt::Display for RestartInterface {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "restart interface {}", self.interface)
    }
}

impl Action for RestartInterface {
    fn kind(&self) -> ActionKind {
        ActionKind::RestartInterface
    }

    fn unit(&self) -> Option<&UnitName> {
        None
    }

    fn terms(&self, _context: &ActionContext<'_>) -> Result<Terms, ActionError> {
        Ok(Terms::undone_by(IRREVERSIBLE).with("interface", &self.interface))
    }

    fn precondition(&self, context: &ActionContext<'_>) -> Result<(), ActionError> {
        let interface = self.interface.as_str();
        if !context
            .config
            .detect
            .interfaces
            .iter()
            .any(|name| name == interface)
        {
            return Err(ActionError::refused(format!(
                "{interface} is not listed in detect.interfaces"
            )));
        }
        let state = context
            .host
            .read(format!("/sys/class/net/{interface}/operstate"), 64)
            .map_err(|why| ActionError::gone(Why::from(why).at(interface)))?;
        if state.trim() == "up" {
            return Err(ActionError::gone(format!("{interface} is up again")));
        }
        let carrier = format!("/sys/class/net/{interface}/carrier");
        if context
            .host
            .read(carrier, 8)
            .is_ok_and(|text| text.trim() == "0")
        {
            let why = format!("{interface} has no carrier: no restart plugs a cable in");
            return Err(ActionError::refused(why));
        }
        match logins::over(context.host, interface) {
            Ok(false) => Ok(()),
            Ok(true) => {
                let why = format!(
                    "somebody is logged in over {interface}, or it is not known that nobody is"
                );
                Err(ActionError::refused(why))
            }
            Err(why) => Err(ActionError::refused(Why::from(why).at("who is logged in"))),
        }
    }

    fn undo_record(&self, _context: &ActionContext<'_>) -> Result<Undo, ActionError> {
        Ok(Undo::None)
    }

    fn act(&self, context: &ActionContext<'_>) -> Result<Done, ActionError> {
        let interface = self.interface.as_str();
        set(context, interface, "down")?;
        // Never left down: what failed once is asked for again.
        set(context, interface, "up").or_else(|_| set(context, interface, "up"))?;
        Ok(Done::new(format!("{interface} taken down and up")))
    }
}

fn set(context: &ActionContext<'_>, interface: &str, state: &str) -> Result<(), ActionError> {
    let order = ["ip", "link", "set", "dev", interface, state];
    let out = actions::outside(context, &order, DEADLINE).map_err(ActionError::failed)?;
    if out.success() {
        Ok(())
    } else {
        Err(ActionError::failed(format!(
            "{interface} {state}: {}",
            out.reason()
        )))
    }
}
