//! Deliveries over days: what is confirmed keeps its own issue, what was said does not stand in its way.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use crate::core::human::delivery::{Delivery, DeliveryStep, Hold, Operation};
use crate::core::model::class::Class;
use crate::core::model::finding::{Finding, Severity};
use crate::core::model::id::{IssueNumber, TaskId};
use crate::core::model::task::{Resolution, Status};
use crate::core::model::time::Timestamp;
use crate::daemon::outbox::StoreOutbox;
use crate::daemon::storm_limit::StormLimit;
use crate::escalation::courier::{Courier, Limits};
use crate::escalation::outbox::OutboxError;
use crate::escalation::tracker::Tracker;
use crate::store::{Intake, NewEscalation, Store, StoreOptions, TaskFilter};

const START: Timestamp = Timestamp::from_millis(1_800_000_000_000);
const HOUR: Duration = Duration::from_secs(3_600);
const DAY: Duration = Duration::from_secs(86_400);

/// A place where humans look, which can be out of reach until a time.
#[derive(Debug, Default)]
struct Place {
    back_at: Option<Timestamp>,
    /// Task and operation of each delivery, in order.
    took: Vec<(TaskId, Operation)>,
}

#[derive(Clone, Debug)]
struct Wire(Rc<RefCell<Place>>);

impl Tracker for Wire {
    fn destination(&self) -> &str {
        "github"
    }

    fn deliver(
        &mut self,
        delivery: &Delivery,
        begin: &mut dyn FnMut() -> Result<(), OutboxError>,
        now: Timestamp,
    ) -> DeliveryStep {
        let mut place = self.0.borrow_mut();
        if place.back_at.is_some_and(|at| now < at) {
            let why = "no route to host".to_owned();
            return DeliveryStep::Hold {
                hold: Hold::Offline { why },
                note: delivery.note(),
            };
        }
        begin().unwrap();
        place.took.push((delivery.task_id, delivery.operation));
        let number = delivery.issue_number;
        let number = number.unwrap_or(IssueNumber::from_number(delivery.task_id.number()));
        DeliveryStep::Confirmed {
            number: Some(number),
            url: None,
        }
    }

    fn renewed(&mut self) -> bool {
        false
    }
}

struct Gateway {
    _dir: tempfile::TempDir,
    store: Store,
    courier: Courier<Wire>,
    place: Rc<RefCell<Place>>,
}

