//! A simulated GitHub: issues, comments, its own clock, and faults drawn from a seed.
//!
//! Faults: not reachable; timeout or reset with or without effect, the effect up to 50 s late; 5xx with or without
//! effect; 403 and 429 with every header form and with none; windows of 401, 403, 404 and of issues switched off;
//! 201 with a body that is cut, no JSON, or huge, with and without `location`; 422 for an assignee who left;
//! labels dropped; listings up to 30 s behind.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use autonomous_orchestrator::{Request, Response, SendError, Timestamp, Transport, Verb};
use serde_json::{Value, json};

use super::forges::{self, Dialect};
use super::outbox::{Killed, s};

/// SplitMix64: small, seeded, good enough.
#[derive(Clone, Debug)]
pub struct Random(pub u64);

impl Random {
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }

    /// How often something happens: up to twice.
    pub fn few(&mut self) -> u32 {
        u32::try_from(self.below(3)).unwrap_or(0)
    }

    /// A place in a list of `length`.
    pub fn place(&mut self, length: usize) -> usize {
        usize::try_from(self.below(length as u64)).unwrap_or(0)
    }

    pub fn chance(&mut self, percent: u64) -> bool {
        self.below(100) < percent
    }
}

#[derive(Clone, Debug)]
pub struct Issue {
    pub number: i64,
    pub title: String,
    pub body: String,
    pub labels: Vec<String>,
    pub state: String,
    pub created_at: Timestamp,
    pub closed_at: Option<Timestamp>,
    pub comments: Vec<String>,
}

#[derive(Debug)]
pub struct World {
    pub random: Random,
    /// True time; the server's clock is right.
    pub now: Timestamp,
    pub issues: Vec<Issue>,
    /// Writes that take effect later although their sender gave up.
    late: Vec<(Timestamp, Verb, String, Value)>,
    /// Percentage of requests that meet a fault.
    pub fault_percent: u64,
    pub drop_labels: bool,
    pub refuse_assignees: bool,
    pub lag_s: u64,
    pub offline: Vec<(Timestamp, Timestamp)>,
    /// Windows in which everything is answered with this status.
    pub forbidden: Vec<(Timestamp, Timestamp, u16)>,
    pub requests: u32,
    pub writes: u32,
    pub kinds: BTreeMap<&'static str, u32>,
    /// No request is allowed before this time.
    pub quiet_until: Timestamp,
    pub early_requests: u32,
    pub dies_in: Option<u32>,
    pub dialect: Dialect,
    /// Labels with their numbers, where the dialect has such.
    pub labels: Vec<(i64, String)>,
    /// None can be made, and the server does not say why.
    pub labels_broken: bool,
    /// The page that was given last is not the last one.
    pub has_next: bool,
}

#[derive(Clone, Debug)]
pub struct Wire(pub Arc<Mutex<World>>);

impl World {
    pub fn new(seed: u64, now: Timestamp) -> Self {
        Self {
            random: Random(seed),
            now,
            issues: Vec::new(),
            late: Vec::new(),
            fault_percent: 0,
            drop_labels: false,
            refuse_assignees: false,
            lag_s: 0,
            offline: Vec::new(),
            forbidden: Vec::new(),
            requests: 0,
            writes: 0,
            kinds: BTreeMap::new(),
            quiet_until: Timestamp::from_millis(0),
            early_requests: 0,
            dies_in: None,
            dialect: Dialect::GitHub,
            labels: Vec::new(),
            labels_broken: false,
            has_next: false,
        }
    }

    /// Moves true time; late writes take effect.
    pub fn advance(&mut self, to: Timestamp) {
        self.now = self.now.max(to);
        let (due, later) = std::mem::take(&mut self.late)
            .into_iter()
            .partition(|(at, ..)| *at <= self.now);
        self.late = later;
        let due: Vec<(Timestamp, Verb, String, Value)> = due;
        for (_, verb, path, body) in due {
            let _ = self.handle(verb, &path, &body);
        }
    }

