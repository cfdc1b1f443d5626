//! What a human mended is a human's: neither a needless escalation nor a repair of ours.

use std::time::Duration;

use super::gateway::{Gateway, START, UNIT};
use super::units::OnStart;
use crate::core::config::{Config, Mode};
use crate::core::human::stats::{StatsRow, compute};
use crate::core::model::task::{Outcome, Resolution, Status, Task};
use crate::core::model::unit::UnitState;
use crate::daemon::by_hand::mended;
use crate::daemon::status::Daemon;
use crate::daemon::untold;
use crate::host::boot;
use crate::store::Attempt;

const UPTIME: (&str, &str) = ("/proc/uptime", "100000.00 100000.00");

/// A failed unit of which a human was told.
fn told(set: impl FnOnce(&mut Config), span: Duration) -> Gateway {
    let mut gateway = Gateway::at(START, &[UPTIME], set);
    gateway.units.fail(UNIT, OnStart::Fails);
    gateway.runs_for(span);
    assert_eq!(gateway.task(UNIT).status, Status::Escalated);
    gateway
}

fn suggest(config: &mut Config) {
    config.mode.low = Mode::Suggest;
}

/// Microseconds since boot of a moment so long ago.
fn us_before(gateway: &Gateway, span: Duration) -> u64 {
    let booted_at = boot::booted_at(&gateway.runtime.host).unwrap();
    let up = gateway.now().minus(span).since(booted_at);
    u64::try_from(up.as_micros()).unwrap()
}

/// `systemctl start`, five seconds before whoever looks.
fn starts_it(gateway: &Gateway) {
    gateway.units.put(UNIT, "active");
    let since = us_before(gateway, Duration::from_secs(5));
    gateway.units.change(UNIT, |unit| unit.started_us = since);
}

fn attempts(gateway: &Gateway) -> Vec<Attempt> {
    let reader = gateway.runtime.store.reader().unwrap();
    reader.attempts(gateway.task(UNIT).id).unwrap()
}

/// Whether its escalation counts as needless, where it was told as soon as it was found.
fn is_needless(task: &Task) -> bool {
    let told_at = task.closed_at.map(|at| at.minus(Duration::from_secs(30)));
    compute(&[StatsRow::new(task, told_at, false, false)])
        .all
        .needless
        > 0
}

#[test]
fn what_a_human_started_at_once_was_worth_telling() {
    let mut gateway = told(suggest, Duration::from_secs(20));
    // It is called in the issue what `tasks` calls it.
    let reader = gateway.runtime.store.reader().unwrap();
    let body = reader.escalations(true).unwrap().remove(0).body;
    assert!(body.contains("\n| escalated | "), "{body}");
    drop(reader);
    starts_it(&gateway);
    gateway.runs_for(Duration::from_secs(30));
    let task = gateway.task(UNIT);
    assert_eq!(task.resolution, Some(Resolution::Human));
    let why = "closed: app.service was started by somebody".to_owned();
    assert!(gateway.events(&task).contains(&why));
    assert!(!is_needless(&task));
}

#[test]
fn what_came_up_by_itself_was_not() {
    let mut gateway = told(suggest, Duration::from_secs(20));
    // Nothing tells that a job started it since.
    gateway.units.put(UNIT, "active");
    gateway.runs_for(Duration::from_secs(30));
    let task = gateway.task(UNIT);
    assert_eq!(task.resolution, Some(Resolution::SelfCleared));
    assert!(is_needless(&task));
}

#[test]
fn what_a_human_was_told_of_and_stopped_is_his_decision() {
    let mut gateway = told(suggest, Duration::from_secs(20));
    gateway.is_stopped(UNIT);
    gateway.runs_for(Duration::from_secs(30));
    let task = gateway.task(UNIT);
    assert_eq!(task.resolution, Some(Resolution::Human));
    assert!(!is_needless(&task));
}

#[test]
fn what_failed_and_was_then_stopped_is_left_alone_although_nobody_was_told() {
    // Within the grace of a start nothing is done.
    let mut gateway = Gateway::at(START, &[UPTIME], |config| {
        config.daemon.startup_grace_s = 3_600;
    });
    gateway.units.fail(UNIT, OnStart::Fails);
    gateway.runs_for(Duration::from_secs(5));
    let task = gateway.task(UNIT);
    assert_eq!(task.status, Status::Waiting);
    // systemd does nothing: it stays failed.
    gateway.hears_stop(UNIT);
    gateway.runs_for(Duration::from_secs(30));
    let task = gateway.task(UNIT);
    assert_eq!(task.resolution, Some(Resolution::Human));
    let why = "closed: app.service was stopped by somebody".to_owned();
    assert!(gateway.events(&task).contains(&why));
    // `status` and `explain` say the same, though `explain` heard no stop.
    gateway.tell_status();
    let config = gateway.runtime.loaded().config.clone();
    let reader = gateway.runtime.store.reader().unwrap();
    let host = &gateway.runtime.host;
    let listed = Daemon::ask(host, &config).stopped()[0]["text"].clone();
    let said = untold::look(host, &config, &reader, UNIT).unwrap();
    assert_eq!(said.state, "stopped");
    for text in [listed.as_str().unwrap(), &said.text] {
        let begins = "app.service was stopped by somebody";
        assert!(text.starts_with(begins), "{text}");
    }
}

#[test]
fn what_a_human_mended_after_our_attempts_failed_is_no_repair_of_ours() {
    let mut gateway = told(|_| {}, Duration::from_secs(300));
    assert!(
        attempts(&gateway)
            .iter()
            .all(|one| one.outcome == Some(Outcome::Failed))
    );
    assert!(!attempts(&gateway).is_empty());
    starts_it(&gateway);
    gateway.runs_for(Duration::from_secs(120));
    let task = gateway.task(UNIT);
    assert_eq!(task.resolution, Some(Resolution::Human));
    let outcomes = attempts(&gateway).into_iter().filter_map(|one| one.outcome);
    assert!(outcomes.into_iter().all(|one| one == Outcome::Failed));
}

#[test]
fn a_start_within_an_attempt_is_ours() {
    let gateway = told(|_| {}, Duration::from_secs(300));
    let last = attempts(&gateway).pop().unwrap();
    gateway.advance(Duration::from_secs(10));
    let reader = gateway.runtime.store.reader().unwrap();
    let by = |after: Duration| {
        let ago = gateway.now().since(last.ended_at.unwrap().plus(after));
        let unit = UnitState {
            name: UNIT.to_owned(),
            active_state: "active".to_owned(),
            inactive_exit_us: us_before(&gateway, ago),
            ..UnitState::default()
        };
        let (host, task) = (&gateway.runtime.host, gateway.task(UNIT));
        mended(host, &reader, &task, &unit, true).unwrap()
    };
    assert_eq!(by(Duration::ZERO), None);
    assert!(by(Duration::from_secs(2)).is_some());
}
