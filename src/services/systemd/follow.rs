//! systemd's signals as they come, put in order for whoever records them.

use std::collections::VecDeque;
use std::time::Duration;

use crate::core::model::manager_event::{
    Happening, JobId, JobKind, JobResult, ManagerEvent, ManagerState,
};
use crate::core::model::sorted::SortedMap;
use crate::host::Host;
use crate::host::clock::end_after;
use crate::services::Ear;
use crate::services::systemd::QUERY_DEADLINE;
use crate::services::systemd::bus::{BusConnection, BusError, MANAGER, MANAGER_PATH, PROPERTIES};
use crate::services::systemd::decode::Value;
use crate::services::systemd::events::{SignalNews, heard};
use crate::services::systemd::known::Known;
use crate::services::systemd::wire::Message;

const JOB: &str = "org.freedesktop.systemd1.Job";
/// Whether somebody still listens is asked this often.
const LOOK: Duration = Duration::from_secs(1);
/// A question about what was just heard.
const ASK: Duration = Duration::from_secs(2);
/// Signals that may wait behind a question; more are a gap.
const WAITING_MOST: usize = 1_024;
/// Jobs whose kind is remembered until their end.
const JOBS_MOST: usize = 1_024;
/// What they mean for the manager as a whole.
const OF_THE_MANAGER: [&str; 3] = ["shutdown.target", "rescue.target", "emergency.target"];

/// Tells `ear` what happens until it listens no more.
pub fn follow(host: &Host, known: &Known, ear: &mut dyn Ear) -> Result<(), BusError> {
    let end = end_after(QUERY_DEADLINE);
    let mut connection = BusConnection::open(host, end)?;
    connection.subscribe(end)?;
    known.follow(true);
    let mut follower = Follower {
        host,
        known,
        ear,
        connection,
        jobs: SortedMap::new(),
        waiting: VecDeque::new(),
    };
    let ended = follower.run();
    known.follow(false);
    ended
}

struct Follower<'a> {
    host: &'a Host,
    known: &'a Known,
    ear: &'a mut dyn Ear,
    connection: BusConnection,
    jobs: SortedMap<JobId, JobKind>,
    /// What came while a question was asked.
    waiting: VecDeque<SignalNews>,
}

impl Follower<'_> {
    fn run(&mut self) -> Result<(), BusError> {
        // What happened before is not known, but for the jobs that are there.
        self.tell(Happening::Gap);
        self.tell_state()?;
        self.tell_jobs()?;
        while self.ear.listens() {
            let next = match self.waiting.pop_front() {
                Some(heard) => Some(heard),
                None => match self.connection.next(end_after(LOOK))? {
                    Some(message) => heard(&message)?,
                    None => None,
                },
            };
            if let Some(heard) = next {
                self.take(heard)?;
            }
        }
        Ok(())
    }

    fn tell(&mut self, what: Happening) {
        self.known.hear(&what);
        self.ear.hear(ManagerEvent {
            seen: self.host.clock.now(),
            what,
        });
    }

    fn take(&mut self, heard: SignalNews) -> Result<(), BusError> {
        match heard {
            SignalNews::Job { id, unit, path } => {
                let kind = JobKind::of(&self.property(&path, JOB, "JobType")?);
                self.begin(id, unit, kind);
            }
            SignalNews::StartupFinished => self.tell_state()?,
            SignalNews::UnitFilesChanged => self.known.forget(),
            SignalNews::Said(Happening::JobRemoved {
                id, unit, result, ..
            }) => self.end(id, unit, result),
            SignalNews::Said(what) => {
                let of_manager = matches!(&what, Happening::UnitChanged(change)
                    if change.active.is_some() && OF_THE_MANAGER.contains(&change.unit.as_str()));
                self.tell(what);
                if of_manager {
                    self.tell_state()?;
                }
            }
        }
        Ok(())
    }

    fn begin(&mut self, id: JobId, unit: String, kind: JobKind) {
        if self.jobs.len() >= JOBS_MOST {
            self.jobs.pop_first();
        }
        self.jobs.insert(id, kind);
        // It says so itself only when the last unit is down.
        let stops = unit == "shutdown.target" && kind == JobKind::Start;
        self.tell(Happening::JobNew { id, unit, kind });
        if stops {
            self.tell(Happening::ManagerState(ManagerState::Stopping));
        }
    }

    fn end(&mut self, id: JobId, unit: String, result: JobResult) {
        let kind = self.jobs.remove(&id).unwrap_or_default();
        self.tell(Happening::JobRemoved {
            id,
            unit,
            kind,
            result,
        });
    }

    fn tell_state(&mut self) -> Result<(), BusError> {
        let state = self.property(MANAGER_PATH, MANAGER, "SystemState")?;
        self.tell(Happening::ManagerState(ManagerState::of(&state)));
        Ok(())
    }

    /// The jobs that are there: `(usssoo)` each.
    fn tell_jobs(&mut self) -> Result<(), BusError> {
        let call = self.connection.manager("ListJobs", &[]);
        let waiting = &mut self.waiting;
        let mut aside = |message: &Message<'_>| put_off(waiting, message);
        let jobs = self
            .connection
            .ask(&call, end_after(ASK), &mut aside, |message| {
                let mut rows = message.body().entries()?;
                let mut jobs = Vec::new();
                while rows.next_entry() {
                    let id = JobId::from_number(rows.number()?);
                    let (unit, kind) = (rows.text()?.to_owned(), rows.text()?);
                    jobs.push((id, unit, JobKind::of(kind)));
                    for types in ["s", "o", "o"] {
                        rows.skip(types)?;
                    }
                }
                Ok(jobs)
            })?;
        for (id, unit, kind) in jobs {
            self.begin(id, unit, kind);
        }
        Ok(())
    }

    /// A property's text; empty when its object is gone. What comes meanwhile waits.
    fn property(&mut self, path: &str, interface: &str, name: &str) -> Result<String, BusError> {
        let args = [interface, name];
        let call = self.connection.peer().call(path, PROPERTIES, "Get", &args);
        let waiting = &mut self.waiting;
        let mut aside = |message: &Message<'_>| put_off(waiting, message);
        let text = |message: &Message<'_>| message.body().variant().map(|value| value.text());
        match self.connection.ask(&call, end_after(ASK), &mut aside, text) {
            Err(BusError::Refused(..)) => Ok(Value::Other.text()),
            other => other,
        }
    }
}

/// Keeps a signal for later; one that cannot be read, or has no room, leaves a gap in its place.
fn put_off(waiting: &mut VecDeque<SignalNews>, message: &Message<'_>) {
    let gap = || Some(SignalNews::Said(Happening::Gap));
    let Some(heard) = heard(message).unwrap_or_else(|_| gap()) else {
        return;
    };
    if waiting.len() >= WAITING_MOST {
        waiting.clear();
        waiting.extend(gap());
    }
    waiting.push_back(heard);
}
