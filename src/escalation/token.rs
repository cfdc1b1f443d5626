//! The token: read from a file only its owner can read, kept out of every text.

use std::borrow::Cow;
use std::error::Error;
use std::fmt;
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use crate::core::model::hint::Hint;
use crate::host::files;

/// Longest token accepted, in bytes. GitHub's have 40 to 255.
const TOKEN_MAX: u64 = 1024;
/// Name of the systemd credential looked for where the file is missing.
const CREDENTIAL: &str = "github-token";

/// A value that shows as `***` wherever it is formatted.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Keeps `value`.
    pub fn new(value: impl Into<String>) -> Self {
        Self(value.into())
    }

    /// The value itself: for the request header, and nothing else.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

/// Why there is no token. Never holds any part of one.
#[derive(Debug)]
pub enum TokenError {
    Missing { path: PathBuf },
    Unreadable { path: PathBuf, why: io::Error },
    Exposed { path: PathBuf, mode: u32 },
    Malformed { path: PathBuf, why: &'static str },
}

impl fmt::Display for TokenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing { path } => write!(
                f,
                "no token: {} does not exist and there is no systemd credential in its place",
                path.display()
            ),
            Self::Unreadable { path, why } => {
                write!(f, "no token: cannot read {}: {why}", path.display())
            }
            Self::Exposed { path, mode } => write!(
                f,
                "token refused: {} can be read by others (mode {mode:o})",
                path.display()
            ),
            Self::Malformed { path, why } => {
                write!(f, "token refused: {} {why}", path.display())
            }
        }
    }
}

impl Error for TokenError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Unreadable { why, .. } => Some(why),
            Self::Missing { .. } | Self::Exposed { .. } | Self::Malformed { .. } => None,
        }
    }
}

impl Hint for TokenError {
    fn hint(&self) -> Cow<'static, str> {
        match self {
            Self::Missing { path } => {
                format!("write the token there, then chmod 600 {}", path.display()).into()
            }
            Self::Unreadable { .. } => "make it readable by the user the daemon runs as".into(),
            Self::Exposed { path, .. } => format!(
                "run chmod 600 {} and replace the token if it may have leaked",
                path.display()
            )
            .into(),
            Self::Malformed { .. } => "write the token alone on one line".into(),
        }
    }
}

/// Reads the token from `file`, or from `credentials` (systemd's `$CREDENTIALS_DIRECTORY`) where the file is missing.
pub fn read(file: &Path, credentials: Option<&Path>) -> Result<Secret, TokenError> {
    read_named(file, credentials, CREDENTIAL)
}

/// The same with a credential of this name.
pub fn read_named(
    file: &Path,
    credentials: Option<&Path>,
    credential: &str,
) -> Result<Secret, TokenError> {
    match read_file(file, 0o077) {
        Err(TokenError::Missing { path }) => match credentials {
            // systemd shows credentials to the unit's user through an ACL, whose mask appears as group bits.
            Some(directory) => match read_file(&directory.join(credential), 0o007) {
                Err(TokenError::Missing { .. }) => Err(TokenError::Missing { path }),
                other => other,
            },
            None => Err(TokenError::Missing { path }),
        },
        other => other,
    }
}

fn read_file(path: &Path, refused_bits: u32) -> Result<Secret, TokenError> {
    let unreadable = |why: io::Error| {
        let path = path.to_owned();
        if why.kind() == io::ErrorKind::NotFound {
            TokenError::Missing { path }
        } else {
            TokenError::Unreadable { path, why }
        }
    };
    // A FIFO in its place would hold up the thread that delivers. A link is the operator's: secrets are often mounted so.
    let file = files::open_followed(path).map_err(unreadable)?;
    // Of the open file, not of the path: nobody can swap it in between.
    let metadata = file.metadata().map_err(unreadable)?;
    let mode = metadata.mode() & 0o777;
    if mode & refused_bits != 0 {
        return Err(TokenError::Exposed {
            path: path.to_owned(),
            mode,
        });
    }
    let mut bytes = Vec::new();
    file.take(TOKEN_MAX + 1)
        .read_to_end(&mut bytes)
        .map_err(unreadable)?;
    let malformed = |why| TokenError::Malformed {
        path: path.to_owned(),
        why,
    };
    let text = std::str::from_utf8(&bytes)
        .map_err(|_| malformed("is not text"))?
        .trim();
    if text.is_empty() {
        return Err(malformed("is empty"));
    }
    if text.len() as u64 > TOKEN_MAX {
        return Err(malformed("is too long"));
    }
    // Anything else could end the header line and start another.
    if !text.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(malformed("holds more than one word"));
    }
    Ok(Secret::new(text))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    fn write(directory: &Path, name: &str, text: &str, mode: u32) -> PathBuf {
        let path = directory.join(name);
        std::fs::write(&path, text).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
        path
    }

    #[test]
    fn a_private_file_is_read_and_trimmed() {
        let directory = tempfile::tempdir().unwrap();
        let path = write(directory.path(), "t", "  abc123\n", 0o600);
        assert_eq!(read(&path, None).unwrap().expose(), "abc123");
    }

    #[test]
    fn an_exposed_file_is_refused_with_what_to_do() {
        let directory = tempfile::tempdir().unwrap();
        for mode in [0o640, 0o604, 0o644, 0o660] {
            let path = write(directory.path(), "t", "sesame-42", mode);
            let error = read(&path, None).unwrap_err().with_hint();
            assert!(error.contains("chmod 600"), "{error}");
            assert!(!error.contains("sesame"), "{error}");
        }
    }

    #[test]
    fn the_credential_stands_in_for_a_missing_file() {
        let directory = tempfile::tempdir().unwrap();
        let missing = directory.path().join("none");
        assert!(matches!(
            read(&missing, Some(directory.path())),
            Err(TokenError::Missing { .. })
        ));
        write(directory.path(), CREDENTIAL, "cred", 0o440);
        assert_eq!(
            read(&missing, Some(directory.path())).unwrap().expose(),
            "cred"
        );
    }

    #[test]
    fn nonsense_is_refused() {
        let directory = tempfile::tempdir().unwrap();
        for text in ["", "\n", "two words", "a\r\nX-Evil: 1", "\u{e9}"] {
            let path = write(directory.path(), "t", text, 0o600);
            assert!(
                matches!(read(&path, None), Err(TokenError::Malformed { .. })),
                "{text:?}"
            );
        }
        let path = write(directory.path(), "t", &"x".repeat(2000), 0o600);
        assert!(read(&path, None).is_err());
    }

    #[test]
    fn a_fifo_in_its_place_is_refused_at_once_and_a_link_is_followed() {
        let directory = tempfile::tempdir().unwrap();
        let fifo = directory.path().join("fifo");
        let mode = nix::sys::stat::Mode::from_bits_truncate(0o600);
        nix::unistd::mkfifo(&fifo, mode).unwrap();
        let refused = read(&fifo, None).unwrap_err();
        assert!(
            matches!(refused, TokenError::Unreadable { .. }),
            "{refused}"
        );
        let link = directory.path().join("link");
        let path = write(directory.path(), "t", "abc", 0o600);
        std::os::unix::fs::symlink(path, &link).unwrap();
        assert_eq!(read(&link, None).unwrap().expose(), "abc");
    }

    #[test]
    fn a_secret_is_never_printed() {
        assert_eq!(format!("{:?}", Some(Secret::new("abc"))), "Some(***)");
    }
}
