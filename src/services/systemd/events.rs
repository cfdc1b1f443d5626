//! From systemd's signals to the manager's words. Pure.

use crate::core::model::manager_event::{Happening, JobId, JobKind, JobResult, UnitChange};
use crate::services::systemd::bus::{MANAGER, PROPERTIES, unit_of_path};
use crate::services::systemd::decode::{Value, is_watched};
use crate::services::systemd::wire::{Message, WireError};

const UNIT: &str = "org.freedesktop.systemd1.Unit";

/// What a signal says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SignalNews {
    Said(Happening),
    /// A job whose kind is to be asked for at its object.
    Job {
        id: JobId,
        unit: String,
        path: String,
    },
    /// The boot is over.
    StartupFinished,
    /// Units were enabled, disabled or masked.
    UnitFilesChanged,
}

/// Reads one signal; `None` for one that says nothing of interest.
pub fn heard(message: &Message<'_>) -> Result<Option<SignalNews>, WireError> {
    if message.is_signal(PROPERTIES, "PropertiesChanged") {
        return Ok(change(message)?.map(|change| SignalNews::Said(Happening::UnitChanged(change))));
    }
    if message.interface != MANAGER {
        return Ok(None);
    }
    let mut body = message.body();
    Ok(Some(match message.member {
        "JobNew" => SignalNews::Job {
            id: JobId::from_number(body.number()?),
            path: body.text()?.to_owned(),
            unit: body.text()?.to_owned(),
        },
        "JobRemoved" => {
            let (id, _, unit) = (body.number()?, body.text()?, body.text()?);
            SignalNews::Said(Happening::JobRemoved {
                id: JobId::from_number(id),
                unit: unit.to_owned(),
                // Its object is gone: who heard of its beginning knows.
                kind: JobKind::Other,
                result: JobResult::of(body.text()?),
            })
        }
        "UnitNew" => SignalNews::Said(Happening::UnitNew(body.text()?.to_owned())),
        "UnitRemoved" => SignalNews::Said(Happening::UnitRemoved(body.text()?.to_owned())),
        "Reloading" => SignalNews::Said(Happening::Reloading(body.flag()?)),
        "StartupFinished" => SignalNews::StartupFinished,
        "UnitFilesChanged" => SignalNews::UnitFilesChanged,
        _ => return Ok(None),
    }))
}

/// What changed of a unit, by its own interface and by its kind's.
fn change(message: &Message<'_>) -> Result<Option<UnitChange>, WireError> {
    let Some(unit) = unit_of_path(message.path).filter(|unit| is_watched(unit)) else {
        return Ok(None);
    };
    let mut body = message.body();
    let interface = body.text()?;
    if !interface.starts_with("org.freedesktop.systemd1.") {
        return Ok(None);
    }
    let mut change = UnitChange {
        unit,
        ..UnitChange::default()
    };
    let mut entries = body.entries()?;
    while entries.next_entry() {
        let name = entries.text()?;
        if is_told(name) {
            take(&mut change, interface == UNIT, name, &entries.variant()?);
        } else {
            entries.skip_variant()?;
        }
    }
    Ok(Some(change))
}

/// Properties that a change carries.
fn is_told(name: &str) -> bool {
    matches!(
        name,
        "ActiveState"
            | "SubState"
            | "Result"
            | "InvocationID"
            | "Job"
            | "MainPID"
            | "NRestarts"
            | "ActiveExitTimestampMonotonic"
            | "InactiveEnterTimestampMonotonic"
    )
}

fn take(change: &mut UnitChange, of_unit: bool, name: &str, value: &Value<'_>) {
    match name {
        "ActiveState" => change.active = Some(value.text()),
        "SubState" => change.sub = Some(value.text()),
        "InvocationID" => change.invocation_id = Some(value.text()),
        "Job" if of_unit => change.job = Some(JobId::from_number(value.small())),
        "Result" => change.result = Some(value.text()),
        "MainPID" => change.main_pid = Some(value.small()),
        "NRestarts" => change.n_restarts = Some(value.small()),
        "ActiveExitTimestampMonotonic" => change.active_exit_us = Some(value.number()),
        "InactiveEnterTimestampMonotonic" => change.inactive_enter_us = Some(value.number()),
        _ => {}
    }
}
