use super::*;

fn row(line: &str) -> (String, Option<Level>, String, bool) {
    let spoken = read(line);
    let (program, message) = (spoken.program.into_owned(), spoken.message.into_owned());
    (program, spoken.level, message, spoken.kernel)
}

const E: Option<Level> = Some(Level::Error);
const W: Option<Level> = Some(Level::Warning);
const I: Option<Level> = Some(Level::Info);
const C: Option<Level> = Some(Level::Critical);

#[test]
fn carriers_are_taken_off() {
    for (line, program, level, message) in [
        (
            "Nov  3 06:17:28 gw app[12]: pump is off",
            "app",
            None,
            "pump is off",
        ),
        (
            "2025-11-23T06:17:28.123456+00:00 gw app: pump is off",
            "app",
            None,
            "pump is off",
        ),
        (
            "2025-11-23T06:17:28+0000 gw app[7]: pump is off",
            "app",
            None,
            "pump is off",
        ),
        (
            "1777629602.123456 gw app[7]: pump is off",
            "app",
            None,
            "pump is off",
        ),
        (
            "[ 1234.567890] gw app[7]: pump is off",
            "app",
            None,
            "pump is off",
        ),
        (
            "Fri 2026-05-01 10:00:02 UTC gw app[7]: pump is off",
            "app",
            None,
            "pump is off",
        ),
        (
            "Jan  1 01:11:09 gw daemon.err app[433]: pump is off",
            "app",
            E,
            "pump is off",
        ),
        (
            "Mon May 26 19:15:42 2025 daemon.warn app[3]: pump is off",
            "app",
            W,
            "pump is off",
        ),
        (
            "Mon May 26 19:15:42 2025 user.notice app: pump is off",
            "app",
            None,
            "pump is off",
        ),
        (
            "<27>May  1 10:00:02 gw app[7]: pump is off",
            "app",
            E,
            "pump is off",
        ),
        (
            "<27>1 2024-05-02T10:11:19.000001+02:00 gw app 433 ID47 [t a=\"1]\" b=\"0\"] pump is off",
            "app",
            E,
            "pump is off",
        ),
        ("<30>1 - gw app - - - pump is off", "app", I, "pump is off"),
        ("<3>pump is off", "", E, "pump is off"),
        (
            "{\"log\":\"pump is \\\"off\\\"\\n\",\"stream\":\"stderr\",\"time\":\"2024\"}",
            "",
            None,
            "pump is \"off\"",
        ),
        (
            "2024-05-02T10:11:12.123456789Z stderr F pump is off",
            "",
            None,
            "pump is off",
        ),
        ("pump-1  | pump is off", "pump-1", None, "pump is off"),
        ("\u{1b}[31mpump\u{1b}[0m is off\r", "", None, "pump is off"),
        ("pump is off", "", None, "pump is off"),
    ] {
        let want = (program.to_owned(), level, message.to_owned(), false);
        assert_eq!(row(line), want, "{line}");
    }
}

#[test]
fn the_kernels_lines_are_known_by_their_carrier() {
    for (line, level, message) in [
        (
            "May  1 10:00:02 gw kernel: [    1.000000] usb 1-1: x",
            None,
            "[    1.000000] usb 1-1: x",
        ),
        (
            "Jan  1 00:00:06 gw kern.err kernel: [    6.473578] usb 1-1: x",
            E,
            "[    6.473578] usb 1-1: x",
        ),
        (
            "[    1.000000] usb 1-1: x",
            None,
            "[    1.000000] usb 1-1: x",
        ),
        (
            "<3>[    1.000000] usb 1-1: x",
            E,
            "[    1.000000] usb 1-1: x",
        ),
        ("[Thu May  2 10:11:12 2024] usb 1-1: x", None, "usb 1-1: x"),
        (
            "kern  :err   : [    1.000000] usb 1-1: x",
            E,
            "[    1.000000] usb 1-1: x",
        ),
        ("   \"msg\": \"usb 1-1: x\"", None, "usb 1-1: x"),
        (
            "login: [   59.806466] usb 1-1: x",
            None,
            "login: [   59.806466] usb 1-1: x",
        ),
    ] {
        assert_eq!(
            row(line),
            (row(line).0, level, message.to_owned(), true),
            "{line}"
        );
    }
}

