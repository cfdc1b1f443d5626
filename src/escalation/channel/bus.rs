//! A broker that is told of each message, and how the gateway stands.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

use super::Teller;
use super::error::LineError;
use crate::core::config::{Notify, Security};
use crate::core::human::delivery::{backoff, spread};
use crate::core::human::mqtt::{OFFLINE, ONLINE, Publication, Tally, Topics};
use crate::core::human::notice::Notice;
use crate::escalation::mqtt::{Broker, Client, MqttError, Will};
use crate::escalation::token::Secret;
use crate::host::net::Tls;

const AGAIN_BASE: Duration = Duration::from_secs(15);
const AGAIN_MOST: Duration = Duration::from_secs(900);
/// The first levels of a client's name, of which brokers have to take 23 bytes.
const CLIENT_ID: usize = 16;

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

    /// The problem as it is, and the event; of a digest also each of the problems that it tells of.
    pub fn send(
        &mut self,
        config: &Notify,
        password: Option<&Secret>,
        message: &Notice,
        parts: &[Notice],
        now: Instant,
    ) -> Result<String, LineError> {
        let told = self.greeted(config, password, now).and_then(|()| {
            let topics = self.topics(config);
            let parts = parts.iter().map(|part| {
                let [problem, _] = topics.told(part);
                problem
            });
            let all: Vec<Publication> = parts.chain(topics.told(message)).collect();
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
        // Two channels to one broker are two clients: of one name they would end each other's connections.
        let channel = spread(&self.gateway_id, &config.name);
        let own: String = own.take(CLIENT_ID).collect();
        Broker {
            address: config.server.clone(),
            tls: (config.security == Security::Tls).then(|| self.tls.clone()),
            user: config.user.clone(),
            password: password.cloned(),
            client_id: format!("ao-{own}-{channel}"),
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
            Some((client, with)) if with.as_ref() == password => {
                client.begin_attempt();
                client.keep(now)?
            }
            _ => {
                let mut client = Client::new(self.broker(config, password));
                client.begin_attempt();
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

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing)]
    use super::*;
    use crate::core::config::ChannelKind;
    use crate::core::human::delivery::Operation;

    fn bus(gateway: &str) -> Bus {
        let teller = Teller {
            gateway: gateway.to_owned(),
            gateway_id: "5f0c77aa5f0c77aa5f0c77aa".to_owned(),
            credentials: None,
            answer_key: None,
        };
        Bus::new(Tls::new("").unwrap(), &teller, Arc::default())
    }

    fn channel(name: &str) -> Notify {
        Notify {
            name: name.to_owned(),
            kind: ChannelKind::Mqtt,
            server: "127.0.0.1:1883".to_owned(),
            ..Notify::default()
        }
    }

    #[test]
    fn two_channels_to_one_broker_are_two_clients_with_short_names() {
        let bus = bus("gw");
        let [one, other] = ["bus", "scada"].map(|name| bus.broker(&channel(name), None).client_id);
        assert_ne!(one, other);
        assert_eq!(one, bus.broker(&channel("bus"), None).client_id);
        assert!(one.len() <= 23 && other.len() <= 23, "{one} {other}");
    }

    #[test]
    fn a_gateway_of_any_name_has_one_level_of_its_own() {
        let bus = bus("Gerät 7/+#");
        let topic = bus.topics(&channel("bus")).online();
        assert_eq!(topic, "autonomous-orchestrator/Gerät 7___/online");
    }

    /// Takes one connection and acknowledges all; topic and payload of what is retained, until the client goes.
    fn broker() -> (String, std::thread::JoinHandle<Vec<(String, String)>>) {
        use std::io::{Read as _, Write as _};
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let thread = std::thread::spawn(move || {
            let (mut socket, _) = listener.accept().unwrap();
            let mut kept = Vec::new();
            loop {
                let (mut first, mut digit) = ([0], [0x80]);
                if socket.read_exact(&mut first).is_err() {
                    return kept;
                }
                let (mut length, mut shift) = (0, 0);
                while digit[0] & 0x80 != 0 {
                    socket.read_exact(&mut digit).unwrap();
                    length |= usize::from(digit[0] & 0x7f) << shift;
                    shift += 7;
                }
                let mut body = vec![0; length];
                socket.read_exact(&mut body).unwrap();
                match first[0] {
                    0x10 => socket.write_all(&[0x20, 2, 0, 0]).unwrap(),
                    0x32 | 0x33 => {
                        let end = 2 + usize::from(u16::from_be_bytes([body[0], body[1]]));
                        let text = |part: &[u8]| String::from_utf8(part.to_vec()).unwrap();
                        if first[0] == 0x33 {
                            kept.push((text(&body[2..end]), text(&body[end + 2..])));
                        }
                        socket
                            .write_all(&[0x40, 2, body[end], body[end + 1]])
                            .unwrap();
                    }
                    _ => {}
                }
            }
        });
        (address, thread)
    }

    #[test]
    fn a_digest_leaves_each_problem_as_it_is() {
        let (server, thread) = broker();
        let config = Notify {
            server,
            security: Security::Plain,
            discovery: String::new(),
            ..channel("bus")
        };
        let open = crate::core::human::notice::tests::message();
        let over = Notice {
            event: Operation::Close,
            problem: "17ab".repeat(16),
            ..open.clone()
        };
        let parts = [open, over];
        let digest = Notice::digest(&parts, "digest:1", "gw").unwrap();
        let mut bus = bus("gw");
        let now = Instant::now();
        bus.send(&config, None, &digest, &parts, now).unwrap();
        bus.leave(&config, now);
        let kept = thread.join().unwrap();
        let problems: Vec<bool> = kept
            .iter()
            .filter(|(topic, _)| topic.contains("/problem/"))
            .map(|(_, payload)| payload.is_empty())
            .collect();
        assert_eq!(problems, [false, true], "{kept:?}");
    }
}
