//! Services that run and do nothing any more: stopped by a signal, or deaf to those who connect.

use std::sync::Mutex;
use std::time::Duration;

use crate::core::config::Config;
use crate::core::model::class::Class;
use crate::core::model::facts::Fact;
use crate::core::model::finding::{Finding, Severity};
use crate::core::model::port::Port;
use crate::core::model::sorted::{SortedMap, SortedSet};
use crate::core::model::time::Timestamp;
use crate::core::model::unit::UnitState;
use crate::core::reading::accept_queue::{Queues, Untaken};
use crate::core::reading::unit_state::is_excluded;
use crate::core::reading::voice::SilentUnit;
use crate::detectors::{DetectError, Detector, Snapshot, Sweep};
use crate::host::net::listeners::holding;
use crate::host::{Host, procfs};

/// Most bytes read of one table of sockets.
const TABLE_CAP: u64 = 8 << 20;
/// A program that is only busy takes a connection within this many times `stale_after_s`.
const BUSY_FACTOR: u32 = 2;

/// What shows that a service hangs.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Sign {
    /// Its main process, by number and start, is in state `T`.
    Stopped(u32, u64),
    /// This connection waits to be taken.
    Untaken(Untaken),
}

/// Since when each sign has been there without a break.
#[derive(Debug, Default)]
pub struct ServiceHung {
    since: Mutex<SortedMap<Sign, Timestamp>>,
}

impl Detector for ServiceHung {
    fn name(&self) -> &'static str {
        "service_hung"
    }

    fn classes(&self) -> &'static [Class] {
        &[Class::ServiceHung]
    }

    fn interval(&self, config: &Config) -> Duration {
        super::host_interval(config)
    }

    fn examine(&self, look: &Snapshot<'_>) -> Result<Sweep, DetectError> {
        if look.managers.is_empty() {
            return Ok(Sweep::Absent("no service manager".to_owned()));
        }
        let ignored = &look.config.detect.ignore_units;
        let judged = |unit: &&UnitState| {
            unit.is_active() && !super::is_own(&unit.name) && !is_excluded(unit, ignored)
        };
        let units: Vec<&UnitState> = look.units()?.iter().filter(judged).collect();
        let queues = queues(look.host)?;
        let stopped = stopped(look, &units);
        let ages = self.ages(&queues, stopped.iter().map(|(sign, _)| sign), look.now)?;
        let patience = Duration::from_secs(look.config.detect.stale_after_s);
        let hung = Hung {
            look,
            patience: patience.saturating_mul(BUSY_FACTOR),
            ages,
        };
        let mut found: Vec<Finding> = stopped
            .iter()
            .filter_map(|(sign, unit)| hung.standing_still(sign, unit))
            .collect();
        let told: SortedSet<String> = found.iter().map(|one| one.subject.clone()).collect();
        let deaf = hung.deaf(&queues, &units).into_iter();
        found.extend(deaf.filter(|one| !told.contains(&one.subject)));
        let told: SortedSet<String> = found.iter().map(|one| one.subject.clone()).collect();
        let silent = hung.silent(&units).into_iter();
        found.extend(silent.filter(|one| !told.contains(&one.subject)));
        Ok(Sweep::Present(found))
    }
}

impl ServiceHung {
    /// How long each sign has been there. What is gone is forgotten.
    fn ages<'a>(
        &self,
        queues: &Queues,
        stopped: impl Iterator<Item = &'a Sign>,
        now: Timestamp,
    ) -> Result<SortedMap<Sign, Duration>, DetectError> {
        let mut since = self.since.lock().map_err(|_| DetectError::Poisoned)?;
        let untaken = queues.untaken.iter().cloned().map(Sign::Untaken);
        let signs = stopped.cloned().chain(untaken);
        let known = signs.map(|sign| {
            let first = since.get(&sign).copied().unwrap_or(now);
            (sign, first)
        });
        *since = known.collect();
        let aged = since
            .iter()
            .map(|(sign, first)| (sign.clone(), now.since(*first)));
        Ok(aged.collect())
    }
}

