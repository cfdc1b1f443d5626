#![allow(clippy::unwrap_used, clippy::indexing_slicing)]
use serde_json::json;

use super::*;

const ID: &str = "8dfafdbc3a40";

fn at(seconds: u64) -> Timestamp {
    Timestamp::from_millis(1_796_000_000_000).plus(Duration::from_secs(seconds))
}

fn listed(value: &Value) -> Listed {
    Listed::all(&json!([value]).to_string()).unwrap().remove(0)
}

fn container(state: &str, status: &str) -> Listed {
    listed(
        &json!({"Id": ID, "Names": ["/web"], "Image": "docker.io/acme/web:2", "State": state, "Status": status}),
    )
}

/// As the API tells it, with `more` of its state.
fn inspected(more: &Value) -> Inspected {
    let mut whole = json!({
        "Name": "/web",
        "Created": at(0).rfc3339(),
        "State": {"Status": "exited", "StartedAt": at(0).rfc3339(), "FinishedAt": at(100).rfc3339()},
        "HostConfig": {"RestartPolicy": {"Name": "no"}},
        "Config": {},
    });
    merge(&mut whole, more);
    Inspected::read(&whole.to_string()).unwrap()
}

fn merge(into: &mut Value, more: &Value) {
    match (into, more) {
        (Value::Object(into), Value::Object(more)) => {
            for (key, value) in more {
                merge(into.entry(key.clone()).or_insert(Value::Null), value);
            }
        }
        (into, more) => *into = more.clone(),
    }
}

fn event(action: &str, second: u64, attributes: &Value) -> String {
    let nano = at(second).as_millis() * 1_000_000;
    json!({"Type": "container", "Action": action, "timeNano": nano, "Actor": {"ID": ID, "Attributes": attributes}})
        .to_string()
}

/// `start die kill:15 stop cleanup …`, a second apart.
fn events(words: &str) -> Vec<EngineEvent> {
    let lines: Vec<String> = words
        .split(' ')
        .zip(1..)
        .map(|(word, second)| match word.split_once(':') {
            Some((action, signal)) => event(action, second, &json!({"signal": signal})),
            None => event(word, second, &json!({})),
        })
        .collect();
    EngineEvent::all(&lines.join("\n"))
}

#[test]
fn who_ended_it_is_read_of_the_events_since_its_last_start() {
    use EndedBy::{Itself, Order, Unknown};
    for (words, code, podman, want) in [
        // Docker 20.10 and later.
        ("start kill:15 die stop", 143, false, Order),
        ("start kill:15 kill:9 die stop", 137, false, Order),
        ("start kill:9 die", 137, false, Order),
        ("start kill:1 die", 1, false, Itself),
        ("start die", 137, false, Itself),
        ("start die", 1, false, Itself),
        ("oom die", 137, false, Itself),
        ("kill:15 die stop start die", 1, false, Itself),
        ("start", 1, false, Unknown),
        // Podman 4.3, as recorded.
        ("start stop die cleanup cleanup", 137, true, Order),
        ("start die cleanup cleanup", 137, true, Order),
        ("start die cleanup cleanup", 3, true, Order),
        ("start kill die cleanup", 137, true, Order),
        ("start die cleanup", 137, true, Itself),
        ("start die cleanup", 1, true, Itself),
        ("start die cleanup", 143, true, Unknown),
        ("start die", 1, true, Unknown),
    ] {
        assert_eq!(
            ended_by(&events(words), code, podman),
            want,
            "{words} {code} {podman}"
        );
    }
    assert_eq!(ended_by(&[], 1, false), Unknown);
}

