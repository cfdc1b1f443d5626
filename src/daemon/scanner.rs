//! The scanner thread: sweeps what is due, records what holds, closes what is over.

use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};

use crate::core::config::Config;
use crate::core::diagnosis::root_cause::{self, OpenCondition};
use crate::core::model::class::{Class, Clearing, MovesWith};
use crate::core::model::facts::Key;
use crate::core::model::finding::Finding;
use crate::core::model::gate::Gate;
use crate::core::model::hint::Hint;
use crate::core::model::id::TaskId;
use crate::core::model::sorted::{SortedMap, SortedSet};
use crate::core::model::task::{Resolution, Status, Task};
use crate::core::model::time::Timestamp;
use crate::core::model::unit::UnitState;
use crate::core::reading::unit_state::{Rest, rest_of};
use crate::core::remedy::ending::{self, Condition, Patience};
use crate::core::remedy::step::Reason;
use crate::daemon::days::Days;
use crate::daemon::ends::Kept;
use crate::daemon::gone::Gone;
use crate::daemon::habits;
use crate::daemon::healthy::HealthyNotes;
use crate::daemon::job::Job;
use crate::daemon::loaded_config::LoadedConfig;
use crate::daemon::memory::Memories;
use crate::daemon::returns::Lacking;
use crate::daemon::runtime::Runtime;
use crate::daemon::{attempt, by_hand, gather, loaded_config, ourselves, stopped};
use crate::detectors::{Blind, DetectError, Detector, Open, Snapshot, Sweep};
use crate::host::clock::end_after;
use crate::services;
use crate::store::{Intake, RunOutcome, StoreError};

/// Actor name in the audit.
const ACTOR: &str = "scanner";
/// A sweep-class condition must stay gone this long before it counts as over by itself, so that a unit
/// that is restarted by its manager every few seconds stays one task.
const CLEAR_HOLD: Duration = Duration::from_secs(10);
/// Time that a pass gives to what has fallen silent.
const SILENT_MOST: Duration = Duration::from_secs(1);
/// Longest wait between two passes: due times are looked at again.
const PASS_MAX: Duration = Duration::from_secs(5);
/// After the store took nothing: what is due stays so, and would be looked at without a pause.
const STORE_RETRY: Duration = Duration::from_secs(2);
/// A poke is answered this long after it, so that one burst of journal lines makes one sweep.
const POKE_SETTLE: Duration = Duration::from_millis(40);

/// When each detector is due, and since when each open condition is gone.
#[derive(Debug, Default)]
pub struct Schedule {
    due: SortedMap<&'static str, Timestamp>,
    gone_since: SortedMap<TaskId, Timestamp>,
    /// Detectors that could not look last time, and what refused.
    broken: SortedMap<&'static str, &'static str>,
    /// Units as the last look found them; on a calm host a query of all is most of what a sweep costs.
    units: Option<Vec<UnitState>>,
    /// What is healthy.
    notes: HealthyNotes,
    /// Detectors whose last look found something, or failed.
    unclean: SortedSet<&'static str>,
    ends: Kept,
    days: Days,
    memories: Memories,
    /// What open tasks wait for, of what a look can tell.
    lacking: Lacking,
    gone: Gone,
    /// The time that a boot is given was over at the last look.
    boot_is_over: bool,
    /// The restore after which every detector has to look anew.
    restored: Option<Timestamp>,
    /// What the due times were made by.
    loaded: Option<Arc<LoadedConfig>>,
}

impl Schedule {
    fn is_due(&self, detector: &dyn Detector, now: Timestamp) -> bool {
        let due = self.due.get(detector.name());
        due.is_none_or(|at| *at <= now)
    }

    /// What a reload brought, a new probe or another interval, is looked at at once.
    fn after_reload(&mut self, loaded: &Arc<LoadedConfig>) {
        let before = self.loaded.replace(Arc::clone(loaded));
        if before.is_some_and(|before| !Arc::ptr_eq(&before, loaded)) {
            self.due.clear();
        }
    }

    /// Nobody told the store yet which settings these are.
    fn is_new(&self, loaded: &Arc<LoadedConfig>) -> bool {
        let before = self.loaded.as_ref();
        before.is_none_or(|before| !Arc::ptr_eq(before, loaded))
    }

