//! What an item is by its shape alone.

use super::words;

/// An errno or signal name: `EADDRINUSE`, `E2BIG`, `SIGKILL`.
pub fn is_errno(item: &[u8]) -> bool {
    let capitals =
        |rest: &[u8], least| rest.len() >= least && rest.iter().all(u8::is_ascii_uppercase);
    match item {
        b"E2BIG" => true,
        [b'E', b'L', b'2' | b'3', rest @ ..] => capitals(rest, 3),
        [b'S', b'I', b'G', rest @ ..] => capitals(rest, 2),
        [b'E', rest @ ..] => capitals(rest, 2) && item.len() <= 16,
        _ => false,
    }
}

/// A name in capitals: one of a closed set, such as a state or a constant.
pub fn is_symbol(item: &[u8]) -> bool {
    item.len() >= 2
        && item.first().is_some_and(u8::is_ascii_uppercase)
        && item.iter().all(|b| b.is_ascii_uppercase() || *b == b'_')
}

/// `203` of `status=203/EXEC`, with or without the name: the shape of an exit status.
pub fn is_exit_status(item: &[u8]) -> Option<bool> {
    let mut parts = item.splitn(2, |&b| b == b'/');
    let number = parts.next().unwrap_or_default();
    let short = (1..=3).contains(&number.len()) && number.iter().all(u8::is_ascii_digit);
    match parts.next() {
        None => short.then_some(false),
        Some(name) => (short && (is_symbol(name) || name == b"n/a")).then_some(true),
    }
}

/// What else is a truth value right after `key:`.
pub fn is_switch(item: &[u8]) -> bool {
    words::is_constant(item)
        || matches!(
            item,
            b"yes"
                | b"no"
                | b"Yes"
                | b"No"
                | b"YES"
                | b"NO"
                | b"on"
                | b"off"
                | b"none"
                | b"None"
                | b"nil"
        )
}

/// A name rather than an English word: `foo_bar`, `fooBar`, `foo.bar`. A hyphen tells nothing
/// (`read-only`).
pub fn is_identifier(item: &[u8]) -> bool {
    let camel = item
        .windows(2)
        .any(|w| matches!(w, [a, b] if a.is_ascii_lowercase() && b.is_ascii_uppercase()));
    camel || item.iter().any(|b| matches!(b, b'_' | b'.'))
}

/// Offset at which a path begins in the item.
pub fn path_start(item: &[u8]) -> Option<usize> {
    let word =
        |b: &u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.' | b'-' | b'~' | 0x80..);
    match item {
        [b'/', next, ..] | [b'\\', next, ..] if word(next) || Some(next) == item.first() => {
            return Some(0);
        }
        [drive, b':', b'\\' | b'/', ..] if drive.is_ascii_alphabetic() => return Some(0),
        [b'.', b'/', ..] | [b'.', b'.', b'/', ..] | [b'~', b'/', ..] => return Some(0),
        _ => {}
    }
    // `key:/path`, `nfs:/export`
    let colon = item.iter().position(|&b| b == b':')?;
    match item.get(colon.saturating_add(1)..)? {
        [b'/' | b'\\', next, ..] if word(next) => Some(colon.saturating_add(1)),
        _ => None,
    }
}

/// Eight or more hexadecimal digits: no English word has so many letters from a to f alone.
#[inline(always)]
pub fn is_long_hex(item: &[u8]) -> bool {
    item.len() >= 8 && item.iter().all(u8::is_ascii_hexdigit)
}

/// IPv6 or MAC address: groups of hexadecimal digits between colons.
pub fn is_address(item: &[u8]) -> bool {
    let (mut colons, mut digit, mut pairs, mut group) = (0_u32, false, true, 0_u32);
    for &b in item {
        match b {
            b':' => {
                colons = colons.saturating_add(1);
                pairs &= group == 2;
                group = 0;
            }
            b'.' => {}
            _ if b.is_ascii_hexdigit() => {
                digit |= b.is_ascii_digit();
                group = group.saturating_add(1);
            }
            _ => return false,
        }
        if group > 4 {
            return false;
        }
    }
    colons >= 2 && (digit || (pairs && colons == 5))
}

