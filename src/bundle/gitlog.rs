//! History of a repository: each commit a snippet with the paths it touched, renames as moves.

use std::path::Path;
use std::time::Duration;

use super::error::LeftOut;
use super::moves::{MoveTold, Moves};
use super::source::{Passage, Source, one_line, sha256_hex, without_secrets};
use crate::core::human::redact::Redactor;
use crate::core::model::sorted::SortedMap;
use crate::core::model::time::Timestamp;
use crate::host::Host;
use crate::host::exec::{Command, OUTPUT_CAP};

/// Commits of one call; a page's output stays below what a child may print.
const PAGE: usize = 500;
const PAGES_MAX: usize = 20;
const DEADLINE: Duration = Duration::from_secs(120);
/// Paths named in one commit's snippet.
const PATHS_SHOWN: usize = 40;

/// A repository's own configuration may be anybody's and can name programs to run. What `log` could run is
/// switched off: file monitors, hooks, external and text-converting diffs, signature checks, and what would be
/// fetched for a partial clone or a submodule, by whatever transport.
const CONFIGURED: [&str; 18] = [
    "-c",
    "core.quotePath=false",
    "-c",
    "core.fsmonitor=false",
    "-c",
    "core.hooksPath=/dev/null",
    "-c",
    "core.sshCommand=false",
    "-c",
    "protocol.allow=never",
    "-c",
    "diff.external=",
    "-c",
    "log.showSignature=false",
    "-c",
    "submodule.recurse=false",
    "-c",
    "diff.submodule=short",
];
const PRINTED: [&str; 7] = [
    "--no-color",
    "--no-ext-diff",
    "--no-textconv",
    "--ignore-submodules=all",
    "--find-renames=50%",
    "--name-status",
    "--format=%x01%h%x00%ct%x00%B%x02",
];
/// A repository can allow a single transport again; this list, which names none, cannot be widened by it.
const GIT_ENVIRONMENT: [(&str, &str); 6] = [
    ("GIT_CONFIG_NOSYSTEM", "1"),
    ("GIT_CONFIG_GLOBAL", "/dev/null"),
    ("GIT_ALLOW_PROTOCOL", "none"),
    ("GIT_NO_LAZY_FETCH", "1"),
    ("GIT_TERMINAL_PROMPT", "0"),
    ("GIT_OPTIONAL_LOCKS", "0"),
];

/// One commit as git prints it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Commit {
    hash: String,
    date: String,
    message: String,
    paths: Vec<String>,
    renames: Vec<(String, String)>,
}

/// Reads the newest commits of `repository`; the reason when it cannot be read (no git, no repository).
pub(super) fn read(
    repository: &Path,
    redactor: &Redactor,
    moves: &mut Moves,
) -> Result<Vec<Source>, LeftOut> {
    let mut commits = Vec::new();
    for page in 0..PAGES_MAX {
        let text = page_of(repository, page)?;
        let cut_off = text.len() >= OUTPUT_CAP;
        let mut found = parse(&text);
        if cut_off {
            found.pop();
        }
        let full = found.len() == PAGE;
        commits.extend(found);
        if !full {
            break;
        }
    }
    for (old, new, hash) in moved(&commits) {
        moves.add(
            MoveTold::Git,
            &old,
            &new,
            &format!("{}@{hash}", repository.display()),
        );
    }
    Ok(commits
        .iter()
        .filter_map(|commit| source(repository, redactor, commit))
        .collect())
}

fn page_of(repository: &Path, page: usize) -> Result<String, LeftOut> {
    let at = repository.to_string_lossy();
    let (count, skip) = (
        format!("--max-count={PAGE}"),
        format!("--skip={}", page * PAGE),
    );
    let owner = format!("safe.directory={at}");
    let args = [
        &["-C", &at, "-c", &owner] as &[&str],
        &CONFIGURED,
        &["--no-pager", "log", &count, &skip],
        &PRINTED,
    ]
    .concat();
    let command = Command::new("git", &args, DEADLINE).knowing(&GIT_ENVIRONMENT);
    let output = Host::real().run_command(&command).map_err(LeftOut::Git)?;
    match output.status {
        0 => Ok(output.text()),
        _ => Err(LeftOut::GitRefused(output.reason())),
    }
}

