//! What somebody stopped is left alone, and stands where a human looks.

use std::time::Duration;

use super::gateway::{Gateway, START, UNIT};
use super::units::Unit;
use crate::core::config::Probe;
use crate::core::model::task::Resolution;
use crate::core::remedy::silence::{Scope, Silence};
use crate::daemon::status::Daemon;
use crate::daemon::{explain, untold};
use crate::host::exec::scripted::{fails, says};

/// What the status file says is left alone.
fn left_alone(gateway: &Gateway) -> Vec<String> {
    gateway.tell_status();
    let host = &gateway.runtime.host;
    let daemon = Daemon::ask(host, &gateway.runtime.loaded().config);
    let texts = daemon.stopped().iter().map(|one| one["text"].as_str());
    texts.map(|text| text.unwrap().to_owned()).collect()
}

#[test]
fn what_somebody_stopped_is_listed_until_it_runs_again() {
    let mut gateway = Gateway::with(|_| {});
    gateway.write("/proc/uptime", "3600.00 3600.00\n");
    gateway.units.put("well.service", "active");
    gateway.is_stopped(UNIT);
    gateway.runs_for(Duration::from_secs(60));
    assert!(gateway.tasks().is_empty(), "{:?}", gateway.tasks());
    assert_eq!(
        left_alone(&gateway),
        ["app.service was stopped by somebody, down since 2027-01-18 11:01:00 UTC"]
    );
    gateway.units.put(UNIT, "active");
    gateway.runs_for(Duration::from_secs(60));
    assert!(left_alone(&gateway).is_empty());
}

#[test]
fn what_ended_by_itself_is_a_fault_and_not_left_alone() {
    let mut gateway = Gateway::with(|_| {});
    gateway.ends_by_itself(UNIT);
    gateway.runs_for(Duration::from_secs(10));
    assert!(left_alone(&gateway).is_empty());
    assert_eq!(gateway.tasks().len(), 1);
}

/// What is said of a unit that nothing is told of: its state, and why.
fn untold(gateway: &Gateway, name: &str) -> Result<(&'static str, String), String> {
    let config = gateway.runtime.loaded().config.clone();
    let reader = gateway.runtime.store.reader().unwrap();
    let told = untold::look(&gateway.runtime.host, &config, &reader, name);
    let told = told.map(|one| {
        let about = one.text.strip_prefix(&one.unit).unwrap();
        (
            one.state,
            about.trim().replace("\n\nwhat a human can do\n    ", "; "),
        )
    });
    told.map_err(|why| why.to_string())
}

#[test]
fn of_a_unit_without_a_task_it_is_said_why() {
    let mut gateway = Gateway::with(|config| {
        config.detect.ignore_units = vec!["left-*.service".to_owned()];
    });
    for unit in ["well", "masked", "off", "kept", "left-out"] {
        gateway.units.put(&format!("{unit}.service"), "active");
    }
    gateway.is_stopped(UNIT);
    let down = |unit: &str, file_state| {
        gateway.ends_by_itself(unit);
        gateway.units.change(unit, |unit| {
            (unit.file_state, unit.wanted_by) = (file_state, "");
        });
    };
    down("masked.service", "masked");
    down("off.service", "disabled");
    gateway.ends_by_itself("kept.service");
    let lacking = |unit: &mut Unit| unit.condition_result = false;
    gateway.units.change("kept.service", lacking);
    gateway.runs_for(Duration::from_secs(20));
    assert!(gateway.tasks().is_empty(), "{:?}", gateway.tasks());
    let stopped = "was stopped by somebody: it stays as it is; systemctl start app.service";
    for (name, state, why) in [
        (UNIT, "stopped", stopped),
        ("app", "stopped", stopped),
        ("well", "runs", "runs, and no fault is seen in it"),
        (
            "masked",
            "masked",
            "is masked; systemctl unmask masked.service",
        ),
        (
            "off",
            "disabled",
            "is disabled; systemctl enable --now off.service",
        ),
        ("kept", "condition", "has a condition that is false"),
        (
            "left-out",
            "ignored",
            "is never judged: detect.ignore_units names it",
        ),
    ] {
        assert_eq!(
            untold(&gateway, name),
            Ok((state, why.to_owned())),
            "{name}"
        );
    }
    let unknown = |name: &str| Err(format!("{name}: no such unit"));
    for name in ["nosuch", "nosuch.service"] {
        let typed = untold(&gateway, name);
        assert!(typed.is_err_and(|why| why.starts_with("nosuch")), "{name}");
    }
    assert_eq!(untold(&gateway, "/data"), unknown("/data"));
    let (store, now) = (&gateway.runtime.store, gateway.now());
    let silence = Silence {
        scope: Scope::of_word("well"),
        until: now.plus(Duration::from_secs(60)),
        by: "anna".to_owned(),
        reason: "cable".to_owned(),
    };
    assert!(store.silence(silence, now).unwrap());
    let said = untold(&gateway, "well").unwrap().1;
    assert!(
        said.contains("\nsilenced until 2027-01-18 12:01:20 UTC by anna: cable"),
        "{said}"
    );
}

#[test]
fn a_stopped_unit_with_a_probe_gets_one_answer() {
    let mut gateway = Gateway::at(START, &[("/proc/uptime", "100.00 100.00")], |config| {
        config.probe.push(Probe {
            name: "web".to_owned(),
            command: vec!["/usr/bin/check".to_owned()],
            unit: UNIT.to_owned(),
            failures: 1,
            interval_s: 1,
            ..Probe::default()
        });
    });
    gateway.program("/usr/bin/check");
    for words in ["systemd-run", "/usr/bin/check"] {
        gateway.script.on(words, |_| fails(2, "no answer"));
    }
    gateway.is_stopped(UNIT);
    // It had been started five seconds before.
    let started = |unit: &mut Unit| unit.started_us = 95_000_000;
    gateway.units.change(UNIT, started);
    gateway.runs_for(Duration::from_secs(20));
    let config = gateway.runtime.loaded().config.clone();
    let task = gateway.task("web");
    let host = &gateway.runtime.host;
    let told = explain::explain(host, config, task.id, &[]).unwrap().text();
    let to_do = "what a human can do\n    systemctl start app.service\n\n";
    assert!(told.contains(to_do), "{told}");
    assert!(!told.contains("started a moment ago"), "{told}");
    let why = "app.service was stopped by somebody: it stays as it is\n";
    for line in ["mode auto]: not now: ", "now: escalated because "] {
        assert!(told.contains(&format!("{line}{why}")), "{told}");
    }
    let next = told.lines().last().unwrap();
    assert!(
        next.starts_with("next: nothing until a human acts"),
        "{told}"
    );
    assert_eq!(gateway.starts(), 0);
    // Whoever stopped it starts it, two seconds before each look.
    gateway.units.put(UNIT, "active");
    let started = |unit: &mut Unit| unit.started_us = 98_000_000;
    gateway.units.change(UNIT, started);
    for words in ["systemd-run", "/usr/bin/check"] {
        gateway.script.on(words, |_| says(""));
    }
    gateway.runs_for(Duration::from_secs(30));
    let resolution = gateway.task("web").resolution;
    assert_eq!(resolution, Some(Resolution::Human), "it was worth telling");
}
