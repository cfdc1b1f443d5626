//! `undo` through the whole engine: what held is taken back once, and not done again unasked.

use std::fs;
use std::time::Duration;

use super::approvals::moved;
use super::gateway::{Gateway, UNIT};
use super::units::DROP_IN;
use crate::core::config::{Config, Mode};
use crate::core::model::hint::Hint;
use crate::core::model::task::{Outcome, Status};
use crate::core::remedy::step::Reason;
use crate::daemon::take_back::{self, TakeBackError};

const HOUR: Duration = Duration::from_secs(3_600);
const KILL_SWITCH: &str = "/etc/autonomous-orchestrator/disable";

fn auto(config: &mut Config) {
    config.mode.medium = Mode::Auto;
    config.mode.high = Mode::Auto;
}

fn undo(gateway: &Gateway) -> Result<String, TakeBackError> {
    let runtime = &gateway.runtime;
    let task = gateway.task(UNIT);
    let reader = runtime.store.reader().unwrap();
    let effect = take_back::effect(&reader, task.id).unwrap().unwrap();
    let config = runtime.loaded().config.clone();
    take_back::take_back(&runtime.host, config, &runtime.store, &effect, "anna")
}

#[test]
fn an_undo_record_that_cannot_be_read_is_refused_with_what_to_do_by_hand() {
    let mut gateway = moved(auto);
    gateway.runs_for(HOUR);
    let task = gateway.task(UNIT);
    gateway.sql("UPDATE attempts SET undo = 'torn'");
    let reader = gateway.runtime.store.reader().unwrap();
    let done = reader.attempts(task.id).unwrap().pop().unwrap();
    let refused = take_back::effect(&reader, task.id).unwrap_err();
    assert!(matches!(refused, TakeBackError::Record(..)), "{refused:?}");
    let told = refused.with_hint();
    let what = format!(
        "task {}: the undo record of attempt {} cannot be read: ",
        task.id, done.id
    );
    assert!(told.starts_with(&what), "{told}");
    let to_do = format!(": put back by hand what '{}' did", done.action_text);
    assert!(told.ends_with(&to_do), "{told}");
}

#[test]
fn what_a_human_took_back_is_gone_audited_and_asked_for_when_the_fault_returns() {
    let mut gateway = moved(auto);
    gateway.runs_for(HOUR);
    let repaired = gateway.task(UNIT);
    assert!(gateway.exists(DROP_IN));
    assert_eq!(repaired.status, Status::Closed);

    gateway.write(KILL_SWITCH, "people at work\n");
    let refused = undo(&gateway);
    assert!(matches!(
        refused,
        Err(TakeBackError::Gate(Reason::KillSwitch(_)))
    ));
    assert!(gateway.exists(DROP_IN), "nothing is touched");
    fs::remove_file(gateway.dir.path().join(KILL_SWITCH.trim_start_matches('/'))).unwrap();

    let listed = || {
        let reader = gateway.runtime.store.reader().unwrap();
        let effects = take_back::effects(&reader).unwrap().into_iter();
        effects.map(|one| one.attempt.task_id).collect::<Vec<_>>()
    };
    assert_eq!(listed(), [repaired.id]);
    undo(&gateway).unwrap();
    assert_eq!(listed(), []);
    assert!(!gateway.exists(DROP_IN));
    let reader = gateway.runtime.store.reader().unwrap();
    let attempts = reader.attempts(repaired.id).unwrap();
    assert_eq!(
        attempts.last().and_then(|one| one.outcome),
        Some(Outcome::Undone)
    );
    assert!(take_back::effect(&reader, repaired.id).unwrap().is_none());
    let events = gateway.events(&repaired);
    for event in ["undo", "undone"] {
        assert!(events.iter().any(|one| one.starts_with(event)), "{event}");
    }
    reader.audit_verify().unwrap().unwrap();

    gateway.runs_for(HOUR);
    let again = gateway.task(UNIT);
    assert_ne!(again.id, repaired.id);
    assert!(!gateway.exists(DROP_IN), "not done unasked");
    let reason = again.waiting_reason.unwrap_or_default();
    assert!(reason.contains("a human took it back here"), "{reason}");
}
