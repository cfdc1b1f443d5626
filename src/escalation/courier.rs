//! Decides when the next outbox row is tried and books what came of it.
//!
//! One attempt per [`Courier::tick`]; time is an argument and nothing sleeps here: the daemon's thread is
//! `loop { tick; wait until Next::at or a hint }`. All that must survive a restart is in the outbox row; what is
//! kept here (holds, failure counts) only spares requests.

use std::time::Duration;

pub use crate::core::human::delivery::{Delivery, DeliveryStep, Note, Operation, State};

use super::outbox::{Outbox, OutboxError};
use super::tracker::Tracker;
use crate::core::config::{self, Due, Schedule};
use crate::core::human::delivery::{FIRST_LOOK_AFTER, HELD_MOST, Hold, backoff, bounds, spread};
use crate::core::model::finding::Severity;
use crate::core::model::hint::Hint;
use crate::core::model::time::Timestamp;

/// Without work: how often the outbox is looked at although no hint came.
const IDLE: Duration = Duration::from_secs(30);
/// Between two attempts, as GitHub asks.
const ATTEMPT_GAP: Duration = Duration::from_secs(1);
/// While held: how often a changed token is noticed.
const HELD_POLL: Duration = Duration::from_secs(60);
/// After the outbox itself failed.
const STORE_RETRY: Duration = Duration::from_secs(5);
const OFFLINE_BASE: Duration = Duration::from_secs(15);
const OFFLINE_MOST: Duration = Duration::from_secs(900);
/// A limit without a time: at least a minute, says GitHub.
const LIMIT_BASE: Duration = Duration::from_secs(60);
const LIMIT_MOST: Duration = Duration::from_secs(3_600);
const PARK_BASE: Duration = Duration::from_secs(900);
const PARK_MOST: Duration = Duration::from_secs(6 * 3_600);
/// Limits without a time in a row before a human is told locally.
const LIMITS_BEFORE_PARK: u32 = 6;
/// While offline something critical is tried this often.
const URGENT_EACH: Duration = Duration::from_secs(60);
/// What has waited so long is late: people hear of so many of them in one message.
const LATE_AFTER: Duration = HOUR;
const LATE_LEAST: usize = 4;
/// What a cap holds back comes together at the next of these moments: where the hour's messages are used up, and the day's.
const TOGETHER_EACH: [Duration; 2] = [Duration::from_secs(600), HOUR];
const HOUR: Duration = Duration::from_secs(3_600);
const DAY: Duration = Duration::from_secs(24 * 3_600);

const _: () = assert!(ATTEMPT_GAP.as_secs() < IDLE.as_secs());
const _: () = assert!(OFFLINE_BASE.as_secs() < OFFLINE_MOST.as_secs());

/// When to call [`Courier::tick`] again; a hint may come earlier.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Next {
    pub at: Timestamp,
}

/// Bounds of one destination.
#[derive(Clone, Debug)]
pub struct Limits {
    /// New and reopened issues.
    pub per_hour: u32,
    /// The same, in any 24 hours.
    pub per_day: u32,
    /// Each gateway waits its own part of this before it opens one.
    pub spread: Duration,
    /// Random id of this gateway: spreads the back-off of many gateways.
    pub gateway_id: String,
}

impl Limits {
    pub(crate) fn new(escalation: &config::Escalation, gateway_id: &str) -> Self {
        Self {
            per_hour: escalation.per_hour,
            per_day: escalation.per_day,
            spread: Duration::from_secs(escalation.spread_s),
            gateway_id: gateway_id.to_owned(),
        }
    }
}

/// Serves one destination.
#[derive(Debug)]
pub struct Courier<T> {
    tracker: T,
    limits: Limits,
    not_before: Timestamp,
    /// The last attempt that reached nobody, while that holds.
    offline_at: Option<Timestamp>,
    /// Set while a human has to act.
    parked: Option<String>,
    /// The local finding may stem from before the start: cleared with the first success.
    finding_may_stand: bool,
    /// Failed attempts in a row: unreachable or in trouble, limited without a time, parked.
    failures: u32,
    limits_met: u32,
    parks: u32,
    /// Until then only what is critical is told: the uplink's ceiling.
    held_until: Option<Timestamp>,
    /// What is critical is held back by no cap: its receiver is the operator's own.
    critical_passes: bool,
    /// Quiet hours and digest.
    schedule: Schedule,
    /// How far this host's clock on the wall is ahead of UTC, in seconds.
    ahead_s: i64,
    /// Since when nothing but the caps has kept a row from being sent; not known before the first answer.
    served_since: Option<Timestamp>,
}

