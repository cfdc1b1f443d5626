//! Buses and what hangs on them: PCI, I2C, SPI, DMA, interrupts, IOMMU (drivers/pci, drivers/i2c, kernel/irq/spurious.c).

use super::rows;

rows! { Bus
    DeviceFault Error ["^irq *: nobody cared", "^Disabling IRQ #"]
        yes "irq 16: nobody cared (try booting with the \"irqpoll\" option)" = "",
            "Disabling IRQ #16" = "";
    DeviceFault Error ["{}: controller timed out", "{}: timeout waiting for bus ready", "{}: i2c transfer timed out", "{}: i2c transfer failed",
        "^i2c* {}: *timeout", "^i2c* {}: *timed out", "^rk3x-i2c {}: timeout", "^imx-i2c {}: *timeout", "^mv64xxx*: *timed out",
        "{}: SPI transfer timed out", "{}: I2C timeout", "{}: SMBus Timeout", "{}: transfer timeout", "{}: DMA transfer timeout",
        "{}: bus is not ready", "{}: SDA stuck", "{}: failed to transfer one message from queue", "{}: lost arbitration"]
        yes "i2c_designware 80860F41:00: controller timed out" = "80860F41:00",
            "omap_i2c 44e0b000.i2c: timeout waiting for bus ready" = "44e0b000.i2c",
            "i2c-bcm2835 3f804000.i2c: i2c transfer timed out" = "3f804000.i2c",
            "rk3x-i2c ff3d0000.i2c: timeout, ipd: 0x00, state: 1" = "ff3d0000.i2c",
            "spi_master spi0: failed to transfer one message from queue" = "spi0";
    DeviceFault Error ["{}: can't change power state from", "{}: Unable to change power state from", "{}: device inaccessible",
        "{}: pciehp: *Link Down", "{}: pciehp: *Card not present", "{}: broken device, retraining non-functional downstream link",
        "{}: link is down, PCIe", "^rcar-pcie {}: PCIe link down", "{}: Phy link never came up", "{}: PCIe link down"]
        yes "pci 0000:01:00.0: Unable to change power state from D3cold to D0, device inaccessible" = "0000:01:00.0",
            "nvme 0000:01:00.0: can't change power state from D3cold to D0 (config space inaccessible)" = "0000:01:00.0",
            "pcieport 0000:00:1c.0: pciehp: Slot(3): Link Down" = "0000:00:1c.0"
        no "brcm-pcie fd500000.pcie: link up, 5.0 GT/s PCIe x1 (SSC)";
    DeviceFault Error ["^DMAR: *Request device [{}] *fault", "IO_PAGE_FAULT device={}", "^arm-smmu*: *Unhandled context fault",
        "^arm-smmu*: *global fault", "GPU HANG:", "^AMD-Vi: *IO_PAGE_FAULT", "^DMAR: DRHD: handling fault status"]
        yes "DMAR: [DMA Read] Request device [00:1f.2] fault addr ffee0000 [fault reason 06] PTE Read access is not set" = "00:1f.2",
            "arm-smmu 5000000.iommu: Unhandled context fault: fsr=0x402, iova=0x0, fsynr=0x1" = "",
            "i915 0000:00:02.0: [drm] GPU HANG: ecode 9:1:85dffffb, in x [812]" = "";
    KernelOther Error ["^{}: version magic", "^{}: disagrees about version of symbol", "^{}: Unknown symbol", "module {}: .gnu.linkonce.this_module section size must match", "^{}: exports duplicate symbol"]
        yes "option: version magic '6.1.21-v7+ SMP mod_unload' should be '6.1.58-v7+ SMP mod_unload'" = "option",
            "usb_wwan: disagrees about version of symbol module_layout" = "usb_wwan",
            "option: Unknown symbol usb_wwan_open (err -2)" = "option"
        no "zfs: module verification failed: signature and/or required key missing - tainting kernel";
}
