//! What a channel is spoken to with: one request of HTTP, one dialogue of SMTP, or a connection of MQTT.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

use serde_json::Value;

use super::Teller;
use super::bus::Bus;
use super::error::LineError;
use crate::core::config::{ChannelKind, Notify, Security, template};
use crate::core::human::answer::AnswerKey;
use crate::core::human::mqtt::Tally;
use crate::core::human::notice::Notice;
use crate::core::human::reply::{ReplyJudgement, WAIT_MOST};
use crate::core::human::{chat, mail};
use crate::core::model::hint::Hint;
use crate::core::model::time::Timestamp;
use crate::escalation::http::{Https, Request, Response, SendError, Transport, Verb};
use crate::escalation::smtp::{self, MailError};
use crate::escalation::token::{self, Secret, TokenError};
use crate::host::net::{Tls, TlsError};

/// Where Telegram's bots are asked.
const TELEGRAM: &str = "https://api.telegram.org";

/// How the other side is reached.
#[derive(Debug)]
enum Over {
    Http(Box<dyn Transport + Send>),
    Mail(Mail),
    Mqtt(Box<Bus>),
}

/// What a mail needs beside the configuration.
#[derive(Debug)]
struct Mail {
    tls: Tls,
    stop: Arc<AtomicBool>,
    gateway: String,
    gateway_id: String,
}

/// See the module.
#[derive(Debug)]
pub struct Line {
    over: Over,
    credentials: Option<PathBuf>,
    answer_key: Option<AnswerKey>,
    /// What was read of the token when it was refused last.
    refused: Option<Option<Secret>>,
}

impl Line {
    /// Nothing is asked before the first message. Gives up at once when `stop` is set.
    pub fn open(config: &Notify, teller: &Teller, stop: Arc<AtomicBool>) -> Result<Self, TlsError> {
        let over = match config.kind {
            ChannelKind::Email => Over::Mail(Mail {
                tls: Tls::new(&config.ca_file)?,
                stop,
                gateway: teller.gateway.clone(),
                gateway_id: teller.gateway_id.clone(),
            }),
            ChannelKind::Mqtt => {
                let tls = Tls::new(&config.ca_file)?;
                Over::Mqtt(Box::new(Bus::new(tls, teller, stop)))
            }
            ChannelKind::Webhook
            | ChannelKind::Slack
            | ChannelKind::Teams
            | ChannelKind::Ntfy
            | ChannelKind::Telegram
            | ChannelKind::Gitea
            | ChannelKind::GitLab => {
                let timeout = Duration::from_secs(config.timeout_s);
                let transport = Https::with_plain(timeout, &config.ca_file)?.stopped_by(stop);
                Over::Http(Box::new(transport))
            }
        };
        Ok(Self {
            over,
            credentials: teller.credentials.clone(),
            answer_key: teller.answer_key.clone(),
            refused: None,
        })
    }

    /// Over this transport alone.
    #[cfg(test)]
    pub fn over(transport: Box<dyn Transport + Send>, teller: &Teller) -> Self {
        Self {
            over: Over::Http(transport),
            credentials: teller.credentials.clone(),
            answer_key: teller.answer_key.clone(),
            refused: None,
        }
    }

    /// Read anew each time: a changed token needs no restart.
    fn token(&self, config: &Notify) -> Result<Option<Secret>, TokenError> {
        if config.token_file.is_empty() {
            return Ok(None);
        }
        let name = config.credential();
        token::read_named(
            Path::new(&config.token_file),
            self.credentials.as_deref(),
            &name,
        )
        .map(Some)
    }

    /// Why nothing can be sent before a human has changed something.
    pub fn ready(&self, config: &Notify) -> Result<(), TokenError> {
        self.token(config).map(drop)
    }

    /// What a human had to change has changed.
    pub fn renewed(&mut self, config: &Notify) -> bool {
        let now = self.token(config).ok();
        match (&self.refused, now) {
            (Some(before), Some(now)) => *before != now,
            _ => false,
        }
    }

