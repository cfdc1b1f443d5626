//! Tables that people wrote, held against the closed lists and the shipped data that they are about.

use std::collections::BTreeSet;

use autonomous_orchestrator::{ActionKind, Cause, Class, config::Config, parse_runbooks};

use super::{Result, read};

/// The cells of each row of the table that begins with `head`.
pub fn table(file: &str, head: &str) -> std::result::Result<Vec<Vec<String>>, String> {
    let text = read(file).map_err(|why| format!("{file}: {why}"))?;
    table_in(&text, head).ok_or(format!("{file}: no table '{head}'"))
}

/// The same of a text, which may be one part of a file.
pub fn table_in(text: &str, head: &str) -> Option<Vec<Vec<String>>> {
    let rows: Vec<_> = text
        .lines()
        .skip_while(|line| !line.starts_with(head))
        .skip(2)
        .take_while(|line| line.starts_with('|'))
        .map(|line| {
            let inside = line.trim_matches('|');
            inside
                .split(" | ")
                .map(|cell| cell.trim().to_owned())
                .collect()
        })
        .collect();
    (!rows.is_empty()).then_some(rows)
}

/// What stands between backticks.
fn spans(cell: &str) -> impl Iterator<Item = &str> {
    cell.split('`').skip(1).step_by(2)
}

/// The default mode of an action, by its risk.
fn default_mode(kind: ActionKind) -> &'static str {
    let mode = Config::default().mode;
    match kind.risk().as_str() {
        "low" => mode.low,
        "medium" => mode.medium,
        _ => mode.high,
    }
    .as_str()
}

/// The modes of what the built-in runbooks allow against a class; `reported` where that is nothing.
fn modes(class: Class) -> std::result::Result<BTreeSet<&'static str>, Box<dyn std::error::Error>> {
    let shipped = read("src/core/remedy/runbooks/builtin.toml")?;
    // Only the detector of unit paths says where something moved to.
    let allowed: BTreeSet<_> = parse_runbooks("builtin.toml", &shipped)?
        .iter()
        .filter(|book| book.classes.contains(&class))
        .filter(|book| {
            let mut required = book.requires.iter().map(|key| key.as_str());
            class == Class::InvalidUnitPath || required.all(|key| key != "moved_to")
        })
        .flat_map(|book| &book.steps)
        .map(|step| default_mode(step.action))
        .collect();
    Ok(match allowed.is_empty() {
        true => BTreeSet::from(["reported"]),
        false => allowed,
    })
}

#[test]
fn each_class_has_its_row_with_what_the_runbooks_allow() -> Result {
    let head = "| class | found by | repaired by | default mode |";
    let mut left: BTreeSet<_> = Class::ALL.iter().copied().collect();
    let mut wrong = Vec::new();
    for row in table("README.md", head)? {
        let [names, _, repaired, mode] = row.as_slice() else {
            return Err(format!("README.md: {row:?} has no four cells").into());
        };
        let said: BTreeSet<_> = ["auto", "suggest", "observe", "reported"]
            .into_iter()
            .filter(|word| mode.contains(word))
            .collect();
        for name in spans(names) {
            let prefix = name.strip_suffix('*');
            let meant = |class: &Class| match prefix {
                Some(prefix) => class.as_str().starts_with(prefix),
                None => class.as_str() == name,
            };
            let meant: Vec<_> = Class::ALL.iter().copied().filter(meant).collect();
            if meant.is_empty() {
                wrong.push(format!("{name} is no class"));
            }
            for class in meant {
                if !left.remove(&class) {
                    wrong.push(format!("{class} stands twice"));
                }
                let allowed = modes(class)?;
                if said != allowed {
                    wrong.push(format!(
                        "{class}: '{mode}', but the runbooks say {allowed:?}"
                    ));
                }
                if repaired.starts_with("nothing") != allowed.contains("reported") {
                    wrong.push(format!(
                        "{class}: repaired by '{repaired}', but {allowed:?}"
                    ));
                }
            }
        }
    }
    wrong.extend(left.iter().map(|class| format!("{class} has no row")));
    assert!(wrong.is_empty(), "README.md:\n{}", wrong.join("\n"));
    Ok(())
}

