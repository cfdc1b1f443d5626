//! Each fault of docs/RELIABILITY.md that needs no other machine: injected, then what is left.
use rusqlite::Connection;
use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use super::report::OpenReport;
use super::*;
use crate::core::config::Budget;
use crate::core::model::action::ActionKind;
use crate::core::model::class::Class;
use crate::core::model::finding::{Finding, Severity};
use crate::core::model::id::{IssueNumber, TaskId};
use crate::core::model::task::Resolution;
use crate::core::model::time::Timestamp;
use crate::core::remedy::step::Spent;

const NOW: Timestamp = Timestamp::from_millis(1_800_000_000_000);
const HOUR: Duration = Duration::from_secs(3_600);
const DAY: Duration = Duration::from_secs(86_400);

fn options(dir: &Path) -> StoreOptions {
    StoreOptions {
        ballast_bytes: 0,
        ..StoreOptions::at(dir.join("tasks.db"))
    }
}

fn open(dir: &Path) -> (Store, OpenReport) {
    Store::open(&options(dir), NOW).unwrap()
}

fn create(store: &Store, name: &str) -> TaskId {
    let finding = Finding::new(
        Class::ServiceFailed,
        name,
        Severity::Error,
        "failed",
        "test",
        NOW,
    );
    store.create_task(finding, NOW).unwrap().task_id
}

fn has(store: &Store, id: TaskId, name: &str) {
    let task = store.reader().unwrap().task(id).unwrap().unwrap();
    assert_eq!(task.subject, name);
}

fn whole(store: &Store) {
    let reader = store.reader().unwrap();
    assert_eq!(reader.integrity().unwrap(), "ok");
    reader.audit_verify().unwrap().unwrap();
}

fn booking() -> Booking {
    Booking {
        action_kind: ActionKind::RestartUnit,
        action_text: "restart a".to_owned(),
        subject: "a".to_owned(),
        unit: Some("a".to_owned()),
        phase: 1,
        undo: String::new(),
        actor: "worker-1".to_owned(),
    }
}

fn escalation() -> NewEscalation {
    NewEscalation {
        reason: "r".to_owned(),
        title: "t".to_owned(),
        body: "b".to_owned(),
        severity: Severity::Error,
        retry_at: None,
        proposed: None,
    }
}

#[test]
fn a_file_deleted_while_open_is_written_anew_and_nothing_is_lost() {
    for suffixes in [
        &[""][..],
        &["-wal"],
        &["-shm"],
        &["", "-wal", "-shm"],
        &["-wal", "-shm"],
    ] {
        let dir = tempfile::tempdir().unwrap();
        let (store, _) = open(dir.path());
        let before = create(&store, "before");
        for suffix in suffixes {
            fs::remove_file(paths::suffixed(&dir.path().join("tasks.db"), suffix)).unwrap();
        }
        let after = create(&store, "after");
        assert_eq!(store.health().troubles().len(), 1, "{suffixes:?}");
        has(&store, before, "before");
        whole(&store);
        drop(store);
        let (store, report) = open(dir.path());
        assert!(!report.restored, "{suffixes:?}: {report:?}");
        has(&store, before, "before");
        has(&store, after, "after");
        whole(&store);
    }
}

#[test]
fn a_directory_removed_while_open_comes_back_with_everything() {
    let dir = tempfile::tempdir().unwrap();
    let state = dir.path().join("state");
    fs::create_dir(&state).unwrap();
    let (store, _) = open(&state);
    let before = create(&store, "before");
    fs::remove_dir_all(&state).unwrap();
    let after = create(&store, "after");
    drop(store);
    let (store, _) = open(&state);
    has(&store, before, "before");
    has(&store, after, "after");
    whole(&store);
}

#[test]
fn a_file_replaced_while_open_is_set_aside() {
    let dir = tempfile::tempdir().unwrap();
    let (store, _) = open(dir.path());
    let before = create(&store, "before");
    fs::write(dir.path().join("other"), b"somebody else's").unwrap();
    fs::rename(dir.path().join("other"), dir.path().join("tasks.db")).unwrap();
    let after = create(&store, "after");
    has(&store, before, "before");
    has(&store, after, "after");
    assert!(
        fs::read_dir(dir.path())
            .unwrap()
            .flatten()
            .any(|entry| fs::read(entry.path()).is_ok_and(|text| text == b"somebody else's"))
    );
    whole(&store);
}

