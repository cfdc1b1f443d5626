//! Statements that stay prepared: parsing costs as much as running most of them.

use rusqlite::{Connection, Params, Row};

/// As the method of the same purpose on a connection, but prepared once.
pub(super) trait Prepared {
    /// As `execute`: the number of rows changed.
    fn run(&self, sql: &str, values: impl Params) -> rusqlite::Result<usize>;
    /// As `query_row`.
    fn row<T>(
        &self,
        sql: &str,
        values: impl Params,
        read: impl FnOnce(&Row<'_>) -> rusqlite::Result<T>,
    ) -> rusqlite::Result<T>;
}

impl Prepared for Connection {
    fn run(&self, sql: &str, values: impl Params) -> rusqlite::Result<usize> {
        self.prepare_cached(sql)?.execute(values)
    }

    fn row<T>(
        &self,
        sql: &str,
        values: impl Params,
        read: impl FnOnce(&Row<'_>) -> rusqlite::Result<T>,
    ) -> rusqlite::Result<T> {
        self.prepare_cached(sql)?.query_row(values, read)
    }
}
