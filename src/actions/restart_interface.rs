//! Takes a listed network interface down and up, through transient units outside our own sandbox.

use std::time::Duration;

use crate::actions::{self, ActionContext, ActionError, Done, Undo};
use crate::core::model::action::Action;

const DEADLINE: Duration = Duration::from_secs(20);

fn target(action: &Action) -> Result<&str, ActionError> {
    match action {
        Action::RestartInterface { interface }
            if !interface.is_empty() && !interface.starts_with('-') =>
        {
            Ok(interface)
        }
        other => Err(ActionError::Refused(format!("{other} names no interface"))),
    }
}

pub fn precondition(context: &ActionContext<'_>, action: &Action) -> Result<(), ActionError> {
    let interface = target(action)?;
    if !context
        .config
        .detect
        .interfaces
        .iter()
        .any(|name| name == interface)
    {
        return Err(ActionError::Refused(format!(
            "{interface} is not listed in detect.interfaces"
        )));
    }
    let state = context
        .host
        .read(format!("/sys/class/net/{interface}/operstate"), 64);
    match state.as_deref().map(str::trim) {
        Ok("up") => Err(ActionError::PreconditionGone(format!(
            "{interface} is up again"
        ))),
        Ok(_) => Ok(()),
        Err(why) => Err(ActionError::PreconditionGone(format!("{interface}: {why}"))),
    }
}

pub fn undo_record(_shop: &ActionContext<'_>, _action: &Action) -> Result<Undo, ActionError> {
    Ok(Undo::None)
}

pub fn execute(context: &ActionContext<'_>, action: &Action) -> Result<Done, ActionError> {
    let interface = target(action)?;
    set(context, interface, "down")?;
    // Never left down: what failed once is asked for again.
    set(context, interface, "up").or_else(|_| set(context, interface, "up"))?;
    Ok(Done::new(format!("{interface} taken down and up")))
}

fn set(context: &ActionContext<'_>, interface: &str, state: &str) -> Result<(), ActionError> {
    let order = ["ip", "link", "set", "dev", interface, state];
    let out = actions::outside(context, &order, DEADLINE)
        .map_err(|why| ActionError::Failed(why.to_string()))?;
    if out.success() {
        Ok(())
    } else {
        Err(ActionError::Failed(format!(
            "{interface} {state}: {}",
            out.reason()
        )))
    }
}
