//! Issues as a destination: one per delivery key through timeouts, lost answers and restarts, at GitHub, Gitea or GitLab.

pub mod api;
pub mod check;
mod place;
pub mod vendor;

use std::cell::OnceCell;
use std::time::Duration;

use self::api::{Api, Failure, Issue, Lookup};
pub use self::place::IssuePlace;
use self::vendor::{Change, NewIssue, NewState, Vendor, moment};
use super::http::Transport;
use super::outbox::OutboxError;
use super::tracker::Tracker;
use crate::core::human::delivery::{
    AfterLook, Delivery, DeliveryStep, FIRST_LOOK_AFTER, Hold, LOOK_AGAIN_AFTER, Note, Operation,
    Payload, State, after_empty_look, backoff, label, marker,
};
use crate::core::human::issue::{BODY_CAP, fit, replace_status, title_line};
use crate::core::human::redact::Redactor;
use crate::core::human::reply::ReplyJudgement;
use crate::core::model::hint::Hint;
use crate::core::model::time::Timestamp;

/// The project's visibility is looked up again after this time.
const VISIBILITY_VALID: Duration = Duration::from_secs(24 * 3600);
/// A look by creator starts this long before the row was made, or before the server's present if that is earlier.
const LOOK_BACK: Duration = Duration::from_secs(24 * 3600);
/// Between two writes, as GitHub asks; the others are treated no worse.
const WRITE_GAP: Duration = Duration::from_secs(1);
/// Attempts at one issue after which it goes without a label that cannot be made.
const LABEL_TRIES: u32 = 4;
const RETRY_BASE: Duration = Duration::from_secs(30);
const RETRY_MOST: Duration = Duration::from_secs(3_600);

/// The tracker.
#[derive(Debug)]
pub struct IssueTracker {
    place: IssuePlace,
    api: Api,
    checked_at: Option<Timestamp>,
    /// Login of the token's user, once asked.
    login: Option<Option<String>>,
    warned_dropped: bool,
}

/// Why a sequence ends early.
type Stop = Box<DeliveryStep>;

impl IssueTracker {
    /// Sends nothing and reads no token before the first delivery.
    pub fn on(place: IssuePlace, transport: Box<dyn Transport + Send>) -> Self {
        let api = Api::new(place.vendor, transport, &place.url, &place.project);
        Self {
            place,
            api,
            checked_at: None,
            login: None,
            warned_dropped: false,
        }
    }

    /// Token readable, repository visible and not public: else nothing leaves the box.
    fn gate(&mut self, now: Timestamp) -> Result<(), Stop> {
        let token = self.place.read_token();
        let token = token.map_err(|error| parked(error.with_hint()))?;
        if self.api.token.as_ref() != Some(&token) {
            self.api.renew(token);
            self.checked_at = None;
            self.login = None;
        }
        let valid = |at: Timestamp| at <= now && now.since(at) < VISIBILITY_VALID;
        if self.checked_at.is_some_and(valid) {
            return Ok(());
        }
        let repository = self
            .api
            .repository(now)
            .map_err(|failure| self.not_read(failure, now))?;
        let (name, noun) = (&self.place.project, self.place.vendor.noun());
        if !repository.is_private(self.place.vendor) && !self.place.allow_public {
            let key = self.place.key("allow_public");
            return Err(parked(format!(
                "{name} is public: issues hold data of this host: use a private {noun}, or set {key}"
            )));
        }
        if repository.archived {
            return Err(parked(format!(
                "{name} is archived: it takes no issues: unarchive it or name another"
            )));
        }
        if !repository.takes_issues() {
            return Err(parked(format!(
                "{name} has issues switched off: switch them on in its settings"
            )));
        }
        self.checked_at = Some(now);
        self.api.makes_no_labels = false;
        Ok(())
    }

