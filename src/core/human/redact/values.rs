//! What a value looks like: a reference, a word of prose, something that nobody would type as a word.

use super::REDACTED;

/// Already taken out: the mark, or a word that holds it. A longer text that holds it may hold more.
pub(super) fn is_marked(value: &str) -> bool {
    let inner = bare(value);
    inner.starts_with(REDACTED)
        || inner.starts_with("[redacted") && !inner.contains(' ')
        || inner.len() == value.len()
            && inner.contains(REDACTED)
            && !inner.contains(char::is_whitespace)
}

/// `value` without its quotes.
pub(super) fn bare(value: &str) -> &str {
    value.trim_matches(|c| matches!(c, '"' | '\'' | '\\'))
}

/// The mark, in the quotes that `value` had.
pub(super) fn in_its_quotes(value: &str) -> String {
    let quote = ["\\\"", "\"", "'"]
        .into_iter()
        .find(|quote| {
            value.len() >= 2 * quote.len() && value.starts_with(quote) && value.ends_with(quote)
        })
        .unwrap_or("");
    format!("{quote}{REDACTED}{quote}")
}

/// Names where the value is instead of being it: `$PASS`, `${db.password}`, `{{ password }}`, `%{env.KEY}`.
pub(super) fn is_reference(value: &str) -> bool {
    let value = bare(value);
    if let Some(name) = value.strip_prefix('$') {
        let one_case = |upper: bool| {
            !name.is_empty()
                && name.bytes().all(|byte| match byte {
                    b'_' => true,
                    b'0'..=b'9' => upper,
                    _ if upper => byte.is_ascii_uppercase(),
                    _ => byte.is_ascii_lowercase(),
                })
        };
        return name.starts_with(['{', '(']) || one_case(true) || one_case(false);
    }
    value.starts_with("{{")
        || value.starts_with("%{")
        || value.starts_with("%(")
        || matches!(value, "%s" | "%d" | "%v" | "~" | "-" | "..." | "…")
}

/// A file: below one of the folders that every Linux has, in lower case.
pub(super) fn is_path(value: &str) -> bool {
    const ROOTS: [&str; 14] = [
        "/etc/", "/run/", "/root/", "/var/", "/home/", "/opt/", "/srv/", "/usr/", "/tmp/", "/mnt/",
        "/data/", "/proc/", "~/", "./",
    ];
    // `token:/etc/app/token`, `file:/etc/pw`.
    let value = bare(value);
    let place = value.rsplit(':').next().unwrap_or(value);
    ROOTS
        .iter()
        .any(|root| value.starts_with(root) || place.starts_with(root))
}

/// More like base64 or hex than like a word or a path.
pub(super) fn looks_random(value: &str) -> bool {
    let digits = value.bytes().filter(u8::is_ascii_digit).count();
    let inner_upper = value.bytes().skip(1).any(|byte| byte.is_ascii_uppercase());
    let lower = value.bytes().any(|byte| byte.is_ascii_lowercase());
    digits >= 2 || value.ends_with('=') || (inner_upper && lower)
}

/// Small and capital letters and at least three digits: no name of a file, a unit or a page is so mixed.
pub(super) fn is_mixed(value: &str) -> bool {
    value.bytes().filter(u8::is_ascii_digit).count() >= 3
        && value.bytes().any(|byte| byte.is_ascii_lowercase())
        && value.bytes().any(|byte| byte.is_ascii_uppercase())
}

/// Letters and digits in one word, as passwords have and words have not; no algorithm, address, span or size.
pub(super) fn is_no_word(value: &str) -> bool {
    const ALGORITHMS: [&str; 16] = [
        "md", "sha", "hmac", "aes", "ntlm", "pbkdf", "bcrypt", "argon", "scrypt", "base", "utf",
        "oauth", "x509", "tls", "ssl", "http",
    ];
    let value = bare(value).trim_end_matches(['.', ',', ';', ':', ')', '!', '?']);
    let lower = value.to_ascii_lowercase();
    let letters = value.bytes().filter(u8::is_ascii_alphabetic).count();
    let digits = value.bytes().filter(u8::is_ascii_digit).count();
    value.len() >= 6
        && letters >= 2
        && digits >= 1
        && !value.contains(['/', '(', '{', '=', ':'])
        && !ALGORITHMS.iter().any(|name| lower.starts_with(name))
}

/// Words that follow `password:` or `token:` in messages, in lower case.
const PROSE: &[&str] = &[
    "true",
    "false",
    "yes",
    "no",
    "none",
    "null",
    "nil",
    "on",
    "off",
    "unset",
    "empty",
    "not",
    "is",
    "was",
    "the",
    "a",
    "an",
    "for",
    "of",
    "in",
    "incorrect",
    "invalid",
    "wrong",
    "bad",
    "missing",
    "required",
    "expired",
    "failed",
    "failure",
    "denied",
    "unknown",
    "unexpected",
    "expected",
    "permission",
    "authentication",
    "files",
    "compat",
    "unsupported",
    "error",
    "cannot",
    "could",
    "must",
    "user",
    "end",
    "eof",
    "found",
    "changed",
    "updated",
    "prompt",
    "available",
    "unavailable",
    "too",
    "does",
    "has",
    "illegal",
    "operation",
    "connection",
    "timeout",
    "refused",
    "disabled",
    "enabled",
    "optional",
    "supported",
    "removed",
    "hidden",
    "masked",
    "undefined",
    "string",
    "default",
    "scram-sha-256",
    "md5",
    "sha512",
    "filtered",
    "password",
    "store",
    "plain",
];

/// A word that says something about a secret.
pub(super) fn is_prose(value: &str) -> bool {
    let lower = bare(value)
        .trim_matches(['[', ']', '<', '>', '(', ')', '.'])
        .to_ascii_lowercase();
    lower.is_empty() || lower.bytes().all(|byte| byte == b'*') || PROSE.contains(&lower.as_str())
}
