//! Adoption of the Python daemon's `tasks.db`: columns and rows kept, a copy left beside, idempotent.
//!
//! The new database is built under another name from the old one, which is only read, and renamed into
//! place as the last step: a crash in between leaves the old file as it was.

use std::fs;
use std::path::Path;
use std::time::Duration;

use rusqlite::types::Value;
use rusqlite::{Connection, TransactionBehavior};
use sha2::{Digest, Sha256};

use crate::core::model::hex::hex;
use crate::core::model::time::Timestamp;
use crate::store::adopted::{self, Fate};
use crate::store::error::{ImportError, StoreError};
use crate::store::history;
use crate::store::holders::other_holder;
use crate::store::meta::set_meta;
use crate::store::options::StoreOptions;
use crate::store::paths::{beside, create_private, publish, suffixed};
use crate::store::report::ImportReport;
use crate::store::schema::create_tables;
use crate::store::tx::Tx;

pub(super) fn fail(path: &Path, why: impl Into<ImportError>) -> StoreError {
    StoreError::Import(path.to_owned(), why.into())
}

/// In place: builds the new database beside the old one and swaps them.
pub(super) fn adopt(options: &StoreOptions, now: Timestamp) -> Result<ImportReport, StoreError> {
    let path = &options.path;
    let old = open_old(path)?;
    let copy = beside(path, "python-original");
    let part = beside(path, "python-original.part");
    let _ = fs::remove_file(&part);
    create_private(&part);
    let mut target = Connection::open(&part)?;
    rusqlite::backup::Backup::new(&old, &mut target)?.run_to_completion(
        1_024,
        Duration::ZERO,
        None,
    )?;
    target
        .close()
        .map_err(|(_, why)| StoreError::from(why))
        .and_then(|()| publish(&part, &copy).map_err(|why| fail(&copy, why)))?;

    let part = beside(path, "adopting.part");
    for suffix in ["", "-wal", "-shm", "-journal"] {
        let _ = fs::remove_file(suffixed(&part, suffix));
    }
    create_private(&part);
    let mut new = Connection::open(&part)?;
    new.pragma_update(None, "auto_vacuum", "INCREMENTAL")?;
    let digest = digest(&old)?;
    let tx = new.transaction_with_behavior(TransactionBehavior::Immediate)?;
    create_tables(&Tx::of(&tx), now)?;
    let mut report = copy_rows(&old, &Tx::of(&tx), &digest, options.retain_days, now)?;
    tx.commit()?;
    new.close().map_err(|(_, why)| StoreError::from(why))?;
    // Empty since the checkpoint of `open_old`, but of the old file.
    for suffix in ["-wal", "-shm", "-journal"] {
        let _ = fs::remove_file(suffixed(path, suffix));
    }
    publish(&part, path).map_err(|why| fail(path, why))?;
    report.copy = Some(copy);
    Ok(report)
}

/// Opens the old database for itself alone, with its WAL or journal folded in.
pub(super) fn open_old(path: &Path) -> Result<Connection, StoreError> {
    if let Some(holder) = other_holder(path) {
        return Err(fail(path, ImportError::InUse(holder)));
    }
    let old = Connection::open(path).map_err(|why| fail(path, StoreError::from(why)))?;
    // Nobody is to be waited for: whoever holds a lock is still using it.
    old.busy_timeout(Duration::from_secs(1))?;
    hold(&old).map_err(|why| fail(path, ImportError::Locked(Some(why))))?;
    Ok(old)
}

/// Folds WAL or journal in, and keeps the file locked from then on.
pub(super) fn hold(old: &Connection) -> rusqlite::Result<()> {
    old.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))?;
    old.pragma_update(None, "locking_mode", "EXCLUSIVE")?;
    old.execute_batch("BEGIN EXCLUSIVE; COMMIT")
}

pub(super) fn adopted_key(digest: &str) -> String {
    format!("adopted_{digest}")
}

/// True for a database with the Python daemon's tasks table; its version is 0.
pub(super) fn is_python_database(connection: &Connection) -> Result<bool, StoreError> {
    let columns = columns(connection, "tasks")?;
    Ok(["issue_hash", "issue_type", "status"]
        .iter()
        .all(|name| columns.iter().any(|column| column == name)))
}

fn columns(connection: &Connection, table: &str) -> Result<Vec<String>, StoreError> {
    let mut statement = connection.prepare("SELECT name FROM pragma_table_info(?1)")?;
    Ok(statement
        .query_map([table], |row| row.get(0))?
        .collect::<Result<_, _>>()?)
}

fn tables(connection: &Connection) -> Result<Vec<String>, StoreError> {
    let mut statement = connection.prepare(
        "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite@_%' ESCAPE '@'
         AND sql NOT LIKE 'CREATE VIRTUAL%' ORDER BY name",
    )?;
    Ok(statement
        .query_map([], |row| row.get(0))?
        .collect::<Result<_, _>>()?)
}

