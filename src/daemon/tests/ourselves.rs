//! Faults of the program itself: one root is one task, and it ends when it is over.

use std::time::Duration;

use super::gateway::{Gateway, UNIT};
use super::units::{Answers, OnStart};
use crate::core::config::Probe;
use crate::core::model::class::Class;
use crate::core::model::facts::Key;
use crate::core::model::finding::{Finding, Severity};
use crate::core::model::sorted::SortedSet;
use crate::core::model::task::{Resolution, Task};
use crate::store::Intake;

fn of(gateway: &Gateway, class: Class) -> Vec<Task> {
    let mut tasks = gateway.tasks();
    tasks.retain(|task| task.class == class);
    tasks
}

#[test]
fn a_service_manager_that_refuses_is_one_task_however_many_detectors_ask_it() {
    let mut gateway = Gateway::with(|_| {});
    gateway.units.put(UNIT, "active");
    gateway.units.answer(Answers::Denied);
    gateway.runs_for(Duration::from_secs(120));
    let found = of(&gateway, Class::SelfDetectorBroken);
    let [task] = found.as_slice() else {
        panic!("{found:?}")
    };
    assert_eq!(task.subject, "systemd");
    let detectors = task.evidence.text(Key::Detectors).unwrap_or("");
    assert!(detectors.split(' ').count() > 2, "{detectors}");
    assert_eq!(gateway.issues.all().len(), 1);
    gateway.units.answer(Answers::Well);
    gateway.runs_for(Duration::from_secs(900));
    let ended = of(&gateway, Class::SelfDetectorBroken);
    assert_eq!(ended[0].resolution, Some(Resolution::SelfCleared));
}

#[test]
fn what_works_again_is_over_while_another_source_still_refuses() {
    let mut gateway =
        Gateway::with(|config| config.detect.disabled = vec!["containers".to_owned()]);
    gateway.units.put(UNIT, "active");
    gateway.pass();
    // A folder where the table of mounts was: a source of its own detector.
    gateway.refuse("/proc/self/mountinfo");
    gateway.units.answer(Answers::Denied);
    gateway.runs_for(Duration::from_secs(120));
    let subjects = |gateway: &Gateway, open: bool| {
        let mut of: Vec<String> = of(gateway, Class::SelfDetectorBroken)
            .into_iter()
            .filter(|task| task.resolution.is_none() == open)
            .map(|task| task.subject)
            .collect();
        of.sort();
        of
    };
    let refusing = subjects(&gateway, true);
    assert!(
        refusing.len() > 1 && refusing.contains(&"systemd".to_owned()),
        "{refusing:?}"
    );
    gateway.units.answer(Answers::Well);
    gateway.runs_for(Duration::from_secs(900));
    assert_eq!(subjects(&gateway, false), ["systemd"]);
    assert!(!subjects(&gateway, true).is_empty());
}

#[test]
fn what_refuses_stays_open_and_the_others_of_its_detector_go_on() {
    const ZONES: [&str; 3] = ["thermal_zone0", "thermal_zone1", "thermal_zone2"];
    let temp = |zone: &str| format!("/sys/class/thermal/{zone}/temp");
    let mut gateway = Gateway::with(|_| {});
    for (zone, millis) in ZONES.iter().zip(["99000", "99000", "40000"]) {
        gateway.write(&temp(zone), millis);
    }
    gateway.runs_for(Duration::from_secs(120));
    let open = |gateway: &Gateway, class| {
        let mut open = of(gateway, class);
        open.retain(|task| task.resolution.is_none());
        let subjects: SortedSet<String> = open.into_iter().map(|task| task.subject).collect();
        subjects.into_iter().collect::<Vec<_>>()
    };
    assert_eq!(open(&gateway, Class::Thermal), ZONES[..2]);
    gateway.refuse(&temp(ZONES[0]));
    gateway.write(&temp(ZONES[1]), "40000");
    gateway.write(&temp(ZONES[2]), "99000");
    gateway.runs_for(Duration::from_secs(900));
    assert_eq!(open(&gateway, Class::Thermal), [ZONES[0], ZONES[2]]);
    assert!(open(&gateway, Class::SelfDetectorBroken).contains(&"thermal".to_owned()));
    std::fs::remove_dir(gateway.dir.path().join(&temp(ZONES[0])[1..])).unwrap();
    gateway.write(&temp(ZONES[0]), "40000");
    gateway.runs_for(Duration::from_secs(900));
    assert_eq!(open(&gateway, Class::Thermal), [ZONES[2]]);
    assert!(!open(&gateway, Class::SelfDetectorBroken).contains(&"thermal".to_owned()));
}

