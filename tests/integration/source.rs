//! The program's source as the tests of its structure read it: words, marks and the paths that are named.

use std::fs;
use std::path::{Path, PathBuf};

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Token {
    Word(String),
    /// `::`
    Sep,
    Mark(char),
}

pub type Tokens = Vec<(usize, Token)>;

/// Words and marks of Rust source with their line, without comments and literals.
pub fn tokens(source: &str) -> Tokens {
    let mut out = Vec::new();
    let mut line = 1;
    let mut rest = source;
    while let Some(first) = rest.chars().next() {
        let length = if rest.starts_with("//") {
            rest.find('\n').unwrap_or(rest.len())
        } else if rest.starts_with("/*") {
            rest.find("*/").map_or(rest.len(), |end| end + 2)
        } else if let Some(length) = literal(rest) {
            length
        } else if first.is_alphanumeric() || first == '_' {
            let word: String = rest
                .chars()
                .take_while(|c| c.is_alphanumeric() || *c == '_')
                .collect();
            let length = word.len();
            out.push((line, Token::Word(word)));
            length
        } else if rest.starts_with("::") {
            out.push((line, Token::Sep));
            2
        } else {
            if !first.is_whitespace() {
                out.push((line, Token::Mark(first)));
            }
            first.len_utf8()
        };
        let (done, left) = rest.split_at(length);
        line += done.matches('\n').count();
        rest = left;
    }
    out
}

/// Length of the string or character literal that `text` begins with.
fn literal(text: &str) -> Option<usize> {
    let raw = text.strip_prefix('b').unwrap_or(text);
    let prefix = text.len() - raw.len();
    if let Some(after) = raw.strip_prefix('r') {
        let hashes = after.chars().take_while(|c| *c == '#').count();
        if after
            .get(hashes..)
            .is_some_and(|body| body.starts_with('"'))
        {
            let end = format!("\"{}", "#".repeat(hashes));
            let begin = prefix + 1 + hashes + 1;
            let body = text.get(begin..)?;
            return Some(begin + body.find(&end).map_or(body.len(), |at| at + end.len()));
        }
    }
    if raw.starts_with('"') {
        return Some(prefix + quoted(raw, '"'));
    }
    // A lifetime has no closing quote two characters on, or after a backslash.
    let mut chars = raw.strip_prefix('\'')?.chars();
    let is_char = chars.next()? == '\\' || chars.next() == Some('\'');
    is_char.then(|| prefix + quoted(raw, '\''))
}

fn quoted(text: &str, quote: char) -> usize {
    let mut escaped = false;
    for (at, c) in text.char_indices().skip(1) {
        if !escaped && c == quote {
            return at + c.len_utf8();
        }
        escaped = !escaped && c == '\\';
    }
    text.len()
}

/// Removes the items behind `#[cfg(test)]`.
pub fn without_tests(tokens: &[(usize, Token)]) -> Tokens {
    let marker = ["#", "[", "cfg", "(", "test", ")", "]"];
    let is_marker = |at: usize| {
        tokens.get(at..at + marker.len()).is_some_and(|window| {
            window
                .iter()
                .zip(marker)
                .all(|((_, token), want)| match token {
                    Token::Word(word) => word == want,
                    Token::Mark(mark) => want.chars().eq([*mark]),
                    Token::Sep => false,
                })
        })
    };
    let mut out = Vec::new();
    let mut at = 0;
    while let Some(token) = tokens.get(at) {
        if is_marker(at) {
            at = end_of_item(tokens, at + marker.len());
        } else {
            out.push(token.clone());
            at += 1;
        }
    }
    out
}

/// Index behind the item that begins at `at`: its `;`, or the brace that closes its first one.
fn end_of_item(tokens: &[(usize, Token)], mut at: usize) -> usize {
    let mut depth = 0_usize;
    while let Some((_, token)) = tokens.get(at) {
        at += 1;
        match token {
            Token::Mark('{') => depth += 1,
            Token::Mark('}') => {
                depth = depth.saturating_sub(1);
                if depth == 0 {
                    return at;
                }
            }
            Token::Mark(';') if depth == 0 => return at,
            Token::Word(_) | Token::Sep | Token::Mark(_) => {}
        }
    }
    at
}

/// Every path that is named, `use` groups taken apart: `a::{b, c::d}` is `a::b` and `a::c::d`.
pub fn paths(tokens: &[(usize, Token)]) -> Vec<(usize, Vec<String>)> {
    let mut out = Vec::new();
    let mut at = 0;
    while let Some((_, token)) = tokens.get(at) {
        at = match token {
            Token::Word(_) => path(tokens, at, &[], &mut out),
            Token::Sep | Token::Mark(_) => at + 1,
        };
    }
    out
}

fn path(
    tokens: &[(usize, Token)],
    mut at: usize,
    prefix: &[String],
    out: &mut Vec<(usize, Vec<String>)>,
) -> usize {
    let mut path = prefix.to_vec();
    let line = tokens.get(at).map_or(0, |(line, _)| *line);
    while let Some((_, token)) = tokens.get(at) {
        match token {
            Token::Word(word) => {
                path.push(word.clone());
                at += 1;
                if !matches!(tokens.get(at), Some((_, Token::Sep))) {
                    break;
                }
                at += 1;
            }
            Token::Mark('{') => {
                at += 1;
                while let Some((_, token)) = tokens.get(at) {
                    at = match token {
                        Token::Mark('}') => return at + 1,
                        Token::Word(_) => self::path(tokens, at, &path, out),
                        Token::Sep | Token::Mark(_) => at + 1,
                    };
                }
                return at;
            }
            Token::Mark('*') => {
                path.push("*".to_owned());
                at += 1;
                break;
            }
            Token::Sep | Token::Mark(_) => break,
        }
    }
    out.push((line, path));
    at
}

/// `a::b` of the file `src/a/b.rs`; empty for the crate's root.
pub fn module_of(file: &str) -> Vec<&str> {
    let inner = file.strip_prefix("src/").unwrap_or(file);
    let inner = inner.strip_suffix(".rs").unwrap_or(inner);
    inner
        .split('/')
        .filter(|part| !matches!(*part, "mod" | "lib" | "main"))
        .collect()
}

/// Files of `#[cfg(test)] mod …;`, by the names that this crate gives them.
pub fn is_test_file(file: &str) -> bool {
    file.ends_with("/tests.rs") || file.ends_with("_tests.rs") || file.contains("/tests/")
}

pub fn sources(directory: &Path, found: &mut Vec<PathBuf>) -> std::io::Result<()> {
    for entry in fs::read_dir(directory)? {
        let path = entry?.path();
        if path.is_dir() {
            sources(&path, found)?;
        } else if path.extension().is_some_and(|ending| ending == "rs") {
            found.push(path);
        }
    }
    Ok(())
}
