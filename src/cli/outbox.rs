//! `outbox`: deliveries that wait or failed, and what a human can do about them.

use serde_json::{Value, json};

use crate::cli::error::{CliError, Exit};
use crate::cli::globals::Globals;
use crate::cli::table::{Cell, Table, Tone};
use crate::cli::tasks::unknown_word;
use crate::cli::typed::Typed;
use crate::cli::{shape, stored};
use crate::core::human::delivery::Note;
use crate::store::OutboxRow;

pub(super) fn run(typed: &Typed, globals: &Globals) -> Result<Exit, CliError> {
    match typed.word(0) {
        None if typed.words().is_empty() => list(typed, globals),
        Some("list") => {
            typed.at_most(1)?;
            list(typed, globals)
        }
        Some("retry") => retry(typed, globals),
        Some("drop") => give_up(typed, globals),
        word => Err(unknown_word("outbox", word, &["list", "retry", "drop"])),
    }
}

fn list(typed: &Typed, globals: &Globals) -> Result<Exit, CliError> {
    let config = globals.readable_config()?;
    let reader = stored::reader(globals, &config)?;
    let mut rows = reader.outbox()?;
    if !typed.has("all") {
        rows.retain(|row| !matches!(row.state.as_str(), "confirmed" | "cancelled"));
    }
    let silenced = reader.silenced_deliveries(globals.now())?;
    let held = |row: &OutboxRow| {
        let of_task = silenced.iter().find(|(id, _)| *id == row.task_id);
        of_task.filter(|_| row.yields_to_silence())
    };
    let mut table = Table::new(&[
        "ID",
        "TASK",
        "TO",
        "OPERATION",
        "STATE",
        "TRIES",
        "NEXT (UTC)",
        "LAST ERROR",
    ]);
    for row in &rows {
        let tone = match row.state.as_str() {
            "dead" => Tone::Bad,
            "confirmed" => Tone::Good,
            "cancelled" => Tone::Dim,
            _ => Tone::Warn,
        };
        let held = held(row);
        let next = match held {
            Some((_, until)) => format!("silenced until {}", shape::second(*until)),
            None if is_open(row) => shape::second(row.next_at),
            None => "-".to_owned(),
        };
        table.row([
            row.id.to_string().into(),
            row.task_id.to_string().into(),
            row.destination.as_str().into(),
            row.operation.as_str().into(),
            Cell::new(row.state.as_str(), tone),
            row.attempts.to_string().into(),
            next.into(),
            // Another reason to wait counts again when the silence is over.
            held.map_or_else(|| told(row), |_| "").into(),
        ]);
    }
    let json = rows.iter().map(|row| {
        let mut value = shape::delivery(row);
        if let Value::Object(map) = &mut value {
            let until = held(row).map(|(_, until)| shape::time(*until));
            map.insert("silenced_until".to_owned(), json!(until));
        }
        value
    });
    let json = Value::Array(json.collect());
    globals.listing(&json, &table, "Nothing waits to be delivered.")?;
    Ok(Exit::Done)
}

/// What stood in the way last, without what the courier noted for itself.
fn told(row: &OutboxRow) -> &str {
    let (_, why) = Note::split(row.last_error.as_deref().unwrap_or(""));
    why.trim_start_matches(": ")
}

fn is_open(row: &OutboxRow) -> bool {
    matches!(row.state.as_str(), "pending" | "sending" | "unknown")
}

/// What the courier noted about earlier attempts must outlive what a human does, or a second issue could be made.
fn with_notes(row: &OutboxRow, why: &str) -> String {
    Note::parse(row.last_error.as_deref().unwrap_or("")).with(why)
}

/// Asks for deliveries now. Whatever may have reached the other side goes on as `unknown`: the courier
/// looks before it sends again.
fn retry(typed: &Typed, globals: &Globals) -> Result<Exit, CliError> {
    typed.at_most(2)?;
    let wanted = match typed.word(1) {
        Some(_) => Some(typed.delivery_id(1)?),
        None => None,
    };
    let actor = stored::actor(typed)?;
    let config = globals.load_config()?;
    let rows = stored::reader(globals, &config)?.outbox()?;
    let rows: Vec<OutboxRow> = rows
        .into_iter()
        .filter(|row| wanted.is_none_or(|id| row.id == id) && row.state != "confirmed")
        // Being sent at this moment by the daemon.
        .filter(|row| row.state != "sending")
        .collect();
    if let (Some(id), true) = (wanted, rows.is_empty()) {
        return Err(CliError::failed(format!(
            "delivery {id} cannot be tried again: it is unknown, confirmed or being sent"
        ))
        .hint("see `outbox --all`"));
    }
    if !globals.dry_run && !rows.is_empty() {
        let now = globals.now();
        let store = stored::store(globals, &config, now)?;
        for row in &rows {
            let why = with_notes(row, &format!("tried again for {actor}"));
            let result = if row.state == "pending" {
                store.outbox_retry(row.id, now, &why, now)
            } else {
                store.outbox_unknown(row.id, now, &why, now)
            };
            result?;
        }
    }
    let count = shape::counted(rows.len() as u64, "delivery", "deliveries");
    let verb = match (globals.dry_run, rows.len()) {
        (true, _) => "would be",
        (false, 1) => "is",
        (false, _) => "are",
    };
    globals.print(&format!("{count} {verb} due now\n"))?;
    Ok(Exit::Done)
}

fn give_up(typed: &Typed, globals: &Globals) -> Result<Exit, CliError> {
    let id = typed.delivery_id(1)?;
    typed.at_most(2)?;
    let actor = stored::actor(typed)?;
    let config = globals.load_config()?;
    let rows = stored::reader(globals, &config)?.outbox()?;
    let row = rows
        .iter()
        .find(|row| row.id == id && is_open(row))
        .ok_or_else(|| {
            CliError::failed(format!(
                "delivery {id} does not wait: there is nothing to drop"
            ))
            .hint("see `outbox --all`")
        })?;
    if !globals.dry_run {
        let now = globals.now();
        let store = stored::store(globals, &config, now)?;
        let why = with_notes(row, &format!("dropped by {actor}"));
        store.outbox_cancelled(id, &why, now)?;
    }
    let would = if globals.dry_run { "would be " } else { "" };
    globals.print(&format!(
        "delivery {id} {would}dropped; the escalation of task {} stays\n",
        row.task_id
    ))?;
    Ok(Exit::Done)
}
