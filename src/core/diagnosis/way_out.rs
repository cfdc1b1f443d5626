//! What hangs on an uplink that is down: names, time-outs and certificates of what lies behind the stage that is broken,
//! the interface itself, and what cannot be delivered. Pure.

use crate::core::diagnosis::shared_root;
use crate::core::model::cause::Cause;
use crate::core::model::class::Class;
use crate::core::model::facts::{Facts, Key};
use crate::core::reading::uplink::Stage;

/// True when a way out that is broken as `root` says is why a condition stands open that names `cause`, by `line`.
pub(super) fn explains(
    root: &Facts,
    (class, subject): (Class, &str),
    cause: Cause,
    line: impl FnOnce() -> Option<String>,
) -> bool {
    let Some(stage) = root.text(Key::Stage).and_then(|text| text.parse().ok()) else {
        return false;
    };
    if class == Class::NetworkDown {
        return root.text(Key::Device) == Some(subject);
    }
    class == Class::SelfEscalationDown
        || is_behind(stage, cause) && !line().is_some_and(|line| is_near(root, &line))
}

/// What fails with `cause` lies behind `stage`.
fn is_behind(stage: Stage, cause: Cause) -> bool {
    let behind: &[Cause] = match stage {
        Stage::Link | Stage::Address | Stage::Route | Stage::Gateway => &[
            Cause::DnsFailed,
            Cause::NetworkUnreachable,
            Cause::ConnectionTimeout,
        ],
        Stage::Resolver => &[Cause::DnsFailed, Cause::ConnectionTimeout],
        Stage::Clock => &[
            Cause::CertificateExpired,
            Cause::CertificateUntrusted,
            Cause::PeerCertificate,
        ],
        Stage::Peer => &[Cause::ConnectionTimeout, Cause::CertificateUntrusted],
    };
    behind.contains(&cause)
}

/// It tells of somebody whom this host reaches without a gateway. A name is taken for far away, as what names nobody is.
fn is_near(root: &Facts, line: &str) -> bool {
    let peer = shared_root::peer(line);
    let Some((host, _)) = peer.as_deref().and_then(|peer| peer.rsplit_once(':')) else {
        return false;
    };
    if host == "localhost" {
        return true;
    }
    let networks = root.text(Key::Networks).unwrap_or("");
    let own = number(host);
    networks.split(' ').any(|network| {
        let (address, bits) = network.split_once('/').unwrap_or((network, ""));
        let masked = |number: u32, bits: u32| number >> 32_u32.saturating_sub(bits);
        match (own, number(address), bits.parse::<u32>()) {
            (Some(own), Some(network), Ok(bits @ 1..=32)) => {
                masked(own, bits) == masked(network, bits)
            }
            _ => false,
        }
    })
}

/// Of an IPv4 address.
fn number(address: &str) -> Option<u32> {
    let mut parts = address.split('.').map(str::parse::<u8>);
    let mut next = || parts.next()?.ok();
    let bytes = [next()?, next()?, next()?, next()?];
    parts.next().is_none().then(|| u32::from_be_bytes(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_lies_behind_the_broken_stage_hangs_on_it_and_nothing_near() {
        let (log, probe) = (Class::LogError, Class::ProbeFailed);
        let name = "cannot resolve host broker.example.com";
        let far = "dial tcp 203.0.113.9:8883: connection timed out";
        let near = "dial tcp 10.0.3.7:502: connection timed out";
        for (stage, symptom, cause, want) in [
            ("link", (log, "", name), Cause::DnsFailed, true),
            ("resolver", (log, "", name), Cause::DnsFailed, true),
            ("peer", (log, "", name), Cause::DnsFailed, false),
            (
                "gateway",
                (probe, "web", far),
                Cause::ConnectionTimeout,
                true,
            ),
            (
                "gateway",
                (probe, "plc", near),
                Cause::ConnectionTimeout,
                false,
            ),
            (
                "gateway",
                (log, "", "dial tcp 127.0.0.1:5432: connection timed out"),
                Cause::ConnectionTimeout,
                false,
            ),
            (
                "gateway",
                (log, "", "the cloud: i/o timeout"),
                Cause::ConnectionTimeout,
                true,
            ),
            ("clock", (log, "", far), Cause::ConnectionTimeout, false),
            (
                "clock",
                (log, "", "certificate has expired"),
                Cause::CertificateExpired,
                true,
            ),
            (
                "link",
                (log, "", "out of paper"),
                Cause::ProgramError,
                false,
            ),
            (
                "link",
                (Class::NetworkDown, "eth0", "down"),
                Cause::LinkDown,
                true,
            ),
            (
                "link",
                (Class::NetworkDown, "eth1", "down"),
                Cause::LinkDown,
                false,
            ),
            (
                "peer",
                (Class::SelfEscalationDown, "github", "parked"),
                Cause::SelfImpaired,
                true,
            ),
            ("none", (log, "", name), Cause::DnsFailed, false),
        ] {
            let facts = [
                ("stage", stage),
                ("device", "eth0"),
                ("networks", "10.0.3.0/24 fd00::/64"),
            ];
            let root = Facts::stored(&facts);
            let (class, subject, line) = symptom;
            let got = explains(&root, (class, subject), cause, || Some(line.to_owned()));
            assert_eq!(got, want, "{stage} {class} {line}");
        }
    }
}
