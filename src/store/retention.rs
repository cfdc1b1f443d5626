//! Retention: bounded by age and by size; what goes is summarised, never silently dropped.

use std::time::Duration;

use rusqlite::{Connection, OptionalExtension, params};

use crate::core::model::id::{EventId, TaskId};
use crate::core::model::time::Timestamp;
use crate::store::error::StoreError;
use crate::store::handle::Store;
use crate::store::history;
use crate::store::meta::set_meta;
use crate::store::tx::Tx;

/// Closed tasks removed in one transaction: keeps it well below a second on an eMMC.
const TASKS_MAX: u32 = 200;
/// Audit events removed in one transaction.
const EVENTS_MAX: u32 = 2_000;
/// Transactions in one run: a long backlog is worked off over several.
const ROUNDS_MAX: u32 = 10;
/// Events that stay whatever the size: the story of the last faults.
const EVENTS_KEPT: i64 = 1_000;
/// Pages given back to the file system in one transaction: 2 MB.
const VACUUM_PAGES: u32 = 512;
/// Free pages that are left in the file: new rows take them without growing it.
const FREE_PAGES_KEPT: u64 = 128;
/// A budget counts attempts of the last day; they stay for it even when their task goes.
const ATTEMPTS_KEPT: Duration = Duration::from_secs(2 * 86_400);
/// A jump of the clock of more than this (or any jump back) stops pruning by age…
const JUMP: Duration = Duration::from_secs(7 * 86_400);
/// …until the new time has stood for this long: a clock that says 2040 must not empty the store.
const PROVEN: Duration = Duration::from_secs(86_400);
/// How often the time is written down for that, so that idling costs a commit an hour at most.
const NOTED_EVERY: Duration = Duration::from_secs(3_600);

/// What went.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Pruned {
    pub tasks: u64,
    pub events: u64,
    pub pages: u64,
}

/// Which rows may go in one round.
#[derive(Clone, Copy, Debug)]
struct Round {
    tasks_before: Timestamp,
    /// By size: events go with the tasks they tell of, whatever their age.
    by_size: bool,
    now: Timestamp,
}

impl Store {
    pub(super) fn retain(&self, now: Timestamp) -> Result<Pruned, StoreError> {
        let mut done = Pruned::default();
        let options = &self.inner.options;
        let keep = Duration::from_secs(u64::from(options.retain_days) * 86_400);
        let time_is_good = self.time_is_good(now)?;
        for _ in 0..ROUNDS_MAX {
            let by_size = self.used_bytes()? > options.max_bytes;
            if !by_size && !time_is_good {
                break;
            }
            let round = Round {
                tasks_before: if by_size { now } else { now.minus(keep) },
                by_size,
                now,
            };
            if !by_size && !self.has_older(round.tasks_before)? {
                break;
            }
            let (tasks, events) = self.write(move |tx| prune(tx, &round))?;
            done.tasks += tasks;
            done.events += events;
            if tasks == 0 && events == 0 {
                break;
            }
        }
        while self.free_pages()? > FREE_PAGES_KEPT {
            let pages = self.write(vacuum)?;
            done.pages += pages;
            if pages == 0 {
                break;
            }
        }
        Ok(done)
    }

    /// Bytes in use, without what is free inside the file.
    fn used_bytes(&self) -> Result<u64, StoreError> {
        self.reader()?.with(|connection| {
            let pages = pragma(connection, "page_count")? - pragma(connection, "freelist_count")?;
            Ok(pages.saturating_mul(pragma(connection, "page_size")?))
        })
    }

    fn free_pages(&self) -> Result<u64, StoreError> {
        self.reader()?.with(|connection| {
            match pragma(connection, "auto_vacuum")? {
                // A file without the map cannot give pages back; they are used again.
                0 => Ok(0),
                _ => pragma(connection, "freelist_count"),
            }
        })
    }

