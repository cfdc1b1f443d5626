//! The commands of the running machine.

use std::io::{self, Read};
use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::Path;
use std::process::{self, Child, ChildStderr, ChildStdout, ExitStatus, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::resource::{Resource, setrlimit};
use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;

use super::{Command, Confinement, ExecError, Executor, Following, Launch, OUTPUT_CAP, Output};
use crate::core::model::action::ProcessIdentity;
use crate::host::Host;
use crate::host::clock::end_after;
use crate::host::net;
use crate::host::signals::{self, Ended, SignalError};

/// A child that ended while something it left behind holds its streams is seen within this time.
const EXIT_LOOK: Duration = Duration::from_millis(50);
/// Time between two looks at a child without our pipes, and at what it starts.
const PAUSE: Duration = Duration::from_millis(5);
const DEFAULT_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
/// Longest wait for a command after a stop was asked for; a drain takes under 5 s.
const STOP_PATIENCE: Duration = Duration::from_secs(3);

/// Runs commands on this machine.
#[derive(Debug, Default)]
pub struct System {
    /// When this process was asked to stop: from then on nothing is waited for longer than [`STOP_PATIENCE`].
    stopping: OnceLock<Instant>,
}

impl System {
    fn late(&self, command: &Command<'_>) -> ExecError {
        let program = command.program.to_owned();
        if self.stopping.get().is_some() {
            ExecError::Stopped(program)
        } else {
            ExecError::Deadline(program, command.deadline)
        }
    }

    /// Time left until `end`, less when the process is to stop.
    fn time_left(&self, end: Instant) -> Duration {
        let stopped = self
            .stopping
            .get()
            .and_then(|since| since.checked_add(STOP_PATIENCE));
        let end = stopped.map_or(end, |stopped| end.min(stopped));
        end.saturating_duration_since(Instant::now())
    }
}

impl Executor for System {
    fn resolves(&self, name: &str, end: Instant) -> Option<bool> {
        let found = net::resolve(&format!("{name}:0"), end);
        Some(found.is_ok_and(|all| !all.is_empty()))
    }

    fn beside(&self, name: &str, work: Box<dyn FnOnce() + Send>) -> io::Result<()> {
        let thread = std::thread::Builder::new().name(name.to_owned());
        thread.spawn(work).map(drop)
    }

    fn run(&self, command: &Command<'_>) -> Result<Output, ExecError> {
        let mut child = prepared(command)
            .spawn()
            .map_err(|why| spawn_error(command.program, why))?;
        let result = self.drain(&mut child, command);
        if result.is_err() {
            kill_group(&child);
            let _ = child.wait();
        }
        result
    }

    fn start(&self, command: &Command<'_>) -> Result<i32, ExecError> {
        let mut child = spawn_session(command)?;
        let end = end_after(command.deadline);
        loop {
            match child.try_wait() {
                Ok(Some(status)) => return Ok(code(status)),
                Ok(None) if self.time_left(end).is_zero() => {
                    let _ = child.kill();
                    let _ = child.wait();
                    return Err(self.late(command));
                }
                Ok(None) => std::thread::sleep(PAUSE),
                Err(why) => return Err(ExecError::Io(command.program.to_owned(), why)),
            }
        }
    }

    fn launch(
        &self,
        command: &Command<'_>,
        is_up: &mut dyn FnMut() -> bool,
    ) -> Result<Launch, ExecError> {
        let mut child = spawn_session(command)?;
        let end = end_after(command.deadline);
        let launch = loop {
            if is_up() {
                break Launch::Up;
            }
            let ended = child.try_wait().ok().flatten();
            if ended.is_some_and(|status| !status.success()) {
                break Launch::EndedAtOnce;
            }
            if self.time_left(end).is_zero() {
                break Launch::NotUp;
            }
            std::thread::sleep(PAUSE);
        };
        // Somebody must reap it when it ends, or it would stay behind as a zombie of ours.
        std::thread::Builder::new()
            .name("reaper".to_owned())
            .stack_size(64 << 10)
            .spawn(move || child.wait())
            .map_err(|why| ExecError::Spawn(command.program.to_owned(), why))?;
        Ok(launch)
    }

    fn follow(&self, command: &Command<'_>) -> Result<Following, ExecError> {
        let child = prepared(command)
            .spawn()
            .map_err(|why| spawn_error(command.program, why))?;
        Following::of_child(child).map_err(|why| ExecError::Io(command.program.to_owned(), why))
    }

    fn end_process(
        &self,
        host: &Host,
        identity: &ProcessIdentity,
        grace: Duration,
    ) -> Result<Ended, SignalError> {
        signals::terminate(host, identity, grace)
    }

    fn stop_waiting(&self) {
        self.stopping.get_or_init(Instant::now);
    }

    fn is_stopping(&self) -> bool {
        self.stopping.get().is_some()
    }
}

/// A child with pipes, in a process group of its own.
fn prepared(command: &Command<'_>) -> process::Command {
    let mut prepared = process::Command::new(command.program);
    plain_environment(&mut prepared);
    if let Some(confinement) = command.confined {
        confine(&mut prepared, confinement);
    }
    prepared
        .args(command.args)
        .envs(command.environment.iter().copied())
        .env("SYSTEMD_COLORS", "0")
        .env("SYSTEMD_PAGER", "")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .process_group(0);
    prepared
}

fn confine(command: &mut process::Command, confinement: &Confinement) {
    command.current_dir("/");
    if let Some(user) = &confinement.user {
        command
            .uid(user.uid.as_raw())
            .gid(user.gid.as_raw())
            .env("HOME", &user.dir)
            .env("USER", &user.name);
    }
    let (bytes, seconds) = (confinement.address_bytes, confinement.cpu_seconds);
    // SAFETY: setrlimit(2) is async-signal-safe and the closure allocates nothing.
    unsafe {
        command.pre_exec(move || {
            setrlimit(Resource::RLIMIT_AS, bytes, bytes)?;
            // What leaves the process group is still ended by its own use of the processor.
            setrlimit(Resource::RLIMIT_CPU, seconds, seconds)?;
            setrlimit(Resource::RLIMIT_CORE, 0, 0)?;
            Ok(())
        });
    }
}

/// Starts a command in a session of its own with nothing on its standard streams and a plain environment.
fn spawn_session(command: &Command<'_>) -> Result<Child, ExecError> {
    let mut prepared = process::Command::new(command.program);
    plain_environment(&mut prepared);
    prepared
        .args(command.args)
        .current_dir(command.directory.unwrap_or(Path::new("/")))
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    // SAFETY: setsid(2) and umask(2) are async-signal-safe and the closure allocates nothing.
    unsafe {
        prepared.pre_exec(|| {
            nix::unistd::setsid()?;
            // Our own 077 is not what a service expects.
            nix::sys::stat::umask(nix::sys::stat::Mode::from_bits_truncate(0o022));
            Ok(())
        });
    }
    prepared
        .spawn()
        .map_err(|why| spawn_error(command.program, why))
}

/// Nothing of our own environment reaches a child, whatever it is: who had our notify socket could say that we
/// are well when we are not; no journal stream, no listening sockets, no credentials.
fn plain_environment(command: &mut process::Command) {
    let path = std::env::var_os("PATH").unwrap_or_else(|| DEFAULT_PATH.into());
    command
        .env_clear()
        .env("PATH", path)
        .env("HOME", "/")
        .env("LC_ALL", "C");
}

fn spawn_error(program: &str, why: std::io::Error) -> ExecError {
    if why.kind() == std::io::ErrorKind::NotFound {
        ExecError::Absent(program.to_owned())
    } else {
        ExecError::Spawn(program.to_owned(), why)
    }
}

fn code(status: ExitStatus) -> i32 {
    status
        .code()
        .or_else(|| status.signal().map(|signal| signal.saturating_add(128)))
        .unwrap_or(-1)
}

fn kill_group(child: &Child) {
    if let Ok(id) = i32::try_from(child.id()) {
        // The group may already be gone; nothing to do then.
        let _ = killpg(Pid::from_raw(id), Signal::SIGKILL);
    }
}

impl System {
    /// Reads both streams until they close or the child has ended, whichever comes first: what a child left
    /// behind may hold them for ever.
    fn drain(&self, child: &mut Child, command: &Command<'_>) -> Result<Output, ExecError> {
        let end = end_after(command.deadline);
        let io = |why: std::io::Error| ExecError::Io(command.program.to_owned(), why);
        let (mut out, mut err) = (child.stdout.take(), child.stderr.take());
        let mut kept = [Vec::new(), Vec::new()];
        let [kept_out, kept_err] = &mut kept;
        let mut status = None;
        loop {
            let left = self.time_left(end);
            if left.is_zero() {
                return Err(self.late(command));
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

    fn sh(script: &str, deadline: Duration) -> Result<Output, ExecError> {
        System::default().run(&Command::new("sh", &["-c", script], deadline))
    }

    #[test]
    fn output_and_status_come_back() {
        let out = sh("echo hi; echo bad >&2; exit 3", Duration::from_secs(10)).unwrap();
        assert_eq!((out.status, out.text().as_str()), (3, "hi\n"));
        assert_eq!(out.reason(), "bad");
    }

    #[test]
    fn the_whole_group_dies_at_the_deadline() {
        let started = Instant::now();
        let got = sh("sleep 60 & sleep 60", Duration::from_millis(50));
        assert!(matches!(got, Err(ExecError::Deadline(..))));
        assert!(started.elapsed() < Duration::from_secs(30));
    }

    #[test]
    fn what_a_child_leaves_behind_does_not_hold_the_answer() {
        // The background process keeps both streams open for a minute.
        let out = sh("sleep 60 & echo $!", Duration::from_secs(30)).unwrap();
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
        let command = Command::new("sh", &args, Duration::from_secs(20)).within(dir.path());
        assert_eq!(System::default().start(&command).unwrap(), 4);
        let text = std::fs::read_to_string(dir.path().join("a")).unwrap();
        let ids: Vec<&str> = text.lines().collect();
        assert_eq!(ids.first(), ids.last());
        let env = std::fs::read_to_string(dir.path().join("b")).unwrap();
        assert!(!env.contains("CARGO"), "{env}");
    }

    #[test]
    fn no_child_gets_what_our_service_manager_told_us() {
        // The test itself runs under cargo, whose variables stand for those of a service manager.
        let out = sh("env", Duration::from_secs(20)).unwrap().text();
        let names: Vec<&str> = out
            .lines()
            .filter_map(|line| line.split('=').next())
            .collect();
        let known = [
            "PATH",
            "HOME",
            "LC_ALL",
            "SYSTEMD_COLORS",
            "SYSTEMD_PAGER",
            "PWD",
            "SHLVL",
            "_",
        ];
        assert!(std::env::var_os("CARGO_MANIFEST_DIR").is_some());
        assert!(names.iter().all(|name| known.contains(name)), "{names:?}");
    }

    #[test]
    fn a_missing_program_is_absent() {
        let command = Command::new("no-such-program-here", &[], Duration::from_secs(1));
        let got = System::default().run(&command);
        assert!(matches!(got, Err(ExecError::Absent(_))));
    }

    #[test]
    fn endless_output_is_capped() {
        let args = ["-c", "9000000", "/dev/zero"];
        let command = Command::new("head", &args, Duration::from_secs(20));
        let out = System::default().run(&command).unwrap();
        assert_eq!(out.stdout.len(), OUTPUT_CAP);
    }
}
