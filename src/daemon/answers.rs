//! Hears buttons that humans press below our messages and changes the tasks. Off unless users are listed.

use std::time::Duration;

use crate::core::config::Notify;
use crate::core::human::answer::{
    AnswerBasis, AnswerKey, AnswerKind, AnswerVoid, Button, LIVES, Press, judge,
};
use crate::core::model::hint::Hint;
use crate::core::model::object::object;
use crate::core::model::proposal::Digest;
use crate::core::model::task::{Status, Task};
use crate::core::model::time::Timestamp;
use crate::daemon::runtime::Runtime;
use crate::daemon::transports;
use crate::escalation::channel::answers::{Answers, Presses};
use crate::store::StoreError;

/// While a message is fresh that may be answered.
const SOON: Duration = Duration::from_secs(15);
/// Else: who presses an old button is asked anew.
const SELDOM: Duration = Duration::from_secs(300);
const FAILED_MOST: Duration = Duration::from_secs(900);
/// As the label of a tracker.
const SNOOZE: Duration = Duration::from_secs(24 * 3_600);

/// Listens to one bot.
#[derive(Debug)]
pub struct AnswerPoller {
    answers: Answers,
    config: Notify,
    key: AnswerKey,
    next_at: Timestamp,
    /// When it was looked last whether anything was asked meanwhile.
    peeked_at: Timestamp,
    failures: u32,
}

impl AnswerPoller {
    /// `None` where the channel of this name hears nobody.
    pub fn of(runtime: &Runtime, channel: &str) -> Option<Self> {
        let channels = runtime.loaded().config.channels();
        let config = channels.iter().find(|one| one.name == channel)?;
        if config.answers_from.is_empty() {
            return None;
        }
        let key = transports::answer_key(runtime)?;
        let stop = runtime.stop_flag();
        let answers = Answers::open(config, transports::credentials(), stop)
            .map_err(|why| transports::not_served(&config.name, &why))
            .ok()?;
        Some(Self::new(answers, config, key))
    }

    pub fn new(answers: Answers, config: &Notify, key: AnswerKey) -> Self {
        Self {
            answers,
            config: config.clone(),
            key,
            next_at: Timestamp::from_millis(i64::MIN),
            peeked_at: Timestamp::from_millis(0),
            failures: 0,
        }
    }

    /// Looks when it is due; when to come back.
    pub fn tick(&mut self, runtime: &Runtime, now: Timestamp) -> Timestamp {
        // A clock that jumped back must not silence it.
        let waits = now < self.next_at && self.next_at <= now.plus(FAILED_MOST);
        if waits && !self.is_asked_since(runtime, now) {
            return self.next_at;
        }
        let wait = match self.round(runtime, now) {
            Ok(wait) => wait,
            Err(why) => {
                log::warn!("answers of {}: {}", self.config.name, why.with_hint());
                SELDOM
            }
        };
        self.next_at = now.plus(wait);
        self.next_at
    }

    /// Something was asked while nobody was expected to answer.
    fn is_asked_since(&mut self, runtime: &Runtime, now: Timestamp) -> bool {
        if self.failures > 0 || self.next_at <= now.plus(SOON) || now < self.peeked_at.plus(SOON) {
            return false;
        }
        self.peeked_at = now;
        let last = runtime.store.last_delivered(&self.config.name);
        last.is_ok_and(|at| at.is_some_and(|at| now.since(at) < SOON.saturating_mul(3)))
    }

    fn mark(&self) -> String {
        format!("answers:{}", self.config.name)
    }

    fn round(&mut self, runtime: &Runtime, now: Timestamp) -> Result<Duration, StoreError> {
        let store = &runtime.store;
        let from = store.meta(&self.mark())?;
        let looked = match self.answers.look(from.and_then(|text| text.parse().ok())) {
            Ok(looked) => looked,
            Err(why) => {
                if self.failures == 0 {
                    log::warn!("answers of {}: {}", self.config.name, why.with_hint());
                }
                let wait = SOON.saturating_mul(1 << self.failures.min(7));
                self.failures = self.failures.saturating_add(1);
                return Ok(wait.min(FAILED_MOST));
            }
        };
        self.failures = 0;
        for press in &looked.presses {
            self.hear(runtime, press, &looked, now)?;
        }
        // After the deeds: one cut short is heard again, and its button counts once.
        if let Some(next) = looked.next {
            store.set_meta(&self.mark(), &next.to_string())?;
        }
        let last = store.last_delivered(&self.config.name)?;
        let is_fresh = last.is_some_and(|at| now.since(at) < LIVES);
        Ok(if is_fresh { SOON } else { SELDOM })
    }

