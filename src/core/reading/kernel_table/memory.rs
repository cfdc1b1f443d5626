//! Memory that is short or broken (mm/page_alloc.c, mm/vmalloc.c, mm/memory-failure.c, kernel/cgroup/pids.c).

use super::rows;

rows! { Memory
    KernelOther Warning ["page allocation failure: order:", "page allocation failure. order:", "page allocation stalls for", "vmap allocation for size * failed",
        "vmalloc error: size", "cma_alloc: *alloc failed", "cma: *alloc failed", "percpu: allocation failed",
        "SLUB: Unable to allocate memory on", "Unable to allocate memory on node"]
        yes "kworker/0:1: page allocation failure: order:4, mode:0x40dc0(GFP_KERNEL|__GFP_COMP|__GFP_ZERO), nodemask=(null),cpuset=/,mems_allowed=0" = "",
            "swapper: page allocation failure: order:0, mode:0x2200020(GFP_NOWAIT|__GFP_HIGH|__GFP_NOTRACK)" = "",
            "poller: page allocation failure. order:3, mode:0x4020" = "",
            "poller: page allocation stalls for 10004ms, order:0, mode:0x14201ca" = "",
            "vmap allocation for size 4198400 failed: use vmalloc=<size> to increase size" = "",
            "poller: vmalloc error: size 4096, page order 0, failed to allocate pages, mode:0xcc0(GFP_KERNEL), nodemask=(null)" = "",
            "cma: cma_alloc: reserved: alloc failed, req-size: 256 pages, ret: -12" = "";
    OomKill Critical ["^Out of memory and no killable processes", "System is deadlocked on memory"]
        yes "Out of memory and no killable processes..." = "";
    KernelOther Error ["Memory failure: 0x", "due to hardware memory corruption", "Uncorrected hardware memory error"]
        yes "Memory failure: 0x5a1f3: recovery action for dirty LRU page: Recovered" = "",
            "MCE: Killing poller:812 due to hardware memory corruption fault at 7f12" = "";
    KernelOther Error ["^cgroup: fork rejected by pids controller in {}"]
        yes "cgroup: fork rejected by pids controller in /system.slice/app.service" = "app.service";
}