    fn has_older(&self, before: Timestamp) -> Result<bool, StoreError> {
        self.reader()?.with(|connection| {
            Ok(connection
                .prepare_cached(
                    "SELECT EXISTS (SELECT 1 FROM tasks WHERE status = 'closed' AND closed_at < ?1
                                    AND id < (SELECT max(id) FROM tasks))
                         OR coalesce((SELECT timestamp < ?1 FROM task_history ORDER BY id LIMIT 1), 0)",
                )?
                .query_row([before.to_string()], |row| row.get(0))?)
        })
    }

    /// False for a day after the clock jumped.
    fn time_is_good(&self, now: Timestamp) -> Result<bool, StoreError> {
        let time = |key: &str| -> Result<Option<Timestamp>, StoreError> {
            Ok(self.meta(key)?.and_then(|text| text.parse().ok()))
        };
        let noted = time("maintained_at")?;
        let jumped = noted.is_some_and(|at| now.since(at) > JUMP || at.since(now) > NOTED_EVERY);
        if jumped {
            log::warn!("store: the clock jumped; nothing is pruned by age for a day");
        }
        if jumped || noted.is_none_or(|at| now.since(at) >= NOTED_EVERY) {
            self.write(move |tx| {
                set_meta(tx, "maintained_at", &now.to_string())?;
                if jumped {
                    set_meta(tx, "no_pruning_until", &now.plus(PROVEN).to_string())?;
                }
                Ok(())
            })?;
        }
        // A bound that lies further ahead than it was ever set stems from the wrong time itself.
        let until = time("no_pruning_until")?.filter(|until| until.since(now) <= PROVEN);
        Ok(!jumped && until.is_none_or(|until| now >= until))
    }
}

fn pragma(connection: &Connection, name: &str) -> Result<u64, StoreError> {
    Ok(connection.query_row(&format!("PRAGMA {name}"), [], |row| row.get(0))?)
}

/// The pragma frees one page a row: it has to be stepped through.
fn vacuum(tx: &Tx<'_>) -> Result<u64, StoreError> {
    let before = pragma(tx, "freelist_count")?;
    let mut statement = tx.prepare(&format!("PRAGMA incremental_vacuum({VACUUM_PAGES})"))?;
    let mut rows = statement.query([])?;
    while rows.next()?.is_some() {}
    drop(rows);
    Ok(before.saturating_sub(pragma(tx, "freelist_count")?))
}

fn prune(tx: &Tx<'_>, round: &Round) -> Result<(u64, u64), StoreError> {
    let (tasks, last_closed) = prune_tasks(tx, round)?;
    let events_before = match (round.by_size, last_closed) {
        (true, Some(last)) => last,
        // Nothing closed is left to go: the story has to.
        (true, None) => round.now.to_string(),
        (false, _) => round.tasks_before.to_string(),
    };
    let kept = if round.by_size { EVENTS_KEPT } else { 0 };
    let events = prune_history(tx, &events_before, kept, round.now)?;
    if !round.by_size {
        tx.execute(
            "DELETE FROM attempts WHERE started_at < ?1 AND NOT EXISTS (SELECT 1 FROM tasks WHERE tasks.id = task_id)",
            [round.now.minus(ATTEMPTS_KEPT).min(round.tasks_before).to_string()],
        )?;
    }
    Ok((tasks, events))
}

