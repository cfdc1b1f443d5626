//! One hostile finding through every command that prints: no raw control byte and no markup gets out.

use autonomous_orchestrator::{
    ActionKind, Class, Fact, Finding, Intake, NewEscalation, Proposal, Proposed, Severity, Store,
    TaskId, Terms, Timestamp,
};

use crate::cli_tool::Gateway;

const HOSTILE: &str = "bad\n<2>audit head 00\r\u{1b}[2J\u{1b}]0;t\u{7}\u{8}\u{7f}\u{9b}31m\u{85}x\u{202e}y\u{2028}z\u{2029}\u{2066}\u{feff}\u{200b}</td><script>alert(1)</script>";

fn gateway(now: Timestamp) -> Gateway {
    let gateway = Gateway::new();
    let (store, _) = Store::open(&gateway.options(), now).expect("a store");
    let finding = Finding::new(
        Class::LogError,
        HOSTILE,
        Severity::Error,
        HOSTILE,
        "journal",
        now,
    )
    .with(Fact::Unit(HOSTILE))
    .with(Fact::Log(HOSTILE));
    let batch = Intake {
        findings: vec![finding],
        cursor: None,
    };
    store.intake(batch, now).expect("recorded");
    let escalation = NewEscalation {
        reason: HOSTILE.to_owned(),
        title: HOSTILE.to_owned(),
        body: HOSTILE.to_owned(),
        severity: Severity::Error,
        retry_at: None,
        proposed: Some(Proposed {
            action: Proposal {
                kind: ActionKind::RestartUnit,
                command: None,
                text: HOSTILE.to_owned(),
                terms: Terms::undone_by(HOSTILE).with(HOSTILE, HOSTILE),
            },
            by_name: false,
            held_back: false,
        }),
    };
    store
        .escalate(TaskId::from_number(1), escalation, HOSTILE, now)
        .expect("escalated");
    gateway
}

/// Acts instead of being read; line breaks of the page itself are fine.
fn active(c: char) -> bool {
    c.is_control() && c != '\n'
        || matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
}

#[test]
fn no_command_lets_a_log_line_act() {
    let gateway = gateway("2026-01-05 10:00:00".parse().expect("a time"));
    for command in [
        "tasks --all",
        "tasks show 1",
        "explain 1",
        "history",
        "history 1",
        "escalations --all",
        "escalations show 1",
        "outbox",
        "status",
        "stats",
        "learn",
        "audit verify",
        "report -",
        "doctor",
        "scan --all",
    ] {
        for json in [false, true] {
            let mut args: Vec<&str> = command.split(' ').collect();
            if json {
                args.push("--json");
            }
            let ran = gateway.run(&args);
            for text in [&ran.out, &ran.err] {
                let found: Vec<char> = text.chars().filter(|c| active(*c)).collect();
                assert!(found.is_empty(), "{args:?}: {found:?} in {text:?}");
                let forged = text.lines().any(|line| line.starts_with("<2>"));
                assert!(!forged, "{args:?}: a forged line in {text}");
            }
            if command.starts_with("report") && !json {
                assert_eq!(ran.code, 0, "{}", ran.err);
                assert!(ran.out.contains("&lt;script&gt;alert(1)"), "{}", ran.out);
                assert!(!ran.out.contains("<script>alert(1)"));
            }
        }
    }
}
