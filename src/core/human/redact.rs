//! Takes secrets out of text before it leaves the box: tokens, passwords, private keys, URLs with credentials.
//!
//! Every pattern runs in linear time. When in doubt about a value behind a telling name, it goes; when in doubt
//! about a word of prose, it stays. Redacting twice changes nothing.

use std::cell::OnceCell;

use regex::{Captures, Regex};

/// What stands in place of a secret.
pub const REDACTED: &str = "[redacted]";

/// Decides whether what a pattern found is a secret: (kept prefix, value).
type Judge = fn(&str, &str) -> bool;

/// Hints, pattern, judge. Group 1 (may be empty) is kept, group 2 is the secret. ASCII only: the build carries no
/// Unicode tables. A pattern is compiled only for a text that holds one of its hints (lower case): compiling all
/// costs more than reading most texts.
const RULES: &[(&[&str], &str, Judge)] = &[
    // Private keys: whole block, then a block whose end was cut off.
    (
        &["private key"],
        r"(-----BEGIN [A-Z0-9 ]*PRIVATE KEY[A-Z ]*-----)((?s:.)*?)-----END [A-Z0-9 ]*PRIVATE KEY[A-Z ]*-----",
        always,
    ),
    (
        &["private key"],
        r"(-----BEGIN [A-Z0-9 ]*PRIVATE KEY[A-Z ]*-----)((?:[ \t\r\n>|]*[A-Za-z0-9+/=]{16,})+)",
        always,
    ),
    // Tokens that tell by their own form.
    (
        &[
            "gh",
            "github_pat_",
            "gl",
            "akia",
            "asia",
            "abia",
            "acca",
            "xox",
            "xapp-",
            "eyj",
            "sk",
            "rk_",
            "pk_",
            "whsec_",
            "aiza",
            "ya29.",
            "gocspx-",
            "npm_",
            "pypi-",
            "_v1_",
            "dckr_pat_",
            "sg.",
            "hvs.",
            "hvb.",
            "hvr.",
            "shp",
            "hf_",
            "dapi",
            "xkeysib-",
            "key-",
            "atatt3",
            "nrak-",
            ":aa",
        ],
        concat!(
            r"((?-u:\b))(",
            r"gh[pousr]_[A-Za-z0-9]{20,}|github_pat_[A-Za-z0-9_]{20,}|gl(?:pat|dt|rt|ptt|soat)-[A-Za-z0-9_-]{15,}",
            r"|(?:AKIA|ASIA|ABIA|ACCA)[A-Z0-9]{16}",
            r"|xox[abeoprs]-[A-Za-z0-9-]{10,}|xapp-[A-Za-z0-9-]{10,}",
            r"|eyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}(?:\.[A-Za-z0-9_-]*)*",
            r"|(?:sk|rk|pk)_(?:live|test)_[A-Za-z0-9]{10,}|whsec_[A-Za-z0-9+/=]{16,}|sk-[A-Za-z0-9_-]{20,}",
            r"|AIza[A-Za-z0-9_-]{30,}|ya29\.[A-Za-z0-9_-]{20,}|GOCSPX-[A-Za-z0-9_-]{20,}",
            r"|npm_[A-Za-z0-9]{30,}|pypi-[A-Za-z0-9_-]{16,}|do[opr]_v1_[a-f0-9]{40,}|dckr_pat_[A-Za-z0-9_-]{20,}",
            r"|SG\.[A-Za-z0-9_-]{16,}\.[A-Za-z0-9_-]{16,}|hv[sbr]\.[A-Za-z0-9_-]{20,}|shp(?:at|ss|ca|pa)_[A-Fa-f0-9]{20,}",
            r"|hf_[A-Za-z]{30,}|glsa_[A-Za-z0-9_]{30,}|tskey-[A-Za-z0-9-]{16,}|dapi[a-f0-9]{32}|xkeysib-[a-f0-9-]{40,}",
            r"|key-[a-f0-9]{32}|SK[a-f0-9]{32}|AGE-SECRET-KEY-1[0-9A-Z]{50,}|ATATT3[A-Za-z0-9_=-]{20,}|NRAK-[A-Z0-9]{20,}",
            r"|[0-9]{8,10}:AA[A-Za-z0-9_-]{30,}",
            r")"
        ),
        always,
    ),
    // Webhooks whose path is the secret.
    (
        &["hooks.slack.com", "webhook"],
        r"(hooks\.slack\.com/services/|discord(?:app)?\.com/api/webhooks/|\.webhook\.office\.com/)([A-Za-z0-9_/@.-]{16,})",
        always,
    ),
    // Password hashes of crypt(3).
    (
        &["$"],
        r"()(\$(?:1|2[abxy]|5|6|7|y|gy|argon2id?|argon2i)\$[./A-Za-z0-9=,$+-]{20,})",
        always,
    ),
    // URLs: user and password, or a token alone where no user name is expected.
    (
        &["://"],
        r#"((?-u:\b)[A-Za-z][A-Za-z0-9+.-]{1,20}://)([^/ \t\r\n"'<>@]*:[^/ \t\r\n"'<>]*)@"#,
        always,
    ),
    (
        &["://"],
        r#"((?-u:\b)(?i-u:https?)://)([^/ \t\r\n"'<>@:]+)@"#,
        always,
    ),
    // HTTP headers.
    (
        &["authorization"],
        r#"((?i-u:authorization)["']?[ \t]*[:=][ \t]*["']?(?:(?i-u:bearer|basic|token|digest|negotiate|apikey)[ \t]+)?)([^ \t\r\n"',]+)"#,
        not_redacted,
    ),
    (
        &["cookie"],
        r"((?-u:\b)(?i-u:set-cookie|cookie):[ \t]*)([^\r\n]+)",
        not_redacted,
    ),
    (
        &["bearer", "basic"],
        r"((?-u:\b)(?i-u:bearer|basic)[ \t]+)([A-Za-z0-9_~+][A-Za-z0-9._~+/=-]{7,})",
        looks_random,
    ),
    // Command lines.
    (
        &["pass", "secret", "token", "key", "psk"],
        r#"(--?[A-Za-z0-9-]*(?i-u:password|passwd|passphrase|secret|token|api-?key|private-?key|psk)[ \t]+)("[^"\r\n]*"|'[^'\r\n]*'|[^ \t\r\n"'-][^ \t\r\n"']*)"#,
        not_redacted,
    ),
    (
        &["sshpass"],
        r#"((?-u:\b)sshpass[ \t]+-p[ \t]*)("[^"\r\n]*"|'[^'\r\n]*'|[^ \t\r\n"']+)"#,
        not_redacted,
    ),
    (
        &["-u", "user"],
        r#"((?:^|[ \t])(?:-u|--user|--proxy-user)[ \t=]+["']?[A-Za-z0-9_.@-]+:)([^ \t\r\n"']+)"#,
        not_numeric,
    ),
    // name = value, "name": "value", name: value.
    (
        &[
            "pass",
            "pwd",
            "secret",
            "token",
            "key",
            "psk",
            "credential",
            "community",
            "signature",
        ],
        concat!(
            r#"((?:^|[^A-Za-z0-9_./-])["']?[A-Za-z0-9_.-]*"#,
            r"(?i-u:passw(?:or)?d|passphrase|passwort|pwd|secret|token|api[_-]?key|access[_-]?key|account[_-]?key",
            r"|shared[_-]?key|private[_-]?key|encryption[_-]?key|signing[_-]?key|master[_-]?key|wep[_-]?key|sas[_-]?key",
            r"|psk|credentials?|community|signature)",
            r#"[A-Za-z0-9_.-]*\\?["']?[ \t]*(?:=>|:=|=|:)[ \t]*)"#,
            r#"(\\"[^"\r\n]*\\"|"(?:[^"\\\r\n]|\\.)*"|'[^'\r\n]*'|[^ \t\r\n,;&"'<>)}]+)"#,
        ),
        named_value,
    ),
    // SIM cards.
    (
        &["pin", "puk"],
        r"((?-u:\b)(?i-u:sim[_-]?)?(?i-u:pin|puk)[0-9]?[ \t]*[:=][ \t]*)([0-9]{4,8})",
        always,
    ),
];

