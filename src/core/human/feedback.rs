//! What a human says on an issue: closing it, or one of four labels. Pure.
//!
//! Only events count, since they tell who did it; only logins that the operator listed are heard.

use std::fmt;
use std::time::Duration;

use serde::Deserialize;
use serde_json::Value;

use crate::core::model::id::IssueEventId;
use crate::core::model::proposal::Digest;
use crate::core::model::time::Timestamp;

/// What labels begin with that ask for something.
const PREFIX: &str = "orchestrator:";

/// What follows the name of a label that allows one action by its digest.
const APPROVE: &str = "approve";

/// The label that allows an action: by name where its issue has shown another one before.
pub fn approving_label(action: &Digest, by_name: bool) -> String {
    match by_name {
        true => format!("{PREFIX}{APPROVE}-{}", action.short()),
        false => format!("{PREFIX}{APPROVE}"),
    }
}

/// What a human wants.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Wish {
    /// The issue was closed.
    Close {
        not_a_fault: bool,
    },
    Acknowledge,
    Snooze,
    Retry,
    /// Allows the action that the issue proposes, where the mode is `suggest`; it never widens a mode. The label
    /// may name which.
    Approve(Option<String>),
}

impl Wish {
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::Close { .. } => "close",
            Self::Acknowledge => "ack",
            Self::Snooze => "snooze",
            Self::Retry => "retry",
            Self::Approve(_) => APPROVE,
        }
    }

    fn of_label(label: &str) -> Option<Self> {
        match label.strip_prefix(PREFIX)? {
            "ack" => Some(Self::Acknowledge),
            "snooze" => Some(Self::Snooze),
            "retry" => Some(Self::Retry),
            APPROVE => Some(Self::Approve(None)),
            other => {
                let digest = other.strip_prefix(APPROVE)?.strip_prefix('-')?;
                Some(Self::Approve(Some(digest.to_owned())))
            }
        }
    }
}

/// An event of an issue, as far as it matters.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct IssueEvent {
    pub id: IssueEventId,
    pub event: String,
    /// `null` for an account that is gone.
    pub actor: Option<Actor>,
    pub label: Option<EventLabel>,
    pub state_reason: Option<Value>,
    /// By the server's clock.
    pub created_at: Option<String>,
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
    /// By the server's clock; `None` where the event does not say.
    pub at: Option<Timestamp>,
}

/// What an approval on an issue is held against. All times are by the server's clock: ours may have been wrong.
#[derive(Clone, Debug)]
pub struct ApprovalBasis<'a> {
    /// What is proposed now.
    pub action: Option<&'a Digest>,
    /// Since when the issue shows it, as far as that is certain.
    pub shown_since: Option<Timestamp>,
    /// The issue has shown another action before.
    pub by_name: bool,
    /// The last restore of the store.
    pub restored: Option<Timestamp>,
    pub now: Timestamp,
    /// So long an approval lives.
    pub lives: Duration,
}

/// Why what was said on an issue counts for nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Void {
    NothingProposed,
    /// The label names another action: which, and what is proposed.
    OfAnother(String, Digest),
    /// The issue has shown more than one action, and the label does not say which.
    NotNamed(Digest),
    /// The event does not say when it was.
    Undated,
    /// The issue did not show yet what it answers: when the event was.
    BeforeShown(Timestamp),
    /// Said before the store was restored: when the event was.
    BeforeRestore(Timestamp),
    /// Older than an approval lives: when the event was.
    Expired(Timestamp),
}

impl fmt::Display for Void {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NothingProposed => f.write_str("the task proposes no action"),
            Self::OfAnother(named, action) => write!(
                f,
                "it names {named}, what is proposed is {}",
                action.short()
            ),
            Self::NotNamed(action) => write!(
                f,
                "the issue has shown more than one action: set {}",
                approving_label(action, true)
            ),
            Self::Undated => f.write_str("it does not say when it was made"),
            Self::BeforeShown(at) => {
                write!(f, "made at {at}, before the issue showed what it answers")
            }
            Self::BeforeRestore(at) => write!(f, "made at {at}, before the restore"),
            Self::Expired(at) => write!(f, "made at {at}, longer ago than an approval lives"),
        }
    }
}

/// Does an approval, whose label names `named`, allow what is proposed now? Answers which action, and how long the
/// leave still lives.
pub fn allows(
    named: Option<&str>,
    at: Option<Timestamp>,
    standing: &ApprovalBasis<'_>,
) -> Result<(Digest, Duration), Void> {
    let action = standing.action.ok_or(Void::NothingProposed)?;
    match named {
        Some(named) if !action.is_meant_by(named) => {
            return Err(Void::OfAnother(named.to_owned(), action.clone()));
        }
        None if standing.by_name => return Err(Void::NotNamed(action.clone())),
        Some(_) | None => {}
    }
    let at = still_means(at, standing.shown_since, standing.restored)?;
    let age = standing.now.since(at);
    let left = standing
        .lives
        .checked_sub(age)
        .filter(|left| !left.is_zero());
    Ok((action.clone(), left.ok_or(Void::Expired(at))?))
}

/// When something was said on an issue, if it means what the issue showed since `shown`, and not a state before a restore.
pub fn still_means(
    at: Option<Timestamp>,
    shown: Option<Timestamp>,
    restored: Option<Timestamp>,
) -> Result<Timestamp, Void> {
    let at = at.ok_or(Void::Undated)?;
    // Times of events are whole seconds.
    let second = |at: Timestamp| at.as_millis().div_euclid(1_000);
    if restored.is_some_and(|restored| second(at) <= second(restored)) {
        return Err(Void::BeforeRestore(at));
    }
    if shown.is_none_or(|shown| second(at) < second(shown)) {
        return Err(Void::BeforeShown(at));
    }
    Ok(at)
}

