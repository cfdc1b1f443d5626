//! A finding: one observation of a detector.

use crate::core::model::class::{Class, Clearing};
use crate::core::model::facts::{Fact, Facts, Key};
use crate::core::model::named::named;
use crate::core::model::text::cut;
use crate::core::model::time::Timestamp;

named! {
    /// How bad. The order is the order of delivery when the uplink returns.
    Severity "severity" {
        /// Worth a note; harms nothing.
        Info = "info",
        /// Will become an error if it goes on.
        Warning = "warning",
        /// Something does not work.
        Error = "error",
        /// The host, or what it is there for, is at stake.
        Critical = "critical",
    }
}

/// Longest message kept, in bytes; only these count for the fingerprint.
pub const MESSAGE_CAP: usize = 4096;
/// Longest subject kept, in bytes. systemd's unit names end at 255.
pub const SUBJECT_CAP: usize = 256;

/// One observation: class, subject, message, evidence, severity.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// With subject and template of the message it makes the fingerprint.
    pub class: Class,
    /// Unit, port, mount, file…: what the fault is about. May be empty only for `log_error` without a unit.
    pub subject: String,
    /// Decides who is worked on and told first; no part of the fingerprint.
    pub severity: Severity,
    /// At most `MESSAGE_CAP` bytes.
    pub message: String,
    /// Facts beside the message.
    pub evidence: Facts,
    /// Detector or stream that saw it (`issue_source` in the store).
    pub source: String,
    /// Of the last of the observations.
    pub seen_at: Timestamp,
    /// Number of equal observations this one stands for; at least 1.
    pub count: u64,
    /// Whose line it stands on, where nothing but a line tells of it; `None` for what the host itself confirms:
    /// service manager, sweep, probe, kernel.
    pub said_by: Option<String>,
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
            evidence: Facts::default(),
            source: source.to_owned(),
            seen_at,
            count: 1,
            said_by: None,
        }
    }

    /// Only a line of `writer` tells of it.
    #[must_use]
    pub fn said_by(mut self, writer: &str) -> Self {
        self.said_by = Some(writer.to_owned());
        self
    }

    /// Adds one fact; none, or an empty text, is left out.
    #[must_use]
    pub fn with<'a>(mut self, fact: impl Into<Option<Fact<'a>>>) -> Self {
        if let Some(fact) = fact.into() {
            self.evidence.add(fact);
        }
        self
    }

    /// A fact as it is written.
    pub(crate) fn fact(&self, key: Key) -> Option<&str> {
        self.evidence.text(key)
    }

    /// The unit that it is about: the fact, or else the subject where a look at the host has established it. The
    /// subject of a line may be any name that its writer chose.
    pub(crate) fn unit(&self) -> &str {
        match (self.fact(Key::Unit), self.class.clearing()) {
            (Some(unit), _) => unit,
            (None, Clearing::Sweep) if self.said_by.is_none() => &self.subject,
            (None, _) => "",
        }
    }
}