/// A store with a backup that holds `backed_up`, and `later` written after it.
fn backed_up(dir: &Path) -> (Store, TaskId, TaskId) {
    let (store, _) = open(dir);
    let backed_up = create(&store, "backed up");
    assert!(store.maintain(NOW).unwrap().backup.is_some());
    let later = create(&store, "later");
    (store, backed_up, later)
}

#[test]
fn a_file_cut_while_open_is_restored_and_nothing_is_done_unasked() {
    for garbage in [&b""[..], &[0xEE; 200_000]] {
        let dir = tempfile::tempdir().unwrap();
        let (store, backed_up, _) = backed_up(dir.path());
        // Everything into the main file, so that the damage hits what is needed.
        Connection::open(dir.path().join("tasks.db"))
            .unwrap()
            .query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))
            .unwrap();
        fs::OpenOptions::new()
            .write(true)
            .truncate(true)
            .open(dir.path().join("tasks.db"))
            .and_then(|mut file| std::io::Write::write_all(&mut file, garbage))
            .unwrap();
        let after = create(&store, "after");
        assert_eq!(store.reader().unwrap().restored().unwrap(), Some(NOW));
        has(&store, backed_up, "backed up");
        has(&store, after, "after");
        let booked = store
            .book_attempt(after, booking(), &Budget::default(), NOW)
            .unwrap();
        assert!(matches!(
            booked,
            Booked::Exhausted(Spent { free_at, .. }) if free_at == NOW.plus(HOUR)
        ));
        whole(&store);
        store.clean_sweep(NOW, NOW).unwrap();
        assert_eq!(store.reader().unwrap().restored().unwrap(), None);
        drop(store);
        let (store, report) = open(dir.path());
        assert!(!report.restored);
        has(&store, after, "after");
    }
}

#[test]
fn a_wal_of_the_damaged_file_is_not_played_into_the_restored_one() {
    let dir = tempfile::tempdir().unwrap();
    let (store, backed_up, _) = backed_up(dir.path());
    let path = dir.path().join("tasks.db");
    Connection::open(&path)
        .unwrap()
        .query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))
        .unwrap();
    let later = create(&store, "only in the WAL");
    // As after a kill: the WAL is still there.
    let wal = fs::read(paths::suffixed(&path, "-wal")).unwrap();
    drop(store);
    fs::write(paths::suffixed(&path, "-wal"), wal).unwrap();
    fs::write(&path, [0x55; 8192]).unwrap();
    let (store, report) = open(dir.path());
    assert!(report.restored);
    has(&store, backed_up, "backed up");
    assert!(store.reader().unwrap().task(later).unwrap().is_none());
    whole(&store);
    drop(store);
    // Until a clean sweep each start says so.
    assert!(open(dir.path()).1.restored);
}

#[test]
fn a_restore_cut_short_is_finished_at_the_next_start() {
    let dir = tempfile::tempdir().unwrap();
    let (store, backed_up, _) = backed_up(dir.path());
    drop(store);
    let path = dir.path().join("tasks.db");
    let good = fs::read(&path).unwrap();
    // Killed after the damaged file was moved away.
    fs::rename(&path, paths::beside(&path, "restoring")).unwrap();
    let (store, report) = open(dir.path());
    assert!(report.restored);
    has(&store, backed_up, "backed up");
    drop(store);
    // Killed before: the half-made part is not taken for the database.
    fs::write(&path, &good).unwrap();
    fs::write(paths::beside(&path, "restoring.part"), &good[..4096]).unwrap();
    has(&open(dir.path()).0, backed_up, "backed up");
}

#[test]
fn a_file_gone_at_start_is_restored_or_at_least_keeps_the_gateways_identity() {
    let dir = tempfile::tempdir().unwrap();
    let (store, backed_up, _) = backed_up(dir.path());
    let id = store.gateway_id().unwrap();
    drop(store);
    fs::remove_file(dir.path().join("tasks.db")).unwrap();
    let (store, report) = open(dir.path());
    assert!(report.restored);
    has(&store, backed_up, "backed up");
    drop(store);
    fs::remove_file(dir.path().join("tasks.db")).unwrap();
    fs::remove_dir_all(dir.path().join("backups")).unwrap();
    let (store, report) = open(dir.path());
    assert!(report.restored);
    assert_eq!(store.gateway_id().unwrap(), id);
    // An issue of this key may exist already: it is looked for first.
    let task = create(&store, "again");
    store.escalate(task, escalation(), "t", NOW).unwrap();
    let row = store.outbox_next("github", NOW).unwrap().unwrap();
    assert_eq!(row.state, "unknown");
}

