//! Attempts: booked before acting, counted against every budget in the same transaction.

use std::time::Duration;

use rusqlite::{Connection, OptionalExtension, params};

use crate::core::config::Budget;
use crate::core::time::Timestamp;
use crate::store::sql::Prepared;
use crate::store::types::{Attempt, Booked, Booking, Outcome};
use crate::store::{Store, StoreError, history, open, repair};

const HOUR: Duration = Duration::from_secs(3_600);
const DAY: Duration = Duration::from_secs(86_400);

impl Store {
    /// Books an attempt if every budget has room: counted and inserted in ONE transaction, durable
    /// before the caller acts. Refused attempts touched nothing and do not count.
    pub fn book_attempt(
        &self,
        task_id: i64,
        booking: Booking,
        limits: &Budget,
        now: Timestamp,
    ) -> Result<Booked, StoreError> {
        let limits = limits.clone();
        self.write(move |tx| {
            let (hash, class) = task_key(tx, task_id)?;
            if let Some(exhausted) = exhausted(tx, &hash, booking.unit.as_deref(), &limits, now)? {
                return Ok(exhausted);
            }
            let id = insert(tx, task_id, &hash, &class, &booking, None, "", now)?;
            tx.run(
                "UPDATE tasks SET fix_attempted = 1, action = ?2 WHERE id = ?1",
                params![task_id, booking.action_text],
            )?;
            let nth: i64 = tx
                .prepare_cached(
                    "SELECT count(*) FROM attempts WHERE task_id = ?1 AND outcome IS NOT 'refused'",
                )?
                .query_row([task_id], |row| row.get(0))?;
            let reason = format!("attempt {nth} in phase {}", booking.phase);
            history::append(
                tx,
                Some(task_id),
                "attempt",
                &booking.action_text,
                &booking.actor,
                &reason,
                now,
            )?;
            Ok(Booked::Granted(id))
        })
    }

    /// Writes down an action that a gate or precondition stopped: nothing was touched.
    pub fn record_refusal(
        &self,
        task_id: i64,
        booking: Booking,
        why: &str,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let why = why.to_owned();
        self.write(move |tx| {
            let (hash, class) = task_key(tx, task_id)?;
            insert(
                tx,
                task_id,
                &hash,
                &class,
                &booking,
                Some(Outcome::Refused),
                &why,
                now,
            )?;
            history::append(
                tx,
                Some(task_id),
                "refused",
                &booking.action_text,
                &booking.actor,
                &why,
                now,
            )
        })
    }

    /// Ends an attempt (or notes that it acted). Verified and failed ones are learned from.
    pub fn finish_attempt(
        &self,
        attempt_id: i64,
        outcome: Outcome,
        message: &str,
        evidence: &str,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let [message, evidence] = [message, evidence].map(str::to_owned);
        self.write(move |tx| {
            let (task_id, class, subject, kind, before): (i64, String, String, String, Option<String>) = tx
                .prepare_cached("SELECT task_id, class, subject, action_kind, outcome FROM attempts WHERE id = ?1")?
                .query_row([attempt_id], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?, row.get(4)?)))?;
            let ended = (outcome != Outcome::Acted).then(|| now.to_string());
            tx.prepare_cached(
                "UPDATE attempts SET outcome = ?2, message = ?3, ended_at = ?5,
                        evidence = CASE WHEN ?4 = '' THEN evidence ELSE ?4 END WHERE id = ?1",
            )?
            .execute(params![attempt_id, outcome.as_str(), message, evidence, ended])?;
            learn(tx, &class, &subject, &kind, before.as_deref(), outcome, now)?;
            history::append(tx, Some(task_id), outcome.as_str(), &message, "worker", "", now)
        })
    }

    /// Attempts without an end: what a crash cut short.
    pub fn open_attempts(&self) -> Result<Vec<Attempt>, StoreError> {
        self.reader()?.open_attempts()
    }
}

