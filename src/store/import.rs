//! `import`: the Python daemon's database into the store, at its own path or beside one that is in use.

use std::fs;
use std::path::Path;

use rusqlite::{Connection, ErrorCode, OpenFlags};

use crate::core::model::time::Timestamp;
use crate::store::adopt::{adopted_key, copy_rows, counted, digest, fail, is_python_database};
use crate::store::error::{ImportError, StoreError};
use crate::store::foreign::{self, Alarm, Copied};
use crate::store::handle::Store;
use crate::store::options::StoreOptions;
use crate::store::report::ImportReport;
use crate::store::schema;

fn already() -> ImportReport {
    ImportReport {
        already: true,
        ..ImportReport::default()
    }
}

/// Adopts the database at `source` into the store. `source` may be the store's own path; otherwise its
/// rows join those that are there already.
pub fn import(
    source: &Path,
    options: &StoreOptions,
    now: Timestamp,
) -> Result<ImportReport, StoreError> {
    if is_own(source, options) {
        return in_place(source, options, now);
    }
    let (old, digest, _alarm) = foreign(source, options)?;
    let (store, _) = Store::open(options, now)?;
    if store.meta(&adopted_key(&digest))?.is_some() {
        return Ok(already());
    }
    let days = options.retain_days;
    // The rows are read inside the one transaction that writes them.
    store
        .write(move |tx| copy_rows(&old, tx, &digest, days, now))
        .map_err(|why| fail(source, refused(why, options)))
}

/// What would be taken in. What is copied for it beside the store is gone afterwards.
pub fn importable(
    source: &Path,
    options: &StoreOptions,
    now: Timestamp,
) -> Result<ImportReport, StoreError> {
    let days = options.retain_days;
    if is_own(source, options) {
        return match python_at(source)? {
            Some(old) => counted(&old, days, now).map_err(|why| fail(source, why)),
            None => Ok(already()),
        };
    }
    let (old, digest, _alarm) = foreign(source, options)?;
    // Where there is no store yet, nothing was adopted.
    let store = Store::open_read_only(options).ok();
    let known = store.and_then(|reader| reader.meta(&adopted_key(&digest)).ok()?);
    match known {
        Some(_) => Ok(already()),
        None => counted(&old, days, now).map_err(|why| fail(source, refused(why, options))),
    }
}

fn is_own(source: &Path, options: &StoreOptions) -> bool {
    fs::canonicalize(source).ok() == fs::canonicalize(&options.path).ok()
}

/// A database of the Python daemon from elsewhere, ready to be read, and the digest of all that it holds.
fn foreign(
    source: &Path,
    options: &StoreOptions,
) -> Result<(Connection, String, Alarm), StoreError> {
    let copied = Copied::of(source, options)?;
    plain(source, options, copied.open(options.import_within))
}

/// What was opened, when it is a database of the Python daemon that holds plain rows.
fn plain(
    source: &Path,
    options: &StoreOptions,
    opened: Result<(Connection, Alarm), StoreError>,
) -> Result<(Connection, String, Alarm), StoreError> {
    let read = |why: StoreError| fail(source, refused(why, options));
    let (old, alarm) = opened.map_err(read)?;
    if let Some(name) = foreign::computed(&old).map_err(read)? {
        return Err(fail(source, ImportError::Computed(name)));
    }
    if schema::version(&old).map_err(read)? > 0 || !is_python_database(&old).map_err(read)? {
        return Err(fail(source, ImportError::Foreign));
    }
    let digest = digest(&old).map_err(read)?;
    match alarm.is_over() {
        true => Err(fail(source, ImportError::Late(options.import_within))),
        false => Ok((old, digest, alarm)),
    }
}

/// All of an import but the copy and the store, which would wait for the disk: for the fuzzer.
#[cfg(fuzzing)]
pub fn import_into_memory(
    source: &Path,
    options: &StoreOptions,
    now: Timestamp,
) -> Result<ImportReport, StoreError> {
    let opened = foreign::opened(source, options.import_within);
    let (old, digest, _alarm) = plain(source, options, opened)?;
    let mut store = Connection::open_in_memory()?;
    let transaction = store.transaction()?;
    let tx = &crate::store::tx::Tx::of(&transaction);
    schema::create_tables(tx, now)?;
    copy_rows(&old, tx, &digest, options.retain_days, now)
}

/// The database of the Python daemon that stands at the store's own path; `None` where it is ours already.
fn python_at(path: &Path) -> Result<Option<Connection>, StoreError> {
    let probe = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_ONLY)
        .map_err(|why| fail(path, StoreError::from(why)))?;
    if schema::version(&probe).map_err(|why| fail(path, why))? > 0 {
        return Ok(None);
    }
    match is_python_database(&probe).map_err(|why| fail(path, why))? {
        true => Ok(Some(probe)),
        false => Err(fail(path, ImportError::Foreign)),
    }
}

/// Opening adopts what stands at the store's own path.
fn in_place(
    path: &Path,
    options: &StoreOptions,
    now: Timestamp,
) -> Result<ImportReport, StoreError> {
    // Closed again: the adoption wants the file for itself.
    if python_at(path)?.is_none() {
        return Ok(already());
    }
    let (_, report) = Store::open(options, now)?;
    Ok(report.adopted.unwrap_or_else(already))
}

