//! Reader threads: each follows one stream and hands batches to the store; the source is the buffer.

use std::borrow::Cow;
use std::error::Error;
use std::fmt;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use crate::core::model::class::Class;
use crate::core::model::finding::{Finding, Severity};
use crate::core::model::hint::Hint;
use crate::daemon::habits;
use crate::daemon::loaded_config::LoadedConfig;
use crate::daemon::runtime::Runtime;
use crate::detectors::stream::{Batch, StreamContext, StreamEnd, StreamStop};
use crate::detectors::{DetectError, journal, kmsg, logfile};
use crate::store::{Cursor, Intake, StoreError};

/// First pause before a broken stream is opened again; doubles up to [`RETRY_MAX`].
const RETRY_FIRST: Duration = Duration::from_millis(500);
const RETRY_MAX: Duration = Duration::from_secs(60);
/// A stream that is absent looks this often whether a reload brought it.
const RELOAD_LOOK: Duration = Duration::from_secs(5);

/// One stream of this host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HostStream {
    Journal,
    KernelLog,
    /// All of `[[log_file]]`, one thread.
    LogFiles,
}

impl HostStream {
    /// Name of the stream: thread, cursor and findings carry it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Journal => "journal",
            Self::KernelLog => "kmsg",
            Self::LogFiles => "files",
        }
    }
}

/// Why a stream broke.
#[derive(Debug)]
enum FollowError {
    /// Its position is not known.
    Store(StoreError),
    Source(DetectError),
}

impl fmt::Display for FollowError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Store(why) => why.fmt(f),
            Self::Source(why) => why.fmt(f),
        }
    }
}

impl Error for FollowError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Store(why) => Some(why),
            Self::Source(why) => Some(why),
        }
    }
}

impl Hint for FollowError {
    fn hint(&self) -> Cow<'static, str> {
        match self {
            Self::Store(why) => why.hint(),
            Self::Source(why) => why.hint(),
        }
    }
}

impl From<StoreError> for FollowError {
    fn from(why: StoreError) -> Self {
        Self::Store(why)
    }
}

/// The streams that exist here. One kernel source per host: the journal where there is one.
pub fn sources(runtime: &Runtime) -> Vec<HostStream> {
    let loaded = runtime.loaded();
    let mut sources = Vec::new();
    let journal = loaded.config.detect.journal && journal::is_present(&runtime.host);
    if journal {
        sources.push(HostStream::Journal);
    }
    if loaded.config.detect.kernel_log && !(journal && journal::carries_kernel(&runtime.host)) {
        sources.push(HostStream::KernelLog);
    }
    // A reload may bring some.
    sources.push(HostStream::LogFiles);
    sources
}

/// Thread body. One that ends gives no more signs of life, and nobody waits for them.
pub fn run(runtime: &Runtime, source: HostStream) {
    if source == HostStream::Journal {
        runtime.set_journal_followed(true);
    }
    follow_on(runtime, source);
    runtime.ends(source.name());
}

/// Follows, and opens again with growing pauses when the source breaks.
fn follow_on(runtime: &Runtime, source: HostStream) {
    let name = source.name();
    let mut pause = RETRY_FIRST;
    while !runtime.stopping() {
        let started = std::time::Instant::now();
        let loaded = runtime.loaded();
        match follow(runtime, source, name, &loaded) {
            // It was told to end, or the store is gone for good.
            Ok(StreamEnd::Stopped) if Arc::ptr_eq(&loaded, &runtime.loaded()) => return,
            // There are other rules and files now.
            Ok(StreamEnd::Stopped) => continue,
            Ok(StreamEnd::Absent(why)) => {
                // Most hosts have none of their own.
                let level = match source {
                    HostStream::LogFiles => log::Level::Debug,
                    HostStream::Journal | HostStream::KernelLog => log::Level::Info,
                };
                log::log!(level, "stream {name}: absent: {why}");
                while !runtime.stopping() && Arc::ptr_eq(&loaded, &runtime.loaded()) {
                    runtime.beat(name);
                    runtime.halt.pause(RELOAD_LOOK);
                }
                continue;
            }
            Err(why) => {
                let why = why.with_hint();
                log::warn!(
                    "stream {name}: {why}; opening it again in {} ms",
                    pause.as_millis()
                );
                report_broken(runtime, name, &why);
            }
        }
        if started.elapsed() > RETRY_MAX {
            pause = RETRY_FIRST;
        }
        runtime.beat(name);
        runtime.halt.pause(pause);
        pause = (pause * 2).min(RETRY_MAX);
    }
}

