//! Jobs for units over the bus: never in the place of one that is there, and with the manager's word of how they end.

use std::time::{Duration, Instant};

use crate::core::model::manager_event::JobResult;
use crate::core::model::unit::UnitName;
use crate::host::Host;
use crate::host::clock::end_after;
use crate::services::systemd::QUERY_DEADLINE;
use crate::services::systemd::bus::{BusConnection, BusError, MANAGER};
use crate::services::systemd::wire::Message;
use crate::services::{Order, Ordered};

/// A job that is there already may be a human's wish: it is not pushed aside.
const MODE: &str = "fail";
/// The stop of this program is seen within this time while a job is waited for.
const LOOK: Duration = Duration::from_millis(500);

/// Gives the order, and waits for its job's end for at most `within`.
pub fn order(
    host: &Host,
    order: Order,
    unit: &UnitName,
    within: Duration,
) -> Result<Ordered, BusError> {
    let asked = end_after(QUERY_DEADLINE);
    let mut connection = BusConnection::open(host, asked)?;
    connection.subscribe(asked)?;
    if order == Order::ResetFailedStart {
        reset_failed(&mut connection, unit, asked)?;
    }
    let method = match order {
        Order::Start | Order::ResetFailedStart => "StartUnit",
        Order::Stop => "StopUnit",
        Order::Restart => "RestartUnit",
    };
    let mut ended = Vec::new();
    let mut aside = |message: &Message<'_>| ended.extend(removed(message));
    let args = [unit.as_str(), MODE];
    let call = connection.manager(method, &args);
    let path = |message: &Message<'_>| Ok(message.body().text()?.to_owned());
    let job = connection.ask(&call, asked, &mut aside, path)?;
    match ended.into_iter().find(|(path, _)| *path == job) {
        Some((_, result)) => Ok(Ordered::Ended(result)),
        None => wait(host, &mut connection, &job, end_after(within)),
    }
}

/// A unit that is not failed, or not loaded, has nothing to reset.
fn reset_failed(
    connection: &mut BusConnection,
    unit: &UnitName,
    end: Instant,
) -> Result<(), BusError> {
    let args = [unit.as_str()];
    let call = connection.manager("ResetFailedUnit", &args);
    match connection.ask(&call, end, &mut |_| {}, |_| Ok(())) {
        Err(BusError::Refused(..)) => Ok(()),
        other => other,
    }
}

fn wait(
    host: &Host,
    connection: &mut BusConnection,
    job: &str,
    end: Instant,
) -> Result<Ordered, BusError> {
    loop {
        if let Some(message) = connection.next(end.min(end_after(LOOK)))?
            && let Some((path, result)) = removed(&message)
            && path == job
        {
            return Ok(Ordered::Ended(result));
        }
        if host.is_stopping() || Instant::now() >= end {
            return Ok(Ordered::UnderWay);
        }
    }
}

/// The job that a signal says to be over, and its result.
fn removed(message: &Message<'_>) -> Option<(String, JobResult)> {
    if !message.is_signal(MANAGER, "JobRemoved") {
        return None;
    }
    let mut body = message.body();
    body.number().ok()?;
    let path = body.text().ok()?.to_owned();
    body.text().ok()?;
    Some((path, JobResult::of(body.text().ok()?)))
}

/// Makes systemd read its unit files anew.
pub fn reload(host: &Host, within: Duration) -> Result<(), BusError> {
    let end = end_after(within);
    let mut connection = BusConnection::open(host, end)?;
    let call = connection.manager("Reload", &[]);
    connection.ask(&call, end, &mut |_| {}, |_| Ok(()))
}