fn parse(text: &str) -> Vec<Commit> {
    text.split('\u{1}').skip(1).filter_map(parse_one).collect()
}

fn parse_one(record: &str) -> Option<Commit> {
    let (head, files) = record.split_once('\u{2}')?;
    let mut fields = head.splitn(3, '\0');
    let mut commit = Commit {
        hash: fields.next()?.to_owned(),
        date: utc(fields.next()?)?,
        message: fields.next()?.trim().to_owned(),
        ..Commit::default()
    };
    for line in files.lines() {
        let mut parts = line.split('\t');
        match (
            parts.next().and_then(|status| status.chars().next()),
            parts.next(),
            parts.next(),
        ) {
            (Some('R'), Some(old), Some(new)) => {
                commit.paths.push(format!("{old} -> {new}"));
                commit.renames.push((old.to_owned(), new.to_owned()));
            }
            (Some(_), Some(path), _) => commit.paths.push(path.to_owned()),
            _ => {}
        }
    }
    Some(commit)
}

/// Seconds since 1970 as `2026-03-01T09:00:00Z`: all of a bundle's times compare.
fn utc(seconds: &str) -> Option<String> {
    let millis = seconds.trim().parse::<i64>().ok()?.checked_mul(1000)?;
    let text = Timestamp::from_millis(millis).to_string();
    Some(format!("{}Z", text.get(..19)?.replace(' ', "T")))
}

fn source(repository: &Path, redactor: &Redactor, commit: &Commit) -> Option<Source> {
    let subject = commit.message.lines().next().unwrap_or("");
    let mut text = format!("{} {}\n", commit.date, commit.message);
    if !commit.paths.is_empty() {
        let shown: Vec<&str> = commit
            .paths
            .iter()
            .take(PATHS_SHOWN)
            .map(String::as_str)
            .collect();
        text.push_str(&format!("\ntouched: {}", shown.join(", ")));
        if let Some(more) = commit
            .paths
            .len()
            .checked_sub(PATHS_SHOWN)
            .filter(|more| *more > 0)
        {
            text.push_str(&format!(" and {more} more"));
        }
    }
    let (text, redacted) = without_secrets(redactor, &text)?;
    let (title, _) = without_secrets(redactor, subject)?;
    let mut passage = Passage::new(&title, &text, 0, 0);
    passage.key = one_line(&format!("{}@{}", repository.display(), commit.hash));
    Some(Source {
        path: passage.key.clone(),
        kind: "git",
        revision: one_line(&format!("{} {}", commit.hash, commit.date)),
        sha256: sha256_hex(text.as_bytes()),
        bytes: text.len() as u64,
        redacted,
        passages: vec![passage],
    })
}

/// Renames of files, and of the directories that several of them (or the only one) have in common.
/// Newest first, so that the newest place wins.
fn moved(commits: &[Commit]) -> Vec<(String, String, String)> {
    let mut out = Vec::new();
    for commit in commits {
        let mut directories: SortedMap<&str, SortedMap<&str, usize>> = SortedMap::new();
        for (old, new) in &commit.renames {
            out.push((old.clone(), new.clone(), commit.hash.clone()));
            if let Some((from, to)) = without_common_end(old, new) {
                *directories.entry(from).or_default().entry(to).or_default() += 1;
            }
        }
        for (from, targets) in directories {
            let all: usize = targets.values().sum();
            // One directory split over several places has no single new one.
            if let Some((to, count)) = targets.iter().max_by_key(|(_, count)| **count)
                && count * 5 >= all * 3
            {
                out.push((from.to_owned(), (*to).to_owned(), commit.hash.clone()));
            }
        }
    }
    out
}

