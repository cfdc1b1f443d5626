//! Bodies of messages for chats and phones, in each vendor's own form and within its limits. Pure.

use serde_json::{Value, json};

use crate::core::human::answer::{AnswerKey, AnswerKind, may_be_allowed};
use crate::core::human::delivery::Operation;
use crate::core::human::notice::{Notice, shortened};
use crate::core::model::action::ActionKind;
use crate::core::model::finding::Severity;
use crate::core::model::proposal::Digest;

/// Slack cuts a header after 150 characters, a section after 3,000
/// (<https://docs.slack.dev/reference/block-kit/blocks>); bytes are never fewer.
const SLACK_HEADER: usize = 150;
const SLACK_SECTION: usize = 2_900;
/// A card of Teams takes 28 KB as a whole
/// (<https://learn.microsoft.com/microsoftteams/platform/webhooks-and-connectors/how-to/connectors-using>).
const TEAMS_FACT: usize = 1_500;
/// Telegram takes 4,096 characters (<https://core.telegram.org/bots/api#sendmessage>).
const TELEGRAM: usize = 4_000;
/// ntfy makes an attachment of more than 4,096 bytes (<https://docs.ntfy.sh/publish/#limitations>).
const NTFY: usize = 3_900;
const NTFY_TITLE: usize = 250;

/// An incoming webhook's body: blocks, and a text for notifications.
pub fn slack(message: &Notice) -> Value {
    let headline = format!("{} {}", message.icon(), message.headline());
    let facts: Vec<String> = message
        .facts()
        .into_iter()
        .map(|(name, value)| match name {
            "What" => mrkdwn(&value),
            "On the gateway" => format!("*{name}:* `{}`", mrkdwn(&value)),
            name => format!("*{name}:* {}", mrkdwn(&value)),
        })
        .collect();
    let text = shortened(&facts.join("\n"), SLACK_SECTION);
    json!({
        "text": mrkdwn(&headline),
        "blocks": [
            { "type": "header", "text": { "type": "plain_text", "text": shortened(&headline, SLACK_HEADER) } },
            { "type": "section", "text": { "type": "mrkdwn", "text": text } },
            { "type": "context", "elements": [ { "type": "plain_text", "text": footer(message) } ] },
        ],
    })
}

/// What Slack reads as more than text: three characters begin all of it.
fn mrkdwn(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
}

fn footer(message: &Notice) -> String {
    let parts = [
        message.severity.as_str(),
        message.class.as_str(),
        message.key.as_str(),
    ];
    let parts: Vec<&str> = parts.into_iter().filter(|part| !part.is_empty()).collect();
    parts.join(" · ")
}

/// A message with an adaptive card, as a workflow of Teams takes it.
pub fn teams(message: &Notice) -> Value {
    let color = match (message.is_over(), message.severity) {
        (true, _) => "good",
        (false, Severity::Critical | Severity::Error) => "attention",
        (false, Severity::Warning) => "warning",
        (false, Severity::Info) => "default",
    };
    let headline = format!("{} {}", message.icon(), message.headline());
    let mut body = vec![json!({
        "type": "TextBlock", "size": "medium", "weight": "bolder", "wrap": true, "color": color,
        "text": plain_card(&shortened(&headline, 500)),
    })];
    let mut facts = Vec::new();
    for (name, value) in message.facts() {
        let value = plain_card(&shortened(&value, TEAMS_FACT));
        match name {
            "What" => body.push(json!({ "type": "TextBlock", "wrap": true, "text": value })),
            name => facts.push(json!({ "title": name, "value": value })),
        }
    }
    if !facts.is_empty() {
        body.push(json!({ "type": "FactSet", "facts": facts }));
    }
    let footer = plain_card(&footer(message));
    body.push(json!({ "type": "TextBlock", "isSubtle": true, "size": "small", "wrap": true, "text": footer }));
    json!({
        "type": "message",
        "attachments": [{
            "contentType": "application/vnd.microsoft.card.adaptive",
            "contentUrl": null,
            "content": {
                "$schema": "http://adaptivecards.io/schemas/adaptive-card.json",
                "type": "AdaptiveCard",
                "version": "1.4",
                "msteams": { "width": "Full" },
                "body": body,
            },
        }],
    })
}

/// A card's text is Markdown: what would be a link, a list or emphasis is escaped, a line break is doubled.
fn plain_card(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 8);
    for c in text.chars() {
        if matches!(c, '\\' | '*' | '_' | '[' | ']' | '`' | '#' | '~') {
            out.push('\\');
        }
        out.push(c);
        if c == '\n' {
            out.push('\n');
        }
    }
    out
}

/// What is published to a topic of ntfy.
pub fn ntfy(message: &Notice, topic: &str) -> Value {
    let (priority, tag) = match (message.is_over(), message.severity) {
        (true, _) => (2, "white_check_mark"),
        (false, Severity::Critical) => (5, "rotating_light"),
        (false, Severity::Error) => (4, "warning"),
        (false, Severity::Warning) => (3, "warning"),
        (false, Severity::Info) => (2, "information_source"),
    };
    let text = message.plain(usize::MAX);
    // Its first line is the title.
    let text = text.split_once('\n').map_or("", |(_, rest)| rest).trim();
    json!({
        "topic": topic,
        "title": shortened(&message.headline(), NTFY_TITLE),
        "message": shortened(text, NTFY),
        "priority": priority,
        "tags": [tag],
    })
}

