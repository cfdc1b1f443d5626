//! Random schedules of faults, deaths and clock jumps in simulated time. `SEED=n` replays one, `SCHEDULES=n` runs more.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use autonomous_orchestrator::{
    Courier, GitHub, IssueNumber, IssuePlace, IssueTracker, Limits, Operation, Outbox, Settings,
    Severity, State, TaskId, Timestamp, config, delivery_key, is_marked, marker,
};
use serde_json::json;

use super::forges::Dialect;
use super::outbox::{Killed, Memory, s};
use super::world::{Random, Wire, World};

pub const START: Timestamp = Timestamp::from_millis(1_763_878_648_000);
const DAY: Duration = Duration::from_secs(86_400);
const SCHEDULES: u64 = 500;
const PER_HOUR: u32 = 3;
const PER_DAY: u32 = 10;

/// One gateway: its outbox, its clock's error, its courier while it lives.
pub struct Gateway {
    id: String,
    pub outbox: Memory,
    courier: Courier<IssueTracker>,
    /// Local minus true time, in ms.
    skew: i64,
    pub next: Timestamp,
}

pub struct Bed {
    directory: tempfile::TempDir,
    world: Arc<Mutex<World>>,
}

impl Bed {
    fn new(seed: u64) -> Self {
        Self::at(Dialect::GitHub, seed)
    }

    pub fn at(dialect: Dialect, seed: u64) -> Self {
        use std::os::unix::fs::PermissionsExt;
        let directory = tempfile::tempdir().unwrap();
        let token = directory.path().join("token");
        std::fs::write(&token, "t0ken").unwrap();
        std::fs::set_permissions(&token, std::fs::Permissions::from_mode(0o600)).unwrap();
        let mut world = World::new(seed, START);
        world.dialect = dialect;
        Self {
            directory,
            world: Arc::new(Mutex::new(world)),
        }
    }

    /// The tracker on the terms of Gitea or GitLab, as they are configured.
    fn forge(&self, kind: &str) -> IssueTracker {
        let text = format!(
            "[[notify]]\nname = \"forge\"\nkind = \"{kind}\"\nurl = \"https://sim/\"\nproject = \"o/r\"\n\
             token_file = \"{}\"\nassignees = [\"operator\"]\nconfidential = {}\n",
            self.token().display(),
            kind == "gitlab"
        );
        let config = config::Config::parse(&text).unwrap();
        let place = IssuePlace {
            // That of the queue in memory.
            destination: "github".to_owned(),
            ..IssuePlace::of(&config.notify[0], None, DAY).unwrap()
        };
        IssueTracker::on(place, Box::new(Wire(Arc::clone(&self.world))))
    }

    fn token(&self) -> PathBuf {
        self.directory.path().join("token")
    }

    pub fn world(&self) -> std::sync::MutexGuard<'_, World> {
        self.world.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn courier(&self, gateway_id: &str) -> Courier<IssueTracker> {
        self.courier_spread(gateway_id, Duration::ZERO)
    }

    fn courier_spread(&self, gateway_id: &str, spread: Duration) -> Courier<IssueTracker> {
        let dialect = self.world().dialect;
        let limits = Limits {
            spread,
            per_hour: PER_HOUR,
            per_day: PER_DAY,
            gateway_id: gateway_id.to_owned(),
        };
        match dialect {
            Dialect::GitHub => {}
            Dialect::Gitea => return Courier::new(self.forge("gitea"), limits),
            Dialect::GitLab => return Courier::new(self.forge("gitlab"), limits),
        }
        let settings = Settings {
            github: config::Github {
                repository: "o/r".to_owned(),
                token_file: self.token().to_str().unwrap().to_owned(),
                api_url: "https://sim".to_owned(),
                assignees: vec!["operator".to_owned()],
                ..config::Github::default()
            },
            credentials: None,
            reopen: DAY,
        };
        Courier::new(
            GitHub::new(settings, Box::new(Wire(Arc::clone(&self.world)))),
            limits,
        )
    }

    pub fn gateway(&self, id: &str) -> Gateway {
        Gateway {
            id: id.to_owned(),
            outbox: Memory::default(),
            courier: self.courier(id),
            skew: 0,
            next: START,
        }
    }

