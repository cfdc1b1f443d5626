//! What the metrics file says of this host: each gauge with its samples, read now.

use crate::core::model::sorted::SortedSet;
use std::time::Duration;

use crate::core::human::metrics::{self, Metric};
use crate::core::human::stats::Figures;
use crate::core::model::gate::Gate;
use crate::core::model::task::Outcome;
use crate::core::model::time::Timestamp;
use crate::daemon::runtime::Runtime;
use crate::daemon::status::BUILT_OF;
use crate::host::mounts;
use crate::store::{Reader, RunOutcome, StoreError};

/// What `attempts_day` counts.
const DAY: Duration = Duration::from_secs(86_400);

type Samples<'a> = Vec<(Vec<(&'a str, String)>, f64)>;

fn one<'a>(value: f64) -> Samples<'a> {
    vec![(Vec::new(), value)]
}

/// A sample for each name.
fn by<'a>(label: &'a str, rows: impl IntoIterator<Item = (String, f64)>) -> Samples<'a> {
    rows.into_iter()
        .map(|(name, value)| (vec![(label, name)], value))
        .collect()
}

fn counted<'a>(label: &'a str, rows: Vec<(String, u64)>) -> Samples<'a> {
    by(label, rows.into_iter().map(|(name, n)| (name, n as f64)))
}

fn yes(is: bool) -> f64 {
    f64::from(u8::from(is))
}

fn seconds(at: Timestamp) -> f64 {
    at.as_millis() as f64 / 1_000.0
}

/// The whole file. `peers` are those of Alertmanager and whether the last round reached each; `week` are the figures
/// of the last seven days.
pub fn text<'a>(
    runtime: &Runtime,
    peers: impl Iterator<Item = (&'a str, bool)>,
    week: &Figures,
    now: Timestamp,
) -> Result<String, StoreError> {
    let mut all = of_host(runtime, peers, now)?;
    all.extend(of_store(&runtime.store.reader()?, now)?);
    all.extend(of_week(week));
    let all: Vec<Metric<'_>> = all
        .into_iter()
        .map(|(name, help, samples)| Metric {
            name,
            help,
            samples,
        })
        .collect();
    Ok(metrics::render(&all))
}

type Gauge<'a> = (&'a str, &'a str, Samples<'a>);

fn of_host<'a>(
    runtime: &Runtime,
    peers: impl Iterator<Item = (&'a str, bool)>,
    now: Timestamp,
) -> Result<Vec<Gauge<'a>>, StoreError> {
    let loaded = runtime.loaded();
    let config = &loaded.config;
    let paused: SortedSet<Gate> = runtime
        .paused(&loaded)
        .iter()
        .filter_map(|one| one.reason.gate())
        .collect();
    let held = paused.contains(&Gate::KillSwitch) || paused.contains(&Gate::Maintenance);
    let paused = paused.iter().map(|gate| (gate.as_str().to_owned(), 1.0));
    let room = mounts::usage(&runtime.host, &config.daemon.state_dir);
    let room = room.map_or_else(|_| Vec::new(), |usage| one(usage.available_bytes as f64));
    let peers = peers.map(|(url, up)| (url.to_owned(), yes(up)));
    let mut build = vec![("version", env!("CARGO_PKG_VERSION").to_owned())];
    build.extend(BUILT_OF.map(|of| ("revision", of.to_owned())));
    let runs = runtime.store.live_runs()?.into_iter();
    let broken = runs.map(|run| (run.name, yes(run.outcome == RunOutcome::Broken)));
    Ok(vec![
        ("build_info", "Always 1.", vec![(build, 1.0)]),
        (
            "start_time_seconds",
            "When the daemon started.",
            one(seconds(runtime.started_at)),
        ),
        (
            "written_time_seconds",
            "When this file was written: a stale one means a dead daemon.",
            one(seconds(now)),
        ),
        (
            "channels",
            "Ways by which a human is told: trackers and Alertmanager.",
            one(config.destinations().len() as f64),
        ),
        (
            "kill_switch",
            "1 while humans want nothing repaired: kill switch or maintenance window.",
            one(yes(held)),
        ),
        (
            "paused",
            "1 for each gate that keeps everything here from being repaired.",
            by("gate", paused),
        ),
        (
            "alertmanager_peer_up",
            "1 when the last round reached the peer.",
            by("peer", peers),
        ),
        (
            "detector_broken",
            "1 for a detector whose last run failed.",
            by("detector", broken),
        ),
        (
            "store_free_bytes",
            "Room on the file system of the store.",
            room,
        ),
        (
            "store_troubles",
            "What is or was wrong with the store, until it is told and well again.",
            one(runtime.store.health().troubles().len() as f64),
        ),
    ])
}

