//! `status`: one page about the daemon and what it knows, what needs a human first.

mod check;
mod facts;
mod lead;

pub(super) use lead::spent_line;

use std::fmt::Write as _;

use serde_json::{Value, json};

use crate::cli::error::{CliError, ErrorKind, Exit};
use crate::cli::globals::{Globals, read_capped};
use crate::cli::status::facts::{Repairs, Stored};
use crate::cli::status::lead::Point;
use crate::cli::table::{Tone, shorten, wrap};
use crate::cli::trial::Would;
use crate::cli::typed::Typed;
use crate::cli::{shape, stats, stored, wire};
use crate::core::config::Config;
use crate::core::human::stats::compute;
use crate::core::model::inert;
use crate::core::model::object::object;
use crate::core::model::time::Timestamp;
use crate::core::remedy::silence::Scope;
use crate::daemon::status::{Daemon, paused_json, version};
use crate::daemon::uplink::DayBytes;
use crate::host::boot::host_name;
use crate::store::{Counts, DetectorRun, RunOutcome};

/// Units that somebody stopped which the page names.
const STOPPED_MOST: usize = 5;

/// All that the page is made of.
struct Seen<'a> {
    globals: &'a Globals,
    config: Config,
    daemon: Daemon,
    repairs: Repairs,
    store: Result<Stored, CliError>,
}

impl<'a> Seen<'a> {
    fn of(globals: &'a Globals, config: Config) -> Self {
        let host = globals.host();
        let daemon = Daemon::ask(&host, &config);
        let store = facts::read_store(globals, &config, &daemon);
        let known = store.as_ref().map(|store| store.facts.clone());
        let repairs = Repairs::of(&host, &config, &daemon, known.unwrap_or_default());
        Self {
            globals,
            config,
            daemon,
            repairs,
            store,
        }
    }

    /// What a human should know first.
    fn points(&self) -> Points {
        let (now, store) = (self.globals.now(), self.store.as_ref().ok());
        let (asks, aside) = store.map_or_else(Default::default, |store| lead::asks(store, now));
        let mut obstacles = lead::obstacles(&self.config, &self.repairs, store, now);
        let unusable = wire::tokens_unusable(&self.globals.host(), &self.config);
        obstacles.extend(unusable.iter().map(|(name, why)| lead::mute(name, why)));
        let read = self.globals.read_config(read_capped).unwrap_or_default();
        let mistaken = self.globals.mistaken(&read.1);
        obstacles.extend(mistaken.map(|why| lead::unloadable(&why)));
        Points {
            own: lead::own(&self.daemon, now),
            asks,
            obstacles,
            aside,
        }
    }
}

/// What a human should know, in this order.
struct Points {
    /// What is wrong with the daemon itself.
    own: Vec<Point>,
    /// What was put before a human and needs one.
    asks: Vec<Point>,
    /// What stands in the way.
    obstacles: Vec<Point>,
    /// What was put before a human, and is left alone or in somebody's hands.
    aside: Vec<Point>,
}

impl Points {
    fn all(self) -> Vec<Point> {
        let parts = [self.own, self.asks, self.obstacles, self.aside];
        parts.into_iter().flatten().collect()
    }
}

/// The page as a human sees it beside other things: what is absent in one line.
pub(super) fn text(globals: &Globals, config: &Config) -> String {
    page(&Seen::of(globals, config.clone()), true)
}

pub(super) fn run(typed: &Typed, globals: &Globals) -> Result<Exit, CliError> {
    typed.at_most(0)?;
    let is_check = typed.has("check");
    let config = match globals.readable_config() {
        Err(why) if is_check => {
            let (line, exit) = check::answer(&[], Err(&why));
            globals.print(&line)?;
            return Ok(exit);
        }
        config => config?,
    };
    let seen = Seen::of(globals, config);
    if is_check {
        let (line, exit) = check::answer(&seen.points().all(), seen.store.as_ref());
        globals.print(&line)?;
        return Ok(exit);
    }
    if globals.json {
        globals.print_json(&to_json(&seen))?;
    } else {
        globals.print(&page(&seen, false))?;
    }
    // A page that lacks the store is no answer to what is open, nor does all go well where no daemon runs. The JSON is
    // one all the same: `running` says it.
    match seen.store {
        Err(why) if why.kind() != ErrorKind::NoStore => Err(why),
        _ if !seen.daemon.running && !globals.json => Ok(Exit::Failed),
        _ => Ok(Exit::Done),
    }
}