/// A bot's message; nothing in it is read as markup. Each button is its label and what it carries.
pub fn telegram(notice: &Notice, chat: &str, buttons: &[(&str, String)]) -> Value {
    let is_quiet = notice.is_over() || notice.severity <= Severity::Info;
    let mut body = json!({
        "chat_id": chat,
        "text": notice.plain(TELEGRAM),
        "link_preview_options": { "is_disabled": true },
        "disable_notification": is_quiet,
    });
    let rows: Vec<Value> = buttons
        .iter()
        .map(|(label, data)| json!([{ "text": label, "callback_data": data }]))
        .collect();
    if let (Some(fields), false) = (body.as_object_mut(), rows.is_empty()) {
        let keyboard = json!({ "inline_keyboard": rows });
        fields.insert("reply_markup".to_owned(), keyboard);
    }
    body
}

/// The buttons below a message that asks something: of a task that is open, in a chat that answers are heard from.
/// Nothing is allowed whose terms do not all stand in the message.
pub fn buttons(notice: &Notice, key: &AnswerKey, message: &str) -> Vec<(&'static str, String)> {
    let asks = matches!(notice.event, Operation::Create | Operation::Reopen);
    if !asks || notice.task.number() == 0 {
        return Vec::new();
    }
    let kind = notice.action_kind.parse::<ActionKind>().ok();
    let digest = notice
        .proposal
        .as_deref()
        .and_then(|text| text.parse::<Digest>().ok());
    let is_whole = !notice.action.is_empty() && notice.plain(TELEGRAM).contains(&notice.action);
    let allowed = digest.filter(|_| is_whole && kind.is_some_and(may_be_allowed));
    let all = [
        (AnswerKind::Approve, allowed.as_ref()),
        (AnswerKind::Acknowledge, None),
        (AnswerKind::Snooze, None),
    ];
    all.into_iter()
        .filter(|(verb, digest)| *verb != AnswerKind::Approve || digest.is_some())
        .filter_map(|(verb, digest)| {
            Some((verb.label(), key.data(verb, notice.task, digest, message)?))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing)]
    use super::*;
    use crate::core::human::notice::tests::{golden, message};

    fn key() -> AnswerKey {
        AnswerKey::new("secret", None, "5f0c77aa5f0c77aa")
    }

    /// A question whose action may be allowed from a phone.
    fn asking() -> Notice {
        Notice {
            action: "action: path_drop_in\nunit: modbus-bridge.service\nsetting: ExecStart\n\
                     new: /opt/bridge-3/bin/modbus-bridge\nundo: remove the drop-in\ndigest: acb7b9fb085b"
                .to_owned(),
            action_kind: "path_drop_in".to_owned(),
            ..message()
        }
    }

    #[test]
    fn a_button_allows_only_what_stands_whole_in_the_message() {
        let labels = |notice: &Notice| -> Vec<&str> {
            let all = buttons(notice, &key(), "m1");
            all.iter().map(|(label, _)| *label).collect()
        };
        let [allow, mine, later] = ["Allow this once", "I am on it", "Not for 24 h"];
        assert_eq!(labels(&asking()), [allow, mine, later]);
        for (_, data) in buttons(&asking(), &key(), "m1") {
            assert!(data.len() <= 64, "{data}");
        }
        for other in [
            Notice {
                action: "line: x\n".repeat(1_000),
                ..asking()
            },
            Notice {
                action: String::new(),
                ..asking()
            },
            Notice {
                action_kind: "stop_unit".to_owned(),
                ..asking()
            },
            Notice {
                proposal: None,
                ..asking()
            },
        ] {
            assert_eq!(labels(&other), [mine, later]);
        }
        for event in [Operation::Close, Operation::Comment] {
            assert!(labels(&Notice { event, ..asking() }).is_empty());
        }
    }

    /// `docs/example-*.json` are what is sent; set `UPDATE_GOLDEN=1` to write them anew.
    #[test]
    fn the_examples_in_docs_are_what_is_sent() {
        for (name, body) in [
            ("slack", slack(&message())),
            ("teams", teams(&message())),
            ("ntfy", ntfy(&message(), "gateways")),
            (
                "telegram",
                telegram(
                    &asking(),
                    "-1001234567890",
                    &buttons(&asking(), &key(), "m1"),
                ),
            ),
        ] {
            golden(&format!("example-{name}.json"), &format!("{body:#}\n"));
        }
    }

    #[test]
    fn foreign_text_is_no_markup_and_never_too_long() {
        let evil = Notice {
            message: "<!channel> <https://evil|ok> *b* [x](https://evil) `".repeat(400),
            title: "a".repeat(900),
            ..message()
        };
        let slack = slack(&evil).to_string();
        assert!(!slack.contains("<!") && !slack.contains("<https"));
        assert!(slack.contains("&lt;!channel&gt;"));
        let teams = teams(&evil).to_string();
        assert!(!teams.contains("[x]("), "{teams}");
        assert!(teams.len() < 28_000, "{}", teams.len());
        for text in [
            telegram(&evil, "1", &[])["text"].clone(),
            ntfy(&evil, "t")["message"].clone(),
        ] {
            assert!(text.as_str().is_some_and(|text| text.len() <= 4_000));
        }
    }

    #[test]
    fn what_is_over_wakes_nobody() {
        let over = Notice {
            event: Operation::Close,
            ..message()
        };
        assert_eq!(ntfy(&over, "t")["priority"], 2);
        assert_eq!(telegram(&over, "1", &[])["disable_notification"], true);
        assert_eq!(
            telegram(&message(), "1", &[])["disable_notification"],
            false
        );
    }
}
