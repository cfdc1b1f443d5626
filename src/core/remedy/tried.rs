//! What was tried in an episode.

use crate::core::model::action::ActionKind;
use crate::core::model::task::Phase;
use crate::core::model::time::Timestamp;

/// One attempt of this episode that is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tried {
    pub phase: Phase,
    pub kind: ActionKind,
    /// False when a gate or precondition stopped it before anything was touched.
    pub acted: bool,
    /// All gates were open for it: if it was refused then, the host had become another one since the decision.
    pub booked: bool,
    /// When it began.
    pub at: Timestamp,
}

/// Starts are one thing, however they are made; anything else is only like itself.
pub fn alike(one: ActionKind, other: ActionKind) -> bool {
    one == other || (one.is_start() && other.is_start())
}

/// Attempts of the round that are like `kind` and touched something, the oldest first.
pub(super) fn made(tried: &[Tried], kind: ActionKind) -> impl Iterator<Item = &Tried> {
    tried
        .iter()
        .filter(move |one| one.acted && alike(one.kind, kind))
}
