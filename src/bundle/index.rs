//! Impact postings: for each term the snippets that hold it, with the BM25 share of the term's
//! frequency as one byte. Grouped by hash into buckets, so that asking for a term is one row read.

use std::collections::BTreeMap;

use crate::core::diagnosis::retrieval::{Term, stems};
use crate::core::model::narrow;
use crate::core::model::sorted::SortedMap;

/// BM25's saturation and length normalisation, at their usual values: others gained nothing.
pub(super) const K1: f32 = 1.2;
pub(super) const B: f32 = 0.75;
/// A word of the title counts as this many.
pub(super) const TITLE: u32 = 3;
/// Aim for the size of a bucket, in bytes: near a database page.
const BUCKET_BYTES: usize = 2048;
const BUCKET_BITS_MAX: u32 = 16;

/// One posting: snippet number and impact.
pub(super) type Posting = (u32, u8);

/// All postings of a bundle while it is built.
#[derive(Debug, Default)]
pub(super) struct Postings {
    /// Tens of thousands, in no order: a tree, which a sorted vector would not be quick enough for.
    frequencies: BTreeMap<Term, Vec<(u32, u32)>>,
    /// Length of each snippet in weighted words.
    pub lengths: Vec<u32>,
}

impl Postings {
    /// Adds the next snippet; numbers start at 0.
    pub fn add(&mut self, title: &str, text: &str) {
        let number = u32::try_from(self.lengths.len()).unwrap_or(u32::MAX);
        let mut counts: SortedMap<Term, u32> = SortedMap::new();
        let mut length = 0_u32;
        for (words, weight) in [(stems(title), TITLE), (stems(text), 1)] {
            for stem in words {
                *counts.entry(Term::of(&stem)).or_default() += weight;
                length = length.saturating_add(weight);
            }
        }
        for (term, count) in counts {
            self.frequencies
                .entry(term)
                .or_default()
                .push((number, count));
        }
        self.lengths.push(length);
    }

    pub fn mean_length(&self) -> f32 {
        let sum: f64 = self.lengths.iter().map(|length| f64::from(*length)).sum();
        narrow::single((sum / self.lengths.len().max(1) as f64).max(1.0))
    }

    /// Frequencies become impacts.
    pub fn impacts(self) -> Impacts {
        let mean = self.mean_length();
        let lengths = &self.lengths;
        let postings = self
            .frequencies
            .into_iter()
            .map(|(term, list)| {
                let list = list.into_iter().map(|(number, count)| {
                    let length = lengths.get(number as usize).copied().unwrap_or(0);
                    (number, quantise(share(count as f32, length as f32, mean)))
                });
                (term, list.collect())
            })
            .collect();
        Impacts {
            postings,
            mean,
            lengths: self.lengths,
        }
    }
}

/// BM25's term-frequency part, in 0..1.
pub(super) fn share(count: f32, length: f32, mean: f32) -> f32 {
    count / (count + K1 * (1.0 - B + B * length / mean))
}

/// BM25's inverse document frequency, never negative.
pub(super) fn rarity(documents: f32, with_term: f32) -> f32 {
    ((documents - with_term + 0.5) / (with_term + 0.5) + 1.0).ln()
}

fn quantise(share: f32) -> u8 {
    narrow::byte((share * 255.0).round().clamp(1.0, 255.0))
}

/// Postings with impacts, by term.
#[derive(Debug)]
pub(super) struct Impacts {
    pub postings: SortedMap<Term, Vec<Posting>>,
    pub mean: f32,
    pub lengths: Vec<u32>,
}

impl Impacts {
    /// The buckets by number, and the number of leading hash bits that choose one.
    pub fn buckets(&self) -> (u32, SortedMap<u32, Vec<u8>>) {
        let entries: Vec<(Term, Vec<u8>)> = self
            .postings
            .iter()
            .map(|(term, list)| (*term, encode(list)))
            .collect();
        let bytes: usize = entries.iter().map(|(_, entry)| entry.len() + 6).sum();
        let wanted = (bytes / BUCKET_BYTES).max(1).next_power_of_two();
        let bits = wanted.trailing_zeros().min(BUCKET_BITS_MAX);
        let mut buckets: SortedMap<u32, Vec<u8>> = SortedMap::new();
        // Terms are in order of their hash, so a bucket is filled in order of its keys' high bits.
        for (term, entry) in entries {
            let bucket = buckets.entry(bucket_of(term, bits)).or_default();
            bucket.extend_from_slice(&key_of(term).to_le_bytes());
            put_varint(bucket, entry.len() as u64);
            bucket.extend_from_slice(&entry);
        }
        (bits, buckets)
    }
}

