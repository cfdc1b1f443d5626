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
        let path = path.split('?').next().unwrap_or("");
        let body: Value = serde_json::from_str(request.body.as_deref().unwrap_or("null")).unwrap();
        let mut issues = self.lock();
        let (status, answer) = match (request.method, path) {
            (Verb::Get, "") => (
                200,
                json!({ "full_name": "o/r", "private": true, "has_issues": true }),
            ),
            (Verb::Get, "/issues") => (200, Value::from(issues.clone())),
            (Verb::Post, "/issues") => {
                let number = issues.len() + 1;
                let mut issue = body;
                issue["number"] = json!(number);
                issue["state"] = json!("open");
                issue["html_url"] = json!(format!("https://github.com/o/r/issues/{number}"));
                issues.push(issue.clone());
                (201, issue)
            }
            (Verb::Get, path) if path.ends_with("/comments") => (200, json!([])),
            (Verb::Post, path) if path.ends_with("/comments") => (201, json!({})),
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
