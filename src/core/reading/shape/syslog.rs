//! Envelopes of syslog daemons and of journalctl: RFC 3164 and 5424, BusyBox, logread, short forms of the journal.

use super::scan::{after, bracketed, captioned, digits, unindented, word};
use super::stamp::{self, Form, Stamp};
use super::{Layer, Shape};
use crate::core::reading::level::Level;

const FACILITIES: &[&str] = &[
    "kern", "user", "mail", "daemon", "auth", "syslog", "lpr", "news", "uucp", "cron", "authpriv",
    "ftp", "security", "local0", "local1", "local2", "local3", "local4", "local5", "local6",
    "local7",
];
/// Longest host name or tag.
const NAME_MOST: usize = 128;

/// `<30>…`: the priority before a line, and what follows it.
pub(super) fn priority(text: &str) -> Option<Layer<'_>> {
    let (inner, rest) = bracketed(text, 4)?;
    let (number, behind) = digits(inner, 1, 3)?;
    if !text.starts_with('<') || !behind.is_empty() {
        return None;
    }
    let number: u8 = number.parse().ok().filter(|number| *number < 192)?;
    let level = Some(Level::of_syslog(number % 8));
    let inner = versioned(rest).or_else(|| stamped(rest));
    Some(match inner {
        Some(layer) => Layer { level, ..layer },
        None => Layer {
            level,
            kernel: rest.starts_with('[') && number < 8,
            ..Layer::new(Shape::Priority, rest.trim_start())
        },
    })
}

/// RFC 5424 behind its priority: `1 TIME HOST APP PROCID MSGID [data] message`.
fn versioned(text: &str) -> Option<Layer<'_>> {
    let (time, rest) = word(text.strip_prefix("1 ")?);
    if time != "-" {
        stamp::read(time)?;
    }
    let (host, rest) = word(rest);
    let (app, rest) = word(rest);
    let (_process, rest) = word(rest);
    let (_id, rest) = word(rest);
    let message = behind_data(rest)?.trim_start();
    let message = message.strip_prefix('\u{feff}').unwrap_or(message);
    Some(Layer {
        host: named(host),
        program: named(app).into(),
        kernel: app == "kernel",
        ..Layer::new(Shape::Rfc5424, message)
    })
}

/// `-` stands for nothing.
fn named(text: &str) -> &str {
    match text {
        "-" => "",
        text => text,
    }
}

/// Behind the structured data: `-` or `[id key="value"]…`, where a quoted value may hold a bracket.
fn behind_data(text: &str) -> Option<&str> {
    if let Some(rest) = text.strip_prefix('-') {
        return Some(rest);
    }
    if !text.starts_with('[') {
        return None;
    }
    let (mut quoted, mut escaped) = (false, false);
    let mut bytes = text.bytes().enumerate().peekable();
    while let Some((at, byte)) = bytes.next() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = true,
            b'"' => quoted = !quoted,
            b']' if !quoted && bytes.peek().is_none_or(|(_, next)| *next != b'[') => {
                return text.get(at.saturating_add(1)..);
            }
            _ => {}
        }
    }
    None
}

/// A time, a host or a facility, a tag: every syslog file and journalctl's short forms.
pub(super) fn stamped(text: &str) -> Option<Layer<'_>> {
    behind(text, stamp::read(text)?)
}

/// The same where the time was read already.
pub(super) fn behind<'a>(text: &'a str, stamp: Stamp<'a>) -> Option<Layer<'a>> {
    let rest = unindented(after(stamp.rest, b' ')?);
    match stamp.form {
        Form::Bsd | Form::Weekday => {
            let tagged = by_facility(rest, "").or_else(|| hosted(rest));
            // `Fri May  1 10:00:02 2026` is also how programs stamp: only logread's facility tells.
            tagged.filter(|layer| stamp.form == Form::Bsd || layer.shape == Shape::Facility)
        }
        // Programs stamp so as well: rsyslog has a zone in numbers, journalctl a process in brackets.
        Form::Iso { offset } => {
            if !offset && !may_be_tagged(rest) {
                return None;
            }
            let layer = hosted(rest)?;
            (offset || layer.kernel || has_process(rest)).then_some(layer)
        }
        // With a colon behind the number it is a program's own, as Mosquitto's.
        Form::Epoch => {
            let colon = text.bytes().find(|c| !c.is_ascii_digit()) == Some(b':');
            hosted(rest).filter(|_| !colon && !text.contains("{"))
        }
        Form::Clock | Form::Other => None,
    }
}

