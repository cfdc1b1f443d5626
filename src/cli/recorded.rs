//! Recorded logs: how their lines are written, and what the daemon would have found in them.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, Read};

use crate::core::identity::Fingerprint;
use crate::core::model::finding::Finding;
use crate::core::model::time::Timestamp;
use crate::core::reading::journal_entry::{JournalJudge, OWN_NAME};
use crate::core::reading::kernel::{KernelFault, KernelReader};
use crate::core::reading::lines::LineSplitter;
use crate::core::reading::log_rules::RuleSet;
use crate::core::reading::logline::{LogLine, parse_syslog, split_console};
use crate::detectors::journal::Entry;

/// Bytes of a file that decide its format.
const SNIFF: usize = 64 << 10;
/// Share of lines with a kernel time stamp, in percent, from which a file is a console log.
const CONSOLE_PERCENT: usize = 20;
const READ_CHUNK: usize = 64 << 10;

/// How the lines of a file are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Format {
    /// `journalctl -o json`.
    JournalJson,
    /// `journalctl -o export`: `FIELD=value` lines, an empty line between entries.
    JournalExport,
    Syslog,
    /// Kernel console, `dmesg`.
    Console,
    Plain,
}

/// Decides the format from the first lines.
fn sniff(head: &str) -> Format {
    let lines: Vec<&str> = head
        .lines()
        .filter(|l| !l.trim().is_empty())
        .take(400)
        .collect();
    let count = |fits: &dyn Fn(&str) -> bool| lines.iter().filter(|line| fits(line)).count();
    if head.starts_with("__CURSOR=") {
        return Format::JournalExport;
    }
    if lines
        .first()
        .is_some_and(|l| l.starts_with('{') && l.contains("\"__"))
    {
        return Format::JournalJson;
    }
    if count(&|line| parse_syslog(line).is_some()) * 2 > lines.len() {
        return Format::Syslog;
    }
    let stamped = count(&|line| split_console(line).any(|(at, _)| at.is_some()));
    let reports = count(&|line| is_report_text(line));
    if stamped * 100 >= lines.len() * CONSOLE_PERCENT && stamped > 0 || reports > 0 {
        return Format::Console;
    }
    Format::Plain
}

/// Text of a kernel report that lost its time stamps.
fn is_report_text(line: &str) -> bool {
    let line = undated(line);
    [
        "BUG: ",
        "WARNING: CPU: ",
        "Kernel panic - ",
        "Call Trace:",
        "RIP: 0",
        "Internal error: ",
        "Oops: ",
        "INFO: task ",
        "Unable to handle kernel",
    ]
    .iter()
    .any(|start| line.starts_with(start))
}

/// One finding with the lines it was seen in.
#[derive(Debug)]
pub(super) struct Seen {
    pub(super) finding: Finding,
    pub(super) first_line: u64,
    pub(super) last_line: u64,
}

/// What the daemon would have found in a file (`-` is standard input), by these rules. A file that cannot
/// be read to its end still has what was found before.
pub(super) fn replay(file: &str, rules: &RuleSet) -> (Vec<Seen>, io::Result<()>) {
    let mut replay = Replay::new(rules);
    let read = replay.read(file);
    (replay.seen, read)
}

struct Replay<'a> {
    rules: &'a RuleSet,
    kernel: KernelReader,
    journal: JournalJudge,
    /// Fields of the export entry being read.
    entry: HashMap<String, String>,
    seen: Vec<Seen>,
    index: HashMap<Fingerprint, usize>,
    line: u64,
}

impl<'a> Replay<'a> {
    fn new(rules: &'a RuleSet) -> Self {
        Self {
            rules,
            kernel: KernelReader::default(),
            journal: JournalJudge::new(0),
            entry: HashMap::new(),
            seen: Vec::new(),
            index: HashMap::new(),
            line: 0,
        }
    }

    fn read(&mut self, file: &str) -> io::Result<()> {
        let mut input: Box<dyn Read> = if file == "-" {
            Box::new(io::stdin())
        } else {
            Box::new(File::open(file)?)
        };
        let mut head = Vec::new();
        input.by_ref().take(SNIFF as u64).read_to_end(&mut head)?;
        let format = sniff(&String::from_utf8_lossy(&head));
        // A journal entry may be longer than a line of text.
        if format == Format::JournalJson {
            input.read_to_end(&mut head)?;
            for line in head.split(|c| *c == b'\n') {
                self.line += 1;
                self.json(line);
            }
            return Ok(());
        }
        let mut splitter = LineSplitter::default();
        let mut chunk = vec![0_u8; READ_CHUNK];
        let mut part = head;
        loop {
            splitter.push(&part, &mut |line, _| self.text(format, line));
            let got = input.read(&mut chunk)?;
            if got == 0 {
                break;
            }
            part = chunk.get(..got).unwrap_or(&[]).to_vec();
        }
        splitter.finish(&mut |line, _| self.text(format, line));
        if format == Format::JournalExport {
            self.export("");
        }
        if let Some(fault) = self.kernel.finish() {
            self.fault(&fault);
        }
        Ok(())
    }

    fn text(&mut self, format: Format, line: &str) {
        self.line += 1;
        match format {
            Format::JournalJson => {}
            Format::JournalExport => self.export(line),
            Format::Console => {
                for (at, part) in split_console(line) {
                    self.console(at, part);
                }
            }
            Format::Syslog | Format::Plain => self.plain(line),
        }
    }

