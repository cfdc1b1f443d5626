//! What Gitea and GitLab have of their own, in simulated time: labels by number, lines that are commands.

use autonomous_orchestrator::{Operation, OutboxId, Severity, delivery_key, label};
use serde_json::json;

use super::forges::Dialect;
use super::outbox::s;
use super::schedules::{Bed, FORGES, START, check, open_rows, problem};
use super::world::{Issue, Random};

/// Labels are made once, in the end there is one for each problem and one for all; a token that may make none opens
/// the issue without, and finds it again after an answer that was lost.
#[test]
fn gitea_makes_labels_once_and_does_without_where_it_may_not() {
    for may in [true, false] {
        let bed = Bed::at(Dialect::Gitea, 2);
        bed.world().drop_labels = !may;
        let mut gateway = bed.gateway("gateway-a");
        let mut random = Random(2);
        let mut keys = Vec::new();
        for task in 1..=3 {
            keys.push(problem(&gateway, task, 1, &mut random, START));
        }
        while gateway.outbox.open() > 0 {
            bed.world().advance(gateway.next);
            // The answer to the first issue is lost, by whom it was made is all that is left.
            let lost = bed.world().issues.is_empty()
                && gateway.outbox.rows.borrow()[&first()].sent_at.is_none();
            bed.world().dies_in = (lost && !may).then_some(4);
            bed.tick(&mut gateway, &mut random);
        }
        check(2, &bed, std::slice::from_ref(&gateway), &keys);
        let mut labels: Vec<String> = bed.world().labels.iter().map(|one| one.1.clone()).collect();
        labels.sort();
        let mut wanted: Vec<String> = keys.iter().map(|key| label(key)).collect();
        wanted.sort();
        wanted.push("autonomous-orchestrator".to_owned());
        assert_eq!(labels, if may { wanted } else { Vec::new() });
    }
}

/// What is wrong with labels alone keeps no problem from a human.
#[test]
fn gitea_does_without_labels_that_cannot_be_made() {
    let bed = Bed::at(Dialect::Gitea, 6);
    bed.world().labels_broken = true;
    let mut gateway = bed.gateway("gateway-a");
    let mut random = Random(6);
    let keys = vec![problem(&gateway, 1, 1, &mut random, START)];
    while gateway.outbox.open() > 0 {
        bed.world().advance(gateway.next);
        bed.tick(&mut gateway, &mut random);
    }
    check(6, &bed, std::slice::from_ref(&gateway), &keys);
    let world = bed.world();
    assert!(world.issues[0].labels.is_empty());
    let waited = world.issues[0].created_at.since(START);
    assert!(waited < s(1_200), "{waited:?}");
}

/// A label that there is not yet filters nothing at Gitea: what else stands there, however much, is not read for it.
#[test]
fn gitea_with_many_issues_of_others_is_told_at_once() {
    let bed = Bed::at(Dialect::Gitea, 8);
    for number in 1..=200 {
        bed.world().issues.push(Issue {
            number,
            title: "of somebody".to_owned(),
            body: String::new(),
            labels: Vec::new(),
            state: "open".to_owned(),
            created_at: START,
            closed_at: None,
            comments: Vec::new(),
        });
    }
    let mut gateway = bed.gateway("gateway-a");
    let key = delivery_key("gateway-a", "f", 1);
    let payload = json!({ "title": "t", "body": "it broke" }).to_string();
    let (create, error) = (Operation::Create, Severity::Error);
    gateway.outbox.push(1, create, &payload, &key, error, START);
    let mut random = Random(8);
    while gateway.outbox.open() > 0 {
        assert!(bed.world().requests <= 12, "it reads what others wrote");
        bed.world().advance(gateway.next);
        bed.tick(&mut gateway, &mut random);
    }
    let world = bed.world();
    assert_eq!(world.issues.len(), 201);
    assert!(world.now.since(START) < s(10));
}

const fn first() -> OutboxId {
    OutboxId::from_number(1)
}

/// What a log says cannot close the issue, even where it seems to end the block that it stands in.
#[test]
fn a_log_line_gives_gitlab_no_command() {
    let bed = Bed::at(Dialect::GitLab, 4);
    let mut random = Random(4);
    let mut gateway = bed.gateway("gateway-a");
    let key = delivery_key("gateway-a", "f", 1);
    let text = "```text\n```\n/close\n/assign @ann\n/opt/app/run\n```\n";
    let create = json!({ "title": "/close", "body": text }).to_string();
    let again = json!({ "body": text }).to_string();
    for (operation, payload) in [(Operation::Create, &create), (Operation::Comment, &again)] {
        gateway
            .outbox
            .push(1, operation, payload, &key, Severity::Error, START);
    }
    while gateway.outbox.open() > 0 {
        bed.world().advance(gateway.next);
        bed.tick(&mut gateway, &mut random);
    }
    let world = bed.world();
    assert!(world.issues[0].body.contains("\n\u{200b}/close\n"));
    assert!(world.issues[0].body.contains("\n/opt/app/run\n"));
    assert!(world.issues[0].comments[0].contains("\n\u{200b}/close\n"));
}

/// A task that was told elsewhere: it has no number here, and gets one issue, whatever happens on the way.
#[test]
fn what_comes_back_without_a_number_is_opened_once() {
    for (dialect, seed) in FORGES
        .iter()
        .flat_map(|forge| (0..20).map(|seed| (*forge, seed)))
    {
        let bed = Bed::at(dialect, seed);
        bed.world().fault_percent = 40;
        let mut random = Random(seed);
        let mut gateway = bed.gateway("gateway-a");
        let key = delivery_key("gateway-a", "f", 1);
        let again = json!({ "title": "again", "body": "it broke" }).to_string();
        gateway
            .outbox
            .push(1, Operation::Reopen, &again, &key, Severity::Error, START);
        let mut steps = 0;
        while gateway.outbox.open() > 0 {
            steps += 1;
            assert!(steps < 10_000, "seed {seed}: {:?}", open_rows(&gateway));
            bed.world().advance(gateway.next);
            bed.tick(&mut gateway, &mut random);
        }
        let end = bed.world().now.plus(s(120));
        bed.world().advance(end);
        assert_eq!(bed.world().issues.len(), 1, "{dialect:?}, seed {seed}");
    }
}
