//! What happens to a claimed task next. Pure: the worker gathers a [`Situation`], asks, gathers what is still
//! asked for, and carries out the [`Step`]; `explain` prints the very same step.

use std::time::Duration;

use crate::core::config::{Config, Mode};
use crate::core::diagnosis::learning::{self, Fixed};
use crate::core::diagnosis::root_cause::{self, OpenCondition};
use crate::core::model::action::ActionKind;
use crate::core::model::cause::Cause;
use crate::core::model::class::Waits;
use crate::core::model::finding::{Finding, Severity};
use crate::core::model::gate::Gate;
use crate::core::model::habit::LineStanding;
use crate::core::model::proposal::Proposal;
use crate::core::model::task::{Phase, Task};
use crate::core::model::time::Timestamp;
use crate::core::reading::wanted::NotWanted;
use crate::core::remedy::ending::{self, LastAttempt, Seen};
use crate::core::remedy::gates::{self, Closed, GateFacts};
use crate::core::remedy::host_facts::HostFacts;
use crate::core::remedy::leave::{Leave, has_leave, leave_for};
use crate::core::remedy::patience::Told;
use crate::core::remedy::phases::{self, Offer, Offers, Plan};
use crate::core::remedy::silence::Scope;
use crate::core::remedy::spacing;
use crate::core::remedy::step::{self, BudgetScope, Reason, Spent, Step};
use crate::core::remedy::target::TargetError;
use crate::core::remedy::tried::Tried;

/// Nobody is told sooner after the first sight: the root cause may be found a sweep later than its
/// symptom, and most blips are over by then.
const SETTLE: Duration = Duration::from_secs(10);
/// Nor is a case told while it grows, up to this age of its root.
const CASE_SETTLES: Duration = Duration::from_secs(30);
/// What is too young to bother a human is looked at again this often.
const YOUNG_RECHECK: Duration = Duration::from_secs(30);
/// A line's warning may have become an error.
const WARNING_RECHECK: Duration = Duration::from_secs(3_600);
/// What nobody could look at for this long is told: something is wrong with the eyes.
const BLIND_AFTER: Duration = Duration::from_secs(600);
/// A deployment that takes longer, or a folder that changes all the time, is no reason to wait any more.
const DEPLOYMENT_MOST: Duration = Duration::from_secs(600);
/// What a human was told of and nothing can be done about is looked at again.
const TOLD_RECHECK: Duration = Duration::from_secs(86_400);
/// What fights, and what a probe that was never green says, is looked at again.
const TOLD_ONCE_RECHECK: Duration = Duration::from_secs(3_600);
/// Whoever set the kill switch knows; what it has kept from being repaired for this long was forgotten with it.
const KILL_SWITCH_FORGOTTEN: Duration = Duration::from_secs(3_600);
/// While another disruptive action holds the host's slot.
const SLOT_RECHECK: Duration = Duration::from_secs(2);

/// All that a decision may look at.
#[derive(Clone, Debug)]
pub struct Situation<'a> {
    pub task: &'a Task,
    pub seen: Seen,
    /// Every open condition of the host, this one's included.
    pub open: &'a [OpenCondition],
    pub past: Past,
    /// What is being installed around it.
    pub deployment: Option<Deployment>,
    /// What a line counts for on this box, where it may be a habit.
    pub standing: Option<LineStanding>,
    pub host: HostFacts,
    pub settings: &'a Config,
    /// What could be done about it; `None` until asked for.
    pub offers: Option<Offers>,
    /// The action that was asked about last.
    pub checked: Option<Checked>,
}

/// Something is being installed around a unit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Deployment {
    pub what: String,
    /// It is asked again then.
    pub until: Timestamp,
}

/// What was done and said about this problem before.
#[derive(Clone, Debug, Default)]
pub struct Past {
    /// Attempts of this round that are over, in the order they began.
    pub tried: Vec<Tried>,
    /// Rounds of attempts before this one that did not hold.
    pub rounds: u32,
    /// So often this episode was put before a human.
    pub told: u32,
    /// What was told last, if nothing was tried, allowed or asked for since.
    pub stands: Option<String>,
    /// Earlier episodes that ended as fixed, the newest first.
    pub fixed_before: Vec<Fixed>,
    pub last: Option<LastAttempt>,
    /// Kinds of action that a human took back here.
    pub taken_back: Vec<ActionKind>,
    /// What its repairs break, again and again.
    pub breaks: Option<String>,
}

