//! Where the servers of issues differ: paths, queries, and the fields of what is written. Pure.
//!
//! Written against GitHub's REST API 2022-11-28, Gitea's and Forgejo's API v1, GitLab's API v4.

use serde_json::{Map, Value, json};

use crate::core::human::issue::without_commands;
use crate::core::model::id::IssueNumber;
use crate::core::model::time::Timestamp;
use crate::escalation::http::{Verb, encode};

/// Whose API is spoken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Vendor {
    GitHub,
    /// Forgejo too.
    Gitea,
    GitLab,
}

/// An issue to open.
#[derive(Clone, Debug)]
pub struct NewIssue {
    pub title: String,
    pub body: String,
    pub labels: Vec<String>,
    pub assignees: Vec<String>,
    /// GitLab: seen by members of the project alone.
    pub confidential: bool,
}

/// What becomes of an issue that is there.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Change {
    pub state: Option<NewState>,
    pub body: Option<String>,
}

/// Open, or closed for a reason.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NewState {
    Open,
    Done,
    /// There was nothing to do.
    NotPlanned,
}

impl Vendor {
    pub const fn name(self) -> &'static str {
        match self {
            Self::GitHub => "GitHub",
            Self::Gitea => "Gitea",
            Self::GitLab => "GitLab",
        }
    }

    /// What holds the issues.
    pub const fn noun(self) -> &'static str {
        match self {
            Self::GitHub | Self::Gitea => "repository",
            Self::GitLab => "project",
        }
    }

    /// What the token must be allowed.
    pub const fn right(self) -> &'static str {
        match self {
            Self::GitHub => "'Issues: write'",
            Self::Gitea => "'write:issue' and 'read:repository'",
            Self::GitLab => "the scope 'api' and the role Reporter",
        }
    }

    /// Base of all calls, from what is configured.
    pub fn base(self, url: &str) -> String {
        let url = url.trim_end_matches('/');
        match self {
            Self::GitHub => url.to_owned(),
            Self::Gitea => format!("{url}/api/v1"),
            Self::GitLab => format!("{url}/api/v4"),
        }
    }

    pub fn project(self, project: &str) -> String {
        match self {
            Self::GitHub | Self::Gitea => format!("/repos/{project}"),
            Self::GitLab => format!("/projects/{}", encode(project)),
        }
    }

    /// Query of the issues with a label, the newest first.
    pub fn by_label(self, label: &str) -> String {
        let label = encode(label);
        match self {
            Self::GitHub => format!("labels={label}&state=all&sort=created&direction=desc"),
            Self::Gitea => format!("labels={label}&state=all&type=issues"),
            Self::GitLab => {
                format!("labels={label}&state=all&scope=all&order_by=created_at&sort=desc")
            }
        }
    }

    /// Query of what the token's user opened (GitLab) or what changed (the others) since then, the newest first.
    pub fn by_creator(self, login: Option<&str>, since: Timestamp) -> String {
        let since = encode(&iso(since));
        let of =
            |key: &str| login.map_or(String::new(), |login| format!("&{key}={}", encode(login)));
        match self {
            Self::GitHub => {
                let creator = of("creator");
                format!("state=all&sort=created&direction=desc&since={since}{creator}")
            }
            Self::Gitea => format!("state=all&type=issues&since={since}{}", of("created_by")),
            Self::GitLab => {
                format!(
                    "state=all&scope=created_by_me&order_by=created_at&sort=desc&created_after={since}"
                )
            }
        }
    }

    /// Path of the comments of an issue below the project.
    pub fn comments(self, number: IssueNumber) -> String {
        match self {
            Self::GitHub | Self::Gitea => format!("/issues/{number}/comments"),
            Self::GitLab => format!("/issues/{number}/notes"),
        }
    }

    /// Query of the comments since then, as far as they can be asked for so.
    pub fn comments_since(self, since: Timestamp) -> String {
        match self {
            Self::GitHub | Self::Gitea => format!("since={}", encode(&iso(since))),
            Self::GitLab => "sort=desc&order_by=created_at".to_owned(),
        }
    }

    /// One page of a listing.
    pub fn page(self, size: u32, page: u32) -> String {
        match self {
            Self::GitHub | Self::GitLab => format!("per_page={size}&page={page}"),
            Self::Gitea => format!("limit={size}&page={page}"),
        }
    }

    /// Gitea answers with all comments at once.
    pub const fn pages_comments(self) -> bool {
        !matches!(self, Self::Gitea)
    }

    /// Gitea lists everything where there is no such label.
    pub const fn may_ignore_label(self) -> bool {
        matches!(self, Self::Gitea)
    }

    pub const fn change_verb(self) -> Verb {
        match self {
            Self::GitHub | Self::Gitea => Verb::Patch,
            Self::GitLab => Verb::Put,
        }
    }

    /// Text as it may be sent: at GitLab a line can be a command that the token's user gives.
    pub fn inert(self, text: &str) -> String {
        match self {
            Self::GitHub | Self::Gitea => text.to_owned(),
            Self::GitLab => without_commands(text),
        }
    }

    /// The new issue, with the numbers that its labels (Gitea) or assignees (GitLab) have; a name without is left out.
    pub fn new_issue(self, issue: &NewIssue, number: &dyn Fn(&str) -> Option<i64>) -> Value {
        let numbers = |names: &[String]| -> Vec<i64> {
            names.iter().filter_map(|name| number(name)).collect()
        };
        let body = self.inert(&issue.body);
        let mut fields = match self {
            Self::GitHub => {
                json!({ "title": issue.title, "body": body, "labels": issue.labels })
            }
            Self::Gitea => {
                json!({ "title": issue.title, "body": body, "labels": numbers(&issue.labels) })
            }
            Self::GitLab => json!({
                "title": issue.title,
                "description": body,
                "labels": issue.labels.join(","),
                "confidential": issue.confidential,
            }),
        };
        if let Some(fields) = fields
            .as_object_mut()
            .filter(|_| !issue.assignees.is_empty())
        {
            match self {
                Self::GitHub | Self::Gitea => {
                    fields.insert("assignees".to_owned(), json!(issue.assignees));
                }
                Self::GitLab => {
                    let ids = json!(numbers(&issue.assignees));
                    fields.insert("assignee_ids".to_owned(), ids);
                }
            }
        }
        fields
    }

    pub fn change(self, change: &Change) -> Value {
        let mut fields = Map::new();
        let mut set = |key: &str, value: &str| fields.insert(key.to_owned(), json!(value));
        match (self, change.state) {
            (_, None) => {}
            (Self::GitLab, Some(NewState::Open)) => {
                set("state_event", "reopen");
            }
            (Self::GitLab, Some(NewState::Done | NewState::NotPlanned)) => {
                set("state_event", "close");
            }
            (Self::GitHub | Self::Gitea, Some(NewState::Open)) => {
                set("state", "open");
            }
            (Self::Gitea, Some(NewState::Done | NewState::NotPlanned)) => {
                set("state", "closed");
            }
            (Self::GitHub, Some(state @ (NewState::Done | NewState::NotPlanned))) => {
                set("state", "closed");
                let is_done = state == NewState::Done;
                set(
                    "state_reason",
                    if is_done { "completed" } else { "not_planned" },
                );
            }
        }
        if let Some(body) = &change.body {
            let key = match self {
                Self::GitHub | Self::Gitea => "body",
                Self::GitLab => "description",
            };
            set(key, &self.inert(body));
        }
        Value::Object(fields)
    }
}

