//! Files that root runs, reads or writes because somebody named them: proven before they are used.
//!
//! A path is walked one component at a time, each opened below the one before and without following a link, so
//! every folder on the way is looked at on the very descriptor that is walked on. What comes out is a
//! descriptor: what was proven is what is used, whatever happens to the name meanwhile.

use std::borrow::Cow;
use std::error::Error;
use std::ffi::CString;
use std::fmt;
use std::fs::{File, Metadata};
use std::io::{self, Read};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use nix::errno::Errno;
use nix::fcntl::{OFlag, open as open_path, openat, readlinkat};
use nix::sys::stat::{FileStat, Mode, SFlag, fstat};
use nix::unistd::{UnlinkatFlags, getegid, geteuid, unlinkat};

use crate::core::model::hint::Hint;
use crate::host::files::{self, Medium};
use crate::host::{Host, READ_CAP};

/// Most links followed on one way; the deepest of a Debian has three.
const LINKS_MOST: usize = 16;
/// For looking at: nothing is read, no device is woken and no pipe waits for its other end.
const LOOK: OFlag = OFlag::O_PATH
    .union(OFlag::O_NOFOLLOW)
    .union(OFlag::O_CLOEXEC);
/// For reading what was looked at. Without `O_NONBLOCK` the owner of a file can delay this by a lease.
const READ: OFlag = OFlag::O_RDONLY
    .union(OFlag::O_NOFOLLOW)
    .union(OFlag::O_NONBLOCK)
    .union(OFlag::O_NOCTTY)
    .union(OFlag::O_CLOEXEC);

/// Who may own a file and every folder on the way to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Owners {
    users: Vec<u32>,
    /// Their members may write too.
    groups: Vec<u32>,
    /// Whoever owns it: only links are proven.
    anybody: bool,
    /// A folder of theirs in a sticky one counts: nobody else can put another in its place.
    sticky: bool,
}

impl Owners {
    /// Who owns the host: root, and the user that this program runs as. In a tree that stands for a host also
    /// the owner of its top.
    pub fn of(host: &Host) -> Self {
        let mut owners = Self {
            users: vec![0],
            groups: vec![0],
            anybody: false,
            sticky: false,
        };
        if !geteuid().is_root() {
            owners.add(geteuid().as_raw(), getegid().as_raw());
        }
        if !host.is_running()
            && let Ok(top) = std::fs::metadata(host.path("/"))
        {
            owners.add(top.uid(), top.gid());
        }
        owners
    }

    /// For what tells root what to do: configuration, rules, runbooks, the bundle. The operator may try them in a
    /// folder of his own below /tmp.
    pub fn of_settings(host: &Host) -> Self {
        Self {
            sticky: true,
            ..Self::of(host)
        }
    }

    /// Whoever it is, for files that other users write. A link counts only where none of them could set it.
    pub fn anybody(host: &Host) -> Self {
        Self {
            anybody: true,
            ..Self::of(host)
        }
    }

    fn add(&mut self, user: u32, group: u32) {
        self.users.push(user);
        self.groups.push(group);
    }

    /// This user as well, for what runs with that user's rights and no more.
    #[must_use]
    pub fn or(mut self, user: u32) -> Self {
        self.users.push(user);
        self
    }

    /// Is this one of them?
    pub fn has(&self, user: u32) -> bool {
        self.users.contains(&user)
    }

    fn owns(&self, stat: &FileStat) -> bool {
        self.has(stat.st_uid)
    }

    /// Could somebody else write it?
    fn keeps(&self, stat: &FileStat, handle: &OwnedFd) -> bool {
        let group = stat.st_mode & 0o020 != 0;
        // With access lists the group's bits are only their upper bound, whoever the group is.
        stat.st_mode & 0o002 == 0
            && (!group || (self.groups.contains(&stat.st_gid) && !has_access_list(handle)))
    }
}

/// Why a path is not used: the component, and what is wrong with it.
#[derive(Debug)]
pub struct Untrusted {
    /// As it was named.
    pub path: String,
    /// The component that is wrong, as the host names it.
    pub part: String,
    pub why: Distrust,
}