fn queues(host: &Host) -> Result<Queues, DetectError> {
    let mut tables = Vec::new();
    for file in ["/proc/net/tcp", "/proc/net/tcp6"] {
        tables.extend(super::told(file, host.read(file, TABLE_CAP))?);
    }
    Ok(Queues::read(&tables))
}

/// Units whose main process was stopped by a signal; a debugger's hold is another state (`t`).
fn stopped<'a>(look: &Snapshot<'_>, units: &[&'a UnitState]) -> Vec<(Sign, &'a UnitState)> {
    let stopped = |unit: &&'a UnitState| {
        let path = format!("/proc/{}/stat", unit.main_pid);
        let read = look.host.read(&path, 1024);
        let stat = look.told_of(Class::ServiceHung, &unit.name, &path, read)?;
        let process = procfs::parse_stat(&stat).filter(|process| process.state == 'T')?;
        Some((Sign::Stopped(process.pid, process.start_ticks), *unit))
    };
    let running = units.iter().filter(|unit| unit.main_pid > 0);
    running.filter_map(stopped).collect()
}

/// One look, with the ages of all signs.
struct Hung<'a> {
    look: &'a Snapshot<'a>,
    patience: Duration,
    ages: SortedMap<Sign, Duration>,
}

impl Hung<'_> {
    /// Long enough to be told, or told already: a program that was started anew does not know since when.
    fn counts(&self, sign: &Sign, unit: &str) -> bool {
        let age = self.ages.get(sign).copied().unwrap_or_default();
        age >= self.patience || self.look.open.contains(Class::ServiceHung, unit)
    }

    fn standing_still(&self, sign: &Sign, unit: &UnitState) -> Option<Finding> {
        let message = format!(
            "its main process {} is stopped by a signal and does nothing",
            unit.main_pid
        );
        self.counts(sign, &unit.name)
            .then(|| self.finding(&unit.name, &message))
    }

    /// Units of `units` with a connection that they do not take. Whose a port is costs a look at every process, and is
    /// asked only where something waits.
    fn deaf(&self, queues: &Queues, units: &[&UnitState]) -> Vec<Finding> {
        let may_count = |one: &&Untaken| {
            let sign = Sign::Untaken((*one).clone());
            units.iter().any(|unit| self.counts(&sign, &unit.name))
        };
        let ports: SortedSet<u16> = queues
            .untaken
            .iter()
            .filter(may_count)
            .map(|one| one.port)
            .collect();
        let mut found: SortedMap<String, Finding> = SortedMap::new();
        for port in ports {
            let inodes = queues.listening.iter().filter(|one| one.port == port);
            let inodes: SortedSet<u64> = inodes.map(|one| one.inode).collect();
            for name in self.holders(&inodes, units) {
                if let Some(one) = self.deaf_on(port, queues, &name) {
                    found.entry(name).or_insert(one);
                }
            }
        }
        found.into_values().collect()
    }

    /// The units, not the manager, that hold one of these sockets.
    fn holders(&self, inodes: &SortedSet<u64>, units: &[&UnitState]) -> SortedSet<String> {
        let look = self.look;
        let (mut pids, mut refused) = match holding(look.host, inodes) {
            Ok(held) => held,
            Err(why) => {
                let why = DetectError::Source("/proc".to_owned(), why);
                look.could_not_look(&[Class::ServiceHung], None, why);
                return SortedSet::new();
            }
        };
        pids.retain(|pid| *pid > 1);
        // Nobody is seen to hold it: whoever refuses may be the one.
        if !pids.is_empty() {
            refused.clear();
        }
        for (pid, why) in refused {
            if let Some(unit) = look.unit_of(pid) {
                let why = DetectError::Source(format!("/proc/{pid}/fd"), why);
                look.could_not_look(&[Class::ServiceHung], Some(&unit), why);
            }
        }
        let names = pids.into_iter().filter_map(|pid| look.unit_of(pid));
        let known = |name: &String| units.iter().any(|unit| unit.name == *name);
        names.filter(known).collect()
    }

    fn deaf_on(&self, port: u16, queues: &Queues, unit: &str) -> Option<Finding> {
        let waiting = queues.untaken.iter().filter(|one| one.port == port);
        let signs: Vec<Sign> = waiting.cloned().map(Sign::Untaken).collect();
        let longest = signs.iter().filter_map(|sign| self.ages.get(sign)).max()?;
        let counts = signs.iter().any(|sign| self.counts(sign, unit));
        let message = format!(
            "it listens on tcp/{port} and takes no connection: {} wait, the first for {} s",
            signs.len(),
            longest.as_secs()
        );
        let port = Fact::Port(Port::tcp(port));
        counts.then(|| self.finding(unit, &message).with(port))
    }

    /// Units of `units` that used to write to their log and no longer do: less sure than the other signs.
    fn silent(&self, units: &[&UnitState]) -> Vec<Finding> {
        let named = |silence: &&SilentUnit| units.iter().any(|unit| unit.name == silence.unit);
        let silent = self.look.silent.iter().filter(named);
        let told = silent.map(|silence| {
            let message = format!(
                "it runs, but its log went silent {} min ago; it was never silent for longer than {} min before",
                self.look.now.since(silence.last).as_secs() / 60,
                silence.pause.as_secs() / 60
            );
            Finding {
                severity: Severity::Warning,
                ..self.finding(&silence.unit, &message)
            }
        });
        told.collect()
    }

    fn finding(&self, unit: &str, message: &str) -> Finding {
        let (class, now) = (Class::ServiceHung, self.look.now);
        Finding::new(class, unit, Severity::Error, message, "service_hung", now)
            .with(Fact::Unit(unit))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::unreachable)]
    use std::fs;
    use std::os::unix::fs::symlink;
    use std::sync::Arc;

    use super::*;
    use crate::detectors::Open;
    use crate::detectors::tests::One;
    use crate::host::clock::Clock;
    use crate::services::ServiceManager;

    struct Bench {
        dir: tempfile::TempDir,
        host: Host,
        detector: ServiceHung,
        open: Open,
        silent: Vec<SilentUnit>,
    }

    impl Bench {
        /// Process 70 listens on 9305 by the socket 41206.
        fn new() -> Self {
            let dir = tempfile::tempdir().unwrap();
            fs::create_dir_all(dir.path().join("proc/70/fd")).unwrap();
            fs::create_dir_all(dir.path().join("proc/net")).unwrap();
            symlink("socket:[41206]", dir.path().join("proc/70/fd/3")).unwrap();
            let host = Host::at(dir.path(), Clock::manual(Timestamp::from_millis(0)));
            let detector = ServiceHung::default();
            let bench = Self {
                dir,
                host,
                detector,
                open: Open::default(),
                silent: Vec::new(),
            };
            bench.is('S');
            bench.waits(&[]);
            bench
        }

        fn is(&self, state: char) {
            let stat =
                format!("70 (meterd) {state} 1 70 70 0 -1 0 0 0 0 0 0 0 0 0 20 0 1 0 10000 0");
            fs::write(self.dir.path().join("proc/70/stat"), stat).unwrap();
        }

        fn waits(&self, peers: &[&str]) {
            let mut table =
                "header\n 0: 00000000:2459 00000000:0000 0A 0:0 0:0 0 0 0 41206 1\n".to_owned();
            for peer in peers {
                table += &format!(" 1: 0100007F:2459 0100007F:{peer} 01 0:0 0:0 0 0 0 0 1\n");
            }
            fs::write(self.dir.path().join("proc/net/tcp"), table).unwrap();
        }

        /// The messages of a look, `seconds` after the one before.
        fn after(&self, seconds: u64) -> Vec<String> {
            self.host.clock.advance(Duration::from_secs(seconds));
            let config = Config::default();
            let unit = UnitState {
                name: "meter.service".to_owned(),
                load_state: "loaded".to_owned(),
                active_state: "active".to_owned(),
                main_pid: 70,
                ..UnitState::default()
            };
            let managers: [Arc<dyn ServiceManager>; 1] = [Arc::new(One::with_all(unit))];
            let look = Snapshot::new(&self.host, &config, &managers, &self.open)
                .hearing(self.silent.clone());
            match self.detector.examine(&look) {
                Ok(Sweep::Present(found)) => found.into_iter().map(|one| one.message).collect(),
                other => unreachable!("{other:?}"),
            }
        }
    }

    #[test]
    fn a_stopped_main_process_is_told_after_a_while_and_a_debuggers_is_not() {
        let bench = Bench::new();
        bench.is('T');
        assert!(bench.after(0).is_empty());
        assert!(bench.after(59).is_empty());
        let told = ["its main process 70 is stopped by a signal and does nothing"];
        assert_eq!(bench.after(1), told);
        bench.is('t');
        assert!(bench.after(1).is_empty());
        bench.is('T');
        assert!(bench.after(100).is_empty(), "patience begins anew");
    }

    #[test]
    fn a_unit_whose_log_went_silent_is_told_unless_a_surer_sign_is() {
        let mut bench = Bench::new();
        let silence = |unit: &str| SilentUnit {
            unit: unit.to_owned(),
            last: Timestamp::from_millis(0),
            pause: Duration::from_secs(120),
        };
        bench.silent = vec![silence("meter.service"), silence("other.service")];
        assert_eq!(
            bench.after(3_600),
            [
                "it runs, but its log went silent 60 min ago; it was never silent for longer than 2 min before"
            ]
        );
        bench.is('T');
        bench.after(1);
        let surer = ["its main process 70 is stopped by a signal and does nothing"];
        assert_eq!(bench.after(100), surer);
    }

    #[test]
    fn a_connection_that_nobody_takes_is_told_and_a_burst_is_not() {
        let bench = Bench::new();
        assert!(bench.after(0).is_empty(), "quiet");
        for peer in ["A001", "A002", "A003"] {
            bench.waits(&[peer]);
            assert!(
                bench.after(40).is_empty(),
                "each is another one: they are taken"
            );
        }
        bench.waits(&["A004", "A005"]);
        assert!(bench.after(0).is_empty());
        bench.waits(&["A004", "A005", "A006"]);
        let told = ["it listens on tcp/9305 and takes no connection: 3 wait, the first for 60 s"];
        assert_eq!(bench.after(60), told);
        bench.waits(&[]);
        assert!(bench.after(1).is_empty());
    }

    #[test]
    fn a_process_that_refuses_hides_no_deaf_one() {
        let mut bench = Bench::new();
        bench.open = Open::new([(Class::ServiceHung, "meter.service".to_owned())]);
        bench.waits(&["A004"]);
        fs::create_dir(bench.dir.path().join("proc/71")).unwrap();
        fs::write(bench.dir.path().join("proc/71/fd"), "").unwrap();
        assert_eq!(bench.after(0).len(), 1);
    }

    #[test]
    fn what_stands_open_needs_no_patience_and_sockets_of_the_manager_alone_are_nobodys() {
        let mut bench = Bench::new();
        bench.open = Open::new([(Class::ServiceHung, "meter.service".to_owned())]);
        bench.waits(&["A004"]);
        assert_eq!(bench.after(0).len(), 1);
        fs::rename(
            bench.dir.path().join("proc/70"),
            bench.dir.path().join("proc/1"),
        )
        .unwrap();
        assert!(bench.after(100).is_empty());
    }
}