fn always(_: &str, _: &str) -> bool {
    true
}

fn not_redacted(_: &str, value: &str) -> bool {
    !bare(value).is_empty() && !bare(value).starts_with(REDACTED.trim_end_matches(']'))
}

fn not_numeric(_: &str, value: &str) -> bool {
    !value.bytes().all(|byte| byte.is_ascii_digit()) && not_redacted("", value)
}

/// `value` without its quotes.
fn bare(value: &str) -> &str {
    value.trim_matches(|c| matches!(c, '"' | '\'' | '\\'))
}

/// More like base64 or hex than like a word or a path.
fn looks_random(_: &str, value: &str) -> bool {
    let digits = value.bytes().filter(u8::is_ascii_digit).count();
    let inner_upper = value.bytes().skip(1).any(|byte| byte.is_ascii_uppercase());
    let lower = value.bytes().any(|byte| byte.is_ascii_lowercase());
    digits >= 2 || value.ends_with('=') || (inner_upper && lower)
}

/// Endings of names whose values are about a secret, but are none.
const HARMLESS_ENDINGS: &[&str] = &[
    "file",
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
];

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
];

/// A value behind a telling name.
fn named_value(prefix: &str, value: &str) -> bool {
    let inner = bare(value);
    if !not_redacted(prefix, value) || inner.bytes().all(|byte| byte == b'*') {
        return false;
    }
    let assigned = prefix.contains('=');
    let name = prefix
        .trim_end_matches(|c: char| " \t=:>\"'\\".contains(c))
        .trim_start_matches(|c: char| !c.is_ascii_alphanumeric())
        .to_ascii_lowercase();
    if HARMLESS_ENDINGS.iter().any(|ending| name.ends_with(ending))
        || PROSE.contains(&inner.to_ascii_lowercase().as_str())
    {
        return false;
    }
    if name.ends_with("tokens") && inner.bytes().all(|byte| byte.is_ascii_digit()) {
        return false;
    }
    if name.ends_with("pwd") && inner.starts_with('/') {
        return false;
    }
    let quoted = inner.len() < value.len();
    if assigned || quoted && name != "token" {
        return true;
    }
    // `token: x`, `signature: x`: parsers and verifiers speak like this too.
    let wordy = [
        "token",
        "signature",
        "community",
        "credential",
        "credentials",
    ];
    !wordy.iter().any(|word| name.ends_with(word))
        || inner.len() >= 8 && looks_random(prefix, inner)
}

