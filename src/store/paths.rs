//! The database's files: names beside it, and how a finished one gets into its place.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// A file beside the database: `tasks.db` -> `tasks.db.SUFFIX`.
pub(super) fn beside(path: &Path, suffix: &str) -> PathBuf {
    suffixed(path, &format!(".{suffix}"))
}

/// `tasks.db` -> `tasks.dbSUFFIX`, as SQLite names its companions.
pub(super) fn suffixed(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    PathBuf::from(name)
}

/// What it tells of a gateway is for root alone; SQLite gives its companions the same mode.
pub(super) fn create_private(path: &Path) {
    use std::os::unix::fs::OpenOptionsExt;
    // An existing file keeps its mode, a failure shows when SQLite opens it.
    let _ = std::fs::OpenOptions::new()
        .create_new(true)
        .write(true)
        .mode(0o600)
        .open(path);
}

/// Syncs a finished file and renames it into its place.
pub(super) fn publish(part: &Path, target: &Path) -> io::Result<()> {
    fs::File::open(part)?.sync_all()?;
    fs::rename(part, target)?;
    sync_dir(target)
}

pub(super) fn sync_dir(path: &Path) -> io::Result<()> {
    match path.parent() {
        Some(dir) if !dir.as_os_str().is_empty() => fs::File::open(dir)?.sync_all(),
        _ => Ok(()),
    }
}

pub(super) fn remove_with_companions(path: &Path) {
    for suffix in ["", "-wal", "-shm", "-journal"] {
        // Mostly not there; one that stays shows in the next step.
        let _ = fs::remove_file(suffixed(path, suffix));
    }
}
