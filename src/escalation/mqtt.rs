//! Tells a broker what is true now: MQTT 3.1.1 (OASIS), as much of it as one who only publishes needs.
//!
//! The connection stands as long as we do, since the broker tells our last will once it is gone. Nothing is kept for
//! another connection (clean session): what was not acknowledged is published again by whoever wanted it published.

use std::fmt;
use std::io::{self, Read};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use super::http::ATTEMPT_MOST;
use super::token::Secret;
use crate::host::clock::end_after;
use crate::host::net::{Link, Tls};

/// Longest packet that is taken, in bytes behind its length. Those that we wait for have two.
const TAKEN_MOST: usize = 4 << 10;
/// Longest payload that is published, in bytes.
const PAYLOAD_MOST: usize = 1 << 20;
/// Longest text of a packet, in bytes: its length is written with two.
const TEXT_MOST: usize = 65_535;
/// Connecting and waiting for an acknowledgement, each: one attempt does both.
const STEP_MOST: Duration = Duration::from_secs(ATTEMPT_MOST.as_secs() / 2);
/// How long a last word may take while the daemon stops.
const LAST_WORD: Duration = Duration::from_secs(2);
/// How long is waited for what should be there already.
const GLANCE: Duration = Duration::from_millis(1);

const PINGREQ: [u8; 2] = [0xc0, 0];
const DISCONNECT: [u8; 2] = [0xe0, 0];

/// A broker, and who we are there.
#[derive(Clone, Debug)]
pub struct Broker {
    /// `host:port`; with `tls` the certificate has to be that of the host.
    pub address: String,
    /// Mostly with port 8883; none is in the clear.
    pub tls: Option<Tls>,
    /// Empty: nobody in particular.
    pub user: String,
    /// Needs `tls` and a user.
    pub password: Option<Secret>,
    /// Two clients of one name end each other's connections.
    pub client_id: String,
    /// What the broker publishes once we are gone without a word.
    pub will: Option<Will>,
    /// After one and a half of it without a word from us the broker takes us for gone. Told in whole seconds, 1 to 65,535.
    pub keep_alive: Duration,
    /// For connecting and for an acknowledgement, each; at most half of `ATTEMPT_MOST` of `escalation::http`.
    pub timeout: Duration,
    /// Set when the daemon is to stop: whatever is under way is given up.
    pub stop: Arc<AtomicBool>,
}

/// A last will: retained, told at least once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Will {
    /// As of [`Client::publish`].
    pub topic: String,
    /// At most 65,535 bytes.
    pub payload: Vec<u8>,
}

/// Why something was not published. Never holds any part of a password.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MqttError {
    /// Not a byte of the message left: name, connection or TLS failed, the broker is not ready, or it is gone.
    NotSent(String),
    /// Not authorised: a human has to change something.
    Denied(String),
    /// The same again is refused again: what is no message, or a broker of another protocol.
    Refused(String),
    /// The message left and was not acknowledged.
    Unknown(String),
}

impl fmt::Display for MqttError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotSent(why) => write!(f, "not sent: {why}"),
            Self::Denied(why) => write!(f, "denied: {why}"),
            Self::Refused(why) => write!(f, "refused: {why}"),
            Self::Unknown(why) => write!(f, "not acknowledged: {why}"),
        }
    }
}

impl std::error::Error for MqttError {}

/// Why bytes are no packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PacketError {
    TooLong,
    Malformed,
}

impl fmt::Display for PacketError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::TooLong => "a packet longer than any that is waited for",
            Self::Malformed => "what came is no packet of MQTT",
        })
    }
}

impl std::error::Error for PacketError {}

/// What a broker says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Packet {
    /// We are taken (0), or why not.
    Connack(u8),
    /// The message of this number arrived.
    Puback(u16),
    Pingresp,
    /// What concerns us not.
    Other,
}

/// The packet that begins `bytes`, and its length; `None` while its end is not there.
pub fn read_packet(bytes: &[u8]) -> Result<Option<(Packet, usize)>, PacketError> {
    let Some((first, rest)) = bytes.split_first() else {
        return Ok(None);
    };
    // CONNACK, PUBLISH, PUBACK, the rest of a delivery exactly once, SUBACK, UNSUBACK, PINGRESP.
    if !matches!(
        first,
        0x20 | 0x30..=0x40 | 0x50 | 0x62 | 0x70 | 0x90 | 0xb0 | 0xd0
    ) {
        return Err(PacketError::Malformed);
    }
    let Some((length, behind)) = read_length(rest)? else {
        return Ok(None);
    };
    if length > TAKEN_MOST {
        return Err(PacketError::TooLong);
    }
    let Some(body) = behind.get(..length) else {
        return Ok(None);
    };
    let packet = match (first, body) {
        // The first byte's last bit tells of a session, which there never is.
        (0x20, [_, code]) => Packet::Connack(*code),
        (0x40, [high, low]) => Packet::Puback(u16::from_be_bytes([*high, *low])),
        (0xd0, []) => Packet::Pingresp,
        (0x20 | 0x40 | 0xd0, _) => return Err(PacketError::Malformed),
        _ => Packet::Other,
    };
    let head = bytes.len().saturating_sub(behind.len());
    Ok(Some((packet, head.saturating_add(length))))
}

