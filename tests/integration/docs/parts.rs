//! Parts of the documents that the program can write itself: what it prints, and tables made from its help.
//! `UPDATE_DOCS=1 cargo test --test integration docs` writes them anew.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::sync::Mutex;

use super::{Result, read};
use crate::cli_tool::run;

/// Two tests that bring the same document up to date must not undo each other.
static WRITING: Mutex<()> = Mutex::new(());

/// Compares what stands between `<!-- NAME: begin -->` and `<!-- NAME: end -->` with what belongs there;
/// `unlike` tells how the two differ.
pub fn compare(
    file: &str,
    name: &str,
    fresh: &str,
    unlike: impl Fn(&str, &str) -> Vec<String>,
) -> Result {
    let _one = WRITING.lock().map_err(|_| "another test failed")?;
    let text = read(file)?;
    let begin = format!("<!-- {name}: begin -->\n");
    let end = format!("<!-- {name}: end -->");
    let (before, rest) = text
        .split_once(&begin)
        .ok_or(format!("{file}: no {begin}"))?;
    let (written, after) = rest.split_once(&end).ok_or(format!("{file}: no {end}"))?;
    let differs = unlike(written, fresh);
    if differs.is_empty() {
        return Ok(());
    }
    if std::env::var_os("UPDATE_DOCS").is_some() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(file);
        return Ok(fs::write(
            path,
            format!("{before}{begin}{fresh}{end}{after}"),
        )?);
    }
    let differs = differs.join("\n");
    Err(format!("{file}: '{name}' is stale (UPDATE_DOCS=1 writes it anew):\n{differs}").into())
}

/// The lines of each that the other lacks.
pub fn lines(old: &str, new: &str) -> Vec<String> {
    let lacks = |sign: char, own: &str, other: &str| {
        let other: Vec<_> = other.lines().collect();
        let alone = own.lines().filter(|line| !other.contains(line));
        alone
            .map(|line| format!("{sign} {line}"))
            .collect::<Vec<_>>()
    };
    let mut all = lacks('-', old, new);
    all.extend(lacks('+', new, old));
    if all.is_empty() && old != new {
        all.push("another order".to_owned());
    }
    all
}

/// The rows below a title of a help page, as its two columns.
fn rows(page: &str, title: &str) -> Vec<(String, String)> {
    let title = format!("{title}:");
    page.lines()
        .skip_while(|line| **line != title)
        .skip(1)
        .take_while(|line| line.starts_with("  "))
        .map(|line| {
            let (name, means) = line.trim().split_once("  ").unwrap_or((line.trim(), ""));
            (name.replace('|', "\\|"), means.trim().replace('|', "\\|"))
        })
        .collect()
}

fn table(head: &[&str], rows: &[Vec<String>]) -> String {
    let mut text = format!("| {} |\n{}|\n", head.join(" | "), "|---".repeat(head.len()));
    for row in rows {
        let _ = writeln!(text, "| {} |", row.join(" | ").replace("|  |", "| |"));
    }
    text
}

fn code(text: &str) -> String {
    format!("`{text}`")
}

#[test]
fn exit_codes_are_those_of_the_help() -> Result {
    let codes: Vec<_> = rows(&run(&["help"]).out, "Exit codes")
        .into_iter()
        .map(|(code, means)| vec![code, means])
        .collect();
    assert!(codes.len() > 5, "{codes:?}");
    let fresh = table(&["code", "meaning"], &codes);
    for file in ["README.md", "docs/CLI.md"] {
        compare(file, "exit codes", &fresh, lines)?;
    }
    Ok(())
}

#[test]
fn the_reference_is_the_help() -> Result {
    let all = run(&["help"]).out;
    let options = |rows: Vec<(String, String)>| -> Vec<Vec<String>> {
        let cells = |(name, means): (String, String)| vec![code(&name), means];
        rows.into_iter().map(cells).collect()
    };
    let global = options(rows(&all, "Options of every command"));
    let (mut usages, mut own) = (Vec::new(), Vec::new());
    for (name, brief) in rows(&all, "Commands") {
        let page = run(&["help", &name]).out;
        let mut brief = brief.as_str();
        for (usage, json) in rows(&page, "Usage") {
            let usage = usage.replace("autonomous-orchestrator ", "");
            let json = json.replace("--json: ", "");
            usages.push(vec![
                code(&usage),
                json,
                std::mem::take(&mut brief).to_owned(),
            ]);
        }
        for mut row in options(rows(&page, "Options")) {
            row.insert(0, code(&name));
            own.push(row);
        }
    }
    assert!(usages.len() > 20 && own.len() > 20 && global.len() > 5);
    for (name, head, rows) in [
        ("options", &["option", "meaning"][..], global),
        ("commands", &["command", "`--json`", "what it does"], usages),
        (
            "options of one command",
            &["command", "option", "meaning"],
            own,
        ),
    ] {
        compare("docs/CLI.md", name, &table(head, &rows), lines)?;
    }
    Ok(())
}
