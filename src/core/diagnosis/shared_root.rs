//! What several units fail of alike: a device, a file, a peer, the resolver. It need not be a condition of its own to be
//! the root of a case. Pure.

use std::fmt;
use std::time::Duration;

use crate::core::diagnosis::naming::Named;
use crate::core::diagnosis::sandbox;
use crate::core::model::cause::Cause;
use crate::core::model::facts::{Facts, Key};
use crate::core::model::time::Timestamp;
use crate::core::reading::shape;

/// Units that fail of what the whole host has one of (its resolver, its route) within this time fail of one thing, though
/// each names another host.
const TOGETHER: Duration = Duration::from_secs(600);

/// What lies outside of a unit and ends it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SharedRoot {
    pub cause: Cause,
    /// Path, peer, unit or line; empty for what the host has one of.
    pub object: String,
}

impl fmt::Display for SharedRoot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.cause.as_str())?;
        match self.object.as_str() {
            "" => Ok(()),
            object => write!(f, ": {object}"),
        }
    }
}

impl SharedRoot {
    /// What a condition about `unit` fails of, if that is nothing of the unit's own.
    pub fn of(unit: &str, named: &Named, evidence: &Facts) -> Option<Self> {
        let line = || named.line.as_deref();
        let object = match about(named.cause)? {
            About::Library => {
                line().map(|line| library(line).unwrap_or_else(|| words_of(line, unit)))
            }
            About::Side => line().map(|line| {
                let who = user(line).filter(|_| named.cause == Cause::AuthFailed);
                let side = who.or_else(|| peer(line));
                side.unwrap_or_else(|| words_of(line, unit))
            }),
            About::Thing => {
                let path = evidence.text(Key::Path).or(named.path.as_deref());
                path.map(str::to_owned)
                    .or_else(|| line().map(|line| words_of(line, unit)))
            }
            About::Peer => line().map(|line| peer(line).unwrap_or_else(|| words_of(line, unit))),
            About::Words => evidence
                .log()
                .find(|line| !is_managers(line, unit))
                .filter(|line| is_template(unit) || sandbox::paths(line).next().is_some())
                .map(|line| words_of(line, unit)),
            About::Need => evidence.unmet().next().map(|(name, _)| name.to_owned()),
            About::Host => Some(String::new()),
        };
        let object = object.filter(|object| !object.is_empty() || is_of_host(named.cause))?;
        let cause = named.cause;
        Some(Self { cause, object })
    }

    /// The same for a container: paths and peers are its project's own; what the host has one of is everybody's.
    pub(crate) fn of_project(self, project: Option<&str>) -> Option<Self> {
        if is_of_host(self.cause) {
            return Some(self);
        }
        let project = project.filter(|project| !project.is_empty())?;
        let object = format!("{} of project {project}", self.object);
        Some(Self { object, ..self })
    }

    /// One thing, for conditions first seen at these times.
    pub fn is_also(&self, other: &Self, seen: Timestamp, other_seen: Timestamp) -> bool {
        let apart = seen.since(other_seen).max(other_seen.since(seen));
        let lasts = !matches!(about(self.cause), Some(About::Host | About::Words));
        self == other && (lasts || apart <= TOGETHER)
    }
}

/// Where the object of a cause is found.
#[derive(Clone, Copy, PartialEq, Eq)]
enum About {
    /// A path, or else what the line says.
    Thing,
    /// A library by its file name: each program says it of its own path.
    Library,
    /// Whom it speaks to, and of a refusal as which user: each program says it in its own words.
    Side,
    /// Who does not answer.
    Peer,
    /// What it requires.
    Need,
    /// The host has one of it.
    Host,
    /// The program's last words, where no rule knows them.
    Words,
}