/// Wishes of those who may have some, in order, of the events after `after`; and the newest event's id.
/// What others wish is returned apart, so that it can be written down.
pub fn heard(
    events: &[IssueEvent],
    allowed: &[String],
    after: IssueEventId,
) -> (Vec<Feedback>, Vec<Feedback>, IssueEventId) {
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
    let at = event.created_at.as_deref().and_then(|at| at.parse().ok());
    (!login.is_empty()).then_some(Feedback { login, wish, at })
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
        let (listed, others, last) = heard(&events, &allowed, IssueEventId::from_number(4));
        let wishes: Vec<Wish> = listed.into_iter().map(|one| one.wish).collect();
        assert_eq!(wishes, [Wish::Acknowledge, Wish::Retry]);
        assert_eq!(others.first().unwrap().login, "eve");
        assert_eq!(last, IssueEventId::from_number(10));
        let (listed, ..) = heard(&events, &allowed, IssueEventId::default());
        assert_eq!(
            listed.first().unwrap().wish,
            Wish::Close { not_a_fault: true }
        );
        assert!(heard(&events, &[], IssueEventId::default()).0.is_empty());
    }

    fn digest(digit: &str) -> Digest {
        digit.repeat(64).parse().unwrap()
    }

    const SHOWN: Timestamp = Timestamp::from_millis(1_800_000_000_400);
    const LIVES: Duration = Duration::from_secs(3_600);

    fn after_shown(seconds: i64) -> Timestamp {
        Timestamp::from_millis(SHOWN.as_millis() - 400 + seconds * 1_000)
    }

    #[test]
    fn a_label_names_its_action_where_it_must() {
        for (label, want) in [
            ("orchestrator:approve", Some(Wish::Approve(None))),
            (
                "orchestrator:approve-aaaaaaaaaaaa",
                Some(Wish::Approve(Some("aaaaaaaaaaaa".to_owned()))),
            ),
            (
                "orchestrator:approve-",
                Some(Wish::Approve(Some(String::new()))),
            ),
            ("orchestrator:approved", None),
            ("orchestrator:approveaaaaaaaaaaaa", None),
            ("approve", None),
        ] {
            assert_eq!(Wish::of_label(label), want, "{label}");
        }
        let a = digest("a");
        for by_name in [true, false] {
            let label = approving_label(&a, by_name);
            assert!(label.len() <= 50, "GitHub takes no longer one: {label}");
            assert!(matches!(
                Wish::of_label(&label),
                Some(Wish::Approve(named)) if named.is_some() == by_name
            ));
        }
    }

    #[test]
    fn an_approval_is_of_what_stood_in_the_issue_when_it_was_made() {
        let (a, b) = (digest("a"), digest("b"));
        let standing = ApprovalBasis {
            action: Some(&a),
            shown_since: Some(SHOWN),
            by_name: false,
            restored: None,
            now: after_shown(600),
            lives: LIVES,
        };
        let named = |one: &Digest| Some(one.short().to_owned());
        let at = |seconds| Some(after_shown(seconds));
        let left = |seconds| Ok((a.clone(), Duration::from_secs(seconds)));
        let of_another = |named: &str| Err(Void::OfAnother(named.to_owned(), a.clone()));
        type Change<'a> = fn(&mut ApprovalBasis<'a>);
        let as_is: Change<'_> = |_| {};
        let rows = [
            ("the one that stands", None, at(60), as_is, left(3_060)),
            ("by its name", named(&a), at(60), as_is, left(3_060)),
            (
                "another one's name",
                named(&b),
                at(60),
                as_is,
                of_another("bbbbbbbbbbbb"),
            ),
            (
                "no more than its first digits",
                Some("aaaa".to_owned()),
                at(60),
                as_is,
                of_another("aaaa"),
            ),
            (
                "nothing is proposed",
                None,
                at(60),
                |s| s.action = None,
                Err(Void::NothingProposed),
            ),
            (
                "one of several, without its name",
                None,
                at(60),
                |s| s.by_name = true,
                Err(Void::NotNamed(a.clone())),
            ),
            (
                "one of several, by its name",
                named(&a),
                at(60),
                |s| s.by_name = true,
                left(3_060),
            ),
            ("undated", None, None, as_is, Err(Void::Undated)),
            (
                "in the second it was shown",
                None,
                at(0),
                as_is,
                left(3_000),
            ),
            (
                "a second before",
                None,
                at(-1),
                as_is,
                Err(Void::BeforeShown(after_shown(-1))),
            ),
            (
                "of 2020",
                named(&a),
                "2020-01-01T00:00:00Z".parse().ok(),
                as_is,
                Err(Void::BeforeShown(
                    "2020-01-01 00:00:00.000".parse().unwrap(),
                )),
            ),
            (
                "not known to be shown",
                named(&a),
                at(60),
                |s| s.shown_since = None,
                Err(Void::BeforeShown(after_shown(60))),
            ),
            (
                "in the last second of its life",
                None,
                at(60),
                |s| s.now = after_shown(3_659),
                left(1),
            ),
            (
                "its life is over",
                None,
                at(60),
                |s| s.now = after_shown(3_660),
                Err(Void::Expired(after_shown(60))),
            ),
            (
                "before a restore",
                named(&a),
                at(60),
                |s| s.restored = Some(after_shown(60)),
                Err(Void::BeforeRestore(after_shown(60))),
            ),
            (
                "after a restore",
                None,
                at(60),
                |s| s.restored = Some(after_shown(59)),
                left(3_060),
            ),
        ];
        for (name, named, at, change, want) in rows {
            let mut standing = standing.clone();
            change(&mut standing);
            assert_eq!(allows(named.as_deref(), at, &standing), want, "{name}");
        }
    }
}