/// [`Redactor::redact`] for a single text.
#[cfg(test)]
pub fn redact(text: &str) -> String {
    Redactor::new().redact(text)
}

/// The patterns, compiled as they are needed. All together take some hundred KB: make one, use it, drop it.
#[derive(Debug)]
pub struct Redactor {
    /// One per rule. An inner `None` is a pattern that does not compile, which a test excludes.
    compiled: Vec<OnceCell<Option<Regex>>>,
}

impl Default for Redactor {
    fn default() -> Self {
        Self::new()
    }
}

impl Redactor {
    pub fn new() -> Self {
        Self {
            compiled: RULES.iter().map(|_| OnceCell::new()).collect(),
        }
    }

    /// `text` with every recognised secret replaced by [`REDACTED`].
    pub fn redact(&self, text: &str) -> String {
        let mut text = text.to_owned();
        let lower = text.to_ascii_lowercase();
        for ((hints, pattern, judge), cell) in RULES.iter().zip(&self.compiled) {
            if !hints.iter().any(|hint| lower.contains(hint)) {
                continue;
            }
            let Some(regex) = cell.get_or_init(|| Regex::new(pattern).ok()) else {
                // Rather nothing than a text that was not looked through.
                return REDACTED.to_owned();
            };
            let changed = regex.replace_all(&text, |found: &Captures<'_>| replace(found, *judge));
            if let std::borrow::Cow::Owned(changed) = changed {
                text = changed;
            }
        }
        text
    }
}

fn replace(found: &Captures<'_>, judge: Judge) -> String {
    let group = |index| found.get(index).map_or("", |part| part.as_str());
    let (whole, prefix, value) = (group(0), group(1), group(2));
    if !judge(prefix, value) {
        return whole.to_owned();
    }
    // What follows group 2 within the match (an `@`, an end line) is kept as well.
    let rest = whole.get(prefix.len() + value.len()..).unwrap_or("");
    let quote = ["\\\"", "\"", "'"]
        .into_iter()
        .find(|quote| {
            value.len() >= 2 * quote.len() && value.starts_with(quote) && value.ends_with(quote)
        })
        .unwrap_or("");
    format!("{prefix}{quote}{REDACTED}{quote}{rest}")
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// Texts are put together at run time, so that no scanner takes this file for a leak.
    pub(crate) fn secrets() -> Vec<(String, String)> {
        let a = |n: usize| "aB3dE5fG7h".chars().cycle().take(n).collect::<String>();
        let hex = |n: usize| {
            "0123456789abcdef"
                .chars()
                .cycle()
                .take(n)
                .collect::<String>()
        };
        let up = |n: usize| "A1B2C3D4E5".chars().cycle().take(n).collect::<String>();
        let letters = |n: usize| "abCdeFghij".chars().cycle().take(n).collect::<String>();
        let mut all: Vec<(String, String)> = Vec::new();
        let mut add = |before: &str, secret: String, after: &str| {
            all.push((format!("{before}{secret}{after}"), secret));
        };
        for (prefix, tail) in [
            ("ghp_", a(36)),
            ("gho_", a(36)),
            ("ghu_", a(36)),
            ("ghs_", a(36)),
            ("ghr_", a(36)),
            ("github_pat_", a(80)),
            ("glpat-", a(20)),
            ("glrt-", a(20)),
            ("AKIA", up(16)),
            ("ASIA", up(16)),
            ("xoxb-", a(40)),
            ("xoxp-", a(40)),
            ("xapp-", a(40)),
            ("sk_live_", a(24)),
            ("rk_test_", a(24)),
            ("whsec_", a(32)),
            ("sk-", a(48)),
            ("sk-proj-", a(48)),
            ("AIza", a(35)),
            ("ya29.", a(60)),
            ("GOCSPX-", a(28)),
            ("npm_", a(36)),
            ("pypi-", a(80)),
            ("dop_v1_", hex(64)),
            ("dckr_pat_", a(27)),
            ("hvs.", a(90)),
            ("shpat_", hex(32)),
            ("hf_", letters(34)),
            ("glsa_", a(32)),
            ("tskey-auth-", a(24)),
            ("dapi", hex(32)),
            ("xkeysib-", hex(64)),
            ("key-", hex(32)),
            ("SK", hex(32)),
            ("AGE-SECRET-KEY-1", up(58)),
            ("ATATT3", a(60)),
            ("NRAK-", up(27)),
            ("110201543:AA", a(33)),
        ] {
            add("connect with ", format!("{prefix}{tail}"), " failed");
        }
        add("sent ", format!("SG.{}.{}", a(22), a(43)), ".");
        add(
            "jwt ",
            format!("eyJ{}.eyJ{}.{}", a(20), a(40), a(43)),
            " rejected",
        );
        add(
            "POST https://hooks.slack.com/services/",
            format!("T{}/B{}/{}", up(8), up(8), a(24)),
            "",
        );
        add(
            "https://discord.com/api/webhooks/",
            format!("123456789/{}", a(60)),
            "",
        );
        add("root:", format!("$6$saltsalt${}", a(86)), ":19000:0");
        add("hash ", format!("$2b$12${}", a(53)), "");
        for url in [
            "https",
            "postgres",
            "mqtt",
            "amqp",
            "ftp",
            "redis",
            "rtsp",
            "mongodb+srv",
        ] {
            add(
                &format!("dial {url}://"),
                "admin:hunter2".to_owned(),
                "@db.local:5432/x",
            );
        }
        add("clone https://", a(20), "@git.example/x.git");
        add("redis://", ":pa@ss".to_owned(), "@cache:6379");
        for header in [
            "Authorization: Bearer ",
            "authorization: token ",
            "Authorization: Basic ",
            "Proxy-Authorization: Basic ",
            "\"Authorization\": \"Bearer ",
            "X-Api-Key: ",
            "X-Auth-Token: ",
            "Cookie: session=",
            "Set-Cookie: id=",
            "using bearer ",
            "Basic ",
        ] {
            add(header, a(32), "");
        }
        for (before, after) in [
            ("password=", " next"),
            ("DB_PASSWORD=", ""),
            ("passwd=", ";"),
            ("PASSPHRASE=", ""),
            ("pwd=", "&x=1"),
            ("client_secret=", "&grant=1"),
            ("api_key=", ""),
            ("apikey: ", ""),
            ("access_token=", ""),
            ("wpa_psk=", ""),
            ("AccountKey=", ";EndpointSuffix=x"),
            ("SharedAccessKey=", ""),
            ("aws_secret_access_key = ", ""),
            ("PrivateKey = ", ""),
            ("PresharedKey = ", ""),
            ("{\"password\": \"", "\"}"),
            ("{\"token\":\"", "\"}"),
            ("'secret' => '", "'"),
            ("{\\\"password\\\":\\\"", "\\\"}"),
            ("secret: ", ""),
            ("password: ", ""),
            ("wep_key0=", ""),
            ("credentials=", ""),
            ("community=", ""),
            ("X-Amz-Signature=", "&x"),
            ("mysql --password ", " -h x"),
            ("tool --api-key ", ""),
            ("--token=", ""),
            ("sshpass -p ", " ssh x"),
            ("curl -u admin:", " https://x"),
            ("curl --user=admin:", ""),
        ] {
            add(before, "Hunter2Hunter2".to_owned(), after);
        }
        add("password: ", "hunter".to_owned(), "");
        add("password = \"", "two words".to_owned(), "\"");
        add("SIM PIN: ", "1234".to_owned(), "");
        add("puk=", "12345678".to_owned(), "");
        for kind in ["", "RSA ", "EC ", "OPENSSH ", "ENCRYPTED "] {
            let body = format!("{}\n{}", a(64), a(64));
            all.push((
                format!("x\n-----BEGIN {kind}PRIVATE KEY-----\n{body}\n-----END {kind}PRIVATE KEY-----\ny"),
                body.clone(),
            ));
            all.push((format!("x -----BEGIN {kind}PRIVATE KEY-----\n{body}"), body));
        }
        all
    }

    #[test]
    fn every_shape_is_taken_out_and_stays_out() {
        let redactor = Redactor::new();
        let all = secrets();
        assert!(all.len() >= 100, "{}", all.len());
        for (text, secret) in all {
            let once = redactor.redact(&text);
            assert!(!once.contains(secret.as_str()), "{text:?} became {once:?}");
            assert!(once.contains(REDACTED), "{text:?} became {once:?}");
            assert_eq!(redactor.redact(&once), once, "{text:?}");
        }
    }

    #[test]
    fn every_pattern_compiles() {
        for (hints, pattern, _) in RULES {
            assert!(Regex::new(pattern).is_ok(), "{pattern}");
            assert!(hints.iter().all(|hint| *hint == hint.to_ascii_lowercase()));
        }
    }

    #[test]
    fn surroundings_stay() {
        let redactor = Redactor::new();
        for (text, want) in [
            ("user=a password=b c", "user=a password=[redacted] c"),
            (
                "{\"password\": \"b\", \"port\": 1}",
                "{\"password\": \"[redacted]\", \"port\": 1}",
            ),
            ("mqtt://u:p@h:1883/t", "mqtt://[redacted]@h:1883/t"),
            ("curl -u a:b https://x", "curl -u a:[redacted] https://x"),
        ] {
            assert_eq!(redactor.redact(text), want);
        }
    }

    #[test]
    fn prose_and_facts_stay() {
        let redactor = Redactor::new();
        let hash = "0123456789abcdef".repeat(4);
        for text in [
            "Failed password for root from 10.0.0.7 port 4711 ssh2",
            "unexpected token: expected identifier",
            "syntax error: unexpected token '}' at line 3",
            "cat: /etc/passwd: No such file or directory",
            "passwd:         files systemd",
            "PasswordAuthentication=no",
            "password: incorrect",
            "token_file=/etc/autonomous-orchestrator/token",
            "token_type=session max_tokens=4096",
            "bearer /org/freedesktop/ModemManager1/Bearer/0 connected",
            "Basic functionality restored",
            "PWD=/srv/app",
            "ssh://git@host.example/x.git",
            "http://127.0.0.1:8080/health@v1",
            "listen tcp 0.0.0.0:8080: bind: address already in use",
            "docker run -u 1000:1000 image",
            "GPIO pin: 17",
            "status=203/EXEC Result=exit-code",
            "started 12:34:56 mac 00:11:22:33:44:55 uuid 123e4567-e89b-12d3-a456-426614174000",
            hash.as_str(),
            "systemd[1]: Starting Forward Password Requests to Wall Directory Watch...",
            "/usr/lib/systemd/systemd-ask-password --wall",
            "credentials: not found",
            "",
        ] {
            assert_eq!(redactor.redact(text), text);
        }
    }

    #[test]
    fn long_hostile_text_ends_in_time() {
        let redactor = Redactor::new();
        for unit in [
            "-----BEGIN PRIVATE KEY-----",
            "password=",
            "a:",
            "https://a:",
            "eyJ.",
            "\"\\",
        ] {
            let _ = redactor.redact(&unit.repeat(20_000));
        }
    }
}
