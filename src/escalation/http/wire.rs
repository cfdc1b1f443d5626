//! Names, TCP and TLS of `crate::host::net`, as ureq wants them.
//!
//! ureq's own TLS takes roots as whole certificates only; anchors alone are 0.09 MB less to carry.

use std::fmt;
use std::io::{self, Read, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use ureq::config::Config;
use ureq::http::Uri;
use ureq::unversioned::resolver::{DefaultResolver, ResolvedSocketAddrs, Resolver};
use ureq::unversioned::transport::{
    Buffers, ConnectProxyConnector, ConnectionDetails, Connector, Either, LazyBuffers, NextTimeout,
    Transport, TransportAdapter,
};

use crate::host::clock::end_after;
use crate::host::net::{self, Connection, Tls, TlsStream};

/// Most addresses of a name that ureq takes.
const ADDRESSES_MOST: usize = 16;

/// An agent whose connections are ours. `reached` is set when one stands, TLS included.
pub(super) fn agent(config: Config, tls: Tls, reached: Arc<AtomicBool>) -> ureq::Agent {
    let connector =
        ().chain(ConnectProxyConnector::default())
            .chain(Tcp)
            .chain(Inside(tls))
            .chain(Reached(reached));
    ureq::Agent::with_parts(config, connector, Names)
}

fn end_of(timeout: NextTimeout) -> Instant {
    end_after((*timeout.after).min(super::REQUEST_MOST))
}

fn told(why: io::Error, timeout: NextTimeout) -> ureq::Error {
    if why.kind() == io::ErrorKind::TimedOut {
        ureq::Error::Timeout(timeout.reason)
    } else {
        why.into()
    }
}

#[derive(Debug)]
struct Names;

impl Resolver for Names {
    fn resolve(
        &self,
        uri: &Uri,
        _: &Config,
        timeout: NextTimeout,
    ) -> Result<ResolvedSocketAddrs, ureq::Error> {
        let address = uri
            .scheme()
            .zip(uri.authority())
            .filter(|(scheme, _)| matches!(scheme.as_str(), "http" | "https"))
            .and_then(|(scheme, authority)| DefaultResolver::host_and_port(scheme, authority))
            .ok_or_else(|| ureq::Error::BadUri(uri.to_string()))?;
        let found = net::resolve(&address, end_of(timeout)).map_err(|why| told(why, timeout))?;
        let mut addresses = self.empty();
        for address in found.into_iter().take(ADDRESSES_MOST) {
            addresses.push(address);
        }
        if addresses.is_empty() {
            return Err(ureq::Error::HostNotFound);
        }
        Ok(addresses)
    }
}

/// Opens the connection where no proxy did.
#[derive(Debug)]
struct Tcp;

impl<In: Transport> Connector<In> for Tcp {
    type Out = Either<In, Wire<Connection>>;

    fn connect(
        &self,
        details: &ConnectionDetails,
        chained: Option<In>,
    ) -> Result<Option<Self::Out>, ureq::Error> {
        if let Some(wire) = chained {
            return Ok(Some(Either::A(wire)));
        }
        let socket = net::connect(&details.addrs, end_of(details.timeout))
            .map_err(|why| told(why, details.timeout))?;
        Ok(Some(Either::B(Wire::new(socket, details))))
    }
}

/// Wraps connections to `https://` addresses.
#[derive(Debug)]
struct Inside(Tls);

impl<In: Transport> Connector<In> for Inside {
    type Out = Either<In, Wire<TlsStream<TransportAdapter>>>;

    fn connect(
        &self,
        details: &ConnectionDetails,
        chained: Option<In>,
    ) -> Result<Option<Self::Out>, ureq::Error> {
        let Some(wire) = chained else {
            return Ok(None);
        };
        if !details.needs_tls() || wire.is_tls() {
            return Ok(Some(Either::A(wire)));
        }
        let mut socket = TransportAdapter::new(wire.boxed(), details.current_time.clone());
        socket.set_timeout(details.timeout);
        let stream = self.0.wrap(details.uri.host().unwrap_or(""), socket)?;
        Ok(Some(Either::B(Wire::new(stream, details))))
    }
}

/// Last link of the chain: notes that a connection, TLS included, stood.
#[derive(Debug)]
struct Reached(Arc<AtomicBool>);

impl<In: Transport> Connector<In> for Reached {
    type Out = In;

    fn connect(
        &self,
        _: &ConnectionDetails,
        chained: Option<In>,
    ) -> Result<Option<In>, ureq::Error> {
        if chained.is_some() {
            self.0.store(true, Ordering::Relaxed);
        }
        Ok(chained)
    }
}

/// A stream that is told ureq's time limits.
trait Limited: Read + Write + Send + Sync + 'static {
    const TLS: bool;
    fn limit(&mut self, timeout: NextTimeout);
}

impl Limited for Connection {
    const TLS: bool = false;

    fn limit(&mut self, timeout: NextTimeout) {
        self.ends_at(end_of(timeout));
    }
}

impl Limited for TlsStream<TransportAdapter> {
    const TLS: bool = true;

    fn limit(&mut self, timeout: NextTimeout) {
        self.get_mut().set_timeout(timeout);
    }
}

struct Wire<S> {
    stream: S,
    buffers: LazyBuffers,
}

impl<S> Wire<S> {
    fn new(stream: S, details: &ConnectionDetails) -> Self {
        let config = &details.config;
        Self {
            stream,
            buffers: LazyBuffers::new(config.input_buffer_size(), config.output_buffer_size()),
        }
    }
}

impl<S> fmt::Debug for Wire<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Wire")
    }
}

impl<S: Limited> Transport for Wire<S> {
    fn buffers(&mut self) -> &mut dyn Buffers {
        &mut self.buffers
    }

    fn transmit_output(&mut self, amount: usize, timeout: NextTimeout) -> Result<(), ureq::Error> {
        self.stream.limit(timeout);
        let output = self.buffers.output().get(..amount).unwrap_or_default();
        self.stream
            .write_all(output)
            .map_err(|why| told(why, timeout))
    }

    fn await_input(&mut self, timeout: NextTimeout) -> Result<bool, ureq::Error> {
        self.stream.limit(timeout);
        let room = self.buffers.input_append_buf();
        let read = self.stream.read(room).map_err(|why| told(why, timeout))?;
        self.buffers.input_appended(read);
        Ok(read > 0)
    }

    /// No connection is kept for another request.
    fn is_open(&mut self) -> bool {
        false
    }

    fn is_tls(&self) -> bool {
        S::TLS
    }
}
