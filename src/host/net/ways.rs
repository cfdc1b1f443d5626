//! The ways out of this host, from /proc/net and /sys/class/net: interfaces, default routes, whether the gateway answers.
//! Formats: proc_net(5), Documentation/networking/proc_net_tcp and the kernel's net/ipv4/{fib_trie,arp}.c,
//! net/ipv6/{route,addrconf}.c.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};

use crate::core::reading::uplink::{Interface, Reach, Way};
use crate::host::net::addresses;
use crate::host::{Host, is_gone};

/// Most bytes read of one table.
const TABLE_CAP: u64 = 1 << 20;
/// Most ways that are looked at.
const WAYS_MOST: usize = 8;
/// Of include/uapi/linux/route.h.
const RTF_UP: u32 = 0x1;
const RTF_GATEWAY: u32 = 0x2;
const RTF_REJECT: u32 = 0x200;
/// Of include/uapi/linux/if.h.
const IFF_UP: u32 = 0x1;
const IFF_NOARP: u32 = 0x80;
/// Of include/uapi/linux/if_arp.h: the entry has a hardware address, or one that stays.
const ATF_COM: u32 = 0x2;
const ATF_PERM: u32 = 0x4;
/// Nothing listens there (RFC 863): what counts is that the kernel has to ask for the neighbour.
const DISCARD: u16 = 9;

/// What the host is in and how it gets out.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ways {
    /// By metric, IPv4 first. Without a default route: the interfaces that were asked for.
    pub ways: Vec<Way>,
    /// IPv4 networks that it is in itself, as `10.0.0.0/24`.
    pub networks: Vec<String>,
}

/// A row of /proc/net/route.
#[derive(Clone, Copy, Debug)]
struct Row<'a> {
    device: &'a str,
    to: u32,
    gateway: u32,
    metric: u32,
    mask: u32,
    flags: u32,
}

/// Reads the ways out. `wanted` are the interfaces that lead out where there is no default route.
pub fn ways(host: &Host, wanted: &[String]) -> io::Result<Ways> {
    let table = host.read("/proc/net/route", TABLE_CAP)?;
    let rows: Vec<Row<'_>> = table.lines().skip(1).filter_map(row).collect();
    // A kernel without IPv6 has neither.
    let inet6 = optional(host, "/proc/net/if_inet6")?;
    let routes6 = optional(host, "/proc/net/ipv6_route")?;
    let arp = optional(host, "/proc/net/arp")?;
    let own = addresses::own(host).unwrap_or_default();
    // Who has an address; one that no network of the table holds (10.0.0.5/32) may be any interface's.
    let (mut holders, mut is_anywhere) = (Vec::new(), false);
    for address in own.iter() {
        let IpAddr::V4(address) = address else {
            continue;
        };
        if address.is_loopback() || address.is_link_local() {
            continue;
        }
        let before = holders.len();
        for row in &rows {
            if row.is_connected() && row.holds(*address) {
                holders.push(row.device);
            }
        }
        is_anywhere |= holders.len() == before;
    }
    let has = |device: &str, is_v6: bool| {
        let has = match is_v6 {
            true => has_v6(&inet6, device),
            false => holders.contains(&device),
        };
        (has || is_v6 || !is_anywhere).then_some(has)
    };
    let mut all = Vec::new();
    for row in by_metric(rows.iter().filter(|row| row.is_default()), |row| row.metric) {
        let (mut gateway, mut reach_of) = (String::new(), Reach::Unknown);
        if row.flags & RTF_GATEWAY != 0 {
            gateway = address(row.gateway).to_string();
            if asks(host, row.device)? {
                reach_of = reach(&arp, &gateway, row.device);
            }
        }
        let has = has(row.device, false);
        all.push(way(host, row.device, Some(gateway), reach_of, has)?);
    }
    for (_, device, next) in default6(&routes6) {
        let gateway = match u128::from_str_radix(next, 16) {
            Ok(0) | Err(_) => String::new(),
            Ok(number) => Ipv6Addr::from(number).to_string(),
        };
        let has = has(device, true);
        let mut way = way(host, device, Some(gateway), Reach::Unknown, has)?;
        way.is_v6 = true;
        all.push(way);
    }
    if all.is_empty() {
        for name in wanted {
            let has = match has(name, true) {
                Some(false) => has(name, false),
                known => known,
            };
            all.push(way(host, name, None, Reach::Unknown, has)?);
        }
    }
    all.truncate(WAYS_MOST);
    let mut networks = Vec::new();
    for row in rows.iter().filter(|row| row.is_connected()) {
        networks.push(format!("{}/{}", address(row.to), row.mask.count_ones()));
    }
    Ok(Ways {
        ways: all,
        networks,
    })
}