    /// A restore makes every detector due: what one saw before is no clean sweep after it.
    fn after_restore(&mut self, restored: Option<Timestamp>, enabled: &[&dyn Detector]) {
        if restored.is_some() && restored != self.restored {
            self.due.clear();
            self.unclean = enabled.iter().map(|one| one.name()).collect();
        }
        self.restored = restored;
        let is_enabled = |name: &str| enabled.iter().any(|one| one.name() == name);
        self.unclean.retain(|name| is_enabled(name));
        self.broken.retain(|name, _| is_enabled(name));
    }

    /// True when what a task of ours about a detector or a source says was looked at and does not hold any more.
    fn works_again(&self, subject: &str) -> bool {
        !self.broken.values().any(|refuses| *refuses == subject)
    }
}

/// What one pass did; printed by `run --once` and logged at debug level.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Pass {
    pub findings: usize,
    pub new_tasks: usize,
    pub cleared: usize,
}

/// Thread body: sweep, then wait for a poke or the next due time.
pub fn run(runtime: &Runtime) {
    let mut schedule = Schedule::default();
    let mut rings = 0;
    let mut poked = false;
    while !runtime.stopping() {
        let now = runtime.host.clock.now();
        let least = match sweep(runtime, &mut schedule, poked, now) {
            Ok(pass) if pass.new_tasks > 0 => {
                runtime.work.ring();
                Duration::ZERO
            }
            Ok(_) => Duration::ZERO,
            Err(why) => {
                log::error!("sweep: {}", why.with_hint());
                STORE_RETRY
            }
        };
        if let Err(why) = habits::keep(runtime, now) {
            log::error!("habits: {}", why.with_hint());
        }
        runtime.beat("scanner");
        let wait = next_wait(&schedule, runtime.host.clock.now());
        let heard = runtime.poke.wait(rings, wait.max(least));
        poked = heard != rings;
        if poked {
            std::thread::sleep(POKE_SETTLE);
        }
        rings = runtime.poke.wait(heard, Duration::ZERO);
    }
    if let Err(why) = habits::flush(runtime) {
        log::warn!("what was heard is not written down: {why}");
    }
    if let Err(why) = schedule.notes.flush(runtime, runtime.host.clock.now()) {
        log::warn!("what was healthy is not written down: {why}");
    }
    if let Err(why) = schedule.memories.flush(&runtime.store, &runtime.detectors) {
        log::warn!("what the detectors remember is not written down: {why}");
    }
}

fn next_wait(schedule: &Schedule, now: Timestamp) -> Duration {
    let due = schedule.due.values().copied().min();
    // Without units there is nothing to look at.
    let units = schedule.units.as_ref();
    due.into_iter()
        .chain(units.and_then(|_| schedule.notes.next_look()))
        .min()
        .map_or(PASS_MAX, |due| due.since(now))
        .clamp(Duration::from_millis(50), PASS_MAX)
}

/// True for detectors whose facts change with units.
fn follows_units(detector: &dyn Detector) -> bool {
    moves_with(detector).any(|what| matches!(what, MovesWith::OwnUnit | MovesWith::Units))
}

fn moves_with(detector: &dyn Detector) -> impl Iterator<Item = MovesWith> {
    let classes = detector.classes().iter();
    classes.map(|class| class.row().moves_with)
}

/// True for detectors that a poke makes due at once. The kernel's "Remounting filesystem read-only" pokes:
/// the mount table confirms it.
fn listens(detector: &dyn Detector) -> bool {
    moves_with(detector).any(|what| what != MovesWith::Nothing)
}

