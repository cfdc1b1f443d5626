//! What the command line tests share: a gateway in a temporary directory, and the real program.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use autonomous_orchestrator::{
    ActionKind, Class, Fact, Finding, Intake, NewEscalation, Proposal, Proposed, Severity, Store,
    StoreOptions, TaskId, Terms, Timestamp,
};

/// A state directory, a runtime directory and a configuration that names them.
pub struct Gateway {
    pub dir: tempfile::TempDir,
}

/// What a run of the program gave.
pub struct Ran {
    pub code: i32,
    pub out: String,
    pub err: String,
}

impl Ran {
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.out)
            .unwrap_or_else(|why| panic!("{why}: {} {}", self.out, self.err))
    }
}

impl Gateway {
    pub fn new() -> Self {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let gateway = Self { dir };
        gateway.configure("");
        gateway
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Writes the configuration: the paths of this gateway, then `more`.
    pub fn configure(&self, more: &str) {
        let root = self.dir.path().display();
        let text = format!(
            "[daemon]\nstate_dir = \"{root}/state\"\nruntime_dir = \"{root}/run\"\n\
             kill_switch = \"{root}/disable\"\nrules_dir = \"{root}/rules.d\"\n\
             runbooks_dir = \"{root}/runbooks.d\"\nbundle = \"{root}/knowledge.bundle\"\n{more}"
        );
        std::fs::write(self.path("config.toml"), text).expect("config");
    }

    pub fn run(&self, args: &[&str]) -> Ran {
        let config = self.path("config.toml");
        let mut all = vec!["--config", config.to_str().expect("UTF-8")];
        all.extend(args);
        run(&all)
    }

    pub fn options(&self) -> StoreOptions {
        std::fs::create_dir_all(self.path("state")).expect("state directory");
        StoreOptions::at(self.path("state").join("tasks.db"))
    }

    /// A store with an escalated task 1 and a plain task 2, the latter with hostile text.
    pub fn filled(&self, now: Timestamp) {
        let (store, _) = Store::open(&self.options(), now).expect("a store");
        let finding = |subject, message| {
            Finding::new(
                Class::ServiceFailed,
                subject,
                Severity::Error,
                message,
                "service_failed",
                now,
            )
            .with(Fact::Unit(subject))
        };
        let findings = vec![
            finding("web.service", "web.service failed: exit status 1"),
            finding(
                "db.service",
                "</td><script>alert(1)</script>\u{1b}[2J failed",
            ),
        ];
        let batch = Intake {
            findings,
            cursor: None,
        };
        store.intake(batch, now).expect("recorded");
        let escalation = NewEscalation {
            reason: "mode suggest: a human must approve".to_owned(),
            title: "web.service failed".to_owned(),
            body: "# What\nIt failed.\n</pre><script>alert(1)</script>".to_owned(),
            severity: Severity::Error,
            retry_at: None,
            proposed: Some(Proposed {
                action: restart("web.service"),
                by_name: false,
                held_back: false,
            }),
        };
        store
            .escalate(TaskId::from_number(1), escalation, "worker-1", now)
            .expect("escalated");
    }
}

/// What task 1 proposes.
pub fn restart(unit: &str) -> Proposal {
    Proposal {
        kind: ActionKind::RestartUnit,
        command: None,
        text: format!("restart {unit}"),
        terms: Terms::undone_by("nothing to take back").with("unit", unit),
    }
}

/// Runs the program with an empty standard input.
pub fn run(args: &[&str]) -> Ran {
    run_with(args, |_| {})
}

pub fn run_with(args: &[&str], change: impl FnOnce(&mut Command)) -> Ran {
    let mut command = Command::new(env!("CARGO_BIN_EXE_autonomous-orchestrator"));
    command
        .args(args)
        .stdin(Stdio::null())
        .env_remove("NO_COLOR");
    change(&mut command);
    let output = command.output().expect("the program starts");
    Ran {
        code: output.status.code().unwrap_or(-1),
        out: String::from_utf8_lossy(&output.stdout).into_owned(),
        err: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}

/// All files below a directory, by their path in it.
pub fn files(root: &Path) -> Vec<String> {
    let mut found = Vec::new();
    let mut open = vec![root.to_owned()];
    while let Some(dir) = open.pop() {
        for entry in std::fs::read_dir(dir).expect("readable").flatten() {
            let path = entry.path();
            if entry.file_type().expect("a type").is_dir() {
                open.push(path);
            } else {
                let inside = path.strip_prefix(root).expect("below");
                found.push(inside.display().to_string());
            }
        }
    }
    found.sort();
    found
}
