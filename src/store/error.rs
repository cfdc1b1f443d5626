//! What can go wrong with the store.

use std::borrow::Cow;
use std::error::Error;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::{ErrorCode, ffi};

use crate::core::model::hint::Hint;
use crate::core::model::id::TaskId;
use crate::core::model::proposal::Digest;
use crate::core::model::task::Status;
use crate::store::holders::DatabaseHolder;

/// Why the database of the Python daemon is not adopted.
#[derive(Debug)]
pub enum ImportError {
    /// Another process has it open.
    InUse(DatabaseHolder),
    /// Another program holds a lock in it, in SQLite's words where it was asked.
    Locked(Option<rusqlite::Error>),
    /// It cannot be read, or its rows not be taken in.
    Database(Box<StoreError>),
    /// A file of it cannot be read, copied or put in its place.
    File(io::Error),
    /// Larger than the store may be, bytes.
    TooLarge(u64),
    /// Not read within this time.
    Late(Duration),
    /// What has this name in it computes what it holds.
    Computed(String),
    /// It is none of the Python daemon's.
    Foreign,
    /// Another process is at it.
    Underway,
    /// It was adopted, and what came of it is not there.
    Gone,
}

/// Why an operation did not happen. Nothing of it is stored.
#[derive(Debug)]
pub enum StoreError {
    /// The file or its directory cannot be used.
    Unusable {
        /// The file, or its directory.
        path: PathBuf,
        /// Of the system or of SQLite.
        why: Box<dyn Error + Send + Sync>,
    },
    /// The file is damaged, and nothing could be put in its place.
    NotReplaced {
        /// The file.
        path: PathBuf,
        /// Of the system.
        why: io::Error,
    },
    /// Written by a newer version of this program.
    Newer {
        /// The file.
        path: PathBuf,
        /// `user_version` of the file.
        found: i64,
        /// The newest that this program knows.
        known: i64,
    },
    /// Written by an older version, and not this process's to migrate.
    Older {
        /// The file.
        path: PathBuf,
        /// `user_version` of the file.
        found: i64,
    },
    /// There is no table in it yet.
    Empty(PathBuf),
    /// Another process holds the write lock for longer than the busy timeout.
    Busy,
    /// No space is left, also after the ballast was freed.
    Full,
    /// Reading or writing failed below SQLite: a bad disk, a mount that went read-only.
    Io(String),
    /// The file is damaged.
    Corrupt(String),
    /// No task has this id.
    NoTask(TaskId),
    /// The task is not where the change may start; nothing was changed.
    WrongState {
        /// Its id.
        task: TaskId,
        /// Where it is.
        from: Status,
        /// Where it was to go.
        wanted: &'static str,
    },
    /// What is to be approved is not what is proposed; nothing was changed.
    NotProposed {
        /// Its id.
        task: TaskId,
        /// What was meant.
        digest: Digest,
        /// The digest of what is proposed, if anything is.
        stands: Option<String>,
    },
    /// The writer has stopped.
    Closed,
    /// The database of the Python daemon cannot be adopted; it is as it was.
    Import(PathBuf, ImportError),
    /// Any other error of SQLite, as a violated constraint.
    Sqlite(rusqlite::Error),
}

impl StoreError {
    /// Not the operation's fault: whatever else is in the transaction fails as well.
    pub(super) fn is_of_the_file(&self) -> bool {
        matches!(
            self,
            Self::Full | Self::Busy | Self::Io(_) | Self::Corrupt(_)
        )
    }

    /// The same error once more, for each caller of a batch that failed as a whole.
    pub(super) fn again(&self) -> Self {
        match self {
            Self::Busy => Self::Busy,
            Self::Full => Self::Full,
            Self::Closed => Self::Closed,
            Self::Corrupt(why) => Self::Corrupt(why.clone()),
            Self::Io(why) => Self::Io(why.clone()),
            Self::Unusable { .. }
            | Self::NotReplaced { .. }
            | Self::Newer { .. }
            | Self::Older { .. }
            | Self::Empty(_)
            | Self::NoTask(_)
            | Self::WrongState { .. }
            | Self::NotProposed { .. }
            | Self::Import(..)
            | Self::Sqlite(_) => Self::Io(self.to_string()),
        }
    }
}

