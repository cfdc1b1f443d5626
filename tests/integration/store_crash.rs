//! kill -9 under load, again and again on one database: what was acknowledged is there, nothing twice.
//! `AO_CRASH_CYCLES` sets the number of kills (5 by default), `AO_CRASH_SEED` replays a run.
//! The same with power cuts (`AO_POWER_CUTS`, 3 by default): a file system of its own is shut down in the
//! middle of the writes, without what was not yet flushed, and mounted again. And with power cuts of a whole
//! emulated machine (`AO_MACHINE_CUTS`, none by default): its disk forgets or tears what was not flushed.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)]

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::os::fd::AsRawFd;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use autonomous_orchestrator::{
    Class, Cursor, Finding, Intake, NewEscalation, Resolution, Severity, Store, StoreError,
    StoreOptions, TaskId, Timestamp,
};

const NOW: Timestamp = Timestamp::from_millis(1_800_000_000_000);
const CHILD: &str = "AO_CRASH_CHILD";
const THREADS: u64 = 4;

fn number(name: &str, default: u64) -> u64 {
    std::env::var(name)
        .ok()
        .and_then(|text| text.parse().ok())
        .unwrap_or(default)
}

fn options(path: &Path) -> StoreOptions {
    StoreOptions {
        // Retention and the size bound work under the kills as well.
        max_bytes: 4 << 20,
        backup_every: Duration::from_millis(1),
        ..StoreOptions::at(path)
    }
}

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

/// Nanoseconds of the clock that all processes share.
fn monotonic() -> i64 {
    let now = nix::time::clock_gettime(nix::time::ClockId::CLOCK_MONOTONIC).unwrap();
    now.tv_sec() * 1_000_000_000 + now.tv_nsec()
}

/// Says each thing only after it was acknowledged, and when. The line is one write: whole or not at all.
fn say(line: &str) {
    let at = monotonic();
    let mut out = std::io::stdout().lock();
    out.write_all(format!("{at} {line}\n").as_bytes()).unwrap();
    out.flush().unwrap();
}

/// The process to be killed: every thread writes and says what was acknowledged.
#[test]
fn crash_child() {
    let Some(path) = std::env::var_os(CHILD) else {
        return;
    };
    let generation = number("AO_CRASH_GENERATION", 0);
    let (store, report) = Store::open(&options(Path::new(&path)), NOW).unwrap();
    assert!(!report.restored, "{report:?}");
    say("open");
    std::thread::scope(|scope| {
        for thread in 0..THREADS {
            let store = &store;
            scope.spawn(move || write(store, generation, thread));
        }
        scope.spawn(|| {
            let mut at = NOW;
            loop {
                at = at.plus(Duration::from_secs(1));
                store.maintain(at).unwrap();
            }
        });
    });
}

fn write(store: &Store, generation: u64, thread: u64) {
    let actor = format!("{}-{}", letters(generation), letters(thread));
    for n in 1.. {
        let position = format!("{generation} {n}");
        let batch = Intake {
            findings: vec![Finding::new(
                Class::ServiceFailed,
                &format!("{actor}-{}.service", letters(n)),
                Severity::Error,
                &"padding ".repeat(40),
                "crash",
                NOW,
            )],
            cursor: Some(Cursor {
                stream: format!("stream-{thread}"),
                position: position.clone(),
            }),
        };
        let id = store.intake(batch, NOW).unwrap()[0].task_id;
        say(&format!("task {id} stream-{thread} {position}"));
        if n % 3 == 0 {
            let escalation = NewEscalation {
                reason: "crash".to_owned(),
                title: actor.clone(),
                body: String::new(),
                severity: Severity::Error,
                retry_at: None,
                proposed: None,
            };
            store.escalate(id, escalation, &actor, NOW).unwrap();
            say(&format!("escalated {id}"));
        } else {
            store.close_task(id, Resolution::SelfCleared, NOW).unwrap();
            say(&format!("closed {id}"));
        }
    }
}

/// What the killed processes said.
#[derive(Default)]
struct Told {
    /// Open for ever: escalated ones, which retention never removes.
    escalated: Vec<i64>,
    tasks: u64,
    closed: BTreeMap<i64, ()>,
    cursors: BTreeMap<String, String>,
    /// Acknowledged while the power was going: an fdatasync that is under way when ext4 is shut down may
    /// answer that all is well though its journal was given up. No medium does that, so these are not held to.
    during: u64,
}

