//! Gitea (Forgejo) and GitLab as the simulated server speaks them, held to what they publish: a field, a parameter or
//! a path that is not theirs ends the test.
//!
//! Gitea: labels by number; a listing by a label that there is not lists everything, one by a name that two labels
//! have wants both; at most three entries a page, with a `link` to the next; comments without pages; times in the
//! server's zone. GitLab: labels by name, assignees by number; notes of the system among those of users; a line that
//! is a command would be obeyed, which ends the test.

use std::collections::BTreeMap;

use autonomous_orchestrator::{Timestamp, Verb};
use serde_json::{Value, json};

use super::outbox::s;
use super::world::{Issue, World};

/// Whose API the server speaks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Dialect {
    #[default]
    GitHub,
    Gitea,
    GitLab,
}

/// Most entries of a page that this Gitea gives, whatever is asked for.
const GITEA_PAGE: usize = 3;
const USER: &str = "bot";
/// Number of the one user whom an issue can be given to.
const OPERATOR: i64 = 9;

pub fn handle(world: &mut World, verb: Verb, path: &str, body: &Value) -> (u16, Value) {
    let (path, query) = path.split_once('?').unwrap_or((path, ""));
    let query: BTreeMap<&str, String> = query
        .split('&')
        .filter_map(|pair| pair.split_once('='))
        .map(|(key, value)| (key, value.replace("%3A", ":")))
        .collect();
    world.has_next = false;
    match world.dialect {
        Dialect::GitHub => unreachable!("it has its own"),
        Dialect::Gitea => {
            let path = path.strip_prefix("/api/v1").expect("Gitea's base");
            gitea(world, verb, path, &query, body)
        }
        Dialect::GitLab => {
            let path = path.strip_prefix("/api/v4").expect("GitLab's base");
            gitlab(world, verb, path, &query, body)
        }
    }
}

fn only(what: &str, given: impl Iterator<Item = impl AsRef<str>>, known: &[&str]) {
    for key in given {
        let key = key.as_ref();
        assert!(known.contains(&key), "{what}: there is no {key}");
    }
}

fn asks(query: &BTreeMap<&str, String>, known: &[&str]) {
    only("query", query.keys(), known);
}

fn has(body: &Value, known: &[&str]) {
    only("body", body.as_object().unwrap().keys(), known);
}

fn text(value: &Value) -> String {
    value.as_str().expect("text").to_owned()
}

fn not_found() -> (u16, Value) {
    (404, json!({ "message": "404 Not found" }))
}

/// A page of what is there; notes whether there is a next one.
fn page(world: &mut World, all: &[Value], size: usize, page: &str) -> Value {
    let page: usize = page.parse().unwrap();
    world.has_next = all.len() > page * size;
    all.iter()
        .skip((page - 1) * size)
        .take(size)
        .cloned()
        .collect()
}

fn below<'a>(path: &'a str, project: &str) -> Vec<&'a str> {
    let path = path.strip_prefix(project).expect("the project's path");
    path.split('/').filter(|part| !part.is_empty()).collect()
}

fn newest_first(world: &World, keep: impl Fn(&Issue) -> bool) -> Vec<Issue> {
    let visible = world.now.minus(s(world.lag_s));
    let mut found: Vec<Issue> = world.issues.clone();
    found.retain(|issue| issue.created_at <= visible && keep(issue));
    found.reverse();
    found
}

fn opened(world: &mut World, title: String, body: String, labels: Vec<String>) -> Issue {
    let issue = Issue {
        number: world.issues.len() as i64 + 1,
        title,
        body,
        labels,
        state: "open".to_owned(),
        created_at: world.now,
        closed_at: None,
        comments: Vec::new(),
    };
    world.issues.push(issue.clone());
    issue
}

fn set_state(issue: &mut Issue, is_open: bool, now: Timestamp) {
    let was_open = issue.state == "open";
    issue.state = if is_open { "open" } else { "closed" }.to_owned();
    if was_open != is_open {
        issue.closed_at = (!is_open).then_some(now);
    }
}

