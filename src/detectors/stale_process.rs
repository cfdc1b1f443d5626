//! Processes that are left over: zombies that nobody collects, services whose program was removed, processes
//! that outlived their service and hold its pid file.
//!
//! A program that was replaced, as by an upgrade, is in order: the old one runs on until the next restart.
//! A leftover process on a port that a unit needs is a port conflict, found there with its holder.

use std::io;
use std::path::Path;
use std::sync::Mutex;
use std::time::Duration;

use crate::core::config::Config;
use crate::core::model::class::Class;
use crate::core::model::facts::{Fact, Holder};
use crate::core::model::finding::{Finding, Severity};
use crate::core::model::healthy::Proof;
use crate::core::model::sorted::SortedMap;
use crate::core::model::time::Timestamp;
use crate::core::model::unit::UnitState;
use crate::core::reading::innocence::{self, Doubt};
use crate::core::reading::unit_state::is_excluded;
use crate::detectors::{DetectError, Detector, Snapshot, Sweep};
use crate::host::procfs::{self, Process};
use crate::host::{files, pid_files};
use crate::services::census;

/// Zombies of parents that are just busy go away; this much longer than `stale_after_s` they do not.
const ZOMBIE_FACTOR: u32 = 4;

/// Where services keep their pid files.
const PID_FILES: [&str; 2] = ["/run/*.pid", "/run/*/*.pid"];

/// Remembers since when a zombie or an orphan was seen, by process id and start time.
#[derive(Debug, Default)]
pub struct StaleProcess {
    since: Mutex<SortedMap<(u32, u64), Timestamp>>,
    orphans: Mutex<SortedMap<(u32, u64), Timestamp>>,
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
        let pids = super::told("/proc", procfs::pids(look.host))?.unwrap_or_default();
        if pids.is_empty() {
            return Ok(Sweep::Absent("no /proc".to_owned()));
        }
        let mut found = removed_programs(look)?;
        found.extend(self.zombies(&pids, look)?);
        found.extend(self.orphans(look)?);
        Ok(Sweep::Present(found))
    }
}

impl StaleProcess {
    /// One finding per parent that leaves its children uncollected.
    fn zombies(&self, pids: &[u32], look: &Snapshot<'_>) -> Result<Vec<Finding>, DetectError> {
        let Ok(mut since) = self.since.lock() else {
            return Err(DetectError::Poisoned);
        };
        let patience =
            Duration::from_secs(look.config.detect.stale_after_s).saturating_mul(ZOMBIE_FACTOR);
        let mut zombies = Vec::new();
        for pid in pids {
            let stat = look.host.read(format!("/proc/{pid}/stat"), 1024);
            let read = told_by(*pid, stat, look).and_then(|text| procfs::parse_stat(&text));
            zombies.extend(read.filter(|process| process.state == 'Z' && process.ppid > 1));
        }
        since.retain(|key, _| zombies.iter().any(|z| (z.pid, z.start_ticks) == *key));
        let mut parents: SortedMap<u32, Vec<&Process>> = SortedMap::new();
        for zombie in &zombies {
            let first = *since
                .entry((zombie.pid, zombie.start_ticks))
                .or_insert(look.now);
            if look.now.since(first) >= patience {
                parents.entry(zombie.ppid).or_default().push(zombie);
            }
        }
        let of_parent = |(pid, children): (&u32, &Vec<&Process>)| {
            let parent = told_by(*pid, procfs::process(look.host, *pid), look).flatten()?;
            Some(uncollected(&parent, children, look))
        };
        Ok(parents.iter().filter_map(of_parent).collect())
    }
}