impl<T: Tracker> Courier<T> {
    /// Due at once; what earlier runs came to is in the outbox.
    pub fn new(tracker: T, limits: Limits) -> Self {
        Self {
            tracker,
            limits,
            not_before: Timestamp::from_millis(i64::MIN),
            offline_at: None,
            parked: None,
            finding_may_stand: true,
            failures: 0,
            limits_met: 0,
            parks: 0,
            held_until: None,
            critical_passes: false,
            schedule: Schedule::default(),
            ahead_s: 0,
            served_since: None,
        }
    }

    /// It could not be reached, or takes nothing, when it was tried last.
    pub(crate) fn fails(&self) -> bool {
        self.failures > 0
    }

    /// As a channel: what is not urgent waits for its hour, what is critical for no cap.
    #[must_use]
    pub(crate) fn by(mut self, schedule: Schedule) -> Self {
        self.schedule = schedule;
        self.critical_passes = true;
        self
    }

    /// How far this host's clock on the wall is ahead of UTC: for quiet hours and digests.
    pub(crate) fn at_wall(&mut self, ahead_s: i64) {
        self.ahead_s = ahead_s;
    }

    /// Until when only what is critical may cost the uplink anything.
    pub(crate) fn hold_until(&mut self, until: Option<Timestamp>) {
        self.held_until = until;
    }

    /// The destination itself.
    pub(crate) fn tracker(&mut self) -> &mut T {
        &mut self.tracker
    }

    pub(crate) fn destination(&self) -> &str {
        self.tracker.destination()
    }

    /// Why nothing is sent now, for `status`.
    pub fn parked(&self) -> Option<&str> {
        self.parked.as_deref()
    }

    /// Makes at most one attempt.
    pub fn tick(&mut self, outbox: &dyn Outbox, now: Timestamp) -> Next {
        if now < self.not_before {
            if self.parked.is_some() && self.tracker.renewed() {
                log::info!("{}: new token: trying again", self.tracker.destination());
                self.not_before = now;
            } else if self.is_urgent(outbox, now) {
                self.not_before = now;
            } else {
                return Next {
                    at: self.not_before.min(now.plus(HELD_POLL)),
                };
            }
        }
        match self.attempt(outbox, now) {
            Ok(next) => next,
            Err(why) => {
                log::error!(
                    "{}: the outbox failed: {}: trying again",
                    self.tracker.destination(),
                    why.with_hint()
                );
                self.not_before = now.plus(STORE_RETRY);
                Next {
                    at: self.not_before,
                }
            }
        }
    }

    /// Something critical waits, and nothing more than the way out is in doubt.
    fn is_urgent(&self, outbox: &dyn Outbox, now: Timestamp) -> bool {
        let waited = |at: Timestamp| now.since(at) >= URGENT_EACH || now < at;
        let critical =
            |one: Option<Delivery>| one.is_some_and(|one| one.severity >= Severity::Critical);
        self.offline_at.is_some_and(waited)
            && outbox
                .next(self.tracker.destination(), now)
                .is_ok_and(critical)
    }

