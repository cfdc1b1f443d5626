//! The operator's own form of a webhook's body: JSON with `${name}` in its strings.

use std::borrow::Cow;
use std::error::Error;
use std::fmt::{self, Write as _};

use serde_json::{Value, json};

use crate::core::model::hint::Hint;

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

/// Why a template cannot be filled in.
#[derive(Debug)]
pub enum TemplateError {
    /// A `${` without its `}`.
    Open,
    /// A name that the document does not have.
    Name(String),
    /// What comes out is no JSON.
    NotJson(serde_json::Error),
}

impl fmt::Display for TemplateError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Open => f.write_str("a ${ without its }"),
            Self::Name(name) => write!(f, "no such name '{name}'"),
            Self::NotJson(why) => write!(f, "the result is no JSON: {why}"),
        }
    }
}

impl Error for TemplateError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::NotJson(why) => Some(why),
            Self::Open | Self::Name(_) => None,
        }
    }
}

impl Hint for TemplateError {
    fn hint(&self) -> Cow<'static, str> {
        match self {
            Self::Open => "close it".into(),
            Self::Name(_) => format!("known are {}", NAMES.join(", ")).into(),
            Self::NotJson(_) => "write ${…} inside strings".into(),
        }
    }
}

/// The body to send: the document itself, or the template with its names filled in.
pub fn render(document: &Value, template: &str) -> Result<String, TemplateError> {
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
        .map_err(TemplateError::NotJson)
}

/// Tries a template with values that need escaping.
pub fn check_template(template: &str) -> Result<(), TemplateError> {
    let sample = Value::Object(
        NAMES
            .iter()
            .map(|name| ((*name).to_owned(), json!("a \"b\" \\ c\nd")))
            .collect(),
    );
    render(&sample, template).map(drop)
}

/// Replaces each `${name}` by its value, escaped as the inside of a JSON string.
fn fill(template: &str, value: impl Fn(&str) -> Option<String>) -> Result<String, TemplateError> {
    let mut out = String::with_capacity(template.len());
    let mut rest = template;
    while let Some((before, after)) = rest.split_once("${") {
        let (name, tail) = after.split_once('}').ok_or(TemplateError::Open)?;
        let value = value(name).ok_or_else(|| TemplateError::Name(name.to_owned()))?;
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
        let told = |template: &str| check_template(template).map_err(|why| why.with_hint());
        assert_eq!(told(""), Ok(()));
        for (template, word) in [
            (r#"{"a": ${task}}"#, "no JSON"),
            (r#"{"a": "${b}"}"#, "'b'"),
            (r#"{"a": "${b"#, "without"),
        ] {
            let told = told(template).unwrap_err();
            assert!(told.contains(word), "{told}");
        }
    }
}
