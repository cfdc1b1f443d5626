//! Where things moved to: from a map written by hand, from prose that says so, from git's renames.

use std::path::Path;

use rusqlite::{Connection, OptionalExtension};

use super::error::{BadLine, BundleError};
use super::source::Source;
use crate::core::model::sorted::SortedMap;

/// Most known moves; a history of one large reorganisation fits.
const MOVES_MAX: usize = 20_000;
const PATH_MAX: usize = 500;
/// Moves of moves followed; more is a loop.
const CHAIN_MAX: usize = 8;

/// How a move is known; the first is believed over the later.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum MoveTold {
    Map,
    Prose,
    Git,
}

/// Old path to new path, each with its citation.
#[derive(Clone, Debug, Default)]
pub(super) struct Moves(SortedMap<String, (MoveTold, String, String)>);

impl Moves {
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Old, new, citation, in order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str, &str)> {
        self.0
            .iter()
            .map(|(old, (_, new, citation))| (old.as_str(), new.as_str(), citation.as_str()))
    }

    /// The old places that are known in this way.
    pub fn told_by(&self, way: MoveTold) -> impl Iterator<Item = &str> {
        self.0
            .iter()
            .filter(move |(_, (told, ..))| *told == way)
            .map(|(old, _)| old.as_str())
    }

    /// Adds a move unless one that is believed more is known. The first of its kind stays.
    pub fn add(&mut self, told: MoveTold, old: &str, new: &str, citation: &str) {
        let (Some(old), Some(new)) = (tidy(old), tidy(new)) else {
            return;
        };
        // A relative path can stand for a place anywhere; an absolute one cannot replace it.
        if old == new || (!old.starts_with('/') && new.starts_with('/')) {
            return;
        }
        let better = self.0.get(&old).is_none_or(|(known, ..)| told < *known);
        if better && (self.0.len() < MOVES_MAX || self.0.contains_key(&old)) {
            self.0.insert(old, (told, new, citation.to_owned()));
        }
    }

    /// The hand-written map: `old -> new`, one a line, `#` begins a comment.
    pub fn read_map(&mut self, path: &Path) -> Result<(), BundleError> {
        let text = std::fs::read_to_string(path).map_err(BundleError::io(path))?;
        for (at, line) in text.lines().enumerate() {
            let line = line.trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let parts = ["->", "=>", "\t"]
                .iter()
                .find_map(|arrow| line.split_once(arrow));
            let whole = |part: &str| tidy(part).is_some();
            match parts {
                Some((old, new)) if whole(old) && whole(new) => {
                    self.add(
                        MoveTold::Map,
                        old,
                        new,
                        &format!("{}:{}", path.display(), at + 1),
                    );
                }
                _ => {
                    let bad = BadLine {
                        number: at + 1,
                        line: line.to_owned(),
                        wanted: "not 'old -> new'",
                    };
                    return Err(BundleError::Input(path.to_owned(), bad));
                }
            }
        }
        Ok(())
    }

    /// Sentences and tables of a document that tell of a move.
    pub fn read_prose(&mut self, source: &Source) {
        if !matches!(source.kind, "markdown" | "text") {
            return;
        }
        for passage in &source.passages {
            let mut table = false;
            for (at, line) in passage.text.lines().enumerate() {
                let lower = line.to_ascii_lowercase();
                table = line.contains('|')
                    && (table || (lower.contains("old") && lower.contains("new")));
                for (old, new) in told_by(line, table) {
                    let number = passage.first_line as usize + at;
                    self.add(
                        MoveTold::Prose,
                        old,
                        new,
                        &format!("{}:{number}", source.path),
                    );
                }
            }
        }
    }
}

/// Without decoration; `None` for what is no usable path.
fn tidy(path: &str) -> Option<String> {
    let path = path
        .trim()
        .trim_matches(|c: char| "`'\"*,;:()[]".contains(c));
    let path = path.trim_start_matches("./").trim_end_matches('/');
    let legal = |c: char| c.is_alphanumeric() || "._/-@+~: ".contains(c);
    let usable = !path.is_empty()
        && path.len() <= PATH_MAX
        && path.chars().all(legal)
        && !path.contains("://")
        && !path.split('/').any(|part| part == ".." || part == ".")
        && path.chars().any(char::is_alphanumeric);
    usable.then(|| path.to_owned())
}

const FORWARD: &[&str] = &[
    "->",
    "\u{2192}",
    "=>",
    "moved to",
    "moved into",
    "renamed to",
    "relocated to",
    "migrated to",
    "is now",
    "now at",
    "now in",
    "now lives",
    "replaced by",
    "are now",
];
const BACKWARD: &[&str] = &[
    "formerly",
    "moved from",
    "previously",
    "used to be",
    "renamed from",
    "was at",
    "was in",
];

