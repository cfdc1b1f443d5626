//! What programs put before their message by themselves: a time, a level, a process, a thread, in any order and
//! with any brackets. log4j, logback, Python, java.util, nginx, Apache, PostgreSQL, MySQL, Mosquitto, telegraf,
//! open62541, env_logger, tracing, NATS, Redis, Serilog, winston, Spring and many more differ in no other way.

use super::scan::{after, bracketed, digits, skip, unindented, word};
use super::stamp::{self, Form};
use super::{Layer, Shape};
use crate::core::reading::level::Level;

/// Things that may stand between a time and its level.
const HEAD_TOKENS: usize = 6;
/// Longest of them.
const TOKEN_MOST: usize = 100;
/// Longest name of a thread: some say what they work on.
const THREAD_MOST: usize = 300;

/// A time stamp with all that belongs to it, or a level that stands alone at the start.
pub(super) fn read(text: &str) -> Option<Layer<'_>> {
    stamped(text).or_else(|| alone(text))
}

/// What the head of a line says: its level, and where the message starts.
struct Head<'a> {
    level: Option<Level>,
    rest: &'a str,
}

fn stamped(text: &str) -> Option<Layer<'_>> {
    let head = match text.starts_with('[') {
        true => framed(text).or_else(|| placed(text)),
        false => None,
    }
    .or_else(|| led(text))?;
    Some(Layer {
        level: head.level,
        ..Layer::new(Shape::Stamped, head.rest)
    })
}

/// A time in brackets: `[TIME] rest`, `[TIME LEVEL module] rest`, `[W TIME module] rest`.
fn framed(text: &str) -> Option<Head<'_>> {
    let (inner, rest) = bracketed(text, TOKEN_MOST)?;
    let lettered = |inner: &str| {
        let (letter, time) = word(inner);
        let level = Level::of_letter(*letter.as_bytes().first()?)?;
        stamp::read(time).filter(|_| letter.len() == 1)?;
        Some(level)
    };
    if let Some(level) = lettered(inner) {
        let level = Some(level);
        return Some(Head {
            level,
            rest: text_of(rest),
        });
    }
    let time = stamp::read(inner)?;
    match level_ahead(time.rest, true) {
        Some((level, _)) if !time.rest.is_empty() => {
            let level = Some(level);
            Some(Head {
                level,
                rest: text_of(rest),
            })
        }
        // A clock alone is a time only with a level beside it.
        _ if time.form == Form::Clock => None,
        _ => Some(behind_time(rest)),
    }
}

/// ESPHome: `[TIME][W][wifi:617]: rest`. Its `C` is what is configured.
fn placed(text: &str) -> Option<Head<'_>> {
    let (inner, rest) = bracketed(text, 16)?;
    stamp::read(inner).filter(|time| time.rest.is_empty())?;
    let (letter, rest) = bracketed(rest, 2)?;
    let (place, rest) = bracketed(rest, TOKEN_MOST)?;
    let level = match letter.as_bytes() {
        [b'C'] => Level::Info,
        [letter] => Level::of_letter(*letter)?,
        _ => return None,
    };
    place.contains(':').then(|| Head {
        level: Some(level),
        rest: text_of(rest),
    })
}

/// A time without brackets, maybe behind a process: `[12] TIME …`, `12:M TIME …`.
fn led(text: &str) -> Option<Head<'_>> {
    let text = behind_process(text);
    let time = stamp::read(text)?;
    let ended = time.rest.is_empty() || time.rest.starts_with([' ', '\t', '|', ':', ']', '[']);
    if !ended {
        return None;
    }
    if let Some(mark) = redis_mark(time.rest) {
        return Some(mark);
    }
    let head = behind_time(time.rest);
    (head.level.is_some() || time.form != Form::Clock).then_some(head)
}

fn behind_process(text: &str) -> &str {
    if let Some((inner, rest)) = bracketed(text, 12) {
        let process = inner.bytes().all(|c| c.is_ascii_digit());
        return if process { rest.trim_start() } else { text };
    }
    let role = |rest: &str| matches!(rest.as_bytes(), [b':', b'M' | b'S' | b'C' | b'X', b' ', ..]);
    match digits(text, 1, 8).filter(|(_, rest)| role(rest)) {
        Some((_, rest)) => rest.get(3..).unwrap_or(text),
        None => text,
    }
}

