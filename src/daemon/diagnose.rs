//! Diagnosis: cause rules, runbooks, the bundle and the three advisors, put together for one task.

use std::time::Duration;

use crate::bundle::Authority;
use crate::core::config::Config;
use crate::core::diagnosis::advisors::{self, Advice, Changes};
use crate::core::diagnosis::consensus;
use crate::core::diagnosis::knowledge;
use crate::core::diagnosis::learning::{self, LearnedRow};
use crate::core::diagnosis::naming::{self, Named};
use crate::core::human::next_steps::next_steps;
use crate::core::model::candidate::Candidate;
use crate::core::model::cause::Cause;
use crate::core::model::class::{Class, ToldBy};
use crate::core::model::facts::{Fact, Key, MovedHow};
use crate::core::model::finding::Finding;
use crate::core::model::snippet::Snippet;
use crate::core::model::task::Task;
use crate::core::model::time::Timestamp;
use crate::core::remedy::lack;
use crate::core::remedy::phases::{Offer, Offers};
use crate::core::remedy::runbook;
use crate::daemon::changes;
use crate::daemon::llm;
use crate::daemon::loaded_config::LoadedConfig;
use crate::daemon::runtime::Runtime;
use crate::detectors::last_run;
use crate::host::{Host, mounts};
use crate::store::{Reader, StoreError};

/// Most snippets cited in an issue.
pub(super) const CITED: usize = 3;

/// Cause, offers per phase, and where each came from.
#[derive(Clone, Debug)]
pub struct Diagnosis {
    pub cause: Cause,
    /// 0..=1.
    pub confidence: f64,
    /// The rule that named the cause.
    pub why: String,
    pub offers: Offers,
    pub snippets: Vec<Snippet>,
    pub advice: Vec<Advice>,
    /// Commands for a human.
    pub next_steps: Vec<String>,
}

/// What rules, runbooks, bundle and the three advisors make of a finding.
#[derive(Clone, Debug)]
pub(super) struct Reasoned {
    pub named: Named,
    pub candidates: Vec<Candidate>,
    /// Commands for a human.
    pub next_steps: Vec<String>,
    pub snippets: Vec<Snippet>,
    pub advice: Vec<Advice>,
    pub learned: Vec<LearnedRow>,
    /// Unit or program changed since something was learned of it: that no longer counts.
    pub outdated: bool,
}

/// Reasons about `finding` of `task`: the same for a worker that will act and for `explain`.
pub(super) fn reason(
    host: &Host,
    loaded: &LoadedConfig,
    reader: &Reader,
    task: &Task,
    finding: &Finding,
) -> Result<Reasoned, StoreError> {
    let named = unless_it_came(host, naming::name_cause(finding, &loaded.causes));
    let told = with_room(host, &named, named.told(finding));
    let candidates = runbook::select(&loaded.runbooks, &told, named.cause);
    let (notes, suggested) = runbook::for_human(&loaded.runbooks, &told, named.cause);
    let mut snippets = loaded
        .bundle
        .as_ref()
        .map_or_else(Vec::new, |bundle| bundle.query_finding(finding, CITED));
    let mut learned = Vec::new();
    for candidate in &candidates {
        let row = reader.learned(task.class, &task.subject, candidate.kind.as_str())?;
        learned.push(LearnedRow {
            action: candidate.kind,
            wins: row.wins,
            losses: row.losses,
            last: row.last,
        });
    }
    let now = host.clock.now();
    let changes = changes::changes(host, finding, &snippets);
    let kept = learned.len();
    learned.retain(|row| !is_outdated(row, &changes));
    let outdated = learned.len() < kept;
    let advice = vec![
        advisors::operator(finding, &named, &candidates, &learned, now),
        advisors::historian(finding, &named, &candidates, &changes, now),
        advisors::analyst(finding, &named, &candidates, &snippets),
    ];
    // A box without a bundle is served too; what ships with the program says nothing about this host and
    // adds nothing to a vote.
    if snippets.is_empty() {
        snippets.extend(knowledge::about(named.cause));
    }
    Ok(Reasoned {
        next_steps: next_steps(named.cause, &told, notes, suggested),
        named,
        candidates,
        snippets,
        advice,
        learned,
        outdated,
    })
}

