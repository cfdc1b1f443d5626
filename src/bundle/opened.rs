//! A bundle that is opened: checked, held, asked.

use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::{Mutex, PoisonError};

use rusqlite::Connection;

use super::error::BundleError;
use super::search::{self, BundleShape, RankedSnippet};
use super::{format, scan};
use crate::core::diagnosis::retrieval::Query;
use crate::core::model::finding::Finding;
use crate::core::model::hex::hex;
use crate::core::model::hint::Hint;
use crate::core::model::snippet::Snippet;

/// An open, checked bundle.
#[derive(Debug)]
pub struct Bundle {
    path: PathBuf,
    digest: [u8; 32],
    stamp: Stamp,
    shape: BundleShape,
    /// Any thread may ask; a question takes a millisecond, so one connection serves all.
    database: Mutex<Connection>,
}

/// Which file it was, to see that another one took its place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Stamp {
    device: u64,
    inode: u64,
    size: u64,
    modified_ns: i128,
}

impl Stamp {
    fn of(path: &Path) -> Result<Self, BundleError> {
        use std::os::unix::fs::MetadataExt;
        let meta = std::fs::metadata(path).map_err(BundleError::io(path))?;
        Ok(Self {
            device: meta.dev(),
            inode: meta.ino(),
            size: meta.size(),
            modified_ns: i128::from(meta.mtime()) * 1_000_000_000 + i128::from(meta.mtime_nsec()),
        })
    }
}

/// Most snippets of one bundle: bounds the memory of a query to 4 bytes each.
pub const SNIPPETS_MAX: u32 = 200_000;

impl Bundle {
    /// Opens the bundle at `path` after checking its SHA-256. Refuses torn and foreign files.
    pub fn open(path: &Path) -> Result<Self, BundleError> {
        let stamp = Stamp::of(path)?;
        let digest = format::check_seal(path)?;
        let database = format::open_database(path)?;
        if Stamp::of(path)? != stamp {
            return Err(BundleError::Torn(
                path.to_owned(),
                "it changed while it was read".to_owned(),
            ));
        }
        let shape = shape(&database).map_err(|why| match why {
            BundleError::Database(why) => BundleError::Foreign(path.to_owned(), why.to_string()),
            BundleError::Content(why) => BundleError::Foreign(path.to_owned(), why),
            BundleError::Io(..)
            | BundleError::Foreign(..)
            | BundleError::Torn(..)
            | BundleError::Input(..) => why,
        })?;
        Ok(Self {
            path: path.to_owned(),
            digest,
            stamp,
            shape,
            database: Mutex::new(database),
        })
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// SHA-256 of the whole content, lower-case hex: names this very bundle.
    pub(crate) fn digest(&self) -> String {
        hex(&self.digest)
    }

    /// Number of snippets.
    pub(crate) fn len(&self) -> usize {
        self.shape.snippets as usize
    }

    /// True when the file at the path is another one than was opened: time to open it anew.
    pub(crate) fn is_replaced(&self) -> bool {
        Stamp::of(&self.path).is_ok_and(|now| now != self.stamp)
    }

    pub(super) fn with<T>(
        &self,
        work: impl FnOnce(&Connection) -> Result<T, BundleError>,
    ) -> Result<T, BundleError> {
        // The connection is read-only: a thread that panicked cannot have left it half changed.
        work(&self.database.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// The best `k` snippets for `query`, best first.
    pub(crate) fn query(&self, query: &Query, k: usize) -> Result<Vec<Snippet>, BundleError> {
        self.with(|database| {
            let hits = search::rank(database, self.shape, query, k)?;
            hits.iter()
                .map(|hit| snippet(database, query, hit))
                .collect()
        })
    }

    /// Keys and scores only: what a batch evaluation needs.
    pub fn rank(&self, query: &Query, k: usize) -> Result<Vec<(String, f64)>, BundleError> {
        self.with(|database| {
            let mut read = database.prepare_cached("SELECT key FROM snippet WHERE id = ?1")?;
            let hits = search::rank(database, self.shape, query, k)?;
            hits.iter()
                .map(|hit| {
                    Ok((
                        read.query_row([hit.number], |row| row.get(0))?,
                        f64::from(hit.score),
                    ))
                })
                .collect()
        })
    }

    /// The best `n` snippets for a finding. A bundle that cannot be read answers with none; that is
    /// logged, because diagnosis goes on without it.
    pub(crate) fn query_finding(&self, finding: &Finding, n: usize) -> Vec<Snippet> {
        let query = Query::of_finding(finding);
        self.query(&query, n).unwrap_or_else(|why| {
            log::warn!("{}", why.with_hint());
            Vec::new()
        })
    }
}

fn shape(database: &Connection) -> Result<BundleShape, BundleError> {
    let shape = BundleShape {
        snippets: number(database, "snippets")?,
        own: number(database, "own")?,
        bits: number(database, "bits")?,
        mean_length: number(database, "mean_length")?,
    };
    // A mean that is no number is not sane either.
    let sane = shape.snippets <= SNIPPETS_MAX && shape.bits <= 32 && shape.mean_length >= 1.0;
    if !sane {
        return Err(BundleError::Content(
            "its description is out of bounds".to_owned(),
        ));
    }
    Ok(shape)
}

/// One number that the bundle says of itself.
fn number<T: FromStr>(database: &Connection, key: &str) -> Result<T, BundleError> {
    let text: String =
        database.query_row("SELECT value FROM meta WHERE key = ?1", [key], |row| {
            row.get(0)
        })?;
    text.parse()
        .map_err(|_| BundleError::Content(format!("meta value '{key}' is not a number")))
}

fn snippet(
    database: &Connection,
    query: &Query,
    hit: &RankedSnippet,
) -> Result<Snippet, BundleError> {
    let mut read = database.prepare_cached(
        "SELECT s.key, s.title, s.text, s.first_line, s.last_line, o.path, o.revision
         FROM snippet s JOIN source o ON o.id = s.source WHERE s.id = ?1",
    )?;
    let snippet = read.query_row([hit.number], |row| {
        let (title, text): (String, String) = (row.get(1)?, row.get(2)?);
        Ok(Snippet {
            id: row.get(0)?,
            score: f64::from(hit.score),
            matched: scan::matched(query, &title, &text),
            title,
            text,
            first_line: row.get(3)?,
            last_line: row.get(4)?,
            source: row.get(5)?,
            revision: row.get(6)?,
        })
    })?;
    Ok(snippet)
}
