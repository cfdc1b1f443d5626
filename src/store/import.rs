//! Adoption of the Python daemon's `tasks.db`: columns and rows kept, a copy left beside, idempotent.

use std::collections::BTreeMap;
use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};

use rusqlite::types::ValueRef;
use rusqlite::{Connection, OpenFlags, TransactionBehavior, params};
use sha2::{Digest, Sha256};

use crate::core::audit;
use crate::core::time::Timestamp;
use crate::store::holders::other_holder;
use crate::store::open::{self, OpenReport, StoreOptions, VERSION, beside, set_meta};
use crate::store::{Store, StoreError, history};

/// What an adoption did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ImportReport {
    pub tasks: u64,
    pub history: u64,
    /// Unknown tables, kept as `legacy_NAME`.
    pub kept_tables: Vec<String>,
    pub copy: Option<PathBuf>,
    /// It had been adopted before: nothing was changed.
    pub already: bool,
}

impl fmt::Display for ImportReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.already {
            return write!(f, "already adopted: nothing to do");
        }
        write!(
            f,
            "adopted {} tasks and {} history rows of the Python daemon",
            self.tasks, self.history
        )?;
        if !self.kept_tables.is_empty() {
            write!(
                f,
                "; other tables kept as legacy_*: {}",
                self.kept_tables.join(", ")
            )?;
        }
        match &self.copy {
            Some(copy) => write!(f, "; the original is kept as {}", copy.display()),
            None => Ok(()),
        }
    }
}

/// Adopts the database at `source` into the store's place. `source` may be that very file.
pub fn import(
    source: &Path,
    options: &StoreOptions,
    now: Timestamp,
) -> Result<ImportReport, StoreError> {
    let fail = |why: String| StoreError::Import(why);
    let probe = Connection::open_with_flags(source, OpenFlags::SQLITE_OPEN_READ_ONLY)
        .map_err(|why| fail(format!("{}: {why}", source.display())))?;
    let unreadable = |why: StoreError| fail(format!("{}: {why}", source.display()));
    let already = open::version(&probe).map_err(unreadable)? == VERSION;
    if !already && !is_python_database(&probe).map_err(unreadable)? {
        return Err(fail(format!(
            "{}: no tasks table of the Python daemon in it",
            source.display()
        )));
    }
    drop(probe);
    let same = fs::canonicalize(source).ok() == fs::canonicalize(&options.path).ok();
    if already && same {
        return Ok(ImportReport {
            already: true,
            ..ImportReport::default()
        });
    }
    if let Some(holder) = other_holder(source) {
        return Err(fail(format!(
            "{} is open in {holder}: stop it first",
            source.display()
        )));
    }
    if !same {
        if options.path.exists() {
            let (store, _) = Store::open(options, now)?;
            if store
                .meta("adopted_digest")?
                .is_some_and(|digest| Some(digest) == digest_of(source).ok())
            {
                return Ok(ImportReport {
                    already: true,
                    ..ImportReport::default()
                });
            }
            return Err(fail(format!(
                "{} exists already: import before the first start, or move it away",
                options.path.display()
            )));
        }
        fs::copy(source, &options.path)
            .map_err(|why| fail(format!("{}: {why}", options.path.display())))?;
    }
    let mut connection = Connection::open(&options.path)?;
    connection.busy_timeout(options.busy_timeout)?;
    let report = adopt(&mut connection, options, now)?;
    drop(connection);
    // Opening checks the result and leaves it in the journal mode that the daemon uses.
    let (_, _report): (Store, OpenReport) = Store::open(options, now)?;
    Ok(report)
}

fn digest_of(path: &Path) -> std::io::Result<String> {
    Ok(audit::hex(&Sha256::digest(fs::read(path)?)))
}

/// True for a database with the Python daemon's tasks table and without a version of ours.
pub(super) fn is_python_database(connection: &Connection) -> Result<bool, StoreError> {
    let columns = columns(connection, "tasks")?;
    Ok(["issue_hash", "issue_type", "status"]
        .iter()
        .all(|name| columns.iter().any(|column| column == name)))
}

fn columns(connection: &Connection, table: &str) -> Result<Vec<String>, StoreError> {
    let mut statement = connection.prepare("SELECT name FROM pragma_table_info(?1)")?;
    Ok(statement
        .query_map([table], |row| row.get(0))?
        .collect::<Result<_, _>>()?)
}

/// Rebuilds the tables in one transaction, `user_version` last. Nothing is lost: unknown tables are
/// renamed, unknown columns go into the evidence.
pub(super) fn adopt(
    connection: &mut Connection,
    options: &StoreOptions,
    now: Timestamp,
) -> Result<ImportReport, StoreError> {
    let copy = beside(&options.path, "python-original");
    let digest = digest_of(&options.path)
        .map_err(|why| StoreError::Import(format!("{}: {why}", options.path.display())))?;
    if !copy.exists() {
        fs::copy(&options.path, &copy)
            .map_err(|why| StoreError::Import(format!("{}: {why}", copy.display())))?;
    }
    let mut report = ImportReport {
        copy: Some(copy),
        ..ImportReport::default()
    };
    let tx = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    if open::version(&tx)? == VERSION {
        return Ok(ImportReport {
            already: true,
            ..report
        });
    }
    report.kept_tables = set_aside(&tx)?;
    open::create_tables(&tx, now)?;
    report.tasks = copy_tasks(&tx, now)?;
    report.history = match columns(&tx, "legacy_task_history")?.is_empty() {
        true => 0,
        false => tx.query_row("SELECT count(*) FROM legacy_task_history", [], |row| {
            row.get(0)
        })?,
    };
    set_meta(&tx, "adopted_digest", &digest)?;
    let details = format!(
        "{} tasks, {} history rows, SHA-256 {digest}",
        report.tasks, report.history
    );
    history::append(
        &tx,
        None,
        "adopted",
        &details,
        "import",
        "database of the Python daemon",
        now,
    )?;
    tx.execute_batch("DROP TABLE legacy_tasks")?;
    tx.commit()?;
    Ok(report)
}

