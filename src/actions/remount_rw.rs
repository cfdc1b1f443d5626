//! Makes a file system writable again, through a transient unit outside our own sandbox.

use std::time::Duration;

use crate::actions::{ActionError, Done, Undo, Workshop};
use crate::core::action::Action;
use crate::host::{exec, mounts};

const DEADLINE: Duration = Duration::from_secs(20);

fn target(action: &Action) -> Result<&str, ActionError> {
    match action {
        Action::RemountRw { mount } if mount.starts_with('/') => Ok(mount),
        other => Err(ActionError::Refused(format!("{other} names no mount"))),
    }
}

pub fn precondition(shop: &Workshop<'_>, action: &Action) -> Result<(), ActionError> {
    let point = target(action)?;
    let all =
        mounts::mounts(shop.host).map_err(|why| ActionError::PreconditionGone(why.to_string()))?;
    match all.iter().rev().find(|mount| mount.point == point) {
        Some(mount) if mount.read_only => Ok(()),
        Some(_) => Err(ActionError::PreconditionGone(format!(
            "{point} is writable again"
        ))),
        None => Err(ActionError::PreconditionGone(format!(
            "{point} is not mounted"
        ))),
    }
}

pub fn undo_record(_shop: &Workshop<'_>, action: &Action) -> Result<Undo, ActionError> {
    Ok(Undo::RemountReadOnly {
        mount: target(action)?.to_owned(),
    })
}

pub fn execute(shop: &Workshop<'_>, action: &Action) -> Result<Done, ActionError> {
    let mount = target(action)?;
    remount(shop, mount, "rw")?;
    Ok(Done::new(format!("{mount} remounted read-write")))
}

pub fn back(shop: &Workshop<'_>, mount: &str) -> Result<String, ActionError> {
    remount(shop, mount, "ro")?;
    Ok(format!("{mount} is read-only again"))
}

fn remount(shop: &Workshop<'_>, mount: &str, how: &str) -> Result<(), ActionError> {
    let option = format!("remount,{how}");
    let order = ["mount", "-o", &option, "--", mount];
    let systemd = shop
        .managers
        .iter()
        .any(|manager| manager.name() == "systemd");
    let out = if systemd {
        exec::run(
            "systemd-run",
            &[&["--quiet", "--wait", "--collect", "--"], &order[..]].concat(),
            DEADLINE,
        )
    } else {
        exec::run("mount", order.get(1..).unwrap_or(&[]), DEADLINE)
    };
    match out {
        Ok(out) if out.success() => Ok(()),
        Ok(out) => Err(ActionError::Failed(out.reason())),
        Err(why) => Err(ActionError::Failed(why.to_string())),
    }
}
