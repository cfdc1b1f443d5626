//! From text to weighted terms: tokens, stems, bigrams, and the query that a finding makes. Pure: the
//! index is built and asked with the same functions, so they cannot drift apart.

use crate::core::finding::{Finding, evidence};
use crate::core::stem::stem;

/// One retrieved passage.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Snippet {
    /// Key within its bundle; for ready-made snippets the given id.
    pub id: String,
    /// Higher is better; comparable only within one query.
    pub score: f64,
    pub title: String,
    pub source: String,
    /// From 1; 0 when the source has no lines.
    pub first_line: u32,
    pub last_line: u32,
    /// Commit or time of modification of the source; empty when unknown.
    pub revision: String,
    pub text: String,
    /// Query words that occur in it: why it matched.
    pub matched: Vec<String>,
}

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
const BIGRAM_WEIGHT: f32 = 0.5;
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
    let mut lower = String::new();
    for run in text.split(|c: char| !c.is_alphanumeric()) {
        if run.is_empty() || run.len() > 4 * TOKEN_MAX {
            continue;
        }
        give(run, &mut lower, take);
        if is_camel(run) {
            camel_parts(run, &mut |part| give(part, &mut lower, take));
        }
    }
}

fn give(run: &str, lower: &mut String, take: &mut dyn FnMut(&str)) {
    lower.clear();
    lower.extend(run.chars().flat_map(char::to_lowercase));
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

    pub fn pair(first: Self, second: Self) -> Self {
        let both = hash(&second.0.to_le_bytes(), hash(&first.0.to_le_bytes(), SEED));
        Self(mix(both))
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
pub fn terms(text: &str) -> Vec<Term> {
    let mut found = Vec::new();
    let mut buffer = String::new();
    words(text, &mut |word| {
        if !is_stop_word(word) {
            buffer.clear();
            buffer.push_str(word);
            stem(&mut buffer);
            found.push(Term::of(&buffer));
        }
    });
    found
}

/// Weighted terms, each once, in order of first mention.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Query {
    pub words: Vec<(Term, f32)>,
    pub pairs: Vec<(Term, f32)>,
}

impl Query {
    /// A query of free text: words, neighbours at half weight, table expansions.
    pub fn of_text(text: &str) -> Self {
        let mut query = Self::default();
        query.add_text(text, 1.0);
        query.expand(text);
        query
    }

    /// Adds the words of `text`. A word said again adds a little; neighbours become pairs.
    pub fn add_text(&mut self, text: &str, weight: f32) {
        let terms = terms(text);
        for term in &terms {
            add(&mut self.words, *term, weight);
        }
        for pair in terms.windows(2) {
            if let [first, second] = pair {
                add(
                    &mut self.pairs,
                    Term::pair(*first, *second),
                    weight * BIGRAM_WEIGHT,
                );
            }
        }
    }

    /// Adds what error symbols stand for, where the words of log and handbook differ.
    fn expand(&mut self, text: &str) {
        let lower = text.to_ascii_lowercase();
        for (symbol, meaning) in EXPANSIONS {
            if lower.contains(symbol) {
                for term in terms(meaning) {
                    if !self.words.iter().any(|(known, _)| *known == term) {
                        add(&mut self.words, term, EXPANSION_WEIGHT);
                    }
                }
            }
        }
    }

    /// The query of a finding: message first, then class, subject, path components and the last log line.
    pub fn of_finding(finding: &Finding) -> Self {
        let mut query = Self::default();
        query.add_text(&finding.message, 1.0);
        query.add_text(&finding.class.as_str().replace('_', " "), 0.5);
        query.add_text(&finding.subject, 0.8);
        for key in [
            evidence::PATH,
            evidence::MOVED_TO,
            evidence::HOLDER_COMMAND,
            evidence::RESULT,
            evidence::SETTING,
        ] {
            query.add_text(finding.fact(key).unwrap_or(""), 0.5);
        }
        let last = finding
            .fact(evidence::LOG)
            .and_then(|log| log.lines().next())
            .unwrap_or("");
        query.add_text(last, 0.7);
        query.expand(&finding.message);
        query.expand(last);
        query
    }

    pub fn is_empty(&self) -> bool {
        self.words.is_empty()
    }
}

fn add(list: &mut Vec<(Term, f32)>, term: Term, weight: f32) {
    let full = list.len() >= QUERY_TERMS_MAX;
    match list.iter_mut().find(|(known, _)| *known == term) {
        Some((_, known)) => *known = known.max(weight),
        None if !full => list.push((term, weight)),
        None => {}
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
    #![allow(clippy::indexing_slicing)]
    use super::*;
    use crate::core::class::Class;
    use crate::core::finding::Severity;
    use crate::core::time::Timestamp;

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
        assert_eq!(
            terms("the service was restarted"),
            terms("restarting services")
                .into_iter()
                .rev()
                .collect::<Vec<_>>()
        );
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
                .any(|(term, weight)| *term == terms("disk")[0] && *weight < 1.0)
        );
        assert!(Query::of_text("the of and").is_empty());
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
        .with("path", "/srv/insa-crm-platform/app");
        let query = Query::of_finding(&finding);
        for word in ["insa", "crm", "unit", "gone"] {
            assert!(
                query.words.iter().any(|(term, _)| *term == terms(word)[0]),
                "{word}"
            );
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
