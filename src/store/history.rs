//! `task_history`: appending to the hash chain and verifying it.

use std::fmt;

use rusqlite::{Connection, OptionalExtension, Row, params};

use crate::core::model::audit::{self, Event, GENESIS};
use crate::core::model::id::{EventId, TaskId};
use crate::core::model::time::Timestamp;
use crate::store::error::StoreError;
use crate::store::link::ReadLink;
use crate::store::meta::meta;
use crate::store::sql::Prepared;
use crate::store::tx::Tx;
use crate::store::types::AuditEvent;

/// Event of an action that a human is asked for.
pub(super) const PROPOSED: &str = "proposed";
/// Event of one that was not taken because the mode only observes.
pub(super) const HELD_BACK: &str = "held_back";

/// Appends one event; must run inside the transaction of the change it tells of.
pub(super) fn append(
    tx: &Tx<'_>,
    task_id: Option<TaskId>,
    action: &str,
    details: &str,
    actor: &str,
    reason: &str,
    now: Timestamp,
) -> Result<(), StoreError> {
    let timestamp = audit::stamp(now);
    let event = Event {
        task_id,
        action,
        details,
        timestamp: &timestamp,
        actor,
        reason,
    };
    tx.chain(|prev| {
        let hash = audit::chain(prev, &event);
        tx.run(
            "INSERT INTO task_history (task_id, action, details, timestamp, actor, reason, prev_hash, hash)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
            params![task_id, action, details, timestamp, actor, reason, prev, hash],
        )?;
        Ok(hash)
    })
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
    pub pruned_up_to: Option<EventId>,
}

/// The first row that does not fit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuditBreak {
    pub row_id: EventId,
    pub what: String,
}

impl fmt::Display for AuditBreak {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "audit event {}: {}", self.row_id, self.what)
    }
}

/// Action of the event that retention appends before it removes the events before it.
pub(super) const CHECKPOINT: &str = "checkpoint";
/// Meta row: id and hash up to which the chain was verified.
pub(super) const VERIFIED: &str = "audit_verified";
/// Events in one read transaction: a snapshot lasts milliseconds, other readers get their turn.
const STEP: u32 = 2_000;

/// Details of a checkpoint event.
pub(super) fn checkpoint(count: u64, id: EventId, hash: &str) -> String {
    format!("{count} events up to {id} with hash {hash}")
}

/// A point of the chain: nothing before it is left, or it was verified already.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Point {
    id: EventId,
    hash: String,
}

impl Point {
    fn parse(text: &str) -> Option<Self> {
        let (id, hash) = text.split_once(' ')?;
        Some(Self {
            id: EventId::from_number(id.parse().ok()?),
            hash: hash.to_owned(),
        })
    }

    fn genesis() -> Self {
        Self {
            id: EventId::START,
            hash: GENESIS.to_owned(),
        }
    }
}

fn pruned_to(connection: &Connection) -> Result<Option<Point>, StoreError> {
    Ok(meta(connection, "audit_checkpoint")?.and_then(|text| Point::parse(&text)))
}

/// Verifies the next [`STEP`] events after `at`: the new point and how many events, or the first break.
fn walk(
    connection: &Connection,
    at: &Point,
    mut each: impl FnMut(&AuditEvent),
) -> Result<Result<(Point, u64), AuditBreak>, StoreError> {
    let mut statement = connection.prepare_cached(&format!(
        "SELECT {COLUMNS} FROM task_history WHERE id > ?1 ORDER BY id LIMIT {STEP}"
    ))?;
    let mut rows = statement.query([at.id])?;
    let mut at = at.clone();
    let mut events = 0;
    while let Some(row) = rows.next()? {
        let row = event(row)?;
        let broken = |what: &str| AuditBreak {
            row_id: row.id,
            what: what.to_owned(),
        };
        if row.prev_hash != at.hash {
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
        if audit::chain(&at.hash, &told) != row.hash {
            return Ok(Err(broken(
                "its contents do not match its hash: it was changed",
            )));
        }
        each(&row);
        at = Point {
            id: row.id,
            hash: row.hash,
        };
        events += 1;
    }
    Ok(Ok((at, events)))
}

/// Walks the whole chain in steps. Rows before a checkpoint of retention are gone by design: then an
/// event further on must say with which id and hash they ended, or somebody else removed them.
pub(super) fn verify(link: &ReadLink) -> Result<Result<AuditReport, AuditBreak>, StoreError> {
    let mut start = link.with(pruned_to)?;
    let mut at = start.clone().unwrap_or_else(Point::genesis);
    let mut events = 0;
    let mut told = start.is_none();
    loop {
        let wanted = start
            .as_ref()
            .map(|point| format!("up to {} with hash {}", point.id, point.hash));
        let step = link.with(|connection| {
            walk(connection, &at, |event| {
                told |= event.action == CHECKPOINT
                    && wanted
                        .as_ref()
                        .is_some_and(|wanted| event.details.ends_with(wanted));
            })
        })?;
        match step {
            Ok((end, 0)) if !told => {
                return Ok(Err(AuditBreak {
                    row_id: end.id,
                    what: "no event tells of the removal of those before the first: the beginning was cut off".to_owned(),
                }));
            }
            Ok((end, 0)) => {
                return Ok(Ok(AuditReport {
                    events,
                    head_hash: end.hash,
                    pruned_up_to: start.map(|point| point.id),
                }));
            }
            Ok((end, more)) => {
                at = end;
                events += more;
            }
            Err(broken) => {
                // Retention may have moved the beginning meanwhile: from there, once more.
                let now = link.with(pruned_to)?;
                if now == start {
                    return Ok(Err(broken));
                }
                at = now.clone().unwrap_or_else(Point::genesis);
                told = now.is_none();
                start = now;
                events = 0;
            }
        }
    }
}

/// One step on from `from` (a [`VERIFIED`] value): the new value, if there is anything.
pub(super) fn verify_step(
    connection: &Connection,
    from: Option<&str>,
) -> Result<Result<Option<String>, AuditBreak>, StoreError> {
    let pruned = pruned_to(connection)?.unwrap_or_else(Point::genesis);
    let from = from
        .and_then(Point::parse)
        .filter(|point| point.id >= pruned.id)
        .unwrap_or(pruned);
    let there: Option<String> = connection
        .prepare_cached("SELECT hash FROM task_history WHERE id = ?1")?
        .query_row([from.id], |row| row.get(0))
        .optional()?;
    let newest: Option<EventId> =
        connection.query_row("SELECT max(id) FROM task_history", [], |row| row.get(0))?;
    // What was verified before and is not there any more was cut off at the end or changed.
    let was_there =
        from.id > EventId::START && there.is_none() && newest.is_none_or(|newest| newest < from.id);
    if was_there || there.is_some_and(|hash| hash != from.hash) {
        return Ok(Err(AuditBreak {
            row_id: from.id,
            what: "is not what it was when it was last verified: changed, or the end was cut off"
                .to_owned(),
        }));
    }
    Ok(walk(connection, &from, |_| {})?
        .map(|(point, events)| (events > 0).then(|| format!("{} {}", point.id, point.hash))))
}

/// True when a note saves a good part of the walk at the next start.
pub(super) fn worth_noting(from: Option<&str>, to: &str) -> bool {
    let id = |text: &str| Point::parse(text).map_or(0, |point| point.id.number());
    id(to) - from.map_or(0, id) >= i64::from(STEP) / 2
}
