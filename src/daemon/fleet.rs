//! The fleet thread: Alertmanager, dead-man's ping and metrics. No queue: what is true now is told now.

use std::time::Duration;

use crate::core::config;
use crate::core::human::alert::{self, Alert, RESOLVED_FOR, Speaker};
use crate::core::human::metrics::{self, Metric};
use crate::core::model::hint::Hint;
use crate::core::model::sorted::SortedSet;
use crate::core::model::time::Timestamp;
use crate::daemon::runtime::Runtime;
use crate::daemon::supervisor;
use crate::daemon::transports::not_served;
use crate::escalation::alertmanager::Alertmanager;
use crate::escalation::http::Https;
use crate::escalation::ping::Ping;
use crate::escalation::textfile;
use crate::store::{RunOutcome, StoreError};

/// Longest wait without a ring.
const IDLE_WAIT: Duration = Duration::from_secs(30);
/// Least time between two passes: a storm of changes is one round.
const PASS_GAP: Duration = Duration::from_secs(1);

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
            next = next.min(pinger.tick(well, now));
            runtime.beat("fleet");
        }
        if let Some(sender) = &mut self.sender {
            let alerts = current(runtime, &self.alertmanager, now)?;
            let known = alerts.iter().map(identity).collect();
            if known != self.known {
                sender.hurry(now);
                self.known = known;
            }
            while sender.tick_one(&alerts, now).is_some() && !runtime.stopping() {
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
        let text = self.metrics_text(runtime, now)?;
        let directory = &self.metrics.textfile;
        let failed = textfile::write(&runtime.host, directory, &text).err();
        if let Some(why) = failed.as_ref().filter(|_| !self.metrics_failed) {
            log::warn!("metrics.textfile {directory}: {}", why.with_hint());
        }
        self.metrics_failed = failed.is_some();
        Ok(())
    }

    fn metrics_text(&self, runtime: &Runtime, now: Timestamp) -> Result<String, StoreError> {
        let reader = runtime.store.reader()?;
        let counts = reader.counts()?;
        let runs = reader.detector_runs()?;
        let seconds = |at: Timestamp| at.as_millis() as f64 / 1_000.0;
        let by = |label: &'static str, rows: &[(String, u64)]| {
            rows.iter()
                .map(|(name, n)| (vec![(label, name.clone())], *n as f64))
                .collect::<Vec<_>>()
        };
        let one = |value: f64| vec![(Vec::new(), value)];
        let peers = self.sender.iter().flat_map(Alertmanager::peers);
        let gauge = |name, help, samples| Metric {
            name,
            help,
            samples,
        };
        let held = runtime.held_by_humans(&runtime.loaded());
        let version = vec![("version", env!("CARGO_PKG_VERSION").to_owned())];
        let open = reader.escalations(true)?.len();
        Ok(metrics::render(&[
            gauge("build_info", "Always 1.", vec![(version, 1.0)]),
            gauge(
                "start_time_seconds",
                "When the daemon started.",
                one(seconds(runtime.started_at)),
            ),
            gauge(
                "written_time_seconds",
                "When this file was written: a stale one means a dead daemon.",
                one(seconds(now)),
            ),
            gauge(
                "tasks",
                "Tasks in the store by status.",
                by("status", &counts.by_status),
            ),
            gauge(
                "closed_tasks",
                "Closed tasks in the store by resolution.",
                by("resolution", &counts.by_resolution),
            ),
            gauge(
                "escalations_open",
                "Problems that wait for a human.",
                one(open as f64),
            ),
            gauge(
                "outbox_waiting",
                "Deliveries on their way.",
                one(counts.outbox_waiting as f64),
            ),
            gauge(
                "outbox_dead",
                "Deliveries given up.",
                one(counts.outbox_dead as f64),
            ),
            gauge(
                "kill_switch",
                "1 while humans want nothing repaired: kill switch or maintenance window.",
                one(f64::from(u8::from(held))),
            ),
            gauge(
                "detector_broken",
                "1 for a detector whose last run failed.",
                runs.iter()
                    .map(|run| {
                        let broken = run.outcome == RunOutcome::Broken;
                        (
                            vec![("detector", run.name.clone())],
                            f64::from(u8::from(broken)),
                        )
                    })
                    .collect(),
            ),
            gauge(
                "alertmanager_peer_up",
                "1 when the last round reached the peer.",
                peers
                    .map(|(url, up)| (vec![("peer", url.to_owned())], f64::from(u8::from(up))))
                    .collect(),
            ),
        ]))
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
