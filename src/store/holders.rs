//! Which processes have a file open.

use std::fs;
use std::path::Path;

/// A process that has the database open.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DatabaseHolder {
    pub pid: u32,
    pub command: String,
}

impl std::fmt::Display for DatabaseHolder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "process {} ({})", self.pid, self.command)
    }
}

/// The first other process that has `path` open; needs root to see those of other users.
pub(super) fn other_holder(path: &Path) -> Option<DatabaseHolder> {
    let wanted = fs::canonicalize(path).ok()?;
    let own = std::process::id();
    let pids = fs::read_dir("/proc")
        .ok()?
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    let pid = pids.filter(|pid| *pid != own).find(|pid| {
        fs::read_dir(format!("/proc/{pid}/fd")).is_ok_and(|entries| {
            entries
                .flatten()
                .any(|entry| fs::read_link(entry.path()).is_ok_and(|at| at == wanted))
        })
    })?;
    let command = fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
    Some(DatabaseHolder {
        pid,
        command: command.trim().to_owned(),
    })
}
