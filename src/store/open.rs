//! Opening: pragmas with their reasons, schema and migrations, what had to be repaired.

use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::{Connection, OpenFlags, OptionalExtension, params};

use crate::core::audit;
use crate::core::time::Timestamp;
use crate::store::{StoreError, history, import, repair};

/// `schema.sql` is this version.
pub(super) const VERSION: i64 = 1;
const SCHEMA: &str = include_str!("../../schema.sql");

/// Where the store is and its bounds.
#[derive(Clone, Debug)]
pub struct StoreOptions {
    pub path: PathBuf,
    /// Set on EVERY connection: without it the default is zero and a second writer fails at once.
    pub busy_timeout: Duration,
    /// Reserved beside the database, freed when the disk is full; 0 = none.
    pub ballast_bytes: u64,
    pub retain_days: u32,
    /// Upper bound of the database file.
    pub max_bytes: u64,
    pub backup_every: Duration,
}

impl StoreOptions {
    /// Defaults of the design for a file at `path`.
    pub fn at(path: impl Into<PathBuf>) -> Self {
        Self {
            path: path.into(),
            busy_timeout: Duration::from_secs(30),
            ballast_bytes: 1 << 20,
            retain_days: 365,
            max_bytes: 256 << 20,
            backup_every: Duration::from_secs(86_400),
        }
    }
}

/// What opening had to do; each message is for the log.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OpenReport {
    pub created: bool,
    /// A damaged file was set aside: budgets count as spent, deliveries as unknown, mode is suggest.
    pub restored: bool,
    pub messages: Vec<String>,
}

pub(super) fn open(
    options: &StoreOptions,
    now: Timestamp,
) -> Result<(Connection, OpenReport), StoreError> {
    let mut report = OpenReport::default();
    let connection = match try_open(options, now, &mut report) {
        Err(StoreError::Corrupt(why)) => {
            repair::restore(options, &why, now, &mut report)?;
            try_open(options, now, &mut report)?
        }
        other => other?,
    };
    if report.restored {
        repair::settle_after_restore(&connection, now)?;
    }
    repair::make_ballast(options);
    Ok((connection, report))
}

fn try_open(
    options: &StoreOptions,
    now: Timestamp,
    report: &mut OpenReport,
) -> Result<Connection, StoreError> {
    let unusable = |why: &dyn std::fmt::Display| StoreError::Unusable {
        path: options.path.clone(),
        why: why.to_string(),
    };
    let existed = options.path.exists();
    let mut connection =
        Connection::open(&options.path).map_err(|error| match StoreError::from(error) {
            corrupt @ StoreError::Corrupt(_) => corrupt,
            other => unusable(&other),
        })?;
    configure(&connection, options).map_err(|error| match error {
        StoreError::Sqlite(why) => unusable(&why),
        other => other,
    })?;
    if existed {
        quick_check(&connection)?;
    }
    match version(&connection)? {
        VERSION => {}
        0 if import::is_python_database(&connection)? => {
            let adopted = import::adopt(&mut connection, options, now)?;
            report.messages.push(adopted.to_string());
        }
        0 => {
            init_database(&mut connection, now).map_err(|error| match error {
                StoreError::Sqlite(why) => unusable(&why),
                other => other,
            })?;
            report.created = true;
        }
        found => {
            return Err(StoreError::Newer {
                path: options.path.clone(),
                found,
                known: VERSION,
            });
        }
    }
    Ok(connection)
}

/// A whole `integrity_check` reads everything; `quick_check` finds torn and overwritten pages.
fn quick_check(connection: &Connection) -> Result<(), StoreError> {
    let answer: String = connection.query_row("PRAGMA quick_check(1)", [], |row| row.get(0))?;
    if answer == "ok" {
        Ok(())
    } else {
        Err(StoreError::Corrupt(answer))
    }
}

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
    create_tables(&tx, now)?;
    tx.commit()?;
    Ok(())
}

/// The tables, the gateway's identity and the first audit event; the caller commits.
pub(super) fn create_tables(tx: &Connection, now: Timestamp) -> Result<(), StoreError> {
    tx.execute_batch(SCHEMA)?;
    let id: String = tx.query_row("SELECT lower(hex(randomblob(16)))", [], |row| row.get(0))?;
    set_meta(tx, "gateway_id", &id)?;
    set_meta(tx, "created_at", &audit::stamp(now))?;
    history::append(tx, None, "store_created", "schema 1", "store", "", now)?;
    tx.pragma_update(None, "user_version", VERSION)?;
    Ok(())
}

/// Pragmas of a writing connection, each with its reason.
fn configure(connection: &Connection, options: &StoreOptions) -> Result<(), StoreError> {
    connection.busy_timeout(options.busy_timeout)?;
    // Before the first table: pages freed by retention can be given back without a full VACUUM.
    connection.pragma_update(None, "auto_vacuum", "INCREMENTAL")?;
    // Readers never block the writer, one fsync a commit. DELETE and TRUNCATE need two or more.
    connection.pragma_update(None, "journal_mode", "WAL")?;
    // NORMAL would lose the last commits in a power cut; what is acknowledged must be durable.
    connection.pragma_update(None, "synchronous", "FULL")?;
    connection.pragma_update(None, "foreign_keys", "ON")?;
    // A burst must not leave a WAL of hundreds of MB on a small eMMC for ever.
    connection.pragma_update(None, "journal_size_limit", 4 << 20)?;
    connection.pragma_update(None, "wal_autocheckpoint", 500)?;
    small_cache(connection)?;
    Ok(())
}

/// 256 KiB of pages: the working set is the open set. The default (2 MB) is half our memory goal.
fn small_cache(connection: &Connection) -> Result<(), StoreError> {
    connection.pragma_update(None, "cache_size", -256)?;
    // Sorts are small; a temporary file would be a write.
    connection.pragma_update(None, "temp_store", "MEMORY")?;
    connection.set_prepared_statement_cache_capacity(32);
    Ok(())
}

/// A connection that cannot write.
pub(super) fn reader_connection(options: &StoreOptions) -> Result<Connection, StoreError> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection =
        Connection::open_with_flags(&options.path, flags).map_err(|why| StoreError::Unusable {
            path: options.path.clone(),
            why: why.to_string(),
        })?;
    connection.busy_timeout(options.busy_timeout)?;
    small_cache(&connection)?;
    match version(&connection)? {
        VERSION => Ok(connection),
        found if found > VERSION => Err(StoreError::Newer {
            path: options.path.clone(),
            found,
            known: VERSION,
        }),
        _ => Err(StoreError::Unusable {
            path: options.path.clone(),
            why: "not initialised: start the daemon once, or 'import' it".to_owned(),
        }),
    }
}

pub(super) fn gateway_id(connection: &Connection) -> Result<String, StoreError> {
    let found = connection
        .query_row(
            "SELECT value FROM meta WHERE key = 'gateway_id'",
            [],
            |row| row.get(0),
        )
        .optional()?;
    found.ok_or_else(|| StoreError::Corrupt("meta has no gateway_id".to_owned()))
}

pub(super) fn set_meta(tx: &Connection, key: &str, value: &str) -> Result<(), StoreError> {
    tx.prepare_cached(
        "INSERT INTO meta (key, value) VALUES (?1, ?2) ON CONFLICT (key) DO UPDATE SET value = ?2",
    )?
    .execute(params![key, value])?;
    Ok(())
}

/// A file beside the database: `tasks.db` -> `tasks.db.SUFFIX`.
pub(super) fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".");
    name.push(suffix);
    PathBuf::from(name)
}
