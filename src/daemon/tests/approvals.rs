//! An approval, through the whole engine: one action on one target, once. What became another one meanwhile is not
//! done, and a human hears of both.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::Duration;

use sha2::{Digest as _, Sha256};

use super::gateway::{Gateway, UNIT};
use super::restore::issues;
use super::units::{DROP_IN, OnStart};
use crate::core::config::{Config, Mode};
use crate::core::model::hex::hex;
use crate::core::model::proposal::{Digest, Proposal};
use crate::core::model::task::{Status, Task};
use crate::store::StoreError;

const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3_600);
const OTHER: &str = "other.service";
const KILL_SWITCH: &str = "/etc/autonomous-orchestrator/disable";
const FRAGMENT: &str = "/etc/systemd/system/app.service";
/// Where the unit's program was found again, what it holds, and as much that is something else.
const FOUND: &str = "/opt/app/bin-2/run";
const HELD: &str = "#!/bin/sh\nexec good\n";
const SWAPPED: &str = "#!/bin/sh\nexec evil\n";

fn suggest(config: &mut Config) {
    config.mode.limit = Mode::Suggest;
}

/// The program of a unit moved, and what shipped it says where to.
pub(super) fn moved(set: fn(&mut Config)) -> Gateway {
    let mut gateway = Gateway::with(set);
    gateway.write(FRAGMENT, "[Service]\nExecStart=/opt/app/bin/run\n");
    gateway.program(FOUND);
    gateway.write(FOUND, HELD);
    gateway.ships(FRAGMENT, FOUND);
    gateway.units.put(UNIT, "active");
    gateway
        .units
        .change(UNIT, |unit| FRAGMENT.clone_into(&mut unit.fragment));
    gateway.runs_for(MINUTE);
    gateway
}

/// As shipped: a human is asked for the drop-in that names its new place.
fn asked_for_a_drop_in() -> Gateway {
    let gateway = moved(|_| {});
    assert_eq!(gateway.task(UNIT).status, Status::Escalated);
    assert_eq!(gateway.issue_states(), ["open"]);
    gateway
}

/// Units that failed, where a human is asked for each start.
fn asked_for_starts(units: &[&str]) -> Gateway {
    let mut gateway = Gateway::with(suggest);
    for unit in units {
        gateway.units.fail(unit, OnStart::Runs);
    }
    gateway.runs_for(MINUTE);
    assert_eq!(gateway.starts(), 0);
    gateway
}

fn proposal(gateway: &Gateway, subject: &str) -> Proposal {
    gateway.task(subject).proposal.unwrap()
}

fn approve(gateway: &Gateway, task: &Task, digest: &Digest) -> Result<(), StoreError> {
    let (store, now) = (&gateway.runtime.store, gateway.now());
    store.approve(task.id, digest, now.plus(HOUR), "human", now)
}

/// What is proposed about a subject names this value under that name.
fn term(proposal: &Proposal, name: &str) -> String {
    let mut lines = proposal.lines().into_iter();
    lines
        .find_map(|(other, value)| (other == name).then_some(value))
        .unwrap()
}

fn count(gateway: &Gateway, subject: &str, event: &str) -> usize {
    let events = gateway.events(&gateway.task(subject));
    events.iter().filter(|one| one.starts_with(event)).count()
}

fn on_host(root: &Path, path: &str) -> std::path::PathBuf {
    root.join(path.trim_start_matches('/'))
}

fn other_content(root: &Path) {
    fs::write(on_host(root, FOUND), SWAPPED).unwrap();
}

/// The same content and name, another file.
fn other_file(root: &Path) {
    let (file, aside) = (on_host(root, FOUND), on_host(root, "/opt/aside"));
    fs::copy(&file, &aside).unwrap();
    fs::rename(aside, file).unwrap();
}

fn other_mode(root: &Path) {
    fs::set_permissions(on_host(root, FOUND), fs::Permissions::from_mode(0o700)).unwrap();
}

fn other_place(root: &Path) {
    let place = on_host(root, "/opt/app/bin-3");
    fs::rename(on_host(root, "/opt/app/bin-2"), place).unwrap();
    // The package that brings it says so.
    let list = "/.\n/etc/systemd/system/app.service\n/opt/app/bin-3/run\n";
    fs::write(on_host(root, "/var/lib/dpkg/info/app.list"), list).unwrap();
}

fn other_line(root: &Path) {
    let text = "[Service]\nExecStart=/opt/app/bin/run --fast\n";
    fs::write(on_host(root, FRAGMENT), text).unwrap();
}

/// A way in which the target becomes another one, and the term that tells of it.
type Change = (&'static str, fn(&Path), &'static str);

const CHANGES: &[Change] = &[
    ("content of the same size", other_content, "new sha256"),
    ("another file of that name", other_file, "new inode"),
    ("another mode", other_mode, "new mode"),
    ("another line of the unit", other_line, "line"),
    ("another place", other_place, "new"),
];

