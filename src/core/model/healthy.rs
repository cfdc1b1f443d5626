//! What a unit was like while it was well: by this its own leftover is told from a stranger's process, and its own
//! file from another one of that name.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::core::model::sorted::{SortedMap, SortedSet};

/// Processes kept of one unit; of more, the oldest: those that live on are the ones that are left over.
pub const PROCESSES_MOST: usize = 64;
/// Ports kept of one unit.
pub const PORTS_MOST: usize = 32;
/// Files kept of one unit.
pub const FILES_MOST: usize = 16;
/// Units of which something is kept.
pub const UNITS_MOST: usize = 1_024;

/// A process for ever: its number alone is given again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct ProcessKey {
    /// In clock ticks since boot; first, so that the oldest come first.
    pub start_ticks: u64,
    pub pid: u32,
}

/// A file or folder as it stood at its path.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct KnownFile {
    /// Absolute, as the unit names it.
    pub path: String,
    pub device: u64,
    pub inode: u64,
    /// 0 for a folder.
    pub bytes: u64,
    pub owner: u32,
    /// Last change of its content, in milliseconds since 1970; of a folder 0, since every file in it changes it.
    pub modified_ms: i64,
    /// Names that it has on its file system: with more than one, another name is no proof of a move.
    pub names: u64,
    pub is_folder: bool,
    /// Of the content, 64 hex; `None` for a folder and for what is too large to be read for this.
    pub sha256: Option<String>,
}

impl KnownFile {
    /// The same file of the same build, wherever it stands.
    pub fn is_same_file(&self, other: &Self) -> bool {
        let digests = self.sha256.as_ref().zip(other.sha256.as_ref());
        let what = |one: &Self| {
            (
                one.device,
                one.inode,
                one.bytes,
                one.modified_ms,
                one.is_folder,
            )
        };
        what(self) == what(other) && digests.is_none_or(|(one, other)| one == other)
    }

    /// Another file with the very same content.
    pub fn is_same_content(&self, other: &Self) -> bool {
        !self.is_folder && self.sha256.is_some() && self.sha256 == other.sha256
    }
}

/// What a unit's main process ran.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct MainProgram {
    /// As the kernel names it, every link followed.
    pub file: KnownFile,
    /// Arguments joined by blanks.
    pub command: String,
    pub user: u32,
}

/// Why a process is the unit's own leftover.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Proof {
    InItsGroup,
    Ran,
    OwnProgram,
}

impl fmt::Display for Proof {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::InItsGroup => "it is in the control group of the unit, which is down",
            Self::Ran => "it ran in the unit while that was well",
            Self::OwnProgram => {
                "it is the unit's own program, arguments and user, and of nobody else"
            }
        })
    }
}

/// One unit as it was when it was last seen well.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct HealthyUnit {
    /// Of the boot: processes and start times mean nothing in another one.
    pub boot: String,
    pub control_group: String,
    pub main: Option<MainProgram>,
    /// What ran in it, in its control group or below its main process.
    pub processes: SortedSet<ProcessKey>,
    /// What it was seen to listen on.
    pub ports: SortedSet<String>,
    /// What its settings name: programs, environment files, folders.
    pub files: Vec<KnownFile>,
}

impl HealthyUnit {
    /// Did this very process run in the unit?
    pub fn ran(&self, boot: &str, process: ProcessKey) -> bool {
        !boot.is_empty() && self.boot == boot && self.processes.contains(&process)
    }

    /// Says more than which processes it has: it was not known, runs something else, or listens elsewhere, too.
    pub fn is_news_after(&self, before: Option<&Self>) -> bool {
        before.is_none_or(|before| before.main != self.main || !self.ports.is_subset(&before.ports))
    }

    /// What stood at `path`.
    pub fn file(&self, path: &str) -> Option<&KnownFile> {
        self.files.iter().find(|file| file.path == path)
    }