    /// One tick of a gateway at true time; a death restarts its courier after a while.
    pub fn tick(&self, gateway: &mut Gateway, random: &mut Random) -> bool {
        let now = self.world().now;
        let local = Timestamp::from_millis(now.as_millis() + gateway.skew);
        let Gateway {
            courier, outbox, ..
        } = gateway;
        match catch_unwind(AssertUnwindSafe(|| courier.tick(outbox, local))) {
            Ok(next) => {
                gateway.next = Timestamp::from_millis(next.at.as_millis() - gateway.skew);
                true
            }
            Err(payload) => {
                let _: Box<Killed> = payload
                    .downcast()
                    .unwrap_or_else(|other| std::panic::resume_unwind(other));
                gateway.courier = self.courier(&gateway.id);
                gateway.skew = match random.below(4) {
                    0 => -3_600_000 * random.below(20) as i64,
                    1 => 3_600_000 * random.below(800) as i64,
                    _ => 0,
                };
                gateway.next = now.plus(s(random.below(120)));
                // What was asked to wait is not known to the new process.
                self.world().quiet_until = Timestamp::from_millis(0);
                false
            }
        }
    }
}

/// The rows that one problem leaves in the outbox: create, sometimes a comment, close.
pub fn problem(
    gateway: &Gateway,
    task: i64,
    episode: u64,
    random: &mut Random,
    now: Timestamp,
) -> String {
    let key = delivery_key(&gateway.id, &"f1".repeat(32), episode * 1000 + task as u64);
    let local = Timestamp::from_millis(now.as_millis() + gateway.skew);
    let severity = [Severity::Warning, Severity::Error, Severity::Critical][random.place(3)];
    let push = |operation, payload: serde_json::Value| {
        gateway
            .outbox
            .push(task, operation, &payload.to_string(), &key, severity, local);
    };
    push(
        Operation::Create,
        json!({ "title": format!("task {task}"), "body": "it broke" }),
    );
    if random.chance(60) {
        push(Operation::Comment, json!({ "body": "seen again" }));
    }
    push(
        Operation::Close,
        json!({ "body": "fixed", "resolution": "fixed" }),
    );
    key
}

#[derive(Debug, Default)]
struct Totals {
    issues: usize,
    requests: u32,
    deaths: u32,
    kinds: BTreeMap<&'static str, u32>,
}

fn run(dialect: Dialect, seed: u64, totals: &mut Totals) {
    let bed = Bed::at(dialect, seed);
    let mut random = Random(seed ^ 0x5eed);
    {
        let mut world = bed.world();
        world.fault_percent = random.below(45);
        world.drop_labels = random.chance(25);
        world.refuse_assignees = random.chance(25);
        world.lag_s = random.below(31);
        if random.chance(20) {
            let from = START.plus(s(random.below(600)));
            world.offline.push((from, from.plus(3 * DAY)));
        }
        if random.chance(25) {
            let from = START.plus(s(random.below(900)));
            let status = [401, 403, 404, 410][random.place(4)];
            world
                .forbidden
                .push((from, from.plus(s(random.below(7200))), status));
        }
    }
    let mut gateways = [bed.gateway("gateway-a"), bed.gateway("gateway-b")];
    let mut keys = Vec::new();
    for gateway in &gateways {
        for task in 1..=1 + random.below(3) as i64 {
            keys.push(problem(gateway, task, 1, &mut random, START));
        }
    }
    let deadly = random.chance(60);
    let mut steps = 0;
    while gateways.iter().any(|gateway| gateway.outbox.open() > 0) {
        steps += 1;
        assert!(
            steps < 60_000,
            "seed {seed}: no end: {:?}",
            gateways.each_ref().map(open_rows)
        );
        let index = usize::from(gateways[1].next < gateways[0].next);
        let gateway = &mut gateways[index];
        let at = gateway.next;
        bed.world().advance(at);
        if deadly && random.chance(8) {
            if random.chance(50) {
                gateway
                    .outbox
                    .dies_in
                    .set(Some((random.few(), random.chance(50))));
            } else {
                bed.world().dies_in = Some(random.few());
            }
        }
        if gateways[index].outbox.open() == 0 {
            gateways[index].next = bed.world().now.plus(DAY * 400);
            continue;
        }
        let alive = bed.tick(&mut gateways[index], &mut random);
        totals.deaths += u32::from(!alive);
        // A clock that was wrong is set right some time later.
        if gateways[index].skew != 0 && random.chance(20) {
            gateways[index].skew = 0;
            gateways[index].courier = bed.courier(&gateways[index].id.clone());
        }
        let now = bed.world().now;
        gateways[index].next = gateways[index].next.max(now.plus(Duration::from_millis(1)));
    }
    // Whatever was still on its way arrives.
    let end = bed.world().now.plus(s(120));
    bed.world().advance(end);
    check(seed, &bed, &gateways, &keys);
    let world = bed.world();
    totals.issues += world.issues.len();
    totals.requests += world.requests;
    for (kind, count) in &world.kinds {
        *totals.kinds.entry(kind).or_default() += count;
    }
}

