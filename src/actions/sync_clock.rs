//! Asks the host's own time service to synchronise again; the clock is never set by us.

use std::fmt;
use std::time::Duration;

use crate::actions::{Action, ActionContext, ActionError, Done, IRREVERSIBLE, Undo, units};
use crate::core::model::action::ActionKind;
use crate::core::model::proposal::Terms;
use crate::core::model::unit::UnitName;
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

#[derive(Debug)]
pub struct SyncClock;

impl fmt::Display for SyncClock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("sync clock")
    }
}

fn service(context: &ActionContext<'_>) -> Option<UnitName> {
    SERVICES
        .iter()
        .filter_map(|name| UnitName::new(name).ok())
        .find(|name| {
            services::find(context.managers, name)
                .is_ok_and(|(_, state)| state.unit_file_state == "enabled")
        })
}

fn has_chronyc(context: &ActionContext<'_>) -> bool {
    let host = context.host;
    host.run("chronyc", &["-v"], DEADLINE)
        .is_ok_and(|out| out.success())
}

impl Action for SyncClock {
    fn kind(&self) -> ActionKind {
        ActionKind::SyncClock
    }

    fn unit(&self) -> Option<&UnitName> {
        None
    }

    fn terms(&self, context: &ActionContext<'_>) -> Result<Terms, ActionError> {
        let terms = Terms::undone_by(IRREVERSIBLE);
        Ok(match service(context) {
            Some(unit) => terms.with("restarts", unit),
            None => terms.with("runs", "chronyc makestep"),
        })
    }

    fn precondition(&self, context: &ActionContext<'_>) -> Result<(), ActionError> {
        if service(context).is_some() || has_chronyc(context) {
            Ok(())
        } else {
            Err(ActionError::gone(
                "no time service is enabled on this host".to_owned(),
            ))
        }
    }

    fn undo_record(&self, _context: &ActionContext<'_>) -> Result<Undo, ActionError> {
        Ok(Undo::None)
    }

    fn act(&self, context: &ActionContext<'_>) -> Result<Done, ActionError> {
        let Some(unit) = service(context) else {
            let out = context
                .host
                .run("chronyc", &["makestep"], DEADLINE)
                .map_err(ActionError::failed)?;
            return if out.success() {
                Ok(Done::new("chronyc makestep".to_owned()))
            } else {
                Err(ActionError::failed(out.reason()))
            };
        };
        let how = units::order_unit(context, Order::Restart, &unit)?;
        Ok(Done::new(format!("restart {unit}: {how}")))
    }
}