    /// Within its bounds, whatever the host has.
    #[must_use]
    pub fn bounded(mut self) -> Self {
        self.processes = self.processes.into_iter().take(PROCESSES_MOST).collect();
        self.ports = self.ports.into_iter().take(PORTS_MOST).collect();
        self.files.truncate(FILES_MOST);
        self
    }
}

/// What is known of the units of this host, by name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HealthyUnits(SortedMap<String, HealthyUnit>);

impl HealthyUnits {
    pub fn of(&self, unit: &str) -> Option<&HealthyUnit> {
        self.0.get(unit)
    }

    pub fn insert(&mut self, unit: String, record: HealthyUnit) {
        self.0.insert(unit, record);
    }

    pub fn iter(&self) -> impl Iterator<Item = (&str, &HealthyUnit)> {
        self.0.iter().map(|(unit, record)| (unit.as_str(), record))
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl FromIterator<(String, HealthyUnit)> for HealthyUnits {
    fn from_iter<T: IntoIterator<Item = (String, HealthyUnit)>>(all: T) -> Self {
        Self(all.into_iter().collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_is_known_by_number_start_and_boot() {
        let key = |pid, start_ticks| ProcessKey { start_ticks, pid };
        let unit = HealthyUnit {
            boot: "b1".to_owned(),
            processes: [key(70, 500)].into(),
            ..HealthyUnit::default()
        };
        assert!(unit.ran("b1", key(70, 500)));
        assert!(!unit.ran("b1", key(70, 501)), "its number was given again");
        assert!(!unit.ran("b2", key(70, 500)), "another boot");
        let nowhere = HealthyUnit::default();
        assert!(!nowhere.ran("", key(70, 500)));
    }

    #[test]
    fn new_is_what_it_runs_and_where_it_listens_not_by_which_processes() {
        let unit = |command: &str, port: &str, pid| HealthyUnit {
            main: Some(MainProgram {
                command: command.to_owned(),
                ..MainProgram::default()
            }),
            processes: [ProcessKey {
                start_ticks: 5,
                pid,
            }]
            .into(),
            ports: [port.to_owned()].into(),
            ..HealthyUnit::default()
        };
        let before = unit("a", "tcp/80", 7);
        assert!(before.is_news_after(None));
        for (command, port, pid, is) in [
            ("a", "tcp/80", 7, false),
            ("a", "tcp/80", 8, false),
            ("b", "tcp/80", 7, true),
            ("a", "tcp/81", 7, true),
        ] {
            let now = unit(command, port, pid);
            assert_eq!(now.is_news_after(Some(&before)), is, "{command} {port}");
        }
        let closed = HealthyUnit {
            ports: SortedSet::new(),
            ..before.clone()
        };
        assert!(!closed.is_news_after(Some(&before)));
    }

    #[test]
    fn of_too_many_processes_the_oldest_are_kept() {
        let keys = (0..200).map(|n| ProcessKey {
            start_ticks: n,
            pid: 1_000 - u32::try_from(n).unwrap_or(0),
        });
        let unit = HealthyUnit {
            processes: keys.collect(),
            ..HealthyUnit::default()
        };
        let kept = unit.bounded().processes;
        assert_eq!(kept.len(), PROCESSES_MOST);
        assert!(kept.iter().all(|key| key.start_ticks < 64));
    }

    #[test]
    fn an_inode_that_was_given_again_is_another_file() {
        let file = |bytes, sha: &str| KnownFile {
            device: 1,
            inode: 7,
            bytes,
            sha256: (!sha.is_empty()).then(|| sha.to_owned()),
            ..KnownFile::default()
        };
        assert!(file(9, "a").is_same_file(&file(9, "a")));
        assert!(file(9, "").is_same_file(&file(9, "a")), "too large to read");
        assert!(!file(9, "a").is_same_file(&file(9, "b")));
        assert!(!file(9, "a").is_same_file(&file(8, "a")));
        assert!(!file(9, "").is_same_content(&file(9, "")));
    }
}
