//! A database that somebody else wrote, as `import` is given it: copied first, so that SQLite never follows a name
//! in a folder of others, then read with bounds of size and time.

use std::fs::{File, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use nix::fcntl::{FcntlArg, fcntl};
use nix::libc;
use rusqlite::Connection;
use rusqlite::config::DbConfig;
use rusqlite::limits::Limit;

use crate::host::clock::end_after;
use crate::host::files;
use crate::store::adopt::{fail, hold};
use crate::store::error::{ImportError, StoreError};
use crate::store::holders::other_holder;
use crate::store::options::StoreOptions;
use crate::store::paths::{beside, remove_with_companions, suffixed};

/// Longest value of a row. The Python daemon kept lines of logs.
const VALUE_MOST: i32 = 4 << 20;
/// Time between two interruptions of what has no time left.
const AGAIN: Duration = Duration::from_millis(10);
/// What SQLite keeps beside a database, and the database itself.
const PARTS: [&str; 3] = ["", "-wal", "-journal"];

/// A private copy of a foreign database, gone with this.
#[derive(Debug)]
pub(super) struct Copied {
    path: PathBuf,
}

impl Drop for Copied {
    fn drop(&mut self) {
        remove_with_companions(&self.path);
    }
}

impl Copied {
    /// Copies what stands at `source` beside the store, at most as much as the store may hold.
    pub(super) fn of(source: &Path, options: &StoreOptions) -> Result<Self, StoreError> {
        unused(source)?;
        let copy = Self {
            path: beside(&options.path, "importing.part"),
        };
        remove_with_companions(&copy.path);
        let mut left = options.max_bytes;
        for part in PARTS {
            let from = suffixed(source, part);
            match copy_part(&from, &suffixed(&copy.path, part), left) {
                Ok(bytes) => left = left.saturating_sub(bytes),
                Err(why) if why.kind() == io::ErrorKind::NotFound && !part.is_empty() => {}
                Err(why) if why.kind() == io::ErrorKind::FileTooLarge => {
                    return Err(fail(source, ImportError::TooLarge(options.max_bytes)));
                }
                Err(why) => return Err(fail(&from, why)),
            }
        }
        // Whoever opened it meanwhile may have changed it under the copy.
        unused(source)?;
        Ok(copy)
    }

    /// Opens the copy. Its name is gone then: nothing is left of it, however this ends.
    pub(super) fn open(self, within: Duration) -> Result<(Connection, Alarm), StoreError> {
        opened(&self.path, within)
    }
}

/// Opens a database for reading within bounds, its WAL or journal folded in.
pub(super) fn opened(path: &Path, within: Duration) -> Result<(Connection, Alarm), StoreError> {
    let old = Connection::open(path)?;
    hold(&old)?;
    bound(&old)?;
    let alarm = Alarm::set(&old, within).map_err(|why| StoreError::Io(why.to_string()))?;
    Ok((old, alarm))
}

/// Copies one file whole; more than `most` bytes of it is an error.
fn copy_part(from: &Path, to: &Path, most: u64) -> io::Result<u64> {
    let file = files::open_regular(from)?;
    if file.metadata()?.size() > most {
        return Err(io::ErrorKind::FileTooLarge.into());
    }
    let mut copy = OpenOptions::new()
        .create_new(true)
        .write(true)
        .mode(0o600)
        .open(to)?;
    // One that grows meanwhile is in use.
    let copied = io::copy(&mut file.take(most.saturating_add(1)), &mut copy)?;
    match copied > most {
        true => Err(io::ErrorKind::FileTooLarge.into()),
        false => Ok(copied),
    }
}

/// Nobody has it open, or holds a lock of SQLite's in it.
fn unused(source: &Path) -> Result<(), StoreError> {
    if let Some(holder) = other_holder(source) {
        return Err(fail(source, ImportError::InUse(holder)));
    }
    let file = files::open_regular(source).map_err(|why| fail(source, why))?;
    match is_locked(&file) {
        Ok(false) => Ok(()),
        Ok(true) => Err(fail(source, ImportError::Locked(None))),
        Err(why) => Err(fail(source, why)),
    }
}

fn is_locked(file: &File) -> io::Result<bool> {
    // SAFETY: a structure of integers, for which zero is valid: the whole file, and no process of ours.
    let mut lock: libc::flock = unsafe { std::mem::zeroed() };
    lock.l_type = i16::try_from(libc::F_WRLCK).unwrap_or_default();
    lock.l_whence = i16::try_from(libc::SEEK_SET).unwrap_or_default();
    fcntl(file, FcntlArg::F_OFD_GETLK(&mut lock))?;
    Ok(i32::from(lock.l_type) != libc::F_UNLCK)
}

/// What a schema or a page was made to do: no value grows without end, and nothing of the schema calls what has
/// effects.
fn bound(old: &Connection) -> Result<(), StoreError> {
    old.set_limit(Limit::SQLITE_LIMIT_LENGTH, VALUE_MOST)?;
    old.set_limit(Limit::SQLITE_LIMIT_ATTACHED, 0)?;
    old.set_db_config(DbConfig::SQLITE_DBCONFIG_TRUSTED_SCHEMA, false)?;
    old.set_db_config(DbConfig::SQLITE_DBCONFIG_DEFENSIVE, true)?;
    Ok(())
}

/// Ends what a connection does once its time is over, until this is dropped.
#[derive(Debug)]
pub(super) struct Alarm {
    end: Instant,
    _dropped: mpsc::Sender<()>,
}

impl Alarm {
    fn set(old: &Connection, within: Duration) -> io::Result<Self> {
        let end = end_after(within);
        let handle = old.get_interrupt_handle();
        let (dropped, gone) = mpsc::channel::<()>();
        std::thread::Builder::new()
            .name("import-alarm".to_owned())
            .spawn(move || {
                let mut wait = end.saturating_duration_since(Instant::now());
                // Again and again: between two statements there is nothing to interrupt.
                while gone.recv_timeout(wait) == Err(mpsc::RecvTimeoutError::Timeout) {
                    handle.interrupt();
                    wait = AGAIN;
                }
            })?;
        Ok(Self {
            end,
            _dropped: dropped,
        })
    }

    pub(super) fn is_over(&self) -> bool {
        Instant::now() >= self.end
    }
}

/// The first thing of the schema that computes instead of storing, by name.
pub(super) fn computed(old: &Connection) -> Result<Option<String>, StoreError> {
    let mut statement = old.prepare(
        "SELECT m.name FROM sqlite_master AS m
         WHERE m.type = 'view' AND m.name IN ('tasks', 'task_history')
            OR m.type = 'table' AND m.sql NOT LIKE 'CREATE VIRTUAL%'
               AND EXISTS (SELECT 1 FROM pragma_table_xinfo(m.name) WHERE hidden > 0)
         ORDER BY m.name LIMIT 1",
    )?;
    let mut rows = statement.query([])?;
    Ok(match rows.next()? {
        Some(row) => Some(row.get(0)?),
        None => None,
    })
}

/// A database of the Python daemon, all of whose bytes the fuzzer may change.
#[cfg(fuzzing)]
#[allow(clippy::unwrap_used)]
pub(crate) fn old_database() -> &'static [u8] {
    static BYTES: std::sync::OnceLock<Vec<u8>> = std::sync::OnceLock::new();
    BYTES.get_or_init(|| {
        let path = std::env::temp_dir().join(format!("python-{}.db", std::process::id()));
        let _ = std::fs::remove_file(&path);
        let old = Connection::open(&path).unwrap();
        old.execute_batch(
            "CREATE TABLE tasks (id INTEGER PRIMARY KEY, issue_hash TEXT UNIQUE, issue_type TEXT,
                issue_source TEXT, issue_message TEXT, status TEXT, github_issue_number INTEGER, detected_at TIMESTAMP);
             CREATE TABLE task_history (id INTEGER PRIMARY KEY, task_id INTEGER, action TEXT, timestamp TIMESTAMP);
             CREATE TABLE learned (pattern TEXT, wins REAL, raw BLOB);
             INSERT INTO tasks VALUES (1, 'a', 'service_failed', 'systemd', 'web.service failed', 'escalated', 12, '2024-01-02 03:04:05'),
                (2, 'b', 'log_error', 'journal', 'broke', 'closed', NULL, 'yesterday');
             INSERT INTO task_history VALUES (1, 1, 'created', '2024-01-02 03:04:05'), (2, 9, 'noted', NULL);
             INSERT INTO learned VALUES ('restart', 0.75, x'00ff');",
        )
        .unwrap();
        drop(old);
        std::fs::read(path).unwrap()
    })
}
