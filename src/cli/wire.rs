//! The narrow bridge to the parts that do the work: nothing else of the command line knows the daemon.

use std::io::{BufReader, BufWriter, Write, stdin, stdout};
use std::path::{Path, PathBuf};

use serde_json::json;

use crate::cli::error::{CliError, Exit};
use crate::cli::globals::Globals;
use crate::cli::table::{Cell, Table, Tone};
use crate::cli::typed::Typed;
use crate::cli::{fingerprint as filter, replay as recorded, shape};
use crate::core::config::{Config, Github};
use crate::core::model::class::Class;
use crate::core::model::finding::Severity;
use crate::core::model::time::Timestamp;
use crate::core::reading::log_rules::RuleSet;
use crate::core::remedy::runbook;
use crate::daemon::{
    self, Options, Runtime, StartError, Timing, demo as play, explain as reasoning, logging, once,
    supervisor,
};
use crate::escalation::fleet_check;
use crate::escalation::github::check::{self, Check};
use crate::host::lock::{self, LockError};
use crate::store::StoreError;

impl From<StartError> for CliError {
    fn from(why: StartError) -> Self {
        let text = why.to_string();
        match why {
            StartError::Config(_) => Self::Config(text),
            StartError::Store(_) | StartError::State(..) => Self::Store(text),
            StartError::Running(_) => Self::Instance(text),
        }
    }
}

fn store(why: StoreError) -> CliError {
    CliError::Store(why.to_string())
}

pub(super) fn run(typed: &Typed, globals: &Globals) -> Result<Exit, CliError> {
    typed.at_most(0)?;
    let config = globals.load_config()?;
    logging::start(&config.daemon.log_level);
    // Before the first thread: every thread inherits the mask, and only the supervisor reads them.
    if !typed.has("once") {
        supervisor::block_signals().map_err(|why| CliError::Failed(format!("signals: {why}")))?;
    }
    let host = globals.host();
    let state = host.path(&config.daemon.state_dir);
    std::fs::create_dir_all(&state).map_err(|why| StartError::State(state.clone(), why))?;
    let _lock = lock::acquire(&state.join("lock")).map_err(|why| match why {
        LockError::Held { .. } => StartError::Running(why.to_string()),
        LockError::Io(path, why) => StartError::State(path, why),
    })?;
    let options = Options {
        config_file: globals.config_path().to_owned(),
        config_named: globals.config.is_some(),
        state_dir: globals
            .state_dir
            .as_ref()
            .map(|dir| dir.display().to_string()),
        dry_run: globals.dry_run,
        timing: Timing::default(),
    };
    let runtime = Runtime::start(host, config, &options)?;
    if typed.has("once") {
        let pass = once::run_once(&runtime).map_err(store)?;
        globals.print(&format!(
            "{} conditions seen, {} new tasks, {} ended\n",
            pass.findings, pass.new_tasks, pass.cleared
        ))?;
    } else {
        daemon::run(&runtime).map_err(store)?;
    }
    Ok(Exit::Done)
}

pub(super) fn scan(typed: &Typed, globals: &Globals) -> Result<Exit, CliError> {
    typed.at_most(0)?;
    let config = globals.load_config()?;
    let scan =
        once::scan(&globals.host(), config).map_err(|why| CliError::Config(why.to_string()))?;
    let json = json!({
        "findings": scan.findings.iter().map(shape::finding).collect::<Vec<_>>(),
        "detectors": scan.lines.iter().map(|line| json!({
            "name": line.detector,
            "findings": line.outcome.as_ref().ok(),
            "note": line.outcome.as_ref().err(),
            "milliseconds": line.millis,
        })).collect::<Vec<_>>(),
    });
    let mut table = Table::new(&["SEVERITY", "CLASS", "SUBJECT", "MESSAGE"]);
    for finding in &scan.findings {
        table.row([
            Cell::new(finding.severity.as_str(), tone(finding.severity)),
            Cell::from(finding.class.as_str()),
            Cell::from(finding.subject.as_str()),
            Cell::from(finding.message.as_str()),
        ]);
    }
    globals.listing(&json, &table, "no faults found\n")?;
    if typed.has("verbose") && !globals.json {
        let mut table = Table::new(&["DETECTOR", "OUTCOME", "MS"]);
        for line in &scan.lines {
            let outcome = line
                .outcome
                .as_ref()
                .map_or_else(Clone::clone, |count| format!("{count} found"));
            table.row([line.detector.to_owned(), outcome, line.millis.to_string()].map(Cell::from));
        }
        globals.print(&format!(
            "\n{}",
            table.draw(globals.width(), globals.colour())
        ))?;
    }
    Ok(if scan.findings.is_empty() {
        Exit::Done
    } else {
        Exit::Findings
    })
}

const fn tone(severity: Severity) -> Tone {
    match severity {
        Severity::Critical | Severity::Error => Tone::Bad,
        Severity::Warning => Tone::Warn,
        Severity::Info => Tone::Plain,
    }
}

