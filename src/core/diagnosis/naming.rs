//! Names the cause of a finding: its facts, its words, its class.
//!
//! A wrong cause is worse than none: a rule fires on a fact that has one meaning, everything else stays
//! `unknown`. `docs/CAUSES.md` lists them all.

use crate::core::diagnosis::cause_rules::{CauseRules, Context, Place};
use crate::core::diagnosis::remark::{Weight, weigh};
use crate::core::diagnosis::sandbox;
use crate::core::model::cause::Cause;
use crate::core::model::class::{Class, KERNEL, ToldBy};
use crate::core::model::facts::{Fact, Key};
use crate::core::model::finding::Finding;
use crate::core::model::text::cut;

/// A cause with the rule that named it.
#[derive(Clone, Debug, PartialEq)]
pub struct Named {
    pub cause: Cause,
    /// 0..=1; 0 for `unknown`.
    pub confidence: f64,
    /// The rule that fired, and on what.
    pub why: String,
    /// The path that the deciding line tells of.
    pub path: Option<String>,
    /// The deciding line says that there is no such file.
    pub is_absent: bool,
    /// The deciding line, where words decided.
    pub line: Option<String>,
}

impl Named {
    fn new(cause: Cause, confidence: f64, why: impl Into<String>) -> Self {
        Self {
            cause,
            confidence,
            why: why.into(),
            path: None,
            is_absent: false,
            line: None,
        }
    }

    /// The finding with the path that the deciding line tells of, where no detector knows one: for what is shown to a
    /// human, never to act on.
    pub fn told(&self, finding: &Finding) -> Finding {
        let path = self.path.as_deref();
        let unknown = finding.fact(Key::Path).is_none();
        let path = path.filter(|_| unknown).map(Fact::Path);
        finding.clone().with(path)
    }
}

/// Names the cause of `finding` by `rules`: facts first, then the words of its message and log, then its class.
pub fn name_cause(finding: &Finding, rules: &CauseRules) -> Named {
    by_facts(finding)
        .or_else(|| by_setup_status(finding, rules))
        .or_else(|| by_sure_result(finding))
        .or_else(|| by_signal(finding, rules))
        .or_else(|| by_needs(finding).filter(|_| never_started(finding)))
        .or_else(|| by_words(finding, rules).filter(|named| !counts(named)))
        .or_else(|| by_result(finding))
        .or_else(|| by_needs(finding))
        .or_else(|| by_words(finding, rules))
        .or_else(|| by_class(finding))
        .unwrap_or_else(|| Named::new(Cause::Unknown, 0.0, "no rule fired"))
}

/// Facts that a detector established by looking.
fn by_facts(finding: &Finding) -> Option<Named> {
    let fact = |key| finding.fact(key);
    if let (Some(old), Some(new)) = (fact(Key::Path), fact(Key::MovedTo)) {
        let how = fact(Key::MovedHow).unwrap_or("detector");
        return Some(Named::new(
            Cause::PathMoved,
            0.95,
            format!("{old} is now {new} (known by {how})"),
        ));
    }
    match finding.class.row().told_by {
        ToldBy::Holder => {
            let pid = fact(Key::HolderPid);
            let leftover = fact(Key::Leftover);
            Some(match (fact(Key::HolderUnit), pid, leftover) {
                (Some(unit), ..) => Named::new(
                    Cause::PortHeldByUnit,
                    0.95,
                    format!("the holder belongs to {unit}"),
                ),
                (None, Some(pid), Some(proof)) => Named::new(
                    Cause::PortHeldByStaleProcess,
                    0.95,
                    format!("process {pid} holds it: {proof}"),
                ),
                (None, Some(pid), None) => Named::new(
                    Cause::PortHeldByStranger,
                    0.9,
                    format!(
                        "process {pid} holds it: {}",
                        fact(Key::LeftAlone).unwrap_or("it is not known to be the unit's own")
                    ),
                ),
                (None, None, _) => Named::new(Cause::PortInUse, 0.8, "the holder is not known"),
            })
        }
        ToldBy::Setting => Some(match fact(Key::Setting).unwrap_or("") {
            "User" | "Group" => Named::new(
                Cause::UserMissing,
                0.95,
                "setting names a user that does not exist",
            ),
            _ if fact(Key::NotExecutable).is_some() => Named::new(
                Cause::PermissionDenied,
                0.95,
                "setting names a file without the right to execute it",
            ),
            _ => Named::new(
                Cause::PathMissing,
                0.95,
                "setting names a path that does not exist",
            ),
        }),
        ToldBy::Stage => {
            let cause = fact(Key::StageCause)?.parse().ok()?;
            Some(Named::new(cause, 0.9, fact(Key::StageSays).unwrap_or("")))
        }
        ToldBy::Words | ToldBy::UnitState | ToldBy::ContainerState | ToldBy::Process => None,
    }
}

