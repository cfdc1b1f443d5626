//! GitHub by script: the calls of its REST API that the tracker makes, over a list of issues.

use std::sync::{Arc, Mutex, MutexGuard};

use serde_json::{Value, json};

use crate::escalation::http::{Request, Response, SendError, Transport, Verb};

/// The issues of one repository.
#[derive(Clone, Debug, Default)]
pub struct Issues(Arc<Mutex<Vec<Value>>>);

impl Issues {
    fn lock(&self) -> MutexGuard<'_, Vec<Value>> {
        self.0.lock().unwrap()
    }

    /// The text of each issue, each with its comments behind it.
    pub fn bodies(&self) -> Vec<String> {
        let issues = self.lock();
        let told = issues.iter().flat_map(|issue| {
            let comments = issue["comments"].as_array().unwrap();
            std::iter::once(issue).chain(comments)
        });
        told.map(|one| one["body"].as_str().unwrap_or_default().to_owned())
            .collect()
    }

    /// The hidden marker of each issue and comment: what was told, once each if all is well.
    pub fn markers(&self) -> Vec<String> {
        let last_line = |body: String| body.lines().next_back().unwrap_or("").to_owned();
        self.bodies().into_iter().map(last_line).collect()
    }

    /// State and title of each issue.
    pub fn all(&self) -> Vec<(String, String)> {
        let text = |issue: &Value, key: &str| issue[key].as_str().unwrap_or_default().to_owned();
        self.lock()
            .iter()
            .map(|issue| (text(issue, "state"), text(issue, "title")))
            .collect()
    }
}

impl Transport for Issues {
    fn send(&self, request: &Request) -> Result<Response, SendError> {
        let path = request.url.split("/repos/o/r").nth(1).unwrap_or("");
        let (path, query) = path.split_once('?').unwrap_or((path, ""));
        let body: Value = serde_json::from_str(request.body.as_deref().unwrap_or("null")).unwrap();
        let mut issues = self.lock();
        let (status, answer) = match (request.method, path) {
            (Verb::Get, "") => (
                200,
                json!({ "full_name": "o/r", "private": true, "has_issues": true }),
            ),
            (Verb::Get, "/issues") => (200, page(&issues, query)),
            (Verb::Post, "/issues") => {
                let number = issues.len() + 1;
                let mut issue = body;
                issue["number"] = json!(number);
                issue["state"] = json!("open");
                issue["comments"] = json!([]);
                issue["html_url"] = json!(format!("https://github.com/o/r/issues/{number}"));
                issues.push(issue.clone());
                (201, issue)
            }
            (verb, path) if path.ends_with("/comments") => {
                let number: usize = path.split('/').nth(2).unwrap().parse().unwrap();
                let comments = &mut issues[number - 1]["comments"];
                match verb {
                    Verb::Post => {
                        comments.as_array_mut().unwrap().push(body);
                        (201, json!({}))
                    }
                    Verb::Get | Verb::Patch | Verb::Put => (200, comments.clone()),
                }
            }
            (verb, path) => {
                let number: usize = path.strip_prefix("/issues/").unwrap().parse().unwrap();
                let issue = &mut issues[number - 1];
                if verb == Verb::Patch {
                    for (key, value) in body.as_object().unwrap() {
                        issue[key] = value.clone();
                    }
                }
                (200, issue.clone())
            }
        };
        Ok(Response {
            status,
            body: answer.to_string(),
            ..Response::default()
        })
    }
}

/// One page of a listing, of one label where it is asked for.
fn page(issues: &[Value], query: &str) -> Value {
    let asked = |name: &str| {
        let mut pairs = query.split('&').filter_map(|pair| pair.split_once('='));
        pairs.find(|(key, _)| *key == name).map(|(_, value)| value)
    };
    let number = |name: &str| -> usize { asked(name).unwrap().parse().unwrap() };
    let label = asked("labels").map(Value::from);
    let fits = |issue: &&Value| {
        let labels = issue["labels"].as_array().unwrap();
        label.as_ref().is_none_or(|label| labels.contains(label))
    };
    let (size, before) = (number("per_page"), number("page") - 1);
    let found = issues.iter().filter(fits);
    found.skip(size * before).take(size).cloned().collect()
}