/// What more than one unit may fail of. How a process ended, and what is the unit's own, is not among it.
const fn about(cause: Cause) -> Option<About> {
    Some(match cause {
        Cause::PathMissing
        | Cause::ExecMissing
        | Cause::ExecFormat
        | Cause::ChdirFailed
        | Cause::UserMissing
        | Cause::ConfigInvalid
        | Cause::PermissionDenied
        | Cause::DataInvalid
        | Cause::DataCorrupt
        | Cause::DataFileDestroyed
        | Cause::OwnCertificate
        | Cause::Licence
        | Cause::DeviceMissing
        | Cause::DeviceLost
        | Cause::DeviceUnreachable
        | Cause::AddressNotLocal
        | Cause::UpdateInterrupted => About::Thing,
        Cause::LibraryMissing => About::Library,
        Cause::CertificateExpired
        | Cause::CertificateUntrusted
        | Cause::PeerCertificate
        | Cause::AuthFailed => About::Side,
        Cause::ConnectionRefused | Cause::ConnectionTimeout | Cause::TooManyConnections => {
            About::Peer
        }
        Cause::DependencyMissing | Cause::DependencyFailed => About::Need,
        Cause::DnsFailed
        | Cause::NetworkUnreachable
        | Cause::LinkDown
        | Cause::DiskFull
        | Cause::InodeFull
        | Cause::ReadonlyAfterError => About::Host,
        Cause::ProcessExited => About::Words,
        Cause::PortHeldByStaleProcess
        | Cause::PortHeldByStranger
        | Cause::PortHeldByUnit
        | Cause::PortInUse
        | Cause::PathMoved
        | Cause::ProcessKilled
        | Cause::ProcessCrashed
        | Cause::StartLimit
        | Cause::StartTimeout
        | Cause::ResourcesRefused
        | Cause::OutOfMemory
        | Cause::WatchdogTimeout
        | Cause::Hung
        | Cause::JournalFull
        | Cause::MediaError
        | Cause::FilesystemDamaged
        | Cause::StorageWorn
        | Cause::Overheating
        | Cause::ConfigChanged
        | Cause::TooManyFiles
        | Cause::ClockWrong
        | Cause::ZombieParent
        | Cause::StaleProcess
        | Cause::StoppedUnexpectedly
        | Cause::InterfaceOff
        | Cause::NoAddress
        | Cause::NoRoute
        | Cause::GatewaySilent
        | Cause::CaptivePortal
        | Cause::PeerSilent
        | Cause::KeepsRestarting
        | Cause::LockHeld
        | Cause::RequestRejected
        | Cause::HealthCheckFailed
        | Cause::ProgramError
        | Cause::KernelFault
        | Cause::SelfImpaired
        | Cause::Power
        | Cause::FirmwareCrashed
        | Cause::DeviceHung
        | Cause::BusOff
        | Cause::SandboxDenies
        | Cause::LimitsReached
        | Cause::BackupFailed
        | Cause::ClockAhead
        | Cause::Unknown => return None,
    })
}

fn is_of_host(cause: Cause) -> bool {
    about(cause) == Some(About::Host)
}

/// Units of one template run one program on one configuration.
fn is_template(unit: &str) -> bool {
    unit.split_once('@')
        .is_some_and(|(_, instance)| !instance.starts_with('.'))
}

/// The service manager's own line about the unit: all units that end have the same.
fn is_managers(line: &str, unit: &str) -> bool {
    let about = line
        .strip_prefix(unit)
        .is_some_and(|rest| rest.starts_with(": "));
    let first = line.split(' ').next().unwrap_or("");
    let begins = ["Started", "Starting", "Stopped", "Stopping", "Scheduled"].contains(&first);
    about || begins || line.starts_with("Failed to start ")
}

/// The line as any unit would say it: without time, level and the unit's own name. A name of one letter is in any word.
fn words_of(line: &str, unit: &str) -> String {
    let message = shape::read(line).message.trim().to_owned();
    let stem = unit.rsplit_once('.').map_or(unit, |(stem, _)| stem);
    let instance = stem.split_once('@').map_or("", |(_, instance)| instance);
    let own = [unit, stem, instance].into_iter();
    own.filter(|own| own.len() > 1)
        .fold(message, |text, own| text.replace(own, "*"))
}

/// Names of this host.
const LOCAL: &[&str] = &["localhost", "127.0.0.1", "[::1]", "::1", "0.0.0.0"];

/// `libmodbus.so.5` of a line about a library.
fn library(line: &str) -> Option<String> {
    let apart = |c: char| c.is_whitespace() || "\"'`(),;:/".contains(c);
    let is_library = |word: &&str| word.starts_with("lib") && word.contains(".so");
    line.split(apart).find(is_library).map(str::to_owned)
}

