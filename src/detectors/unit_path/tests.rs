#![allow(clippy::unwrap_used, clippy::indexing_slicing)]
use std::fs;

use super::*;
use crate::core::model::facts::Key;
use crate::core::model::healthy::HealthyUnit;
use crate::core::model::unit::{Left, Purpose};
use crate::host::clock::Clock;

fn write(root: &Path, path: &str, text: &str, mode: u32) {
    let path = root.join(path);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(&path, text).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
}

/// One look at `app.service` with this text, with what was known of it and remembered.
fn look(
    root: &Path,
    unit_text: &str,
    healthy: &HealthyUnits,
    memory: &Mutex<Memory>,
    now: Timestamp,
) -> Vec<Finding> {
    write(root, "etc/systemd/system/app.service", unit_text, 0o644);
    write(root, "etc/passwd", "root:x:0:0::/root:/bin/sh\n", 0o644);
    let host = Host::at(root, Clock::manual(now));
    let unit = UnitState {
        name: "app.service".to_owned(),
        fragment_path: "/etc/systemd/system/app.service".to_owned(),
        unit_file_state: "enabled".to_owned(),
        ..UnitState::default()
    };
    assert!(concerns(&unit));
    let mut found = Vec::new();
    View::new(&host, healthy, memory).unit(&unit, now, &mut found);
    found
}

fn examine(root: &Path, unit_text: &str) -> Vec<Finding> {
    let (unknown, memory) = (HealthyUnits::default(), Mutex::default());
    look(
        root,
        unit_text,
        &unknown,
        &memory,
        Timestamp::from_millis(0),
    )
}

/// What stands at `path` now, as the record of `app.service`.
fn well(root: &Path, path: &str) -> HealthyUnits {
    let host = Host::at(root, Clock::manual(Timestamp::default()));
    let record = HealthyUnit {
        files: vec![known_files::known(&host, path, path, None).unwrap()],
        ..HealthyUnit::default()
    };
    [("app.service".to_owned(), record)].into_iter().collect()
}

const UNIT: &str = "[Service]\nExecStart=/opt/app/v1/bin/run --x\n";
const LOST: &str = "opt/app/v1/bin/run";

/// The new place and how it is known, and the namesake.
fn told(found: &[Finding]) -> (Option<&str>, Option<&str>, Option<&str>) {
    let fact = |key| found[0].fact(key);
    (fact(Key::MovedTo), fact(Key::MovedHow), fact(Key::Namesake))
}

#[test]
fn the_very_file_is_found_under_any_name_near_its_old_place() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path();
    write(root, LOST, "x", 0o755);
    let known = well(root, "/opt/app/v1/bin/run");
    write(root, "opt/app/backup/run", "x", 0o755);
    fs::create_dir_all(root.join("opt/app/v2")).unwrap();
    fs::rename(root.join(LOST), root.join("opt/app/v2/run-2")).unwrap();
    let found = look(root, UNIT, &known, &Mutex::default(), Timestamp::default());
    assert_eq!(
        told(&found),
        (Some("/opt/app/v2/run-2"), Some("same file"), None)
    );
    assert_eq!(
        found[0].message,
        "ExecStart does not exist: /opt/app/v1/bin/run"
    );
    assert_eq!(found[0].fact(Key::Setting), Some("ExecStart"));
}

#[test]
fn what_is_not_loaded_yet_is_not_what_a_start_runs() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path();
    write(root, LOST, "x", 0o755);
    let edited = UNIT.replace("v1", "not-there-yet");
    write(root, "etc/systemd/system/app.service", &edited, 0o644);
    let host = Host::at(root, Clock::manual(Timestamp::default()));
    let found = |need_daemon_reload| {
        let unit = UnitState {
            name: "app.service".to_owned(),
            fragment_path: "/etc/systemd/system/app.service".to_owned(),
            exec_start: vec![format!("/{LOST}")],
            need_daemon_reload,
            ..UnitState::default()
        };
        let (unknown, memory) = (HealthyUnits::default(), Mutex::default());
        let mut found = Vec::new();
        View::new(&host, &unknown, &memory).unit(&unit, Timestamp::default(), &mut found);
        found.len()
    };
    assert_eq!((found(true), found(false)), (0, 1));
}

