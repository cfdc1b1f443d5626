//! Builds a bundle: read, redact, cut, drop duplicates, index, fit vectors, write, seal, rename.
//! The same inputs give the same bytes.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use rusqlite::{Connection, OpenFlags, params};

use super::error::BundleError;
use super::format;
use super::index::Postings;
use super::moves::{MoveTold, Moves};
use super::opened::Bundle;
use super::report::{Builder, Report};
use super::source::Source;
use super::{collect, gitlog, jsonl, vectors};
use crate::core::diagnosis::knowledge;
use crate::core::diagnosis::retrieval::{Term, stems};
use crate::core::model::hex::hex;
use crate::core::model::sorted::{SortedMap, SortedSet};
use crate::host::files;

/// Kind of the embedded texts.
const KNOWLEDGE: &str = "knowledge";
/// What goes into a bundle.
#[derive(Clone, Debug, Default)]
pub struct BuildOptions {
    /// Where the bundle is written; a good one there stays until the new one is complete.
    pub out: PathBuf,
    /// Files and directories: Markdown, text, unit files, configuration, man pages.
    pub inputs: Vec<PathBuf>,
    /// Ready-made snippets, one JSON object a line.
    pub snippets: Vec<PathBuf>,
    /// Git repositories whose history is read.
    pub repositories: Vec<PathBuf>,
    /// `old -> new`, one a line.
    pub path_map: Option<PathBuf>,
    /// What may go in: see [`collect::Scope`].
    pub scope: Option<PathBuf>,
    /// Leave out the knowledge that ships with the program.
    pub without_knowledge: bool,
}

/// Hears how the build goes on, one line of text per step.
pub type Progress<'a> = &'a mut dyn FnMut(&str);

/// Builds the bundle that `options` describe.
pub fn build(options: &BuildOptions, progress: Progress<'_>) -> Result<Report, BundleError> {
    let mut builder = Builder::default();
    let mut moves = Moves::default();
    let mut sources = read_all(options, &mut builder, &mut moves, progress)?;
    let mut report = builder.report;
    // The embedded base comes last: ranking knows it by its numbers.
    let order = |one: &Source| (one.kind == KNOWLEDGE, one.path.clone(), one.kind);
    sources.sort_by_cached_key(order);
    report.redacted = sources
        .iter()
        .filter(|one| one.redacted > 0)
        .map(|one| (one.path.clone(), one.redacted))
        .collect();
    report.duplicates = drop_duplicates(&mut sources);
    report.sources = sources.len();
    report.snippets = sources.iter().map(|one| one.passages.len()).sum();
    report.moves = moves.len();
    let manifest = manifest_digest(&sources, &moves);
    if let Some(old) = same_as_before(&options.out, &manifest) {
        progress("nothing changed: the bundle is left as it is");
        report.unchanged = true;
        report.digest = old.digest();
        report.bytes = std::fs::metadata(&options.out).map_or(0, |meta| meta.len());
        return Ok(report);
    }
    write(options, &sources, &moves, &manifest, &mut report, progress)?;
    Ok(report)
}

fn read_all(
    options: &BuildOptions,
    builder: &mut Builder,
    moves: &mut Moves,
    progress: Progress<'_>,
) -> Result<Vec<Source>, BundleError> {
    let mut sources = Vec::new();
    if let Some(path) = &options.path_map {
        moves.read_map(path)?;
    }
    let scope = match &options.scope {
        Some(path) => collect::ScopeFile::read(path)?,
        None => collect::ScopeFile::default(),
    };
    for input in &options.inputs {
        progress(&format!("reading {}", input.display()));
        collect::read(input, &scope, builder, &mut sources)?;
    }
    for repository in &options.repositories {
        progress(&format!("reading the history of {}", repository.display()));
        match gitlog::read(repository, &builder.redactor, moves) {
            Ok(source) => sources.extend(source),
            Err(why) => builder.skip(repository.display(), &why),
        }
    }
    for path in &options.snippets {
        progress(&format!("reading {}", path.display()));
        sources.extend(jsonl::read(path, builder)?);
    }
    for source in &sources {
        moves.read_prose(source);
    }
    let only_snippets = options.inputs.is_empty() && options.repositories.is_empty();
    if !options.without_knowledge && !only_snippets {
        sources.extend(knowledge_sources());
    }
    Ok(sources)
}

