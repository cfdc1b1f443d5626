//! Reading: short statements on a connection that cannot write.

use rusqlite::{Connection, OptionalExtension, Row, params, params_from_iter};

use crate::core::human::delivery::Payload;
use crate::core::model::audit;
use crate::core::model::class::Class;
use crate::core::model::id::{EventId, TaskId};
use crate::core::model::proposal::Digest;
use crate::core::model::task::{Status, Task};
use crate::core::model::time::Timestamp;
use crate::store::error::StoreError;
use crate::store::history::{self, AuditBreak, AuditReport};
use crate::store::history::{HELD_BACK, PROPOSED};
use crate::store::link::ReadLink;
use crate::store::rows::{
    ATTEMPT_COLUMNS, OUTBOX_COLUMNS, TASK_COLUMNS, attempt_row, learned_row, maybe_time,
    outbox_row, task_row, time,
};
use crate::store::types::{
    Attempt, AuditEvent, Counts, DetectorRun, Due, EscalationRow, Learned, OutboxRow, RunOutcome,
    TaskFilter,
};
use crate::store::{intake, meta, restored, tx};

/// Reads; the lock is held for one statement at a time, so no snapshot outlives a call.
#[derive(Clone, Debug)]
pub struct Reader(ReadLink);

/// The task of one kind to claim at time `?1`: the most severe, then the oldest. One piece per status, so that each
/// walks an index in order and stops at its first row; the closed ones are never looked at. A subject has at most
/// one task in a worker's hands; there are as many of those as workers.
pub(super) fn next_claim(kind: KnownBy) -> String {
    let kind = match kind {
        KnownBy::Confirmed => 0,
        KnownBy::Said => 1,
    };
    let piece = |index: &str, due: &str| {
        format!(
            "SELECT * FROM (SELECT id, severity_rank FROM tasks {index}
                WHERE {due} AND status <> 'closed' AND (said_by IS NOT NULL) = {kind}
                  AND (acknowledged_by IS NULL OR approved_until > ?1)
                  AND NOT EXISTS (SELECT 1 FROM tasks AS busy WHERE busy.subject = tasks.subject AND tasks.subject <> ''
                                  AND busy.status = 'in_progress' AND busy.status <> 'closed')
                ORDER BY severity_rank, id LIMIT 1)"
        )
    };
    let found = piece("", "status = 'detected'");
    let failed = piece("", "status = 'fix_failed'");
    let due = piece(
        "INDEXED BY tasks_due",
        "status IN ('waiting', 'escalated') AND next_attempt_at <= ?1",
    );
    format!(
        "SELECT id FROM ({found} UNION ALL {failed} UNION ALL {due}) ORDER BY severity_rank, id LIMIT 1"
    )
}

/// Rows of a listing without a limit of its own.
const LIST_MAX: u32 = 1_000;
/// Rows of a page of tasks that are worked through.
const PAGE: u32 = 100;

/// How a task is known: which of them goes first, and that each gets its turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum KnownBy {
    /// By service manager, sweep, probe or kernel.
    Confirmed,
    /// By a line alone.
    Said,
}

/// True for a row that lines alone tell of and silence alone ends.
const MERE_WORDS: &str = "(said_by IS NOT NULL AND issue_type IN ('log_error', 'self_gap'))";

/// True for a row of which there may be only so many: lines alone tell of it, or the kernel of itself.
fn bounded() -> String {
    let own = Class::ALL.iter().filter(|class| class.is_kernels_own());
    let own: Vec<&str> = own.map(|class| class.as_str()).collect();
    format!(
        "(said_by IS NOT NULL OR issue_type IN ('{}'))",
        own.join("', '")
    )
}

/// The open set is found by its own index; anything else walks back from the newest id to the limit.
/// Ids first, rows then: a sort must not hold whole rows in memory.
pub(super) fn list_query(filter: &TaskFilter) -> (String, Vec<String>) {
    let mut ids = String::from(match filter.open_only {
        true => "SELECT id FROM tasks INDEXED BY tasks_open WHERE status <> 'closed'",
        false => "SELECT id FROM tasks WHERE id <= 9223372036854775807",
    });
    let mut values = Vec::new();
    for (column, value) in [
        ("status", filter.status.map(Status::as_str)),
        ("issue_type", filter.class.map(Class::as_str)),
        ("subject", filter.subject.as_deref()),
    ] {
        if let Some(value) = value {
            values.push(value.to_owned());
            ids.push_str(&format!(" AND {column} = ?{}", values.len()));
        }
    }
    let limit = match filter.limit {
        0 => LIST_MAX,
        limit => limit,
    };
    let sql = format!(
        "SELECT {TASK_COLUMNS} FROM tasks WHERE id IN ({ids} ORDER BY id DESC LIMIT {limit}) ORDER BY id DESC"
    );
    (sql, values)
}

