//! What every command shares: the options before or after its name, the configuration, the output.

use std::io::{self, IsTerminal, Write};
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::cli::error::{CliError, ErrorKind};
use crate::cli::table::{Table, for_terminal, wrap_page};
use crate::core::config::{Config, ConfigError};
use crate::core::model::inert;
use crate::core::model::time::Timestamp;
use crate::host::Host;
use crate::host::clock::Clock;
use crate::host::trusted;

const OWN_NAME: &str = env!("CARGO_PKG_NAME");
/// Where the configuration lies unless `--config` says otherwise.
pub(super) const DEFAULT_CONFIG: &str = "/etc/autonomous-orchestrator/config.toml";
/// Largest configuration that is read, bytes.
const CONFIG_CAP: u64 = 1 << 20;

/// Options that every command takes.
#[derive(Clone, Debug, Default)]
pub(super) struct Globals {
    pub(super) config: Option<PathBuf>,
    pub(super) state_dir: Option<PathBuf>,
    /// A directory tree that stands for the host.
    pub(super) root: Option<PathBuf>,
    pub(super) json: bool,
    pub(super) no_color: bool,
    pub(super) dry_run: bool,
}

impl Globals {
    /// The file that is read: the one named, or the default one.
    pub(super) fn config_path(&self) -> &Path {
        self.config
            .as_deref()
            .unwrap_or_else(|| Path::new(DEFAULT_CONFIG))
    }

    /// The configuration in force, for what changes something. Only the default file may be missing: then all
    /// defaults hold.
    pub(super) fn load_config(&self) -> Result<Config, CliError> {
        self.sound(self.read_config(read_capped)?)
    }

    /// The same for what acts or runs commands by it: whoever else can write the file could tell root what to do.
    pub(super) fn proven_config(&self) -> Result<Config, CliError> {
        self.sound(self.read_config(|path| trusted::settings(&Host::real(), path))?)
    }

    /// The same for what only looks: a mistake in the file is told beside the answer, and does not take its place.
    pub(super) fn readable_config(&self) -> Result<Config, CliError> {
        let (config, mistakes) = self.read_config(read_capped)?;
        if let Some(told) = self.mistaken(&mistakes) {
            let told = format!("{told}: `config check` tells all; what can be read of it is used");
            // A closed standard error leaves nobody to tell.
            let _ = writeln!(io::stderr(), "{OWN_NAME}: {}", inert::line(&told));
        }
        Ok(config)
    }

    /// The first of the mistakes with its place, and how many more there are.
    pub(super) fn mistaken(&self, mistakes: &[ConfigError]) -> Option<String> {
        let (first, others) = mistakes.split_first()?;
        let mut told = config_message(self.config_path(), first);
        if !others.is_empty() {
            told += &format!(", and {} more", others.len());
        }
        Some(told)
    }

    fn sound(&self, read: (Config, Vec<ConfigError>)) -> Result<Config, CliError> {
        let (config, mistakes) = read;
        if mistakes.is_empty() {
            return Ok(config);
        }
        let told: Vec<_> = mistakes
            .iter()
            .map(|why| config_message(self.config_path(), why))
            .collect();
        Err(CliError::new(ErrorKind::Config, told.join("\n")))
    }

    /// What can be read of the configuration, and what is wrong in it.
    pub(super) fn read_config(
        &self,
        read: impl Fn(&Path) -> io::Result<String>,
    ) -> Result<(Config, Vec<ConfigError>), CliError> {
        let path = self.config_path();
        let (mut config, mistakes) = match read(path) {
            Ok(text) => Config::read(&text),
            Err(why) if why.kind() == io::ErrorKind::NotFound && self.config.is_none() => {
                (Config::default(), Vec::new())
            }
            Err(why) if why.kind() == io::ErrorKind::PermissionDenied => {
                return Err(unreadable(path, ErrorKind::Permission, why)
                    .hint("run as root or name another file with --config"));
            }
            // It is there, and says itself what to do.
            Err(why) if why.kind() == io::ErrorKind::Other => {
                return Err(unreadable(path, ErrorKind::Config, why));
            }
            Err(why) => {
                return Err(unreadable(path, ErrorKind::Config, why)
                    .hint("write one with `config default`, or leave --config out"));
            }
        };
        if let Some(dir) = &self.state_dir {
            config.daemon.state_dir = dir.display().to_string();
        }
        Ok((config, mistakes))
    }

    /// The host this command looks at.
    pub(super) fn host(&self) -> Host {
        match &self.root {
            Some(root) => Host::at(root.clone(), Clock::system()),
            None => Host::real(),
        }
    }

    pub(super) fn now(&self) -> Timestamp {
        Clock::system().now()
    }

    /// Colour: on a terminal, unless `--no-color`, `NO_COLOR` (<https://no-color.org>) or a dumb one.
    pub(super) fn colour(&self) -> bool {
        !self.no_color
            && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
            && std::env::var_os("TERM").is_none_or(|term| term != "dumb")
            && io::stdout().is_terminal()
    }

