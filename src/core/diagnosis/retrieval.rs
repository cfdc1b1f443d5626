//! From text to weighted terms: tokens, stems, bigrams, and the query that a finding makes. Pure: the
//! index is built and asked with the same functions, so they cannot drift apart.

use crate::core::diagnosis::parts::{Part, parts};
use crate::core::diagnosis::stem::stem;
use crate::core::model::facts::Key;
use crate::core::model::finding::Finding;
use crate::core::model::snippet::Snippet;

impl Snippet {
    /// `path:first-last`, as editors understand it.
    pub fn citation(&self) -> String {
        match (self.first_line, self.last_line) {
            (0, _) => self.source.clone(),
            (first, last) if last <= first => format!("{}:{first}", self.source),
            (first, last) => format!("{}:{first}-{last}", self.source),
        }
    }
}

/// Longest token kept, in bytes; what is longer is a hash or a blob.
const TOKEN_MAX: usize = 40;
/// Most distinct terms of one query: bounds its time.
const QUERY_TERMS_MAX: usize = 64;
/// Weight of two neighbouring words beside the words themselves.
const BIGRAM_WEIGHT: f32 = 0.4;
/// Weight of a word that a table adds.
const EXPANSION_WEIGHT: f32 = 0.4;

/// Words that say nothing about a fault.
pub fn is_stop_word(word: &str) -> bool {
    STOP.binary_search(&word).is_ok()
}

#[rustfmt::skip]
const STOP: &[&str] = &[
    "a", "an", "and", "are", "as", "at", "be", "but", "by", "can", "could", "did", "do", "does", "for", "from", "had",
    "has", "have", "how", "i", "if", "in", "into", "is", "it", "its", "may", "me", "my", "of", "on", "or", "our", "s",
    "so", "such", "t", "than", "that", "the", "their", "them", "then", "there", "these", "they", "this", "to", "up",
    "use", "used", "using", "was", "we", "were", "what", "when", "where", "which", "while", "who", "will", "with",
    "would", "you", "your",
];

/// Calls `take` for each word of `text` in order, lower-cased but not stemmed. A word is a run of
/// letters and digits. A camel-case run (`KubeNodeNotReady`) gives its parts after the whole.
pub fn words(text: &str, take: &mut dyn FnMut(&str)) {
    words_starting(text, &Starts::all(), &mut |word, _| {
        take(word);
        true
    });
}

/// Which first two bytes of a word are of interest.
#[derive(Clone, Debug)]
pub struct Starts {
    /// One bit per pair, by the low five bits of each byte: letters fall apart, the rest may collide.
    pairs: [u32; 32],
}

impl Starts {
    const fn all() -> Self {
        Self {
            pairs: [u32::MAX; 32],
        }
    }

    /// The starts of `stems`.
    pub fn of<'a>(stems: impl Iterator<Item = &'a str>) -> Self {
        let mut starts = Self { pairs: [0; 32] };
        for stem in stems {
            match stem.as_bytes() {
                [a, b, ..] if a.is_ascii() && b.is_ascii() => {
                    if let Some(row) = starts.pairs.get_mut(usize::from(a & 31)) {
                        *row |= 1 << (b & 31);
                    }
                }
                // One letter, or another script: look at everything.
                _ => return Self::all(),
            }
        }
        starts
    }

    /// May `run` begin like one of them?
    pub fn has(&self, run: &[u8]) -> bool {
        match run {
            [a, b, ..] => self
                .pairs
                .get(usize::from(a & 31))
                .is_some_and(|row| row & (1 << (b & 31)) != 0),
            _ => false,
        }
    }
}

const SMALL: u8 = 1;
const CAPITAL: u8 = 2;
const DIGIT: u8 = 4;
const FOREIGN: u8 = 8;

/// What each byte is within a word; 0 ends it.
static KINDS: [u8; 256] = kinds();

const fn kinds() -> [u8; 256] {
    let mut table = [0; 256];
    let mut byte = 0_u8;
    loop {
        #[allow(
            clippy::indexing_slicing,
            reason = "evaluated by the compiler, where an error is an error of the build"
        )]
        {
            table[byte as usize] = match byte {
                b'a'..=b'z' => SMALL,
                b'A'..=b'Z' => CAPITAL,
                b'0'..=b'9' => DIGIT,
                0x80.. => FOREIGN,
                _ => 0,
            };
        }
        if byte == u8::MAX {
            return table;
        }
        byte += 1;
    }
}

