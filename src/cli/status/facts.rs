//! What the page is made of: what the store says, and whether repairs are made.

use crate::cli::error::CliError;
use crate::cli::globals::Globals;
use crate::cli::table::Tone;
use crate::cli::trial::{self, Would};
use crate::cli::{shape, stored};
use crate::core::config::Config;
use crate::core::diagnosis::root_cause::cases;
use crate::core::model::case::Case;
use crate::core::remedy::gates::Closed;
use crate::core::remedy::host_facts::HostFacts;
use crate::core::remedy::step::{Reason, Spent};
use crate::daemon::gather::conditions;
use crate::daemon::host_facts::{self, StoreFacts};
use crate::daemon::status::Daemon;
use crate::daemon::uplink::DayBytes;
use crate::host::Host;
use crate::store::{Counts, DetectorRun, OutboxRow, RunOutcome, Unresolved};

/// What a human is asked.
#[derive(Debug)]
pub(super) struct Ask {
    pub(super) of: Unresolved,
    /// The setting by which the mode only observes: the action that it proposes cannot be allowed.
    pub(super) observed: Option<String>,
}

/// What the store says; absent where there is none yet.
#[derive(Debug)]
pub(super) struct Stored {
    pub(super) counts: Counts,
    pub(super) asks: Vec<Ask>,
    /// How many tasks need a human.
    pub(super) needs_human: u64,
    /// Tasks of an adopted database that waited for a human there and were not put before one here.
    pub(super) adopted: u64,
    pub(super) outbox: Vec<OutboxRow>,
    pub(super) detectors: Vec<DetectorRun>,
    pub(super) cases: Vec<Case>,
    /// What the gates ask of it.
    pub(super) facts: StoreFacts,
    /// What would have been done, where the mode only observes.
    pub(super) trial: Vec<Would>,
    /// The host's budget without room.
    pub(super) spent: Option<Spent>,
    /// What telling has cost today.
    pub(super) today: DayBytes,
}

impl Stored {
    pub(super) fn broken(&self) -> impl Iterator<Item = &DetectorRun> {
        let runs = self.detectors.iter();
        runs.filter(|run| run.outcome == RunOutcome::Broken)
    }
}

pub(super) fn read_store(
    globals: &Globals,
    config: &Config,
    daemon: &Daemon,
) -> Result<Stored, CliError> {
    let reader = stored::reader(globals, config)?;
    let asks = reader.asks(globals.now())?;
    let needs_human = asks.count();
    let ask = |of: Unresolved| {
        let task = of.task.as_ref();
        let observed =
            task.and_then(|task| trial::setting(config, &task.finding(), task.proposal.as_ref()?));
        Ask { of, observed }
    };
    Ok(Stored {
        counts: reader.counts()?,
        needs_human,
        adopted: asks.adopted,
        asks: asks.all.into_iter().map(ask).collect(),
        outbox: reader.outbox()?,
        detectors: match daemon.detectors() {
            Some(live) => live,
            None => reader.detector_runs()?,
        },
        cases: cases(&conditions(&reader.open_conditions()?)),
        facts: StoreFacts::of(&reader)?,
        trial: trial::of(&reader, config, globals.now())?,
        spent: reader.host_budget_spent(&config.budget, globals.now())?,
        today: DayBytes::today(&reader, globals.now())?,
    })
}

/// Whether repairs are made now, by the facts that a worker decides on.
#[derive(Debug)]
pub(super) struct Repairs {
    pub(super) facts: HostFacts,
    /// Why none is made, whatever the task.
    pub(super) paused: Vec<Closed>,
    running: bool,
    kill_switch_file: String,
}

impl Repairs {
    pub(super) fn of(host: &Host, config: &Config, daemon: &Daemon, store: StoreFacts) -> Self {
        let life = daemon.life();
        Self {
            paused: host_facts::paused(host, config, life, store.clone()),
            facts: host_facts::host_facts(host, config, life, store),
            running: daemon.running,
            kill_switch_file: config.daemon.kill_switch.clone(),
        }
    }

    /// Why none is made whatever the task, and until when.
    pub(super) fn pauses(&self) -> Vec<String> {
        self.paused.iter().map(|one| self.pause(one)).collect()
    }

    /// One line for each thing that stands in the way, or that nothing does.
    pub(super) fn lines(&self) -> Vec<(Tone, String)> {
        let mut lines: Vec<_> = self
            .pauses()
            .into_iter()
            .map(|why| (Tone::Bad, format!("PAUSED: {why}")))
            .collect();
        if self.facts.dry_run {
            lines.push((Tone::Warn, "none: a dry run only looks".to_owned()));
        }
        if let Some(at) = self.facts.restored {
            let at = shape::second(at);
            let why = format!("at most suggest: restored at {at} UTC, until one full clean sweep");
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
                format!("{}, until {} UTC", one.reason, shape::second(end))
            }
            (reason, _) => reason.to_string(),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use serde_json::{Value, json};

    use super::*;
    use crate::core::config::Maintenance;
    use crate::core::model::time::Timestamp;
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
                format!("/usr/bin/{}\0run\0", crate::cli::help::NAME),
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
        let store = StoreFacts {
            restored,
            ..StoreFacts::default()
        };
        let repairs = Repairs::of(&host, &config, &daemon, store);
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
                "PAUSED: the daemon has just started, until 2027-01-18 12:01:30 UTC",
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
                "at most suggest: restored at 2027-01-18 12:00:00 UTC, until one full clean sweep",
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
                 at most suggest: restored at 2027-01-18 12:00:00 UTC, until one full clean sweep",
            ),
        ];
        for (now, said, restored, set, told) in rows {
            assert_eq!(lines(now, &said, restored, set), told);
        }
    }
}
