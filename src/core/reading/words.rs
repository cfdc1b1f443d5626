//! Does a line without a level tell of a fault? Its words are weighed by their senses (`words/lexicon.rs`): failing,
//! inability, absence, a refusal, what the system answered; and against them that it goes on, that it is tried again,
//! that somebody else did it, that there were none.

mod lexicon;
#[cfg(test)]
mod tests;

use lexicon::{CLASSES, SENSES};

/// How surely a line tells of a fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Trouble {
    /// More likely than not, and often enough not.
    Likely,
    /// About nineteen of twenty such lines are errors to those who wrote them.
    Sure,
}

/// Sum from which a line counts: measured on messages whose authors chose a level (`docs/LOGS.md`).
const LIKELY: i16 = 6;
const SURE: i16 = 17;

/// Words of a line that are weighed.
const WORDS_MOST: usize = 64;
/// Slots of the table: a power of two, about twice its words.
const SLOTS: usize = 2048;
/// Words of the sieve, a power of two: 2 KiB.
const SIEVE: usize = 256;

/// Two senses of trouble in one line.
const TWO_SENSES: i16 = 4;
/// A line that ends in `...` begins something; one that ends in `!` is an outcry; `Starting…` is work.
const GOES_ON: i16 = -3;
const OUTCRY: i16 = 6;
const AT_WORK: i16 = -2;

/// What is counted, and is no fault where the count is none.
const COUNTED: &str = "error errors fail failed fails failure failures exception exceptions panic panics critical fatal";
/// `no errors`, `0 failed`, `without exception`.
const NONE_BEFORE: &str = "no 0 zero without any non";
/// May stand between: `no fatal errors`.
const BETWEEN: &str = "fatal critical new parse read write known transient previous other";
/// `errors: 0`, `error=none`.
const NONE_BEHIND: &str = "0 none null nil false ok off no success zero";

/// What is known of one word, or of two in a row.
#[derive(Clone, Copy, Debug, Default)]
struct Entry {
    key: u64,
    /// Bits of its classes.
    classes: u64,
    trouble: bool,
    /// It is the first of two that are known together.
    leads: bool,
    /// The second word of the two has no sense of its own then.
    merges: bool,
    counted: bool,
    none_before: bool,
    between: bool,
    none_behind: bool,
}

/// One word of a line.
#[derive(Clone, Copy, Debug, Default)]
struct Word {
    key: u64,
    entry: Entry,
    /// The byte behind it; 0 at the end.
    after: u8,
    /// It is the name of a value that is empty: `"error":""`.
    empty: bool,
}

/// The words of all classes, to be found by one look.
#[derive(Debug)]
pub struct Lexicon {
    slots: Vec<Entry>,
    /// Bits that most words that are not in the table do not pass.
    sieve: Vec<u64>,
    /// How words of trouble, and the first of two, begin: by the first letter a bit for the two behind it.
    begins: [u64; LETTERS],
}

impl Default for Lexicon {
    fn default() -> Self {
        let mut lexicon = Self {
            slots: vec![Entry::default(); SLOTS],
            sieve: vec![0; SIEVE],
            begins: [0; LETTERS],
        };
        for (at, class) in CLASSES.iter().enumerate() {
            let bit = 1_u64
                .checked_shl(u32::try_from(at).unwrap_or(63))
                .unwrap_or(0);
            for (words, trouble) in [(class.trouble, true), (class.others, false)] {
                for word in words.split_ascii_whitespace() {
                    let entry = lexicon.entry(key_of(word));
                    entry.classes |= bit;
                    entry.trouble |= trouble;
                    entry.merges |= word.contains('+');
                    if let Some((first, _)) = word.split_once(['+', '=']) {
                        lexicon.entry(key_of(first)).leads = true;
                    }
                    if trouble {
                        lexicon.know_opening(word);
                    }
                }
            }
        }
        for word in COUNTED.split(' ') {
            lexicon.entry(key_of(word)).counted = true;
        }
        for word in NONE_BEFORE.split(' ') {
            lexicon.entry(key_of(word)).none_before = true;
        }
        for word in BETWEEN.split(' ') {
            lexicon.entry(key_of(word)).between = true;
        }
        for word in NONE_BEHIND.split(' ') {
            lexicon.entry(key_of(word)).none_behind = true;
        }
        for key in lexicon.slots.iter().map(|entry| entry.key) {
            let (word, bit) = place(key);
            if let Some(word) = lexicon.sieve.get_mut(word) {
                *word |= bit;
            }
        }
        lexicon
    }
}