#[test]
fn what_was_put_aside_is_named_and_no_more() {
    for aside in ["opt/app/backup-2.4.1/run", "opt/app/v1/bin/run.old"] {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path();
        write(root, LOST, "x", 0o755);
        let known = well(root, "/opt/app/v1/bin/run");
        fs::create_dir_all(root.join(aside).parent().unwrap()).unwrap();
        fs::rename(root.join(LOST), root.join(aside)).unwrap();
        let found = look(root, UNIT, &known, &Mutex::default(), Timestamp::default());
        let place = format!("/{aside}");
        assert_eq!(told(&found), (None, None, Some(place.as_str())));
    }
}

#[test]
fn what_somebody_stopped_is_not_looked_at_while_it_is_down() {
    let unit = |active: &str, left| UnitState {
        name: "app.service".to_owned(),
        fragment_path: "/etc/systemd/system/app.service".to_owned(),
        unit_file_state: "enabled".to_owned(),
        active_state: active.to_owned(),
        left,
        ..UnitState::default()
    };
    let stopped = || Left::OnPurpose(Purpose::Stopped);
    for (active, left, is) in [
        ("inactive", stopped(), false),
        ("failed", stopped(), false),
        ("active", stopped(), true),
        ("failed", Left::ByItself, true),
        ("inactive", Left::TakenAlong("db.service".to_owned()), true),
        ("inactive", Left::Unknown, true),
    ] {
        let what = format!("{active} {left:?}");
        assert_eq!(concerns(&unit(active, left)), is, "{what}");
    }
}

#[test]
fn a_namesake_a_backup_and_a_second_name_are_named_and_no_more() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path();
    write(root, "opt/app/v2/bin/run", "x", 0o755);
    write(root, "opt/app/doc/run", "x", 0o644);
    let namesake = (None, None, Some("/opt/app/v2/bin/run"));
    assert_eq!(
        told(&examine(root, UNIT)),
        namesake,
        "nothing is known of it"
    );
    // Content and all are the same, but it was there before the other was lost.
    write(root, LOST, "x", 0o755);
    let known = well(root, "/opt/app/v1/bin/run");
    let memory = Mutex::default();
    let later = Timestamp::from_millis(i64::MAX / 4);
    assert_eq!(look(root, UNIT, &known, &memory, later), [], "all is there");
    fs::remove_file(root.join(LOST)).unwrap();
    assert_eq!(
        told(&look(root, UNIT, &known, &memory, later)),
        namesake,
        "a backup"
    );
    // A second name of the same file.
    fs::remove_file(root.join("opt/app/v2/bin/run")).unwrap();
    write(root, LOST, "x", 0o755);
    fs::hard_link(root.join(LOST), root.join("opt/app/v2/bin/run")).unwrap();
    let known = well(root, "/opt/app/v1/bin/run");
    let memory = Mutex::default();
    let early = Timestamp::from_millis(1);
    assert_eq!(look(root, UNIT, &known, &memory, early), []);
    fs::remove_file(root.join(LOST)).unwrap();
    let found = look(root, UNIT, &known, &memory, early);
    assert_eq!(told(&found), namesake, "a second name");
}

#[test]
fn what_was_copied_since_it_was_last_seen_is_its_new_place() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path();
    write(root, LOST, "x", 0o755);
    let known = well(root, "/opt/app/v1/bin/run");
    let (memory, before) = (Mutex::default(), Timestamp::from_millis(1));
    assert_eq!(look(root, UNIT, &known, &memory, before), []);
    write(root, "opt/app/v2/bin/run", "x", 0o755);
    fs::remove_file(root.join(LOST)).unwrap();
    let found = look(root, UNIT, &known, &memory, before);
    assert_eq!(
        told(&found),
        (Some("/opt/app/v2/bin/run"), Some("same content"), None)
    );
    // Two of them: which one is a guess. And one with another content is none.
    write(root, "opt/app/v3/bin/run", "x", 0o755);
    let twice = Mutex::new(Memory {
        present: [("/opt/app/v1/bin/run".to_owned(), before)].into(),
        ..Memory::default()
    });
    assert_eq!(
        told(&look(root, UNIT, &known, &twice, before)),
        (None, None, None)
    );
    fs::remove_file(root.join("opt/app/v3/bin/run")).unwrap();
    write(root, "opt/app/v2/bin/run", "y", 0o755);
    let other = Mutex::new(Memory {
        present: [("/opt/app/v1/bin/run".to_owned(), before)].into(),
        ..Memory::default()
    });
    let found = look(root, UNIT, &known, &other, before);
    assert_eq!(told(&found), (None, None, Some("/opt/app/v2/bin/run")));
    // After a restart nobody knows when it was last there.
    write(root, "opt/app/v2/bin/run", "x", 0o755);
    let found = look(root, UNIT, &known, &Mutex::default(), before);
    assert_eq!(told(&found), (None, None, Some("/opt/app/v2/bin/run")));
}

