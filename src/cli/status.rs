//! `status`: one page about the daemon and what it knows.

use std::fmt::Write as _;

use serde_json::{Value, json};

use crate::cli::error::{CliError, ErrorKind, Exit};
use crate::cli::globals::Globals;
use crate::cli::table::Tone;
use crate::cli::typed::Typed;
use crate::cli::{escalations, shape, stored};
use crate::core::config::Config;
use crate::core::diagnosis::root_cause::cases;
use crate::core::model::case::Case;
use crate::core::model::inert;
use crate::core::model::time::Timestamp;
use crate::core::remedy::decide::HostFacts;
use crate::core::remedy::gates::Closed;
use crate::core::remedy::step::Reason;
use crate::daemon::gather::{self, conditions};
use crate::daemon::status::{Daemon, paused_json};
use crate::host::Host;
use crate::store::{Counts, DetectorRun, EscalationRow, OutboxRow, RunOutcome};

/// What the store says; absent where there is none yet.
#[derive(Debug)]
struct Stored {
    counts: Counts,
    open_escalations: Vec<EscalationRow>,
    outbox: Vec<OutboxRow>,
    detectors: Vec<DetectorRun>,
    cases: Vec<Case>,
    /// When it was restored, while no full clean sweep has followed.
    restored: Option<Timestamp>,
}

fn read_store(globals: &Globals, config: &Config) -> Result<Stored, CliError> {
    let reader = stored::reader(globals, config)?;
    Ok(Stored {
        counts: reader.counts()?,
        open_escalations: reader.escalations(true)?,
        outbox: reader.outbox()?,
        detectors: reader.detector_runs()?,
        cases: cases(&conditions(&reader.open_conditions()?)),
        restored: reader.restored()?,
    })
}

/// Whether repairs are made now, by the facts that a worker decides on.
#[derive(Debug)]
struct Repairs {
    facts: HostFacts,
    /// Why none is made, whatever the task.
    paused: Vec<Closed>,
    running: bool,
    kill_switch_file: String,
}

impl Repairs {
    fn of(host: &Host, config: &Config, daemon: &Daemon, restored: Option<Timestamp>) -> Self {
        let life = daemon.life();
        Self {
            facts: gather::host_facts(host, config, life, restored),
            paused: gather::paused(host, config, life),
            running: daemon.running,
            kill_switch_file: config.daemon.kill_switch.clone(),
        }
    }

    /// One line for each thing that stands in the way, or that nothing does.
    fn lines(&self) -> Vec<(Tone, String)> {
        let mut lines: Vec<_> = self
            .paused
            .iter()
            .map(|one| (Tone::Bad, format!("PAUSED: {}", self.pause(one))))
            .collect();
        if self.facts.dry_run {
            lines.push((Tone::Warn, "none: a dry run only looks".to_owned()));
        }
        if let Some(at) = self.facts.restored {
            let at = shape::second(at);
            let why = format!("at most suggest: restored at {at}, until one full clean sweep");
            lines.push((Tone::Warn, why));
        }
        if !self.running {
            lines.push((Tone::Warn, "none: the daemon is not running".to_owned()));
        }
        if lines.is_empty() {
            lines.push((Tone::Plain, "on".to_owned()));
        }
        lines
    }

    /// Why, and until when where the reason does not say it.
    fn pause(&self, one: &Closed) -> String {
        match (&one.reason, one.ends) {
            (Reason::KillSwitch(_), _) => {
                format!("{}, until {} is removed", one.reason, self.kill_switch_file)
            }
            (Reason::StartupGrace, Some(end)) => {
                format!("{}, until {}", one.reason, shape::second(end))
            }
            (reason, _) => reason.to_string(),
        }
    }
}

pub(super) fn run(typed: &Typed, globals: &Globals) -> Result<Exit, CliError> {
    typed.at_most(0)?;
    let config = globals.readable_config()?;
    let host = globals.host();
    let daemon = Daemon::ask(&host, &config);
    let store = read_store(globals, &config);
    let restored = store.as_ref().ok().and_then(|store| store.restored);
    let repairs = Repairs::of(&host, &config, &daemon, restored);
    if globals.json {
        globals.print_json(&to_json(&daemon, &config, &repairs, &store))?;
    } else {
        globals.print(&page(globals, &daemon, &config, &repairs, &store))?;
    }
    // A page that lacks the store is no answer to what is open.
    match store {
        Err(why) if why.kind() != ErrorKind::NoStore => Err(why),
        _ => Ok(Exit::Done),
    }
}