/// What went wrong with the foreign database, or that its time was over.
fn refused(why: StoreError, options: &StoreOptions) -> ImportError {
    if let StoreError::Sqlite(error) = &why
        && error.sqlite_error_code() == Some(ErrorCode::OperationInterrupted)
    {
        return ImportError::Late(options.import_within);
    }
    why.into()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::core::model::id::TaskId;
    use crate::core::model::task::{Resolution, Status};
    use crate::store::adopted;

    const NOW: Timestamp = Timestamp::from_millis(1_800_000_000_000);

    fn old_database(path: &Path) {
        let old = Connection::open(path).unwrap();
        old.execute_batch(
            "CREATE TABLE tasks (id INTEGER PRIMARY KEY, issue_hash TEXT, issue_type TEXT, status TEXT,
                                 fixed_at TEXT, closed_at TEXT);
             CREATE TABLE task_history (id INTEGER PRIMARY KEY, task_id INTEGER, action TEXT, timestamp TEXT);
             INSERT INTO tasks VALUES (1, 'a', 'disk', 'fixed', '2024-05-01 10:00:00', NULL),
                                      (2, 'b', 'disk', 'closed', NULL, '2024-05-02 10:00:00'),
                                      (3, 'c', 'disk', 'closed', NULL, 'long ago'),
                                      (4, 'd', 'disk', 'fixed', '2026-12-31 10:00:00', NULL),
                                      (5, 'e', 'log_error', 'escalated', '2024-05-01 10:00:00', NULL),
                                      (6, 'f', 'service_failed', 'fix_failed', NULL, NULL);
             INSERT INTO task_history VALUES (1, 1, 'noted', '2024-05-01 10:00:00'), (2, 5, 'noted', 'x');",
        )
        .unwrap();
    }

    #[test]
    fn what_nothing_can_look_at_is_closed_as_unverified_and_the_rest_goes_on() {
        let dir = tempfile::tempdir().unwrap();
        let source = dir.path().join("old.db");
        let old = Connection::open(&source).unwrap();
        old.execute_batch(
            "CREATE TABLE tasks (id INTEGER PRIMARY KEY, issue_hash TEXT, issue_type TEXT, issue_source TEXT,
                                 issue_message TEXT, status TEXT);
             CREATE TABLE task_history (id INTEGER PRIMARY KEY, task_id INTEGER, action TEXT, timestamp TEXT);
             INSERT INTO tasks VALUES
                (1, 'a', 'service_failed', '/var/log/app.log', 'it broke', 'detected'),
                (2, 'b', 'service_failed', 'web.service', 'it broke', 'fix_failed'),
                (3, 'c', 'service_failed', 'systemd', 'Unit db.service: failed', 'escalated'),
                (4, 'd', 'disk_full', '/data', '97 %', 'detected'),
                (5, 'e', 'disk_full', '/var/log/df.log', '97 %', 'detected'),
                (6, 'f', 'log_error', '/var/log/app.log', 'oh', 'detected'),
                (7, 'g', 'kernel_oops', 'dmesg', 'BUG', 'detected'),
                (8, 'h', 'docker_unwell', 'docker', 'x', 'escalated');
             INSERT INTO task_history VALUES (1, 1, 'noted', '2024-05-01 10:00:00');",
        )
        .unwrap();
        drop(old);
        let options = StoreOptions {
            ballast_bytes: 0,
            ..StoreOptions::at(dir.path().join("tasks.db"))
        };
        let report = import(&source, &options, NOW).unwrap();
        assert_eq!((report.open, report.unverified), (4, 4), "{report}");
        let (store, _) = Store::open(&options, NOW).unwrap();
        let reader = store.reader().unwrap();
        let of = |id| reader.task(TaskId::from_number(id)).unwrap().unwrap();
        for (id, subject) in [(2, "web.service"), (3, "db.service"), (4, "/data"), (6, "")] {
            let task = of(id);
            assert!(
                task.status != Status::Closed && task.subject == subject,
                "{task:?}"
            );
        }
        for id in [1, 5, 7, 8] {
            assert_eq!(of(id).resolution, Some(Resolution::Unverified), "{id}");
            let events = reader.history(Some(TaskId::from_number(id)), 9).unwrap();
            let last = events.iter().max_by_key(|event| event.id).unwrap();
            let (action, reason) = (last.action.as_str(), last.reason.as_str());
            assert_eq!((action, reason), ("closed", adopted::UNVERIFIED), "{id}");
        }
        assert!(reader.audit_verify().unwrap().is_ok());
    }

    #[test]
    fn a_dry_run_counts_what_comes_and_what_retention_takes() {
        let dir = tempfile::tempdir().unwrap();
        for own in [false, true] {
            let options = StoreOptions {
                ballast_bytes: 0,
                ..StoreOptions::at(dir.path().join(format!("{own}.db")))
            };
            let source = match own {
                true => options.path.clone(),
                false => dir.path().join("old.db"),
            };
            old_database(&source);
            let told = importable(&source, &options, NOW).unwrap();
            let counted = (told.tasks, told.open, told.unverified, told.expired);
            assert_eq!(counted, (6, 1, 1, 2), "{own}");
            assert_eq!(told.history, 2, "{own}");
            assert!(
                told.counts()
                    .contains("4 closed there, 1 open here, 1 open there"),
                "{told}"
            );
            let done = import(&source, &options, NOW).unwrap();
            assert_eq!(done.counts(), told.counts(), "{own}");
            let again = importable(&source, &options, NOW).unwrap();
            assert!(again.already, "{own}: {again}");
            let (store, _) = Store::open(&options, NOW).unwrap();
            assert_eq!(store.retain(NOW).unwrap().tasks, told.expired, "{own}");
        }
    }
}
