//! What is done about a damaged or vanished file: set aside, newest good backup in its place.
//!
//! The replacement is built and settled under another name and renamed into place as the last step, so
//! that a crash at any point leaves either the old situation or the finished new one.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::{Connection, OpenFlags, params};

use crate::core::model::time::Timestamp;
use crate::store::error::StoreError;
use crate::store::meta::set_meta;
use crate::store::options::StoreOptions;
use crate::store::paths::{beside, publish, remove_with_companions, suffixed, sync_dir};
use crate::store::report::OpenReport;
use crate::store::tx::Tx;
use crate::store::{ballast, history, restored, schema};

/// Damaged files kept for a human; older ones go, or a bad disk would fill itself.
const DAMAGED_KEPT: usize = 2;
/// Ending of a copy that an older program can use, before the number of its schema.
const SCHEMA_COPY: &str = "schema-";
/// When such a copy was made.
pub(super) const SCHEMA_COPY_AT: &str = "schema_copy_at";

/// Directory of backups beside the database.
pub(super) fn backup_dir(path: &Path) -> PathBuf {
    path.parent()
        .map_or_else(|| PathBuf::from("backups"), |dir| dir.join("backups"))
}

/// Before the owner opens: finishes a restore that was cut short, and notices a database that is gone.
pub(super) fn before_open(
    options: &StoreOptions,
    now: Timestamp,
    report: &mut OpenReport,
) -> Result<(), StoreError> {
    if staged(options).exists() {
        report.restored = true;
        report.trouble("finished a restore that was cut short".to_owned());
        return swap_in(options, now).map(drop);
    }
    let known = newest_good_backup(&options.path).is_some() || side_id(options).is_some();
    // An empty file is what a power cut leaves of one that was never written.
    let gone = fs::metadata(&options.path).map_or(true, |meta| meta.len() == 0);
    if gone && known {
        return restore(options, "the file is gone", now, report);
    }
    Ok(())
}

/// Sets the damaged file aside and puts the newest good backup in its place, or starts empty.
pub(super) fn restore(
    options: &StoreOptions,
    why: &str,
    now: Timestamp,
    report: &mut OpenReport,
) -> Result<(), StoreError> {
    let backup = newest_good_backup(&options.path);
    stage(options, backup.as_deref(), now)?;
    let aside = swap_in(options, now)?;
    report.restored = true;
    let kept = aside.as_ref().map_or_else(String::new, |aside| {
        format!("; set aside as {}", aside.display())
    });
    let file = options.path.display();
    report.trouble(format!("{file} is damaged: {why}{kept}"));
    report.trouble(match backup {
        Some(backup) => format!(
            "restored from {}; {}",
            backup.display(),
            lost(aside.as_deref(), &options.path)
        ),
        None => "no good backup: starting with an empty database; what it held is lost".to_owned(),
    });
    Ok(())
}

fn staged(options: &StoreOptions) -> PathBuf {
    beside(&options.path, "restoring")
}

fn not_replaced(options: &StoreOptions, why: io::Error) -> StoreError {
    StoreError::NotReplaced {
        path: options.path.clone(),
        why,
    }
}

/// Builds the replacement: complete, settled and synced before it gets the name that counts.
fn stage(options: &StoreOptions, backup: Option<&Path>, now: Timestamp) -> Result<(), StoreError> {
    let part = beside(&options.path, "restoring.part");
    remove_with_companions(&part);
    if let Some(backup) = backup {
        fs::copy(backup, &part).map_err(|why| not_replaced(options, why))?;
    }
    let mut connection = Connection::open(&part)?;
    connection.busy_timeout(options.busy_timeout)?;
    // One file and no companions: it is about to be renamed.
    connection.pragma_update(None, "journal_mode", "DELETE")?;
    if backup.is_none() {
        connection.pragma_update(None, "auto_vacuum", "INCREMENTAL")?;
        schema::init_database(&mut connection, now)?;
        if let Some(id) = side_id(options) {
            set_meta(&connection, "gateway_id", &id)?;
        }
    }
    // A running process has no other moment for it.
    schema::migrate(&mut connection, now)?;
    settle(&mut connection, "the database was damaged", now)?;
    drop(connection);
    publish(&part, &staged(options)).map_err(|why| not_replaced(options, why))
}

