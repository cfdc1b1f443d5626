//! What this box prints out of habit: lines whose words alone tell of a fault, and after which nothing ever came.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::core::model::text::cut;
use crate::core::model::time::Timestamp;

/// Kinds of lines of which something is kept; of more, whoever has most loses those that were heard longest ago.
pub const HABITS_MOST: usize = 512;
/// A box is known after this time. Until then nothing is a habit, and what may be one is told in a digest.
pub const FIRST_DAYS: Duration = Duration::from_secs(7 * 86_400);
/// What is heard for so long, on so many days, with nothing following is a habit.
const WEEKS: Duration = Duration::from_secs(14 * 86_400);
const DAYS_LEAST: u32 = 7;
/// So is what is heard in each of so many boots.
const BOOTS_LEAST: u32 = 3;
/// What fails this long after a line may come of it.
pub const FOLLOWS_WITHIN: Duration = Duration::from_secs(600);
/// Fewer lines than this in a day are not many, however few they were before.
const BUSY_LEAST: u64 = 10;
/// Bytes kept of the first message.
const MESSAGE_MOST: usize = 400;
const DAY_MS: i64 = 86_400_000;
/// What was first heard within this time is new here.
const NEW: Duration = Duration::from_secs(86_400);

/// Since when a box is known, and the number of its present boot as far as it was counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Acquaintance {
    pub since: Timestamp,
    pub boot: u32,
}

impl Acquaintance {
    /// Nothing is known of what is usual here.
    pub fn is_new(&self, now: Timestamp) -> bool {
        now.since(self.since) < FIRST_DAYS
    }
}

/// Lines of one kind since they were last written down.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Heard {
    pub subject: String,
    /// Whose share of [`HABITS_MOST`] it counts against.
    pub writer: String,
    pub message: String,
    pub count: u64,
    /// Of the last one.
    pub at: Timestamp,
}

/// One kind of line, by its fingerprint.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Habit {
    pub subject: String,
    /// Who says it; not known of what an earlier version wrote.
    #[serde(default)]
    pub writer: String,
    /// The first of them.
    pub message: String,
    /// Since nothing followed, in milliseconds since 1970.
    pub since_ms: i64,
    pub last_ms: i64,
    pub seen: u64,
    /// Number of the first boot in which it was heard, and in how many.
    pub first_boot: u32,
    pub last_boot: u32,
    pub boots: u32,
    /// On how many days it was heard, how often on the last of them and on the busiest before.
    pub days: u32,
    pub today: u64,
    pub busiest: u64,
    /// A human was shown it in a digest.
    pub shown_ms: Option<i64>,
    /// A unit failed soon after it; all is counted from there.
    pub followed_ms: Option<i64>,
}

/// How a line of a kind is to be taken on this box.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LineStanding {
    /// Like any other.
    Open,
    /// The box is not known yet: the next digest tells of it.
    ForDigest,
    /// A digest told of it lately, and nothing followed.
    Shown,
    /// The box prints it at every boot, or for weeks, and nothing follows.
    Habit,
}

impl Habit {
    /// Takes what was heard in boot number `boot`.
    pub fn hear(&mut self, heard: &Heard, boot: u32) {
        let at = heard.at.as_millis();
        if self.writer.is_empty() {
            self.writer.clone_from(&heard.writer);
        }
        if self.since_ms == 0 {
            self.subject.clone_from(&heard.subject);
            cut(&heard.message, MESSAGE_MOST).clone_into(&mut self.message);
            self.begin(at);
        }
        if at.div_euclid(DAY_MS) != self.last_ms.div_euclid(DAY_MS) || self.days == 0 {
            self.days = self.days.saturating_add(1);
            self.busiest = self.busiest.max(self.today);
            self.today = 0;
        }
        if self.boots == 0 {
            self.first_boot = boot;
        }
        if self.boots == 0 || boot != self.last_boot {
            self.boots = self.boots.saturating_add(1);
        }
        self.last_boot = boot;
        self.last_ms = self.last_ms.max(at);
        self.today = self.today.saturating_add(heard.count);
        self.seen = self.seen.saturating_add(heard.count);
    }

    /// A unit failed at `at`: what was heard shortly before is learned anew, and told again.
    pub fn follow(&mut self, at: Timestamp) {
        self.begin(at.as_millis());
        self.followed_ms = Some(at.as_millis());
        self.shown_ms = None;
    }

    fn begin(&mut self, at_ms: i64) {
        self.since_ms = at_ms;
        (self.days, self.boots, self.today, self.busiest) = (0, 0, 0, 0);
    }

    /// `told`: a human heard of it in an issue of its own.
    pub fn standing(&self, known: &Acquaintance, told: bool, now: Timestamp) -> LineStanding {
        if known.is_new(now) {
            return LineStanding::ForDigest;
        }
        if self.is_busy() {
            return LineStanding::Open;
        }
        match self.shown_ms.map(Timestamp::from_millis) {
            shown if self.is_settled(known, now) && (told || shown.is_some()) => {
                LineStanding::Habit
            }
            Some(shown) if now.since(shown) < WEEKS => LineStanding::Shown,
            _ => LineStanding::Open,
        }
    }