/// The leading `bits` of a term's hash; at most 32 are asked for.
pub(super) fn bucket_of(term: Term, bits: u32) -> u32 {
    let leading = term.0.checked_shr(64_u32.saturating_sub(bits));
    u32::try_from(leading.unwrap_or(0)).unwrap_or(u32::MAX)
}

/// The last 32 bits of a term's hash.
const fn key_of(term: Term) -> u32 {
    let [a, b, c, d, ..] = term.0.to_le_bytes();
    u32::from_le_bytes([a, b, c, d])
}

fn encode(list: &[Posting]) -> Vec<u8> {
    let mut entry = Vec::with_capacity(list.len() * 2 + 2);
    put_varint(&mut entry, list.len() as u64);
    let mut before = 0;
    for (number, impact) in list {
        put_varint(&mut entry, u64::from(number - before));
        entry.push(*impact);
        before = *number;
    }
    entry
}

fn put_varint(out: &mut Vec<u8>, mut value: u64) {
    loop {
        let [low, ..] = value.to_le_bytes();
        value >>= 7;
        if value == 0 {
            out.push(low & 0x7f);
            return;
        }
        out.push(low | 0x80);
    }
}

fn take_varint(bytes: &mut &[u8]) -> Option<u64> {
    let mut value = 0_u64;
    for shift in (0..63).step_by(7) {
        let (first, rest) = bytes.split_first()?;
        *bytes = rest;
        value |= u64::from(first & 0x7f) << shift;
        if first & 0x80 == 0 {
            return Some(value);
        }
    }
    None
}

/// The postings of `term` in its bucket: their number, and an iterator. A damaged bucket ends early.
pub(super) fn find(mut bucket: &[u8], term: Term) -> Option<(u32, PostingIter<'_>)> {
    while let Some((key, rest)) = bucket.split_first_chunk::<4>() {
        bucket = rest;
        let length = usize::try_from(take_varint(&mut bucket)?).ok()?;
        let mut entry = bucket.get(..length)?;
        if u32::from_le_bytes(*key) == key_of(term) {
            let count = u32::try_from(take_varint(&mut entry)?).ok()?;
            return Some((
                count,
                PostingIter {
                    bytes: entry,
                    number: 0,
                },
            ));
        }
        bucket = bucket.get(length..)?;
    }
    None
}

/// Walks the postings of one term.
#[derive(Debug)]
pub(super) struct PostingIter<'a> {
    bytes: &'a [u8],
    number: u32,
}

impl Iterator for PostingIter<'_> {
    type Item = Posting;

    fn next(&mut self) -> Option<Posting> {
        let step = u32::try_from(take_varint(&mut self.bytes)?).ok()?;
        let (impact, rest) = self.bytes.split_first()?;
        self.bytes = rest;
        self.number = self.number.checked_add(step)?;
        Some((self.number, *impact))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing)]
    use super::*;

    #[test]
    fn postings_round_trip_through_their_bucket() {
        let mut postings = Postings::default();
        for number in 0..300 {
            postings.add(
                "disk",
                if number % 7 == 0 {
                    "full of errors"
                } else {
                    "space"
                },
            );
        }
        let impacts = postings.impacts();
        let (bits, buckets) = impacts.buckets();
        for (term, list) in &impacts.postings {
            let (count, found) = find(&buckets[&bucket_of(*term, bits)], *term).unwrap();
            assert_eq!(count as usize, list.len());
            assert_eq!(found.collect::<Vec<_>>(), *list);
        }
        assert!(find(&buckets[&0], Term::of("absent")).is_none());
    }

    #[test]
    fn damaged_buckets_end_early() {
        let mut postings = Postings::default();
        postings.add("a title", "with some words in it");
        let (_, buckets) = postings.impacts().buckets();
        let good = &buckets[&0];
        for cut in 0..good.len() {
            let mut bad = good[..cut].to_vec();
            if let Some(byte) = bad.get_mut(cut / 2) {
                *byte ^= 0xff;
            }
            for word in ["titl", "word"] {
                if let Some((_, list)) = find(&bad, Term::of(word)) {
                    assert!(list.count() <= bad.len());
                }
            }
        }
    }
}
