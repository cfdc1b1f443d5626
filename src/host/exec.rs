//! Child processes: argv only, own process group, deadline, capped and drained output. Commands go through the
//! [`Executor`] of a host as paths go through its root prefix.

mod following;
#[cfg(test)]
#[allow(clippy::panic)] // A command that no script answers ends the test.
pub mod scripted;
mod system;

use std::error::Error;
use std::fmt;
use std::io;
use std::path::Path;
use std::time::{Duration, Instant};

use nix::unistd::User;

pub use self::following::Following;
pub use self::system::System;
use crate::core::model::action::ProcessIdentity;
use crate::host::Host;
use crate::host::signals::{Ended, SignalError};

/// Most that is kept of each output stream, in bytes; the rest is read and dropped.
pub const OUTPUT_CAP: usize = 4 << 20;

/// A program to run, with its arguments.
#[derive(Clone, Copy, Debug)]
pub struct Command<'a> {
    pub program: &'a str,
    pub args: &'a [&'a str],
    pub deadline: Duration,
    /// Where it runs; `/` for what is started in a session of its own, else ours.
    pub directory: Option<&'a Path>,
    pub confined: Option<&'a Confinement>,
    /// Beside the plain one that every child gets.
    pub environment: &'a [(&'a str, &'a str)],
}

impl<'a> Command<'a> {
    pub const fn new(program: &'a str, args: &'a [&'a str], deadline: Duration) -> Self {
        Self {
            program,
            args,
            deadline,
            directory: None,
            confined: None,
            environment: &[],
        }
    }

    #[must_use]
    pub const fn knowing(mut self, environment: &'a [(&'a str, &'a str)]) -> Self {
        self.environment = environment;
        self
    }

    #[must_use]
    pub const fn within(mut self, directory: &'a Path) -> Self {
        self.directory = Some(directory);
        self
    }

    #[must_use]
    pub const fn confined(mut self, confinement: &'a Confinement) -> Self {
        self.confined = Some(confinement);
        self
    }
}

/// Who runs an operator's command, and with how much.
#[derive(Clone, Debug)]
pub struct Confinement {
    pub user: Option<User>,
    pub memory_bytes: u64,
    /// Of addresses, used or not: some runtimes set aside far more than they use.
    pub address_bytes: u64,
    pub cpu_seconds: u64,
}

/// How a service's start went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Launch {
    Up,
    /// The command ended with an error before the service was up.
    EndedAtOnce,
    /// The deadline passed before it was up; the command may still run.
    NotUp,
}

/// What carries commands and signals to a host. Two are maintained: this machine, and a script for tests.
pub trait Executor: fmt::Debug + Send + Sync {
    /// Runs a command to its end or to its deadline, whichever comes first; at the deadline the whole process
    /// group is killed. Standard input is empty; locale is C so that output can be parsed.
    fn run(&self, command: &Command<'_>) -> Result<Output, ExecError>;

    /// Runs a command that leaves a daemon behind: in a session of its own, without our pipes, which a daemon
    /// would keep open or die of. Only its exit status comes back; at the deadline only the command itself is
    /// killed, never what it started.
    fn start(&self, command: &Command<'_>) -> Result<i32, ExecError>;

    /// Starts a command that goes on as a daemon, in a session of its own; waits until `is_up`.
    fn launch(
        &self,
        command: &Command<'_>,
        is_up: &mut dyn FnMut() -> bool,
    ) -> Result<Launch, ExecError>;

    /// Starts a command whose output is read while it runs; its deadline does not count.
    fn follow(&self, command: &Command<'_>) -> Result<Following, ExecError>;

    /// Ends this very process: TERM, then KILL after `grace`.
    fn end_process(
        &self,
        host: &Host,
        identity: &ProcessIdentity,
        grace: Duration,
    ) -> Result<Ended, SignalError>;

    /// Whether a name has an address, asked until `end`; `None` where nobody can tell.
    fn resolves(&self, _name: &str, _end: Instant) -> Option<bool> {
        None
    }

    /// Does what may take its time in a thread of its own, of that name; in a test, at once.
    fn beside(&self, _name: &str, work: Box<dyn FnOnce() + Send>) -> io::Result<()> {
        work();
        Ok(())
    }

    /// Cuts every wait for a command short, now and from now on. A service manager goes on with an order that
    /// it has; a command of ours is killed.
    fn stop_waiting(&self) {}

    /// True once [`Executor::stop_waiting`] was called.
    fn is_stopping(&self) -> bool {
        false
    }
}

/// What a child did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Output {
    /// Exit status; 128 + signal number when killed by a signal.
    pub status: i32,
    pub stdout: Vec<u8>,
    pub stderr: Vec<u8>,
}

impl Output {
    pub fn success(&self) -> bool {
        self.status == 0
    }

    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.stdout).into_owned()
    }

    /// Last line of stderr, or of stdout when that is empty: the reason to show.
    pub fn reason(&self) -> String {
        let all =
            [&self.stderr, &self.stdout].map(|bytes| String::from_utf8_lossy(bytes).into_owned());
        all.iter()
            .filter_map(|text| text.lines().rev().find(|line| !line.trim().is_empty()))
            .map(|line| line.trim().to_owned())
            .next()
            .unwrap_or_else(|| format!("exit status {}", self.status))
    }
}

/// Why a command gave no result.
#[derive(Debug)]
pub enum ExecError {
    /// The program does not exist here.
    Absent(String),
    Spawn(String, std::io::Error),
    Deadline(String, Duration),
    /// This process was asked to stop meanwhile.
    Stopped(String),
    Io(String, std::io::Error),
}

impl fmt::Display for ExecError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Absent(program) => write!(f, "{program}: not installed on this host"),
            Self::Spawn(program, why) => write!(f, "{program}: cannot start: {why}"),
            Self::Deadline(program, after) => write!(
                f,
                "{program}: killed after {} s without an end",
                after.as_secs()
            ),
            Self::Stopped(program) => write!(f, "{program}: not waited for: the daemon stops"),
            Self::Io(program, why) => write!(f, "{program}: reading its output: {why}"),
        }
    }
}

impl Error for ExecError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Spawn(_, why) | Self::Io(_, why) => Some(why),
            Self::Absent(_) | Self::Deadline(..) | Self::Stopped(_) => None,
        }
    }
}
