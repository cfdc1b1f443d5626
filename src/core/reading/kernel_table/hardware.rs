//! Errors that the hardware itself reports: machine check, EDAC, GHES and CPER, AER (arch/x86/kernel/cpu/mce,
//! drivers/edac, drivers/acpi/apei, drivers/firmware/efi/cper.c, drivers/pci/pcie/aer.c).

use super::rows;

rows! { Hardware
    KernelOther Critical ["[Hardware Error]: event severity: fatal", "[Hardware Error]: *type: fatal", "Machine Check Exception",
        "[Hardware Error]: *Fatal ", "[Hardware Error]: *Processor context corrupt", "mce: *Fatal Machine check"]
        yes "{1}[Hardware Error]: event severity: fatal" = "",
            "{1}[Hardware Error]:  Error 0, type: fatal" = "",
            "mce: [Hardware Error]: CPU 0: Machine Check Exception: 5 Bank 4: b200000000070f0f" = "",
            "[Hardware Error]: CPU 3: Machine Check Exception: 4 Bank 5: be00000000800400" = "";
    // What the hardware put right itself.
    KernelOther Warning ["[Hardware Error]: event severity: corrected", "[Hardware Error]: *orrected error", "EDAC {}: * CE ", "EDAC {}: CE ",
        "[Hardware Error]: *type: corrected", "[Hardware Error]: Machine check events logged", "{}: AER: Corrected error",
        "{}: AER: Multiple Corrected error", "{}: AER: Correctable error", "{}: AER: Multiple Correctable error",
        "{}: PCIe Bus Error: severity=Corr", "[Hardware Error]: Deferred error", "EDAC {}: *corrected error"]
        yes "{2}[Hardware Error]: event severity: corrected" = "",
            "[Hardware Error]: Corrected error, no action required." = "",
            "EDAC MC0: 1 CE memory read error on CPU_SrcID#0_Ha#0_Chan#1_DIMM#0 (channel:1 slot:0 page:0x40fcd7)" = "MC0",
            "EDAC MC0: CE page 0x1f000, offset 0x0, grain 8, syndrome 0x1, row 0, channel 0, label \"\": amd64_edac" = "MC0",
            "mce: [Hardware Error]: Machine check events logged" = "",
            "pcieport 0000:00:1c.0: AER: Corrected error received: 0000:00:1c.0" = "0000:00:1c.0",
            "pcieport 0000:00:1c.0: AER: Correctable error message received from 0000:02:00.0" = "0000:00:1c.0",
            "pcieport 0000:00:1c.0: PCIe Bus Error: severity=Corrected, type=Physical Layer, (Receiver ID)" = "0000:00:1c.0";
    KernelOther Error ["[Hardware Error]: event severity: recoverable", "EDAC {}: * UE ", "EDAC {}: UE ", "EDAC {}: *Uncorrected",
        "EDAC {}: *uncorrect", "[Hardware Error]: *Uncorrected", "[Hardware Error]: *type: recoverable", "mce: [Hardware Error]",
        "{}: AER: Uncorrect", "{}: AER: Multiple Uncorrect", "{}: PCIe Bus Error: severity=Uncorrect", "{}: AER: *recovery failed",
        "{}: AER: can't recover", "{}: DPC: *detected", "{}: DPC: containment event", "BERT: Error records from previous boot",
        "EDAC {}: *error: *uncorr", "parity error detected on", "CPU*: *unrecoverable error", "L2 *ECC error", "[Hardware Error]: *Unrecovered"]
        yes "EDAC MC0: 1 UE memory read error on CPU_SrcID#0_Ha#0_Chan#1_DIMM#0 (channel:1 slot:0 page:0x40fcd8)" = "MC0",
            "EDAC MC0: UE page 0x1f000, offset 0x0, grain 128, row 0, labels \"-\": x" = "MC0",
            "{1}[Hardware Error]: event severity: recoverable" = "",
            "[Hardware Error]: Uncorrected, software restartable error." = "",
            "mce: [Hardware Error]: CPU 2: Machine Check: 0 Bank 5: bea0000000000108" = "",
            "pcieport 0000:00:1c.0: AER: Uncorrected (Fatal) error received: 0000:01:00.0" = "0000:00:1c.0",
            "pcieport 0000:00:1c.0: AER: Uncorrectable (Non-Fatal) error message received from 0000:01:00.0" = "0000:00:1c.0",
            "nvme 0000:01:00.0: PCIe Bus Error: severity=Uncorrectable (Fatal), type=Inaccessible, (Unregistered Agent ID)" = "0000:01:00.0"
        no "mce: CPU0: Thermal monitoring enabled (TM1)", "EDAC MC: Ver: 3.0.0", "EDAC MC0: Giving out device to module sbridge_edac",
            "RAS: Correctable Errors collector initialized.", "EDAC MC0: 1 CE memory read error on x";
}
