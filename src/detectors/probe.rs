//! The operator's probes: HTTP, TCP and commands with the exit codes of Nagios plugins.

use std::fmt;
use std::io::{self, Read, Write};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use nix::unistd::User;

use crate::core::config::{Config, Probe};
use crate::core::model::class::Class;
use crate::core::model::facts::Fact;
use crate::core::model::finding::{Finding, Severity};
use crate::core::model::hint::Hint;
use crate::core::model::port::Port;
use crate::core::model::sorted::{SortedMap, SortedSet};
use crate::core::model::text::cut;
use crate::core::model::time::Timestamp;
use crate::core::model::unit::{UnitName, UnitState};
use crate::core::reading::starting::{StartTimes, started_at};
use crate::detectors::ever_green::Green;
use crate::detectors::{DetectError, Detector, Snapshot, Sweep};
use crate::host::clock::end_after;
use crate::host::exec::{Command, Confinement};
use crate::host::net::{self, Tls};
use crate::host::trusted::{self, Owners};
use crate::host::{Host, boot};
use crate::services::{self, ServiceManager, outside};

/// Most that is read of an answer; the status line is at its start.
const ANSWER_CAP: u64 = 4096;
const OUTPUT_CAP: usize = 500;
/// Most memory of a probe's command.
const MEMORY_BYTES: u64 = 256 << 20;
/// A plugin written in Go sets aside more than a gigabyte of addresses and uses a few megabytes.
const ADDRESS_BYTES: u64 = 4 << 30;

/// Why a probe failed.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Failure {
    severity: Severity,
    what: String,
    /// The status of an HTTP answer that is a wrong one.
    answered: Option<u16>,
}

impl Failure {
    fn error(what: impl fmt::Display) -> Self {
        Self {
            severity: Severity::Error,
            what: what.to_string(),
            answered: None,
        }
    }
}

#[derive(Clone, Debug, Default)]
struct Memory {
    at: Timestamp,
    failures: u32,
    last: Option<Failed>,
    starts: StartTimes,
}

/// A failure, and what its host says of what was asked.
#[derive(Clone, Debug)]
struct Failed {
    failure: Failure,
    /// What the probe does not work without, separated by blanks.
    requires: String,
    /// It may still be starting.
    starting_until: Option<Timestamp>,
}

impl Memory {
    fn take(&mut self, look: &Snapshot<'_>, probe: &Probe, answer: Option<Failure>) {
        self.at = look.now;
        self.last = None;
        let Some(failure) = answer else {
            self.failures = 0;
            self.starts.good(look.now);
            return;
        };
        let units = units(look, probe);
        let own = units.first().filter(|unit| unit.name == probe.unit);
        // Whoever stopped it knows that it does not answer.
        if own.is_some_and(|own| own.purpose().is_some()) {
            self.failures = 0;
            return;
        }
        let start = started_at(&units, boot::booted_at(look.host), look.now);
        let period = Duration::from_secs(probe.start_period_s);
        let starting_until = self.starts.bad(start, period, look.now);
        self.failures = match starting_until {
            Some(_) => 0,
            None => self.failures.saturating_add(1),
        };
        self.last = Some(Failed {
            failure,
            requires: requires(probe, &units),
            starting_until,
        });
    }
}

/// The probe's own unit, then those that it does not run without. What is not to be found is left out.
fn units(look: &Snapshot<'_>, probe: &Probe) -> Vec<UnitState> {
    let find = |name: &str| {
        let name = UnitName::new(name).ok()?;
        Some(services::find(look.managers, &name).ok()?.1)
    };
    let own = find(&probe.unit);
    let required = own.as_ref().map(UnitState::required).unwrap_or_default();
    let named = probe.depends_on.iter().map(String::as_str);
    let others = required.split(' ').chain(named).filter_map(find);
    own.iter().cloned().chain(others).collect()
}

fn requires(probe: &Probe, units: &[UnitState]) -> String {
    let own = units.first().filter(|unit| unit.name == probe.unit);
    let own = own.map(UnitState::required).unwrap_or_default();
    let named = probe.depends_on.iter().map(String::as_str);
    let all: Vec<&str> = own
        .split(' ')
        .chain(named)
        .filter(|one| !one.is_empty())
        .collect();
    all.join(" ")
}

