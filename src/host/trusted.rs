//! Files that root runs, reads or writes because somebody named them: proven before they are used.
//!
//! A path is walked one component at a time, each opened below the one before and without following a link, so
//! every folder on the way is looked at on the very descriptor that is walked on. What comes out is a
//! descriptor: what was proven is what is used, whatever happens to the name meanwhile.

mod owners;
mod walk;

use std::borrow::Cow;
use std::error::Error;
use std::fmt;
use std::fs::{File, Metadata};
use std::io::{self, Read};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::Path;

use nix::errno::Errno;
use nix::fcntl::{OFlag, openat};
use nix::sys::stat::{Mode, fstat};
use nix::unistd::{UnlinkatFlags, unlinkat};

use crate::core::model::hint::Hint;
use crate::host::files::{self, Medium};
use crate::host::trusted::walk::{FOLDER, REGULAR, kind_of, walk};
use crate::host::{Host, READ_CAP};

pub use owners::Owners;

/// For reading what was looked at. Without `O_NONBLOCK` the owner of a file can delay this by a lease.
const READ: OFlag = OFlag::O_RDONLY
    .union(OFlag::O_NOFOLLOW)
    .union(OFlag::O_NONBLOCK)
    .union(OFlag::O_NOCTTY)
    .union(OFlag::O_CLOEXEC);

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
    /// A folder that others than its owner cannot pass, on the way to what they are to read.
    Impassable { mode: u32 },
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
            Self::Impassable { mode } => {
                write!(f, "cannot be passed by others (mode {mode:04o})")
            }
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
            Distrust::Impassable { .. } => format!("chmod o+x {part}").into(),
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

    /// The program that its `#!` line names.
    fn interpreter(&self) -> Option<String> {
        let mut head = [0; 256];
        let read = self.file.read_at(&mut head, 0).ok()?;
        let line = head.get(..read)?.strip_prefix(b"#!")?;
        let line = line.split(|byte| *byte == b'\n').next()?;
        let line = String::from_utf8_lossy(line);
        line.split_ascii_whitespace().next().map(str::to_owned)
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
    /// Its owner, and its rights as in chmod(1).
    pub fn rights(&self) -> io::Result<(u32, u32)> {
        let stat = fstat(&self.handle)?;
        Ok((stat.st_uid, stat.st_mode & 0o7777))
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
    let found = walk(host, path, owners)?;
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

/// Files that one command may run by `#!` lines, its words aside.
const INTERPRETERS_MOST: usize = 4;

/// A command, with every file that its words name for it to run, held open.
#[derive(Debug)]
pub struct Argv {
    /// The path to run the program by.
    pub program: String,
    /// By their paths, the program first.
    pub files: Vec<(String, Proven)>,
}

/// The program that `words` begin with, what its other words name, where that is a regular file, and the interpreters
/// that these files name: who writes one of them decides what runs.
pub fn argv(host: &Host, words: &[String], owners: &Owners) -> Result<Argv, Untrusted> {
    let (name, args) = words
        .split_first()
        .map_or(("", words), |(name, args)| (name.as_str(), args));
    let (program, file) = program(host, name, owners)?;
    let mut files = vec![(program.clone(), file)];
    for word in args.iter().filter(|word| word.starts_with('/')) {
        if std::fs::metadata(host.path(word)).is_ok_and(|meta| meta.is_file()) {
            files.push((word.clone(), open(host, word, owners)?));
        }
    }
    let most = files.len().saturating_add(INTERPRETERS_MOST);
    let mut at = 0;
    // An interpreter may be a script itself.
    while let Some((_, file)) = files.get(at) {
        at = at.saturating_add(1);
        let Some(path) = file.interpreter() else {
            continue;
        };
        if files.len() >= most || files.iter().any(|(known, _)| *known == path) {
            continue;
        }
        match open(host, &path, owners) {
            Ok(file) => files.push((path, file)),
            // Then nothing runs.
            Err(why) if why.is_absent() => {}
            Err(why) => return Err(why),
        }
    }
    Ok(Argv { program, files })
}

/// The text of a file that tells root what to do; invalid UTF-8 becomes U+FFFD.
pub fn settings(host: &Host, path: &Path) -> io::Result<String> {
    let bytes = settings_bytes(host, path, READ_CAP)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// The same as bytes, at most `cap` of them.
pub fn settings_bytes(host: &Host, path: &Path, cap: u64) -> io::Result<Vec<u8>> {
    let path = std::path::absolute(path)?;
    let proven = open(host, &path.to_string_lossy(), &Owners::of_settings(host))?;
    proven.bytes(cap)
}

/// Proves the directory with the program's own state; `at` with the root prefix.
pub fn state(host: &Host, at: &Path) -> Result<(), Untrusted> {
    let path = std::path::absolute(at).and_then(|at| host.named(&at));
    let path = path.map_err(|why| Untrusted {
        path: at.display().to_string(),
        part: at.display().to_string(),
        why: Distrust::Io(why),
    })?;
    folder(host, &path, &Owners::of_settings(host)).map(drop)
}

/// Opens the directory at `path`, to write in or to look that it is one.
pub fn folder(host: &Host, path: &str, owners: &Owners) -> Result<Folder, Untrusted> {
    let found = walk(host, path, owners)?;
    match kind_of(&found.stat) {
        FOLDER => Ok(Folder {
            handle: found.folder,
        }),
        kind => Err(found.error(path, Distrust::Kind(kind))),
    }
}

#[cfg(test)]
mod tests;
