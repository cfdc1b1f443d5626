//! `undo`: takes back what an action changed.

use serde_json::Value;

use crate::cli::approve::confirmed;
use crate::cli::error::{CliError, ErrorKind, Exit};
use crate::cli::globals::Globals;
use crate::cli::table::{Cell, Table};
use crate::cli::tasks::find;
use crate::cli::typed::Typed;
use crate::cli::{shape, stored};
use crate::core::model::inert;
use crate::core::model::object::object;
use crate::core::model::task::Outcome;
use crate::daemon::take_back::{self, Effect, TakeBackError};

pub(super) fn run(typed: &Typed, globals: &Globals) -> Result<Exit, CliError> {
    if matches!(typed.word(0), None | Some("list")) {
        return list(typed, globals);
    }
    let id = typed.task_id(0)?;
    typed.at_most(1)?;
    let config = globals.proven_config()?;
    let actor = stored::actor(typed)?;
    let reader = stored::reader(globals, &config)?;
    find(&reader, id)?;
    let effect = take_back::effect(&reader, id).map_err(refused)?;
    if effect.is_none() {
        let attempts = reader.attempts(id)?.into_iter();
        if let Some(back) = attempts
            .rev()
            .find(|one| one.outcome == Some(Outcome::Undone))
        {
            let what = format!("what task {id} changed is taken back: {}", back.message);
            return Err(CliError::failed(what).hint(format!("`history {id}` has when and by whom")));
        }
    }
    let effect = effect.ok_or_else(|| {
        let what = format!("no action of task {id} left anything that can be taken back");
        CliError::failed(what).hint("`undo` lists what can be")
    })?;
    let would = format!(
        "to take back: {}: {}",
        effect.attempt.action_text, effect.undo
    );
    globals.print(&format!("{}\n", inert::line(&would)))?;
    if globals.dry_run {
        return Ok(Exit::Done);
    }
    confirmed(typed, globals, "--yes does it unasked")?;
    let store = stored::store(globals, &config, globals.now())?;
    let done = take_back::take_back(&globals.host(), config, &store, &effect, &actor);
    let done = done.map_err(refused)?;
    let told = format!("{done}; when the fault returns, this action is proposed and not done");
    globals.print(&format!("{}\n", inert::line(&told)))?;
    Ok(Exit::Done)
}

/// The tasks of which something can be taken back.
fn list(typed: &Typed, globals: &Globals) -> Result<Exit, CliError> {
    typed.at_most(1)?;
    let config = globals.readable_config()?;
    let effects = take_back::effects(&stored::reader(globals, &config)?)?;
    let mut table = Table::new(&["TASK", "DONE (UTC)", "ACTION: WHAT `undo TASK` DOES"]);
    let mut json = Vec::new();
    for Effect { attempt, undo } in &effects {
        let undo = undo.to_string();
        json.push(object!({
            "task_id": attempt.task_id,
            "started_at": shape::time(attempt.started_at),
            "action": attempt.action_text,
            "undo": undo,
        }));
        let done = shape::second(attempt.started_at);
        let what = format!("{}: {undo}", attempt.action_text);
        table.row([attempt.task_id.to_string(), done, what].map(Cell::from));
    }
    let empty = "No action left anything that can be taken back.";
    globals.listing(&Value::Array(json), &table, empty)?;
    Ok(Exit::Done)
}

fn refused(why: TakeBackError) -> CliError {
    match why {
        TakeBackError::Store(why) => why.into(),
        TakeBackError::Load(why) => CliError::hinted(ErrorKind::Config, why),
        why @ (TakeBackError::Record(..) | TakeBackError::Gate(_) | TakeBackError::Action(_)) => {
            CliError::hinted(ErrorKind::Failed, why)
        }
    }
}
