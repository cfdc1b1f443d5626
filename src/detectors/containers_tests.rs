#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)]
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};

use super::*;
use crate::core::model::facts::Key;
use crate::detectors::Open;
use crate::detectors::tests::One;
use crate::host::Host;
use crate::host::clock::Clock;
use crate::services::ServiceManager;
use crate::services::engine::played::Played;

const ID: &str = "8dfafdbc3a408dfafdbc3a408dfafdbc3a408dfafdbc3a408dfafdbc3a408dfa";

const LOGS: &str =
    "GET /containers/8dfafdbc3a408dfafdbc3a408dfafdbc3a408dfafdbc3a408dfafdbc3a408dfa/logs";

fn now() -> Timestamp {
    Timestamp::from_millis(1_796_000_000_000)
}

fn ago(seconds: u64) -> Timestamp {
    now().minus(Duration::from_secs(seconds))
}

fn one(state: &str, status: &str, labels: &Value) -> String {
    json!([{"Id": ID, "Names": ["/web"], "State": state, "Status": status, "Image": "acme/web:2", "Labels": labels}])
        .to_string()
}

fn described(state: &Value, host: &Value) -> String {
    let mut whole = json!({
        "Name": "/web", "Created": ago(90_000).rfc3339(), "RestartCount": 0, "State": state, "HostConfig": host,
        "Config": {"StopTimeout": 10, "Tty": true},
    });
    whole["State"]["StartedAt"] = json!(ago(80_000).rfc3339());
    whole.to_string()
}

fn event(action: &str, second: u64) -> String {
    let nano = ago(second).as_millis() * 1_000_000;
    json!({"Type": "container", "Action": action, "timeNano": nano, "Actor": {"ID": ID, "Attributes": {"signal": "15"}}})
        .to_string()
}

/// An engine with one container, and one detector that looks at it.
struct Bed {
    dir: tempfile::TempDir,
    engine: Played,
    detector: Containers,
}

impl Bed {
    fn new(answers: &[(&str, String)]) -> Self {
        let dir = tempfile::tempdir().unwrap();
        Self {
            engine: Played::at(dir.path(), answers),
            dir,
            detector: Containers::default(),
        }
    }

    fn sees(&self, open: bool, at: Timestamp) -> Option<Finding> {
        self.sees_beside(&[], open, at)
    }

    fn sees_beside(
        &self,
        managers: &[Arc<dyn ServiceManager>],
        open: bool,
        at: Timestamp,
    ) -> Option<Finding> {
        let host = Host::at(self.dir.path(), Clock::manual(at));
        let config = Config::default();
        let condition = (Class::ContainerUnhealthy, "web".to_owned());
        let open = Open::new(open.then_some(condition));
        let look = Snapshot::new(&host, &config, managers, &open);
        let Sweep::Present(found) = self.detector.examine(&look).unwrap() else {
            return None;
        };
        found.into_iter().next()
    }
}

fn exited(code: i32, host: &Value) -> String {
    let state = json!({"Status": "exited", "ExitCode": code, "FinishedAt": ago(20).rfc3339()});
    described(&state, host)
}

#[test]
fn a_label_names_a_unit_only_where_that_speaks_of_the_container() {
    for (file, want) in [
        (
            "[Service]\nExecStart=/usr/bin/podman run --name=web acme/web:2\n",
            Some("site.service"),
        ),
        ("[Service]\nExecStart=/usr/sbin/sshd -D\n", None),
        ("[Service]\nExecStart=/usr/bin/webhook\n", None),
    ] {
        // All labels may come from the image.
        let labels = json!({"PODMAN_SYSTEMD_UNIT": "site.service", PROJECT: "sshd"});
        let bed = Bed::new(&[
            (
                "GET /containers/json",
                one("exited", "Exited (1) 20 seconds ago", &labels),
            ),
            (
                "GET /events",
                [event("start", 80_000), event("die", 20)].join("\n"),
            ),
            (LOGS, String::new()),
            ("GET /containers/8dfafdbc", exited(1, &json!({}))),
        ]);
        let path = "/etc/systemd/system/site.service";
        let on_disk = bed.dir.path().join(path.trim_start_matches('/'));
        std::fs::create_dir_all(on_disk.parent().unwrap()).unwrap();
        std::fs::write(on_disk, file).unwrap();
        let unit = UnitState {
            name: "site.service".to_owned(),
            load_state: "loaded".to_owned(),
            active_state: "active".to_owned(),
            fragment_path: path.to_owned(),
            ..UnitState::default()
        };
        let manager: Arc<dyn ServiceManager> = Arc::new(One::with_none(unit));
        let found = bed.sees_beside(&[manager], false, now()).unwrap();
        assert_eq!(found.fact(Key::Unit), want, "{file}");
    }
}

