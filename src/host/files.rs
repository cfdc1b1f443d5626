//! Files: atomic writes, simple globs, permission checks.

use std::collections::hash_map::RandomState;
use std::ffi::{OsStr, OsString};
use std::fs;
use std::hash::{BuildHasher, Hasher};
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::fcntl::{AtFlags, OFlag, open, openat, renameat};
use nix::sys::stat::{Mode, SFlag, fstatat};
use nix::unistd::{UnlinkatFlags, fsync, unlinkat};
use sha2::{Digest, Sha256};

use crate::core::model::hex::hex;
use crate::core::model::proposal::FileIdentity;
use crate::host::Host;

/// How soon a file has to outlive a power cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Medium {
    /// When the call returns.
    Flushed,
    /// Written anew soon anyway: flash is spared.
    Cached,
}

/// Replaces `path` as a whole: a crash leaves the old file or the new one. `mode` as in chmod(1).
pub fn write_atomic(path: &Path, bytes: &[u8], mode: u32) -> io::Result<()> {
    let name = path.file_name().ok_or(io::ErrorKind::InvalidInput)?;
    let folder = opened_folder(path)?;
    replace(folder.as_fd(), name, bytes, mode, Medium::Flushed)
}

/// Replaces the file `name` of an open folder. It is written under a new name that nobody can know before, so
/// what others may have put there is neither followed nor touched.
pub fn replace(
    folder: BorrowedFd<'_>,
    name: &OsStr,
    bytes: &[u8],
    mode: u32,
    medium: Medium,
) -> io::Result<()> {
    let (mut file, part) = new_beside(folder, name)?;
    let mut write = || {
        // Exactly this mode, whatever the umask takes off.
        file.set_permissions(fs::Permissions::from_mode(mode))?;
        file.write_all(bytes)?;
        if medium == Medium::Flushed {
            file.sync_all()?;
        }
        renameat(folder, part.as_os_str(), folder, name)?;
        // The rename itself is durable only with its directory.
        match medium {
            Medium::Flushed => Ok(fsync(folder)?),
            Medium::Cached => Ok(()),
        }
    };
    let done = write();
    if done.is_err() {
        let _ = unlinkat(folder, part.as_os_str(), UnlinkatFlags::NoRemoveDir);
    }
    done
}

/// A new empty file beside `path`, for its owner alone, that is to be renamed to it; its name.
pub fn new_file_beside(path: &Path) -> io::Result<PathBuf> {
    let name = path.file_name().ok_or(io::ErrorKind::InvalidInput)?;
    let folder = opened_folder(path)?;
    new_beside(folder.as_fd(), name).map(|(_, part)| path.with_file_name(part))
}

/// The folder that holds `path`.
fn opened_folder(path: &Path) -> io::Result<OwnedFd> {
    let folder = path.parent().ok_or(io::ErrorKind::InvalidInput)?;
    let folder = if folder.as_os_str().is_empty() {
        Path::new(".")
    } else {
        folder
    };
    let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
    Ok(open(folder, flags, Mode::empty())?)
}

/// Most names tried for a new file: two in a row that exist are no accident.
const NAMES_MOST: usize = 8;

/// A new empty file for its owner alone. Its name begins with a dot and ends in none that anybody collects.
fn new_beside(folder: BorrowedFd<'_>, name: &OsStr) -> io::Result<(fs::File, OsString)> {
    let flags =
        OFlag::O_WRONLY | OFlag::O_CREAT | OFlag::O_EXCL | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
    for _ in 0..NAMES_MOST {
        let mut part = OsString::from(".");
        part.push(name);
        // Keyed anew by the kernel's randomness.
        part.push(format!(
            ".{:016x}",
            RandomState::new().build_hasher().finish()
        ));
        match openat(
            folder,
            part.as_os_str(),
            flags,
            Mode::from_bits_truncate(0o600),
        ) {
            Ok(file) => return Ok((file.into(), part)),
            Err(Errno::EEXIST) => {}
            Err(why) => return Err(why.into()),
        }
    }
    Err(io::ErrorKind::AlreadyExists.into())
}

/// Opens a regular file for reading and waits for none: a FIFO or a device that somebody put in its place is an
/// error, and so is a link at the last component.
pub fn open_regular(path: &Path) -> io::Result<fs::File> {
    opened_regular(path, OFlag::O_NOFOLLOW)
}

