//! Ending a process, and only that process: by pidfd, with its identity checked right before the signal.

use std::error::Error;
use std::fmt;
use std::io;
use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd};
use std::time::Duration;

use nix::errno::Errno;
use nix::libc;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use crate::core::model::action::ProcessIdentity;
use crate::host::{Host, pid_files, procfs};

/// Time for a process to end after TERM before KILL.
pub const TERM_GRACE: Duration = Duration::from_secs(5);
/// Time for the kernel to end a process after KILL; longer means it hangs in the kernel.
const KILL_GRACE: Duration = Duration::from_secs(5);

/// Why a process was not ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SignalError {
    /// Not the process that was meant, or none any more; nothing was signalled.
    Gone(String),
    /// Never to be signalled.
    Protected(String),
    /// It was signalled, and did not end.
    Endless(String),
    /// The system did not take the signal.
    Unsent(String, Errno),
}

impl fmt::Display for SignalError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Gone(why) | Self::Protected(why) | Self::Endless(why) => f.write_str(why),
            Self::Unsent(what, why) => write!(f, "{what}: {why}"),
        }
    }
}

impl Error for SignalError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Unsent(_, why) => Some(why),
            Self::Gone(_) | Self::Protected(_) | Self::Endless(_) => None,
        }
    }
}

/// How it ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    AfterTerm,
    AfterKill,
}

impl fmt::Display for Ended {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::AfterTerm => "TERM",
            Self::AfterKill => "KILL",
        })
    }
}

/// Is `identity` still this very process, and one that may be signalled?
pub fn check(host: &Host, identity: &ProcessIdentity) -> Result<(), SignalError> {
    let pid = identity.pid;
    let refused = |why: io::Error| {
        let errno = why.raw_os_error().map_or(Errno::EIO, Errno::from_raw);
        SignalError::Unsent(format!("process {pid} cannot be looked at"), errno)
    };
    let now = procfs::process(host, pid)
        .map_err(refused)?
        .ok_or_else(|| SignalError::Gone(format!("process {pid} is gone")))?;
    if now.start_ticks != identity.start_ticks || now.exe != identity.exe {
        return Err(SignalError::Gone(format!(
            "process {pid} is another one now: {}",
            now.exe
        )));
    }
    if pid <= 2 || now.ppid == 2 || now.exe.is_empty() {
        return Err(SignalError::Protected(format!(
            "process {pid} is init or a kernel thread"
        )));
    }
    if pid_files::ancestry(host, std::process::id()).contains(&pid) {
        return Err(SignalError::Protected(format!(
            "process {pid} is this program or one of its parents"
        )));
    }
    if is_contained(host, pid) {
        return Err(SignalError::Protected(format!(
            "process {pid} lives in a container"
        )));
    }
    Ok(())
}

/// In another pid namespace: its container's business. One that may not be asked is not ours to end
/// either, and the kernel says so then.
fn is_contained(host: &Host, pid: u32) -> bool {
    let space = |of: &str| std::fs::read_link(host.path(format!("/proc/{of}/ns/pid"))).ok();
    match (space(&pid.to_string()), space("self")) {
        (Some(its), Some(ours)) => its != ours,
        _ => false,
    }
}

/// TERM, then KILL after a grace; returns when the process is gone.
pub fn terminate(
    host: &Host,
    identity: &ProcessIdentity,
    grace: Duration,
) -> Result<Ended, SignalError> {
    let pidfd = open(identity.pid)?;
    // Checked AFTER the pidfd is open: from here on the descriptor means this process and no other.
    check(host, identity)?;
    send(&pidfd, libc::SIGTERM)?;
    if wait(&pidfd, grace) {
        return Ok(Ended::AfterTerm);
    }
    send(&pidfd, libc::SIGKILL)?;
    if wait(&pidfd, KILL_GRACE) {
        return Ok(Ended::AfterKill);
    }
    Err(SignalError::Endless(format!(
        "process {} did not end: it hangs in the kernel",
        identity.pid
    )))
}

