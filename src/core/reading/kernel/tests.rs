//! The reader over lines in order.

#![allow(clippy::unwrap_used)]
use super::*;

fn read(text: &str) -> Vec<(Class, String)> {
    let mut reader = KernelReader::default();
    let mut found: Vec<_> = text
        .lines()
        .filter_map(|line| reader.line(&KernelLine::new(None, line)))
        .collect();
    found.extend(reader.finish());
    found.into_iter().map(|f| (f.class, f.subject)).collect()
}

#[test]
fn a_report_is_one_finding() {
    let text = "------------[ cut here ]------------\nrefcount_t: addition on 0; use-after-free.\nWARNING: CPU: 0 PID: 1 at lib/refcount.c:25 x+0x1/0x2\nModules linked in:\nCall Trace:\n f+0x1/0x2\n---[ end trace 0000000000000000 ]---\nKernel panic - not syncing: panic_on_warn set ...";
    // The panic that it led to is worse than the warning.
    let kernel = "kernel".to_owned();
    assert_eq!(
        read(text),
        [
            (Class::KernelWarning, kernel.clone()),
            (Class::KernelOops, kernel)
        ]
    );
}

fn told(lines: &[&str]) -> Vec<KernelFault> {
    let mut reader = KernelReader::default();
    let mut found: Vec<_> = lines
        .iter()
        .filter_map(|line| reader.line(&KernelLine::new(Some(100_000_000), line)))
        .collect();
    found.extend(reader.finish());
    found
}

#[test]
fn a_worse_fault_in_the_midst_of_a_report_is_told() {
    let found = told(&[
        "------------[ cut here ]------------",
        "WARNING: CPU: 1 PID: 812 at net/mac80211/rx.c:4953 ieee80211_rx_list+0xa1/0xd0 [mac80211]",
        "Call Trace:",
        "BUG: unable to handle page fault for address: ffffc90000a3f000",
        "#PF: supervisor write access in kernel mode",
        "Oops: 0002 [#1] PREEMPT SMP NOPTI",
        "---[ end trace 0000000000000000 ]---",
        "Kernel panic - not syncing: Fatal exception in interrupt",
    ]);
    let rows: Vec<_> = found.iter().map(|f| (f.class, f.severity)).collect();
    assert_eq!(
        rows,
        [
            (Class::KernelWarning, Severity::Warning),
            (Class::KernelMemorySafety, Severity::Critical)
        ]
    );
}

#[test]
fn a_panic_is_critical_whatever_went_before() {
    for before in [
        "INFO: task init:1 blocked for more than 120 seconds.",
        "rcu: INFO: rcu_sched self-detected stall on CPU",
        "WARNING: CPU: 0 PID: 1 at lib/a.c:3 f+0x1/0x2",
        "BUG: KASAN: use-after-free in f+0x1/0x2",
        "eth0: link up",
    ] {
        let found = told(&[
            before,
            "Kernel panic - not syncing: hung_task: blocked tasks",
        ]);
        let worst = found.iter().map(|fault| fault.severity).max();
        assert_eq!(worst, Some(Severity::Critical), "{before}");
    }
}

#[test]
fn an_oops_of_the_same_kind_raises_what_was_told() {
    let found = told(&[
        "Unhandled fault: alignment exception (0x001) at 0x000000d9",
        "Internal error: : 1 [#1] PREEMPT SMP ARM",
    ]);
    let rows: Vec<_> = found
        .iter()
        .map(|fault| (fault.message.as_str(), fault.severity))
        .collect();
    let words = "Unhandled fault: alignment exception (0x001) at 0x000000d9";
    assert_eq!(
        rows,
        [(words, Severity::Error), (words, Severity::Critical)]
    );
}

#[test]
fn other_places_are_other_faults_and_the_same_place_is_one() {
    let subject = |line: &str| told(&[line]).remove(0).subject;
    for (one, other) in [
        (
            "kernel BUG at fs/ext4/inode.c:2721!",
            "kernel BUG at mm/slub.c:4023!",
        ),
        (
            "WARNING: CPU: 0 PID: 1 at lib/a.c:3 f+0x1/0x2",
            "WARNING: CPU: 0 PID: 1 at lib/a.c:4 f+0x1/0x2",
        ),
        (
            "UBSAN: shift-out-of-bounds in lib/x.c:7:2",
            "UBSAN: shift-out-of-bounds in lib/y.c:7:2",
        ),
    ] {
        assert_ne!(subject(one), subject(other));
    }
    assert_eq!(
        subject("BUG: KASAN: use-after-free in f+0x1/0x2"),
        subject("BUG: KASAN: use-after-free in f+0x9/0x20")
    );
}