#[derive(Debug)]
pub enum Distrust {
    /// It cannot be looked at; most often it does not exist.
    Io(io::Error),
    /// Relative: it would mean something else in another folder.
    NotAbsolute,
    /// It belongs to a user who has no say here.
    Owner { user: u32, mode: u32 },
    /// Others than its owner can write it.
    Writable { user: u32, group: u32, mode: u32 },
    /// A link in a folder that others can write, or set by somebody else.
    Link { user: u32 },
    /// Links that lead to links for too long, or in a circle.
    TooManyLinks,
    /// A second name for somebody else's file.
    SecondName { user: u32 },
    /// Neither what was wanted: `a FIFO`, `a device`, `a directory`…
    Kind(&'static str),
    /// Another file took its place while it was looked at.
    Replaced,
}

impl fmt::Display for Distrust {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Io(why) => write!(f, "{why}"),
            Self::NotAbsolute => f.write_str("is not absolute"),
            Self::Owner { user, mode } => write!(f, "belongs to user {user} (mode {mode:04o})"),
            Self::Writable { user, group, mode } => write!(
                f,
                "can be written by others (user {user}, group {group}, mode {mode:04o})"
            ),
            Self::Link { user } => {
                write!(f, "is a link that user {user} or another one may have set")
            }
            Self::TooManyLinks => f.write_str("is a link that leads through too many others"),
            Self::SecondName { user } => write!(f, "is a second name for a file of user {user}"),
            Self::Kind(kind) => write!(f, "is {kind}"),
            Self::Replaced => f.write_str("was replaced while it was looked at"),
        }
    }
}

impl fmt::Display for Untrusted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { path, part, why } = self;
        if let Distrust::Io(why) = why {
            write!(f, "{path}: {why}")
        } else if path == part {
            write!(f, "{path} {why}")
        } else {
            write!(f, "{path}: {part} {why}")
        }
    }
}

impl Error for Untrusted {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        if let Distrust::Io(why) = &self.why {
            return Some(why);
        }
        None
    }
}

impl Hint for Untrusted {
    fn hint(&self) -> Cow<'static, str> {
        let part = &self.part;
        match &self.why {
            Distrust::Io(_) => "check path and rights".into(),
            Distrust::NotAbsolute => "write it from / on".into(),
            Distrust::Owner { .. } => {
                format!("chown root {part}, or move the file where only root writes").into()
            }
            Distrust::Writable { mode, .. } if mode & 0o1000 != 0 => {
                "move the file out of a folder where everybody writes".into()
            }
            Distrust::Writable { .. } => format!("chmod go-w {part} (setfacl -b {part})").into(),
            Distrust::Link { .. } | Distrust::TooManyLinks => {
                "name the file that it leads to".into()
            }
            Distrust::SecondName { .. } => "remove it, or copy the file".into(),
            Distrust::Kind(_) => "name a regular file".into(),
            Distrust::Replaced => "look who writes there".into(),
        }
    }
}

impl From<Untrusted> for io::Error {
    fn from(why: Untrusted) -> Self {
        let told = why.with_hint();
        if let Distrust::Io(why) = why.why {
            return why;
        }
        Self::other(told)
    }
}

impl Untrusted {
    /// True when nothing stands there.
    pub fn is_absent(&self) -> bool {
        matches!(&self.why, Distrust::Io(why)
            if matches!(why.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory))
    }
}

/// A regular file that was proven, open for reading.
#[derive(Debug)]
pub struct Proven {
    path: String,
    file: File,
    meta: Metadata,
}

impl Proven {
    /// Where it really stands, as the host names it: every link resolved.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// Its rights, as in chmod(1).
    pub fn mode(&self) -> u32 {
        self.meta.mode() & 0o7777
    }

    pub fn owner(&self) -> u32 {
        self.meta.uid()
    }

    /// Seconds since 1970.
    pub fn modified_s(&self) -> i64 {
        self.meta.mtime()
    }

    pub fn is_executable(&self) -> bool {
        self.meta.mode() & 0o111 != 0
    }

    /// Its bytes; more than `cap` is an error, no silent cut.
    pub fn bytes(&self, cap: u64) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        (&self.file)
            .take(cap.saturating_add(1))
            .read_to_end(&mut bytes)?;
        if bytes.len() as u64 > cap {
            let what = format!("larger than {cap} bytes");
            return Err(io::Error::new(io::ErrorKind::FileTooLarge, what));
        }
        Ok(bytes)
    }
}

impl From<Proven> for File {
    fn from(proven: Proven) -> Self {
        proven.file
    }
}

impl From<Proven> for OwnedFd {
    fn from(proven: Proven) -> Self {
        proven.file.into()
    }
}

/// A directory that was proven.
#[derive(Debug)]
pub struct Folder {
    handle: OwnedFd,
}

