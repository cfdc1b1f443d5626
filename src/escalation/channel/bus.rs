//! A broker that is told of each message, and how the gateway stands.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

use super::Teller;
use super::line::LineError;
use crate::core::config::{Notify, Security};
use crate::core::human::delivery::backoff;
use crate::core::human::mqtt::{OFFLINE, ONLINE, Publication, Tally, Topics};
use crate::core::human::notice::Notice;
use crate::escalation::mqtt::{Broker, Client, MqttError, Will};
use crate::escalation::token::Secret;
use crate::host::net::Tls;

const AGAIN_BASE: Duration = Duration::from_secs(15);
const AGAIN_MOST: Duration = Duration::from_secs(900);
/// The first levels of a client's name, of which brokers have to take 23 bytes.
const CLIENT_ID: usize = 20;

/// A connection that is kept, with its last will.
#[derive(Debug)]
pub struct Bus {
    tls: Tls,
    stop: Arc<AtomicBool>,
    gateway: String,
    gateway_id: String,
    /// The client, and the password that it was made with.
    client: Option<(Client, Option<Secret>)>,
    /// How the gateway stood when it was said last.
    said: Option<Tally>,
    /// After an error nothing is tried before.
    not_before: Option<Instant>,
    failures: u32,
}

impl Bus {
    pub fn new(tls: Tls, teller: &Teller, stop: Arc<AtomicBool>) -> Self {
        Self {
            tls,
            stop,
            gateway: teller.gateway.clone(),
            gateway_id: teller.gateway_id.clone(),
            client: None,
            said: None,
            not_before: None,
            failures: 0,
        }
    }

    /// The problem as it is, and the event.
    pub fn send(
        &mut self,
        config: &Notify,
        password: Option<&Secret>,
        message: &Notice,
        now: Instant,
    ) -> Result<String, LineError> {
        let told = self.greeted(config, password, now).and_then(|()| {
            let all = self.topics(config).told(message);
            all.iter().try_for_each(|one| self.publish(one, now))
        });
        self.noted(told, now)?;
        Ok("acknowledged by the broker".to_owned())
    }

    /// Keeps the connection, and says how the gateway stands where that is news.
    pub fn keep(
        &mut self,
        config: &Notify,
        password: Option<&Secret>,
        standing: &mut dyn FnMut() -> Option<Tally>,
        now: Instant,
    ) {
        if self.not_before.is_some_and(|at| now < at) {
            return;
        }
        let kept = self.greeted(config, password, now).and_then(|()| {
            let standing = standing().filter(|new| self.said != Some(*new));
            let Some(standing) = standing else {
                return Ok(());
            };
            let state = self.topics(config).state(&standing);
            self.publish(&state, now)?;
            self.said = Some(standing);
            Ok(())
        });
        if let Err(why) = self.noted(kept, now)
            && self.failures == 1
        {
            log::warn!("{}: {why}", config.name);
        }
    }

    /// Says that the gateway is going, so that nobody takes it for lost.
    pub fn leave(&mut self, config: &Notify, now: Instant) {
        // A connection that there is not needs no farewell: its will is told already.
        let is_there = self.client.is_some() && self.failures == 0;
        let offline = Publication {
            topic: self.topics(config).online(),
            payload: OFFLINE.to_owned(),
            retain: true,
        };
        if is_there && self.publish(&offline, now).is_ok() {
            log::debug!("{}: said good-bye", config.name);
        }
        if let Some((mut client, _)) = self.client.take() {
            client.close();
        }
        self.said = None;
    }

    /// A client of another name and without a will, so that the daemon's connection and what stands there stay.
    fn visitor(&self, config: &Notify, password: Option<&Secret>) -> Client {
        Client::new(Broker {
            will: None,
            client_id: format!("ao-visit-{}", std::process::id()),
            ..self.broker(config, password)
        })
    }