/// A length of one to four bytes, and what is behind it; seven bits in each, the lowest first.
fn read_length(bytes: &[u8]) -> Result<Option<(usize, &[u8])>, PacketError> {
    let mut length = 0_usize;
    for (at, byte) in bytes.iter().take(4).enumerate() {
        length |= usize::from(byte & 0x7f) << (7 * at);
        if byte & 0x80 == 0 {
            let behind = bytes.get(at.saturating_add(1)..).unwrap_or_default();
            return Ok(Some((length, behind)));
        }
    }
    if bytes.len() < 4 {
        return Ok(None);
    }
    Err(PacketError::TooLong)
}

/// A packet with its length, which the caller has bounded.
fn packet(first: u8, body: &[u8]) -> Vec<u8> {
    let mut out = vec![first];
    let mut left = body.len();
    loop {
        // Seven bits always fit.
        let digit = u8::try_from(left & 0x7f).unwrap_or(0);
        left >>= 7;
        if left == 0 {
            out.push(digit);
            break;
        }
        out.push(digit | 0x80);
    }
    out.extend(body);
    out
}

/// Text or bytes with their length before them.
fn put(out: &mut Vec<u8>, field: &'static str, bytes: &[u8]) -> Result<(), MqttError> {
    let length = u16::try_from(bytes.len());
    let length = length.map_err(|_| refused(format!("{field}: {TEXT_MOST} bytes are the most")))?;
    out.extend(length.to_be_bytes());
    out.extend(bytes);
    Ok(())
}

fn put_text(out: &mut Vec<u8>, field: &'static str, text: &str) -> Result<(), MqttError> {
    if text.contains('\0') {
        return Err(refused(format!("{field}: a NUL")));
    }
    put(out, field, text.as_bytes())
}

/// A topic to publish to; the longest is refused where it is written.
fn put_topic(out: &mut Vec<u8>, topic: &str) -> Result<(), MqttError> {
    if topic.is_empty() || topic.contains(['+', '#']) {
        return Err(refused(format!("topic {topic:?}: empty, or with + or #")));
    }
    put_text(out, "topic", topic)
}

fn refused(why: impl Into<String>) -> MqttError {
    MqttError::Refused(why.into())
}

fn denied(why: &str) -> MqttError {
    MqttError::Denied(why.to_owned())
}

/// Nothing of the message in hand has left.
fn not_sent(why: &io::Error) -> MqttError {
    MqttError::NotSent(why.to_string())
}

/// The same of a connection that is only being made: a peer that speaks something else will do so again.
fn not_taken(why: &io::Error) -> MqttError {
    match why
        .get_ref()
        .and_then(|inner| inner.downcast_ref::<PacketError>())
    {
        Some(why) => refused(why.to_string()),
        None => not_sent(why),
    }
}

fn unknown(why: &io::Error) -> MqttError {
    MqttError::Unknown(why.to_string())
}

impl Broker {
    fn hello(&self) -> Result<Vec<u8>, MqttError> {
        const CLEAN: u8 = 0x02;
        const WILL: u8 = 0x04 | 0x08 | 0x20;
        let has = |there: bool, bits: u8| if there { bits } else { 0 };
        let flags = CLEAN
            | has(self.will.is_some(), WILL)
            | has(!self.user.is_empty(), 0x80)
            | has(self.password.is_some(), 0x40);
        let seconds = self.keep_alive.as_secs().clamp(1, 65_535);
        let mut body = b"\0\x04MQTT\x04".to_vec();
        body.push(flags);
        body.extend(u16::try_from(seconds).unwrap_or(u16::MAX).to_be_bytes());
        put_text(&mut body, "client id", &self.client_id)?;
        if let Some(will) = &self.will {
            put_topic(&mut body, &will.topic)?;
            put(&mut body, "last will", &will.payload)?;
        }
        if !self.user.is_empty() {
            put_text(&mut body, "user", &self.user)?;
        }
        if let Some(password) = &self.password {
            put(&mut body, "password", password.expose().as_bytes())?;
        }
        Ok(packet(0x10, &body))
    }

    fn end(&self, most: Instant) -> Instant {
        end_after(self.timeout.min(STEP_MOST)).min(most)
    }

