//! `probe test`, `rule test` and `runbook test`: what a piece of configuration would do, before it is relied on.

use std::path::Path;

use serde_json::Value;

use crate::cli::error::{CliError, ErrorKind, Exit};
use crate::cli::globals::{Globals, read_capped};
use crate::cli::recorded::{self, TriedLine};
use crate::cli::table::{Cell, Table, Tone};
use crate::cli::tasks::unknown_word;
use crate::cli::typed::Typed;
use crate::cli::{shape, wire};
use crate::core::model::cause::Cause;
use crate::core::model::finding::Severity;
use crate::core::model::object::object;
use crate::core::remedy::patience::Told;
use crate::core::remedy::runbook;

/// Lines of a file that are tried.
const LINES_MOST: usize = 1_000;

fn only_test(of: &'static str, typed: &Typed) -> Result<(), CliError> {
    match typed.word(0) {
        Some("test") => Ok(()),
        word => Err(unknown_word(of, word, &["test"])),
    }
}

fn read(file: &Path) -> Result<String, CliError> {
    read_capped(file).map_err(|why| {
        let what = format!("{}: cannot be read", file.display());
        CliError::file(what, why, "check the path and your permission")
    })
}

/// Asks each probe once, now.
pub(super) fn probe(typed: &Typed, globals: &Globals) -> Result<Exit, CliError> {
    only_test("probe", typed)?;
    typed.at_most(2)?;
    let config = globals.proven_config()?;
    let name = typed.word(1);
    let known: Vec<&str> = config.probe.iter().map(|one| one.name.as_str()).collect();
    if let Some(name) = name.filter(|name| !known.contains(name)) {
        let hint = match known.is_empty() {
            true => "none is configured: add a [[probe]]".to_owned(),
            false => format!("there are {}", known.join(", ")),
        };
        return Err(CliError::usage(format!("there is no probe '{name}'")).hint(hint));
    }
    let asked = wire::ask_probes(&globals.host(), &config, name);
    let mut table = Table::new(&["PROBE", "ANSWER", "MS", "COUNTS", "REPAIRS", "MESSAGE"]);
    let mut json = Vec::new();
    let mut failed = false;
    for one in &asked {
        failed |= one.failed.is_some();
        let probe = &one.probe;
        let counts = format!(
            "after {} x {} s",
            probe.failures.max(1),
            probe.interval_s.max(1)
        );
        let (answer, what) = match &one.failed {
            None => (Cell::new("ok", Tone::Good), ""),
            Some((severity, what)) => (shape::severity_cell(*severity), what.as_str()),
        };
        let unit = match probe.unit.as_str() {
            "" => "nothing: it names no unit",
            unit => unit,
        };
        table.row([
            probe.name.as_str().into(),
            answer,
            one.millis.to_string().into(),
            counts.into(),
            unit.into(),
            what.into(),
        ]);
        let severity = one.failed.as_ref().map(|(severity, _)| severity.as_str());
        json.push(object!({
            "probe": probe.name,
            "failed": severity,
            "message": what,
            "milliseconds": one.millis,
            "failures": probe.failures.max(1),
            "interval_s": probe.interval_s.max(1),
            "unit": probe.unit,
        }));
    }
    globals.listing(&Value::Array(json), &table, "No probe is configured.")?;
    Ok(if failed { Exit::Findings } else { Exit::Done })
}

/// What the rules make of a line, or of each line of a file.
pub(super) fn rule(typed: &Typed, globals: &Globals) -> Result<Exit, CliError> {
    only_test("rule", typed)?;
    let words = typed.words().get(1..).unwrap_or_default();
    let words: Vec<_> = words.iter().map(|word| word.to_string_lossy()).collect();
    let text = match words.as_slice() {
        [] => {
            return Err(CliError::usage("rule test: no line")
                .hint("rule test 'the line as it stands in the log', or rule test FILE"));
        }
        [file] if Path::new(file.as_ref()).is_file() => read(Path::new(file.as_ref()))?,
        line => line.join(" "),
    };
    let rules = wire::operators_rules(globals)?;
    let config = globals.readable_config()?;
    let mut table = Table::new(&["RULES", "CLASS", "SUBJECT", "SEVERITY", "TOLD", "LINE"]);
    let mut json = Vec::new();
    let lines = text.lines().filter(|line| !line.trim().is_empty());
    for line in lines.take(LINES_MOST) {
        let TriedLine { fits, finding } = recorded::try_line(line, &rules);
        let told = finding.as_ref().map(|found| {
            Told::of(found.class, Cause::Unknown, found.severity, &config).to_string()
        });
        let names = match fits.is_empty() {
            true => "none".to_owned(),
            false => fits.join(", "),
        };
        let nothing = || Cell::from("-");
        table.row([
            names.into(),
            finding
                .as_ref()
                .map_or("nothing", |one| one.class.as_str())
                .into(),
            finding
                .as_ref()
                .map_or_else(nothing, |one| one.subject.as_str().into()),
            finding
                .as_ref()
                .map_or_else(nothing, |one| shape::severity_cell(one.severity)),
            told.as_deref().unwrap_or("-").into(),
            line.into(),
        ]);
        json.push(object!({
            "line": line,
            "rules": fits,
            "class": finding.as_ref().map(|one| one.class.as_str()),
            "subject": finding.as_ref().map(|one| one.subject.clone()),
            "severity": finding.as_ref().map(|one| Severity::as_str(one.severity)),
            "told": told,
        }));
    }
    globals.listing(&Value::Array(json), &table, "No line.")?;
    Ok(Exit::Done)
}

/// A task as it would be decided with the runbooks of a file in front of those in force.
pub(super) fn runbook(typed: &Typed, globals: &Globals) -> Result<Exit, CliError> {
    only_test("runbook", typed)?;
    typed.at_most(3)?;
    let id = typed.task_id(1)?;
    let mut books = Vec::new();
    if let Some(file) = typed.path(2) {
        let text = read(&file)?;
        let shown = file.display().to_string();
        books = runbook::parse(&shown, &text)
            .map_err(|why| CliError::hinted(ErrorKind::Config, why))?;
    }
    wire::explain_with(globals, id, &books)
}
