//! A channel of `[[notify]]` as a destination: chat, push, mail or MQTT, at least once, with a key to tell repeats
//! apart where the other side can.

pub mod answers;
mod bus;
mod error;
mod line;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use super::outbox::OutboxError;
use super::tracker::Tracker;
use crate::core::config::Notify;
use crate::core::human::answer::AnswerKey;
use crate::core::human::delivery::{Delivery, DeliveryStep, Hold, Note, Payload, backoff};
use crate::core::human::mqtt::Tally;
use crate::core::human::notice::Notice;
use crate::core::model::hint::Hint;
use crate::core::model::time::Timestamp;

pub use error::{ChannelError, LineError};
pub use line::Line;

const RETRY_BASE: Duration = Duration::from_secs(30);
const RETRY_MOST: Duration = Duration::from_secs(3_600);

/// The destination.
#[derive(Debug)]
pub struct Channel {
    line: Line,
    config: Notify,
    gateway: String,
}

/// Who speaks.
#[derive(Clone, Debug)]
pub struct Teller {
    /// Name in messages.
    pub gateway: String,
    /// Random id, for what must differ between gateways.
    pub gateway_id: String,
    /// systemd's `$CREDENTIALS_DIRECTORY`.
    pub credentials: Option<PathBuf>,
    /// Proves which buttons are ours; without it there are none.
    pub answer_key: Option<AnswerKey>,
}

impl Channel {
    /// For a process that does not stay: a test or a look.
    pub fn open(config: &Notify, teller: &Teller) -> Result<Self, ChannelError> {
        let line = Line::open(config, teller, Arc::default()).map_err(ChannelError::Tls)?;
        Ok(Self::new(config.clone(), teller, line))
    }

    pub fn new(config: Notify, teller: &Teller, line: Line) -> Self {
        Self {
            line,
            config,
            gateway: teller.gateway.clone(),
        }
    }

    /// Sends a test now, past the outbox, beside a daemon that may run. What came back, in a few words.
    pub fn test(&mut self, message: &Notice, now: Timestamp) -> Result<String, ChannelError> {
        let came = self.line.test(&self.config, message, now);
        came.map_err(ChannelError::Line)
    }

    /// Whether it can be reached and lets us in: for `doctor`, nobody is told.
    pub fn check(&mut self) -> Result<String, ChannelError> {
        self.line.check(&self.config).map_err(ChannelError::Line)
    }

    fn step(
        &mut self,
        message: &Notice,
        parts: &[Notice],
        delivery: &Delivery,
        begin: &mut dyn FnMut() -> Result<(), OutboxError>,
        now: Timestamp,
    ) -> DeliveryStep {
        let note = delivery.note();
        if let Err(why) = self.line.ready(&self.config) {
            let why = why.with_hint();
            return hold(Hold::Parked { why }, note);
        }
        if let Err(why) = begin() {
            let why = why.to_string();
            return hold(Hold::Trouble { why }, note);
        }
        match self.line.send(&self.config, message, parts, now) {
            Ok(_) => DeliveryStep::Confirmed {
                number: None,
                url: None,
            },
            Err(LineError::Offline(why)) => hold(Hold::Offline { why }, note),
            Err(LineError::Limited(after, why)) => hold(Hold::Limited { after, why }, note),
            Err(LineError::Denied(why)) => hold(Hold::Parked { why }, note),
            Err(LineError::Refused(why)) => DeliveryStep::Dead { why },
            // Who hears it twice knows it by its key, or sees the same twice: better than not at all.
            Err(LineError::Unclear(why)) => DeliveryStep::Unknown {
                after: backoff(RETRY_BASE, RETRY_MOST, delivery.attempts, 0),
                note,
                why,
            },
        }
    }
}

fn hold(hold: Hold, note: Note) -> DeliveryStep {
    DeliveryStep::Hold { hold, note }
}

impl Tracker for Channel {
    fn destination(&self) -> &str {
        &self.config.name
    }

    fn deliver(
        &mut self,
        delivery: &Delivery,
        begin: &mut dyn FnMut() -> Result<(), OutboxError>,
        now: Timestamp,
    ) -> DeliveryStep {
        match Payload::parse(&delivery.payload) {
            Ok(payload) => {
                let message = Notice::of(delivery, &payload, &self.gateway);
                self.step(&message, &[], delivery, begin, now)
            }
            Err(why) => DeliveryStep::Dead {
                why: why.to_string(),
            },
        }
    }

    fn deliver_together(
        &mut self,
        deliveries: &[Delivery],
        begin: &mut dyn FnMut() -> Result<(), OutboxError>,
        now: Timestamp,
    ) -> DeliveryStep {
        let told = deliveries.iter().filter_map(|delivery| {
            let payload = Payload::parse(&delivery.payload).ok()?;
            Some(Notice::of(delivery, &payload, &self.gateway))
        });
        let mut told: Vec<Notice> = told.collect();
        // Not all of a long one is shown.
        told.sort_by_key(|one| std::cmp::Reverse(one.severity));
        // The same digest has the same key, also after a crash in between.
        let key = deliveries
            .first()
            .map(|first| format!("digest:{}", first.row_key()));
        let digest = match (told.as_slice(), deliveries, key) {
            ([one], [first], _) => Some((one.clone(), first, Default::default())),
            (all, [first, ..], Some(key)) => {
                Notice::digest(all, &key, &self.gateway).map(|digest| (digest, first, all))
            }
            _ => None,
        };
        match digest {
            Some((message, first, parts)) => self.step(&message, parts, first, begin, now),
            None => DeliveryStep::Dead {
                why: "nothing in it can be read".to_owned(),
            },
        }
    }

    fn keep(&mut self, standing: &mut dyn FnMut() -> Option<Tally>) {
        self.line.keep(&self.config, standing);
    }

    fn leave(&mut self) {
        self.line.leave(&self.config);
    }

    fn renewed(&mut self) -> bool {
        self.line.renewed(&self.config)
    }
}
