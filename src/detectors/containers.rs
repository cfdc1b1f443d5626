//! Containers, asked over the engine's own socket (Docker, Podman): exited, unhealthy, in a restart loop, out of memory or
//! near its limit. Only what looks bad in the list is asked about further, within bounds.

use std::sync::{Mutex, OnceLock};
use std::time::{Duration, Instant};

use crate::core::config::Config;
use crate::core::diagnosis::cause_rules::{CauseRules, Context, Place};
use crate::core::model::class::Class;
use crate::core::model::facts::Fact;
use crate::core::model::finding::{Finding, Severity};
use crate::core::model::sorted::SortedMap;
use crate::core::model::time::Timestamp;
use crate::core::model::unit::{UnitName, UnitState};
use crate::core::reading::container::ENGINES;
use crate::core::reading::container_state::{
    ContainerFault, ContainerView, EndedBy, EngineEvent, Inspected, Listed, PROJECT, SETTLES,
    Watched, ended_by, trouble, update_until,
};
use crate::core::reading::last_run::bounded;
use crate::detectors::{DetectError, Detector, Snapshot, Sweep, container_memory};
use crate::host::READ_CAP;
use crate::host::clock::end_after;
use crate::services;
use crate::services::engine::{Engine, EngineError};

const INTERVAL: Duration = Duration::from_secs(10);
/// For all that one look asks of one engine.
const TIMEOUT: Duration = Duration::from_secs(5);
/// Most containers of one engine that are described in one look; the list tells of the others.
const INSPECTED_MOST: usize = 32;
/// The order that ended a container is looked for so long before its end, and longer where its program is given longer.
const ORDERED_BEFORE: Duration = Duration::from_secs(70);
/// Who ended it may be told this much later.
const TOLD_LATE: Duration = Duration::from_secs(60);
/// Creations and pulls are looked for so far back.
const UPDATES_BACK: Duration = Duration::from_secs(600);
/// Another supervisor is given so long to put its own container right.
const OWNER_GIVEN: Duration = Duration::from_secs(300);

#[derive(Debug, Default)]
pub struct Containers {
    /// By id; what is not listed any more is forgotten.
    seen: Mutex<SortedMap<String, Seen>>,
}

/// What is remembered of one container.
#[derive(Debug, Default)]
struct Seen {
    watched: Watched,
    /// The last lines of a run, by the run.
    said: Option<(String, String)>,
    /// Since when something is wrong.
    bad_since: Option<Timestamp>,
}

impl Detector for Containers {
    fn name(&self) -> &'static str {
        "container_unhealthy"
    }

    fn classes(&self) -> &'static [Class] {
        &[Class::ContainerUnhealthy]
    }

    fn interval(&self, _config: &Config) -> Duration {
        INTERVAL
    }

    fn examine(&self, look: &Snapshot<'_>) -> Result<Sweep, DetectError> {
        let engines = Engine::present(look.host);
        if engines.is_empty() {
            return Ok(Sweep::Absent("no container engine's socket".to_owned()));
        }
        let mut seen = self.seen.lock().map_err(|_| DetectError::Poisoned)?;
        let (mut found, mut ids) = (Vec::new(), Vec::new());
        let mut answers = false;
        for engine in &engines {
            let round = match Round::begin(engine, look) {
                Ok(round) => round,
                Err(why) if why.is_off() => continue,
                Err(why) => return Err(failed(engine, why)),
            };
            answers = true;
            // What is bad first: not all may be described.
            let (well, bad): (Vec<&Listed>, Vec<&Listed>) =
                round.all.iter().partition(|one| round.runs_well(one));
            for container in bad.into_iter().chain(well) {
                let known = seen.entry(container.id().to_owned()).or_default();
                found.extend(round.examine(container, known));
                ids.push(container.id().to_owned());
            }
        }
        if !answers {
            let why = "the container engine does not run".to_owned();
            return Ok(Sweep::Absent(why));
        }
        seen.retain(|id, _| ids.contains(id));
        Ok(Sweep::Present(found))
    }
}

fn failed(engine: &Engine, why: EngineError) -> DetectError {
    DetectError::Engine(engine.socket().to_owned(), why)
}

