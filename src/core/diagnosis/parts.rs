//! What of a line is its sentence, and what are pairs `key=value` beside it: a pair says where something happened, rarely
//! what. Pure.

/// Weight of a pair's key, and of its value, against the sentence.
const KEY: f32 = 0.1;
const VALUE: f32 = 0.3;

/// Keys whose value is the sentence.
const SENTENCES: &[&str] = &[
    "cause",
    "desc",
    "description",
    "detail",
    "err",
    "error",
    "exception",
    "message",
    "msg",
    "reason",
];

/// A stretch of text, and how much it says about a fault.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Part<'a> {
    pub text: &'a str,
    /// 1 = the sentence itself.
    pub weight: f32,
}

/// Calls `take` for each part of `text` that holds something, in order.
pub fn parts<'a>(text: &'a str, take: &mut dyn FnMut(Part<'a>)) {
    let mut give = |text: &'a str, weight| {
        if !text.trim().is_empty() {
            take(Part { text, weight });
        }
    };
    let mut rest = text;
    while let Some((before, pair, after)) = first_pair(rest) {
        let is_sentence = SENTENCES.binary_search(&pair.key).is_ok();
        give(before, 1.0);
        give(pair.key, KEY);
        give(pair.value, if is_sentence { 1.0 } else { VALUE });
        rest = after;
    }
    give(rest, 1.0);
}

struct Pair<'a> {
    key: &'a str,
    value: &'a str,
}

/// What stands before the first pair, the pair, and what stands after it.
fn first_pair(text: &str) -> Option<(&str, Pair<'_>, &str)> {
    text.match_indices('=').find_map(|(at, _)| {
        let (before, value) = (text.get(..at)?, text.get(at + 1..)?);
        let key = key_at_end(before)?;
        let (value, after) = value_at_start(value)?;
        let before = before.get(..before.len() - key.len())?;
        Some((before, Pair { key, value }, after))
    })
}

/// A name that begins a word. One with a capital at its start is a setting (`ProtectSystem=`), one with a dash an option:
/// those are what a sentence is about.
fn key_at_end(before: &str) -> Option<&str> {
    let is_inner = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-' | '/');
    let head = before.trim_end_matches(is_inner);
    let key = before.get(head.len()..)?;
    let begins = head.is_empty() || head.ends_with([' ', '\t', ',', ';', '(', '[', '{', '|']);
    (begins && key.starts_with(|c: char| c.is_ascii_lowercase())).then_some(key)
}

/// The value, without its quotes, and what follows it; none where nothing stands there.
fn value_at_start(text: &str) -> Option<(&str, &str)> {
    if let Some(quoted) = text.strip_prefix('"') {
        let mut escaped = false;
        let end = quoted.find(|c| {
            let ends = c == '"' && !escaped;
            escaped = c == '\\' && !escaped;
            ends
        });
        let end = end.unwrap_or(quoted.len());
        return Some((quoted.get(..end)?, quoted.get(end + 1..).unwrap_or("")));
    }
    let ends = |c: char| c.is_whitespace() || matches!(c, ',' | ';' | ')' | ']' | '}' | '|');
    let end = text.find(ends).unwrap_or(text.len());
    let (value, after) = text.split_at_checked(end)?;
    (!value.is_empty() && !value.starts_with('=')).then_some((value, after))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn split(text: &str) -> Vec<(&str, f32)> {
        let mut found = Vec::new();
        parts(text, &mut |part| {
            found.push((part.text.trim(), part.weight))
        });
        found
    }

    #[test]
    fn the_keys_of_sentences_are_sorted() {
        assert!(SENTENCES.is_sorted());
    }

    #[test]
    fn a_sentence_counts_in_full_and_the_pairs_beside_it_little() {
        assert_eq!(
            split("disk is full (mount=/data, used=97)"),
            [
                ("disk is full (", 1.0),
                ("mount", KEY),
                ("/data", VALUE),
                (",", 1.0),
                ("used", KEY),
                ("97", VALUE),
                (")", 1.0),
            ]
        );
        let line = r#"level=error caller=main.go:9 msg="cannot \"lock\" it" size=3"#;
        assert!(split(line).contains(&(r#"cannot \"lock\" it"#, 1.0)));
        assert!(split(line).contains(&("main.go:9", VALUE)));
    }

    #[test]
    fn settings_options_comparisons_and_broken_quotes_are_text() {
        for text in [
            "ProtectSystem=strict denies it",
            "unknown option --storage.path=/x",
            "ExecStart= is empty, and a == b",
            "=",
            "é=",
        ] {
            assert_eq!(split(text), [(text, 1.0)], "{text}");
        }
        assert_eq!(split("msg=\"cut o"), [("msg", KEY), ("cut o", 1.0)]);
        assert_eq!(split("msg=\"é"), [("msg", KEY), ("é", 1.0)]);
        assert_eq!(split(""), []);
    }
}
