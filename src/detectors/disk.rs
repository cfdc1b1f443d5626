//! File systems that run out of space or of inodes.

use std::os::unix::fs::MetadataExt;
use std::sync::Mutex;
use std::time::Duration;

use crate::core::config::Config;
use crate::core::model::class::Class;
use crate::core::model::facts::Fact;
use crate::core::model::finding::{Finding, Severity};
use crate::core::model::sorted::{SortedMap, SortedSet};
use crate::core::model::text::matches_glob;
use crate::core::model::time::Timestamp;
use crate::detectors::mount_table::holds_data;
use crate::detectors::{DetectError, Detector, Snapshot, Sweep};
use crate::host::mounts::{self, Mount, Usage};
use crate::host::procfs;

/// From here on services fail at any moment, percent.
const CRITICAL_PERCENT: u8 = 97;
/// The trend is measured over this time.
const TREND: Duration = Duration::from_secs(600);
/// Shorter spans say nothing about a trend.
const TREND_LEAST: Duration = Duration::from_secs(30);

/// Remembers free space to tell the time to full; a restart only forgets the trend.
#[derive(Debug, Default)]
pub struct Disk {
    past: Mutex<SortedMap<String, (Timestamp, u64)>>,
}

impl Detector for Disk {
    fn name(&self) -> &'static str {
        "disk"
    }

    fn classes(&self) -> &'static [Class] {
        &[Class::DiskFull, Class::InodeFull]
    }

    fn interval(&self, config: &Config) -> Duration {
        super::host_interval(config)
    }

    fn examine(&self, look: &Snapshot<'_>) -> Result<Sweep, DetectError> {
        let Some(mounts) = super::told("mount table", mounts::mounts(look.host))? else {
            return Ok(Sweep::Absent("no mount table".to_owned()));
        };
        let mut found = Vec::new();
        for mount in judged(&mounts, &look.config.detect.ignore_mounts) {
            let usage = match mounts::usage(look.host, &mount.point) {
                Ok(usage) => usage,
                // Gone in between, or not ours to ask: the next sweep looks again.
                Err(why) => {
                    let why = DetectError::Source(mount.point.clone(), why);
                    look.could_not_look(self.classes(), Some(&mount.point), why);
                    continue;
                }
            };
            let full_in = self.full_in(&mount.point, usage.available_bytes, look.now);
            found.extend(judge_space(mount, usage, full_in, look));
            found.extend(judge_inodes(mount, usage, look));
        }
        Ok(Sweep::Present(found))
    }
}

impl Disk {
    /// Time until nothing is available, at the pace since the remembered sample.
    fn full_in(&self, point: &str, available: u64, now: Timestamp) -> Option<Duration> {
        let mut past = self.past.lock().ok()?;
        let (at, before) = *past.entry(point.to_owned()).or_insert((now, available));
        let span = now.since(at);
        if span > TREND {
            past.insert(point.to_owned(), (now, available));
        }
        let lost = before.checked_sub(available).filter(|lost| *lost > 0)?;
        if span < TREND_LEAST {
            return None;
        }
        let seconds = u128::from(available)
            .saturating_mul(u128::from(span.as_secs()))
            .checked_div(u128::from(lost))?;
        u64::try_from(seconds).ok().map(Duration::from_secs)
    }
}

/// Writable file systems with data, each device once, under its shortest mount point.
fn judged<'m>(mounts: &'m [Mount], ignored: &[String]) -> Vec<&'m Mount> {
    let mut fitting: Vec<&Mount> = mounts
        .iter()
        .filter(|mount| holds_data(mount) && !mount.read_only)
        .filter(|mount| !ignored.iter().any(|glob| matches_glob(glob, &mount.point)))
        .collect();
    fitting.sort_by_key(|mount| mount.point.len());
    let mut seen = SortedSet::new();
    fitting.retain(|mount| seen.insert(mount.number.as_str()));
    fitting
}

fn over(look: &Snapshot<'_>, class: Class, point: &str, percent: u8, high: u8, low: u8) -> bool {
    let mark = if look.open.contains(class, point) {
        low
    } else {
        high
    };
    percent >= mark
}

fn judge_space(
    mount: &Mount,
    usage: Usage,
    full_in: Option<Duration>,
    look: &Snapshot<'_>,
) -> Option<Finding> {
    let marks = &look.config.detect;
    let percent = usage.used_percent;
    if !over(
        look,
        Class::DiskFull,
        &mount.point,
        percent,
        marks.disk_high_percent,
        marks.disk_low_percent,
    ) {
        return None;
    }
    let severity = if percent >= CRITICAL_PERCENT {
        Severity::Critical
    } else {
        Severity::Error
    };
    let message = format!(
        "file system is {percent} % full: {} KiB left of {} KiB",
        usage.available_bytes / 1024,
        usage.total_bytes / 1024
    );
    let held = deleted_open(mount, usage, look);
    let finding = Finding::new(
        Class::DiskFull,
        &mount.point,
        severity,
        &message,
        "mounts",
        look.now,
    );
    Some(
        with_mount(finding, mount, percent)
            .with(Fact::AvailableBytes(usage.available_bytes))
            .with(full_in.map(Fact::FullIn))
            .with(held.as_deref().map(Fact::DeletedOpen)),
    )
}