/// One look at one engine.
struct Round<'a> {
    engine: &'a Engine,
    look: &'a Snapshot<'a>,
    all: Vec<Listed>,
    is_podman: bool,
    /// Ids of those that fail their health check.
    unhealthy: Vec<String>,
    end: Instant,
    /// So many were described.
    inspected: std::cell::Cell<usize>,
    /// What came and went lately; asked for once.
    updates: OnceLock<Vec<EngineEvent>>,
    /// The label by which an autoheal container of this engine chooses; asked for once.
    heals: OnceLock<Option<String>>,
}

impl<'a> Round<'a> {
    fn begin(engine: &'a Engine, look: &'a Snapshot<'a>) -> Result<Self, EngineError> {
        let end = end_after(TIMEOUT);
        let containers = engine.containers(end)?;
        // An engine that does not know the filter has said it in its list.
        let unhealthy = match containers.is_podman {
            true => engine.unhealthy(end).unwrap_or_default(),
            false => Vec::new(),
        };
        Ok(Self {
            engine,
            look,
            all: containers.all,
            is_podman: containers.is_podman,
            unhealthy,
            end,
            inspected: std::cell::Cell::new(0),
            updates: OnceLock::new(),
            heals: OnceLock::new(),
        })
    }

    fn is_unhealthy(&self, container: &Listed) -> bool {
        container.says_unhealthy() || self.unhealthy.iter().any(|id| id == container.id())
    }

    fn runs_well(&self, container: &Listed) -> bool {
        container.runs() && !self.is_unhealthy(container)
    }

    /// Its description; `None` beyond the bound of this look.
    fn describe(&self, container: &Listed) -> Option<Result<Inspected, EngineError>> {
        let before = self.inspected.get();
        if before >= INSPECTED_MOST {
            return None;
        }
        self.inspected.set(before.saturating_add(1));
        Some(self.engine.inspect(container.id(), self.end))
    }

    fn examine(&self, container: &Listed, seen: &mut Seen) -> Option<Finding> {
        let (look, name) = (self.look, container.name());
        let class = Class::ContainerUnhealthy;
        if name.is_empty() {
            return None;
        }
        let open = look.open.contains(class, name);
        let unhealthy = self.is_unhealthy(container);
        let runs_well = self.runs_well(container);
        if runs_well {
            seen.watched.is_well(look.now);
        }
        let wants = match container.state() {
            "exited" => container.exit_code() != Some(0) || seen.watched.wants_count(),
            "running" => unhealthy || open || container.is_young() || seen.watched.wants_count(),
            "restarting" | "dead" => true,
            _ => seen.watched.wants_count(),
        };
        let inspected = match wants.then(|| self.describe(container)).flatten() {
            Some(Ok(inspected)) => Some(inspected),
            Some(Err(why)) if why.is_gone() => return None,
            Some(Err(why)) => {
                look.could_not_look(&[class], Some(name), failed(self.engine, why));
                None
            }
            None => None,
        };
        let counted = inspected.as_ref();
        let loops = counted.is_some_and(|one| seen.watched.counts(one, look.now));
        let ended_by = match (container.state(), counted) {
            ("exited", Some(inspected)) => {
                self.ended_by(inspected, seen, open || loops, container)?
            }
            _ => EndedBy::Unknown,
        };
        let known = ContainerView {
            inspected: counted,
            unhealthy,
            loops,
            ended_by,
            open,
        };
        let Some(trouble) = trouble(container, &known, look.now) else {
            seen.bad_since = None;
            return self.near_limit(container, open).filter(|_| runs_well);
        };
        let what = trouble.words();
        let message = format!("container {what}, image {}", container.image());
        let source = "containers";
        let finding = Finding::new(class, name, Severity::Error, &message, source, look.now);
        match &inspected {
            Some(inspected) => self.with_facts(finding, (container, inspected), &trouble, seen),
            None => Some(finding),
        }
    }

    /// Who ended it; `None` while that may still be told.
    fn ended_by(
        &self,
        inspected: &Inspected,
        seen: &mut Seen,
        is_known: bool,
        container: &Listed,
    ) -> Option<EndedBy> {
        let now = self.look.now;
        let Some(at) = inspected.finished_at() else {
            return Some(EndedBy::Unknown);
        };
        let age = now.since(at);
        let known = seen.watched.ended.filter(|(of, _)| *of == at);
        if let Some((_, by)) = known
            && (by != EndedBy::Unknown || age > TOLD_LATE)
        {
            return Some(by);
        }
        if self.is_podman && age < SETTLES && !is_known {
            return None;
        }
        let grace = inspected
            .stop_timeout()
            .saturating_add(Duration::from_secs(10));
        let since = at.minus(ORDERED_BEFORE.max(grace));
        let when = (self.is_podman, now);
        let events = self
            .engine
            .events(Some(container.id()), since, when, self.end);
        let by = match events {
            Ok(events) => ended_by(&events, inspected.exit_code(), self.is_podman),
            Err(why) => {
                log::debug!("events of container {}: {why}", container.name());
                EndedBy::Unknown
            }
        };
        seen.watched.ended = Some((at, by));
        Some(by)
    }

