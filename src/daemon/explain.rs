//! `explain`: the whole reasoning about one task, from facts to refusals. Reads only.

use std::borrow::Cow;
use std::fmt;
use std::path::Path;

use serde_json::{Value, json};

use crate::core::config::{Config, Mode};
use crate::core::diagnosis::advisors::{Advice, Advisor};
use crate::core::diagnosis::consensus::{self, Consensus};
use crate::core::diagnosis::naming::Named;
use crate::core::human::guidance::Guidance;
use crate::core::model::candidate::Candidate;
use crate::core::model::cause::Cause;
use crate::core::model::finding::Finding;
use crate::core::model::gate::Gate;
use crate::core::model::hint::Hint;
use crate::core::model::id::TaskId;
use crate::core::model::inert;
use crate::core::model::object::object;
use crate::core::model::proposal::Proposal;
use crate::core::model::snippet::Snippet;
use crate::core::model::task::{Status, Task};
use crate::core::model::time::Timestamp;
use crate::core::reading::unit_state::has_unit_type;
use crate::core::reading::wanted::{NotWanted, Unwanted};
use crate::core::remedy::decide::{self, Decision, Question, Situation, decide};
use crate::core::remedy::ending::{self, WindowEnd};
use crate::core::remedy::host_facts::HostFacts;
use crate::core::remedy::phases::{Offer, Offers};
use crate::core::remedy::runbook::Runbook;
use crate::core::remedy::step::{Reason, Step};
use crate::core::remedy::target::TargetError;
use crate::daemon::diagnose::{self, Reasoned};
use crate::daemon::ends;
use crate::daemon::gather::{self, Gather, TaskFacts};
use crate::daemon::host_facts::{self, StoreFacts};
use crate::daemon::loaded_config::{LoadError, LoadedConfig};
use crate::daemon::memory;
use crate::daemon::runtime::store_options;
use crate::daemon::status::Daemon;
use crate::detectors;
use crate::host::Host;
use crate::services::ServiceError;
use crate::store::{Attempt, Store, StoreError};

/// One action that a runbook offers, and what stands in its way now.
#[derive(Clone, Debug)]
struct Weighed {
    candidate: Candidate,
    /// The typed action, or which fact is missing for it.
    action: Result<String, TargetError>,
    mode: Mode,
    /// Why it would not be taken now.
    refused: Option<String>,
    /// What a human types where somebody stopped the unit that it would start: nothing else is wrong with that.
    start: Option<String>,
}

