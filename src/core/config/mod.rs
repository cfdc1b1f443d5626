//! The operator's configuration: one TOML file, every key optional, unknown keys refused.

use crate::core::model::sorted::SortedMap;

use crate::core::config::settings::section;
use crate::core::model::action::{ActionKind, Risk};
use crate::core::model::class::Class;
use crate::core::model::facts::Key;
use crate::core::model::finding::Finding;
use crate::core::model::text::matches_glob;

mod address;
pub(crate) mod check;
mod destinations;
mod error;
mod fleet;
mod maintenance;
mod mode;
mod notify;
mod schedule;
pub mod settings;
pub mod template;

pub use destinations::Destination;
pub use error::ConfigError;
pub use fleet::{Alertmanager, Llm, Metrics, Ping, Webhook};
pub use maintenance::{Maintenance, OpenWindow};
pub use mode::Mode;
pub use notify::{ChannelKind, Notify, Security};
pub use schedule::{Due, Schedule};

section! {
    /// The whole file.
    pub Config {
        /// `[daemon]`: threads and paths.
        daemon: Daemon = Daemon::default(),
        /// `[mode]`: what is done without asking.
        mode: Modes = Modes::default(),
        /// `[store]`: bounds of the database.
        store: StoreLimits = StoreLimits::default(),
        /// `[detect]`: thresholds, and what is not judged.
        detect: Detect = Detect::default(),
        /// `[budget]`: how often anything may be done.
        budget: Budget = Budget::default(),
        /// `[fix]`: times and bounds of repairs.
        fix: Fix = Fix::default(),
        /// `[escalation]`: to whom, and how often at most.
        escalation: Escalation = Escalation::default(),
        /// `[uplink]`: what telling may cost, and the way out.
        uplink: Uplink = Uplink::default(),
        /// `[alertmanager]`: Prometheus Alertmanager; without peers it is off.
        alertmanager: Alertmanager = Alertmanager::default(),
        /// `[webhook]`: a generic receiver; without an address it is off.
        webhook: Webhook = Webhook::default(),
        /// `[ping]`: a dead man's switch elsewhere; without an address it is off.
        ping: Ping = Ping::default(),
        /// `[metrics]`: a file for node_exporter; without a directory it is off.
        metrics: Metrics = Metrics::default(),
        /// `[llm]`: a language model's one voice; without an address it is off.
        llm: Llm = Llm::default(),
        /// `[[log_file]]`: plain log files to follow.
        log_file: Vec<LogFile> = Vec::new(),
        /// `[[probe]]`: HTTP, TCP and command checks.
        probe: Vec<Probe> = Vec::new(),
        /// `[[service]]`: services run by declared commands, for hosts without a supported init.
        service: Vec<DeclaredService> = Vec::new(),
        /// `[[command]]`: operator-declared remediation commands.
        command: Vec<DeclaredCommand> = Vec::new(),
        /// `[[notify]]`: chat, mail, push, MQTT and issues.
        notify: Vec<Notify> = Vec::new(),
        /// `[[maintenance]]`: times at which nothing is repaired.
        maintenance: Vec<Maintenance> = Vec::new(),
    }
}

section! {
    /// Threads, paths and timing of the daemon.
    pub Daemon {
        /// 1..=16.
        workers: u8 = 4,
        state_dir: String = "/var/lib/autonomous-orchestrator".to_owned(),
        runtime_dir: String = "/run/autonomous-orchestrator".to_owned(),
        /// Its presence blocks every action; its text is the reason.
        kill_switch: String = "/etc/autonomous-orchestrator/disable".to_owned(),
        rules_dir: String = "/etc/autonomous-orchestrator/rules.d".to_owned(),
        causes_dir: String = "/etc/autonomous-orchestrator/causes.d".to_owned(),
        runbooks_dir: String = "/etc/autonomous-orchestrator/runbooks.d".to_owned(),
        bundle: String = "/var/lib/autonomous-orchestrator/knowledge.bundle".to_owned(),
        /// No action in the first seconds after start: the box may still be booting.
        startup_grace_s: u64 = 5,
        /// After three unclean ends within ten minutes the log streams are held back and taken in again one by one.
        safe_start: bool = true,
        /// `error`, `warn`, `info` or `debug`.
        log_level: String = "info".to_owned(),
        /// Name in issues; empty = the host name.
        host_name: String = String::new(),
        /// Service managers to use: `systemd`, `openrc`, `sysv`, `declared`; empty = those that run here.
        managers: Vec<String> = Vec::new(),
    }
}

