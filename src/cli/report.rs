//! placeholder
use crate::cli::error::{CliError, Exit};
use crate::cli::globals::Globals;
use crate::cli::typed::Typed;
pub fn run(_typed: &Typed, _globals: &Globals) -> Result<Exit, CliError> {
    Ok(Exit::Done)
}
