//! Phase 4: the decision that a human is needed, written down locally before anything is sent.

use crate::actions::Action;
use crate::core::human::issue::{self, AttemptLine, Citation, IssueFacts};
use crate::core::model::task::Task;
use crate::core::model::time::Timestamp;
use crate::daemon::Runtime;
use crate::daemon::diagnose::Diagnosis;
use crate::daemon::loaded_config::LoadedConfig;
use crate::store::{NewEscalation, StoreError};

/// Escalates a task that cannot be repaired here.
#[allow(clippy::too_many_arguments)] // The step's whole context, passed straight on.
pub fn to_human(
    runtime: &Runtime,
    loaded: &LoadedConfig,
    task: &Task,
    diagnosis: &Diagnosis,
    reason: &str,
    retry_at: Option<Timestamp>,
    worker: &str,
    now: Timestamp,
) -> Result<(), StoreError> {
    if runtime.dry_run {
        let reason = format!("would escalate: {reason}");
        runtime
            .store
            .note(Some(task.id), "proposed", "escalate", worker, &reason, now)?;
        let until = now.plus(std::time::Duration::from_secs(3_600));
        return runtime.store.transition(
            task.id,
            crate::core::model::task::Transition::Wait { until, reason },
            worker,
            now,
        );
    }
    let (title, body) = compose(runtime, loaded, task, diagnosis, None, reason)?;
    let escalation = NewEscalation {
        reason: reason.to_owned(),
        title,
        body,
        severity: task.severity,
        retry_at,
    };
    runtime.store.escalate(task.id, escalation, worker, now)?;
    log::warn!(
        "escalated: task {} {} {}: {reason}",
        task.id,
        task.class,
        task.subject
    );
    runtime.courier.ring();
    Ok(())
}

/// Escalates a task whose repair a human has to allow or to make.
#[allow(clippy::too_many_arguments)] // The step's whole context, passed straight on.
pub fn proposal(
    runtime: &Runtime,
    loaded: &LoadedConfig,
    task: &Task,
    diagnosis: &Diagnosis,
    action: &dyn Action,
    reason: &str,
    worker: &str,
    now: Timestamp,
) -> Result<(), StoreError> {
    let (title, body) = compose(runtime, loaded, task, diagnosis, Some(action), reason)?;
    let escalation = NewEscalation {
        reason: reason.to_owned(),
        title,
        body,
        severity: task.severity,
        retry_at: None,
    };
    runtime.store.escalate(task.id, escalation, worker, now)?;
    log::warn!(
        "needs a human: task {} {} {}: {reason}",
        task.id,
        task.class,
        task.subject
    );
    runtime.courier.ring();
    Ok(())
}

/// The issue's title and body, redacted.
fn compose(
    runtime: &Runtime,
    loaded: &LoadedConfig,
    task: &Task,
    diagnosis: &Diagnosis,
    proposed: Option<&dyn Action>,
    reason: &str,
) -> Result<(String, String), StoreError> {
    let reader = runtime.store.reader()?;
    let attempts: Vec<AttemptLine> = reader
        .attempts(task.id)?
        .iter()
        .map(|attempt| AttemptLine {
            at: attempt.started_at,
            phase: attempt.phase,
            action: attempt.action_text.clone(),
            outcome: attempt
                .outcome
                .map_or("", |outcome| outcome.as_str())
                .to_owned(),
            message: attempt.message.clone(),
        })
        .collect();
    let snippets: Vec<Citation> = diagnosis
        .snippets
        .iter()
        .map(|snippet| Citation {
            source: snippet.source.clone(),
            first_line: snippet.first_line,
            last_line: snippet.last_line,
            text: snippet.text.clone(),
        })
        .collect();
    let cause = format!("{}\n{}", diagnosis.cause.describe(), diagnosis.why);
    let reason = proposed.map_or_else(
        || reason.to_owned(),
        |action| {
            format!(
                "{reason}. Allow it with: autonomous-orchestrator approve {} --action {}",
                task.id,
                action.kind()
            )
        },
    );
    let rendered = issue::render(&IssueFacts {
        host: &runtime.host_name(loaded),
        gateway_id: &runtime.store.gateway_id()?,
        task,
        attempts: &attempts,
        cause: &cause,
        snippets: &snippets,
        reason: &reason,
        replies: loaded
            .config
            .escalation
            .github
            .as_ref()
            .is_some_and(|github| !github.replies_from.is_empty()),
        audit_head: &reader.audit_head()?,
        version: env!("CARGO_PKG_VERSION"),
    });
    Ok((rendered.title, rendered.body))
}
