//! Recorded logs: what the daemon would have found in them, line by line, however each is written.

use std::borrow::Cow;
use std::collections::HashMap;
use std::fs::File;
use std::io::{self, Read};

use crate::core::identity::Fingerprint;
use crate::core::model::finding::Finding;
use crate::core::model::sorted::SortedMap;
use crate::core::model::text::cut;
use crate::core::model::time::Timestamp;
use crate::core::reading::journal_entry::{JournalJudge, OWN_NAME, failed_unit};
use crate::core::reading::kernel::{KernelFault, KernelLine, KernelReader};
use crate::core::reading::level::Level;
use crate::core::reading::lines::{LINE_CAP, LineSplitter};
use crate::core::reading::log_rules::RuleSet;
use crate::core::reading::logline::LogLine;
use crate::core::reading::manager_lines;
use crate::core::reading::shape::{self, Spoken, Worn, split_console};
use crate::core::reading::trace::{self, Traces};
use crate::detectors::journal::Entry;

/// Bytes of a file that tell whether the kernel's console was recorded.
const SNIFF: usize = 64 << 10;
/// Share of lines with a kernel time stamp, in percent, from which what nobody signed is the console's too.
const CONSOLE_PERCENT: usize = 20;
const READ_CHUNK: usize = 64 << 10;
/// Longest journal entry on one line, bytes.
const ENTRY_CAP: usize = 256 << 10;
/// Lines of one finding that are shown, and bytes of each.
const SHOWN_LINES: usize = 20;
const SHOWN_BYTES: usize = 1024;

/// Beginnings, one a line, of what only a kernel writes: of its file systems, buses and drivers, and of its reports. Some
/// kernels print no stamp (`CONFIG_PRINTK_TIME`), and `dmesg` then shows the bare text.
const KERNELS: &str = concat!(
    "EXT4-fs \nEXT3-fs \nEXT2-fs \nBTRFS \nF2FS-fs \nXFS (\nUBIFS \nUBIFS: \nUBI \nUBI: \nubi0\n",
    "FAT-fs \nSQUASHFS error\nJFFS2 \njffs2: \nJBD2: \nBuffer I/O error\nprint_req_error: \n",
    "blk_update_request: \nI/O error, dev \nnvme nvme\nnvme 0000:\nusb usb\nusb 1-\nusb 2-\nusb 3-\n",
    "xhci_hcd \nxhci-hcd \nhub 1-\nmmc0: \nmmc1: \nmmcblk\nsd 0:\nscsi \nscsi host\nata1\nata2\n",
    "CPU: \nHardware name: \nCall Trace:\nCall trace:\nBacktrace:\nStack:\nModules linked in:\n",
    "Code: \n---[ \nUnhandled kernel \nUnable to handle \nInternal error: \nOops\nBUG: \n",
    "WARNING: CPU: \nKernel panic - \nINFO: task \nINFO: rcu\nrcu: \npc : \nlr : \nepc \nra  \n[<\n",
    "task: \n$ 0 \n$ 4 \n$ 8 \n$12 \n$16 \n$20 \n$24 \n$28 \nHi  \nLo  \nStatus: \nCause : \n",
    "BadVA : \nPrId  : \nRIP: 0\nRSP: 0\nEIP is at \nOut of memory: \noom-kill:\nMem-Info:\n",
    "Linux version \nKernel command line: \nrandom: crng\nIPv6: ADDRCONF\nNET: Registered \nEDAC \n",
    "ieee80211 phy\n",
);

/// A line of the kernel's without stamp, by how it begins.
fn is_of_a_kernel(line: &str) -> bool {
    KERNELS.lines().any(|start| line.starts_with(start))
}

/// True for a recording of a console: who else wrote there has no stamp and is no program of a log.
fn is_console(head: &str) -> bool {
    let lines = head
        .lines()
        .filter(|line| !line.trim().is_empty())
        .take(400);
    let (mut all, mut stamped) = (0_usize, 0_usize);
    for line in lines {
        all = all.saturating_add(1);
        let told = shape::read(line).is_console() || is_of_a_kernel(line);
        stamped = stamped.saturating_add(usize::from(told));
    }
    stamped > 0 && stamped.saturating_mul(100) >= all.saturating_mul(CONSOLE_PERCENT)
}

