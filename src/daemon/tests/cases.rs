//! A unit that is down because another one is, through the whole engine.

use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::SeqCst;
use std::time::Duration;

use super::gateway::{Gateway, START, UNIT};
use super::units::OnStart;
use crate::core::config::Probe;
use crate::core::model::class::Class;
use crate::core::model::healthy::HealthyUnit;
use crate::core::model::task::{Outcome, Resolution, Status};
use crate::host::exec::scripted::{fails, says};

const MINUTE: Duration = Duration::from_secs(60);
const ROOT: &str = "db.service";

/// `app.service` requires `db.service`; both are down.
fn both_down(root: OnStart) -> Gateway {
    let gateway = Gateway::with(|_| {});
    gateway.units.fail(ROOT, root);
    gateway.units.fail(UNIT, OnStart::Runs);
    gateway.units.change(UNIT, |unit| unit.requires = ROOT);
    gateway
}

const DNS: &str =
    "broker.example.com: Temporary failure in name resolution\nMain process exited, code=exited";

fn name(number: usize) -> String {
    format!("svc-{number}.service")
}

/// So many units fail of what they say.
fn all_fail(count: usize, says: &'static str) -> Gateway {
    let gateway = Gateway::with(|_| {});
    for number in 0..count {
        gateway.units.fail_saying(&name(number), says);
    }
    gateway
}

#[test]
fn sixteen_that_fail_of_one_thing_are_one_message_and_one_is_tried() {
    let mut gateway = all_fail(16, DNS);
    gateway.runs_for(10 * MINUTE);
    let tried = starts(&gateway);
    assert!(tried.len() >= 3, "{tried:?}");
    assert!(tried.iter().all(|unit| *unit == tried[0]), "{tried:?}");
    assert_eq!(gateway.issue_states(), ["open"]);
    let told = gateway.issues.bodies().concat();
    for number in (0..16).map(name).filter(|unit| *unit != tried[0]) {
        assert!(
            told.contains(&format!("service_failed {number}`")),
            "{told}"
        );
    }
    // It resolves again: the one is tried, and then all others at once.
    for number in 0..16 {
        gateway
            .units
            .change(&name(number), |unit| unit.on_start = OnStart::Runs);
    }
    gateway.runs_for(60 * MINUTE);
    for number in 0..16 {
        assert_eq!(
            gateway.task(&name(number)).resolution,
            Some(Resolution::Fixed)
        );
    }
    assert_eq!(gateway.issue_states(), ["closed"]);
}

#[test]
fn what_comes_later_joins_the_open_issue_by_one_comment() {
    let mut gateway = all_fail(3, DNS);
    gateway.runs_for(5 * MINUTE);
    assert_eq!(gateway.issue_states(), ["open"]);
    let before = gateway.issues.bodies().len();
    for late in ["late-1.service", "late-2.service"] {
        gateway.units.fail_saying(late, DNS);
    }
    gateway.runs_for(4 * MINUTE);
    assert_eq!(gateway.issue_states(), ["open"]);
    let told = gateway.issues.bodies();
    let joined: Vec<&String> = told[before..]
        .iter()
        .filter(|body| body.contains("late-1.service"))
        .collect();
    assert_eq!(joined.len(), 1, "{told:#?}");
    assert!(joined[0].contains("late-2.service"), "{}", joined[0]);
}

#[test]
fn attempts_from_before_the_root_was_known_are_given_back_when_it_is_repaired() {
    let mut gateway = Gateway::with(|config| config.budget.fingerprint_per_hour = 2);
    gateway.units.put(ROOT, "active");
    gateway.units.fail(UNIT, OnStart::Fails);
    gateway.units.change(UNIT, |unit| unit.requires = ROOT);
    gateway.runs_for(4 * MINUTE);
    assert_eq!(starts(&gateway), [UNIT, UNIT]);
    gateway.units.fail(ROOT, OnStart::Runs);
    gateway
        .units
        .change(UNIT, |unit| unit.on_start = OnStart::Runs);
    gateway.runs_for(30 * MINUTE);
    assert_eq!(starts(&gateway), [UNIT, UNIT, ROOT, UNIT]);
    assert_eq!(gateway.task(UNIT).resolution, Some(Resolution::Fixed));
}

