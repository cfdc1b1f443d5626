//! Plain log files, followed through rotation by rename and by copy-and-truncate.
//!
//! The cursor of a file is (device, inode, offset, digest of its first bytes). The digest tells a reused
//! inode from the old file, a truncated file that grew again from the one that was read, and finds the copy
//! that copy-and-truncate left beside it: what was not yet read is read there.

use std::cmp::Reverse;
use std::fs::{File, Metadata};
use std::io;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::time::Duration;

use crate::core::config::LogFile;
use crate::core::model::class::Class;
use crate::core::model::facts::Fact;
use crate::core::model::finding::{Finding, Severity};
use crate::core::model::hint::Hint;
use crate::core::model::sorted::SortedMap;
use crate::core::model::time::Timestamp;
use crate::core::reading::container;
use crate::core::reading::journal_entry::{OWN_NAME, of_kernel};
use crate::core::reading::kernel::{KernelFault, KernelLine, KernelReader};
use crate::core::reading::lines::LineSplitter;
use crate::core::reading::log_rules::RuleSet;
use crate::core::reading::logline::LogLine;
use crate::core::reading::shape::{self, Spoken, split_console};
use crate::core::reading::trace::Traces;
use crate::core::reading::writer::program;
use crate::detectors::stream::{Collector, Sink, StreamContext, StreamEnd, StreamStop, WAIT};
use crate::host::trusted::{self, Owners, Untrusted};
use crate::host::{Host, READ_CAP};

/// First bytes that identify a file.
const HEAD: usize = 256;
const READ_CHUNK: usize = 64 << 10;
/// Chunks read of one file before the next file has its turn.
const TURN: usize = 16;

/// A path that stays refused is told again after this time, before the finding counts as over.
const REFUSED_EVERY: Duration = Duration::from_secs(300);

/// Name of the stream of one file, the key of its cursor.
pub fn stream_name(path: &str) -> String {
    format!("file:{path}")
}

/// Where reading stands in which file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Position {
    pub device: u64,
    pub inode: u64,
    /// Start of the first line not yet judged, bytes.
    pub offset: u64,
    head_len: usize,
    head_hash: u64,
}

impl Position {
    pub fn text(&self) -> String {
        let Self {
            device,
            inode,
            offset,
            head_len,
            head_hash,
        } = self;
        format!("{device}:{inode}:{offset}:{head_len}:{head_hash:x}")
    }

    pub fn parse(text: &str) -> Option<Self> {
        let mut parts = text.split(':');
        let found = Self {
            device: parts.next()?.parse().ok()?,
            inode: parts.next()?.parse().ok()?,
            offset: parts.next()?.parse().ok()?,
            head_len: parts.next()?.parse().ok().filter(|len| *len <= HEAD)?,
            head_hash: u64::from_str_radix(parts.next()?, 16).ok()?,
        };
        parts.next().is_none().then_some(found)
    }

    fn at_start(meta: &Metadata) -> Self {
        Self {
            device: meta.dev(),
            inode: meta.ino(),
            ..Self::default()
        }
    }

    fn same_inode(&self, meta: &Metadata) -> bool {
        self.device == meta.dev() && self.inode == meta.ino()
    }

    /// True while `file` still begins as it did when this position was taken.
    fn fits(&self, file: &File) -> bool {
        file.metadata().is_ok_and(|meta| meta.len() >= self.offset)
            && head_of(file, self.head_len).is_ok_and(|hash| hash == Some(self.head_hash))
    }

    fn learn_head(&mut self, file: &File) {
        if self.head_len < HEAD {
            let len = usize::try_from(self.offset).unwrap_or(HEAD).min(HEAD);
            if let Ok(Some(hash)) = head_of(file, len) {
                (self.head_len, self.head_hash) = (len, hash);
            }
        }
    }
}

/// FNV-1a of the first `len` bytes; `None` when the file is shorter.
fn head_of(file: &File, len: usize) -> io::Result<Option<u64>> {
    let mut bytes = [0_u8; HEAD];
    let Some(head) = bytes.get_mut(..len) else {
        return Ok(None);
    };
    match file.read_exact_at(head, 0) {
        Ok(()) => {}
        Err(why) if why.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
        Err(why) => return Err(why),
    }
    Ok(Some(
        head.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
            (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
        }),
    ))
}

