//! The only operating-system access: every path goes through a root prefix, every child process has
//! a deadline, and time comes from one clock.

pub mod boot;
pub mod clock;
pub mod exec;
pub mod files;
pub mod lock;
pub mod memory;
pub mod mounts;
pub mod net;
pub mod pid_files;
pub mod procfs;
pub mod signals;

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use clock::Clock;

/// The host as the program sees it. A fixture tree can stand for it (`Host::at`).
#[derive(Clone, Debug)]
pub struct Host {
    root: PathBuf,
    pub clock: Arc<Clock>,
}

impl Host {
    /// The real host.
    pub fn real() -> Self {
        Self {
            root: PathBuf::from("/"),
            clock: Arc::new(Clock::system()),
        }
    }

    /// A directory tree that stands for a host, with a clock that only tests move.
    pub fn at(root: impl Into<PathBuf>, clock: Clock) -> Self {
        Self {
            root: root.into(),
            clock: Arc::new(clock),
        }
    }

    /// True when this is the running machine, so that commands and signals mean something.
    pub fn is_real(&self) -> bool {
        self.root == Path::new("/")
    }

    /// `path` (absolute, as the host names it) below the root prefix.
    pub fn path(&self, path: impl AsRef<Path>) -> PathBuf {
        let path = path.as_ref();
        self.root.join(path.strip_prefix("/").unwrap_or(path))
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
            clock: Arc::clone(&self.clock),
        }
    }

    /// Reads a text file of at most `cap` bytes; invalid UTF-8 becomes U+FFFD.
    pub fn read(&self, path: impl AsRef<Path>, cap: u64) -> io::Result<String> {
        use std::io::Read;
        let mut bytes = Vec::new();
        std::fs::File::open(self.path(path))?
            .take(cap)
            .read_to_end(&mut bytes)?;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    }
}

const INIT_ROOT: &str = "/proc/1/root";

/// Most a file under /proc, /sys or /etc is read of, in bytes.
pub const READ_CAP: u64 = 1 << 20;
