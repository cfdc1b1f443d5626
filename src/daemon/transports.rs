//! Which destinations are served, and what each is spoken to with.

use std::path::PathBuf;
use std::time::Duration;

use crate::core::config;
use crate::core::model::hint::Hint;
use crate::daemon::runtime::Runtime;
use crate::escalation::courier::{Courier, Limits};
use crate::escalation::github::{GitHub, Settings};
use crate::escalation::http::Https;
use crate::escalation::webhook::Webhook;
use crate::host::net::TlsError;

/// systemd's `$CREDENTIALS_DIRECTORY`.
pub(super) fn credentials() -> Option<PathBuf> {
    std::env::var_os("CREDENTIALS_DIRECTORY").map(PathBuf::from)
}

/// `None` keeps everything local.
pub(super) fn github(runtime: &Runtime, config: &config::Escalation) -> Option<Courier<GitHub>> {
    let github = config.github.clone()?;
    let transport = Https::new(Duration::from_secs(github.timeout_s), &github.ca_file)
        .map_err(|why| not_served("escalation.github", &why))
        .ok()?
        .stopped_by(runtime.stop_flag());
    let settings = Settings {
        github,
        credentials: credentials(),
        reopen: Duration::from_secs(config.reopen_s),
    };
    let gateway_id = runtime.store.gateway_id().unwrap_or_default();
    Some(Courier::new(
        GitHub::new(settings, Box::new(transport)),
        Limits::new(config, &gateway_id),
    ))
}

pub(super) fn webhook(runtime: &Runtime, config: &config::Config) -> Option<Courier<Webhook>> {
    let webhook = config.webhook.clone();
    if webhook.url.is_empty() {
        return None;
    }
    let timeout = Duration::from_secs(webhook.timeout_s);
    let transport = Https::with_plain(timeout, &webhook.ca_file)
        .map_err(|why| not_served("webhook", &why))
        .ok()?
        .stopped_by(runtime.stop_flag());
    let gateway_id = runtime.store.gateway_id().unwrap_or_default();
    let limits = Limits {
        // Its receiver is the operator's own: nobody's shared limit is to be kept.
        spread: Duration::ZERO,
        ..Limits::new(&config.escalation, &gateway_id)
    };
    let gateway = runtime.host_name(&runtime.loaded());
    let tracker = Webhook::new(Box::new(transport), webhook, credentials(), &gateway);
    Some(Courier::new(tracker, limits))
}

pub(super) fn not_served(section: &str, why: &TlsError) {
    log::error!(
        "{section}: {}; nothing is delivered until the configuration is put right",
        why.with_hint()
    );
}
