//! Porter's stemmer (1980) for ASCII words: `restarting`, `restarted` and `restarts` become one term.
//! Written from the paper; the same rules as SQLite's `porter` tokenizer, so results can be compared.

/// Longest word that is stemmed; longer ones are identifiers, not English.
const LONGEST: usize = 32;

/// Stems `word` (lower case) in place. Words with anything but `a..z` stay as they are.
pub fn stem(word: &mut String) {
    if word.len() < 3 || word.len() > LONGEST || !word.bytes().all(|c| c.is_ascii_lowercase()) {
        return;
    }
    step_1(word);
    step_2_to_4(word);
    step_5(word);
}

fn is_consonant(word: &[u8], at: usize) -> bool {
    match word.get(at) {
        Some(b'a' | b'e' | b'i' | b'o' | b'u') | None => false,
        Some(b'y') => at == 0 || !is_consonant(word, at - 1),
        Some(_) => true,
    }
}

/// Porter's m: how often a vowel run is followed by a consonant run.
fn measure(stem: &str) -> usize {
    let bytes = stem.as_bytes();
    let mut count = 0;
    let mut after_vowel = false;
    for at in 0..bytes.len() {
        let consonant = is_consonant(bytes, at);
        count += usize::from(consonant && after_vowel);
        after_vowel = !consonant;
    }
    count
}

fn has_vowel(stem: &str) -> bool {
    (0..stem.len()).any(|at| !is_consonant(stem.as_bytes(), at))
}

fn ends_double(word: &str) -> bool {
    let bytes = word.as_bytes();
    matches!(bytes, [.., a, b] if a == b) && is_consonant(bytes, bytes.len() - 1)
}

/// Consonant, vowel, consonant other than w, x, y at the end: `hop`, not `snow`.
fn ends_cvc(word: &str) -> bool {
    let bytes = word.as_bytes();
    let n = bytes.len();
    n >= 3
        && is_consonant(bytes, n - 3)
        && !is_consonant(bytes, n - 2)
        && is_consonant(bytes, n - 1)
        && !matches!(bytes.last(), Some(b'w' | b'x' | b'y'))
}

fn replace(word: &mut String, suffix: &str, by: &str) {
    word.truncate(word.len().saturating_sub(suffix.len()));
    word.push_str(by);
}

fn step_1(word: &mut String) {
    if word.ends_with("sses") || word.ends_with("ies") {
        word.truncate(word.len() - 2);
    } else if word.ends_with('s') && !word.ends_with("ss") {
        word.pop();
    }
    if let Some(stem) = word.strip_suffix("eed") {
        if measure(stem) > 0 {
            word.pop();
        }
    } else if let Some(end) = ["ed", "ing"].iter().find_map(|suffix| {
        let stem = word.strip_suffix(suffix)?;
        has_vowel(stem).then_some(stem.len())
    }) {
        word.truncate(end);
        if word.ends_with("at") || word.ends_with("bl") || word.ends_with("iz") {
            word.push('e');
        } else if ends_double(word) && !word.ends_with(['l', 's', 'z']) {
            word.pop();
        } else if measure(word) == 1 && ends_cvc(word) {
            word.push('e');
        }
    }
    if word.strip_suffix('y').is_some_and(has_vowel) {
        replace(word, "y", "i");
    }
}

const STEP_2: &[(&str, &str)] = &[
    ("ational", "ate"),
    ("tional", "tion"),
    ("enci", "ence"),
    ("anci", "ance"),
    ("izer", "ize"),
    ("bli", "ble"),
    ("alli", "al"),
    ("entli", "ent"),
    ("eli", "e"),
    ("ousli", "ous"),
    ("ization", "ize"),
    ("ation", "ate"),
    ("ator", "ate"),
    ("alism", "al"),
    ("iveness", "ive"),
    ("fulness", "ful"),
    ("ousness", "ous"),
    ("aliti", "al"),
    ("iviti", "ive"),
    ("biliti", "ble"),
    ("logi", "log"),
];
const STEP_3: &[(&str, &str)] = &[
    ("icate", "ic"),
    ("ative", ""),
    ("alize", "al"),
    ("iciti", "ic"),
    ("ical", "ic"),
    ("ful", ""),
    ("ness", ""),
];
const STEP_4: &[&str] = &[
    "al", "ance", "ence", "er", "ic", "able", "ible", "ant", "ement", "ment", "ent", "ion", "ou",
    "ism", "ate", "iti", "ous", "ive", "ize",
];

fn step_2_to_4(word: &mut String) {
    for table in [STEP_2, STEP_3] {
        if let Some((suffix, by)) = table.iter().find(|(suffix, _)| word.ends_with(suffix))
            && word
                .strip_suffix(suffix)
                .is_some_and(|stem| measure(stem) > 0)
        {
            replace(word, suffix, by);
        }
    }
    // The longest suffix decides: `ement` before `ment` before `ent`.
    let longest = STEP_4
        .iter()
        .filter(|suffix| word.ends_with(**suffix))
        .max_by_key(|suffix| suffix.len());
    if let Some(suffix) = longest {
        let stem = word.strip_suffix(suffix).unwrap_or("");
        let fits = *suffix != "ion" || stem.ends_with(['s', 't']);
        if fits && measure(stem) > 1 {
            replace(word, suffix, "");
        }
    }
}

fn step_5(word: &mut String) {
    if let Some(stem) = word.strip_suffix('e') {
        let m = measure(stem);
        if m > 1 || (m == 1 && !ends_cvc(stem)) {
            word.pop();
        }
    }
    if word.ends_with("ll") && measure(word) > 1 {
        word.pop();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stemmed(word: &str) -> String {
        let mut word = word.to_owned();
        stem(&mut word);
        word
    }

    #[test]
    fn the_papers_examples() {
        for (word, want) in [
            ("caresses", "caress"),
            ("ponies", "poni"),
            ("ties", "ti"),
            ("cats", "cat"),
            ("feed", "feed"),
            ("agreed", "agre"),
            ("plastered", "plaster"),
            ("bled", "bled"),
            ("motoring", "motor"),
            ("sing", "sing"),
            ("conflated", "conflat"),
            ("troubled", "troubl"),
            ("sized", "size"),
            ("hopping", "hop"),
            ("tanned", "tan"),
            ("falling", "fall"),
            ("hissing", "hiss"),
            ("failing", "fail"),
            ("filing", "file"),
            ("happy", "happi"),
            ("sky", "sky"),
            ("relational", "relat"),
            ("conditional", "condit"),
            ("rational", "ration"),
            ("digitizer", "digit"),
            ("operator", "oper"),
            ("feudalism", "feudal"),
            ("hopefulness", "hope"),
            ("formality", "formal"),
            ("electrical", "electr"),
            ("goodness", "good"),
            ("revival", "reviv"),
            ("allowance", "allow"),
            ("inference", "infer"),
            ("replacement", "replac"),
            ("adoption", "adopt"),
            ("effective", "effect"),
            ("probate", "probat"),
            ("rate", "rate"),
            ("cease", "ceas"),
            ("controll", "control"),
            ("roll", "roll"),
        ] {
            assert_eq!(stemmed(word), want, "{word}");
        }
    }

    #[test]
    fn identifiers_stay() {
        for word in ["eth0", "a", "ss", "größen", "sda1s"] {
            assert_eq!(stemmed(word), word);
        }
    }
}