    /// A failed read: nothing was done, the destination rests.
    fn not_read(&self, failure: Failure, now: Timestamp) -> Stop {
        Box::new(match failure {
            Failure::NotSent(why) => held(Hold::Offline { why }),
            Failure::Unknown(why) | Failure::Unreadable(why) => held(Hold::Trouble { why }),
            Failure::Elsewhere(why) => held(Hold::Parked { why }),
            Failure::Status(reply) => {
                let why = reply.describe();
                match reply.judgement(now) {
                    ReplyJudgement::Limited(after) => held(Hold::Limited { after, why }),
                    ReplyJudgement::Forbidden | ReplyJudgement::Missing | ReplyJudgement::Gone => {
                        return parked(self.permission(&why));
                    }
                    ReplyJudgement::Refused | ReplyJudgement::Unclear | ReplyJudgement::Done => {
                        held(Hold::Trouble { why })
                    }
                }
            }
        })
    }

    fn permission(&self, why: &str) -> String {
        let vendor = self.place.vendor;
        format!(
            "{} refuses {}: {why}: check that the {} exists and that the token is valid and has {} on it",
            vendor.name(),
            self.place.project,
            vendor.noun(),
            vendor.right()
        )
    }

    /// A failed write that must not happen twice.
    fn not_written(&self, failure: Failure, note: &Note, now: Timestamp) -> DeliveryStep {
        let unknown = |why| DeliveryStep::Unknown {
            after: FIRST_LOOK_AFTER,
            note: Note {
                looked: None,
                ..note.clone()
            },
            why,
        };
        match failure {
            Failure::Unknown(why) | Failure::Unreadable(why) => unknown(why),
            Failure::Status(reply) => match reply.judgement(now) {
                ReplyJudgement::Unclear => unknown(reply.describe()),
                ReplyJudgement::Refused => DeliveryStep::Dead {
                    why: reply.describe(),
                },
                ReplyJudgement::Done
                | ReplyJudgement::Limited(_)
                | ReplyJudgement::Forbidden
                | ReplyJudgement::Missing
                | ReplyJudgement::Gone => *self.not_read(Failure::Status(reply), now),
            },
            Failure::NotSent(_) | Failure::Elsewhere(_) => *self.not_read(failure, now),
        }
    }

    /// The issue with this delivery's key, if it is there.
    fn look(
        &mut self,
        delivery: &Delivery,
        note: &Note,
        now: Timestamp,
    ) -> Result<Lookup<Issue>, Stop> {
        let key = &delivery.delivery_key;
        let marker = marker(key);
        let by_label = self.api.find_by_label(&label(key), &marker, now);
        let found = by_label.map_err(|failure| self.not_read(failure, now))?;
        // A row never sent yet can at most stem from an older backup: the label is enough for that.
        let never_sent = delivery.state == State::Pending && !note.accepted;
        if never_sent || !matches!(found, Lookup::Nothing) {
            return Ok(found);
        }
        if self.login.is_none() {
            let login = self
                .api
                .login(now)
                .map_err(|failure| self.not_read(failure, now))?;
            self.login = Some(login);
        }
        let login = self.login.clone().flatten();
        let since = delivery
            .created_at
            .min(self.api.server_time(now))
            .minus(LOOK_BACK);
        self.api
            .find_by_creator(login.as_deref(), since, &marker, now)
            .map_err(|failure| self.not_read(failure, now))
    }

