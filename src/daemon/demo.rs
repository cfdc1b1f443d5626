//! `demo`: a small declared service of its own in a temporary directory, broken in three ways, found,
//! repaired, verified and audited live. Needs no root and no init; touches nothing else.

mod error;

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::core::config::Config;
use crate::core::model::id::EventId;
use crate::core::model::task::{Resolution, Task};
use crate::daemon::runtime::{Options, Runtime, Timing};
use crate::daemon::{self};
use crate::detectors;
use crate::host::clock::end_after;
use crate::host::{Host, net};
use crate::store::{RunOutcome, TaskFilter};

pub use self::error::DemoError;
use self::error::stage;

/// Longest wait for one repair, well above what it needs.
const REPAIR_DEADLINE: Duration = Duration::from_secs(60);
/// Stability window of the demo; the default is 60 s.
const WINDOW_S: u64 = 1;
const SERVICE: &str = "demo-web";
/// Detectors that watch until the service runs.
const AT_FIRST: &[&str] = &["service_inactive"];

/// Runs the demo, printing to `out`. `Ok(false)` when a repair did not come in time.
pub fn run(out: &mut dyn Write) -> Result<bool, DemoError> {
    let stage = Stage::build()?;
    writeln!(
        out,
        "A web service of our own on 127.0.0.1:{} in {} is watched and repaired.\n\
         Shortened for the demo: stability window {WINDOW_S} s instead of 60 s, sweeps every second.\n\
         Each fault is left to the detectors named with it: which of all was first would be chance.\n",
        stage.port,
        stage.directory.display()
    )
    .map_err(DemoError::Output)?;
    let options = Options {
        config_file: stage.directory.join("config.toml"),
        config_named: true,
        state_dir: None,
        dry_run: false,
        timing: Timing::default(),
    };
    let runtime = Runtime::start(Host::real(), stage.config(AT_FIRST)?, &options)
        .map_err(DemoError::Start)?;
    let mut good = true;
    std::thread::scope(|scope| -> Result<(), DemoError> {
        let daemon = scope.spawn(|| daemon::run(&runtime).map_err(DemoError::Store));
        let played = play(&runtime, &stage, out, &mut good);
        runtime.stop();
        let ended = daemon.join().map_err(|_| DemoError::Panicked)?;
        played.and(ended)
    })?;
    finish(&runtime, out, good)?;
    Ok(good)
}

fn play(
    runtime: &Runtime,
    stage: &Stage,
    out: &mut dyn Write,
    good: &mut bool,
) -> Result<(), DemoError> {
    let mut watch = Watch::new(runtime);
    let watched_by = AT_FIRST.join(", ");
    writeln!(out, "0. It was never started. Watched by {watched_by}.")
        .map_err(DemoError::Output)?;
    // Closed as well: a fault right after the first green would be the same task's.
    if !watch.until(out, |open| open.is_empty() && stage.answers())? {
        *good = false;
        return Ok(());
    }
    for (number, fault) in [Fault::Killed, Fault::Hung, Fault::PortTaken]
        .into_iter()
        .enumerate()
    {
        let (title, watched_by) = (fault.title(), fault.watched_by());
        writeln!(
            out,
            "\n{}. {title} Watched by {}.",
            number + 1,
            watched_by.join(", ")
        )
        .map_err(DemoError::Output)?;
        let config = stage.config(watched_by)?;
        runtime.take_over(config).map_err(DemoError::TakeOver)?;
        let repaired = stage.inject(fault, runtime)? && watch.repair(out)? && stage.answers();
        if !repaired {
            *good = false;
            writeln!(out, "   NOT repaired in {} s", REPAIR_DEADLINE.as_secs())
                .map_err(DemoError::Output)?;
        }
    }
    Ok(())
}

