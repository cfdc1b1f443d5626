//! Writes what a gateway has stored after some days, by the operations of the store itself: run before the
//! schema changes, with `cargo test --test integration upgrade::fixture -- --ignored`.

use std::fmt::Write;
use std::path::Path;
use std::time::Duration;

use autonomous_orchestrator::{
    ActionKind, Booked, Booking, Class, Cursor, Finding, Gate, Intake, IssueNumber, NewEscalation,
    OutboxId, Outcome, Phase, Proposal, Proposed, Resolution, RunOutcome, Severity, Store,
    StoreOptions, TaskId, Terms, Timestamp, Transition, WaitsFor, config::Budget,
};
use rusqlite::Connection;

/// A day before the tests of the store.
const START: Timestamp = Timestamp::from_millis(1_799_913_600_000);
const MINUTE: Duration = Duration::from_secs(60);
const DAY: Duration = Duration::from_secs(86_400);

/// What the Python daemon left: a problem that is on GitHub, and one that is over.
const PYTHON: &str = "
    CREATE TABLE tasks (
        id INTEGER PRIMARY KEY AUTOINCREMENT, issue_hash TEXT UNIQUE NOT NULL, issue_type TEXT NOT NULL,
        issue_source TEXT NOT NULL, issue_message TEXT NOT NULL, status TEXT NOT NULL DEFAULT 'detected',
        fix_attempted BOOLEAN DEFAULT 0, fix_successful BOOLEAN DEFAULT 0, fix_message TEXT,
        github_issue_number INTEGER, detected_at TIMESTAMP DEFAULT CURRENT_TIMESTAMP,
        github_created_at TIMESTAMP, fixed_at TIMESTAMP, closed_at TIMESTAMP);
    CREATE TABLE task_history (
        id INTEGER PRIMARY KEY AUTOINCREMENT, task_id INTEGER NOT NULL, action TEXT NOT NULL, details TEXT,
        timestamp TIMESTAMP DEFAULT CURRENT_TIMESTAMP);
    INSERT INTO tasks VALUES
        (1, '0b6ca5d1a5a8c2f0', 'service_failed', 'systemd',
         'Main process exited, code=exited, status=217/USER', 'escalated', 1, 0, NULL, 1,
         '2027-01-10 06:00:00', '2027-01-10 06:05:00', NULL, NULL),
        (2, '7f3b8e219c40d6aa', 'log_error', 'app', 'upstream gone', 'closed', 1, 1, 'restarted', NULL,
         '2027-01-09 06:00:00', NULL, '2027-01-09 06:05:00', '2027-01-09 06:06:00');
    INSERT INTO task_history VALUES (1, 1, 'github_created', '#1', '2027-01-10 06:05:00');";

/// The subject of the one on GitHub.
pub const ADOPTED: &str = "adopted.service";

struct Gateway {
    store: Store,
    now: Timestamp,
}

pub fn finding(subject: &str, now: Timestamp) -> Finding {
    let (class, error) = (Class::ServiceFailed, Severity::Error);
    // Adopted rows name no subject: known again by what is said.
    let status = match subject {
        ADOPTED => "217/USER",
        _ => "203/EXEC",
    };
    let message = format!("Main process exited, code=exited, status={status}");
    Finding::new(class, subject, error, &message, "systemd", now)
}

pub fn escalation(subject: &str) -> NewEscalation {
    NewEscalation {
        reason: "no repair is allowed".to_owned(),
        title: format!("iac1: {subject} failed"),
        body: "It does not start.".to_owned(),
        severity: Severity::Error,
        retry_at: None,
        proposed: None,
    }
}

impl Gateway {
    fn tick(&mut self) -> Timestamp {
        self.now = self.now.plus(MINUTE);
        self.now
    }

    fn found(&mut self, subject: &str) -> TaskId {
        let now = self.tick();
        let intake = Intake {
            findings: vec![finding(subject, now)],
            cursor: Some(Cursor {
                stream: "journal".to_owned(),
                position: format!("s=5f;i={}", now.as_millis()),
            }),
        };
        self.store.intake(intake, now).unwrap()[0].task_id
    }

    fn escalated(&mut self, subject: &str) -> TaskId {
        let id = self.found(subject);
        let now = self.tick();
        let escalation = escalation(subject);
        self.store
            .escalate(id, escalation, "worker-1", now)
            .unwrap();
        id
    }

    /// The next delivery is on its way; what came of it is not yet known.
    fn sending(&mut self) -> OutboxId {
        let now = self.tick();
        let row = self.store.outbox_next("github", now).unwrap().unwrap();
        self.store.outbox_sending(row.id, now).unwrap();
        row.id
    }