/// Summarises and removes the oldest closed tasks; says when the last of them was closed. One whose
/// issue is not yet told stays, and so does the newest of all: no id is ever given twice.
fn prune_tasks(tx: &Tx<'_>, round: &Round) -> Result<(u64, Option<String>), StoreError> {
    let chosen: Vec<(TaskId, String)> = tx
        .prepare_cached(
            "SELECT id, closed_at FROM tasks WHERE status = 'closed' AND closed_at < ?1
             AND id < (SELECT max(id) FROM tasks)
             AND NOT EXISTS (SELECT 1 FROM outbox WHERE task_id = tasks.id AND state IN ('pending', 'sending', 'unknown'))
             ORDER BY closed_at LIMIT ?2",
        )?
        .query_map(params![round.tasks_before.to_string(), TASKS_MAX], |row| Ok((row.get(0)?, row.get(1)?)))?
        .collect::<Result<_, _>>()?;
    let attempts_before = round.now.minus(ATTEMPTS_KEPT).to_string();
    for (id, _) in &chosen {
        tx.prepare_cached(
            "INSERT INTO daily_counts (day, class, resolution, tasks, seen)
             SELECT substr(closed_at, 1, 10), issue_type, resolution, 1, seen_count FROM tasks WHERE id = ?1
             ON CONFLICT (day, class, resolution) DO UPDATE SET tasks = tasks + 1, seen = seen + excluded.seen",
        )?
        .execute([id])?;
        tx.prepare_cached(
            "INSERT INTO past_episodes (issue_hash, episode, closed_at)
             SELECT issue_hash, episode, closed_at FROM tasks WHERE id = ?1
             AND EXISTS (SELECT 1 FROM outbox WHERE task_id = ?1 AND operation = 'create' AND attempts > 0)
             ON CONFLICT (issue_hash) DO UPDATE SET episode = max(episode, excluded.episode), closed_at = excluded.closed_at",
        )?
        .execute([id])?;
        tx.prepare_cached("DELETE FROM attempts WHERE task_id = ?1 AND started_at < ?2")?
            .execute(params![id, attempts_before])?;
        for sql in [
            "DELETE FROM escalations WHERE task_id = ?1",
            "DELETE FROM outbox WHERE task_id = ?1",
            "DELETE FROM tasks WHERE id = ?1",
        ] {
            tx.prepare_cached(sql)?.execute([id])?;
        }
    }
    Ok((
        chosen.len() as u64,
        chosen.into_iter().last().map(|(_, at)| at),
    ))
}

/// Removes the oldest events. The checkpoint comes first, so that the chain can still be verified from
/// where it now starts; the delete works only while its meta row stands (see schema.sql).
fn prune_history(tx: &Tx<'_>, before: &str, kept: i64, now: Timestamp) -> Result<u64, StoreError> {
    let bound: Option<(i64, i64)> = tx
        .query_row(
            "SELECT (SELECT id FROM task_history ORDER BY id LIMIT 1), (SELECT id FROM task_history ORDER BY id DESC LIMIT 1)",
            [],
            |row| Ok((row.get::<_, Option<i64>>(0)?, row.get::<_, Option<i64>>(1)?)),
        )
        .map(|(first, last)| first.zip(last))?;
    let Some((first, last)) = bound else {
        return Ok(0);
    };
    let up_to = (first + i64::from(EVENTS_MAX) - 1).min(last - kept);
    // Ids ascend with time except where the clock was set back: the first young one ends the prefix.
    let young: Option<i64> = tx
        .query_row(
            "SELECT id FROM task_history WHERE id <= ?1 AND timestamp >= ?2 ORDER BY id LIMIT 1",
            params![up_to, before],
            |row| row.get(0),
        )
        .optional()?;
    let up_to = young.map_or(up_to, |young| young - 1);
    let end: Option<(EventId, String)> = tx
        .query_row(
            "SELECT id, hash FROM task_history WHERE id <= ?1 ORDER BY id DESC LIMIT 1",
            [up_to],
            |row| Ok((row.get(0)?, row.get(1)?)),
        )
        .optional()?;
    let Some((id, hash)) = end else { return Ok(0) };
    let count: u64 = tx.query_row(
        "SELECT count(*) FROM task_history WHERE id <= ?1",
        [id],
        |row| row.get(0),
    )?;
    let details = history::checkpoint(count, id, &hash);
    history::append(
        tx,
        None,
        history::CHECKPOINT,
        &details,
        "retention",
        "bounded by age and size",
        now,
    )?;
    set_meta(tx, "audit_checkpoint", &format!("{id} {hash}"))?;
    set_meta(tx, "pruning_up_to", &id.to_string())?;
    tx.execute("DELETE FROM task_history WHERE id <= ?1", [id])?;
    tx.execute("DELETE FROM meta WHERE key = 'pruning_up_to'", [])?;
    Ok(count)
}
