//! `name = value` in all its spellings: environment, INI, TOML, YAML, JSON, logfmt, headers, query strings. The
//! pattern finds the name and how it is joined to its value; the value is read by hand.

use std::cell::OnceCell;

use regex::Regex;

use super::REDACTED;
use super::names::{self, Tells};
use super::values::{bare, in_its_quotes, is_marked, is_path, is_prose, is_reference};

/// Parts of words, one of which every name of a secret holds.
const PARTS: &[&str] = &[
    "pass",
    "pwd",
    "pw",
    "secret",
    "token",
    "key",
    "psk",
    "cred",
    "community",
    "signature",
    "sess",
    "sid",
    "otp",
    "pin",
    "puk",
    "pat",
    "kennwort",
    "senha",
    "parola",
    "wachtwoord",
    "contrase",
    "пароль",
    "密码",
    "connection",
    "one-time",
    "authtok",
];

/// A boundary, group 1 = name, then how it is joined to its value.
const PATTERN: &str = concat!(
    r#"(?:^|[^A-Za-z0-9_./-])["']?([A-Za-z0-9_.-]*(?:"#,
    r"(?i-u:pass|pwd|pw|secret|token|key|psk|cred|community|signature|sess|sid|otp|pin|puk|pat",
    r"|kennwort|senha|parola|wachtwoord|contrasena|connection|authtok)|contraseña|пароль|密码",
    r#")[A-Za-z0-9_.-]*)\\?["'\]]?[ \t]*(?:=>|:=|=|:)[ \t]*"#,
);

/// Longest value that is looked for the end of its quotes.
const QUOTED_MOST: usize = 4_096;

#[derive(Debug, Default)]
pub(super) struct NamedValues {
    compiled: OnceCell<Option<Regex>>,
}

/// A name with what joins it to its value.
#[derive(Clone, Copy, Debug)]
struct Join<'a> {
    name: &'a str,
    /// What stands before the name on its line.
    before: &'a str,
    /// `=` in any form; else a colon, which stands in prose as well.
    assigned: bool,
    /// What follows the value.
    after: &'a str,
}

impl NamedValues {
    /// `text` without the values behind telling names; `None` when there are none. `lower` is its lower case.
    pub(super) fn replace(&self, text: &str, lower: &str) -> Option<String> {
        if !PARTS.iter().any(|part| lower.contains(part)) {
            return None;
        }
        let Some(regex) = self.compiled.get_or_init(|| Regex::new(PATTERN).ok()) else {
            return Some(REDACTED.to_owned());
        };
        let mut out: Option<String> = None;
        let (mut copied, mut from) = (0, 0);
        while let Some(groups) = regex.captures_at(text, from) {
            let (Some(whole), Some(name)) = (groups.get(0), groups.get(1)) else {
                break;
            };
            let start = whole.end() + skipped(text.get(whole.end()..).unwrap_or(""));
            let rest = text.get(start..).unwrap_or("");
            let listed = text.get(..start).is_some_and(|text| text.ends_with('['));
            let items = (listed && always(name.as_str()))
                .then(|| list(rest))
                .flatten();
            let value = items.unwrap_or_else(|| value(rest));
            let line = shortly_before(text, name.start());
            let join = Join {
                name: name.as_str(),
                before: line.rsplit('\n').next().unwrap_or(""),
                assigned: text
                    .get(name.end()..whole.end())
                    .is_some_and(|join| join.contains('=')),
                after: text.get(start + value.len()..).unwrap_or(""),
            };
            from = whole.end();
            if is_secret(join, value) {
                let out = out.get_or_insert_default();
                out.push_str(text.get(copied..start).unwrap_or(""));
                out.push_str(&in_its_quotes(value));
                copied = start + value.len();
                from = copied;
            }
        }
        let mut out = out?;
        out.push_str(text.get(copied..).unwrap_or(""));
        Some(out)
    }
}

/// Some words before `at`: a whole line each time would make a long one costly.
fn shortly_before(text: &str, at: usize) -> &str {
    let start = (at.saturating_sub(32)..=at).find(|start| text.is_char_boundary(*start));
    start.and_then(|start| text.get(start..at)).unwrap_or("")
}

/// How much of `rest` stands before the value: the bracket of a list, a YAML tag.
fn skipped(rest: &str) -> usize {
    let tag = rest.strip_prefix('!').map_or(0, |tag| {
        1 + tag.bytes().take_while(u8::is_ascii_lowercase).count()
    });
    let spaces = rest
        .get(tag..)
        .map_or(0, |rest| rest.len() - rest.trim_start_matches(' ').len());
    if tag > 1 {
        return tag + spaces;
    }
    if rest.starts_with('[') && !rest.starts_with("[redacted") {
        return 1;
    }
    wrapped(rest)
}

/// How long what wraps a value in quotes is: `<<` of Erlang, `Some(` of Rust.
fn wrapped(rest: &str) -> usize {
    let word = rest.bytes().take_while(u8::is_ascii_alphabetic).count();
    let call = rest.get(word..).is_some_and(|rest| rest.starts_with("(\""));
    match rest.starts_with("<<\"") {
        true => 2,
        false if word > 0 && call => word + 1,
        false => 0,
    }
}

