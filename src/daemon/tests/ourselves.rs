//! Faults of the program itself: one root is one task, and it ends when it is over.

use std::time::Duration;

use super::gateway::{Gateway, UNIT};
use super::units::{Answers, OnStart};
use crate::core::model::class::Class;
use crate::core::model::facts::Key;
use crate::core::model::task::{Resolution, Task};

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
