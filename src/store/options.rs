//! Where the store is and its bounds.

use std::path::PathBuf;
use std::time::Duration;

/// Where the store is and its bounds.
#[derive(Clone, Debug)]
pub struct StoreOptions {
    /// Backups, ballast and set-aside files lie beside it.
    pub path: PathBuf,
    /// Set on EVERY connection: without it the default is zero and a second writer fails at once.
    pub busy_timeout: Duration,
    /// Reserved beside the database, freed when the disk is full; 0 = none.
    pub ballast_bytes: u64,
    /// Closed tasks and events older than this are summarised and removed.
    pub retain_days: u32,
    /// Upper bound of the database file.
    pub max_bytes: u64,
    /// Time between two backups; one is made only of a file whose audit chain verifies.
    pub backup_every: Duration,
    /// Longest that a foreign database is read.
    pub import_within: Duration,
}

impl StoreOptions {
    /// Defaults of the design for a file at `path`.
    pub fn at(path: impl Into<PathBuf>) -> Self {
        Self {
            path: path.into(),
            busy_timeout: Duration::from_secs(30),
            ballast_bytes: 1 << 20,
            retain_days: 365,
            max_bytes: 256 << 20,
            backup_every: Duration::from_secs(86_400),
            import_within: Duration::from_secs(300),
        }
    }
}
