//! An attempt between its booking and its end.

use crate::actions::Undo;
use crate::core::model::id::{AttemptId, TaskId};
use crate::core::model::task::Phase;
use crate::core::model::time::Timestamp;
use crate::core::model::unit::UnitName;

/// An attempt that was booked, until its end is written down.
#[derive(Debug)]
pub struct Underway {
    pub id: AttemptId,
    pub phase: Phase,
    /// What is done, in words.
    pub action: String,
    pub undo: Undo,
    /// The unit that it starts.
    pub starts: Option<UnitName>,
    /// When it began.
    pub at: Timestamp,
}

/// A start that is under way.
#[derive(Debug)]
pub struct Awaited {
    pub task: TaskId,
    pub worker: String,
    pub unit: UnitName,
    pub booked: Underway,
    pub until: Timestamp,
    pub next: Timestamp,
}