    fn fault(&mut self, write: bool) -> &'static str {
        if !self.random.chance(self.fault_percent) {
            return "none";
        }
        const READ: [&str; 11] = [
            "not sent",
            "timeout",
            "500",
            "503",
            "403 retry-after",
            "403 reset",
            "429 retry-after",
            "429 bare",
            "429 date",
            "not json",
            "cut",
        ];
        const WRITE: [&str; 17] = [
            "not sent",
            "timeout",
            "timeout done",
            "timeout late",
            "reset",
            "reset done",
            "500",
            "502 done",
            "503 done",
            "403 retry-after",
            "403 reset",
            "403 secondary",
            "429 retry-after",
            "429 bare",
            "not json done",
            "cut done",
            "blank done",
        ];
        if write {
            WRITE[self.random.place(WRITE.len())]
        } else {
            READ[self.random.place(READ.len())]
        }
    }

    fn answer(&mut self, request: &Request) -> Result<Response, SendError> {
        let write = request.method != Verb::Get;
        let path = request.url.trim_start_matches("https://sim").to_owned();
        let body = request
            .body
            .as_deref()
            .map_or(Value::Null, |text| serde_json::from_str(text).unwrap());
        let within = |from: Timestamp, to: Timestamp, now: Timestamp| from <= now && now < to;
        if self
            .offline
            .iter()
            .any(|(from, to)| within(*from, *to, self.now))
        {
            return Err(SendError::NotSent("network is unreachable".to_owned()));
        }
        self.requests += 1;
        self.writes += u32::from(write);
        if self.now < self.quiet_until {
            self.early_requests += 1;
        }
        if let Some((.., status)) = self
            .forbidden
            .iter()
            .find(|(from, to, _)| within(*from, *to, self.now))
        {
            let status = *status;
            return Ok(self.response(status, json!({ "message": "no" }).to_string(), &[]));
        }
        let fault = self.fault(write);
        *self.kinds.entry(fault).or_default() += 1;
        let wait = 1 + self.random.below(90);
        let in_seconds = |at: Timestamp| at.as_millis().div_euclid(1000);
        let (status, message, headers): (u16, &str, Vec<(&str, String)>) = match fault {
            "not sent" => return Err(SendError::NotSent("connection refused".to_owned())),
            "timeout" | "reset" => return Err(SendError::Unknown(fault.to_owned())),
            "timeout done" | "reset done" => {
                let _ = self.handle(request.method, &path, &body);
                return Err(SendError::Unknown(fault.to_owned()));
            }
            "timeout late" => {
                let at = self.now.plus(s(self.random.below(50)));
                self.late.push((at, request.method, path, body));
                return Err(SendError::Unknown(fault.to_owned()));
            }
            "500" => (500, "oops", vec![]),
            "503" => (503, "Service Unavailable", vec![]),
            "502 done" | "503 done" => {
                let _ = self.handle(request.method, &path, &body);
                (502, "Server Error", vec![])
            }
            "403 retry-after" => (
                403,
                "secondary rate limit",
                vec![("retry-after", wait.to_string())],
            ),
            "429 retry-after" => (429, "slow down", vec![("retry-after", wait.to_string())]),
            "429 date" => (
                429,
                "slow down",
                vec![("retry-after", http_date(self.now.plus(s(wait))))],
            ),
            "403 reset" => (
                403,
                "API rate limit exceeded",
                vec![
                    ("x-ratelimit-remaining", "0".to_owned()),
                    (
                        "x-ratelimit-reset",
                        (in_seconds(self.now) + wait as i64).to_string(),
                    ),
                ],
            ),
            "403 secondary" => (403, "You have exceeded a secondary rate limit", vec![]),
            "429 bare" => (429, "slow down", vec![]),
            _ => return Ok(self.success(fault, request.method, &path, &body)),
        };
        if matches!(status, 403 | 429) {
            // The server counts from the request; whole seconds of its headers leave less than one of slack.
            let named = headers
                .iter()
                .any(|(name, _)| *name != "x-ratelimit-remaining");
            let span = if named { wait.saturating_sub(1) } else { 60 };
            self.quiet_until = self.quiet_until.max(self.now.plus(s(span)));
        }
        Ok(self.response(status, json!({ "message": message }).to_string(), &headers))
    }

    fn success(&mut self, fault: &str, verb: Verb, path: &str, body: &Value) -> Response {
        let (status, value) = self.handle(verb, path, body);
        let text = value.to_string();
        let location = value
            .get("number")
            .filter(|_| status == 201 && fault != "blank done")
            .filter(|_| self.dialect == Dialect::GitHub)
            .map(|number| ("location", format!("https://sim/repos/o/r/issues/{number}")));
        let next = std::mem::take(&mut self.has_next)
            .then(|| ("link", "<https://sim/next>; rel=\"next\"".to_owned()));
        let headers: Vec<(&str, String)> = location.into_iter().chain(next).collect();
        let (text, cut) = match fault {
            "not json" | "not json done" => ("<html>hello".to_owned(), false),
            "cut" | "cut done" => (text.get(..text.len() / 2).unwrap_or("").to_owned(), true),
            "blank done" => (String::new(), false),
            _ => (text, false),
        };
        Response {
            cut,
            ..self.response(status, text, &headers)
        }
    }

    fn response(&self, status: u16, body: String, headers: &[(&str, String)]) -> Response {
        let mut all = vec![("date".to_owned(), http_date(self.now))];
        all.extend(
            headers
                .iter()
                .map(|(name, value)| ((*name).to_owned(), value.clone())),
        );
        Response {
            status,
            headers: all,
            body,
            cut: false,
            moved_to: None,
        }
    }

    /// What the server does with a request that reached it.
    fn handle(&mut self, verb: Verb, path: &str, body: &Value) -> (u16, Value) {
        if self.dialect != Dialect::GitHub {
            return forges::handle(self, verb, path, body);
        }
        let (path, query) = path.split_once('?').unwrap_or((path, ""));
        let query: BTreeMap<&str, &str> = query
            .split('&')
            .filter_map(|pair| pair.split_once('='))
            .collect();
        let parts: Vec<&str> = path
            .trim_start_matches("/repos/o/r")
            .split('/')
            .filter(|part| !part.is_empty())
            .collect();
        match (verb, parts.as_slice()) {
            (Verb::Get, ["user"]) => (200, json!({ "login": "bot" })),
            (Verb::Get, []) => (
                200,
                json!({ "private": true, "full_name": "o/r", "has_issues": true }),
            ),
            (Verb::Get, ["issues"]) => (200, self.list(&query)),
            (Verb::Post, ["issues"]) => self.create(body),
            (_, ["issues", number, rest @ ..]) => {
                let now = self.now;
                let number: i64 = number.parse().unwrap();
                let lag = now.minus(s(self.lag_s));
                let Some(issue) = self.issues.iter_mut().find(|issue| issue.number == number)
                else {
                    return (404, json!({ "message": "Not Found" }));
                };
                match (verb, rest) {
                    (Verb::Get, []) => (200, show(issue)),
                    (Verb::Patch, []) => {
                        change(issue, body, now);
                        (200, show(issue))
                    }
                    (Verb::Get, _) => {
                        let page: usize = query["page"].parse().unwrap();
                        let size: usize = query["per_page"].parse().unwrap();
                        let shown = issue.comments.iter().skip((page - 1) * size).take(size);
                        let _ = lag;
                        (200, shown.map(|text| json!({ "body": text })).collect())
                    }
                    _ => {
                        issue
                            .comments
                            .push(body["body"].as_str().unwrap().to_owned());
                        (201, json!({ "id": 1 }))
                    }
                }
            }
            _ => (404, json!({ "message": "Not Found" })),
        }
    }

    fn create(&mut self, body: &Value) -> (u16, Value) {
        if self.refuse_assignees && body.get("assignees").is_some() {
            return (422, json!({ "message": "Validation Failed" }));
        }
        let labels = body["labels"]
            .as_array()
            .unwrap()
            .iter()
            .map(|label| label.as_str().unwrap().to_owned());
        let issue = Issue {
            number: self.issues.len() as i64 + 1,
            title: body["title"].as_str().unwrap().to_owned(),
            body: body["body"].as_str().unwrap().to_owned(),
            labels: if self.drop_labels {
                Vec::new()
            } else {
                labels.collect()
            },
            state: "open".to_owned(),
            created_at: self.now,
            closed_at: None,
            comments: Vec::new(),
        };
        let shown = show(&issue);
        self.issues.push(issue);
        (201, shown)
    }

    fn list(&self, query: &BTreeMap<&str, &str>) -> Value {
        let page: usize = query["page"].parse().unwrap();
        let size: usize = query["per_page"].parse().unwrap();
        let since = query
            .get("since")
            .map(|text| text.replace("%3A", ":").parse::<Timestamp>().unwrap());
        let visible = self.now.minus(s(self.lag_s));
        let mut found: Vec<&Issue> = self
            .issues
            .iter()
            .filter(|issue| issue.created_at <= visible)
            .filter(|issue| {
                query
                    .get("labels")
                    .is_none_or(|label| issue.labels.iter().any(|one| one == label))
            })
            .filter(|issue| since.is_none_or(|since| issue.created_at >= since))
            .collect();
        found.reverse();
        found
            .into_iter()
            .skip((page - 1) * size)
            .take(size)
            .map(show)
            .collect()
    }
}

