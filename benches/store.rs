//! The store against its rivals and its limit, one measurement a call; scripts/bench-store.sh runs them
//! all and prints the ratios.
//!
//!   fsync SECONDS                     raw fdatasync of 4 KiB appended
//!   life own|thread THREADS SECONDS   life cycles of a task: create, fix attempt, close, each with history
//!   life batch THREADS SECONDS        as own, with the findings handed in by 16, as a reader does
//!   life limit 1 SECONDS              the same rows by one connection, 256 operations a transaction
//!   intake own|limit THREADS SECONDS  new findings alone, by 16
//!   growth TASKS                      claim, dedupe and list in a file of that many tasks; peak memory
//!   idle SECONDS                      bytes written while only a cursor moves
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::io::Write;
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use autonomous_orchestrator::{
    Class, Cursor, Event, Finding, GENESIS, Intake, Resolution, Severity, Store, StoreOptions,
    TaskFilter, TaskId, Timestamp, chain,
};
use rusqlite::{Connection, OptionalExtension, params};

const NOW: Timestamp = Timestamp::from_millis(1_800_000_000_000);
/// Findings that a reader hands in together; the daemon's do so with those of up to 256 lines.
const READ: u64 = 16;
/// Operations in one transaction of the limit.
const BATCH: u64 = 256;

fn main() {
    let arguments: Vec<String> = std::env::args()
        .skip(1)
        .filter(|text| text != "--bench")
        .collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let number = |text: &str| text.parse::<u64>().expect("a number");
    let place = std::env::var_os("AO_BENCH_DIR").map_or_else(std::env::temp_dir, Into::into);
    let dir = tempfile::tempdir_in(place).unwrap();
    let path = dir.path().join("tasks.db");
    match words.as_slice() {
        ["fsync", seconds] => fsync(dir.path(), number(seconds)),
        ["life", "limit", _, seconds] => limit(&path, number(seconds), true),
        ["life", "thread", threads, seconds] => per_thread(&path, number(threads), number(seconds)),
        ["life", "batch", threads, seconds] => {
            life_in_batches(&path, number(threads), number(seconds));
        }
        ["life", "own", threads, seconds] => life(&path, number(threads), number(seconds)),
        ["intake", "limit", _, seconds] => limit(&path, number(seconds), false),
        ["intake", "own", threads, seconds] => intake(&path, number(threads), number(seconds)),
        ["growth", tasks] => growth(&path, number(tasks)),
        ["idle", seconds] => idle(&path, number(seconds)),
        _ => eprintln!("see the head of benches/store.rs; scripts/bench-store.sh runs everything"),
    }
}

fn until(seconds: u64) -> Instant {
    Instant::now() + Duration::from_secs(seconds)
}

/// Letters, so that the template takes no part of it for a number.
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

fn finding(thread: u64, n: u64) -> Finding {
    Finding::new(
        Class::ServiceFailed,
        &format!("unit-{}-{}.service", letters(thread), letters(n)),
        Severity::Error,
        "Main process exited, code=exited, status=203/EXEC",
        "bench",
        NOW,
    )
}

/// Bytes that this process made the kernel write to the device.
fn written() -> u64 {
    std::fs::read_to_string("/proc/self/io")
        .ok()
        .and_then(|text| {
            text.lines()
                .find_map(|line| line.strip_prefix("write_bytes: "))
                .and_then(|text| text.parse().ok())
        })
        .unwrap_or(0)
}

fn peak_kib() -> u64 {
    std::fs::read_to_string("/proc/self/status")
        .unwrap()
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:"))
        .and_then(|text| text.trim().trim_end_matches(" kB").trim().parse().ok())
        .unwrap()
}

fn percentile(sorted: &[u64], percent: usize) -> u64 {
    sorted
        .get((sorted.len() * percent / 100).min(sorted.len().saturating_sub(1)))
        .copied()
        .unwrap_or(0)
}

fn fsync(dir: &Path, seconds: u64) {
    let mut file = std::fs::File::create(dir.join("raw")).unwrap();
    let end = until(seconds);
    let mut times = Vec::new();
    while Instant::now() < end {
        file.write_all(&[1; 4096]).unwrap();
        let started = Instant::now();
        file.sync_data().unwrap();
        times.push(u64::try_from(started.elapsed().as_micros()).unwrap());
    }
    times.sort_unstable();
    println!(
        "per_second={} p50_us={} p99_us={}",
        times.len() as u64 / seconds,
        percentile(&times, 50),
        percentile(&times, 99)
    );
}

