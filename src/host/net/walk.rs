//! The walk beyond the gateway: declared destinations, and the resolvers where none of them answers. Nobody else is asked.

use std::io::{self, ErrorKind};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::time::{Duration, Instant};

use rustls::CertificateError;

use crate::core::config::Destination;
use crate::core::model::time::Timestamp;
use crate::core::reading::uplink::{Beyond, PeerAnswer, Resolved};
use crate::host::Host;
use crate::host::clock::end_after;
use crate::host::net::account;
use crate::host::net::dial::{connect, resolve};
use crate::host::net::tls::Tls;

/// Time for the name, the connection and the handshake of one destination.
const PEER_TIME: Duration = Duration::from_secs(8);
/// Time for an answer of a resolver, and how often it is asked.
const RESOLVER_TIME: Duration = Duration::from_secs(2);
const RESOLVER_TRIES: u32 = 2;
/// As many as the C library asks (resolv.conf(5)).
const RESOLVERS_MOST: usize = 3;
/// Most destinations of one walk: with the times above it is over within two minutes.
const PEERS_MOST: usize = 8;
const DNS_PORT: u16 = 53;
const RESOLV_CAP: u64 = 64 << 10;

/// Walks to the first destination that answers; one in the host's own `networks` says nothing of the way out, and is not
/// asked. Bytes are on the account of the calling thread.
pub fn walk(host: &Host, destinations: &[Destination], networks: &[String]) -> Beyond {
    let mut beyond = Beyond {
        clock_is_early: !host.clock.is_sane(),
        is_unsynced: host.clock.is_synced().is_ok_and(|synced| !synced),
        ..Beyond::default()
    };
    for one in destinations.iter().take(PEERS_MOST) {
        let Some(answer) = ask(one, networks) else {
            continue;
        };
        let is_up = answer == PeerAnswer::Up;
        beyond.peers.push((one.address.clone(), one.tls, answer));
        if is_up {
            return beyond;
        }
    }
    let asked = beyond.peers.iter().map(|(address, ..)| name_of(address));
    let name = asked.into_iter().find(|name| is_name(name));
    if let Some(name) = name {
        let all = host
            .read("/etc/resolv.conf", RESOLV_CAP)
            .unwrap_or_default();
        let asked = resolvers(&all).into_iter();
        beyond.resolvers = asked
            .map(|address| {
                (
                    address.to_string(),
                    ask_resolver(address, name, host.clock.now()),
                )
            })
            .collect();
    }
    beyond
}

/// None for one that lies in a network of the host's own.
fn ask(destination: &Destination, networks: &[String]) -> Option<PeerAnswer> {
    let end = end_after(PEER_TIME);
    let addresses = resolve(&destination.address, end).unwrap_or_default();
    if addresses.is_empty() {
        return Some(PeerAnswer::NoAddress);
    }
    let far = |address: &&SocketAddr| !is_near(address.ip(), networks);
    let addresses: Vec<SocketAddr> = addresses.iter().filter(far).copied().collect();
    (!addresses.is_empty()).then(|| answer(destination, &addresses, end))
}

fn is_near(address: IpAddr, networks: &[String]) -> bool {
    let IpAddr::V4(address) = address else {
        return address.is_loopback();
    };
    let near = |network: &String| {
        let (base, bits) = network.split_once('/')?;
        let (base, bits) = (base.parse::<Ipv4Addr>().ok()?, bits.parse::<u32>().ok()?);
        let mask = u32::MAX
            .checked_shl(32_u32.saturating_sub(bits))
            .unwrap_or(0);
        Some(u32::from(base) & mask == u32::from(address) & mask)
    };
    address.is_loopback() || networks.iter().any(|network| near(network) == Some(true))
}

fn answer(destination: &Destination, addresses: &[SocketAddr], end: Instant) -> PeerAnswer {
    let stream = match connect(addresses, end) {
        Ok(stream) => stream,
        Err(why) => return answer_of(&why),
    };
    // Roots that cannot be used are told elsewhere.
    let Some(tls) = destination
        .tls
        .then(|| Tls::new(&destination.ca_file).ok())
        .flatten()
    else {
        return PeerAnswer::Up;
    };
    match tls.wrap(name_of(&destination.address), stream) {
        Ok(_) => PeerAnswer::Up,
        Err(why) => answer_of(&why),
    }
}

