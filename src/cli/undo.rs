//! `undo`: takes back what an action changed.

use crate::cli::approve::confirmed;
use crate::cli::error::{CliError, ErrorKind, Exit};
use crate::cli::globals::Globals;
use crate::cli::stored;
use crate::cli::tasks::find;
use crate::cli::typed::Typed;
use crate::core::model::inert;
use crate::daemon::take_back::{self, TakeBackError};

pub(super) fn run(typed: &Typed, globals: &Globals) -> Result<Exit, CliError> {
    let id = typed.task_id(0)?;
    typed.at_most(1)?;
    let config = globals.proven_config()?;
    let actor = stored::actor(typed)?;
    let reader = stored::reader(globals, &config)?;
    find(&reader, id)?;
    let effect = take_back::effect(&reader, id).map_err(refused)?;
    let effect = effect.ok_or_else(|| {
        let what = format!("no action of task {id} left anything that can be taken back");
        CliError::failed(what).hint(format!("see `tasks show {id}` for what was done"))
    })?;
    let would = format!("{}: {}", effect.attempt.action_text, effect.undo);
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

fn refused(why: TakeBackError) -> CliError {
    match why {
        TakeBackError::Store(why) => why.into(),
        TakeBackError::Load(why) => CliError::hinted(ErrorKind::Config, why),
        why @ (TakeBackError::Record(..) | TakeBackError::Gate(_) | TakeBackError::Action(_)) => {
            CliError::hinted(ErrorKind::Failed, why)
        }
    }
}