/// Redis marks what is less than serious; `#` is whatever is.
fn redis_mark(rest: &str) -> Option<Head<'_>> {
    let level = match rest.as_bytes() {
        [b' ', b'*', b' ', ..] => Some(Level::Notice),
        [b' ', b'#', b' ', ..] => None,
        _ => return None,
    };
    let rest = rest.get(3..)?;
    Some(Head { level, rest })
}

fn behind_time(rest: &str) -> Head<'_> {
    match level_ahead(rest, true) {
        Some((level, rest)) => Head {
            level: Some(level),
            rest: behind_thread(text_of(rest)),
        },
        None if rest.starts_with('|') => Head {
            level: None,
            rest: behind_columns(text_of(rest)),
        },
        None => Head {
            level: None,
            rest: behind_thread(text_of(rest)),
        },
    }
}

/// `TIME|component|process|rest`: behind the last column that is a number.
fn behind_columns(text: &str) -> &str {
    let (mut message, mut rest) = (text, text);
    for _ in 0..3 {
        let Some((cell, behind)) = rest.split_once('|').filter(|(cell, _)| !cell.contains(' '))
        else {
            break;
        };
        if !cell.is_empty() && cell.bytes().all(|c| c.is_ascii_digit()) {
            message = behind;
        }
        rest = behind;
    }
    message
}

/// A level at the very start, without a time: the text stays as it is, so that its name does not change.
fn alone(text: &str) -> Option<Layer<'_>> {
    let found = level_at(text, false).or_else(|| {
        // `[main] ERROR …`, `(app:12): WARNING **: …`
        let (_, rest) = bracketed(text, TOKEN_MOST)?;
        level_at(rest.trim_start_matches([' ', ':', '-']), false)
    });
    let (level, rest) = found.or_else(|| of_glib(text))?;
    if rest.starts_with(':') && super::counts_none(rest) {
        return None;
    }
    Some(Layer {
        level: Some(level),
        weak: true,
        ..Layer::new(Shape::Level, text)
    })
}

/// `GLib-GIO-CRITICAL **: 10:00:02.123: message`.
fn of_glib(text: &str) -> Option<(Level, &str)> {
    if !text.contains('*') {
        return None;
    }
    let (head, rest) = text.split_once(" **: ")?;
    let name = head.rsplit(['-', ' ', ':']).next()?;
    let level = Level::of_shout(name)?;
    (head.len() < TOKEN_MOST).then_some((level, rest))
}

/// The level among the first tokens, and what stands behind it.
fn level_ahead(text: &str, timed: bool) -> Option<(Level, &str)> {
    let mut rest = text;
    for _ in 0..HEAD_TOKENS {
        rest = skip(rest, b" \t-,");
        rest = match rest.as_bytes() {
            [b'|' | b':', next, ..] if *next != b'|' => rest.get(1..)?,
            _ => rest,
        };
        rest = skip(rest, b" ");
        if let Some(found) = level_at(rest, timed) {
            return Some(found);
        }
        rest = behind_token(rest)?;
    }
    None
}

/// The level that `text` begins with. `timed`: a time stands before it, so that one letter is enough.
fn level_at(text: &str, timed: bool) -> Option<(Level, &str)> {
    if let Some((inner, rest)) = bracketed(text, 40) {
        let inner = unindented(inner).trim_end();
        let colon = inner.bytes().rposition(|c| c == b':');
        let name = inner.get(colon.map_or(0, |at| at.saturating_add(1))..)?;
        return Level::of_mark(name).map(|level| (level, rest));
    }
    let end = text
        .bytes()
        .position(|c| !c.is_ascii_alphanumeric())
        .unwrap_or(text.len());
    let (name, rest) = text.split_at_checked(end)?;
    let level = match rest.as_bytes() {
        [b'!', b' ', ..] if name.len() == 1 => Level::of_letter(*name.as_bytes().first()?),
        [b' ', ..] if name.len() == 1 && timed => of_initial(name, rest),
        []
        | [
            b' ' | b':' | b'\t' | b']' | b'|' | b',' | b'/' | b'(' | b'[' | b'-',
            ..,
        ] => Level::of_shout(name).or_else(|| of_plain(name, rest, timed)),
        _ => None,
    }?;
    let rest = after(rest, b'!').unwrap_or(rest);
    Some((level, rest))
}