/// Text of a kernel report that lost its time stamps.
fn is_report_text(line: &str) -> bool {
    let starts = [
        "BUG: ",
        "WARNING: CPU: ",
        "Kernel panic - ",
        "Call Trace:",
        "RIP: 0",
        "Internal error: ",
        "Oops: ",
        "INFO: task ",
        "Unable to handle kernel",
    ];
    let is_capital = line.bytes().next().is_some_and(|c| c.is_ascii_uppercase());
    is_capital && starts.iter().any(|start| line.starts_with(start))
}

fn shape_name(worn: Option<Worn>) -> String {
    worn.map_or_else(|| "journal".to_owned(), |worn| worn.to_string())
}

/// One finding with the lines it was seen in.
#[derive(Debug)]
pub(super) struct SeenFinding {
    pub(super) finding: Finding,
    pub(super) first_line: u64,
    pub(super) last_line: u64,
    /// How its first line is written.
    pub(super) shape: String,
    /// The first of its lines, as they stand in the file.
    pub(super) lines: Vec<String>,
}

/// What a file holds.
#[derive(Debug, Default)]
pub(super) struct Recording {
    pub(super) seen: Vec<SeenFinding>,
    /// How its lines are written, from the outside in, and how many of each.
    pub(super) shapes: SortedMap<String, u64>,
}

/// What the daemon would have found in a file (`-` is standard input), by these rules. A file that cannot
/// be read to its end still has what was found before.
pub(super) fn replay(file: &str, rules: &RuleSet) -> (Recording, io::Result<()>) {
    let mut replay = Replay::new(rules);
    let read = replay.read(file);
    (replay.finished(), read)
}

/// What a single line comes to.
#[derive(Debug)]
pub(super) struct TriedLine {
    /// Names of the rules that fit, each with what it does, the first that decides first.
    pub(super) fits: Vec<String>,
    pub(super) finding: Option<Finding>,
}

/// One line by itself.
pub(super) fn try_line(line: &str, rules: &RuleSet) -> TriedLine {
    let mut replay = Replay::new(rules);
    replay.fits = Some(Vec::new());
    replay.text(line);
    replay.end_entry();
    if let Some(fault) = replay.kernel.finish() {
        replay.fault(&fault);
    }
    TriedLine {
        fits: replay.fits.take().unwrap_or_default(),
        finding: replay
            .finished()
            .seen
            .into_iter()
            .next()
            .map(|seen| seen.finding),
    }
}

/// The entry of an export or of `journalctl -o verbose` that is being read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Listed {
    Export,
    Verbose,
}

/// Where something stands in the file.
#[derive(Clone, Debug, Default)]
struct Place {
    first: u64,
    last: u64,
    /// As it stands there, as much of it as is shown.
    raw: String,
}

struct Replay<'a> {
    rules: &'a RuleSet,
    kernel: KernelReader,
    journal: JournalJudge,
    listed: Option<Listed>,
    /// Fields of that entry.
    entry: HashMap<String, String>,
    /// Its lines, shown by the one with its message.
    entry_place: Place,
    /// What nobody signed is the kernel's: a console was recorded, or a report without stamps is under way.
    console: bool,
    reporting: bool,
    recording: Recording,
    index: HashMap<Fingerprint, usize>,
    /// The line being read.
    place: Place,
    /// How it is written; none for the journal's own formats.
    worn: Option<Worn>,
    /// How many lines are written so.
    shapes: SortedMap<Option<Worn>, u64>,
    /// The rules that fit, where that is asked.
    fits: Option<Vec<String>>,
    traces: Traces,
}

impl<'a> Replay<'a> {
    fn new(rules: &'a RuleSet) -> Self {
        Self {
            rules,
            kernel: KernelReader::default(),
            journal: JournalJudge::of_a_recording(),
            listed: None,
            entry: HashMap::new(),
            entry_place: Place::default(),
            console: false,
            reporting: false,
            recording: Recording::default(),
            index: HashMap::new(),
            place: Place::default(),
            worn: None,
            shapes: SortedMap::new(),
            fits: None,
            traces: Traces::default(),
        }
    }

    fn finished(mut self) -> Recording {
        let named = |(worn, lines): (&Option<Worn>, &u64)| (shape_name(*worn), *lines);
        self.recording.shapes = self.shapes.iter().map(named).collect();
        self.recording
    }