#[test]
fn what_failed_of_a_device_is_started_at_once_when_that_is_back() {
    let mut gateway = all_fail(
        3,
        "open /dev/ttyUSB0: No such file or directory\nMain process exited",
    );
    gateway.runs_for(5 * MINUTE);
    assert!(starts(&gateway).is_empty(), "{:?}", starts(&gateway));
    assert_eq!(gateway.issue_states(), ["open"]);
    gateway.write("/dev/ttyUSB0", "");
    for number in 0..3 {
        gateway
            .units
            .change(&name(number), |unit| unit.on_start = OnStart::Runs);
    }
    gateway.runs_for(3 * MINUTE);
    assert_eq!(starts(&gateway).len(), 3, "{:?}", starts(&gateway));
    for number in 0..3 {
        let task = gateway.task(&name(number));
        assert_eq!(task.resolution, Some(Resolution::Fixed));
        let events = gateway.events(&task);
        let back = events.iter().any(|event| event.starts_with("returned"));
        assert!(back, "{events:#?}");
    }
    assert_eq!(gateway.issue_states(), ["closed"]);
}

#[test]
fn what_waits_for_a_name_is_started_when_that_resolves() {
    let mut gateway = all_fail(
        1,
        "getaddrinfo broker.example.com: Temporary failure in name resolution\nMain process exited",
    );
    let known = Arc::new(AtomicBool::new(false));
    let asked = known.clone();
    gateway
        .script
        .on("resolve", move |_| match asked.load(SeqCst) {
            true => says(""),
            false => fails(2, "no address"),
        });
    gateway.runs_for(100 * MINUTE);
    let before = starts(&gateway).len();
    gateway
        .units
        .change(&name(0), |unit| unit.on_start = OnStart::Runs);
    known.store(true, SeqCst);
    gateway.runs_for(MINUTE);
    assert_eq!(starts(&gateway).len(), before + 1);
    let events = gateway.events(&gateway.task(&name(0)));
    let back = events.iter().any(|event| event.starts_with("returned"));
    assert!(back, "{events:#?}");
}

#[test]
fn what_a_human_put_off_is_left_alone_when_its_device_is_back() {
    let mut gateway = all_fail(
        1,
        "open /dev/ttyUSB0: No such file or directory\nMain process exited",
    );
    gateway.runs_for(5 * MINUTE);
    let (task, now) = (gateway.task(&name(0)), gateway.now());
    let store = &gateway.runtime.store;
    store
        .snooze(task.id, now.plus(600 * MINUTE), "human", now)
        .unwrap();
    gateway.write("/dev/ttyUSB0", "");
    gateway.runs_for(5 * MINUTE);
    assert!(starts(&gateway).is_empty(), "{:?}", starts(&gateway));
}

#[test]
fn what_another_unit_stood_in_place_of_is_started_when_that_is_down() {
    let mut gateway = Gateway::with(|_| {});
    gateway.units.put(ROOT, "active");
    gateway.units.fail(UNIT, OnStart::Runs);
    gateway.units.change(UNIT, |unit| unit.conflicts = ROOT);
    gateway.runs_for(60 * MINUTE);
    assert!(starts(&gateway).is_empty(), "{:?}", starts(&gateway));
    assert_eq!(gateway.issue_states(), ["open"]);
    gateway.is_stopped(ROOT);
    gateway.runs_for(20 * MINUTE);
    assert_eq!(starts(&gateway), [UNIT]);
    assert_eq!(gateway.task(UNIT).resolution, Some(Resolution::Fixed));
    assert_eq!(gateway.issue_states(), ["closed"]);
}

