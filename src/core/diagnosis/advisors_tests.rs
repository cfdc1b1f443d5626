#![allow(clippy::unwrap_used, clippy::indexing_slicing)]
use super::*;
use crate::core::model::class::Class;
use crate::core::model::facts::{Fact, MovedHow};
use crate::core::model::finding::Severity;

const NOW: Timestamp = Timestamp::from_millis(1_800_000_000_000);
const DAY: Duration = Duration::from_secs(86_400);

fn finding() -> Finding {
    Finding::new(
        Class::ServiceFailed,
        "a.service",
        Severity::Error,
        "m",
        "t",
        NOW,
    )
}

fn named(cause: Cause) -> Named {
    Named {
        cause,
        confidence: 0.8,
        why: "rule".to_owned(),
        path: None,
        is_absent: false,
        line: None,
    }
}

fn candidates(kinds: &[ActionKind]) -> Vec<Candidate> {
    kinds
        .iter()
        .enumerate()
        .map(|(at, kind)| Candidate {
            kind: *kind,
            command: None,
            runbook_id: "b".to_owned(),
            step: at + 1,
            certain: true,
            told: false,
        })
        .collect()
}

fn row(action: ActionKind, wins: u32, losses: u32, age: Duration) -> LearnedRow {
    LearnedRow {
        action,
        wins,
        losses,
        last: Some(NOW.minus(age)),
    }
}

#[test]
fn few_and_old_trials_prove_little() {
    let rate = |wins, losses, days| {
        proven_rate(&row(ActionKind::RestartUnit, wins, losses, DAY * days), NOW)
    };
    assert_eq!(rate(0, 0, 0), 0.0);
    assert!(rate(1, 0, 0) < rate(5, 0, 0) && rate(5, 0, 0) < rate(50, 0, 0));
    assert!(rate(50, 0, 0) > 0.9);
    assert!(rate(5, 0, 90) < rate(5, 0, 0));
    assert!(rate(5, 5, 0) < rate(5, 1, 0));
    assert!((0.0..=1.0).contains(&rate(u32::MAX, u32::MAX, 0)));
}

#[test]
fn the_operator_ranks_what_worked() {
    let both = candidates(&[ActionKind::RestartUnit, ActionKind::ResetFailedStart]);
    let learned = [
        row(ActionKind::RestartUnit, 1, 4, DAY),
        row(ActionKind::ResetFailedStart, 9, 1, DAY),
        row(ActionKind::StopUnit, 99, 0, DAY),
    ];
    let advice = operator(
        &finding(),
        &named(Cause::ProcessKilled),
        &both,
        &learned,
        NOW,
    );
    assert_eq!(advice.actions[0].0, ActionKind::ResetFailedStart);
    assert!(
        advice
            .actions
            .iter()
            .all(|(kind, _)| *kind != ActionKind::StopUnit),
        "not allowed here"
    );
    assert!(operator(&finding(), &named(Cause::ProcessKilled), &both, &[], NOW).abstains());
    let lost = [row(ActionKind::RestartUnit, 0, 9, DAY)];
    assert!(operator(&finding(), &named(Cause::ProcessKilled), &both, &lost, NOW).abstains());
}

#[test]
fn the_historian_distrusts_a_fresh_change() {
    let reset = candidates(&[ActionKind::ResetFailedStart]);
    let hear = |changes: &Changes| {
        historian(
            &finding(),
            &named(Cause::ProcessExited),
            &reset,
            changes,
            NOW,
        )
    };
    assert!(hear(&Changes::default()).abstains(), "nothing is known");
    let old = Changes {
        unit_file_changed_at: Some(NOW.minus(DAY * 9)),
        last_boot: Some(NOW.minus(DAY * 3)),
        ..Changes::default()
    };
    assert_eq!(hear(&old).actions[0].0, ActionKind::ResetFailedStart);
    let fresh = Changes {
        exe_changed_at: Some(NOW.minus(DAY / 2)),
        ..old.clone()
    };
    assert!(hear(&fresh).abstains());
    let package = Changes {
        package_changes: vec![("libssl 3.0.17".to_owned(), NOW.minus(DAY / 4))],
        ..old
    };
    assert!(hear(&package).evidence.contains("libssl"));
}

#[test]
fn the_historian_knows_a_move() {
    let drop_in = candidates(&[ActionKind::PathDropIn]);
    let moved = finding().with(Fact::Moved {
        to: "/new",
        how: MovedHow::SameFile,
    });
    let advice = historian(
        &moved,
        &named(Cause::PathMoved),
        &drop_in,
        &Changes::default(),
        NOW,
    );
    assert_eq!(
        (advice.cause, advice.actions[0].0),
        (Cause::PathMoved, ActionKind::PathDropIn)
    );
}

#[test]
fn the_analyst_cites() {
    let both = candidates(&[ActionKind::VacuumJournal, ActionKind::FreeDisk]);
    let snippet = Snippet {
        source: "/docs/disk.md".to_owned(),
        first_line: 3,
        last_line: 9,
        text: "Old logs: run logrotate -f to free space.".to_owned(),
        ..Snippet::default()
    };
    let advice = analyst(&finding(), &named(Cause::DiskFull), &both, &[snippet]);
    assert_eq!(advice.actions[0].0, ActionKind::FreeDisk);
    assert!(
        advice.evidence.contains("/docs/disk.md:3-9"),
        "{}",
        advice.evidence
    );
    assert!(analyst(&finding(), &named(Cause::Unknown), &both, &[]).abstains());
}
