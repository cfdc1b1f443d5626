//! One log line as the rules see it, whatever carried it.

use crate::core::reading::level::Level;
use crate::core::reading::shape::Spoken;

/// What carried the line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// The writer chose the priority (syslog, journal API, `<3>` prefix).
    Leveled,
    /// Plain text: a log file, or a service's standard output. Only the text tells.
    Text,
}

/// A line as the rules see it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LogLine<'a> {
    /// What the program wrote; rules match this.
    pub text: &'a str,
    /// What it said: without its own time, level and JSON.
    pub message: &'a str,
    /// Unit that wrote it; empty when unknown.
    pub unit: &'a str,
    /// Program name as syslog knows it; empty when unknown.
    pub identifier: &'a str,
    /// The level that it states, or its carrier for it.
    pub level: Option<Level>,
    /// It goes on with what the line before it began: a frame of a stack trace.
    pub continues: bool,
    pub origin: Origin,
}

impl<'a> LogLine<'a> {
    /// A line of a file that belongs to `unit`, which may be unknown.
    pub fn spoken(spoken: &'a Spoken<'_>, unit: &'a str) -> Self {
        Self {
            text: &spoken.text,
            message: &spoken.message,
            unit,
            identifier: &spoken.program,
            level: spoken.level,
            continues: spoken.continues,
            origin: Origin::Text,
        }
    }

    /// What a finding from this line is about.
    pub fn subject(&self) -> &'a str {
        if self.unit.is_empty() {
            self.identifier
        } else {
            self.unit
        }
    }
}
