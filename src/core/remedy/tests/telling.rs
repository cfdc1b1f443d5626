//! When a human is told, to the second, and that it is said once.
use super::decide::flapping;
use super::*;
use crate::core::model::cause::Cause;
use crate::core::remedy::step;

/// What the rules of its kind leave to a human: no offer, and seen for so long.
fn hopeless(s: &mut Scene, seconds: u64) {
    s.offers = Some(Offers::default());
    s.first_seen(seconds);
}

#[test]
fn what_stands_before_a_human_is_not_put_there_again() {
    hold(&[
        (
            "another thing stands",
            |s| {
                hopeless(s, 60);
                s.past.stands = Some("another thing".to_owned());
            },
            tell(Reason::NothingSafe, None),
        ),
        (
            "this very thing stands",
            |s| {
                hopeless(s, 60);
                s.past.stands = Some(step::told(&Reason::NothingSafe, None));
            },
            wait(86_400, Reason::NothingSafe),
        ),
    ]);
}

#[test]
fn repairs_that_break_something_else_are_told_once_and_stop() {
    hold(&[
        (
            "not told yet",
            |s| s.past.breaks = Some("b.service".to_owned()),
            tell(Reason::Breaks("b.service".to_owned()), Some(3_600)),
        ),
        (
            "told",
            |s| {
                s.past.breaks = Some("b.service".to_owned());
                s.past.told = 1;
            },
            wait(3_600, Reason::Breaks("b.service".to_owned())),
        ),
    ]);
}

fn queued() -> Spent {
    Spent {
        scope: BudgetScope::FirstStarts,
        ..spent()
    }
}

#[test]
fn a_spent_budget_is_told_two_minutes_after_the_fault_and_once() {
    fn empty(s: &mut Scene, seconds: u64, told: u32) {
        s.checked().spent = Some(spent());
        s.first_seen(seconds);
        s.past.told = told;
    }
    hold(&[
        (
            "a second before",
            |s| empty(s, 119, 0),
            wait(1, Reason::Budget(spent())),
        ),
        (
            "much before",
            |s| empty(s, 20, 0),
            wait(100, Reason::Budget(spent())),
        ),
        (
            "then",
            |s| empty(s, 120, 0),
            tell(Reason::Budget(spent()), Some(1_234)),
        ),
        (
            "told",
            |s| empty(s, 120, 1),
            wait(1_234, Reason::Budget(spent())),
        ),
        (
            "its turn in a queue of first starts is waited for",
            |s| {
                empty(s, 1_200, 0);
                s.checked().spent = Some(queued());
            },
            wait(1_234, Reason::Budget(queued())),
        ),
    ]);
}

#[test]
fn a_round_with_nothing_left_is_told_two_minutes_after_the_fault() {
    fn over(s: &mut Scene, seconds: u64) {
        hopeless(s, seconds);
        s.past.tried = vec![tried(Phase::QuickFix, ActionKind::FreeDisk); 2];
    }
    let step = |seconds| {
        let mut scene = Scene::ready();
        over(&mut scene, seconds);
        scene.step()
    };
    assert_eq!(step(119), wait(1, Reason::MayStillShow));
    assert_eq!(step(120).name(), "tell");
}

#[test]
fn what_the_kernel_alone_tells_is_told_at_once_where_it_is_critical() {
    fn of(s: &mut Scene, class: Class, severity: Severity) {
        *s = Scene::of(class, "zone0");
        s.first_seen(0);
        s.task.severity = severity;
    }
    for (class, severity, name) in [
        (Class::KernelOops, Severity::Critical, "tell"),
        (Class::KernelOops, Severity::Error, "wait"),
        (Class::ServiceFailed, Severity::Critical, "wait"),
    ] {
        let mut scene = Scene::ready();
        of(&mut scene, class, severity);
        assert_eq!(scene.step().name(), name, "{class} {severity}");
    }
}

#[test]
fn what_is_not_to_be_started_is_told_after_ten_seconds() {
    let settles = |seconds| {
        let mut scene = Scene::ready();
        scene.checked().unwanted = Some(not_wanted(Unwanted::Prevented("5".to_owned())));
        scene.first_seen(seconds);
        scene.step()
    };
    assert_eq!(
        settles(9),
        wait(
            1,
            Reason::Unwanted(not_wanted(Unwanted::Prevented("5".to_owned())))
        )
    );
    assert_eq!(settles(10).name(), "tell");
}

fn against(cause: Cause) -> Offers {
    Offers {
        cause: Some(cause),
        ..Offers::default()
    }
}

#[test]
fn a_unit_that_its_manager_restarts_is_given_a_window() {
    fn lasted(s: &mut Scene, seconds: u64) {
        flapping(s);
        s.first_seen(seconds);
    }
    hold(&[
        ("new", |s| lasted(s, 0), wait(600, Reason::MayPass)),
        (
            "shortly before",
            |s| lasted(s, 599),
            wait(75, Reason::MayPass),
        ),
        (
            "a window",
            |s| lasted(s, 600),
            tell(Reason::NothingSafe, None),
        ),
        (
            "however long it was not seen",
            |s| {
                lasted(s, 600);
                s.task.last_seen_at = ago(600);
            },
            tell(Reason::NothingSafe, None),
        ),
        (
            "found late, by its count over a day",
            |s| {
                lasted(s, 11);
                s.finding.evidence.set("crashing_for_s", "1680");
            },
            tell(Reason::NothingSafe, None),
        ),
        (
            "however bad",
            |s| {
                lasted(s, 300);
                s.task.severity = Severity::Critical;
            },
            wait(300, Reason::MayPass),
        ),
        (
            "what no start changes, a moment before",
            |s| {
                lasted(s, 119);
                s.offers = Some(against(Cause::Licence));
            },
            wait(30, Reason::MayPass),
        ),
        (
            "what no start changes",
            |s| {
                lasted(s, 120);
                s.offers = Some(against(Cause::Licence));
            },
            tell(Reason::NothingSafe, None),
        ),
    ]);
}