    /// One press: judged, done, audited and answered.
    fn hear(
        &self,
        runtime: &Runtime,
        press: &Press,
        looked: &Presses,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let store = &runtime.store;
        let who = format!("telegram:{}", press.user);
        let (asked, came) = match self.key.read(&press.data) {
            Ok(asked) => {
                let task = store.reader()?.task(asked.task)?;
                let basis = AnswerBasis {
                    users: &self.config.answers_from,
                    chat: self.config.to.first().map_or("", String::as_str),
                    now: looked.now,
                    used: store.is_answer_used(&asked.nonce)?,
                    is_open: task
                        .as_ref()
                        .is_some_and(|task| task.status != Status::Closed),
                    proposal: task.as_ref().and_then(|task| task.proposal.as_ref()),
                };
                let came = judge(press, &asked, &basis);
                (Some((asked, task)), came)
            }
            Err(void) => (None, Err(void)),
        };
        let text = match (asked, came) {
            (Some((asked, Some(task))), Ok(action)) => {
                // Before the deed: it counts once, whatever happens then.
                match store.use_answer(&asked.nonce)? {
                    true => grant(runtime, &task, &asked, action.as_ref(), &who, now)?,
                    false => AnswerVoid::Used.to_string(),
                }
            }
            (asked, came) => {
                let void = came.err().unwrap_or(AnswerVoid::Closed);
                self.ignored(runtime, asked.as_ref(), press, &void, &who, now)?
            }
        };
        let counted = text.starts_with(DONE);
        if let Err(why) = self.answers.reply(press, &text, counted) {
            // It is done all the same.
            log::info!(
                "{}: the answer is not acknowledged: {why}",
                self.config.name
            );
        }
        runtime.beat(&format!("channel {}", self.config.name));
        Ok(())
    }

    /// Writes down what counts for nothing. Who may answer and came too late is asked anew.
    fn ignored(
        &self,
        runtime: &Runtime,
        asked: Option<&(Button, Option<Task>)>,
        press: &Press,
        void: &AnswerVoid,
        who: &str,
        now: Timestamp,
    ) -> Result<String, StoreError> {
        let store = &runtime.store;
        let task = asked.and_then(|(_, task)| task.as_ref());
        let word = asked.map_or("answer", |(asked, _)| asked.verb.word());
        log::info!("{word} by {who}: ignored: {void}");
        let about = task.map(|task| task.id);
        store.note(about, "reply_ignored", word, who, &void.to_string(), now)?;
        let is_late = matches!(void, AnswerVoid::Expired | AnswerVoid::OtherAction);
        if let (Some((asked, Some(task))), true) = (asked, is_late)
            && self.config.answers_from.contains(&press.user)
            && store.use_answer(&asked.nonce)?
        {
            store.ask_again(task.id, &self.config.name, question(task), now)?;
            runtime.courier.ring();
            return Ok(format!("{void}: asked anew, look at the next message"));
        }
        Ok(format!("ignored: {void}"))
    }
}

/// What an answer that counted begins with.
const DONE: &str = "done: ";

/// What the task asks for now.
fn question(task: &Task) -> serde_json::Value {
    match &task.proposal {
        Some(action) => object!({
            "proposal": action.digest().as_str(),
            "action": action.whole(),
            "action_kind": action.kind.as_str(),
        }),
        None => serde_json::Value::Object(serde_json::Map::new()),
    }
}

/// Does it, as far as the task's state lets it: the same as on the command line.
fn grant(
    runtime: &Runtime,
    task: &Task,
    asked: &Button,
    action: Option<&Digest>,
    who: &str,
    now: Timestamp,
) -> Result<String, StoreError> {
    let store = &runtime.store;
    let done = match (asked.verb, action) {
        (AnswerKind::Acknowledge, _) => store.acknowledge(task.id, who, now),
        (AnswerKind::Snooze, _) => store.snooze(task.id, now.plus(SNOOZE), who, now),
        (AnswerKind::Approve, Some(action)) => {
            store.approve(task.id, action, now.plus(LIVES), who, now)
        }
        (AnswerKind::Approve, None) => return Ok(AnswerVoid::NothingProposed.to_string()),
    };
    match done {
        Ok(()) => {
            log::info!("{} by {who}: task {}", asked.verb.word(), task.id);
            runtime.work.ring();
            runtime.courier.ring();
            let what = match asked.verb {
                AnswerKind::Acknowledge => {
                    "nothing is repaired here until you say so on the gateway"
                }
                AnswerKind::Snooze => "left alone for 24 hours",
                AnswerKind::Approve => {
                    "it is done once, as the message says, if nothing else forbids it"
                }
            };
            Ok(format!("{DONE}{what}"))
        }
        // The task moved on meanwhile: there is nothing left to grant.
        Err(
            why @ (StoreError::WrongState { .. }
            | StoreError::NotProposed { .. }
            | StoreError::NoTask(_)),
        ) => Ok(format!("ignored: {why}")),
        Err(why) => Err(why),
    }
}