/// Follows all `[[log_file]]` of the configuration until stopped. `positions`: durable cursors by stream name.
pub fn run(
    context: &StreamContext<'_>,
    positions: &SortedMap<String, String>,
    sink: &mut Sink<'_>,
) -> StreamEnd {
    if context.config.log_file.is_empty() {
        return StreamEnd::Absent("no log_file is configured".to_owned());
    }
    let mut tails: Vec<Tail> = context
        .config
        .log_file
        .iter()
        .map(|file| {
            let known = positions.get(&stream_name(&file.path)).map(String::as_str);
            Tail::new(file, context.host, known)
        })
        .collect();
    while !context.stopped() {
        let mut more = false;
        for tail in &mut tails {
            match tail.turn(context, sink) {
                Ok(busy) => more |= busy,
                Err(StreamStop) => return StreamEnd::Stopped,
            }
        }
        if !more {
            context.pause(WAIT);
        }
    }
    StreamEnd::Stopped
}

/// One followed file.
#[derive(Debug)]
pub struct Tail {
    host: Host,
    /// As the host names it.
    path: String,
    /// When it was last told that the path is refused.
    refused_at: Option<Timestamp>,
    open: Option<File>,
    position: Position,
    /// Read beyond the last whole line, bytes.
    ahead: u64,
    splitter: LineSplitter,
    reader: LineReader,
    collector: Collector,
    /// A position from before the start still looks for its file.
    resuming: bool,
    /// The first look ever: old lines are history, not news.
    first: bool,
}

impl Tail {
    /// `known`: the durable position, `None` the very first time.
    pub fn new(file: &LogFile, host: &Host, known: Option<&str>) -> Self {
        let position = known.and_then(Position::parse);
        Self {
            host: host.clone(),
            path: file.path.clone(),
            refused_at: None,
            open: None,
            position: position.unwrap_or_default(),
            ahead: 0,
            splitter: LineSplitter::default(),
            reader: LineReader {
                container: container_of(&file.path, host),
                ..LineReader::new(file)
            },
            collector: Collector::new(&stream_name(&file.path), known.unwrap_or("").to_owned()),
            resuming: position.is_some(),
            first: known.is_none(),
        }
    }

    /// Reads what is there, up to a bound; true when there is more.
    pub fn turn(
        &mut self,
        context: &StreamContext<'_>,
        sink: &mut Sink<'_>,
    ) -> Result<bool, StreamStop> {
        let now = context.host.clock.now();
        let mut more = false;
        if self.ensure_open(now) {
            for _ in 0..TURN {
                more = self.read_chunk(context, now, sink)? || self.next_file(context, now);
                if !more || context.stopped() {
                    break;
                }
            }
        }
        self.collector.flush(sink)?;
        Ok(more)
    }

    fn ensure_open(&mut self, now: Timestamp) -> bool {
        if self.open.is_some() {
            return true;
        }
        if std::mem::take(&mut self.resuming) {
            if let Some(file) = self.find_read_file() {
                self.open = Some(file);
                return true;
            }
            // What cannot be opened is told of there; whether lines were lost is known once a file stands there again.
            if self.open_path(now).is_some() {
                let what = "the rotated log file with the last line read is gone: its rest was not judged; keep one rotated file uncompressed (delaycompress)";
                self.collector.gap(what, now);
            } else {
                self.resuming = true;
                return false;
            }
        }
        // Not there yet: whatever appears is new.
        let started = self.start_path(now);
        self.first &= started;
        started
    }

    /// Opens the file at the path. Whoever writes it may put anything in its place: what is no regular file, or
    /// a link, is told and not read, and the other files go on.
    fn open_path(&mut self, now: Timestamp) -> Option<File> {
        let why = match open_foreign(&self.host, &self.path) {
            Ok(file) => return Some(file),
            Err(why) if why.is_absent() => return None,
            Err(why) => why,
        };
        let again = self
            .refused_at
            .is_none_or(|at| now.since(at) >= REFUSED_EVERY);
        if again {
            self.refused_at = Some(now);
            let what = format!("not read: {}", why.with_hint());
            log::warn!("{}: {what}", self.collector.stream());
            self.collector.gap(&what, now);
        }
        None
    }

