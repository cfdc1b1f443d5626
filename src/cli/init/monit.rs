//! What of a monitrc can be carried over: the ports and pages that it asks (monit(1), "CONNECTION TESTING"), and how full
//! disks and memory may be ("RESOURCE TESTING", "SPACE USAGE TESTING").

use crate::core::model::sorted::SortedMap;

/// Statements that are kept to be listed.
const LEFT_MOST: usize = 100;

/// One connection test.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct MonitProbe {
    /// Of the service entry.
    pub(super) name: String,
    /// `tcp = …` or `http = …`, as a probe has it, and after how many failures it counts.
    pub(super) check: String,
    pub(super) place: String,
}

/// All files of one Monit.
#[derive(Clone, Debug, Default)]
pub(super) struct Monitored {
    pub(super) probes: Vec<MonitProbe>,
    /// The lowest of each bound: its key in `[detect]`, and percent in use.
    pub(super) bounds: SortedMap<&'static str, u8>,
    /// What a human has to carry over.
    pub(super) left: Vec<String>,
}

/// The service entry that is being read.
#[derive(Default)]
struct Entry {
    name: String,
    address: String,
    /// `process`, `host`, `filesystem`, …
    kind: String,
    /// Its first line, until something of it is left.
    head: Option<String>,
}

impl Monitored {
    /// Takes in one file.
    pub(super) fn read(&mut self, place: &str, text: &str) {
        let mut entry = Entry::default();
        for line in text.lines() {
            let line = line.trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let words = words(line);
            let word = |at: usize| words.get(at).map_or("", String::as_str);
            if word(0).eq_ignore_ascii_case("check") {
                entry = Entry {
                    name: word(2).to_owned(),
                    address: after(&words, "address").unwrap_or("127.0.0.1").to_owned(),
                    kind: word(1).to_ascii_lowercase(),
                    head: Some(line.to_owned()),
                };
                match entry.kind.as_str() {
                    // Everything of a process is watched anyway, and a host is what its tests ask.
                    "process" | "host" => entry.head = None,
                    "filesystem" | "system" => {}
                    _ => self.leave(&mut entry, ""),
                }
            } else if let Some((key, percent)) = bound(&words, &entry.kind) {
                let lowest = self.bounds.entry(key).or_insert(percent);
                *lowest = percent.min(*lowest);
            } else if let Some(check) = connection(&words, &entry) {
                let probe = MonitProbe {
                    name: entry.name.clone(),
                    check,
                    place: place.to_owned(),
                };
                if !self.probes.contains(&probe) {
                    self.probes.push(probe);
                }
            } else if entry.kind != "process" || !is_known(word(0)) {
                self.leave(&mut entry, line);
            }
        }
    }

    /// A line for the human, below the first one of its entry.
    fn leave(&mut self, entry: &mut Entry, line: &str) {
        let lines = entry.head.take().into_iter().chain([line.to_owned()]);
        let room = LEFT_MOST.saturating_sub(self.left.len());
        self.left
            .extend(lines.filter(|line| !line.is_empty()).take(room));
    }
}

/// `if space usage > 80% then …` of a file system, or the memory of the system, as a key and its percent.
fn bound(words: &[String], kind: &str) -> Option<(&'static str, u8)> {
    let word = |at: usize| words.get(at).map_or("", String::as_str);
    let key = match (kind, word(1).to_ascii_lowercase().as_str()) {
        ("filesystem", "space") => "disk_high_percent",
        ("filesystem", "inode") => "inode_high_percent",
        ("system", "memory") => "memory_low_percent",
        _ => return None,
    };
    let percent = word(4).strip_suffix('%')?.parse().ok()?;
    let is_bound = word(0).eq_ignore_ascii_case("if")
        && word(2).eq_ignore_ascii_case("usage")
        && word(3) == ">"
        && (60..100).contains(&percent);
    is_bound.then_some((key, percent))
}

/// Statements of a process whose meaning holds here by itself: how it is started, stopped, kept up and grouped.
fn is_known(first: &str) -> bool {
    [
        "start", "stop", "restart", "group", "depends", "mode", "onreboot",
    ]
    .iter()
    .any(|known| first.eq_ignore_ascii_case(known))
}

