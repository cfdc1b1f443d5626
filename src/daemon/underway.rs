//! An attempt between its booking and its end.

use crate::actions::Undo;
use crate::core::model::class::ToldBy;
use crate::core::model::facts::Key;
use crate::core::model::finding::Finding;
use crate::core::model::id::{AttemptId, TaskId};
use crate::core::model::task::Phase;
use crate::core::model::time::Timestamp;
use crate::core::model::unit::UnitName;
use crate::daemon::job::Job;
use crate::services;
use crate::store::{Noted, StoreError};

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
    /// None of what is no unit's: whatever asks it says how long it is given.
    pub unit: Option<UnitName>,
    pub booked: Underway,
    /// What is said of it since it is up was kept.
    pub left: bool,
    pub until: Timestamp,
    pub next: Timestamp,
}

/// Keeps what is still said of the condition after an attempt. Of a unit's own state its manager tells.
pub fn note_left(job: &Job<'_>, id: AttemptId, finding: &Finding) -> Result<(), StoreError> {
    if job.task.class.row().told_by == ToldBy::UnitState {
        return Ok(());
    }
    let store = &job.runtime.store;
    store.note_attempt(id, &[(Noted::Left, finding.message.clone())])
}

/// Keeps, of the first look after an attempt that saw no end, what tells later whose the end was: when our start was, and
/// whether what is asked answers as it did before.
pub fn note_red(job: &Job<'_>, booked: &Underway, finding: &Finding) -> Result<(), StoreError> {
    let mut noted = Vec::new();
    let unit = booked.starts.as_ref();
    let unit = unit.and_then(|unit| services::find(&job.loaded.managers, unit).ok());
    if let Some((_, state)) = unit.filter(|(_, state)| state.inactive_exit_us > 0) {
        noted.push((Noted::Started, state.inactive_exit_us.to_string()));
    }
    let before = job.task.evidence.text(Key::Answered);
    if before.is_some() && before == finding.fact(Key::Answered) {
        noted.push((Noted::Unmoved, finding.message.clone()));
    }
    job.runtime.store.note_attempt(booked.id, &noted)
}
