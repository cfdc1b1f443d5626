//! Why the demo could not be played.

use std::borrow::Cow;
use std::error::Error;
use std::fmt;
use std::io;

use nix::errno::Errno;
use nix::sys::signal::Signal;

use crate::core::config::ConfigError;
use crate::core::model::hint::Hint;
use crate::daemon::loaded_config::LoadError;
use crate::daemon::runtime::StartError;
use crate::store::StoreError;

#[derive(Debug)]
pub enum DemoError {
    /// What is printed cannot be written.
    Output(io::Error),
    /// A file or a port of the stage, and why it cannot be had.
    Stage(String, io::Error),
    Config(ConfigError),
    Start(StartError),
    TakeOver(LoadError),
    Store(StoreError),
    /// The demo's service wrote no pid file, so that it cannot be broken.
    NoPidFile,
    Signal(Signal, Errno),
    Panicked,
}

/// What of the stage it is about.
pub(super) fn stage(what: impl fmt::Display) -> impl FnOnce(io::Error) -> DemoError {
    move |why| DemoError::Stage(what.to_string(), why)
}

impl fmt::Display for DemoError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Output(why) => write!(f, "output: {why}"),
            Self::Stage(what, why) => write!(f, "{what}: {why}"),
            Self::Config(why) => write!(f, "demo configuration: {why}"),
            Self::Start(why) => why.fmt(f),
            Self::TakeOver(why) => write!(f, "demo configuration: {why}"),
            Self::Store(why) => why.fmt(f),
            Self::NoPidFile => f.write_str("the demo service has no pid file"),
            Self::Signal(signal, why) => write!(f, "{signal}: {why}"),
            Self::Panicked => f.write_str("the daemon's thread ended by panic"),
        }
    }
}

impl Error for DemoError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Output(why) | Self::Stage(_, why) => Some(why),
            Self::Config(why) => Some(why),
            Self::Start(why) => Some(why),
            Self::TakeOver(why) => Some(why),
            Self::Store(why) => Some(why),
            Self::Signal(_, why) => Some(why),
            Self::NoPidFile | Self::Panicked => None,
        }
    }
}

impl Hint for DemoError {
    fn hint(&self) -> Cow<'static, str> {
        match self {
            Self::Start(why) => why.hint(),
            Self::TakeOver(why) => why.hint(),
            Self::Store(why) => why.hint(),
            Self::Output(_)
            | Self::Stage(..)
            | Self::Config(_)
            | Self::NoPidFile
            | Self::Signal(..)
            | Self::Panicked => "".into(),
        }
    }
}

impl From<StoreError> for DemoError {
    fn from(why: StoreError) -> Self {
        Self::Store(why)
    }
}