/// `user@host.tld`
pub fn is_mail(item: &[u8]) -> bool {
    let mut parts = item.splitn(2, |&b| b == b'@');
    let user = parts.next().unwrap_or_default();
    let host = parts.next().unwrap_or_default();
    !user.is_empty()
        && host.contains(&b'.')
        && !host.contains(&b'/')
        && host.last().is_some_and(u8::is_ascii_alphabetic)
}

/// What stands before and after the last dot.
fn last_label(item: &[u8]) -> Option<(&[u8], &[u8])> {
    let dot = item.iter().rposition(|&b| b == b'.')?;
    Some((item.get(..dot)?, item.get(dot.saturating_add(1)..)?))
}

/// A file or unit name, told by its suffix.
pub fn is_file(item: &[u8]) -> bool {
    last_label(item).is_some_and(|(stem, suffix)| !stem.is_empty() && words::is_file_suffix(suffix))
}

/// A lower-case host name that ends in a top-level domain.
pub fn is_host(item: &[u8]) -> bool {
    last_label(item).is_some_and(|(stem, label)| {
        words::is_top_level(label)
            && stem.len() >= 2
            && stem
                .iter()
                .all(|b| b.is_ascii_lowercase() || matches!(b, b'-' | b'.' | b'_'))
            && !stem.windows(2).any(|w| w == b"..")
    })
}

/// The name in `name:port`: lower case as host names are written, and a port of two digits or more.
pub fn before_port(item: &[u8]) -> Option<&[u8]> {
    let colon = item.iter().position(|&b| b == b':')?;
    let (name, port) = (item.get(..colon)?, item.get(colon.saturating_add(1)..)?);
    let is_port = (2..=5).contains(&port.len()) && port.iter().all(u8::is_ascii_digit);
    let is_name = name.len() >= 2
        && name.first().is_some_and(u8::is_ascii_lowercase)
        && name
            .iter()
            .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'-' | b'.'));
    (is_port && is_name).then_some(name)
}

/// A reverse-DNS name (`org.example.Thing`), unless its last label names an error or a constant.
pub fn is_package(item: &[u8]) -> bool {
    let mut labels = item.split(|&b| b == b'.');
    if !words::is_package_root(labels.next().unwrap_or_default()) {
        return false;
    }
    let Some((_, last)) = last_label(item) else {
        return false;
    };
    labels.clone().count() >= 2
        && labels.all(|l| {
            l.first()
                .is_some_and(|b| b.is_ascii_alphabetic() || *b == b'_')
        })
        && !last.ends_with(b"Exception")
        && !last.ends_with(b"Error")
        && !is_symbol(last)
}

/// `Product/1.2 …`: a quoted phrase that begins so is a user agent, not a message.
pub fn is_agent(phrase: &[u8]) -> bool {
    let name = phrase
        .iter()
        .take_while(|b| b.is_ascii_alphabetic())
        .count();
    name > 0
        && phrase.get(name) == Some(&b'/')
        && phrase
            .get(name.saturating_add(1))
            .is_some_and(u8::is_ascii_digit)
}

/// Length of `comm:pid` before a `]`: the tag of a process.
pub fn process_tag(ahead: &[u8]) -> Option<usize> {
    let close = ahead.iter().position(|&b| b == b']' || b == b' ')?;
    let tag = ahead
        .get(..close)
        .filter(|_| ahead.get(close) == Some(&b']'))?;
    let colon = tag.iter().rposition(|&b| b == b':')?;
    let (name, pid) = (tag.get(..colon)?, tag.get(colon.saturating_add(1)..)?);
    let named = name.first().is_some_and(u8::is_ascii_alphabetic);
    let digits = !pid.is_empty() && pid.iter().all(u8::is_ascii_digit);
    (named && digits && !name.contains(&b'[')).then_some(close)
}
