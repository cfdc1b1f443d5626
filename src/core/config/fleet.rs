//! Destinations of a fleet: Alertmanager, webhook, dead-man's ping, metrics. All off until named.

use crate::core::model::sorted::SortedMap;

use crate::core::config::ConfigError;
use crate::core::config::settings::section;
use crate::core::config::template;
use crate::core::model::hint::Hint;

/// Most peers that are told; each is asked in turn.
const PEERS_MAX: usize = 8;
/// Longest time a request to a fleet destination may take, in seconds.
const TIMEOUT_MOST_S: u64 = 40;

section! {
    /// Prometheus Alertmanager: every open escalation as an alert, to every peer.
    pub Alertmanager {
        /// Base URLs, as in `https://alerts.plant:9093`; empty = off. Never a load balancer.
        peers: Vec<String> = Vec::new(),
        /// Label `site`; empty = none.
        site: String = String::new(),
        /// Further labels. They cannot replace the identity.
        labels: SortedMap<String, String> = SortedMap::new(),
        /// Told again this often; an alert ends by itself after three missed repeats.
        resend_s: u64 = 60,
        /// PEM file with further trusted roots.
        ca_file: String = String::new(),
        timeout_s: u64 = 10,
    }
}

section! {
    /// One JSON document per event, posted at least once.
    pub Webhook {
        /// Empty = off.
        url: String = String::new(),
        /// Bearer token; only over https. Readable by its owner alone.
        token_file: String = String::new(),
        /// JSON with `${name}` inside its strings; empty = the whole document.
        template: String = String::new(),
        ca_file: String = String::new(),
        timeout_s: u64 = 20,
    }
}

section! {
    /// Dead-man's ping: a watcher elsewhere raises the alarm when it stays away.
    pub Ping {
        /// Empty = off.
        url: String = String::new(),
        every_s: u64 = 60,
        ca_file: String = String::new(),
        timeout_s: u64 = 10,
    }
}

section! {
    /// Prometheus text metrics.
    pub Metrics {
        /// Directory of node_exporter's textfile collector; empty = off.
        textfile: String = String::new(),
        every_s: u64 = 30,
    }
}

section! {
    /// A language model as a further advisor: it chooses among actions that a runbook allows.
    pub Llm {
        /// Base of an OpenAI-compatible API, as in `https://llm.plant/v1`; empty = off.
        url: String = String::new(),
        model: String = String::new(),
        token_file: String = String::new(),
        /// Roles it is asked in, one call each; together one voice.
        personas: Vec<String> = vec!["analyst".to_owned()],
        calls_per_hour: u32 = 12,
        ca_file: String = String::new(),
        timeout_s: u64 = 20,
    }
}

/// Most personas: with their time limits the step stays within phase 2 and the watchdog.
const PERSONAS_MAX: usize = 3;

/// `url` as it may be shown. Of a webhook or a ping the path is the secret (`whole`), of others what stands before
/// an `@`.
pub(super) fn shown_url(url: &str, whole: bool) -> String {
    let Some((scheme, rest)) = url.split_once("://") else {
        return url.to_owned();
    };
    let (host, path) = rest.split_at(rest.find(['/', '?', '#']).unwrap_or(rest.len()));
    let (user, host) = host
        .rsplit_once('@')
        .map_or(("", host), |(_, host)| ("[redacted]@", host));
    let (path, query) = path.split_at(path.find(['?', '#']).unwrap_or(path.len()));
    let (path, query) = match whole {
        true if path.len() + query.len() > 1 => ("/[redacted]", ""),
        true => (path, ""),
        false if query.len() > 1 => (path, "?[redacted]"),
        false => (path, query),
    };
    format!("{scheme}://{user}{host}{path}{query}")
}

/// Why a URL cannot be asked.
pub(super) fn url(key: &str, url: &str) -> Option<ConfigError> {
    let rest = url
        .strip_prefix("https://")
        .or_else(|| url.strip_prefix("http://"));
    let host = rest
        .map(|rest| rest.split(['/', '?', '#']).next().unwrap_or(""))
        .unwrap_or("");
    let why = if host.is_empty() || url.contains(|c: char| c.is_whitespace() || c.is_control()) {
        "is not an address: write it as https://host/path"
    } else if host.contains('@') {
        "holds a user or password: it would be shown by `config show`: use a token_file"
    } else {
        return None;
    };
    Some(ConfigError::of(key, format!("{key} {why}")))
}

/// Why a token would go out in the clear.
pub(super) fn bare_token(key: &str, url: &str, token_file: &str) -> Option<ConfigError> {
    (!token_file.is_empty() && !url.starts_with("https://")).then(|| {
        let why = "must start with https://: a token is never sent without TLS";
        ConfigError::of(key, format!("{key} {why}"))
    })
}

pub(super) fn within(key: &str, value: u64, least: u64, most: u64) -> Option<ConfigError> {
    let what = || format!("{key} is {value}: it must be {least} to {most}");
    (!(least..=most).contains(&value)).then(|| ConfigError::of(key, what()))
}