impl StaleProcess {
    /// Live processes that a pid file names while the service of that name does not run: its next start
    /// finds the file, or the port, taken.
    fn orphans(&self, look: &Snapshot<'_>) -> Result<Vec<Finding>, DetectError> {
        let Ok(mut since) = self.orphans.lock() else {
            return Err(DetectError::Poisoned);
        };
        let mut known = SortedMap::new();
        let mut found = Vec::new();
        let down: Vec<&UnitState> = look
            .units()?
            .iter()
            .filter(|unit| matches!(unit.active_state.as_str(), "inactive" | "failed"))
            .filter(|unit| !super::is_own(&unit.name))
            .filter(|unit| !is_excluded(unit, &look.config.detect.ignore_units))
            .collect();
        if down.is_empty() {
            since.clear();
            return Ok(found);
        }
        for file in PID_FILES
            .iter()
            .flat_map(|place| files::glob(look.host, place))
        {
            let Some(unit) = down.iter().find(|unit| is_of(&file.path, &unit.name)) else {
                continue;
            };
            let told = |read| look.told_of(Class::StaleProcess, &unit.name, &file.path, read);
            let named = told(pid_files::named(look.host, &file.path)).flatten();
            let Some(named) = named.filter(|named| named.sure) else {
                continue;
            };
            // Started after the service ended: by hand, and none of our business.
            if pid_files::started_us(&named.process) > unit.inactive_enter_us {
                continue;
            }
            let record = look.healthy.of(&unit.name);
            let suspect = census::suspect(look.host, named.process.pid, record);
            let Some(suspect) = told_by(named.process.pid, suspect, look).flatten() else {
                continue;
            };
            let verdict = innocence::leftover(unit, &look.healthy, &suspect);
            // Another service's is that one's; what works again is no leftover.
            if matches!(&verdict, Err(Doubt::Working))
                || matches!(&verdict, Err(Doubt::OfUnit(of)) if of.ends_with(".service"))
            {
                continue;
            }
            let key = (named.process.pid, named.process.start_ticks);
            let first = since.get(&key).copied().unwrap_or(look.now);
            known.insert(key, first);
            if look.now.since(first) >= Duration::from_secs(look.config.detect.stale_after_s) {
                let found_there = Orphan {
                    process: &named.process,
                    pid_file: &file.path,
                    verdict,
                };
                found.push(found_there.finding(unit, look.now));
            }
        }
        *since = known;
        Ok(found)
    }
}

/// `/run/meter.pid` and `/run/meter/meter.pid` are of `meter.service` and of `meter`.
fn is_of(pid_file: &str, unit: &str) -> bool {
    let name = pid_file
        .rsplit('/')
        .next()
        .and_then(|file| file.strip_suffix(".pid"));
    name.is_some() && name == Some(unit.strip_suffix(".service").unwrap_or(unit))
}

/// A live process that the pid file of a unit which is down names.
struct Orphan<'a> {
    process: &'a Process,
    pid_file: &'a str,
    verdict: Result<Proof, Doubt>,
}

impl Orphan<'_> {
    fn finding(&self, unit: &UnitState, now: Timestamp) -> Finding {
        let Self {
            process,
            pid_file,
            verdict,
        } = self;
        let comm = &process.comm;
        let message = match verdict {
            Ok(_) => format!(
                "{comm} outlived its service, which is {}, and holds {pid_file}",
                unit.active_state
            ),
            Err(_) => format!(
                "{pid_file} names {comm}, which is not known to be of the service, which is {}",
                unit.active_state
            ),
        };
        let why = verdict.as_ref().err().map(ToString::to_string);
        Finding::new(
            Class::StaleProcess,
            &unit.name,
            Severity::Warning,
            &message,
            "processes",
            now,
        )
        .with(Fact::Unit(&unit.name))
        .with(Fact::Path(pid_file))
        .with(Fact::Holder(Holder {
            pid: process.pid,
            start_ticks: process.start_ticks,
            command: &process.cmdline,
            exe: &process.exe,
        }))
        .with(Fact::HolderUser(process.uid))
        .with(verdict.as_ref().ok().copied().map(Fact::Leftover))
        .with(why.as_deref().map(Fact::LeftAlone))
    }
}

/// What was read of a process. One that refuses may be a zombie or a leftover of its unit.
fn told_by<T>(pid: u32, read: io::Result<T>, look: &Snapshot<'_>) -> Option<T> {
    super::told(&format!("/proc/{pid}/stat"), read).unwrap_or_else(|why| {
        let unit = look.unit_of(pid);
        look.could_not_look(&[Class::StaleProcess], unit.as_deref(), why);
        None
    })
}