/// The embedded base, so that one question reaches both.
fn knowledge_sources() -> Vec<Source> {
    knowledge::FILES
        .iter()
        .map(|(name, packed)| (name, packed.text()))
        .map(|(name, text)| Source {
            path: format!("builtin:{name}"),
            kind: KNOWLEDGE,
            sha256: super::source::sha256_hex(text.as_bytes()),
            bytes: text.len() as u64,
            passages: super::cut::markdown(name, &text),
            ..Source::default()
        })
        .collect()
}

/// Drops passages whose words, numbers aside, are those of an earlier one. Ready-made snippets stay: they
/// were chosen, and their ids may be asked for.
fn drop_duplicates(sources: &mut [Source]) -> usize {
    // Tens of thousands, in no order: a tree.
    let mut seen: BTreeSet<Term> = BTreeSet::new();
    let mut dropped = 0;
    for source in sources.iter_mut().filter(|one| one.kind != "snippets") {
        source.passages.retain(|passage| {
            let words: SortedSet<String> = stems(&passage.text)
                .into_iter()
                .filter(|word| !word.bytes().any(|c| c.is_ascii_digit()))
                .collect();
            let all: Vec<&str> = words.iter().map(String::as_str).collect();
            let new = seen.insert(Term::of(&all.join(" "))) && !all.is_empty();
            dropped += usize::from(!new);
            new
        });
    }
    dropped
}

/// One digest over everything that decides the bundle's content.
fn manifest_digest(sources: &[Source], moves: &Moves) -> String {
    let mut text = format!("{} {}\n", format::VERSION, env!("CARGO_PKG_VERSION"));
    for source in sources {
        let kept = source.passages.len();
        text.push_str(&format!(
            "{}\t{}\t{}\t{}\t{kept}\n",
            source.path, source.kind, source.revision, source.sha256
        ));
    }
    for (old, new, citation) in moves.iter() {
        text.push_str(&format!("{old}\t{new}\t{citation}\n"));
    }
    super::source::sha256_hex(text.as_bytes())
}

fn same_as_before(out: &Path, manifest: &str) -> Option<Bundle> {
    let old = Bundle::open(out).ok()?;
    (old.meta("manifest").ok()? == manifest).then_some(old)
}

fn write(
    options: &BuildOptions,
    sources: &[Source],
    moves: &Moves,
    manifest: &str,
    report: &mut Report,
    progress: Progress<'_>,
) -> Result<(), BundleError> {
    // New, and of a name that nobody could put anything at before.
    let beside = files::new_file_beside(&options.out)
        // SQLite takes no link on the way, also none of the system's.
        .and_then(std::fs::canonicalize)
        .map_err(BundleError::io(&options.out))?;
    let result = write_beside(&beside, sources, moves, manifest, progress).and_then(|()| {
        report.digest = hex(&format::seal(&beside)?);
        report.bytes = std::fs::metadata(&beside)
            .map_err(BundleError::io(&beside))?
            .len();
        std::fs::rename(&beside, &options.out).map_err(BundleError::io(&options.out))
    });
    if result.is_err() {
        // The half-written file is of no use; the old bundle is untouched.
        let _ = std::fs::remove_file(&beside);
    }
    result
}

