//! The audit chain: each event's hash covers the hash before it, so that nothing can be changed, taken
//! out or put in between without showing.

use sha2::{Digest, Sha256};

use crate::core::model::hex::hex;
use crate::core::model::id::TaskId;
use crate::core::model::time::Timestamp;

/// `prev_hash` of the first event.
pub const GENESIS: &str = "0000000000000000000000000000000000000000000000000000000000000000";

/// What one event says; the fields that its hash covers.
#[derive(Clone, Copy, Debug)]
pub struct Event<'a> {
    /// `None` for an event of the host.
    pub task_id: Option<TaskId>,
    /// What happened, in a word, as in `claimed` or `first_green`.
    pub action: &'a str,
    /// To what; may be empty.
    pub details: &'a str,
    /// As stored.
    pub timestamp: &'a str,
    /// A thread of the daemon, or the human who asked for it.
    pub actor: &'a str,
    /// May be empty.
    pub reason: &'a str,
}

/// SHA-256 over the length-prefixed fields (u64, little endian), 64 lower-case hex. The prefixes keep
/// two different events from ever having the same bytes.
pub fn chain(prev_hash: &str, event: &Event<'_>) -> String {
    let task = event.task_id.map_or_else(String::new, |id| id.to_string());
    hash([
        prev_hash,
        &task,
        event.action,
        event.details,
        event.timestamp,
        event.actor,
        event.reason,
    ])
}

/// Key of one delivery: gateway, fingerprint and episode, so that one problem of one gateway has one issue.
pub fn delivery_key(gateway_id: &str, fingerprint: &str, episode: u64) -> String {
    let episode = episode.to_string();
    hash([gateway_id, &episode, "delivery", fingerprint, "", "", ""])
}

fn hash(fields: [&str; 7]) -> String {
    let mut hash = Sha256::new();
    for field in fields {
        hash.update((field.len() as u64).to_le_bytes());
        hash.update(field.as_bytes());
    }
    hex(&hash.finalize())
}

/// Text of the stored time of an event.
pub fn stamp(now: Timestamp) -> String {
    now.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moving_a_byte_between_fields_changes_the_hash() {
        let event = |action, details| Event {
            task_id: Some(TaskId::from_number(1)),
            action,
            details,
            timestamp: "t",
            actor: "a",
            reason: "",
        };
        assert_ne!(
            chain(GENESIS, &event("ab", "c")),
            chain(GENESIS, &event("a", "bc"))
        );
        assert_eq!(chain(GENESIS, &event("a", "b")).len(), 64);
    }

    #[test]
    fn each_episode_has_its_own_delivery() {
        assert_ne!(delivery_key("g", "f", 1), delivery_key("g", "f", 2));
        assert_ne!(delivery_key("g", "f", 1), delivery_key("h", "f", 1));
    }

    #[test]
    fn the_key_of_a_delivery_is_chained_as_an_event_of_the_episode_is() {
        let event = Event {
            task_id: Some(TaskId::from_number(3)),
            action: "delivery",
            details: "f",
            timestamp: "",
            actor: "",
            reason: "",
        };
        assert_eq!(delivery_key("g", "f", 3), chain("g", &event));
    }
}
