//! Rows of `meta`: small facts of the store by name.

use rusqlite::{Connection, OptionalExtension, params};

use crate::core::remedy::silence::Silences;
use crate::store::error::StoreError;

pub(super) fn gateway_id(connection: &Connection) -> Result<String, StoreError> {
    meta(connection, "gateway_id")?
        .ok_or_else(|| StoreError::Corrupt("meta has no gateway_id".to_owned()))
}

pub(super) fn meta(connection: &Connection, key: &str) -> Result<Option<String>, StoreError> {
    Ok(connection
        .prepare_cached("SELECT value FROM meta WHERE key = ?1")?
        .query_row([key], |row| row.get(0))
        .optional()?)
}

pub(super) fn set_meta(connection: &Connection, key: &str, value: &str) -> Result<(), StoreError> {
    connection.prepare_cached(
        "INSERT INTO meta (key, value) VALUES (?1, ?2) ON CONFLICT (key) DO UPDATE SET value = ?2",
    )?
    .execute(params![key, value])?;
    Ok(())
}

const SILENCES: &str = "silences";

/// What humans want left alone.
pub(super) fn silences(connection: &Connection) -> Result<Silences, StoreError> {
    let text = meta(connection, SILENCES)?.unwrap_or_default();
    Ok(Silences::of_text(&text))
}

pub(super) fn set_silences(connection: &Connection, all: &Silences) -> Result<(), StoreError> {
    set_meta(connection, SILENCES, &all.text())
}
