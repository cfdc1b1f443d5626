//! Repairs that fight: what repairs one thing breaks another, again and again. Pure.

use std::time::Duration;

use crate::core::model::sorted::{SortedMap, SortedSet};
use crate::core::model::time::Timestamp;

/// Twice may be a coincidence.
const TIMES: usize = 3;
/// What breaks within this time of each other breaks of something else.
const TOGETHER: Duration = Duration::from_secs(10);

/// Something that happened to a subject.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Happened {
    pub subject: String,
    pub at: Timestamp,
    pub what: What,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum What {
    /// We tried to repair it.
    Tried,
    /// It was found broken: for the first time, or again after its repair.
    Broke,
}

/// Whom the repairs of `own` break: what broke within `window` of the last three that held and more often than else,
/// while `own` itself held. One that failed says nothing. In `happened` the oldest come first.
pub fn breaks<'a>(own: &str, happened: &'a [Happened], window: Duration) -> Option<&'a str> {
    let of = |what: What| happened.iter().filter(move |one| one.what == what);
    let own_at = |what: What| of(what).filter(|one| one.subject == own).map(|one| one.at);
    let tried: Vec<Timestamp> = own_at(What::Tried).collect();
    let broke: Vec<Timestamp> = own_at(What::Broke).collect();
    // The repair that `own` still held by when the other broke.
    let by_repair = |at: Timestamp| {
        let last = tried.iter().rev().find(|tried| **tried <= at);
        last.copied().filter(|tried| {
            let held = |own: &Timestamp| own <= tried || own.since(at) > TOGETHER;
            at.since(*tried) <= window && broke.iter().all(held)
        })
    };
    let after = |at: Timestamp| {
        happened
            .iter()
            .filter(move |one| one.subject == own && one.at > at)
    };
    let held = |at: &Timestamp| {
        let next = after(*at).next();
        next.is_some_and(|next| next.what == What::Broke && next.at.since(*at) > window)
    };
    let held: SortedSet<Timestamp> = tried.iter().copied().filter(held).collect();
    let mut counts: SortedMap<&str, (SortedSet<Timestamp>, usize)> = SortedMap::new();
    for other in of(What::Broke).filter(|one| one.subject != own) {
        let (repairs, beside) = counts.entry(&other.subject).or_default();
        match by_repair(other.at) {
            Some(repair) => {
                repairs.insert(repair);
            }
            None => *beside = beside.saturating_add(1),
        }
    }
    // Down to the last one that held and did not break it.
    let in_a_row = |repairs: &SortedSet<Timestamp>| {
        let counts = |at: &&Timestamp| repairs.contains(at) || !held.contains(at);
        let last = tried.iter().rev().take_while(counts);
        last.filter(|at| repairs.contains(at)).count()
    };
    let broken = counts
        .iter()
        .find(|(_, (repairs, beside))| in_a_row(repairs) >= TIMES && repairs.len() > *beside);
    broken.map(|(subject, _)| *subject)
}

#[cfg(test)]
mod tests {
    use super::*;

    const WINDOW: Duration = Duration::from_secs(60);

    fn happened(all: &[(u64, &str, What)]) -> Vec<Happened> {
        let start = Timestamp::from_millis(1_800_000_000_000);
        let each = all.iter().map(|(seconds, subject, what)| Happened {
            subject: (*subject).to_owned(),
            at: start.plus(Duration::from_secs(*seconds)),
            what: *what,
        });
        each.collect()
    }

