//! Removes allow-listed files from one mount, oldest first, until it is below the target.

use std::fmt;
use std::fs;
use std::os::unix::fs::MetadataExt;

use crate::actions::error::Why;
use crate::actions::{Action, ActionContext, ActionError, Basis, Done, Undo};
use crate::core::model::action::ActionKind;
use crate::core::model::facts::Key;
use crate::core::model::proposal::Terms;
use crate::core::model::unit::UnitName;
use crate::core::remedy::target::{self, TargetError};
use crate::host::files::{self, Matched};
use crate::host::{mounts, procfs};

#[derive(Debug)]
pub struct FreeDisk {
    pub(super) mount: String,
    pub(super) target_percent: u8,
}

impl FreeDisk {
    pub fn of(basis: &Basis<'_>) -> Result<Self, TargetError> {
        Ok(Self {
            mount: target::absolute(basis.finding, Key::Mount)?,
            target_percent: basis.config.detect.disk_low_percent.saturating_sub(1),
        })
    }
}

impl fmt::Display for FreeDisk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "free disk {} to {} %", self.mount, self.target_percent)
    }
}

/// What may go from this mount, oldest first. A file that somebody has open stays: removing it would free
/// nothing and lose what is still written.
fn candidates(context: &ActionContext<'_>, mount: &str) -> Result<Vec<Matched>, ActionError> {
    let view = context.host.of_init();
    let device = fs::metadata(view.path(mount))
        .map_err(|why| ActionError::gone(Why::from(why).at(mount)))?
        .dev();
    let mut found: Vec<Matched> = context
        .config
        .fix
        .cleanable
        .iter()
        .flat_map(|glob| files::glob(&view, glob))
        .filter(|file| file.device == device)
        .collect();
    if !found.is_empty() {
        let identity = |file: &Matched| (file.device, file.inode);
        let open = procfs::open_among(context.host, &found.iter().map(identity).collect())
            .map_err(|why| ActionError::refused(Why::from(why).at("/proc")))?;
        found.retain(|file| !open.contains(&identity(file)));
    }
    found.sort_by(|a, b| (a.modified_s, &a.path).cmp(&(b.modified_s, &b.path)));
    found.dedup_by(|a, b| a.path == b.path);
    Ok(found)
}

/// The fuller of space and inodes: either one stops the writers.
fn used(context: &ActionContext<'_>, mount: &str) -> Result<u8, ActionError> {
    mounts::usage(context.host, mount)
        .map(|usage| usage.used_percent.max(usage.inodes_used_percent))
        .map_err(|why| ActionError::gone(Why::from(why).at(mount)))
}

impl Action for FreeDisk {
    fn kind(&self) -> ActionKind {
        ActionKind::FreeDisk
    }

    fn unit(&self) -> Option<&UnitName> {
        None
    }

    fn terms(&self, context: &ActionContext<'_>) -> Result<Terms, ActionError> {
        let terms = Terms::undone_by("nothing: removed files do not come back")
            .with("mount", &self.mount)
            .with("until percent used", self.target_percent);
        let globs = context.config.fix.cleanable.iter();
        Ok(globs.fold(terms, |terms, glob| terms.with("removes", glob)))
    }

    fn precondition(&self, context: &ActionContext<'_>) -> Result<(), ActionError> {
        let Self {
            mount,
            target_percent,
        } = self;
        if !mount.starts_with('/') {
            return Err(ActionError::refused(format!("{self} names no mount")));
        }
        if used(context, mount)? <= *target_percent {
            return Err(ActionError::gone(format!(
                "{mount} is below {target_percent} % again"
            )));
        }
        if candidates(context, mount)?.is_empty() {
            return Err(ActionError::gone(format!(
                "nothing in fix.cleanable lies on {mount}"
            )));
        }
        Ok(())
    }

    fn undo_record(&self, _context: &ActionContext<'_>) -> Result<Undo, ActionError> {
        // Removed files are gone: that is why only what the operator listed is touched.
        Ok(Undo::None)
    }

    fn act(&self, context: &ActionContext<'_>) -> Result<Done, ActionError> {
        let Self {
            mount,
            target_percent,
        } = self;
        let (mut bytes, mut count) = (0_u64, 0_u32);
        for file in candidates(context, mount)? {
            if used(context, mount)? <= *target_percent {
                break;
            }
            match files::remove(&context.host.of_init(), &file) {
                Ok(()) => {
                    bytes += file.bytes;
                    count += 1;
                }
                Err(why) => log::warn!("free disk: {}: {why}", file.path),
            }
        }
        let left = used(context, mount)?;
        Ok(Done::new(format!(
            "removed {count} files, {bytes} bytes; {mount} is at {left} %"
        ))
        .noting("freed_bytes", bytes.to_string())
        .noting("used_percent", left.to_string()))
    }
}
