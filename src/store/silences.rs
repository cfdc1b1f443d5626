//! What humans want left alone: a row of `meta`, each change of it with its audit event.

use crate::core::model::gate::Gate;
use crate::core::model::id::TaskId;
use crate::core::model::task::WaitsFor;
use crate::core::model::time::Timestamp;
use crate::core::remedy::silence::{Scope, Silence, Silences};
use crate::store::error::StoreError;
use crate::store::handle::Store;
use crate::store::history;
use crate::store::meta::{set_silences, silences};
use crate::store::read::Reader;
use crate::store::tasks::wake;
use crate::store::tx::Tx;

impl Store {
    /// Leaves something alone from now on; false where there are too many silences.
    pub fn silence(&self, one: Silence, now: Timestamp) -> Result<bool, StoreError> {
        self.write(move |tx| {
            let mut all = silences(tx)?;
            let added = all.add(one.clone());
            if added {
                set_silences(tx, &all)?;
                let (what, why) = (one.scope.to_string(), one.terms_alone());
                history::append(tx, task_of(&one), "silenced", &what, &one.by, &why, now)?;
            }
            Ok(added)
        })
    }

    /// Ends the silence of `scope` in the name of `actor`; false where there is none.
    pub fn end_silence(
        &self,
        scope: &Scope,
        actor: &str,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        let (scope, actor) = (scope.clone(), actor.to_owned());
        self.write(move |tx| {
            let ended = end(tx, |one| one.scope == scope, &actor, now)?;
            Ok(ended > 0)
        })
    }

    /// Takes out those whose time is over, and says so in the audit. Returns how many.
    pub fn end_due_silences(&self, now: Timestamp) -> Result<usize, StoreError> {
        let due = |one: &Silence| one.until <= now;
        if self.reader()?.silences()?.take(due).is_empty() {
            return Ok(0);
        }
        self.write(move |tx| end(tx, |one| one.until <= now, "time", now))
    }
}

fn task_of(one: &Silence) -> Option<TaskId> {
    match one.scope {
        Scope::Task(id) => Some(id),
        Scope::Host | Scope::Class(_) | Scope::Subject(_) => None,
    }
}

fn end(
    tx: &Tx<'_>,
    matches: impl Fn(&Silence) -> bool,
    actor: &str,
    now: Timestamp,
) -> Result<usize, StoreError> {
    let mut all = silences(tx)?;
    let ended = all.take(matches);
    if ended.is_empty() {
        return Ok(0);
    }
    set_silences(tx, &all)?;
    for one in &ended {
        let (what, why) = (one.scope.to_string(), one.terms());
        history::append(tx, task_of(one), "silence_over", &what, actor, &why, now)?;
    }
    // What another one still covers waits again.
    wake(tx, WaitsFor::Gate(Gate::Silence), now)?;
    Ok(ended.len())
}

impl Reader {
    /// What humans want left alone; those that are over may still be among them.
    pub fn silences(&self) -> Result<Silences, StoreError> {
        self.with(silences)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::time::Duration;

    use super::*;
    use crate::core::model::task::Transition;
    use crate::store::tests::{NOW, bench, escalation, one};

    #[test]
    fn a_silence_is_over_by_itself_is_audited_and_wakes_what_waited() {
        let bench = bench();
        let task = one(&bench.store, "boom").task_id;
        bench.store.claim_next("worker-1", NOW).unwrap().unwrap();
        let end = NOW.plus(Duration::from_secs(60));
        let silence = Silence {
            scope: Scope::Task(task),
            until: end,
            by: "anna".to_owned(),
            reason: String::new(),
        };
        assert!(bench.store.silence(silence, NOW).unwrap());
        let wait = Transition::Wait {
            until: NOW.plus(Duration::from_secs(900)),
            waits_for: WaitsFor::Gate(Gate::Silence),
            reason: String::new(),
        };
        bench.store.transition(task, wait, "t", NOW).unwrap();
        assert_eq!(bench.store.end_due_silences(NOW).unwrap(), 0);
        assert!(!bench.store.reader().unwrap().due(end).unwrap().claimable);
        assert_eq!(bench.store.end_due_silences(end).unwrap(), 1);
        let reader = bench.store.reader().unwrap();
        assert!(reader.due(end).unwrap().claimable);
        assert_eq!(reader.silences().unwrap().at(NOW).count(), 0);
        let events = reader.history(Some(task), 10).unwrap();
        let told: Vec<_> = events.iter().map(|one| one.action.as_str()).collect();
        for event in ["silenced", "silence_over"] {
            assert!(told.contains(&event), "{told:?}");
        }
        let scope = Scope::Task(task);
        assert!(!bench.store.end_silence(&scope, "anna", end).unwrap());
    }

    #[test]
    fn what_waits_to_be_told_waits_for_the_end_of_a_silence() {
        let bench = bench();
        let words = ["github:info::tracker-0001", "night:info::channel-0002"];
        let hour = Duration::from_secs(3_600);
        bench.store.set_routing(&words, hour, NOW).unwrap();
        let [silenced, other] = ["boom", "bang"].map(|message| {
            let task = one(&bench.store, message).task_id;
            bench.store.escalate(task, escalation(), "t", NOW).unwrap();
            task
        });
        let waiting = |at| {
            let rows = bench.store.outbox_waiting("night", at).unwrap();
            let next = bench.store.outbox_next("github", at).unwrap();
            let tasks: Vec<_> = rows.iter().map(|row| row.task_id).collect();
            (tasks, next.map(|row| row.task_id))
        };
        assert_eq!(waiting(NOW), (vec![silenced, other], Some(silenced)));
        let silence = Silence {
            scope: Scope::Task(silenced),
            // Longer than any delivery is put off.
            until: NOW.plus(hour * 48),
            by: "anna".to_owned(),
            reason: String::new(),
        };
        assert!(bench.store.silence(silence, NOW).unwrap());
        let later = NOW.plus(hour * 47);
        assert_eq!(waiting(later), (vec![other], Some(other)));
        let reader = bench.store.reader().unwrap();
        let held = reader.silenced_deliveries(later).unwrap();
        assert_eq!(held, [(silenced, NOW.plus(hour * 48))]);
        let over = NOW.plus(hour * 48);
        assert!(reader.silenced_deliveries(over).unwrap().is_empty());
        let scope = Scope::Task(silenced);
        assert!(bench.store.end_silence(&scope, "anna", later).unwrap());
        assert_eq!(waiting(later), (vec![silenced, other], Some(silenced)));
    }
}