    fn read(&mut self, file: &str) -> io::Result<()> {
        let mut input: Box<dyn Read> = if file == "-" {
            Box::new(io::stdin())
        } else {
            Box::new(File::open(file)?)
        };
        let mut head = Vec::new();
        input.by_ref().take(SNIFF as u64).read_to_end(&mut head)?;
        self.console = is_console(&String::from_utf8_lossy(&head));
        let mut splitter = LineSplitter::with_cap(ENTRY_CAP);
        let mut chunk = vec![0_u8; READ_CHUNK];
        let mut part = head;
        loop {
            splitter.push(&part, &mut |line, _| self.text(line));
            let got = input.read(&mut chunk)?;
            if got == 0 {
                break;
            }
            part = chunk.get(..got).unwrap_or(&[]).to_vec();
        }
        splitter.finish(&mut |line, _| self.text(line));
        self.end_entry();
        if let Some(fault) = self.kernel.finish() {
            self.fault(&fault);
        }
        Ok(())
    }

    fn text(&mut self, line: &str) {
        self.place.last = self.place.last.saturating_add(1);
        self.place.first = self.place.last;
        self.place.raw.clear();
        self.place.raw.push_str(cut(line, SHOWN_BYTES));
        if self.list(line) {
            return;
        }
        if line.starts_with('{') && line.contains("\"__REALTIME_TIMESTAMP\"") {
            self.json(line.as_bytes());
            return;
        }
        let line = cut(line, LINE_CAP);
        if line.trim().is_empty() {
            return;
        }
        let spoken = shape::read(line);
        self.count(Some(spoken.worn));
        if spoken.kernel {
            for (at, part) in split_console(&spoken.message) {
                self.console_line(at, spoken.level, part);
            }
        } else if self.is_of_the_console(&spoken) {
            self.console_line(None, None, &spoken.message);
        } else {
            self.program(&spoken);
        }
    }

    fn is_of_the_console(&mut self, spoken: &Spoken<'_>) -> bool {
        if !spoken.program.is_empty() {
            self.reporting = false;
            return false;
        }
        if is_report_text(&spoken.message) {
            self.reporting = true;
        } else if !spoken.is_unsigned() {
            self.reporting = false;
        }
        self.console || self.reporting
    }

    fn console_line(&mut self, at_us: Option<u64>, level: Option<Level>, text: &str) {
        let line = KernelLine { at_us, level, text };
        if let Some(fault) = self.kernel.line(&line) {
            self.fault(&fault);
        }
    }

    fn fault(&mut self, fault: &KernelFault) {
        let at = Timestamp::default();
        let (class, severity) = (fault.class, fault.severity);
        let (subject, message) = (&fault.subject, &fault.message);
        self.add(Finding::new(
            class, subject, severity, message, "replay", at,
        ));
    }

    fn program(&mut self, spoken: &Spoken<'_>) {
        if spoken.program.starts_with(OWN_NAME) {
            return;
        }
        if spoken.program == "systemd" {
            self.manager(spoken);
            return;
        }
        if let Some(on) = self.traces.goes_on(&spoken.program, spoken) {
            return self.goes_on(on.finding, on.reason.then_some(&spoken.message));
        }
        let judged = LogLine::spoken(spoken, &spoken.program);
        if let Some(fits) = &mut self.fits {
            fits.extend(self.rules.fitting(&judged));
        }
        if let Some(hit) = self.rules.classify(&judged) {
            let at = Timestamp::default();
            let (class, severity) = (hit.class, hit.severity);
            let (subject, message) = (&hit.subject, &spoken.message);
            let finding = Finding::new(class, subject, severity, message, "replay", at);
            self.traces
                .begins(&spoken.program, finding.fingerprint(), spoken);
            self.add(finding);
        }
    }

    /// A line belongs to what was found before, and may name a reason of it.
    fn goes_on(&mut self, of: Fingerprint, reason: Option<&Cow<'_, str>>) {
        let at = self.index.get(&of).copied();
        let Some(seen) = at.and_then(|at| self.recording.seen.get_mut(at)) else {
            return;
        };
        if let Some(reason) = reason {
            trace::add_reason(&mut seen.finding, reason);
        }
        seen.last_line = self.place.last;
        if seen.lines.len() < SHOWN_LINES {
            seen.lines.push(self.place.raw.clone());
        }
    }

    /// Of the service manager's words only a failure counts, and not of what users run.
    fn manager(&mut self, spoken: &Spoken<'_>) {
        if spoken.pid.is_some_and(|pid| pid != 1) {
            return;
        }
        let message = &spoken.message;
        if let Some(failed) = manager_lines::failed_unit(message) {
            self.add(failed_unit(
                &failed,
                message,
                "replay",
                Timestamp::default(),
            ));
        }
    }

