//! What opening and adopting did, as text for the log.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use crate::core::model::time::Timestamp;
use crate::store::adopted::Fate;

/// What opening had to do; each message is for the log.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OpenReport {
    pub created: bool,
    /// A damaged file was set aside: budgets count as spent, deliveries as unknown, mode is suggest.
    pub restored: bool,
    /// The disk was too full for a second connection: reads go through the writer's.
    pub alone: bool,
    /// A database of the Python daemon stood at the path.
    pub adopted: Option<ImportReport>,
    pub messages: Vec<String>,
    /// Those of the messages that tell of damage or a full disk.
    pub troubles: Vec<String>,
}

impl OpenReport {
    pub(super) fn trouble(&mut self, what: String) {
        self.troubles.push(what.clone());
        self.messages.push(what);
    }
}

/// What an adoption did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ImportReport {
    pub tasks: u64,
    /// Of the tasks, those that go on here.
    pub open: u64,
    /// Of the tasks, those that were open, and of which nothing here can tell whether they still hold: closed.
    pub unverified: u64,
    /// Of the tasks, those closed longer ago than closed ones are kept: the daemon summarises and removes them.
    pub expired: u64,
    pub retain_days: u32,
    pub history: u64,
    /// Unknown tables, kept as `legacy_NAME`.
    pub kept_tables: Vec<String>,
    pub copy: Option<PathBuf>,
    /// It had been adopted before: nothing was changed.
    pub already: bool,
}

impl ImportReport {
    pub(super) fn of(retain_days: u32) -> Self {
        Self {
            retain_days,
            ..Self::default()
        }
    }

    /// One more task.
    pub(super) fn count(&mut self, fate: Fate, now: Timestamp) {
        let kept = Duration::from_secs(u64::from(self.retain_days) * 86_400);
        self.tasks += 1;
        match fate {
            Fate::Open => self.open += 1,
            Fate::Unverified => self.unverified += 1,
            Fate::Over(at) => self.expired += u64::from(at < now.minus(kept)),
        }
    }

    /// What there is, and what will become of it.
    pub fn counts(&self) -> String {
        let Self {
            tasks,
            open,
            expired,
            unverified,
            history,
            retain_days,
            ..
        } = self;
        let closed = tasks.saturating_sub(*open).saturating_sub(*unverified);
        let mut text = format!(
            "{tasks} tasks of the Python daemon with {history} rows of history: {closed} closed there, {open} open here"
        );
        if *unverified > 0 {
            text += &format!(
                ", {unverified} open there and closed here as unverified (nothing here can look at what they are about)"
            );
        }
        if *expired > 0 {
            text += &format!(
                "; {expired} were closed more than {retain_days} days ago (store.retain_days): the daemon counts them by day and removes them"
            );
        }
        text
    }
}

impl fmt::Display for ImportReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.already {
            return write!(f, "already adopted: nothing to do");
        }
        write!(f, "adopted {}", self.counts())?;
        if !self.kept_tables.is_empty() {
            write!(
                f,
                "; other tables kept as legacy_*: {}",
                self.kept_tables.join(", ")
            )?;
        }
        match &self.copy {
            Some(copy) => write!(f, "; the original is kept as {}", copy.display()),
            None => Ok(()),
        }
    }
}
