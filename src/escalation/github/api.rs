//! The few calls of GitHub's REST API that are needed, and how their answers read.

use serde::Deserialize;
use serde_json::{Value, json};

use crate::core::human::delivery::is_marked;
use crate::core::human::feedback::IssueEvent;
use crate::core::human::reply::{Reply, ReplyJudgement};
use crate::core::model::id::IssueNumber;
use crate::core::model::time::Timestamp;
use crate::escalation::http::{Request, Response, SendError, Transport, Verb, encode};
use crate::escalation::token::Secret;

/// Version of the API that the calls are written against.
const API_VERSION: &str = "2022-11-28";
/// Issues per page of a listing. Bodies can be large and an answer is read up to 1 MiB only.
const PAGE_SIZE: u32 = 10;
/// Events per page: about 3 KB each.
const EVENTS_PAGE: usize = 100;
/// Pages of a listing that are read before it counts as inconclusive.
const PAGES_MAX: u32 = 30;

/// Why a call gave no result.
#[derive(Clone, Debug)]
pub enum Failure {
    /// Nothing was sent.
    NotSent(String),
    /// The request may have arrived.
    Unknown(String),
    /// Redirected to another host.
    Elsewhere(String),
    /// An answer that is not success.
    Status(Box<Reply>),
    /// Success with content that cannot be used.
    Unreadable(String),
}

/// Outcome of a search for a marker.
#[derive(Debug)]
pub enum Lookup<T> {
    Found(T),
    Nothing,
    /// More entries than are read.
    Inconclusive,
}

/// A label: an object nowadays, a string in old servers.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
pub enum Label {
    Object { name: Option<String> },
    Name(String),
}

impl Label {
    pub fn name(&self) -> &str {
        match self {
            Self::Object { name } => name.as_deref().unwrap_or(""),
            Self::Name(name) => name,
        }
    }
}

/// An issue, as far as it matters.
#[derive(Debug, Deserialize)]
pub struct Issue {
    pub number: IssueNumber,
    #[serde(default)]
    pub html_url: String,
    #[serde(default)]
    pub state: String,
    #[serde(default)]
    pub body: Option<String>,
    #[serde(default)]
    pub labels: Vec<Label>,
    #[serde(default)]
    pub assignees: Vec<Value>,
    #[serde(default)]
    pub closed_at: Option<String>,
    #[serde(default)]
    pub locked: bool,
}

/// A comment, as far as it matters.
#[derive(Debug, Deserialize)]
pub struct Comment {
    #[serde(default)]
    pub body: Option<String>,
}

/// The repository, as far as it matters.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Repository {
    pub full_name: String,
    /// Missing counts as public: nothing is posted on a guess.
    pub private: bool,
    pub has_issues: Option<bool>,
    pub archived: bool,
}

/// Calls with their base, token and the server's clock.
#[derive(Debug)]
pub struct Api {
    transport: Box<dyn Transport + Send>,
    base: String,
    /// `/repos/owner/name`, or where a permanent redirect said that it moved to.
    repo: String,
    pub token: Option<Secret>,
    /// Server's time of the last answer, as milliseconds ahead of ours.
    ahead_millis: i64,
    /// `github-authentication-token-expiration` of the last answer.
    pub token_expires: Option<String>,
}

impl Api {
    pub fn new(transport: Box<dyn Transport + Send>, base: &str, repository: &str) -> Self {
        Self {
            transport,
            base: base.trim_end_matches('/').to_owned(),
            repo: format!("/repos/{repository}"),
            token: None,
            ahead_millis: 0,
            token_expires: None,
        }
    }

    /// A new attempt starts.
    pub fn begin_attempt(&self) {
        self.transport.begin_attempt();
    }

    /// `now` by the server's clock, as far as it ever told.
    pub fn server_time(&self, now: Timestamp) -> Timestamp {
        Timestamp::from_millis(now.as_millis().saturating_add(self.ahead_millis))
    }

    fn call(
        &mut self,
        verb: Verb,
        path: &str,
        body: Option<Value>,
        now: Timestamp,
    ) -> Result<Response, Failure> {
        self.call_unless(verb, path, body, None, now)
    }