/// Where its folder had no space when the unit ended there may be room now: how much. Of a file that it names by no
/// absolute path the root file system answers; another one that is full is a condition of its own, for which it waits.
fn with_room(host: &Host, named: &Named, finding: Finding) -> Finding {
    let is_full = matches!(named.cause, Cause::DiskFull | Cause::InodeFull);
    let of_unit = finding.class.row().told_by == ToldBy::UnitState;
    if !is_full || !of_unit {
        return finding;
    }
    let folder = named.path.as_deref().and_then(lack::folder);
    let room = mounts::room(host, folder.as_deref().unwrap_or("/"));
    let room = room.ok().flatten();
    finding.with(room.map(Fact::AvailableBytes))
}

/// A device file that was not there when the unit ended, and is now: nothing is missing any more.
fn unless_it_came(host: &Host, named: Named) -> Named {
    let device = named.path.as_deref().filter(|path| {
        let absent = named.cause == Cause::DeviceMissing && named.is_absent;
        absent && path.starts_with("/dev/") && host.path(path).exists()
    });
    let Some(device) = device else {
        return named;
    };
    Named {
        cause: Cause::ProcessExited,
        why: format!("{device} is there now; {}", named.why),
        ..named
    }
}

/// A unit or program that is another one now has to prove its repairs again.
fn is_outdated(row: &LearnedRow, changes: &Changes) -> bool {
    let changed = changes.unit_file_changed_at.max(changes.exe_changed_at);
    row.last
        .zip(changed)
        .is_some_and(|(last, changed)| last < changed)
}

/// Names the cause of `finding` and ranks what could be done about it.
pub fn diagnose(
    runtime: &Runtime,
    loaded: &LoadedConfig,
    task: &Task,
    finding: &Finding,
) -> Result<Diagnosis, StoreError> {
    let reader = runtime.store.reader()?;
    let Reasoned {
        named,
        candidates,
        next_steps,
        snippets,
        mut advice,
        learned,
        outdated,
    } = reason(&runtime.host, loaded, &reader, task, finding)?;
    #[cfg(test)]
    if let Ok(left_out) = runtime.left_out.lock() {
        advice.retain(|one| !left_out.contains(&one.advisor));
    }
    let now = runtime.host.clock.now();
    if outdated {
        runtime.store.forget_learned(
            Some((task.class.as_str(), Some(&task.subject))),
            "daemon",
            "unit or program changed since",
            now,
        )?;
    }
    let model = llm::advise(
        runtime,
        loaded,
        task,
        finding,
        &named,
        &candidates,
        &snippets,
    )?;
    advice.extend(model);
    let mut offers = offers(&loaded.config, &candidates, &advice, &learned, now);
    offers.cause = Some(named.cause);
    Ok(Diagnosis {
        next_steps,
        cause: named.cause,
        confidence: named.confidence,
        why: named.why,
        offers,
        snippets,
        advice,
    })
}

/// A kernel kill this near to the failure of the same unit is what ended it.
const OOM_NEAR: Duration = Duration::from_secs(120);

/// Adds what else is known on this host: where a path moved to, that memory ran out for the unit, whether what it lacked
/// has come since.
pub(super) fn enrich(
    host: &Host,
    loaded: &LoadedConfig,
    finding: Finding,
    task: &Task,
    open: &[Task],
) -> Finding {
    let mut finding =
        last_run::with_needs_now(&loaded.managers, with_oom_kill(finding, task, open));
    // A file system that really is read-only needs no setting to explain it.
    if open.iter().any(|other| other.class == Class::ReadonlyFs) {
        finding.evidence.forget(Key::Sandbox);
    }
    with_company(with_moved_path(host, loaded, finding), task, open)
}

/// Most that is named.
const COMPANY_MOST: usize = 8;
/// What breaks within this time of a probe's failure may be what it hangs on.
const TOGETHER: Duration = Duration::from_secs(10);

