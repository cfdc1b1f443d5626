use super::*;

fn judge(line: &str) -> Option<Trouble> {
    Lexicon::default().judge(line)
}

#[test]
fn words_tell_of_faults() {
    for (line, want) in [
        ("failed to connect to broker", Trouble::Likely),
        ("Cannot create the socket: Permission denied", Trouble::Sure),
        ("Could not open the serial port", Trouble::Likely),
        ("write failed: No space left on device", Trouble::Sure),
        ("accept: Too many open files", Trouble::Sure),
        (
            "bind() to 0.0.0.0:80 failed (98: Address already in use)",
            Trouble::Sure,
        ),
        ("error rate too high: cannot read bus 3", Trouble::Likely),
        (
            "cannot read the sensor: [Errno 5] Input/output error",
            Trouble::Sure,
        ),
        ("connect: Connection refused", Trouble::Likely),
        (
            "Name or service not known: `gw.example.net:51820'",
            Trouble::Likely,
        ),
        ("ValueError: bad literal", Trouble::Likely),
        (
            "java.net.ConnectException: connect: No route to host",
            Trouble::Likely,
        ),
    ] {
        assert!(judge(line) >= Some(want), "{line}: {:?}", judge(line));
    }
}

#[test]
fn what_counts_none_goes_on_or_is_a_name_is_no_fault() {
    for line in [
        "no errors found",
        "no fatal errors",
        "errors: 0",
        "Error: none",
        "error=null",
        "poll finished, failures: none",
        "RX errors 0  dropped 0",
        "completed with 0 errors",
        "continue without error",
        "writing error.log",
        "loaded error-handler",
        "libgpg-error0 installed",
        "bad CRC, using default environment",
        "retrying after a failed attempt",
        "waiting 30 s before the next attempt",
        "limit of open files raised to 4096",
        "eth0: address 10.0.0.7 already in lease file, rebinding",
        "\"error\":\"\"",
        "tls_read: -1 -> 2 (errno 11)",
        "error counters of bus 3 cleared",
        "error rate 0.1 % over 20 samples",
        "exception handler installed",
        "poll returned errno=4",
        "connect: in progress (errno 115)",
        "all good",
        "",
    ] {
        assert_eq!(judge(line), None, "{line}");
    }
}

#[test]
fn the_table_has_room() {
    let used = Lexicon::default()
        .slots
        .iter()
        .filter(|slot| slot.key != 0)
        .count();
    assert!(used > 300 && used * 2 < SLOTS, "{used}");
    assert!(CLASSES.len() < 64);
}

#[test]
fn every_word_of_trouble_is_worth_weighing() {
    let lexicon = Lexicon::default();
    let words = CLASSES
        .iter()
        .map(|class| class.trouble.split_ascii_whitespace());
    for word in words.flatten() {
        let line = match word {
            "thrown=type" => "FileNotFoundError".to_owned(),
            word => format!("the {} of it", word.replace(['+', '='], " ").to_uppercase()),
        };
        assert!(lexicon.is_worth_weighing(&line), "{line}");
    }
    assert!(!lexicon.is_worth_weighing("wrote 12 points to the historian"));
}
