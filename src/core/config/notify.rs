//! `[[notify]]`: where people are: chat, mail, push, MQTT and issues.

use crate::core::config::address::{has_port, is_name};
use crate::core::config::fleet::{bare_token, url, within};
use crate::core::config::schedule::{self, Schedule};
use crate::core::config::settings::{self, Reading, Setting, Shown, Written, section};
use crate::core::config::{ConfigError, Webhook, template};
use crate::core::model::class::Class;
use crate::core::model::finding::Severity;
use crate::core::model::hint::Hint;
use crate::core::model::named::named;
use crate::core::model::text::nearest;

named! {
    /// What a channel speaks.
    ChannelKind "kind of channel" {
        /// One JSON document per event, or what a template makes of it.
        Webhook = "webhook",
        /// An incoming webhook of Slack, or of Mattermost or Rocket.Chat, which take the same.
        Slack = "slack",
        /// A workflow of Microsoft Teams that takes a webhook request.
        Teams = "teams",
        /// A topic of ntfy.sh or of one's own ntfy.
        Ntfy = "ntfy",
        /// A bot's message into one chat.
        Telegram = "telegram",
        /// SMTP.
        Email = "email",
        /// MQTT 3.1.1, with Home Assistant's discovery.
        Mqtt = "mqtt",
        /// Issues of Gitea or Forgejo.
        Gitea = "gitea",
        /// Issues of GitLab.
        GitLab = "gitlab",
    }
}

impl ChannelKind {
    /// A problem has one issue there, exactly once.
    pub const fn is_tracker(self) -> bool {
        matches!(self, Self::Gitea | Self::GitLab)
    }

    /// People read it, message by message: what is late may come as one. A program wants each for itself.
    pub const fn is_read_by_people(self) -> bool {
        match self {
            Self::Slack | Self::Teams | Self::Ntfy | Self::Telegram | Self::Email => true,
            Self::Webhook | Self::Mqtt | Self::Gitea | Self::GitLab => false,
        }
    }
}

named! {
    /// How a mail server or a broker is spoken to.
    Security "security" {
        /// TLS from the first byte.
        Tls = "tls",
        /// TLS is asked for and required.
        StartTls = "starttls",
        /// In the clear: never with a password.
        Plain = "plain",
    }
}

/// A closed list of names as the value of a key.
macro_rules! word {
    ($type:ty, $wanted:literal) => {
        impl Setting for $type {
            fn read(written: &Written<'_>, reading: &mut Reading) -> Option<Self> {
                settings::word(written, reading, $wanted, |text| text.parse().ok())
            }

            fn shown(&self) -> Shown {
                Shown::Scalar(self.as_str().into())
            }
        }
    };
}
word!(
    ChannelKind,
    "webhook, slack, teams, ntfy, telegram, email, mqtt, gitea or gitlab"
);
word!(Security, "tls, starttls or plain");
word!(Severity, "info, warning, error or critical");

