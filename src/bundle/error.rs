//! Why a bundle could not be built or used.

use std::fmt;
use std::path::{Path, PathBuf};

/// `what failed: why: what to do`.
#[derive(Debug)]
pub enum BundleError {
    /// A file could not be read or written.
    Io(PathBuf, std::io::Error),
    /// Not a bundle at all, or of another version.
    Foreign(PathBuf, String),
    /// Cut off or changed since it was built.
    Torn(PathBuf, String),
    /// The database inside could not be read or written.
    Database(String),
    /// An input that was named cannot be used; line 0 when it has none.
    Input(PathBuf, usize, String),
}

impl BundleError {
    pub(crate) fn io(path: &Path) -> impl FnOnce(std::io::Error) -> Self + use<> {
        let path = path.to_owned();
        move |why| Self::Io(path, why)
    }

    /// True when trying again later can help: the file may be in the middle of being copied.
    pub const fn is_retriable(&self) -> bool {
        matches!(self, Self::Io(..) | Self::Torn(..))
    }
}

impl fmt::Display for BundleError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Io(path, why) => write!(f, "{}: {why}: check path and rights", path.display()),
            Self::Foreign(path, why) => {
                write!(
                    f,
                    "{}: not a usable bundle: {why}: build it with `bundle build`",
                    path.display()
                )
            }
            Self::Torn(path, why) => {
                write!(
                    f,
                    "{}: bundle is damaged: {why}: copy it again (write beside, then rename)",
                    path.display()
                )
            }
            Self::Database(why) => write!(f, "bundle: {why}: build it again with `bundle build`"),
            Self::Input(path, 0, why) => {
                write!(f, "{}: {why}: correct it or leave it out", path.display())
            }
            Self::Input(path, line, why) => {
                write!(
                    f,
                    "{}:{line}: {why}: correct it or leave it out",
                    path.display()
                )
            }
        }
    }
}

impl std::error::Error for BundleError {}

impl From<rusqlite::Error> for BundleError {
    fn from(why: rusqlite::Error) -> Self {
        Self::Database(why.to_string())
    }
}
