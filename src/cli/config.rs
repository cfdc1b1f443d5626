//! `config`: check, show, and the commented example.

use crate::cli::error::{CliError, ErrorKind, Exit};
use crate::cli::fault::Fault;
use crate::cli::globals::{Globals, read_capped};
use crate::cli::tasks::unknown_word;
use crate::cli::typed::Typed;
use crate::cli::wire;
use crate::core::config::Config;
use crate::core::config::settings::{Setting, line_of_key};
use crate::core::model::object::object;
use crate::core::model::packed::{Packed, packed};

/// What `install` writes and `config default` prints.
pub(super) const EXAMPLE: Packed = packed!("example.toml");

pub(super) fn run(typed: &Typed, globals: &Globals) -> Result<Exit, CliError> {
    typed.at_most(1)?;
    match typed.word(0) {
        Some("check") => check(globals),
        Some("default") => {
            globals.print(&EXAMPLE.text())?;
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

/// What the operator's files say that cannot be used.
#[derive(Debug)]
pub(super) struct Read {
    /// What of the configuration can be used.
    pub(super) config: Config,
    /// With any of these the daemon neither starts nor reloads.
    pub(super) mistakes: Vec<Fault>,
    /// What it goes without.
    pub(super) distrusted: Vec<Fault>,
}

/// Reads the configuration, the rules of logs and causes, and the runbooks, as the daemon would.
pub(super) fn read(globals: &Globals) -> Result<Read, CliError> {
    let path = globals.config_path();
    let (config, mistakes) = globals.read_config(read_capped)?;
    let own = mistakes.into_iter();
    let mut all: Vec<Fault> = own.map(|why| Fault::of_config(path, why)).collect();
    let host = globals.host();
    all.extend(wire::check_rules(&host, &config.daemon.rules_dir));
    all.extend(wire::check_causes(&host, &config.daemon.causes_dir));
    all.extend(wire::check_runbooks(&host, &config.daemon.runbooks_dir));
    all.extend(wire::undeclared(&host, &config));
    let (fatal, distrusted) = wire::distrusted(globals, &config);
    all.extend(fatal);
    Ok(Read {
        config,
        mistakes: all,
        distrusted,
    })
}

/// What the configuration names and this host does not have: it may come, so it is no mistake.
fn absent(globals: &Globals, config: &Config) -> Vec<String> {
    let path = globals.config_path();
    let text = read_capped(path).unwrap_or_default();
    let told = |key: &str, what: String| {
        let line = line_of_key(&text, key);
        format!("{}:{line}: {key}: {what}", path.display())
    };
    let host = globals.host();
    let files = named_files(config).into_iter();
    let files = files
        .filter(|(_, file)| !file.is_empty() && !host.path(file).exists())
        .map(|(key, file)| told(&key, format!("{file} does not exist")));
    let units = wire::unknown_units(&host, config).into_iter();
    let units = units.map(|(key, unit, meant)| {
        let meant = match meant.as_str() {
            "" => String::new(),
            meant => format!(": did you mean {meant}?"),
        };
        told(&key, format!("there is no unit {unit} here{meant}"))
    });
    files.chain(units).collect()
}

/// Every file that must be there for what the configuration asks for, with its key.
fn named_files(config: &Config) -> Vec<(String, &str)> {
    let mut files: Vec<(String, &str)> = [
        ("alertmanager.ca_file", &config.alertmanager.ca_file),
        ("webhook.token_file", &config.webhook.token_file),
        ("webhook.ca_file", &config.webhook.ca_file),
        ("ping.ca_file", &config.ping.ca_file),
        ("llm.token_file", &config.llm.token_file),
    ]
    .map(|(key, file)| (key.to_owned(), file.as_str()))
    .into();
    if let Some(github) = &config.escalation.github {
        let key = |name: &str| format!("escalation.github.{name}");
        files.push((key("token_file"), &github.token_file));
        files.push((key("ca_file"), &github.ca_file));
    }
    for (at, notify) in config.notify.iter().enumerate() {
        let key = |name: &str| format!("notify[{at}].{name}");
        files.push((key("token_file"), &notify.token_file));
        files.push((key("ca_file"), &notify.ca_file));
    }
    let probes = config.probe.iter().enumerate();
    files
        .extend(probes.map(|(at, probe)| (format!("probe[{at}].ca_file"), probe.ca_file.as_str())));
    files
}

fn check(globals: &Globals) -> Result<Exit, CliError> {
    let Read {
        config,
        mistakes,
        distrusted,
    } = read(globals)?;
    let path = globals.config_path().display().to_string();
    let warnings: Vec<String> = distrusted
        .iter()
        .map(Fault::to_string)
        .chain(wire::open_address(globals, &config))
        .chain(wire::untrusted_commands(&globals.host(), &config))
        .chain(absent(globals, &config))
        .collect();
    if globals.json {
        globals.print_json(&object!({
            "file": path,
            "mistakes": mistakes.iter().map(Fault::to_json).collect::<Vec<_>>(),
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
    let told: Vec<String> = mistakes.iter().map(Fault::to_string).collect();
    Err(CliError::new(ErrorKind::Config, told.join("\n")))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    /// The example with its keys switched on: every `#key = value` line; prose has `# ` in front.
    fn switched_on() -> String {
        EXAMPLE
            .text()
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
        assert_eq!(Config::parse(&EXAMPLE.text()).unwrap(), Config::default());
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
        assert_eq!(config.notify.len(), 1);
        config.notify.clear();
        config.maintenance.clear();
        config.mode.class.clear();
        config.mode.unit.clear();
        config.mode.action.clear();
        config.alertmanager.labels.clear();
        config.escalation.github = None;
        assert_eq!(config, default);
    }

    #[test]
    fn the_example_names_every_key() {
        let shown = Config::parse(&switched_on()).unwrap().shown().to_toml();
        let example = EXAMPLE.text();
        for key in shown.lines().filter_map(|line| line.split_once(" = ")) {
            let on = format!("\n#{} =", key.0);
            assert!(example.contains(&on), "{} is not in the example", key.0);
        }
    }

    #[test]
    fn what_is_shown_can_be_read_again() {
        let text = Config::default().shown().to_toml();
        assert_eq!(Config::parse(&text).unwrap(), Config::default());
    }
}
