//! What a structured line says in words: its message, and the error that a member of its own holds.

use std::borrow::Cow;

use crate::core::model::text::cut;

/// Longest part of an error that counts.
const ERROR_MOST: usize = 400;

#[derive(Debug, Default)]
pub(super) struct Said<'a> {
    text: Option<Cow<'a, str>>,
    error: Option<Cow<'a, str>>,
}

impl<'a> Said<'a> {
    /// Takes a member of the line, if it is one of those that say something.
    pub(super) fn member(&mut self, key: &str, value: Cow<'a, str>) {
        let slot = match key {
            "msg" | "message" | "MESSAGE" | "short_message" | "@message" | "@m" | "@mt"
            | "event" => &mut self.text,
            "error" | "err" | "e" | "exception" | "@x" | "exc_info" | "error.message"
            | "reason" | "cause" => &mut self.error,
            _ => return,
        };
        if slot.is_none() && !value.is_empty() {
            *slot = Some(value);
        }
    }

    /// `message: error`, each once.
    pub(super) fn message(self) -> Option<Cow<'a, str>> {
        let error = self.error.filter(|error| !is_none(error));
        match (self.text, error) {
            (Some(text), Some(error)) if !text.contains(error.as_ref()) => {
                let first = error.lines().next().unwrap_or("");
                Some(format!("{text}: {}", cut(first, ERROR_MOST)).into())
            }
            (Some(text), _) => Some(text),
            (None, error) => error,
        }
    }
}

/// A member that says that there is no error.
fn is_none(error: &str) -> bool {
    matches!(
        error,
        "" | "null" | "nil" | "<nil>" | "none" | "None" | "false" | "0" | "{}" | "[]" | "undefined"
    )
}
