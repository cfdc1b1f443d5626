//! Attempts: booked before acting, counted against every budget in the same transaction.

use crate::core::model::sorted::SortedMap;

use rusqlite::{OptionalExtension, params};

use crate::core::config::Budget;
use crate::core::diagnosis::learning::{self, Fixed};
use crate::core::model::action::ActionKind;
use crate::core::model::id::{AttemptId, TaskId};
use crate::core::model::task::{Outcome, Resolution, Task, Transition};
use crate::core::model::time::Timestamp;
use crate::core::remedy::fights::{Happened, What};
use crate::core::remedy::step::Spent;
use crate::store::budgets::{self, AskedAttempt};
use crate::store::error::StoreError;
use crate::store::handle::Store;
use crate::store::meta::{meta, set_meta};
use crate::store::read::Reader;
use crate::store::rows::time;
use crate::store::sql::Prepared;
use crate::store::tx::Tx;
use crate::store::types::{Attempt, Booked, Booking, Learned, Noted};
use crate::store::{history, tasks};

impl Store {
    /// Books an attempt if every budget has room: counted and inserted in ONE transaction, durable
    /// before the caller acts. Refused attempts touched nothing and do not count.
    pub fn book_attempt(
        &self,
        task_id: TaskId,
        booking: Booking,
        limits: &Budget,
        now: Timestamp,
    ) -> Result<Booked, StoreError> {
        let limits = limits.clone();
        self.write(move |tx| {
            let (hash, class) = task_key(tx, task_id)?;
            let asked = AskedAttempt {
                task: task_id,
                hash: &hash,
                kind: booking.action_kind,
                unit: booking.unit.as_deref(),
            };
            let charged = match budgets::charge(tx, &asked, &limits, now)? {
                Ok(charged) => charged,
                Err(spent) => return Ok(Booked::Exhausted(spent)),
            };
            let id = insert(tx, task_id, &hash, &class, &booking, None, "", now)?;
            tx.run(
                "UPDATE attempts SET charged = ?2 WHERE id = ?1",
                params![id, charged.as_str()],
            )?;
            tx.run(
                // An approval is of one attempt: what it did not help is asked for again.
                "UPDATE tasks SET fix_attempted = 1, action = ?2, approved_action = NULL, approved_digest = NULL WHERE id = ?1",
                params![task_id, booking.action_text],
            )?;
            let nth: i64 = tx
                .prepare_cached(
                    "SELECT count(*) FROM attempts WHERE task_id = ?1 AND outcome IS NOT 'refused'",
                )?
                .query_row([task_id], |row| row.get(0))?;
            let reason = format!("attempt {nth} in phase {}", booking.phase);
            history::append(
                tx,
                Some(task_id),
                "attempt",
                &booking.action_text,
                &booking.actor,
                &reason,
                now,
            )?;
            Ok(Booked::Granted(id))
        })
    }

    /// Writes down an action that a gate or precondition stopped: nothing was touched.
    pub fn record_refusal(
        &self,
        task_id: TaskId,
        booking: Booking,
        why: &str,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let why = why.to_owned();
        self.write(move |tx| {
            let (hash, class) = task_key(tx, task_id)?;
            insert(
                tx,
                task_id,
                &hash,
                &class,
                &booking,
                Some(Outcome::Refused),
                &why,
                now,
            )?;
            history::append(
                tx,
                Some(task_id),
                "refused",
                &booking.action_text,
                &booking.actor,
                &why,
                now,
            )
        })
    }

    /// Notes that the action was done; what came of it is not yet known.
    pub fn note_acted(
        &self,
        attempt_id: AttemptId,
        message: &str,
        evidence: &str,
        actor: &str,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let [message, evidence, actor] = [message, evidence, actor].map(str::to_owned);
        self.write(move |tx| {
            tx.prepare_cached(
                "UPDATE attempts SET evidence = CASE WHEN ?2 = '' THEN evidence ELSE ?2 END WHERE id = ?1",
            )?
            .execute(params![attempt_id, evidence])?;
            set_outcome(tx, attempt_id, Outcome::Acted, &message, &actor, now)?;
            Ok(())
        })
    }