fn way(
    host: &Host,
    device: &str,
    gateway: Option<String>,
    reach: Reach,
    has_address: Option<bool>,
) -> io::Result<Way> {
    Ok(Way {
        interface: interface(host, device, has_address)?,
        gateway,
        is_v6: false,
        reach,
    })
}

/// Of a handful no sort is needed.
fn by_metric<T>(all: impl Iterator<Item = T>, metric: impl Fn(&T) -> u32) -> Vec<T> {
    let mut ordered: Vec<T> = Vec::new();
    for one in all {
        let above = ordered
            .iter()
            .position(|other| metric(other) > metric(&one));
        ordered.insert(above.unwrap_or(ordered.len()), one);
    }
    ordered
}

/// True when `own`, an address of this host, is that of another Ethernet interface than `device`.
pub fn is_elsewhere(host: &Host, own: IpAddr, device: &str) -> io::Result<bool> {
    let name = match own {
        IpAddr::V4(own) => {
            let table = host.read("/proc/net/route", TABLE_CAP)?;
            let rows = table.lines().skip(1).filter_map(row);
            let mut rows = rows.filter(|row| row.is_connected() && row.holds(own));
            rows.next().map(|row| row.device.to_owned())
        }
        IpAddr::V6(own) => {
            let digits = format!("{:032x}", u128::from(own));
            let table = optional(host, "/proc/net/if_inet6")?;
            let mut rows = table.lines().filter(|line| line.starts_with(&digits));
            let name = rows
                .next()
                .and_then(|line| line.split_ascii_whitespace().last());
            name.map(str::to_owned)
        }
    };
    match name.filter(|name| name != device) {
        Some(name) => Ok(attribute(host, &name, "type")? == "1"),
        None => Ok(false),
    }
}

/// Makes the kernel ask for the gateway: one datagram of one byte, which ends there. An error says as much as silence.
pub fn provoke(gateway: &str) {
    let Ok(IpAddr::V4(gateway)) = gateway.parse() else {
        return;
    };
    if let Ok(socket) = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)) {
        let _ = socket.send_to(&[0], SocketAddr::from((gateway, DISCARD)));
    }
}

/// The name that an interface with this hardware address has now.
pub fn named(host: &Host, hardware: &str) -> Option<String> {
    if hardware.is_empty() {
        return None;
    }
    let all = std::fs::read_dir(host.path("/sys/class/net")).ok()?;
    let names = all.filter_map(|one| one.ok()?.file_name().into_string().ok());
    names
        .take(256)
        .find(|name| attribute(host, name, "address").is_ok_and(|has| has == hardware))
}

fn optional(host: &Host, path: &str) -> io::Result<String> {
    match host.read(path, TABLE_CAP) {
        Err(why) if is_gone(&why) => Ok(String::new()),
        read => read,
    }
}

/// An attribute of an interface; a driver that does not tell, as of the carrier while it is off, says nothing.
fn attribute(host: &Host, name: &str, what: &str) -> io::Result<String> {
    match host.read(format!("/sys/class/net/{name}/{what}"), 64) {
        Ok(text) => Ok(text.trim().to_owned()),
        Err(why) if is_gone(&why) || why.kind() == io::ErrorKind::InvalidInput => Ok(String::new()),
        Err(why) => Err(why),
    }
}

