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
