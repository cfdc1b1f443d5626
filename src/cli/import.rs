//! `import FILE`: adopts the Python daemon's database.

use std::fs::DirBuilder;
use std::io::{self, Write as _};
use std::os::unix::fs::DirBuilderExt as _;
use std::path::Path;

use crate::cli::error::{CliError, Exit};
use crate::cli::globals::Globals;
use crate::cli::help::NAME;
use crate::cli::stored;
use crate::cli::typed::Typed;
use crate::core::model::object::object;
use crate::host::files;
use crate::store::{ImportReport, StoreOptions, importable};

pub(super) fn run(typed: &Typed, globals: &Globals) -> Result<Exit, CliError> {
    typed.at_most(1)?;
    let source = typed
        .path(0)
        .ok_or_else(|| CliError::usage("no file given: which database?").hint("import FILE"))?;
    let config = globals.load_config()?;
    let size = files::open_regular(&source).and_then(|file| file.metadata());
    let size = size.map_err(|why| {
        CliError::file(
            format!("{}: cannot be read", source.display()),
            why,
            "name the tasks.db of the Python daemon",
        )
    })?;
    let options = stored::options(globals, &config);
    if globals.dry_run {
        let report = would_be(&source, options, globals)?;
        let what = match report.already {
            true => report.to_string(),
            false => format!("would be adopted: {}", report.counts()),
        };
        globals.print(&format!("{}: {what}\n", source.display()))?;
        return Ok(Exit::Done);
    }
    if let Some(directory) = options.path.parent() {
        make_private(directory)?;
    }
    let mib = size.len() >> 20;
    if mib > 0 {
        let told = format!("{mib} MiB are read and written anew; on flash that takes minutes\n");
        // A closed standard error leaves nobody to tell.
        let _ = io::stderr().write_all(told.as_bytes());
    }
    let report = crate::store::import(&source, &options, globals.now())?;
    if globals.json {
        globals.print_json(&object!({
            "tasks": report.tasks,
            "open": report.open,
            "unverified": report.unverified,
            "expired": report.expired,
            "history": report.history,
            "kept_tables": report.kept_tables,
            "copy": report.copy.map(|path| path.display().to_string()),
            "already": report.already,
        }))?;
    } else {
        globals.print(&format!("{report}\n"))?;
    }
    Ok(Exit::Done)
}

/// What would be taken in. Where the daemon has never been, the copy that is read stands in a place of its own.
fn would_be(
    source: &Path,
    mut options: StoreOptions,
    globals: &Globals,
) -> Result<ImportReport, CliError> {
    if options.path.parent().is_some_and(Path::is_dir) {
        return Ok(importable(source, &options, globals.now())?);
    }
    let place = std::env::temp_dir().join(format!("{NAME}-{}", std::process::id()));
    // Never one that is there: it may be anybody's.
    let made = DirBuilder::new().mode(0o700).create(&place);
    let hint = "set TMPDIR to a folder with room for a copy of it";
    made.map_err(|why| {
        CliError::file(format!("{}: cannot be created", place.display()), why, hint)
    })?;
    options.path = place.join("tasks.db");
    let report = importable(source, &options, globals.now());
    // What was copied is gone already.
    let _ = std::fs::remove_dir(&place);
    Ok(report?)
}

/// The state directory, readable by its owner alone: evidence can hold what logs held.
pub(super) fn make_private(directory: &Path) -> Result<(), CliError> {
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(directory)
        .map_err(|why| {
            CliError::file(
                format!("{}: cannot be created", directory.display()),
                why,
                "run as root, or name another with --state-dir",
            )
        })
}
