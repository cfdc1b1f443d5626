//! Logins over the network: on which interface one would be cut off.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::host::net::listeners;
use crate::host::net::ways;
use crate::host::{Host, is_gone};

/// Most bytes read of one socket table.
const TABLE_CAP: u64 = 8 << 20;
/// Where a login comes in, wherever its daemon listens besides.
const SSH: u16 = 22;
const DAEMONS: &[&str] = &["sshd", "dropbear"];
/// Of include/net/tcp_states.h.
const ESTABLISHED: &str = "01";

/// True when somebody is logged in over `device`, or over something that may lie upon it: a tunnel's own address is not
/// the interface's that carries it. Only what another Ethernet interface carries is known to be elsewhere.
pub fn over(host: &Host, device: &str) -> io::Result<bool> {
    let ports = ports(host)?;
    let mut ends = Vec::new();
    for file in ["tcp", "tcp6"] {
        match host.read(format!("/proc/net/{file}"), TABLE_CAP) {
            Ok(text) => ends.extend(established(&text, &ports)),
            Err(why) if is_gone(&why) => {}
            Err(why) => return Err(why),
        }
    }
    for end in ends.iter().filter(|end| !end.is_loopback()) {
        if !ways::is_elsewhere(host, *end, device)? {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Port 22, and each that a daemon of ours listens on.
fn ports(host: &Host) -> io::Result<Vec<u16>> {
    let mut ports = vec![SSH];
    for one in listeners::listeners(host)? {
        let port = format!("{}/{}", one.protocol, one.port);
        let holders = listeners::holders(host, &port)?.seen;
        if holders
            .iter()
            .any(|holder| DAEMONS.contains(&holder.comm.as_str()))
        {
            ports.push(one.port);
        }
    }
    Ok(ports)
}

/// The local addresses of established connections to one of `ports`.
fn established(table: &str, ports: &[u16]) -> Vec<IpAddr> {
    let rows = table.lines().skip(1).filter_map(|line| {
        let mut fields = line.split_ascii_whitespace();
        let (address, port) = fields.nth(1)?.split_once(':')?;
        let port = u16::from_str_radix(port, 16).ok()?;
        let state = fields.nth(1)?;
        (state == ESTABLISHED && ports.contains(&port)).then(|| address_of(address))?
    });
    rows.collect()
}

/// Words of 32 bits, each as the machine has it.
fn address_of(digits: &str) -> Option<IpAddr> {
    let word = |at: usize| {
        let digits = digits.get(at..at.checked_add(8)?)?;
        Some(u32::from_str_radix(digits, 16).ok()?.to_ne_bytes())
    };
    if digits.len() == 8 {
        return Some(Ipv4Addr::from(word(0)?).into());
    }
    let words = [word(0)?, word(8)?, word(16)?, word(24)?];
    let mut bytes = [0; 16];
    for (byte, part) in bytes.iter_mut().zip(words.iter().flatten()) {
        *byte = *part;
    }
    let address = Ipv6Addr::from(bytes);
    Some(address.to_ipv4_mapped().map_or(address.into(), IpAddr::V4))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[cfg(target_endian = "little")]
    fn the_near_end_of_a_login_is_read() {
        let table = "head\n\
                     0: 020200C0:0016 0102000A:A004 01 0:0 0:0 0 0 0 1 1\n\
                     1: 00000000:0016 00000000:0000 0A 0:0 0:0 0 0 0 2 1\n\
                     2: 020200C0:01BB 0102000A:A005 01 0:0 0:0 0 0 0 3 1\n\
                     3: 0000000000000000FFFF0000020200C0:0016 x:1 01 0:0 0:0 0 0 0 4 1\n\
                     4: 000080FE000000000000000001000000:0016 x:1 01 0:0 0:0 0 0 0 5 1\n\
                     garbage\n";
        let ports = [SSH];
        let ends: Vec<String> = established(table, &ports)
            .iter()
            .map(ToString::to_string)
            .collect();
        assert_eq!(
            ends,
            ["192.0.2.2", "192.0.2.2", "fe80::1"].map(str::to_owned)
        );
    }
}
