//! Processes that are left over: zombies that nobody collects, services whose program was removed.
//!
//! A program that was replaced, as by an upgrade, is in order: the old one runs on until the next restart.
//! A leftover process on a port that a unit needs is a port conflict, found there with its holder.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::time::Duration;

use crate::core::class::Class;
use crate::core::config::Config;
use crate::core::finding::{Finding, Severity, evidence};
use crate::core::judge_unit::is_excluded;
use crate::core::time::Timestamp;
use crate::detectors::{DetectError, Detector, Snapshot, Sweep};
use crate::host::procfs::{self, Process};

/// Zombies of parents that are just busy go away; this much longer than `stale_after_s` they do not.
const ZOMBIE_FACTOR: u32 = 4;

/// Remembers since when a zombie was seen, by process id and start time.
#[derive(Debug, Default)]
pub struct StaleProcess {
    since: Mutex<BTreeMap<(u32, u64), Timestamp>>,
}

impl Detector for StaleProcess {
    fn name(&self) -> &'static str {
        "stale_process"
    }

    fn classes(&self) -> &'static [Class] {
        &[Class::StaleProcess]
    }

    fn interval(&self, config: &Config) -> Duration {
        super::host_interval(config)
    }

    fn examine(&self, look: &Snapshot<'_>) -> Result<Sweep, DetectError> {
        let pids = procfs::pids(look.host);
        if pids.is_empty() {
            return Ok(Sweep::Absent("no /proc".to_owned()));
        }
        let mut found = removed_programs(look)?;
        found.extend(self.zombies(&pids, look)?);
        Ok(Sweep::Present(found))
    }
}

impl StaleProcess {
    /// One finding per parent that leaves its children uncollected.
    fn zombies(&self, pids: &[u32], look: &Snapshot<'_>) -> Result<Vec<Finding>, DetectError> {
        let Ok(mut since) = self.since.lock() else {
            return Err(DetectError::Broken("its memory is poisoned".to_owned()));
        };
        let patience = Duration::from_secs(look.config.detect.stale_after_s) * ZOMBIE_FACTOR;
        let zombies: Vec<Process> = pids
            .iter()
            .filter_map(|pid| look.host.read(format!("/proc/{pid}/stat"), 1024).ok())
            .filter_map(|text| procfs::parse_stat(&text))
            .filter(|process| process.state == 'Z' && process.ppid > 1)
            .collect();
        since.retain(|key, _| zombies.iter().any(|z| (z.pid, z.start_ticks) == *key));
        let mut parents: BTreeMap<u32, Vec<&Process>> = BTreeMap::new();
        for zombie in &zombies {
            let first = *since
                .entry((zombie.pid, zombie.start_ticks))
                .or_insert(look.now);
            if look.now.since(first) >= patience {
                parents.entry(zombie.ppid).or_default().push(zombie);
            }
        }
        Ok(parents
            .iter()
            .filter_map(|(pid, children)| {
                Some(uncollected(
                    &procfs::process(look.host, *pid)?,
                    children,
                    look,
                ))
            })
            .collect())
    }
}

fn uncollected(parent: &Process, children: &[&Process], look: &Snapshot<'_>) -> Finding {
    let unit = look
        .managers
        .iter()
        .find_map(|manager| manager.unit_of(parent.pid));
    let child = children.first().map_or("", |child| child.comm.as_str());
    let message = format!(
        "{} does not collect its ended children: {} zombies, first {child}",
        parent.comm,
        children.len()
    );
    let subject = unit.clone().unwrap_or_else(|| parent.comm.clone());
    Finding::new(
        Class::StaleProcess,
        &subject,
        Severity::Info,
        &message,
        "processes",
        look.now,
    )
    .with(evidence::UNIT, unit.unwrap_or_default())
}

/// Running services whose program is gone without a successor: they cannot start again.
fn removed_programs(look: &Snapshot<'_>) -> Result<Vec<Finding>, DetectError> {
    let mut found = Vec::new();
    for unit in look.units()? {
        if unit.main_pid == 0
            || !unit.is_active()
            || super::is_own(&unit.name)
            || is_excluded(unit, &look.config.detect.ignore_units)
        {
            continue;
        }
        let link = std::fs::read_link(look.host.path(format!("/proc/{}/exe", unit.main_pid)));
        let Some(target) = link.ok().and_then(|path| path.to_str().map(str::to_owned)) else {
            continue;
        };
        let Some(path) = target.strip_suffix(" (deleted)") else {
            continue;
        };
        // Memory files and containers' own roots are not of this file system.
        let elsewhere =
            path.starts_with("/memfd:") || !unit.exec_start.iter().any(|exec| exec == path);
        if elsewhere || look.host.path(path).exists() {
            continue;
        }
        let message = format!("runs a program that was removed: {path}");
        found.push(
            Finding::new(
                Class::StaleProcess,
                &unit.name,
                Severity::Warning,
                &message,
                "processes",
                look.now,
            )
            .with(evidence::UNIT, unit.name.as_str())
            .with(evidence::PATH, path),
        );
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::fs;

    use super::*;
    use crate::detectors::Open;
    use crate::host::Host;
    use crate::host::clock::Clock;

    #[test]
    fn a_zombie_is_named_by_its_parent_after_a_while() {
        let dir = tempfile::tempdir().unwrap();
        for (pid, stat) in [
            (
                10,
                "10 (gateway) S 1 1 1 0 -1 0 0 0 0 0 0 0 0 0 20 0 1 0 500 0",
            ),
            (
                11,
                "11 (a b) Z) Z 10 1 1 0 -1 0 0 0 0 0 0 0 0 0 20 0 1 0 600 0",
            ),
        ] {
            fs::create_dir_all(dir.path().join(format!("proc/{pid}"))).unwrap();
            fs::write(dir.path().join(format!("proc/{pid}/stat")), stat).unwrap();
        }
        let host = Host::at(dir.path(), Clock::manual(Timestamp::from_millis(0)));
        let (config, open) = (Config::default(), Open::default());
        let detector = StaleProcess::default();
        let look = || detector.examine(&Snapshot::new(&host, &config, &[], &open));
        assert_eq!(look(), Ok(Sweep::Present(Vec::new())));
        host.clock.advance(Duration::from_secs(121));
        let Ok(Sweep::Present(found)) = look() else {
            return;
        };
        assert_eq!(found.len(), 1);
        assert_eq!(found.first().unwrap().subject, "gateway");
        fs::remove_dir_all(dir.path().join("proc/11")).unwrap();
        assert_eq!(look(), Ok(Sweep::Present(Vec::new())));
    }
}
