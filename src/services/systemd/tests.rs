//! Both ways to systemd, and what comes of each: the bus is a server that answers as systemd does, `systemctl` a script.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)]

use std::fmt::Write as _;
use std::io::{BufRead, BufReader, Read, Write as _};
use std::os::unix::net::{UnixListener, UnixStream};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

mod about;
mod owners;

use super::bus::{MANAGER, MANAGER_PATH, PROPERTIES, unit_of_path, unit_path};
use super::wire::spoken::{Said, error, properties, reply, signal, text, variant};
use super::wire::{self, MessageKind};
use super::*;
use crate::core::model::manager_event::{
    Happening, JobId, JobKind, JobResult, ManagerEvent, ManagerState, UnitChange,
};
use crate::core::model::sorted::SortedMap;
use crate::core::model::time::Timestamp;
use crate::core::model::unit::{Left, Purpose};
use crate::host::clock::Clock;
use crate::host::exec::scripted::{Answer, Scripted, fails, says};

const SYSTEMD: &str = ":1.7";

/// What is known of one unit: properties that are texts.
type Properties = SortedMap<&'static str, String>;

/// A systemd with units, whichever way it is asked.
#[derive(Debug, Default)]
struct State {
    units: SortedMap<String, Properties>,
    /// How jobs end; empty for those that do not.
    result: &'static str,
    /// Words of each call or command.
    asked: Vec<String>,
    /// Sent right after the answer about a job, or about all jobs.
    signals: Vec<Vec<u8>>,
    /// In place of the next answer; the connection ends after it.
    garbage: Option<Vec<u8>>,
    /// What the journal says, one answer after the other; the last one stays.
    journal: Vec<String>,
}

#[derive(Clone, Debug, Default)]
struct Fake(Arc<Mutex<State>>);

impl Fake {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap()
    }

    fn put(&self, name: &str, active: &str) {
        let properties = [
            ("Id", name),
            ("LoadState", "loaded"),
            ("ActiveState", active),
            ("SubState", "x"),
            ("Result", "success"),
        ];
        let properties = properties.map(|(name, value)| (name, value.to_owned()));
        self.lock().units.insert(name.to_owned(), properties.into());
    }

    fn set(&self, unit: &str, name: &'static str, value: &str) {
        let mut state = self.lock();
        let unit = state.units.get_mut(unit).unwrap();
        unit.insert(name, value.to_owned());
    }

    fn journalctl(&self, words: &[&str]) -> Answer {
        let mut state = self.lock();
        state.asked.push(words.join(" "));
        match state.journal.len() {
            0 => says(""),
            1 => says(state.journal[0].as_str()),
            _ => says(state.journal.remove(0)),
        }
    }

    /// What was asked since the last time.
    fn asked(&self) -> Vec<String> {
        std::mem::take(&mut self.lock().asked)
    }

    /// Serves the socket at `path` until the test is over; `sender` stands in each message.
    fn listen(&self, host: &Host, path: &str, sender: &'static str) {
        let path = host.path(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        let listener = UnixListener::bind(path).unwrap();
        let fake = self.clone();
        std::thread::spawn(move || {
            for socket in listener.incoming() {
                let fake = fake.clone();
                std::thread::spawn(move || fake.serve(&socket.unwrap(), sender));
            }
        });
    }

    fn serve(&self, socket: &UnixStream, sender: &str) {
        let mut lines = BufReader::new(socket.try_clone().unwrap());
        for answer in [Some("OK 0123\r\n"), None] {
            let mut line = String::new();
            lines.read_line(&mut line).unwrap();
            assert!(
                line.contains("AUTH EXTERNAL ") || line == "BEGIN\r\n",
                "{line}"
            );
            let mut socket = socket;
            answer.map(|answer| socket.write_all(answer.as_bytes()));
        }
        let mut bytes = lines.buffer().to_vec();
        let mut chunk = [0; 4096];
        let mut serial = 0;
        loop {
            while let Some(length) = wire::length(&bytes)
                .unwrap()
                .filter(|one| *one <= bytes.len())
            {
                serial += 1;
                let call: Vec<u8> = bytes.drain(..length).collect();
                if !self.answer(socket, serial, &call, sender) {
                    return;
                }
            }
            match lines.get_mut().read(&mut chunk) {
                Ok(count) if count > 0 => bytes.extend(&chunk[..count]),
                _ => return,
            }
        }
    }

    /// Answers one call; false when the connection is to end.
    fn answer(&self, mut socket: &UnixStream, serial: u32, call: &[u8], sender: &str) -> bool {
        let call = wire::parse(call).unwrap();
        assert_eq!(call.kind, MessageKind::Call);
        let mut body = call.body();
        let args: Vec<&str> = call
            .signature
            .bytes()
            .map(|_| body.text().unwrap())
            .collect();
        let unit = unit_of_path(call.path).unwrap_or_default();
        let words = [&[call.member, unit.as_str()], args.as_slice()].concat();
        let mut state = self.lock();
        state
            .asked
            .push(words.join(" ").replace("  ", " ").trim().to_owned());
        if let Some(garbage) = state.garbage.take() {
            let _ = socket.write_all(&garbage);
            return false;
        }
        let sender = if call.path.ends_with("/DBus") {
            "org.freedesktop.DBus"
        } else {
            sender
        };
        let mut answer = state.reply(serial, sender, call.member, &args, &unit, call.path);
        if ["StartUnit", "ListJobs"].contains(&call.member) {
            answer.extend(state.signals.drain(..).flatten());
        }
        socket.write_all(&answer).is_ok()
    }

    fn systemctl(&self, words: &[&str]) -> Answer {
        let mut state = self.lock();
        state.asked.push(words.join(" "));
        let name = words[words.len() - 1];
        match words[1] {
            "show" => {
                let mut shown = String::new();
                let all = name == "*";
                for (unit, properties) in &state.units {
                    if all || unit == name {
                        for (name, value) in properties {
                            let _ = writeln!(shown, "{name}={value}");
                        }
                        shown.push('\n');
                    }
                }
                if shown.is_empty() {
                    let _ = write!(shown, "Id={name}\nLoadState=not-found\n");
                }
                says(shown)
            }
            "reset-failed" | "daemon-reload" => says(""),
            _ if state.result == "done" => says(""),
            _ => fails(1, "Job failed."),
        }
    }
}

