//! `explain`: a task, or a unit: its open tasks, and why there is none where nothing is told of it.

use std::fmt::Write as _;

use crate::cli::error::{CliError, Exit};
use crate::cli::globals::Globals;
use crate::cli::typed::Typed;
use crate::cli::{shape, stored, wire};
use crate::core::model::inert;
use crate::core::model::object::object;
use crate::core::model::task::{Status, Task};
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
    // What waits for another stands behind it.
    tasks.sort_by_key(|task| (task.status == Status::Waiting, task.id));
    if let ([task], false) = (tasks.as_slice(), globals.json) {
        return wire::explain_with(globals, task.id, &[]);
    }
    let one = match untold::look(&globals.host(), &config, &reader, name) {
        // What is not a unit has tasks all the same.
        Err(ExplainError::Service(ServiceError::UnknownUnit(_))) if !tasks.is_empty() => Untold {
            unit: name.to_owned(),
            state: "no_unit",
            text: format!("{name} is no unit of this host"),
        },
        other => other?,
    };
    if globals.json {
        globals.print_json(&object!({
            "unit": one.unit,
            "state": one.state,
            "text": one.text,
            "tasks": tasks.iter().map(shape::task).collect::<Vec<_>>(),
        }))?;
    } else {
        globals.page(&page(&one, &tasks))?;
    }
    Ok(Exit::Done)
}

fn page(one: &Untold, tasks: &[Task]) -> String {
    let mut text = String::new();
    for task in tasks {
        let line = format!(
            "task {}: {} {}: {}; `explain {0}`",
            task.id, task.class, task.subject, task.status
        );
        let _ = writeln!(text, "{}", inert::line(&line));
    }
    if let (Some(first), "down") = (tasks.first(), one.state) {
        let _ = writeln!(
            text,
            "`explain {}` says why, and what can be done",
            first.id
        );
        return text;
    }
    let _ = writeln!(text, "{}", inert::lines(&one.text));
    if tasks.is_empty() {
        let _ = writeln!(
            text,
            "\nno open task is about it; closed ones: `tasks --all --subject {}`",
            one.unit
        );
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::model::class::Class;
    use crate::core::model::time::Timestamp;

    #[test]
    fn tasks_stand_before_the_unit_and_a_unit_without_one_says_why() {
        let now = Timestamp::from_millis(1_800_273_600_000);
        let one = Untold {
            unit: "a.service".to_owned(),
            state: "stopped",
            text: "a.service was stopped\n\nwhat a human can do\n    it".to_owned(),
        };
        assert_eq!(
            page(&one, &[]),
            "a.service was stopped\n\nwhat a human can do\n    it\n\n\
             no open task is about it; closed ones: `tasks --all --subject a.service`\n"
        );
        let tasks = [4, 5].map(|id| Task::sample(id, Class::LogError, "/data", now));
        let text = page(&one, &tasks);
        assert!(text.starts_with("task 4: log_error /data: "), "{text}");
        assert!(text.ends_with("    it\n"), "{text}");
        let down = Untold {
            state: "down",
            ..one
        };
        let text = page(&down, &tasks);
        assert!(
            text.ends_with("`explain 4` says why, and what can be done\n"),
            "{text}"
        );
    }
}
