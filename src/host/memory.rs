//! Memory of the host, from /proc/meminfo and pressure stall information.

use std::io;

use crate::host::{Host, READ_CAP};

pub const MEMINFO: &str = "/proc/meminfo";

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MemoryUse {
    pub total_kib: u64,
    /// What can be had without swapping (proc_meminfo(5)).
    pub available_kib: u64,
}

pub fn parse_meminfo(text: &str) -> Option<MemoryUse> {
    let of = |name: &str| {
        text.lines()
            .find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))
            .and_then(|rest| rest.split_ascii_whitespace().next()?.parse().ok())
    };
    Some(MemoryUse {
        total_kib: of("MemTotal")?,
        available_kib: of("MemAvailable")?,
    })
}

/// `None` where the kernel does not tell it.
pub fn memory(host: &Host) -> io::Result<Option<MemoryUse>> {
    let text = host.read(MEMINFO, READ_CAP)?;
    Ok(parse_meminfo(&text))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn meminfo_is_parsed() {
        let memory =
            parse_meminfo("MemTotal:  1000 kB\nMemFree: 1 kB\nMemAvailable:   400 kB\n").unwrap();
        assert_eq!((memory.total_kib, memory.available_kib), (1000, 400));
        assert!(parse_meminfo("nonsense").is_none());
    }
}
