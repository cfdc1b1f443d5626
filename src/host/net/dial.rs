//! Looks names up and connects, within limits of time.

use std::io;
use std::net::{SocketAddr, TcpStream, ToSocketAddrs};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::Instant;

use crate::host::net::until::{Connection, Until, over, time_left};

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

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::net::TcpListener;
    use std::time::Duration;

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
}
