//! Which destinations are served, and what each is spoken to with.

use std::path::PathBuf;
use std::time::Duration;

use crate::core::config;
use crate::core::human::answer::AnswerKey;
use crate::core::model::hint::Hint;
use crate::daemon::runtime::Runtime;
use crate::escalation::channel::{Channel, Line, Teller};
use crate::escalation::courier::{Courier, Limits};
use crate::escalation::github::Settings;
use crate::escalation::http::Https;
use crate::escalation::issues::{IssuePlace, IssueTracker};
use crate::escalation::tracker::AnyTracker;
use crate::host::net::TlsError;

/// systemd's `$CREDENTIALS_DIRECTORY`.
pub(super) fn credentials() -> Option<PathBuf> {
    std::env::var_os("CREDENTIALS_DIRECTORY").map(PathBuf::from)
}

/// `None` keeps everything local.
pub(super) fn tracker(runtime: &Runtime, config: &config::Config) -> Option<Courier<AnyTracker>> {
    let reopen = Duration::from_secs(config.escalation.reopen_s);
    let (place, section, timeout_s, ca_file) = match (&config.escalation.github, config.tracker()) {
        (Some(github), _) => {
            let settings = Settings {
                github: github.clone(),
                credentials: credentials(),
                reopen,
            };
            let section = "escalation.github".to_owned();
            (
                IssuePlace::from(settings),
                section,
                github.timeout_s,
                &github.ca_file,
            )
        }
        (None, Some(notify)) => (
            IssuePlace::of(notify, credentials(), reopen)?,
            format!("notify '{}'", notify.name),
            notify.timeout_s,
            &notify.ca_file,
        ),
        (None, None) => return None,
    };
    let transport = Https::new(Duration::from_secs(timeout_s), ca_file)
        .map_err(|why| not_served(&section, &why))
        .ok()?
        .stopped_by(runtime.stop_flag());
    let gateway_id = runtime.store.gateway_id().unwrap_or_default();
    let tracker: AnyTracker = Box::new(IssueTracker::on(place, Box::new(transport)));
    Some(Courier::new(
        tracker,
        Limits::new(&config.escalation, &gateway_id),
    ))
}

/// Who speaks on channels.
pub(super) fn teller(runtime: &Runtime) -> Teller {
    Teller {
        gateway: runtime.host_name(&runtime.loaded()),
        gateway_id: runtime.store.gateway_id().unwrap_or_default(),
        credentials: credentials(),
        answer_key: answer_key(runtime),
    }
}

/// What proves which buttons are ours; made at the first need.
pub(super) fn answer_key(runtime: &Runtime) -> Option<AnswerKey> {
    let config = &runtime.loaded().config;
    if config.notify.iter().all(|one| one.answers_from.is_empty()) {
        return None;
    }
    let store = &runtime.store;
    let key = store.answer_secret().and_then(|secret| {
        let restored = store.reader()?.last_restore()?;
        Ok(AnswerKey::new(&secret, restored, &store.gateway_id()?))
    });
    key.map_err(|why| log::error!("answers are not heard: {}", why.with_hint()))
        .ok()
}

/// The channels; one that cannot be served is left out and said.
pub(super) fn channels(runtime: &Runtime, config: &config::Config) -> Vec<Courier<AnyTracker>> {
    let teller = teller(runtime);
    let served = config.channels().into_iter().filter_map(|notify| {
        let line = Line::open(&notify, &teller, runtime.stop_flag())
            .map_err(|why| not_served(&format!("notify '{}'", notify.name), &why))
            .ok()?;
        let limits = Limits {
            // Its receiver is the operator's own: nobody's shared limit is to be kept.
            spread: Duration::ZERO,
            ..Limits::new(&config.escalation, &teller.gateway_id)
        };
        let schedule = notify.schedule();
        let channel = Channel::new(notify, &teller, line);
        let channel: AnyTracker = Box::new(channel);
        Some(Courier::new(channel, limits).by(schedule))
    });
    served.collect()
}

pub(super) fn not_served(section: &str, why: &TlsError) {
    log::error!(
        "{section}: {}; nothing is delivered until the configuration is put right",
        why.with_hint()
    );
}
