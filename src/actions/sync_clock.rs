//! Asks the host's own time service to synchronise again; the clock is never set by us.

use std::time::Duration;

use crate::actions::{ActionContext, ActionError, Done, Undo};
use crate::core::model::action::Action;
use crate::core::model::unit::UnitName;
use crate::host::exec;
use crate::services::{self, Order};

const DEADLINE: Duration = Duration::from_secs(20);
/// Time services that are known to synchronise at their start.
const SERVICES: [&str; 9] = [
    "systemd-timesyncd.service",
    "chrony.service",
    "chronyd.service",
    "ntpsec.service",
    "ntpd.service",
    "openntpd.service",
    "chronyd",
    "ntpsec",
    "ntpd",
];

fn service(context: &ActionContext<'_>) -> Option<UnitName> {
    SERVICES
        .iter()
        .filter_map(|name| UnitName::new(name).ok())
        .find(|name| {
            services::find(context.managers, name)
                .is_ok_and(|(_, state)| state.unit_file_state == "enabled")
        })
}

fn has_chronyc() -> bool {
    exec::run("chronyc", &["-v"], DEADLINE).is_ok_and(|out| out.success())
}

pub fn precondition(context: &ActionContext<'_>, _action: &Action) -> Result<(), ActionError> {
    if service(context).is_some() || has_chronyc() {
        Ok(())
    } else {
        Err(ActionError::PreconditionGone(
            "no time service is enabled on this host".to_owned(),
        ))
    }
}

pub fn undo_record(_shop: &ActionContext<'_>, _action: &Action) -> Result<Undo, ActionError> {
    Ok(Undo::None)
}

pub fn execute(context: &ActionContext<'_>, _action: &Action) -> Result<Done, ActionError> {
    let Some(unit) = service(context) else {
        let out = exec::run("chronyc", &["makestep"], DEADLINE)
            .map_err(|why| ActionError::Failed(why.to_string()))?;
        return if out.success() {
            Ok(Done::new("chronyc makestep".to_owned()))
        } else {
            Err(ActionError::Failed(out.reason()))
        };
    };
    let (manager, _) = services::find(context.managers, &unit)
        .map_err(|why| ActionError::Failed(why.to_string()))?;
    manager
        .order(Order::Restart, &unit)
        .map_err(|why| ActionError::Failed(why.to_string()))?;
    Ok(Done::new(format!("{unit} restarted")))
}