impl Gateway {
    fn new(back_at: Option<Timestamp>) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let options = StoreOptions::at(dir.path().join("tasks.db"));
        let (store, _) = Store::open(&options, START).unwrap();
        store.set_routing(&["github"], HOUR, START).unwrap();
        let place = Rc::new(RefCell::new(Place {
            back_at,
            took: Vec::new(),
        }));
        let limits = Limits {
            per_hour: 3,
            per_day: 10,
            spread: Duration::ZERO,
            gateway_id: "g".to_owned(),
        };
        Self {
            _dir: dir,
            store,
            courier: Courier::new(Wire(Rc::clone(&place)), limits),
            place,
        }
    }

    fn found(&self, finding: Finding, now: Timestamp) -> TaskId {
        let intake = Intake {
            findings: vec![finding],
            cursor: None,
        };
        let task = self.store.intake(intake, now).unwrap().remove(0).task_id;
        self.escalate_new(now);
        task
    }

    fn fails(&self, n: usize, now: Timestamp) -> TaskId {
        let (class, unit) = (Class::ServiceFailed, format!("unit-{n}.service"));
        let finding = Finding::new(class, &unit, Severity::Error, "failed", "units", now);
        self.found(finding, now)
    }

    fn says(&self, writer: &str, n: usize, severity: Severity, now: Timestamp) -> TaskId {
        let (class, subject) = (Class::LogError, format!("{writer} {n}"));
        let finding = Finding::new(class, &subject, severity, "broke", "journal", now);
        self.found(finding.said_by(writer), now)
    }

    /// New kinds of messages by one writer, as a stream hands them on; how many got tasks of their own.
    fn storms(&self, limit: &mut StormLimit, kinds: std::ops::Range<usize>, now: Timestamp) -> u32 {
        let finding = |n: usize| {
            let word: String = n
                .to_string()
                .bytes()
                .map(|digit| char::from(digit + 49))
                .collect();
            let (class, message) = (Class::LogError, format!("part {word} broke"));
            Finding::new(
                class,
                "app (uid 1001)",
                Severity::Error,
                &message,
                "journal",
                now,
            )
            .said_by("uid 1001")
        };
        let reader = self.store.reader().unwrap();
        let findings = limit.apply(&reader, kinds.map(finding).collect(), 50, now);
        let intake = Intake {
            findings,
            cursor: None,
        };
        let recorded = self.store.intake(intake, now).unwrap();
        self.escalate_new(now);
        u32::try_from(recorded.iter().filter(|one| one.created).count()).unwrap()
    }

    /// What a worker does with what it cannot repair.
    fn escalate_new(&self, now: Timestamp) {
        let detected = TaskFilter {
            open_only: true,
            status: Some(Status::Detected),
            ..TaskFilter::default()
        };
        for task in self.store.reader().unwrap().tasks(&detected).unwrap() {
            self.store.claim_next("w", now).unwrap().unwrap();
            let escalation = NewEscalation {
                reason: "no repair is allowed".to_owned(),
                title: task.subject.clone(),
                body: task.message.clone(),
                severity: task.severity,
                retry_at: None,
                proposed: None,
            };
            let claimed = TaskFilter {
                status: Some(Status::InProgress),
                ..TaskFilter::default()
            };
            let claimed = self.store.reader().unwrap().tasks(&claimed).unwrap();
            for task in claimed {
                let escalation = escalation.clone();
                self.store.escalate(task.id, escalation, "w", now).unwrap();
            }
        }
    }

    /// The courier alone, with what its own findings make of it, from one time to another.
    fn serve(&mut self, from: Timestamp, until: Timestamp) {
        let mut now = from;
        while now < until {
            let outbox = StoreOutbox {
                store: &self.store,
                destination: "github".to_owned(),
            };
            let next = self.courier.tick(&outbox, now).at;
            self.escalate_new(now);
            now = next.max(now.plus(Duration::from_millis(1)));
        }
    }

    fn waiting(&self) -> u64 {
        self.store
            .reader()
            .unwrap()
            .counts()
            .unwrap()
            .outbox_waiting
    }

    /// Tasks that have an issue, in the order of delivery.
    fn issues(&self) -> Vec<TaskId> {
        let took = &self.place.borrow().took;
        let opened = took
            .iter()
            .filter(|(_, operation)| *operation == Operation::Create);
        opened.map(|(task, _)| *task).collect()
    }

    fn subject(&self, task: TaskId) -> String {
        let task = self.store.reader().unwrap().task(task).unwrap();
        task.unwrap().subject
    }
}

#[test]
fn five_days_offline_with_forty_faults_and_a_storm_are_forty_issues_and_a_summary() {
    let back_at = START.plus(DAY * 5);
    let mut gateway = Gateway::new(Some(back_at));
    let (mut confirmed, mut said) = (Vec::new(), 0);
    let mut limit = StormLimit::default();
    for n in 0..40 {
        let now = START.plus(HOUR * 3 * u32::try_from(n).unwrap());
        // 8,000 lines in five storms, each line of a kind of its own.
        if n % 8 == 0 {
            said += gateway.storms(&mut limit, 200 * n..200 * (n + 8), now);
        }
        confirmed.push(gateway.fails(n, now));
        gateway.serve(now, now.plus(HOUR * 3));
    }
    assert!(gateway.issues().is_empty());
    // Of each storm three quarters of the places, and one summary of all that had none.
    assert_eq!(said, 5 * 38 + 1);
    let all = u64::from(said) + 40;
    assert_eq!(gateway.waiting(), all, "nothing is folded while offline");
    gateway.serve(back_at, back_at.plus(DAY * 20));
    let issues = gateway.issues();
    let (own, other): (Vec<TaskId>, Vec<TaskId>) =
        issues.iter().partition(|id| confirmed.contains(id));
    assert_eq!(own, confirmed, "each has its own, the oldest first");
    let subjects: Vec<String> = other.iter().map(|id| gateway.subject(*id)).collect();
    assert_eq!(subjects, ["messages not told at github"]);
    let summary = gateway.store.reader().unwrap().task(other[0]).unwrap();
    assert_eq!(summary.unwrap().seen_count, u64::from(said));
    assert_eq!(gateway.waiting(), 0);
}

