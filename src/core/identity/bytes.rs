//! Byte classes: one table look-up a byte tells what may come of it.

pub const LETTER: u16 = 1;
/// `a-f` and `A-F`, which are letters too.
pub const HEX: u16 = 1 << 1;
pub const DIGIT: u16 = 1 << 2;
pub const DOT: u16 = 1 << 3;
pub const COLON: u16 = 1 << 4;
pub const SLASH: u16 = 1 << 5;
pub const BACKSLASH: u16 = 1 << 6;
pub const AT: u16 = 1 << 7;
pub const DASH: u16 = 1 << 8;
pub const TILDE: u16 = 1 << 9;
pub const SPACE: u16 = 1 << 10;
pub const QUOTE: u16 = 1 << 11;
pub const EQUALS: u16 = 1 << 12;
/// `(` and `[`.
pub const OPEN: u16 = 1 << 13;
pub const OTHER: u16 = 1 << 14;
/// What words and numbers are made of.
pub const ALNUM: u16 = LETTER | HEX | DIGIT;
/// What an item is made of; everything else separates items.
pub const ITEM: u16 = ALNUM | DOT | COLON | SLASH | BACKSLASH | AT | DASH | TILDE;

const TABLE: [u16; 256] = table();

const fn table() -> [u16; 256] {
    let mut table = [OTHER; 256];
    let mut byte = 0_u8;
    loop {
        #[allow(clippy::indexing_slicing)]
        // const evaluation: an index out of range fails the build
        {
            table[byte as usize] = of(byte);
        }
        if byte == u8::MAX {
            return table;
        }
        byte = byte.saturating_add(1);
    }
}

const fn of(byte: u8) -> u16 {
    match byte {
        b'a'..=b'f' | b'A'..=b'F' => HEX,
        // Every byte of a character beyond ASCII counts as a letter, so that no cut ever splits one.
        b'g'..=b'z' | b'G'..=b'Z' | b'_' | 0x80.. => LETTER,
        b'0'..=b'9' => DIGIT,
        b'.' => DOT,
        b':' => COLON,
        b'/' => SLASH,
        b'\\' => BACKSLASH,
        b'@' => AT,
        b'-' => DASH,
        b'~' => TILDE,
        b' ' | b'\t' | b'\n' | b'\r' | 0x0b | 0x0c | 0 => SPACE,
        b'"' | b'\'' | b'`' => QUOTE,
        b'=' => EQUALS,
        b'(' | b'[' => OPEN,
        _ => OTHER,
    }
}

/// The class of a byte: exactly one bit.
#[inline(always)]
pub fn class(byte: u8) -> u16 {
    TABLE.get(usize::from(byte)).copied().unwrap_or(OTHER)
}

/// Whether the byte has one of `classes`.
#[inline(always)]
pub fn is(byte: u8, classes: u16) -> bool {
    class(byte) & classes != 0
}

/// How many of the eight bytes, from the first on, are ASCII letters.
#[inline(always)]
pub fn leading_letters(chunk: [u8; 8]) -> usize {
    const HIGH: u64 = 0x8080_8080_8080_8080;
    const ONES: u64 = 0x0101_0101_0101_0101;
    const CASE: u64 = ONES * 0x20;
    const FROM_A: u64 = ONES * (0x80 - b'a' as u64);
    const PAST_Z: u64 = ONES * (0x7f - b'z' as u64);
    let word = u64::from_le_bytes(chunk);
    // Bit 7 of each byte tells: at least `a`, at most `z`, and ASCII. No sum carries into the next byte.
    let lower = (word | CASE) & !HIGH;
    let letters = lower.wrapping_add(FROM_A) & !lower.wrapping_add(PAST_Z) & !word & HIGH;
    ((letters ^ HIGH).trailing_zeros() / 8) as usize
}