/// The same where a link is the operator's own: secrets and certificates are often mounted so.
pub fn open_followed(path: &Path) -> io::Result<fs::File> {
    opened_regular(path, OFlag::empty())
}

fn opened_regular(path: &Path, follow: OFlag) -> io::Result<fs::File> {
    let flags = OFlag::O_RDONLY | OFlag::O_NONBLOCK | OFlag::O_NOCTTY | OFlag::O_CLOEXEC;
    let file = match open(path, flags | follow, Mode::empty()) {
        Ok(file) => fs::File::from(file),
        Err(Errno::ELOOP) => return Err(io::Error::other("a link: name the file itself")),
        Err(why) => return Err(why.into()),
    };
    let kind = io::ErrorKind::InvalidInput;
    match file.metadata()?.is_file() {
        true => Ok(file),
        false => Err(io::Error::new(kind, "not a regular file")),
    }
}

/// Why a secret file may not be used.
pub fn secret_file_problem(path: &Path) -> Option<String> {
    match fs::metadata(path) {
        Err(why) => Some(format!("{}: {why}", path.display())),
        Ok(meta) if !meta.is_file() => Some(format!("{}: not a file", path.display())),
        Ok(meta) if meta.mode() & 0o077 != 0 => Some(format!(
            "{}: readable by others (mode {:o}): chmod 600 it",
            path.display(),
            meta.mode() & 0o777
        )),
        Ok(_) => None,
    }
}

/// Larger files are not read to tell one from another.
const HASHED_MOST: u64 = 256 << 20;

/// What tells a file or folder from another one in its place, all of it asked of the one descriptor: so it is of
/// one file even while somebody puts another there.
pub fn identity(opened: OwnedFd) -> io::Result<FileIdentity> {
    let mut file = fs::File::from(opened);
    let meta = file.metadata()?;
    let sha256 = match (meta.is_dir(), meta.is_file()) {
        (true, _) => None,
        (false, true) if meta.len() <= HASHED_MOST => Some(sha256(&mut file)?),
        (false, true) => return Err(io::Error::other("too large to be told from another file")),
        (false, false) => return Err(io::Error::other("neither a file nor a folder")),
    };
    Ok(FileIdentity {
        device: meta.dev(),
        inode: meta.ino(),
        bytes: meta.len(),
        owner: meta.uid(),
        group: meta.gid(),
        mode: meta.mode() & 0o7777,
        sha256,
    })
}

/// Of the whole content, 64 hex; a file that grows under it is an error.
fn sha256(file: &mut fs::File) -> io::Result<String> {
    let mut hash = Sha256::new();
    let mut left = HASHED_MOST;
    let mut buffer = vec![0; 64 << 10];
    loop {
        let read = file.read(&mut buffer)?;
        let Some(bytes) = buffer.get(..read).filter(|bytes| !bytes.is_empty()) else {
            return Ok(hex(&hash.finalize()));
        };
        left = left
            .checked_sub(read as u64)
            .ok_or_else(|| io::Error::other("it grows"))?;
        hash.update(bytes);
    }
}

/// One file that a glob matched.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Matched {
    /// As the host names it.
    pub path: String,
    pub bytes: u64,
    /// Seconds since 1970.
    pub modified_s: i64,
    pub device: u64,
    pub inode: u64,
}

/// Removes the very file that was matched: every folder on the way is opened without following links,
/// and device and inode are compared right before. A file that took its place stays.
pub fn remove(host: &Host, file: &Matched) -> io::Result<()> {
    let folder = OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
    let mut parts = file.path.split('/').filter(|part| !part.is_empty());
    let name = parts.next_back().ok_or(io::ErrorKind::InvalidInput)?;
    let mut dir = open(&host.path("/"), folder & !OFlag::O_NOFOLLOW, Mode::empty())?;
    for part in parts {
        dir = openat(&dir, part, folder, Mode::empty())?;
    }
    let now = fstatat(&dir, name, AtFlags::AT_SYMLINK_NOFOLLOW)?;
    let regular = SFlag::from_bits_truncate(now.st_mode) & SFlag::S_IFMT == SFlag::S_IFREG;
    // The width of these fields differs between targets.
    #[allow(clippy::useless_conversion)]
    let (device, inode) = (u64::from(now.st_dev), u64::from(now.st_ino));
    if !regular || (device, inode) != (file.device, file.inode) {
        return Err(io::Error::other("another file is there now"));
    }
    Ok(unlinkat(&dir, name, UnlinkatFlags::NoRemoveDir)?)
}

