//! Actions against a host of files and a service manager of data.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

mod containers;
mod harm;
mod on_host;
mod targets;
mod uplink;

use std::fs;
use std::path::Path;
use std::sync::{Arc, Mutex};

use super::*;
use crate::core::model::healthy::{HealthyUnit, HealthyUnits};
use crate::core::model::sorted::SortedMap;
use crate::core::model::time::Timestamp;
use crate::core::model::unit::{Left, Purpose, UnitState};
use crate::host::boot;
use crate::host::clock::Clock;
use crate::services::{Ordered, ServiceError, census};

/// Takes an action that was decided on just now.
fn take(context: &ActionContext<'_>, action: &dyn Action) -> Result<Done, ActionError> {
    action.precondition(context)?;
    execute(context, action, &proposal(context, action, None)?)
}

fn stopped() -> Left {
    Left::OnPurpose(Purpose::Stopped)
}

/// A manager that keeps its units as data and writes down what it was told.
#[derive(Debug, Default)]
struct Book {
    units: Mutex<SortedMap<String, UnitState>>,
    orders: Mutex<Vec<String>>,
    owner: Option<String>,
    /// What `reload` makes of the units.
    after_reload: Option<UnitState>,
}

impl Book {
    fn of(units: Vec<UnitState>) -> Self {
        let units = units.into_iter().map(|unit| (unit.name.clone(), unit));
        Self {
            units: Mutex::new(units.collect()),
            ..Self::default()
        }
    }

    fn told(&self) -> Vec<String> {
        self.orders.lock().unwrap().clone()
    }
}

impl ServiceManager for Book {
    fn name(&self) -> &'static str {
        "book"
    }

    fn units(&self) -> Result<Vec<UnitState>, ServiceError> {
        Ok(self.units.lock().unwrap().values().cloned().collect())
    }

    fn unit(&self, unit: &UnitName) -> Result<UnitState, ServiceError> {
        let units = self.units.lock().unwrap();
        units
            .get(unit.as_str())
            .cloned()
            .ok_or_else(|| ServiceError::UnknownUnit(unit.to_string()))
    }

    fn order(
        &self,
        order: Order,
        unit: &UnitName,
        _within: Duration,
    ) -> Result<Ordered, ServiceError> {
        self.orders
            .lock()
            .unwrap()
            .push(format!("{order:?} {unit}"));
        Ok(Ordered::DONE)
    }

    fn reload(&self) -> Result<(), ServiceError> {
        self.orders.lock().unwrap().push("reload".to_owned());
        if let Some(unit) = &self.after_reload {
            self.units
                .lock()
                .unwrap()
                .insert(unit.name.clone(), unit.clone());
        }
        Ok(())
    }

    fn unit_of(&self, _pid: u32) -> Option<String> {
        self.owner.clone()
    }
}

/// One host and its manager for one test.
struct Bench {
    dir: tempfile::TempDir,
    host: Host,
    config: Config,
    book: Arc<Book>,
    managers: Vec<Arc<dyn ServiceManager>>,
    healthy: HealthyUnits,
}

