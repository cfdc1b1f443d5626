//! Child processes: argv only, own process group, deadline, capped and drained output.

use std::error::Error;
use std::fmt;
use std::io::Read;
use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::Path;
use std::process::{Child, ChildStderr, ChildStdout, Command, ExitStatus, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;

/// Most that is kept of each output stream, in bytes; the rest is read and dropped.
pub const OUTPUT_CAP: usize = 4 << 20;

/// A child that ended while something it left behind holds its streams is seen within this time.
const EXIT_LOOK: Duration = Duration::from_millis(50);
const DEFAULT_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

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

/// When this process was asked to stop: from then on nothing is waited for longer than [`STOP_PATIENCE`].
static STOPPING: OnceLock<Instant> = OnceLock::new();
/// Longest wait for a command after a stop was asked for; a drain takes under 5 s.
const STOP_PATIENCE: Duration = Duration::from_secs(3);

/// Cuts every wait for a command short, now and from now on. A service manager goes on with an order that
/// it has; a command of ours is killed.
pub fn stop_waiting() {
    STOPPING.get_or_init(Instant::now);
}

fn late(program: &str, deadline: Duration) -> ExecError {
    if STOPPING.get().is_some() {
        ExecError::Stopped(program.to_owned())
    } else {
        ExecError::Deadline(program.to_owned(), deadline)
    }
}

/// Time left until `end`, less when the process is to stop.
fn time_left(end: Instant) -> Duration {
    let end = STOPPING
        .get()
        .map_or(end, |since| end.min(*since + STOP_PATIENCE));
    end.saturating_duration_since(Instant::now())
}

/// Runs `program` with `args` to its end or to `deadline`, whichever comes first; at the deadline the
/// whole process group is killed. Standard input is empty; locale is C so that output can be parsed.
pub fn run(program: &str, args: &[&str], deadline: Duration) -> Result<Output, ExecError> {
    let mut command = Command::new(program);
    command.args(args);
    run_command(command, program, deadline)
}

/// Runs a command that leaves a daemon behind: in a session of its own, without our pipes, which a daemon
/// would keep open or die of. Only its exit status comes back; at the deadline only the command itself is
/// killed, never what it started.
pub fn run_starter(
    program: &str,
    args: &[&str],
    directory: &Path,
    deadline: Duration,
) -> Result<i32, ExecError> {
    let mut child = spawn_session(program, args, directory)?;
    let end = Instant::now() + deadline;
    loop {
        match child.try_wait() {
            Ok(Some(status)) => return Ok(code(status)),
            Ok(None) if time_left(end).is_zero() => {
                let _ = child.kill();
                let _ = child.wait();
                return Err(late(program, deadline));
            }
            Ok(None) => std::thread::sleep(Duration::from_millis(5)),
            Err(why) => return Err(ExecError::Io(program.to_owned(), why)),
        }
    }
}

/// Starts `program` in a session of its own with nothing on its standard streams and a plain environment.
pub fn spawn_session(program: &str, args: &[&str], directory: &Path) -> Result<Child, ExecError> {
    let mut command = Command::new(program);
    plain_environment(&mut command);
    command
        .args(args)
        .current_dir(directory)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    // SAFETY: setsid(2) and umask(2) are async-signal-safe and the closure allocates nothing.
    unsafe {
        command.pre_exec(|| {
            nix::unistd::setsid()?;
            // Our own 077 is not what a service expects.
            nix::sys::stat::umask(nix::sys::stat::Mode::from_bits_truncate(0o022));
            Ok(())
        });
    }
    command.spawn().map_err(|why| spawn_error(program, why))
}

/// Nothing of our own environment reaches a service or an operator's command: no notify socket, no
/// credentials.
pub fn plain_environment(command: &mut Command) {
    let path = std::env::var_os("PATH").unwrap_or_else(|| DEFAULT_PATH.into());
    command
        .env_clear()
        .env("PATH", path)
        .env("HOME", "/")
        .env("LC_ALL", "C");
}

fn spawn_error(program: &str, why: std::io::Error) -> ExecError {
    match why.kind() {
        std::io::ErrorKind::NotFound => ExecError::Absent(program.to_owned()),
        _ => ExecError::Spawn(program.to_owned(), why),
    }
}

fn code(status: ExitStatus) -> i32 {
    status
        .code()
        .or_else(|| status.signal().map(|signal| 128 + signal))
        .unwrap_or(-1)
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
    let mut child = command.spawn().map_err(|why| spawn_error(program, why))?;
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

/// Reads both streams until they close or the child has ended, whichever comes first: what a child left
/// behind may hold them for ever.
fn drain(child: &mut Child, program: &str, deadline: Duration) -> Result<Output, ExecError> {
    let end = Instant::now() + deadline;
    let io = |why: std::io::Error| ExecError::Io(program.to_owned(), why);
    let (mut out, mut err) = (child.stdout.take(), child.stderr.take());
    let mut kept = [Vec::new(), Vec::new()];
    let [kept_out, kept_err] = &mut kept;
    let mut status = None;
    loop {
        let left = time_left(end);
        if left.is_zero() {
            return Err(late(program, deadline));
        }
        if status.is_none() {
            status = child.try_wait().map_err(io)?;
        }
        let pause = match (status, out.is_some() || err.is_some()) {
            (Some(_), false) => break,
            // It ended: take what lies in the pipes, wait for nothing.
            (Some(_), true) => Duration::ZERO,
            (None, true) => left.min(EXIT_LOOK),
            // Streams closed, still ending.
            (None, false) => left.min(Duration::from_millis(2)),
        };
        let ready = readable(&out, &err, pause).map_err(io)?;
        if ready.is_empty() && status.is_some() {
            break;
        }
        read_ready(&mut out, &ready, kept_out).map_err(io)?;
        read_ready(&mut err, &ready, kept_err).map_err(io)?;
    }
    let [stdout, stderr] = kept;
    Ok(Output {
        status: status.map_or(-1, code),
        stdout,
        stderr,
    })
}

/// Descriptors of the streams that have something to read, or are closed, within `pause`.
fn readable(
    out: &Option<ChildStdout>,
    err: &Option<ChildStderr>,
    pause: Duration,
) -> std::io::Result<Vec<i32>> {
    let streams = out
        .iter()
        .map(AsFd::as_fd)
        .chain(err.iter().map(AsFd::as_fd));
    let mut fds: Vec<PollFd<'_>> = streams
        .map(|fd| PollFd::new(fd, PollFlags::POLLIN))
        .collect();
    match poll(
        &mut fds,
        PollTimeout::try_from(pause).unwrap_or(PollTimeout::MAX),
    ) {
        Ok(_) => {}
        Err(nix::errno::Errno::EINTR) => return Ok(Vec::new()),
        Err(why) => return Err(why.into()),
    }
    Ok(fds
        .iter()
        .filter(|fd| fd.any().unwrap_or(true))
        .map(|fd| fd.as_fd().as_raw_fd())
        .collect())
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
    fn what_a_child_leaves_behind_does_not_hold_the_answer() {
        // The background process keeps both streams open for a minute.
        let out = run("sh", &["-c", "sleep 60 & echo $!"], Duration::from_secs(30)).unwrap();
        let left: i32 = out.text().trim().parse().unwrap();
        assert!(out.success());
        nix::sys::signal::kill(Pid::from_raw(left), Signal::SIGKILL).unwrap();
    }

    #[test]
    fn a_starter_gets_a_session_and_a_plain_environment() {
        let dir = tempfile::tempdir().unwrap();
        let args = [
            "-c",
            "cut -d' ' -f6 /proc/$$/stat >a; echo $$ >>a; env >b; exit 4",
        ];
        let status = run_starter("sh", &args, dir.path(), Duration::from_secs(20)).unwrap();
        assert_eq!(status, 4);
        let text = std::fs::read_to_string(dir.path().join("a")).unwrap();
        let ids: Vec<&str> = text.lines().collect();
        assert_eq!(ids.first(), ids.last());
        let env = std::fs::read_to_string(dir.path().join("b")).unwrap();
        assert!(!env.contains("CARGO"), "{env}");
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
