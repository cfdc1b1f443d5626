//! Adoption of a database that a Python script made with the Python daemon's schema.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};

use autonomous_orchestrator::{
    Class, Finding, Severity, Store, StoreOptions, TaskFilter, TaskId, Timestamp, import,
};

const NOW: Timestamp = Timestamp::from_millis(1_800_000_000_000);
const SEED: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/e2e/seed_db.py");

fn python(arguments: &[&str]) -> String {
    let done = Command::new("python3")
        .arg("-B")
        .args(arguments)
        .output()
        .unwrap();
    assert!(
        done.status.success(),
        "{}",
        String::from_utf8_lossy(&done.stderr)
    );
    String::from_utf8(done.stdout).unwrap()
}

fn has_python() -> bool {
    let found = Command::new("python3")
        .args(["-c", "import sqlite3"])
        .status()
        .is_ok_and(|status| status.success());
    assert!(
        found || std::env::var_os("CI").is_none(),
        "python3 is needed in CI"
    );
    if !found {
        eprintln!("skipped: no python3");
    }
    found
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

fn options(path: &Path) -> StoreOptions {
    StoreOptions {
        ballast_bytes: 0,
        ..StoreOptions::at(path)
    }
}

#[test]
fn in_place_nothing_is_lost_and_twice_changes_nothing() {
    if !has_python() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("tasks.db");
    let kept = dir.path().join("kept.db");
    python(&[SEED, "make", text(&path)]);
    std::fs::copy(&path, &kept).unwrap();
    let report = import(&path, &options(&path), NOW).unwrap();
    assert_eq!((report.tasks, report.history), (300, 600));
    python(&[SEED, "compare", text(&kept), text(&path)]);
    // The copy beside is the old database, whole.
    let copy = report.copy.unwrap();
    python(&[SEED, "compare", text(&kept), text(&copy)]);
    let dump = python(&[SEED, "dump", text(&path)]);
    assert!(import(&path, &options(&path), NOW).unwrap().already);
    assert_eq!(python(&[SEED, "dump", text(&path)]), dump);
    let (store, opened) = Store::open(&options(&path), NOW).unwrap();
    assert!(!opened.created && !opened.restored);
    assert!(store.reader().unwrap().audit_verify().unwrap().is_ok());
    assert_eq!(store.reader().unwrap().integrity().unwrap(), "ok");
}

#[test]
fn from_elsewhere_the_rows_join_those_that_are_there() {
    if !has_python() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let old = dir.path().join("old.db");
    let path = dir.path().join("tasks.db");
    python(&[SEED, "make", text(&old)]);
    let (store, _) = Store::open(&options(&path), NOW).unwrap();
    let finding = |subject: &str, message: &str| {
        Finding::new(
            Class::ServiceFailed,
            subject,
            Severity::Error,
            message,
            "test",
            NOW,
        )
    };
    let own = store
        .create_task(finding("a.service", "own"), NOW)
        .unwrap()
        .task_id;
    drop(store);
    assert_eq!(import(&old, &options(&path), NOW).unwrap().tasks, 300);
    assert!(import(&old, &options(&path), NOW).unwrap().already);
    python(&[SEED, "compare", text(&old), text(&path)]);
    let (store, _) = Store::open(&options(&path), NOW).unwrap();
    let reader = store.reader().unwrap();
    assert_eq!(reader.task(own).unwrap().unwrap().message, "own");
    assert!(reader.audit_verify().unwrap().is_ok());
    // An adopted fault that is seen again is that task, under our key from now on.
    let open = TaskFilter {
        open_only: true,
        class: Some(Class::LogError),
        ..TaskFilter::default()
    };
    let adopted = reader
        .tasks(&open)
        .unwrap()
        .into_iter()
        .find(|task| task.id != own)
        .unwrap();
    let again = Finding {
        class: Class::LogError,
        ..finding("app.service", &adopted.message)
    };
    let hash = again.fingerprint().to_string();
    let recorded = store.create_task(again, NOW).unwrap();
    assert_eq!((recorded.task_id, recorded.created), (adopted.id, false));
    let task = reader.task(adopted.id).unwrap().unwrap();
    assert_eq!(
        (task.issue_hash, task.subject),
        (hash, "app.service".to_owned())
    );
    assert_eq!(task.detected_at, adopted.detected_at);
}

#[test]
fn refused_while_the_python_daemon_has_it_open() {
    if !has_python() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("tasks.db");
    python(&[SEED, "make", text(&path)]);
    let mut daemon = Command::new("python3")
        .args(["-c", "import sqlite3, sys; db = sqlite3.connect(sys.argv[1]); db.execute('SELECT 1 FROM tasks'); print('open', flush=True); sys.stdin.read()"])
        .arg(&path)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    BufReader::new(daemon.stdout.take().unwrap())
        .read_line(&mut line)
        .unwrap();
    let before = std::fs::read(&path).unwrap();
    let refused = import(&path, &options(&path), NOW).unwrap_err().to_string();
    assert!(
        refused.contains(&format!("process {}", daemon.id())),
        "{refused}"
    );
    assert_eq!(std::fs::read(&path).unwrap(), before, "untouched");
    drop(daemon.stdin.take());
    daemon.wait().unwrap();
    assert_eq!(import(&path, &options(&path), NOW).unwrap().tasks, 300);
}

#[test]
fn rows_still_in_the_wal_odd_values_and_unknown_tables_are_kept() {
    if !has_python() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("tasks.db");
    python(&[SEED, "make", text(&path)]);
    // Killed without closing: the last rows are in the WAL alone.
    let script = r#"
import os, sqlite3, sys
db = sqlite3.connect(sys.argv[1])
db.execute("PRAGMA journal_mode=WAL")
db.execute("ALTER TABLE tasks ADD COLUMN agent TEXT")
db.execute("CREATE TABLE learning_patterns (id INTEGER PRIMARY KEY, pattern TEXT, wins REAL, raw BLOB)")
db.execute("INSERT INTO learning_patterns VALUES (7, 'restart', 0.75, x'00ff')")
db.execute("INSERT INTO tasks (issue_hash, issue_type, issue_source, issue_message, status, github_issue_number, detected_at, agent)"
           " VALUES ('odd', 'weird', 's', CAST(x'66ff6f' AS TEXT), 'Pending-Review', 'gh-12', 'yesterday', 'agent-2')")
db.execute("INSERT INTO task_history (task_id, action, timestamp) VALUES (301, 'noted', 'long ago')")
db.commit()
os._exit(0)
"#;
    python(&["-c", script, text(&path)]);
    let (store, report) = Store::open(&options(&path), NOW).unwrap();
    let adopted = report.adopted.unwrap();
    assert_eq!((adopted.tasks, adopted.history), (301, 601));
    assert_eq!(adopted.kept_tables, ["learning_patterns"]);
    let task = store
        .reader()
        .unwrap()
        .task(TaskId::from_number(301))
        .unwrap()
        .unwrap();
    assert_eq!(task.message, "f\u{FFFD}o");
    for kept in [
        ("legacy_status", "Pending-Review"),
        ("legacy_github_issue_number", "gh-12"),
        ("legacy_detected_at", "yesterday"),
        ("agent", "agent-2"),
    ] {
        assert!(task.evidence.iter().any(|fact| fact == kept), "{kept:?}");
    }
    let events = store
        .reader()
        .unwrap()
        .history(Some(TaskId::from_number(301)), 10)
        .unwrap();
    assert!(events.iter().any(|event| event.reason.contains("long ago")));
    drop(store);
    let row = "import sqlite3, sys; print(sqlite3.connect(sys.argv[1]).execute('SELECT * FROM legacy_learning_patterns').fetchall())";
    assert_eq!(
        python(&["-c", row, text(&path)]).trim(),
        "[(7, 'restart', 0.75, b'\\x00\\xff')]"
    );
}

/// Runs `script` over a database at `path` that it is given as its first argument.
fn made(path: &Path, script: &str) {
    python(&[
        "-c",
        &format!("import os, sqlite3, sys\np = sys.argv[1]\n{script}"),
        text(path),
    ]);
}

fn refused(path: &Path, options: &StoreOptions) -> String {
    import(path, options, NOW).unwrap_err().to_string()
}

#[test]
fn what_computes_or_never_ends_is_refused() {
    if !has_python() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let store = dir.path().join("tasks.db");
    let tasks = "id INTEGER PRIMARY KEY, issue_hash TEXT, issue_type TEXT, status TEXT";
    for (name, script, why) in [
        (
            "view",
            "c = sqlite3.connect(p)\nc.execute(\"CREATE VIEW tasks AS WITH RECURSIVE r(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM r) SELECT n AS id, 'a' || n AS issue_hash, 'service_failed' AS issue_type, 'new' AS status FROM r\")\nc.commit()".to_owned(),
            "tasks computes",
        ),
        (
            "column",
            format!("c = sqlite3.connect(p)\nc.execute(\"CREATE TABLE tasks ({tasks}, big TEXT AS (hex(zeroblob(400000000))))\")\nc.commit()"),
            "tasks computes",
        ),
        (
            "value",
            format!("c = sqlite3.connect(p)\nc.execute(\"CREATE TABLE tasks ({tasks})\")\nc.execute(\"INSERT INTO tasks VALUES (1, zeroblob(8000000), 'service_failed', 'new')\")\nc.commit()"),
            "too big",
        ),
        ("none", "open(p, 'wb').write(b'SQLite format 3\\0' + bytes(5000))".to_owned(), "none.db: damaged, or no database"),
    ] {
        let path = dir.path().join(format!("{name}.db"));
        made(&path, &script);
        let told = refused(&path, &options(&store));
        assert!(told.contains(why), "{name}: {told}");
    }
    // Nothing is left of the copies, and of the store there is at most an empty one.
    let left: Vec<_> = std::fs::read_dir(dir.path()).unwrap().flatten().collect();
    assert!(
        left.iter()
            .all(|entry| !entry.file_name().to_string_lossy().contains("importing"))
    );
}

#[test]
fn what_is_larger_than_the_store_may_be_or_takes_longer_than_allowed_is_refused() {
    if !has_python() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let store = dir.path().join("tasks.db");
    let old = dir.path().join("old.db");
    made(
        &old,
        "c = sqlite3.connect(p)\nc.execute('CREATE TABLE tasks (id INTEGER PRIMARY KEY, issue_hash TEXT, issue_type TEXT, status TEXT)')\nc.executemany('INSERT INTO tasks VALUES (?, ?, \\'service_failed\\', \\'new\\')', ((n, 'x' * 100 + str(n)) for n in range(30000)))\nc.commit()",
    );
    let small = StoreOptions {
        max_bytes: 1 << 20,
        ..options(&store)
    };
    let told = refused(&old, &small);
    assert!(told.contains("larger than the 1 MiB"), "{told}");
    let short = StoreOptions {
        import_within: std::time::Duration::ZERO,
        ..options(&store)
    };
    let told = refused(&old, &short);
    assert!(told.contains("not read within 0 s"), "{told}");
    assert_eq!(import(&old, &options(&store), NOW).unwrap().tasks, 30_000);
}

#[test]
fn no_name_in_a_folder_of_others_is_followed() {
    if !has_python() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let store = dir.path().join("tasks.db");
    let victim = dir.path().join("victim");
    std::fs::write(&victim, "precious").unwrap();
    for end in ["-wal", "-journal"] {
        let old = dir.path().join(format!("old{end}.db"));
        python(&[SEED, "make", text(&old)]);
        made(
            &old,
            "sqlite3.connect(p).execute('PRAGMA journal_mode=WAL')",
        );
        let beside = std::path::PathBuf::from(format!("{}{end}", text(&old)));
        let _ = std::fs::remove_file(&beside);
        std::os::unix::fs::symlink(&victim, &beside).unwrap();
        let told = refused(&old, &options(&store));
        assert!(told.contains("a link"), "{told}");
        let fifo = || nix::unistd::mkfifo(&beside, nix::sys::stat::Mode::from_bits_truncate(0o666));
        std::fs::remove_file(&beside).unwrap();
        fifo().unwrap();
        let told = refused(&old, &options(&store));
        assert!(told.contains("not a regular file"), "{told}");
    }
    let fifo = dir.path().join("fifo.db");
    nix::unistd::mkfifo(&fifo, nix::sys::stat::Mode::from_bits_truncate(0o666)).unwrap();
    let told = refused(&fifo, &options(&store));
    assert!(told.contains("not a regular file"), "{told}");
    assert_eq!(std::fs::read_to_string(&victim).unwrap(), "precious");
}

#[test]
fn what_another_connection_locks_is_refused() {
    if !has_python() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let (old, store) = (dir.path().join("old.db"), dir.path().join("tasks.db"));
    python(&[SEED, "make", text(&old)]);
    let holder = rusqlite::Connection::open(&old).unwrap();
    holder.execute_batch("BEGIN EXCLUSIVE").unwrap();
    let told = refused(&old, &options(&store));
    assert!(told.contains("locked"), "{told}");
    drop(holder);
    assert_eq!(import(&old, &options(&store), NOW).unwrap().tasks, 300);
}

#[test]
fn rows_that_are_still_in_the_wal_come_along_from_elsewhere() {
    if !has_python() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let (old, store) = (dir.path().join("old.db"), dir.path().join("tasks.db"));
    python(&[SEED, "make", text(&old)]);
    made(
        &old,
        "c = sqlite3.connect(p)\nc.execute('PRAGMA journal_mode=WAL')\nc.execute(\"INSERT INTO tasks (issue_hash, issue_type, issue_source, issue_message, status) VALUES ('w', 'log_error', 's', 'late', 'detected')\")\nc.commit()\nos._exit(0)",
    );
    assert!(
        std::fs::metadata(format!("{}-wal", text(&old)))
            .unwrap()
            .len()
            > 0
    );
    let before = std::fs::read(&old).unwrap();
    assert_eq!(import(&old, &options(&store), NOW).unwrap().tasks, 301);
    assert_eq!(std::fs::read(&old).unwrap(), before, "only read");
}