fn to_json(
    daemon: &Daemon,
    config: &Config,
    repairs: &Repairs,
    store: &Result<Stored, CliError>,
) -> Value {
    let mut value = json!({
        "running": daemon.running,
        "daemon": daemon.said,
        "kill_switch": repairs.facts.kill_switch,
        "paused": paused_json(&repairs.paused),
        "mode": {
            "limit": config.mode.limit.as_str(),
            "low": config.mode.low.as_str(),
            "medium": config.mode.medium.as_str(),
            "high": config.mode.high.as_str(),
        },
    });
    let (Value::Object(map), Ok(store)) = (&mut value, store) else {
        return value;
    };
    let counts = |pairs: &[(String, u64)]| -> Value {
        pairs
            .iter()
            .map(|(name, count)| (name.clone(), json!(count)))
            .collect::<serde_json::Map<_, _>>()
            .into()
    };
    let restored = store.restored.map(|at| at.to_string());
    map.insert("restored".to_owned(), json!(restored));
    map.insert("open_tasks".to_owned(), json!(store.counts.open));
    map.insert("by_status".to_owned(), counts(&store.counts.by_status));
    map.insert(
        "by_resolution".to_owned(),
        counts(&store.counts.by_resolution),
    );
    map.insert(
        "outbox".to_owned(),
        json!({ "waiting": store.counts.outbox_waiting, "dead": store.counts.outbox_dead }),
    );
    map.insert(
        "escalations".to_owned(),
        store
            .open_escalations
            .iter()
            .map(shape::escalation)
            .collect(),
    );
    map.insert(
        "cases".to_owned(),
        store.cases.iter().map(shape::case).collect(),
    );
    map.insert(
        "detectors".to_owned(),
        store.detectors.iter().map(shape::detector).collect(),
    );
    value
}

fn page(
    globals: &Globals,
    daemon: &Daemon,
    config: &Config,
    repairs: &Repairs,
    store: &Result<Stored, CliError>,
) -> String {
    let (colour, now) = (globals.colour(), globals.now());
    let mut text = String::new();
    let mut line = |name: &str, tone: Tone, value: &str| {
        let _ = writeln!(
            text,
            "{name:<12} {}",
            tone.paint(&inert::line(value), colour)
        );
    };
    let (tone, said) = daemon_line(daemon, now);
    line("daemon", tone, &said);
    if let Some(said) = daemon.text("safe_start").filter(|_| daemon.running) {
        line("start", Tone::Bad, said);
    }
    line("mode", Tone::Plain, &mode_line(config));
    for (tone, said) in repairs.lines() {
        line("repairs", tone, &said);
    }
    match store {
        Err(why) => line("store", Tone::Warn, &why.told()),
        Ok(store) => {
            let (tone, said) = tasks_line(&store.counts);
            line("tasks", tone, &said);
            let (tone, said) = outbox_line(store, now);
            line("outbox", tone, &said);
            let (tone, said) = detector_line(&store.detectors, now);
            line("detectors", tone, &said);
            details(&mut text, store, now, colour);
        }
    }
    text
}

fn daemon_line(daemon: &Daemon, now: Timestamp) -> (Tone, String) {
    match daemon.pid() {
        Some(pid) => {
            let version = daemon.text("version").unwrap_or("?");
            let since = daemon
                .time("started_at")
                .map_or_else(String::new, |started| {
                    format!(", up {}", shape::age(started, now))
                });
            let state = daemon.text("state").unwrap_or("running");
            (
                Tone::Good,
                format!("{state}, pid {pid}, version {version}{since}"),
            )
        }
        None => {
            let last = daemon.time("at").map_or_else(String::new, |last| {
                format!("; last heard of {} ago", shape::age(last, now))
            });
            (Tone::Bad, format!("not running{last}"))
        }
    }
}