/// `user gateway` of a line that tells who was refused.
fn user(line: &str) -> Option<String> {
    let mut words = line.split(|c: char| c.is_whitespace() || "\"'`\\(),;:=".contains(c));
    let mut words = words.by_ref().filter(|word| !word.is_empty());
    words.find(|word| {
        ["user", "role", "username", "login"].contains(&word.to_ascii_lowercase().as_str())
    })?;
    words.next().map(|name| format!("user {name}"))
}

/// Where in a source file something was written: `_ssl.c:1007`.
fn is_source(host: &str) -> bool {
    let ends = [
        ".c", ".cc", ".cpp", ".h", ".go", ".py", ".rs", ".java", ".js", ".ts",
    ];
    ends.iter().any(|end| host.ends_with(end))
}

/// The port of this host that a line tells does not answer.
pub fn local_port(line: &str) -> Option<u16> {
    peer(line)?.strip_prefix("localhost:")?.parse().ok()
}

/// `host:port` of whom a line tells.
pub(super) fn peer(line: &str) -> Option<String> {
    let words = || line.split(|c: char| c.is_whitespace() || "\"'(),;=<>".contains(c));
    let host_of = |host: &str| match LOCAL.contains(&host) {
        true => "localhost".to_owned(),
        false => host.to_ascii_lowercase(),
    };
    let mut joined = words().filter_map(|word| {
        let word = word.rsplit_once("//").map_or(word, |(_, rest)| rest);
        let word = word.split_once('/').map_or(word, |(peer, _)| peer);
        let (host, port) = word.trim_end_matches([':', '.']).rsplit_once(':')?;
        let port: u16 = port.parse().ok()?;
        let fits = |c: char| c.is_ascii_alphanumeric() || "-._[]:".contains(c);
        // A time of day is no host, nor is a place in a source file.
        let is_address = host.starts_with('[') || host == "::1" || !host.contains(':');
        let said = host.chars().all(fits) && host.contains(|c: char| !c.is_ascii_digit());
        let named = said && is_address && !is_source(host);
        named.then(|| format!("{}:{port}", host_of(host)))
    });
    joined.next_back().or_else(|| {
        let mut after = words().skip_while(|word| !word.eq_ignore_ascii_case("port"));
        let port: u16 = after.nth(1)?.parse().ok()?;
        let at = words()
            .skip_while(|word| !["at", "host"].contains(&word.to_ascii_lowercase().as_str()));
        let host = at.skip(1).find(|word| !word.is_empty())?;
        Some(format!("{}:{port}", host_of(host)))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::diagnosis::cause_rules::CauseRules;
    use crate::core::diagnosis::naming::name_cause;
    use crate::core::model::class::Class;
    use crate::core::model::facts::Fact;
    use crate::core::model::finding::{Finding, Severity};

    fn seen() -> Timestamp {
        Timestamp::from_millis(1_800_000_000_000)
    }

    fn failed(unit: &str, log: &str) -> Finding {
        let class = Class::ServiceFailed;
        Finding::new(class, unit, Severity::Error, "failed", "units", seen())
            .with(Fact::Result("exit-code"))
            .with(Fact::Log(log))
    }

    fn root(finding: &Finding) -> String {
        let named = name_cause(finding, CauseRules::builtin());
        SharedRoot::of(&finding.subject, &named, &finding.evidence)
            .map_or_else(String::new, |root| root.to_string())
    }

    #[test]
    fn what_a_unit_fails_of_is_named_without_the_unit() {
        for (log, want) in [
            (
                "open /dev/ttyUSB0: No such file or directory",
                "device_missing: /dev/ttyUSB0",
            ),
            (
                "2026-11-29 10:00:01 ERROR TLS: peer certificate has expired (2025-11-01)",
                "certificate_expired: TLS: peer certificate has expired (2025-11-01)",
            ),
            (
                "Broker broker.example.com:8883: [SSL: CERTIFICATE_VERIFY_FAILED] certificate has expired (_ssl.c:1007)",
                "certificate_expired: broker.example.com:8883",
            ),
            (
                "level=fatal msg=\"connect to broker.example.com:8883 failed: x509: certificate has expired or is not yet valid: current time is after 2026-01-08T19:03:36Z\"",
                "certificate_expired: broker.example.com:8883",
            ),
            (
                "pq: password authentication failed for user \"gateway\"",
                "auth_failed: user gateway",
            ),
            (
                "connection to server at \"127.0.0.1\", port 5432 failed: FATAL:  password authentication failed for user \"gateway\"",
                "auth_failed: user gateway",
            ),
            (
                "/usr/sbin/a: error while loading shared libraries: libmodbus.so.5: cannot open shared object file: No such file or directory",
                "library_missing: libmodbus.so.5",
            ),
            (
                "dial tcp 127.0.0.1:5432: connect: connection refused",
                "connection_refused: localhost:5432",
            ),
            (
                "connection to server at \"localhost\" (127.0.0.1), port 5432 failed: Connection refused",
                "connection_refused: localhost:5432",
            ),
            (
                "cannot reach tcp://Broker.example.com:1883: Connection refused",
                "connection_refused: broker.example.com:1883",
            ),
            (
                "broker.example.com: Temporary failure in name resolution",
                "dns_failed",
            ),
            ("write: No space left on device", "disk_full"),
            ("Segmentation fault", ""),
            ("", ""),
        ] {
            assert_eq!(root(&failed("a.service", log)), want, "{log}");
        }
        let needs = failed("a.service", "").with(Fact::Needs("db.service=loaded/failed"));
        let needs = needs.with(Fact::Result("dependency"));
        assert_eq!(root(&needs), "dependency_failed: db.service");
    }

    #[test]
    fn instances_of_one_template_say_the_same() {
        let say = |unit: &str, line: &str| root(&failed(unit, line));
        let one = say(
            "app@one.service",
            "app@one: invalid configuration value 'x'",
        );
        let two = say(
            "app@two.service",
            "app@two: invalid configuration value 'x'",
        );
        assert_eq!(one, two);
        assert!(one.starts_with("config_invalid: "), "{one}");
        let other = say(
            "app@two.service",
            "app@two: invalid configuration value 'y'",
        );
        assert_ne!(one, other);
    }

    #[test]
    fn words_that_no_rule_knows_are_one_thing_where_they_name_a_path_or_a_template_says_them() {
        let exited = |unit: &str, line: &str| {
            let ends =
                format!("{unit}: Main process exited, code=exited, status=1/FAILURE\n{line}");
            let finding = failed(unit, &ends).with(Fact::Exit {
                code: "exited",
                status: 1,
            });
            root(&finding)
        };
        let line = "glorp expected after speed";
        let one = exited("gw@1.service", line);
        assert_eq!(one, format!("process_exited: {line}"));
        assert_eq!(one, exited("gw@22.service", line));
        assert_eq!(exited("a.service", line), "");
        let path = "/srv/gw.conf:1: glorp expected";
        assert_eq!(exited("a.service", path), exited("b.service", path));
        assert_ne!(exited("a.service", path), "");
    }

    #[test]
    fn what_the_host_has_one_of_is_one_thing_only_for_what_fails_together() {
        let of = |cause, object: &str| SharedRoot {
            cause,
            object: object.to_owned(),
        };
        let after = |seconds| seen().plus(Duration::from_secs(seconds));
        let resolver = of(Cause::DnsFailed, "");
        let device = of(Cause::DeviceMissing, "/dev/ttyUSB0");
        for (one, other, seconds, want) in [
            (&resolver, &resolver, 600, true),
            (&resolver, &resolver, 601, false),
            (&device, &device, 86_400, true),
            (&device, &of(Cause::DeviceMissing, "/dev/ttyUSB1"), 0, false),
            (&device, &of(Cause::PathMissing, "/dev/ttyUSB0"), 0, false),
        ] {
            let (at, named) = (after(seconds), format!("{one} {other} {seconds}"));
            assert_eq!(one.is_also(other, seen(), at), want, "{named}");
            assert_eq!(one.is_also(other, at, seen()), want, "{named}");
        }
    }
}
