//! What version 0.1.0 leaves (schema 2) is opened by the present program: nothing is told twice, nothing that a
//! human said or that was learned is lost. Every later migration goes through this test.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)]

mod fixture;

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use autonomous_orchestrator::{
    Class, Courier, Gate, GitHub, IssueNumber, Limits, NewEscalation, OutboxRow, Proposed,
    Resolution, Settings, Status, Store, StoreError, StoreOptions, StoreOutbox, Task, TaskFilter,
    TaskId, Timestamp, config, delivery_key, label, marker,
};
use rusqlite::Connection;

use crate::github::world::{Issue, Wire, World};
use fixture::{ADOPTED, escalation, finding, restart};

const FIXTURES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/store");
/// Schema versions whose programs left issues, deliveries and approvals.
const FROM: [i64; 7] = [2, 3, 4, 5, 6, 7, 8];
/// A day after the fixture begins.
const NOW: Timestamp = Timestamp::from_millis(1_800_000_000_000);
const DAY: Duration = Duration::from_secs(86_400);

/// A gateway that was upgraded, and the tracker as the old program left it.
struct Upgraded {
    _dir: tempfile::TempDir,
    store: Store,
    world: Arc<Mutex<World>>,
    courier: Courier<GitHub>,
    now: Timestamp,
    /// Delivery key of each subject that had one.
    keys: BTreeMap<String, String>,
}

/// What the old program's own columns say, read without the store.
fn before(path: &Path) -> (String, BTreeMap<String, String>) {
    let old = Connection::open(path).unwrap();
    let id = "SELECT value FROM meta WHERE key = 'gateway_id'";
    let id = old.query_row(id, [], |row| row.get(0)).unwrap();
    let keys = "SELECT subject, outbox.delivery_key FROM outbox JOIN tasks ON tasks.id = task_id";
    let mut keys = old.prepare(keys).unwrap();
    let keys = keys.query_map([], |row| Ok((row.get(0)?, row.get(1)?)));
    (id, keys.unwrap().collect::<Result<_, _>>().unwrap())
}

/// The issues that stand there: each number that the fixture tells of, and the one that arrived unconfirmed.
fn issues(keys: &BTreeMap<String, String>) -> Vec<Issue> {
    let subjects = [
        "adopted", "told", "over", "proposed", "approved", "rearmed", "arrived",
    ];
    let issue = |(at, subject): (usize, &&str)| {
        let subject = format!("{subject}.service");
        let key = keys.get(&subject).map_or("", String::as_str);
        let is_over = subject == "over.service";
        Issue {
            number: at as i64 + 1,
            title: format!("iac1: {subject} failed"),
            body: format!("It does not start.\n\n{}", marker(key)),
            labels: vec![label(key)],
            state: if is_over { "closed" } else { "open" }.to_owned(),
            created_at: NOW.minus(DAY),
            closed_at: is_over.then(|| NOW.minus(DAY)),
            comments: Vec::new(),
        }
    };
    subjects.iter().enumerate().map(issue).collect()
}

fn courier(dir: &Path, world: &Arc<Mutex<World>>, gateway_id: &str) -> Courier<GitHub> {
    let token = dir.join("token");
    std::fs::write(&token, "t0ken").unwrap();
    std::fs::set_permissions(&token, std::fs::Permissions::from_mode(0o600)).unwrap();
    let settings = Settings {
        github: config::Github {
            repository: "o/r".to_owned(),
            token_file: token.to_str().unwrap().to_owned(),
            api_url: "https://sim".to_owned(),
            ..config::Github::default()
        },
        credentials: None,
        reopen: 7 * DAY,
    };
    let limits = Limits {
        spread: Duration::ZERO,
        per_hour: 100,
        per_day: 100,
        gateway_id: gateway_id.to_owned(),
    };
    Courier::new(
        GitHub::new(settings, Box::new(Wire(Arc::clone(world)))),
        limits,
    )
}

impl Upgraded {
    fn new() -> Self {
        Self::after("")
    }

    /// With something more that the old program had done, as SQL.
    fn after(more: &str) -> Self {
        Self::of(2, more)
    }

