//! Memory of the host, from /proc/meminfo and pressure stall information.

use crate::host::{Host, READ_CAP};

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MemoryUse {
    pub total_kib: u64,
    /// What can be had without swapping (proc_meminfo(5)).
    pub available_kib: u64,
    pub swap_total_kib: u64,
    pub swap_free_kib: u64,
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
        swap_total_kib: of("SwapTotal").unwrap_or(0),
        swap_free_kib: of("SwapFree").unwrap_or(0),
    })
}

pub fn memory(host: &Host) -> Option<MemoryUse> {
    parse_meminfo(&host.read("/proc/meminfo", READ_CAP).ok()?)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn meminfo_is_parsed() {
        let memory =
            parse_meminfo("MemTotal:  1000 kB\nMemFree: 1 kB\nMemAvailable:   400 kB\n").unwrap();
        assert_eq!(
            (
                memory.total_kib,
                memory.available_kib,
                memory.swap_total_kib
            ),
            (1000, 400, 0)
        );
        assert!(parse_meminfo("nonsense").is_none());
    }
}