    fn delivered(&mut self, number: i64) {
        let (row, now) = (self.sending(), self.tick());
        let url = format!("https://sim/o/r/issues/{number}");
        let done = self.store.outbox_confirmed(
            row,
            Some(IssueNumber::from_number(number)),
            Some(&url),
            now,
        );
        done.unwrap();
    }

    fn tried(&mut self, id: TaskId, subject: &str, outcome: Outcome, then: Transition) {
        let now = self.tick();
        assert_eq!(
            self.store.claim_next("worker-1", now).unwrap().unwrap().id,
            id
        );
        let booking = Booking {
            action_kind: ActionKind::RestartUnit,
            action_text: format!("restart {subject}"),
            subject: subject.to_owned(),
            unit: Some(subject.to_owned()),
            phase: 1,
            undo: String::new(),
            actor: "worker-1".to_owned(),
        };
        let booked = self
            .store
            .book_attempt(id, booking, &Budget::default(), now);
        let Booked::Granted(attempt) = booked.unwrap() else {
            panic!("no budget")
        };
        let now = self.tick();
        let acted = self
            .store
            .note_acted(attempt, "restarted", "", "worker-1", now);
        acted.unwrap();
        let now = self.tick();
        let ended = self
            .store
            .end_attempt(attempt, outcome, "looked", then, "worker-1", now);
        assert!(ended.unwrap());
    }

    fn waits(&mut self, subject: &str, waits_for: WaitsFor) {
        let id = self.found(subject);
        let now = self.tick();
        let claimed = self.store.claim_next("worker-1", now).unwrap();
        assert_eq!(claimed.unwrap().id, id);
        let wait = Transition::Wait {
            until: now.plus(2 * DAY),
            waits_for,
            reason: format!("{waits_for:?}"),
        };
        self.store.transition(id, wait, "worker-1", now).unwrap();
    }

    fn repaired(&mut self, subject: &str) -> TaskId {
        let id = self.found(subject);
        let green = Transition::FirstGreen {
            stable_until: self.now.plus(MINUTE),
            message: "active".to_owned(),
        };
        self.tried(id, subject, Outcome::Verified, green);
        let now = self.tick();
        let close = Transition::Close {
            resolution: Resolution::Fixed,
            message: "stable for 60 s".to_owned(),
        };
        self.store.transition(id, close, "worker-1", now).unwrap();
        id
    }
}

/// A restart of one unit, as it is proposed.
pub fn restart(unit: &str) -> Proposal {
    Proposal {
        kind: ActionKind::RestartUnit,
        command: None,
        text: format!("restart {unit}"),
        terms: Terms::undone_by("nothing to take back").with("unit", unit),
    }
}