/// A verified attempt is a win; one that failed, also later in its window, a loss.
fn learn(
    tx: &Connection,
    class: &str,
    subject: &str,
    kind: &str,
    before: Option<&str>,
    outcome: Outcome,
    now: Timestamp,
) -> Result<(), StoreError> {
    let was_win = before == Some(Outcome::Verified.as_str());
    let (wins, losses) = match outcome {
        Outcome::Verified => (1, 0),
        // The win turned out to be none.
        Outcome::Failed if was_win => (-1, 1),
        Outcome::Failed => (0, 1),
        _ => return Ok(()),
    };
    tx.prepare_cached(
        "INSERT INTO learned (class, subject, action, wins, losses, last_at) VALUES (?1, ?2, ?3, max(?4, 0), ?5, ?6)
         ON CONFLICT (class, subject, action)
         DO UPDATE SET wins = max(wins + ?4, 0), losses = losses + ?5, last_at = ?6",
    )?
    .execute(params![class, subject, kind, wins, losses, now.to_string()])?;
    Ok(())
}

fn task_key(tx: &Connection, task_id: i64) -> Result<(String, String), StoreError> {
    tx.prepare_cached("SELECT issue_hash, issue_type FROM tasks WHERE id = ?1")?
        .query_row([task_id], |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()?
        .ok_or(StoreError::NoTask(task_id))
}

#[allow(clippy::too_many_arguments)] // One row's columns.
fn insert(
    tx: &Connection,
    task_id: i64,
    hash: &str,
    class: &str,
    booking: &Booking,
    outcome: Option<Outcome>,
    message: &str,
    now: Timestamp,
) -> Result<i64, StoreError> {
    let at = now.to_string();
    let ended = outcome.map(|_| at.clone());
    tx.prepare_cached(
        "INSERT INTO attempts (task_id, issue_hash, class, subject, unit, phase, action_kind, action_text, undo,
                               actor, outcome, message, started_at, ended_at)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14)",
    )?
    .execute(params![
        task_id,
        hash,
        class,
        booking.subject,
        booking.unit,
        booking.phase,
        booking.action_kind,
        booking.action_text,
        booking.undo,
        booking.actor,
        outcome.map(Outcome::as_str),
        message,
        at,
        ended,
    ])?;
    Ok(tx.last_insert_rowid())
}

/// The first budget without room, if any.
fn exhausted(
    tx: &Connection,
    hash: &str,
    unit: Option<&str>,
    limits: &Budget,
    now: Timestamp,
) -> Result<Option<Booked>, StoreError> {
    let checks: [(&'static str, &str, Option<&str>, Duration, u32); 5] = [
        (
            "fingerprint",
            "issue_hash = ?3",
            Some(hash),
            HOUR,
            limits.fingerprint_per_hour,
        ),
        (
            "fingerprint",
            "issue_hash = ?3",
            Some(hash),
            DAY,
            limits.fingerprint_per_day,
        ),
        ("unit", "unit = ?3", unit, HOUR, limits.unit_per_hour),
        ("host", "?3 = ''", Some(""), HOUR, limits.host_per_hour),
        ("host", "?3 = ''", Some(""), DAY, limits.host_per_day),
    ];
    let restored: Option<Timestamp> =
        open::meta(tx, repair::RESTORED_AT)?.and_then(|text| text.parse().ok());
    for (scope, filter, value, window, limit) in checks {
        let Some(value) = value else { continue };
        // What was done since the backup is not known: each window counts as used up.
        let spent = restored.map(|at| at.min(now).plus(window));
        if let Some(free_at) = spent.filter(|free_at| now < *free_at) {
            return Ok(Some(Booked::Exhausted {
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
                 WHERE {filter} AND started_at > ?1 AND outcome IS NOT 'refused'
                 ORDER BY started_at DESC LIMIT ?2)"
        );
        let (used, oldest): (u32, Option<String>) = tx.prepare_cached(&sql)?.query_row(
            params![now.minus(window).to_string(), limit, value],
            |row| Ok((row.get(0)?, row.get(1)?)),
        )?;
        if used >= limit {
            let free_at = oldest
                .and_then(|text| text.parse::<Timestamp>().ok())
                .map_or(now.plus(window), |oldest| oldest.min(now).plus(window));
            return Ok(Some(Booked::Exhausted {
                scope,
                used,
                limit,
                free_at,
            }));
        }
    }
    Ok(None)
}
