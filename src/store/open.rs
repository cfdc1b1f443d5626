//! Opening: pragmas with their reasons, schema and migrations, what had to be repaired.

use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags, OptionalExtension, params};

use crate::core::model::audit;
use crate::core::model::time::Timestamp;
use crate::store::link::Owner;
use crate::store::tx::Tx;
use crate::store::{ImportReport, StoreError, adopted, ballast, clock, history, import, repair};

/// `schema.sql` is this version.
pub(super) const VERSION: i64 = 2;
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
    /// The disk was too full for a second connection: reads go through the writer's.
    pub alone: bool,
    /// A database of the Python daemon stood at the path.
    pub adopted: Option<ImportReport>,
    pub messages: Vec<String>,
}

/// What opening gives: connections, and whether this process owns the file.
#[derive(Debug)]
pub(super) struct Opened {
    pub writer: Connection,
    /// `None` on a disk so full that only one connection can be opened.
    pub reader: Option<Connection>,
    pub owner: Option<Owner>,
    pub report: OpenReport,
}

pub(super) fn open(options: &StoreOptions, now: Timestamp) -> Result<Opened, StoreError> {
    let mut report = OpenReport::default();
    let owner = Owner::take(&options.path);
    if owner.is_some() {
        repair::before_open(options, now, &mut report)?;
    }
    let owned = owner.is_some();
    let mut writer = match try_open(options, owned, now, &mut report) {
        Err(StoreError::Corrupt(why)) if owned => {
            repair::restore(options, &why, now, &mut report)?;
            try_open(options, owned, now, &mut report)?
        }
        Err(StoreError::Full) if owned && ballast::free(options) => {
            report
                .messages
                .push("the disk is full: the ballast file was freed".to_owned());
            try_open(options, owned, now, &mut report)
                .or_else(|why| alone(options, why, &mut report))?
        }
        Err(why @ StoreError::Full) if owned => alone(options, why, &mut report)?,
        other => other?,
    };
    let reader = match report.alone {
        true => None,
        false => Some(reader_connection(options)?),
    };
    if owned {
        if !report.alone {
            clock::settle(&writer, now)?;
            match adopted::upgrade(&mut writer, now)? {
                0 => {}
                n => report
                    .messages
                    .push(format!("{n} open tasks got the key of the new algorithm")),
            }
        }
        report.restored |= meta(&writer, repair::UNTIL_CLEAN_SWEEP)?.is_some();
        repair::keep_side_id(options, &gateway_id(&writer)?);
        ballast::make(options);
    }
    Ok(Opened {
        writer,
        reader,
        owner,
        report,
    })
}

/// The way in on a full disk: one exclusive connection keeps the WAL's index in its own memory. It can
/// read at once, and write as soon as something frees space.
fn alone(
    options: &StoreOptions,
    why: StoreError,
    report: &mut OpenReport,
) -> Result<Connection, StoreError> {
    if !matches!(why, StoreError::Full) {
        return Err(why);
    }
    let connection = single(options)?;
    report.alone = true;
    report.messages.push(
        "the disk is full: opened with a single connection, commands have to wait until there is room".to_owned(),
    );
    Ok(connection)
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

fn try_open(
    options: &StoreOptions,
    owned: bool,
    now: Timestamp,
    report: &mut OpenReport,
) -> Result<Connection, StoreError> {
    let unusable = |error: StoreError| match error {
        StoreError::Sqlite(_) | StoreError::Io(_) => StoreError::Unusable {
            path: options.path.clone(),
            why: error.to_string(),
        },
        other => other,
    };
    create_private(&options.path);
    let mut connection = plain(options).map_err(unusable)?;
    // An adoption needs the file as the Python daemon left it: first the version, then the rest.
    let mut found = kind(&mut connection).map_err(unusable)?;
    match found {
        Kind::Ours(found) if found > VERSION => {
            return Err(StoreError::Newer {
                path: options.path.clone(),
                found,
                known: VERSION,
            });
        }
        Kind::Ours(found) if found < VERSION && !owned => {
            return Err(StoreError::Older {
                path: options.path.clone(),
                found,
            });
        }
        Kind::Python if !owned => {
            return Err(StoreError::Import(
                "another process is about to adopt this database: try again".to_owned(),
            ));
        }
        Kind::Python => {
            drop(connection);
            let adopted = import::adopt(options, now)?;
            report.messages.push(adopted.to_string());
            report.adopted = Some(adopted);
            connection = plain(options).map_err(unusable)?;
            found = kind(&mut connection).map_err(unusable)?;
        }
        Kind::Ours(_) | Kind::Empty => {}
    }
    configure(&connection, options).map_err(unusable)?;
    // Reads the whole file: once per start of the daemon, not for every command beside it.
    if owned && found != Kind::Empty {
        quick_check(&connection)?;
    }
    match found {
        Kind::Python => return Err(StoreError::Import("adopted, but not there".to_owned())),
        Kind::Empty => {
            init_database(&mut connection, now).map_err(unusable)?;
            report.created = true;
        }
        Kind::Ours(version) => {
            if version < VERSION {
                report
                    .messages
                    .push(repair::keep_for_older(&connection, options, version, now));
            }
            migrate_by(&mut connection, version, MIGRATIONS, now)?;
        }
    }
    Ok(connection)
}

/// With its busy timeout and nothing else: as it is, untouched.
fn plain(options: &StoreOptions) -> Result<Connection, StoreError> {
    let connection = Connection::open(&options.path)?;
    connection.busy_timeout(options.busy_timeout)?;
    Ok(connection)
}

/// What a file holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Empty,
    Python,
    Ours(i64),
}