#[test]
fn unusable_places_are_refused_with_what_to_do() {
    let dir = tempfile::tempdir().unwrap();
    let missing = Store::open(&options(&dir.path().join("missing")), NOW).unwrap_err();
    assert!(matches!(missing, StoreError::Unusable { .. }), "{missing}");
    fs::create_dir(dir.path().join("tasks.db")).unwrap();
    let directory = Store::open(&options(dir.path()), NOW).unwrap_err();
    assert!(
        matches!(directory, StoreError::Unusable { .. }),
        "{directory}"
    );
}

#[test]
fn a_full_disk_takes_the_ballast_once_and_then_says_so() {
    let dir = tempfile::tempdir().unwrap();
    let options = StoreOptions {
        ballast_bytes: 64 << 10,
        ..options(dir.path())
    };
    let (store, _) = Store::open(&options, NOW).unwrap();
    let ballast = paths::beside(&options.path, "ballast");
    assert!(ballast.exists());
    store
        .write(|tx| {
            let pages: i64 = tx.query_row("PRAGMA page_count", [], |row| row.get(0))?;
            tx.query_row(&format!("PRAGMA max_page_count = {pages}"), [], |_| Ok(()))?;
            Ok(())
        })
        .unwrap();
    let big = "x".repeat(200_000);
    let note = || store.note(None, "big", &big, "t", "", NOW);
    assert!(matches!(note(), Err(StoreError::Full)));
    assert!(!ballast.exists());
    // Small things still fit into what is free inside, and come through when there is room again.
    store
        .write(|tx| {
            tx.query_row("PRAGMA max_page_count = 100000", [], |_| Ok(()))?;
            Ok(())
        })
        .unwrap();
    note().unwrap();
    whole(&store);
}

#[test]
fn a_foreign_writer_is_waited_for_and_a_stop_is_not_held_up_by_it() {
    let dir = tempfile::tempdir().unwrap();
    let (store, _) = open(dir.path());
    let foreign = Connection::open(dir.path().join("tasks.db")).unwrap();
    foreign.execute_batch("BEGIN IMMEDIATE").unwrap();
    let released = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let waiting = scope.spawn(|| {
            let id = create(&store, "waited");
            assert!(released.load(Ordering::SeqCst));
            id
        });
        // Reading goes on meanwhile.
        assert_eq!(store.reader().unwrap().counts().unwrap().open, 0);
        released.store(true, Ordering::SeqCst);
        foreign.execute_batch("COMMIT").unwrap();
        has(&store, waiting.join().unwrap(), "waited");
    });
    foreign.execute_batch("BEGIN IMMEDIATE").unwrap();
    let other = store.clone();
    let writer = std::thread::spawn(move || other.note(None, "n", "", "t", "", NOW));
    store.inner.writer.stop();
    // The lock is still held: the writer gives up by itself.
    assert!(matches!(
        writer.join().unwrap(),
        Err(StoreError::Busy | StoreError::Closed)
    ));
}

#[test]
fn a_clock_that_was_ahead_blocks_nothing_once_it_is_right() {
    let dir = tempfile::tempdir().unwrap();
    let future = NOW.plus(DAY * 365 * 14);
    let (store, _) = Store::open(&options(dir.path()), future).unwrap();
    let id = store
        .create_task(
            Finding::new(
                Class::ServiceFailed,
                "a",
                Severity::Error,
                "failed",
                "test",
                future,
            ),
            future,
        )
        .unwrap()
        .task_id;
    let limits = Budget {
        fingerprint_per_hour: 1,
        ..Budget::default()
    };
    let book = |store: &Store, now| store.book_attempt(id, booking(), &limits, now).unwrap();
    assert!(matches!(book(&store, future), Booked::Granted(_)));
    let until = future.plus(HOUR);
    store.snooze(id, until, "t", future).unwrap();
    drop(store);
    let (store, _) = open(dir.path());
    let Booked::Exhausted(Spent { free_at, .. }) = book(&store, NOW) else {
        panic!("the budget was given back")
    };
    assert_eq!(free_at, NOW.plus(HOUR));
    let task = store.reader().unwrap().task(id).unwrap().unwrap();
    assert_eq!(task.next_attempt_at, Some(NOW.plus(HOUR)));
    whole(&store);
}