#[test]
fn instances_that_say_the_same_unknown_words_are_one_message() {
    let mut gateway = Gateway::with(|_| {});
    for instance in ["gw@1.service", "gw@2.service", "gw@33.service"] {
        gateway
            .units
            .fail_saying(instance, "Main process exited\nglorp expected after speed");
    }
    gateway.runs_for(10 * MINUTE);
    assert_eq!(gateway.issue_states(), ["open"]);
    let tried = starts(&gateway);
    assert!(tried.iter().all(|unit| *unit == tried[0]), "{tried:?}");
}

#[test]
fn what_crashes_every_ten_minutes_is_one_issue_and_is_repaired_meanwhile() {
    let mut gateway = Gateway::with(|_| {});
    gateway.units.fail(UNIT, OnStart::Runs);
    for _ in 0..36 {
        gateway.runs_for(10 * MINUTE);
        gateway.units.fail(UNIT, OnStart::Runs);
    }
    let issues = gateway.issues.all().len();
    assert_eq!(issues, 1, "{:?}", gateway.issues.all());
    assert_eq!(gateway.issue_states(), ["open"]);
    assert!(starts(&gateway).len() >= 6, "{}", starts(&gateway).len());
    let told = gateway.task(UNIT);
    assert_eq!(told.status, Status::Escalated);
    // It holds: a day later it is proven.
    gateway.units.put(UNIT, "active");
    gateway.runs_for(30 * 60 * MINUTE);
    assert_eq!(gateway.issue_states(), ["closed"]);
}

#[test]
fn two_that_end_each_other_are_told_once_and_one_of_them_runs() {
    let mut gateway = Gateway::with(|_| {});
    let [one, other] = [UNIT, ROOT];
    gateway.units.put(other, "active");
    gateway.units.fail(one, OnStart::Runs);
    for _ in 0..60 {
        let before = starts(&gateway).len();
        gateway.runs_for(Duration::from_secs(20));
        // Whatever was started ends the other.
        if let Some(started) = starts(&gateway).get(before) {
            let ended = if started == one { other } else { one };
            gateway.units.fail(ended, OnStart::Runs);
        }
    }
    assert!(starts(&gateway).len() <= 6, "{:?}", starts(&gateway));
    let told: Vec<_> = gateway.issues.all();
    assert_eq!(told.len(), 1, "{told:?}");
    let bodies = gateway.issues.bodies().concat();
    assert!(
        bodies.contains("repair breaks db.service within"),
        "{bodies}"
    );
}

#[test]
fn a_slow_start_is_awaited_to_its_end_and_holds_nobody_up() {
    let mut gateway = Gateway::with(|_| {});
    gateway.units.fail(UNIT, OnStart::TakesItsTime);
    gateway.pass();
    assert_eq!(starts(&gateway), [UNIT]);
    assert_eq!(gateway.task(UNIT).status, Status::InProgress);
    gateway.units.fail(ROOT, OnStart::Runs);
    gateway.runs_for(Duration::from_secs(50));
    assert_eq!(starts(&gateway), [UNIT, ROOT]);
    assert!(gateway.task(ROOT).first_green_at.is_some());
    assert_eq!(gateway.task(UNIT).status, Status::InProgress);
    gateway
        .units
        .change(UNIT, |unit| unit.active_state = "active");
    gateway.runs_for(3 * MINUTE);
    assert_eq!(starts(&gateway), [UNIT, ROOT]);
    assert_eq!(gateway.task(UNIT).resolution, Some(Resolution::Fixed));
}

#[test]
fn what_waits_for_the_end_of_the_boot_is_started_when_that_is_told() {
    let mut gateway = Gateway::at(START, &[("/proc/uptime", "200.00 100.00")], |_| {});
    gateway.units.lock().manager = "starting";
    gateway.units.fail(UNIT, OnStart::Runs);
    gateway.runs_for(2 * MINUTE);
    let wait = "waiting: wanted: app.service waits: the service manager is starting";
    let events = gateway.events(&gateway.task(UNIT));
    assert!(events.iter().any(|event| event == wait), "{events:#?}");
    assert!(starts(&gateway).is_empty());
    gateway.is_booted();
    while gateway.work() {}
    assert_eq!(starts(&gateway), [UNIT]);
}

