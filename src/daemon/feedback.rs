//! Hears what humans do on our issues and changes the tasks. Off unless logins are listed.

use std::time::Duration;

use crate::core::config;
use crate::core::human::feedback::{self, ApprovalBasis, Feedback, Void, Wish};
use crate::core::model::hint::Hint;
use crate::core::model::id::{IssueEventId, IssueNumber, TaskId};
use crate::core::model::task::{Resolution, Task};
use crate::core::model::time::Timestamp;
use crate::daemon::runtime::Runtime;
use crate::daemon::transports;
use crate::escalation::github::Settings;
use crate::escalation::github::events::Events;
use crate::escalation::http::Https;
use crate::store::{Store, StoreError};

/// Issues looked at in one round, the newest escalations first.
const ISSUES_MOST: usize = 50;
/// What `orchestrator:snooze` asks for.
const SNOOZE: Duration = Duration::from_secs(24 * 3_600);

/// Listens to one repository.
#[derive(Debug)]
pub struct ReplyPoller {
    events: Events,
    logins: Vec<String>,
    every: Duration,
    next_at: Timestamp,
    failed: bool,
}

impl ReplyPoller {
    /// `None` where nobody is listed.
    pub fn new(runtime: &Runtime, config: &config::Escalation) -> Option<Self> {
        let github = config.github.clone()?;
        if github.replies_from.is_empty() {
            return None;
        }
        let transport = Https::new(Duration::from_secs(github.timeout_s), &github.ca_file)
            .map_err(|why| transports::not_served("escalation.github", &why))
            .ok()?
            .stopped_by(runtime.stop_flag());
        let logins = github.replies_from.clone();
        let every = Duration::from_secs(github.replies_every_s);
        let settings = Settings {
            github,
            credentials: transports::credentials(),
            reopen: Duration::ZERO,
        };
        Some(Self {
            events: Events::new(settings, Box::new(transport)),
            logins,
            every,
            next_at: Timestamp::from_millis(i64::MIN),
            failed: false,
        })
    }

    /// Looks at every open issue of ours when it is due; when to come back.
    pub fn tick(&mut self, runtime: &Runtime, now: Timestamp) -> Timestamp {
        if now < self.next_at {
            return self.next_at;
        }
        self.next_at = now.plus(self.every);
        if let Err(why) = self.round(runtime, now) {
            log::warn!("replies: {}: trying again", why.with_hint());
        }
        self.next_at
    }

    fn round(&mut self, runtime: &Runtime, now: Timestamp) -> Result<(), StoreError> {
        let reader = runtime.store.reader()?;
        let open: Vec<(TaskId, IssueNumber)> = reader
            .escalations(true)?
            .iter()
            .filter_map(|row| Some((row.task_id, row.issue_number?)))
            .take(ISSUES_MOST)
            .collect();
        let numbers: Vec<IssueNumber> = open.iter().map(|(_, number)| *number).collect();
        self.events.keep(&numbers);
        for (task_id, number) in open {
            if runtime.stopping() {
                break;
            }
            let Some(task) = reader.task(task_id)? else {
                continue;
            };
            let events = match self.events.of(number, now) {
                Ok(events) => events,
                Err(why) => {
                    if !self.failed {
                        log::warn!("replies on #{number}: {}: trying again", why.why);
                    }
                    self.failed = true;
                    if let Some(rest) = why.rest {
                        self.next_at = self.next_at.max(now.plus(rest));
                    }
                    break;
                }
            };
            self.failed = false;
            runtime.beat("courier");
            self.apply(runtime, &task, number, &events, now)?;
        }
        Ok(())
    }

    fn apply(
        &self,
        runtime: &Runtime,
        task: &Task,
        number: IssueNumber,
        events: &[feedback::IssueEvent],
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let key = format!("heard:{}", task.id);
        let known = runtime.store.meta(&key)?;
        let after = known.as_deref().and_then(|text| text.parse().ok());
        let after = after.map(IssueEventId::from_number);
        let (listed, others, last) =
            feedback::heard(events, &self.logins, after.unwrap_or_default());
        if last == after.unwrap_or_default() {
            return Ok(());
        }
        // An issue taken over from an earlier life: what was said then was about then.
        if after.is_some() || !taken_over(runtime, task, number)? {
            for other in others {
                let reason = format!("#{number}: not listed in escalation.github.replies_from");
                let who = format!("github:{}", other.login);
                runtime.store.note(
                    Some(task.id),
                    "reply_ignored",
                    other.wish.as_str(),
                    &who,
                    &reason,
                    now,
                )?;
            }
            for one in listed {
                self.grant(runtime, task, &one, number, now)?;
            }
        }
        // After the deed: one cut short is done again, which changes nothing.
        runtime.store.set_meta(&key, &last.number().to_string())
    }
}