#[test]
fn programs_state_their_level_in_many_places() {
    for (line, level, message) in [
        (
            "2024-05-02 10:11:19,001 [worker-3] ERROR com.example.Pump - off",
            E,
            "com.example.Pump - off",
        ),
        (
            "10:11:19.001 [main] WARN  com.example.Pump - off",
            W,
            "com.example.Pump - off",
        ),
        (
            "2026-05-01 10:00:02.123  WARN 1 --- [main] c.e.Pump : off",
            W,
            "1 --- [main] c.e.Pump : off",
        ),
        ("[2026-05-01T10:00:02Z ERROR a::pump] off", E, "off"),
        (
            "2026-05-01T10:00:02.123456Z  WARN a::pump: off",
            W,
            "a::pump: off",
        ),
        ("[W 240501 10:00:00 handlers] off", W, "off"),
        ("[10:00:02 ERR a.Pump] off", E, "off"),
        (
            "2026-05-01 10:00:02,123 INFO [event handler] org.example.Pump: off",
            I,
            "org.example.Pump: off",
        ),
        ("[10:00:02][W][wifi:617]: off", W, "off"),
        (
            "[10:00:02.123][C][logger:185]:   Level: ERROR",
            I,
            "Level: ERROR",
        ),
        (
            "[2026-05-01 10:00:02.123 (UTC+0000)] error/server\toff",
            E,
            "/server\toff",
        ),
        ("[2026-05-01T10:00:02+0000] error    : off", E, "off"),
        ("2026/05/01 10:00:02 [error] 12#12: *17 off", E, "off"),
        ("[12] 2026/05/01 10:00:02.123456 [FTL] off", C, "off"),
        (
            "12:M 01 May 2026 10:00:02.123 * off",
            Some(Level::Notice),
            "off",
        ),
        ("12:M 01 May 2026 10:00:02.123 # off", None, "off"),
        ("1 May 10:00:02 - [error] off", E, "off"),
        (
            "2023-11-18T06:02:05Z E! [inputs.pump] off",
            E,
            "[inputs.pump] off",
        ),
        ("1714557602: Error: off", E, "off"),
        ("2024-05-02 10:11:19.001 UTC [640] PANIC:  off", C, "off"),
        (
            "2024-05-02 10:11:19.001 UTC [640] STATEMENT:  off",
            I,
            "off",
        ),
        (
            "2026-05-01 10:00:02.123 - |ERROR| - [pump.py] - off",
            E,
            "[pump.py] - off",
        ),
        ("2026-05-01 10:00:02 app.pump ERROR off", E, "off"),
        ("2026-05-01 10:00:02 - pump - ERROR - off", E, "off"),
        ("06:41:39.806Z :session:159    warning : off", W, "off"),
        ("[Sun Dec 04 04:47:44 2005] [core:error] off", E, "off"),
        (
            "2016-09-28 04:30:30, Info                  CBS    off",
            I,
            "CBS    off",
        ),
        (
            "2024-05-02T10:11:12.123+0000 E NETWORK  [conn1] off",
            E,
            "NETWORK  [conn1] off",
        ),
        ("E0502 10:11:19.000001       7 pump.go:88] off", E, "off"),
        ("{\"level\":50,\"time\":1,\"msg\":\"off\"}", E, "off"),
        (
            "{\"level\":\"error\",\"msg\":\"off\",\"error\":\"no pump\"}",
            E,
            "off: no pump",
        ),
        ("{\"@t\":\"x\",\"@m\":\"off\"}", I, "off"),
        (
            "{\"severity\":\"ERROR\",\"message\":\"off\",\"err\":{\"message\":\"no pump\"}}",
            E,
            "off: no pump",
        ),
        (
            "time=2026 level=WARN msg=\"off \\\"x\\\"\" err=\"no pump\"",
            W,
            "off \"x\": no pump",
        ),
        ("2026-05-01T10:00:02Z started", None, "started"),
        ("ERROR:root:off", E, "ERROR:root:off"),
        ("[error]  off", E, "[error]  off"),
        ("Error: lost", E, "Error: lost"),
        ("fail: App.Pump[0]", E, "fail: App.Pump[0]"),
        (
            "** (app:7): WARNING **: off",
            W,
            "** (app:7): WARNING **: off",
        ),
    ] {
        let (_, got, said, kernel) = row(line);
        assert_eq!(
            (got, said.as_str(), kernel),
            (level, message, false),
            "{line}"
        );
    }
}