/// One offered action, looked at against the host and the budgets.
#[derive(Clone, Debug, PartialEq)]
pub struct Checked {
    pub kind: ActionKind,
    /// Name of the operator's command, for `run_declared`.
    pub command: Option<String>,
    /// The one action on its target that would be taken, or why the facts give no target.
    pub target: Result<Proposal, TargetError>,
    /// Why its precondition does not hold.
    pub gone: Option<String>,
    /// The unit that it would start, where that is not wanted.
    pub unwanted: Option<NotWanted>,
    /// Who or what keeps a start from helping, as proven now.
    pub held: Option<String>,
    /// The budget that has no room for it.
    pub spent: Option<Spent>,
    /// No other disruptive action runs.
    pub slot_free: bool,
}

/// What must be known before it can be decided.
#[derive(Clone, Debug, PartialEq)]
pub enum Question {
    /// What could be done about the finding: runbooks, advisors, bundle, and where asked for the model.
    Offers,
    /// Has this offer a target, does it still fit the host, and is there room for it?
    Check(Offer),
}

/// A step, or what is still missing for it.
#[derive(Clone, Debug, PartialEq)]
pub enum Decision {
    Step(Step),
    Ask(Question),
}

impl From<Step> for Decision {
    fn from(step: Step) -> Self {
        Self::Step(step)
    }
}

/// Takes one claimed task one step further. What was told is not told again as long as nothing new came of it.
pub fn decide(situation: &Situation<'_>, finding: &Finding, now: Timestamp) -> Decision {
    match afresh(situation, finding, now) {
        Decision::Step(Step::Tell {
            reason,
            proposed,
            retry_at,
        }) if situation.past.stands.as_deref() == Some(&step::told(&reason, proposed.as_ref())) => {
            wait(retry_at.unwrap_or(now.plus(TOLD_RECHECK)), reason).into()
        }
        decision @ (Decision::Step(_) | Decision::Ask(_)) => decision,
    }
}

/// The same without regard to what was told.
fn afresh(situation: &Situation<'_>, finding: &Finding, now: Timestamp) -> Decision {
    let task = situation.task;
    match &situation.seen {
        Seen::Clear | Seen::Over(_) => return gone(situation, finding, now).into(),
        Seen::CouldNotLook(_) | Seen::Present(_) | Seen::Stands => {}
    }
    if let Some(step) = silenced(situation, finding, now) {
        return step.into();
    }
    match &situation.seen {
        Seen::CouldNotLook(why) => return blind(situation, why, now).into(),
        Seen::Clear | Seen::Over(_) | Seen::Present(_) | Seen::Stands => {}
    }
    let own = OpenCondition::of(task, finding);
    let above = root_cause::above(&own, situation.open);
    if let Some(broken) = root_cause::first_broken(&above) {
        return inhibited(situation, symptom_of(broken), now).into();
    }
    if let Some(other) = &situation.past.breaks {
        return told_once(situation, Reason::Breaks(other.clone()), now).into();
    }
    if let Some(step) = deployment(situation, now) {
        return step.into();
    }
    let until = finding.evidence.starting_until();
    if let Some(until) = until.filter(|until| now < *until) {
        return wait(until, Reason::Starting).into();
    }
    if finding.evidence.was_never_green() {
        // It proves nothing about its unit.
        let reason = Reason::NeverGreen(task.subject.clone());
        return told_once(situation, reason, now).into();
    }
    // All that it hangs on is green.
    let healing = above.last().copied();
    let speaker = match healing {
        None => root_cause::speaker(&own, situation.open, now),
        Some(_) => None,
    };
    if let Some(speaker) = speaker.filter(|speaker| is_waited_for(situation, speaker, now)) {
        let step = inhibited(situation, same_as(speaker), now);
        return sooner(step, root_cause::holds_from(speaker)).into();
    }
    let Some(offers) = &situation.offers else {
        return Question::Offers.into();
    };
    if healing.is_none()
        && let Some(step) = not_lasting(situation, offers, now)
    {
        return step.into();
    }
    if let Some((until, reason)) = too_early(situation, finding, offers, now) {
        return wait(until, reason).into();
    }
    // A later round looks whether what made all of the first one fail is over.
    let starts_most = match situation.past.rounds {
        0 => spacing::starts_most(&situation.settings.fix, offers),
        _ => 1,
    };
    let tried = &situation.past.tried;
    // A root that is green but not yet proven, and one who speaks for both: what is left is no reason to tell a human.
    let above = healing.map(symptom_of).or(speaker.map(same_as));
    match (phases::plan(task.phase, offers, tried, starts_most), above) {
        (Plan::Escalate { .. }, Some(above)) => inhibited(situation, above, now).into(),
        (Plan::Escalate { reason }, None) => {
            // What it lacks may come: then there is something to do again.
            let lacks = finding.evidence.unmet().next().is_some();
            let look = lacks.then(|| now.plus(gates::later(now.since(task.detected_at))));
            exhausted(situation, reason, look, now).into()
        }
        (Plan::Act { phase, offer }, _) => {
            match spacing::due(&situation.settings.fix, tried, offer.kind, offers) {
                // A human's leave is for now.
                Some(due) if !has_leave(task, now) && is_too_soon(situation, offers, due, now) => {
                    spaced(situation, offers, due.max(now), now).into()
                }
                Some(_) | None => act(situation, finding, phase, offer, now),
            }
        }
    }
}

