//! Who may own a file and the folders on the way to it, and what others can do to it.

use std::ffi::CString;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::fs::MetadataExt;

use nix::errno::Errno;
use nix::sys::stat::{FileStat, Mode};
use nix::unistd::{getegid, geteuid};

use crate::host::Host;
use crate::host::trusted::Distrust;

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
    /// Who is to read what lies there, by its owner: every folder on the way must let him pass.
    reader: Option<u32>,
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
            reader: None,
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

    /// This user as well, and every folder on the way lets him pass; what is root's is for others to read.
    #[must_use]
    pub fn read_by(mut self, user: u32) -> Self {
        self.reader = Some(user);
        self.or(user)
    }

    /// Can whoever is to read pass this folder?
    pub(super) fn let_pass(&self, stat: &FileStat) -> bool {
        let is_readers = |user| user != 0 && stat.st_uid == user && stat.st_mode & 0o100 != 0;
        stat.st_mode & 0o001 != 0 || self.reader.is_none_or(is_readers)
    }

    /// Is this one of them?
    pub fn has(&self, user: u32) -> bool {
        self.users.contains(&user)
    }

    /// Whoever it is: only links are proven.
    pub(super) fn are_anybody(&self) -> bool {
        self.anybody
    }

    pub(super) fn own(&self, stat: &FileStat) -> bool {
        self.has(stat.st_uid)
    }

    /// Is it theirs, and can nobody else write it?
    pub(super) fn keep(&self, stat: &FileStat, handle: &OwnedFd) -> bool {
        let group = stat.st_mode & 0o020 != 0;
        // With access lists the group's bits are only their upper bound, whoever the group is.
        self.own(stat)
            && stat.st_mode & 0o002 == 0
            && (!group || (self.groups.contains(&stat.st_gid) && !has_access_list(handle)))
    }

    /// What others can do in this folder, which lies in one that is held as `above`; `None` where it may not lie
    /// on the way.
    pub(super) fn hold(
        &self,
        above: FolderAccess,
        stat: &FileStat,
        handle: &OwnedFd,
    ) -> Option<FolderAccess> {
        let sticky = self.sticky && stat.st_mode & Mode::S_ISVTX.bits() != 0;
        match above {
            FolderAccess::Closed | FolderAccess::Sticky if self.keep(stat, handle) => {
                Some(FolderAccess::Closed)
            }
            FolderAccess::Closed if sticky && self.own(stat) => Some(FolderAccess::Sticky),
            FolderAccess::Closed | FolderAccess::Sticky | FolderAccess::Open => {
                self.anybody.then_some(FolderAccess::Open)
            }
        }
    }

    /// What is wrong with what they do not keep.
    pub(super) fn distrust(&self, stat: &FileStat) -> Distrust {
        if self.own(stat) {
            return writable(stat);
        }
        Distrust::Owner {
            user: stat.st_uid,
            mode: stat.st_mode & 0o7777,
        }
    }
}

/// What others can do to the entries of a folder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum FolderAccess {
    /// Nothing: nobody else writes there, nor in any folder above it.
    Closed,
    /// Add some, but move none that is not theirs.
    Sticky,
    /// Anything.
    Open,
}

/// Others than its owner can write it.
pub(super) fn writable(stat: &FileStat) -> Distrust {
    Distrust::Writable {
        user: stat.st_uid,
        group: stat.st_gid,
        mode: stat.st_mode & 0o7777,
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
