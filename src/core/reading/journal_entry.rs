//! What one journal entry means: a fault, a change of unit state, a gap, or nothing.

use crate::core::identity::Fingerprint;
use crate::core::model::class::{Class, KERNEL, MovesWith};
use crate::core::model::facts::{Fact, Key};
use crate::core::model::finding::{Finding, Severity};
use crate::core::model::time::Timestamp;
use crate::core::reading::container;
use crate::core::reading::kernel::{KernelFault, KernelLine, KernelReader};
use crate::core::reading::level::Level;
use crate::core::reading::log_rules::RuleSet;
use crate::core::reading::logline::{LogLine, Origin};
use crate::core::reading::manager_lines::{self, FailedUnit, is_watched};
use crate::core::reading::shape;
use crate::core::reading::trace::Traces;
use crate::core::reading::writer::{Trusted, Writer, is_lasting, is_users_manager, program};

/// Name under which this program logs, and the first part of every unit of its own.
pub const OWN_NAME: &str = "autonomous-orchestrator";

/// systemd's message catalogue: text differs between versions and languages, the id does not. Anybody can write
/// one: it counts in lines of its owner.
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
    /// What journald says of who wrote it.
    pub trusted: Trusted<'a>,
    /// Unit that the service manager speaks of.
    pub about: &'a str,
    pub message_id: &'a str,
    pub coredump_unit: &'a str,
    pub coredump_comm: &'a str,
    /// Container that the line is said to come from.
    pub container: &'a str,
}

/// What a line means.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Verdict {
    pub finding: Option<Finding>,
    /// Unit state may have changed.
    pub poke: bool,
    /// This unit could not bind an address.
    pub port_taken: Option<String>,
    /// It names a reason of what was found before.
    pub reason: Option<(Fingerprint, String)>,
}

/// Judges journal entries in order; keeps what a multi-line kernel report needs.
#[derive(Debug, Default)]
pub struct JournalJudge {
    kernel: KernelReader,
    own_pid: String,
    /// Nobody can look at the host: what a sweep would confirm is told by its line.
    recorded: bool,
    traces: Traces,
}

impl JournalJudge {
    pub fn new(own_pid: u32) -> Self {
        Self {
            kernel: KernelReader::default(),
            own_pid: own_pid.to_string(),
            recorded: false,
            traces: Traces::default(),
        }
    }

    /// For entries of another time or host.
    pub fn of_a_recording() -> Self {
        Self {
            recorded: true,
            ..Self::new(0)
        }
    }

    pub fn judge(&mut self, line: &JournalLine<'_>, rules: &RuleSet, at: Timestamp) -> Verdict {
        let writer = Writer::of(&line.trusted);
        if self.is_own(line, writer) {
            return Verdict::default();
        }
        match writer {
            Writer::Kernel => self.of_kernel_log(line, at),
            Writer::Manager if line.identifier == "systemd" => Verdict {
                // Its own words about a unit become facts through the unit sweep, not through the text, while there is one.
                poke: is_watched(line.about),
                finding: self.in_a_recording(line.message, at),
                ..Verdict::default()
            },
            // The same words of a user's manager, about units of that user.
            Writer::User(_) | Writer::Root if is_users_managers(line) => Verdict::default(),
            Writer::Journal if is_gap(line.message_id) => found(gap(line, at)),
            Writer::Coredump if line.message_id == message_id::COREDUMP => {
                found(coredump(line, at))
            }
            // The socket table tells who holds it; until it does, and when he is gone by then, the line counts.
            Writer::Service(unit) if tells_port_taken(line.message) => Verdict {
                poke: true,
                port_taken: Some(unit.to_owned()),
                ..of_rules(line, writer, rules, at, &mut self.traces)
            },
            Writer::Manager
            | Writer::Journal
            | Writer::Coredump
            | Writer::Service(_)
            | Writer::Root
            | Writer::User(_) => of_rules(line, writer, rules, at, &mut self.traces),
        }
    }

    fn in_a_recording(&self, message: &str, at: Timestamp) -> Option<Finding> {
        let failed = manager_lines::failed_unit(message).filter(|_| self.recorded)?;
        Some(failed_unit(&failed, message, "journal", at))
    }

