//! A finding: one observation of a detector.

use std::collections::BTreeMap;

use crate::core::model::class::Class;
use crate::core::model::named::named;
use crate::core::model::text::cut;
use crate::core::model::time::Timestamp;

named! {
    /// How bad. The order is the order of delivery when the uplink returns.
    Severity "severity" {
        Info = "info",
        Warning = "warning",
        Error = "error",
        Critical = "critical",
    }
}

/// Longest message kept, in bytes; only these count for the fingerprint.
pub const MESSAGE_CAP: usize = 4096;
/// Longest subject kept, in bytes. systemd's unit names end at 255.
pub const SUBJECT_CAP: usize = 256;

/// Facts beside the message, by well-known key (see [`evidence`]).
pub type Evidence = BTreeMap<String, String>;

/// Well-known evidence keys: what detectors write and causes, runbooks and actions read.
pub mod evidence {
    pub const UNIT: &str = "unit";
    pub const RESULT: &str = "result";
    pub const EXIT_CODE: &str = "exit_code";
    pub const EXIT_STATUS: &str = "exit_status";
    pub const N_RESTARTS: &str = "n_restarts";
    /// `yes` when the service manager refuses to start the unit again so soon.
    pub const START_LIMIT: &str = "start_limit";
    /// Unit file setting that names the path (`ExecStart`, `WorkingDirectory`, …).
    pub const SETTING: &str = "setting";
    pub const PATH: &str = "path";
    /// Where the path was found to have moved to.
    pub const MOVED_TO: &str = "moved_to";
    /// How the new place is known: `bundle`, `sibling`, `same_name`.
    pub const MOVED_HOW: &str = "moved_how";
    /// Transport and number, as in `tcp/8080`.
    pub const PORT: &str = "port";
    pub const HOLDER_PID: &str = "holder_pid";
    /// Start time of the holder in clock ticks since boot (`/proc/PID/stat` field 22).
    pub const HOLDER_START: &str = "holder_start";
    pub const HOLDER_COMMAND: &str = "holder_command";
    pub const HOLDER_EXE: &str = "holder_exe";
    /// Unit the holder belongs to; absent when it belongs to none.
    pub const HOLDER_UNIT: &str = "holder_unit";
    pub const MOUNT: &str = "mount";
    pub const DEVICE: &str = "device";
    pub const USED_PERCENT: &str = "used_percent";
    pub const AVAILABLE_BYTES: &str = "available_bytes";
    pub const PROBE: &str = "probe";
    /// Last lines of the unit's own log, newest first.
    pub const LOG: &str = "log";
}

/// One observation: class, subject, message, evidence, severity.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    pub class: Class,
    /// Unit, port, mount, file…: what the fault is about. May be empty only for `log_error` without a unit.
    pub subject: String,
    pub severity: Severity,
    pub message: String,
    pub evidence: Evidence,
    /// Detector or stream that saw it (`issue_source` in the store).
    pub source: String,
    pub seen_at: Timestamp,
    /// Number of equal observations this one stands for; at least 1.
    pub count: u64,
}

impl Finding {
    /// A finding with no evidence yet. Message and subject are cut at their caps.
    pub fn new(
        class: Class,
        subject: &str,
        severity: Severity,
        message: &str,
        source: &str,
        seen_at: Timestamp,
    ) -> Self {
        Self {
            class,
            subject: cut(subject, SUBJECT_CAP).to_owned(),
            severity,
            message: cut(message, MESSAGE_CAP).to_owned(),
            evidence: Evidence::new(),
            source: source.to_owned(),
            seen_at,
            count: 1,
        }
    }

    /// Adds one fact; an empty value is left out.
    #[must_use]
    pub fn with(mut self, key: &str, value: impl Into<String>) -> Self {
        let value = value.into();
        if !value.is_empty() {
            self.evidence.insert(key.to_owned(), value);
        }
        self
    }

    pub fn fact(&self, key: &str) -> Option<&str> {
        self.evidence.get(key).map(String::as_str)
    }
}
