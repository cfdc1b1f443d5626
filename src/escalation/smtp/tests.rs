#![allow(clippy::unwrap_used)]
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::TcpListener;
use std::sync::atomic::Ordering;
use std::thread::JoinHandle;

use proptest::prelude::*;

use super::*;

const OFFERS: &str = "250-mail.test hello\r\n250-SIZE 1000\r\n250 AUTH LOGIN PLAIN\r\n";

#[test]
fn a_reply_is_read_with_all_its_lines() {
    let (reply, length) = read_reply(OFFERS.as_bytes()).unwrap().unwrap();
    assert_eq!(length, OFFERS.len());
    assert_eq!(reply.code, 250);
    assert_eq!(reply.offer("size"), Some("1000"));
    assert_eq!(reply.offer("AUTH"), Some("LOGIN PLAIN"));
    assert_eq!(reply.offer("STARTTLS"), None);
    // Its name offers nothing.
    assert_eq!(reply.offer("mail.test"), None);
    let (reply, length) = read_reply(b"250\n354 go\r\n").unwrap().unwrap();
    assert_eq!((reply.code, length), (250, 4));
    assert_eq!(reply.lines, [""]);
    let (reply, _) = read_reply(b"550 \xff\r\n").unwrap().unwrap();
    assert_eq!(reply.lines, ["\u{fffd}"]);
}

#[test]
fn a_torn_reply_is_none_yet() {
    let two = format!("{OFFERS}354 more\r\n");
    for end in 0..two.len() {
        let read = read_reply(two.get(..end).unwrap().as_bytes()).unwrap();
        assert_eq!(read.is_some(), end >= OFFERS.len(), "{end}");
    }
}

#[test]
fn what_is_no_reply_or_too_long_is_refused() {
    for malformed in [
        "hello\r\n",
        "25\r\n",
        "2x0 a\r\n",
        "250_a\r\n",
        "199 a\r\n",
        "600 a\r\n",
        "\r\n",
        "250-a\r\n251 b\r\n",
        "+50 a\r\n",
    ] {
        let read = read_reply(malformed.as_bytes());
        assert_eq!(read, Err(ReplyError::Malformed), "{malformed:?}");
    }
    let most = format!("250 {}\r\n", "x".repeat(LINE_MOST - 5));
    assert!(read_reply(most.as_bytes()).unwrap().is_some());
    for long in [
        format!("250 {}\r\n", "x".repeat(LINE_MOST)),
        "2".repeat(LINE_MOST + 1),
        "250-x\r\n".repeat(LINES_MOST + 1),
    ] {
        assert_eq!(read_reply(long.as_bytes()), Err(ReplyError::TooLong));
    }
}

proptest! {
    #[test]
    fn whatever_comes_is_bounded(bytes in prop::collection::vec(any::<u8>(), 0..3_000)) {
        if let Ok(Some((reply, length))) = read_reply(&bytes) {
            prop_assert!(length <= bytes.len() && reply.lines.len() <= LINES_MOST);
        }
    }

    #[test]
    fn lines_of_replies_torn_and_mixed(
        text in "((250|354|5[0-9]{2})[ -][a-z ]{0,9}\r?\n|[a-z]{0,4}\n?){0,6}", cut in any::<prop::sample::Index>()
    ) {
        let whole = read_reply(text.as_bytes());
        let begin = text.as_bytes().split_at(cut.index(text.len() + 1)).0;
        // What was read of a part is what is read of the whole.
        match read_reply(begin) {
            Ok(None) => {}
            other => prop_assert_eq!(other, whole),
        }
    }

    #[test]
    fn no_line_of_a_mail_ends_it(text in "[\r\n.a]{0,40}") {
        let sent = String::from_utf8(stuffed(&text)).unwrap();
        prop_assert!(sent.ends_with("\r\n"));
        for line in sent.strip_suffix("\r\n").unwrap().split("\r\n") {
            prop_assert!(line != "." && !line.contains(['\r', '\n']), "{:?}", sent);
        }
    }
}

