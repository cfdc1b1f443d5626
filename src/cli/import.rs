//! `import FILE`: adopts the Python daemon's database.

use std::io::{self, Write as _};

use crate::cli::error::{CliError, Exit};
use crate::cli::globals::Globals;
use crate::cli::stored;
use crate::cli::typed::Typed;
use crate::core::model::object::object;
use crate::host::files;

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
        // Where the daemon has never been there is no place for the copy that is read.
        let is_place = options.path.parent().is_some_and(std::path::Path::is_dir);
        let report = match is_place {
            true => Some(crate::store::importable(&source, &options, globals.now())?),
            false => None,
        };
        let what = match &report {
            Some(report) if report.already => report.to_string(),
            Some(report) => format!("would be adopted: {}", report.counts()),
            None => format!("would be adopted into {}", options.path.display()),
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

/// The state directory, readable by its owner alone: evidence can hold what logs held.
pub(super) fn make_private(directory: &std::path::Path) -> Result<(), CliError> {
    use std::os::unix::fs::DirBuilderExt;
    std::fs::DirBuilder::new()
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
