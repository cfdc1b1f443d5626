//! The closed list of causes, and the rule table that names one from a finding's facts.
//!
//! A wrong cause is worse than none: a rule fires on a fact that has one meaning, everything else stays
//! `unknown`. `docs/CAUSES.md` lists them all.

use crate::core::diagnosis::cause_rules;
use crate::core::model::cause::Cause;
use crate::core::model::class::Class;
use crate::core::model::facts::Key;
use crate::core::model::finding::Finding;

impl Cause {
    /// Commands a human can copy, filled with the finding's facts. A command whose facts are not known
    /// is left out; a value that a shell would read as more than one word is quoted.
    pub fn next_steps(self, finding: &Finding) -> Vec<String> {
        self.step_templates()
            .iter()
            .filter_map(|template| fill(template, finding))
            .collect()
    }
}

fn fill(template: &str, finding: &Finding) -> Option<String> {
    let mut filled = String::with_capacity(template.len());
    let mut rest = template;
    while let Some((before, after)) = rest.split_once('{') {
        let (name, tail) = after.split_once('}')?;
        filled.push_str(before);
        filled.push_str(&quoted(value(name, finding)?));
        rest = tail;
    }
    filled.push_str(rest);
    Some(filled)
}

fn value<'a>(name: &str, finding: &'a Finding) -> Option<&'a str> {
    let subject = finding.subject.as_str();
    let known = name.parse().ok().and_then(|key| finding.fact(key));
    known.or(match name {
        "unit" if subject.ends_with(".service") => Some(subject),
        "mount"
            if matches!(
                finding.class,
                Class::DiskFull | Class::InodeFull | Class::ReadonlyFs
            ) =>
        {
            Some(subject)
        }
        "path" if subject.starts_with('/') => Some(subject),
        _ => None,
    })
}

/// `text` as one shell word: subjects and paths come from logs, and a human will paste this.
fn quoted(text: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./:@%+=".contains(c);
    if !text.is_empty() && !text.starts_with('-') && text.chars().all(plain) {
        return text.to_owned();
    }
    let visible: String = text.chars().filter(|c| !c.is_control()).collect();
    format!("'{}'", visible.replace('\'', r"'\''"))
}

/// A cause with the rule that named it.
#[derive(Clone, Debug, PartialEq)]
pub struct Named {
    pub cause: Cause,
    /// 0..=1; 0 for `unknown`.
    pub confidence: f64,
    /// The rule that fired, and on what.
    pub why: String,
}

impl Named {
    fn new(cause: Cause, confidence: f64, why: impl Into<String>) -> Self {
        Self {
            cause,
            confidence,
            why: why.into(),
        }
    }
}

/// Names the cause of `finding`: facts first, then the words of its message and log, then its class.
pub fn name_cause(finding: &Finding) -> Named {
    by_facts(finding)
        .or_else(|| by_setup_status(finding))
        .or_else(|| by_sure_result(finding))
        .or_else(|| by_words(finding))
        .or_else(|| by_result(finding))
        .or_else(|| by_class(finding))
        .unwrap_or_else(|| Named::new(Cause::Unknown, 0.0, "no rule fired"))
}

