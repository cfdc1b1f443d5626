//! One gateway: a fixture tree, a script for its commands, a clock that the test moves, and the program's
//! threads as their bodies, called in turn.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use super::issues::Issues;
use super::units::Units;
use crate::core::config::{Config, Github};
use crate::core::model::manager_event::{
    Happening, JobId, JobKind, JobResult, ManagerEvent, ManagerState, UnitChange,
};
use crate::core::model::task::Task;
use crate::core::model::time::Timestamp;
use crate::daemon::outbox::StoreOutbox;
use crate::daemon::scanner::{self, Schedule};
use crate::daemon::storeless::Storeless;
use crate::daemon::{Options, Runtime, Timing, courier, manager, status, worker};
use crate::escalation::courier::{Courier, Limits};
use crate::escalation::github::{GitHub, Settings};
use crate::host::Host;
use crate::host::clock::Clock;
use crate::host::exec::scripted::Scripted;
use crate::store::TaskFilter;

/// A Monday noon.
pub const START: Timestamp = Timestamp::from_millis(1_800_273_600_000);
/// What every gateway has; a test adds to it.
pub const CONFIG: &str = "[daemon]\nstartup_grace_s = 0\n[store]\nballast_kib = 0\n\
    [escalation.github]\nrepository = \"o/r\"\ntoken_file = \"/etc/autonomous-orchestrator/token\"\n";
pub const UNIT: &str = "app.service";
/// The store's file.
pub const DATABASE: &str = "var/lib/autonomous-orchestrator/tasks.db";

pub struct Gateway {
    pub dir: tempfile::TempDir,
    pub script: Arc<Scripted>,
    pub units: Units,
    pub issues: Issues,
    pub runtime: Runtime,
    schedule: Schedule,
    courier: Courier<GitHub>,
    storeless: Storeless,
}

impl Gateway {
    /// A gateway as built, but for what `set` changes.
    pub fn with(set: impl FnOnce(&mut Config)) -> Self {
        Self::at(START, &[], set)
    }

    /// The same at another time, with files that are there before the start.
    pub fn at(now: Timestamp, files: &[(&str, &str)], set: impl FnOnce(&mut Config)) -> Self {
        let dir = tempfile::tempdir().unwrap();
        for folder in ["run/systemd/system", "etc/autonomous-orchestrator"] {
            std::fs::create_dir_all(dir.path().join(folder)).unwrap();
        }
        for (path, text) in files {
            write(dir.path(), path, text);
        }
        let mut config = Config::parse(CONFIG).unwrap();
        set(&mut config);
        let script = Arc::new(Scripted::default());
        let host = Host::at(dir.path(), Clock::manual(now)).with_executor(script.clone());
        let units = Units::new();
        units.serve(&script, dir.path(), &host.clock);
        Self::start(dir, host, script, units, &config)
    }

    fn start(
        dir: tempfile::TempDir,
        host: Host,
        script: Arc<Scripted>,
        units: Units,
        config: &Config,
    ) -> Self {
        let runtime = Runtime::start(host, config.clone(), &options()).unwrap();
        courier::route(&runtime);
        let issues = Issues::default();
        let tracker = GitHub::new(settings(dir.path()), Box::new(issues.clone()));
        let limits = Limits {
            spread: Duration::ZERO,
            ..Limits::new(&config.escalation, &runtime.store.gateway_id().unwrap())
        };
        Self {
            dir,
            script,
            units,
            issues,
            runtime,
            schedule: Schedule::default(),
            courier: Courier::new(tracker, limits),
            storeless: Storeless::default(),
        }
    }

    /// Stops it, lets something happen to its files, and starts it again at the same moment.
    pub fn restarted(self, meanwhile: impl FnOnce(&Path)) -> Self {
        let Self {
            dir,
            script,
            units,
            runtime,
            courier,
            ..
        } = self;
        let (now, config) = (runtime.host.clock.now(), runtime.loaded().config.clone());
        drop((courier, runtime));
        meanwhile(dir.path());
        let host = Host::at(dir.path(), Clock::manual(now)).with_executor(script.clone());
        units.serve(&script, dir.path(), &host.clock);
        Self::start(dir, host, script, units, &config)
    }

    pub fn now(&self) -> Timestamp {
        self.runtime.host.clock.now()
    }

