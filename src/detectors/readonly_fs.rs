//! File systems that the kernel, or something else, turned read-only.

use std::collections::BTreeSet;
use std::sync::Mutex;
use std::time::Duration;

use crate::core::config::Config;
use crate::core::model::class::Class;
use crate::core::model::facts::Fact;
use crate::core::model::finding::{Finding, Severity};
use crate::core::model::text::matches_glob;
use crate::detectors::mount_table::is_on_device;
use crate::detectors::{DetectError, Detector, Snapshot, Sweep};
use crate::host::READ_CAP;
use crate::host::mounts::{self, Mount};

const FSTAB: &str = "/etc/fstab";

/// Remembers which mounts were writable; after a restart /etc/fstab and the open conditions tell.
#[derive(Debug, Default)]
pub struct ReadonlyFs {
    writable: Mutex<BTreeSet<String>>,
}

impl Detector for ReadonlyFs {
    fn name(&self) -> &'static str {
        "readonly_fs"
    }

    fn classes(&self) -> &'static [Class] {
        &[Class::ReadonlyFs]
    }

    fn interval(&self, config: &Config) -> Duration {
        super::host_interval(config)
    }

    fn examine(&self, look: &Snapshot<'_>) -> Result<Sweep, DetectError> {
        let Some(mounts) = super::told("mount table", mounts::mounts(look.host))? else {
            return Ok(Sweep::Absent("no mount table".to_owned()));
        };
        let fstab = super::told(FSTAB, look.host.read(FSTAB, READ_CAP))?.unwrap_or_default();
        let Ok(mut writable) = self.writable.lock() else {
            return Err(DetectError::Poisoned);
        };
        let mut found = Vec::new();
        for mount in mounts.iter().filter(|mount| is_on_device(mount)) {
            if look
                .config
                .detect
                .ignore_mounts
                .iter()
                .any(|glob| matches_glob(glob, &mount.point))
            {
                continue;
            }
            if !mount.read_only {
                writable.insert(mount.point.clone());
                continue;
            }
            let was = writable.contains(&mount.point)
                || look.open.contains(Class::ReadonlyFs, &mount.point);
            if let Some(why) = judge(mount, wanted_writable(&fstab, &mount.point), was) {
                found.push(finding(mount, why, look));
            }
        }
        Ok(Sweep::Present(found))
    }
}

/// Why a read-only mount is a fault; `None` when it is meant to be so.
fn judge(mount: &Mount, wanted: bool, was_writable: bool) -> Option<&'static str> {
    if mount.fs_read_only && !mount.mount_read_only {
        // A remount by hand sets both: this one is the kernel's answer to an error.
        Some("the kernel turned it read-only after an error")
    } else if wanted {
        Some("/etc/fstab wants it writable")
    } else if was_writable {
        Some("it was writable before")
    } else {
        None
    }
}

fn wanted_writable(fstab: &str, point: &str) -> bool {
    fstab
        .lines()
        .filter(|line| !line.trim_start().starts_with('#'))
        .map(|line| line.split_ascii_whitespace().collect::<Vec<_>>())
        .any(|fields| {
            fields.get(1) == Some(&point)
                && fields.get(3).is_none_or(|options| {
                    !options
                        .split(',')
                        .any(|option| matches!(option, "ro" | "noauto"))
                })
        })
}

fn finding(mount: &Mount, why: &str, look: &Snapshot<'_>) -> Finding {
    let message = format!("file system is read-only: {why}");
    Finding::new(
        Class::ReadonlyFs,
        &mount.point,
        Severity::Critical,
        &message,
        "mounts",
        look.now,
    )
    .with(Fact::Mount(&mount.point))
    .with(Fact::Device(&mount.device))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn only_an_unwanted_change_is_a_fault() {
        let mounts = mounts::parse_mountinfo(
            "1 0 8:1 / /a rw - ext4 /dev/sda1 ro\n1 0 8:2 / /b ro - ext4 /dev/sda2 ro\n",
        );
        let [kernel, plain] = mounts.as_slice() else {
            return;
        };
        assert!(judge(kernel, false, false).unwrap().contains("kernel"));
        assert_eq!(judge(plain, false, false), None);
        assert!(judge(plain, true, false).is_some());
        assert!(judge(plain, false, true).is_some());
    }

    #[test]
    fn fstab_says_what_is_wanted() {
        let fstab = "# /dev/x /c ext4 rw\nUUID=1 / ext4 errors=remount-ro 0 1\n/dev/b /b ext4 ro 0 2\n/dev/d /d\n";
        for (point, want) in [
            ("/", true),
            ("/b", false),
            ("/c", false),
            ("/d", true),
            ("/e", false),
        ] {
            assert_eq!(wanted_writable(fstab, point), want, "{point}");
        }
    }
}
