//! Finds the first row that fits a line without trying them all: every format is filed under four bytes of its
//! text that few others have, and only the formats whose four bytes occur in the line are tried.

use std::sync::LazyLock;

use super::{Fit, Row, TABLES, pattern};

/// Bytes under which a format is filed.
pub(super) const GRAM: usize = 4;
/// Bits of the sieve that most places of a line do not pass: 2 KiB.
const SIEVE_BITS: usize = 1 << 14;
const WORD: usize = u64::BITS as usize;
const SIEVE_SHIFT: u32 = u32::BITS - SIEVE_BITS.trailing_zeros();

/// The first row that fits; none for a line that no row knows.
pub fn find(line: &str) -> Option<Fit<'_>> {
    static INDEX: LazyLock<Index> = LazyLock::new(Index::new);
    INDEX.find(line)
}

#[derive(Debug)]
struct Entry {
    gram: u32,
    /// Place in the order of all formats.
    order: usize,
    row: &'static Row,
    pattern: &'static str,
}

#[derive(Debug)]
struct Index {
    sieve: Vec<u64>,
    /// By gram.
    entries: Vec<Entry>,
}

impl Index {
    fn new() -> Self {
        let all: Vec<(&'static Row, &'static str)> = TABLES
            .iter()
            .flat_map(|table| table.iter())
            .flat_map(|row| row.patterns.iter().map(move |pattern| (row, *pattern)))
            .collect();
        let mut common = std::collections::HashMap::<u32, usize>::new();
        for gram in all.iter().flat_map(|(_, pattern)| grams_of(pattern)) {
            let count = common.entry(gram).or_default();
            *count = count.saturating_add(1);
        }
        let rarest = |pattern| {
            grams_of(pattern).min_by_key(|gram| common.get(gram).copied().unwrap_or_default())
        };
        let mut entries: Vec<Entry> = all
            .iter()
            .enumerate()
            .filter_map(|(order, (row, pattern))| {
                let gram = rarest(pattern)?;
                Some(Entry {
                    gram,
                    order,
                    row,
                    pattern,
                })
            })
            .collect();
        entries.sort_by_key(|entry| (entry.gram, entry.order));
        let mut sieve = vec![0_u64; SIEVE_BITS / WORD];
        for entry in &entries {
            let (word, bit) = place(entry.gram);
            if let Some(word) = sieve.get_mut(word) {
                *word |= bit;
            }
        }
        Self { sieve, entries }
    }

    fn find<'a>(&self, line: &'a str) -> Option<Fit<'a>> {
        let mut best: Option<(usize, Fit<'a>)> = None;
        // A gram that occurs again is not asked again: its formats were tried on the whole line.
        let mut asked: heapless::Vec<u32, 64> = heapless::Vec::new();
        for window in line.as_bytes().windows(GRAM) {
            let gram = gram(window);
            let (word, bit) = place(gram);
            if self.sieve.get(word).is_none_or(|word| word & bit == 0) || asked.contains(&gram) {
                continue;
            }
            let from = self.entries.partition_point(|entry| entry.gram < gram);
            let filed = self.entries.get(from..).unwrap_or_default();
            for entry in filed.iter().take_while(|entry| entry.gram == gram) {
                if best.is_some_and(|(order, _)| order < entry.order) {
                    break;
                }
                if let Some(named) = pattern::fit(entry.pattern, line) {
                    best = Some((
                        entry.order,
                        Fit {
                            row: entry.row,
                            named,
                        },
                    ));
                    break;
                }
            }
            // Full only for a line made to be slow: it holds the texts of 64 formats.
            if asked.push(gram).is_err() {
                break;
            }
        }
        best.map(|(_, hit)| hit)
    }
}

fn grams_of(pattern: &str) -> impl Iterator<Item = u32> {
    pattern::literals(pattern).flat_map(|text| text.as_bytes().windows(GRAM).map(gram))
}

fn gram(window: &[u8]) -> u32 {
    window
        .iter()
        .fold(0, |gram, byte| gram << 8 | u32::from(*byte))
}

/// Word and bit of the sieve (multiplicative hashing).
fn place(gram: u32) -> (usize, u64) {
    let hash = gram.wrapping_mul(0x9E37_79B1) >> SIEVE_SHIFT;
    let hash = usize::try_from(hash).unwrap_or_default();
    (hash / WORD, 1 << (hash % WORD))
}