impl Reader {
    pub(super) fn new(link: ReadLink) -> Self {
        Self(link)
    }

    pub(super) fn with<T>(
        &self,
        read: impl FnOnce(&Connection) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        self.0.with(read)
    }

    pub(super) fn list<T>(
        &self,
        sql: &str,
        values: &[&dyn rusqlite::ToSql],
        row: fn(&Row<'_>) -> rusqlite::Result<T>,
    ) -> Result<Vec<T>, StoreError> {
        self.with(|connection| {
            let mut statement = connection.prepare_cached(sql)?;
            let rows = statement.query_map(values, row)?;
            Ok(rows.collect::<Result<_, _>>()?)
        })
    }

    pub fn meta(&self, key: &str) -> Result<Option<String>, StoreError> {
        self.with(|connection| {
            Ok(connection
                .prepare_cached("SELECT value FROM meta WHERE key = ?1")?
                .query_row([key], |row| row.get(0))
                .optional()?)
        })
    }

    /// When the restore was that no full clean sweep has followed: nothing is done unasked.
    pub fn restored(&self) -> Result<Option<Timestamp>, StoreError> {
        self.with(restored::unsettled)
    }

    /// Tasks, the newest first.
    pub fn tasks(&self, filter: &TaskFilter) -> Result<Vec<Task>, StoreError> {
        let (sql, values) = list_query(filter);
        self.with(|connection| {
            let mut statement = connection.prepare(&sql)?;
            let rows = statement.query_map(params_from_iter(values), task_row)?;
            Ok(rows.collect::<Result<_, _>>()?)
        })
    }

    /// The open conditions of the host, the most severe first: what sweeps, correlation and hysteresis go by. Left out
    /// is what only lines tell and only silence ends, of which there may be much: see [`Reader::fallen_silent`].
    pub fn open_conditions(&self) -> Result<Vec<Task>, StoreError> {
        let sql = format!(
            "SELECT {TASK_COLUMNS} FROM tasks WHERE id IN
                 (SELECT id FROM tasks INDEXED BY tasks_open WHERE status <> 'closed' AND NOT {MERE_WORDS}
                  ORDER BY severity_rank, id LIMIT {LIST_MAX}) ORDER BY severity_rank, id"
        );
        self.list(&sql, &[], task_row)
    }

    /// A page of what only lines told and no line has told since `before`, the oldest first.
    pub fn fallen_silent(&self, before: Timestamp) -> Result<Vec<Task>, StoreError> {
        let sql = format!(
            "SELECT {TASK_COLUMNS} FROM tasks WHERE id IN
                 (SELECT id FROM tasks INDEXED BY tasks_open
                  WHERE status IN ('detected', 'waiting', 'fix_failed', 'escalated') AND status <> 'closed'
                    AND {MERE_WORDS} AND last_seen_at <= ?1 ORDER BY id LIMIT {PAGE}) ORDER BY id"
        );
        self.list(&sql, &[&before.to_string()], task_row)
    }

    /// Writers of the open tasks whose number is bounded, one for each, of at most `most`; none for the kernel itself.
    pub fn said_open(&self, most: u32) -> Result<Vec<Option<String>>, StoreError> {
        let sql = format!(
            "SELECT said_by FROM tasks INDEXED BY tasks_open WHERE status <> 'closed' AND {} LIMIT ?1",
            bounded()
        );
        self.list(&sql, &[&most], |row| row.get(0))
    }

    pub fn task(&self, id: TaskId) -> Result<Option<Task>, StoreError> {
        let sql = format!("SELECT {TASK_COLUMNS} FROM tasks WHERE id = ?1");
        Ok(self.list(&sql, &[&id], task_row)?.pop())
    }

    /// Tasks since `since` whose action was not taken because the mode only observes; of the newest 10,000.
    /// Versions before that event had a name of its own wrote it as a proposal, with the mode in its reason alone; the
    /// audit is never rewritten.
    pub fn not_done(&self, since: Timestamp) -> Result<Vec<Task>, StoreError> {
        let sql = format!(
            "SELECT {TASK_COLUMNS} FROM (SELECT * FROM tasks ORDER BY id DESC LIMIT 10000) AS task
             WHERE proposed_action IS NOT NULL AND detected_at >= ?1
               AND EXISTS (SELECT 1 FROM task_history WHERE task_id = task.id
                           AND (action = '{HELD_BACK}' OR action = '{PROPOSED}' AND reason LIKE 'mode observe%'))"
        );
        self.list(&sql, &[&since.to_string()], task_row)
    }

    /// True when a fingerprint has an open task.
    pub fn is_open(&self, hash: &str) -> Result<bool, StoreError> {
        self.with(|connection| {
            Ok(connection
                .prepare_cached(
                    "SELECT EXISTS (SELECT 1 FROM tasks WHERE issue_hash = ?1 AND status <> 'closed')",
                )?
                .query_row([hash], |row| row.get(0))?)
        })
    }

    /// The key of the deliveries about a problem: of its open episode, else of the one that would come next.
    pub fn key_to_come(&self, hash: &str) -> Result<String, StoreError> {
        self.with(|connection| {
            let known: Option<(u64, bool, Option<String>)> = connection
                .prepare_cached(
                    "SELECT episode, status <> 'closed', delivery_key FROM tasks WHERE issue_hash = ?1
                     ORDER BY id DESC LIMIT 1",
                )?
                .query_row([hash], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))
                .optional()?;
            let past = match known {
                Some((_, true, Some(key))) => return Ok(key),
                Some((episode, ..)) => episode,
                None => intake::past_episode(connection, hash)?,
            };
            Ok(audit::delivery_key(&meta::gateway_id(connection)?, hash, past.saturating_add(1)))
        })
    }