    /// From what the program of a schema version left.
    fn of(version: i64, more: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("tasks.db");
        let dump = std::fs::read_to_string(format!("{FIXTURES}/v{version}.sql")).unwrap();
        Connection::open(&path)
            .unwrap()
            .execute_batch(&format!("{dump}{more}"))
            .unwrap();
        let (gateway_id, keys) = before(&path);
        let options = StoreOptions {
            ballast_bytes: 0,
            ..StoreOptions::at(&path)
        };
        let (store, report) = Store::open(&options, NOW).unwrap();
        assert!(!report.created, "{report:?}");
        drop(store);
        let (store, report) = Store::open(&options, NOW).unwrap();
        assert!(report.messages.is_empty(), "{report:?}");
        assert_eq!(store.gateway_id().unwrap(), gateway_id);
        let mut world = World::new(1, NOW);
        world.issues = issues(&keys);
        let world = Arc::new(Mutex::new(world));
        Self {
            courier: courier(dir.path(), &world, &gateway_id),
            _dir: dir,
            store,
            world,
            now: NOW,
            keys,
        }
    }

    /// The newest task of a subject.
    fn task(&self, subject: &str) -> Task {
        let filter = TaskFilter {
            subject: Some(subject.to_owned()),
            ..TaskFilter::default()
        };
        let found = self.store.reader().unwrap().tasks(&filter).unwrap();
        found.into_iter().next().unwrap()
    }

    fn rows(&self, task_id: TaskId) -> Vec<OutboxRow> {
        let mut rows = self.store.reader().unwrap().outbox().unwrap();
        rows.retain(|row| row.task_id == task_id);
        rows.reverse();
        rows
    }

    /// One step of the courier, at its own time.
    fn step(&mut self) {
        let outbox = StoreOutbox {
            store: &self.store,
            destination: "github".to_owned(),
        };
        self.world.lock().unwrap().advance(self.now);
        let next = self.courier.tick(&outbox, self.now).at;
        self.now = next.max(self.now.plus(Duration::from_millis(1)));
    }

    fn drain(&mut self) {
        for _ in 0..100 {
            if self
                .store
                .reader()
                .unwrap()
                .counts()
                .unwrap()
                .outbox_waiting
                == 0
            {
                return;
            }
            self.step();
        }
        panic!("{:#?}", self.store.reader().unwrap().outbox().unwrap());
    }

    fn seen(&self, subject: &str) -> TaskId {
        let recorded = self.store.create_task(finding(subject, self.now), self.now);
        recorded.unwrap().task_id
    }

    /// Issues with the key of a subject.
    fn issues_of(&self, subject: &str) -> Vec<Issue> {
        let marker = marker(&self.keys[subject]);
        let mut issues = self.world.lock().unwrap().issues.clone();
        issues.retain(|issue| issue.body.contains(&marker));
        issues
    }

    fn whole(&self) {
        let reader = self.store.reader().unwrap();
        assert_eq!(reader.integrity().unwrap(), "ok");
        reader.audit_verify().unwrap().unwrap();
    }
}

#[test]
fn what_was_on_its_way_is_looked_for_and_nothing_is_told_twice() {
    for version in FROM {
        on_its_way(Upgraded::of(version, ""));
    }
}

fn on_its_way(mut gateway: Upgraded) {
    let state = |gateway: &Upgraded, subject: &str| {
        let rows = gateway.rows(gateway.task(subject).id);
        assert_eq!(rows.len(), 1, "{subject}");
        assert_eq!(rows[0].delivery_key, gateway.keys[subject]);
        rows[0].state.clone()
    };
    assert_eq!(state(&gateway, "arrived.service"), "sending");
    while state(&gateway, "arrived.service") == "sending" {
        gateway.step();
    }
    assert_eq!(state(&gateway, "arrived.service"), "unknown");
    gateway.drain();
    let number = |subject: &str| gateway.task(subject).github_issue_number;
    assert_eq!(
        number("arrived.service"),
        Some(IssueNumber::from_number(7)),
        "the one that stands there"
    );
    for subject in gateway.keys.keys() {
        assert_eq!(gateway.issues_of(subject).len(), 1, "{subject}");
        assert!(number(subject).is_some(), "{subject}");
    }
    // The two that were not there are, and no third.
    assert_eq!(gateway.world.lock().unwrap().issues.len(), 7 + 2);
    gateway.whole();
}

