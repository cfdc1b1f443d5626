//! A unit that is down because another one is, through the whole engine.

use std::time::Duration;

use super::gateway::{Gateway, UNIT};
use super::units::OnStart;
use crate::core::model::task::{Resolution, Status};

const MINUTE: Duration = Duration::from_secs(60);
const ROOT: &str = "db.service";

/// `app.service` requires `db.service`; both are down.
fn both_down(root: OnStart) -> Gateway {
    let gateway = Gateway::with(|_| {});
    gateway.units.fail(ROOT, root);
    gateway.units.fail(UNIT, OnStart::Runs);
    gateway.units.change(UNIT, |unit| unit.requires = ROOT);
    gateway
}

const DNS: &str =
    "broker.example.com: Temporary failure in name resolution\nMain process exited, code=exited";

fn name(number: usize) -> String {
    format!("svc-{number}.service")
}

/// So many units fail of what they say.
fn all_fail(count: usize, says: &'static str) -> Gateway {
    let gateway = Gateway::with(|_| {});
    for number in 0..count {
        gateway.units.fail_saying(&name(number), says);
    }
    gateway
}

#[test]
fn sixteen_that_fail_of_one_thing_are_one_message_and_one_is_tried() {
    let mut gateway = all_fail(16, DNS);
    gateway.runs_for(10 * MINUTE);
    let tried = starts(&gateway);
    assert!(tried.len() >= 3, "{tried:?}");
    assert!(tried.iter().all(|unit| *unit == tried[0]), "{tried:?}");
    assert_eq!(gateway.issue_states(), ["open"]);
    let told = gateway.issues.bodies().concat();
    for number in (0..16).map(name).filter(|unit| *unit != tried[0]) {
        assert!(
            told.contains(&format!("service_failed {number}`")),
            "{told}"
        );
    }
    // It resolves again: the one is tried, and then all others at once.
    for number in 0..16 {
        gateway
            .units
            .change(&name(number), |unit| unit.on_start = OnStart::Runs);
    }
    gateway.runs_for(60 * MINUTE);
    for number in 0..16 {
        assert_eq!(
            gateway.task(&name(number)).resolution,
            Some(Resolution::Fixed)
        );
    }
    assert_eq!(gateway.issue_states(), ["closed"]);
}

#[test]
fn what_comes_later_joins_the_open_issue_by_one_comment() {
    let mut gateway = all_fail(3, DNS);
    gateway.runs_for(5 * MINUTE);
    assert_eq!(gateway.issue_states(), ["open"]);
    let before = gateway.issues.bodies().len();
    for late in ["late-1.service", "late-2.service"] {
        gateway.units.fail_saying(late, DNS);
    }
    gateway.runs_for(4 * MINUTE);
    assert_eq!(gateway.issue_states(), ["open"]);
    let told = gateway.issues.bodies();
    let joined: Vec<&String> = told[before..]
        .iter()
        .filter(|body| body.contains("late-1.service"))
        .collect();
    assert_eq!(joined.len(), 1, "{told:#?}");
    assert!(joined[0].contains("late-2.service"), "{}", joined[0]);
}

#[test]
fn attempts_from_before_the_root_was_known_are_given_back_when_it_is_repaired() {
    let mut gateway = Gateway::with(|config| config.budget.fingerprint_per_hour = 2);
    gateway.units.put(ROOT, "active");
    gateway.units.fail(UNIT, OnStart::Fails);
    gateway.units.change(UNIT, |unit| unit.requires = ROOT);
    gateway.runs_for(4 * MINUTE);
    assert_eq!(starts(&gateway), [UNIT, UNIT]);
    gateway.units.fail(ROOT, OnStart::Runs);
    gateway
        .units
        .change(UNIT, |unit| unit.on_start = OnStart::Runs);
    gateway.runs_for(30 * MINUTE);
    assert_eq!(starts(&gateway), [UNIT, UNIT, ROOT, UNIT]);
    assert_eq!(gateway.task(UNIT).resolution, Some(Resolution::Fixed));
}

#[test]
fn what_was_killed_and_then_fails_of_another_thing_is_told_as_that() {
    let mut gateway = Gateway::with(|_| {});
    gateway
        .units
        .fail_saying(UNIT, "Main process exited, code=killed");
    gateway.sweep();
    let says = "TLS: peer certificate has expired (2025-11-01)\nMain process exited";
    gateway.units.change(UNIT, |unit| unit.says = says);
    gateway.runs_for(5 * MINUTE);
    let task = gateway.task(UNIT);
    assert_eq!(starts(&gateway), [UNIT]);
    assert_eq!(task.cause.as_deref(), Some("peer_certificate"));
    assert_eq!(task.status, Status::Escalated);
    assert!(task.evidence.log().any(|line| line.starts_with("TLS:")));
}

fn starts(gateway: &Gateway) -> Vec<String> {
    let asked = gateway.script.asked();
    let name = |line: String| {
        let start = line.starts_with("systemctl start");
        start.then(|| line.rsplit(' ').next().unwrap().to_owned())
    };
    asked.into_iter().filter_map(name).collect()
}

#[test]
fn the_root_is_repaired_first_and_then_what_hangs_on_it() {
    let mut gateway = both_down(OnStart::Runs);
    gateway.runs_for(3 * MINUTE);
    assert_eq!(starts(&gateway), [ROOT, UNIT]);
    let member = gateway.task(UNIT);
    let events = gateway.events(&member);
    let root = gateway.task(ROOT);
    let waits = format!(
        "waiting: inhibition: symptom of task {} (service_failed db.service)",
        root.id
    );
    assert!(events.contains(&waits), "{events:#?}");
    for task in [root, member] {
        let ends = (task.status, task.resolution);
        assert_eq!(
            ends,
            (Status::Closed, Some(Resolution::Fixed)),
            "{}",
            task.subject
        );
    }
    assert!(gateway.issue_states().is_empty());
}

#[test]
fn while_the_root_cannot_be_repaired_it_alone_is_tried_and_told_and_names_its_case() {
    let mut gateway = both_down(OnStart::Refused);
    gateway.runs_for(10 * MINUTE);
    assert!(starts(&gateway).iter().all(|unit| unit == ROOT));
    assert_eq!(gateway.task(ROOT).status, Status::Escalated);
    assert_eq!(gateway.task(UNIT).status, Status::Waiting);
    assert_eq!(gateway.issue_states(), ["open"]);
    let hangs = format!("- `task {}: service_failed {UNIT}`", gateway.task(UNIT).id);
    let told = gateway.issues.bodies().concat();
    assert!(told.contains(&hangs), "{told}");
    // Somebody starts it by hand: what hangs on it is repaired now.
    gateway.units.put(ROOT, "active");
    gateway.runs_for(20 * MINUTE);
    assert_eq!(gateway.task(UNIT).resolution, Some(Resolution::Fixed));
}
