//! Looks at the text of a candidate: which words of the query stand next to each other, and how much of
//! the query stands in one place. Pure.

use super::index::TITLE;
use crate::core::diagnosis::retrieval::{Query, Starts, Term, is_stop_word, words_starting};
use crate::core::diagnosis::stem::stem;

/// Words that count as one place: about a line of text or two.
const WINDOW: usize = 8;
/// Most words that `matched` names.
const MATCHED_MAX: usize = 32;

/// Words whose role is remembered during a query: texts repeat theirs, and stemming one takes longer than
/// all else that is done with it. A power of two.
const REMEMBERED: u16 = 1024;

/// What a word of a text is to the query.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Role {
    /// Its place among the query's words.
    Wanted(usize),
    Stop,
    Other,
}

/// What was seen in one text.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct TextTally {
    /// How often each pair of the query stands in it; the title counts as often as the index counts it.
    pub pairs: Vec<u32>,
    /// Share of the query, 0..=1 by rarity, in its densest place.
    pub nearness: f32,
}

/// Scans texts for one query.
#[derive(Debug)]
pub(super) struct QueryScanner<'a> {
    query: &'a Query,
    /// By place in the query's words; 0 for words that no snippet holds.
    rarities: Vec<f32>,
    /// Stemming never changes the first two letters, so words that start otherwise need no look.
    starts: Starts,
    roles: Roles<'a>,
    /// Where each word of the query was seen last.
    last: Vec<Option<usize>>,
}

impl<'a> QueryScanner<'a> {
    pub fn new(query: &'a Query, rarities: Vec<f32>) -> Self {
        Self {
            query,
            starts: starts(query),
            roles: Roles {
                query,
                known: vec![None; usize::from(REMEMBERED)],
                buffer: String::new(),
            },
            last: vec![None; query.words.len()],
            rarities,
        }
    }

    pub fn look(&mut self, title: &str, text: &str) -> TextTally {
        let mut pairs = vec![0; self.query.pairs.len()];
        let densest = self
            .scan(title, TITLE, &mut pairs)
            .max(self.scan(text, 1, &mut pairs));
        let all: f32 = self.rarities.iter().sum();
        TextTally {
            pairs,
            nearness: if all > 0.0 { densest / all } else { 0.0 },
        }
    }

    /// Adds to `pairs`; answers the rarity of the words in the densest place.
    fn scan(&mut self, text: &str, weight: u32, pairs: &mut [u32]) -> f32 {
        let (query, starts, rarities, last, roles) = (
            self.query,
            &self.starts,
            &self.rarities,
            &mut self.last,
            &mut self.roles,
        );
        last.fill(None);
        let mut before: Option<usize> = None;
        let mut densest = 0.0_f32;
        words_starting(text, starts, &mut |word, place| {
            let at = match roles.of(word) {
                Role::Wanted(at) => at,
                // A stop word between two words does not part them, as when the index was built.
                Role::Stop => return before.is_some(),
                Role::Other => {
                    before = None;
                    return false;
                }
            };
            if let Some(first) = before {
                for (pair, count) in query.pairs.iter().zip(pairs.iter_mut()) {
                    *count += weight * u32::from((pair.first, pair.second) == (first, at));
                }
            }
            before = Some(at);
            if let Some(seen) = last.get_mut(at) {
                *seen = Some(place);
            }
            let near = |seen: &Option<usize>| seen.is_some_and(|seen| place - seen < WINDOW);
            densest = densest.max(
                last.iter()
                    .zip(rarities)
                    .filter(|(seen, _)| near(seen))
                    .map(|(_, rarity)| rarity)
                    .sum(),
            );
            true
        });
        densest
    }
}

/// The roles of words, remembered by their hash: a later word may take an earlier one's slot.
#[derive(Debug)]
struct Roles<'a> {
    query: &'a Query,
    known: Vec<Option<(Term, Role)>>,
    buffer: String,
}

impl Roles<'_> {
    fn of(&mut self, word: &str) -> Role {
        let term = Term::of(word);
        let [low, high, ..] = term.0.to_le_bytes();
        let place = u16::from_le_bytes([low, high]) % REMEMBERED;
        let slot = self.known.get_mut(usize::from(place));
        if let Some(Some((known, role))) = slot.as_deref()
            && *known == term
        {
            return *role;
        }
        let role = match place_in(self.query, &mut self.buffer, word) {
            Some(at) => Role::Wanted(at),
            None if is_stop_word(word) => Role::Stop,
            None => Role::Other,
        };
        if let Some(slot) = slot {
            *slot = Some((term, role));
        }
        role
    }
}

fn starts(query: &Query) -> Starts {
    Starts::of(query.words.iter().map(|word| word.stem.as_str()))
}

/// Place of `word` among the words of the query.
fn place_in(query: &Query, buffer: &mut String, word: &str) -> Option<usize> {
    buffer.clear();
    buffer.push_str(word);
    stem(buffer);
    query.words.iter().position(|known| known.stem == *buffer)
}

/// Words of the query that stand in the text, as the text spells them: shows why it matched.
pub(super) fn matched(query: &Query, title: &str, text: &str) -> Vec<String> {
    let starts = starts(query);
    let mut found: Vec<String> = Vec::new();
    let mut buffer = String::new();
    for part in [title, text] {
        words_starting(part, &starts, &mut |word, _| {
            if found.len() < MATCHED_MAX
                && place_in(query, &mut buffer, word).is_some()
                && !found.iter().any(|known| known == word)
            {
                found.push(word.to_owned());
            }
            false
        });
    }
    found
}

#[cfg(test)]
mod tests {
    #![allow(clippy::indexing_slicing)]
    use super::*;

    #[test]
    fn pairs_and_the_densest_place_are_seen() {
        let query = Query::of_text("disk is full on the broker");
        let mut scanner = QueryScanner::new(&query, vec![1.0; query.words.len()]);
        let seen = scanner.look(
            "Full disk",
            "The disk was full. The broker stopped. Disk full on broker.",
        );
        let pair = |a: &str, b: &str| {
            let at = |stem: &str| query.words.iter().position(|word| word.stem == stem);
            query
                .pairs
                .iter()
                .position(|pair| Some(pair.first) == at(a) && Some(pair.second) == at(b))
                .unwrap_or(99)
        };
        assert_eq!(seen.pairs[pair("disk", "full")], 2);
        assert_eq!(
            seen.pairs[pair("full", "broker")],
            2,
            "stop words do not part"
        );
        assert!((seen.nearness - 1.0).abs() < 1e-6);
        let far = scanner.look("", &format!("disk {} full", "word ".repeat(40)));
        assert!(far.nearness < 0.5);
        assert_eq!(
            matched(&query, "", "Disks and brokers"),
            ["disks", "brokers"]
        );
    }
}
