//! What worked here: wins and losses of an action against a class on a subject, and what they are worth. Pure.
//!
//! The lower bound of the success rate decides, so that few trials prove little; old news fades. Only actions of
//! the same risk change places: trying something new is never a reason to take a greater risk.

use std::time::Duration;

use crate::core::model::action::{ActionKind, Risk};
use crate::core::model::candidate::Candidate;
use crate::core::model::id::TaskId;
use crate::core::model::time::Timestamp;

/// Half of what was learned counts after this time without news.
const HALF_LIFE: Duration = Duration::from_secs(30 * 24 * 3600);
/// Below this lower bound an action is not advised from experience. One win out of one is above it.
pub const PROVEN_MIN: f64 = 0.2;
/// From this lower bound on a learned action is tried in phase 1 like a certain one: four wins out of four.
const CERTAIN_MIN: f64 = 0.5;
/// Trials that are kept: at this number both counts are halved, so that a few recent ones outweigh many old.
pub const TRIALS_MOST: u32 = 16;
/// So many of another gateway's wins or losses are taken over at most, after halving: its box is not this one.
const FOREIGN_MOST: u32 = 4;

/// What was learned here of one action against this class and subject.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LearnedRow {
    pub action: ActionKind,
    pub wins: u32,
    pub losses: u32,
    pub last: Option<Timestamp>,
}

impl LearnedRow {
    fn tried(&self) -> bool {
        self.wins > 0 || self.losses > 0
    }
}

/// Lower 95 % bound of the success rate (Wilson's interval), 0..=1, with old counts faded.
pub fn proven_rate(row: &LearnedRow, now: Timestamp) -> f64 {
    let age = row.last.map_or(Duration::ZERO, |last| now.since(last));
    let kept = 0.5_f64.powf(age.as_secs_f64() / HALF_LIFE.as_secs_f64());
    let (wins, n) = (
        f64::from(row.wins) * kept,
        (f64::from(row.wins) + f64::from(row.losses)) * kept,
    );
    if n <= 0.0 {
        return 0.0;
    }
    const Z: f64 = 1.96;
    let share = wins / n;
    let centre = share + Z * Z / (2.0 * n);
    let spread = Z * (share * (1.0 - share) / n + Z * Z / (4.0 * n * n)).sqrt();
    ((centre - spread) / (1.0 + Z * Z / n)).clamp(0.0, 1.0)
}

/// What was learned here of one action; `None` where it was never tried.
fn row_of(kind: ActionKind, learned: &[LearnedRow]) -> Option<&LearnedRow> {
    learned.iter().find(|row| row.action == kind && row.tried())
}

/// What experience makes of an action: proven above untried above mostly failed. Good news that is too little or too
/// old to prove anything is no bad news.
pub fn worth(kind: ActionKind, learned: &[LearnedRow], now: Timestamp) -> f64 {
    match row_of(kind, learned).map(|row| (proven_rate(row, now), row)) {
        Some((rate, _)) if rate >= PROVEN_MIN => 1.0 + rate,
        Some((rate, row)) if row.losses > row.wins => rate,
        Some(_) | None => 1.0,
    }
}

/// The candidates as phase 1 tries them: certain ones and learned ones above the threshold, in the [`order`] of
/// experience. `risk` is that of a candidate, as the operator declared it.
pub fn ranked<'a>(
    candidates: &'a [Candidate],
    learned: &[LearnedRow],
    risk: impl Fn(&Candidate) -> Risk,
    now: Timestamp,
) -> Vec<(&'a Candidate, Option<f64>)> {
    let offered: Vec<(&Candidate, Option<f64>)> = candidates
        .iter()
        .map(|one| {
            let row = row_of(one.kind, learned);
            (one, row.map(|row| proven_rate(row, now)))
        })
        .filter(|(one, rate)| {
            !one.told && (one.certain || rate.is_some_and(|rate| rate >= CERTAIN_MIN))
        })
        .collect();
    let standing: Vec<_> = offered
        .iter()
        .map(|(one, _)| (risk(one), worth(one.kind, learned, now)))
        .collect();
    let placed = order(&standing);
    placed
        .iter()
        .filter_map(|at| offered.get(*at).copied())
        .collect()
}

