//! What may stand for something that a unit runs or reads: nothing that somebody with fewer rights could write.

use std::borrow::Cow;
use std::error::Error;
use std::fmt;
use std::os::fd::OwnedFd;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use crate::core::model::hint::Hint;
use crate::core::model::unit::UnitState;
use crate::core::reading::unit_file::{Need, is_of_users, lends_rights};
use crate::host::trusted::{self, Owners, Untrusted};
use crate::host::{Host, READ_CAP};

/// Who may own what a unit runs and reads: root, and the unit's own user where it gives that user no further
/// rights.
#[derive(Clone, Debug)]
pub struct Standing {
    root: Owners,
    /// It runs as a user of its own, with that user's rights alone.
    own: Option<u32>,
}

/// Why something may not stand for what a unit needs.
#[derive(Debug)]
pub enum Unfit {
    Untrusted(Untrusted),
    NotExecutable(String),
    /// A program in a place of users, for a unit that runs as root.
    OfUsers(String),
}

impl fmt::Display for Unfit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Untrusted(why) => write!(f, "{why}"),
            Self::NotExecutable(path) => write!(f, "{path} is not executable"),
            Self::OfUsers(path) => write!(
                f,
                "{path} lies where users have their own files, and the unit runs as root"
            ),
        }
    }
}

impl Error for Unfit {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Untrusted(why) => Some(why),
            Self::NotExecutable(_) | Self::OfUsers(_) => None,
        }
    }
}

impl Hint for Unfit {
    fn hint(&self) -> Cow<'static, str> {
        match self {
            Self::Untrusted(why) => why.hint(),
            Self::NotExecutable(path) => format!("chmod +x {path}").into(),
            Self::OfUsers(_) => "move the program to /opt or /usr/local".into(),
        }
    }
}

impl Unfit {
    /// True when it is not there, or not of the kind that is needed: no matter of trust.
    pub fn is_absent(&self) -> bool {
        match self {
            Self::Untrusted(why) => why.is_absent(),
            Self::NotExecutable(_) => true,
            Self::OfUsers(_) => false,
        }
    }
}

impl Standing {
    /// For what runs as root.
    pub fn of_root(host: &Host) -> Self {
        Self {
            root: Owners::of(host),
            own: None,
        }
    }

    /// For a unit with these files.
    pub fn of(host: &Host, unit: &UnitState, texts: &[String]) -> Self {
        let root = Owners::of(host);
        let own = user_id(host, &unit.user)
            .filter(|user| !root.has(*user) && !lends_rights(texts, &unit.user));
        Self { root, own }
    }

    /// Proves `path`, as `view` shows it, for what the unit needs in the place of `old`. What comes back is that very file
    /// or directory.
    pub fn prove(&self, view: &Host, need: Need, old: &str, path: &str) -> Result<OwnedFd, Unfit> {
        // Other files are read by PID 1, with its rights: the user's only where they have always been.
        let counts = |user: &u32| need != Need::File || had_it(view, old, *user);
        let owners = match self.own.filter(counts) {
            Some(user) => self.root.clone().or(user),
            None => self.root.clone(),
        };
        if need == Need::Directory {
            let folder = trusted::folder(view, path, &owners).map_err(Unfit::Untrusted)?;
            return Ok(folder.into());
        }
        let file = trusted::open(view, path, &owners).map_err(Unfit::Untrusted)?;
        if need == Need::Executable {
            if !file.is_executable() {
                return Err(Unfit::NotExecutable(path.to_owned()));
            }
            if self.own.is_none() && (is_of_users(path) || is_of_users(file.path())) {
                return Err(Unfit::OfUsers(path.to_owned()));
            }
        }
        Ok(file.into())
    }
}

/// Was this lost path the user's to write: is what is left of the way to it his?
fn had_it(view: &Host, old: &str, user: u32) -> bool {
    let mut left = Path::new(old).ancestors().skip(1);
    left.find_map(|folder| std::fs::metadata(view.path(folder)).ok())
        .is_some_and(|folder| folder.uid() == user)
}

