//! The Python daemon's operations under their own names, on the same writer and rules.

use rusqlite::{OptionalExtension, params};

use crate::core::model::finding::Finding;
use crate::core::model::id::{IssueNumber, TaskId};
use crate::core::model::task::{Resolution, Transition};
use crate::core::model::time::Timestamp;
use crate::store::error::StoreError;
use crate::store::handle::Store;
use crate::store::history;
use crate::store::sql::Prepared;
use crate::store::types::{Intake, Recorded};

impl Store {
    /// True while a task with this fingerprint is open.
    pub fn task_exists(&self, issue_hash: &str) -> Result<bool, StoreError> {
        self.get_task_status(issue_hash)
            .map(|status| status.is_some_and(|status| status != "closed"))
    }

    /// Status of the newest task with this fingerprint.
    pub fn get_task_status(&self, issue_hash: &str) -> Result<Option<String>, StoreError> {
        self.reader()?.with(|connection| {
            Ok(connection
                .prepare_cached(
                    "SELECT status FROM tasks WHERE issue_hash = ?1 ORDER BY id DESC LIMIT 1",
                )?
                .query_row([issue_hash], |row| row.get(0))
                .optional()?)
        })
    }

    /// Creates the task of a finding, or returns the open one that has its fingerprint.
    pub fn create_task(&self, finding: Finding, now: Timestamp) -> Result<Recorded, StoreError> {
        let recorded = self.intake(
            Intake {
                findings: vec![finding],
                cursor: None,
            },
            now,
        )?;
        recorded.into_iter().next().ok_or(StoreError::Closed)
    }

    /// Notes the issue of a task. [`StoreError::NoTask`] where there is none.
    pub fn update_task_github(
        &self,
        task_id: TaskId,
        issue_number: IssueNumber,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        self.write(move |tx| {
            let changed = tx.run(
                "UPDATE tasks SET github_issue_number = ?2, github_created_at = ?3 WHERE id = ?1",
                params![task_id, issue_number, now.to_string()],
            )?;
            if changed == 0 {
                return Err(StoreError::NoTask(task_id));
            }
            history::append(
                tx,
                Some(task_id),
                "github",
                &format!("#{issue_number}"),
                "seed",
                "",
                now,
            )
        })
    }

    /// Notes what came of a repair; the status stays. [`StoreError::NoTask`] where there is none.
    pub fn update_task_fix_attempt(
        &self,
        task_id: TaskId,
        successful: bool,
        message: &str,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let message = message.to_owned();
        self.write(move |tx| {
            let changed = tx.run(
                "UPDATE tasks SET fix_attempted = 1, fix_successful = ?2, fix_message = ?3 WHERE id = ?1",
                params![task_id, successful, message],
            )?;
            if changed == 0 {
                return Err(StoreError::NoTask(task_id));
            }
            let details = if successful { "successful" } else { "not successful" };
            history::append(tx, Some(task_id), "fix_attempt", details, "seed", &message, now)
        })
    }

    /// Closes an open task; [`StoreError::WrongState`] where it is closed already.
    pub fn close_task(
        &self,
        task_id: TaskId,
        resolution: Resolution,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let close = Transition::Close {
            resolution,
            message: String::new(),
        };
        self.transition(task_id, close, "seed", now)
    }
}
