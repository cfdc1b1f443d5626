#![allow(clippy::unwrap_used, clippy::panic)]
use std::fs;
use std::os::unix::fs::{PermissionsExt, chown, symlink};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};

use nix::unistd::{geteuid, mkfifo};

use super::*;
use crate::core::model::time::Timestamp;
use crate::host::clock::Clock;

/// Nobody here.
const EVE: u32 = 65_533;

struct Bench {
    dir: tempfile::TempDir,
    host: Host,
}

impl Bench {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let host = Host::at(dir.path(), Clock::manual(Timestamp::default()));
        Self { dir, host }
    }

    fn at(&self, path: &str) -> PathBuf {
        self.dir.path().join(path)
    }

    fn put(&self, path: &str, text: &str, mode: u32) {
        let at = self.at(path);
        self.folder(Path::new(path).parent().unwrap().to_str().unwrap(), 0o755);
        fs::write(&at, text).unwrap();
        fs::set_permissions(&at, fs::Permissions::from_mode(mode)).unwrap();
    }

    /// Each folder on the way is for its owner alone to write, the last one has this mode.
    fn folder(&self, path: &str, mode: u32) {
        let mut at = self.dir.path().to_owned();
        for part in path.split('/') {
            at.push(part);
            if !at.exists() {
                fs::create_dir(&at).unwrap();
                fs::set_permissions(&at, fs::Permissions::from_mode(0o755)).unwrap();
            }
        }
        fs::set_permissions(&at, fs::Permissions::from_mode(mode)).unwrap();
    }

    fn read(&self, path: &str) -> Result<String, Untrusted> {
        self.read_of(path, &Owners::of(&self.host))
    }

    fn read_of(&self, path: &str, owners: &Owners) -> Result<String, Untrusted> {
        let proven = open(&self.host, path, owners)?;
        Ok(String::from_utf8(proven.bytes(100).unwrap()).unwrap())
    }

    fn why(&self, path: &str) -> String {
        self.read(path).unwrap_err().to_string()
    }
}

fn is_root() -> bool {
    geteuid().is_root()
}

#[test]
fn a_file_that_only_its_owner_can_touch_is_opened() {
    let bench = Bench::new();
    bench.put("etc/app/run", "x", 0o755);
    let owners = Owners::of(&bench.host);
    let proven = open(&bench.host, "/etc/./app//run", &owners).unwrap();
    assert_eq!(proven.path(), "/etc/app/run");
    assert!(proven.is_executable());
    assert_eq!(bench.read("/etc/app/../app/run").unwrap(), "x");
    assert!(bench.read("/etc/gone").unwrap_err().is_absent());
    assert!(bench.read("/etc/app/run/below").unwrap_err().is_absent());
    assert!(bench.why("etc/app/run").contains("is not absolute"));
    assert!(folder(&bench.host, "/etc/app", &owners).is_ok());
    assert!(folder(&bench.host, "/etc/app/run", &owners).is_err());
}

#[test]
fn what_others_can_write_is_named_with_its_mode() {
    let bench = Bench::new();
    for (place, mode) in [("open", 0o777), ("sticky", 0o1777)] {
        bench.put(&format!("{place}/in/run"), "x", 0o755);
        bench.folder(place, mode);
        let why = bench.why(&format!("/{place}/in/run"));
        let named = format!("/{place} can be written by others");
        assert!(
            why.contains(&named) && why.contains(&format!("{mode:04o}")),
            "{why}"
        );
    }
    bench.put("opt/run", "x", 0o757);
    assert!(
        bench
            .why("/opt/run")
            .starts_with("/opt/run can be written by others")
    );
    let told = bench.read("/opt/run").unwrap_err();
    assert!(
        told.hint().contains("chmod go-w /opt/run"),
        "{}",
        told.hint()
    );
}

