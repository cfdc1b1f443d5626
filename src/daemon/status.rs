//! The status file under /run: what the daemon is doing, readable without the store. The daemon writes it, and
//! commands beside the daemon read it.

use std::path::Path;
use std::sync::PoisonError;

use serde_json::Value;

use crate::core::config::Config;
use crate::core::model::inert;
use crate::core::model::object::object;
use crate::core::model::time::Timestamp;
use crate::core::remedy::gates::Closed;
use crate::daemon::host_facts::Life;
use crate::daemon::runtime::Runtime;
use crate::host::{Host, READ_CAP};
use crate::store::DetectorRun;

/// Its name below the runtime directory.
const FILE: &str = "status.json";

/// The commit that it was built of, where who built it said so: a plain `cargo build` does not.
pub const BUILT_OF: Option<&str> = option_env!("AO_BUILT_OF");

/// The version of what the status file `said`, in a word, with the commit where that is known.
pub fn version(said: &Value) -> String {
    let text = |key| said.get(key).and_then(Value::as_str);
    let version = text("version").unwrap_or("?");
    match text("built_of") {
        Some(commit) => format!("{version} ({commit})"),
        None => version.to_owned(),
    }
}

/// Writes it; a failure is logged once a change and never fatal.
pub fn write(runtime: &Runtime, state: &str) {
    let loaded = runtime.loaded();
    let counts = runtime.store.reader().and_then(|reader| reader.counts());
    let text = object!({
        "state": state,
        "pid": std::process::id(),
        "version": env!("CARGO_PKG_VERSION"),
        "built_of": BUILT_OF,
        "at": runtime.host.clock.now().to_string(),
        "started_at": runtime.started_at.to_string(),
        "dry_run": runtime.dry_run,
        "mode_limit": loaded.config.mode.limit.as_str(),
        "paused": paused_json(&runtime.paused(&loaded)),
        "managers": loaded.managers.iter().map(|manager| manager.name()).collect::<Vec<_>>(),
        "safe_start": runtime.safe_start().map(|safe| safe.text()),
        "journal": runtime.journal_followed(),
        "detectors": runtime.store.live_runs().map(|runs| runs_json(&runs)).ok(),
        "left_alone": *runtime.stopped.lock().unwrap_or_else(PoisonError::into_inner),
        "open_tasks": counts.as_ref().map(|counts| counts.open).ok(),
        "store_troubles": runtime.store.health().troubles(),
        "store_error": counts.as_ref().err().map(ToString::to_string),
    });
    let path = runtime
        .host
        .path(&loaded.config.daemon.runtime_dir)
        .join(FILE);
    if let Err(why) = crate::host::files::write_atomic(
        &path,
        inert::json(&format!("{text:#}\n")).as_bytes(),
        0o644,
    ) {
        log::debug!("status file {}: {why}", path.display());
    }
}

fn runs_json(runs: &[DetectorRun]) -> Value {
    runs.iter()
        .map(|run| {
            object!({
                "name": run.name,
                "outcome": run.outcome.as_str(),
                "message": run.message,
                "duration_us": run.duration_us,
                "runs": run.runs,
                "last_at": run.last_at.to_string(),
            })
        })
        .collect()
}

/// The same read back; `None` where one of its fields is missing.
fn run_of(said: &Value) -> Option<DetectorRun> {
    let text = |key| said.get(key).and_then(Value::as_str);
    let number = |key| said.get(key).and_then(Value::as_u64);
    Some(DetectorRun {
        name: text("name")?.to_owned(),
        outcome: text("outcome")?.parse().ok()?,
        message: text("message")?.to_owned(),
        duration_us: number("duration_us")?,
        runs: number("runs")?,
        last_at: text("last_at")?.parse().ok()?,
    })
}

/// Why no repair is made, as an array: gate, reason, and until when where that is known.
pub fn paused_json(paused: &[Closed]) -> Value {
    paused
        .iter()
        .map(|one| {
            object!({
                "gate": one.reason.gate().map(|gate| gate.as_str()),
                "reason": one.reason.to_string(),
                "until": one.ends.map(|at| at.to_string()),
            })
        })
        .collect()
}

/// What the daemon last said about itself, if it lives.
#[derive(Debug)]
pub struct Daemon {
    pub running: bool,
    /// The status file; null when there is none.
    pub said: Value,
}

impl Daemon {
    /// Reads the status file and checks that the process it names is really this program.
    pub fn ask(host: &Host, config: &Config) -> Self {
        let file = Path::new(&config.daemon.runtime_dir).join(FILE);
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

    pub fn text(&self, key: &str) -> Option<&str> {
        self.said.get(key).and_then(Value::as_str)
    }

    pub fn time(&self, key: &str) -> Option<Timestamp> {
        self.text(key).and_then(|text| text.parse().ok())
    }

    pub fn pid(&self) -> Option<u64> {
        let pid = self.said.get("pid").and_then(Value::as_u64);
        pid.filter(|_| self.running)
    }

    /// What is wrong with its store, while it lives; what it cannot write down it says here alone.
    pub fn store_troubles(&self) -> Vec<&str> {
        let said = self.said.get("store_troubles").filter(|_| self.running);
        let all = said.and_then(Value::as_array).into_iter().flatten();
        all.filter_map(Value::as_str).collect()
    }

    /// What its detectors said last, while it lives; the store has them a few minutes later.
    pub fn detectors(&self) -> Option<Vec<DetectorRun>> {
        let said = self.said.get("detectors").filter(|_| self.running)?;
        Some(said.as_array()?.iter().filter_map(run_of).collect())
    }

    /// What somebody stopped and it leaves alone, while it lives.
    pub fn stopped(&self) -> &[Value] {
        let said = self.said.get("left_alone").filter(|_| self.running);
        said.and_then(Value::as_array).map_or(&[], Vec::as_slice)
    }

    /// As the gates know it.
    pub fn life(&self) -> Life {
        if !self.running {
            return Life::default();
        }
        Life {
            started_at: self.time("started_at"),
            dry_run: self.said.get("dry_run").and_then(Value::as_bool) == Some(true),
        }
    }
}

/// The number may have gone to another process since: the command line tells. Emulated programs show the
/// emulator first, so any word may be ours.
fn is_ours(host: &Host, pid: u64) -> bool {
    host.read(format!("/proc/{pid}/cmdline"), READ_CAP)
        .is_ok_and(|line| {
            line.split('\0')
                .any(|word| word.rsplit('/').next() == Some(env!("CARGO_PKG_NAME")))
        })
}