#[test]
fn a_mail_travels_with_whole_lines_and_doubled_dots() {
    for (mail, sent) in [
        ("a: b\n\nc", "a: b\r\n\r\nc\r\n"),
        ("a\r\n.\r\nb\n..\n", "a\r\n..\r\nb\r\n...\r\n"),
        ("a\r.b", "a\r\n..b\r\n"),
        ("", "\r\n"),
    ] {
        assert_eq!(stuffed(mail), sent.as_bytes(), "{mail:?}");
    }
}

#[test]
fn base64_is_that_of_the_rfc() {
    for (text, told) in [
        ("", ""),
        ("f", "Zg=="),
        ("fo", "Zm8="),
        ("foo", "Zm9v"),
        ("foobar", "Zm9vYmFy"),
        ("\0u\0p?~", "AHUAcD9+"),
    ] {
        assert_eq!(base64(text.as_bytes()), told);
    }
}

#[test]
fn an_address_that_is_none_never_gets_on_the_line() {
    let to = |address: &str| unfit("a@b.example", &[address.to_owned()], "x");
    assert_eq!(to("ann@c.example"), None);
    let long = "x".repeat(ADDRESS_MOST + 1);
    for bad in [
        "",
        "a b@c",
        "a@b>\r\nRCPT TO:<c@d",
        "a@b\n",
        "a@b\0",
        "<a@b>",
        "a@b\t",
        "ä@b",
        &long,
    ] {
        assert!(to(bad).is_some(), "{bad:?}");
        assert!(unfit(bad, &["a@b".to_owned()], "x").is_some(), "{bad:?}");
    }
    let mail = |text: &str| unfit("a@b", &["c@d".to_owned()], text);
    assert!(mail("ä").is_some() && mail("\0").is_some());
    assert!(mail(&"x".repeat(MAIL_LINE_MOST + 1)).is_some());
    assert_eq!(mail(&"x".repeat(MAIL_LINE_MOST)), None);
    assert!(unfit("a@b", &[], "x").is_some());
}

/// A server that answers each line by `answer`, `.` being the end of a mail; an empty answer ends the connection.
fn peer(
    greeting: &'static str,
    answer: impl Fn(&str) -> String + Send + 'static,
) -> (Server, JoinHandle<Vec<String>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let server = Server {
        address: listener.local_addr().unwrap().to_string(),
        security: Security::Plain,
        user: String::new(),
        password: None,
        hello: "gw.example".to_owned(),
        timeout: Duration::from_secs(20),
        stop: Arc::default(),
    };
    let thread = std::thread::spawn(move || {
        let (socket, _) = listener.accept().unwrap();
        let mut out = socket.try_clone().unwrap();
        let mut said = Vec::new();
        let mut in_mail = false;
        out.write_all(greeting.as_bytes()).unwrap();
        for line in BufReader::new(socket).lines().map_while(Result::ok) {
            said.push(line.clone());
            if in_mail && line != "." {
                continue;
            }
            let reply = answer(&line);
            in_mail = reply.starts_with("354");
            if reply.is_empty() || out.write_all(reply.as_bytes()).is_err() {
                break;
            }
        }
        said
    });
    (server, thread)
}

fn tls() -> Tls {
    Tls::new("").unwrap()
}

const MAIL: &str = "Subject: x\n\n.hidden\nend\n";

fn send(server: &Server) -> Result<String, MailError> {
    let to = ["ann@c.example", "bob@c.example"].map(str::to_owned);
    server.send(&tls(), "gw@b.example", &to, MAIL)
}

/// What a server that has no wishes of its own says.
fn good(line: &str) -> String {
    match line {
        "DATA" => "354 go\r\n".to_owned(),
        "QUIT" => "221 bye\r\n".to_owned(),
        "." => "250 2.0.0 taken as 17\r\n".to_owned(),
        line if line.starts_with("EHLO") => OFFERS.to_owned(),
        _ => "250 fine\r\n".to_owned(),
    }
}

