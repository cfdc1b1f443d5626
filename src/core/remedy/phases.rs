//! The 4-phase graduated intelligence: which action is due next for a task, and why.

use crate::core::model::action::ActionKind;
use crate::core::model::cause::Cause;
use crate::core::model::task::Phase;
use crate::core::remedy::step::Reason;
use crate::core::remedy::tried::{Tried, made};

/// One action that could be taken, best first within its list.
#[derive(Clone, Debug, PartialEq)]
pub struct Offer {
    pub kind: ActionKind,
    /// Name of the operator's command, for `run_declared`.
    pub command: Option<String>,
    /// Who offers it and on what grounds; reaches the audit.
    pub why: String,
    /// 0..=1.
    pub confidence: f64,
}

/// What is on the table for a task.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Offers {
    /// Against what.
    pub cause: Option<Cause>,
    /// Phase 1: the runbook's certain actions, or learned ones above the threshold.
    pub certain: Vec<Offer>,
    /// Phase 2: what the analyst ranks, with the bundle; what worked here first.
    pub researched: Vec<Offer>,
    /// Phase 3: the action that two of three advisors agree on.
    pub agreed: Option<Offer>,
}

/// The next step for a task.
#[derive(Clone, Debug, PartialEq)]
pub enum Plan {
    /// Somebody offers an action with attempts left.
    Act {
        /// The one that offers it: not before the phase asked from.
        phase: Phase,
        /// What would be done; no gate has been asked yet.
        offer: Offer,
    },
    /// No phase has anything left.
    Escalate {
        /// Whether nothing was offered, nothing agreed on, or nothing helped.
        reason: Reason,
    },
}

/// Anything but a start that failed, or found another host than was decided on, this often in one round is not tried again in it.
const FAILURES_MOST: usize = 2;

/// Walks the phases from `phase` on and returns the first step that is due. A start may be tried in each phase that
/// offers it and, once no phase has anything else, again up to `starts_most` times: what ended the unit may be over.
pub fn plan(phase: Phase, offers: &Offers, tried: &[Tried], starts_most: usize) -> Plan {
    let mut at = phase;
    loop {
        let Some(offered) = offered_in(offers, at) else {
            return match again(offers, tried, starts_most) {
                Some((phase, offer)) => Plan::Act {
                    phase,
                    offer: offer.clone(),
                },
                None => Plan::Escalate {
                    reason: why_escalate(offers, tried),
                },
            };
        };
        if let Some(offer) = due(at, offered, tried, starts_most) {
            return Plan::Act {
                phase: at,
                offer: offer.clone(),
            };
        }
        at = at.next();
    }
}

/// What a phase offers; `None` for the last one, which offers nothing.
fn offered_in(offers: &Offers, phase: Phase) -> Option<&[Offer]> {
    match phase {
        Phase::QuickFix => Some(&offers.certain),
        Phase::Research => Some(&offers.researched),
        Phase::Consensus => Some(offers.agreed.as_slice()),
        Phase::Escalation => None,
    }
}

/// What was refused is not offered again in its round; where the host had become another one it is decided anew.
fn refused(tried: &[Tried], kind: ActionKind) -> bool {
    let refused = tried.iter().filter(|one| one.kind == kind && !one.acted);
    refused.clone().any(|one| !one.booked) || refused.count() >= FAILURES_MOST
}

/// The best offer of `phase` with attempts left: untried ones first, then a second try.
fn due<'a>(
    phase: Phase,
    offered: &'a [Offer],
    tried: &[Tried],
    starts_most: usize,
) -> Option<&'a Offer> {
    let in_phase = tried.iter().filter(|t| t.phase == phase && t.acted).count();
    if in_phase >= phase.max_attempts() as usize {
        return None;
    }
    let failures = |kind| made(tried, kind).count();
    let most = |kind: ActionKind| match kind.is_start() {
        true => starts_most,
        false => FAILURES_MOST,
    };
    offered
        .iter()
        .filter(|offer| !refused(tried, offer.kind) && failures(offer.kind) < most(offer.kind))
        .min_by_key(|offer| failures(offer.kind))
}

/// The first start that was offered and tried, with room left, and the phase that offers it.
fn again<'a>(
    offers: &'a Offers,
    tried: &[Tried],
    starts_most: usize,
) -> Option<(Phase, &'a Offer)> {
    [Phase::QuickFix, Phase::Research, Phase::Consensus]
        .into_iter()
        .flat_map(|phase| {
            let offered = offered_in(offers, phase).unwrap_or_default();
            offered.iter().map(move |offer| (phase, offer))
        })
        .find(|(_, offer)| {
            let made = made(tried, offer.kind).count();
            offer.kind.is_start() && !refused(tried, offer.kind) && (1..starts_most).contains(&made)
        })
}

fn why_escalate(offers: &Offers, tried: &[Tried]) -> Reason {
    let attempts = tried.iter().filter(|t| t.acted).count();
    let nothing = offers.certain.is_empty() && offers.researched.is_empty();
    match (attempts, nothing) {
        (0, true) => Reason::NothingSafe,
        (0, false) => Reason::NoneTaken,
        _ => Reason::NotHeld { attempts },
    }
}