#[test]
fn what_only_looks_like_a_level_states_none() {
    for line in [
        "Error: none",
        "errors: 0",
        "error: 0",
        "http: TLS handshake error from 10.0.0.1:4711: EOF",
        "SERVICE ALERT: gw;ping;OK;HARD",
        "ALERT gw is OK again",
        "R0: 00000001 FATAL=0 ERROR=0",
        "[10:00:02] pump is off",
        "[50] steps done",
        "an error occurred",
        "{\"temperature\":21.5}",
        "speed=3 level=4",
    ] {
        assert_eq!(read(line).level, None, "{line}");
    }
}

#[test]
fn envelopes_nest_and_say_so() {
    let line = "{\"log\":\"<6> 2019-10-03 07:38:52.120 +00:00 [WRN] - pump is off\\n\",\"stream\":\"stdout\",\"time\":\"x\"}";
    let spoken = read(line);
    assert_eq!((spoken.level, spoken.message.as_ref()), (W, "pump is off"));
    let shapes: Vec<_> = spoken.worn.shapes().map(Shape::as_str).collect();
    assert_eq!(shapes, ["docker json-file", "<priority>", "time and level"]);
    let syslog = "Nov 18 07:02:05 gw app[1]: 2023-11-18T06:02:05Z E! [a] pump is off";
    assert_eq!(read(syslog).message, "[a] pump is off");
    assert_eq!(read(syslog).text, "2023-11-18T06:02:05Z E! [a] pump is off");
    assert_eq!(
        read("pump").worn.shapes().collect::<Vec<_>>(),
        [Shape::Plain]
    );
}

#[test]
fn the_kernels_lines_are_known_by_every_time_of_dmesg() {
    for line in [
        "[Nov16 08:02] pump is off",
        "[  +0.142453] pump is off",
        "[  +0,142453] pump is off",
        "2026-05-01T10:00:02,123456+00:00 pump is off",
        "kern  :err   : [  +0.142453] pump is off",
        "kern  :err   : [Wed Nov 16 08:02:19 2016] pump is off",
        "kern  :err   : 2026-05-01T10:00:02,123456+00:00 pump is off",
    ] {
        let spoken = read(line);
        assert!(spoken.kernel, "{line}");
        assert_eq!(spoken.message, "pump is off", "{line}");
    }
    for line in [
        "2026-05-01T10:00:02,123 pump is off",
        "[10:00] pump is off",
        "[+3] pump is off",
    ] {
        assert!(!read(line).kernel, "{line}");
    }
}

#[test]
fn columns_before_a_message_are_none_of_it() {
    let line = "20260501-10:00:02:606|Pump|30002312|off|on";
    assert_eq!(read(line).message, "off|on");
    assert_eq!(read("20260501-10:00:02:606|off at 3").message, "off at 3");
}

#[test]
fn months_are_known_in_every_language() {
    for month in ["Okt", "Mär", "mai", "févr.", "дек"] {
        let line = format!("{month} 16 08:27:14 gw app[7]: pump is off");
        let (program, _, message, _) = row(&line);
        assert_eq!(
            (program.as_str(), message.as_str()),
            ("app", "pump is off"),
            "{line}"
        );
    }
}