#[test]
fn a_mail_is_sent_line_by_line() {
    let (server, thread) = peer("220-mail.test\r\n220 ready\r\n", good);
    assert_eq!(send(&server).unwrap(), "250 2.0.0 taken as 17");
    let said = thread.join().unwrap();
    let mail = ["Subject: x", "", "..hidden", "end", "."];
    let mut wanted = vec![
        "EHLO gw.example",
        "MAIL FROM:<gw@b.example> SIZE=29",
        "RCPT TO:<ann@c.example>",
        "RCPT TO:<bob@c.example>",
        "DATA",
    ];
    wanted.extend(mail);
    wanted.push("QUIT");
    assert_eq!(said, wanted);
}

#[test]
fn an_old_server_is_greeted_in_the_old_way() {
    let (mut server, thread) = peer("220 old\r\n", |line| match line {
        line if line.starts_with("EHLO") => "500 what\r\n".to_owned(),
        line => good(line),
    });
    server.hello = "no name".to_owned();
    assert!(server.check(&tls()).unwrap().starts_with("250 "));
    assert_eq!(
        thread.join().unwrap(),
        ["EHLO [127.0.0.1]", "HELO [127.0.0.1]", "QUIT"]
    );
}

/// What the server answers to lines that begin so, and what becomes of the mail.
#[test]
fn each_refusal_has_its_meaning() {
    let later = MailError::Later as fn(String) -> MailError;
    let denied = MailError::Denied as fn(String) -> MailError;
    let refused = MailError::Refused as fn(String) -> MailError;
    for (at, reply, meaning) in [
        ("EHLO", "421 busy", later),
        ("MAIL", "451 4.3.0 try again", later),
        ("MAIL", "530 5.7.0 sign in first", denied),
        ("MAIL", "553 5.1.8 no such sender", denied),
        ("MAIL", "552 5.3.4 too big", refused),
        ("RCPT", "450 4.2.0 greylisted", later),
        ("RCPT", "550 5.1.1 no such user", denied),
        ("RCPT", "550 5.7.1 not you", denied),
        ("RCPT", "550 relay not permitted", denied),
        ("RCPT", "421 4.3.2 shutting down", later),
        ("DATA", "451 no room", later),
        ("DATA", "554 no", refused),
        (".", "452 4.3.1 no room", later),
        (".", "554 5.7.1 looks like spam", refused),
        // It says so to everything: nothing of the mail was heard, or nobody knows.
        ("DATA", "250 ok", later),
        (".", "354 go on", MailError::Unknown),
    ] {
        let (server, thread) = peer("220 hello\r\n", move |line| {
            if line.starts_with(at) {
                format!("{reply}\r\n")
            } else {
                good(line)
            }
        });
        assert_eq!(
            send(&server),
            Err(meaning(reply.to_owned())),
            "{at} {reply}"
        );
        thread.join().unwrap();
    }
}

#[test]
fn of_several_refusals_the_one_that_can_be_mended_counts() {
    for (ann, bob, is_later) in [
        ("550 5.1.1 unknown", "450 later", true),
        ("450 later", "550 5.7.1 not you", true),
        ("550 5.1.1 unknown", "550 5.7.1 not you", false),
    ] {
        let (server, thread) = peer("220 hello\r\n", move |line| match line {
            "RCPT TO:<ann@c.example>" => format!("{ann}\r\n"),
            "RCPT TO:<bob@c.example>" => format!("{bob}\r\n"),
            line => good(line),
        });
        let error = send(&server).unwrap_err();
        match is_later {
            true => assert!(matches!(error, MailError::Later(_)), "{error}"),
            false => assert!(matches!(error, MailError::Denied(_)), "{error}"),
        }
        assert!(!thread.join().unwrap().contains(&"DATA".to_owned()));
    }
}

#[test]
fn a_refused_recipient_is_named_and_the_others_have_their_mail() {
    let (server, thread) = peer("220 hello\r\n", |line| match line {
        "RCPT TO:<ann@c.example>" => "550 5.1.1 unknown\r\n".to_owned(),
        line => good(line),
    });
    assert_eq!(
        send(&server).unwrap(),
        "250 2.0.0 taken as 17; not to ann@c.example (550 5.1.1 unknown)"
    );
    assert!(thread.join().unwrap().contains(&"..hidden".to_owned()));
}