fn answer_of(why: &io::Error) -> PeerAnswer {
    let source = why.get_ref().and_then(|source| source.downcast_ref());
    if let Some(rustls::Error::InvalidCertificate(wrong)) = source {
        use CertificateError as Wrong;
        let is_late = matches!(wrong, Wrong::Expired | Wrong::ExpiredContext { .. });
        let is_early = matches!(wrong, Wrong::NotValidYet | Wrong::NotValidYetContext { .. });
        return match (is_late, is_early) {
            (true, _) => PeerAnswer::Expired,
            (false, true) => PeerAnswer::NotYetValid,
            (false, false) => PeerAnswer::NotTrusted,
        };
    }
    let is = |kinds: &[ErrorKind]| kinds.contains(&why.kind());
    match () {
        () if is(&[ErrorKind::ConnectionRefused]) => PeerAnswer::Refused,
        () if is(&[ErrorKind::NetworkUnreachable, ErrorKind::HostUnreachable]) => {
            PeerAnswer::Unreachable
        }
        () if is(&[ErrorKind::TimedOut]) => PeerAnswer::Silent,
        () if source.is_some() => PeerAnswer::Other("speaks no TLS that is known here"),
        () => PeerAnswer::Other("breaks the connection off"),
    }
}

/// `host` of `host:port`.
fn name_of(address: &str) -> &str {
    address.rsplit_once(':').map_or(address, |(host, _)| host)
}

fn is_name(host: &str) -> bool {
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    !host.is_empty() && host != "localhost" && bare.parse::<IpAddr>().is_err()
}

/// The resolvers that the C library asks; without one it asks this host.
fn resolvers(text: &str) -> Vec<IpAddr> {
    let named = text.lines().filter_map(|line| {
        let mut words = line.split_ascii_whitespace();
        let is_one = words.next()? == "nameserver";
        let address = words.next().filter(|_| is_one)?;
        // A zone stands behind the address of a link.
        address.split('%').next()?.parse().ok()
    });
    let mut all: Vec<IpAddr> = named.take(RESOLVERS_MOST).collect();
    if all.is_empty() {
        all.push(Ipv4Addr::LOCALHOST.into());
    }
    all
}

fn ask_resolver(address: IpAddr, name: &str, at: Timestamp) -> Resolved {
    // Nobody else's answer gets through a connected socket: it only tells a late one from the next.
    let number = u16::try_from(at.as_millis() & 0xffff).unwrap_or(1);
    let Some(query) = query(number, name) else {
        return Resolved::Answers;
    };
    for _ in 0..RESOLVER_TRIES {
        if let Ok(reply) = exchange(address, &query) {
            return reply;
        }
    }
    Resolved::Silent
}

fn exchange(address: IpAddr, query: &[u8]) -> io::Result<Resolved> {
    let any: IpAddr = match address {
        IpAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
        IpAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
    };
    let socket = UdpSocket::bind((any, 0))?;
    // Connected: an answer of anybody else is dropped by the kernel.
    socket.connect(SocketAddr::from((address, DNS_PORT)))?;
    socket.set_read_timeout(Some(RESOLVER_TIME))?;
    let pay = |bytes: usize| {
        if let Some(account) = account::current() {
            account.add(u64::try_from(bytes).unwrap_or(u64::MAX));
        }
    };
    pay(socket.send(query)?);
    let mut answer = [0; 1500];
    let length = socket.recv(&mut answer)?;
    pay(length);
    let answer = answer.get(..length).unwrap_or_default();
    reply(query, answer).ok_or_else(|| ErrorKind::InvalidData.into())
}

