//! Ends a stale process that holds what a unit needs, then starts the unit.

use crate::actions::{ActionContext, ActionError, Done, Undo, units};
use crate::core::model::action::{Action, ProcessIdentity};
use crate::core::model::finding::evidence;
use crate::core::model::unit::UnitName;
use crate::host::net::listeners;
use crate::host::procfs;
use crate::host::signals::{self, SignalError, TERM_GRACE};

struct Target<'a> {
    process: &'a ProcessIdentity,
    holds: Option<&'a str>,
    then_start: Option<&'a UnitName>,
}

fn target(action: &Action) -> Result<Target<'_>, ActionError> {
    match action {
        Action::TerminateProcess {
            process,
            holds,
            then_start,
        } => Ok(Target {
            process,
            holds: holds.as_deref(),
            then_start: then_start.as_ref(),
        }),
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

/// Still the same process, still in the way, not protected, and of no unit.
pub fn precondition(context: &ActionContext<'_>, action: &Action) -> Result<(), ActionError> {
    let Target { process, holds, .. } = target(action)?;
    signals::check(context.host, process).map_err(refuse)?;
    if let Some(unit) = context
        .managers
        .iter()
        .find_map(|manager| manager.unit_of(process.pid))
    {
        return Err(ActionError::Refused(format!(
            "process {} belongs to {unit}",
            process.pid
        )));
    }
    let in_the_way = holds.is_none_or(|port| {
        listeners::holders(context.host, port)
            .iter()
            .any(|holder| (holder.pid, holder.start_ticks) == (process.pid, process.start_ticks))
    });
    if !in_the_way {
        return Err(ActionError::PreconditionGone(format!(
            "process {} let go of {}",
            process.pid,
            holds.unwrap_or_default()
        )));
    }
    Ok(())
}

pub fn undo_record(_shop: &ActionContext<'_>, _action: &Action) -> Result<Undo, ActionError> {
    // An ended process cannot be brought back: that is why it is medium risk and only a stale one.
    Ok(Undo::None)
}

pub fn execute(context: &ActionContext<'_>, action: &Action) -> Result<Done, ActionError> {
    let Target {
        process,
        then_start,
        ..
    } = target(action)?;
    let command =
        procfs::process(context.host, process.pid).map_or_else(String::new, |one| one.cmdline);
    let ended = signals::terminate(context.host, process, TERM_GRACE).map_err(refuse)?;
    let mut message = format!("process {} ended after {ended}", process.pid);
    if let Some(unit) = then_start
        && let Some(why) = units::start_if_wanted(context, unit)?
    {
        message.push_str(&format!("; {unit} not started: {why}"));
    }
    Ok(Done::new(message).with(evidence::HOLDER_COMMAND, command))
}
