//! Mounts as PID 1 sees them, and how full they are.

use crate::host::{Host, READ_CAP};

/// One mount of mountinfo (proc_pid_mountinfo(5)).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Mount {
    pub point: String,
    pub fs_type: String,
    pub device: String,
    /// `major:minor` of the file system: the same for all its mounts.
    pub number: String,
    /// The mount itself is read-only. With a read-only file system and a writable mount it was the kernel
    /// that turned it, after an error: a remount by hand sets both.
    pub mount_read_only: bool,
    /// Options of the mount, then of the file system.
    pub options: Vec<String>,
    /// The file system itself is read-only (super options), as after an error.
    pub fs_read_only: bool,
    /// The mount is read-only, for whatever reason.
    pub read_only: bool,
}

impl Mount {
    /// The kernel's answer to an error: a remount or a bind mount by hand makes the mount itself read-only.
    pub fn is_turned_by_kernel(&self) -> bool {
        self.fs_read_only && !self.mount_read_only
    }

    /// Since 6.13 ext4 refuses to be writable again until it is unmounted.
    pub fn is_shut(&self) -> bool {
        let has = |one: &str| self.options.iter().any(|option| option == one);
        has("emergency_ro") || has("shutdown")
    }
}

/// How full a file system is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    pub total_bytes: u64,
    /// Free to ordinary users.
    pub available_bytes: u64,
    /// Share used of what ordinary users can use, as `df` shows it; rounded up.
    pub used_percent: u8,
    /// 0 when the file system has no fixed number.
    pub total_inodes: u64,
    pub free_inodes: u64,
    pub inodes_used_percent: u8,
}

/// Parses mountinfo; lines that do not fit are left out.
pub fn parse_mountinfo(text: &str) -> Vec<Mount> {
    text.lines().filter_map(parse_line).collect()
}

fn parse_line(line: &str) -> Option<Mount> {
    let (left, right) = line.split_once(" - ")?;
    let mut left = left.split(' ');
    let number = left.nth(2)?.to_owned();
    let point = unescape(left.nth(1)?);
    let own = left.next()?;
    let mut right = right.split(' ');
    let fs_type = right.next()?.to_owned();
    let device = unescape(right.next()?);
    let of_fs = right.next().unwrap_or("");
    let has = |options: &str, one: &str| options.split(',').any(|option| option == one);
    let has_ro = |options: &str| has(options, "ro");
    // Since 6.13 an error leaves `rw` and says so beside it.
    let by_error = has(of_fs, "emergency_ro") || has(of_fs, "shutdown");
    Some(Mount {
        point,
        fs_type,
        device,
        options: own
            .split(',')
            .chain(of_fs.split(','))
            .map(str::to_owned)
            .collect(),
        number,
        mount_read_only: has_ro(own),
        fs_read_only: has_ro(of_fs) || by_error,
        read_only: has_ro(own) || has_ro(of_fs) || by_error,
    })
}

/// The kernel writes blank, tab, newline and backslash as octal escapes.
fn unescape(text: &str) -> String {
    [
        ("\\040", " "),
        ("\\011", "\t"),
        ("\\012", "\n"),
        ("\\134", "\\"),
    ]
    .iter()
    .fold(text.to_owned(), |text, (escape, plain)| {
        text.replace(escape, plain)
    })
}

/// Mounts of the host: PID 1's view, so that our own sandbox is never mistaken for a fault; our own
/// view where PID 1's cannot be read.
pub fn mounts(host: &Host) -> std::io::Result<Vec<Mount>> {
    let text = host
        .read("/proc/1/mountinfo", READ_CAP)
        .or_else(|_| host.read("/proc/self/mountinfo", READ_CAP))?;
    Ok(parse_mountinfo(&text))
}

/// Least that counts as room: of a file system that has been full a program takes a megabyte at once.
const ROOM_LEAST: u64 = 1 << 20;

/// The bytes that a program can have below `folder`, where that is room at all. Fails where nobody can tell.
pub fn room(host: &Host, folder: &str) -> std::io::Result<Option<u64>> {
    let usage = usage(host, folder)?;
    let inodes = usage.total_inodes == 0 || usage.free_inodes > 0;
    let is_room = inodes && usage.available_bytes >= ROOM_LEAST;
    Ok(is_room.then_some(usage.available_bytes))
}

/// statvfs(3) of a mount point, as PID 1 sees it like the list of mounts.
pub fn usage(host: &Host, point: &str) -> std::io::Result<Usage> {
    let stat = nix::sys::statvfs::statvfs(&host.of_init().path(point))?;
    // The types differ between targets (u32 on 32-bit ones).
    #[allow(clippy::useless_conversion)]
    let [block, blocks, free, available, files, ffree] = [
        u64::from(stat.fragment_size()),
        u64::from(stat.blocks()),
        u64::from(stat.blocks_free()),
        u64::from(stat.blocks_available()),
        u64::from(stat.files()),
        u64::from(stat.files_free()),
    ];
    let used = blocks.saturating_sub(free);
    Ok(Usage {
        total_bytes: blocks.saturating_mul(block),
        available_bytes: available.saturating_mul(block),
        used_percent: percent(used, used.saturating_add(available)),
        total_inodes: files,
        free_inodes: ffree,
        inodes_used_percent: percent(files.saturating_sub(ffree), files),
    })
}

fn percent(part: u64, whole: u64) -> u8 {
    if whole == 0 {
        return 0;
    }
    u8::try_from(part.saturating_mul(100).div_ceil(whole).min(100)).unwrap_or(100)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    const INFO: &str = "22 1 254:0 / / rw,relatime shared:1 - ext4 /dev/root rw,errors=remount-ro\n\
        30 22 7:1 / /mnt/a\\040b ro,nosuid - ext4 /dev/loop1 ro\nbroken line\n";

    #[test]
    fn mountinfo_is_parsed_with_escapes() {
        let mounts = parse_mountinfo(INFO);
        assert_eq!(mounts.len(), 2);
        let second = mounts.last().unwrap();
        assert_eq!(
            (second.point.as_str(), second.read_only, second.fs_read_only),
            ("/mnt/a b", true, true)
        );
    }

    #[test]
    fn an_error_makes_it_read_only_in_the_words_of_every_kernel() {
        for (options, want) in [
            ("ro,errors=remount-ro", true),
            ("rw,errors=remount-ro,emergency_ro", true),
            ("rw,shutdown", true),
            ("rw,errors=remount-ro", false),
        ] {
            let line = format!("30 22 179:3 / /data rw - ext4 /dev/mmcblk0p3 {options}\n");
            let mounts = parse_mountinfo(&line);
            let got = mounts.first().map(|mount| mount.fs_read_only);
            assert_eq!(got, Some(want), "{options}");
        }
    }

    #[test]
    fn percent_rounds_up_and_never_divides_by_zero() {
        assert_eq!(
            (percent(0, 0), percent(1, 1000), percent(5, 5)),
            (0, 1, 100)
        );
    }

    #[test]
    fn the_root_of_this_host_has_a_size() {
        assert!(usage(&Host::real(), "/").unwrap().total_bytes > 0);
    }
}
