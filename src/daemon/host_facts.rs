//! What the gates ask of host and store, read now: the same for a worker and for a command beside the daemon.

use std::io::ErrorKind::NotFound;
use std::time::Duration;

use crate::core::config::Config;
use crate::core::model::time::Timestamp;
use crate::core::remedy::gates::{self, Closed};
use crate::core::remedy::host_facts::HostFacts;
use crate::core::remedy::kill_switch;
use crate::core::remedy::silence::Silences;
use crate::host::Host;
use crate::store::{Reader, StoreError};

/// The daemon as the gates know it; none that runs is the default.
#[derive(Clone, Copy, Debug, Default)]
pub struct Life {
    pub started_at: Option<Timestamp>,
    /// It only looks.
    pub dry_run: bool,
}

/// What the gates ask of the store.
#[derive(Clone, Debug, Default)]
pub struct StoreFacts {
    /// When it was restored, while no full clean sweep has followed.
    pub restored: Option<Timestamp>,
    pub silences: Silences,
}

impl StoreFacts {
    pub fn of(reader: &Reader) -> Result<Self, StoreError> {
        Ok(Self {
            restored: reader.restored()?,
            silences: reader.silences()?,
        })
    }
}

/// What the gates ask, read now: the same for a worker and for a command beside the daemon.
pub fn host_facts(host: &Host, config: &Config, life: Life, store: StoreFacts) -> HostFacts {
    let grace = Duration::from_secs(config.daemon.startup_grace_s);
    let now = host.clock.now();
    HostFacts {
        kill_switch: kill_switch(host, config),
        clock_sane: host.clock.is_sane(),
        grace_until: life
            .started_at
            .map(|at| at.plus(grace))
            .filter(|until| *until > now),
        restored: store.restored,
        dry_run: life.dry_run,
        ahead_s: host.clock.ahead_s(),
        silences: store.silences,
    }
}

/// The gates that are closed now whatever the task: why no repair is made on this host.
pub fn paused(host: &Host, config: &Config, life: Life, store: StoreFacts) -> Vec<Closed> {
    let now = host.clock.now();
    let facts = host_facts(host, config, life, store).gates(config, Duration::ZERO, now);
    gates::closed(&facts, now).collect()
}

/// Why the kill switch is on, if it is.
fn kill_switch(host: &Host, config: &Config) -> Option<String> {
    let file = &config.daemon.kill_switch;
    match host.read(file, 4096) {
        Ok(text) => {
            let right = host.clock.is_sane() && host.clock.is_synced().unwrap_or(false);
            kill_switch::reason(&text, right.then(|| host.clock.wall()))
        }
        // Not even a link that leads nowhere.
        Err(why)
            if why.kind() == NotFound
                && host
                    .path(file)
                    .symlink_metadata()
                    .is_err_and(|why| why.kind() == NotFound) =>
        {
            None
        }
        // Present but unreadable: somebody wanted it on.
        Err(why) => Some(format!("{file}: {why}")),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::host::clock::Clock;

    #[test]
    fn what_cannot_be_read_is_on() {
        let dir = tempfile::tempdir().unwrap();
        let now: Timestamp = "2026-03-01 12:00:00".parse().unwrap();
        let host = Host::at(dir.path(), Clock::manual(now));
        let mut config = Config::default();
        config.daemon.kill_switch = "/off".to_owned();
        let file = dir.path().join("off");
        let on = || kill_switch(&host, &config).is_some();
        assert!(!on());
        std::os::unix::fs::symlink("/nowhere/at/all", &file).unwrap();
        assert!(on(), "a link that leads nowhere");
        std::fs::remove_file(&file).unwrap();
        std::fs::create_dir(&file).unwrap();
        assert!(on(), "a directory");
        std::fs::remove_dir(&file).unwrap();
        std::fs::write(&file, "until = 2026-03-01T12:00:01Z\n").unwrap();
        assert!(on());
        host.clock.advance(Duration::from_secs(2));
        assert!(!on(), "its time is over");
    }
}
