//! The document that a webhook receives, or that the operator's template is filled from. Pure.

use serde_json::{Value, json};

use crate::core::human::delivery::{Delivery, Payload};
use crate::core::human::redact::Redactor;
use crate::core::model::inert;

/// The document. `key` is the same in every repeat of this row, `problem` in all rows of one problem.
pub fn document(delivery: &Delivery, payload: &Payload, gateway: &str) -> Value {
    let redactor = Redactor::new();
    let clean = |text: &str| inert::lines(&redactor.redact(text)).into_owned();
    let line = |text: &str| inert::line(&clean(text)).into_owned();
    let fact = |name: &str| {
        let value = payload.facts.get(name).map_or("", String::as_str);
        line(value)
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
        "title": line(&payload.title),
        "cause": fact("cause"),
        "message": clean(payload.facts.get("message").map_or("", String::as_str)),
        "since": fact("since"),
        "task": delivery.task_id,
        "issue": delivery.issue_number,
        "resolution": payload.resolution,
        "text": clean(payload.comment_text().unwrap_or("")),
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::core::human::delivery::{Operation, State};
    use crate::core::model::id::OutboxId;

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
        let text = format!("{:#}\n", document(&delivery, &payload, "iac1"));
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/example-webhook.json");
        if std::env::var_os("UPDATE_GOLDEN").is_some() {
            std::fs::write(path, &text).unwrap();
        }
        assert_eq!(std::fs::read_to_string(path).unwrap(), text);
    }
}