section! {
    /// One channel, with what it is told and when.
    pub Notify {
        /// Lower case letters, digits, `-` and `_`; its rows in the outbox bear it.
        name: String = String::new(),
        kind: ChannelKind = ChannelKind::Webhook,
        /// webhook, slack, teams: the hook's whole address, which opens it to whoever knows it (or in `token_file`).
        /// ntfy, gitea, gitlab: the server; telegram: another server of bots.
        url: String = String::new(),
        /// webhook, ntfy, gitea, gitlab: a bearer token; telegram: the bot's; email, mqtt: the password of `user`; slack, teams: the
        /// address. Readable by its owner alone; else the systemd credential `notify-NAME`.
        token_file: String = String::new(),
        /// email: addresses; telegram: the chat.
        to: Vec<String> = Vec::new(),
        /// telegram: numbers of the users whose buttons are heard; empty = there are no buttons. One bot a gateway.
        answers_from: Vec<String> = Vec::new(),
        /// email: the sender.
        from: String = String::new(),
        /// email, mqtt: `host:port`.
        server: String = String::new(),
        security: Security = Security::Tls,
        user: String = String::new(),
        /// ntfy: the topic; mqtt: the first levels of all topics, empty = `autonomous-orchestrator/` and the gateway.
        topic: String = String::new(),
        /// mqtt: where Home Assistant looks for new devices; empty = it is told of none.
        discovery: String = "homeassistant".to_owned(),
        /// mqtt: after one and a half of it without a word the broker takes us for gone.
        keep_alive_s: u64 = 120,
        /// gitea: `owner/name`; gitlab: the project's path, with all its groups.
        project: String = String::new(),
        /// gitea, gitlab: beside the one by which an issue is found again.
        labels: Vec<String> = vec!["autonomous-orchestrator".to_owned()],
        /// gitea, gitlab: user names; left out where the token may not assign.
        assignees: Vec<String> = Vec::new(),
        /// gitea, gitlab: issues hold data of this host: what everybody can see is refused without this.
        allow_public: bool = false,
        /// gitlab: issues are seen by members of the project alone.
        confidential: bool = false,
        /// webhook: JSON with `${name}` inside its strings; empty = the whole document.
        template: String = String::new(),
        /// PEM file with further trusted roots.
        ca_file: String = String::new(),
        timeout_s: u64 = 20,
        /// What is less severe is not told here.
        severity: Severity = Severity::Info,
        /// Classes that are told here; empty = all.
        classes: Vec<String> = Vec::new(),
        /// With `quiet` or `digest`: what is at least so severe is told at once, day and night.
        at_once: Severity = Severity::Critical,
        /// `HH:MM-HH:MM`: the rest waits for the end of it; empty = it waits for nothing.
        quiet: String = String::new(),
        /// `HH:MM`: the rest comes once a day, in one message; empty = each by itself.
        digest: String = String::new(),
        /// `quiet` and `digest` go by this host's clock on the wall; else UTC.
        local: bool = true,
    }
}

/// Most channels.
const CHANNELS_MAX: usize = 16;
/// The channel of `[webhook]`.
const WEBHOOK: &str = "webhook";
/// Names of other destinations.
const TAKEN: [&str; 4] = ["github", WEBHOOK, "alertmanager", "ping"];
const NAME_MAX: usize = 32;
impl From<&Webhook> for Notify {
    /// `[webhook]` is a channel of that name.
    fn from(webhook: &Webhook) -> Self {
        Self {
            name: WEBHOOK.to_owned(),
            kind: ChannelKind::Webhook,
            url: webhook.url.clone(),
            token_file: webhook.token_file.clone(),
            template: webhook.template.clone(),
            ca_file: webhook.ca_file.clone(),
            timeout_s: webhook.timeout_s,
            ..Self::default()
        }
    }
}

impl Notify {
    /// Name of the systemd credential that stands for `token_file`.
    pub fn credential(&self) -> String {
        match self.name.as_str() {
            WEBHOOK => "webhook-token".to_owned(),
            name => format!("notify-{name}"),
        }
    }

    pub fn schedule(&self) -> Schedule {
        let quiet = schedule::span(&self.quiet);
        let digest = schedule::minutes(&self.digest);
        Schedule {
            at_once: match quiet.is_none() && digest.is_none() {
                true => Severity::Info,
                false => self.at_once,
            },
            quiet,
            digest,
            local: self.local,
            gathers: self.kind.is_read_by_people(),
        }
    }

    /// First levels of its topics.
    pub fn base_topic(&self, gateway: &str) -> String {
        match self.topic.trim_matches('/') {
            // One level, whatever the gateway is called.
            "" => {
                let level = gateway.replace(['+', '#', '/', '\0'], "_");
                format!("autonomous-orchestrator/{level}")
            }
            topic => topic.to_owned(),
        }
    }