    fn start(&mut self, file: File, meta: &Metadata) {
        self.position = Position::at_start(meta);
        self.splitter.clear();
        self.ahead = 0;
        if std::mem::take(&mut self.first) {
            self.position.offset = line_start_before_end(&file, meta.len());
        }
        self.position.learn_head(&file);
        self.open = Some(file);
        self.collector.count_line();
        // Nothing read yet: the end of the file before stays the position, or a copy-and-truncate before
        // the next start would hide a copy of which no first byte is known.
        if self.position.offset > 0 || self.collector.position().is_empty() {
            self.collector.move_to(&self.position.text());
        }
    }

    /// True when something was read.
    fn read_chunk(
        &mut self,
        context: &StreamContext<'_>,
        now: Timestamp,
        sink: &mut Sink<'_>,
    ) -> Result<bool, StreamStop> {
        let Some(file) = &self.open else {
            return Ok(false);
        };
        let mut chunk = vec![0_u8; READ_CHUNK];
        let got = file
            .read_at(&mut chunk, self.position.offset.saturating_add(self.ahead))
            .unwrap_or(0);
        // Looked at after reading: bytes read before a truncation are then read again from its copy.
        if got == 0 || !self.position.fits(file) {
            return Ok(false);
        }
        self.reader.only_root = only_root_writes(file);
        let Self {
            position,
            ahead,
            splitter,
            reader,
            collector,
            ..
        } = self;
        let mut stopped = Ok(());
        let mut consumed = 0_u64;
        splitter.push(chunk.get(..got).unwrap_or(&[]), &mut |line, length| {
            consumed = consumed.saturating_add(length);
            position.offset = position.offset.saturating_add(length);
            reader.line(line, &context.rules, now, collector);
            collector.count_line();
            if collector.is_full() && stopped.is_ok() {
                position.learn_head(file);
                collector.move_to(&position.text());
                stopped = collector.flush(sink);
            }
        });
        *ahead = ahead.saturating_add(got as u64).saturating_sub(consumed);
        position.learn_head(file);
        collector.move_to(&position.text());
        stopped.map(|()| true)
    }

    /// At the end of the open file: the one to read after it, if there is one.
    fn next_file(&mut self, context: &StreamContext<'_>, now: Timestamp) -> bool {
        let Some(file) = &self.open else { return false };
        let fits = self.position.fits(file);
        if !fits {
            // Truncated in place: the rest may stand in a copy.
            self.splitter.clear();
            self.ahead = 0;
            self.open = None;
            if let Some(copy) = self.find_read_file() {
                self.open = Some(copy);
                return true;
            }
            return self.start_path(now);
        }
        // The usual case first, and cheaply; only what differs is opened.
        let at = std::fs::symlink_metadata(self.host.path(&self.path));
        if at.is_ok_and(|meta| self.position.same_inode(&meta)) {
            return false;
        }
        let Some(current) = self.open_path(now).and_then(|file| file.metadata().ok()) else {
            return false;
        };
        if self.position.same_inode(&current) {
            return false;
        }
        if current.len() == 0 {
            // Rotated, but the writer may still hold the old file.
            return false;
        }
        // Renamed: a last line without line end will get no more.
        let Self {
            splitter,
            reader,
            collector,
            position,
            ..
        } = self;
        splitter.finish(&mut |line, length| {
            position.offset = position.offset.saturating_add(length);
            reader.line(line, &context.rules, now, collector);
        });
        self.ahead = 0;
        match self.newer_than_read() {
            Some(file) => match file.metadata() {
                Ok(meta) => {
                    self.start(file, &meta);
                    true
                }
                Err(_) => false,
            },
            None => self.start_path(now),
        }
    }

    fn start_path(&mut self, now: Timestamp) -> bool {
        let Some(file) = self.open_path(now) else {
            return false;
        };
        let Ok(meta) = file.metadata() else {
            return false;
        };
        self.start(file, &meta);
        true
    }