/// Calls `each` with every row of a table in the order it was written: values by column.
fn rows(
    connection: &Connection,
    table: &str,
    mut each: impl FnMut(Vec<Value>) -> Result<(), StoreError>,
) -> Result<(), StoreError> {
    let mut statement = connection.prepare(&format!("SELECT * FROM {}", quoted(table)))?;
    let count = statement.column_count();
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let values = (0..count)
            .map(|at| row.get::<_, Value>(at).or_else(|_| lossy(row, at)))
            .collect::<Result<Vec<_>, _>>()?;
        each(values)?;
    }
    Ok(())
}

/// Python stored whatever bytes a log line had; text that is not UTF-8 is read as well as it can be.
fn lossy(row: &rusqlite::Row<'_>, at: usize) -> rusqlite::Result<Value> {
    let raw = row.get_ref(at)?;
    Ok(raw.as_bytes().map_or(Value::Null, |bytes| {
        Value::Text(String::from_utf8_lossy(bytes).into_owned())
    }))
}

fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// One digest over everything that the old database holds: it anchors the imported history, and tells
/// whether this very content was adopted before.
pub(super) fn digest(old: &Connection) -> Result<String, StoreError> {
    let mut hash = Sha256::new();
    for table in tables(old)? {
        hash.update(format!("{}:{table}", table.len()));
        rows(old, &table, |values| {
            for value in values {
                let text = format!("{value:?}");
                hash.update((text.len() as u64).to_le_bytes());
                hash.update(text);
            }
            Ok(())
        })?;
    }
    Ok(hex(&hash.finalize()))
}

/// What would be copied.
pub(super) fn counted(
    old: &Connection,
    retain_days: u32,
    now: Timestamp,
) -> Result<ImportReport, StoreError> {
    let mut report = ImportReport::of(retain_days);
    let names = columns(old, "tasks")?;
    rows(old, "tasks", |values| {
        report.count(adopted::fate(&names, values, now), now);
        Ok(())
    })?;
    if !columns(old, "task_history")?.is_empty() {
        let count = "SELECT count(*) FROM task_history";
        report.history = old.query_row(count, [], |row| row.get(0))?;
    }
    Ok(report)
}

/// Copies everything in the caller's transaction.
pub(super) fn copy_rows(
    old: &Connection,
    tx: &Tx<'_>,
    digest: &str,
    retain_days: u32,
    now: Timestamp,
) -> Result<ImportReport, StoreError> {
    let mut report = ImportReport::of(retain_days);
    let names = columns(old, "tasks")?;
    let mut ids = adopted::Ids::default();
    let mut unverified = Vec::new();
    rows(old, "tasks", |values| {
        let (id, fate) = adopted::task(tx, &names, values, &mut ids, now)?;
        report.count(fate, now);
        if fate == Fate::Unverified {
            unverified.push(id);
        }
        Ok(())
    })?;
    for table in tables(old)? {
        match table.as_str() {
            "tasks" => {}
            "task_history" => {
                let names = columns(old, &table)?;
                rows(old, &table, |values| {
                    adopted::event(tx, &names, values, &ids, now)?;
                    report.history += 1;
                    Ok(())
                })?;
                if !adopted::knows_history(&names) {
                    keep(old, tx, &table)?;
                    report.kept_tables.push(table);
                }
            }
            _ => {
                keep(old, tx, &table)?;
                report.kept_tables.push(table);
            }
        }
    }
    for id in unverified {
        let (task, reason) = (Some(id), adopted::UNVERIFIED);
        history::append(tx, task, "closed", "unverified", "import", reason, now)?;
    }
    set_meta(tx, &adopted_key(digest), &now.to_string())?;
    let details = format!(
        "{} tasks, {} history rows, SHA-256 {digest}",
        report.tasks, report.history
    );
    let reason = "database of the Python daemon";
    history::append(tx, None, "adopted", &details, "import", reason, now)?;
    Ok(report)
}

/// Keeps a table that we do not know, with its values as they are.
fn keep(old: &Connection, tx: &Tx<'_>, table: &str) -> Result<(), StoreError> {
    let columns: Vec<String> = columns(old, table)?
        .iter()
        .map(|name| quoted(name))
        .collect();
    let target = quoted(&format!("legacy_{table}"));
    tx.execute_batch(&format!(
        "CREATE TABLE IF NOT EXISTS {target} ({})",
        columns.join(", ")
    ))?;
    let marks = vec!["?"; columns.len()].join(", ");
    let mut insert = tx.prepare(&format!(
        "INSERT INTO {target} ({}) VALUES ({marks})",
        columns.join(", ")
    ))?;
    rows(old, table, |values| {
        insert.execute(rusqlite::params_from_iter(values))?;
        Ok(())
    })
}