#[test]
fn what_is_wrong_and_what_is_in_order() {
    let plain = inspected(&json!({"State": {"ExitCode": 1}}));
    let code = |code: i64| inspected(&json!({"State": {"ExitCode": code}}));
    let oom = inspected(&json!({"State": {"ExitCode": 137, "OOMKilled": true}}));
    let kept = inspected(
        &json!({"State": {"ExitCode": 1}, "HostConfig": {"RestartPolicy": {"Name": "always"}}}),
    );
    let failed = inspected(
        &json!({"State": {"ExitCode": 128, "Error": "port is taken"}, "HostConfig": {"RestartPolicy": {"Name": "always"}}}),
    );
    let (e0, e137, e143) = (code(0), code(137), code(143));
    use EndedBy::{Itself, Order, Unknown};
    for (name, state, one, by, open, want) in [
        (
            "failed",
            "exited",
            Some(&plain),
            Itself,
            false,
            Some(ContainerFault::Exited(1)),
        ),
        (
            "failed, by whom is not known",
            "exited",
            Some(&plain),
            Unknown,
            false,
            Some(ContainerFault::Exited(1)),
        ),
        (
            "killed from outside",
            "exited",
            Some(&e137),
            Itself,
            false,
            Some(ContainerFault::Exited(137)),
        ),
        (
            "stopped by a human",
            "exited",
            Some(&e137),
            Order,
            false,
            None,
        ),
        (
            "stopped, says 1",
            "exited",
            Some(&plain),
            Order,
            false,
            None,
        ),
        (
            "137, not known",
            "exited",
            Some(&e137),
            Unknown,
            false,
            None,
        ),
        (
            "143, not known",
            "exited",
            Some(&e143),
            Unknown,
            false,
            None,
        ),
        (
            "137, was a fault",
            "exited",
            Some(&e137),
            Unknown,
            true,
            Some(ContainerFault::Exited(137)),
        ),
        (
            "a fault that a human ended",
            "exited",
            Some(&e137),
            Order,
            true,
            None,
        ),
        ("job done", "exited", Some(&e0), Itself, false, None),
        ("job done, open", "exited", Some(&e0), Unknown, true, None),
        (
            "out of memory",
            "exited",
            Some(&oom),
            Unknown,
            false,
            Some(ContainerFault::OutOfMemory),
        ),
        (
            "stopped, after one of its processes ran out of memory",
            "exited",
            Some(&oom),
            Order,
            false,
            None,
        ),
        (
            "kept up, so it was stopped",
            "exited",
            Some(&kept),
            Unknown,
            false,
            None,
        ),
        (
            "kept up, could not start",
            "exited",
            Some(&failed),
            Unknown,
            false,
            Some(ContainerFault::Exited(128)),
        ),
        (
            "by the list alone",
            "exited",
            None,
            Unknown,
            false,
            Some(ContainerFault::Exited(1)),
        ),
        ("made, never started", "created", None, Unknown, false, None),
        ("held", "paused", None, Unknown, true, None),
        (
            "dead",
            "dead",
            None,
            Unknown,
            false,
            Some(ContainerFault::Dead),
        ),
        (
            "restarts once",
            "restarting",
            Some(&plain),
            Unknown,
            false,
            None,
        ),
        (
            "restarts, nobody counted",
            "restarting",
            None,
            Unknown,
            false,
            Some(ContainerFault::Loops),
        ),
    ] {
        let known = ContainerView {
            inspected: one,
            unhealthy: false,
            loops: false,
            ended_by: by,
            open,
        };
        let listed = container(state, "Exited (1) 3 minutes ago");
        assert_eq!(trouble(&listed, &known, at(200)), want, "{name}");
    }
}