    /// What is wrong with the channel that stands at `key`.
    pub(super) fn mistakes(&self, key: &str) -> Vec<ConfigError> {
        let mut wrong = Vec::new();
        let mut told = |field: &str, why: String| {
            let key = match field {
                "" => key.to_owned(),
                field => format!("{key}.{field}"),
            };
            wrong.push(ConfigError::of(
                key,
                format!("notify '{}': {why}", self.name),
            ));
        };
        let of_name = |c: u8| c.is_ascii_lowercase() || c.is_ascii_digit() || b"-_".contains(&c);
        if self.name.is_empty() {
            told("", "needs a name".to_owned());
        } else if self.name.len() > NAME_MAX || !self.name.bytes().all(of_name) {
            let why = format!("name is lower case letters, digits, - and _, at most {NAME_MAX}");
            told("name", why);
        } else if TAKEN.contains(&self.name.as_str()) {
            told("name", "this name is another destination's".to_owned());
        }
        for (at, class) in self.classes.iter().enumerate() {
            if class.parse::<Class>().is_err() {
                let known = nearest(class, Class::ALL.iter().map(|class| class.as_str()));
                let hint =
                    known.map_or_else(String::new, |known| format!("; did you mean '{known}'?"));
                told(
                    &format!("classes[{at}]"),
                    format!("no class '{class}'{hint}"),
                );
            }
        }
        if !self.quiet.is_empty() && schedule::span(&self.quiet).is_none() {
            told("quiet", "quiet: write it as 22:00-06:00".to_owned());
        }
        if !self.digest.is_empty() && schedule::minutes(&self.digest).is_none() {
            told("digest", "digest: write it as 07:00".to_owned());
        }
        self.of_kind(&mut told);
        let rest = [
            within("timeout_s", self.timeout_s, 1, 40),
            within("keep_alive_s", self.keep_alive_s, 60, 43_200),
        ];
        for mistake in rest.into_iter().flatten() {
            told(&mistake.key, mistake.what);
        }
        wrong
    }

    /// What its kind needs.
    fn of_kind(&self, told: &mut dyn FnMut(&str, String)) {
        use ChannelKind as Kind;
        let kind = self.kind;
        let need = |told: &mut dyn FnMut(&str, String), field: &str, is_there: bool, what: &str| {
            if !is_there {
                told("", format!("{kind} needs {field}: {what}"));
            }
        };
        let has_url = !self.url.is_empty();
        let has_token = !self.token_file.is_empty();
        match kind {
            Kind::Webhook => need(told, "url", has_url, "the receiver's address"),
            Kind::Slack | Kind::Teams => {
                let what = "the hook's address, or write it into token_file";
                need(told, "url", has_url || has_token, what);
            }
            Kind::Ntfy => {
                need(told, "url", has_url, "the server, as in https://ntfy.sh");
                need(told, "topic", !self.topic.is_empty(), "the topic");
                if self.topic.contains('/') {
                    told("topic", "topic: one word, not a path".to_owned());
                }
            }
            Kind::Telegram => {
                need(
                    told,
                    "token_file",
                    has_token,
                    "the file with the bot's token",
                );
                let one = self.to.len() == 1;
                need(
                    told,
                    "to",
                    one,
                    "the number of one chat, as in [\"-1001234\"]",
                );
            }
            Kind::Email => {
                need(told, "from", !self.from.is_empty(), "the sender's address");
                need(told, "to", !self.to.is_empty(), "at least one address");
                for address in self.to.iter().chain([&self.from]) {
                    if !address.is_empty() && !is_address(address) {
                        told("", format!("'{address}' is no mail address"));
                    }
                }
            }
            Kind::Gitea | Kind::GitLab => {
                need(
                    told,
                    "url",
                    has_url,
                    "the server, as in https://git.plant.example",
                );
                need(told, "token_file", has_token, "the file with the token");
                let parts: Vec<&str> = self.project.split('/').collect();
                let is_path = parts.iter().all(|part| is_name(part));
                let fits = match kind == Kind::Gitea {
                    true => parts.len() == 2,
                    false => parts.len() >= 2,
                };
                if !is_path || !fits {
                    told(
                        "project",
                        format!("project is '{}': write it as owner/name", self.project),
                    );
                }
                if !self.quiet.is_empty() || !self.digest.is_empty() {
                    let why = "quiet and digest are for what rings: an issue is opened, commented and closed when it is due";
                    let field = if self.quiet.is_empty() {
                        "digest"
                    } else {
                        "quiet"
                    };
                    told(field, why.to_owned());
                }
            }
            Kind::Mqtt => {
                let topic = self.base_topic("x");
                if topic.contains(['+', '#', '\0']) {
                    told(
                        "topic",
                        "topic: + and # are for those who listen".to_owned(),
                    );
                }
                if self.security == Security::StartTls {
                    told("security", "mqtt knows tls and plain".to_owned());
                }
            }
        }
        if matches!(kind, Kind::Email | Kind::Mqtt) {
            if !has_port(&self.server) {
                told("server", format!("{kind} needs server as host:port"));
            }
            if !self.user.is_empty() && self.security == Security::Plain {
                let why =
                    "a password is never sent without TLS: leave user out, or security = \"tls\"";
                told("security", why.to_owned());
            }
            if !self.user.is_empty() && !has_token {
                told("", "needs token_file: the password of user".to_owned());
            }
        } else {
            let of_url = url("url", &self.url).filter(|_| has_url);
            let token = !matches!(kind, Kind::Slack | Kind::Teams);
            let bare = bare_token("url", &self.url, &self.token_file).filter(|_| token && has_url);
            for mistake in of_url.into_iter().chain(bare) {
                told("url", mistake.what);
            }
        }
        if !self.answers_from.is_empty() {
            let is_number =
                |user: &String| !user.is_empty() && user.bytes().all(|c| c.is_ascii_digit());
            if kind != Kind::Telegram {
                told(
                    "answers_from",
                    "answers_from: only telegram has buttons".to_owned(),
                );
            } else if !self.answers_from.iter().all(is_number) {
                told(
                    "answers_from",
                    "answers_from: numbers of users, as in [\"123456789\"]".to_owned(),
                );
            }
        }
        if kind == Kind::Webhook {
            if let Err(why) = template::check_template(&self.template) {
                told("template", format!("template: {}", why.with_hint()));
            }
        } else if !self.template.is_empty() {
            told("template", "template: only a webhook has one".to_owned());
        }
        if self.confidential && kind != Kind::GitLab {
            let why = "confidential: only gitlab has such issues";
            told("confidential", why.to_owned());
        }
    }
}