section! {
    /// Modes: a class's own counts in place of the risk's; then the stricter of that, the unit's own and the limit.
    pub Modes {
        low: Mode = Mode::Auto,
        medium: Mode = Mode::Suggest,
        high: Mode = Mode::Observe,
        /// Upper bound over all: `observe` here makes the daemon look only.
        limit: Mode = Mode::Auto,
        /// `[mode.class]`: a class's own mode, in place of its risk's.
        class: SortedMap<String, Mode> = SortedMap::new(),
        /// `[mode.unit]`: a bound for what is done about a unit, by exact name or glob; never a loosening.
        unit: SortedMap<String, Mode> = SortedMap::new(),
        /// `[mode.action]`: a bound for one kind of action; what came with a later release is suggested until it has one.
        action: SortedMap<String, Mode> = SortedMap::new(),
    }
}

section! {
    pub StoreLimits {
        busy_timeout_ms: u32 = 30_000,
        /// Closed tasks older than this are summarised and removed.
        retain_days: u32 = 365,
        /// Upper bound of the database file.
        max_mib: u32 = 256,
        /// Freed when the disk is full.
        ballast_kib: u32 = 1_024,
        backup_hours: u32 = 24,
    }
}

section! {
    /// Thresholds: raise at the high mark, clear below the low mark.
    pub Detect {
        /// Detectors by name that are switched off.
        disabled: Vec<String> = Vec::new(),
        disk_high_percent: u8 = 90,
        disk_low_percent: u8 = 85,
        inode_high_percent: u8 = 90,
        inode_low_percent: u8 = 85,
        /// Mount points left alone, beside read-only and virtual file systems.
        ignore_mounts: Vec<String> = Vec::new(),
        /// MemAvailable below this share of MemTotal raises; clears 5 points higher.
        memory_low_percent: u8 = 5,
        /// Millidegrees are read from the kernel; these are degrees Celsius.
        thermal_high_c: u32 = 95,
        thermal_low_c: u32 = 85,
        /// This many restarts…
        flap_restarts: u32 = 5,
        /// …within this many seconds is flapping.
        flap_window_s: u64 = 600,
        /// So many crashes, spread over a day, are a loop however slow it is.
        flap_per_day: u32 = 8,
        /// New kinds of log messages in 10 minutes that get a task each; more share one. 0 = no limit.
        storm_kinds: u32 = 50,
        /// Quiet time after which a log finding counts as over.
        quiet_s: u64 = 600,
        journal: bool = true,
        kernel_log: bool = true,
        /// Units never judged, by exact name or glob.
        ignore_units: Vec<String> = Vec::new(),
        /// Units kept running though nothing on the host wants them, by exact name or glob.
        wanted_units: Vec<String> = Vec::new(),
        /// Interfaces that must be up; empty = those that were up at start are not watched.
        interfaces: Vec<String> = Vec::new(),
        /// Seconds between unit sweeps where the journal tells of changes.
        unit_sweep_s: u64 = 60,
        /// Seconds between sweeps of disk, memory, mounts, processes.
        host_sweep_s: u64 = 10,
        /// Seconds between checks of unit paths.
        path_sweep_s: u64 = 60,
        /// A process younger than this is never called stale.
        stale_after_s: u64 = 30,
    }
}

