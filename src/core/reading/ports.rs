//! Port numbers in messages and command lines.

/// The port that a message about a taken address names: `:8080`, `port 8080`, `port=8080`.
pub fn of_message(message: &str) -> Option<String> {
    let transport = if message.to_ascii_lowercase().contains("udp") {
        "udp"
    } else {
        "tcp"
    };
    after_word(message, "port")
        .or_else(|| after_colon(message))
        .map(|number| format!("{transport}/{number}"))
}

/// Numbers of a command line that can be ports: after a colon, as a word of their own, or as the value of an
/// option. Only who listens tells which one is.
pub fn of_command(line: &str) -> Vec<String> {
    let mut found = Vec::new();
    for word in line.split_ascii_whitespace().skip(1) {
        let word = word.trim_matches(['"', '\'']);
        let last = word.rsplit([':', '=', ',']).next().unwrap_or(word);
        if let Some(number) = as_port(last) {
            for transport in ["tcp", "udp"] {
                found.push(format!("{transport}/{number}"));
            }
        }
    }
    found.truncate(16);
    found
}

fn as_port(digits: &str) -> Option<u16> {
    let number: u16 = digits.parse().ok()?;
    // A single digit is a count or a level.
    (number >= 10 && digits.bytes().all(|c| c.is_ascii_digit())).then_some(number)
}

/// The last `:number` that ends like an address does; a time of day has more digits behind.
fn after_colon(text: &str) -> Option<u16> {
    text.rmatch_indices(':').find_map(|(at, _)| {
        let rest = text.get(at..)?.strip_prefix(':')?;
        let digits = rest.get(
            ..rest
                .find(|c: char| !c.is_ascii_digit())
                .unwrap_or(rest.len()),
        )?;
        let before = text.get(..at)?.bytes().next_back();
        let address = before.is_none_or(|c| {
            matches!(c, b':' | b']' | b'*' | b' ' | b'"' | b'\'' | b'(')
                || c.is_ascii_alphanumeric()
        });
        let mut follows = rest.get(digits.len()..)?.bytes();
        let ends = !matches!(follows.next(), Some(b':' | b'.'))
            || !follows.next().is_some_and(|c| c.is_ascii_digit());
        (address && ends && digits.len() >= 2)
            .then(|| as_port(digits))
            .flatten()
    })
}

fn after_word(text: &str, word: &str) -> Option<u16> {
    let lower = text.to_ascii_lowercase();
    let (_, rest) = lower.split_once(word)?;
    let rest = rest.trim_start_matches([' ', '=', ':', '#', '\'', '"']);
    let digits = rest.get(
        ..rest
            .find(|c: char| !c.is_ascii_digit())
            .unwrap_or(rest.len()),
    )?;
    as_port(digits)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_in_messages() {
        for (message, want) in [
            (
                "bind() to 0.0.0.0:80 failed (98: Address already in use)",
                Some("tcp/80"),
            ),
            (
                "nginx: [emerg] bind() to [::]:8080 failed (98: Address already in use)",
                Some("tcp/8080"),
            ),
            (
                "Error: listen EADDRINUSE: address already in use :::3000",
                Some("tcp/3000"),
            ),
            (
                "listen tcp :9100: bind: address already in use",
                Some("tcp/9100"),
            ),
            ("OSError: [Errno 98] Address already in use", None),
            (
                "could not bind UDP port 53: Address already in use",
                Some("udp/53"),
            ),
            (
                "Bind to port 22 on 0.0.0.0 failed: Address already in use.",
                Some("tcp/22"),
            ),
        ] {
            assert_eq!(of_message(message).as_deref(), want, "{message}");
        }
    }

    #[test]
    fn ports_in_commands() {
        let got = of_command("/usr/bin/python3 -m http.server 8080 --bind 127.0.0.1");
        assert_eq!(got, ["tcp/8080", "udp/8080"]);
        assert!(of_command("/bin/app --listen=0.0.0.0:502 -v 3").contains(&"tcp/502".to_owned()));
        assert_eq!(of_command(""), Vec::<String>::new());
    }
}
