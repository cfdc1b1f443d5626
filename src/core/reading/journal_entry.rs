//! What one journal entry means: a fault, a change of unit state, a gap, or nothing.

use crate::core::model::class::Class;
use crate::core::model::facts::Fact;
use crate::core::model::finding::{Finding, Severity};
use crate::core::model::time::Timestamp;
use crate::core::reading::kernel::{KernelFault, KernelReader};
use crate::core::reading::log_rules::RuleSet;
use crate::core::reading::logline::{LogLine, Origin};

/// Name under which this program logs, and the first part of every unit of its own.
pub const OWN_NAME: &str = "autonomous-orchestrator";

/// systemd's message catalogue: text differs between versions and languages, the id does not.
mod message_id {
    /// journald: messages of a service were dropped by its rate limit.
    pub const SUPPRESSED: &str = "a596d6fe7bfa4994828e72309e95d61e";
    /// journald: messages of the kernel or of syslog were missed.
    pub const MISSED: &str = "e9bf28e6e834481bb6f48f548ad13606";
    pub const COREDUMP: &str = "fc2e22bc6ee647b6b90729ab34a250b1";
}

/// The fields of a journal entry that matter here; empty when missing.
#[derive(Clone, Copy, Debug, Default)]
pub struct JournalLine<'a> {
    pub message: &'a str,
    pub priority: &'a str,
    pub identifier: &'a str,
    /// Unit that wrote the line.
    pub unit: &'a str,
    /// Unit that the service manager speaks of.
    pub about: &'a str,
    pub message_id: &'a str,
    pub pid: &'a str,
    pub comm: &'a str,
    pub transport: &'a str,
    pub coredump_unit: &'a str,
    pub coredump_comm: &'a str,
}

/// What a line means.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Verdict {
    pub finding: Option<Finding>,
    /// Unit state may have changed.
    pub poke: bool,
    /// This unit could not bind an address.
    pub port_taken: Option<String>,
}

/// Judges journal entries in order; keeps what a multi-line kernel report needs.
#[derive(Debug, Default)]
pub struct JournalJudge {
    kernel: KernelReader,
    own_pid: String,
}

impl JournalJudge {
    pub fn new(own_pid: u32) -> Self {
        Self {
            kernel: KernelReader::default(),
            own_pid: own_pid.to_string(),
        }
    }

    pub fn judge(&mut self, line: &JournalLine<'_>, rules: &RuleSet, at: Timestamp) -> Verdict {
        if self.is_own(line) {
            return Verdict::default();
        }
        if matches!(line.message_id, message_id::SUPPRESSED | message_id::MISSED) {
            return found(Finding::new(
                Class::SelfGap,
                "journal",
                Severity::Warning,
                line.message,
                "journal",
                at,
            ));
        }
        if line.transport == "kernel" {
            let micros = u64::try_from(at.as_millis())
                .ok()
                .map(|ms| ms.saturating_mul(1000));
            return match self.kernel.line(micros, line.message) {
                Some(fault) => of_kernel(&fault, "journal", at),
                None => Verdict::default(),
            };
        }
        if is_manager(line) {
            // Its own words about a unit become facts through the unit sweep, not through the text.
            return Verdict {
                poke: is_watched(line.about),
                ..Verdict::default()
            };
        }
        if line.message_id == message_id::COREDUMP {
            return found(coredump(line, at));
        }
        if tells_port_taken(line.message) {
            return Verdict {
                poke: true,
                port_taken: Some(line.unit.to_owned()).filter(|unit| unit.ends_with(".service")),
                finding: None,
            };
        }
        of_rules(line, rules, at)
    }

    /// Never feeds on itself: its unit, its transient units, its identifier, its process.
    fn is_own(&self, line: &JournalLine<'_>) -> bool {
        [line.unit, line.about, line.identifier]
            .iter()
            .any(|name| name.starts_with(OWN_NAME))
            || (!line.pid.is_empty() && line.pid == self.own_pid)
    }
}