pub(super) fn explain(typed: &Typed, globals: &Globals) -> Result<Exit, CliError> {
    typed.at_most(1)?;
    let id = typed.id(0)?;
    let config = globals.load_config()?;
    let explained = reasoning::explain(&globals.host(), config, id).map_err(CliError::Store)?;
    if globals.json {
        globals.print_json(&explained.json())?;
    } else {
        globals.print(&explained.text())?;
    }
    Ok(Exit::Done)
}

pub(super) fn demo(typed: &Typed, _globals: &Globals) -> Result<Exit, CliError> {
    if let Some(port) = typed.parsed::<u16>("serve")? {
        // The demo's own small service; hidden from help.
        let file = typed.path(0).unwrap_or_else(|| PathBuf::from("/dev/null"));
        return play::serve(port, Path::new(&file))
            .map(|()| Exit::Done)
            .map_err(CliError::Failed);
    }
    typed.at_most(0)?;
    match play::run(&mut stdout()) {
        Ok(true) => Ok(Exit::Done),
        Ok(false) => Ok(Exit::Failed),
        Err(why) => Err(CliError::Failed(format!("demo: {why}"))),
    }
}

/// Enough for thousands of lines a system call.
const BUFFER: usize = 64 << 10;

/// Standard input to standard output, in order, with nothing else printed.
pub(super) fn fingerprint(typed: &Typed, _globals: &Globals) -> Result<Exit, CliError> {
    typed.at_most(0)?;
    let class: Option<Class> = typed.parsed("class")?;
    let subject: Option<String> = typed.parsed("subject")?;
    let mut input = BufReader::with_capacity(BUFFER, stdin().lock());
    let mut output = BufWriter::with_capacity(BUFFER, stdout().lock());
    filter::filter(
        &mut input,
        &mut output,
        class.unwrap_or(Class::LogError).as_str(),
        &subject.unwrap_or_default(),
        typed.has("template"),
    )?;
    output.flush()?;
    Ok(Exit::Done)
}

pub(super) fn replay(typed: &Typed, globals: &Globals) -> Result<Exit, CliError> {
    let files: Vec<String> = typed
        .words()
        .iter()
        .map(|word| word.to_string_lossy().into_owned())
        .collect();
    if files.is_empty() {
        return Err(CliError::Usage(
            "replay: no file: name one or more log files".to_owned(),
        ));
    }
    let rules = operators_rules(globals)?;
    let mut output = BufWriter::with_capacity(BUFFER, stdout().lock());
    let code = recorded::replay(&files, &rules, globals.json, &mut output)?;
    output.flush()?;
    Ok(if code == 0 { Exit::Done } else { Exit::Failed })
}

/// The built-in rules behind the operator's own, as a daemon with this configuration has them.
fn operators_rules(globals: &Globals) -> Result<RuleSet, CliError> {
    let config = globals.load_config()?;
    let texts = daemon::loaded_config::texts(&globals.host(), &config.daemon.rules_dir)
        .map_err(|why| CliError::Config(why.to_string()))?;
    RuleSet::load(&texts).map_err(|why| CliError::Config(why.to_string()))
}

/// Mistakes in the operator's rule files, each as `file:line: what`; their samples are tried too.
pub(super) fn check_rules(texts: &[(String, String)]) -> Vec<String> {
    // One file at a time: a mistake in one must not hide those of the next.
    texts
        .iter()
        .flat_map(|text| match RuleSet::load(std::slice::from_ref(text)) {
            Ok(rules) => rules.check_samples(),
            Err(why) => vec![why],
        })
        .map(|why| why.to_string())
        .collect()
}

/// Mistakes in the operator's runbooks, each as `file:line: what`.
pub(super) fn check_runbooks(texts: &[(String, String)]) -> Vec<String> {
    texts
        .iter()
        .filter_map(|(file, text)| runbook::parse(file, text).err())
        .map(|why| why.to_string())
        .collect()
}

/// What the way to the tracker says: text, good or not, and what to do.
pub(super) fn reach_tracker(config: &Github, now: Timestamp) -> Vec<(String, bool, String)> {
    told(check::check(config, credentials(), now))
}

/// The same for the fleet's destinations.
pub(super) fn reach_fleet(config: &Config) -> Vec<(String, bool, String)> {
    told(fleet_check::fleet(config, credentials().as_deref()))
}

/// Why metrics cannot be written into this directory, if they cannot.
pub(super) fn textfile_problem(directory: &Path) -> Option<&'static str> {
    fleet_check::textfile_problem(directory)
}

fn credentials() -> Option<PathBuf> {
    std::env::var_os("CREDENTIALS_DIRECTORY").map(PathBuf::from)
}

fn told(checks: Vec<Check>) -> Vec<(String, bool, String)> {
    checks
        .into_iter()
        .map(|check| (check.what, check.ok, check.advice))
        .collect()
}
