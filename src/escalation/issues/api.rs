//! The few calls of a server of issues that are needed, and how their answers read.

use serde::Deserialize;
use serde_json::{Value, json};

use super::vendor::{Change, NewIssue, Vendor};
use crate::core::human::delivery::is_marked;
use crate::core::human::feedback::IssueEvent;
use crate::core::human::reply::{Reply, ReplyJudgement};
use crate::core::model::id::IssueNumber;
use crate::core::model::time::Timestamp;
use crate::escalation::http::{Request, Response, SendError, Transport, Verb, encode};
use crate::escalation::token::Secret;

/// Version of GitHub's API that the calls are written against.
const API_VERSION: &str = "2022-11-28";
/// Issues per page of a listing. Bodies can be large and an answer is read up to 1 MiB only.
const PAGE_SIZE: u32 = 10;
/// Labels per page: small.
const LABELS_PAGE: u32 = 50;
/// Pages of labels that are read; one that is not among them is left out.
const LABEL_PAGES_MAX: u32 = 10;
/// Colour of a label that is made.
const LABEL_COLOR: &str = "#b60205";
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

/// A label: an object nowadays, a string in old servers and at GitLab.
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

/// An issue, as far as it matters. What a server does not set it leaves out, or says `null`.
#[derive(Debug, Deserialize)]
pub struct Issue {
    #[serde(alias = "iid")]
    pub number: IssueNumber,
    #[serde(default, alias = "web_url")]
    pub html_url: String,
    /// `open` (GitLab: `opened`) or `closed`.
    #[serde(default)]
    pub state: String,
    #[serde(default, alias = "description")]
    pub body: Option<String>,
    #[serde(default)]
    labels: Option<Vec<Label>>,
    #[serde(default)]
    assignees: Option<Vec<Value>>,
    #[serde(default)]
    pub closed_at: Option<String>,
    #[serde(default, alias = "is_locked", alias = "discussion_locked")]
    locked: Option<bool>,
}

impl Issue {
    pub fn has_label(&self, name: &str) -> bool {
        let mut labels = self.labels.iter().flatten();
        labels.any(|one| one.name() == name)
    }

    pub fn is_assigned(&self) -> bool {
        self.assignees.as_ref().is_some_and(|all| !all.is_empty())
    }

    /// A human wants no more of it.
    pub fn is_locked(&self) -> bool {
        self.locked == Some(true)
    }
}

/// A comment, as far as it matters.
#[derive(Debug, Deserialize)]
pub struct Comment {
    #[serde(default)]
    pub body: Option<String>,
}

/// The repository (GitLab: project), as far as it matters.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Repository {
    #[serde(alias = "path_with_namespace")]
    pub full_name: String,
    /// Missing counts as public: nothing is posted on a guess.
    private: bool,
    /// Gitea: for those who are signed in.
    internal: bool,
    visibility: Option<String>,
    has_issues: Option<bool>,
    issues_access_level: Option<String>,
    pub archived: bool,
    /// What the token's user may do there.
    pub permissions: Value,
}

impl Repository {
    /// Not seen by everybody.
    pub fn is_private(&self, vendor: Vendor) -> bool {
        match vendor {
            Vendor::GitHub => self.private,
            Vendor::Gitea => self.private || self.internal,
            Vendor::GitLab => matches!(self.visibility.as_deref(), Some("private" | "internal")),
        }
    }

    pub fn takes_issues(&self) -> bool {
        self.has_issues != Some(false) && self.issues_access_level.as_deref() != Some("disabled")
    }
}

/// What something that has a name is by number.
#[derive(Debug, Deserialize)]
struct Numbered {
    id: i64,
    #[serde(default)]
    name: String,
}

/// Calls with their base, token and the server's clock.
#[derive(Debug)]
pub struct Api {
    pub vendor: Vendor,
    transport: Box<dyn Transport + Send>,
    base: String,
    /// `/repos/owner/name`, or where a permanent redirect said that it moved to.
    repo: String,
    pub token: Option<Secret>,
    /// Server's time of the last answer, as milliseconds ahead of ours.
    ahead_millis: i64,
    /// `github-authentication-token-expiration` of the last answer.
    pub token_expires: Option<String>,
    /// Numbers of labels (Gitea) or users (GitLab); `None` = there is none, and none is to be had.
    numbers: Vec<(String, Option<i64>)>,
    /// The token may make no labels, as far as is known today.
    pub makes_no_labels: bool,
}

