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
    Other(&'static str),
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
    let mut near: Option<Broken> = None;
    let mut working = Vec::new();
    for way in ways {
        match way.broken(known) {
            None => working.push(way),
            Some(one) if near.as_ref().is_none_or(|near| near.stage < one.stage) => {
                near = Some(one);
            }
            Some(_) => {}
        }
    }
    if working.is_empty() {
        return near;
    }
    let far = beyond?.broken()?;
    // The kernel takes the first way also where a later one would lead out.
    if let Some(first) = ways.first().and_then(|way| way.broken(known)) {
        return Some(first);
    }
    if far.stage == Stage::Resolver || far.cause == Cause::PeerSilent {
        for way in working {
            if let Some(says) = way.leads_elsewhere(known) {
                let device = way.interface.name.as_str();
                return Some(Broken::at(Stage::Route, Cause::NoRoute, device, says));
            }
        }
    }
    Some(far)
}

impl Beyond {
    /// Somebody answered.
    pub fn is_up(&self) -> bool {
        let mut peers = self.peers.iter();
        peers.any(|(.., answer)| *answer == PeerAnswer::Up)
    }

    fn broken(&self) -> Option<Broken> {
        let (mut sealed, mut untrusted, mut early, mut late) = (0_u32, 0_u32, 0_u32, 0_u32);
        let mut says = String::new();
        if self.is_up() {
            return None;
        }
        for (name, tls, answer) in &self.peers {
            for (count, counts) in [
                (&mut sealed, *tls),
                (&mut untrusted, *answer == PeerAnswer::NotTrusted),
                (&mut early, *answer == PeerAnswer::NotYetValid),
                (&mut late, *answer == PeerAnswer::Expired),
            ] {
                *count = count.saturating_add(u32::from(counts));
            }
            tell(&mut says, "no destination answers: ", name, answer);
        }
        let mut silent = String::new();
        for (address, reply) in &self.resolvers {
            if *reply == Resolved::Answers {
                silent.clear();
                break;
            }
            tell(&mut silent, "no resolver answers: ", address, reply);
        }
        // Nothing else makes a certificate begin in the future, or those of several end at once.
        let clock = match () {
            () if self.clock_is_early && sealed > 0 => {
                "the clock stands before the program was made"
            }
            () if early > 0 => "the clock is behind: certificates are not yet valid",
            () if late > 0 && late == sealed && (late > 1 || self.is_unsynced) => {
                "the clock is ahead: certificates have expired"
            }
            () => "",
        };
        let (stage, cause, says) = match () {
            () if !silent.is_empty() => (Stage::Resolver, Cause::DnsFailed, silent),
            () if says.is_empty() => return None,
            () if !clock.is_empty() => (Stage::Clock, Cause::ClockWrong, clock.to_owned()),
            () if sealed > 0 && untrusted == sealed => (Stage::Peer, Cause::CaptivePortal, says),
            () if sealed > 0 && late == sealed => (Stage::Peer, Cause::PeerCertificate, says),
            () => (Stage::Peer, Cause::PeerSilent, says),
        };
        Some(Broken::at(stage, cause, "", says))
    }
}

fn tell(says: &mut String, begin: &str, name: &str, what: &dyn fmt::Display) {
    let apart = if says.is_empty() { begin } else { ", " };
    *says += &format!("{apart}{name} {what}");
}

impl fmt::Display for Resolved {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Answers => f.write_str("answers"),
            Self::Fails(code) => write!(f, "fails (code {code})"),
            Self::Silent => f.write_str("is silent"),
        }
    }
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
