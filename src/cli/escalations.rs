//! `escalations`: what needs a human, whether or not it could be delivered.

use std::fmt::Write as _;

use serde_json::{Value, json};

use crate::cli::error::{CliError, Exit};
use crate::cli::globals::Globals;
use crate::cli::table::{Cell, Table, Tone};
use crate::cli::typed::Typed;
use crate::cli::{markdown, shape, stored, tasks};
use crate::core::model::inert;
use crate::core::model::task::{Status, Task};
use crate::store::{EscalationRow, OutboxRow, Reader, StoreError, TaskFilter};

pub(super) fn run(typed: &Typed, globals: &Globals) -> Result<Exit, CliError> {
    match typed.word(0) {
        None if typed.words().is_empty() => list(typed, globals),
        Some("list") => {
            typed.at_most(1)?;
            list(typed, globals)
        }
        Some("show") => show(typed, globals),
        Some("resolve") => tasks::close(typed, globals),
        Some("snooze") => tasks::snooze(typed, globals),
        word => Err(tasks::unknown_word(
            "escalations",
            word,
            &["list", "show", "resolve", "snooze"],
        )),
    }
}

/// Tasks that waited for a human in the database that was adopted, and were not put before one here.
pub(super) fn adopted(reader: &Reader, rows: &[EscalationRow]) -> Result<Vec<Task>, StoreError> {
    let mut tasks = reader.tasks(&TaskFilter {
        status: Some(Status::Escalated),
        ..TaskFilter::default()
    })?;
    tasks.retain(|task| rows.iter().all(|row| row.task_id != task.id));
    Ok(tasks)
}

/// Of such tasks, after their number.
pub(super) const WAITED_THERE: &str =
    "of the adopted database waited for a human there; not judged here yet";
/// Why they are listed.
const ADOPTED: &str = "adopted from another database, not judged here yet";

/// How far the delivery of a task's escalation has come.
pub(super) fn delivery(row: &EscalationRow, outbox: &[OutboxRow]) -> String {
    if let Some(number) = row.issue_number {
        return format!("#{number}");
    }
    outbox
        .iter()
        .find(|delivery| delivery.task_id == row.task_id && delivery.operation == "create")
        .map_or_else(|| "local".to_owned(), |delivery| delivery.state.clone())
}

fn list(typed: &Typed, globals: &Globals) -> Result<Exit, CliError> {
    let config = globals.readable_config()?;
    let reader = stored::reader(globals, &config)?;
    let now = globals.now();
    let asks = reader.asks(now)?;
    let rows = match typed.has("all") {
        true => reader.escalations(false)?,
        false => asks.all.iter().map(|one| one.row.clone()).collect(),
    };
    let outbox = reader.outbox()?;
    let mut table = Table::new(&["TASK", "SEVERITY", "TOLD", "ISSUE", "TITLE"]);
    for row in &rows {
        let asked = asks.all.iter().find(|one| one.row.id == row.id);
        let aside = asked.and_then(|one| one.aside.as_ref());
        let tone = if row.resolved_at.is_some() || aside.is_some() {
            Tone::Dim
        } else if row.severity == "warning" {
            Tone::Warn
        } else {
            Tone::Bad
        };
        table.row([
            row.task_id.to_string().into(),
            Cell::new(row.severity.as_str(), tone),
            format!("{} ago", shape::age(row.created_at, now)).into(),
            delivery(row, &outbox).into(),
            match aside {
                Some(why) => format!("{why}; {}", row.title).into(),
                None => row.title.as_str().into(),
            },
        ]);
    }
    let mut json: Vec<Value> = rows
        .iter()
        .map(|row| {
            let mut value = shape::escalation(row);
            if let Value::Object(map) = &mut value {
                map.insert("delivery".to_owned(), json!(delivery(row, &outbox)));
            }
            value
        })
        .collect();
    for task in adopted(&reader, &rows)? {
        let number = task.github_issue_number;
        table.row([
            task.id.to_string().into(),
            shape::severity_cell(task.severity),
            "-".into(),
            number
                .map_or_else(|| "adopted".to_owned(), |number| format!("#{number}"))
                .into(),
            format!(
                "{} {}: {} ({ADOPTED})",
                task.class, task.subject, task.message
            )
            .into(),
        ]);
        json.push(shape::adopted(&task, ADOPTED));
    }
    globals.listing(&Value::Array(json), &table, "Nothing needs a human.")?;
    if asks.adopted > tasks::LIST_MOST.into() {
        tasks::tell_cut(tasks::LIST_MOST, "`tasks --status escalated --limit N`");
    }
    Ok(Exit::Done)
}

fn show(typed: &Typed, globals: &Globals) -> Result<Exit, CliError> {
    let id = typed.task_id(1)?;
    typed.at_most(2)?;
    let config = globals.readable_config()?;
    let reader = stored::reader(globals, &config)?;
    let rows = reader.escalations(false)?;
    let Some(row) = rows.iter().find(|row| row.task_id == id) else {
        let task = tasks::find(&reader, id)?;
        let what = if task.status == Status::Escalated {
            format!("task {id} is {ADOPTED}")
        } else {
            format!("task {id} was not put before a human")
        };
        return Err(CliError::failed(what).hint(format!("`tasks show {id}` has what is known")));
    };
    if globals.json {
        globals.print_json(&shape::escalation(row))?;
        return Ok(Exit::Done);
    }
    let mut text = format!("{}\n\n", inert::line(&row.title));
    let _ = writeln!(text, "task       {}", row.task_id);
    let _ = writeln!(text, "status     {}", tasks::find(&reader, id)?.status);
    let _ = writeln!(text, "severity   {}", row.severity);
    let _ = writeln!(text, "since      {}", shape::moment(row.created_at));
    if let Some(at) = row.resolved_at {
        let _ = writeln!(text, "resolved   {}", shape::moment(at));
    }
    if let Some(number) = row.issue_number {
        let _ = writeln!(text, "issue      #{number}");
    }
    let _ = writeln!(text, "reason     {}\n", inert::line(&row.reason));
    let room = globals.width().map(|width| width.saturating_sub(2));
    for line in markdown::plain(&row.body, room, globals.colour()).lines() {
        // Set off, so that no line of it passes for one of ours.
        let _ = writeln!(text, "  {line}");
    }
    globals.page(&text)?;
    Ok(Exit::Done)
}