section! {
    /// Upper bounds on actions, booked durably before acting.
    pub Budget {
        /// Attempts at one problem; refused ones count nowhere.
        fingerprint_per_hour: u32 = 6,
        /// The same, in any 24 hours.
        fingerprint_per_day: u32 = 12,
        /// Attempts that disrupt one unit, whatever the problem.
        unit_per_hour: u32 = 5,
        /// Repeated and disruptive attempts of this host; a quarter of it is kept for what did not fail lately, or was repaired each time.
        host_per_hour: u32 = 10,
        /// The same, in any 24 hours.
        host_per_day: u32 = 30,
        /// First starts of units that did not fail within a day: they cost the host's budget nothing.
        first_starts_per_hour: u32 = 64,
        /// So many of them at a time.
        first_starts_at_once: u32 = 4,
        /// Attempts that a human allowed; they count nowhere else.
        approvals_per_hour: u32 = 12,
    }
}

section! {
    pub Fix {
        /// Watched this long after the first green before a task is closed as fixed.
        stability_s: u64 = 60,
        /// First green must come within this time after an action of phase 1.
        quick_deadline_s: u64 = 30,
        research_deadline_s: u64 = 300,
        /// Attempts at one fault are due so many seconds after the first of their round; as many as stand here.
        spacing_s: Vec<u64> = vec![0, 10, 60, 300, 900, 1_800],
        /// A human hears of a fault that attempts do not end after the third of them, but not before this time.
        tell_after_s: u64 = 120,
        /// First back-off after a round of attempts; multiplied by six each time up to a day.
        rearm_s: u64 = 3_600,
        journal_keep_mib: u64 = 64,
        /// Globs of files that free_disk may remove, oldest first. Directories are never removed.
        cleanable: Vec<String> = vec![
            "/var/log/*.gz".to_owned(),
            "/var/log/*.[0-9]".to_owned(),
            "/var/log/*/*.gz".to_owned(),
            "/var/cache/apt/archives/*.deb".to_owned(),
        ],
        /// A log finding without a repair is put before a human only after it repeated this long.
        log_escalate_after_s: u64 = 900,
        /// An approval ends after this time.
        approval_s: u64 = 3_600,
    }
}

section! {
    pub Escalation {
        github: Option<Github> = None,
        /// New issues per hour and day.
        per_hour: u32 = 3,
        per_day: u32 = 10,
        /// A problem that comes back within this window reopens its issue.
        reopen_s: u64 = 86_400,
        /// Changes to an open issue are collected this long before one comment is written.
        coalesce_s: u64 = 3_600,
        /// Of many gateways that share one repository: each waits its own part of this time before it
        /// opens an issue.
        spread_s: u64 = 0,
    }
}

section! {
    /// A metered uplink, and how its doctor looks at it.
    pub Uplink {
        /// Bytes that all telling may cost in a day (UTC), sent and received; what is critical is told all the same. 0 = no
        /// ceiling.
        bytes_per_day: u64 = 0,
        /// Interfaces that lead out; empty = those that had a default route.
        interfaces: Vec<String> = Vec::new(),
        /// `host:port`, connected to beside the configured destinations when something is wrong; nothing is said there.
        peers: Vec<String> = Vec::new(),
        /// Seconds between two walks to the resolvers and destinations while nothing is wrong; 0 = none.
        walk_every_s: u64 = 0,
    }
}

section! {
    /// The repository whose issues a human reads, and whose answers are heard.
    pub Github {
        /// `owner/name`.
        repository: String = String::new(),
        /// Readable by its owner alone.
        token_file: String = String::new(),
        /// Base; another one for GitHub Enterprise.
        api_url: String = "https://api.github.com".to_owned(),
        /// PEM file with further trusted roots.
        ca_file: String = String::new(),
        /// Issues hold data of this host: a public repository is refused without this.
        allow_public: bool = false,
        /// Beside the one by which an issue is found again.
        labels: Vec<String> = vec!["autonomous-orchestrator".to_owned()],
        /// Logins; left out where the token may not assign.
        assignees: Vec<String> = Vec::new(),
        /// Seconds for one request, redirects apart; more than 40 count as 40.
        timeout_s: u64 = 30,
        /// Logins whose closing and labels (`orchestrator:ack`, `snooze`, `retry`, `approve`) are heard;
        /// empty = nobody.
        replies_from: Vec<String> = Vec::new(),
        /// Seconds between two looks.
        replies_every_s: u64 = 300,
    }
}

