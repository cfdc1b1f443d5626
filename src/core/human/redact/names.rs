//! Which names are those of secrets. A name is read as its words: `dbPassword`, `DB_PASSWORD` and `db.password` are
//! `db` and `password`.

use super::values::{is_no_word, looks_random};

/// How much a name tells about the value behind it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Tells {
    /// Whatever stands there is a secret.
    Secret,
    /// Parsers and verifiers use the word as well: only what is no word.
    Random,
    /// Of a session: not a small number.
    Session,
    /// Four to eight digits.
    Digits,
}

/// Last words of names of secrets.
const WORDS: &[(&str, Tells)] = &[
    ("password", Tells::Secret),
    ("passwords", Tells::Secret),
    ("passwd", Tells::Secret),
    ("passphrase", Tells::Secret),
    ("passcode", Tells::Secret),
    ("passwort", Tells::Secret),
    ("kennwort", Tells::Secret),
    ("senha", Tells::Secret),
    ("parola", Tells::Secret),
    ("wachtwoord", Tells::Secret),
    ("passord", Tells::Secret),
    ("contrasena", Tells::Secret),
    ("contraseña", Tells::Secret),
    ("пароль", Tells::Secret),
    ("密码", Tells::Secret),
    ("pass", Tells::Secret),
    ("pwd", Tells::Secret),
    ("pw", Tells::Secret),
    ("secret", Tells::Secret),
    ("token", Tells::Random),
    ("tokens", Tells::Random),
    ("psk", Tells::Secret),
    ("apikey", Tells::Secret),
    ("credential", Tells::Random),
    ("credentials", Tells::Random),
    ("community", Tells::Random),
    ("signature", Tells::Random),
    ("otp", Tells::Random),
    ("pat", Tells::Random),
    ("sid", Tells::Session),
    ("session", Tells::Session),
    ("sessionid", Tells::Session),
    ("phpsessid", Tells::Session),
    ("jsessionid", Tells::Session),
    ("pin", Tells::Digits),
    ("puk", Tells::Digits),
];

/// What glued names end in: `dbpassword`, `keystorepass`.
const ENDINGS: &[&str] = &[
    "password",
    "passwd",
    "passphrase",
    "passwort",
    "secret",
    "token",
    "apikey",
    "accesskey",
    "secretkey",
    "privatekey",
    "presharedkey",
    "authkey",
    "encryptionkey",
    "networkkey",
    "appkey",
    "nwkkey",
    "skey",
    "dbpass",
    "userpass",
    "adminpass",
    "rootpass",
    "authpass",
    "privpass",
    "storepass",
    "keypass",
    "bindpw",
    "rootpw",
    "adminpw",
    "sessionid",
    "connectionstring",
    "_pwd",
    "authtok",
];

/// Two words that make a name, where each alone does not.
const PAIRS: &[(&str, &[&str], Tells)] = &[
    (
        "key",
        &[
            "api",
            "access",
            "account",
            "shared",
            "private",
            "encryption",
            "signing",
            "master",
            "wep",
            "sas",
            "secret",
            "license",
            "auth",
            "preshared",
            "subscription",
            "app",
            "stripe",
            "session",
            "service",
            "client",
            "deploy",
            "crypt",
            "cipher",
            "aes",
            "hmac",
            "jwt",
            "storage",
            "webhook",
            "network",
            "nwk",
            "s",
            "link",
        ],
        Tells::Secret,
    ),
    ("id", &["session"], Tells::Session),
    ("base", &["key"], Tells::Secret),
    ("string", &["connection"], Tells::Secret),
    ("passe", &["de"], Tells::Secret),
    ("code", &["time"], Tells::Random),
    ("signature", &["amz"], Tells::Secret),
];