/// Bytes that the database has, with what is still in its WAL.
fn size(path: &Path) -> u64 {
    let pages = Connection::open(path)
        .and_then(|found| found.query_row("PRAGMA page_count", [], |row| row.get(0)));
    pages.unwrap_or(0) * 4_096
}

/// Runs `each` in every thread until the time is over; prints rate, latency of one operation, bytes written
/// and by how many bytes the database grew for each.
fn measure(
    path: &Path,
    threads: u64,
    seconds: u64,
    operations: u64,
    each: impl Fn(u64, u64, &mut Vec<u64>) + Sync,
) {
    let (before, small) = (written(), size(path));
    let started = Instant::now();
    let end = until(seconds);
    let count = AtomicU64::new(0);
    let mut times: Vec<u64> = std::thread::scope(|scope| {
        let running: Vec<_> = (0..threads)
            .map(|thread| {
                let (each, count) = (&each, &count);
                scope.spawn(move || {
                    let mut times = Vec::new();
                    let mut n = 0;
                    while Instant::now() < end {
                        each(thread, n, &mut times);
                        n += 1;
                    }
                    count.fetch_add(n, Ordering::Relaxed);
                    times
                })
            })
            .collect();
        running
            .into_iter()
            .flat_map(|one| one.join().unwrap())
            .collect()
    });
    let done = count.load(Ordering::Relaxed) * operations;
    let elapsed = started.elapsed().as_secs_f64();
    times.sort_unstable();
    println!(
        "per_second={:.1} p50_us={} p99_us={} bytes_each={} grown_each={} errors=0",
        done as f64 / elapsed,
        percentile(&times, 50),
        percentile(&times, 99),
        (written() - before) / done.max(1),
        size(path).saturating_sub(small) / done.max(1),
    );
}

fn timed<T>(times: &mut Vec<u64>, run: impl FnOnce() -> T) -> T {
    let started = Instant::now();
    let value = run();
    times.push(u64::try_from(started.elapsed().as_micros()).unwrap());
    value
}

fn work_on(store: &Store, id: TaskId, times: &mut Vec<u64>) {
    timed(times, || {
        store.update_task_fix_attempt(id, true, "restarted", NOW)
    })
    .unwrap();
    timed(times, || store.close_task(id, Resolution::Fixed, NOW)).unwrap();
}

fn life(path: &Path, threads: u64, seconds: u64) {
    let (store, _) = Store::open(&StoreOptions::at(path), NOW).unwrap();
    measure(path, threads, seconds, 1, |thread, n, times| {
        let id = timed(times, || store.create_task(finding(thread, n), NOW))
            .unwrap()
            .task_id;
        work_on(&store, id, times);
    });
    eprintln!(
        "{:.1} operations a commit",
        store.health().operations() as f64 / store.health().commits().max(1) as f64
    );
    assert!(store.reader().unwrap().audit_verify().unwrap().is_ok());
}

/// A batch of new findings with its cursor; the ids of their tasks.
fn hand_in(store: &Store, thread: u64, n: u64) -> Vec<TaskId> {
    let batch = Intake {
        findings: (n * READ..(n + 1) * READ)
            .map(|n| finding(thread, n))
            .collect(),
        cursor: Some(Cursor {
            stream: letters(thread),
            position: n.to_string(),
        }),
    };
    let recorded = store.intake(batch, NOW).unwrap();
    recorded.iter().map(|one| one.task_id).collect()
}

/// Attempt and close of each task are waited for one by one.
fn life_in_batches(path: &Path, threads: u64, seconds: u64) {
    let (store, _) = Store::open(&StoreOptions::at(path), NOW).unwrap();
    measure(path, threads, seconds, READ, |thread, n, times| {
        for id in timed(times, || hand_in(&store, thread, n)) {
            work_on(&store, id, times);
        }
    });
}

fn intake(path: &Path, threads: u64, seconds: u64) {
    let (store, _) = Store::open(&StoreOptions::at(path), NOW).unwrap();
    measure(path, threads, seconds, READ, |thread, n, times| {
        timed(times, || hand_in(&store, thread, n));
    });
}

