//! Ranking: words by their postings over the whole bundle; then, for the best hits, neighbouring words and
//! the densest place in their text, and their likeness to each other in the vector space. `docs/RETRIEVAL.md` has the figures.

use rusqlite::{CachedStatement, Connection, OptionalExtension};

use super::error::BundleError;
use super::index::{B, K1, bucket_of, find, rarity};
use super::scan::{QueryScanner, TextTally};
use super::vectors::DIMENSIONS;
use crate::core::diagnosis::retrieval::{Query, Word};
use crate::core::model::text::cut;

/// Hits that the second and third step look at.
const RERANKED: usize = 60;
/// Of a long text only the beginning is searched for neighbours, in bytes: bounds the time of a query.
const SCANNED: usize = 8 * 1024;
/// Weight of the likeness to the best hits, against the best hit's own score.
const LIKENESS: f32 = 0.4;
/// Weight of the densest place, against the best hit's own score.
const NEARNESS: f32 = 0.5;
/// How fast a hit's say in the query's vector falls with its score.
const STEEPNESS: i32 = 8;

/// What ranking needs to know of a bundle.
#[derive(Clone, Copy, Debug)]
pub(super) struct BundleShape {
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
pub(super) struct RankedSnippet {
    pub number: u32,
    pub score: f32,
}

/// The best `k` snippets for `query`, best first. Ties go to the earlier snippet.
pub(super) fn rank(
    database: &Connection,
    shape: BundleShape,
    query: &Query,
    k: usize,
) -> Result<Vec<RankedSnippet>, BundleError> {
    let (mut hits, rarities) = by_words(database, shape, query, k.max(RERANKED))?;
    let reranked = hits.len().min(RERANKED);
    let (head, _) = hits.split_at_mut(reranked);
    let candidates = load(database, query, rarities, head)?;
    add_pairs(head, &candidates, shape, query);
    add_nearness(head, &candidates);
    add_likeness(head, &candidates);
    for hit in head.iter_mut().filter(|hit| hit.number >= shape.own) {
        hit.score *= GENERAL;
    }
    sort(head);
    hits.truncate(k);
    Ok(hits)
}

fn sort(hits: &mut [RankedSnippet]) {
    hits.sort_by(|a, b| b.score.total_cmp(&a.score).then(a.number.cmp(&b.number)));
}

/// Sum of impacts over the words of the query, and how rare each word is.
fn by_words(
    database: &Connection,
    shape: BundleShape,
    query: &Query,
    keep: usize,
) -> Result<(Vec<RankedSnippet>, Vec<f32>), BundleError> {
    let mut scores = vec![0.0_f32; shape.snippets as usize];
    let mut read = database.prepare_cached("SELECT data FROM bucket WHERE id = ?1")?;
    let mut rarities = Vec::with_capacity(query.words.len());
    for word in &query.words {
        rarities.push(add_word(&mut read, &mut scores, shape, word)?);
    }
    let mut hits: Vec<RankedSnippet> = Vec::with_capacity(2 * keep);
    let mut least = 0.0;
    for (number, score) in (0_u32..).zip(scores) {
        if score > least {
            hits.push(RankedSnippet { number, score });
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
    Ok((hits, rarities))
}

/// Adds one word to the scores; answers its weighted rarity, 0 when no snippet holds it.
fn add_word(
    read: &mut CachedStatement<'_>,
    scores: &mut [f32],
    shape: BundleShape,
    word: &Word,
) -> Result<f32, BundleError> {
    let found = read.query_row([bucket_of(word.term, shape.bits)], |row| {
        let data = row.get_ref(0)?.as_blob().unwrap_or(&[]);
        let Some((count, postings)) = find(data, word.term) else {
            return Ok(0.0);
        };
        let rarity = word.weight * rarity(shape.snippets as f32, count as f32);
        let weight = rarity * (K1 + 1.0) / 255.0;
        for (number, impact) in postings {
            if let Some(score) = scores.get_mut(number as usize) {
                *score += weight * f32::from(impact);
            }
        }
        Ok(rarity)
    });
    Ok(found.optional()?.unwrap_or(0.0))
}

/// What the later steps know of one candidate.
#[derive(Debug)]
struct Candidate {
    length: f32,
    vector: Option<[i8; DIMENSIONS]>,
    seen: TextTally,
}

fn load(
    database: &Connection,
    query: &Query,
    rarities: Vec<f32>,
    hits: &[RankedSnippet],
) -> Result<Vec<Candidate>, BundleError> {
    let mut read =
        database.prepare_cached("SELECT length, vector, title, text FROM snippet WHERE id = ?1")?;
    let mut scanner = QueryScanner::new(query, rarities);
    hits.iter()
        .map(|hit| {
            read.query_row([hit.number], |row| {
                let title = row.get_ref(2)?.as_str().unwrap_or("");
                let text = row.get_ref(3)?.as_str().unwrap_or("");
                Ok(Candidate {
                    length: row.get::<_, u32>(0)? as f32,
                    vector: vector(row.get_ref(1)?.as_blob().unwrap_or(&[])),
                    seen: scanner.look(title, cut(text, SCANNED)),
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

/// Neighbours score like words do; how rare a pair is, is judged by the candidates that hold it.
/// (The true frequency would need an index of pairs, four times the size, and ranks no better.)
fn add_pairs(
    hits: &mut [RankedSnippet],
    candidates: &[Candidate],
    shape: BundleShape,
    query: &Query,
) {
    for (at, pair) in query.pairs.iter().enumerate() {
        let count = |candidate: &Candidate| candidate.seen.pairs.get(at).copied().unwrap_or(0);
        let holders = candidates.iter().filter(|one| count(one) > 0).count();
        let weight = pair.weight * rarity(shape.snippets as f32, holders as f32) * (K1 + 1.0);
        for (hit, candidate) in hits.iter_mut().zip(candidates) {
            let tf = count(candidate) as f32;
            hit.score +=
                weight * tf / (tf + K1 * (1.0 - B + B * candidate.length / shape.mean_length));
        }
    }
}

fn best_of(hits: &[RankedSnippet]) -> f32 {
    hits.iter().map(|hit| hit.score).fold(0.0, f32::max)
}

/// One place of a text that speaks of much of the query counts more than words strewn over it.
fn add_nearness(hits: &mut [RankedSnippet], candidates: &[Candidate]) {
    let best = best_of(hits);
    for (hit, candidate) in hits.iter_mut().zip(candidates) {
        hit.score += best * NEARNESS * candidate.seen.nearness;
    }
}

/// Hits that resemble the best hits rise. The query's own vector would need one per term; the best hits
/// stand for it, the more so the better they are.
fn add_likeness(hits: &mut [RankedSnippet], candidates: &[Candidate]) {
    let best = best_of(hits);
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
