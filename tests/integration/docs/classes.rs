//! What a class has beside its row in `src/core/model/class.rs`: documents, a fixture, a run on real hosts. What may be
//! done about it is a runbook; a class without one says "nothing" in the table of README.md, which `tables` compares.

use std::collections::BTreeSet;

use autonomous_orchestrator::{Class, Clearing};

use super::tables::table;
use super::{Result, read};

/// Where each class has to stand, as the names that stand there.
struct Place {
    /// File, and what to add there.
    what: &'static str,
    names: BTreeSet<String>,
    /// Only classes of which nothing but lines tell, and that are not about ourselves.
    of_lines: bool,
}

/// Words as names of classes are written; `kernel_*` stands for all of that beginning.
fn words(text: &str) -> BTreeSet<String> {
    text.split(|c: char| !(c.is_ascii_lowercase() || c == '_' || c == '*'))
        .map(str::to_owned)
        .collect()
}

/// The words of one column of a table.
fn column(file: &str, head: &str, at: usize) -> std::result::Result<BTreeSet<String>, String> {
    let cells = table(file, head)?;
    let cells = cells.iter().filter_map(|row| row.get(at));
    Ok(cells.flat_map(|cell| words(cell)).collect())
}

fn places() -> std::result::Result<Vec<Place>, Box<dyn std::error::Error>> {
    let (run, replayed) = (
        read("tests/e2e/classes.py")?,
        read("tests/integration/fixtures.rs")?,
    );
    let place = |what, of_lines, names| Place {
        what,
        names,
        of_lines,
    };
    Ok(vec![
        place(
            "README.md, 'What it handles': who finds it, what a runbook does about it (or \"nothing\" and \"reported\")",
            false,
            column("README.md", "| class | found by |", 0)?,
        ),
        place(
            "docs/DETECTION.md, 'Classes': where it was raised and cleared, or why not",
            false,
            column("docs/DETECTION.md", "| class | fixture |", 0)?,
        ),
        place(
            "tests/e2e/classes.py: a row that raises and ends it, or says where it is tested",
            false,
            words(run.split("# --- the classes").nth(1).unwrap_or_default()),
        ),
        place(
            "tests/fixtures/classes/README.md: the lines that tell of it, captured or written",
            true,
            column("tests/fixtures/classes/README.md", "| file | class |", 1)?,
        ),
        place(
            "tests/integration/fixtures.rs: the replay of those lines",
            true,
            words(&replayed),
        ),
    ])
}

/// The places where a class does not stand yet.
fn lacks<'a>(name: &str, of_lines: bool, places: &'a [Place]) -> Vec<&'a str> {
    let stands = |place: &&Place| {
        let meant = |word: &String| match word.strip_suffix('*') {
            Some(start) => !start.is_empty() && name.starts_with(start),
            None => word == name,
        };
        place.names.iter().any(meant)
    };
    places
        .iter()
        .filter(|place| of_lines || !place.of_lines)
        .filter(|place| !stands(place))
        .map(|place| place.what)
        .collect()
}

#[test]
fn a_class_says_what_it_still_lacks() -> Result {
    let places = places()?;
    let mut missing = Vec::new();
    for class in Class::ALL {
        let name = class.as_str();
        let of_lines = class.clearing() != Clearing::Sweep && !name.starts_with("self_");
        let lacks = lacks(name, of_lines, &places);
        missing.extend(lacks.iter().map(|what| format!("{name}: {what}")));
    }
    assert!(missing.is_empty(), "still lacking:\n{}", missing.join("\n"));
    // One that nobody has written down anywhere is missed at every place.
    assert_eq!(lacks("no_such_class", true, &places).len(), places.len());
    assert_eq!(lacks("no_such_class", false, &places).len(), 3);
    Ok(())
}
