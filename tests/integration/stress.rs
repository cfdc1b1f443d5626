//! 12 threads through one store and 3 more processes on the same database: no lock error, no constraint
//! error, every accepted write there. `AO_STRESS_SECONDS` sets the time (5 by default).
#![allow(clippy::unwrap_used, clippy::panic)]

use std::collections::BTreeMap;
use std::io::Read;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use autonomous_orchestrator::{
    ActionKind, Booked, Booking, Class, Cursor, Finding, Intake, NewEscalation, Outcome, Phase,
    Resolution, Severity, Store, StoreError, StoreOptions, TaskId, Timestamp, Transition,
    config::Budget,
};

const NOW: Timestamp = Timestamp::from_millis(1_800_000_000_000);
const THREADS: usize = 12;
const PROCESSES: usize = 3;
/// Set for the other processes: the path of the database.
const CHILD: &str = "AO_STRESS_CHILD";

fn seconds() -> u64 {
    std::env::var("AO_STRESS_SECONDS")
        .ok()
        .and_then(|text| text.parse().ok())
        .unwrap_or(5)
}

fn options(path: &Path) -> StoreOptions {
    StoreOptions::at(path)
}

/// What one actor was told is stored: task id to the message it must hold, and counts.
#[derive(Debug, Default)]
struct Accepted {
    created: BTreeMap<TaskId, String>,
    closed: Vec<TaskId>,
    notes: u64,
    attempts: u64,
    repeats: u64,
    /// By design refused: another actor was faster.
    lost_races: u64,
    errors: Vec<String>,
}

impl Accepted {
    fn check<T>(&mut self, result: Result<T, StoreError>) -> Option<T> {
        match result {
            Ok(value) => Some(value),
            Err(StoreError::WrongState { .. }) => {
                self.lost_races += 1;
                None
            }
            Err(why) => {
                self.errors.push(why.to_string());
                None
            }
        }
    }
}

/// Letters, so that no part of the name is taken for a number by the template.
fn letters(mut n: u64) -> String {
    let mut text = String::new();
    loop {
        text.push(char::from(b'a' + u8::try_from(n % 26).unwrap()));
        n /= 26;
        if n == 0 {
            return text;
        }
    }
}

fn finding(subject: &str, message: &str) -> Finding {
    Finding::new(
        Class::ServiceFailed,
        subject,
        Severity::Error,
        message,
        "stress",
        NOW,
    )
}

/// One actor: creates, repeats what all share, claims, books, escalates, closes.
fn act(store: &Store, actor: &str, until: Instant) -> Accepted {
    let mut done = Accepted::default();
    let mut n: u64 = 0;
    while Instant::now() < until {
        n += 1;
        let subject = format!("{actor}-{}.service", letters(n));
        let message = format!("failed for {actor} {}", letters(n));
        let batch = Intake {
            findings: vec![
                finding(&subject, &message),
                // Everybody sees these: one open task each, whoever comes first.
                finding("shared.service", &format!("shared {}", letters(n % 7))),
            ],
            cursor: Some(Cursor {
                stream: actor.to_owned(),
                position: n.to_string(),
            }),
        };
        let Some(recorded) = done.check(store.intake(batch, NOW)) else {
            continue;
        };
        let [own, shared] = recorded.as_slice() else {
            done.errors.push(format!("{} records", recorded.len()));
            continue;
        };
        assert!(own.created, "somebody else's name");
        done.created.insert(own.task_id, message);
        done.repeats += u64::from(!shared.created);
        if shared.created {
            done.created
                .insert(shared.task_id, format!("shared {}", letters(n % 7)));
        }
        let detail = format!("{actor} {n}");
        if done
            .check(store.note(Some(own.task_id), "stress", &detail, actor, "", NOW))
            .is_some()
        {
            done.notes += 1;
        }
        match n % 4 {
            0 => work(store, actor, &mut done),
            1 => {
                if done
                    .check(store.close_task(own.task_id, Resolution::Human, NOW))
                    .is_some()
                {
                    done.closed.push(own.task_id);
                }
            }
            2 => {
                let escalation = NewEscalation {
                    reason: "stress".to_owned(),
                    title: subject,
                    body: "body".to_owned(),
                    severity: Severity::Error,
                    retry_at: None,
                    proposed: None,
                };
                done.check(store.escalate(own.task_id, escalation, actor, NOW));
            }
            _ => {
                // Ends one life of the shared fault: the next sight makes a linked new one.
                if done
                    .check(store.close_task(shared.task_id, Resolution::SelfCleared, NOW))
                    .is_some()
                {
                    done.closed.push(shared.task_id);
                }
            }
        }
        done.check(store.reader().and_then(|reader| reader.due(NOW)));
    }
    done
}

