//! Makes a file system writable again, through a transient unit outside our own sandbox.

use std::time::Duration;

use crate::actions::{self, ActionContext, ActionError, Done, Undo};
use crate::core::model::action::Action;
use crate::host::{READ_CAP, mounts};

const DEADLINE: Duration = Duration::from_secs(20);

fn target(action: &Action) -> Result<&str, ActionError> {
    match action {
        Action::RemountRw { mount } if mount.starts_with('/') => Ok(mount),
        other => Err(ActionError::Refused(format!("{other} names no mount"))),
    }
}

/// Read-only, and not because the administrator or the device wants it so.
pub fn precondition(context: &ActionContext<'_>, action: &Action) -> Result<(), ActionError> {
    let point = target(action)?;
    let all = mounts::mounts(context.host)
        .map_err(|why| ActionError::PreconditionGone(why.to_string()))?;
    let gone = |why: &str| Err(ActionError::PreconditionGone(format!("{point} {why}")));
    let Some(mount) = all.iter().rev().find(|mount| mount.point == point) else {
        return gone("is not mounted");
    };
    if !mount.read_only {
        return gone("is writable again");
    }
    let protected = context
        .host
        .read(format!("/sys/dev/block/{}/ro", mount.number), 16)
        .is_ok_and(|text| text.trim() == "1");
    if protected {
        return gone("lies on a device that is write-protected");
    }
    let table = context
        .host
        .read("/etc/fstab", READ_CAP)
        .unwrap_or_default();
    if meant_read_only(&table, point) {
        return gone("is read-only in /etc/fstab");
    }
    Ok(())
}

/// fstab(5): device, mount point, type, options.
fn meant_read_only(table: &str, point: &str) -> bool {
    table.lines().any(|line| {
        let mut fields = line.split_ascii_whitespace();
        !line.trim_start().starts_with('#')
            && fields.nth(1) == Some(point)
            && fields
                .nth(1)
                .is_some_and(|options| options.split(',').any(|option| option == "ro"))
    })
}

pub fn undo_record(_shop: &ActionContext<'_>, action: &Action) -> Result<Undo, ActionError> {
    Ok(Undo::RemountReadOnly {
        mount: target(action)?.to_owned(),
    })
}

pub fn execute(context: &ActionContext<'_>, action: &Action) -> Result<Done, ActionError> {
    let mount = target(action)?;
    remount(context, mount, "rw")?;
    Ok(Done::new(format!("{mount} remounted read-write")))
}

pub fn back(context: &ActionContext<'_>, mount: &str) -> Result<String, ActionError> {
    remount(context, mount, "ro")?;
    Ok(format!("{mount} is read-only again"))
}

fn remount(context: &ActionContext<'_>, mount: &str, how: &str) -> Result<(), ActionError> {
    let option = format!("remount,{how}");
    let order = ["mount", "-o", option.as_str(), "--", mount];
    let out = actions::outside(context, &order, DEADLINE);
    match out {
        Ok(out) if out.success() => Ok(()),
        Ok(out) => Err(ActionError::Failed(out.reason())),
        Err(why) => Err(ActionError::Failed(why.to_string())),
    }
}