fn since(query: &BTreeMap<&str, String>, key: &str) -> Option<Timestamp> {
    query.get(key).map(|text| text.parse().unwrap())
}

fn gitea(
    world: &mut World,
    verb: Verb,
    path: &str,
    query: &BTreeMap<&str, String>,
    body: &Value,
) -> (u16, Value) {
    if path == "/user" {
        return (200, json!({ "id": 1, "login": USER }));
    }
    let parts = below(path, "/repos/o/r");
    let writes = !world.drop_labels;
    match (verb, parts.as_slice()) {
        (Verb::Get, []) => (
            200,
            json!({
                "id": 1, "full_name": "o/r", "private": true, "internal": false, "archived": false, "has_issues": true,
                "permissions": { "admin": false, "push": writes, "pull": true },
            }),
        ),
        (Verb::Get, ["labels"]) => {
            asks(query, &["page", "limit"]);
            let mut labels = world.labels.clone();
            labels.sort_by(|a, b| a.1.cmp(&b.1));
            let shown =
                |(id, name): &(i64, String)| json!({ "id": id, "name": name, "color": "b60205" });
            let labels: Vec<Value> = labels.iter().map(shown).collect();
            (200, page(world, &labels, GITEA_PAGE, &query["page"]))
        }
        (Verb::Post, ["labels"]) => {
            has(
                body,
                &["name", "color", "description", "exclusive", "is_archived"],
            );
            if world.labels_broken {
                return (500, json!({ "message": "NewLabel" }));
            }
            if !writes {
                return (
                    403,
                    json!({ "message": "token does not have write access" }),
                );
            }
            let label = (world.labels.len() as i64 + 1, text(&body["name"]));
            assert!(body["color"].as_str().unwrap().starts_with('#'));
            world.labels.push(label.clone());
            (
                201,
                json!({ "id": label.0, "name": label.1, "color": "b60205" }),
            )
        }
        (Verb::Get, ["issues"]) => {
            asks(
                query,
                &[
                    "state",
                    "labels",
                    "type",
                    "since",
                    "created_by",
                    "page",
                    "limit",
                ],
            );
            assert_eq!(query["state"], "all");
            let wanted = query.get("labels");
            let wanted: Vec<String> = world
                .labels
                .iter()
                .filter(|(_, name)| wanted == Some(name))
                .map(|(id, _)| id.to_string())
                .collect();
            let since = since(query, "since");
            assert!(query.get("created_by").is_none_or(|user| user == USER));
            let found = newest_first(world, |issue| {
                wanted.iter().all(|id| issue.labels.contains(id))
                    && since.is_none_or(|since| issue.created_at >= since)
            });
            let found: Vec<Value> = found
                .iter()
                .map(|issue| gitea_issue(world, issue))
                .collect();
            (200, page(world, &found, GITEA_PAGE, &query["page"]))
        }
        (Verb::Post, ["issues"]) => {
            has(
                body,
                &[
                    "title",
                    "body",
                    "labels",
                    "assignees",
                    "closed",
                    "due_date",
                    "milestone",
                    "ref",
                ],
            );
            let labels: Vec<i64> = serde_json::from_value(body["labels"].clone()).unwrap();
            if writes && world.refuse_assignees && body.get("assignees").is_some() {
                return (
                    422,
                    json!({ "message": "Assignee does not exist: [name: operator]" }),
                );
            }
            let labels = labels
                .iter()
                .filter(|_| writes)
                .map(i64::to_string)
                .collect();
            let issue = opened(world, text(&body["title"]), text(&body["body"]), labels);
            (201, gitea_issue(world, &issue))
        }
        (_, ["issues", number, rest @ ..]) => {
            let (now, number): (_, i64) = (world.now, number.parse().unwrap());
            let found = world.issues.iter_mut().find(|issue| issue.number == number);
            let Some(issue) = found else {
                return not_found();
            };
            match (verb, rest) {
                (Verb::Get, []) => {}
                (Verb::Patch, []) => {
                    has(
                        body,
                        &[
                            "title",
                            "body",
                            "state",
                            "assignees",
                            "milestone",
                            "due_date",
                            "ref",
                        ],
                    );
                    if let Some(text) = body.get("body").and_then(Value::as_str) {
                        issue.body = text.to_owned();
                    }
                    if let Some(state) = body.get("state").and_then(Value::as_str) {
                        assert!(matches!(state, "open" | "closed"), "{state}");
                        set_state(issue, state == "open", now);
                    }
                    let issue = issue.clone();
                    return (201, gitea_issue(world, &issue));
                }
                (Verb::Get, ["comments"]) => {
                    // Pages may be asked for, and are not known.
                    asks(query, &["since", "before", "page", "limit"]);
                    let comments = issue
                        .comments
                        .iter()
                        .map(|text| json!({ "id": 1, "body": text }));
                    return (200, comments.collect());
                }
                (Verb::Post, ["comments"]) => {
                    has(body, &["body"]);
                    issue.comments.push(text(&body["body"]));
                    return (201, json!({ "id": 1 }));
                }
                _ => panic!("Gitea has no {verb:?} {path}"),
            }
            let issue = issue.clone();
            (200, gitea_issue(world, &issue))
        }
        _ => panic!("Gitea has no {verb:?} {path}"),
    }
}

