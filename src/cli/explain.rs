//! `explain`: a task, or a unit: its open tasks, and why there is none where nothing is told of it.

use std::cmp::Reverse;
use std::fmt::Write as _;

use crate::cli::error::{CliError, Exit};
use crate::cli::globals::Globals;
use crate::cli::typed::Typed;
use crate::cli::{shape, stored, wire};
use crate::core::model::inert;
use crate::core::model::object::object;
use crate::core::model::task::Task;
use crate::core::remedy::silence::Scope;
use crate::daemon::explain::ExplainError;
use crate::daemon::untold::{self, Untold};
use crate::services::ServiceError;
use crate::store::TaskFilter;

pub(super) fn run(typed: &Typed, globals: &Globals) -> Result<Exit, CliError> {
    typed.at_most(1)?;
    match typed.word(0) {
        Some(word) if word.contains(|c: char| c.is_ascii_alphabetic() || c == '/') => {
            unit(globals, word)
        }
        _ => wire::explain_with(globals, typed.task_id(0)?, &[]),
    }
}

fn unit(globals: &Globals, name: &str) -> Result<Exit, CliError> {
    let config = globals.readable_config()?;
    let reader = stored::reader(globals, &config)?;
    let scope = Scope::Subject(name.to_owned());
    let mut tasks = reader.tasks(&TaskFilter {
        open_only: true,
        ..TaskFilter::default()
    })?;
    tasks.retain(|task| scope.covers(task, &task.finding()));
    tasks.sort_by_key(|task| Reverse(task.severity));
    if let ([task], false) = (tasks.as_slice(), globals.json) {
        return wire::explain_with(globals, task.id, &[]);
    }
    let untold = match untold::look(&globals.host(), &config, &reader, name) {
        Ok(untold) => Some(untold),
        // What is not a unit has tasks all the same.
        Err(ExplainError::Service(ServiceError::UnknownUnit(_))) if !tasks.is_empty() => None,
        Err(why) => return Err(why.into()),
    };
    if globals.json {
        globals.print_json(&object!({
            "unit": untold.as_ref().map_or(name, |one| &one.unit),
            "state": untold.as_ref().map(|one| one.state),
            "why": untold.as_ref().map(|one| &one.why),
            "since": untold.as_ref().and_then(|one| one.since).map(shape::time),
            "silenced": untold.as_ref().and_then(|one| one.silenced.as_ref()),
            "next_steps": untold.iter().filter_map(|one| one.to_do.as_ref()).collect::<Vec<_>>(),
            "tasks": tasks.iter().map(shape::task).collect::<Vec<_>>(),
        }))?;
    } else {
        globals.page(&page(untold.as_ref(), &tasks))?;
    }
    Ok(Exit::Done)
}

fn page(untold: Option<&Untold>, tasks: &[Task]) -> String {
    let mut text = String::new();
    for task in tasks {
        let why = task.waiting_reason.as_deref();
        let why = why.map_or_else(String::new, |why| format!(" because {why}"));
        let line = format!(
            "task {}: {} {}: {}{why}; `explain {0}`",
            task.id, task.class, task.subject, task.status
        );
        let _ = writeln!(text, "{}", inert::line(&line));
    }
    let Some(one) = untold else {
        return text;
    };
    let since = one.since.map(shape::moment);
    let since = since.map_or_else(String::new, |at| format!(" (since {at})"));
    let line = format!("{} {}{since}", one.unit, one.why);
    let _ = writeln!(text, "{}", inert::line(&line));
    if let Some(terms) = &one.silenced {
        let _ = writeln!(text, "{}", inert::line(terms));
    }
    if let Some(order) = &one.to_do {
        let _ = writeln!(text, "\nwhat a human can do\n    {order}");
    }
    if tasks.is_empty() {
        let _ = writeln!(
            text,
            "\nno open task is about it; closed ones: `tasks --all --subject {}`",
            one.unit
        );
    }
    text
}
