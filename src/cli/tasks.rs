//! `tasks`.

use std::fmt::Write as _;
use std::io::{self, Write as _};

use serde_json::{Value, json};

use crate::cli::error::{CliError, Exit};
use crate::cli::globals::Globals;
use crate::cli::table::Table;
use crate::cli::typed::Typed;
use crate::cli::{shape, stored};
use crate::core::diagnosis::cause_rules::CauseRules;
use crate::core::diagnosis::naming::name_cause;
use crate::core::human::next_steps::next_steps;
use crate::core::model::case::Case;
use crate::core::model::facts::Key;
use crate::core::model::id::TaskId;
use crate::core::model::inert;
use crate::core::model::task::{Resolution, Status, Task};
use crate::core::model::text::nearest;
use crate::core::model::time::Timestamp;
use crate::daemon::gather::case_of;
use crate::daemon::take_back::{self, Effect};
use crate::store::{Attempt, AuditEvent, Reader, StoreError, TaskFilter};

pub(super) fn run(typed: &Typed, globals: &Globals) -> Result<Exit, CliError> {
    match typed.word(0) {
        None if typed.words().is_empty() => list(typed, globals),
        Some("list") => {
            typed.at_most(1)?;
            list(typed, globals)
        }
        Some("show") => show(typed, globals),
        Some("close") => close(typed, globals),
        Some("ack") => acknowledge(typed, globals),
        Some("snooze") => snooze(typed, globals),
        word => Err(unknown_word(
            "tasks",
            word,
            &["list", "show", "close", "ack", "snooze"],
        )),
    }
}

/// A second word that the command does not know.
pub(super) fn unknown_word(command: &str, word: Option<&str>, known: &[&str]) -> CliError {
    let word = word.unwrap_or("");
    let near = nearest(word, known.iter().copied());
    CliError::usage(format!("`{command} {word}`: there is no such thing")).hint(match near {
        Some(near) => format!("did you mean `{command} {near}`?"),
        None => format!("one of {}", known.join(", ")),
    })
}

fn filter(typed: &Typed) -> Result<TaskFilter, CliError> {
    let status: Option<Status> = typed.parsed("status")?;
    Ok(TaskFilter {
        open_only: !typed.has("all") && status != Some(Status::Closed),
        status,
        class: typed.parsed("class")?,
        subject: typed.parsed("subject")?,
        limit: typed.parsed("limit")?.unwrap_or(0),
    })
}

/// Tasks listed where no number is asked for.
pub(super) const LIST_MOST: u32 = 1_000;

fn list(typed: &Typed, globals: &Globals) -> Result<Exit, CliError> {
    let filter = filter(typed)?;
    let config = globals.readable_config()?;
    let reader = stored::reader(globals, &config)?;
    let tasks = reader.tasks(&filter)?;
    let json = Value::Array(tasks.iter().map(shape::task).collect());
    let empty = if filter.open_only {
        "No open tasks."
    } else {
        "No tasks."
    };
    globals.listing(&json, &table(&tasks, globals.now()), empty)?;
    let most = if filter.limit == 0 {
        LIST_MOST
    } else {
        filter.limit
    };
    if tasks.len() as u64 >= u64::from(most) {
        tell_cut(most, "--limit N");
    }
    Ok(Exit::Done)
}

/// Says that a listing was cut, and what lists the rest.
pub(super) fn tell_cut(most: u32, more: &str) {
    let told = format!("only the newest {most} are listed: {more} lists more\n");
    // A closed standard error leaves nobody to tell.
    let _ = io::stderr().write_all(told.as_bytes());
}

fn table(tasks: &[Task], now: Timestamp) -> Table {
    let mut table = Table::new(&[
        "ID", "SEVERITY", "STATUS", "CLASS", "SUBJECT", "SEEN", "AGE", "MESSAGE",
    ]);
    for task in tasks {
        table.row([
            task.id.to_string().into(),
            shape::severity_cell(task.severity),
            shape::status_cell(task.status),
            task.class.as_str().into(),
            task.subject.as_str().into(),
            task.seen_count.to_string().into(),
            shape::age(task.detected_at, now).into(),
            task.message.as_str().into(),
        ]);
    }
    table
}

/// The task, or the error that it does not exist.
pub(super) fn find(reader: &Reader, id: TaskId) -> Result<Task, CliError> {
    reader
        .task(id)?
        .ok_or_else(|| StoreError::NoTask(id).into())
}