/// Most files that one glob may match.
const MATCHES_MOST: usize = 10_000;

/// Regular files that an absolute glob matches: `*`, `?` and `[…]` within a component, no `**`.
/// Symbolic links are neither followed nor matched.
pub fn glob(host: &Host, pattern: &str) -> Vec<Matched> {
    let Some(pattern) = pattern.strip_prefix('/') else {
        return Vec::new();
    };
    let parts: Vec<&str> = pattern.split('/').collect();
    if parts
        .iter()
        .any(|part| part.is_empty() || *part == "." || *part == "..")
    {
        return Vec::new();
    }
    let mut found = Vec::new();
    walk(host, "", &parts, &mut found);
    found
}

fn walk(host: &Host, base: &str, parts: &[&str], found: &mut Vec<Matched>) {
    let Some((part, rest)) = parts.split_first() else {
        return;
    };
    let directory = if base.is_empty() { "/" } else { base };
    let Ok(entries) = fs::read_dir(host.path(directory)) else {
        return;
    };
    for entry in entries.flatten() {
        let name = entry.file_name();
        let (Some(name), Ok(meta)) = (name.to_str(), entry.path().symlink_metadata()) else {
            continue;
        };
        if !matches(part, name) || found.len() >= MATCHES_MOST {
            continue;
        }
        let path = format!("{base}/{name}");
        if rest.is_empty() && meta.is_file() {
            found.push(Matched {
                path,
                bytes: meta.blocks().saturating_mul(512),
                modified_s: meta.mtime(),
                device: meta.dev(),
                inode: meta.ino(),
            });
        } else if !rest.is_empty() && meta.is_dir() {
            walk(host, &path, rest, found);
        }
    }
}

/// Does `name` match one component of a glob? A leading dot is matched only by a dot.
fn matches(pattern: &str, name: &str) -> bool {
    if name.starts_with('.') && !pattern.starts_with('.') {
        return false;
    }
    let pattern: Vec<char> = pattern.chars().collect();
    let name: Vec<char> = name.chars().collect();
    // Where the last `*` stands, and where it ends in the name: only that one is ever made longer, so that no
    // pattern costs more than its length times the name's.
    let (mut at, mut seen, mut star) = (0, 0, None);
    while let Some(c) = name.get(seen) {
        let rest = pattern.get(at..).unwrap_or(&[]);
        if rest.first() == Some(&'*') {
            star = Some((at, seen));
            at = at.saturating_add(1);
        } else if let Some(taken) = one_of(rest, *c) {
            at = at.saturating_add(taken);
            seen = seen.saturating_add(1);
        } else if let Some((back, from)) = star {
            (at, seen) = (back.saturating_add(1), from.saturating_add(1));
            star = Some((back, seen));
        } else {
            return false;
        }
    }
    pattern
        .get(at..)
        .is_some_and(|rest| rest.iter().all(|c| *c == '*'))
}

/// How much of `pattern` stands for the one character `c`; `None` = it stands for another.
fn one_of(pattern: &[char], c: char) -> Option<usize> {
    let (first, rest) = pattern.split_first()?;
    let set = rest
        .iter()
        .position(|c| *c == ']')
        .filter(|_| *first == '[');
    match (first, set) {
        ('?', _) => Some(1),
        (_, Some(end)) => in_set(rest.get(..end)?, c).then_some(end.saturating_add(2)),
        (want, None) => (*want == c).then_some(1),
    }
}

