//! When the next attempt at one fault is due, and when a human hears of those that did not hold. Pure.

use std::time::Duration;

use crate::core::config::Fix;
use crate::core::model::action::ActionKind;
use crate::core::model::cause::Cause;
use crate::core::model::task::Task;
use crate::core::model::time::Timestamp;
use crate::core::remedy::gates;
use crate::core::remedy::phases::Offers;
use crate::core::remedy::tried::{Tried, made};

/// A human hears of a fault after so many attempts that did not hold, but not before `fix.tell_after_s`.
const FAILURES_BEFORE_TOLD: usize = 3;

/// A start that only another's end can make a success of, as of who holds a port, skips so many of the pauses.
const SELDOM: usize = 1;

/// When `kind` may be tried again; `None`: at once, it was not tried yet. Counted from the first attempt of the
/// round, so that a slow one puts the next not off.
pub fn due(fix: &Fix, tried: &[Tried], kind: ActionKind, offers: &Offers) -> Option<Timestamp> {
    let first = made(tried, kind).next()?;
    let skipped = match kind.is_start() && is_doubtful(offers) {
        true => SELDOM,
        false => 0,
    };
    let offset = fix
        .spacing_s
        .get(made(tried, kind).count().saturating_add(skipped));
    let offset = offset.or(fix.spacing_s.last()).copied().unwrap_or(0);
    Some(first.at.plus(Duration::from_secs(offset)))
}

/// Nothing that is offered is certain: what stands in the way lies with somebody else, and may pass.
fn is_doubtful(offers: &Offers) -> bool {
    offers.certain.is_empty()
}

/// So many starts at most in the first round: of what another holds one, as that may just have ended.
pub fn starts_most(fix: &Fix, offers: &Offers) -> usize {
    let all = fix.spacing_s.len();
    match (is_doubtful(offers), offers.cause) {
        (true, Some(Cause::LockHeld | Cause::PortInUse)) => 1,
        (true, _) => all.saturating_sub(SELDOM).max(1),
        (false, _) => all,
    }
}

/// When the first attempt at a unit is due that ended because of another side, of the way to it, or of what another
/// holds: no start changes that, it may pass, and until then others that ended of the same are known, of which one
/// alone is tried. `None`: at once.
pub fn first(fix: &Fix, task: &Task, offers: &Offers) -> Option<Timestamp> {
    let is_elsewhere = is_doubtful(offers)
        || matches!(
            offers.cause?,
            Cause::ConnectionRefused
                | Cause::ConnectionTimeout
                | Cause::DnsFailed
                | Cause::LinkDown
                | Cause::NetworkUnreachable
        );
    let pause = Duration::from_secs(fix.spacing_s.get(1).copied().unwrap_or(0));
    let of_unit = task.class.row().told_by.tells_an_end();
    (of_unit && is_elsewhere).then(|| task.detected_at.plus(pause))
}

/// When a human may hear of attempts that did not hold: after the third failure or `fix.tell_after_s`, whichever
/// is later; where nothing is left to try, or nothing certain, after that time alone. `None`: not yet, whatever the time.
pub fn told_at(
    fix: &Fix,
    tried: &[Tried],
    first_seen: Timestamp,
    left: Option<&Offers>,
) -> Option<Timestamp> {
    let may_help = left.is_some_and(|left| !is_doubtful(left));
    let failures = tried.iter().filter(|one| one.acted).count();
    (failures >= FAILURES_BEFORE_TOLD || !may_help)
        .then(|| first_seen.plus(Duration::from_secs(fix.tell_after_s)))
}

/// When a task that was tried in vain is tried again by itself: later each round, never given up
/// silently for ever. One that nothing could be done about waits for a human.
pub fn rearm(fix: &Fix, tried: &[Tried], rounds: u32, now: Timestamp) -> Option<Timestamp> {
    let last = tried.iter().rfind(|one| one.acted)?;
    let first = Duration::from_secs(fix.rearm_s);
    Some(last.at.plus(gates::rearm_after(first, rounds)).max(now))
}

/// The attempts of this round, of all of an episode in the order they began, and how many rounds were before: a
/// pause of at least `fix.rearm_s` between two of them, or until now, ends one. So does a human who asks to try
/// again, at `asked_at`.
pub fn round(
    fix: &Fix,
    all: &[Tried],
    asked_at: Option<Timestamp>,
    now: Timestamp,
) -> (Vec<Tried>, u32) {
    let pause = Duration::from_secs(fix.rearm_s);
    let (mut current, mut before): (Vec<Tried>, u32) = (Vec::new(), 0);
    for one in all {
        let asked = asked_at.is_some_and(|asked| {
            one.at >= asked && current.last().is_some_and(|last| last.at < asked)
        });
        if current
            .last()
            .is_some_and(|last| one.at.since(last.at) >= pause)
            || asked
        {
            before = over(&mut current, before);
        }
        current.push(*one);
    }
    let stale = current.last().is_some_and(|last| {
        now.since(last.at) >= pause || asked_at.is_some_and(|asked| last.at < asked)
    });
    if stale {
        before = over(&mut current, before);
    }
    (current, before)
}

/// A round in which nothing was touched is none.
fn over(round: &mut Vec<Tried>, before: u32) -> u32 {
    let acted = round.iter().any(|one| one.acted);
    round.clear();
    before.saturating_add(u32::from(acted))
}
