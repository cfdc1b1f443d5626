-- The one place where tables are defined. Version: PRAGMA user_version = 9 (src/store/schema.rs).
-- Times are TEXT, UTC, 'YYYY-MM-DD HH:MM:SS.sss'. The names of the Python daemon's columns stay.

CREATE TABLE tasks (
    id                  INTEGER PRIMARY KEY,                          -- never used again: the newest row stays
    issue_hash          TEXT NOT NULL CHECK (length(issue_hash) > 0), -- fingerprint, 64 lower-case hex
    legacy_hash         TEXT,                                         -- type:source:service of an adopted row
    issue_type          TEXT NOT NULL,                                -- class
    subject             TEXT NOT NULL DEFAULT '',
    severity            TEXT NOT NULL DEFAULT 'error'
                        CHECK (severity IN ('info', 'warning', 'error', 'critical')),
    severity_rank       INTEGER NOT NULL GENERATED ALWAYS AS
                        (CASE severity WHEN 'critical' THEN 0 WHEN 'error' THEN 1 WHEN 'warning' THEN 2 ELSE 3 END) STORED,
    issue_source        TEXT NOT NULL DEFAULT '',                     -- detector or stream
    issue_message       TEXT NOT NULL DEFAULT '',
    evidence            TEXT NOT NULL DEFAULT '{}',                   -- JSON object of strings
    status              TEXT NOT NULL DEFAULT 'detected' CHECK (status IN
                        ('detected', 'in_progress', 'waiting', 'fix_failed', 'fixed', 'escalated', 'closed')),
    phase               INTEGER NOT NULL DEFAULT 1 CHECK (phase BETWEEN 1 AND 4),
    resolution          TEXT CHECK (resolution IN ('fixed', 'self_cleared', 'human', 'superseded', 'not_a_fault', 'unverified')),
    cause               TEXT,
    confidence          REAL CHECK (confidence BETWEEN 0 AND 1),
    seen_count          INTEGER NOT NULL DEFAULT 1 CHECK (seen_count >= 1),
    episode             INTEGER NOT NULL DEFAULT 1,
    previous_id         INTEGER,
    action              TEXT,
    fix_attempted       INTEGER NOT NULL DEFAULT 0 CHECK (fix_attempted IN (0, 1)),
    fix_successful      INTEGER NOT NULL DEFAULT 0 CHECK (fix_successful IN (0, 1)),
    fix_message         TEXT,
    github_issue_number INTEGER,
    waiting_reason      TEXT,
    next_attempt_at     TEXT,
    stable_until        TEXT,
    claimed_by          TEXT,
    claimed_at          TEXT,
    acknowledged_by     TEXT,
    approved_action     TEXT,
    approved_until      TEXT,
    algorithm           INTEGER NOT NULL DEFAULT 1,                   -- fingerprint algorithm version
    detected_at         TEXT NOT NULL,
    last_seen_at        TEXT NOT NULL,
    first_green_at      TEXT,
    fixed_at            TEXT,
    github_created_at   TEXT,
    closed_at           TEXT,
    waiting_gate        TEXT,                                         -- closed gate whose opening makes it due; 'snooze': a human put it off
    waiting_on          INTEGER,                                      -- task whose end makes it due: its root
    proposed_action     TEXT,                                         -- kind of action that a human was last asked for
    told                INTEGER NOT NULL DEFAULT 0,                   -- times put before a human
    delivery_key        TEXT CHECK (delivery_key IS NOT NULL OR status = 'closed'), -- made with the row, never anew
    said_by             TEXT,                                         -- writer of the line that alone tells of it
    proposal            TEXT,                                         -- JSON: the action that a human was last asked for
    proposed_digest     TEXT,                                         -- names it, 64 lower-case hex
    proposed_by_name    INTEGER NOT NULL DEFAULT 0,                   -- its issue shows others: a label must name the digest
    approved_digest     TEXT,                                         -- the very action that is allowed, for one attempt
    asked_at            TEXT,                                         -- when a human asked to try again: a round begins
    CHECK ((status = 'closed') = (resolution IS NOT NULL)),
    CHECK ((status = 'closed') = (closed_at IS NOT NULL))
) STRICT;

