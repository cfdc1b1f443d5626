#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic
)]

use proptest::prelude::*;

use super::*;

/// The hashed key of a message.
fn key(message: &str) -> String {
    let mut out = String::new();
    template_with(message, false, Only(u32::MAX), &mut out);
    out
}

fn same(a: &str, b: &str) {
    assert_eq!(key(a), key(b), "{a:?} and {b:?} are one fault");
    assert_eq!(
        fingerprint("log_error", "", a),
        fingerprint("log_error", "", b)
    );
}

fn differ(a: &str, b: &str) {
    assert_ne!(
        fingerprint("log_error", "", a),
        fingerprint("log_error", "", b),
        "{a:?} and {b:?} are two faults"
    );
}

#[test]
fn each_placeholder_has_its_type() {
    let cases = [
        ("retry 5", "retry <num>"),
        ("offset -5", "offset <num>"),
        ("load 1.52", "load <float>"),
        ("reg 0xdeadbeef", "reg <hex>"),
        ("reg deadbeef", "reg <hex>"),
        ("took 12ms", "took <duration>"),
        ("took 12 ms", "took <duration>"),
        ("read 1.5 MB", "read <size>"),
        ("free 12KiB", "free <size>"),
        ("at 2024-01-02T03:04:05.678Z", "at <time>"),
        ("at 03:04:05", "at <time>"),
        ("at Fri Jul 22 19:29:09 2005", "at <time>"),
        ("from 10.0.0.1", "from <ip>"),
        ("from 10.0.0.1:8080", "from <ip>"),
        ("from fe80::1", "from <ip>"),
        ("from 2001:db8:0:0:c6b3:1ff:fecd:467f", "from <ip>"),
        ("hw aa:bb:cc:dd:ee:ff", "hw <mac>"),
        ("hw 00:1B:44:11:3A:B7", "hw <mac>"),
        ("mail bob@example.com", "mail <mail>"),
        ("get https://example.com/a?b=c&d=1.", "get <url>."),
        ("id 550e8400-e29b-41d4-a716-446655440000", "id <uuid>"),
        ("sum d41d8cd98f00b204e9800998ecf8427e", "sum <hash>"),
        ("open /etc/passwd: denied", "open <path>: denied"),
        ("open C:\\Windows\\x.dll failed", "open <path> failed"),
        ("open ./a/b", "open <path>"),
        ("nginx.service: Failed", "<path>: Failed"),
        ("read main.conf", "read <path>"),
        ("set 'eth' up", "set '<str>' up"),
        ("set \"eth\" up", "set \"<str>\" up"),
        ("mode=fast done", "mode=<val> done"),
        ("mode = fast done", "mode = <val> done"),
        ("groups=wheel,audio end", "groups=<val> end"),
        ("enabled: true", "enabled: <val>"),
        ("flag:on", "flag:<val>"),
        ("invalid user bob", "invalid user <name>"),
        (
            "password for bob from 10.0.0.1",
            "password for <name> from <ip>",
        ),
        ("device sda is gone", "device <name> is gone"),
        ("peer ns.example.org gone", "peer <host> gone"),
        ("peer localhost gone", "peer <host> gone"),
        ("version 1.2.3", "version <version>"),
        ("version v1.2", "version <version>"),
        ("CPU: 3 PID: 812", "CPU: <num> PID: <num>"),
        ("sshd[812]: bye", "sshd[<num>]: bye"),
        ("link eth0 down", "link <id> down"),
        ("wait enable......5", "wait enable....<num>"),
        ("name=\"two words\" end", "name=\"<str>\" end"),
        (
            "{\"name\": \"two words\", \"n\": 5}",
            "{\"name\": \"<str>\", \"n\": <num>}",
        ),
        ("GET /a?b=c HTTP/1.1", "GET <path>"),
        (
            "stuck for 22s! [java:812]",
            "stuck for <duration>! [<process>]",
        ),
        (
            "Killed process 812 (java) now",
            "Killed process <num> (<name>) now",
        ),
        ("class org.example.app.Main loaded", "class <name> loaded"),
    ];
    for (message, expected) in cases {
        assert_eq!(template(message), expected, "{message:?}");
    }
}

#[test]
fn a_bound_belongs_to_its_number() {
    for (message, expected) in [
        ("closed after <1 sec", "closed after <duration>"),
        ("retry in >30s", "retry in <duration>"),
        ("drift (<5 ms)", "drift (<duration>)"),
        // Brackets and arrows are none.
        ("<6>link lost", "<<num>>link lost"),
        ("rate 5 > 3", "rate <num> > <num>"),
        ("state 3->5", "state <num>-><num>"),
        ("a <b c", "a <b c"),
    ] {
        assert_eq!(template(message), expected, "{message:?}");
    }
    same("closed after 00:02", "closed after <1 sec");
}