fn mode_line(config: &Config) -> String {
    let by_risk = [
        ("low", config.mode.low),
        ("medium", config.mode.medium),
        ("high", config.mode.high),
    ]
    .map(|(risk, mode)| format!("{risk} {}", mode.min(config.mode.limit)));
    let own = match config.mode.class.len() {
        0 => String::new(),
        count => format!(", {count} classes of their own"),
    };
    format!("by risk: {}{own}", by_risk.join(", "))
}

fn tasks_line(counts: &Counts) -> (Tone, String) {
    let of = |pairs: &[(String, u64)]| {
        pairs
            .iter()
            .filter(|(name, _)| name != "closed")
            .map(|(name, count)| format!("{count} {name}"))
            .collect::<Vec<_>>()
            .join(", ")
    };
    let open = of(&counts.by_status);
    let closed = of(&counts.by_resolution);
    let tone = if counts.open == 0 {
        Tone::Good
    } else {
        Tone::Warn
    };
    let mut text = format!("{} open", counts.open);
    if !open.is_empty() {
        let _ = write!(text, " ({open})");
    }
    if !closed.is_empty() {
        let _ = write!(text, "; closed: {closed}");
    }
    (tone, text)
}

fn outbox_line(store: &Stored, now: Timestamp) -> (Tone, String) {
    let (waiting, dead) = (store.counts.outbox_waiting, store.counts.outbox_dead);
    if waiting + dead == 0 {
        return (Tone::Good, "empty".to_owned());
    }
    let oldest = store
        .outbox
        .iter()
        .filter(|row| matches!(row.state.as_str(), "pending" | "sending" | "unknown"))
        .min_by_key(|row| row.created_at);
    let mut text = format!("{waiting} waiting, {dead} dead");
    if let Some(row) = oldest {
        let _ = write!(
            text,
            "; the oldest waits {}",
            shape::age(row.created_at, now)
        );
        if let Some(why) = &row.last_error {
            let _ = write!(text, ": {why}");
        }
    }
    (if dead > 0 { Tone::Bad } else { Tone::Warn }, text)
}

fn detector_line(runs: &[DetectorRun], now: Timestamp) -> (Tone, String) {
    let count = |outcome| runs.iter().filter(|run| run.outcome == outcome).count();
    let broken = count(RunOutcome::Broken);
    let last = runs.iter().map(|run| run.last_at).max().map_or_else(
        || "none has run yet".to_owned(),
        |at| format!("last sweep noted {} ago", shape::age(at, now)),
    );
    let tone = if broken > 0 { Tone::Bad } else { Tone::Good };
    (
        tone,
        format!(
            "{} ok, {} absent, {broken} broken; {last}",
            count(RunOutcome::Ok),
            count(RunOutcome::Absent)
        ),
    )
}