/// `if failed [host H] port N [protocol http [request "/x"]] then …` as a probe's key.
fn connection(words: &[String], entry: &Entry) -> Option<String> {
    let first = |at: usize, text: &str| {
        words
            .get(at)
            .is_some_and(|word| word.eq_ignore_ascii_case(text))
    };
    if !(first(0, "if") && first(1, "failed")) || entry.name.is_empty() {
        return None;
    }
    let port: u16 = after(words, "port")?.parse().ok()?;
    let host = after(words, "host").unwrap_or(&entry.address);
    let plain = |c: char| c.is_ascii_alphanumeric() || ".-_:[]".contains(c);
    if host.is_empty() || !host.chars().all(plain) {
        return None;
    }
    // `for 3 cycles`: so many in a row.
    let cycles = after(words, "for").and_then(|number| number.parse::<u32>().ok());
    let cycles = cycles.filter(|number| (1..=100).contains(number));
    let failures = cycles.map_or_else(String::new, |number| format!("\nfailures = {number}"));
    let protocol = after(words, "protocol")
        .or_else(|| after(words, "proto"))
        .unwrap_or("");
    let scheme = match protocol.to_ascii_lowercase().as_str() {
        "http" => "http",
        "https" => "https",
        _ => return Some(format!("tcp = \"{host}:{port}\"{failures}")),
    };
    let page = after(words, "request")
        .filter(|page| page.starts_with('/'))
        .unwrap_or("/");
    let page = page.replace(|c: char| c.is_control() || c == '"' || c == '\\', "");
    Some(format!(
        "http = \"{scheme}://{host}:{port}{page}\"{failures}"
    ))
}

/// The word behind this one.
fn after<'a>(words: &'a [String], name: &str) -> Option<&'a str> {
    let at = words
        .iter()
        .position(|word| word.eq_ignore_ascii_case(name))?;
    words.get(at.checked_add(1)?).map(String::as_str)
}

/// Words, and what stands in quotes as one.
fn words(line: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut word = String::new();
    let mut quote = None;
    for c in line.chars() {
        match (quote, c) {
            (Some(open), _) if c == open => quote = None,
            (None, '"' | '\'') => quote = Some(c),
            (None, _) if c.is_whitespace() => {
                if !word.is_empty() {
                    words.push(std::mem::take(&mut word));
                }
            }
            _ => word.push(c),
        }
    }
    if !word.is_empty() {
        words.push(word);
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_are_carried_over_and_the_rest_is_told() {
        let mut all = Monitored::default();
        all.read(
            "monitrc",
            "set daemon 30\n# nothing\ncheck process web with pidfile /run/web.pid\n  start program = \"/bin/systemctl start web\"\n\
             \x20 if failed port 8080 protocol http request \"/health\" with timeout 5 seconds then restart\n\
             \x20 if failed host 10.1.1.1 port 1502 for 3 cycles then alert\n  if cpu > 80% for 5 cycles then alert\n\
             check process db matching \"postgres\"\n  if failed port 5432 protocol pgsql then restart\n\
             check filesystem root with path /\n  if space usage > 80% then alert\n  if inode usage > 90% for 2 cycles then alert\n\
             check filesystem data with path /data\n  if space usage > 70% then alert\n  if space free < 5 GB then alert\n\
             check system $HOST\n  if memory usage > 85% then alert\n\
             if failed port 1 then alert",
        );
        let checks: Vec<_> = all
            .probes
            .iter()
            .map(|one| (one.name.as_str(), one.check.as_str()))
            .collect();
        assert_eq!(
            checks,
            [
                ("web", "http = \"http://127.0.0.1:8080/health\""),
                ("web", "tcp = \"10.1.1.1:1502\"\nfailures = 3"),
                ("db", "tcp = \"127.0.0.1:5432\""),
                ("$HOST", "tcp = \"127.0.0.1:1\""),
            ]
        );
        assert_eq!(
            all.left,
            [
                "set daemon 30",
                "if cpu > 80% for 5 cycles then alert",
                "check filesystem data with path /data",
                "if space free < 5 GB then alert",
            ]
        );
        let bounds: Vec<_> = all.bounds.into_iter().collect();
        assert_eq!(
            bounds,
            [
                ("disk_high_percent", 70),
                ("inode_high_percent", 90),
                ("memory_low_percent", 85),
            ]
        );
    }

    #[test]
    fn what_is_no_address_is_no_probe() {
        let mut all = Monitored::default();
        all.read("m", "check host x with address \"a b\"\nif failed port 80 then alert\nif failed port x then alert\nif failed host \"\\\"\" port 1 then alert");
        assert!(all.probes.is_empty(), "{:?}", all.probes);
        assert_eq!(all.left.len(), 3);
    }
}
