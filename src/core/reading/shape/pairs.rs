//! logfmt: `time=… level=error msg="…" err="…"` in any order.

use std::borrow::Cow;

use super::said::Said;
use super::scan::{after, skip};
use super::{Layer, Shape};
use crate::core::reading::level::Level;

/// Longest name of a pair.
const KEY_MOST: usize = 32;
/// Pairs that are looked at; levels and messages stand among the first.
const PAIRS_MOST: usize = 24;

pub(super) fn read(text: &str) -> Option<Layer<'_>> {
    let mut said = Said::default();
    let mut level = None;
    let mut rest = text;
    for _ in 0..PAIRS_MOST {
        let Some((key, value, behind)) = pair(rest) else {
            break;
        };
        match key {
            "level" | "lvl" | "severity" | "loglevel" => {
                level = level.or_else(|| Level::of_value(&value))
            }
            _ => said.member(key, value),
        }
        rest = behind;
    }
    let message = said.message().filter(|_| level.is_some())?;
    Some(Layer {
        level,
        ..Layer::of(Shape::Pairs, message)
    })
}

/// `key=value` or `key="quoted value"` at the start, and what stands behind it.
fn pair(text: &str) -> Option<(&str, Cow<'_, str>, &str)> {
    let sane = |c: u8| c.is_ascii_alphanumeric() || matches!(c, b'_' | b'.' | b'-' | b'@');
    // Most lines are no pairs: the first blank tells.
    let end = text.bytes().take(KEY_MOST).position(|c| !sane(c))?;
    let (key, rest) = text.split_at_checked(end)?;
    let rest = after(rest, b'=').filter(|_| !key.is_empty())?;
    let Some(quoted) = after(rest, b'"') else {
        let (value, behind) = super::scan::word(rest);
        return Some((key, Cow::Borrowed(value), behind));
    };
    let end = quoted.bytes().position(|c| matches!(c, b'"' | b'\\'));
    let end = end.unwrap_or(quoted.len());
    let escapes = quoted.as_bytes().get(end) == Some(&b'\\');
    let end = if escapes { unescaped(quoted) } else { end };
    let (value, behind) = quoted.split_at_checked(end)?;
    let value = match escapes {
        true => Cow::Owned(
            value
                .replace("\\\"", "\"")
                .replace("\\n", " ")
                .replace("\\\\", "\\"),
        ),
        false => Cow::Borrowed(value),
    };
    Some((key, value, skip(behind, b"\" ")))
}

/// Where the first quote stands that no backslash makes a part of the value.
fn unescaped(quoted: &str) -> usize {
    let mut escaped = false;
    let end = quoted.bytes().position(|c| {
        let ends = c == b'"' && !escaped;
        escaped = c == b'\\' && !escaped;
        ends
    });
    end.unwrap_or(quoted.len())
}
