//! `explain` beside what the worker then does, for each gate: what it prints before is what the store records after.

use std::time::Duration;

use super::gateway::{Gateway, START, UNIT};
use super::units::OnStart;
use crate::core::config::{Config, DeclaredCommand, Maintenance, Mode};
use crate::core::model::action::ActionKind;
use crate::core::model::class::Class;
use crate::core::model::gate::Gate;
use crate::core::model::task::{Status, Task};
use crate::core::model::time::Timestamp;
use crate::core::remedy::silence::{Scope, Silence};
use crate::core::remedy::step::Step;
use crate::daemon::explain;
use crate::host::clock::CLOCK_FLOOR;
use crate::host::exec::scripted::says;
use crate::store::{Booking, Proposed};

const HOUR: Duration = Duration::from_secs(3_600);
/// A runbook of the operator's: the unit is repaired by a declared command.
const BY_COMMAND: &str = "[[runbook]]\nid = \"own\"\nclass = [\"service_failed\"]\n[[runbook.step]]\naction = \"run_declared\"\nphase = 1\ncommand = \"repair-app\"\n";

/// One way to close a gate.
struct Row {
    name: &'static str,
    gate: Option<Gate>,
    begins: Timestamp,
    set: fn(&mut Config),
    /// Files that are there before the start.
    files: &'static [(&'static str, &'static str)],
    /// What closes it, once the unit has failed and a sweep has seen it.
    close: fn(&mut Gateway),
    /// The kind of step.
    step: &'static str,
}

const OPEN: Row = Row {
    name: "every gate is open",
    gate: None,
    begins: START,
    set: |_| {},
    files: &[],
    close: |_| {},
    step: "act",
};

fn suggest(config: &mut Config) {
    config.mode.limit = Mode::Suggest;
}

fn command(config: &mut Config, risk: &str) {
    config.command.push(DeclaredCommand {
        name: "repair-app".to_owned(),
        argv: vec!["/usr/bin/repair-app".to_owned()],
        user: "root".to_owned(),
        risk: risk.to_owned(),
        ..DeclaredCommand::default()
    });
}

/// The program of the unit moved: a bad path that explains its failure.
fn bad_path(gateway: &mut Gateway) {
    let fragment = "/etc/systemd/system/app.service";
    gateway.write(fragment, "[Service]\nExecStart=/opt/app/bin/run\n");
    gateway
        .units
        .change(UNIT, |unit| fragment.clone_into(&mut unit.fragment));
    gateway.advance(HOUR);
    gateway.sweep();
}

/// Another task's disruptive action is under way.
fn another_acts(gateway: &mut Gateway) {
    gateway.units.fail("other.service", OnStart::Runs);
    gateway.advance(Duration::from_secs(60));
    gateway.sweep();
    let other = gateway.task("other.service");
    let booking = Booking {
        action_kind: ActionKind::RestartUnit,
        action_text: "restart other.service".to_owned(),
        subject: other.subject.clone(),
        unit: Some(other.subject.clone()),
        phase: 1,
        undo: String::new(),
        actor: "worker-2".to_owned(),
    };
    let (store, now) = (&gateway.runtime.store, gateway.now());
    let budget = &gateway.runtime.loaded().config.budget;
    store.book_attempt(other.id, booking, budget, now).unwrap();
}

fn restored(gateway: &mut Gateway) {
    let at = gateway.now();
    gateway.sql(&format!(
        "INSERT INTO meta (key, value) VALUES ('restored_at', '{at}') ON CONFLICT (key) DO UPDATE SET value = excluded.value"
    ));
}

/// The program is missing, and the package manager's lock is held.
fn installing(gateway: &mut Gateway) {
    use std::os::unix::fs::MetadataExt;
    gateway.write("/var/lib/dpkg/lock", "");
    let lock = std::fs::metadata(gateway.dir.path().join("var/lib/dpkg/lock")).unwrap();
    let (major, minor) = (nix::libc::major(lock.dev()), nix::libc::minor(lock.dev()));
    let inode = lock.ino();
    let held = format!("1: FLOCK  ADVISORY  WRITE 70 {major:02x}:{minor:02x}:{inode} 0 EOF\n");
    gateway.write("/proc/locks", &held);
    gateway.units.change(UNIT, |unit| {
        unit.exit_status = 203;
    });
}

