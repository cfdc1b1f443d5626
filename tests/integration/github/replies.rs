//! The real daemon hears what humans do on its issue, over TLS against the stub.

use std::net::TcpListener;

use autonomous_orchestrator::Timestamp;
use serde_json::{Value, json};

use super::stub::{Stub, TOKEN};
use crate::cli_tool::Gateway;
use crate::fleet::daemon::{Daemon, probing};
use crate::fleet::{now, until};

/// A gateway whose one service answered once and does so no more; `mode` is what may be done about it.
fn gateway(stub: &Stub, mode: &str, marker: &std::path::Path) -> Gateway {
    let github = stub.github();
    let pid_file = marker.with_file_name("web.pid");
    std::fs::write(&pid_file, "999999\n").unwrap();
    let listens = TcpListener::bind("127.0.0.1:0").unwrap();
    let gateway = probing(
        listens.local_addr().unwrap().port(),
        &format!(
            "[mode]\nlow = \"{mode}\"\n[escalation.github]\nrepository = \"plant/gateways\"\ntoken_file = \"{}\"\n\
             api_url = \"{}\"\nca_file = \"{}\"\nreplies_from = [\"ann\"]\nreplies_every_s = 5\n\
             [[service]]\nname = \"web\"\nstart = [\"/usr/bin/touch\", \"{}\"]\npid_file = \"{}\"\n",
            github.token_file,
            github.api_url,
            github.ca_file,
            marker.display(),
            pid_file.display()
        ),
        "unit = \"web\"\n",
    );
    // What was never green has nothing done for it.
    assert_eq!(gateway.run(&["run", "--once"]).code, 0);
    gateway
}

fn event(id: i64, login: &str, label: &str) -> Value {
    event_at(id, login, label, &iso(now()))
}

/// As the API tells times.
fn iso(at: Timestamp) -> String {
    format!("{}Z", at.to_string().replacen(' ', "T", 1).split_at(19).0)
}

fn event_at(id: i64, login: &str, label: &str, at: &str) -> Value {
    json!({
        "id": id, "node_id": "E", "url": "https://localhost/e", "event": "labeled",
        "actor": { "login": login, "id": 1, "type": "User" },
        "label": { "name": label, "color": "ededed" },
        "commit_id": null, "commit_url": null, "created_at": at
    })
}

fn closed(id: i64, login: &str) -> Value {
    json!({
        "id": id, "event": "closed", "actor": { "login": login }, "state_reason": "not_planned",
        "created_at": iso(now())
    })
}

fn say(stub: &Stub, events: &[Value]) {
    let text = json!({ "1": events }).to_string();
    // Whole or not at all: the daemon asks at any time.
    std::fs::write(stub.path("events.new"), text).unwrap();
    std::fs::rename(stub.path("events.new"), stub.path("events.json")).unwrap();
}

/// The first task as the command line tells it.
fn task(gateway: &Gateway) -> Value {
    let ran = gateway.run(&["tasks", "show", "1", "--json"]);
    serde_json::from_str(&ran.out).unwrap_or(Value::Null)
}

fn done(gateway: &Gateway, action: &str) -> usize {
    let task = task(gateway);
    let history = task["history"].as_array().cloned().unwrap_or_default();
    let is = |event: &&Value| event["action"] == action;
    history.iter().filter(is).count()
}

fn issued(stub: &Stub) -> usize {
    let created = |one: &&Value| one["method"] == "POST" && one["status"] == 201;
    stub.requests().iter().filter(created).count()
}

#[test]
fn listed_humans_are_heard_and_others_are_not() {
    let Some(stub) = Stub::start(&[]) else { return };
    let directory = tempfile::tempdir().unwrap();
    let marker = directory.path().join("started");
    let gateway = gateway(&stub, "suggest", &marker);
    let _daemon = Daemon::start(&gateway);
    until("an issue is there", || issued(&stub) == 1);
    until("its number is known", || {
        task(&gateway)["github_issue_number"] == 1
    });

    // Somebody else may label as much as he likes.
    let mut said = vec![event(1, "eve", "orchestrator:approve"), closed(2, "eve")];
    say(&stub, &said);
    until("both are written down", || {
        done(&gateway, "reply_ignored") == 2
    });
    assert!(!marker.exists());
    assert_eq!(task(&gateway)["status"], "escalated");

    // Neither what does not say when it was, nor what was before there was anything to answer.
    let mut undated = closed(3, "ann");
    undated["created_at"] = Value::Null;
    said.push(undated);
    for (id, label) in [(4, "ack"), (5, "snooze"), (6, "retry")] {
        let label = format!("orchestrator:{label}");
        said.push(event_at(id, "ann", &label, "2020-01-01T00:00:00Z"));
    }
    say(&stub, &said);
    until("all four count for nothing", || {
        done(&gateway, "reply_ignored") == 6
    });
    assert_eq!(task(&gateway)["status"], "escalated");
    assert_eq!(task(&gateway)["acknowledged_by"], Value::Null);

    said.push(event(7, "Ann", "orchestrator:ack"));
    say(&stub, &said);
    until("acknowledged", || {
        task(&gateway)["acknowledged_by"] == "github:Ann"
    });
    said.push(event(8, "ann", "orchestrator:snooze"));
    say(&stub, &said);
    until("put off", || task(&gateway)["status"] == "waiting");
    assert!(!marker.exists());
    // Neither what was said before anything was proposed, nor of another action.
    said.push(event_at(
        9,
        "ann",
        "orchestrator:approve",
        "2020-01-01T00:00:00Z",
    ));
    said.push(event(10, "ann", "orchestrator:approve-0123456789ab"));
    say(&stub, &said);
    until("both count for nothing", || {
        done(&gateway, "reply_ignored") == 8
    });
    assert!(!marker.exists());
    said.push(event(11, "ann", "orchestrator:approve"));
    say(&stub, &said);
    until("the approved action was taken", || marker.exists());
    said.push(event(12, "ann", "orchestrator:retry"));
    said.push(closed(13, "ann"));
    say(&stub, &said);
    until("closed", || task(&gateway)["status"] == "closed");
    assert_eq!(task(&gateway)["resolution"], "not_a_fault");
    // What did not change was not sent again.
    let asked: Vec<Value> = stub
        .requests()
        .into_iter()
        .filter(|one| one["path"].as_str().unwrap().ends_with("/events"))
        .collect();
    let cheap = asked.iter().filter(|one| one["status"] == 304).count();
    let heard = asked.iter().filter(|one| one["status"] == 200).count();
    assert!(heard <= 8, "{heard} full answers, {cheap} without news");
    let log = std::fs::read_to_string(&_daemon.log).unwrap();
    assert!(!log.contains(TOKEN));
}

#[test]
fn an_approval_never_widens_what_the_configuration_allows() {
    let Some(stub) = Stub::start(&[]) else { return };
    let directory = tempfile::tempdir().unwrap();
    let marker = directory.path().join("started");
    let gateway = gateway(&stub, "observe", &marker);
    let _daemon = Daemon::start(&gateway);
    until("its number is known", || {
        task(&gateway)["github_issue_number"] == 1
    });
    say(&stub, &[event(1, "ann", "orchestrator:approve")]);
    // Its issue names nothing that could be allowed.
    until("it counts for nothing", || {
        done(&gateway, "reply_ignored") == 1
    });
    assert_eq!(done(&gateway, "approved"), 0);
    assert!(!marker.exists(), "mode observe: nothing is touched");
}
