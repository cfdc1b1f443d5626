//! Which mounts are judged at all.

use crate::host::mounts::Mount;

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

/// True for file systems that hold data of this host.
pub fn holds_data(mount: &Mount) -> bool {
    !mount.fs_type.starts_with("fuse.") && !LEFT_ALONE.contains(&mount.fs_type.as_str())
}

/// True for file systems on a block device.
pub fn is_on_device(mount: &Mount) -> bool {
    mount.device.starts_with("/dev/") && holds_data(mount)
}