fn write_beside(
    path: &Path,
    sources: &[Source],
    moves: &Moves,
    manifest: &str,
    progress: Progress<'_>,
) -> Result<(), BundleError> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE
        | OpenFlags::SQLITE_OPEN_NOFOLLOW
        | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let mut database = Connection::open_with_flags(path, flags)?;
    // No journal and no sync: the file is sealed, synced and renamed as a whole, or thrown away.
    database.execute_batch(&format!(
        "PRAGMA page_size=4096; PRAGMA journal_mode=OFF; PRAGMA synchronous=OFF; PRAGMA application_id={}; PRAGMA user_version={};",
        format::APPLICATION_ID,
        format::VERSION
    ))?;
    let work = database.transaction()?;
    work.execute_batch(format::SCHEMA)?;
    let mut postings = Postings::default();
    for passage in sources.iter().flat_map(|source| &source.passages) {
        postings.add(&passage.title, &passage.text);
    }
    progress(&format!("indexing {} snippets", postings.lengths.len()));
    let impacts = postings.impacts();
    let (bits, buckets) = impacts.buckets();
    progress("fitting vectors");
    let vectors = vectors::fit(&impacts);
    progress("writing");
    for (id, data) in &buckets {
        work.prepare_cached("INSERT INTO bucket VALUES (?1, ?2)")?
            .execute(params![id, data])?;
    }
    put_sources(&work, sources, &impacts.lengths, &vectors)?;
    for (old, new, citation) in moves.iter() {
        work.prepare_cached("INSERT INTO moved VALUES (?1, ?2, ?3)")?
            .execute([old, new, citation])?;
    }
    for (told, table) in [(MoveTold::Map, "mapped"), (MoveTold::Git, "renamed")] {
        for old in moves.told_by(told) {
            work.prepare_cached(&format!("INSERT INTO {table} VALUES (?1)"))?
                .execute([old])?;
        }
    }
    let own: usize = sources
        .iter()
        .filter(|one| one.kind != KNOWLEDGE)
        .map(|one| one.passages.len())
        .sum();
    let meta: SortedMap<&str, String> = SortedMap::from([
        ("snippets", impacts.lengths.len().to_string()),
        ("own", own.to_string()),
        ("bits", bits.to_string()),
        ("mean_length", impacts.mean.to_string()),
        ("terms", impacts.postings.len().to_string()),
        (
            "index_bytes",
            index_bytes(&buckets, vectors.len()).to_string(),
        ),
        ("manifest", manifest.to_owned()),
        ("program", env!("CARGO_PKG_VERSION").to_owned()),
    ]);
    for (key, value) in &meta {
        work.execute("INSERT INTO meta VALUES (?1, ?2)", [*key, value.as_str()])?;
    }
    work.commit()?;
    database.close().map_err(|(_, why)| why.into())
}

fn index_bytes(buckets: &SortedMap<u32, Vec<u8>>, vectors: usize) -> usize {
    buckets.values().map(Vec::len).sum::<usize>() + vectors * vectors::DIMENSIONS
}

fn put_sources(
    work: &Connection,
    sources: &[Source],
    lengths: &[u32],
    vectors: &[[i8; vectors::DIMENSIONS]],
) -> Result<(), BundleError> {
    let mut number = 0_usize;
    for (id, source) in (0_u32..).zip(sources) {
        let bytes = i64::try_from(source.bytes).unwrap_or(i64::MAX);
        let redacted = i64::try_from(source.redacted).unwrap_or(i64::MAX);
        work.prepare_cached("INSERT INTO source VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)")?
            .execute(params![
                id,
                source.path,
                source.kind,
                source.revision,
                source.sha256,
                bytes,
                redacted
            ])?;
        for passage in &source.passages {
            let vector: Vec<u8> = vectors.get(number).map_or_else(Vec::new, |vector| {
                vector.iter().map(|value| *value as u8).collect()
            });
            let length = lengths.get(number).copied().unwrap_or(0);
            let key = match passage.key.as_str() {
                "" => format!("{}:{}", source.path, passage.first_line),
                given => given.to_owned(),
            };
            work.prepare_cached("INSERT INTO snippet VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)")?
                .execute(params![
                    i64::try_from(number).unwrap_or(i64::MAX),
                    length,
                    vector,
                    id,
                    passage.first_line,
                    passage.last_line,
                    key,
                    passage.title,
                    passage.text
                ])?;
            number += 1;
        }
    }
    Ok(())
}
