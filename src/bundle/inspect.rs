//! What a bundle holds: `bundle info`, `verify` and `diff`.

use std::path::Path;

use super::error::BundleError;
use super::moves::{self, Moved};
use super::opened::Bundle;
use super::source::sha256_hex;
use crate::core::model::hint::Hint;
use crate::core::model::sorted::SortedMap;

/// One input as the manifest has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SourceInfo {
    pub path: String,
    pub kind: String,
    pub revision: String,
    pub sha256: String,
    pub bytes: u64,
    /// Secrets taken out.
    pub redacted: u64,
    pub snippets: u64,
}

/// What `bundle info` prints.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Info {
    pub digest: String,
    pub file_bytes: u64,
    /// Postings and vectors: the file without text and manifest.
    pub index_bytes: u64,
    pub snippets: usize,
    pub terms: u64,
    pub moves: u64,
    /// Version of the program that built it.
    pub program: String,
    pub sources: Vec<SourceInfo>,
}

/// How a source of the manifest compares with its file today.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Compared {
    Same,
    Changed,
    Missing,
    /// Has no file of its own: commits, embedded knowledge, sources named in ready-made snippets.
    NoFile,
}

/// A difference between two bundles.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Difference {
    Added(String),
    Removed(String),
    Changed(String),
}

impl Bundle {
    pub(super) fn meta(&self, key: &str) -> Result<String, BundleError> {
        self.with(|database| {
            Ok(
                database.query_row("SELECT value FROM meta WHERE key = ?1", [key], |row| {
                    row.get(0)
                })?,
            )
        })
    }

    /// Everything about the bundle but its text.
    pub(crate) fn info(&self) -> Result<Info, BundleError> {
        let number = |text: String| text.parse::<u64>().unwrap_or(0);
        let file_bytes = std::fs::metadata(self.path())
            .map_err(BundleError::io(self.path()))?
            .len();
        Ok(Info {
            digest: self.digest(),
            file_bytes,
            index_bytes: number(self.meta("index_bytes")?),
            snippets: self.len(),
            terms: number(self.meta("terms")?),
            moves: self.with(|database| {
                Ok(database.query_row("SELECT count(*) FROM moved", [], |row| row.get(0))?)
            })?,
            program: self.meta("program")?,
            sources: self.sources()?,
        })
    }

    fn sources(&self) -> Result<Vec<SourceInfo>, BundleError> {
        self.with(|database| {
            let mut read = database.prepare(
                "SELECT o.path, o.kind, o.revision, o.sha256, o.bytes, o.redacted, count(s.id)
                 FROM source o LEFT JOIN snippet s ON s.source = o.id GROUP BY o.id ORDER BY o.id",
            )?;
            let rows = read.query_map([], |row| {
                Ok(SourceInfo {
                    path: row.get(0)?,
                    kind: row.get(1)?,
                    revision: row.get(2)?,
                    sha256: row.get(3)?,
                    bytes: row.get(4)?,
                    redacted: row.get(5)?,
                    snippets: row.get(6)?,
                })
            })?;
            Ok(rows.collect::<Result<_, _>>()?)
        })
    }

    /// Each source of the manifest against the file it came from. (That the bundle itself is whole was
    /// checked when it was opened.)
    pub(crate) fn verify(&self) -> Result<Vec<(String, Compared)>, BundleError> {
        let of_file = |source: &SourceInfo| match source.kind.as_str() {
            "git" | "knowledge" => Compared::NoFile,
            "snippets" if !Path::new(&source.path).exists() => Compared::NoFile,
            _ => match std::fs::read(&source.path) {
                Ok(bytes) if sha256_hex(&bytes) == source.sha256 => Compared::Same,
                Ok(_) => Compared::Changed,
                Err(_) => Compared::Missing,
            },
        };
        Ok(self
            .sources()?
            .into_iter()
            .map(|source| (source.path.clone(), of_file(&source)))
            .collect())
    }

    /// What changed from `self` to `newer`, by path.
    pub(crate) fn diff(&self, newer: &Self) -> Result<Vec<Difference>, BundleError> {
        let by_path = |sources: Vec<SourceInfo>| -> SortedMap<String, String> {
            sources
                .into_iter()
                .map(|source| (source.path, source.sha256))
                .collect()
        };
        let (old, new) = (by_path(self.sources()?), by_path(newer.sources()?));
        let mut out: Vec<Difference> = old
            .iter()
            .filter_map(|(path, digest)| match new.get(path) {
                None => Some(Difference::Removed(path.clone())),
                Some(other) if other != digest => Some(Difference::Changed(path.clone())),
                Some(_) => None,
            })
            .collect();
        out.extend(
            new.keys()
                .filter(|path| !old.contains_key(*path))
                .cloned()
                .map(Difference::Added),
        );
        Ok(out)
    }

    /// Where `old_path` moved to, and who says so. Whether anything is there now, the caller must see.
    pub(crate) fn moved_to(&self, old_path: &str) -> Option<Moved> {
        self.with(|database| moves::moved_to(database, old_path))
            .unwrap_or_else(|why| {
                log::warn!("{}", why.with_hint());
                None
            })
    }
}
