//! How a command ends: one exit code per kind of failure, one sentence per message.

use std::error::Error;
use std::fmt;
use std::io;
use std::process::ExitCode;

use crate::core::model::hint::Hint;

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
        (
            Self::Findings,
            "findings are present (`scan`, `probe test`)",
        ),
    ];

    /// `status --check` answers with the codes of a Nagios plugin, which are the same numbers: 1 warning, 2 critical,
    /// 3 unknown.
    pub(super) const CHECK_WARNING: Self = Self::Failed;
    pub(super) const CHECK_CRITICAL: Self = Self::Usage;
    pub(super) const CHECK_UNKNOWN: Self = Self::Configuration;

    pub(super) const fn code(self) -> u8 {
        self as u8
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit.code())
    }
}

/// What kind of failure it is; each has its exit code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ErrorKind {
    Usage,
    Config,
    /// There is no store yet: nothing was ever recorded here.
    NoStore,
    Store,
    Instance,
    Permission,
    Failed,
    /// The reader of the output went away (`| head`), which is no failure.
    ReaderGone,
}

impl ErrorKind {
    const fn exit(self) -> Exit {
        match self {
            Self::Usage => Exit::Usage,
            Self::Config => Exit::Configuration,
            Self::NoStore | Self::Store => Exit::Store,
            Self::Instance => Exit::Instance,
            Self::Permission => Exit::Permission,
            Self::Failed => Exit::Failed,
            Self::ReaderGone => Exit::Done,
        }
    }
}

/// Why a command did not end well: what failed, the errors that led to it, and what to do about it.
#[derive(Debug)]
pub(super) struct CliError {
    kind: ErrorKind,
    what: String,
    source: Option<Box<dyn Error + Send + Sync>>,
    /// Empty when the error below says it already.
    hint: String,
}

impl CliError {
    pub(super) fn new(kind: ErrorKind, what: impl Into<String>) -> Self {
        Self {
            kind,
            what: what.into(),
            source: None,
            hint: String::new(),
        }
    }

    /// An error of another part, which says everything itself.
    pub(super) fn of(kind: ErrorKind, source: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self::new(kind, "").because(source)
    }

    /// The same for one that says apart from its text what to do.
    pub(super) fn hinted(kind: ErrorKind, source: impl Hint + Send + Sync + 'static) -> Self {
        let hint = source.hint();
        Self::of(kind, source).hint(hint)
    }

    pub(super) fn usage(what: impl Into<String>) -> Self {
        Self::new(ErrorKind::Usage, what)
    }

    pub(super) fn failed(what: impl Into<String>) -> Self {
        Self::new(ErrorKind::Failed, what)
    }

    /// A file operation that failed: missing rights are told apart from everything else.
    pub(super) fn file(what: impl Into<String>, why: io::Error, hint: &str) -> Self {
        let kind = if why.kind() == io::ErrorKind::PermissionDenied {
            ErrorKind::Permission
        } else {
            ErrorKind::Failed
        };
        Self::new(kind, what).because(why).hint(hint)
    }

    pub(super) fn because(mut self, source: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        self.source = Some(source.into());
        self
    }

    /// What to do about it.
    pub(super) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = hint.into();
        self
    }

    pub(super) const fn kind(&self) -> ErrorKind {
        self.kind
    }

    pub(super) const fn exit(&self) -> Exit {
        self.kind.exit()
    }

    /// True when there is something to tell on standard error.
    pub(super) fn is_worth_telling(&self) -> bool {
        self.kind != ErrorKind::ReaderGone
    }

    /// The whole of it in one line: `what failed: why: what to do`.
    pub(super) fn told(&self) -> String {
        let mut text = self.what.clone();
        let mut source = self.source();
        while let Some(why) = source {
            let part = why.to_string();
            // Many errors name the one below in their own text.
            if !text.contains(&part) {
                join(&mut text, &part);
            }
            source = why.source();
        }
        if !self.hint.is_empty() {
            join(&mut text, &self.hint);
        }
        text
    }
}

fn join(text: &mut String, part: &str) {
    if !text.is_empty() {
        text.push_str(": ");
    }
    text.push_str(part);
}

impl fmt::Display for CliError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.source {
            Some(source) if self.what.is_empty() => source.fmt(f),
            _ => f.write_str(&self.what),
        }
    }
}

impl Error for CliError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.source
            .as_ref()
            .map(|source| source.as_ref() as &(dyn Error + 'static))
    }
}

/// Writing the result failed.
impl From<io::Error> for CliError {
    fn from(why: io::Error) -> Self {
        let kind = if why.kind() == io::ErrorKind::BrokenPipe {
            ErrorKind::ReaderGone
        } else {
            ErrorKind::Failed
        };
        Self::new(kind, "standard output")
            .because(why)
            .hint("free the disk or close fewer pipes")
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
        let gone = CliError::from(io::Error::from(io::ErrorKind::BrokenPipe));
        assert_eq!((gone.exit(), gone.is_worth_telling()), (Exit::Done, false));
    }

    #[test]
    fn it_is_told_as_what_why_and_what_to_do() {
        let why = io::Error::from(io::ErrorKind::PermissionDenied);
        let error = CliError::file("/etc/x: cannot be read", why, "run as root");
        assert_eq!(
            error.told(),
            "/etc/x: cannot be read: permission denied: run as root"
        );
        assert_eq!(error.exit(), Exit::Permission);
        assert_eq!(
            (error.to_string().as_str(), error.source().is_some()),
            ("/etc/x: cannot be read", true)
        );
    }

    #[test]
    fn an_error_that_names_the_one_below_is_not_told_twice() {
        let inner = io::Error::other("no space");
        let outer = io::Error::other(CliError::failed("store: no space").because(inner));
        assert_eq!(
            CliError::of(ErrorKind::Store, outer).told(),
            "store: no space"
        );
    }
}