#[test]
fn what_was_told_before_a_boot_is_started_when_that_ends() {
    let mut gateway = Gateway::at(START, &[("/proc/uptime", "200.00 100.00")], |_| {});
    gateway.units.fail(UNIT, OnStart::Fails);
    gateway.runs_for(10 * MINUTE);
    assert_eq!(gateway.task(UNIT).status, Status::Escalated);
    gateway.units.lock().manager = "starting";
    gateway
        .units
        .change(UNIT, |unit| unit.on_start = OnStart::Runs);
    let before = starts(&gateway).len();
    gateway.runs_for(60 * MINUTE);
    let held = gateway.column("waiting_gate", &gateway.task(UNIT));
    assert_eq!(held.as_deref(), Some("wanted"));
    assert_eq!(starts(&gateway).len(), before);
    gateway.is_booted();
    while gateway.work() {}
    assert_eq!(starts(&gateway).len(), before + 1);
}

#[test]
fn what_a_boot_held_is_started_as_soon_as_the_time_of_a_boot_is_over() {
    let mut gateway = Gateway::at(START, &[("/proc/uptime", "10.00 10.00")], |_| {});
    gateway.units.lock().manager = "starting";
    gateway.units.fail(UNIT, OnStart::Runs);
    gateway.runs_for(9 * MINUTE);
    assert!(starts(&gateway).is_empty());
    gateway.write("/proc/uptime", "601.00 100.00");
    gateway.pass();
    assert_eq!(starts(&gateway), [UNIT]);
}

#[test]
fn a_boot_that_does_not_end_is_not_waited_for_for_ever() {
    let mut gateway = Gateway::at(START, &[("/proc/uptime", "601.00 100.00")], |_| {});
    gateway.units.lock().manager = "starting";
    gateway.units.fail(UNIT, OnStart::Runs);
    gateway.pass();
    assert_eq!(starts(&gateway), [UNIT]);
    // In a container process 1 is younger than the host.
    let mut gateway = Gateway::at(START, &[("/proc/uptime", "601.00 100.00")], |_| {});
    let stat = "1 (systemd) S 0 1 1 0 -1 4194560 1 1 1 1 1 1 1 1 20 0 1 0 30000 1 1";
    gateway.write("/proc/1/stat", stat);
    gateway.units.lock().manager = "starting";
    gateway.units.fail(UNIT, OnStart::Runs);
    gateway.pass();
    assert!(starts(&gateway).is_empty());
}

/// A unit that runs, and a probe of it that was green.
fn probed() -> Gateway {
    let mut gateway = Gateway::at(START, &[("/proc/uptime", "100.00 100.00")], |config| {
        config.probe.push(Probe {
            name: "web".to_owned(),
            command: vec!["/usr/bin/check".to_owned()],
            unit: UNIT.to_owned(),
            failures: 1,
            interval_s: 1,
            ..Probe::default()
        });
    });
    gateway.program("/usr/bin/check");
    gateway.units.put(UNIT, "active");
    answers(&gateway, true);
    gateway.pass();
    gateway.advance(Duration::from_secs(1));
    gateway
}

fn answers(gateway: &Gateway, well: bool) {
    // Through systemd as root, else directly.
    for words in ["systemd-run", "/usr/bin/check"] {
        gateway.script.on(words, move |_| match well {
            true => says(""),
            false => fails(2, "no answer"),
        });
    }
}

#[test]
fn a_service_that_runs_before_it_listens_is_given_its_time_after_a_restart() {
    let mut gateway = probed();
    answers(&gateway, false);
    let since = OnStart::RunsSince(100_000_000);
    gateway.units.change(UNIT, |unit| unit.on_start = since);
    gateway.runs_for(Duration::from_secs(50));
    let restarts = || {
        let asked = gateway.script.asked();
        let is_restart = |line: &&String| line.starts_with("systemctl restart");
        asked.iter().filter(is_restart).count()
    };
    assert_eq!(restarts(), 1);
    assert_eq!(gateway.task("web").status, Status::InProgress);
    answers(&gateway, true);
    gateway.runs_for(3 * MINUTE);
    let task = gateway.task("web");
    assert_eq!(task.resolution, Some(Resolution::Fixed));
    let events = gateway.events(&task);
    let failed = |event: &String| event.starts_with("failed");
    assert!(!events.iter().any(failed), "{events:#?}");
}