/// A worker's part: claim, book, act, end.
fn work(store: &Store, actor: &str, done: &mut Accepted) {
    let Some(Some(task)) = done.check(store.claim_next(actor, NOW)) else {
        return;
    };
    let limits = Budget {
        fingerprint_per_hour: u32::MAX,
        fingerprint_per_day: u32::MAX,
        unit_per_hour: u32::MAX,
        host_per_hour: u32::MAX,
        host_per_day: u32::MAX,
        first_starts_per_hour: u32::MAX,
        first_starts_at_once: u32::MAX,
        approvals_per_hour: u32::MAX,
    };
    let booking = Booking {
        action_kind: ActionKind::RestartUnit,
        action_text: format!("restart {}", task.subject),
        subject: task.subject.clone(),
        unit: Some(task.subject.clone()),
        phase: 1,
        undo: String::new(),
        actor: actor.to_owned(),
    };
    let Some(Booked::Granted(attempt)) =
        done.check(store.book_attempt(task.id, booking, &limits, NOW))
    else {
        return;
    };
    done.attempts += 1;
    let failed = Transition::FixFailed {
        phase: Phase::Research,
        message: "stress".to_owned(),
    };
    done.check(store.end_attempt(attempt, Outcome::Failed, "stress", failed, actor, NOW));
}

/// The other processes are this test binary again; a plain run has nothing to do here.
#[test]
fn stress_child() {
    let Some(path) = std::env::var_os(CHILD) else {
        return;
    };
    let until = Instant::now() + Duration::from_secs(seconds());
    let actor = format!("process-{}", letters(u64::from(std::process::id())));
    let (store, _) = Store::open(&options(Path::new(&path)), NOW).unwrap();
    let done = act(&store, &actor, until);
    drop(store);
    for (id, message) in &done.created {
        println!("created {id} {message}");
    }
    for id in &done.closed {
        println!("closed {id}");
    }
    for why in &done.errors {
        println!("error {why}");
    }
    println!("attempts {}", done.attempts);
    println!("repeats {}", done.repeats);
    println!("lost_races {}", done.lost_races);
    println!("notes {}", done.notes);
}

fn spawn(path: &Path) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "stress::stress_child", "--nocapture", "-q"])
        .env(CHILD, path)
        .env("AO_STRESS_SECONDS", seconds().to_string())
        .stdout(Stdio::piped())
        .stderr(Stdio::inherit())
        .spawn()
        .unwrap()
}

fn read_back(mut child: Child) -> Accepted {
    let mut text = String::new();
    child
        .stdout
        .take()
        .unwrap()
        .read_to_string(&mut text)
        .unwrap();
    assert!(child.wait().unwrap().success(), "{text}");
    let mut done = Accepted::default();
    for line in text.lines() {
        let (what, rest) = line.split_once(' ').unwrap_or((line, ""));
        let number = || rest.parse::<u64>().unwrap();
        let task = |text: &str| TaskId::from_number(text.parse().unwrap());
        match what {
            "created" => {
                let (id, message) = rest.split_once(' ').unwrap();
                done.created.insert(task(id), message.to_owned());
            }
            "closed" => done.closed.push(task(rest)),
            "error" => done.errors.push(rest.to_owned()),
            "attempts" => done.attempts = number(),
            "repeats" => done.repeats = number(),
            "lost_races" => done.lost_races = number(),
            "notes" => done.notes = number(),
            _ => {}
        }
    }
    assert!(done.notes > 0, "a process did nothing: {text}");
    done
}

