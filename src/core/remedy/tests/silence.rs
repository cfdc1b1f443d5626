//! What a human wants left alone.

use super::*;
use crate::core::config::Maintenance;
use crate::core::model::gate::Gate;
use crate::core::remedy::silence::{Scope, Silence, Silences};
fn silenced(word: &str, seconds: u64) -> Silences {
    let mut all = Silences::default();
    all.add(Silence {
        scope: Scope::of_word(word),
        until: after(seconds),
        by: "anna".to_owned(),
        reason: "new cable".to_owned(),
    });
    all
}

#[test]
fn what_is_silenced_is_neither_repaired_nor_told_until_its_end() {
    let task = Scene::ready().task.id.to_string();
    for word in [UNIT, "a", "service_failed", &task] {
        let mut scene = Scene::ready();
        scene.host.silences = silenced(word, 600);
        let step = scene.step();
        assert_eq!(step.gate(), Some(Gate::Silence), "{word}: {step}");
        assert!(matches!(step, Step::Wait { until, .. } if until == after(600)));
        scene.host.silences = silenced(word, 0);
        assert_eq!(scene.step().name(), "act", "{word}: over");
    }
    let mut scene = Scene::ready();
    scene.host.silences = silenced("other.service", 600);
    assert_eq!(scene.step().name(), "act");
    scene.host.silences = silenced("*", 600);
    assert_eq!(scene.step().gate(), Some(Gate::Maintenance));
}

#[test]
fn a_window_of_one_unit_leaves_that_unit_alone_and_nothing_else() {
    let mut scene = Scene::ready();
    let mut window = Maintenance {
        from: "00:00".to_owned(),
        to: "23:59".to_owned(),
        only: vec![UNIT.to_owned()],
        ..Maintenance::default()
    };
    scene.settings.maintenance = vec![window.clone()];
    assert_eq!(scene.step().gate(), Some(Gate::Silence));
    window.only = vec!["other.service".to_owned()];
    scene.settings.maintenance = vec![window];
    assert_eq!(scene.step().name(), "act");
}

#[test]
fn a_class_silences_nothing_critical_and_a_leave_is_stronger_than_a_silence() {
    let mut scene = Scene::ready();
    scene.task.severity = Severity::Critical;
    scene.host.silences = silenced("service_failed", 600);
    assert_eq!(scene.step().name(), "act");
    scene.host.silences = silenced(UNIT, 600);
    assert_eq!(scene.step().gate(), Some(Gate::Silence));
    scene.task.approved_action = Some(ActionKind::ResetFailedStart.as_str().to_owned());
    scene.task.approved_until = Some(after(60));
    assert_eq!(scene.step().name(), "act");
}

#[test]
fn what_is_gone_is_closed_though_silenced_and_what_nobody_sees_is_not_told() {
    let mut scene = Scene::ready();
    scene.host.silences = silenced(UNIT, 600);
    scene.seen = Seen::Clear;
    assert_eq!(scene.step().name(), "close");
    scene.seen = Seen::CouldNotLook("no bus".to_owned());
    scene.first_seen(9_000);
    assert_eq!(scene.step().gate(), Some(Gate::Silence));
}
