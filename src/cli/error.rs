//! How a command ends: one exit code per kind of failure, one sentence per message.

use std::fmt;
use std::io;
use std::process::ExitCode;

/// The documented exit codes (docs/CLI.md).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Exit {
    /// Everything that was asked for was done.
    Done = 0,
    /// It was tried and failed, or a check did not pass.
    Failed = 1,
    /// The command line is wrong; nothing was touched.
    Usage = 2,
    /// The configuration, a rule or a runbook is wrong; nothing was touched.
    Configuration = 3,
    /// The task store cannot be opened, read or written.
    Store = 4,
    /// Another instance holds the lock.
    Instance = 5,
    /// Rights are missing, or a secret is readable by others.
    Permission = 6,
    /// `scan` found something.
    Findings = 7,
}

impl Exit {
    pub(super) const ALL: &'static [(Self, &'static str)] = &[
        (Self::Done, "done"),
        (
            Self::Failed,
            "failed: tried and did not work, or a check did not pass",
        ),
        (Self::Usage, "usage: the command line is wrong"),
        (
            Self::Configuration,
            "configuration: a file is wrong; nothing was touched",
        ),
        (
            Self::Store,
            "store: the database cannot be opened, read or written",
        ),
        (Self::Instance, "another instance is running"),
        (
            Self::Permission,
            "permission: rights are missing, or a secret is open to others",
        ),
        (Self::Findings, "findings are present (`scan` only)"),
    ];

    pub(super) const fn code(self) -> u8 {
        self as u8
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit.code())
    }
}

/// Why a command did not end well. Each text reads `what failed: why: what to do`.
#[derive(Debug)]
pub(super) enum CliError {
    Usage(String),
    Config(String),
    Store(String),
    Instance(String),
    Permission(String),
    Failed(String),
    /// Writing the result failed; a reader that went away (`| head`) is no failure.
    Output(io::Error),
}

impl CliError {
    pub(super) fn exit(&self) -> Exit {
        match self {
            Self::Usage(_) => Exit::Usage,
            Self::Config(_) => Exit::Configuration,
            Self::Store(_) => Exit::Store,
            Self::Instance(_) => Exit::Instance,
            Self::Permission(_) => Exit::Permission,
            Self::Output(why) if why.kind() == io::ErrorKind::BrokenPipe => Exit::Done,
            Self::Failed(_) | Self::Output(_) => Exit::Failed,
        }
    }

    /// True when there is something to tell on standard error.
    pub(super) fn is_worth_telling(&self) -> bool {
        !matches!(self, Self::Output(why) if why.kind() == io::ErrorKind::BrokenPipe)
    }

    /// A file operation that failed: missing rights are told apart from everything else.
    pub(super) fn file(what: impl fmt::Display, why: &io::Error, to_do: &str) -> Self {
        let text = format!("{what}: {why}: {to_do}");
        match why.kind() {
            io::ErrorKind::PermissionDenied => Self::Permission(text),
            _ => Self::Failed(text),
        }
    }
}

impl fmt::Display for CliError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Usage(text)
            | Self::Config(text)
            | Self::Store(text)
            | Self::Instance(text)
            | Self::Permission(text)
            | Self::Failed(text) => f.write_str(text),
            Self::Output(why) => write!(
                f,
                "standard output: {why}: free the disk or close fewer pipes"
            ),
        }
    }
}

impl std::error::Error for CliError {}

impl From<io::Error> for CliError {
    fn from(why: io::Error) -> Self {
        Self::Output(why)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_the_documented_ones() {
        for (at, (exit, _)) in Exit::ALL.iter().enumerate() {
            assert_eq!(usize::from(exit.code()), at);
        }
        let gone = CliError::Output(io::ErrorKind::BrokenPipe.into());
        assert_eq!((gone.exit(), gone.is_worth_telling()), (Exit::Done, false));
    }
}
