//! Debian ships its man pages compressed: the content of a gzip file (RFC 1952) of one member, bounded and
//! checked.

use std::io::Read;

use flate2::read::GzDecoder;

/// The content of a gzip file, or `None` when it is damaged (its CRC tells) or larger than `cap` bytes.
pub(super) fn gunzip(bytes: &[u8], cap: usize) -> Option<Vec<u8>> {
    let most = u64::try_from(cap).ok()?;
    let mut out = Vec::new();
    GzDecoder::new(bytes)
        .take(most.saturating_add(1))
        .read_to_end(&mut out)
        .ok()?;
    (out.len() <= cap).then_some(out)
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