    /// Who said something new after `since`, and when, the newest first: of the newest `most` tasks. None is the kernel
    /// itself.
    pub fn said_since(
        &self,
        since: Timestamp,
        most: u32,
    ) -> Result<Vec<(Option<String>, Timestamp)>, StoreError> {
        let sql = format!(
            "SELECT said_by, detected_at FROM (SELECT * FROM tasks ORDER BY id DESC LIMIT ?2)
             WHERE {} AND detected_at > ?1",
            bounded()
        );
        self.list(&sql, &[&since.to_string(), &most], |row| {
            Ok((row.get(0)?, time(row, 1)?))
        })
    }

    /// What a worker may do next, without a write.
    pub fn due(&self, now: Timestamp) -> Result<Due, StoreError> {
        let at = now.to_string();
        let stable = format!(
            "SELECT {TASK_COLUMNS} FROM tasks WHERE status = 'fixed' AND status <> 'closed' AND stable_until <= ?1 ORDER BY id LIMIT 1"
        );
        let [confirmed, said] = [KnownBy::Confirmed, KnownBy::Said].map(next_claim);
        let claimable = format!("SELECT EXISTS ({confirmed}) OR EXISTS ({said})");
        Ok(Due {
            stable: self.list(&stable, &[&at], task_row)?.pop(),
            claimable: self.with(|connection| {
                Ok(connection
                    .prepare_cached(&claimable)?
                    .query_row([&at], |row| row.get(0))?)
            })?,
        })
    }

    /// Events of one task, or of everything, the newest last; at most the newest `limit`.
    pub fn history(
        &self,
        task_id: Option<TaskId>,
        limit: u32,
    ) -> Result<Vec<AuditEvent>, StoreError> {
        let columns = history::COLUMNS;
        let mut events = match task_id {
            Some(id) => self.list(
                &format!("SELECT {columns} FROM task_history WHERE task_id = ?1 ORDER BY id DESC LIMIT ?2"),
                &[&id, &limit],
                history::event,
            )?,
            None => self.list(
                &format!("SELECT {columns} FROM task_history ORDER BY id DESC LIMIT ?1"),
                &[&limit],
                history::event,
            )?,
        };
        events.reverse();
        Ok(events)
    }

