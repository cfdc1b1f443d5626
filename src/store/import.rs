//! `import`: the Python daemon's database into the store, at its own path or beside one that is in use.

use std::fs;
use std::path::Path;

use rusqlite::{Connection, OpenFlags};

use crate::core::model::time::Timestamp;
use crate::store::adopt::{adopted_key, copy_rows, digest, fail, is_python_database, open_old};
use crate::store::error::StoreError;
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
    let probe = Connection::open_with_flags(source, OpenFlags::SQLITE_OPEN_READ_ONLY)
        .map_err(|why| fail(source, &why))?;
    let ours = schema::version(&probe).map_err(|why| fail(source, &why))? > 0;
    let python = !ours && is_python_database(&probe).map_err(|why| fail(source, &why))?;
    drop(probe);
    let same = fs::canonicalize(source).ok() == fs::canonicalize(&options.path).ok();
    if ours && same {
        return Ok(already());
    }
    if !python {
        return Err(fail(
            source,
            &"no tasks table of the Python daemon in it: give the path of its tasks.db",
        ));
    }
    if same {
        // Opening adopts what stands at its path.
        let (_, report) = Store::open(options, now)?;
        return Ok(report.adopted.unwrap_or_else(already));
    }
    let old = open_old(source)?;
    let (store, _) = Store::open(options, now)?;
    let digest = digest(&old)?;
    if store.meta(&adopted_key(&digest))?.is_some() {
        return Ok(already());
    }
    // The rows are read inside the one transaction that writes them; the old file is locked meanwhile.
    store.write(move |tx| copy_rows(&old, tx, &digest, now))
}
