//! Restarts of containers, against an engine that is played on a real socket.

use serde_json::json;

use super::{Bench, Book, is_refused, take, unit};
use crate::actions::{self, Basis, RestartContainer, resolve};
use crate::core::model::action::ActionKind;
use crate::core::model::class::Class;
use crate::core::model::facts::Fact;
use crate::core::model::finding::{Finding, Severity};
use crate::core::model::time::Timestamp;
use crate::services::engine::played::Played;

const INSPECT: &str = "GET /containers/0a0a";
const RESTART: &str = "POST /containers/0a0a";

fn id() -> String {
    "0a".repeat(32)
}

fn finding(of_unit: Option<&str>) -> Finding {
    let (class, at) = (Class::ContainerUnhealthy, Timestamp::default());
    Finding::new(class, "web", Severity::Error, "m", "containers", at)
        .with(Fact::Container(&id()))
        .with(of_unit.map(Fact::Unit))
}

fn described(state: &str, health: &str, more: &serde_json::Value) -> String {
    json!({
        "Name": "/web", "State": {"Status": state, "Health": {"Status": health}}, "HostConfig": more,
        "Config": {"StopTimeout": 7},
    })
    .to_string()
}

fn made(bench: &Bench, finding: &Finding) -> Box<dyn actions::Action> {
    let basis = Basis {
        finding,
        config: &bench.config,
        command: None,
    };
    resolve(ActionKind::RestartContainer, &basis).unwrap()
}

#[test]
fn what_is_down_or_fails_its_check_is_restarted_and_nothing_else() {
    let none = json!({});
    for (state, health, more, want) in [
        ("exited", "", &none, Some(true)),
        ("running", "unhealthy", &none, Some(true)),
        ("running", "healthy", &none, None),
        ("running", "starting", &none, None),
        ("running", "", &none, None),
        ("restarting", "", &none, None),
        ("removing", "", &none, None),
        ("paused", "unhealthy", &none, Some(false)),
        ("exited", "", &json!({"AutoRemove": true}), Some(false)),
    ] {
        let bench = Bench::new(Book::default());
        let engine = Played::at(
            bench.dir.path(),
            &[
                (INSPECT, described(state, health, more)),
                (RESTART, String::new()),
            ],
        );
        let action = made(&bench, &finding(None));
        let done = bench.context(|context| take(context, action.as_ref()));
        let told = engine.asked("POST");
        match want {
            Some(true) => {
                assert_eq!(done.unwrap().message, "restart container web: done");
                assert_eq!(told, [format!("POST /containers/{}/restart?t=7", id())]);
            }
            Some(false) => assert!(is_refused(&done), "{state} {health}"),
            None => assert!(
                done.unwrap_err().to_string().starts_with("precondition"),
                "{state} {health}"
            ),
        }
        assert_eq!(
            told.len(),
            usize::from(want == Some(true)),
            "{state} {health}"
        );
    }
}

#[test]
fn another_container_of_that_name_is_never_the_one_that_was_decided_on() {
    let bench = Bench::new(Book::default());
    let engine = Played::at(bench.dir.path(), &[]);
    let action = made(&bench, &finding(None));
    let may = || {
        bench
            .context(|context| action.precondition(context))
            .map_err(|why| why.to_string())
    };
    assert!(
        may()
            .unwrap_err()
            .contains("no engine has container web any more")
    );
    engine.answers(
        INSPECT,
        &described("exited", "", &json!({})).replace("/web", "/old_web"),
    );
    assert!(may().unwrap_err().contains("web is called old_web now"));
    engine.answers(INSPECT, "!500 Internal Server Error");
    assert!(may().unwrap_err().contains("500"));
    let terms = bench.context(|context| action.terms(context)).unwrap();
    let terms = serde_json::to_string(&terms).unwrap();
    assert!(terms.contains(&id()), "{terms}");
    assert_eq!(engine.asked("POST"), [""; 0]);
}

#[test]
fn an_engine_that_fails_is_a_failed_attempt() {
    let bench = Bench::new(Book::default());
    let answers = [
        (INSPECT, described("exited", "", &json!({}))),
        (RESTART, "!500 Internal Server Error".to_owned()),
    ];
    let _engine = Played::at(bench.dir.path(), &answers);
    let action = made(&bench, &finding(None));
    let why = bench
        .context(|context| take(context, action.as_ref()))
        .unwrap_err();
    assert_eq!(
        why.to_string(),
        "failed: answered 500 Internal Server Error: as it is played"
    );
}

#[test]
fn the_unit_that_runs_it_is_restarted_in_its_place() {
    let bench = Bench::new(Book::of(vec![unit("web.service")]));
    let answers = [
        (
            INSPECT,
            described("running", "unhealthy", &json!({"AutoRemove": true})),
        ),
        (RESTART, String::new()),
    ];
    let engine = Played::at(bench.dir.path(), &answers);
    let action = made(&bench, &finding(Some("web.service")));
    assert_eq!(action.unit().unwrap().as_str(), "web.service");
    assert_eq!(
        action.to_string(),
        "restart container web by its unit: restart web.service"
    );
    bench
        .context(|context| take(context, action.as_ref()))
        .unwrap();
    assert_eq!(bench.book.told(), ["Restart web.service"]);
    assert_eq!(engine.asked("POST"), [""; 0]);
}

#[test]
fn what_is_no_id_is_no_target() {
    let bench = Bench::new(Book::default());
    for id in ["", "web", "../../x", &"g".repeat(64), &"0a".repeat(33)] {
        let finding = finding(None);
        let mut finding = finding;
        finding.evidence.set("container", id);
        let basis = Basis {
            finding: &finding,
            config: &bench.config,
            command: None,
        };
        assert!(RestartContainer::of(&basis).is_err(), "{id}");
    }
}
