//! Reports of many lines: what opens one (mm/, kernel/, lib/, arch/*/mm/fault.c, arch/*/kernel/traps.c).

use super::rows;

rows! { Report
    // Sanitizers and the slab, list and copy checks.
    KernelMemorySafety Error ["^BUG: KASAN: *in {}+0x", "^BUG: KMSAN: *in {}+0x", "^BUG: KCSAN: *in {} ",
        "^BUG: KFENCE: *in {}+0x", "^BUG: KASAN:", "^BUG: KMSAN:", "^BUG: KCSAN:", "^BUG: KFENCE:"]
        yes "BUG: KASAN: slab-use-after-free in ext4_xattr_set_entry+0x1b2/0x5a0" = "ext4_xattr_set_entry",
            "BUG: KASAN: use-after-free in skb_put+0x10/0x20 at addr ffff880012345678" = "skb_put",
            "BUG: KASAN: user-memory-access on address 0000000000001000" = "",
            "BUG: KFENCE: out-of-bounds read in test_out_of_bounds_read+0xa6/0x234" = "test_out_of_bounds_read",
            "BUG: KCSAN: data-race in tick_nohz_next_event / tick_nohz_stop_tick" = "tick_nohz_next_event",
            "BUG: KMSAN: uninit-value in ip_rcv+0x4c2/0x8f0 net/ipv4/ip_input.c:500" = "ip_rcv";
    KernelMemorySafety Error ["^UBSAN: * in {}", "^UBSAN:"]
        yes "UBSAN: array-index-out-of-bounds in drivers/net/wireless/ath/ath9k/hw.c:1205:3" = "drivers/net/wireless/ath/ath9k/hw.c:1205",
            "UBSAN: Undefined behaviour in kernel/time/hrtimer.c:310:16" = "kernel/time/hrtimer.c:310",
            "UBSAN: shift-out-of-bounds in lib/x.c:7:2" = "lib/x.c:7";
    KernelMemorySafety Error ["^BUG: Bad page", "^BUG: Bad rss-counter", "^BUG: non-zero pgtables_bytes", "Bad swap file entry"]
        yes "BUG: Bad page state in process poller  pfn:1f4c2" = "",
            "BUG: Bad page map in process sh  pte:80000001 pmd:12345067" = "",
            "BUG: Bad rss-counter state mm:ffff8800 type:MM_FILEPAGES val:1" = "",
            "BUG: non-zero pgtables_bytes on freeing mm: 4096" = "",
            "get_swap_device: Bad swap file entry 5806f5d9d3ba5e00" = "";
    KernelMemorySafety Error ["^BUG *ainted)", "^BUG *ainted: ", "^INFO: Slab 0x", "^INFO: Freed in ", "^INFO: Object 0x",
        "^Slab corruption", "^slab error in"]
        yes "BUG kmalloc-64 (Not tainted): Redzone overwritten" = "",
            "BUG skbuff_head_cache (Tainted: G    B     ): Poison overwritten" = "",
            "Slab corruption (Not tainted): kmalloc-32 start=ffff8800, len=32" = "",
            "slab error in verify_redzone_free(): cache `dentry': memory outside object was overwritten" = "";
    KernelMemorySafety Error ["list_add corruption", "list_del corruption", "^list_add double add"]
        yes "list_del corruption. prev->next should be ffff8881, but was dead000000000100. (prev=ffff88)" = "",
            "slab: list_add corruption. next->prev should be prev (c0000001), but was 00000000." = "";
    KernelMemorySafety Error ["^kernel BUG at {lib/list_debug.c}", "^kernel BUG at {mm/usercopy.c}"]
        yes "kernel BUG at lib/list_debug.c:56!" = "lib/list_debug.c:56";
    KernelMemorySafety Error ["usercopy: Kernel memory ", "^memcpy: detected ", "detected buffer overflow in"]
        yes "usercopy: Kernel memory exposure attempt detected from SLUB object 'task_struct' (offset 0, size 8)!" = "",
            "memcpy: detected field-spanning write (size 128) of single field \"dst\" at net/x.c:12 (size 4)" = "",
            "detected buffer overflow in strcpy" = "";
    // An address that is not near null: something wrote where it should not.
    KernelMemorySafety Critical ["^BUG: unable to handle page fault", "^BUG: unable to handle kernel paging request",
        "Unable to handle kernel paging request", "^BUG: Unable to handle kernel data access",
        "Unable to handle kernel access to user memory", "Unable to handle kernel write to read-only memory",
        "Unable to handle kernel execute from non-executable memory", "Unable to handle kernel read from unreadable memory"]
        yes "BUG: unable to handle page fault for address: ffffc90000a3f000" = "",
            "BUG: unable to handle kernel paging request at ffffeb0400000000" = "",
            "Unable to handle kernel paging request at virtual address dead000000000108" = "",
            "Unable to handle kernel paging request at virtual address 6b6b6b6b when read" = "",
            "CPU 1 Unable to handle kernel paging request at virtual address 00000a10, epc == 8012f3c4, ra == 8012f3a0" = "",
            "Unable to handle kernel paging request for data at address 0xd00000000abc" = "",
            "Unable to handle kernel write to read-only memory at virtual address ffff800008e41000" = "",
            "Unable to handle kernel access to user memory outside uaccess routines at virtual address 0000ffff" = "",
            "Unable to handle kernel access to user memory without uaccess routines at virtual address 0000003f" = "";
    // Lock-ups and stalls.
    KernelLockup Critical ["soft lockup - CPU#", "hard LOCKUP on cpu ", "hard LOCKUP on other CPUs"]
        yes "watchdog: BUG: soft lockup - CPU#2 stuck for 26s! [kworker/2:1:59]" = "",
            "NMI watchdog: BUG: soft lockup - CPU#0 stuck for 22s! [swapper/0:1]" = "",
            "BUG: soft lockup - CPU#1 stuck for 67s! [modprobe:312]" = "",
            "NMI watchdog: Watchdog detected hard LOCKUP on cpu 0" = "",
            "watchdog: Watchdog detected hard LOCKUP on cpu 3" = "",
            "watchdog: CPU2: Watchdog detected hard LOCKUP on cpu 2" = "";
    KernelLockup Error ["^BUG: workqueue lockup", "task *blocked for more than", "task *blocked in I/O wait",
        "task *can't die for more than"]
        yes "BUG: workqueue lockup - pool cpus=0 node=0 flags=0x0 nice=0 stuck for 34s!" = "",
            "INFO: task jbd2/mmcblk0p2-8:97 blocked for more than 120 seconds." = "",
            "INFO: task mount:411 blocked in I/O wait for more than 122 seconds." = "",
            "INFO: task syz:1 can't die for more than 143 seconds." = "";
    KernelLockup Error ["detected stalls on ", "detected stall on CPU", "detected expedited stalls", "kthread starved for ",
        "kthread timer wakeup didn't happen", "rcu_tasks detected stalls"]
        yes "rcu: INFO: rcu_sched self-detected stall on CPU" = "",
            "INFO: rcu_sched self-detected stall on CPU { 0}  (t=2100 jiffies g=10 c=9 q=3)" = "",
            "INFO: rcu_preempt detected stalls on CPUs/tasks:" = "",
            "rcu: INFO: rcu_preempt detected stalls on CPUs/tasks: { 1} (detected by 0, t=6502 jiffies)" = "",
            "INFO: rcu_bh detected stall on CPU 0 (t=0 jiffies)" = "",
            "rcu: INFO: rcu_preempt detected expedited stalls on CPUs/tasks: { 0-... } 21 jiffies s: 29 root: 0x1/." = "",
            "INFO: rcu_tasks detected stalls on tasks:" = "",
            "rcu: rcu_sched kthread starved for 2101 jiffies! g201345 f0x0 RCU_GP_WAIT_FQS(5)" = "",
            "rcu: rcu_preempt kthread timer wakeup didn't happen for 4990 jiffies! g5 f0x0" = ""
        no "INFO: Stall ended before state dump start";
    // Lock dependency checker and contexts that must not sleep.
    KernelLockdep Warning ["circular locking dependency detected", "recursive locking detected",
        "irq lock inversion dependency", "inconsistent lock state", "inconsistent *-> *usage.",
        "-unsafe lock order detected", "bad unlock balance detected", "bad contention detected", "held lock freed!",
        "still has locks held", "still have *locks held", "lock held when returning", "locks held when returning",
        "ested lock was not taken"]
        yes "WARNING: possible circular locking dependency detected" = "",
            "[ INFO: possible circular locking dependency detected ]" = "",
            "WARNING: possible recursive locking detected" = "",
            "WARNING: inconsistent lock state" = "",
            "WARNING: HARDIRQ-safe -> HARDIRQ-unsafe lock order detected" = "",
            "WARNING: bad unlock balance detected!" = "",
            "WARNING: poller/812 still has locks held!" = "",
            "WARNING: lock held when returning to user space!" = "",
            "WARNING: Nested lock was not taken" = "";
    KernelLockdep Warning ["suspicious RCU usage", "suspicious rcu_dereference", "nvalid wait context",
        "called from invalid context", "^BUG: using *in preemptible", "^BUG: key ", "^BUG: MAX_*too low",
        "^BUG: workqueue leaked", "trying to register non-static key", "^DEBUG_LOCKS_WARN_ON"]
        yes "WARNING: suspicious RCU usage" = "",
            "[ BUG: Invalid wait context ]" = "",
            "BUG: sleeping function called from invalid context at kernel/locking/mutex.c:580" = "",
            "BUG: using smp_processor_id() in preemptible [00000000] code: poller/812" = "",
            "BUG: MAX_LOCKDEP_CHAINS too low!" = "",
            "INFO: trying to register non-static key." = "";
    KernelLockdep Error ["BUG: scheduling while atomic", "^BUG: spinlock ", "^BUG: rwlock", "^BUG: mutex", "^BUG: rwsem"]
        yes "BUG: scheduling while atomic: swapper/0/0/0x00000100" = "",
            "BUG: spinlock bad magic on CPU#1, modprobe/211" = "";
    KernelLockdep Warning ["^WARNING: *at {kernel/locking/lockdep.c}", "^WARNING: *at {kernel/locking/mutex}",
        "^WARNING: *at {kernel/locking/rwsem}", "^WARNING: *at {kernel/locking/rtmutex}", "^WARNING: {kernel/locking/}"]
        yes "WARNING: CPU: 0 PID: 211 at kernel/locking/lockdep.c:895 register_lock_class+0x4bd/0x550" = "kernel/locking/lockdep.c:895",
            "WARNING: kernel/locking/mutex.c:582 at __mutex_lock+0x5c0/0x8d0, CPU#1: poller/812" = "kernel/locking/mutex.c:582";
    // Leaks.
    KernelLeak Warning ["^BUG: memory leak", "^memory leak in ", "^unreferenced object 0x", "^kmemleak: *new suspected memory leak"]
        yes "BUG: memory leak" = "",
            "unreferenced object 0xffff88810a1b2c00 (size 96):" = "",
            "kmemleak: 3 new suspected memory leaks (see /sys/kernel/debug/kmemleak)" = "";
    // The kernel found what should not be, and went on.
    KernelWarning Warning ["^WARNING: CPU: * at {}", "^WARNING: at {}", "^WARNING: {} at *, CPU#", "^WARNING: CPU: "]
        yes "WARNING: CPU: 1 PID: 388 at drivers/usb/core/urb.c:504 usb_submit_urb+0x510/0x5a0" = "drivers/usb/core/urb.c:504",
            "WARNING: CPU: 1 PID: 812 at net/mac80211/rx.c:4953 ieee80211_rx_list+0xa1/0xd0 [mac80211]" = "net/mac80211/rx.c:4953",
            "WARNING: at fs/inode.c:901 unlock_new_inode+0x32/0x44()" = "fs/inode.c:901",
            "WARNING: lib/refcount.c:28 at refcount_warn_saturate+0xbf/0x130, CPU#0: poller/812" = "lib/refcount.c:28"
        no "WARNING: the mand mount option is being deprecated";
    KernelWarning Warning ["^WARNING: *.c:", "^WARNING: *.h:", "^WARNING: *.rs:", "^WARNING: *.S:", "^WARNING: *kernel stack",
        "^WARNING: *stack recursion", "^WARNING: *dereference registers", "^WARNING: *unwind", "^Badness at {}",
        "^refcount_t: ", "^ODEBUG: * object"]
        yes "WARNING: kernel stack regs at 00000000 in poller:812 has bad 'bp' value 00000000" = "",
            "Badness at net/core/dev.c:1234" = "net/core/dev.c:1234",
            "refcount_t: underflow; use-after-free." = "",
            "ODEBUG: free active (active state 0) object type: timer_list hint: x+0x0/0x10" = "";
    // The kernel stopped a thread, or itself.
    KernelOops Critical ["Kernel panic - not syncing", "^Kernel panic: ", "^trusty: panic"]
        yes "Kernel panic - not syncing: VFS: Unable to mount root fs on unknown-block(179,2)" = "",
            "Kernel panic - not syncing: Attempted to kill init! exitcode=0x0000000b" = "",
            "Kernel panic - not syncing: Fatal exception in interrupt" = ""
        no "---[ end Kernel panic - no sync ]---";
    KernelOops Critical ["^kernel BUG at {}", "^Kernel BUG at {}", "^Kernel bug detected", "^Kernel BUG [#"]
        yes "kernel BUG at fs/ext4/inode.c:2721!" = "fs/ext4/inode.c:2721",
            "kernel BUG at mm/slub.c:4023!" = "mm/slub.c:4023",
            "Kernel bug detected[#1]:" = "",
            "Kernel BUG [#1]" = "";
    KernelOops Critical ["NULL pointer dereference", "Unable to handle kernel", "^BUG: unable to handle", "^BUG: Unable to handle"]
        yes "BUG: kernel NULL pointer dereference, address: 0000000000000010" = "",
            "Unable to handle kernel NULL pointer dereference at virtual address 00000000" = "",
            "BUG: Kernel NULL pointer dereference on read at 0x00000000" = "",
            "BUG: unable to handle kernel NULL pointer dereference at 0000000000000018" = "",
            "BUG: Unable to handle kernel instruction fetch" = "",
            "Unable to handle kernel at virtual address" = "";
    KernelOops Critical ["^Oops: ", "^Oops - ", "^Oops[#", "^Oops [#", "^Internal error: ", "^Fatal exception: panic in"]
        yes "Oops: 0002 [#1] PREEMPT SMP NOPTI" = "",
            "Oops[#1]:" = "",
            "Oops [#1]" = "",
            "Oops - illegal instruction [#1]" = "",
            "Oops: general protection fault, probably for non-canonical address 0xdffffc0000000000: 0000 [#1] SMP" = "",
            "Internal error: Oops: 17 [#1] PREEMPT SMP ARM" = "",
            "Internal error: Oops: 0000000096000005 [#1] PREEMPT SMP" = "",
            "Internal error: synchronous external abort: 96000210 [#1] SMP" = "";
    KernelOops Critical ["^general protection fault: 0", "^general protection fault, probably", "^general protection fault, maybe",
        "^general protection fault: ff", "^stack segment: ", "^invalid opcode: ", "^divide error: ", "^double fault*: ",
        "^int3: 0", "^segment not present: ", "^alignment check: 0", "^PANIC: ", "^kernel stack overflow", "CFI failure at {}+0x",
        "^traps: Missing ENDBR: "]
        yes "general protection fault: 0000 [#1] SMP KASAN PTI" = "",
            "general protection fault, probably for non-canonical address 0xdead000000000108: 0000 [#1] SMP" = "",
            "invalid opcode: 0000 [#1] SMP NOPTI" = "",
            "divide error: 0000 [#1] SMP" = "",
            "PANIC: double fault, error_code: 0x0" = "",
            "CFI failure at nf_hook_slow+0x4c/0xd0 (target: x+0x0/0x8; expected type: 0x1)" = "nf_hook_slow"
        no "traps: app[3615] general protection fault ip:7feb sp:2000 error:0 in app[7feb+84000]";
    KernelOops Critical ["Insufficient stack space to handle exception", "^Unhandled exception", "^Unhandled prefetch abort: ",
        "Unhandled kernel unaligned access", "Unexpected kernel *exception", "^Bad mode in ", "SError Interrupt on CPU",
        "Synchronous External Abort", "kernel tried to execute NX-protected page", "skb_over_panic: text:", "skb_under_panic: text:",
        "Reserved instruction in kernel code", "Break instruction in kernel code", "Trap instruction in kernel code",
        "do_cpu invoked from kernel context", "Data bus error, epc", "Instruction bus error, epc",
        "Kernel unaligned instruction access", "Unhandled 64-bit *exception on CPU", "imprecise external abort"]
        yes "SError Interrupt on CPU1, code 0x00000000bf000002 -- SError" = "",
            "Bad mode in Error handler detected on CPU0, code 0xbf000002 -- SError" = "",
            "Insufficient stack space to handle exception!" = "",
            "skbuff: skb_over_panic: text:ffffffff81 len:1600 put:100 head:0 data:0 tail:0x640 end:0x6c0 dev:eth0" = "",
            "Unhandled kernel unaligned access[#1]:" = "",
            "Reserved instruction in kernel code[#1]:" = "",
            "Data bus error, epc == 8010a2b4, ra == 8010a298" = "",
            "Unhandled 64-bit el1h sync exception on CPU0, ESR 0x0000000002000000 -- Unknown/Uncategorized" = "";
    // Of the kernel only when an oops follows, which then makes it critical.
    KernelOops Error ["^Unhandled fault: ", "^Unhandled fault at "]
        yes "Unhandled fault: alignment exception (0x001) at 0x000000d9" = "",
            "Unhandled fault: external abort on non-linefetch (0x1018) at 0x00e47000" = "";
    KernelOops Error ["^BUG: "]
        yes "BUG: Dentry 00000000deadbeef{i=1,n=x} still in use (1) [unmount of ext4 sda1]" = "",
            "BUG: failure at kernel/x.c:12/do_x()!" = "";
}
