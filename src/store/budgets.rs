//! Budgets: what an attempt is charged to, counted over the attempts of the windows that end now.

use std::time::Duration;

use rusqlite::{Connection, OptionalExtension, params};

use crate::core::config::Budget;
use crate::core::model::action::ActionKind;
use crate::core::model::class::Class;
use crate::core::model::id::TaskId;
use crate::core::model::named::named;
use crate::core::model::time::Timestamp;
use crate::core::remedy::step::{BudgetScope, Spent};
use crate::store::error::StoreError;
use crate::store::restored;
use crate::store::sql::Prepared;

const HOUR: Duration = Duration::from_secs(3_600);
const DAY: Duration = Duration::from_secs(86_400);
/// Of the host's budget one part in so many is kept for what did not fail lately, or was repaired each time.
const KEPT_SHARE: u32 = 4;
/// Of a row of `attempts`: it was not given back since, as those are that were made before the root was repaired, or before a
/// human asked to try again.
const STANDS: &str =
    "started_at >= coalesce((SELECT asked_at FROM tasks WHERE tasks.id = attempts.task_id), '')";
/// A start that has been under way for longer waits for something, and holds up no other.
const TAKES_ITS_TIME: Duration = Duration::from_secs(10);
/// While as many first starts as may be are under way.
const FIRST_START_RECHECK: Duration = Duration::from_secs(2);

named! {
    /// Whose budget an attempt is charged to.
    Charge "charge" {
        /// The first start of a unit that did not fail lately: free of the host's budget.
        First = "first",
        /// The host's.
        Host = "host",
        /// A human allowed it.
        Approval = "approval",
    }
}

/// An attempt that is asked about.
#[derive(Clone, Copy, Debug)]
pub(super) struct AskedAttempt<'a> {
    pub task: TaskId,
    pub hash: &'a str,
    pub kind: ActionKind,
    pub unit: Option<&'a str>,
}

/// One budget, and the attempts that are counted against it.
struct Count<'a> {
    scope: BudgetScope,
    /// Of the rows of `attempts`, with `?3` for `value`.
    filter: String,
    value: &'a str,
    window: Duration,
    limit: u32,
}

/// What the attempt would be charged to, or the first budget without room for it.
pub(super) fn charge(
    connection: &Connection,
    asked: &AskedAttempt<'_>,
    limits: &Budget,
    now: Timestamp,
) -> Result<Result<Charge, Spent>, StoreError> {
    if approved(connection, asked.task, now)? {
        let filter = "charged = 'approval' AND ?3 = ''".to_owned();
        let limit = limits.approvals_per_hour;
        let own = Count {
            scope: BudgetScope::Approvals,
            filter,
            value: "",
            window: HOUR,
            limit,
        };
        return Ok(own
            .spent(connection, now)?
            .map_or(Ok(Charge::Approval), Err));
    }
    for count in asked.own_counts(limits) {
        if let Some(spent) = count.spent(connection, now)? {
            return Ok(Err(spent));
        }
    }
    let lately = asked.failed_lately(connection, now)?;
    let starts = asked.kind.is_start() && !asked.kind.is_disruptive();
    if !lately && starts && !under_pressure(connection)? {
        let under_way: u32 = connection.row(
            "SELECT count(*) FROM attempts WHERE (outcome IS NULL OR outcome = 'acted') AND charged = 'first' AND started_at > ?1",
            [now.minus(TAKES_ITS_TIME).to_string()],
            |row| row.get(0),
        )?;
        if under_way >= limits.first_starts_at_once {
            return Ok(Err(Spent {
                scope: BudgetScope::FirstStarts,
                used: under_way,
                limit: limits.first_starts_at_once,
                free_at: now.plus(FIRST_START_RECHECK),
            }));
        }
        let filter = "charged = 'first' AND ?3 = ''".to_owned();
        let limit = limits.first_starts_per_hour;
        let firsts = Count {
            scope: BudgetScope::Host,
            filter,
            value: "",
            window: HOUR,
            limit,
        };
        if firsts.spent(connection, now)?.is_none() {
            return Ok(Ok(Charge::First));
        }
    }
    let unproven = lately && asked.failed_unproven(connection, now)?;
    Ok(host_spent(connection, unproven, limits, now)?.map_or(Ok(Charge::Host), Err))
}

/// The host's own budget, when it has no room: of what was tried in vain (`unproven`) a part of it is kept.
pub(super) fn host_spent(
    connection: &Connection,
    unproven: bool,
    limits: &Budget,
    now: Timestamp,
) -> Result<Option<Spent>, StoreError> {
    for (window, limit) in [(HOUR, limits.host_per_hour), (DAY, limits.host_per_day)] {
        let limit = match unproven {
            true => limit - limit / KEPT_SHARE,
            false => limit,
        };
        let filter = "charged = 'host' AND ?3 = ''".to_owned();
        let host = Count {
            scope: BudgetScope::Host,
            filter,
            value: "",
            window,
            limit,
        };
        if let Some(spent) = host.spent(connection, now)? {
            return Ok(Some(spent));
        }
    }
    Ok(None)
}