#[test]
fn what_exited_by_itself_is_found_with_its_cause_and_may_be_restarted() {
    let bed = Bed::new(&[
        (
            "GET /containers/json",
            one(
                "exited",
                "Exited (1) 20 seconds ago",
                &json!({PROJECT: "site"}),
            ),
        ),
        (
            "GET /events",
            [event("start", 80_000), event("die", 20)].join("\n"),
        ),
        (
            LOGS,
            "booting\nconnect db:5432: connection refused\n".to_owned(),
        ),
        ("GET /containers/8dfafdbc", exited(1, &json!({}))),
    ]);
    let found = bed.sees(false, now()).unwrap();
    assert_eq!(
        found.message,
        "container exited with status=1, image acme/web:2"
    );
    assert_eq!(found.subject, "web");
    for (key, want) in [
        (Key::Container, Some(ID)),
        (Key::ExitStatus, Some("1")),
        (Key::Project, Some("site")),
        (
            Key::Log,
            Some("connect db:5432: connection refused\nbooting"),
        ),
        (Key::LeftAlone, None),
    ] {
        assert_eq!(found.fact(key), want, "{key}");
    }
    // It was not watched for ten minutes.
    assert!(!found.evidence.is_proven());
    let named = crate::core::diagnosis::naming::name_cause(&found, CauseRules::builtin());
    assert_eq!(named.cause.as_str(), "connection_refused");
    // Who ended it, and what it said, is asked for once.
    let count = |what: &str| bed.engine.asked(what).len();
    let before = (count("container%22"), count("/logs?"));
    assert!(bed.sees(true, now()).is_some());
    assert_eq!((count("container%22"), count("/logs?")), before);
}

#[test]
fn what_a_human_stopped_is_left_alone_and_so_is_what_another_supervisor_owns() {
    let sees = |labels: &Value, host: &Value, events: &[String], code: i32| {
        let bed = Bed::new(&[
            (
                "GET /containers/json",
                one("exited", "Exited (1) 20 seconds ago", labels),
            ),
            ("GET /events", events.join("\n")),
            ("GET /containers/8dfafdbc", exited(code, host)),
        ]);
        bed.sees(false, now())
    };
    let none = json!({});
    let by_itself = [event("die", 20)];
    let stopped = [event("kill", 30), event("die", 20), event("stop", 20)];
    let alone = |found: &Finding| found.fact(Key::LeftAlone).map(str::to_owned);
    assert!(sees(&none, &none, &stopped, 1).is_none());
    assert!(sees(&none, &none, &[], 137).is_none());
    assert!(
        sees(
            &json!({"io.kubernetes.pod.name": "web"}),
            &none,
            &by_itself,
            1
        )
        .is_none()
    );
    let found = sees(&none, &none, &by_itself, 137).unwrap();
    assert_eq!(
        (alone(&found), found.fact(Key::Container)),
        (None, Some(ID))
    );
    // Told, but nobody knows whether it is wanted: no restart.
    let found = sees(&none, &none, &[], 3).unwrap();
    assert_eq!(
        (alone(&found), found.fact(Key::Container)),
        (Some("it is not known who ended it".to_owned()), None)
    );
    let found = sees(&none, &json!({"AutoRemove": true}), &by_itself, 1).unwrap();
    assert!(alone(&found).unwrap().starts_with("it is removed"));
}

