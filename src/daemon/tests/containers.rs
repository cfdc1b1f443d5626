//! A container from its fault to its repair, with an engine that is played on its socket.

use std::time::Duration;

use serde_json::{Value, json};

use super::gateway::{Gateway, UNIT};
use super::units::OnStart;
use crate::core::config::{Config, Mode};
use crate::core::model::task::{Resolution, Status};
use crate::services::engine::played::Played;

const LIST: &str = "GET /containers/json";
const ONE: &str = "GET /containers/0a0a";
const RESTART: &str = "POST /containers/0a0a";

fn id() -> String {
    "0a".repeat(32)
}

fn listed(state: &str, status: &str) -> String {
    json!([{"Id": id(), "Names": ["/web"], "Image": "acme/web:2", "State": state, "Status": status}]).to_string()
}

fn described(gateway: &Gateway, state: &Value) -> String {
    let ended = gateway.now().minus(Duration::from_secs(20)).rfc3339();
    let mut one =
        json!({"Name": "/web", "State": state, "Config": {"StopTimeout": 3}, "HostConfig": {}});
    one["State"]["FinishedAt"] = json!(ended);
    one["State"]["StartedAt"] = json!(gateway.now().minus(Duration::from_secs(900)).rfc3339());
    one.to_string()
}

/// A container that ended by itself a moment ago, and runs once it is restarted.
fn down(set: impl FnOnce(&mut Config)) -> (Gateway, Played) {
    let gateway = Gateway::with(set);
    let nano = gateway.now().minus(Duration::from_secs(20)).as_millis() * 1_000_000;
    let died = json!({"Type": "container", "Action": "die", "timeNano": nano, "Actor": {"ID": id(), "Attributes": {}}});
    let exited = json!({"Status": "exited", "ExitCode": 137});
    let engine = Played::at(
        gateway.dir.path(),
        &[
            (LIST, listed("exited", "Exited (137) 20 seconds ago")),
            (ONE, described(&gateway, &exited)),
            ("GET /events", died.to_string()),
            (RESTART, String::new()),
        ],
    );
    let running = described(&gateway, &json!({"Status": "running"}));
    engine.answers_once_ordered(LIST, &listed("running", "Up 3 minutes"));
    engine.answers_once_ordered(ONE, &running);
    (gateway, engine)
}

fn restarts(config: &mut Config) {
    config.mode.medium = Mode::Auto;
    let own = ("restart_container".to_owned(), Mode::Auto);
    config.mode.action = [own].into_iter().collect();
}

#[test]
fn what_exited_by_itself_is_restarted_through_its_engine_and_proven() {
    let (mut gateway, engine) = down(restarts);
    gateway.runs_for(Duration::from_secs(120));
    let task = gateway.task("web");
    let order = format!("POST /containers/{}/restart?t=3", id());
    assert_eq!(engine.asked("POST"), [order]);
    assert_eq!(
        task.resolution,
        Some(Resolution::Fixed),
        "{:?}",
        gateway.events(&task)
    );
    assert_eq!(gateway.issue_states(), [""; 0]);
}

#[test]
fn it_is_proposed_until_the_action_has_a_mode_and_done_when_a_human_allows_it() {
    let (mut gateway, engine) = down(|config| config.mode.medium = Mode::Auto);
    gateway.runs_for(Duration::from_secs(60));
    let task = gateway.task("web");
    assert_eq!(engine.asked("POST"), [""; 0]);
    assert_eq!(task.status, Status::Escalated);
    let proposal = task.proposal.unwrap();
    assert_eq!(proposal.text, "restart container web");
    gateway.approve("web", Duration::from_secs(600));
    gateway.runs_for(Duration::from_secs(120));
    assert_eq!(engine.asked("POST").len(), 1);
    assert_eq!(gateway.task("web").resolution, Some(Resolution::Fixed));
}

#[test]
fn an_approval_is_of_one_container_and_not_of_the_next_one_of_its_name() {
    let (mut gateway, engine) = down(|_| {});
    gateway.runs_for(Duration::from_secs(60));
    gateway.approve("web", Duration::from_secs(600));
    // Made anew meanwhile, and down again.
    let other = "0b".repeat(32);
    let at = |text: String| text.replace(&id(), &other);
    engine.answers(LIST, &at(listed("exited", "Exited (137) 20 seconds ago")));
    engine.answers(ONE, "!404 Not Found");
    engine.answers(
        "GET /containers/0b0b",
        &described(&gateway, &json!({"Status": "exited", "ExitCode": 3})),
    );
    engine.answers("POST /containers/0b0b", "");
    gateway.runs_for(Duration::from_secs(120));
    assert_eq!(engine.asked("POST"), [""; 0]);
}

#[test]
fn a_container_that_went_with_its_failed_unit_is_not_well() {
    let (mut gateway, engine) = down(restarts);
    gateway.units.put(UNIT, "active");
    let file = format!("/etc/systemd/system/{UNIT}");
    gateway.write(
        &file,
        "[Service]\nExecStart=/usr/bin/podman run --name web acme/web:2\n",
    );
    gateway.units.change(UNIT, |unit| unit.fragment = file);
    let labels = json!({"PODMAN_SYSTEMD_UNIT": UNIT});
    let ill = json!([{"Id": id(), "Names": ["/web"], "Image": "acme/web:2", "State": "running", "Status": "Up 3 hours (unhealthy)", "Labels": labels}]);
    engine.answers(LIST, &ill.to_string());
    let state = json!({"Status": "running", "Health": {"Status": "unhealthy"}});
    engine.answers(ONE, &described(&gateway, &state));
    // Its unit takes it away and cannot make it anew.
    gateway
        .units
        .change(UNIT, |unit| unit.on_start = OnStart::Fails);
    gateway.sweep();
    assert_eq!(
        gateway
            .task("web")
            .evidence
            .text(crate::core::model::facts::Key::Unit),
        Some(UNIT)
    );
    while gateway.work() {}
    engine.answers(LIST, "[]");
    gateway.units.fail(UNIT, OnStart::Fails);
    gateway.runs_for(Duration::from_secs(30));
    assert_eq!(engine.asked("POST"), [""; 0]);
    let task = gateway.task("web");
    assert_ne!(
        task.resolution,
        Some(Resolution::Fixed),
        "{:?}",
        gateway.events(&task)
    );
}
