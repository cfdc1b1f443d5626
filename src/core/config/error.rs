//! What is wrong in a configuration file.

use std::fmt;

/// What is wrong in the file, where, and what to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigError {
    /// 1-based; 0 when the whole file is meant.
    pub line: usize,
    /// Path of the key, as in `probe[1].tcp`; empty where none is meant.
    pub key: String,
    /// Names the key itself where there is one.
    pub what: String,
    pub suggestion: Option<String>,
}

impl ConfigError {
    /// What is wrong with the value of `key`; where that stands is found later.
    pub(super) fn of(key: impl Into<String>, what: impl Into<String>) -> Self {
        Self {
            line: 0,
            key: key.into(),
            what: what.into(),
            suggestion: None,
        }
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.line > 0 {
            write!(f, "line {}: ", self.line)?;
        }
        f.write_str(&self.what)?;
        match &self.suggestion {
            Some(name) => write!(f, "; did you mean '{name}'?"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for ConfigError {}