    pub fn advance(&self, span: Duration) {
        self.runtime.host.clock.advance(span);
    }

    pub fn write(&self, path: &str, text: &str) {
        write(self.dir.path(), path, text);
    }

    /// A program that the host could run.
    pub fn program(&self, path: &str) {
        use std::os::unix::fs::PermissionsExt;
        self.write(path, "");
        let path = self.dir.path().join(path.trim_start_matches('/'));
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755)).unwrap();
    }

    /// The status file, by a process that is this program.
    pub fn tell_status(&self) {
        let pid = std::process::id();
        self.write(
            &format!("/proc/{pid}/cmdline"),
            concat!("/usr/bin/", env!("CARGO_PKG_NAME"), "\0run\0"),
        );
        let loaded = self.runtime.loaded();
        let directory = self.runtime.host.path(&loaded.config.daemon.runtime_dir);
        std::fs::create_dir_all(directory).unwrap();
        status::write(&self.runtime, "running");
    }

    pub fn exists(&self, path: &str) -> bool {
        self.dir.path().join(path.trim_start_matches('/')).exists()
    }

    pub fn remove(&self, path: &str) {
        std::fs::remove_file(self.dir.path().join(path.trim_start_matches('/'))).unwrap();
    }

    /// A folder where a file was: it is there and cannot be read.
    pub fn refuse(&self, path: &str) {
        let at = self.dir.path().join(path.trim_start_matches('/'));
        let _ = std::fs::remove_file(&at);
        std::fs::create_dir_all(at).unwrap();
    }

    pub fn sweep(&mut self) {
        let now = self.now();
        scanner::sweep(&self.runtime, &mut self.schedule, false, now).unwrap();
    }

    /// One step of a worker; false when nothing is due.
    pub fn work(&self) -> bool {
        worker::step(&self.runtime, "worker-1").unwrap()
    }

    /// One attempt of the courier.
    pub fn deliver(&mut self) {
        let outbox = StoreOutbox {
            store: &self.runtime.store,
            destination: self.courier.destination().to_owned(),
        };
        self.courier.tick(&outbox, self.runtime.host.clock.now());
    }

    /// What the courier does before it asks the store.
    pub fn deliver_past_store(&mut self) {
        let queue = StoreOutbox {
            store: &self.runtime.store,
            destination: self.courier.destination().to_owned(),
        };
        let now = self.runtime.host.clock.now();
        self.storeless
            .tick(&self.runtime, &mut self.courier, &queue, now);
    }

    /// As after a start.
    pub fn forget_storeless(&mut self) {
        self.storeless = Storeless::default();
    }

    /// A unit ends without a fault, and its manager says so.
    pub fn ends_by_itself(&self, unit: &str) {
        self.units.put(unit, "inactive");
        self.says(Happening::UnitChanged(UnitChange {
            unit: unit.to_owned(),
            active: Some("inactive".to_owned()),
            ..UnitChange::default()
        }));
    }

    /// Somebody stops a unit, and its manager says so.
    pub fn is_stopped(&self, unit: &str) {
        self.units.put(unit, "inactive");
        self.hears_stop(unit);
    }

    /// The manager says so, whatever the unit's state.
    pub fn hears_stop(&self, unit: &str) {
        self.says(Happening::JobRemoved {
            id: JobId::from_number(7),
            unit: unit.to_owned(),
            kind: JobKind::Stop,
            result: JobResult::Done,
        });
    }

    /// The boot is over, and the manager says so.
    pub fn is_booted(&self) {
        self.units.lock().manager = "degraded";
        self.says(Happening::ManagerState(ManagerState::Degraded));
    }

    /// A word of the service manager.
    fn says(&self, what: Happening) {
        let word = ManagerEvent {
            seen: self.now(),
            what,
        };
        for manager in &self.runtime.loaded().managers {
            manager::take_in(&self.runtime, manager.as_ref(), &word);
        }
    }

    /// What all threads do at this moment.
    pub fn pass(&mut self) {
        self.sweep();
        while self.work() {}
        self.deliver();
    }

    /// Lets time pass, in steps of at least a second.
    pub fn runs_for(&mut self, span: Duration) {
        let end = self.now().plus(span);
        let step = (span / 200).max(Duration::from_secs(1));
        while self.now() < end {
            self.pass();
            self.advance(step);
        }
        self.pass();
    }

    /// Every task, the oldest first.
    pub fn tasks(&self) -> Vec<Task> {
        let all = TaskFilter {
            limit: u32::MAX,
            ..TaskFilter::default()
        };
        let mut tasks = self.runtime.store.reader().unwrap().tasks(&all).unwrap();
        tasks.sort_by_key(|task| task.id);
        tasks
    }

    /// The task about a subject.
    pub fn task(&self, subject: &str) -> Task {
        let mut tasks = self.tasks();
        tasks.retain(|task| task.subject == subject);
        tasks.pop().unwrap()
    }

    /// The events of a task, the oldest first: `action: reason`.
    pub fn events(&self, task: &Task) -> Vec<String> {
        let reader = self.runtime.store.reader().unwrap();
        let mut events = reader.history(Some(task.id), u32::MAX).unwrap();
        events.sort_by_key(|event| event.id);
        events
            .iter()
            .map(|event| format!("{}: {}", event.action, event.reason))
            .collect()
    }

    /// So often the service manager was asked to start something.
    pub fn starts(&self) -> usize {
        let asked = self.script.asked();
        let start = |line: &&String| line.starts_with("systemctl start");
        asked.iter().filter(start).count()
    }

    /// One package brings the unit file and, at its new place, the program.
    pub fn ships(&self, fragment: &str, program: &str) {
        let list = format!("/.\n{fragment}\n{program}\n");
        self.write("/var/lib/dpkg/info/app.list", &list);
    }

    /// States of the issues about the host; those about the program itself are left out.
    pub fn issue_states(&self) -> Vec<String> {
        let mut all = self.issues.all();
        all.retain(|(_, title)| !title.contains("The orchestrator itself"));
        all.into_iter().map(|(state, _)| state).collect()
    }

    /// A human allows what was proposed about a subject.
    pub fn approve(&self, subject: &str, span: Duration) {
        let (task, now) = (self.task(subject), self.now());
        let store = &self.runtime.store;
        let digest = task.proposal.unwrap().digest();
        let until = now.plus(span);
        store
            .approve(task.id, &digest, until, "human", now)
            .unwrap();
    }

    /// Changes the database behind the store's back.
    pub fn sql(&self, sql: &str) {
        self.database().execute_batch(sql).unwrap();
    }

    /// A column of a task's row that nothing but the store reads.
    pub fn column(&self, column: &str, task: &Task) -> Option<String> {
        let sql = format!("SELECT {column} FROM tasks WHERE id = ?1");
        let row = |row: &rusqlite::Row<'_>| row.get(0);
        self.database().query_row(&sql, [task.id], row).unwrap()
    }

    /// Destroys the database while the store has it open; the next write notices it, as of a line that a stream
    /// brings.
    pub fn damage(&self) {
        self.database()
            .query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))
            .unwrap();
        std::fs::write(self.dir.path().join(DATABASE), [0xEE; 200_000]).unwrap();
        let (store, now) = (&self.runtime.store, self.now());
        store.note(None, "tick", "", "test", "", now).unwrap();
    }

    fn database(&self) -> rusqlite::Connection {
        rusqlite::Connection::open(self.dir.path().join(DATABASE)).unwrap()
    }
}

fn write(root: &Path, path: &str, text: &str) {
    let path = root.join(path.trim_start_matches('/'));
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, text).unwrap();
}

/// As the daemon is started with nothing on its command line.
pub fn options() -> Options {
    Options {
        config_file: PathBuf::from("/etc/autonomous-orchestrator/config.toml"),
        config_named: false,
        state_dir: None,
        dry_run: false,
        timing: Timing::default(),
    }
}

/// Of the tracker, with a token below `root`.
pub fn settings(root: &Path) -> Settings {
    use std::os::unix::fs::PermissionsExt;
    let token = root.join("etc/autonomous-orchestrator/token");
    std::fs::write(&token, "secret-for-tests").unwrap();
    std::fs::set_permissions(&token, std::fs::Permissions::from_mode(0o600)).unwrap();
    Settings {
        github: Github {
            repository: "o/r".to_owned(),
            token_file: token.display().to_string(),
            ..Github::default()
        },
        credentials: None,
        reopen: Duration::ZERO,
    }
}