#[test]
fn a_target_that_changed_since_it_was_proposed_is_asked_for_again_with_both_values() {
    for (name, change, differs) in CHANGES {
        let mut gateway = asked_for_a_drop_in();
        let before = proposal(&gateway, UNIT);
        change(gateway.dir.path());
        gateway.approve(UNIT, HOUR);
        gateway.runs_for(MINUTE);

        assert!(!gateway.exists(DROP_IN), "{name}: it was done");
        let (task, after) = (gateway.task(UNIT), proposal(&gateway, UNIT));
        assert_eq!(task.status, Status::Escalated, "{name}");
        assert_eq!(task.approved_digest, None, "{name}");
        assert_ne!(after.digest(), before.digest(), "{name}");
        let (old, new) = (term(&before, differs), term(&after, differs));
        let told = format!("{differs} {old} -> {new}");
        let events = gateway.events(&task);
        let says = |event: &String| event.starts_with("escalated: ") && event.contains(&told);
        assert!(events.iter().any(says), "{name}: {told}: {events:#?}");
        assert_eq!(gateway.issue_states(), ["open"], "{name}");
        let bodies = gateway.issues.bodies();
        for value in [
            old.as_str(),
            &new,
            before.digest().short(),
            after.digest().short(),
        ] {
            let told = bodies.last().is_some_and(|body| body.contains(value));
            assert!(told, "{name}: {value} is not in {bodies:#?}");
        }

        let stale = approve(&gateway, &task, &before.digest());
        assert!(
            matches!(stale, Err(StoreError::NotProposed { .. })),
            "{name}"
        );
        gateway.approve(UNIT, HOUR);
        gateway.runs_for(MINUTE);
        assert!(gateway.exists(DROP_IN), "{name}: what was asked for again");
    }
}

/// Lets `change` happen to the host once an attempt is booked: all that was decided is decided then.
fn once_booked(gateway: &Gateway, change: fn(&Path)) {
    let (units, root) = (gateway.units.clone(), gateway.dir.path().to_owned());
    let mut change = Some(change);
    gateway.script.on("systemctl show", move |words| {
        if attempts(&root) > 0
            && let Some(change) = change.take()
        {
            change(&root);
        }
        units.show(words)
    });
}

fn attempts(root: &Path) -> i64 {
    let database = rusqlite::Connection::open(root.join(super::gateway::DATABASE)).unwrap();
    let all = "SELECT count(*) FROM attempts";
    database.query_row(all, [], |row| row.get(0)).unwrap()
}

#[test]
fn a_file_that_is_replaced_between_the_approval_and_the_act_is_refused_with_both_values() {
    let mut gateway = asked_for_a_drop_in();
    let before = proposal(&gateway, UNIT);
    once_booked(&gateway, other_content);
    gateway.approve(UNIT, HOUR);
    gateway.runs_for(10 * MINUTE);

    assert!(!gateway.exists(DROP_IN));
    let sha256 = |text: &str| hex(&Sha256::digest(text));
    assert_eq!(term(&before, "new sha256"), sha256(HELD));
    let told = format!("new sha256 {} -> {}", sha256(HELD), sha256(SWAPPED));
    let events = gateway.events(&gateway.task(UNIT));
    let refused = |event: &String| event.starts_with("fix_failed: ") && event.contains(&told);
    assert!(events.iter().any(refused), "{told}: {events:#?}");
    assert_eq!(count(&gateway, UNIT, "attempt"), 1);
    assert_eq!(gateway.task(UNIT).status, Status::Escalated);
    assert_eq!(gateway.issue_states(), ["open"]);
    let reader = gateway.runtime.store.reader().unwrap();
    reader.audit_verify().unwrap().unwrap();
}

#[test]
fn every_change_between_the_approval_and_the_act_leaves_the_host_as_it_was() {
    for (name, change, _) in CHANGES {
        let mut gateway = asked_for_a_drop_in();
        let before = proposal(&gateway, UNIT);
        once_booked(&gateway, *change);
        gateway.approve(UNIT, HOUR);
        gateway.runs_for(MINUTE);
        assert!(!gateway.exists(DROP_IN), "{name}");
        assert_eq!(count(&gateway, UNIT, "refused"), 1, "{name}");
        // A human is asked for what stands there now, and what was asked for then is done.
        assert_ne!(proposal(&gateway, UNIT).digest(), before.digest(), "{name}");
        gateway.approve(UNIT, HOUR);
        gateway.runs_for(MINUTE);
        assert!(gateway.exists(DROP_IN), "{name}: what was asked for again");
    }
}