/// Statuses that systemd itself gives before the program runs (`systemd.exec(5)`): each has one meaning.
fn by_setup_status(finding: &Finding, rules: &CauseRules) -> Option<Named> {
    let of_unit = finding.class.row().told_by == ToldBy::UnitState;
    if !of_unit || finding.fact(Key::ExitCode) != Some("exited") {
        return None;
    }
    let status = finding.evidence.exit_status()?;
    let (cause, name) = match status {
        200 => (Cause::ChdirFailed, "CHDIR"),
        203 => (Cause::ExecMissing, "EXEC"),
        204 => (Cause::OutOfMemory, "MEMORY"),
        208 | 209 | 222 => (Cause::PathMissing, "standard stream"),
        210 => (Cause::PathMissing, "CHROOT"),
        216 => (Cause::UserMissing, "GROUP"),
        217 => (Cause::UserMissing, "USER"),
        226 => (Cause::PathMissing, "NAMESPACE"),
        213 | 218 | 224 | 228 | 229 | 231 => (Cause::PermissionDenied, "security set-up"),
        233 | 238..=241 => (Cause::PermissionDenied, "state directory"),
        243 => (Cause::PathMissing, "CREDENTIALS"),
        _ => return None,
    };
    // 203 is also ENOEXEC and EACCES: the log line, if there is one, says which.
    if let Some(exact) = by_words(finding, rules).filter(|named| {
        matches!(named.cause, Cause::ExecFormat | Cause::PermissionDenied) && status >= 200
    }) {
        return Some(exact);
    }
    Some(Named::new(
        cause,
        0.95,
        format!("exit status {status} ({name}) of the service manager"),
    ))
}

/// Results that name the cause whatever the log says besides.
fn by_sure_result(finding: &Finding) -> Option<Named> {
    match finding
        .fact(Key::Result)
        .filter(|_| tells_unit_state(finding))?
    {
        "oom-kill" => Some(Named::new(
            Cause::OutOfMemory,
            0.95,
            "Result=oom-kill: killed by the kernel's OOM killer",
        )),
        "watchdog" => Some(Named::new(
            Cause::WatchdogTimeout,
            0.95,
            "Result=watchdog: no watchdog message in time",
        )),
        _ => None,
    }
}

/// A signal that no program ends itself with on purpose: what it said in its run, however long, is no reason. Memory
/// that ran out, a processor that it is not built for and data that it choked on are. An instruction that the processor
/// does not know, met soon after the start and without any other reason, is of a program built for another one.
fn by_signal(finding: &Finding, rules: &CauseRules) -> Option<Named> {
    let result = finding.fact(Key::Result).unwrap_or("");
    let code = finding
        .fact(Key::ExitCode)
        .filter(|_| tells_unit_state(finding));
    let status = finding.evidence.exit_status()?;
    let illegal = match code? {
        "killed" | "dumped" => status == 4,
        // As a shell tells it of its program.
        "exited" if status == 132 => true,
        _ => false,
    };
    let soon = illegal && finding.fact(Key::ShortRun).is_some();
    let no_other = |named: &Named| counts(named) || named.cause == Cause::ProcessCrashed;
    if soon && by_words(finding, rules).as_ref().is_none_or(no_other) {
        let why = "an illegal instruction soon after its start: built for another processor";
        return Some(Named::new(Cause::ExecFormat, 0.8, why));
    }
    if code == Some("exited") || result == "timeout" {
        return None;
    }
    let (cause, confidence) = match status {
        4 | 8 | 11 => (Cause::ProcessCrashed, 0.9),
        9 => (Cause::ProcessKilled, 0.85),
        31 => (Cause::SandboxDenies, 0.9),
        _ => return None,
    };
    let reason = [
        Cause::OutOfMemory,
        Cause::ExecFormat,
        Cause::DataCorrupt,
        Cause::DataFileDestroyed,
        Cause::MediaError,
    ];
    let reason = by_words(finding, rules).filter(|named| reason.contains(&named.cause));
    let by = match status {
        31 => ": SystemCallFilter= ended it",
        _ => "",
    };
    let why = format!("Result={result}: signal {status}{by}");
    Some(reason.unwrap_or_else(|| Named::new(cause, confidence, why)))
}