section! {
    pub LogFile {
        path: String = String::new(),
        /// Subject of its findings; empty = the path.
        unit: String = String::new(),
        /// The kernel's lines alone come here (facility `kern`): then what is tagged `kernel` is the kernel's word, as
        /// long as only root can write the file.
        kernel: bool = false,
    }
}

section! {
    /// A check from outside: HTTP, TCP or a command.
    pub Probe {
        /// Subject of its findings; not empty.
        name: String = String::new(),
        /// Exactly one of `http`, `tcp`, `command`; `http` takes `http://` and `https://`.
        http: String = String::new(),
        /// PEM file with roots of one's own for `https://`; empty = the bundled ones alone.
        ca_file: String = String::new(),
        /// `host:port`.
        tcp: String = String::new(),
        /// Program and arguments, never a shell line; the exit codes of Nagios plugins count.
        command: Vec<String> = Vec::new(),
        /// User that the command runs as; empty = the daemon's own, most often root.
        user: String = String::new(),
        /// Seconds between two checks.
        interval_s: u64 = 30,
        /// Seconds until an answer that does not come is a failure.
        timeout_s: u64 = 5,
        /// Consecutive failures before a finding.
        failures: u32 = 2,
        /// HTTP status that counts as good; 0 = any 2xx or 3xx.
        expect_status: u16 = 0,
        /// Unit that a failing probe may restart.
        unit: String = String::new(),
        /// Seconds after a start in which a failure does not count; more where its last starts took longer.
        start_period_s: u64 = 60,
        /// Units and other probes without which it cannot be well: while one of them fails, nothing is done for it.
        depends_on: Vec<String> = Vec::new(),
    }
}

section! {
    pub DeclaredService {
        name: String = String::new(),
        start: Vec<String> = Vec::new(),
        /// Empty = TERM to the process in `pid_file`.
        stop: Vec<String> = Vec::new(),
        pid_file: String = String::new(),
        /// Port it listens on, as in `tcp/8080`; empty = none.
        port: String = String::new(),
        directory: String = String::new(),
    }
}

section! {
    pub DeclaredCommand {
        name: String = String::new(),
        argv: Vec<String> = Vec::new(),
        /// `low`, `medium` or `high`; undeclared counts as high and is only observed.
        risk: String = "high".to_owned(),
        /// User it runs as; empty = root's own only when the operator says `root`.
        user: String = String::new(),
        timeout_s: u64 = 30,
        memory_mib: u64 = 64,
    }
}

/// Longest time a delivery is put off by choice, in seconds: shorter than what counts as a wrong clock.
pub(crate) const DELAY_MOST_S: u64 = 86_400;
/// Bounds of `daemon.workers`.
pub const WORKERS_MAX: u8 = 16;

impl Config {
    /// Parses and validates the text of a configuration file, or tells the first mistake.
    pub fn parse(text: &str) -> Result<Self, ConfigError> {
        let (config, mistakes) = Self::read(text);
        mistakes.into_iter().next().map_or(Ok(config), Err)
    }

    /// What of the text can be used, and every mistake in it, in the order of its lines. For whoever only looks; what
    /// acts by it takes [`Config::parse`].
    pub fn read(text: &str) -> (Self, Vec<ConfigError>) {
        let (config, of_form) = settings::read_all::<Self>(text);
        let mut mistakes: Vec<_> = of_form
            .into_iter()
            .map(|mistake| ConfigError {
                line: mistake.line(text),
                key: mistake.key,
                what: mistake.what,
                suggestion: mistake.suggestion,
            })
            .collect();
        // What could not be read is not said to be missing as well.
        let unread: Vec<String> = mistakes.iter().map(|one| one.key.clone()).collect();
        for mut mistake in config.mistakes() {
            let is_in_it = |key: &String| {
                let below = key.strip_prefix(mistake.key.as_str());
                below.is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
            };
            if !unread.iter().any(is_in_it) {
                mistake.line = settings::line_of_key(text, &mistake.key);
                mistakes.push(mistake);
            }
        }
        mistakes.sort_by_key(|mistake| mistake.line);
        (config, mistakes)
    }