fn taken_over(runtime: &Runtime, task: &Task, number: IssueNumber) -> Result<bool, StoreError> {
    let Some(previous) = task.previous_id else {
        return Ok(false);
    };
    let previous = runtime.store.reader()?.task(previous)?;
    Ok(previous.is_some_and(|one| one.github_issue_number == Some(number)))
}

impl ReplyPoller {
    /// Does what a listed human wishes, as far as the task's state and the configuration let it.
    fn grant(
        &self,
        runtime: &Runtime,
        task: &Task,
        one: &Feedback,
        number: IssueNumber,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let who = format!("github:{}", one.login);
        let store = &runtime.store;
        if !matches!(one.wish, Wish::Approve(_))
            && let Err(void) = self.still_means(runtime, task, one)?
        {
            return ignored(store, task.id, one, &void, now);
        }
        let done = match &one.wish {
            Wish::Close { not_a_fault } => {
                let resolution = match not_a_fault {
                    true => Resolution::NotAFault,
                    false => Resolution::Human,
                };
                store.close_by_human(task.id, resolution, &who, now)
            }
            Wish::Acknowledge => store.acknowledge(task.id, &who, now),
            Wish::Snooze => store.snooze(task.id, now.plus(SNOOZE), &who, now),
            Wish::Retry => store.retry(task.id, &who, now),
            Wish::Approve(named) => self.approve(runtime, task.id, named.as_deref(), one, now),
        };
        match done {
            Ok(()) => {
                log::info!(
                    "{} by {who} on #{number}: task {}",
                    one.wish.as_str(),
                    task.id
                );
                runtime.work.ring();
                runtime.courier.ring();
                Ok(())
            }
            // The task moved on meanwhile: there is nothing left to grant.
            Err(
                why @ (StoreError::WrongState { .. }
                | StoreError::NotProposed { .. }
                | StoreError::NoTask(_)),
            ) => {
                let (wish, why) = (one.wish.as_str(), why.with_hint());
                log::info!("{wish} by {who} on #{number}: {why}");
                Ok(())
            }
            Err(why) => Err(why),
        }
    }

    /// Allows what is proposed now, where the label means it; what counts for nothing is written down.
    fn approve(
        &self,
        runtime: &Runtime,
        task_id: TaskId,
        named: Option<&str>,
        one: &Feedback,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let (store, reader) = (&runtime.store, runtime.store.reader()?);
        let who = format!("github:{}", one.login);
        // What stands now: an event before this one may have changed it.
        let proposal = reader.task(task_id)?.and_then(|task| task.proposal);
        let action = proposal.map(|proposal| proposal.digest());
        let shown = match &action {
            Some(action) => reader.shown_since(task_id, action)?,
            None => None,
        };
        let by_the_server = |at: Timestamp| self.events.server_time(at);
        let standing = ApprovalBasis {
            action: action.as_ref(),
            shown_since: shown.map(by_the_server),
            by_name: reader.is_proposed_by_name(task_id)?,
            restored: reader.last_restore()?.map(by_the_server),
            now: by_the_server(now),
            lives: Duration::from_secs(runtime.loaded().config.fix.approval_s),
        };
        match feedback::allows(named, one.at, &standing) {
            Ok((action, left)) => store.approve(task_id, &action, now.plus(left), &who, now),
            Err(void) => ignored(store, task_id, one, &void, now),
        }
    }

    /// No issue of a task can have shown it before it was found. When ours was opened is not certain enough: where the
    /// answer was lost, somebody may have closed it before we knew of it.
    fn still_means(
        &self,
        runtime: &Runtime,
        task: &Task,
        one: &Feedback,
    ) -> Result<Result<Timestamp, Void>, StoreError> {
        let by_the_server = |at: Timestamp| self.events.server_time(at);
        let restored = runtime.store.reader()?.last_restore()?;
        Ok(feedback::still_means(
            one.at,
            Some(by_the_server(task.detected_at)),
            restored.map(by_the_server),
        ))
    }
}

/// Writes down what counts for nothing.
fn ignored(
    store: &Store,
    task_id: TaskId,
    one: &Feedback,
    void: &Void,
    now: Timestamp,
) -> Result<(), StoreError> {
    let who = format!("github:{}", one.login);
    let (wish, why) = (one.wish.as_str(), void.to_string());
    log::info!("{wish} by {who} on task {task_id}: ignored: {why}");
    store.note(Some(task_id), "reply_ignored", wish, &who, &why, now)
}
