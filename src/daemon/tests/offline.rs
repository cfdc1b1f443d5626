//! Three days without a network, and what each person hears afterwards: store, couriers and channels together, over a
//! pretended wire. `cargo test --lib offline -- --nocapture` prints it.

use std::time::Duration;

use serde_json::Value;

use super::channels::{Wire, found};
use crate::core::config::{Config, Notify};
use crate::core::human::route::Route;
use crate::core::model::finding::Severity;
use crate::core::model::id::TaskId;
use crate::core::model::task::{Resolution, Transition};
use crate::core::model::time::Timestamp;
use crate::daemon::outbox::StoreOutbox;
use crate::escalation::channel::{Channel, Line, Teller};
use crate::escalation::courier::{Courier, Limits};
use crate::store::{Store, StoreOptions};

const MINUTE: Duration = Duration::from_secs(60);
/// The caps as shipped.
const PER_HOUR: u32 = 3;
const PER_DAY: u32 = 20;
/// One who hears everything at once, one whose day has quiet hours, one who reads once a day, one who wants the worst
/// alone, and a program.
const CHANNELS: &str = r#"
[[notify]]
name = "ops"
kind = "slack"
url = "https://hooks.example/x"
[[notify]]
name = "night"
kind = "ntfy"
url = "https://ntfy.example"
topic = "gateways"
quiet = "22:00-06:00"
local = false
[[notify]]
name = "office"
kind = "teams"
url = "https://teams.example/x"
digest = "07:00"
local = false
[[notify]]
name = "boss"
kind = "slack"
url = "https://hooks.example/boss"
severity = "critical"
[[notify]]
name = "scada"
kind = "webhook"
url = "https://scada.example/in"
severity = "error"
"#;

struct Person {
    courier: Courier<Channel>,
    wire: Wire,
    kind: String,
}

impl Person {
    fn new(notify: Notify) -> Self {
        let teller = Teller {
            gateway: "gw".to_owned(),
            gateway_id: "5f0c".to_owned(),
            credentials: None,
            answer_key: None,
        };
        let limits = Limits {
            per_hour: PER_HOUR,
            per_day: PER_DAY,
            spread: Duration::ZERO,
            gateway_id: teller.gateway_id.clone(),
        };
        let wire = Wire::default();
        wire.cut(true);
        let line = Line::over(Box::new(wire.clone()), &teller);
        let (schedule, kind) = (notify.schedule(), notify.kind.to_string());
        let channel = Channel::new(notify, &teller, line);
        Self {
            courier: Courier::new(channel, limits).by(schedule),
            wire,
            kind,
        }
    }

    fn serve(&mut self, store: &Store, from: Timestamp, until: Timestamp) {
        let mut now = from;
        while now < until {
            let outbox = StoreOutbox {
                store,
                destination: self.courier.destination().to_owned(),
            };
            let next = self.courier.tick(&outbox, now).at;
            now = next.max(now.plus(Duration::from_millis(1)));
        }
    }

    /// Headline, and the whole of it.
    fn heard(&self) -> Vec<(String, String)> {
        let bodies = self.wire.bodies().into_iter();
        bodies
            .map(|body| {
                let json: Value = serde_json::from_str(&body).unwrap();
                let headline = match self.kind.as_str() {
                    "slack" => &json["text"],
                    "teams" => &json["attachments"][0]["content"]["body"][0]["text"],
                    _ => &json["title"],
                };
                (headline.as_str().unwrap().to_owned(), body)
            })
            .collect()
    }
}

/// What is wrong, in the order in which it began: name, how severe it is in the end, whether it is over by then.
struct Fault {
    unit: String,
    severity: Severity,
    is_over: bool,
}

