//! gzip (RFC 1952) and deflate (RFC 1951), reading only: Debian ships its man pages compressed, and one
//! page of code weighs less than one more crate. Bounded output, no panics on any input.

/// The content of a gzip file, or `None` when it is damaged or larger than `cap` bytes.
pub(super) fn gunzip(bytes: &[u8], cap: usize) -> Option<Vec<u8>> {
    let [0x1f, 0x8b, 8, flags, rest @ ..] = bytes else {
        return None;
    };
    let mut rest = rest.get(6..)?;
    if flags & 4 != 0 {
        let extra = usize::from(u16::from_le_bytes(*rest.first_chunk::<2>()?));
        rest = rest.get(2 + extra..)?;
    }
    for bit in [8, 16] {
        if flags & bit != 0 {
            let end = rest.iter().position(|byte| *byte == 0)?;
            rest = rest.get(end + 1..)?;
        }
    }
    if flags & 2 != 0 {
        rest = rest.get(2..)?;
    }
    let mut bits = Bits {
        bytes: rest,
        held: 0,
        count: 0,
    };
    let out = inflate(&mut bits, cap)?;
    let size = bits
        .bytes
        .get(4..8)
        .and_then(|size| size.first_chunk::<4>());
    (u32::from_le_bytes(*size?) as usize == out.len()).then_some(out)
}

struct Bits<'a> {
    bytes: &'a [u8],
    held: u32,
    count: u32,
}

impl Bits<'_> {
    fn take(&mut self, n: u32) -> Option<u32> {
        while self.count < n {
            let (first, rest) = self.bytes.split_first()?;
            self.held |= u32::from(*first) << self.count;
            self.count += 8;
            self.bytes = rest;
        }
        let value = self.held & ((1 << n) - 1);
        self.held >>= n;
        self.count -= n;
        Some(value)
    }

    fn skip_to_byte(&mut self) {
        self.held = 0;
        self.count = 0;
    }
}

/// Canonical Huffman code: how many codes have each length, and the symbols in order of their codes.
struct Code {
    counts: [u16; 16],
    symbols: Vec<u16>,
}

impl Code {
    fn new(lengths: &[u8]) -> Option<Self> {
        let mut counts = [0_u16; 16];
        for length in lengths {
            *counts.get_mut(usize::from(*length))? += 1;
        }
        let mut symbols: Vec<(u8, u16)> = (0_u16..)
            .zip(lengths)
            .filter(|(_, l)| **l > 0)
            .map(|(symbol, l)| (*l, symbol))
            .collect();
        symbols.sort_unstable();
        if let Some(zero) = counts.first_mut() {
            *zero = 0;
        }
        Some(Self {
            counts,
            symbols: symbols.into_iter().map(|(_, symbol)| symbol).collect(),
        })
    }

    fn read(&self, bits: &mut Bits<'_>) -> Option<u16> {
        let (mut code, mut first, mut index) = (0_i32, 0_i32, 0_i32);
        for count in self.counts.iter().skip(1) {
            code |= i32::try_from(bits.take(1)?).ok()?;
            let count = i32::from(*count);
            if code - count < first {
                let at = usize::try_from(index + (code - first)).ok()?;
                return self.symbols.get(at).copied();
            }
            index += count;
            first = (first + count) << 1;
            code <<= 1;
        }
        None
    }
}

fn inflate(bits: &mut Bits<'_>, cap: usize) -> Option<Vec<u8>> {
    let mut out = Vec::new();
    loop {
        let last = bits.take(1)? == 1;
        match bits.take(2)? {
            0 => stored(bits, &mut out, cap)?,
            1 => {
                let lengths: Vec<u8> = (0..288)
                    .map(|n| match n {
                        0..=143 => 8,
                        144..=255 => 9,
                        256..=279 => 7,
                        _ => 8,
                    })
                    .collect();
                block(
                    bits,
                    &Code::new(&lengths)?,
                    &Code::new(&[5; 30])?,
                    &mut out,
                    cap,
                )?;
            }
            2 => {
                let (literals, distances) = tables(bits)?;
                block(bits, &literals, &distances, &mut out, cap)?;
            }
            _ => return None,
        }
        if last {
            return Some(out);
        }
    }
}

fn stored(bits: &mut Bits<'_>, out: &mut Vec<u8>, cap: usize) -> Option<()> {
    bits.skip_to_byte();
    let length = usize::from(u16::from_le_bytes(*bits.bytes.first_chunk::<2>()?));
    let data = bits.bytes.get(4..4 + length)?;
    if out.len() + length > cap {
        return None;
    }
    out.extend_from_slice(data);
    bits.bytes = bits.bytes.get(4 + length..)?;
    Some(())
}

const ORDER: [u8; 19] = [
    16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15,
];