    fn create(&mut self, attempt: &mut Attempt<'_>) -> Result<DeliveryStep, Stop> {
        let (delivery, now) = (attempt.delivery, attempt.now);
        match self.look(delivery, &attempt.note, now)? {
            Lookup::Found(issue) => return Ok(confirmed(&issue)),
            Lookup::Inconclusive => {
                return Ok(DeliveryStep::Unknown {
                    after: LOOK_AGAIN_AFTER,
                    note: attempt.note.clone(),
                    why: "too many issues to tell whether it was created: look by hand, then run outbox retry or drop".to_owned(),
                });
            }
            Lookup::Nothing => {}
        }
        attempt.may_write(self.api.server_time(now))?;
        let issue = self.new_issue(attempt);
        if let Some(step) = self.number_names(attempt, &issue)? {
            return Ok(step);
        }
        (attempt.begin)().map_err(|why| store_trouble(&why))?;
        let (created, by_location) = match self.api.create(&issue, now) {
            Ok(answer) => answer,
            Err(Failure::Status(reply))
                if reply.judgement(now) == ReplyJudgement::Refused && !attempt.note.plain =>
            {
                // An assignee who left must not keep a problem from a human: once more without extras.
                return Ok(DeliveryStep::Retry {
                    after: WRITE_GAP,
                    note: Note {
                        plain: true,
                        looked: None,
                        ..attempt.note.clone()
                    },
                    why: reply.describe(),
                });
            }
            Err(failure) => return Ok(self.not_written(failure, &attempt.note, now)),
        };
        let Some(created) = created else {
            let note = Note {
                accepted: true,
                looked: None,
                ..attempt.note.clone()
            };
            return Ok(match by_location {
                Some(number) => DeliveryStep::Confirmed {
                    number: Some(number),
                    url: None,
                },
                None => DeliveryStep::Unknown {
                    after: FIRST_LOOK_AFTER,
                    note,
                    why: "created, but the answer cannot be read".to_owned(),
                },
            });
        };
        self.warn_dropped(&created, &delivery.delivery_key);
        self.api.forget(&label(&delivery.delivery_key));
        Ok(confirmed(&created))
    }

    /// Gitea takes labels by number, GitLab assignees: they are looked up before the issue is written. A label that
    /// there is not is made, one in each attempt: `Some` = the issue follows. What cannot be had is left out: it must
    /// not keep a problem from a human.
    fn number_names(
        &mut self,
        attempt: &mut Attempt<'_>,
        issue: &NewIssue,
    ) -> Result<Option<DeliveryStep>, Stop> {
        let now = attempt.now;
        let missing = self.api.unnumbered(issue);
        if self.place.vendor == Vendor::GitLab {
            for name in &missing {
                if let Err(failure) = self.api.find_user(name, now) {
                    self.unless_refused(failure, now)?;
                    self.api.leave_out(name);
                }
            }
            return Ok(None);
        }
        // Nobody but this row makes its label: at its first attempt there is none.
        let own = label(&attempt.delivery.delivery_key);
        let is_first = attempt.delivery.attempts == 0;
        let sought: Vec<String> = missing
            .into_iter()
            .filter(|name| !is_first || *name != own)
            .collect();
        let whole = sought.is_empty()
            || match self.api.find_labels(&sought, now) {
                Ok(whole) => whole,
                Err(failure) => {
                    self.unless_refused(failure, now)?;
                    false
                }
            };
        for name in self.api.unnumbered(issue) {
            if !whole && sought.contains(&name) {
                self.api.leave_out(&name);
                continue;
            }
            (attempt.begin)().map_err(|why| store_trouble(&why))?;
            let (after, why) = match self.api.make_label(&name, now) {
                Ok(()) => (WRITE_GAP, "its label is made, the issue follows".to_owned()),
                Err(failure) => match unclear(failure, now) {
                    // Two labels of one name do no harm: the issue bears one of them.
                    Ok(why) if attempt.delivery.attempts < LABEL_TRIES => (pause(attempt), why),
                    Ok(_) => {
                        self.api.leave_out(&name);
                        continue;
                    }
                    Err(failure) => {
                        self.unless_refused(failure, now)?;
                        self.api.makes_no_labels = true;
                        return Ok(None);
                    }
                },
            };
            let note = attempt.note.clone();
            return Ok(Some(DeliveryStep::Retry { after, note, why }));
        }
        Ok(None)
    }

    /// A failure that is about what was asked for alone, and not about the server or the token.
    fn unless_refused(&self, failure: Failure, now: Timestamp) -> Result<(), Stop> {
        if let Failure::Status(reply) = &failure
            && matches!(reply.status, 403 | 404 | 422)
            && !limited(reply, now)
        {
            return Ok(());
        }
        Err(self.not_read(failure, now))
    }