/// Read as one snapshot: another process may be creating the tables at this moment.
fn kind(connection: &mut Connection) -> Result<Kind, StoreError> {
    let tx = connection.transaction()?;
    Ok(match version(&tx)? {
        0 if import::is_python_database(&tx)? => Kind::Python,
        0 => Kind::Empty,
        version => Kind::Ours(version),
    })
}

/// What it tells of a gateway is for root alone; SQLite gives its companions the same mode.
pub(super) fn create_private(path: &Path) {
    use std::os::unix::fs::OpenOptionsExt;
    // An existing file keeps its mode, a failure shows when SQLite opens it.
    let _ = std::fs::OpenOptions::new()
        .create_new(true)
        .write(true)
        .mode(0o600)
        .open(path);
}

/// Steps from one version to the next, forward only: entry N-1 leads from version N to N+1.
const MIGRATIONS: &[&str] = &[LEANER];
/// Two pages less in each commit. Who is at work on a subject is found among the few tasks in a worker's
/// hands. Ids are never used again without SQLite counting them in a table of its own: retention keeps the
/// newest row of both. Changing the text of a table is SQLite's own procedure for what leaves the rows as they
/// are (sqlite.org/lang_altertable.html, section 7); copying 256 MB might not fit on the disk.
const LEANER: &str = "
    DROP INDEX tasks_open_subject;
    PRAGMA writable_schema = ON;
    UPDATE sqlite_schema SET sql = replace(sql, 'PRIMARY KEY AUTOINCREMENT', 'PRIMARY KEY')
        WHERE type = 'table' AND name IN ('tasks', 'task_history');
    DELETE FROM sqlite_sequence WHERE name IN ('tasks', 'task_history');
    PRAGMA writable_schema = RESET;";
const _: () = assert!(MIGRATIONS.len() as i64 == VERSION - 1);

/// Each step is one transaction with its audit event, `user_version` last.
pub(super) fn migrate_by(
    connection: &mut Connection,
    from: i64,
    steps: &[&str],
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
        tx.execute_batch(step)?;
        let details = format!("schema {next}");
        history::append(&Tx::of(&tx), None, "migrated", &details, "store", "", now)?;
        tx.pragma_update(None, "user_version", next)?;
        tx.commit()?;
    }
    Ok(())
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
    tx.execute_batch(SCHEMA)?;
    let id: String = tx.query_row("SELECT lower(hex(randomblob(16)))", [], |row| row.get(0))?;
    set_meta(tx, "gateway_id", &id)?;
    set_meta(tx, "created_at", &audit::stamp(now))?;
    let details = format!("schema {VERSION}");
    history::append(tx, None, "store_created", &details, "store", "", now)?;
    tx.pragma_update(None, "user_version", VERSION)?;
    Ok(())
}

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
        0 => Err(StoreError::Empty(options.path.clone())),
        found => Err(StoreError::Older {
            path: options.path.clone(),
            found,
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

pub(super) fn meta(connection: &Connection, key: &str) -> Result<Option<String>, StoreError> {
    Ok(connection
        .prepare_cached("SELECT value FROM meta WHERE key = ?1")?
        .query_row([key], |row| row.get(0))
        .optional()?)
}

pub(super) fn set_meta(connection: &Connection, key: &str, value: &str) -> Result<(), StoreError> {
    connection.prepare_cached(
        "INSERT INTO meta (key, value) VALUES (?1, ?2) ON CONFLICT (key) DO UPDATE SET value = ?2",
    )?
    .execute(params![key, value])?;
    Ok(())
}

/// A file beside the database: `tasks.db` -> `tasks.db.SUFFIX`.
pub(super) fn beside(path: &Path, suffix: &str) -> PathBuf {
    suffixed(path, &format!(".{suffix}"))
}

/// `tasks.db` -> `tasks.dbSUFFIX`, as SQLite names its companions.
pub(super) fn suffixed(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    PathBuf::from(name)
}