#[test]
fn settings_may_be_tried_in_a_folder_of_ones_own_in_a_sticky_one() {
    let bench = Bench::new();
    bench.put("tmp/own/config.toml", "x", 0o644);
    bench.put("tmp/config.toml", "x", 0o644);
    bench.put("open/own/config.toml", "x", 0o644);
    bench.folder("tmp", 0o1777);
    bench.folder("open", 0o777);
    let read = |path: &str| settings(&bench.host, Path::new(path));
    assert_eq!(read("/tmp/own/config.toml").unwrap(), "x");
    for path in ["/tmp/config.toml", "/open/own/config.toml"] {
        let why = read(path).unwrap_err().to_string();
        assert!(why.contains("can be written by others"), "{path}: {why}");
    }
    symlink("own", bench.at("tmp/link")).unwrap();
    assert!(read("/tmp/link/config.toml").is_err());
    let gone = read("/tmp/own/gone.toml").unwrap_err();
    assert_eq!(gone.kind(), io::ErrorKind::NotFound);
    if is_root() {
        chown(bench.at("tmp/own"), Some(EVE), None).unwrap();
        assert!(read("/tmp/own/config.toml").is_err());
    }
}

#[test]
fn a_group_may_write_only_where_it_is_the_owners() {
    if !is_root() {
        println!("skipped: needs root to give files away");
        return;
    }
    let bench = Bench::new();
    bench.put("opt/run", "x", 0o775);
    assert!(bench.read("/opt/run").is_ok());
    chown(bench.at("opt/run"), None, Some(EVE)).unwrap();
    assert!(bench.why("/opt/run").contains("group 65533, mode 0775"));
}

#[test]
fn an_access_list_is_not_taken_for_the_group_of_root() {
    let bench = Bench::new();
    bench.put("opt/run", "x", 0o755);
    let told = std::process::Command::new("setfacl")
        .args(["-m", "u:65533:rw"])
        .arg(bench.at("opt/run"))
        .status();
    if !told.is_ok_and(|status| status.success()) {
        println!("skipped: no access lists here");
        return;
    }
    assert!(bench.why("/opt/run").contains("can be written by others"));
}

#[test]
fn a_strangers_file_or_folder_is_refused_and_a_units_own_user_is_not() {
    if !is_root() {
        println!("skipped: needs root to give files away");
        return;
    }
    let bench = Bench::new();
    bench.put("home/eve/bin/run", "x", 0o755);
    chown(bench.at("home/eve"), Some(EVE), Some(EVE)).unwrap();
    let why = bench.why("/home/eve/bin/run");
    assert!(
        why.contains("/home/eve belongs to user 65533 (mode 0755)"),
        "{why}"
    );
    let own = Owners::of(&bench.host).or(EVE);
    assert_eq!(bench.read_of("/home/eve/bin/run", &own).unwrap(), "x");
    // Root's file in root's folder, but below a stranger's.
    let other = Owners::of(&bench.host).or(EVE - 1);
    assert!(bench.read_of("/home/eve/bin/run", &other).is_err());
    chown(bench.at("home/eve"), Some(0), Some(0)).unwrap();
    chown(bench.at("home/eve/bin/run"), Some(EVE), None).unwrap();
    assert!(
        bench
            .why("/home/eve/bin/run")
            .contains("run belongs to user 65533")
    );
}