/// Counts consecutive failures in memory; what stood open before a restart stays so until a success. How long
/// starts took, and which probe was ever green, is kept over it.
#[derive(Debug, Default)]
pub struct Probes {
    memory: Mutex<SortedMap<String, Memory>>,
    green: Mutex<Green>,
}

impl Detector for Probes {
    fn name(&self) -> &'static str {
        "probe_failed"
    }

    fn classes(&self) -> &'static [Class] {
        &[Class::ProbeFailed]
    }

    fn interval(&self, config: &Config) -> Duration {
        let shortest = config
            .probe
            .iter()
            .map(|probe| probe.interval_s.max(1))
            .min();
        Duration::from_secs(shortest.unwrap_or(60))
    }

    fn examine(&self, look: &Snapshot<'_>) -> Result<Sweep, DetectError> {
        // What an old configuration probed is over when nothing is probed any more.
        if look.config.probe.is_empty() && !look.open.any(Class::ProbeFailed) {
            return Ok(Sweep::Absent("no probe is configured".to_owned()));
        }
        let Ok(mut memory) = self.memory.lock() else {
            return Err(DetectError::Poisoned);
        };
        let is_open = |probe: &Probe| look.open.contains(Class::ProbeFailed, &probe.name);
        let due: Vec<&Probe> = look
            .config
            .probe
            .iter()
            .filter(|probe| {
                // A failing one is asked at every look: that is how a repair is verified.
                let span = Duration::from_secs(probe.interval_s.max(1));
                is_open(probe)
                    || memory.get(&probe.name).is_none_or(|known| {
                        look.now
                            .since(known.at)
                            .saturating_add(Duration::from_millis(500))
                            >= span
                    })
            })
            .collect();
        let answers = ask_all(look, &due);
        let mut green = self.green.lock().unwrap_or_else(PoisonError::into_inner);
        let good = answers.iter().filter(|(_, answer)| answer.is_none());
        green.take(look.config, good.map(|(probe, _)| *probe));
        for (probe, answer) in answers {
            let known = memory.entry(probe.name.clone()).or_default();
            known.take(look, probe, answer);
        }
        let found = look
            .config
            .probe
            .iter()
            .filter_map(|probe| {
                let known = memory.get(&probe.name)?;
                let enough = known.failures >= probe.failures.max(1) || is_open(probe);
                let failed = known.last.as_ref().filter(|_| enough)?;
                let was_green = green.has(probe);
                Some(finding(probe, failed, was_green, look.now))
            })
            .collect();
        Ok(Sweep::Present(found))
    }

    fn memory(&self) -> Option<String> {
        let memory = self.memory.lock().ok()?;
        let took = |(name, known): (&String, &Memory)| {
            let took = known.starts.took_s();
            (!took.is_empty()).then(|| (name.clone(), took.to_vec()))
        };
        let kept: SortedMap<String, Vec<u64>> = memory.iter().filter_map(took).collect();
        let mut green = self.green.lock().ok()?;
        let asked = green.written()?;
        serde_json::to_string(&(asked, kept)).ok()
    }

    fn has_news(&self) -> bool {
        self.green.lock().is_ok_and(|green| green.has_news())
    }

    fn recall(&self, memory: &str) {
        type Took = SortedMap<String, Vec<u64>>;
        let (asked, took) = match serde_json::from_str::<(SortedSet<String>, Took)>(memory) {
            Ok((asked, took)) => (Some(asked), took),
            // An earlier version wrote less.
            Err(_) => (None, serde_json::from_str(memory).unwrap_or_default()),
        };
        if let Ok(mut green) = self.green.lock() {
            *green = Green::recalled(asked);
        }
        if let Ok(mut memory) = self.memory.lock() {
            for (name, took) in took {
                memory.entry(name).or_default().starts = StartTimes::remembered(took);
            }
        }
    }
}

/// Asks all at once: one slow peer must not delay the others. At most one thread per due probe, briefly.
fn ask_all<'p>(look: &Snapshot<'_>, due: &[&'p Probe]) -> Vec<(&'p Probe, Option<Failure>)> {
    let (host, managers) = (look.host, look.managers);
    const AT_ONCE: usize = 8;
    let mut answers = Vec::new();
    for group in due.chunks(AT_ONCE) {
        std::thread::scope(|scope| {
            let asked: Vec<_> = group
                .iter()
                .map(|probe| (*probe, scope.spawn(|| ask(host, managers, probe).err())))
                .collect();
            for (probe, thread) in asked {
                let answer = thread
                    .join()
                    .unwrap_or_else(|_| Some(Failure::error("the probe itself failed")));
                answers.push((probe, answer));
            }
        });
    }
    answers
}