    /// As it may be shown: addresses whose knowledge is the permission without their secret part.
    pub(crate) fn without_secrets(mut self) -> Self {
        for url in [&mut self.webhook.url, &mut self.ping.url] {
            *url = fleet::shown_url(url, true);
        }
        for channel in &mut self.notify {
            let is_secret = matches!(
                channel.kind,
                ChannelKind::Webhook | ChannelKind::Slack | ChannelKind::Teams
            );
            channel.url = fleet::shown_url(&channel.url, is_secret);
        }
        let probes = self.probe.iter_mut().map(|probe| &mut probe.http);
        for url in self
            .alertmanager
            .peers
            .iter_mut()
            .chain([&mut self.llm.url])
            .chain(probes)
        {
            *url = fleet::shown_url(url, false);
        }
        self
    }

    /// `[webhook]` and each `[[notify]]` that is no tracker.
    pub(crate) fn channels(&self) -> Vec<Notify> {
        let webhook = (!self.webhook.url.is_empty()).then(|| Notify::from(&self.webhook));
        let channels = self.notify.iter().filter(|one| !one.kind.is_tracker());
        webhook.into_iter().chain(channels.cloned()).collect()
    }

    /// The tracker beside GitHub, of which there is none then.
    pub(crate) fn tracker(&self) -> Option<&Notify> {
        self.notify.iter().find(|one| one.kind.is_tracker())
    }

    /// By name, all ways in which a human hears of what needs one; empty = nobody is told.
    pub(crate) fn destinations(&self) -> Vec<&str> {
        let channels = self.notify.iter().map(|one| one.name.as_str());
        [
            (self.escalation.github.is_some(), "github"),
            (!self.webhook.url.is_empty(), "webhook"),
            (!self.alertmanager.peers.is_empty(), "alertmanager"),
        ]
        .into_iter()
        .filter_map(|(is_set, name)| is_set.then_some(name))
        .chain(channels)
        .collect()
    }

    /// The most that is done without asking by an action of this kind, whatever its risk.
    pub(crate) fn action_mode(&self, kind: ActionKind) -> Mode {
        let first = match kind.waits_for_a_mode() {
            true => Mode::Suggest,
            false => Mode::Auto,
        };
        let own = self.mode.action.get(kind.as_str());
        own.copied().unwrap_or(first)
    }

    /// Mode for an action of this risk against `finding`, of which the units count that it is about.
    pub(crate) fn mode_for(&self, finding: &Finding, risk: Risk) -> Mode {
        let holder = finding.fact(Key::HolderUnit);
        let units = [Some(finding.unit()), holder].into_iter().flatten();
        let own = units.filter_map(|unit| Some(self.unit_mode(unit)?.1)).min();
        let wanted = self.class_mode(finding.class, risk);
        wanted.min(own.unwrap_or(Mode::Auto))
    }

    /// The strictest entry of `[mode.unit]` that `unit` falls under: its key, and the mode.
    pub(crate) fn unit_mode(&self, unit: &str) -> Option<(&str, Mode)> {
        let entries = self.mode.unit.iter();
        let covers = entries.filter(|(glob, _)| matches_glob(glob, unit));
        let strictest = covers.min_by_key(|(_, mode)| **mode)?;
        Some((strictest.0, *strictest.1))
    }

    fn class_mode(&self, class: Class, risk: Risk) -> Mode {
        let by_risk = match risk {
            Risk::Low => self.mode.low,
            Risk::Medium => self.mode.medium,
            Risk::High => self.mode.high,
        };
        let wanted = self
            .mode
            .class
            .get(class.as_str())
            .copied()
            .unwrap_or(by_risk);
        wanted.min(self.mode.limit)
    }

