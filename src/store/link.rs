//! The connections of one process, and whether the files below them are still the ones it opened.

use std::fs;
use std::mem::MaybeUninit;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use nix::fcntl::{Flock, FlockArg};
use nix::{NixPath, libc};
use rusqlite::Connection;

use crate::store::error::StoreError;
use crate::store::paths::{beside, suffixed};

/// One connection that several threads use in turn. Empty while it is being opened anew.
#[derive(Clone, Debug, Default)]
pub(super) struct Slot(Arc<Mutex<Option<Connection>>>);

impl Slot {
    pub(super) fn new(connection: Connection) -> Self {
        Self(Arc::new(Mutex::new(Some(connection))))
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, Option<Connection>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Where reads go: a connection of their own, or the writer's when the disk is so full that a second
/// one cannot be opened (SQLite needs a shared memory file for it).
#[derive(Clone, Debug)]
pub(super) struct ReadLink {
    own: Slot,
    writer: Option<Slot>,
}

impl ReadLink {
    pub(super) fn new(own: Option<Connection>, writer: Option<Slot>) -> Self {
        Self {
            own: own.map_or_else(Slot::default, Slot::new),
            writer,
        }
    }

    pub(super) fn with<T>(
        &self,
        read: impl FnOnce(&Connection) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        if let Some(connection) = self.own.lock().as_ref() {
            return read(connection);
        }
        match &self.writer {
            Some(writer) => match writer.lock().as_ref() {
                Some(connection) => read(connection),
                None => Err(StoreError::Closed),
            },
            None => Err(StoreError::Closed),
        }
    }

    pub(super) fn replace(&self, connection: Option<Connection>) {
        *self.own.lock() = connection;
    }
}

/// Device and inode of the database, its WAL and its shared memory. SQLite keeps writing to a file
/// that was deleted or replaced under it: acknowledged rows would vanish with the last handle.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Identity([Option<(u64, u64)>; 3]);

impl Identity {
    pub(super) fn of(path: &Path) -> Self {
        Self::look(path).0
    }

    /// The identity, and whether the database is shorter than its own header: cut to nothing by somebody.
    pub(super) fn look(path: &Path) -> (Self, bool) {
        let id = |path: &Path| inode(path).map(|(device, inode, _)| (device, inode));
        let database = inode(path);
        let found = Self([
            database.map(|(device, inode, _)| (device, inode)),
            id(&suffixed(path, "-wal")),
            id(&suffixed(path, "-shm")),
        ]);
        (found, database.is_some_and(|(_, _, size)| size < 512))
    }

    /// What was there is still there; what was not may have come.
    pub(super) fn fits(&self, found: &Self) -> bool {
        self.0
            .iter()
            .zip(found.0)
            .all(|(known, found)| known.is_none() || *known == found)
    }
}

/// Device, inode and size of a file. Asked for without its times: from Linux 6.13 on a file whose times were
/// looked at gets a fresh one with its next write, and each commit would write the inode as well (measured
/// on ext4: 40 µs of 190 an fdatasync).
fn inode(path: &Path) -> Option<(u64, u64, u64)> {
    let mut seen = MaybeUninit::<libc::statx>::zeroed();
    let answer = path.with_nix_path(|path| {
        // SAFETY: statx(2) reads a path that ends in NUL and writes one statx structure into memory that
        // lives until the call is over; both pointers come from values alive here.
        unsafe {
            libc::syscall(
                libc::SYS_statx,
                libc::AT_FDCWD,
                path.as_ptr(),
                0,
                libc::STATX_INO | libc::STATX_SIZE,
                seen.as_mut_ptr(),
            )
        }
    });
    if answer != Ok(0) {
        // Not there, or a kernel before 4.11 or a sandbox that does not know the call.
        let meta = fs::metadata(path).ok()?;
        return Some((meta.dev(), meta.ino(), meta.len()));
    }
    // SAFETY: all bytes were zero before the call, which is a valid value of this structure of integers.
    let seen = unsafe { seen.assume_init() };
    let device = libc::makedev(seen.stx_dev_major, seen.stx_dev_minor);
    Some((device, seen.stx_ino, seen.stx_size))
}

/// Held by the one process that may repair, back up and prune: the daemon, or a lone command. All
/// others write through the same code but leave the file as such alone.
#[derive(Debug)]
pub(super) struct OwnerLock(#[allow(dead_code)] Flock<fs::File>); // Held for its drop.

impl OwnerLock {
    /// `None` while another process holds it, or where the directory takes no file.
    pub(super) fn take(path: &Path) -> Option<Self> {
        let file = fs::OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .open(lock_path(path))
            .ok()?;
        Flock::lock(file, FlockArg::LockExclusiveNonblock)
            .ok()
            .map(Self)
    }
}

fn lock_path(path: &Path) -> PathBuf {
    beside(path, "lock")
}