/// One question for the IPv4 address of `name` (RFC 1035, 4.1); none for what is no name.
fn query(number: u16, name: &str) -> Option<Vec<u8>> {
    let mut packet = Vec::with_capacity(64);
    packet.extend(number.to_be_bytes());
    // Recursion is wanted; one question.
    packet.extend([1, 0, 0, 1, 0, 0, 0, 0, 0, 0]);
    for label in name.trim_end_matches('.').split('.') {
        let length = u8::try_from(label.len()).ok()?;
        if !(1..=63).contains(&length) {
            return None;
        }
        packet.push(length);
        packet.extend(label.bytes());
    }
    packet.extend([0, 0, 1, 0, 1]);
    Some(packet)
}

/// That there is no such name (3) is an answer as well. None: it is no reply to this question.
fn reply(query: &[u8], answer: &[u8]) -> Option<Resolved> {
    let (&[one, two, flags, code], _) = answer.split_first_chunk::<4>()?;
    let is_ours = query.starts_with(&[one, two]) && flags & 0x80 != 0;
    is_ours.then_some(match code & 0xf {
        0 | 3 => Resolved::Answers,
        code => Resolved::Fails(code),
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use std::net::TcpListener;

    #[test]
    fn a_question_is_written_and_its_reply_read() {
        let asked = query(0x1234, "hub.plant").unwrap();
        assert_eq!(
            asked,
            b"\x12\x34\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00\x03hub\x05plant\x00\x00\x01\x00\x01"
        );
        assert_eq!(query(1, "a..b"), None);
        assert_eq!(query(1, &"x".repeat(64)), None);
        let said = |bytes: &[u8]| reply(&asked, bytes);
        assert_eq!(said(b"\x12\x34\x81\x80"), Some(Resolved::Answers));
        assert_eq!(said(b"\x12\x34\x81\x83"), Some(Resolved::Answers));
        assert_eq!(said(b"\x12\x34\x81\x82"), Some(Resolved::Fails(2)));
        for wrong in [
            &b"\x12\x35\x81\x80"[..],
            b"\x12\x34\x01\x80",
            b"\x12\x34\x81",
            b"",
        ] {
            assert_eq!(said(wrong), None, "{wrong:?}");
        }
    }

    #[test]
    fn resolvers_are_read_as_the_c_library_does() {
        let text = "# nameserver 9.9.9.9\nsearch plant\nnameserver 127.0.0.53\nnameserver fe80::1%eth0\n\
                    nameserver x\nnameserver 10.0.0.2\nnameserver 10.0.0.3\n";
        let all: Vec<String> = resolvers(text).iter().map(ToString::to_string).collect();
        assert_eq!(all, ["127.0.0.53", "fe80::1", "10.0.0.2"]);
        assert_eq!(resolvers("").len(), 1);
        let networks = ["10.0.3.0/24".to_owned(), "10.1.0.0/16".to_owned()];
        for (address, near) in [
            ("10.0.3.9", true),
            ("10.0.4.9", false),
            ("10.1.200.1", true),
            ("127.0.0.1", true),
            ("::1", true),
            ("2001:db8::1", false),
        ] {
            assert_eq!(
                is_near(address.parse().unwrap(), &networks),
                near,
                "{address}"
            );
        }
        for (host, name) in [
            ("hub", true),
            ("10.0.0.1", false),
            ("[::1]", false),
            ("", false),
        ] {
            assert_eq!(is_name(host), name, "{host}");
        }
    }

    #[test]
    fn what_is_near_is_not_asked_and_what_is_far_answers_or_refuses() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let up = listener.local_addr().unwrap().to_string();
        let dead = TcpListener::bind("127.0.0.1:0").unwrap();
        let refused = dead.local_addr().unwrap().to_string();
        drop(dead);
        let all = [&refused, &up, &refused].map(|address| Destination {
            address: address.clone(),
            tls: false,
            ca_file: String::new(),
        });
        // Everything on this host is near: nobody is asked.
        assert_eq!(walk(&Host::real(), &all, &[]).peers, []);
        let end = || end_after(PEER_TIME);
        let reached =
            |address: &String, one: &Destination| answer(one, &[address.parse().unwrap()], end());
        let [first, second, _] = &all;
        assert_eq!(reached(&refused, first), PeerAnswer::Refused);
        assert_eq!(reached(&up, second), PeerAnswer::Up);
    }
}