    fn new_issue(&self, attempt: &Attempt<'_>) -> NewIssue {
        let key = &attempt.delivery.delivery_key;
        let payload = &attempt.payload;
        let title = title_line(&attempt.redact(&payload.title));
        let title = if title.trim().is_empty() {
            "Fault that needs a human".to_owned()
        } else {
            title
        };
        let mut body = String::new();
        if let Some(previous) = payload.previous_issue {
            body = format!("Seen before: #{previous}.\n\n");
        }
        body += &payload.body;
        let body = finish(&attempt.redact(&body), &marker(key));
        let place = &self.place;
        let mut labels = vec![label(key)];
        let mut assignees = Vec::new();
        if !attempt.note.plain {
            labels.extend(place.labels.iter().cloned());
            assignees.extend(place.assignees.iter().cloned());
        }
        NewIssue {
            title,
            body,
            labels,
            assignees,
            confidential: place.confidential,
        }
    }

    /// Labels and assignees are dropped in silence where the token may not set them.
    fn warn_dropped(&mut self, issue: &Issue, key: &str) {
        let labelled = issue.has_label(&label(key));
        let assigned = self.place.assignees.is_empty() || issue.is_assigned();
        let dropped = !labelled || !assigned;
        if dropped && !self.warned_dropped {
            self.warned_dropped = true;
            log::warn!(
                "{}: labels or assignees of issue #{} were dropped: the token lacks the right to set them; deliveries stay exactly-once by the hidden marker",
                self.place.project,
                issue.number
            );
        }
    }

    /// Comment, close, reopen and status: all on an issue that exists.
    fn revise(&mut self, attempt: &mut Attempt<'_>) -> Result<DeliveryStep, Stop> {
        let (delivery, now) = (attempt.delivery, attempt.now);
        let number = match delivery.issue_number {
            Some(number) => number,
            None => match self.look(
                delivery,
                &Note {
                    accepted: true,
                    ..attempt.note.clone()
                },
                now,
            )? {
                Lookup::Found(issue) => issue.number,
                Lookup::Nothing | Lookup::Inconclusive
                    if delivery.operation == Operation::Close =>
                {
                    return Ok(DeliveryStep::Confirmed {
                        number: None,
                        url: None,
                    });
                }
                Lookup::Nothing | Lookup::Inconclusive => {
                    return self.follow_up(attempt, "its issue was never found");
                }
            },
        };
        let issue = match self.api.issue(number, now) {
            Ok(issue) => issue,
            Err(Failure::Status(reply))
                if matches!(reply.status, 403 | 404 | 410) && !limited(&reply, now) =>
            {
                // The issue alone, or everything? Only the repository's own answer tells.
                self.checked_at = None;
                self.gate(now)?;
                return self.follow_up(
                    attempt,
                    &format!("issue #{number} is gone: {}", reply.describe()),
                );
            }
            Err(failure) => return Err(self.not_read(failure, now)),
        };
        let closed = issue.state == "closed";
        if closed && delivery.operation == Operation::Close {
            return Ok(confirmed(&issue));
        }
        if closed && delivery.operation == Operation::Reopen && self.closed_long_ago(&issue, now) {
            attempt.payload.previous_issue = Some(number);
            return self.follow_up(attempt, "it was closed too long ago to be reopened");
        }
        if issue.is_locked() {
            return Ok(DeliveryStep::Dead {
                why: format!("issue #{number} is locked"),
            });
        }
        if let Some(step) = self.write_comment(attempt, &issue)? {
            return Ok(step);
        }
        self.write_change(attempt, &issue)
    }

    /// The issue cannot be used: a recurrence becomes a new issue, the rest has nothing left to say.
    fn follow_up(&mut self, attempt: &mut Attempt<'_>, why: &str) -> Result<DeliveryStep, Stop> {
        let tells = !attempt.payload.title.is_empty() && !attempt.payload.body.is_empty();
        if attempt.delivery.operation == Operation::Reopen && tells {
            return self.create(attempt);
        }
        Ok(DeliveryStep::Dead {
            why: why.to_owned(),
        })
    }

    fn closed_long_ago(&self, issue: &Issue, now: Timestamp) -> bool {
        issue
            .closed_at
            .as_deref()
            .and_then(moment)
            .is_some_and(|at| self.api.server_time(now).since(at) > self.place.reopen)
    }