/// Moves the damaged file with its companions away, then the staged one in. A WAL left behind would be
/// played into the new file: its frames do not name the database they belong to.
fn swap_in(options: &StoreOptions, now: Timestamp) -> Result<Option<PathBuf>, StoreError> {
    let path = &options.path;
    let stamp: String = now
        .to_string()
        .chars()
        .filter(char::is_ascii_digit)
        .collect();
    let aside = beside(path, &format!("damaged-{stamp}"));
    let mut moved = None;
    for suffix in ["", "-wal", "-shm"] {
        let from = suffixed(path, suffix);
        if from.exists() {
            fs::rename(&from, suffixed(&aside, suffix))
                .map_err(|why| not_replaced(options, why))?;
            moved = Some(aside.clone());
        }
    }
    fs::rename(staged(options), path)
        .and_then(|()| sync_dir(path))
        .map_err(|why| not_replaced(options, why))?;
    remove_old_damaged(path);
    Ok(moved)
}

fn remove_old_damaged(path: &Path) {
    let (Some(dir), Some(name)) = (path.parent(), path.file_name()) else {
        return;
    };
    let prefix = format!("{}.damaged-", name.to_string_lossy());
    let Ok(entries) = fs::read_dir(dir) else {
        return;
    };
    let mut damaged: Vec<PathBuf> = entries
        .flatten()
        .map(|entry| entry.path())
        .filter(|path| {
            path.file_name().is_some_and(|name| {
                let name = name.to_string_lossy();
                name.starts_with(&prefix) && !name.ends_with("-wal") && !name.ends_with("-shm")
            })
        })
        .collect();
    damaged.sort();
    let surplus = damaged.len().saturating_sub(DAMAGED_KEPT);
    for old in damaged.into_iter().take(surplus) {
        remove_with_companions(&old);
    }
}

fn newest_good_backup(path: &Path) -> Option<PathBuf> {
    backups_in(&backup_dir(path))
        .into_iter()
        .rev()
        .find(|backup| is_good(backup))
}

/// Named by time: the last is the newest.
pub(super) fn backups_in(dir: &Path) -> Vec<PathBuf> {
    let mut backups: Vec<PathBuf> = fs::read_dir(dir)
        .into_iter()
        .flatten()
        .flatten()
        .map(|entry| entry.path())
        .filter(|path| path.extension().is_some_and(|ending| ending == "db"))
        .collect();
    backups.sort();
    backups
}

pub(super) fn has_backup(path: &Path) -> bool {
    !backups_in(&backup_dir(path)).is_empty()
}

/// A whole integrity check, and a version that this program can use: a backup is only as good as this.
pub(super) fn is_good(path: &Path) -> bool {
    let check = || -> Result<bool, StoreError> {
        let connection = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_ONLY)?;
        let answer: String =
            connection.query_row("PRAGMA integrity_check(1)", [], |row| row.get(0))?;
        let version = schema::version(&connection)?;
        Ok(answer == "ok" && (1..=schema::VERSION).contains(&version))
    };
    let good = check().unwrap_or(false);
    // Whoever only reads leaves these behind; the copy is whole without them.
    for companion in ["-shm", "-wal"] {
        let _ = fs::remove_file(suffixed(path, companion));
    }
    good
}

/// Before a migration: a copy for the program of before, should it have to be put back. It is settled as
/// after a restore, so that renamed to `tasks.db.restoring` it takes the database's place at the next start.
/// Without it the migration still goes on: a gateway that nobody watches is worse.
pub(super) fn keep_for_older(
    connection: &Connection,
    options: &StoreOptions,
    version: i64,
    now: Timestamp,
) -> String {
    let target = beside(&options.path, &format!("{SCHEMA_COPY}{version}"));
    let part = beside(&options.path, "schema.part");
    let bytes = fs::metadata(&options.path).map_or(0, |meta| meta.len());
    if ballast::room(options).is_some_and(|room| room < bytes.saturating_mul(2)) {
        return format!("no room for a copy of the database as schema {version} had it");
    }
    remove_with_companions(&part);
    let kept = copy_out(connection, &part)
        .and_then(|()| {
            settle(
                &mut Connection::open(&part)?,
                "put back to an older program",
                now,
            )
        })
        .and_then(|()| publish(&part, &target).map_err(|why| not_replaced(options, why)))
        .and_then(|()| set_meta(connection, SCHEMA_COPY_AT, &now.to_string()));
    match kept {
        Ok(()) => format!(
            "migrated from schema {version}; as it was it is kept as {} for a week",
            target.display()
        ),
        Err(why) => format!("no copy of the database as schema {version} had it: {why}"),
    }
}