/// A human wants it left alone: neither repaired nor told. What he allowed after all is done.
fn silenced(situation: &Situation<'_>, finding: &Finding, now: Timestamp) -> Option<Step> {
    let (until, terms) = silence_of(situation, finding, now)?;
    (!has_leave(situation.task, now)).then(|| wait(until, Reason::Silenced(terms)))
}

/// Until when a human wants it left alone, and on what terms: ordered, or by a window of the configuration.
fn silence_of(
    situation: &Situation<'_>,
    finding: &Finding,
    now: Timestamp,
) -> Option<(Timestamp, String)> {
    let task = situation.task;
    if let Some(one) = situation.host.silences.of(task, finding, now) {
        return Some((one.until, format!("silenced {}", one.terms())));
    }
    let covers = |name: &String| Scope::of_word(name).covers(task, finding);
    let mut windows = situation.settings.maintenance.iter();
    windows
        .find_map(|window| {
            window
                .open_at(now, situation.host.ahead_s)
                .filter(|_| window.only.iter().any(covers))
        })
        .map(|open| (open.until, open.text))
}

/// Nothing is done about it, or nothing more, and a human hears of it once.
fn told_once(situation: &Situation<'_>, reason: Reason, now: Timestamp) -> Step {
    let look = now.plus(TOLD_ONCE_RECHECK);
    match situation.past.told {
        0 => tell(situation, reason, Some(look), now),
        _ => wait(look, reason),
    }
}

/// What is missing while something is being installed may be there in a moment; not for ever.
fn deployment(situation: &Situation<'_>, now: Timestamp) -> Option<Step> {
    let deployment = situation.deployment.as_ref()?;
    let facts = gate_facts(situation, now);
    if facts.age >= DEPLOYMENT_MOST {
        return None;
    }
    let reason = Reason::Deployment(deployment.what.clone());
    Some(match gates::before_root(&facts, now) {
        Some(closed) => wait(closed.until, closed.reason),
        None => wait(deployment.until, reason),
    })
}

impl From<Question> for Decision {
    fn from(question: Question) -> Self {
        Self::Ask(question)
    }
}

fn wait(until: Timestamp, reason: Reason) -> Step {
    Step::Wait {
        gate: reason.gate(),
        until,
        reason,
    }
}

/// The condition is no longer there.
fn gone(situation: &Situation<'_>, finding: &Finding, now: Timestamp) -> Step {
    let past = &situation.past;
    let mut by_itself = ending::by_itself(past.last.as_ref());
    if by_itself == Reason::EndedByItself && !past.tried.iter().any(|one| one.acted) {
        by_itself = Reason::GoneUntouched;
    }
    let own = OpenCondition::of(situation.task, finding);
    let (resolution, reason) = ending::how(&own, situation.open, by_itself);
    let stability = Duration::from_secs(situation.settings.fix.stability_s);
    let class = situation.task.class;
    let of_attempt = |last: LastAttempt| last.ended_it(class, stability, now);
    let of_root = matches!(reason, Reason::OverWithRoot { .. });
    if situation.seen == Seen::Clear && !of_root && past.last.is_some_and(of_attempt) {
        return Step::Green;
    }
    Step::Close { resolution, reason }
}

