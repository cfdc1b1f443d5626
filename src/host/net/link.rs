//! A connection that may go over to TLS.

use std::io::{self, Read, Write};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Instant;

use crate::host::net::dial::dial_unless;
use crate::host::net::tls::{Tls, TlsStream};
use crate::host::net::until::Connection;

/// One connection to a server, in the clear or inside TLS.
#[derive(Debug)]
pub enum Link {
    Clear(Connection),
    Sealed(Box<TlsStream<Connection>>),
}

impl Link {
    /// Looks `host:port` up and connects, and makes the TLS handshake where there is `tls`. All that is done with the
    /// link is given up at `end` and once `stop` is set.
    pub fn open(
        stop: &Arc<AtomicBool>,
        tls: Option<&Tls>,
        address: &str,
        end: Instant,
    ) -> io::Result<Self> {
        let clear = Self::Clear(dial_unless(stop, address, end)?);
        match tls {
            Some(tls) => clear.seal(tls, address),
            None => Ok(clear),
        }
    }

    /// Goes over to TLS, as the server named in `address` (`host:port`) has to prove.
    pub fn seal(self, tls: &Tls, address: &str) -> io::Result<Self> {
        let Self::Clear(connection) = self else {
            return Ok(self);
        };
        let host = address.rsplit_once(':').map_or(address, |(host, _)| host);
        Ok(Self::Sealed(Box::new(tls.wrap(host, connection)?)))
    }

    fn connection(&mut self) -> &mut Connection {
        match self {
            Self::Clear(connection) => connection,
            Self::Sealed(stream) => stream.get_mut(),
        }
    }

    /// Another end from now on.
    pub fn ends_at(&mut self, end: Instant) {
        self.connection().ends_at(end);
    }

    /// Whether a stop of the daemon ends it as well.
    pub fn heed_stop(&mut self, heeds: bool) {
        self.connection().heed_stop(heeds);
    }

    /// Bytes that were sent and received, those of TLS included.
    pub fn traffic(&self) -> (u64, u64) {
        match self {
            Self::Clear(connection) => connection.traffic(),
            Self::Sealed(stream) => stream.get_ref().traffic(),
        }
    }

    /// Writes all of it, and hears of a failure now: inside TLS a write alone keeps it for the next one.
    pub fn say(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.write_all(bytes)?;
        self.flush()
    }

    /// Says that nothing more follows, where TLS has a word for it.
    pub fn close(mut self) {
        if let Self::Sealed(stream) = &mut self {
            stream.conn.send_close_notify();
            // Nothing hangs on it any more.
            let _ = stream.flush();
        }
    }
}

impl Read for Link {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Clear(connection) => connection.read(buffer),
            Self::Sealed(stream) => stream.read(buffer),
        }
    }
}

impl Write for Link {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Clear(connection) => connection.write(bytes),
            Self::Sealed(stream) => stream.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Clear(connection) => connection.flush(),
            Self::Sealed(stream) => stream.flush(),
        }
    }
}
