use super::decide::*;
use super::*;
use crate::core::model::cause::Cause;

#[test]
fn what_was_tried_in_vain_is_tried_again_later_each_round() {
    let (hour, day) = (3_600, 86_400);
    // Counted from the last attempt, 30 s ago.
    hold(&[
        ("first", in_vain, tell(not_held(2), Some(hour - 30))),
        (
            "second",
            |s| {
                in_vain(s);
                s.past.rounds = 1;
            },
            tell(not_held(2), Some(6 * hour - 30)),
        ),
        (
            "from then on",
            |s| {
                in_vain(s);
                s.past.rounds = 2;
            },
            tell(not_held(2), Some(day - 30)),
        ),
        (
            "as configured",
            |s| {
                in_vain(s);
                s.settings.fix.rearm_s = 60;
            },
            tell(not_held(2), Some(30)),
        ),
        (
            "told already: without a word",
            |s| {
                in_vain(s);
                s.past.told = 1;
            },
            wait(hour - 30, not_held(2)),
        ),
        (
            "nothing is left, and it is young: two minutes",
            |s| {
                in_vain(s);
                s.first_seen(45);
            },
            wait(75, Reason::MayStillShow),
        ),
        (
            "nothing was touched: a human is waited for",
            |s| s.past.tried = vec![refused(Phase::QuickFix, ActionKind::ResetFailedStart)],
            tell(Reason::NoneTaken, None),
        ),
        (
            "one of them was touched",
            |s| {
                s.offers = Some(Offers {
                    certain: vec![offer(ActionKind::FreeDisk), offer(ActionKind::PathDropIn)],
                    ..Offers::default()
                });
                s.past.tried = vec![
                    refused(Phase::QuickFix, ActionKind::FreeDisk),
                    tried(Phase::QuickFix, ActionKind::PathDropIn),
                    tried(Phase::QuickFix, ActionKind::PathDropIn),
                ];
            },
            tell(not_held(2), Some(hour - 30)),
        ),
    ]);
}

/// Starts that did not hold, so many seconds ago; seen first when the first was made.
fn starts(scene: &mut Scene, seconds: &[u64]) {
    let at = |seconds: &u64| Tried {
        at: ago(*seconds),
        ..tried(Phase::QuickFix, ActionKind::ResetFailedStart)
    };
    scene.past.tried = seconds.iter().map(at).collect();
    if let Some(first) = seconds.first() {
        scene.first_seen(*first);
    }
}

/// A unit that ended of this cause so many seconds ago; nothing was tried yet.
fn ended_of(scene: &mut Scene, cause: Cause, seconds: u64) {
    starts(scene, &[]);
    scene.first_seen(seconds);
    if let Some(offers) = &mut scene.offers {
        offers.cause = Some(cause);
    }
}

#[test]
fn what_lies_elsewhere_is_given_a_moment_before_the_first_start() {
    let waits = |seconds| wait(seconds, Reason::Spaced { attempts: 0 });
    hold(&[
        ("no name", |s| ended_of(s, Cause::DnsFailed, 0), waits(10)),
        (
            "refused",
            |s| ended_of(s, Cause::ConnectionRefused, 3),
            waits(7),
        ),
        (
            "no answer",
            |s| ended_of(s, Cause::ConnectionTimeout, 9),
            waits(1),
        ),
        (
            "ten seconds",
            |s| ended_of(s, Cause::DnsFailed, 10),
            start(),
        ),
        (
            "of itself",
            |s| ended_of(s, Cause::ProcessKilled, 0),
            start(),
        ),
        (
            "as configured",
            |s| {
                ended_of(s, Cause::NetworkUnreachable, 0);
                s.settings.fix.spacing_s = vec![0, 3];
            },
            waits(3),
        ),
        (
            "a human's leave is for now",
            |s| {
                ended_of(s, Cause::DnsFailed, 0);
                let what = action(ActionKind::ResetFailedStart, UNIT);
                s.task.approved_action = Some(what.kind.as_str().to_owned());
                s.task.approved_digest = Some(what.digest());
                s.task.approved_until = Some(after(60));
            },
            start(),
        ),
    ]);
}

/// The same, where its start is offered after research alone.
fn doubtful(scene: &mut Scene, seconds: &[u64]) {
    starts(scene, seconds);
    scene.offers = Some(Offers {
        cause: Some(Cause::PortInUse),
        researched: vec![offer(ActionKind::ResetFailedStart)],
        ..Offers::default()
    });
}

#[test]
fn what_another_holds_is_given_a_moment_and_told_in_time() {
    let spaced = |seconds, attempts| wait(seconds, Reason::Spaced { attempts });
    hold(&[
        (
            "a moment first",
            |s| {
                doubtful(s, &[]);
                s.first_seen(4);
            },
            spaced(6, 0),
        ),
        (
            "then once",
            |s| {
                doubtful(s, &[]);
                s.first_seen(10);
            },
            Step::Act {
                phase: Phase::Research,
                action: action(ActionKind::ResetFailedStart, UNIT),
                why: offer(ActionKind::ResetFailedStart).why,
            },
        ),
        (
            "not again: told two minutes after it was seen",
            |s| doubtful(s, &[110]),
            wait(10, Reason::MayStillShow),
        ),
        (
            "two minutes",
            |s| doubtful(s, &[120]),
            tell(not_held(1), Some(3480)),
        ),
        (
            "then after an hour",
            |s| {
                doubtful(s, &[1801]);
                s.past.told = 1;
            },
            wait(1799, not_held(1)),
        ),
    ]);
}