impl Told {
    /// `cut` is when the power began to go.
    fn hear(&mut self, at: i64, line: &str, cut: Option<i64>) {
        let words: Vec<&str> = line.split(' ').collect();
        if cut.is_some_and(|cut| at >= cut) {
            self.during += u64::from(words[0] == "task");
            return;
        }
        match words.as_slice() {
            ["task", _, stream, generation, n] => {
                self.tasks += 1;
                self.cursors
                    .insert((*stream).to_owned(), format!("{generation} {n}"));
            }
            ["escalated", id] => {
                self.escalated.push(id.parse().unwrap());
            }
            ["closed", id] => {
                self.closed.insert(id.parse().unwrap(), ());
            }
            _ => {}
        }
    }
}

/// Times of the kills, from a seed that is printed.
struct Times(u64);

impl Times {
    fn next(&mut self) -> Duration {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        Duration::from_millis(5 + self.0 % 250)
    }
}

fn seed() -> u64 {
    let nanos = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    number(
        "AO_CRASH_SEED",
        u64::try_from(nanos.as_nanos() & 0xFFFF_FFFF).unwrap(),
    )
}

#[test]
fn what_was_acknowledged_survives_kill_9() {
    let seed = seed();
    let cycles = number("AO_CRASH_CYCLES", 5);
    println!("seed {seed} ({cycles} kills; AO_CRASH_SEED={seed} replays the times of the kills)");
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("tasks.db");
    let mut times = Times(seed | 1);
    let mut told = Told::default();
    for cycle in 0..cycles {
        run_and_kill(&path, cycle, times.next(), &mut told, || None);
        check(&path, &told, cycle == cycles - 1 || cycle % 10 == 0);
    }
    println!(
        "{cycles} kills: {} tasks, {} closed, {} escalated acknowledged; lost 0, doubled 0, audit ok, integrity ok",
        told.tasks,
        told.closed.len(),
        told.escalated.len()
    );
}

/// A file system in a file, mounted for one test.
struct Disk {
    dir: tempfile::TempDir,
}

impl Disk {
    /// Why there is none: no root, no loop devices.
    fn new() -> Result<Self, String> {
        let disk = Self {
            dir: tempfile::tempdir().unwrap(),
        };
        std::fs::create_dir(disk.mount_point()).unwrap();
        let image = disk.image();
        shell("truncate", &["-s", "64M", &image])?;
        shell("mkfs.ext4", &["-q", "-F", &image])?;
        disk.mount()?;
        Ok(disk)
    }

    fn image(&self) -> String {
        self.dir.path().join("image").display().to_string()
    }

    fn mount_point(&self) -> std::path::PathBuf {
        self.dir.path().join("mounted")
    }

    fn mount(&self) -> Result<(), String> {
        let point = self.mount_point().display().to_string();
        shell(
            "mount",
            &["-o", "loop,errors=remount-ro", &self.image(), &point],
        )
    }

    /// The kernel finds an error on the medium and makes the file system read-only.
    fn fail(&self) {
        let done = Command::new("findmnt")
            .args(["-n", "-o", "SOURCE"])
            .arg(self.mount_point())
            .output()
            .unwrap();
        let device = String::from_utf8(done.stdout).unwrap();
        let device = device.trim().trim_start_matches("/dev/");
        std::fs::write(
            format!("/sys/fs/ext4/{device}/trigger_fs_error"),
            "test of the store",
        )
        .unwrap();
    }

    /// The power goes: nothing that is not on the medium yet gets there. Answers when it began to go.
    fn cut(&self) -> i64 {
        /// `_IOR('X', 125, __u32)` and its flag for "without a flush of the log" (linux/fs/ext4/ext4.h).
        const EXT4_IOC_SHUTDOWN: nix::libc::Ioctl = 0x8004_587d_u32 as nix::libc::Ioctl;
        let without_log: u32 = 2;
        let point = std::fs::File::open(self.mount_point()).unwrap();
        let at = monotonic();
        // SAFETY: the descriptor is open, and the call reads one u32 that outlives it.
        let done = unsafe {
            nix::libc::ioctl(point.as_raw_fd(), EXT4_IOC_SHUTDOWN, &raw const without_log)
        };
        assert_eq!(done, 0, "{}", std::io::Error::last_os_error());
        at
    }