#[test]
fn where_it_broke_off_tells_whether_the_mail_may_have_arrived() {
    let closed = |at: &'static str| {
        let (server, thread) = peer("220 hello\r\n", move |line| match line {
            line if line.starts_with(at) => String::new(),
            line => good(line),
        });
        let error = send(&server).unwrap_err();
        thread.join().unwrap();
        error
    };
    for early in ["EHLO", "MAIL", "RCPT", "DATA"] {
        assert!(matches!(closed(early), MailError::NotSent(_)), "{early}");
    }
    assert!(matches!(closed("."), MailError::Unknown(_)));
    // Something else than a mail server, and one that does not want to be one.
    for greeting in ["HTTP/1.1 400 \r\n", "554 no\r\n", "220 \u{7}\r\n250"] {
        let (server, thread) = peer(greeting, |_| String::new());
        assert!(
            matches!(send(&server), Err(MailError::NotSent(_))),
            "{greeting}"
        );
        thread.join().unwrap();
    }
    let (mut server, thread) = peer("220 hello\r\n", good);
    server.address = "127.0.0.1:9".to_owned();
    assert!(matches!(send(&server), Err(MailError::NotSent(_))));
    server.address = "no port".to_owned();
    assert!(matches!(send(&server), Err(MailError::NotSent(_))));
    drop(thread);
}

#[test]
fn a_mail_too_large_is_not_begun() {
    let (server, thread) = peer("220 hello\r\n", good);
    let to = ["ann@c.example".to_owned()];
    let error = server
        .send(&tls(), "gw@b.example", &to, &"x\n".repeat(600))
        .unwrap_err();
    assert_eq!(
        error.to_string(),
        "refused: a mail of 1800 bytes: the server takes 1000"
    );
    assert_eq!(thread.join().unwrap(), ["EHLO gw.example", "QUIT"]);
}

#[test]
fn neither_password_nor_user_goes_out_in_the_clear() {
    let (mut server, _thread) = peer("220 hello\r\n", good);
    server.user = "gw".to_owned();
    server.password = Some(Secret::new("s3cret-word"));
    assert!(matches!(send(&server), Err(MailError::Denied(_))));
    server.password = None;
    assert!(matches!(send(&server), Err(MailError::Denied(_))));
    server.security = Security::StartTls;
    assert!(matches!(send(&server), Err(MailError::Denied(_))));
}

#[test]
fn without_starttls_nothing_more_is_said() {
    let (mut server, thread) = peer("220 hello\r\n", good);
    server.security = Security::StartTls;
    let error = send(&server).unwrap_err();
    assert!(
        matches!(&error, MailError::NotSent(why) if why.contains("STARTTLS")),
        "{error}"
    );
    assert_eq!(thread.join().unwrap(), ["EHLO gw.example"]);
}

/// CVE-2011-0411, the other way round: replies from before the handshake are not heard after it.
#[test]
fn what_was_said_before_the_handshake_is_not_heard_after_it() {
    for more in ["250 forged\r\n", "2"] {
        let (mut server, thread) = peer("220 hello\r\n", move |line| match line {
            "STARTTLS" => format!("220 go\r\n{more}"),
            _ => "250-mail\r\n250 STARTTLS\r\n".to_owned(),
        });
        server.security = Security::StartTls;
        let error = send(&server).unwrap_err();
        assert!(
            matches!(&error, MailError::NotSent(why) if why.contains("before TLS")),
            "{error}"
        );
        assert_eq!(thread.join().unwrap(), ["EHLO gw.example", "STARTTLS"]);
    }
}

/// A dialog with a password over a connection in the clear, which `Server` alone never makes.
fn authenticated(
    mechanisms: &'static str,
    user: &str,
    password: &str,
    answer: impl Fn(&str) -> String + Send + 'static,
) -> (Result<(), MailError>, Vec<String>) {
    let (mut server, thread) = peer("220 hello\r\n", answer);
    server.user = user.to_owned();
    let mut dialog = Dialog::begin(&server, &tls()).unwrap();
    let offers = MailReply {
        code: 250,
        lines: vec!["name".to_owned(), mechanisms.to_owned()],
    };
    let done = dialog.authenticate(&offers, &Secret::new(password));
    drop(dialog);
    (done, thread.join().unwrap())
}

