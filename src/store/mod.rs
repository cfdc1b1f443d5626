//! The store: tasks, audit, attempts, outbox and cursors in one SQLite file; the only user of rusqlite
//! beside the bundle's own read-only file.
//!
//! One writer thread owns the write connection and commits what is waiting as one transaction; callers
//! block until the commit that holds their write is durable. Readers share a read-only connection.

mod adopt;
mod adopted;
mod answers;
mod asks;
mod attempts;
mod backup;
mod ballast;
mod budgets;
mod clock;
mod commit;
mod connect;
mod enqueue;
mod error;
#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)]
mod faults;
mod foreign;
mod gauges;
mod habits;
mod handle;
mod heal;
mod health;
mod healthy;
mod history;
mod holders;
mod ids;
mod import;
mod intake;
mod job;
mod link;
mod maintain;
mod meta;
mod migrations;
mod open;
mod options;
mod outbox;
mod paths;
mod read;
mod repair;
mod report;
mod restored;
mod retention;
mod rows;
mod schema;
mod seed;
mod settings;
mod silences;
mod sql;
mod tasks;
#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)]
mod tests;
mod tx;
mod types;
mod writer;

pub use asks::{Asks, Unresolved};
pub use error::StoreError;
#[cfg(fuzzing)]
pub(crate) use foreign::old_database;
pub use handle::Store;
pub use history::{AuditBreak, AuditReport};
#[cfg(fuzzing)]
pub use import::import_into_memory;
pub use import::{import, importable};
pub use options::StoreOptions;
pub use read::Reader;
pub use report::ImportReport;
pub use types::{
    Attempt, AuditEvent, Booked, Booking, Counts, Cursor, DetectorRun, EscalationRow, Intake,
    Learned, NewEscalation, Noted, OutboxRow, Proposed, RunOutcome, TaskFilter,
};