#[test]
fn a_loop_goes_on_between_its_runs_until_somebody_stops_it() {
    use EndedBy::{Itself, Order, Unknown};
    let ended = inspected(
        &json!({"State": {"ExitCode": 3}, "HostConfig": {"RestartPolicy": {"Name": "always"}}}),
    );
    let judged = |state: &str, ended_by, loops, second| {
        let view = ContainerView {
            inspected: Some(&ended),
            unhealthy: false,
            loops,
            ended_by,
            open: true,
        };
        let fault = trouble(
            &container(state, "Exited (3) 1 second ago"),
            &view,
            at(second),
        );
        fault.map(|fault| fault.words())
    };
    let again = Some("restarts again and again".to_owned());
    // It ended at second 100.
    for (state, by, loops, second, want) in [
        ("exited", Itself, true, 101, again.clone()),
        ("exited", Unknown, true, 101, again.clone()),
        ("initialized", Unknown, true, 101, again.clone()),
        ("restarting", Unknown, true, 101, again.clone()),
        ("running", Unknown, true, 101, again),
        ("exited", Order, true, 101, None),
        ("paused", Unknown, true, 101, None),
        ("created", Unknown, false, 101, None),
        (
            "exited",
            Itself,
            true,
            200,
            Some("exited with status=3".to_owned()),
        ),
    ] {
        assert_eq!(
            judged(state, by, loops, second),
            want,
            "{state} {by:?} {loops} {second}"
        );
    }
}

#[test]
fn a_check_that_began_anew_is_no_health_yet() {
    let starting = inspected(&json!({
        "State": {"Status": "running", "StartedAt": at(0).rfc3339(), "Health": {"Status": "starting"}},
        "Config": {"Healthcheck": {"Interval": 10_000_000_000_u64, "Retries": 2, "StartPeriod": 30_000_000_000_u64}},
    }));
    let known = |open, unhealthy| ContainerView {
        inspected: Some(&starting),
        unhealthy,
        loops: false,
        ended_by: EndedBy::Unknown,
        open,
    };
    let up = container("running", "Up 5 seconds");
    let judged = |open, unhealthy, second| trouble(&up, &known(open, unhealthy), at(second));
    assert_eq!(judged(false, false, 20), None);
    assert_eq!(
        judged(true, false, 20),
        Some(ContainerFault::Starting(at(50)))
    );
    // A check that never comes to an end is no fault of the container's.
    assert_eq!(judged(true, false, 51), None);
    assert_eq!(judged(false, true, 20), Some(ContainerFault::Unhealthy));
}

#[test]
fn a_loop_is_three_restarts_within_ten_minutes() {
    let counted = |created: u64, started: u64, restarts: u64| {
        inspected(&json!({
            "Created": at(created).rfc3339(), "RestartCount": restarts,
            "State": {"Status": "running", "StartedAt": at(started).rfc3339()},
        }))
    };
    // (second of the look, restarts, started at, is it a loop), of one made long ago.
    for (name, looks) in [
        (
            "fast",
            &[
                (5_000, 10, 4_990, false),
                (5_010, 12, 5_009, false),
                (5_020, 13, 5_019, true),
            ][..],
        ),
        (
            "over",
            &[
                (5_000, 0, 4_990, false),
                (5_010, 3, 5_009, true),
                (5_200, 3, 5_009, true),
                (5_310, 3, 5_009, false),
            ],
        ),
        (
            "once a day",
            &[
                (5_000, 7, 4_990, false),
                (90_000, 8, 89_990, false),
                (180_000, 9, 179_990, false),
                (270_000, 10, 269_990, false),
            ],
        ),
        (
            "slow",
            &[
                (5_000, 0, 10, false),
                (90_000, 1, 89_990, false),
                (90_120, 2, 90_110, false),
                (90_240, 3, 90_230, true),
            ],
        ),
        (
            "restarted by hand",
            &[
                (5_000, 9, 4_990, false),
                (5_010, 0, 5_005, false),
                (5_020, 2, 5_019, false),
            ],
        ),
    ] {
        let mut watched = Watched::default();
        for (second, restarts, started, want) in looks {
            let one = counted(0, *started, *restarts);
            assert_eq!(
                watched.counts(&one, at(*second)),
                *want,
                "{name} at {second}"
            );
        }
    }
    // One that was made a moment ago has restarted since.
    let mut watched = Watched::default();
    assert!(watched.counts(&counted(4_990, 5_000, 4), at(5_001)));
}

