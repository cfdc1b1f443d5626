//! The output of a command that is read while it runs.

use std::fs::File;
use std::io::{self, Read};
use std::os::fd::{AsFd, OwnedFd};
use std::process::Child;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;

use crate::host::clock::end_after;

/// An ended child gets this long to be gone.
const END_WAIT: Duration = Duration::from_secs(2);

/// The output of a running command. A child ends with its reader, whatever way the reader ends.
#[derive(Debug)]
pub struct Following {
    output: File,
    child: Option<Child>,
}

impl Following {
    /// Follows `output` to its end.
    pub fn new(output: OwnedFd) -> io::Result<Self> {
        fcntl(&output, FcntlArg::F_SETFL(OFlag::O_NONBLOCK))?;
        Ok(Self {
            output: File::from(output),
            child: None,
        })
    }

    pub(super) fn of_child(mut child: Child) -> io::Result<Self> {
        let output = child
            .stdout
            .take()
            .ok_or_else(|| io::Error::other("no output"))?;
        let mut following = Self::new(output.into())?;
        following.child = Some(child);
        Ok(following)
    }

    /// True when there is something to read, or the end, within `wait`.
    pub fn is_readable(&self, wait: Duration) -> io::Result<bool> {
        let timeout = PollTimeout::try_from(wait).unwrap_or(PollTimeout::ZERO);
        let mut fds = [PollFd::new(self.output.as_fd(), PollFlags::POLLIN)];
        match poll(&mut fds, timeout) {
            Ok(ready) => Ok(ready > 0),
            Err(Errno::EINTR) => Ok(false),
            Err(why) => Err(why.into()),
        }
    }

    /// Reads once, at most `most` bytes; false at the end of the output.
    pub fn fill(&mut self, pending: &mut Vec<u8>, most: usize) -> io::Result<bool> {
        let start = pending.len();
        pending.resize(start.saturating_add(most), 0);
        let got = self
            .output
            .read(pending.get_mut(start..).unwrap_or(&mut []));
        pending.truncate(start.saturating_add(got.as_ref().map_or(0, |n| *n)));
        match got {
            Ok(n) => Ok(n > 0),
            Err(why)
                if matches!(
                    why.kind(),
                    io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted
                ) =>
            {
                Ok(true)
            }
            Err(why) => Err(why),
        }
    }

    /// What an ended command said on stderr, cut.
    pub fn last_words(&mut self) -> String {
        let Some(child) = &mut self.child else {
            return String::new();
        };
        let end = end_after(END_WAIT);
        while Instant::now() < end && matches!(child.try_wait(), Ok(None)) {
            std::thread::sleep(Duration::from_millis(5));
        }
        let mut words = [0_u8; 400];
        let got = child
            .stderr
            .as_mut()
            .and_then(|err| err.read(&mut words).ok())
            .unwrap_or(0);
        let text = String::from_utf8_lossy(words.get(..got).unwrap_or(&[])).into_owned();
        text.trim().to_owned()
    }
}

impl Drop for Following {
    fn drop(&mut self) {
        let Some(child) = &mut self.child else {
            return;
        };
        if let Ok(id) = i32::try_from(child.id()) {
            // Already gone is fine.
            let _ = killpg(Pid::from_raw(id), Signal::SIGKILL);
        }
        let _ = child.wait();
    }
}