impl Folder {
    /// Its rights, as in chmod(1).
    pub fn mode(&self) -> io::Result<u32> {
        Ok(fstat(&self.handle)?.st_mode & 0o7777)
    }

    /// Puts a file of exactly this mode at `name`, whole or not at all; what stood there is replaced, a link
    /// itself and not what it leads to.
    pub fn write(&self, name: &str, bytes: &[u8], mode: u32, medium: Medium) -> io::Result<()> {
        // A descriptor for looking at cannot be flushed.
        let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
        let folder = openat(&self.handle, ".", flags, Mode::empty())?;
        files::replace(folder.as_fd(), name.as_ref(), bytes, mode, medium)
    }

    /// Removes a file or a link; one that is gone is no error.
    pub fn remove(&self, name: &str) -> io::Result<()> {
        match unlinkat(&self.handle, name, UnlinkatFlags::NoRemoveDir) {
            Err(Errno::ENOENT) | Ok(()) => Ok(()),
            Err(why) => Err(why.into()),
        }
    }
}

impl From<Folder> for OwnedFd {
    fn from(folder: Folder) -> Self {
        folder.handle
    }
}

/// Opens the regular file at `path` for reading.
pub fn open(host: &Host, path: &str, owners: &Owners) -> Result<Proven, Untrusted> {
    let found = Walk::new(host, path, owners)?.finish()?;
    let fail = |why| found.error(path, why);
    let kind = kind_of(&found.stat);
    if kind != REGULAR {
        return Err(fail(Distrust::Kind(kind)));
    }
    let opened = openat(&found.folder, found.name.as_str(), READ, Mode::empty());
    let file = File::from(opened.map_err(|why| fail(Distrust::Io(why.into())))?);
    let meta = file.metadata().map_err(|why| fail(Distrust::Io(why)))?;
    // The width of these fields differs between targets.
    #[allow(clippy::useless_conversion)]
    let looked_at = (u64::from(found.stat.st_dev), u64::from(found.stat.st_ino));
    if (meta.dev(), meta.ino()) != looked_at {
        return Err(fail(Distrust::Replaced));
    }
    Ok(Proven {
        path: found.path,
        file,
        meta,
    })
}

/// Where a program that is named without a folder is looked for.
const PROGRAMS: [&str; 6] = [
    "/usr/local/sbin",
    "/usr/local/bin",
    "/usr/sbin",
    "/usr/bin",
    "/sbin",
    "/bin",
];

/// A program by its path, or by its name alone in the folders of the system; with the path to run it by, links
/// not resolved: some programs are many, by their names.
pub fn program(host: &Host, name: &str, owners: &Owners) -> Result<(String, Proven), Untrusted> {
    if name.contains('/') {
        return open(host, name, owners).map(|proven| (name.to_owned(), proven));
    }
    let mut last = None;
    for folder in PROGRAMS {
        let path = format!("{folder}/{name}");
        match open(host, &path, owners) {
            Ok(proven) => return Ok((path, proven)),
            Err(why) if why.is_absent() => last = Some(why),
            Err(why) => return Err(why),
        }
    }
    Err(last.unwrap_or_else(|| Untrusted {
        path: name.to_owned(),
        part: name.to_owned(),
        why: Distrust::NotAbsolute,
    }))
}

/// The text of a file that tells root what to do; invalid UTF-8 becomes U+FFFD.
pub fn settings(host: &Host, path: &Path) -> io::Result<String> {
    let path = std::path::absolute(path)?;
    let proven = open(host, &path.to_string_lossy(), &Owners::of_settings(host))?;
    let bytes = proven.bytes(READ_CAP)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// Proves the directory with the program's own state; `at` with the root prefix.
pub fn state(host: &Host, at: &Path) -> io::Result<()> {
    let path = host.named(&std::path::absolute(at)?)?;
    folder(host, &path, &Owners::of_settings(host))?;
    Ok(())
}

/// Opens the directory at `path`, to write in or to look that it is one.
pub fn folder(host: &Host, path: &str, owners: &Owners) -> Result<Folder, Untrusted> {
    let found = Walk::new(host, path, owners)?.finish()?;
    match kind_of(&found.stat) {
        FOLDER => Ok(Folder {
            handle: found.folder,
        }),
        kind => Err(found.error(path, Distrust::Kind(kind))),
    }
}

const REGULAR: &str = "a regular file";
const FOLDER: &str = "a directory";

fn kind_of(stat: &FileStat) -> &'static str {
    match SFlag::from_bits_truncate(stat.st_mode) & SFlag::S_IFMT {
        SFlag::S_IFREG => REGULAR,
        SFlag::S_IFDIR => FOLDER,
        SFlag::S_IFLNK => "a link",
        SFlag::S_IFIFO => "a FIFO",
        SFlag::S_IFSOCK => "a socket",
        _ => "a device",
    }
}

