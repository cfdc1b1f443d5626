//! The life of a task from its finding to its end, one row each.

use std::time::Duration;

use super::gateway::{Gateway, UNIT};
use super::units::{Answers, DROP_IN, OnStart};
use crate::core::config::{Config, DeclaredCommand, Maintenance, Mode};
use crate::core::model::class::Class;
use crate::core::model::finding::{Finding, Severity};
use crate::core::model::task::{Resolution, Status};
use crate::store::{Intake, Noted};

const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3_600);

struct Life {
    name: &'static str,
    set: fn(&mut Config),
    live: fn(&mut Gateway),
    ends: (Status, Option<Resolution>),
    /// Beginnings of events of the task, in this order, others between them.
    events: &'static [&'static str],
    /// Orders to start the unit.
    starts: usize,
    /// States of the issues about it.
    issues: &'static [&'static str],
}

const FIXED: (Status, Option<Resolution>) = (Status::Closed, Some(Resolution::Fixed));

fn as_built(_: &mut Config) {}

fn auto(config: &mut Config) {
    config.mode.medium = Mode::Auto;
}

fn suggest(config: &mut Config) {
    config.mode.limit = Mode::Suggest;
}

fn observe(config: &mut Config) {
    config.mode.limit = Mode::Observe;
}

fn spent(config: &mut Config) {
    config.budget.host_per_hour = 0;
    config.budget.first_starts_per_hour = 0;
}

fn noon(config: &mut Config) {
    config.maintenance.push(Maintenance {
        from: "11:00".to_owned(),
        to: "12:10".to_owned(),
        reason: "new cable".to_owned(),
        ..Maintenance::default()
    });
}

const KILL_SWITCH: &str = "/etc/autonomous-orchestrator/disable";

fn kill_switch(gateway: &Gateway) {
    gateway.write(KILL_SWITCH, "people at work\n");
}

fn failing(gateway: &mut Gateway, on_start: OnStart, span: Duration) {
    gateway.units.fail(UNIT, on_start);
    gateway.runs_for(span);
}

/// The program of the unit moved, and the drop-in that names its new place is written.
fn moved(gateway: &mut Gateway) {
    let fragment = "/etc/systemd/system/app.service";
    gateway.write(fragment, "[Service]\nExecStart=/opt/app/bin/run\n");
    gateway.program("/opt/app/bin-2/run");
    gateway.ships(fragment, "/opt/app/bin-2/run");
    gateway.units.put(UNIT, "active");
    gateway
        .units
        .change(UNIT, |unit| fragment.clone_into(&mut unit.fragment));
    gateway.runs_for(Duration::from_secs(10));
    assert!(gateway.exists(DROP_IN));
}

fn lines(gateway: &Gateway) {
    let now = gateway.now();
    let severity = Severity::Error;
    let finding = Finding::new(Class::LogError, UNIT, severity, "it broke", "journal", now);
    let batch = Intake {
        findings: vec![finding],
        cursor: None,
    };
    gateway.runtime.store.intake(batch, now).unwrap();
}