/// Moves that one line tells of: two neighbouring paths with words of moving between them.
fn told_by(line: &str, table: bool) -> Vec<(&str, &str)> {
    let paths = paths_in(line);
    paths
        .windows(2)
        .filter_map(|pair| {
            let [(_, end, first), (start, _, second)] = pair else {
                return None;
            };
            let between = line.get(*end..*start)?.to_lowercase();
            let says = |words: &[&str]| words.iter().any(|word| between.contains(word));
            if says(BACKWARD) {
                Some((*second, *first))
            } else if says(FORWARD)
                || (table && between.trim_matches(|c: char| c == '`' || c == ' ') == "|")
            {
                Some((*first, *second))
            } else {
                None
            }
        })
        .collect()
}

/// Words that look like paths, with their places. Links of `ls -l` are not moves.
fn paths_in(line: &str) -> Vec<(usize, usize, &str)> {
    if line.trim_start().starts_with("lrwx") {
        return Vec::new();
    }
    let is_path = |c: char| c.is_ascii_alphanumeric() || "._/-@+~".contains(c);
    let mut found = Vec::new();
    let mut from = 0;
    for (at, c) in line.char_indices().chain([(line.len(), ' ')]) {
        if is_path(c) {
            continue;
        }
        let word = line.get(from..at).unwrap_or("").trim_end_matches('.');
        if word.contains('/')
            && word.len() > 2
            && !line.get(..from).unwrap_or("").ends_with("http:")
            && !word.starts_with("//")
        {
            found.push((from, from + word.len(), word));
        }
        from = at + c.len_utf8();
    }
    found
}

/// Where something is now, and who says so.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Moved {
    pub to: String,
    /// Of the first move.
    pub citation: String,
    /// Who says each move on the way; of several, the one that is believed least.
    pub by: Authority,
}

/// Who says that something moved, the one that is believed most last.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Authority {
    /// Prose: whoever could write the document could say anything.
    Document,
    /// A rename that git recorded.
    Git,
    /// The operator's own map.
    Map,
}

/// One move as the bundle holds it, applied to a path.
struct Step {
    new: String,
    citation: String,
    by: Authority,
}

/// Where `path` (absolute) is now; follows moves of moves.
pub(super) fn moved_to(database: &Connection, path: &str) -> Result<Option<Moved>, BundleError> {
    let mut seen = vec![path.trim_end_matches('/').to_owned()];
    let (mut citation, mut by) = (None, Authority::Map);
    for _ in 0..CHAIN_MAX {
        let Some(now) = seen.last() else { break };
        match one_move(database, now)? {
            Some(step) if !seen.contains(&step.new) => {
                citation.get_or_insert(step.citation);
                by = by.min(step.by);
                seen.push(step.new);
            }
            _ => break,
        }
    }
    Ok(citation
        .zip(seen.pop())
        .map(|(citation, to)| Moved { to, citation, by }))
}

/// Who says this move? A bundle of an older program does not tell of git; then it counts as a document. So does a
/// rename of a name alone, which may be that of any other file.
fn authority(database: &Connection, old: &str) -> Authority {
    let has = |table: &str| {
        database
            .prepare_cached(&format!("SELECT 1 FROM {table} WHERE old = ?1"))
            .and_then(|mut read| read.exists([old]))
            .unwrap_or(false)
    };
    if has("mapped") {
        Authority::Map
    } else if old.contains('/') && has("renamed") {
        Authority::Git
    } else {
        Authority::Document
    }
}