impl<'a> AskedAttempt<'a> {
    /// What the fault and the unit may cost: attempts that a human allowed count apart.
    fn own_counts(&self, limits: &Budget) -> Vec<Count<'a>> {
        let of_fault = |window, limit| Count {
            scope: BudgetScope::Fingerprint,
            filter: format!("charged <> 'approval' AND issue_hash = ?3 AND {STANDS}"),
            value: self.hash,
            window,
            limit,
        };
        let mut counts = vec![
            of_fault(HOUR, limits.fingerprint_per_hour),
            of_fault(DAY, limits.fingerprint_per_day),
        ];
        if let (Some(unit), true) = (self.unit, self.kind.is_disruptive()) {
            let disrupts = ActionKind::ALL.iter().filter(|kind| kind.is_disruptive());
            let kinds: Vec<String> = disrupts.map(|kind| format!("'{kind}'")).collect();
            counts.push(Count {
                scope: BudgetScope::Unit,
                filter: format!(
                    "charged <> 'approval' AND unit = ?3 AND {STANDS} AND action_kind IN ({})",
                    kinds.join(", ")
                ),
                value: unit,
                window: HOUR,
                limit: limits.unit_per_hour,
            });
        }
        counts
    }

    /// Something was tried about it, or it was over and came back, within a day.
    fn failed_lately(&self, connection: &Connection, now: Timestamp) -> Result<bool, StoreError> {
        let since = now.minus(DAY).to_string();
        let lately = format!("started_at > ?3 AND {STANDS} AND outcome IS NOT 'refused'");
        let sql = format!(
            "SELECT EXISTS (SELECT 1 FROM attempts WHERE issue_hash = ?1 AND {lately})
                 OR EXISTS (SELECT 1 FROM attempts WHERE unit = ?2 AND {lately})
                 OR EXISTS (SELECT 1 FROM tasks WHERE issue_hash = ?1 AND status = 'closed' AND closed_at > ?3)"
        );
        Ok(connection.row(&sql, params![self.hash, self.unit, since], |row| row.get(0))?)
    }

    /// Something was tried about it within a day that was not proven to help.
    fn failed_unproven(&self, connection: &Connection, now: Timestamp) -> Result<bool, StoreError> {
        let sql = format!(
            "SELECT EXISTS (SELECT 1 FROM attempts WHERE (issue_hash = ?1 OR unit = ?2) AND started_at > ?3 AND {STANDS}
                                AND outcome IS NOT 'refused' AND outcome IS NOT 'verified')"
        );
        let since = now.minus(DAY).to_string();
        Ok(connection.row(&sql, params![self.hash, self.unit, since], |row| row.get(0))?)
    }
}

impl Count<'_> {
    /// What is used up, if there is no room.
    fn spent(&self, connection: &Connection, now: Timestamp) -> Result<Option<Spent>, StoreError> {
        let (scope, limit) = (self.scope, self.limit);
        // What was done since the backup is not known: each window counts as used up.
        let restored = restored::last(connection)?;
        let over = restored.map(|restore| restore.at.min(now).plus(self.window));
        if let Some(free_at) = over.filter(|free_at| now < *free_at) {
            return Ok(Some(Spent {
                scope,
                used: limit,
                limit,
                free_at,
            }));
        }
        // Newest first, only as many as the limit: the last of them says when room comes back. Rows
        // with a time after `now` (the clock was set back) count too.
        let sql = format!(
            "SELECT count(*), min(started_at) FROM (
                 SELECT started_at FROM attempts
                 WHERE {} AND started_at > ?1 AND outcome IS NOT 'refused'
                 ORDER BY started_at DESC LIMIT ?2)",
            self.filter
        );
        let since = now.minus(self.window).to_string();
        let (used, oldest): (u32, Option<String>) = connection
            .prepare_cached(&sql)?
            .query_row(params![since, limit, self.value], |row| {
                Ok((row.get(0)?, row.get(1)?))
            })?;
        if used < limit {
            return Ok(None);
        }
        let free_at = oldest
            .and_then(|text| text.parse::<Timestamp>().ok())
            .map_or(now.plus(self.window), |oldest| {
                oldest.min(now).plus(self.window)
            });
        Ok(Some(Spent {
            scope,
            used,
            limit,
            free_at,
        }))
    }
}

/// A human's leave for the task stands.
fn approved(connection: &Connection, task: TaskId, now: Timestamp) -> Result<bool, StoreError> {
    let stands = connection
        .prepare_cached(
            "SELECT approved_digest IS NOT NULL AND approved_until > ?2 FROM tasks WHERE id = ?1",
        )?
        .query_row(params![task, now.to_string()], |row| {
            row.get::<_, Option<bool>>(0)
        })
        .optional()?;
    Ok(stands.flatten().unwrap_or(false))
}

