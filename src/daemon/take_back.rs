//! `undo`: a human has taken back what an action changed, by the record that was stored before it.

use std::borrow::Cow;
use std::error::Error;
use std::fmt;

use crate::actions::{self, ActionContext, ActionError, Undo};
use crate::core::config::Config;
use crate::core::model::healthy::HealthyUnits;
use crate::core::model::hint::Hint;
use crate::core::model::id::TaskId;
use crate::core::model::sorted::SortedSet;
use crate::core::model::task::{Outcome, Resolution, Transition};
use crate::core::remedy::gates::Closed;
use crate::core::remedy::step::Reason;
use crate::daemon::host_facts::{self, StoreFacts};
use crate::daemon::loaded_config::{LoadError, LoadedConfig};
use crate::daemon::status::Daemon;
use crate::host::Host;
use crate::store::{Attempt, Reader, Store, StoreError};

/// What an action left behind.
#[derive(Clone, Debug)]
pub struct Effect {
    pub attempt: Attempt,
    pub undo: Undo,
}

/// That of the last action of a task that held; `None` where nothing of it can be taken back. What did not hold has
/// been taken back already.
pub fn effect(reader: &Reader, id: TaskId) -> Result<Option<Effect>, TakeBackError> {
    let attempts = reader.attempts(id)?.into_iter();
    let Some(attempt) = attempts.rev().find(held) else {
        return Ok(None);
    };
    match record(&attempt) {
        Ok(Undo::None) => Ok(None),
        Ok(undo) => Ok(Some(Effect { attempt, undo })),
        Err(why) => Err(TakeBackError::Record(Box::new(attempt), why)),
    }
}

fn held(attempt: &Attempt) -> bool {
    attempt.outcome == Some(Outcome::Verified)
}

/// What can be taken back now, of each task that of the last action that held; the newest first.
pub fn effects(reader: &Reader) -> Result<Vec<Effect>, StoreError> {
    let mut seen = SortedSet::new();
    let attempts = reader.all_attempts()?.into_iter().rev().filter(held);
    let last = attempts.filter(|attempt| seen.insert(attempt.task_id));
    let known = last.filter_map(|attempt| match record(&attempt) {
        Ok(Undo::None) | Err(_) => None,
        Ok(undo) => Some(Effect { attempt, undo }),
    });
    Ok(known.collect())
}

/// The undo record that was stored before an attempt.
pub fn record(attempt: &Attempt) -> Result<Undo, serde_json::Error> {
    Undo::read(&attempt.undo)
}

/// Why nothing was taken back, or not all of it.
#[derive(Debug)]
pub enum TakeBackError {
    Store(StoreError),
    Load(LoadError),
    /// What was stored before this attempt cannot be read: what it did is not known for sure, and nothing is touched.
    Record(Box<Attempt>, serde_json::Error),
    Gate(Reason),
    Action(ActionError),
}

impl fmt::Display for TakeBackError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Store(why) => why.fmt(f),
            Self::Load(why) => why.fmt(f),
            Self::Record(of, why) => write!(
                f,
                "task {}: the undo record of attempt {} cannot be read: {why}",
                of.task_id, of.id
            ),
            Self::Gate(reason) => write!(f, "nothing was touched: {reason}"),
            Self::Action(why) => why.fmt(f),
        }
    }
}

impl Error for TakeBackError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Store(why) => Some(why),
            Self::Load(why) => Some(why),
            Self::Record(_, why) => Some(why),
            Self::Gate(_) => None,
            Self::Action(why) => Some(why),
        }
    }
}

impl Hint for TakeBackError {
    fn hint(&self) -> Cow<'static, str> {
        match self {
            Self::Store(why) => why.hint(),
            Self::Load(why) => why.hint(),
            Self::Record(attempt, _) => {
                format!("put back by hand what '{}' did", attempt.action_text).into()
            }
            Self::Action(why) => why.hint(),
            Self::Gate(_) => "".into(),
        }
    }
}

impl From<StoreError> for TakeBackError {
    fn from(why: StoreError) -> Self {
        Self::Store(why)
    }
}

/// Takes `effect` back for `actor`, once the gates are open. It is in the audit before the host is touched, and closes
/// the task in the name of `actor`; the same action on the same problem is asked for from then on.
pub fn take_back(
    host: &Host,
    config: Config,
    store: &Store,
    effect: &Effect,
    actor: &str,
) -> Result<String, TakeBackError> {
    if let Some(reason) = closed(host, &config, &store.reader()?)? {
        return Err(TakeBackError::Gate(reason));
    }
    let loaded = LoadedConfig::load(host, config).map_err(TakeBackError::Load)?;
    let Attempt {
        id,
        task_id,
        action_text,
        ..
    } = &effect.attempt;
    let note = |event: &str, why: &str| {
        let now = host.clock.now();
        store.note(Some(*task_id), event, action_text, actor, why, now)
    };
    note("undo", &effect.undo.to_string())?;
    // What is put back was ours.
    let healthy = HealthyUnits::default();
    let context = ActionContext {
        host,
        config: &loaded.config,
        managers: &loaded.managers,
        backup_dir: &host.path(&loaded.config.daemon.state_dir).join("backups"),
        healthy: &healthy,
    };
    let done = match actions::undo(&context, &effect.undo) {
        Ok(done) => done,
        Err(why) => {
            note("undo_failed", &why.with_hint())?;
            return Err(TakeBackError::Action(why));
        }
    };
    let close = Transition::Close {
        resolution: Resolution::Human,
        message: format!("{action_text} was taken back by {actor}"),
    };
    let now = host.clock.now();
    store.end_attempt(*id, Outcome::Undone, &done, close, actor, now)?;
    Ok(done)
}

/// The gate that keeps even a human's order from the host: the kill switch, a clock that is wrong, and another action
/// that is under way. A maintenance window is a human's own.
fn closed(host: &Host, config: &Config, reader: &Reader) -> Result<Option<Reason>, StoreError> {
    let life = Daemon::ask(host, config).life();
    let shut = host_facts::paused(host, config, life, StoreFacts::default()).into_iter();
    let mut reasons = shut.map(|Closed { reason, .. }| reason);
    let shut = reasons.find(|reason| matches!(reason, Reason::KillSwitch(_) | Reason::Clock));
    let under_way = reader.open_attempts()?.iter().any(Attempt::is_disruptive);
    Ok(shut.or(under_way.then_some(Reason::Slot)))
}
