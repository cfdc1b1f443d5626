//! What a command and an option of it are.

use crate::cli::error::{CliError, Exit};
use crate::cli::globals::Globals;
use crate::cli::typed::Typed;

/// An option. One without help is internal and not shown.
#[derive(Debug)]
pub struct Flag {
    pub long: &'static str,
    pub short: Option<char>,
    /// Name of its value, if it takes one.
    pub value: Option<&'static str>,
    pub help: &'static str,
}

/// One command: what is typed, what `help` says, what runs.
#[derive(Debug)]
pub struct Command {
    pub name: &'static str,
    /// Its arguments, as in a usage line.
    pub synopsis: &'static str,
    /// One line of the overview.
    pub brief: &'static str,
    pub long: &'static str,
    pub example: &'static str,
    pub flags: &'static [Flag],
    pub hidden: bool,
    pub run: fn(&Typed, &Globals) -> Result<Exit, CliError>,
}

pub const fn switch(long: &'static str, help: &'static str) -> Flag {
    Flag {
        long,
        short: None,
        value: None,
        help,
    }
}

pub const fn option(long: &'static str, value: &'static str, help: &'static str) -> Flag {
    Flag {
        long,
        short: None,
        value: Some(value),
        help,
    }
}

pub const GLOBAL_FLAGS: &[Flag] = &[
    Flag {
        long: "config",
        short: Some('c'),
        value: Some("FILE"),
        help: "configuration (default /etc/autonomous-orchestrator/config.toml)",
    },
    option(
        "state-dir",
        "DIR",
        "state directory, in place of daemon.state_dir",
    ),
    option(
        "root",
        "DIR",
        "look at the host in this directory tree (scan, doctor)",
    ),
    switch(
        "json",
        "print JSON: an array for a listing, an object for one thing",
    ),
    switch("no-color", "no colour; NO_COLOR does the same"),
    switch("dry-run", "say what would be done; touch and send nothing"),
    Flag {
        long: "help",
        short: Some('h'),
        value: None,
        help: "this text",
    },
    Flag {
        long: "version",
        short: Some('V'),
        value: None,
        help: "the version",
    },
];
