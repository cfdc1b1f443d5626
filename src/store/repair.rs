//! What is done when the file is damaged or the disk is full.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use rusqlite::{Connection, OpenFlags, params};

use crate::core::time::Timestamp;
use crate::store::open::{OpenReport, StoreOptions, beside, set_meta};
use crate::store::{StoreError, history};

/// Directory of backups beside the database.
pub(super) fn backup_dir(path: &Path) -> PathBuf {
    path.parent()
        .map_or_else(|| PathBuf::from("backups"), |dir| dir.join("backups"))
}

/// Sets the damaged file aside and puts the newest good backup in its place, or starts empty.
pub(super) fn restore(
    options: &StoreOptions,
    why: &str,
    now: Timestamp,
    report: &mut OpenReport,
) -> Result<(), StoreError> {
    let stamp: String = now
        .to_string()
        .chars()
        .filter(char::is_ascii_digit)
        .collect();
    let unusable = |why: std::io::Error| StoreError::Unusable {
        path: options.path.clone(),
        why: format!("damaged, and cannot be set aside: {why}"),
    };
    let aside = beside(&options.path, &format!("damaged-{stamp}"));
    fs::rename(&options.path, &aside).map_err(unusable)?;
    for suffix in ["-wal", "-shm"] {
        let mut name = options.path.as_os_str().to_owned();
        name.push(suffix);
        let _ = fs::rename(&name, beside(&aside, &suffix[1..]));
    }
    report.restored = true;
    report.messages.push(format!(
        "{} is damaged ({why}); set aside as {}",
        options.path.display(),
        aside.display()
    ));
    match newest_good_backup(&options.path) {
        Some(backup) => {
            fs::copy(&backup, &options.path).map_err(unusable)?;
            let lost = rows_after(&aside, &options.path);
            report
                .messages
                .push(format!("restored from {}; {lost}", backup.display()));
        }
        None => report
            .messages
            .push("no good backup: starting with an empty database".to_owned()),
    }
    Ok(())
}

fn newest_good_backup(path: &Path) -> Option<PathBuf> {
    let mut backups: Vec<PathBuf> = fs::read_dir(backup_dir(path))
        .ok()?
        .flatten()
        .map(|entry| entry.path())
        .filter(|path| path.extension().is_some_and(|ending| ending == "db"))
        .collect();
    // Named by time: the last is the newest.
    backups.sort();
    backups.into_iter().rev().find(|backup| is_good(backup))
}

/// A whole integrity check: a backup is only as good as this says.
pub(super) fn is_good(path: &Path) -> bool {
    let check = || -> rusqlite::Result<String> {
        let connection = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_ONLY)?;
        connection.query_row("PRAGMA integrity_check(1)", [], |row| row.get(0))
    };
    check().is_ok_and(|answer| answer == "ok")
}

/// How many rows the backup lacks, as far as the damaged file can still be read.
fn rows_after(damaged: &Path, restored: &Path) -> String {
    let count = |path: &Path| -> Option<i64> {
        let connection =
            Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_ONLY).ok()?;
        connection
            .query_row("SELECT coalesce(max(id), 0) FROM task_history", [], |row| {
                row.get(0)
            })
            .ok()
    };
    match (count(damaged), count(restored)) {
        (Some(before), Some(after)) => format!(
            "{} audit events since that backup are lost",
            (before - after).max(0)
        ),
        _ => "the number of rows lost since that backup cannot be read".to_owned(),
    }
}

/// After a restore: deliveries that may have happened since count as unknown, budgets as spent.
pub(super) fn settle_after_restore(
    connection: &Connection,
    now: Timestamp,
) -> Result<(), StoreError> {
    connection.execute_batch("BEGIN IMMEDIATE")?;
    let settle = || -> Result<(), StoreError> {
        connection.execute(
            "UPDATE outbox SET state = 'unknown', next_at = ?1 WHERE state IN ('pending', 'sending')",
            params![now.to_string()],
        )?;
        set_meta(
            connection,
            "budgets_spent_until",
            &now.plus(std::time::Duration::from_secs(3_600)).to_string(),
        )?;
        history::append(
            connection,
            None,
            "restored",
            "",
            "store",
            "the database was damaged",
            now,
        )
    };
    match settle() {
        Ok(()) => Ok(connection.execute_batch("COMMIT")?),
        Err(why) => {
            connection.execute_batch("ROLLBACK")?;
            Err(why)
        }
    }
}

fn ballast_path(options: &StoreOptions) -> PathBuf {
    beside(&options.path, "ballast")
}

/// Reserves space beside the database. Best effort: a disk that is nearly full now will be reported.
pub(super) fn make_ballast(options: &StoreOptions) {
    let path = ballast_path(options);
    if options.ballast_bytes == 0
        || fs::metadata(&path).is_ok_and(|meta| meta.len() >= options.ballast_bytes)
    {
        return;
    }
    // Real blocks: a sparse file would reserve nothing.
    let write = || -> std::io::Result<()> {
        let mut file = fs::File::create(&path)?;
        let block = vec![0xA5_u8; 64 << 10];
        let mut left = options.ballast_bytes;
        while left > 0 {
            let part = block
                .get(
                    ..usize::try_from(left)
                        .unwrap_or(block.len())
                        .min(block.len()),
                )
                .unwrap_or(&block);
            file.write_all(part)?;
            left = left.saturating_sub(part.len() as u64);
        }
        file.sync_all()
    };
    if let Err(why) = write() {
        log::warn!("store: cannot reserve {}: {why}", path.display());
        let _ = fs::remove_file(&path);
    }
}

/// Frees the reserve; true when there was one.
pub(super) fn free_ballast(options: &StoreOptions) -> bool {
    fs::remove_file(ballast_path(options)).is_ok()
}