/// `YYYY-MM-DDTHH:MM:SSZ`, the form the servers take.
fn iso(at: Timestamp) -> String {
    let text = at.to_string().replacen(' ', "T", 1);
    format!("{}Z", text.get(..19).unwrap_or(&text))
}

/// A server's time, which may be that of its own zone: `2026-03-01T12:00:00+01:00`.
pub fn moment(text: &str) -> Option<Timestamp> {
    let zone = text.get(19..).and_then(|rest| rest.find(['+', '-']));
    let Some(zone) = zone else {
        return text.parse().ok();
    };
    let (local, zone) = text.split_at_checked(19 + zone)?;
    let (hours, minutes) = zone.get(1..)?.split_once(':')?;
    let (hours, minutes): (i64, i64) = (hours.parse().ok()?, minutes.parse().ok()?);
    let ahead = (hours * 60 + minutes) * 60_000;
    let ahead = if zone.starts_with('-') { -ahead } else { ahead };
    let local: Timestamp = local.parse().ok()?;
    Some(Timestamp::from_millis(
        local.as_millis().saturating_sub(ahead),
    ))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_time_with_a_zone_is_the_same_moment() {
        let at: Timestamp = "2026-03-01 11:00:00".parse().unwrap();
        for text in [
            "2026-03-01T11:00:00Z",
            "2026-03-01T11:00:00.000Z",
            "2026-03-01T12:00:00+01:00",
            "2026-03-01T05:30:00.000-05:30",
        ] {
            assert_eq!(moment(text), Some(at), "{text}");
        }
        for text in [
            "",
            "2026-03-01",
            "2026-03-01T12:00:00+1",
            "2026-03-01T12:00:0é+01:00",
        ] {
            assert_eq!(moment(text), None, "{text}");
        }
    }

    #[test]
    fn each_server_hears_its_own_words() {
        let issue = NewIssue {
            title: "t".to_owned(),
            body: "/close\nb".to_owned(),
            labels: vec!["ao-1".to_owned(), "gw".to_owned()],
            assignees: vec!["ann".to_owned()],
            confidential: true,
        };
        let number = |name: &str| (name != "gw").then_some(7);
        let told = |vendor: Vendor| vendor.new_issue(&issue, &number).to_string();
        assert_eq!(
            told(Vendor::GitHub),
            r#"{"assignees":["ann"],"body":"/close\nb","labels":["ao-1","gw"],"title":"t"}"#
        );
        assert_eq!(
            told(Vendor::Gitea),
            r#"{"assignees":["ann"],"body":"/close\nb","labels":[7],"title":"t"}"#
        );
        assert_eq!(
            told(Vendor::GitLab),
            "{\"assignee_ids\":[7],\"confidential\":true,\"description\":\"\u{200b}/close\\nb\",\"labels\":\"ao-1,gw\",\"title\":\"t\"}"
        );
        let change = Change {
            state: Some(NewState::NotPlanned),
            body: Some("b".to_owned()),
        };
        for (vendor, want) in [
            (
                Vendor::GitHub,
                r#"{"body":"b","state":"closed","state_reason":"not_planned"}"#,
            ),
            (Vendor::Gitea, r#"{"body":"b","state":"closed"}"#),
            (
                Vendor::GitLab,
                r#"{"description":"b","state_event":"close"}"#,
            ),
        ] {
            assert_eq!(vendor.change(&change).to_string(), want);
        }
        assert_eq!(Vendor::GitLab.project("a/b/c"), "/projects/a%2Fb%2Fc");
    }
}
