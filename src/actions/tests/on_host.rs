//! Actions on files, processes, mounts and interfaces; processes are the test's own.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::{Child, Command};
use std::sync::Arc;

use super::{Bench, Book, is_refused, named, take, unit};
use crate::actions::{
    self, Action, ActionError, FreeDisk, RemountRw, RestartInterface, RunDeclared,
    TerminateProcess, Undo,
};
use crate::core::config::DeclaredCommand;
use crate::core::model::action::ProcessIdentity;
use crate::host::exec::scripted::{Scripted, fails, says};
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
        let process = procfs::process(&Host::real(), self.0.id())
            .unwrap()
            .unwrap();
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

fn terminate(sleeper: &Sleeper, holds: Option<&str>) -> TerminateProcess {
    TerminateProcess {
        process: sleeper.identity(),
        holds: holds.map(str::to_owned),
        unit: named("a.service"),
    }
}

/// `a.service` is down; `sleeper` ran in it while it was well.
fn down(sleeper: &Sleeper) -> Bench {
    let bench = Bench::new(Book::of(vec![unit("a.service")])).real();
    bench.well("a.service", &[sleeper.0.id()])
}

#[test]
fn a_leftover_ends_and_its_unit_starts() {
    let mut sleeper = Sleeper::new();
    let bench = down(&sleeper);
    let action = terminate(&sleeper, None);
    let terms = bench.context(|context| action.terms(context)).unwrap();
    let told = format!("{terms:?}");
    assert!(
        told.contains("it ran in the unit while that was well"),
        "{told}"
    );
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
    let bench = bench.well("a.service", &[sleeper.0.id()]);
    let action = terminate(&sleeper, None);
    let done = bench.context(|context| take(context, &action)).unwrap();
    assert!(!sleeper.lives() && bench.book.told().is_empty());
    assert!(done.message.contains("not started"), "{}", done.message);
}

#[test]
fn what_is_not_proven_to_be_the_units_own_lives_on() {
    let mut sleeper = Sleeper::new();
    let action = terminate(&sleeper, None);
    let refused = |bench: &Bench, action: &TerminateProcess| {
        is_refused(&bench.context(|context| take(context, action)))
    };
    let unknown = Bench::new(Book::of(vec![unit("a.service")])).real();
    assert!(refused(&unknown, &action), "it belongs to nobody: no proof");
    let others = Bench::new(Book::of(vec![unit("a.service")])).real();
    let others = others.well("a.service", &[sleeper.0.id()]);
    let others = others.well("b.service", &[sleeper.0.id()]);
    assert!(refused(&others, &action), "it ran in another unit as well");
    let mut runs = unit("a.service");
    runs.active_state = "active".to_owned();
    let works = Bench::new(Book::of(vec![runs])).real();
    let works = works.well("a.service", &[sleeper.0.id()]);
    assert!(refused(&works, &action), "the unit runs again");
    let gone = Bench::new(Book::default()).real();
    let gone = gone.well("a.service", &[sleeper.0.id()]);
    assert!(refused(&gone, &action), "no such unit");
    let bench = down(&sleeper);
    assert!(
        refused(&bench, &terminate(&sleeper, Some("tcp/1"))),
        "not in the way"
    );
    let mut reused = terminate(&sleeper, None);
    reused.process.start_ticks += 1;
    assert!(refused(&bench, &reused), "its number was given again");
    assert!(sleeper.lives());
}

#[test]
fn workers_that_share_the_port_go_together_and_a_stranger_among_them_keeps_them() {
    use std::os::fd::OwnedFd;
    use std::process::Stdio;
    let socket = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = format!("tcp/{}", socket.local_addr().unwrap().port());
    let worker = || {
        let inherited = OwnedFd::from(socket.try_clone().unwrap());
        let mut sleep = Command::new("sleep");
        Sleeper(
            sleep
                .arg("600")
                .stdin(Stdio::from(inherited))
                .spawn()
                .unwrap(),
        )
    };
    let mut workers = [worker(), worker(), worker()];
    drop(socket);
    let pids: Vec<u32> = workers.iter().map(|one| one.0.id()).collect();
    let bench = || Bench::new(Book::of(vec![unit("a.service")])).real();
    let action = terminate(&workers[0], Some(&port));
    let two = bench().well("a.service", &pids[..2]);
    assert!(is_refused(&two.context(|context| take(context, &action))));
    assert!(workers.iter_mut().all(Sleeper::lives));
    let three = bench().well("a.service", &pids);
    three.context(|context| take(context, &action)).unwrap();
    assert!(!workers.iter_mut().any(Sleeper::lives));
    assert_eq!(three.book.told(), ["ResetFailedStart a.service"]);
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
    assert!(
        matches!(run("bad"), Err(why @ ActionError::Failed(_)) if why.to_string().ends_with("no"))
    );
    for name in ["nobody", "empty", "undeclared", ""] {
        assert!(matches!(run(name), Err(ActionError::Refused(_))), "{name}");
    }
}

