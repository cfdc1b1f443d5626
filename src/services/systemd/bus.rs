//! A connection to systemd: its own socket where we are root, which needs no bus daemon, else the system bus. Each
//! wait has an end; whatever comes in is bounded.

use std::fmt;
use std::io::{self, Read, Write};
use std::ops::Range;
use std::time::Instant;

use nix::unistd::geteuid;

use crate::host::Host;
use crate::host::net::{self, Until};
use crate::services::systemd::wire::{self, Call, Message, MessageKind, WireError};

const PRIVATE: &str = "/run/systemd/private";
const SYSTEM_BUS: &str = "/run/dbus/system_bus_socket";
const SYSTEMD: &str = "org.freedesktop.systemd1";
const DAEMON: &str = "org.freedesktop.DBus";
pub const MANAGER_PATH: &str = "/org/freedesktop/systemd1";
pub const MANAGER: &str = "org.freedesktop.systemd1.Manager";
pub const PROPERTIES: &str = "org.freedesktop.DBus.Properties";
/// Longest line of the greeting.
const LINE_MOST: usize = 512;
/// Bytes read at once.
const CHUNK: usize = 64 << 10;
/// Calls on their way at once.
const IN_FLIGHT: usize = 32;

/// Why systemd was not asked, or did not answer.
#[derive(Debug)]
pub enum BusError {
    /// No connection: nothing was asked.
    Unreachable(io::Error),
    /// The connection broke; what was asked last may have been done.
    Lost(io::Error),
    Wire(WireError),
    /// systemd's own words: the error's name, and why.
    Refused(String, String),
}

impl fmt::Display for BusError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unreachable(why) => write!(f, "no connection to systemd: {why}"),
            Self::Lost(why) => write!(f, "connection to systemd: {why}"),
            Self::Wire(why) => write!(f, "systemd's bus: {why}"),
            Self::Refused(name, why) => {
                let name = name.rsplit('.').next().unwrap_or(name);
                write!(f, "{name}: {why}")
            }
        }
    }
}

impl std::error::Error for BusError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Unreachable(why) | Self::Lost(why) => Some(why),
            Self::Wire(why) => Some(why),
            Self::Refused(..) => None,
        }
    }
}

impl From<WireError> for BusError {
    fn from(why: WireError) -> Self {
        Self::Wire(why)
    }
}

fn lost(why: io::Error) -> BusError {
    BusError::Lost(why)
}

/// Before anything was asked, only silence says that somebody is there.
fn not_there(why: BusError) -> BusError {
    match why {
        BusError::Lost(why) if why.kind() == io::ErrorKind::TimedOut => BusError::Lost(why),
        BusError::Lost(why) | BusError::Unreachable(why) => BusError::Unreachable(why),
        BusError::Wire(_) | BusError::Refused(..) => BusError::Unreachable(io::Error::other(why)),
    }
}

fn late() -> BusError {
    lost(io::Error::new(io::ErrorKind::TimedOut, "no answer in time"))
}

/// Hears what comes beside the answers.
pub type Aside<'a> = dyn FnMut(&Message<'_>) + 'a;

/// Takes the answer to a question by its number; `None` for one that was refused.
pub type Take<'a> = dyn FnMut(usize, Option<&Message<'_>>) -> Result<(), WireError> + 'a;

#[derive(Debug)]
pub struct BusConnection {
    socket: Until<net::Local>,
    buffer: Vec<u8>,
    /// What of the buffer was handed out.
    read: usize,
    serial: u32,
    /// systemd's own name on the bus; `None` on its own socket. Others on the bus can send us what they like.
    systemd: Option<String>,
}

impl BusConnection {
    /// Connects by the first way there is. systemd that takes us and then says nothing is no reason for another.
    pub fn open(host: &Host, end: Instant) -> Result<Self, BusError> {
        match Self::greet(host, PRIVATE, end) {
            Err(BusError::Unreachable(_)) => Self::of_bus(host, end),
            other => other,
        }
    }

    fn of_bus(host: &Host, end: Instant) -> Result<Self, BusError> {
        let mut connection = Self::greet(host, SYSTEM_BUS, end)?;
        connection.ask_daemon("Hello", &[], end, |_| Ok(()))?;
        let name = |message: &Message<'_>| Ok(message.body().text()?.to_owned());
        let owner = connection.ask_daemon("GetNameOwner", &[SYSTEMD], end, name);
        connection.systemd = Some(owner.map_err(not_there)?);
        Ok(connection)
    }

    /// Connects, and says who we are; the other side knows it from the kernel.
    fn greet(host: &Host, socket: &str, end: Instant) -> Result<Self, BusError> {
        let socket = net::local(&host.path(socket), end).map_err(BusError::Unreachable)?;
        let mut connection = Self {
            socket,
            buffer: Vec::new(),
            read: 0,
            serial: 0,
            systemd: None,
        };
        connection.be_taken().map_err(not_there)?;
        Ok(connection)
    }