/// One pass over all detectors that are due.
pub fn sweep(
    runtime: &Runtime,
    schedule: &mut Schedule,
    poked: bool,
    now: Timestamp,
) -> Result<Pass, StoreError> {
    let loaded = runtime.loaded();
    if runtime.let_go(&loaded) {
        for gate in [Gate::KillSwitch, Gate::Maintenance] {
            runtime.store.wake_waiting(gate, now)?;
        }
        runtime.work.ring();
    }
    // No word tells it of a boot that hangs.
    if !schedule.boot_is_over && services::is_boot_over(&runtime.host) {
        schedule.boot_is_over = true;
        runtime.store.wake_waiting(Gate::Wanted, now)?;
        runtime.work.ring();
    }
    if schedule.is_new(&loaded) && runtime.store.works_with(&loaded.digest, now)? > 0 {
        runtime.work.ring();
    }
    schedule.after_reload(&loaded);
    let disabled = &loaded.config.detect.disabled;
    let mut enabled: Vec<&dyn Detector> = runtime.detectors.iter().map(AsRef::as_ref).collect();
    enabled.retain(|one| !disabled.iter().any(|name| name == one.name()));
    schedule.after_restore(runtime.store.reader()?.restored()?, &enabled);
    enabled.retain(|detector| (poked && listens(*detector)) || schedule.is_due(*detector, now));
    let due = enabled;
    loaded_config::recall(&runtime.host, &loaded.managers);
    let tasks = runtime.store.reader()?.open_conditions()?;
    let open = Open::new(tasks.iter().map(|task| (task.class, task.subject.clone())));
    // Out of the schedule, which changes while it is leaned on.
    let mut notes = std::mem::take(&mut schedule.notes);
    // What follows units looks anew; the others may lean on its last look until the next one is due.
    if notes.is_new() {
        // Noted before anything else is looked at, which takes its time: what runs may move or end at any moment.
        let look = Snapshot::new(&runtime.host, &loaded.config, &loaded.managers, &open);
        if let Ok(units) = look.units() {
            notes.keep(runtime, units, now)?;
        }
        schedule.units = look.into_units();
    } else if poked || due.iter().any(|one| follows_units(*one)) {
        schedule.units = None;
    }
    let known = notes.known(&runtime.store.reader()?)?;
    let look = Snapshot::new(&runtime.host, &loaded.config, &loaded.managers, &open)
        .remembering(known)
        .knowing(schedule.units.take())
        .suspecting(runtime.suspects())
        .hearing(runtime.silent(now))
        .on(runtime.uplink.errand(&runtime.store, &loaded.config, now));
    let (mut found, mut refused) = (Vec::new(), Vec::new());
    let mut looked_at = LookedAt::default();
    for detector in due {
        schedule.due.insert(
            detector.name(),
            now.plus(interval(detector, &loaded.config, runtime)),
        );
        let (result, blind) = examine(runtime, schedule, detector, &look, now);
        looked_at.blind.extend(blind.conditions);
        let mut cause = blind.why;
        match result {
            Ok(Sweep::Absent(_)) => {}
            Ok(Sweep::Present(findings)) => {
                looked_at.classes.extend(detector.classes().iter().copied());
                found.extend(findings);
            }
            Err(why) => cause = Some(why),
        }
        refused.extend(cause.map(|cause| (detector.name(), cause)));
    }
    schedule.units = look.into_units();
    schedule.notes = notes;
    if let Some(units) = &schedule.units {
        looked_at.gone = schedule.gone.look(runtime, units, &tasks, now)?;
        let reader = runtime.store.reader()?;
        let stopped = stopped::among(units, &loaded.config, &runtime.host, &reader)?;
        *runtime
            .stopped
            .lock()
            .unwrap_or_else(PoisonError::into_inner) = stopped;
    }
    if let Some(at) = schedule.restored
        && schedule.unclean.is_empty()
    {
        runtime.store.clean_sweep(at, now)?;
        log::info!(
            "one full clean sweep since the restore of {at}: the configured mode holds again"
        );
    }
    found.extend(ourselves::broken(&refused, now));
    let troubles = runtime.store.health().troubles();
    match ourselves::store(runtime, &troubles, now) {
        Some(finding) => found.push(finding),
        None => drop(looked_at.classes.insert(Class::SelfStore)),
    }
    schedule
        .ends
        .keep(&runtime.host, &runtime.store, &loaded.managers, now)?;
    if runtime.host.clock.is_sane() {
        schedule.days.keep(&runtime.store, now)?;
    }
    schedule
        .memories
        .keep(&runtime.store, &runtime.detectors, now)?;
    let pass = record(runtime, schedule, &tasks, found, &looked_at, now)?;
    let units = schedule.units.as_deref();
    schedule.lacking.look(runtime, units, &tasks, now)?;
    runtime.store.health().told(&troubles);
    // Last: a look at all processes must not keep a fault waiting.
    if let Some(units) = &schedule.units {
        schedule.notes.keep(runtime, units, now)?;
    }
    Ok(pass)
}

