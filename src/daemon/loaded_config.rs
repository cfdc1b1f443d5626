//! What a reload replaces as one: configuration, log and cause rules, runbooks, service managers, bundle.

use std::borrow::Cow;
use std::error::Error;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use sha2::{Digest, Sha256};

use crate::bundle::Bundle;
use crate::core::config::settings::Setting;
use crate::core::config::{Config, ConfigError};
use crate::core::diagnosis::cause_rules::{CauseRuleError, CauseRules};
use crate::core::model::hex::hex;
use crate::core::model::hint::Hint;
use crate::core::reading::log_rules::{RuleError, RuleSet};
use crate::core::remedy::runbook::{self, Runbook, RunbookError};
use crate::detectors::journal;
use crate::host::trusted::{self, Distrust, Owners, Untrusted};
use crate::host::{Host, READ_CAP};
use crate::services::{self, ServiceManager};

/// One consistent set. Threads take an `Arc` of it per step, so a reload never changes a step in flight.
#[derive(Debug)]
pub struct LoadedConfig {
    pub config: Config,
    pub rules: Arc<RuleSet>,
    pub causes: CauseRules,
    pub runbooks: Vec<Runbook>,
    pub managers: Vec<Arc<dyn ServiceManager>>,
    /// Of what the operator wrote: the same for the same settings, hex.
    pub digest: String,
    /// `None` when there is no bundle or it was refused; the reason is in the log.
    pub bundle: Option<Bundle>,
}

/// A file that keeps the program from starting, or from taking over a changed configuration.
#[derive(Debug)]
pub enum LoadError {
    /// A file cannot be read, or others could have written it.
    Read(PathBuf, io::Error),
    /// A directory cannot be listed.
    List(PathBuf, io::Error),
    /// A mistake in the configuration.
    Config(PathBuf, ConfigError),
    /// A mistake in a file of log rules.
    Rule(RuleError),
    /// A mistake in a file of cause rules.
    Cause(CauseRuleError),
    /// A mistake in a runbook.
    Runbook(RunbookError),
}

impl fmt::Display for LoadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Read(file, why) => write!(f, "{}: cannot read: {why}", file.display()),
            Self::List(folder, why) => write!(f, "{}: cannot list: {why}", folder.display()),
            Self::Config(file, why) => write!(f, "{}: {why}", file.display()),
            Self::Rule(why) => why.fmt(f),
            Self::Cause(why) => why.fmt(f),
            Self::Runbook(why) => why.fmt(f),
        }
    }
}

impl Error for LoadError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Read(_, why) | Self::List(_, why) => Some(why),
            Self::Config(_, why) => Some(why),
            Self::Rule(why) => Some(why),
            Self::Cause(why) => Some(why),
            Self::Runbook(why) => Some(why),
        }
    }
}

impl Hint for LoadError {
    fn hint(&self) -> Cow<'static, str> {
        match self {
            Self::Rule(why) => why.hint(),
            Self::Cause(why) => why.hint(),
            Self::Runbook(why) => why.hint(),
            Self::Read(..) | Self::List(..) | Self::Config(..) => "".into(),
        }
    }
}

/// Reads the configuration. A missing file at the default place means the defaults; a missing file
/// that was named is an error.
pub fn config(host: &Host, file: &Path, named: bool) -> Result<Config, LoadError> {
    match trusted::settings(host, file) {
        Ok(text) => Config::parse(&text).map_err(|why| LoadError::Config(file.to_owned(), why)),
        Err(why) if why.kind() == io::ErrorKind::NotFound && !named => Ok(Config::default()),
        Err(why) => Err(LoadError::Read(file.to_owned(), why)),
    }
}

impl LoadedConfig {
    /// Loads everything that `config` names. Nothing of the old set is touched on an error.
    pub fn load(host: &Host, config: Config) -> Result<Self, LoadError> {
        let mut digest = Sha256::new();
        digest.update(config.shown().to_toml());
        let mut texts = |directory: &str| {
            let texts = proven_texts(host, directory)?;
            for (file, text) in &texts {
                digest.update(file);
                digest.update(text);
            }
            Ok(texts)
        };
        let rules = texts(&config.daemon.rules_dir)?;
        let rules = RuleSet::load(&rules).map_err(LoadError::Rule)?;
        let causes = texts(&config.daemon.causes_dir)?;
        let causes = CauseRules::load(&causes).map_err(LoadError::Cause)?;
        let mut runbooks = Vec::new();
        // The operator's own come first: they win over the built-in ones.
        for (file, text) in texts(&config.daemon.runbooks_dir)? {
            runbooks.extend(runbook::parse(&file, &text).map_err(LoadError::Runbook)?);
        }
        runbooks.extend(runbook::builtin());
        let mut managers = services::present(host, &config);
        let wanted = &config.daemon.managers;
        managers.retain(|manager| {
            wanted.is_empty() || wanted.iter().any(|name| name == manager.name())
        });
        recall(host, &managers);
        Ok(Self {
            rules: Arc::new(rules),
            causes,
            runbooks,
            digest: hex(&digest.finalize()),
            bundle: open_bundle(host, &config),
            managers,
            config,
        })
    }
}