fn finding(probe: &Probe, failed: &Failed, was_green: bool, now: Timestamp) -> Finding {
    let failure = &failed.failure;
    let port = probe
        .tcp
        .rsplit(':')
        .next()
        .and_then(|number| number.parse().ok())
        .map(Port::tcp);
    Finding::new(
        Class::ProbeFailed,
        &probe.name,
        failure.severity,
        &failure.what,
        "probes",
        now,
    )
    .with(Fact::Probe(&probe.name))
    .with(Fact::WasGreen(was_green))
    .with(Fact::Unit(&probe.unit))
    .with(Fact::Requires(&failed.requires))
    .with(failed.starting_until.map(Fact::StartingUntil))
    .with(failure.answered.map(Fact::Answered))
    .with(port.map(Fact::Port))
}

/// One answer, now: how bad it is and what went wrong, or `None`.
pub(crate) fn ask_once(
    host: &Host,
    managers: &[Arc<dyn ServiceManager>],
    probe: &Probe,
) -> Option<(Severity, String)> {
    let failure = ask(host, managers, probe).err()?;
    Some((failure.severity, failure.what))
}

fn ask(host: &Host, managers: &[Arc<dyn ServiceManager>], probe: &Probe) -> Result<(), Failure> {
    let timeout = Duration::from_secs(probe.timeout_s.max(1));
    if !probe.http.is_empty() {
        http(probe, timeout)
    } else if !probe.tcp.is_empty() {
        net::dial(&probe.tcp, end_after(timeout))
            .map(drop)
            .map_err(|why| Failure::error(format_args!("tcp {}: {}", probe.tcp, reason(&why))))
    } else {
        command(host, managers, probe)
    }
}

/// The words of an error without its number: they are the same everywhere.
fn reason(why: &io::Error) -> String {
    let text = why.to_string();
    text.split(" (os error").next().unwrap_or(&text).to_owned()
}

/// One GET over HTTP/1.1; only the status line counts, and the certificate.
fn http(probe: &Probe, timeout: Duration) -> Result<(), Failure> {
    let url = &probe.http;
    let fail = |what: &dyn fmt::Display| Failure::error(format_args!("GET {url}: {what}"));
    let (scheme, rest) = url.split_once("://").unwrap_or(("", url));
    let default_port = match scheme {
        "http" => 80,
        "https" => 443,
        _ => return Err(fail(&"only http:// and https:// are probed")),
    };
    let (authority, path) = match rest.find('/') {
        Some(at) => rest.split_at(at),
        None => (rest, "/"),
    };
    let authority = authority.rsplit('@').next().unwrap_or(authority);
    let (host, port) = authority
        .rsplit_once(':')
        .and_then(|(host, port)| Some((host, port.parse::<u16>().ok()?)))
        .unwrap_or((authority, default_port));
    let mut stream = net::dial(&format!("{host}:{port}"), end_after(timeout))
        .map_err(|why| fail(&reason(&why)))?;
    let status = if scheme == "https" {
        let tls = Tls::new(&probe.ca_file).map_err(|why| fail(&why.with_hint()))?;
        tls.wrap(host, stream)
            .and_then(|mut stream| exchange(&mut stream, authority, path))
    } else {
        exchange(&mut stream, authority, path)
    };
    let status = status.map_err(|why| {
        if why.kind() == io::ErrorKind::TimedOut {
            fail(&"no answer in time")
        } else {
            fail(&reason(&why))
        }
    })?;
    let good = match probe.expect_status {
        0 => (200..400).contains(&status),
        wanted => status == wanted,
    };
    if good {
        Ok(())
    } else {
        // 502 to 504 say that there is nobody to answer (RFC 9110, section 15.6).
        let answered = Some(status).filter(|status| !(502..=504).contains(status));
        Err(Failure {
            answered,
            ..fail(&format_args!("status {status}"))
        })
    }
}