/// Only how a manager counted the end of a run, whatever the reason was.
pub const fn only_counts(cause: Cause) -> bool {
    matches!(
        cause,
        Cause::StartLimit | Cause::ProcessExited | Cause::ProcessKilled | Cause::KeepsRestarting
    )
}

/// What the manager says of any unit that failed, whatever the reason was; its line about the end of the main process says
/// no more, also where that aborted.
fn counts(named: &Named) -> bool {
    let of_end = |line: &str| line.contains("process exited, code=");
    only_counts(named.cause) || named.line.as_deref().is_some_and(of_end)
}

/// Of so many newest lines the first counts where several are as sure: the others came of it.
const ONE_STORY: usize = 8;

/// What decides between two lines: the first part that differs.
type Rank = (bool, bool, bool, f64, bool);

/// Words of the message and of the unit's last run. The reason why it ended comes before how the manager counted it, a
/// line that is no mere remark before one that is, what others were caused by at its end before those, the surer rule
/// before the other. On a tie the first of what a unit said at its end, then the newest. A remark counts for nothing where
/// something graver came after it, and one about what a run did without never does.
fn by_words(finding: &Finding, rules: &CauseRules) -> Option<Named> {
    let message = std::iter::once((finding.message.as_str(), context(finding)));
    let log = finding.evidence.log().map(|line| (line, Context::UnitLog));
    let mut best: Option<(Rank, Named)> = None;
    // An abort is graver than any remark.
    let aborted = finding.evidence.exit_status() == Some(6);
    let ended = matches!(finding.fact(Key::ExitCode), Some("killed" | "dumped"));
    let mut graver_came = tells_unit_state(finding) && ended && aborted;
    for (number, (line, context)) in message.chain(log).enumerate() {
        let told = weigh(line);
        let of_run = context == Context::UnitLog;
        let without = of_run && told == Weight::Without;
        let later = without || graver_came && told <= Weight::Remark;
        graver_came |= of_run && told >= Weight::Grave;
        if later {
            continue;
        }
        let Some(named) = by_line(finding, rules, (line, context), told) else {
            continue;
        };
        let inner = line.trim_start().starts_with("Caused by");
        let of_story = number <= ONE_STORY && tells_unit_state(finding);
        let weight = (
            !counts(&named),
            told > Weight::Remark,
            inner && of_story,
            named.confidence,
            inner,
        );
        let better = best.as_ref().is_none_or(|(best_weight, _)| {
            weight > *best_weight || of_story && weight == *best_weight
        });
        if better {
            best = Some((weight, named));
        }
    }
    best.map(|(_, named)| named)
}

/// What one line names: its words, or the setting of the unit's sandbox that they are due to.
fn by_line(
    finding: &Finding,
    rules: &CauseRules,
    (line, context): (&str, Context),
    told: Weight,
) -> Option<Named> {
    let class = finding.class;
    // What its unit is called says nothing about why it ended.
    let unnamed = line.replace(&finding.subject, "unit");
    let words = match tells_unit_state(finding) {
        true => unnamed.as_str(),
        false => line,
    };
    let hit = rules.name(Place { context, class }, words);
    let hit = hit.filter(|hit| !hit.guess || told == Weight::Stated);
    let cause = hit.map_or(Cause::Unknown, |hit| hit.cause);
    let shown = cut(line.trim(), 160);
    let path = sandbox::paths(line).last().map(str::to_owned);
    let said = Some(shown.to_owned());
    let settings = finding.fact(Key::Sandbox).unwrap_or("");
    if let Some(setting) = sandbox::denied_by(settings, cause, line) {
        let why = format!("{setting}= of the unit's own sandbox, in: {shown}");
        let named = Named::new(Cause::SandboxDenies, 0.93, why);
        return Some(Named {
            path,
            line: said,
            ..named
        });
    }
    let hit = hit.filter(|hit| hit.cause != Cause::Unknown)?;
    let why = format!("words '{}' in: {shown}", hit.words);
    let named = Named::new(hit.cause, hit.confidence, why);
    Some(Named {
        path,
        is_absent: line.to_ascii_lowercase().contains("no such file"),
        line: said,
        ..named
    })
}