/// A writer's connection as one would set it up by hand, on our tables.
fn by_hand(path: &Path) -> Connection {
    let connection = Connection::open(path).unwrap();
    connection.busy_timeout(Duration::from_secs(30)).unwrap();
    connection
        .pragma_update(None, "journal_mode", "WAL")
        .unwrap();
    connection
        .pragma_update(None, "synchronous", "FULL")
        .unwrap();
    connection
}

fn create_by_hand(tx: &Connection, thread: u64, n: u64) -> i64 {
    let finding = finding(thread, n);
    let hash = finding.fingerprint().to_string();
    let at = NOW.to_string();
    let id: Option<i64> = tx
        .prepare_cached(
            "INSERT INTO tasks (issue_hash, issue_type, subject, severity, issue_source, issue_message, evidence,
                                detected_at, last_seen_at) VALUES (?1, ?2, ?3, ?4, ?5, ?6, '{}', ?7, ?7)
             ON CONFLICT (issue_hash) WHERE status <> 'closed' DO NOTHING RETURNING id",
        )
        .unwrap()
        .query_row(
            params![
                hash,
                finding.class.as_str(),
                finding.subject,
                finding.severity.as_str(),
                finding.source,
                finding.message,
                at
            ],
            |row| row.get(0),
        )
        .optional()
        .unwrap();
    let id = id.unwrap();
    history_by_hand(
        tx,
        id,
        "found",
        &format!("{} {}: {}", finding.class, finding.subject, finding.message),
    );
    id
}

fn history_by_hand(tx: &Connection, task: i64, action: &str, details: &str) {
    let prev: String = tx
        .prepare_cached("SELECT hash FROM task_history ORDER BY id DESC LIMIT 1")
        .unwrap()
        .query_row([], |row| row.get(0))
        .optional()
        .unwrap()
        .unwrap_or_else(|| GENESIS.to_owned());
    let timestamp = NOW.to_string();
    let event = Event {
        task_id: Some(TaskId::from_number(task)),
        action,
        details,
        timestamp: &timestamp,
        actor: "bench",
        reason: "",
    };
    let hash = chain(&prev, &event);
    tx.prepare_cached(
        "INSERT INTO task_history (task_id, action, details, timestamp, actor, prev_hash, hash) VALUES (?1, ?2, ?3, ?4, 'bench', ?5, ?6)",
    )
    .unwrap()
    .execute(params![task, action, details, timestamp, prev, hash])
    .unwrap();
}

fn fix_by_hand(tx: &Connection, id: i64) {
    tx.prepare_cached(
        "UPDATE tasks SET fix_attempted = 1, fix_successful = 1, fix_message = 'restarted' WHERE id = ?1",
    )
    .unwrap()
    .execute([id])
    .unwrap();
    history_by_hand(tx, id, "fix_attempt", "successful");
}

fn close_by_hand(tx: &Connection, id: i64) {
    tx.prepare_cached(
        "UPDATE tasks SET status = 'closed', resolution = 'fixed', closed_at = ?2, fixed_at = ?2 WHERE id = ?1",
    )
    .unwrap()
    .execute(params![id, NOW.to_string()])
    .unwrap();
    history_by_hand(tx, id, "closed", "detected -> closed");
}

fn per_thread(path: &Path, threads: u64, seconds: u64) {
    drop(Store::open(&StoreOptions::at(path), NOW).unwrap());
    thread_local!(static OWN: std::cell::RefCell<Option<Connection>> = const { std::cell::RefCell::new(None) });
    measure(path, threads, seconds, 1, |thread, n, times| {
        OWN.with_borrow_mut(|own| {
            let connection = own.get_or_insert_with(|| by_hand(path));
            let mut one = |run: &mut dyn FnMut(&Connection)| {
                timed(times, || {
                    connection.execute_batch("BEGIN IMMEDIATE").unwrap();
                    run(connection);
                    connection.execute_batch("COMMIT").unwrap();
                });
            };
            let mut id = 0;
            one(&mut |tx| id = create_by_hand(tx, thread, n));
            one(&mut |tx| fix_by_hand(tx, id));
            one(&mut |tx| close_by_hand(tx, id));
        });
    });
}

