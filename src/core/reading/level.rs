//! The level that a line states about itself, however its program spells it.

use crate::core::model::named::named;

named! {
    /// How bad a program says that its line is; the order is that of syslog, upside down.
    Level "level" {
        Debug = "debug",
        Info = "info",
        Notice = "notice",
        Warning = "warning",
        Error = "error",
        /// syslog's critical, alert and emergency; fatal and panic.
        Critical = "critical",
    }
}

/// Words that name a level. Letters alone are compared, whole words, in any case. What is written most comes first.
const WORDS: &[(&str, Level)] = &[
    ("info", Level::Info),
    ("debug", Level::Debug),
    ("error", Level::Error),
    ("warn", Level::Warning),
    ("err", Level::Error),
    ("erro", Level::Error),
    ("eror", Level::Error),
    ("severe", Level::Error),
    ("fail", Level::Error),
    ("warning", Level::Warning),
    ("wrn", Level::Warning),
    ("inf", Level::Info),
    ("information", Level::Info),
    ("informational", Level::Info),
    ("notice", Level::Notice),
    ("note", Level::Notice),
    ("system", Level::Notice),
    ("log", Level::Info),
    ("hint", Level::Info),
    ("detail", Level::Info),
    ("context", Level::Info),
    ("statement", Level::Info),
    ("dbg", Level::Debug),
    ("dbug", Level::Debug),
    ("trace", Level::Debug),
    ("trc", Level::Debug),
    ("trce", Level::Debug),
    ("verbose", Level::Debug),
    ("verb", Level::Debug),
    ("vrb", Level::Debug),
    ("silly", Level::Debug),
    ("fine", Level::Debug),
    ("finer", Level::Debug),
    ("finest", Level::Debug),
    ("critical", Level::Critical),
    ("crit", Level::Critical),
    ("crt", Level::Critical),
    ("fatal", Level::Critical),
    ("ftl", Level::Critical),
    ("panic", Level::Critical),
    ("pnc", Level::Critical),
    ("dpanic", Level::Critical),
    ("emerg", Level::Critical),
    ("emergency", Level::Critical),
    ("alert", Level::Critical),
    ("alrt", Level::Critical),
];

/// By its first letter how long a word of [`WORDS`] may be, a bit for each length: most words are none by that alone.
#[allow(
    clippy::indexing_slicing,
    reason = "built by the compiler, which would stop at it"
)]
const LENGTHS: [u16; 26] = {
    let mut lengths = [0; 26];
    let mut at = 0;
    while at < WORDS.len() {
        let word = WORDS[at].0.as_bytes();
        lengths[(word[0] - b'a') as usize] |= 1 << word.len();
        at += 1;
    }
    // `debug1` to `debug5`.
    lengths[(b'd' - b'a') as usize] |= 1 << "debug1".len();
    lengths
};

/// Ordinary words as well: a level only as a value of `level=` or as a caption (`STATEMENT: …`).
const CAPTIONS: &[&str] = &[
    "fail",
    "fine",
    "log",
    "hint",
    "detail",
    "context",
    "statement",
    "system",
    "silly",
];
/// The same, and a level between brackets too.
const ORDINARY: &[&str] = &["note", "alert", "information"];

impl Level {
    /// By a word.
    pub fn of_word(word: &str) -> Option<Self> {
        let first = word.bytes().next()?.to_ascii_lowercase();
        let lengths = LENGTHS.get(usize::from(first.checked_sub(b'a')?))?;
        if lengths >> word.len().min(15) & 1 == 0 {
            return None;
        }
        WORDS
            .iter()
            .find(|(name, _)| is(word, name))
            .map(|(_, level)| *level)
            .or_else(|| Self::of_debug_step(word))
    }

    /// By the value of `level=`: a word, a letter or a number.
    pub fn of_value(value: &str) -> Option<Self> {
        match value.as_bytes() {
            [letter] if letter.is_ascii_uppercase() => Self::of_letter(*letter),
            [first, ..] if first.is_ascii_digit() => value.parse().ok().and_then(Self::of_number),
            _ => Self::of_word(value),
        }
    }

    /// By a word between brackets.
    pub fn of_mark(word: &str) -> Option<Self> {
        Self::of_word(word).filter(|_| !is_one(word, CAPTIONS))
    }

    /// By a word in capitals in running text, where `ALERT` is a word like any other.
    pub fn of_shout(word: &str) -> Option<Self> {
        let shouted = word.len() > 2
            && word
                .bytes()
                .all(|c| c.is_ascii_uppercase() || c.is_ascii_digit());
        let level = shouted.then(|| Self::of_mark(word))??;
        (!is_one(word, ORDINARY)).then_some(level)
    }

