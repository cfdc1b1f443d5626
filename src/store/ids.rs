//! Ids in rows: a column holds the number alone.

use rusqlite::types::{FromSql, FromSqlResult, ToSql, ToSqlOutput, ValueRef};

use crate::core::model::id::{AttemptId, EscalationId, EventId, IssueNumber, OutboxId, TaskId};

macro_rules! column {
    ($($id:ident),+) => { $(
        impl ToSql for $id {
            fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
                Ok(self.number().into())
            }
        }

        impl FromSql for $id {
            fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
                i64::column_result(value).map(Self::from_number)
            }
        }
    )+ };
}

column!(
    AttemptId,
    EscalationId,
    EventId,
    IssueNumber,
    OutboxId,
    TaskId
);