    /// Risk of an action against `finding`: low where that is proven to work, of an action that goes by it.
    pub(crate) fn risk_against(
        &self,
        finding: &Finding,
        kind: ActionKind,
        declared_name: Option<&str>,
    ) -> Risk {
        match kind.leans_on_proof() && finding.evidence.is_proven() {
            true => Risk::Low,
            false => self.risk_of(kind, declared_name),
        }
    }

    /// Risk of an action; an operator's command carries the risk declared for it.
    pub(crate) fn risk_of(&self, kind: ActionKind, declared_name: Option<&str>) -> Risk {
        match declared_name {
            Some(name) => self
                .command
                .iter()
                .find(|command| command.name == name)
                .and_then(|command| command.risk.parse().ok())
                .unwrap_or(Risk::High),
            None => kind.risk(),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::core::config::settings::Setting;
    use crate::core::model::facts::Fact;
    use crate::core::model::finding::Severity;
    use crate::core::model::time::Timestamp;

    #[test]
    fn an_empty_file_is_the_default() {
        assert_eq!(Config::parse("").unwrap(), Config::default());
    }

    #[test]
    fn an_unknown_key_names_line_and_suggestion() {
        let error = Config::parse("[daemon]\nworkers = 2\nlog_levle = \"info\"\n").unwrap_err();
        assert_eq!(error.line, 3);
        assert_eq!(
            error.to_string(),
            "line 3: unknown key 'log_levle'; did you mean 'log_level'?"
        );
    }

    #[test]
    fn bounds_are_checked() {
        assert!(Config::parse("[daemon]\nworkers = 17\n").is_err());
        assert!(Config::parse("[detect]\ndisk_low_percent = 95\n").is_err());
        assert!(
            Config::parse("[mode.class]\nservice_fialed = \"auto\"\n")
                .unwrap_err()
                .to_string()
                .contains("service_failed")
        );
        assert!(Config::parse("[escalation.github]\nrepository = \"a\"\n").is_err());
    }

    #[test]
    fn the_limit_caps_every_mode() {
        let config = Config::parse("[mode]\nlimit = \"observe\"\n").unwrap();
        for class in Class::ALL {
            assert_eq!(config.class_mode(*class, Risk::Low), Mode::Observe);
        }
        let config = Config::default();
        assert_eq!(
            config.class_mode(Class::DiskFull, Risk::Medium),
            Mode::Suggest
        );
    }

    #[test]
    fn of_unit_class_and_risk_the_stricter_counts() {
        let config = Config::parse(
            "[mode]\nlow = \"suggest\"\n[mode.class]\nservice_failed = \"auto\"\n\
             [mode.unit]\n\"web.service\" = \"observe\"\n\"w*.service\" = \"suggest\"\n\"plc.service\" = \"auto\"\n",
        )
        .unwrap();
        assert_eq!(Config::parse(&config.shown().to_toml()).unwrap(), config);
        let found = |class, unit| {
            Finding::new(
                class,
                unit,
                Severity::Error,
                "",
                "",
                Timestamp::from_millis(0),
            )
        };
        let (failed, inactive) = (Class::ServiceFailed, Class::ServiceInactive);
        for (class, unit, want) in [
            (failed, "a.service", Mode::Auto),
            (failed, "web.service", Mode::Observe),
            (failed, "wiki.service", Mode::Suggest),
            (failed, "plc.service", Mode::Auto),
            (inactive, "plc.service", Mode::Suggest),
        ] {
            let mode = config.mode_for(&found(class, unit), Risk::Low);
            assert_eq!(mode, want, "{class} {unit}");
        }
        // Whose process would be ended is asked, too.
        let conflict =
            found(Class::PortConflict, "a.service").with(Fact::HolderUnit("web.service"));
        assert_eq!(config.mode_for(&conflict, Risk::Low), Mode::Observe);
        let word = Config::parse("[mode.unit]\n\"web.service\" = \"atuo\"\n").unwrap_err();
        assert_eq!(word.line, 2, "{word}");
    }
}