    fn json(&mut self, line: &[u8]) {
        let Some(entry) = Entry::parse(line) else {
            return;
        };
        let micros = entry.realtime_us.as_str().parse::<i64>().unwrap_or(0);
        let at = Timestamp::from_millis(micros / 1000);
        self.count(None);
        let verdict = self.journal.judge(&entry.line(), self.rules, at);
        if let Some(finding) = verdict.finding {
            self.add(finding);
        }
        if let Some((of, reason)) = verdict.reason {
            self.goes_on(of, Some(&Cow::Owned(reason)));
        }
    }

    /// Takes a line of an entry that goes over several: `FIELD=value` until an empty line (export), or indented
    /// below a time and a cursor (verbose). Binary fields are skipped: a message that is no clean text is then
    /// judged by its other fields alone.
    fn list(&mut self, line: &str) -> bool {
        let starts = match line {
            _ if line.starts_with("__CURSOR=") => Some(Listed::Export),
            _ if line.ends_with(']') && line.contains(" [s=") => Some(Listed::Verbose),
            _ => None,
        };
        if self.listed.is_none() && starts.is_none() {
            return false;
        }
        let over = match self.listed {
            Some(Listed::Export) => line.is_empty(),
            Some(Listed::Verbose) => !line.starts_with(' '),
            None => false,
        };
        if over {
            self.end_entry();
        }
        if starts.is_some() {
            self.listed = starts;
            self.entry_place = self.place.clone();
        }
        match line.trim_start().split_once('=') {
            Some((key, value)) if self.listed.is_some() && starts != Some(Listed::Verbose) => {
                self.entry_place.last = self.place.last;
                if key == "MESSAGE" {
                    self.entry_place.raw.clone_from(&self.place.raw);
                }
                self.entry.insert(key.to_owned(), value.to_owned());
            }
            _ => {}
        }
        self.listed.is_some() || line.is_empty()
    }

    fn end_entry(&mut self) {
        self.listed = None;
        if self.entry.is_empty() {
            return;
        }
        let fields: serde_json::Map<String, serde_json::Value> = self
            .entry
            .drain()
            .map(|(key, value)| (key, serde_json::Value::String(value)))
            .collect();
        let text = serde_json::Value::Object(fields).to_string();
        let behind = std::mem::replace(&mut self.place, std::mem::take(&mut self.entry_place));
        self.json(text.as_bytes());
        self.place = behind;
    }

    fn count(&mut self, worn: Option<Worn>) {
        self.worn = worn;
        let lines = self.shapes.entry(worn).or_default();
        *lines = lines.saturating_add(1);
    }