#[test]
fn the_package_that_ships_the_unit_says_where_its_program_went() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path();
    let list = "/etc/systemd/system/app.service\n/opt/app/v2/run\n";
    write(root, "var/lib/dpkg/info/app.list", list, 0o644);
    write(root, "opt/app/v2/run", "new", 0o755);
    let found = examine(root, UNIT);
    assert_eq!(
        told(&found),
        (Some("/opt/app/v2/run"), Some("record: package app"), None)
    );
    fs::set_permissions(
        root.join("opt/app/v2/run"),
        fs::Permissions::from_mode(0o777),
    )
    .unwrap();
    assert_eq!(
        told(&examine(root, UNIT)),
        (None, None, None),
        "everybody can write it"
    );
}

#[test]
fn a_moved_folder_keeps_its_number_and_its_name() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path();
    fs::create_dir_all(root.join("srv/app/v1/data")).unwrap();
    let known = well(root, "/srv/app/v1/data");
    let unit = "[Service]\nWorkingDirectory=/srv/app/v1/data\n";
    fs::rename(root.join("srv/app/v1"), root.join("srv/app/v2")).unwrap();
    let found = look(root, unit, &known, &Mutex::default(), Timestamp::default());
    assert_eq!(
        told(&found),
        (Some("/srv/app/v2/data"), Some("same file"), None)
    );
    fs::rename(root.join("srv/app/v2/data"), root.join("srv/app/v2/other")).unwrap();
    let found = look(root, unit, &known, &Mutex::default(), Timestamp::default());
    assert_eq!(
        told(&found),
        (None, None, None),
        "its number may be another folder's by now"
    );
}

#[test]
fn places_of_users_are_not_searched_for_a_program() {
    let dir = tempfile::tempdir().unwrap();
    for place in ["home/eve/bin", "srv/eve", "tmp", "var/tmp"] {
        write(dir.path(), &format!("{place}/meterd"), "x", 0o755);
    }
    let moved = |lines: &str| {
        let found = examine(dir.path(), &format!("[Service]\n{lines}\n"));
        found[0].fact(Key::Namesake).map(str::to_owned)
    };
    assert_eq!(moved("ExecStart=/usr/local/bin/meterd"), None);
    // Its own old folder was one that all users share.
    assert_eq!(moved("ExecStart=/home/gone/bin/meterd"), None);
    write(dir.path(), "opt/build/meterd", "x", 0o755);
    assert_eq!(
        moved("ExecStart=/usr/local/bin/meterd").as_deref(),
        Some("/opt/build/meterd")
    );
    // Data lies in /srv.
    write(dir.path(), "srv/plant/recipes/a", "x", 0o644);
    let data = moved("WorkingDirectory=/var/lib/plant/recipes");
    assert_eq!(data.as_deref(), Some("/srv/plant/recipes"));
    // What everybody can write stands for nothing.
    let open = fs::Permissions::from_mode(0o777);
    fs::set_permissions(dir.path().join("srv/plant"), open).unwrap();
    assert_eq!(moved("WorkingDirectory=/var/lib/plant/recipes"), None);
}

#[test]
fn users_directories_and_modes_are_checked() {
    let dir = tempfile::tempdir().unwrap();
    write(dir.path(), "usr/bin/tool", "x", 0o644);
    let found = examine(
        dir.path(),
        "[Service]\nExecStart=/usr/bin/tool\nUser=gone\nWorkingDirectory=/srv/gone\nEnvironmentFile=-/etc/gone\n",
    );
    let said: Vec<_> = found.iter().map(|f| f.message.as_str()).collect();
    assert_eq!(
        said,
        [
            "ExecStart is not executable: /usr/bin/tool",
            "WorkingDirectory does not exist: /srv/gone",
            "User does not exist: gone",
        ]
    );
    let cannot_run = |one: &Finding| one.fact(Key::NotExecutable).is_some();
    assert_eq!(
        found.iter().map(cannot_run).collect::<Vec<_>>(),
        [true, false, false]
    );
}

#[test]
fn a_false_condition_is_no_fault() {
    let dir = tempfile::tempdir().unwrap();
    let text = "[Unit]\nConditionPathExists=/usr/bin/tool\n[Service]\nExecStart=/usr/bin/tool\n";
    assert_eq!(examine(dir.path(), text), []);
}
