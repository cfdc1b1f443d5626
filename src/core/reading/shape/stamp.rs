//! Time stamps at the start of a text, in every form that logs use. Only where they end matters, and how they look.

use super::scan::{
    after, bracketed, clock, clock_of, digits, fraction, number, seconds, unindented,
};

/// How a time stamp is written, as far as that says who wrote it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    /// `May  1 10:00:02`: syslog's.
    Bsd,
    /// `2026-05-01T10:00:02.123456+00:00`; `offset`: the zone is a number.
    Iso {
        offset: bool,
    },
    /// `Fri May  1 10:00:02 2026`: C's.
    Weekday,
    /// `10:00:02.123`: the day is missing, so that it is a stamp only where a level follows.
    Clock,
    /// `1714557602:`, `1714557602.123`.
    Epoch,
    Other,
}

/// A time stamp and what stands behind it, blanks included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Stamp<'a> {
    pub form: Form,
    pub rest: &'a str,
}

const MONTHS: &[&str] = &[
    "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
];
/// Longest name of a month with the blank behind it, bytes.
const MONTH_MOST: usize = 12;
const DAYS: &[&str] = &["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"];
/// They end in `C`, `K` or `T`.
const ZONES: &[&str] = &[
    "UTC", "GMT", "CET", "CEST", "EET", "EEST", "WET", "WEST", "BST", "IST", "MSK", "JST", "AEST",
    "EST", "EDT", "CST", "CDT", "MST", "MDT", "PST", "PDT",
];

/// The time stamp that `text` begins with.
pub(super) fn read(text: &str) -> Option<Stamp<'_>> {
    match text.as_bytes().first()? {
        b'0'..=b'9' => numeric(text)
            .or_else(|| compact(text))
            .or_else(|| epoch(text))
            .or_else(|| day_first(text))
            .or_else(|| clock_only(text)),
        b'A'..=b'Z' => month_first(text).or_else(|| weekday(text)),
        b'a'..=b'z' | 0x80.. => month_first(text),
        _ => None,
    }
}

/// The month at the start, in any language: `Okt`, `mai`, `févr.`; what stands behind it tells whether it is one.
fn month(text: &str) -> Option<&str> {
    let end = text.bytes().take(MONTH_MOST).position(|c| c == b' ')?;
    let (name, rest) = text.split_at_checked(end)?;
    // So are most lines of words, and they are done here.
    if matches!(rest.as_bytes(), [_, b'!'..=b'/' | b':'..=b'~', ..]) {
        return None;
    }
    let dated = rest.trim_start().starts_with(|c: char| c.is_ascii_digit());
    let letters = name.strip_suffix('.').unwrap_or(name);
    let is_name = letters.len() > 2 && letters.chars().all(char::is_alphabetic);
    (dated && is_name).then_some(rest)
}

/// A name of a list at the start.
fn named<'a>(text: &'a str, names: &[&str]) -> Option<&'a str> {
    let name = text.get(..3)?;
    let rest = text.get(3..)?;
    names.contains(&name).then_some(rest)
}

fn stamp(form: Form, rest: &str) -> Stamp<'_> {
    Stamp { form, rest }
}

/// `2026-05-01T10:00:02`, `2026/05/01 10:00:02`, `01.05.2026 10:00:02`, `05-02 10:11:12.123`.
fn numeric(text: &str) -> Option<Stamp<'_>> {
    let rest = whole(text).or_else(|| dated(text))?;
    let (rest, offset) = zone(fraction(rest));
    Some(stamp(
        Form::Iso { offset },
        after(rest, b',').unwrap_or(rest),
    ))
}

/// Behind the seconds of `2026-05-01T10:00:02`, by its look: most stamps are like that, and are read for each line.
fn whole(text: &str) -> Option<&str> {
    const LOOK: &[u8] = b"0000-00-00T00:00:00";
    let (head, rest) = text.split_at_checked(LOOK.len())?;
    let mut both = head.bytes().zip(LOOK);
    let fits = both.all(|(byte, look)| match look {
        b'0' => byte.is_ascii_digit(),
        b'T' => is_between(byte),
        look => byte == *look,
    });
    (fits && !rest.starts_with(|c: char| c.is_ascii_digit())).then_some(rest)
}

/// What stands between a date and its clock.
const fn is_between(byte: u8) -> bool {
    matches!(byte, b'T' | b' ' | b'-' | b'_' | b':')
}