/// As `0x1003`.
fn flags(host: &Host, name: &str) -> io::Result<u32> {
    let text = attribute(host, name, "flags")?;
    let digits = text.strip_prefix("0x").unwrap_or(&text);
    Ok(u32::from_str_radix(digits, 16).unwrap_or(0))
}

/// True of a link on which neighbours are asked for by ARP.
fn asks(host: &Host, name: &str) -> io::Result<bool> {
    let is_ethernet = attribute(host, name, "type")? == "1";
    Ok(is_ethernet && flags(host, name)? & IFF_NOARP == 0)
}

fn interface(host: &Host, name: &str, has_address: Option<bool>) -> io::Result<Interface> {
    let state = attribute(host, name, "operstate")?;
    let is_plain = !name.is_empty() && !name.contains(['/', '\0']) && !name.starts_with('.');
    let is_ethernet = attribute(host, name, "type")? == "1";
    Ok(Interface {
        name: name.to_owned(),
        is_gone: !is_plain || state.is_empty(),
        is_on: flags(host, name)? & IFF_UP != 0,
        carrier: match attribute(host, name, "carrier")?.as_str() {
            "0" => Some(false),
            "1" => Some(true),
            _ => None,
        },
        hardware: attribute(host, name, "address")?,
        // A link with one other end needs no address of a network.
        has_address: has_address.filter(|has| *has || is_ethernet),
        state,
    })
}

impl Row<'_> {
    fn is_up(&self) -> bool {
        self.flags & RTF_UP != 0 && self.flags & RTF_REJECT == 0
    }

    fn is_default(&self) -> bool {
        self.is_up() && self.to == 0 && self.mask == 0 && self.device != "lo"
    }

    /// Of a network that the host is in itself; what it gave itself for want of a lease is none.
    fn is_connected(&self) -> bool {
        let is_own = address(self.to).is_link_local();
        self.is_up() && self.flags & RTF_GATEWAY == 0 && self.mask != 0 && !is_own
    }

    fn holds(&self, own: Ipv4Addr) -> bool {
        u32::from_ne_bytes(own.octets()) & self.mask == self.to & self.mask
    }
}

/// `Iface Destination Gateway Flags RefCnt Use Metric Mask …`, addresses as the hexadecimal of their bytes in memory.
#[inline(never)]
fn row(line: &str) -> Option<Row<'_>> {
    let mut fields = line.split_ascii_whitespace();
    let device = fields.next()?;
    let mut hex = |skipped: usize| u32::from_str_radix(fields.nth(skipped)?, 16).ok();
    let (to, gateway, flags) = (hex(0)?, hex(0)?, hex(0)?);
    let metric = fields.nth(2)?.parse().ok()?;
    let mask = u32::from_str_radix(fields.next()?, 16).ok()?;
    Some(Row {
        device,
        to,
        gateway,
        metric,
        mask,
        flags,
    })
}

fn address(number: u32) -> Ipv4Addr {
    Ipv4Addr::from(number.to_ne_bytes())
}

/// `IP address, HW type, Flags, HW address, Mask, Device`.
fn reach(arp: &str, gateway: &str, device: &str) -> Reach {
    let mut rows = arp.lines().skip(1).filter_map(|line| {
        let mut fields = line.split_ascii_whitespace();
        let address = fields.next()?;
        let flags = fields.nth(1)?.strip_prefix("0x")?;
        let flags = u32::from_str_radix(flags, 16).ok()?;
        (address == gateway && fields.nth(2)? == device).then_some(flags)
    });
    match rows.next() {
        None => Reach::Unknown,
        Some(flags) if flags & (ATF_COM | ATF_PERM) != 0 => Reach::Answers,
        Some(_) => Reach::Silent,
    }
}