pub(crate) fn exchange(
    stream: &mut (impl Read + Write),
    host: &str,
    path: &str,
) -> io::Result<u16> {
    let request = format!(
        "GET {path} HTTP/1.1\r\nHost: {host}\r\nUser-Agent: autonomous-orchestrator\r\nAccept: */*\r\nConnection: close\r\n\r\n"
    );
    stream.write_all(request.as_bytes())?;
    let mut answer = Vec::new();
    let mut chunk = [0_u8; 512];
    while !answer.contains(&b'\n') && (answer.len() as u64) < ANSWER_CAP {
        let got = stream.read(&mut chunk)?;
        if got == 0 {
            break;
        }
        answer.extend_from_slice(chunk.get(..got).unwrap_or(&[]));
    }
    let text = String::from_utf8_lossy(&answer);
    let line = text.lines().next().unwrap_or("");
    line.strip_prefix("HTTP/")
        .and_then(|rest| rest.split(' ').nth(1))
        .and_then(|status| status.parse().ok())
        .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "the answer is not HTTP"))
}

/// The user that a probe's command runs as; none where it names none.
fn user(probe: &Probe) -> Result<Option<User>, Failure> {
    if probe.user.is_empty() {
        return Ok(None);
    }
    match User::from_name(&probe.user) {
        Ok(Some(user)) => Ok(Some(user)),
        _ => Err(Failure::error(format_args!(
            "no such user '{}'",
            probe.user
        ))),
    }
}