/// The same rows with nothing between them and the disk.
fn limit(path: &Path, seconds: u64, whole_life: bool) {
    drop(Store::open(&StoreOptions::at(path), NOW).unwrap());
    let connection = by_hand(path);
    let lives = if whole_life { BATCH / 3 } else { BATCH };
    let connection = Mutex::new(connection);
    measure(path, 1, seconds, lives, |_, batch, _| {
        let connection = connection.lock().unwrap();
        connection.execute_batch("BEGIN IMMEDIATE").unwrap();
        for n in 0..lives {
            let id = create_by_hand(&connection, 0, batch * lives + n);
            if whole_life {
                fix_by_hand(&connection, id);
                close_by_hand(&connection, id);
            }
        }
        connection.execute_batch("COMMIT").unwrap();
    });
}

/// Most tasks closed long ago, 1,000 open: what a gateway looks like after years.
fn growth(path: &Path, tasks: u64) {
    drop(Store::open(&StoreOptions::at(path), NOW).unwrap());
    let raw = by_hand(path);
    raw.pragma_update(None, "synchronous", "OFF").unwrap();
    // The peak is to be that of the store.
    raw.pragma_update(None, "cache_size", -256).unwrap();
    raw.execute(
        "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ?1)
         INSERT INTO tasks (issue_hash, issue_type, subject, severity, issue_source, issue_message, status, resolution,
                            detected_at, last_seen_at, closed_at, next_attempt_at)
         SELECT printf('%064x', i), 'service_failed', 'unit-' || i, 'error', 'bench', 'Main process exited',
                CASE WHEN i % (?1 / 1000) = 0 THEN 'waiting' ELSE 'closed' END,
                CASE WHEN i % (?1 / 1000) = 0 THEN NULL ELSE 'fixed' END,
                '2026-01-01 00:00:00.000', '2026-01-01 00:00:00.000',
                CASE WHEN i % (?1 / 1000) = 0 THEN NULL ELSE '2026-01-02 00:00:00.000' END,
                CASE WHEN i % (?1 / 1000) = 0 THEN '2999-01-01 00:00:00.000' END
         FROM n",
        [tasks],
    )
    .unwrap();
    drop(raw);
    let options = StoreOptions {
        max_bytes: u64::MAX,
        ballast_bytes: 0,
        ..StoreOptions::at(path)
    };
    let (store, _) = Store::open(&options, NOW).unwrap();
    let reader = store.reader().unwrap();
    let mut dedupe = Vec::new();
    let mut create = Vec::new();
    let mut claim = Vec::new();
    let mut due = Vec::new();
    let mut list = Vec::new();
    for n in 0..200 {
        timed(&mut create, || store.create_task(finding(1, n), NOW)).unwrap();
        timed(&mut dedupe, || store.create_task(finding(1, n), NOW)).unwrap();
        timed(&mut due, || reader.due(NOW)).unwrap();
        timed(&mut claim, || store.claim_next("bench", NOW)).unwrap();
        let open = TaskFilter {
            open_only: true,
            limit: 50,
            ..TaskFilter::default()
        };
        timed(&mut list, || reader.tasks(&open)).unwrap();
    }
    for times in [&mut create, &mut dedupe, &mut claim, &mut due, &mut list] {
        times.sort_unstable();
    }
    println!(
        "tasks={tasks} create_us={} dedupe_us={} claim_us={} due_us={} list_us={} peak_kib={} file_mib={}",
        percentile(&create, 50),
        percentile(&dedupe, 50),
        percentile(&claim, 50),
        percentile(&due, 50),
        percentile(&list, 50),
        peak_kib(),
        std::fs::metadata(path).unwrap().len() >> 20,
    );
}

fn idle(path: &Path, seconds: u64) {
    let (store, _) = Store::open(&StoreOptions::at(path), NOW).unwrap();
    store.maintain(NOW).unwrap();
    let before = written();
    let end = until(seconds);
    let mut n: u64 = 0;
    while Instant::now() < end {
        n += 1;
        let cursor = Some(Cursor {
            stream: "journal".to_owned(),
            position: format!("s=0123456789abcdef0123456789abcdef;i={n:x}"),
        });
        let batch = Intake {
            findings: Vec::new(),
            cursor,
        };
        store.intake(batch, NOW).unwrap();
        std::thread::sleep(Duration::from_secs(1));
    }
    println!("bytes_per_hour={}", (written() - before) * 3_600 / seconds);
}