#[test]
fn a_declared_command_that_reads_what_others_write_is_refused() {
    let mut bench = Bench::new(Book::default()).real();
    let own = nix::unistd::User::from_uid(nix::unistd::getuid()).unwrap();
    let Some(own) = own else {
        println!("skipped: this user has no name here");
        return;
    };
    // Anybody may put another folder there.
    let folder = bench.dir.path().join("open");
    fs::create_dir(&folder).unwrap();
    fs::set_permissions(&folder, fs::Permissions::from_mode(0o777)).unwrap();
    let [script, mark] = ["fix.sh", "mark"].map(|name| folder.join(name).display().to_string());
    fs::write(&script, format!(": >{mark}\n")).unwrap();
    let command = |name: &str, word: &str| DeclaredCommand {
        name: name.to_owned(),
        argv: vec!["sh".to_owned(), word.to_owned()],
        user: own.name.clone(),
        timeout_s: 20,
        ..DeclaredCommand::default()
    };
    bench.config.command = vec![command("open", &script), command("ours", "/etc/passwd")];
    let [open, ours] = ["open", "ours"].map(|name| RunDeclared {
        name: name.to_owned(),
    });
    bench.context(|context| {
        assert!(is_refused(&open.precondition(context)));
        assert!(matches!(open.terms(context), Err(ActionError::Refused(_))));
        assert!(matches!(open.act(context), Err(ActionError::Refused(_))));
        let terms = format!("{:?}", ours.terms(context).unwrap());
        assert!(terms.contains("file sha256"), "{terms}");
    });
    assert!(!std::path::Path::new(&mark).exists());
}

#[test]
fn a_program_that_is_replaced_while_it_runs_is_never_a_repair_that_went_well() {
    let own = nix::unistd::User::from_uid(nix::unistd::getuid()).unwrap();
    let Some(own) = own else {
        println!("skipped: this user has no name here");
        return;
    };
    let script = Arc::new(Scripted::default());
    let mut bench = Bench::new(Book::default());
    bench.host = bench.host.with_executor(script.clone());
    bench.config.command = vec![DeclaredCommand {
        name: "fix".to_owned(),
        argv: vec!["/opt/fix".to_owned()],
        user: own.name,
        timeout_s: 20,
        ..DeclaredCommand::default()
    }];
    let program = bench.dir.path().join("opt/fix");
    let put = |text: &str| {
        bench.put("opt/fix", text);
        fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
    };
    let action = RunDeclared {
        name: "fix".to_owned(),
    };
    let run = || bench.context(|context| take(context, &action));
    put("#!/bin/sh\nexec good\n");
    script.on("/opt/fix", |_| says("done"));
    assert!(run().is_ok());
    for status in [0, 1] {
        put("#!/bin/sh\nexec good\n");
        let (program, new) = (program.clone(), bench.dir.path().join("opt/new"));
        script.on("/opt/fix", move |_| {
            fs::copy(&program, &new).unwrap();
            fs::write(&new, "#!/bin/sh\nexec evil\n").unwrap();
            fs::rename(&new, &program).unwrap();
            if status == 0 {
                says("done")
            } else {
                fails(1, "no")
            }
        });
        let why = run().unwrap_err();
        let told = why.to_string();
        assert!(matches!(why, ActionError::Failed(_)), "{told}");
        assert!(told.contains("replaced after it was proven"), "{told}");
        assert!(told.contains("program sha256 "), "{told}");
    }
    // One that is gone as well.
    put("#!/bin/sh\nexec good\n");
    let gone = program.clone();
    script.on("/opt/fix", move |_| {
        fs::remove_file(&gone).unwrap();
        says("done")
    });
    assert!(matches!(run(), Err(ActionError::Failed(_))));
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
    assert!(check("/data").is_ok());
    for mount in ["/", "/gone", "", "data"] {
        assert!(is_refused(&check(mount)), "{mount:?}");
    }
    // Wanted so by the administrator, or by the device.
    bench.put("etc/fstab", "# x\n/dev/sda2 /data ext4 defaults,ro 0 2\n");
    assert!(is_refused(&check("/data")));
    bench.put("etc/fstab", "/dev/sda2 /data ext4 defaults 0 2\n");
    assert!(check("/data").is_ok());
    bench.put("sys/dev/block/8:2/ro", "1\n");
    assert!(is_refused(&check("/data")));
}

#[test]
fn taking_a_remount_back_touches_nothing_that_is_read_only() {
    let bench = Bench::new(Book::default());
    // Killed before it acted: the kernel's own mark has to stay, or the fault is never found again.
    bench.put(
        "proc/1/mountinfo",
        "22 1 8:1 / / rw - ext4 /dev/sda1 rw\n30 22 8:2 / /data rw - ext4 /dev/sda2 ro\n",
    );
    for mount in ["/data", "/gone"] {
        let mount = mount.to_owned();
        let undo = Undo::RemountReadOnly { mount };
        let said = bench.context(|context| actions::undo(context, &undo));
        assert!(said.unwrap().ends_with("left as it is"));
    }
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
    assert!(check("eth0").is_ok());
    bench.put("sys/class/net/eth0/carrier", "0\n");
    assert!(is_refused(&check("eth0")), "no carrier");
    bench.put("sys/class/net/eth0/carrier", "1\n");
    let login = "head\n0: 020200C0:0016 0102000A:A004 01 0:0 0:0 0 0 0 1 1\n";
    bench.put("proc/net/tcp", login);
    bench.put("proc/net/route", "head\n");
    assert!(is_refused(&check("eth0")), "a login");
    for name in ["eth1", "eth2", "", "-all", "../eth0"] {
        assert!(is_refused(&check(name)), "{name:?}");
    }
}