const ROWS: &[Row] = &[
    OPEN,
    Row {
        name: "silence",
        gate: Some(Gate::Silence),
        close: |gateway| {
            let until = gateway.now().plus(HOUR);
            let silence = Silence {
                scope: Scope::of_word(UNIT),
                until,
                by: "anna".to_owned(),
                reason: "new cable".to_owned(),
            };
            let now = gateway.now();
            assert!(gateway.runtime.store.silence(silence, now).unwrap());
        },
        step: "wait",
        ..OPEN
    },
    Row {
        name: "kill switch",
        gate: Some(Gate::KillSwitch),
        close: |gateway| gateway.write("/etc/autonomous-orchestrator/disable", "people at work\n"),
        step: "wait",
        ..OPEN
    },
    Row {
        name: "maintenance",
        gate: Some(Gate::Maintenance),
        set: |config| {
            config.maintenance.push(Maintenance {
                from: "11:00".to_owned(),
                to: "12:10".to_owned(),
                ..Maintenance::default()
            });
        },
        step: "wait",
        ..OPEN
    },
    Row {
        name: "a clock before the floor",
        gate: Some(Gate::Clock),
        begins: Timestamp::from_millis(CLOCK_FLOOR.as_millis() - 3_600_000),
        step: "wait",
        ..OPEN
    },
    Row {
        name: "start-up grace",
        gate: Some(Gate::StartupGrace),
        set: |config| config.daemon.startup_grace_s = 90,
        step: "wait",
        ..OPEN
    },
    Row {
        name: "a root that is broken",
        gate: Some(Gate::Inhibition),
        close: bad_path,
        step: "wait",
        ..OPEN
    },
    Row {
        name: "a package manager at work while a program is missing",
        gate: Some(Gate::Deployment),
        close: installing,
        step: "wait",
        ..OPEN
    },
    Row {
        name: "the host no longer fits the action",
        gate: Some(Gate::Precondition),
        set: |config| command(config, "low"),
        files: &[(
            "/etc/autonomous-orchestrator/runbooks.d/own.toml",
            BY_COMMAND,
        )],
        close: |gateway| gateway.remove("/usr/bin/repair-app"),
        step: "refuse",
        ..OPEN
    },
    Row {
        name: "nobody wants the unit to run",
        gate: Some(Gate::Wanted),
        close: |gateway| {
            gateway
                .units
                .change(UNIT, |unit| unit.condition_result = false);
        },
        step: "tell",
        ..OPEN
    },
    Row {
        name: "mode suggest",
        gate: Some(Gate::Mode),
        set: suggest,
        step: "tell",
        ..OPEN
    },
    Row {
        name: "mode observe",
        gate: Some(Gate::Mode),
        set: |config| config.mode.limit = Mode::Observe,
        step: "tell",
        ..OPEN
    },
    Row {
        name: "mode suggest, approved",
        set: suggest,
        close: |gateway| approved(gateway, HOUR),
        ..OPEN
    },
    Row {
        name: "mode suggest, an approval that is over",
        gate: Some(Gate::Mode),
        set: suggest,
        close: |gateway| approved(gateway, Duration::ZERO),
        step: "tell",
        ..OPEN
    },
    Row {
        name: "a declared command of low risk",
        set: |config| command(config, "low"),
        files: &[(
            "/etc/autonomous-orchestrator/runbooks.d/own.toml",
            BY_COMMAND,
        )],
        ..OPEN
    },
    Row {
        name: "a declared command of medium risk",
        gate: Some(Gate::Mode),
        set: |config| command(config, "medium"),
        files: &[(
            "/etc/autonomous-orchestrator/runbooks.d/own.toml",
            BY_COMMAND,
        )],
        step: "tell",
        ..OPEN
    },
    Row {
        name: "a declared command of high risk",
        gate: Some(Gate::Mode),
        set: |config| command(config, "high"),
        files: &[(
            "/etc/autonomous-orchestrator/runbooks.d/own.toml",
            BY_COMMAND,
        )],
        step: "tell",
        ..OPEN
    },
    Row {
        name: "a restored store",
        gate: Some(Gate::Mode),
        close: restored,
        step: "tell",
        ..OPEN
    },
    Row {
        name: "a spent budget",
        gate: Some(Gate::Budget),
        set: |config| {
            config.budget.host_per_hour = 0;
            config.budget.first_starts_per_hour = 0;
        },
        step: "wait",
        ..OPEN
    },
    Row {
        name: "another disruptive action",
        gate: Some(Gate::Slot),
        set: |config| command(config, "low"),
        files: &[(
            "/etc/autonomous-orchestrator/runbooks.d/own.toml",
            BY_COMMAND,
        )],
        close: another_acts,
        step: "wait",
        ..OPEN
    },
];

fn approved(gateway: &mut Gateway, span: Duration) {
    let (task, now) = (failed(gateway), gateway.now());
    let Step::Tell {
        proposed: Some(action),
        ..
    } = explained(gateway, &task)
    else {
        panic!("nothing is proposed");
    };
    let (digest, by_name) = (action.digest(), false);
    let proposed = Proposed {
        action,
        by_name,
        held_back: false,
    };
    let store = &gateway.runtime.store;
    store
        .propose(task.id, proposed, "worker-1", "asked", now)
        .unwrap();
    store
        .approve(task.id, &digest, now.plus(span), "human", now)
        .unwrap();
}

/// The task about the unit's failure.
fn failed(gateway: &Gateway) -> Task {
    let mut tasks = gateway.tasks();
    tasks.retain(|task| task.class == Class::ServiceFailed && task.subject == UNIT);
    tasks.pop().unwrap()
}

