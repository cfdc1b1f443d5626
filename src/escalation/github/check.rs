//! What `doctor` says about the way to GitHub.

use std::path::PathBuf;
use std::time::Duration;

use super::Settings;
use crate::core::config;
use crate::core::model::time::Timestamp;
use crate::escalation::issues::IssuePlace;
use crate::escalation::issues::check::{self, Check};

/// As `issues::check` says of every tracker.
pub fn check(config: &config::Github, credentials: Option<PathBuf>, now: Timestamp) -> Vec<Check> {
    let place: IssuePlace = Settings {
        github: config.clone(),
        credentials,
        reopen: Duration::ZERO,
    }
    .into();
    let timeout = Duration::from_secs(config.timeout_s);
    check::check(&place, timeout, &config.ca_file, now)
}