    /// The finding with all that is known of the container; `None` where it is its unit's own fault.
    fn with_facts(
        &self,
        finding: Finding,
        (container, inspected): (&Listed, &Inspected),
        trouble: &ContainerFault,
        seen: &mut Seen,
    ) -> Option<Finding> {
        let now = self.look.now;
        let unit = self.unit_of(container, inspected);
        let owner = self.owner(container, trouble);
        let exited = container.state() == "exited";
        // The end of its unit is a finding of its own; what another supervisor let end it replaces.
        let units_own = unit.as_ref().is_some_and(|(_, is_active)| !is_active);
        if exited && (units_own || owner.is_some()) {
            return None;
        }
        let since = *seen.bad_since.get_or_insert(now);
        let left_alone = match (&owner, trouble) {
            (Some(owner), _) => Some(format!("{owner} looks after it")),
            _ if !trouble.may_restart() => Some("its engine restarts it already".to_owned()),
            _ if unit.is_none() && inspected.is_removed_at_end() => {
                Some("it is removed when it ends: whoever ran it makes another one".to_owned())
            }
            (None, ContainerFault::Exited(_)) if is_unsure(seen) => {
                Some("it is not known who ended it".to_owned())
            }
            _ => None,
        };
        let needed = container.needs(&self.all, inspected.network_of());
        let is_dead = |one: &&&Listed| one.is_dead() || self.is_unhealthy(one);
        let dead = needed.iter().find(is_dead).map(|one| one.name());
        let names: Vec<&str> = needed.iter().map(|one| one.name()).collect();
        let doubt = seen.watched.doubt(inspected, dead);
        let given = owner.is_some().then(|| since.plus(OWNER_GIVEN));
        let is_new = now.since(since) <= UPDATES_BACK;
        let update = || {
            is_new
                .then(|| self.update_of(container, inspected))
                .flatten()
        };
        let starting = trouble.healthy_by().or_else(update);
        let starting = starting.max(given).filter(|until| now < *until);
        let code = i32::try_from(inspected.exit_code()).unwrap_or(1);
        let code = (container.state() != "running" && code != 0).then_some(code);
        let log = self.log(container, inspected, seen);
        let proven = doubt.as_deref().map_or(Ok(()), Err);
        let unit = unit.as_ref().map(|(unit, _)| Fact::Unit(unit.as_str()));
        let finding = match &left_alone {
            Some(why) => finding.with(Fact::LeftAlone(why)),
            None => finding
                .with(Fact::Container(container.id()))
                .with(Fact::Proven(proven)),
        };
        let loops = matches!(trouble, ContainerFault::Loops);
        let restarts = u32::try_from(inspected.restarts()).unwrap_or(u32::MAX);
        let oom =
            matches!(trouble, ContainerFault::OutOfMemory).then_some(Fact::Result("oom-kill"));
        Some(
            finding
                .with(unit)
                .with(oom)
                .with(loops.then_some(Fact::Restarts(restarts)))
                .with(code.map(|status| Fact::Exit {
                    code: "exited",
                    status,
                }))
                .with(Fact::Project(container.label(PROJECT)))
                .with(Fact::Requires(&names.join(" ")))
                .with(starting.map(Fact::StartingUntil))
                .with(Fact::Run(inspected.run()))
                .with(Fact::Log(&log)),
        )
    }

    /// What it said at the end of this run, read once a run: the engine's own words and its check's first.
    fn log(&self, container: &Listed, inspected: &Inspected, seen: &mut Seen) -> String {
        if let Some((run, log)) = &seen.said
            && run == inspected.run()
        {
            return log.clone();
        }
        let lines = self
            .engine
            .last_lines(container.id(), inspected.has_terminal(), self.end)
            .unwrap_or_default();
        let check = match inspected.health() {
            "unhealthy" => inspected.check_said(),
            _ => "",
        };
        let all = [inspected.error(), check, &lines].join("\n");
        let place = Place {
            context: Context::UnitLog,
            class: Class::ContainerUnhealthy,
        };
        let log = bounded(&all, |line| {
            CauseRules::builtin().name(place, line).is_some()
        });
        seen.said = Some((inspected.run().to_owned(), log.clone()));
        log
    }

