//! Connections to the database: pragmas with their reasons.

use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags};

use crate::store::error::StoreError;
use crate::store::options::StoreOptions;
use crate::store::schema::{VERSION, version};

/// Least and usual size of the WAL between two checkpoints.
const WAL_BYTES: (u64, u64) = (1 << 20, 8 << 20);
/// SQLite's default page. A smaller one writes less, but then a power cut in a block of the medium (4 KB) may
/// take pages with it that are not in the WAL.
const PAGE: u64 = 4_096;

/// Pragmas of a writing connection, each with its reason.
pub(super) fn configure(connection: &Connection, options: &StoreOptions) -> Result<(), StoreError> {
    connection.busy_timeout(options.busy_timeout)?;
    // Before the first table: pages freed by retention can be given back without a full VACUUM.
    connection.pragma_update(None, "auto_vacuum", "INCREMENTAL")?;
    // Readers never block the writer, one fsync a commit. DELETE and TRUNCATE need two or more.
    connection.pragma_update(None, "journal_mode", "WAL")?;
    // NORMAL would lose the last commits in a power cut; what is acknowledged must be durable.
    connection.pragma_update(None, "synchronous", "FULL")?;
    connection.pragma_update(None, "foreign_keys", "ON")?;
    // A WAL of 8 MB (less beside a small database), written over and over: the fewer checkpoints, the less is
    // written twice. More than that is given back, so that a burst does not leave hundreds of MB on a small
    // eMMC for ever; the limit is above the usual size, since a file that grows again costs a write of its
    // inode with each commit.
    let wal = (options.max_bytes / 8).clamp(WAL_BYTES.0, WAL_BYTES.1);
    connection.pragma_update(None, "wal_autocheckpoint", wal / PAGE)?;
    connection.pragma_update(None, "journal_size_limit", wal / 4 * 5)?;
    small_cache(connection)?;
    // In a storm the writer reads the same index pages again and again; given back when it is over.
    connection.pragma_update(None, "cache_size", -1024)?;
    Ok(())
}

/// 256 KiB of pages: the working set is the open set. The default (2 MB) is half our memory goal.
fn small_cache(connection: &Connection) -> Result<(), StoreError> {
    connection.pragma_update(None, "cache_size", -256)?;
    // Plans do not depend on bound values: a statement is prepared once, and its plan is the one tested.
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
    // Sorts are small; a temporary file would be a write.
    connection.pragma_update(None, "temp_store", "MEMORY")?;
    // A mapped file turns an I/O error into a signal that ends the process.
    connection.pragma_update(None, "mmap_size", 0)?;
    connection.set_prepared_statement_cache_capacity(96);
    Ok(())
}

/// A connection that cannot write.
pub(super) fn reader_connection(options: &StoreOptions) -> Result<Connection, StoreError> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(&options.path, flags)
        .map_err(|why| StoreError::unusable(&options.path, why))?;
    connection.busy_timeout(options.busy_timeout)?;
    small_cache(&connection)?;
    match version(&connection)? {
        VERSION => Ok(connection),
        found if found > VERSION => Err(StoreError::Newer {
            path: options.path.clone(),
            found,
            known: VERSION,
        }),
        0 => Err(StoreError::Empty(options.path.clone())),
        found => Err(StoreError::Older {
            path: options.path.clone(),
            found,
        }),
    }
}

/// Opens with the WAL's index in memory.
pub(super) fn single(options: &StoreOptions) -> Result<Connection, StoreError> {
    let connection = Connection::open(&options.path)?;
    connection.busy_timeout(options.busy_timeout)?;
    connection.pragma_update(None, "locking_mode", "EXCLUSIVE")?;
    connection.pragma_update(None, "synchronous", "FULL")?;
    small_cache(&connection)?;
    match version(&connection)? {
        VERSION => Ok(connection),
        _ => Err(StoreError::Full),
    }
}

/// With its busy timeout and nothing else: as it is, untouched.
pub(super) fn plain(options: &StoreOptions) -> Result<Connection, StoreError> {
    let connection = Connection::open(&options.path)?;
    connection.busy_timeout(options.busy_timeout)?;
    Ok(connection)
}

/// A whole `integrity_check` reads everything; `quick_check` finds torn and overwritten pages.
pub(super) fn quick_check(connection: &Connection) -> Result<(), StoreError> {
    let answer: String = connection.query_row("PRAGMA quick_check(1)", [], |row| row.get(0))?;
    if answer == "ok" {
        Ok(())
    } else {
        Err(StoreError::Corrupt(answer))
    }
}