fn found(finding: Finding) -> Verdict {
    Verdict {
        finding: Some(finding),
        ..Verdict::default()
    }
}

/// A kernel fault as a finding. A file system that went read-only is confirmed, and cleared, by the
/// mount sweep: here it only asks for that sweep.
pub fn of_kernel(fault: &KernelFault, source: &str, at: Timestamp) -> Verdict {
    if fault.class == Class::ReadonlyFs {
        return Verdict {
            poke: true,
            ..Verdict::default()
        };
    }
    let device = if fault.class == Class::IoError && fault.subject != "kernel" {
        fault.subject.as_str()
    } else {
        ""
    };
    let finding = Finding::new(
        fault.class,
        &fault.subject,
        fault.severity,
        &fault.message,
        source,
        at,
    )
    .with(Fact::Unit(&fault.unit))
    .with(Fact::Device(device));
    Verdict {
        poke: fault.class == Class::OomKill,
        ..found(finding)
    }
}

fn is_manager(line: &JournalLine<'_>) -> bool {
    line.identifier == "systemd" && matches!(line.comm, "systemd" | "init" | "")
}

/// Unit kinds whose state a sweep judges; sessions and slices come and go all day.
fn is_watched(unit: &str) -> bool {
    [
        ".service", ".socket", ".mount", ".target", ".swap", ".path", ".timer",
    ]
    .iter()
    .any(|kind| unit.ends_with(kind))
}

/// True for what programs print when an address is taken.
pub fn tells_port_taken(message: &str) -> bool {
    message.contains("ddress already in use")
        || message.contains("EADDRINUSE")
        || (message.contains("98)") && message.contains("bind"))
}

fn coredump(line: &JournalLine<'_>, at: Timestamp) -> Finding {
    let subject = [line.coredump_unit, line.coredump_comm, "systemd-coredump"]
        .into_iter()
        .find(|name| !name.is_empty())
        .unwrap_or_default();
    let message = line.message.lines().next().unwrap_or_default();
    Finding::new(
        Class::LogError,
        subject,
        Severity::Error,
        message,
        "journal",
        at,
    )
    .with(Fact::Unit(line.coredump_unit))
}

fn of_rules(line: &JournalLine<'_>, rules: &RuleSet, at: Timestamp) -> Verdict {
    let priority: u8 = line.priority.parse().unwrap_or(6);
    // journald gives standard output the unit's default level: then only the words tell.
    let origin = if line.transport == "stdout" && priority == 6 {
        Origin::Text
    } else {
        Origin::Leveled
    };
    // Before it runs the program, the manager's own child speaks of the unit it sets up.
    let speaker = if line.unit == "init.scope" && !line.about.is_empty() {
        line.about
    } else {
        line.unit
    };
    let unit = stable_unit(speaker);
    let message = if line.message.is_empty() {
        "(the journal gives no text: longer than 4096 bytes)"
    } else {
        line.message
    };
    let judged = LogLine {
        message,
        unit: &unit,
        identifier: line.identifier,
        priority,
        origin,
    };
    match rules.classify(&judged) {
        Some(hit) => found(
            Finding::new(
                hit.class,
                &hit.subject,
                hit.severity,
                message,
                "journal",
                at,
            )
            .with(Fact::Unit(&unit)),
        ),
        None => Verdict::default(),
    }
}