pub fn open_rows(gateway: &Gateway) -> (i64, Timestamp, Vec<String>) {
    let rows = gateway.outbox.rows.borrow();
    let open = rows
        .values()
        .filter(|row| !matches!(row.delivery.state, State::Confirmed | State::Dead));
    let text = open.map(|row| format!("{:?}", row.delivery)).collect();
    (gateway.skew, gateway.next, text)
}

pub fn check(seed: u64, bed: &Bed, gateways: &[Gateway], keys: &[String]) {
    let world = bed.world();
    for key in keys {
        let marker = marker(key);
        let count = world
            .issues
            .iter()
            .filter(|issue| is_marked(&issue.body, &marker))
            .count();
        assert_eq!(count, 1, "seed {seed}: issues for one problem");
    }
    assert_eq!(world.issues.len(), keys.len(), "seed {seed}");
    for gateway in gateways {
        for row in gateway.outbox.rows.borrow().values() {
            let delivery = &row.delivery;
            assert_eq!(
                delivery.state,
                State::Confirmed,
                "seed {seed}: {delivery:?}"
            );
            let written = world
                .issues
                .iter()
                .flat_map(|issue| &issue.comments)
                .filter(|text| is_marked(text, &delivery.row_marker()))
                .count();
            let wanted = usize::from(delivery.operation != Operation::Create);
            assert_eq!(written, wanted, "seed {seed}: {delivery:?}");
        }
    }
    assert!(
        world.issues.iter().all(|issue| issue.state == "closed"),
        "seed {seed}"
    );
    if gateways.len() == 1 {
        assert_eq!(
            world.early_requests, 0,
            "seed {seed}: asked to wait, did not"
        );
    }
}

fn every_schedule(dialect: Dialect) {
    let mut totals = Totals::default();
    if let Some(seed) = std::env::var("SEED")
        .ok()
        .and_then(|text| text.parse().ok())
    {
        run(dialect, seed, &mut totals);
        return;
    }
    let wanted = std::env::var("SCHEDULES")
        .ok()
        .and_then(|text| text.parse().ok())
        .unwrap_or(SCHEDULES);
    for seed in 0..wanted {
        run(dialect, seed, &mut totals);
    }
    println!(
        "{dialect:?}: {wanted} schedules, 2 gateways each: {} problems, {} issues, {} requests, {} deaths",
        totals.issues, totals.issues, totals.requests, totals.deaths
    );
    for (kind, count) in &totals.kinds {
        println!("  {count:>6}  {kind}");
    }
}

#[test]
fn exactly_one_issue_through_every_schedule() {
    every_schedule(Dialect::GitHub);
}

#[test]
fn exactly_one_issue_through_every_schedule_at_gitea() {
    every_schedule(Dialect::Gitea);
}

#[test]
fn exactly_one_issue_through_every_schedule_at_gitlab() {
    every_schedule(Dialect::GitLab);
}

pub const FORGES: [Dialect; 2] = [Dialect::Gitea, Dialect::GitLab];

/// 72 hours without a network, 12 problems, then catch-up within the caps, the most critical first.
#[test]
fn days_offline_end_without_a_storm() {
    days_offline(Dialect::GitHub);
    FORGES.into_iter().for_each(days_offline);
}

