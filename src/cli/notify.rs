//! `notify`: the channels, and a marked test through them.

use serde_json::Value;

use crate::cli::error::{CliError, Exit};
use crate::cli::globals::Globals;
use crate::cli::table::{Cell, Table, Tone};
use crate::cli::tasks::unknown_word;
use crate::cli::typed::Typed;
use crate::cli::{shape, stored, wire};
use crate::core::config::{Config, Notify};
use crate::core::model::finding::Severity;
use crate::core::model::hint::Hint;
use crate::core::model::object::object;
use crate::daemon::uplink::DayBytes;
use crate::host::boot::host_name;
use crate::store::OutboxRow;

pub(super) fn run(typed: &Typed, globals: &Globals) -> Result<Exit, CliError> {
    typed.at_most(2)?;
    let config = globals.proven_config()?;
    match typed.word(0) {
        None => list(&config, globals),
        Some("test") => test(&config, typed.word(1), globals),
        word => Err(unknown_word("notify", word, &["test"])),
    }
}

/// What a channel is told, in words.
fn wants(notify: &Notify) -> String {
    let from = match notify.severity {
        Severity::Info => "everything".to_owned(),
        Severity::Critical => "critical".to_owned(),
        least @ (Severity::Warning | Severity::Error) => format!("{least} and worse"),
    };
    match notify.classes.as_slice() {
        [] => from,
        classes => format!("{from} of {}", classes.join(", ")),
    }
}

/// When it is told.
fn hours(notify: &Notify) -> String {
    let clock = if notify.local { "" } else { " UTC" };
    let rest = match (notify.digest.as_str(), notify.quiet.as_str()) {
        ("", "") => return "at once".to_owned(),
        ("", quiet) => format!("the rest not {quiet}{clock}"),
        (digest, _) => format!("the rest at {digest}{clock} in one message"),
    };
    format!("{} at once, {rest}", notify.at_once)
}

fn list(config: &Config, globals: &Globals) -> Result<Exit, CliError> {
    let now = globals.host().clock.now();
    let (rows, today): (Vec<OutboxRow>, DayBytes) = match stored::reader(globals, config) {
        Ok(reader) => (reader.outbox()?, DayBytes::today(&reader, now)?),
        // Before the first start there is none.
        Err(_) => (Vec::new(), DayBytes::default()),
    };
    let mut table = Table::new(&[
        "CHANNEL",
        "KIND",
        "TOLD",
        "WHEN",
        "WAITING",
        "BYTES TODAY",
        "LAST DELIVERED",
    ]);
    let mut json = Vec::new();
    for notify in &config
        .tracker()
        .cloned()
        .into_iter()
        .chain(config.channels())
        .collect::<Vec<_>>()
    {
        let mine = || rows.iter().filter(|row| row.destination == notify.name);
        let is_open =
            |row: &&OutboxRow| matches!(row.state.as_str(), "pending" | "sending" | "unknown");
        let waiting = mine().filter(is_open).count();
        let sent = mine().filter(|row| row.state == "confirmed");
        let last = sent.filter_map(|row| row.sent_at).max();
        let (wants, hours) = (wants(notify), hours(notify));
        table.row([
            notify.name.as_str().into(),
            notify.kind.as_str().into(),
            wants.as_str().into(),
            hours.as_str().into(),
            waiting.to_string().into(),
            today.of(&notify.name).to_string().into(),
            last.map_or_else(
                || "never".to_owned(),
                |at| format!("{} ago", shape::age(at, now)),
            )
            .into(),
        ]);
        json.push(object!({
            "channel": notify.name,
            "kind": notify.kind.as_str(),
            "told": wants,
            "when": hours,
            "waiting": waiting,
            "bytes_today": today.of(&notify.name),
            "last_delivered": last.map(|at| at.rfc3339()),
        }));
    }
    globals.listing(
        &Value::Array(json),
        &table,
        "No channel is configured: add a [[notify]].",
    )?;
    Ok(Exit::Done)
}

fn test(config: &Config, name: Option<&str>, globals: &Globals) -> Result<Exit, CliError> {
    if let Some(tracker) = config.tracker()
        && name.map_or(config.channels().is_empty(), |name| name == tracker.name)
    {
        let what = format!(
            "'{}' is a tracker: no issue is opened to try it",
            tracker.name
        );
        let hint = "`doctor` looks at its token, project and rights";
        return Err(CliError::usage(what).hint(hint.to_owned()));
    }
    let channels = config.channels();
    let known: Vec<&str> = channels.iter().map(|one| one.name.as_str()).collect();
    if let Some(name) = name.filter(|name| !known.contains(name)) {
        let hint = match known.is_empty() {
            true => "none is configured: add a [[notify]]".to_owned(),
            false => format!(
                "there are {}; a tracker is looked at by `doctor`",
                known.join(", ")
            ),
        };
        return Err(CliError::usage(format!("there is no channel '{name}'")).hint(hint));
    }
    let host = globals.host();
    let gateway = host_name(&host, &config.daemon.host_name);
    let mut table = Table::new(&["CHANNEL", "KIND", "TEST", "MESSAGE"]);
    let mut json = Vec::new();
    let mut failed = false;
    let chosen = channels
        .iter()
        .filter(|one| name.is_none_or(|name| name == one.name));
    for notify in chosen {
        let came = wire::test_channel(notify, &gateway, host.clock.now());
        failed |= came.is_err();
        let (cell, text) = match &came {
            Ok(answer) => (Cell::new("sent", Tone::Good), answer.clone()),
            Err(why) => (Cell::new("FAILED", Tone::Bad), why.with_hint()),
        };
        table.row([
            notify.name.as_str().into(),
            notify.kind.as_str().into(),
            cell,
            text.as_str().into(),
        ]);
        json.push(object!({
            "channel": notify.name,
            "kind": notify.kind.as_str(),
            "sent": came.is_ok(),
            "message": text,
        }));
    }
    globals.listing(
        &Value::Array(json),
        &table,
        "No channel is configured: add a [[notify]].",
    )?;
    Ok(if failed { Exit::Failed } else { Exit::Done })
}
