//! Scan, work, send, crash and restart, interleaved by a seed over a real SQLite file on a disk that forgets
//! (`disk.rs`). After each crash: what was acknowledged is there, counts agree with cursors, no issue exists
//! twice, no attempt was forgotten, the file is whole and the audit chain holds.
//!
//! `AO_SIMULATION_SEEDS` sets how many seeds run (100 by default), `AO_SIMULATION_SEED` replays one.
#![allow(clippy::expect_used)]

mod disk;

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::time::Duration;

use crate::core::config::Budget;
use crate::core::model::class::Class;
use crate::core::model::finding::{Finding, Severity};
use crate::core::model::task::{Phase, Resolution, Status, Task, Transition};
use crate::core::model::time::Timestamp;
use crate::store::{
    Booked, Booking, Cursor, Intake, NewEscalation, Outcome, Store, StoreError, StoreOptions,
    TaskFilter,
};
use disk::{Crash, Plan};
use rusqlite::ffi;

const START: Timestamp = Timestamp::from_millis(1_800_000_000_000);
/// Crashes of one seed.
const LIVES: u64 = 6;
/// Steps between two crashes, at most; a step is one operation of the store.
const STEPS: u64 = 60;
/// Kinds of lines in the log that is read.
const KINDS: u64 = 9;
const STREAM: &str = "log:/simulated";
const DESTINATION: &str = "github";

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
}

/// What was acknowledged before the crash began.
#[derive(Debug, Default)]
struct Acknowledged {
    tasks: BTreeSet<i64>,
    closed: BTreeSet<i64>,
    escalated: BTreeSet<i64>,
    attempts: BTreeMap<i64, Option<Outcome>>,
    confirmed: BTreeSet<i64>,
    /// Lines read with a new task in their batch: durable when acknowledged.
    cursor: u64,
}

/// The world outside the store.
#[derive(Debug, Default)]
struct World {
    /// Issues and comments by delivery.
    issues: BTreeMap<String, Vec<i64>>,
    /// Acts by attempt.
    acts: BTreeMap<i64, u32>,
}

struct Simulation {
    random: Random,
    folder: tempfile::TempDir,
    now: Timestamp,
    /// What the log holds at each line: the same after every restart.
    log: Random,
    lines: Vec<u64>,
    /// Where the reader is: taken from the store at a start, its own from then on.
    position: u64,
    known: Acknowledged,
    world: World,
    /// A claimed task and what the worker is doing with it.
    work: Option<(i64, Doing)>,
    crashes: u64,
    faults: u64,
}

#[derive(Clone, Copy, Debug)]
enum Doing {
    Claimed,
    Booked(i64),
    Acted(i64),
    Verified,
}

fn seeds() -> Vec<u64> {
    let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse().ok());
    match number("AO_SIMULATION_SEED") {
        Some(seed) => vec![seed],
        None => (1..=number("AO_SIMULATION_SEEDS").unwrap_or(100)).collect(),
    }
}

#[test]
fn nothing_acknowledged_is_lost_and_nothing_is_done_twice() {
    let (mut crashes, mut faults, mut tasks, mut issues) = (0, 0, 0, 0);
    let seeds = seeds();
    for seed in &seeds {
        // Shown by the test harness when the seed fails.
        println!("seed {seed}: AO_SIMULATION_SEED={seed} replays it");
        let done = Simulation::new(*seed).run();
        crashes += done.crashes;
        faults += done.faults;
        tasks += done.known.tasks.len();
        issues += done.world.issues.len();
    }
    println!(
        "{} seeds: {crashes} crashes, {faults} failed I/Os, {tasks} tasks acknowledged, {issues} issues; \
         lost 0, doubled 0, integrity ok, audit ok",
        seeds.len()
    );
}

