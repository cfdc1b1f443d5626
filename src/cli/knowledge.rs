//! `bundle`: build and query knowledge bundles; inspect.rs looks into them.

use std::fmt::Write as _;
use std::io::{BufRead, BufWriter, Write, stdin, stdout};
use std::path::PathBuf;

use serde_json::json;

use crate::bundle::{self, BuildOptions, Bundle, BundleError, Report};
use crate::cli::error::{CliError, ErrorKind, Exit};
use crate::cli::globals::Globals;
use crate::cli::inspect;
use crate::cli::tasks::unknown_word;
use crate::cli::typed::Typed;
use crate::core::diagnosis::retrieval::Query;
use crate::core::model::inert;
use crate::core::model::object::object;
use crate::core::model::snippet::Snippet;

/// Passages of a query that names no number.
const LIMIT: usize = 5;

pub(super) fn run(typed: &Typed, globals: &Globals) -> Result<Exit, CliError> {
    match typed.word(0) {
        Some("build") => build(typed, globals),
        Some("query") => query(typed, globals),
        Some("info") => inspect::info(typed, &open(typed, globals)?, globals),
        Some("verify") => inspect::verify(typed, &open(typed, globals)?, globals),
        Some("diff") => inspect::diff(typed, &open(typed, globals)?, globals),
        word => Err(unknown_word(
            "bundle",
            word,
            &["build", "query", "info", "verify", "diff"],
        )),
    }
}

impl From<BundleError> for CliError {
    fn from(why: BundleError) -> Self {
        Self::hinted(ErrorKind::Failed, why)
    }
}

fn path(typed: &Typed, flag: &str) -> Option<PathBuf> {
    typed.value(flag).map(PathBuf::from)
}

/// The bundle a command is about: `--bundle`, or the daemon's.
fn file(typed: &Typed, globals: &Globals, flag: &str) -> Result<PathBuf, CliError> {
    match path(typed, flag) {
        Some(file) => Ok(file),
        None => Ok(PathBuf::from(globals.load_config()?.daemon.bundle)),
    }
}

fn open(typed: &Typed, globals: &Globals) -> Result<Bundle, CliError> {
    Ok(Bundle::open(&file(typed, globals, "bundle")?)?)
}

fn build(typed: &Typed, globals: &Globals) -> Result<Exit, CliError> {
    let inputs: Vec<PathBuf> = typed.words().iter().skip(1).map(PathBuf::from).collect();
    let snippets: Vec<PathBuf> = path(typed, "snippets").into_iter().collect();
    // Ready-made passages alone are a collection of their own; beside other sources our own base helps.
    let snippets_alone =
        inputs.is_empty() && !snippets.is_empty() && typed.value("repository").is_none();
    let options = BuildOptions {
        out: file(typed, globals, "out")?,
        inputs,
        snippets,
        repositories: path(typed, "repository").into_iter().collect(),
        path_map: path(typed, "path-map"),
        scope: path(typed, "scope"),
        without_knowledge: typed.has("without-knowledge") || snippets_alone,
    };
    let quiet = globals.json;
    let report = bundle::build(&options, &mut |line| {
        if !quiet {
            log::info!("{line}");
        }
    })?;
    if globals.json {
        globals.print_json(&object!({
            "bundle": options.out.display().to_string(),
            "snippets": report.snippets,
            "sources": report.sources,
            "duplicates": report.duplicates,
            "redacted": report.redacted,
            "skipped": report.skipped,
            "skipped_total": report.skipped_total,
            "moves": report.moves,
            "bytes": report.bytes,
            "sha256": report.digest,
            "unchanged": report.unchanged,
        }))?;
    } else {
        globals.print(&told(&options.out.display().to_string(), &report))?;
    }
    Ok(Exit::Done)
}

fn told(out: &str, report: &Report) -> String {
    let mut text = format!(
        "{out}: {} passages of {} sources, {} duplicates left out, {} moves of paths, {} bytes{}\nSHA-256 {}\n",
        report.snippets,
        report.sources,
        report.duplicates,
        report.moves,
        report.bytes,
        if report.unchanged { " (unchanged)" } else { "" },
        report.digest
    );
    for (source, count) in &report.redacted {
        let _ = writeln!(text, "redacted: {} in {}", count, inert::line(source));
    }
    for (source, why) in &report.skipped {
        let _ = writeln!(text, "left out: {}: {why}", inert::line(source));
    }
    text
}

fn query(typed: &Typed, globals: &Globals) -> Result<Exit, CliError> {
    let bundle = open(typed, globals)?;
    let limit = typed.parsed::<usize>("limit")?.unwrap_or(LIMIT);
    if typed.has("batch") {
        return batch(&bundle, limit);
    }
    let words: Vec<String> = typed
        .words()
        .iter()
        .skip(1)
        .map(|word| word.to_string_lossy().into_owned())
        .collect();
    if words.is_empty() {
        return Err(CliError::usage("bundle query: no text").hint("write what to look for"));
    }
    let found = bundle.query(&Query::of_text(&words.join(" ")), limit)?;
    if globals.json {
        let rows: Vec<_> = found.iter().map(shape).collect();
        globals.print_json(&json!(rows))?;
    } else if found.is_empty() {
        globals.print("nothing found\n")?;
    } else {
        for snippet in &found {
            globals.print(&passage(snippet))?;
        }
    }
    Ok(Exit::Done)
}

fn shape(snippet: &Snippet) -> serde_json::Value {
    object!({
        "id": snippet.id,
        "score": snippet.score,
        "title": snippet.title,
        "source": snippet.source,
        "first_line": snippet.first_line,
        "last_line": snippet.last_line,
        "revision": snippet.revision,
        "matched": snippet.matched,
        "text": snippet.text,
    })
}

fn passage(snippet: &Snippet) -> String {
    let mut text = format!(
        "{:6.2}  {}\n        {}\n",
        snippet.score,
        inert::line(&snippet.title),
        inert::line(&snippet.citation())
    );
    if !snippet.matched.is_empty() {
        let _ = writeln!(
            text,
            "        matched: {}",
            inert::line(&snippet.matched.join(", "))
        );
    }
    for line in snippet
        .text
        .lines()
        .filter(|line| !line.trim().is_empty())
        .take(4)
    {
        let _ = writeln!(text, "        | {}", inert::line(line));
    }
    text
}

fn batch(bundle: &Bundle, limit: usize) -> Result<Exit, CliError> {
    let mut out = BufWriter::new(stdout().lock());
    for line in stdin().lock().lines() {
        let line = line?;
        let Some((id, text)) = line.split_once('\t') else {
            continue;
        };
        for (snippet, score) in bundle.rank(&Query::of_text(text), limit)? {
            writeln!(out, "{}\t{snippet}\t{score:.6}", inert::line(id))?;
        }
    }
    out.flush()?;
    Ok(Exit::Done)
}
