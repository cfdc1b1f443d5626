//! The 4-phase graduated intelligence: which action is due next for a task, and why.

use crate::core::model::action::ActionKind;
use crate::core::model::task::Phase;
use crate::core::remedy::step::Reason;

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
    /// Phase 1: the runbook's certain actions, or learned ones above the threshold.
    pub certain: Vec<Offer>,
    /// Phase 2: what the analyst ranks, with the bundle.
    pub researched: Vec<Offer>,
    /// Phase 3: the action that two of three advisors agree on, or why there is none.
    pub agreed: Option<Offer>,
    pub disagreement: String,
}

/// One attempt of this episode that is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tried {
    pub phase: Phase,
    pub kind: ActionKind,
    /// False when a gate or precondition stopped it before anything was touched.
    pub acted: bool,
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

/// A start may be tried in every phase that offers it (what killed the unit may come again; the budgets
/// cut it); anything else that failed this often in one episode is not tried again in it.
const fn failures_most(kind: ActionKind) -> usize {
    match kind.is_start() {
        true => (Phase::QuickFix.max_attempts() + Phase::Research.max_attempts()) as usize,
        false => 2,
    }
}

/// Walks the phases from `phase` on and returns the first step that is due.
pub fn plan(phase: Phase, offers: &Offers, tried: &[Tried]) -> Plan {
    let mut at = phase;
    loop {
        let offered: &[Offer] = match at {
            Phase::QuickFix => &offers.certain,
            Phase::Research => &offers.researched,
            Phase::Consensus => offers.agreed.as_slice(),
            Phase::Escalation => {
                return Plan::Escalate {
                    reason: why_escalate(offers, tried),
                };
            }
        };
        if let Some(offer) = due(at, offered, tried) {
            return Plan::Act {
                phase: at,
                offer: offer.clone(),
            };
        }
        at = at.next();
    }
}

/// The best offer of `phase` with attempts left: untried ones first, then a second try.
fn due<'a>(phase: Phase, offered: &'a [Offer], tried: &[Tried]) -> Option<&'a Offer> {
    let in_phase = tried.iter().filter(|t| t.phase == phase && t.acted).count();
    if in_phase >= phase.max_attempts() as usize {
        return None;
    }
    let failures = |kind| tried.iter().filter(|t| t.kind == kind && t.acted).count();
    let refused = |kind| tried.iter().any(|t| t.kind == kind && !t.acted);
    offered
        .iter()
        .filter(|offer| !refused(offer.kind) && failures(offer.kind) < failures_most(offer.kind))
        .min_by_key(|offer| failures(offer.kind))
}

fn why_escalate(offers: &Offers, tried: &[Tried]) -> Reason {
    let attempts = tried.iter().filter(|t| t.acted).count();
    let nothing = offers.certain.is_empty() && offers.researched.is_empty();
    match (attempts, nothing) {
        (0, true) => Reason::NothingSafe,
        (0, false) => Reason::NoneTaken,
        _ => Reason::NotHeld {
            attempts,
            advisors: offers.disagreement.clone(),
        },
    }
}