    fn unmount(&self) -> Result<(), String> {
        shell("umount", &[&self.mount_point().display().to_string()])
    }

    fn back(&self) {
        self.unmount().unwrap();
        self.mount().unwrap();
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let point = self.mount_point().display().to_string();
        let _ = shell("umount", &["-l", &point]);
    }
}

fn shell(program: &str, args: &[&str]) -> Result<(), String> {
    let done = Command::new(program)
        .args(args)
        .output()
        .map_err(|why| format!("{program}: {why}"))?;
    if done.status.success() {
        return Ok(());
    }
    Err(format!(
        "{program}: {}",
        String::from_utf8_lossy(&done.stderr).trim()
    ))
}

fn disk_or_skip() -> Option<Disk> {
    match Disk::new() {
        Ok(disk) => Some(disk),
        Err(why) if std::env::var("CI").as_deref() == Ok("true") => panic!("cannot run: {why}"),
        Err(why) => {
            println!("skipped: {why}");
            None
        }
    }
}

/// A whole emulated machine loses its power: kernel, page cache and all. Only what its disk was asked to flush
/// is there for sure; of the rest nothing (even cuts) or each sector by chance (odd ones). The file is checked here.
#[test]
fn what_was_acknowledged_survives_a_power_cut_of_the_machine() {
    let cuts = number("AO_MACHINE_CUTS", 0);
    let Some(tests) = std::env::var_os("AO_MACHINE_TESTS").filter(|_| cuts > 0) else {
        println!("skipped: scripts/test.sh --long powercut runs it");
        return;
    };
    let Some(disk) = disk_or_skip() else { return };
    let seed = seed();
    println!(
        "seed {seed} ({cuts} power cuts; AO_CRASH_SEED={seed} replays times and torn sectors)"
    );
    let path = disk.mount_point().join("tasks.db");
    std::fs::copy(tests, disk.mount_point().join("tests")).unwrap();
    let mut times = Times(seed | 1);
    let mut told = Told::default();
    for cut in 0..cuts {
        disk.unmount().unwrap();
        let lost = run_and_cut_the_power(&disk, cut, seed + cut, times.next() * 12, &mut told);
        disk.mount().unwrap();
        println!(
            "cut {cut}: {} tasks acknowledged until here, {lost}",
            told.tasks
        );
        check(&path, &told, true);
    }
    println!(
        "{cuts} power cuts of the machine: {} tasks, {} closed, {} escalated acknowledged; lost 0, doubled 0, audit ok, integrity ok",
        told.tasks,
        told.closed.len(),
        told.escalated.len()
    );
}

/// Everything that was heard was said by the machine before it died. Answers what its disk lost.
fn run_and_cut_the_power(
    disk: &Disk,
    generation: u64,
    seed: u64,
    after: Duration,
    told: &mut Told,
) -> String {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    // `lies`: a disk that only says that it flushed, to see that this test can fail.
    let mode = std::env::var("AO_MACHINE_DISK")
        .unwrap_or_else(|_| ["drop", "torn"][usize::from(generation % 2 == 1)].to_owned());
    let socket = disk.dir.path().join("socket");
    let _ = std::fs::remove_file(&socket);
    let mut medium = Command::new(root.join("tests/e2e/volatile_disk.py"))
        .args([disk.image().as_ref(), socket.as_os_str()])
        .args([&mode, &seed.to_string()])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let medium_pid = Pid::from_raw(i32::try_from(medium.id()).unwrap());
    let mut medium_says = BufReader::new(medium.stdout.take().unwrap()).lines();
    assert_eq!(medium_says.next().unwrap().unwrap(), "ready");
    let mut machine = Command::new(root.join("scripts/vm-bed.sh"))
        .arg("run")
        .arg(root.join("tests/e2e/power-cut.sh"))
        .arg(generation.to_string())
        .env("VM_DISK", &socket)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut emulator = None;
    let mut opened = false;
    for line in BufReader::new(machine.stdout.take().unwrap()).lines() {
        let line = line.unwrap();
        match line.split_once(' ') {
            Some(("machine", pid)) => {
                emulator = Some(Pid::from_raw(pid.parse().unwrap()));
            }
            Some((_, "open")) => {
                opened = true;
                let emulator = emulator.unwrap();
                std::thread::spawn(move || {
                    std::thread::sleep(after);
                    // The disk first: what it had under way is never acknowledged.
                    kill(medium_pid, Signal::SIGUSR1).unwrap();
                    kill(emulator, Signal::SIGKILL).unwrap();
                });
            }
            Some((at, said)) if at.parse::<i64>().is_ok() => told.hear(0, said, None),
            _ => {}
        }
    }
    let _ = machine.wait();
    if !opened {
        medium.kill().unwrap();
    }
    assert!(opened, "the writer in the machine did not open the store");
    let lost = medium_says.next().unwrap().unwrap();
    medium.wait().unwrap();
    lost
}