#[test]
fn a_warning_about_a_device_is_one_event_with_its_trace() {
    let found = told(&[
        "------------[ cut here ]------------",
        "NETDEV WATCHDOG: eth0 (meson8b-dwmac): transmit queue 0 timed out",
        "WARNING: CPU: 4 PID: 0 at net/sched/sch_generic.c:442 dev_watchdog+0x300/0x310",
        "Call trace:",
        "---[ end trace 3f6aa1c0d3e5a1b2 ]---",
    ]);
    let rows: Vec<_> = found
        .iter()
        .map(|f| (f.class, f.subject.as_str()))
        .collect();
    assert_eq!(rows, [(Class::DeviceFault, "eth0")]);
}

#[test]
fn what_no_row_knows_is_a_fault_if_the_kernel_calls_it_an_error() {
    let line = |number, text| KernelLine {
        at_us: Some(5_000_000),
        level: Some(Level::of_syslog(number)),
        text,
    };
    for (priority, text, want) in [
        (
            3,
            "imx-sdma 20ec000.sdma: channel 3 has no event",
            Some(("20ec000.sdma", Severity::Error)),
        ),
        (
            3,
            "something new is wrong",
            Some(("kernel", Severity::Error)),
        ),
        (
            0,
            "something new is wrong",
            Some(("kernel", Severity::Critical)),
        ),
        (4, "imx-sdma 20ec000.sdma: channel 3 has no event", None),
        (3, "cfg80211: failed to load regulatory.db", None),
        (2, "watchdog: watchdog0: watchdog did not stop!", None),
        (3, "", None),
    ] {
        let found = KernelReader::default().line(&line(priority, text));
        let got = found
            .as_ref()
            .map(|fault| (fault.subject.as_str(), fault.severity));
        assert_eq!(got, want, "{priority} {text}");
    }
}

#[test]
fn the_lines_of_a_report_are_no_faults_of_their_own() {
    let mut reader = KernelReader::default();
    let mut count = 0;
    for (priority, text) in [
        (
            1,
            "Unable to handle kernel NULL pointer dereference at virtual address 00000018",
        ),
        (1, "pgd = (ptrval)"),
        (1, "[00000018] *pgd=00000000"),
        (0, "Internal error: Oops: 17 [#1] PREEMPT SMP ARM"),
        (0, "Stack: (0xc1a5de00 to 0xc1a5e000)"),
        (0, "Code: e5933018 e3530000 (e5932004)"),
        (4, "---[ end trace 0000000000000000 ]---"),
        (0, "Kernel panic - not syncing: Fatal exception"),
    ] {
        let line = KernelLine {
            at_us: Some(7_000_000),
            level: Some(Level::of_syslog(priority)),
            text,
        };
        count += usize::from(reader.line(&line).is_some());
    }
    assert_eq!(count, 1);
}

#[test]
fn a_boot_ends_a_report() {
    let mut reader = KernelReader::default();
    let oops = "Unable to handle kernel NULL pointer dereference at virtual address 0";
    assert!(
        reader
            .line(&KernelLine::new(Some(900_000_000), oops))
            .is_some()
    );
    assert!(
        reader
            .line(&KernelLine::new(Some(900_500_000), oops))
            .is_none()
    );
    assert!(
        reader
            .line(&KernelLine::new(Some(12_000_000), oops))
            .is_some()
    );
}

#[test]
fn two_reports_are_two_findings() {
    let one = "BUG: kernel NULL pointer dereference, address: 0000000000000010\nOops: 0000 [#1] SMP\n---[ end trace 1 ]---";
    assert_eq!(read(&format!("{one}\n{one}")).len(), 2);
    let mut reader = KernelReader::default();
    let hung = "INFO: task kworker/0:1:12 blocked for more than 120 seconds.";
    assert!(
        reader
            .line(&KernelLine::new(Some(1_000_000), hung))
            .is_some()
    );
    assert!(
        reader
            .line(&KernelLine::new(Some(1_100_000), hung))
            .is_none()
    );
    assert!(
        reader
            .line(&KernelLine::new(Some(125_000_000), hung))
            .is_some()
    );
}