    /// Events after `id`, oldest first; at most 1,000.
    pub fn history_after(&self, id: EventId) -> Result<Vec<AuditEvent>, StoreError> {
        let columns = history::COLUMNS;
        let sql =
            format!("SELECT {columns} FROM task_history WHERE id > ?1 ORDER BY id LIMIT 1000");
        self.list(&sql, &[&id], history::event)
    }

    /// Has the issue of a task shown an action other than this one, in this episode or in one before that it was
    /// taken over from? Where it has, who allows one must name which.
    pub fn showed_another(&self, task_id: TaskId, action: &Digest) -> Result<bool, StoreError> {
        let sql = "WITH RECURSIVE lives (id, previous_id) AS (
                 SELECT id, previous_id FROM tasks WHERE id = ?1
                 UNION ALL SELECT tasks.id, tasks.previous_id FROM tasks JOIN lives ON tasks.id = lives.previous_id
                 WHERE tasks.github_issue_number IS NOT NULL)
             SELECT 1 FROM tasks JOIN lives USING (id)
             WHERE proposed_by_name OR (proposed_action IS NOT NULL AND proposed_digest IS NOT ?2)";
        let found = self.list(sql, &[&task_id, &action.as_str()], |row| {
            row.get::<_, i64>(0)
        })?;
        Ok(!found.is_empty())
    }

    /// Must a label name the digest of what a task proposes?
    pub fn is_proposed_by_name(&self, task_id: TaskId) -> Result<bool, StoreError> {
        self.with(|connection| {
            let sql = "SELECT proposed_by_name FROM tasks WHERE id = ?1";
            Ok(connection.query_row(sql, [task_id], |row| row.get(0))?)
        })
    }

    /// Since when an issue shows this action, as far as its delivery is confirmed: by our clock.
    pub fn shown_since(
        &self,
        task_id: TaskId,
        action: &Digest,
    ) -> Result<Option<Timestamp>, StoreError> {
        let sql = "SELECT payload, state, sent_at FROM outbox
             WHERE task_id = ?1 AND destination = 'github' AND operation IN ('create', 'reopen', 'comment')
             ORDER BY id DESC";
        let rows = self.list(sql, &[&task_id], |row| {
            let payload: String = row.get(0)?;
            Ok((payload, row.get::<_, String>(1)?, maybe_time(row, 2)?))
        })?;
        let shows = |payload: &str| {
            Payload::parse(payload)
                .is_ok_and(|one| one.proposal.as_deref() == Some(action.as_str()))
        };
        let newest = rows.into_iter().find(|(payload, ..)| shows(payload));
        Ok(newest.and_then(|(_, state, at)| at.filter(|_| state == "confirmed")))
    }

    /// When the store was last restored from a backup, ever.
    pub fn last_restore(&self) -> Result<Option<Timestamp>, StoreError> {
        self.with(|connection| Ok(restored::last(connection)?.map(|restore| restore.at)))
    }

    pub fn audit_head(&self) -> Result<String, StoreError> {
        self.with(tx::head)
    }

    pub fn audit_verify(&self) -> Result<Result<AuditReport, AuditBreak>, StoreError> {
        history::verify(&self.0)
    }

    /// Attempts of a task, oldest first.
    pub fn attempts(&self, task_id: TaskId) -> Result<Vec<Attempt>, StoreError> {
        let sql = format!("SELECT {ATTEMPT_COLUMNS} FROM attempts WHERE task_id = ?1 ORDER BY id");
        self.list(&sql, &[&task_id], attempt_row)
    }

    pub fn all_attempts(&self) -> Result<Vec<Attempt>, StoreError> {
        self.list(
            &format!("SELECT {ATTEMPT_COLUMNS} FROM attempts ORDER BY id"),
            &[],
            attempt_row,
        )
    }

    /// The last stop of `unit` that was ordered here and not taken back.
    pub(crate) fn last_stop(&self, unit: &str) -> Result<Option<Attempt>, StoreError> {
        let sql = format!(
            "SELECT {ATTEMPT_COLUMNS} FROM attempts WHERE unit = ?1 AND action_kind = 'stop_unit'
             AND (outcome IS NULL OR outcome IN ('acted', 'verified', 'unknown')) ORDER BY started_at DESC LIMIT 1"
        );
        Ok(self.list(&sql, &[&unit], attempt_row)?.pop())
    }

    /// Attempts that were booked and have no end.
    pub(crate) fn open_attempts(&self) -> Result<Vec<Attempt>, StoreError> {
        let sql = format!(
            "SELECT {ATTEMPT_COLUMNS} FROM attempts WHERE outcome IS NULL OR outcome = 'acted' ORDER BY id"
        );
        self.list(&sql, &[], attempt_row)
    }

    pub fn escalations(&self, open_only: bool) -> Result<Vec<EscalationRow>, StoreError> {
        self.told_where("NOT ?1 OR resolved_at IS NULL", open_only)
    }

    /// What waits for a human, the newest first, at most 1,000: what was repaired after all, and is watched now, asks for
    /// nothing.
    pub(super) fn asking(&self) -> Result<Vec<EscalationRow>, StoreError> {
        let is_open = "?1 AND resolved_at IS NULL
             AND NOT EXISTS (SELECT 1 FROM tasks WHERE tasks.id = task_id AND status = 'fixed')";
        self.told_where(is_open, true)
    }

    fn told_where(&self, condition: &str, value: bool) -> Result<Vec<EscalationRow>, StoreError> {
        let sql = format!(
            "SELECT id, task_id, reason, title, body, severity, created_at, resolved_at,
                    (SELECT github_issue_number FROM tasks WHERE tasks.id = task_id)
             FROM escalations WHERE {condition} ORDER BY id DESC LIMIT 1000"
        );
        self.list(&sql, &[&value], |row| {
            Ok(EscalationRow {
                id: row.get(0)?,
                task_id: row.get(1)?,
                reason: row.get(2)?,
                title: row.get(3)?,
                body: row.get(4)?,
                severity: row.get(5)?,
                created_at: time(row, 6)?,
                resolved_at: maybe_time(row, 7)?,
                issue_number: row.get(8)?,
            })
        })
    }

    /// Repairs after `since` that were charged to the budget of this host.
    pub fn host_charged(&self, since: Timestamp) -> Result<u32, StoreError> {
        self.with(|connection| {
            let sql = "SELECT count(*) FROM attempts WHERE charged = 'host' AND started_at > ?1";
            Ok(connection.query_row(sql, [since.to_string()], |row| row.get(0))?)
        })
    }

    /// Tasks that were put before a human and are not over, or were over after `since` only.
    pub fn escalated_tasks(&self, since: Timestamp) -> Result<Vec<Task>, StoreError> {
        let sql = format!(
            "SELECT {TASK_COLUMNS} FROM tasks WHERE id IN
                 (SELECT task_id FROM escalations WHERE resolved_at IS NULL OR resolved_at > ?1)
             ORDER BY severity_rank, id LIMIT 1000"
        );
        self.list(&sql, &[&since.to_string()], task_row)
    }

    pub fn outbox(&self) -> Result<Vec<OutboxRow>, StoreError> {
        let sql = format!("SELECT {OUTBOX_COLUMNS} FROM outbox ORDER BY id DESC LIMIT 1000");
        self.list(&sql, &[], outbox_row)
    }

    /// How many tasks are open.
    pub fn open(&self) -> Result<u64, StoreError> {
        self.with(|connection| {
            let sql = "SELECT count(*) FROM tasks WHERE status <> 'closed'";
            let mut statement = connection.prepare_cached(sql)?;
            Ok(statement.query_row([], |row| row.get(0))?)
        })
    }

    pub fn counts(&self) -> Result<Counts, StoreError> {
        let pair = |row: &Row<'_>| Ok((row.get(0)?, row.get(1)?));
        let by_status = self.list(
            "SELECT status, count(*) FROM tasks GROUP BY status ORDER BY status",
            &[],
            pair,
        )?;
        let by_resolution = self.list(
            "SELECT resolution, count(*) FROM tasks WHERE status = 'closed' GROUP BY resolution ORDER BY resolution",
            &[],
            pair,
        )?;
        let outbox: Vec<(String, u64)> = self.list(
            "SELECT state, count(*) FROM outbox GROUP BY state",
            &[],
            pair,
        )?;
        let of = |wanted: &[&str]| {
            outbox
                .iter()
                .filter(|(state, _)| wanted.contains(&state.as_str()))
                .map(|(_, n)| n)
                .sum()
        };
        Ok(Counts {
            open: by_status
                .iter()
                .filter(|(status, _): &&(String, u64)| status != "closed")
                .map(|(_, n)| n)
                .sum(),
            by_status,
            by_resolution,
            outbox_waiting: of(&["pending", "sending", "unknown"]),
            outbox_dead: of(&["dead"]),
        })
    }

    pub fn learned(
        &self,
        class: Class,
        subject: &str,
        action: &str,
    ) -> Result<Learned, StoreError> {
        let found = self.list(
            "SELECT class, subject, action, wins, losses, last_at FROM learned WHERE class = ?1 AND subject = ?2 AND action = ?3",
            &[&class.as_str(), &subject, &action],
            learned_row,
        )?;
        Ok(found.into_iter().next().unwrap_or_default())
    }

    pub fn all_learned(&self) -> Result<Vec<Learned>, StoreError> {
        self.list(
            "SELECT class, subject, action, wins, losses, last_at FROM learned ORDER BY class, subject, action",
            &[],
            learned_row,
        )
    }

    /// Last outcomes of the detectors, as of the last maintenance.
    pub fn detector_runs(&self) -> Result<Vec<DetectorRun>, StoreError> {
        self.list(
            "SELECT name, outcome, message, duration_us, runs, last_at FROM detector_runs ORDER BY name",
            &[],
            |row| {
                let outcome: String = row.get(1)?;
                Ok(DetectorRun {
                    name: row.get(0)?,
                    outcome: outcome.parse().unwrap_or(RunOutcome::Broken),
                    message: row.get(2)?,
                    duration_us: row.get(3)?,
                    runs: row.get(4)?,
                    last_at: time(row, 5)?,
                })
            },
        )
    }

    /// Full check of the file; slow on a large one.
    pub fn integrity(&self) -> Result<String, StoreError> {
        self.with(|connection| {
            Ok(connection.query_row("PRAGMA quick_check(1)", params![], |row| row.get(0))?)
        })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic)]
    use super::*;
    use crate::core::config::Budget;
    use crate::core::model::action::ActionKind;
    use crate::core::model::proposal::{Proposal, Terms};
    use crate::store::tests::{NOW, bench, booking, finding, one};
    use crate::store::types::{Booked, Proposed};

    #[test]
    fn what_observe_held_back_is_known_by_its_event_and_in_older_rows_by_its_reason() {
        let bench = bench();
        let proposed = |held_back, reason: &str| {
            let mut found = finding(reason);
            found.subject = format!("{held_back} {reason}");
            let task = bench.store.create_task(found, NOW).unwrap().task_id;
            let action = Proposal {
                kind: ActionKind::StartUnit,
                command: None,
                text: "start a.service".to_owned(),
                terms: Terms::default(),
            };
            let proposed = Proposed {
                action,
                by_name: false,
                held_back,
            };
            bench
                .store
                .propose(task, proposed, "worker-1", reason, NOW)
                .unwrap();
            task
        };
        let now = proposed(true, "whatever it says");
        let older = proposed(
            false,
            "mode observe: nothing is touched; proposed: start a.service",
        );
        proposed(false, "mode suggest: a human must approve");
        let found = bench.store.reader().unwrap().not_done(NOW).unwrap();
        let mut found: Vec<TaskId> = found.iter().map(|task| task.id).collect();
        found.sort();
        assert_eq!(found, [now, older]);
        let mere = one(&bench.store, "nothing proposed").task_id;
        assert!(!found.contains(&mere));
    }

    #[test]
    fn an_action_of_a_newer_version_is_read_by_its_name_and_counts_for_nothing() {
        let bench = bench();
        let task = one(&bench.store, "boom").task_id;
        let booked = bench
            .store
            .book_attempt(task, booking(), &Budget::default(), NOW);
        assert!(matches!(booked, Ok(Booked::Granted(_))));
        let newer = bench.store.write(|tx| {
            tx.execute("UPDATE attempts SET action_kind = 'reboot'", [])?;
            Ok(())
        });
        newer.unwrap();
        let attempts = bench.store.open_attempts().unwrap();
        let [attempt] = attempts.as_slice() else {
            panic!("{attempts:?}");
        };
        let unknown = attempt.action_kind.as_ref().unwrap_err();
        assert_eq!(
            (unknown.name.as_str(), attempt.is_disruptive()),
            ("reboot", false)
        );
    }
}
