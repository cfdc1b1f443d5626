//! Whether an action is admitted: the gates in their order, the mode, an approval.

use super::decide::*;
use super::*;
use crate::core::config::{DeclaredCommand, Mode};
use crate::core::model::gate::Gate;

/// Closes every gate; the rows below open them one by one.
fn closed() -> Scene {
    let mut scene = Scene::ready();
    scene.offer(ActionKind::RestartUnit);
    scene.host.kill_switch = Some("work on the bus".to_owned());
    scene.settings.maintenance = vec![always()];
    scene.host.clock_sane = false;
    scene.host.grace_until = Some(after(5));
    scene.settings.mode.low = Mode::Suggest;
    let checked = scene.checked();
    checked.gone = Some("it runs".to_owned());
    checked.unwanted = Some(stopped());
    checked.spent = Some(spent());
    checked.slot_free = false;
    scene
}

#[test]
fn gates_answer_in_the_order_of_the_design() {
    let openings: [(Gate, fn(&mut Scene)); 9] = [
        (Gate::KillSwitch, |s| s.host.kill_switch = None),
        (Gate::Maintenance, |s| s.settings.maintenance.clear()),
        (Gate::Clock, |s| s.host.clock_sane = true),
        (Gate::StartupGrace, |s| s.host.grace_until = None),
        (Gate::Precondition, |s| s.checked().gone = None),
        (Gate::Wanted, |s| s.checked().unwanted = None),
        (Gate::Mode, |s| s.settings.mode.low = Mode::Auto),
        (Gate::Budget, |s| s.checked().spent = None),
        (Gate::Slot, |s| s.checked().slot_free = true),
    ];
    let mut scene = closed();
    for (gate, open) in openings {
        assert_eq!(scene.step().gate(), Some(gate));
        open(&mut scene);
    }
    assert_eq!(scene.step(), act(Phase::QuickFix, ActionKind::RestartUnit));
}

#[test]
fn a_symptom_waits_for_the_gates_before_its_root() {
    let openings: [(Gate, fn(&mut Scene)); 5] = [
        (Gate::KillSwitch, |s| s.host.kill_switch = None),
        (Gate::Maintenance, |s| s.settings.maintenance.clear()),
        (Gate::Clock, |s| s.host.clock_sane = true),
        (Gate::StartupGrace, |s| s.host.grace_until = None),
        (Gate::Inhibition, |s| s.open.clear()),
    ];
    let mut scene = closed();
    scene.open = vec![root(Status::Detected)];
    for (gate, open) in openings {
        assert_eq!(scene.step().gate(), Some(gate));
        open(&mut scene);
    }
    assert_eq!(scene.step().gate(), Some(Gate::Precondition));
}

#[test]
fn what_is_being_installed_is_waited_for_and_not_for_ever() {
    let mut scene = Scene::ready();
    let until = after(7);
    scene.deployment = Some(Deployment {
        what: "/opt/a changed a moment ago".to_owned(),
        until,
    });
    scene.first_seen(599);
    scene.host.kill_switch = Some("k".to_owned());
    assert_eq!(scene.step().gate(), Some(Gate::KillSwitch));
    scene.host.kill_switch = None;
    let waits = Step::Wait {
        gate: Some(Gate::Deployment),
        until,
        reason: Reason::Deployment("/opt/a changed a moment ago".to_owned()),
    };
    assert_eq!(scene.step(), waits);
    scene.first_seen(600);
    assert_eq!(scene.step(), start());
}

