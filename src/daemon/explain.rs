//! `explain`: the whole reasoning about one task, from facts to refusals. Reads only.

use std::fmt::Write;

use serde_json::{Value, json};

use crate::actions::{self, Action, ActionContext, Basis};
use crate::core::config::Config;
use crate::core::diagnosis::advisors::Advice;
use crate::core::diagnosis::consensus::{self, Consensus};
use crate::core::diagnosis::naming::Named;
use crate::core::model::candidate::Candidate;
use crate::core::model::snippet::Snippet;
use crate::core::model::task::Task;
use crate::daemon::diagnose::{self, Reasoned};
use crate::daemon::loaded_config::LoadedConfig;
use crate::daemon::runtime::store_options;
use crate::daemon::verify;
use crate::host::Host;
use crate::store::{Attempt, Store, StoreError};

/// One action that a runbook offers, and what stands in its way now.
#[derive(Debug)]
struct Weighed {
    candidate: Candidate,
    /// The typed action, or which fact is missing for it.
    action: Result<Box<dyn Action>, String>,
    mode: String,
    /// Why its precondition does not hold now.
    refused: Option<String>,
}

/// Everything that led to a task's state.
#[derive(Debug)]
pub struct Explained {
    task: Task,
    named: Named,
    weighed: Vec<Weighed>,
    advice: Vec<Advice>,
    snippets: Vec<Snippet>,
    vote: Consensus,
    attempts: Vec<Attempt>,
}

/// Reasons about task `id` as a worker would, without claiming it.
pub fn explain(host: &Host, config: Config, id: i64) -> Result<Explained, String> {
    let text = |why: StoreError| why.to_string();
    let reader = Store::open_read_only(&store_options(host, &config)).map_err(text)?;
    let task = reader
        .task(id)
        .map_err(text)?
        .ok_or_else(|| StoreError::NoTask(id).to_string())?;
    let loaded = LoadedConfig::load(host, config).map_err(|why| why.to_string())?;
    let open = reader.open_tasks().map_err(text)?;
    let finding = diagnose::enrich(host, &loaded, verify::finding_of(&task), &task, &open);
    let Reasoned {
        named,
        candidates,
        snippets,
        advice,
        ..
    } = diagnose::reason(host, &loaded, &reader, &task, &finding).map_err(text)?;
    let backup_dir = host.path(&loaded.config.daemon.state_dir).join("backups");
    let context = ActionContext {
        host,
        config: &loaded.config,
        managers: &loaded.managers,
        backup_dir: &backup_dir,
    };
    let weighed = candidates
        .into_iter()
        .map(|candidate| {
            let basis = Basis {
                finding: &finding,
                config: &loaded.config,
                command: candidate.command.as_deref(),
            };
            let action = actions::resolve(candidate.kind, &basis);
            let refused = match &action {
                Ok(action) => action
                    .precondition(&context)
                    .err()
                    .map(|why| why.to_string()),
                Err(_) => None,
            };
            let mode = loaded
                .config
                .mode_for(task.class, candidate.kind.risk())
                .to_string();
            Weighed {
                candidate,
                action,
                mode,
                refused,
            }
        })
        .collect();
    Ok(Explained {
        attempts: reader.attempts(id).map_err(text)?,
        vote: consensus::decide(&advice),
        task,
        named,
        weighed,
        advice,
        snippets,
    })
}

impl Explained {
    pub fn text(&self) -> String {
        let mut out = String::new();
        let task = &self.task;
        let _ = writeln!(
            out,
            "task {}: {} {}: {}",
            task.id, task.class, task.subject, task.status
        );
        let _ = writeln!(out, "message: {}", task.message);
        let _ = writeln!(out, "\nfacts");
        for (key, value) in &task.evidence {
            let _ = writeln!(out, "  {key} = {}", value.lines().next().unwrap_or(""));
        }
        let named = &self.named;
        let _ = writeln!(
            out,
            "\ncause: {} ({:.0} %)",
            named.cause.as_str(),
            named.confidence * 100.0
        );
        let _ = writeln!(out, "  {}\n  rule: {}", named.cause.describe(), named.why);
        let _ = writeln!(out, "\nactions offered by runbooks");
        if self.weighed.is_empty() {
            let _ = writeln!(out, "  none: a human decides");
        }
        for one in &self.weighed {
            let what = one.action.as_ref().map_or_else(
                |why| format!("{}: {why}", one.candidate.kind),
                ToString::to_string,
            );
            let state = one.refused.as_ref().map_or_else(
                || "possible now".to_owned(),
                |why| format!("not now: {why}"),
            );
            let certain = if one.candidate.certain {
                "phase 1"
            } else {
                "phase 2"
            };
            let _ = writeln!(
                out,
                "  {what} [{}, {certain}, mode {}]: {state}",
                one.candidate.runbook_id, one.mode
            );
        }
        let _ = writeln!(out, "\nadvisors");
        for advice in &self.advice {
            let best = advice
                .actions
                .first()
                .map_or("no action", |(kind, _)| kind.as_str());
            let _ = writeln!(
                out,
                "  {:<10} {} ({:.0} %) -> {best}: {}",
                advice.advisor,
                advice.cause.as_str(),
                advice.confidence * 100.0,
                advice.evidence
            );
        }
        let _ = writeln!(out, "  vote: {}", self.vote.reason);
        for snippet in &self.snippets {
            let _ = writeln!(out, "  cited: {} ({})", snippet.title, snippet.citation());
        }
        if !self.attempts.is_empty() {
            let _ = writeln!(out, "\nattempts");
        }
        for attempt in &self.attempts {
            let outcome = attempt.outcome.map_or("open", |outcome| outcome.as_str());
            let _ = writeln!(
                out,
                "  {} phase {} {}: {outcome}: {}",
                attempt.started_at, attempt.phase, attempt.action_text, attempt.message
            );
        }
        if let Some(reason) = &task.waiting_reason {
            let _ = writeln!(out, "\nnow: {} because {reason}", task.status);
        }
        out
    }

    pub fn json(&self) -> Value {
        json!({
            "task": self.task.id,
            "class": self.task.class.as_str(),
            "subject": self.task.subject,
            "status": self.task.status.as_str(),
            "waiting_reason": self.task.waiting_reason,
            "facts": self.task.evidence,
            "cause": self.named.cause.as_str(),
            "confidence": self.named.confidence,
            "rule": self.named.why,
            "actions": self.weighed.iter().map(|one| json!({
                "action": one.candidate.kind.as_str(),
                "text": one.action.as_ref().map(ToString::to_string).ok(),
                "missing": one.action.as_ref().err(),
                "runbook": one.candidate.runbook_id,
                "certain": one.candidate.certain,
                "mode": one.mode,
                "refused": one.refused,
            })).collect::<Vec<_>>(),
            "advisors": self.advice.iter().map(|advice| json!({
                "advisor": advice.advisor.as_str(),
                "cause": advice.cause.as_str(),
                "confidence": advice.confidence,
                "actions": advice.actions.iter().map(|(kind, weight)| json!([kind.as_str(), weight])).collect::<Vec<_>>(),
                "evidence": advice.evidence,
            })).collect::<Vec<_>>(),
            "vote": self.vote.reason,
            "attempts": self.attempts.iter().map(|attempt| json!({
                "started_at": attempt.started_at.to_string(),
                "phase": attempt.phase,
                "action": attempt.action_text,
                "outcome": attempt.outcome.map(|outcome| outcome.as_str()),
                "message": attempt.message,
            })).collect::<Vec<_>>(),
        })
    }
}
