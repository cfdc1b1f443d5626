//! File systems that the kernel turned read-only, and those that /etc/fstab wants writable and nobody saw so. What was
//! writable and was remounted or bound read-only was so by somebody: no fault.

use std::sync::Mutex;
use std::time::Duration;

use crate::core::config::Config;
use crate::core::model::class::Class;
use crate::core::model::facts::Fact;
use crate::core::model::finding::{Finding, Severity};
use crate::core::model::sorted::SortedSet;
use crate::core::model::text::matches_glob;
use crate::detectors::mount_table::is_on_device;
use crate::detectors::{DetectError, Detector, Snapshot, Sweep};
use crate::host::READ_CAP;
use crate::host::mounts::{self, Mount};

const FSTAB: &str = "/etc/fstab";

/// Remembers which mounts were writable in its time.
#[derive(Debug, Default)]
pub struct ReadonlyFs {
    writable: Mutex<SortedSet<String>>,
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
            let by_hand = writable.contains(&mount.point);
            let wanted = wanted_writable(&fstab, &mount.point) && !by_hand;
            if let Some(why) = judge(mount, wanted) {
                found.push(finding(mount, why, look));
            }
        }
        Ok(Sweep::Present(found))
    }
}

/// Why a read-only mount is a fault; `None` when it is meant to be so.
fn judge(mount: &Mount, wanted: bool) -> Option<&'static str> {
    if mount.is_turned_by_kernel() {
        Some("the kernel turned it read-only after an error")
    } else if wanted {
        Some("/etc/fstab wants it writable")
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
    use std::fs;

    use super::*;
    use crate::core::model::time::Timestamp;
    use crate::detectors::Open;
    use crate::host::Host;
    use crate::host::clock::Clock;

    #[test]
    fn only_an_unwanted_change_is_a_fault() {
        let mounts = mounts::parse_mountinfo(
            "1 0 8:1 / /a rw - ext4 /dev/sda1 ro\n1 0 8:2 / /b ro - ext4 /dev/sda2 ro\n",
        );
        let [kernel, plain] = mounts.as_slice() else {
            return;
        };
        assert!(judge(kernel, false).unwrap().contains("kernel"));
        assert_eq!(judge(plain, false), None);
        assert!(judge(plain, true).is_some());
    }

    #[test]
    fn what_somebody_made_read_only_while_we_looked_is_no_fault() {
        let dir = tempfile::tempdir().unwrap();
        let host = Host::at(dir.path(), Clock::manual(Timestamp::default()));
        fs::create_dir_all(dir.path().join("etc")).unwrap();
        fs::create_dir_all(dir.path().join("proc/self")).unwrap();
        fs::write(dir.path().join("etc/fstab"), "/dev/sda1 /a ext4 rw\n").unwrap();
        let detector = ReadonlyFs::default();
        let found = |detector: &ReadonlyFs, own: &str, of_fs: &str| {
            let mounted = format!("1 0 8:1 / /a {own} - ext4 /dev/sda1 {of_fs}\n");
            fs::write(dir.path().join("proc/self/mountinfo"), mounted).unwrap();
            let (config, open) = (Config::default(), Open::default());
            match detector.examine(&Snapshot::new(&host, &config, &[], &open)) {
                Ok(Sweep::Present(found)) => found.len(),
                _ => usize::MAX,
            }
        };
        assert_eq!(found(&detector, "rw", "rw"), 0);
        assert_eq!(found(&detector, "ro", "ro"), 0, "remount,ro");
        assert_eq!(found(&detector, "ro", "rw"), 0, "a read-only bind mount");
        assert_eq!(found(&detector, "rw", "ro"), 1, "the kernel");
        assert_eq!(
            found(&detector, "rw", "rw,emergency_ro"),
            1,
            "the kernel since 6.13"
        );
        assert_eq!(
            found(&ReadonlyFs::default(), "ro", "ro"),
            1,
            "never seen writable"
        );
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
