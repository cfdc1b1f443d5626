//! Alerts for Prometheus Alertmanager (API v2): what a task looks like there. Pure.
//!
//! Labels are the identity and never change while the task lives; all that changes stands in annotations.

use std::time::Duration;

use serde::Serialize;

use crate::core::human::redact::Redactor;
use crate::core::model::inert;
use crate::core::model::sorted::SortedMap;
use crate::core::model::task::{Status, Task};
use crate::core::model::text::cut;
use crate::core::model::time::Timestamp;

/// An alert ends by itself after this many missed repeats.
pub const REPEATS_KEPT: u32 = 3;
/// A solved problem is told this long, so that a peer that was away hears of it.
pub const RESOLVED_FOR: Duration = Duration::from_secs(300);
/// Longest annotation, in bytes.
const ANNOTATION_CAP: usize = 2_000;

/// One alert as the API takes it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Alert {
    /// Names of `[a-zA-Z_][a-zA-Z0-9_]*`, values redacted, none empty, each at most 256 bytes.
    pub labels: SortedMap<String, String>,
    /// All that may change; redacted, none empty, each at most `ANNOTATION_CAP` bytes.
    pub annotations: SortedMap<String, String>,
    /// Empty where our clock is wrong: the peer takes its own.
    #[serde(rename = "startsAt", skip_serializing_if = "String::is_empty")]
    pub starts_at: String,
    /// Empty where our clock is wrong: the alert ends with the peer's `resolve_timeout`.
    #[serde(rename = "endsAt", skip_serializing_if = "String::is_empty")]
    pub ends_at: String,
    /// It says that its problem is solved.
    #[serde(skip)]
    pub over: bool,
}

/// Who speaks.
#[derive(Clone, Copy, Debug)]
pub struct Speaker<'a> {
    /// Name of this host among its peers.
    pub gateway: &'a str,
    /// Empty = none.
    pub site: &'a str,
    /// Further labels of the operator.
    pub labels: &'a SortedMap<String, String>,
    /// Time between repeats.
    pub resend: Duration,
    /// What the wall clock says at `now`; `None` = it is wrong. A board without a battery starts in 1970, and
    /// an alert of that year would be over before it began.
    pub wall: Option<Timestamp>,
}

impl Speaker<'_> {
    fn shown(&self, at: Timestamp, now: Timestamp) -> String {
        self.wall.map_or_else(String::new, |wall| {
            let shown = match at > now {
                true => wall.plus(at.since(now)),
                false => wall.minus(now.since(at)),
            };
            rfc3339(shown)
        })
    }
}

/// Alerts of tasks that were put before a human: until they are closed, and a while longer. One that the
/// gateway tries again by itself meanwhile goes on: it is not solved.
pub fn alerts(tasks: &[Task], speaker: &Speaker<'_>, now: Timestamp) -> Vec<Alert> {
    let redactor = Redactor::new();
    tasks
        .iter()
        .filter_map(|task| {
            let over = task.status == Status::Closed;
            let ends_at = match (task.status, task.closed_at) {
                (Status::Closed, Some(at)) if now.since(at) < RESOLVED_FOR => at.min(now),
                (Status::Closed, _) => return None,
                _ => now.plus(speaker.resend.saturating_mul(REPEATS_KEPT)),
            };
            // Without a time of its own, one that is over would fire again: it ends by itself instead.
            if over && speaker.wall.is_none() {
                return None;
            }
            Some(Alert {
                starts_at: speaker.shown(task.detected_at.min(ends_at), now),
                ends_at: speaker.shown(ends_at, now),
                over,
                ..alert(task, speaker, &redactor, now)
            })
        })
        .collect()
}

fn alert(task: &Task, speaker: &Speaker<'_>, redactor: &Redactor, now: Timestamp) -> Alert {
    let fingerprint = task.issue_hash.get(..16).unwrap_or(&task.issue_hash);
    let own = [
        ("alertname", task.class.as_str()),
        ("gateway", speaker.gateway),
        ("site", speaker.site),
        ("unit", task.subject.as_str()),
        ("severity", task.severity.as_str()),
        ("fp", fingerprint),
    ];
    // The operator's labels come first: they cannot replace the identity.
    let labels = speaker
        .labels
        .iter()
        .map(|(name, value)| (name.as_str(), value.as_str()))
        .chain(own)
        .map(|(name, value)| (label_name(name), clean(&redactor.redact(value), 256)))
        .filter(|(_, value)| !value.is_empty())
        .collect();
    let facts = [
        (
            "summary",
            task.cause.clone().unwrap_or_else(|| task.message.clone()),
        ),
        ("message", task.message.clone()),
        ("seen_count", task.seen_count.to_string()),
        ("last_seen", speaker.shown(task.last_seen_at, now)),
        ("task", task.id.to_string()),
        ("status", task.status.as_str().to_owned()),
        (
            "acknowledged_by",
            task.acknowledged_by.clone().unwrap_or_default(),
        ),
        (
            "issue",
            task.github_issue_number
                .map_or_else(String::new, |number| format!("#{number}")),
        ),
    ];
    let annotations = facts
        .into_iter()
        .map(|(name, value)| {
            (
                name.to_owned(),
                clean(&redactor.redact(&value), ANNOTATION_CAP),
            )
        })
        .filter(|(_, value)| !value.is_empty())
        .collect();
    Alert {
        labels,
        annotations,
        ..Alert::default()
    }
}