    fn attempt(&mut self, outbox: &dyn Outbox, now: Timestamp) -> Result<Next, OutboxError> {
        let Some(delivery) = outbox.next(self.tracker.destination(), now)? else {
            return Ok(Next { at: now.plus(IDLE) });
        };
        if delivery.state == State::Sending {
            // Only this thread sends, so the row stems from a process that died in the middle.
            let why = delivery
                .note()
                .with("the daemon stopped while this was being sent");
            outbox.unknown(delivery.id, now.plus(FIRST_LOOK_AFTER), &why, now)?;
            return Ok(Next { at: now });
        }
        if let Some(at) = self
            .held_until
            .filter(|_| delivery.severity < Severity::Critical)
        {
            let why = "waits: the uplink's bytes of today are used up (uplink.bytes_per_day)";
            return put_off(outbox, &delivery, at, why, now);
        }
        match self.due(&delivery, now) {
            Due::Now => {}
            Due::At(at) => {
                let why = "waits for its hour (quiet, digest)";
                return put_off(outbox, &delivery, at, why, now);
            }
            Due::Together => {
                let mut all = outbox.waiting(self.tracker.destination(), now)?;
                all.retain(|one| self.due(one, now) == Due::Together);
                return self.together(outbox, &delivery, all, now);
            }
        }
        let late = self.late(outbox, &delivery, now)?;
        if late.len() >= LATE_LEAST {
            return self.together(outbox, &delivery, late, now);
        }
        if let Some(Cap {
            free_at,
            what,
            together_each,
        }) = self.capped(outbox, &delivery, now)?
        {
            let gathers = self.schedule.gathers() && delivery.severity < Severity::Critical;
            let together_each = together_each.filter(|_| gathers);
            if together_each.is_some() && delivery.note().capped.is_some() {
                let mut all = outbox.waiting(self.tracker.destination(), now)?;
                all.retain(|one| {
                    one.severity < Severity::Critical && self.due(one, now) == Due::Now
                });
                return self.together(outbox, &delivery, all, now);
            }
            let free_at = match together_each {
                Some(each) => free_at.min(next_of(each, now)),
                None => free_at,
            };
            let note = self.held(&delivery, now);
            if may_fold(&delivery, &note) {
                let why = "the caps held it back for a day: counted in the summary";
                outbox.folded(delivery.id, why, now)?;
                return Ok(Next { at: now });
            }
            let why = note.with(&format!("waiting: {what}"));
            // After a restore a row is `unknown` without ever having been sent by this store: it stays that.
            if delivery.state == State::Unknown {
                outbox.unknown(delivery.id, free_at, &why, now)?;
            } else {
                outbox.retry(delivery.id, free_at, &why, now)?;
            }
            return Ok(Next { at: now });
        }
        let mut begun = false;
        let step = self.tracker.deliver(
            &delivery,
            &mut || {
                outbox.sending(delivery.id, now)?;
                begun = true;
                Ok(())
            },
            now,
        );
        self.not_before = now.plus(ATTEMPT_GAP);
        self.book(outbox, &delivery, step, begun, now)?;
        Ok(Next {
            at: self.not_before,
        })
    }

    fn due(&self, delivery: &Delivery, now: Timestamp) -> Due {
        self.schedule
            .due(delivery.severity, delivery.created_at, now, self.ahead_s)
    }

    /// What could not be told in time, as after days without a network, or after a day whose bytes were used up, where it
    /// may come together. Nothing critical is among it.
    fn late(
        &self,
        outbox: &dyn Outbox,
        first: &Delivery,
        now: Timestamp,
    ) -> Result<Vec<Delivery>, OutboxError> {
        let is_late = |one: &Delivery| {
            one.severity < Severity::Critical && now.since(one.created_at) >= LATE_AFTER
        };
        if !self.schedule.gathers() || !is_late(first) {
            return Ok(Vec::new());
        }
        let mut all = outbox.waiting(self.tracker.destination(), now)?;
        all.retain(|one| is_late(one) && self.due(one, now) == Due::Now);
        Ok(all)
    }

    /// One message of all of these, among them `first`.
    fn together(
        &mut self,
        outbox: &dyn Outbox,
        first: &Delivery,
        mut all: Vec<Delivery>,
        now: Timestamp,
    ) -> Result<Next, OutboxError> {
        if !all.iter().any(|one| one.id == first.id) {
            all.insert(0, first.clone());
        }
        let mut begun = false;
        let step = self.tracker.deliver_together(
            &all,
            &mut || {
                for one in &all {
                    outbox.sending(one.id, now)?;
                }
                begun = true;
                Ok(())
            },
            now,
        );
        self.not_before = now.plus(ATTEMPT_GAP);
        let mut rows = all.iter();
        if let Some(one) = rows.next() {
            self.book(outbox, one, step.clone(), begun, now)?;
        }
        for one in rows {
            match &step {
                // Booked once for all: the rest of them shares it.
                DeliveryStep::Hold { hold, .. } if begun => {
                    let why = one.note().with(hold.why());
                    outbox.unsent(one.id, now, &why, now)?;
                }
                DeliveryStep::Hold { .. } => {}
                DeliveryStep::Confirmed { .. }
                | DeliveryStep::Retry { .. }
                | DeliveryStep::Unknown { .. }
                | DeliveryStep::Dead { .. } => {
                    self.book(outbox, one, step.clone(), begun, now)?;
                }
            }
        }
        Ok(Next {
            at: self.not_before,
        })
    }