/// The longest known part of `path` at directory boundaries, replaced once.
fn one_move(database: &Connection, path: &str) -> Result<Option<Step>, BundleError> {
    let mut read = database.prepare_cached("SELECT new, citation FROM moved WHERE old = ?1")?;
    let ends: Vec<usize> = path
        .match_indices('/')
        .map(|(at, _)| at)
        .skip(1)
        .chain([path.len()])
        .collect();
    let starts: Vec<usize> = path
        .match_indices('/')
        .map(|(at, _)| at + 1)
        .take(64)
        .collect();
    let mut spans: Vec<(usize, usize)> = ends.iter().take(64).map(|end| (0, *end)).collect();
    for start in &starts {
        spans.extend(
            ends.iter()
                .take(64)
                .filter(|end| *end > start)
                .map(|end| (*start, *end)),
        );
    }
    // Absolute before relative, then the longest, then the leftmost.
    spans.sort_by_key(|(start, end)| (*start > 0, std::cmp::Reverse(end - start), *start));
    for (start, end) in spans {
        let part = path.get(start..end).unwrap_or("");
        let found: Option<(String, String)> = read
            .query_row([part], |row| Ok((row.get(0)?, row.get(1)?)))
            .optional()?;
        if let Some((new, citation)) = found {
            let (before, after) = (
                path.get(..start).unwrap_or(""),
                path.get(end..).unwrap_or(""),
            );
            // Moved into a subdirectory of itself: already there.
            let inside = new.starts_with(part)
                && path
                    .get(start..)
                    .is_some_and(|rest| rest.starts_with(new.as_str()));
            if !inside {
                return Ok(Some(Step {
                    new: format!("{before}{new}{after}"),
                    citation,
                    by: authority(database, part),
                }));
            }
        }
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::bundle::source::Passage;

    fn told(line: &str) -> Vec<(String, String)> {
        let mut moves = Moves::default();
        let source = Source {
            path: "CLAUDE.md".to_owned(),
            kind: "markdown",
            passages: vec![Passage::new("t", line, 7, 7)],
            ..Source::default()
        };
        moves.read_prose(&source);
        moves
            .iter()
            .map(|(old, new, _)| (old.to_owned(), new.to_owned()))
            .collect()
    }

    #[test]
    fn prose_that_tells_of_a_move() {
        let want = vec![(
            "insa-crm-platform".to_owned(),
            "platforms/insa-crm".to_owned(),
        )];
        for line in [
            "The platform moved to: `insa-crm-platform/` -> `platforms/insa-crm/`",
            "`insa-crm-platform/` was moved to `platforms/insa-crm/` in March.",
            "- insa-crm-platform/ \u{2192} platforms/insa-crm/",
            "`platforms/insa-crm/` (formerly `insa-crm-platform/`)",
            "| old | new |\n|---|---|\n| `insa-crm-platform/` | `platforms/insa-crm/` |",
        ] {
            assert_eq!(told(line), want, "{line}");
        }
        for line in [
            "see docs/a.md and docs/b.md",
            "lrwxrwxrwx 1 root root 9 /etc/localtime -> /usr/share/zoneinfo/UTC",
            "https://a.example/x -> https://b.example/y",
            "../a/b -> ../c/d",
        ] {
            assert_eq!(told(line), Vec::new(), "{line}");
        }
    }

    #[test]
    fn paths_are_replaced_at_boundaries_and_chains_end() {
        let database = Connection::open_in_memory().unwrap();
        database
            .execute_batch(super::super::format::SCHEMA)
            .unwrap();
        for (old, new) in [
            ("insa-crm-platform", "platforms/insa-crm"),
            ("/srv/a", "/srv/b"),
            ("/srv/b", "/srv/c"),
            ("x/one", "x/two"),
            ("x/two", "x/one"),
            ("deep", "deep/er"),
        ] {
            database
                .execute(
                    "INSERT INTO moved VALUES (?1, ?2, ?3)",
                    [old, new, "here:1"],
                )
                .unwrap();
        }
        database
            .execute("INSERT INTO mapped VALUES ('/srv/a')", [])
            .unwrap();
        let by = |path| moved_to(&database, path).unwrap().unwrap().by;
        assert_eq!(
            by("/srv/a/bin"),
            Authority::Document,
            "its second move is only told"
        );
        database
            .execute("INSERT INTO mapped VALUES ('/srv/b')", [])
            .unwrap();
        assert_eq!(by("/srv/a/bin"), Authority::Map);
        assert_eq!(by("/home/w/insa-crm-platform"), Authority::Document);
        for old in ["deep", "x/one", "insa-crm-platform"] {
            let rename = "INSERT INTO renamed VALUES (?1)";
            database.execute(rename, [old]).unwrap();
        }
        assert_eq!(by("/x/one/f"), Authority::Git);
        assert_eq!(
            by("/home/w/insa-crm-platform"),
            Authority::Document,
            "a name alone"
        );
        database
            .execute_batch("DROP TABLE mapped; DROP TABLE renamed")
            .unwrap();
        assert_eq!(
            by("/srv/a/bin"),
            Authority::Document,
            "a bundle of an older program"
        );
        for (path, want) in [
            (
                "/home/w/insa-crm-platform/core/run.sh",
                Some("/home/w/platforms/insa-crm/core/run.sh"),
            ),
            (
                "/home/w/insa-crm-platform",
                Some("/home/w/platforms/insa-crm"),
            ),
            ("/home/w/insa-crm-platform-old/run.sh", None),
            ("/srv/a/bin", Some("/srv/c/bin")),
            ("/srv/ab", None),
            ("/x/one/f", Some("/x/two/f")),
            ("/deep/er/f", None),
            ("", None),
            ("relative", None),
        ] {
            let got = moved_to(&database, path).unwrap();
            assert_eq!(got.as_ref().map(|one| one.to.as_str()), want, "{path}");
        }
    }
}
