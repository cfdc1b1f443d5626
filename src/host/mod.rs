//! The only operating-system access: every path goes through a root prefix, every child process has
//! a deadline, and time comes from one clock.

// Numbers from outside must not overflow; tests know theirs.
#![cfg_attr(not(test), warn(clippy::arithmetic_side_effects))]

pub mod boot;
pub mod clock;
pub mod exec;
pub mod files;
pub mod held_files;
pub mod known_files;
pub mod lock;
pub mod memory;
pub mod mounts;
pub mod net;
pub mod packages;
pub mod pid_files;
pub mod procfs;
pub mod signals;
pub mod trusted;

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use clock::Clock;
use exec::{Command, ExecError, Executor, Following, Output};
use nix::errno::Errno;
use signals::{Ended, SignalError};

use crate::core::model::action::ProcessIdentity;

/// The host as the program sees it: files, commands and time. A fixture tree can stand for it (`Host::at`).
#[derive(Clone, Debug)]
pub struct Host {
    root: PathBuf,
    /// `None` for a tree that nothing runs in.
    executor: Option<Arc<dyn Executor>>,
    pub(crate) clock: Arc<Clock>,
}

impl Host {
    /// The real host.
    pub fn real() -> Self {
        Self {
            root: PathBuf::from("/"),
            executor: Some(Arc::new(exec::System::default())),
            clock: Arc::new(Clock::system()),
        }
    }

    /// A directory tree that stands for a host; nothing runs in it: no command is there.
    pub fn at(root: impl Into<PathBuf>, clock: Clock) -> Self {
        Self {
            root: root.into(),
            executor: None,
            clock: Arc::new(clock),
        }
    }

    /// The same tree with what carries its commands.
    #[must_use]
    pub fn with_executor(mut self, executor: Arc<dyn Executor>) -> Self {
        self.executor = Some(executor);
        self
    }

    /// True when commands and signals mean something here.
    pub fn is_running(&self) -> bool {
        self.executor.is_some()
    }

    /// Runs `program` with `args` to its end or to `deadline`.
    pub fn run(
        &self,
        program: &str,
        args: &[&str],
        deadline: Duration,
    ) -> Result<Output, ExecError> {
        self.run_command(&Command::new(program, args, deadline))
    }

    /// As `Executor::run`.
    pub fn run_command(&self, command: &Command<'_>) -> Result<Output, ExecError> {
        self.executor(command)?.run(command)
    }

    /// As `Executor::start`.
    pub fn start(&self, command: &Command<'_>) -> Result<i32, ExecError> {
        self.executor(command)?.start(command)
    }

    /// As `Executor::launch`.
    pub fn launch(
        &self,
        command: &Command<'_>,
        is_up: &mut dyn FnMut() -> bool,
    ) -> Result<exec::Launch, ExecError> {
        self.executor(command)?.launch(command, is_up)
    }

    /// As `Executor::follow`.
    pub fn follow(&self, command: &Command<'_>) -> Result<Following, ExecError> {
        self.executor(command)?.follow(command)
    }

    fn executor(&self, command: &Command<'_>) -> Result<&dyn Executor, ExecError> {
        let absent = || ExecError::Absent(command.program.to_owned());
        self.executor.as_deref().ok_or_else(absent)
    }

    /// As `Executor::end_process`.
    pub fn end_process(
        &self,
        identity: &ProcessIdentity,
        grace: Duration,
    ) -> Result<Ended, SignalError> {
        match &self.executor {
            Some(executor) => executor.end_process(self, identity, grace),
            None => Err(SignalError::Gone("nothing runs in this tree".to_owned())),
        }
    }

    /// As `Executor::resolves`.
    pub fn resolves(&self, name: &str, end: Instant) -> Option<bool> {
        self.executor.as_ref()?.resolves(name, end)
    }

    /// As `Executor::beside`; at once in a tree that nothing runs in.
    pub fn beside(&self, name: &str, work: impl FnOnce() + Send + 'static) -> io::Result<()> {
        match &self.executor {
            Some(executor) => executor.beside(name, Box::new(work)),
            None => {
                work();
                Ok(())
            }
        }
    }

    /// As `Executor::stop_waiting`.
    pub fn stop_waiting(&self) {
        if let Some(executor) = &self.executor {
            executor.stop_waiting();
        }
    }

    /// As `Executor::is_stopping`.
    pub fn is_stopping(&self) -> bool {
        let executor = self.executor.as_ref();
        executor.is_some_and(|executor| executor.is_stopping())
    }

    /// `path` (absolute, as the host names it) below the root prefix.
    pub fn path(&self, path: impl AsRef<Path>) -> PathBuf {
        let path = path.as_ref();
        self.root.join(path.strip_prefix("/").unwrap_or(path))
    }

    /// The name on the host of a path below the root prefix.
    pub fn named(&self, path: &Path) -> io::Result<String> {
        let below = path.strip_prefix(&self.root).ok().and_then(Path::to_str);
        below
            .map(|below| format!("/{below}"))
            .ok_or_else(|| io::ErrorKind::InvalidInput.into())
    }

    /// The same host with its files as PID 1 sees them: our own sandbox may lack mounts that came after our
    /// start, or show some paths read-only. Our own view where PID 1's may not be looked at.
    #[must_use]
    pub fn of_init(&self) -> Self {
        let root = self.path(INIT_ROOT);
        let root = if std::fs::read_dir(&root).is_ok() {
            root
        } else {
            self.root.clone()
        };
        Self {
            root,
            ..self.clone()
        }
    }

    /// Reads a text file of at most `cap` bytes; invalid UTF-8 becomes U+FFFD. Regular files only, and never
    /// waited for: a FIFO that somebody put in the place of one holds nobody up.
    pub fn read(&self, path: impl AsRef<Path>, cap: u64) -> io::Result<String> {
        use std::io::Read;
        let file = files::open_followed(&self.path(path))?;
        let mut bytes = Vec::new();
        file.take(cap).read_to_end(&mut bytes)?;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    }
}

/// It is not there, or has ended meanwhile: that is an answer, and no refusal.
pub fn is_gone(why: &io::Error) -> bool {
    why.kind() == io::ErrorKind::NotFound || why.raw_os_error() == Some(Errno::ESRCH as i32)
}

const INIT_ROOT: &str = "/proc/1/root";

/// Most a file under /proc, /sys or /etc is read of, in bytes.
pub const READ_CAP: u64 = 1 << 20;