#[test]
fn a_number_too_wide_for_its_field_is_a_number() {
    same("speeds ( 3552 3534 3375 )", "speeds ( 3552 **** 3375 )");
    same("pressure 12 ***", "pressure 12 13");
    assert_eq!(template("**** warm start"), "**** warm start");
    assert_eq!(template("5 *** lost"), "<num> lost");
}

#[test]
fn values_before_their_labels_are_listed() {
    same(
        "vote: 1 (leader), LOOKING (state), 2 (sid)",
        "vote: 3 (leader), FOLLOWING (state), 1 (sid)",
    );
    // A lone remark in brackets makes no list.
    differ("pump stopped (manual)", "pump started (manual)");
    differ(
        "done (fast), stopped (by hand)",
        "done (fast), started: by hand",
    );
}

#[test]
fn python_writes_a_letter_before_the_quote() {
    same("image u'alpha' gone", "image u'beta' gone");
    differ("the u alpha gone", "the u beta gone");
}

#[test]
fn outcomes_stay_literal() {
    for message in [
        "main process exited, code=exited, status=203/EXEC",
        "code=killed, status=9/KILL",
        "Failed with result 'exit-code'.",
        "Result=oom-kill",
        "exit status 1",
        "exited with code 127",
        "bind: EADDRINUSE",
        "errno=98 (Address already in use)",
        "error=ECONNREFUSED",
        "execve: E2BIG",
        "No such file or directory",
        "reason=timeout",
        "msg=\"connection refused\" err=\"permission denied\"",
        "java.net.ConnectException: Connection refused",
        "using IPv6 on ext4",
        "device: No such device",
        "Level 2 not synchronized",
        "status=32/n/a",
        "{\"level\":\"error\",\"msg\":\"it said \\\"no way\\\" twice\"}",
    ] {
        assert_eq!(template(message), message);
    }
    differ("status=203/EXEC", "status=200/CHDIR");
    differ("exit status 1", "exit status 2");
    differ("err=EADDRINUSE", "err=ENOENT");
    differ(
        "{\"level\":\"error\",\"msg\":\"disk full\"}",
        "{\"level\":\"error\",\"msg\":\"disk gone\"}",
    );
}

#[test]
fn one_fault_has_one_name_whatever_stands_in_its_slots() {
    same(
        "Invalid user test9 from 10.1.2.3",
        "Invalid user webmaster from ns.example.com",
    );
    same(
        "connection from 10.0.0.1 (a.example.net)",
        "connection from 10.0.0.2 ()",
    );
    same("blocks [1, 2, 3] lost", "blocks [7] lost");
    same("wrote 1024 bytes (1.0 KB) in 5 s", "wrote 12 bytes in 3 s");
    same("waited 1 second", "waited 20 seconds");
    same("a   b\tc", "a b c");
    same("temperature +5", "temperature -5");
    same("**** end", "******** end");
    same(
        "(root) CMD (run-parts /etc/cron.hourly)",
        "(bob) CMD (cd / && ls | wc -l)",
    );
    same(
        "bob : TTY=pts/0 ; COMMAND=/bin/ls -l /",
        "bob : TTY=tty1 ; COMMAND=/usr/bin/id",
    );
    same(
        "session closed for user news",
        "session closed for user www-data",
    );
    same("dump: 00 fc fb 12", "dump: 01 ff ff fe");
    differ("user unknown", "user bob");
    differ("link is up", "link is down");
}

#[test]
fn a_host_with_its_port_is_one_slot_however_it_is_written() {
    same(
        "wpad:80 error : could not connect",
        "10.0.0.1:80 error : could not connect",
    );
    same(
        "t.co:443 close, 0 bytes",
        "play.google.com:443 close, 7 bytes",
    );
    same(
        "dial tcp broker:1883: refused",
        "dial tcp 10.0.0.1:1883: refused",
    );
    same(
        "channel on ::1#953: in use",
        "channel on 127.0.0.1#953: in use",
    );
    same("listening on :::1880", "listening on 0.0.0.0:1880");
    same("synchronized to LOCAL(0)", "synchronized to 10.0.0.1");
    // What is no host keeps its name.
    differ("errors:51 warnings:60", "retries:51 warnings:60");
    differ("at main.go:123 failed", "at other.go:123 failed in");
    differ("read meter:17 failed", "read pump:17 failed");
    differ("state FAULT(3)", "state READY(3)");
}

#[test]
fn apostrophes_open_no_quotes() {
    assert_eq!(
        template("can't do what isn't there"),
        "can't do what isn't there"
    );
}

#[test]
fn hostile_lines_are_harmless() {
    for message in [
        "", " ", "\0\0", "=", "'", "((((", "]]]]", "a:::b", "://", "=/", "%", "\u{fffd}", "k=",
        "é=ü", "+1",
    ] {
        let once = template(message);
        assert_eq!(once, template(message));
    }
    for unit in ["'a ", "a:", "/a[", "k=", "\"", "(", "1 ", "a,", "é"] {
        let long = unit.repeat(MESSAGE_CAP);
        assert!(template(&long).len() <= 16 * MESSAGE_CAP);
    }
}

