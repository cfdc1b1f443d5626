//! Whether somebody mended what a task is about: started its unit, or wanted it down; and which stop was our own.

use std::time::Duration;

use crate::core::model::task::Task;
use crate::core::model::time::Timestamp;
use crate::core::model::unit::{Purpose, UnitName, UnitState};
use crate::core::reading::starting::{asked_for_at, at};
use crate::core::remedy::ending::LastAttempt;
use crate::daemon::gather::TaskFacts;
use crate::daemon::job::Job;
use crate::host::{Host, boot};
use crate::services;
use crate::store::{Attempt, Noted, Reader, StoreError};

/// The host tells its uptime in hundredths of a second, and the two clocks are not read at once.
const APART: Duration = Duration::from_secs(1);

/// What somebody did to `unit`, the one that `task` is about, since it was found; a start within an attempt is ours.
/// Who started it is asked where it `matters`.
pub fn mended(
    host: &Host,
    reader: &Reader,
    task: &Task,
    unit: &UnitState,
    matters: bool,
) -> Result<Option<String>, StoreError> {
    if let Some(purpose) = unit.purpose() {
        let is_ours = stop_of_ours(host, reader, unit)?.is_some();
        return Ok((!is_ours).then(|| format!("{} {purpose}", unit.name)));
    }
    let now = host.clock.now();
    let asked = asked_for_at(unit, boot::booted_at(host)).filter(|_| matters);
    let Some(at) = asked.filter(|at| *at > task.detected_at && *at <= now) else {
        return Ok(None);
    };
    // The start of another unit may have started this one, too.
    let is_ours = reader
        .all_attempts()?
        .iter()
        .any(|one| is_within(one, at, now) && !is_after_own(one, task, unit));
    Ok((!is_ours).then(|| format!("{} was started by somebody", unit.name)))
}

fn is_within(one: &Attempt, at: Timestamp, now: Timestamp) -> bool {
    let ended = one.ended_at.unwrap_or(now);
    one.started_at <= at.plus(APART) && at <= ended.plus(APART)
}

/// The last start of `unit` came after the one that an awaited attempt of its own made.
fn is_after_own(one: &Attempt, task: &Task, unit: &UnitState) -> bool {
    let own = one.noted(Noted::Started).filter(|_| one.task_id == task.id);
    let own: Option<u64> = own.and_then(|us| us.parse().ok());
    let apart = u64::try_from(APART.as_micros()).unwrap_or(u64::MAX);
    own.is_some_and(|own| unit.inactive_exit_us > own.saturating_add(apart))
}

/// The attempt that stopped `unit`, where its stop was none of somebody's.
pub fn stop_of_ours(
    host: &Host,
    reader: &Reader,
    unit: &UnitState,
) -> Result<Option<Attempt>, StoreError> {
    if unit.purpose() != Some(&Purpose::Stopped) {
        return Ok(None);
    }
    let went_down = at(unit.inactive_enter_us, boot::booted_at(host));
    let now = host.clock.now();
    let stop = reader.last_stop(&unit.name)?;
    Ok(stop.filter(|one| went_down.is_none_or(|at| is_within(one, at, now))))
}

/// A unit that is down on purpose, as it is told: whose purpose that was.
pub fn told_stop(ours: &Attempt) -> String {
    let task = ours.task_id;
    format!("was stopped by this program for task {task}: `undo {task}` starts it again")
}

/// The unit of a task whose end may be somebody's doing.
pub fn unit_of(task: &Task) -> Option<UnitName> {
    UnitName::new(task.finding().unit()).ok()
}

/// It matters who gave a start that ends it: a human was told, or something was done about it.
pub fn is_start_asked(task: &Task, told: u32, last: Option<&LastAttempt>) -> bool {
    (told > 0 || last.is_some()) && task.class.row().start_helps
}

/// The same of a task in a worker's hands, whose unit is read now.
pub fn of(job: &Job<'_>, facts: &TaskFacts) -> Result<Option<String>, StoreError> {
    let past = &facts.past;
    let unit = unit_of(job.task).map(|name| services::find(&job.loaded.managers, &name));
    let Some(Ok((_, unit))) = unit else {
        return Ok(None);
    };
    let (runtime, reader) = (job.runtime, job.runtime.store.reader()?);
    let matters = is_start_asked(job.task, past.told, past.last.as_ref());
    mended(&runtime.host, &reader, job.task, &unit, matters)
}
