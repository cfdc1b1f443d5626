//! The daemon's own sweep, worker, courier and recovery, interleaved with faults, people and crashes by a seed,
//! over a real SQLite file on a disk that forgets (`disk.rs`). `check.rs` holds what every start must find.
//!
//! `AO_SIMULATION_SEEDS` sets how many seeds run, `AO_SIMULATION_SEED` replays one.
#![allow(clippy::expect_used)]

mod check;
mod disk;
mod world;

use std::num::NonZero;
use std::panic::catch_unwind;
use std::path::PathBuf;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use super::gateway::{self, CONFIG};
use super::units::{Answers, OnStart};
use crate::core::config::{Config, Mode};
use crate::core::model::class::Class;
use crate::core::model::finding::{Finding, Severity};
use crate::core::model::task::Status;
use crate::core::model::time::Timestamp;
use crate::daemon::outbox::StoreOutbox;
use crate::daemon::scanner::{self, Schedule};
use crate::daemon::{Runtime, courier, worker};
use crate::escalation::courier::{Courier, Limits};
use crate::escalation::github::GitHub;
use crate::store::{Cursor, Intake, StoreError, TaskFilter};
use check::Known;
use disk::{Crash, Plan};
use rusqlite::ffi;
use world::World;

const SEEDS: u64 = 200;
/// Crashes of one seed.
const LIVES: u64 = 6;
/// Steps between two crashes, at most.
const STEPS: u64 = 60;
/// Units of the host, and kinds of lines in the log that is read.
const KINDS: u64 = 5;
const STREAM: &str = "log:/simulated";
const KILL_SWITCH: &str = "etc/autonomous-orchestrator/disable";
const MINUTE: Duration = Duration::from_secs(60);

/// xorshift64*: the same schedule for the same seed on every machine.
#[derive(Clone, Debug)]
pub struct Random(u64);

impl Random {
    pub fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 16
    }

    pub fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound.max(1)
    }

    /// A place in a list of `length`.
    fn place(&mut self, length: usize) -> usize {
        usize::try_from(self.below(length as u64)).unwrap_or(0)
    }

    fn one_of<T: Copy>(&mut self, all: &[T]) -> T {
        all[self.place(all.len())]
    }
}

/// Seeds beyond those of every run that once failed.
const KNOWN: &[u64] = &[
    // A close overtook the reopening of the life before, whose outcome was not known.
    1_604,
];

fn seeds() -> Vec<u64> {
    let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse().ok());
    match number("AO_SIMULATION_SEED") {
        Some(seed) => vec![seed],
        None => {
            let from = number("AO_SIMULATION_FROM").unwrap_or(1);
            let many = number("AO_SIMULATION_SEEDS").unwrap_or(SEEDS);
            let known = KNOWN.iter().copied();
            (from..from.saturating_add(many)).chain(known).collect()
        }
    }
}

/// What all seeds together came to.
#[derive(Debug, Default)]
struct Sum {
    crashes: u64,
    faults: u64,
    tasks: usize,
    repairs: usize,
    told: usize,
    failed: Vec<u64>,
}

#[test]
fn nothing_acknowledged_is_lost_and_nothing_is_done_twice() {
    let seeds = seeds();
    let (next, sum) = (AtomicUsize::new(0), Mutex::new(Sum::default()));
    let threads = std::thread::available_parallelism().map_or(1, NonZero::get);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                while let Some(seed) = seeds.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let done = catch_unwind(|| Simulation::new(*seed).run());
                    sum.lock().unwrap().add(*seed, done.ok());
                }
            });
        }
    });
    let sum = sum.into_inner().unwrap();
    println!(
        "{} seeds: {} crashes, {} failed I/Os, {} tasks, {} repairs, {} issues and comments; \
         lost 0, doubled 0, integrity ok, audit ok",
        seeds.len() - sum.failed.len(),
        sum.crashes,
        sum.faults,
        sum.tasks,
        sum.repairs,
        sum.told,
    );
    let failed = sum.failed;
    assert!(
        failed.is_empty(),
        "AO_SIMULATION_SEED=N replays: {failed:?}"
    );
}

impl Sum {
    fn add(&mut self, seed: u64, done: Option<Simulation>) {
        let Some(done) = done else {
            // At once: a long run may not come to its end.
            eprintln!("AO_SIMULATION_SEED={seed} failed");
            self.failed.push(seed);
            return;
        };
        self.crashes += done.crashes;
        self.faults += done.faults;
        self.tasks += done.known.tasks;
        self.repairs += done.world.starts().len();
        self.told += done.world.issues.markers().len();
    }
}

/// Names and words of a line of each kind, one after the other.
fn unit(kind: u64) -> String {
    let letter = char::from(b'a' + u8::try_from(kind).unwrap());
    format!("unit-{letter}.service")
}

struct Simulation {
    random: Random,
    folder: tempfile::TempDir,
    config: Config,
    now: Timestamp,
    /// What the log holds at each line: the same after every restart.
    log: Random,
    lines: Vec<u64>,
    /// Where the reader is: taken from the store at a start, its own from then on.
    position: u64,
    known: Known,
    world: World,
    crashes: u64,
    faults: u64,
}

