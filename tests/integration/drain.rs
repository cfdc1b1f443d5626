//! A stop in the middle of a repair: the daemon does not wait for it, and verifies it at the next start.

use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::cli_tool::Gateway;

/// Longest wait for something that takes well under a second.
const PATIENCE: Duration = Duration::from_secs(20);

fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let end = Instant::now() + PATIENCE;
    while !is_so() {
        assert!(Instant::now() < end, "not in time: {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn start(gateway: &Gateway) -> Child {
    Command::new(env!("CARGO_BIN_EXE_autonomous-orchestrator"))
        .arg("--config")
        .arg(gateway.path("config.toml"))
        .arg("run")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(std::fs::File::create(gateway.path("log")).unwrap())
        .spawn()
        .unwrap()
}

fn terminate(mut daemon: Child) {
    let pid = Pid::from_raw(i32::try_from(daemon.id()).unwrap());
    kill(pid, Signal::SIGTERM).unwrap();
    let mut status = None;
    until("the daemon ends", || {
        status = daemon.try_wait().unwrap();
        status.is_some()
    });
    assert_eq!(status.unwrap().code(), Some(0));
}

/// What happened, one word an event.
fn events(gateway: &Gateway) -> Vec<String> {
    let history = gateway.run(&["history", "--json"]).json();
    let rows = history.as_array().cloned().unwrap_or_default();
    rows.iter()
        .filter_map(|row| row["action"].as_str().map(str::to_owned))
        .collect()
}

#[test]
fn a_stop_hands_the_repair_over_to_the_next_start() {
    let gateway = Gateway::new();
    let root = gateway.dir.path().display().to_string();
    // Its start never ends by itself; the order's own time limit is longer than this test waits.
    let service = |script: &str| {
        gateway.configure(&format!(
            "startup_grace_s = 0\nmanagers = [\"declared\"]\n\
             [detect]\njournal = false\nkernel_log = false\nunit_sweep_s = 1\n\
             disabled = [\"disk\", \"memory_pressure\", \"readonly_fs\", \"stale_process\", \"clock_unsynced\", \"thermal\"]\n\
             [[service]]\nname = \"slow\"\nstart = [\"/bin/sh\", \"-c\", \"{script}\"]\npid_file = \"{root}/slow.pid\"\n"
        ));
    };
    service(&format!("touch {root}/begun; exec sleep 600"));
    let daemon = start(&gateway);
    until("the repair begins", || gateway.path("begun").exists());
    terminate(daemon);
    let seen = events(&gateway);
    assert!(seen.iter().any(|event| event == "attempt"), "{seen:?}");
    assert!(
        !seen
            .iter()
            .any(|event| ["failed", "fix_failed", "acted"].contains(&event.as_str())),
        "an attempt that was cut short is open, not failed: {seen:?}"
    );
    let daemon = start(&gateway);
    until("the attempt is verified first", || {
        events(&gateway)
            .iter()
            .skip(seen.len())
            .any(|event| event == "unknown")
    });
    terminate(daemon);
    let later = events(&gateway);
    let verified = later.iter().position(|event| event == "unknown").unwrap();
    let again = later
        .iter()
        .skip(seen.len())
        .position(|event| event == "attempt");
    assert!(
        again.is_none_or(|at| seen.len() + at > verified),
        "{later:?}"
    );
}
