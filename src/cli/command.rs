//! What a command and an option of it are.

use crate::cli::error::{CliError, Exit};
use crate::cli::globals::Globals;
use crate::cli::typed::Typed;

/// An option. One without help is internal and not shown.
#[derive(Debug)]
pub(super) struct Flag {
    pub(super) long: &'static str,
    pub(super) short: Option<char>,
    /// Name of its value, if it takes one.
    pub(super) value: Option<&'static str>,
    pub(super) help: &'static str,
}

/// What a form prints with `--json`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Json {
    /// Also when nothing is listed.
    Array,
    Object,
    /// One object a line, for a filter.
    Lines,
    /// Text alone: it is a filter, or says one sentence about what it did.
    None,
}

/// One way to call a command.
#[derive(Debug)]
pub(super) struct CallForm {
    /// What stands behind the command's name.
    pub(super) words: &'static str,
    pub(super) json: Json,
}

pub(super) const fn array(words: &'static str) -> CallForm {
    form(words, Json::Array)
}

pub(super) const fn object(words: &'static str) -> CallForm {
    form(words, Json::Object)
}

pub(super) const fn lines(words: &'static str) -> CallForm {
    form(words, Json::Lines)
}

pub(super) const fn text(words: &'static str) -> CallForm {
    form(words, Json::None)
}

const fn form(words: &'static str, json: Json) -> CallForm {
    CallForm { words, json }
}

/// One command: what is typed, what `help` says, what runs.
#[derive(Debug)]
pub(super) struct CommandRow {
    pub(super) name: &'static str,
    /// The ways to call it, as in usage lines.
    pub(super) forms: &'static [CallForm],
    /// One line of the overview.
    pub(super) brief: &'static str,
    pub(super) long: &'static str,
    pub(super) example: &'static str,
    pub(super) flags: &'static [Flag],
    pub(super) run: fn(&Typed, &Globals) -> Result<Exit, CliError>,
}

pub(super) const fn switch(long: &'static str, help: &'static str) -> Flag {
    Flag {
        long,
        short: None,
        value: None,
        help,
    }
}

pub(super) const fn option(long: &'static str, value: &'static str, help: &'static str) -> Flag {
    Flag {
        long,
        short: None,
        value: Some(value),
        help,
    }
}

pub(super) const GLOBAL_FLAGS: &[Flag] = &[
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
    switch("json", "print JSON, where the usage of the command says so"),
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
