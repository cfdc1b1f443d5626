//! Secrets on command lines: which option of which program takes one.

use super::values::{bare, is_no_word, is_path, is_prose, is_reference};
use super::{Found, Shape, names};

/// A value on a command line, in quotes or without.
macro_rules! value {
    () => {
        r#"("[^"\r\n]*"|'[^'\r\n]*'|[^ \t\r\n"'|;]+)"#
    };
}

/// One row: hints, programs, and the option with all that stands between it and the secret.
macro_rules! option {
    ($hints:expr, $programs:literal, $option:literal) => {
        Shape {
            hints: $hints,
            pattern: concat!(
                r"((?-u:\b)(?:",
                $programs,
                r")(?-u:\b)[^\r\n;|]*?[ \t]",
                $option,
                ")",
                value!()
            ),
            judge: typed,
        }
    };
}

/// One row: hints, and all that stands before the secret.
macro_rules! command {
    ($hints:expr, $before:literal) => {
        Shape {
            hints: $hints,
            pattern: concat!("(", $before, ")", value!()),
            judge: typed,
        }
    };
}

pub(super) const SHAPES: &[Shape] = &[
    option!(&["mysql", "mariadb"], "mysql[a-z]*|mariadb", "-p"),
    Shape {
        hints: &["useradd", "usermod"],
        pattern: concat!(
            r"((?-u:\b)user(?:add|mod)(?-u:\b)[^\r\n;|]*?[ \t]-p[ \t]+)",
            value!()
        ),
        // `!` and `*` are no passwords.
        judge: |found| found.value.bytes().any(|b| b.is_ascii_alphanumeric()) && typed(found),
    },
    // Behind the share.
    Shape {
        hints: &["smb"],
        pattern: r"((?-u:\b)smb(?:client|get)[ \t]+//[^ \t\r\n]+[ \t]+)([^ \t\r\n;|]+)",
        judge: |found| is_no_word(found.value) && typed(found),
    },
    option!(&["sshpass"], "sshpass", r"-p[ \t]*"),
    option!(&["7z", "rar"], "7z[ar]?|u?n?rar", "-h?p"),
    option!(
        &["curl"],
        "curl",
        r#"(?:-[uU][ \t]*|--(?:proxy-)?user[ \t=]+)["']?[^ \t"':]*:"#
    ),
    option!(
        &["curl"],
        "curl",
        r#"(?:-b|--cookie)[ \t]+["']?[A-Za-z0-9_.-]+="#
    ),
    option!(&["ldap"], "ldap[a-z]+", r"-w[ \t]+"),
    option!(
        &["smb", "rpcclient", "winexe"],
        "smb[a-z]+|rpcclient|winexe",
        r#"-U[ \t]*["']?[^ \t"'%]+%"#
    ),
    option!(
        &["mosquitto_"],
        "mosquitto_(?:pub|sub|rr)",
        r"(?:-P|--pw)[ \t]+"
    ),
    option!(&["redis-cli"], "redis-cli", r"-a[ \t]+"),
    option!(&["snmp"], "snmp[a-z]+", r"-c[ \t]*"),
    option!(&["snmp"], "snmp[a-z]+", r"-A[ \t]+"),
    option!(&["snmp"], "snmp[a-z]+", r"-X[ \t]+"),
    option!(
        &["ipmitool", "sqlcmd", "bcp", "tsql", "zip"],
        "ipmitool|sqlcmd|bcp|tsql|unzip|zip",
        r"-P[ \t]*"
    ),
    option!(
        &["login"],
        r"(?:docker|podman|nerdctl|buildah|skopeo|oras|helm|az|crane)[^\r\n;|]*?[ \t]login",
        r"-p[ \t]+"
    ),
    option!(
        &["mongo", "cqlsh", "rdesktop", "rabbitmqadmin"],
        "mongo[a-z]*|cqlsh|rdesktop|rabbitmqadmin",
        r"-p[ \t]+"
    ),
    option!(&["freerdp"], "[a-z0-9]*-?[a-z]*freerdp3?", r"/p:"),
    option!(&["lftp", "ncftp"], "lftp|ncftp", r"-u[ \t]*[^ \t,]+,"),
    option!(&["pass:"], "openssl", r#"-pass(?:in|out)?[ \t]+["']?pass:"#),
    option!(&["openssl enc"], r"openssl[ \t]+enc", r"-[kK][ \t]+"),
    option!(&["ssh-keygen"], "ssh-keygen", r"-[NP][ \t]+"),
    option!(
        &["nmcli"],
        "nmcli",
        r"(?:[a-z0-9.-]*(?:password|psk|wep-key[0-9]?|\.pin))[ \t]+"
    ),
    option!(
        &["rabbitmqctl"],
        "rabbitmqctl",
        r"(?:add_user|change_password)[ \t]+[^ \t]+[ \t]+"
    ),
    command!(
        &["htpasswd"],
        r"(?-u:\b)htpasswd[ \t]+-[a-mo-zA-Z]*b[a-mo-zA-Z]*[ \t]+[^ \t]+[ \t]+[^ \t]+[ \t]+"
    ),
    command!(
        &["htpasswd"],
        r"(?-u:\b)htpasswd[ \t]+-(?:n[a-zA-Z]*b|b[a-zA-Z]*n)[a-zA-Z]*[ \t]+[^ \t]+[ \t]+"
    ),
    command!(
        &["wpa_passphrase"],
        r#"(?-u:\b)wpa_passphrase[ \t]+(?:"[^"\r\n]*"|'[^'\r\n]*'|[^ \t"'=]+)[ \t]+"#
    ),
    // Programs that set a password take the user first; the words of a sentence about one are none.
    Shape {
        hints: &["passwd"],
        pattern: r"(/[a-z]*passwd[ \t]+[A-Za-z0-9._-]+[ \t]+)([^ \t\r\n;|]+)",
        judge: |found| is_no_word(found.value) && typed(found),
    },
    command!(&["passkey"], r"(?:radius|tacacs)[ \t]+passkey[ \t]+"),
    command!(
        &["uci"],
        r"(?-u:\b)uci[ \t]+(?:-[a-z][ \t]+)*set[ \t]+[^ \t=]*\.key[1-4]?="
    ),
    command!(
        &["aws configure"],
        r"aws[ \t]+configure[ \t]+set[ \t]+[a-z_.]*(?:secret|token)[a-z_]*[ \t]+"
    ),
    Shape {
        hints: &["chpasswd"],
        pattern: r#"((?:echo|printf)[ \t]+["']?[A-Za-z0-9._-]+:)([^"' \t\r\n|]+)["']?[ \t]*\|[ \t]*(?:sudo[ \t]+)?chpasswd"#,
        judge: typed,
    },
    Shape {
        hints: &["thin:", "login", "sqlplus"],
        pattern: r"((?:thin:|(?-u:\b)login[ \t]+|sqlplus[ \t]+)[A-Za-z0-9_]+/)([^@ \t\r\n/]+)@",
        judge: typed,
    },
    Shape {
        hints: &["-u", "user"],
        pattern: r#"((?:^|[ \t])(?:-u|--user|--proxy-user)[ \t=]+["']?[A-Za-z0-9_.@-]+:)([^ \t\r\n"']+)"#,
        judge: |found| !found.value.bytes().all(|byte| byte.is_ascii_digit()) && typed(found),
    },
    // The end of a command that was cut: a port or a folder would have no letters and digits in one word.
    Shape {
        hints: &["-p "],
        pattern: r"((?:^|[\r\n])[ \t]*-p[ \t]+)([^ \t\r\n;|]+)",
        judge: |found| {
            let is_span = found.value.starts_with(|c: char| c.is_ascii_digit());
            !is_span && is_no_word(found.value) && typed(found)
        },
    },
    // Any program's `--password x`: what follows an option that is named like a secret.
    Shape {
        hints: &[
            "pass",
            "pwd",
            "-pw",
            "secret",
            "token",
            "key",
            "psk",
            "cred",
            "community",
            "-pin",
            "-puk",
        ],
        pattern: concat!(
            r#"((?:^|[ \t"'(\[,])--?[A-Za-z0-9-]*"#,
            r"(?:pass|pwd|pw|secret|token|key|Pass|Secret|Token|Key|psk|cred|community|pin|puk)[A-Za-z0-9-]*[ \t]+)",
            value!()
        ),
        judge: |found| {
            let name = found
                .prefix
                .trim_matches(|c: char| !c.is_ascii_alphanumeric());
            name.len() > 2
                && names::tells(name).is_some()
                && !found.value.starts_with('-')
                && typed(found)
        },
    },
];

/// Typed as it is: neither a variable nor a file that holds it.
fn typed(found: Found<'_>) -> bool {
    !bare(found.value).is_empty()
        && !is_reference(found.value)
        && !is_path(found.value)
        && !is_prose(found.value)
}