impl StoreError {
    /// The file at `path` cannot be used.
    pub(super) fn unusable(path: &Path, why: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self::Unusable {
            path: path.to_owned(),
            why: why.into(),
        }
    }
}

impl fmt::Display for StoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unusable { path, why } => write!(f, "{}: {why}", path.display()),
            Self::NotReplaced { path, why } => write!(
                f,
                "{}: damaged, and cannot be replaced: {why}",
                path.display()
            ),
            Self::Newer { path, found, known } => write!(
                f,
                "{}: schema version {found} is newer than the {known} this program knows",
                path.display()
            ),
            Self::Older { path, found } => write!(
                f,
                "{}: schema version {found} is of an older program",
                path.display()
            ),
            Self::Empty(path) => write!(f, "{}: nothing is in it yet", path.display()),
            Self::Busy => f.write_str("another process holds the write lock: it was waited for"),
            Self::Full => f.write_str("no space left on the file system"),
            Self::Io(why) => write!(f, "the database cannot be read or written: {why}"),
            Self::Corrupt(why) => write!(f, "the database is damaged: {why}"),
            Self::NoTask(id) => write!(f, "task {id} does not exist"),
            Self::WrongState {
                task,
                from: Status::Closed,
                ..
            } => write!(f, "task {task} is closed already"),
            Self::WrongState { task, from, wanted } => write!(
                f,
                "task {task} is {from}: it cannot become '{wanted}' from there"
            ),
            Self::NotProposed {
                task,
                digest,
                stands: Some(stands),
            } => write!(f, "task {task} proposes {stands}, not {digest}"),
            Self::NotProposed { task, .. } => write!(f, "task {task} proposes no action"),
            Self::Closed => f.write_str("the store is closed"),
            Self::Import(path, why) => write!(f, "import: {}: {why}", path.display()),
            Self::Sqlite(why) => why.fmt(f),
        }
    }
}

impl Error for StoreError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Unusable { why, .. } => Some(why.as_ref()),
            Self::NotReplaced { why, .. } => Some(why),
            Self::Import(_, why) => Some(why),
            Self::Sqlite(why) => Some(why),
            Self::Newer { .. }
            | Self::Older { .. }
            | Self::Empty(_)
            | Self::Busy
            | Self::Full
            | Self::Io(_)
            | Self::Corrupt(_)
            | Self::NoTask(_)
            | Self::WrongState { .. }
            | Self::NotProposed { .. }
            | Self::Closed => None,
        }
    }
}

impl Hint for StoreError {
    fn hint(&self) -> Cow<'static, str> {
        match self {
            Self::Unusable { .. } | Self::NotReplaced { .. } => {
                "check that the directory exists, is writable for this user and not on a read-only file system"
            }
            Self::Newer { .. } => "install the newer program, or move the file away",
            Self::Older { .. } => {
                "if its daemon still runs, stop it; then start this one's, which migrates it"
            }
            Self::Empty(_) => {
                "start the daemon once, or 'import' the database of the Python daemon"
            }
            Self::Busy => "try again",
            Self::Full => "free some, nothing stored was lost",
            Self::Io(_) => "check the disk and that its file system is not read-only",
            Self::Corrupt(_) => "it is set aside and restored at the next start",
            Self::NoTask(_) => "'tasks' lists them",
            Self::NotProposed {
                task,
                stands: Some(_),
                ..
            } => return format!("see 'tasks show {task}' for what it is now").into(),
            Self::NotProposed { task, .. } => {
                return format!("see 'explain {task}' for what it waits for").into();
            }
            Self::Import(_, why) => return why.hint(),
            Self::WrongState { .. } | Self::Closed | Self::Sqlite(_) => "",
        }
        .into()
    }
}

impl From<StoreError> for ImportError {
    fn from(why: StoreError) -> Self {
        Self::Database(Box::new(why))
    }
}

impl From<io::Error> for ImportError {
    fn from(why: io::Error) -> Self {
        Self::File(why)
    }
}

