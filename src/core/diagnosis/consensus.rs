//! Phase 3: two of three advisors must agree on the cause and on the action.

use crate::core::diagnosis::advisors::{Advice, Advisor};
use crate::core::model::action::ActionKind;
use crate::core::model::cause::Cause;

/// What two advisors agree on.
#[derive(Clone, Debug, PartialEq)]
pub struct Agreed {
    pub action: ActionKind,
    pub cause: Cause,
    /// 0..=1: the lesser of the two, so that one sure advisor does not carry an unsure one.
    pub confidence: f64,
    pub why: String,
}

/// The outcome of a vote.
#[derive(Clone, Debug, PartialEq)]
pub struct Consensus {
    pub agreed: Option<Agreed>,
    /// In one line; with no agreement it says why there is none.
    pub reason: String,
}

/// Votes needed.
const QUORUM: usize = 2;
/// Votes of a language model that count.
const MODEL_VOTES: usize = 1;
const _: () = assert!(MODEL_VOTES < QUORUM);

/// Counts the votes: every advisor votes with its best action. An abstaining one is silence: it neither
/// agrees nor objects, but two voices are needed all the same.
pub fn decide(advice: &[Advice]) -> Consensus {
    let mut models = 0;
    let votes: Vec<(&Advice, ActionKind)> = advice
        .iter()
        // However many personas it plays, a model has one voice: a deterministic advisor must agree with it.
        .filter(|one| {
            models += usize::from(one.advisor == Advisor::Model);
            one.advisor != Advisor::Model || models <= MODEL_VOTES
        })
        .filter(|one| !one.abstains() && one.cause != Cause::Unknown)
        .filter_map(|one| one.actions.first().map(|(kind, _)| (one, *kind)))
        .collect();
    let agreed = votes.iter().find_map(|(first, kind)| {
        let with: Vec<&Advice> = votes
            .iter()
            .filter(|(one, other)| other == kind && one.cause == first.cause)
            .map(|(one, _)| *one)
            .collect();
        (with.len() >= QUORUM).then(|| agreement(*kind, first.cause, &with, advice.len()))
    });
    let reason = reason(advice, &votes, agreed.is_some());
    Consensus { agreed, reason }
}

/// What a human reads of it: who would do what, and what stands against it.
fn reason(advice: &[Advice], votes: &[(&Advice, ActionKind)], agreed: bool) -> String {
    let named: Vec<String> = votes
        .iter()
        .map(|(one, kind)| format!("{}: {kind} against {}", one.advisor, one.cause))
        .collect();
    let named = named.join("; ");
    // What the analyst has to say is the cause, and stands beside this.
    let silent = |one: &&Advice| one.abstains() && one.advisor != Advisor::Analyst;
    let against: Vec<&str> = advice
        .iter()
        .filter(silent)
        .map(|one| one.evidence.as_str())
        .collect();
    let against = against.join("; ");
    match (agreed, votes.len()) {
        (true, _) => format!("agreed ({named})"),
        (false, 0) => format!("no further action is known: {against}"),
        (false, 1) => {
            format!("two advisors must agree, and one alone names an action ({named}): {against}")
        }
        (false, _) => format!("the advisors disagree ({named})"),
    }
}

fn agreement(action: ActionKind, cause: Cause, with: &[&Advice], of: usize) -> Agreed {
    let names: Vec<&str> = with.iter().map(|one| one.advisor.as_str()).collect();
    let why: Vec<&str> = with.iter().map(|one| one.evidence.as_str()).collect();
    Agreed {
        action,
        cause,
        confidence: with.iter().map(|one| one.confidence).fold(1.0, f64::min),
        why: format!(
            "{} of {of} agree ({}): {}",
            with.len(),
            names.join(", "),
            why.join("; ")
        ),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn vote(advisor: Advisor, cause: Cause, kind: Option<ActionKind>, confidence: f64) -> Advice {
        Advice {
            advisor,
            cause,
            confidence,
            actions: kind.map(|kind| (kind, 0.5)).into_iter().collect(),
            evidence: "e".to_owned(),
        }
    }

    const RESET: Option<ActionKind> = Some(ActionKind::ResetFailedStart);

    #[test]
    fn two_of_three_on_cause_and_action() {
        let got = decide(&[
            vote(Advisor::Operator, Cause::ProcessKilled, RESET, 0.9),
            vote(Advisor::Historian, Cause::Unknown, None, 0.0),
            vote(Advisor::Analyst, Cause::ProcessKilled, RESET, 0.6),
        ]);
        let agreed = got.agreed.unwrap();
        assert_eq!(
            (agreed.action, agreed.cause, agreed.confidence),
            (ActionKind::ResetFailedStart, Cause::ProcessKilled, 0.6)
        );
        assert!(agreed.why.starts_with("2 of 3 agree (operator, analyst)"));
    }

    #[test]
    fn a_model_alone_decides_nothing_however_often_it_speaks() {
        let model = vote(Advisor::Model, Cause::ProcessKilled, RESET, 1.0);
        assert_eq!(
            decide(&[model.clone(), model.clone(), model.clone()]).agreed,
            None
        );
        let analyst = vote(Advisor::Analyst, Cause::ProcessKilled, RESET, 0.6);
        assert!(decide(&[model, analyst]).agreed.is_some());
    }

    #[test]
    fn one_voice_or_two_opinions_decide_nothing() {
        let alone = decide(&[
            vote(Advisor::Analyst, Cause::ProcessKilled, RESET, 1.0),
            vote(Advisor::Operator, Cause::Unknown, None, 0.0),
        ]);
        assert_eq!(alone.agreed, None);
        assert_eq!(
            alone.reason,
            "two advisors must agree, and one alone names an action \
             (analyst: reset_failed_start against process_killed): e"
        );
        for (cause, kind) in [
            (Cause::OutOfMemory, RESET),
            (Cause::ProcessKilled, Some(ActionKind::StartUnit)),
        ] {
            let split = decide(&[
                vote(Advisor::Analyst, Cause::ProcessKilled, RESET, 1.0),
                vote(Advisor::Operator, cause, kind, 1.0),
            ]);
            assert_eq!(split.agreed, None);
            assert!(split.reason.starts_with("the advisors disagree"));
        }
        let unknown = decide(&[
            vote(Advisor::Analyst, Cause::Unknown, RESET, 1.0),
            vote(Advisor::Operator, Cause::Unknown, RESET, 1.0),
        ]);
        assert_eq!(unknown.agreed, None);
        assert_eq!(decide(&[]).agreed, None);
        let nothing = decide(&[
            vote(Advisor::Analyst, Cause::DeviceMissing, None, 0.9),
            vote(Advisor::Operator, Cause::Unknown, None, 0.0),
        ]);
        assert_eq!(nothing.reason, "no further action is known: e");
    }
}