fn gitea_issue(world: &World, issue: &Issue) -> Value {
    let labels = issue.labels.iter().map(|id| {
        let mut labels = world.labels.iter();
        let (id, name) = labels.find(|(known, _)| known.to_string() == *id).unwrap();
        json!({ "id": id, "name": name })
    });
    // An hour east of UTC.
    let zoned = |at: Timestamp| {
        let text = at.plus(s(3_600)).to_string().replace(' ', "T");
        format!("{}+01:00", text.get(..19).unwrap())
    };
    json!({
        "id": issue.number + 100, "number": issue.number, "title": issue.title, "body": issue.body,
        "html_url": format!("https://sim/o/r/issues/{}", issue.number),
        "url": format!("https://sim/api/v1/repos/o/r/issues/{}", issue.number),
        "user": { "id": 1, "login": USER }, "state": issue.state, "is_locked": false,
        "labels": labels.collect::<Vec<_>>(), "assignee": null, "assignees": null, "milestone": null,
        "created_at": zoned(issue.created_at), "closed_at": issue.closed_at.map(zoned),
        "comments": issue.comments.len(), "pull_request": null, "repository": { "full_name": "o/r" },
    })
}

/// A text as GitLab takes it: a line that is a command would be obeyed.
fn taken(value: &Value) -> String {
    let text = text(value);
    for line in text.lines() {
        let word = line.strip_prefix('/').unwrap_or("");
        let word = word.split([' ', '\r']).next().unwrap_or("");
        let is_command = matches!(word, "close" | "assign" | "label" | "confidential");
        assert!(!is_command, "obeyed: {line}");
    }
    text
}

