use super::*;
use crate::core::remedy::phases::{Plan, plan};

/// As many as are spaced by default.
const STARTS: usize = 6;

const START: ActionKind = ActionKind::ResetFailedStart;
const PATH: ActionKind = ActionKind::PathDropIn;
const VACUUM: ActionKind = ActionKind::VacuumJournal;
const FREE: ActionKind = ActionKind::FreeDisk;
const SYNC: ActionKind = ActionKind::SyncClock;

/// Offers of phases 1, 2 and 3.
fn offers(certain: &[ActionKind], researched: &[ActionKind], agreed: Option<ActionKind>) -> Offers {
    let all = |kinds: &[ActionKind]| kinds.iter().copied().map(offer).collect();
    Offers {
        cause: None,
        certain: all(certain),
        researched: all(researched),
        agreed: agreed.map(offer),
    }
}

/// The phase and action that are due, or that none is.
fn due(phase: Phase, offers: &Offers, past: &[Tried]) -> Option<(u8, ActionKind)> {
    match plan(phase, offers, past, STARTS) {
        Plan::Act { phase, offer } => Some((phase.number(), offer.kind)),
        Plan::Escalate { .. } => None,
    }
}

/// All that is done until nothing is due, each in vain.
fn walk(offers: &Offers) -> Vec<(u8, ActionKind)> {
    let mut past = Vec::new();
    let mut done = Vec::new();
    while let Some((phase, kind)) = due(Phase::QuickFix, offers, &past) {
        past.push(tried(Phase::from_number(i64::from(phase)), kind));
        done.push((phase, kind));
    }
    done
}

#[test]
fn phases_follow_one_another_each_with_its_own_offers() {
    let all = offers(&[VACUUM], &[FREE], Some(SYNC));
    assert_eq!(
        walk(&all),
        [
            (1, VACUUM),
            (1, VACUUM),
            (2, FREE),
            (2, FREE),
            (3, SYNC),
            (3, SYNC)
        ]
    );
    for (phase, want) in [
        (Phase::QuickFix, Some((1, VACUUM))),
        (Phase::Research, Some((2, FREE))),
        (Phase::Consensus, Some((3, SYNC))),
        (Phase::Escalation, None),
    ] {
        assert_eq!(due(phase, &all, &[]), want, "{phase:?}");
    }
    assert_eq!(walk(&Offers::default()), []);
}

#[test]
fn attempts_of_a_phase_and_of_an_action_are_counted() {
    let six = [
        (1, START),
        (1, START),
        (2, START),
        (2, START),
        (2, START),
        (3, START),
    ];
    let alone = [(1, START); 6];
    for (name, offers, want) in [
        (
            "a start in each phase that offers it, six times at most",
            offers(&[START], &[START], Some(START)),
            six.to_vec(),
        ),
        (
            "a start that one phase offers goes on in it",
            offers(&[START], &[], None),
            alone.to_vec(),
        ),
        (
            "but not before what the others offer",
            offers(&[START], &[FREE], None),
            vec![
                (1, START),
                (1, START),
                (2, FREE),
                (2, FREE),
                (1, START),
                (1, START),
                (1, START),
                (1, START),
            ],
        ),
        (
            "anything else twice in all",
            offers(&[PATH], &[PATH], Some(PATH)),
            vec![(1, PATH), (1, PATH)],
        ),
        (
            "the next action before a second try",
            offers(&[VACUUM, FREE], &[], None),
            vec![(1, VACUUM), (1, FREE)],
        ),
        (
            "three in phase 2, the least tried first",
            offers(&[], &[VACUUM, FREE], None),
            vec![(2, VACUUM), (2, FREE), (2, VACUUM)],
        ),
        (
            "what failed once in phase 1 has one try in phase 2",
            offers(&[VACUUM, FREE], &[VACUUM], None),
            vec![(1, VACUUM), (1, FREE), (2, VACUUM)],
        ),
        (
            "two in phase 3",
            offers(&[], &[], Some(SYNC)),
            vec![(3, SYNC), (3, SYNC)],
        ),
    ] {
        assert_eq!(walk(&offers), want, "{name}");
    }
}

#[test]
fn a_refused_action_is_not_offered_again_and_takes_no_attempt() {
    let both = offers(&[PATH, VACUUM], &[PATH], None);
    let past = [refused(Phase::QuickFix, PATH)];
    assert_eq!(due(Phase::QuickFix, &both, &past), Some((1, VACUUM)));
    let past = [past[0], past[0], past[0]];
    assert_eq!(due(Phase::QuickFix, &both, &past), Some((1, VACUUM)));
    let past = [
        past[0],
        tried(Phase::QuickFix, VACUUM),
        tried(Phase::QuickFix, VACUUM),
    ];
    assert_eq!(due(Phase::QuickFix, &both, &past), None);
}

#[test]
fn a_human_hears_why_nothing_more_is_tried() {
    let none = Offers::default();
    let some = offers(&[PATH], &[], None);
    let researched = offers(&[], &[PATH], None);
    let twice = [tried(Phase::QuickFix, PATH), tried(Phase::QuickFix, PATH)];
    let no = [refused(Phase::QuickFix, PATH)];
    let held_not = |attempts| Reason::NotHeld { attempts };
    for (offers, past, want) in [
        (&none, &[][..], Reason::NothingSafe),
        (&some, &no[..], Reason::NoneTaken),
        (&researched, &no[..], Reason::NoneTaken),
        (&none, &no[..], Reason::NothingSafe),
        (&some, &twice[..], held_not(2)),
        (&none, &twice[..1], held_not(1)),
    ] {
        let Plan::Escalate { reason } = plan(Phase::QuickFix, offers, past, STARTS) else {
            panic!("{offers:?} {past:?}");
        };
        assert_eq!(reason, want);
    }
}

#[test]
fn every_walk_ends_within_the_limits_of_all_phases() {
    let all = offers(ActionKind::ALL, ActionKind::ALL, Some(START));
    // The last start of the six takes the place that phase 3 has left; three more follow.
    let done = walk(&all);
    let starts = done.iter().filter(|(_, kind)| kind.is_start()).count();
    assert!(starts <= STARTS, "{done:?}");
    assert!(done.len() <= 2 + 3 + 2 + STARTS, "{done:?}");
}

#[test]
fn what_another_host_was_found_for_is_decided_anew_and_not_without_end() {
    let all = offers(&[PATH], &[], None);
    let overtaken = Tried {
        booked: true,
        ..refused(Phase::QuickFix, PATH)
    };
    assert_eq!(due(Phase::QuickFix, &all, &[overtaken]), Some((1, PATH)));
    assert_eq!(due(Phase::QuickFix, &all, &[overtaken; 2]), None);
    let gate = refused(Phase::QuickFix, PATH);
    assert_eq!(due(Phase::QuickFix, &all, &[gate]), None);
}
