//! Channels with what they want to hear and when: store, courier and channel together, over a pretended wire.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use crate::core::config::{Config, Notify};
use crate::core::human::route::Route;
use crate::core::model::class::Class;
use crate::core::model::finding::{Finding, Severity};
use crate::core::model::id::TaskId;
use crate::core::model::task::{Resolution, Status};
use crate::core::model::time::Timestamp;
use crate::daemon::outbox::StoreOutbox;
use crate::escalation::channel::{Channel, Line, Teller};
use crate::escalation::courier::{Courier, Limits};
use crate::escalation::http::{Request, Response, SendError, Transport};
use crate::store::{Intake, NewEscalation, Store, StoreOptions, TaskFilter};

const HOUR: Duration = Duration::from_secs(3_600);

/// Takes what is posted, or is out of reach.
#[derive(Clone, Debug, Default)]
pub(super) struct Wire(Arc<Mutex<(bool, Vec<String>)>>);

impl Wire {
    pub(super) fn cut(&self, is_cut: bool) {
        self.0.lock().unwrap().0 = is_cut;
    }

    /// What came, in order.
    pub(super) fn bodies(&self) -> Vec<String> {
        self.0.lock().unwrap().1.clone()
    }

    /// Headlines of what came, in order.
    fn came(&self) -> Vec<String> {
        let bodies = self.bodies();
        let text = |body: &String| {
            let body: serde_json::Value = serde_json::from_str(body).unwrap();
            body["text"].as_str().unwrap_or_default().to_owned()
        };
        bodies.iter().map(text).collect()
    }
}

impl Transport for Wire {
    fn send(&self, request: &Request) -> Result<Response, SendError> {
        let mut state = self.0.lock().unwrap();
        if state.0 {
            return Err(SendError::NotSent("no route to host".to_owned()));
        }
        state.1.push(request.body.clone().unwrap_or_default());
        Ok(Response {
            status: 200,
            ..Response::default()
        })
    }
}

/// A finding that no repair is known for.
pub(super) fn found(store: &Store, unit: &str, severity: Severity, now: Timestamp) -> TaskId {
    let class = Class::ServiceFailed;
    let finding = Finding::new(class, unit, severity, "it broke", "units", now);
    let intake = Intake {
        findings: vec![finding],
        cursor: None,
    };
    let task = store.intake(intake, now).unwrap().remove(0).task_id;
    let detected = TaskFilter {
        open_only: true,
        status: Some(Status::Detected),
        ..TaskFilter::default()
    };
    if !store.reader().unwrap().tasks(&detected).unwrap().is_empty() {
        store.claim_next("w", now).unwrap().unwrap();
        let escalation = NewEscalation {
            reason: "no repair is allowed".to_owned(),
            title: format!("gw: {unit} broke"),
            body: "it broke".to_owned(),
            severity,
            retry_at: None,
            proposed: None,
        };
        store.escalate(task, escalation, "w", now).unwrap();
    }
    task
}

struct Gateway {
    _dir: tempfile::TempDir,
    store: Store,
    courier: Courier<Channel>,
    wire: Wire,
}

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

impl Gateway {
    /// With one channel to Slack that has these keys beside.
    fn new(keys: &str) -> Self {
        let text = format!(
            "[[notify]]\nname = \"ops\"\nkind = \"slack\"\nurl = \"https://hooks.example/x\"\nlocal = false\n{keys}"
        );
        let notify: Notify = Config::parse(&text).unwrap().notify.remove(0);
        let dir = tempfile::tempdir().unwrap();
        let start = at("2026-03-01 12:00:00");
        let options = StoreOptions::at(dir.path().join("tasks.db"));
        let (store, _) = Store::open(&options, start).unwrap();
        let route = Route::of(&notify);
        let words = ["github".to_owned(), route.word()];
        let words = words.each_ref().map(String::as_str);
        store.set_routing(&words, HOUR, start).unwrap();
        let wire = Wire::default();
        let teller = Teller {
            gateway: "gw".to_owned(),
            gateway_id: "5f0c".to_owned(),
            credentials: None,
            answer_key: None,
        };
        let limits = Limits {
            per_hour: 20,
            per_day: 100,
            spread: Duration::ZERO,
            gateway_id: "5f0c".to_owned(),
        };
        let line = Line::over(Box::new(wire.clone()), &teller);
        let schedule = notify.schedule();
        let channel = Channel::new(notify, &teller, line);
        Self {
            _dir: dir,
            store,
            courier: Courier::new(channel, limits).by(schedule),
            wire,
        }
    }

    /// A finding that no repair is known for.
    fn found(&self, unit: &str, severity: Severity, now: Timestamp) -> TaskId {
        found(&self.store, unit, severity, now)
    }