/// Names what else broke when a probe failed: for a human, who may say by `depends_on` that it hangs on it.
fn with_company(finding: Finding, task: &Task, open: &[Task]) -> Finding {
    if task.class != Class::ProbeFailed {
        return finding;
    }
    let (from, to) = (
        task.detected_at.minus(TOGETHER),
        task.detected_at.plus(TOGETHER),
    );
    let others: Vec<String> = open
        .iter()
        .filter(|other| other.id != task.id && (from..=to).contains(&other.detected_at))
        .take(COMPANY_MOST)
        .map(|other| format!("{} {}", other.class, other.subject))
        .collect();
    finding.with(Fact::FailedWith(&others.join(", ")))
}

/// The kernel says which process it killed for want of memory; the service manager may only say "killed".
fn with_oom_kill(finding: Finding, task: &Task, open: &[Task]) -> Finding {
    let unit = finding.unit();
    let told = open.iter().find(|other| {
        other.class == Class::OomKill
            && other.id != task.id
            && other.evidence.text(Key::Unit) == Some(unit)
            && other.last_seen_at.plus(OOM_NEAR) >= task.detected_at
    });
    let Some(told) = told else {
        return finding;
    };
    let log = format!("{}\n{}", told.message, finding.fact(Key::Log).unwrap_or(""));
    finding.with(Fact::Log(&log))
}

/// Adds what the bundle knows of a path that moved, if the file system did not tell and the new place
/// exists: the bundle says where to look, the host decides.
fn with_moved_path(host: &Host, loaded: &LoadedConfig, finding: Finding) -> Finding {
    if finding.fact(Key::MovedTo).is_some() {
        return finding;
    }
    let told = finding
        .fact(Key::Path)
        .zip(loaded.bundle.as_ref())
        .and_then(|(old, bundle)| bundle.moved_to(old));
    match told {
        Some(moved) if host.path(&moved.to).exists() => finding.with(Fact::Moved {
            to: &moved.to,
            how: match moved.by {
                Authority::Map => MovedHow::Map(&moved.citation),
                Authority::Git => MovedHow::Record(&moved.citation),
                Authority::Document => MovedHow::Bundle(&moved.citation),
            },
        }),
        _ => finding,
    }
}

/// The offers of each phase.
pub(super) fn offers(
    settings: &Config,
    candidates: &[Candidate],
    advice: &[Advice],
    learned: &[LearnedRow],
    now: Timestamp,
) -> Offers {
    let command = |kind| {
        let candidate = candidates.iter().find(|one| one.kind == kind)?;
        candidate.command.clone()
    };
    let from_runbook = |(candidate, rate): (&Candidate, Option<f64>)| Offer {
        kind: candidate.kind,
        command: candidate.command.clone(),
        why: match rate {
            Some(rate) => format!(
                "runbook {}; proven rate here {rate:.2}",
                candidate.runbook_id
            ),
            None => format!("runbook {}", candidate.runbook_id),
        },
        confidence: if candidate.certain { 0.9 } else { 0.5 },
    };
    let consensus = consensus::decide(advice);
    let allowed = |kind| candidates.iter().any(|candidate| candidate.kind == kind);
    // A model's choice comes first in research; after it what the analyst ranks; what happened here counts for more.
    let researchers = [advisors::Advisor::Model, advisors::Advisor::Analyst];
    let ranked = researchers
        .iter()
        .flat_map(|who| advice.iter().filter(move |one| one.advisor == *who));
    let researched: Vec<Offer> = ranked
        .flat_map(|one| {
            one.actions
                .iter()
                .map(move |(kind, weight)| (one, *kind, *weight))
        })
        // An advisor ranks; only a runbook allows.
        .filter(|(_, kind, _)| allowed(*kind))
        .map(|(one, kind, weight)| Offer {
            kind,
            command: command(kind),
            why: format!("{}: {}", one.advisor.as_str(), one.evidence),
            confidence: f64::from(weight),
        })
        .collect();
    Offers {
        cause: None,
        certain: learning::ranked(
            candidates,
            learned,
            |one| settings.risk_of(one.kind, one.command.as_deref()),
            now,
        )
        .into_iter()
        .map(from_runbook)
        .collect(),
        researched: by_experience(settings, &researched, learned, now),
        agreed: consensus
            .agreed
            // However many agree, what only a document tells does not become surer by it.
            .filter(|agreed| {
                let of_kind = |candidate: &&Candidate| candidate.kind == agreed.action;
                candidates.iter().find(of_kind).is_some_and(|one| !one.told)
            })
            .map(|agreed| Offer {
                kind: agreed.action,
                command: command(agreed.action),
                why: agreed.why,
                confidence: agreed.confidence,
            }),
    }
}