impl Alertmanager {
    pub(super) fn mistakes(&self) -> Vec<ConfigError> {
        let peers = self.peers.iter();
        let mut wrong: Vec<_> = peers
            .filter_map(|peer| url("alertmanager.peers", peer))
            .collect();
        if self.peers.len() > PEERS_MAX {
            let key = "alertmanager.peers";
            wrong.push(ConfigError::of(key, format!("{key}: at most {PEERS_MAX}")));
        }
        wrong.extend(within("alertmanager.resend_s", self.resend_s, 5, 3_600));
        let timeout = within("alertmanager.timeout_s", self.timeout_s, 1, TIMEOUT_MOST_S);
        wrong.extend(timeout);
        wrong
    }
}

impl Webhook {
    pub(super) fn mistakes(&self) -> Vec<ConfigError> {
        if self.url.is_empty() {
            return Vec::new();
        }
        let template = template::check_template(&self.template).err().map(|why| {
            let key = "webhook.template";
            ConfigError::of(key, format!("{key}: {}", why.with_hint()))
        });
        [
            url("webhook.url", &self.url),
            bare_token("webhook.url", &self.url, &self.token_file),
            template,
            within("webhook.timeout_s", self.timeout_s, 1, TIMEOUT_MOST_S),
        ]
        .into_iter()
        .flatten()
        .collect()
    }
}

impl Ping {
    pub(super) fn mistakes(&self) -> Vec<ConfigError> {
        if self.url.is_empty() {
            return Vec::new();
        }
        [
            url("ping.url", &self.url),
            within("ping.every_s", self.every_s, 5, 86_400),
            within("ping.timeout_s", self.timeout_s, 1, TIMEOUT_MOST_S),
        ]
        .into_iter()
        .flatten()
        .collect()
    }
}

impl Llm {
    pub(super) fn mistakes(&self) -> Vec<ConfigError> {
        if self.url.is_empty() {
            return Vec::new();
        }
        let no_model = self.model.is_empty().then(|| {
            let what = "llm.model is missing: name the model to ask";
            ConfigError::of("llm.model", what)
        });
        let crowd = self.personas.is_empty() || self.personas.len() > PERSONAS_MAX;
        let personas = crowd.then(|| {
            let key = "llm.personas";
            ConfigError::of(key, format!("{key}: 1 to {PERSONAS_MAX}"))
        });
        [
            url("llm.url", &self.url),
            bare_token("llm.url", &self.url, &self.token_file),
            no_model,
            personas,
            within("llm.timeout_s", self.timeout_s, 1, 25),
        ]
        .into_iter()
        .flatten()
        .collect()
    }
}

impl Metrics {
    pub(super) fn mistakes(&self) -> Vec<ConfigError> {
        let relative = !self.textfile.is_empty() && !self.textfile.starts_with('/');
        let textfile = relative.then(|| {
            let what = format!(
                "metrics.textfile is '{}': write the collector's directory as an absolute path",
                self.textfile
            );
            ConfigError::of("metrics.textfile", what)
        });
        let every = within("metrics.every_s", self.every_s, 5, 3_600);
        textfile.into_iter().chain(every).collect()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use crate::core::config::Config;

    #[test]
    fn what_cannot_work_is_refused_with_what_to_do() {
        for (text, part) in [
            ("[alertmanager]\npeers = [\"alerts:9093\"]", "https://host"),
            ("[alertmanager]\npeers = [\"http://u:p@a\"]", "token_file"),
            ("[alertmanager]\nresend_s = 1", "5 to 3600"),
            ("[webhook]\nurl = \"ftp://a\"", "https://host"),
            ("[webhook]\nurl = \"http://a\"\ntoken_file = \"/t\"", "TLS"),
            ("[webhook]\nurl = \"http://a\"\ntemplate = '{'", "JSON"),
            (
                "[webhook]\nurl = \"http://a\"\ntemplate = '{\"t\":\"${titel}\"}'",
                "titel",
            ),
            ("[ping]\nurl = \"https://\"", "https://host"),
            ("[metrics]\ntextfile = \"here\"", "absolute"),
        ] {
            let error = Config::parse(text).unwrap_err().to_string();
            assert!(error.contains(part), "{text}: {error}");
        }
        let good = "[alertmanager]\npeers = [\"http://[::1]:9093\", \"https://b\"]\n\
                    [alertmanager.labels]\nline = \"4\"\n[webhook]\nurl = \"http://10.0.0.1/x\"\n\
                    template = '{\"text\": \"${severity}: ${title}\"}'\n[ping]\nurl = \"https://hc/x\"\n";
        assert_eq!(Config::parse(good).unwrap().alertmanager.peers.len(), 2);
    }

    #[test]
    fn urls_are_shown_without_what_opens_them() {
        for (url, whole, want) in [
            ("", true, ""),
            (
                "https://hc-ping.com/3f1a-x",
                true,
                "https://hc-ping.com/[redacted]",
            ),
            (
                "https://a:b@h:8443/x?token=y",
                true,
                "https://[redacted]@h:8443/[redacted]",
            ),
            ("http://a:b@am:9093/", false, "http://[redacted]@am:9093/"),
            (
                "http://am:9093/x?token=y",
                false,
                "http://am:9093/x?[redacted]",
            ),
            ("https://h", true, "https://h"),
        ] {
            assert_eq!(super::shown_url(url, whole), want);
        }
    }
}
