//! The connections of one process, and whether the files below them are still the ones it opened.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use nix::fcntl::{Flock, FlockArg};
use rusqlite::Connection;

use crate::store::StoreError;
use crate::store::open::{beside, suffixed};

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
        let id = |path: &Path| fs::metadata(path).ok().map(|meta| (meta.dev(), meta.ino()));
        Self([
            id(path),
            id(&suffixed(path, "-wal")),
            id(&suffixed(path, "-shm")),
        ])
    }

    /// What was there is still there; what was not may have come.
    pub(super) fn fits(&self, found: &Self) -> bool {
        self.0
            .iter()
            .zip(found.0)
            .all(|(known, found)| known.is_none() || *known == found)
    }
}

/// True when the file is shorter than its own header: cut to nothing by somebody.
pub(super) fn is_cut(path: &Path) -> bool {
    fs::metadata(path).is_ok_and(|meta| meta.len() < 512)
}

/// Held by the one process that may repair, back up and prune: the daemon, or a lone command. All
/// others write through the same code but leave the file as such alone.
#[derive(Debug)]
pub(super) struct Owner(#[allow(dead_code)] Flock<fs::File>); // Held for its drop.

impl Owner {
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