    fn console(&mut self, at: Option<u64>, part: &str) {
        if let Some(fault) = self.kernel.line(at, undated(part)) {
            self.fault(&fault);
        }
    }

    fn fault(&mut self, fault: &KernelFault) {
        let finding = Finding::new(
            fault.class,
            &fault.subject,
            fault.severity,
            &fault.message,
            "replay",
            Timestamp::default(),
        );
        self.add(finding);
    }

    fn plain(&mut self, line: &str) {
        let (identifier, message) = match parse_syslog(line) {
            Some(parsed) => (parsed.identifier, parsed.message),
            None => ("", line),
        };
        if identifier == "kernel" {
            for (at, part) in split_console(message) {
                self.console(at, part);
            }
            return;
        }
        // The service manager's words become facts through its state, not through its log.
        if identifier.starts_with(OWN_NAME) || identifier == "systemd" {
            return;
        }
        let judged = LogLine {
            identifier,
            ..LogLine::text(message, identifier)
        };
        if let Some(hit) = self.rules.classify(&judged) {
            let finding = Finding::new(
                hit.class,
                &hit.subject,
                hit.severity,
                message,
                "replay",
                Timestamp::default(),
            );
            self.add(finding);
        }
    }

    fn json(&mut self, line: &[u8]) {
        let Some(entry) = Entry::parse(line) else {
            return;
        };
        let micros = entry.realtime_us.as_str().parse::<i64>().unwrap_or(0);
        let at = Timestamp::from_millis(micros / 1000);
        if let Some(finding) = self.journal.judge(&entry.line(), self.rules, at).finding {
            self.add(finding);
        }
    }

    /// One line of an export: the entry is judged at the empty line that ends it. Binary fields are skipped:
    /// a message that is no clean text is then judged by its other fields alone.
    fn export(&mut self, line: &str) {
        if let Some((key, value)) = line.split_once('=') {
            self.entry.insert(key.to_owned(), value.to_owned());
            return;
        }
        if !line.is_empty() || self.entry.is_empty() {
            return;
        }
        let fields: serde_json::Map<String, serde_json::Value> = self
            .entry
            .drain()
            .map(|(key, value)| (key, serde_json::Value::String(value)))
            .collect();
        let text = serde_json::Value::Object(fields).to_string();
        self.json(text.as_bytes());
    }

    fn add(&mut self, finding: Finding) {
        let next = self.seen.len();
        let at = *self.index.entry(finding.fingerprint()).or_insert(next);
        match self.seen.get_mut(at) {
            Some(seen) => {
                seen.finding.count = seen.finding.count.saturating_add(1);
                seen.last_line = self.line;
            }
            None => self.seen.push(Seen {
                finding,
                first_line: self.line,
                last_line: self.line,
            }),
        }
    }
}

/// A console line without the date that a collecting tool put before it (`2018/01/09 14:28:48 `).
fn undated(line: &str) -> &str {
    let bytes = line.as_bytes();
    let dated = bytes.len() > 20
        && bytes.get(4) == Some(&b'/')
        && bytes.get(7) == Some(&b'/')
        && bytes.get(13) == Some(&b':')
        && bytes.get(19) == Some(&b' ');
    if dated {
        line.get(20..).unwrap_or(line)
    } else {
        line
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn formats_are_told_apart() {
        for (text, want) in [
            (
                "{\"__CURSOR\":\"s\",\"MESSAGE\":\"x\"}\n",
                Format::JournalJson,
            ),
            ("__CURSOR=s\nMESSAGE=x\n", Format::JournalExport),
            ("Nov  3 06:17:28 gw sshd[12]: x\n", Format::Syslog),
            (
                "[    0.000000] Linux version\n[    1.000000] x\n",
                Format::Console,
            ),
            ("BUG: memory leak\nunreferenced object\n", Format::Console),
            ("ERROR a\nINFO b\n", Format::Plain),
            ("", Format::Plain),
        ] {
            assert_eq!(sniff(text), want, "{text}");
        }
    }

    /// Ordinary lines of real services (systemd, sshd, nginx, PostgreSQL, Redis, dnsmasq, Avahi, cron, dpkg).
    #[test]
    fn ordinary_lines_are_no_findings() {
        let place = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/benign");
        let Ok(rules) = RuleSet::builtin() else {
            return;
        };
        let mut lines = 0;
        for entry in std::fs::read_dir(place).into_iter().flatten().flatten() {
            let path = entry.path().to_string_lossy().into_owned();
            let mut replay = Replay::new(&rules);
            assert!(replay.read(&path).is_ok(), "{path}");
            lines += replay.line;
            let said: Vec<&str> = replay
                .seen
                .iter()
                .map(|s| s.finding.message.as_str())
                .collect();
            assert!(said.is_empty(), "{path}: {said:?}");
        }
        assert!(lines >= 500, "only {lines} lines");
    }

    #[test]
    fn an_export_is_read_by_entries() {
        let Ok(rules) = RuleSet::builtin() else {
            return;
        };
        let mut replay = Replay::new(&rules);
        for line in [
            "__CURSOR=s",
            "MESSAGE=broken",
            "PRIORITY=3",
            "_SYSTEMD_UNIT=a.service",
            "",
        ] {
            replay.text(Format::JournalExport, line);
        }
        assert_eq!(replay.seen.len(), 1);
    }
}
