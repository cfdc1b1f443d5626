//! One log line, whatever carried it, and the level that it states about itself.

/// What carried the line; decides what its priority is worth.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// The writer chose the priority (syslog, journal API, `<3>` prefix).
    Leveled,
    /// Plain text: a log file, or a service's standard output. Only the text tells.
    Text,
}

/// A line as the rules see it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LogLine<'a> {
    pub message: &'a str,
    /// Unit that wrote it; empty when unknown.
    pub unit: &'a str,
    /// Program name as syslog knows it; empty when unknown.
    pub identifier: &'a str,
    /// syslog priority, 0 (emergency) to 7 (debug).
    pub priority: u8,
    pub origin: Origin,
}

impl<'a> LogLine<'a> {
    /// A plain text line of a file that belongs to `subject`.
    pub fn text(message: &'a str, subject: &'a str) -> Self {
        Self {
            message,
            unit: subject,
            identifier: "",
            priority: 6,
            origin: Origin::Text,
        }
    }

    /// What a finding from this line is about.
    pub fn subject(&self) -> &'a str {
        if self.unit.is_empty() {
            self.identifier
        } else {
            self.unit
        }
    }
}

/// Level that a text line states about itself, in syslog numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stated {
    Critical,
    Error,
    Lower,
}

/// Words that name a level. Longer forms need no entry of their own: tokens are compared whole.
const LEVELS: &[(&str, Stated)] = &[
    ("emerg", Stated::Critical),
    ("emergency", Stated::Critical),
    ("alert", Stated::Critical),
    ("crit", Stated::Critical),
    ("critical", Stated::Critical),
    ("fatal", Stated::Critical),
    ("panic", Stated::Critical),
    ("severe", Stated::Error),
    ("error", Stated::Error),
    ("err", Stated::Error),
    ("warning", Stated::Lower),
    ("warn", Stated::Lower),
    ("notice", Stated::Lower),
    ("info", Stated::Lower),
    ("information", Stated::Lower),
    ("log", Stated::Lower),
    ("hint", Stated::Lower),
    ("detail", Stated::Lower),
    ("debug", Stated::Lower),
    ("debug1", Stated::Lower),
    ("debug2", Stated::Lower),
    ("debug3", Stated::Lower),
    ("trace", Stated::Lower),
    ("verbose", Stated::Lower),
    ("verb", Stated::Lower),
    ("fine", Stated::Lower),
    ("finer", Stated::Lower),
    ("finest", Stated::Lower),
];

/// A level stands among the first words or nowhere.
const HEAD_WORDS: usize = 12;
const HEAD_BYTES: usize = 160;

/// The level token of a text line: `ERROR`, `[error]`, `level=error`, `"level":"error"`, `E0712 …` (glog),
/// `error:` as the first word. A plain lower-case word in running text is not a level.
pub fn stated_level(line: &str) -> Option<Stated> {
    let head = crate::core::model::text::cut(line, HEAD_BYTES);
    head.split_ascii_whitespace()
        .take(HEAD_WORDS)
        .enumerate()
        .find_map(|(index, word)| level_of_word(word, index == 0).or_else(|| glog(word, index)))
}

fn level_of_word(word: &str, first: bool) -> Option<Stated> {
    if let Some(value) = key_value(word) {
        return lookup(value);
    }
    let bare = word.trim_matches(|c: char| !c.is_ascii_alphanumeric());
    // `[core:error]`, `[mpm_event:notice]`: Apache names the module first.
    let bracketed = word.starts_with(['[', '<', '(', '|']);
    let bare = match bare.rsplit_once(':') {
        Some((_, level)) if bracketed => level,
        _ => bare,
    };
    let shouted = bare.len() > 2
        && bare
            .bytes()
            .all(|c| c.is_ascii_uppercase() || c.is_ascii_digit());
    let leading = first && (word.ends_with(':') || word.ends_with(']'));
    if bracketed || shouted || leading {
        lookup(bare)
    } else {
        None
    }
}

/// The value of `level=…`, `lvl=…`, `severity=…`, or the JSON member `"level":"…"`.
fn key_value(word: &str) -> Option<&str> {
    let (_, rest) = ["level", "lvl", "severity", "loglevel"]
        .iter()
        .find_map(|key| word.split_once(key))?;
    let value = rest.trim_start_matches('"');
    let value = value.strip_prefix(['=', ':'])?.trim_start_matches('"');
    let end = value
        .find(|c: char| !c.is_ascii_alphanumeric())
        .unwrap_or(value.len());
    value.get(..end)
}

fn glog(word: &str, index: usize) -> Option<Stated> {
    let (letter, digits) = word.split_at_checked(1)?;
    if index > 0 || digits.len() != 4 || !digits.bytes().all(|c| c.is_ascii_digit()) {
        return None;
    }
    match letter {
        "F" => Some(Stated::Critical),
        "E" => Some(Stated::Error),
        "W" | "I" | "D" => Some(Stated::Lower),
        _ => None,
    }
}

fn lookup(word: &str) -> Option<Stated> {
    LEVELS
        .iter()
        .find(|(name, _)| word.eq_ignore_ascii_case(name))
        .map(|(_, level)| *level)
}

/// A line of a syslog file, taken apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Syslog<'a> {
    pub identifier: &'a str,
    pub message: &'a str,
}

const MONTHS: &[&str] = &[
    "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
];

