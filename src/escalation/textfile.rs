//! Metrics for node_exporter's textfile collector: one file, replaced whole, so that no reader sees half of it.

use std::borrow::Cow;
use std::error::Error;
use std::fmt;
use std::io;

use crate::core::model::hint::Hint;
use crate::host::Host;
use crate::host::files::Medium;
use crate::host::trusted::{self, Folder, Owners, Untrusted};

/// Name of the file within the collector's directory; the collector reads `*.prom` only.
pub const NAME: &str = "autonomous_orchestrator.prom";
/// For everybody to read: the collector has a user of its own.
const MODE: u32 = 0o644;

/// Why metrics do not reach the collector.
#[derive(Debug)]
pub enum TextfileError {
    Folder(Untrusted),
    Write(io::Error),
    /// The file, or the folder it lies in.
    Unreadable(&'static str, u32),
}

impl fmt::Display for TextfileError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Folder(why) => write!(f, "{why}"),
            Self::Write(why) => write!(f, "cannot be written: {why}"),
            Self::Unreadable(what, mode) => {
                write!(
                    f,
                    "the {what} cannot be read by the collector (mode {mode:04o})"
                )
            }
        }
    }
}

impl Error for TextfileError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Folder(why) => Some(why),
            Self::Write(why) => Some(why),
            Self::Unreadable(..) => None,
        }
    }
}

impl Hint for TextfileError {
    fn hint(&self) -> Cow<'static, str> {
        match self {
            Self::Folder(why) if !why.is_absent() => why.hint(),
            Self::Folder(_) | Self::Write(_) => {
                "make the directory, writable for the daemon, or name node_exporter's".into()
            }
            Self::Unreadable("file", _) => "start the daemon: it writes it anew".into(),
            Self::Unreadable(..) => "chmod o+rx the directory".into(),
        }
    }
}

/// The collector's folder is most often its own user's.
fn folder(host: &Host, directory: &str) -> Result<Folder, TextfileError> {
    trusted::folder(host, directory, &Owners::anybody(host)).map_err(TextfileError::Folder)
}

/// Replaces the file. Not flushed to the medium: after a power cut the next round writes it anew.
pub fn write(host: &Host, directory: &str, text: &str) -> Result<(), TextfileError> {
    folder(host, directory)?
        .write(NAME, text.as_bytes(), MODE, Medium::Cached)
        .map_err(TextfileError::Write)
}

/// Can metrics be written into this directory, and the collector read them there? No file yet is no fault.
pub fn check(host: &Host, directory: &str) -> Result<(), TextfileError> {
    use nix::unistd::{AccessFlags, access};
    let folder = folder(host, directory)?;
    let mode = folder.mode().map_err(TextfileError::Write)?;
    if mode & 0o005 != 0o005 {
        return Err(TextfileError::Unreadable("directory", mode));
    }
    let rights = AccessFlags::W_OK | AccessFlags::X_OK;
    access(&host.path(directory), rights).map_err(|why| TextfileError::Write(why.into()))?;
    match trusted::open(host, &format!("{directory}/{NAME}"), &Owners::anybody(host)) {
        Ok(file) if file.mode() & 0o004 == 0 => Err(TextfileError::Unreadable("file", file.mode())),
        Ok(_) => Ok(()),
        Err(why) if why.is_absent() => Ok(()),
        Err(why) => Err(TextfileError::Folder(why)),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::fs;
    use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};

    use super::*;
    use crate::core::model::time::Timestamp;
    use crate::host::clock::Clock;

    #[test]
    fn the_file_is_replaced_and_everybody_can_read_it() {
        let tree = tempfile::tempdir().unwrap();
        let host = Host::at(tree.path(), Clock::manual(Timestamp::default()));
        let directory = tree.path().join("prom");
        fs::create_dir(&directory).unwrap();
        fs::set_permissions(&directory, fs::Permissions::from_mode(0o755)).unwrap();
        assert!(check(&host, "/prom").is_ok(), "nothing written yet");
        for text in ["a 1\n", "a 2\n"] {
            write(&host, "/prom", text).unwrap();
            let file = directory.join(NAME);
            assert_eq!(fs::read_to_string(&file).unwrap(), text);
            assert_eq!(fs::metadata(&file).unwrap().mode() & 0o7777, 0o644);
        }
        assert_eq!(fs::read_dir(&directory).unwrap().count(), 1);
        assert!(check(&host, "/prom").is_ok());
        assert!(write(&host, "/nonexistent", "").is_err());
    }

    #[test]
    fn what_the_collector_cannot_read_is_said() {
        let tree = tempfile::tempdir().unwrap();
        let host = Host::at(tree.path(), Clock::manual(Timestamp::default()));
        let directory = tree.path().join("prom");
        fs::create_dir(&directory).unwrap();
        fs::set_permissions(&directory, fs::Permissions::from_mode(0o755)).unwrap();
        write(&host, "/prom", "a 1\n").unwrap();
        let file = directory.join(NAME);
        fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
        let why = check(&host, "/prom").unwrap_err().to_string();
        assert!(
            why.contains("the file cannot be read") && why.contains("0600"),
            "{why}"
        );
        fs::set_permissions(&directory, fs::Permissions::from_mode(0o700)).unwrap();
        let why = check(&host, "/prom").unwrap_err().to_string();
        assert!(why.contains("the directory cannot be read"), "{why}");
    }

    #[test]
    fn links_in_the_collectors_folder_lead_nowhere() {
        let tree = tempfile::tempdir().unwrap();
        let host = Host::at(tree.path(), Clock::manual(Timestamp::default()));
        let directory = tree.path().join("prom");
        fs::create_dir(&directory).unwrap();
        let victim = tree.path().join("victim");
        fs::write(&victim, "precious").unwrap();
        for name in [NAME.to_owned(), format!("{NAME}.new")] {
            symlink(&victim, directory.join(name)).unwrap();
        }
        write(&host, "/prom", "a 1\n").unwrap();
        assert_eq!(fs::read_to_string(&victim).unwrap(), "precious");
        assert!(
            fs::symlink_metadata(directory.join(NAME))
                .unwrap()
                .is_file()
        );
    }
}