/// Everything that led to a task's state, and what comes next.
#[derive(Clone, Debug)]
pub struct Explained {
    task: Task,
    finding: Finding,
    named: Named,
    next_steps: Vec<String>,
    weighed: Vec<Weighed>,
    advice: Vec<Advice>,
    snippets: Vec<Snippet>,
    vote: Consensus,
    attempts: Vec<Attempt>,
    next: Next,
    /// Runbooks that are tried, by id, and the key by which each does not fit.
    tried: Vec<(String, Option<&'static str>)>,
}

/// What happens to the task next.
#[derive(Clone, Debug)]
enum Next {
    /// It is over.
    Nothing,
    /// In its stability window: what its end would mean if it came now.
    Window(WindowEnd),
    /// What a worker decides that claims it now.
    Step(Step),
    /// What a worker would ask first and this command does not.
    Asked,
}

/// Decides about task `id` as a worker would now, without claiming it: with `tried` in front of the runbooks in force.
pub fn explain(
    host: &Host,
    config: Config,
    id: TaskId,
    tried: &[Runbook],
) -> Result<Explained, ExplainError> {
    let reader = Store::open_read_only(&store_options(host, &config))?;
    let task = reader.task(id)?.ok_or(StoreError::NoTask(id))?;
    let mut loaded = LoadedConfig::load(host, config)?;
    loaded.runbooks.splice(..0, tried.iter().cloned());
    ends::recall(host, &reader, &loaded.managers)?;
    let detectors = detectors::all();
    memory::recall(&reader, &detectors)?;
    let gather = Gather {
        host,
        loaded: &loaded,
        reader: &reader,
        detectors: &detectors,
    };
    let facts = gather.facts(&task)?;
    let reasoned = diagnose::reason(host, &loaded, &reader, &task, &facts.finding)?;
    let backups = host.path(&loaded.config.daemon.state_dir).join("backups");
    let next = next(&gather, &task, &facts, &reasoned, &backups)?;
    let Reasoned {
        named,
        candidates,
        next_steps,
        snippets,
        advice,
        ..
    } = reasoned;
    let told = named.told(&facts.finding);
    let tried = tried
        .iter()
        .map(|book| (book.id.clone(), book.misfit(&told, named.cause)))
        .collect();
    let mut weighed = Vec::new();
    for candidate in candidates {
        weighed.push(weigh(&gather, &task, &facts, candidate, &backups)?);
    }
    let start = weighed.iter().find_map(|one| one.start.clone());
    let next_steps = start.map_or(next_steps, |start| vec![start]);
    Ok(Explained {
        attempts: reader.attempts(id)?,
        vote: consensus::decide(&advice),
        next_steps,
        finding: facts.finding,
        task,
        named,
        weighed,
        advice,
        snippets,
        next,
        tried,
    })
}

/// The facts of the host, and of the daemon as its status file tells.
fn host_facts(gather: &Gather<'_>) -> Result<HostFacts, StoreError> {
    let (host, config) = (gather.host, &gather.loaded.config);
    let life = Daemon::ask(host, config).life();
    let store = StoreFacts::of(gather.reader)?;
    Ok(host_facts::host_facts(host, config, life, store))
}

/// The daemon's slot as the store tells of it: no disruptive action of another task is under way.
fn slot_free(gather: &Gather<'_>, task: &Task) -> Result<bool, StoreError> {
    let disruptive = |one: &Attempt| one.task_id != task.id && one.is_disruptive();
    Ok(!gather.reader.open_attempts()?.iter().any(disruptive))
}

fn next(
    gather: &Gather<'_>,
    task: &Task,
    facts: &TaskFacts,
    reasoned: &Reasoned,
    backups: &Path,
) -> Result<Next, StoreError> {
    let now = gather.host.clock.now();
    match task.status {
        Status::Closed => return Ok(Next::Nothing),
        Status::Fixed => {
            let window = gather::window(gather.reader, &gather.loaded.config, task, now)?;
            let end = ending::of_window(task, facts.seen.clone(), window, now);
            return Ok(Next::Window(end));
        }
        Status::Detected
        | Status::InProgress
        | Status::Waiting
        | Status::FixFailed
        | Status::Escalated => {}
    }
    let mut situation = facts.situation(task, gather.loaded, host_facts(gather)?);
    let Reasoned {
        candidates,
        advice,
        learned,
        ..
    } = reasoned;
    situation.offers = Some(diagnose::offers(
        &gather.loaded.config,
        candidates,
        advice,
        learned,
        now,
    ));
    loop {
        match decide(&situation, &facts.finding, now) {
            Decision::Step(step) => return Ok(Next::Step(step)),
            Decision::Ask(Question::Check(offer)) if situation.checked.is_none() => {
                let (mut checked, _) = gather.check(task, &facts.finding, &offer, backups)?;
                checked.slot_free = slot_free(gather, task)?;
                situation.checked = Some(checked);
            }
            Decision::Ask(_) => return Ok(Next::Asked),
        }
    }
}

/// What stands in the way of one candidate now.
fn weigh(
    gather: &Gather<'_>,
    task: &Task,
    facts: &TaskFacts,
    candidate: Candidate,
    backups: &Path,
) -> Result<Weighed, StoreError> {
    let offer = Offer {
        kind: candidate.kind,
        command: candidate.command.clone(),
        why: String::new(),
        confidence: 0.0,
    };
    let (mut checked, _) = gather.check(task, &facts.finding, &offer, backups)?;
    checked.slot_free = slot_free(gather, task)?;
    let action = checked.target.clone().map(|action| action.text);
    let mut start = None;
    if let Some(NotWanted {
        unit,
        why: Unwanted::OnPurpose(_),
    }) = &checked.unwanted
        && has_unit_type(unit)
    {
        start = Some(format!("systemctl start {unit}"));
    }
    // That a human was told of the task is in no action's way.
    let held = checked.unwanted.as_ref().filter(|_| was_told(task));
    let held = held.map(ToString::to_string);
    let mut situation = facts.situation(task, gather.loaded, host_facts(gather)?);
    situation.checked = Some(checked);
    situation.offers = Some(Offers {
        researched: vec![offer],
        ..Offers::default()
    });
    let asked = |proposal: &Proposal| {
        (proposal.kind, &proposal.command) == (candidate.kind, &candidate.command)
    };
    Ok(Weighed {
        mode: decide::mode_of(
            &situation,
            &facts.finding,
            candidate.kind,
            candidate.command.as_deref(),
        ),
        refused: held
            .or_else(|| refused(&situation, &facts.finding, gather.host.clock.now()))
            // That a human was asked for it closes the round for it, and nothing else.
            .filter(|_| !waits_for_leave(task) || !task.proposal.as_ref().is_some_and(asked)),
        action,
        candidate,
        start,
    })
}

/// What is decided instead of the one action that is offered; that the mode wants a human is told apart.
fn refused(situation: &Situation<'_>, finding: &Finding, now: Timestamp) -> Option<String> {
    match decide(situation, finding, now) {
        Decision::Step(step) if step.gate() != Some(Gate::Mode) => {
            step.reason().map(ToString::to_string)
        }
        Decision::Step(_) | Decision::Ask(_) => None,
    }
}

/// Why a task cannot be explained.
#[derive(Debug)]
pub enum ExplainError {
    Store(StoreError),
    Load(LoadError),
    Service(ServiceError),
}

impl fmt::Display for ExplainError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Store(why) => why.fmt(f),
            Self::Load(why) => why.fmt(f),
            Self::Service(why) => why.fmt(f),
        }
    }
}