/// The order in which actions of these risks and of this [`worth`] are tried, as places in `all`. Only equal risks
/// change places; equals keep their order.
pub fn order(all: &[(Risk, f64)]) -> Vec<usize> {
    let mut order: Vec<usize> = (0..all.len()).collect();
    for risk in Risk::ALL {
        let of_risk = |at: &usize| all.get(*at).is_some_and(|one| one.0 == *risk);
        let places: Vec<usize> = (0..all.len()).filter(of_risk).collect();
        let mut equals = places.clone();
        let value = |at: &usize| all.get(*at).map_or(0.0, |one| one.1);
        equals.sort_by(|a, b| value(b).total_cmp(&value(a)));
        for (place, one) in places.iter().zip(equals) {
            if let Some(slot) = order.get_mut(*place) {
                *slot = one;
            }
        }
    }
    order
}

/// New counts after one more trial; both are halved when they have become many.
pub const fn halved(wins: u32, losses: u32) -> (u32, u32) {
    if wins.saturating_add(losses) < TRIALS_MOST {
        (wins, losses)
    } else {
        (wins / 2, losses / 2)
    }
}

/// What another gateway's counts are worth here: half, and never enough to outweigh own experience for long.
pub const fn discounted(wins: u32, losses: u32) -> (u32, u32) {
    const fn less(n: u32) -> u32 {
        if n / 2 < FOREIGN_MOST {
            n / 2
        } else {
            FOREIGN_MOST
        }
    }
    (less(wins), less(losses))
}

/// Repairs of one problem within this time that did not keep it away.
pub const RETURNS_WITHIN: Duration = Duration::from_secs(24 * 3600);
/// So many verified repairs of the same problem within a day say: what is repaired is not its cause.
pub const RETURNS_MOST: usize = 3;

/// One earlier episode of a problem that ended as fixed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fixed {
    pub task_id: TaskId,
    pub action: String,
    pub closed_at: Timestamp,
}