fn finish(runtime: &Runtime, out: &mut dyn Write, good: bool) -> Result<(), DemoError> {
    let reader = runtime.store.reader()?;
    let audit = reader.audit_verify()?.map_or_else(
        |broken| format!("BROKEN: {broken}"),
        |report| {
            format!(
                "ok, {} events, head {:.12}…",
                report.events, report.head_hash
            )
        },
    );
    let fixed = reader
        .tasks(&crate::store::TaskFilter::default())?
        .iter()
        .filter(|task| task.resolution == Some(Resolution::Fixed))
        .count();
    let verdict = if good {
        "all found, repaired and verified"
    } else {
        "NOT all repaired"
    };
    writeln!(
        out,
        "\n{fixed} tasks closed as fixed: {verdict}. audit verify: {audit}"
    )
    .map_err(DemoError::Output)
}

#[derive(Clone, Copy, Debug)]
enum Fault {
    Killed,
    Hung,
    PortTaken,
}

impl Fault {
    const fn title(self) -> &'static str {
        match self {
            Self::Killed => "Its process is killed (SIGKILL).",
            Self::Hung => "Its process hangs (SIGSTOP): it runs, but no longer answers.",
            Self::PortTaken => {
                "Its main process is killed; a worker of its own lives on and keeps the port."
            }
        }
    }

    /// Detectors that are on. All but these are off: they would report on the host, or see this fault as well.
    const fn watched_by(self) -> &'static [&'static str] {
        match self {
            Self::Killed => &["service_failed"],
            Self::Hung => &["probe_failed"],
            Self::PortTaken => &["port_conflict", "service_failed"],
        }
    }
}

/// The temporary directory, the port, and what is played on them.
struct Stage {
    directory: PathBuf,
    port: u16,
    program: PathBuf,
}

impl Stage {
    fn build() -> Result<Self, DemoError> {
        let program = std::env::current_exe().map_err(stage("own executable"))?;
        let directory = std::env::temp_dir().join(format!(
            "autonomous-orchestrator-demo-{}",
            std::process::id()
        ));
        std::fs::create_dir(&directory).map_err(stage(directory.display()))?;
        // The port is free now; the service takes it a moment later.
        let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
            .and_then(|listener| listener.local_addr())
            .map_err(stage(Ipv4Addr::LOCALHOST))?
            .port();
        Ok(Self {
            directory,
            port,
            program,
        })
    }

    fn pid_file(&self) -> PathBuf {
        self.directory.join("demo-web.pid")
    }

    /// The configuration with these detectors on, written out so that `--config` can be tried on it by hand. One worker:
    /// what two do at once is told in one order here and in another there.
    fn config(&self, watched_by: &[&str]) -> Result<Config, DemoError> {
        let disabled: Vec<&str> = detectors::all()
            .iter()
            .map(|detector| detector.name())
            .filter(|name| !watched_by.contains(name))
            .collect();
        let dir = self.directory.display();
        let text = format!(
            "[daemon]\nstate_dir = \"{dir}/state\"\nruntime_dir = \"{dir}\"\nkill_switch = \"{dir}/disable\"\n\
             rules_dir = \"{dir}/rules.d\"\nrunbooks_dir = \"{dir}/runbooks.d\"\nbundle = \"{dir}/none\"\n\
             startup_grace_s = 0\nlog_level = \"error\"\nmanagers = [\"declared\"]\nworkers = 1\n\
             [mode]\nmedium = \"auto\"\n\
             [detect]\njournal = false\nkernel_log = false\nunit_sweep_s = 1\nstale_after_s = 0\ndisabled = {disabled:?}\n\
             [fix]\nstability_s = {WINDOW_S}\nquick_deadline_s = 10\n\
             [[service]]\nname = \"{SERVICE}\"\nstart = [{program:?}, \"demo\", \"--serve\", \"{port}\", {pid:?}]\n\
             pid_file = {pid:?}\nport = \"tcp/{port}\"\ndirectory = \"{dir}\"\n\
             [[probe]]\nname = \"{SERVICE}-http\"\nhttp = \"http://127.0.0.1:{port}/\"\ninterval_s = 1\ntimeout_s = 1\nunit = \"{SERVICE}\"\n",
            program = self.program.display().to_string(),
            port = self.port,
            pid = self.pid_file().display().to_string(),
        );
        std::fs::write(self.directory.join("config.toml"), &text).map_err(stage("config.toml"))?;
        Config::parse(&text).map_err(DemoError::Config)
    }

