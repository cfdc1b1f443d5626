//! What answers from a phone need to be remembered: a secret, which buttons counted, and a question asked anew.

use rusqlite::{OptionalExtension, params};
use serde_json::Value;

use crate::core::model::id::TaskId;
use crate::core::model::time::Timestamp;
use crate::store::enqueue::enqueue;
use crate::store::error::StoreError;
use crate::store::handle::Store;
use crate::store::meta::{meta, set_meta};
use crate::store::sql::Prepared;

/// Meta row: proves which buttons are ours.
const SECRET: &str = "answer_secret";
/// Meta row: buttons that counted, the newest last.
const USED: &str = "answers_used";
/// Most of them that are kept: far more than are pressed while they live.
const USED_MOST: usize = 500;

impl Store {
    /// Made at the first need; never leaves this host.
    pub fn answer_secret(&self) -> Result<String, StoreError> {
        if let Some(secret) = self.meta(SECRET)? {
            return Ok(secret);
        }
        self.write(|tx| {
            let random = "SELECT lower(hex(randomblob(32)))";
            let secret: String = tx.row(random, [], |row| row.get(0))?;
            set_meta(tx, SECRET, &secret)?;
            Ok(secret)
        })
    }

    /// This button counted before.
    pub fn is_answer_used(&self, nonce: &str) -> Result<bool, StoreError> {
        let used = self.meta(USED)?.unwrap_or_default();
        Ok(used.split(' ').any(|one| one == nonce))
    }

    /// This button counts now. False where it did before.
    pub fn use_answer(&self, nonce: &str) -> Result<bool, StoreError> {
        let nonce = nonce.to_owned();
        self.write(move |tx| {
            let used = meta(tx, USED)?.unwrap_or_default();
            let mut all: Vec<&str> = used.split_whitespace().collect();
            if all.contains(&nonce.as_str()) {
                return Ok(false);
            }
            all.push(&nonce);
            let kept = all.len().saturating_sub(USED_MOST);
            let kept = all.get(kept..).unwrap_or_default().join(" ");
            set_meta(tx, USED, &kept)?;
            Ok(true)
        })
    }

    /// When the newest message was delivered there.
    pub fn last_delivered(&self, destination: &str) -> Result<Option<Timestamp>, StoreError> {
        self.reader()?.with(|connection| {
            let sql =
                "SELECT max(sent_at) FROM outbox WHERE destination = ?1 AND state = 'confirmed'";
            let mut statement = connection.prepare_cached(sql)?;
            let last: Option<Option<String>> = statement
                .query_row([destination], |row| row.get(0))
                .optional()?;
            Ok(last.flatten().and_then(|text| text.parse().ok()))
        })
    }

    /// The question is put there anew, as it stands now: for who answered too late.
    pub fn ask_again(
        &self,
        task_id: TaskId,
        destination: &str,
        mut payload: Value,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let destination = destination.to_owned();
        self.write(move |tx| {
            let told: Option<(String, String, String)> = tx
                .prepare_cached(
                    "SELECT title, body, reason FROM escalations WHERE task_id = ?1 AND resolved_at IS NULL",
                )?
                .query_row(params![task_id], |row| {
                    Ok((row.get(0)?, row.get(1)?, row.get(2)?))
                })
                .optional()?;
            if let (Some((title, body, reason)), Some(fields)) = (told, payload.as_object_mut()) {
                for (name, text) in [("title", title), ("body", body), ("reason", reason)] {
                    fields.insert(name.to_owned(), text.into());
                }
                enqueue(tx, &destination, task_id, "reopen", &payload, now)?;
            }
            Ok(())
        })
    }
}
