//! Gathers what a decision may look at: the same for a worker that will act and for `explain`, which only reads.

use std::path::Path;
use std::time::Duration;

use crate::actions::{self, Action, ActionContext, ActionError, Basis, Undo};
use crate::core::config::Config;
use crate::core::diagnosis::learning;
use crate::core::diagnosis::root_cause::{self, OpenCondition};
use crate::core::model::case::Case;
use crate::core::model::class::{Class, ToldBy};
use crate::core::model::facts::{Fact, Facts, Key};
use crate::core::model::finding::Finding;
use crate::core::model::habit::LineStanding;
use crate::core::model::healthy::HealthyUnits;
use crate::core::model::hint::Hint;
use crate::core::model::proposal::{Proposal, Terms};
use crate::core::model::task::{Outcome, Phase, Status, Task};
use crate::core::model::time::Timestamp;
use crate::core::model::unit::UnitName;
use crate::core::remedy::decide::{Checked, Deployment, Past, Situation};
use crate::core::remedy::ending::{self, LastAttempt, Seen};
use crate::core::remedy::fights;
use crate::core::remedy::host_facts::HostFacts;
use crate::core::remedy::lack::Lack;
use crate::core::remedy::phases::Offer;
use crate::core::remedy::spacing;
use crate::core::remedy::tried::{Tried, alike};
use crate::daemon::loaded_config::LoadedConfig;
use crate::daemon::{diagnose, habits, healthy, returns, verify};
use crate::detectors::{Detector, last_run};
use crate::host::Host;
use crate::services::{self, deployment};
use crate::store::{Attempt, Noted, Reader, StoreError, TaskFilter};

/// Errors of the unit's own log that go with its evidence.
const SAID_MOST: u32 = 8;

/// A run that was read with the first sight is not read again within this time.
const JUST_READ: Duration = Duration::from_secs(5);

/// Exit statuses by which systemd says that a folder, program or file was missing (systemd.exec(5)).
const MISSING: [i32; 3] = [200, 203, 226];
/// From this status on it is systemd that ended the start.
const SETUP: i32 = 200;

/// What facts are gathered with.
#[derive(Clone, Copy, Debug)]
pub struct Gather<'a> {
    pub host: &'a Host,
    pub loaded: &'a LoadedConfig,
    pub reader: &'a Reader,
    pub detectors: &'a [Box<dyn Detector>],
}

/// Facts about one task that a [`Situation`] borrows.
#[derive(Debug)]
pub struct TaskFacts {
    pub seen: Seen,
    /// The finding as it is now, with what else this host knows about it.
    pub finding: Finding,
    /// Its evidence, where another run of its unit was read than the one that the task tells of.
    pub read_again: Option<Facts>,
    pub open: Vec<OpenCondition>,
    pub past: Past,
    pub deployment: Option<Deployment>,
    pub standing: Option<LineStanding>,
    /// Where a round begins anew: the finding with what the last run said, which counts no more.
    pub before: Option<Finding>,
}

impl TaskFacts {
    /// The situation of `task` before anything more is asked for.
    pub(crate) fn situation<'a>(
        &'a self,
        task: &'a Task,
        loaded: &'a LoadedConfig,
        host: HostFacts,
    ) -> Situation<'a> {
        Situation {
            task,
            seen: self.seen.clone(),
            open: &self.open,
            past: self.past.clone(),
            deployment: self.deployment.clone(),
            standing: self.standing,
            host,
            settings: &loaded.config,
            offers: None,
            checked: None,
        }
    }
}

