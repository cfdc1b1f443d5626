//! What a unit that is down lacks, where a look tells that it is there again. Pure.

use ::core::net::{IpAddr, SocketAddr};
use std::fmt;

use crate::core::diagnosis::root_cause::OpenCondition;
use crate::core::model::cause::Cause;
use crate::core::reading::ports;

/// Longest host name of a line that is looked up.
const NAME_MOST: usize = 253;

/// Causes whose object is a path that was not there.
const OF_PATHS: &[Cause] = &[
    Cause::DeviceMissing,
    Cause::DeviceLost,
    Cause::PathMissing,
    Cause::ExecMissing,
    Cause::ChdirFailed,
];
/// Ends of words with a dot that are no names of hosts.
const NO_HOSTS: &[&str] = &[
    "service", "socket", "mount", "target", "conf", "log", "py", "go", "js",
];

/// What has to be there before a start can help.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Lack {
    /// A device, file or folder.
    Path(String),
    /// A mount, a device, a service that it requires.
    Unit(String),
    /// An address of this host.
    Address(IpAddr),
    /// Who listens on this TCP port of this host.
    Listener(u16),
    /// A host name that resolves.
    Name(String),
    /// Room on the file system of this folder.
    Room(String),
    /// This port of this host (`tcp/8080`), free.
    Port(String),
    /// This file or device, not held by another process.
    Lock(String),
}

impl fmt::Display for Lack {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Path(path) => f.write_str(path),
            Self::Unit(unit) => f.write_str(unit),
            Self::Address(address) => write!(f, "address {address}"),
            Self::Listener(port) => write!(f, "port {port}"),
            Self::Name(name) => write!(f, "name {name}"),
            Self::Room(folder) => write!(f, "room below {folder}"),
            Self::Port(what) | Self::Lock(what) => write!(f, "free {what}"),
        }
    }
}

impl Lack {
    /// What ended the unit of this condition, if that can be seen to return.
    pub fn of(condition: &OpenCondition) -> Option<Self> {
        if let Some(held) = Self::held(condition) {
            return Some(held);
        }
        let root = condition.shared_root()?;
        let (cause, object) = (root.cause, root.object.as_str());
        let is = |causes: &[Cause]| causes.contains(&cause);
        if is(OF_PATHS) {
            if object.starts_with('/') && !object.contains(char::is_whitespace) {
                return Some(Self::Path(object.to_owned()));
            }
            let interface = words(object).find(|word| is_interface(word))?;
            return Some(Self::Path(format!("/sys/class/net/{interface}")));
        }
        if is(&[Cause::DependencyMissing, Cause::DependencyFailed]) {
            return Some(Self::Unit(object.to_owned()));
        }
        if is(&[Cause::AddressNotLocal]) {
            return words(object).find_map(address).map(Self::Address);
        }
        if is(&[Cause::ConnectionRefused]) {
            let port = object.strip_prefix("localhost:")?.parse().ok()?;
            return Some(Self::Listener(port));
        }
        if is(&[Cause::DiskFull, Cause::InodeFull]) {
            return folder(&condition.path()?).map(Self::Room);
        }
        if is(&[Cause::DnsFailed]) {
            let line = condition.line()?;
            let name = words(&line).find(|word| is_name(word))?;
            return Some(Self::Name(name.to_owned()));
        }
        None
    }
}

impl Lack {
    /// What another process holds that the unit of this condition wants, by the line that names the cause: as long as
    /// it is held no start can help.
    pub fn held(condition: &OpenCondition) -> Option<Self> {
        let named = condition.named_when_down()?;
        let line = named.line.as_deref()?;
        let is = |cause| named.cause == cause;
        let port = is(Cause::PortInUse).then(|| ports::of_message(line));
        let lock = is(Cause::LockHeld).then_some(named.path.as_deref());
        let lock = lock.flatten().map(|path| Self::Lock(path.to_owned()));
        port.flatten().map(Self::Port).or(lock)
    }

    /// The port, file or device that another process may hold.
    pub fn holdable(&self) -> Option<&str> {
        match self {
            Self::Port(what) | Self::Lock(what) => Some(what),
            Self::Path(_)
            | Self::Unit(_)
            | Self::Address(_)
            | Self::Listener(_)
            | Self::Name(_)
            | Self::Room(_) => None,
        }
    }
}

/// The folder of a file.
pub fn folder(path: &str) -> Option<String> {
    let (folder, _) = path.rsplit_once('/')?;
    path.starts_with('/').then(|| match folder {
        "" => "/".to_owned(),
        folder => folder.to_owned(),
    })
}