/// One process: the threads' bodies are called in turn.
struct Process {
    runtime: Runtime,
    schedule: Schedule,
    courier: Courier<GitHub>,
}

impl Process {
    fn sweep(&mut self) -> Result<(), StoreError> {
        let now = self.runtime.host.clock.now();
        scanner::sweep(&self.runtime, &mut self.schedule, false, now).map(drop)
    }

    fn work(&self) -> Result<bool, StoreError> {
        worker::step(&self.runtime, "worker-1")
    }

    fn deliver(&mut self) {
        let outbox = StoreOutbox {
            store: &self.runtime.store,
            destination: self.courier.destination().to_owned(),
        };
        self.courier.tick(&outbox, self.runtime.host.clock.now());
    }
}

impl Simulation {
    fn new(seed: u64) -> Self {
        let mut random = Random::new(seed);
        let mut world = World::new();
        for kind in 0..KINDS {
            world.units.put(&unit(kind), "active");
        }
        world.of_one_root = random.below(3) == 0;
        let mut config = Config::parse(CONFIG).unwrap();
        config.store.ballast_kib = 16;
        config.mode.limit = random.one_of(&[
            Mode::Auto,
            Mode::Auto,
            Mode::Auto,
            Mode::Suggest,
            Mode::Observe,
        ]);
        Self {
            random,
            folder: tempfile::tempdir().unwrap(),
            config,
            now: gateway::START,
            log: Random::new(seed ^ 0xabcd),
            lines: Vec::new(),
            position: 0,
            known: Known::default(),
            world,
            crashes: 0,
            faults: 0,
        }
    }

    fn run(mut self) -> Self {
        for _ in 0..LIVES {
            self.live();
        }
        self.settle();
        self
    }

    fn path(&self) -> PathBuf {
        self.folder.path().to_owned()
    }

    /// A process on the disk as it is, before its first step.
    fn open(&self) -> Process {
        let root = self.path();
        for folder in ["run/systemd/system", "etc/autonomous-orchestrator"] {
            std::fs::create_dir_all(root.join(folder)).unwrap();
        }
        let host = self.world.host(&root, self.now, root.join(KILL_SWITCH));
        let runtime = Runtime::start(host, self.config.clone(), &gateway::options()).unwrap();
        assert_eq!(runtime.store.reader().unwrap().restored().unwrap(), None);
        let tracker = GitHub::new(gateway::settings(&root), self.world.tracker(&root));
        let limits = Limits {
            spread: Duration::ZERO,
            ..Limits::new(&self.config.escalation, "simulated")
        };
        Process {
            runtime,
            schedule: Schedule::default(),
            courier: Courier::new(tracker, limits),
        }
    }

    /// As the daemon starts: what a crash cut short is looked at before anything else.
    fn start(&mut self, process: &Process) {
        courier::route(&process.runtime);
        worker::recover(&process.runtime, self.now).unwrap();
        let open = process.runtime.store.open_attempts().unwrap();
        assert!(open.is_empty(), "never looked at: {open:?}");
        self.acknowledged(process);
        let stored = process.runtime.store.cursor(STREAM).unwrap();
        self.position = stored.map_or(0, |text| text.parse().unwrap());
    }

    /// From a start to a crash.
    fn live(&mut self) {
        let folder = self.path();
        disk::begin(&folder, self.random.clone());
        let mut process = self.open();
        self.check(&process);
        self.start(&process);
        let how = self.random.one_of(&[Crash::Kill, Crash::PowerCut]);
        let plan = match self.random.below(4) {
            // Some I/Os fail; the crash comes after the steps.
            0 => Plan::Fail {
                at: 1 + self.random.below(150),
                times: 1 + self.random.below(12),
                code: self.random.one_of(&[
                    ffi::SQLITE_FULL,
                    ffi::SQLITE_IOERR_WRITE,
                    ffi::SQLITE_IOERR_FSYNC,
                ]),
            },
            _ => Plan::Crash(how, 1 + self.random.below(400)),
        };
        disk::plan(&folder, Some(plan));
        for _ in 0..1 + self.random.below(STEPS) {
            self.step(&mut process);
            if disk::crashed(&folder) {
                break;
            }
        }
        disk::crash_now(&folder, how);
        self.crashes += 1;
        let next = tempfile::tempdir().unwrap();
        disk::develop(&folder, next.path());
        disk::plan(&folder, None);
        // Whatever the old process still writes goes to a folder that nobody opens again.
        drop(process);
        disk::end(&folder);
        self.folder = next;
    }