impl Simulation {
    fn new(seed: u64) -> Self {
        Self {
            random: Random::new(seed),
            folder: tempfile::tempdir().unwrap(),
            now: START,
            log: Random::new(seed ^ 0xabcd),
            lines: Vec::new(),
            position: 0,
            known: Acknowledged::default(),
            world: World::default(),
            work: None,
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

    fn open(&self) -> Store {
        let options = StoreOptions {
            ballast_bytes: 1 << 14,
            backup_every: Duration::from_secs(600),
            ..StoreOptions::at(self.path().join("tasks.db"))
        };
        let (store, report) = Store::open(&options, self.now).unwrap();
        assert!(!report.restored, "{report:?}");
        store
    }

    /// From a start to a crash.
    fn live(&mut self) {
        let folder = self.path();
        disk::begin(&folder, self.random.clone());
        let store = self.open();
        self.check(&store);
        self.start(&store);
        let how = match self.random.below(2) {
            0 => Crash::Kill,
            _ => Crash::PowerCut,
        };
        let plan = match self.random.below(4) {
            // Some I/Os fail; the crash comes after the steps.
            0 => Plan::Fail {
                at: 1 + self.random.below(150),
                times: 1 + self.random.below(12),
                code: [
                    ffi::SQLITE_FULL,
                    ffi::SQLITE_IOERR_WRITE,
                    ffi::SQLITE_IOERR_FSYNC,
                ][self.random.below(3) as usize],
            },
            _ => Plan::Crash(how, 1 + self.random.below(400)),
        };
        disk::plan(&folder, Some(plan));
        for _ in 0..1 + self.random.below(STEPS) {
            self.step(&store);
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
        drop(store);
        disk::end(&folder);
        self.folder = next;
        self.work = None;
    }

    /// True when `done` was acknowledged before the crash.
    fn counts<T>(&mut self, done: &Result<T, StoreError>) -> bool {
        match done {
            Ok(_) => !disk::crashed(&self.path()),
            Err(StoreError::Full | StoreError::Io(_)) => {
                self.faults += 1;
                false
            }
            Err(_) => false,
        }
    }

    /// As the daemon starts: what a crash cut short is looked at first and never done again blindly.
    fn start(&mut self, store: &Store) {
        for attempt in store.open_attempts().unwrap() {
            let (outcome, green) = (Outcome::Verified, self.green());
            store
                .end_attempt(
                    attempt.id,
                    outcome,
                    "looked at",
                    green,
                    "recovery",
                    self.now,
                )
                .unwrap();
            self.known.attempts.insert(attempt.id, Some(outcome));
            self.work = Some((attempt.task_id, Doing::Verified));
        }
        store.recover_claims(self.now).unwrap();
        let stored = store.cursor(STREAM).unwrap();
        self.position = stored.map_or(0, |text| text.parse().unwrap());
    }

    fn step(&mut self, store: &Store) {
        self.now = self.now.plus(Duration::from_secs(self.random.below(40)));
        match self.random.below(10) {
            0..=3 => self.scan(store),
            4..=6 => self.work(store),
            7 | 8 => self.send(store),
            _ => {
                let _ = store.maintain(self.now);
            }
        }
    }

    fn green(&self) -> Transition {
        Transition::FirstGreen {
            stable_until: self.now,
            message: "green".to_owned(),
        }
    }

    fn line(&mut self, at: u64) -> u64 {
        while (self.lines.len() as u64) <= at {
            let kind = self.log.below(KINDS);
            self.lines.push(kind);
        }
        self.lines[at as usize]
    }

    /// Reads some lines of the log: findings and cursor in one batch.
    fn scan(&mut self, store: &Store) {
        let from = self.position;
        let to = from + 1 + self.random.below(5);
        let findings = (from..to)
            .map(|at| finding(self.line(at), self.now))
            .collect();
        let batch = Intake {
            findings,
            cursor: Some(Cursor {
                stream: STREAM.to_owned(),
                position: to.to_string(),
            }),
        };
        let done = store.intake(batch, self.now);
        if done.is_ok() {
            self.position = to;
        }
        if self.counts(&done) {
            for one in done.unwrap().iter().filter(|one| one.created) {
                self.known.tasks.insert(one.task_id);
                self.known.cursor = to;
            }
        }
    }

    /// One step of a worker: claim, book, act, verify, close; or give it to a human.
    fn work(&mut self, store: &Store) {
        let now = self.now;
        let Some((task, doing)) = self.work else {
            let done = store.claim_next("worker-1", now);
            if self.counts(&done)
                && let Ok(Some(task)) = done
            {
                self.work = Some((task.id, Doing::Claimed));
            }
            return;
        };
        match doing {
            Doing::Claimed if self.random.below(3) == 0 => {
                let escalation = NewEscalation {
                    reason: "simulated".to_owned(),
                    title: format!("task {task}"),
                    body: "body".to_owned(),
                    severity: Severity::Error,
                    retry_at: None,
                };
                let done = store.escalate(task, escalation, "worker-1", now);
                if self.counts(&done) {
                    self.known.escalated.insert(task);
                }
                self.work = None;
            }
            Doing::Claimed => {
                let done = store.book_attempt(task, booking(), &plenty(), now);
                if self.counts(&done) {
                    if let Ok(Booked::Granted(attempt)) = done {
                        self.known.attempts.insert(attempt, None);
                        self.work = Some((task, Doing::Booked(attempt)));
                    }
                } else {
                    // As the engine does: it starts over and never acts on a booking that it does not know.
                    self.work = None;
                }
            }
            Doing::Booked(attempt) => {
                *self.world.acts.entry(attempt).or_default() += 1;
                let done = store.note_acted(attempt, "done", "", "worker-1", now);
                if self.counts(&done) {
                    self.known.attempts.insert(attempt, Some(Outcome::Acted));
                    self.work = Some((task, Doing::Acted(attempt)));
                } else {
                    self.work = None;
                }
            }
            Doing::Acted(attempt) => {
                let green = self.random.below(3) > 0;
                let (outcome, then) = if green {
                    (Outcome::Verified, self.green())
                } else {
                    let red = Transition::FixFailed {
                        phase: Phase::QuickFix,
                        message: "still red".to_owned(),
                    };
                    (Outcome::Failed, red)
                };
                let done = store.end_attempt(attempt, outcome, "looked", then, "worker-1", now);
                self.work = None;
                if self.counts(&done) {
                    self.known.attempts.insert(attempt, Some(outcome));
                    self.work = green.then_some((task, Doing::Verified));
                }
            }
            Doing::Verified => {
                let done = store.transition(
                    task,
                    Transition::Close {
                        resolution: Resolution::Fixed,
                        message: "stable".to_owned(),
                    },
                    "worker-1",
                    now,
                );
                if self.counts(&done) {
                    self.known.closed.insert(task);
                }
                self.work = None;
            }
        }
    }

    /// One delivery: marked, sent, confirmed; what was marked before a crash is looked for first.
    fn send(&mut self, store: &Store) {
        let now = self.now;
        let Ok(Some(row)) = store.outbox_next(DESTINATION, now) else {
            return;
        };
        // A problem has one issue; each comment on it is a delivery of its own.
        let key = match row.operation.as_str() {
            "create" => row.delivery_key.clone(),
            _ => format!("{} {}", row.delivery_key, row.id),
        };
        let there = self.world.issues.contains_key(&key);
        let unsure = matches!(row.state.as_str(), "sending" | "unknown");
        let lost = self.random.below(4) == 0;
        if !(unsure && there) {
            // A process that is dead sends nothing.
            let marked = store.outbox_sending(row.id, now);
            if !self.counts(&marked) {
                return;
            }
            let numbers = self.world.issues.entry(key).or_default();
            numbers.push(row.task_id);
            if lost {
                // The answer never came.
                let later = now.plus(Duration::from_secs(60));
                let _ = store.outbox_unknown(row.id, later, "time-out", now);
                return;
            }
        }
        let done = store.outbox_confirmed(row.id, Some(row.task_id), Some("https://issue"), now);
        if self.counts(&done) {
            self.known.confirmed.insert(row.id);
        }
    }

    /// What the next start finds.
    fn check(&mut self, store: &Store) {
        let reader = store.reader().unwrap();
        assert_eq!(reader.integrity().unwrap(), "ok");
        reader.audit_verify().unwrap().unwrap();
        let all = TaskFilter {
            limit: u32::MAX,
            ..TaskFilter::default()
        };
        let tasks: BTreeMap<i64, _> = reader
            .tasks(&all)
            .unwrap()
            .into_iter()
            .map(|task| (task.id, task))
            .collect();
        for id in &self.known.tasks {
            assert!(tasks.contains_key(id), "task {id} is lost");
        }
        for id in &self.known.closed {
            assert_eq!(tasks[id].status, Status::Closed, "task {id} is open again");
        }
        let escalated: BTreeSet<i64> = reader
            .escalations(false)
            .unwrap()
            .iter()
            .map(|row| row.task_id)
            .collect();
        for id in &self.known.escalated {
            assert!(
                escalated.contains(id),
                "the escalation of task {id} is lost"
            );
        }
        let all_attempts = reader.all_attempts().unwrap();
        for attempt in &all_attempts {
            // A repair that held belongs to its task: no crash comes between the two.
            let task = tasks.get(&attempt.task_id).map(|task| task.status);
            assert!(
                attempt.outcome != Some(Outcome::Verified)
                    || !matches!(task, Some(Status::Detected | Status::InProgress)),
                "attempt {} is verified, its task {task:?}",
                attempt.id
            );
        }
        let attempts: BTreeMap<i64, Option<Outcome>> = all_attempts
            .into_iter()
            .map(|attempt| (attempt.id, attempt.outcome))
            .collect();
        for (id, outcome) in &self.known.attempts {
            let stored = attempts
                .get(id)
                .unwrap_or_else(|| panic!("attempt {id} is lost"));
            if outcome.is_some_and(|outcome| outcome != Outcome::Acted) {
                assert_eq!(stored, outcome, "attempt {id}");
            }
        }
        for (id, times) in &self.world.acts {
            assert_eq!(*times, 1, "attempt {id} acted {times} times");
            assert!(
                attempts.contains_key(id),
                "attempt {id} acted and is forgotten"
            );
        }
        let confirmed: BTreeSet<i64> = reader
            .outbox()
            .unwrap()
            .iter()
            .filter(|row| row.state == "confirmed")
            .map(|row| row.id)
            .collect();
        for id in &self.known.confirmed {
            assert!(
                confirmed.contains(id),
                "the confirmation of delivery {id} is lost"
            );
        }
        self.counts_agree(store, tasks.values());
    }

    /// One open task a fingerprint, and every line up to the cursor counted once.
    fn counts_agree<'a>(&mut self, store: &Store, tasks: impl Iterator<Item = &'a Task>) {
        let position = store.cursor(STREAM).unwrap();
        let cursor: u64 = position.map_or(0, |text| text.parse().unwrap());
        assert!(
            cursor >= self.known.cursor,
            "the cursor went back to {cursor}"
        );
        let mut expected: BTreeMap<String, u64> = BTreeMap::new();
        for at in 0..cursor {
            *expected.entry(name(self.line(at))).or_default() += 1;
        }
        let mut counted: BTreeMap<String, u64> = BTreeMap::new();
        let mut open = BTreeSet::new();
        for task in tasks {
            *counted.entry(task.subject.clone()).or_default() += task.seen_count;
            if task.status != Status::Closed {
                assert!(
                    open.insert(task.issue_hash.clone()),
                    "two open tasks of {}",
                    task.subject
                );
            }
        }
        assert_eq!(counted, expected, "lines up to {cursor}");
        for (key, issues) in &self.world.issues {
            assert_eq!(
                issues.len(),
                1,
                "delivery {key} was made {} times",
                issues.len()
            );
        }
    }

    /// The disk is well again: everything that is owed is delivered, once.
    fn settle(&mut self) {
        let store = self.open();
        self.check(&store);
        self.start(&store);
        for _ in 0..10_000 {
            self.now = self.now.plus(Duration::from_secs(120));
            if store.outbox_next(DESTINATION, self.now).unwrap().is_none() {
                break;
            }
            self.send(&store);
        }
        let escalations = store.reader().unwrap().escalations(false).unwrap();
        let made: BTreeSet<i64> = self.world.issues.values().flatten().copied().collect();
        for row in &escalations {
            assert!(
                made.contains(&row.task_id),
                "task {} was never told",
                row.task_id
            );
        }
        self.check(&store);
    }
}

fn name(kind: u64) -> String {
    let letter = char::from(b'a' + kind as u8);
    format!("unit-{letter}.service")
}

fn finding(kind: u64, now: Timestamp) -> Finding {
    let severity = if kind.is_multiple_of(2) {
        Severity::Error
    } else {
        Severity::Critical
    };
    Finding::new(
        Class::ServiceFailed,
        &name(kind),
        severity,
        "failed",
        "simulated",
        now,
    )
}

fn booking() -> Booking {
    Booking {
        action_kind: "restart_unit".to_owned(),
        action_text: "restart".to_owned(),
        subject: "unit".to_owned(),
        unit: None,
        phase: 1,
        undo: String::new(),
        actor: "worker-1".to_owned(),
    }
}

fn plenty() -> Budget {
    Budget {
        fingerprint_per_hour: u32::MAX,
        fingerprint_per_day: u32::MAX,
        unit_per_hour: u32::MAX,
        host_per_hour: u32::MAX,
        host_per_day: u32::MAX,
    }
}