/// Another process is seen to hold it.
fn held(scene: &mut Scene, seconds: u64) {
    doubtful(scene, &[]);
    scene.first_seen(seconds);
    scene.checked().held = Some("another process holds tcp/80".to_owned());
}

#[test]
fn what_another_is_seen_to_hold_is_not_tried_and_told_in_time() {
    let reason = || Reason::Held("another process holds tcp/80".to_owned());
    hold(&[
        ("looked at again", |s| held(s, 10), wait(30, reason())),
        ("told", |s| held(s, 120), tell(reason(), Some(120))),
        (
            "told once",
            |s| {
                held(s, 3600);
                s.past.told = 1;
            },
            wait(900, reason()),
        ),
    ]);
}

#[test]
fn attempts_at_one_fault_are_spaced() {
    let spaced = |seconds, attempts| wait(seconds, Reason::Spaced { attempts });
    hold(&[
        ("the first at once", |s| starts(s, &[]), start()),
        ("the second after 10 s", |s| starts(s, &[1]), spaced(9, 1)),
        ("ten seconds", |s| starts(s, &[10]), start()),
        (
            "the third after a minute",
            |s| starts(s, &[11, 1]),
            spaced(49, 2),
        ),
        ("a minute", |s| starts(s, &[60, 50]), start()),
        (
            "three failed: told after two minutes, with the next attempt",
            |s| starts(s, &[119, 109, 59]),
            spaced(1, 3),
        ),
        (
            "two minutes",
            |s| starts(s, &[120, 110, 60]),
            tell(not_held(3), Some(180)),
        ),
        (
            "told: the next one is waited for without a word",
            |s| {
                starts(s, &[120, 110, 60]);
                s.past.told = 1;
            },
            spaced(180, 3),
        ),
        (
            "two failed slowly: not told",
            |s| {
                starts(s, &[200, 190]);
                s.settings.fix.spacing_s = vec![0, 10, 300];
            },
            spaced(100, 2),
        ),
        (
            "five minutes",
            |s| {
                starts(s, &[300, 290, 240]);
                s.past.told = 1;
            },
            start(),
        ),
        (
            "a later round is one attempt",
            |s| {
                starts(s, &[300]);
                s.past.rounds = 1;
                s.past.told = 1;
            },
            wait(6 * 3_600 - 300, not_held(1)),
        ),
        (
            "each held for a while, so that the next was always due: told first, and tried at once",
            |s| starts(s, &[300, 290, 240]),
            tell(not_held(3), Some(0)),
        ),
        (
            "a quarter of an hour",
            |s| {
                starts(s, &[899, 889, 839, 599]);
                s.past.told = 1;
            },
            spaced(1, 4),
        ),
        (
            "half an hour",
            |s| {
                starts(s, &[1_799, 1_789, 1_739, 1_499, 899]);
                s.past.told = 1;
            },
            spaced(1, 5),
        ),
        (
            "six are a round",
            |s| {
                starts(s, &[1_800, 1_790, 1_740, 1_500, 900, 0]);
                s.past.told = 1;
            },
            wait(3_600, not_held(6)),
        ),
        (
            "a start of another kind is a start",
            |s| {
                starts(s, &[1]);
                s.past.tried[0].kind = ActionKind::StartUnit;
            },
            spaced(9, 1),
        ),
        (
            "another action is at once",
            |s| {
                starts(s, &[1]);
                s.past.tried[0].kind = ActionKind::FreeDisk;
            },
            start(),
        ),
        (
            "what was refused is no attempt",
            |s| {
                starts(s, &[1]);
                s.past.tried[0].acted = false;
                s.past.tried[0].kind = ActionKind::StartUnit;
            },
            start(),
        ),
        (
            "a human's leave is for now",
            |s| {
                starts(s, &[1]);
                let what = action(ActionKind::ResetFailedStart, UNIT);
                s.task.approved_action = Some(what.kind.as_str().to_owned());
                s.task.approved_digest = Some(what.digest());
                s.task.approved_until = Some(after(1));
            },
            start(),
        ),
    ]);
}

#[test]
fn a_round_ends_by_a_pause_or_by_a_human() {
    use crate::core::remedy::spacing::round;
    let fix = crate::core::config::Fix::default();
    let at = |seconds| Tried {
        at: ago(seconds),
        ..tried(Phase::QuickFix, ActionKind::ResetFailedStart)
    };
    let refused_at = |seconds| Tried {
        acted: false,
        ..at(seconds)
    };
    for (name, all, asked, want) in [
        ("none", vec![], None, (0, 0)),
        ("one", vec![at(3_599)], None, (1, 0)),
        ("an hour ago", vec![at(3_600)], None, (0, 1)),
        ("a pause of an hour", vec![at(3_700), at(100)], None, (1, 1)),
        ("a shorter one", vec![at(3_699), at(100)], None, (2, 0)),
        (
            "three rounds",
            vec![at(9_000), at(5_000), at(1_000)],
            None,
            (1, 2),
        ),
        (
            "nothing was touched in it",
            vec![refused_at(9_000), at(10)],
            None,
            (1, 0),
        ),
        ("a human asked since", vec![at(20)], Some(10), (0, 1)),
        (
            "a human asked between",
            vec![at(20), at(5)],
            Some(10),
            (1, 1),
        ),
        (
            "a human asked before",
            vec![at(20), at(5)],
            Some(30),
            (2, 0),
        ),
    ] {
        let (current, before) = round(&fix, &all, asked.map(ago), NOW);
        assert_eq!((current.len(), before), want, "{name}");
    }
}