/// 40 faults, one each 108 minutes. Every third ends by itself two hours later, the eighteenth becomes critical.
fn three_days(
    store: &Store,
    people: &mut [Person],
    start: Timestamp,
    end: Timestamp,
) -> Vec<Fault> {
    let mut faults: Vec<(Fault, TaskId, Timestamp)> = Vec::new();
    let mut now = start;
    for n in 0..40 {
        let severity = match n % 4 {
            0 | 1 => Severity::Warning,
            _ => Severity::Error,
        };
        let unit = format!("u{n:02}.service");
        let task = found(store, &unit, severity, now);
        let fault = Fault {
            unit,
            severity,
            is_over: false,
        };
        faults.push((fault, task, now));
        let until = now.plus(MINUTE * 108).min(end);
        for person in &mut *people {
            person.serve(store, now, until);
        }
        now = until;
        for (at, (fault, task, began)) in faults.iter_mut().enumerate() {
            if at % 3 == 1 && !fault.is_over && now.since(*began) >= MINUTE * 120 {
                let close = Transition::Close {
                    resolution: Resolution::SelfCleared,
                    message: "it runs again".to_owned(),
                };
                store.transition(*task, close, "scanner", now).unwrap();
                fault.is_over = true;
            }
        }
        if n == 25 {
            let (fault, _, _) = &mut faults[18];
            found(store, &fault.unit, Severity::Critical, now);
            fault.severity = Severity::Critical;
        }
    }
    for person in &mut *people {
        person.serve(store, now, end);
    }
    faults.into_iter().map(|(fault, _, _)| fault).collect()
}

#[test]
fn after_three_days_offline_each_hears_little_the_worst_first_and_nothing_that_is_over() {
    let at = |text: &str| text.parse::<Timestamp>().unwrap();
    let (start, back) = (at("2026-03-01 12:00:00"), at("2026-03-04 12:00:00"));
    let dir = tempfile::tempdir().unwrap();
    let (store, _) = Store::open(&StoreOptions::at(dir.path().join("tasks.db")), start).unwrap();
    let config = Config::parse(CHANNELS).unwrap();
    let routes = config.notify.iter().map(|notify| Route {
        least: notify.severity,
        ..Route::all(&notify.name)
    });
    let words: Vec<String> = routes.map(|route| route.word()).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    store.set_routing(&words, MINUTE * 60, start).unwrap();
    let mut people: Vec<Person> = config.notify.into_iter().map(Person::new).collect();

    let faults = three_days(&store, &mut people, start, back);
    let over = faults.iter().filter(|fault| fault.is_over).count();
    assert!(over >= 12, "{over}");
    for person in &mut people {
        assert!(person.wire.bodies().is_empty());
        person.wire.cut(false);
    }
    println!("40 faults in 72 h offline, {over} over by themselves, u18 became critical");
    for person in &mut people {
        person.serve(&store, back, back.plus(MINUTE * 5));
        let at_once = person.heard().len();
        // The caps spread the rest; the digest comes in the morning.
        person.serve(&store, back.plus(MINUTE * 5), back.plus(MINUTE * 60 * 48));
        let heard = person.heard();
        let name = person.courier.destination().to_owned();
        println!("{name}: {at_once} within 5 min, {} in all", heard.len());
        for (headline, _) in &heard {
            println!("    {headline}");
        }
        assert!(heard[0].0.contains("u18.service"), "{name}: {heard:?}");
        assert!(at_once <= PER_HOUR as usize, "{name}: {at_once}");
        let least = match name.as_str() {
            "boss" => Severity::Critical,
            "scada" => Severity::Error,
            _ => Severity::Info,
        };
        for fault in &faults {
            let times = heard.iter().filter(|(_, text)| text.contains(&fault.unit));
            let wanted = usize::from(!fault.is_over && fault.severity >= least);
            assert_eq!(times.count(), wanted, "{name}: {}", fault.unit);
        }
        let told = faults
            .iter()
            .filter(|fault| !fault.is_over && fault.severity >= least);
        let wanted = match name.as_str() {
            // The worst, what had waited for the digest, and what began after this morning's.
            "office" => 3,
            // The worst, and all that is late.
            "ops" | "night" => 2,
            _ => told.count(),
        };
        assert_eq!(heard.len(), wanted, "{name}");
        let errors = |text: &str| {
            faults
                .iter()
                .any(|fault| text.contains(&fault.unit) && fault.severity == Severity::Error)
        };
        if name == "scada" {
            assert!(heard.iter().skip(1).all(|(_, text)| errors(text)));
        }
    }
    let waiting = store.reader().unwrap().outbox().unwrap();
    let waiting = waiting
        .iter()
        .filter(|row| !matches!(row.state.as_str(), "confirmed" | "cancelled"));
    assert_eq!(waiting.count(), 0);
}