/// The probe fails with `first`, from 16 s on, in the time of the second restart, with `second`, and is well after `span`.
/// Outcomes of the attempts, what was learned of restarts, and how it ended.
fn given_up(
    first: &'static str,
    second: &'static str,
    span: Duration,
) -> (Vec<Outcome>, (u32, u32), Option<Resolution>) {
    let mut gateway = probed();
    let (clock, change) = (
        Arc::clone(&gateway.runtime.host.clock),
        gateway.now().plus(Duration::from_secs(16)),
    );
    for words in ["systemd-run", "/usr/bin/check"] {
        let clock = Arc::clone(&clock);
        gateway
            .script
            .on(words, move |_| match clock.now() < change {
                true => fails(2, first),
                false => fails(2, second),
            });
    }
    gateway.pass();
    let task = gateway.task("web");
    let reader = || gateway.runtime.store.reader().unwrap();
    let outcomes = || {
        let attempts = reader().attempts(task.id).unwrap();
        let outcomes = attempts.into_iter().filter_map(|one| one.outcome);
        outcomes.collect::<Vec<_>>()
    };
    assert_eq!(outcomes(), [Outcome::Failed; 2]);
    answers(&gateway, true);
    // Due before sweeps have seen for long enough that it is over.
    gateway.advance(span);
    while gateway.work() {}
    gateway.runs_for(3 * MINUTE);
    let restart =
        gateway
            .runtime
            .store
            .reader()
            .unwrap()
            .learned(Class::ProbeFailed, "web", "restart_unit");
    let restart = restart.unwrap();
    let learned = (restart.wins, restart.losses);
    let attempts = gateway
        .runtime
        .store
        .reader()
        .unwrap()
        .attempts(task.id)
        .unwrap();
    let outcomes = attempts.into_iter().filter_map(|one| one.outcome).collect();
    (outcomes, learned, gateway.task("web").resolution)
}

#[test]
fn a_restart_that_shows_soon_after_it_was_given_up_is_what_helped() {
    let ended = given_up("no answer", "status 503", MINUTE);
    let outcomes = vec![Outcome::Failed, Outcome::Verified];
    assert_eq!(ended, (outcomes, (1, 1), Some(Resolution::Fixed)));
    let later = given_up("no answer", "status 503", 2 * MINUTE);
    assert_eq!(
        later,
        (
            vec![Outcome::Failed; 2],
            (0, 2),
            Some(Resolution::SelfCleared)
        )
    );
}

#[test]
fn a_restart_that_says_the_same_as_the_one_before_is_not_what_helped() {
    let ended = given_up("no answer", "no answer", MINUTE);
    assert_eq!(
        ended,
        (
            vec![Outcome::Failed; 2],
            (0, 2),
            Some(Resolution::SelfCleared)
        )
    );
}

