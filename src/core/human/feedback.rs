//! What a human says on an issue: closing it, or one of four labels. Pure.
//!
//! Only events count, since they tell who did it; only logins that the operator listed are heard.

use serde::Deserialize;
use serde_json::Value;

/// What labels begin with that ask for something.
const PREFIX: &str = "orchestrator:";

/// What a human wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wish {
    /// The issue was closed.
    Close {
        not_a_fault: bool,
    },
    Acknowledge,
    Snooze,
    Retry,
    /// Allows the action that the issue proposes, where the mode is `suggest`; it never widens a mode.
    Approve,
}

impl Wish {
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Close { .. } => "close",
            Self::Acknowledge => "ack",
            Self::Snooze => "snooze",
            Self::Retry => "retry",
            Self::Approve => "approve",
        }
    }

    fn of_label(label: &str) -> Option<Self> {
        match label.strip_prefix(PREFIX)? {
            "ack" => Some(Self::Acknowledge),
            "snooze" => Some(Self::Snooze),
            "retry" => Some(Self::Retry),
            "approve" => Some(Self::Approve),
            _ => None,
        }
    }
}

/// An event of an issue, as far as it matters.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct IssueEvent {
    pub id: i64,
    pub event: String,
    /// `null` for an account that is gone.
    pub actor: Option<Actor>,
    pub label: Option<EventLabel>,
    pub state_reason: Option<Value>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct Actor {
    pub login: String,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct EventLabel {
    pub name: Option<String>,
}

/// A wish and whose it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Feedback {
    pub login: String,
    pub wish: Wish,
}

/// Wishes of those who may have some, in order, of the events after `after`; and the newest event's id.
/// What others wish is returned apart, so that it can be written down.
pub fn heard(
    events: &[IssueEvent],
    allowed: &[String],
    after: i64,
) -> (Vec<Feedback>, Vec<Feedback>, i64) {
    let mut sorted: Vec<&IssueEvent> = events.iter().filter(|event| event.id > after).collect();
    sorted.sort_by_key(|event| event.id);
    let last = sorted.last().map_or(after, |event| event.id);
    let (listed, others) = sorted
        .into_iter()
        .filter_map(feedback)
        .partition(|one: &Feedback| {
            allowed
                .iter()
                .any(|login| login.eq_ignore_ascii_case(&one.login))
        });
    (listed, others, last)
}

fn feedback(event: &IssueEvent) -> Option<Feedback> {
    let wish = match event.event.as_str() {
        "closed" => Wish::Close {
            not_a_fault: event.state_reason.as_ref().and_then(Value::as_str) == Some("not_planned"),
        },
        "labeled" => Wish::of_label(event.label.as_ref()?.name.as_deref()?)?,
        _ => return None,
    };
    let login = event.actor.as_ref()?.login.clone();
    (!login.is_empty()).then_some(Feedback { login, wish })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn only_listed_logins_and_new_events_count() {
        let events: Vec<IssueEvent> = serde_json::from_str(
            r#"[
            {"id": 9, "event": "labeled", "actor": {"login": "Ann"}, "label": {"name": "orchestrator:retry"}},
            {"id": 5, "event": "labeled", "actor": {"login": "ann"}, "label": {"name": "orchestrator:ack", "color": "0"}},
            {"id": 6, "event": "labeled", "actor": {"login": "eve"}, "label": {"name": "orchestrator:approve"}},
            {"id": 7, "event": "labeled", "actor": null, "label": {"name": "orchestrator:approve"}},
            {"id": 8, "event": "labeled", "actor": {"login": "ann"}, "label": {"name": "bug"}},
            {"id": 4, "event": "closed", "actor": {"login": "ann"}, "state_reason": "not_planned"},
            {"id": 10, "event": "unlabeled", "actor": {"login": "ann"}, "label": {"name": "orchestrator:ack"}},
            {"event": "closed"}]"#,
        )
        .unwrap();
        let allowed = ["ann".to_owned()];
        let (listed, others, last) = heard(&events, &allowed, 4);
        let wishes: Vec<Wish> = listed.iter().map(|one| one.wish).collect();
        assert_eq!(wishes, [Wish::Acknowledge, Wish::Retry]);
        assert_eq!(others.first().unwrap().login, "eve");
        assert_eq!(last, 10);
        let (listed, ..) = heard(&events, &allowed, 0);
        assert_eq!(
            listed.first().unwrap().wish,
            Wish::Close { not_a_fault: true }
        );
        assert!(heard(&events, &[], 0).0.is_empty());
    }
}