    fn over(&self, task: TaskId, now: Timestamp) {
        let resolution = Resolution::Human;
        self.store
            .close_by_human(task, resolution, "ann", now)
            .unwrap();
    }

    fn serve(&mut self, from: &str, until: &str) {
        let (mut now, until) = (at(from), at(until));
        while now < until {
            let outbox = StoreOutbox {
                store: &self.store,
                destination: "ops".to_owned(),
            };
            let next = self.courier.tick(&outbox, now).at;
            now = next.max(now.plus(Duration::from_millis(1)));
        }
    }

    fn rows(&self, destination: &str) -> Vec<String> {
        let rows = self.store.reader().unwrap().outbox().unwrap();
        let mine = rows
            .iter()
            .rev()
            .filter(|row| row.destination == destination);
        mine.map(|row| format!("{} {}", row.operation, row.state))
            .collect()
    }
}

#[test]
fn a_channel_hears_what_it_takes_and_what_becomes_so_severe() {
    let mut gateway = Gateway::new("severity = \"error\"");
    let noon = at("2026-03-01 12:00:00");
    let task = gateway.found("web.service", Severity::Warning, noon);
    assert_eq!(gateway.rows("github"), ["create pending"]);
    assert!(gateway.rows("ops").is_empty());
    // It ends without a word where nobody heard of it.
    let other = gateway.found("db.service", Severity::Warning, noon);
    gateway.over(other, noon);
    assert!(gateway.rows("ops").is_empty());
    let later = at("2026-03-01 12:10:00");
    gateway.found("web.service", Severity::Critical, later);
    gateway.serve("2026-03-01 12:10:00", "2026-03-01 12:11:00");
    assert_eq!(gateway.wire.came(), ["🔴 gw: web.service broke"]);
    gateway.over(task, later);
    gateway.serve("2026-03-01 12:11:00", "2026-03-01 12:12:00");
    let came = gateway.wire.came();
    assert_eq!(
        came[1..],
        ["✅ closed by a human: gw: web.service: it broke"]
    );
}

#[test]
fn a_class_that_is_not_wanted_is_not_told() {
    let gateway = Gateway::new("classes = [\"disk_full\"]");
    gateway.found("web.service", Severity::Critical, at("2026-03-01 12:00:00"));
    assert_eq!(gateway.rows("github"), ["create pending"]);
    assert!(gateway.rows("ops").is_empty());
}

#[test]
fn at_night_only_what_is_critical_wakes_somebody() {
    let mut gateway = Gateway::new("quiet = \"22:00-06:00\"");
    gateway.found("slow.service", Severity::Error, at("2026-03-01 23:00:00"));
    gateway.found(
        "fast.service",
        Severity::Critical,
        at("2026-03-01 23:00:01"),
    );
    gateway.serve("2026-03-01 23:00:01", "2026-03-02 05:59:59");
    assert_eq!(gateway.wire.came(), ["🔴 gw: fast.service broke"]);
    // It became worse in the night.
    gateway.found(
        "slow.service",
        Severity::Critical,
        at("2026-03-02 03:00:00"),
    );
    gateway.serve("2026-03-02 03:00:00", "2026-03-02 03:01:00");
    assert_eq!(gateway.wire.came()[1..], ["🔴 gw: slow.service broke"]);
    gateway.found("late.service", Severity::Error, at("2026-03-02 04:00:00"));
    gateway.serve("2026-03-02 04:00:00", "2026-03-02 05:59:59");
    assert_eq!(gateway.wire.came().len(), 2);
    gateway.serve("2026-03-02 06:00:00", "2026-03-02 06:01:00");
    assert_eq!(gateway.wire.came()[2..], ["🟠 gw: late.service broke"]);
}