#[test]
fn each_gate_says_until_when_and_why() {
    let no_target = Step::Refuse {
        phase: Phase::QuickFix,
        kind: ActionKind::RestartUnit,
        reason: Reason::NoTarget {
            kind: ActionKind::RestartUnit,
            why: TargetError::Missing(Key::Unit),
        },
    };
    let unfit = Step::Refuse {
        phase: Phase::QuickFix,
        kind: ActionKind::ResetFailedStart,
        reason: Reason::Precondition {
            action: format!("reset_failed_start of {UNIT}"),
            why: "it runs".to_owned(),
        },
    };
    let told = "maintenance until 23:59 UTC: no reason given".to_owned();
    hold(&[
        (
            "kill switch",
            |s| {
                s.host.kill_switch = Some("k".to_owned());
                s.first_seen(1_800);
            },
            wait(900, Reason::KillSwitch("k".to_owned())),
        ),
        (
            "kill switch for almost an hour",
            |s| {
                s.host.kill_switch = Some("k".to_owned());
                s.first_seen(3_595);
            },
            wait(5, Reason::KillSwitch("k".to_owned())),
        ),
        (
            "kill switch for an hour",
            |s| {
                s.host.kill_switch = Some("k".to_owned());
                s.first_seen(3_600);
            },
            Step::Tell {
                reason: Reason::KillSwitch("k".to_owned()),
                proposed: None,
                retry_at: Some(after(900)),
            },
        ),
        (
            "kill switch for a day, told before",
            |s| {
                s.host.kill_switch = Some("k".to_owned());
                s.first_seen(86_400);
                s.past.told = 1;
            },
            wait(900, Reason::KillSwitch("k".to_owned())),
        ),
        (
            "kill switch for a day, a dry run",
            |s| {
                s.host.kill_switch = Some("k".to_owned());
                s.host.dry_run = true;
                s.first_seen(86_400);
            },
            wait(900, Reason::KillSwitch("k".to_owned())),
        ),
        (
            "maintenance",
            |s| s.settings.maintenance = vec![always()],
            wait(900, Reason::Maintenance(told)),
        ),
        (
            "clock",
            |s| s.host.clock_sane = false,
            wait(30, Reason::Clock),
        ),
        (
            "the daemon has just started",
            |s| s.host.grace_until = Some(after(3)),
            wait(3, Reason::StartupGrace),
        ),
        (
            "no target, whatever gate is closed",
            |s| {
                *s = closed();
                s.checked().target = Err(TargetError::Missing(Key::Unit));
            },
            no_target,
        ),
        (
            "precondition",
            |s| s.checked().gone = Some("it runs".to_owned()),
            unfit,
        ),
        (
            "what somebody stopped is told once",
            |s| s.checked().unwanted = Some(stopped()),
            tell(Reason::Unwanted(stopped()), None),
        ),
        (
            "what was told already is only looked at again",
            |s| {
                s.past.told = 1;
                s.checked().unwanted = Some(stopped());
            },
            wait(900, Reason::Unwanted(stopped())),
        ),
        (
            "what passes by itself is waited for",
            |s| s.checked().unwanted = Some(not_wanted(Unwanted::Disabled)),
            wait(900, Reason::Unwanted(not_wanted(Unwanted::Disabled))),
        ),
        (
            "what is unwanted is told only when it had time to settle",
            |s| {
                s.first_seen(4);
                s.checked().unwanted = Some(stopped());
            },
            wait(6, Reason::Unwanted(stopped())),
        ),
        (
            "what another unit is in the way of is looked at again after it was told",
            |s| {
                s.first_seen(100);
                s.checked().unwanted = Some(in_place());
            },
            tell(Reason::Unwanted(in_place()), Some(100)),
        ),
        (
            "and told once",
            |s| {
                s.past.told = 1;
                s.checked().unwanted = Some(in_place());
            },
            wait(900, Reason::Unwanted(in_place())),
        ),
        (
            "a spent budget is told with the time at which there is room again",
            |s| s.checked().spent = Some(spent()),
            tell(Reason::Budget(spent()), Some(1_234)),
        ),
        (
            "slot",
            |s| {
                s.offer(ActionKind::RestartUnit);
                s.checked().slot_free = false;
            },
            wait(2, Reason::Slot),
        ),
        (
            "no slot is needed for a start of what is down",
            |s| s.checked().slot_free = false,
            start(),
        ),
        (
            "no slot is needed for what disturbs nothing",
            |s| {
                s.offer(ActionKind::VacuumJournal);
                s.checked().slot_free = false;
            },
            act(Phase::QuickFix, ActionKind::VacuumJournal),
        ),
    ]);
}