impl Lexicon {
    /// Whether `message` tells of a fault, by its words alone.
    pub fn judge(&self, message: &str) -> Option<Trouble> {
        if !self.is_worth_weighing(message) {
            return None;
        }
        let mut words = [Word::default(); WORDS_MOST];
        let count = self.words_of(message, &mut words);
        let words = words.get_mut(..count)?;
        discount(words);
        if !words.iter().any(|word| word.entry.trouble) {
            return None;
        }
        match weigh(words).saturating_add(of_form(message)) {
            SURE.. => Some(Trouble::Sure),
            LIKELY.. => Some(Trouble::Likely),
            _ => None,
        }
    }

    fn know_opening(&mut self, word: &str) {
        let (first, behind) = opening(word.as_bytes());
        if let Some(begins) = self.begins.get_mut(first) {
            *begins |= behind;
        }
    }

    /// False when it has no word of trouble: so are most lines, and they are done here.
    fn is_worth_weighing(&self, message: &str) -> bool {
        let mut last = None;
        Tokens::new(message.as_bytes()).any(|token| {
            let (first, behind) = opening(token.text);
            let known = self.begins.get(first).is_some_and(|all| all & behind != 0);
            if !known && last.is_none() && !token.is_thrown() {
                return false;
            }
            let key = token.key();
            let entry = self.look(key).unwrap_or_default();
            let both = last.and_then(|last| self.look(pair(last, key)));
            last = entry.leads.then_some(key);
            entry.trouble || both.is_some_and(|both| both.trouble)
        })
    }

    /// The words of `message` with what is known of them; two that count as one stand in the first's place.
    fn words_of(&self, message: &str, words: &mut [Word; WORDS_MOST]) -> usize {
        let mut count = 0_usize;
        let mut last: Option<Word> = None;
        for token in Tokens::new(message.as_bytes()) {
            let mut word = token.word();
            word.entry = self.look(word.key).unwrap_or_default();
            if let Some(before) = last.filter(|word| word.entry.leads)
                && let Some(pair) = self.look(pair(before.key, word.key))
                && let Some(slot) = count.checked_sub(1).and_then(|at| words.get_mut(at))
            {
                if pair.merges {
                    slot.entry = pair;
                    last = None;
                    continue;
                }
                word.entry.classes |= pair.classes;
                word.entry.trouble |= pair.trouble;
            }
            let Some(slot) = words.get_mut(count) else {
                break;
            };
            *slot = word;
            last = Some(word);
            count = count.saturating_add(1);
        }
        count
    }

    fn look(&self, key: u64) -> Option<Entry> {
        let (word, bit) = place(key);
        if self.sieve.get(word)? & bit == 0 {
            return None;
        }
        let mut at = slot_of(key);
        loop {
            let entry = self.slots.get(at)?;
            if entry.key == key {
                return Some(*entry);
            }
            if entry.key == 0 {
                return None;
            }
            at = at.wrapping_add(1) % SLOTS;
        }
    }

    /// The slot of a word, made when it is new. There are always free ones: a test counts the words.
    #[allow(
        clippy::indexing_slicing,
        reason = "a remainder by the number of slots"
    )]
    fn entry(&mut self, key: u64) -> &mut Entry {
        let mut at = slot_of(key);
        while self.slots[at].key != key && self.slots[at].key != 0 {
            at = at.wrapping_add(1) % SLOTS;
        }
        let entry = &mut self.slots[at];
        entry.key = key;
        entry
    }
}