    fn book(
        &mut self,
        outbox: &dyn Outbox,
        delivery: &Delivery,
        step: DeliveryStep,
        begun: bool,
        now: Timestamp,
    ) -> Result<(), OutboxError> {
        let id = delivery.id;
        let name = self.tracker.destination().to_owned();
        if !matches!(step, DeliveryStep::Hold { .. }) {
            self.reached(outbox, now)?;
        }
        match step {
            DeliveryStep::Confirmed { number, url } => {
                log::info!(
                    "{name}: {} for task {} delivered",
                    delivery.operation,
                    delivery.task_id
                );
                outbox.confirmed(id, number, url.as_deref(), now)
            }
            DeliveryStep::Dead { why } => {
                log::error!(
                    "{name}: {} for task {} cannot be delivered: {why}",
                    delivery.operation,
                    delivery.task_id
                );
                outbox.dead(id, &delivery.note().with(&why), now)
            }
            DeliveryStep::Retry { after, note, why } => {
                outbox.retry(id, now.plus(after), &note.with(&why), now)
            }
            DeliveryStep::Unknown { after, note, why } => {
                if begun {
                    // The write itself met trouble: give the other side a rest before the next row.
                    self.rest(now);
                }
                outbox.unknown(id, now.plus(after), &note.with(&why), now)
            }
            DeliveryStep::Hold { hold, note } => {
                self.hold(outbox, delivery, &hold, &note, begun, now)
            }
        }
    }

    /// An answer that concerns one row alone: the destination works.
    fn reached(&mut self, outbox: &dyn Outbox, now: Timestamp) -> Result<(), OutboxError> {
        if self.finding_may_stand {
            outbox.unparked(now)?;
            self.finding_may_stand = false;
        }
        self.parked = None;
        self.offline_at = None;
        self.served_since = self.served_since.or(Some(now));
        self.failures = 0;
        self.limits_met = 0;
        self.parks = 0;
        Ok(())
    }

    fn rest(&mut self, now: Timestamp) -> Duration {
        let span = self.grown(OFFLINE_BASE, OFFLINE_MOST, self.failures);
        self.failures = self.failures.saturating_add(1);
        self.not_before = now.plus(span);
        span
    }

    fn grown(&self, base: Duration, most: Duration, times: u32) -> Duration {
        let purpose = format!("{}/{times}", self.tracker.destination());
        backoff(base, most, times, spread(&self.limits.gateway_id, &purpose))
    }

    fn hold(
        &mut self,
        outbox: &dyn Outbox,
        delivery: &Delivery,
        hold: &Hold,
        note: &Note,
        begun: bool,
        now: Timestamp,
    ) -> Result<(), OutboxError> {
        let why = hold.why();
        self.served_since = None;
        let mut row_after = Duration::ZERO;
        self.offline_at = matches!(hold, Hold::Offline { .. }).then_some(now);
        match hold {
            Hold::Offline { .. } => {
                self.rest(now);
            }
            // Should it be this row that the other side stumbles over, the others get their turn first.
            Hold::Trouble { .. } => row_after = self.rest(now).saturating_mul(2),
            Hold::Limited { after, .. } => {
                let own = self.grown(LIMIT_BASE, LIMIT_MOST, self.limits_met);
                // Everyone held by one limit is told the same time: come back spread over the next tenth.
                let share = spread(&self.limits.gateway_id, delivery.delivery_key.as_str());
                let asked =
                    after.map(|after| after.saturating_add(after.saturating_mul(share) / 10_000));
                if after.is_none() {
                    self.limits_met = self.limits_met.saturating_add(1);
                }
                self.not_before = now.plus(asked.unwrap_or(own));
                if self.limits_met >= LIMITS_BEFORE_PARK {
                    self.park(outbox, why, now)?;
                }
            }
            Hold::Parked { .. } => {
                let span = self.grown(PARK_BASE, PARK_MOST, self.parks);
                self.parks = self.parks.saturating_add(1);
                self.not_before = now.plus(span);
                self.park(outbox, why, now)?;
            }
        }
        log::warn!(
            "{}: {why}: next attempt at {}",
            self.tracker.destination(),
            self.not_before
        );
        let note = Note {
            looked: note.looked.filter(|_| !begun),
            ..note.clone()
        };
        let at = self.not_before.plus(row_after);
        if begun {
            // It was marked as sending, and it is known that nothing was done. The whole destination waits, not the row.
            let at = if row_after.is_zero() { now } else { at };
            outbox.unsent(delivery.id, at, &note.with(why), now)
        } else if row_after.is_zero() {
            // Untouched: days without a network cost no writes.
            Ok(())
        } else if delivery.state == State::Unknown {
            outbox.unknown(delivery.id, at, &note.with(why), now)
        } else {
            outbox.retry(delivery.id, at, &note.with(why), now)
        }
    }

    fn park(&mut self, outbox: &dyn Outbox, why: &str, now: Timestamp) -> Result<(), OutboxError> {
        if self.parked.as_deref() != Some(why) {
            outbox.parked(why, now)?;
            self.parked = Some(why.to_owned());
            self.finding_may_stand = true;
        }
        Ok(())
    }