/// Nobody could look: neither healthy nor failed. Nothing is touched; a human is told once.
fn blind(situation: &Situation<'_>, why: &str, now: Timestamp) -> Step {
    let reason = Reason::CouldNotLook(why.to_owned());
    let age = now.since(situation.task.detected_at);
    let next = now.plus(gates::later(age));
    if age < BLIND_AFTER {
        // The pauses grow: the last one must not put off the telling.
        return wait(
            next.min(situation.task.detected_at.plus(BLIND_AFTER)),
            reason,
        );
    }
    if situation.past.told > 0 {
        return wait(next, reason);
    }
    Step::Tell {
        reason,
        proposed: None,
        retry_at: Some(now.plus(BLIND_AFTER)),
    }
}

/// It waits for another task, unless a gate before that is closed.
fn inhibited(situation: &Situation<'_>, reason: Reason, now: Timestamp) -> Step {
    let facts = gate_facts(situation, now);
    match gates::before_root(&facts, now) {
        Some(closed) => wait(closed.until, closed.reason),
        None => wait(now.plus(gates::later_symptom(facts.age)), reason),
    }
}

/// A wait that ends at `at` where that comes first.
fn sooner(step: Step, at: Option<Timestamp>) -> Step {
    match (step, at) {
        (
            Step::Wait {
                gate,
                until,
                reason,
            },
            Some(at),
        ) => Step::Wait {
            gate,
            until: until.min(at),
            reason,
        },
        (step, _) => step,
    }
}

fn symptom_of(root: &OpenCondition) -> Reason {
    Reason::SymptomOf {
        task: root.task_id,
        class: root.class,
        subject: root.subject.clone(),
    }
}

fn same_as(speaker: &OpenCondition) -> Reason {
    Reason::SameAs {
        task: speaker.task_id,
        class: speaker.class,
        subject: speaker.subject.clone(),
    }
}

/// What fails of the same as `speaker` is tried after it, once that was tried. Where that is not, as what nobody wants
/// up, it is waited for no longer than until all is known.
fn is_waited_for(situation: &Situation<'_>, speaker: &OpenCondition, now: Timestamp) -> bool {
    speaker.tried || now.since(situation.task.detected_at) < SETTLE
}

/// A problem that comes back after each verified repair is put before a human once, with that evidence. Then it
/// is repaired again all the same: the service is needed while the human looks.
fn not_lasting(situation: &Situation<'_>, offers: &Offers, now: Timestamp) -> Option<Step> {
    let past = &situation.past;
    if past.told > 0 || situation.host.dry_run || offers.certain.is_empty() {
        return None;
    }
    let reason = learning::not_lasting(&past.fixed_before, now)?;
    Some(tell(situation, Reason::NotLasting(reason), Some(now), now))
}

/// What nothing can repair and mostly ends by itself waits before it reaches a human: log lines, and
/// units that their own manager still restarts.
fn too_early(
    situation: &Situation<'_>,
    finding: &Finding,
    offers: &Offers,
    now: Timestamp,
) -> Option<(Timestamp, Reason)> {
    let (task, settings) = (situation.task, situation.settings);
    if !offers.certain.is_empty() || !offers.researched.is_empty() {
        let is_first = situation.past.tried.is_empty() && !has_leave(task, now);
        let due = spacing::first(&settings.fix, task, offers);
        let due = due.filter(|due| is_first && now < *due);
        return due.map(|due| (due, Reason::Spaced { attempts: 0 }));
    }
    let cause = offers.cause.unwrap_or(Cause::Unknown);
    let patience = match Told::of(task.class, cause, task.severity, settings) {
        Told::AtOnce => return None,
        Told::Never => return Some((now.plus(WARNING_RECHECK), Reason::OnlyAWarning)),
        Told::IfItLasts(patience) => patience,
    };
    match situation.standing {
        Some(LineStanding::Habit) => return Some((now.plus(WARNING_RECHECK), Reason::Habit)),
        Some(LineStanding::ForDigest | LineStanding::Shown) => {
            return Some((now.plus(WARNING_RECHECK), Reason::InDigest));
        }
        Some(LineStanding::Open) | None => {}
    }
    let lasted = match task.class.row().waits {
        // What is found late has lasted since before it was found.
        Waits::FlapWindow => {
            let before = finding.evidence.crashing_for();
            now.since(task.detected_at).max(before.unwrap_or_default())
        }
        Waits::GoesOn | Waits::Never => task.last_seen_at.since(task.detected_at),
    };
    // Every look is written down: not before the answer can have changed.
    let next = now.plus(YOUNG_RECHECK.max(patience / 8));
    let until = next.max(task.detected_at.plus(patience));
    (lasted < patience).then_some((until, Reason::MayPass))
}

