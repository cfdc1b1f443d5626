//! The command line: one static table of commands drives parsing, help and dispatch.

mod approve;
mod command;
mod commands;
mod config;
mod doctor;
mod error;
mod escalations;
mod explain;
mod fault;
mod fingerprint;
mod globals;
mod help;
mod history;
mod import;
mod init;
mod inspect;
mod install;
mod knowledge;
mod learn;
mod local;
mod manual;
mod markdown;
mod notify;
mod outbox;
mod parse;
mod recorded;
mod replay;
mod report;
mod shape;
mod silence;
mod stats;
mod status;
mod stored;
mod table;
mod tasks;
mod trial;
mod tryout;
mod typed;
mod undo;
mod watch;
mod wire;

use std::io::Write;
use std::process::ExitCode;

use crate::core::model::inert;
use crate::daemon::status::BUILT_OF;
use commands::COMMANDS;
use error::{CliError, Exit};
use globals::Globals;
use parse::CommandLine;

/// Reads the command line, does what it asks for and returns the documented exit code.
pub fn main() -> ExitCode {
    let result =
        parse::read(COMMANDS, std::env::args_os().skip(1)).and_then(|asked| answer(&asked));
    match result {
        Ok(exit) => exit.into(),
        Err(why) => {
            if why.is_worth_telling() {
                // A closed standard error leaves nobody to tell.
                let _ = writeln!(
                    std::io::stderr(),
                    "{}: {}",
                    help::NAME,
                    inert::lines(&why.told())
                );
            }
            why.exit().into()
        }
    }
}

fn answer(asked: &CommandLine) -> Result<Exit, CliError> {
    let plain = Globals::default();
    match asked {
        CommandLine::Run(command, typed, globals) => (command.run)(typed, globals),
        CommandLine::Help(command) => {
            plain.print(&command.map_or_else(|| help::overview(COMMANDS), help::of_command))?;
            Ok(Exit::Done)
        }
        CommandLine::Version => {
            let built_of = BUILT_OF.map_or(String::new(), |of| {
                format!(" ({of}, {})", std::env::consts::ARCH)
            });
            let version = env!("CARGO_PKG_VERSION");
            plain.print(&format!("{} {version}{built_of}\n", help::NAME))?;
            Ok(Exit::Done)
        }
        CommandLine::Nothing => {
            let _ = std::io::stderr().write_all(help::overview(COMMANDS).as_bytes());
            Ok(Exit::Usage)
        }
    }
}
