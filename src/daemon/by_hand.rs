//! Whether somebody mended what a task is about: started its unit, or wanted it down.

use std::time::Duration;

use crate::core::model::task::Task;
use crate::core::model::unit::{UnitName, UnitState};
use crate::core::reading::starting::asked_for_at;
use crate::core::reading::unit_state::rest_of;
use crate::core::remedy::ending::LastAttempt;
use crate::daemon::gather::TaskFacts;
use crate::daemon::job::Job;
use crate::host::{Host, boot};
use crate::services;
use crate::store::{Attempt, Reader, StoreError};

/// The host tells its uptime in hundredths of a second, and the two clocks are not read at once.
const APART: Duration = Duration::from_secs(1);

/// What somebody did to `unit`, the one that `task` is about, since it was found; a start within an attempt is ours.
pub fn mended(
    host: &Host,
    reader: &Reader,
    task: &Task,
    unit: &UnitState,
) -> Result<Option<String>, StoreError> {
    if let Some(purpose) = unit
        .purpose()
        .filter(|_| rest_of(task.class, None).is_some())
    {
        return Ok(Some(format!("{} {purpose}", unit.name)));
    }
    let now = host.clock.now();
    let asked = asked_for_at(unit, boot::booted_at(host));
    let Some(at) = asked.filter(|at| *at > task.detected_at && *at <= now) else {
        return Ok(None);
    };
    // The start of another unit may have started this one, too.
    let within = |one: &Attempt| {
        let ended = one.ended_at.unwrap_or(now);
        one.started_at <= at.plus(APART) && at <= ended.plus(APART)
    };
    let is_ours = reader.all_attempts()?.iter().any(within);
    Ok((!is_ours).then(|| format!("{} was started by somebody", unit.name)))
}

/// The unit whose start ends it, where it matters who gave that: a human was told, or something was done about it.
pub fn unit_of(task: &Task, told: u32, last: Option<&LastAttempt>) -> Option<UnitName> {
    let matters = (told > 0 || last.is_some()) && task.class.row().start_helps;
    UnitName::new(task.finding().unit())
        .ok()
        .filter(|_| matters)
}

/// The same of a task in a worker's hands, whose unit is read now.
pub fn of(job: &Job<'_>, facts: &TaskFacts) -> Result<Option<String>, StoreError> {
    let past = &facts.past;
    let Some(name) = unit_of(job.task, past.told, past.last.as_ref()) else {
        return Ok(None);
    };
    match services::find(&job.loaded.managers, &name) {
        Ok((_, unit)) => {
            let (runtime, reader) = (job.runtime, job.runtime.store.reader()?);
            mended(&runtime.host, &reader, job.task, &unit)
        }
        Err(_) => Ok(None),
    }
}