#[test]
fn a_clock_that_jumps_ahead_does_not_empty_the_store() {
    let dir = tempfile::tempdir().unwrap();
    let (store, _) = open(dir.path());
    let id = create(&store, "a");
    store.close_task(id, Resolution::Human, NOW).unwrap();
    create(&store, "newest");
    store.maintain(NOW).unwrap();
    let future = NOW.plus(DAY * 365 * 14);
    assert_eq!(store.maintain(future).unwrap().pruned_tasks, 0);
    assert_eq!(store.maintain(future.plus(HOUR)).unwrap().pruned_tasks, 0);
    // Back again: as if nothing had been.
    assert_eq!(store.maintain(NOW.plus(HOUR)).unwrap().pruned_tasks, 0);
    // A box that was really off for years prunes a day later.
    store.maintain(future).unwrap();
    for hours in 1..=25 {
        let done = store.maintain(future.plus(HOUR * hours)).unwrap();
        assert_eq!(done.pruned_tasks, u64::from(hours == 24), "{hours}");
    }
    whole(&store);
}

#[test]
fn the_size_bound_holds_and_gives_space_back_but_never_drops_what_is_owed() {
    let dir = tempfile::tempdir().unwrap();
    let bounded = StoreOptions {
        max_bytes: 1 << 20,
        ..options(dir.path())
    };
    let (store, _) = Store::open(&bounded, NOW).unwrap();
    let owed = create(&store, "owed");
    store.escalate(owed, escalation(), "t", NOW).unwrap();
    let row = store.outbox_next("github", NOW).unwrap().unwrap();
    store.outbox_sending(row.id, NOW).unwrap();
    store.close_task(owed, Resolution::Human, NOW).unwrap();
    let batch: Vec<Finding> = (0..3_000)
        .map(|n| {
            Finding::new(
                Class::ServiceFailed,
                &format!("unit-{n}"),
                Severity::Error,
                &"x".repeat(300),
                "test",
                NOW,
            )
        })
        .collect();
    for part in batch.chunks(200) {
        let recorded = store
            .intake(
                Intake {
                    findings: part.to_vec(),
                    cursor: None,
                },
                NOW,
            )
            .unwrap();
        for one in recorded {
            store
                .close_task(one.task_id, Resolution::SelfCleared, NOW)
                .unwrap();
        }
    }
    let later = NOW.plus(HOUR);
    for _ in 0..10 {
        store.maintain(later).unwrap();
    }
    let path = &bounded.path;
    Connection::open(path)
        .unwrap()
        .query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))
        .unwrap();
    let bytes = fs::metadata(path).unwrap().len();
    assert!(bytes < 2 << 20, "{bytes}");
    has(&store, owed, "owed");
    let summed: i64 = store
        .reader()
        .unwrap()
        .with(|c| {
            Ok(c.query_row(
                "SELECT (SELECT sum(tasks) FROM daily_counts) + (SELECT count(*) FROM tasks)",
                [],
                |r| r.get(0),
            )?)
        })
        .unwrap();
    assert_eq!(summed, 3_001);
    whole(&store);
}

#[test]
fn a_recurrence_after_retention_counts_its_episode_on() {
    let dir = tempfile::tempdir().unwrap();
    let (store, _) = open(dir.path());
    let id = create(&store, "a");
    store.escalate(id, escalation(), "t", NOW).unwrap();
    let create_row = store.outbox_next("github", NOW).unwrap().unwrap();
    store.outbox_sending(create_row.id, NOW).unwrap();
    store
        .outbox_confirmed(create_row.id, Some(IssueNumber::from_number(1)), None, NOW)
        .unwrap();
    store.close_task(id, Resolution::Human, NOW).unwrap();
    let row = store.outbox_next("github", NOW).unwrap().unwrap();
    store
        .outbox_confirmed(row.id, Some(IssueNumber::from_number(1)), None, NOW)
        .unwrap();
    create(&store, "newest");
    assert_eq!(store.maintain(NOW.plus(DAY * 400)).unwrap().pruned_tasks, 1);
    let again = create(&store, "a");
    let task = store.reader().unwrap().task(again).unwrap().unwrap();
    assert_eq!(task.episode, 2);
    store.escalate(again, escalation(), "t", NOW).unwrap();
    let row = store.outbox_next("github", NOW).unwrap().unwrap();
    assert_ne!(row.delivery_key, create_row.delivery_key);
}