impl State {
    fn reply(
        &mut self,
        serial: u32,
        sender: &str,
        member: &str,
        args: &[&str],
        unit: &str,
        path: &str,
    ) -> Vec<u8> {
        let say = |types, said: &[Said]| reply(serial, sender, types, said);
        match member {
            "GetNameOwner" => say("s", &[text(SYSTEMD)]),
            "ListUnits" => say("a(ssssssouso)", &[self.list()]),
            "ListJobs" => say("a(usssoo)", &[Said::List(8, vec![job_row()])]),
            "GetAll" => say("a{sv}", &[self.properties(unit)]),
            "Get" if path.ends_with("/job/9") => say("v", &[variant("s", text("stop"))]),
            "Get" if path == MANAGER_PATH => say("v", &[variant("s", text("running"))]),
            "Get" => error(
                serial,
                sender,
                "org.freedesktop.DBus.Error.UnknownObject",
                "gone",
            ),
            "StartUnit" | "RestartUnit" | "StopUnit" if self.units.contains_key(args[0]) => {
                if !self.result.is_empty() {
                    self.signals.push(job_removed(9, args[0], self.result));
                }
                say("o", &[text("/org/freedesktop/systemd1/job/9")])
            }
            "StartUnit" => error(
                serial,
                sender,
                "org.freedesktop.systemd1.NoSuchUnit",
                "Unit not found.",
            ),
            _ => say("", &[]),
        }
    }

    fn list(&self) -> Said {
        let row = |(name, unit): (&String, &Properties)| {
            Said::Group(vec![
                text(name),
                text("a description"),
                text(&unit["LoadState"]),
                text(&unit["ActiveState"]),
                text(&unit["SubState"]),
                text(""),
                text(&unit_path(name)),
                Said::Number(0),
                text(""),
                text("/"),
            ])
        };
        Said::List(8, self.units.iter().map(row).collect())
    }

    fn properties(&self, unit: &str) -> Said {
        let none = [
            ("Id", unit.to_owned()),
            ("LoadState", "not-found".to_owned()),
        ];
        let unit = self.units.get(unit).cloned().unwrap_or(none.into());
        let said = |(name, value): (&&'static str, &String)| (*name, variant("s", text(value)));
        properties(unit.iter().map(said).collect())
    }
}

fn job_row() -> Said {
    Said::Group(vec![
        Said::Number(3),
        text("slow.service"),
        text("start"),
        text("running"),
        text("/org/freedesktop/systemd1/job/3"),
        text("/org/freedesktop/systemd1/unit/slow_2eservice"),
    ])
}

fn of_manager(member: &'static str, types: &str, said: &[Said]) -> Vec<u8> {
    signal(MANAGER_PATH, (MANAGER, member), SYSTEMD, types, said)
}

fn job(id: u32) -> Said {
    text(&format!("/org/freedesktop/systemd1/job/{id}"))
}

fn job_removed(id: u32, unit: &str, result: &str) -> Vec<u8> {
    let said = [Said::Number(id), job(id), text(unit), text(result)];
    of_manager("JobRemoved", "uoss", &said)
}

fn changed(unit: &str, values: Vec<(&str, Said)>, sender: &str) -> Vec<u8> {
    let said = [
        text("org.freedesktop.systemd1.Unit"),
        properties(values),
        Said::List(4, vec![text("Job")]),
    ];
    let of = (PROPERTIES, "PropertiesChanged");
    signal(&unit_path(unit), of, sender, "sa{sv}as", &said)
}

/// The way to systemd.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    /// Its own socket.
    Own,
    Bus,
    Systemctl,
}

