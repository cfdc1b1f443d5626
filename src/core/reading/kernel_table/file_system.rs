//! File systems (fs/).

use super::rows;

rows! { FileSystem
    ReadonlyFs Critical ["-fs ({}): Remounting filesystem read-only", "-fs ({}): *ilesystem has been set read-only",
        "-fs ({}): *emounting filesystem read-only", "emounting filesystem read-only", "ilesystem has been set read-only",
        "^BTRFS *(device {}*forced readonly", "^BTRFS: *forced readonly", "-fs ({}): *ouldn't remount RDWR",
        "-fs ({}): *emount *read-only", "^f2fs*: *remounting readonly", "-fs ({}): *write access unavailable",
        "^XFS ({}): ro->rw transition prohibited", "-fs ({}): *Abort forced by user", "^OCFS2: File system is now read-only"]
        yes "EXT4-fs (mmcblk0p2): Remounting filesystem read-only" = "mmcblk0p2",
            "EXT3-fs (sda1): error: remounting filesystem read-only" = "sda1",
            "FAT-fs (sda1): Filesystem has been set read-only" = "sda1",
            "BTRFS info (device sdb1): forced readonly" = "sdb1",
            "BTRFS info (device sdb1 state EA): forced readonly" = "sdb1",
            "BTRFS: forced readonly" = "",
            "EXT4-fs (sda1): Couldn't remount RDWR because of unprocessed orphan inode list.  Please umount/remount instead" = "sda1",
            "EXT4-fs (sda1): re-mounted. Remounting filesystem read-only" = "sda1"
        no "EXT4-fs (sda1): mounted filesystem with ordered data mode. Opts: errors=remount-ro";
    IoError Critical ["^Aborting journal on device {}"]
        yes "Aborting journal on device mmcblk0p3-8." = "mmcblk0p3",
            "Aborting journal on device sda1:8." = "sda1:8";
    IoError Error ["^EXT4-fs error (device {})", "^EXT3-fs error (device {})", "^EXT2-fs error (device {})", "^EXT4-fs error",
        "^EXT3-fs error", "^EXT2-fs error", "^EXT3-fs ({}): error", "^EXT4-fs ({}): *I/O error while", "^EXT4-fs ({}): *ailed to convert",
        "^EXT4-fs ({}): Delayed block allocation failed", "^EXT4-fs warning (device {}): *I/O error", "^EXT4-fs ({}): *hecksum",
        "^EXT4-fs ({}): *orrupt", "^EXT4-fs ({}): *ad geometry", "^EXT4-fs ({}): unable to read superblock",
        "^EXT4-fs ({}): error loading journal", "^EXT4-fs ({}): no journal found", "^EXT4-fs ({}): *can't read group descriptor",
        "^EXT4-fs ({}): *previous I/O error to superblock", "^EXT4-fs ({}): shut down requested", "^EXT4-fs ({}): get root inode failed",
        "^EXT4-fs ({}): *mount failed", "^EXT4-fs ({}): failed to "]
        yes "EXT4-fs error (device mmcblk0p2): ext4_find_entry:1455: inode #2: comm poller: reading directory lblock 0" = "mmcblk0p2",
            "EXT4-fs error (device mmcblk0p3) in ext4_reserve_inode_write:5870: Journal has aborted" = "mmcblk0p3",
            "EXT2-fs error (device ram0): ext2_check_page: bad entry in directory #2" = "ram0",
            "EXT4-fs (sda1): I/O error while writing superblock" = "sda1",
            "EXT4-fs (sda1): Delayed block allocation failed for inode 12 at logical offset 0 with max blocks 2 with error 5" = "sda1",
            "EXT4-fs (mmcblk0p2): group descriptors corrupted!" = "mmcblk0p2",
            "EXT4-fs (mmcblk0p2): ext4_check_descriptors: Checksum for group 0 failed (1234!=5678)" = "mmcblk0p2",
            "EXT4-fs (sda1): error loading journal" = "sda1",
            "EXT4-fs warning (device sda1): ext4_end_bio:344: I/O error 10 writing to inode 12 starting block 8192)" = "sda1"
        no "EXT4-fs (mmcblk0p3): mounted filesystem 00000000-0000-4000-8000-000000000001 r/w with ordered data mode. Quota mode: none.",
            "EXT4-fs (sda1): recovery complete", "EXT4-fs (sda1): re-mounted. Opts: (null)";
    // Found long ago and never repaired.
    IoError Warning ["^EXT4-fs ({}): error count since last fsck", "^EXT4-fs ({}): error count: ", "^EXT4-fs ({}): initial error at",
        "^EXT4-fs ({}): last error at", "^EXT4-fs ({}): warning: mounting fs with errors", "^EXT4-fs ({}): warning: mounting unchecked fs",
        "^BTRFS info (device {}): bdev *errs: "]
        yes "EXT4-fs (mmcblk0p2): error count since last fsck: 3" = "mmcblk0p2",
            "EXT4-fs (sda1): error count: 5" = "sda1",
            "EXT4-fs (mmcblk0p2): initial error at time 1700000000: ext4_lookup:1855: inode 655448" = "mmcblk0p2",
            "EXT4-fs (sda1): warning: mounting fs with errors, running e2fsck is recommended" = "sda1";
    // The power went while it was mounted.
    IoError Warning ["-fs ({}): Volume was not properly unmounted"]
        yes "FAT-fs (mmcblk0p1): Volume was not properly unmounted. Some data may be corrupt. Please run fsck." = "mmcblk0p1",
            "exFAT-fs (sda1): Volume was not properly unmounted. Some data may be corrupt. Please run fsck." = "sda1";
    IoError Error ["JBD2: *rror*on {}", "JBD2: *rror*for {}", "^JBD2: *rror", "^JBD2: *failed", "JBD2: Detected IO errors while flushing file data on {}",
        "^JBD2: Failed to read block", "^JBD2: no valid journal superblock", "^JBD: *rror"]
        yes "JBD2: Detected IO errors while flushing file data on sda1-8" = "sda1",
            "JBD2: Error -5 detected when updating journal superblock for sda1-8." = "sda1",
            "JBD2: recovery failed" = "";
    KernelOther Error ["VFS: Busy inodes after unmount of {}"]
        yes "VFS: Busy inodes after unmount of sdb1. Self-destruct in 5 seconds.  Have a nice day..." = "sdb1",
            "VFS: Busy inodes after unmount of sdb1 (ext4)" = "sdb1";
    KernelOther Critical ["VFS: Cannot open root device", "Failed to execute /init", "^Warning: unable to open an initial console"]
        yes "VFS: Cannot open root device \"mmcblk0p2\" or unknown-block(179,2): error -6" = "",
            "Failed to execute /init (error -2)" = "";
    KernelOther Error ["VFS: file-max limit"]
        yes "VFS: file-max limit 8192 reached" = "";
    // XFS.
    IoError Critical ["^XFS ({}): *hutting down filesystem", "^XFS ({}): *ilesystem has been shut down", "^XFS ({}): *orce_shutdown"]
        yes "XFS (dm-0): Corruption of in-memory data (0x8) detected at xfs_defer_finish+0x1/0x2.  Shutting down filesystem." = "dm-0",
            "XFS (sda1): Filesystem has been shut down due to log error (0x2)." = "sda1",
            "XFS (sda1): xfs_do_force_shutdown(0x2) called from line 1272 of file fs/xfs/xfs_log.c." = "sda1";
    IoError Error ["^XFS ({}): *I/O error", "^XFS ({}): *orruption", "^XFS ({}): *orrupt", "^XFS ({}): *nternal error",
        "^XFS ({}): *nconsistent", "^XFS ({}): *rror:", "^XFS ({}): *error -", "^XFS ({}): *CRC error", "^XFS ({}): *bad CRC",
        "^XFS ({}): *errors detected", "^XFS ({}): *read failed", "^XFS ({}): *Please unmount the filesystem", "^XFS ({}): *mount failed",
        "^XFS ({}): *log mount/recovery failed", "^XFS ({}): *writeback error", "^XFS ({}): *possible memory allocation deadlock",
        "^XFS ({}): *nvalid superblock"]
        yes "XFS (dm-0): metadata I/O error in \"xfs_trans\" at daddr 0x1 len 1 error 5" = "dm-0",
            "XFS (sda1): Metadata corruption detected at xfs_agf_verify+0x1/0x2, xfs_agf block 0x1" = "sda1",
            "XFS (sda1): Unmount and run xfs_repair. Internal error xfs_trans_cancel" = "sda1",
            "XFS (sda1): log mount/recovery failed: error -117" = "sda1"
        no "XFS (sda1): Mounting V5 Filesystem", "XFS (sda1): Ending clean mount", "XFS (sda1): Starting recovery (logdev: internal)";
    // Btrfs.
    IoError Critical ["^BTRFS critical (device {}", "^BTRFS: error (device {}", "^BTRFS: Transaction aborted", "BTRFS: Transaction aborted (error"]
        yes "BTRFS critical (device sdb1): corrupt leaf: root=5 block=30408704 slot=0, bad key order" = "sdb1",
            "BTRFS: error (device sdb1: state A) in btrfs_commit_transaction:2494: errno=-5 IO failure" = "sdb1",
            "BTRFS: error (device sda3) in __btrfs_free_extent:3069: errno=-2 No such entry" = "sda3";
    IoError Error ["^BTRFS error (device {}", "^BTRFS warning (device {}*csum failed", "^BTRFS warning (device {}*lost page write",
        "^BTRFS warning (device {}*checksum error", "^BTRFS warning (device {}*i/o error", "^BTRFS: open_ctree failed"]
        yes "BTRFS error (device sdb2): bdev /dev/sdb2 errs: wr 0, rd 0, flush 0, corrupt 2, gen 0" = "sdb2",
            "BTRFS error (device sdb2 state EA): parent transid verify failed on logical 30 mirror 1 wanted 7 found 5" = "sdb2",
            "BTRFS warning (device sda1): csum failed root 5 ino 257 off 0 csum 0x98f94189 expected csum 0x1 mirror 1" = "sda1"
        no "BTRFS info (device sdb2): scrub: started on devid 1", "BTRFS info (device sda1): disk space caching is enabled";
    // F2FS, FAT, exFAT and the read-only ones.
    IoError Error ["^F2FS-fs ({}): *I/O error", "^F2FS-fs ({}): *orrupt", "^F2FS-fs ({}): *nconsistent", "^F2FS-fs ({}): *rror",
        "^F2FS-fs ({}): *CRC", "^F2FS-fs ({}): *crc", "^F2FS-fs ({}): *ismatch", "^F2FS-fs ({}): *Stopped filesystem due to",
        "^F2FS-fs ({}): *sanity", "^F2FS-fs ({}): *Failed to", "^F2FS-fs ({}): Can't find valid F2FS", "^F2FS-fs ({}): *invalid",
        "^F2FS-fs ({}): *run fsck"]
        yes "F2FS-fs (mmcblk0p5): inconsistent node block, nid:12, node_footer[nid:0,ino:0,ofs:0,cpver:0,blkaddr:0]" = "mmcblk0p5",
            "F2FS-fs (mmcblk0p5): Stopped filesystem due to reason: 1" = "mmcblk0p5",
            "F2FS-fs (mmcblk0p5): Magic Mismatch, valid(0xf2f52010) - read(0x0)" = "mmcblk0p5",
            "F2FS-fs (sda1): sanity_check_inode: inode (ino=3) has corrupted node footer" = "sda1"
        no "F2FS-fs (mmcblk0p5): Mounted with checkpoint version = 5f3c1a2b";
    IoError Error ["^FAT-fs ({}): *rror", "^FAT-fs ({}): *orrupt", "^FAT-fs ({}): *failed", "^FAT-fs ({}): unable to read",
        "^exFAT-fs ({}): *rror", "^exFAT-fs ({}): *orrupt", "^exFAT-fs ({}): *failed", "^EXFAT-fs ({}): *rror", "^EXFAT-fs ({}): *orrupt",
        "^NTFS-fs *({}*: *rror", "^ntfs3: {}: *orrupt", "^ntfs3: {}: *failed", "^ISOFS: *failed", "^hfsplus: *failed"]
        yes "FAT-fs (mmcblk0p1): error, fat_get_cluster: invalid cluster chain (i_pos 0)" = "mmcblk0p1",
            "FAT-fs (sda1): Directory bread(block 8192) failed" = "sda1",
            "FAT-fs (mmcblk0p1): unable to read boot sector" = "mmcblk0p1",
            "exFAT-fs (sda1): error, invalid access to FAT (entry 0xffffff01)" = "sda1";
    IoError Error ["^SQUASHFS error", "^squashfs: *failed", "^SQUASHFS: *rror", "^erofs*(device {}): *failed", "^erofs*(device {}): *orrupt",
        "^erofs*(device {}): *rror", "^EROFS*(device {}): *rror", "^cramfs: *rror", "^fs-verity ({}*FILE CORRUPTED"]
        yes "SQUASHFS error: xz decompression failed, data probably corrupt" = "",
            "SQUASHFS error: Unable to read fragment cache entry [2a1b3c]" = "",
            "SQUASHFS error: Failed to read block 0x1a2b: -5" = "",
            "erofs: (device mmcblk0p2): z_erofs_lz4_decompress_mem: failed to decompress -14 in[4096] out[8192]" = "mmcblk0p2";
    // What is laid over others or lives elsewhere.
    KernelOther Error ["^overlayfs: failed to ", "^overlayfs: missing ", "^overlayfs: *must reside under the same mount",
        "^overlayfs: *lookup *err", "^overlayfs: *mounting read-only", "^overlayfs: *orrupt", "^overlay: *failed"]
        yes "overlayfs: failed to resolve '/data/upper': -2" = "",
            "overlayfs: workdir and upperdir must reside under the same mount" = "",
            "overlayfs: failed to create directory /data/work/work (errno: 30); mounting read-only" = ""
        no "overlayfs: upper fs does not support tmpfile.", "overlayfs: null uuid detected in lower fs '/', falling back to xino=off,index=off,nfs_export=off.";
    KernelOther Error ["^nfs: server {} not responding", "nfs: server {} not responding", "lockd: server {} not responding",
        "^NFS: *state recovery failed", "NFS: *lease expired", "NFS: server {} error: fileid changed", "CIFS*: *erver {} has not responded",
        "CIFS*: *\\\\{} has not responded", "CIFS: *Send error in", "CIFS VFS: *rror", "CIFS: VFS: *rror", "^9p*: *rror",
        "^NFSv4: *failed", "^ceph*: *rror", "^libceph: *rror", "^rpcbind: server {} not responding", "rpcbind: server {} not responding"]
        yes "nfs: server 192.0.2.10 not responding, still trying" = "192.0.2.10",
            "nfs: server nas not responding, timed out" = "nas",
            "lockd: server nas not responding, still trying" = "nas",
            "CIFS VFS: Server 10.0.0.2 has not responded in 120 seconds. Reconnecting..." = "10.0.0.2",
            "CIFS: VFS: \\\\nas has not responded in 180 seconds. Reconnecting..." = "nas",
            "CIFS: VFS: \\\\nas Send error in SessSetup = -13" = ""
        no "nfs: server 192.0.2.10 OK";
}