#[test]
fn what_was_acknowledged_survives_a_power_cut() {
    let Some(disk) = disk_or_skip() else { return };
    let seed = seed();
    let cuts = number("AO_POWER_CUTS", 3);
    println!("seed {seed} ({cuts} power cuts; AO_CRASH_SEED={seed} replays their times)");
    let path = disk.mount_point().join("tasks.db");
    let mut times = Times(seed | 1);
    let mut told = Told::default();
    for cut in 0..cuts {
        run_and_kill(&path, cut, times.next(), &mut told, || Some(disk.cut()));
        disk.back();
        check(&path, &told, true);
    }
    println!(
        "{cuts} power cuts: {} tasks, {} closed, {} escalated acknowledged, {} tasks more while the power went; \
         lost 0, doubled 0, audit ok, integrity ok",
        told.tasks,
        told.closed.len(),
        told.escalated.len(),
        told.during
    );
}

/// `before` runs right before the kill; it answers since when nothing counts any more.
fn run_and_kill(
    path: &Path,
    generation: u64,
    after: Duration,
    told: &mut Told,
    before: impl Fn() -> Option<i64>,
) {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "store_crash::crash_child", "--nocapture", "-q"])
        .env(CHILD, path)
        .env("AO_CRASH_GENERATION", generation.to_string())
        .stdout(Stdio::piped())
        // It may still complain of the disk that is gone.
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap());
    let mut killed_at: Option<Instant> = None;
    let mut cut = None;
    let mut line = String::new();
    loop {
        line.clear();
        if lines.read_line(&mut line).unwrap() == 0 {
            break;
        }
        // Cut by the kill: not said.
        let said = line
            .strip_suffix('\n')
            .and_then(|line| line.split_once(' '));
        let Some((Ok(at), said)) = said.map(|(at, said)| (at.parse(), said)) else {
            continue;
        };
        if said == "open" {
            killed_at = Some(Instant::now() + after);
        }
        told.hear(at, said, cut);
        if killed_at.is_some_and(|at| Instant::now() >= at) {
            cut = before();
            child.kill().unwrap();
            killed_at = None;
        }
    }
    child.wait().unwrap();
}

fn check(path: &Path, told: &Told, full: bool) {
    let (store, report) = Store::open(&options(path), NOW).unwrap();
    assert!(!report.restored && report.messages.is_empty(), "{report:?}");
    let reader = store.reader().unwrap();
    for (stream, position) in &told.cursors {
        // At least as far: a later one may have been stored without being said.
        let stored = store.cursor(stream).unwrap().unwrap();
        let of = |text: &str| -> (u64, u64) {
            let (generation, n) = text.split_once(' ').unwrap();
            (generation.parse().unwrap(), n.parse().unwrap())
        };
        assert!(
            of(&stored) >= of(position),
            "{stream}: {stored} < {position}"
        );
    }
    let raw = rusqlite::Connection::open(path).unwrap();
    let number = |sql: &str| raw.query_row(sql, [], |row| row.get::<_, u64>(0)).unwrap();
    // Removed by the size bound, but counted.
    let known = number(
        "SELECT (SELECT count(*) FROM tasks) + coalesce((SELECT sum(tasks) FROM daily_counts), 0)",
    );
    assert!(known >= told.tasks, "{known} of {} tasks", told.tasks);
    assert!(
        known <= told.tasks + told.during + THREADS * path_generations(&raw),
        "doubled"
    );
    assert_eq!(
        number(
            "SELECT count(*) - count(DISTINCT delivery_key) FROM outbox WHERE operation = 'create'"
        ),
        0
    );
    let newest = told
        .escalated
        .iter()
        .rev()
        .take(if full { usize::MAX } else { 200 });
    for id in newest {
        let task = reader.task(TaskId::from_number(*id)).unwrap();
        assert!(
            task.is_some_and(|task| task.status.as_str() == "escalated"),
            "escalation of task {id} is lost"
        );
    }
    for id in told.closed.keys().rev().take(200) {
        if let Some(task) = reader.task(TaskId::from_number(*id)).unwrap() {
            assert!(task.closed_at.is_some(), "task {id} is open again");
        }
    }
    if full {
        assert_eq!(reader.integrity().unwrap(), "ok");
    }
    assert!(reader.audit_verify().unwrap().is_ok());
}