/// Renames every table to `legacy_NAME`; its indexes and triggers would clash with ours and go.
fn set_aside(tx: &Connection) -> Result<Vec<String>, StoreError> {
    let objects: Vec<(String, String)> = tx
        .prepare("SELECT type, name FROM sqlite_master WHERE name NOT LIKE 'sqlite_%' AND sql IS NOT NULL")?
        .query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?
        .collect::<Result<_, _>>()?;
    let quoted = |name: &str| name.replace('"', "\"\"");
    for (kind, name) in objects
        .iter()
        .filter(|(kind, _)| matches!(kind.as_str(), "index" | "trigger" | "view"))
    {
        tx.execute_batch(&format!("DROP {kind} \"{}\"", quoted(name)))?;
    }
    let mut kept = Vec::new();
    for (_, name) in objects.iter().filter(|(kind, _)| kind == "table") {
        let name = quoted(name);
        tx.execute_batch(&format!(
            "ALTER TABLE \"{name}\" RENAME TO \"legacy_{name}\""
        ))?;
        if name != "tasks" {
            kept.push(name);
        }
    }
    Ok(kept)
}

/// One row of the old table by column name, everything as text.
type OldRow = BTreeMap<String, String>;

fn old_rows(tx: &Connection) -> Result<Vec<OldRow>, StoreError> {
    let names = columns(tx, "legacy_tasks")?;
    let mut statement = tx.prepare("SELECT * FROM legacy_tasks ORDER BY rowid")?;
    let rows = statement.query_map([], |row| {
        let mut old = OldRow::new();
        for (at, name) in names.iter().enumerate() {
            let text = match row.get_ref(at)? {
                ValueRef::Null => continue,
                ValueRef::Integer(number) => number.to_string(),
                ValueRef::Real(number) => number.to_string(),
                ValueRef::Text(bytes) | ValueRef::Blob(bytes) => {
                    String::from_utf8_lossy(bytes).into_owned()
                }
            };
            old.insert(name.clone(), text);
        }
        Ok(old)
    })?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// The Python daemon's statuses onto ours. What it had handed to GitHub stays before a human; work it
/// had begun starts over; anything unknown stays open rather than being dropped.
fn status_of(old: &OldRow) -> (&'static str, Option<&'static str>) {
    let fixed = old.get("fix_successful").is_some_and(|value| value != "0");
    match old
        .get("status")
        .map(|status| status.to_lowercase())
        .as_deref()
    {
        Some("closed" | "resolved" | "done") => {
            ("closed", Some(if fixed { "fixed" } else { "human" }))
        }
        Some("fixed" | "completed") => ("closed", Some("fixed")),
        Some("escalated" | "github_created" | "reported") => ("escalated", None),
        Some("fix_failed" | "failed") => ("fix_failed", None),
        _ => ("detected", None),
    }
}

fn copy_tasks(tx: &Connection, now: Timestamp) -> Result<u64, StoreError> {
    let known = [
        "id",
        "issue_hash",
        "issue_type",
        "issue_source",
        "issue_message",
        "status",
        "fix_attempted",
        "fix_successful",
        "fix_message",
        "github_issue_number",
        "detected_at",
        "github_created_at",
        "fixed_at",
        "closed_at",
    ];
    let time = |old: &OldRow, name: &str| -> Option<String> {
        let text = old.get(name)?;
        Some(text.parse::<Timestamp>().unwrap_or(now).to_string())
    };
    let mut count = 0;
    for old in old_rows(tx)? {
        let text = |name: &str| old.get(name).cloned().unwrap_or_default();
        let (status, resolution) = status_of(&old);
        let mut evidence: OldRow = old
            .iter()
            .filter(|(name, _)| !known.contains(&name.as_str()))
            .map(|(k, v)| (k.clone(), v.clone()))
            .collect();
        evidence.insert("legacy_status".to_owned(), text("status"));
        let detected = time(&old, "detected_at").unwrap_or_else(|| now.to_string());
        let closed = (status == "closed").then(|| {
            time(&old, "closed_at")
                .or_else(|| time(&old, "fixed_at"))
                .unwrap_or_else(|| detected.clone())
        });
        let flag = |name: &str| old.get(name).is_some_and(|value| value != "0");
        count += tx.execute(
            "INSERT INTO tasks (id, issue_hash, legacy_hash, issue_type, issue_source, issue_message, evidence, status, resolution,
                                fix_attempted, fix_successful, fix_message, github_issue_number, detected_at, last_seen_at,
                                github_created_at, fixed_at, closed_at, algorithm)
             VALUES (?1, ?2, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?13, ?14, ?15, ?16, 0)
             ON CONFLICT (issue_hash) WHERE status <> 'closed' DO UPDATE SET seen_count = seen_count + 1",
            params![
                old.get("id").and_then(|id| id.parse::<i64>().ok()),
                text("issue_hash"),
                text("issue_type"),
                text("issue_source"),
                text("issue_message"),
                serde_json::to_string(&evidence).unwrap_or_else(|_| "{}".to_owned()),
                status,
                resolution,
                flag("fix_attempted"),
                flag("fix_successful"),
                old.get("fix_message"),
                old.get("github_issue_number").and_then(|number| number.parse::<i64>().ok()),
                detected,
                time(&old, "github_created_at"),
                time(&old, "fixed_at"),
                closed,
            ],
        )? as u64;
    }
    Ok(count)
}