/// As [`words`], but words that do not start as `starts` says may be left out, except directly after a
/// word for which `take` answered true. `take` also gets the word's place, counted in words. The hot loop of a query: bytes, as texts are nearly all ASCII.
pub fn words_starting(text: &str, starts: &Starts, take: &mut dyn FnMut(&str, usize) -> bool) {
    let mut lower = String::with_capacity(TOKEN_MAX);
    let mut wanted = false;
    let everything = starts.pairs == [u32::MAX; 32];
    let bytes = text.as_bytes();
    let (mut from, mut place) = (0, 0);
    while from < bytes.len() {
        let mut end = from;
        let (mut before, mut seen, mut camel) = (0_u8, 0_u8, 0_u8);
        while let Some(byte) = bytes.get(end) {
            let kind = KINDS.get(usize::from(*byte)).copied().unwrap_or(0);
            if kind == 0 {
                break;
            }
            // A capital right after a small letter.
            camel |= (before << 1) & kind;
            seen |= kind;
            before = kind;
            end += 1;
        }
        let (camel, ascii) = (camel & CAPITAL != 0, seen & FOREIGN == 0);
        let run = bytes.get(from..end).unwrap_or(&[]);
        place += usize::from(!run.is_empty());
        if !run.is_empty() && (wanted || everything || camel || !ascii || starts.has(run)) {
            let run = text.get(from..end).unwrap_or("");
            if ascii {
                one_run(run, camel, &mut lower, &mut |word| {
                    wanted = take(word, place)
                });
            } else {
                for run in run.split(|c: char| !c.is_alphanumeric()) {
                    one_run(run, is_camel(run), &mut lower, &mut |word| {
                        wanted = take(word, place)
                    });
                }
            }
        }
        from = end + 1;
    }
}

fn one_run(run: &str, camel: bool, lower: &mut String, take: &mut dyn FnMut(&str)) {
    if run.is_empty() || run.len() > 4 * TOKEN_MAX {
        return;
    }
    give(run, lower, take);
    if camel {
        camel_parts(run, &mut |part| give(part, lower, take));
    }
}

fn give(run: &str, lower: &mut String, take: &mut dyn FnMut(&str)) {
    lower.clear();
    lower.push_str(run);
    if run.is_ascii() {
        lower.make_ascii_lowercase();
    } else {
        *lower = run.to_lowercase();
    }
    if lower.len() <= TOKEN_MAX {
        take(lower);
    }
}

/// Lower case followed by upper case somewhere: more than one word was written together.
fn is_camel(run: &str) -> bool {
    run.as_bytes()
        .windows(2)
        .any(|pair| matches!(pair, [a, b] if a.is_ascii_lowercase() && b.is_ascii_uppercase()))
}

fn camel_parts(run: &str, take: &mut dyn FnMut(&str)) {
    let bytes = run.as_bytes();
    let mut from = 0;
    for at in 1..bytes.len() {
        let upper = |at: usize| bytes.get(at).is_some_and(u8::is_ascii_uppercase);
        let lower = |at: usize| bytes.get(at).is_some_and(u8::is_ascii_lowercase);
        // `nodeNot|Ready`, and `CPU|Throttling`: an acronym ends before its last capital.
        if upper(at) && (!upper(at - 1) || lower(at + 1)) && run.is_char_boundary(at) {
            take(run.get(from..at).unwrap_or(""));
            from = at;
        }
    }
    take(run.get(from..).unwrap_or(""));
}

/// 64-bit FNV-1a: stable over versions and machines, as the file format needs.
fn hash(bytes: &[u8], seed: u64) -> u64 {
    bytes.iter().fold(seed, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3)
    })
}

const SEED: u64 = 0xcbf2_9ce4_8422_2325;

/// A term as the index knows it: the hash of a stem, or of two neighbouring stems.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Term(pub u64);

impl Term {
    pub fn of(stem: &str) -> Self {
        Self(mix(hash(stem.as_bytes(), SEED)))
    }
}

/// Spreads FNV's weak high bits (murmur3's finaliser).
fn mix(mut hash: u64) -> u64 {
    hash ^= hash >> 33;
    hash = hash.wrapping_mul(0xff51_afd7_ed55_8ccd);
    hash ^= hash >> 33;
    hash = hash.wrapping_mul(0xc4ce_b9fe_1a85_ec53);
    hash ^ (hash >> 33)
}

/// The stems of `text` without stop words, in order.
pub fn stems(text: &str) -> Vec<String> {
    let mut found = Vec::new();
    words(text, &mut |word| {
        if !is_stop_word(word) {
            let mut word = word.to_owned();
            stem(&mut word);
            found.push(word);
        }
    });
    found
}