    /// Writes the row's comment unless it is there. `None` = go on.
    fn write_comment(
        &mut self,
        attempt: &mut Attempt<'_>,
        issue: &Issue,
    ) -> Result<Option<DeliveryStep>, Stop> {
        let (delivery, now) = (attempt.delivery, attempt.now);
        let Some(text) = attempt.payload.comment_text().map(str::to_owned) else {
            return Ok(None);
        };
        if attempt.note.commented {
            return Ok(None);
        }
        let marker = delivery.row_marker();
        if delivery.state != State::Pending || attempt.note.accepted {
            let since = delivery
                .created_at
                .min(self.api.server_time(now))
                .minus(LOOK_BACK);
            let look = self.api.find_comment(issue.number, since, &marker, now);
            match look.map_err(|failure| self.not_read(failure, now))? {
                Lookup::Found(_) => {
                    attempt.note.commented = true;
                    return Ok(None);
                }
                Lookup::Nothing | Lookup::Inconclusive => {
                    attempt.may_write(self.api.server_time(now))?
                }
            }
        }
        let back = if delivery.operation == Operation::Reopen {
            "**It is back.**\n\n"
        } else {
            ""
        };
        let body = finish(&attempt.redact(&format!("{back}{text}")), &marker);
        (attempt.begin)().map_err(|why| store_trouble(&why))?;
        if let Err(failure) = self.api.comment(issue.number, &body, now) {
            return Ok(Some(self.not_written(failure, &attempt.note, now)));
        }
        attempt.note = Note {
            commented: true,
            looked: None,
            ..attempt.note.clone()
        };
        if change_of(attempt, issue) == Change::default() {
            return Ok(Some(confirmed(issue)));
        }
        Ok(Some(DeliveryStep::Retry {
            after: WRITE_GAP,
            note: attempt.note.clone(),
            why: "comment written, the change follows".to_owned(),
        }))
    }

    /// State and status block. The same change twice does no harm, so an unclear outcome is simply repeated.
    fn write_change(
        &mut self,
        attempt: &mut Attempt<'_>,
        issue: &Issue,
    ) -> Result<DeliveryStep, Stop> {
        let change = change_of(attempt, issue);
        if change == Change::default() {
            return Ok(confirmed(issue));
        }
        (attempt.begin)().map_err(|why| store_trouble(&why))?;
        match self.api.change(issue.number, &change, attempt.now) {
            Ok(()) => Ok(confirmed(issue)),
            Err(failure) => {
                let step = self.not_written(failure, &attempt.note, attempt.now);
                let DeliveryStep::Unknown { why, note, .. } = step else {
                    return Ok(step);
                };
                Ok(DeliveryStep::Retry {
                    after: pause(attempt),
                    note,
                    why,
                })
            }
        }
    }
}

impl Tracker for IssueTracker {
    fn destination(&self) -> &str {
        &self.place.destination
    }

    fn deliver(
        &mut self,
        delivery: &Delivery,
        begin: &mut dyn FnMut() -> Result<(), OutboxError>,
        now: Timestamp,
    ) -> DeliveryStep {
        let payload = match Payload::parse(&delivery.payload) {
            Ok(payload) => payload,
            Err(why) => {
                return DeliveryStep::Dead {
                    why: why.to_string(),
                };
            }
        };
        let mut attempt = Attempt {
            delivery,
            payload,
            note: delivery.note(),
            redactor: OnceCell::new(),
            begin,
            now,
        };
        self.api.begin_attempt();
        let step = self.gate(now).and_then(|()| match delivery.operation {
            Operation::Create => self.create(&mut attempt),
            Operation::Comment | Operation::Close | Operation::Reopen => self.revise(&mut attempt),
        });
        let mut step = step.unwrap_or_else(|stop| *stop);
        // What this attempt learned must outlive the hold, or a comment would be written twice.
        if let DeliveryStep::Hold { note, .. } = &mut step {
            *note = attempt.note;
        }
        step
    }