/// What the program before calls `github` is a tracker, and goes on as one; another one knows none of its numbers.
#[test]
fn a_tracker_of_the_version_before_stays_one_and_another_is_told_anew_once() {
    const HOUR: Duration = Duration::from_secs(3_600);
    for version in FROM {
        let mut gateway = Upgraded::of(version, "");
        gateway.drain();
        let rows = |gateway: &Upgraded| gateway.store.reader().unwrap().outbox().unwrap();
        let before = rows(&gateway).len();
        let route = |gateway: &Upgraded, word: &str| {
            gateway
                .store
                .set_routing(&[word], HOUR, gateway.now)
                .unwrap();
        };
        route(&gateway, "github");
        assert_eq!(rows(&gateway).len(), before, "{version}");
        let over = gateway.task("over.service");
        assert!(over.github_issue_number.is_some(), "{version}");
        let open: Vec<String> = gateway.keys.keys().cloned().collect();
        let open = open.iter().map(|subject| gateway.task(subject));
        let mut open: Vec<TaskId> = open
            .filter(|task| task.status != Status::Closed)
            .map(|task| task.id)
            .collect();
        open.sort();
        for _ in 0..2 {
            route(&gateway, "forge:info::tracker-5f0c");
        }
        let mut told: Vec<TaskId> = rows(&gateway)
            .iter()
            .filter(|row| row.destination == "forge")
            .inspect(|row| assert_eq!(row.operation, "create"))
            .map(|row| row.task_id)
            .collect();
        told.sort();
        assert_eq!(told, open, "{version}");
        let all = gateway.store.reader().unwrap();
        let all = all.tasks(&TaskFilter::default()).unwrap();
        assert!(all.iter().all(|task| task.github_issue_number.is_none()));
        gateway.whole();
    }
}

#[test]
fn what_humans_said_and_what_was_learned_is_kept() {
    let gateway = Upgraded::new();
    let (store, reader) = (&gateway.store, gateway.store.reader().unwrap());
    let acknowledged = gateway.task("acknowledged.service").acknowledged_by;
    assert_eq!(acknowledged.as_deref(), Some("cli:root"));
    let snoozed = gateway.task("stubborn.service");
    assert_eq!(snoozed.status, Status::Waiting);
    assert!(snoozed.next_attempt_at.is_some_and(|at| at > NOW));
    for (subject, wins, losses) in [("repaired.service", 2, 0), ("stubborn.service", 0, 1)] {
        let learned = reader
            .learned(Class::ServiceFailed, subject, "restart_unit")
            .unwrap();
        assert_eq!((learned.wins, learned.losses), (wins, losses), "{subject}");
    }
    let repaired = gateway.task("repaired.service");
    assert_eq!(repaired.resolution, Some(Resolution::Fixed));
    assert_eq!(repaired.episode, 2);
    assert_eq!(
        store
            .reader()
            .unwrap()
            .fixed_before(&repaired, 9)
            .unwrap()
            .len(),
        1
    );

    gateway.whole();
}

#[test]
fn what_a_human_put_off_stays_so_when_the_settings_change() {
    for version in FROM {
        let gateway = Upgraded::of(version, "");
        let due = |subject: &str| gateway.task(subject).next_attempt_at;
        let (snoozed, held) = (due("stubborn.service"), due("held.service"));
        gateway.store.works_with("before", NOW).unwrap();
        gateway.store.works_with("after", NOW).unwrap();
        assert_eq!(due("stubborn.service"), snoozed, "{version}");
        assert_ne!(due("held.service"), held, "{version}");
        gateway.whole();
    }
}

