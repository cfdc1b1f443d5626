//! The daemon killed (SIGKILL) at each step of each action: after the restart the service is as before or repaired
//! and verified, the open attempt is looked at before anything else is done, and nothing is done twice that held.
//! The steps are `AO_KILL_AT` of debug builds (`daemon::kill_point`).
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic
)]

use std::fmt::Write as _;
use std::io::{Read, Write as _};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::cli_tool::Gateway;

const PROGRAM: &str = env!("CARGO_BIN_EXE_autonomous-orchestrator");
/// Far above what one step takes, on a machine that is busy with other tests.
const PATIENCE: Duration = Duration::from_secs(60);
/// In the order in which an attempt goes through them.
const STEPS: &[&str] = &["undo_recorded", "booked", "acted", "noted", "green"];

#[derive(Clone, Copy, Debug, PartialEq)]
enum Fault {
    /// Its process is killed: `reset_failed_start`.
    Killed,
    /// It hangs: `restart_unit`.
    Hung,
    /// A worker of its own outlived it and has its port: `terminate_process`.
    PortTaken,
    /// It hangs, and the operator's runbook names a command: `run_declared`.
    Declared,
}

impl Fault {
    const fn action(self) -> &'static str {
        match self {
            Self::Killed => "reset_failed_start",
            Self::Hung => "restart_unit",
            Self::PortTaken => "terminate_process",
            Self::Declared => "run_declared",
        }
    }
}

/// A service of its own on a port of its own, kept by a daemon of its own.
struct Stage {
    gateway: Gateway,
    port: u16,
}

impl Drop for Stage {
    fn drop(&mut self) {
        self.signal(Signal::SIGKILL);
    }
}

fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let end = Instant::now() + PATIENCE;
    while !is_so() {
        assert!(Instant::now() < end, "not in time: {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

impl Stage {
    fn new(fault: Fault) -> Self {
        let free = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = free.local_addr().unwrap().port();
        drop(free);
        let stage = Self {
            gateway: Gateway::new(),
            port,
        };
        let dir = stage.gateway.dir.path().display().to_string();
        stage.gateway.configure(&format!(
            "startup_grace_s = 0\nsafe_start = false\nmanagers = [\"declared\"]\nworkers = 2\n[mode]\nmedium = \"auto\"\n\
             [detect]\njournal = false\nkernel_log = false\nunit_sweep_s = 1\nstale_after_s = 0\n\
             disabled = [\"disk\", \"memory_pressure\", \"readonly_fs\", \"stale_process\", \"clock_unsynced\", \"thermal\"]\n\
             [fix]\nstability_s = 1\nquick_deadline_s = 20\n\
             [[service]]\nname = \"web\"\nport = \"tcp/{port}\"\npid_file = \"{dir}/web.pid\"\n\
             start = [\"/bin/sh\", \"-c\", \"echo s >> {dir}/acts; exec {PROGRAM} demo --serve {port} {dir}/web.pid\"]\n\
             [[probe]]\nname = \"web-http\"\nhttp = \"http://127.0.0.1:{port}/\"\ninterval_s = 1\ntimeout_s = 1\nunit = \"web\"\n\
             [[command]]\nname = \"wake\"\nrisk = \"low\"\nuser = \"root\"\n\
             argv = [\"/bin/sh\", \"-c\", \"echo c >> {dir}/acts; kill -CONT $(cat {dir}/web.pid)\"]\n"
        ));
        if fault == Fault::Declared {
            let runbooks = stage.gateway.path("runbooks.d");
            std::fs::create_dir(&runbooks).unwrap();
            let book = "[[runbook]]\nid = \"wake-it\"\nclass = [\"probe_failed\"]\n\
                        [[runbook.step]]\naction = \"run_declared\"\ncommand = \"wake\"\nphase = 1\n";
            std::fs::write(runbooks.join("wake.toml"), book).unwrap();
        }
        stage
    }

    fn daemon(&self, kill_at: Option<&str>) -> Child {
        let mut command = Command::new(PROGRAM);
        command
            .arg("--config")
            .arg(self.gateway.path("config.toml"))
            .arg("run")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(std::fs::File::create(self.gateway.path("log")).unwrap());
        if let Some(step) = kill_at {
            command.env("AO_KILL_AT", step);
        }
        command.spawn().unwrap()
    }

    fn pid(&self) -> Option<i32> {
        let text = std::fs::read_to_string(self.gateway.path("web.pid")).ok()?;
        text.trim().parse().ok()
    }

    fn signal(&self, signal: Signal) {
        if let Some(pid) = self.pid().filter(|pid| *pid > 1) {
            let _ = kill(Pid::from_raw(pid), signal);
        }
    }

    fn ask(&self, path: &str) -> Option<String> {
        let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, self.port)).ok()?;
        stream.set_read_timeout(Some(Duration::from_secs(1))).ok()?;
        let request = format!("GET {path} HTTP/1.0\r\n\r\n");
        stream.write_all(request.as_bytes()).ok()?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).ok()?;
        Some(answer)
    }

    /// The service itself answers, not a worker that it left behind.
    fn answers(&self) -> bool {
        self.pid().is_some_and(|pid| {
            self.ask("/")
                .is_some_and(|answer| answer.trim_end().ends_with(&format!("pid {pid}")))
        })
    }

    /// Processes that the daemon saw run in the service while it was well.
    fn recorded(&self) -> usize {
        let flags = rusqlite::OpenFlags::SQLITE_OPEN_READ_ONLY;
        let path = self.gateway.path("state/tasks.db");
        let read = || -> Option<usize> {
            let database = rusqlite::Connection::open_with_flags(&path, flags).ok()?;
            let record = "SELECT record FROM healthy WHERE unit = 'web'";
            let record: String = database.query_row(record, [], |row| row.get(0)).ok()?;
            let record: serde_json::Value = serde_json::from_str(&record).ok()?;
            record["processes"].as_array().map(Vec::len)
        };
        read().unwrap_or(0)
    }

    fn acts(&self) -> usize {
        std::fs::read_to_string(self.gateway.path("acts")).map_or(0, |text| text.lines().count())
    }

    fn open_tasks(&self) -> usize {
        let tasks = self.gateway.run(&["tasks", "--json"]).json();
        tasks.as_array().map_or(0, Vec::len)
    }

    /// Task, action and details of each event, oldest first.
    fn events(&self) -> Vec<(i64, String)> {
        let history = self.gateway.run(&["history", "--json"]).json();
        let mut events: Vec<(i64, i64, String)> = history
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(|row| {
                let action = row["action"].as_str()?.to_owned();
                Some((
                    row["id"].as_i64()?,
                    row["task_id"].as_i64().unwrap_or(0),
                    action,
                ))
            })
            .collect();
        events.sort_unstable();
        events
            .into_iter()
            .map(|(_, task, action)| (task, action))
            .collect()
    }

    fn inject(&self, fault: Fault) {
        match fault {
            Fault::Killed => self.signal(Signal::SIGKILL),
            Fault::Hung | Fault::Declared => self.signal(Signal::SIGSTOP),
            // Its worker was begun while all was well.
            Fault::PortTaken => self.signal(Signal::SIGKILL),
        }
    }
}