/// Who holds deleted files open, when they take a tenth of the file system or more.
fn deleted_open(mount: &Mount, usage: Usage, look: &Snapshot<'_>) -> Option<String> {
    let device = std::fs::metadata(look.host.path(&mount.point)).map(|meta| meta.dev());
    device
        .ok()
        .and_then(|device| procfs::most_deleted_open(look.host, device))
        .filter(|holder| holder.bytes >= usage.total_bytes / 10)
        .map(|holder| {
            format!(
                "{} (process {}) holds {} KiB of deleted files open: they go when it closes them or ends",
                holder.comm,
                holder.pid,
                holder.bytes / 1024
            )
        })
}

fn judge_inodes(mount: &Mount, usage: Usage, look: &Snapshot<'_>) -> Option<Finding> {
    let marks = &look.config.detect;
    let percent = usage.inodes_used_percent;
    if !over(
        look,
        Class::InodeFull,
        &mount.point,
        percent,
        marks.inode_high_percent,
        marks.inode_low_percent,
    ) {
        return None;
    }
    let message = format!(
        "file system has used {percent} % of its inodes: {} left of {}",
        usage.free_inodes, usage.total_inodes
    );
    let finding = Finding::new(
        Class::InodeFull,
        &mount.point,
        Severity::Error,
        &message,
        "mounts",
        look.now,
    );
    Some(with_mount(finding, mount, percent))
}

fn with_mount(finding: Finding, mount: &Mount, percent: u8) -> Finding {
    finding
        .with(Fact::Mount(&mount.point))
        .with(Fact::Device(&mount.device))
        .with(Fact::UsedPercent(percent))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::core::model::facts::Key;
    use crate::detectors::Open;
    use crate::host::Host;
    use crate::host::clock::Clock;

    fn mount(text: &str) -> Mount {
        mounts::parse_mountinfo(text).into_iter().next().unwrap()
    }

    const DATA: &str = "36 35 8:1 / /data rw - ext4 /dev/sda1 rw";

    fn full(used: u8) -> Usage {
        Usage {
            used_percent: used,
            total_bytes: 100,
            ..Usage::default()
        }
    }

    #[test]
    fn raised_high_cleared_low() {
        let host = Host::at("/nowhere", Clock::manual(Timestamp::from_millis(0)));
        let config = Config::default();
        let closed = Open::default();
        let open = Open::new([(Class::DiskFull, "/data".to_owned())]);
        let data = mount(DATA);
        for (open, used, raised) in [
            (&closed, 89, false),
            (&closed, 90, true),
            (&open, 86, true),
            (&open, 84, false),
        ] {
            let look = Snapshot::new(&host, &config, &[], open);
            assert_eq!(
                judge_space(&data, full(used), None, &look).is_some(),
                raised,
                "{used}"
            );
        }
        let look = Snapshot::new(&host, &config, &[], &closed);
        assert_eq!(judge_inodes(&data, full(99), &look), None);
        let found = judge_space(&data, full(98), Some(Duration::from_secs(60)), &look).unwrap();
        assert_eq!(
            (found.severity, found.fact(Key::FullIn)),
            (Severity::Critical, Some("60"))
        );
    }

    #[test]
    fn each_device_is_judged_once() {
        let text = "1 0 8:1 / / rw - ext4 /dev/sda1 rw\n2 1 8:1 /x /srv/bind rw - ext4 /dev/sda1 rw\n3 1 7:0 / /snap ro - squashfs /dev/loop0 ro\n4 1 0:5 / /proc rw - proc proc rw\n5 1 8:2 / /ignored rw - ext4 /dev/sda2 rw\n";
        let mounts = mounts::parse_mountinfo(text);
        let points: Vec<_> = judged(&mounts, &["/ign*".to_owned()])
            .iter()
            .map(|m| m.point.clone())
            .collect();
        assert_eq!(points, ["/"]);
    }

    #[test]
    fn the_trend_tells_the_time_to_full() {
        let disk = Disk::default();
        let at = |s: i64| Timestamp::from_millis(s * 1000);
        assert_eq!(disk.full_in("/", 1000, at(0)), None);
        assert_eq!(disk.full_in("/", 900, at(10)), None);
        assert_eq!(
            disk.full_in("/", 500, at(100)),
            Some(Duration::from_secs(100))
        );
        assert_eq!(disk.full_in("/", 2000, at(101)), None);
    }
}
