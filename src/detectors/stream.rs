//! Streams: sources that tell of faults as they happen, each with a durable position.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::core::config::Config;
use crate::core::identity::Fingerprint;
use crate::core::model::class::Class;
use crate::core::model::finding::{Finding, Severity};
use crate::core::model::manager_event::ManagerEvent;
use crate::core::model::sorted::SortedSet;
use crate::core::model::time::Timestamp;
use crate::core::reading::log_rules::RuleSet;
use crate::core::reading::trace;
use crate::host::Host;
use crate::host::clock::end_after;
use crate::services::ServiceManager;

/// Most lines of one batch; bounds the memory between source and store.
pub const BATCH_LINES: usize = 256;
/// A batch is given on at the latest after this time while lines keep coming.
pub const BATCH_AGE: Duration = Duration::from_millis(50);
/// A position that moved without findings is given on this often: lost ones are only read again.
const BARE_EVERY: Duration = Duration::from_secs(1);
/// Longest wait in a read; the stop flag is seen within it.
pub const WAIT: Duration = Duration::from_millis(200);

/// Findings and the position behind them; both are stored in one transaction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Batch {
    /// Name of the stream, the key of its cursor.
    pub stream: String,
    /// Everything up to here is in this batch or an earlier one.
    pub position: String,
    pub findings: Vec<Finding>,
    /// Unit state may have changed: sweep the units now.
    pub poke: bool,
    /// Units that told that a port was taken.
    pub suspects: Vec<String>,
    /// What the service manager said.
    pub words: Vec<ManagerEvent>,
    /// Units that wrote a line.
    pub heard: SortedSet<String>,
}

/// The receiver shuts down; the batch was not accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StreamStop;

/// Takes a batch and blocks until it is accepted.
pub type Sink<'a> = dyn FnMut(Batch) -> Result<(), StreamStop> + Send + 'a;

/// How a stream ended when nothing broke.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StreamEnd {
    /// The stop flag was set.
    Stopped,
    /// Its source does not exist on this host.
    Absent(String),
}

/// What every stream needs.
pub struct StreamContext<'a> {
    pub host: &'a Host,
    pub config: &'a Config,
    pub rules: Arc<RuleSet>,
    pub managers: &'a [Arc<dyn ServiceManager>],
    /// Asked at every turn, which shows that the stream is not stuck; false when it has to end.
    pub goes_on: &'a (dyn Fn() -> bool + Sync),
    /// Durable position at start; `None` the very first time.
    pub position: Option<String>,
}

impl fmt::Debug for StreamContext<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StreamContext")
            .field("position", &self.position)
            .finish_non_exhaustive()
    }
}

impl StreamContext<'_> {
    pub fn stopped(&self) -> bool {
        !(self.goes_on)()
    }

    /// Sleeps up to `span`, less when stopped.
    pub fn pause(&self, span: Duration) {
        let end = end_after(span);
        while !self.stopped() {
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return;
            }
            std::thread::sleep(left.min(WAIT));
        }
    }
}

/// Collects lines into a batch; equal findings become one with a count.
#[derive(Debug)]
pub struct Collector {
    stream: String,
    position: String,
    findings: Vec<Finding>,
    index: HashMap<Fingerprint, usize>,
    poke: bool,
    suspects: Vec<String>,
    words: Vec<ManagerEvent>,
    heard: SortedSet<String>,
    lines: usize,
    started: Instant,
    /// When something was last given on; the first position goes at once, or a crash would forget the start.
    given: Option<Instant>,
}

impl Collector {
    pub fn new(stream: &str, position: String) -> Self {
        Self {
            stream: stream.to_owned(),
            position,
            findings: Vec::new(),
            index: HashMap::new(),
            poke: false,
            suspects: Vec::new(),
            words: Vec::new(),
            heard: SortedSet::new(),
            lines: 0,
            started: Instant::now(),
            given: None,
        }
    }

    pub fn position(&self) -> &str {
        &self.position
    }

    pub fn stream(&self) -> &str {
        &self.stream
    }

    /// One more line was judged, and everything up to `position`.
    pub fn advance(&mut self, position: &str) {
        self.count_line();
        self.move_to(position);
    }