#[test]
fn each_life_ends_as_it_should() {
    let mut wrong = Vec::new();
    for life in LIVES {
        let mut gateway = Gateway::with(life.set);
        (life.live)(&mut gateway);
        let task = gateway.task(UNIT);
        let events = gateway.events(&task);
        let mut after = events.iter();
        let missing = life
            .events
            .iter()
            .find(|wanted| !after.any(|event| event.starts_with(**wanted)));
        let is = (
            (task.status, task.resolution),
            gateway.starts(),
            gateway.issue_states(),
        );
        let issues: Vec<String> = life.issues.iter().map(ToString::to_string).collect();
        if missing.is_some() || is != (life.ends, life.starts, issues) {
            wrong.push(format!(
                "{}: {is:?}, missing {missing:?} in {events:#?}",
                life.name
            ));
        }
        let reader = gateway.runtime.store.reader().unwrap();
        reader.audit_verify().unwrap().unwrap();
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

const LIVES: &[Life] = &[
    Life {
        name: "a start repairs it",
        set: as_built,
        live: |gateway| failing(gateway, OnStart::Runs, 2 * MINUTE),
        ends: FIXED,
        events: &[
            "found",
            "claimed",
            "diagnosed",
            "attempt",
            "acted",
            "verified",
            "first_green",
            "closed: verified by its detector and stable",
        ],
        starts: 1,
        issues: &[],
    },
    Life {
        name: "it ends by itself before anything is done",
        set: as_built,
        live: |gateway| {
            kill_switch(gateway);
            failing(gateway, OnStart::Runs, MINUTE);
            gateway.units.put(UNIT, "active");
            gateway.runs_for(MINUTE);
        },
        ends: (Status::Closed, Some(Resolution::SelfCleared)),
        events: &[
            "found",
            "waiting: kill_switch: kill switch is on: people at work",
            "closed: the condition ended by itself",
        ],
        starts: 0,
        issues: &[],
    },
    Life {
        name: "the kill switch is lifted",
        set: as_built,
        live: |gateway| {
            kill_switch(gateway);
            failing(gateway, OnStart::Runs, MINUTE);
            gateway.remove(KILL_SWITCH);
            gateway.runs_for(2 * MINUTE);
        },
        ends: FIXED,
        events: &["waiting: kill_switch", "attempt", "closed"],
        starts: 1,
        issues: &[],
    },
    Life {
        name: "the kill switch is forgotten",
        set: as_built,
        live: |gateway| {
            kill_switch(gateway);
            failing(gateway, OnStart::Runs, 3 * HOUR);
            gateway.remove(KILL_SWITCH);
            gateway.runs_for(30 * MINUTE);
        },
        ends: FIXED,
        events: &[
            "waiting: kill_switch",
            "escalated: kill switch is on: people at work",
            "waiting: kill_switch",
            "attempt",
            "closed",
        ],
        starts: 1,
        issues: &["closed"],
    },
    Life {
        name: "what only was looked at is repaired under other settings",
        set: observe,
        live: |gateway| {
            failing(gateway, OnStart::Runs, 10 * MINUTE);
            let mut config = gateway.runtime.loaded().config.clone();
            config.mode.limit = Mode::Auto;
            gateway.runtime.take_over(config).unwrap();
            gateway.runs_for(2 * MINUTE);
        },
        ends: FIXED,
        events: &["escalated: mode observe", "attempt", "closed"],
        starts: 1,
        issues: &["closed"],
    },
    Life {
        name: "what was refused for want of a command is proposed once there is one",
        set: as_built,
        live: |gateway| {
            gateway.write(
                "/etc/autonomous-orchestrator/runbooks.d/own.toml",
                "[[runbook]]\nid = \"own\"\nclass = [\"service_failed\"]\n\
                 [[runbook.step]]\naction = \"run_declared\"\nphase = 1\ncommand = \"mend\"\n",
            );
            let mut config = gateway.runtime.loaded().config.clone();
            gateway.runtime.take_over(config.clone()).unwrap();
            failing(gateway, OnStart::Runs, 10 * MINUTE);
            gateway.program("/usr/bin/true");
            config.command.push(DeclaredCommand {
                name: "mend".to_owned(),
                argv: vec!["/usr/bin/true".to_owned()],
                risk: "medium".to_owned(),
                user: "root".to_owned(),
                ..DeclaredCommand::default()
            });
            gateway.runtime.take_over(config).unwrap();
            gateway.runs_for(2 * MINUTE);
        },
        ends: (Status::Escalated, None),
        events: &[
            "refused",
            "escalated: no offered action could be taken",
            "escalated: mode suggest: a human must approve; proposed: run declared command mend",
        ],
        starts: 0,
        issues: &["open"],
    },
    Life {
        name: "the same settings are no news",
        set: observe,
        live: |gateway| {
            failing(gateway, OnStart::Runs, 10 * MINUTE);
            let (task, config) = (gateway.task(UNIT), gateway.runtime.loaded().config.clone());
            let events = gateway.events(&task).len();
            gateway.runtime.take_over(config).unwrap();
            gateway.runs_for(MINUTE);
            assert_eq!(gateway.events(&task).len(), events);
        },
        ends: (Status::Escalated, None),
        events: &["escalated: mode observe"],
        starts: 0,
        issues: &["open"],
    },
    Life {
        name: "a maintenance window ends",
        set: noon,
        live: |gateway| failing(gateway, OnStart::Runs, 20 * MINUTE),
        ends: FIXED,
        events: &[
            "waiting: maintenance: maintenance until 12:10 UTC: new cable",
            "attempt",
            "closed",
        ],
        starts: 1,
        issues: &[],
    },
    Life {
        name: "its start is refused for ten minutes",
        set: as_built,
        live: |gateway| {
            failing(gateway, OnStart::Refused, 10 * MINUTE);
            assert_eq!(gateway.issue_states(), ["open"]);
            gateway
                .units
                .change(UNIT, |unit| unit.on_start = OnStart::Runs);
            gateway.runs_for(2 * HOUR);
        },
        ends: FIXED,
        events: &[
            "attempt",
            "failed",
            "fix_failed",
            "attempt",
            "fix_failed",
            "phase",
            "attempt",
            "fix_failed",
            "escalated: 3 attempts did not hold",
            "delivered",
            "still_escalated: 4 attempts did not hold; the next one is spaced",
            "attempt",
            "verified",
            "closed",
        ],
        starts: 5,
        issues: &["closed"],
    },
    Life {
        name: "its start hangs",
        set: as_built,
        live: |gateway| failing(gateway, OnStart::Hangs, 10 * MINUTE),
        ends: (Status::Escalated, None),
        events: &[
            "attempt",
            "fix_failed: reset-failed and start app.service: failed: systemctl: killed after",
            "escalated: 3 attempts did not hold",
        ],
        starts: 4,
        issues: &["open"],
    },
    Life {
        name: "nothing comes of its start: its failure stays open, and what is found then has no budget of its own",
        set: as_built,
        live: |gateway| {
            gateway.ends_by_itself(UNIT);
            failing(gateway, OnStart::Skips, 15 * MINUTE);
            let failed = gateway.tasks().swap_remove(0);
            assert_eq!(failed.status, Status::Escalated);
        },
        ends: (Status::Waiting, None),
        events: &["found", "waiting: inhibition: symptom of task"],
        starts: 5,
        issues: &["open"],
    },
    Life {
        name: "it starts and fails at once",
        set: as_built,
        live: |gateway| failing(gateway, OnStart::Fails, 15 * MINUTE),
        ends: (Status::Escalated, None),
        events: &[
            "attempt",
            "acted",
            "failed",
            "fix_failed: reset-failed and start app.service: still there afterwards",
            "escalated: 3 attempts did not hold",
            "still_escalated: 5 attempts did not hold; the next one is spaced",
        ],
        starts: 5,
        issues: &["open"],
    },
    Life {
        name: "it comes back inside its stability window",
        set: as_built,
        live: |gateway| {
            failing(gateway, OnStart::Runs, Duration::from_secs(20));
            failing(gateway, OnStart::Runs, 3 * MINUTE);
        },
        ends: FIXED,
        events: &[
            "first_green",
            "regressed: came back inside the stability window",
            "attempt",
            "first_green",
            "closed",
        ],
        starts: 2,
        issues: &[],
    },
    Life {
        name: "its moved program comes back inside the window: the drop-in is taken back",
        set: auto,
        live: |gateway| {
            moved(gateway);
            gateway.remove("/opt/app/bin-2/run");
            gateway.runs_for(3 * MINUTE);
            assert!(!gateway.exists(DROP_IN));
        },
        ends: (Status::Escalated, None),
        events: &[
            "first_green",
            "regressed: came back inside the stability window: ExecStart does not exist: /opt/app/bin-2/run; undone: ",
            "escalated",
        ],
        starts: 0,
        issues: &["open"],
    },
    Life {
        name: "its undo record cannot be read: refused, and nothing more is tried",
        set: auto,
        live: |gateway| {
            moved(gateway);
            gateway.sql("UPDATE attempts SET undo = 'torn'");
            gateway.remove("/opt/app/bin-2/run");
            gateway.runs_for(3 * MINUTE);
            assert!(gateway.exists(DROP_IN));
        },
        ends: (Status::Escalated, None),
        events: &[
            "first_green",
            "regressed: came back inside the stability window: ExecStart does not exist: /opt/app/bin-2/run; undo REFUSED: its record cannot be read",
            "escalated",
        ],
        starts: 0,
        issues: &["open"],
    },
    Life {
        name: "nobody can look for ten minutes: told once, repaired when somebody can",
        set: as_built,
        live: |gateway| {
            gateway.units.fail(UNIT, OnStart::Runs);
            gateway.sweep();
            gateway.units.answer(Answers::Denied);
            gateway.runs_for(15 * MINUTE);
            assert_eq!(gateway.task(UNIT).status, Status::Escalated);
            gateway.units.answer(Answers::Well);
            gateway.runs_for(30 * MINUTE);
        },
        ends: FIXED,
        events: &[
            "waiting: nobody could look",
            "escalated: nobody could look",
            "attempt",
            "closed",
        ],
        starts: 1,
        issues: &["closed"],
    },
    Life {
        name: "nobody can look after the attempt: not taken back, looked at again",
        set: as_built,
        live: |gateway| {
            failing(gateway, OnStart::ThenSilence, 2 * MINUTE);
            gateway.units.answer(Answers::Well);
            gateway.units.fail(UNIT, OnStart::Runs);
            gateway.runs_for(5 * MINUTE);
        },
        ends: FIXED,
        events: &[
            "acted",
            "unknown",
            "waiting: reset-failed and start app.service: nobody could look",
            "attempt",
            "first_green",
            "closed",
        ],
        starts: 2,
        issues: &[],
    },
    Life {
        name: "nobody can look at the end of its window: the window goes on",
        set: as_built,
        live: |gateway| {
            failing(gateway, OnStart::Runs, Duration::from_secs(30));
            gateway.units.answer(Answers::Hang);
            gateway.runs_for(10 * MINUTE);
            gateway.units.answer(Answers::Well);
            gateway.runs_for(30 * MINUTE);
        },
        ends: FIXED,
        events: &[
            "first_green",
            "look_later: nobody could look",
            "look_later",
            "closed: verified by its detector and stable",
        ],
        starts: 1,
        issues: &[],
    },
    Life {
        name: "nobody can look for an hour after its window: a human is told",
        set: as_built,
        live: |gateway| {
            failing(gateway, OnStart::Runs, Duration::from_secs(30));
            gateway.units.answer(Answers::Hang);
            gateway.runs_for(3 * HOUR);
        },
        ends: (Status::Escalated, None),
        events: &[
            "first_green",
            "look_later",
            "escalated: repaired, but whether it holds is not known",
        ],
        starts: 1,
        issues: &["open"],
    },
    Life {
        name: "how it went down is not known: told once, and not started",
        set: as_built,
        live: |gateway| {
            gateway.units.put(UNIT, "inactive");
            gateway.runs_for(3 * HOUR);
        },
        ends: (Status::Escalated, None),
        events: &[
            "escalated: app.service is down, and it is not known how it came so",
            "delivered",
        ],
        starts: 0,
        issues: &["open"],
    },
    Life {
        name: "nobody can look for an hour after its window, and it is minor: closed as unverified",
        set: as_built,
        live: |gateway| {
            gateway.ends_by_itself(UNIT);
            gateway.runs_for(Duration::from_secs(30));
            gateway.units.answer(Answers::Hang);
            gateway.runs_for(3 * HOUR);
        },
        ends: (Status::Closed, Some(Resolution::Unverified)),
        events: &[
            "first_green",
            "look_later: nobody could look",
            "look_later",
            "look_later",
            "closed: repaired, but whether it holds is not known",
        ],
        starts: 1,
        issues: &[],
    },
    Life {
        name: "only a human may allow it, and does",
        set: suggest,
        live: |gateway| {
            failing(gateway, OnStart::Runs, MINUTE);
            gateway.approve(UNIT, HOUR);
            gateway.runs_for(2 * MINUTE);
        },
        ends: FIXED,
        events: &[
            "proposed",
            "escalated: mode suggest: a human must approve; proposed: reset-failed and start app.service (mode)",
            "approved",
            "attempt",
            "closed",
        ],
        starts: 1,
        issues: &["closed"],
    },
    Life {
        name: "the leave to do it has expired",
        set: suggest,
        live: |gateway| {
            failing(gateway, OnStart::Runs, MINUTE);
            kill_switch(gateway);
            gateway.approve(UNIT, MINUTE);
            gateway.runs_for(5 * MINUTE);
            gateway.remove(KILL_SWITCH);
            gateway.runs_for(5 * MINUTE);
        },
        ends: (Status::Escalated, None),
        events: &[
            "escalated: mode suggest",
            "approved",
            "waiting: kill_switch",
            "escalated: mode suggest",
        ],
        starts: 0,
        issues: &["open"],
    },
    Life {
        name: "nothing may be touched",
        set: observe,
        live: |gateway| failing(gateway, OnStart::Runs, 10 * MINUTE),
        ends: (Status::Escalated, None),
        events: &[
            "held_back: mode observe: nothing is touched",
            "escalated: mode observe: nothing is touched; proposed: ",
        ],
        starts: 0,
        issues: &["open"],
    },
    Life {
        name: "no budget at all",
        set: spent,
        live: |gateway| failing(gateway, OnStart::Runs, 10 * MINUTE),
        ends: (Status::Escalated, None),
        events: &["escalated: budget of this host is spent (0 of 0)"],
        starts: 0,
        issues: &["open"],
    },
    Life {
        name: "no action fits: its program is gone",
        set: as_built,
        live: |gateway| {
            gateway.units.fail(UNIT, OnStart::Runs);
            gateway.units.change(UNIT, |unit| unit.exit_status = 203);
            gateway.runs_for(2 * MINUTE);
        },
        ends: (Status::Escalated, None),
        events: &["escalated: no action is known to be safe for this cause"],
        starts: 0,
        issues: &["open"],
    },
    Life {
        name: "only lines tell of it, and they end",
        set: as_built,
        live: |gateway| {
            lines(gateway);
            gateway.runs_for(20 * MINUTE);
        },
        ends: (Status::Closed, Some(Resolution::SelfCleared)),
        events: &[
            "waiting: nothing to repair here: put before a human only if it goes on",
            "closed: no further line of it came",
        ],
        starts: 0,
        issues: &[],
    },
    Life {
        name: "its repairs do not last: told once, and repaired all the same",
        set: as_built,
        live: |gateway| {
            for _ in 0..4 {
                failing(gateway, OnStart::Runs, 2 * HOUR);
            }
            assert_eq!(gateway.issue_states(), ["open"]);
            // What came back three times must hold for a day.
            gateway.runs_for(24 * HOUR);
        },
        ends: FIXED,
        events: &["escalated: ", "attempt", "closed"],
        starts: 4,
        issues: &["closed"],
    },
];

#[test]
fn what_a_reload_brings_is_looked_at_at_once() {
    let mut gateway = Gateway::with(as_built);
    gateway.sweep();
    gateway.units.fail(UNIT, OnStart::Runs);
    gateway.sweep();
    assert!(gateway.tasks().is_empty(), "no detector is due");
    let config = gateway.runtime.loaded().config.clone();
    gateway.runtime.take_over(config).unwrap();
    gateway.sweep();
    assert_eq!(gateway.task(UNIT).class, Class::ServiceFailed);
}

#[test]
fn what_the_manager_answers_to_a_start_is_kept_as_it_said_it() {
    let mut gateway = Gateway::with(as_built);
    failing(&mut gateway, OnStart::Refused, MINUTE);
    let reader = gateway.runtime.store.reader().unwrap();
    let attempts = reader.attempts(gateway.task(UNIT).id).unwrap();
    let answers: Vec<_> = attempts
        .iter()
        .filter_map(|one| one.noted(Noted::Answer))
        .collect();
    assert!(!answers.is_empty() && answers.len() == attempts.len());
    assert!(
        answers.iter().all(|one| one == "Job for unit failed."),
        "{answers:?}"
    );
}

#[test]
fn what_is_green_soon_after_an_attempt_that_nobody_could_look_at_is_its_whoever_sees_it() {
    let mut gateway = Gateway::with(as_built);
    gateway.units.fail(UNIT, OnStart::ThenSilence);
    gateway.pass();
    gateway.units.answer(Answers::Well);
    gateway.runs_for(3 * MINUTE);
    let task = gateway.task(UNIT);
    assert_eq!((task.status, task.resolution), FIXED);
    assert_eq!(gateway.starts(), 1);
    let reader = gateway.runtime.store.reader().unwrap();
    let learned = reader.learned(Class::ServiceFailed, UNIT, "reset_failed_start");
    let learned = learned.unwrap();
    assert_eq!((learned.wins, learned.losses), (1, 0));
    let events = gateway.events(&task);
    let by_sweep = events
        .iter()
        .filter(|one| one.starts_with("claimed"))
        .count();
    assert_eq!(by_sweep, 1, "{events:#?}");
}