/// What a pass looked at.
#[derive(Default)]
struct LookedAt {
    classes: SortedSet<Class>,
    /// But not at these.
    blind: SortedSet<(Class, String)>,
    /// Tasks whose unit is gone for good.
    gone: SortedSet<TaskId>,
}

impl LookedAt {
    fn has(&self, task: &Task) -> bool {
        let mut blind = self.blind.iter();
        self.classes.contains(&task.class)
            && !blind.any(|(class, subject)| *class == task.class && *subject == task.subject)
    }
}

/// One detector's look, noted with how it came out.
fn examine(
    runtime: &Runtime,
    schedule: &mut Schedule,
    detector: &dyn Detector,
    look: &Snapshot<'_>,
    now: Timestamp,
) -> (Result<Sweep, DetectError>, Blind) {
    let name = detector.name();
    let started = Instant::now();
    let result = detector.examine(look);
    let took = started.elapsed();
    let blind = look.take_blind();
    let cause = result.as_ref().err().or(blind.why.as_ref());
    let (outcome, why) = match (cause, &result) {
        (Some(cause), _) => (RunOutcome::Broken, cause.with_hint()),
        (None, Ok(Sweep::Absent(why))) => (RunOutcome::Absent, why.clone()),
        (None, _) => (RunOutcome::Ok, String::new()),
    };
    let clean = match &result {
        _ if cause.is_some() => false,
        Ok(Sweep::Present(findings)) => findings.is_empty(),
        _ => true,
    };
    if clean {
        schedule.unclean.remove(name);
    } else {
        schedule.unclean.insert(name);
    }
    if let Some(cause) = cause {
        log::warn!("detector {name}: {why}");
        let refuses = cause.shared_source().unwrap_or(name);
        schedule.broken.insert(name, refuses);
    } else {
        schedule.broken.remove(name);
    }
    let store = &runtime.store;
    store.record_detector_run(name, outcome, took, &why, now);
    (result, blind)
}

/// Where journal or manager tell of unit changes, units are swept at the slower, configured pace.
fn interval(detector: &dyn Detector, config: &Config, runtime: &Runtime) -> Duration {
    let own = detector.interval(config);
    if listens(detector) && !runtime.hears_of_units() {
        return own.min(Duration::from_secs(5));
    }
    own
}

