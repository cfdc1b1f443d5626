//! Actions on files, processes, mounts and interfaces; processes are the test's own.

use std::fs;
use std::process::{Child, Command};

use super::{Bench, Book, is_refused, named, take, unit};
use crate::actions::{
    Action, ActionError, FreeDisk, RemountRw, RestartInterface, RunDeclared, TerminateProcess,
};
use crate::core::config::DeclaredCommand;
use crate::core::model::action::ProcessIdentity;
use crate::host::{Host, procfs};

#[test]
fn only_listed_plain_files_are_removed() {
    let mut bench = Bench::new(Book::default());
    bench.config.fix.cleanable = vec!["/var/log/*.gz".to_owned()];
    for path in [
        "var/log/a.gz",
        "var/log/b.gz",
        "var/log/keep.log",
        "other/c.gz",
    ] {
        bench.put(path, "x");
    }
    let root = bench.dir.path();
    std::os::unix::fs::symlink(root.join("other/c.gz"), root.join("var/log/l.gz")).unwrap();
    fs::create_dir(root.join("var/log/dir.gz")).unwrap();
    let action = |mount: &str, target_percent| FreeDisk {
        mount: mount.to_owned(),
        target_percent,
    };
    let full = action("/", 100);
    assert!(
        is_refused(&bench.context(|context| full.precondition(context))),
        "nothing is fuller than full"
    );
    assert!(is_refused(
        &bench.context(|context| action("", 0).precondition(context))
    ));
    let done = bench
        .context(|context| {
            action("/", 0).precondition(context)?;
            take(context, &action("/", 0))
        })
        .unwrap();
    assert!(
        done.message.starts_with("removed 2 files"),
        "{}",
        done.message
    );
    for (path, stays) in [
        ("var/log/a.gz", false),
        ("var/log/b.gz", false),
        ("var/log/keep.log", true),
        ("other/c.gz", true),
        ("var/log/l.gz", true),
        ("var/log/dir.gz", true),
    ] {
        assert_eq!(root.join(path).symlink_metadata().is_ok(), stays, "{path}");
    }
}

#[test]
fn a_file_that_is_open_stays() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("writing.gz");
    let _open = fs::File::create(&path).unwrap();
    fs::write(dir.path().join("closed.gz"), "x").unwrap();
    let mut bench = Bench::new(Book::default()).real();
    bench.config.fix.cleanable = vec![format!("{}/*.gz", dir.path().display())];
    let action = FreeDisk {
        mount: dir.path().display().to_string(),
        target_percent: 0,
    };
    bench.context(|context| take(context, &action)).unwrap();
    assert!(path.exists() && !dir.path().join("closed.gz").exists());
}

struct Sleeper(Child);

impl Sleeper {
    fn new() -> Self {
        Self(Command::new("sleep").arg("600").spawn().unwrap())
    }

    fn identity(&self) -> ProcessIdentity {
        let process = procfs::process(&Host::real(), self.0.id()).unwrap();
        ProcessIdentity {
            pid: process.pid,
            start_ticks: process.start_ticks,
            exe: process.exe,
        }
    }

    fn lives(&mut self) -> bool {
        self.0.try_wait().unwrap().is_none()
    }
}