struct Gateway {
    _dir: tempfile::TempDir,
    fake: Fake,
    systemd: Systemd,
}

fn gateway(way: Way) -> Gateway {
    let dir = tempfile::tempdir().unwrap();
    std::fs::create_dir_all(dir.path().join("run/systemd/system")).unwrap();
    let fake = Fake::default();
    fake.lock().result = "done";
    let script = Arc::new(Scripted::default());
    let clock = Clock::manual(Timestamp::from_millis(5));
    let host = Host::at(dir.path(), clock).with_executor(script.clone());
    let journal = fake.clone();
    script.on("journalctl", move |words| journal.journalctl(words));
    match way {
        Way::Own => fake.listen(&host, "/run/systemd/private", ""),
        Way::Bus => fake.listen(&host, "/run/dbus/system_bus_socket", SYSTEMD),
        Way::Systemctl => {}
    }
    let show = fake.clone();
    script.on("systemctl", move |words| show.systemctl(words));
    let systemd = Systemd::present(&host).unwrap();
    Gateway {
        _dir: dir,
        fake,
        systemd,
    }
}

/// The same test whichever way systemd is asked.
fn each_way(test: impl Fn(Way, &Gateway)) {
    for way in [Way::Own, Way::Bus, Way::Systemctl] {
        test(way, &gateway(way));
    }
}

fn name(unit: &str) -> UnitName {
    UnitName::new(unit).unwrap()
}

const SOON: Duration = Duration::from_secs(20);

#[test]
fn the_units_are_the_same_whichever_way_they_are_asked_for() {
    each_way(|way, gateway| {
        gateway.fake.put("a.service", "active");
        gateway.fake.put("b.timer", "failed");
        gateway.fake.set("b.timer", "Result", "resources");
        let units = gateway.systemd.units().unwrap();
        let seen: Vec<_> = units
            .iter()
            .map(|unit| {
                (
                    unit.name.as_str(),
                    unit.active_state.as_str(),
                    unit.result.as_str(),
                )
            })
            .collect();
        let want = [
            ("a.service", "active", "success"),
            ("b.timer", "failed", "resources"),
        ];
        assert_eq!(seen, want, "{way:?}");
        let one = gateway.systemd.unit(&name("b.timer")).unwrap();
        assert_eq!(one.result, "resources", "{way:?}");
        let none = gateway.systemd.unit(&name("c.service"));
        assert!(matches!(none, Err(ServiceError::UnknownUnit(_))), "{way:?}");
    });
}