/// Writes down what one pass saw: new conditions, repeats, regressions, ends.
fn record(
    runtime: &Runtime,
    schedule: &mut Schedule,
    tasks: &[Task],
    found: Vec<Finding>,
    looked_at: &LookedAt,
    now: Timestamp,
) -> Result<Pass, StoreError> {
    let mut pass = Pass {
        findings: found.len(),
        ..Pass::default()
    };
    let mut fresh = Vec::new();
    let mut present = SortedSet::new();
    for finding in found {
        // One open task per condition: a sweep knows its condition by class and subject, even when
        // the wording (a result, an exit status) changed since.
        match tasks
            .iter()
            .find(|task| task.class == finding.class && task.subject == finding.subject)
        {
            Some(task) => {
                present.insert(task.id);
                schedule.gone_since.remove(&task.id);
                // Of a way out another stage may be the first that is broken by now.
                let stage = finding.fact(Key::StageSays);
                if stage.is_some() && stage != task.evidence.text(Key::StageSays) {
                    runtime.store.keep_evidence(task.id, &finding.evidence)?;
                    runtime.store.look_anew(&[task.id], now)?;
                }
                if task.status == Status::Fixed {
                    attempt::regressed(&Job::new(runtime, task, "stability"), &finding)?;
                }
            }
            None if schedule.gone.covers(&finding, now) => {}
            None => fresh.push(finding),
        }
    }
    if !fresh.is_empty() {
        let found = |one: &Finding| format!("{} {}: {}", one.class, one.subject, one.message);
        let told: Vec<String> = fresh.iter().map(found).collect();
        habits::follow(runtime, &fresh, now)?;
        let recorded = runtime.store.intake(
            Intake {
                findings: fresh,
                cursor: None,
            },
            now,
        )?;
        for (told, recorded) in told.iter().zip(&recorded) {
            log::warn!("found {told} (task {})", recorded.task_id);
        }
        let created = recorded.iter().filter(|one| one.created);
        let created: SortedSet<TaskId> = created.map(|one| one.task_id).collect();
        pass.new_tasks = created.len();
        look_below(runtime, &created, now)?;
    }
    let open = gather::conditions(tasks);
    for task in tasks.iter().filter(|task| !ending::is_at_work(task.status)) {
        let condition = condition(schedule, task, looked_at, &present, now);
        let over = match looked_at.gone.contains(&task.id) {
            true => Over::WithUnit,
            false if !ending::is_over(task, condition, patience(runtime), now) => continue,
            false => match condition {
                Condition::GoneSince(since) if is_as_wanted(schedule, task) => Over::Green(since),
                Condition::GoneSince(_) | Condition::Present | Condition::NotLooked => Over::Quiet,
            },
        };
        let units = schedule.units.as_deref().unwrap_or_default();
        end(runtime, task, units, &open, over, now)?;
        schedule.gone_since.remove(&task.id);
        pass.cleared += 1;
    }
    pass.cleared += end_silent(runtime, &open, now)?;
    let open: SortedSet<TaskId> = tasks.iter().map(|task| task.id).collect();
    schedule.gone_since.retain(|id, _| open.contains(id));
    look_again(runtime, schedule, tasks, now);
    Ok(pass)
}

/// How a condition ended that nobody has in hand.
#[derive(Clone, Copy)]
enum Over {
    /// Its detector sees it no more since then, and what it is about is as it was wanted.
    Green(Timestamp),
    /// Nothing tells of it any more.
    Quiet,
    /// Its unit is gone for good.
    WithUnit,
}

/// Closes what is over. Where a detector is green that soon after an attempt, it is the attempt's, and must hold.
fn end(
    runtime: &Runtime,
    task: &Task,
    units: &[UnitState],
    open: &[OpenCondition],
    over: Over,
    now: Timestamp,
) -> Result<(), StoreError> {
    let reader = runtime.store.reader()?;
    let told = reader.times_told(task.id)?;
    let last = match task.fix_attempted {
        true => gather::last_attempt(task.class, &reader.attempts(task.id)?),
        false => None,
    };
    let unit = by_hand::unit_of(task);
    let unit = unit.and_then(|name| units.iter().find(|unit| unit.name == name.as_str()));
    let matters = by_hand::is_start_asked(task, told, last.as_ref());
    let by_hand = match unit {
        Some(unit) => by_hand::mended(&runtime.host, &reader, task, unit, matters)?,
        None => None,
    };
    let finding = task.finding();
    let own = OpenCondition::of(task, &finding);
    let by_itself = match over {
        Over::WithUnit => Reason::GoneWithUnit,
        Over::Quiet if task.is_adopted() => Reason::NeverSeenHere,
        Over::Quiet => Reason::NoMoreLines,
        Over::Green(_) => ending::by_itself(last.as_ref()),
    };
    let (resolution, why) = ending::how(&own, open, by_itself);
    let with_root = matches!(why, Reason::OverWithRoot { .. });
    if let Some(what) = by_hand.filter(|_| !with_root) {
        log::info!("over: task {}: {what}", task.id);
        return runtime.close(task, Resolution::Human, &what, ACTOR, now);
    }
    if let (Over::Green(since), Some(last)) = (over, last)
        && !with_root
        && task.status != Status::Detected
        && last.ended_it(task.class, stability(runtime), since)
    {
        return attempt::green_late(&Job::new(runtime, task, ACTOR));
    }
    runtime.close(task, resolution, &why.to_string(), ACTOR, now)?;
    log::info!("over: task {} {} {}", task.id, task.class, task.subject);
    Ok(())
}

fn stability(runtime: &Runtime) -> Duration {
    Duration::from_secs(runtime.loaded().config.fix.stability_s)
}

