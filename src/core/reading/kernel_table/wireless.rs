//! Wi-Fi, modems and Bluetooth (drivers/net/wireless, drivers/net/wwan, drivers/bluetooth, net/bluetooth).

use super::rows;

rows! { Wireless
    // The firmware of the radio crashed or no longer answers.
    DeviceFault Error ["{phy}: brcmf_fw_crashed: ", "{phy}: brcmf_psm_watchdog_notify: ", "brcmf_fw_crashed: Firmware has halted",
        "brcmf_sdio_checkdied: *trap", "mailbox indicates firmware halted", "brcmfmac: *resumed on timeout",
        "brcmf_proto_bcdc_*failed w/status -110", "brcmf_*HT Avail timeout", "brcmf_sdio_*failed", "brcmfmac: *_cmd failed",
        "brcmf_msgbuf_query_dcmd: Timeout on response", "brcmf_pcie_*failed", "brcmf_chip_*failed"]
        yes "ieee80211 phy0: brcmf_fw_crashed: Firmware has halted or crashed" = "phy0",
            "brcmfmac: brcmf_fw_crashed: Firmware has halted or crashed" = "",
            "ieee80211 phy0: brcmf_psm_watchdog_notify: PSM's watchdog has fired!" = "phy0",
            "brcmfmac: brcmf_sdio_checkdied: firmware trap in dongle" = "",
            "brcmfmac: brcmf_sdio_hostmail: mailbox indicates firmware halted" = "",
            "brcmfmac: brcmf_sdio_bus_rxctl: resumed on timeout" = "",
            "brcmfmac: brcmf_proto_bcdc_query_dcmd: brcmf_proto_bcdc_msg failed w/status -110" = ""
        no "brcmfmac: brcmf_fw_alloc_request: using brcm/brcmfmac43455-sdio for chip BCM4345/6";
    DeviceFault Error ["{}: Microcode SW error detected", "{}: Microcode HW error detected", "{}: Failed to load firmware chunk",
        "{}: Error sending *time out after", "{}: Queue * is active on fifo * and stuck for", "{}: Queue * stuck for",
        "{}: Failed to start RT ucode", "{}: Failed to run INIT ucode", "{}: Hardware error detected", "{}: HW error, resetting before reading",
        "{}: Timeout waiting for hardware access"]
        yes "iwlwifi 0000:01:00.0: Microcode SW error detected.  Restarting 0x82000000." = "0000:01:00.0",
            "iwlwifi 0000:01:00.0: Microcode SW error detected. Restarting 0x0." = "0000:01:00.0",
            "iwlwifi 0000:01:00.0: Error sending STATISTICS_CMD: time out after 2000ms." = "0000:01:00.0",
            "iwlwifi 0000:01:00.0: Queue 2 is active on fifo 1 and stuck for 10000 ms. SW [3, 9] HW [3, 9] FH TRB=0x0c0112004" = "0000:01:00.0";
    DeviceFault Error ["{}: firmware crashed", "{}: firmware has crashed", "{}: device has crashed during init", "{}: wmi command *timeout",
        "{}: failed to wake target", "{}: failed to wake up device", "{}: failed to receive *: -", "{}: could not init core",
        "{}: failed to start hw", "{phy}: Failed to stop TX DMA", "{phy}: Unable to reset channel", "{phy}: DMA failed to stop",
        "{phy}: Chip reset failed", "{phy}: Unable to reset hardware", "{phy}: Hardware reset failed", "{phy}: Failed to wakeup",
        "{}: failed to recover from firmware"]
        yes "ath10k_pci 0000:01:00.0: firmware crashed! (guid 8e6b1d1c-0000-4000-8000-000000000001)" = "0000:01:00.0",
            "ath11k_pci 0000:01:00.0: firmware crashed: MHI_CB_EE_RDDM" = "0000:01:00.0",
            "ath10k_pci 0000:01:00.0: wmi command 36865 timeout, restarting hardware" = "0000:01:00.0",
            "ath10k_pci 0000:01:00.0: device has crashed during init" = "0000:01:00.0",
            "ath: phy0: Failed to stop TX DMA, queues=0x004!" = "phy0",
            "ath: phy0: DMA failed to stop in 10 ms AR_CR=0x00000024 AR_DIAG_SW=0x02000020" = "phy0"
        no "ieee80211 phy0: Hardware restart was requested";
    DeviceFault Error ["{mt7}: chip reset", "^mt7* {}: Message *timeout", "^mt7* {}: chip reset", "^mt7* {}: driver own failed",
        "^mt7* {}: *MCU message *timed out", "^mt7* {}: hardware init failed", "mt76*wait_resp timed out", "^mt7* {}: Failed to *firmware",
        "^rtw* {}: firmware failed to", "^rtw* {}: failed to send h2c command", "^rtw* {}: timed out to flush queue",
        "^rtw* {}: failed to poll", "^rtw* {}: failed to download firmware", "^rtw* {}: FW status", "^rtw* {}: mac power on failed",
        "^rtw* {}: SER catches error", "^rtl*: *firmware *not ready"]
        yes "mt7921e 0000:01:00.0: Message 00020007 (seq 12) timeout" = "0000:01:00.0",
            "mt7921e 0000:01:00.0: chip reset" = "0000:01:00.0",
            "mt7921e 0000:01:00.0: driver own failed" = "0000:01:00.0",
            "rtw_8822ce 0000:02:00.0: failed to send h2c command" = "0000:02:00.0",
            "rtw_8821cu 1-1:1.2: timed out to flush queue 1" = "1-1",
            "rtw_8822ce 0000:02:00.0: firmware failed to leave lps state" = "0000:02:00.0";
    DeviceFault Error ["^mwifiex_* {}: *Timeout cmd id", "^mwifiex_* {}: *firmware wakeup failed", "^mwifiex_* {}: *Firmware wakeup failed",
        "^mwifiex_* {}: *failed to get signal", "wlcore: ERROR ", "wlcore: Hardware recovery in progress", "wl1271: ERROR ",
        "^wlcore: WARNING could not get firmware", "carl9170*: FW crashed", "rt2x00*: Error - ", "rt2800*: Error - "]
        yes "mwifiex_sdio mmc1:0001:1: mwifiex_cmd_timeout_func: Timeout cmd id = 0xa4, act = 0x1" = "mmc1:0001:1",
            "wlcore: ERROR timeout waiting for the hardware to complete initialization" = "",
            "wlcore: Hardware recovery in progress. FW ver: Rev 8.9.0.0.79" = "",
            "ieee80211 phy0: rt2x00usb_vendor_request: Error - x" = "";
    // Modems.
    DeviceFault Error ["{}: nonzero urb status received: -", "{cdc-wdm}: *submit *failed", "{}: unregister 'qmi_wwan'",
        "{}: unregister 'cdc_mbim'", "^qmi_wwan {}: *Unexpected error", "^mhi* {}: *failed to enter", "^mhi* {}: *Device has entered *error",
        "^mhi-pci-generic {}: *failed", "^mhi-pci-generic {}: *recovery", "^mhi* {}: *SYS ERR", "{wwan}: *port * timed out",
        "^mtk_t7xx {}: *timeout", "^mtk_t7xx {}: *failed", "^iosm* {}: *crash", "^sierra_net*: *timed out"]
        yes "cdc_wdm 1-1:1.4: nonzero urb status received: -71" = "1-1",
            "qmi_wwan 1-1.2:1.4 wwan0: unregister 'qmi_wwan' usb-0000:01:00.0-1.2, WWAN/QMI device" = "wwan0",
            "cdc_mbim 2-1:1.0 wwan0: unregister 'cdc_mbim' usb-xhci-hcd.0-1, CDC MBIM" = "wwan0",
            "mhi mhi0: Device failed to enter MHI Ready" = "mhi0",
            "mhi-pci-generic 0000:01:00.0: failed to resume device: -22" = "0000:01:00.0";
    // Bluetooth.
    DeviceFault Error ["{hci}: command *tx timeout", "{hci} command *tx timeout", "{hci}: Opcode *failed: -", "{hci}: hardware error",
        "{hci} hardware error", "{hci}: *failed (-", "{hci}: *Frame reassembly failed", "{hci} *Frame reassembly failed",
        "{hci}: *failed to resubmit", "{hci} *failed to resubmit", "{hci}: *link tx timeout", "{hci} *link tx timeout",
        "{hci}: Failed to ", "{hci}: *firmware *failed", "{hci}: Hardware error", "{hci}: *Reset failed", "{hci}: setup failed",
        "{hci}: unexpected event for opcode"]
        yes "Bluetooth: hci0: command 0x0c14 tx timeout" = "hci0",
            "Bluetooth: hci0 command 0x1003 tx timeout" = "hci0",
            "Bluetooth: hci0: Opcode 0x0c03 failed: -110" = "hci0",
            "Bluetooth: hci0: hardware error 0x00" = "hci0",
            "Bluetooth: hci0: BCM: Reset failed (-110)" = "hci0",
            "Bluetooth: hci0: Reading Intel version command failed (-110)" = "hci0",
            "Bluetooth: hci0: Frame reassembly failed (-84)" = "hci0",
            "Bluetooth: hci0: urb 00000000 failed to resubmit (113)" = "hci0"
        no "Bluetooth: hci0: BCM4345C0 (003.001.025) build 0382", "Bluetooth: hci0: advertising data len corrected 251 -> 68";
}
