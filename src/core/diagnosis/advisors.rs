//! The three advisors. Each looks at the finding from one side, names a cause, ranks the actions that
//! the runbook allows, and says why. Deterministic and pure. An advisor that knows nothing abstains.
//!
//! - operator: what worked here before;
//! - historian: what changed just before;
//! - analyst: the cause rules and the retrieved snippets.

use std::time::Duration;

use crate::core::diagnosis::learning::{LearnedRow, PROVEN_MIN, proven_rate};
use crate::core::diagnosis::naming::Named;
use crate::core::model::action::ActionKind;
use crate::core::model::candidate::Candidate;
use crate::core::model::cause::Cause;
use crate::core::model::facts::Key;
use crate::core::model::finding::Finding;
use crate::core::model::named::named;
use crate::core::model::narrow;
use crate::core::model::snippet::Snippet;
use crate::core::model::time::Timestamp;

named! {
    /// Who advises.
    Advisor "advisor" {
        /// Knows what worked here before.
        Operator = "operator",
        /// Knows what changed just before.
        Historian = "historian",
        /// Knows the cause rules and the bundle.
        Analyst = "analyst",
        /// The optional language model: at most one voice, and never enough without one of the others.
        Model = "model",
    }
}

/// What one advisor says. No actions and confidence 0 is an abstention.
#[derive(Clone, Debug, PartialEq)]
pub struct Advice {
    pub advisor: Advisor,
    pub cause: Cause,
    /// 0..=1: how sure it is of the cause.
    pub confidence: f64,
    /// Allowed actions with the chance (0..=1) that each helps, best first.
    pub actions: Vec<(ActionKind, f32)>,
    /// What it goes by, one line.
    pub evidence: String,
}

impl Advice {
    fn abstain(advisor: Advisor, why: &str) -> Self {
        Self {
            advisor,
            cause: Cause::Unknown,
            confidence: 0.0,
            actions: Vec::new(),
            evidence: why.to_owned(),
        }
    }

    /// True when it has no opinion: silence, not a vote against.
    pub fn abstains(&self) -> bool {
        self.actions.is_empty() || self.confidence <= 0.0
    }

    fn new(
        advisor: Advisor,
        cause: Cause,
        confidence: f64,
        mut actions: Vec<(ActionKind, f32)>,
        evidence: String,
    ) -> Self {
        // Stable: equal chances keep the runbook's order.
        actions.sort_by(|a, b| b.1.total_cmp(&a.1));
        Self {
            advisor,
            cause,
            confidence: confidence.clamp(0.0, 1.0),
            actions,
            evidence,
        }
    }
}

/// What worked here before.
pub fn operator(
    _finding: &Finding,
    named: &Named,
    candidates: &[Candidate],
    learned: &[LearnedRow],
    now: Timestamp,
) -> Advice {
    let tried: Vec<(&LearnedRow, f64)> = learned
        .iter()
        .filter(|row| {
            row.wins + row.losses > 0 && candidates.iter().any(|one| one.kind == row.action)
        })
        .map(|row| (row, proven_rate(row, now)))
        .filter(|(_, rate)| *rate >= PROVEN_MIN)
        .collect();
    if tried.is_empty() {
        return Advice::abstain(Advisor::Operator, "nothing has proven itself here yet");
    }
    let facts: Vec<String> = tried
        .iter()
        .map(|(row, rate)| {
            format!(
                "{} helped {} of {} times (proven rate {rate:.2})",
                row.action,
                row.wins,
                row.wins.saturating_add(row.losses)
            )
        })
        .collect();
    let best = tried.iter().map(|(_, rate)| *rate).fold(0.0, f64::max);
    let actions = tried
        .iter()
        .map(|(row, rate)| (row.action, narrow::single(*rate)))
        .collect();
    // It helped against this class here: the cause was the same as far as anyone could tell.
    Advice::new(
        Advisor::Operator,
        named.cause,
        best,
        actions,
        facts.join("; "),
    )
}

/// What changed on the box before the fault; all that could be read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Changes {
    pub unit_file_changed_at: Option<Timestamp>,
    pub exe_changed_at: Option<Timestamp>,
    pub last_boot: Option<Timestamp>,
    /// Package name and version, and when it was changed.
    pub package_changes: Vec<(String, Timestamp)>,
    /// Commit subject, and when it was made; of the paths that the finding names.
    pub git: Vec<(String, Timestamp)>,
}

