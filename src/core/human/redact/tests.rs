#![allow(clippy::unwrap_used)]
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
            format!(
                "x\n-----BEGIN {kind}PRIVATE KEY-----\n{body}\n-----END {kind}PRIVATE KEY-----\ny"
            ),
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

/// `{a36}` and the like in the table: made here, so that no scanner takes it for a leak.
fn filled(text: &str) -> String {
    let kinds: [(&str, &str); 6] = [
        ("b64_", "aB3dE5fG7h+/"),
        ("hex", "0123456789abcdef"),
        ("up", "A1B2C3D4E5"),
        ("let", "abCdeFghij"),
        ("a", "aB3dE5fG7h"),
        ("low", "ab3de5fg7h"),
    ];
    let mut out = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('{') {
        out.push_str(before);
        let made = after.split_once('}').and_then(|(name, tail)| {
            kinds.iter().find_map(|(kind, letters)| {
                let count: usize = name.strip_prefix(kind)?.parse().ok()?;
                let padded = usize::from(*kind == "b64_");
                let mut made: String = letters.chars().cycle().take(count - padded).collect();
                made.push_str(&"=".repeat(padded));
                Some((made, tail))
            })
        });
        let (made, tail) = made.unwrap_or_else(|| ("{".to_owned(), after));
        out.push_str(&made);
        rest = tail;
    }
    out.push_str(rest);
    out.replace("\\\\", "\u{0}")
        .replace("\\n", "\n")
        .replace("\\t", "\t")
        .replace('\u{0}', "\\")
}

/// Kind, input, expected.
fn table() -> Vec<(&'static str, String, String)> {
    include_str!("../../../../tests/fixtures/redaction.tsv")
        .lines()
        .filter(|line| !line.starts_with('#'))
        .map(|line| {
            let fields: Vec<&str> = line.split('\t').collect();
            let [kind, input, expected] = fields.try_into().unwrap();
            let expected = if expected == "=" { input } else { expected };
            (kind, filled(input), filled(expected))
        })
        .collect()
}

#[test]
fn every_row_of_the_table_comes_out_as_it_says() {
    let redactor = Redactor::new();
    let rows = table();
    let mut wrong = Vec::new();
    for (kind, input, expected) in &rows {
        let once = redactor.redact(input);
        if once != *expected {
            wrong.push(format!("{kind}: {input:?} became {once:?}"));
        }
    }
    for keep in [false, true] {
        let of = |kind: &str| kind.starts_with("keep-") == keep;
        let all = rows.iter().filter(|(kind, ..)| of(kind)).count();
        let bad = wrong.iter().filter(|line| of(line)).count();
        let what = if keep { "kept" } else { "redacted" };
        println!("{what}: {} of {all} as they should be", all - bad);
    }
    assert!(wrong.is_empty(), "{:#?}", wrong);
}

/// What of one row of the examination came out otherwise; `None` when nothing did.
fn examined(redactor: &Redactor, row: &str) -> Option<String> {
    let fields: Vec<String> = row.split('\t').map(filled).collect();
    let (kind, input) = (fields.first()?, fields.get(1)?);
    let out = redactor.redact(input);
    let right = match (fields.get(2), fields.get(3)) {
        (Some(secrets), Some(left)) => {
            !secrets.split(';').any(|secret| out.contains(secret)) && out.contains(left)
        }
        _ => out == *input,
    };
    (!right).then(|| format!("{kind}: {out}"))
}

#[test]
fn the_examination_written_before_the_code_was_read_is_passed() {
    let redactor = Redactor::new();
    let rows: Vec<&str> = include_str!("../../../../tests/fixtures/redaction_exam.tsv")
        .lines()
        .filter(|line| !line.starts_with('#'))
        .collect();
    let wrong: Vec<String> = rows
        .iter()
        .filter_map(|row| examined(&redactor, row))
        .collect();
    println!(
        "{} of {} as they should be",
        rows.len() - wrong.len(),
        rows.len()
    );
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn every_pattern_compiles() {
    for Shape { hints, pattern, .. } in shapes() {
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

/// How much longer a line sixteen times as long may take: linear is 16, quadratic 256.
const GROWTH_MOST: u32 = 64;

/// Processor time of this thread: what else runs on the machine does not count.
fn cpu_time() -> std::time::Duration {
    let clock = nix::time::ClockId::CLOCK_THREAD_CPUTIME_ID;
    nix::time::clock_gettime(clock).unwrap().into()
}

/// Least of three, so that one page fault decides nothing.
fn cost(redactor: &Redactor, line: &str) -> std::time::Duration {
    let once = |_| {
        let start = cpu_time();
        let _ = redactor.redact(line);
        cpu_time().saturating_sub(start)
    };
    (0..3).map(once).min().unwrap()
}

#[test]
fn a_hostile_line_costs_by_its_length() {
    let redactor = Redactor::new();
    let mut units: Vec<String> = [
        "-----BEGIN PRIVATE KEY-----",
        "password=",
        "password=\"",
        "password \"a",
        "a:",
        "https://a:",
        "https://a/b/",
        "eyJ.",
        "\"\\",
        "%25",
        "%2",
        "\\u00",
        "mysql -p",
        "curl -u a:b ",
        "docker login docker ",
        "<password>",
        "name: a\nvalue: ",
        "token ",
        "[",
        "a_",
    ]
    .map(str::to_owned)
    .into();
    units.extend(
        table()
            .into_iter()
            .step_by(12)
            .map(|(_, input, _)| input + " "),
    );
    let line_of = |unit: &str, length: usize| unit.repeat(length / unit.len());
    for unit in units {
        let short = cost(&redactor, &line_of(&unit, 1_024));
        let long = cost(&redactor, &line_of(&unit, 16_384));
        assert!(
            long < short * GROWTH_MOST,
            "{unit:?}: {short:?}, sixteen times as long {long:?}"
        );
    }
}

#[test]
fn twice_is_the_same_as_once_for_every_row() {
    let redactor = Redactor::new();
    for (_, input, _) in table() {
        let once = redactor.redact(&input);
        assert_eq!(redactor.redact(&once), once, "{input:?}");
    }
}

proptest::proptest! {
    #![proptest_config(proptest::prelude::ProptestConfig::with_cases(128))]

    /// Pieces of the table in any order, joined by what joins names and values.
    #[test]
    fn twice_is_the_same_as_once(
        pieces in proptest::collection::vec((0_usize..10_000, 0_usize..200, 0_usize..200, 0_usize..12), 1..8)
    ) {
        let rows = table();
        let joins = [" ", "=", ":", ": ", "\"", "'", "\n", "", "[redacted]", "&", "%3D", " -p"];
        let mut text = String::new();
        for (row, start, end, join) in pieces {
            let (_, input, _) = rows.get(row % rows.len()).unwrap();
            let letters: Vec<char> = input.chars().collect();
            let (start, end) = (start.min(letters.len()), end.min(letters.len()));
            text.extend(letters.get(start.min(end)..start.max(end)).unwrap());
            text.push_str(joins.get(join).unwrap());
        }
        let redactor = Redactor::new();
        let once = redactor.redact(&text);
        proptest::prop_assert_eq!(redactor.redact(&once), once, "{:?}", text);
    }
}
