//! What this box prints out of habit: one row a kind of line, by its fingerprint.

use std::cmp::Reverse;

use rusqlite::{Connection, OptionalExtension, params};

use crate::core::model::habit::{Acquaintance, FOLLOWS_WITHIN, HABITS_MOST, Habit, Heard};
use crate::core::model::sorted::{SortedMap, SortedSet};
use crate::core::model::time::Timestamp;
use crate::store::error::StoreError;
use crate::store::handle::Store;
use crate::store::history;
use crate::store::meta::{meta, set_meta};
use crate::store::read::Reader;
use crate::store::tx::Tx;

/// Meta row: number and name of the last boot that was counted.
const BOOT: &str = "boot";

impl Store {
    /// Counts boot `id`, unless it was the last one.
    pub fn count_boot(&self, id: &str) -> Result<(), StoreError> {
        let id = id.to_owned();
        self.write(move |tx| match boot(tx)? {
            (_, last) if last == id => Ok(()),
            (number, _) => set_meta(tx, BOOT, &format!("{} {id}", number.saturating_add(1))),
        })
    }

    /// Adds what was heard, in one transaction; of too many kinds those of whoever has most go that were heard longest ago.
    pub fn note_heard(&self, heard: SortedMap<String, Heard>) -> Result<(), StoreError> {
        if heard.is_empty() {
            return Ok(());
        }
        self.write(move |tx| {
            let (boot, _) = boot(tx)?;
            for (hash, heard) in &heard {
                let mut habit = habit(tx, hash)?.unwrap_or_default();
                habit.hear(heard, boot);
                put(tx, hash, &habit)?;
            }
            let known: usize = tx.query_row("SELECT count(*) FROM habits", [], |row| row.get(0))?;
            if known > HABITS_MOST {
                forget_most(tx)?;
            }
            Ok(())
        })
    }

    /// A unit failed: what was heard shortly before is no habit any more. Answers how many kinds.
    pub fn wake_habits(&self, failed: Timestamp) -> Result<usize, StoreError> {
        let since = failed.minus(FOLLOWS_WITHIN).as_millis();
        self.write(move |tx| {
            let before: Vec<(String, Habit)> = all(tx)?
                .into_iter()
                .filter(|(_, habit)| habit.last_ms >= since)
                .collect();
            for (hash, mut habit) in before.iter().cloned() {
                habit.follow(failed);
                put(tx, &hash, &habit)?;
            }
            Ok(before.len())
        })
    }

    /// A digest shows these to a human.
    pub fn show_habits(&self, shown: Vec<String>, now: Timestamp) -> Result<(), StoreError> {
        self.write(move |tx| {
            for hash in &shown {
                if let Some(mut habit) = habit(tx, hash)? {
                    habit.shown_ms = Some(now.as_millis());
                    put(tx, hash, &habit)?;
                }
            }
            Ok(())
        })
    }

    /// Everything is new again. Answers how many kinds were known.
    pub fn forget_habits(
        &self,
        actor: &str,
        why: &str,
        now: Timestamp,
    ) -> Result<usize, StoreError> {
        let [actor, why] = [actor, why].map(str::to_owned);
        self.write(move |tx| {
            let gone = tx.execute("DELETE FROM habits", [])?;
            if gone > 0 {
                let details = format!("{gone} habits");
                history::append(tx, None, "forgotten", &details, &actor, &why, now)?;
            }
            Ok(gone)
        })
    }
}

/// Leaves [`HABITS_MOST`] kinds: one more of the writer goes who has the most, until there are no more.
fn forget_most(tx: &Tx<'_>) -> Result<(), StoreError> {
    let all = all(tx)?;
    let mut of_writers: SortedMap<&str, Vec<(i64, &str)>> = SortedMap::new();
    for (hash, habit) in &all {
        let own = of_writers.entry(&habit.writer).or_default();
        own.push((habit.last_ms, hash));
    }
    for own in of_writers.values_mut() {
        own.sort_unstable_by_key(|(last_ms, _)| Reverse(*last_ms));
    }
    for _ in HABITS_MOST..all.len() {
        if let Some(own) = of_writers.values_mut().max_by_key(|own| own.len()) {
            own.pop();
        }
    }
    let kept: SortedSet<&str> = of_writers
        .into_values()
        .flatten()
        .map(|(_, hash)| hash)
        .collect();
    let mut names = tx.prepare_cached("SELECT hash FROM habits")?;
    let names: Vec<String> = names
        .query_map([], |row| row.get(0))?
        .collect::<Result<_, _>>()?;
    // What cannot be read goes as well.
    for hash in names.iter().filter(|hash| !kept.contains(hash.as_str())) {
        tx.prepare_cached("DELETE FROM habits WHERE hash = ?1")?
            .execute([hash])?;
    }
    Ok(())
}

fn boot(connection: &Connection) -> Result<(u32, String), StoreError> {
    let row = meta(connection, BOOT)?.unwrap_or_default();
    let (number, id) = row.split_once(' ').unwrap_or_default();
    Ok((number.parse().unwrap_or(0), id.to_owned()))
}

fn habit(connection: &Connection, hash: &str) -> Result<Option<Habit>, StoreError> {
    let record: Option<String> = connection
        .prepare_cached("SELECT record FROM habits WHERE hash = ?1")?
        .query_row([hash], |row| row.get(0))
        .optional()?;
    Ok(record.and_then(|record| serde_json::from_str(&record).ok()))
}

