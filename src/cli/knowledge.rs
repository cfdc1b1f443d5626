//! `bundle`: build, query, look into and verify the knowledge bundle.

use crate::cli::error::{CliError, Exit};
use crate::cli::globals::Globals;
use crate::cli::tasks::unknown_word;
use crate::cli::typed::Typed;

pub fn run(typed: &Typed, _globals: &Globals) -> Result<Exit, CliError> {
    match typed.word(0) {
        Some("build" | "query" | "info" | "verify") => Err(CliError::Failed(
            "bundle: not wired in this build: use a complete build".to_owned(),
        )),
        word => Err(unknown_word(
            "bundle",
            word,
            &["build", "query", "info", "verify"],
        )),
    }
}
