//! Why a detector or a stream could not look; becomes a finding about ourselves.

use std::borrow::Cow;
use std::error::Error;
use std::fmt;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use crate::core::model::hint::Hint;
use crate::host::exec::ExecError;
use crate::services::ServiceError;
use crate::services::engine::EngineError;

/// The detector itself failed.
#[derive(Debug)]
pub enum DetectError {
    /// A service manager, by its name, did not tell its units. Asked once for all detectors of a sweep.
    Units(&'static str, Arc<ServiceError>),
    /// The container engine behind this socket.
    Engine(PathBuf, EngineError),
    /// A source that this host has, and that could not be read.
    Source(String, io::Error),
    /// A thread panicked while it held what the detector remembers.
    Poisoned,
    /// `journalctl` does not run.
    Exec(ExecError),
    /// What was done with the output of `journalctl`, and why it failed.
    Journal(&'static str, io::Error),
    /// `journalctl` ends at once, again and again; its last words.
    JournalEnds(String),
    /// What was done with the kernel's log, and why it failed.
    KernelLog(&'static str, io::Error),
}

impl DetectError {
    /// What refuses, where that is more than one detector's: asked once, it fails all that lean on it.
    pub(crate) fn shared_source(&self) -> Option<&'static str> {
        match self {
            Self::Units(manager, _) => Some(manager),
            Self::Engine(..)
            | Self::Source(..)
            | Self::Poisoned
            | Self::Exec(_)
            | Self::Journal(..)
            | Self::JournalEnds(_)
            | Self::KernelLog(..) => None,
        }
    }
}

impl fmt::Display for DetectError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Units(manager, why) => write!(f, "{manager}: {why}"),
            Self::Engine(socket, why) => write!(f, "{}: {why}", socket.display()),
            Self::Source(source, why) => write!(f, "{source}: {why}"),
            Self::Poisoned => f.write_str("its memory is poisoned"),
            Self::Exec(why) => why.fmt(f),
            Self::Journal(what, why) => write!(f, "journalctl: {what}: {why}"),
            Self::JournalEnds(words) => write!(f, "journalctl ends at once: {words}"),
            Self::KernelLog(what, why) => write!(f, "/dev/kmsg: {what}: {why}"),
        }
    }
}

impl Error for DetectError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Units(_, why) => Some(why.as_ref()),
            Self::Engine(_, why) => Some(why),
            Self::Exec(why) => Some(why),
            Self::Source(_, why) | Self::Journal(_, why) | Self::KernelLog(_, why) => Some(why),
            Self::Poisoned | Self::JournalEnds(_) => None,
        }
    }
}

impl Hint for DetectError {
    fn hint(&self) -> Cow<'static, str> {
        match self {
            Self::KernelLog(..) => "grant CAP_SYSLOG or switch detect.kernel_log off",
            Self::Poisoned => "restart the daemon",
            Self::Units(..)
            | Self::Engine(..)
            | Self::Source(..)
            | Self::Exec(_)
            | Self::Journal(..)
            | Self::JournalEnds(_) => "",
        }
        .into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_could_not_be_looked_at_is_told_with_what_to_do() {
        let denied = || io::Error::from(io::ErrorKind::PermissionDenied);
        let socket = PathBuf::from("/run/docker.sock");
        for (error, told) in [
            (
                DetectError::Units("systemd", Arc::new(ServiceError::Refused("busy".into()))),
                "systemd: refused: busy",
            ),
            (
                DetectError::Engine(socket, EngineError::Status("500 x".to_owned())),
                "/run/docker.sock: answered 500 x",
            ),
            (
                DetectError::Source("/etc/fstab".to_owned(), denied()),
                "/etc/fstab: permission denied",
            ),
            (
                DetectError::Poisoned,
                "its memory is poisoned: restart the daemon",
            ),
            (
                DetectError::Exec(ExecError::Absent("journalctl".to_owned())),
                "journalctl: not installed on this host",
            ),
            (
                DetectError::Journal("read", denied()),
                "journalctl: read: permission denied",
            ),
            (
                DetectError::JournalEnds("no such option".to_owned()),
                "journalctl ends at once: no such option",
            ),
            (
                DetectError::KernelLog("cannot open", denied()),
                "/dev/kmsg: cannot open: permission denied: grant CAP_SYSLOG or switch detect.kernel_log off",
            ),
        ] {
            assert_eq!(error.with_hint(), told);
        }
    }
}