fn tables(bits: &mut Bits<'_>) -> Option<(Code, Code)> {
    let literals = bits.take(5)? as usize + 257;
    let distances = bits.take(5)? as usize + 1;
    let codes = bits.take(4)? as usize + 4;
    let mut lengths = [0_u8; 19];
    for at in ORDER.iter().take(codes) {
        *lengths.get_mut(usize::from(*at))? = bits.take(3)? as u8;
    }
    let code = Code::new(&lengths)?;
    let mut all: Vec<u8> = Vec::with_capacity(literals + distances);
    while all.len() < literals + distances {
        let (value, times) = match code.read(bits)? {
            symbol @ 0..=15 => (symbol as u8, 1),
            16 => (*all.last()?, 3 + bits.take(2)?),
            17 => (0, 3 + bits.take(3)?),
            _ => (0, 11 + bits.take(7)?),
        };
        all.extend(std::iter::repeat_n(value, times as usize));
    }
    let (first, second) = all.split_at_checked(literals)?;
    Some((Code::new(first)?, Code::new(second.get(..distances)?)?))
}

#[rustfmt::skip]
const LENGTHS: [(u16, u8); 29] = [
    (3, 0), (4, 0), (5, 0), (6, 0), (7, 0), (8, 0), (9, 0), (10, 0), (11, 1), (13, 1), (15, 1), (17, 1), (19, 2), (23, 2),
    (27, 2), (31, 2), (35, 3), (43, 3), (51, 3), (59, 3), (67, 4), (83, 4), (99, 4), (115, 4), (131, 5), (163, 5), (195, 5),
    (227, 5), (258, 0),
];
#[rustfmt::skip]
const DISTANCES: [(u16, u8); 30] = [
    (1, 0), (2, 0), (3, 0), (4, 0), (5, 1), (7, 1), (9, 2), (13, 2), (17, 3), (25, 3), (33, 4), (49, 4), (65, 5), (97, 5),
    (129, 6), (193, 6), (257, 7), (385, 7), (513, 8), (769, 8), (1025, 9), (1537, 9), (2049, 10), (3073, 10), (4097, 11),
    (6145, 11), (8193, 12), (12289, 12), (16385, 13), (24577, 13),
];

fn block(
    bits: &mut Bits<'_>,
    literals: &Code,
    distances: &Code,
    out: &mut Vec<u8>,
    cap: usize,
) -> Option<()> {
    loop {
        let symbol = literals.read(bits)?;
        match symbol {
            0..=255 => out.push(symbol as u8),
            256 => return Some(()),
            _ => {
                let (base, extra) = *LENGTHS.get(usize::from(symbol) - 257)?;
                let length = usize::from(base) + bits.take(u32::from(extra))? as usize;
                let (base, extra) = *DISTANCES.get(usize::from(distances.read(bits)?))?;
                let distance = usize::from(base) + bits.take(u32::from(extra))? as usize;
                // Byte by byte: a copy may reach into what it has just written.
                let start = out.len().checked_sub(distance)?;
                for from in start..start + length {
                    out.push(*out.get(from)?);
                }
            }
        }
        if out.len() > cap {
            return None;
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing)]
    use super::*;

    fn gzip(data: &[u8], level: &str) -> Option<Vec<u8>> {
        use std::io::Write;
        use std::process::{Command, Stdio};
        let mut child = Command::new("gzip")
            .arg(level)
            .arg("-c")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .ok()?;
        let mut input = child.stdin.take()?;
        let data = data.to_vec();
        let writer = std::thread::spawn(move || input.write_all(&data));
        let out = child.wait_with_output().ok()?;
        writer.join().ok()?.ok()?;
        Some(out.stdout)
    }

    #[test]
    fn what_gzip_packed_comes_back() {
        let mut noise = Vec::new();
        let mut seed = 1_u32;
        for _ in 0..70_000 {
            seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            noise.push((seed >> 24) as u8);
        }
        for data in [
            Vec::new(),
            b"a".to_vec(),
            b"restart the unit ".repeat(5000),
            noise,
        ] {
            for level in ["-1", "-9"] {
                let Some(packed) = gzip(&data, level) else {
                    println!("skipped: no gzip here");
                    return;
                };
                assert_eq!(gunzip(&packed, 1 << 20).as_deref(), Some(data.as_slice()));
                assert_eq!(
                    gunzip(&packed, data.len().saturating_sub(1)).is_some(),
                    data.is_empty()
                );
            }
        }
    }

    #[test]
    fn damage_gives_nothing_and_never_panics() {
        let Some(good) = gzip(&b"some text, some text, some more text ".repeat(20), "-9") else {
            return;
        };
        for at in 0..good.len() {
            assert!(gunzip(&good[..at], 1 << 20).is_none());
            for bit in 0..8 {
                let mut bad = good.clone();
                bad[at] ^= 1 << bit;
                let _ = gunzip(&bad, 1 << 16);
            }
        }
    }
}