impl Gather<'_> {
    /// Looks again with the task's detector, and reads what the store knows.
    pub fn facts(&self, task: &Task) -> Result<TaskFacts, StoreError> {
        let seen = verify::look(self.host, self.loaded, self.detectors, task, self.reader);
        let first = task.finding();
        let now = match &seen {
            Seen::Present(finding) => verify::with_first_sight(finding.clone(), task),
            Seen::Clear | Seen::Over(_) | Seen::Stands | Seen::CouldNotLook(_) => first,
        };
        let open = self.reader.open_conditions()?;
        let attempts = self.reader.attempts(task.id)?;
        let newer = self.newer_run(&now, task, &attempts);
        let is_news = |key| {
            newer
                .as_ref()
                .is_some_and(|newer| newer.fact(key) != task.evidence.text(key))
        };
        let is_news = [Key::Run, Key::Log, Key::Needs].into_iter().any(is_news);
        let read_again = newer.as_ref().filter(|_| is_news);
        let read_again = read_again.map(|newer| newer.evidence.clone());
        let anew = begins_anew(task, &attempts);
        let now = newer.unwrap_or(now);
        let before = anew.is_some().then(|| now.clone());
        let now = match anew {
            Some(_) => without_last_run(now),
            None => now,
        };
        let now = self.with_words(now, task, &attempts, anew)?;
        let finding = diagnose::enrich(self.host, self.loaded, now, task, &open);
        let finding = self.with_other_sides(finding, task, &open)?;
        let read_again = with_sides(read_again, &finding, task);
        let deployment = self.deployment(&finding);
        let standing = habits::standing(self.reader, &task.finding(), self.host.clock.now())?;
        Ok(TaskFacts {
            seen,
            deployment,
            standing,
            before,
            finding,
            read_again,
            open: conditions(&open),
            past: self.past(task, &attempts)?,
        })
    }

    /// What was killed first may have ended of something else since: its last run is read at each look, but for what was
    /// read a moment ago.
    fn newer_run(&self, finding: &Finding, task: &Task, attempts: &[Attempt]) -> Option<Finding> {
        if task.class.row().told_by != ToldBy::UnitState {
            return None;
        }
        let age = self.host.clock.now().since(task.detected_at);
        let was_read = finding.fact(Key::Run).is_some() && attempts.is_empty() && age < JUST_READ;
        (!was_read)
            .then(|| last_run::with_newer_run(self.host, &self.loaded.managers, finding))
            .flatten()
    }

    /// What else was said of a unit that is down: the manager's answer to our last start, and the errors of its own log
    /// that are open. What was said before a round that begins anew is over.
    fn with_words(
        &self,
        finding: Finding,
        task: &Task,
        attempts: &[Attempt],
        anew: Option<Timestamp>,
    ) -> Result<Finding, StoreError> {
        if task.class.row().told_by != ToldBy::UnitState {
            return Ok(finding);
        }
        // What we refused ourselves was never asked of the manager.
        let asked = |one: &&Attempt| anew.is_none() && one.outcome != Some(Outcome::Refused);
        let last = attempts.last().filter(asked);
        let answer = last.and_then(|last| last.noted(Noted::Answer));
        let answer = answer.as_deref().and_then(|words| words.lines().next());
        let said = self.reader.tasks(&TaskFilter {
            open_only: true,
            class: Some(Class::LogError),
            subject: Some(task.subject.clone()),
            limit: SAID_MOST,
            ..TaskFilter::default()
        })?;
        let mut lines: Vec<&str> = answer.into_iter().collect();
        let said = said
            .iter()
            .filter(|one| anew.is_none_or(|anew| one.last_seen_at >= anew));
        lines.extend(said.filter_map(|one| one.message.lines().next()));
        if lines.is_empty() {
            return Ok(finding);
        }
        lines.extend(finding.evidence.log());
        let log = lines.join("\n");
        Ok(finding.with(Fact::Log(&log)))
    }

    /// What a unit says of another side may be about one that its start asks for, or that was seen to listen there
    /// while it was well: they are named while something else is down.
    fn with_other_sides(
        &self,
        finding: Finding,
        task: &Task,
        open: &[Task],
    ) -> Result<Finding, StoreError> {
        let is_down =
            |other: &Task| other.id != task.id && other.class.row().told_by == ToldBy::UnitState;
        if !open.iter().any(is_down) {
            return Ok(finding);
        }
        let condition = OpenCondition::of(task, &finding);
        if !condition.tells_of_another_side() {
            return Ok(finding);
        }
        let unit = UnitName::new(finding.unit()).ok();
        let state = unit.and_then(|unit| services::find(&self.loaded.managers, &unit).ok());
        let asked_for = state.map(|(_, state)| state.asked_for());
        let mut sides: Vec<String> = asked_for
            .into_iter()
            .filter(|one| !one.is_empty())
            .collect();
        if let Some(port) = condition.silent_port() {
            let listened = self.reader.listeners_of(port)?;
            sides.extend(listened.into_iter().filter(|one| one != finding.unit()));
        }
        let sides = sides.join(" ");
        Ok(match sides.as_str() {
            "" => finding,
            sides => finding.with(Fact::Requires(sides)),
        })
    }

    /// Asked where something that a unit needs is missing: it may be on its way.
    fn deployment(&self, finding: &Finding) -> Option<Deployment> {
        let lacks = finding.class == Class::InvalidUnitPath
            || finding
                .evidence
                .exit_status()
                .is_some_and(|status| MISSING.contains(&status))
                && finding.fact(Key::ExitCode) == Some("exited");
        let unit = UnitName::new(finding.unit()).ok().filter(|_| lacks)?;
        let (_, state) = services::find(&self.loaded.managers, &unit).ok()?;
        let (lost, now) = (finding.fact(Key::Path), self.host.clock.now());
        let (what, until) = deployment::under_way(self.host, &state, lost, now)?;
        Some(Deployment { what, until })
    }

    fn past(&self, task: &Task, attempts: &[Attempt]) -> Result<Past, StoreError> {
        let fix = &self.loaded.config.fix;
        let now = self.host.clock.now();
        let settings = self.reader.settings_since()?;
        let (tried, rounds) = spacing::round(fix, &tried(attempts, settings), task.asked_at, now);
        let fixed_before = self.reader.fixed_before(task, learning::RETURNS_MOST)?;
        let breaks = match tried.is_empty() && fixed_before.is_empty() {
            true => None,
            false => self.breaks(task, now)?,
        };
        Ok(Past {
            tried,
            rounds,
            told: self.reader.times_told(task.id)?,
            stands: self.reader.what_stands(task.id)?,
            fixed_before,
            last: last_attempt(task.class, attempts),
            taken_back: self.reader.taken_back(task)?,
            breaks,
        })
    }

    /// What the repairs of this task's subject break, by what happened within a day.
    fn breaks(&self, task: &Task, now: Timestamp) -> Result<Option<String>, StoreError> {
        let happened = self.reader.happened(now.minus(learning::RETURNS_WITHIN))?;
        let window = Duration::from_secs(self.loaded.config.fix.stability_s);
        let broken = fights::breaks(&task.subject, &happened, window);
        Ok(broken.map(str::to_owned))
    }

    /// Makes the action of an offer and holds it against the host and the budgets. Touches and books nothing.
    pub fn check(
        &self,
        task: &Task,
        finding: &Finding,
        offer: &Offer,
        backups: &Path,
    ) -> Result<(Checked, Option<Box<dyn Action>>), StoreError> {
        let basis = Basis {
            finding,
            config: &self.loaded.config,
            command: offer.command.as_deref(),
        };
        let with = |target| Checked {
            kind: offer.kind,
            command: offer.command.clone(),
            target,
            gone: None,
            unwanted: None,
            held: None,
            spent: None,
            slot_free: true,
        };
        let action = match actions::resolve(offer.kind, &basis) {
            Ok(action) => action,
            Err(why) => return Ok((with(Err(why)), None)),
        };
        let known = healthy::known_for(offer.kind, self.reader)?;
        let context = self.context(backups, &known);
        let (proposal, gone) = proposal(&context, action.as_ref(), offer);
        let (gone, unwanted) = match (gone, action.unwanted(&context)) {
            (None, Ok(unwanted)) => (None, unwanted),
            (None, Err(why)) => (Some(why), None),
            (Some(why), _) => (Some(why), None),
        };
        let lack = Lack::held(&OpenCondition::of(task, finding));
        let held = lack.filter(|lack| {
            offer.kind.is_start() && returns::is_there(self.host, lack) == Some(false)
        });
        let held = held.as_ref().and_then(Lack::holdable);
        let unit = action.unit().map(UnitName::as_str);
        let now = self.host.clock.now();
        let limits = &self.loaded.config.budget;
        let kind = action.kind();
        let spent = self.reader.budget_spent(task, kind, unit, limits, now)?;
        let checked = Checked {
            gone: gone.map(|why| why.with_hint()),
            unwanted,
            held: held.map(|what| format!("another process holds {what}")),
            spent,
            ..with(Ok(proposal))
        };
        Ok((checked, Some(action)))
    }

    fn context<'a>(&'a self, backups: &'a Path, healthy: &'a HealthyUnits) -> ActionContext<'a> {
        ActionContext {
            host: self.host,
            config: &self.loaded.config,
            managers: &self.loaded.managers,
            backup_dir: backups,
            healthy,
        }
    }
}

