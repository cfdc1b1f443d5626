//! A connection that ends in time, however slowly the other side trickles.

use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::os::fd::AsRawFd;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use nix::sys::socket::{self, AddressFamily, SockFlag, SockType, UnixAddr};

use crate::host::net::account::{self, Account};

/// How often what waits looks whether the daemon is to stop.
pub(super) const STOP_POLL: Duration = Duration::from_millis(100);
pub(super) const STOPS: &str = "the daemon stops";

/// A TCP connection.
pub type Connection = Until<TcpStream>;

/// A connection within this machine.
pub type Local = UnixStream;

/// Connects to a socket of this machine. Where nobody takes connections any more and no more may wait, it fails at once.
pub fn local(path: &Path, end: Instant) -> io::Result<Until<Local>> {
    let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
    let socket = socket::socket(AddressFamily::Unix, SockType::Stream, flags, None)?;
    socket::connect(socket.as_raw_fd(), &UnixAddr::new(path)?)?;
    let stream = UnixStream::from(socket);
    stream.set_nonblocking(false)?;
    Ok(Until::new(stream, end))
}

pub(super) fn time_left(end: Instant) -> Duration {
    end.saturating_duration_since(Instant::now())
}

/// In the kernel's words.
pub(super) fn over() -> io::Error {
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
    stop: Option<Arc<AtomicBool>>,
    heeds_stop: bool,
    sent: u64,
    received: u64,
    account: Option<Arc<Account>>,
}

impl<S: Socket> Until<S> {
    pub(super) fn new(socket: S, end: Instant) -> Self {
        Self {
            socket,
            end,
            stop: None,
            heeds_stop: true,
            sent: 0,
            received: 0,
            account: None,
        }
    }

    /// On the account of the thread that makes it.
    #[must_use]
    pub(super) fn charged(mut self) -> Self {
        self.account = account::current();
        self
    }

    fn pay(&self, bytes: u64) {
        if let Some(account) = &self.account {
            account.add(bytes);
        }
    }

    /// From now on it fails as well once `stop` is set.
    #[must_use]
    pub(super) fn stopped_by(mut self, stop: Arc<AtomicBool>) -> Self {
        self.stop = Some(stop);
        self
    }

    /// Whether the stop counts: what is said while the daemon stops must still get out.
    pub fn heed_stop(&mut self, heeds: bool) {
        self.heeds_stop = heeds;
    }

    /// Another end from now on.
    pub fn ends_at(&mut self, end: Instant) {
        self.end = end;
    }

    /// Bytes that were sent and received.
    pub fn traffic(&self) -> (u64, u64) {
        (self.sent, self.received)
    }

    /// How long to wait at once.
    fn left(&self) -> io::Result<Duration> {
        let stop = self.stop.as_ref().filter(|_| self.heeds_stop);
        if stop.is_some_and(|stop| stop.load(Ordering::Relaxed)) {
            return Err(io::Error::other(STOPS));
        }
        match time_left(self.end) {
            Duration::ZERO => Err(over()),
            left if stop.is_some() => Ok(left.min(STOP_POLL)),
            left => Ok(left),
        }
    }
}

/// True where only the time that was waited at once is over.
fn goes_on(why: &io::Error) -> bool {
    matches!(
        why.kind(),
        io::ErrorKind::Interrupted | io::ErrorKind::WouldBlock
    )
}

impl<S: Socket> Read for Until<S> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            self.socket.limit_read(self.left()?)?;
            match self.socket.read(buffer) {
                Err(why) if goes_on(&why) => {}
                Err(why) => return Err(why),
                Ok(read) => {
                    self.received = self.received.saturating_add(count(read));
                    self.pay(count(read));
                    return Ok(read);
                }
            }
        }
    }
}

impl<S: Socket> Write for Until<S> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        loop {
            self.socket.limit_write(self.left()?)?;
            match self.socket.write(bytes) {
                Err(why) if goes_on(&why) => {}
                Err(why) => return Err(why),
                Ok(written) => {
                    self.sent = self.sent.saturating_add(count(written));
                    self.pay(count(written));
                    return Ok(written);
                }
            }
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        self.socket.flush()
    }
}

fn count(bytes: usize) -> u64 {
    u64::try_from(bytes).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::net::TcpListener;

    use super::*;
    use crate::host::clock::end_after;

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
        let mut stream = Until::new(
            TcpStream::connect(address).unwrap(),
            end_after(Duration::from_secs(10)),
        );
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