    #[test]
    fn two_that_take_turns_are_told_apart_from_two_that_fail_alike() {
        use What::{Broke, Tried};
        let turns = happened(&[
            (0, "a", Broke),
            (1, "a", Tried),
            (20, "b", Broke),
            (21, "b", Tried),
            (40, "a", Broke),
            (41, "a", Tried),
            (60, "b", Broke),
            (61, "b", Tried),
            (80, "a", Broke),
            (81, "a", Tried),
            (100, "b", Broke),
        ]);
        assert_eq!(breaks("a", &turns, WINDOW), Some("b"));
        assert_eq!(breaks("b", &turns, WINDOW), None);
        let twice = turns.get(..7).unwrap_or_default();
        assert_eq!(breaks("a", twice, WINDOW), None, "may be a coincidence");
        let alike = happened(&[
            (0, "a", Broke),
            (0, "b", Broke),
            (1, "a", Tried),
            (2, "b", Tried),
            (30, "a", Broke),
            (33, "b", Broke),
            (41, "a", Tried),
            (42, "b", Tried),
            (70, "b", Broke),
            (73, "a", Broke),
            (81, "a", Tried),
            (82, "b", Tried),
            (110, "a", Broke),
            (113, "b", Broke),
        ]);
        assert_eq!(breaks("a", &alike, WINDOW), None);
        assert_eq!(breaks("b", &alike, WINDOW), None);
    }

    #[test]
    fn a_repair_that_held_and_broke_nothing_clears_those_before() {
        use What::{Broke, Tried};
        // Each turn: a is repaired, and breaks again after `held`; b breaks 20 s after the repair, or does not.
        let told = |turns: &[(u64, bool)]| {
            let mut all = vec![(0, "a", Broke)];
            let mut at = 0;
            for (held, breaks_b) in turns {
                all.push((at + 1, "a", Tried));
                if *breaks_b {
                    all.push((at + 21, "b", Broke));
                }
                at += held;
                all.push((at, "a", Broke));
            }
            happened(&all)
        };
        for (form, turns, want) in [
            ("each", [(40, true), (40, true), (40, true)], Some("b")),
            ("hours apart", [(9_000, true); 3], Some("b")),
            (
                "the last did not",
                [(40, true), (40, true), (600, false)],
                None,
            ),
            (
                "the first did not",
                [(600, false), (40, true), (40, true)],
                None,
            ),
        ] {
            assert_eq!(breaks("a", &told(&turns), WINDOW), want, "{form}");
        }
        let in_between = [(40, true), (40, true), (600, false), (40, true)];
        assert_eq!(breaks("a", &told(&in_between), WINDOW), None);
        // One that did not hold itself says nothing of the other.
        let not_held = [(40, true), (40, true), (30, false), (40, true)];
        assert_eq!(breaks("a", &told(&not_held), WINDOW), Some("b"));
        // Nor does an attempt that came to nothing, of which no end is told.
        let in_vain = [
            (0, "a", Broke),
            (1, "a", Tried),
            (5, "a", Tried),
            (25, "b", Broke),
            (40, "a", Broke),
        ];
        let thrice =
            (0..3_u64).flat_map(|turn| in_vain.map(|(at, who, what)| (turn * 100 + at, who, what)));
        let thrice: Vec<_> = thrice.collect();
        assert_eq!(breaks("a", &happened(&thrice), WINDOW), Some("b"));
    }

    #[test]
    fn once_or_much_later_or_as_often_without_it_is_no_fight() {
        use What::{Broke, Tried};
        let once = happened(&[(1, "a", Tried), (20, "b", Broke)]);
        assert_eq!(breaks("a", &once, WINDOW), None);
        let later = happened(&[
            (1, "a", Tried),
            (90, "b", Broke),
            (200, "a", Tried),
            (290, "b", Broke),
        ]);
        assert_eq!(breaks("a", &later, WINDOW), None);
        // One repair, and what it did not mend broke twice beside it.
        let one_repair = happened(&[
            (0, "a", Broke),
            (1, "a", Tried),
            (2, "b", Broke),
            (4, "b", Broke),
        ]);
        assert_eq!(breaks("a", &one_repair, WINDOW), None);
        let neither_held = happened(&[
            (1, "a", Tried),
            (5, "b", Broke),
            (6, "a", Broke),
            (61, "a", Tried),
            (65, "b", Broke),
            (66, "a", Broke),
        ]);
        assert_eq!(breaks("a", &neither_held, WINDOW), None);
        let anyway = happened(&[
            (1, "a", Tried),
            (20, "b", Broke),
            (100, "b", Broke),
            (200, "b", Broke),
            (300, "a", Tried),
            (320, "b", Broke),
        ]);
        assert_eq!(breaks("a", &anyway, WINDOW), None);
    }
}
