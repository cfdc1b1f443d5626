//! Looks names up and connects, within limits of time.

use std::error::Error;
use std::fmt;
use std::io;
use std::net::{SocketAddr, TcpStream, ToSocketAddrs};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::Instant;

use crate::host::net::account;
use crate::host::net::until::{Connection, STOP_POLL, STOPS, Until, over, time_left};

/// Why what a thread of its own does was left behind.
#[derive(Debug)]
pub enum Waited {
    /// Nothing was begun.
    NoThread(io::Error),
    Stopped,
    TooLong,
    /// The thread ended without a word.
    Broke,
}

impl fmt::Display for Waited {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoThread(why) => write!(f, "no thread: {why}"),
            Self::Stopped => f.write_str(STOPS),
            Self::TooLong => write!(f, "{}", over()),
            Self::Broke => f.write_str("it broke off"),
        }
    }
}

impl Error for Waited {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::NoThread(why) => Some(why),
            Self::Stopped | Self::TooLong | Self::Broke => None,
        }
    }
}

impl From<Waited> for io::Error {
    fn from(why: Waited) -> Self {
        match why {
            Waited::NoThread(why) => why,
            Waited::TooLong => over(),
            Waited::Stopped | Waited::Broke => Self::other(why),
        }
    }
}

/// Does `work` on a thread of its own, which is left behind at `end` (none: it has one itself) or once `stop` is set:
/// neither the C library's name lookup nor a slow server can be interrupted otherwise.
pub fn apart<T: Send + 'static>(
    thread: &str,
    end: Option<Instant>,
    stop: &AtomicBool,
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, Waited> {
    let (sender, receiver) = mpsc::sync_channel(1);
    let account = account::current();
    std::thread::Builder::new()
        .name(thread.to_owned())
        .spawn(move || {
            account::inherit(account);
            // Nobody may be waiting any more.
            let _ = sender.send(work());
        })
        .map_err(Waited::NoThread)?;
    loop {
        let left = end.map_or(STOP_POLL, time_left);
        match receiver.recv_timeout(left.min(STOP_POLL)) {
            Ok(done) => return Ok(done),
            Err(RecvTimeoutError::Disconnected) => return Err(Waited::Broke),
            Err(RecvTimeoutError::Timeout) if stop.load(Ordering::Relaxed) => {
                return Err(Waited::Stopped);
            }
            Err(RecvTimeoutError::Timeout) if left.is_zero() => return Err(Waited::TooLong),
            Err(RecvTimeoutError::Timeout) => {}
        }
    }
}

/// The addresses of `host:port`. A name is looked up on a thread of its own, which is left behind at the end of
/// the time.
pub fn resolve(address: &str, end: Instant) -> io::Result<Vec<SocketAddr>> {
    resolve_unless(&AtomicBool::new(false), address, end)
}

fn resolve_unless(stop: &AtomicBool, address: &str, end: Instant) -> io::Result<Vec<SocketAddr>> {
    if let Ok(known) = address.parse() {
        return Ok(vec![known]);
    }
    if time_left(end).is_zero() {
        return Err(over());
    }
    let name = address.to_owned();
    apart("name-lookup", Some(end), stop, move || {
        name.to_socket_addrs().map(Iterator::collect)
    })?
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
            Ok(stream) => return Ok(Until::new(stream, end).charged()),
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

/// The same, given up at once when `stop` is set; so is whatever is then read or written.
pub fn dial_unless(stop: &Arc<AtomicBool>, address: &str, end: Instant) -> io::Result<Connection> {
    if stop.load(Ordering::Relaxed) {
        return Err(Waited::Stopped.into());
    }
    let addresses = resolve_unless(stop, address, end)?;
    let connected = apart("dial", Some(end), stop, move || connect(&addresses, end))??;
    Ok(connected.stopped_by(Arc::clone(stop)))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::host::clock::end_after;
    use std::net::TcpListener;
    use std::time::Duration;

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

    #[test]
    fn a_stop_ends_what_is_waited_for_and_nothing_is_begun_after_it() {
        let stop = Arc::new(AtomicBool::new(false));
        let (release, held) = mpsc::channel::<()>();
        let waits = Arc::clone(&stop);
        let left = apart("waits", None, &stop, move || {
            waits.store(true, Ordering::Relaxed);
            // Until the test is over.
            let _ = held.recv();
        });
        assert!(matches!(left, Err(Waited::Stopped)), "{left:?}");
        drop(release);
        // Not answered: TEST-NET-1 of RFC 5737, whatever the route.
        let end = end_after(Duration::from_secs(30));
        assert!(dial_unless(&stop, "192.0.2.1:25", end).is_err());
        let soon = end_after(Duration::from_millis(20));
        let (_release, held) = mpsc::channel::<()>();
        let left = apart("waits", Some(soon), &AtomicBool::new(false), move || {
            held.recv().is_ok()
        });
        assert!(matches!(left, Err(Waited::TooLong)), "{left:?}");
    }

    /// A server that says nothing: the read has half a minute, and the stop comes before.
    #[test]
    fn a_stop_ends_a_read() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let stop = Arc::new(AtomicBool::new(false));
        let end = end_after(Duration::from_secs(30));
        let mut stream = dial_unless(&stop, &address, end).unwrap();
        let stopper = std::thread::spawn(move || {
            let peer = listener.accept().unwrap();
            stop.store(true, Ordering::Relaxed);
            peer
        });
        let why = io::Read::read(&mut stream, &mut [0]).unwrap_err();
        assert_eq!(why.to_string(), STOPS);
        // What still has to be said can be said.
        stream.heed_stop(false);
        assert_eq!(io::Write::write(&mut stream, b"x").unwrap(), 1);
        drop(stopper.join().unwrap());
    }
}
