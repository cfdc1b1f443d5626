//! Whether a setting of the unit's own sandbox is what a line complains of: to the program a hidden or read-only path looks
//! like a fault of the file system (`systemd.exec(5)`). Pure.

use crate::core::model::cause::Cause;

/// Directories below which `…Directory=` makes one that the unit may write.
const MADE: &[(&str, &str)] = &[
    ("StateDirectory", "/var/lib/"),
    ("CacheDirectory", "/var/cache/"),
    ("LogsDirectory", "/var/log/"),
    ("RuntimeDirectory", "/run/"),
    ("ConfigurationDirectory", "/etc/"),
];
const HOMES: &[&str] = &["/home", "/root", "/run/user"];
/// Never read-only by `ProtectSystem=`.
const APART: &[&str] = &["/dev", "/proc", "/sys", "/tmp", "/var/tmp"];
/// What stays in a private `/dev`.
const PSEUDO: &[&str] = &[
    "null", "zero", "full", "random", "urandom", "tty", "pts", "ptmx", "shm", "log", "fd", "stdin",
    "stdout", "stderr",
];

/// The setting that denies what `line` says, whose words alone would be named `cause`.
pub fn denied_by(settings: &str, cause: Cause, line: &str) -> Option<&'static str> {
    let sandbox = Sandbox(settings);
    let lower = line.to_ascii_lowercase();
    if lower.contains("address family not supported") {
        return sandbox.has("RestrictAddressFamilies");
    }
    if cause == Cause::NetworkUnreachable {
        return sandbox.is("PrivateNetwork", &["yes"]);
    }
    let path = paths(line).last().filter(|path| !sandbox.may_write(path))?;
    if cause == Cause::ReadonlyAfterError {
        return sandbox.read_only(path);
    }
    let unseen = sandbox.hides(path).or_else(|| sandbox.device(path));
    if cause == Cause::PermissionDenied {
        let dynamic = || sandbox.is("DynamicUser", &["yes"]);
        return unseen
            .or_else(|| sandbox.names("InaccessiblePaths", path))
            .or_else(|| dynamic().filter(|_| !is_below(path, "/dev")));
    }
    let looks_absent = [Cause::PathMissing, Cause::DeviceMissing, Cause::ChdirFailed];
    unseen.filter(|_| looks_absent.contains(&cause))
}

/// `Name=value` lines of the settings that are on.
#[derive(Clone, Copy)]
struct Sandbox<'a>(&'a str);

impl<'a> Sandbox<'a> {
    fn value(self, name: &str) -> Option<&'a str> {
        let mut lines = self.0.lines().filter_map(|line| line.split_once('='));
        lines.find_map(|(known, value)| (known == name).then_some(value))
    }

    fn has(self, name: &'static str) -> Option<&'static str> {
        self.value(name).map(|_| name)
    }

    fn is(self, name: &'static str, values: &[&str]) -> Option<&'static str> {
        self.value(name)
            .filter(|value| values.contains(value))
            .map(|_| name)
    }

    /// The path lies below one that the setting lists.
    fn names(self, name: &'static str, path: &str) -> Option<&'static str> {
        let listed = self.value(name)?.split_ascii_whitespace();
        let mut below = listed.map(|listed| listed.trim_start_matches(['-', '+']));
        below.any(|listed| is_below(path, listed)).then_some(name)
    }

    /// What takes the protection back for this path.
    fn may_write(self, path: &str) -> bool {
        let made = |(setting, below): &(&str, &str)| {
            let rest = path.strip_prefix(below);
            let mut names = self.value(setting).unwrap_or("").split_ascii_whitespace();
            rest.is_some_and(|rest| names.any(|name| is_below(rest, name)))
        };
        self.names("ReadWritePaths", path).is_some() || MADE.iter().any(made)
    }

    fn read_only(self, path: &str) -> Option<&'static str> {
        let below = |all: &[&str]| all.iter().any(|one| is_below(path, one));
        let reach = match self.value("ProtectSystem") {
            Some("strict") => !below(APART) && !below(HOMES),
            Some("full") => below(&[
                "/usr", "/boot", "/efi", "/etc", "/bin", "/sbin", "/lib", "/lib64",
            ]),
            Some("yes") => below(&["/usr", "/boot", "/efi", "/bin", "/sbin", "/lib", "/lib64"]),
            _ => false,
        };
        if reach {
            return Some("ProtectSystem");
        }
        let homes = self
            .is("ProtectHome", &["read-only"])
            .filter(|_| below(HOMES));
        homes
            .or_else(|| self.names("ReadOnlyPaths", path))
            .or_else(|| self.is("DynamicUser", &["yes"]).filter(|_| !below(APART)))
    }

    /// It looks as if the path were not there.
    fn hides(self, path: &str) -> Option<&'static str> {
        let home = HOMES.iter().any(|one| is_below(path, one));
        self.is("ProtectHome", &["yes", "tmpfs"])
            .filter(|_| home)
            .or_else(|| self.names("TemporaryFileSystem", path))
    }

    /// The device is not in its private `/dev`, or not on its list.
    fn device(self, path: &str) -> Option<&'static str> {
        let name = path.strip_prefix("/dev/")?;
        if PSEUDO.iter().any(|pseudo| is_below(name, pseudo)) {
            return None;
        }
        let listed = self.value("DeviceAllow").unwrap_or("");
        let allowed =
            listed.contains(path) || listed.contains("char-") || listed.contains("block-");
        self.is("PrivateDevices", &["yes"])
            .or_else(|| {
                self.is("DevicePolicy", &["closed", "strict"])
                    .filter(|_| !allowed)
            })
            .or_else(|| self.has("DeviceAllow").filter(|_| !allowed))
    }
}