/// One folder on the way.
#[derive(Debug)]
struct Level {
    handle: OwnedFd,
    name: String,
    user: u32,
    hold: Hold,
}

/// What others can do to the entries of a folder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Hold {
    /// Nothing: nobody else writes there, nor in any folder above it.
    Closed,
    /// Add some, but move none that is not theirs.
    Sticky,
    /// Anything.
    Open,
}

/// Where a walk ended. For a directory `folder` is itself, else the one that holds it.
#[derive(Debug)]
struct Found {
    folder: OwnedFd,
    name: String,
    path: String,
    stat: FileStat,
}

impl Found {
    fn error(&self, named: &str, why: Distrust) -> Untrusted {
        Untrusted {
            path: named.to_owned(),
            part: self.path.clone(),
            why,
        }
    }
}

/// A way through the folders of a host.
struct Walk<'a> {
    owners: &'a Owners,
    named: &'a str,
    levels: Vec<Level>,
    /// Components still to come, the next one last.
    left: Vec<String>,
    links: usize,
}

impl<'a> Walk<'a> {
    fn new(host: &Host, named: &'a str, owners: &'a Owners) -> Result<Self, Untrusted> {
        let mut walk = Self {
            owners,
            named,
            levels: Vec::new(),
            left: Vec::new(),
            links: 0,
        };
        if !named.starts_with('/') {
            return Err(walk.error("", Distrust::NotAbsolute));
        }
        // What lies above the top of a tree is not the host's.
        let flags = OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
        let (top, stat) = open_path(&host.path("/"), flags, Mode::empty())
            .and_then(|top| fstat(&top).map(|stat| (top, stat)))
            .map_err(|why| walk.error("", Distrust::Io(why.into())))?;
        walk.enter(top, String::new(), &stat)?;
        walk.ahead(named);
        Ok(walk)
    }

    fn ahead(&mut self, path: &str) {
        let parts = path.split('/').filter(|part| !matches!(*part, "" | "."));
        self.left.extend(parts.rev().map(str::to_owned));
    }

    fn finish(mut self) -> Result<Found, Untrusted> {
        while let Some(part) = self.left.pop() {
            if part == ".." {
                // Above the top is the top.
                if self.levels.len() > 1 {
                    self.levels.pop();
                }
                continue;
            }
            let (handle, stat) = self.look(&part)?;
            match kind_of(&stat) {
                FOLDER => self.enter(handle, part, &stat)?,
                "a link" => self.follow(&handle, &part, &stat)?,
                _ if self.left.is_empty() => return self.file(&handle, part, stat),
                _ => return Err(self.error(&part, Distrust::Io(Errno::ENOTDIR.into()))),
            }
        }
        self.end()
    }

    fn look(&self, part: &str) -> Result<(OwnedFd, FileStat), Untrusted> {
        let Some(here) = self.levels.last() else {
            return Err(self.error(part, Distrust::Io(Errno::ENOENT.into())));
        };
        openat(&here.handle, part, LOOK, Mode::empty())
            .and_then(|handle| fstat(&handle).map(|stat| (handle, stat)))
            .map_err(|why| self.error(part, Distrust::Io(why.into())))
    }

    fn hold(&self) -> Hold {
        self.levels.last().map_or(Hold::Closed, |level| level.hold)
    }

    /// Goes into a folder.
    fn enter(&mut self, handle: OwnedFd, name: String, stat: &FileStat) -> Result<(), Untrusted> {
        let owned = self.owners.owns(stat);
        let sticky = self.owners.sticky && stat.st_mode & Mode::S_ISVTX.bits() != 0;
        let hold = match self.hold() {
            Hold::Closed | Hold::Sticky if owned && self.owners.keeps(stat, &handle) => {
                Hold::Closed
            }
            Hold::Closed if owned && sticky => Hold::Sticky,
            Hold::Closed | Hold::Sticky | Hold::Open if self.owners.anybody => Hold::Open,
            Hold::Closed | Hold::Sticky | Hold::Open => {
                return Err(self.error(&name, distrust(owned, stat)));
            }
        };
        let user = stat.st_uid;
        self.levels.push(Level {
            handle,
            name,
            user,
            hold,
        });
        Ok(())
    }

