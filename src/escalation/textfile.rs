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

/// Can metrics be written into this directory, and the collector read them there, and nobody else put others in their
/// place? No file yet is no fault.
pub fn check(host: &Host, directory: &str) -> Result<(), TextfileError> {
    use nix::unistd::{AccessFlags, access};
    let folder = folder(host, directory)?;
    let (owner, mode) = folder.rights().map_err(TextfileError::Write)?;
    if mode & 0o005 != 0o005 {
        return Err(TextfileError::Unreadable("directory", mode));
    }
    // In a sticky folder nobody else can put another in the place of one of theirs.
    let owners = Owners::of_settings(host).read_by(owner);
    trusted::folder(host, directory, &owners).map_err(TextfileError::Folder)?;
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
    fn each_folder_above_is_to_be_passed_by_the_collector_and_written_by_nobody_else() {
        let tree = tempfile::tempdir().unwrap();
        let host = Host::at(tree.path(), Clock::manual(Timestamp::default()));
        let at = |path: &str| tree.path().join(path);
        fs::create_dir_all(at("srv/in/prom")).unwrap();
        let set = |path: &str, mode| {
            fs::set_permissions(at(path), fs::Permissions::from_mode(mode)).unwrap();
        };
        let all = || ["srv", "srv/in", "srv/in/prom"].map(|path| set(path, 0o755));
        all();
        // By the name of a link as well: what counts is where it leads.
        symlink("srv/in/prom", at("link")).unwrap();
        assert!(check(&host, "/srv/in/prom").is_ok() && check(&host, "/link").is_ok());
        set("srv/in", 0o1777);
        assert!(check(&host, "/srv/in/prom").is_ok());
        for (path, mode, said, to_do) in [
            ("srv", 0o700, "/srv cannot be passed", "chmod o+x /srv"),
            ("srv/in", 0o750, "/srv/in cannot be passed", "o+x /srv/in"),
            ("srv", 0o777, "/srv can be written", "chmod go-w /srv"),
            ("srv/in/prom", 0o757, "/srv/in/prom can be written", "go-w"),
        ] {
            all();
            set(path, mode);
            let of_readers_own = mode & 0o001 == 0 && !nix::unistd::geteuid().is_root();
            if of_readers_own {
                continue;
            }
            for named in ["/srv/in/prom", "/link"] {
                let why = check(&host, named).unwrap_err();
                assert!(why.to_string().contains(said), "{named}: {why}");
                assert!(why.hint().contains(to_do), "{named}: {}", why.hint());
            }
            // It is warned of; figures are written all the same.
            write(&host, "/srv/in/prom", "a 1\n").unwrap();
        }
    }

    #[test]
    fn what_lies_in_the_collectors_own_home_is_no_fault() {
        use nix::unistd::{Gid, Uid, chown, geteuid};
        if !geteuid().is_root() {
            return;
        }
        let tree = tempfile::tempdir().unwrap();
        let host = Host::at(tree.path(), Clock::manual(Timestamp::default()));
        let home = tree.path().join("home");
        let directory = home.join("prom");
        fs::create_dir_all(&directory).unwrap();
        fs::set_permissions(&directory, fs::Permissions::from_mode(0o755)).unwrap();
        fs::set_permissions(&home, fs::Permissions::from_mode(0o700)).unwrap();
        let own = |path, user: u32| {
            chown(path, Some(Uid::from_raw(user)), Some(Gid::from_raw(user))).unwrap();
        };
        own(&home, 990);
        own(&directory, 990);
        assert!(check(&host, "/home/prom").is_ok());
        own(&directory, 991);
        let why = check(&host, "/home/prom").unwrap_err().to_string();
        assert!(why.contains("/home belongs to user 990"), "{why}");
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