/// Memory runs out: nothing is started for free.
fn under_pressure(connection: &Connection) -> Result<bool, StoreError> {
    Ok(connection.row(
        "SELECT EXISTS (SELECT 1 FROM tasks WHERE status <> 'closed' AND issue_type = ?1)",
        [Class::MemoryPressure.as_str()],
        |row| row.get(0),
    )?)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic)]
    use super::*;
    use crate::core::model::finding::Finding;
    use crate::core::model::id::AttemptId;
    use crate::core::model::task::Outcome;
    use crate::core::model::task::{Phase, Transition};
    use crate::store::tests::{NOW, bench, booking, finding, one};
    use crate::store::{Booked, Booking};

    #[test]
    fn budgets_are_booked_before_acting_and_come_back() {
        let bench = bench();
        let task = one(&bench.store, "boom").task_id;
        let limits = Budget {
            fingerprint_per_hour: 2,
            ..Budget::default()
        };
        let book = |now| {
            bench
                .store
                .book_attempt(task, booking(), &limits, now)
                .unwrap()
        };
        assert!(matches!(book(NOW), Booked::Granted(_)));
        assert!(matches!(book(NOW), Booked::Granted(_)));
        let Booked::Exhausted(Spent {
            scope,
            used,
            limit,
            free_at,
        }) = book(NOW)
        else {
            panic!("granted")
        };
        assert_eq!(
            (scope, used, limit, free_at),
            (
                BudgetScope::Fingerprint,
                2,
                2,
                NOW.plus(Duration::from_secs(3_600))
            )
        );
        assert!(matches!(book(free_at), Booked::Granted(_)));
        // The clock set back gives no budget back.
        assert!(matches!(
            book(NOW.minus(Duration::from_secs(7_200))),
            Booked::Exhausted(_)
        ));
    }

    #[test]
    fn the_first_start_of_a_unit_costs_the_host_nothing() {
        let bench = bench();
        let limits = Budget {
            host_per_hour: 4,
            first_starts_at_once: 2,
            ..Budget::default()
        };
        let reader = || bench.store.reader().unwrap();
        let book = |unit: &str, kind: &str, now| {
            let of_unit = Finding {
                subject: unit.to_owned(),
                ..finding("boom")
            };
            let task = bench.store.create_task(of_unit, NOW).unwrap().task_id;
            let booking = Booking {
                action_kind: kind.parse().unwrap(),
                unit: Some(unit.to_owned()),
                ..booking()
            };
            match bench
                .store
                .book_attempt(task, booking, &limits, now)
                .unwrap()
            {
                Booked::Granted(id) => {
                    let attempts = reader().attempts(task).unwrap();
                    assert!(attempts.iter().any(|one| one.id == id));
                    let charged = |connection: &rusqlite::Connection| {
                        let sql = "SELECT charged FROM attempts WHERE id = ?1";
                        Ok(connection.query_row(sql, [id], |row| row.get::<_, String>(0))?)
                    };
                    (reader().with(charged).unwrap(), Some(id))
                }
                Booked::Exhausted(spent) => (format!("no: {}", spent.scope), None),
            }
        };
        let end = |id: Option<AttemptId>| {
            let failed = Transition::FixFailed {
                phase: Phase::QuickFix,
                message: String::new(),
            };
            let id = id.unwrap();
            bench
                .store
                .end_attempt(id, Outcome::Failed, "", failed, "t", NOW)
                .unwrap();
        };
        let (charged, first) = book("a.service", "start_unit", NOW);
        assert_eq!(charged, "first");
        let (charged, second) = book("b.service", "reset_failed_start", NOW);
        assert_eq!(charged, "first");
        assert_eq!(book("c.service", "start_unit", NOW).0, "no: first starts");
        end(first);
        end(second);
        let (charged, third) = book("c.service", "start_unit", NOW);
        assert_eq!(charged, "first");
        let green = Transition::FirstGreen {
            stable_until: NOW,
            message: String::new(),
        };
        let ended = bench
            .store
            .end_attempt(third.unwrap(), Outcome::Verified, "", green, "t", NOW);
        ended.unwrap();
        // A second attempt at the unit, and what disrupts, are the host's: a quarter of it is kept for others.
        assert_eq!(book("a.service", "start_unit", NOW).0, "host");
        assert_eq!(book("a.service", "start_unit", NOW).0, "host");
        assert_eq!(book("a.service", "start_unit", NOW).0, "host");
        assert_eq!(book("a.service", "start_unit", NOW).0, "no: host");
        // Nor from what was repaired each time: that nobody else's failures take.
        assert_eq!(book("c.service", "start_unit", NOW).0, "host");
        assert_eq!(book("d.service", "restart_unit", NOW).0, "no: host");
        // A day later it did not fail lately.
        let tomorrow = NOW.plus(Duration::from_secs(90_000));
        end(reader().open_attempts().unwrap().first().map(|one| one.id));
        assert_eq!(book("b.service", "start_unit", tomorrow).0, "first");
    }
}