fn stop(mut daemon: Child) {
    kill(
        Pid::from_raw(i32::try_from(daemon.id()).unwrap()),
        Signal::SIGTERM,
    )
    .unwrap();
    until("the daemon ends", || daemon.try_wait().unwrap().is_some());
}

/// One cell of the matrix; answers how it ended, for the table.
fn cell(fault: Fault, step: &str) -> String {
    let stage = Stage::new(fault);
    // Brought up by a first daemon, so that the fault is the only thing to repair.
    let daemon = stage.daemon(None);
    until("the service is up", || stage.answers());
    until("the first repair is closed", || stage.open_tasks() == 0);
    if fault == Fault::PortTaken {
        stage.ask("/worker");
        until("the worker is known", || stage.recorded() > 1);
    }
    stop(daemon);
    let (acts_before, events_before) = (stage.acts(), stage.events().len());
    stage.inject(fault);
    let mut daemon = stage.daemon(Some(step));
    let mut ended = None;
    until("the daemon is killed", || {
        ended = daemon.try_wait().unwrap();
        ended.is_some()
    });
    assert_eq!(ended.unwrap().signal(), Some(9), "{fault:?} {step}");
    let acted = stage.acts() - acts_before;
    let cut = stage.events().len();
    let daemon = stage.daemon(None);
    until("the service answers again", || stage.answers());
    until("all is closed", || stage.open_tasks() == 0);
    stop(daemon);
    let events = stage.events();
    let since: Vec<&str> = events[cut..]
        .iter()
        .map(|(_, what)| what.as_str())
        .collect();
    // An attempt that was open when the daemon died has its outcome before any other attempt begins.
    let opened = events[events_before..cut]
        .iter()
        .filter(|(_, what)| what == "attempt")
        .count();
    let settled = events[events_before..cut]
        .iter()
        .filter(|(_, what)| ["verified", "failed", "unknown"].contains(&what.as_str()))
        .count();
    if opened > settled {
        let outcome = since
            .iter()
            .position(|what| ["verified", "unknown"].contains(what));
        let again = since.iter().position(|what| *what == "attempt");
        assert!(
            outcome.is_some(),
            "{fault:?} {step}: never looked at: {since:?}"
        );
        assert!(
            again.is_none_or(|again| again > outcome.unwrap()),
            "{fault:?} {step}: {since:?}"
        );
    }
    let total = stage.acts() - acts_before;
    // What had taken effect before the kill is found green and not done again.
    if acted > 0 && fault != Fault::PortTaken {
        assert_eq!(total, acted, "{fault:?} {step}: done again: {since:?}");
    }
    assert_eq!(stage.gateway.run(&["audit", "verify"]).code, 0);
    format!("done {acted} before, {} after", total - acted)
}

#[test]
fn a_daemon_killed_at_each_step_leaves_nothing_half_done() {
    let faults = [
        Fault::Killed,
        Fault::Hung,
        Fault::PortTaken,
        Fault::Declared,
    ];
    let rows: Vec<String> = std::thread::scope(|scope| {
        let threads: Vec<_> = faults
            .into_iter()
            .map(|fault| {
                scope.spawn(move || {
                    let mut row = String::new();
                    for step in STEPS {
                        let _ = writeln!(
                            row,
                            "{:<20} {step:<14} {}",
                            fault.action(),
                            cell(fault, step)
                        );
                    }
                    row
                })
            })
            .collect();
        threads
            .into_iter()
            .map(|thread| thread.join().expect("a row of the matrix"))
            .collect()
    });
    print!("{}", rows.concat());
}