fn days_offline(dialect: Dialect) {
    let bed = Bed::at(dialect, 7);
    let mut gateway = bed.gateway("gateway-a");
    let end = START.plus(3 * DAY);
    bed.world().offline.push((START, end));
    for task in 1..=12 {
        let severity = [Severity::Warning, Severity::Error, Severity::Critical]
            [usize::try_from(task % 3).unwrap()];
        let key = delivery_key("gateway-a", "f", task as u64);
        let payload = json!({ "title": format!("{severity} {task}"), "body": "b" }).to_string();
        gateway
            .outbox
            .push(task, Operation::Create, &payload, &key, severity, START);
    }
    let mut random = Random(1);
    while gateway.outbox.open() > 0 {
        bed.world().advance(gateway.next);
        bed.tick(&mut gateway, &mut random);
        let now = bed.world().now;
        if now < end {
            assert_eq!(
                gateway.outbox.writes.get(),
                0,
                "days without a network cost no writes"
            );
        }
        assert!(
            now < end.plus(3 * DAY),
            "{:#?}",
            gateway.outbox.rows.borrow()
        );
    }
    let world = bed.world();
    let order: Vec<&str> = world
        .issues
        .iter()
        .map(|issue| issue.title.split(' ').next().unwrap())
        .collect();
    assert_eq!(
        order,
        [["critical"; 4], ["error"; 4], ["warning"; 4]].concat()
    );
    let created: Vec<Timestamp> = world.issues.iter().map(|issue| issue.created_at).collect();
    for (most, window) in [(PER_HOUR, s(3600)), (PER_DAY, DAY)] {
        for from in &created {
            let within = created
                .iter()
                .filter(|at| *at >= from && at.since(*from) < window)
                .count();
            assert!(within <= most as usize, "{within} in {window:?}");
        }
    }
    println!(
        "12 issues in {:?} after the network returned, {} requests",
        created[11].since(end),
        world.requests
    );
}

/// A limit is obeyed to the second, and rows that wait for a human cost one request per hold.
#[test]
fn limits_and_parking_are_kept() {
    let forges = FORGES
        .iter()
        .flat_map(|forge| (0..100).map(|seed| (*forge, seed)));
    let all = (0..100).map(|seed| (Dialect::GitHub, seed)).chain(forges);
    for (dialect, seed) in all {
        let bed = Bed::at(dialect, seed);
        bed.world().fault_percent = 60;
        let mut random = Random(seed);
        let mut gateway = bed.gateway("gateway-a");
        let keys = vec![problem(&gateway, 1, 1, &mut random, START)];
        let mut steps = 0;
        while gateway.outbox.open() > 0 {
            steps += 1;
            assert!(steps < 60_000, "seed {seed}");
            bed.world().advance(gateway.next);
            bed.tick(&mut gateway, &mut random);
        }
        check(seed, &bed, std::slice::from_ref(&gateway), &keys);
    }
}

#[test]
fn a_bad_token_parks_tells_locally_and_a_new_one_resumes() {
    a_bad_token(Dialect::GitHub);
    FORGES.into_iter().for_each(a_bad_token);
}

fn a_bad_token(dialect: Dialect) {
    let bed = Bed::at(dialect, 3);
    let mut random = Random(3);
    let mut gateway = bed.gateway("gateway-a");
    bed.world().forbidden.push((START, START.plus(s(600)), 401));
    problem(&gateway, 1, 1, &mut random, START);
    bed.tick(&mut gateway, &mut random);
    assert!(
        gateway
            .outbox
            .parked
            .borrow()
            .as_deref()
            .unwrap()
            .contains("token")
    );
    assert!(gateway.courier.parked().is_some());
    bed.world().advance(START.plus(s(601)));
    bed.tick(&mut gateway, &mut random);
    assert_eq!(
        bed.world().requests,
        1,
        "the same token is not tried again so soon"
    );
    std::fs::write(bed.token(), "new").unwrap();
    bed.tick(&mut gateway, &mut random);
    assert!(gateway.outbox.parked.borrow().is_none());
    // Gitea's labels come first, one in each attempt.
    while bed.world().issues.is_empty() && dialect == Dialect::Gitea {
        assert!(bed.world().labels.len() <= 2);
        bed.world().advance(gateway.next);
        bed.tick(&mut gateway, &mut random);
    }
    assert_eq!(bed.world().issues.len(), 1);
}

