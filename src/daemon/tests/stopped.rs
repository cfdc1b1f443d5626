//! What somebody stopped is left alone, and stands where a human looks.

use std::time::Duration;

use super::gateway::{Gateway, START, UNIT};
use super::units::Unit;
use crate::core::config::{Mode, Probe};
use crate::core::model::task::{Resolution, Status};
use crate::core::remedy::silence::{Scope, Silence};
use crate::daemon::status::Daemon;
use crate::daemon::untold;
use crate::host::exec::scripted::{Answer, fails, says};

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
        let bound = ("well.service".to_owned(), Mode::Observe);
        config.mode.unit = [bound].into_iter().collect();
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
        (
            "well",
            "runs",
            "runs, and no fault is seen in it\nmode observe at most: [mode.unit] \"well.service\" = \"observe\"",
        ),
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

/// A gateway whose probe `web` asks UNIT with a program, which answers as `answer` does.
fn probed(answer: fn(&[&str]) -> Answer) -> Gateway {
    let gateway = Gateway::at(START, &[("/proc/uptime", "100.00 100.00")], |config| {
        config.escalation.github = None;
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
    gateway.units.put(UNIT, "active");
    answers(&gateway, answer);
    gateway
}

fn answers(gateway: &Gateway, answer: fn(&[&str]) -> Answer) {
    for words in ["systemd-run", "/usr/bin/check"] {
        gateway.script.on(words, answer);
    }
}

fn restarts(gateway: &Gateway) -> usize {
    let asked = gateway.script.asked();
    let is_restart = |line: &&String| line.starts_with("systemctl restart");
    asked.iter().filter(is_restart).count()
}

fn well(_: &[&str]) -> Answer {
    says("")
}

fn silent(_: &[&str]) -> Answer {
    fails(2, "no answer")
}

#[test]
fn the_probe_of_a_stopped_unit_is_quiet_and_stands_beside_it() {
    let mut gateway = probed(well);
    gateway.runs_for(Duration::from_secs(5));
    // Nothing but the probe wants it.
    let alone = |unit: &mut Unit| (unit.file_state, unit.wanted_by) = ("disabled", "");
    gateway.is_stopped(UNIT);
    gateway.units.change(UNIT, alone);
    answers(&gateway, silent);
    gateway.runs_for(Duration::from_secs(60));
    assert!(gateway.tasks().is_empty(), "{:?}", gateway.tasks());
    let told = left_alone(&gateway);
    let ends = "; its probe is quiet: web";
    assert!(told.len() == 1 && told[0].ends_with(ends), "{told:?}");
    // From its next start on it counts again, once that had its time.
    gateway.units.put(UNIT, "active");
    gateway.runs_for(Duration::from_secs(90));
    assert!(restarts(&gateway) > 0);
    assert!(left_alone(&gateway).is_empty());
}

#[test]
fn what_is_stopped_while_its_probe_fails_is_the_human_s() {
    let mut gateway = probed(well);
    gateway.runs_for(Duration::from_secs(5));
    let mut config = gateway.runtime.loaded().config.clone();
    config.mode.limit = Mode::Suggest;
    gateway.runtime.take_over(config).unwrap();
    answers(&gateway, silent);
    gateway.runs_for(Duration::from_secs(60));
    assert_eq!(gateway.task("web").status, Status::Escalated);
    gateway.is_stopped(UNIT);
    gateway.runs_for(Duration::from_secs(30));
    let task = gateway.task("web");
    assert_eq!(task.resolution, Some(Resolution::Human));
    let why = "closed: app.service was stopped by somebody".to_owned();
    assert!(gateway.events(&task).contains(&why));
}

#[test]
fn a_probe_that_was_never_green_is_told_and_restarts_nothing() {
    let mut gateway = probed(silent);
    gateway.runs_for(Duration::from_secs(600));
    let task = gateway.task("web");
    assert_eq!(task.status, Status::Escalated);
    let told = "escalated: this probe was never green: check the probe with `probe test web`; no unit is touched for it";
    let events = gateway.events(&task);
    let times = events.iter().filter(|one| one.starts_with("escalated"));
    assert_eq!(times.count(), 1, "{events:?}");
    assert!(events.contains(&told.to_owned()), "{events:?}");
    assert_eq!(restarts(&gateway), 0);
    // The same after a restart of this program.
    let mut gateway = gateway.restarted(|_| {});
    gateway.runs_for(Duration::from_secs(120));
    assert_eq!(restarts(&gateway), 0);
    // It was wrong, and is mended: from now on it proves something.
    answers(&gateway, well);
    gateway.runs_for(Duration::from_secs(30));
    answers(&gateway, silent);
    let mut gateway = gateway.restarted(|_| {});
    gateway.runs_for(Duration::from_secs(60));
    assert!(restarts(&gateway) > 0);
}

#[test]
fn what_this_program_stopped_is_called_so() {
    let mut gateway = probed(well);
    gateway.write(
        "/etc/autonomous-orchestrator/runbooks.d/own.toml",
        "[[runbook]]\nid = \"own\"\nclass = [\"probe_failed\"]\n\
         [[runbook.step]]\naction = \"stop_unit\"\nphase = 1\n",
    );
    let mut config = gateway.runtime.loaded().config.clone();
    config.mode.medium = Mode::Auto;
    gateway.runtime.take_over(config).unwrap();
    gateway.runs_for(Duration::from_secs(5));
    // The boot of this fixture moves with the clock.
    gateway.units.change(UNIT, |unit| unit.stopped_us = 0);
    // It is too busy, and calm once it is stopped.
    let units = gateway.units.clone();
    for words in ["systemd-run", "/usr/bin/check"] {
        let units = units.clone();
        gateway.script.on(words, move |_| {
            let runs = |unit: &Unit| unit.active_state == "active";
            match units.lock().units.get(UNIT).is_some_and(runs) {
                true => fails(2, "too busy"),
                false => says(""),
            }
        });
    }
    gateway.runs_for(Duration::from_secs(2));
    gateway.hears_stop(UNIT);
    gateway.runs_for(Duration::from_secs(120));
    let task = gateway.task("web");
    let fixed = Some(Resolution::Fixed);
    assert_eq!(task.resolution, fixed, "{:#?}", gateway.events(&task));
    let told = "app.service was stopped by this program for task 1: `undo 1` starts it again";
    let listed = left_alone(&gateway);
    assert!(
        listed.len() == 1 && listed[0].starts_with(told),
        "{listed:?}"
    );
    let (state, said) = untold(&gateway, UNIT).unwrap();
    let said = format!("{UNIT} {said}");
    assert!(
        state == "stopped" && said.starts_with(told),
        "{state}: {said}"
    );
    // Whoever stops it later is somebody else.
    let later = |unit: &mut Unit| unit.stopped_us = 99_000_000;
    gateway.units.change(UNIT, later);
    gateway.hears_stop(UNIT);
    gateway.runs_for(Duration::from_secs(120));
    let listed = left_alone(&gateway);
    assert!(
        listed[0].starts_with("app.service was stopped by somebody"),
        "{listed:?}"
    );
}