/// The number of a user, by number or by name; users that are not in /etc/passwd have none here.
pub fn user_id(host: &Host, user: &str) -> Option<u32> {
    if let Ok(number) = user.parse() {
        return Some(number);
    }
    let known = host.read("/etc/passwd", READ_CAP).ok()?;
    let fields = |line: &str| {
        let mut fields = line.split(':');
        (fields.next() == Some(user)).then(|| fields.nth(1)?.parse().ok())?
    };
    known.lines().find_map(fields)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::fs;
    use std::os::unix::fs::{PermissionsExt, chown};

    use super::*;
    use crate::core::model::time::Timestamp;
    use crate::host::clock::Clock;

    const EVE: u32 = 65_533;

    /// May this stand for what a unit with these lines, whose user is `user`, had at `old`?
    fn serves(tree: &Path, user: &str, lines: &str, needs: (Need, &str, &str)) -> bool {
        let host = Host::at(tree, Clock::manual(Timestamp::default()));
        let unit = UnitState {
            user: user.to_owned(),
            ..UnitState::default()
        };
        let texts = [format!("[Service]\n{lines}")];
        let (need, old, path) = needs;
        Standing::of(&host, &unit, &texts)
            .prove(&host, need, old, path)
            .is_ok()
    }

    #[test]
    fn a_users_program_stands_only_for_a_unit_that_lends_that_user_nothing() {
        if !nix::unistd::geteuid().is_root() {
            println!("skipped: needs root to give files away");
            return;
        }
        let tree = tempfile::tempdir().unwrap();
        let at = |path: &str| tree.path().join(path);
        for place in ["home/eve", "opt/eve", "home/root", "etc"] {
            fs::create_dir_all(at(place)).unwrap();
            fs::write(at(place).join("run"), "x").unwrap();
            fs::set_permissions(at(place).join("run"), fs::Permissions::from_mode(0o755)).unwrap();
        }
        fs::write(
            at("etc/passwd"),
            "root:x:0:0::/:/bin/sh\neve:x:65533:65533::/:/bin/sh\n",
        )
        .unwrap();
        for place in ["home/eve", "opt/eve", "home/eve/run", "opt/eve/run"] {
            chown(at(place), Some(EVE), Some(EVE)).unwrap();
        }
        for (path, user, lines, is) in [
            ("/home/eve/run", "", "", false),
            ("/opt/eve/run", "", "", false),
            ("/home/root/run", "", "", false),
            ("/home/root/run", "root", "", false),
            ("/home/eve/run", "eve", "ExecStart=/x", true),
            ("/home/eve/run", "65533", "", true),
            ("/opt/eve/run", "eve", "", true),
            ("/home/root/run", "eve", "", true),
            ("/home/eve/run", "eve", "ExecStartPost=+/bin/x", false),
            (
                "/home/eve/run",
                "eve",
                "AmbientCapabilities=CAP_SYS_ADMIN",
                false,
            ),
            ("/home/eve/run", "bob", "", false),
            ("/home/eve/run", "0", "", false),
        ] {
            let needs = (Need::Executable, "/old", path);
            let serves = serves(tree.path(), user, lines, needs);
            assert_eq!(serves, is, "{path} {user} {lines}");
        }
        // PID 1 reads these.
        for (old, path, is) in [
            ("/etc/old", "/home/eve/run", false),
            ("/none/old", "/home/eve/run", false),
            ("/home/eve/old", "/opt/eve/run", true),
            ("/home/eve/gone/old", "/opt/eve/run", true),
            ("/etc/old", "/home/root/run", true),
            ("/home/eve/old", "/etc/run", true),
        ] {
            let serves = serves(tree.path(), "eve", "", (Need::File, old, path));
            assert_eq!(serves, is, "{old} {path}");
        }
    }
}
