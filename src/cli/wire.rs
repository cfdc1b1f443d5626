//! The narrow bridge to the parts that do the work: nothing else of the command line knows them.

use std::io::{self, Write};
use std::path::PathBuf;

use crate::cli::error::{CliError, Exit};
use crate::cli::globals::Globals;
use crate::cli::typed::Typed;
use crate::core::class::Class;
use crate::core::config::Github;
use crate::core::rules::RuleSet;
use crate::core::runbook;
use crate::core::time::Timestamp;
use crate::escalation::github;

const FILTER_BUFFER: usize = 64 << 10;

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

/// Standard input to standard output, in order, with nothing else printed.
pub fn fingerprint(typed: &Typed, _globals: &Globals) -> Result<Exit, CliError> {
    typed.at_most(0)?;
    let class: Option<Class> = typed.parsed("class")?;
    let subject: Option<String> = typed.parsed("subject")?;
    let mut input = io::BufReader::with_capacity(FILTER_BUFFER, io::stdin().lock());
    let mut output = io::BufWriter::with_capacity(FILTER_BUFFER, io::stdout().lock());
    super::fingerprint::filter(
        &mut input,
        &mut output,
        class.unwrap_or(Class::LogError).as_str(),
        &subject.unwrap_or_default(),
        typed.has("template"),
    )?;
    Ok(Exit::Done)
}

pub fn replay(typed: &Typed, globals: &Globals) -> Result<Exit, CliError> {
    let files: Vec<String> = typed
        .words()
        .iter()
        .map(|word| word.to_string_lossy().into_owned())
        .collect();
    if files.is_empty() {
        return Err(CliError::Usage(
            "no file given: what is to be replayed?: replay FILE…, `-` is standard input"
                .to_owned(),
        ));
    }
    let mut output = io::BufWriter::new(io::stdout().lock());
    let code = super::replay::replay(&files, globals.json, &mut output)?;
    output.flush()?;
    Ok(if code == 0 { Exit::Done } else { Exit::Failed })
}

/// Mistakes in the operator's rule files, each as `file:line: what`.
pub fn check_rules(texts: &[(String, String)]) -> Vec<String> {
    // One file at a time: a mistake in one must not hide those of the next.
    texts
        .iter()
        .filter_map(|text| RuleSet::load(std::slice::from_ref(text)).err())
        .map(|why| why.to_string())
        .collect()
}

/// Mistakes in the operator's runbooks, each as `file:line: what`.
pub fn check_runbooks(texts: &[(String, String)]) -> Vec<String> {
    texts
        .iter()
        .filter_map(|(file, text)| runbook::parse(file, text).err())
        .map(|why| why.to_string())
        .collect()
}

/// What the way to the tracker says: text, good or not, and what to do.
pub fn reach_tracker(config: &Github, now: Timestamp) -> Vec<(String, bool, String)> {
    let credentials = std::env::var_os("CREDENTIALS_DIRECTORY").map(PathBuf::from);
    github::check::check(config, credentials, now)
        .into_iter()
        .map(|check| (check.what, check.ok, check.advice))
        .collect()
}
