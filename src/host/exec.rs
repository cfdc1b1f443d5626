//! Child processes: argv only, own process group, deadline, capped and drained output.

use std::fmt;
use std::io::Read;
use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;

/// Most that is kept of each output stream, in bytes; the rest is read and dropped.
pub const OUTPUT_CAP: usize = 4 << 20;

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
            Self::Io(program, why) => write!(f, "{program}: reading its output: {why}"),
        }
    }
}

impl std::error::Error for ExecError {}

/// Runs `program` with `args` to its end or to `deadline`, whichever comes first; at the deadline the
/// whole process group is killed. Standard input is empty; locale is C so that output can be parsed.
pub fn run(program: &str, args: &[&str], deadline: Duration) -> Result<Output, ExecError> {
    let mut command = Command::new(program);
    command.args(args);
    run_command(command, program, deadline)
}

/// As [`run`], for a command that needs a user, directory or limits of its own.
pub fn run_command(
    mut command: Command,
    program: &str,
    deadline: Duration,
) -> Result<Output, ExecError> {
    command
        .env("LC_ALL", "C")
        .env("SYSTEMD_COLORS", "0")
        .env("SYSTEMD_PAGER", "")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .process_group(0);
    let mut child = command.spawn().map_err(|why| match why.kind() {
        std::io::ErrorKind::NotFound => ExecError::Absent(program.to_owned()),
        _ => ExecError::Spawn(program.to_owned(), why),
    })?;
    let result = drain(&mut child, program, deadline);
    if result.is_err() {
        kill_group(&child);
        let _ = child.wait();
    }
    result
}

fn kill_group(child: &Child) {
    if let Ok(id) = i32::try_from(child.id()) {
        // The group may already be gone; nothing to do then.
        let _ = killpg(Pid::from_raw(id), Signal::SIGKILL);
    }
}

fn drain(child: &mut Child, program: &str, deadline: Duration) -> Result<Output, ExecError> {
    let end = Instant::now() + deadline;
    let io = |why: std::io::Error| ExecError::Io(program.to_owned(), why);
    let late = || ExecError::Deadline(program.to_owned(), deadline);
    let (mut out, mut err) = (child.stdout.take(), child.stderr.take());
    let mut kept = [Vec::new(), Vec::new()];
    while out.is_some() || err.is_some() {
        let left = end.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(late());
        }
        let timeout =
            PollTimeout::try_from(left.min(Duration::from_secs(60))).unwrap_or(PollTimeout::MAX);
        let ready = {
            let mut fds: Vec<PollFd<'_>> = Vec::with_capacity(2);
            fds.extend(
                out.iter()
                    .map(|s| PollFd::new(s.as_fd(), PollFlags::POLLIN)),
            );
            fds.extend(
                err.iter()
                    .map(|s| PollFd::new(s.as_fd(), PollFlags::POLLIN)),
            );
            match poll(&mut fds, timeout) {
                Ok(_) | Err(nix::errno::Errno::EINTR) => {}
                Err(why) => return Err(io(why.into())),
            }
            fds.iter()
                .filter(|fd| fd.any().unwrap_or(true))
                .map(|fd| fd.as_fd().as_raw_fd())
                .collect::<Vec<_>>()
        };
        let [kept_out, kept_err] = &mut kept;
        read_ready(&mut out, &ready, kept_out).map_err(io)?;
        read_ready(&mut err, &ready, kept_err).map_err(io)?;
    }
    // Both pipes are closed: the child is ending; wait for it, still within the deadline.
    loop {
        if let Some(status) = child.try_wait().map_err(io)? {
            use std::os::unix::process::ExitStatusExt;
            let [stdout, stderr] = kept;
            return Ok(Output {
                status: status
                    .code()
                    .or_else(|| status.signal().map(|signal| 128 + signal))
                    .unwrap_or(-1),
                stdout,
                stderr,
            });
        }
        if Instant::now() >= end {
            return Err(late());
        }
        std::thread::sleep(Duration::from_millis(2));
    }
}

fn read_ready<S: Read + AsRawFd>(
    stream: &mut Option<S>,
    ready: &[i32],
    kept: &mut Vec<u8>,
) -> std::io::Result<()> {
    let Some(open) = stream else { return Ok(()) };
    if !ready.contains(&open.as_raw_fd()) {
        return Ok(());
    }
    let mut chunk = [0_u8; 8192];
    match open.read(&mut chunk) {
        Ok(0) => *stream = None,
        Ok(n) => {
            let room = OUTPUT_CAP.saturating_sub(kept.len()).min(n);
            kept.extend_from_slice(chunk.get(..room).unwrap_or(&[]));
        }
        Err(why) if why.kind() == std::io::ErrorKind::Interrupted => {}
        Err(why) => return Err(why),
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn output_and_status_come_back() {
        let out = run(
            "sh",
            &["-c", "echo hi; echo bad >&2; exit 3"],
            Duration::from_secs(10),
        )
        .unwrap();
        assert_eq!((out.status, out.text().as_str()), (3, "hi\n"));
        assert_eq!(out.reason(), "bad");
    }

    #[test]
    fn the_whole_group_dies_at_the_deadline() {
        let started = Instant::now();
        let got = run(
            "sh",
            &["-c", "sleep 60 & sleep 60"],
            Duration::from_millis(50),
        );
        assert!(matches!(got, Err(ExecError::Deadline(..))));
        assert!(started.elapsed() < Duration::from_secs(30));
    }

    #[test]
    fn a_missing_program_is_absent() {
        assert!(matches!(
            run("no-such-program-here", &[], Duration::from_secs(1)),
            Err(ExecError::Absent(_))
        ));
    }

    #[test]
    fn endless_output_is_capped() {
        let out = run(
            "head",
            &["-c", "9000000", "/dev/zero"],
            Duration::from_secs(20),
        )
        .unwrap();
        assert_eq!(out.stdout.len(), OUTPUT_CAP);
    }
}