impl fmt::Display for ImportError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::InUse(holder) => write!(f, "it is open in {holder}"),
            Self::Locked(None) => f.write_str("it is locked"),
            Self::Locked(Some(why)) => why.fmt(f),
            Self::Database(why) => {
                if let StoreError::Corrupt(why) = why.as_ref() {
                    return write!(f, "damaged, or no database: {why}");
                }
                why.fmt(f)
            }
            Self::File(why) => why.fmt(f),
            Self::TooLarge(most) => write!(
                f,
                "larger than the {} MiB that the store may hold",
                most >> 20
            ),
            Self::Late(within) => write!(
                f,
                "not read within {} s: nothing was taken in",
                within.as_secs()
            ),
            Self::Computed(name) => write!(
                f,
                "{name} computes what it holds: only tables of plain rows are taken in"
            ),
            Self::Foreign => f.write_str("no table tasks with issue_hash, issue_type and status in it, as the Python daemon wrote"),
            Self::Underway => f.write_str("another process is about to adopt this database"),
            Self::Gone => f.write_str("adopted, but not there"),
        }
    }
}

impl Error for ImportError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Locked(Some(why)) => Some(why),
            // What is told of the store's own file is not true of this one.
            Self::Database(why) if !matches!(**why, StoreError::Corrupt(_)) => Some(why.as_ref()),
            Self::File(why) => Some(why),
            Self::Database(_)
            | Self::InUse(_)
            | Self::Locked(None)
            | Self::TooLarge(_)
            | Self::Late(_)
            | Self::Computed(_)
            | Self::Foreign
            | Self::Underway
            | Self::Gone => None,
        }
    }
}

impl Hint for ImportError {
    fn hint(&self) -> Cow<'static, str> {
        match self {
            Self::InUse(_) => "stop that first",
            Self::Locked(_) => "stop the program that uses it",
            Self::Database(why) if !matches!(**why, StoreError::Corrupt(_)) => return why.hint(),
            Self::Database(_) | Self::Foreign => "give the path of its tasks.db",
            Self::File(_) => "check path and rights",
            Self::TooLarge(_) => "raise store.max_mib, or VACUUM it",
            Self::Underway => "try again",
            Self::Late(_) | Self::Computed(_) | Self::Gone => "",
        }
        .into()
    }
}

impl From<rusqlite::Error> for StoreError {
    fn from(error: rusqlite::Error) -> Self {
        // A full disk cannot hold the shared memory file of the WAL: that is no bad disk.
        if error
            .sqlite_error()
            .is_some_and(|why| why.extended_code == ffi::SQLITE_IOERR_SHMSIZE)
        {
            return Self::Full;
        }
        match error.sqlite_error_code() {
            Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => Self::Busy,
            Some(ErrorCode::DiskFull) => Self::Full,
            Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => {
                Self::Corrupt(error.to_string())
            }
            Some(ErrorCode::SystemIoFailure | ErrorCode::ReadOnly | ErrorCode::CannotOpen) => {
                Self::Io(error.to_string())
            }
            _ => Self::Sqlite(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_to_do_is_told_once_behind_what_failed_and_why() {
        let path = Path::new("/var/lib/x/tasks.db");
        let full = StoreError::unusable(path, StoreError::Full);
        assert_eq!(
            full.with_hint(),
            "/var/lib/x/tasks.db: no space left on the file system: check that the directory exists, is writable for this user and not on a read-only file system"
        );
        let io = StoreError::Io("disk I/O error".to_owned());
        assert_eq!(io.again().with_hint(), io.with_hint());
        let task = TaskId::from_number(3);
        assert_eq!(
            StoreError::NoTask(task).with_hint(),
            "task 3 does not exist: 'tasks' lists them"
        );
    }

    #[test]
    fn an_adoption_that_fails_names_the_error_below_and_its_hint() {
        let path = Path::new("old.db");
        let failed = |why: StoreError| StoreError::Import(path.to_owned(), why.into());
        let busy = failed(StoreError::Busy);
        assert_eq!(
            busy.with_hint(),
            "import: old.db: another process holds the write lock: it was waited for: try again"
        );
        let foreign = failed(StoreError::Corrupt("no header".to_owned()));
        assert!(
            foreign
                .with_hint()
                .ends_with(": give the path of its tasks.db")
        );
        let below = busy.source().and_then(Error::source);
        assert!(below.is_some_and(|why| why.to_string().starts_with("another process")));
    }
}