    /// One event that leaves nothing behind.
    pub fn test(
        &self,
        config: &Notify,
        password: Option<&Secret>,
        message: &Notice,
    ) -> Result<String, LineError> {
        let mut client = self.visitor(config, password);
        let [_, event] = self.topics(config).told(message);
        let payload = event.payload.as_bytes();
        let came = client.publish(&event.topic, payload, false, Instant::now());
        client.close();
        came.map_err(meaning)?;
        Ok(format!("the broker has it: {}", event.topic))
    }

    /// Whether the broker lets us in.
    pub fn check(&self, config: &Notify, password: Option<&Secret>) -> Result<String, LineError> {
        let mut client = self.visitor(config, password);
        let came = client.keep(Instant::now());
        client.close();
        came.map_err(meaning)?;
        Ok(format!("{} lets us in", config.server))
    }

    fn topics<'a>(&'a self, config: &'a Notify) -> Topics<'a> {
        Topics {
            base: config.base_topic(&self.gateway),
            discovery: config.discovery.trim_matches('/'),
            gateway: &self.gateway,
            gateway_id: &self.gateway_id,
        }
    }

    fn broker(&self, config: &Notify, password: Option<&Secret>) -> Broker {
        let own = self.gateway_id.chars().filter(char::is_ascii_alphanumeric);
        let own: String = own.take(CLIENT_ID).collect();
        Broker {
            address: config.server.clone(),
            tls: (config.security == Security::Tls).then(|| self.tls.clone()),
            user: config.user.clone(),
            password: password.cloned(),
            client_id: format!("ao-{own}"),
            will: Some(Will {
                topic: self.topics(config).online(),
                payload: OFFLINE.into(),
            }),
            keep_alive: Duration::from_secs(config.keep_alive_s),
            timeout: Duration::from_secs(config.timeout_s),
            stop: Arc::clone(&self.stop),
        }
    }

    /// Connected, and what is true was said on this connection.
    fn greeted(
        &mut self,
        config: &Notify,
        password: Option<&Secret>,
        now: Instant,
    ) -> Result<(), MqttError> {
        let is_new = match &mut self.client {
            Some((client, with)) if with.as_ref() == password => client.keep(now)?,
            _ => {
                let mut client = Client::new(self.broker(config, password));
                let is_new = client.keep(now);
                self.client = Some((client, password.cloned()));
                is_new?
            }
        };
        if !is_new {
            return Ok(());
        }
        self.said = None;
        let topics = self.topics(config);
        let online = Publication {
            topic: topics.online(),
            payload: ONLINE.to_owned(),
            retain: true,
        };
        let all: Vec<Publication> = topics.discovery().into_iter().chain([online]).collect();
        all.iter().try_for_each(|one| self.publish(one, now))
    }

    fn publish(&mut self, one: &Publication, now: Instant) -> Result<(), MqttError> {
        match &mut self.client {
            Some((client, _)) => {
                client.publish(&one.topic, one.payload.as_bytes(), one.retain, now)
            }
            None => Err(MqttError::NotSent("there is no connection".to_owned())),
        }
    }

    /// After an error the connection is made anew, and not at once.
    fn noted(&mut self, came: Result<(), MqttError>, now: Instant) -> Result<(), LineError> {
        match came {
            Ok(()) => {
                self.failures = 0;
                self.not_before = None;
                Ok(())
            }
            Err(why) => {
                self.client = None;
                let wait = backoff(AGAIN_BASE, AGAIN_MOST, self.failures, 0);
                self.not_before = now.checked_add(wait);
                self.failures = self.failures.saturating_add(1);
                Err(meaning(why))
            }
        }
    }
}

fn meaning(why: MqttError) -> LineError {
    match why {
        MqttError::NotSent(why) => LineError::Offline(why),
        // What the broker refuses it would refuse of every message: none is given up for that.
        MqttError::Denied(why) | MqttError::Refused(why) => LineError::Denied(why),
        MqttError::Unknown(why) => LineError::Unclear(why),
    }
}
