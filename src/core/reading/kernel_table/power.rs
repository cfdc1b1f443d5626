//! Power supply, regulators and heat (drivers/hwmon, drivers/firmware, drivers/regulator, drivers/thermal).

use super::rows;

rows! { Power
    KernelOther Warning ["nder-voltage detected", "ndervoltage detected"]
        yes "Under-voltage detected! (0x00050005)" = "",
            "rpi_firmware_get_throttled: Under-voltage detected! (0x00050005)" = "",
            "hwmon hwmon1: Undervoltage detected!" = ""
        no "hwmon hwmon1: Voltage normalised", "Voltage normalised (0x00000000)";
    DeviceFault Error ["^{}: failed to enable: -", "{}: Failed to enable regulator", "{}: failed to enable regulator", "regulator *ver current",
        "^{}: over-current", "^{}: Over current", "{}: *regulator * failed", "{}: unable to enable supply", "{}: Failed to enable supply",
        "^{}: failed to set voltage", "{}: regulator over-current", "{}: Regulator error"]
        yes "vcc3v3_lte: failed to enable: -110" = "vcc3v3_lte",
            "sdhci-esdhc-imx 2190000.mmc: Failed to enable regulator: -110" = "2190000.mmc";
    Thermal Critical ["^thermal {}: *ritical temperature reached", "ritical temperature reached", "HARDWARE PROTECTION shutdown (Temperature"]
        yes "thermal thermal_zone0: critical temperature reached (105 C), shutting down" = "thermal_zone0",
            "thermal thermal_zone0: cpu-thermal: critical temperature reached, shutting down" = "thermal_zone0",
            "reboot: HARDWARE PROTECTION shutdown (Temperature too high)" = "";
    Thermal Warning ["{CPU}: *temperature above threshold", "emperature above threshold"]
        yes "CPU0: Core temperature above threshold, cpu clock throttled (total events = 1)" = "CPU0",
            "mce: CPU2: Package temperature above threshold, cpu clock throttled (total events = 9)" = "CPU2"
        no "CPU0: Core temperature/speed normal";
    KernelOther Critical ["HARDWARE PROTECTION shutdown", "^reboot: *ower failure", "attery critically low", "battery level critical"]
        yes "reboot: HARDWARE PROTECTION shutdown (Regulator over-current)" = "";
}
