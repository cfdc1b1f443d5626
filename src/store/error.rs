//! What can go wrong with the store, as text for a human.

use std::fmt;
use std::path::PathBuf;

use rusqlite::{ErrorCode, ffi};

use crate::core::model::id::TaskId;
use crate::core::model::proposal::Digest;
use crate::core::model::task::Status;

/// Why an operation did not happen. Nothing of it is stored.
#[derive(Debug)]
pub enum StoreError {
    /// The file or its directory cannot be used.
    Unusable {
        /// The file, or its directory.
        path: PathBuf,
        /// In the words of the system or of SQLite.
        why: String,
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
    Import(String),
    /// Any other error of SQLite, as a violated constraint.
    Sqlite(rusqlite::Error),
}

impl StoreError {
    /// True when the same operation may succeed later without anybody doing anything.
    pub fn is_retriable(&self) -> bool {
        matches!(self, Self::Busy | Self::Full | Self::Io(_))
    }

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
            Self::Unusable { .. }
            | Self::Newer { .. }
            | Self::Older { .. }
            | Self::Empty(_)
            | Self::Io(_)
            | Self::NoTask(_)
            | Self::WrongState { .. }
            | Self::NotProposed { .. }
            | Self::Import(_)
            | Self::Sqlite(_) => Self::Io(self.to_string()),
        }
    }
}

impl fmt::Display for StoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unusable { path, why } => write!(
                f,
                "{}: {why}: check that the directory exists, is writable for this user and not on a read-only file system",
                path.display()
            ),
            Self::Newer { path, found, known } => write!(
                f,
                "{}: schema version {found} is newer than the {known} this program knows: install the newer program, or move the file away",
                path.display()
            ),
            Self::Older { path, found } => write!(
                f,
                "{}: schema version {found} is of an older program: if its daemon still runs, stop it; then start this one's, which migrates it",
                path.display()
            ),
            Self::Empty(path) => write!(
                f,
                "{}: nothing is in it yet: start the daemon once, or 'import' the database of the Python daemon",
                path.display()
            ),
            Self::Busy => write!(
                f,
                "another process holds the write lock: it was waited for; try again"
            ),
            Self::Full => write!(
                f,
                "no space left on the file system: free some, nothing stored was lost"
            ),
            Self::Io(why) => write!(
                f,
                "the database cannot be read or written: {why}: check the disk and that its file system is not read-only"
            ),
            Self::Corrupt(why) => write!(
                f,
                "the database is damaged: {why}: it is set aside and restored at the next start"
            ),
            Self::NoTask(id) => write!(f, "task {id} does not exist: 'tasks' lists them"),
            Self::WrongState { task, from, wanted } => write!(
                f,
                "task {task} is {from}: it cannot become '{wanted}' from there"
            ),
            Self::NotProposed {
                task,
                digest,
                stands: Some(stands),
            } => write!(
                f,
                "task {task} proposes {stands}, not {digest}: see 'tasks show {task}' for what it is now"
            ),
            Self::NotProposed { task, .. } => write!(
                f,
                "task {task} proposes no action: see 'explain {task}' for what it waits for"
            ),
            Self::Closed => write!(f, "the store is closed"),
            Self::Import(why) => write!(f, "import: {why}"),
            Self::Sqlite(why) => write!(f, "{why}"),
        }
    }
}

impl std::error::Error for StoreError {}

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
