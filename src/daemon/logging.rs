//! Logging to standard error: with journald's priorities under a service manager, plain otherwise.

use std::fmt::Write as _;
use std::io::{self, Write as _};

use log::{Level, LevelFilter, Log, Metadata, Record};

use crate::core::model::inert;
use crate::core::model::text::cut;
use crate::core::model::time::Timestamp;
use crate::host::clock::Clock;

/// Longest line. journald cuts at 48 KiB and would read a priority at the start of what is left.
const LINE_CAP: usize = 8_192;

/// Starts logging at `level` (`error`, `warn`, `info`, `debug`; anything else means `info`).
/// `JOURNAL_STREAM` is set by systemd when standard error goes to the journal (sd-daemon(3)).
pub fn start(level: &str) {
    let logger = match std::env::var_os("JOURNAL_STREAM") {
        Some(_) => &JOURNAL,
        None => &PLAIN,
    };
    // A second start in one process keeps the first logger: only tests do that.
    if log::set_logger(logger).is_ok() {
        log::set_max_level(level.parse().unwrap_or(LevelFilter::Info));
    }
}

static JOURNAL: Logger = Logger { to_journal: true };
static PLAIN: Logger = Logger { to_journal: false };

/// Writes each record as one line at once, so that lines of different threads never mix.
struct Logger {
    to_journal: bool,
}

impl Log for Logger {
    fn enabled(&self, of: &Metadata<'_>) -> bool {
        of.level() <= log::max_level()
    }

    fn log(&self, record: &Record<'_>) {
        if self.enabled(record.metadata()) {
            let now = (!self.to_journal).then(|| Clock::system().now());
            let line = line(record.level(), &record.args().to_string(), now);
            // A closed standard error leaves nobody to tell.
            let _ = io::stderr().write_all(line.as_bytes());
        }
    }

    fn flush(&self) {}
}

/// One line whatever the text holds: names and messages of others stand in it. For journald it begins with
/// the syslog level in angle brackets (sd-daemon(3)), else with the time.
fn line(level: Level, text: &str, now: Option<Timestamp>) -> String {
    let mut line = match now {
        Some(now) => {
            let now = now.to_string();
            format!("{} [{level}] ", now.get(11..19).unwrap_or(&now))
        }
        None => format!("<{}>", priority(level)),
    };
    let text = inert::line(text);
    let shown = cut(&text, LINE_CAP);
    let dots = if shown.len() < text.len() { "…" } else { "" };
    let _ = writeln!(line, "{shown}{dots}");
    line
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
        assert_eq!(line(Level::Warn, "disk", None), "<4>disk\n");
        let at = Timestamp::from_millis(1_763_878_648_000);
        assert_eq!(
            line(Level::Warn, "disk", Some(at)),
            "06:17:28 [WARN] disk\n"
        );
    }

    #[test]
    fn no_text_forges_a_line() {
        let forged = line(Level::Info, inert::HOSTILE, None);
        assert_eq!(forged.lines().count(), 1);
        assert!(forged.starts_with("<6>bad\\n<2>audit"), "{forged}");
        assert!(!forged.trim_end_matches('\n').chars().any(inert::is_active));
        let long = line(
            Level::Info,
            &format!("{}\n<2>forged", "x".repeat(100_000)),
            None,
        );
        assert!(long.len() < LINE_CAP + 16 && long.ends_with("…\n"));
    }
}
