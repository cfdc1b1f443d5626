//! The way out, stage by stage from the box outwards: of what was seen the first stage that is broken. Pure. What nobody
//! can tell is unknown, and never counts as broken.

use std::fmt;

use crate::core::model::cause::Cause;
use crate::core::model::named::named;

named! {
    /// A stage of the way out, the nearest to the box first.
    Stage "stage of the uplink" {
        Link = "link",
        Address = "address",
        Route = "route",
        Gateway = "gateway",
        Resolver = "resolver",
        Clock = "clock",
        Peer = "peer",
    }
}

impl Stage {
    /// Nothing on this box changes what is broken there.
    pub const fn is_beyond(self) -> bool {
        matches!(self, Self::Resolver | Self::Clock | Self::Peer)
    }
}

/// A network interface, as the kernel shows it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Interface {
    pub name: String,
    /// It does not exist.
    pub is_gone: bool,
    /// Somebody switched it on (IFF_UP).
    pub is_on: bool,
    /// What the kernel calls `operstate`; `unknown` for tunnels, modems and PPP, which work all the same.
    pub state: String,
    /// None where the driver does not tell.
    pub carrier: Option<bool>,
    /// Hardware address; empty where it has none.
    pub hardware: String,
    /// It has an address of the family that counts, which is no link-local one. None where nobody can tell.
    pub has_address: Option<bool>,
}

/// Whether the gateway of a way answers on its link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reach {
    Answers,
    Silent,
    /// A link without ARP, or nobody asked yet.
    Unknown,
}

/// One way out: an interface, and the default route over it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Way {
    pub interface: Interface,
    /// The gateway's address, empty where the link has but one other end; none without a default route.
    pub gateway: Option<String>,
    pub is_v6: bool,
    pub reach: Reach,
}

/// The way out as it was when all of it worked.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KnownWay {
    pub device: String,
    pub hardware: String,
    pub gateway: String,
}

/// How a resolver answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Resolved {
    /// With an address, or that there is no such name.
    Answers,
    /// That it cannot tell: its code (RFC 1035, 4.1.1; 2 is a failure of its own, 5 a refusal).
    Fails(u8),
    Silent,
}

/// How a declared destination answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PeerAnswer {
    Up,
    NoAddress,
    Refused,
    Unreachable,
    Silent,
    /// Its certificate is of another, or is signed by somebody who is not trusted here.
    NotTrusted,
    NotYetValid,
    Expired,
    Other(String),
}

/// What a walk beyond the gateway found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Beyond {
    /// Each by its address; empty where no destination has a name.
    pub resolvers: Vec<(String, Resolved)>,
    /// Each as `host:port`, and whether TLS is spoken there.
    pub peers: Vec<(String, bool, PeerAnswer)>,
    /// The clock stands before the program was made.
    pub clock_is_early: bool,
    /// The kernel says that nobody synchronised it.
    pub is_unsynced: bool,
}

/// The first stage that is broken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Broken {
    pub stage: Stage,
    pub cause: Cause,
    /// The interface; empty beyond the gateway.
    pub device: String,
    /// What is wrong, for a human.
    pub says: String,
}

impl Broken {
    fn at(stage: Stage, cause: Cause, device: &str, says: String) -> Self {
        let device = device.to_owned();
        Self {
            stage,
            cause,
            device,
            says,
        }
    }
}

impl Way {
    /// The first broken stage of this way, up to its gateway.
    pub fn broken(&self, known: &[KnownWay]) -> Option<Broken> {
        let name = self.interface.name.as_str();
        let broken = |stage, cause, says| Some(Broken::at(stage, cause, name, says));
        if let Some((cause, says)) = self.interface.broken() {
            return broken(Stage::Link, cause, says);
        }
        if self.interface.has_address == Some(false) {
            let says = format!("{name} has no address");
            return broken(Stage::Address, Cause::NoAddress, says);
        }
        let Some(gateway) = &self.gateway else {
            let says = format!("there is no default route; {name} had one");
            return broken(Stage::Route, Cause::NoRoute, says);
        };
        if self.reach != Reach::Silent {
            return None;
        }
        if let Some(says) = self.leads_elsewhere(known) {
            return broken(Stage::Route, Cause::NoRoute, says);
        }
        let says = format!("the gateway {gateway} does not answer on {name}");
        broken(Stage::Gateway, Cause::GatewaySilent, says)
    }

    /// It is not the way that worked.
    fn leads_elsewhere(&self, known: &[KnownWay]) -> Option<String> {
        let gateway = self.gateway.as_deref()?;
        let own = known
            .iter()
            .find(|known| known.device == self.interface.name);
        let is_known = own.is_some_and(|own| own.gateway == gateway);
        let before = own.or(known.first()).filter(|_| !is_known)?;
        let said = |gateway: &str, device: &str| match gateway {
            "" => device.to_owned(),
            gateway => format!("{gateway} on {device}"),
        };
        Some(format!(
            "the default route leads over {}; while it worked it was {}",
            said(gateway, &self.interface.name),
            said(&before.gateway, &before.device)
        ))
    }
}

