//! Many short texts sought in one pass over a line. Pure.
//!
//! A text is filed under its first three bytes, and a line is asked only where a word begins: a line costs what its
//! words cost, whatever the number of texts (`benches/causes.rs`).

/// The first part of a text has at least so many bytes.
pub const SHORTEST: usize = 3;

type Head = [u8; SHORTEST];

/// One text: lower case, its parts separated by `&`.
#[derive(Debug)]
struct Phrase {
    head: Head,
    text: Box<str>,
    /// Whose it is.
    owner: u32,
}

/// All texts, in the order of their heads.
#[derive(Debug, Default)]
pub struct Phrases(Vec<Phrase>);

impl Phrases {
    /// Each text with the number of its owner. One that is too short is left out.
    pub fn new<'a>(texts: impl Iterator<Item = (&'a str, u32)>) -> Self {
        let filed = |(text, owner): (&'a str, u32)| {
            let part = text.split('&').next().unwrap_or("");
            Some(Phrase {
                head: head(part.as_bytes())?,
                text: text.into(),
                owner,
            })
        };
        let mut phrases: Vec<Phrase> = texts.filter_map(filed).collect();
        phrases.sort_by_key(|phrase| phrase.head);
        Self(phrases)
    }

    /// Calls `hit` with the owner and the text of each that occurs in `line`; more than once where it occurs again.
    pub fn find<'a>(&'a self, line: &str, hit: &mut impl FnMut(u32, &'a str)) {
        let line = line.as_bytes();
        for at in 0..line.len() {
            let rest = line.get(at..).unwrap_or(&[]);
            let Some(head) = head(rest).filter(|_| !is_inside_word(line, at)) else {
                continue;
            };
            let first = self.0.partition_point(|phrase| phrase.head < head);
            let same = self.0.iter().skip(first);
            for phrase in same.take_while(|phrase| phrase.head == head) {
                if occurs(&phrase.text, line, at) {
                    hit(phrase.owner, &phrase.text);
                }
            }
        }
    }
}

/// The key that texts are filed under; a blank fits an underscore, so both are one.
fn head(text: &[u8]) -> Option<Head> {
    let first: Head = text.get(..SHORTEST)?.try_into().ok()?;
    Some(first.map(|byte| match byte {
        b'_' => b' ',
        other => other.to_ascii_lowercase(),
    }))
}

/// The first part stands at `at`, and the others behind it in their order.
fn occurs(text: &str, line: &[u8], at: usize) -> bool {
    let mut parts = text.split('&').map(str::as_bytes);
    let first = parts.next().unwrap_or(&[]);
    let mut from = at + first.len();
    stands(first, line, at)
        && parts.all(|part| {
            let found = (from..line.len()).find(|at| stands(part, line, *at));
            from = found.map_or(line.len(), |at| at + part.len());
            found.is_some()
        })
}

/// The part stands at `at`: it begins where a word begins (`enotfound` is not in `FileNotFoundError`), and a number
/// ends where it ends (`errno 13` is not in `errno 131`). A blank fits an underscore, no other sign does.
fn stands(part: &[u8], line: &[u8], at: usize) -> bool {
    let end = at + part.len();
    let fits = |(have, want): (&u8, &u8)| {
        have.to_ascii_lowercase() == *want || (*want == b' ' && *have == b'_')
    };
    let begins = !part.first().is_some_and(u8::is_ascii_alphanumeric) || !is_inside_word(line, at);
    let ends = !part.last().is_some_and(u8::is_ascii_digit)
        || !line.get(end).is_some_and(u8::is_ascii_digit);
    begins
        && ends
        && line
            .get(at..end)
            .is_some_and(|text| text.iter().zip(part).all(fits))
}

/// A letter or digit stands at `at` and another one before it.
fn is_inside_word(line: &[u8], at: usize) -> bool {
    let is_word = |at: usize| line.get(at).is_some_and(u8::is_ascii_alphanumeric);
    is_word(at) && at.checked_sub(1).is_some_and(is_word)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(texts: &[&str], line: &str) -> Vec<u32> {
        let phrases = Phrases::new((0..).zip(texts).map(|(number, text)| (*text, number)));
        let mut hits = Vec::new();
        phrases.find(line, &mut |owner, _| hits.push(owner));
        hits.sort_unstable();
        hits.dedup();
        hits
    }

    #[test]
    fn a_text_is_found_where_words_begin_and_its_parts_in_their_order() {
        for (text, line, wanted) in [
            ("errno 13", "OSError: [Errno 13] x", true),
            ("errno 13", "errno 131", false),
            ("enotfound", "FileNotFoundError", false),
            ("auth failed", "reason AUTH_FAILED", true),
            ("max_connections", "max connections", false),
            ("lock&unavailable", "lock db: resource unavailable", true),
            ("lock&unavailable", "unavailable: lock", false),
            (": error -", "mmc0: error -110", true),
            ("no space", "no spac", false),
            ("is", "this is", false),
            ("corrupt", "block corrupted", true),
        ] {
            assert_eq!(found(&[text], line) == [0], wanted, "{text} in {line}");
        }
    }

    #[test]
    fn every_text_of_a_line_is_found_in_one_pass() {
        let texts = [
            "no space left",
            "no such file",
            "no such file&device",
            "space left",
        ];
        let line = "no such file; No space left on device";
        assert_eq!(found(&texts, line), [0, 1, 2, 3]);
    }

    #[test]
    fn no_line_panics() {
        for line in ["", "é", "\u{fffd}\u{fffd}", &"a".repeat(9), "a é_é b"] {
            let _ = found(&["é é", "a é", "aaaaaaaaaaaa", "&&&", "aaa&"], line);
        }
    }
}
