//! What a channel is told, in plain words: a headline, some labelled lines, and the document that programs get. Pure.

use serde_json::{Value, json};

use crate::core::human::delivery::{Delivery, Operation, Payload};
use crate::core::human::guidance::Guidance;
use crate::core::human::redact::Redactor;
use crate::core::model::cause::Cause;
use crate::core::model::class::{Class, Clearing};
use crate::core::model::finding::Severity;
use crate::core::model::id::{IssueNumber, TaskId};
use crate::core::model::inert;
use crate::core::model::task::Resolution;
use crate::core::model::text::cut;
use crate::core::model::time::Timestamp;

/// Longest message of one line of a digest, in bytes.
const DIGEST_LINE: usize = 160;
/// Most lines of a digest; the rest is counted.
const DIGEST_LINES: usize = 40;
const MARK_START: &str = "<!--";
const MARK_END: &str = "-->";

/// One delivery in words: redacted, and nothing in it acts on a terminal.
#[derive(Clone, Debug, PartialEq)]
pub struct Notice {
    /// The same in every repeat of this row, and of no other.
    pub key: String,
    /// The same in all rows of one problem.
    pub problem: String,
    pub event: Operation,
    pub gateway: String,
    pub severity: Severity,
    pub class: String,
    pub subject: String,
    pub title: String,
    pub cause: String,
    pub message: String,
    pub since: String,
    pub task: TaskId,
    pub issue: Option<IssueNumber>,
    /// How it ended.
    pub resolution: String,
    /// Why a human is asked.
    pub reason: String,
    /// Digest of the action that a human is asked to allow.
    pub proposal: Option<String>,
    /// That action with all its terms, and its kind.
    pub action: String,
    pub action_kind: String,
    /// The whole text, as Markdown.
    pub text: String,
}

impl Notice {
    pub fn of(delivery: &Delivery, payload: &Payload, gateway: &str) -> Self {
        let redactor = Redactor::new();
        let clean = |text: &str| inert::lines(&redactor.redact(text)).into_owned();
        let line = |text: &str| inert::line(&clean(text)).into_owned();
        let raw = |name: &str| payload.facts.get(name).map_or("", String::as_str);
        let fact = |name: &str| line(raw(name));
        let (subject, message) = (fact("subject"), clean(raw("message")));
        let title = entitled(line(&payload.title), gateway, &subject, &message);
        Self {
            key: delivery.row_key(),
            problem: delivery.delivery_key.clone(),
            event: delivery.operation,
            gateway: gateway.to_owned(),
            severity: delivery.severity,
            class: fact("class"),
            subject,
            title,
            cause: fact("cause"),
            message,
            since: fact("since"),
            task: delivery.task_id,
            issue: delivery.issue_number,
            resolution: payload.resolution.clone(),
            reason: line(&payload.reason),
            proposal: payload.proposal.clone(),
            action: clean(&payload.action),
            action_kind: line(&payload.action_kind),
            text: clean(payload.comment_text().unwrap_or("")),
        }
    }

    /// What proves that a channel works, and is not to be mistaken for more.
    pub fn test(channel: &str, gateway: &str, now: Timestamp) -> Self {
        let message = format!(
            "Sent by `autonomous-orchestrator notify test` at {} UTC. Nothing is wrong.",
            now.second()
        );
        Self {
            key: format!("test:{channel}:{}", now.as_millis()),
            problem: "test".to_owned(),
            event: Operation::Create,
            gateway: gateway.to_owned(),
            severity: Severity::Info,
            class: "test".to_owned(),
            subject: channel.to_owned(),
            title: format!("{gateway}: TEST of the channel {channel}"),
            cause: String::new(),
            text: message.clone(),
            message,
            since: String::new(),
            task: TaskId::from_number(0),
            issue: None,
            resolution: String::new(),
            reason: String::new(),
            proposal: None,
            action: String::new(),
            action_kind: String::new(),
        }
    }

