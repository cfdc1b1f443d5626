//! What a reader makes of a text that was written so that a name in it is not found.

/// Each gives the text as it is read, or `None` where that is the text itself.
pub(super) const ALL: [fn(&str) -> Option<String>; 3] = [visible, unescaped, decoded];

/// Without what takes no room between two letters.
fn visible(text: &str) -> Option<String> {
    let unseen = |c: char| {
        matches!(
            c,
            '\u{ad}' | '\u{200b}'..='\u{200d}' | '\u{2060}' | '\u{feff}'
        )
    };
    text.contains(unseen).then(|| text.replace(unseen, ""))
}

/// JSON's `\u0061`, and `\u003d` as some writers have it for `=`.
fn unescaped(text: &str) -> Option<String> {
    text.contains("\\u00")
        .then(|| {
            read(text, "\\u00", |byte| {
                byte.is_ascii_alphanumeric() || b"_-=:".contains(&byte)
            })
        })
        .flatten()
}

/// The `%3D` of URLs. What would end a value there (`&`, a space) stays as it is written.
fn decoded(text: &str) -> Option<String> {
    text.contains('%')
        .then(|| {
            read(text, "%", |byte| {
                byte.is_ascii_alphanumeric() || b"_-=:\"{}%".contains(&byte)
            })
        })
        .flatten()
}

/// Each `mark` and two hexadecimal digits as the byte they stand for, if it is one that `shown` names; what
/// comes of that is read again. Linear: what was read gets shorter.
fn read(text: &str, mark: &str, shown: impl Fn(u8) -> bool) -> Option<String> {
    let mut out = String::with_capacity(text.len());
    let mut changed = false;
    for c in text.chars() {
        out.push(c);
        while let Some((start, byte)) = code_at_end(&out, mark).filter(|(_, byte)| shown(*byte)) {
            out.truncate(start);
            out.push(char::from(byte));
            changed = true;
        }
    }
    changed.then_some(out)
}

/// Where `mark` and two digits stand at the end of `text`, and their byte.
fn code_at_end(text: &str, mark: &str) -> Option<(usize, u8)> {
    let start = text.len().checked_sub(mark.len() + 2)?;
    let digits = text.get(start..)?.strip_prefix(mark)?;
    let byte = u8::from_str_radix(digits, 16).ok()?;
    (digits.bytes().all(|digit| digit.is_ascii_hexdigit()) && byte.is_ascii())
        .then_some((start, byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_read_to_the_end() {
        assert_eq!(decoded("token%253Dx%20y").as_deref(), Some("token=x%20y"));
        assert_eq!(unescaped(r"p\u0061ss\u003dx").as_deref(), Some("pass=x"));
        assert_eq!(visible("pass\u{200b}word").as_deref(), Some("password"));
        assert_eq!(
            (decoded("100 %"), unescaped("\\u00"), visible("é")),
            (None, None, None)
        );
    }
}