    /// Until when this row is held back, and by what; `None` = not at all. A row whose write may have happened has
    /// had its place already.
    fn capped(
        &self,
        outbox: &dyn Outbox,
        delivery: &Delivery,
        now: Timestamp,
    ) -> Result<Option<Cap>, OutboxError> {
        let opens = matches!(delivery.operation, Operation::Create | Operation::Reopen);
        let passes = self.critical_passes && delivery.severity >= Severity::Critical;
        if !opens || delivery.attempts > 0 || passes {
            return Ok(None);
        }
        // What takes down many gateways at once would meet the limit that they share.
        let share = spread(&self.limits.gateway_id, "first");
        let turn = self.limits.spread.saturating_mul(share) / 1_000;
        let turn = delivery.created_at.plus(turn);
        let mut held = (turn > now && delivery.created_at <= now).then_some(Cap {
            free_at: turn,
            what: "this gateway's turn has not come (spread_s)",
            together_each: None,
        });
        let said_by = delivery.said_by.as_deref();
        let [of_hour, of_day] = TOGETHER_EACH;
        for (most, window, what, each) in [
            (
                self.limits.per_hour,
                HOUR,
                "the cap on new messages is reached (per_hour)",
                of_hour,
            ),
            (
                self.limits.per_day,
                DAY,
                "the cap on new messages is reached (per_day)",
                of_day,
            ),
        ] {
            for (counted, most) in bounds(most, delivery.severity, said_by) {
                let created =
                    |since| outbox.created_since(self.tracker.destination(), counted, since);
                let at = slot(&created, most, window, now)?;
                // The later time; of two that are the same, what was found first.
                if at > held.as_ref().map(|cap| cap.free_at) {
                    held = at.map(|free_at| Cap {
                        free_at,
                        what,
                        together_each: Some(each),
                    });
                }
            }
        }
        Ok(held)
    }

    /// The note of a row that the caps hold back, with the time since they did so last, if the destination has
    /// answered all the while. Time offline, and time before a start, does not count.
    fn held(&self, delivery: &Delivery, now: Timestamp) -> Note {
        let note = delivery.note();
        let served = |at: &Timestamp| self.served_since.is_some_and(|since| since <= *at);
        let more = note.capped.filter(served).map(|at| now.since(at));
        Note {
            held: note.held.saturating_add(more.unwrap_or_default()),
            capped: Some(now),
            ..note
        }
    }
}

/// What keeps a new message from being sent.
struct Cap {
    free_at: Timestamp,
    what: &'static str,
    /// How often those who read messages hear of what it holds back.
    together_each: Option<Duration>,
}

/// The next moment whose time of day is a multiple of `each`.
fn next_of(each: Duration, now: Timestamp) -> Timestamp {
    let each = i64::try_from(each.as_millis()).unwrap_or(i64::MAX).max(1);
    let passed = now.as_millis().div_euclid(each);
    Timestamp::from_millis(passed.saturating_add(1).saturating_mul(each))
}

/// Not before `at`, whatever state it is in.
fn put_off(
    outbox: &dyn Outbox,
    delivery: &Delivery,
    at: Timestamp,
    why: &str,
    now: Timestamp,
) -> Result<Next, OutboxError> {
    let why = delivery.note().with(why);
    // What may have been sent stays so.
    if delivery.state == State::Unknown {
        outbox.unknown(delivery.id, at, &why, now)?;
    } else {
        outbox.retry(delivery.id, at, &why, now)?;
    }
    Ok(Next { at: now })
}

/// What is confirmed or critical keeps an issue of its own however long it waits.
fn may_fold(delivery: &Delivery, note: &Note) -> bool {
    delivery.said_by.is_some()
        && delivery.severity < Severity::Critical
        && delivery.state == State::Pending
        && note.held >= HELD_MOST
}

/// The time at which fewer than `most` rows lie within the window before it: found by halving, to the second.
fn slot(
    created: &dyn Fn(Timestamp) -> Result<u32, OutboxError>,
    most: u32,
    window: Duration,
    now: Timestamp,
) -> Result<Option<Timestamp>, OutboxError> {
    let start = now.minus(window);
    if created(start)? < most {
        return Ok(None);
    }
    let (mut full, mut free) = (0, window.as_secs() + 1);
    while free - full > 1 {
        let middle = full + (free - full) / 2;
        if created(start.plus(Duration::from_secs(middle)))? < most {
            free = middle;
        } else {
            full = middle;
        }
    }
    Ok(Some(now.plus(Duration::from_secs(free))))
}
