//! Clocks, watchdogs and the scheduler's limits (kernel/time, drivers/rtc, drivers/watchdog, kernel/sched).

use super::rows;

rows! { Clock
    KernelOther Critical ["softdog: Initiating system reboot", "{}: pretimeout event", "^watchdog pretimeout event"]
        yes "softdog: Initiating system reboot" = "",
            "watchdog: watchdog0: pretimeout event" = "watchdog0";
    KernelOther Warning ["Marking clocksource '*' as unstable because", "Marking TSC unstable due to", "RT throttling activated",
        "audit: backlog limit exceeded", "kauditd hold queue overflow", "audit_backlog_limit="]
        yes "clocksource: timekeeping watchdog on CPU1: Marking clocksource 'tsc' as unstable because the skew is too large:" = "",
            "tsc: Marking TSC unstable due to check_tsc_sync_source failed" = "",
            "sched: RT throttling activated" = "",
            "audit: backlog limit exceeded" = ""
        no "clocksource: Switched to clocksource arch_sys_counter", "Clock: inserting leap second 23:59:60 UTC";
    // The clock's battery is flat or the clock stood still: the time after a start is wrong.
    DeviceFault Warning ["{}: low voltage detected, date/time is not reliable", "{}: oscillator failed", "{}: SET TIME!",
        "{}: Oscillator failure, data is invalid", "{}: Voltage low, data", "{}: Oscillator stop detected", "{}: hctosys: unable to read the hardware clock",
        "{}: unable to read the hardware clock", "{rtc}: *invalid date", "{}: Power loss detected, invalid time", "{}: Time data not valid"]
        yes "rtc-pcf8563 0-0051: low voltage detected, date/time is not reliable." = "0-0051",
            "rtc-ds1307 1-0068: SET TIME!" = "1-0068",
            "rtc-ds1307 1-0068: oscillator failed, set time!" = "1-0068",
            "rtc-pcf8563 0-0051: hctosys: unable to read the hardware clock" = "0-0051"
        no "rtc-ds1307 1-0068: setting system clock to 2024-05-02T10:11:12 UTC (1714644672)";
}
