//! Debian ships its man pages compressed: the content of a gzip file (RFC 1952) of one member, bounded and
//! checked. The library inflates; head and checksum are read here, as its own are 21 KB of the binary.

use std::io::Read;

use flate2::read::DeflateDecoder;

/// Bits of the flags (RFC 1952, section 2.3.1); the upper three must be zero.
const HEAD_CRC: u8 = 2;
const EXTRA: u8 = 4;
const NAME: u8 = 8;
const COMMENT: u8 = 16;
const RESERVED: u8 = 0xe0;
/// The polynomial of the checksum, bits reversed (section 8).
const POLYNOMIAL: u32 = 0xedb8_8320;

/// The content of a gzip file, or `None` when it is damaged (its CRC tells) or larger than `cap` bytes.
pub(super) fn gunzip(bytes: &[u8], cap: usize) -> Option<Vec<u8>> {
    let packed = without_head(bytes)?;
    let most = u64::try_from(cap).ok()?;
    let mut out = Vec::new();
    let mut inflating = DeflateDecoder::new(packed).take(most.saturating_add(1));
    inflating.read_to_end(&mut out).ok()?;
    let read = usize::try_from(inflating.into_inner().total_in()).ok()?;
    let (sum, rest) = packed.get(read..)?.split_first_chunk::<4>()?;
    let (size, _) = rest.split_first_chunk::<4>()?;
    let is_whole = u32::from_le_bytes(*sum) == crc32(&out)
        && usize::try_from(u32::from_le_bytes(*size)) == Ok(out.len());
    (is_whole && out.len() <= cap).then_some(out)
}

/// What follows the head of the member.
fn without_head(bytes: &[u8]) -> Option<&[u8]> {
    let ([0x1f, 0x8b, 8, flags, ..], mut rest) = bytes.split_first_chunk::<10>()? else {
        return None;
    };
    if flags & RESERVED != 0 {
        return None;
    }
    if flags & EXTRA != 0 {
        let (size, after) = rest.split_first_chunk::<2>()?;
        rest = after.get(usize::from(u16::from_le_bytes(*size))..)?;
    }
    for text in [NAME, COMMENT] {
        if flags & text != 0 {
            let end = rest.iter().position(|byte| *byte == 0)?;
            rest = rest.get(end.saturating_add(1)..)?;
        }
    }
    match flags & HEAD_CRC {
        0 => Some(rest),
        _ => rest.get(2..),
    }
}

fn crc32(bytes: &[u8]) -> u32 {
    let step = |sum: u32| (sum >> 1) ^ (POLYNOMIAL & (sum & 1).wrapping_neg());
    let sum = bytes.iter().fold(u32::MAX, |sum, byte| {
        (0..8).fold(sum ^ u32::from(*byte), |sum, _| step(sum))
    });
    !sum
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
        let text = b"some text, some text, some more text ".repeat(20);
        let Some(good) = gzip(&text, "-9") else {
            return;
        };
        for at in 0..good.len() {
            assert!(gunzip(&good[..at], 1 << 20).is_none());
            for bit in 0..8 {
                let mut bad = good.clone();
                bad[at] ^= 1 << bit;
                let got = gunzip(&bad, 1 << 16);
                assert!(got.is_none_or(|got| got == text), "byte {at}, bit {bit}");
            }
        }
    }
}
