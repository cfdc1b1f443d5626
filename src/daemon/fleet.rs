//! The fleet thread: Alertmanager, dead-man's ping and metrics. No queue: what is true now is told now.

use std::time::Duration;

use crate::core::config;
use crate::core::human::alert::{self, Alert, RESOLVED_FOR, Speaker};
use crate::core::human::stats::{Figures, compute};
use crate::core::model::hint::Hint;
use crate::core::model::sorted::SortedSet;
use crate::core::model::time::Timestamp;
use crate::daemon::gauges;
use crate::daemon::runtime::Runtime;
use crate::daemon::supervisor;
use crate::daemon::transports::not_served;
use crate::escalation::alertmanager::Alertmanager;
use crate::escalation::http::Https;
use crate::escalation::ping::Ping;
use crate::escalation::textfile;
use crate::host::net::account::charged;
use crate::store::StoreError;

/// Longest wait without a ring.
const IDLE_WAIT: Duration = Duration::from_secs(30);
/// Least time between two passes: a storm of changes is one round.
const PASS_GAP: Duration = Duration::from_secs(1);
/// What the figures of a week are computed of, and how often: they read each of its tasks.
const WEEK: Duration = Duration::from_secs(7 * 86_400);
const FIGURES_EVERY: Duration = Duration::from_secs(600);

/// What tells two alerts apart, and whether it is over.
type Known = SortedSet<(String, bool)>;

/// The destinations of one configuration.
struct Fleet {
    alertmanager: config::Alertmanager,
    ping: config::Ping,
    metrics: config::Metrics,
    sender: Option<Alertmanager>,
    pinger: Option<Ping>,
    known: Known,
    metrics_at: Timestamp,
    metrics_failed: bool,
    week: Figures,
    figures_at: Timestamp,
}

/// Thread body.
pub fn run(runtime: &Runtime) {
    let mut fleet: Option<Fleet> = None;
    let mut rings = 0;
    while !runtime.stopping() {
        let loaded = runtime.loaded();
        let config = &loaded.config;
        if !fleet.as_ref().is_some_and(|fleet| fleet.serves(config)) {
            fleet = Some(Fleet::new(runtime, config));
        }
        let mut wait = IDLE_WAIT;
        if let Some(fleet) = fleet.as_mut().filter(|_| !runtime.dry_run) {
            let now = runtime.host.clock.now();
            match fleet.pass(runtime, now) {
                Ok(next) => wait = next.since(runtime.host.clock.now()),
                Err(why) => log::warn!("fleet: {}: trying again", why.with_hint()),
            }
        }
        runtime.beat("fleet");
        rings = runtime.courier.wait(rings, wait.clamp(PASS_GAP, IDLE_WAIT));
    }
}

impl Fleet {
    fn new(runtime: &Runtime, config: &config::Config) -> Self {
        let gateway = runtime.store.gateway_id().unwrap_or_default();
        Self {
            sender: sender(runtime, &config.alertmanager, &gateway),
            pinger: pinger(runtime, &config.ping),
            alertmanager: config.alertmanager.clone(),
            ping: config.ping.clone(),
            metrics: config.metrics.clone(),
            known: Known::new(),
            metrics_at: Timestamp::from_millis(i64::MIN),
            metrics_failed: false,
            week: Figures::default(),
            figures_at: Timestamp::from_millis(i64::MIN),
        }
    }

    fn serves(&self, config: &config::Config) -> bool {
        self.alertmanager == config.alertmanager
            && self.ping == config.ping
            && self.metrics == config.metrics
    }

    /// Does what is due; when the next thing is.
    fn pass(&mut self, runtime: &Runtime, now: Timestamp) -> Result<Timestamp, StoreError> {
        let mut next = now.plus(IDLE_WAIT);
        if let Some(pinger) = &mut self.pinger {
            // A daemon whose threads hang must not sound alive.
            let well = runtime.all_threads_alive(supervisor::STUCK_AFTER);
            let account = runtime.uplink.account("ping");
            next = next.min(charged(&account, || pinger.tick(well, now)));
            runtime.uplink.tried("ping", pinger.fails());
            runtime.beat("fleet");
        }
        if let Some(sender) = &mut self.sender {
            let alerts = current(runtime, &self.alertmanager, now)?;
            let known = alerts.iter().map(identity).collect();
            if known != self.known {
                sender.hurry(now);
                self.known = known;
            }
            let account = runtime.uplink.account("alertmanager");
            while charged(&account, || sender.tick_one(&alerts, now)).is_some()
                && !runtime.stopping()
            {
                runtime.beat("fleet");
            }
            next = sender.next_at().map_or(next, |at| next.min(at));
        }
        if !self.metrics.textfile.is_empty() {
            if now >= self.metrics_at {
                self.write_metrics(runtime, now)?;
                self.metrics_at = now.plus(Duration::from_secs(self.metrics.every_s));
            }
            next = next.min(self.metrics_at);
        }
        Ok(next)
    }

    fn write_metrics(&mut self, runtime: &Runtime, now: Timestamp) -> Result<(), StoreError> {
        if now >= self.figures_at {
            let rows = runtime.store.reader()?.settled_since(now.minus(WEEK))?;
            self.week = compute(&rows).all;
            self.figures_at = now.plus(FIGURES_EVERY);
        }
        let peers = self.sender.iter().flat_map(Alertmanager::peers);
        let text = gauges::text(runtime, peers, &self.week, now)?;
        let directory = &self.metrics.textfile;
        let failed = textfile::write(&runtime.host, directory, &text).err();
        if let Some(why) = failed.as_ref().filter(|_| !self.metrics_failed) {
            log::warn!("metrics.textfile {directory}: {}", why.with_hint());
        }
        self.metrics_failed = failed.is_some();
        Ok(())
    }
}

/// The alerts that are true now.
fn current(
    runtime: &Runtime,
    config: &config::Alertmanager,
    now: Timestamp,
) -> Result<Vec<Alert>, StoreError> {
    let tasks = runtime
        .store
        .reader()?
        .escalated_tasks(now.minus(RESOLVED_FOR))?;
    let gateway = runtime.host_name(&runtime.loaded());
    let clock = &runtime.host.clock;
    let speaker = Speaker {
        gateway: &gateway,
        site: &config.site,
        labels: &config.labels,
        resend: Duration::from_secs(config.resend_s),
        wall: clock.is_sane().then(|| clock.wall()),
    };
    Ok(alert::alerts(&tasks, &speaker, now))
}

fn identity(alert: &Alert) -> (String, bool) {
    (format!("{:?}", alert.labels), alert.over)
}

fn sender(
    runtime: &Runtime,
    config: &config::Alertmanager,
    gateway_id: &str,
) -> Option<Alertmanager> {
    if config.peers.is_empty() {
        return None;
    }
    let transport = Https::with_plain(Duration::from_secs(config.timeout_s), &config.ca_file)
        .map_err(|why| not_served("alertmanager", &why))
        .ok()?
        .stopped_by(runtime.stop_flag());
    let resend = Duration::from_secs(config.resend_s);
    Some(Alertmanager::new(
        Box::new(transport),
        &config.peers,
        resend,
        gateway_id,
    ))
}

fn pinger(runtime: &Runtime, config: &config::Ping) -> Option<Ping> {
    if config.url.is_empty() {
        return None;
    }
    let transport = Https::with_plain(Duration::from_secs(config.timeout_s), &config.ca_file)
        .map_err(|why| not_served("ping", &why))
        .ok()?
        .stopped_by(runtime.stop_flag());
    let every = Duration::from_secs(config.every_s);
    Some(Ping::new(Box::new(transport), &config.url, every))
}
