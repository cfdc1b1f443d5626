//! A generic webhook: one JSON document per delivery, at least once, with a key to tell repeats apart.

use std::time::Duration;

use serde_json::{Value, json};

use super::http::{Request, SendError, Transport, Verb};
use super::token::Secret;
use super::tracker::Tracker;
use crate::core::delivery::{Delivery, Hold, Payload, Step, backoff};
use crate::core::redact::Redactor;
use crate::core::reply::Verdict;
use crate::core::time::Timestamp;

/// Name of this destination in the outbox.
pub const DESTINATION: &str = "webhook";
const RETRY_BASE: Duration = Duration::from_secs(30);
const RETRY_MOST: Duration = Duration::from_secs(3_600);

/// The destination.
#[derive(Debug)]
pub struct Webhook {
    transport: Box<dyn Transport + Send>,
    url: String,
    token: Option<Secret>,
    host: String,
}

impl Webhook {
    pub fn new(
        transport: Box<dyn Transport + Send>,
        url: &str,
        token: Option<Secret>,
        host: &str,
    ) -> Self {
        Self {
            transport,
            url: url.to_owned(),
            token,
            host: host.to_owned(),
        }
    }
}

/// The document. `key` is the same in every repeat of this row, `problem` in all rows of one problem.
pub fn document(delivery: &Delivery, payload: &Payload, host: &str) -> Value {
    let redactor = Redactor::new();
    let text = payload.comment_text().unwrap_or("");
    json!({
        "version": 1,
        "gateway": host,
        "event": delivery.operation.as_str(),
        "severity": delivery.severity.as_str(),
        "task": delivery.task_id,
        "problem": delivery.delivery_key,
        "key": format!("{}-{}", delivery.delivery_key.get(..16).unwrap_or(""), delivery.id),
        "title": redactor.redact(&payload.title),
        "text": redactor.redact(text),
        "resolution": payload.resolution,
    })
}

impl Tracker for Webhook {
    fn destination(&self) -> &str {
        DESTINATION
    }

    fn deliver(
        &mut self,
        delivery: &Delivery,
        begin: &mut dyn FnMut() -> Result<(), String>,
        now: Timestamp,
    ) -> Step {
        let note = delivery.note();
        let payload = match Payload::parse(&delivery.payload) {
            Ok(payload) => payload,
            Err(why) => return Step::Dead { why },
        };
        let document = document(delivery, &payload, &self.host);
        let key = document
            .get("key")
            .and_then(Value::as_str)
            .unwrap_or_default()
            .to_owned();
        if let Err(why) = begin() {
            return Step::Hold {
                hold: Hold::Trouble { why },
                note,
            };
        }
        let request = Request {
            method: Verb::Post,
            url: self.url.clone(),
            token: self.token.clone(),
            headers: vec![("idempotency-key", key)],
            body: Some(document.to_string()),
        };
        // The receiver tells repeats apart by the key: an unclear outcome is simply sent again.
        let again = |why| Step::Retry {
            after: backoff(RETRY_BASE, RETRY_MOST, delivery.attempts, 0),
            note: note.clone(),
            why,
        };
        let reply = match self.transport.send(&request) {
            Ok(response) => response.reply(),
            Err(SendError::NotSent(why)) => {
                return Step::Hold {
                    hold: Hold::Offline { why },
                    note,
                };
            }
            Err(SendError::Unknown(why)) => return again(why),
            Err(error @ SendError::Elsewhere(_)) => {
                return Step::Hold {
                    hold: Hold::Parked {
                        why: error.to_string(),
                    },
                    note,
                };
            }
        };
        let why = format!("webhook: {}", reply.describe());
        match reply.verdict(now) {
            Verdict::Done => Step::Confirmed {
                number: None,
                url: None,
            },
            Verdict::Limited(after) => Step::Hold {
                hold: Hold::Limited { after, why },
                note,
            },
            Verdict::Forbidden | Verdict::Missing | Verdict::Gone => Step::Hold {
                hold: Hold::Parked { why },
                note,
            },
            Verdict::Refused => Step::Dead { why },
            Verdict::Unclear => again(why),
        }
    }

    fn renewed(&mut self) -> bool {
        false
    }
}
