//! A clock that was wrong and is right again: deadlines written under the wrong time come back.

use std::time::Duration;

use rusqlite::{Connection, OptionalExtension, params};

use crate::core::model::time::Timestamp;
use crate::store::error::StoreError;
use crate::store::history;
use crate::store::meta::{set_silences, silences};
use crate::store::tx::Tx;

/// A stored time this far ahead of now means that the clock was set back, in seconds.
const TOLERANCE: Duration = Duration::from_secs(60);

/// At the owner's start: if the newest event lies in the future, the clock was ahead when it was written.
/// What was due then is moved back by the same span; a budget used under the wrong time counts from now.
/// Otherwise a day in 2040 would block repairs and deliveries for years.
pub(super) fn settle(connection: &Connection, now: Timestamp) -> Result<(), StoreError> {
    let newest: Option<String> = connection
        .query_row(
            "SELECT timestamp FROM task_history ORDER BY id DESC LIMIT 1",
            [],
            |row| row.get(0),
        )
        .optional()?;
    let newest = newest.and_then(|text| text.parse::<Timestamp>().ok());
    let Some(newest) = newest.filter(|newest| newest.since(now) > TOLERANCE) else {
        return Ok(());
    };
    connection.execute_batch("BEGIN IMMEDIATE")?;
    match shift(&Tx::of(connection), newest, now) {
        Ok(()) => Ok(connection.execute_batch("COMMIT")?),
        Err(why) => {
            // The error is what matters; a failed rollback shows in the next BEGIN.
            let _ = connection.execute_batch("ROLLBACK");
            Err(why)
        }
    }
}

fn shift(tx: &Tx<'_>, newest: Timestamp, now: Timestamp) -> Result<(), StoreError> {
    let ahead = newest.since(now);
    // What lies nearer to the wrong time than to now was written under it.
    let middle = now.plus(ahead / 2).to_string();
    let at = now.to_string();
    for (table, column) in [
        ("tasks", "next_attempt_at"),
        ("tasks", "stable_until"),
        ("tasks", "approved_until"),
        ("outbox", "next_at"),
    ] {
        for (id, due) in after(tx, table, column, &middle)? {
            let due = due
                .parse::<Timestamp>()
                .map_or(now, |due| due.minus(ahead).max(now));
            tx.execute(
                &format!("UPDATE {table} SET {column} = ?2 WHERE id = ?1"),
                params![id, due.to_string()],
            )?;
        }
    }
    tx.execute(
        "UPDATE attempts SET started_at = ?1 WHERE started_at > ?1",
        [&at],
    )?;
    tx.execute("UPDATE outbox SET sent_at = ?1 WHERE sent_at > ?1", [&at])?;
    tx.execute(
        "UPDATE meta SET value = ?1 || substr(value, length(?1) + 1) WHERE key IN ('restored_at', 'backup_at', 'detector_runs_at', 'maintained_at') AND value > ?1",
        [&at],
    )?;
    tx.execute("DELETE FROM meta WHERE key = 'no_pruning_until'", [])?;
    let mut silences = silences(tx)?;
    silences.shift(now.plus(ahead / 2), ahead);
    set_silences(tx, &silences)?;
    let details = format!("{} s ahead", ahead.as_secs());
    history::append(
        tx,
        None,
        "clock_set_back",
        &details,
        "store",
        "deadlines moved back",
        now,
    )
}

/// The rows whose time in `column` lies after `middle`.
fn after(
    tx: &Tx<'_>,
    table: &str,
    column: &str,
    middle: &str,
) -> Result<Vec<(i64, String)>, StoreError> {
    let sql = format!("SELECT id, {column} FROM {table} WHERE {column} > ?1");
    let mut rows = tx.prepare_cached(&sql)?;
    let rows = rows.query_map([middle], |row| Ok((row.get(0)?, row.get(1)?)))?;
    Ok(rows.collect::<Result<_, _>>()?)
}