/// Restarted once in vain, then again: what happens in the start period of the second one decides whose the green is.
fn in_its_start_period(happens: impl FnOnce(&Gateway)) -> (Vec<Outcome>, Option<Resolution>) {
    let mut gateway = probed();
    answers(&gateway, false);
    let starts = |gateway: &Gateway, us| {
        let since = OnStart::RunsSince(us);
        gateway.units.change(UNIT, |unit| unit.on_start = since);
    };
    starts(&gateway, 101_000_000);
    gateway.runs_for(Duration::from_secs(50));
    let task = gateway.task("web");
    let attempts = |gateway: &Gateway| {
        gateway
            .runtime
            .store
            .reader()
            .unwrap()
            .attempts(task.id)
            .unwrap()
    };
    let mut seconds = 50_u64;
    while attempts(&gateway).len() < 2 {
        seconds += 1;
        assert!(seconds < 300, "no second restart");
        gateway.write("/proc/uptime", &format!("{}.00 100.00", 100 + seconds));
        starts(&gateway, (100 + seconds) * 1_000_000);
        gateway.runs_for(Duration::from_secs(1));
    }
    for _ in 0..10 {
        seconds += 1;
        gateway.write("/proc/uptime", &format!("{}.00 100.00", 100 + seconds));
        gateway.runs_for(Duration::from_secs(1));
    }
    happens(&gateway);
    gateway.runs_for(3 * MINUTE);
    let outcomes = attempts(&gateway).into_iter().filter_map(|one| one.outcome);
    (outcomes.collect(), gateway.task("web").resolution)
}

#[test]
fn a_green_within_the_time_of_a_restart_that_failed_before_with_the_same_answer_is_nobody_s() {
    let ended = in_its_start_period(|gateway| answers(gateway, true));
    let outcomes = vec![Outcome::Failed, Outcome::Unknown];
    assert_eq!(ended, (outcomes, Some(Resolution::Unverified)));
}

#[test]
fn a_start_by_somebody_within_the_time_of_ours_is_his() {
    let ended = in_its_start_period(|gateway| {
        gateway
            .units
            .change(UNIT, |unit| unit.started_us += 5_000_000);
        answers(gateway, true);
    });
    let outcomes = vec![Outcome::Failed, Outcome::Unknown];
    assert_eq!(ended, (outcomes, Some(Resolution::Human)));
}

/// A page that is answered with `status` until somebody mends it by hand, three seconds after the restart of its unit.
fn mended_by_hand(status: u16) -> (Vec<Outcome>, Option<Resolution>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let mut gateway = Gateway::at(START, &[("/proc/uptime", "100.00 100.00")], |config| {
        config.probe.push(Probe {
            name: "web".to_owned(),
            http: format!("http://{address}/"),
            unit: UNIT.to_owned(),
            failures: 1,
            interval_s: 1,
            ..Probe::default()
        });
    });
    let (clock, broken_from) = (
        Arc::clone(&gateway.runtime.host.clock),
        gateway.now().plus(Duration::from_secs(1)),
    );
    std::thread::spawn(move || {
        let mended_at = broken_from.plus(Duration::from_secs(3));
        for mut peer in listener.incoming().map_while(Result::ok) {
            let _ = peer.read(&mut [0_u8; 512]);
            let now = clock.now();
            let status = if now >= broken_from && now < mended_at {
                status
            } else {
                200
            };
            let _ = write!(
                peer,
                "HTTP/1.1 {status} x\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
            );
        }
    });
    gateway.units.put(UNIT, "active");
    gateway.pass();
    gateway.runs_for(3 * MINUTE);
    let task = gateway.task("web");
    let attempts = gateway
        .runtime
        .store
        .reader()
        .unwrap()
        .attempts(task.id)
        .unwrap();
    (
        attempts.into_iter().filter_map(|one| one.outcome).collect(),
        task.resolution,
    )
}

#[test]
fn an_answer_that_a_restart_did_not_change_is_not_mended_by_it() {
    let nobody_s = (vec![Outcome::Unknown], Some(Resolution::Unverified));
    assert_eq!(mended_by_hand(404), nobody_s);
    // Nobody answered, and then somebody did.
    let ours = (vec![Outcome::Verified], Some(Resolution::Fixed));
    assert_eq!(mended_by_hand(503), ours);
}

#[test]
fn what_was_killed_and_then_fails_of_another_thing_is_told_as_that() {
    let mut gateway = Gateway::with(|_| {});
    gateway
        .units
        .fail_saying(UNIT, "Main process exited, code=killed");
    gateway.sweep();
    let says = "TLS: peer certificate has expired (2025-11-01)\nMain process exited";
    gateway.units.change(UNIT, |unit| unit.says = says);
    gateway.runs_for(5 * MINUTE);
    let task = gateway.task(UNIT);
    assert_eq!(starts(&gateway), [UNIT]);
    assert_eq!(task.cause.as_deref(), Some("certificate_expired"));
    assert_eq!(task.status, Status::Escalated);
    assert!(task.evidence.log().any(|line| line.starts_with("TLS:")));
}