#[test]
fn the_password_is_given_as_the_server_takes_it() {
    let ask = |line: &str| match line {
        "AHUAcA==" | "cA==" => "235 welcome\r\n".to_owned(),
        _ => "334 more\r\n".to_owned(),
    };
    let (done, said) = authenticated("AUTH LOGIN plain", "u", "p", ask);
    assert_eq!(
        (done, said),
        (Ok(()), vec!["AUTH PLAIN".to_owned(), "AHUAcA==".to_owned()])
    );
    let (done, said) = authenticated("AUTH=LOGIN", "u", "p", ask);
    assert_eq!(done, Ok(()));
    assert_eq!(said, ["AUTH LOGIN", "dQ==", "cA=="]);
    let (done, said) = authenticated("AUTH CRAM-MD5 XOAUTH2", "u", "p", ask);
    assert!(matches!(done, Err(MailError::Denied(_))), "{done:?}");
    assert_eq!(said, Vec::<String>::new());
}

#[test]
fn a_server_that_repeats_the_password_is_not_quoted() {
    let password = "correct horse battery";
    let both = base64(format!("\0gw\0{password}").as_bytes());
    for words in [
        format!("no such word: {password}"),
        format!("unknown command {both}"),
        "wrong: CORRECT HORSE...".to_owned(),
        format!("unknown command {}", both.get(4..16).unwrap()),
    ] {
        let said = words.clone();
        let (done, _) = authenticated("AUTH PLAIN", "gw", password, move |line| {
            if line.starts_with("AUTH") {
                "334 \r\n".to_owned()
            } else {
                format!("535 5.7.8 {said}\r\n")
            }
        });
        assert_eq!(
            done,
            Err(MailError::Denied("535 [redacted]".to_owned())),
            "{words}"
        );
    }
    let (done, _) = authenticated("AUTH PLAIN", "gw", password, |line| {
        let code = if line.starts_with("AUTH") {
            "334"
        } else {
            "454"
        };
        format!("{code} later\u{1b}[31m\r\n")
    });
    let Err(MailError::Later(words)) = done else {
        unreachable!("{done:?}");
    };
    assert!(!words.contains('\u{1b}'), "{words:?}");
}

#[test]
fn a_server_that_trickles_or_says_nothing_is_left_in_time() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let thread = std::thread::spawn(move || {
        for trickles in [true, false] {
            let (mut socket, _) = listener.accept().unwrap();
            // Each byte is in time. Over when the other side is gone.
            while trickles && socket.write_all(b"220-x\r\n").is_ok() {}
            let _ = std::io::Read::read(&mut socket, &mut [0]);
        }
    });
    let (mut server, _) = peer("", good);
    server.address = address;
    server.timeout = Duration::from_millis(200);
    let begun = Instant::now();
    for _ in 0..2 {
        assert!(matches!(send(&server), Err(MailError::NotSent(_))));
    }
    assert!(begun.elapsed() < Duration::from_secs(20));
    thread.join().unwrap();
}

#[test]
fn a_stop_ends_the_dialog() {
    let stop: Arc<AtomicBool> = Arc::default();
    let told = Arc::clone(&stop);
    let (mut server, thread) = peer("220 hello\r\n", move |line| {
        if line == "." {
            told.store(true, Ordering::Relaxed);
            // Part of an answer.
            return "250".to_owned();
        }
        good(line)
    });
    server.stop = Arc::clone(&stop);
    let error = send(&server).unwrap_err();
    assert_eq!(error, MailError::Unknown("the daemon stops".to_owned()));
    thread.join().unwrap();
    let error = send(&server).unwrap_err();
    assert_eq!(error, MailError::NotSent("the daemon stops".to_owned()));
}
