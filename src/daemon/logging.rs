//! Logging to standard error: with journald's priorities under a service manager, plain otherwise.

use std::io::{self, LineWriter, Stderr};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use log::{Level, LevelFilter, Log, Metadata, Record};
use simplelog::{ConfigBuilder, WriteLogger};

use crate::core::model::inert;
use crate::core::model::text::cut;

/// Longest text of a line. journald cuts at 48 KiB and would read a priority at the start of what is left.
const TEXT_CAP: usize = 8_192;
/// Room for a whole line with its time and level: it reaches standard error in one piece.
const LINE_CAP: usize = TEXT_CAP + 64;

/// A warning or an error that is said again and again, as by each thread while the disk is full, is written once in
/// this time.
const REPEAT: Duration = Duration::from_secs(60);
/// Texts remembered for that.
const SAID_MOST: usize = 32;

/// Starts logging at `level` (`error`, `warn`, `info`, `debug`; anything else means `info`).
/// `JOURNAL_STREAM` is set by systemd when standard error goes to the journal (sd-daemon(3)).
pub fn start(level: &str) {
    let filter = level.parse().unwrap_or(LevelFilter::Info);
    let to_journal = std::env::var_os("JOURNAL_STREAM").is_some();
    // The journal has its own time, and gets the level as a priority.
    let shown = if to_journal {
        LevelFilter::Off
    } else {
        LevelFilter::Error
    };
    let format = ConfigBuilder::new()
        .set_time_level(shown)
        .set_max_level(shown)
        .set_thread_level(LevelFilter::Off)
        .set_target_level(LevelFilter::Off)
        .set_location_level(LevelFilter::Off)
        .build();
    let stderr = LineWriter::with_capacity(LINE_CAP, io::stderr());
    let logger = Inert {
        to_journal,
        writer: WriteLogger::new(filter, format, stderr),
        said: Mutex::default(),
    };
    // A second start in one process keeps the first logger: only tests do that.
    if log::set_boxed_logger(Box::new(logger)).is_ok() {
        log::set_max_level(filter);
    }
}

/// Makes the text of each record harmless before it is written.
struct Inert {
    to_journal: bool,
    writer: Box<WriteLogger<LineWriter<Stderr>>>,
    said: Mutex<Said>,
}

/// What was said lately, and how often it was kept back since.
#[derive(Default)]
struct Said(Vec<(String, Instant, u64)>);

impl Said {
    /// The text as it is to be written; `None` keeps it back.
    fn again(&mut self, text: String, now: Instant) -> Option<String> {
        let is_over = |at: &Instant| now.saturating_duration_since(*at) >= REPEAT;
        let known = self.0.iter().position(|(said, ..)| *said == text);
        if let Some((_, at, kept)) = known.and_then(|at| self.0.get_mut(at)) {
            if !is_over(at) {
                *kept = kept.saturating_add(1);
                return None;
            }
            *at = now;
            return Some(match std::mem::take(kept) {
                0 => text,
                more => format!("{text} (and {more} times before)"),
            });
        }
        self.0.retain(|(_, at, _)| !is_over(at));
        if self.0.len() < SAID_MOST {
            self.0.push((text.clone(), now, 0));
        }
        Some(text)
    }
}

impl Log for Inert {
    fn enabled(&self, of: &Metadata<'_>) -> bool {
        self.writer.enabled(of)
    }

    fn log(&self, record: &Record<'_>) {
        if self.enabled(record.metadata()) {
            let text = record.args().to_string();
            let text = match record.level() {
                Level::Error | Level::Warn => {
                    let mut said = self.said.lock().unwrap_or_else(PoisonError::into_inner);
                    match said.again(text, Instant::now()) {
                        Some(text) => text,
                        None => return,
                    }
                }
                Level::Info | Level::Debug | Level::Trace => text,
            };
            let text = self::text(record.level(), &text, self.to_journal);
            self.writer.log(
                &Record::builder()
                    .metadata(record.metadata().clone())
                    .args(format_args!("{text}"))
                    .build(),
            );
        }
    }

    fn flush(&self) {
        self.writer.flush();
    }
}

/// One line whatever the text holds: names and messages of others stand in it. For journald it begins with
/// the syslog level in angle brackets (sd-daemon(3)).
fn text(level: Level, text: &str, to_journal: bool) -> String {
    let text = inert::line(text);
    let shown = cut(&text, TEXT_CAP);
    let dots = if shown.len() < text.len() { "…" } else { "" };
    if to_journal {
        format!("<{}>{shown}{dots}", priority(level))
    } else {
        format!("{shown}{dots}")
    }
}

const fn priority(level: Level) -> u8 {
    match level {
        Level::Error => 3,
        Level::Warn => 4,
        Level::Info => 6,
        Level::Debug | Level::Trace => 7,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_become_journal_priorities() {
        assert_eq!(text(Level::Warn, "disk", true), "<4>disk");
        assert_eq!(text(Level::Warn, "disk", false), "disk");
    }

    #[test]
    fn what_is_said_without_end_is_written_once_a_minute() {
        let mut said = Said::default();
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let mut say = |text: &str, seconds| said.again(text.to_owned(), at(seconds));
        assert_eq!(say("full", 0).as_deref(), Some("full"));
        assert_eq!(say("full", 1), None);
        assert_eq!(say("other", 2).as_deref(), Some("other"));
        assert_eq!(say("full", 59), None);
        assert_eq!(
            say("full", 60).as_deref(),
            Some("full (and 2 times before)")
        );
        assert_eq!(say("full", 61), None);
        for n in 0..2 * SAID_MOST {
            assert!(say(&n.to_string(), 62).is_some());
        }
    }

    #[test]
    fn no_text_forges_a_line() {
        let forged = text(Level::Info, inert::HOSTILE, true);
        assert_eq!(forged.lines().count(), 1);
        assert!(forged.starts_with("<6>bad\\n<2>audit"), "{forged}");
        assert!(!forged.chars().any(inert::is_active));
        let long = format!("{}\n<2>forged", "x".repeat(100_000));
        let long = text(Level::Info, &long, true);
        assert!(long.len() < LINE_CAP && long.ends_with('…'));
    }
}
