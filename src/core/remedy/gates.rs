//! Gates: everything that must be true before an action touches the host, in the design's order.
//! A closed gate carries its reason; both reach the audit and `explain`.

use std::time::Duration;

use crate::core::config::{Mode, OpenWindow};
use crate::core::model::time::Timestamp;
use crate::core::remedy::step::Reason;

/// What the gates before an action look at. Precondition, budget and slot are asked of one action
/// (see [`decide`](crate::core::remedy::decide)).
#[derive(Clone, Debug)]
pub struct GateFacts {
    /// Text of the kill-switch file, when it exists.
    pub kill_switch: Option<String>,
    /// The maintenance window that is open.
    pub maintenance: Option<OpenWindow>,
    pub clock_sane: bool,
    /// End of the start-up grace, when it is not over.
    pub grace_until: Option<Timestamp>,
    /// Time since the first sight of this episode: what has waited long is looked at again later.
    pub age: Duration,
}

/// A gate that may open by itself is closed.
#[derive(Clone, Debug, PartialEq)]
pub struct Closed {
    /// It is asked again then.
    pub until: Timestamp,
    /// It opens then, where that is known beforehand.
    pub ends: Option<Timestamp>,
    pub reason: Reason,
}

/// Shortest time between two looks at a gate that may open by itself.
const RECHECK: Duration = Duration::from_secs(30);
const INHIBITED_RECHECK: Duration = Duration::from_secs(5);
/// Longest time between two looks. Each look is written down, and eMMC wears; what opens a gate (the
/// root cause is over, the kill switch is gone) wakes the tasks that wait for it.
const RECHECK_MOST: Duration = Duration::from_secs(900);

/// The gates that come before everything else about an action, in their order.
pub fn before_root(facts: &GateFacts, now: Timestamp) -> Option<Closed> {
    closed(facts, now).next()
}

/// Those of them that are closed: why no repair is made on this host, whatever the task.
pub fn closed(facts: &GateFacts, now: Timestamp) -> impl Iterator<Item = Closed> {
    let next_look = now.plus(later(facts.age));
    let kill_switch = facts.kill_switch.as_ref().map(|text| Closed {
        until: next_look,
        ends: None,
        reason: Reason::KillSwitch(text.clone()),
    });
    let maintenance = facts.maintenance.as_ref().map(|window| Closed {
        until: next_look,
        ends: Some(window.until),
        reason: Reason::Maintenance(window.text.clone()),
    });
    let clock = (!facts.clock_sane).then(|| Closed {
        until: now.plus(RECHECK),
        ends: None,
        reason: Reason::Clock,
    });
    let grace = facts.grace_until.filter(|until| *until > now);
    let grace = grace.map(|until| Closed {
        until,
        ends: Some(until),
        reason: Reason::StartupGrace,
    });
    [kill_switch, maintenance, clock, grace]
        .into_iter()
        .flatten()
}

/// Why a human has to allow it (suggest) or do it (observe).
pub fn needs_human(mode: Mode, approved: bool) -> Option<Reason> {
    match mode {
        Mode::Auto => None,
        Mode::Suggest if approved => None,
        Mode::Suggest | Mode::Observe => Some(Reason::Mode(mode)),
    }
}

/// Until the next look at something of this age: as long again as it has lasted, within bounds, so that the
/// number of looks grows with the logarithm of the age.
pub fn later(age: Duration) -> Duration {
    age.clamp(RECHECK, RECHECK_MOST)
}

/// The same for a symptom, which is looked at sooner at first: its root may be repaired in seconds.
pub fn later_symptom(age: Duration) -> Duration {
    age.clamp(INHIBITED_RECHECK, RECHECK_MOST)
}

/// Back-off before trying again after everything failed: `first`, then six times longer each round, at
/// most a day, so that it never gives up silently for ever and never hammers.
pub fn rearm_after(first: Duration, rounds: u32) -> Duration {
    let factor = 6_u32.saturating_pow(rounds.min(8));
    first
        .saturating_mul(factor)
        .min(Duration::from_secs(86_400))
}
