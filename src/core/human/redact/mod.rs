//! Takes secrets out of text before it leaves the box: tokens, passwords, private keys, URLs with credentials.
//!
//! A shape of secret is one row: a token, a header or a URL in `forms`, an option of a client program in `programs`,
//! a name before a value in `names` (the words) and `named` (how they are read). Every pattern runs in linear time.
//! When in doubt about a value behind a telling name, it goes; when in doubt about a word of prose, it stays.
//! Redacting twice changes nothing. `tests/fixtures/redaction.tsv` holds what is known to be a secret, and what
//! only looks like one.

mod forms;
mod named;
mod names;
mod programs;
mod values;
mod views;

use std::cell::OnceCell;

use regex::Regex;

use self::named::NamedValues;
use self::values::is_marked;

/// What stands in place of a secret.
pub const REDACTED: &str = "[redacted]";

/// What a pattern found: group 1 (may be empty) is kept, group 2 is the secret.
#[derive(Clone, Copy, Debug)]
struct Found<'a> {
    prefix: &'a str,
    value: &'a str,
    /// From the end of the match.
    after: &'a str,
}

/// Decides whether what a pattern found is a secret.
type Judge = fn(Found<'_>) -> bool;

/// One shape of secret. ASCII classes only: the build carries no Unicode tables. A pattern is compiled only for a
/// text that holds one of its hints (lower case): compiling all costs more than reading most texts.
#[derive(Clone, Copy, Debug)]
struct Shape {
    hints: &'static [&'static str],
    pattern: &'static str,
    judge: Judge,
}

/// The patterns, compiled as they are needed. All together take some hundred KB: make one, use it, drop it.
#[derive(Debug)]
pub struct Redactor {
    /// One per shape. An inner `None` is a pattern that does not compile, which a test excludes.
    compiled: Vec<OnceCell<Option<Regex>>>,
    named: NamedValues,
}

impl Default for Redactor {
    fn default() -> Self {
        Self::new()
    }
}

/// Every replacement makes more of the text the mark, so the rounds end by themselves; this ends hostile ones.
const ROUNDS_MOST: usize = 8;

impl Redactor {
    pub fn new() -> Self {
        Self {
            compiled: shapes().map(|_| OnceCell::new()).collect(),
            named: NamedValues::default(),
        }
    }

    /// `text` with every recognised secret replaced by [`REDACTED`].
    pub fn redact(&self, text: &str) -> String {
        let mut text = text.to_owned();
        for _ in 0..ROUNDS_MOST {
            let mut changed = self.round(&text);
            // A name that was written so that nobody finds it is found in what a reader makes of it.
            for view in views::ALL {
                let seen = changed.as_deref().unwrap_or(&text);
                changed = view(seen).and_then(|seen| self.round(&seen)).or(changed);
            }
            match changed {
                Some(changed) => text = changed,
                None => return text,
            }
        }
        text
    }

    /// One pass of all shapes; `None` when nothing was a secret.
    fn round(&self, text: &str) -> Option<String> {
        let mut changed: Option<String> = None;
        let lower = text.to_ascii_lowercase();
        for (shape, cell) in shapes().zip(&self.compiled) {
            if !shape.hints.iter().any(|hint| lower.contains(hint)) {
                continue;
            }
            let Some(regex) = cell.get_or_init(|| Regex::new(shape.pattern).ok()) else {
                // Rather nothing than a text that was not looked through.
                return Some(REDACTED.to_owned());
            };
            let seen = changed.as_deref().unwrap_or(text);
            changed = replace(regex, shape.judge, seen).or(changed);
        }
        let seen = changed.as_deref().unwrap_or(text);
        self.named.replace(seen, &lower).or(changed)
    }
}

fn shapes() -> impl Iterator<Item = &'static Shape> {
    forms::SHAPES.iter().chain(programs::SHAPES)
}

/// All that `regex` finds and `judge` holds for a secret, replaced. After one that is none the search goes on behind
/// its prefix: a secret may stand in what looked like the value of something else.
fn replace(regex: &Regex, judge: Judge, text: &str) -> Option<String> {
    let mut out: Option<String> = None;
    let (mut copied, mut from) = (0, 0);
    while let Some(groups) = regex.captures_at(text, from) {
        let (Some(whole), Some(value)) = (groups.get(0), groups.get(2)) else {
            break;
        };
        let found = Found {
            prefix: groups.get(1).map_or("", |prefix| prefix.as_str()),
            value: value.as_str(),
            after: text.get(whole.end()..).unwrap_or(""),
        };
        let secret = !found.value.is_empty() && !is_marked(found.value) && judge(found);
        if secret {
            let out = out.get_or_insert_default();
            out.push_str(text.get(copied..value.start()).unwrap_or(""));
            out.push_str(&values::in_its_quotes(found.value));
            copied = value.end();
        }
        let next = if secret { value.end() } else { value.start() };
        from = next.max(from + 1);
        while from < text.len() && !text.is_char_boundary(from) {
            from += 1;
        }
        if from >= text.len() {
            break;
        }
    }
    let mut out = out?;
    out.push_str(text.get(copied..).unwrap_or(""));
    Some(out)
}

/// [`Redactor::redact`] for a single text.
#[cfg(test)]
pub fn redact(text: &str) -> String {
    Redactor::new().redact(text)
}

#[cfg(test)]
pub(crate) mod tests;
