//! A unit that was uninstalled, through the whole engine.

use std::time::Duration;

use super::gateway::{Gateway, UNIT};
use super::units::OnStart;
use crate::core::model::task::{Resolution, Status};

const HOUR: Duration = Duration::from_secs(3_600);

/// A unit that failed, of which a human was told.
fn told() -> Gateway {
    let mut gateway = Gateway::with(|_| {});
    gateway.units.fail(UNIT, OnStart::Fails);
    gateway.runs_for(HOUR);
    assert_eq!(gateway.issue_states(), ["open"]);
    gateway
}

/// Its file is taken away; its manager lists it as failed all the same.
fn uninstalled(gateway: &Gateway, wanted_by: &'static str) {
    gateway.units.change(UNIT, |unit| {
        (unit.is_there, unit.wanted_by) = (false, wanted_by);
    });
}

#[test]
fn what_was_uninstalled_is_over_after_a_day_and_counts_neither_as_healed_nor_as_failed() {
    let mut gateway = told();
    uninstalled(&gateway, "");
    gateway.runs_for(23 * HOUR);
    assert_eq!(gateway.task(UNIT).closed_at, None);
    let before = gateway.issues.bodies().len();
    gateway.runs_for(30 * HOUR);
    let task = gateway.task(UNIT);
    assert_eq!(task.resolution, Some(Resolution::Unverified));
    assert_eq!(gateway.issue_states(), ["closed"]);
    let closing = &gateway.issues.bodies()[before..];
    let closing: Vec<&String> = closing
        .iter()
        .filter(|one| one.contains("gone for a day"))
        .collect();
    assert_eq!(closing.len(), 1, "{closing:#?}");
    assert_eq!(gateway.tasks().len(), 1, "still failed, says its manager");
    // It comes back broken.
    uninstalled(&gateway, "multi-user.target");
    gateway.units.change(UNIT, |unit| unit.is_there = true);
    gateway.runs_for(HOUR);
    let again = gateway.task(UNIT);
    assert_eq!(again.previous_id, Some(task.id));
    assert_eq!(again.status, Status::Escalated);
}

#[test]
fn the_day_outlasts_a_restart_and_a_unit_that_its_manager_forgot_is_gone_as_well() {
    let mut gateway = told();
    uninstalled(&gateway, "");
    gateway.runs_for(20 * HOUR);
    let mut gateway = gateway.restarted(|_| {});
    gateway.units.lock().units.remove(UNIT);
    // Its tracker was another one.
    for _ in 0..6 {
        gateway.sweep();
        gateway.advance(HOUR);
    }
    let task = gateway.task(UNIT);
    assert_eq!(task.resolution, Some(Resolution::Unverified));
}

#[test]
fn what_something_still_wants_or_came_back_meanwhile_stays_open() {
    let mut gateway = told();
    uninstalled(&gateway, "multi-user.target");
    gateway.runs_for(50 * HOUR);
    assert_eq!(gateway.task(UNIT).closed_at, None);
    uninstalled(&gateway, "");
    gateway.runs_for(20 * HOUR);
    gateway.units.change(UNIT, |unit| unit.is_there = true);
    gateway.runs_for(HOUR);
    uninstalled(&gateway, "");
    gateway.runs_for(20 * HOUR);
    assert_eq!(gateway.task(UNIT).closed_at, None);
    assert_eq!(gateway.issue_states(), ["open"]);
}
