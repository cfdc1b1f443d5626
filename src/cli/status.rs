//! `status`: one page about the daemon and what it knows.

use std::fmt::Write as _;
use std::path::Path;

use serde_json::{Value, json};

use crate::cli::error::{CliError, ErrorKind, Exit};
use crate::cli::globals::Globals;
use crate::cli::table::Tone;
use crate::cli::typed::Typed;
use crate::cli::{escalations, shape, stored};
use crate::core::config::Config;
use crate::core::model::inert;
use crate::core::model::time::Timestamp;
use crate::host::{Host, READ_CAP};
use crate::store::{Counts, DetectorRun, EscalationRow, OutboxRow, RunOutcome};

/// What the daemon last said about itself, if it lives.
#[derive(Debug)]
pub(super) struct Daemon {
    pub(super) running: bool,
    /// `status.json` of the runtime directory; null when there is none.
    pub(super) said: Value,
}

impl Daemon {
    /// Reads the status file and checks that the process it names is really this program.
    pub(super) fn ask(host: &Host, config: &Config) -> Self {
        let file = Path::new(&config.daemon.runtime_dir).join("status.json");
        let said: Value = host
            .read(&file, READ_CAP)
            .ok()
            .and_then(|text| serde_json::from_str(&text).ok())
            .unwrap_or(Value::Null);
        let running = said.get("state").and_then(Value::as_str) != Some("stopped")
            && said
                .get("pid")
                .and_then(Value::as_u64)
                .is_some_and(|pid| is_ours(host, pid));
        Self { running, said }
    }

    fn text(&self, key: &str) -> Option<&str> {
        self.said.get(key).and_then(Value::as_str)
    }

    pub(super) fn pid(&self) -> Option<u64> {
        self.said
            .get("pid")
            .and_then(Value::as_u64)
            .filter(|_| self.running)
    }
}

/// The number may have gone to another process since: the command line tells. Emulated programs show the
/// emulator first, so any word may be ours.
fn is_ours(host: &Host, pid: u64) -> bool {
    host.read(format!("/proc/{pid}/cmdline"), READ_CAP)
        .is_ok_and(|line| {
            line.split('\0')
                .any(|word| word.rsplit('/').next() == Some(super::help::NAME))
        })
}

/// What the store says; absent where there is none yet.
#[derive(Debug)]
struct Stored {
    counts: Counts,
    open_escalations: Vec<EscalationRow>,
    outbox: Vec<OutboxRow>,
    detectors: Vec<DetectorRun>,
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
        restored: reader.restored()?,
    })
}

pub(super) fn kill_switch(host: &Host, config: &Config) -> Option<String> {
    match host.read(&config.daemon.kill_switch, 4_096) {
        Ok(text) if text.trim().is_empty() => Some("no reason given".to_owned()),
        Ok(text) => Some(text.trim().to_owned()),
        Err(why) if why.kind() == std::io::ErrorKind::NotFound => None,
        // Present but unreadable: somebody wanted it on.
        Err(why) => Some(why.to_string()),
    }
}

pub(super) fn run(typed: &Typed, globals: &Globals) -> Result<Exit, CliError> {
    typed.at_most(0)?;
    let config = globals.load_config()?;
    let host = globals.host();
    let daemon = Daemon::ask(&host, &config);
    let kill = kill_switch(&host, &config);
    let store = read_store(globals, &config);
    if globals.json {
        globals.print_json(&to_json(&daemon, &config, kill.as_deref(), &store))?;
    } else {
        globals.print(&page(globals, &daemon, &config, kill.as_deref(), &store))?;
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
    kill: Option<&str>,
    store: &Result<Stored, CliError>,
) -> Value {
    let mut value = json!({
        "running": daemon.running,
        "daemon": daemon.said,
        "kill_switch": kill,
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
        "detectors".to_owned(),
        store.detectors.iter().map(shape::detector).collect(),
    );
    value
}

fn page(
    globals: &Globals,
    daemon: &Daemon,
    config: &Config,
    kill: Option<&str>,
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
    line("mode", Tone::Plain, &mode_line(config));
    if let Ok(Some(at)) = store.as_ref().map(|store| store.restored) {
        let at = shape::second(at);
        line(
            "restored",
            Tone::Warn,
            &format!("at {at}: at most suggest until one full clean sweep"),
        );
    }
    match kill {
        Some(reason) => line(
            "kill switch",
            Tone::Bad,
            &format!("ON, nothing is repaired: {reason}"),
        ),
        None => line("kill switch", Tone::Plain, "off"),
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
    let at = |key: &str| {
        daemon
            .text(key)
            .and_then(|text| text.parse::<Timestamp>().ok())
    };
    match daemon.pid() {
        Some(pid) => {
            let version = daemon.text("version").unwrap_or("?");
            let since = at("started_at").map_or_else(String::new, |started| {
                format!(", up {}", shape::age(started, now))
            });
            let state = daemon.text("state").unwrap_or("running");
            (
                Tone::Good,
                format!("{state}, pid {pid}, version {version}{since}"),
            )
        }
        None => {
            let last = at("at").map_or_else(String::new, |last| {
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