    /// With the tag of an answer that is known already: 304 when nothing changed since.
    fn call_unless(
        &mut self,
        verb: Verb,
        path: &str,
        body: Option<Value>,
        etag: Option<&str>,
        now: Timestamp,
    ) -> Result<Response, Failure> {
        let url = format!("{}{path}", self.base);
        let mut headers = vec![
            ("accept", "application/vnd.github+json".to_owned()),
            ("x-github-api-version", API_VERSION.to_owned()),
        ];
        headers.extend(etag.map(|tag| ("if-none-match", tag.to_owned())));
        let request = Request {
            method: verb,
            url: url.clone(),
            token: self.token.clone(),
            headers,
            body: body.map(|body| body.to_string()),
        };
        let response = self.transport.send(&request).map_err(|error| match error {
            SendError::NotSent(why) => Failure::NotSent(why),
            SendError::Unknown(why) => Failure::Unknown(why),
            SendError::Elsewhere(_) => Failure::Elsewhere(error.to_string()),
        })?;
        let reply = response.reply();
        let server = reply.server_time(now).as_millis();
        self.ahead_millis = server.saturating_sub(now.as_millis());
        if let Some(at) = response.header("github-authentication-token-expiration") {
            self.token_expires = Some(at.to_owned());
        }
        if let Some(moved_to) = &response.moved_to {
            self.follow(&url, moved_to);
        }
        if (200..300).contains(&response.status) {
            Ok(response)
        } else {
            Err(Failure::Status(Box::new(reply)))
        }
    }

    /// After a permanent redirect (the repository was renamed) later calls go there at once.
    fn follow(&mut self, asked: &str, moved_to: &str) {
        let old = format!("{}{}", self.base, self.repo);
        let Some(tail) = asked.strip_prefix(&old) else {
            return;
        };
        let new = moved_to
            .strip_suffix(tail)
            .and_then(|url| url.strip_prefix(self.base.as_str()))
            .filter(|path| path.starts_with('/'));
        if let Some(path) = new {
            log::info!("the repository moved: {} is now {path}", self.repo);
            self.repo = path.to_owned();
        }
    }

    pub fn repository(&mut self, now: Timestamp) -> Result<Repository, Failure> {
        let path = self.repo.clone();
        parse(&self.call(Verb::Get, &path, None, now)?)
    }

    /// Login of the token's user; `None` for tokens that are no user's.
    pub fn login(&mut self, now: Timestamp) -> Result<Option<String>, Failure> {
        match self.call(Verb::Get, "/user", None, now) {
            Ok(response) => Ok(parse::<Value>(&response)?
                .get("login")
                .and_then(|login| login.as_str().map(str::to_owned))),
            Err(Failure::Status(reply))
                if matches!(
                    reply.judgement(now),
                    ReplyJudgement::Forbidden | ReplyJudgement::Missing
                ) =>
            {
                Ok(None)
            }
            Err(failure) => Err(failure),
        }
    }

    pub fn issue(&mut self, number: IssueNumber, now: Timestamp) -> Result<Issue, Failure> {
        let path = format!("{}/issues/{number}", self.repo);
        parse(&self.call(Verb::Get, &path, None, now)?)
    }

    /// Number and URL of the new issue, from the body or else from the `location`; `None` when neither tells,
    /// although it was created.
    pub fn create(
        &mut self,
        issue: Value,
        now: Timestamp,
    ) -> Result<(Option<Issue>, Option<IssueNumber>), Failure> {
        let path = format!("{}/issues", self.repo);
        let response = self.call(Verb::Post, &path, Some(issue), now)?;
        let by_location = response
            .header("location")
            .and_then(|url| url.rsplit_once("/issues/"))
            .and_then(|(_, number)| number.parse().ok())
            .map(IssueNumber::from_number);
        Ok((parse(&response).ok(), by_location))
    }

    /// Events of an issue, the oldest first: one page, whether it is full, and its tag. `None` = as before.
    #[allow(clippy::type_complexity)] // Three plain things that are taken apart at once.
    pub fn events(
        &mut self,
        number: IssueNumber,
        page: u32,
        etag: Option<&str>,
        now: Timestamp,
    ) -> Result<Option<(Vec<IssueEvent>, bool, Option<String>)>, Failure> {
        let path = format!(
            "{}/issues/{number}/events?per_page={EVENTS_PAGE}&page={page}",
            self.repo
        );
        match self.call_unless(Verb::Get, &path, None, etag, now) {
            Ok(response) => {
                let events: Vec<IssueEvent> = parse(&response)?;
                let full = events.len() >= EVENTS_PAGE;
                let etag = response.header("etag").map(str::to_owned);
                Ok(Some((events, full, etag)))
            }
            Err(Failure::Status(reply)) if reply.status == 304 => Ok(None),
            Err(failure) => Err(failure),
        }
    }