fn in_set(set: &[char], c: char) -> bool {
    set.contains(&c)
        || set
            .windows(3)
            .any(|w| matches!(w, [from, '-', to] if (*from..=*to).contains(&c)))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::core::model::time::Timestamp;
    use crate::host::clock::Clock;

    #[test]
    fn globs_match_as_a_shell_does() {
        for (pattern, name, want) in [
            ("*.gz", "syslog.2.gz", true),
            ("*.gz", ".hidden.gz", false),
            ("syslog.[0-9]", "syslog.3", true),
            ("syslog.[0-9]", "syslog.x", false),
            ("a?c", "abc", true),
            ("*a*b*", "xaxxb", true),
            ("*a*b", "xaxxbx", false),
            ("[a-c]*[", "bx[", true),
            ("a*", "", false),
            ("*", "", true),
        ] {
            assert_eq!(matches(pattern, name), want, "{pattern} {name}");
        }
    }

    #[test]
    fn a_hostile_glob_ends_in_time() {
        assert!(!matches(&"*a".repeat(2_000), &"a".repeat(1_999)));
        assert!(!matches(
            &format!("{}b", "*a".repeat(100)),
            &"a".repeat(4_000)
        ));
    }

    #[test]
    fn links_are_not_followed() {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir_all(dir.path().join("var/log")).unwrap();
        fs::write(dir.path().join("var/log/a.gz"), "x").unwrap();
        std::os::unix::fs::symlink("/etc/passwd", dir.path().join("var/log/b.gz")).unwrap();
        std::os::unix::fs::symlink("/etc", dir.path().join("var/etc")).unwrap();
        let host = Host::at(dir.path(), Clock::manual(Timestamp::default()));
        let found: Vec<String> = glob(&host, "/var/log/*.gz")
            .into_iter()
            .map(|one| one.path)
            .collect();
        assert_eq!(found, ["/var/log/a.gz"]);
        assert!(glob(&host, "/var/etc/passwd").is_empty());
        assert!(glob(&host, "/var/../etc/*").is_empty());
    }

    #[test]
    fn only_the_very_file_that_matched_is_removed() {
        let dir = tempfile::tempdir().unwrap();
        let host = Host::at(dir.path(), Clock::manual(Timestamp::default()));
        let log = dir.path().join("log");
        fs::create_dir(&log).unwrap();
        fs::write(log.join("a.1"), "x").unwrap();
        fs::write(log.join("keep"), "x").unwrap();
        let found = glob(&host, "/log/a.1").pop().unwrap();
        // Another file of the same name.
        fs::rename(log.join("keep"), log.join("a.1")).unwrap();
        assert!(remove(&host, &found).is_err());
        // A link of the same name.
        fs::rename(log.join("a.1"), log.join("keep")).unwrap();
        std::os::unix::fs::symlink(log.join("keep"), log.join("a.1")).unwrap();
        assert!(remove(&host, &found).is_err());
        // A link where a folder was.
        fs::remove_file(log.join("a.1")).unwrap();
        fs::rename(log.join("keep"), log.join("a.1")).unwrap();
        let found = glob(&host, "/log/a.1").pop().unwrap();
        fs::rename(&log, dir.path().join("moved")).unwrap();
        std::os::unix::fs::symlink(dir.path().join("moved"), &log).unwrap();
        assert!(remove(&host, &found).is_err());
        fs::remove_file(&log).unwrap();
        fs::rename(dir.path().join("moved"), &log).unwrap();
        remove(&host, &found).unwrap();
        assert!(!log.join("a.1").exists());
    }

    #[test]
    fn a_file_of_the_same_name_and_size_is_another_one() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("run");
        let now = || identity(fs::File::open(&path).unwrap().into()).unwrap();
        fs::write(&path, "abc").unwrap();
        let first = now();
        assert_eq!(first.sha256.as_deref().map(str::len), Some(64));
        assert_eq!(now(), first);
        // Written over in place: the same inode.
        fs::write(&path, "abd").unwrap();
        let over = now();
        assert_eq!((over.inode, over.bytes), (first.inode, first.bytes));
        assert_ne!(over.sha256, first.sha256);
        // Put in its place: the same content.
        fs::write(dir.path().join("new"), "abc").unwrap();
        fs::rename(dir.path().join("new"), &path).unwrap();
        let put = now();
        assert_eq!(put.sha256, first.sha256);
        assert_ne!(put.inode, first.inode);
        let folder = fs::File::open(dir.path()).unwrap();
        assert!(identity(folder.into()).unwrap().sha256.is_none());
        let null = fs::File::open("/dev/null").unwrap();
        assert!(identity(null.into()).is_err());
    }

    #[test]
    fn an_atomic_write_leaves_no_part_behind() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("f");
        write_atomic(&path, b"1", 0o600).unwrap();
        write_atomic(&path, b"2", 0o600).unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"2");
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
        assert!(secret_file_problem(&path).is_none());
    }
}