    /// First heard within a day, on a box that is known.
    pub fn is_new(&self, known: &Acquaintance, now: Timestamp) -> bool {
        let since = Timestamp::from_millis(self.since_ms);
        !known.is_new(now) && self.followed_ms.is_none() && now.since(since) < NEW
    }

    fn is_settled(&self, known: &Acquaintance, now: Timestamp) -> bool {
        let lasts = now.since(Timestamp::from_millis(self.since_ms));
        let boots = known.boot.saturating_sub(self.first_boot).saturating_add(1);
        (lasts >= WEEKS && self.days >= DAYS_LEAST)
            || (self.boots >= BOOTS_LEAST && self.boots >= boots)
    }

    /// It comes more than twice as often as on any day before.
    fn is_busy(&self) -> bool {
        self.busiest > 0 && self.today >= BUSY_LEAST && self.today > self.busiest.saturating_mul(2)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: Duration = Duration::from_secs(86_400);
    const SINCE: Timestamp = Timestamp::from_millis(1_800_000_000_000);

    fn day(n: u32) -> Timestamp {
        SINCE.plus(DAY * n)
    }

    fn heard(count: u64, at: Timestamp) -> Heard {
        Heard {
            subject: "pump".to_owned(),
            writer: "pump.service".to_owned(),
            message: "pump did not answer".to_owned(),
            count,
            at,
        }
    }

    /// Heard five times on each of these days, all in one boot.
    fn daily(days: std::ops::Range<u32>) -> Habit {
        let mut habit = Habit::default();
        for n in days {
            habit.hear(&heard(5, day(n)), 1);
        }
        habit
    }

    const IN_ONE_BOOT: Acquaintance = Acquaintance {
        since: SINCE,
        boot: 1,
    };

    #[test]
    fn nothing_is_a_habit_before_the_box_is_known_and_a_human_was_shown_it() {
        let habit = daily(0..7);
        let standing = |told, now| habit.standing(&IN_ONE_BOOT, told, day(now));
        assert_eq!(standing(true, 6), LineStanding::ForDigest);
        assert_eq!(standing(true, 8), LineStanding::Open);
        assert_eq!(standing(false, 15), LineStanding::Open);
        assert_eq!(standing(true, 15), LineStanding::Habit);
    }

    #[test]
    fn what_a_digest_told_of_is_not_told_again_for_two_weeks() {
        let mut habit = daily(0..3);
        habit.shown_ms = Some(day(5).as_millis());
        let standing = |now| habit.standing(&IN_ONE_BOOT, false, day(now));
        assert_eq!(standing(8), LineStanding::Shown);
        assert_eq!(standing(19), LineStanding::Open, "three days are no weeks");
    }

    #[test]
    fn what_comes_at_every_boot_is_a_habit_and_at_some_it_is_none() {
        let of_boots = |boots: &[u32]| {
            let mut habit = Habit::default();
            for boot in boots {
                habit.hear(&heard(1, day(*boot)), *boot);
            }
            let known = Acquaintance {
                since: SINCE,
                boot: 9,
            };
            habit.standing(&known, true, day(10))
        };
        assert_eq!(of_boots(&[7, 8, 9]), LineStanding::Habit);
        assert_eq!(of_boots(&[6, 8, 9]), LineStanding::Open);
        assert_eq!(of_boots(&[8, 9]), LineStanding::Open);
    }

    #[test]
    fn a_doubled_rate_wakes_it() {
        let mut habit = daily(0..20);
        habit.hear(&heard(10, day(20)), 1);
        assert_eq!(
            habit.standing(&IN_ONE_BOOT, true, day(20)),
            LineStanding::Habit
        );
        habit.hear(&heard(1, day(20)), 1);
        assert_eq!(
            habit.standing(&IN_ONE_BOOT, true, day(20)),
            LineStanding::Open
        );
        habit.hear(&heard(5, day(21)), 1);
        assert_eq!(
            habit.standing(&IN_ONE_BOOT, true, day(21)),
            LineStanding::Habit,
            "over with the day"
        );
    }

    #[test]
    fn a_unit_that_fails_soon_after_wakes_it_and_it_is_learned_anew() {
        let mut habit = daily(0..20);
        habit.shown_ms = Some(day(1).as_millis());
        habit.follow(day(20));
        assert_eq!(
            habit.standing(&IN_ONE_BOOT, true, day(20)),
            LineStanding::Open
        );
        for n in 21..36 {
            habit.hear(&heard(5, day(n)), 1);
        }
        assert_eq!(
            habit.standing(&IN_ONE_BOOT, false, day(36)),
            LineStanding::Open
        );
        assert_eq!(
            habit.standing(&IN_ONE_BOOT, true, day(36)),
            LineStanding::Habit
        );
        assert_eq!(habit.seen, 20 * 5 + 15 * 5);
    }
}
