//! One hostile finding through everything that a human gets.
#![allow(clippy::unwrap_used)]

use crate::core::model::id::OutboxId;
use crate::core::model::sorted::SortedMap;
use std::time::Duration;

use super::alert::{Speaker, alerts};
use super::delivery::{Delivery, Operation, Payload, State};
use super::guidance::Guidance;
use super::issue::{self, Asked, AttemptLine, Citation, IssueFacts, Rendered};
use super::metrics::{self, Metric};
use super::next_steps::next_steps;
use super::{chat, mail, notice::Notice};
use crate::core::model::action::ActionKind;
use crate::core::model::cause::Cause;
use crate::core::model::inert::{HOSTILE, is_active};
use crate::core::model::proposal::{Proposal, Terms};
use crate::core::model::task::{Outcome, Resolution, Task};

/// The example with hostile text wherever text can stand.
fn hostile() -> (Task, Rendered) {
    let (mut task, _) = issue::tests::example();
    let text = || HOSTILE.to_owned();
    task.subject = text();
    task.message = text();
    task.cause = Some(text());
    task.acknowledged_by = Some(text());
    task.evidence.set("log", text());
    task.evidence.set(HOSTILE, text());
    let attempt = AttemptLine {
        at: task.detected_at,
        phase: 1,
        action: text(),
        outcome: Some(Outcome::Failed),
        message: format!("{HOSTILE} {HOSTILE}").replace('\n', " "),
    };
    let snippet = Citation {
        source: text(),
        first_line: 1,
        last_line: 2,
        text: text(),
    };
    let action = Proposal {
        kind: ActionKind::PathDropIn,
        command: Some(text()),
        text: text(),
        terms: Terms::undone_by(HOSTILE).with(HOSTILE, HOSTILE),
    };
    let rendered = issue::render(&IssueFacts {
        host: HOSTILE,
        gateway_id: HOSTILE,
        task: &task,
        attempts: &[attempt],
        cause: &HOSTILE.replace('\n', " "),
        guidance: Guidance::of(Cause::Unknown),
        steps: &next_steps(Cause::PathMissing, &task.finding(), "", &[]),
        snippets: &[snippet],
        reason: HOSTILE,
        again: None,
        case: None,
        proposed: Some(Asked {
            action: &action,
            by_name: true,
            held_back: false,
        }),
        replies: true,
        audit_head: HOSTILE,
        version: "0.1.0",
    });
    (task, rendered)
}

/// What Markdown shows as words: neither fences nor inline code.
fn words(markdown: &str) -> String {
    let (mut words, mut width) = (String::new(), 0);
    for line in markdown.lines() {
        let ticks = line.bytes().take_while(|byte| *byte == b'`').count();
        match width {
            0 if ticks >= 3 => width = ticks,
            0 => words.extend(line.split('`').step_by(2)),
            _ if ticks >= width && line.len() == ticks => width = 0,
            _ => {}
        }
        words.push('\n');
    }
    assert_eq!(width, 0, "a fence is open: {markdown}");
    words
}

fn assert_quiet(what: &str, text: &str) {
    let active: Vec<char> = text
        .chars()
        .filter(|c| is_active(*c) && *c != '\n')
        .collect();
    assert!(active.is_empty(), "{what}: {active:?} in {text:?}");
}

fn assert_dead(what: &str, markdown: &str) {
    assert_quiet(what, markdown);
    let words = words(markdown);
    for alive in [
        "@octocat",
        "#1",
        "GH-2",
        "](",
        "://evil",
        "www.evil",
        "<script",
        "</textarea",
    ] {
        assert!(!words.contains(alive), "{what}: {alive} in {words}");
    }
}

#[test]
fn a_hostile_finding_is_dead_in_an_issue() {
    let (task, rendered) = hostile();
    assert_eq!(rendered.title.lines().count(), 1);
    assert_quiet("title", &rendered.title);
    assert_dead("body", &rendered.body);
    let start = "<!-- autonomous-orchestrator:status -->";
    assert_eq!(rendered.body.matches(start).count(), 1);
    assert_dead("status", &rendered.status);
    assert_dead("comment", &issue::recurrence_comment(&task, HOSTILE));
    let closing = issue::closing_comment(Resolution::Fixed, HOSTILE, task.detected_at);
    assert_dead("closing comment", &closing);
}

#[test]
fn a_hostile_finding_is_dead_in_alerts_webhooks_and_metrics() {
    let (task, rendered) = hostile();
    let labels = SortedMap::from([(HOSTILE.to_owned(), HOSTILE.to_owned())]);
    let speaker = Speaker {
        gateway: HOSTILE,
        site: HOSTILE,
        labels: &labels,
        resend: Duration::from_secs(60),
        wall: None,
    };
    for alert in alerts(std::slice::from_ref(&task), &speaker, task.detected_at) {
        for (name, value) in alert.labels.iter().chain(&alert.annotations) {
            assert!(!value.contains('\n'), "{value:?}");
            assert_quiet(name, value);
        }
    }
    let payload = Payload {
        title: HOSTILE.to_owned(),
        message: HOSTILE.to_owned(),
        facts: ["class", "subject", "cause", "message", "since"]
            .map(|name| (name.to_owned(), HOSTILE.to_owned()))
            .into(),
        ..Payload::default()
    };
    let delivery = Delivery {
        id: OutboxId::from_number(1),
        task_id: task.id,
        destination: "webhook".to_owned(),
        operation: Operation::Create,
        state: State::Pending,
        attempts: 0,
        payload: String::new(),
        delivery_key: "9e1b".repeat(16),
        issue_number: None,
        created_at: task.last_seen_at,
        next_at: task.last_seen_at,
        last_error: None,
        said_by: None,
        severity: task.severity,
    };
    let message = Notice::of(&delivery, &payload, "iac1");
    let to = ["ann@plant.example".to_owned()];
    for (name, text) in [
        ("plain text", message.plain(4_000)),
        ("slack", chat::slack(&message).to_string()),
        ("teams", chat::teams(&message).to_string()),
        ("ntfy", chat::ntfy(&message, "t").to_string()),
        ("telegram", chat::telegram(&message, "1", &[]).to_string()),
        (
            "mail",
            mail::compose(&message, "gw@plant.example", &to, "5f0c", task.last_seen_at)
                .replace("\r\n", "\n"),
        ),
    ] {
        assert_quiet(name, &text);
    }
    let document = message.document();
    for (name, value) in document.as_object().unwrap() {
        assert_quiet(name, value.as_str().unwrap_or(""));
    }
    assert_quiet("webhook title", &rendered.title);
    let text = metrics::render(&[Metric {
        name: "tasks",
        help: HOSTILE,
        samples: vec![(vec![("unit", HOSTILE.to_owned())], 1.0)],
    }]);
    assert_quiet("metrics", &text);
    assert_eq!(text.lines().count(), 3, "{text}");
}