    /// The kernel's own lines; what root wrote into its log has a name of its own.
    fn of_kernel_log(&mut self, line: &JournalLine<'_>, at: Timestamp) -> Verdict {
        if !matches!(line.identifier, "kernel" | "") {
            return Verdict::default();
        }
        let micros = u64::try_from(at.as_millis())
            .ok()
            .map(|ms| ms.saturating_mul(1000));
        let line = KernelLine {
            at_us: micros,
            level: line.priority.parse().ok().map(Level::of_syslog),
            text: line.message,
        };
        match self.kernel.line(&line) {
            Some(fault) if self.recorded => found(kernels(&fault, "journal", at)),
            Some(fault) => of_kernel(&fault, "journal", at),
            None => Verdict::default(),
        }
    }

    /// Never feeds on itself: its process, its unit and transient units, and what the manager says of them.
    /// Whoever merely calls himself so is heard.
    fn is_own(&self, line: &JournalLine<'_>, writer: Writer<'_>) -> bool {
        let unit = if writer == Writer::Manager {
            line.about
        } else {
            line.trusted.unit
        };
        let pid = line.trusted.pid;
        unit.starts_with(OWN_NAME) || (!pid.is_empty() && pid == self.own_pid)
    }
}

fn is_gap(id: &str) -> bool {
    matches!(id, message_id::SUPPRESSED | message_id::MISSED)
}

fn is_users_managers(line: &JournalLine<'_>) -> bool {
    line.identifier == "systemd" && is_users_manager(line.trusted.unit)
}

fn gap(line: &JournalLine<'_>, at: Timestamp) -> Finding {
    Finding::new(
        Class::SelfGap,
        "journal",
        Severity::Warning,
        line.message,
        "journal",
        at,
    )
    .said_by(&Writer::Journal.name())
}

fn found(finding: Finding) -> Verdict {
    Verdict {
        finding: Some(finding),
        ..Verdict::default()
    }
}

/// A kernel fault as a finding. One of the table of mounts (a file system went read-only) is confirmed, and cleared, by the
/// mount sweep: here it only asks for that sweep.
pub fn of_kernel(fault: &KernelFault, source: &str, at: Timestamp) -> Verdict {
    let row = fault.class.row();
    if row.moves_with == MovesWith::Mounts {
        return Verdict {
            poke: true,
            ..Verdict::default()
        };
    }
    Verdict {
        poke: row.moves_with != MovesWith::Nothing,
        ..found(kernels(fault, source, at))
    }
}

fn kernels(fault: &KernelFault, source: &str, at: Timestamp) -> Finding {
    let is_device = fault.class.row().subject == Some(Key::Device) && fault.subject != KERNEL;
    let device = is_device.then_some(Fact::Device(&fault.subject));
    let finding = Finding::new(
        fault.class,
        &fault.subject,
        fault.severity,
        &fault.message,
        source,
        at,
    )
    .with(Fact::Unit(&fault.unit))
    .with(device);
    match fault.said {
        // Anybody makes new ones, as many as he likes: they are counted like any other words.
        true => finding.said_by(&Writer::Kernel.name()),
        false => finding,
    }
}

/// A unit that failed in a recording, whose state nobody can ask for.
pub fn failed_unit(failed: &FailedUnit<'_>, message: &str, source: &str, at: Timestamp) -> Finding {
    let class = match failed.result {
        "watchdog" => Class::ServiceWatchdog,
        _ => Class::ServiceFailed,
    };
    Finding::new(class, failed.unit, Severity::Error, message, source, at)
        .with(Fact::Unit(failed.unit))
}

/// True for what programs print when an address is taken.
pub fn tells_port_taken(message: &str) -> bool {
    message.contains("ddress already in use")
        || message.contains("EADDRINUSE")
        || (message.contains("98)") && message.contains("bind"))
}