fn words(text: &str) -> impl Iterator<Item = &str> {
    let apart = |c: char| c.is_whitespace() || "\"'(),;=<>/".contains(c);
    text.split(apart)
        .map(|word| word.trim_end_matches(['.', ':']))
        .filter(|word| !word.is_empty())
}

/// `10.0.0.5`, `10.0.0.5:1883`, `[fd00::1]:80`.
fn address(word: &str) -> Option<IpAddr> {
    let plain = word.parse().ok();
    plain.or_else(|| word.parse().ok().map(|socket: SocketAddr| socket.ip()))
}

/// `can0`, `wwan0`, `enp3s0`: as the kernel and udev name network interfaces, with a number at the end.
fn is_interface(word: &str) -> bool {
    const KINDS: &[&str] = &[
        "can", "vcan", "slcan", "eth", "en", "wlan", "wl", "wwan", "ww", "ppp", "tun", "tap", "wg",
        "usb",
    ];
    let fits = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    word.len() < 16
        && word.chars().all(fits)
        && word.ends_with(|c: char| c.is_ascii_digit())
        && KINDS.iter().any(|kind| word.starts_with(kind))
}

/// A name with a dot that is no address, file or unit.
fn is_name(word: &str) -> bool {
    let word = word.split(':').next().unwrap_or(word);
    let fits = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '.';
    let last = word.rsplit('.').next().unwrap_or("");
    word.len() <= NAME_MOST
        && word.contains('.')
        && word.chars().all(fits)
        && last.len() > 1
        && last.chars().all(|c| c.is_ascii_alphabetic())
        && !NO_HOSTS.contains(&last)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::core::model::class::Class;
    use crate::core::model::facts::Fact;
    use crate::core::model::finding::{Finding, Severity};
    use crate::core::model::id::TaskId;
    use crate::core::model::task::Status;
    use crate::core::model::time::Timestamp;

    fn lack(log: &str, needs: &str) -> Option<Lack> {
        let now = Timestamp::from_millis(1_800_000_000_000);
        let finding = Finding::new(
            Class::ServiceFailed,
            "app.service",
            Severity::Error,
            "failed",
            "units",
            now,
        )
        .with(Fact::Result(if needs.is_empty() {
            "exit-code"
        } else {
            "dependency"
        }))
        .with(Fact::Needs(needs))
        .with(Fact::Log(log));
        Lack::of(&OpenCondition {
            task_id: TaskId::from_number(1),
            class: finding.class,
            subject: finding.subject.clone(),
            status: Status::Waiting,
            message: finding.message.clone(),
            evidence: finding.evidence,
            since: now,
            tried: false,
            green_since: None,
        })
    }

    #[test]
    fn what_can_be_seen_to_return_is_read_of_what_ended_the_unit() {
        let address = |text: &str| Some(Lack::Address(text.parse().unwrap()));
        for (log, want) in [
            (
                "open /dev/ttyUSB0: No such file or directory",
                Some(Lack::Path("/dev/ttyUSB0".to_owned())),
            ),
            (
                "dial tcp 127.0.0.1:5432: connect: connection refused",
                Some(Lack::Listener(5432)),
            ),
            (
                "dial tcp db.example.com:5432: connect: connection refused",
                None,
            ),
            (
                "bind 10.0.0.5:1883: Cannot assign requested address",
                address("10.0.0.5"),
            ),
            (
                "ERROR broker.example.com: Temporary failure in name resolution",
                Some(Lack::Name("broker.example.com".to_owned())),
            ),
            (
                "write /srv/tsdb/wal/17: no space left on device",
                Some(Lack::Room("/srv/tsdb/wal".to_owned())),
            ),
            (
                "bind() to 0.0.0.0:80 failed (98: Address already in use)",
                Some(Lack::Port("tcp/80".to_owned())),
            ),
            ("OSError: [Errno 98] Address already in use", None),
            (
                "Cannot acquire directory lock on \"/srv/kv\".  Another process is using it",
                Some(Lack::Lock("/srv/kv".to_owned())),
            ),
            ("database is locked", None),
            ("No space left on device", None),
            ("Temporary failure in name resolution", None),
            (
                "Cannot find device \"can0\"",
                Some(Lack::Path("/sys/class/net/can0".to_owned())),
            ),
            ("modem not found: No such device", None),
            ("Segmentation fault", None),
        ] {
            assert_eq!(lack(log, ""), want, "{log}");
        }
        let unit = Some(Lack::Unit("srv.mount".to_owned()));
        assert_eq!(lack("", "srv.mount=loaded/failed"), unit);
    }
}
