//! The one flag of a restore: a row of `meta` that the restored file brings with it, so that every process that
//! reads the file sees the same.
//!
//! Until one full clean sweep has been seen the mode is at most `suggest`, and a new issue is looked for before it
//! is created. Budgets count as spent for their window from the restore on, whatever was seen since.

use rusqlite::Connection;

use crate::core::model::id::TaskId;
use crate::core::model::time::Timestamp;
use crate::store::error::StoreError;
use crate::store::history;
use crate::store::meta::{meta, set_meta};
use crate::store::tx::Tx;

/// Its row: the time of the restore, followed by [`SETTLED`] once a full clean sweep was seen.
const RESTORED_AT: &str = "restored_at";
/// Longer values than a time alone are settled ones (see `clock`, which moves the time).
const SETTLED: &str = " settled";
/// In databases before version 3 a row beside it said that it is not settled.
const UNTIL_CLEAN_SWEEP: &str = "restored_until_clean_sweep";

/// A restore of the past.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Restore {
    pub at: Timestamp,
    pub settled: bool,
}

/// The last restore, if ever there was one.
pub(super) fn last(connection: &Connection) -> Result<Option<Restore>, StoreError> {
    Ok(meta(connection, RESTORED_AT)?.and_then(|text| {
        let settled = text.ends_with(SETTLED);
        let at = text.trim_end_matches(SETTLED).parse().ok()?;
        Some(Restore { at, settled })
    }))
}

/// When the restore was that no full clean sweep has followed.
pub(super) fn unsettled(connection: &Connection) -> Result<Option<Timestamp>, StoreError> {
    let open = last(connection)?.filter(|restore| !restore.settled);
    Ok(open.map(|restore| restore.at))
}

/// Sets the flag in a file that is about to take the database's place, of this version or an older one.
pub(super) fn begin(tx: &Tx<'_>, version: i64, now: Timestamp) -> Result<(), StoreError> {
    set_meta(tx, RESTORED_AT, &now.to_string())?;
    match version {
        ..3 => set_meta(tx, UNTIL_CLEAN_SWEEP, "1"),
        _ => Ok(()),
    }
}

/// What was approved before a restore is void: it may have been done since, and taken back. What is due is asked
/// for again.
pub(super) fn void_approvals(tx: &Tx<'_>, version: i64, now: Timestamp) -> Result<(), StoreError> {
    let approved: Vec<(TaskId, String)> = tx
        .prepare("SELECT id, approved_action FROM tasks WHERE approved_action IS NOT NULL AND status <> 'closed'")?
        .query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?
        .collect::<Result<_, _>>()?;
    let digest = match version {
        ..6 => "",
        _ => ", approved_digest = NULL",
    };
    for (task, action) in approved {
        tx.execute(
            &format!("UPDATE tasks SET approved_action = NULL{digest} WHERE id = ?1"),
            [task],
        )?;
        let why = "made before the restore";
        history::append(tx, Some(task), "approval_void", &action, "store", why, now)?;
    }
    Ok(())
}

/// The two rows of before become one.
pub(super) fn join_rows(tx: &Tx<'_>) -> Result<(), StoreError> {
    if let (Some(at), None) = (meta(tx, RESTORED_AT)?, meta(tx, UNTIL_CLEAN_SWEEP)?) {
        set_meta(tx, RESTORED_AT, &format!("{at}{SETTLED}"))?;
    }
    tx.execute("DELETE FROM meta WHERE key = ?1", [UNTIL_CLEAN_SWEEP])?;
    Ok(())
}

/// Ends the restore at `at`; another one since is another flag.
pub(super) fn settle(tx: &Tx<'_>, at: Timestamp, now: Timestamp) -> Result<(), StoreError> {
    if unsettled(tx)? != Some(at) {
        return Ok(());
    }
    set_meta(tx, RESTORED_AT, &format!("{at}{SETTLED}"))?;
    let why = "one full clean sweep";
    history::append(tx, None, "restore_settled", "", "store", why, now)
}
