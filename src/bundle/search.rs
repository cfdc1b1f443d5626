//! Ranking, in three steps: words by their postings over the whole bundle; neighbouring words in the
//! text of the best hits; likeness of those hits in the vector space. `docs/RETRIEVAL.md` has the figures.

use rusqlite::{CachedStatement, Connection, OptionalExtension};

use super::error::BundleError;
use super::index::{B, K1, TITLE, bucket_of, find, rarity};
use super::vectors::DIMENSIONS;
use crate::core::retrieval::{Query, Starts, Word, is_stop_word, words_starting};
use crate::core::stem::stem;

/// Hits that the second and third step look at.
const RERANKED: usize = 50;
/// Of a long text only the beginning is searched for neighbours, in bytes: bounds the time of a query.
const SCANNED: usize = 6 * 1024;
/// Weight of the likeness to the best hits, against the best hit's own score.
const LIKENESS: f32 = 0.3;
/// How fast a hit's say in the query's vector falls with its score.
const STEEPNESS: i32 = 4;

/// What ranking needs to know of a bundle.
#[derive(Clone, Copy, Debug)]
pub(super) struct Shape {
    pub snippets: u32,
    /// Snippets from here on are of the embedded base.
    pub own: u32,
    pub bits: u32,
    pub mean_length: f32,
}

/// What the operator wrote about this box goes before what is true everywhere.
const GENERAL: f32 = 0.6;

/// One ranked snippet.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Hit {
    pub number: u32,
    pub score: f32,
}

/// The best `k` snippets for `query`, best first. Ties go to the earlier snippet.
pub(super) fn rank(
    database: &Connection,
    shape: Shape,
    query: &Query,
    k: usize,
) -> Result<Vec<Hit>, BundleError> {
    let mut hits = by_words(database, shape, query, k.max(RERANKED))?;
    let reranked = hits.len().min(RERANKED);
    let (head, _) = hits.split_at_mut(reranked);
    let candidates = load(database, query, head)?;
    add_pairs(head, &candidates, shape, query);
    add_likeness(head, &candidates);
    for hit in head.iter_mut().filter(|hit| hit.number >= shape.own) {
        hit.score *= GENERAL;
    }
    sort(head);
    hits.truncate(k);
    Ok(hits)
}

fn sort(hits: &mut [Hit]) {
    hits.sort_by(|a, b| b.score.total_cmp(&a.score).then(a.number.cmp(&b.number)));
}

/// Sum of impacts over the words of the query.
fn by_words(
    database: &Connection,
    shape: Shape,
    query: &Query,
    keep: usize,
) -> Result<Vec<Hit>, BundleError> {
    let mut scores = vec![0.0_f32; shape.snippets as usize];
    let mut read = database.prepare_cached("SELECT data FROM bucket WHERE id = ?1")?;
    for word in &query.words {
        add_word(&mut read, &mut scores, shape, word)?;
    }
    let mut hits: Vec<Hit> = Vec::with_capacity(2 * keep);
    let mut least = 0.0;
    for (number, score) in (0_u32..).zip(scores) {
        if score > least {
            hits.push(Hit { number, score });
            // Full: keep the better half, and take only what beats it from now on.
            if hits.len() == 2 * keep {
                sort(&mut hits);
                hits.truncate(keep);
                least = hits.last().map_or(0.0, |hit| hit.score);
            }
        }
    }
    sort(&mut hits);
    hits.truncate(keep);
    Ok(hits)
}

fn add_word(
    read: &mut CachedStatement<'_>,
    scores: &mut [f32],
    shape: Shape,
    word: &Word,
) -> Result<(), BundleError> {
    let bucket = bucket_of(word.term, shape.bits);
    read.query_row([bucket], |row| {
        let data = row.get_ref(0)?.as_blob().unwrap_or(&[]);
        if let Some((count, postings)) = find(data, word.term) {
            let weight =
                word.weight * rarity(shape.snippets as f32, count as f32) * (K1 + 1.0) / 255.0;
            for (number, impact) in postings {
                if let Some(score) = scores.get_mut(number as usize) {
                    *score += weight * f32::from(impact);
                }
            }
        }
        Ok(())
    })
    .optional()?;
    Ok(())
}

/// What the later steps know of one candidate.
#[derive(Debug)]
struct Candidate {
    length: f32,
    vector: Option<[i8; DIMENSIONS]>,
    /// How often each pair of the query stands in it.
    pairs: Vec<u32>,
}

fn load(database: &Connection, query: &Query, hits: &[Hit]) -> Result<Vec<Candidate>, BundleError> {
    let mut read =
        database.prepare_cached("SELECT length, vector, title, text FROM snippet WHERE id = ?1")?;
    let mut finder = PairFinder::new(query);
    hits.iter()
        .map(|hit| {
            read.query_row([hit.number], |row| {
                let title = row.get_ref(2)?.as_str().unwrap_or("");
                let text = row.get_ref(3)?.as_str().unwrap_or("");
                Ok(Candidate {
                    length: row.get::<_, u32>(0)? as f32,
                    vector: vector(row.get_ref(1)?.as_blob().unwrap_or(&[])),
                    pairs: finder.count(title, crate::core::finding::cut(text, SCANNED)),
                })
            })
            .map_err(BundleError::from)
        })
        .collect()
}