fn is_below(path: &str, top: &str) -> bool {
    let rest = path.strip_prefix(top.trim_end_matches('/'));
    rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// The absolute paths in a line.
pub fn paths(line: &str) -> impl Iterator<Item = &str> {
    let ends = |c: char| c.is_whitespace() || "'\"`,;()[]<>=".contains(c);
    let words = line
        .split(ends)
        .map(|word| word.trim_end_matches([':', '.', '\u{2019}']));
    words.filter(|word| word.len() > 1 && word.starts_with('/') && !word.starts_with("//"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_setting_that_denies_is_named_and_what_it_allows_is_not() {
        let strict = "ProtectSystem=strict\nReadWritePaths=/var/log/app\nStateDirectory=app\n";
        let full = "ProtectSystem=full\n";
        let devices = "PrivateDevices=yes\n";
        let home = "ProtectHome=yes\n";
        let dynamic = "DynamicUser=yes\nStateDirectory=app\n";
        let families = "RestrictAddressFamilies=AF_UNIX\n";
        let (erofs, eacces, enoent) = (
            Cause::ReadonlyAfterError,
            Cause::PermissionDenied,
            Cause::PathMissing,
        );
        for (settings, cause, line, setting) in [
            (
                strict,
                erofs,
                "error opening /opt/app/x.log: Read-only file system",
                Some("ProtectSystem"),
            ),
            (
                strict,
                erofs,
                "open /var/log/app/x.log: Read-only file system",
                None,
            ),
            (
                strict,
                erofs,
                "open /var/lib/app/db: Read-only file system",
                None,
            ),
            (
                strict,
                erofs,
                "open /var/lib/apple/db: read-only file system",
                Some("ProtectSystem"),
            ),
            (
                strict,
                erofs,
                "open '/home/x/db': Read-only file system",
                None,
            ),
            (
                full,
                erofs,
                "error renaming /usr/local/a.1 to /usr/local/a.2: Read-only file system",
                Some("ProtectSystem"),
            ),
            (full, erofs, "open /srv/x: Read-only file system", None),
            (
                devices,
                Cause::DeviceMissing,
                "cannot open /dev/ttyS4: No such file or directory",
                Some("PrivateDevices"),
            ),
            (
                devices,
                enoent,
                "cannot open /dev/null: No such file or directory",
                None,
            ),
            (
                home,
                enoent,
                "open /home/gw/app.conf: No such file or directory",
                Some("ProtectHome"),
            ),
            (
                home,
                enoent,
                "open /etc/app.conf: No such file or directory",
                None,
            ),
            (
                dynamic,
                eacces,
                "open /srv/data/x: Permission denied",
                Some("DynamicUser"),
            ),
            (
                dynamic,
                eacces,
                "open /var/lib/app/x: Permission denied",
                None,
            ),
            (dynamic, eacces, "worker: Permission denied", None),
            (
                families,
                Cause::Unknown,
                "socket(): Address family not supported by protocol",
                Some("RestrictAddressFamilies"),
            ),
            ("", erofs, "open /opt/x: Read-only file system", None),
        ] {
            assert_eq!(
                denied_by(settings, cause, line),
                setting,
                "{settings}: {line}"
            );
        }
    }
}