#[test]
fn a_day_is_one_digest_also_after_the_line_was_cut_and_after_a_crash() {
    let mut gateway = Gateway::new("digest = \"07:00\"");
    let mut tasks = Vec::new();
    for n in 0..5 {
        let now = at(&format!("2026-03-01 1{n}:00:00"));
        tasks.push(gateway.found(&format!("u{n}.service"), Severity::Error, now));
    }
    gateway.serve("2026-03-01 14:00:00", "2026-03-02 06:59:00");
    assert!(gateway.wire.came().is_empty());
    // Over before anybody was told: nobody needs to hear of it.
    gateway.over(tasks[0], at("2026-03-01 20:00:00"));
    gateway.wire.cut(true);
    gateway.serve("2026-03-02 06:59:00", "2026-03-02 07:30:00");
    assert!(gateway.wire.came().is_empty());
    gateway.wire.cut(false);
    gateway.serve("2026-03-02 07:30:00", "2026-03-02 08:00:00");
    assert_eq!(gateway.wire.came(), ["🟠 gw: digest of 4 messages"]);
    gateway.serve("2026-03-02 08:00:00", "2026-03-02 12:00:00");
    assert_eq!(gateway.wire.came().len(), 1);
    // The next one tells what ended and what is new; a daemon that died in the middle of it tells it again.
    gateway.over(tasks[1], at("2026-03-02 12:00:00"));
    gateway.found("new.service", Severity::Error, at("2026-03-02 12:00:00"));
    let rows = gateway.store.reader().unwrap().outbox().unwrap();
    for row in rows
        .iter()
        .filter(|row| row.destination == "ops" && row.state == "pending")
    {
        gateway
            .store
            .outbox_sending(row.id, at("2026-03-03 07:00:00"))
            .unwrap();
    }
    gateway.serve("2026-03-03 07:00:01", "2026-03-03 08:00:00");
    let came = gateway.wire.came();
    assert_eq!(came[1..], ["🟠 gw: digest of 2 messages, 1 of them over"]);
    let all = gateway.rows("ops");
    let left = all
        .iter()
        .filter(|row| !row.ends_with("confirmed") && !row.ends_with("cancelled"));
    assert_eq!(left.count(), 0, "{all:?}");
}

#[test]
fn no_cap_holds_back_what_is_critical() {
    let mut gateway = Gateway::new("");
    let noon = at("2026-03-01 12:00:00");
    for n in 0..25 {
        gateway.found(&format!("u{n}.service"), Severity::Error, noon);
    }
    gateway.serve("2026-03-01 12:00:00", "2026-03-01 12:09:00");
    // The cap leaves a part of the hour for what is worse; what it holds back comes together.
    let by_themselves = gateway.wire.came().len();
    assert!(by_themselves < 20, "the caps hold: {by_themselves}");
    gateway.serve("2026-03-01 12:09:00", "2026-03-01 12:30:00");
    let came = gateway.wire.came();
    let rest = format!("🟠 gw: digest of {} messages", 25 - by_themselves);
    assert_eq!(came[by_themselves..], [rest]);
    let later = at("2026-03-01 12:30:00");
    gateway.found("worst.service", Severity::Critical, later);
    gateway.serve("2026-03-01 12:30:00", "2026-03-01 12:31:00");
    let came = gateway.wire.came();
    assert_eq!(
        came.last().map(String::as_str),
        Some("🔴 gw: worst.service broke")
    );
}

#[test]
fn over_the_uplinks_ceiling_only_what_is_critical_is_told_until_the_day_is_over() {
    let mut gateway = Gateway::new("");
    let noon = at("2026-03-01 12:00:00");
    gateway
        .courier
        .hold_until(Some(crate::daemon::uplink::day_ends(noon)));
    gateway.found("slow.service", Severity::Error, noon);
    gateway.found("fast.service", Severity::Critical, noon);
    for n in 0..4 {
        gateway.found(&format!("u{n}.service"), Severity::Warning, noon);
    }
    gateway.serve("2026-03-01 12:00:00", "2026-03-01 23:59:59");
    assert_eq!(gateway.wire.came(), ["🔴 gw: fast.service broke"]);
    gateway.courier.hold_until(None);
    gateway.serve("2026-03-01 23:59:59", "2026-03-02 00:01:00");
    assert_eq!(gateway.wire.came()[1..], ["🟠 gw: digest of 5 messages"]);
}

#[test]
fn few_that_are_late_come_one_by_one() {
    let mut gateway = Gateway::new("");
    let noon = at("2026-03-01 12:00:00");
    gateway.wire.cut(true);
    for n in 0..3 {
        gateway.found(&format!("u{n}.service"), Severity::Error, noon);
    }
    gateway.serve("2026-03-01 12:00:00", "2026-03-01 18:00:00");
    gateway.wire.cut(false);
    gateway.serve("2026-03-01 18:00:00", "2026-03-01 18:30:00");
    assert_eq!(gateway.wire.came().len(), 3);
}

#[test]
fn after_hours_without_a_way_out_what_is_critical_is_told_within_a_minute() {
    let mut gateway = Gateway::new("");
    let noon = at("2026-03-01 12:00:00");
    gateway.wire.cut(true);
    gateway.found("slow.service", Severity::Error, noon);
    gateway.serve("2026-03-01 12:00:00", "2026-03-01 20:00:00");
    // The pause has grown; what waited before is no worse.
    let evening = at("2026-03-01 20:00:00");
    gateway.found("fast.service", Severity::Critical, evening);
    gateway.serve("2026-03-01 20:00:00", "2026-03-01 20:20:00");
    gateway.wire.cut(false);
    gateway.serve("2026-03-01 20:20:00", "2026-03-01 20:21:01");
    let came = gateway.wire.came();
    assert_eq!(
        came.first().map(String::as_str),
        Some("🔴 gw: fast.service broke")
    );
}