#[test]
fn who_ends_of_a_refused_connection_hangs_on_the_unit_that_listened_there() {
    const REFUSED: &str =
        "dial tcp 127.0.0.1:5432: connect: connection refused\nMain process exited, code=exited";
    for (port, hangs) in [("tcp/5432", true), ("tcp/15432", false)] {
        let mut gateway = Gateway::with(|_| {});
        let seen = HealthyUnit {
            ports: [port.to_owned()].into(),
            ..HealthyUnit::default()
        };
        let noted = vec![(ROOT.to_owned(), seen)];
        gateway.runtime.store.note_healthy(noted, START).unwrap();
        let corrupt = "invalid primary checkpoint record\nMain process exited, code=exited";
        gateway.units.fail_saying(ROOT, corrupt);
        gateway.units.fail_saying(UNIT, REFUSED);
        gateway.runs_for(5 * MINUTE);
        assert_eq!(gateway.task(ROOT).status, Status::Escalated, "{port}");
        let own = gateway.task(UNIT);
        assert_eq!(own.evidence.requires(ROOT), hangs, "{port}");
        assert_eq!(own.status == Status::Escalated, !hangs, "{port}");
        assert_eq!(
            starts(&gateway).contains(&UNIT.to_owned()),
            !hangs,
            "{port}"
        );
        let told = gateway.issues.bodies().concat();
        assert_eq!(
            told.contains(&format!("service_failed {UNIT}`")),
            hangs,
            "{told}"
        );
    }
}

fn starts(gateway: &Gateway) -> Vec<String> {
    let asked = gateway.script.asked();
    let name = |line: String| {
        let start = line.starts_with("systemctl start");
        start.then(|| line.rsplit(' ').next().unwrap().to_owned())
    };
    asked.into_iter().filter_map(name).collect()
}

#[test]
fn the_root_is_repaired_first_and_then_what_hangs_on_it() {
    let mut gateway = both_down(OnStart::Runs);
    gateway.runs_for(3 * MINUTE);
    assert_eq!(starts(&gateway), [ROOT, UNIT]);
    let member = gateway.task(UNIT);
    let events = gateway.events(&member);
    let root = gateway.task(ROOT);
    let waits = format!(
        "waiting: inhibition: symptom of task {} (service_failed db.service)",
        root.id
    );
    assert!(events.contains(&waits), "{events:#?}");
    for task in [root, member] {
        let ends = (task.status, task.resolution);
        assert_eq!(
            ends,
            (Status::Closed, Some(Resolution::Fixed)),
            "{}",
            task.subject
        );
    }
    assert!(gateway.issue_states().is_empty());
}

#[test]
fn while_the_root_cannot_be_repaired_it_alone_is_tried_and_told_and_names_its_case() {
    let mut gateway = both_down(OnStart::Refused);
    gateway.runs_for(10 * MINUTE);
    assert!(starts(&gateway).iter().all(|unit| unit == ROOT));
    assert_eq!(gateway.task(ROOT).status, Status::Escalated);
    assert_eq!(gateway.task(UNIT).status, Status::Waiting);
    assert_eq!(gateway.issue_states(), ["open"]);
    let hangs = format!("- `task {}: service_failed {UNIT}`", gateway.task(UNIT).id);
    let told = gateway.issues.bodies().concat();
    assert!(told.contains(&hangs), "{told}");
    // Somebody starts it by hand: what hangs on it is repaired now.
    gateway.units.put(ROOT, "active");
    gateway.runs_for(20 * MINUTE);
    assert_eq!(gateway.task(UNIT).resolution, Some(Resolution::Fixed));
}