    /// Adds to what is known of an attempt; what its action told stays.
    pub fn note_attempt(
        &self,
        attempt_id: AttemptId,
        what: &[(Noted, String)],
    ) -> Result<(), StoreError> {
        if what.is_empty() {
            return Ok(());
        }
        let what = what.to_vec();
        self.write(move |tx| {
            let evidence: String = tx
                .prepare_cached("SELECT evidence FROM attempts WHERE id = ?1")?
                .query_row([attempt_id], |row| row.get(0))?;
            // What cannot be read is told no more.
            let mut all: SortedMap<String, String> =
                serde_json::from_str(&evidence).unwrap_or_default();
            for (one, text) in &what {
                all.insert(one.name().to_owned(), text.clone());
            }
            let all = serde_json::to_string(&all).unwrap_or_default();
            tx.run(
                "UPDATE attempts SET evidence = ?2 WHERE id = ?1",
                params![attempt_id, all],
            )?;
            Ok(())
        })
    }

    /// Ends an attempt and moves its task on, in one transaction: were they two, a crash between them
    /// would leave a task that nobody's repair belongs to. A task that was moved meanwhile, as by a human
    /// who closed it, stays where it is; answers whether it moved. Verified and failed attempts are
    /// learned from.
    pub fn end_attempt(
        &self,
        attempt_id: AttemptId,
        outcome: Outcome,
        message: &str,
        then: Transition,
        actor: &str,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        let [message, actor] = [message, actor].map(str::to_owned);
        self.write(move |tx| {
            let task_id = set_outcome(tx, attempt_id, outcome, &message, &actor, now)?;
            match tasks::apply(tx, task_id, &then, &actor, now) {
                // Nothing was written for it.
                Err(StoreError::WrongState { .. }) => Ok(false),
                done => done.map(|()| true),
            }
        })
    }

    /// Forgets what was learned: of everything, a class, or a class on one subject. Answers how many rows.
    pub fn forget_learned(
        &self,
        of: Option<(&str, Option<&str>)>,
        actor: &str,
        why: &str,
        now: Timestamp,
    ) -> Result<usize, StoreError> {
        let (class, subject) = of.unzip();
        let [class, subject] = [class, subject.flatten()].map(|one| one.map(str::to_owned));
        let [actor, why] = [actor, why].map(str::to_owned);
        self.write(move |tx| {
            let gone = tx.execute(
                "DELETE FROM learned WHERE (?1 IS NULL OR class = ?1) AND (?2 IS NULL OR subject = ?2)",
                params![class, subject],
            )?;
            if gone > 0 {
                let [class, subject] = [&class, &subject].map(|one| one.as_deref().unwrap_or("*"));
                let details = format!("{class} {subject}: {gone} counts");
                history::append(tx, None, "forgotten", &details, &actor, &why, now)?;
            }
            Ok(gone)
        })
    }

    /// Merges another gateway's counts at a discount; `source` (its digest) is taken over once. Own counts are
    /// added to. Answers how many rows counted, `None` when this source was merged before.
    pub fn import_learned(
        &self,
        rows: Vec<Learned>,
        source: &str,
        actor: &str,
        now: Timestamp,
    ) -> Result<Option<usize>, StoreError> {
        let key = format!("learned_from {source}");
        let actor = actor.to_owned();
        self.write(move |tx| {
            if meta(tx, &key)?.is_some() {
                return Ok(None);
            }
            let mut taken = 0;
            for row in &rows {
                let (wins, losses) = learning::discounted(row.wins, row.losses);
                if wins == 0 && losses == 0 {
                    continue;
                }
                let own: Option<(u32, u32)> = tx
                    .prepare_cached("SELECT wins, losses FROM learned WHERE class = ?1 AND subject = ?2 AND action = ?3")?
                    .query_row([&row.class, &row.subject, &row.action], |found| Ok((found.get(0)?, found.get(1)?)))
                    .optional()?;
                let (own_wins, own_losses) = own.unwrap_or((0, 0));
                let sum = learning::halved(own_wins.saturating_add(wins), own_losses.saturating_add(losses));
                let at = row.last.map_or(now, |last| last.min(now));
                put_learned(tx, [&row.class, &row.subject, &row.action], sum, at)?;
                taken += 1;
            }
            set_meta(tx, &key, &now.to_string())?;
            history::append(tx, None, "learned_from", &format!("{taken} counts"), &actor, &key, now)?;
            Ok(Some(taken))
        })
    }

    /// Attempts without an end: what a crash cut short.
    pub fn open_attempts(&self) -> Result<Vec<Attempt>, StoreError> {
        self.reader()?.open_attempts()
    }
}