/// How many processes have written: each may have stored one thing per thread that it could not say.
fn path_generations(raw: &rusqlite::Connection) -> u64 {
    raw.query_row(
        "SELECT max(CAST(position AS INTEGER)) + 1 FROM cursors",
        [],
        |row| row.get(0),
    )
    .unwrap_or(0)
}

/// One finding of its own kind; the id of its task once it was acknowledged.
fn told(store: &Store, name: &str) -> Result<TaskId, StoreError> {
    let batch = Intake {
        findings: vec![Finding::new(
            Class::ServiceFailed,
            name,
            Severity::Error,
            &"padding ".repeat(400),
            "fault",
            NOW,
        )],
        cursor: None,
    };
    Ok(store.intake(batch, NOW)?[0].task_id)
}

#[test]
fn a_disk_that_is_full_or_read_only_for_a_time_costs_nothing_acknowledged() {
    let disk = match Disk::new() {
        Ok(disk) => disk,
        Err(why) if std::env::var("CI").as_deref() == Ok("true") => panic!("cannot run: {why}"),
        Err(why) => {
            println!("skipped: {why}");
            return;
        }
    };
    let point = disk.mount_point();
    let path = point.join("tasks.db");
    let (store, _) = Store::open(&options(&path), NOW).unwrap();
    let mut acknowledged = Vec::new();
    let name = |n: u64| format!("{}.service", letters(n));
    // Full: a foreign file takes every block that is left.
    let mut filler = std::fs::File::create(point.join("filler")).unwrap();
    for block in [1 << 16, 1 << 12, 1] {
        while filler.write_all(&vec![0; block]).is_ok() {}
    }
    let mut n = 0;
    let refusal = loop {
        n += 1;
        match told(&store, &name(n)) {
            Ok(id) => acknowledged.push(id),
            Err(why) => break why,
        }
    };
    assert!(matches!(refusal, StoreError::Full), "{refusal}");
    assert!(
        store
            .health()
            .troubles()
            .iter()
            .any(|said| said.contains("ballast")),
        "the ballast gave way first"
    );
    drop(filler);
    std::fs::remove_file(point.join("filler")).unwrap();
    // ext4 gives the blocks of a removed file back when its journal commits, and not before.
    shell("sync", &["--file-system", &point.display().to_string()]).unwrap();
    acknowledged.push(told(&store, &name(n)).unwrap());
    // Read-only, as after an error of the medium.
    let point = point.display().to_string();
    disk.fail();
    let refused = told(&store, &name(n + 1));
    assert!(refused.is_err(), "{refused:?}");
    drop(store);
    shell("umount", &[&point]).unwrap();
    disk.mount().unwrap();
    let (store, report) = Store::open(&options(&path), NOW).unwrap();
    assert!(!report.restored, "{report:?}");
    acknowledged.push(told(&store, &name(n + 1)).unwrap());
    let reader = store.reader().unwrap();
    for id in &acknowledged {
        assert!(reader.task(*id).unwrap().is_some(), "task {id} is lost");
    }
    assert_eq!(reader.counts().unwrap().open, acknowledged.len() as u64);
    assert_eq!(reader.integrity().unwrap(), "ok");
    assert!(reader.audit_verify().unwrap().is_ok());
}
