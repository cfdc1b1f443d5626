//! A connection that ends in time, however slowly the other side trickles.

use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::{Duration, Instant};

/// A TCP connection.
pub type Connection = Until<TcpStream>;

/// A connection within this machine.
pub type Local = UnixStream;

/// Connects to a socket of this machine.
pub fn local(path: &Path, end: Instant) -> io::Result<Until<Local>> {
    Ok(Until::new(UnixStream::connect(path)?, end))
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
}

impl<S: Socket> Until<S> {
    pub(super) fn new(socket: S, end: Instant) -> Self {
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