/// It is due later, or so many attempts did not hold that a human should have heard of it, as where each held for minutes.
fn is_too_soon(situation: &Situation<'_>, offers: &Offers, due: Timestamp, now: Timestamp) -> bool {
    let (past, fix) = (&situation.past, &situation.settings.fix);
    let since = situation.task.detected_at;
    let at = spacing::told_at(fix, &past.tried, since, Some(offers));
    now < due || past.told == 0 && !situation.host.dry_run && at.is_some_and(|at| at <= now)
}

/// The next attempt is due later: a human hears of those that did not hold when it is time, once; the later ones go
/// on without a word.
fn spaced(situation: &Situation<'_>, offers: &Offers, due: Timestamp, now: Timestamp) -> Step {
    let past = &situation.past;
    let attempts = past.tried.iter().filter(|one| one.acted).count();
    if past.told > 0 || situation.host.dry_run {
        return wait(due, Reason::Spaced { attempts });
    }
    let fix = &situation.settings.fix;
    let since = situation.task.detected_at;
    match spacing::told_at(fix, &past.tried, since, Some(offers)) {
        Some(at) if at <= now => tell(situation, Reason::NotHeld { attempts }, Some(due), now),
        Some(at) => wait(due.min(at), Reason::Spaced { attempts }),
        None => wait(due, Reason::Spaced { attempts }),
    }
}

/// No phase has anything left in this round.
fn exhausted(
    situation: &Situation<'_>,
    reason: Reason,
    look: Option<Timestamp>,
    now: Timestamp,
) -> Step {
    let past = &situation.past;
    let fix = &situation.settings.fix;
    let Some(again) = spacing::rearm(fix, &past.tried, past.rounds, now).or(look) else {
        return tell(situation, reason, None, now);
    };
    if past.told > 0 {
        return wait(again, reason);
    }
    match spacing::told_at(fix, &past.tried, situation.task.detected_at, None) {
        Some(at) if now < at => wait(at, Reason::MayStillShow),
        Some(_) | None => tell(situation, reason, Some(again), now),
    }
}

/// A budget has no room: told once, and not before a human would hear of attempts that did not hold. A queue is no
/// lack of room: its turn comes.
fn out_of_budget(situation: &Situation<'_>, spent: &Spent, now: Timestamp) -> Step {
    let reason = Reason::Budget(spent.clone());
    if spent.scope == BudgetScope::FirstStarts {
        return wait(spent.free_at, reason);
    }
    in_time(situation, reason, spent.free_at, now)
}

/// It waits until `until`, and is told once meanwhile, when attempts that did not hold would be.
fn in_time(of: &Situation<'_>, reason: Reason, until: Timestamp, now: Timestamp) -> Step {
    if of.past.told > 0 {
        return wait(until, reason);
    }
    let after = Duration::from_secs(of.settings.fix.tell_after_s);
    let at = of.task.detected_at.plus(after);
    if now < at {
        return wait(at.min(until), reason);
    }
    tell(of, reason, Some(until), now)
}

/// Puts it before a human, once it has settled.
fn tell(
    situation: &Situation<'_>,
    reason: Reason,
    retry_at: Option<Timestamp>,
    now: Timestamp,
) -> Step {
    unsettled(situation, now).unwrap_or(Step::Tell {
        reason,
        proposed: None,
        retry_at,
    })
}

/// Too young to tell of, or something has just come to hang on it that the first text shall name; what the kernel calls
/// critical is never.
fn unsettled(situation: &Situation<'_>, now: Timestamp) -> Option<Step> {
    let task = situation.task;
    if task.severity == Severity::Critical && task.class.row().only_kernel {
        return None;
    }
    let last = root_cause::joined_last(task.id, situation.open).unwrap_or(task.detected_at);
    let settled = last.max(task.detected_at).plus(SETTLE);
    let settled = settled.min(task.detected_at.plus(CASE_SETTLES));
    (now < settled).then(|| wait(settled, Reason::MayStillShow))
}

