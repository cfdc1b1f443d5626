//! Removes allow-listed files from one mount, oldest first, until it is below the target.

use std::fs;
use std::os::unix::fs::MetadataExt;

use crate::actions::{ActionContext, ActionError, Done, Undo};
use crate::core::model::action::Action;
use crate::core::model::finding::evidence;
use crate::host::files::{self, Matched};
use crate::host::{mounts, procfs};

fn target(action: &Action) -> Result<(&str, u8), ActionError> {
    match action {
        Action::FreeDisk {
            mount,
            target_percent,
        } if mount.starts_with('/') => Ok((mount, *target_percent)),
        other => Err(ActionError::Refused(format!("{other} names no mount"))),
    }
}

/// What may go from this mount, oldest first. A file that somebody has open stays: removing it would free
/// nothing and lose what is still written.
fn candidates(context: &ActionContext<'_>, mount: &str) -> Result<Vec<Matched>, ActionError> {
    let view = context.host.of_init();
    let device = fs::metadata(view.path(mount))
        .map_err(|why| ActionError::PreconditionGone(format!("{mount}: {why}")))?
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
        let open = procfs::open_files(context.host);
        found.retain(|file| !open.contains(&(file.device, file.inode)));
    }
    found.sort_by(|a, b| (a.modified_s, &a.path).cmp(&(b.modified_s, &b.path)));
    found.dedup_by(|a, b| a.path == b.path);
    Ok(found)
}

/// The fuller of space and inodes: either one stops the writers.
fn used(context: &ActionContext<'_>, mount: &str) -> Result<u8, ActionError> {
    mounts::usage(context.host, mount)
        .map(|usage| usage.used_percent.max(usage.inodes_used_percent))
        .map_err(|why| ActionError::PreconditionGone(format!("{mount}: {why}")))
}

pub fn precondition(context: &ActionContext<'_>, action: &Action) -> Result<(), ActionError> {
    let (mount, target_percent) = target(action)?;
    if used(context, mount)? <= target_percent {
        return Err(ActionError::PreconditionGone(format!(
            "{mount} is below {target_percent} % again"
        )));
    }
    if candidates(context, mount)?.is_empty() {
        return Err(ActionError::PreconditionGone(format!(
            "nothing in fix.cleanable lies on {mount}"
        )));
    }
    Ok(())
}

pub fn undo_record(_shop: &ActionContext<'_>, _action: &Action) -> Result<Undo, ActionError> {
    // Removed files are gone: that is why only what the operator listed is touched.
    Ok(Undo::None)
}

pub fn execute(context: &ActionContext<'_>, action: &Action) -> Result<Done, ActionError> {
    let (mount, target_percent) = target(action)?;
    let (mut bytes, mut count) = (0_u64, 0_u32);
    for file in candidates(context, mount)? {
        if used(context, mount)? <= target_percent {
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
    .with("freed_bytes", bytes.to_string())
    .with(evidence::USED_PERCENT, left.to_string()))
}