fn gitlab(
    world: &mut World,
    verb: Verb,
    path: &str,
    query: &BTreeMap<&str, String>,
    body: &Value,
) -> (u16, Value) {
    if path == "/users" {
        asks(query, &["username"]);
        let there = query["username"] == "operator";
        let user = there.then(|| json!({ "id": OPERATOR, "username": "operator", "name": "Ann" }));
        return (200, user.into_iter().collect());
    }
    let parts = below(path, "/projects/o%2Fr");
    match (verb, parts.as_slice()) {
        (Verb::Get, []) => (
            200,
            json!({
                "id": 4, "path_with_namespace": "o/r", "visibility": "private", "archived": false,
                "issues_access_level": "enabled", "issues_enabled": true, "description": null,
                "permissions": { "project_access": { "access_level": 20 }, "group_access": null },
            }),
        ),
        (Verb::Get, ["issues"]) => {
            asks(
                query,
                &[
                    "state",
                    "labels",
                    "scope",
                    "order_by",
                    "sort",
                    "created_after",
                    "per_page",
                    "page",
                ],
            );
            assert_eq!(
                (query["order_by"].as_str(), query["sort"].as_str()),
                ("created_at", "desc")
            );
            assert!(matches!(query["scope"].as_str(), "all" | "created_by_me"));
            let label = query.get("labels");
            let since = since(query, "created_after");
            let found = newest_first(world, |issue| {
                label.is_none_or(|label| issue.labels.contains(label))
                    && since.is_none_or(|since| issue.created_at >= since)
            });
            let found: Vec<Value> = found.iter().map(gitlab_issue).collect();
            let size = query["per_page"].parse().unwrap();
            (200, page(world, &found, size, &query["page"]))
        }
        (Verb::Post, ["issues"]) => {
            has(
                body,
                &[
                    "title",
                    "description",
                    "labels",
                    "assignee_ids",
                    "confidential",
                    "issue_type",
                ],
            );
            assert_eq!(body["confidential"], true);
            if let Some(ids) = body.get("assignee_ids") {
                assert_eq!(*ids, json!([OPERATOR]));
                if world.refuse_assignees {
                    return (400, json!({ "message": { "assignees": ["are too many"] } }));
                }
            }
            let labels = text(&body["labels"]);
            let labels = labels.split(',').map(str::to_owned);
            let labels = labels.filter(|_| !world.drop_labels).collect();
            let issue = opened(
                world,
                text(&body["title"]),
                taken(&body["description"]),
                labels,
            );
            (201, gitlab_issue(&issue))
        }
        (_, ["issues", number, rest @ ..]) => {
            let (now, number): (_, i64) = (world.now, number.parse().unwrap());
            let found = world.issues.iter_mut().find(|issue| issue.number == number);
            let Some(issue) = found else {
                return not_found();
            };
            match (verb, rest) {
                (Verb::Get, []) => (200, gitlab_issue(issue)),
                (Verb::Put, []) => {
                    has(
                        body,
                        &[
                            "title",
                            "description",
                            "state_event",
                            "labels",
                            "assignee_ids",
                        ],
                    );
                    if let Some(text) = body.get("description") {
                        issue.body = taken(text);
                    }
                    match body.get("state_event").and_then(Value::as_str) {
                        Some("close") => set_state(issue, false, now),
                        Some("reopen") => set_state(issue, true, now),
                        Some(other) => panic!("no state_event {other}"),
                        None => {}
                    }
                    (200, gitlab_issue(issue))
                }
                (Verb::Get, ["notes"]) => {
                    asks(query, &["sort", "order_by", "per_page", "page"]);
                    let system =
                        json!({ "id": 1, "body": "assigned to @operator", "system": true });
                    let notes = issue.comments.iter().rev();
                    let notes = notes.map(|text| json!({ "id": 2, "body": text, "system": false }));
                    let notes: Vec<Value> = notes.chain([system]).collect();
                    let size = query["per_page"].parse().unwrap();
                    (200, page(world, &notes, size, &query["page"]))
                }
                (Verb::Post, ["notes"]) => {
                    has(body, &["body", "internal", "created_at"]);
                    issue.comments.push(taken(&body["body"]));
                    (201, json!({ "id": 1, "body": body["body"] }))
                }
                _ => panic!("GitLab has no {verb:?} {path}"),
            }
        }
        _ => panic!("GitLab has no {verb:?} {path}"),
    }
}

fn gitlab_issue(issue: &Issue) -> Value {
    let utc = |at: Timestamp| at.to_string().replace(' ', "T") + "Z";
    json!({
        "id": issue.number + 100, "iid": issue.number, "project_id": 4, "title": issue.title,
        "description": issue.body, "state": if issue.state == "open" { "opened" } else { "closed" },
        "labels": issue.labels, "assignees": [], "assignee": null, "author": { "id": 1, "username": USER },
        "created_at": utc(issue.created_at), "closed_at": issue.closed_at.map(utc),
        "web_url": format!("https://sim/o/r/-/issues/{}", issue.number),
        "confidential": true, "discussion_locked": null, "user_notes_count": issue.comments.len(),
        "severity": "UNKNOWN", "type": "ISSUE", "issue_type": "issue",
    })
}