/// Behind the seconds of any date in numbers.
fn dated(text: &str) -> Option<&str> {
    let (first, rest) = digits(text, 1, 4)?;
    let mark = *rest.as_bytes().first()?;
    if !matches!(mark, b'-' | b'/' | b'.') {
        return None;
    }
    let (second, rest) = digits(rest.get(1..)?, 1, 2)?;
    let date = after(rest, mark)
        .and_then(|rest| digits(rest, 1, 4))
        .filter(|(third, _)| first.len() == 4 || third.len() == 4 || third.len() == 2);
    let (rest, whole) = match date {
        Some((_, rest)) => (rest, true),
        None => (rest, false),
    };
    if !whole && (first.len() != 2 || second.len() != 2) {
        return None;
    }
    let is_dates = rest.bytes().next().is_some_and(is_between);
    seconds(rest.get(1..).filter(|_| is_dates)?, 2)
}

/// `20171223-22:15:29:606`, `20240501T100002Z`, `081109 203615`, `240501 10:00:00`.
fn compact(text: &str) -> Option<Stamp<'_>> {
    let (_, rest) = digits(text, 8, 8).or_else(|| digits(text, 6, 6))?;
    let rest = match rest.as_bytes() {
        [b'-' | b' ' | b'T', ..] => rest.get(1..)?,
        _ => return None,
    };
    let rest = clock_of(rest, 1).or_else(|| digits(rest, 6, 6).map(|(_, rest)| rest))?;
    Some(stamp(Form::Other, zone(rest).0))
}

/// Seconds or milliseconds since 1970, later than 2001.
fn epoch(text: &str) -> Option<Stamp<'_>> {
    let (whole, rest) = digits(text, 10, 13)?;
    if !text.starts_with(['1', '2']) || !matches!(whole.len(), 10 | 13) {
        return None;
    }
    let part = rest.strip_prefix('.').and_then(|rest| digits(rest, 1, 9));
    let rest = part.map_or(rest, |(_, rest)| rest);
    let rest = rest.strip_prefix(':').unwrap_or(rest);
    rest.starts_with(' ').then(|| stamp(Form::Epoch, rest))
}

/// `1 May 10:00:02`, `01-May-2026 10:00:02.123`, `01/May/2026:10:00:02 +0000`.
fn day_first(text: &str) -> Option<Stamp<'_>> {
    let (_, rest) = digits(text, 1, 2)?;
    let rest = named(rest.strip_prefix([' ', '-', '/'])?, MONTHS)?;
    let rest = rest.strip_prefix([' ', '-', '/'])?;
    let year = digits(rest, 4, 4).and_then(|(_, rest)| rest.strip_prefix([' ', ':']));
    Some(stamp(Form::Other, zone(clock(year.unwrap_or(rest))?).0))
}

fn clock_only(text: &str) -> Option<Stamp<'_>> {
    Some(stamp(Form::Clock, zone(clock(text)?).0))
}

/// `May  1 10:00:02.123456`, `May 02, 2024 10:11:12 AM`.
fn month_first(text: &str) -> Option<Stamp<'_>> {
    let rest = unindented(after(month(text)?, b' ')?);
    let (_, rest) = digits(rest, 1, 2)?;
    let rest = after(after(rest, b',').unwrap_or(rest), b' ')?;
    match digits(rest, 4, 4).and_then(|(_, rest)| after(rest, b' ')) {
        Some(behind_year) => Some(stamp(Form::Other, zone(clock(behind_year)?).0)),
        None => Some(stamp(Form::Bsd, clock(rest)?)),
    }
}

/// `Wed Nov 16 08:02:19 2016`, `Thu May  2 10:11:12 UTC 2024`, `Fri 2026-05-01 10:00:02 UTC`.
fn weekday(text: &str) -> Option<Stamp<'_>> {
    let rest = named(text, DAYS)?;
    let rest = rest.strip_prefix(',').unwrap_or(rest).strip_prefix(' ')?;
    if let Some(iso) = numeric(rest).or_else(|| day_first(rest)) {
        return Some(stamp(Form::Bsd, iso.rest));
    }
    let (rest, _) = zone(month_first(rest)?.rest);
    let (year, rest) = digits(rest.strip_prefix(' ')?, 4, 4)?;
    number(year)?;
    Some(stamp(Form::Weekday, rest))
}

