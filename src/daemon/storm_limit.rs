//! Storm limit: many new kinds of log messages in a short time are one problem, not many tasks.
//!
//! The first kinds get tasks of their own. What is new beyond them is counted in one summary task of its
//! stream; nothing is lost, the lines are in the log. Known kinds, and critical ones, pass always.

use std::collections::BTreeSet;
use std::time::Duration;

use crate::core::model::class::Class;
use crate::core::model::facts::Fact;
use crate::core::model::finding::{Finding, Severity};
use crate::core::model::time::Timestamp;
use crate::store::{Reader, StoreError};

/// New kinds are counted over this time.
pub const WINDOW: Duration = Duration::from_secs(600);
const MESSAGE: &str = "many new kinds of messages at once: from here on they are counted together";

/// `findings` with those replaced by summaries that are new beyond `kinds` in [`WINDOW`]; 0 = no limit.
pub fn apply(
    reader: &Reader,
    findings: Vec<Finding>,
    kinds: u32,
    now: Timestamp,
) -> Result<Vec<Finding>, StoreError> {
    if kinds == 0 || !findings.iter().any(may_wait) {
        return Ok(findings);
    }
    let since = now.minus(WINDOW);
    let mut room = kinds.saturating_sub(reader.kinds_since(Class::LogError, since, kinds)?);
    if findings.len() <= room as usize {
        return Ok(findings);
    }
    let mut seen = BTreeSet::new();
    let mut kept = Vec::with_capacity(findings.len());
    for finding in findings {
        let hash = finding.fingerprint().to_string();
        if !may_wait(&finding) || seen.contains(&hash) || reader.is_open(&hash)? {
            kept.push(finding);
        } else if room > 0 {
            room -= 1;
            seen.insert(hash);
            kept.push(finding);
        } else {
            kept.push(summary(&finding));
        }
    }
    Ok(kept)
}

fn may_wait(finding: &Finding) -> bool {
    finding.class == Class::LogError && finding.severity < Severity::Critical
}

/// The stream's one summary; the first line that it stands for is kept as evidence.
fn summary(finding: &Finding) -> Finding {
    let mut summary = Finding::new(
        Class::LogError,
        &format!("storm in {}", finding.source),
        Severity::Error,
        MESSAGE,
        &finding.source,
        finding.seen_at,
    )
    .with(Fact::Log(&format!(
        "{}: {}",
        finding.subject, finding.message
    )));
    summary.count = finding.count;
    summary
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::store::{Intake, Store, StoreOptions};

    const NOW: Timestamp = Timestamp::from_millis(1_800_000_000_000);

    fn finding(kind: &str, severity: Severity) -> Finding {
        Finding::new(
            Class::LogError,
            "app.service",
            severity,
            kind,
            "journal",
            NOW,
        )
    }

    /// Words without digits: each is a kind of its own.
    fn kind(n: usize) -> String {
        let letters: String = format!("{n:03}")
            .bytes()
            .map(|digit| char::from(digit - b'0' + b'a'))
            .collect();
        format!("failure of part {letters}")
    }

    #[test]
    fn new_kinds_beyond_the_limit_are_one_task_and_every_line_is_counted() {
        let dir = tempfile::tempdir().unwrap();
        let options = StoreOptions::at(dir.path().join("tasks.db"));
        let (store, _) = Store::open(&options, NOW).unwrap();
        let send = |findings, now| {
            let findings = apply(&store.reader().unwrap(), findings, 5, now).unwrap();
            let batch = Intake {
                findings,
                cursor: None,
            };
            store.intake(batch, now).unwrap();
        };
        let storm = || {
            (0..40)
                .map(|n| finding(&kind(n), Severity::Error))
                .collect()
        };
        send(storm(), NOW);
        send(storm(), NOW);
        send(vec![finding("on fire", Severity::Critical)], NOW);
        let tasks = || store.reader().unwrap().open_tasks().unwrap();
        assert_eq!(tasks().len(), 5 + 1 + 1, "kinds, summary, critical");
        store.note(None, "tick", "", "test", "", NOW).unwrap();
        let summary = tasks()
            .into_iter()
            .find(|task| task.message == MESSAGE)
            .unwrap();
        assert_eq!(summary.seen_count, 2 * 35);
        assert_eq!(summary.subject, "storm in journal");
        assert_eq!(
            tasks().iter().map(|task| task.seen_count).sum::<u64>(),
            2 * 40 + 1
        );
        // The window is over: the next kinds have tasks of their own again.
        let later = NOW.plus(WINDOW + Duration::from_secs(1));
        send(vec![finding("something else", Severity::Error)], later);
        assert_eq!(tasks().len(), 8);
    }
}
