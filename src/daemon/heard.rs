//! What was heard of this box, and may be a habit, until it is written.

use crate::core::model::sorted::SortedMap;

use crate::core::model::class::Class;
use crate::core::model::finding::{Finding, Severity};
use crate::core::model::habit::{HABITS_MOST, Heard};
use crate::core::model::time::Timestamp;
use crate::daemon::storm_limit::has_room;

/// Quarters of what the others left that one writer may have of what waits.
const OF_HEARD: usize = 2;

/// What waits to be written.
#[derive(Debug, Default)]
pub struct HabitNotes {
    pub(super) heard: SortedMap<String, Heard>,
    pub(super) written: Option<Timestamp>,
    /// The digest under way: told once it has stood as long as any line must.
    pub(super) digest: Option<(Finding, Timestamp)>,
    pub(super) boot_counted: bool,
}

impl HabitNotes {
    /// Takes what only words tell of.
    pub fn hear(&mut self, findings: &[Finding]) {
        for finding in findings.iter().filter(|one| may_be(one)) {
            let hash = finding.fingerprint().to_string();
            let writer = finding.said_by.as_deref().unwrap_or_default();
            if !self.heard.contains_key(&hash) {
                let all = self.heard.values().map(|heard| heard.writer.as_str());
                if !has_room(all, &writer, HABITS_MOST, OF_HEARD) {
                    continue;
                }
            }
            let heard = self.heard.entry(hash).or_insert_with(|| Heard {
                subject: finding.subject.clone(),
                writer: writer.to_owned(),
                message: finding.message.clone(),
                count: 0,
                at: finding.seen_at,
            });
            heard.count = heard.count.saturating_add(finding.count);
            heard.at = heard.at.max(finding.seen_at);
        }
    }
}

/// Only a line without a level, whose words alone tell, may be a habit.
pub(super) fn may_be(finding: &Finding) -> bool {
    finding.class == Class::LogError
        && finding.severity >= Severity::Error
        && finding.evidence.only_words()
}