/// Intakes until the store has no room for another one.
fn fill(gateway: &Gateway) {
    gateway.runtime.store.give_pages(1);
    let finding = |n: usize| {
        let text = format!("{n} {}", "x".repeat(3_000));
        Finding::new(
            Class::LogError,
            &format!("unit{n}"),
            Severity::Warning,
            &text,
            "journal",
            gateway.now(),
        )
    };
    let refused = |n| {
        let batch = Intake {
            findings: vec![finding(n)],
            cursor: None,
        };
        gateway.runtime.store.intake(batch, gateway.now()).is_err()
    };
    assert!((0..1_000).any(refused), "there is always room");
}

#[test]
fn a_store_that_takes_nothing_is_told_past_it_and_once() {
    let mut gateway = Gateway::with(|_| {});
    gateway.units.put(UNIT, "active");
    gateway.pass();
    gateway.units.fail(UNIT, OnStart::Runs);
    fill(&gateway);
    gateway.deliver_past_store();
    assert!(gateway.issues.all().is_empty(), "it may pass");
    gateway.advance(Duration::from_secs(90));
    // Each start forgets what was told this way.
    for _ in 0..3 {
        for _ in 0..5 {
            gateway.deliver_past_store();
            gateway.advance(Duration::from_secs(30));
        }
        gateway.forget_storeless();
    }
    let told = gateway.issues.all();
    let [(state, title)] = told.as_slice() else {
        panic!("{told:?}")
    };
    assert_eq!(state, "open");
    assert!(
        title.contains("nothing can be recorded or repaired: no space left"),
        "{title}"
    );
    assert!(gateway.issues.bodies()[0].contains(UNIT));
    // With room again its finding is written down, and its issue is that one.
    gateway.runtime.store.give_pages(1_000_000);
    gateway.runs_for(Duration::from_secs(120));
    assert_eq!(of(&gateway, Class::SelfStore).len(), 1);
    gateway.runtime.store.maintain(gateway.now()).unwrap();
    gateway.runs_for(Duration::from_secs(120));
    let of_store = |(_, title): &&(String, String)| title.contains("nothing can be recorded");
    let all = gateway.issues.all();
    assert_eq!(all.iter().filter(of_store).count(), 1);
    assert_eq!(gateway.issues.all()[0].0, "closed");
    assert!(
        !all.iter().any(|(_, title)| title.contains("own store")),
        "{all:?}"
    );
    assert_eq!(gateway.task(UNIT).resolution, Some(Resolution::Fixed));
}

#[test]
fn what_is_probed_no_more_is_over() {
    let mut gateway = Gateway::with(|config| {
        config.probe.push(Probe {
            name: "door".to_owned(),
            tcp: "127.0.0.1:1".to_owned(),
            failures: 1,
            ..Probe::default()
        });
    });
    gateway.runs_for(Duration::from_secs(60));
    assert_eq!(of(&gateway, Class::ProbeFailed)[0].resolution, None);
    let mut config = gateway.runtime.loaded().config.clone();
    config.probe.clear();
    gateway.runtime.take_over(config).unwrap();
    gateway.runs_for(Duration::from_secs(120));
    assert_eq!(
        of(&gateway, Class::ProbeFailed)[0].resolution,
        Some(Resolution::SelfCleared)
    );
}

#[test]
fn a_store_in_trouble_is_told_and_over_once_it_is_well() {
    let mut gateway = Gateway::with(|_| {});
    gateway.units.put(UNIT, "active");
    gateway.pass();
    assert!(of(&gateway, Class::SelfStore).is_empty());
    gateway.remove("/var/lib/autonomous-orchestrator/tasks.db");
    // The next write finds it gone, and writes it anew from the open file.
    gateway.units.fail(UNIT, OnStart::Runs);
    gateway.runs_for(Duration::from_secs(60));
    let found = of(&gateway, Class::SelfStore);
    let [task] = found.as_slice() else {
        panic!("{found:?}")
    };
    assert!(
        task.message.contains("was deleted or replaced"),
        "{}",
        task.message
    );
    assert!(
        task.evidence
            .text(Key::Path)
            .is_some_and(|path| path.ends_with("tasks.db"))
    );
    assert_eq!(gateway.issues.all().len(), 1, "a human is told");
    gateway.runs_for(Duration::from_secs(60));
    assert_eq!(of(&gateway, Class::SelfStore)[0].resolution, None);
    gateway.runtime.store.maintain(gateway.now()).unwrap();
    gateway.runs_for(Duration::from_secs(60));
    let ended = of(&gateway, Class::SelfStore);
    assert_eq!(ended.len(), 1);
    assert_eq!(ended[0].resolution, Some(Resolution::SelfCleared));
    assert_eq!(gateway.issues.all()[0].0, "closed");
}