/// `a/b/f` and `c/d/b/f` without their common end: `a` and `c/d`.
fn without_common_end<'a>(old: &'a str, new: &'a str) -> Option<(&'a str, &'a str)> {
    let (mut from, mut to) = (old, new);
    while let (Some((a, x)), Some((b, y))) = (from.rsplit_once('/'), to.rsplit_once('/')) {
        if x != y {
            break;
        }
        (from, to) = (a, b);
    }
    (from.len() < old.len() && from != to).then_some((from, to))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing)]
    use super::*;

    const LOG: &str = "\u{1}abc1234\0\x31772355600\0Move the platform\n\nUnits follow later.\n\u{2}\n\nR100\tinsa-crm-platform/core/app.py\tplatforms/insa-crm/core/app.py\nR097\tinsa-crm-platform/run.sh\tplatforms/insa-crm/run.sh\nM\tREADME.md\n\u{1}def\0\x31769936400\0First\n\u{2}\nA\tREADME.md\n";

    #[test]
    fn commits_and_renames_are_read() {
        let commits = parse(LOG);
        assert_eq!(commits.len(), 2);
        assert_eq!(
            (
                commits[0].hash.as_str(),
                commits[0].paths.len(),
                commits[0].renames.len()
            ),
            ("abc1234", 3, 2)
        );
        let moved = moved(&commits);
        assert!(moved.contains(&(
            "insa-crm-platform".to_owned(),
            "platforms/insa-crm".to_owned(),
            "abc1234".to_owned()
        )));
        let made = source(Path::new("/opt/r"), &Redactor::new(), &commits[0]).unwrap();
        assert_eq!(made.path, "/opt/r@abc1234");
        assert!(
            made.passages[0]
                .text
                .contains("touched: insa-crm-platform/core/app.py -> platforms")
        );
    }

    #[test]
    fn what_a_repository_configures_is_not_run() {
        let dir = tempfile::tempdir().unwrap();
        let (at, marks) = (dir.path().join("r"), dir.path().join("marks"));
        let git = |args: &[&str]| {
            let at = at.to_string_lossy().into_owned();
            let own = ["-C", &at, "-c", "user.name=n", "-c", "user.email=e"];
            let args = [&own as &[&str], args].concat();
            let done = Host::real().run("git", &args, DEADLINE);
            done.is_ok_and(|out| out.success())
        };
        std::fs::create_dir(&at).unwrap();
        std::fs::create_dir(&marks).unwrap();
        if !git(&["init", "-q"]) {
            println!("skipped: no git here");
            return;
        }
        std::fs::write(at.join("a"), "one\n").unwrap();
        std::fs::write(at.join(".gitattributes"), "* diff=evil filter=evil\n").unwrap();
        assert!(git(&["add", "."]) && git(&["commit", "-qm", "first"]));
        let run = |name: &str| format!("sh -c 'touch {}/{name}'", marks.display());
        for key in [
            "core.fsmonitor",
            "core.pager",
            "pager.log",
            "core.sshCommand",
            "diff.external",
            "diff.evil.command",
            "diff.evil.textconv",
            "filter.evil.clean",
            "filter.evil.smudge",
            "gpg.program",
            "core.alternateRefsCommand",
        ] {
            assert!(git(&["config", key, &run(key)]), "{key}");
        }
        for (key, value) in [
            ("log.showSignature", "true"),
            ("core.repositoryformatversion", "1"),
            ("extensions.partialClone", "evil"),
            ("remote.evil.promisor", "true"),
            ("remote.evil.url", &format!("ext::{}", run("fetched"))),
            ("protocol.ext.allow", "always"),
        ] {
            assert!(git(&["config", key, value]), "{key}");
        }
        // A blob that is missing would be fetched from the promisor.
        let blob = at.join(".git/objects/56/26abf0f72e58d7a153368ba57db4c673c0e171");
        std::fs::remove_file(blob).unwrap();
        let _ = page_of(&at, 0);
        let left: Vec<_> = std::fs::read_dir(&marks).unwrap().flatten().collect();
        assert!(left.is_empty(), "{left:?}");
    }

    #[test]
    fn a_split_directory_has_no_single_new_place() {
        let commit = Commit {
            renames: vec![
                ("a/x".to_owned(), "b/x".to_owned()),
                ("a/y".to_owned(), "c/y".to_owned()),
            ],
            ..Commit::default()
        };
        assert_eq!(moved(&[commit]).len(), 2, "only the files");
    }

    #[test]
    fn garbage_gives_no_commits() {
        for text in [
            "",
            "\u{1}",
            "\u{1}a\0b\u{2}",
            "fatal: not a git repository",
            "\u{2}\u{1}\u{2}",
        ] {
            assert!(parse(text).is_empty(), "{text:?}");
        }
    }
}