/// The step that `explain` prints about the task now.
fn explained(gateway: &Gateway, task: &Task) -> Step {
    gateway.tell_status();
    let config = gateway.runtime.loaded().config.clone();
    let explained = explain::explain(&gateway.runtime.host, config, task.id, &[]).unwrap();
    let step = explained.step().unwrap().clone();
    let printed = explained.text();
    assert!(printed.ends_with(&format!("next: {step}\n")), "{printed}");
    let json = &explained.json()["next"];
    let gate = step.gate().map(Gate::as_str);
    assert_eq!(
        (&json["step"], json["gate"].as_str()),
        (&step.name().into(), gate)
    );
    step
}

/// Lets a worker go on until it has taken a step of the task; the slot is held where another action runs.
fn worked(gateway: &Gateway, task: &Task, slot_held: bool) -> Task {
    let slot = slot_held.then(|| gateway.runtime.slot(ActionKind::RestartUnit));
    let claimed = |event: &String| event.starts_with("claimed");
    while !gateway.events(task).iter().any(claimed) {
        assert!(gateway.work(), "task {} is not due", task.id);
    }
    drop(slot);
    failed(gateway)
}

/// What the store must hold after `step`: its event, its gate and when it is looked at again.
fn expected(step: &Step) -> Recorded {
    let (gate, reason) = (step.gate(), step.reason());
    let reason = reason.map(ToString::to_string).unwrap_or_default();
    let (event, gate, next) = match step {
        Step::Wait { until, .. } => {
            let prefix = gate.map(|gate| format!("{gate}: ")).unwrap_or_default();
            (format!("waiting: {prefix}{reason}"), gate, Some(*until))
        }
        Step::Tell {
            proposed: Some(action),
            retry_at,
            ..
        } => {
            let gate = gate.map(|gate| format!(" ({gate})")).unwrap_or_default();
            let event = format!("escalated: {reason}; proposed: {action}{gate}");
            (event, None, *retry_at)
        }
        Step::Tell { retry_at, .. } => (format!("escalated: {reason}"), None, *retry_at),
        Step::Refuse { .. } => (format!("refused: {reason}"), None, None),
        Step::Green => ("first_green: ".to_owned(), None, None),
        Step::Close { .. } => (format!("closed: {reason}"), None, None),
        Step::Act { phase, .. } => {
            let event = format!("attempt: attempt 1 in phase {}", phase.number());
            (event, None, None)
        }
    };
    Recorded {
        event,
        gate: gate.map(|gate| gate.as_str().to_owned()),
        next,
        action: if let Step::Act { action, .. } = step {
            Some(action.to_string())
        } else {
            None
        },
    }
}

/// What the store holds of a step.
#[derive(Debug, PartialEq)]
struct Recorded {
    /// Name and reason in the history.
    event: String,
    gate: Option<String>,
    /// When the task is looked at again.
    next: Option<Timestamp>,
    /// What was done.
    action: Option<String>,
}

fn recorded(gateway: &Gateway, task: &Task) -> Recorded {
    const STEPS: [&str; 5] = [
        "waiting: ",
        "escalated: ",
        "refused: ",
        "closed: ",
        "attempt: ",
    ];
    let events = gateway.events(task);
    let is_step = |event: &&String| STEPS.iter().any(|step| event.starts_with(step));
    let waits = matches!(task.status, Status::Waiting | Status::Escalated);
    Recorded {
        event: events.iter().find(is_step).cloned().unwrap_or_default(),
        gate: gateway.column("waiting_gate", task),
        next: task.next_attempt_at.filter(|_| waits),
        action: task.action.clone(),
    }
}

/// The step that is explained and what comes of it; what differs, in words.
fn differs(row: &Row) -> Option<String> {
    let mut gateway = Gateway::at(row.begins, row.files, row.set);
    gateway.program("/usr/bin/repair-app");
    // Through systemd as root, else directly.
    for words in ["systemd-run", "/usr/bin/repair-app"] {
        gateway.script.on(words, |_| says(""));
    }
    gateway.units.fail(UNIT, OnStart::Runs);
    gateway.sweep();
    // Nobody is told sooner.
    gateway.advance(Duration::from_secs(10));
    (row.close)(&mut gateway);
    let task = failed(&gateway);
    let step = explained(&gateway, &task);
    let worked = worked(&gateway, &task, row.gate == Some(Gate::Slot));
    let (said, did) = (expected(&step), recorded(&gateway, &worked));
    let as_it_should = (step.name(), step.gate()) == (row.step, row.gate) && said == did;
    (!as_it_should).then(|| format!("{}: {step}\n  said {said:?}\n  did  {did:?}", row.name))
}

#[test]
fn what_explain_says_is_what_the_worker_does_at_each_gate() {
    let wrong: Vec<String> = ROWS.iter().filter_map(differs).collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn each_gate_has_its_row() {
    for gate in Gate::ALL {
        assert!(ROWS.iter().any(|row| row.gate == Some(*gate)), "{gate}");
    }
}