/// Tells the managers that need it what they said since the boot, from the journal. Where there is none they go on
/// without: what is not known counts as wanted so.
pub fn recall(host: &Host, managers: &[Arc<dyn ServiceManager>]) {
    let mut forgetful = managers.iter().filter(|one| one.wants_recall()).peekable();
    if forgetful.peek().is_none() || !journal::is_present(host) {
        return;
    }
    match services::systemd::words_of_boot(host) {
        Ok(words) => forgetful.for_each(|manager| manager.recall(&words)),
        Err(why) => {
            log::warn!("the service manager's words are not read back: {why}");
            forgetful.for_each(|manager| manager.recall(&[]));
        }
    }
}

/// A bundle that is torn or foreign, or that others could have written, is refused: the program works without
/// one.
fn open_bundle(host: &Host, config: &Config) -> Option<Bundle> {
    let why = match trusted::open(host, &config.daemon.bundle, &Owners::of_settings(host)) {
        Ok(_) => match Bundle::open(&host.path(&config.daemon.bundle)) {
            Ok(bundle) => return Some(bundle),
            Err(why) => why.with_hint(),
        },
        Err(why) if why.is_absent() => return None,
        Err(why) => why.with_hint(),
    };
    log::warn!("bundle not used: {why}");
    None
}

/// What of the operator's files the daemon does not load because others than their owner could have written it:
/// the file as it is named, and why. With any but the bundle it neither starts nor reloads.
pub fn distrusted(host: &Host, file: &Path, config: &Config) -> Vec<(PathBuf, Untrusted)> {
    let mut files: Vec<PathBuf> = vec![file.to_owned(), PathBuf::from(&config.daemon.bundle)];
    let daemon = &config.daemon;
    for directory in [&daemon.rules_dir, &daemon.causes_dir, &daemon.runbooks_dir] {
        files.extend(names(host, directory).unwrap_or_default());
    }
    let owners = Owners::of_settings(host);
    let refused = |file: PathBuf| {
        let path = std::path::absolute(&file).ok()?;
        let why = trusted::open(host, &path.to_string_lossy(), &owners).err()?;
        Some((file, why))
    };
    files
        .into_iter()
        .filter_map(refused)
        .filter(|(_, why)| !matches!(why.why, Distrust::Io(_)))
        .collect()
}

/// The `*.toml` files of a directory with their texts, as they are: for whoever only looks at them.
pub fn texts(host: &Host, directory: &str) -> Result<Vec<(String, String)>, LoadError> {
    read_all(host, directory, |path| host.read(path, READ_CAP))
}

/// The same for what is to count: whoever else can write them could tell root what to do.
fn proven_texts(host: &Host, directory: &str) -> Result<Vec<(String, String)>, LoadError> {
    read_all(host, directory, |path| trusted::settings(host, path))
}

fn read_all(
    host: &Host,
    directory: &str,
    read: impl Fn(&Path) -> io::Result<String>,
) -> Result<Vec<(String, String)>, LoadError> {
    names(host, directory)?
        .into_iter()
        .map(|path| match read(&path) {
            Ok(text) => Ok((path.display().to_string(), text)),
            Err(why) => Err(LoadError::Read(path, why)),
        })
        .collect()
}

/// The `*.toml` files of a directory, by name. A missing directory holds none.
fn names(host: &Host, directory: &str) -> Result<Vec<PathBuf>, LoadError> {
    let entries = match std::fs::read_dir(host.path(directory)) {
        Ok(entries) => entries,
        Err(why) if why.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(why) => return Err(LoadError::List(PathBuf::from(directory), why)),
    };
    let mut names: Vec<PathBuf> = entries
        .flatten()
        .map(|entry| Path::new(directory).join(entry.file_name()))
        .filter(|path| path.extension().is_some_and(|ending| ending == "toml"))
        .collect();
    names.sort();
    Ok(names)
}