    /// Columns of the terminal; none when the output goes elsewhere, so that nothing is cut for a filter.
    pub(super) fn width(&self) -> Option<usize> {
        let stdout = io::stdout();
        stdout.is_terminal().then(|| {
            terminal_size(&stdout)
                .map(|(columns, _)| columns)
                .or_else(|| std::env::var("COLUMNS").ok()?.parse().ok())
                .unwrap_or(80)
        })
    }

    /// Columns and rows of the terminal; none when the output goes elsewhere.
    pub(super) fn screen(&self) -> Option<(usize, usize)> {
        let stdout = io::stdout();
        let size = stdout.is_terminal().then(|| terminal_size(&stdout));
        size.map(|size| size.filter(|(_, rows)| *rows > 0).unwrap_or((80, 24)))
    }

    /// Writes text to standard output at once.
    pub(super) fn print(&self, text: &str) -> Result<(), CliError> {
        let mut out = io::stdout().lock();
        out.write_all(for_terminal(text).as_bytes())?;
        out.flush()?;
        Ok(())
    }

    /// Writes a page: on a terminal its lines are broken between words.
    pub(super) fn page(&self, text: &str) -> Result<(), CliError> {
        self.print(&wrap_page(text, self.width()))
    }

    /// One JSON value and a newline.
    pub(super) fn print_json(&self, value: &Value) -> Result<(), CliError> {
        self.print(&inert::json(&format!("{value:#}\n")))
    }

    /// A listing: JSON with `--json`, else the table, else the sentence for an empty one.
    pub(super) fn listing(&self, json: &Value, table: &Table, empty: &str) -> Result<(), CliError> {
        if self.json {
            self.print_json(json)
        } else if table.is_empty() {
            self.print(&format!("{empty}\n"))
        } else {
            self.print(&table.draw(self.width(), self.colour()))
        }
    }
}

/// Columns and rows.
fn terminal_size(stdout: &io::Stdout) -> Option<(usize, usize)> {
    let mut size = nix::libc::winsize {
        ws_row: 0,
        ws_col: 0,
        ws_xpixel: 0,
        ws_ypixel: 0,
    };
    use std::os::fd::AsRawFd;
    // SAFETY: TIOCGWINSZ writes one `winsize` to the pointer, which is valid and exclusive for the call;
    // the descriptor is open as long as `stdout` is borrowed.
    let result = unsafe {
        nix::libc::ioctl(
            stdout.as_fd().as_raw_fd(),
            nix::libc::TIOCGWINSZ,
            &raw mut size,
        )
    };
    (result == 0 && size.ws_col > 0).then(|| (size.ws_col.into(), size.ws_row.into()))
}

/// Reads a text file; more than the cap is an error, not a silent cut.
pub(super) fn read_capped(path: &Path) -> io::Result<String> {
    use std::io::Read;
    let mut text = String::new();
    let read = std::fs::File::open(path)?
        .take(CONFIG_CAP + 1)
        .read_to_string(&mut text)?;
    if read as u64 > CONFIG_CAP {
        return Err(io::Error::new(
            io::ErrorKind::FileTooLarge,
            "larger than 1 MiB",
        ));
    }
    Ok(text)
}

fn unreadable(path: &Path, kind: ErrorKind, why: io::Error) -> CliError {
    CliError::new(kind, format!("{}: cannot be read", path.display())).because(why)
}

/// `file:line: what: suggestion`, the form that editors jump to.
pub(super) fn config_message(path: &Path, why: &ConfigError) -> String {
    let place = match why.line {
        0 => path.display().to_string(),
        line => format!("{}:{line}", path.display()),
    };
    match &why.suggestion {
        Some(name) => format!("{place}: {}: did you mean '{name}'?", why.what),
        None => format!("{place}: {}", why.what),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_bound_names_its_line() {
        let text = "# c\n[store]\nworkers = 1\n[daemon]\nworkers = 17\n";
        let text = text.replacen("workers = 1\n", "", 1);
        let why = Config::parse(&text).unwrap_err();
        assert_eq!(
            config_message(Path::new("c.toml"), &why),
            "c.toml:4: daemon.workers is 17: it must be 1 to 16"
        );
    }

    #[test]
    fn an_unknown_key_names_line_and_suggestion() {
        let text = "[daemon]\nworkrs = 2\n";
        let why = Config::parse(text).unwrap_err();
        assert_eq!(
            config_message(Path::new("c.toml"), &why),
            "c.toml:2: unknown key 'workrs': did you mean 'workers'?"
        );
    }

    #[test]
    fn a_named_file_must_exist() {
        let globals = Globals {
            config: Some(PathBuf::from("/nonexistent/config.toml")),
            ..Globals::default()
        };
        let kind = globals.load_config().map_err(|why| why.kind());
        assert_eq!(kind.err(), Some(ErrorKind::Config));
    }
}
