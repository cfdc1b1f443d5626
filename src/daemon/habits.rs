//! Keeps what this box prints out of habit: takes down what is heard, what fails after it, and makes the digest of the
//! first days.

use std::sync::PoisonError;
use std::time::Duration;

use crate::core::model::class::{Class, ToldBy};
use crate::core::model::facts::Fact;
use crate::core::model::finding::{Finding, Severity};
use crate::core::model::habit::{Habit, LineStanding};
use crate::core::model::time::Timestamp;
use crate::daemon::heard::{HabitNotes, may_be};
use crate::daemon::runtime::Runtime;
use crate::host::boot;
use crate::store::{Intake, Reader, StoreError};

/// What was heard is written this often.
const WRITTEN_EVERY: Duration = Duration::from_secs(120);
/// A digest of what is new is made this often while the box is not known.
const DIGEST_EVERY: Duration = Duration::from_secs(86_400);
/// Kinds that a digest names.
const DIGEST_MOST: usize = 40;
const DIGEST: &str = "lines of the first days that may tell of faults: those that are ordinary on this host will not be told again";
/// Writer of the digests.
const WRITER: &str = "digest";

impl HabitNotes {
    fn write(&mut self, runtime: &Runtime) -> Result<(), StoreError> {
        if !self.boot_counted {
            runtime.store.count_boot(&boot::id(&runtime.host))?;
            self.boot_counted = true;
        }
        runtime.store.note_heard(self.heard.clone())?;
        self.heard.clear();
        Ok(())
    }

    fn keep(&mut self, runtime: &Runtime, now: Timestamp) -> Result<(), StoreError> {
        if self
            .written
            .is_some_and(|at| now.since(at) < WRITTEN_EVERY && at <= now)
        {
            return Ok(());
        }
        self.written = Some(now);
        self.write(runtime)?;
        self.digest(runtime, now)
    }

    /// In the first days, once a day: one message for all kinds that no human was shown.
    fn digest(&mut self, runtime: &Runtime, now: Timestamp) -> Result<(), StoreError> {
        let reader = runtime.store.reader()?;
        let known = reader.acquaintance(now)?;
        if let Some((finding, made)) = &self.digest {
            let patience = runtime.loaded().config.fix.log_escalate_after_s;
            let again = Finding {
                seen_at: now,
                ..finding.clone()
            };
            // It goes on, as lines do that a human is to hear of, until nobody is asked to wait any longer.
            if now.since(*made) > Duration::from_secs(patience) + WRITTEN_EVERY {
                self.digest = None;
            }
            return record(runtime, again, now).map(drop);
        }
        let age = now.since(known.since);
        let due = DIGEST_EVERY <= age && known.is_new(now.minus(DIGEST_EVERY));
        if !due {
            return Ok(());
        }
        let all = reader.habits()?;
        let last = all.values().filter_map(|habit| habit.shown_ms).max();
        if last.is_some_and(|at| now.since(Timestamp::from_millis(at)) < DIGEST_EVERY) {
            return Ok(());
        }
        let new: Vec<(&String, &Habit)> = all
            .iter()
            .filter(|(_, habit)| habit.shown_ms.is_none())
            .take(DIGEST_MOST)
            .collect();
        if new.is_empty() {
            return Ok(());
        }
        let finding = digest_of(&new, now);
        // One that is still open says what it said: what is new waits for the next.
        if record(runtime, finding.clone(), now)? {
            let shown = new.iter().map(|(hash, _)| (*hash).clone()).collect();
            runtime.store.show_habits(shown, now)?;
            self.digest = Some((finding, now));
        }
        Ok(())
    }
}

fn digest_of(new: &[(&String, &Habit)], now: Timestamp) -> Finding {
    let lines: Vec<String> = new
        .iter()
        .map(|(_, habit)| format!("{}x {}: {}", habit.seen, habit.subject, habit.message))
        .collect();
    Finding::new(
        Class::LogError,
        WRITER,
        Severity::Error,
        DIGEST,
        WRITER,
        now,
    )
    .with(Fact::Log(&lines.join("\n")))
    .said_by(WRITER)
}

/// True when it is a task of its own.
fn record(runtime: &Runtime, finding: Finding, now: Timestamp) -> Result<bool, StoreError> {
    let batch = Intake {
        findings: vec![finding],
        cursor: None,
    };
    let recorded = runtime.store.intake(batch, now)?;
    Ok(recorded.iter().any(|one| one.created))
}

/// A stream heard these.
pub fn hear(runtime: &Runtime, findings: &[Finding]) {
    notes(runtime).hear(findings);
}

/// Writes what is due, and makes the digest.
pub fn keep(runtime: &Runtime, now: Timestamp) -> Result<(), StoreError> {
    notes(runtime).keep(runtime, now)
}

/// Writes what waits.
pub fn flush(runtime: &Runtime) -> Result<(), StoreError> {
    notes(runtime).write(runtime)
}

/// New tasks of a sweep: after a unit that failed, what was heard shortly before is no habit.
pub fn follow(runtime: &Runtime, new: &[Finding], now: Timestamp) -> Result<(), StoreError> {
    if !new
        .iter()
        .any(|finding| finding.class.row().told_by == ToldBy::UnitState)
    {
        return Ok(());
    }
    flush(runtime)?;
    let woken = runtime.store.wake_habits(now)?;
    if woken > 0 {
        log::info!("a unit failed: what came before it is no habit any more, {woken} of the lines");
    }
    Ok(())
}

fn notes(runtime: &Runtime) -> std::sync::MutexGuard<'_, HabitNotes> {
    runtime
        .habits
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
}

/// How a line is to be taken on this box; `None` for what can be no habit.
pub fn standing(
    reader: &Reader,
    finding: &Finding,
    now: Timestamp,
) -> Result<Option<LineStanding>, StoreError> {
    if !may_be(finding) {
        return Ok(None);
    }
    let hash = finding.fingerprint().to_string();
    let known = reader.acquaintance(now)?;
    let habit = reader.habit(&hash)?.unwrap_or_default();
    let told = reader.was_told(&hash)?;
    Ok(Some(habit.standing(&known, told, now)))
}
