//! What a configuration says that cannot work, though its form is right: each mistake with the key that it is about.

use crate::core::config::address::{can_be_asked, has_port, is_name};
use crate::core::config::{Config, ConfigError, DELAY_MOST_S, Github, Probe, WORKERS_MAX};
use crate::core::model::action::{ActionKind, Risk};
use crate::core::model::class::Class;
use crate::core::model::text::nearest;

/// Detectors that can be switched off, by name.
pub const DETECTORS: [&str; 18] = [
    "readonly_fs",
    "disk",
    "memory_pressure",
    "invalid_unit_path",
    "port_conflict",
    "service_failed",
    "service_inactive",
    "service_flapping",
    "config_drift",
    "container_unhealthy",
    "probe_failed",
    "service_hung",
    "stale_process",
    "uplink",
    "network_down",
    "thermal",
    "clock_unsynced",
    "storage_wear",
];

impl Config {
    pub(super) fn mistakes(&self) -> Vec<ConfigError> {
        let mut wrong = self.bounds();
        wrong.extend(self.paths());
        wrong.extend(self.names());
        wrong.extend(self.declared());
        let probes = self.probe.iter().enumerate();
        wrong.extend(probes.flat_map(|(at, probe)| probe.mistakes(&format!("probe[{at}]"))));
        wrong.extend(self.twins());
        let windows = self.maintenance.iter().enumerate();
        wrong.extend(
            windows.filter_map(|(at, window)| window.mistake(format!("maintenance[{at}]"))),
        );
        wrong.extend(self.alertmanager.mistakes());
        wrong.extend(self.webhook.mistakes());
        wrong.extend(super::notify::mistakes(
            &self.notify,
            self.escalation.github.is_some(),
        ));
        wrong.extend(self.ping.mistakes());
        wrong.extend(self.metrics.mistakes());
        wrong.extend(self.llm.mistakes());
        wrong.extend(self.escalation.github.iter().flat_map(Github::mistakes));
        wrong
    }

    fn bounds(&self) -> Vec<ConfigError> {
        let mut wrong = Vec::new();
        for (key, seconds) in [
            ("escalation.spread_s", self.escalation.spread_s),
            ("escalation.coalesce_s", self.escalation.coalesce_s),
        ] {
            if seconds > DELAY_MOST_S {
                let what = format!("{key} is {seconds}: it must be at most {DELAY_MOST_S}");
                wrong.push(ConfigError::of(key, what));
            }
        }
        let peers = self.uplink.peers.iter().enumerate();
        wrong.extend(peers.filter(|(_, peer)| !has_port(peer)).map(|(at, peer)| {
            let key = format!("uplink.peers[{at}]");
            let what = format!("{key} is '{peer}': write it as host:port");
            ConfigError::of(key, what)
        }));
        let workers = self.daemon.workers;
        if !(1..=WORKERS_MAX).contains(&workers) {
            let what = format!("daemon.workers is {workers}: it must be 1 to {WORKERS_MAX}");
            wrong.push(ConfigError::of("daemon.workers", what));
        }
        let detect = &self.detect;
        for (what, high, low) in [
            ("disk", detect.disk_high_percent, detect.disk_low_percent),
            ("inode", detect.inode_high_percent, detect.inode_low_percent),
        ] {
            if low >= high || high > 100 {
                let key = format!("detect.{what}_low_percent");
                let what = format!(
                    "{key} ({low}) must be below {what}_high_percent ({high}), both at most 100"
                );
                wrong.push(ConfigError::of(key, what));
            }
        }
        wrong
    }

    /// Two probes of one name would share what is known of them: one would be blind.
    fn twins(&self) -> Vec<ConfigError> {
        let probes = self.probe.iter().enumerate();
        let twins = probes.filter(|(at, probe)| {
            let mut before = self.probe.iter().take(*at);
            !probe.name.is_empty() && before.any(|one| one.name == probe.name)
        });
        twins
            .map(|(at, probe)| {
                let what = format!("probe '{}': another probe has this name", probe.name);
                ConfigError::of(format!("probe[{at}].name"), what)
            })
            .collect()
    }

    /// A service has no directory of its own that a relative path could mean.
    fn paths(&self) -> Vec<ConfigError> {
        let daemon = &self.daemon;
        [
            ("state_dir", &daemon.state_dir),
            ("runtime_dir", &daemon.runtime_dir),
            ("kill_switch", &daemon.kill_switch),
            ("rules_dir", &daemon.rules_dir),
            ("causes_dir", &daemon.causes_dir),
            ("runbooks_dir", &daemon.runbooks_dir),
            ("bundle", &daemon.bundle),
        ]
        .into_iter()
        .filter(|(_, path)| !path.starts_with('/'))
        .map(|(key, path)| {
            let what = format!("daemon.{key} is '{path}': write an absolute path");
            ConfigError::of(format!("daemon.{key}"), what)
        })
        .collect()
    }

