//! The network as this program uses it: the only place that looks names up, connects and speaks TLS. Every
//! wait has an end.

pub mod addresses;
pub mod listeners;
mod tls;

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream, ToSocketAddrs};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::{Duration, Instant};

pub use tls::{Tls, TlsError, TlsStream};

/// A TCP connection.
pub type Connection = Until<TcpStream>;

/// The addresses of `host:port`. A name is looked up on a thread of its own, which is left behind at the end of
/// the time: the C library's lookup cannot be interrupted.
pub fn resolve(address: &str, end: Instant) -> io::Result<Vec<SocketAddr>> {
    if let Ok(known) = address.parse() {
        return Ok(vec![known]);
    }
    if time_left(end).is_zero() {
        return Err(over());
    }
    let (sender, receiver) = mpsc::sync_channel(1);
    let name = address.to_owned();
    std::thread::Builder::new()
        .name("name-lookup".to_owned())
        .spawn(move || {
            // Nobody may be waiting any more.
            let _ = sender.send(name.to_socket_addrs().map(Iterator::collect));
        })?;
    match receiver.recv_timeout(time_left(end)) {
        Ok(addresses) => addresses,
        Err(RecvTimeoutError::Timeout) => Err(over()),
        Err(RecvTimeoutError::Disconnected) => Err(io::Error::other("the name lookup broke off")),
    }
}

/// Connects to the first of `addresses` that answers. Each but the last gets half of the time that is left: one
/// that swallows packets must not use up the time of the next.
pub fn connect(mut addresses: &[SocketAddr], end: Instant) -> io::Result<Connection> {
    let mut last = io::Error::new(io::ErrorKind::NotFound, "the name has no address");
    while let Some((address, rest)) = addresses.split_first() {
        let left = time_left(end);
        if left.is_zero() {
            return Err(over());
        }
        let share = left
            .checked_div(if rest.is_empty() { 1 } else { 2 })
            .unwrap_or(left);
        match TcpStream::connect_timeout(address, share) {
            Ok(stream) => return Ok(Until::new(stream, end)),
            Err(why) => last = why,
        }
        addresses = rest;
    }
    Err(last)
}

/// Looks up `host:port` and connects.
pub fn dial(address: &str, end: Instant) -> io::Result<Connection> {
    connect(&resolve(address, end)?, end)
}

/// A connection within this machine.
pub type Local = UnixStream;

/// Connects to a socket of this machine.
pub fn local(path: &Path, end: Instant) -> io::Result<Until<Local>> {
    Ok(Until::new(UnixStream::connect(path)?, end))
}

fn time_left(end: Instant) -> Duration {
    end.saturating_duration_since(Instant::now())
}

/// In the kernel's words.
fn over() -> io::Error {
    io::Error::new(io::ErrorKind::TimedOut, "connection timed out")
}

/// A connection with time limits of its own.
pub trait Socket: Read + Write {
    fn limit_read(&self, span: Duration) -> io::Result<()>;
    fn limit_write(&self, span: Duration) -> io::Result<()>;
}

impl Socket for TcpStream {
    fn limit_read(&self, span: Duration) -> io::Result<()> {
        self.set_read_timeout(Some(span))
    }

    fn limit_write(&self, span: Duration) -> io::Result<()> {
        self.set_write_timeout(Some(span))
    }
}

impl Socket for UnixStream {
    fn limit_read(&self, span: Duration) -> io::Result<()> {
        self.set_read_timeout(Some(span))
    }

    fn limit_write(&self, span: Duration) -> io::Result<()> {
        self.set_write_timeout(Some(span))
    }
}

/// A connection that fails with `TimedOut` from a point in time on, however slowly the other side trickles.
#[derive(Debug)]
pub struct Until<S> {
    socket: S,
    end: Instant,
}

impl<S: Socket> Until<S> {
    fn new(socket: S, end: Instant) -> Self {
        Self { socket, end }
    }

    /// Another end from now on.
    pub fn ends_at(&mut self, end: Instant) {
        self.end = end;
    }

    fn left(&self) -> io::Result<Duration> {
        match time_left(self.end) {
            Duration::ZERO => Err(over()),
            left => Ok(left),
        }
    }
}

/// What the kernel says of a limit that was met.
fn late(why: io::Error) -> io::Error {
    if why.kind() == io::ErrorKind::WouldBlock {
        over()
    } else {
        why
    }
}

impl<S: Socket> Read for Until<S> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            self.socket.limit_read(self.left()?)?;
            match self.socket.read(buffer) {
                Err(why) if why.kind() == io::ErrorKind::Interrupted => {}
                done => return done.map_err(late),
            }
        }
    }
}

impl<S: Socket> Write for Until<S> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.socket.limit_write(self.left()?)?;
        self.socket.write(bytes).map_err(late)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.socket.flush()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::net::TcpListener;

    use super::*;
    use crate::host::clock::end_after;

    #[test]
    fn an_address_that_refuses_is_passed_over() {
        let dead = TcpListener::bind("127.0.0.1:0").unwrap();
        let refused = dead.local_addr().unwrap();
        drop(dead);
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let addresses = [refused, listener.local_addr().unwrap()];
        let end = end_after(Duration::from_secs(10));
        assert!(connect(&addresses, end).is_ok());
        let why = connect(&[refused], end).unwrap_err();
        assert_eq!(why.kind(), io::ErrorKind::ConnectionRefused);
        let why = connect(&addresses, Instant::now()).unwrap_err();
        assert_eq!(why.kind(), io::ErrorKind::TimedOut);
    }

    #[test]
    fn a_numeric_address_needs_no_lookup_and_a_name_has_an_end() {
        let numeric = resolve("[::1]:80", Instant::now()).unwrap();
        assert_eq!(numeric, ["[::1]:80".parse().unwrap()]);
        let why = resolve("localhost:80", Instant::now()).unwrap_err();
        assert_eq!(why.kind(), io::ErrorKind::TimedOut);
        assert!(resolve("localhost", end_after(Duration::from_secs(10))).is_err());
    }

    /// Each byte comes in time for a limit per read, all of them do not.
    #[test]
    fn a_trickling_peer_meets_the_end() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let server = std::thread::spawn(move || {
            let (mut peer, _) = listener.accept().unwrap();
            // Until the other side is gone.
            while peer.write_all(b"x").is_ok() {}
        });
        let mut stream = connect(&[address], end_after(Duration::from_secs(10))).unwrap();
        stream.ends_at(end_after(Duration::from_millis(50)));
        let mut byte = [0];
        let why = loop {
            if let Err(why) = stream.read(&mut byte) {
                break why;
            }
        };
        assert_eq!(why.kind(), io::ErrorKind::TimedOut);
        drop(stream);
        server.join().unwrap();
    }
}
