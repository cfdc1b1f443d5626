//! Secrets that tell by their own form or by the place where they stand: keys, tokens, URLs, headers, markup,
//! configuration of known programs, SIM cards, and the ways in which messages speak of them.

use super::values::{bare, is_mixed, is_no_word, is_path, is_prose, is_reference, looks_random};
use super::{Found, Shape, names};

/// One row: hints, pattern, judge.
macro_rules! shape {
    ($hints:expr, $pattern:expr, $judge:expr) => {
        Shape {
            hints: $hints,
            pattern: $pattern,
            judge: $judge,
        }
    };
}

/// A value in quotes.
macro_rules! quoted {
    () => {
        r#"("[^"\r\n]+"|'[^'\r\n]+')"#
    };
}

/// A value in quotes or a word.
macro_rules! word {
    () => {
        r#"("[^"\r\n]+"|'[^'\r\n]+'|[^ \t\r\n"',;]+)"#
    };
}

/// `password` in the spellings that messages use.
macro_rules! password {
    () => {
        "pass(?:word|wd|wort|phrase|code)?|kennwort"
    };
}

pub(super) const SHAPES: &[Shape] = &[
    // Keys: whole block, then a block whose end was cut off.
    shape!(
        &["private key", "static key"],
        r"(-----BEGIN [A-Za-z0-9 ]*(?:PRIVATE KEY|Static key)[A-Za-z0-9 ]*-----)((?s:.)*?)-----END [A-Za-z0-9 ]*(?:PRIVATE KEY|Static key)",
        always
    ),
    shape!(
        &["private key", "static key"],
        r"(-----BEGIN [A-Za-z0-9 ]*(?:PRIVATE KEY|Static key)[A-Za-z0-9 ]*-----)((?:[ \t\r\n>|]*[A-Za-z0-9+/=]{16,})+|[ \t]+[^ \t\r\n]+)",
        always
    ),
    shape!(
        &["private-lines"],
        r"(Private-Lines:[ \t]*[0-9]+\r?\n)((?:[A-Za-z0-9+/]{16,}=*\r?\n)*[A-Za-z0-9+/]{16,}=*)",
        always
    ),
    shape!(
        &["private-mac"],
        r"(Private-MAC:[ \t]*)([0-9a-f]{20,})",
        always
    ),
    // Tokens that tell by their own form.
    shape!(
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
            "xai-",
            "pmak-",
            "rdme_",
            "sbp_",
        ],
        concat!(
            r"((?-u:\b)(?:bot)?)(",
            r"gh[pousr]_[A-Za-z0-9]{20,}|github_pat_[A-Za-z0-9_]{20,}|gl(?:pat|dt|rt|ptt|soat)-[A-Za-z0-9_-]{15,}",
            r"|(?:AKIA|ASIA|ABIA|ACCA)[A-Z0-9]{16}",
            r"|xox[abeoprs]-[A-Za-z0-9-]{10,}|xapp-[A-Za-z0-9-]{10,}",
            r"|eyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}(?:\.[A-Za-z0-9_-]*)*",
            r"|(?:sk|rk|pk)_(?:live|test)_[A-Za-z0-9]{10,}|whsec_[A-Za-z0-9+/=]{16,}",
            r"|AIza[A-Za-z0-9_-]{30,}|ya29\.[A-Za-z0-9_-]{20,}|GOCSPX-[A-Za-z0-9_-]{20,}",
            r"|npm_[A-Za-z0-9]{30,}|pypi-[A-Za-z0-9_-]{16,}|do[opr]_v1_[a-f0-9]{40,}|dckr_pat_[A-Za-z0-9_-]{20,}",
            r"|SG\.[A-Za-z0-9_-]{16,}\.[A-Za-z0-9_-]{16,}|hv[sbr]\.[A-Za-z0-9_-]{20,}|shp(?:at|ss|ca|pa)_[A-Fa-f0-9]{20,}",
            r"|hf_[A-Za-z]{30,}|glsa_[A-Za-z0-9_]{30,}|tskey-[A-Za-z0-9-]{16,}|dapi[a-f0-9]{32}|xkeysib-[a-f0-9-]{40,}",
            r"|key-[a-f0-9]{32}|SK[a-f0-9]{32}|AGE-SECRET-KEY-1[0-9A-Z]{50,}|ATATT3[A-Za-z0-9_=-]{20,}|NRAK-[A-Z0-9]{20,}",
            r"|[0-9]{8,10}:AA[A-Za-z0-9_-]{30,}|xai-[A-Za-z0-9]{40,}|PMAK-[a-f0-9]{20,}-[a-f0-9]{30,}",
            r"|rdme_[a-f0-9]{50,}|sbp_[a-f0-9]{40}",
            r")"
        ),
        always
    ),
    shape!(&["sk-"], r"((?-u:\b))(sk-[A-Za-z0-9_-]{20,})", |found| {
        looks_random(found.value)
    }),
    // Whoever hands out tokens by a prefix of his own.
    shape!(
        &["_"],
        r"((?-u:\b))([a-z][a-z0-9]{1,9}_(?:[a-z0-9]{1,8}_)?[A-Za-z0-9]{30,})(?-u:\b)",
        |found| { is_mixed(found.value) }
    ),
    // Password hashes of crypt(3), Django and LDAP.
    shape!(
        &["$"],
        r"()((?:pbkdf2_sha[0-9]+)?\$(?:1|2[abxy]|5|6|7|y|gy|apr1|argon2id?|argon2i|[0-9]{4,7})\$[./A-Za-z0-9=,$+-]{20,})",
        always
    ),
    shape!(&["{s"], r"()(\{S?SHA[0-9]*\}[A-Za-z0-9+/=]{20,})", always),
    // URLs: user and password, or a token alone where no user name is expected.
    shape!(
        &["://"],
        r#"((?-u:\b)[A-Za-z][A-Za-z0-9+.-]{1,20}://)([^/ \t\r\n"'<>@]*:[^/ \t\r\n"'<>]*)@"#,
        |found| !is_reference(found.value.rsplit(':').next().unwrap_or(""))
    ),
    shape!(
        &["://"],
        r#"((?-u:\b)(?i-u:https?)://)([^/ \t\r\n"'<>@:]+)@"#,
        always
    ),
    shape!(
        &["sip"],
        r#"((?-u:\b)sips?:)([^/ \t\r\n"'<>@:]+:[^/ \t\r\n"'<>@]+)@"#,
        always
    ),
    shape!(
        &["@tcp(", "@unix("],
        r#"((?:^|[^A-Za-z0-9_.-])[A-Za-z0-9_.-]+:)([^ \t\r\n"'@/]+)@(?:tcp|unix)\("#,
        always
    ),
    // Webhooks and pings whose path is the secret.
    shape!(
        &[
            "hooks",
            "webhook",
            "hc-ping.com",
            "pagerduty",
            "heartbeat",
            "cronitor",
            "nosnch.in",
            "/with/key/",
        ],
        concat!(
            r"(hooks\.slack\.com/services/|discord(?:app)?\.com/api/webhooks/|\.webhook\.office\.com/",
            r"|hc-ping\.com/|events\.pagerduty\.com/integration/|/heartbeat/|cronitor\.link/p/|hooks\.zapier\.com/hooks/catch/",
            r"|/api/webhook/|/hooks/|nosnch\.in/|/with/key/)([A-Za-z0-9_/@.-]*[A-Za-z0-9_@-])"
        ),
        |found| found.value.len() >= 10
    ),
    // Parameters of URLs that are no secret elsewhere.
    shape!(
        &["auth=", "sig=", "key=", "code="],
        r#"([?&](?:auth|sig|key|code)=)([^& \t\r\n"'<>#;]+)"#,
        |found| !is_prose(found.value) && (is_no_word(found.value) || looks_random(found.value))
    ),
    shape!(&["/bot"], r"(/bot[0-9]{6,12}:)([A-Za-z0-9_-]{20,})", always),
    shape!(&[";stok="], r"(;stok=)([A-Za-z0-9]+)", always),
    shape!(
        &["credential="],
        r#"(X-Amz-Credential=)([^& \t\r\n"'<>#;]+)"#,
        always
    ),
    shape!(
        &["&p="],
        r#"([?&]u=[^& \t\r\n"'<>]*&p=)([^& \t\r\n"'<>#;]+)"#,
        always
    ),
    // A part of a path that nobody would type.
    shape!(
        &["http"],
        r#"(https?://[^ \t\r\n"'<>?#]*?/)([A-Za-z0-9_-]{24,})(?:[/?# \t\r\n"'<>)]|$)"#,
        |found| is_mixed(found.value)
    ),
    // HTTP headers.
    shape!(
        &["authorization"],
        r#"((?i-u:authorization)["']?[ \t]*[:=][ \t]*["']?(?i-u:digest|aws4-hmac-sha256|oauth|hawk|sharedaccesssignature|negotiate|ntlm|signature)[ \t]+)([^\r\n']+)"#,
        always
    ),
    shape!(
        &["authorization"],
        r#"((?i-u:authorization)["']?[ \t]*[:=][ \t]*["']?(?i-u:bearer|basic|token|apikey|key)[ \t]+)([^ \t\r\n"',]+)"#,
        |found| !is_reference(found.value)
    ),
    shape!(
        &["authorization"],
        r#"((?i-u:authorization)["']?[ \t]*[:=][ \t]*["']?)([^ \t\r\n"',]+)"#,
        |found| {
            // A scheme of its own is followed by its parameters.
            found.value.len() >= 8 && looks_random(found.value) && !found.after.starts_with(' ')
        }
    ),
    shape!(
        &["cookie"],
        r#"((?-u:\b)(?i-u:set-cookie|cookie)["']?:[ \t]*["']?)([A-Za-z0-9_.%-]+=[^\r\n"']*)"#,
        always
    ),
    shape!(
        &["bearer", "basic"],
        r"((?-u:\b)(?i-u:bearer|basic)[ \t]+)([A-Za-z0-9_~+][A-Za-z0-9._~+/=-]{7,})",
        |found| looks_random(found.value) && !found.value.contains("/org/")
    ),
    // XML, where the name stands in a tag or in an attribute beside the value.
    shape!(
        &["</"],
        r"(<[A-Za-z0-9_:.-]*(?i-u:pass|pwd|secret|token|key|psk|credential)[A-Za-z0-9_.-]*(?:[ \t][^<>\r\n]*)?>)([^<>\r\n]+)</",
        |found| is_named(tag_name(found.prefix))
            && !is_prose(found.value)
            && !is_reference(found.value)
    ),
    shape!(
        &["value="],
        r#"((?:key|name)="[^"<>\r\n]*"[ \t]+value=)("[^"<>\r\n]+")"#,
        |found| is_named(attribute(found.prefix)) && !is_prose(found.value)
    ),
    shape!(
        &["</"],
        r#"((?:key|name)="[^"<>\r\n]*"[^<>\r\n]*>)([^<>\r\n]+)</"#,
        |found| is_named(attribute(found.prefix)) && !is_prose(found.value)
    ),
    shape!(
        &["<string>"],
        r"(<key>[^<>\r\n]*</key>[ \t\r\n]*<string>)([^<>\r\n]+)</",
        |found| is_named(
            found
                .prefix
                .get(5..)
                .and_then(|rest| rest.split('<').next())
                .unwrap_or("")
        )
    ),
    // Lists of words, in which a name is followed by its value: arguments as JSON, terms of Erlang.
    shape!(
        &["pass", "pwd", "secret", "psk"],
        concat!(
            r#"((?:["'][A-Za-z0-9_.-]*(?i-u:pass|pwd|secret|psk)[A-Za-z0-9_.-]*["'][ \t]*|\{[ \t]*[a-z0-9_]*(?:pass|pwd|secret|psk)[a-z0-9_]*[ \t]*),[ \t]*(?:<<)?)"#,
            quoted!()
        ),
        |found| is_named(last_name(found.prefix))
            && !is_prose(found.value)
            && !is_field(found.value)
    ),
    // An object behind a telling name, which has the value as its member.
    shape!(
        &["\"key\"", "\"value\"", "\"data\""],
        r#"("[A-Za-z0-9_.-]+"[ \t]*:[ \t]*\{[ \t\r\n]*"(?:key|value|data)"[ \t]*:[ \t]*)("[^"\r\n]+")"#,
        |found| is_named(attribute(found.prefix)) && !is_reference(found.value)
    ),
    // The second of two arguments, user first: `auth = ("gw", "x")`, `username_pw_set("gw", "x")`.
    shape!(
        &["auth", "pw", "login", "password", "credential"],
        concat!(
            r#"((?-u:\b)[A-Za-z_.]*(?i-u:auth|pw|login|password|credentials)(?:_?set)?["']?[ \t]*[:=]?[ \t]*\([ \t]*["'][^"'\r\n]*["'],[ \t]*)"#,
            quoted!()
        ),
        |found| !is_prose(found.value)
    ),
    // YAML, where the name is a value itself.
    shape!(
        &["value:"],
        concat!(
            r#"(name:[ \t]*["']?[A-Za-z0-9_.-]+["']?[ \t]*\r?\n[ \t]*value:[ \t]*)"#,
            word!()
        ),
        |found| {
            let name = found
                .prefix
                .lines()
                .next()
                .and_then(|line| line.split(':').nth(1))
                .unwrap_or("");
            is_named(bare(name.trim())) && !is_prose(found.value) && !is_reference(found.value)
        }
    ),
    // How messages speak of a secret: in quotes right behind the word, or something that is no word.
    shape!(
        &["pass", "kennwort", "psk", "identified by", "eap", "xauth"],
        concat!(
            r"((?:^|[^A-Za-z0-9_./-])(?i-u:",
            password!(),
            r"|psk|identified by|eap|xauth)[ \t]+(?:(?i-u:is|was|of)[ \t]+)?)",
            quoted!()
        ),
        |found| !is_prose(found.value) && !is_reference(found.value)
    ),
    shape!(
        &["password("],
        r#"((?i-u:password)\()('[^'\r\n]+'|"[^"\r\n]+")"#,
        always
    ),
    shape!(
        &["secret", "community"],
        concat!(
            r"((?:^|[^A-Za-z0-9_./-])(?i-u:secret|community)[ \t]+)",
            quoted!()
        ),
        |found| is_no_word(found.value) || looks_random(bare(found.value))
    ),
    shape!(
        &["pass", "kennwort", "psk", "secret"],
        concat!(
            r"((?:^|[^A-Za-z0-9_./-])(?i-u:",
            password!(),
            r#"|psk|shared[ -]secret)[ \t]+(?:(?i-u:is|was|ist|war|of|set to|changed to)[ \t]+)?)([^ \t\r\n"'=:,;]+)"#
        ),
        |found| is_no_word(found.value) && !is_path(found.value)
    ),
    shape!(
        &[
            "key to ",
            "token to ",
            "secret to ",
            "pass to ",
            "password to "
        ],
        r"((?:^|[^A-Za-z0-9_.-])[A-Za-z0-9_.-]*(?i-u:key|token|secret|pass|password)[ \t]+to[ \t]+)([^ \t\r\n,;]+)",
        |found| is_no_word(found.value)
            && is_named(found.prefix.split_whitespace().rev().nth(1).unwrap_or(""))
    ),
    // Commands of devices, several to a line: what ends there or at the next one.
    shape!(
        &["password"],
        r"((?-u:\b)(?:[A-Z][a-z]+Password[0-9]?|Password[0-9])[ \t]+)([^ \t\r\n;]+)(?:;|\r?\n|$)",
        |found| !is_prose(found.value)
    ),
    shape!(
        &["ssid"],
        r#"((?-u:\b)SSID[ \t:=]+[^\r\n]{1,40}?[ \t,](?i-u:passphrase|password|psk)[ \t:=]+)("[^"\r\n]+"|'[^'\r\n]+'|[^ \t\r\n"',;]+)"#,
        |found| !is_prose(found.value)
    ),
    shape!(
        &["token", "key"],
        r"((?-u:\b)(?i-u:token|(?:api|access|secret)[ _-]?key)[ \t]*[: \t][ \t]*)([A-Za-z0-9_.+=-]{12,})",
        |found| is_no_word(found.value)
    ),
    shape!(
        &["key"],
        r"((?i-u:private|pre-?shared|encryption|master|secret|network|link|session|app|root)[ -](?i-u:key)[ \t]*[:=][ \t]*)([A-Za-z0-9+/_-]{20,}=*)",
        always
    ),
    // Keys of networks and devices, and who is logged in, without an assignment.
    shape!(
        &[
            "key",
            "wpa_psk",
            "password for",
            "enable ",
            "session",
            "sid",
            "sessid"
        ],
        concat!(
            r"((?-u:\b)(?:(?i-u:(?:pre-?shared|wep|wi-?fi|wlan|(?:radius|tacacs)-server)[ -]key|wpa_psk|enable (?:secret|password)",
            r"|session[ _-]?id|sessid|sid)|(?i-u:password for) [^ \t\r\n:]+:)[ \t]*[: \t][ \t]*(?:is[ \t]+|[0-9][ \t]+)?)",
            word!()
        ),
        |found| is_no_word(found.value)
    ),
    shape!(
        &["ssid"],
        r#"("ssid"[ \t]*:[ \t]*"[^"\r\n]*"[^{}\r\n]*?"key"[ \t]*:[ \t]*)("[^"\r\n]+")"#,
        always
    ),
    shape!(
        &["login "],
        r"((?-u:\b)(?:LOGIN[ \t]+[^ \t\r\n]+|vault[ \t]+login)[ \t]+)([^ \t\r\n]+)",
        |found| is_no_word(found.value) && !found.value.starts_with("tty")
    ),
    shape!(
        &["code"],
        r"((?i-u:one-time|verification|security|2fa|mfa|sms)[ -](?i-u:code)[ \t]*(?:[:=]|is)[ \t]*)([A-Za-z0-9-]{4,12})",
        |found| found.value.bytes().any(|byte| byte.is_ascii_digit())
    ),
    shape!(
        &["password"],
        concat!(
            r"((?-u:\b)login[ \t]+[^ \t\r\n]+[ \t]+password[ \t]+)",
            word!()
        ),
        always
    ),
    // Directives of configuration files, at the start of a line.
    shape!(
        &[
            "requirepass",
            "masterauth",
            "_pass",
            "_psk",
            "rootpw",
            "bindpw",
            "_password"
        ],
        concat!(
            r"(?m)(^[ \t]*(?:requirepass|masterauth|auth_pass|remote_password|bridge_psk|rootpw|bindpw)[ \t]+)",
            word!()
        ),
        |found| !is_reference(found.value)
    ),
    shape!(
        &["community", "com2sec"],
        r"((?-u:\b)(?:r[ow]community6?|com2sec6?[ \t]+[^ \t\r\n]+[ \t]+[^ \t\r\n]+|snmp-server community|snmp community (?:add|del|replace))[ \t]+)([^ \t\r\n]+)",
        always
    ),
    shape!(
        &["createuser"],
        concat!(
            r"(createUser[ \t]+[^ \t\r\n]+[ \t]+[A-Z0-9-]+[ \t]+)",
            word!()
        ),
        always
    ),
    shape!(
        &["chap", "pap"],
        r#"((?-u:\b)[cp]h?ap-secrets[^:\r\n]{0,20}:[ \t]*[^ \t\r\n]+[ \t]+[^ \t\r\n]+[ \t]+)([^ \t\r\n]+)"#,
        always
    ),
    // With the letters beside the numbers, and on the lines below when it is long.
    shape!(
        &["hexdump"],
        r"((?-u:\b)(?i-u:psk|pmk|ptk|passphrase|password|key|eap-[a-z0-9]+:[ \t]*response)[^\r\n]{0,40}hexdump(?:_ascii)?\([^)\r\n]*\):[ \t]*(?:\r?\n[ \t]+)?)([0-9a-f]{2}(?:[ ][0-9a-f]{2}){3,}(?:[ \t]{2,}[^\r\n]+)?(?:\r?\n[ \t]+[0-9a-f]{2}(?:[ ][0-9a-f]{2})*(?:[ \t]{2,}[^\r\n]+)?)*)",
        always
    ),
    // Who logs in, as servers tell it.
    shape!(
        &["login "],
        r"(Login (?:incorrect|OK)[^\r\n]*\[[^/\]\r\n]*/)([^\]\r\n]+)\]",
        |found| !found.value.starts_with('<')
    ),
    shape!(
        &["pass "],
        r#"((?:["']|-->|>>>|<-|C:|(?-u:\b)command:)[ \t]*PASS[ \t]+)([^ \t\r\n"']+)"#,
        always
    ),
    shape!(
        &["auth "],
        r"((?-u:\b)AUTH (?:PLAIN|LOGIN|XOAUTH2|CRAM-MD5)[ \t]+)([A-Za-z0-9+/]{8,}={0,2})",
        |found| looks_random(found.value)
    ),
    // SIM cards and modems.
    shape!(
        &["pin", "puk"],
        r"((?-u:\b)(?:PIN|PUK|(?i-u:sim[ _-]?pin|sim[ _-]?puk|gsm\.pin))[0-9]?[ \t,]+)([0-9]{4,8})(?-u:\b)",
        always
    ),
    // What is typed after it, as `PIN 1234 tulpe42`.
    shape!(
        &["pin", "puk"],
        r"((?-u:\b)(?:PIN|PUK)[0-9]?[ \t,]+(?:[0-9]{4,8}|\[redacted\])[ \t]+)([^ \t\r\n;|]+)",
        |found| is_no_word(found.value)
    ),
    shape!(
        &["pin", "puk"],
        r"((?-u:\b)(?i-u:sim[ _-]pin|sim[ _-]puk)[0-9]?[ \t]*[:=][ \t]*)([0-9]{4,8})",
        always
    ),
    shape!(
        &["pin", "passkey"],
        r"((?-u:\b)(?:PIN(?: code)?|[Pp]asskey)[^\r\n]{0,40}?(?:[ \t]is|[=:])[ \t]*)([0-9]{4,8})(?-u:\b)",
        always
    ),
    shape!(&["cpin"], r#"(AT\+CPIN="?)([0-9]{4,8})"#, always),
    shape!(
        &["cgauth", "qcpdpp"],
        r#"(AT[+$](?:CGAUTH|QCPDPP)=[0-9]+,[0-9]+,)("[^"\r\n]+")"#,
        always
    ),
    // Names of networks and hosts come first in these, then user and password.
    shape!(
        &["at+", "at^", "at$", "at#"],
        r#"(AT[+^$#](?:CWJAP|CWSAP|QICSGP|XGAUTH|QMTCONN|CSTT|CLCK|CPWD|CMQTTCONNECT|UAUTHREQ|CNCFG)(?:_[A-Z]+)?=[^"\r\n]*"[^"\r\n]*"[^"\r\n]*)("[^\r\n]*")"#,
        always
    ),
];

/// The last word of a list before what follows it.
fn last_name(prefix: &str) -> &str {
    let name = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-');
    let end = prefix.trim_end_matches(|c| !name(c));
    end.rsplit(|c| !name(c)).next().unwrap_or("")
}

/// Names the field of a form instead of filling it: `["password", "email"]`.
fn is_field(value: &str) -> bool {
    const FIELDS: [&str; 11] = [
        "user", "username", "login", "email", "name", "host", "hostname", "port", "url",
        "remember", "token",
    ];
    let lower = bare(value).to_ascii_lowercase();
    FIELDS.contains(&lower.as_str()) || is_named(&lower)
}

fn always(_: Found<'_>) -> bool {
    true
}

/// A value behind this name is a secret.
fn is_named(name: &str) -> bool {
    names::tells(name).is_some()
}

/// `ns:name` of the tag `<ns:name attr="x">`, without its name space.
fn tag_name(tag: &str) -> &str {
    let name = tag
        .trim_start_matches('<')
        .split([' ', '\t', '>'])
        .next()
        .unwrap_or("");
    name.rsplit(':').next().unwrap_or(name)
}

/// The first value in quotes.
fn attribute(prefix: &str) -> &str {
    prefix.split('"').nth(1).unwrap_or("")
}