/// Last words of names whose values are about a secret, but are none.
const HARMLESS: &[&str] = &[
    "file",
    "files",
    "path",
    "dir",
    "directory",
    "type",
    "name",
    "length",
    "len",
    "count",
    "expires",
    "expiry",
    "expired",
    "ttl",
    "age",
    "policy",
    "required",
    "authentication",
    "status",
    "error",
    "manager",
    "service",
    "endpoint",
    "algorithm",
    "encryption",
    "min",
    "max",
    "days",
    "warn",
    "ref",
    "flags",
    "bucket",
    "limit",
    "second",
    "size",
    "url",
    "uri",
    "timeout",
    "mode",
    "format",
    "provider",
    "source",
    "attempts",
    "retries",
    "enabled",
    "disabled",
    "strength",
    "reset",
    "change",
    "check",
    "prompt",
    "stdin",
    "id",
    "through",
    "class",
    "field",
    "lifetime",
    "store",
    "helper",
    "mgmt",
    "management",
    "scheme",
    "version",
    "hint",
    "rotation",
    "interval",
    "scope",
    "issuer",
    "lock",
];

/// Words within a name that make what follows them its secret, unless its last word is harmless.
const WITHIN: &[&str] = &["password", "passwd", "passphrase", "psk", "secret", "token"];

/// What `name` tells; `None` = nothing.
pub(super) fn tells(name: &str) -> Option<Tells> {
    let words = words(name);
    let mut words: Vec<&str> = words.iter().map(String::as_str).collect();
    // `wep_key0`, `psk2`, `X-Hub-Signature-256`.
    while words.len() > 1
        && words
            .last()
            .is_some_and(|word| word.bytes().all(|b| b.is_ascii_digit()))
    {
        words.pop();
    }
    let last = words.last()?.trim_end_matches(|c: char| c.is_ascii_digit());
    let before = words
        .len()
        .checked_sub(2)
        .and_then(|at| words.get(at))
        .copied();
    let pair = PAIRS.iter().find(|(word, firsts, _)| {
        *word == last && before.is_some_and(|first| firsts.contains(&first))
    });
    if let Some((.., tells)) = pair {
        return Some(*tells);
    }
    if HARMLESS.contains(&last) {
        return None;
    }
    if let Some((_, tells)) = WORDS.iter().find(|(word, _)| *word == last) {
        // Several words are a name that somebody gave; a single one may be a word of prose.
        let named = words.len() > 1 && *tells == Tells::Random && last != "tokens";
        return Some(if named { Tells::Secret } else { *tells });
    }
    if ENDINGS.iter().any(|ending| last.ends_with(ending)) {
        return Some(Tells::Secret);
    }
    if words.len() > 1 && words.iter().any(|word| WITHIN.contains(word)) {
        return Some(Tells::Secret);
    }
    // `STRIPE_KEY=`, `KEY_ID`: any key of capital letters that holds no word.
    (last == "key" && before.is_some() && !name.bytes().any(|b| b.is_ascii_lowercase()))
        .then_some(Tells::Random)
}

/// True if `value` is what `tells` says of it.
pub(super) fn holds(tells: Tells, value: &str) -> bool {
    match tells {
        Tells::Secret => true,
        Tells::Random => is_no_word(value) || value.len() >= 8 && looks_random(value),
        Tells::Session => value.len() >= 5 && !value.bytes().all(|byte| byte.is_ascii_digit()),
        Tells::Digits => {
            (4..=8).contains(&value.len()) && value.bytes().all(|b| b.is_ascii_digit())
        }
    }
}

/// The words of a name, in lower case.
fn words(name: &str) -> Vec<String> {
    let mut words: Vec<String> = Vec::new();
    let mut small = false;
    for c in name.chars() {
        if matches!(c, '_' | '-' | '.') {
            small = false;
            words.push(String::new());
            continue;
        }
        let begins = small && c.is_ascii_uppercase();
        if begins || words.is_empty() {
            words.push(String::new());
        }
        if let Some(word) = words.last_mut() {
            word.push(c.to_ascii_lowercase());
        }
        small = c.is_ascii_lowercase();
    }
    words.retain(|word| !word.is_empty());
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_as_their_words() {
        assert_eq!(words("dbPassword"), ["db", "password"]);
        assert_eq!(words("DB_PASSWORD.x-y"), ["db", "password", "x", "y"]);
        for name in [
            "monkey",
            "compass",
            "bypass",
            "author",
            "keyboard",
            "password_file",
            "tokenizer",
        ] {
            assert_eq!(tells(name), None, "{name}");
        }
        assert_eq!(tells("X-Token"), Some(Tells::Secret));
        assert_eq!(tells("token"), Some(Tells::Random));
    }
}