fn uncollected(parent: &Process, children: &[&Process], look: &Snapshot<'_>) -> Finding {
    let unit = look.unit_of(parent.pid);
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
    .with(unit.as_deref().map(Fact::Unit))
    .with(Fact::Zombies(children.len()))
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
        let link = format!("/proc/{}/exe", unit.main_pid);
        let read = std::fs::read_link(look.host.path(&link));
        let target = look.told_of(Class::StaleProcess, &unit.name, &link, read);
        let target = target.as_deref().and_then(Path::to_str);
        let Some(path) = target.and_then(|path| path.strip_suffix(" (deleted)")) else {
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
            .with(Fact::Unit(&unit.name))
            .with(Fact::Path(path)),
        );
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing)]
    use std::fs;

    use super::*;
    use crate::core::model::facts::Key;
    use crate::detectors::Open;
    use crate::detectors::tests::One;
    use crate::host::Host;
    use crate::host::clock::Clock;

    #[test]
    fn an_orphan_that_holds_the_pid_file_is_named() {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir_all(dir.path().join("proc/70")).unwrap();
        fs::create_dir_all(dir.path().join("run/meter")).unwrap();
        fs::write(dir.path().join("proc/stat"), "btime 1700000000\n").unwrap();
        let stat = "70 (meterd) S 1 70 70 0 -1 0 0 0 0 0 0 0 0 0 20 0 1 0 10000 0";
        fs::write(dir.path().join("proc/70/stat"), stat).unwrap();
        fs::write(dir.path().join("proc/70/cmdline"), "/usr/bin/meterd").unwrap();
        fs::write(dir.path().join("run/meter/meter.pid"), "70\n").unwrap();
        let host = Host::at(dir.path(), Clock::manual(Timestamp::from_millis(0)));
        let (config, open) = (Config::default(), Open::default());
        let detector = StaleProcess::default();
        // The process started 100 s after boot, its service ended later.
        let ended = std::cell::Cell::new(200_000_000);
        let look = |state: &str| {
            let unit = UnitState {
                name: "meter.service".to_owned(),
                load_state: "loaded".to_owned(),
                active_state: state.to_owned(),
                inactive_enter_us: ended.get(),
                ..UnitState::default()
            };
            let managers: [std::sync::Arc<dyn crate::services::ServiceManager>; 1] =
                [std::sync::Arc::new(One::with_none(unit))];
            match detector.examine(&Snapshot::new(&host, &config, &managers, &open)) {
                Ok(Sweep::Present(found)) => found,
                other => unreachable!("{other:?}"),
            }
        };
        assert_eq!(look("failed"), []);
        host.clock.advance(Duration::from_secs(31));
        let found = look("failed");
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].subject, "meter.service");
        assert_eq!(found[0].evidence.text(Key::HolderPid), Some("70"));
        assert_eq!(look("active"), []);
        // Gone in between: patience begins anew.
        assert_eq!(look("failed"), []);
        host.clock.advance(Duration::from_secs(31));
        assert_eq!(look("failed").len(), 1);
        ended.set(50_000_000);
        assert_eq!(look("failed"), [], "started by hand");
        assert!(!is_of("/run/meter.pid", "meter.socket") && is_of("/run/meter.pid", "meter"));
    }

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
        assert_eq!(look().unwrap(), Sweep::Present(Vec::new()));
        host.clock.advance(Duration::from_secs(121));
        let Ok(Sweep::Present(found)) = look() else {
            return;
        };
        assert_eq!(found.len(), 1);
        let found = found.first().unwrap();
        assert_eq!(found.subject, "gateway");
        assert_eq!(found.fact(Key::Zombies), Some("1"));
        fs::remove_dir_all(dir.path().join("proc/11")).unwrap();
        assert_eq!(look().unwrap(), Sweep::Present(Vec::new()));
    }
}