/// What comes back counts like what is new: a flapping problem cannot get round the caps.
#[test]
fn reopened_issues_count_in_the_caps() {
    let bed = Bed::new(11);
    let mut random = Random(11);
    let mut gateway = bed.gateway("gateway-a");
    for task in 1..=i64::from(PER_HOUR) {
        problem(&gateway, task, 1, &mut random, START);
    }
    let drain = |gateway: &mut Gateway, random: &mut Random| {
        while gateway.outbox.open() > 0 {
            bed.world().advance(gateway.next);
            bed.tick(gateway, random);
        }
    };
    drain(&mut gateway, &mut random);
    let opened = bed.world().issues.last().unwrap().created_at;
    let now = bed.world().now;
    gateway
        .outbox
        .numbers
        .borrow_mut()
        .insert(TaskId::from_number(9), IssueNumber::from_number(1));
    let key = delivery_key("gateway-a", "f", 9);
    let again = json!({ "title": "again", "body": "b", "comment": "back" }).to_string();
    gateway
        .outbox
        .push(9, Operation::Reopen, &again, &key, Severity::Error, now);
    gateway.next = now;
    drain(&mut gateway, &mut random);
    assert_eq!(bed.world().issues.len(), PER_HOUR as usize);
    assert_eq!(bed.world().issues[0].state, "open");
    assert!(
        bed.world().now.since(opened) >= s(3_500),
        "it waited for its place"
    );
}

/// A fault of 200 gateways at once: each comes in its own part of two hours, at most 500 an hour in all.
#[test]
fn many_gateways_spread_over_the_limit_that_they_share() {
    let bed = Bed::new(13);
    let mut random = Random(13);
    let mut fleet: Vec<Gateway> = (0..200)
        .map(|n| {
            let id = format!("gateway-{n}");
            Gateway {
                courier: bed.courier_spread(&id, s(7_200)),
                ..bed.gateway(&id)
            }
        })
        .collect();
    for gateway in &fleet {
        let key = delivery_key(&gateway.id, "f", 1);
        let payload = json!({ "title": "t", "body": "b" }).to_string();
        gateway
            .outbox
            .push(1, Operation::Create, &payload, &key, Severity::Error, START);
    }
    while fleet.iter().any(|one| one.outbox.open() > 0) {
        let open = fleet.iter_mut().filter(|one| one.outbox.open() > 0);
        let gateway = open.min_by_key(|one| one.next).unwrap();
        bed.world().advance(gateway.next);
        bed.tick(gateway, &mut random);
        gateway.next = gateway
            .next
            .max(bed.world().now.plus(Duration::from_millis(1)));
    }
    let world = bed.world();
    let at: Vec<Duration> = world
        .issues
        .iter()
        .map(|one| one.created_at.since(START))
        .collect();
    assert_eq!(at.len(), 200);
    let quarters: Vec<usize> = (0..4)
        .map(|n| at.iter().filter(|at| at.as_secs() / 1_800 == n).count())
        .collect();
    println!("200 gateways in two hours, by half hour: {quarters:?}");
    assert!(
        quarters.iter().all(|count| (25..=80).contains(count)),
        "{quarters:?}"
    );
}

/// A recurrence inside the window reopens; after it, a new issue links the old one.
#[test]
fn recurrence_reopens_within_the_window_and_links_after_it() {
    recurrence(Dialect::GitHub);
    FORGES.into_iter().for_each(recurrence);
}

fn recurrence(dialect: Dialect) {
    let bed = Bed::at(dialect, 5);
    let mut random = Random(5);
    let mut gateway = bed.gateway("gateway-a");
    problem(&gateway, 1, 1, &mut random, START);
    let drain = |gateway: &mut Gateway, random: &mut Random| {
        while gateway.outbox.open() > 0 {
            bed.world().advance(gateway.next);
            bed.tick(gateway, random);
        }
    };
    drain(&mut gateway, &mut random);
    let again =
        json!({ "title": "again", "body": "it broke again", "comment": "back" }).to_string();
    for (task, later) in [(2, s(3600)), (3, 3 * DAY)] {
        let now = bed.world().now.plus(later);
        bed.world().advance(now);
        gateway
            .outbox
            .numbers
            .borrow_mut()
            .insert(TaskId::from_number(task), IssueNumber::from_number(1));
        let key = delivery_key("gateway-a", "f", task as u64);
        gateway
            .outbox
            .push(task, Operation::Reopen, &again, &key, Severity::Error, now);
        gateway.next = now;
        drain(&mut gateway, &mut random);
        if task == 2 {
            assert_eq!(bed.world().issues[0].state, "open");
            gateway.outbox.push(
                task,
                Operation::Close,
                r#"{"message":"fixed"}"#,
                &key,
                Severity::Error,
                now,
            );
            drain(&mut gateway, &mut random);
        }
    }
    let world = bed.world();
    assert_eq!(world.issues.len(), 2);
    assert!(
        world.issues[1].body.starts_with("Seen before: #1."),
        "{}",
        world.issues[1].body
    );
    assert!(gateway.outbox.next("github", world.now).unwrap().is_none());
}