-- One open task per fingerprint: the database itself refuses a second one.
CREATE UNIQUE INDEX tasks_one_open ON tasks (issue_hash) WHERE status <> 'closed';
-- Claiming looks at the open set only, which stays small however long the history grows: what the host confirms
-- before what was merely said.
CREATE INDEX tasks_open ON tasks (status, said_by IS NOT NULL, severity_rank, id) WHERE status <> 'closed';
-- Where backing off ends; the due ones come first.
CREATE INDEX tasks_due ON tasks (next_attempt_at) WHERE status <> 'closed' AND next_attempt_at IS NOT NULL;
CREATE INDEX tasks_history_of_hash ON tasks (issue_hash, id);
CREATE INDEX tasks_closed_at ON tasks (closed_at, resolution) WHERE status = 'closed';
-- Adopted rows that still wait to be seen again and re-keyed: none on most gateways.
CREATE INDEX tasks_legacy ON tasks (issue_type) WHERE algorithm = 0 AND status <> 'closed';

-- Append-only, hash-chained: who did what, when and why.
CREATE TABLE task_history (
    id        INTEGER PRIMARY KEY,                                    -- as in tasks
    task_id   INTEGER,                                                -- NULL for events of the host
    action    TEXT NOT NULL,
    details   TEXT NOT NULL DEFAULT '',
    timestamp TEXT NOT NULL,
    actor     TEXT NOT NULL,
    reason    TEXT NOT NULL DEFAULT '',
    prev_hash TEXT NOT NULL,
    hash      TEXT NOT NULL
) STRICT;
CREATE INDEX task_history_task ON task_history (task_id, id);

CREATE TRIGGER task_history_no_update BEFORE UPDATE ON task_history
BEGIN SELECT RAISE(ABORT, 'task_history is append-only'); END;
-- Retention is the one permitted delete: it works inside a transaction that holds this meta row,
-- after a checkpoint event with the last pruned id and hash.
CREATE TRIGGER task_history_no_delete BEFORE DELETE ON task_history
WHEN NOT EXISTS (SELECT 1 FROM meta WHERE key = 'pruning_up_to' AND CAST(value AS INTEGER) >= OLD.id)
BEGIN SELECT RAISE(ABORT, 'task_history is append-only'); END;

-- One row per attempt at a repair; budgets are counted here, booked before acting.
CREATE TABLE attempts (
    id          INTEGER PRIMARY KEY AUTOINCREMENT,
    task_id     INTEGER NOT NULL,
    issue_hash  TEXT NOT NULL,
    class       TEXT NOT NULL,
    subject     TEXT NOT NULL,
    unit        TEXT,
    phase       INTEGER NOT NULL,
    action_kind TEXT NOT NULL,
    action_text TEXT NOT NULL,
    undo        TEXT NOT NULL DEFAULT '',
    actor       TEXT NOT NULL,
    outcome     TEXT CHECK (outcome IN ('acted', 'verified', 'failed', 'refused', 'undone', 'unknown')),
    message     TEXT NOT NULL DEFAULT '',
    evidence    TEXT NOT NULL DEFAULT '',
    started_at  TEXT NOT NULL,
    ended_at    TEXT,
    charged     TEXT NOT NULL DEFAULT 'host' CHECK (charged IN ('first', 'host', 'approval')) -- whose budget it is
) STRICT;
CREATE INDEX attempts_task ON attempts (task_id, id);
CREATE INDEX attempts_started ON attempts (started_at);
CREATE INDEX attempts_hash ON attempts (issue_hash, started_at);
CREATE INDEX attempts_unit ON attempts (unit, started_at) WHERE unit IS NOT NULL;
CREATE INDEX attempts_open ON attempts (id) WHERE outcome IS NULL OR outcome = 'acted';

-- Wins and losses per class, subject and action.
CREATE TABLE learned (
    class   TEXT NOT NULL,
    subject TEXT NOT NULL,
    action  TEXT NOT NULL,
    wins    INTEGER NOT NULL DEFAULT 0,
    losses  INTEGER NOT NULL DEFAULT 0,
    last_at TEXT NOT NULL,
    PRIMARY KEY (class, subject, action)
) STRICT, WITHOUT ROWID;

