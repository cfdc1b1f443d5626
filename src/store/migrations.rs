//! The steps from each version of the schema to the next, forward only.
//!
//! Before one is added, the present program writes what it leaves behind as `tests/fixtures/store/vN.sql`.

use rusqlite::params;

use crate::core::model::audit;
use crate::core::model::id::TaskId;
use crate::store::error::StoreError;
use crate::store::meta::gateway_id;
use crate::store::restored;
use crate::store::sql::Prepared;
use crate::store::tx::Tx;

/// What one step changes, inside a transaction of its own.
pub(super) type Migration = fn(&Tx<'_>) -> Result<(), StoreError>;

/// Entry N-1 leads from version N to N+1.
pub(super) const STEPS: &[Migration] = &[
    leaner,
    columns_for_prose,
    said,
    cancelled,
    one_action,
    healthy,
    rounds,
    habits,
];

/// To 2: two pages less in each commit. Who is at work on a subject is found among the few tasks in a worker's
/// hands. Ids are never used again without SQLite counting them in a table of its own: retention keeps the
/// newest row of both. Changing the text of a table is SQLite's own procedure for what leaves the rows as they
/// are (sqlite.org/lang_altertable.html, section 7); copying 256 MB might not fit on the disk.
fn leaner(tx: &Tx<'_>) -> Result<(), StoreError> {
    tx.execute_batch(
        "DROP INDEX tasks_open_subject;
         PRAGMA writable_schema = ON;
         UPDATE sqlite_schema SET sql = replace(sql, 'PRIMARY KEY AUTOINCREMENT', 'PRIMARY KEY')
             WHERE type = 'table' AND name IN ('tasks', 'task_history');
         DELETE FROM sqlite_sequence WHERE name IN ('tasks', 'task_history');
         PRAGMA writable_schema = RESET;",
    )?;
    Ok(())
}

/// To 3: what was read out of sentences, counted in the history or computed each time stands in columns of the
/// task, and `unverified` may be stored. Closed rows stay as they are, but for the key of what was delivered.
fn columns_for_prose(tx: &Tx<'_>) -> Result<(), StoreError> {
    tx.execute_batch(
        "ALTER TABLE tasks ADD COLUMN waiting_gate TEXT;
         ALTER TABLE tasks ADD COLUMN waiting_on INTEGER;
         ALTER TABLE tasks ADD COLUMN proposed_action TEXT;
         ALTER TABLE tasks ADD COLUMN told INTEGER NOT NULL DEFAULT 0;
         ALTER TABLE tasks ADD COLUMN delivery_key TEXT;",
    )?;
    keys(tx)?;
    waits(tx)?;
    proposals(tx)?;
    restored::join_rows(tx)?;
    tx.execute_batch(
        "UPDATE tasks SET told = (SELECT count(*) FROM task_history WHERE task_id = tasks.id AND action = 'escalated')
             WHERE status <> 'closed';
         PRAGMA writable_schema = ON;
         UPDATE sqlite_schema SET sql = replace(replace(sql,
                 '''not_a_fault'')', '''not_a_fault'', ''unverified'')'),
                 'delivery_key TEXT', 'delivery_key TEXT CHECK (delivery_key IS NOT NULL OR status = ''closed'')')
             WHERE type = 'table' AND name = 'tasks';
         PRAGMA writable_schema = RESET;",
    )?;
    Ok(())
}

/// To 4: who said what nothing else tells. Of rows from before, the stream.
fn said(tx: &Tx<'_>) -> Result<(), StoreError> {
    tx.execute_batch(
        "ALTER TABLE tasks ADD COLUMN said_by TEXT;
         UPDATE tasks SET said_by = issue_source
             WHERE status <> 'closed' AND issue_type IN ('log_error', 'self_gap') AND issue_source <> '';
         DROP INDEX tasks_open;
         CREATE INDEX tasks_open ON tasks (status, said_by IS NOT NULL, severity_rank, id) WHERE status <> 'closed';",
    )?;
    Ok(())
}

/// To 5: what was overtaken before it was sent is `cancelled`, which is no trouble; `dead` is what could not be
/// delivered. Where deliveries go is said anew at the next start.
fn cancelled(tx: &Tx<'_>) -> Result<(), StoreError> {
    tx.execute_batch(
        "PRAGMA writable_schema = ON;
         UPDATE sqlite_schema SET sql = replace(sql, '''unknown'', ''dead'')', '''unknown'', ''dead'', ''cancelled'')')
             WHERE type = 'table' AND name = 'outbox';
         PRAGMA writable_schema = RESET;
         UPDATE outbox SET state = 'cancelled' WHERE state = 'dead' AND last_error IN
             ('the problem came back before it was sent', 'closed before it was sent', 'its issue was never sent',
              'over before it was sent');
         DELETE FROM meta WHERE key = 'destinations';",
    )?;
    Ok(())
}

/// Of what was delivered, the key that it was delivered under; of other open tasks, what it would have been.
fn keys(tx: &Tx<'_>) -> Result<(), StoreError> {
    tx.execute(
        "UPDATE tasks SET delivery_key = (SELECT delivery_key FROM outbox WHERE task_id = tasks.id ORDER BY id LIMIT 1)
         WHERE id IN (SELECT task_id FROM outbox)",
        [],
    )?;
    let gateway = gateway_id(tx)?;
    let open: Vec<(TaskId, String, u64)> = tx
        .prepare("SELECT id, issue_hash, episode FROM tasks WHERE status <> 'closed' AND delivery_key IS NULL")?
        .query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?
        .collect::<Result<_, _>>()?;
    for (id, hash, episode) in open {
        let key = audit::delivery_key(&gateway, &hash, episode);
        tx.run(
            "UPDATE tasks SET delivery_key = ?2 WHERE id = ?1",
            params![id, key],
        )?;
    }
    Ok(())
}

/// The reason of a waiting task began with its gate; that of a symptom went on with its root.
fn waits(tx: &Tx<'_>) -> Result<(), StoreError> {
    tx.execute_batch(
        "UPDATE tasks SET waiting_gate = substr(waiting_reason, 1, instr(waiting_reason, ': ') - 1)
             WHERE status = 'waiting' AND substr(waiting_reason, 1, instr(waiting_reason, ': ') - 1) IN
                 ('kill_switch', 'maintenance', 'clock', 'startup_grace', 'precondition', 'inhibition', 'mode',
                  'budget', 'slot');
         UPDATE tasks SET waiting_on =
                 CAST(substr(waiting_reason, length('inhibition: symptom of task ') + 1) AS INTEGER)
             WHERE waiting_gate = 'inhibition' AND waiting_reason LIKE 'inhibition: symptom of task %';",
    )?;
    Ok(())
}

/// How version 0.1.0 told of each action. Where two fit, the longer one is meant.
const TOLD: &[(&str, &str)] = &[
    ("start ", "start_unit"),
    ("restart ", "restart_unit"),
    ("restart interface ", "restart_interface"),
    ("stop ", "stop_unit"),
    ("reset-failed and start ", "reset_failed_start"),
    ("daemon-reload", "daemon_reload"),
    ("drop-in for ", "path_drop_in"),
    ("terminate process ", "terminate_process"),
    ("vacuum journal ", "vacuum_journal"),
    ("free disk ", "free_disk"),
    ("remount ", "remount_rw"),
    ("sync clock", "sync_clock"),
    ("run declared command ", "run_declared"),
];

/// The event of a proposal had the text of its action as details, lately the kind. Neither of them leaves no
/// proposal: then `approve` asks for the name.
fn proposals(tx: &Tx<'_>) -> Result<(), StoreError> {
    let told: Vec<(TaskId, String)> = tx
        .prepare(
            "SELECT task_id, details FROM task_history WHERE action = 'proposed'
             AND task_id IN (SELECT id FROM tasks WHERE status <> 'closed') ORDER BY id",
        )?
        .query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?
        .collect::<Result<_, _>>()?;
    for (task, details) in told {
        let kind = TOLD
            .iter()
            .filter(|(begins, kind)| details.starts_with(begins) || details == *kind)
            .max_by_key(|(begins, _)| begins.len());
        if let Some((_, kind)) = kind {
            tx.run(
                "UPDATE tasks SET proposed_action = ?2 WHERE id = ?1",
                params![task, kind],
            )?;
        }
    }
    Ok(())
}

/// To 6: an approval names one action on one target. What was proposed or approved before names a kind alone: it
/// is void, and due at once, so that it is asked for again in the issue that it has.
fn one_action(tx: &Tx<'_>) -> Result<(), StoreError> {
    tx.execute_batch(
        "ALTER TABLE tasks ADD COLUMN proposal TEXT;
         ALTER TABLE tasks ADD COLUMN proposed_digest TEXT;
         ALTER TABLE tasks ADD COLUMN proposed_by_name INTEGER NOT NULL DEFAULT 0;
         ALTER TABLE tasks ADD COLUMN approved_digest TEXT;
         UPDATE tasks SET next_attempt_at = detected_at WHERE status = 'escalated' AND proposed_action IS NOT NULL;",
    )?;
    Ok(())
}

/// To 7: what each unit is like while it is well. Nothing is known of the time before.
fn healthy(tx: &Tx<'_>) -> Result<(), StoreError> {
    tx.execute_batch(
        "CREATE TABLE healthy (
             unit     TEXT PRIMARY KEY,
             record   TEXT NOT NULL,                                           -- JSON, bounded (src/core/model/healthy.rs)
             noted_at TEXT NOT NULL
         ) STRICT, WITHOUT ROWID;",
    )?;
    Ok(())
}

/// To 8: a human who asks to try again begins a round; what an attempt is charged to. All until now were the host's.
fn rounds(tx: &Tx<'_>) -> Result<(), StoreError> {
    tx.execute_batch(
        "ALTER TABLE tasks ADD COLUMN asked_at TEXT;
         ALTER TABLE attempts ADD COLUMN charged TEXT NOT NULL DEFAULT 'host' CHECK (charged IN ('first', 'host', 'approval'));",
    )?;
    Ok(())
}

/// To 9: what the box prints out of habit. Nothing is known of the time before: it is told as it was.
fn habits(tx: &Tx<'_>) -> Result<(), StoreError> {
    tx.execute_batch(
        "CREATE TABLE habits (
             hash    TEXT PRIMARY KEY,
             record  TEXT NOT NULL,                                            -- JSON, bounded (src/core/model/habit.rs)
             last_ms INTEGER NOT NULL
         ) STRICT, WITHOUT ROWID;",
    )?;
    Ok(())
}