fn to_json(seen: &Seen<'_>) -> Value {
    let Seen {
        config,
        daemon,
        repairs,
        ..
    } = seen;
    let points = seen.points();
    let point = |point: &Point| object!({ "command": point.command, "what": point.what });
    let mut value = object!({
        "host": host_name(&seen.globals.host(), &config.daemon.host_name),
        "at": shape::time(seen.globals.now()),
        "running": daemon.running,
        "daemon": daemon.said,
        "daemon_troubles": points.own.iter().map(point).collect::<Vec<_>>(),
        "needs_human": points.asks.iter().map(point).collect::<Vec<_>>(),
        "obstacles": points.obstacles.iter().map(point).collect::<Vec<_>>(),
        "aside": points.aside.iter().map(point).collect::<Vec<_>>(),
        "told": config.destinations(),
        "kill_switch": repairs.facts.kill_switch,
        "paused": paused_json(&repairs.paused),
        "left_alone": daemon.stopped(),
        "mode": object!({
            "limit": config.mode.limit.as_str(),
            "low": config.mode.low.as_str(),
            "medium": config.mode.medium.as_str(),
            "high": config.mode.high.as_str(),
        }),
    });
    let (Value::Object(map), Ok(store)) = (&mut value, &seen.store) else {
        return value;
    };
    if let Ok(figures) = figures(seen) {
        map.insert("figures".to_owned(), figures);
    }
    let counts = |pairs: &[(String, u64)]| -> Value {
        pairs
            .iter()
            .map(|(name, count)| (name.clone(), json!(count)))
            .collect::<serde_json::Map<_, _>>()
            .into()
    };
    let restored = store.facts.restored.map(|at| at.to_string());
    map.insert("restored".to_owned(), json!(restored));
    let silences = store.facts.silences.at(seen.globals.now());
    map.insert(
        "silences".to_owned(),
        silences.map(shape::silence).collect(),
    );
    map.insert(
        "trial".to_owned(),
        store.trial.iter().map(Would::json).collect(),
    );
    map.insert("open_tasks".to_owned(), json!(store.counts.open));
    map.insert("by_status".to_owned(), counts(&store.counts.by_status));
    map.insert(
        "by_resolution".to_owned(),
        counts(&store.counts.by_resolution),
    );
    map.insert(
        "outbox".to_owned(),
        object!({ "waiting": store.counts.outbox_waiting, "dead": store.counts.outbox_dead }),
    );
    map.insert(
        "escalations".to_owned(),
        store
            .asks
            .iter()
            .map(|ask| shape::escalation(&ask.of.row))
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

/// Those of all tasks, as `stats` has them.
fn figures(seen: &Seen<'_>) -> Result<Value, CliError> {
    let rows = stats::rows(&stored::reader(seen.globals, &seen.config)?)?;
    Ok(stats::figures_json(&compute(&rows).all))
}

fn page(seen: &Seen<'_>, in_sum: bool) -> String {
    let (colour, now) = (seen.globals.colour(), seen.globals.now());
    let room = seen.globals.width().unwrap_or(usize::MAX);
    let told = seen.points();
    let needing = seen.store.as_ref().ok().map(|store| store.needs_human);
    let mut text = first_words(!told.own.is_empty(), needing, colour);
    text.push_str(&points(&told.all(), room, colour));
    let mut line = |name: &str, tone: Tone, value: &str| {
        let mut name = name;
        for part in wrap(&inert::line(value), room.saturating_sub(13)) {
            let _ = writeln!(text, "{name:<12} {}", tone.paint(&part, colour));
            name = "";
        }
    };
    let (tone, said) = daemon_line(&seen.daemon, now);
    line("daemon", tone, &said);
    let running = seen.daemon.running;
    if let Some(said) = seen.daemon.text("safe_start").filter(|_| running) {
        line("start", Tone::Bad, said);
    }
    line("mode", Tone::Plain, &mode_line(&seen.config));
    for (tone, said) in seen.repairs.lines() {
        line("repairs", tone, &said);
    }
    // That of the host stands among the pauses.
    let silences = seen.repairs.facts.silences.at(now);
    for one in silences.filter(|one| one.scope != Scope::Host) {
        let said = format!("{} {}", one.scope, one.terms());
        line("silenced", Tone::Warn, &said);
    }
    let ahead = seen.repairs.facts.ahead_s;
    for window in &seen.config.maintenance {
        if let (Some(open), false) = (window.open_at(now, ahead), window.only.is_empty()) {
            let said = format!("{}: {}", window.only.join(", "), open.text);
            line("silenced", Tone::Warn, &said);
        }
    }
    let stopped = seen.daemon.stopped();
    let mut name = "left alone";
    for one in stopped.iter().take(STOPPED_MOST) {
        let text = one.get("text").and_then(Value::as_str);
        line(name, Tone::Plain, text.unwrap_or_default());
        name = "";
    }
    let more = stopped.len().saturating_sub(STOPPED_MOST);
    if more > 0 {
        line(
            "",
            Tone::Plain,
            &format!("and {more} more: `status --json`"),
        );
    }
    match seen.config.destinations() {
        channels if channels.is_empty() => line("told", Tone::Warn, "nobody"),
        channels => line("told", Tone::Plain, &channels.join(", ")),
    }
    match &seen.store {
        Err(why) => line("store", Tone::Warn, &why.told()),
        Ok(store) => {
            let (tone, said) = tasks_line(&store.counts);
            line("tasks", tone, &said);
            let (tone, said) = outbox_line(store, now);
            line("outbox", tone, &said);
            if let Some((tone, said)) = uplink_line(&store.today, &seen.config) {
                line("uplink", tone, &said);
            }
            let (tone, said) = detector_line(&store.detectors, now);
            line("detectors", tone, &said);
            for would in &store.trial {
                line("trial", Tone::Plain, &would.text());
            }
            troubled(&mut text, &store.detectors, in_sum, room, colour);
            cases(&mut text, store, room, colour);
        }
    }
    text
}

/// Whether a human is needed, by the daemon itself or by so many tasks. Those stand in the store alone.
fn first_words(own: bool, tasks: Option<u64>, colour: bool) -> String {
    let unread = "the store was not read";
    let (tone, words) = match (own, tasks) {
        (false, Some(0)) => (Tone::Good, "Nothing needs a human.".to_owned()),
        (false, None) => (
            Tone::Warn,
            format!("Whether something needs a human is not known: {unread}."),
        ),
        (own, tasks) => {
            let own = if own { "The daemon needs a human" } else { "" };
            let more = match (own, tasks) {
                (_, None) => format!("; what else is not known, as {unread}"),
                (_, Some(0)) => String::new(),
                (_, Some(n)) => {
                    let verb = if own.is_empty() { "" } else { ", and " };
                    format!(
                        "{verb}{} a human",
                        shape::counted(n, "thing needs", "things need")
                    )
                }
            };
            (Tone::Strong, format!("{own}{more}:"))
        }
    };
    format!("{}\n", tone.paint(&words, colour))
}

/// What a human should know first, each with the command that answers it.
fn points(points: &[Point], room: usize, colour: bool) -> String {
    let mut text = String::new();
    for point in points {
        let command = match point.command.as_str() {
            "" => String::new(),
            command => format!("`{command}`  "),
        };
        let what = format!("{command}{}", point.what);
        for (at, part) in wrap(&inert::line(&what), room.saturating_sub(4))
            .iter()
            .enumerate()
        {
            let indent = if at == 0 { "  " } else { "    " };
            let _ = writeln!(text, "{indent}{}", point.level.tone().paint(part, colour));
        }
    }
    text.push('\n');
    text
}

fn daemon_line(daemon: &Daemon, now: Timestamp) -> (Tone, String) {
    match daemon.pid() {
        Some(pid) => {
            let version = version(&daemon.said);
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
    let mut text = format!("by risk: {}", by_risk.join(", "));
    for (count, one, more) in [
        (config.mode.class.len(), "class", "classes"),
        (config.mode.unit.len(), "unit", "units"),
        (config.mode.action.len(), "action", "actions"),
    ] {
        if count > 0 {
            let own = shape::counted(count as u64, one, more);
            let _ = write!(text, ", {own} with a mode of its own");
        }
    }
    text
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

/// What telling has cost today, where there is a ceiling.
fn uplink_line(today: &DayBytes, config: &Config) -> Option<(Tone, String)> {
    let ceiling = config.uplink.bytes_per_day;
    let sum = today.sum();
    let text = format!("{sum} of {ceiling} bytes today");
    match (ceiling, sum >= ceiling) {
        (0, _) => None,
        (_, false) => Some((Tone::Plain, text)),
        (_, true) => Some((
            Tone::Warn,
            format!("{text}: only what is critical is told until the day (UTC) is over"),
        )),
    }
}

fn outbox_line(store: &Stored, now: Timestamp) -> (Tone, String) {
    let (waiting, dead) = (store.counts.outbox_waiting, store.counts.outbox_dead);
    let oldest = store
        .outbox
        .iter()
        .filter(|row| matches!(row.state.as_str(), "pending" | "sending" | "unknown"))
        .map(|row| row.created_at)
        .min();
    match oldest {
        Some(at) => {
            let age = shape::age(at, now);
            let text = format!("{waiting} waiting, {dead} given up; the oldest waits {age}");
            (Tone::Warn, text)
        }
        None if dead > 0 => (Tone::Bad, format!("{dead} given up")),
        None => (Tone::Good, "empty".to_owned()),
    }
}

fn detector_line(runs: &[DetectorRun], now: Timestamp) -> (Tone, String) {
    let count = |outcome| runs.iter().filter(|run| run.outcome == outcome).count();
    let broken = count(RunOutcome::Broken);
    let last = runs.iter().map(|run| run.last_at).max().map_or_else(
        || "none has run yet".to_owned(),
        |at| format!("last look {} ago", shape::age(at, now)),
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

/// Detectors that do not look; those that are absent one a line or all `in_sum`.
fn troubled(text: &mut String, runs: &[DetectorRun], in_sum: bool, room: usize, colour: bool) {
    let is_absent = |run: &&DetectorRun| run.outcome == RunOutcome::Absent;
    let absent = runs.iter().filter(is_absent);
    let absent: Vec<&str> = absent.map(|run| run.name.as_str()).collect();
    if in_sum && !absent.is_empty() {
        let what = shorten(
            &format!("absent: {}", absent.join(", ")),
            room.saturating_sub(2),
        );
        let _ = writeln!(text, "  {}", Tone::Dim.paint(&what, colour));
    }
    let troubled: Vec<&DetectorRun> = runs
        .iter()
        .filter(|run| run.outcome != RunOutcome::Ok && !(in_sum && is_absent(run)))
        .collect();
    for run in troubled {
        let tone = if run.outcome == RunOutcome::Broken {
            Tone::Bad
        } else {
            Tone::Dim
        };
        let what = format!("{} {}: {}", run.name, run.outcome.as_str(), run.message);
        for part in wrap(&inert::line(&what), room.saturating_sub(2)) {
            let _ = writeln!(text, "  {}", tone.paint(&part, colour));
        }
    }
}

fn cases(text: &mut String, store: &Stored, room: usize, colour: bool) {
    if !store.cases.is_empty() {
        let _ = writeln!(text, "\nRepaired first, and what waits for it:");
    }
    for case in &store.cases {
        let what = format!("{}; {}", case.root, case.text(case.root.task));
        let mut indent = "  ";
        for part in wrap(&inert::line(&what), room.saturating_sub(4)) {
            let _ = writeln!(text, "{indent}{}", Tone::Warn.paint(&part, colour));
            indent = "    ";
        }
    }
}

#[cfg(test)]
mod tests;
