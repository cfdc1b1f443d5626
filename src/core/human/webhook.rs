//! What a webhook receives: a fixed document, or the operator's own template filled in. Pure.

use std::fmt::Write as _;

use serde_json::{Value, json};

use crate::core::human::delivery::{Delivery, Payload};
use crate::core::human::redact::Redactor;

/// Names that a template may use: the document's fields, flat.
const NAMES: &[&str] = &[
    "cause",
    "class",
    "event",
    "gateway",
    "issue",
    "key",
    "message",
    "problem",
    "resolution",
    "severity",
    "since",
    "subject",
    "task",
    "text",
    "title",
];

/// The document. `key` is the same in every repeat of this row, `problem` in all rows of one problem.
pub fn document(delivery: &Delivery, payload: &Payload, gateway: &str) -> Value {
    let redactor = Redactor::new();
    let clean = |text: &str| redactor.redact(text);
    let fact = |name: &str| {
        let value = payload.facts.get(name).map_or("", String::as_str);
        clean(value)
    };
    json!({
        "version": 1,
        "event": delivery.operation.as_str(),
        "key": delivery.row_key(),
        "problem": delivery.delivery_key,
        "gateway": gateway,
        "severity": delivery.severity.as_str(),
        "class": fact("class"),
        "subject": fact("subject"),
        "title": clean(&payload.title),
        "cause": fact("cause"),
        "message": fact("message"),
        "since": fact("since"),
        "task": delivery.task_id,
        "issue": delivery.issue_number,
        "resolution": payload.resolution,
        "text": clean(payload.comment_text().unwrap_or("")),
    })
}

/// The body to send: the document itself, or the template with its names filled in.
pub fn render(document: &Value, template: &str) -> Result<String, String> {
    if template.trim().is_empty() {
        return Ok(document.to_string());
    }
    let filled = fill(template, |name| {
        NAMES.contains(&name).then(|| match document.get(name) {
            Some(Value::String(text)) => text.clone(),
            Some(Value::Null) | None => String::new(),
            Some(other) => other.to_string(),
        })
    })?;
    serde_json::from_str::<Value>(&filled)
        .map(|value| value.to_string())
        .map_err(|why| format!("the result is no JSON: {why}: write ${{…}} inside strings"))
}

/// Tries a template with values that need escaping.
pub fn check_template(template: &str) -> Result<(), String> {
    let sample = Value::Object(
        NAMES
            .iter()
            .map(|name| ((*name).to_owned(), json!("a \"b\" \\ c\nd")))
            .collect(),
    );
    render(&sample, template).map(drop)
}

/// Replaces each `${name}` by its value, escaped as the inside of a JSON string.
fn fill(template: &str, value: impl Fn(&str) -> Option<String>) -> Result<String, String> {
    let mut out = String::with_capacity(template.len());
    let mut rest = template;
    while let Some((before, after)) = rest.split_once("${") {
        let (name, tail) = after
            .split_once('}')
            .ok_or_else(|| "a ${ without its }".to_owned())?;
        let value = value(name)
            .ok_or_else(|| format!("no such name '{name}': known are {}", NAMES.join(", ")))?;
        let quoted = Value::String(value).to_string();
        let inside = quoted.get(1..quoted.len().saturating_sub(1)).unwrap_or("");
        let _ = write!(out, "{before}{inside}");
        rest = tail;
    }
    out.push_str(rest);
    Ok(out)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::core::human::delivery::{Operation, State};

    #[test]
    fn a_template_is_filled_and_nothing_breaks_out_of_its_string() {
        let document = json!({"title": "a \"quoted\", \"x\": \"y", "task": 4, "issue": null});
        let text = render(&document, r##"{"text": "#${task} ${title}${issue}"}"##).unwrap();
        let value: Value = serde_json::from_str(&text).unwrap();
        assert_eq!(value, json!({"text": "#4 a \"quoted\", \"x\": \"y"}));
    }

    /// `docs/example-webhook.json` is what is sent; set `UPDATE_GOLDEN=1` to write it anew.
    #[test]
    fn the_example_in_docs_is_what_is_sent() {
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
            id: 41,
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
            severity: task.severity,
        };
        let text = format!("{:#}\n", document(&delivery, &payload, "iac1"));
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/example-webhook.json");
        if std::env::var_os("UPDATE_GOLDEN").is_some() {
            std::fs::write(path, &text).unwrap();
        }
        assert_eq!(std::fs::read_to_string(path).unwrap(), text);
    }

    #[test]
    fn mistakes_in_a_template_are_named() {
        assert!(check_template("").is_ok());
        assert!(
            check_template(r#"{"a": ${task}}"#)
                .unwrap_err()
                .contains("no JSON")
        );
        assert!(
            check_template(r#"{"a": "${b}"}"#)
                .unwrap_err()
                .contains("'b'")
        );
        assert!(
            check_template(r#"{"a": "${b"#)
                .unwrap_err()
                .contains("without")
        );
    }
}
