//! `report FILE.html`: one self-contained page, made from what the store holds, or of many gateways.

mod chart;
mod facts;
mod fleet;
mod html;
mod page;
#[cfg(test)]
mod pictures;

use std::path::Path;

use crate::cli::error::{CliError, Exit};
use crate::cli::globals::Globals;
use crate::cli::status::spent_line;
use crate::cli::trial::{self, Would};
use crate::cli::typed::Typed;
use crate::cli::{learn, stats, stored};
use crate::core::human::stats::compute;
use crate::daemon::days::Days;
use crate::daemon::host_facts::{self, StoreFacts};
use crate::daemon::status::Daemon;
use crate::host::boot::host_name;
use crate::host::files::write_atomic;
use crate::store::TaskFilter;
use facts::ReportFacts;
use page::{DAY, HOUR};

/// Most tasks that the chart over time looks at.
const TASKS_MOST: u32 = 20_000;

pub(super) fn run(typed: &Typed, globals: &Globals) -> Result<Exit, CliError> {
    typed.at_most(1)?;
    let file = typed.path(0).ok_or_else(|| {
        CliError::usage("no file given: where to?").hint("report FILE.html, `-` is standard output")
    })?;
    let page = match typed.value("fleet") {
        Some(folder) => fleet::page(Path::new(folder), globals.now())?,
        None => page::page(&facts(globals)?),
    };
    if file == Path::new("-") {
        globals.print(&page)?;
        return Ok(Exit::Done);
    }
    let path = std::path::absolute(&file).unwrap_or(file);
    if !globals.dry_run {
        // Lines of logs are in it: for its owner alone, who may pass it on.
        write_atomic(&path, page.as_bytes(), 0o600).map_err(|why| {
            CliError::file(
                format!("{}: cannot be written", path.display()),
                why,
                "name a file in a directory that can be written",
            )
        })?;
    }
    globals.print(&format!(
        "{}: {} KiB\n",
        path.display(),
        page.len().div_ceil(1024)
    ))?;
    Ok(Exit::Done)
}

fn facts(globals: &Globals) -> Result<ReportFacts, CliError> {
    let config = globals.readable_config()?;
    let host = globals.host();
    let reader = stored::reader(globals, &config)?;
    let daemon = Daemon::ask(&host, &config);
    let store = StoreFacts::of(&reader)?;
    let (silences, now) = (store.silences.clone(), globals.now());
    let paused = host_facts::paused(&host, &config, daemon.life(), store);
    let spent = reader.host_budget_spent(&config.budget, now)?;
    let charged = |span| reader.host_charged(now.minus(span));
    let filter = TaskFilter {
        limit: TASKS_MOST,
        ..TaskFilter::default()
    };
    Ok(ReportFacts {
        host: host_name(&host, &config.daemon.host_name),
        now,
        daemon_pid: daemon.pid(),
        paused: paused
            .iter()
            .map(|one| one.reason.to_string())
            .chain(spent.as_ref().map(spent_line))
            .collect(),
        silenced: silences
            .at(now)
            .map(|one| format!("{} {}", one.scope, one.terms()))
            .collect(),
        trial: trial::of(&reader, &config, now)?
            .iter()
            .map(Would::text)
            .collect(),
        days: Days::of(&reader)?,
        tasks: reader.tasks(&filter)?,
        open: reader.counts()?.open,
        host_charged: (charged(HOUR)?, charged(DAY)?),
        asks: reader.asks(now)?,
        outbox: reader.outbox()?,
        detectors: match daemon.detectors() {
            Some(live) => live,
            None => reader.detector_runs()?,
        },
        attempts: reader.all_attempts()?,
        habits: learn::heard(&reader, globals.now())?
            .into_iter()
            .map(|(standing, _, habit)| (standing, habit))
            .collect(),
        stats: compute(&stats::rows(&reader)?),
        audit: reader.audit_verify()?,
        config,
    })
}