/// What is kept of a look: on which other sides a unit that is down turned out to hang, too, so that its case can be told.
fn with_sides(read: Option<Facts>, finding: &Finding, task: &Task) -> Option<Facts> {
    let of = |evidence: &Facts| evidence.text(Key::Requires).map(str::to_owned);
    let sides = of(&finding.evidence).filter(|sides| of(&task.evidence).as_ref() != Some(sides));
    let is_unit = task.class.row().told_by == ToldBy::UnitState;
    let Some(sides) = sides.filter(|_| is_unit) else {
        return read;
    };
    let mut kept = read.unwrap_or_else(|| task.evidence.clone());
    kept.add(Fact::Requires(&sides));
    Some(kept)
}

/// The last of `attempts` that touched anything and is over.
pub fn last_attempt(class: Class, attempts: &[Attempt]) -> Option<LastAttempt> {
    let acted = |one: &&Attempt| one.outcome != Some(Outcome::Refused);
    let last = attempts.iter().rfind(acted)?;
    let undo = Undo::read(&last.undo);
    let kind = last.action_kind.as_ref().ok().copied()?;
    // Where it is known when it started, it was given the whole time that a probe gives it.
    let told = |what| last.noted(what).is_some();
    let awaited = class == Class::ProbeFailed && told(Noted::Started) && told(Noted::Left);
    Some(LastAttempt {
        kind,
        outcome: last.outcome?,
        taken_back: !undo.is_ok_and(|undo| undo == Undo::None),
        in_vain: awaited || is_in_vain(attempts, last),
        ended_at: last.ended_at.unwrap_or(last.started_at),
    })
}

