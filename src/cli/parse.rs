//! From the words of the shell to a command with its options: the table says what is legal.

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

use lexopt::{Arg, Parser};

use crate::cli::command::{CommandRow, Flag, GLOBAL_FLAGS};
use crate::cli::error::{CliError, ErrorKind};
use crate::cli::globals::Globals;
use crate::cli::typed::Typed;
use crate::core::model::text::nearest;

/// What the whole command line asks for.
#[derive(Debug)]
pub(super) enum CommandLine {
    Version,
    /// Help about a command, or about all.
    Help(Option<&'static CommandRow>),
    /// Nothing was typed.
    Nothing,
    Run(&'static CommandRow, Typed, Globals),
}

/// Reads the command line (without the program's own name) against the table of commands.
pub(super) fn read(
    table: &'static [CommandRow],
    args: impl IntoIterator<Item = OsString>,
) -> Result<CommandLine, CliError> {
    let mut parser = Parser::from_args(args);
    let mut globals = Globals::default();
    let mut typed = Typed::default();
    let mut command: Option<&'static CommandRow> = None;
    while let Some(arg) = parser.next().map_err(lexical)? {
        let (long, short) = match arg {
            Arg::Value(word) => {
                match command {
                    None => command = Some(named(table, &word)?),
                    Some(_) => typed.words.push(word),
                }
                continue;
            }
            Arg::Long(name) => (Some(name.to_owned()), None),
            Arg::Short(name) => (None, Some(name)),
        };
        let matches = |flag: &Flag| {
            long.as_deref() == Some(flag.long) || (short.is_some() && short == flag.short)
        };
        if let Some(flag) = GLOBAL_FLAGS.iter().find(|flag| matches(flag)) {
            match flag.long {
                "help" => return Ok(CommandLine::Help(command)),
                "version" => return Ok(CommandLine::Version),
                "json" => globals.json = true,
                "no-color" => globals.no_color = true,
                "dry-run" => globals.dry_run = true,
                "config" => globals.config = Some(path_value(&mut parser)?),
                "state-dir" => globals.state_dir = Some(here(&path_value(&mut parser)?)?),
                _ => globals.root = Some(path_value(&mut parser)?),
            }
            continue;
        }
        let own = command.map_or(&[][..], |command| command.flags);
        let Some(flag) = own.iter().find(|flag| matches(flag)) else {
            let name = long.map_or_else(
                || format!("-{}", short.unwrap_or('?')),
                |long| format!("--{long}"),
            );
            return Err(unknown_flag(table, &name, command));
        };
        let value = match flag.value {
            Some(_) => Some(parser.value().map_err(lexical)?),
            None => None,
        };
        typed.flags.push((flag.long, value));
    }
    Ok(match command {
        Some(command) => CommandLine::Run(command, typed, globals),
        None => CommandLine::Nothing,
    })
}

fn lexical(why: lexopt::Error) -> CliError {
    CliError::of(ErrorKind::Usage, why).hint("see --help")
}

/// An empty path would silently mean the current directory.
fn path_value(parser: &mut Parser) -> Result<PathBuf, CliError> {
    let value = parser.value().map_err(lexical)?;
    if value.is_empty() {
        return Err(CliError::usage("an empty path was given: it names nothing").hint("see --help"));
    }
    Ok(PathBuf::from(value))
}

/// A path as whoever typed it means it: from the current directory.
fn here(path: &Path) -> Result<PathBuf, CliError> {
    std::path::absolute(path).map_err(|why| {
        let what = format!("{}: where is that?", path.display());
        CliError::usage(what)
            .because(why)
            .hint("write an absolute path")
    })
}

/// The command of this name, or an error with the nearest one.
pub(super) fn named(
    table: &'static [CommandRow],
    word: &OsStr,
) -> Result<&'static CommandRow, CliError> {
    let name = word.to_string_lossy();
    let found = table.iter().find(|command| command.name == name);
    found.ok_or_else(|| {
        let near = nearest(&name, table.iter().map(|command| command.name));
        CliError::usage(match near {
            Some(near) => format!("unknown command '{name}': did you mean '{near}'?"),
            None => format!("unknown command '{name}': there is none"),
        })
        .hint("see `help`")
    })
}

fn unknown_flag(
    table: &'static [CommandRow],
    name: &str,
    command: Option<&'static CommandRow>,
) -> CliError {
    let bare = name.trim_start_matches('-');
    if command.is_none()
        && let Some(owner) = table
            .iter()
            .find(|command| command.flags.iter().any(|flag| flag.long == bare))
    {
        return CliError::usage(format!(
            "option {name} before the command: it belongs to one"
        ))
        .hint(format!("write `{} {name}`", owner.name));
    }
    let own = command.map_or(&[][..], |command| command.flags);
    let known = own.iter().chain(GLOBAL_FLAGS).map(|flag| flag.long);
    let near = nearest(bare, known);
    let of = command.map_or(String::new(), |command| format!(" of `{}`", command.name));
    CliError::usage(match near {
        Some(near) => format!("unknown option {name}{of}: did you mean --{near}?"),
        None => format!("unknown option {name}{of}: there is none"),
    })
    .hint("see --help")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic)]
    use super::*;
    use crate::cli::commands::COMMANDS;
    use crate::core::model::id::TaskId;

    fn read_words(words: &[&str]) -> Result<CommandLine, CliError> {
        read(COMMANDS, words.iter().map(OsString::from))
    }

    #[test]
    fn global_options_stand_anywhere() {
        for words in [
            ["--json", "--config", "c", "tasks", "show", "4"],
            ["tasks", "show", "--config=c", "4", "--json", "--json"],
        ] {
            let CommandLine::Run(command, typed, globals) = read_words(&words).unwrap() else {
                panic!("{words:?}");
            };
            assert_eq!(
                (command.name, typed.task_id(1).unwrap()),
                ("tasks", TaskId::from_number(4))
            );
            assert!(globals.json && globals.config.is_some());
        }
    }

    #[test]
    fn a_relative_state_directory_lies_in_the_current_one() {
        let CommandLine::Run(_, _, globals) = read_words(&["--state-dir", "st2", "tasks"]).unwrap()
        else {
            panic!("a command");
        };
        let here = std::env::current_dir().unwrap().join("st2");
        assert_eq!(globals.state_dir, Some(here));
    }

    #[test]
    fn help_and_version_win() {
        assert!(matches!(read_words(&["-V"]), Ok(CommandLine::Version)));
        assert!(matches!(
            read_words(&["tasks", "--help"]),
            Ok(CommandLine::Help(Some(_)))
        ));
        assert!(matches!(read_words(&[]), Ok(CommandLine::Nothing)));
    }

    #[test]
    fn mistakes_come_with_a_suggestion() {
        let message = |words: &[&str]| read_words(words).unwrap_err().told();
        assert!(message(&["taks"]).contains("did you mean 'tasks'"));
        assert!(message(&["man"]).contains("there is none"));
        assert!(message(&["tasks", "--jsno"]).contains("--json"));
        assert!(message(&["--once", "run"]).contains("`run --once`"));
        assert!(message(&["tasks", "--config"]).contains("--help"));
        assert!(message(&["--config=", "tasks"]).contains("empty path"));
    }
}
