//! Files and devices that a living process holds: what a lock is about.

use std::fs::Metadata;
use std::io;
use std::os::unix::fs::{FileTypeExt, MetadataExt};

use crate::core::model::sorted::SortedSet;
use crate::host::{Host, is_gone, pid_files, procfs};

/// Longest list of locks, in bytes.
const LOCKS_CAP: u64 = 1 << 20;
/// Of a folder so many files are looked at.
const FILES_MOST: usize = 64;

/// Whether a living process holds this file, device or a file right in this folder: it has it open and locked, has the
/// device open, or is the one that the file names. False where that cannot be seen, too: a file that only lies there may
/// be left over.
pub fn is_held(host: &Host, path: &str) -> io::Result<bool> {
    let own = match std::fs::metadata(host.path(path)) {
        Err(why) if is_gone(&why) => return Ok(false),
        own => own?,
    };
    let below = match own.is_dir() {
        true => std::fs::read_dir(host.path(path))?
            .take(FILES_MOST)
            .filter_map(|entry| entry.ok()?.metadata().ok())
            .collect(),
        false => Vec::new(),
    };
    let locked = locked(&host.read("/proc/locks", LOCKS_CAP).unwrap_or_default());
    let counts = |one: &&Metadata| {
        let kind = one.file_type();
        kind.is_char_device() || kind.is_block_device() || locked.contains(&one.ino())
    };
    let all = std::iter::once(&own).chain(&below).filter(counts);
    let files: SortedSet<(u64, u64)> = all.map(|one| (one.dev(), one.ino())).collect();
    if !files.is_empty() && !procfs::open_among(host, &files)?.is_empty() {
        return Ok(true);
    }
    let named = pid_files::named(host, path)?;
    Ok(named.is_some_and(|process| process.sure))
}

/// Inodes with a lock on them; that of a file on btrfs stands there with another device than the file's own.
fn locked(text: &str) -> SortedSet<u64> {
    let inode = |line: &str| {
        let mut words = line.split_ascii_whitespace().skip(1);
        let place = words.find(|word| word.matches(':').count() == 2)?;
        place.rsplit(':').next()?.parse().ok()
    };
    text.lines().filter_map(inode).collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use nix::fcntl::{Flock, FlockArg};
    use std::fs::File;

    use super::*;

    #[test]
    fn inodes_of_locks_are_read() {
        let text = "1: POSIX  ADVISORY  WRITE 812 08:02:1234567 0 EOF\n\
                    2: FLOCK  ADVISORY  WRITE 9 00:1a:42 0 EOF\n\
                    2: -> FLOCK  ADVISORY  WRITE 10 00:1a:43 0 EOF\nx\n";
        assert_eq!(
            locked(text),
            [1_234_567, 42, 43].into_iter().collect::<SortedSet<u64>>()
        );
    }

    #[test]
    fn what_a_living_process_locks_is_held_until_it_lets_go() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("LOCK");
        let named = path.to_str().unwrap();
        let host = Host::real();
        assert!(!is_held(&host, named).unwrap());
        let file = File::create(&path).unwrap();
        assert!(!is_held(&host, named).unwrap());
        let lock = Flock::lock(file, FlockArg::LockExclusiveNonblock)
            .map_err(|(_, why)| why)
            .unwrap();
        assert!(is_held(&host, named).unwrap());
        assert!(is_held(&host, folder.path().to_str().unwrap()).unwrap());
        drop(lock);
        assert!(!is_held(&host, named).unwrap());
    }
}