fn show(typed: &Typed, globals: &Globals) -> Result<Exit, CliError> {
    let id = typed.task_id(1)?;
    typed.at_most(2)?;
    let config = globals.readable_config()?;
    let reader = stored::reader(globals, &config)?;
    let task = find(&reader, id)?;
    let attempts = reader.attempts(id)?;
    let events = reader.history(Some(id), 1_000)?;
    let case = case_of(&reader, &task)?;
    let back = take_back::effect(&reader, id).ok().flatten();
    if globals.json {
        let mut value = shape::task(&task);
        if let Value::Object(map) = &mut value {
            map.insert(
                "case".to_owned(),
                case.as_ref().map_or(Value::Null, shape::case),
            );
            map.insert("evidence".to_owned(), json!(task.evidence));
            map.insert("next_steps".to_owned(), json!(steps(&task)));
            map.insert(
                "attempts".to_owned(),
                attempts.iter().map(shape::attempt).collect(),
            );
            map.insert(
                "history".to_owned(),
                events.iter().map(shape::event).collect(),
            );
        }
        globals.print_json(&value)?;
    } else {
        globals.page(&page(&task, case.as_ref(), back, &attempts, &events))?;
    }
    Ok(Exit::Done)
}

/// Newest events of a task on its page.
const EVENTS_SHOWN: usize = 12;

fn page(
    task: &Task,
    case: Option<&Case>,
    back: Option<Effect>,
    attempts: &[Attempt],
    events: &[AuditEvent],
) -> String {
    let mut text = format!(
        "task {}: {} {}\n\n",
        task.id,
        task.class,
        inert::line(&task.subject)
    );
    let mut line = |name: &str, value: String| {
        if !value.is_empty() {
            let _ = writeln!(text, "{name:<12} {}", inert::line(&value));
        }
    };
    let maybe = |value: &Option<String>| value.clone().unwrap_or_default();
    let time = |value: Option<Timestamp>| value.map(shape::moment).unwrap_or_default();
    line("message", task.message.clone());
    line("severity", task.severity.to_string());
    let resolution = task.resolution.map_or(String::new(), |r| format!(" ({r})"));
    line("status", format!("{}{resolution}", task.status));
    line("waiting for", maybe(&task.waiting_reason));
    line("next attempt", time(task.next_attempt_at));
    line(
        "case",
        case.map_or(String::new(), |case| case.text(task.id)),
    );
    let sure = task
        .confidence
        .map_or(String::new(), |sure| format!(" ({:.0} %)", sure * 100.0));
    line(
        "cause",
        task.cause
            .as_ref()
            .map_or(String::new(), |cause| format!("{cause}{sure}")),
    );
    line("action", maybe(&task.action));
    line("result", maybe(&task.fix_message));
    line(
        "taken back",
        back.map_or(String::new(), |effect| {
            format!("by `undo {}`: {}", task.id, effect.undo)
        }),
    );
    line(
        "seen",
        format!(
            "{}, from {} to {}",
            shape::counted(task.seen_count, "time", "times"),
            shape::moment(task.detected_at),
            shape::moment(task.last_seen_at)
        ),
    );
    line(
        "episode",
        match task.previous_id {
            Some(previous) => format!("{}, after task {previous}", task.episode),
            None => task.episode.to_string(),
        },
    );
    line("first green", time(task.first_green_at));
    line("closed", time(task.closed_at));
    line("acked by", maybe(&task.acknowledged_by));
    if let (Some(action), Some(digest)) = (&task.approved_action, &task.approved_digest) {
        let until = time(task.approved_until);
        line(
            "approved",
            format!("{action} ({}) until {until}", digest.short()),
        );
    }
    line(
        "issue",
        task.github_issue_number
            .map_or(String::new(), |n| format!("#{n}")),
    );
    line("found by", task.source.clone());
    line("fingerprint", task.issue_hash.clone());
    if let Some(proposal) = task
        .proposal
        .as_ref()
        .filter(|_| !matches!(task.status, Status::Closed | Status::Fixed))
    {
        text.push_str("\nproposed\n");
        text.push_str(&shape::whole(proposal));
    }
    if !task.evidence.is_empty() {
        text.push_str("\nevidence\n");
        for (key, value) in task.evidence.iter() {
            let mut lines: Vec<&str> = value.lines().collect();
            // Stored with the newest first; a traceback reads from its top.
            if key == Key::Log.as_str() {
                lines.reverse();
            }
            for (at, part) in lines.into_iter().enumerate() {
                let key = if at == 0 { key } else { "" };
                let _ = writeln!(text, "  {key:<18} {}", inert::line(part));
            }
        }
    }
    if !attempts.is_empty() {
        text.push_str("\nattempts (UTC)\n");
        for attempt in attempts {
            let outcome = attempt.outcome.map_or("open", |outcome| outcome.as_str());
            let _ = writeln!(
                text,
                "  {} {}: {outcome}: {}",
                shape::second(attempt.started_at),
                inert::line(&attempt.action_text),
                inert::line(&attempt.message)
            );
        }
    }
    let steps = steps(task);
    if !steps.is_empty() {
        text.push_str("\nwhat a human can do\n");
    }
    for step in steps {
        let _ = writeln!(text, "    {}", inert::line(&step));
    }
    text.push_str("\nhistory (UTC)\n");
    let before = events.len().saturating_sub(EVENTS_SHOWN);
    if before > 0 {
        let earlier = shape::counted(before as u64, "earlier event", "earlier events");
        let _ = writeln!(text, "  {earlier}: `history {}`", task.id);
    }
    for event in events.iter().skip(before) {
        let _ = writeln!(text, "  {}", event_line(event));
    }
    text
}

