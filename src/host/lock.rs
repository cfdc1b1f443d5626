//! One instance at a time: an advisory lock that the kernel drops with the process.

use std::error::Error;
use std::fmt;
use std::fs::{File, OpenOptions};
use std::io::{Read, Seek, Write};
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg};

/// Held until dropped.
#[derive(Debug)]
pub struct Lock {
    _file: Flock<File>,
}

/// Why there is no lock.
#[derive(Debug)]
pub enum LockError {
    /// Another instance holds it.
    Held {
        pid: Option<u32>,
        path: PathBuf,
    },
    Io(PathBuf, std::io::Error),
}

impl fmt::Display for LockError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Held {
                pid: Some(pid),
                path,
            } => write!(f, "process {pid} holds {}", path.display()),
            Self::Held { pid: None, path } => write!(f, "another process holds {}", path.display()),
            Self::Io(path, why) => write!(f, "{}: {why}", path.display()),
        }
    }
}

impl Error for LockError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Io(_, why) => Some(why),
            Self::Held { .. } => None,
        }
    }
}

/// Takes the lock or says who holds it.
pub fn acquire(path: &Path) -> Result<Lock, LockError> {
    let io = |why| LockError::Io(path.to_owned(), why);
    let mut file = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .open(path)
        .map_err(io)?;
    let mut held = String::new();
    file.read_to_string(&mut held).map_err(io)?;
    match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
        Ok(mut file) => {
            file.set_len(0).and_then(|()| file.rewind()).map_err(io)?;
            writeln!(file, "{}", std::process::id()).map_err(io)?;
            Ok(Lock { _file: file })
        }
        Err((_, Errno::EWOULDBLOCK)) => Err(LockError::Held {
            pid: held.trim().parse().ok(),
            path: path.to_owned(),
        }),
        Err((_, why)) => Err(io(why.into())),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_second_instance_is_told_who_holds_it() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("lock");
        let first = acquire(&path).unwrap();
        match acquire(&path) {
            Err(LockError::Held { pid, .. }) => assert_eq!(pid, Some(std::process::id())),
            other => unreachable!("{other:?}"),
        }
        drop(first);
        assert!(acquire(&path).is_ok());
    }
}
