//! `install` below a prefix: what it writes per init, twice, and what `uninstall` leaves.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use crate::cli_tool::{Ran, files, run};

const NAME: &str = "autonomous-orchestrator";

fn at(prefix: &Path, args: &[&str]) -> Ran {
    let mut all = args.to_vec();
    all.extend(["--prefix", prefix.to_str().expect("UTF-8")]);
    run(&all)
}

fn mode(path: &Path) -> u32 {
    std::fs::metadata(path).expect("there").permissions().mode() & 0o7777
}

/// A prefix that looks like a host with this init.
fn host(init: &str) -> tempfile::TempDir {
    let prefix = tempfile::tempdir().expect("a temporary directory");
    let dirs: &[&str] = match init {
        "systemd" => &["run/systemd/system", "etc/init.d"],
        "openrc" => &["run/openrc", "etc/init.d"],
        _ => &[
            "etc/init.d",
            "etc/rc0.d",
            "etc/rc2.d",
            "etc/rc3.d",
            "etc/rc6.d",
        ],
    };
    for dir in dirs {
        std::fs::create_dir_all(prefix.path().join(dir)).expect("made");
    }
    prefix
}

#[test]
fn each_init_gets_its_files_once() {
    for (init, wanted) in [
        (
            "systemd",
            &[
                "etc/systemd/system/autonomous-orchestrator.service",
                "etc/tmpfiles.d/autonomous-orchestrator.conf",
            ][..],
        ),
        (
            "openrc",
            &[
                "etc/init.d/autonomous-orchestrator",
                "etc/logrotate.d/autonomous-orchestrator",
            ],
        ),
        (
            "sysv",
            &[
                "etc/init.d/autonomous-orchestrator",
                "etc/rc2.d/S99autonomous-orchestrator",
                "etc/rc3.d/S99autonomous-orchestrator",
                "etc/rc0.d/K01autonomous-orchestrator",
                "etc/rc6.d/K01autonomous-orchestrator",
            ],
        ),
    ] {
        let prefix = host(init);
        let first = at(prefix.path(), &["install"]);
        assert_eq!(first.code, 0, "{init}: {}", first.err);
        assert!(
            first.out.contains(&format!("init: {init}")),
            "{}",
            first.out
        );
        let there = files(prefix.path());
        for file in wanted {
            assert!(
                there.iter().any(|one| one == file),
                "{init}: {file} in {there:?}"
            );
        }
        assert_eq!(mode(&prefix.path().join("usr/local/bin").join(NAME)), 0o755);
        assert_eq!(mode(&prefix.path().join("var/lib").join(NAME)), 0o700);

        let config = prefix.path().join("etc").join(NAME).join("config.toml");
        std::fs::write(&config, "# mine\n").expect("written");
        let second = at(prefix.path(), &["install"]);
        assert_eq!(second.code, 0, "{init}: {}", second.err);
        assert!(!second.out.contains("write "), "{init}: {}", second.out);
        assert_eq!(std::fs::read_to_string(&config).expect("kept"), "# mine\n");
        assert_eq!(files(prefix.path()), there, "{init}");

        let state = prefix.path().join("var/lib").join(NAME).join("tasks.db");
        std::fs::write(&state, "x").expect("written");
        assert_eq!(at(prefix.path(), &["uninstall"]).code, 0, "{init}");
        let left = files(prefix.path());
        assert_eq!(
            left,
            [
                format!("etc/{NAME}/config.toml"),
                format!("var/lib/{NAME}/tasks.db")
            ],
            "{init}"
        );
        assert_eq!(
            at(prefix.path(), &["uninstall", "--purge"]).code,
            0,
            "{init}"
        );
        assert!(files(prefix.path()).is_empty(), "{init}");
    }
}

#[test]
fn the_example_configuration_is_accepted() {
    let prefix = host("systemd");
    assert_eq!(at(prefix.path(), &["install"]).code, 0);
    let config = prefix.path().join("etc").join(NAME).join("config.toml");
    let ran = run(&[
        "--config",
        config.to_str().expect("UTF-8"),
        "config",
        "check",
    ]);
    assert_eq!(ran.code, 0, "{}", ran.err);
}

#[test]
fn a_dry_run_writes_nothing() {
    let prefix = host("systemd");
    let ran = at(prefix.path(), &["install", "--dry-run"]);
    assert_eq!(ran.code, 0, "{}", ran.err);
    assert!(ran.out.contains("would: write"), "{}", ran.out);
    assert!(files(prefix.path()).is_empty());
}

#[test]
fn a_masked_unit_stays_masked() {
    let prefix = host("systemd");
    let unit = prefix
        .path()
        .join("etc/systemd/system/autonomous-orchestrator.service");
    std::fs::create_dir_all(unit.parent().expect("a parent")).expect("made");
    std::os::unix::fs::symlink("/dev/null", &unit).expect("linked");
    let ran = at(prefix.path(), &["install"]);
    assert_eq!(ran.code, 1);
    assert!(ran.err.contains("unmask"), "{}", ran.err);
    assert!(std::fs::read_link(&unit).is_ok());
}

#[test]
fn a_host_without_an_init_is_told_what_to_do() {
    let prefix = tempfile::tempdir().expect("a temporary directory");
    let ran = at(prefix.path(), &["install"]);
    assert_eq!(ran.code, 1);
    assert!(ran.err.contains("--init"), "{}", ran.err);
    let ran = at(prefix.path(), &["install", "--init", "upstart"]);
    assert_eq!(ran.code, 2);
}

#[test]
fn a_configuration_that_does_not_load_stops_an_install_before_anything_is_touched() {
    let prefix = host("systemd");
    let bad = prefix.path().join("bad.toml");
    std::fs::write(&bad, "[detect]\ndisk_hihg_percent = 91\n").expect("written");
    let bad = bad.to_str().expect("UTF-8");
    for start in [&["--start"][..], &[]] {
        let mut args = vec!["install", "--dry-run", "--init", "systemd", "-c", bad];
        args.extend(start);
        let ran = run(&args);
        assert_eq!(ran.code, 3, "{args:?}: {}", ran.out);
        assert!(ran.err.contains("disk_hihg_percent"), "{}", ran.err);
        assert!(!ran.out.contains(NAME), "no step is said: {}", ran.out);
    }
    let staged = at(prefix.path(), &["install", "-c", bad]);
    assert_eq!(staged.code, 0, "nothing starts there: {}", staged.err);
}
