//! The addresses of this host, from /proc/net.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::core::model::sorted::SortedSet;
use crate::host::Host;

/// Most bytes read of one table.
const TABLE_CAP: u64 = 1 << 20;

/// All addresses of the host's own interfaces.
pub fn own(host: &Host) -> io::Result<SortedSet<IpAddr>> {
    let trie = host.read("/proc/net/fib_trie", TABLE_CAP)?;
    let mut all: SortedSet<IpAddr> = of_trie(&trie).map(IpAddr::V4).collect();
    // A kernel without IPv6 has none.
    let table = host.read("/proc/net/if_inet6", TABLE_CAP);
    all.extend(of_table(&table.unwrap_or_default()).map(IpAddr::V6));
    Ok(all)
}

/// `|-- 192.168.1.5`, and below it `/32 host LOCAL`.
fn of_trie(text: &str) -> impl Iterator<Item = Ipv4Addr> + '_ {
    let mut last = None;
    text.lines().filter_map(move |line| {
        let line = line.trim_start();
        if let Some(address) = line.strip_prefix("|-- ") {
            last = address.parse().ok();
            return None;
        }
        last.filter(|_| line.ends_with("host LOCAL"))
    })
}

/// The first column, 32 hexadecimal digits.
fn of_table(text: &str) -> impl Iterator<Item = Ipv6Addr> + '_ {
    text.lines().filter_map(|line| {
        let digits = line.split_ascii_whitespace().next()?;
        let whole = digits.len() == 32;
        let number = u128::from_str_radix(digits, 16).ok()?;
        whole.then(|| Ipv6Addr::from(number))
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn own_addresses_are_read_of_the_kernels_tables() {
        let trie = "Main:\n  +-- 0.0.0.0/0 3 0 5\n     |-- 0.0.0.0\n        /0 universe UNICAST\n     |-- 10.0.0.5\n        \
                    /32 host LOCAL\n     |-- 10.0.0.255\n        /32 link BROADCAST\n";
        let found: Vec<_> = of_trie(trie).collect();
        assert_eq!(found, [Ipv4Addr::new(10, 0, 0, 5)]);
        let table = "fd000000000000000000000000000001 02 40 00 80 eth0\nfe80 02 40 20 80 eth0\n";
        let found: Vec<_> = of_table(table).collect();
        assert_eq!(found, ["fd00::1".parse::<Ipv6Addr>().unwrap()]);
    }
}