    /// The file that the position speaks of, wherever it stands now; sets the position to it.
    fn find_read_file(&mut self) -> Option<File> {
        let family = family(&self.host, &self.path);
        let fitting = |(path, _): &(String, Metadata)| {
            let file = open_foreign(&self.host, path).ok()?;
            let meta = file.metadata().ok()?;
            self.position.fits(&file).then_some((file, meta))
        };
        let same = family
            .iter()
            .filter(|(_, meta)| self.position.same_inode(meta))
            .find_map(fitting);
        // A copy has the same first bytes; an empty head would fit everything.
        let copy = || {
            let known = self.position.head_len > 0;
            family.iter().filter(|_| known).rev().find_map(fitting)
        };
        let (file, meta) = same.or_else(copy)?;
        self.position.device = meta.dev();
        self.position.inode = meta.ino();
        Some(file)
    }

    /// The oldest file of the family that is newer than the one just read.
    fn newer_than_read(&self) -> Option<File> {
        let family = family(&self.host, &self.path);
        let (path, _) = family
            .iter()
            .skip_while(|(_, meta)| !self.position.same_inode(meta))
            .nth(1)?;
        open_foreign(&self.host, path).ok()
    }
}

/// Opens a file that other users may write.
fn open_foreign(host: &Host, path: &str) -> Result<File, Untrusted> {
    trusted::open(host, path, &Owners::anybody(host)).map(File::from)
}

/// Siblings of a log file that are looked at: in a folder of his own anybody may make as many as he likes.
const FAMILY_MOST: usize = 1_000;

/// The log file and its uncompressed rotated siblings, oldest first.
fn family(host: &Host, path: &str) -> Vec<(String, Metadata)> {
    let Some((folder, name)) = path.rsplit_once('/') else {
        return Vec::new();
    };
    let Ok(entries) = std::fs::read_dir(host.path(format!("{folder}/"))) else {
        return Vec::new();
    };
    let mut found: Vec<(String, Metadata)> = entries
        .flatten()
        .filter_map(|entry| {
            let other = entry.file_name().into_string().ok()?;
            let is_one = other == name || other.strip_prefix(name).is_some_and(is_rotation);
            if !is_one {
                return None;
            }
            // Of the entry itself: a link is none.
            let meta = entry.metadata().ok()?;
            meta.is_file().then(|| (format!("{folder}/{other}"), meta))
        })
        .take(FAMILY_MOST)
        .collect();
    found.sort_by_key(|(other, meta)| {
        let newest = other == path;
        let ending = other.rsplit_once('.').map(|(_, ending)| ending);
        let number = ending
            .and_then(|ending| ending.parse::<i64>().ok())
            .unwrap_or(0);
        (newest, meta.mtime(), meta.mtime_nsec(), Reverse(number))
    });
    found
}

/// `.1`, `-20251123`, `.old`: what rotation adds to a name, uncompressed.
fn is_rotation(suffix: &str) -> bool {
    let rest = suffix.strip_prefix(['.', '-']).unwrap_or("");
    rest == "old"
        || (rest.starts_with(|c: char| c.is_ascii_digit())
            && rest
                .bytes()
                .all(|c| c.is_ascii_digit() || matches!(c, b'-' | b'.' | b'T' | b':')))
}

/// Start of the last line of the file when it has no line end yet, else its end.
fn line_start_before_end(file: &File, size: u64) -> u64 {
    let from = size.saturating_sub(READ_CHUNK as u64);
    let mut tail = vec![0_u8; usize::try_from(size.saturating_sub(from)).unwrap_or(0)];
    if file.read_exact_at(&mut tail, from).is_err() {
        return size;
    }
    tail.iter()
        .rposition(|c| *c == b'\n')
        .map_or(size, |at| from.saturating_add(at as u64).saturating_add(1))
}

/// True when nobody but root can have written what stands in the file.
fn only_root_writes(file: &File) -> bool {
    const OTHERS_WRITE: u32 = 0o022;
    file.metadata()
        .is_ok_and(|meta| meta.uid() == 0 && meta.mode() & OTHERS_WRITE == 0)
}

/// The container whose file it is, as its engine's folders say.
fn container_of(path: &str, host: &Host) -> String {
    if let Some(name) = container::of_path(path) {
        return name.to_owned();
    }
    container::described_in(path)
        .and_then(|file| host.read(file, READ_CAP).ok())
        .and_then(|description| container::name_in(&description))
        .unwrap_or_default()
}