    pub fn comment(
        &mut self,
        number: IssueNumber,
        body: &str,
        now: Timestamp,
    ) -> Result<(), Failure> {
        let path = format!("{}/issues/{number}/comments", self.repo);
        self.call(Verb::Post, &path, Some(json!({ "body": body })), now)
            .map(|_| ())
    }

    pub fn change(
        &mut self,
        number: IssueNumber,
        change: Value,
        now: Timestamp,
    ) -> Result<(), Failure> {
        let path = format!("{}/issues/{number}", self.repo);
        self.call(Verb::Patch, &path, Some(change), now).map(|_| ())
    }

    /// Oldest issue with the label that carries the marker. Listing is consistent; search is not.
    pub fn find_by_label(
        &mut self,
        label: &str,
        marker: &str,
        now: Timestamp,
    ) -> Result<Lookup<Issue>, Failure> {
        let query = format!(
            "labels={}&state=all&sort=created&direction=desc",
            encode(label)
        );
        self.find_issue(&query, marker, now)
    }

    /// The same for a repository that drops our labels.
    pub fn find_by_creator(
        &mut self,
        creator: Option<&str>,
        since: Timestamp,
        marker: &str,
        now: Timestamp,
    ) -> Result<Lookup<Issue>, Failure> {
        let creator = creator.map_or(String::new(), |login| format!("&creator={}", encode(login)));
        let query = format!(
            "state=all&sort=created&direction=desc&since={}{creator}",
            encode(&iso(since))
        );
        self.find_issue(&query, marker, now)
    }

    fn find_issue(
        &mut self,
        query: &str,
        marker: &str,
        now: Timestamp,
    ) -> Result<Lookup<Issue>, Failure> {
        let path = format!("{}/issues?{query}", self.repo);
        self.find(&path, now, |issue: &Issue| {
            is_marked(issue.body.as_deref().unwrap_or(""), marker)
        })
    }

    pub fn find_comment(
        &mut self,
        number: IssueNumber,
        since: Timestamp,
        marker: &str,
        now: Timestamp,
    ) -> Result<Lookup<Comment>, Failure> {
        let path = format!(
            "{}/issues/{number}/comments?since={}",
            self.repo,
            encode(&iso(since))
        );
        self.find(&path, now, |comment: &Comment| {
            is_marked(comment.body.as_deref().unwrap_or(""), marker)
        })
    }

    /// Reads a listing page by page up to the last; among several matches the last one read, which is the oldest
    /// issue, counts. Pages too large to be read are asked for in smaller ones.
    fn find<T: for<'de> Deserialize<'de>>(
        &mut self,
        path: &str,
        now: Timestamp,
        matches: impl Fn(&T) -> bool,
    ) -> Result<Lookup<T>, Failure> {
        let mut size = PAGE_SIZE;
        'smaller: loop {
            let mut found = None;
            for page in 1..=PAGES_MAX {
                let path = format!("{path}&per_page={size}&page={page}");
                let response = self.call(Verb::Get, &path, None, now)?;
                if response.cut && size > 1 {
                    size /= 2;
                    continue 'smaller;
                }
                let entries: Vec<T> = parse(&response)?;
                let last = entries.len() < size as usize;
                found = entries.into_iter().rfind(|entry| matches(entry)).or(found);
                if last {
                    return Ok(found.map_or(Lookup::Nothing, Lookup::Found));
                }
            }
            return Ok(found.map_or(Lookup::Inconclusive, Lookup::Found));
        }
    }
}

fn parse<T: for<'de> Deserialize<'de>>(response: &Response) -> Result<T, Failure> {
    serde_json::from_str(&response.body).map_err(|error| {
        let cut = if response.cut {
            " (the body is cut)"
        } else {
            ""
        };
        Failure::Unreadable(format!(
            "answer {} is not as expected: {error}{cut}",
            response.status
        ))
    })
}

/// `YYYY-MM-DDTHH:MM:SSZ`, the form the API takes.
fn iso(at: Timestamp) -> String {
    let text = at.to_string().replacen(' ', "T", 1);
    format!("{}Z", text.get(..19).unwrap_or(&text))
}