fn details(text: &mut String, store: &Stored, now: Timestamp, colour: bool) {
    let troubled: Vec<&DetectorRun> = store
        .detectors
        .iter()
        .filter(|run| run.outcome != RunOutcome::Ok)
        .collect();
    for run in troubled {
        let tone = if run.outcome == RunOutcome::Broken {
            Tone::Bad
        } else {
            Tone::Dim
        };
        let what = format!("{} {}: {}", run.name, run.outcome.as_str(), run.message);
        let _ = writeln!(text, "  {}", tone.paint(&inert::line(&what), colour));
    }
    if !store.cases.is_empty() {
        let _ = writeln!(text, "\nRepaired first, and what waits for it:");
    }
    for case in &store.cases {
        let what = format!("{}; {}", case.root, case.text(case.root.task));
        let _ = writeln!(text, "  {}", Tone::Warn.paint(&inert::line(&what), colour));
    }
    if store.open_escalations.is_empty() {
        let _ = writeln!(text, "\nNothing needs a human.");
        return;
    }
    let _ = writeln!(text, "\nNeeds a human (`escalations show TASK`):");
    for row in &store.open_escalations {
        let what = format!(
            "task {} {} for {} [{}]: {}",
            row.task_id,
            row.severity,
            shape::age(row.created_at, now),
            escalations::delivery(row, &store.outbox),
            row.title
        );
        let _ = writeln!(text, "  {}", Tone::Bad.paint(&inert::line(&what), colour));
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::core::config::Maintenance;
    use crate::host::clock::{CLOCK_FLOOR, Clock};
    use std::time::Duration;

    /// A Monday noon.
    const NOON: Timestamp = Timestamp::from_millis(1_800_273_600_000);

    /// A host at `now`, with a daemon that says so of itself.
    fn host(dir: &std::path::Path, now: Timestamp, said: &Value) -> Host {
        let config = Config::default();
        for (path, text) in [
            (
                format!("{}/status.json", config.daemon.runtime_dir),
                said.to_string(),
            ),
            (
                "/proc/7/cmdline".to_owned(),
                format!("/usr/bin/{}\0run\0", super::super::help::NAME),
            ),
        ] {
            let path = dir.join(path.trim_start_matches('/'));
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        }
        Host::at(dir, Clock::manual(now))
    }

    fn lines(
        now: Timestamp,
        said: &Value,
        restored: Option<Timestamp>,
        set: fn(&std::path::Path, &mut Config),
    ) -> String {
        let dir = tempfile::tempdir().unwrap();
        let mut config = Config::default();
        let host = host(dir.path(), now, said);
        set(dir.path(), &mut config);
        let daemon = Daemon::ask(&host, &config);
        let repairs = Repairs::of(&host, &config, &daemon, restored);
        let lines = repairs.lines().into_iter().map(|(_, line)| line);
        lines.collect::<Vec<_>>().join(" | ")
    }

    fn kill_switch(dir: &std::path::Path, config: &Config) {
        let file = dir.join(config.daemon.kill_switch.trim_start_matches('/'));
        std::fs::create_dir_all(file.parent().unwrap()).unwrap();
        std::fs::write(file, "people at work\n").unwrap();
    }

    fn noon(config: &mut Config) {
        config.maintenance.push(Maintenance {
            from: "11:00".to_owned(),
            to: "12:10".to_owned(),
            reason: "new cable".to_owned(),
            ..Maintenance::default()
        });
    }

    #[test]
    fn what_pauses_repairs_is_told_with_why_and_until_when() {
        type Set = fn(&std::path::Path, &mut Config);
        let long_ago = NOON.minus(Duration::from_secs(3_600)).to_string();
        let daemon = || json!({ "pid": 7, "state": "running", "started_at": long_ago });
        let young = json!({ "pid": 7, "started_at": NOON.to_string() });
        let rows: [(Timestamp, Value, Option<Timestamp>, Set, &str); 9] = [
            (NOON, daemon(), None, |_, _| {}, "on"),
            (
                NOON,
                daemon(),
                None,
                |dir, config| kill_switch(dir, config),
                "PAUSED: kill switch is on: people at work, until /etc/autonomous-orchestrator/disable is removed",
            ),
            (
                NOON,
                daemon(),
                None,
                |_, config| noon(config),
                "PAUSED: maintenance until 12:10 UTC: new cable",
            ),
            (
                NOON,
                young,
                None,
                |_, config| config.daemon.startup_grace_s = 90,
                "PAUSED: start-up grace, until 2027-01-18 12:01:30",
            ),
            (
                CLOCK_FLOOR.minus(Duration::from_secs(1)),
                json!({ "pid": 7 }),
                None,
                |_, _| {},
                "PAUSED: the clock is before this build's own date; waiting for time synchronisation",
            ),
            (
                NOON,
                daemon(),
                Some(NOON),
                |_, _| {},
                "at most suggest: restored at 2027-01-18 12:00:00, until one full clean sweep",
            ),
            (
                NOON,
                json!({ "pid": 7, "dry_run": true }),
                None,
                |_, _| {},
                "none: a dry run only looks",
            ),
            (
                NOON,
                Value::Null,
                None,
                |_, _| {},
                "none: the daemon is not running",
            ),
            (
                NOON,
                daemon(),
                Some(NOON),
                |dir, config| {
                    kill_switch(dir, config);
                    noon(config);
                },
                "PAUSED: kill switch is on: people at work, until /etc/autonomous-orchestrator/disable is removed | \
                 PAUSED: maintenance until 12:10 UTC: new cable | \
                 at most suggest: restored at 2027-01-18 12:00:00, until one full clean sweep",
            ),
        ];
        for (now, said, restored, set, told) in rows {
            assert_eq!(lines(now, &said, restored, set), told);
        }
    }
}