    /// One message that tells of many; `key` is its own.
    pub fn digest(told: &[Self], key: &str, gateway: &str) -> Option<Self> {
        let worst = told.iter().max_by_key(|one| one.severity)?;
        let over = told.iter().filter(|one| one.is_over()).count();
        let lines = told.iter().take(DIGEST_LINES).map(|one| {
            let headline = one.headline();
            format!("{} {}", one.icon(), cut(&headline, DIGEST_LINE))
        });
        let mut lines: Vec<String> = lines.collect();
        if let Some(more @ 1..) = told.len().checked_sub(DIGEST_LINES) {
            lines.push(format!("and {more} more: see `status` on the gateway"));
        }
        let title = match over {
            0 => format!("{gateway}: digest of {}", counted(told.len())),
            over => format!(
                "{gateway}: digest of {}, {over} of them over",
                counted(told.len())
            ),
        };
        Some(Self {
            key: key.to_owned(),
            problem: key.to_owned(),
            event: Operation::Comment,
            gateway: gateway.to_owned(),
            class: "digest".to_owned(),
            subject: String::new(),
            title,
            cause: String::new(),
            message: lines.join("\n"),
            since: String::new(),
            issue: None,
            resolution: String::new(),
            reason: String::new(),
            proposal: None,
            action: String::new(),
            action_kind: String::new(),
            text: lines.join("\n"),
            ..worst.clone()
        })
    }

    pub fn is_over(&self) -> bool {
        self.event == Operation::Close
    }

    /// How bad it is, at a glance.
    pub fn icon(&self) -> &'static str {
        match (self.is_over(), self.severity) {
            (true, _) => "✅",
            (false, Severity::Critical) => "🔴",
            (false, Severity::Error) => "🟠",
            (false, Severity::Warning) => "🟡",
            (false, Severity::Info) => "🔵",
        }
    }

    /// One line that says where, what and how bad. Never empty.
    pub fn headline(&self) -> String {
        let title = self.title.clone();
        match self.event {
            Operation::Create => title,
            Operation::Comment if self.class == "digest" => title,
            Operation::Comment => format!("news of {title}"),
            Operation::Reopen => format!("again: {title}"),
            Operation::Close => format!("{}: {title}", ended(&self.resolution, &self.class)),
        }
    }

    /// What a technician wants to know first, each with its name.
    pub fn facts(&self) -> Vec<(&'static str, String)> {
        let mut facts = Vec::new();
        let mut add = |name, text: String| {
            if !text.is_empty() {
                facts.push((name, text));
            }
        };
        let is_news = self.event == Operation::Comment && self.class != "digest";
        match is_news || self.is_over() {
            true => add("What", unmarked(&self.text)),
            false => add("What", self.message.clone()),
        }
        if !self.is_over() && !is_news {
            let cause = self.cause.parse::<Cause>().ok();
            if let Some(cause) = cause.filter(|cause| *cause != Cause::Unknown) {
                add("Cause", cause.describe().to_owned());
                add("What can help", Guidance::of(cause).helps.to_owned());
            }
            add("Why you are asked", self.reason.clone());
            add("What would be done", self.action.clone());
        }
        if !self.since.is_empty() && !self.is_over() {
            let second = self.since.split('.').next().unwrap_or("");
            add("Since", format!("{second} UTC"));
        }
        if self.task.number() > 0 && !self.is_over() {
            let order = match &self.proposal {
                Some(digest) => {
                    let digest = digest.get(..12).unwrap_or(digest);
                    format!(
                        "autonomous-orchestrator approve {} --digest {digest}",
                        self.task
                    )
                }
                None => format!("autonomous-orchestrator explain {}", self.task),
            };
            add("On the gateway", order);
        }
        facts
    }

    /// Headline and facts as plain text of at most `cap` bytes.
    pub fn plain(&self, cap: usize) -> String {
        let mut text = format!("{} {}\n", self.icon(), self.headline());
        for (name, value) in self.facts() {
            text.push('\n');
            match name {
                "What" => text.push_str(&value),
                name if value.contains('\n') => text.push_str(&format!("{name}:\n{value}")),
                name => text.push_str(&format!("{name}: {value}")),
            }
        }
        shortened(&text, cap)
    }

    /// The document that a webhook receives, or that the operator's template is filled from.
    pub fn document(&self) -> Value {
        json!({
            "version": 1,
            "event": self.event.as_str(),
            "key": self.key,
            "problem": self.problem,
            "gateway": self.gateway,
            "severity": self.severity.as_str(),
            "class": self.class,
            "subject": self.subject,
            "title": self.title,
            "cause": self.cause,
            "message": self.message,
            "since": self.since,
            "task": self.task,
            "issue": self.issue,
            "resolution": self.resolution,
            "text": self.text,
        })
    }
}

