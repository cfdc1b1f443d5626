//! What the documents name is there: files, folders, scripts with their sections, modules and functions.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use super::{Result, documents, read};
use crate::source::{Token, sources, tokens};

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Folders below which a path in a document is one of the repository's, and those of `src`.
const FOLDERS: &[&str] = &["src", "tests", "scripts", "docs", "benches"];

/// The modules of the program, each with its file or folder.
fn layers() -> std::io::Result<BTreeSet<String>> {
    let mut names = BTreeSet::new();
    for entry in fs::read_dir(root().join("src"))? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            names.insert(entry.file_name().to_string_lossy().into_owned());
        }
    }
    Ok(names)
}

/// Every word of the program's source and tests.
fn words() -> std::result::Result<BTreeSet<String>, Box<dyn std::error::Error>> {
    let mut files = Vec::new();
    for folder in ["src", "tests/integration"] {
        sources(&root().join(folder), &mut files)?;
    }
    let mut found = BTreeSet::new();
    for file in files {
        for (_, token) in tokens(&fs::read_to_string(file)?) {
            if let Token::Word(word) = token {
                found.insert(word);
            }
        }
    }
    Ok(found)
}

/// The code spans of a document outside its fenced blocks.
fn spans(text: &str) -> Vec<&str> {
    let outside = text.split("```").step_by(2);
    outside
        .flat_map(|part| part.lines())
        .flat_map(|line| line.split('`').skip(1).step_by(2))
        .collect()
}

/// Where a module path leads: its file or folder, and what is left of it.
fn walk<'a>(path: &'a [&'a str]) -> (PathBuf, &'a [&'a str]) {
    let mut at = root().join("src");
    for (done, part) in path.iter().enumerate() {
        let (folder, file) = (at.join(part), at.join(format!("{part}.rs")));
        if folder.is_dir() {
            at = folder;
        } else if file.is_file() {
            return (file, path.get(done + 1..).unwrap_or_default());
        } else {
            return (at, path.get(done..).unwrap_or_default());
        }
    }
    (at, &[])
}

fn holds(place: &Path, word: &str) -> std::io::Result<bool> {
    // A module with files of its own stands in its folder or beside it.
    let inside = place.join("mod.rs");
    let file = match (place.is_dir(), inside.is_file()) {
        (true, true) => inside,
        (true, false) => place.with_extension("rs"),
        (false, _) => place.to_owned(),
    };
    let found = tokens(&fs::read_to_string(file)?);
    Ok(found
        .iter()
        .any(|(_, token)| *token == Token::Word(word.to_owned())))
}

#[test]
fn modules_and_functions_are_there() -> Result {
    let (layers, words) = (layers()?, words()?);
    let mut wrong = Vec::new();
    for file in documents()? {
        for span in spans(&read(&file)?) {
            let is_path = span.contains("::")
                && span
                    .chars()
                    .all(|c| c.is_alphanumeric() || "_:".contains(c));
            let path: Vec<_> = span.split("::").filter(|part| !part.is_empty()).collect();
            let (Some(first), Some(last)) = (path.first(), path.last()) else {
                continue;
            };
            let good = if !is_path {
                true
            } else if layers.contains(*first) {
                match walk(&path) {
                    (_, []) => true,
                    (place, [name, ..]) => holds(&place, name)? && words.contains(*last),
                }
            } else {
                path.iter().all(|part| words.contains(*part))
            };
            if !good {
                wrong.push(format!("{file}: `{span}`"));
            }
        }
    }
    assert!(wrong.is_empty(), "not in the source:\n{}", wrong.join("\n"));
    Ok(())
}

/// Paths in prose and in blocks, without what stands for something (`NAME.rs`, `*.toml`).
fn paths(text: &str) -> impl Iterator<Item = &str> {
    let marks = |c: char| !(c.is_ascii_alphanumeric() || "/._-*…".contains(c));
    text.split(marks)
        .map(|word| word.trim_end_matches(['.', '…']))
        .filter(|word| {
            let name = word.rsplit('/').find(|part| !part.is_empty());
            word.contains('/')
                && !word.contains(['*', '…'])
                && name.is_some_and(|name| name.contains(|c: char| c.is_ascii_lowercase()))
                && !word.split('/').any(|part| part.starts_with("NAME"))
        })
}

#[test]
fn files_and_sections_are_there() -> Result {
    let layers = layers()?;
    let script = read("scripts/test.sh")?;
    let mut wrong = Vec::new();
    for file in documents()? {
        let text = read(&file)?;
        for path in paths(&text) {
            let first = path.split('/').next().unwrap_or_default();
            let there = if FOLDERS.contains(&first) {
                root().join(path).exists()
            } else if layers.contains(first) && path.ends_with(".rs") {
                root().join("src").join(path).exists()
            } else {
                true
            };
            if !there {
                wrong.push(format!("{file}: {path}"));
            }
        }
        for rest in text.split("scripts/test.sh").skip(1) {
            let line = rest.split(['\n', '`']).next().unwrap_or_default();
            let words = line
                .split('#')
                .next()
                .unwrap_or_default()
                .split_whitespace();
            for word in words.filter(|word| word.chars().all(|c| c.is_ascii_alphanumeric())) {
                if rest.starts_with(' ') && !script.contains(&format!("section_{word}()")) {
                    wrong.push(format!("{file}: scripts/test.sh {word}"));
                }
            }
        }
    }
    assert!(
        wrong.is_empty(),
        "named, but not there:\n{}",
        wrong.join("\n")
    );
    Ok(())
}

/// ARCHITECTURE.md draws the house: each folder of `src` and each room of the core has a row in its maps, and
/// what a row names is in that folder.
#[test]
fn the_map_is_the_house() -> Result {
    let text = read("ARCHITECTURE.md")?;
    let map = text
        .split("\n## The map of")
        .nth(1)
        .and_then(|rest| rest.split("\n## ").next())
        .ok_or("ARCHITECTURE.md: no map")?;
    let mut left: BTreeSet<String> = layers()?
        .into_iter()
        .map(|name| format!("{name}/"))
        .collect();
    for entry in fs::read_dir(root().join("src/core"))? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            left.insert(format!("core/{}/", entry.file_name().to_string_lossy()));
        }
    }
    let mut wrong = Vec::new();
    for row in map.lines().filter(|line| line.starts_with("| `")) {
        let mut spans = row.split('`').skip(1).step_by(2);
        let folder = spans.next().unwrap_or_default();
        left.remove(folder);
        for name in spans.filter(|name| name.chars().all(|c| c.is_ascii_lowercase() || c == '_')) {
            let place = root().join("src").join(folder);
            if !place.join(name).is_dir() && !place.join(format!("{name}.rs")).is_file() {
                wrong.push(format!("{folder}{name} is not there"));
            }
        }
        if !root().join("src").join(folder).is_dir() {
            wrong.push(format!("{folder} is not there"));
        }
    }
    wrong.extend(left.iter().map(|folder| format!("{folder} has no row")));
    assert!(wrong.is_empty(), "ARCHITECTURE.md:\n{}", wrong.join("\n"));
    Ok(())
}