/// Metric, device and next hop of each IPv6 default route: `destination, length, source, length, next hop, metric,
/// references, use, flags, device`, all in hexadecimal.
fn default6(table: &str) -> Vec<(u32, &str, &str)> {
    let routes = table.lines().filter_map(|line| {
        let mut fields = line.split_ascii_whitespace();
        let to = fields.next()?;
        let is_whole = fields.next()? == "00" && to.bytes().all(|digit| digit == b'0');
        let next = fields.nth(2)?;
        let metric = u32::from_str_radix(fields.next()?, 16).ok()?;
        let flags = u32::from_str_radix(fields.nth(2)?, 16).ok()?;
        let device = fields.next()?;
        let is_up = flags & RTF_UP != 0 && flags & RTF_REJECT == 0 && device != "lo";
        (is_whole && is_up).then_some((metric, device, next))
    });
    by_metric(routes, |(metric, ..)| *metric)
}

/// `address, index, prefix length, scope, flags, device`; scope 00 is global.
fn has_v6(table: &str, device: &str) -> bool {
    table.lines().any(|line| {
        let fields: Vec<&str> = line.split_ascii_whitespace().collect();
        matches!(fields.as_slice(), &[_, _, _, "00", _, name] if name == device)
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::core::model::time::Timestamp;
    use crate::host::clock::Clock;

    const HEAD: &str =
        "Iface\tDestination\tGateway\tFlags\tRefCnt\tUse\tMetric\tMask\tMTU\tWindow\tIRTT\n";
    const TRIE: &str = "Local:\n     |-- 192.0.2.2\n        /32 host LOCAL\n     |-- 127.0.0.1\n        /32 host LOCAL\n";

    fn host(files: &[(&str, &str)]) -> (tempfile::TempDir, Host) {
        let dir = tempfile::tempdir().unwrap();
        for (name, text) in files {
            let path = dir.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        }
        let host = Host::at(dir.path(), Clock::manual(Timestamp::default()));
        (dir, host)
    }

    const ETH0: &[(&str, &str)] = &[
        ("sys/class/net/eth0/operstate", "up\n"),
        ("sys/class/net/eth0/flags", "0x1003\n"),
        ("sys/class/net/eth0/carrier", "1\n"),
        ("sys/class/net/eth0/type", "1\n"),
        ("sys/class/net/eth0/address", "02:fc:00:00:00:01\n"),
        ("proc/net/fib_trie", TRIE),
    ];

    /// Captured on a gateway with one interface.
    #[test]
    #[cfg(target_endian = "little")]
    fn a_way_is_read_of_the_kernels_tables() {
        let table = format!(
            "{HEAD}eth0\t00000000\t010200C0\t0003\t0\t0\t0\t00000000\t0\t0\t0\n\
             eth0\t000200C0\t00000000\t0001\t0\t0\t0\t00FFFFFF\t0\t0\t0\n"
        );
        let arp = "IP address       HW type     Flags       HW address            Mask     Device\n\
                   192.0.2.1        0x1         0x2         02:fc:00:00:00:05     *        eth0\n";
        let mut files = vec![("proc/net/route", table.as_str()), ("proc/net/arp", arp)];
        files.extend(ETH0);
        let (_dir, host) = host(&files);
        let found = ways(&host, &[]).unwrap();
        assert_eq!(found.networks, ["192.0.2.0/24"]);
        let [way] = found.ways.as_slice() else {
            unreachable!("{found:?}")
        };
        assert_eq!(way.gateway.as_deref(), Some("192.0.2.1"));
        assert_eq!(way.reach, Reach::Answers);
        assert_eq!(way.interface.has_address, Some(true));
        assert!(way.broken(&[]).is_none());
        assert_eq!(named(&host, "02:fc:00:00:00:01").as_deref(), Some("eth0"));
        assert_eq!(named(&host, ""), None);
    }

    /// As cloud providers give them: the address is its own network, and the gateway lies outside of it.
    #[test]
    #[cfg(target_endian = "little")]
    fn an_address_that_no_network_holds_is_unknown_and_not_missing() {
        let table = format!("{HEAD}eth0\t00000000\t010200C0\t0003\t0\t0\t0\t00000000\t0\t0\t0\n");
        let mut files = vec![("proc/net/route", table.as_str())];
        files.extend(ETH0);
        let (_dir, host) = host(&files);
        let found = ways(&host, &[]).unwrap();
        let has: Vec<_> = found
            .ways
            .iter()
            .map(|way| way.interface.has_address)
            .collect();
        assert_eq!(has, [None]);
    }

    #[test]
    fn without_a_default_route_the_wanted_interfaces_are_looked_at() {
        let mut files = vec![("proc/net/route", HEAD)];
        files.extend(ETH0.iter().filter(|(name, _)| !name.ends_with("fib_trie")));
        let (_dir, host) = host(&files);
        assert_eq!(ways(&host, &[]).unwrap(), Ways::default());
        let wanted = ["eth0".to_owned(), "gone0".to_owned(), "../eth0".to_owned()];
        let found = ways(&host, &wanted).unwrap();
        let told: Vec<String> = found
            .ways
            .iter()
            .filter_map(|way| Some(way.broken(&[])?.says))
            .collect();
        assert_eq!(
            told,
            [
                "eth0 has no address",
                "gone0 does not exist",
                "../eth0 does not exist"
            ]
        );
    }

    #[test]
    fn tunnels_and_reject_routes_and_garbage() {
        let table = format!(
            "{HEAD}ppp0\t00000000\t00000000\t0001\t0\t0\t700\t00000000\t0\t0\t0\n\
             *\t00000000\t00000000\t0201\t0\t0\t9\t00000000\t0\t0\t0\ngarbage\nx y z\n"
        );
        let six = "00000000000000000000000000000000 00 00000000000000000000000000000000 00 \
                   fe800000000000000000000000000001 00000400 00000001 00000000 00000003 wwan0\n\
                   00000000000000000000000000000000 00 00000000000000000000000000000000 00 \
                   00000000000000000000000000000000 ffffffff 00000001 00000000 00200200 lo\n";
        let inet6 = "20010db8000000000000000000000005 04 40 00 80 wwan0\n\
                     fe80000000000000000000000000aaaa 02 40 20 80 eth0\n";
        let (_dir, host) = host(&[
            ("proc/net/route", &table),
            ("proc/net/ipv6_route", six),
            ("proc/net/if_inet6", inet6),
            ("sys/class/net/ppp0/operstate", "unknown\n"),
            ("sys/class/net/ppp0/flags", "0x10d1\n"),
            ("sys/class/net/ppp0/type", "512\n"),
            ("sys/class/net/wwan0/operstate", "unknown\n"),
            ("sys/class/net/wwan0/flags", "0x91\n"),
            ("sys/class/net/wwan0/type", "65534\n"),
        ]);
        let found = ways(&host, &[]).unwrap().ways;
        let told: Vec<_> = found
            .iter()
            .map(|way| {
                (
                    way.interface.name.as_str(),
                    way.gateway.as_deref(),
                    way.is_v6,
                    way.reach,
                )
            })
            .collect();
        assert_eq!(
            told,
            [
                ("ppp0", Some(""), false, Reach::Unknown),
                ("wwan0", Some("fe80::1"), true, Reach::Unknown)
            ]
        );
        assert!(found.iter().all(|way| way.broken(&[]).is_none()));
        let no_answer = "head\n10.0.0.1 0x1 0x0 00:00:00:00:00:00 * eth0\n";
        assert_eq!(reach(no_answer, "10.0.0.1", "eth0"), Reach::Silent);
        assert_eq!(reach(no_answer, "10.0.0.1", "eth1"), Reach::Unknown);
        assert_eq!(reach("", "10.0.0.1", "eth0"), Reach::Unknown);
    }
}