/// What stands behind a zone, if there is one, and whether it is a number.
fn zone(text: &str) -> (&str, bool) {
    if let Some(rest) = after(text, b'Z') {
        return (rest, false);
    }
    let inner = after(text, b' ').unwrap_or(text);
    let inner = after(inner, b'(').unwrap_or(inner);
    let letters = inner.bytes().take_while(u8::is_ascii_uppercase).count();
    let behind = inner
        .split_at_checked(letters)
        .filter(|(name, _)| name.ends_with(['C', 'K', 'T']) && ZONES.contains(name))
        .map(|(_, rest)| rest);
    let offset = offset(behind.unwrap_or(inner));
    match (offset, behind) {
        (Some(rest), _) => (closed(rest), behind.is_none()),
        (None, Some(rest)) => (closed(rest), false),
        (None, None) => (text, false),
    }
}

fn closed(text: &str) -> &str {
    after(text, b')').unwrap_or(text)
}

/// Behind `+00:00`, `-0500`, `+02`.
fn offset(text: &str) -> Option<&str> {
    let rest = after(text, b'+').or_else(|| after(text, b'-'))?;
    let (hours, rest) = digits(rest, 2, 4)?;
    match (hours.len(), after(rest, b':')) {
        (4, _) => Some(rest),
        (2, Some(minutes)) => digits(minutes, 2, 2).map(|(_, rest)| rest),
        (2, None) => Some(rest),
        _ => None,
    }
}

/// What stands behind the kernel's `[   12.345678]` at the start.
pub(super) fn behind_kernels(text: &str) -> Option<&str> {
    let (inner, rest) = bracketed(text, 24)?;
    text.starts_with('[').then(|| since_boot_us(inner))??;
    Some(rest)
}

/// Microseconds since the boot, as the kernel stamps: `12.345678`.
pub(super) fn since_boot_us(text: &str) -> Option<u64> {
    let (seconds, micros) = text.trim_start().split_once('.')?;
    if micros.len() != 6 || seconds.is_empty() || seconds.len() > 9 {
        return None;
    }
    // Digits alone: `+0.142453` is a time since the line before.
    let (seconds, micros) = (number(seconds)?, number(micros)?);
    Some(seconds.saturating_mul(1_000_000).saturating_add(micros))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stamp_ends_where_the_text_begins() {
        for text in [
            "May  1 10:00:02",
            "May 01 10:00:02.123456",
            "Okt 16 08:27:14",
            "mai  1 10:00:02",
            "févr. 12 10:00:02",
            "May 02, 2024 10:11:12 AM",
            "2026-05-01T10:00:02Z",
            "2026-05-01T10:00:02.123456+00:00",
            "2026-05-01 10:00:02,123",
            "2026-05-01 10:00:02.123 (UTC+0000)",
            "2020-07-22 19:49:12.925 +00:00",
            "2026/05/01 10:00:02.123456",
            "2024-05-02 10:11:12.123 UTC",
            "2016-09-28 04:30:30,",
            "01.05.2026 10:00:02",
            "05-02 10:11:12.123",
            "1 May 10:00:02",
            "01 May 2026 10:00:02.123",
            "01-May-2026 10:00:02.123",
            "01/May/2026:10:00:02 +0000",
            "Wed Nov 16 08:02:19 2016",
            "Sun Dec 04 04:47:44.123456 2005",
            "Thu May  2 10:11:12 UTC 2024",
            "Fri 2026-05-01 10:00:02 UTC",
            "1714557602:",
            "1714557602.123456",
            "1714557602123",
            "20171223-22:15:29:606",
            "20171223-22:16:0:119",
            "081109 203615",
            "240501 10:00:00",
            "10:11:12.123",
            "06:41:39.806Z",
        ] {
            let line = format!("{text} rest");
            assert_eq!(read(&line).map(|one| one.rest), Some(" rest"), "{text}");
        }
    }

    proptest::proptest! {
        /// A stamp that is known by its look ends where its parts do.
        #[test]
        fn a_whole_stamp_is_the_sum_of_its_parts(
            date in "[0-9]{3,5}-[0-9]{1,3}-[0-9]{1,3}",
            clock in "[T _:-][0-9]{1,3}:[0-9]{2}:[0-9]{1,3}",
            rest in "[ .,Z+0-9AM-]{0,8}",
        ) {
            let text = format!("{date}{clock}{rest}");
            if let Some(rest) = whole(&text) {
                assert_eq!(Some(rest), dated(&text));
            }
        }
    }

    #[test]
    fn what_only_resembles_a_stamp_is_none() {
        for text in [
            "10 of 12 done",
            "192.168.1.20 is up",
            "1.8.4 released",
            "12:30 is noon",
            "May I ask",
            "run 12 of 30",
            "eth0 1 10:00:02",
            "Sunny",
            "1234567890",
            "100% full",
            "2026-05-01",
            "",
        ] {
            assert_eq!(read(text), None, "{text}");
        }
    }
}
