//! GitHub as the tracker that `[escalation.github]` configures, whose answers are heard.

pub mod check;
pub mod events;

use std::path::PathBuf;
use std::time::Duration;

use super::http::Transport;
use super::issues::vendor::Vendor;
use super::issues::{IssuePlace, IssueTracker};
use crate::core::config;
use crate::core::human::route::GITHUB;

/// GitHub's tracker is the same as that of every server of issues.
pub type GitHub = IssueTracker;

/// Name of its systemd credential.
const CREDENTIAL: &str = "github-token";

/// What GitHub's tracker needs to know beside its transport.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Section `[escalation.github]`.
    pub github: config::Github,
    /// systemd's `$CREDENTIALS_DIRECTORY`.
    pub credentials: Option<PathBuf>,
    /// A closed issue younger than this is reopened rather than followed by a new one.
    pub reopen: Duration,
}

impl From<Settings> for IssuePlace {
    fn from(settings: Settings) -> Self {
        let github = settings.github;
        Self {
            vendor: Vendor::GitHub,
            destination: GITHUB.to_owned(),
            url: github.api_url,
            project: github.repository,
            token_file: github.token_file,
            credential: CREDENTIAL.to_owned(),
            credentials: settings.credentials,
            labels: github.labels,
            assignees: github.assignees,
            allow_public: github.allow_public,
            confidential: false,
            reopen: settings.reopen,
        }
    }
}

impl IssueTracker {
    /// Sends nothing and reads no token before the first delivery.
    pub fn new(settings: Settings, transport: Box<dyn Transport + Send>) -> Self {
        Self::on(settings.into(), transport)
    }
}