impl Bench {
    fn new(book: Book) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let book = Arc::new(book);
        Self {
            host: Host::at(dir.path(), Clock::manual(Timestamp::default())),
            config: Config::default(),
            managers: vec![Arc::clone(&book) as Arc<dyn ServiceManager>],
            book,
            dir,
            healthy: HealthyUnits::default(),
        }
    }

    fn real(mut self) -> Self {
        self.host = Host::real();
        self
    }

    /// `unit` was well, and these processes ran in it.
    fn well(mut self, unit: &str, pids: &[u32]) -> Self {
        let host = Host::real();
        let seen: Vec<_> = pids
            .iter()
            .filter_map(|pid| census::suspect(&host, *pid, None).unwrap())
            .collect();
        let record = HealthyUnit {
            boot: boot::id(&host),
            control_group: seen
                .first()
                .map_or_else(String::new, |one| one.group.clone()),
            processes: seen.iter().map(|one| one.key).collect(),
            ..HealthyUnit::default()
        };
        self.healthy.insert(unit.to_owned(), record);
        self
    }

    fn put(&self, path: &str, text: &str) {
        let path = self.dir.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    fn context<T>(&self, work: impl FnOnce(&ActionContext<'_>) -> T) -> T {
        work(&ActionContext {
            host: &self.host,
            config: &self.config,
            managers: &self.managers,
            backup_dir: &self.dir.path().join("backup"),
            healthy: &self.healthy,
        })
    }
}

fn unit(name: &str) -> UnitState {
    UnitState {
        name: name.to_owned(),
        load_state: "loaded".to_owned(),
        active_state: "failed".to_owned(),
        unit_file_state: "enabled".to_owned(),
        service_type: "simple".to_owned(),
        result: "exit-code".to_owned(),
        wanted_by: vec!["default".to_owned()],
        condition_result: true,
        ..UnitState::default()
    }
}

fn named(name: &str) -> UnitName {
    UnitName::new(name).unwrap()
}

fn order(order: Order, name: &str) -> UnitOrder {
    let unit = named(name);
    UnitOrder { order, unit }
}

fn is_refused<T>(result: &Result<T, ActionError>) -> bool {
    matches!(
        result,
        Err(ActionError::Refused(_) | ActionError::PreconditionGone(_))
    )
}

#[test]
fn what_can_be_taken_back_is_told_as_not_done_yet() {
    let file = |backup: Option<&str>| Undo::RestoreFile {
        path: "/a".to_owned(),
        backup: backup.map(str::to_owned),
        written: None,
    };
    let (unit, mount) = ("a.service".to_owned(), "/data".to_owned());
    for (undo, want) in [
        (file(None), "removes /a"),
        (file(Some("/b")), "puts /a back as it was"),
        (Undo::StartUnit { unit }, "starts a.service"),
        (Undo::RemountReadOnly { mount }, "makes /data read-only"),
        (
            Undo::PutBack {
                interface: "eth0".to_owned(),
                lines: "link set dev eth0 up\n".to_owned(),
            },
            "gives eth0 its addresses and routes back",
        ),
    ] {
        assert_eq!(undo.to_string(), want);
        assert_eq!(Undo::read(&undo.written()).unwrap(), undo);
    }
}

/// As versions before wrote them, whose writing was derived.
#[test]
fn a_stored_way_back_is_read_and_what_is_none_is_told() {
    for (text, want) in [
        (r#"{"undo":"none"}"#, "nothing to take back"),
        (
            r#"{"undo":"restore_file","path":"/a","backup":null}"#,
            "removes /a",
        ),
        (
            r#"{"undo":"restore_file","path":"/a","backup":"/b"}"#,
            "puts /a back as it was",
        ),
        (
            r#"{"undo":"start_unit","unit":"a.service"}"#,
            "starts a.service",
        ),
        (
            r#"{"undo":"remount_read_only","mount":"/data"}"#,
            "makes /data read-only",
        ),
    ] {
        assert_eq!(Undo::read(text).unwrap().to_string(), want);
    }
    for text in [
        "",
        "{}",
        "[]",
        r#"{"undo":"fly"}"#,
        r#"{"undo":"start_unit"}"#,
    ] {
        assert!(Undo::read(text).is_err(), "{text}");
    }
}

#[test]
fn a_unit_that_nobody_may_start_is_not_started() {
    let inactive = |change: fn(&mut UnitState)| {
        let mut unit = unit("a.service");
        unit.active_state = "inactive".to_owned();
        unit.result = "success".to_owned();
        unit.left = Left::ByItself;
        change(&mut unit);
        unit
    };
    let cases: Vec<(&str, UnitState)> = vec![
        ("masked", inactive(|u| u.load_state = "masked".to_owned())),
        (
            "masked until boot",
            inactive(|u| u.unit_file_state = "masked-runtime".to_owned()),
        ),
        ("gone", inactive(|u| u.load_state = "not-found".to_owned())),
        ("stopped by somebody", inactive(|u| u.left = stopped())),
        ("false condition", inactive(|u| u.condition_result = false)),
        (
            "finished oneshot",
            inactive(|u| u.service_type = "oneshot".to_owned()),
        ),
        (
            "on demand",
            inactive(|u| {
                u.triggered_by = vec!["a.socket".to_owned()];
                u.wanted_by.clear();
            }),
        ),
        (
            "disabled",
            inactive(|u| {
                u.unit_file_state = "disabled".to_owned();
                u.wanted_by.clear();
            }),
        ),
        (
            "running",
            inactive(|u| u.active_state = "active".to_owned()),
        ),
    ];
    for (why, state) in cases {
        let bench = Bench::new(Book::of(vec![state]));
        for action in [
            order(Order::Start, "a.service"),
            order(Order::ResetFailedStart, "a.service"),
        ] {
            assert!(
                bench.context(|context| {
                    action.precondition(context).is_err()
                        || !matches!(action.unwanted(context), Ok(None))
                }),
                "{why}: {action}"
            );
            let taken = bench.context(|context| take(context, &action));
            assert!(is_refused(&taken), "{why}: {action}");
        }
        assert!(bench.book.told().is_empty());
    }
}

#[test]
fn what_ends_the_host_or_many_units_is_never_ordered() {
    let names = [
        "reboot.target",
        "multi-user.target",
        "system.slice",
        "poweroff.service",
        "systemd-reboot.service",
        "systemd-journald.service",
        "dbus.service",
        "user@1000.service",
        "autonomous-orchestrator.service",
        "autonomous-orchestrator",
        "reboot",
        "halt",
        "killprocs",
    ];
    let bench = Bench::new(Book::of(names.iter().copied().map(unit).collect()));
    for name in &names {
        for action in [
            order(Order::Start, name),
            order(Order::Restart, name),
            order(Order::Stop, name),
            order(Order::ResetFailedStart, name),
        ] {
            let refused = bench.context(|context| action.precondition(context));
            assert!(matches!(refused, Err(ActionError::Refused(_))), "{action}");
        }
    }
    let ordinary = Bench::new(Book::of(vec![
        unit("meter"),
        unit("systemd-resolved.service"),
    ]));
    for name in ["meter", "systemd-resolved.service"] {
        let action = order(Order::ResetFailedStart, name);
        let may = ordinary.context(|context| action.precondition(context));
        assert!(may.is_ok(), "{may:?}");
    }
}

#[test]
fn a_stopped_unit_can_be_started_again_by_its_undo() {
    let mut running = unit("a.service");
    running.active_state = "active".to_owned();
    let bench = Bench::new(Book::of(vec![running]));
    let action = order(Order::Stop, "a.service");
    bench.context(|context| {
        action.precondition(context).unwrap();
        let undo_data = action.undo_record(context).unwrap();
        take(context, &action).unwrap();
        // As it is stored and read back.
        undo(context, &Undo::read(&undo_data.written()).unwrap()).unwrap();
    });
    assert_eq!(bench.book.told(), ["Stop a.service", "Start a.service"]);
}

const UNIT_FILE: &str = "[Service]\nExecStart=/opt/old/run --port 1\nWorkingDirectory=/opt/old\n";

/// A failed unit whose program moved from /opt/old to /opt/new.
fn moved(reload_works: bool) -> (Bench, PathDropIn) {
    let mut before = unit("a.service");
    before.fragment_path = "/etc/systemd/system/a.service".to_owned();
    before.exec_start = vec!["/opt/old/run".to_owned()];
    let mut after = before.clone();
    after.exec_start = vec!["/opt/new/run".to_owned()];
    let bench = Bench::new(Book {
        after_reload: reload_works.then_some(after),
        ..Book::of(vec![before])
    });
    bench.put("etc/systemd/system/a.service", UNIT_FILE);
    bench.put("opt/new/run", "#!/bin/sh\n");
    let action = PathDropIn {
        unit: named("a.service"),
        setting: "ExecStart".to_owned(),
        old: "/opt/old/run".to_owned(),
        new: "/opt/new/run".to_owned(),
    };
    (bench, action)
}

fn executable(bench: &Bench) {
    use std::os::unix::fs::PermissionsExt;
    let program = bench.dir.path().join("opt/new/run");
    fs::set_permissions(program, fs::Permissions::from_mode(0o755)).unwrap();
}

fn drop_ins(root: &Path) -> Vec<String> {
    fs::read_dir(root.join("etc/systemd/system/a.service.d")).map_or_else(
        |_| Vec::new(),
        |entries| {
            entries
                .flatten()
                .map(|entry| fs::read_to_string(entry.path()).unwrap())
                .collect()
        },
    )
}

#[test]
fn a_moved_program_gets_a_drop_in_that_undo_removes() {
    let (bench, action) = moved(true);
    assert!(
        is_refused(&bench.context(|context| action.precondition(context))),
        "what is there now is no program"
    );
    executable(&bench);
    let undo_data = bench.context(|context| {
        action.precondition(context).unwrap();
        let record = action.undo_record(context).unwrap();
        assert!(
            drop_ins(bench.dir.path()).is_empty(),
            "a record changes nothing"
        );
        take(context, &action).unwrap();
        record
    });
    let written = drop_ins(bench.dir.path());
    assert!(
        matches!(written.as_slice(), [text]
            if text.ends_with("[Service]\nExecStart=\nExecStart=/opt/new/run --port 1\n")),
        "{written:?}"
    );
    assert_eq!(bench.book.told(), ["reload", "ResetFailedStart a.service"]);
    let file = fs::read_to_string(bench.dir.path().join("etc/systemd/system/a.service"));
    assert_eq!(file.unwrap(), UNIT_FILE, "the unit itself is never edited");
    for _ in 0..2 {
        bench.context(|context| undo(context, &undo_data)).unwrap();
        assert!(drop_ins(bench.dir.path()).is_empty());
    }
    assert!(
        !bench
            .dir
            .path()
            .join("etc/systemd/system/a.service.d")
            .exists()
    );
}

#[test]
fn a_drop_in_without_effect_is_a_failure_and_starts_nothing() {
    let (bench, action) = moved(false);
    executable(&bench);
    let done = bench.context(|context| take(context, &action));
    assert!(matches!(done, Err(ActionError::Failed(_))), "{done:?}");
    assert_eq!(bench.book.told(), ["reload"]);
}

#[test]
fn an_earlier_drop_in_of_ours_comes_back() {
    let (bench, action) = moved(true);
    executable(&bench);
    let path = "etc/systemd/system/a.service.d/50-autonomous-orchestrator-execstart.conf";
    bench.put(path, "# earlier\n");
    bench.context(|context| {
        let record = action.undo_record(context).unwrap();
        take(context, &action).unwrap();
        assert_ne!(drop_ins(bench.dir.path()), ["# earlier\n"]);
        undo(context, &record).unwrap();
    });
    assert_eq!(drop_ins(bench.dir.path()), ["# earlier\n"]);
}

#[test]
fn what_somebody_wrote_into_a_drop_in_of_ours_is_kept_when_it_is_taken_back() {
    let path = "etc/systemd/system/a.service.d/50-autonomous-orchestrator-execstart.conf";
    for earlier in [None, Some("# earlier\n")] {
        let (bench, action) = moved(true);
        executable(&bench);
        if let Some(text) = earlier {
            bench.put(path, text);
        }
        let record = bench.context(|context| {
            let record = action.undo_record(context).unwrap();
            take(context, &action).unwrap();
            record
        });
        let ours = fs::read_to_string(bench.dir.path().join(path)).unwrap();
        let take_back = |record: &Undo| {
            let said = bench.context(|context| undo(context, record)).unwrap();
            assert_eq!(drop_ins(bench.dir.path()), Vec::from_iter(earlier));
            said.split_once("a copy is kept at ")
                .map(|(_, copy)| fs::read_to_string(copy).unwrap())
        };
        assert_eq!(take_back(&record), None, "it was as we wrote it");
        assert_eq!(take_back(&record), None, "it was taken back already");
        let edited = format!("{ours}Environment=MINE=1\n");
        bench.put(path, &edited);
        assert_eq!(take_back(&record), Some(edited));
        // As a version before stored it: what was written is not known.
        let Undo::RestoreFile {
            path: at, backup, ..
        } = &record
        else {
            panic!("{record:?}");
        };
        let stored = match backup {
            Some(backup) => {
                format!("{{\"undo\":\"restore_file\",\"path\":\"{at}\",\"backup\":\"{backup}\"}}")
            }
            None => format!("{{\"undo\":\"restore_file\",\"path\":\"{at}\",\"backup\":null}}"),
        };
        let old: Undo = Undo::read(&stored).unwrap();
        bench.put(path, &ours);
        assert_eq!(take_back(&old), Some(ours));
    }
}

#[test]
fn a_target_that_others_could_have_written_is_refused_by_name_and_mode() {
    use std::os::unix::fs::PermissionsExt;
    let (bench, action) = moved(true);
    executable(&bench);
    let opt = bench.dir.path().join("opt");
    for mode in [0o777, 0o1777] {
        fs::set_permissions(&opt, fs::Permissions::from_mode(mode)).unwrap();
        let done = bench.context(|context| take(context, &action));
        assert!(
            matches!(&done, Err(why @ ActionError::Refused(_))
                if why.to_string().contains("/opt can be written by others") && why.to_string().contains("mode")),
            "{done:?}"
        );
        assert!(drop_ins(bench.dir.path()).is_empty() && bench.book.told().is_empty());
    }
}

#[test]
fn a_program_in_a_place_of_users_is_never_a_root_units() {
    let (bench, mut action) = moved(true);
    bench.put("home/eve/run", "#!/bin/sh\n");
    let program = bench.dir.path().join("home/eve/run");
    use std::os::unix::fs::PermissionsExt;
    fs::set_permissions(program, fs::Permissions::from_mode(0o755)).unwrap();
    action.new = "/home/eve/run".to_owned();
    let done = bench.context(|context| take(context, &action));
    assert!(matches!(done, Err(ActionError::Refused(_))), "{done:?}");
}

#[test]
fn undo_reads_no_backup_and_writes_no_folder_that_others_could_write() {
    use std::os::unix::fs::PermissionsExt;
    let (bench, action) = moved(true);
    executable(&bench);
    let path = "etc/systemd/system/a.service.d/50-autonomous-orchestrator-execstart.conf";
    bench.put(path, "# earlier\n");
    let record = bench.context(|context| {
        let record = action.undo_record(context).unwrap();
        take(context, &action).unwrap();
        record
    });
    let written = drop_ins(bench.dir.path());
    for folder in ["backup", "etc/systemd/system/a.service.d"] {
        let at = bench.dir.path().join(folder);
        fs::set_permissions(&at, fs::Permissions::from_mode(0o777)).unwrap();
        let done = bench.context(|context| undo(context, &record));
        assert!(
            matches!(done, Err(ActionError::Refused(_))),
            "{folder}: {done:?}"
        );
        assert_eq!(drop_ins(bench.dir.path()), written);
        fs::set_permissions(&at, fs::Permissions::from_mode(0o755)).unwrap();
    }
    bench.context(|context| undo(context, &record)).unwrap();
    assert_eq!(drop_ins(bench.dir.path()), ["# earlier\n"]);
}

#[test]
fn a_path_that_came_back_is_left_alone() {
    let (bench, action) = moved(true);
    executable(&bench);
    bench.put("opt/old/run", "#!/bin/sh\n");
    assert!(is_refused(
        &bench.context(|context| action.precondition(context))
    ));
}

#[test]
fn undo_touches_no_file_but_ours() {
    let bench = Bench::new(Book::default());
    bench.put("etc/systemd/system/a.service", UNIT_FILE);
    bench.put("etc/systemd/system/a.service.d/override.conf", "x");
    for path in [
        "/etc/systemd/system/a.service",
        "/etc/systemd/system/a.service.d/override.conf",
        "/etc/systemd/system/a.service.d/../-autonomous-orchestrator-x.conf",
        "/etc/systemd/systemx/a.service.d/50-autonomous-orchestrator-x.conf",
        "/etc/passwd",
        "",
    ] {
        let record = Undo::RestoreFile {
            path: path.to_owned(),
            backup: None,
            written: None,
        };
        let done = bench.context(|context| undo(context, &record));
        assert!(matches!(done, Err(ActionError::Refused(_))), "{path}");
    }
    assert_eq!(drop_ins(bench.dir.path()), ["x"]);
}