/// Of schema 6 on, an approval names one action on one target, and holds.
#[test]
fn what_was_proposed_or_approved_with_its_target_still_is() {
    let gateway = Upgraded::of(6, "");
    let digest = |subject: &str| restart(subject).digest();
    let proposed = gateway.task("proposed.service");
    let stands = proposed.proposal.map(|one| one.digest());
    assert_eq!(stands, Some(digest("proposed.service")));
    let approved = gateway.task("approved.service");
    assert_eq!(approved.approved_digest, Some(digest("approved.service")));
    let learned = gateway.store.reader().unwrap().learned(
        Class::ServiceFailed,
        "repaired.service",
        "restart_unit",
    );
    assert_eq!(learned.unwrap().wins, 2);
    let known = gateway.store.reader().unwrap().healthy_units().unwrap();
    assert!(known.is_empty(), "nothing is known of the time before");
    gateway.whole();
}

/// Up to schema 5 an approval named a kind of action alone, whatever its target had become.
#[test]
fn what_was_proposed_or_approved_without_its_target_is_asked_again_in_the_same_issue() {
    for version in FROM.into_iter().filter(|version| *version <= 5) {
        let mut gateway = Upgraded::of(version, "");
        gateway.drain();
        let issues = gateway.world.lock().unwrap().issues.len();
        // Void, and due at once: both are put before a human again.
        for subject in ["proposed.service", "approved.service"] {
            let task = gateway.task(subject);
            assert_eq!((task.proposal, task.approved_digest), (None, None));
            let digest = restart(subject).digest();
            let until = NOW.plus(DAY);
            let void = gateway
                .store
                .approve(task.id, &digest, until, "cli:root", NOW);
            assert!(
                matches!(void, Err(StoreError::NotProposed { stands: None, .. })),
                "{void:?}"
            );
            let claimed = gateway.store.claim_next("worker-1", gateway.now).unwrap();
            let claimed = claimed.unwrap().id;
            let reader = gateway.store.reader().unwrap();
            let again = NewEscalation {
                proposed: Some(Proposed {
                    action: restart(subject),
                    by_name: reader.showed_another(claimed, &digest).unwrap(),
                    held_back: false,
                }),
                ..escalation(subject)
            };
            assert!(again.proposed.as_ref().is_some_and(|one| one.by_name));
            let (store, now) = (&gateway.store, gateway.now);
            store.escalate(claimed, again, "worker-1", now).unwrap();
        }
        gateway.drain();
        assert_eq!(gateway.world.lock().unwrap().issues.len(), issues);
        for subject in ["proposed.service", "approved.service"] {
            let issue = gateway.issues_of(subject).pop().unwrap();
            assert_eq!(issue.comments.len(), 1, "{subject}");
        }
        let (task, now) = (gateway.task("proposed.service"), gateway.now);
        let digest = task.proposal.unwrap().digest();
        let until = now.plus(DAY);
        let store = &gateway.store;
        store
            .approve(task.id, &digest, until, "cli:root", now)
            .unwrap();
        let claimed = store.claim_next("worker-1", now).unwrap().unwrap();
        assert_eq!(claimed.id, task.id);
        assert_eq!(claimed.approved_digest, Some(digest));
        gateway.whole();
    }
}

#[test]
fn each_problem_goes_on_in_the_issue_that_it_has() {
    let mut gateway = Upgraded::new();
    gateway.drain();
    // Seen again, and over: the same task, the same issue, closed under the key it was opened with.
    let told = gateway.task("told.service").id;
    assert_eq!(gateway.seen("told.service"), told);
    let (human, now) = (Resolution::Human, gateway.now);
    gateway
        .store
        .close_by_human(told, human, "cli:root", now)
        .unwrap();
    // Of the Python daemon, seen again: its task and its issue are taken over.
    let adopted = gateway.seen(ADOPTED);
    assert_eq!(
        gateway.task(ADOPTED).github_issue_number,
        Some(IssueNumber::from_number(1))
    );
    // Back after its end: a new episode, in the issue of the last.
    let over = gateway.task("over.service").id;
    let back = gateway.seen("over.service");
    assert_ne!(back, over);
    let again = escalation("over.service");
    gateway
        .store
        .escalate(back, again, "worker-1", now)
        .unwrap();
    gateway.drain();

    let told = gateway.rows(told);
    assert!(
        told.iter()
            .all(|row| row.delivery_key == gateway.keys["told.service"])
    );
    let states = |number: usize| {
        let issue = &gateway.world.lock().unwrap().issues[number - 1];
        (issue.state.clone(), issue.comments.len())
    };
    assert_eq!(
        states(1),
        ("open".to_owned(), 1),
        "{:?}",
        gateway.rows(adopted)
    );
    assert_eq!(states(2).0, "closed");
    assert_eq!(states(3).0, "open");
    let back = gateway.rows(back);
    assert_eq!(back[0].operation, "reopen");
    assert_ne!(back[0].delivery_key, gateway.keys["over.service"]);
    assert_eq!(gateway.world.lock().unwrap().issues.len(), 7 + 2);
    gateway.whole();
}