/// Of what it requires something is not there, or is down.
fn by_needs(finding: &Finding) -> Option<Named> {
    let unmet: Vec<(&str, bool)> = finding.evidence.unmet().collect();
    let missing = unmet.iter().find(|(_, exists)| !exists);
    if let Some((name, _)) = missing {
        let why = format!("it requires {name}, which is not there");
        return Some(Named::new(Cause::DependencyMissing, 0.9, why));
    }
    let (name, _) = unmet.first()?;
    let why = format!("it requires {name}, which is down");
    Some(Named::new(Cause::DependencyFailed, 0.85, why))
}

/// The manager did not get as far as starting it: its own words are of an earlier run.
fn never_started(finding: &Finding) -> bool {
    finding.fact(Key::Result) == Some("dependency") || finding.class == Class::ServiceInactive
}

/// Whose words its message is.
fn context(finding: &Finding) -> Context {
    match finding.class.is_kernels() || finding.subject == KERNEL {
        true => Context::Kernel,
        false => Context::Application,
    }
}

/// The service manager's `Result` and the way the main process ended.
fn by_result(finding: &Finding) -> Option<Named> {
    if !tells_unit_state(finding) {
        return None;
    }
    let result = finding.fact(Key::Result).unwrap_or("");
    let code = finding.fact(Key::ExitCode).unwrap_or("");
    let status = finding.evidence.exit_status().unwrap_or(0);
    let limited = finding.evidence.start_limit();
    let named = |cause, confidence: f64, why: &str| {
        Some(Named::new(
            cause,
            confidence,
            format!("Result={result}: {why}"),
        ))
    };
    match result {
        "start-limit-hit" => return named(Cause::StartLimit, 0.9, "start limit reached"),
        "timeout" => return named(Cause::StartTimeout, 0.9, "time limit passed"),
        "protocol" => {
            return named(
                Cause::ConfigInvalid,
                0.6,
                "Type= does not fit what the process does",
            );
        }
        "resources" => {
            return named(
                Cause::ResourcesRefused,
                0.8,
                "the manager could not set it up",
            );
        }
        _ => {}
    }
    match (code, status) {
        ("killed" | "dumped", 4 | 6 | 7 | 8 | 11) | ("dumped", _) => {
            named(Cause::ProcessCrashed, 0.9, &format!("signal {status}"))
        }
        ("killed", _) => named(Cause::ProcessKilled, 0.85, &format!("signal {status}")),
        // What a shell, and what runs its program through one, makes of a signal: 128 and its number.
        ("exited", 132 | 134 | 135 | 136 | 139) => named(
            Cause::ProcessCrashed,
            0.7,
            &format!("exit status {status}: signal {}", status - 128),
        ),
        ("exited", 137 | 143) => named(
            Cause::ProcessKilled,
            0.7,
            &format!("exit status {status}: signal {}", status - 128),
        ),
        // `sysexits.h`, as some programs keep to it.
        ("exited", 77) => named(Cause::PermissionDenied, 0.65, "exit status 77: EX_NOPERM"),
        ("exited", 78) => named(Cause::ConfigInvalid, 0.65, "exit status 78: EX_CONFIG"),
        ("exited", 127) => named(Cause::ExecMissing, 0.7, "exit status 127 of a shell"),
        ("exited", 1..) => named(Cause::ProcessExited, 0.6, &format!("exit status {status}")),
        // A manager that does not say which signal.
        _ if result == "signal" => named(Cause::ProcessKilled, 0.6, "ended by a signal"),
        _ if limited => named(Cause::StartLimit, 0.8, "the manager gave up restarting it"),
        _ => None,
    }
}

/// What the class alone says.
fn by_class(finding: &Finding) -> Option<Named> {
    let row = finding.class.row();
    let loops = row.told_by == ToldBy::ContainerState && finding.fact(Key::Restarts).is_some();
    let (cause, confidence) = match finding.fact(Key::Zombies) {
        Some(_) => (Cause::ZombieParent, 0.9),
        None if loops => (Cause::KeepsRestarting, 0.6),
        None => row.cause?,
    };
    Some(Named::new(
        cause,
        confidence,
        format!("class {}", finding.class),
    ))
}

/// Its evidence says how a unit or a container ended.
fn tells_unit_state(finding: &Finding) -> bool {
    finding.class.row().told_by.tells_an_end()
}

#[cfg(test)]
#[path = "naming_tests.rs"]
mod tests;