    /// Goes on where a link leads, if nobody else can have set it.
    fn follow(&mut self, handle: &OwnedFd, part: &str, stat: &FileStat) -> Result<(), Untrusted> {
        if self.hold() != Hold::Closed || !self.owners.owns(stat) {
            return Err(self.error(part, Distrust::Link { user: stat.st_uid }));
        }
        self.links = self.links.saturating_add(1);
        if self.links > LINKS_MOST {
            return Err(self.error(part, Distrust::TooManyLinks));
        }
        let target = readlinkat(handle, "")
            .map_err(|why| self.error(part, Distrust::Io(why.into())))?
            .into_string()
            .map_err(|_| self.error(part, Distrust::Io(Errno::EILSEQ.into())))?;
        if target.starts_with('/') {
            self.levels.truncate(1);
        }
        self.ahead(&target);
        Ok(())
    }

    /// The last component is no folder.
    fn file(mut self, handle: &OwnedFd, name: String, stat: FileStat) -> Result<Found, Untrusted> {
        let owned = self.owners.owns(&stat);
        let kept = owned && self.owners.keeps(&stat, handle);
        if !self.owners.anybody && !kept {
            return Err(self.error(&name, distrust(owned, &stat)));
        }
        let path = self.path(&name);
        let here = self.last()?;
        if !self.owners.anybody && here.hold != Hold::Closed {
            return Err(self.left_open(&here));
        }
        // Whoever may write a folder can give a file in it that he may not read himself a second name.
        if here.hold == Hold::Open && stat.st_nlink > 1 && stat.st_uid != here.user {
            let user = stat.st_uid;
            return Err(self.error_at(path, Distrust::SecondName { user }));
        }
        Ok(Found {
            folder: here.handle,
            name,
            path,
            stat,
        })
    }

    /// The last component is the folder that was entered last.
    fn end(mut self) -> Result<Found, Untrusted> {
        let path = self.path("");
        let here = self.last()?;
        if here.hold == Hold::Sticky {
            return Err(self.left_open(&here));
        }
        let stat = fstat(&here.handle);
        let stat = stat.map_err(|why| self.error(&here.name, Distrust::Io(why.into())))?;
        Ok(Found {
            folder: here.handle,
            name: ".".to_owned(),
            path,
            stat,
        })
    }

    fn last(&mut self) -> Result<Level, Untrusted> {
        let none = || Distrust::Io(Errno::ENOENT.into());
        self.levels.pop().ok_or_else(|| self.error("", none()))
    }

    /// A folder that may lie on the way, but nothing be used of.
    fn left_open(&self, here: &Level) -> Untrusted {
        match fstat(&here.handle) {
            Ok(stat) => self.error(&here.name, distrust(true, &stat)),
            Err(why) => self.error(&here.name, Distrust::Io(why.into())),
        }
    }

    /// The way so far, with `part` behind it.
    fn path(&self, part: &str) -> String {
        let names = self.levels.iter().skip(1).map(|level| level.name.as_str());
        let parts: Vec<&str> = names
            .chain([part])
            .filter(|name| !name.is_empty())
            .collect();
        format!("/{}", parts.join("/"))
    }

    fn error(&self, part: &str, why: Distrust) -> Untrusted {
        self.error_at(self.path(part), why)
    }

    fn error_at(&self, part: String, why: Distrust) -> Untrusted {
        Untrusted {
            path: self.named.to_owned(),
            part,
            why,
        }
    }
}

fn distrust(owned: bool, stat: &FileStat) -> Distrust {
    let (user, group, mode) = (stat.st_uid, stat.st_gid, stat.st_mode & 0o7777);
    if owned {
        Distrust::Writable { user, group, mode }
    } else {
        Distrust::Owner { user, mode }
    }
}

/// Does an access list (acl(5)) say who may write? Where that cannot be known, it counts as one.
fn has_access_list(handle: &OwnedFd) -> bool {
    // A descriptor for looking at is asked through its name in /proc.
    let Ok(path) = CString::new(format!("/proc/self/fd/{}", handle.as_raw_fd())) else {
        return true;
    };
    // SAFETY: both names end in NUL and live through the call; nothing is written: the size is 0.
    let size = unsafe {
        nix::libc::getxattr(
            path.as_ptr(),
            c"system.posix_acl_access".as_ptr(),
            std::ptr::null_mut(),
            0,
        )
    };
    size >= 0 || !matches!(Errno::last(), Errno::ENODATA | Errno::EOPNOTSUPP)
}

#[cfg(test)]
mod tests;