#[test]
fn a_container_that_ran_well_for_ten_minutes_is_proven() {
    let running = |health: &str| {
        described(
            &json!({"Status": "running", "Running": true, "Health": {"Status": health, "Log": [{"Output": "wget: 503"}]}}),
            &json!({}),
        )
    };
    let up = |status: &str| one("running", status, &json!({}));
    let bed = Bed::new(&[
        ("GET /containers/json", up("Up 22 hours (healthy)")),
        (LOGS, String::new()),
        ("GET /containers/8dfafdbc", running("healthy")),
    ]);
    for second in (0..700).step_by(10) {
        assert!(bed.sees(false, ago(700 - second)).is_none());
    }
    let become_ill = |health: &str, status: &str| {
        bed.engine.answers("GET /containers/json", &up(status));
        bed.engine
            .answers("GET /containers/8dfafdbc", &running(health));
    };
    become_ill("unhealthy", "Up 22 hours (unhealthy)");
    let found = bed.sees(false, now()).unwrap();
    assert!(found.evidence.is_proven(), "{:?}", found.evidence);
    assert_eq!(found.fact(Key::Log), Some("wget: 503"));
    // After a restart it is not well before its check says so.
    become_ill("starting", "Up 3 seconds (health: starting)");
    assert!(
        bed.sees(true, ago(79_990))
            .unwrap()
            .evidence
            .starting_until()
            .is_some()
    );
    become_ill("healthy", "Up 30 seconds (healthy)");
    assert!(bed.sees(true, ago(79_970)).is_none());
}

#[test]
fn what_autoheal_looks_after_is_given_time_and_told_then() {
    let all = json!([
        {"Id": ID, "Names": ["/web"], "State": "running", "Status": "Up 2 hours (unhealthy)", "Image": "acme/web:2"},
        {"Id": "aa", "Names": ["/autoheal"], "State": "running", "Status": "Up 2 hours", "Image": "willfarrell/autoheal"},
    ]);
    let healer = json!({"Name": "/autoheal", "Config": {"Env": ["AUTOHEAL_CONTAINER_LABEL=all"]}, "State": {}});
    let bed = Bed::new(&[
        ("GET /containers/json", all.to_string()),
        ("GET /containers/aa/", healer.to_string()),
        (
            "GET /containers/8dfafdbc",
            described(
                &json!({"Status": "running", "Health": {"Status": "unhealthy"}}),
                &json!({}),
            ),
        ),
    ]);
    let found = bed.sees(false, now()).unwrap();
    assert_eq!(found.fact(Key::LeftAlone), Some("autoheal looks after it"));
    assert_eq!(found.fact(Key::Container), None);
    assert_eq!(
        found.evidence.starting_until(),
        Some(now().plus(OWNER_GIVEN))
    );
}

#[test]
fn memory_that_cannot_be_read_is_no_answer_where_the_container_stands_open() {
    let bed = Bed::new(&[
        (
            "GET /containers/json",
            one("running", "Up 2 hours", &json!({})).replace(ID, "abc"),
        ),
        (
            "GET /containers/abc",
            described(&json!({"Status": "running"}), &json!({})),
        ),
    ]);
    let used = "sys/fs/cgroup/system.slice/docker-abc.scope/memory.current";
    std::fs::create_dir_all(bed.dir.path().join(used)).unwrap();
    let host = Host::at(bed.dir.path(), Clock::manual(now()));
    let config = Config::default();
    let looked = |open: &str| {
        let open = Open::new([(Class::ContainerUnhealthy, open.to_owned())]);
        let look = Snapshot::new(&host, &config, &[], &open);
        let found = bed.detector.examine(&look).unwrap();
        assert_eq!(found, Sweep::Present(Vec::new()));
        look.take_blind().why.map(|why| why.to_string())
    };
    assert_eq!(looked("other"), None);
    assert!(looked("web").unwrap().starts_with("memory of web: "));
}

#[test]
fn a_container_that_cannot_be_described_stays_as_it_is() {
    let bed = Bed::new(&[
        (
            "GET /containers/json",
            one("running", "Up 2 hours", &json!({})),
        ),
        ("GET /containers/8dfafdbc", "not json".to_owned()),
    ]);
    let host = Host::at(bed.dir.path(), Clock::manual(now()));
    let config = Config::default();
    let open = Open::new([(Class::ContainerUnhealthy, "web".to_owned())]);
    let look = Snapshot::new(&host, &config, &[], &open);
    assert_eq!(
        bed.detector.examine(&look).unwrap(),
        Sweep::Present(Vec::new())
    );
    assert!(look.take_blind().why.is_some());
}

