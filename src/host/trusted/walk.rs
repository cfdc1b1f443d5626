//! The way to a file, one component at a time, each opened below the one before and without following a link.

use std::os::fd::OwnedFd;

use nix::errno::Errno;
use nix::fcntl::{OFlag, open as open_path, openat, readlinkat};
use nix::sys::stat::{FileStat, Mode, SFlag, fstat};

use crate::host::Host;
use crate::host::trusted::owners::{FolderAccess, Owners, writable};
use crate::host::trusted::{Distrust, Untrusted};

/// Most links followed on one way; the deepest of a Debian has three.
const LINKS_MOST: usize = 16;
/// For looking at: nothing is read, no device is woken and no pipe waits for its other end.
const LOOK: OFlag = OFlag::O_PATH
    .union(OFlag::O_NOFOLLOW)
    .union(OFlag::O_CLOEXEC);

pub(super) const REGULAR: &str = "a regular file";
pub(super) const FOLDER: &str = "a directory";

pub(super) fn kind_of(stat: &FileStat) -> &'static str {
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
    hold: FolderAccess,
}

/// Where a walk ended. For a directory `folder` is itself, else the one that holds it.
#[derive(Debug)]
pub(super) struct Found {
    pub(super) folder: OwnedFd,
    pub(super) name: String,
    pub(super) path: String,
    pub(super) stat: FileStat,
}

impl Found {
    pub(super) fn error(&self, named: &str, why: Distrust) -> Untrusted {
        Untrusted {
            path: named.to_owned(),
            part: self.path.clone(),
            why,
        }
    }
}

/// Walks to `path`; every folder and link on the way is proven, and so is what stands at its end.
pub(super) fn walk(host: &Host, path: &str, owners: &Owners) -> Result<Found, Untrusted> {
    Walk::new(host, path, owners)?.finish()
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

    fn hold(&self) -> FolderAccess {
        self.levels
            .last()
            .map_or(FolderAccess::Closed, |level| level.hold)
    }

    /// Goes into a folder.
    fn enter(&mut self, handle: OwnedFd, name: String, stat: &FileStat) -> Result<(), Untrusted> {
        let Some(hold) = self.owners.hold(self.hold(), stat, &handle) else {
            return Err(self.error(&name, self.owners.distrust(stat)));
        };
        if !self.levels.is_empty() && !self.owners.let_pass(stat) {
            let mode = stat.st_mode & 0o7777;
            return Err(self.error(&name, Distrust::Impassable { mode }));
        }
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
        if self.hold() != FolderAccess::Closed || !self.owners.own(stat) {
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
        let anybody = self.owners.are_anybody();
        if !anybody && !self.owners.keep(&stat, handle) {
            return Err(self.error(&name, self.owners.distrust(&stat)));
        }
        let path = self.path(&name);
        let here = self.last()?;
        if !anybody && here.hold != FolderAccess::Closed {
            return Err(self.left_open(&here));
        }
        // Whoever may write a folder can give a file in it that he may not read himself a second name.
        if here.hold == FolderAccess::Open && stat.st_nlink > 1 && stat.st_uid != here.user {
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
        if here.hold == FolderAccess::Sticky {
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
            Ok(stat) => self.error(&here.name, writable(&stat)),
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