impl std::error::Error for ExplainError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Store(why) => Some(why),
            Self::Load(why) => Some(why),
            Self::Service(why) => Some(why),
        }
    }
}

impl Hint for ExplainError {
    fn hint(&self) -> Cow<'static, str> {
        match self {
            Self::Store(why) => why.hint(),
            Self::Load(why) => why.hint(),
            Self::Service(ServiceError::UnknownUnit(_)) => {
                "no service manager of this host knows it, and no open task is about it: check the name".into()
            }
            Self::Service(_) => "see `doctor`".into(),
        }
    }
}

impl From<StoreError> for ExplainError {
    fn from(why: StoreError) -> Self {
        Self::Store(why)
    }
}

impl From<ServiceError> for ExplainError {
    fn from(why: ServiceError) -> Self {
        Self::Service(why)
    }
}

impl From<LoadError> for ExplainError {
    fn from(why: LoadError) -> Self {
        Self::Load(why)
    }
}

impl Next {
    fn text(&self, task: &Task) -> String {
        match self {
            Self::Nothing => format!(
                "nothing: closed as {}",
                task.resolution.map_or("", |resolution| resolution.as_str())
            ),
            Self::Window(end) => match end {
                WindowEnd::Close { resolution, reason } => {
                    format!(
                        "at the end of its stability window, as it looks now: close as {resolution}: {reason}"
                    )
                }
                WindowEnd::Regressed(finding) => {
                    format!("take the repair back: it came back: {}", finding.message)
                }
                WindowEnd::Longer { until, reason } => {
                    format!("look again at {} UTC: {reason}", until.second())
                }
                WindowEnd::Tell(reason) => format!("put it before a human: {reason}"),
            },
            Self::Step(Step::Tell {
                reason: Reason::Mode(Mode::Observe),
                ..
            }) if waits_for_leave(task) => "nothing: mode observe, with leave either; `status` names the setting that lets it be approved"
                .to_owned(),
            Self::Step(Step::Tell { .. }) if waits_for_leave(task) => {
                let digest = task
                    .proposal
                    .as_ref()
                    .map(|proposal| format!(" --digest {}", proposal.digest().short()));
                let digest = digest.unwrap_or_default();
                format!(
                    "nothing before somebody allows it: `approve {}{digest}`",
                    task.id
                )
            }
            Self::Step(Step::Tell { .. }) if was_told(task) => {
                "nothing until a human acts; it is closed once it is over".to_owned()
            }
            Self::Step(step) => step.to_string(),
            Self::Asked => "a worker asks for more before it decides".to_owned(),
        }
    }

    /// The action that would be taken or put before a human.
    fn action(&self) -> Option<&Proposal> {
        match self {
            Self::Step(Step::Act { action, .. }) => Some(action),
            Self::Step(Step::Tell { proposed, .. }) => proposed.as_ref(),
            Self::Step(_) | Self::Window(_) | Self::Asked | Self::Nothing => None,
        }
    }

