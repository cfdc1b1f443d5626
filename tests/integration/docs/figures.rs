//! Figures that stand in more than one place, held against the table or the files that they are of.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use super::tables::{table, table_in};
use super::{Result, read};
use crate::cli_tool::run;

const CATALOGUE: &str = "docs/CATALOGUE.md";
const EXAMS: &str =
    "| exam | right at the first run | nothing to do | told once | repaired | claimed | revision |";
const BEGAN: &str = "| program | own catalogue | written elsewhere | of these hands-off untouched | of these claimed as fixed though not so |";
const BESIDE: &str = "| fault | kind | ours | Monit, cycle 1 s | Restart=on-failure |";
const TIMES: &str = "| setting | shipped | here |";
/// How the README writes a count of exams.
const COUNTS: [&str; 17] = [
    "No", "One", "Two", "Three", "Four", "Five", "Six", "Seven", "Eight", "Nine", "Ten", "Eleven",
    "Twelve", "Thirteen", "Fourteen", "Fifteen", "Sixteen",
];

type Kinds = BTreeMap<String, String>;

/// The faults of a folder, by name, with their kind.
fn kinds(folder: &str) -> std::result::Result<Kinds, Box<dyn std::error::Error>> {
    let mut kinds = Kinds::new();
    for entry in fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join(folder))? {
        let path = entry?.path();
        if path.extension().is_none_or(|ending| ending != "toml") {
            continue;
        }
        let text = fs::read_to_string(&path)?;
        let kind = text
            .lines()
            .find_map(|line| line.strip_prefix("kind = \""))
            .ok_or(format!("{}: no kind", path.display()))?;
        let name = path.file_stem().unwrap_or_default().to_string_lossy();
        kinds.insert(name.into_owned(), kind.trim_end_matches('"').to_owned());
    }
    Ok(kinds)
}