impl Interface {
    fn broken(&self) -> Option<(Cause, String)> {
        let name = self.name.as_str();
        let (cause, what) = match self.state.as_str() {
            _ if self.is_gone => (Cause::LinkDown, "does not exist".to_owned()),
            _ if !self.is_on => (Cause::InterfaceOff, "is switched off".to_owned()),
            _ if self.carrier == Some(false) => (Cause::LinkDown, "has no carrier".to_owned()),
            state @ ("down" | "lowerlayerdown" | "notpresent" | "dormant") => {
                (Cause::LinkDown, format!("is {state}"))
            }
            _ => return None,
        };
        Some((cause, format!("{name} {what}")))
    }
}

/// The first broken stage of all. One way that works is enough; of several that do not, the one that gets furthest
/// speaks. What lies beyond counts only where somebody looked.
pub fn first_broken(ways: &[Way], known: &[KnownWay], beyond: Option<&Beyond>) -> Option<Broken> {
    let broken: Vec<Option<Broken>> = ways.iter().map(|way| way.broken(known)).collect();
    let furthest = || {
        let broken = broken.iter().flatten();
        // The first of those that get as far: `max_by_key` would take the last.
        broken.rev().max_by_key(|one| one.stage).cloned()
    };
    if ways.is_empty() {
        return None;
    }
    if broken.iter().all(Option::is_some) {
        return furthest();
    }
    let far = beyond?.broken()?;
    let works = || {
        ways.iter()
            .zip(&broken)
            .filter(|(_, broken)| broken.is_none())
    };
    // Nobody can tell whether an IPv6 router answers: the way that is known to be broken is the nearer stage.
    if works().all(|(way, _)| way.is_v6)
        && let Some(near) = furthest()
    {
        return Some(near);
    }
    let silent = far.stage == Stage::Resolver || far.cause == Cause::PeerSilent;
    let elsewhere = works().find_map(|(way, _)| Some((way, way.leads_elsewhere(known)?)));
    match elsewhere.filter(|_| silent) {
        Some((way, says)) => {
            let device = way.interface.name.as_str();
            Some(Broken::at(Stage::Route, Cause::NoRoute, device, says))
        }
        None => Some(far),
    }
}

impl Beyond {
    fn broken(&self) -> Option<Broken> {
        if self
            .peers
            .iter()
            .any(|(.., answer)| *answer == PeerAnswer::Up)
        {
            return None;
        }
        let answers = |(_, reply): &&(String, Resolved)| *reply == Resolved::Answers;
        if !self.resolvers.is_empty() && !self.resolvers.iter().any(|one| answers(&one)) {
            let told = self.resolvers.iter().map(|(address, reply)| match reply {
                Resolved::Fails(code) => format!("{address} fails (code {code})"),
                Resolved::Silent | Resolved::Answers => format!("{address} is silent"),
            });
            let says = format!("no resolver answers: {}", joined(told));
            return Some(Broken::at(Stage::Resolver, Cause::DnsFailed, "", says));
        }
        if self.peers.is_empty() {
            return None;
        }
        if let Some(says) = self.clock() {
            return Some(Broken::at(Stage::Clock, Cause::ClockWrong, "", says));
        }
        let all = |wanted: PeerAnswer| {
            let mut peers = self.peers.iter().filter(|(_, tls, _)| *tls).peekable();
            peers.peek().is_some() && peers.all(|(.., answer)| *answer == wanted)
        };
        let cause = match () {
            () if all(PeerAnswer::NotTrusted) => Cause::CaptivePortal,
            () if all(PeerAnswer::Expired) => Cause::PeerCertificate,
            () => Cause::PeerSilent,
        };
        let told = self.peers.iter();
        let told = joined(told.map(|(name, _, answer)| format!("{name} {answer}")));
        let says = format!("no destination answers: {told}");
        Some(Broken::at(Stage::Peer, cause, "", says))
    }

    /// Why the clock is to blame: nothing else makes a certificate begin in the future, or those of several end at once.
    fn clock(&self) -> Option<String> {
        let sealed = || self.peers.iter().filter(|(_, tls, _)| *tls);
        let said = |wanted: PeerAnswer| sealed().filter(|(.., answer)| *answer == wanted).count();
        let (early, late) = (said(PeerAnswer::NotYetValid), said(PeerAnswer::Expired));
        if self.clock_is_early && sealed().next().is_some() {
            return Some("the clock stands before the program was made".to_owned());
        }
        if early > 0 {
            return Some("the clock is behind: certificates are not yet valid".to_owned());
        }
        let is_ahead = late > 0 && late == sealed().count() && (late > 1 || self.is_unsynced);
        is_ahead.then(|| "the clock is ahead: certificates have expired".to_owned())
    }
}

fn joined(parts: impl Iterator<Item = String>) -> String {
    let parts: Vec<String> = parts.collect();
    parts.join(", ")
}

impl fmt::Display for PeerAnswer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Up => "answers",
            Self::NoAddress => "has no address",
            Self::Refused => "refuses the connection",
            Self::Unreachable => "cannot be reached",
            Self::Silent => "is silent",
            Self::NotTrusted => "shows a certificate that is not its own",
            Self::NotYetValid => "shows a certificate that is not yet valid",
            Self::Expired => "shows a certificate that has expired",
            Self::Other(why) => why,
        })
    }
}

#[cfg(test)]
mod tests;
