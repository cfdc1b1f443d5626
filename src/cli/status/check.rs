//! `status --check`: one line and an exit code, as a Nagios plugin answers.

use crate::cli::error::{CliError, Exit};
use crate::cli::help::NAME;
use crate::cli::status::facts::Stored;
use crate::cli::status::lead::{Gravity, Point};
use crate::core::model::inert;

/// Points that the line names; the page has all.
const NAMED_MOST: usize = 3;

/// The line, and how it ends.
pub(super) fn answer(points: &[Point], store: Result<&Stored, &CliError>) -> (String, Exit) {
    let told: Vec<&Point> = points
        .iter()
        .filter(|point| point.level > Gravity::Note)
        .collect();
    let worst = told.iter().map(|point| point.level).max();
    let (word, exit) = match (store, worst) {
        (Err(_), _) => ("UNKNOWN", Exit::CHECK_UNKNOWN),
        (_, Some(Gravity::Critical)) => ("CRITICAL", Exit::CHECK_CRITICAL),
        (_, Some(Gravity::Warning)) => ("WARNING", Exit::CHECK_WARNING),
        (_, Some(Gravity::Note) | None) => ("OK", Exit::Done),
    };
    let mut said: Vec<String> = told.iter().take(NAMED_MOST).map(|one| brief(one)).collect();
    if let Some(more) = told.len().checked_sub(NAMED_MOST).filter(|more| *more > 0) {
        said.push(format!("and {more} more"));
    }
    let data = match store {
        Ok(store) => figures(store),
        Err(why) => {
            said.insert(0, why.told());
            String::new()
        }
    };
    if said.is_empty() {
        said.push("nothing needs a human".to_owned());
    }
    // A bar would begin the figures.
    let said = inert::line(&said.join("; ")).replace('|', "/");
    (format!("{NAME} {word}: {said}{data}\n"), exit)
}

fn brief(point: &Point) -> String {
    match point.command.as_str() {
        "" => point.what.clone(),
        command => format!("{} (`{command}`)", point.what),
    }
}

fn figures(store: &Stored) -> String {
    let broken = store.broken().count();
    format!(
        " | open_tasks={} needs_human={} undelivered={} given_up={} broken_detectors={broken}",
        store.counts.open, store.needs_human, store.counts.outbox_waiting, store.counts.outbox_dead,
    )
}