/// True for what can be a mail address and breaks out of no line of a dialogue.
fn is_address(text: &str) -> bool {
    text.rsplit_once('@').is_some_and(|(local, domain)| {
        let plain = |c: char| c.is_ascii_graphic() && !"<>()[],;:\\\"".contains(c);
        !local.is_empty() && !domain.is_empty() && text.chars().all(plain) && text.len() <= 254
    })
}

/// What is wrong with all of them together; `has_github` = that is a tracker already.
pub(super) fn mistakes(channels: &[Notify], has_github: bool) -> Vec<ConfigError> {
    let mut wrong = Vec::new();
    let mut tracker = has_github.then_some("escalation.github");
    for (at, channel) in channels.iter().enumerate() {
        let key = format!("notify[{at}]");
        wrong.extend(channel.mistakes(&key));
        let same = channels.iter().take(at).any(|one| one.name == channel.name);
        let hears = |one: &Notify| !one.answers_from.is_empty();
        let twins = channels
            .iter()
            .take(at)
            .any(|one| hears(one) && one.token_file == channel.token_file);
        if hears(channel) && twins {
            let what = format!(
                "notify '{}': another channel hears this bot's answers: one bot for each, or a relay of your own in url",
                channel.name
            );
            wrong.push(ConfigError::of(format!("{key}.answers_from"), what));
        }
        if same && !channel.name.is_empty() {
            let what = format!("notify '{}': the name is there twice", channel.name);
            wrong.push(ConfigError::of(format!("{key}.name"), what));
        }
        if channel.kind.is_tracker() {
            if let Some(other) = tracker {
                let what = format!(
                    "notify '{}': a task has one issue, and {other} opens it already: keep one of the two",
                    channel.name
                );
                wrong.push(ConfigError::of(format!("{key}.kind"), what));
            }
            tracker = tracker.or(Some(&channel.name));
        }
    }
    if channels.len() > CHANNELS_MAX {
        let what = format!("notify: at most {CHANNELS_MAX} channels");
        wrong.push(ConfigError::of("notify", what));
    }
    wrong
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use crate::core::config::Config;

    #[test]
    fn what_cannot_work_is_refused_with_what_to_do() {
        let good = "[[notify]]\nname = \"shift\"\nkind = \"telegram\"\ntoken_file = \"/t\"\nto = [\"-100\"]\n\
                    [[notify]]\nname = \"office\"\nkind = \"email\"\nserver = \"mail.plant:587\"\nsecurity = \"starttls\"\n\
                    from = \"gw@plant.example\"\nto = [\"ann@plant.example\"]\nuser = \"gw\"\ntoken_file = \"/p\"\ndigest = \"07:00\"\n\
                    [[notify]]\nname = \"bus\"\nkind = \"mqtt\"\nserver = \"127.0.0.1:1883\"\nsecurity = \"plain\"\n\
                    [[notify]]\nname = \"push\"\nkind = \"ntfy\"\nurl = \"https://ntfy.sh\"\ntopic = \"x\"\nseverity = \"error\"\n\
                    [[notify]]\nname = \"chat\"\nkind = \"slack\"\nurl = \"https://hooks.example/x\"\nquiet = \"22:00-06:00\"\n";
        assert_eq!(Config::parse(good).unwrap().notify.len(), 5);
        let gitea = "[[notify]]\nname = \"forge\"\nkind = \"gitea\"\nurl = \"https://git.plant\"\nproject = \"plant/gateways\"\ntoken_file = \"/t\"\n";
        let gitlab = &gitea
            .replace("gitea", "gitlab")
            .replace("plant/gateways", "plant/line-2/gateways");
        for text in [
            gitea,
            gitlab,
            &format!("{gitlab}confidential = true\nallow_public = true\n"),
        ] {
            Config::parse(text).unwrap();
        }
        let github = "[escalation.github]\nrepository = \"a/b\"\ntoken_file = \"/t\"\n";
        let named = "[[notify]]\nname = \"a\"\n";
        for (text, part) in [
            ("[[notify]]\nkind = \"slack\"\nurl = \"https://a\"", "name"),
            (
                "[[notify]]\nname = \"A b\"\nurl = \"https://a\"",
                "lower case",
            ),
            (
                "[[notify]]\nname = \"github\"\nurl = \"https://a\"",
                "another",
            ),
            (&format!("{named}kind = \"sms\""), "telegram"),
            (&format!("{named}kind = \"webhook\""), "url"),
            (
                &format!("{named}url = \"http://a\"\ntoken_file = \"/t\""),
                "TLS",
            ),
            (
                &format!("{named}url = \"https://a\"\ntemplate = '{{'"),
                "JSON",
            ),
            (
                &format!("{named}url = \"https://a\"\nquiet = \"22-6\""),
                "22:00-06:00",
            ),
            (
                &format!("{named}url = \"https://a\"\ndigest = \"7\""),
                "07:00",
            ),
            (
                &format!("{named}url = \"https://a\"\nclasses = [\"disk_ful\"]"),
                "disk_full",
            ),
            (
                &format!("{named}kind = \"telegram\"\nto = [\"1\"]"),
                "token",
            ),
            (
                &format!("{named}kind = \"ntfy\"\nurl = \"https://a\""),
                "topic",
            ),
            (
                &format!(
                    "{named}kind = \"email\"\nserver = \"m:25\"\nfrom = \"a@b\"\nto = [\"a\\r\\n@b\"]"
                ),
                "no mail address",
            ),
            (
                &format!(
                    "{named}kind = \"mqtt\"\nserver = \"m:1\"\nuser = \"u\"\ntoken_file = \"/p\"\nsecurity = \"plain\""
                ),
                "without TLS",
            ),
            (
                &format!("{named}kind = \"mqtt\"\nserver = \"m\""),
                "host:port",
            ),
            (&gitea.replace("https", "http"), "TLS"),
            (&gitea.replace("plant/gateways", "gateways"), "owner/name"),
            (&gitea.replace("plant/gateways", "a/b/c"), "owner/name"),
            (&gitlab.replace("plant/line-2/", "../"), "owner/name"),
            (&gitea.replace("token_file = \"/t\"", ""), "token"),
            (&format!("{gitea}quiet = \"22:00-06:00\""), "when it is due"),
            (&format!("{gitlab}digest = \"07:00\""), "when it is due"),
            (&format!("{gitea}confidential = true"), "only gitlab"),
            (&format!("{github}{gitea}"), "escalation.github opens it"),
            (
                &format!("{gitea}{}", gitlab.replace("forge", "lab")),
                "forge opens it",
            ),
            (
                &format!("{named}url = \"https://a\"\n{named}url = \"https://a\""),
                "twice",
            ),
        ] {
            let error = Config::parse(text).unwrap_err().to_string();
            assert!(error.contains(part), "{text}: {error}");
        }
    }
}
