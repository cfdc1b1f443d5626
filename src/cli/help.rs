//! `help`: everything it prints comes from the table of commands.

use std::fmt::Write as _;

use crate::cli::command::{CallForm, CommandRow, Flag, GLOBAL_FLAGS, Json};
use crate::cli::error::{CliError, Exit};
use crate::cli::globals::Globals;
use crate::cli::manual;
use crate::cli::parse::named;
use crate::cli::typed::Typed;

pub(super) const NAME: &str = env!("CARGO_PKG_NAME");
/// Empty where the package does not say.
const REPOSITORY: &str = env!("CARGO_PKG_REPOSITORY");

/// The command `help` of a table.
pub(super) fn run(
    table: &'static [CommandRow],
    typed: &Typed,
    globals: &Globals,
) -> Result<Exit, CliError> {
    typed.at_most(1)?;
    if let Some(form) = typed.parsed::<String>("as")? {
        let text = manual::of(table, &form).ok_or_else(|| {
            let hint = format!("one of {}", manual::FORMS.join(", "));
            CliError::usage(format!("--as '{form}': there is no such form")).hint(hint)
        })?;
        globals.print(&text)?;
        return Ok(Exit::Done);
    }
    let text = match typed.words().first() {
        Some(word) => of_command(named(table, word)?),
        None => overview(table),
    };
    globals.print(&text)?;
    Ok(Exit::Done)
}

/// The page of `help` alone.
pub(super) fn overview(table: &[CommandRow]) -> String {
    let mut text = format!(
        "{NAME} {}\n{}\n\nUsage: {NAME} [OPTIONS] COMMAND [ARGUMENTS]\n\nCommands:\n",
        env!("CARGO_PKG_VERSION"),
        env!("CARGO_PKG_DESCRIPTION"),
    );
    let rows = table.iter();
    aligned(
        &mut text,
        rows.map(|command| (command.name.to_owned(), command.brief)),
    );
    text.push_str("\nOptions of every command:\n");
    aligned(&mut text, shown(GLOBAL_FLAGS));
    text.push_str("\nExit codes:\n");
    for (exit, means) in Exit::ALL {
        let _ = writeln!(text, "  {}  {means}", exit.code());
    }
    let _ = write!(
        text,
        "\n`{NAME} help COMMAND` explains one command with an example.\n"
    );
    // Beside a bare binary there are none.
    if !REPOSITORY.is_empty() {
        let _ = writeln!(text, "The documents stand at {REPOSITORY}");
    }
    text
}

/// The page of one command.
pub(super) fn of_command(command: &CommandRow) -> String {
    let mut text = format!("{}\n\nUsage:\n", command.brief);
    let usage = |form: &CallForm| format!("{NAME} {} {}", command.name, form.words);
    let forms = command.forms.iter();
    aligned(
        &mut text,
        forms.map(|form| (usage(form), printed(form.json))),
    );
    let _ = write!(text, "\n{}\n", command.long);
    let own = shown(command.flags);
    if !own.is_empty() {
        text.push_str("\nOptions:\n");
        aligned(&mut text, own);
    }
    text.push_str("\nOptions of every command:\n");
    aligned(&mut text, shown(GLOBAL_FLAGS));
    text.push_str("\nExample:\n");
    for line in command.example.lines() {
        let _ = writeln!(text, "  {line}");
    }
    text
}

const fn printed(json: Json) -> &'static str {
    match json {
        Json::Array => "--json: an array",
        Json::Object => "--json: an object",
        Json::Lines => "an object a line",
        Json::None => "",
    }
}

/// The options that are told, each with what it does.
fn shown(flags: &[Flag]) -> Vec<(String, &str)> {
    flags
        .iter()
        .filter(|flag| !flag.help.is_empty())
        .map(|flag| {
            let short = flag.short.map_or("    ".to_owned(), |c| format!("-{c}, "));
            let value = flag.value.map_or(String::new(), |name| format!(" {name}"));
            (format!("{short}--{}{value}", flag.long), flag.help)
        })
        .collect()
}

/// Two columns, indented.
fn aligned<'a>(text: &mut String, rows: impl IntoIterator<Item = (String, &'a str)>) {
    let rows: Vec<_> = rows.into_iter().collect();
    let long = |row: &(String, &str)| row.0.chars().count();
    let wide = rows.iter().map(long).max().unwrap_or(0);
    for (name, help) in rows {
        let line = format!("  {name:wide$}  {help}");
        let _ = writeln!(text, "{}", line.trim_end());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::commands::COMMANDS;

    #[test]
    fn every_command_has_an_example_that_names_it() {
        for command in COMMANDS {
            let page = of_command(command);
            assert!(page.contains("Example:"), "{}", command.name);
            assert!(!page.contains("Options:\n\n"), "{}", command.name);
            assert!(
                command.example.contains(command.name),
                "the example of {} does not call it",
                command.name
            );
            assert!(page.lines().all(|line| line.chars().count() <= 110));
        }
    }

    #[test]
    fn the_overview_lists_all_commands() {
        let page = overview(COMMANDS);
        for command in COMMANDS {
            assert!(page.contains(&format!("\n  {} ", command.name)));
        }
    }
}