#[test]
fn links_of_the_system_are_followed_and_those_of_others_are_not() {
    let bench = Bench::new();
    bench.put("usr/lib/run", "x", 0o755);
    symlink("usr/lib", bench.at("lib")).unwrap();
    symlink("/lib/run", bench.at("usr/program")).unwrap();
    assert_eq!(bench.read("/lib/run").unwrap(), "x");
    let owners = Owners::of(&bench.host);
    assert_eq!(
        open(&bench.host, "/usr/program", &owners).unwrap().path(),
        "/usr/lib/run"
    );
    // Out of the tree: its top is the end.
    symlink("../../../../../../usr/lib/run", bench.at("usr/up")).unwrap();
    assert_eq!(bench.read("/usr/up").unwrap(), "x");
    symlink("/usr/b", bench.at("usr/a")).unwrap();
    symlink("/usr/a", bench.at("usr/b")).unwrap();
    assert!(bench.why("/usr/a").contains("too many"));
    // A link whose target lies where others write is no better than the target.
    bench.put("open/run", "x", 0o755);
    bench.folder("open", 0o777);
    symlink("/open/run", bench.at("usr/out")).unwrap();
    assert!(
        bench
            .why("/usr/out")
            .contains("/open can be written by others")
    );
    symlink("/usr/lib/run", bench.at("open/in")).unwrap();
    let anybody = Owners::anybody(&bench.host);
    let why = bench.read_of("/open/in", &anybody).unwrap_err();
    assert!(matches!(why.why, Distrust::Link { .. }), "{why}");
    assert_eq!(bench.read_of("/open/run", &anybody).unwrap(), "x");
}

#[test]
fn a_second_name_for_somebody_elses_file_is_refused() {
    if !is_root() {
        println!("skipped: needs root to give files away");
        return;
    }
    let bench = Bench::new();
    bench.put("etc/secret", "x", 0o600);
    bench.folder("var/log/svc", 0o755);
    chown(bench.at("var/log/svc"), Some(EVE), Some(EVE)).unwrap();
    fs::hard_link(bench.at("etc/secret"), bench.at("var/log/svc/app.log")).unwrap();
    let why = bench.read_of("/var/log/svc/app.log", &Owners::anybody(&bench.host));
    assert!(matches!(
        why.unwrap_err().why,
        Distrust::SecondName { user: 0 }
    ));
}

#[test]
fn only_regular_files_are_opened_and_nothing_waits() {
    let bench = Bench::new();
    bench.folder("run", 0o755);
    mkfifo(&bench.at("run/pipe"), Mode::from_bits_truncate(0o644)).unwrap();
    let _socket = std::os::unix::net::UnixListener::bind(bench.at("run/socket")).unwrap();
    for (name, kind) in [
        ("pipe", "a FIFO"),
        ("socket", "a socket"),
        ("", "a directory"),
    ] {
        let why = bench.why(&format!("/run/{name}"));
        assert!(why.ends_with(&format!("is {kind}")), "{why}");
    }
    let device = open(&Host::real(), "/dev/zero", &Owners::anybody(&Host::real()));
    assert!(matches!(
        device.unwrap_err().why,
        Distrust::Kind("a device")
    ));
}

#[test]
fn more_than_the_cap_is_an_error() {
    let bench = Bench::new();
    bench.put("etc/long", &"x".repeat(101), 0o644);
    let proven = open(&bench.host, "/etc/long", &Owners::of(&bench.host)).unwrap();
    assert_eq!(
        proven.bytes(100).unwrap_err().kind(),
        io::ErrorKind::FileTooLarge
    );
}

#[test]
fn a_folder_writes_whole_files_over_links_and_never_through_them() {
    let bench = Bench::new();
    bench.put("etc/victim", "precious", 0o600);
    bench.folder("etc/d", 0o755);
    symlink(bench.at("etc/victim"), bench.at("etc/d/file")).unwrap();
    let folder = folder(&bench.host, "/etc/d", &Owners::of(&bench.host)).unwrap();
    folder
        .write("file", b"new", 0o644, Medium::Flushed)
        .unwrap();
    assert_eq!(
        fs::read_to_string(bench.at("etc/victim")).unwrap(),
        "precious"
    );
    let meta = fs::symlink_metadata(bench.at("etc/d/file")).unwrap();
    assert!(meta.is_file() && meta.mode() & 0o7777 == 0o644);
    // The folder itself goes elsewhere: its descriptor does not.
    fs::rename(bench.at("etc/d"), bench.at("etc/e")).unwrap();
    bench.folder("etc/d", 0o755);
    folder
        .write("file", b"late", 0o600, Medium::Cached)
        .unwrap();
    assert!(!bench.at("etc/d/file").exists());
    folder.remove("file").unwrap();
    folder.remove("file").unwrap();
    assert_eq!(fs::read_dir(bench.at("etc/e")).unwrap().count(), 0);
}