/// A change this long before a fault may have brought it about.
pub const SUSPECT: Duration = Duration::from_secs(24 * 3600);
/// A fault this soon after boot is one of starting up: services come before what they need.
const BOOTING: Duration = Duration::from_secs(600);

/// What changed just before. A change to unit, program or package speaks against blind restarting;
/// no change at all speaks for a passing fault, which restarting is for.
pub fn historian(
    finding: &Finding,
    named: &Named,
    candidates: &[Candidate],
    changes: &Changes,
    now: Timestamp,
) -> Advice {
    if candidates.is_empty() {
        return Advice::abstain(Advisor::Historian, "no action is allowed");
    }
    let at = if finding.seen_at.as_millis() > 0 {
        finding.seen_at
    } else {
        now
    };
    let recent = |when: &Timestamp| *when <= at && at.since(*when) <= SUSPECT;
    if named.cause == Cause::PathMoved {
        let to = finding.fact(Key::MovedTo).unwrap_or("a new place");
        return ranked(
            candidates,
            named.cause,
            0.85,
            ActionKind::follows_a_move,
            format!("the path moved to {to}"),
        );
    }
    let mut changed = Vec::new();
    changed.extend(
        changes
            .unit_file_changed_at
            .filter(recent)
            .map(|when| format!("unit file changed {} UTC", when.second())),
    );
    changed.extend(
        changes
            .exe_changed_at
            .filter(recent)
            .map(|when| format!("program changed {} UTC", when.second())),
    );
    for (what, when) in changes
        .package_changes
        .iter()
        .chain(&changes.git)
        .filter(|(_, when)| recent(when))
        .take(3)
    {
        changed.push(format!("{what} {} UTC", when.second()));
    }
    if let Some(when) = changes
        .last_boot
        .filter(|when| *when <= at && at.since(*when) <= BOOTING)
    {
        return ranked(
            candidates,
            named.cause,
            0.7,
            ActionKind::is_start,
            format!(
                "booted {} UTC: what it needs may have come up late",
                when.second()
            ),
        );
    }
    if !changed.is_empty() {
        return Advice::abstain(
            Advisor::Historian,
            &format!("a repair may hide a change: {}", changed.join("; ")),
        );
    }
    let known = changes.unit_file_changed_at.is_some()
        || changes.exe_changed_at.is_some()
        || changes.last_boot.is_some();
    if known && finding.class.row().start_helps && named.cause != Cause::Unknown {
        return ranked(
            candidates,
            named.cause,
            0.6,
            ActionKind::is_start,
            "nothing changed in the last day: it worked as it is".to_owned(),
        );
    }
    Advice::abstain(Advisor::Historian, "no change is on record")
}

fn ranked(
    candidates: &[Candidate],
    cause: Cause,
    confidence: f64,
    liked: impl Fn(ActionKind) -> bool,
    why: String,
) -> Advice {
    let actions: Vec<(ActionKind, f32)> = candidates
        .iter()
        .filter(|one| liked(one.kind))
        .map(|one| (one.kind, narrow::single(confidence)))
        .collect();
    if actions.is_empty() {
        return Advice::abstain(Advisor::Historian, &why);
    }
    Advice::new(Advisor::Historian, cause, confidence, actions, why)
}

/// The cause rules plus what the retrieved snippets speak of.
pub fn analyst(
    _finding: &Finding,
    named: &Named,
    candidates: &[Candidate],
    snippets: &[Snippet],
) -> Advice {
    if named.cause == Cause::Unknown && snippets.is_empty() {
        return Advice::abstain(Advisor::Analyst, "no rule fired and nothing was found");
    }
    let mut evidence = named.why.clone();
    let mut actions = Vec::new();
    for candidate in candidates {
        let base: f32 = if candidate.certain { 0.7 } else { 0.5 };
        let cited = snippets.iter().find(|snippet| {
            let text = snippet.text.to_ascii_lowercase();
            candidate.kind.is_advised_by(&text)
        });
        if let Some(snippet) = cited {
            evidence.push_str(&format!(
                "; {} tells of {}",
                snippet.citation(),
                candidate.kind
            ));
        }
        actions.push((
            candidate.kind,
            if cited.is_some() { base + 0.15 } else { base },
        ));
    }
    let confidence = if named.cause == Cause::Unknown {
        0.2
    } else {
        named.confidence
    };
    Advice::new(Advisor::Analyst, named.cause, confidence, actions, evidence)
}

#[cfg(test)]
#[path = "advisors_tests.rs"]
mod tests;