    fn json(&self, task: &Task) -> Value {
        let digest = self.action().map(|action| action.digest().to_string());
        let (step, gate, reason) = match self {
            Self::Step(step) => (
                step.name(),
                step.gate().map(|gate| gate.as_str()),
                step.reason().map(ToString::to_string),
            ),
            Self::Window(_) => ("window", None, None),
            Self::Asked => ("ask", None, None),
            Self::Nothing => ("nothing", None, None),
        };
        object!({ "step": step, "gate": gate, "reason": reason, "text": self.text(task), "digest": digest })
    }
}

/// Whether an action of it was put before a human who has not answered.
fn waits_for_leave(task: &Task) -> bool {
    let escalated = task.status == Status::Escalated;
    escalated && task.proposal.is_some() && task.approved_action.is_none()
}

/// A human was told, and it is not looked at again by itself.
fn was_told(task: &Task) -> bool {
    task.status == Status::Escalated && task.next_attempt_at.is_none()
}

/// Lines under each other. Each is one line, whatever stands in it: messages of others do.
#[derive(Debug, Default)]
struct Page(String);

impl Page {
    fn line(&mut self, text: fmt::Arguments<'_>) {
        self.0.push_str(&inert::line(&text.to_string()));
        self.0.push('\n');
    }

    fn gap(&mut self) {
        self.0.push('\n');
    }
}

/// What helps against a cause, by the names of its parts.
pub fn advice_json(cause: Cause) -> Value {
    let guidance = Guidance::of(cause);
    object!({ "helps": guidance.helps, "helps_not": guidance.helps_not, "wait": guidance.wait })
}

impl Explained {
    /// What a worker decides that claims the task now, where one would.
    #[cfg(test)]
    pub(super) fn step(&self) -> Option<&Step> {
        match &self.next {
            Next::Step(step) => Some(step),
            Next::Window(_) | Next::Asked | Next::Nothing => None,
        }
    }

    pub fn text(&self) -> String {
        let mut page = Page::default();
        let task = &self.task;
        page.line(format_args!(
            "task {}: {} {}: {}",
            task.id, task.class, task.subject, task.status
        ));
        page.line(format_args!("message: {}", task.message));
        page.gap();
        page.line(format_args!("facts"));
        for (key, value) in self.finding.evidence.iter() {
            page.line(format_args!(
                "  {key} = {}",
                value.lines().next().unwrap_or("")
            ));
        }
        let named = &self.named;
        page.gap();
        page.line(format_args!(
            "cause: {} ({:.0} %)",
            named.cause.as_str(),
            named.confidence * 100.0
        ));
        page.line(format_args!("  {}", named.cause.describe()));
        page.line(format_args!("  rule: {}", named.why));
        for (name, text) in Guidance::of(named.cause).named() {
            page.line(format_args!("  {}: {text}", name.to_lowercase()));
        }
        page.gap();
        let mut taken = false;
        for (book, misfit) in &self.tried {
            let says = match misfit {
                Some(key) => format!("does not fit: {key}"),
                None if taken => "fits, and one before it is taken".to_owned(),
                None => "fits: it is taken".to_owned(),
            };
            taken |= misfit.is_none();
            page.line(format_args!("runbook {book}: {says}"));
        }
        page.line(format_args!("actions offered by runbooks"));
        if self.weighed.is_empty() {
            page.line(format_args!("  none: a human decides"));
        }
        for one in &self.weighed {
            let what = one.action.as_ref().map_or_else(
                |why| format!("{}: {}", one.candidate.kind, why.with_hint()),
                ToString::to_string,
            );
            let state = match (&one.refused, one.mode) {
                (Some(why), _) => format!("not now: {why}"),
                (None, Mode::Auto) => "possible now".to_owned(),
                (None, Mode::Suggest) => "possible once it is approved".to_owned(),
                (None, Mode::Observe) => "only told".to_owned(),
            };
            let certain = if one.candidate.certain {
                "certain"
            } else {
                "if nothing certain is left"
            };
            page.line(format_args!(
                "  {what} [{}, {certain}, mode {}]: {state}",
                one.candidate.runbook_id, one.mode
            ));
        }
        let is_certain = |one: &Weighed| one.candidate.certain && one.refused.is_none();
        if !self.weighed.iter().any(is_certain) {
            page.gap();
            page.line(format_args!(
                "advice, as no certain action is left: done where two of the sources agree"
            ));
            for advice in &self.advice {
                let best = advice
                    .actions
                    .first()
                    .map_or("no action", |(kind, _)| kind.as_str());
                page.line(format_args!(
                    "  {:<16} {} ({:.0} %) -> {best}: {}",
                    source(advice.advisor),
                    advice.cause.as_str(),
                    advice.confidence * 100.0,
                    advice.evidence
                ));
            }
            page.line(format_args!("  so: {}", self.vote.reason));
        }
        for snippet in &self.snippets {
            page.line(format_args!(
                "  cited: {} ({})",
                snippet.title,
                snippet.citation()
            ));
        }
        if !self.attempts.is_empty() {
            page.gap();
            page.line(format_args!("attempts (UTC)"));
        }
        for attempt in &self.attempts {
            let outcome = attempt.outcome.map_or("open", |outcome| outcome.as_str());
            page.line(format_args!(
                "  {} {}: {outcome}: {}",
                attempt.started_at.second(),
                attempt.action_text,
                attempt.message
            ));
        }
        if task.status != Status::Closed {
            page.gap();
            page.line(format_args!("what a human can do"));
        }
        for step in self.steps() {
            page.line(format_args!("    {step}"));
        }
        if let Some(reason) = &task.waiting_reason {
            page.gap();
            page.line(format_args!("now: {} because {reason}", task.status));
        }
        if let Some(action) = self.next.action() {
            page.gap();
            page.line(format_args!("{action}"));
            for (name, value) in action.lines() {
                page.line(format_args!("  {name:<18} {value}"));
            }
        }
        page.gap();
        page.line(format_args!("next: {}", self.next.text(task)));
        page.0
    }

