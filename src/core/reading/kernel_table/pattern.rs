//! One message format: `*` stands for anything, `{}` for the name of the device, `{mmc}` for a name that begins
//! so, `^` for the start of the message.
//!
//! Pieces between the stars are found from left to right, each at its first fit, and none is looked for again:
//! the time is linear in the message, whatever the message is.

/// Longest name of a device or place, bytes.
const NAME_CAP: usize = 96;

/// Whether `text` has the format; with the name that `{}` stands for, empty where the format has none.
pub(super) fn fit<'a>(pattern: &str, text: &'a str) -> Option<&'a str> {
    let (anchored, pattern) = match pattern.strip_prefix('^') {
        Some(rest) => (true, rest),
        None => (false, pattern),
    };
    let mut named = "";
    let mut rest = text;
    for (index, piece) in pattern.split('*').enumerate() {
        let at_start = anchored && index == 0;
        let (name, behind) = piece_in(piece, rest, at_start)?;
        if !name.is_empty() {
            named = name;
        }
        rest = behind;
    }
    Some(named)
}

/// The texts of a format, without what stands for something else.
pub(super) fn literals(pattern: &str) -> impl Iterator<Item = &str> {
    pattern
        .trim_start_matches('^')
        .split(['*', '{', '}'])
        .filter(|text| !text.is_empty())
}

/// The name in one piece and what follows the piece.
fn piece_in<'a>(piece: &str, text: &'a str, at_start: bool) -> Option<(&'a str, &'a str)> {
    let Some((before, rest)) = piece.split_once('{') else {
        let behind = match at_start {
            true => text.strip_prefix(piece),
            false => text.split_once(piece).map(|(_, behind)| behind),
        };
        return behind.map(|behind| ("", behind));
    };
    let (start, after) = rest.split_once('}')?;
    if at_start {
        let tail = text.strip_prefix(before)?;
        return name_at(tail, start, after);
    }
    if !before.is_empty() {
        return text.match_indices(before).find_map(|(at, _)| {
            let tail = text.get(at.checked_add(before.len())?..)?;
            name_at(tail, start, after)
        });
    }
    if !start.is_empty() {
        return text
            .match_indices(start)
            .filter(|(at, _)| !text.get(..*at).is_some_and(ends_in_name))
            .find_map(|(at, _)| name_at(text.get(at..)?, start, after));
    }
    text.match_indices(after).find_map(|(at, _)| {
        let name = name_before(text.get(..at)?)?;
        Some((name, text.get(at.checked_add(after.len())?..)?))
    })
}

/// The name at the start of `text`, which begins with `start`, up to `after`.
fn name_at<'a>(text: &'a str, start: &str, after: &str) -> Option<(&'a str, &'a str)> {
    if !text.starts_with(start) {
        return None;
    }
    let run = text
        .bytes()
        .take(NAME_CAP)
        .take_while(|b| is_name(*b))
        .count();
    let run = text.get(..run)?;
    if after.is_empty() {
        return (!run.is_empty()).then_some((run, text.get(run.len()..)?));
    }
    // What follows may begin with what a name may hold: `eth0: Link`.
    let reach = text.get(..run.len().saturating_add(after.len()));
    let end = match reach {
        Some(reach) => reach.find(after)?,
        None => text.find(after).filter(|end| *end <= run.len())?,
    };
    let name = text.get(..end)?;
    let behind = text.get(end.checked_add(after.len())?..)?;
    (!name.is_empty()).then_some((name, behind))
}

/// The name that ends where `text` ends.
fn name_before(text: &str) -> Option<&str> {
    let run = text
        .bytes()
        .rev()
        .take(NAME_CAP)
        .take_while(|b| is_name(*b))
        .count();
    text.get(text.len().checked_sub(run)?..)
        .filter(|name| !name.is_empty())
}

fn ends_in_name(text: &str) -> bool {
    text.bytes().next_back().is_some_and(is_name)
}

/// Bytes of device names, bus addresses, and places in the source.
fn is_name(byte: u8) -> bool {
    byte.is_ascii_alphanumeric()
        || matches!(byte, b'_' | b'-' | b'.' | b'!' | b':' | b'/' | b'@' | b'#')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_format_names_its_device_wherever_it_stands() {
        for (pattern, text, want) in [
            (
                "error, dev {}, sector",
                "I/O error, dev sda1, sector 3",
                Some("sda1"),
            ),
            (
                "{}: NETDEV WATCHDOG: *timed out",
                "r8169 0000:02:00.0 eno1: NETDEV WATCHDOG: CPU: 2: q 0 timed out 5 ms",
                Some("eno1"),
            ),
            (
                "^usb {}: device not",
                "usb 1-1.4: device not accepting",
                Some("1-1.4"),
            ),
            (
                "^usb {}: device not",
                "x usb 1-1.4: device not accepting",
                None,
            ),
            (
                "{can}: bus-off",
                "c_can_platform 481cc000.can can0: bus-off",
                Some("can0"),
            ),
            ("{can}: bus-off", "scan: bus-off", None),
            (
                "(device {}",
                "BTRFS error (device sdb2 state EA): x",
                Some("sdb2"),
            ),
            ("a*b*c", "a c b c", Some("")),
            ("a*b*c", "c b a", None),
            ("to {}", "to ", None),
            ("from {}", "now disconnected from ttyUSB0", Some("ttyUSB0")),
            (
                "WARNING: * at {} ",
                "WARNING: CPU: 1 PID: 2 at a/b.c:7 f+0x1/0x2",
                Some("a/b.c:7"),
            ),
            ("{}: x", "ü: x", None),
        ] {
            assert_eq!(fit(pattern, text), want, "{pattern} / {text}");
        }
    }

    #[test]
    fn long_repeats_cost_no_more_than_their_length() {
        let text = "mmc0: mmc0 (device ".repeat(20_000);
        let started = std::time::Instant::now();
        for pattern in [
            "{mmc}: never",
            "(device {}) never",
            "{}: never*{}: x",
            "mmc*device*mmc*never",
        ] {
            assert_eq!(fit(pattern, &text), None, "{pattern}");
        }
        assert!(started.elapsed() < std::time::Duration::from_secs(2));
    }
}
