//! A generic webhook: one JSON document per delivery, at least once, with a key to tell repeats apart.

use std::path::PathBuf;
use std::time::Duration;

use super::http::{Request, SendError, Transport, Verb};
use super::outbox::OutboxError;
use super::token::{self, Secret, TokenError};
use super::tracker::Tracker;
use crate::core::config::{self, template};
use crate::core::human::delivery::{Delivery, DeliveryStep, Hold, Payload, backoff};
use crate::core::human::reply::ReplyJudgement;
use crate::core::human::webhook;
use crate::core::model::hint::Hint;
use crate::core::model::time::Timestamp;

/// Name of this destination in the outbox.
pub const DESTINATION: &str = "webhook";
const RETRY_BASE: Duration = Duration::from_secs(30);
const RETRY_MOST: Duration = Duration::from_secs(3_600);

/// The destination.
#[derive(Debug)]
pub struct Webhook {
    transport: Box<dyn Transport + Send>,
    config: config::Webhook,
    /// systemd's `$CREDENTIALS_DIRECTORY`.
    credentials: Option<PathBuf>,
    gateway: String,
}

impl Webhook {
    pub fn new(
        transport: Box<dyn Transport + Send>,
        config: config::Webhook,
        credentials: Option<PathBuf>,
        gateway: &str,
    ) -> Self {
        Self {
            transport,
            config,
            credentials,
            gateway: gateway.to_owned(),
        }
    }

    /// Read anew each time: a changed token needs no restart.
    fn token(&self) -> Result<Option<Secret>, TokenError> {
        if self.config.token_file.is_empty() {
            return Ok(None);
        }
        let file = PathBuf::from(&self.config.token_file);
        token::read_named(
            &file,
            self.credentials.as_deref(),
            token::WEBHOOK_CREDENTIAL,
        )
        .map(Some)
    }

    fn request(&self, delivery: &Delivery) -> Result<Request, DeliveryStep> {
        let dead = |why: &dyn std::error::Error| DeliveryStep::Dead {
            why: why.to_string(),
        };
        let payload = Payload::parse(&delivery.payload).map_err(|why| dead(&why))?;
        let document = webhook::document(delivery, &payload, &self.gateway);
        let body = template::render(&document, &self.config.template).map_err(|why| dead(&why))?;
        let token = self.token().map_err(|why| DeliveryStep::Hold {
            hold: Hold::Parked {
                why: why.with_hint(),
            },
            note: delivery.note(),
        })?;
        Ok(Request {
            method: Verb::Post,
            url: self.config.url.clone(),
            token,
            headers: vec![("idempotency-key", delivery.row_key())],
            body: Some(body),
        })
    }
}

impl Tracker for Webhook {
    fn destination(&self) -> &str {
        DESTINATION
    }

    fn deliver(
        &mut self,
        delivery: &Delivery,
        begin: &mut dyn FnMut() -> Result<(), OutboxError>,
        now: Timestamp,
    ) -> DeliveryStep {
        let note = delivery.note();
        let request = match self.request(delivery) {
            Ok(request) => request,
            Err(step) => return step,
        };
        if let Err(why) = begin() {
            return DeliveryStep::Hold {
                hold: Hold::Trouble {
                    why: why.to_string(),
                },
                note,
            };
        }
        // The receiver tells repeats apart by the key: an unclear outcome is simply sent again.
        let again = |why| DeliveryStep::Retry {
            after: backoff(RETRY_BASE, RETRY_MOST, delivery.attempts, 0),
            note: note.clone(),
            why,
        };
        let reply = match self.transport.send(&request) {
            Ok(response) => response.reply(),
            Err(SendError::NotSent(why)) => {
                return DeliveryStep::Hold {
                    hold: Hold::Offline { why },
                    note,
                };
            }
            Err(SendError::Unknown(why)) => return again(why),
            Err(error @ SendError::Elsewhere(_)) => {
                return DeliveryStep::Hold {
                    hold: Hold::Parked {
                        why: error.to_string(),
                    },
                    note,
                };
            }
        };
        let why = format!("webhook: {}", reply.describe());
        match reply.judgement(now) {
            ReplyJudgement::Done => DeliveryStep::Confirmed {
                number: None,
                url: None,
            },
            ReplyJudgement::Limited(after) => DeliveryStep::Hold {
                hold: Hold::Limited { after, why },
                note,
            },
            ReplyJudgement::Forbidden | ReplyJudgement::Missing | ReplyJudgement::Gone => {
                DeliveryStep::Hold {
                    hold: Hold::Parked { why },
                    note,
                }
            }
            ReplyJudgement::Refused => DeliveryStep::Dead { why },
            ReplyJudgement::Unclear => again(why),
        }
    }

    fn renewed(&mut self) -> bool {
        false
    }
}
