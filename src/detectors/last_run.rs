//! What goes with a unit that is down: the lines of its last run, the states of what it requires, its sandbox.

use std::sync::Arc;
use std::time::Duration;

use crate::core::diagnosis::cause_rules::{CauseRules, Context, Place};
use crate::core::model::facts::{Fact, Key};
use crate::core::model::finding::Finding;
use crate::core::model::unit::UnitName;
use crate::core::reading::last_run::{About, bounded, needs};
use crate::detectors::Snapshot;
use crate::host::Host;
use crate::services::ServiceManager;

/// Most lines read of one run.
const LINES: &str = "2000";
/// Most lines read where it is not known which run was the last.
const LINES_UNKNOWN: &str = "60";
const DEADLINE: Duration = Duration::from_secs(5);
/// PID 1 and its children: a trusted field, which journald takes from the socket however soon the writer is gone.
const OF_MANAGER: &str = "_UID=0";
/// It is read for this many units of one sweep: a storm must not fork for each.
const RUNS_MOST: usize = 8;
/// The manager's bus is faster than the journal: what a program said before it ended may come this much later.
const LATE: Duration = Duration::from_millis(50);
const LATE_MOST: usize = 5;

/// Adds its last run to each of `found` that is new: a standing condition was given it when it was.
pub fn with_last_runs(look: &Snapshot<'_>, found: Vec<Finding>) -> Vec<Finding> {
    let mut read = 0_usize;
    let each = |finding: Finding| {
        if look.open.contains(finding.class, &finding.subject) || read >= RUNS_MOST {
            return finding;
        }
        read = read.saturating_add(1);
        with_last_run(look, finding)
    };
    found.into_iter().map(each).collect()
}

/// What cannot be read is left out: no log is no fault.
fn with_last_run(look: &Snapshot<'_>, finding: Finding) -> Finding {
    match UnitName::new(&finding.subject) {
        Ok(unit) => {
            let about = about(look.managers, &unit);
            read(look.host, look.managers, finding, &about)
        }
        Err(_) => finding,
    }
}

/// The finding with another run than the one it tells of, where there was one since: it may have ended of something else.
pub fn with_newer_run(
    host: &Host,
    managers: &[Arc<dyn ServiceManager>],
    finding: &Finding,
) -> Option<Finding> {
    let about = about(managers, &UnitName::new(&finding.subject).ok()?);
    let known = finding.fact(Key::Run).unwrap_or("");
    let is_read = known == about.invocation && finding.fact(Key::Log).is_some();
    // A manager that does not answer is no news.
    let unknown = about.invocation.is_empty() && !known.is_empty();
    (!is_read && !unknown).then(|| read(host, managers, finding.clone(), &about))
}

fn read(
    host: &Host,
    managers: &[Arc<dyn ServiceManager>],
    mut finding: Finding,
    about: &About,
) -> Finding {
    let log = log(host, &finding, about);
    let required = needs_now(managers, &about.requires);
    for key in [Key::Sandbox, Key::Needs, Key::Run, Key::ShortRun, Key::Log] {
        finding.evidence.forget(key);
    }
    finding
        .with(Fact::Sandbox(&about.sandbox))
        .with(Fact::Needs(&required))
        .with(Fact::Run(&about.invocation))
        .with(about.is_short().then_some(Fact::ShortRun))
        .with(Fact::Log(&log))
}

/// What the first manager that knows of such says; nothing where none does.
fn about(managers: &[Arc<dyn ServiceManager>], unit: &UnitName) -> About {
    let told = managers.iter().find_map(|one| one.about(unit).ok());
    told.unwrap_or_default()
}

/// The states of these units now, as the fact is written.
fn needs_now(managers: &[Arc<dyn ServiceManager>], units: &[String]) -> String {
    if units.is_empty() {
        return String::new();
    }
    let names: Vec<&str> = units.iter().map(String::as_str).collect();
    let told = managers.iter().find_map(|one| one.named(&names).ok());
    needs(&told.unwrap_or_default())
}

