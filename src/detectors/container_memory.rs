//! Memory of a container against its limit, from its control group: the engine is not asked, whose own
//! answer takes a second for each container.

use std::io;

use crate::host::{Host, READ_CAP, is_gone};

/// Raised from this share of the limit on, cleared below the other, percent. What the kernel can take back
/// at once (inactive file pages) does not count.
const HIGH_PERCENT: u64 = 95;
const LOW_PERCENT: u64 = 90;

/// Folders of a container below the root of the memory controller, by engine and cgroup driver.
const FOLDERS: [&str; 4] = [
    "system.slice/docker-{id}.scope",
    "docker/{id}",
    "machine.slice/libpod-{id}.scope",
    "machine.slice/libpod-{id}.scope/container",
];

/// Names of the files in the two versions of control groups, with the root that holds them.
struct Version {
    root: &'static str,
    used: &'static str,
    limit: &'static str,
    reclaimable: &'static str,
}

const VERSIONS: [Version; 2] = [
    Version {
        root: "/sys/fs/cgroup",
        used: "memory.current",
        limit: "memory.max",
        reclaimable: "inactive_file",
    },
    Version {
        root: "/sys/fs/cgroup/memory",
        used: "memory.usage_in_bytes",
        limit: "memory.limit_in_bytes",
        reclaimable: "total_inactive_file",
    },
];

/// Percent of its limit that the container uses, when that is near the limit. `id` as the engine gives it;
/// `open`: it was near before. `None` without a limit, or where the control group is not to be found.
pub fn near_limit(host: &Host, id: &str, open: bool) -> io::Result<Option<u64>> {
    if id.is_empty() || !id.bytes().all(|c| c.is_ascii_hexdigit()) {
        return Ok(None);
    }
    let mark = if open { LOW_PERCENT } else { HIGH_PERCENT };
    for version in &VERSIONS {
        for folder in FOLDERS {
            let folder = format!("{}/{}", version.root, folder.replace("{id}", id));
            if let Some(percent) = share_in(host, version, &folder)? {
                return Ok((percent >= mark).then_some(percent));
            }
        }
    }
    Ok(None)
}

/// Percent of the limit in use, by the files in `folder`; `None` where they are not there.
fn share_in(host: &Host, version: &Version, folder: &str) -> io::Result<Option<u64>> {
    let read = |file: &str| match host.read(format!("{folder}/{file}"), READ_CAP) {
        Err(why) if is_gone(&why) => Ok(String::new()),
        read => read,
    };
    let (used, limit) = (read(version.used)?, read(version.limit)?);
    Ok(share(
        &used,
        &limit,
        &read("memory.stat")?,
        version.reclaimable,
    ))
}

/// Percent of the limit in use; `None` without a limit.
fn share(used: &str, limit: &str, stat: &str, reclaimable: &str) -> Option<u64> {
    let used: u64 = used.trim().parse().ok()?;
    // Version 2 says `max`, version 1 a number beyond any memory.
    let limit: u64 = limit
        .trim()
        .parse()
        .ok()
        .filter(|n| (1..1 << 60).contains(n))?;
    let free: u64 = stat
        .lines()
        .find_map(|line| line.strip_prefix(reclaimable)?.strip_prefix(' '))
        .and_then(|number| number.trim().parse().ok())
        .unwrap_or(0);
    let used = u128::from(used.saturating_sub(free)).saturating_mul(100);
    u64::try_from(used.checked_div(u128::from(limit))?).ok()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::fs;

    use super::*;
    use crate::core::model::time::Timestamp;
    use crate::host::clock::Clock;

    #[test]
    fn what_can_be_taken_back_does_not_count() {
        let stat = "anon 5\ninactive_file 300\nactive_file 9\n";
        assert_eq!(share("1000\n", "1000\n", stat, "inactive_file"), Some(70));
        assert_eq!(share("960", "1000", "", "inactive_file"), Some(96));
        for (used, limit) in [
            ("960", "max"),
            ("960", "9223372036854771712"),
            ("x", "10"),
            ("1", "0"),
        ] {
            assert_eq!(share(used, limit, "", "inactive_file"), None, "{limit}");
        }
    }

    #[test]
    fn both_versions_are_found_and_ids_are_checked() {
        for root in ["sys/fs/cgroup", "sys/fs/cgroup/memory"] {
            let dir = tempfile::tempdir().unwrap();
            let folder = dir.path().join(root).join("docker/abc");
            fs::create_dir_all(&folder).unwrap();
            let second = root.ends_with("memory");
            let names = if second {
                ("memory.usage_in_bytes", "memory.limit_in_bytes")
            } else {
                ("memory.current", "memory.max")
            };
            fs::write(folder.join(names.0), "92\n").unwrap();
            fs::write(folder.join(names.1), "100\n").unwrap();
            let host = Host::at(dir.path(), Clock::manual(Timestamp::default()));
            let near = |id, open| near_limit(&host, id, open).unwrap();
            assert_eq!(near("abc", false), None, "{root}");
            assert_eq!(near("abc", true), Some(92), "{root}");
            assert_eq!(near("../abc", true), None);
        }
    }
}