/// The gates before an action, in their order.
fn act(
    situation: &Situation<'_>,
    finding: &Finding,
    phase: Phase,
    offer: Offer,
    now: Timestamp,
) -> Decision {
    let kind = offer.kind;
    let fits = |one: &&Checked| one.kind == kind && one.command == offer.command;
    let Some(checked) = situation.checked.as_ref().filter(fits) else {
        return Question::Check(offer).into();
    };
    let refuse = |reason| {
        Decision::from(Step::Refuse {
            phase,
            kind,
            reason,
        })
    };
    let action = match &checked.target {
        Ok(action) => action.clone(),
        Err(why) => {
            let why = why.clone();
            return refuse(Reason::NoTarget { kind, why });
        }
    };
    if let Some(closed) = gates::before_root(&gate_facts(situation, now), now) {
        return held(situation, closed, now).into();
    }
    if let Some(why) = &checked.gone {
        let (action, why) = (action.text, why.clone());
        return refuse(Reason::Precondition { action, why });
    }
    if let Some(unit) = &checked.unwanted {
        return unwanted(situation, unit, now).into();
    }
    if let Some(what) = &checked.held {
        let look = now.plus(gates::later(now.since(situation.task.detected_at)));
        return in_time(situation, Reason::Held(what.clone()), look, now).into();
    }
    let mode = mode_of(situation, finding, kind, offer.command.as_deref());
    let leave = leave_for(situation.task, &action, now);
    if let Some(reason) = gates::needs_human(mode, leave == Leave::Given) {
        let reason = match leave {
            Leave::OfAnother(changed) if mode == Mode::Suggest => Reason::Changed(changed),
            Leave::None if mode == Mode::Suggest && situation.past.taken_back.contains(&kind) => {
                Reason::TakenBack
            }
            Leave::OfAnother(_) | Leave::Given | Leave::None => reason,
        };
        if let Some(early) = unsettled(situation, now) {
            return early.into();
        }
        return Step::Tell {
            reason,
            proposed: Some(action),
            retry_at: None,
        }
        .into();
    }
    if let Some(spent) = &checked.spent {
        return out_of_budget(situation, spent, now).into();
    }
    if kind.is_disruptive() && !checked.slot_free {
        return wait(now.plus(SLOT_RECHECK), Reason::Slot).into();
    }
    let why = offer.why;
    Step::Act { phase, action, why }.into()
}

/// A gate is closed that may open by itself. What the kill switch keeps from being repaired for long is told once.
fn held(situation: &Situation<'_>, closed: Closed, now: Timestamp) -> Step {
    let Closed { until, reason, .. } = closed;
    let gate = reason.gate();
    if gate != Some(Gate::KillSwitch) || situation.past.told > 0 || situation.host.dry_run {
        return wait(until, reason);
    }
    let forgotten = situation.task.detected_at.plus(KILL_SWITCH_FORGOTTEN);
    if now < forgotten {
        return wait(until.min(forgotten), reason);
    }
    tell(situation, reason, Some(until), now)
}

/// What is not wanted is not started. A human is told once, unless it passes or he knows.
fn unwanted(situation: &Situation<'_>, unit: &NotWanted, now: Timestamp) -> Step {
    let reason = Reason::Unwanted(unit.clone());
    let age = now.since(situation.task.detected_at);
    if unit.why.is_quiet() || situation.past.told > 0 {
        return wait(now.plus(gates::later_symptom(age)), reason);
    }
    if age < SETTLE {
        return wait(situation.task.detected_at.plus(SETTLE), reason);
    }
    let look = unit.why.is_of_another();
    Step::Tell {
        reason,
        proposed: None,
        retry_at: look.then(|| now.plus(gates::later(age))),
    }
}

fn gate_facts(situation: &Situation<'_>, now: Timestamp) -> GateFacts {
    let age = now.since(situation.task.detected_at);
    situation.host.gates(situation.settings, age, now)
}

/// The mode of an action now: what the configuration says, and less after a restore, of what a human took back, or in a
/// dry run.
pub fn mode_of(
    situation: &Situation<'_>,
    finding: &Finding,
    kind: ActionKind,
    declared: Option<&str>,
) -> Mode {
    let settings = situation.settings;
    let risk = settings.risk_against(finding, kind, declared);
    let mode = settings
        .mode_for(finding, risk)
        .min(settings.action_mode(kind));
    let taken_back = situation.past.taken_back.contains(&kind);
    match (
        situation.host.dry_run,
        taken_back || situation.host.restored.is_some(),
    ) {
        (true, _) => Mode::Observe,
        (false, true) => mode.min(Mode::Suggest),
        (false, false) => mode,
    }
}
