//! The files that `install` writes: below a prefix, atomically, and only when they change.

use std::fmt;
use std::fs::{self, File};
use std::io::{self, Read};
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use crate::cli::error::CliError;
use crate::host::files::write_atomic;

const TO_DO: &str = "run as root, and check that the file system is writable and has space";

/// Where files go: the real root, or a tree that stands for it.
#[derive(Debug)]
pub(super) struct Tree {
    root: PathBuf,
    dry_run: bool,
}

/// What was done with one path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum InstallStep {
    Written(PathBuf),
    Unchanged(PathBuf),
    /// It exists and belongs to the operator.
    Kept(PathBuf),
    Removed(PathBuf),
    Absent(PathBuf),
}

impl fmt::Display for InstallStep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (what, path) = match self {
            Self::Written(path) => ("write", path),
            Self::Unchanged(path) => ("unchanged", path),
            Self::Kept(path) => ("keep", path),
            Self::Removed(path) => ("remove", path),
            Self::Absent(path) => ("not there", path),
        };
        write!(f, "{what:<10} {}", path.display())
    }
}

impl Tree {
    pub(super) fn new(root: PathBuf, dry_run: bool) -> Self {
        Self { root, dry_run }
    }

    pub(super) fn path(&self, path: &Path) -> PathBuf {
        self.root.join(path.strip_prefix("/").unwrap_or(path))
    }

    pub(super) fn has(&self, path: &str) -> bool {
        self.path(Path::new(path)).exists()
    }

    /// What lies in a directory, by name; nothing where there is none.
    pub(super) fn below(&self, path: &Path) -> impl Iterator<Item = PathBuf> {
        let found = fs::read_dir(self.path(path))
            .into_iter()
            .flatten()
            .flatten();
        let mut names: Vec<_> = found.map(|entry| path.join(entry.file_name())).collect();
        names.sort();
        names.into_iter()
    }

    /// Writes `text` with `mode`, replacing what is there.
    pub(super) fn write(
        &self,
        path: &Path,
        text: &str,
        mode: u32,
    ) -> Result<InstallStep, CliError> {
        self.put(path, text.as_bytes(), mode)
    }

    /// Writes `text` only where nothing is: the operator's file is never touched.
    pub(super) fn write_new(
        &self,
        path: &Path,
        text: &str,
        mode: u32,
    ) -> Result<InstallStep, CliError> {
        if fs::symlink_metadata(self.path(path)).is_ok() {
            return Ok(InstallStep::Kept(path.to_owned()));
        }
        self.put(path, text.as_bytes(), mode)
    }

    fn put(&self, path: &Path, bytes: &[u8], mode: u32) -> Result<InstallStep, CliError> {
        let at = self.path(path);
        let same = fs::symlink_metadata(&at)
            .is_ok_and(|meta| meta.is_file() && meta.permissions().mode() & 0o7777 == mode)
            && holds(&at, bytes);
        if same {
            return Ok(InstallStep::Unchanged(path.to_owned()));
        }
        if !self.dry_run {
            let failed = |why: io::Error| {
                CliError::file(format!("{}: cannot be written", at.display()), why, TO_DO)
            };
            if let Some(parent) = at.parent() {
                fs::create_dir_all(parent).map_err(failed)?;
            }
            // By rename: a running program can be replaced too (its file itself is "text busy").
            write_atomic(&at, bytes, mode).map_err(failed)?;
            // The umask may have taken bits away.
            fs::set_permissions(&at, fs::Permissions::from_mode(mode)).map_err(failed)?;
        }
        Ok(InstallStep::Written(path.to_owned()))
    }

    pub(super) fn directory(&self, path: &Path, mode: u32) -> Result<InstallStep, CliError> {
        let at = self.path(path);
        if at.is_dir() {
            return Ok(InstallStep::Unchanged(path.to_owned()));
        }
        if !self.dry_run {
            let failed = |why: io::Error| {
                CliError::file(format!("{}: cannot be created", at.display()), why, TO_DO)
            };
            fs::create_dir_all(&at).map_err(failed)?;
            fs::set_permissions(&at, fs::Permissions::from_mode(mode)).map_err(failed)?;
        }
        Ok(InstallStep::Written(path.to_owned()))
    }

    /// Copies the running program to `path`, unless it runs from there.
    pub(super) fn copy_self(&self, path: &Path) -> Result<InstallStep, CliError> {
        // Not current_exe(): its path may have been replaced since; this names the file that runs.
        let own = Path::new("/proc/self/exe");
        let failed = |why: io::Error| {
            CliError::file("the running program cannot be read", why, "mount /proc")
        };
        let meta = fs::metadata(own).map_err(failed)?;
        let runs_there = fs::metadata(self.path(path))
            .is_ok_and(|there| (there.dev(), there.ino()) == (meta.dev(), meta.ino()));
        if runs_there {
            return Ok(InstallStep::Unchanged(path.to_owned()));
        }
        self.put(path, &fs::read(own).map_err(failed)?, 0o755)
    }

    pub(super) fn link(&self, path: &Path, target: &Path) -> Result<InstallStep, CliError> {
        let at = self.path(path);
        if fs::read_link(&at).is_ok_and(|there| there == target) {
            return Ok(InstallStep::Unchanged(path.to_owned()));
        }
        if !self.dry_run {
            symlink(target, &at).map_err(|why| {
                CliError::file(format!("{}: cannot be linked", at.display()), why, TO_DO)
            })?;
        }
        Ok(InstallStep::Written(path.to_owned()))
    }

    pub(super) fn remove(&self, path: &Path) -> Result<InstallStep, CliError> {
        self.gone(path, |at| fs::remove_file(at))
    }

    /// Removes a directory of ours with everything in it; a symlink in its place is removed, not followed.
    pub(super) fn remove_tree(&self, path: &Path) -> Result<InstallStep, CliError> {
        self.gone(path, |at| match fs::symlink_metadata(at)?.is_dir() {
            true => fs::remove_dir_all(at),
            false => fs::remove_file(at),
        })
    }

    fn gone(
        &self,
        path: &Path,
        remove: impl FnOnce(&Path) -> io::Result<()>,
    ) -> Result<InstallStep, CliError> {
        let at = self.path(path);
        if fs::symlink_metadata(&at).is_err() {
            return Ok(InstallStep::Absent(path.to_owned()));
        }
        if !self.dry_run {
            remove(&at).map_err(|why| {
                CliError::file(format!("{}: cannot be removed", at.display()), why, TO_DO)
            })?;
        }
        Ok(InstallStep::Removed(path.to_owned()))
    }
}

fn holds(path: &Path, bytes: &[u8]) -> bool {
    let mut there = Vec::new();
    File::open(path)
        .and_then(|file| file.take(bytes.len() as u64 + 1).read_to_end(&mut there))
        .is_ok_and(|_| there == bytes)
}