    /// Connects and is taken, before `most`.
    fn open(&self, most: Instant) -> Result<Session, MqttError> {
        if self.password.is_some() && self.tls.is_none() {
            return Err(denied("a password is never sent without TLS"));
        }
        if self.password.is_some() && self.user.is_empty() {
            return Err(denied("a password needs a user"));
        }
        let hello = self.hello()?;
        let end = self.end(most);
        let link = Link::open(&self.stop, self.tls.as_ref(), &self.address, end);
        let mut session = Session {
            link: link.map_err(|why| not_sent(&why))?,
            buffer: Vec::new(),
        };
        session.link.say(&hello).map_err(|why| not_sent(&why))?;
        match session.next().map_err(|why| not_taken(&why))? {
            Packet::Connack(0) => Ok(session),
            Packet::Connack(1) => Err(refused("the broker does not speak MQTT 3.1.1")),
            Packet::Connack(2) => Err(refused("the broker does not take the client id")),
            Packet::Connack(3) => Err(MqttError::NotSent("the broker is not ready".to_owned())),
            Packet::Connack(4) => Err(denied("wrong user or password")),
            Packet::Connack(5) => Err(denied("not authorised")),
            Packet::Connack(_) | Packet::Puback(_) | Packet::Pingresp | Packet::Other => {
                Err(refused("the broker does not speak MQTT 3.1.1"))
            }
        }
    }
}

/// A connection on which we are taken.
#[derive(Debug)]
struct Session {
    link: Link,
    /// Came in and not read yet.
    buffer: Vec<u8>,
}

impl Session {
    /// The next packet, at most until the link's end.
    fn next(&mut self) -> io::Result<Packet> {
        loop {
            if let Some((packet, length)) = read_packet(&self.buffer).map_err(io::Error::other)? {
                self.buffer.drain(..length);
                return Ok(packet);
            }
            let mut room = [0; 1 << 10];
            let read = self.link.read(&mut room)?;
            if read == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            self.buffer.extend(room.iter().take(read));
        }
    }

    /// What came in meanwhile: true where a ping was answered. Fails once the connection is gone.
    fn look(&mut self) -> io::Result<bool> {
        self.link.ends_at(end_after(GLANCE));
        // It is over before any stop.
        self.link.heed_stop(false);
        let mut answered = false;
        loop {
            match self.next() {
                Ok(packet) => answered |= packet == Packet::Pingresp,
                Err(why) if why.kind() == io::ErrorKind::TimedOut => return Ok(answered),
                Err(why) => return Err(why),
            }
        }
    }

    fn acknowledged(&mut self, number: u16) -> io::Result<()> {
        while self.next()? != Packet::Puback(number) {}
        Ok(())
    }
}

/// One client of one broker. Dropped without [`Client::close`] it leaves its last will, as a process that is killed does:
/// whoever forgets to take leave did not mean to.
#[derive(Debug)]
pub struct Client {
    broker: Broker,
    session: Option<Session>,
    /// A connection of which the caller does not know yet.
    is_new: bool,
    /// When we last said anything.
    said_at: Option<Instant>,
    /// When a ping was sent that is not answered yet.
    asked_at: Option<Instant>,
    /// Number of the last message.
    number: u16,
    /// Of the connections before.
    bytes: (u64, u64),
    /// When the attempt in hand is over, however many messages it has.
    most: Option<Instant>,
}

impl Client {
    /// Connects with the first need.
    pub fn new(broker: Broker) -> Self {
        Self {
            broker,
            session: None,
            is_new: false,
            said_at: None,
            asked_at: None,
            number: 0,
            bytes: (0, 0),
            most: None,
        }
    }

    /// All that is done until the next call takes at most `ATTEMPT_MOST` of `escalation::http`: a broker that answers each of
    /// several messages late holds up nobody for longer.
    pub fn begin_attempt(&mut self) {
        self.most = Some(end_after(ATTEMPT_MOST));
    }

    fn most(&self) -> Instant {
        self.most.unwrap_or_else(|| end_after(ATTEMPT_MOST))
    }