impl Reader {
    /// The earlier episodes of a task's problem that ended as fixed, the newest first, at most `most`.
    pub fn fixed_before(&self, task: &Task, most: usize) -> Result<Vec<Fixed>, StoreError> {
        let mut found = Vec::new();
        let mut next = task.previous_id;
        while let Some(id) = next
            && found.len() < most
        {
            let Some(before) = self.task(id)? else {
                break;
            };
            let (Some(Resolution::Fixed), Some(closed_at)) = (before.resolution, before.closed_at)
            else {
                break;
            };
            found.push(Fixed {
                task_id: id,
                action: before.action.unwrap_or_default(),
                closed_at,
            });
            next = before.previous_id;
        }
        Ok(found)
    }

    /// Kinds of action that a human took back after they were taken for this problem.
    pub fn taken_back(&self, task: &Task) -> Result<Vec<ActionKind>, StoreError> {
        let sql = "SELECT DISTINCT action_kind FROM attempts WHERE issue_hash = ?1 AND outcome = 'undone'";
        let kinds = self.list(sql, &[&task.issue_hash], |row| row.get::<_, String>(0))?;
        Ok(kinds.iter().filter_map(|kind| kind.parse().ok()).collect())
    }

    /// What was tried and what broke since then, of what the host itself confirms: the newest, in their order.
    pub fn happened(&self, since: Timestamp) -> Result<Vec<Happened>, StoreError> {
        let newest = self.list(
            "WITH recent AS (
                 SELECT id, subject, detected_at FROM tasks WHERE status <> 'closed' AND said_by IS NULL
                 UNION ALL
                 SELECT id, subject, detected_at FROM tasks WHERE status = 'closed' AND closed_at > ?1 AND said_by IS NULL)
             SELECT subject, detected_at AS at, 0 FROM recent WHERE detected_at > ?1
             UNION ALL
             SELECT recent.subject, task_history.timestamp, 0 FROM recent
             JOIN task_history ON task_history.task_id = recent.id
             WHERE task_history.action = 'regressed' AND task_history.timestamp > ?1
             UNION ALL
             SELECT subject, started_at, 1 FROM attempts WHERE started_at > ?1 AND outcome IS NOT 'refused'
             ORDER BY 2 DESC LIMIT 1000",
            &[&since.to_string()],
            |row| {
                let tried: bool = row.get(2)?;
                Ok(Happened {
                    subject: row.get(0)?,
                    at: time(row, 1)?,
                    what: match tried {
                        true => What::Tried,
                        false => What::Broke,
                    },
                })
            },
        );
        newest.map(|happened| happened.into_iter().rev().collect())
    }

    /// The first budget without room for this task and unit, without booking anything.
    pub fn budget_spent(
        &self,
        task: &Task,
        kind: ActionKind,
        unit: Option<&str>,
        limits: &Budget,
        now: Timestamp,
    ) -> Result<Option<Spent>, StoreError> {
        let asked = AskedAttempt {
            task: task.id,
            hash: &task.issue_hash,
            kind,
            unit,
        };
        self.with(|connection| Ok(budgets::charge(connection, &asked, limits, now)?.err()))
    }

    /// The host's budget, when it has no room for what failed lately: only a human's leave and first starts go on.
    pub fn host_budget_spent(
        &self,
        limits: &Budget,
        now: Timestamp,
    ) -> Result<Option<Spent>, StoreError> {
        self.with(|connection| budgets::host_spent(connection, true, limits, now))
    }

    /// What a human was told last of this task, if nothing was tried, allowed or asked for since.
    pub fn what_stands(&self, task_id: TaskId) -> Result<Option<String>, StoreError> {
        self.with(|connection| {
            let told = connection
                .prepare_cached(
                    "SELECT reason FROM task_history AS told WHERE task_id = ?1 AND action = 'escalated'
                        AND NOT EXISTS (SELECT 1 FROM task_history AS later WHERE later.task_id = ?1 AND later.id > told.id
                                        AND later.action IN ('attempt', 'approved', 'approval_void', 'retried'))
                     ORDER BY id DESC LIMIT 1",
                )?
                .query_row([task_id], |row| row.get(0));
            Ok(told.optional()?)
        })
    }

    /// How often this episode was put before a human.
    pub fn times_told(&self, task_id: TaskId) -> Result<u32, StoreError> {
        self.with(|connection| {
            Ok(
                connection.row("SELECT told FROM tasks WHERE id = ?1", [task_id], |row| {
                    row.get(0)
                })?,
            )
        })
    }
}