fn show(issue: &Issue) -> Value {
    json!({
        "number": issue.number,
        "html_url": format!("https://sim/o/r/issues/{}", issue.number),
        "title": issue.title,
        "body": issue.body,
        "state": issue.state,
        "labels": issue.labels.iter().map(|name| json!({ "name": name })).collect::<Vec<_>>(),
        "assignees": [],
        "closed_at": issue.closed_at.map(|at| at.to_string().replace(' ', "T") + "Z"),
        "locked": false,
    })
}

fn change(issue: &mut Issue, body: &Value, now: Timestamp) {
    if let Some(text) = body.get("body").and_then(Value::as_str) {
        issue.body = text.to_owned();
    }
    match body.get("state").and_then(Value::as_str) {
        Some("closed") => {
            issue.state = "closed".to_owned();
            issue.closed_at = Some(now);
        }
        Some(_) => {
            issue.state = "open".to_owned();
            issue.closed_at = None;
        }
        None => {}
    }
}

impl Transport for Wire {
    fn send(&self, request: &Request) -> Result<Response, SendError> {
        let mut world = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let dies = match world.dies_in {
            Some(0) => {
                world.dies_in = None;
                true
            }
            Some(n) => {
                world.dies_in = Some(n - 1);
                false
            }
            None => false,
        };
        let answer = world.answer(request);
        drop(world);
        if dies {
            // kill -9 with the request done, or not, and the answer never read.
            std::panic::resume_unwind(Box::new(Killed));
        }
        answer
    }
}

/// `Sun, 06 Nov 1994 08:49:37 GMT`.
pub fn http_date(at: Timestamp) -> String {
    let text = at.to_string();
    let days = at.as_millis().div_euclid(86_400_000);
    let weekday = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"]
        [usize::try_from(days.rem_euclid(7)).unwrap()];
    let months = [
        "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
    ];
    let month = months[text[5..7].parse::<usize>().unwrap() - 1];
    format!(
        "{weekday}, {} {month} {} {} GMT",
        &text[8..10],
        &text[..4],
        &text[11..19]
    )
}
