//! `task_history`: appending to the hash chain and verifying it.

use std::fmt;

use rusqlite::{Connection, OptionalExtension, Row, params};

use crate::core::audit::{self, Event, GENESIS};
use crate::core::time::Timestamp;
use crate::store::types::AuditEvent;
use crate::store::{Store, StoreError};

/// Appends one event; must run inside the transaction of the change it tells of.
pub(super) fn append(
    tx: &Connection,
    task_id: Option<i64>,
    action: &str,
    details: &str,
    actor: &str,
    reason: &str,
    now: Timestamp,
) -> Result<(), StoreError> {
    // Read inside BEGIN IMMEDIATE: no other process can append in between.
    let prev = head(tx)?;
    let timestamp = audit::stamp(now);
    let event = Event {
        task_id,
        action,
        details,
        timestamp: &timestamp,
        actor,
        reason,
    };
    let hash = audit::chain(&prev, &event);
    tx.prepare_cached(
        "INSERT INTO task_history (task_id, action, details, timestamp, actor, reason, prev_hash, hash)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
    )?
    .execute(params![task_id, action, details, timestamp, actor, reason, prev, hash])?;
    Ok(())
}

/// Hash of the newest event.
pub(super) fn head(connection: &Connection) -> Result<String, StoreError> {
    Ok(connection
        .prepare_cached("SELECT hash FROM task_history ORDER BY id DESC LIMIT 1")?
        .query_row([], |row| row.get(0))
        .optional()?
        .unwrap_or_else(|| GENESIS.to_owned()))
}

pub(super) const COLUMNS: &str =
    "id, task_id, action, details, timestamp, actor, reason, prev_hash, hash";

pub(super) fn event(row: &Row<'_>) -> rusqlite::Result<AuditEvent> {
    Ok(AuditEvent {
        id: row.get(0)?,
        task_id: row.get(1)?,
        action: row.get(2)?,
        details: row.get(3)?,
        timestamp: row.get(4)?,
        actor: row.get(5)?,
        reason: row.get(6)?,
        prev_hash: row.get(7)?,
        hash: row.get(8)?,
    })
}

/// The chain is whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuditReport {
    pub events: u64,
    pub head_hash: String,
    /// Events that retention pruned behind a checkpoint.
    pub pruned_up_to: Option<i64>,
}

/// The first row that does not fit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuditBreak {
    pub row_id: i64,
    pub what: String,
}

impl fmt::Display for AuditBreak {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "audit event {}: {}", self.row_id, self.what)
    }
}

/// Walks the whole chain. Rows before a checkpoint of retention are gone by design; the checkpoint
/// says with which id and hash they ended.
pub(super) fn verify(
    connection: &Connection,
) -> Result<Result<AuditReport, AuditBreak>, StoreError> {
    let checkpoint: Option<String> = connection
        .query_row(
            "SELECT value FROM meta WHERE key = 'audit_checkpoint'",
            [],
            |row| row.get(0),
        )
        .optional()?;
    let (pruned_up_to, mut prev) = match checkpoint.as_deref().and_then(|text| text.split_once(' '))
    {
        Some((id, hash)) => (id.parse::<i64>().ok(), hash.to_owned()),
        None => (None, GENESIS.to_owned()),
    };
    let mut statement =
        connection.prepare(&format!("SELECT {COLUMNS} FROM task_history ORDER BY id"))?;
    let mut rows = statement.query([])?;
    let mut events = 0;
    while let Some(row) = rows.next()? {
        let row = event(row)?;
        let broken = |what: &str| AuditBreak {
            row_id: row.id,
            what: what.to_owned(),
        };
        if row.prev_hash != prev {
            return Ok(Err(broken(
                "does not follow the event before it: one was changed, removed or inserted",
            )));
        }
        let told = Event {
            task_id: row.task_id,
            action: &row.action,
            details: &row.details,
            timestamp: &row.timestamp,
            actor: &row.actor,
            reason: &row.reason,
        };
        if audit::chain(&prev, &told) != row.hash {
            return Ok(Err(broken(
                "its contents do not match its hash: it was changed",
            )));
        }
        prev = row.hash;
        events += 1;
    }
    Ok(Ok(AuditReport {
        events,
        head_hash: prev,
        pruned_up_to,
    }))
}

impl Store {
    /// Writes down one event without a state change.
    pub fn note(
        &self,
        task_id: Option<i64>,
        action: &str,
        details: &str,
        actor: &str,
        reason: &str,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let [action, details, actor, reason] = [action, details, actor, reason].map(str::to_owned);
        self.write(move |tx| append(tx, task_id, &action, &details, &actor, &reason, now))
    }
}
