//! What the report is made from.

use crate::core::config::Config;
use crate::core::human::stats::Stats;
use crate::core::model::habit::Habit;
use crate::core::model::task::Task;
use crate::core::model::time::Timestamp;
use crate::daemon::days::Days;
use crate::store::{Asks, Attempt, AuditBreak, AuditReport, DetectorRun, OutboxRow};

/// Everything the page shows.
#[derive(Debug)]
pub(super) struct ReportFacts {
    pub(super) host: String,
    pub(super) now: Timestamp,
    pub(super) config: Config,
    pub(super) daemon_pid: Option<u64>,
    /// Why no repair is made now.
    pub(super) paused: Vec<String>,
    /// What humans want left alone, and until when.
    pub(super) silenced: Vec<String>,
    /// What would have been done, where the mode only observes.
    pub(super) trial: Vec<String>,
    /// Days of the last month on which the host was watched.
    pub(super) days: Days,
    /// Newest first.
    pub(super) tasks: Vec<Task>,
    pub(super) open: u64,
    /// What the budget of this host paid for, in the last hour and the last day.
    pub(super) host_charged: (u32, u32),
    pub(super) asks: Asks,
    pub(super) outbox: Vec<OutboxRow>,
    pub(super) detectors: Vec<DetectorRun>,
    pub(super) attempts: Vec<Attempt>,
    /// Standing and line of each kind that may be a habit, the most frequent first.
    pub(super) habits: Vec<(&'static str, Habit)>,
    pub(super) stats: Stats,
    pub(super) audit: Result<AuditReport, AuditBreak>,
}