/// Commands for a human; none once it is over.
fn steps(task: &Task) -> Vec<String> {
    if task.status == Status::Closed {
        return Vec::new();
    }
    let finding = task.finding();
    let stored = task.cause.as_deref().and_then(|name| name.parse().ok());
    let cause = stored.unwrap_or_else(|| name_cause(&finding, CauseRules::builtin()).cause);
    next_steps(cause, &finding, "", &[])
}

/// One audit event in one line.
pub(super) fn event_line(event: &AuditEvent) -> String {
    let at = event.timestamp.get(..19).unwrap_or(&event.timestamp);
    let details = match shape::details(event) {
        none if none.is_empty() => none,
        some => format!(" {some}").into(),
    };
    let reason = if event.reason.is_empty() {
        String::new()
    } else {
        format!(": {}", event.reason)
    };
    inert::line(&format!(
        "{at} {}{details} by {}{reason}",
        event.action, event.actor
    ))
    .into_owned()
}

/// `--as`, with `fixed` and `self_cleared` left to the program: only a verification may say them.
pub(super) fn resolution(typed: &Typed) -> Result<Resolution, CliError> {
    match typed.parsed::<Resolution>("as")? {
        None => Ok(Resolution::Human),
        Some(Resolution::Fixed | Resolution::SelfCleared) => Err(CliError::usage(
            "--as: only the program says fixed or self_cleared, after it verified",
        )
        .hint("use human, not_a_fault or superseded")),
        Some(resolution) => Ok(resolution),
    }
}

/// Closes the task whose id is the second word, for `tasks close` and `escalations resolve`.
pub(super) fn close(typed: &Typed, globals: &Globals) -> Result<Exit, CliError> {
    let id = typed.task_id(1)?;
    typed.at_most(2)?;
    let (resolution, actor) = (resolution(typed)?, stored::actor(typed)?);
    change(
        globals,
        id,
        &format!("closed as {resolution}"),
        |store, now| store.close_by_human(id, resolution, &actor, now),
    )
}

fn acknowledge(typed: &Typed, globals: &Globals) -> Result<Exit, CliError> {
    let id = typed.task_id(1)?;
    typed.at_most(2)?;
    let actor = stored::actor(typed)?;
    change(
        globals,
        id,
        "acknowledged: no repair until it is closed or approved",
        |store, now| store.acknowledge(id, &actor, now),
    )
}

pub(super) fn snooze(typed: &Typed, globals: &Globals) -> Result<Exit, CliError> {
    let id = typed.task_id(1)?;
    let word = typed
        .word(2)
        .ok_or_else(|| CliError::usage("no time given: how long?").hint("write 30m, 8h or 2d"))?;
    // `snooze 4 2026-01-01 08:00:00` without quotes is two words and clear enough.
    let text = typed
        .word(3)
        .map_or_else(|| word.to_owned(), |hour| format!("{word} {hour}"));
    typed.at_most(4)?;
    let until = stored::until(&text, &globals.host().clock)?;
    let actor = stored::actor(typed)?;
    change(
        globals,
        id,
        &format!("left alone until {}", shape::moment(until)),
        |store, now| store.snooze(id, until, &actor, now),
    )
}

/// Opens the store, makes one change and says what it did.
pub(super) fn change(
    globals: &Globals,
    id: TaskId,
    done: &str,
    make: impl FnOnce(&crate::store::Store, Timestamp) -> Result<(), crate::store::StoreError>,
) -> Result<Exit, CliError> {
    let config = globals.load_config()?;
    if globals.dry_run {
        find(&stored::reader(globals, &config)?, id)?;
        globals.print(&format!("task {id} would be {done}\n"))?;
        return Ok(Exit::Done);
    }
    let now = globals.now();
    let store = stored::store(globals, &config, now)?;
    make(&store, now)?;
    if globals.json {
        let task = find(&store.reader()?, id)?;
        globals.print_json(&shape::task(&task))?;
    } else {
        globals.print(&format!("task {id}: {done}\n"))?;
    }
    Ok(Exit::Done)
}