    fn service_pid(&self) -> Option<Pid> {
        let text = std::fs::read_to_string(self.pid_file()).ok()?;
        text.trim()
            .parse()
            .ok()
            .filter(|pid| *pid > 1)
            .map(Pid::from_raw)
    }

    fn signal(&self, signal: Signal) -> Result<(), DemoError> {
        let pid = self.service_pid().ok_or(DemoError::NoPidFile)?;
        kill(pid, signal).map_err(|why| DemoError::Signal(signal, why))
    }

    /// False when what must be seen before was not seen in time.
    fn inject(&self, fault: Fault, runtime: &Runtime) -> Result<bool, DemoError> {
        match fault {
            Fault::Killed => self.signal(Signal::SIGKILL)?,
            Fault::Hung => {
                // A probe that was never green proves nothing.
                let was_asked = || {
                    let runs = runtime.store.live_runs()?;
                    let asked = runs.iter().find(|run| run.name == "probe_failed");
                    Ok(asked.is_some_and(|run| run.outcome == RunOutcome::Ok))
                };
                if !in_time(runtime, was_asked)? {
                    return Ok(false);
                }
                self.signal(Signal::SIGSTOP)?;
            }
            Fault::PortTaken => {
                get(self.port, WORKER);
                // Only what was seen in the service while it was well is its own. Noted at the end of a sweep, so that the
                // next one, a second later, is the first to see what is done now.
                if !in_time(runtime, || Ok(Self::processes(runtime)? >= 2))? {
                    return Ok(false);
                }
                self.signal(Signal::SIGKILL)?;
            }
        }
        Ok(true)
    }

    /// So many were seen to run in the service.
    fn processes(runtime: &Runtime) -> Result<usize, DemoError> {
        let seen = runtime.store.reader()?.healthy_unit(SERVICE)?;
        Ok(seen.map_or(0, |record| record.processes.len()))
    }

    /// The service itself (not an intruder on its port) answers.
    fn answers(&self) -> bool {
        self.service_pid().is_some_and(|pid| {
            get(self.port, "/").is_some_and(|body| body.trim() == format!("pid {pid}"))
        })
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        // Both end the demo's own leftovers only; nothing depends on it.
        let _ = self.signal(Signal::SIGKILL);
        let _ = std::fs::remove_dir_all(&self.directory);
    }
}

/// Waits until it is so; false at the deadline.
fn in_time(
    runtime: &Runtime,
    is_so: impl Fn() -> Result<bool, DemoError>,
) -> Result<bool, DemoError> {
    let end = end_after(REPAIR_DEADLINE);
    while !is_so()? {
        if Instant::now() >= end {
            return Ok(false);
        }
        runtime.halt.pause(Duration::from_millis(50));
    }
    Ok(true)
}

/// Follows the audit trail and prints it as it grows.
struct Watch<'a> {
    runtime: &'a Runtime,
    started: Instant,
    last_event: EventId,
}

impl<'a> Watch<'a> {
    fn new(runtime: &'a Runtime) -> Self {
        Self {
            runtime,
            started: Instant::now(),
            last_event: EventId::START,
        }
    }

    /// Prints new events until `done` or the deadline; false at the deadline.
    fn until(
        &mut self,
        out: &mut dyn Write,
        mut done: impl FnMut(&[Task]) -> bool,
    ) -> Result<bool, DemoError> {
        let deadline = end_after(REPAIR_DEADLINE);
        loop {
            self.print_new(out)?;
            let reader = self.runtime.store.reader()?;
            let open_only = TaskFilter {
                open_only: true,
                ..TaskFilter::default()
            };
            let open = reader.tasks(&open_only)?;
            drop(reader);
            if done(&open) {
                self.print_new(out)?;
                return Ok(true);
            }
            if Instant::now() >= deadline {
                return Ok(false);
            }
            self.runtime.halt.pause(Duration::from_millis(50));
        }
    }

