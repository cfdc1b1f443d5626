//! The language model's place among the advisors: asked late, seldom and once per fault; one voice.

use std::sync::PoisonError;
use std::time::{Duration, Instant};

use sha2::{Digest, Sha256};

use crate::core::diagnosis::advisors::Advice;
use crate::core::diagnosis::llm::{self, Choice};
use crate::core::diagnosis::naming::Named;
use crate::core::human::redact::Redactor;
use crate::core::model::action::ActionKind;
use crate::core::model::candidate::Candidate;
use crate::core::model::finding::Finding;
use crate::core::model::hex::hex;
use crate::core::model::snippet::Snippet;
use crate::core::model::task::{Phase, Task};
use crate::core::model::time::Timestamp;
use crate::daemon::desk::Desk;
use crate::daemon::loaded_config::LoadedConfig;
use crate::daemon::runtime::Runtime;
use crate::daemon::transports;
use crate::store::StoreError;

/// Answers kept; the whole cache is dropped when it is full.
const CACHE_MOST: usize = 256;
/// No further persona is asked after this time: a worker has to show signs of life.
const ASK_MOST: Duration = Duration::from_secs(30);
/// Meta row: the hour and the calls booked in it.
const BOOKED: &str = "llm_calls";

/// What the model advises, where one is configured, this fault needs research, and the budget allows it.
pub fn advise(
    runtime: &Runtime,
    loaded: &LoadedConfig,
    task: &Task,
    finding: &Finding,
    named: &Named,
    candidates: &[Candidate],
    snippets: &[Snippet],
) -> Result<Option<Advice>, StoreError> {
    let config = &loaded.config.llm;
    // A certain action needs no opinion, and with nothing offered there is nothing to choose.
    let early = task.phase == Phase::QuickFix && candidates.iter().any(|one| one.certain);
    if config.url.is_empty() || candidates.is_empty() || early || runtime.dry_run {
        return Ok(None);
    }
    let offered: Vec<ActionKind> = candidates.iter().map(|one| one.kind).collect();
    let key = format!("{} {offered:?}", task.issue_hash);
    let lock = |desk: &Desk| -> Option<Option<Advice>> {
        let known = desk.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.get(&key).cloned()
    };
    if let Some(answer) = lock(&runtime.llm) {
        return Ok(answer);
    }
    // Workers do not queue up behind a slow model: this step goes on without it.
    let Ok(_asking) = runtime.llm.asking.try_lock() else {
        return Ok(None);
    };
    if let Some(answer) = lock(&runtime.llm) {
        return Ok(answer);
    }
    let now = runtime.host.clock.now();
    let asked = config.personas.len();
    if !book(runtime, config.calls_per_hour, asked, now)? {
        log::info!("the language model is not asked: its calls of this hour are used up");
        return Ok(None);
    }
    let redactor = Redactor::new();
    let redact = |text: &str| redactor.redact(text);
    let fence = fence(runtime, task, now)?;
    let mut choices: Vec<Choice> = Vec::new();
    let began = Instant::now();
    for persona in &config.personas {
        if began.elapsed() > ASK_MOST {
            log::warn!("the language model is slow: {persona} is not asked");
            break;
        }
        let prompt = llm::prompt(
            persona, finding, named, candidates, snippets, &fence, &redact,
        );
        let answer =
            crate::escalation::llm::ask(config, transports::credentials().as_deref(), &prompt)
                .map_err(|why| why.to_string())
                .and_then(|body| {
                    llm::read(&body, &offered, &redact).map_err(|why| why.to_string())
                });
        match answer {
            Ok(choice) => choices.push(choice),
            Err(why) => {
                log::warn!("the language model as {persona}: {why}: it does not count");
                runtime
                    .store
                    .note(Some(task.id), "llm_refused", persona, "llm", &why, now)?;
            }
        }
    }
    let advice = llm::advice(&choices, asked, named);
    if let Some(advice) = &advice {
        let kind = advice.actions.first().map_or("", |(kind, _)| kind.as_str());
        runtime.store.note(
            Some(task.id),
            "llm_advised",
            kind,
            "llm",
            &advice.evidence,
            now,
        )?;
    }
    let mut known = runtime
        .llm
        .known
        .lock()
        .unwrap_or_else(PoisonError::into_inner);
    if known.len() >= CACHE_MOST {
        known.clear();
    }
    known.insert(key, advice.clone());
    Ok(advice)
}

/// Books calls durably before they are made; false when the hour's are used up.
fn book(runtime: &Runtime, most: u32, calls: usize, now: Timestamp) -> Result<bool, StoreError> {
    let hour: String = now.to_string().chars().take(13).collect();
    let booked = runtime.store.meta(BOOKED)?.unwrap_or_default();
    let used = booked
        .strip_prefix(&hour)
        .and_then(|rest| rest.trim().parse::<usize>().ok())
        .unwrap_or(0);
    let total = used + calls;
    if total > usize::try_from(most).unwrap_or(usize::MAX) {
        return Ok(false);
    }
    runtime.store.set_meta(BOOKED, &format!("{hour} {total}"))?;
    Ok(true)
}

/// A word that whoever wrote the log line cannot have known.
fn fence(runtime: &Runtime, task: &Task, now: Timestamp) -> Result<String, StoreError> {
    let mut hash = Sha256::new();
    for part in [
        &runtime.store.gateway_id()?,
        &runtime.store.reader()?.audit_head()?,
        &task.issue_hash,
        &now.to_string(),
    ] {
        hash.update(part.as_bytes());
    }
    let text = hex(&hash.finalize());
    Ok(format!("==={}===", text.get(..24).unwrap_or(&text)))
}
