//! Lines that the kernel prints as errors on healthy machines: at every boot, for hardware that is not there, or
//! because somebody asked for it.

use super::{Area, Row};

pub(super) static ROWS: &[Row] = &[Row {
    area: Area::Ordinary,
    patterns: &[
        // Optional firmware and tables of the firmware.
        "failed to load regulatory.db",
        "Direct firmware load for *failed with error -2",
        "ACPI BIOS Error (bug)",
        "^ACPI Error: ",
        "^ACPI Exception: ",
        "^ACPI BIOS Warning",
        "[Firmware Bug]: ",
        "[Firmware Warn]: ",
        "firmware: failed to load *(-2)",
        // Which firmware a device runs: drivers tell it at any level.
        "irmware: * version ",
        "irmware: *, version ",
        "_fw_alloc_request: using ",
        // What is not there.
        "i8042: No controller found",
        "i8042: Can't read CTR while initializing i8042",
        "No Caching mode page found",
        "Assuming drive cache: write through",
        "kvm: disabled by bios",
        "SGX disabled by BIOS",
        "Resource conflict(s) found affecting",
        "tpm_crb *: [Firmware",
        "missing or invalid SUBNQN field",
        "host does not support reading read-only switch",
        "platform eisa.0: Cannot allocate resource for EISA slot",
        "BAR *: no space for",
        "BAR *: failed to assign",
        "BAR *: can't assign",
        "Cannot get hvm parameter CONSOLE",
        "hv_vmbus: registering driver",
        "piix4_smbus *: SMBus Host Controller not enabled",
        "I/O error, dev fd0, sector",
        // A restart with an open watchdog.
        "watchdog did not stop",
        "nowayout prevents watchdog being stopped",
        // The end of what was told before.
        "Rebooting in ",
        "SMP: stopping secondary CPUs",
        "SMP: failed to stop secondary CPUs",
        "Voltage normalised",
        "oom_reaper: reaped process",
        "Modules linked in:",
        "callbacks suppressed",
        "messages suppressed",
        "synth uevent: ",
        "^printk: ",
    ],
    meaning: None,
    #[cfg(test)]
    fits: &[
        ("cfg80211: failed to load regulatory.db", ""),
        (
            "platform regulatory.0: Direct firmware load for regulatory.db failed with error -2",
            "",
        ),
        (
            "ACPI BIOS Error (bug): Could not resolve symbol [\\_SB.PCI0], AE_NOT_FOUND (20210730/dswload2-162)",
            "",
        ),
        (
            "ACPI Error: AE_NOT_FOUND, During name lookup/catalog (20210730/psobject-220)",
            "",
        ),
        (
            "brcmfmac: brcmf_fw_alloc_request: using brcm/brcmfmac43430-sdio for chip BCM43430/1",
            "",
        ),
        (
            "brcmfmac: brcmf_c_preinit_dcmds: Firmware: BCM43430/1 wl0: Oct 22 2019 01:59:28 version 7.45.98 (r718 CY)",
            "",
        ),
        ("i8042: No controller found", ""),
        ("sd 2:0:0:0: [sdb] No Caching mode page found", ""),
        ("sd 2:0:0:0: [sdb] Assuming drive cache: write through", ""),
        ("watchdog: watchdog0: watchdog did not stop!", ""),
        (
            "watchdog: watchdog0: nowayout prevents watchdog being stopped!",
            "",
        ),
        ("Rebooting in 10 seconds..", ""),
        ("hwmon hwmon1: Voltage normalised", ""),
        ("net_ratelimit: 402 callbacks suppressed", ""),
        (
            "mmc0: host does not support reading read-only switch, assuming write-enable",
            "",
        ),
        (
            "pci 0000:00:1c.0: BAR 13: no space for [io  size 0x1000]",
            "",
        ),
    ],
    #[cfg(test)]
    fits_not: &[
        "EXT4-fs error (device sda1): x",
        "brcmfmac: brcmf_sdio_htclk: HT Avail timeout (1000000): clkctl 0x50",
    ],
}];