    /// `parts` are what a digest tells of. What came back, in a few words.
    pub fn send(
        &mut self,
        config: &Notify,
        message: &Notice,
        parts: &[Notice],
        now: Timestamp,
    ) -> Result<String, LineError> {
        let token = self.token(config).map_err(|why| no_token(&why))?;
        let sent = match &mut self.over {
            Over::Http(transport) => {
                match request(config, message, token.as_ref(), self.answer_key.as_ref()) {
                    Ok(request) => post(transport.as_ref(), config.kind, &request, now),
                    Err(why) => Err(why),
                }
            }
            Over::Mail(mail) => {
                let (from, to) = (config.from.as_str(), config.to.as_slice());
                let text = mail::compose(message, from, to, &mail.gateway_id, now);
                let server = mail.server(config, token.clone());
                server.send(&mail.tls, from, to, &text).map_err(of_mail)
            }
            Over::Mqtt(bus) => bus.send(config, token.as_ref(), message, parts, Instant::now()),
        };
        self.refused = matches!(sent, Err(LineError::Denied(_))).then_some(token);
        sent
    }

    /// The same once, for a process that does not stay.
    pub fn test(
        &mut self,
        config: &Notify,
        message: &Notice,
        now: Timestamp,
    ) -> Result<String, LineError> {
        let token = self.token(config).map_err(|why| no_token(&why))?;
        match &self.over {
            Over::Mqtt(bus) => bus.test(config, token.as_ref(), message),
            Over::Http(_) | Over::Mail(_) => self.send(config, message, &[], now),
        }
    }

    /// Whether the other side is there and takes the token, without telling anybody anything.
    pub fn check(&self, config: &Notify) -> Result<String, LineError> {
        let token = self.token(config).map_err(|why| no_token(&why))?;
        let transport = match &self.over {
            Over::Http(transport) => transport,
            Over::Mail(mail) => {
                let server = mail.server(config, token);
                return server.check(&mail.tls).map_err(of_mail);
            }
            Over::Mqtt(bus) => return bus.check(config, token.as_ref()),
        };
        let base = config.url.trim_end_matches('/');
        let hook = match (base, &token) {
            ("", Some(hook)) => hook.expose(),
            (url, _) => url,
        };
        // Only the root of a hook is asked: the address itself acts.
        let root: String = hook.split_inclusive('/').take(3).collect();
        let (url, proves) = match config.kind {
            ChannelKind::Telegram => (telegram_url(config, token.as_ref(), "getMe"), true),
            ChannelKind::Ntfy => (format!("{base}/v1/health"), true),
            ChannelKind::Webhook
            | ChannelKind::Slack
            | ChannelKind::Teams
            | ChannelKind::Email
            | ChannelKind::Mqtt
            | ChannelKind::Gitea
            | ChannelKind::GitLab => (format!("{}/", root.trim_end_matches('/')), false),
        };
        let request = Request {
            method: Verb::Get,
            url,
            token: None,
            headers: Vec::new(),
            body: None,
        };
        match transport.send(&request) {
            Ok(response) if proves => judged(config.kind, &response, Timestamp::from_millis(0)),
            Ok(response) => Ok(format!(
                "{root} is reached ({}); `notify test` tells whether it takes a message",
                response.status
            )),
            Err(SendError::NotSent(why)) => Err(LineError::Offline(why)),
            Err(SendError::Unknown(why)) => Err(LineError::Unclear(why)),
            // It is there.
            Err(SendError::Elsewhere(_)) => Ok(format!("{root} answers")),
        }
    }