/// A text with each run of white space as one blank.
fn flat(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn cell(row: &[String], at: usize) -> std::result::Result<&str, String> {
    let cell = row.get(at).map(String::as_str);
    cell.ok_or(format!("{row:?} has no cell {at}"))
}

#[test]
fn what_the_readme_says_of_the_catalogue_was_measured() -> Result {
    let (readme, measured) = (flat(&read("README.md")?), read(CATALOGUE)?);
    let kinds = kinds("tests/catalogue")?;
    let faults = kinds.len();
    let hands_off = kinds.values().filter(|kind| *kind == "hands-off").count();
    let after = |mark: &str| -> std::result::Result<&str, String> {
        let rest = measured.split(mark).nth(1).unwrap_or_default();
        let end = rest.find(['(', ',', '\n']).unwrap_or(rest.len());
        rest.get(..end)
            .map(str::trim)
            .filter(|part| !part.is_empty())
            .ok_or(format!("{CATALOGUE}: no '{mark}'"))
    };
    // "35 of 36" is told as "35 of the 36".
    let told = |share: &str| share.replacen(" of ", " of the ", 1);
    let wanted = [
        format!("Of {faults} scripted faults"),
        format!(": {faults} scripted faults on a real systemd"),
        told(after("of all, ")?),
        told(after("nothing forbidden done: ")?),
        told(after("hands off, untouched: ")?),
        format!("{} in the median", after("kill -> works again: median ")?),
        format!("as declared {}", after(", as declared ")?),
    ];
    let missing: Vec<_> = wanted.iter().filter(|one| !readme.contains(*one)).collect();
    assert!(missing.is_empty(), "README.md does not say: {missing:?}");
    let wanted = [
        format!("holds {faults} scripted faults"),
        format!("today's {faults} are more than it holds"),
        format!("{hands_off} where doing nothing is"),
    ];
    let measured = flat(&measured);
    let missing: Vec<_> = wanted
        .iter()
        .filter(|one| !measured.contains(*one))
        .collect();
    assert!(missing.is_empty(), "{CATALOGUE} does not say: {missing:?}");
    Ok(())
}

#[test]
fn what_the_readme_says_of_faults_written_elsewhere_was_measured() -> Result {
    let rows = table(CATALOGUE, BEGAN)?;
    let (Some(first), Some(now)) = (rows.first(), rows.last()) else {
        return Err(format!("{CATALOGUE}: '{BEGAN}' has no rows").into());
    };
    let (right, all) = cell(now, 2)?.split_once(" of ").ok_or("no share")?;
    let (before, _) = cell(first, 2)?.split_once(" of ").ok_or("no share")?;
    let (untouched, hands_off) = cell(now, 3)?.split_once(" of ").ok_or("no share")?;
    let left_alone = match untouched == hands_off {
        true => format!("the {hands_off} that nobody should touch are left alone"),
        false => format!("{untouched} of the {hands_off} that nobody should touch are left alone"),
    };
    let claimed = match cell(now, 4)? {
        "0" => "none",
        some => some,
    };
    let wanted = format!(
        "Of {all} written without knowledge of it {right} go as declared ({before} did at first), \
         {claimed} is claimed as fixed though not so, and {left_alone}."
    );
    assert!(
        flat(&read("README.md")?).contains(&wanted),
        "README.md: {wanted}"
    );
    let total = format!("as declared {} (", cell(now, 1)?);
    assert!(read(CATALOGUE)?.contains(&total), "{CATALOGUE}: {total}");
    Ok(())
}

#[test]
fn what_the_readme_says_of_the_exams_was_measured() -> Result {
    let mut shares = BTreeSet::new();
    let rows = table(CATALOGUE, EXAMS)?;
    for row in &rows {
        let share = cell(row, 1)?
            .split_once(" (")
            .and_then(|(_, rest)| rest.split_once(" %)"));
        let (share, _) = share.ok_or(format!("{CATALOGUE}: {row:?}: no share"))?;
        shares.insert(share.parse::<u8>()?);
    }
    let count = COUNTS
        .get(rows.len())
        .ok_or("more exams than words for them")?;
    let (Some(least), Some(most)) = (shares.first(), shares.last()) else {
        return Err(format!("{CATALOGUE}: no exams").into());
    };
    let wanted = format!("{count} exams written blind were right at {least} to {most} %");
    assert!(
        flat(&read("README.md")?).contains(&wanted),
        "README.md: {wanted}"
    );
    Ok(())
}

/// The text before a table of Monit and Restart= beside ours counts what stands in it, and its faults are still of
/// that kind.
#[test]
fn tables_beside_others_are_counted_and_of_faults_as_they_are_declared() -> Result {
    let text = read(CATALOGUE)?;
    for (title, folder) in [
        ("## Other people's lists", "tests/third-party"),
        ("### Beside Monit and Restart=on-failure", "tests/catalogue"),
    ] {
        let part = text.split(title).nth(1).ok_or(format!("no '{title}'"))?;
        let rows = table_in(part, BESIDE).ok_or(format!("{title}: no table"))?;
        let before = flat(part.split(BESIDE).next().unwrap_or_default());
        let (kinds, mut fixable, mut work) = (kinds(folder)?, 0, [0; 3]);
        for row in &rows {
            let (name, kind) = (cell(row, 0)?, cell(row, 1)?);
            assert_eq!(
                kinds.get(name).map(String::as_str),
                Some(kind),
                "{title}: {name}"
            );
            fixable += usize::from(kind == "fixable");
            for (at, count) in work.iter_mut().enumerate() {
                *count += usize::from(cell(row, at + 2)?.starts_with("works after "));
            }
        }
        let [ours, monit, restart] = work;
        let wanted = format!("ours {ours}, Monit {monit}, Restart=on-failure {restart}");
        assert!(before.contains(&wanted), "{title}: {wanted}");
        assert!(
            before.contains(&format!("Of the {fixable} fixable ones")),
            "{title}: {fixable}"
        );
    }
    Ok(())
}

#[test]
fn times_that_the_judge_shortens_are_told() -> Result {
    let script = read("tests/e2e/catalogue.py")?;
    let inside = script
        .split("\nCONFIG = {")
        .nth(1)
        .and_then(|rest| rest.split("\n}").next())
        .ok_or("tests/e2e/catalogue.py: no CONFIG")?;
    let mut left: BTreeSet<_> = inside
        .split('"')
        .filter(|word| word.ends_with("_s"))
        .collect();
    let shipped = run(&["config", "default"]).out;
    let rows = table(CATALOGUE, TIMES)?;
    for row in &rows {
        let (key, by_default, here) = (cell(row, 0)?, cell(row, 1)?, cell(row, 2)?);
        assert!(
            shipped.contains(&format!("\n#{key} = {by_default}\n")),
            "{CATALOGUE}: {key}, as shipped"
        );
        assert!(
            inside.contains(&format!("\"{key}\": {here},")),
            "{CATALOGUE}: {key}, here"
        );
        left.remove(key);
    }
    assert!(left.is_empty(), "{CATALOGUE} does not tell: {left:?}");
    Ok(())
}

/// What `scripts/bench-channels.sh` wrote down: every kind of channel, nothing lost, no secret found.
#[test]
fn each_kind_of_channel_was_tried() -> Result {
    let file = "docs/NOTIFY.md";
    let kinds: BTreeSet<String> = table(file, "| kind | what it needs |")?
        .iter()
        .filter_map(|row| row.first()?.split('`').nth(1).map(str::to_owned))
        .collect();
    let rows = table(file, "| channel | peer | told once |")?;
    let mut tried = BTreeSet::new();
    for row in &rows {
        assert_eq!(cell(row, 2)?, "1", "{file}: told once: {row:?}");
        assert_eq!(cell(row, 6)?, "0", "{file}: secrets found: {row:?}");
        let name = cell(row, 0)?;
        if name != "alertmanager" {
            assert_eq!(cell(row, 4)?, "1, 1, 2, 2", "{file}: kills: {row:?}");
            tried.insert(name.to_owned());
        }
    }
    assert_eq!(kinds, tried, "{file}");
    Ok(())
}