impl Drop for Sleeper {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn terminate(sleeper: &Sleeper, holds: Option<&str>, then_start: Option<&str>) -> TerminateProcess {
    TerminateProcess {
        process: sleeper.identity(),
        holds: holds.map(str::to_owned),
        then_start: then_start.map(named),
    }
}

#[test]
fn a_stale_process_ends_and_the_unit_starts() {
    let mut sleeper = Sleeper::new();
    let bench = Bench::new(Book::of(vec![unit("a.service")])).real();
    let action = terminate(&sleeper, None, Some("a.service"));
    let done = bench.context(|context| take(context, &action)).unwrap();
    assert!(!sleeper.lives());
    assert_eq!(bench.book.told(), ["ResetFailedStart a.service"]);
    assert!(
        done.message.contains("ended after TERM"),
        "{}",
        done.message
    );
    // Once more: the process is gone, nothing is signalled or started.
    assert!(is_refused(&bench.context(|context| take(context, &action))));
    assert_eq!(bench.book.told().len(), 1);
}

#[test]
fn a_unit_that_somebody_stopped_is_not_started_after_its_port_is_free() {
    let mut sleeper = Sleeper::new();
    let mut stopped = unit("a.service");
    stopped.left = super::stopped();
    stopped.active_state = "inactive".to_owned();
    let bench = Bench::new(Book::of(vec![stopped])).real();
    let action = terminate(&sleeper, None, Some("a.service"));
    let done = bench.context(|context| take(context, &action)).unwrap();
    assert!(!sleeper.lives() && bench.book.told().is_empty());
    assert!(done.message.contains("not started"), "{}", done.message);
}

#[test]
fn processes_of_units_and_those_not_in_the_way_live_on() {
    let mut sleeper = Sleeper::new();
    let owned = Bench::new(Book {
        owner: Some("b.service".to_owned()),
        ..Book::default()
    })
    .real();
    let action = terminate(&sleeper, None, None);
    assert!(is_refused(&owned.context(|context| take(context, &action))));
    let free = Bench::new(Book::default()).real();
    let elsewhere = terminate(&sleeper, Some("tcp/1"), None);
    assert!(is_refused(
        &free.context(|context| take(context, &elsewhere))
    ));
    let mut other = sleeper.identity();
    other.start_ticks += 1;
    let reused = TerminateProcess {
        process: other,
        holds: None,
        then_start: None,
    };
    assert!(is_refused(&free.context(|context| take(context, &reused))));
    assert!(sleeper.lives());
}

#[test]
fn declared_commands_run_as_declared_or_not_at_all() {
    let mut bench = Bench::new(Book::default()).real();
    let own = nix::unistd::User::from_uid(nix::unistd::getuid()).unwrap();
    let Some(own) = own else {
        println!("skipped: this user has no name here");
        return;
    };
    let command = |name: &str, argv: &[&str], user: &str| DeclaredCommand {
        name: name.to_owned(),
        argv: argv.iter().map(|word| (*word).to_owned()).collect(),
        user: user.to_owned(),
        timeout_s: 20,
        ..DeclaredCommand::default()
    };
    bench.config.command = vec![
        command("good", &["sh", "-c", "env; ulimit -v"], &own.name),
        command("bad", &["sh", "-c", "echo no >&2; exit 3"], &own.name),
        command("nobody", &["true"], "no-such-user-here"),
        command("empty", &[], &own.name),
    ];
    let run = |name: &str| {
        let action = RunDeclared {
            name: name.to_owned(),
        };
        bench.context(|context| take(context, &action))
    };
    let done = run("good").unwrap();
    let output = done.noted.get("output").unwrap();
    assert!(
        output.contains("65536") && !output.contains("CARGO"),
        "{output}"
    );
    assert!(matches!(run("bad"), Err(ActionError::Failed(why)) if why.ends_with("no")));
    for name in ["nobody", "empty", "undeclared", ""] {
        assert!(matches!(run(name), Err(ActionError::Refused(_))), "{name}");
    }
}

#[test]
fn a_mount_that_is_writable_or_gone_is_not_remounted() {
    let bench = Bench::new(Book::default());
    bench.put(
        "proc/1/mountinfo",
        "22 1 8:1 / / rw - ext4 /dev/sda1 rw\n30 22 8:2 / /data rw - ext4 /dev/sda2 ro\n",
    );
    let check = |mount: &str| {
        let action = RemountRw {
            mount: mount.to_owned(),
        };
        bench.context(|context| action.precondition(context))
    };
    assert_eq!(check("/data"), Ok(()));
    for mount in ["/", "/gone", "", "data"] {
        assert!(is_refused(&check(mount)), "{mount:?}");
    }
    // Wanted so by the administrator, or by the device.
    bench.put("etc/fstab", "# x\n/dev/sda2 /data ext4 defaults,ro 0 2\n");
    assert!(is_refused(&check("/data")));
    bench.put("etc/fstab", "/dev/sda2 /data ext4 defaults 0 2\n");
    assert_eq!(check("/data"), Ok(()));
    bench.put("sys/dev/block/8:2/ro", "1\n");
    assert!(is_refused(&check("/data")));
}

#[test]
fn only_a_listed_interface_that_is_down_is_restarted() {
    let mut bench = Bench::new(Book::default());
    bench.config.detect.interfaces = vec!["eth0".to_owned(), "eth1".to_owned()];
    bench.put("sys/class/net/eth0/operstate", "down\n");
    bench.put("sys/class/net/eth1/operstate", "up\n");
    bench.put("sys/class/net/eth2/operstate", "down\n");
    let check = |interface: &str| {
        let action = RestartInterface {
            interface: interface.to_owned(),
        };
        bench.context(|context| action.precondition(context))
    };
    assert_eq!(check("eth0"), Ok(()));
    for name in ["eth1", "eth2", "", "-all", "../eth0"] {
        assert!(is_refused(&check(name)), "{name:?}");
    }
}
