//! `import`: the Python daemon's database into the store, at its own path or beside one that is in use.

use std::fs;
use std::path::Path;

use rusqlite::{Connection, ErrorCode, OpenFlags};

use crate::core::model::time::Timestamp;
use crate::store::adopt::{adopted_key, copy_rows, digest, fail, is_python_database};
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
    let same = fs::canonicalize(source).ok() == fs::canonicalize(&options.path).ok();
    if same {
        return in_place(source, options, now);
    }
    let (old, digest, _alarm) = foreign(source, options)?;
    let (store, _) = Store::open(options, now)?;
    if store.meta(&adopted_key(&digest))?.is_some() {
        return Ok(already());
    }
    // The rows are read inside the one transaction that writes them.
    store
        .write(move |tx| copy_rows(&old, tx, &digest, now))
        .map_err(|why| fail(source, refused(why, options)))
}

/// Whether a database from elsewhere would be taken in. What is copied for it beside the store is gone afterwards.
pub fn importable(source: &Path, options: &StoreOptions) -> Result<(), StoreError> {
    foreign(source, options).map(drop)
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
    copy_rows(&old, tx, &digest, now)
}

/// Opening adopts what stands at the store's own path.
fn in_place(
    path: &Path,
    options: &StoreOptions,
    now: Timestamp,
) -> Result<ImportReport, StoreError> {
    let probe = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_ONLY)
        .map_err(|why| fail(path, StoreError::from(why)))?;
    let ours = schema::version(&probe).map_err(|why| fail(path, why))? > 0;
    let python = !ours && is_python_database(&probe).map_err(|why| fail(path, why))?;
    drop(probe);
    match (ours, python) {
        (true, _) => Ok(already()),
        (false, false) => Err(fail(path, ImportError::Foreign)),
        (false, true) => {
            let (_, report) = Store::open(options, now)?;
            Ok(report.adopted.unwrap_or_else(already))
        }
    }
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
