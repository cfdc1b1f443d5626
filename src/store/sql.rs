//! Statements that stay prepared: parsing costs as much as running most of them.

use rusqlite::{Connection, Params};

/// As the method of the same purpose on a connection, but prepared once.
pub(super) trait Prepared {
    /// As `execute`: the number of rows changed.
    fn run(&self, sql: &str, values: impl Params) -> rusqlite::Result<usize>;
}

impl Prepared for Connection {
    fn run(&self, sql: &str, values: impl Params) -> rusqlite::Result<usize> {
        self.prepare_cached(sql)?.execute(values)
    }
}