    /// For who keeps a connection; called every some seconds.
    pub fn keep(&mut self, config: &Notify, standing: &mut dyn FnMut() -> Option<Tally>) {
        if !matches!(self.over, Over::Mqtt(_)) {
            return;
        }
        // Without its password nothing can be kept; the next message says so.
        let token = self.token(config);
        if let (Over::Mqtt(bus), Ok(token)) = (&mut self.over, token) {
            bus.keep(config, token.as_ref(), standing, Instant::now());
        }
    }

    /// Takes leave.
    pub fn leave(&mut self, config: &Notify) {
        if let Over::Mqtt(bus) = &mut self.over {
            bus.leave(config, Instant::now());
        }
    }
}

impl Mail {
    fn server(&self, config: &Notify, password: Option<Secret>) -> smtp::Server {
        smtp::Server {
            address: config.server.clone(),
            security: match config.security {
                Security::Tls => smtp::Security::Tls,
                Security::StartTls => smtp::Security::StartTls,
                Security::Plain => smtp::Security::Plain,
            },
            user: config.user.clone(),
            password: password.filter(|_| !config.user.is_empty()),
            hello: self.gateway.clone(),
            timeout: Duration::from_secs(config.timeout_s),
            stop: Arc::clone(&self.stop),
        }
    }
}

fn no_token(why: &TokenError) -> LineError {
    LineError::Denied(why.with_hint())
}

fn of_mail(why: MailError) -> LineError {
    match why {
        MailError::NotSent(why) => LineError::Offline(why),
        MailError::Later(why) => LineError::Limited(None, why),
        MailError::Denied(why) => LineError::Denied(why),
        MailError::Refused(why) => LineError::Refused(why),
        MailError::Unknown(why) => LineError::Unclear(why),
    }
}

fn post(
    transport: &dyn Transport,
    kind: ChannelKind,
    request: &Request,
    now: Timestamp,
) -> Result<String, LineError> {
    transport.begin_attempt();
    match transport.send(request) {
        Ok(response) => judged(kind, &response, now),
        Err(SendError::NotSent(why)) => Err(LineError::Offline(why)),
        Err(SendError::Unknown(why)) => Err(LineError::Unclear(why)),
        Err(error @ SendError::Elsewhere(_)) => Err(LineError::Denied(error.to_string())),
    }
}

/// Where a bot's method is asked.
pub fn telegram_url(config: &Notify, bot: Option<&Secret>, method: &str) -> String {
    let base = match config.url.trim_end_matches('/') {
        "" => TELEGRAM,
        own => own,
    };
    format!("{base}/bot{}/{method}", bot.map_or("", Secret::expose))
}

/// The request that tells `message`.
fn request(
    config: &Notify,
    message: &Notice,
    token: Option<&Secret>,
    key: Option<&AnswerKey>,
) -> Result<Request, LineError> {
    let base = config.url.trim_end_matches('/');
    let hook = || match (base, token) {
        ("", Some(hook)) => hook.expose().to_owned(),
        (url, _) => url.to_owned(),
    };
    if base.is_empty() && token.is_some_and(|hook| hook.expose().starts_with("http://")) {
        let why = "the hook is a secret, and http:// would send it in the clear: write https://";
        return Err(LineError::Denied(why.to_owned()));
    }
    let (url, body) = match config.kind {
        ChannelKind::Slack => (hook(), chat::slack(message)),
        ChannelKind::Teams => (hook(), chat::teams(message)),
        ChannelKind::Ntfy => (format!("{base}/"), chat::ntfy(message, &config.topic)),
        ChannelKind::Telegram => {
            let chat = config.to.first().map_or("", String::as_str);
            let url = telegram_url(config, token, "sendMessage");
            let key = key.filter(|_| !config.answers_from.is_empty());
            let buttons = key.map(|key| chat::buttons(message, key, &message.key));
            (
                url,
                chat::telegram(message, chat, &buttons.unwrap_or_default()),
            )
        }
        // A tracker is no channel, and has no line.
        ChannelKind::Webhook
        | ChannelKind::Email
        | ChannelKind::Mqtt
        | ChannelKind::Gitea
        | ChannelKind::GitLab => (config.url.clone(), message.document()),
    };
    if !url.starts_with("https://") && !url.starts_with("http://") {
        let why = "the address is none: write it as https://host/path";
        return Err(LineError::Denied(why.to_owned()));
    }
    let body = template::render(&body, &config.template)
        .map_err(|why| LineError::Refused(why.with_hint()))?;
    let bears = matches!(config.kind, ChannelKind::Webhook | ChannelKind::Ntfy);
    Ok(Request {
        method: Verb::Post,
        url,
        token: token.filter(|_| bears).cloned(),
        headers: vec![("idempotency-key", message.key.clone())],
        body: Some(body),
    })
}

