//! An action that is allowed for a finding.

use crate::core::model::action::ActionKind;

/// An action that a runbook allows for a finding.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Candidate {
    pub kind: ActionKind,
    /// Name of the operator's command, for `run_declared`.
    pub command: Option<String>,
    pub runbook_id: String,
    /// Place in the runbook, from 1.
    pub step: usize,
    pub certain: bool,
    /// Never tried at once, however well it has done: only a document tells what it aims at.
    pub told: bool,
}
