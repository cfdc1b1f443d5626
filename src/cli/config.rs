//! `config`: check, show, and the commented example.

use std::io;

use serde_json::json;

use crate::cli::error::{CliError, ErrorKind, Exit};
use crate::cli::globals::{Globals, config_message, read_capped};
use crate::cli::tasks::unknown_word;
use crate::cli::typed::Typed;
use crate::cli::wire;
use crate::core::config::Config;
use crate::core::config::settings::Setting;

/// What `install` writes and `config default` prints.
pub(super) const EXAMPLE: &str = include_str!("example.toml");

pub(super) fn run(typed: &Typed, globals: &Globals) -> Result<Exit, CliError> {
    typed.at_most(1)?;
    match typed.word(0) {
        Some("check") => check(globals),
        Some("default") => {
            globals.print(EXAMPLE)?;
            Ok(Exit::Done)
        }
        None if typed.words().is_empty() => show(globals),
        Some("show") => show(globals),
        word => Err(unknown_word("config", word, &["check", "show", "default"])),
    }
}

fn show(globals: &Globals) -> Result<Exit, CliError> {
    let config = globals.load_config()?.without_secrets();
    if globals.json {
        globals.print_json(&config.shown().to_json())?;
    } else {
        let path = globals.config_path();
        let from = if path.exists() {
            path.display().to_string()
        } else {
            format!("the defaults; {} does not exist", path.display())
        };
        let text = config.shown().to_toml();
        globals.print(&format!("# in force, from {from}\n{text}"))?;
    }
    Ok(Exit::Done)
}

/// Everything that is wrong with the configuration, the rules of logs and causes, and the runbooks.
pub(super) fn mistakes(globals: &Globals) -> Vec<String> {
    let path = globals.config_path();
    let config = match read_capped(path) {
        Ok(text) => match Config::parse(&text) {
            Ok(config) => config,
            // What lies beside it is named in it: nothing more can be checked.
            Err(why) => return vec![config_message(path, &text, &why)],
        },
        Err(why) if why.kind() == io::ErrorKind::NotFound && globals.config.is_none() => {
            Config::default()
        }
        Err(why) => return vec![format!("{}: cannot be read: {why}", path.display())],
    };
    let host = globals.host();
    let mut all = wire::check_rules(&host, &config.daemon.rules_dir);
    all.extend(wire::check_causes(&host, &config.daemon.causes_dir));
    all.extend(wire::check_runbooks(&host, &config.daemon.runbooks_dir));
    all
}

fn check(globals: &Globals) -> Result<Exit, CliError> {
    let mistakes = mistakes(globals);
    let path = globals.config_path().display().to_string();
    let warnings = match globals.load_config() {
        Ok(config) => {
            let distrusted = wire::distrusted(globals, &config).into_iter();
            distrusted
                .map(|why| format!("not loaded by the daemon: {why}"))
                .chain(wire::open_address(globals, &config))
                .collect()
        }
        // The mistake is among the others.
        Err(_) => Vec::new(),
    };
    if globals.json {
        globals.print_json(&json!({
            "file": path,
            "mistakes": mistakes,
            "warnings": warnings,
        }))?;
    } else {
        for warning in &warnings {
            globals.print(&format!("warning: {warning}\n"))?;
        }
    }
    if mistakes.is_empty() {
        if !globals.json {
            let none = if globals.config_path().exists() {
                ""
            } else {
                " (there is no such file: all defaults hold)"
            };
            globals.print(&format!("{path}: ok{none}\n"))?;
        }
        return Ok(Exit::Done);
    }
    Err(CliError::new(ErrorKind::Config, mistakes.join("\n")))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    /// The example with its keys switched on: every `#key = value` line; prose has `# ` in front.
    fn switched_on() -> String {
        EXAMPLE
            .lines()
            .map(|line| match line.strip_prefix('#') {
                Some(rest) if !rest.starts_with([' ', '#']) && !rest.is_empty() => rest,
                _ => line,
            })
            .collect::<Vec<_>>()
            .join("\n")
    }

    #[test]
    fn the_example_as_written_is_the_default() {
        assert_eq!(Config::parse(EXAMPLE).unwrap(), Config::default());
    }

    #[test]
    fn the_example_switched_on_says_the_defaults() {
        let mut config = Config::parse(&switched_on()).unwrap();
        let default = Config::default();
        assert_eq!(config.probe.len(), 3);
        config.probe.clear();
        config.log_file.clear();
        config.service.clear();
        config.command.clear();
        config.maintenance.clear();
        config.mode.class.clear();
        config.alertmanager.labels.clear();
        config.escalation.github = None;
        assert_eq!(config, default);
    }

    #[test]
    fn the_example_names_every_key() {
        let shown = Config::parse(&switched_on()).unwrap().shown().to_toml();
        for key in shown.lines().filter_map(|line| line.split_once(" = ")) {
            let on = format!("\n#{} =", key.0);
            assert!(EXAMPLE.contains(&on), "{} is not in the example", key.0);
        }
    }

    #[test]
    fn what_is_shown_can_be_read_again() {
        let text = Config::default().shown().to_toml();
        assert_eq!(Config::parse(&text).unwrap(), Config::default());
    }
}