/// Two names change places as fast as they can while the file is opened again and again.
fn raced(bench: &Bench, other: &str, look: impl Fn() -> Result<String, Untrusted>) -> usize {
    let stop = AtomicBool::new(false);
    let exchange = || {
        let flags = nix::fcntl::RenameFlags::RENAME_EXCHANGE;
        let cwd = nix::fcntl::AT_FDCWD;
        let (one, two) = (bench.at("svc/app.log"), bench.at(other));
        while !stop.load(Ordering::Relaxed) {
            nix::fcntl::renameat2(cwd, &one, cwd, &two, flags).unwrap();
        }
    };
    std::thread::scope(|scope| {
        scope.spawn(exchange);
        let good = (0..200)
            .filter(|_| look().is_ok_and(|text| text == "own"))
            .count();
        stop.store(true, Ordering::Relaxed);
        good
    })
}

#[test]
fn every_file_that_a_command_runs_is_proven() {
    let bench = Bench::new();
    bench.put("bin/sh", "ELF", 0o755);
    bench.put("opt/ours", "#! /opt/eve/run -x\n", 0o755);
    bench.put("opt/fix", "#!/bin/sh\n", 0o755);
    bench.put("opt/late", "#!/opt/none\n", 0o755);
    bench.put("opt/deep", "#!/opt/ours\n", 0o755);
    bench.put("opt/eve/run", "x", 0o777);
    bench.put("opt/eve/conf", "x", 0o666);
    let owners = Owners::of(&bench.host);
    for (words, files) in [
        (&["sh", "/opt/fix", "-c", "opt/eve/run"][..], Some(2)),
        (&["/opt/fix"], Some(2)),
        (&["/opt/fix", "/opt/none", "/opt/eve", "/opt/fix"], Some(3)),
        (&["/opt/late"], Some(1)),
        (&["/bin/sh", "/opt/eve/run"], None),
        (&["/bin/sh", "-c", "x", "/opt/eve/conf"], None),
        (&["/opt/ours"], None),
        (&["/opt/deep"], None),
        (&["/bin/sh", "/opt/deep"], None),
        (&["/opt/eve/run"], None),
        (&[], None),
    ] {
        let words: Vec<String> = words.iter().map(|word| (*word).to_owned()).collect();
        let proven = argv(&bench.host, &words, &owners);
        assert_eq!(proven.ok().map(|argv| argv.files.len()), files, "{words:?}");
    }
}

#[test]
fn two_hundred_raced_looks_never_read_through_a_link_or_wait_for_a_fifo() {
    let bench = Bench::new();
    bench.put("etc/secret", "secret", 0o600);
    bench.put("svc/app.log", "own", 0o644);
    bench.folder("svc", 0o777);
    symlink(bench.at("etc/secret"), bench.at("svc/link")).unwrap();
    mkfifo(&bench.at("svc/pipe"), Mode::from_bits_truncate(0o644)).unwrap();
    let anybody = Owners::anybody(&bench.host);
    for other in ["svc/link", "svc/pipe"] {
        let seen = std::sync::Mutex::new(Vec::new());
        raced(&bench, other, || {
            let got = bench.read_of("/svc/app.log", &anybody);
            seen.lock().unwrap().extend(got.as_ref().ok().cloned());
            got
        });
        assert!(seen.lock().unwrap().iter().all(|text| text == "own"));
        // An odd number of exchanges leaves the other one there.
        if !fs::symlink_metadata(bench.at("svc/app.log"))
            .unwrap()
            .is_file()
        {
            fs::remove_file(bench.at("svc/app.log")).unwrap();
            fs::rename(bench.at(other), bench.at("svc/app.log")).unwrap();
        }
    }
}