fn open(pid: u32) -> Result<OwnedFd, SignalError> {
    let raw = libc::pid_t::try_from(pid)
        .map_err(|_| SignalError::Gone(format!("{pid} is no process id")))?;
    // SAFETY: pidfd_open(2) takes a pid and flags, touches no memory of ours and returns a new
    // descriptor or -1.
    let fd = unsafe { libc::syscall(libc::SYS_pidfd_open, raw, 0) };
    match i32::try_from(fd) {
        // SAFETY: the kernel just gave us this descriptor; nobody else owns it.
        Ok(fd) if fd >= 0 => Ok(unsafe { OwnedFd::from_raw_fd(fd) }),
        _ if Errno::last() == Errno::ESRCH => {
            Err(SignalError::Gone(format!("process {pid} is gone")))
        }
        _ => Err(SignalError::Unsent(format!("process {pid}"), Errno::last())),
    }
}

fn send(pidfd: &OwnedFd, signal: libc::c_int) -> Result<(), SignalError> {
    // SAFETY: pidfd_send_signal(2) with a null siginfo reads no memory of ours; the descriptor is open.
    let done = unsafe {
        libc::syscall(
            libc::SYS_pidfd_send_signal,
            pidfd.as_raw_fd(),
            signal,
            std::ptr::null::<libc::siginfo_t>(),
            0,
        )
    };
    match (done, Errno::last()) {
        (0, _) | (_, Errno::ESRCH) => Ok(()),
        (_, why) => Err(SignalError::Unsent(format!("signal {signal}"), why)),
    }
}

/// True when the process ended within `time`: its pidfd becomes readable then.
fn wait(pidfd: &OwnedFd, time: Duration) -> bool {
    let timeout = PollTimeout::try_from(time).unwrap_or(PollTimeout::MAX);
    let mut fds = [PollFd::new(pidfd.as_fd(), PollFlags::POLLIN)];
    matches!(poll(&mut fds, timeout), Ok(1))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use std::process::Command;

    fn identity(pid: u32) -> ProcessIdentity {
        let process = procfs::process(&Host::real(), pid).unwrap().unwrap();
        ProcessIdentity {
            pid,
            start_ticks: process.start_ticks,
            exe: process.exe,
        }
    }

    #[test]
    fn a_child_ends_after_term_and_a_deaf_one_after_kill() {
        let mut child = Command::new("sleep").arg("600").spawn().unwrap();
        let host = Host::real();
        let ended = terminate(&host, &identity(child.id()), Duration::from_secs(20)).unwrap();
        assert_eq!(ended, Ended::AfterTerm);
        child.wait().unwrap();
        let mut deaf = Command::new("sleep").arg("600").spawn().unwrap();
        nix::sys::signal::kill(
            nix::unistd::Pid::from_raw(deaf.id() as i32),
            nix::sys::signal::Signal::SIGSTOP,
        )
        .unwrap();
        // Until it really stands still: of two signals that wait, TERM would be taken first.
        let deadline = std::time::Instant::now() + Duration::from_secs(30);
        while procfs::process(&host, deaf.id()).unwrap().unwrap().state != 'T' {
            assert!(std::time::Instant::now() < deadline, "it never stopped");
            std::thread::yield_now();
        }
        assert_eq!(
            terminate(&host, &identity(deaf.id()), Duration::from_millis(50)).unwrap(),
            Ended::AfterKill
        );
        deaf.wait().unwrap();
    }

    #[test]
    fn another_process_behind_the_same_number_is_left_alone() {
        let mut child = Command::new("sleep").arg("600").spawn().unwrap();
        let mut wrong = identity(child.id());
        wrong.start_ticks += 1;
        assert!(matches!(
            terminate(&Host::real(), &wrong, TERM_GRACE),
            Err(SignalError::Gone(_))
        ));
        assert!(child.try_wait().unwrap().is_none());
        child.kill().unwrap();
        child.wait().unwrap();
    }

    #[test]
    fn we_our_parents_and_init_are_protected() {
        let host = Host::real();
        let mut line = pid_files::ancestry(&host, std::process::id());
        line.push(1);
        for pid in line {
            let one = procfs::process(&host, pid).unwrap();
            if one.is_some_and(|one| !one.exe.is_empty()) {
                assert!(
                    matches!(check(&host, &identity(pid)), Err(SignalError::Protected(_))),
                    "{pid}"
                );
            }
        }
    }
}
