//! Listening sockets and who holds them, from /proc/net and /proc/PID/fd.

use std::collections::BTreeSet;
use std::io;

use crate::host::{Host, procfs};

/// Most bytes read of one socket table: a busy gateway has thousands of connections.
const TABLE_CAP: u64 = 8 << 20;

/// A bound socket that accepts: TCP in state LISTEN, UDP unconnected.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Listener {
    /// `tcp` or `udp`; v6 is named alike, since one port is one conflict.
    pub protocol: &'static str,
    pub port: u16,
    pub inode: u64,
}

/// Who holds a port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PortHolder {
    pub pid: u32,
    pub start_ticks: u64,
    pub exe: String,
    pub comm: String,
    pub cmdline: String,
}

/// Parses one table of /proc/net (proc_net(5)): column 2 is the local address, 4 the state, 10 the inode.
pub fn parse_table(text: &str, protocol: &'static str) -> Vec<Listener> {
    // Socket states of include/net/tcp_states.h: 0A is LISTEN, 07 CLOSE, which is how an unconnected
    // UDP socket stands there.
    let wanted = if protocol == "tcp" { "0A" } else { "07" };
    text.lines()
        .skip(1)
        .filter_map(|line| {
            let mut fields = line.split_ascii_whitespace();
            let local = fields.nth(1)?;
            let state = fields.nth(1)?;
            let inode = fields.nth(5)?.parse().ok()?;
            let port = u16::from_str_radix(local.rsplit(':').next()?, 16).ok()?;
            (state == wanted && port != 0).then_some(Listener {
                protocol,
                port,
                inode,
            })
        })
        .collect()
}

/// All listeners of the host's network namespace.
pub fn listeners(host: &Host) -> io::Result<Vec<Listener>> {
    let tables = [
        ("tcp", "tcp"),
        ("tcp6", "tcp"),
        ("udp", "udp"),
        ("udp6", "udp"),
    ];
    let mut all = Vec::new();
    for (file, protocol) in tables {
        match host.read(format!("/proc/net/{file}"), TABLE_CAP) {
            Ok(text) => all.extend(parse_table(&text, protocol)),
            // A kernel without IPv6.
            Err(why) if why.kind() == io::ErrorKind::NotFound => {}
            Err(why) => return Err(why),
        }
    }
    all.sort();
    Ok(all)
}

/// `tcp/8080` -> protocol and number.
pub fn parse_port(port: &str) -> Option<(&str, u16)> {
    let (protocol, number) = port.split_once('/')?;
    Some((protocol, number.parse().ok()?))
}

/// The processes that hold `port` (`tcp/8080`). Needs the right to read other processes' descriptors.
pub fn holders(host: &Host, port: &str) -> io::Result<Vec<PortHolder>> {
    let Some((protocol, number)) = parse_port(port) else {
        return Ok(Vec::new());
    };
    let inodes: BTreeSet<u64> = listeners(host)?
        .into_iter()
        .filter(|one| one.protocol == protocol && one.port == number)
        .map(|one| one.inode)
        .collect();
    if inodes.is_empty() {
        return Ok(Vec::new());
    }
    let holders = procfs::pids(host)
        .into_iter()
        .filter(|pid| holds(host, *pid, &inodes))
        .filter_map(|pid| procfs::process(host, pid))
        .map(|process| PortHolder {
            pid: process.pid,
            start_ticks: process.start_ticks,
            exe: process.exe,
            comm: process.comm,
            cmdline: process.cmdline,
        });
    Ok(holders.collect())
}

fn holds(host: &Host, pid: u32, inodes: &BTreeSet<u64>) -> bool {
    !sockets_of(host, pid).is_disjoint(inodes)
}

/// Inodes of all sockets that a process has open, as far as we may look.
pub fn sockets_of(host: &Host, pid: u32) -> BTreeSet<u64> {
    let Ok(entries) = std::fs::read_dir(host.path(format!("/proc/{pid}/fd"))) else {
        return BTreeSet::new();
    };
    let inode = |entry: std::fs::DirEntry| {
        let target = std::fs::read_link(entry.path()).ok()?;
        let inode = target.to_str()?.strip_prefix("socket:[")?;
        inode.strip_suffix(']')?.parse().ok()
    };
    entries.flatten().filter_map(inode).collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    const TCP: &str = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n   \
        0: 0100007F:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 12345 1 0 100 0 0 10 0\n   \
        1: 0100007F:9C40 0100007F:1F90 01 00000000:00000000 00:00000000 00000000     0        0 12346 1 0 100 0 0 10 0\n";

    #[test]
    fn only_listeners_count() {
        assert_eq!(
            parse_table(TCP, "tcp"),
            [Listener {
                protocol: "tcp",
                port: 8080,
                inode: 12345
            }]
        );
        assert!(parse_table("header\ngarbage\n\n", "tcp").is_empty());
    }

    #[test]
    fn a_real_listener_is_found_with_its_holder() {
        let socket = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let port = format!("tcp/{}", socket.local_addr().unwrap().port());
        let host = Host::real();
        assert!(
            holders(&host, &port)
                .unwrap()
                .iter()
                .any(|holder| holder.pid == std::process::id())
        );
    }
}