#[test]
fn actions_and_causes_are_told_as_they_are() -> Result {
    let mut wrong = Vec::new();
    let rows = table(
        "docs/RUNBOOKS.md",
        "| action | does | risk | default mode |",
    )?;
    for kind in ActionKind::ALL {
        let risk = kind.risk();
        let told = rows.iter().any(|row| {
            row.first().map(String::as_str) == Some(&format!("`{}`", kind.as_str()))
                && row.get(2).is_some_and(|cell| cell.ends_with(risk.as_str()))
                && row.get(3).map(String::as_str) == Some(default_mode(*kind))
        });
        if !told {
            wrong.push(format!("docs/RUNBOOKS.md: {kind} is not told as {risk}"));
        }
    }
    let rows = table("docs/CAUSES.md", "| cause | meaning |")?;
    for cause in Cause::ALL {
        let row = [format!("`{cause}`"), cause.describe().to_owned()];
        if !rows.iter().any(|cells| cells.as_slice() == row) {
            wrong.push(format!("docs/CAUSES.md: {cause} is not told as it is"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    Ok(())
}

/// Heads of the tables of measurements, and the script that prints each.
const HEADS: &[(&str, &str, &str)] = &[
    (
        "docs/CATALOGUE.md",
        "fault | kind | found s | cause | action | works s | first green s | verified s | escalations | budget | as declared",
        "tests/e2e/catalogue_table.py",
    ),
    (
        "docs/ERRORS.md",
        "case | command | exit status | message",
        "tests/e2e/bad_input.sh",
    ),
    (
        "docs/DETECTION.md",
        "class | fixture",
        "scripts/class-table.sh",
    ),
    (
        "docs/DETECTION.md",
        "case | found after s | cause | action, or why none | verified | told | how",
        "tests/e2e/containers.py",
    ),
    (
        "docs/DETECTION.md",
        "events | median ms | p99 ms | most ms",
        "tests/e2e/latency.py",
    ),
    (
        "docs/FINGERPRINT.md",
        "rule left out | GA | FGA | hidden | tasks",
        "scripts/bench-fingerprint.sh",
    ),
    (
        "docs/FINGERPRINT.md",
        "set left out | rules the others drop | GA | FGA | hidden | tasks",
        "scripts/bench-fingerprint.sh",
    ),
    (
        "docs/FOOTPRINT.md",
        "part | bytes | of the budget",
        "tests/tools/size_table.py",
    ),
    (
        "docs/RETRIEVAL.md",
        "set | asked as | n | nDCG@10 | FTS5 | first right | FTS5 | difference of first right",
        "tests/tools/retrieval_score.py",
    ),
];

#[test]
fn tables_of_measurements_have_the_heads_that_their_scripts_print() -> Result {
    // One way to write a list, whatever the language of the script.
    let plain = |text: &str| text.replace("\", \"", " | ");
    for (file, head, script) in HEADS {
        let rest = plain(&read(script)?);
        assert!(
            read(file)?.contains(&format!("| {head} |")),
            "{file}: no table '{head}'"
        );
        assert!(
            rest.contains(head),
            "{script} no longer prints '{head}' of {file}"
        );
    }
    Ok(())
}

/// The sections that the head of `scripts/test.sh` tells of are those that it has.
#[test]
fn sections_of_the_test_script_are_told_as_they_are() -> Result {
    let script = read("scripts/test.sh")?;
    let list = |name: &str| -> Vec<String> {
        let rest = script
            .split(&format!("\n{name}=("))
            .nth(1)
            .unwrap_or_default();
        let inside = rest.split(')').next().unwrap_or_default();
        inside.split_whitespace().map(str::to_owned).collect()
    };
    let head = script.split("set -euo").next().unwrap_or_default();
    let usual = head
        .split("Sections in order:")
        .nth(1)
        .and_then(|rest| rest.split(';').next())
        .ok_or("scripts/test.sh: no list of sections")?;
    let usual: Vec<_> = usual
        .split_whitespace()
        .filter(|word| *word != "#")
        .collect();
    let long: Vec<_> = head
        .lines()
        .filter_map(|line| line.strip_prefix("#   ")?.split_whitespace().next())
        .filter(|word| !word.contains('/'))
        .collect();
    assert_eq!(list("DEFAULT"), usual);
    assert_eq!(list("LONG"), long);
    for name in list("DEFAULT").iter().chain(&list("LONG")) {
        assert!(
            script.contains(&format!("section_{name}()")),
            "no section {name}"
        );
    }
    Ok(())
}