#[test]
fn what_is_critical_is_never_folded_and_writers_share_the_slots() {
    let mut gateway = Gateway::new(None);
    let critical = gateway.says("app.service", 0, Severity::Critical, START);
    for n in 1..8 {
        gateway.says("app.service", n, Severity::Critical, START);
        gateway.says("uid 1001", n, Severity::Error, START);
    }
    gateway.serve(START, START.plus(HOUR));
    assert_eq!(gateway.issues(), [critical]);
    gateway.serve(START.plus(HOUR), START.plus(DAY));
    let issues = gateway.issues();
    let of = |writer: &str| {
        let own = |id: &&TaskId| gateway.subject(**id).starts_with(writer);
        issues.iter().filter(own).count()
    };
    assert_eq!((of("app.service"), of("uid 1001")), (2, 2), "{issues:?}");
    gateway.serve(START.plus(DAY), START.plus(DAY * 10));
    let issues = gateway.issues();
    let of_app = issues
        .iter()
        .filter(|id| gateway.subject(**id).starts_with("app"));
    assert_eq!(of_app.count(), 8);
}

#[test]
fn what_is_over_before_it_was_sent_is_cancelled_and_no_trouble() {
    let mut gateway = Gateway::new(Some(START.plus(DAY)));
    let task = gateway.fails(1, START);
    let close = |id| {
        let (actor, human) = ("human", Resolution::Human);
        gateway
            .store
            .close_by_human(id, human, actor, START)
            .unwrap();
    };
    close(task);
    let counts = gateway.store.reader().unwrap().counts().unwrap();
    assert_eq!((counts.outbox_waiting, counts.outbox_dead), (0, 0));
    let rows = gateway.store.reader().unwrap().outbox().unwrap();
    assert!(rows.iter().all(|row| row.state == "cancelled"), "{rows:?}");
    gateway.serve(START, START.plus(DAY * 2));
    assert!(gateway.issues().is_empty());
}

#[test]
fn a_destination_has_no_rows_until_it_is_configured_and_then_what_is_open() {
    let mut gateway = Gateway::new(None);
    gateway.store.set_routing(&[], HOUR, START).unwrap();
    let (open, over) = (gateway.fails(1, START), gateway.fails(2, START));
    let store = &gateway.store;
    store
        .close_by_human(over, Resolution::Human, "human", START)
        .unwrap();
    assert!(store.reader().unwrap().outbox().unwrap().is_empty());
    for _ in 0..2 {
        store.set_routing(&["github"], HOUR, START).unwrap();
        store
            .set_routing(&["github", "webhook"], HOUR, START)
            .unwrap();
    }
    let mut told: Vec<(TaskId, String)> = store
        .reader()
        .unwrap()
        .outbox()
        .unwrap()
        .into_iter()
        .map(|row| (row.task_id, row.destination))
        .collect();
    told.sort();
    let to = |name: &str| (open, name.to_owned());
    assert_eq!(told, [to("github"), to("webhook")]);
    gateway.serve(START, START.plus(HOUR));
    assert_eq!(gateway.issues(), [open]);
}
