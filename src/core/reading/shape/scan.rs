//! Small steps through the start of a text.

/// Between `least` and `most` digits at the start, and what stands behind them. More digits are none.
pub(super) fn digits(text: &str, least: usize, most: usize) -> Option<(&str, &str)> {
    let count = text
        .bytes()
        .take(most.saturating_add(1))
        .take_while(u8::is_ascii_digit)
        .count();
    (least..=most)
        .contains(&count)
        .then(|| text.split_at_checked(count))?
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
    let (_, rest) = digits(text, 1, 2)?;
    let (_, rest) = digits(rest.strip_prefix(':')?, least, 2)?;
    let (_, rest) = digits(rest.strip_prefix(':')?, least, 2)?;
    let fraction = rest
        .strip_prefix(['.', ',', ':'])
        .and_then(|part| digits(part, 1, 9));
    let rest = fraction.map_or(rest, |(_, rest)| rest);
    let half = rest
        .strip_prefix(" AM")
        .or_else(|| rest.strip_prefix(" PM"));
    Some(half.unwrap_or(rest))
}

/// The word at the start: up to the next blank, and what stands behind that blank.
pub(super) fn word(text: &str) -> (&str, &str) {
    let end = text.bytes().position(|c| matches!(c, b' ' | b'\t'));
    let end = end.unwrap_or(text.len());
    let (word, rest) = text.split_at_checked(end).unwrap_or((text, ""));
    (word, rest.trim_start_matches([' ', '\t']))
}

/// What stands between brackets at the start, at most `most` bytes of it, and what stands behind them.
pub(super) fn bracketed(text: &str, most: usize) -> Option<(&str, &str)> {
    let close = match text.as_bytes().first()? {
        b'[' => ']',
        b'(' => ')',
        b'<' => '>',
        b'|' => '|',
        _ => return None,
    };
    let inner = text.get(1..)?;
    let end = inner
        .bytes()
        .take(most)
        .position(|c| char::from(c) == close)?;
    let (inner, rest) = inner.split_at_checked(end)?;
    Some((inner, rest.get(1..)?))
}