/// Judges the lines of one file.
#[derive(Debug)]
struct LineReader {
    subject: String,
    path: String,
    /// Name of the container whose file it is; empty for any other.
    container: String,
    kernel: KernelReader,
    /// The operator says that the kernel's lines come here and no others.
    of_kernel: bool,
    only_root: bool,
    traces: Traces,
}

impl LineReader {
    fn new(file: &LogFile) -> Self {
        Self {
            container: String::new(),
            subject: file.unit.clone(),
            path: file.path.clone(),
            kernel: KernelReader::default(),
            of_kernel: file.kernel,
            only_root: false,
            traces: Traces::default(),
        }
    }

    fn line(&mut self, text: &str, rules: &RuleSet, now: Timestamp, collector: &mut Collector) {
        let mut spoken = shape::read(text);
        // What a program writes into a file of its own is its own, whatever it looks like.
        if spoken.is_console() && !self.subject.is_empty() && !self.of_kernel {
            spoken = shape::read_text(text, None);
        }
        if spoken.program == OWN_NAME {
            return;
        }
        if spoken.kernel {
            self.kernel_line(&spoken, now, collector);
            return;
        }
        if let Some(on) = self.traces.goes_on(&spoken.program, &spoken) {
            if on.reason {
                collector.add_reason(on.finding, &spoken.message);
            }
            return;
        }
        let source = collector.stream().to_owned();
        let subject = self.subject_of(&spoken.program);
        if let Some(hit) = rules.classify(&LogLine::spoken(&spoken, &subject)) {
            let class = match hit.class.is_kernels() {
                true => Class::LogError,
                false => hit.class,
            };
            let severity = self.at_most(&spoken.program, hit.severity);
            let message = &spoken.message;
            let finding = Finding::new(class, &hit.subject, severity, message, &source, now)
                .with(Fact::Unit(&self.subject))
                .with(Fact::Path(&self.path))
                .with(hit.only_words.then_some(Fact::OnlyWords))
                .said_by(&source);
            self.traces
                .begins(&spoken.program, finding.fingerprint(), &spoken);
            collector.add(finding);
        }
    }

    fn kernel_line(&mut self, spoken: &Spoken<'_>, now: Timestamp, collector: &mut Collector) {
        let source = collector.stream().to_owned();
        let believed = self.of_kernel && self.only_root;
        // Kernels that print no time: the moment of reading still parts one report from the next.
        let read_at = u64::try_from(now.as_millis()).ok();
        let read_at = read_at.map(|ms| ms.saturating_mul(1_000));
        for (at, text) in split_console(&spoken.message) {
            let line = KernelLine {
                at_us: at.or(read_at),
                level: spoken.level,
                text,
            };
            let Some(fault) = self.kernel.line(&line) else {
                continue;
            };
            if !believed {
                collector.add(self.claimed(&fault, &source, now));
                continue;
            }
            let verdict = of_kernel(&fault, &source, now);
            if verdict.poke {
                collector.poke();
            }
            if let Some(finding) = verdict.finding {
                collector.add(finding);
            }
        }
    }

    /// Anybody can give the system log a line with the kernel's tag: such a fault is what a line says, no more.
    fn claimed(&self, fault: &KernelFault, source: &str, now: Timestamp) -> Finding {
        let subject = self.subject_of("");
        let severity = fault.severity.min(Severity::Error);
        Finding::new(
            Class::LogError,
            &subject,
            severity,
            &fault.message,
            source,
            now,
        )
        .with(Fact::Path(&self.path))
        .said_by(source)
    }

    /// A file that others write says `error` at most. So does a line with a tag in a file of no unit's own: anybody has
    /// the system log write one, whoever owns its file.
    fn at_most(&self, tag: &str, claimed: Severity) -> Severity {
        let is_own = tag.is_empty() || !self.subject.is_empty();
        match self.only_root && is_own {
            true => claimed,
            false => claimed.min(Severity::Error),
        }
    }

    /// The unit that the operator names, else the container, else the program, else the file.
    fn subject_of(&self, identifier: &str) -> String {
        match (self.subject.as_str(), identifier) {
            ("", _) if !self.container.is_empty() => self.container.clone(),
            ("", "") => self.path.clone(),
            ("", identifier) => program(identifier),
            (subject, _) => subject.to_owned(),
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing)]
mod tests;
