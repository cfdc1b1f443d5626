//! Listening sockets and who holds them, from /proc/net and /proc/PID/fd.

use std::io;
use std::path::Path;

use crate::core::model::sorted::SortedSet;
use crate::host::{Host, is_gone, procfs};

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

/// Who holds a port, as far as we may look.
#[derive(Debug, Default)]
pub struct Holders {
    pub seen: Vec<PortHolder>,
    /// Those that may hold it as well, and why we may not look.
    pub refused: Vec<(u32, io::Error)>,
}

/// Whether anybody listens on `port` (`tcp/8080`).
pub fn is_taken(host: &Host, port: &str) -> io::Result<bool> {
    let wanted = parse_port(port);
    let is_it = |one: &Listener| wanted == Some((one.protocol, one.port));
    Ok(listeners(host)?.iter().any(is_it))
}

/// The processes that hold `port` (`tcp/8080`).
pub fn holders(host: &Host, port: &str) -> io::Result<Holders> {
    let Some((protocol, number)) = parse_port(port) else {
        return Ok(Holders::default());
    };
    let inodes: SortedSet<u64> = listeners(host)?
        .into_iter()
        .filter(|one| one.protocol == protocol && one.port == number)
        .map(|one| one.inode)
        .collect();
    if inodes.is_empty() {
        return Ok(Holders::default());
    }
    let (pids, mut refused) = holding(host, &inodes)?;
    let mut seen = Vec::new();
    for pid in pids {
        match procfs::process(host, pid) {
            Ok(process) => seen.extend(process.map(|process| PortHolder {
                pid: process.pid,
                start_ticks: process.start_ticks,
                exe: process.exe,
                comm: process.comm,
                cmdline: process.cmdline,
            })),
            Err(why) => refused.push((pid, why)),
        }
    }
    Ok(Holders { seen, refused })
}

/// Processes that hold it, and those that may, with why we may not look.
pub type Holding = (Vec<u32>, Vec<(u32, io::Error)>);

/// The processes that hold one of these sockets, and those that do not let themselves be looked at. Needs the right to
/// read other processes' descriptors.
pub fn holding(host: &Host, inodes: &SortedSet<u64>) -> io::Result<Holding> {
    let (mut pids, mut refused) = (Vec::new(), Vec::new());
    for pid in procfs::pids(host)? {
        match sockets_of(host, pid) {
            Ok(its) if its.is_disjoint(inodes) => {}
            Ok(_) => pids.push(pid),
            Err(why) => refused.push((pid, why)),
        }
    }
    Ok((pids, refused))
}

/// Inodes of all sockets that a process has open; of one that has ended, none.
pub fn sockets_of(host: &Host, pid: u32) -> io::Result<SortedSet<u64>> {
    let folder = std::fs::read_dir(host.path(format!("/proc/{pid}/fd")));
    let links: io::Result<Vec<Option<u64>>> =
        folder.and_then(|all| all.map(|one| inode_of(&one?.path())).collect());
    match links {
        Ok(inodes) => Ok(inodes.into_iter().flatten().collect()),
        Err(why) if is_gone(&why) => Ok(SortedSet::new()),
        Err(why) => Err(why),
    }
}

/// That of the socket behind a link; none where it is something else, or was closed meanwhile.
fn inode_of(link: &Path) -> io::Result<Option<u64>> {
    let target = match std::fs::read_link(link) {
        Err(why) if is_gone(&why) => return Ok(None),
        target => target?,
    };
    let inode = target
        .to_str()
        .and_then(|text| text.strip_prefix("socket:["));
    Ok(inode.and_then(|text| text.strip_suffix(']')?.parse().ok()))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::core::model::time::Timestamp;
    use crate::host::clock::Clock;

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
    fn who_refuses_is_told_beside_who_holds_and_who_has_ended_is_neither() {
        let dir = tempfile::tempdir().unwrap();
        for folder in [
            "proc/net",
            "proc/70/fd",
            "proc/71",
            "proc/72/fd/3",
            "proc/73",
        ] {
            std::fs::create_dir_all(dir.path().join(folder)).unwrap();
        }
        std::fs::write(dir.path().join("proc/net/tcp"), TCP).unwrap();
        let stat = "70 (meterd) S 1 70 70 0 -1 0 0 0 0 0 0 0 0 0 20 0 1 0 10000 0";
        std::fs::write(dir.path().join("proc/70/stat"), stat).unwrap();
        let held = dir.path().join("proc/70/fd/3");
        std::os::unix::fs::symlink("socket:[12345]", held).unwrap();
        // A folder that does not open, and a link that is not to be read.
        std::fs::write(dir.path().join("proc/71/fd"), "").unwrap();
        let host = Host::at(dir.path(), Clock::manual(Timestamp::default()));
        let Holders { seen, refused } = holders(&host, "tcp/8080").unwrap();
        assert!(seen.iter().map(|one| one.pid).eq([70]));
        assert!(refused.iter().map(|(pid, _)| *pid).eq([71, 72]));
        let nobody = holders(&host, "tcp/8081").unwrap();
        assert!(nobody.seen.is_empty() && nobody.refused.is_empty());
    }

    #[test]
    fn a_real_listener_is_found_with_its_holder() {
        let socket = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let port = format!("tcp/{}", socket.local_addr().unwrap().port());
        let host = Host::real();
        assert!(
            holders(&host, &port)
                .unwrap()
                .seen
                .iter()
                .any(|holder| holder.pid == std::process::id())
        );
    }
}