#[test]
fn the_mode_of_an_action_is_its_class_or_risk_and_less_after_a_restore() {
    const START: ActionKind = ActionKind::ResetFailedStart;
    fn declared(s: &mut Scene, risk: &str) {
        s.offer_command();
        s.settings.command = vec![DeclaredCommand {
            name: "reboot-modem".to_owned(),
            risk: risk.to_owned(),
            ..DeclaredCommand::default()
        }];
    }
    fn own(s: &mut Scene, mode: Mode) {
        s.settings
            .mode
            .class
            .insert("service_failed".to_owned(), mode);
    }
    hold(&[
        (
            "medium risk",
            |s| s.offer(ActionKind::PathDropIn),
            proposes(ActionKind::PathDropIn, Mode::Suggest),
        ),
        (
            "high risk",
            |s| s.offer(ActionKind::RestartInterface),
            proposes(ActionKind::RestartInterface, Mode::Observe),
        ),
        (
            "the class's own mode",
            |s| own(s, Mode::Observe),
            proposes(START, Mode::Observe),
        ),
        (
            "a command whose risk is declared",
            |s| declared(s, "low"),
            act(Phase::QuickFix, ActionKind::RunDeclared),
        ),
        (
            "a command of high risk",
            |s| declared(s, "high"),
            proposes(ActionKind::RunDeclared, Mode::Observe),
        ),
        (
            "a command that is not declared",
            |s| s.offer_command(),
            proposes(ActionKind::RunDeclared, Mode::Observe),
        ),
        (
            "after a restore auto is suggest",
            |s| s.host.restored = Some(NOW),
            proposes(START, Mode::Suggest),
        ),
        (
            "after a restore observe stays",
            |s| {
                s.host.restored = Some(NOW);
                own(s, Mode::Observe);
            },
            proposes(START, Mode::Observe),
        ),
        (
            "a dry run only looks",
            |s| {
                s.host.dry_run = true;
                s.host.restored = Some(NOW);
            },
            proposes(START, Mode::Observe),
        ),
    ]);
}

/// What a human has to allow, since it is not what was allowed.
fn asks_again(kind: ActionKind, changed: &str) -> Step {
    let Step::Tell { proposed, .. } = proposes(kind, Mode::Suggest) else {
        panic!("not a tell");
    };
    Step::Tell {
        reason: Reason::Changed(changed.to_owned()),
        proposed,
        retry_at: None,
    }
}

#[test]
fn an_approval_is_of_one_action_on_one_target_and_ends() {
    const START: ActionKind = ActionKind::ResetFailedStart;
    fn approved(s: &mut Scene, what: Proposal, until: Timestamp) {
        s.settings.mode.low = Mode::Suggest;
        s.task.approved_action = Some(what.kind.as_str().to_owned());
        s.task.approved_digest = Some(what.digest());
        s.task.approved_until = Some(until);
        s.task.proposal = Some(what);
    }
    fn in_force(s: &mut Scene) {
        approved(s, action(START, UNIT), after(1));
    }
    let (this, other) = (action(START, UNIT), action(START, "b.service"));
    let [this, other] = [this.brief(), other.brief()];
    let other_kind = action(ActionKind::FreeDisk, UNIT).brief();
    hold(&[
        ("in force", in_force, start()),
        (
            "over",
            |s| approved(s, action(START, UNIT), NOW),
            proposes(START, Mode::Suggest),
        ),
        (
            "without an end",
            |s| {
                in_force(s);
                s.task.approved_until = None;
            },
            proposes(START, Mode::Suggest),
        ),
        (
            "used up",
            |s| {
                in_force(s);
                s.task.approved_action = None;
                s.task.approved_digest = None;
            },
            proposes(START, Mode::Suggest),
        ),
        (
            "of another kind of action",
            |s| approved(s, action(ActionKind::FreeDisk, UNIT), after(1)),
            asks_again(
                START,
                &format!(
                    "the approved action was {other_kind}, it is now {this}: action free_disk -> reset_failed_start"
                ),
            ),
        ),
        (
            "of another target",
            |s| approved(s, action(START, "b.service"), after(1)),
            asks_again(
                START,
                &format!(
                    "the approved action was {other}, it is now {this}: unit b.service -> a.service"
                ),
            ),
        ),
        (
            "made before there were digests: it names a kind alone",
            |s| {
                in_force(s);
                s.task.approved_digest = None;
                s.task.proposal = None;
            },
            asks_again(
                START,
                &format!(
                    "the approval of reset_failed_start does not say of which target, it is now {this}"
                ),
            ),
        ),
        (
            "what stands now was not what was allowed",
            |s| {
                approved(s, action(START, "b.service"), after(1));
                s.task.proposal = Some(action(START, UNIT));
            },
            asks_again(
                START,
                &format!(
                    "the approval of reset_failed_start does not say of which target, it is now {this}"
                ),
            ),
        ),
        (
            "where the mode is observe",
            |s| {
                in_force(s);
                s.settings.mode.low = Mode::Observe;
            },
            proposes(START, Mode::Observe),
        ),
        (
            "of another target where the mode is observe",
            |s| {
                approved(s, action(START, "b.service"), after(1));
                s.settings.mode.low = Mode::Observe;
            },
            proposes(START, Mode::Observe),
        ),
        (
            "of another target where nobody has to be asked",
            |s| {
                approved(s, action(START, "b.service"), after(1));
                s.settings.mode.low = Mode::Auto;
            },
            start(),
        ),
    ]);
}