    /// Commands for a human; none once it is over.
    fn steps(&self) -> Vec<String> {
        if self.task.status == Status::Closed {
            return Vec::new();
        }
        self.next_steps.clone()
    }

    pub fn json(&self) -> Value {
        object!({
            "task": self.task.id,
            "class": self.task.class.as_str(),
            "subject": self.task.subject,
            "status": self.task.status.as_str(),
            "waiting_reason": self.task.waiting_reason,
            "facts": self.finding.evidence,
            "cause": self.named.cause.as_str(),
            "confidence": self.named.confidence,
            "rule": self.named.why,
            "advice": advice_json(self.named.cause),
            "actions": self.weighed.iter().map(|one| object!({
                "action": one.candidate.kind.as_str(),
                "text": one.action.as_ref().map(ToString::to_string).ok(),
                "missing": one.action.as_ref().err().map(Hint::with_hint),
                "runbook": one.candidate.runbook_id,
                "certain": one.candidate.certain,
                "mode": one.mode.as_str(),
                "refused": one.refused,
            })).collect::<Vec<_>>(),
            "advisors": self.advice.iter().map(|advice| object!({
                "advisor": advice.advisor.as_str(),
                "cause": advice.cause.as_str(),
                "confidence": advice.confidence,
                "actions": advice.actions.iter().map(|(kind, weight)| json!([kind.as_str(), weight])).collect::<Vec<_>>(),
                "evidence": advice.evidence,
            })).collect::<Vec<_>>(),
            "tried": self.tried.iter().map(|(book, misfit)| object!({ "runbook": book, "misfit": misfit })).collect::<Vec<_>>(),
            "vote": self.vote.reason,
            "next": self.next.json(&self.task),
            "next_steps": self.steps(),
            "attempts": self.attempts.iter().map(|attempt| object!({
                "started_at": attempt.started_at.to_string(),
                "phase": attempt.phase,
                "action": attempt.action_text,
                "outcome": attempt.outcome.map(|outcome| outcome.as_str()),
                "message": attempt.message,
            })).collect::<Vec<_>>(),
        })
    }
}

/// What an advisor goes by, for humans.
fn source(advisor: Advisor) -> &'static str {
    match advisor {
        Advisor::Operator => "what worked here",
        Advisor::Historian => "what changed",
        Advisor::Analyst => "rules and books",
        Advisor::Model => "language model",
    }
}