    fn renewed(&mut self) -> bool {
        let changed = match self.place.read_token() {
            Ok(token) => self.api.token.as_ref() != Some(&token),
            Err(_) => false,
        };
        if changed {
            self.checked_at = None;
        }
        changed
    }
}

/// One attempt at one row.
struct Attempt<'a> {
    delivery: &'a Delivery,
    payload: Payload,
    note: Note,
    /// Made when needed, dropped with the attempt: the patterns take memory.
    redactor: OnceCell<Redactor>,
    begin: &'a mut dyn FnMut() -> Result<(), OutboxError>,
    now: Timestamp,
}

impl Attempt<'_> {
    /// All that leaves the box passes here, whatever the store redacted before.
    fn redact(&self, text: &str) -> String {
        self.redactor.get_or_init(Redactor::new).redact(text)
    }

    /// After an empty look: go on, or stop with the wait that is due.
    fn may_write(&mut self, server_now: Timestamp) -> Result<(), Stop> {
        match after_empty_look(self.delivery.state, &self.note, server_now) {
            AfterLook::Write => Ok(()),
            AfterLook::Wait(after, note) => Err(Box::new(DeliveryStep::Unknown {
                after,
                note,
                why: "looked and found nothing yet".to_owned(),
            })),
            AfterLook::GiveUpLooking => Err(Box::new(DeliveryStep::Confirmed {
                number: None,
                url: None,
            })),
        }
    }
}

/// Why it is not known what came of a write, or else the failure.
fn unclear(failure: Failure, now: Timestamp) -> Result<String, Failure> {
    match failure {
        Failure::Unknown(why) | Failure::Unreadable(why) => Ok(why),
        Failure::Status(reply) if reply.judgement(now) == ReplyJudgement::Unclear => {
            Ok(reply.describe())
        }
        Failure::Status(_) | Failure::NotSent(_) | Failure::Elsewhere(_) => Err(failure),
    }
}

/// How long to wait after an outcome that may be repeated.
fn pause(attempt: &Attempt<'_>) -> Duration {
    backoff(RETRY_BASE, RETRY_MOST, attempt.delivery.attempts, 0)
}

/// What of the issue is to change.
fn change_of(attempt: &Attempt<'_>, issue: &Issue) -> Change {
    let state = match (attempt.delivery.operation, issue.state.as_str()) {
        (Operation::Close, "open" | "opened") => match attempt.payload.resolution.as_str() {
            "not_a_fault" | "superseded" => Some(NewState::NotPlanned),
            _ => Some(NewState::Done),
        },
        (Operation::Reopen, "closed") => Some(NewState::Open),
        _ => None,
    };
    let mut change = Change { state, body: None };
    let old = issue.body.as_deref().unwrap_or("");
    let status = attempt.payload.status.trim();
    if !status.is_empty()
        && let Some(new) = replace_status(old, &attempt.redact(status))
        && new != old
    {
        change.body = Some(new);
    }
    change
}

/// Redacted text as it leaves the box: within bounds, marked.
fn finish(text: &str, marker: &str) -> String {
    let room = BODY_CAP.saturating_sub(marker.len() + 2);
    format!("{}\n\n{marker}", fit(text.trim_end(), room))
}

fn confirmed(issue: &Issue) -> DeliveryStep {
    DeliveryStep::Confirmed {
        number: Some(issue.number),
        url: Some(issue.html_url.clone()).filter(|url| !url.is_empty()),
    }
}

fn parked(why: String) -> Stop {
    Box::new(held(Hold::Parked { why }))
}

/// The note is filled in at the end of the attempt.
fn held(hold: Hold) -> DeliveryStep {
    DeliveryStep::Hold {
        hold,
        note: Note::default(),
    }
}

fn store_trouble(why: &OutboxError) -> Stop {
    Box::new(held(Hold::Trouble {
        why: format!("the store did not take it: {}", why.with_hint()),
    }))
}

fn limited(reply: &crate::core::human::reply::Reply, now: Timestamp) -> bool {
    matches!(reply.judgement(now), ReplyJudgement::Limited(_))
}
