//! Small steps through the start of a text.

/// Between `least` and `most` digits at the start, and what stands behind them. More digits are none.
pub(super) fn digits(text: &str, least: usize, most: usize) -> Option<(&str, &str)> {
    let bytes = text.as_bytes();
    let mut count = 0_usize;
    while count <= most && bytes.get(count).is_some_and(u8::is_ascii_digit) {
        count = count.saturating_add(1);
    }
    (least..=most)
        .contains(&count)
        .then(|| text.split_at_checked(count))?
}

/// What stands behind one byte of ASCII, if `text` begins with it.
pub(super) fn after(text: &str, byte: u8) -> Option<&str> {
    match text.as_bytes().first()? == &byte {
        true => text.get(1..),
        false => None,
    }
}

/// Without all bytes at the start that are of `set`, which is ASCII.
pub(super) fn skip<'a>(text: &'a str, set: &[u8]) -> &'a str {
    let bytes = text.as_bytes();
    let mut count = 0_usize;
    while let Some(byte) = bytes.get(count)
        && set.iter().any(|one| one == byte)
    {
        count = count.saturating_add(1);
    }
    text.get(count..).unwrap_or("")
}

/// Without the white space at the start.
pub(super) fn unindented(text: &str) -> &str {
    match text.as_bytes() {
        [b'!'..=b'~', ..] => text,
        _ => text.trim_start(),
    }
}

/// Before and behind the first colon with a blank behind it.
pub(super) fn captioned(text: &str) -> Option<(&str, &str)> {
    let bytes = text.as_bytes();
    let mut pairs = bytes.iter().zip(bytes.get(1..)?);
    let at = pairs.position(|two| two == (&b':', &b' '))?;
    Some((text.get(..at)?, text.get(at.saturating_add(2)..)?))
}

/// A short number that is digits and nothing else.
pub(super) fn number(text: &str) -> Option<u64> {
    let (all, rest) = digits(text, 1, 18)?;
    rest.is_empty().then(|| all.parse().ok())?
}

/// What stands behind `10:00:02`, a fraction of any kind and `AM` or `PM`.
pub(super) fn clock(text: &str) -> Option<&str> {
    clock_of(text, 2)
}

/// The same with at least so many digits of minutes and seconds: some programs write `22:16:0`.
pub(super) fn clock_of(text: &str, least: usize) -> Option<&str> {
    seconds(text, least).map(fraction)
}

/// What stands behind `10:00:02`.
pub(super) fn seconds(text: &str, least: usize) -> Option<&str> {
    let (_, rest) = digits(text, 1, 2)?;
    let (_, rest) = digits(after(rest, b':')?, least, 2)?;
    let (_, rest) = digits(after(rest, b':')?, least, 2)?;
    Some(rest)
}

/// What stands behind a fraction of a second of any kind and `AM` or `PM`, where they are.
pub(super) fn fraction(text: &str) -> &str {
    let part = match text.as_bytes() {
        [b'.' | b',' | b':', ..] => text.get(1..).and_then(|part| digits(part, 1, 9)),
        _ => None,
    };
    let rest = part.map_or(text, |(_, rest)| rest);
    match rest.as_bytes() {
        [b' ', b'A' | b'P', b'M', ..] => rest.get(3..).unwrap_or(rest),
        _ => rest,
    }
}

/// The word at the start: up to the next blank, and what stands behind that blank.
pub(super) fn word(text: &str) -> (&str, &str) {
    let end = text.bytes().position(|c| matches!(c, b' ' | b'\t'));
    let end = end.unwrap_or(text.len());
    let (word, rest) = text.split_at_checked(end).unwrap_or((text, ""));
    (word, skip(rest, b" \t"))
}

/// What stands between brackets at the start, at most `most` bytes of it, and what stands behind them.
pub(super) fn bracketed(text: &str, most: usize) -> Option<(&str, &str)> {
    let close = match text.as_bytes().first()? {
        b'[' => b']',
        b'(' => b')',
        b'<' => b'>',
        b'|' => b'|',
        _ => return None,
    };
    let inner = text.get(1..)?;
    let end = inner.bytes().take(most).position(|c| c == close)?;
    let (inner, rest) = inner.split_at_checked(end)?;
    Some((inner, rest.get(1..)?))
}