#[test]
fn a_backup_ends_under_load_and_holds_what_was_acknowledged_before_it() {
    let dir = tempfile::tempdir().unwrap();
    let (store, _) = open(dir.path());
    let before: Vec<TaskId> = (0..200)
        .map(|n| create(&store, &format!("before-{n}")))
        .collect();
    let done = AtomicBool::new(false);
    let backup = std::thread::scope(|scope| {
        for thread in 0..4 {
            let (store, done) = (&store, &done);
            scope.spawn(move || {
                let mut n = 0;
                while !done.load(Ordering::Relaxed) {
                    create(store, &format!("during-{thread}-{n}"));
                    n += 1;
                }
            });
        }
        let backup = store.maintain(NOW).unwrap().backup.unwrap();
        done.store(true, Ordering::Relaxed);
        backup
    });
    let copy = Connection::open(backup).unwrap();
    for id in before {
        let found: i64 = copy
            .query_row("SELECT count(*) FROM tasks WHERE id = ?1", [id], |row| {
                row.get(0)
            })
            .unwrap();
        assert_eq!(found, 1);
    }
    whole(&store);
}

#[test]
fn cutting_the_chain_at_either_end_shows() {
    let cut = |sql: &str| {
        let dir = tempfile::tempdir().unwrap();
        let (store, _) = open(dir.path());
        for n in 0..1_500 {
            store.note(None, "n", &n.to_string(), "t", "", NOW).unwrap();
        }
        assert_eq!(store.maintain(NOW).unwrap().audit, None);
        let raw = Connection::open(dir.path().join("tasks.db")).unwrap();
        raw.execute_batch(sql).unwrap();
        let full = store.reader().unwrap().audit_verify().unwrap();
        (full.is_err(), store.maintain(NOW).unwrap().audit.is_some())
    };
    // The beginning, with a forged note of where it starts now.
    let head = "DROP TRIGGER task_history_no_delete;
        INSERT OR REPLACE INTO meta SELECT 'audit_checkpoint', id || ' ' || hash FROM task_history WHERE id = 20;
        DELETE FROM task_history WHERE id <= 20;";
    assert!(cut(head).0);
    // The end: what is left is a whole chain, but it was verified further.
    let tail = "DROP TRIGGER task_history_no_delete; DELETE FROM task_history WHERE id > 100;";
    assert!(cut(tail).1);
}

#[test]
fn migrations_go_forward_one_transaction_each() {
    let dir = tempfile::tempdir().unwrap();
    let (store, _) = open(dir.path());
    drop(store);
    let mut raw = Connection::open(dir.path().join("tasks.db")).unwrap();
    raw.pragma_update(None, "user_version", 1).unwrap();
    let bad: [migrations::Migration; 2] = [
        |tx| Ok(tx.execute_batch("ALTER TABLE tasks ADD COLUMN a TEXT")?),
        |tx| Ok(tx.execute_batch("not sql")?),
    ];
    assert!(schema::migrate_by(&mut raw, 1, &bad, NOW).is_err());
    assert_eq!(schema::version(&raw).unwrap(), 2, "the good step stays");
    let good: [migrations::Migration; 2] = [
        |_| Ok(()),
        |tx| Ok(tx.execute_batch("ALTER TABLE tasks ADD COLUMN b TEXT")?),
    ];
    schema::migrate_by(&mut raw, 2, &good, NOW).unwrap();
    assert_eq!(schema::version(&raw).unwrap(), 3);
    raw.execute_batch("SELECT a, b FROM tasks").unwrap();
    // And twice changes nothing.
    schema::migrate_by(&mut raw, 3, &good, NOW).unwrap();
}