/// Takes away what is counted and none: `no fatal errors`, `failures: 0`.
fn discount(words: &mut [Word]) {
    for at in 0..words.len() {
        if words.get(at).is_none_or(|word| !word.entry.counted) {
            continue;
        }
        let before = |back: usize| at.checked_sub(back).and_then(|at| words.get(at));
        let is_none = |back| before(back).is_some_and(|word| word.entry.none_before);
        let between = before(1).is_some_and(|word| word.entry.between);
        let empty = words.get(at).is_some_and(|word| word.empty);
        let none_at = match (is_none(1), between && is_none(2)) {
            (true, _) => at.checked_sub(1),
            (false, true) => at.checked_sub(2),
            (false, false) if empty => Some(at),
            (false, false) => none_behind(words, at),
        };
        if let Some(none_at) = none_at {
            for at in [at, none_at] {
                if let Some(word) = words.get_mut(at) {
                    (word.entry.classes, word.entry.trouble) = (0, false);
                }
            }
        }
    }
}

/// True for `:""`, `=[]` and the like.
fn holds_nothing(rest: &[u8]) -> bool {
    let rest = rest.strip_prefix(b"\"").unwrap_or(rest);
    let value = rest.strip_prefix(b":").or_else(|| rest.strip_prefix(b"="));
    let value = value.map_or(&[][..], <[u8]>::trim_ascii_start);
    [&b"\"\""[..], b"''", b"[]", b"{}", b"()"]
        .iter()
        .any(|empty| value.starts_with(empty))
}

/// Where it says that there was none, behind the word at `at`: with nothing that belongs to it behind.
fn none_behind(words: &[Word], at: usize) -> Option<usize> {
    let next = at.checked_add(1)?;
    let (word, value) = (words.get(at)?, words.get(next)?);
    let joined = matches!(word.after, b':' | b'=' | b' ' | b'(' | b'"');
    let zero = value.key == key_of("0") && matches!(value.after, b' ' | b'/');
    let ends = matches!(
        value.after,
        0 | b',' | b';' | b'.' | b')' | b']' | b'}' | b'|' | b'"' | b'\''
    );
    (joined && value.entry.none_behind && (ends || zero)).then_some(next)
}

/// The sum over the senses that occur.
fn weigh(words: &[Word]) -> i16 {
    let all = words.iter().fold(0, |all, word| all | word.entry.classes);
    let first = words.first().map_or(0, |word| word.entry.classes);
    let mut sum = 0_i16;
    let mut senses = 0_usize;
    for (at, class) in CLASSES.iter().enumerate() {
        let bit = 1_u64
            .checked_shl(u32::try_from(at).unwrap_or(63))
            .unwrap_or(0);
        if all & bit != 0 {
            sum = sum.saturating_add(class.weight);
            senses = senses.saturating_add(usize::from(at < SENSES));
        }
        if first & bit != 0 {
            sum = sum.saturating_add(class.first);
        }
    }
    match senses {
        2.. => sum.saturating_add(TWO_SENSES),
        _ => sum,
    }
}

/// What the form of the line adds.
fn of_form(message: &str) -> i16 {
    let text = message.trim_end();
    let end = match text {
        _ if text.ends_with("...") => GOES_ON,
        _ if text.ends_with('!') => OUTCRY,
        _ => 0,
    };
    let first = text.split(' ').next().unwrap_or("");
    let work = first.len() > 4 && first.ends_with("ing");
    end.saturating_add(if work { AT_WORK } else { 0 })
}

const FNV_START: u64 = 0xcbf2_9ce4_8422_2325;
const FNV_PRIME: u64 = 0x0100_0000_01b3;

const fn step(hash: u64, byte: u8) -> u64 {
    (hash ^ byte.to_ascii_lowercase() as u64).wrapping_mul(FNV_PRIME)
}