/// `systemd-coredump` names the unit by its control group, the program by what it called itself.
fn coredump(line: &JournalLine<'_>, at: Timestamp) -> Finding {
    let unit = stable_unit(line.coredump_unit);
    let subject = match (unit.as_str(), line.coredump_comm) {
        ("", "") => "systemd-coredump".to_owned(),
        ("", comm) => program(comm),
        (unit, _) => unit.to_owned(),
    };
    let message = line.message.lines().next().unwrap_or_default();
    Finding::new(
        Class::LogError,
        &subject,
        Severity::Error,
        message,
        "journal",
        at,
    )
    .with(Fact::Unit(&unit))
    .said_by(&Writer::Coredump.name())
}

fn of_rules(
    line: &JournalLine<'_>,
    writer: Writer<'_>,
    rules: &RuleSet,
    at: Timestamp,
    traces: &mut Traces,
) -> Verdict {
    let priority: u8 = line.priority.parse().unwrap_or(6);
    // journald gives standard output the unit's default level: then only the text tells.
    let (origin, level) = if line.trusted.transport == "stdout" && priority == 6 {
        (Origin::Text, None)
    } else {
        (Origin::Leveled, Some(Level::of_syslog(priority)))
    };
    let container = container::carried(writer, line.trusted.unit, line.container);
    let unit = match writer {
        _ if container.is_some() => String::new(),
        Writer::Service(unit) => stable_unit(unit),
        // Before it runs the program, the manager's own child speaks of the unit it sets up.
        Writer::Manager => stable_unit(line.about),
        Writer::Kernel | Writer::Journal | Writer::Coredump | Writer::Root | Writer::User(_) => {
            String::new()
        }
    };
    let message = if line.message.is_empty() {
        "(the journal gives no text: longer than 4096 bytes)"
    } else {
        line.message
    };
    let named = writer.subject(line.identifier);
    let spoken = shape::read_text(message, level);
    let process = match line.trusted.pid {
        "" => line.identifier,
        pid => pid,
    };
    if let Some(on) = traces.goes_on(process, &spoken) {
        let reason = || (on.finding, spoken.message.clone().into_owned());
        return Verdict {
            reason: on.reason.then(reason),
            ..Verdict::default()
        };
    }
    let judged = LogLine {
        identifier: container.unwrap_or(line.identifier),
        origin,
        ..LogLine::spoken(&spoken, &unit)
    };
    let Some(hit) = rules.classify(&judged) else {
        return Verdict::default();
    };
    // Whatever a rule makes of such words, they are no more than words.
    let (class, subject) = if matches!(writer, Writer::User(_)) {
        (Class::LogError, named)
    } else if hit.class.is_kernels() {
        (Class::LogError, hit.subject)
    } else {
        (hit.class, hit.subject)
    };
    let severity = writer.severity(line.trusted.uid, hit.severity);
    let finding = Finding::new(class, &subject, severity, &spoken.message, "journal", at)
        .with(Fact::Unit(&unit))
        .with(hit.only_words.then_some(Fact::OnlyWords))
        .said_by(&writer.name());
    traces.begins(process, finding.fingerprint(), &spoken);
    found(finding)
}