/// What is new may be the root of what was found before it: that is looked at again now, not when its next attempt is due.
fn look_below(
    runtime: &Runtime,
    created: &SortedSet<TaskId>,
    now: Timestamp,
) -> Result<(), StoreError> {
    let open = runtime.store.reader()?.open_conditions()?;
    let cases = root_cause::cases(&gather::conditions(&open));
    let roots = cases
        .iter()
        .filter(|case| created.contains(&case.root.task));
    let members = roots.flat_map(|case| case.members.iter().map(|member| member.task));
    let below: Vec<TaskId> = members.filter(|task| !created.contains(task)).collect();
    match below.is_empty() {
        true => Ok(()),
        false => runtime.store.look_anew(&below, now),
    }
}

/// Closes what only lines told and has fallen silent, by the page; the rest of very much of it in the next pass.
fn end_silent(
    runtime: &Runtime,
    open: &[OpenCondition],
    now: Timestamp,
) -> Result<usize, StoreError> {
    let patience = patience(runtime);
    let before = now.minus(patience.quiet);
    let end = end_after(SILENT_MOST);
    let mut ended = 0;
    loop {
        let silent = runtime.store.reader()?.fallen_silent(before)?;
        let mut over = silent
            .iter()
            .filter(|task| ending::is_over(task, Condition::NotLooked, patience, now))
            .peekable();
        if over.peek().is_none() {
            return Ok(ended);
        }
        for task in over {
            let finding = task.finding();
            let own = OpenCondition::of(task, &finding);
            let (resolution, why) = ending::how(&own, open, Reason::EndedByItself);
            runtime.close(task, resolution, &why.to_string(), ACTOR, now)?;
            log::info!("over: task {} {} {}", task.id, task.class, task.subject);
            ended += 1;
        }
        if runtime.stopping() || Instant::now() >= end {
            return Ok(ended);
        }
    }
}

/// Conditions that seem over are looked at again as soon as their hold time ends.
fn look_again(runtime: &Runtime, schedule: &mut Schedule, tasks: &[Task], now: Timestamp) {
    let hold = runtime.timing.clear_hold.unwrap_or(CLEAR_HOLD);
    for task in tasks
        .iter()
        .filter(|task| schedule.gone_since.contains_key(&task.id))
    {
        for detector in &runtime.detectors {
            if detector.classes().contains(&task.class)
                && let Some(due) = schedule.due.get_mut(detector.name())
            {
                *due = (*due).min(now.plus(hold));
            }
        }
    }
}

/// What this pass says about an open task's condition; since when it is gone is remembered.
fn condition(
    schedule: &mut Schedule,
    task: &Task,
    looked_at: &LookedAt,
    present: &SortedSet<TaskId>,
    now: Timestamp,
) -> Condition {
    let looked_at = if task.class == Class::SelfDetectorBroken {
        schedule.works_again(&task.subject)
    } else {
        looked_at.has(task)
    };
    if present.contains(&task.id) || (looked_at && is_short(schedule, task)) {
        schedule.gone_since.remove(&task.id);
        Condition::Present
    } else if looked_at {
        Condition::GoneSince(*schedule.gone_since.entry(task.id).or_insert(now))
    } else {
        Condition::NotLooked
    }
}

/// Its unit is not seen as failed any more, and not as it was wanted either.
fn is_short(schedule: &Schedule, task: &Task) -> bool {
    matches!(rest(schedule, task), Some(Some(Rest::Short(_))))
}

/// A green of its detector is one.
fn is_as_wanted(schedule: &Schedule, task: &Task) -> bool {
    task.class.clearing() == Clearing::Sweep
        && matches!(rest(schedule, task), Some(None | Some(Rest::Reached)))
}

/// What became of a task's unit; `None` where the units are not known.
fn rest(schedule: &Schedule, task: &Task) -> Option<Option<Rest>> {
    let units = schedule.units.as_ref()?;
    let unit = units.iter().find(|unit| unit.name == task.subject);
    Some(rest_of(task.class, unit))
}

fn patience(runtime: &Runtime) -> Patience {
    Patience {
        hold: runtime.timing.clear_hold.unwrap_or(CLEAR_HOLD),
        quiet: Duration::from_secs(runtime.loaded().config.detect.quiet_s),
    }
}
