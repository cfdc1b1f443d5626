//! A write transaction under way.

use std::cell::RefCell;
use std::ops::Deref;

use rusqlite::{Connection, OptionalExtension};

use crate::core::model::audit::GENESIS;
use crate::store::error::StoreError;

/// Proof that a write transaction (`BEGIN IMMEDIATE`) is under way on this connection: nobody else can
/// write meanwhile. Whoever made it ends the transaction, and with it this.
pub(super) struct Tx<'a> {
    connection: &'a Connection,
    /// Hash of the newest audit event, once read: only this transaction can append.
    head: RefCell<Option<String>>,
}

impl<'a> Tx<'a> {
    /// The caller has begun a write transaction.
    pub(super) fn of(connection: &'a Connection) -> Self {
        Self {
            connection,
            head: RefCell::new(None),
        }
    }

    /// Replaces the head of the audit chain by what `next` makes of it.
    pub(super) fn chain(
        &self,
        next: impl FnOnce(&str) -> Result<String, StoreError>,
    ) -> Result<(), StoreError> {
        let known = self.head.take();
        let head = match known {
            Some(head) => head,
            None => head(self.connection)?,
        };
        // An error forgets the head: what of it was written is the caller's to roll back.
        let next = next(&head)?;
        self.head.replace(Some(next));
        Ok(())
    }

    /// A part of the transaction was rolled back.
    pub(super) fn rolled_back(&self) {
        self.head.take();
    }
}

impl Deref for Tx<'_> {
    type Target = Connection;

    fn deref(&self) -> &Connection {
        self.connection
    }
}

/// Hash of the newest event.
pub(super) fn head(connection: &Connection) -> Result<String, StoreError> {
    Ok(connection
        .prepare_cached("SELECT hash FROM task_history ORDER BY id DESC LIMIT 1")?
        .query_row([], |row| row.get(0))
        .optional()?
        .unwrap_or_else(|| GENESIS.to_owned()))
}
