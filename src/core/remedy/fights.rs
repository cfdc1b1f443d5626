//! Repairs that fight: what repairs one thing breaks another, again and again. Pure.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crate::core::model::time::Timestamp;

/// Once is a coincidence.
const TIMES: usize = 2;
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

/// Whom the repairs of `own` break: what broke within `window` of at least two of them and more often than else, while
/// `own` itself held. In `happened` the oldest come first.
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
    let mut counts: BTreeMap<&str, (BTreeSet<Timestamp>, usize)> = BTreeMap::new();
    for other in of(What::Broke).filter(|one| one.subject != own) {
        let (repairs, beside) = counts.entry(&other.subject).or_default();
        match by_repair(other.at) {
            Some(repair) => {
                repairs.insert(repair);
            }
            None => *beside = beside.saturating_add(1),
        }
    }
    let broken = counts
        .iter()
        .find(|(_, (repairs, beside))| repairs.len() >= TIMES && repairs.len() > *beside);
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
        ]);
        assert_eq!(breaks("a", &turns, WINDOW), Some("b"));
        assert_eq!(breaks("b", &turns, WINDOW), None);
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
        ]);
        assert_eq!(breaks("a", &alike, WINDOW), None);
        assert_eq!(breaks("b", &alike, WINDOW), None);
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
