//! What a collector of metrics asks the store: grouped counts, and the tasks of a span.

use crate::core::human::stats::StatsRow;
use crate::core::model::time::Timestamp;
use crate::store::error::StoreError;
use crate::store::read::Reader;
use crate::store::rows::{TASK_COLUMNS, parsed, task_row, time};

/// Tasks that the figures of a span are computed from, the newest.
const SETTLED_MAX: u32 = 1_000;

impl Reader {
    /// Open tasks by class, severity and status.
    pub fn open_groups(&self) -> Result<Vec<([String; 3], u64)>, StoreError> {
        self.list(
            "SELECT issue_type, severity, status, count(*) FROM tasks INDEXED BY tasks_open
             WHERE status <> 'closed' GROUP BY 1, 2, 3 ORDER BY 1, 2, 3",
            &[],
            |row| Ok(([row.get(0)?, row.get(1)?, row.get(2)?], row.get(3)?)),
        )
    }

    /// Since when the oldest delivery waits, for each destination with one.
    pub fn waiting_since(&self) -> Result<Vec<(String, Timestamp)>, StoreError> {
        self.list(
            "SELECT destination, min(created_at) FROM outbox
             WHERE state IN ('pending', 'sending', 'unknown') GROUP BY 1 ORDER BY 1",
            &[],
            |row| Ok((row.get(0)?, time(row, 1)?)),
        )
    }

    /// Attempts that began after `since` by how they ended; those under way are left out.
    pub fn attempts_since(&self, since: Timestamp) -> Result<Vec<(String, u64)>, StoreError> {
        self.list(
            "SELECT outcome, count(*) FROM attempts WHERE started_at > ?1 AND outcome <> 'acted' GROUP BY 1",
            &[&since.to_string()],
            |row| Ok((row.get(0)?, row.get(1)?)),
        )
    }

    /// What counts of the tasks that were closed or put before a human after `since`; of the newest 1,000.
    pub fn settled_since(&self, since: Timestamp) -> Result<Vec<StatsRow>, StoreError> {
        let sql = format!(
            "SELECT {TASK_COLUMNS}, (SELECT min(created_at) FROM escalations WHERE task_id = tasks.id) AS told_at,
                 EXISTS (SELECT 1 FROM attempts WHERE task_id = tasks.id AND outcome IS NOT 'refused') AS attempted,
                 EXISTS (SELECT 1 FROM attempts WHERE task_id = tasks.id AND outcome = 'undone') AS undone
             FROM tasks WHERE id IN
                 (SELECT id FROM tasks WHERE status = 'closed' AND closed_at > ?1
                  UNION SELECT task_id FROM escalations WHERE created_at > ?1 ORDER BY 1 DESC LIMIT {SETTLED_MAX})"
        );
        self.list(&sql, &[&since.to_string()], |row| {
            let task = task_row(row)?;
            let told_at = parsed(row.get("told_at")?);
            Ok(StatsRow::new(
                &task,
                told_at,
                row.get("attempted")?,
                row.get("undone")?,
            ))
        })
    }

    /// Bytes of the database file, without what waits beside it in the WAL.
    pub fn size(&self) -> Result<u64, StoreError> {
        let sql = "SELECT page_count * page_size FROM pragma_page_count(), pragma_page_size()";
        self.with(|connection| Ok(connection.query_row(sql, [], |row| row.get(0))?))
    }
}