/// Offers in the order of what worked here: equals keep the place that an advisor gave them.
fn by_experience(
    settings: &Config,
    offers: &[Offer],
    learned: &[LearnedRow],
    now: Timestamp,
) -> Vec<Offer> {
    let standing = |one: &Offer| {
        let risk = settings.risk_of(one.kind, one.command.as_deref());
        (risk, learning::worth(one.kind, learned, now))
    };
    let all: Vec<_> = offers.iter().map(standing).collect();
    let order = learning::order(&all);
    let placed = order.iter().filter_map(|at| offers.get(*at).cloned());
    placed.collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing)]
    use super::*;
    use crate::core::model::action::ActionKind;
    use crate::host::clock::Clock;

    #[test]
    fn no_vote_makes_certain_what_only_a_document_tells() {
        use crate::core::diagnosis::advisors::Advisor;
        let kind = ActionKind::PathDropIn;
        let advice =
            [Advisor::Operator, Advisor::Historian, Advisor::Analyst].map(|advisor| Advice {
                advisor,
                cause: Cause::PathMoved,
                confidence: 1.0,
                actions: vec![(kind, 1.0)],
                evidence: String::new(),
            });
        let agreed = |told| {
            let candidate = Candidate {
                kind,
                command: None,
                runbook_id: "r".to_owned(),
                step: 1,
                certain: true,
                told,
            };
            let now = Timestamp::from_millis(0);
            offers(&Config::default(), &[candidate], &advice, &[], now)
                .agreed
                .is_some()
        };
        assert!(agreed(false) && !agreed(true));
    }

    #[test]
    fn what_worked_here_comes_before_what_an_advisor_thinks() {
        use crate::core::diagnosis::advisors::Advisor;
        let kinds = [ActionKind::RestartUnit, ActionKind::ResetFailedStart];
        let candidates = kinds.map(|kind| Candidate {
            kind,
            command: None,
            runbook_id: "r".to_owned(),
            step: 1,
            certain: false,
            told: false,
        });
        let says = |advisor, kinds: &[ActionKind]| Advice {
            advisor,
            cause: Cause::ProcessExited,
            confidence: 0.8,
            actions: kinds.iter().map(|kind| (*kind, 0.5)).collect(),
            evidence: String::new(),
        };
        let advice = [
            says(Advisor::Analyst, &kinds),
            says(Advisor::Model, &kinds[..1]),
        ];
        let now = Timestamp::from_millis(0);
        let first = |wins, losses| {
            let row = LearnedRow {
                action: kinds[0],
                wins,
                losses,
                last: Some(now),
            };
            let offers = offers(&Config::default(), &candidates, &advice, &[row], now);
            offers.researched.first().unwrap().kind
        };
        assert_eq!(first(0, 0), kinds[0]);
        assert_eq!(first(1, 0), kinds[0]);
        assert_eq!(first(0, 1), kinds[1]);
    }

    #[test]
    fn a_device_that_came_back_is_missing_no_more_and_one_that_does_not_answer_is() {
        let root = tempfile::tempdir().unwrap();
        let host = Host::at(root.path(), Clock::manual(Timestamp::from_millis(0)));
        let named = |line: &str| Named {
            cause: Cause::DeviceMissing,
            confidence: 0.9,
            why: line.to_owned(),
            path: Some("/dev/pps1".to_owned()),
            is_absent: line.contains("No such file"),
            line: None,
        };
        let absent = "Could not open /dev/pps1 : No such file or directory";
        let cause = |line| unless_it_came(&host, named(line)).cause;
        assert_eq!(cause(absent), Cause::DeviceMissing);
        std::fs::create_dir(root.path().join("dev")).unwrap();
        std::fs::write(root.path().join("dev/pps1"), "").unwrap();
        assert_eq!(cause(absent), Cause::ProcessExited);
        assert_eq!(cause("/dev/pps1: No such device"), Cause::DeviceMissing);
    }
}