/// Reads `Nov 23 06:17:28 host ident[pid]: message` and the RFC 3339 form that rsyslog writes now,
/// both with an optional `<PRI>`. `None` when the line is in another shape.
pub fn parse_syslog(line: &str) -> Option<Syslog<'_>> {
    let line = match line.strip_prefix('<') {
        Some(rest) => rest.split_once('>').map_or(line, |(_, rest)| rest),
        None => line,
    };
    let rest = after_bsd_time(line).or_else(|| after_iso_time(line))?;
    let (_host, rest) = rest.trim_start().split_once(' ')?;
    let (tag, message) = rest.split_once(": ").or_else(|| rest.split_once(':'))?;
    let identifier = tag.split(['[', '(']).next().unwrap_or(tag);
    if identifier.is_empty() || identifier.contains(' ') {
        return None;
    }
    Some(Syslog {
        identifier,
        message: message.trim_start(),
    })
}

fn after_bsd_time(line: &str) -> Option<&str> {
    let month = line.get(..3)?;
    if !MONTHS.contains(&month) {
        return None;
    }
    let time = line.get(7..15)?.as_bytes();
    let colons = time.get(2) == Some(&b':') && time.get(5) == Some(&b':');
    if !colons {
        return None;
    }
    line.get(16..)
}

fn after_iso_time(line: &str) -> Option<&str> {
    let (stamp, rest) = line.split_once(' ')?;
    let bytes = stamp.as_bytes();
    let dashes = bytes.get(4) == Some(&b'-') && bytes.get(7) == Some(&b'-');
    if dashes && bytes.get(10) == Some(&b'T') && bytes.len() >= 19 {
        Some(rest)
    } else {
        None
    }
}

/// Where a kernel message starts in console output: after the last `[ seconds.micros]`, with the caller
/// tag `[ T123]`/`[ C0]` removed. Console output of several writers may share one line.
pub fn split_console(line: &str) -> impl Iterator<Item = (Option<u64>, &str)> {
    let mut rest = Some((None, line));
    std::iter::from_fn(move || {
        let (at, text) = rest.take()?;
        match find_stamp(text) {
            Some((start, end, micros)) => {
                rest = text.get(end..).map(|tail| (Some(micros), tail));
                Some((at, strip_caller(text.get(..start).unwrap_or(""))))
            }
            None => Some((at, strip_caller(text))),
        }
    })
    .filter(|(at, text)| at.is_some() || !text.trim().is_empty())
}

/// Start and end byte and microseconds of the next `[   12.345678]`.
fn find_stamp(text: &str) -> Option<(usize, usize, u64)> {
    text.match_indices('[').find_map(|(open, _)| {
        let (stamp, behind) = text.get(open..)?.strip_prefix('[')?.split_once(']')?;
        let end = text.len().checked_sub(behind.len())?;
        Some((open, end, stamp_micros(stamp)?))
    })
}

fn stamp_micros(text: &str) -> Option<u64> {
    let (seconds, micros) = text.trim_start().split_once('.')?;
    if micros.len() != 6 || seconds.is_empty() || seconds.len() > 9 {
        return None;
    }
    let seconds: u64 = seconds.parse().ok()?;
    let micros: u64 = micros.parse().ok()?;
    Some(seconds.saturating_mul(1_000_000).saturating_add(micros))
}

fn strip_caller(text: &str) -> &str {
    let text = text.trim_start_matches(' ');
    let Some(rest) = text.strip_prefix('[') else {
        return text;
    };
    let Some((tag, tail)) = rest.split_once(']') else {
        return text;
    };
    let tag = tag.trim();
    let caller = tag.strip_prefix(['T', 'C']).unwrap_or("");
    if !caller.is_empty() && caller.bytes().all(|c| c.is_ascii_digit()) {
        tail.trim_start_matches(' ')
    } else {
        text
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn levels_in_their_usual_places() {
        for (line, want) in [
            (
                "2024-01-01 10:00:00,123 ERROR [main] boom",
                Some(Stated::Error),
            ),
            (
                "[Sun Dec 04 04:47:44 2005] [error] mod_jk",
                Some(Stated::Error),
            ),
            (
                "[Tue Jan 02 10:00:00.1 2024] [core:notice] [pid 1] AH00094",
                Some(Stated::Lower),
            ),
            (
                "time=2024 level=info msg=\"no error here\"",
                Some(Stated::Lower),
            ),
            ("{\"level\":\"error\",\"msg\":\"x\"}", Some(Stated::Error)),
            ("E0712 10:00:00.1 7 x.go:1] boom", Some(Stated::Error)),
            ("error: cannot open", Some(Stated::Error)),
            ("an error occurred", None),
            (
                "081109 INFO dfs.DataNode: exception while",
                Some(Stated::Lower),
            ),
        ] {
            assert_eq!(stated_level(line), want, "{line}");
        }
    }

    #[test]
    fn syslog_lines_are_taken_apart() {
        let bsd = parse_syslog("Nov  3 06:17:28 gw sshd[12]: error: x").unwrap();
        assert_eq!((bsd.identifier, bsd.message), ("sshd", "error: x"));
        let iso =
            parse_syslog("2025-11-23T06:17:28.123456+00:00 gw kernel: [ 1.000000] x").unwrap();
        assert_eq!((iso.identifier, iso.message), ("kernel", "[ 1.000000] x"));
        assert!(parse_syslog("plain text: no").is_none());
        assert!(parse_syslog("").is_none());
    }

    #[test]
    fn console_lines_may_be_shared() {
        let got: Vec<_> = split_console("login: [   59.806466][ T6792] BUG: x").collect();
        assert_eq!(got, [(None, "login: "), (Some(59_806_466), "BUG: x")]);
        let got: Vec<_> = split_console("[    1.000000] a [<ffff>] b[ 2.000000] c").collect();
        assert_eq!(
            got,
            [(Some(1_000_000), "a [<ffff>] b"), (Some(2_000_000), "c")]
        );
        assert_eq!(split_console("").count(), 0);
    }
}
