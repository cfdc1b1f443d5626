//! Storage below the file systems: MMC and SD, NVMe, ATA, SCSI, MTD, device mapper, RAID, swap (block/,
//! drivers/mmc, drivers/nvme, drivers/ata, drivers/scsi, drivers/mtd, drivers/md).

use super::rows;

rows! { Block
    IoError Error ["error, dev {}, sector", "error, dev {}", "Buffer I/O error on dev {},", "Buffer I/O error on device {},",
        "lost page write due to I/O error on {}", "{}: lost async page write", "{}: rw=*attempt to access beyond end of device",
        "attempt to access beyond end of device", "{nbd}: Connection timed out", "{nbd}: *Receive control failed",
        "{loop}: *Write error at byte offset", "loop: Write error at byte offset"]
        yes "blk_update_request: I/O error, dev mmcblk0, sector 8192 op 0x0:(READ) flags 0x80700 phys_seg 1 prio class 0" = "mmcblk0",
            "I/O error, dev sda, sector 2048 op 0x1:(WRITE) flags 0x800 phys_seg 4 prio class 2" = "sda",
            "end_request: I/O error, dev sdb, sector 99" = "sdb",
            "print_req_error: I/O error, dev mmcblk1, sector 417792" = "mmcblk1",
            "print_req_error: critical medium error, dev sda, sector 123456" = "sda",
            "blk_update_request: critical target error, dev sdc, sector 0" = "sdc",
            "critical space allocation error, dev dm-1, sector 8" = "dm-1",
            "Buffer I/O error on dev sdc1, logical block 0, async page read" = "sdc1",
            "Buffer I/O error on device mmcblk0p2, logical block 18944" = "mmcblk0p2",
            "lost page write due to I/O error on sda1" = "sda1",
            "block nbd0: Connection timed out" = "nbd0"
        no "blk_update_request: I/O error, dev fd0, sector 0 op 0x0:(READ)";
    IoError Critical ["-error on swap-device ("]
        yes "Read-error on swap-device (8:0:1234)" = "",
            "Write-error on swap-device (179:2:8)" = "";
    // MMC, SD and eMMC.
    IoError Error ["^{mmcblk}: *error", "^{mmcblk}: *timed out", "^{mmcblk}: *timeout", "^{mmcblk}: recovery failed",
        "^{mmcblk}: unable to ", "^{mmcblk}: *retrying using single", "^{mmcblk}: unknown error", "{mmcblk}: *error -"]
        yes "mmcblk0: error -110 sending status command, retrying" = "mmcblk0",
            "mmcblk0: timed out sending r/w cmd command, card status 0x900" = "mmcblk0",
            "mmcblk0: recovery failed!" = "mmcblk0",
            "mmcblk2: response CRC error sending r/w cmd command, card status 0x900" = "mmcblk2"
        no "mmcblk0: mmc0:0001 8GTF4R 7.28 GiB", "mmcblk0: p1 p2 p3";
    IoError Error ["^{mmc}: error -", "^{mmc}: Timeout waiting for hardware", "^{mmc}: cache flush error", "^{mmc}: *recovery failed",
        "^{mmc}: tuning execution failed", "^{mmc}: Card stuck", "^{mmc}: timeout waiting for", "^{mmc}: *data error",
        "^{mmc}: *card never left busy state", "^{mmc}: *error -", "^{mmc}: Got data interrupt", "^{mmc}: Got command interrupt",
        "^{mmc}: Controller never released inhibit", "^{mmc}: Reset 0x* never completed", "^{mmc}: *ADMA error", "^{mmc}: ADMA Err",
        "^{mmc}: cqhci: *timeout", "^{mmc}: *tried to HW reset card", "^{mmc}: *unable to *voltage", "^{mmc}: Internal clock never stabilised",
        "^{mmc}: cannot verify signal voltage switch", "^{mmc}: * timed out", "mmc*: data error, sending stop command",
        "^mmc* {}: *timeout", "mmc_erase: erase error", "^{mmc}: req failed", "^{mmc}: SD Status", "^{mmc}: invalid "]
        yes "mmc0: Timeout waiting for hardware interrupt." = "mmc0",
            "mmc0: Timeout waiting for hardware cmd interrupt." = "mmc0",
            "mmc1: error -110 whilst initialising SD card" = "mmc1",
            "mmc0: cache flush error -110" = "mmc0",
            "mmc0: tuning execution failed: -5" = "mmc0",
            "mmc0: Card stuck being busy! __mmc_poll_for_busy" = "mmc0",
            "mmc0: cqhci: timeout for tag 3" = "mmc0",
            "mmc0: Reset 0x1 never completed." = "mmc0",
            "mmc1: tried to HW reset card, got error -110" = "mmc1",
            "mmc0: Controller never released inhibit bit(s)." = "mmc0"
        no "mmc0: new high speed SDHC card at address aaaa", "mmc0: SDHCI controller on fe340000.mmc [fe340000.mmc] using ADMA",
            "mmc0: host does not support reading read-only switch, assuming write-enable";
    IoError Error ["^{mmc}: card * removed"]
        yes "mmc0: card b368 removed" = "mmc0",
            "mmc1: card 0001 removed" = "mmc1";
    // NVMe.
    IoError Error ["{nvme}: I/O *timeout", "{nvme}: I/O Cmd(", "{nvme}: controller is down; will reset", "{nvme}: Device not ready",
        "{nvme}: Abort status", "{nvme}: *@ LBA *(sct", "{nvme}: frozen state error", "{nvme}: Identify Controller failed",
        "{nvme}: Shutdown timeout", "{nvme}: Device shutdown incomplete", "{nvme}: Failed to *-", "{nvme}: queue * timeout"]
        yes "nvme nvme0: I/O 12 QID 3 timeout, aborting" = "nvme0",
            "nvme nvme0: I/O tag 12 (100c) opcode 0x2 (I/O Cmd) QID 3 timeout, aborting req_op:READ(0) size:4096" = "nvme0",
            "nvme nvme0: I/O 12 QID 3 timeout, reset controller" = "nvme0",
            "nvme nvme0: controller is down; will reset: CSTS=0xffffffff, PCI_STATUS=0x10" = "nvme0",
            "nvme nvme0: Device not ready; aborting reset, CSTS=0x1" = "nvme0",
            "nvme0n1: I/O Cmd(0x2) @ LBA 1245, 8 blocks, I/O Error (sct 0x2 / sc 0x81) DNR" = "nvme0n1"
        no "nvme nvme0: 4/0/0 default/read/poll queues", "nvme nvme0: missing or invalid SUBNQN field.";
    IoError Critical ["{nvme}: Removing after probe failure", "{nvme}: Disabling device after reset failure",
        "{nvme}: Removing namespaces after", "{nvme}: failed to mark controller", "{nvme}: *has entered read only"]
        yes "nvme nvme0: Removing after probe failure status: -19" = "nvme0",
            "nvme nvme0: Disabling device after reset failure: -19" = "nvme0";
    // ATA and SCSI.
    IoError Error ["^{ata}: failed command:", "^{ata}: exception Emask", "^{ata}: error: {", "^{ata}: *revalidation failed",
        "^{ata}: hard resetting link failed", "^{ata}: reset failed, giving up", "^{ata}: COMRESET failed", "^{ata}: softreset failed",
        "^{ata}: qc timeout", "^{ata}: lost interrupt", "^{ata}: SError: {", "^{ata}: status: { DRDY ERR", "^{ata}: disabled",
        "^{ata}: *failed to IDENTIFY", "^{ata}: failed to *(err_mask", "^{ata}: limiting SATA link speed", "^{ata}: link is slow to respond"]
        yes "ata1.00: failed command: READ FPDMA QUEUED" = "ata1",
            "ata1.00: exception Emask 0x0 SAct 0x40 SErr 0x0 action 0x0" = "ata1",
            "ata1.00: error: { UNC }" = "ata1",
            "ata3: COMRESET failed (errno=-16)" = "ata3",
            "ata3: softreset failed (device not ready)" = "ata3",
            "ata1.00: revalidation failed (errno=-5)" = "ata1",
            "ata1.00: qc timeout after 5000 msecs (cmd 0xec)" = "ata1",
            "ata1.00: disabled" = "ata1"
        no "ata1: SATA link up 6.0 Gbps (SStatus 133 SControl 300)", "ata2: SATA link down (SStatus 0 SControl 300)",
            "ata1.00: configured for UDMA/133";
    IoError Error ["^sd * [{}] *Medium Error", "^sd * [{}] *Hardware Error", "^sd * [{}] *Unrecovered read error",
        "^sd * [{}] *FAILED Result: hostbyte=DID_", "^sd * [{}] *Synchronize Cache(10) failed", "^sd * [{}] *Read Capacity(10) failed",
        "^sd * [{}] *Read Capacity(16) failed", "^sd * [{}] *Write Protect is on", "^sd {}: rejecting I/O to offline device",
        "^sd {}: Device offlined", "^sd {}: rejecting I/O to dead device", "^sd * [{}] *Defect", "^sd * [{}] *uas_eh_abort_handler",
        "^sd * [{}] *Write error", "^scsi *: rejecting I/O to offline device", "^sd * [{}] *tag#* timing out command"]
        yes "sd 0:0:0:0: [sda] tag#17 Sense Key : Medium Error [current]" = "sda",
            "sd 0:0:0:0: [sda] tag#0 Add. Sense: Unrecovered read error - auto reallocate failed" = "sda",
            "sd 2:0:0:0: [sdb] tag#0 FAILED Result: hostbyte=DID_NO_CONNECT driverbyte=DRIVER_OK cmd_age=0s" = "sdb",
            "sd 2:0:0:0: [sdb] tag#0 UNKNOWN(0x2003) Result: hostbyte=0x01 FAILED Result: hostbyte=DID_BAD_TARGET" = "sdb",
            "sd 2:0:0:0: [sdb] Synchronize Cache(10) failed: Result: hostbyte=DID_NO_CONNECT driverbyte=DRIVER_OK" = "sdb",
            "sd 2:0:0:0: rejecting I/O to offline device" = "2:0:0:0",
            "sd 2:0:0:0: Device offlined - not ready after error recovery" = "2:0:0:0"
        no "sd 0:0:0:0: [sda] Attached SCSI disk", "sd 0:0:0:0: [sda] Write Protect is off";
    // Raw flash: MTD, UBI, JFFS2.
    ReadonlyFs Critical ["{ubi} *switch to read-only mode", "{ubi}: *switch to read-only mode", "UBIFS *({}*switched to read-only mode",
        "UBIFS error ({} *: switched to read-only mode", "switched to read-only mode"]
        yes "ubi0 warning: ubi_ro_mode: switch to read-only mode" = "ubi0",
            "UBIFS warning (ubi0:0 pid 88): ubifs_ro_mode.part.5: switched to read-only mode, error -30" = "ubi0:0";
    IoError Error ["^{ubi} error: ", "^UBI error: ", "UBIFS error ({} ", "UBIFS error (pid", "^{ubi} warning: *error -",
        "^{ubi}: *corrupted PEB", "^{ubi} warning: *available PEBs is 0", "^{ubi}: *bad PEB"]
        yes "ubi0 error: ubi_io_read: error -74 (ECC error) while reading 2048 bytes from PEB 123:2048" = "ubi0",
            "UBI error: ubi_attach_mtd_dev: mtd3 is already attached" = "",
            "UBIFS error (ubi0:0 pid 1): ubifs_check_node: bad CRC: calculated 0x12, read 0x34" = "ubi0:0",
            "ubi0 warning: ubi_io_read: error -74 (ECC error) while reading 64 bytes from PEB 9:0" = "ubi0"
        no "ubi0: attached mtd3 (name \"rootfs\", size 120 MiB)", "UBIFS (ubi0:0): recovery completed";
    IoError Error ["^jffs2: *rror", "^JFFS2 *rror", "^jffs2: *CRC failed", "{mtd}: *ECC error", "{nand}: *ECC error", "^nand: *uncorrectable",
        "uncorrectable ECC error", "unrecognized JEDEC id", "nand: *bad block", "^nand: timeout while waiting", "nand_erase*failed",
        "{spi}: flash operation timed out", "end_request: *dev mtdblock", "{nand}: *erase failed"]
        yes "jffs2: error: (123) jffs2_read_dnode: wrong CRC" = "",
            "jffs2: notice: (88) jffs2_get_inode_nodes: Node header CRC failed at 0x1a2b." = "",
            "spi-nor spi0.0: unrecognized JEDEC id bytes: 00, 00, 00" = "",
            "nand: timeout while waiting for chip to become ready" = "";
    // Device mapper and RAID.
    IoError Error ["^device-mapper: *: {}: Failing path", "^device-mapper: *failed to read", "^device-mapper: *rror reading",
        "^device-mapper: *Failing path", "^device-mapper: *Invalidating snapshot", "^device-mapper: *metadata operation *failed",
        "^device-mapper: integrity: *failed", "^device-mapper: crypt: *ERROR", "^device-mapper: *rror adding target",
        "^device-mapper: *reached low water mark", "^device-mapper: raid: *failed", "^device-mapper: *aborting transaction"]
        yes "device-mapper: multipath: 253:0: Failing path 8:16." = "dm-0",
            "device-mapper: snapshots: Invalidating snapshot: Error reading/writing." = "",
            "device-mapper: block manager: btree_node validator check failed for block 1: failed to read" = "",
            "device-mapper: table: 254:0: verity: Data device lookup failed (-ENODEV): error reading" = "";
    IoError Critical ["^device-mapper: *: {}: *block * is corrupted", "^device-mapper: *: {}: switching pool to out-of-data-space",
        "^device-mapper: *: {}: switching pool to fail mode"]
        yes "device-mapper: verity: 254:0: data block 1234 is corrupted" = "dm-0",
            "device-mapper: thin: 253:4: switching pool to out-of-data-space (queue IO) mode" = "dm-4";
    ReadonlyFs Critical ["^device-mapper: *: {}: switching pool to read-only"]
        yes "device-mapper: thin: 253:4: switching pool to read-only mode" = "dm-4";
    IoError Critical ["^md/raid*:{}: Disk failure on", "^md/raid*:{}: not enough operational", "^md/raid*:{}: Operation continuing on",
        "^md/raid*:{}: Cannot continue operation", "^md/raid*:{}: *unrecoverable I/O", "^md/raid*:{}: failed to run"]
        yes "md/raid1:md0: Disk failure on sdb1, disabling device." = "md0",
            "md/raid1:md127: Disk failure on sda3, disabling device.\nmd/raid1:md127: Operation continuing on 1 devices." = "md127",
            "md/raid:md0: not enough operational devices (2/3 failed)" = "md0"
        no "md/raid1:md0: active with 2 out of 2 mirrors";
    IoError Error ["^md: kicking non-fresh {} from array", "^md: super_written gets error", "^md/raid*:{}: *rescheduling sector",
        "^md/raid*:{}: *redirecting sector", "^md/raid*:{}: *read error", "^md: {} still in use", "^md: cannot *recover"]
        yes "md: kicking non-fresh sdb1 from array!" = "sdb1",
            "md: super_written gets error=-5" = "",
            "md/raid1:md0: sda1: rescheduling sector 2048" = "md0";
}
