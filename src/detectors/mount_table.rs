//! What is mounted, as PID 1 sees it.

use crate::host::{Host, READ_CAP};

/// One line of `mountinfo`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mount {
    /// `major:minor`.
    pub device: String,
    pub point: String,
    pub kind: String,
    pub source: String,
    /// Read-only for this mount alone.
    pub read_only: bool,
    /// Read-only as a file system: with a writable mount only the kernel does that, after an error.
    pub super_read_only: bool,
}

/// Kernel interfaces, images that are read-only by nature, and network file systems whose server may hang us.
const LEFT_ALONE: &[&str] = &[
    "proc",
    "sysfs",
    "devtmpfs",
    "devpts",
    "cgroup",
    "cgroup2",
    "pstore",
    "bpf",
    "securityfs",
    "debugfs",
    "tracefs",
    "configfs",
    "fusectl",
    "mqueue",
    "hugetlbfs",
    "autofs",
    "binfmt_misc",
    "rpc_pipefs",
    "ramfs",
    "efivarfs",
    "nsfs",
    "selinuxfs",
    "squashfs",
    "iso9660",
    "erofs",
    "cramfs",
    "romfs",
    "udf",
    "nfs",
    "nfs4",
    "nfsd",
    "cifs",
    "smb3",
    "smbfs",
    "9p",
    "ceph",
    "glusterfs",
    "afs",
    "virtiofs",
    "fuse",
];

impl Mount {
    /// True for file systems that hold data of this host.
    pub fn holds_data(&self) -> bool {
        !self.kind.starts_with("fuse.") && !LEFT_ALONE.contains(&self.kind.as_str())
    }

    /// True for file systems on a block device.
    pub fn is_on_device(&self) -> bool {
        self.source.starts_with("/dev/") && self.holds_data()
    }
}

/// Parses `mountinfo`; lines in another shape are left out.
pub fn parse(text: &str) -> Vec<Mount> {
    text.lines().filter_map(parse_line).collect()
}

fn parse_line(line: &str) -> Option<Mount> {
    let (left, right) = line.split_once(" - ")?;
    let mut left = left.split(' ').skip(2);
    let device = left.next()?;
    let point = unescape(left.nth(1)?);
    let options = left.next()?;
    let mut right = right.split(' ');
    let kind = right.next()?;
    let source = right.next()?;
    let super_options = right.next().unwrap_or("");
    let read_only = |options: &str| options.split(',').any(|option| option == "ro");
    Some(Mount {
        device: device.to_owned(),
        point,
        kind: kind.to_owned(),
        source: unescape(source),
        read_only: read_only(options),
        super_read_only: read_only(super_options),
    })
}

/// `\040` is a blank: the kernel writes blanks, tabs, newlines and backslashes in octal.
fn unescape(text: &str) -> String {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, tail)) = rest.split_first() {
        let octal = tail
            .get(..3)
            .filter(|_| *first == b'\\')
            .and_then(|digits| u8::from_str_radix(std::str::from_utf8(digits).ok()?, 8).ok());
        match octal {
            Some(byte) => {
                out.push(byte);
                rest = tail.get(3..).unwrap_or(&[]);
            }
            None => {
                out.push(*first);
                rest = tail;
            }
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}

/// The mounts of PID 1; our own where those may not be read.
pub fn read(host: &Host) -> std::io::Result<Vec<Mount>> {
    host.read("/proc/1/mountinfo", READ_CAP)
        .or_else(|_| host.read("/proc/self/mountinfo", READ_CAP))
        .map(|text| parse(&text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mountinfo_is_read() {
        let text = "36 35 98:0 /mnt1 /mnt\\0402 rw,noatime master:1 - ext3 /dev/root ro,errors=continue\nbad line\n22 1 0:20 / /proc rw - proc proc rw\n";
        let got = parse(text);
        assert_eq!(got.len(), 2);
        let first = got.first();
        assert_eq!(first.map(|m| m.point.as_str()), Some("/mnt 2"));
        assert_eq!(
            first.map(|m| (m.read_only, m.super_read_only)),
            Some((false, true))
        );
        assert_eq!(got.get(1).map(Mount::holds_data), Some(false));
    }
}
