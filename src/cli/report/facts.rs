//! What the report is made from.

use crate::core::config::Config;
use crate::core::human::stats::Stats;
use crate::core::model::task::Task;
use crate::core::model::time::Timestamp;
use crate::store::{Attempt, AuditBreak, AuditReport, DetectorRun, EscalationRow, OutboxRow};

/// Everything the page shows.
#[derive(Debug)]
pub struct Facts {
    pub host: String,
    pub now: Timestamp,
    pub config: Config,
    pub daemon_pid: Option<u64>,
    pub kill_switch: Option<String>,
    /// Newest first.
    pub tasks: Vec<Task>,
    pub open: u64,
    pub escalations: Vec<EscalationRow>,
    pub outbox: Vec<OutboxRow>,
    pub detectors: Vec<DetectorRun>,
    pub attempts: Vec<Attempt>,
    pub stats: Stats,
    pub audit: Result<AuditReport, AuditBreak>,
}