    /// One more line was judged; its position follows by [`Collector::move_to`].
    pub fn count_line(&mut self) {
        if self.lines == 0 {
            self.started = Instant::now();
        }
        self.lines = self.lines.saturating_add(1);
    }

    /// Everything up to `position` was judged.
    pub fn move_to(&mut self, position: &str) {
        self.position.clear();
        self.position.push_str(position);
    }

    pub fn poke(&mut self) {
        self.poke = true;
    }

    /// `unit` told that a port was taken.
    pub fn port_taken(&mut self, unit: String) {
        if !self.suspects.contains(&unit) {
            self.suspects.push(unit);
        }
    }

    /// `unit` wrote a line.
    pub fn heard(&mut self, unit: &str) {
        if !self.heard.contains(unit) {
            self.heard.insert(unit.to_owned());
        }
    }

    /// A word of the service manager about a unit.
    pub fn manager_said(&mut self, word: ManagerEvent) {
        self.words.push(word);
    }

    pub fn add(&mut self, finding: Finding) {
        let next = self.findings.len();
        let at = *self.index.entry(finding.fingerprint()).or_insert(next);
        match self.findings.get_mut(at) {
            Some(known) => known.count = known.count.saturating_add(finding.count),
            None => self.findings.push(finding),
        }
    }

    /// What a line says of a finding before it. What was given on already keeps what it has.
    pub fn add_reason(&mut self, of: Fingerprint, reason: &str) {
        let at = self.index.get(&of).copied();
        if let Some(finding) = at.and_then(|at| self.findings.get_mut(at)) {
            trace::add_reason(finding, reason);
        }
    }

    /// Lines of the source were lost: said, never silent.
    pub fn gap(&mut self, what: &str, now: Timestamp) {
        let stream = self.stream.clone();
        self.add(Finding::new(
            Class::SelfGap,
            &stream,
            Severity::Warning,
            what,
            &stream,
            now,
        ));
    }

    /// True when the batch must go now although more can be read.
    pub fn is_full(&self) -> bool {
        self.lines >= BATCH_LINES || (self.lines > 0 && self.started.elapsed() >= BATCH_AGE)
    }

    pub fn has_news(&self) -> bool {
        self.poke || !self.findings.is_empty() || !self.words.is_empty()
    }

    /// Gives on what was collected. A bare position waits for [`BARE_EVERY`].
    pub fn flush(&mut self, sink: &mut Sink<'_>) -> Result<(), StreamStop> {
        let soon = self.given.is_some_and(|at| at.elapsed() < BARE_EVERY);
        if !self.has_news() && (self.lines == 0 || soon) {
            return Ok(());
        }
        sink(Batch {
            stream: self.stream.clone(),
            position: self.position.clone(),
            findings: std::mem::take(&mut self.findings),
            poke: self.poke,
            suspects: std::mem::take(&mut self.suspects),
            words: std::mem::take(&mut self.words),
            heard: std::mem::take(&mut self.heard),
        })?;
        self.index.clear();
        self.poke = false;
        self.lines = 0;
        self.given = Some(Instant::now());
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing)]
    use super::*;

    fn finding(message: &str) -> Finding {
        let now = Timestamp::from_millis(0);
        Finding::new(Class::LogError, "a", Severity::Error, message, "t", now)
    }

    #[test]
    fn equal_findings_are_counted() {
        let mut collector = Collector::new("t", String::new());
        for message in ["x", "y", "x"] {
            collector.add(finding(message));
            collector.advance("p");
        }
        let mut got = Vec::new();
        collector
            .flush(&mut |batch: Batch| {
                got.push(batch);
                Ok(())
            })
            .unwrap();
        assert_eq!(got.len(), 1);
        let counts: Vec<u64> = got[0].findings.iter().map(|f| f.count).collect();
        assert_eq!((counts, got[0].position.as_str()), (vec![2, 1], "p"));
        assert!(!collector.has_news());
    }

    #[test]
    fn a_refused_batch_ends_the_stream() {
        let mut collector = Collector::new("t", String::new());
        collector.add(finding("x"));
        assert_eq!(collector.flush(&mut |_| Err(StreamStop)), Err(StreamStop));
    }
}