/// MongoDB's and Android's letter: a name in capitals or a tag follows.
fn of_initial(letter: &str, rest: &str) -> Option<Level> {
    let (next, _) = word(rest.trim_start());
    let named = next.len() > 2 && next.bytes().all(|c| c.is_ascii_uppercase());
    let tag = next.ends_with(':') && next.len() > 2;
    let letter = *letter.as_bytes().first()?;
    (named || tag).then(|| Level::of_letter(letter))?
}

/// `error:`, `error    :`, `error/server`; `Info    CBS` behind a time; .NET's `fail: Category[0]`.
fn of_plain(name: &str, rest: &str, timed: bool) -> Option<Level> {
    let marked = match rest.as_bytes() {
        [b':', .., b']'] if name == "fail" => return Some(Level::Error),
        [b':' | b'/', ..] => true,
        [b' ', b' ', ..] if timed => true,
        _ => skip(rest, b" ").starts_with(':'),
    };
    marked.then(|| Level::of_caption(name))?
}

/// Behind one token that may stand before a level: brackets, numbers, the name of a logger.
fn behind_token(text: &str) -> Option<&str> {
    if let Some((_, rest)) = bracketed(text, TOKEN_MOST) {
        return Some(rest);
    }
    let (token, rest) = word(text);
    let numeric = token
        .bytes()
        .all(|c| c.is_ascii_digit() || matches!(c, b'#' | b'*' | b':' | b'-'));
    let sane =
        |c: u8| c.is_ascii_alphanumeric() || matches!(c, b'.' | b'_' | b':' | b'$' | b'-' | b'/');
    let joined = token.bytes().any(|c| matches!(c, b'.' | b'_' | b':')) || token == "root";
    let logger = token.bytes().all(sane) && joined && !token.ends_with([':', '.']);
    let dashed = token.bytes().all(sane) && rest.starts_with("- ");
    let fits = !token.is_empty() && token.len() < TOKEN_MOST && (numeric || logger || dashed);
    fits.then_some(rest)
}

/// The message without what separates it from its head.
fn text_of(text: &str) -> &str {
    let rest = skip(text, b" \t:|]-,");
    if rest.is_empty() {
        text.trim_start()
    } else {
        rest
    }
}

/// Without the process, thread or connection at the start: they differ from line to line.
fn behind_thread(text: &str) -> &str {
    let mut rest = text;
    for _ in 0..3 {
        let next = match bracketed(rest, THREAD_MOST) {
            Some((inner, behind)) if is_thread(inner) || names_logger(behind) => behind,
            Some(_) => break,
            None => {
                let (token, behind) = word(rest);
                let numbers = token
                    .bytes()
                    .all(|c| c.is_ascii_digit() || matches!(c, b'#' | b':' | b'*'));
                let marked = token.starts_with('*') || token.contains('#');
                if token.is_empty() || !numbers || !marked {
                    break;
                }
                behind
            }
        };
        rest = text_of(next);
    }
    rest
}

/// log4j's `[any thread] org.example.Pump: rest`.
fn names_logger(behind: &str) -> bool {
    let (name, _) = word(behind.trim_start());
    let sane = |c: u8| c.is_ascii_alphanumeric() || matches!(c, b'.' | b'_' | b'$' | b':');
    name.ends_with(':') && name.bytes().all(sane) && name.matches('.').count() > 1
}

fn is_thread(inner: &str) -> bool {
    let named = ["main", "hread", "pool", "worker", "exec"];
    let numbered = inner.bytes().any(|c| c.is_ascii_digit()) && !inner.contains([' ', '.', '=']);
    let simple = inner.len() < 48 && !inner.contains(' ');
    let numeric = !inner.is_empty() && inner.bytes().all(|c| c.is_ascii_digit());
    numeric || (simple && (numbered || named.iter().any(|name| inner.contains(name))))
}