-- Decisions that a human is needed; visible locally whether or not anything can be sent.
CREATE TABLE escalations (
    id          INTEGER PRIMARY KEY AUTOINCREMENT,
    task_id     INTEGER NOT NULL UNIQUE,
    reason      TEXT NOT NULL,
    title       TEXT NOT NULL,
    body        TEXT NOT NULL,
    severity    TEXT NOT NULL,
    created_at  TEXT NOT NULL,
    resolved_at TEXT
) STRICT;

-- Durable rows to deliver, at most one create per delivery key.
CREATE TABLE outbox (
    id            INTEGER PRIMARY KEY AUTOINCREMENT,
    task_id       INTEGER NOT NULL,
    destination   TEXT NOT NULL,
    operation     TEXT NOT NULL CHECK (operation IN ('create', 'comment', 'close', 'reopen', 'update')),
    state         TEXT NOT NULL DEFAULT 'pending'
                  CHECK (state IN ('pending', 'sending', 'confirmed', 'unknown', 'dead', 'cancelled')),
    attempts      INTEGER NOT NULL DEFAULT 0,
    payload       TEXT NOT NULL,
    delivery_key  TEXT NOT NULL,
    severity_rank INTEGER NOT NULL DEFAULT 1,
    created_at    TEXT NOT NULL,
    next_at       TEXT NOT NULL,
    sent_at       TEXT,
    last_error    TEXT,
    remote_url    TEXT
) STRICT;
CREATE UNIQUE INDEX outbox_one_create ON outbox (destination, delivery_key) WHERE operation = 'create';
CREATE INDEX outbox_due ON outbox (destination, next_at) WHERE state IN ('pending', 'sending', 'unknown');
CREATE INDEX outbox_task ON outbox (task_id, id);
CREATE INDEX outbox_sent ON outbox (destination, sent_at) WHERE operation = 'create' AND sent_at IS NOT NULL;

-- Where each stream was read up to; moves in the same transaction as the findings it gave.
CREATE TABLE cursors (
    stream   TEXT PRIMARY KEY,
    position TEXT NOT NULL,
    moved_at TEXT NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE meta (
    key   TEXT PRIMARY KEY,
    value TEXT NOT NULL
) STRICT, WITHOUT ROWID;

-- Last outcome of each detector.
CREATE TABLE detector_runs (
    name        TEXT PRIMARY KEY,
    outcome     TEXT NOT NULL CHECK (outcome IN ('ok', 'absent', 'broken')),
    message     TEXT NOT NULL DEFAULT '',
    duration_us INTEGER NOT NULL,
    runs        INTEGER NOT NULL DEFAULT 1,
    last_at     TEXT NOT NULL
) STRICT, WITHOUT ROWID;

-- What retention summarised: nothing is dropped without a trace.
CREATE TABLE daily_counts (
    day        TEXT NOT NULL,
    class      TEXT NOT NULL,
    resolution TEXT NOT NULL,
    tasks      INTEGER NOT NULL,
    seen       INTEGER NOT NULL,
    PRIMARY KEY (day, class, resolution)
) STRICT, WITHOUT ROWID;

-- Last episode of fingerprints whose delivered tasks retention removed: a recurrence must count on from
-- it, or its delivery key would be that of the old, closed issue.
CREATE TABLE past_episodes (
    issue_hash TEXT PRIMARY KEY,
    episode    INTEGER NOT NULL,
    closed_at  TEXT NOT NULL
) STRICT, WITHOUT ROWID;

-- What each unit was like when it was last well: by it a leftover and a moved file are known. Written on change.
CREATE TABLE healthy (
    unit     TEXT PRIMARY KEY,
    record   TEXT NOT NULL,                                           -- JSON, bounded (src/core/model/healthy.rs)
    noted_at TEXT NOT NULL
) STRICT, WITHOUT ROWID;

-- What this box prints out of habit, by fingerprint: counted and shown, told to nobody.
CREATE TABLE habits (
    hash    TEXT PRIMARY KEY,
    record  TEXT NOT NULL,                                            -- JSON, bounded (src/core/model/habit.rs)
    last_ms INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