    /// Waits for the tasks of one fault to appear and to be closed.
    fn repair(&mut self, out: &mut dyn Write) -> Result<bool, DemoError> {
        Ok(self.until(out, |open| !open.is_empty())? && self.until(out, |open| open.is_empty())?)
    }

    fn print_new(&mut self, out: &mut dyn Write) -> Result<(), DemoError> {
        let reader = self.runtime.store.reader()?;
        for event in reader.history_after(self.last_event)? {
            self.last_event = event.id;
            let Some(task_id) = event.task_id else {
                continue;
            };
            let at = self.started.elapsed().as_secs_f32();
            let what = [event.details.as_str(), event.reason.as_str()]
                .into_iter()
                .filter(|text| !text.is_empty())
                .collect::<Vec<_>>()
                .join(" — ");
            writeln!(
                out,
                "   {at:5.1} s  task {task_id}  {:<12} {what}",
                event.action
            )
            .map_err(DemoError::Output)?;
        }
        Ok(())
    }
}

/// Body of `GET path`, if anybody answers within a second.
fn get(port: u16, path: &str) -> Option<String> {
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let mut stream = net::connect(&[address], end_after(Duration::from_secs(1))).ok()?;
    stream
        .write_all(format!("GET {path} HTTP/1.0\r\n\r\n").as_bytes())
        .ok()?;
    let mut answer = String::new();
    stream.take(4096).read_to_string(&mut answer).ok()?;
    answer
        .split_once("\r\n\r\n")
        .map(|(_, body)| body.to_owned())
}

/// Asked for this, the demo's service begins a worker that shares its socket.
const WORKER: &str = "/worker";
/// A worker ends by itself after this long, whatever became of the demo.
const WORKER_LIFE: Duration = Duration::from_secs(180);

/// A worker (`demo --serve 0 -`): keeps the socket that it was given as its standard input, and does nothing.
pub fn hold() {
    std::thread::sleep(WORKER_LIFE);
}

fn begin_worker(listener: &TcpListener) -> Result<(), DemoError> {
    let program = std::env::current_exe().map_err(stage("own executable"))?;
    let socket = listener.try_clone().map_err(stage("worker's socket"))?;
    Command::new(program)
        .args(["demo", "--serve", "0", "-"])
        .stdin(Stdio::from(OwnedFd::from(socket)))
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .map(drop)
        .map_err(stage("worker"))
}

/// The demo's service (`demo --serve PORT PIDFILE`): answers every request with its process id.
pub fn serve(port: u16, pid_file: &Path) -> Result<(), DemoError> {
    let deadline = end_after(Duration::from_secs(2));
    let listener = loop {
        match TcpListener::bind((Ipv4Addr::LOCALHOST, port)) {
            Ok(listener) => break listener,
            Err(why) if Instant::now() >= deadline => {
                return Err(stage(format_args!("bind 127.0.0.1:{port}"))(why));
            }
            Err(_) => std::thread::yield_now(),
        }
    };
    std::fs::write(pid_file, format!("{}\n", std::process::id()))
        .map_err(stage(pid_file.display()))?;
    let body = format!("pid {}\n", std::process::id());
    for stream in listener.incoming().flatten() {
        // A client that goes away or sends nothing costs a second at most; there is nobody to tell.
        let _ = stream.set_read_timeout(Some(Duration::from_secs(1)));
        if answer(stream, &body) == WORKER {
            begin_worker(&listener)?;
        }
    }
    Ok(())
}

/// Answers, and says what was asked for.
fn answer(mut stream: impl Read + Write, body: &str) -> String {
    let mut request = [0_u8; 1024];
    let read = stream.read(&mut request).unwrap_or(0);
    let _ = write!(
        stream,
        "HTTP/1.0 200 OK\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    let request = String::from_utf8_lossy(request.get(..read).unwrap_or(&[])).into_owned();
    let path = request.split(' ').nth(1);
    path.unwrap_or_default().to_owned()
}
