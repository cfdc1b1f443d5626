//! A restore, through the whole engine: the mode falls to suggest until one full clean sweep, and deliveries go on.

use std::fs;
use std::time::Duration;

use super::gateway::{DATABASE, Gateway, UNIT};
use super::units::OnStart;
use crate::core::model::task::{Resolution, Status};

const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3_600);

/// As built, with a backup.
fn backed_up() -> Gateway {
    let mut gateway = Gateway::with(|_| {});
    gateway.units.put(UNIT, "active");
    gateway.runs_for(MINUTE);
    let backup = gateway
        .runtime
        .store
        .maintain(gateway.now())
        .unwrap()
        .backup;
    assert!(backup.is_some());
    gateway
}

fn is_restored(gateway: &Gateway) -> bool {
    let reader = gateway.runtime.store.reader().unwrap();
    reader.restored().unwrap().is_some()
}

/// States of the issues about units; the damage itself is told beside them.
pub(super) fn issues(gateway: &Gateway) -> Vec<String> {
    let mut all = gateway.issues.all();
    all.retain(|(_, title)| title.contains(".service"));
    all.into_iter().map(|(state, _)| state).collect()
}

/// Nothing is done unasked, and a human hears of it, as long as something is wrong; afterwards all is as before.
fn falls_to_suggest_until_a_clean_sweep(gateway: &mut Gateway) {
    gateway.runs_for(20 * MINUTE);
    assert!(is_restored(gateway));
    assert_eq!(gateway.starts(), 0);
    let told = gateway.task(UNIT);
    assert_eq!(told.status, Status::Escalated);
    let suggests = "escalated: mode suggest: a human must approve";
    let events = gateway.events(&told);
    assert!(
        events.iter().any(|event| event.starts_with(suggests)),
        "{events:#?}"
    );
    assert_eq!(issues(gateway), ["open"], "looked for, then sent");
    gateway.units.put(UNIT, "active");
    // Every budget counts as spent in its window, the longest of which is a day.
    gateway.runs_for(25 * HOUR);
    assert!(!is_restored(gateway));
    assert_eq!(issues(gateway), ["closed"]);
    gateway.units.fail(UNIT, OnStart::Runs);
    gateway.runs_for(2 * MINUTE);
    assert_eq!(gateway.starts(), 1);
    assert_eq!(gateway.task(UNIT).resolution, Some(Resolution::Fixed));
    gateway.units.fail("other.service", OnStart::Runs);
    gateway
        .units
        .change("other.service", |unit| unit.exit_status = 203);
    gateway.runs_for(MINUTE);
    assert_eq!(issues(gateway), ["closed", "open"], "sent at once");
}

#[test]
fn a_restore_while_running() {
    let mut gateway = backed_up();
    gateway.units.fail(UNIT, OnStart::Runs);
    gateway.damage();
    falls_to_suggest_until_a_clean_sweep(&mut gateway);
}

#[test]
fn a_restore_at_start_ends() {
    let gateway = backed_up();
    gateway.units.fail(UNIT, OnStart::Runs);
    let mut gateway = gateway.restarted(|root| fs::remove_file(root.join(DATABASE)).unwrap());
    assert!(is_restored(&gateway));
    falls_to_suggest_until_a_clean_sweep(&mut gateway);
}