/// After it the same was answered as before it, or said as after one like it that failed.
pub fn is_in_vain(attempts: &[Attempt], of: &Attempt) -> bool {
    if of.noted(Noted::Unmoved).is_some() {
        return true;
    }
    let (Some(left), Ok(kind)) = (of.noted(Noted::Left), &of.action_kind) else {
        return false;
    };
    let failed = |one: &&Attempt| {
        let like = one
            .action_kind
            .as_ref()
            .is_ok_and(|other| alike(*other, *kind));
        one.id != of.id && like && one.outcome == Some(Outcome::Failed)
    };
    let mut before = attempts.iter().filter(failed);
    before.any(|one| {
        one.noted(Noted::Left)
            .is_some_and(|said| ending::says_the_same(&said, &left))
    })
}

/// When a round of attempts began in which nothing was tried yet: what the unit's last run said is of before that.
fn begins_anew(task: &Task, attempts: &[Attempt]) -> Option<Timestamp> {
    let asked = task
        .asked_at
        .filter(|_| task.class.row().told_by == ToldBy::UnitState)?;
    let tried = |one: &Attempt| one.started_at >= asked && one.outcome != Some(Outcome::Refused);
    (!attempts.iter().any(tried)).then_some(asked)
}

/// Its next start tells anew, and so does the manager's own word of what was missing.
fn without_last_run(mut finding: Finding) -> Finding {
    finding.evidence.forget(Key::Log);
    if finding
        .evidence
        .exit_status()
        .is_some_and(|status| status >= SETUP)
    {
        finding.evidence.forget(Key::ExitCode);
        finding.evidence.forget(Key::ExitStatus);
    }
    finding
}

/// How long a repair of `task` must hold now.
pub fn window(
    reader: &Reader,
    config: &Config,
    task: &Task,
    now: Timestamp,
) -> Result<Duration, StoreError> {
    let before = reader.fixed_before(task, learning::RETURNS_MOST)?;
    let stability = Duration::from_secs(config.fix.stability_s);
    Ok(ending::window(stability, task, &before, now))
}

/// The one action on its target, and why it may not be taken now. What cannot be told from another target is
/// not taken.
fn proposal(
    context: &ActionContext<'_>,
    action: &dyn Action,
    offer: &Offer,
) -> (Proposal, Option<ActionError>) {
    let gone = action.precondition(context).err();
    match actions::proposal(context, action, offer.command.as_deref()) {
        Ok(proposal) => (proposal, gone),
        Err(why) => {
            let unknown = Proposal {
                kind: offer.kind,
                command: offer.command.clone(),
                text: action.to_string(),
                terms: Terms::default(),
            };
            (unknown, Some(gone.unwrap_or(why)))
        }
    }
}

/// The attempts of an episode that are over. What was refused under settings that hold no more counts for nothing.
fn tried(attempts: &[Attempt], settings: Option<Timestamp>) -> Vec<Tried> {
    let holds = |one: &&Attempt| {
        one.outcome != Some(Outcome::Refused) || settings.is_none_or(|at| at <= one.started_at)
    };
    attempts
        .iter()
        .filter(holds)
        .filter_map(|attempt| {
            Some(Tried {
                phase: Phase::from_number(i64::from(attempt.phase)),
                kind: attempt.action_kind.as_ref().ok().copied()?,
                acted: attempt.outcome != Some(Outcome::Refused),
                // How it would be taken back is known of what was booked alone.
                booked: !attempt.undo.is_empty(),
                at: attempt.started_at,
            })
        })
        .collect()
}

/// The open tasks as conditions.
pub fn conditions(open: &[Task]) -> Vec<OpenCondition> {
    open.iter()
        .map(|task| OpenCondition::of(task, &task.finding()))
        .collect()
}

/// The case that an open task is part of, if any.
pub fn case_of(reader: &Reader, task: &Task) -> Result<Option<Case>, StoreError> {
    let mut open = reader.open_conditions()?;
    // What lines alone tell of is not among them.
    if task.status != Status::Closed && open.iter().all(|other| other.id != task.id) {
        open.push(task.clone());
    }
    let cases = root_cause::cases(&conditions(&open));
    Ok(Case::of(task.id, &cases).cloned())
}