/// What the answer means. Telegram tells in its JSON how long to wait.
fn judged(kind: ChannelKind, response: &Response, now: Timestamp) -> Result<String, LineError> {
    let reply = response.reply();
    let json: Option<Value> = serde_json::from_str(&response.body).ok();
    let said = |name: &str| json.as_ref().and_then(|json| json.get(name)?.as_str());
    let text = match said("description").or_else(|| said("error")) {
        Some(text) => format!("answer {} ({text})", reply.status),
        None => reply.describe(),
    };
    let why = format!("{kind}: {text}");
    match reply.judgement(now) {
        ReplyJudgement::Done if is_page(&response.body) => {
            let why = "it answers with a web page, as a login or a portal does: the message was not taken";
            Err(LineError::Denied(format!(
                "{kind}: answer {}: {why}",
                reply.status
            )))
        }
        ReplyJudgement::Done => {
            // A workflow's and a bot's refusal may come with a status of success.
            let is_ok = json.as_ref().and_then(|json| json.get("ok")?.as_bool());
            match is_ok {
                Some(false) => Err(LineError::Refused(why)),
                _ => Ok(format!("answer {}", reply.status)),
            }
        }
        ReplyJudgement::Limited(after) => {
            let asked = json
                .as_ref()
                .and_then(|json| json.get("parameters")?.get("retry_after")?.as_u64());
            let asked = asked.map(|seconds| Duration::from_secs(seconds).min(WAIT_MOST));
            Err(LineError::Limited(after.or(asked), why))
        }
        ReplyJudgement::Forbidden | ReplyJudgement::Missing | ReplyJudgement::Gone => {
            Err(LineError::Denied(why))
        }
        // The chat is not there, or the bot is not in it: every message would be refused.
        ReplyJudgement::Refused if kind == ChannelKind::Telegram && text.contains("chat") => {
            Err(LineError::Denied(why))
        }
        // It is what it says that is not taken. Anything else is said of the address, and would be of every message.
        ReplyJudgement::Refused if matches!(reply.status, 400 | 409 | 413 | 422) => {
            Err(LineError::Refused(why))
        }
        ReplyJudgement::Refused => Err(LineError::Denied(why)),
        // A redirection that was not followed.
        ReplyJudgement::Unclear if reply.status < 400 => Err(LineError::Denied(why)),
        ReplyJudgement::Unclear => Err(LineError::Unclear(why)),
    }
}