#[test]
fn what_ran_well_for_ten_minutes_in_this_run_is_proven() {
    let ran = |seconds: u64, started: u64, period_s: u64| {
        let mut watched = Watched::default();
        for second in (0..=seconds).step_by(10) {
            watched.is_well(at(second));
        }
        let one = inspected(&json!({
            "State": {"StartedAt": at(started).rfc3339()},
            "Config": {"Healthcheck": {"StartPeriod": period_s * 1_000_000_000}},
        }));
        watched.doubt(&one, None)
    };
    assert_eq!(ran(600, 0, 0), None);
    assert!(ran(590, 0, 0).is_some());
    // Seen well, but in an earlier run; or still within its start period.
    assert!(ran(1_200, 700, 0).is_some());
    assert!(ran(600, 0, 60).is_some());
    assert_eq!(ran(660, 0, 60), None);
    let mut watched = Watched::default();
    (0..70).for_each(|n| watched.is_well(at(n * 10)));
    let one = inspected(&json!({}));
    assert_eq!(watched.doubt(&one, None), None);
    let doubt = watched.doubt(&one, Some("db")).unwrap();
    assert!(doubt.starts_with("db, without which"), "{doubt}");
    // A break of more than a minute begins it anew.
    watched.is_well(at(800));
    assert!(watched.doubt(&one, None).is_some());
}

#[test]
fn other_supervisors_are_known_by_their_labels() {
    let owner =
        |label: &str, value: &str| listed(&json!({"Id": ID, "Labels": {label: value}})).owner();
    for (label, value, want) in [
        ("io.kubernetes.pod.name", "web", Some("Kubernetes")),
        ("com.docker.swarm.service.name", "web", Some("Docker Swarm")),
        ("io.balena.supervised", "1", Some("balena")),
        ("autoheal", "true", Some("autoheal")),
        ("autoheal", "false", None),
        ("com.docker.compose.project", "site", None),
    ] {
        assert_eq!(owner(label, value), want, "{label}");
    }
    let labels = json!({"PODMAN_SYSTEMD_UNIT": "web.service"});
    assert_eq!(listed(&json!({"Labels": labels})).unit(), "web.service");
    assert_eq!(container("running", "").unit(), "");
}

#[test]
fn what_it_needs_is_named_by_compose_and_by_its_network() {
    let one = |id: &str, service: &str, project: &str, needs: &str| {
        listed(
            &json!({"Id": id, "Names": [format!("/{project}-{service}-1")], "State": "running", "Status": "Up",
            "Labels": {PROJECT: project, SERVICE: service, DEPENDS_ON: needs}}),
        )
    };
    let all = [
        one("a1", "db", "site", ""),
        one("a2", "db", "other", ""),
        one(
            "a3",
            "web",
            "site",
            "db:service_healthy:false,cache:service_started:true",
        ),
        one("a4", "cache", "site", ""),
    ];
    let names = |of: &Listed, network| {
        let needed = of.needs(&all, network);
        needed
            .iter()
            .map(|one| one.id().to_owned())
            .collect::<Vec<_>>()
    };
    assert_eq!(names(&all[2], None), ["a1", "a4"]);
    assert_eq!(names(&all[0], None), [""; 0]);
    assert_eq!(names(&all[0], Some("a2")), ["a2"]);
    for (state, status, dead) in [
        ("running", "Up 2 hours", false),
        ("running", "Up 2 hours (unhealthy)", true),
        ("exited", "Exited (0) 3 days ago", false),
        ("exited", "Exited (1) 3 days ago", true),
        ("restarting", "Restarting (1) 3 seconds ago", true),
    ] {
        assert_eq!(container(state, status).is_dead(), dead, "{status}");
    }
}

