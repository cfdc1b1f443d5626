//! Why a channel was not told, and what to do.

use std::borrow::Cow;
use std::error::Error;
use std::fmt;
use std::time::Duration;

use crate::core::model::hint::Hint;
use crate::host::net::TlsError;

/// Why a message did not go, or may not have gone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LineError {
    /// Nothing was sent.
    Offline(String),
    /// Asked to wait, so long where it says so.
    Limited(Option<Duration>, String),
    /// A human has to change something.
    Denied(String),
    /// This message will never be taken.
    Refused(String),
    /// It may have arrived.
    Unclear(String),
}

impl fmt::Display for LineError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Offline(why) => write!(f, "not reached: {why}"),
            Self::Limited(_, why) => write!(f, "asked to wait: {why}"),
            Self::Denied(why) => write!(f, "denied: {why}"),
            Self::Refused(why) => write!(f, "refused: {why}"),
            Self::Unclear(why) => write!(f, "no clear answer: {why}"),
        }
    }
}

impl Error for LineError {}

impl Hint for LineError {
    fn hint(&self) -> Cow<'static, str> {
        match self {
            Self::Offline(_) => {
                "check address, name, uplink and clock; what is queued waits".into()
            }
            Self::Limited(..) => "nothing to do: it is sent later".into(),
            Self::Denied(_) => "check the token or password, and what it may do".into(),
            Self::Refused(_) => "check address, topic, chat and template".into(),
            Self::Unclear(_) => "it may have arrived: look there".into(),
        }
    }
}

/// Why a channel cannot be used.
#[derive(Debug)]
pub enum ChannelError {
    /// It cannot be opened.
    Tls(TlsError),
    /// It was tried.
    Line(LineError),
}

impl fmt::Display for ChannelError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tls(why) => write!(f, "{why}"),
            Self::Line(why) => write!(f, "{why}"),
        }
    }
}

impl Error for ChannelError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Tls(why) => Some(why),
            Self::Line(why) => Some(why),
        }
    }
}

impl Hint for ChannelError {
    fn hint(&self) -> Cow<'static, str> {
        match self {
            Self::Tls(why) => why.hint(),
            Self::Line(why) => why.hint(),
        }
    }
}
