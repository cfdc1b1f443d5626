//! Which boot this is, since when, and the host's name.

use crate::core::model::time::Timestamp;
use crate::host::{Host, READ_CAP};

/// What this gateway is called: as configured, else by the kernel.
pub fn host_name(host: &Host, configured: &str) -> String {
    if !configured.is_empty() {
        return configured.to_owned();
    }
    let name = read(host, "/proc/sys/kernel/hostname");
    if name.is_empty() {
        "unnamed-host".to_owned()
    } else {
        name
    }
}

/// The kernel's own random name of this boot; empty where it gives none.
pub fn id(host: &Host) -> String {
    read(host, "/proc/sys/kernel/random/boot_id")
}

/// Milliseconds since boot.
pub fn uptime_millis(host: &Host) -> Option<i64> {
    let text = read(host, "/proc/uptime");
    let (seconds, fraction) = text.split_ascii_whitespace().next()?.split_once('.')?;
    let centis: i64 = fraction.get(..2)?.parse().ok()?;
    Some(
        seconds
            .parse::<i64>()
            .ok()?
            .saturating_mul(1000)
            .saturating_add(centis.saturating_mul(10)),
    )
}

/// Wall time of the boot, by the clock as it is now.
pub fn booted_at(host: &Host) -> Option<Timestamp> {
    let up = u64::try_from(uptime_millis(host)?).ok()?;
    Some(host.clock.now().minus(std::time::Duration::from_millis(up)))
}

fn read(host: &Host, path: &str) -> String {
    host.read(path, READ_CAP)
        .map(|text| text.trim().to_owned())
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_host_was_booted_before_now() {
        let host = Host::real();
        assert!(booted_at(&host).is_some_and(|at| at < host.clock.now()));
    }
}