    fn add(&mut self, finding: Finding) {
        let seen = &mut self.recording.seen;
        let at = *self
            .index
            .entry(finding.fingerprint())
            .or_insert(seen.len());
        match seen.get_mut(at) {
            Some(seen) => {
                seen.finding.count = seen.finding.count.saturating_add(1);
                seen.finding.severity = seen.finding.severity.max(finding.severity);
                seen.last_line = self.place.last;
                if seen.lines.len() < SHOWN_LINES {
                    seen.lines.push(self.place.raw.clone());
                }
            }
            None => seen.push(SeenFinding {
                finding,
                first_line: self.place.first,
                last_line: self.place.last,
                shape: shape_name(self.worn),
                lines: vec![self.place.raw.clone()],
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::core::model::class::Class;

    fn replayed(lines: &[&str]) -> Recording {
        let rules = RuleSet::builtin().unwrap();
        let mut replay = Replay::new(&rules);
        replay.console = is_console(&lines.join("\n"));
        for line in lines {
            replay.text(line);
        }
        replay.end_entry();
        replay.finished()
    }

    fn found(lines: &[&str]) -> Vec<(String, String)> {
        let seen = replayed(lines).seen.into_iter();
        seen.map(|one| (one.finding.subject, one.finding.message))
            .collect()
    }

    #[test]
    fn a_preamble_hides_no_kernel_line() {
        let mut lines = vec!["U-Boot 2021.01 (May 02 2024)", "stderr=serial"];
        lines.resize(500, "Loading Environment from MMC... OK");
        lines.push("[    4.100000] blk_update_request: I/O error, dev mmcblk0, sector 8192");
        let got = found(&lines);
        assert_eq!(got.len(), 1, "{got:?}");
        assert_eq!(got.first().map(|one| one.0.as_str()), Some("mmcblk0"));
    }

    #[test]
    fn a_report_without_stamps_is_the_kernels() {
        let lines = [
            "BUG: KASAN: use-after-free in x",
            "Call Trace:",
            " x+0x1/0x2",
            "Kernel panic - not syncing: Fatal exception",
        ];
        // The panic is worse than what led to it: both are told, nothing else is.
        let recording = replayed(&lines);
        let classes: Vec<Class> = recording.seen.iter().map(|one| one.finding.class).collect();
        assert_eq!(classes, [Class::KernelMemorySafety, Class::KernelOops]);
    }

    #[test]
    fn a_recorded_failure_of_a_unit_is_told_once_and_none_of_a_users() {
        let recording = replayed(&[
            "May  1 10:00:02 gw systemd[1]: a.service: Main process exited, code=exited, status=1/FAILURE",
            "May  1 10:00:02 gw systemd[1]: a.service: Unit entered failed state.",
            "May  1 10:00:02 gw systemd[1]: a.service: Failed with result 'exit-code'.",
            "May  1 10:00:03 gw systemd[812]: b.service: Failed with result 'exit-code'.",
            "May  1 10:00:03 gw app[7]: c.service: Failed with result 'exit-code'.",
            r#"{"__REALTIME_TIMESTAMP":"1","SYSLOG_IDENTIFIER":"systemd","_PID":"1","_UID":"0","_SYSTEMD_UNIT":"init.scope","UNIT":"d.service","MESSAGE":"d.service: Failed with result 'watchdog'."}"#,
        ]);
        let told: Vec<_> = recording
            .seen
            .iter()
            .filter(|one| one.finding.class != Class::LogError)
            .map(|one| (one.finding.class, one.finding.subject.as_str()))
            .collect();
        let want = [
            (Class::ServiceFailed, "a.service"),
            (Class::ServiceWatchdog, "d.service"),
        ];
        assert_eq!(told, want);
    }

    #[test]
    fn a_finding_shows_its_lines_as_they_stand_in_the_file() {
        let off = |n: u64| format!("May  1 10:00:0{n} gw a[1]: ERROR pump {n} is off");
        let all = [off(2), off(3)];
        let recording = replayed(&[&all[0], "May  1 10:00:02 gw a[1]: on", &all[1]]);
        let lines: Vec<_> = recording.seen.iter().map(|one| &one.lines).collect();
        assert_eq!(lines, [&all]);
        let many: Vec<String> = (0..100).map(|_| off(2)).collect();
        let many: Vec<&str> = many.iter().map(String::as_str).collect();
        let recording = replayed(&many);
        let shown: Vec<_> = recording.seen.iter().map(|one| one.lines.len()).collect();
        assert_eq!(shown, [SHOWN_LINES]);
    }

    #[test]
    fn the_shapes_of_a_file_are_counted() {
        let recording = replayed(&[
            "May  1 10:00:02 gw a[1]: on",
            "{\"log\":\"level=info msg=on\\n\",\"stream\":\"stdout\",\"time\":\"x\"}",
            "on",
            "",
        ]);
        let shapes: Vec<_> = recording.shapes.keys().map(String::as_str).collect();
        assert_eq!(shapes, ["docker json-file > logfmt", "plain", "syslog"]);
    }

    #[test]
    fn an_entry_over_several_lines_is_one() {
        let verbose = [
            "Fri 2026-05-01 10:00:02.123456 UTC [s=1;i=2]",
            "    PRIORITY=3",
            "    MESSAGE=pump is off",
            "    _SYSTEMD_UNIT=a.service",
            "Fri 2026-05-01 10:00:03.123456 UTC [s=1;i=3]",
            "    PRIORITY=6",
            "    MESSAGE=pump is on",
        ];
        let pump = |name: &str| [(name.to_owned(), "pump is off".to_owned())];
        assert_eq!(found(&verbose), pump("a.service"));
        let seen = replayed(&verbose).seen;
        let place = seen
            .first()
            .map(|one| (one.first_line, one.last_line, one.lines.clone()));
        assert_eq!(
            place,
            Some((1, 4, vec!["    MESSAGE=pump is off".to_owned()]))
        );
        let export = [
            "__CURSOR=s",
            "MESSAGE=pump is off",
            "PRIORITY=3",
            "_SYSTEMD_UNIT=b.service",
            "",
        ];
        assert_eq!(found(&export), pump("b.service"));
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
            lines += replay.place.last;
            let said: Vec<&str> = replay
                .recording
                .seen
                .iter()
                .map(|s| s.finding.message.as_str())
                .collect();
            assert!(said.is_empty(), "{path}: {said:?}");
        }
        assert!(lines >= 500, "only {lines} lines");
    }
}