#[test]
fn a_frame_goes_on_with_the_line_before_it_whatever_its_carriers_level() {
    for (line, level, continues) in [
        (
            "Mar 21 18:36:18 gw daemon.err app:     at Array.forEach (<anonymous>)",
            None,
            true,
        ),
        (
            "Mar 21 18:36:18 gw daemon.err app: at /opt/a.js:4:6",
            None,
            true,
        ),
        ("Mar 21 18:36:18 gw daemon.err app:  pump is off", E, true),
        ("Mar 21 18:36:18 gw daemon.err app: pump is off", E, false),
    ] {
        let spoken = read(line);
        assert_eq!(
            (spoken.level, spoken.continues),
            (level, continues),
            "{line}"
        );
    }
    let frame = "/usr/lib/liba.so.0(run+0x60) [0x7fee62]";
    assert_eq!(read_text(frame, C).level, None);
    assert_eq!(read_text("pump is off", C).level, C);
}

#[test]
fn the_carriers_level_yields_to_the_programs() {
    // docker's journal driver calls all of standard error an error.
    assert_eq!(
        read("<27>May  1 10:00:02 gw app[7]: level=info msg=on").level,
        I
    );
    assert_eq!(read("<30>May  1 10:00:02 gw app[7]: error: lost").level, I);
}

use proptest::prelude::*;

proptest! {
    /// Nothing that a line holds makes the reader lose its place: what it gives is part of the line, or of its JSON.
    #[test]
    fn any_line_is_read(line in "[ -~\u{1b}é\t]{0,200}", at in 0_usize..8) {
        let heads = ["", "<3>", "May  1 10:00:02 gw a[1]: ", "{\"log\":\"", "2026-05-01 10:00:02 ", "[", "level=", "E0502 10:11:19.1 7 "];
        let line = format!("{}{line}", heads.get(at).unwrap_or(&""));
        let spoken = read(&line);
        prop_assert!(spoken.message.len() <= line.len());
        prop_assert!(spoken.worn.shapes().count() > 0);
    }
}

/// Found by the fuzzer: what a line says is the same when it is read again.
#[test]
fn a_colour_behind_the_end_of_a_line_leaves_no_end_in_it() {
    for line in [
        "pump stopped\r\u{1b}[0m",
        "  F\u{1}x\r\u{1b}\u{1b}",
        "a\r\n\u{1b}[m\r",
    ] {
        let spoken = read(line);
        assert!(!spoken.text.ends_with(['\r', '\n']), "{line:?}");
        assert_eq!(
            read_text(&spoken.text, None).message,
            spoken.message,
            "{line:?}"
        );
    }
}

#[test]
fn an_epoch_with_a_colon_is_no_carriers() {
    let spoken = read("1669800002: Connection Refused: not authorised");
    assert_eq!(spoken.program, "");
    assert_eq!(spoken.message, "Connection Refused: not authorised");
    let spoken = read("1669800002.123456 gw app[7]: ready");
    assert_eq!((&*spoken.program, spoken.pid), ("app", Some(7)));
}

#[test]
fn colours_within_json_are_none_of_the_message() {
    let spoken = read(
        "{\"log\":\"[2026-05-01 10:00:02] \\u001b[31merror\\u001b[39m: \\tdead\\n\",\"stream\":\"stdout\",\"time\":\"x\"}",
    );
    assert_eq!(spoken.level, Some(Level::Error));
    assert_eq!(spoken.message.trim(), "dead");
}

/// Chars that mean something to a reader of shapes, and some that do not.
const TELLING: &str = "[ -~]{0,12}([\\[\\](){}<>|:=*.,'\"0-9 -][a-zA-Z0-9 :=\\]\\[.*|]{0,6}){0,8}";

proptest::proptest! {
    /// What is left out for a line that opens with words would have found nothing.
    #[test]
    fn a_line_that_opens_with_words_has_no_shape(
        word in "(kern|level|fail|goroutine|mai|[a-z][a-z0-9._-]{0,9})",
        next in "[A-Za-z]",
        rest in TELLING,
    ) {
        let line = format!("{word} {next}{rest}");
        assert!(opens_with_words(&line), "{line:?}");
        assert!(line.contains(']') || carrier_by_start(&line).is_none(), "{line:?}");
        assert!(line.contains('*') || programs_by_start(&line).is_none(), "{line:?}");
    }
}