fn of_store<'a>(reader: &Reader, now: Timestamp) -> Result<Vec<Gauge<'a>>, StoreError> {
    let counts = reader.counts()?;
    let labels = ["class", "severity", "status"];
    let open = reader.open_groups()?.into_iter();
    let open = open.map(|(names, n)| (labels.into_iter().zip(names).collect(), n as f64));
    let oldest = reader.waiting_since()?.into_iter();
    let ended = reader.attempts_since(now.minus(DAY))?;
    let ends = Outcome::ALL.iter().filter(|end| **end != Outcome::Acted);
    let ends = ends.map(|end| {
        let found = ended.iter().find(|(name, _)| name == end.as_str());
        (
            end.as_str().to_owned(),
            found.map_or(0.0, |(_, n)| *n as f64),
        )
    });
    Ok(vec![
        (
            "tasks",
            "Tasks in the store by status.",
            counted("status", counts.by_status),
        ),
        (
            "closed_tasks",
            "Closed tasks in the store by resolution.",
            counted("resolution", counts.by_resolution),
        ),
        (
            "open_tasks",
            "Open tasks by class, severity and status; none is no sample.",
            open.collect(),
        ),
        (
            "escalations_open",
            "Problems that need a human; none that is left alone or that somebody is on.",
            one(reader.asks(now)?.count() as f64),
        ),
        (
            "outbox_waiting",
            "Deliveries on their way.",
            one(counts.outbox_waiting as f64),
        ),
        (
            "outbox_dead",
            "Deliveries given up.",
            one(counts.outbox_dead as f64),
        ),
        (
            "outbox_oldest_time_seconds",
            "Since when the oldest delivery is on its way; none is no sample.",
            by("destination", oldest.map(|(name, at)| (name, seconds(at)))),
        ),
        (
            "attempts_day",
            "Repairs that began within the last 24 hours, by how they ended.",
            by("outcome", ends),
        ),
        (
            "store_bytes",
            "Size of the database.",
            one(reader.size()? as f64),
        ),
    ])
}

/// Sums and not rates, so that they add up over a fleet.
fn of_week<'a>(week: &Figures) -> Vec<Gauge<'a>> {
    let times = [("0.5", week.mttr_median), ("0.95", week.mttr_p95)];
    let times = times
        .into_iter()
        .filter_map(|(quantile, time)| time.map(|time| (quantile.to_owned(), time.as_secs_f64())));
    vec![
        (
            "week_fixable",
            "Of the tasks closed or told within seven days: those with an allowed action.",
            one(week.fixable as f64),
        ),
        (
            "week_fixed",
            "Of week_fixable: repaired by us, and seen well for the whole window.",
            one(week.fixed as f64),
        ),
        (
            "week_told",
            "Of the tasks closed or told within seven days: those put before a human.",
            one(week.escalated as f64),
        ),
        (
            "week_needless",
            "Of week_told: no fault, or gone untouched before anybody could act.",
            one(week.needless as f64),
        ),
        (
            "week_repair_seconds",
            "From detection to first green, of week_fixed; none is no sample.",
            by("quantile", times),
        ),
    ]
}
