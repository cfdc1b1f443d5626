//! What a human allowed: one action on one target, until it expires.

use crate::core::model::proposal::Proposal;
use crate::core::model::task::Task;
use crate::core::model::time::Timestamp;

/// What a human said about an action.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Leave {
    /// Allowed: this very action on this very target, and the leave has not expired.
    Given,
    /// Something else was allowed: what it was, and what it is now.
    OfAnother(String),
    None,
}

/// A human allowed something here, and that has not expired.
pub fn has_leave(task: &Task, now: Timestamp) -> bool {
    task.approved_action.is_some() && task.approved_until.is_some_and(|until| until > now)
}

/// Whether what was allowed is this very action.
pub fn leave_for(task: &Task, action: &Proposal, now: Timestamp) -> Leave {
    let (Some(kind), true) = (&task.approved_action, has_leave(task, now)) else {
        return Leave::None;
    };
    if task.approved_digest.as_ref() == Some(&action.digest()) {
        return Leave::Given;
    }
    // Only what stands is ever approved; an approval of before schema 6 names no target at all.
    let approved = task.proposal.as_ref();
    let approved = approved.filter(|one| task.approved_digest == Some(one.digest()));
    let changed = approved.and_then(|one| one.changed_to(action));
    Leave::OfAnother(changed.unwrap_or_else(|| {
        format!(
            "the approval of {kind} does not say of which target, it is now {}",
            action.brief()
        )
    }))
}