#[test]
fn an_approval_is_used_once_whether_it_comes_back_in_its_window_or_later() {
    for (name, later) in [("in its window", 20), ("later", 3_600)] {
        let mut gateway = asked_for_starts(&[UNIT]);
        gateway.approve(UNIT, 24 * HOUR);
        gateway.runs_for(Duration::from_secs(later));
        assert_eq!(gateway.starts(), 1, "{name}");
        gateway.units.fail(UNIT, OnStart::Runs);
        gateway.runs_for(3 * HOUR);
        assert_eq!(gateway.starts(), 1, "{name}: by the old approval");
        let task = gateway.task(UNIT);
        assert_eq!(task.status, Status::Escalated, "{name}");
        assert_eq!(task.approved_digest, None, "{name}");
        assert_eq!(gateway.issue_states().len(), 1, "{name}");
        gateway.approve(UNIT, HOUR);
        gateway.runs_for(MINUTE);
        assert_eq!(gateway.starts(), 2, "{name}: by the new one");
    }
}

#[test]
fn approving_twice_is_approving_once() {
    let mut gateway = asked_for_starts(&[UNIT]);
    let (task, digest) = (gateway.task(UNIT), proposal(&gateway, UNIT).digest());
    approve(&gateway, &task, &digest).unwrap();
    approve(&gateway, &task, &digest).unwrap();
    gateway.runs_for(20 * MINUTE);
    assert_eq!(gateway.starts(), 1);
    assert_eq!(count(&gateway, UNIT, "attempt"), 1);
    // What is over cannot be approved.
    let again = approve(&gateway, &task, &digest);
    assert!(matches!(again, Err(StoreError::WrongState { .. })));
    gateway.units.fail(UNIT, OnStart::Runs);
    gateway.runs_for(20 * MINUTE);
    assert_eq!(gateway.starts(), 1);
}

#[test]
fn approving_one_task_does_not_touch_another() {
    let mut gateway = asked_for_starts(&[UNIT, OTHER]);
    let (task, other) = (gateway.task(UNIT), gateway.task(OTHER));
    let digest = proposal(&gateway, UNIT).digest();
    let foreign = approve(&gateway, &other, &digest);
    assert!(matches!(foreign, Err(StoreError::NotProposed { .. })));
    approve(&gateway, &task, &digest).unwrap();
    gateway.runs_for(20 * MINUTE);
    assert_eq!(gateway.task(UNIT).status, Status::Closed);
    let after = gateway.task(OTHER);
    assert_eq!(
        (after.status, after.approved_digest, after.proposal),
        (Status::Escalated, None, other.proposal)
    );
    assert_eq!(count(&gateway, OTHER, "attempt"), 0);
    assert_eq!(gateway.starts(), 1);
}

#[test]
fn an_approval_of_before_a_restore_is_void_and_asked_for_again_in_the_same_issue() {
    let mut gateway = asked_for_a_drop_in();
    gateway.write(KILL_SWITCH, "people at work\n");
    gateway.approve(UNIT, 48 * HOUR);
    gateway.runs_for(MINUTE);
    let kept = gateway.runtime.store.maintain(gateway.now()).unwrap();
    assert!(kept.backup.is_some());
    gateway.damage();
    gateway.remove(KILL_SWITCH);
    gateway.runs_for(20 * MINUTE);

    assert!(!gateway.exists(DROP_IN), "by an approval of before");
    let task = gateway.task(UNIT);
    assert_eq!(
        (task.status, task.approved_digest.as_ref()),
        (Status::Escalated, None)
    );
    let void = "approval_void: made before the restore";
    assert_eq!(count(&gateway, UNIT, void), 1);
    let asked = "escalated: mode suggest: a human must approve";
    assert_eq!(count(&gateway, UNIT, asked), 2);
    assert_eq!(issues(&gateway), ["open"]);

    // Every budget counts as spent in its window, the longest of which is a day.
    gateway.approve(UNIT, 48 * HOUR);
    gateway.runs_for(26 * HOUR);
    assert!(gateway.exists(DROP_IN), "by the new one");
}

#[test]
fn an_approval_that_expired_is_asked_for_again_in_the_same_issue() {
    let mut gateway = asked_for_a_drop_in();
    gateway.write(KILL_SWITCH, "people at work\n");
    gateway.approve(UNIT, MINUTE);
    gateway.runs_for(5 * MINUTE);
    gateway.remove(KILL_SWITCH);
    gateway.runs_for(5 * MINUTE);
    assert!(!gateway.exists(DROP_IN), "by an approval that expired");
    let asked = "escalated: mode suggest: a human must approve";
    assert_eq!(count(&gateway, UNIT, asked), 2);
    assert_eq!(gateway.issue_states(), ["open"]);
    gateway.approve(UNIT, MINUTE);
    gateway.runs_for(MINUTE);
    assert!(gateway.exists(DROP_IN), "by the new one");
}