#[test]
fn without_an_engine_there_is_nothing_to_judge_and_a_bad_answer_is_an_error() {
    let examine = |root: &Path| {
        let host = Host::at(root, Clock::manual(now()));
        let (config, open) = (Config::default(), Open::default());
        Containers::default().examine(&Snapshot::new(&host, &config, &[], &open))
    };
    let dir = tempfile::tempdir().unwrap();
    assert!(matches!(examine(dir.path()), Ok(Sweep::Absent(_))));
    // A socket that nobody listens on any more.
    std::fs::create_dir_all(dir.path().join("run")).unwrap();
    drop(UnixListener::bind(dir.path().join("run/docker.sock")).unwrap());
    assert!(matches!(examine(dir.path()), Ok(Sweep::Absent(_))));
    for bad in ["not json", ""] {
        let bed = Bed::new(&[("GET /containers/json", bad.to_owned())]);
        assert!(examine(bed.dir.path()).is_err(), "{bad}");
    }
    let bed = Bed::new(&[]);
    let why = examine(bed.dir.path()).unwrap_err().to_string();
    assert!(
        why.ends_with("answered 404 Not Found: as it is played"),
        "{why}"
    );
}

#[test]
fn podman_as_recorded_is_read() {
    let read = |name: &str| {
        std::fs::read_to_string(Path::new("tests/fixtures/containers").join(name)).unwrap()
    };
    let all = Listed::all(&read("podman_list.json")).unwrap();
    let id = |name: &str| {
        all.iter()
            .find(|one| one.name() == name)
            .unwrap()
            .id()
            .to_owned()
    };
    let (exits, stopped, sick) = (id("exits"), id("stopped"), id("sick"));
    let dir = tempfile::tempdir().unwrap();
    let events = read("podman_events.jsonl");
    let of = |id: &str| {
        let lines: Vec<&str> = events.lines().filter(|line| line.contains(id)).collect();
        lines.join("\n")
    };
    let unhealthy = json!([{"Id": sick}]).to_string();
    let logs = read("podman_logs.bin");
    let inspect = |id: &str| format!("GET /containers/{id}/json");
    let engine = Played::at(dir.path(), &[]).speaks_as_podman();
    for (asked, answer) in [
        ("GET /containers/json?all=true", read("podman_list.json")),
        ("GET /containers/json?filters", unhealthy),
        (&inspect(&exits), read("podman_exited.json")),
        // Of the same form; what it ended with is all that counts of it.
        (
            &inspect(&stopped),
            read("podman_exited.json").replace("\"ExitCode\":1,", "\"ExitCode\":137,"),
        ),
        (&inspect(&sick), read("podman_unhealthy.json")),
        (&format!("GET /containers/{exits}/logs"), logs),
        ("GET /events", of("nobody")),
        (&filtered(&exits), of(&exits)),
        (&filtered(&stopped), of(&stopped)),
    ] {
        engine.answers(asked, &answer);
    }
    let ended = Inspected::read(&read("podman_exited.json"))
        .unwrap()
        .finished_at()
        .unwrap();
    let host = Host::at(
        dir.path(),
        Clock::manual(ended.plus(Duration::from_secs(5))),
    );
    let (config, open) = (Config::default(), Open::default());
    let look = Snapshot::new(&host, &config, &[], &open);
    let Sweep::Present(found) = Containers::default().examine(&look).unwrap() else {
        panic!("an engine is there");
    };
    let told: Vec<_> = found
        .iter()
        .map(|one| (one.subject.as_str(), one.message.as_str()))
        .collect();
    assert_eq!(
        told,
        [
            (
                "sick",
                "container fails its health check, image localhost/box:1"
            ),
            (
                "exits",
                "container exited with status=1, image localhost/box:1"
            ),
        ]
    );
    let line = "dial tcp db:5432: connect: connection refused";
    assert_eq!(found[1].evidence.log().next(), Some(line));
}

/// How the events of one container are asked for; since when goes by the end of what was recorded.
fn filtered(id: &str) -> String {
    let ended = std::fs::read_to_string("tests/fixtures/containers/podman_exited.json").unwrap();
    let ended = Inspected::read(&ended).unwrap().finished_at().unwrap();
    let since = ended.minus(ORDERED_BEFORE).as_millis() / 1_000;
    format!("GET /events?since={since}&stream=false&filters=%7B%22container%22%3A%5B%22{id}")
}
