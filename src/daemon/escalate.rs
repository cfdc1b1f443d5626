//! Phase 4: the decision that a human is needed, written down locally before anything is sent.

use crate::core::diagnosis::root_cause::OpenCondition;
use crate::core::human::guidance::Guidance;
use crate::core::human::issue::{self, AttemptLine, Citation, IssueFacts};
use crate::core::model::case::Case;
use crate::core::model::class::Waits;
use crate::core::model::id::TaskId;
use crate::core::model::proposal::Proposal;
use crate::core::model::task::Status;
use crate::core::model::time::Timestamp;
use crate::core::remedy::step::{self, Reason};
use crate::daemon::diagnose::Diagnosis;
use crate::daemon::gather::{self, TaskFacts};
use crate::daemon::job::Job;
use crate::store::{NewEscalation, Proposed, StoreError};

/// What a human is told.
#[derive(Debug)]
pub struct Telling<'a> {
    pub diagnosis: &'a Diagnosis,
    pub reason: Reason,
    /// What would be done with their leave.
    pub proposed: Option<Proposal>,
    /// When it is tried again by itself.
    pub retry_at: Option<Timestamp>,
}

impl Telling<'_> {
    /// The reason as it is written down.
    pub fn text(&self) -> String {
        step::told(&self.reason, self.proposed.as_ref())
    }
}

/// Escalates the task: what cannot be repaired here, or what a human has to allow or to do.
pub fn to_human(
    job: &Job<'_>,
    told: &Telling<'_>,
    proposed: Option<Proposed>,
) -> Result<(), StoreError> {
    let reader = job.runtime.store.reader()?;
    let case = gather::case_of(&reader, job.task)?;
    let (title, body) = compose(job, told, proposed.as_ref(), case.as_ref())?;
    let reason = told.text();
    let escalation = NewEscalation {
        reason: reason.clone(),
        title,
        body,
        severity: job.task.severity,
        retry_at: told.retry_at,
        proposed,
    };
    let (runtime, task) = (job.runtime, job.task);
    runtime
        .store
        .escalate(task.id, escalation, job.worker, job.now())?;
    if let Some(case) = case.filter(|case| case.root.task == task.id) {
        let members: Vec<TaskId> = case.members.iter().map(|one| one.task).collect();
        runtime
            .store
            .join_case(task.id, &members, None, job.now())?;
    }
    let what = if told.proposed.is_some() {
        "needs a human"
    } else {
        "escalated"
    };
    log::warn!(
        "{what}: task {} {} {}: {reason}",
        task.id,
        task.class,
        task.subject
    );
    runtime.courier.ring();
    Ok(())
}

/// Another task is waited for. Where a human was told of the root of that case, its issue names this one too.
pub fn waits_in_case(job: &Job<'_>, facts: &TaskFacts) -> Result<(), StoreError> {
    let told = |one: &OpenCondition| one.status == Status::Escalated;
    if job.task.class.row().waits != Waits::Never || !facts.open.iter().any(told) {
        return Ok(());
    }
    let store = &job.runtime.store;
    let reader = store.reader()?;
    let Some(case) = gather::case_of(&reader, job.task)? else {
        return Ok(());
    };
    let root = case.root.task;
    if root == job.task.id || reader.times_told(root)? == 0 {
        return Ok(());
    }
    let body = issue::joined_comment(&case);
    if store.join_case(root, &[job.task.id], Some(body), job.now())? {
        job.runtime.courier.ring();
    }
    Ok(())
}

/// The issue's title and body, redacted.
fn compose(
    job: &Job<'_>,
    told: &Telling<'_>,
    proposed: Option<&Proposed>,
    case: Option<&Case>,
) -> Result<(String, String), StoreError> {
    let Job {
        runtime,
        loaded,
        task,
        ..
    } = job;
    let diagnosis = told.diagnosis;
    let reader = runtime.store.reader()?;
    let attempts: Vec<AttemptLine> = reader
        .attempts(task.id)?
        .iter()
        .map(|attempt| AttemptLine {
            at: attempt.started_at,
            phase: attempt.phase,
            action: attempt.action_text.clone(),
            outcome: attempt.outcome,
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
    let rendered = issue::render(&IssueFacts {
        host: &runtime.host_name(loaded),
        gateway_id: &runtime.store.gateway_id()?,
        task,
        attempts: &attempts,
        cause: &cause,
        guidance: Guidance::of(diagnosis.cause),
        steps: &diagnosis.next_steps,
        snippets: &snippets,
        case,
        reason: &told.text(),
        again: told.retry_at,
        proposed: proposed.map(|one| issue::Asked {
            action: &one.action,
            by_name: one.by_name,
            held_back: one.held_back,
        }),
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