    fn step(&mut self, process: &mut Process) {
        let clock = &process.runtime.host.clock;
        let span = match self.random.below(20) {
            0 => 10 * MINUTE,
            _ => Duration::from_secs(self.random.below(40)),
        };
        clock.advance(span);
        let done = match self.random.below(14) {
            0 | 1 => {
                self.happen();
                Ok(())
            }
            2 => self.approve(process),
            3 => self.scan(process),
            4..=6 => process.sweep(),
            7..=10 => process.work().map(drop),
            11 | 12 => {
                *self.world.mute.lock().unwrap() = self.random.below(4) == 0;
                process.deliver();
                Ok(())
            }
            _ => process.runtime.store.maintain(clock.now()).map(drop),
        };
        // A proof that was waited for took its time, too.
        self.now = process.runtime.host.clock.now();
        match done {
            Ok(()) => self.acknowledged(process),
            Err(StoreError::Full | StoreError::Io(_)) => self.faults += 1,
            Err(_) => {}
        }
    }

    /// Something happens to the host, or somebody does something to it.
    fn happen(&mut self) {
        let name = unit(self.random.below(KINDS));
        let units = &self.world.units;
        let kill_switch = self.folder.path().join(KILL_SWITCH);
        match self.random.below(16) {
            0..=8 => {
                let starts = [
                    OnStart::Runs,
                    OnStart::Runs,
                    OnStart::Runs,
                    OnStart::Refused,
                    OnStart::Fails,
                    OnStart::ThenSilence,
                    OnStart::TakesItsTime,
                    OnStart::Hangs,
                ];
                units.fail(&name, self.random.one_of(&starts));
                self.world.bind(&name);
            }
            9 => units.put(&name, "active"),
            10 => units.answer(self.random.one_of(&[Answers::Denied, Answers::Hang])),
            11 | 12 => units.answer(Answers::Well),
            13 => std::fs::write(kill_switch, "simulated\n").unwrap(),
            _ => drop(std::fs::remove_file(kill_switch)),
        }
    }

    /// A human allows what the gateway proposed, for a while.
    fn approve(&mut self, process: &Process) -> Result<(), StoreError> {
        let store = &process.runtime.store;
        let now = process.runtime.host.clock.now();
        let reader = store.reader()?;
        let tasks = reader.open_conditions()?;
        let at = self.random.place(tasks.len());
        let Some(task) = tasks.get(at) else {
            return Ok(());
        };
        let Some(action) = &task.proposal else {
            return Ok(());
        };
        let until = now.plus(MINUTE * 20);
        self.world.leaves().push((task.subject.clone(), until));
        store.approve(task.id, &action.digest(), until, "human", now)
    }

    fn line(&mut self, at: u64) -> u64 {
        while (self.lines.len() as u64) <= at {
            let kind = self.log.below(KINDS);
            self.lines.push(kind);
        }
        self.lines[usize::try_from(at).unwrap()]
    }

    /// Reads some lines of the log: findings and cursor in one batch.
    fn scan(&mut self, process: &Process) -> Result<(), StoreError> {
        let now = process.runtime.host.clock.now();
        let from = self.position;
        let to = from + 1 + self.random.below(5);
        let batch = Intake {
            findings: (from..to).map(|at| line(self.line(at), now)).collect(),
            cursor: Some(Cursor {
                stream: STREAM.to_owned(),
                position: to.to_string(),
            }),
        };
        process.runtime.store.intake(batch, now)?;
        self.position = to;
        Ok(())
    }

    /// Remembers what counts as done, unless the process is dead already.
    fn acknowledged(&mut self, process: &Process) {
        let reader = process.runtime.store.reader();
        let head = reader.and_then(|reader| reader.history(None, 1));
        if let Ok(head) = head
            && !disk::crashed(&self.path())
        {
            self.known.head = head.into_iter().next_back();
        }
    }

    /// Disk, units and people are well again: everything comes to its end, and is told once.
    fn settle(&mut self) {
        let mut process = self.open();
        self.check(&process);
        self.start(&process);
        let _ = std::fs::remove_file(self.path().join(KILL_SWITCH));
        self.world.units.answer(Answers::Well);
        for kind in 0..KINDS {
            self.world.units.put(&unit(kind), "active");
        }
        for _ in 0..400 {
            process.sweep().unwrap();
            while process.work().unwrap() {}
            process.deliver();
            let counts = process.runtime.store.reader().unwrap().counts().unwrap();
            if counts.open == 0 && counts.outbox_waiting == 0 {
                break;
            }
            process.runtime.host.clock.advance(2 * MINUTE);
        }
        self.now = process.runtime.host.clock.now();
        self.check(&process);
        let reader = process.runtime.store.reader().unwrap();
        let open = TaskFilter {
            open_only: true,
            ..TaskFilter::default()
        };
        let open = reader.tasks(&open).unwrap();
        assert!(open.is_empty(), "these never end: {open:#?}");
        assert_eq!(reader.counts().unwrap().outbox_waiting, 0);
        for (state, title) in self.world.issues.all() {
            assert_eq!(state, "closed", "{title}");
        }
    }
}

/// A line of one kind. Each has one unit; every second is critical.
fn line(kind: u64, now: Timestamp) -> Finding {
    let severity = match kind.is_multiple_of(2) {
        true => Severity::Error,
        false => Severity::Critical,
    };
    Finding::new(
        Class::LogError,
        &unit(kind),
        severity,
        "it broke",
        "simulated",
        now,
    )
}

fn is_open(status: Status) -> bool {
    status != Status::Closed
}
