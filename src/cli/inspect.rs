//! `bundle info`, `verify` and `diff`: what a bundle holds and how it compares.

use serde_json::Value;

use crate::bundle::{Bundle, Compared, Difference, Info};
use crate::cli::error::{CliError, Exit};
use crate::cli::globals::Globals;
use crate::cli::table::{Cell, Table, Tone};
use crate::cli::typed::Typed;
use crate::core::model::object::object;

pub(super) fn info(typed: &Typed, bundle: &Bundle, globals: &Globals) -> Result<Exit, CliError> {
    typed.at_most(1)?;
    let info = bundle.info()?;
    let path = bundle.path().display().to_string();
    if globals.json {
        globals.print_json(&info_json(&path, &info))?;
        return Ok(Exit::Done);
    }
    globals.print(&format!(
        "{path}: {} passages of {} sources, {} terms, {} moves of paths, {} bytes, {} of them index\n\
         built by version {}\nSHA-256 {}\n\n",
        info.snippets,
        info.sources.len(),
        info.terms,
        info.moves,
        info.file_bytes,
        info.index_bytes,
        info.program,
        info.digest
    ))?;
    let mut table = Table::new(&[
        "KIND", "PASSAGES", "BYTES", "REDACTED", "REVISION", "SOURCE",
    ]);
    for source in &info.sources {
        table.row([
            source.kind.as_str().into(),
            source.snippets.to_string().into(),
            source.bytes.to_string().into(),
            source.redacted.to_string().into(),
            source.revision.get(..19).unwrap_or(&source.revision).into(),
            source.path.as_str().into(),
        ]);
    }
    globals.print(&table.draw(globals.width(), globals.colour()))?;
    Ok(Exit::Done)
}

fn info_json(path: &str, info: &Info) -> Value {
    object!({
        "bundle": path,
        "sha256": info.digest,
        "program": info.program,
        "bytes": info.file_bytes,
        "index_bytes": info.index_bytes,
        "snippets": info.snippets,
        "terms": info.terms,
        "moves": info.moves,
        "sources": info.sources.iter().map(|source| object!({
            "source": source.path,
            "kind": source.kind,
            "revision": source.revision,
            "sha256": source.sha256,
            "bytes": source.bytes,
            "redacted": source.redacted,
            "snippets": source.snippets,
        })).collect::<Vec<_>>(),
    })
}

/// Each source against the file it came from; that the bundle is whole was checked when it was opened.
pub(super) fn verify(typed: &Typed, bundle: &Bundle, globals: &Globals) -> Result<Exit, CliError> {
    typed.at_most(1)?;
    let sources = bundle.verify()?;
    let changed: Vec<(&str, &str)> = sources
        .iter()
        .filter_map(|(source, state)| match state {
            Compared::Changed => Some((source.as_str(), "changed")),
            Compared::Missing => Some((source.as_str(), "missing")),
            Compared::Same | Compared::NoFile => None,
        })
        .collect();
    if globals.json {
        let changed: Vec<Value> = changed
            .iter()
            .map(|(source, state)| object!({ "source": source, "state": state }))
            .collect();
        globals.print_json(&object!({ "sources": sources.len(), "changed": changed }))?;
        return Ok(Exit::Done);
    }
    let mut table = Table::new(&["STATE", "SOURCE"]);
    for (source, state) in &changed {
        table.row([Cell::new(*state, Tone::Warn), (*source).into()]);
    }
    if !table.is_empty() {
        globals.print(&table.draw(globals.width(), globals.colour()))?;
    }
    globals.print(&format!(
        "sealed and whole; {} of {} sources changed since\n",
        changed.len(),
        sources.len()
    ))?;
    Ok(Exit::Done)
}

pub(super) fn diff(typed: &Typed, older: &Bundle, globals: &Globals) -> Result<Exit, CliError> {
    typed.at_most(2)?;
    let newer = typed.path(1).ok_or_else(|| {
        CliError::usage("bundle diff: no second bundle").hint("name the newer one")
    })?;
    let mut table = Table::new(&["CHANGE", "SOURCE"]);
    let mut json = Vec::new();
    for difference in older.diff(&Bundle::open(&newer)?)? {
        let (change, source) = match &difference {
            Difference::Added(source) => ("added", source),
            Difference::Removed(source) => ("removed", source),
            Difference::Changed(source) => ("changed", source),
        };
        table.row([change.into(), source.as_str().into()]);
        json.push(object!({ "change": change, "source": source }));
    }
    globals.listing(&Value::Array(json), &table, "The same sources.")?;
    Ok(Exit::Done)
}