/// An entry of the manager's about the run `ab` of a.service.
fn entry(fields: &str) -> String {
    format!(r#"{{"_PID":"1","UNIT":"a.service","INVOCATION_ID":"ab",{fields}}}"#) + "\n"
}

#[test]
fn whose_an_end_was_is_told_when_all_words_about_it_are_heard() {
    let started = entry(r#""JOB_ID":"7","JOB_TYPE":"start","JOB_RESULT":"done""#);
    let order = entry(
        r#""MESSAGE":"a.service: Sent signal SIGKILL to main process 12 (a) on client request.""#,
    );
    let over = entry(r#""MESSAGE_ID":"d9b373ed55a64feb8242e02dbe79a49c""#);
    let ordered = format!("{started}{order}{over}");
    let by_itself = format!("{started}{over}");
    let somebodys = Left::OnPurpose(Purpose::Signalled);
    let late = vec![started.clone(), started.clone(), ordered];
    each_way(|way, gateway| {
        for (journal, reads, want) in [
            (late.clone(), 3, &somebodys),
            (vec![by_itself.clone()], 1, &Left::ByItself),
            (vec![String::new()], 1, &Left::ByItself),
        ] {
            gateway.systemd.recall(&[]);
            gateway.systemd.heard.forget_runs();
            gateway.fake.put("a.service", "failed");
            gateway.fake.set("a.service", "InvocationID", "ab");
            gateway.fake.lock().journal = journal;
            gateway.systemd.hear(&[ManagerEvent {
                seen: Timestamp::from_millis(4),
                what: Happening::UnitChanged(UnitChange {
                    unit: "a.service".to_owned(),
                    active: Some("failed".to_owned()),
                    ..UnitChange::default()
                }),
            }]);
            gateway.fake.asked();
            for _ in 0..2 {
                let one = gateway.systemd.unit(&name("a.service")).unwrap();
                assert_eq!(one.left, *want, "{way:?}");
            }
            let asked = gateway.fake.asked();
            let read = |line: &&String| line.contains("INVOCATION_ID=ab");
            assert_eq!(
                asked.iter().filter(read).count(),
                reads,
                "{way:?} {asked:?}"
            );
        }
    });
}

#[test]
fn an_order_pushes_no_job_aside_and_tells_how_its_own_ended() {
    each_way(|way, gateway| {
        gateway.fake.put("a.service", "failed");
        let order = |order| gateway.systemd.order(order, &name("a.service"), SOON);
        let done = order(Order::ResetFailedStart).unwrap();
        assert_eq!(done, Ordered::Ended(JobResult::Done), "{way:?}");
        let asked = gateway.fake.asked();
        let has = |words: &str| asked.iter().any(|line| line == words);
        if way == Way::Systemctl {
            assert!(has(
                "systemctl start --job-mode=fail --no-ask-password -- a.service"
            ));
        } else {
            assert!(
                has("ResetFailedUnit a.service") && has("StartUnit a.service fail"),
                "{asked:?}"
            );
        }
        gateway.fake.lock().result = "dependency";
        match order(Order::Start) {
            Ok(ended) => assert_eq!(ended, Ordered::Ended(JobResult::Dependency), "{way:?}"),
            Err(why) => assert!(way == Way::Systemctl, "{why}"),
        }
        gateway.systemd.reload().unwrap();
    });
}

#[test]
fn what_systemd_refuses_is_told_in_its_own_words() {
    let gateway = gateway(Way::Own);
    let why = gateway
        .systemd
        .order(Order::Start, &name("a.service"), SOON);
    let Err(ServiceError::Refused(why)) = why else {
        panic!("{why:?}");
    };
    assert_eq!(why, "NoSuchUnit: Unit not found.");
}

#[test]
fn a_job_that_goes_on_is_under_way_when_its_time_is_over() {
    let gateway = gateway(Way::Own);
    gateway.fake.put("a.service", "failed");
    gateway.fake.lock().result = "";
    // Another job's end is not this one's.
    let of_other = job_removed(8, "b.service", "done");
    let order = |fake: &Fake| {
        fake.lock().signals.push(of_other.clone());
        let within = Duration::from_millis(1);
        gateway
            .systemd
            .order(Order::Start, &name("a.service"), within)
    };
    assert_eq!(order(&gateway.fake).unwrap(), Ordered::UnderWay);
}

/// Hears until a word that ends the hearing.
struct Until<'a> {
    heard: Vec<Happening>,
    last: Happening,
    then: Box<dyn FnMut() + 'a>,
}

impl Ear for Until<'_> {
    fn listens(&mut self) -> bool {
        let over = self.heard.contains(&self.last);
        if over {
            (self.then)();
        }
        !over
    }

    fn hear(&mut self, event: ManagerEvent) {
        assert_eq!(event.seen, Timestamp::from_millis(5));
        self.heard.push(event.what);
    }
}

fn hear(gateway: &Gateway, last: Happening, then: impl FnMut()) -> Vec<Happening> {
    let mut ear = Until {
        heard: Vec::new(),
        last,
        then: Box::new(then),
    };
    gateway.systemd.follow(&mut ear).unwrap();
    ear.heard
}

#[test]
fn what_happens_is_told_in_its_order_with_the_kind_of_each_job() {
    for way in [Way::Own, Way::Bus] {
        let gateway = gateway(way);
        let unit = || "a.service".to_owned();
        let new = [Said::Number(9), job(9), text("a.service")];
        let state = vec![("ActiveState", variant("s", text("inactive")))];
        let foreign = vec![("ActiveState", variant("s", text("failed")))];
        let mut signals = vec![
            of_manager("JobNew", "uos", &new),
            changed("a.service", state, SYSTEMD),
            job_removed(9, "a.service", "done"),
            of_manager("Reloading", "b", &[Said::Flag(true)]),
        ];
        if way == Way::Bus {
            // Somebody else on the bus says so.
            signals.insert(0, changed("a.service", foreign, ":1.99"));
        }
        gateway.fake.lock().signals = signals;
        let heard = hear(&gateway, Happening::Reloading(true), || {});
        let change = UnitChange {
            unit: unit(),
            active: Some("inactive".to_owned()),
            ..UnitChange::default()
        };
        let (id, kind) = (JobId::from_number(9), JobKind::Stop);
        let want = [
            Happening::JobNew {
                id,
                unit: unit(),
                kind,
            },
            Happening::UnitChanged(change),
            Happening::JobRemoved {
                id,
                unit: unit(),
                kind,
                result: JobResult::Done,
            },
            Happening::Reloading(true),
        ];
        let at = heard.iter().position(|what| *what == want[0]).unwrap();
        assert_eq!(heard[at..], want, "{way:?}");
        assert_eq!(heard[0], Happening::Gap);
        assert!(heard.contains(&Happening::ManagerState(ManagerState::Running)));
        let slow = "slow.service".to_owned();
        let started = Happening::JobNew {
            id: JobId::from_number(3),
            unit: slow,
            kind: JobKind::Start,
        };
        assert!(heard.contains(&started), "{heard:?}");
    }
}

#[test]
fn a_sweep_reads_the_properties_of_what_changed_or_failed_alone() {
    let gateway = gateway(Way::Own);
    for (unit, state) in [
        ("a.service", "active"),
        ("b.service", "active"),
        ("c.service", "failed"),
    ] {
        gateway.fake.put(unit, state);
    }
    gateway.fake.lock().signals = vec![of_manager("Reloading", "b", &[Said::Flag(false)])];
    let sweep = || {
        gateway.fake.asked();
        gateway.systemd.units().unwrap();
        gateway.fake.asked()
    };
    let known = &gateway.systemd.known;
    let mut sweeps = Vec::new();
    hear(&gateway, Happening::Reloading(false), || {
        sweeps.push(sweep());
        sweeps.push(sweep());
        known.hear(&Happening::UnitNew("b.service".to_owned()));
        sweeps.push(sweep());
        gateway.fake.set("a.service", "SubState", "exited");
        sweeps.push(sweep());
        known.hear(&Happening::Gap);
        sweeps.push(sweep());
    });
    sweeps.push(sweep());
    let [list, a, b, c] = [
        "ListUnits",
        "GetAll a.service",
        "GetAll b.service",
        "GetAll c.service",
    ];
    let want: [&[&str]; 6] = [
        &[list, a, b, c],
        &[list, c],
        &[list, b, c],
        &[list, a, c],
        &[list, a, b, c],
        // Nobody hears of changes any more.
        &[list, a, b, c],
    ];
    assert_eq!(sweeps, want);
}

#[test]
fn a_torn_answer_is_an_error_and_instead_of_a_hostile_one_systemctl_is_asked() {
    let gateway = gateway(Way::Own);
    gateway.fake.put("a.service", "active");
    let torn = reply(1, "", "a(ssssssouso)", &[gateway.fake.lock().list()]);
    let endless = b"l\x02\0\x01\xff\xff\xff\xff\x01\0\0\0\xff\xff\xff\xff";
    for (garbage, told_by_systemctl) in [
        (torn[..torn.len() / 2].to_vec(), false),
        (Vec::new(), false),
        (vec![0xff; 64], true),
        (endless.to_vec(), true),
    ] {
        gateway.fake.asked();
        gateway.fake.lock().garbage = Some(garbage);
        match gateway.systemd.units() {
            Ok(units) => assert!(told_by_systemctl && units.len() == 1),
            Err(why) => assert!(matches!(why, ServiceError::Lost(_)) && !told_by_systemctl),
        }
        let asked = gateway.fake.asked();
        let forked = asked
            .iter()
            .any(|words| words.starts_with("systemctl show"));
        assert_eq!(forked, told_by_systemctl, "{asked:?}");
    }
    assert_eq!(
        gateway.systemd.units().unwrap().len(),
        1,
        "asked anew, it answers"
    );
}

#[test]
fn silence_has_an_end() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::create_dir_all(dir.path().join("run/systemd/system")).unwrap();
    let host = Host::at(dir.path(), Clock::manual(Timestamp::default()));
    let _silent = UnixListener::bind(dir.path().join("run/systemd/private")).unwrap();
    let end = end_after(Duration::from_millis(20));
    let why = BusConnection::open(&host, end).unwrap_err();
    assert!(matches!(why, BusError::Lost(_)), "somebody is there: {why}");
}
