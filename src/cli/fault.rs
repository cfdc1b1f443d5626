//! Mistakes in the operator's files, as a human and a program are told.

use std::fmt;
use std::path::Path;

use serde_json::Value;

use crate::core::config::ConfigError;
use crate::core::model::object::object;

/// A mistake in one of the operator's files.
#[derive(Debug)]
pub(super) struct Fault {
    pub(super) file: String,
    /// From 1; 0 when the whole file is meant.
    pub(super) line: usize,
    /// Path of the key, as in `probe[1].tcp`; empty where none is meant.
    pub(super) key: String,
    pub(super) what: String,
    /// What was meant, or what to do; may be empty.
    pub(super) hint: String,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.file)?;
        if self.line > 0 {
            write!(f, ":{}", self.line)?;
        }
        write!(f, ": {}", self.what)?;
        match self.hint.as_str() {
            "" => Ok(()),
            hint => write!(f, ": {hint}"),
        }
    }
}

impl Fault {
    pub(super) fn of_config(file: &Path, why: ConfigError) -> Self {
        let meant = |name: String| format!("did you mean '{name}'?");
        Self {
            file: file.display().to_string(),
            line: why.line,
            key: why.key,
            what: why.what,
            hint: why.suggestion.map(meant).unwrap_or_default(),
        }
    }

    pub(super) fn to_json(&self) -> Value {
        object!({
            "file": self.file,
            "line": (self.line > 0).then_some(self.line),
            "key": (!self.key.is_empty()).then_some(&self.key),
            "what": self.what,
            "hint": self.hint,
        })
    }
}