/// Behind journalctl's `[ 1234.567890]`.
pub(super) fn monotonic(rest: &str) -> Option<Layer<'_>> {
    let layer = hosted(rest)?;
    let (_host, tag) = word(rest);
    (layer.kernel || has_process(tag)).then_some(layer)
}

/// False where what is behind the host can be neither `tag[pid]: ` nor the kernel's, as in most programs' own stamps.
fn may_be_tagged(text: &str) -> bool {
    let (tag, _) = word(word(text).1);
    let name = tag.strip_suffix(':').unwrap_or(tag);
    let marks = |c: u8| matches!(c, b'[' | b'(' | b']' | b'.' | b':');
    name.starts_with("kern") || name.bytes().any(marks)
}

/// `tag[pid]: …`.
fn has_process(text: &str) -> bool {
    captioned(text)
        .map_or(text, |(head, _)| head)
        .ends_with(']')
}

/// `host tag[pid]: message`, `host facility.level tag: message`.
fn hosted(text: &str) -> Option<Layer<'_>> {
    let (host, rest) = word(text);
    let sane = host
        .bytes()
        .all(|c| c.is_ascii_alphanumeric() || matches!(c, b'.' | b'-' | b'_' | b':'));
    if !sane || host.is_empty() || host.len() > NAME_MOST || host.ends_with(':') {
        return None;
    }
    if Level::of_shout(host).is_some() {
        return None;
    }
    if let Some(layer) = by_facility(rest, host) {
        return Some(layer);
    }
    if rest.starts_with('[') && stamp::behind_kernels(rest).is_some() {
        return Some(Layer {
            host,
            kernel: true,
            ..Layer::new(Shape::Syslog, rest)
        });
    }
    tagged(rest).map(|layer| Layer { host, ..layer })
}

/// `daemon.err tag[pid]: message`: BusyBox and OpenWrt.
fn by_facility<'a>(text: &'a str, host: &'a str) -> Option<Layer<'a>> {
    let (first, rest) = word(text);
    let (facility, level) = first.split_once('.')?;
    if !FACILITIES.contains(&facility) {
        return None;
    }
    let level = Level::of_word(level)?;
    let nameless = || Layer::new(Shape::Facility, rest);
    let layer = tagged(rest).unwrap_or_else(nameless);
    // What `logger` and scripts write without a thought.
    let chosen = facility != "user" || level != Level::Notice;
    Some(Layer {
        host,
        level: chosen.then_some(level),
        kernel: layer.kernel || facility == "kern",
        shape: Shape::Facility,
        ..layer
    })
}

/// The number between the first two brackets.
fn process_of(text: &str) -> Option<u32> {
    let is_bracket = |c: u8| matches!(c, b'[' | b']');
    let start = text.bytes().position(is_bracket)?.checked_add(1)?;
    let inner = text.get(start..)?;
    let end = inner.bytes().position(is_bracket);
    inner.get(..end.unwrap_or(inner.len()))?.parse().ok()
}

/// `tag[pid]: message`.
fn tagged(text: &str) -> Option<Layer<'_>> {
    // Of words no tag is made: the first blank without a colon before it tells.
    let end = text
        .bytes()
        .position(|c| matches!(c, b' ' | b'"' | b':' | b'[' | b'('));
    if end.is_some_and(|end| matches!(text.as_bytes().get(end), Some(b' ' | b'"'))) {
        return None;
    }
    let (tag, message) = captioned(text).or_else(|| text.split_once(':'))?;
    let opens = tag.bytes().position(|c| matches!(c, b'[' | b'('));
    let name = tag.get(..opens.unwrap_or(tag.len()))?;
    let sane = name.len() <= NAME_MOST && !name.contains(' ') && !name.contains('"');
    if !sane || tag.is_empty() {
        return None;
    }
    Some(Layer {
        program: name.into(),
        kernel: name == "kernel",
        pid: process_of(tag),
        ..Layer::new(Shape::Syslog, message)
    })
}