    /// Names of things of this program that there are not.
    fn names(&self) -> Vec<ConfigError> {
        let classes = self.mode.class.keys();
        let mut wrong: Vec<_> = classes
            .filter(|class| class.parse::<Class>().is_err())
            .map(|class| ConfigError {
                suggestion: nearest(class, Class::ALL.iter().map(|class| class.as_str())),
                ..ConfigError::of(
                    format!("mode.class.{class}"),
                    format!("mode.class.{class}: no such class"),
                )
            })
            .collect();
        let actions = self.mode.action.keys();
        let unknown = actions.filter(|kind| kind.parse::<ActionKind>().is_err());
        wrong.extend(unknown.map(|kind| ConfigError {
            suggestion: nearest(kind, ActionKind::ALL.iter().map(|kind| kind.as_str())),
            ..ConfigError::of(
                format!("mode.action.{kind}"),
                format!("mode.action.{kind}: no such action"),
            )
        }));
        let disabled = self.detect.disabled.iter().enumerate();
        wrong.extend(
            disabled
                .filter(|(_, name)| !DETECTORS.contains(&name.as_str()))
                .map(|(at, name)| ConfigError {
                    suggestion: nearest(name, DETECTORS.into_iter()),
                    ..ConfigError::of(
                        format!("detect.disabled[{at}]"),
                        format!("detect.disabled: there is no detector '{name}'"),
                    )
                }),
        );
        wrong
    }

    /// Services, log files and commands of the operator.
    fn declared(&self) -> Vec<ConfigError> {
        let mut wrong = Vec::new();
        for (at, service) in self.service.iter().enumerate() {
            if service.name.is_empty() || service.start.is_empty() || service.pid_file.is_empty() {
                let what = format!("service '{}': needs name, start and pid_file", service.name);
                wrong.push(ConfigError::of(format!("service[{at}]"), what));
            }
        }
        for (at, file) in self.log_file.iter().enumerate() {
            if !file.path.starts_with('/') {
                let what = format!("log_file '{}': needs an absolute path", file.path);
                wrong.push(ConfigError::of(format!("log_file[{at}]"), what));
            }
        }
        for (at, command) in self.command.iter().enumerate() {
            let why = match command.risk.parse::<Risk>() {
                _ if command.name.is_empty() || command.argv.is_empty() => {
                    "needs name and argv".to_owned()
                }
                Err(why) => why.to_string(),
                Ok(_) => continue,
            };
            let what = format!("command '{}': {why}", command.name);
            wrong.push(ConfigError::of(format!("command[{at}]"), what));
        }
        wrong
    }
}

impl Probe {
    /// What is wrong with the probe that stands at `key`.
    fn mistakes(&self, key: &str) -> Vec<ConfigError> {
        let told =
            |key: String, why: &str| ConfigError::of(key, format!("probe '{}': {why}", self.name));
        let kinds = [
            !self.http.is_empty(),
            !self.tcp.is_empty(),
            !self.command.is_empty(),
        ];
        let mut wrong = Vec::new();
        if self.name.is_empty() || kinds.iter().filter(|set| **set).count() != 1 {
            let why = "needs a name and exactly one of http, tcp, command";
            wrong.push(told(key.to_owned(), why));
        }
        let schemes = ["http://", "https://"];
        if !self.http.is_empty() && !schemes.iter().any(|one| self.http.starts_with(one)) {
            let why = "http must begin with http:// or https://";
            wrong.push(told(format!("{key}.http"), why));
        } else if !self.http.is_empty() && !can_be_asked(&self.http) {
            let why = format!("http is '{}': write it as http://host:port/path", self.http);
            wrong.push(told(format!("{key}.http"), &why));
        }
        if !self.tcp.is_empty() && !has_port(&self.tcp) {
            let why = format!("tcp is '{}': write it as host:port", self.tcp);
            wrong.push(told(format!("{key}.tcp"), &why));
        }
        wrong
    }
}

