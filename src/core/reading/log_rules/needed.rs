//! What must stand in an ordinary line before a built-in rule can make a finding of it. Nearly no line has it, and all of
//! them are asked: to step over several bytes at a time costs a third of what the automaton of the rules does.

/// Bytes of each text.
const LENGTH: usize = 8;

/// In lower case; of each alternative of each such rule a part. A test makes lines that fit the rules.
const TEXTS: [&[u8; LENGTH]; 21] = [
    b"allocate",
    b"no space",
    b"exceeded",
    b"eviction",
    b"conditio",
    b"ead-only",
    b"any open",
    b"t/output",
    b"> failed",
    b"n: faile",
    b"rl-event",
    b"synchron",
    b"ded (mod",
    b"refused:",
    b"ere lost",
    b"ere drop",
    b"ere disc",
    b"een lost",
    b"een drop",
    b"een disc",
    b"ice: /de",
];

/// By the last two bytes of eight, how far the next text that may stand here ends at least; 0 where one may end here.
#[allow(
    clippy::indexing_slicing,
    clippy::cast_possible_truncation,
    reason = "built by the compiler, which would stop at either"
)]
static STEPS: [u8; 256] = {
    let last = LENGTH - 1;
    let mut steps = [last as u8; 256];
    let mut at = 0;
    while at < TEXTS.len() {
        let mut end = 1;
        while end < LENGTH {
            let place = place(TEXTS[at][end - 1], TEXTS[at][end]);
            let step = (last - end) as u8;
            if step < steps[place] {
                steps[place] = step;
            }
            end += 1;
        }
        at += 1;
    }
    steps
};

const fn place(first: u8, second: u8) -> usize {
    (fold(first).wrapping_mul(29) ^ fold(second)) as usize
}

/// Letters in lower case; other bytes as it comes, but the same everywhere.
const fn fold(byte: u8) -> u8 {
    byte | 0x20
}

/// True when one of the texts stands in `line`, in any case.
pub(super) fn is_in(line: &[u8]) -> bool {
    let mut end = LENGTH;
    while let Some(window) = end.checked_sub(LENGTH).and_then(|from| line.get(from..end)) {
        let step = match window {
            [.., first, second] => STEPS.get(place(*first, *second)).copied().unwrap_or(0),
            _ => return false,
        };
        if step == 0 && is_one(window) {
            return true;
        }
        end = end.saturating_add(usize::from(step.max(1)));
    }
    false
}

fn is_one(window: &[u8]) -> bool {
    let is = |text: &[u8; LENGTH]| {
        text.iter()
            .zip(window)
            .all(|(one, byte)| fold(*one) == fold(*byte))
    };
    TEXTS.iter().any(|text| is(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_found_wherever_it_stands() {
        for text in TEXTS {
            for before in 0..20 {
                let mut line = vec![b'e'; before];
                line.extend(text.to_ascii_uppercase());
                assert!(is_in(&line), "{}", line.escape_ascii());
                line.extend(b"een dro");
                assert!(is_in(&line), "{}", line.escape_ascii());
            }
        }
        for line in ["", "no spac", "wrote 12 points to the historian in 7 ms"] {
            assert!(!is_in(line.as_bytes()), "{line}");
        }
    }
}
