//! The kill switch: a file that stops all repairs while it exists. It may say by itself until when.

use crate::core::model::time::Timestamp;

/// Why nothing is repaired, from the file's text; `None` = its time is over.
///
/// Only a first line that is exactly `until = ` and an RFC 3339 time ends it, and only by a clock that is known to
/// be right (`None` = it is not): a board that starts in the future must not lift what a human has set.
pub fn reason(text: &str, right_time: Option<Timestamp>) -> Option<String> {
    let (first, rest) = text.split_once('\n').unwrap_or((text, ""));
    let until = first
        .trim_end_matches('\r')
        .strip_prefix("until = ")
        .and_then(Timestamp::from_rfc3339);
    let said = match (until, rest.trim(), text.trim()) {
        (Some(_), "", _) | (None, _, "") => "no reason given",
        (Some(_), why, _) | (None, _, why) => why,
    };
    let Some(until) = until else {
        return Some(said.to_owned());
    };
    if right_time.is_some_and(|now| now >= until) {
        return None;
    }
    let second = until.to_string();
    let second = second.get(..19).unwrap_or(&second);
    let clock = match right_time {
        Some(_) => "",
        None => ", once the clock is synchronised",
    };
    Some(format!("{said} (it ends by itself at {second} UTC{clock})"))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn only_an_exact_first_line_ends_it() {
        let now: Timestamp = "2026-03-01 12:00:00".parse().unwrap();
        for (text, over) in [
            ("until = 2026-03-01T12:00:00Z", true),
            ("until = 2026-03-01T12:00:00Z\r\npeople at work\n", true),
            ("until = 2026-03-01T13:00:00+01:00\n", true),
            ("until = 2026-03-01T12:00:01Z\n", false),
            ("until = 2026-03-01T13:00:00\n", false),
            ("until = 2020-01-01\n", false),
            ("until=2020-01-01T00:00:00Z\n", false),
            (" until = 2020-01-01T00:00:00Z\n", false),
            ("until = 2020-01-01T00:00:00Z or so\n", false),
            ("# why\nuntil = 2020-01-01T00:00:00Z\n", false),
            ("until = soon", false),
            ("", false),
            ("people at work", false),
        ] {
            assert_eq!(reason(text, Some(now)).is_none(), over, "{text:?}");
            assert!(
                reason(text, None).is_some(),
                "without a right clock: {text:?}"
            );
        }
    }

    #[test]
    fn it_says_why_and_until_when() {
        let now: Timestamp = "2026-03-01 12:00:00".parse().unwrap();
        let told = |text| reason(text, Some(now)).unwrap();
        assert_eq!(told("  \n"), "no reason given");
        assert_eq!(told("people at work\n"), "people at work");
        assert_eq!(
            told("until = 2026-03-01T13:00:00Z\npeople at work"),
            "people at work (it ends by itself at 2026-03-01 13:00:00 UTC)"
        );
        let unsynced = reason("until = 2026-03-01T13:00:00Z", None).unwrap();
        assert!(
            unsynced.ends_with("UTC, once the clock is synchronised)"),
            "{unsynced}"
        );
    }
}