/// Facts that a detector established by looking.
fn by_facts(finding: &Finding) -> Option<Named> {
    let fact = |key| finding.fact(key);
    if let (Some(old), Some(new)) = (fact(Key::Path), fact(Key::MovedTo)) {
        let how = fact(Key::MovedHow).unwrap_or("detector");
        // A file of the same name somewhere else is a guess, a recorded move is not.
        let guessed = finding.evidence.moved_by_name();
        let confidence = if guessed { 0.7 } else { 0.95 };
        return Some(Named::new(
            Cause::PathMoved,
            confidence,
            format!("{old} is now {new} (known by {how})"),
        ));
    }
    match finding.class {
        Class::PortConflict => {
            let pid = fact(Key::HolderPid);
            Some(match (fact(Key::HolderUnit), pid) {
                (Some(unit), _) => Named::new(
                    Cause::PortHeldByUnit,
                    0.95,
                    format!("the holder belongs to {unit}"),
                ),
                (None, Some(pid)) => Named::new(
                    Cause::PortHeldByStaleProcess,
                    0.9,
                    format!("process {pid} holds it and belongs to no unit"),
                ),
                (None, None) => Named::new(Cause::PortInUse, 0.8, "the holder is not known"),
            })
        }
        Class::InvalidUnitPath => Some(match fact(Key::Setting).unwrap_or("") {
            "User" | "Group" => Named::new(
                Cause::UserMissing,
                0.95,
                "setting names a user that does not exist",
            ),
            _ if finding.message.contains("is not executable") => Named::new(
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
        _ => None,
    }
}

/// Statuses that systemd itself gives before the program runs (`systemd.exec(5)`): each has one meaning.
fn by_setup_status(finding: &Finding) -> Option<Named> {
    if !is_service(finding.class) || finding.fact(Key::ExitCode) != Some("exited") {
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
    if let Some(exact) = by_words(finding).filter(|named| {
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
        .filter(|_| is_service(finding.class))?
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

/// Words of the message and of the unit's own last lines: the surest rule wins, the newest line on a tie.
fn by_words(finding: &Finding) -> Option<Named> {
    let mut best: Option<Named> = None;
    for line in std::iter::once(finding.message.as_str()).chain(finding.evidence.log()) {
        let Some(rule) = cause_rules::first_match(line) else {
            continue;
        };
        if best
            .as_ref()
            .is_none_or(|best| rule.confidence > best.confidence)
        {
            let shown = crate::core::model::text::cut(line.trim(), 160);
            best = Some(Named::new(
                rule.cause,
                rule.confidence,
                format!("words '{}' in: {shown}", rule.words),
            ));
        }
    }
    best
}

/// The service manager's `Result` and the way the main process ended.
fn by_result(finding: &Finding) -> Option<Named> {
    if !is_service(finding.class) {
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
        ("killed" | "dumped", 4 | 6 | 7 | 8 | 11 | 31) | ("dumped", _) => {
            named(Cause::ProcessCrashed, 0.9, &format!("signal {status}"))
        }
        ("killed", _) => named(Cause::ProcessKilled, 0.85, &format!("signal {status}")),
        ("exited", 1..) => named(Cause::ProcessExited, 0.6, &format!("exit status {status}")),
        // A manager that does not say which signal.
        _ if result == "signal" => named(Cause::ProcessKilled, 0.6, "ended by a signal"),
        _ if limited => named(Cause::StartLimit, 0.8, "the manager gave up restarting it"),
        _ => None,
    }
}

/// What the class alone says.
fn by_class(finding: &Finding) -> Option<Named> {
    let (cause, confidence) = match finding.class {
        Class::ServiceInactive => (Cause::StoppedUnexpectedly, 0.7),
        Class::ServiceFlapping => (Cause::KeepsRestarting, 0.6),
        Class::ServiceWatchdog => (Cause::WatchdogTimeout, 0.9),
        Class::DiskFull => (Cause::DiskFull, 0.95),
        Class::InodeFull => (Cause::InodeFull, 0.95),
        Class::MemoryPressure | Class::OomKill => (Cause::OutOfMemory, 0.9),
        Class::ReadonlyFs => (Cause::ReadonlyAfterError, 0.85),
        Class::IoError => (Cause::MediaError, 0.8),
        Class::StorageWear => (Cause::StorageWorn, 0.95),
        Class::Thermal => (Cause::Overheating, 0.9),
        Class::ClockUnsynced => (Cause::ClockWrong, 0.9),
        Class::NetworkDown => (Cause::LinkDown, 0.85),
        Class::StaleProcess if finding.message.to_ascii_lowercase().contains("zombie") => {
            (Cause::ZombieParent, 0.9)
        }
        Class::StaleProcess => (Cause::StaleProcess, 0.85),
        Class::ProbeFailed | Class::ContainerUnhealthy => (Cause::HealthCheckFailed, 0.6),
        Class::ConfigDrift => (Cause::ConfigChanged, 0.9),
        Class::KernelOops
        | Class::KernelWarning
        | Class::KernelLockup
        | Class::KernelLockdep
        | Class::KernelMemorySafety
        | Class::KernelLeak
        | Class::KernelOther => (Cause::KernelFault, 0.8),
        Class::SelfDetectorBroken
        | Class::SelfStore
        | Class::SelfEscalationDown
        | Class::SelfGap => (Cause::SelfImpaired, 0.7),
        _ => return None,
    };
    Some(Named::new(
        cause,
        confidence,
        format!("class {}", finding.class),
    ))
}

const fn is_service(class: Class) -> bool {
    matches!(
        class,
        Class::ServiceFailed
            | Class::ServiceInactive
            | Class::ServiceFlapping
            | Class::ServiceWatchdog
    )
}

#[cfg(test)]
#[path = "naming_tests.rs"]
mod tests;