/// A unit name that is the same tomorrow: connections of a socket (`sshd@3-10.0.0.1:22-….service`) count by their
/// template, and what is no service of the system's manager by its program instead.
fn stable_unit(unit: &str) -> String {
    if !is_lasting(unit) {
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

    const SERVICE: Trusted<'static> = Trusted {
        transport: "syslog",
        pid: "12",
        uid: "0",
        login: "",
        unit: "app.service",
        is_guest: false,
    };

    const EVE: Trusted<'static> = Trusted {
        uid: "1001",
        unit: "session-3.scope",
        ..SERVICE
    };

    const MANAGER: Trusted<'static> = Trusted {
        pid: "1",
        unit: "init.scope",
        ..SERVICE
    };

    const APP: JournalLine<'static> = JournalLine {
        message: "cannot read sensor",
        priority: "3",
        identifier: "app",
        trusted: SERVICE,
        about: "",
        message_id: "",
        coredump_unit: "",
        coredump_comm: "",
        container: "",
    };

    #[test]
    fn a_containers_line_is_about_the_container_and_no_unit() {
        let line = JournalLine {
            trusted: Trusted {
                unit: "docker.service",
                ..SERVICE
            },
            identifier: "7f399a191dea",
            container: "influx",
            ..APP
        };
        let finding = judge(&line).finding.unwrap();
        assert_eq!(finding.subject, "influx");
        assert_eq!(finding.fact(Key::Unit), None);
    }

    #[test]
    fn an_error_line_is_about_its_unit() {
        let finding = judge(&APP).finding.unwrap();
        assert_eq!(
            (finding.class, finding.subject.as_str()),
            (Class::LogError, "app.service")
        );
        let session = JournalLine {
            trusted: Trusted { uid: "0", ..EVE },
            ..APP
        };
        assert_eq!(judge(&session).finding.unwrap().subject, "app");
        let socket = JournalLine {
            trusted: Trusted {
                unit: "sshd@3-10.0.0.1:22-10.0.0.2:4711.service",
                ..SERVICE
            },
            ..APP
        };
        assert_eq!(judge(&socket).finding.unwrap().subject, "sshd@.service");
    }

    #[test]
    fn it_never_feeds_on_itself() {
        for own in [
            JournalLine {
                trusted: Trusted {
                    unit: "autonomous-orchestrator.service",
                    ..SERVICE
                },
                ..APP
            },
            JournalLine {
                trusted: Trusted {
                    pid: "77",
                    ..SERVICE
                },
                ..APP
            },
            JournalLine {
                trusted: MANAGER,
                identifier: "(tor)",
                about: "autonomous-orchestrator.service",
                ..APP
            },
        ] {
            assert_eq!(judge(&own), Verdict::default());
        }
        let called_so = JournalLine {
            identifier: "autonomous-orchestrator",
            about: "autonomous-orchestrator.service",
            trusted: EVE,
            ..APP
        };
        assert!(judge(&called_so).finding.is_some());
    }

    #[test]
    fn what_the_managers_child_says_is_about_the_unit_it_sets_up() {
        let line = JournalLine {
            message: "app.service: Failed to determine user credentials: No such process",
            identifier: "(app)",
            trusted: Trusted {
                pid: "1213",
                ..MANAGER
            },
            about: "app.service",
            ..APP
        };
        assert_eq!(judge(&line).finding.unwrap().subject, "app.service");
        let forged = JournalLine {
            trusted: Trusted {
                unit: "other.service",
                ..SERVICE
            },
            ..line
        };
        assert_eq!(judge(&forged).finding.unwrap().subject, "other.service");
    }

    #[test]
    fn the_managers_words_only_poke() {
        let line = JournalLine {
            message: "Failed to start app.service - App.",
            identifier: "systemd",
            trusted: MANAGER,
            about: "app.service",
            message_id: "be02cf6855d2428ba40df7e9d022f03d",
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
    fn a_taken_port_asks_the_socket_table_and_counts_as_a_line() {
        let line = JournalLine {
            message: "bind() to 0.0.0.0:80 failed (98: Address already in use)",
            ..APP
        };
        let verdict = judge(&line);
        assert_eq!(
            (verdict.finding.unwrap().class, verdict.poke),
            (Class::LogError, true)
        );
        assert_eq!(verdict.port_taken.as_deref(), Some("app.service"));
        let of_a_user = JournalLine {
            trusted: EVE,
            ..line
        };
        let verdict = judge(&of_a_user);
        assert_eq!((verdict.poke, verdict.port_taken), (false, None));
    }

    #[test]
    fn standard_output_is_judged_by_its_words() {
        let text = |message| JournalLine {
            message,
            priority: "6",
            trusted: Trusted {
                transport: "stdout",
                ..SERVICE
            },
            ..APP
        };
        assert!(judge(&text("ERROR boom")).finding.is_some());
        assert!(judge(&text("INFO error handler ready")).finding.is_none());
        assert!(
            judge(&JournalLine {
                trusted: SERVICE,
                ..text("ERROR boom")
            })
            .finding
            .is_none()
        );
    }

    #[test]
    fn a_catalogue_id_counts_in_lines_of_its_owner() {
        let gap = JournalLine {
            message: "Suppressed 120 messages from app.service",
            priority: "6",
            message_id: message_id::SUPPRESSED,
            trusted: Trusted {
                transport: "driver",
                unit: "systemd-journald.service",
                ..SERVICE
            },
            ..APP
        };
        assert_eq!(judge(&gap).finding.unwrap().class, Class::SelfGap);
        let dump = JournalLine {
            message: "Process 812 (app) of user 1001 dumped core.\nstack",
            priority: "2",
            message_id: message_id::COREDUMP,
            coredump_unit: "app.service",
            coredump_comm: "app",
            trusted: Trusted {
                uid: "1001",
                unit: "systemd-coredump@0-812-0.service",
                ..SERVICE
            },
            ..APP
        };
        let finding = judge(&dump).finding.unwrap();
        assert_eq!(
            (finding.subject.as_str(), finding.unit()),
            ("app.service", "app.service")
        );
        for trusted in [EVE, SERVICE] {
            assert_eq!(judge(&JournalLine { trusted, ..gap }).finding, None);
            let forged = JournalLine {
                coredump_unit: "db.service",
                trusted,
                ..dump
            };
            let finding = judge(&forged).finding.unwrap();
            assert!(!finding.subject.contains("db"), "{}", finding.subject);
            assert_ne!(finding.unit(), "db.service");
        }
    }

    #[test]
    fn a_users_line_is_an_error_at_most_and_about_no_unit() {
        let rules = [(
            "own.toml".to_owned(),
            "[[rule]]\nname = \"own\"\nseverity = \"critical\"\nmatch = [\"(?P<subject>[a-z]+\\\\.service) is broken\"]\nclass = \"service_failed\"\n"
                .to_owned(),
        )];
        let rules = RuleSet::load(&rules).unwrap();
        let line = JournalLine {
            message: "web.service is broken",
            priority: "0",
            identifier: "web.service",
            about: "web.service",
            trusted: EVE,
            ..APP
        };
        let judge = |line: &JournalLine<'_>| {
            let mut judge = JournalJudge::new(77);
            judge.judge(line, &rules, Timestamp::from_millis(0)).finding
        };
        let finding = judge(&line).unwrap();
        assert_eq!(
            (finding.class, finding.severity, finding.unit()),
            (Class::LogError, Severity::Error, "")
        );
        assert_eq!(finding.subject, "web.service (uid 1001)");
        assert_eq!(finding.said_by.as_deref(), Some("uid 1001"));
        // The same words of a service are its own, under a rule of the operator's.
        let service = JournalLine {
            trusted: SERVICE,
            ..line
        };
        let finding = judge(&service).unwrap();
        assert_eq!(
            (finding.class, finding.unit()),
            (Class::ServiceFailed, "app.service")
        );
    }

    #[test]
    fn an_operators_rule_makes_no_kernel_fault_of_anybodys_words() {
        let rules = [(
            "own.toml".to_owned(),
            "[[rule]]\nname = \"own\"\nmatch = [\"disk (?P<subject>[a-z]+) is bad\"]\nclass = \"io_error\"\n"
                .to_owned(),
        )];
        let rules = RuleSet::load(&rules).unwrap();
        for trusted in [SERVICE, EVE, Trusted { uid: "0", ..EVE }] {
            let line = JournalLine {
                message: "disk sda is bad",
                identifier: "kernel",
                trusted,
                ..APP
            };
            let mut judge = JournalJudge::new(77);
            let verdict = judge.judge(&line, &rules, Timestamp::from_millis(0));
            assert_eq!(verdict.finding.unwrap().class, Class::LogError);
            assert!(!verdict.poke);
        }
    }

    #[test]
    fn only_the_kernel_tells_of_kernel_faults() {
        let oops = "BUG: unable to handle page fault for address: ffffffffdeadbeef";
        let line = JournalLine {
            message: oops,
            identifier: "kernel",
            trusted: Trusted {
                transport: "kernel",
                ..Trusted::default()
            },
            ..APP
        };
        assert_eq!(
            judge(&line).finding.unwrap().class,
            Class::KernelMemorySafety
        );
        let forged = JournalLine {
            trusted: EVE,
            ..line
        };
        assert_eq!(judge(&forged).finding.unwrap().class, Class::LogError);
    }
}
