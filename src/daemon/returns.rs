//! Looks for what the units of open tasks lack: what is there again is a reason to start them now.

use std::sync::mpsc::{self, Receiver, TryRecvError};
use std::time::Duration;

use crate::core::diagnosis::root_cause::OpenCondition;
use crate::core::model::class::ToldBy;
use crate::core::model::facts::Facts;
use crate::core::model::id::TaskId;
use crate::core::model::sorted::SortedMap;
use crate::core::model::task::{Status, Task};
use crate::core::model::time::Timestamp;
use crate::core::model::unit::UnitState;
use crate::core::remedy::lack::Lack;
use crate::daemon::runtime::Runtime;
use crate::host::Host;
use crate::host::clock::end_after;
use crate::host::held_files;
use crate::host::mounts;
use crate::host::net::{addresses, listeners};
use crate::store::StoreError;

/// Actor name in the audit.
const ACTOR: &str = "scanner";
/// A file system that does not answer, or a resolver, is asked no sooner again.
const EVERY: Duration = Duration::from_secs(5);
/// Longest that one name is looked up.
const LOOKUP_MOST: Duration = Duration::from_secs(5);

/// What one open task waits for.
#[derive(Debug)]
struct Watched {
    /// What `lack` was read of.
    evidence: Facts,
    lack: Option<Lack>,
    /// It was not there when it was looked at last.
    away: bool,
}

/// What was seen of each; what could not be looked at is left out.
type Seen = SortedMap<Lack, bool>;

/// What all open tasks wait for, and the look that is under way.
#[derive(Debug, Default)]
pub struct Lacking {
    watched: SortedMap<TaskId, Watched>,
    looked_at: Option<Timestamp>,
    under_way: Option<Receiver<Seen>>,
}

impl Lacking {
    /// Takes up what the last look saw, and looks again. It looks on a thread of its own: a path of a dead share and a
    /// resolver may not answer for long.
    pub fn look(
        &mut self,
        runtime: &Runtime,
        units: Option<&[UnitState]>,
        tasks: &[Task],
        now: Timestamp,
    ) -> Result<(), StoreError> {
        self.read(runtime, tasks);
        let mut of_units_seen = Seen::new();
        let due = self.looked_at.is_none_or(|at| now.since(at) >= EVERY);
        if due && self.under_way.is_none() {
            self.looked_at = Some(now);
            let lacks = self.watched.values().filter_map(|one| one.lack.clone());
            let (of_units, others) = lacks.partition(|lack| matches!(lack, Lack::Unit(_)));
            of_units_seen = units.map_or_else(Seen::new, |units| units_seen(of_units, units));
            self.begin(&runtime.host, others);
        }
        let mut seen = self.answer();
        seen.extend(of_units_seen);
        self.take_up(runtime, &seen, now)
    }

    /// What each waiting task lacks, read again where its evidence changed.
    fn read(&mut self, runtime: &Runtime, tasks: &[Task]) {
        let waits = |task: &&Task| {
            matches!(task.status, Status::Waiting | Status::Escalated)
                && task.class.row().told_by == ToldBy::UnitState
                && task.acknowledged_by.is_none()
        };
        let mut before = std::mem::take(&mut self.watched);
        for task in tasks.iter().filter(waits) {
            let known = before.remove(&task.id);
            let watched = match known.filter(|one| one.evidence == task.evidence) {
                Some(known) => known,
                None => Watched {
                    evidence: task.evidence.clone(),
                    lack: Lack::of(&OpenCondition::of(task, &task.finding())),
                    // What an earlier life of this program found away may have come while nobody looked.
                    away: task.detected_at < runtime.started_at,
                },
            };
            self.watched.insert(task.id, watched);
        }
    }

    fn answer(&mut self) -> Seen {
        match self.under_way.as_ref().map(Receiver::try_recv) {
            None | Some(Err(TryRecvError::Empty)) => Seen::new(),
            Some(Ok(seen)) => {
                self.under_way = None;
                seen
            }
            Some(Err(TryRecvError::Disconnected)) => {
                self.under_way = None;
                Seen::new()
            }
        }
    }

    /// Looks at what may take its time, beside the caller.
    fn begin(&mut self, host: &Host, lacks: Vec<Lack>) {
        if lacks.is_empty() {
            return;
        }
        let (sender, receiver) = mpsc::sync_channel(1);
        let own = host.clone();
        let looking = host.beside("returns", move || {
            // Nobody may be waiting any more.
            let _ = sender.send(look_at(&own, lacks));
        });
        match looking {
            Ok(()) => self.under_way = Some(receiver),
            Err(why) => log::warn!("what is missing cannot be looked for: {why}"),
        }
    }

    /// Makes due what waits for something that was away and is there.
    fn take_up(
        &mut self,
        runtime: &Runtime,
        seen: &Seen,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        for (task, watched) in self.watched.iter_mut() {
            let Some((lack, there)) = watched
                .lack
                .as_ref()
                .and_then(|lack| seen.get_key_value(lack))
            else {
                continue;
            };
            if *there && watched.away {
                let what = format!("{lack} is there again");
                if runtime.store.returned(*task, &what, ACTOR, now)? {
                    log::info!("task {task}: {what}");
                    runtime.work.ring();
                }
            }
            watched.away = !there;
        }
        Ok(())
    }
}

fn units_seen(lacks: Vec<Lack>, units: &[UnitState]) -> Seen {
    let active = |name: &str| {
        units
            .iter()
            .any(|unit| unit.name == name && unit.is_active())
    };
    let seen = lacks.into_iter().map(|lack| {
        let there = matches!(&lack, Lack::Unit(name) if active(name));
        (lack, there)
    });
    seen.collect()
}

fn look_at(host: &Host, lacks: Vec<Lack>) -> Seen {
    let each = |lack: Lack| is_there(host, &lack).map(|there| (lack, there));
    lacks.into_iter().filter_map(each).collect()
}

/// Whether it is there; `None` where nobody can tell.
pub(crate) fn is_there(host: &Host, lack: &Lack) -> Option<bool> {
    match lack {
        Lack::Path(path) => host.path(path).try_exists().ok(),
        Lack::Unit(_) => None,
        Lack::Address(address) => addresses::own(host).ok().map(|all| all.contains(address)),
        Lack::Listener(port) => {
            let all = listeners::listeners(host).ok()?;
            Some(
                all.iter()
                    .any(|one| one.protocol == "tcp" && one.port == *port),
            )
        }
        Lack::Name(name) => host.resolves(name, end_after(LOOKUP_MOST)),
        Lack::Port(port) => listeners::is_taken(host, port).ok().map(|taken| !taken),
        Lack::Lock(path) => held_files::is_held(host, path).ok().map(|held| !held),
        Lack::Room(folder) => mounts::room(host, folder).ok().map(|room| room.is_some()),
    }
}