fn key_of(word: &str) -> u64 {
    let one = |word: &str| word.bytes().fold(FNV_START, step);
    match word.split_once(['+', '=']) {
        Some((first, second)) => pair(one(first), one(second)),
        None => one(word),
    }
}

const fn pair(first: u64, second: u64) -> u64 {
    first.rotate_left(23).wrapping_mul(FNV_PRIME) ^ second
}

fn slot_of(key: u64) -> usize {
    usize::try_from(key >> 40).unwrap_or(0) % SLOTS
}

/// Word and bit of the sieve.
fn place(key: u64) -> (usize, u64) {
    let word = usize::try_from(key >> 12).unwrap_or(0) % SIEVE;
    (
        word,
        1_u64.rotate_left(u32::try_from(key & 63).unwrap_or(0)),
    )
}

/// Cuts a line into words. What is joined by `_ . / -` is one name and no words, but for a few (`read-only`).
struct Tokens<'a> {
    rest: &'a [u8],
}

/// A word as it stands in the line, and what is behind it.
struct Token<'a> {
    text: &'a [u8],
    rest: &'a [u8],
}

impl<'a> Tokens<'a> {
    const fn new(rest: &'a [u8]) -> Self {
        Self { rest }
    }
}

impl<'a> Iterator for Tokens<'a> {
    type Item = Token<'a>;

    fn next(&mut self) -> Option<Token<'a>> {
        let start = self.rest.iter().position(|c| part_of(*c) == LETTER)?;
        let text = self.rest.get(start..)?;
        let (mut at, mut length) = (0_usize, 0_usize);
        for byte in text {
            at = at.wrapping_add(1);
            match part_of(*byte) {
                LETTER => length = at,
                JOINT => {}
                _ => break,
            }
        }
        let (text, rest) = text.split_at_checked(length)?;
        self.rest = rest;
        Some(Token { text, rest })
    }
}

impl Token<'_> {
    fn key(&self) -> u64 {
        match self.is_thrown() {
            true => key_of("thrown=type"),
            false => self.text.iter().copied().fold(FNV_START, step),
        }
    }

    /// `FileNotFoundError`: the name of what is thrown.
    fn is_thrown(&self) -> bool {
        let ends = |end: &[u8]| self.text.ends_with(end);
        self.text.len() > 9 && (ends(b"Error") || ends(b"Exception"))
    }

    fn word(&self) -> Word {
        let after = self.rest.first().copied().unwrap_or(0);
        Word {
            key: self.key(),
            entry: Entry::default(),
            after,
            empty: matches!(after, b'"' | b':' | b'=') && holds_nothing(self.rest),
        }
    }
}

const LETTER: u8 = 1;
const JOINT: u8 = 2;

/// What a byte is to a word: by a table, since every byte of every line is asked.
#[allow(clippy::indexing_slicing, reason = "a byte and 256 entries")]
const fn part_of(byte: u8) -> u8 {
    const PARTS: [u8; 256] = {
        let mut parts = [0; 256];
        let mut byte = 0;
        while byte < 128_u8 {
            parts[byte as usize] = match byte {
                b'_' | b'\'' | b'.' | b'/' | b'-' => JOINT,
                _ if byte.is_ascii_alphanumeric() => LETTER,
                _ => 0,
            };
            byte += 1;
        }
        parts
    };
    PARTS[byte as usize]
}

/// Letters that are told apart at the start of a word; the last one is everything else.
const LETTERS: usize = 27;

/// Its first letter, and a bit for the two behind it.
fn opening(word: &[u8]) -> (usize, u64) {
    let letter = |at: usize| match word.get(at).map(|c| c | 0x20) {
        Some(c @ b'a'..=b'z') => c.wrapping_sub(b'a'),
        _ => 26,
    };
    let bit = letter(1).wrapping_mul(5).wrapping_add(letter(2));
    (usize::from(letter(0)), 1_u64.rotate_left(bit.into()))
}
