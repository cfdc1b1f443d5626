//! `replay FILE…`: what logs would have produced, without a daemon, a store or an action.

use std::io::{self, Write};

use serde_json::Value;

use crate::cli::error::{CliError, Exit};
use crate::cli::globals::Globals;
use crate::cli::recorded::{self, SeenFinding};
use crate::cli::table::Table;
use crate::cli::typed::Typed;
use crate::cli::{shape, wire};
use crate::core::diagnosis::naming::{Named, name_cause};
use crate::core::model::cause::Cause;
use crate::core::model::inert;
use crate::core::model::object::object;
use crate::core::model::sorted::SortedMap;
use crate::core::remedy::patience::Told;
use crate::daemon::explain::advice_json;

pub(super) fn run(typed: &Typed, globals: &Globals) -> Result<Exit, CliError> {
    if typed.words().is_empty() {
        return Err(CliError::usage("replay: no file").hint("name one or more log files"));
    }
    let rules = wire::operators_rules(globals)?;
    let causes = wire::operators_causes(globals)?;
    let settings = globals.readable_config()?;
    let mut table = Table::new(&[
        "CLASS",
        "SUBJECT",
        "SEVERITY",
        "COUNT",
        "LINES",
        "CAUSE",
        "TOLD",
        "TITLE, MESSAGE",
    ]);
    let mut rows = Vec::new();
    let mut shapes = Vec::new();
    let mut exit = Exit::Done;
    for word in typed.words() {
        let file = word.to_string_lossy();
        let (recording, read) = recorded::replay(&file, &rules);
        if let Err(why) = read {
            exit = Exit::Failed;
            // A closed standard error leaves nobody to tell.
            let _ = writeln!(
                io::stderr(),
                "replay: {}: {}: check the path and your permission",
                inert::line(&file),
                inert::line(&why.to_string())
            );
        }
        shapes.push((file.clone(), recording.shapes));
        for seen in recording.seen {
            let named = name_cause(&seen.finding, &causes);
            let (class, severity) = (seen.finding.class, seen.finding.severity);
            let told = Told::of(class, named.cause, severity, &settings).to_string();
            table.row([
                seen.finding.class.as_str().into(),
                seen.finding.subject.as_str().into(),
                shape::severity_cell(seen.finding.severity),
                seen.finding.count.to_string().into(),
                format!("{}-{}", seen.first_line, seen.last_line).into(),
                sure(&named).into(),
                told.as_str().into(),
                format!("{} {}", named.cause.describe(), seen.finding.message).into(),
            ]);
            rows.push(as_json(&file, &seen, &named, &told));
        }
    }
    globals.listing(&Value::Array(rows), &table, "Nothing found.")?;
    if !globals.json {
        for (file, shapes) in &shapes {
            tell_shapes(file, shapes);
        }
    }
    Ok(exit)
}

/// The cause and how sure it is.
fn sure(named: &Named) -> String {
    if named.cause == Cause::Unknown {
        return named.cause.to_string();
    }
    format!("{} {:.0} %", named.cause, named.confidence * 100.0)
}

/// How the lines of a file were read: who sees his own in the wrong place knows why nothing was found.
fn tell_shapes(file: &str, shapes: &SortedMap<String, u64>) {
    let each: Vec<_> = shapes
        .iter()
        .map(|(shape, lines)| format!("{shape} {lines}"))
        .collect();
    let read = match each.is_empty() {
        true => "no line".to_owned(),
        false => each.join(", "),
    };
    // A closed standard error leaves nobody to tell.
    let _ = writeln!(
        io::stderr(),
        "replay: {}: read as {read}",
        inert::line(file)
    );
}

fn as_json(file: &str, seen: &SeenFinding, named: &Named, told: &str) -> Value {
    object!({
        "file": file,
        "class": seen.finding.class.as_str(),
        "subject": seen.finding.subject,
        "severity": seen.finding.severity.as_str(),
        "message": seen.finding.message,
        "fingerprint": seen.finding.fingerprint().to_string(),
        "cause": named.cause.as_str(),
        "confidence": named.confidence,
        "title": named.cause.describe(),
        "told": told,
        "shape": seen.shape,
        "rule": named.why,
        "advice": advice_json(named.cause),
        "count": seen.finding.count,
        "first_line": seen.first_line,
        "last_line": seen.last_line,
        "lines": seen.lines,
    })
}