impl Github {
    fn mistakes(&self) -> Vec<ConfigError> {
        const SECTION: &str = "escalation.github";
        let parts: Vec<&str> = self.repository.split('/').collect();
        // What is missing stands nowhere: its section is shown.
        let missing = |name: &str, why: &str| {
            ConfigError::of(SECTION, format!("{SECTION}.{name} is missing: {why}"))
        };
        let bad = |name: &str, why: String| {
            let key = format!("{SECTION}.{name}");
            ConfigError::of(key.clone(), format!("{key} is {why}"))
        };
        let mut wrong = Vec::new();
        if self.repository.is_empty() {
            wrong.push(missing("repository", "write it as owner/name"));
        } else if !matches!(parts.as_slice(), [owner, name] if is_name(owner) && is_name(name)) {
            let why = format!("'{}': write it as owner/name", self.repository);
            wrong.push(bad("repository", why));
        }
        if self.token_file.is_empty() {
            let why = "write the path of a file that holds the token";
            wrong.push(missing("token_file", why));
        }
        if !self.api_url.starts_with("https://") {
            let why = format!("'{}': it must start with https://", self.api_url);
            wrong.push(bad("api_url", why));
        }
        if !(5..=86_400).contains(&self.replies_every_s) {
            let why = format!("{}: it must be 5 to 86400", self.replies_every_s);
            wrong.push(bad("replies_every_s", why));
        }
        wrong
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(text: &str) -> Vec<(usize, String)> {
        let (_, mistakes) = Config::read(text);
        let told = mistakes.into_iter().map(|one| (one.line, one.key));
        told.collect()
    }

    #[test]
    fn every_mistake_is_told_with_its_line_and_key() {
        let text = "[mode]\nlow = \"atuo\"\n[detect]\ndisk_hi = 3\ndisabled = [\"disk\",\n  \"proberr\"]\n\
                    [[probe]]\nname = \"a\"\ntcp = \"127.0.0.1:80\"\n\
                    [[probe]]\nname = \"b\"\ntcp = \"127.0.0.1\"\n\
                    [[probe]]\nname = \"c\"\n[daemon]\nworkers = 17\nstate_dir = \"here\"\n\
                    [escalation.github]\nrepository = \"a\"\n[[maintenance]]\nfrom = \"9\"\n";
        let want = [
            (2, "mode.low"),
            (4, "detect.disk_hi"),
            (6, "detect.disabled[1]"),
            (12, "probe[1].tcp"),
            (13, "probe[2]"),
            (16, "daemon.workers"),
            (17, "daemon.state_dir"),
            (18, "escalation.github"),
            (19, "escalation.github.repository"),
            (20, "maintenance[0]"),
        ];
        let want: Vec<_> = want.map(|(line, key)| (line, key.to_owned())).into();
        assert_eq!(told(text), want);
    }

    #[test]
    fn two_probes_of_one_name_are_refused() {
        let probe = |name: &str| format!("[[probe]]\nname = \"{name}\"\ntcp = \"h:1\"\n");
        let text = format!("{}{}{}", probe("a"), probe("b"), probe("a"));
        assert_eq!(told(&text), [(8, "probe[2].name".to_owned())]);
    }

    #[test]
    fn what_could_not_be_read_is_not_called_missing_too() {
        let text = "[[probe]]\nname = \"a\"\ntpc = \"h:1\"\n[escalation.github]\nrepositry = \"a/b\"\ntoken_file = 3\n";
        let want = [
            (3, "probe[0].tpc"),
            (5, "escalation.github.repositry"),
            (6, "escalation.github.token_file"),
        ];
        let want: Vec<_> = want.map(|(line, key)| (line, key.to_owned())).into();
        assert_eq!(told(text), want);
    }

    #[test]
    fn a_port_is_a_number_behind_a_host() {
        for (address, good) in [
            ("127.0.0.1:8080", true),
            ("[::1]:80", true),
            ("db.plant:5432", true),
            ("127.0.0.1", false),
            (":80", false),
            ("h:0", false),
            ("h:65536", false),
            ("h:http", false),
        ] {
            assert_eq!(has_port(address), good, "{address}");
            let text = format!("[[probe]]\nname = \"a\"\nhttp = \"https://u@{address}/up:9\"\n");
            let want = (!good && address != "127.0.0.1").then(|| (3, "probe[0].http".to_owned()));
            assert_eq!(told(&text), Vec::from_iter(want), "{text}");
        }
        for (rest, good) in [
            ("[::1]/", true),
            ("h", true),
            ("/up", false),
            ("h:8O80/", false),
        ] {
            assert_eq!(can_be_asked(&format!("http://{rest}")), good, "{rest}");
        }
    }
}