    fn be_taken(&mut self) -> Result<(), BusError> {
        let user = geteuid().to_string();
        let user: String = user.bytes().map(|digit| format!("{digit:02x}")).collect();
        // In one piece: systemd does not look again at a message that it read together with the last line.
        self.write(format!("\0AUTH EXTERNAL {user}\r\nBEGIN\r\n").as_bytes())?;
        if !self.line()?.starts_with(b"OK ") {
            return Err(lost(io::ErrorKind::PermissionDenied.into()));
        }
        Ok(())
    }

    fn line(&mut self) -> Result<Vec<u8>, BusError> {
        let mut line = Vec::new();
        let mut byte = [0];
        while !line.ends_with(b"\r\n") {
            if line.len() > LINE_MOST {
                return Err(WireError::Malformed("greeting").into());
            }
            self.socket.read_exact(&mut byte).map_err(lost)?;
            line.extend(byte);
        }
        Ok(line)
    }

    fn write(&mut self, bytes: &[u8]) -> Result<(), BusError> {
        self.socket.write_all(bytes).map_err(lost)
    }

    /// Where in the buffer the next message stands; `None` when none came until `end`.
    fn frame(&mut self, end: Instant) -> Result<Option<Range<usize>>, BusError> {
        self.socket.ends_at(end);
        loop {
            let there = self.buffer.get(self.read..).unwrap_or_default();
            if let Some(length) = wire::length(there)?.filter(|length| *length <= there.len()) {
                let from = self.read;
                self.read = self.read.saturating_add(length);
                return Ok(Some(from..self.read));
            }
            self.buffer.drain(..self.read);
            self.read = 0;
            if !self.fill()? {
                return Ok(None);
            }
        }
    }

    /// Reads what is there; false when nothing came in time.
    fn fill(&mut self) -> Result<bool, BusError> {
        let old = self.buffer.len();
        self.buffer.resize(old.saturating_add(CHUNK), 0);
        let room = self.buffer.get_mut(old..).unwrap_or_default();
        let done = self.socket.read(room);
        self.buffer
            .truncate(old.saturating_add(*done.as_ref().unwrap_or(&0)));
        match done {
            Ok(0) => Err(lost(io::ErrorKind::UnexpectedEof.into())),
            Ok(_) => Ok(true),
            Err(why) if why.kind() == io::ErrorKind::TimedOut => Ok(false),
            Err(why) => Err(lost(why)),
        }
    }

    /// The next message of systemd's; `None` when none came until `end`.
    pub fn next(&mut self, end: Instant) -> Result<Option<Message<'_>>, BusError> {
        let Some(frame) = self.heard(end)? else {
            return Ok(None);
        };
        Ok(Some(self.message(frame)?))
    }

    /// Where the next message stands that is systemd's or the bus daemon's.
    fn heard(&mut self, end: Instant) -> Result<Option<Range<usize>>, BusError> {
        loop {
            let Some(frame) = self.frame(end)? else {
                return Ok(None);
            };
            let message = self.message(frame.clone())?;
            if message.is_signal(DAEMON, "NameOwnerChanged") && message.sender == DAEMON {
                // It left the bus, or came back under another name.
                return Err(lost(io::ErrorKind::ConnectionReset.into()));
            }
            let own = |name: &String| message.sender == name || message.sender == DAEMON;
            if self.systemd.as_ref().is_none_or(own) {
                return Ok(Some(frame));
            }
        }
    }

    fn message(&self, frame: Range<usize>) -> Result<Message<'_>, BusError> {
        let bytes = self.buffer.get(frame).unwrap_or_default();
        Ok(wire::parse(bytes)?)
    }

    fn send(&mut self, call: &Call<'_>, end: Instant) -> Result<u32, BusError> {
        self.serial = self.serial.wrapping_add(1).max(1);
        self.socket.ends_at(end);
        self.write(&call.bytes(self.serial))?;
        Ok(self.serial)
    }

    /// Asks, and reads the answer with `read`; what else comes meanwhile goes to `aside`.
    pub fn ask<T>(
        &mut self,
        call: &Call<'_>,
        end: Instant,
        aside: &mut Aside<'_>,
        read: impl FnOnce(&Message<'_>) -> Result<T, WireError>,
    ) -> Result<T, BusError> {
        let serial = self.send(call, end)?;
        loop {
            let frame = self.heard(end)?.ok_or_else(late)?;
            let message = self.message(frame)?;
            if message.reply_to == serial {
                return Ok(read(answer(&message)?)?);
            }
            aside(&message);
        }
    }

    /// Asks many questions, some at once, and hands on each answer with its number; one that was refused is `None`.
    pub fn ask_all<'c>(
        &mut self,
        calls: impl Iterator<Item = Call<'c>>,
        end: Instant,
        take: &mut Take<'_>,
    ) -> Result<(), BusError> {
        let mut calls = calls.fuse();
        let first = self.serial.saturating_add(1);
        let mut waiting = 0_usize;
        loop {
            while waiting < IN_FLIGHT
                && let Some(call) = calls.next()
            {
                self.send(&call, end)?;
                waiting = waiting.saturating_add(1);
            }
            if waiting == 0 {
                return Ok(());
            }
            let frame = self.heard(end)?.ok_or_else(late)?;
            let message = self.message(frame)?;
            let number = message.reply_to.checked_sub(first);
            if let Some(number) = number.and_then(|number| usize::try_from(number).ok()) {
                waiting = waiting.saturating_sub(1);
                take(number, answer(&message).ok())?;
            }
        }
    }

    /// How systemd is called by this connection.
    pub fn peer(&self) -> Peer {
        Peer(self.systemd.as_ref().map_or("", |_| SYSTEMD))
    }

    /// A call of systemd's manager object.
    pub fn manager<'c>(&self, member: &'c str, args: &'c [&'c str]) -> Call<'c> {
        self.peer().call(MANAGER_PATH, MANAGER, member, args)
    }

    fn ask_daemon<T>(
        &mut self,
        member: &str,
        args: &[&str],
        end: Instant,
        read: impl FnOnce(&Message<'_>) -> Result<T, WireError>,
    ) -> Result<T, BusError> {
        let call = Call {
            destination: DAEMON,
            path: "/org/freedesktop/DBus",
            interface: DAEMON,
            member,
            args,
        };
        self.ask(&call, end, &mut |_| {}, read)
    }

    /// From now on systemd's signals come in.
    pub fn subscribe(&mut self, end: Instant) -> Result<(), BusError> {
        if self.systemd.is_some() {
            let of_systemd =
                format!("type='signal',sender='{SYSTEMD}',path_namespace='{MANAGER_PATH}'");
            let of_its_name = format!(
                "type='signal',sender='{DAEMON}',member='NameOwnerChanged',arg0='{SYSTEMD}'"
            );
            for rule in [of_its_name, of_systemd] {
                self.ask_daemon("AddMatch", &[&rule], end, |_| Ok(()))?;
            }
        }
        let call = self.manager("Subscribe", &[]);
        match self.ask(&call, end, &mut |_| {}, |_| Ok(())) {
            // It told us all along.
            Err(BusError::Refused(..)) => Ok(()),
            other => other,
        }
    }
}