#[test]
fn twelve_threads_and_three_processes_lose_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("tasks.db");
    let (store, _) = Store::open(&options(&path), NOW).unwrap();
    let until = Instant::now() + Duration::from_secs(seconds());
    let children: Vec<Child> = (0..PROCESSES).map(|_| spawn(&path)).collect();
    let mut all: Vec<Accepted> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..THREADS)
            .map(|thread| {
                let store = &store;
                let actor = format!("thread-{}", letters(thread as u64));
                scope.spawn(move || act(store, &actor, until))
            })
            .collect();
        threads
            .into_iter()
            .map(|thread| thread.join().unwrap())
            .collect()
    });
    all.extend(children.into_iter().map(read_back));
    let (commits, operations) = (store.health().commits(), store.health().operations());
    store.close();

    let errors: Vec<&String> = all.iter().flat_map(|one| &one.errors).collect();
    let count = |text: &str| errors.iter().filter(|why| why.contains(text)).count();
    let sum = |of: fn(&Accepted) -> u64| all.iter().map(of).sum::<u64>();
    let created = sum(|one| one.created.len() as u64);
    println!(
        "{} s, {THREADS} threads, {PROCESSES} processes: {created} tasks created, {} repeats, {} closed, {} notes, {} attempts; \
         {} races lost by design; locked {}, constraint {}, other errors {}; the daemon's share: {operations} operations in {commits} commits",
        seconds(),
        sum(|one| one.repeats),
        sum(|one| one.closed.len() as u64),
        sum(|one| one.notes),
        sum(|one| one.attempts),
        sum(|one| one.lost_races),
        count("lock"),
        count("constraint"),
        errors.len() - count("lock") - count("constraint"),
    );
    assert!(errors.is_empty(), "{errors:?}");
    verify(&path, &all);
}

fn verify(path: &Path, all: &[Accepted]) {
    let (store, report) = Store::open(&options(path), NOW).unwrap();
    assert!(!report.restored && !report.created);
    let reader = store.reader().unwrap();
    for (id, message) in all.iter().flat_map(|one| &one.created) {
        let task = reader
            .task(*id)
            .unwrap()
            .unwrap_or_else(|| panic!("task {id} is lost"));
        assert_eq!(&task.message, message);
    }
    for id in all.iter().flat_map(|one| &one.closed) {
        assert!(reader.task(*id).unwrap().unwrap().closed_at.is_some());
    }
    let raw = rusqlite::Connection::open(path).unwrap();
    let number = |sql: &str| raw.query_row(sql, [], |row| row.get::<_, u64>(0)).unwrap();
    let sum = |of: fn(&Accepted) -> u64| all.iter().map(of).sum::<u64>();
    assert_eq!(
        number("SELECT count(*) FROM tasks"),
        sum(|one| one.created.len() as u64)
    );
    assert_eq!(
        number("SELECT count(*) FROM task_history WHERE action = 'stress'"),
        sum(|one| one.notes)
    );
    assert_eq!(
        number("SELECT count(*) FROM attempts"),
        sum(|one| one.attempts)
    );
    // Each own finding once, each sight of a shared one once: none lost, none counted twice.
    assert_eq!(
        number("SELECT sum(seen_count) FROM tasks"),
        sum(|one| one.created.len() as u64 + one.repeats)
    );
    assert_eq!(
        number(
            "SELECT count(*) FROM (SELECT 1 FROM tasks WHERE status <> 'closed' GROUP BY issue_hash HAVING count(*) > 1)"
        ),
        0
    );
    assert_eq!(reader.integrity().unwrap(), "ok");
    let audit = reader.audit_verify().unwrap().unwrap();
    println!(
        "audit verify ok: {} events, head {}",
        audit.events, audit.head_hash
    );
}