/// A unit name that is the same tomorrow: sessions and transient units count by their program instead,
/// connections of a socket (`sshd@3-10.0.0.1:22-….service`) by their template.
fn stable_unit(unit: &str) -> String {
    if !unit.ends_with(".service") || unit.starts_with("run-") || unit.starts_with("user@") {
        return String::new();
    }
    match unit.split_once('@') {
        Some((template, instance)) if instance.contains(':') => format!("{template}@.service"),
        _ => unit.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn judge(line: &JournalLine<'_>) -> Verdict {
        let rules = RuleSet::builtin().unwrap();
        JournalJudge::new(77).judge(line, &rules, Timestamp::from_millis(0))
    }

    const APP: JournalLine<'static> = JournalLine {
        message: "cannot read sensor",
        priority: "3",
        identifier: "app",
        unit: "app.service",
        about: "",
        message_id: "",
        pid: "12",
        comm: "app",
        transport: "syslog",
        coredump_unit: "",
        coredump_comm: "",
    };

    #[test]
    fn an_error_line_is_about_its_unit() {
        let finding = judge(&APP).finding.unwrap();
        assert_eq!(
            (finding.class, finding.subject.as_str()),
            (Class::LogError, "app.service")
        );
        let session = JournalLine {
            unit: "session-3.scope",
            ..APP
        };
        assert_eq!(judge(&session).finding.unwrap().subject, "app");
        let socket = JournalLine {
            unit: "sshd@3-10.0.0.1:22-10.0.0.2:4711.service",
            ..APP
        };
        assert_eq!(judge(&socket).finding.unwrap().subject, "sshd@.service");
    }

    #[test]
    fn it_never_feeds_on_itself() {
        for own in [
            JournalLine {
                unit: "autonomous-orchestrator.service",
                ..APP
            },
            JournalLine {
                identifier: "autonomous-orchestrator",
                ..APP
            },
            JournalLine { pid: "77", ..APP },
        ] {
            assert_eq!(judge(&own), Verdict::default());
        }
    }

    #[test]
    fn what_the_managers_child_says_is_about_the_unit_it_sets_up() {
        let line = JournalLine {
            message: "app.service: Failed to determine user credentials: No such process",
            identifier: "(app)",
            comm: "(app)",
            unit: "init.scope",
            about: "app.service",
            ..APP
        };
        assert_eq!(judge(&line).finding.unwrap().subject, "app.service");
        let forged = JournalLine {
            unit: "other.service",
            ..line
        };
        assert_eq!(judge(&forged).finding.unwrap().subject, "other.service");
    }

    #[test]
    fn the_managers_words_only_poke() {
        let line = JournalLine {
            message: "Failed to start app.service - App.",
            identifier: "systemd",
            comm: "systemd",
            unit: "init.scope",
            about: "app.service",
            message_id: "be02cf6855d2428ba40df7e9d022f03d",
            pid: "1",
            ..APP
        };
        assert_eq!(
            judge(&line),
            Verdict {
                poke: true,
                ..Verdict::default()
            }
        );
        assert!(
            !judge(&JournalLine {
                about: "session-3.scope",
                ..line
            })
            .poke
        );
    }

    #[test]
    fn a_taken_port_is_left_to_the_socket_table() {
        let line = JournalLine {
            message: "bind() to 0.0.0.0:80 failed (98: Address already in use)",
            ..APP
        };
        let verdict = judge(&line);
        assert_eq!((verdict.finding, verdict.poke), (None, true));
        assert_eq!(verdict.port_taken.as_deref(), Some("app.service"));
    }

    #[test]
    fn standard_output_is_judged_by_its_words() {
        let text = |message| JournalLine {
            message,
            priority: "6",
            transport: "stdout",
            ..APP
        };
        assert!(judge(&text("ERROR boom")).finding.is_some());
        assert!(judge(&text("INFO error handler ready")).finding.is_none());
        assert!(
            judge(&JournalLine {
                transport: "syslog",
                ..text("ERROR boom")
            })
            .finding
            .is_none()
        );
    }

    #[test]
    fn suppressed_lines_are_a_gap() {
        let line = JournalLine {
            message: "Suppressed 120 messages from app.service",
            message_id: message_id::SUPPRESSED,
            ..APP
        };
        assert_eq!(judge(&line).finding.unwrap().class, Class::SelfGap);
    }
}