/// With one set of rules and files, until there is another one.
fn follow(
    runtime: &Runtime,
    source: HostStream,
    name: &str,
    loaded: &Arc<LoadedConfig>,
) -> Result<StreamEnd, FollowError> {
    let goes_on = || {
        runtime.beat(name);
        !runtime.stopping() && Arc::ptr_eq(loaded, &runtime.loaded())
    };
    let context = StreamContext {
        host: &runtime.host,
        config: &loaded.config,
        rules: Arc::clone(&loaded.rules),
        managers: &loaded.managers,
        goes_on: &goes_on,
        position: runtime.store.cursor(name)?,
    };
    let mut sink = |batch: Batch| accept(runtime, name, batch);
    match source {
        HostStream::Journal => journal::run(&context, &mut sink),
        HostStream::KernelLog => kmsg::run(&context, &mut sink),
        HostStream::LogFiles => {
            let positions = runtime.store.cursors()?;
            Ok(logfile::run(&context, &positions, &mut sink))
        }
    }
    .map_err(FollowError::Source)
}

/// Puts a batch into the store: findings and cursor commit together. A busy or full store is waited
/// for; the source keeps what was not taken.
fn accept(runtime: &Runtime, name: &str, batch: Batch) -> Result<(), StreamStop> {
    let now = runtime.host.clock.now();
    runtime.suspect(batch.suspects, now);
    runtime.hear(&batch.heard, now);
    // Before the sweep that the poke asks for.
    for manager in &runtime.loaded().managers {
        manager.hear(&batch.words);
    }
    if batch.poke {
        runtime.poke.ring();
    }
    for finding in &batch.findings {
        log::debug!("{} {}: {}", finding.class, finding.subject, finding.message);
    }
    let had_findings = !batch.findings.is_empty();
    let kinds = runtime.loaded().config.detect.storm_kinds;
    let findings = match runtime.store.reader() {
        Ok(reader) => {
            let mut limit = runtime.storm.lock().unwrap_or_else(PoisonError::into_inner);
            limit.apply(&reader, batch.findings, kinds, now)
        }
        Err(_) => batch.findings,
    };
    let intake = Intake {
        findings,
        cursor: Some(Cursor {
            stream: batch.stream,
            position: batch.position,
        }),
    };
    loop {
        runtime.beat(name);
        match runtime
            .store
            .intake(intake.clone(), runtime.host.clock.now())
        {
            Ok(_) => {
                habits::hear(runtime, &intake.findings);
                if had_findings {
                    runtime.work.ring();
                }
                return Ok(());
            }
            Err(StoreError::Closed) => return Err(StreamStop),
            Err(why) => log::error!("intake: {}; trying again", why.with_hint()),
        }
        if runtime.stopping() {
            return Err(StreamStop);
        }
        runtime.halt.pause(Duration::from_secs(1));
    }
}

fn report_broken(runtime: &Runtime, name: &str, why: &str) {
    let now = runtime.host.clock.now();
    let finding = Finding::new(
        Class::SelfGap,
        name,
        Severity::Warning,
        &format!("stream broken: {why}"),
        name,
        now,
    );
    let intake = Intake {
        findings: vec![finding],
        cursor: None,
    };
    if let Err(why) = runtime.store.intake(intake, now) {
        log::error!("intake: {}", why.with_hint());
    }
}
