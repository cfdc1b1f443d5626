//! The dead-man's ping: a request to a watcher elsewhere, that raises the alarm when it stays away.

use std::time::Duration;

use super::http::{Request, Transport, Verb};
use crate::core::model::time::Timestamp;

/// Asks one URL at a fixed interval while the daemon is well.
#[derive(Debug)]
pub struct Ping {
    transport: Box<dyn Transport + Send>,
    url: String,
    every: Duration,
    next_at: Timestamp,
    failed: bool,
}

impl Ping {
    pub fn new(transport: Box<dyn Transport + Send>, url: &str, every: Duration) -> Self {
        Self {
            transport,
            url: url.to_owned(),
            every,
            next_at: Timestamp::from_millis(i64::MIN),
            failed: false,
        }
    }

    /// The last one did not get through.
    pub fn fails(&self) -> bool {
        self.failed
    }

    /// Pings when it is due and `well`: a daemon whose threads hang must not sound alive. Returns when to come back.
    pub fn tick(&mut self, well: bool, now: Timestamp) -> Timestamp {
        if now < self.next_at {
            return self.next_at;
        }
        self.next_at = now.plus(self.every);
        if well {
            let request = Request {
                method: Verb::Get,
                url: self.url.clone(),
                token: None,
                headers: Vec::new(),
                body: None,
            };
            let failed = match self.transport.send(&request) {
                Ok(response) => response.status >= 400,
                Err(_) => true,
            };
            // The URL is often a secret itself: it is not logged. Missing one ping is what the far side counts.
            if failed != self.failed {
                match failed {
                    true => log::warn!("the dead-man's ping does not get through"),
                    false => log::info!("the dead-man's ping gets through again"),
                }
                self.failed = failed;
            }
        }
        self.next_at
    }
}