/// Answers the attempt's task.
fn set_outcome(
    tx: &Tx<'_>,
    attempt_id: AttemptId,
    outcome: Outcome,
    message: &str,
    actor: &str,
    now: Timestamp,
) -> Result<TaskId, StoreError> {
    let (task_id, class, subject, kind, before): (TaskId, String, String, String, Option<String>) =
        tx.prepare_cached(
            "SELECT task_id, class, subject, action_kind, outcome FROM attempts WHERE id = ?1",
        )?
        .query_row([attempt_id], |row| {
            Ok((
                row.get(0)?,
                row.get(1)?,
                row.get(2)?,
                row.get(3)?,
                row.get(4)?,
            ))
        })?;
    let ended = (outcome != Outcome::Acted).then(|| now.to_string());
    tx.prepare_cached(
        "UPDATE attempts SET outcome = ?2, message = ?3, ended_at = ?4 WHERE id = ?1",
    )?
    .execute(params![attempt_id, outcome.as_str(), message, ended])?;
    learn(tx, &class, &subject, &kind, before.as_deref(), outcome, now)?;
    history::append(tx, Some(task_id), outcome.as_str(), message, actor, "", now)?;
    Ok(task_id)
}

/// A verified attempt is a win; one that failed, also later in its window, a loss.
fn learn(
    tx: &Tx<'_>,
    class: &str,
    subject: &str,
    kind: &str,
    before: Option<&str>,
    outcome: Outcome,
    now: Timestamp,
) -> Result<(), StoreError> {
    let was_win = before == Some(Outcome::Verified.as_str());
    let (wins, losses) = match outcome {
        // The loss turned out to be none.
        Outcome::Verified if before == Some(Outcome::Failed.as_str()) => (1, -1),
        // Its detector is green again after nobody could look: won once.
        Outcome::Verified if was_win => return Ok(()),
        Outcome::Verified => (1, 0),
        // The win turned out to be none.
        Outcome::Failed | Outcome::Undone if was_win => (-1, 1),
        Outcome::Failed | Outcome::Undone => (0, 1),
        Outcome::Acted | Outcome::Refused | Outcome::Unknown => return Ok(()),
    };
    let known: Option<(i64, i64)> = tx
        .prepare_cached(
            "SELECT wins, losses FROM learned WHERE class = ?1 AND subject = ?2 AND action = ?3",
        )?
        .query_row([class, subject, kind], |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()?;
    let (had_wins, had_losses) = known.unwrap_or((0, 0));
    let count = |n: i64| u32::try_from(n.max(0)).unwrap_or(u32::MAX);
    let (wins, losses) = learning::halved(count(had_wins + wins), count(had_losses + losses));
    put_learned(tx, [class, subject, kind], (wins, losses), now)
}

fn put_learned(
    tx: &Tx<'_>,
    [class, subject, kind]: [&str; 3],
    (wins, losses): (u32, u32),
    at: Timestamp,
) -> Result<(), StoreError> {
    tx.prepare_cached(
        "INSERT INTO learned (class, subject, action, wins, losses, last_at) VALUES (?1, ?2, ?3, ?4, ?5, ?6)
         ON CONFLICT (class, subject, action) DO UPDATE SET wins = ?4, losses = ?5, last_at = ?6",
    )?
    .execute(params![class, subject, kind, wins, losses, at.to_string()])?;
    Ok(())
}

fn task_key(tx: &Tx<'_>, task_id: TaskId) -> Result<(String, String), StoreError> {
    tx.prepare_cached("SELECT issue_hash, issue_type FROM tasks WHERE id = ?1")?
        .query_row([task_id], |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()?
        .ok_or(StoreError::NoTask(task_id))
}

#[allow(clippy::too_many_arguments)] // One row's columns.
fn insert(
    tx: &Tx<'_>,
    task_id: TaskId,
    hash: &str,
    class: &str,
    booking: &Booking,
    outcome: Option<Outcome>,
    message: &str,
    now: Timestamp,
) -> Result<AttemptId, StoreError> {
    let at = now.to_string();
    let ended = outcome.map(|_| at.clone());
    tx.prepare_cached(
        "INSERT INTO attempts (task_id, issue_hash, class, subject, unit, phase, action_kind, action_text, undo,
                               actor, outcome, message, started_at, ended_at)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14)",
    )?
    .execute(params![
        task_id,
        hash,
        class,
        booking.subject,
        booking.unit,
        booking.phase,
        booking.action_kind.as_str(),
        booking.action_text,
        booking.undo,
        booking.actor,
        outcome.map(Outcome::as_str),
        message,
        at,
        ended,
    ])?;
    Ok(AttemptId::from_number(tx.last_insert_rowid()))
}