/// Only what opens a problem brings a title.
fn entitled(title: String, gateway: &str, subject: &str, message: &str) -> String {
    if !title.is_empty() {
        return title;
    }
    let first = message.lines().next().unwrap_or("");
    let parts = [gateway, subject, first].into_iter();
    let parts: Vec<&str> = parts.filter(|part| !part.is_empty()).collect();
    parts.join(": ")
}

fn counted(number: usize) -> String {
    match number {
        1 => "1 message".to_owned(),
        number => format!("{number} messages"),
    }
}

/// At most `cap` bytes; what was cut off is seen.
pub fn shortened(text: &str, cap: usize) -> String {
    if text.len() <= cap {
        return text.to_owned();
    }
    format!("{}…", cut(text, cap.saturating_sub("…".len())).trim_end())
}

/// What Markdown takes of HTML in our own texts.
const TAGS: [&str; 6] = [
    "<details>",
    "</details>",
    "<summary>",
    "</summary>",
    "<sub>",
    "</sub>",
];

/// Our own Markdown without what only a tracker shows as more than text: hidden comments and tags.
pub fn visible(markdown: &str) -> String {
    let mut out = String::with_capacity(markdown.len());
    let mut rest = markdown;
    while let Some((before, after)) = rest.split_once(MARK_START) {
        out.push_str(before);
        rest = after.split_once(MARK_END).map_or("", |(_, after)| after);
        rest = rest.strip_prefix('\n').unwrap_or(rest);
    }
    out.push_str(rest);
    TAGS.iter().fold(out, |text, tag| text.replace(tag, ""))
}

/// The same without fences, emphasis and escapes either.
fn unmarked(markdown: &str) -> String {
    let visible = visible(markdown);
    let lines = visible.lines().filter(|line| !line.starts_with("```"));
    let mut text = String::new();
    let mut blank = false;
    for line in lines {
        if line.trim().is_empty() {
            blank = !text.is_empty();
            continue;
        }
        if blank {
            text.push('\n');
        }
        blank = false;
        let mut escaped = false;
        for c in line.replace("**", "").chars() {
            if c == '\\' && !escaped {
                escaped = true;
                continue;
            }
            if escaped && !c.is_ascii_punctuation() {
                text.push('\\');
            }
            escaped = false;
            text.push(c);
        }
        text.push('\n');
    }
    text.truncate(text.trim_end().len());
    text
}

/// How a resolution reads in one word.
fn ended(resolution: &str, class: &str) -> &'static str {
    let by_look = class
        .parse::<Class>()
        .is_ok_and(|class| class.clearing() == Clearing::Sweep);
    match resolution.parse::<Resolution>() {
        // That no line came is no proof.
        Ok(Resolution::SelfCleared) if !by_look => "not heard of any more",
        Ok(Resolution::Fixed) => "repaired",
        Ok(Resolution::SelfCleared) => "over by itself",
        Ok(Resolution::Human) => "closed by a human",
        Ok(Resolution::Superseded) => "replaced by another",
        Ok(Resolution::NotAFault) => "not a fault",
        Ok(Resolution::Unverified) => "over, not verified",
        Err(_) => "over",
    }
}

