//! `history` and `audit verify`.

use serde_json::{Value, json};

use crate::cli::error::{CliError, Exit};
use crate::cli::globals::Globals;
use crate::cli::table::{Cell, Table, Tone};
use crate::cli::tasks::{find, unknown_word};
use crate::cli::typed::Typed;
use crate::cli::{shape, stored};

const DEFAULT_LIMIT: u32 = 200;

pub(super) fn run(typed: &Typed, globals: &Globals) -> Result<Exit, CliError> {
    typed.at_most(1)?;
    let id = match typed.words().is_empty() {
        true => None,
        false => Some(typed.task_id(0)?),
    };
    let limit = typed.parsed("limit")?.unwrap_or(DEFAULT_LIMIT);
    let config = globals.readable_config()?;
    let reader = stored::reader(globals, &config)?;
    if let Some(id) = id {
        find(&reader, id)?;
    }
    let events = reader.history(id, limit)?;
    let mut table = Table::new(&["TIME (UTC)", "TASK", "EVENT", "BY", "DETAILS"]);
    for event in &events {
        let task = event
            .task_id
            .map_or_else(|| "-".to_owned(), |id| id.to_string());
        let reason = match (event.details.is_empty(), event.reason.is_empty()) {
            (_, true) => event.details.clone(),
            (true, false) => event.reason.clone(),
            (false, false) => format!("{}: {}", event.details, event.reason),
        };
        table.row([
            Cell::new(
                event.timestamp.get(..19).unwrap_or(&event.timestamp),
                Tone::Dim,
            ),
            task.into(),
            event.action.as_str().into(),
            event.actor.as_str().into(),
            reason.into(),
        ]);
    }
    let json = Value::Array(events.iter().map(shape::event).collect());
    globals.listing(&json, &table, "No history.")?;
    Ok(Exit::Done)
}

pub(super) fn audit(typed: &Typed, globals: &Globals) -> Result<Exit, CliError> {
    if typed.word(0) != Some("verify") {
        return Err(unknown_word("audit", typed.word(0), &["verify"]));
    }
    typed.at_most(1)?;
    let config = globals.readable_config()?;
    let reader = stored::reader(globals, &config)?;
    match reader.audit_verify()? {
        Ok(report) => {
            if globals.json {
                globals.print_json(&json!({
                    "ok": true,
                    "events": report.events,
                    "head_hash": report.head_hash,
                    "pruned_up_to": report.pruned_up_to,
                }))?;
            } else {
                let pruned = report.pruned_up_to.map_or_else(String::new, |id| {
                    format!(", after those up to {id} that retention pruned behind a checkpoint")
                });
                globals.print(&format!(
                    "ok: {} events{pruned}, each follows the one before\nhead {}\n",
                    report.events, report.head_hash
                ))?;
            }
            Ok(Exit::Done)
        }
        Err(broken) => {
            if globals.json {
                globals.print_json(&json!({
                    "ok": false,
                    "broken_at": broken.row_id,
                    "what": broken.what,
                }))?;
            }
            Err(CliError::failed(broken.to_string()).hint(
                "keep a copy of the database and compare it with the head hashes in the log and in the escalations",
            ))
        }
    }
}
