//! The rules of the room, one row a rule and both sides of each limit. The limits stand here as numbers: a
//! constant that moves is a rule that changed.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::type_complexity
)]

mod admission;
mod decide;
mod ending;
mod gates;
mod phases;
mod rounds;
mod silence;
mod step;
mod telling;

use crate::core::model::id::TaskId;
use std::time::Duration;

use crate::core::config::Config;
use crate::core::diagnosis::learning::Fixed;
use crate::core::diagnosis::root_cause::OpenCondition;
use crate::core::model::action::ActionKind;
use crate::core::model::class::Class;
use crate::core::model::facts::{Facts, Key};
use crate::core::model::finding::{Finding, Severity};
use crate::core::model::habit::LineStanding;
use crate::core::model::proposal::{Proposal, Terms};
use crate::core::model::task::{Outcome, Phase, Status, Task};
use crate::core::model::time::Timestamp;
use crate::core::model::unit::Purpose;
use crate::core::reading::wanted::{NotWanted, Unwanted};
use crate::core::remedy::decide::{Checked, Decision, Deployment, Past, Situation};
use crate::core::remedy::ending::{LastAttempt, Seen};
use crate::core::remedy::host_facts::HostFacts;
use crate::core::remedy::phases::{Offer, Offers};
use crate::core::remedy::step::{BudgetScope, Reason, Spent, Step};
use crate::core::remedy::target::TargetError;
use crate::core::remedy::tried::Tried;

const NOW: Timestamp = Timestamp::from_millis(1_800_000_000_000);
const UNIT: &str = "a.service";

fn not_wanted(why: Unwanted) -> NotWanted {
    let unit = UNIT.to_owned();
    NotWanted { unit, why }
}

fn stopped() -> NotWanted {
    not_wanted(Unwanted::OnPurpose(Purpose::Stopped))
}

fn in_place() -> NotWanted {
    not_wanted(Unwanted::InPlaceOf("b.service".to_owned()))
}

fn ago(seconds: u64) -> Timestamp {
    NOW.minus(Duration::from_secs(seconds))
}

fn after(seconds: u64) -> Timestamp {
    NOW.plus(Duration::from_secs(seconds))
}

fn task(class: Class, subject: &str) -> Task {
    Task {
        last_seen_at: NOW,
        ..Task::sample(7, class, subject, ago(3_600))
    }
}

fn finding(class: Class, subject: &str) -> Finding {
    Finding::new(class, subject, Severity::Error, "m", "units", NOW)
}

/// Another open condition about the unit, nearer to the root: its unit file names a path that is not there.
fn root(status: Status) -> OpenCondition {
    OpenCondition {
        task_id: TaskId::from_number(3),
        class: Class::InvalidUnitPath,
        subject: UNIT.to_owned(),
        status,
        message: String::new(),
        evidence: Facts::default(),
        since: ago(3_600),
        tried: false,
        green_since: None,
    }
}

fn offer(kind: ActionKind) -> Offer {
    Offer {
        kind,
        command: None,
        why: format!("offered {kind}"),
        confidence: 0.9,
    }
}

fn tried(phase: Phase, kind: ActionKind) -> Tried {
    Tried {
        phase,
        kind,
        acted: true,
        booked: true,
        at: ago(30),
    }
}

/// A restart that ended so many seconds ago.
fn attempt(outcome: Outcome, seconds: u64) -> LastAttempt {
    LastAttempt {
        kind: ActionKind::RestartUnit,
        outcome,
        taken_back: false,
        in_vain: false,
        ended_at: ago(seconds),
    }
}

fn refused(phase: Phase, kind: ActionKind) -> Tried {
    Tried {
        acted: false,
        booked: false,
        ..tried(phase, kind)
    }
}

fn fixed_before(hours_ago: u64) -> Fixed {
    Fixed {
        task_id: TaskId::from_number(1),
        action: "start".to_owned(),
        closed_at: ago(hours_ago * 3_600),
    }
}

fn spent() -> Spent {
    Spent {
        scope: BudgetScope::Unit,
        used: 5,
        limit: 5,
        free_at: after(1_234),
    }
}