/// All of a list that begins before `rest`, where one fits on this line.
fn list(rest: &str) -> Option<&str> {
    let ends = |byte: &u8| matches!(byte, b']' | b'\n');
    let end = rest
        .bytes()
        .take(QUOTED_MOST)
        .position(|byte| ends(&byte))?;
    let inner = rest.get(..end)?;
    (rest.as_bytes().get(end) == Some(&b']') && inner.contains(',')).then_some(inner)
}

/// The value at the start of `rest`, with its quotes.
fn value(rest: &str) -> &str {
    for quote in ["\\\"", "\"", "'"] {
        let Some(inner) = rest.strip_prefix(quote) else {
            continue;
        };
        let end = quote_end(inner.as_bytes(), quote.as_bytes());
        return match end {
            Some(end) => rest.get(..quote.len() + end + quote.len()).unwrap_or(""),
            // Cut off: what is there, to the end of the line.
            // Cut off: what is there, to the end of the line. A space begins no secret: that is `read -p "Password: "`.
            None if quote == "\\\"" || inner.starts_with(' ') => "",
            None => inner
                .lines()
                .next()
                .map_or("", |line| rest.get(..line.len() + 1).unwrap_or("")),
        };
    }
    let mark = usize::from(rest.starts_with('[')) * REDACTED.len();
    let end = rest
        .char_indices()
        .skip_while(|(at, _)| *at < mark)
        .find(|(_, c)| {
            matches!(
                c,
                ' ' | '\t'
                    | '\r'
                    | '\n'
                    | ','
                    | ';'
                    | '&'
                    | '"'
                    | '\''
                    | '<'
                    | '>'
                    | ')'
                    | '}'
                    | ']'
            )
        })
        .map_or(rest.len(), |(at, _)| at);
    // References hold such characters themselves.
    let whole = [("${", '}'), ("$(", ')'), ("{{", '}'), ("%{", '}')]
        .iter()
        .find(|(open, _)| rest.starts_with(open))
        .and_then(|(_, close)| rest.find(*close));
    rest.get(..whole.map_or(end, |close| close + 1))
        .unwrap_or("")
}

/// Where the closing `quote` stands on this line.
fn quote_end(inner: &[u8], quote: &[u8]) -> Option<usize> {
    let mut at = 0;
    while at < QUOTED_MOST {
        match inner.get(at)? {
            _ if inner.get(at..).is_some_and(|rest| rest.starts_with(quote)) => return Some(at),
            b'\n' | b'\r' => return None,
            b'\\' if quote != b"'" => at += 2,
            _ => at += 1,
        }
    }
    None
}

fn is_secret(join: Join<'_>, value: &str) -> bool {
    let inner = bare(value);
    // A brace alone opens an object, whose members are read on their own.
    if matches!(inner, "" | "{") || is_marked(value) || is_reference(value) || is_prose(value) {
        return false;
    }
    let Some(tells) = names::tells(join.name) else {
        return false;
    };
    let last_is = |word: &str| join.name.to_ascii_lowercase().ends_with(word);
    if (last_is("key")
        || last_is("token")
        || last_is("credential")
        || last_is("credentials")
        || last_is("pwd"))
        && is_path(value)
        || last_is("pwd") && inner.starts_with('/')
    {
        return false;
    }
    let quoted = inner.len() < value.len();
    match tells {
        Tells::Secret if join.assigned || quoted => true,
        Tells::Secret => !reads_on(join, inner),
        Tells::Random if join.assigned && last_is("tokens") => !digits(inner),
        Tells::Random if join.assigned => !looks_sorted(join.name, inner),
        Tells::Random if quoted && !last_is("token") => true,
        Tells::Session => (join.assigned || quoted) && names::holds(tells, inner),
        Tells::Digits => {
            !join.before.to_ascii_lowercase().ends_with("gpio ") && names::holds(tells, inner)
        }
        Tells::Random => names::holds(tells, inner),
    }
}

/// Whatever stands behind this name is a secret.
fn always(name: &str) -> bool {
    names::tells(name) == Some(Tells::Secret)
}

fn digits(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_digit())
}

/// `SORT_KEY=name`: a key of any kind whose value is a plain word.
fn looks_sorted(name: &str, value: &str) -> bool {
    name.to_ascii_lowercase().ends_with("key") && !names::holds(Tells::Random, value)
}

/// `username and password: the registry asks for both`: a sentence that names the word and goes on.
fn reads_on(join: Join<'_>, value: &str) -> bool {
    const JOINING: [&str; 12] = [
        "and", "or", "a", "an", "the", "your", "with", "of", "no", "without", "this", "their",
    ];
    let word_before = join.before.trim_end().rsplit(' ').next().unwrap_or("");
    let plain = value
        .bytes()
        .all(|byte| byte.is_ascii_lowercase() || byte == b'-');
    let goes_on = join
        .after
        .strip_prefix(' ')
        .is_some_and(|next| next.starts_with(|c: char| c.is_ascii_alphabetic()));
    plain && goes_on && JOINING.contains(&word_before.to_ascii_lowercase().as_str())
}