/// Removes what [`keep_for_older`] kept.
pub(super) fn remove_schema_copies(path: &Path) {
    for version in 1..schema::VERSION {
        remove_with_companions(&beside(path, &format!("{SCHEMA_COPY}{version}")));
    }
}

/// How many rows the backup lacks, as far as the damaged file can still be read.
fn lost(damaged: Option<&Path>, restored: &Path) -> String {
    let count = |path: &Path, sql: &str| -> Option<i64> {
        let connection =
            Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_ONLY).ok()?;
        connection.query_row(sql, [], |row| row.get(0)).ok()
    };
    let behind =
        |sql: &str| -> Option<i64> { Some((count(damaged?, sql)? - count(restored, sql)?).max(0)) };
    let events = behind("SELECT coalesce(max(id), 0) FROM task_history");
    let tasks = behind("SELECT coalesce(max(id), 0) FROM tasks");
    match (events, tasks) {
        // The restored file has one event more than its backup: that of the restore.
        (Some(events), Some(tasks)) => format!(
            "lost since that backup: {} audit events, {tasks} new tasks",
            events + 1
        ),
        _ => "how many rows were lost since that backup cannot be read".to_owned(),
    }
}

/// After a restore: deliveries that may have happened since count as unknown, budgets as spent, and
/// new issues are looked for before they are created.
fn settle(connection: &mut Connection, why: &str, now: Timestamp) -> Result<(), StoreError> {
    let tx = connection.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)?;
    tx.execute(
        "UPDATE outbox SET state = 'unknown', next_at = ?1 WHERE state IN ('pending', 'sending')",
        params![now.to_string()],
    )?;
    let write = Tx::of(&tx);
    let version = schema::version(&tx)?;
    restored::begin(&write, version, now)?;
    restored::void_approvals(&write, version, now)?;
    history::append(&write, None, "restored", "", "store", why, now)?;
    tx.commit()?;
    Ok(())
}

/// The gateway's identity, kept outside the database as well: without it an empty start would give
/// every open problem a second issue.
fn side_id(options: &StoreOptions) -> Option<String> {
    let text = fs::read_to_string(beside(&options.path, "gateway-id")).ok()?;
    let id = text.trim();
    (id.len() == 32 && id.bytes().all(|c| c.is_ascii_hexdigit())).then(|| id.to_owned())
}

pub(super) fn keep_side_id(options: &StoreOptions, id: &str) {
    if side_id(options).as_deref() == Some(id) {
        return;
    }
    let target = beside(&options.path, "gateway-id");
    let part = beside(&options.path, "gateway-id.part");
    let written = fs::write(&part, format!("{id}\n")).and_then(|()| publish(&part, &target));
    if let Err(why) = written {
        log::warn!("store: cannot write {}: {why}", target.display());
    }
}

/// What is left when a running process finds its file deleted or replaced: everything is still
/// readable through the open handles, so it is written out anew and nothing is lost.
pub(super) fn rescue(
    connection: &Connection,
    options: &StoreOptions,
    now: Timestamp,
) -> Result<Option<PathBuf>, StoreError> {
    if let Some(dir) = options.path.parent() {
        fs::create_dir_all(dir).map_err(|why| not_replaced(options, why))?;
    }
    let part = beside(&options.path, "restoring.part");
    remove_with_companions(&part);
    copy_out(connection, &part)?;
    publish(&part, &staged(options)).map_err(|why| not_replaced(options, why))?;
    swap_in(options, now)
}

/// Copies a database through an open connection, in one go.
fn copy_out(connection: &Connection, target: &Path) -> Result<(), StoreError> {
    let mut copy = Connection::open(target)?;
    rusqlite::backup::Backup::new(connection, &mut copy)?.run_to_completion(
        1_024,
        Duration::ZERO,
        None,
    )?;
    // The header says WAL; a file under another name must not leave companions.
    copy.pragma_update(None, "journal_mode", "DELETE")?;
    Ok(())
}
