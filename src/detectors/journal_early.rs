//! New journal entries without journald's delay.
//!
//! journald writes its files through memory maps, which no inotify sees, and tells its readers by an
//! event of its own that it holds back for 250 ms. The header of the file is current at once. So it is
//! looked at on a short timer (one read of 168 bytes), and when it moved, `journalctl` is woken through
//! the directory that it watches anyway: a name that comes and goes in `/run/log/journal`, which is
//! memory. It then reads what is new and finds nothing else changed. Where that directory is missing or
//! cannot be written, journald's own event stays.

use std::fs::{self, File, OpenOptions};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use crate::host::Host;

/// Where journald keeps its files, with one directory per machine.
pub const PLACES: [&str; 2] = ["/run/log/journal", "/var/log/journal"];
/// Time between two looks while entries come.
const EVERY: Duration = Duration::from_millis(50);
/// Time between two looks on a calm host: 20 looks a second were 0.15 % of a core.
const EVERY_CALM: Duration = Duration::from_millis(200);
/// A host without a new entry for this long is calm.
const CALM_AFTER: Duration = Duration::from_secs(5);
/// Files are listed again this often, beside when one was archived.
const LIST_EVERY: Duration = Duration::from_secs(10);
/// Directory below each of the places that is watched by every follower, on a memory file system.
const BELL: &str = "/run/log/journal";
const BELL_NAME: &str = ".autonomous-orchestrator-new-entries";
/// Active files looked at, at most: the system's, and those of users that are logged in.
const FILES_MOST: usize = 16;

/// Header of a journal file: signature, then at fixed places its state and the number of the last entry.
const HEADER: usize = 168;
const SIGNATURE: &[u8; 8] = b"LPKSHHRH";
const STATE_AT: usize = 16;
const STATE_ARCHIVED: u8 = 2;
const TAIL_SEQNUM_AT: usize = 160;

/// Watches the headers of the active journal files.
#[derive(Debug)]
pub struct Early {
    places: Vec<PathBuf>,
    bell: PathBuf,
    files: Vec<File>,
    listed: Option<Instant>,
    /// When an entry was seen to come, last.
    moved: Option<Instant>,
    /// Last entry number of which `journalctl` was told.
    told: u64,
}

impl Early {
    pub fn new(host: &Host) -> Self {
        Self {
            places: PLACES.iter().map(|place| host.path(place)).collect(),
            bell: host.path(BELL),
            files: Vec::new(),
            listed: None,
            moved: None,
            told: 0,
        }
    }

    /// Time until the next look.
    pub fn pause(&self) -> Duration {
        match self.moved {
            Some(at) if at.elapsed() < CALM_AFTER => EVERY,
            _ => EVERY_CALM,
        }
    }

    /// Wakes the follower when there are entries it was not told of. Never fails: at worst the
    /// entries come 250 ms late.
    pub fn look(&mut self) {
        if self.listed.is_none_or(|at| at.elapsed() >= LIST_EVERY) {
            self.list();
        }
        let mut newest = 0;
        let mut archived = false;
        for file in &self.files {
            match tail_of(file) {
                Some(Tail::Active(number)) => newest = newest.max(number),
                Some(Tail::Archived) | None => archived = true,
            }
        }
        if archived {
            // The next look lists again; what comes meanwhile is journald's to tell.
            self.listed = None;
        }
        if newest != self.told && newest > 0 {
            self.told = newest;
            self.moved = Some(Instant::now());
            self.ring();
        }
    }

    fn list(&mut self) {
        self.listed = Some(Instant::now());
        self.files = self
            .places
            .iter()
            .flat_map(|place| entries(place))
            .flat_map(|machine| entries(&machine))
            .filter(|path| is_active(path))
            .take(FILES_MOST)
            .filter_map(|path| File::open(path).ok())
            .collect();
    }

    fn ring(&self) {
        let name = self.bell.join(BELL_NAME);
        let made = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(&name);
        if made.is_ok() {
            // Its coming has been told; should it stay, the next ring makes it go.
            let _ = fs::remove_file(&name);
        }
    }
}

fn entries(directory: &Path) -> Vec<PathBuf> {
    fs::read_dir(directory)
        .map(|entries| entries.flatten().map(|entry| entry.path()).collect())
        .unwrap_or_default()
}

/// `system.journal` and `user-1000.journal` are written to; archived ones have an `@` in their names.
fn is_active(path: &Path) -> bool {
    path.file_name()
        .and_then(|name| name.to_str())
        .is_some_and(|name| name.ends_with(".journal") && !name.contains('@'))
}

#[derive(Debug, PartialEq, Eq)]
enum Tail {
    Active(u64),
    Archived,
}

/// `None` when it is no journal file.
fn tail_of(file: &File) -> Option<Tail> {
    let mut header = [0_u8; HEADER];
    file.read_exact_at(&mut header, 0).ok()?;
    parse(&header)
}

fn parse(header: &[u8; HEADER]) -> Option<Tail> {
    if !header.starts_with(SIGNATURE) {
        return None;
    }
    if header.get(STATE_AT) == Some(&STATE_ARCHIVED) {
        return Some(Tail::Archived);
    }
    let number = header.get(TAIL_SEQNUM_AT..)?.first_chunk::<8>()?;
    Some(Tail::Active(u64::from_le_bytes(*number)))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing)]
    use super::*;
    use crate::host::clock::Clock;

    fn header(state: u8, number: u64) -> [u8; HEADER] {
        let mut header = [0_u8; HEADER];
        header[..8].copy_from_slice(SIGNATURE);
        header[STATE_AT] = state;
        header[TAIL_SEQNUM_AT..].copy_from_slice(&number.to_le_bytes());
        header
    }

    #[test]
    fn headers_are_read() {
        assert_eq!(parse(&header(1, 77)), Some(Tail::Active(77)));
        assert_eq!(parse(&header(STATE_ARCHIVED, 77)), Some(Tail::Archived));
        assert_eq!(parse(&[0; HEADER]), None);
    }

    #[test]
    fn the_bell_rings_once_for_what_is_new() {
        let dir = tempfile::tempdir().unwrap();
        let machine = dir.path().join("var/log/journal/0123");
        fs::create_dir_all(&machine).unwrap();
        let bell = dir.path().join("run/log/journal");
        fs::create_dir_all(&bell).unwrap();
        let mut early = Early::new(&Host::at(dir.path(), Clock::system()));
        // What a ring leaves: the time at which the directory last changed.
        let rung = || fs::metadata(&bell).unwrap().modified().unwrap();
        let quiet = rung();
        early.look();
        assert_eq!((early.told, rung()), (0, quiet));
        fs::write(machine.join("system.journal"), header(1, 5)).unwrap();
        fs::write(machine.join("system@1.journal"), header(2, 9)).unwrap();
        fs::write(machine.join("user-1.journal"), b"short").unwrap();
        early.listed = None;
        early.look();
        assert_eq!(early.told, 5);
        assert!(fs::read_dir(&bell).unwrap().next().is_none());
        early.bell = dir.path().join("missing");
        fs::write(machine.join("system.journal"), header(1, 6)).unwrap();
        early.look();
        assert_eq!(early.told, 6);
    }
}