/// One weighted word of a query.
#[derive(Clone, Debug, PartialEq)]
pub struct Word {
    pub stem: String,
    pub term: Term,
    pub weight: f32,
}

/// Two neighbouring words of a query, by their places in [`Query::words`].
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Pair {
    pub first: usize,
    pub second: usize,
    pub weight: f32,
}

/// Weighted words, each once, and their neighbourhoods.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Query {
    pub(crate) words: Vec<Word>,
    pub(crate) pairs: Vec<Pair>,
}

impl Query {
    /// A query of free text: words, neighbours at half weight, table expansions.
    pub fn of_text(text: &str) -> Self {
        let mut query = Self::default();
        query.add_text(text, 1.0);
        query.expand(text);
        query
    }

    /// Adds the words of `text`, its sentence before its pairs; a word said twice counts once, with its greater weight.
    pub(crate) fn add_text(&mut self, text: &str, weight: f32) {
        let mut all: Vec<Part<'_>> = Vec::new();
        parts(text, &mut |part| all.push(part));
        // What is most to the point first: a query holds so many words and no more.
        all.sort_by(|a, b| b.weight.total_cmp(&a.weight));
        for part in all {
            self.add_part(part.text, weight * part.weight);
        }
    }

    fn add_part(&mut self, text: &str, weight: f32) {
        let mut before: Option<usize> = None;
        for stem in stems(text) {
            let at = self.add_word(stem, weight);
            if let (Some(first), Some(second)) = (before, at) {
                self.add_pair(first, second, weight * BIGRAM_WEIGHT);
            }
            before = at;
        }
    }

    fn add_word(&mut self, stem: String, weight: f32) -> Option<usize> {
        let term = Term::of(&stem);
        if let Some((at, known)) = self
            .words
            .iter_mut()
            .enumerate()
            .find(|(_, word)| word.term == term)
        {
            known.weight = known.weight.max(weight);
            return Some(at);
        }
        if self.words.len() >= QUERY_TERMS_MAX {
            return None;
        }
        self.words.push(Word { stem, term, weight });
        Some(self.words.len() - 1)
    }

    fn add_pair(&mut self, first: usize, second: usize, weight: f32) {
        let full = self.pairs.len() >= QUERY_TERMS_MAX;
        let known = self
            .pairs
            .iter_mut()
            .find(|pair| (pair.first, pair.second) == (first, second));
        match known {
            Some(pair) => pair.weight = pair.weight.max(weight),
            None if !full => self.pairs.push(Pair {
                first,
                second,
                weight,
            }),
            None => {}
        }
    }

    /// Adds what error symbols stand for, where the words of log and handbook differ.
    fn expand(&mut self, text: &str) {
        let lower = text.to_ascii_lowercase();
        for (_, meaning) in EXPANSIONS
            .iter()
            .filter(|(symbol, _)| lower.contains(symbol))
        {
            let known = |stem: &String| !self.words.iter().any(|word| word.stem == *stem);
            let new: Vec<String> = stems(meaning).into_iter().filter(known).collect();
            for stem in new {
                self.add_word(stem, EXPANSION_WEIGHT);
            }
        }
    }

    /// The query of a finding: message first, then class, subject, path components and the last log line.
    pub(crate) fn of_finding(finding: &Finding) -> Self {
        let mut query = Self::default();
        query.add_text(&finding.message, 1.0);
        query.add_text(&finding.class.as_str().replace('_', " "), 0.5);
        query.add_text(&finding.subject, 0.8);
        for key in [
            Key::Path,
            Key::MovedTo,
            Key::HolderCommand,
            Key::Result,
            Key::Setting,
        ] {
            query.add_text(finding.fact(key).unwrap_or(""), 0.5);
        }
        let last = finding.evidence.log().next().unwrap_or("");
        query.add_text(last, 0.7);
        query.expand(&finding.message);
        query.expand(last);
        query
    }
}