/// The finding with the states as they are now of what it lacked: a device may have come since.
pub fn with_needs_now(managers: &[Arc<dyn ServiceManager>], finding: Finding) -> Finding {
    if finding.evidence.unmet().next().is_none() {
        return finding;
    }
    let all = finding.fact(Key::Needs).unwrap_or("").split(' ');
    let names = all.filter_map(|need| Some(need.rsplit_once('=')?.0.to_owned()));
    let now = needs_now(managers, &names.collect::<Vec<_>>());
    finding.with(Fact::Needs(&now))
}

/// The lines of the run: its own, and what the manager said of it. One that was not started at all has only the latter.
fn log(host: &Host, finding: &Finding, about: &About) -> String {
    let of_unit = ["-n", LINES_UNKNOWN, "-u", &finding.subject];
    let refused = finding.fact(Key::Result) == Some("dependency");
    let mut lines = match about.invocation.is_empty() || refused {
        true => String::new(),
        false => run(host, finding, about),
    };
    if lines.trim().is_empty() {
        lines = journal(host, &of_unit);
    }
    let rules = CauseRules::builtin();
    let place = Place {
        context: Context::UnitLog,
        class: finding.class,
    };
    bounded(&lines, |line| rules.name(place, line).is_some())
}

/// The lines of a run that ended by itself, once the manager's word of its end is among them, and a word of its own: each
/// comes to the journal on its own way. Where one is missing the journal is told to take in all that waits (journald does
/// that last of what it has to do), and the unit's lines since the run began are read: what was said by a process that is
/// gone before journald looks at it stands there without the run's id; what systemd's own child says before it becomes the
/// program names the run itself, as PID 1 does, and is believed of root alone. After that a run without words of its own had none.
/// One that was killed is not waited for, one that ended itself by a signal is. What that child says of its failure may be
/// older than the manager's own note of when it made it: it is asked for by the run's id first. Nothing where the manager's word stays away: it has started the unit again
/// meanwhile, and the run that failed is the one before.
fn run(host: &Host, finding: &Finding, about: &About) -> String {
    let of_itself = matches!(finding.evidence.exit_status(), Some(4 | 6));
    let ended = of_itself || finding.fact(Key::ExitCode) == Some("exited");
    let is_whole =
        |lines: &str| lines.contains("process exited") || lines.contains("Failed with result");
    let managers = ["Start", "Stop", "Failed to start", finding.subject.as_str()];
    // Of the lines that begin with the unit's name those of its child are as good as its own.
    let is_childs = |line: &str| line.contains(": Failed ") && !line.contains("Failed with result");
    let is_own =
        |line: &str| is_childs(line) || !managers.iter().any(|begin| line.starts_with(begin));
    let is_told = |lines: &str| is_whole(lines) && lines.lines().any(is_own);
    let id = format!("INVOCATION_ID={}", about.invocation);
    let own = format!("_SYSTEMD_{id}");
    let by_id = || journal(host, &["-n", LINES, &own, "+", OF_MANAGER, &id]);
    let mut lines = by_id();
    if !ended || is_told(&lines) {
        return lines;
    }
    let all_taken_in = host
        .run("journalctl", &["--sync"], DEADLINE)
        .is_ok_and(|out| out.success());
    lines = by_id();
    if is_told(&lines) {
        return lines;
    }
    let (since, own) = match about.since() {
        Some(since) => (since, format!("_SYSTEMD_UNIT={}", finding.subject)),
        None => ("@0".to_owned(), own.clone()),
    };
    for _ in 0..LATE_MOST {
        lines = journal(
            host,
            &["-n", LINES, "--since", &since, &own, "+", OF_MANAGER, &id],
        );
        if is_told(&lines) || is_whole(&lines) && all_taken_in {
            return lines;
        }
        host.clock.pass(LATE, std::thread::sleep);
    }
    match is_whole(&lines) {
        true => lines,
        false => String::new(),
    }
}

fn journal(host: &Host, what: &[&str]) -> String {
    let form = ["-r", "-q", "-o", "cat", "--no-pager"];
    let args: Vec<&str> = form.iter().chain(what).copied().collect();
    let ran = host.run("journalctl", &args, DEADLINE);
    let well = ran.ok().filter(|out| out.success());
    well.map_or_else(String::new, |out| out.text())
}