#[test]
fn single_lines_name_their_device() {
    for (line, class, subject) in [
        (
            "blk_update_request: I/O error, dev mmcblk0, sector 8192 op 0x0:(READ)",
            Class::IoError,
            "mmcblk0",
        ),
        (
            "Buffer I/O error on dev sda1, logical block 0, async page read",
            Class::IoError,
            "sda1",
        ),
        (
            "EXT4-fs error (device mmcblk0p2): ext4_find_entry:1455: inode #2: comm ls: reading directory lblock 0",
            Class::IoError,
            "mmcblk0p2",
        ),
        (
            "EXT4-fs (mmcblk0p2): Remounting filesystem read-only",
            Class::ReadonlyFs,
            "mmcblk0p2",
        ),
        (
            "BTRFS error (device sdb1): bdev /dev/sdb1 errs: wr 1, rd 0",
            Class::IoError,
            "sdb1",
        ),
        (
            "XFS (dm-0): metadata I/O error in \"xfs_trans\" at daddr 0x1",
            Class::IoError,
            "dm-0",
        ),
        (
            "mmc0: error -110 whilst initialising SD card",
            Class::IoError,
            "mmc0",
        ),
        (
            "Memory cgroup out of memory: Killed process 812 (python3) total-vm:1kB",
            Class::OomKill,
            "python3",
        ),
        (
            "Under-voltage detected! (0x00050005)",
            Class::KernelOther,
            "kernel",
        ),
        (
            "CPU0: Core temperature above threshold, cpu clock throttled (total events = 1)",
            Class::Thermal,
            "CPU0",
        ),
        (
            "gateway[812]: segfault at 0 ip 000055 sp 00007ffd error 4 in gateway[55+1]",
            Class::LogError,
            "gateway",
        ),
    ] {
        assert_eq!(read(line), [(class, subject.to_owned())], "{line}");
    }
}

#[test]
fn the_oom_victim_names_its_unit() {
    let text = "python3 invoked oom-killer: gfp_mask=0xcc0\noom-kill:constraint=CONSTRAINT_MEMCG,nodemask=(null),task_memcg=/system.slice/app.service,task=python3,pid=812,uid=0\nMemory cgroup out of memory: Killed process 812 (python3) total-vm:1kB";
    assert_eq!(read(text), [(Class::OomKill, "app.service".to_owned())]);
}

#[test]
fn a_device_that_is_restarted_again_and_again_is_a_fault() {
    for (line, seconds, want) in [
        ("ieee80211 phy0: Hardware restart was requested", 100, true),
        ("ieee80211 phy0: Hardware restart was requested", 700, false),
        (
            "usb 1-1: reset high-speed USB device number 2 using xhci_hcd",
            10,
            true,
        ),
        (
            "usb 1-1: reset high-speed USB device number 2 using xhci_hcd",
            100,
            false,
        ),
    ] {
        let mut reader = KernelReader::default();
        let told: Vec<Class> = (1..=5)
            .filter_map(|n| reader.line(&KernelLine::new(Some(n * seconds * 1_000_000), line)))
            .map(|fault| fault.class)
            .collect();
        let fault: &[Class] = if want { &[Class::DeviceFault] } else { &[] };
        assert_eq!(told, fault, "{line} every {seconds} s");
    }
}

#[test]
fn ordinary_lines_are_ordinary() {
    for line in [
        "INFO: Stall ended before state dump start",
        "WARNING: the mand mount option is being deprecated",
        "traps: app[3615] general protection fault ip:7feb sp:2000 error:0 in app[7feb+84000]",
        "EXT4-fs (sda1): mounted filesystem with ordered data mode. Opts: errors=remount-ro",
        "usb 1-1: reset high-speed USB device number 2 using xhci_hcd",
        "ieee80211 phy0: Hardware restart was requested",
        "mce: CPU0: Thermal monitoring enabled (TM1)",
        "ata1: SATA link up 6.0 Gbps (SStatus 133 SControl 300)",
        "RAS: Correctable Errors collector initialized.",
        "perf: interrupt took too long (2506 > 2500), lowering kernel.perf_event_max_sample_rate to 79750",
        "",
    ] {
        assert_eq!(read(line), [], "{line}");
    }
}