/// True for what a browser would show.
fn is_page(body: &str) -> bool {
    let start: String = body.trim_start().chars().take(14).collect();
    let start = start.to_ascii_lowercase();
    start.starts_with("<!doctype html") || start.starts_with("<html")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::human::notice::tests::message;

    fn channel(kind: ChannelKind) -> Notify {
        Notify {
            name: "a".to_owned(),
            kind,
            url: "https://hooks.example/x".to_owned(),
            to: vec!["-100".to_owned()],
            topic: "gateways".to_owned(),
            ..Notify::default()
        }
    }

    #[test]
    fn a_token_goes_where_its_kind_wants_it_and_nowhere_else() {
        let token = Secret::new("123:abc");
        let of = |config: &Notify| request(config, &message(), Some(&token), None);
        let ntfy = of(&channel(ChannelKind::Ntfy)).ok();
        assert_eq!(
            ntfy.as_ref().and_then(|one| one.token.clone()),
            Some(token.clone())
        );
        let bot = Notify {
            url: String::new(),
            ..channel(ChannelKind::Telegram)
        };
        let bot = of(&bot).ok();
        let url = bot.as_ref().map(|one| one.url.as_str());
        assert_eq!(url, Some("https://api.telegram.org/bot123:abc/sendMessage"));
        assert_eq!(bot.as_ref().and_then(|one| one.token.clone()), None);
        let hook = Notify {
            url: String::new(),
            ..channel(ChannelKind::Slack)
        };
        assert!(of(&hook).is_err(), "a token that is no address");
        for (address, taken) in [
            ("http://hooks.example/s3", false),
            ("https://hooks.example/s3", true),
        ] {
            let secret = Secret::new(address);
            let request = request(&hook, &message(), Some(&secret), None);
            assert_eq!(request.is_ok(), taken, "{address}");
        }
        for one in [ntfy, bot].into_iter().flatten() {
            assert!(!one.body.unwrap_or_default().contains("123:abc"));
        }
    }

    #[test]
    fn answers_mean_what_their_vendors_write() {
        let now = Timestamp::from_millis(1_763_878_648_000);
        let of = |kind, status, body: &str, headers: &[(&str, &str)]| {
            let headers = headers
                .iter()
                .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
                .collect();
            let response = Response {
                status,
                body: body.to_owned(),
                headers,
                ..Response::default()
            };
            judged(kind, &response, now)
        };
        use ChannelKind::{Ntfy, Slack, Teams, Telegram};
        assert!(of(Slack, 200, "ok", &[]).is_ok());
        assert!(of(Teams, 202, "", &[]).is_ok());
        let limited = r#"{"ok":false,"error_code":429,"description":"Too Many Requests: retry after 7","parameters":{"retry_after":7}}"#;
        let seven = Some(Duration::from_secs(7));
        assert!(
            matches!(of(Telegram, 429, limited, &[]), Err(LineError::Limited(after, _)) if after == seven)
        );
        assert!(matches!(
            of(Slack, 429, "", &[("retry-after", "7")]),
            Err(LineError::Limited(after, _)) if after == seven
        ));
        let absent = r#"{"ok":false,"error_code":400,"description":"Bad Request: chat not found"}"#;
        assert!(
            matches!(of(Telegram, 400, absent, &[]), Err(LineError::Denied(why)) if why.contains("chat not found"))
        );
        assert!(matches!(
            of(Telegram, 401, "{}", &[]),
            Err(LineError::Denied(_))
        ));
        assert!(matches!(
            of(Slack, 400, "invalid_payload", &[]),
            Err(LineError::Refused(_))
        ));
        assert!(matches!(
            of(Slack, 404, "no_service", &[]),
            Err(LineError::Denied(_))
        ));
        assert!(
            matches!(of(Ntfy, 403, r#"{"code":40301,"error":"forbidden"}"#, &[]), Err(LineError::Denied(why)) if why.contains("forbidden"))
        );
        assert!(matches!(of(Ntfy, 502, "", &[]), Err(LineError::Unclear(_))));
        // A portal that wants a login first, a page where posting is not allowed, a redirection that is no answer.
        for (status, body) in [
            (200, "\n<!DOCTYPE html><title>Sign in</title>"),
            (200, "<html lang=en>"),
            (405, ""),
            (303, ""),
        ] {
            let denied = of(ChannelKind::Webhook, status, body, &[]);
            assert!(
                matches!(denied, Err(LineError::Denied(_))),
                "{status} {denied:?}"
            );
        }
        assert!(of(ChannelKind::Webhook, 200, "<p>taken</p>", &[]).is_ok());
    }
}
