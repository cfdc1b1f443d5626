//! `history` and `audit verify`.

use std::time::Duration;

use serde_json::Value;

use crate::cli::error::{CliError, Exit};
use crate::cli::globals::Globals;
use crate::cli::table::{Cell, Table, Tone};
use crate::cli::tasks::{event_line, find, unknown_word};
use crate::cli::typed::Typed;
use crate::cli::{shape, stored};
use crate::core::model::id::EventId;
use crate::core::model::inert;
use crate::core::model::object::object;
use crate::store::AuditEvent;

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
        let details = shape::details(event);
        let reason = match (details.is_empty(), event.reason.is_empty()) {
            (_, true) => details.into_owned(),
            (true, false) => event.reason.clone(),
            (false, false) => format!("{details}: {}", event.reason),
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

/// Between two looks for new events.
const FOLLOW_PACE: Duration = Duration::from_secs(1);
/// Newest events that `events` begins with.
const EVENTS: u32 = 20;

/// The events a line each, and with `--follow` those that come.
pub(super) fn events(typed: &Typed, globals: &Globals) -> Result<Exit, CliError> {
    typed.at_most(0)?;
    let limit = typed.parsed("limit")?.unwrap_or(EVENTS);
    let config = globals.readable_config()?;
    let reader = stored::reader(globals, &config)?;
    let mut events = reader.history(None, limit)?;
    let mut last = EventId::from_number(0);
    loop {
        for event in &events {
            let line = match globals.json {
                true => shape::event(event).to_string(),
                false => told(event),
            };
            let line = format!("{}\n", inert::line(&line));
            match globals.json {
                true => globals.print(&line)?,
                false => globals.page(&line)?,
            }
            last = event.id;
        }
        if !typed.has("follow") {
            return Ok(Exit::Done);
        }
        // A full page is followed by the next one at once.
        if events.len() < 1_000 {
            std::thread::sleep(FOLLOW_PACE);
        }
        events = reader.history_after(last)?;
    }
}

/// One event in one line, with its task.
pub(super) fn told(event: &AuditEvent) -> String {
    let task = event
        .task_id
        .map_or_else(String::new, |id| format!(" (task {id})"));
    format!("{}{task}", event_line(event))
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
                globals.print_json(&object!({
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
                globals.print_json(&object!({
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
