//! The operator's own form of a webhook's body: JSON with `${name}` in its strings.

use std::fmt::Write as _;

use serde_json::{Value, json};

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

    #[test]
    fn a_template_is_filled_and_nothing_breaks_out_of_its_string() {
        let document = json!({"title": "a \"quoted\", \"x\": \"y", "task": 4, "issue": null});
        let text = render(&document, r##"{"text": "#${task} ${title}${issue}"}"##).unwrap();
        let value: Value = serde_json::from_str(&text).unwrap();
        assert_eq!(value, json!({"text": "#4 a \"quoted\", \"x\": \"y"}));
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
