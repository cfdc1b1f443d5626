//! The schema: its version, its creation, the steps from older versions.

use rusqlite::Connection;

use crate::core::model::audit;
use crate::core::model::packed::{Packed, packed};
use crate::core::model::time::Timestamp;
use crate::store::error::StoreError;
use crate::store::history;
use crate::store::meta::set_meta;
use crate::store::migrations::{Migration, STEPS};
use crate::store::tx::Tx;

/// `schema.sql` is this version.
pub(super) const VERSION: i64 = 9;
const SCHEMA: Packed = packed!("schema.sql");

const _: () = assert!(STEPS.len() as i64 == VERSION - 1);

pub(super) fn version(connection: &Connection) -> Result<i64, StoreError> {
    Ok(connection.query_row("PRAGMA user_version", [], |row| row.get(0))?)
}

/// Creates all tables in one transaction, `user_version` last.
pub fn init_database(connection: &mut Connection, now: Timestamp) -> Result<(), StoreError> {
    let tx = connection.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)?;
    // Another process may have created it while this one waited for the lock.
    if version(&tx)? == VERSION {
        return Ok(());
    }
    create_tables(&Tx::of(&tx), now)?;
    tx.commit()?;
    Ok(())
}

/// The tables, the gateway's identity and the first audit event; the caller commits.
pub(super) fn create_tables(tx: &Tx<'_>, now: Timestamp) -> Result<(), StoreError> {
    tx.execute_batch(&SCHEMA.text())?;
    let id: String = tx.query_row("SELECT lower(hex(randomblob(16)))", [], |row| row.get(0))?;
    set_meta(tx, "gateway_id", &id)?;
    set_meta(tx, "created_at", &audit::stamp(now))?;
    let details = format!("schema {VERSION}");
    history::append(tx, None, "store_created", &details, "store", "", now)?;
    tx.pragma_update(None, "user_version", VERSION)?;
    Ok(())
}

/// Brings an older database to this version.
pub(super) fn migrate(connection: &mut Connection, now: Timestamp) -> Result<(), StoreError> {
    let from = version(connection)?;
    migrate_by(connection, from, STEPS, now)
}

/// Each step is one transaction with its audit event, `user_version` last.
pub(super) fn migrate_by(
    connection: &mut Connection,
    from: i64,
    steps: &[Migration],
    now: Timestamp,
) -> Result<(), StoreError> {
    let skip = usize::try_from(from.saturating_sub(1)).unwrap_or(0);
    for (at, step) in steps.iter().enumerate().skip(skip) {
        let next = i64::try_from(at).unwrap_or(0) + 2;
        let tx = connection.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)?;
        // Another process may have done it while this one waited for the lock.
        if version(&tx)? >= next {
            continue;
        }
        let write = Tx::of(&tx);
        step(&write)?;
        let details = format!("schema {next}");
        history::append(&write, None, "migrated", &details, "store", "", now)?;
        tx.pragma_update(None, "user_version", next)?;
        tx.commit()?;
    }
    Ok(())
}