#[test]
fn only_the_head_of_a_message_counts() {
    let head = "é".repeat(MESSAGE_CAP / 2);
    assert_eq!(key(&head), key(&format!("{head} and more")));
    assert_eq!(key(&format!("x{head}")), key(&format!("x{head}y")));
    assert_eq!(
        lossy_line(format!("x{head}").as_bytes()).len(),
        MESSAGE_CAP - 1
    );
    assert_eq!(lossy_line(b"a\xffb"), "a\u{fffd}b");
    let mut bytes = vec![b'a'; MESSAGE_CAP - 1];
    bytes.extend([0xff; 8]);
    assert_eq!(lossy_line(&bytes).len(), MESSAGE_CAP - 1);
}

#[test]
fn fields_do_not_run_into_one_another() {
    assert_ne!(fingerprint("a", "bc", "d"), fingerprint("ab", "c", "d"));
    assert_ne!(fingerprint("a", "b", "cd"), fingerprint("a", "bc", "d"));
}

#[test]
fn a_service_is_its_unit_and_its_program() {
    let of = |subject| fingerprint("log_error", subject, "disk is full");
    assert_eq!(of("collector"), of("collector.service"));
    assert_ne!(of("collector"), of("collector.socket"));
    assert_ne!(of(""), of(".service"));
}

/// The identity of every stored task hangs on this: a change needs a new [`ALGORITHM_VERSION`].
#[test]
fn the_hash_of_version_3_is_fixed() {
    let print = fingerprint("log_error", "", "connection from 10.0.0.1 refused");
    assert_eq!(
        print.to_string(),
        "3e184f05ed1a5853a12316cbe503a3e215e812a857a3475b339dd7d47448b067"
    );
    assert_eq!(print.to_string().parse(), Ok(print));
    assert_eq!("xyz".parse::<Fingerprint>(), Err(ParseError));
    assert_eq!("A".repeat(64).parse::<Fingerprint>(), Err(ParseError));
}

/// A message like those of programs: words, numbers, punctuation in any order.
fn message() -> impl Strategy<Value = String> {
    let part = prop_oneof![
        "[a-z]{1,9}",
        "[A-Z][a-z]{1,9}",
        "-?[0-9]{1,7}",
        "0x[0-9a-f]{1,12}",
        "[0-9]{1,3}\\.[0-9]{1,3}\\.[0-9]{1,3}\\.[0-9]{1,3}",
        "/[a-z]{1,6}/[a-z0-9]{1,6}",
        "[a-z]{1,5}=[a-z0-9]{0,5}",
        "['\"(\\[{<][a-z0-9 ]{0,8}['\")\\]}>]",
        "[,:;=|#*.+-]{1,3}",
    ];
    proptest::collection::vec(part, 0..14).prop_map(|parts| parts.join(" "))
}

proptest! {
    #[test]
    fn never_panics_and_is_pure(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        let line = lossy_line(&bytes);
        prop_assert_eq!(template(&line), template(&line));
        prop_assert_eq!(key(&line), key(&line));
    }

    #[test]
    fn never_panics_on_text(text in "\\PC{0,120}") {
        let mut out = "left over".to_owned();
        template_into(&text, &mut out);
        prop_assert_eq!(out, template(&text));
    }

    #[test]
    fn no_rule_breaks_without_another(message in message(), rules in any::<u32>()) {
        let mut out = String::new();
        template_with(&message, true, Only(rules), &mut out);
    }

    #[test]
    fn equal_templates_mean_equal_fingerprints(a in message(), b in message()) {
        if template(&a) == template(&b) {
            prop_assert_eq!(key(&a), key(&b));
        }
    }

    #[test]
    fn another_number_is_the_same_fault(words in proptest::collection::vec("[a-z]{4,9}", 2..6), a in 10u32..99999, b in 10u32..99999) {
        let text = words.join(" ");
        prop_assert_eq!(key(&format!("{text} {a} end")), key(&format!("{text} {b} end")));
        prop_assert_eq!(key(&format!("{text}[{a}]: end")), key(&format!("{text}[{b}]: end")));
    }

    #[test]
    fn plain_words_are_left_alone(words in proptest::collection::vec("[g-z]{4}", 1..9)) {
        let text = words.join(" ");
        prop_assume!(!text.contains("user") && !text.contains("host") && !text.contains("null"));
        prop_assert_eq!(template(&text), text);
    }

    #[test]
    fn a_template_of_plain_slots_is_its_own_template(words in proptest::collection::vec("[g-z]{5,9}", 1..6), n in any::<u32>()) {
        let once = template(&format!("{} {n}", words.join(" ")));
        prop_assert_eq!(template(&once), once);
    }
}