/// Why the fix does not last, from the episodes before this one, the newest first; `None` while it may.
pub fn not_lasting(before: &[Fixed], now: Timestamp) -> Option<String> {
    let recent: Vec<&Fixed> = before
        .iter()
        .filter(|one| now.since(one.closed_at) <= RETURNS_WITHIN)
        .collect();
    if recent.len() < RETURNS_MOST {
        return None;
    }
    let list: Vec<String> = recent
        .iter()
        .map(|one| {
            format!(
                "task {} by {} at {}",
                one.task_id, one.action, one.closed_at
            )
        })
        .collect();
    Some(format!(
        "the fix does not last: repaired and verified {} times within a day ({}), and it came back",
        recent.len(),
        list.join("; ")
    ))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing)]
    use super::*;

    const NOW: Timestamp = Timestamp::from_millis(1_800_000_000_000);
    const HOUR: Duration = Duration::from_secs(3600);

    fn risk(one: &Candidate) -> Risk {
        one.kind.risk()
    }

    fn candidate(kind: ActionKind, certain: bool) -> Candidate {
        Candidate {
            kind,
            command: None,
            runbook_id: "r".to_owned(),
            step: 1,
            certain,
            told: false,
        }
    }

    #[test]
    fn what_only_a_document_tells_is_never_tried_at_once() {
        let mut told = candidate(ActionKind::PathDropIn, true);
        told.told = true;
        for rows in [Vec::new(), vec![row(ActionKind::PathDropIn, 60, 0)]] {
            assert!(ranked(std::slice::from_ref(&told), &rows, risk, NOW).is_empty());
        }
        told.told = false;
        assert_eq!(ranked(&[told], &[], risk, NOW).len(), 1);
    }

    fn row(action: ActionKind, wins: u32, losses: u32) -> LearnedRow {
        LearnedRow {
            action,
            wins,
            losses,
            last: Some(NOW),
        }
    }

    /// Runs episodes of one fault against which only `works` helps; answers the attempts each took.
    fn episodes(
        rows: &mut [LearnedRow],
        works: ActionKind,
        from: Timestamp,
        count: u32,
    ) -> Vec<usize> {
        let both = [
            candidate(ActionKind::RestartUnit, true),
            candidate(ActionKind::ResetFailedStart, true),
        ];
        (0..count)
            .map(|nth| {
                let now = from.plus(HOUR * nth);
                let order: Vec<ActionKind> = ranked(&both, rows, risk, now)
                    .iter()
                    .map(|(one, _)| one.kind)
                    .collect();
                let needed = order.iter().position(|kind| *kind == works).unwrap() + 1;
                for kind in &order[..needed] {
                    let row = rows.iter_mut().find(|row| row.action == *kind).unwrap();
                    let won = *kind == works;
                    let (wins, losses) = (row.wins + u32::from(won), row.losses + u32::from(!won));
                    (row.wins, row.losses) = halved(wins, losses);
                    row.last = Some(now);
                }
                needed
            })
            .collect()
    }

    #[test]
    fn thirty_episodes_converge_and_follow_a_change() {
        let mut rows = [
            row(ActionKind::RestartUnit, 0, 0),
            row(ActionKind::ResetFailedStart, 0, 0),
        ];
        let first = episodes(&mut rows, ActionKind::ResetFailedStart, NOW, 30);
        println!("one of two works: attempts per episode {first:?}");
        assert_eq!(first[0], 2, "the runbook's order comes first");
        assert!(first[1..].iter().all(|needed| *needed == 1));
        let later = NOW.plus(HOUR * 30);
        let second = episodes(&mut rows, ActionKind::RestartUnit, later, 30);
        println!("then only the other: attempts per episode {second:?}");
        let wasted = second.iter().filter(|needed| **needed > 1).count();
        assert!(
            wasted <= 8,
            "{wasted} episodes began with what no longer works"
        );
        assert_eq!(second[29], 1);
    }

    #[test]
    fn only_equal_risks_change_places() {
        let mixed = [
            candidate(ActionKind::ResetFailedStart, true),
            candidate(ActionKind::TerminateProcess, true),
        ];
        assert_ne!(mixed[0].kind.risk(), mixed[1].kind.risk());
        let rows = [
            row(ActionKind::ResetFailedStart, 0, 9),
            row(ActionKind::TerminateProcess, 9, 0),
        ];
        let order: Vec<_> = ranked(&mixed, &rows, risk, NOW)
            .iter()
            .map(|(one, _)| one.kind)
            .collect();
        assert_eq!(
            order,
            [ActionKind::ResetFailedStart, ActionKind::TerminateProcess]
        );
    }

    #[test]
    fn the_risk_that_the_operator_declared_decides() {
        let mixed = [
            candidate(ActionKind::ResetFailedStart, true),
            candidate(ActionKind::RunDeclared, true),
        ];
        let rows = [
            row(ActionKind::ResetFailedStart, 0, 9),
            row(ActionKind::RunDeclared, 9, 0),
        ];
        let first = |risk: fn(&Candidate) -> Risk| ranked(&mixed, &rows, risk, NOW)[0].0.kind;
        assert_eq!(first(|_| Risk::Low), ActionKind::RunDeclared);
        assert_eq!(first(risk), ActionKind::ResetFailedStart);
    }

    #[test]
    fn a_repair_that_held_and_is_old_news_is_not_put_behind_what_was_never_tried() {
        let both = [
            candidate(ActionKind::ResetFailedStart, true),
            candidate(ActionKind::RestartUnit, true),
        ];
        let rows = [row(ActionKind::ResetFailedStart, 1, 0)];
        for days in [0, 3, 300] {
            let now = NOW.plus(HOUR * 24 * days);
            let first = ranked(&both, &rows, risk, now)[0].0.kind;
            assert_eq!(first, ActionKind::ResetFailedStart, "{days} days later");
        }
    }

    #[test]
    fn a_researched_action_that_has_proven_itself_is_tried_at_once() {
        let second = [candidate(ActionKind::ResetFailedStart, false)];
        assert!(ranked(&second, &[], risk, NOW).is_empty());
        let three = [row(ActionKind::ResetFailedStart, 3, 0)];
        assert!(ranked(&second, &three, risk, NOW).is_empty());
        let proven = [row(ActionKind::ResetFailedStart, 4, 0)];
        assert_eq!(ranked(&second, &proven, risk, NOW).len(), 1);
        let year = NOW.plus(HOUR * 24 * 365);
        assert!(
            ranked(&second, &proven, risk, year).is_empty(),
            "old news fades"
        );
    }

    #[test]
    fn foreign_counts_are_discounted() {
        assert_eq!(discounted(1_000, 7), (4, 3));
        assert_eq!(discounted(1, 0), (0, 0));
    }

    #[test]
    fn what_comes_back_after_each_repair_is_recognised() {
        let fixed = |n: u32| Fixed {
            task_id: TaskId::from_number(n.into()),
            action: "restart a.service".to_owned(),
            closed_at: NOW.minus(HOUR * n),
        };
        assert_eq!(not_lasting(&[fixed(1), fixed(2)], NOW), None);
        assert_eq!(not_lasting(&[fixed(1), fixed(2), fixed(30)], NOW), None);
        let why = not_lasting(&[fixed(1), fixed(5), fixed(9)], NOW).unwrap();
        assert!(why.contains("3 times") && why.contains("task 5 by restart a.service"));
    }
}
