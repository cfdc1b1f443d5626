//! Why a bundle could not be built or used, and why an input is not in it.

use std::borrow::Cow;
use std::error::Error;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use crate::core::model::hint::Hint;
use crate::host::exec::ExecError;

#[derive(Debug)]
pub enum BundleError {
    /// A file could not be read or written.
    Io(PathBuf, io::Error),
    /// Not a bundle at all, or of another version.
    Foreign(PathBuf, String),
    /// Cut off or changed since it was built.
    Torn(PathBuf, String),
    /// The database inside could not be read or written.
    Database(rusqlite::Error),
    /// What the database says of itself cannot be true.
    Content(String),
    /// A line of an input that was named cannot be used.
    Input(PathBuf, BadLine),
}

/// A line that is not of its file's form.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BadLine {
    pub number: usize,
    pub line: String,
    pub wanted: &'static str,
}

impl BundleError {
    pub(crate) fn io(path: &Path) -> impl FnOnce(io::Error) -> Self + use<> {
        let path = path.to_owned();
        move |why| Self::Io(path, why)
    }
}

impl fmt::Display for BundleError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Io(path, why) => write!(f, "{}: {why}", path.display()),
            Self::Foreign(path, why) => {
                write!(f, "{}: not a usable bundle: {why}", path.display())
            }
            Self::Torn(path, why) => write!(f, "{}: bundle is damaged: {why}", path.display()),
            Self::Database(why) => write!(f, "bundle: {why}"),
            Self::Content(why) => write!(f, "bundle: {why}"),
            Self::Input(path, bad) => write!(
                f,
                "{}:{}: '{}' is {}",
                path.display(),
                bad.number,
                bad.line,
                bad.wanted
            ),
        }
    }
}

impl Error for BundleError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Io(_, why) => Some(why),
            Self::Database(why) => Some(why),
            Self::Foreign(..) | Self::Torn(..) | Self::Content(_) | Self::Input(..) => None,
        }
    }
}

impl Hint for BundleError {
    fn hint(&self) -> Cow<'static, str> {
        match self {
            Self::Io(..) => "check path and rights",
            Self::Foreign(..) => "build it with `bundle build`",
            Self::Torn(..) => "copy it again (write beside, then rename)",
            Self::Database(_) | Self::Content(_) => "build it again with `bundle build`",
            Self::Input(..) => "correct it or leave it out",
        }
        .into()
    }
}

impl From<rusqlite::Error> for BundleError {
    fn from(why: rusqlite::Error) -> Self {
        Self::Database(why)
    }
}

/// Why an input, or a line of one, is left out. The rest of the bundle is built without it.
#[derive(Debug)]
pub(super) enum LeftOut {
    Io(io::Error),
    MayHoldSecrets,
    Denied,
    NotAllowed,
    /// Its secrets cannot be told from its text.
    Unclear,
    NotRegular,
    TooLarge(u64),
    Damaged,
    Binary,
    TooDeep,
    TooManyFiles,
    Full,
    LongLine,
    Form(serde_json::Error),
    Empty,
    Git(ExecError),
    /// In git's own words.
    GitRefused(String),
}

impl fmt::Display for LeftOut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Io(why) => return write!(f, "{why}"),
            Self::Form(why) => return write!(f, "not a snippet: {why}"),
            Self::Git(why) => return write!(f, "{why}"),
            Self::GitRefused(why) => why,
            Self::TooLarge(most) => return write!(f, "larger than {} MiB", most >> 20),
            Self::MayHoldSecrets => "may hold secrets",
            Self::Denied => "denied by the scope file",
            Self::NotAllowed => "not allowed by the scope file",
            Self::Unclear => "its secrets cannot be told from its text",
            Self::NotRegular => "not a regular file",
            Self::Damaged => "damaged or too large when unpacked",
            Self::Binary => "binary",
            Self::TooDeep => "too deep",
            Self::TooManyFiles => "too many files",
            Self::Full => "the bundle is full; this and what follows is left out",
            Self::LongLine => "longer than 1 MiB",
            Self::Empty => "it has neither title nor text",
        })
    }
}

impl Error for LeftOut {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Io(why) => Some(why),
            Self::Form(why) => Some(why),
            Self::Git(why) => Some(why),
            Self::MayHoldSecrets
            | Self::Denied
            | Self::NotAllowed
            | Self::Unclear
            | Self::NotRegular
            | Self::TooLarge(_)
            | Self::Damaged
            | Self::Binary
            | Self::TooDeep
            | Self::TooManyFiles
            | Self::Full
            | Self::LongLine
            | Self::Empty
            | Self::GitRefused(_) => None,
        }
    }
}