#[test]
fn what_was_started_a_moment_ago_is_not_restarted() {
    fn starting(s: &mut Scene, seconds: u64) {
        *s = Scene {
            task: task(Class::ProbeFailed, "web"),
            ..Scene::ready()
        };
        s.finding
            .evidence
            .set("starting_until", after(seconds).to_string());
    }
    hold(&[
        (
            "it may still be starting",
            |s| starting(s, 40),
            wait(40, Reason::Starting),
        ),
        ("its time is over", |s| starting(s, 0), start()),
        (
            "its root comes first",
            |s| {
                starting(s, 40);
                s.task = Scene::ready().task;
                s.open.push(root(Status::Detected));
            },
            wait(900, super::decide::symptom()),
        ),
    ]);
}

#[test]
fn a_restart_of_a_container_is_suggested_until_it_has_a_mode_and_of_low_risk_only_where_it_is_proven()
 {
    use crate::core::model::facts::Fact;
    let kind = ActionKind::RestartContainer;
    let mode = |settings: &str, why: Option<&str>| {
        let mut scene = Scene::of(Class::ContainerUnhealthy, "web");
        scene.settings = Config::parse(settings).unwrap();
        scene.finding = scene.finding.with(Fact::Proven(why.map_or(Ok(()), Err)));
        scene.offer(kind);
        match scene.step() {
            Step::Act { .. } => Mode::Auto,
            Step::Tell {
                reason: Reason::Mode(mode),
                ..
            } => mode,
            other @ (Step::Wait { .. }
            | Step::Tell { .. }
            | Step::Green
            | Step::Close { .. }
            | Step::Refuse { .. }) => panic!("{settings} {why:?}: {other:?}"),
        }
    };
    let own = "[mode.action]\nrestart_container = \"auto\"\n";
    let all = format!("[mode]\nmedium = \"auto\"\n{own}");
    let class = "[mode.class]\ncontainer_unhealthy = \"auto\"\n";
    let ill = Some("it ran well for 20 s in this run, less than 600");
    for (settings, why, want) in [
        // As it is after an upgrade, whatever was said of risks and classes before.
        ("", None, Mode::Suggest),
        ("", ill, Mode::Suggest),
        ("[mode]\nmedium = \"auto\"\n", None, Mode::Suggest),
        (class, None, Mode::Suggest),
        // With a mode of its own.
        (own, None, Mode::Auto),
        (own, ill, Mode::Suggest),
        (&all, ill, Mode::Auto),
        (&format!("{own}{class}"), ill, Mode::Auto),
        (
            "[mode.action]\nrestart_container = \"observe\"\n",
            None,
            Mode::Observe,
        ),
        // It loosens nothing.
        (
            &format!("[mode]\nlimit = \"observe\"\n{own}"),
            None,
            Mode::Observe,
        ),
        (
            &format!("{own}[mode.unit]\nweb = \"observe\"\n"),
            None,
            Mode::Observe,
        ),
    ] {
        assert_eq!(mode(settings, why), want, "{settings} {why:?}");
    }
    let mistake = Config::parse("[mode.action]\nrestart_contianer = \"auto\"\n").unwrap_err();
    assert!(
        mistake.to_string().contains("restart_container"),
        "{mistake}"
    );
}

#[test]
fn a_container_is_restarted_where_that_may_help_and_somebody_else_does_not() {
    use crate::core::model::cause::Cause;
    use crate::core::remedy::runbook::{builtin, select};
    let offered = |fact: (&str, &str), cause| {
        let mut finding = finding(Class::ContainerUnhealthy, "web");
        finding.evidence = Facts::stored(&[fact]);
        let offered = select(&builtin(), &finding, cause);
        offered.iter().map(|one| one.kind).collect::<Vec<_>>()
    };
    let (ours, others) = (
        ("container", "0a"),
        ("left_alone", "autoheal looks after it"),
    );
    let restart = [ActionKind::RestartContainer];
    assert_eq!(offered(ours, Cause::HealthCheckFailed), restart);
    assert_eq!(offered(ours, Cause::OutOfMemory), restart);
    assert_eq!(offered(ours, Cause::ConfigInvalid), []);
    assert_eq!(offered(others, Cause::HealthCheckFailed), []);
}
