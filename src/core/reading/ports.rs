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

/// Options whose value is where a program itself listens; `-p` and `--port` are taken so, though a client's may be its
/// server's: a port alone is never a reason to end anything.
const LISTENS: &[&str] = &[
    "p",
    "port",
    "l",
    "listen",
    "listen-address",
    "listen-addr",
    "listen-port",
    "bind",
    "bind-address",
    "bind-port",
    "http-port",
    "https-port",
    "tcp-port",
    "udp-port",
    "web.listen-address",
];

/// Ports that a command line says it listens on: the value of an option of that meaning, in the next word or behind
/// `=`. Any other number may be a peer's, a count or a level.
pub fn of_command(line: &str) -> Vec<String> {
    let mut found = Vec::new();
    let words: Vec<&str> = line.split_ascii_whitespace().skip(1).collect();
    for (at, word) in words.iter().enumerate() {
        let Some(option) = word.trim_matches(['"', '\'']).strip_prefix('-') else {
            continue;
        };
        let option = option.strip_prefix('-').unwrap_or(option);
        let (name, value) = match option.split_once('=') {
            Some((name, value)) => (name, Some(value)),
            None => (option, words.get(at.saturating_add(1)).copied()),
        };
        let value = value
            .filter(|_| LISTENS.contains(&name))
            .map(|one| one.trim_matches(['"', '\'']));
        let number =
            value.and_then(|value| as_port(value.rsplit([':', ',']).next().unwrap_or(value)));
        for transport in number.iter().flat_map(|_| ["tcp", "udp"]) {
            found.extend(number.map(|number| format!("{transport}/{number}")));
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
        for (line, want) in [
            ("/bin/app -p 8080", Some("tcp/8080")),
            ("/bin/app -v 30 --port=8080", Some("tcp/8080")),
            ("/bin/app --listen=0.0.0.0:502 -v 3", Some("tcp/502")),
            ("/bin/app --web.listen-address=\":9100\"", Some("tcp/9100")),
            (
                "/bin/app --listen /run/app.sock --upstream 127.0.0.1:9432",
                None,
            ),
            (
                "/usr/bin/python3 -m http.server 8080 --bind 127.0.0.1",
                None,
            ),
            ("/bin/app --threads 16 --server 10.0.0.1:1883", None),
            ("/bin/app -p", None),
            ("", None),
        ] {
            let got = of_command(line);
            assert_eq!(got.first().map(String::as_str), want, "{line}");
        }
    }
}