/// Symbols and set phrases with the words a handbook uses for them. Lower case.
#[rustfmt::skip]
const EXPANSIONS: &[(&str, &str)] = &[
    ("start request repeated too quickly", "StartLimitBurst StartLimitIntervalSec rate limit"),
    ("start-limit-hit", "StartLimitBurst StartLimitIntervalSec rate limit"),
    ("status=203", "exec ExecStart executable missing"),
    ("status=200", "chdir WorkingDirectory missing"),
    ("status=217", "user missing User"),
    ("status=226", "namespace mount ReadWritePaths missing"),
    ("too many clients", "max_connections connections"),
    ("enospc", "disk full space"),
    ("no space left", "disk full"),
    ("eaddrinuse", "port address already in use listen"),
    ("address already in use", "port bind listen"),
    ("econnrefused", "connection refused listening"),
    ("etimedout", "connection timed out timeout"),
    ("ehostunreach", "no route to host unreachable"),
    ("enetunreach", "network unreachable route"),
    ("eacces", "permission denied"),
    ("eperm", "operation not permitted"),
    ("enoent", "no such file or directory"),
    ("emfile", "too many open files limit nofile"),
    ("too many open files", "limit nofile ulimit descriptors"),
    ("enomem", "cannot allocate memory"),
    ("oom", "out of memory killer"),
    ("erofs", "read-only file system"),
    ("eio", "input output error"),
    ("sigsegv", "segmentation fault crash"),
    ("segfault", "segmentation fault crash"),
    ("i/o error", "disk failure smart"),
    ("no carrier", "link down cable interface"),
    ("nxdomain", "dns name resolution"),
    ("name resolution", "dns resolver"),
    ("could not resolve", "dns resolver"),
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::model::class::Class;
    use crate::core::model::facts::Fact;
    use crate::core::model::finding::Severity;
    use crate::core::model::time::Timestamp;

    fn split(text: &str) -> Vec<String> {
        let mut found = Vec::new();
        words(text, &mut |word| found.push(word.to_owned()));
        found
    }

    #[test]
    fn the_stop_list_is_sorted() {
        assert!(STOP.is_sorted());
    }

    #[test]
    fn words_are_split_lower_cased_and_camels_opened() {
        assert_eq!(
            split("Disk-full: /dev/sda1"),
            ["disk", "full", "dev", "sda1"]
        );
        assert_eq!(
            split("KubeCPUThrottling"),
            ["kubecputhrottling", "kube", "cpu", "throttling"]
        );
        assert_eq!(split("EADDRINUSE"), ["eaddrinuse"]);
        assert_eq!(split("Größe ÄÖ"), ["größe", "äö"]);
        assert!(split(&"x".repeat(1000)).is_empty());
    }

    #[test]
    fn inflections_meet() {
        assert_eq!(stems("the service was restarted"), ["servic", "restart"]);
        assert_eq!(stems("restarting services"), ["restart", "servic"]);
    }

    #[test]
    fn queries_are_bounded_and_expanded() {
        let long: String = (0..10_000).map(|n| format!("w{n} ")).collect();
        let query = Query::of_text(&long);
        assert!(query.words.len() <= QUERY_TERMS_MAX && query.pairs.len() <= QUERY_TERMS_MAX);
        let expanded = Query::of_text("write: ENOSPC");
        assert!(
            expanded
                .words
                .iter()
                .any(|word| word.stem == "disk" && word.weight < 1.0)
        );
        assert!(Query::of_text("the of and").words.is_empty());
    }

    #[test]
    fn the_pairs_of_a_line_never_outvote_its_sentence() {
        let noise: String = (0..200).map(|n| format!("field_{n}=value_{n} ")).collect();
        let query = Query::of_text(&format!("{noise}msg=\"certificate expired\""));
        let weight = |stem| {
            let word = query.words.iter().find(|word| word.stem == stem);
            word.map_or(0.0, |word| word.weight)
        };
        assert!(weight("certif") == 1.0 && weight("expir") == 1.0);
        assert!(weight("field") < weight("valu") && weight("valu") < 0.5);
    }

    #[test]
    fn a_finding_asks_with_its_facts() {
        let finding = Finding::new(
            Class::InvalidUnitPath,
            "crm.service",
            Severity::Error,
            "gone",
            "t",
            Timestamp::from_millis(0),
        )
        .with(Fact::Path("/srv/insa-crm-platform/app"));
        let query = Query::of_finding(&finding);
        for stem in ["insa", "crm", "unit", "gone"] {
            assert!(query.words.iter().any(|word| word.stem == stem), "{stem}");
        }
    }

    #[test]
    fn citations() {
        let snippet = |first_line, last_line| Snippet {
            source: "/a.md".to_owned(),
            first_line,
            last_line,
            ..Snippet::default()
        };
        assert_eq!(snippet(0, 0).citation(), "/a.md");
        assert_eq!(snippet(4, 4).citation(), "/a.md:4");
        assert_eq!(snippet(4, 9).citation(), "/a.md:4-9");
    }
}
