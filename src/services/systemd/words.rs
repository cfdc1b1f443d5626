//! systemd's words as its journal keeps them: those of a whole boot, and those of the last runs of some units. That
//! somebody had a unit signalled stands there alone.

use std::time::Duration;

use serde_json::Value;

use crate::core::model::manager_event::{Happening, ManagerEvent};
use crate::core::model::sorted::SortedMap;
use crate::core::model::time::Timestamp;
use crate::core::model::unit::UnitState;
use crate::core::reading::manager_lines::{self, ManagerLine};
use crate::host::clock::CLOCK_FLOOR;
use crate::host::exec::ExecError;
use crate::host::{Host, boot};

/// What is read of an entry.
const FIELDS: &str = "--output-fields=MESSAGE,UNIT,JOB_ID,JOB_TYPE,JOB_RESULT,UNIT_RESULT,INVOCATION_ID,MESSAGE_ID,_PID";
/// Most entries that are read back: about 3 MB of text, below the cap of a command's output.
const OF_BOOT_MOST: &str = "4000";
/// Most entries read of some last runs.
const OF_RUNS_MOST: &str = "1000";
const DEADLINE: Duration = Duration::from_secs(20);
/// Runs asked for at once.
pub const RUNS_MOST: usize = 64;
/// The journal is behind the bus; an end younger than this is waited for.
const YOUNG: Duration = Duration::from_secs(2);
/// It is looked for this often, with this pause between.
const LOOKS: usize = 12;
const PAUSE: Duration = Duration::from_millis(30);

/// All words since the boot, the newest of them.
pub fn of_boot(host: &Host) -> Result<Vec<ManagerEvent>, ExecError> {
    let words = read(host, &["-b", "-n", OF_BOOT_MOST, "_PID=1"])?;
    Ok(words.into_iter().map(|(_, word)| word).collect())
}

/// The words about the last runs of these units, which are over: read until the end of each is among them.
pub fn of_last_runs(host: &Host, units: &[&UnitState]) -> Result<Vec<ManagerEvent>, ExecError> {
    let runs: Vec<String> = units
        .iter()
        .map(|unit| format!("INVOCATION_ID={}", unit.invocation))
        .collect();
    let mut args = vec!["-n", OF_RUNS_MOST, "_PID=1"];
    args.extend(runs.iter().map(String::as_str));
    let mut words = read(host, &args)?;
    for _ in 1..LOOKS {
        let now_us = boot::uptime_millis(host).unwrap_or(0).saturating_mul(1_000);
        let is_awaited = |unit: &&UnitState| is_young(unit, now_us) && is_behind(unit, &words);
        if !units.iter().any(is_awaited) {
            break;
        }
        host.clock.pass(PAUSE, std::thread::sleep);
        words = read(host, &args)?;
    }
    Ok(words.into_iter().map(|(_, word)| word).collect())
}

fn is_young(unit: &UnitState, now_us: i64) -> bool {
    let now_us = u64::try_from(now_us).unwrap_or(0);
    let age = now_us.saturating_sub(unit.inactive_enter_us.max(unit.inactive_exit_us));
    Duration::from_micros(age) < YOUNG
}

/// The journal knows of the unit's last run, and not yet of its end. Each word stands with the run that it is about.
fn is_behind(unit: &UnitState, words: &[(String, ManagerEvent)]) -> bool {
    let mut of_run = words
        .iter()
        .filter(|(run, _)| *run == unit.invocation)
        .peekable();
    of_run.peek().is_some()
        && !of_run.any(|(_, word)| matches!(word.what, Happening::UnitChanged(_)))
}

fn read(host: &Host, what: &[&str]) -> Result<Vec<(String, ManagerEvent)>, ExecError> {
    let form = ["-q", "-o", "json", "--no-pager", FIELDS];
    let args: Vec<&str> = form.iter().chain(what).copied().collect();
    let out = host.run("journalctl", &args, DEADLINE)?;
    let now = host.clock.now();
    let lines = out.stdout.split(|c| *c == b'\n');
    Ok(lines.filter_map(|line| word(line, now)).collect())
}

/// A word with the run that it is about.
fn word(line: &[u8], now: Timestamp) -> Option<(String, ManagerEvent)> {
    let entry: SortedMap<String, Value> = serde_json::from_slice(line).ok()?;
    let field = |name: &str| entry.get(name).and_then(Value::as_str).unwrap_or_default();
    let what = manager_lines::happening(&ManagerLine {
        pid: field("_PID"),
        unit: field("UNIT"),
        message: field("MESSAGE"),
        message_id: field("MESSAGE_ID"),
        job_id: field("JOB_ID"),
        job_type: field("JOB_TYPE"),
        job_result: field("JOB_RESULT"),
        unit_result: field("UNIT_RESULT"),
        invocation_id: field("INVOCATION_ID"),
    })?;
    let written = field("__REALTIME_TIMESTAMP").parse::<i64>().ok();
    let seen = written
        .map(|us| Timestamp::from_millis(us / 1_000))
        .filter(|at| *at >= CLOCK_FLOOR && *at <= now)
        .unwrap_or(now);
    Some((
        field("INVOCATION_ID").to_owned(),
        ManagerEvent { seen, what },
    ))
}