#[test]
fn an_update_is_waited_for_and_the_own_creation_is_none() {
    let of = |kind: &str, action: &str, id: &str, name: &str, second: u64| {
        let nano = at(second).as_millis() * 1_000_000;
        json!({"Type": kind, "Action": action, "timeNano": nano, "Actor": {"ID": id, "Attributes": {"name": name}}})
            .to_string()
    };
    let web = container("exited", "Exited (1)");
    for (line, want) in [
        (of("image", "pull", "", "acme/web:2", 100), Some(at(220))),
        (
            of("image", "pull", "", "docker.io/acme/web:2", 100),
            Some(at(220)),
        ),
        (of("image", "pull", "", "acme/db:2", 100), None),
        // As Docker says it.
        (
            of("image", "pull", "acme/web:2", "acme/web", 100),
            Some(at(220)),
        ),
        (of("image", "pull", "acme/db:2", "acme/db", 100), None),
        (of("image", "pull", "", "acme/web:2", 3), None),
        (of("container", "create", ID, "web", 100), None),
        (of("container", "create", "ff", "web", 100), Some(at(220))),
        (
            of("container", "rename", "ff", "8dfafdbc3a40_web", 100),
            Some(at(220)),
        ),
        (of("container", "create", "ff", "db", 100), None),
        (
            [
                of("image", "pull", "", "acme/web:2", 100),
                of("container", "create", "ff", "db", 101),
            ]
            .join("\n"),
            None,
        ),
        ("no event".to_owned(), None),
    ] {
        let events = EngineEvent::all(&line);
        let until = update_until(
            &events,
            &web,
            ("docker.io/acme/web:2", Some(at(0))),
            at(130),
        );
        assert_eq!(until, want, "{line}");
        assert_eq!(
            update_until(
                &events,
                &web,
                ("docker.io/acme/web:2", Some(at(0))),
                at(400)
            ),
            None
        );
    }
}

#[test]
fn lines_come_without_their_heads_and_the_newest_first() {
    let mut raw = Vec::new();
    for (stream, text) in [(1_u8, "hello\n"), (2, "open /data/x: No such file\nlast\n")] {
        raw.extend([stream, 0, 0, 0, 0, 0, 0, u8::try_from(text.len()).unwrap()]);
        raw.extend(text.as_bytes());
    }
    let want = "last\nopen /data/x: No such file\nhello";
    assert_eq!(log_lines(&raw, false), want);
    // Cut off amid a piece; a terminal has no heads; neither has what is no frame.
    assert_eq!(log_lines(&raw[..12], false), "hell");
    assert_eq!(log_lines(b"a\r\nb\r\n", true), "b\na");
    assert_eq!(
        log_lines(b"plain text\nof another kind\n", false),
        "of another kind\nplain text"
    );
    assert_eq!(
        log_lines(&[1, 0, 0, 0, 255, 255, 255, 255, b'x'], false),
        "x"
    );
    assert_eq!(log_lines(&[], false), "");
}

#[test]
fn hostile_answers_are_read_without_harm() {
    for text in [
        "",
        "{}",
        "[1,null,[]]",
        "[{\"Names\":null,\"State\":7}]",
        "nonsense",
    ] {
        for one in Listed::all(text).unwrap_or_default() {
            assert_eq!(
                (one.name(), one.owner(), one.unit()),
                ("", None, ""),
                "{text}"
            );
        }
        assert!(Inspected::read(text).is_err(), "{text}");
        assert!(EngineEvent::all(text).len() < 2);
    }
}

proptest::proptest! {
    #[test]
    fn whatever_an_engine_sends_is_read(raw in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..200), text in "\\PC{0,200}") {
        let lines = log_lines(&raw, false);
        // What is no UTF-8 becomes a sign of three bytes.
        proptest::prop_assert!(lines.len() <= raw.len() * 3);
        let _ = (EngineEvent::all(&text), Listed::all(&text), Inspected::read(&text));
    }
}