#[cfg(test)]
pub mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::core::human::delivery::State;
    use crate::core::model::id::OutboxId;

    /// A delivery and its content, as `docs/example-*` show it.
    pub fn example() -> (Delivery, Payload) {
        let (task, rendered) = crate::core::human::issue::tests::example();
        let payload = Payload {
            title: rendered.title,
            body: rendered.body,
            facts: [
                ("class", task.class.as_str()),
                ("subject", task.subject.as_str()),
                ("cause", "path_missing"),
                ("message", task.message.as_str()),
                ("since", "2025-11-23 06:17:28.000"),
            ]
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .into(),
            ..Payload::default()
        };
        let delivery = Delivery {
            id: OutboxId::from_number(41),
            task_id: task.id,
            destination: "webhook".to_owned(),
            operation: Operation::Create,
            state: State::Pending,
            attempts: 0,
            payload: String::new(),
            delivery_key: "9e1b".repeat(16),
            issue_number: None,
            created_at: task.last_seen_at,
            next_at: task.last_seen_at,
            last_error: None,
            said_by: None,
            severity: task.severity,
        };
        (delivery, payload)
    }

    /// The same as a message, with what a human is asked for.
    pub fn message() -> Notice {
        let (delivery, payload) = example();
        let payload = Payload {
            reason: "mode suggest: a human must approve".to_owned(),
            proposal: Some(format!("{}0000", "acb7b9fb085b".repeat(5))),
            ..payload
        };
        Notice::of(&delivery, &payload, "iac1")
    }

    /// Writes `docs/NAME` anew with `UPDATE_GOLDEN=1`, else compares it.
    pub fn golden(name: &str, text: &str) {
        let path = format!("{}/docs/{name}", env!("CARGO_MANIFEST_DIR"));
        if std::env::var_os("UPDATE_GOLDEN").is_some() {
            std::fs::write(&path, text).unwrap();
        }
        assert_eq!(std::fs::read_to_string(path).unwrap(), text);
    }

    /// `docs/example-webhook.json` is what is sent; set `UPDATE_GOLDEN=1` to write it anew.
    #[test]
    fn the_example_in_docs_is_what_is_sent() {
        let (delivery, payload) = example();
        let message = Notice::of(&delivery, &payload, "iac1");
        golden(
            "example-webhook.json",
            &format!("{:#}\n", message.document()),
        );
    }

    #[test]
    fn a_phone_shows_what_is_needed_first() {
        let text = message().plain(4_000);
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(
            lines,
            [
                "🟠 iac1: modbus-bridge.service: the program named by ExecStart is gone",
                "",
                "ExecStart=/opt/bridge/bin/modbus-bridge does not exist",
                "Cause: A file or directory that is needed does not exist.",
                &format!("What can help: {}", Guidance::of(Cause::PathMissing).helps),
                "Why you are asked: mode suggest: a human must approve",
                "Since: 2025-11-23 06:17:28 UTC",
                "On the gateway: autonomous-orchestrator approve 17 --digest acb7b9fb085b",
            ]
        );
        assert!(message().plain(60).len() <= 60);
        assert!(message().plain(60).ends_with('…'));
    }

    #[test]
    fn an_end_is_told_in_plain_words() {
        let over = Notice {
            event: Operation::Close,
            title: entitled(String::new(), "iac1", &message().subject, &message().message),
            text: "<!-- x:y -->\nFixed: the detector that found it is green, 2026 UTC: **a**\\_b \\[c\\]\n".to_owned(),
            ..message()
        };
        assert_eq!(
            over.plain(4_000),
            "✅ over: iac1: modbus-bridge.service: ExecStart=/opt/bridge/bin/modbus-bridge does not exist\n\n\
             Fixed: the detector that found it is green, 2026 UTC: a_b [c]"
        );
    }

    #[test]
    fn a_digest_counts_and_lists() {
        let over = Notice {
            event: Operation::Close,
            ..message()
        };
        let digest = Notice::digest(&[message(), over], "k", "iac1").unwrap();
        assert_eq!(
            digest.headline(),
            "iac1: digest of 2 messages, 1 of them over"
        );
        assert_eq!(digest.message.lines().count(), 2);
        let many = vec![message(); 60];
        let digest = Notice::digest(&many, "k", "iac1").unwrap();
        assert!(
            digest
                .message
                .ends_with("and 20 more: see `status` on the gateway")
        );
        assert_eq!(Notice::digest(&[], "k", "iac1"), None);
    }
}
