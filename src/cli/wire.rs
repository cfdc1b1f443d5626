//! The narrow bridge to the parts that do the work: nothing else of the command line knows them.

use crate::cli::error::{CliError, Exit};
use crate::cli::globals::Globals;
use crate::cli::typed::Typed;
use crate::core::config::Config;

fn not_wired(what: &str) -> CliError {
    CliError::Failed(format!(
        "{what}: not wired in this build: use a complete build"
    ))
}

pub fn run(typed: &Typed, globals: &Globals) -> Result<Exit, CliError> {
    typed.at_most(0)?;
    let _config = globals.load_config()?;
    Err(not_wired("run"))
}

pub fn scan(typed: &Typed, globals: &Globals) -> Result<Exit, CliError> {
    typed.at_most(0)?;
    let _config = globals.load_config()?;
    Err(not_wired("scan"))
}

pub fn explain(typed: &Typed, _globals: &Globals) -> Result<Exit, CliError> {
    typed.at_most(1)?;
    typed.id(0)?;
    Err(not_wired("explain"))
}

pub fn demo(_typed: &Typed, _globals: &Globals) -> Result<Exit, CliError> {
    Err(not_wired("demo"))
}

pub fn fingerprint(typed: &Typed, _globals: &Globals) -> Result<Exit, CliError> {
    typed.at_most(0)?;
    Err(not_wired("fingerprint"))
}

pub fn replay(_typed: &Typed, _globals: &Globals) -> Result<Exit, CliError> {
    Err(not_wired("replay"))
}

/// Mistakes in the operator's rule files, each as `file:line: what`.
pub fn check_rules(_texts: &[(String, String)]) -> Vec<String> {
    Vec::new()
}

/// Mistakes in the operator's runbooks, each as `file:line: what`.
pub fn check_runbooks(_texts: &[(String, String)]) -> Vec<String> {
    Vec::new()
}

/// Is the tracker reachable with this configuration? The text says what answered, or why not.
pub fn reach_tracker(_config: &Config) -> Result<String, String> {
    Err("not wired in this build".to_owned())
}