fn vector(bytes: &[u8]) -> Option<[i8; DIMENSIONS]> {
    let bytes: &[u8; DIMENSIONS] = bytes.try_into().ok()?;
    Some(bytes.map(|byte| byte as i8))
}

/// Counts the query's pairs in texts.
#[derive(Debug)]
struct PairFinder<'a> {
    query: &'a Query,
    /// Stemming never changes the first two letters, so words that start otherwise need no look.
    starts: Starts,
    buffer: String,
}

impl<'a> PairFinder<'a> {
    fn new(query: &'a Query) -> Self {
        Self {
            query,
            starts: Starts::of(query.words.iter().map(|word| word.stem.as_str())),
            buffer: String::new(),
        }
    }

    fn count(&mut self, title: &str, text: &str) -> Vec<u32> {
        let mut counts = vec![0; self.query.pairs.len()];
        if !counts.is_empty() {
            self.scan(title, TITLE, &mut counts);
            self.scan(text, 1, &mut counts);
        }
        counts
    }

    fn scan(&mut self, text: &str, weight: u32, counts: &mut [u32]) {
        let query = self.query;
        let mut before: Option<usize> = None;
        words_starting(text, &self.starts, &mut |word| {
            let known = self.starts.has(word.as_bytes());
            let Some(at) = known
                .then(|| place(query, &mut self.buffer, word))
                .flatten()
            else {
                // A stop word between two words does not part them, as when the index was built.
                if before.is_some() && !is_stop_word(word) {
                    before = None;
                }
                return before.is_some();
            };
            if let Some(first) = before {
                for (pair, count) in query.pairs.iter().zip(counts.iter_mut()) {
                    *count += weight * u32::from((pair.first, pair.second) == (first, at));
                }
            }
            before = Some(at);
            true
        });
    }
}

/// Place of `word` among the words of the query.
fn place(query: &Query, buffer: &mut String, word: &str) -> Option<usize> {
    buffer.clear();
    buffer.push_str(word);
    stem(buffer);
    query.words.iter().position(|known| known.stem == *buffer)
}

/// Neighbours score like words do; how rare a pair is, is judged by the candidates that hold it.
/// (The true frequency would need an index of pairs, four times the size, and ranks no better.)
fn add_pairs(hits: &mut [Hit], candidates: &[Candidate], shape: Shape, query: &Query) {
    for (at, pair) in query.pairs.iter().enumerate() {
        let count = |candidate: &Candidate| candidate.pairs.get(at).copied().unwrap_or(0);
        let holders = candidates.iter().filter(|one| count(one) > 0).count();
        let weight = pair.weight * rarity(shape.snippets as f32, holders as f32) * (K1 + 1.0);
        for (hit, candidate) in hits.iter_mut().zip(candidates) {
            let tf = count(candidate) as f32;
            hit.score +=
                weight * tf / (tf + K1 * (1.0 - B + B * candidate.length / shape.mean_length));
        }
    }
}

/// Hits that resemble the best hits rise. The query's own vector would need one per term; the best hits
/// stand for it, the more so the better they are.
fn add_likeness(hits: &mut [Hit], candidates: &[Candidate]) {
    let best = hits.iter().map(|hit| hit.score).fold(0.0, f32::max);
    if best <= 0.0 {
        return;
    }
    let mut centre = [0.0_f32; DIMENSIONS];
    for (hit, candidate) in hits.iter().zip(candidates) {
        let weight = (hit.score / best).powi(STEEPNESS);
        for (sum, value) in centre.iter_mut().zip(candidate.vector.iter().flatten()) {
            *sum += weight * f32::from(*value);
        }
    }
    let length = centre
        .iter()
        .map(|value| value * value)
        .sum::<f32>()
        .sqrt()
        .max(1e-6);
    for (hit, candidate) in hits.iter_mut().zip(candidates) {
        let Some(vector) = &candidate.vector else {
            continue;
        };
        let dot: f32 = vector
            .iter()
            .zip(&centre)
            .map(|(value, sum)| f32::from(*value) * sum)
            .sum();
        hit.score += best * LIKENESS * dot / (length * 127.0);
    }
}

/// Words of the query that stand in the text, as the text spells them: shows why it matched.
pub(super) fn matched(query: &Query, title: &str, text: &str) -> Vec<String> {
    let starts = Starts::of(query.words.iter().map(|word| word.stem.as_str()));
    let mut found: Vec<String> = Vec::new();
    let mut buffer = String::new();
    for part in [title, text] {
        words_starting(part, &starts, &mut |word| {
            if found.len() < 32
                && place(query, &mut buffer, word).is_some()
                && !found.iter().any(|known| known == word)
            {
                found.push(word.to_owned());
            }
            false
        });
    }
    found
}