/// All that a decision looks at. As it begins, a failed unit may be started: every gate is open.
struct Scene {
    task: Task,
    finding: Finding,
    seen: Seen,
    open: Vec<OpenCondition>,
    past: Past,
    deployment: Option<Deployment>,
    standing: Option<LineStanding>,
    host: HostFacts,
    settings: Config,
    offers: Option<Offers>,
    checked: Option<Checked>,
}

impl Scene {
    fn of(class: Class, subject: &str) -> Self {
        Self {
            task: task(class, subject),
            finding: finding(class, subject),
            seen: Seen::Present(finding(class, subject)),
            open: Vec::new(),
            past: Past::default(),
            deployment: None,
            standing: None,
            host: HostFacts {
                kill_switch: None,
                clock_sane: true,
                grace_until: None,
                restored: None,
                dry_run: false,
                ahead_s: 0,
                silences: crate::core::remedy::silence::Silences::default(),
            },
            settings: Config::default(),
            offers: Some(Offers::default()),
            checked: None,
        }
    }

    fn ready() -> Self {
        let mut scene = Self::of(Class::ServiceFailed, UNIT);
        scene.offer(ActionKind::ResetFailedStart);
        scene
    }

    /// Its one certain action is this one, and nothing on the host is against it.
    fn offer(&mut self, kind: ActionKind) {
        self.offers = Some(Offers {
            certain: vec![offer(kind)],
            ..Offers::default()
        });
        self.checked = Some(Checked {
            kind,
            command: None,
            target: Ok(action(kind, UNIT)),
            gone: None,
            unwanted: None,
            held: None,
            spent: None,
            slot_free: true,
        });
    }

    fn checked(&mut self) -> &mut Checked {
        self.checked.as_mut().unwrap()
    }

    /// The operator's `reboot-modem`, offered and checked.
    fn offer_command(&mut self) {
        self.offer(ActionKind::RunDeclared);
        let name = Some("reboot-modem".to_owned());
        self.checked().command.clone_from(&name);
        self.checked().target = Ok(action(ActionKind::RunDeclared, UNIT));
        self.offers.as_mut().unwrap().certain[0].command = name;
    }

    fn first_seen(&mut self, seconds_ago: u64) {
        self.task.detected_at = ago(seconds_ago);
    }

    fn decide(&self) -> Decision {
        let situation = Situation {
            task: &self.task,
            seen: self.seen.clone(),
            open: &self.open,
            past: self.past.clone(),
            deployment: self.deployment.clone(),
            standing: self.standing,
            host: self.host.clone(),
            settings: &self.settings,
            offers: self.offers.clone(),
            checked: self.checked.clone(),
        };
        super::decide::decide(&situation, &self.finding, NOW)
    }

    fn step(&self) -> Step {
        match self.decide() {
            Decision::Step(step) => step,
            Decision::Ask(question) => panic!("asks {question:?}"),
        }
    }
}

/// A rule: its name, how its scene differs from the one that is ready, and the step.
type Row = (&'static str, fn(&mut Scene), Step);

fn hold(rows: &[Row]) {
    for (name, change, step) in rows {
        let mut scene = Scene::ready();
        change(&mut scene);
        assert_eq!(&scene.step(), step, "{name}");
    }
}

fn wait(seconds: u64, reason: Reason) -> Step {
    Step::Wait {
        gate: reason.gate(),
        until: after(seconds),
        reason,
    }
}

/// An action on a unit; the operator's command is `reboot-modem`.
fn action(kind: ActionKind, unit: &str) -> Proposal {
    let command = (kind == ActionKind::RunDeclared).then(|| "reboot-modem".to_owned());
    Proposal {
        kind,
        command,
        text: format!("{kind} of {unit}"),
        terms: Terms::undone_by("nothing").with("unit", unit),
    }
}

fn act(phase: Phase, kind: ActionKind) -> Step {
    Step::Act {
        phase,
        action: action(kind, UNIT),
        why: format!("offered {kind}"),
    }
}

fn start() -> Step {
    act(Phase::QuickFix, ActionKind::ResetFailedStart)
}

/// A human is told; it is tried again so many seconds later.
fn tell(reason: Reason, retry: Option<u64>) -> Step {
    Step::Tell {
        reason,
        proposed: None,
        retry_at: retry.map(after),
    }
}