    /// By a word before a colon: in capitals any, else none that also opens ordinary sentences.
    pub fn of_caption(word: &str) -> Option<Self> {
        // What a run time prints before what was thrown; nobody calls a level so.
        if word.eq_ignore_ascii_case("exception") {
            return Some(Self::Error);
        }
        let level = Self::of_word(word)?;
        let shouted = word.bytes().all(|c| c.is_ascii_uppercase());
        let ordinary = is_one(word, CAPTIONS) || is_one(word, ORDINARY);
        (!ordinary || (shouted && word != "ALERT" && word != "SYSTEM")).then_some(level)
    }

    /// By one letter, as klog, telegraf, Android and MongoDB write it.
    pub const fn of_letter(letter: u8) -> Option<Self> {
        match letter {
            b'F' | b'C' => Some(Self::Critical),
            b'E' => Some(Self::Error),
            b'W' => Some(Self::Warning),
            b'N' => Some(Self::Notice),
            b'I' => Some(Self::Info),
            b'D' | b'T' | b'V' => Some(Self::Debug),
            _ => None,
        }
    }

    /// By syslog's number.
    pub const fn of_syslog(number: u8) -> Self {
        match number {
            0..=2 => Self::Critical,
            3 => Self::Error,
            4 => Self::Warning,
            5 => Self::Notice,
            6 => Self::Info,
            _ => Self::Debug,
        }
    }

    /// By the number that JSON loggers write: syslog's, or tens (pino, bunyan: 30 info, 50 error).
    pub fn of_number(number: i64) -> Option<Self> {
        match number {
            0..=7 => u8::try_from(number).ok().map(Self::of_syslog),
            10..=29 => Some(Self::Debug),
            30..=39 => Some(Self::Info),
            40..=49 => Some(Self::Warning),
            50..=59 => Some(Self::Error),
            60..=69 => Some(Self::Critical),
            _ => None,
        }
    }

    /// PostgreSQL and OpenSSH: `debug1` to `debug5`.
    fn of_debug_step(word: &str) -> Option<Self> {
        let step = word
            .strip_prefix("debug")
            .or_else(|| word.strip_prefix("DEBUG"))?;
        matches!(step, "1" | "2" | "3" | "4" | "5").then_some(Self::Debug)
    }
}

fn is_one(word: &str, list: &[&str]) -> bool {
    list.iter().any(|one| is(word, one))
}

/// Whether `word` is `one`, which is letters in lower case: a bit apart from capitals.
fn is(word: &str, one: &str) -> bool {
    word.len() == one.len()
        && word
            .bytes()
            .zip(one.bytes())
            .all(|(c, one)| c | 0x20 == one)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_level_is_known_by_every_spelling() {
        for (word, want) in [
            ("ERROR", Some(Level::Error)),
            ("wrn", Some(Level::Warning)),
            ("FTL", Some(Level::Critical)),
            ("debug3", Some(Level::Debug)),
            ("50", Some(Level::Error)),
            ("3", Some(Level::Error)),
            ("E", Some(Level::Error)),
            ("errors", None),
            ("", None),
        ] {
            assert_eq!(Level::of_value(word), want, "{word}");
        }
    }

    #[test]
    fn every_word_is_found_by_its_length_and_in_any_case() {
        for (word, level) in WORDS {
            assert!(word.bytes().all(|c| c.is_ascii_lowercase()), "{word}");
            assert_eq!(Level::of_word(word), Some(*level), "{word}");
            assert_eq!(Level::of_word(&word.to_uppercase()), Some(*level), "{word}");
        }
        for word in ["", "0", "é", "{rror", "a much longer word than any"] {
            assert_eq!(Level::of_word(word), None, "{word}");
        }
    }

    #[test]
    fn an_ordinary_word_is_no_level_where_text_may_stand() {
        assert_eq!(Level::of_shout("ALERT"), None);
        assert_eq!(Level::of_shout("FATAL"), Some(Level::Critical));
        assert_eq!(Level::of_shout("Error"), None);
        assert_eq!(Level::of_mark("log"), None);
        assert_eq!(Level::of_mark("alert"), Some(Level::Critical));
        assert_eq!(Level::of_caption("LOG"), Some(Level::Info));
        assert_eq!(Level::of_caption("log"), None);
        assert_eq!(Level::of_caption("Error"), Some(Level::Error));
        assert_eq!(Level::of_caption("exception"), Some(Level::Error));
        assert_eq!(Level::of_mark("exception"), None);
    }
}