#[test]
fn a_problem_keeps_its_key_when_its_fingerprint_changes() {
    let older = "UPDATE tasks SET issue_hash = 'older ' || id, algorithm = 7
                 WHERE subject IN ('told.service', 'waiting.service', 'acknowledged.service')";
    let mut gateway = Upgraded::after(older);
    let (human, now) = (Resolution::Human, gateway.now);
    let told = gateway.seen("told.service");
    let store = &gateway.store;
    store.close_by_human(told, human, "cli:root", now).unwrap();
    // Not told by the old program: its key is that of the fingerprint that the episode began with.
    let fresh = gateway.task("acknowledged.service").id;
    let first = escalation("acknowledged.service");
    store.escalate(fresh, first, "worker-1", now).unwrap();
    let key = delivery_key(&store.gateway_id().unwrap(), &format!("older {fresh}"), 1);
    assert_eq!(gateway.rows(fresh)[0].delivery_key, key);
    gateway.drain();
    for subject in ["told.service", "waiting.service"] {
        let rows = gateway.rows(gateway.task(subject).id);
        let key = &gateway.keys[subject];
        assert!(rows.iter().all(|row| row.delivery_key == *key), "{rows:?}");
        assert_eq!(gateway.issues_of(subject).len(), 1, "{subject}");
    }
    assert_eq!(gateway.world.lock().unwrap().issues[1].state, "closed");
    gateway.whole();
}

#[test]
fn what_waits_is_woken_by_what_it_waits_for() {
    let gateway = Upgraded::new();
    let store = &gateway.store;
    let due = |subject: &str| gateway.task(subject).next_attempt_at <= Some(NOW);
    assert!(!due("symptom.service") && !due("held.service"));
    // Nobody may say that it was verified, nor that it failed: stored since schema 3.
    let (told, unverified) = (gateway.task("told.service").id, Resolution::Unverified);
    let closed = store.close_by_human(told, unverified, "worker-1", NOW);
    closed.unwrap();
    assert_eq!(gateway.task("told.service").resolution, Some(unverified));
    assert!(due("symptom.service") && !due("held.service"));
    assert_eq!(store.wake_waiting(Gate::KillSwitch, NOW).unwrap(), 1);
    assert!(due("held.service"));
    gateway.whole();
}

#[test]
fn how_often_it_was_told_is_counted_on() {
    let gateway = Upgraded::new();
    let store = &gateway.store;
    let id = gateway.task("rearmed.service").id;
    assert_eq!(store.reader().unwrap().times_told(id).unwrap(), 2);
    // The third time is a comment, the fourth says nothing new.
    for rows in [3, 3] {
        store.retry(id, "cli:root", NOW).unwrap();
        let again = escalation("rearmed.service");
        store.escalate(id, again, "worker-1", NOW).unwrap();
        assert_eq!(gateway.rows(id).len(), rows);
    }
}

#[test]
fn a_restore_goes_on_until_a_clean_sweep_and_no_longer() {
    let restored = |more: &str| {
        let at = "INSERT INTO meta VALUES ('restored_at', '2027-01-14 09:00:00.000')";
        let gateway = Upgraded::after(&format!("{at}{more}"));
        let reader = gateway.store.reader().unwrap();
        reader.restored().unwrap().map(|at| at.to_string())
    };
    let open = restored(", ('restored_until_clean_sweep', '1')");
    assert_eq!(open.as_deref(), Some("2027-01-14 09:00:00.000"));
    // The old program never ended it for deliveries.
    assert_eq!(restored(""), None);
}