impl Api {
    pub fn new(
        vendor: Vendor,
        transport: Box<dyn Transport + Send>,
        url: &str,
        project: &str,
    ) -> Self {
        Self {
            vendor,
            transport,
            base: vendor.base(url),
            repo: vendor.project(project),
            token: None,
            ahead_millis: 0,
            token_expires: None,
            numbers: Vec::new(),
            makes_no_labels: false,
        }
    }

    /// Another token: what the one before could not do is tried again.
    pub fn renew(&mut self, token: Secret) {
        self.token = Some(token);
        self.numbers.clear();
        self.makes_no_labels = false;
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
        let mut headers = match self.vendor {
            Vendor::GitHub => vec![
                ("accept", "application/vnd.github+json".to_owned()),
                ("x-github-api-version", API_VERSION.to_owned()),
            ],
            Vendor::Gitea | Vendor::GitLab => vec![("accept", "application/json".to_owned())],
        };
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

    /// Login of the token's user; `None` for tokens that are no user's, and where the server knows who asks.
    pub fn login(&mut self, now: Timestamp) -> Result<Option<String>, Failure> {
        if self.vendor == Vendor::GitLab {
            return Ok(None);
        }
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
        issue: &NewIssue,
        now: Timestamp,
    ) -> Result<(Option<Issue>, Option<IssueNumber>), Failure> {
        let path = format!("{}/issues", self.repo);
        let fields = self.vendor.new_issue(issue, &|name| self.number(name));
        let response = self.call(Verb::Post, &path, Some(fields), now)?;
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
        let path = format!("{}{}", self.repo, self.vendor.comments(number));
        let body = json!({ "body": self.vendor.inert(body) });
        self.call(Verb::Post, &path, Some(body), now).map(|_| ())
    }

    pub fn change(
        &mut self,
        number: IssueNumber,
        change: &Change,
        now: Timestamp,
    ) -> Result<(), Failure> {
        let path = format!("{}/issues/{number}", self.repo);
        let verb = self.vendor.change_verb();
        let fields = self.vendor.change(change);
        self.call(verb, &path, Some(fields), now).map(|_| ())
    }

    fn number(&self, name: &str) -> Option<i64> {
        let known = self.numbers.iter().find(|(known, _)| known == name);
        known.and_then(|(_, number)| *number)
    }

    /// Names in the issue that this server knows by a number which is not known yet.
    pub fn unnumbered(&self, issue: &NewIssue) -> Vec<String> {
        let names = match self.vendor {
            Vendor::GitHub => return Vec::new(),
            Vendor::Gitea if self.makes_no_labels => return Vec::new(),
            Vendor::Gitea => &issue.labels,
            Vendor::GitLab => &issue.assignees,
        };
        let is_known = |name: &String| self.numbers.iter().any(|(known, _)| known == name);
        names
            .iter()
            .filter(|name| !is_known(name))
            .cloned()
            .collect()
    }

    /// The name is left out from now on, or no longer needed.
    pub fn leave_out(&mut self, name: &str) {
        self.forget(name);
        self.numbers.push((name.to_owned(), None));
    }

    pub fn forget(&mut self, name: &str) {
        self.numbers.retain(|(known, _)| known != name);
    }

    /// Looks these labels up. True when all there are were read.
    pub fn find_labels(&mut self, names: &[String], now: Timestamp) -> Result<bool, Failure> {
        let mut left = names.len();
        for page in 1..=LABEL_PAGES_MAX {
            let query = self.vendor.page(LABELS_PAGE, page);
            let path = format!("{}/labels?{query}", self.repo);
            let response = self.call(Verb::Get, &path, None, now)?;
            let labels: Vec<Numbered> = entries(&response)?;
            let is_last = is_last(&response, labels.len(), LABELS_PAGE);
            for label in labels {
                // Of two with one name the first counts.
                if names.contains(&label.name) && self.number(&label.name).is_none() {
                    self.numbers.push((label.name, Some(label.id)));
                    left = left.saturating_sub(1);
                }
            }
            if is_last || left == 0 {
                return Ok(true);
            }
        }
        Ok(false)
    }

    pub fn make_label(&mut self, name: &str, now: Timestamp) -> Result<(), Failure> {
        let path = format!("{}/labels", self.repo);
        let label = json!({ "name": name, "color": LABEL_COLOR });
        let made = self.call(Verb::Post, &path, Some(label), now)?;
        let made: Numbered = parse(&made)?;
        self.numbers.push((name.to_owned(), Some(made.id)));
        Ok(())
    }

    /// Looks a user up; one that there is not is left out.
    pub fn find_user(&mut self, name: &str, now: Timestamp) -> Result<(), Failure> {
        let path = format!("/users?username={}", encode(name));
        let found: Vec<Numbered> = entries(&self.call(Verb::Get, &path, None, now)?)?;
        let number = found.first().map(|user| user.id);
        self.numbers.push((name.to_owned(), number));
        Ok(())
    }

    /// GitLab: until when the token is valid, and what it may do.
    pub fn token_itself(&mut self, now: Timestamp) -> Result<Value, Failure> {
        parse(&self.call(Verb::Get, "/personal_access_tokens/self", None, now)?)
    }

    /// Oldest issue with the label that carries the marker. Listing is consistent; search is not.
    pub fn find_by_label(
        &mut self,
        label: &str,
        marker: &str,
        now: Timestamp,
    ) -> Result<Lookup<Issue>, Failure> {
        let query = self.vendor.by_label(label);
        let may_ignore = self.vendor.may_ignore_label();
        self.find_issue(&query, marker, now, |issue| {
            may_ignore && !issue.has_label(label)
        })
    }

    /// The same for a repository that drops our labels.
    pub fn find_by_creator(
        &mut self,
        creator: Option<&str>,
        since: Timestamp,
        marker: &str,
        now: Timestamp,
    ) -> Result<Lookup<Issue>, Failure> {
        let query = self.vendor.by_creator(creator, since);
        self.find_issue(&query, marker, now, |_| false)
    }

    fn find_issue(
        &mut self,
        query: &str,
        marker: &str,
        now: Timestamp,
        is_unasked: impl Fn(&Issue) -> bool,
    ) -> Result<Lookup<Issue>, Failure> {
        let path = format!("{}/issues?{query}", self.repo);
        let is_ours = |issue: &Issue| is_marked(issue.body.as_deref().unwrap_or(""), marker);
        self.find(&path, true, now, is_ours, is_unasked)
    }

    pub fn find_comment(
        &mut self,
        number: IssueNumber,
        since: Timestamp,
        marker: &str,
        now: Timestamp,
    ) -> Result<Lookup<Comment>, Failure> {
        let path = format!(
            "{}{}?{}",
            self.repo,
            self.vendor.comments(number),
            self.vendor.comments_since(since)
        );
        let is_ours = |comment: &Comment| is_marked(comment.body.as_deref().unwrap_or(""), marker);
        let has_pages = self.vendor.pages_comments();
        self.find(&path, has_pages, now, is_ours, |_| false)
    }

    /// Reads a listing page by page up to the last; among several matches the last one read, which is the oldest
    /// issue, counts. Pages too large to be read are asked for in smaller ones. Where an entry was not asked for, the
    /// server knows nothing of what was: nothing is there.
    fn find<T: for<'de> Deserialize<'de>>(
        &mut self,
        path: &str,
        has_pages: bool,
        now: Timestamp,
        matches: impl Fn(&T) -> bool,
        is_unasked: impl Fn(&T) -> bool,
    ) -> Result<Lookup<T>, Failure> {
        let mut size = PAGE_SIZE;
        'smaller: loop {
            let mut found = None;
            for page in 1..=PAGES_MAX {
                let path = format!("{path}&{}", self.vendor.page(size, page));
                let response = self.call(Verb::Get, &path, None, now)?;
                if response.cut && size > 1 {
                    size /= 2;
                    continue 'smaller;
                }
                let entries: Vec<T> = entries(&response)?;
                let last = match has_pages {
                    true => is_last(&response, entries.len(), size),
                    false => !has_next(&response),
                };
                let last = last || entries.iter().any(&is_unasked);
                found = entries.into_iter().rfind(|entry| matches(entry)).or(found);
                if last {
                    return Ok(found.map_or(Lookup::Nothing, Lookup::Found));
                }
            }
            return Ok(found.map_or(Lookup::Inconclusive, Lookup::Found));
        }
    }
}

fn has_next(response: &Response) -> bool {
    let links = response.header("link");
    links.is_some_and(|links| links.contains("rel=\"next\""))
}

/// A server may give fewer than were asked for, and then says that there are more.
fn is_last(response: &Response, count: usize, size: u32) -> bool {
    count < size as usize && (count == 0 || !has_next(response))
}

/// A listing; an empty one is `null` from some servers.
fn entries<T: for<'de> Deserialize<'de>>(response: &Response) -> Result<Vec<T>, Failure> {
    parse::<Option<Vec<T>>>(response).map(Option::unwrap_or_default)
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
