//! What the gates ask of the host, whatever the task.

use std::time::Duration;

use crate::core::config::{Config, Maintenance};
use crate::core::model::time::Timestamp;
use crate::core::remedy::gates::GateFacts;
use crate::core::remedy::silence::Silences;

/// What the gates ask of the host, read now.
#[derive(Clone, Debug)]
pub struct HostFacts {
    /// Text of the kill-switch file, when it exists.
    pub kill_switch: Option<String>,
    pub clock_sane: bool,
    /// End of the start-up grace, when it is not over.
    pub grace_until: Option<Timestamp>,
    /// When the store was restored, while no full clean sweep has passed since.
    pub restored: Option<Timestamp>,
    /// Look, record and say what would be done.
    pub dry_run: bool,
    /// How far its clock on the wall is ahead of UTC, in seconds.
    pub ahead_s: i64,
    /// What humans want left alone.
    pub silences: Silences,
}

impl HostFacts {
    /// What the gates before an action look at, for something of this age.
    pub fn gates(&self, settings: &Config, age: Duration, now: Timestamp) -> GateFacts {
        let whole = |window: &&Maintenance| window.only.is_empty();
        let mut windows = settings.maintenance.iter().filter(whole);
        let ordered = self.silences.maintenance(now);
        GateFacts {
            kill_switch: self.kill_switch.clone(),
            maintenance: ordered
                .or_else(|| windows.find_map(|window| window.open_at(now, self.ahead_s))),
            clock_sane: self.clock_sane,
            grace_until: self.grace_until,
            age,
        }
    }
}