/// The days: each subject is one state that a later version has to go on from.
fn live(options: &StoreOptions) {
    let (store, report) = Store::open(options, START).unwrap();
    assert!(report.adopted.is_some());
    store
        .set_routing(&["github"], Duration::from_secs(3_600), START)
        .unwrap();
    let mut gateway = Gateway { store, now: START };
    let now = gateway.now;
    let took = Duration::from_micros(900);
    gateway
        .store
        .record_detector_run("units", RunOutcome::Ok, took, "", now);

    let told = gateway.escalated("told.service");
    gateway.delivered(2);

    let id = gateway.escalated("over.service");
    gateway.delivered(3);
    let now = gateway.tick();
    let human = Resolution::Human;
    gateway
        .store
        .close_by_human(id, human, "cli:root", now)
        .unwrap();
    gateway.delivered(3);

    gateway.repaired("repaired.service");
    gateway.repaired("repaired.service");
    let id = gateway.found("stubborn.service");
    let failed = Transition::FixFailed {
        phase: Phase::QuickFix,
        message: "still failed".to_owned(),
    };
    gateway.tried(id, "stubborn.service", Outcome::Failed, failed);
    let now = gateway.tick();
    let until = now.plus(2 * DAY);
    gateway.store.snooze(id, until, "cli:root", now).unwrap();

    gateway.waits("symptom.service", WaitsFor::Root(told));
    gateway.waits("held.service", WaitsFor::Gate(Gate::KillSwitch));

    let id = gateway.found("acknowledged.service");
    let now = gateway.tick();
    gateway.store.acknowledge(id, "cli:root", now).unwrap();

    // Told, tried again by itself, and told once more.
    let id = gateway.found("rearmed.service");
    for retry_after in [Duration::ZERO, 2 * DAY] {
        let now = gateway.tick();
        let again = NewEscalation {
            retry_at: Some(now.plus(retry_after)),
            ..escalation("rearmed.service")
        };
        gateway.store.escalate(id, again, "worker-1", now).unwrap();
        gateway.delivered(6);
        let now = gateway.tick();
        let claimed = gateway.store.claim_next("worker-1", now).unwrap();
        assert_eq!(claimed.is_some(), retry_after.is_zero());
    }

    for (subject, number) in [("proposed.service", 4), ("approved.service", 5)] {
        let id = gateway.found(subject);
        let now = gateway.tick();
        let reason = format!("mode is suggest; proposed: restart {subject} (mode)");
        let proposed = Proposed {
            action: restart(subject),
            by_name: false,
            held_back: false,
        };
        let proposed = gateway
            .store
            .propose(id, proposed, "worker-1", &reason, now);
        proposed.unwrap();
        let escalation = escalation(subject);
        gateway
            .store
            .escalate(id, escalation, "worker-1", now)
            .unwrap();
        gateway.delivered(number);
        if subject == "approved.service" {
            let now = gateway.tick();
            let until = now.plus(2 * DAY);
            let approved =
                gateway
                    .store
                    .approve(id, &restart(subject).digest(), until, "cli:root", now);
            approved.unwrap();
        }
    }

    let now = gateway.tick();
    assert!(gateway.store.maintain(now).unwrap().backup.is_some());
    // One timed out and was not made; with one on its way, which arrives, the process dies.
    gateway.escalated("lost.service");
    let (row, now) = (gateway.sending(), gateway.tick());
    let retry_at = now.plus(10 * MINUTE);
    let lost = gateway.store.outbox_unknown(row, retry_at, "timeout", now);
    lost.unwrap();
    gateway.escalated("arrived.service");
    gateway.sending();
    // Another was not begun.
    gateway.escalated("waiting.service");
}

/// The whole database as statements.
fn dump(path: &Path) -> String {
    let db = Connection::open(path).unwrap();
    let texts = |sql: &str| -> Vec<String> {
        let mut found = db.prepare(sql).unwrap();
        let rows = found.query_map([], |row| row.get(0)).unwrap();
        rows.collect::<Result<_, _>>().unwrap()
    };
    let version: i64 = db
        .query_row("PRAGMA user_version", [], |row| row.get(0))
        .unwrap();
    let mut out = format!(
        "-- A database of schema version {version}, as the program of that version wrote it (tests/integration/upgrade).\n\
         PRAGMA auto_vacuum = INCREMENTAL;\nBEGIN TRANSACTION;\n"
    );
    let of = |kind: &str| {
        format!(
            "SELECT sql FROM sqlite_schema WHERE {kind} AND sql IS NOT NULL AND name NOT LIKE 'sqlite_%' ORDER BY rowid"
        )
    };
    for table in texts(&of("type = 'table'")) {
        writeln!(out, "{table};").unwrap();
    }
    let mut tables = texts(
        "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite_%' ORDER BY rowid",
    );
    // Its own table, which the first AUTOINCREMENT made.
    out.push_str("DELETE FROM sqlite_sequence;\n");
    tables.push("sqlite_sequence".to_owned());
    for table in tables {
        let columns = texts(&format!("SELECT name FROM pragma_table_info('{table}')"));
        let names = columns.join(", ");
        let values: Vec<String> = columns
            .iter()
            .map(|name| format!("quote({name})"))
            .collect();
        let row = values.join(" || ', ' || ");
        for row in texts(&format!("SELECT {row} FROM {table}")) {
            writeln!(out, "INSERT INTO {table} ({names}) VALUES ({row});").unwrap();
        }
    }
    for rest in texts(&of("type <> 'table'")) {
        writeln!(out, "{rest};").unwrap();
    }
    write!(out, "COMMIT;\nPRAGMA user_version = {version};\n").unwrap();
    out
}

#[test]
#[ignore = "writes the fixture of the present schema version"]
fn write() {
    let dir = tempfile::tempdir().unwrap();
    let options = StoreOptions {
        ballast_bytes: 0,
        ..StoreOptions::at(dir.path().join("tasks.db"))
    };
    let python = Connection::open(&options.path).unwrap();
    python.execute_batch(PYTHON).unwrap();
    drop(python);
    live(&options);
    let dump = dump(&options.path);
    let version = dump.rsplit_once("user_version = ").unwrap().1;
    let version = version.trim_end().trim_end_matches(';');
    let target = format!("{}/v{version}.sql", super::FIXTURES);
    std::fs::write(target, dump).unwrap();
}