fn put(tx: &Tx<'_>, hash: &str, habit: &Habit) -> Result<(), StoreError> {
    let record = serde_json::to_string(habit)
        .map_err(|why| StoreError::Corrupt(format!("habit {hash}: {why}")))?;
    tx.prepare_cached(
        "INSERT INTO habits (hash, record, last_ms) VALUES (?1, ?2, ?3)
         ON CONFLICT (hash) DO UPDATE SET record = ?2, last_ms = ?3",
    )?
    .execute(params![hash, record, habit.last_ms])?;
    Ok(())
}

/// What another version wrote and this one cannot read is not known.
fn all(connection: &Connection) -> Result<SortedMap<String, Habit>, StoreError> {
    let mut read = connection.prepare_cached("SELECT hash, record FROM habits")?;
    let rows: Vec<(String, String)> = read
        .query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?
        .collect::<Result<_, _>>()?;
    let read = |(hash, record): (String, String)| Some((hash, serde_json::from_str(&record).ok()?));
    Ok(rows.into_iter().filter_map(read).collect())
}

impl Reader {
    /// By fingerprint.
    pub fn habits(&self) -> Result<SortedMap<String, Habit>, StoreError> {
        self.with(all)
    }

    pub fn habit(&self, hash: &str) -> Result<Option<Habit>, StoreError> {
        self.with(|connection| habit(connection, hash))
    }

    /// A human heard of this fault in an issue of its own, in whatever episode.
    pub fn was_told(&self, hash: &str) -> Result<bool, StoreError> {
        self.with(|connection| {
            Ok(connection
                .prepare_cached(
                    "SELECT EXISTS (SELECT 1 FROM tasks WHERE issue_hash = ?1 AND told > 0)",
                )?
                .query_row([hash], |row| row.get(0))?)
        })
    }

    /// Since when this box is known, and its boots.
    pub fn acquaintance(&self, now: Timestamp) -> Result<Acquaintance, StoreError> {
        self.with(|connection| {
            let created = meta(connection, "created_at")?.and_then(|at| at.parse().ok());
            Ok(Acquaintance {
                since: created.unwrap_or(now),
                boot: boot(connection)?.0,
            })
        })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::time::Duration;

    use super::*;
    use crate::core::model::habit::LineStanding;
    use crate::store::tests::{NOW, bench};

    fn heard(message: &str, at: Timestamp) -> (String, Heard) {
        let heard = Heard {
            subject: "a.service".to_owned(),
            writer: "a.service".to_owned(),
            message: message.to_owned(),
            count: 2,
            at,
        };
        (message.to_owned(), heard)
    }

    #[test]
    fn what_was_heard_adds_up_and_stays_within_its_rows() {
        let store = bench().store;
        for id in ["one", "one", "two"] {
            store.count_boot(id).unwrap();
            store.note_heard([heard("x", NOW)].into()).unwrap();
        }
        let reader = store.reader().unwrap();
        let known = reader.acquaintance(NOW).unwrap();
        assert_eq!((known.since, known.boot), (NOW, 2));
        let habit = reader.habit("x").unwrap().unwrap();
        assert_eq!((habit.seen, habit.boots), (6, 2));
        let later = NOW.plus(Duration::from_secs(1));
        let many = (0..HABITS_MOST).map(|n| heard(&n.to_string(), later));
        store.note_heard(many.collect()).unwrap();
        assert_eq!(reader.habits().unwrap().len(), HABITS_MOST);
        assert_eq!(reader.habit("x").unwrap(), None, "heard longest ago");
    }

    #[test]
    fn who_says_most_loses_most_and_what_another_says_rarely_stays() {
        let store = bench().store;
        let rare = |n| {
            let (hash, mut heard) = heard(&format!("rare {n}"), NOW);
            heard.writer = "b.service".to_owned();
            (hash, heard)
        };
        store.note_heard((0..9).map(rare).collect()).unwrap();
        for page in 1..4_u32 {
            let later = NOW.plus(Duration::from_secs(60) * page);
            let many = (0..HABITS_MOST).map(|n| heard(&format!("{page} {n}"), later));
            store.note_heard(many.collect()).unwrap();
        }
        let habits = store.reader().unwrap().habits().unwrap();
        let of_rare = habits.values().filter(|habit| habit.writer == "b.service");
        assert_eq!((habits.len(), of_rare.count()), (HABITS_MOST, 9));
        // A record of the version before has no writer.
        let old: Habit = serde_json::from_str(
            r#"{"subject":"a","message":"m","since_ms":1,"last_ms":1,"seen":1,"first_boot":1,"last_boot":1,"boots":1,"days":1,"today":1,"busiest":0,"shown_ms":null,"followed_ms":null}"#,
        )
        .unwrap();
        assert_eq!(old.writer, "");
    }

    #[test]
    fn a_failure_wakes_what_was_heard_shortly_before_and_a_reset_forgets_all() {
        let store = bench().store;
        let early = NOW.minus(FOLLOWS_WITHIN * 2);
        store
            .note_heard([heard("old", early), heard("new", NOW)].into())
            .unwrap();
        store
            .show_habits(vec!["old".to_owned(), "new".to_owned()], NOW)
            .unwrap();
        assert_eq!(store.wake_habits(NOW).unwrap(), 1);
        let reader = store.reader().unwrap();
        let later = NOW.plus(Duration::from_secs(8 * 86_400));
        let known = reader.acquaintance(NOW).unwrap();
        let standing = |hash| {
            let habit = reader.habit(hash).unwrap().unwrap();
            habit.standing(&known, false, later)
        };
        assert_eq!(standing("old"), LineStanding::Shown);
        assert_eq!(standing("new"), LineStanding::Open);
        assert_eq!(store.forget_habits("t", "reset", NOW).unwrap(), 2);
        assert!(reader.habits().unwrap().is_empty());
    }
}
