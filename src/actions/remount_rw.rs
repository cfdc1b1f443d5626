//! Makes a file system writable again, through a transient unit outside our own sandbox.

use std::fmt;
use std::time::Duration;

use crate::actions::{self, Action, ActionContext, ActionError, Basis, Done, Undo};
use crate::core::model::action::ActionKind;
use crate::core::model::facts::Key;
use crate::core::model::proposal::Terms;
use crate::core::model::unit::UnitName;
use crate::core::remedy::target::{self, TargetError};
use crate::host::{READ_CAP, mounts};

const DEADLINE: Duration = Duration::from_secs(20);

#[derive(Debug)]
pub struct RemountRw {
    pub(super) mount: String,
}

impl RemountRw {
    pub fn of(basis: &Basis<'_>) -> Result<Self, TargetError> {
        Ok(Self {
            mount: target::absolute(basis.finding, Key::Mount)?,
        })
    }
}

impl fmt::Display for RemountRw {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "remount {} read-write", self.mount)
    }
}

impl Action for RemountRw {
    fn kind(&self) -> ActionKind {
        ActionKind::RemountRw
    }

    fn unit(&self) -> Option<&UnitName> {
        None
    }

    fn terms(&self, context: &ActionContext<'_>) -> Result<Terms, ActionError> {
        let all = mounts::mounts(context.host).map_err(ActionError::gone)?;
        let mount = all.iter().rev().find(|mount| mount.point == self.mount);
        let mount =
            mount.ok_or_else(|| ActionError::gone(format!("{} is not mounted", self.mount)))?;
        Ok(
            Terms::undone_by(format!("remount {} read-only", self.mount))
                .with("mount", &self.mount)
                .with("device", &mount.device)
                .with("device number", &mount.number)
                .with("file system", &mount.fs_type),
        )
    }

    /// Read-only, and not because the administrator or the device wants it so.
    fn precondition(&self, context: &ActionContext<'_>) -> Result<(), ActionError> {
        let point = self.mount.as_str();
        let all = mounts::mounts(context.host).map_err(ActionError::gone)?;
        let gone = |why: &str| Err(ActionError::gone(format!("{point} {why}")));
        let Some(mount) = all.iter().rev().find(|mount| mount.point == point) else {
            return gone("is not mounted");
        };
        if !mount.read_only {
            return gone("is writable again");
        }
        if !mount.is_turned_by_kernel() {
            return gone("was made read-only by whoever mounted it so, not by an error");
        }
        if mount.is_shut() {
            return gone(
                "stays read-only until it is unmounted, checked and mounted again: the kernel shut it",
            );
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

    fn undo_record(&self, _context: &ActionContext<'_>) -> Result<Undo, ActionError> {
        Ok(Undo::RemountReadOnly {
            mount: self.mount.clone(),
        })
    }

    fn act(&self, context: &ActionContext<'_>) -> Result<Done, ActionError> {
        let mount = &self.mount;
        remount(context, mount, "rw")?;
        Ok(Done::new(format!("{mount} remounted read-write")))
    }
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

/// Touches nothing that is read-only: a remount by hand would cover that the kernel did it, and no look would find the
/// fault again.
pub fn back(context: &ActionContext<'_>, mount: &str) -> Result<String, ActionError> {
    let all = mounts::mounts(context.host).map_err(ActionError::failed)?;
    let writable = all.iter().rev().find(|one| one.point == mount);
    if writable.is_none_or(|one| one.read_only) {
        return Ok(format!("{mount} is not writable: left as it is"));
    }
    remount(context, mount, "ro")?;
    Ok(format!("{mount} is read-only again"))
}

fn remount(context: &ActionContext<'_>, mount: &str, how: &str) -> Result<(), ActionError> {
    let option = format!("remount,{how}");
    let order = ["mount", "-o", option.as_str(), "--", mount];
    let out = actions::outside(context, &order, DEADLINE);
    match out {
        Ok(out) if out.success() => Ok(()),
        Ok(out) => Err(ActionError::failed(out.reason())),
        Err(why) => Err(ActionError::failed(why)),
    }
}
