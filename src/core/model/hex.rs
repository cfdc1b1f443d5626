//! Lower-case hexadecimal digits.

/// Both hexadecimal digits of each byte: a look-up a byte, since a storm prints millions.
const PAIRS: [[u8; 2]; 256] = pairs();

const fn pairs() -> [[u8; 2]; 256] {
    const fn digit(nibble: u8) -> u8 {
        if nibble < 10 {
            b'0' + nibble
        } else {
            b'a' + nibble - 10
        }
    }
    let mut table = [[0; 2]; 256];
    let mut byte = 0_u8;
    loop {
        #[allow(clippy::indexing_slicing)]
        // const evaluation: an index out of range fails the build
        {
            table[byte as usize] = [digit(byte >> 4), digit(byte & 15)];
        }
        if byte == u8::MAX {
            return table;
        }
        byte += 1;
    }
}

/// Both digits of each byte, as long as there is room in `out`.
pub fn write(bytes: &[u8], out: &mut [u8]) {
    for (pair, byte) in out.chunks_exact_mut(2).zip(bytes) {
        pair.copy_from_slice(PAIRS.get(usize::from(*byte)).unwrap_or(&[b'0'; 2]));
    }
}

pub fn hex(bytes: &[u8]) -> String {
    let mut out = vec![0; bytes.len() * 2];
    write(bytes, &mut out);
    // Digits are always UTF-8.
    String::from_utf8(out).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::hex;

    #[test]
    fn every_byte_has_its_two_digits() {
        let all: Vec<u8> = (0..=255).collect();
        let told: String = all.iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(hex(&all), told);
        assert_eq!(hex(&[]), "");
    }
}