    /// Publishes at least once (QoS 1) and waits for the acknowledgement; connects when needed. `topic` has 1 to 65,535
    /// bytes without `+`, `#` and NUL, `payload` at most 1 MiB. Takes at most two of `timeout`. Once the daemon is to
    /// stop nothing is connected any more, but on a connection that stands there are two seconds for a last word.
    pub fn publish(
        &mut self,
        topic: &str,
        payload: &[u8],
        retain: bool,
        now: Instant,
    ) -> Result<(), MqttError> {
        let mut body = Vec::new();
        put_topic(&mut body, topic)?;
        if payload.len() > PAYLOAD_MOST {
            let length = payload.len();
            return Err(refused(format!(
                "{length} bytes: {PAYLOAD_MOST} are the most"
            )));
        }
        // From 1 on: no message has the number 0.
        self.number = self.number.checked_add(1).unwrap_or(1);
        let number = self.number;
        body.extend(number.to_be_bytes());
        body.extend(payload);
        let message = packet(if retain { 0x33 } else { 0x32 }, &body);
        let stops = self.stops();
        if !stops && self.look(now).is_err() {
            // Known before the message is given to it, when nobody could tell whether it arrived.
            log::debug!("the connection to the broker was gone");
        }
        let span = self.broker.timeout.min(STEP_MOST);
        let span = if stops { span.min(LAST_WORD) } else { span };
        let most = self.most();
        let session = self.connected(now)?;
        session.link.ends_at(end_after(span).min(most));
        session.link.heed_stop(!stops);
        let said = session.link.say(&message);
        match said.and_then(|()| session.acknowledged(number)) {
            Ok(()) => {
                self.said_at = Some(now);
                Ok(())
            }
            Err(why) => {
                // A stop that came while we waited ended nothing: a late answer is passed over, and there is a last word to say.
                if stops || !self.stops() {
                    self.drop_session();
                }
                Err(unknown(&why))
            }
        }
    }

    /// To be called every some seconds: connects when there is no connection, pings when half of `keep_alive` went by
    /// without a word of ours. Never waits for anything but a new connection. True where the caller does not know the
    /// connection yet, and so has to say again what is true. When to try again after an error is the caller's to say.
    pub fn keep(&mut self, now: Instant) -> Result<bool, MqttError> {
        if self.stops() {
            return Ok(false);
        }
        self.look(now)?;
        self.connected(now)?;
        let (half, most) = (self.broker.keep_alive / 2, self.most());
        let is_due = |at| now.saturating_duration_since(at) >= half;
        if self.said_at.is_some_and(is_due)
            && let Some(session) = &mut self.session
        {
            session.link.ends_at(self.broker.end(most));
            session.link.heed_stop(false);
            let asked = session.link.say(&PINGREQ);
            asked.map_err(|why| self.lost(&why))?;
            self.said_at = Some(now);
            self.asked_at.get_or_insert(now);
        }
        Ok(std::mem::take(&mut self.is_new))
    }

    /// Takes leave, so that no last will is told. What the caller wants to be known instead it publishes before.
    pub fn close(&mut self) {
        if let Some(mut session) = self.session.take() {
            session.link.heed_stop(false);
            session.link.ends_at(end_after(LAST_WORD));
            // A connection that is gone already has told the will. One that is closed with bytes that nobody read is
            // reset, and what was said last with it: the broker closes first.
            if session.link.say(&DISCONNECT).is_ok() {
                while session.next().is_ok() {}
            }
            self.count(&session.link);
            session.link.close();
        }
    }

    /// Bytes sent and received since `new`, those of TLS included.
    pub fn bytes(&self) -> (u64, u64) {
        let now = self
            .session
            .as_ref()
            .map_or((0, 0), |session| session.link.traffic());
        (
            self.bytes.0.saturating_add(now.0),
            self.bytes.1.saturating_add(now.1),
        )
    }

    fn count(&mut self, link: &Link) {
        let (sent, received) = link.traffic();
        self.bytes.0 = self.bytes.0.saturating_add(sent);
        self.bytes.1 = self.bytes.1.saturating_add(received);
    }

    fn drop_session(&mut self) {
        if let Some(session) = self.session.take() {
            self.count(&session.link);
        }
    }

    fn lost(&mut self, why: &io::Error) -> MqttError {
        self.drop_session();
        not_sent(why)
    }

    /// Notices a connection that is gone, and one on which nobody answers.
    fn look(&mut self, now: Instant) -> Result<(), MqttError> {
        let Some(session) = &mut self.session else {
            return Ok(());
        };
        match session.look() {
            Ok(true) => self.asked_at = None,
            Ok(false) => {}
            Err(why) => return Err(self.lost(&why)),
        }
        let waits = |at| now.saturating_duration_since(at) >= self.broker.timeout;
        if self.asked_at.is_some_and(waits) {
            return Err(self.lost(&io::ErrorKind::TimedOut.into()));
        }
        Ok(())
    }

    /// The connection that stands, or a new one.
    fn connected(&mut self, now: Instant) -> Result<&mut Session, MqttError> {
        let session = match self.session.take() {
            Some(session) => session,
            None => {
                let session = self.broker.open(self.most())?;
                self.is_new = true;
                self.said_at = Some(now);
                self.asked_at = None;
                session
            }
        };
        Ok(self.session.insert(session))
    }

    fn stops(&self) -> bool {
        self.broker.stop.load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests;
