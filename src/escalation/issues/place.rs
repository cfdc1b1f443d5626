//! What a tracker has to know of its server.

use std::path::PathBuf;
use std::time::Duration;

use super::vendor::Vendor;
use crate::core::config::{ChannelKind, Notify};
use crate::escalation::token::{self, Secret, TokenError};

/// Where the issues are, and how they are written there.
#[derive(Clone, Debug)]
pub struct IssuePlace {
    /// Whose API is spoken.
    pub vendor: Vendor,
    /// Name in the outbox.
    pub destination: String,
    /// As configured, without the path of the API.
    pub url: String,
    /// `owner/name`; at GitLab also below groups.
    pub project: String,
    /// Readable by its owner alone.
    pub token_file: String,
    /// Name of the systemd credential in its place.
    pub credential: String,
    /// systemd's `$CREDENTIALS_DIRECTORY`.
    pub credentials: Option<PathBuf>,
    /// Beside the one by which an issue is found again.
    pub labels: Vec<String>,
    /// Names of users.
    pub assignees: Vec<String>,
    /// Everybody may see the issues.
    pub allow_public: bool,
    /// GitLab: members of the project alone see them.
    pub confidential: bool,
    /// A closed issue younger than this is reopened rather than followed by a new one.
    pub reopen: Duration,
}

impl IssuePlace {
    /// Those of a channel; `None` where it is no tracker.
    pub fn of(notify: &Notify, credentials: Option<PathBuf>, reopen: Duration) -> Option<Self> {
        let vendor = match notify.kind {
            ChannelKind::Gitea => Vendor::Gitea,
            ChannelKind::GitLab => Vendor::GitLab,
            ChannelKind::Webhook
            | ChannelKind::Slack
            | ChannelKind::Teams
            | ChannelKind::Ntfy
            | ChannelKind::Telegram
            | ChannelKind::Email
            | ChannelKind::Mqtt => return None,
        };
        Some(Self {
            vendor,
            destination: notify.name.clone(),
            url: notify.url.clone(),
            project: notify.project.clone(),
            token_file: notify.token_file.clone(),
            credential: notify.credential(),
            credentials,
            labels: notify.labels.clone(),
            assignees: notify.assignees.clone(),
            allow_public: notify.allow_public,
            confidential: notify.confidential,
            reopen,
        })
    }

    /// How a key of its section is named to a human.
    pub(super) fn key(&self, key: &str) -> String {
        match self.vendor {
            Vendor::GitHub => format!("escalation.github.{key}"),
            Vendor::Gitea | Vendor::GitLab => format!("{key} of notify '{}'", self.destination),
        }
    }

    pub(super) fn read_token(&self) -> Result<Secret, TokenError> {
        let file = PathBuf::from(&self.token_file);
        token::read_named(&file, self.credentials.as_deref(), &self.credential)
    }
}