/// systemd's name in a call; none on its own socket.
#[derive(Clone, Copy, Debug)]
pub struct Peer(&'static str);

impl Peer {
    pub fn call<'c>(
        self,
        path: &'c str,
        interface: &'c str,
        member: &'c str,
        args: &'c [&'c str],
    ) -> Call<'c> {
        Call {
            destination: self.0,
            path,
            interface,
            member,
            args,
        }
    }
}

/// The answer itself, or why there is none.
fn answer<'m, 'b>(message: &'m Message<'b>) -> Result<&'m Message<'b>, BusError> {
    if message.kind != MessageKind::Error {
        return Ok(message);
    }
    let why = message.body().text().unwrap_or_default();
    Err(BusError::Refused(message.error.to_owned(), why.to_owned()))
}

/// The object of a unit, by systemd's rule: what is no letter or digit becomes `_` and its number.
pub fn unit_path(unit: &str) -> String {
    let mut path = format!("{MANAGER_PATH}/unit/");
    for (at, byte) in unit.bytes().enumerate() {
        if byte.is_ascii_alphabetic() || (at > 0 && byte.is_ascii_digit()) {
            path.push(char::from(byte));
        } else {
            path.push_str(&format!("_{byte:02x}"));
        }
    }
    path
}

/// The unit of an object, the way back; `None` for another object.
pub fn unit_of_path(path: &str) -> Option<String> {
    let mut rest = path
        .strip_prefix(MANAGER_PATH)?
        .strip_prefix("/unit/")?
        .bytes();
    let mut name = Vec::new();
    while let Some(byte) = rest.next() {
        if byte != b'_' {
            name.push(byte);
            continue;
        }
        let mut digit = || char::from(rest.next()?).to_digit(16);
        let code = digit()?.checked_mul(16)?.checked_add(digit()?)?;
        name.push(u8::try_from(code).ok()?);
    }
    String::from_utf8(name).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_unit_has_an_object_and_the_object_a_unit() {
        for (unit, path) in [
            ("a.service", "a_2eservice"),
            ("9p@x-1.mount", "_39p_40x_2d1_2emount"),
            ("dev-disk\\x2d.swap", "dev_2ddisk_5cx2d_2eswap"),
        ] {
            assert_eq!(unit_path(unit), format!("{MANAGER_PATH}/unit/{path}"));
            assert_eq!(unit_of_path(&unit_path(unit)).as_deref(), Some(unit));
        }
        for none in [
            "/",
            "/org/freedesktop/systemd1/job/1",
            "/org/freedesktop/systemd1/unit/a_2",
        ] {
            assert_eq!(unit_of_path(none), None);
        }
    }
}
