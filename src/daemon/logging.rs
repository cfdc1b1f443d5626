//! Logging to standard error: with journald's priorities under a service manager, plain otherwise.

use std::io::{self, Write};

use log::LevelFilter;
use simplelog::{ConfigBuilder, WriteLogger};

/// Starts logging at `level` (`error`, `warn`, `info`, `debug`; anything else means `info`).
/// `JOURNAL_STREAM` is set by systemd when standard error goes to the journal (sd-daemon(3)).
pub fn start(level: &str) {
    let filter = level.parse::<LevelFilter>().unwrap_or(LevelFilter::Info);
    let to_journal = std::env::var_os("JOURNAL_STREAM").is_some();
    let format = ConfigBuilder::new()
        .set_time_level(if to_journal {
            LevelFilter::Off
        } else {
            LevelFilter::Error
        })
        .set_thread_level(LevelFilter::Off)
        .set_target_level(LevelFilter::Off)
        .set_location_level(LevelFilter::Off)
        .build();
    let sink = Sink {
        to_journal,
        line: Vec::new(),
    };
    // A second start in one process keeps the first logger: only tests do that.
    let _ = WriteLogger::init(filter, format, sink);
}

/// Collects one line and writes it at once, so that lines of different threads never mix.
struct Sink {
    to_journal: bool,
    line: Vec<u8>,
}

impl Write for Sink {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.line.extend_from_slice(bytes);
        if self.line.ends_with(b"\n") {
            let line = std::mem::take(&mut self.line);
            let text = String::from_utf8_lossy(&line);
            let text = if self.to_journal {
                with_priority(&text)
            } else {
                text.into_owned()
            };
            io::stderr().write_all(text.as_bytes())?;
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        io::stderr().flush()
    }
}

/// `[WARN] text` -> `<4>text` (sd-daemon(3): the syslog levels in angle brackets).
fn with_priority(line: &str) -> String {
    let levels = [
        ("[ERROR] ", 3),
        ("[WARN] ", 4),
        ("[INFO] ", 6),
        ("[DEBUG] ", 7),
        ("[TRACE] ", 7),
    ];
    levels
        .iter()
        .find_map(|(prefix, level)| {
            line.strip_prefix(prefix)
                .map(|text| format!("<{level}>{text}"))
        })
        .unwrap_or_else(|| line.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_become_journal_priorities() {
        assert_eq!(with_priority("[WARN] disk\n"), "<4>disk\n");
        assert_eq!(with_priority("odd\n"), "odd\n");
    }
}