    /// Until when something is being made new around it.
    fn update_of(&self, container: &Listed, inspected: &Inspected) -> Option<Timestamp> {
        let now = self.look.now;
        let events = self.updates.get_or_init(|| {
            let when = (self.is_podman, now);
            let since = now.minus(UPDATES_BACK);
            self.engine
                .events(None, since, when, self.end)
                .unwrap_or_default()
        });
        let own = (inspected.image(), inspected.created_at());
        update_until(events, container, own, now)
    }

    /// The unit that runs it, by its labels or the control group of its process, and whether that is active.
    fn unit_of(&self, container: &Listed, inspected: &Inspected) -> Option<(String, bool)> {
        let by_group = || {
            let pid = Some(inspected.pid()).filter(|pid| *pid > 0)?;
            let unit = self.look.unit_of(pid)?;
            let runs_others = ENGINES.contains(&unit.as_str()) || !unit.ends_with(".service");
            (!runs_others).then_some(unit)
        };
        let find = |name: &str| {
            let unit = UnitName::new(name).ok()?;
            let (_, state) = services::find(self.look.managers, &unit).ok()?;
            (state.load_state != "not-found").then_some(state)
        };
        let named = Some(container.unit()).filter(|unit| !unit.is_empty());
        let named = named.and_then(find);
        let named = named.filter(|unit| self.speaks_of(unit, container));
        let state = named.or_else(|| find(&by_group()?))?;
        Some((state.name.clone(), state.is_active()))
    }

    /// The file of the unit names the container. A label alone proves nothing, nor do two: an image brings labels too, and
    /// whoever made it would choose what is restarted here.
    fn speaks_of(&self, unit: &UnitState, container: &Listed) -> bool {
        let files = [&unit.fragment_path].into_iter().chain(&unit.drop_in_paths);
        let of_name = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
        let own = [container.name(), container.id()];
        let is_own = |word: &str| !word.is_empty() && own.contains(&word);
        files
            .filter_map(|file| self.look.host.read(file, READ_CAP).ok())
            .any(|text| text.split(|c| !of_name(c)).any(is_own))
    }

    /// Who else looks after it.
    fn owner(&self, container: &Listed, trouble: &ContainerFault) -> Option<String> {
        if let Some(owner) = container.owner() {
            return Some(owner.to_owned());
        }
        if !matches!(
            trouble,
            ContainerFault::Unhealthy | ContainerFault::Starting(_)
        ) {
            return None;
        }
        let label = self.heals.get_or_init(|| self.autoheal()).as_deref()?;
        let heals = label == "all" || container.label(label).eq_ignore_ascii_case("true");
        heals.then(|| "autoheal".to_owned())
    }

    fn autoheal(&self) -> Option<String> {
        let healer = self.all.iter().find(|one| one.is_autoheal())?;
        let described = self.describe(healer)?.ok()?;
        let label = described.variable("AUTOHEAL_CONTAINER_LABEL");
        Some(label.unwrap_or("autoheal").to_owned())
    }

    /// Where the engine says nothing of it: its memory against its limit.
    fn near_limit(&self, container: &Listed, open: bool) -> Option<Finding> {
        let (class, name) = (Class::ContainerUnhealthy, container.name());
        let near = container_memory::near_limit(self.look.host, container.id(), open);
        let source = format!("memory of {name}");
        let percent = self.look.told_of(class, name, &source, near)??;
        let image = container.image();
        let message = format!("container uses {percent} % of its memory limit, image {image}");
        let (severity, now) = (Severity::Warning, self.look.now);
        Some(Finding::new(
            class,
            name,
            severity,
            &message,
            "containers",
            now,
        ))
    }
}

/// Nothing tells who ended it.
fn is_unsure(seen: &Seen) -> bool {
    seen.watched
        .ended
        .is_none_or(|(_, by)| by == EndedBy::Unknown)
}

#[cfg(test)]
#[path = "containers_tests.rs"]
mod tests;
