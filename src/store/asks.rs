//! What was put before a human, and which of it needs one now: the one count that every page and figure shows.

use crate::core::model::task::Task;
use crate::core::model::time::Timestamp;
use crate::core::remedy::silence::Silences;
use crate::store::error::StoreError;
use crate::store::read::Reader;
use crate::store::rows::{TASK_COLUMNS, task_row};
use crate::store::types::EscalationRow;

/// One task that was put before a human and is not resolved.
#[derive(Clone, Debug)]
pub struct Unresolved {
    pub row: EscalationRow,
    /// As it stands; `None` where retention took it.
    pub task: Option<Task>,
    /// Why it alarms nobody: a human is on it, or wants it left alone.
    pub aside: Option<String>,
}

/// All that was put before a human and is not resolved.
#[derive(Clone, Debug, Default)]
pub struct Asks {
    /// The newest first, at most 1,000.
    pub all: Vec<Unresolved>,
    /// Tasks of an adopted database that waited for a human there and were not put before one here.
    pub adopted: u64,
}

impl Asks {
    /// How many need a human: none that is left alone, and none that somebody is on.
    pub fn count(&self) -> u64 {
        let needing = self.all.iter().filter(|one| one.aside.is_none());
        needing.count() as u64 + self.adopted
    }
}

impl Reader {
    /// What stands before a human at `now`.
    pub fn asks(&self, now: Timestamp) -> Result<Asks, StoreError> {
        let silences = self.silences()?;
        let asked = |row: EscalationRow| {
            let task = self.task(row.task_id)?;
            let aside = task.as_ref().and_then(|task| silences.aside(task, now));
            Ok(Unresolved { row, task, aside })
        };
        let rows = self.asking()?.into_iter();
        Ok(Asks {
            adopted: self.adopted_waiting(&silences, now)?,
            all: rows.map(asked).collect::<Result<_, StoreError>>()?,
        })
    }

    fn adopted_waiting(&self, silences: &Silences, now: Timestamp) -> Result<u64, StoreError> {
        let from =
            "FROM tasks INDEXED BY tasks_open WHERE status <> 'closed' AND status = 'escalated'
             AND acknowledged_by IS NULL AND id NOT IN (SELECT task_id FROM escalations)";
        if silences.at(now).next().is_none() {
            let sql = format!("SELECT count(*) {from}");
            return self.with(|connection| Ok(connection.query_row(&sql, [], |row| row.get(0))?));
        }
        let tasks = self.list(&format!("SELECT {TASK_COLUMNS} {from}"), &[], task_row)?;
        let needing = tasks
            .iter()
            .filter(|task| silences.aside(task, now).is_none());
        Ok(needing.count() as u64)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::time::Duration;

    use crate::core::remedy::silence::{Scope, Silence};
    use crate::store::tests::{NOW, bench, escalation, one};

    #[test]
    fn what_is_left_alone_or_in_somebodys_hands_counts_for_nothing() {
        let bench = bench();
        let store = &bench.store;
        let told = ["a", "b", "c", "d"].map(|message| {
            let id = one(store, message).task_id;
            store.escalate(id, escalation(), "worker-1", NOW).unwrap();
            id
        });
        let count = |after_s: u64| {
            let now = NOW.plus(Duration::from_secs(after_s));
            store.reader().unwrap().asks(now).unwrap().count()
        };
        assert_eq!(count(1), 4);
        let [first, second, third, _] = told;
        let until = |s: u64| NOW.plus(Duration::from_secs(s));
        let silence = Silence {
            scope: Scope::Task(first),
            until: until(60),
            by: "anna".to_owned(),
            reason: String::new(),
        };
        assert!(store.silence(silence, NOW).unwrap());
        store.snooze(second, until(120), "anna", NOW).unwrap();
        store.acknowledge(third, "bert", NOW).unwrap();
        assert_eq!(count(1), 1);
        assert_eq!(count(60), 2, "the silence is over");
        assert_eq!(count(120), 3, "so is the snooze");
        let asks = store.reader().unwrap().asks(until(1)).unwrap();
        let asides = asks.all.iter().filter_map(|one| one.aside.as_deref());
        let words = ["is on it", "snoozed by anna", "by anna: no reason given"];
        for (aside, word) in asides.zip(words) {
            assert!(aside.ends_with(word), "{aside}");
        }
    }
}
