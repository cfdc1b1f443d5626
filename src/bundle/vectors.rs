//! Latent semantic vectors, fitted to the bundle while it is built: no model from outside. A truncated
//! singular value decomposition of the impact matrix by subspace iteration, then one signed byte per
//! dimension. Only snippets get a vector; a query's is made from those of its best hits.

use super::index::{Impacts, Posting, rarity};
use crate::core::model::narrow;

/// Dimensions; 32 to 128 measured alike.
pub(super) const DIMENSIONS: usize = 64;
/// Extra columns that make the iteration converge, dropped at the end.
const SLACK: usize = 8;
const ROUNDS: usize = 6;
/// Below this there is nothing to generalise from.
const SNIPPETS_MIN: usize = 200;
/// Above this the fit would take minutes and gigabytes; words and pairs rank alone then.
const SNIPPETS_MAX: usize = 80_000;

const WIDTH: usize = DIMENSIONS + SLACK;
type Row = [f32; WIDTH];

/// One vector per snippet, or none at all when the bundle is too small or too large.
pub(super) fn fit(impacts: &Impacts) -> Vec<[i8; DIMENSIONS]> {
    let n = impacts.lengths.len();
    if !(SNIPPETS_MIN..=SNIPPETS_MAX).contains(&n) {
        return Vec::new();
    }
    let scale = unit_lengths(impacts, n);
    let mut basis = start(n);
    orthonormalise(&mut basis);
    for _ in 0..ROUNDS {
        let mut next = vec![[0.0; WIDTH]; n];
        for (list, weight) in terms(impacts, n) {
            let mut sum = [0.0; WIDTH];
            each(list, weight, &scale, |number, value| {
                add(&mut sum, basis.get(number), value)
            });
            each(list, weight, &scale, |number, value| {
                if let Some(row) = next.get_mut(number) {
                    add(row, Some(&sum), value);
                }
            });
        }
        basis = next;
        orthonormalise(&mut basis);
    }
    basis.iter().map(quantise).collect()
}

/// Terms that say something about more than one snippet, with their rarity.
fn terms(impacts: &Impacts, n: usize) -> impl Iterator<Item = (&Vec<Posting>, f32)> {
    impacts
        .postings
        .values()
        .filter(move |list| list.len() >= 2 && list.len() <= n / 2)
        .map(move |list| (list, rarity(n as f32, list.len() as f32)))
}

fn each(list: &[Posting], weight: f32, scale: &[f32], mut take: impl FnMut(usize, f32)) {
    for (number, impact) in list {
        let number = *number as usize;
        take(
            number,
            f32::from(*impact) * weight * scale.get(number).copied().unwrap_or(0.0),
        );
    }
}

/// Long snippets must not dominate: every column of the matrix gets length 1.
fn unit_lengths(impacts: &Impacts, n: usize) -> Vec<f32> {
    let mut squares = vec![0.0_f32; n];
    let ones = vec![1.0; n];
    for (list, weight) in terms(impacts, n) {
        each(list, weight, &ones, |number, value| {
            if let Some(sum) = squares.get_mut(number) {
                *sum += value * value;
            }
        });
    }
    squares
        .into_iter()
        .map(|sum| 1.0 / sum.sqrt().max(1e-6))
        .collect()
}

/// Fixed pseudo-random start: the same inputs give the same bytes.
fn start(n: usize) -> Vec<Row> {
    let mut seed = 0x9e37_79b9_7f4a_7c15_u64;
    let mut next = move || {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        (seed >> 40) as f32 / 8_388_608.0 - 1.0
    };
    (0..n).map(|_| std::array::from_fn(|_| next())).collect()
}

fn add(to: &mut Row, from: Option<&Row>, times: f32) {
    if let Some(from) = from {
        for (to, from) in to.iter_mut().zip(from) {
            *to += from * times;
        }
    }
}

/// Modified Gram-Schmidt over the columns.
fn orthonormalise(rows: &mut [Row]) {
    let value = |row: &Row, column: usize| row.get(column).copied().unwrap_or(0.0);
    for column in 0..WIDTH {
        // All projections on the columns before, in one pass; done twice against rounding.
        for _ in 0..2 {
            let mut dots = [0.0_f64; WIDTH];
            for row in rows.iter() {
                let own = f64::from(value(row, column));
                for (dot, other) in dots.iter_mut().zip(row).take(column) {
                    *dot += own * f64::from(*other);
                }
            }
            for row in rows.iter_mut() {
                let part: f64 = dots
                    .iter()
                    .zip(row.iter())
                    .take(column)
                    .map(|(dot, other)| dot * f64::from(*other))
                    .sum();
                if let Some(own) = row.get_mut(column) {
                    *own -= narrow::single(part);
                }
            }
        }
        let length = rows
            .iter()
            .map(|row| f64::from(value(row, column)).powi(2))
            .sum::<f64>()
            .sqrt();
        // A column that vanished (fewer independent snippets than columns) stays zero.
        let factor = if length > 1e-6 { 1.0 / length } else { 0.0 };
        for row in rows.iter_mut() {
            if let Some(own) = row.get_mut(column) {
                *own *= narrow::single(factor);
            }
        }
    }
}

fn quantise(row: &Row) -> [i8; DIMENSIONS] {
    let kept = || row.iter().take(DIMENSIONS);
    let length = kept().map(|value| value * value).sum::<f32>().sqrt();
    let factor = if length > 1e-9 { 127.0 / length } else { 0.0 };
    let mut out = [0_i8; DIMENSIONS];
    for (to, value) in out.iter_mut().zip(kept()) {
        *to = narrow::signed_byte((value * factor).round());
    }
    out
}
