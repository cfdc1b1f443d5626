//! What lies outside the daemon and outlives it: units, issues, the log, people. A process that crashed
//! reaches nothing of it any more.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use super::super::issues::Issues;
use super::super::units::Units;
use super::disk;
use crate::core::model::action::ProcessIdentity;
use crate::core::model::time::Timestamp;
use crate::escalation::http::{Request, Response, SendError, Transport, Verb};
use crate::host::Host;
use crate::host::clock::Clock;
use crate::host::exec::scripted::Scripted;
use crate::host::exec::{Command, ExecError, Executor, Following, Launch, Output};
use crate::host::signals::{Ended, SignalError};

/// An order to start a unit.
#[derive(Clone, Debug)]
pub struct Start {
    pub unit: String,
    pub at: Timestamp,
    /// It ran already: done twice.
    pub ran: bool,
    /// The kill switch was on.
    pub forbidden: bool,
}

/// Shared by all lives of one daemon.
#[derive(Clone, Debug)]
pub struct World {
    pub units: Units,
    pub issues: Issues,
    starts: Arc<Mutex<Vec<Start>>>,
    /// What a human allowed: about which subject, until when.
    leaves: Arc<Mutex<Vec<(String, Timestamp)>>>,
    /// The next answer of the tracker gets lost.
    pub mute: Arc<Mutex<bool>>,
    /// All units but the first require that one.
    pub of_one_root: bool,
}

/// What the others require, where they do.
pub const ROOT: &str = "unit-a.service";

impl World {
    pub fn new() -> Self {
        Self {
            units: Units::new(),
            issues: Issues::default(),
            starts: Arc::default(),
            leaves: Arc::default(),
            mute: Arc::default(),
            of_one_root: false,
        }
    }

    /// A unit that failed is bound to the root, where there is one.
    pub fn bind(&self, name: &str) {
        if self.of_one_root && name != ROOT {
            self.units.change(name, |unit| unit.requires = ROOT);
        }
    }

    pub fn starts(&self) -> MutexGuard<'_, Vec<Start>> {
        self.starts.lock().unwrap()
    }

    pub fn leaves(&self) -> MutexGuard<'_, Vec<(String, Timestamp)>> {
        self.leaves.lock().unwrap()
    }

    /// The host of one process, with its files below `root`.
    pub fn host(&self, root: &Path, now: Timestamp, kill_switch: PathBuf) -> Host {
        let script = Arc::new(Scripted::default());
        let mortal = Mortal {
            script: Arc::clone(&script),
            world: self.clone(),
            root: root.to_owned(),
            kill_switch,
            clock: Mutex::default(),
        };
        let mortal = Arc::new(mortal);
        let host = Host::at(root, Clock::manual(now)).with_executor(mortal.clone());
        self.units.serve(&script, root, &host.clock);
        *mortal.clock.lock().unwrap() = Some(Arc::clone(&host.clock));
        host
    }

    /// The tracker as one process reaches it.
    pub fn tracker(&self, root: &Path) -> Box<dyn Transport + Send> {
        Box::new(Line {
            world: self.clone(),
            root: root.to_owned(),
        })
    }
}

/// Carries the commands of one process, as long as it lives.
#[derive(Debug)]
struct Mortal {
    script: Arc<Scripted>,
    world: World,
    root: PathBuf,
    kill_switch: PathBuf,
    clock: Mutex<Option<Arc<Clock>>>,
}

impl Mortal {
    fn lives(&self, command: &Command<'_>) -> Result<(), ExecError> {
        if disk::crashed(&self.root) {
            return Err(ExecError::Stopped(command.program.to_owned()));
        }
        if let ["start", .., unit] = command.args {
            let now = self.clock.lock().unwrap().as_ref().map(|clock| clock.now());
            let units = self.world.units.lock();
            let unit_state = units.units.get(*unit).map(|unit| unit.active_state);
            self.world.starts().push(Start {
                unit: (*unit).to_owned(),
                at: now.unwrap(),
                ran: unit_state == Some("active"),
                forbidden: self.kill_switch.exists(),
            });
        }
        Ok(())
    }
}

impl Executor for Mortal {
    fn run(&self, command: &Command<'_>) -> Result<Output, ExecError> {
        self.lives(command)?;
        self.script.run(command)
    }

    fn start(&self, command: &Command<'_>) -> Result<i32, ExecError> {
        self.lives(command)?;
        self.script.start(command)
    }

    fn launch(
        &self,
        command: &Command<'_>,
        is_up: &mut dyn FnMut() -> bool,
    ) -> Result<Launch, ExecError> {
        self.lives(command)?;
        self.script.launch(command, is_up)
    }

    fn follow(&self, command: &Command<'_>) -> Result<Following, ExecError> {
        self.lives(command)?;
        self.script.follow(command)
    }

    fn end_process(
        &self,
        host: &Host,
        identity: &ProcessIdentity,
        grace: Duration,
    ) -> Result<Ended, SignalError> {
        self.script.end_process(host, identity, grace)
    }
}

/// The way of one process to the tracker.
#[derive(Debug)]
struct Line {
    world: World,
    root: PathBuf,
}

impl Transport for Line {
    fn send(&self, request: &Request) -> Result<Response, SendError> {
        if disk::crashed(&self.root) {
            return Err(SendError::NotSent("this process is dead".to_owned()));
        }
        let answer = self.world.issues.send(request);
        let lost = std::mem::take(&mut *self.world.mute.lock().unwrap());
        if lost && request.method != Verb::Get {
            return Err(SendError::Unknown("the answer got lost".to_owned()));
        }
        answer
    }
}
