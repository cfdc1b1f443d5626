//! `help`: everything it prints comes from the table of commands.

use std::fmt::Write as _;

use crate::cli::command::{Command, Flag, GLOBAL_FLAGS};
use crate::cli::error::{CliError, Exit};
use crate::cli::globals::Globals;
use crate::cli::parse::named;
use crate::cli::typed::Typed;

pub(super) const NAME: &str = env!("CARGO_PKG_NAME");

/// The command `help` of a table.
pub(super) fn run(
    table: &'static [Command],
    typed: &Typed,
    globals: &Globals,
) -> Result<Exit, CliError> {
    typed.at_most(1)?;
    let text = match typed.words().first() {
        Some(word) => of_command(named(table, word)?),
        None => overview(table),
    };
    globals.print(&text)?;
    Ok(Exit::Done)
}

/// The page of `help` alone.
pub(super) fn overview(table: &[Command]) -> String {
    let mut text = format!(
        "{NAME} {}\n{}\n\nUsage: {NAME} [OPTIONS] COMMAND [ARGUMENTS]\n\nCommands:\n",
        env!("CARGO_PKG_VERSION"),
        env!("CARGO_PKG_DESCRIPTION"),
    );
    let shown = || table.iter().filter(|command| !command.hidden);
    let wide = shown().map(|command| command.name.len()).max().unwrap_or(0);
    for command in shown() {
        let _ = writeln!(text, "  {:wide$}  {}", command.name, command.brief);
    }
    text.push_str("\nOptions of every command:\n");
    flags(&mut text, GLOBAL_FLAGS);
    text.push_str("\nExit codes:\n");
    for (exit, means) in Exit::ALL {
        let _ = writeln!(text, "  {}  {means}", exit.code());
    }
    let _ = write!(
        text,
        "\n`{NAME} help COMMAND` explains one command with an example.\n"
    );
    text
}

/// The page of one command.
pub(super) fn of_command(command: &Command) -> String {
    let mut text = format!(
        "{}\n\nUsage: {NAME} {}{}{}\n\n{}\n",
        command.brief,
        command.name,
        if command.synopsis.is_empty() { "" } else { " " },
        command.synopsis,
        command.long,
    );
    if !command.flags.is_empty() {
        text.push_str("\nOptions:\n");
        flags(&mut text, command.flags);
    }
    text.push_str("\nOptions of every command:\n");
    flags(&mut text, GLOBAL_FLAGS);
    text.push_str("\nExample:\n");
    for line in command.example.lines() {
        let _ = writeln!(text, "  {line}");
    }
    text
}

fn flags(text: &mut String, flags: &[Flag]) {
    let named: Vec<(String, &str)> = flags
        .iter()
        .filter(|flag| !flag.help.is_empty())
        .map(|flag| {
            let short = flag.short.map_or("    ".to_owned(), |c| format!("-{c}, "));
            let value = flag.value.map_or(String::new(), |name| format!(" {name}"));
            (format!("{short}--{}{value}", flag.long), flag.help)
        })
        .collect();
    let wide = named.iter().map(|(name, _)| name.len()).max().unwrap_or(0);
    for (name, help) in named {
        let _ = writeln!(text, "  {name:wide$}  {help}");
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
            assert!(
                command.example.contains(command.name),
                "the example of {} does not call it",
                command.name
            );
            assert!(page.lines().all(|line| line.chars().count() <= 110));
        }
    }

    #[test]
    fn the_overview_lists_all_but_hidden_commands() {
        let page = overview(COMMANDS);
        for command in COMMANDS.iter().filter(|command| !command.hidden) {
            assert!(page.contains(&format!("\n  {} ", command.name)));
        }
    }
}