/// Nagios plugin: 0 good, 1 warning, 2 critical, everything else unknown. The first line of output says why.
fn command(
    host: &Host,
    managers: &[Arc<dyn ServiceManager>],
    probe: &Probe,
) -> Result<(), Failure> {
    let Some((name, args)) = probe.command.split_first() else {
        return Err(Failure::error("the probe has no command"));
    };
    let user = user(probe)?;
    let owners = Owners::of(host);
    let owners = match &user {
        Some(user) => owners.or(user.uid.as_raw()),
        None => owners,
    };
    // Held open until it has ended: these are the files that were proven.
    let proven = trusted::argv(host, &probe.command, &owners)
        .map_err(|why| Failure::error(why.with_hint()))?;
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    let seconds = probe.timeout_s.max(1);
    let confinement = Confinement {
        user,
        memory_bytes: MEMORY_BYTES,
        address_bytes: ADDRESS_BYTES,
        cpu_seconds: seconds,
    };
    let command = Command::new(&proven.program, &args, Duration::from_secs(seconds));
    let out =
        outside::run(host, managers, &command.confined(&confinement)).map_err(Failure::error)?;
    let severity = match out.status {
        0 => return Ok(()),
        1 => Severity::Warning,
        2 => Severity::Critical,
        _ => Severity::Error,
    };
    let text = out.text();
    let first = text.lines().map(str::trim).find(|line| !line.is_empty());
    // Performance data after the bar changes all the time.
    let what = first.map_or_else(
        || out.reason(),
        |line| line.split('|').next().unwrap_or(line).trim().to_owned(),
    );
    Err(Failure {
        severity,
        what: format!(
            "{name} ended with {}: {}",
            out.status,
            cut(&what, OUTPUT_CAP)
        ),
        answered: None,
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing)]
    use std::net::TcpListener;

    use super::*;
    use crate::detectors::Open;
    use crate::host::clock::Clock;
    use crate::host::exec::System;

    /// Answers one request with `text` and returns the address.
    fn answering(text: &'static str) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        std::thread::spawn(move || {
            if let Ok((mut peer, _)) = listener.accept() {
                let mut request = [0_u8; 1024];
                let _ = peer.read(&mut request);
                let _ = peer.write_all(text.as_bytes());
            }
        });
        address
    }

    fn http_of(scheme: &str, text: &'static str, expect_status: u16) -> Result<(), Failure> {
        let probe = Probe {
            http: format!("{scheme}://{}/health", answering(text)),
            expect_status,
            ..Probe::default()
        };
        http(&probe, Duration::from_secs(10))
    }

    #[test]
    fn http_counts_the_status_alone() {
        assert_eq!(
            http_of("http", "HTTP/1.1 204 No Content\r\n\r\n", 0),
            Ok(())
        );
        assert_eq!(http_of("http", "HTTP/1.0 404 Not Found\r\n", 404), Ok(()));
        assert!(
            http_of("http", "HTTP/1.1 503 Busy\r\n", 0)
                .unwrap_err()
                .what
                .ends_with("status 503")
        );
        assert!(
            http_of("http", "SSH-2.0-x\r\n", 0)
                .unwrap_err()
                .what
                .contains("not HTTP")
        );
        assert!(http_of("http", "", 0).is_err());
        assert!(http_of("ftp", "", 0).is_err());
        let no_tls = http_of("https", "HTTP/1.1 200 OK\r\n\r\n", 0).unwrap_err();
        assert!(no_tls.what.contains("corrupt message"), "{}", no_tls.what);
    }

    #[test]
    fn nagios_codes_count() {
        let run = |script: &str| {
            let probe = Probe {
                command: ["sh", "-c", script].map(str::to_owned).to_vec(),
                timeout_s: 10,
                ..Probe::default()
            };
            command(&Host::real(), &[], &probe)
        };
        assert_eq!(run("exit 0"), Ok(()));
        let warning = run("echo 'DISK WARNING - low | used=81%'; exit 1").unwrap_err();
        assert_eq!(warning.severity, Severity::Warning);
        assert_eq!(warning.what, "sh ended with 1: DISK WARNING - low");
        assert_eq!(run("exit 2").unwrap_err().severity, Severity::Critical);
        assert!(command(&Host::real(), &[], &Probe::default()).is_err());
        let stranger = Probe {
            user: "no-such-user-here".to_owned(),
            command: vec!["true".to_owned()],
            ..Probe::default()
        };
        assert!(command(&Host::real(), &[], &stranger).is_err());
    }

    #[test]
    fn how_long_starts_took_outlives_this_program() {
        let probes = Probes::default();
        assert_eq!(probes.memory(), None);
        let config = Config::default();
        let none = std::iter::empty();
        probes.green.lock().unwrap().take(&config, none);
        let at = |seconds: i64| Timestamp::from_millis(seconds * 1_000);
        let mut slow = Memory::default();
        slow.starts
            .bad(Some(at(10)), Duration::from_secs(60), at(20));
        slow.starts.good(at(100));
        probes.memory.lock().unwrap().insert("web".to_owned(), slow);
        let kept = probes.memory().unwrap();
        let later = Probes::default();
        later.recall("what another version wrote");
        assert_eq!(later.memory(), None);
        for kept in [kept.as_str(), "{\"web\":[90]}"] {
            later.recall(kept);
            let web = later.memory.lock().unwrap()["web"].clone();
            assert_eq!(web.starts.took_s(), [90], "{kept}");
        }
        let none = std::iter::empty();
        later.green.lock().unwrap().take(&config, none);
        assert_eq!(later.memory(), Some(kept));
    }

    #[test]
    fn a_probe_requires_what_it_names_beside_what_its_unit_does() {
        let probe = Probe {
            unit: "web.service".to_owned(),
            depends_on: vec!["queue".to_owned()],
            ..Probe::default()
        };
        let unit = |name: &str| UnitState {
            name: name.to_owned(),
            requires: vec!["db.service".to_owned(), "sysinit.target".to_owned()],
            ..UnitState::default()
        };
        assert_eq!(requires(&probe, &[unit("web.service")]), "db.service queue");
        assert_eq!(requires(&probe, &[unit("other.service")]), "queue");
        assert_eq!(requires(&Probe::default(), &[]), "");
    }

    #[test]
    fn only_failures_in_a_row_are_a_finding() {
        let mut config = Config::default();
        config.probe.push(Probe {
            name: "p".to_owned(),
            command: vec!["false".to_owned()],
            failures: 2,
            interval_s: 1,
            ..Probe::default()
        });
        let host = Host::at("/", Clock::manual(Timestamp::from_millis(0)))
            .with_executor(Arc::new(System::default()));
        let probes = Probes::default();
        let closed = Open::default();
        let look = |config: &Config, open: &Open| match probes.examine(&Snapshot::new(
            &host,
            config,
            &[],
            open,
        )) {
            Ok(Sweep::Present(found)) => found.len(),
            _ => usize::MAX,
        };
        assert_eq!(look(&config, &closed), 0);
        host.clock.advance(Duration::from_secs(1));
        assert_eq!(look(&config, &closed), 1);
        let open = Open::new([(Class::ProbeFailed, "p".to_owned())]);
        config.probe[0].command = vec!["true".to_owned()];
        assert_eq!(look(&config, &open), 0);
    }
}