/// One bad name makes the whole batch fail: only `[a-zA-Z_][a-zA-Z0-9_]*` leaves.
pub fn label_name(name: &str) -> String {
    let mut out: String = name
        .chars()
        .map(|c| if c.is_ascii_alphanumeric() { c } else { '_' })
        .collect();
    if out.chars().next().is_none_or(|c| c.is_ascii_digit()) {
        out.insert(0, '_');
    }
    out
}

/// On one line, at most `cap` bytes.
fn clean(text: &str, cap: usize) -> String {
    cut(&inert::line(text.trim()), cap).to_owned()
}

fn rfc3339(at: Timestamp) -> String {
    at.to_string().replacen(' ', "T", 1) + "Z"
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::core::model::class::Class;
    use crate::core::model::id::IssueNumber;
    use crate::core::model::task::{Phase, Resolution};

    const NOW: Timestamp = Timestamp::from_millis(1_763_878_648_000);

    fn task(status: Status) -> Task {
        let found = NOW.minus(Duration::from_secs(90));
        Task {
            issue_hash: "ab".repeat(32),
            message: "failed: password=Hunter2".to_owned(),
            status,
            phase: Phase::Escalation,
            seen_count: 3,
            github_issue_number: Some(IssueNumber::from_number(12)),
            last_seen_at: NOW,
            ..Task::sample(4, Class::ServiceFailed, "bridge.service", found)
        }
    }

    fn speaker(labels: &SortedMap<String, String>) -> Speaker<'_> {
        Speaker {
            gateway: "iac1",
            site: "",
            labels,
            resend: Duration::from_secs(60),
            wall: Some(NOW),
        }
    }

    #[test]
    fn identity_is_stable_and_facts_are_annotations() {
        let labels = SortedMap::from([
            ("1-line\u{e9}".to_owned(), "x".to_owned()),
            ("gateway".to_owned(), "other".to_owned()),
        ]);
        let one = alerts(&[task(Status::Escalated)], &speaker(&labels), NOW);
        let mut later = task(Status::Escalated);
        later.seen_count = 99;
        later.last_seen_at = NOW.plus(Duration::from_secs(60));
        let two = alerts(
            &[later],
            &speaker(&labels),
            NOW.plus(Duration::from_secs(60)),
        );
        let (one, two) = (one.first().unwrap(), two.first().unwrap());
        assert_eq!(one.labels, two.labels);
        assert_ne!(one.annotations, two.annotations);
        assert_eq!(one.labels.get("gateway").unwrap(), "iac1");
        assert_eq!(one.labels.get("_1_line_").unwrap(), "x");
        assert!(
            !one.labels.contains_key("site"),
            "empty values are left out"
        );
        assert_eq!(one.ends_at, "2025-11-23T06:20:28.000Z");
        assert!(!serde_json::to_string(one).unwrap().contains("Hunter2"));
    }

    #[test]
    fn solved_ones_are_told_for_a_while() {
        let labels = SortedMap::new();
        let mut closed = task(Status::Closed);
        closed.resolution = Some(Resolution::Fixed);
        closed.closed_at = Some(NOW);
        let told = |after| {
            let at = NOW.plus(Duration::from_secs(after));
            let speaker = Speaker {
                wall: Some(at),
                ..speaker(&labels)
            };
            alerts(std::slice::from_ref(&closed), &speaker, at)
        };
        assert_eq!(
            told(10).first().unwrap().ends_at,
            "2025-11-23T06:17:28.000Z"
        );
        assert!(told(301).is_empty());
        let lost = Speaker {
            wall: None,
            ..speaker(&labels)
        };
        assert!(alerts(std::slice::from_ref(&closed), &lost, NOW).is_empty());
        let fires = alerts(&[task(Status::Escalated)], &lost, NOW);
        let text = serde_json::to_string(&fires).unwrap();
        assert!(!text.contains("endsAt"), "{text}");
        let again = alerts(&[task(Status::InProgress)], &speaker(&labels), NOW);
        assert_eq!(again.len(), 1, "a try of our own does not end it");
    }
}