/// What a database consists of, as its statements without comments and spaces.
fn statements(store: &Store) -> Vec<String> {
    let reader = store.reader().unwrap();
    let read = |connection: &Connection| {
        let mut found = connection.prepare(
            "SELECT sql FROM sqlite_schema WHERE sql IS NOT NULL AND name NOT LIKE 'sqlite_%' ORDER BY type, name",
        )?;
        let rows = found.query_map([], |row| row.get::<_, String>(0))?;
        Ok(rows.collect::<Result<Vec<_>, _>>()?)
    };
    let bare = |sql: String| {
        sql.lines()
            .filter_map(|line| line.split("--").next())
            .flat_map(str::split_whitespace)
            .collect()
    };
    reader.with(read).unwrap().into_iter().map(bare).collect()
}

#[test]
fn a_database_of_each_older_version_becomes_one_of_this() {
    let fresh = tempfile::tempdir().unwrap();
    let fresh = statements(&open(fresh.path()).0);
    for version in 1..schema::VERSION {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("tasks.db");
        let fixture = format!(
            "{}/tests/fixtures/store/v{version}.sql",
            env!("CARGO_MANIFEST_DIR")
        );
        let old = Connection::open(&path).unwrap();
        old.execute_batch(&fs::read_to_string(&fixture).unwrap())
            .unwrap();
        let count = |connection: &Connection| -> (i64, i64, i64) {
            let sql = "SELECT (SELECT count(*) FROM tasks), max(id), count(*) FROM task_history";
            let read = |row: &rusqlite::Row<'_>| Ok((row.get(0)?, row.get(1)?, row.get(2)?));
            connection.query_row(sql, [], read).unwrap()
        };
        let before = count(&old);
        drop(old);
        for again in [false, true] {
            let (store, report) = open(dir.path());
            assert!(!report.restored, "{report:?}");
            assert_eq!(statements(&store), fresh, "from version {version}");
            let raw = Connection::open(&path).unwrap();
            let steps = schema::VERSION - version;
            // One event for each step and each open task that has a new fingerprint, and the two of the task below.
            let sql = "SELECT count(*) FROM task_history WHERE action = 'rekeyed'";
            let rekeyed: i64 = raw.query_row(sql, [], |row| row.get(0)).unwrap();
            let more = steps + rekeyed + if again { 2 } else { 0 };
            let found = count(&raw);
            assert_eq!(found.0, before.0 + i64::from(again));
            assert_eq!((found.1, found.2), (before.1 + more, before.2 + more));
            assert_eq!(schema::version(&raw).unwrap(), schema::VERSION);
            if !again {
                let id = create(&store, "new");
                assert_eq!(id.number(), before.0 + 1);
                store.close_task(id, Resolution::Fixed, NOW).unwrap();
            }
            whole(&store);
        }
        // A program of before is put back: what it can read takes the database's place.
        let kept = paths::beside(&path, &format!("schema-{version}"));
        fs::copy(&kept, paths::beside(&path, "restoring")).unwrap();
        let (store, report) = open(dir.path());
        assert!(report.restored);
        let raw = Connection::open(&path).unwrap();
        assert_eq!(count(&raw).0, before.0);
        whole(&store);
        // Kept for a week, made anew by the second migration.
        for (days, there) in [(6, true), (8, false)] {
            create(&store, &format!("after {days} days"));
            store.maintain(NOW.plus(DAY * days)).unwrap();
            assert_eq!(kept.exists(), there, "{days}");
        }
    }
}

#[test]
fn a_storm_of_repeats_is_still_committed() {
    let dir = tempfile::tempdir().unwrap();
    let (store, _) = open(dir.path());
    let id = create(&store, "a");
    let again = Finding::new(
        Class::ServiceFailed,
        "a",
        Severity::Error,
        "failed",
        "test",
        NOW,
    );
    let raw = Connection::open(dir.path().join("tasks.db")).unwrap();
    let stored = || -> u64 {
        raw.query_row("SELECT seen_count FROM tasks WHERE id = ?1", [id], |row| {
            row.get(0)
        })
        .unwrap()
    };
    let deadline = std::time::Instant::now() + Duration::from_secs(30);
    // Several producers keep the queue from ever being empty.
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        for _ in 0..4 {
            let (store, again, done) = (&store, &again, &done);
            scope.spawn(move || {
                while !done.load(Ordering::Relaxed) {
                    store.create_task(again.clone(), NOW).unwrap();
                }
            });
        }
        while stored() == 1 {
            assert!(std::time::Instant::now() < deadline, "never committed");
            std::thread::yield_now();
        }
        done.store(true, Ordering::Relaxed);
    });
}
