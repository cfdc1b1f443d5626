//! Wired interfaces and the network stack (net/sched/sch_generic.c, net/core, net/ipv4, drivers/net/ethernet).

use super::rows;

rows! { Network
    // The transmit queue hangs: the interface or its driver.
    DeviceFault Error ["NETDEV WATCHDOG: {} (*transmit queue", "{}: NETDEV WATCHDOG: *transmit queue",
        "NETDEV WATCHDOG: {}: transmit timed out", "{}: Detected Hardware Unit Hang", "{}: Detected Tx Unit Hang",
        "{}: transmit timed out", "{}: Transmit timeout", "{}: TX timeout", "{}: tx timeout", "{}: Tx timeout",
        "{}: transmit queue * timed out", "{}: Reset adapter unexpectedly", "{}: Reset adapter", "{}: DMA engine initialization failed"]
        yes "NETDEV WATCHDOG: eth0 (meson8b-dwmac): transmit queue 0 timed out" = "eth0",
            "NETDEV WATCHDOG: eth0 (fec): transmit queue 0 timed out 5120 ms" = "eth0",
            "r8169 0000:02:00.0 eno1: NETDEV WATCHDOG: CPU: 2: transmit queue 0 timed out 5376 ms" = "eno1",
            "r8169 0000:02:00.0 eno1: NETDEV WATCHDOG: transmit queue 0 timed out" = "eno1",
            "e1000e 0000:00:19.0 eno1: Detected Hardware Unit Hang:" = "eno1",
            "igb 0000:01:00.0 enp1s0: Detected Tx Unit Hang" = "enp1s0",
            "tg3 0000:03:00.0 eth0: transmit timed out, resetting" = "eth0",
            "e1000e 0000:00:19.0 eno1: Reset adapter unexpectedly" = "eno1"
        no "r8169 0000:02:00.0 eno1: Link is Up - 1Gbps/Full - flow control rx/tx", "eth0: link up, 100Mbps, full-duplex";
    DeviceFault Error ["{}: Failed to read reg index", "{}: Failed to write reg index", "{}: Error reading MII_ACCESS",
        "{}: Error writing MII_ACCESS", "{}: MDIO read timeout", "{}: MDIO write timeout", "{}: MDIO device at address * is missing",
        "{}: Failed to reset the dma", "{}: could not attach to PHY", "{}: could not attach PHY", "{}: stmmac_open: Cannot attach to PHY", "{}: Cannot attach to PHY",
        "{}: no PHY found", "{}: No PHY found", "{}: PCIe link lost", "{}: PHY * not found",
        "{}: failed to connect to PHY", "{}: Could not connect to PHY", "{}: rtl_rw_cpluscmd", "{}: get_registers -",
        "{}: Tx status -71", "{}: Rx status -71", "{}: intr status -71", "{}: kevent *may have been dropped"]
        yes "smsc95xx 1-1.1:1.0 eth0: Failed to read reg index 0x00000114: -110" = "eth0",
            "ax88179_178a 2-1:1.0 eth1: Failed to write reg index 0x0002: -71" = "eth1",
            "fec 2188000.ethernet eth0: MDIO read timeout" = "eth0",
            "meson8b-dwmac c9410000.ethernet: Failed to reset the dma" = "c9410000.ethernet",
            "fec 30be0000.ethernet eth0: could not attach to PHY" = "eth0",
            "igb 0000:01:00.0 enp1s0: PCIe link lost, device now detached" = "enp1s0",
            "stmmaceth 1c30000.ethernet eth0: stmmac_open: Cannot attach to PHY (error: -19)" = "eth0";
    DeviceFault Error ["{}: now running without any active interface", "{}: unregister 'cdc_ether'", "{}: unregister 'cdc_ncm'",
        "{}: unregister 'ax88", "{}: unregister 'smsc", "{}: unregister 'r815"]
        yes "bond0: now running without any active interface!" = "bond0",
            "cdc_ether 1-1:1.0 usb0: unregister 'cdc_ether' usb-0000:01:00.0-1, CDC Ethernet Device" = "usb0";
    DeviceFault Warning ["{}: (slave *link status definitely down", "received packet on {} with own address as source address"]
        yes "bond0: (slave eth0): link status definitely down, disabling slave" = "bond0",
            "br0: received packet on eth0 with own address as source address (addr:00:11:22:33:44:55, vlan:0)" = "eth0";
    KernelOther Error ["unregister_netdevice: waiting for {} to become free"]
        yes "unregister_netdevice: waiting for lo to become free. Usage count = 1" = "lo",
            "unregister_netdevice: waiting for wg0 to become free. Usage count = 2" = "wg0";
    // A table is full: packets are dropped while everything else looks well.
    KernelOther Error ["conntrack: table full", "eighbor table overflow", "eighbour table overflow", "dst cache overflow",
        "Route cache is full: consider increasing", "TCP: out of memory -- consider tuning tcp_mem",
        "conntrack: *expectation table full", "conntrack: expectation table full"]
        yes "nf_conntrack: nf_conntrack: table full, dropping packet" = "",
            "nf_conntrack: table full, dropping packet" = "",
            "nf_conntrack: table full in netns 4026531840, dropping packet" = "",
            "ip_conntrack: table full, dropping packet." = "",
            "neighbour: arp_cache: neighbor table overflow!" = "",
            "neighbour: ndisc_cache: neighbor table overflow!" = "",
            "Neighbour table overflow." = "",
            "ipv4: Neighbour table overflow." = "",
            "Route cache is full: consider increasing sysctl net.ipv6.route.max_size." = "",
            "TCP: out of memory -- consider tuning tcp_mem" = ""
        no "net_ratelimit: 402 callbacks suppressed";
    KernelOther Warning ["too many orphaned sockets", "Possible SYN flooding on port", "nf_conntrack: default automatic helper"]
        yes "TCP: too many orphaned sockets" = "",
            "TCP: request_sock_TCP: Possible SYN flooding on port 502. Sending cookies.  Check SNMP counters." = "",
            "TCP: request_sock_TCP: Possible SYN flooding on port [::]:502. Sending cookies." = "";
    KernelOther Error ["Dead loop on virtual device {}", "{}: IPv6 duplicate address", "{}: hw csum failure"]
        yes "Dead loop on virtual device tun0, fix it urgently!" = "tun0",
            "IPv6: eth0: IPv6 duplicate address fe80::1 used by 00:11:22:33:44:55 detected!" = "eth0",
            "eth0: hw csum failure" = "eth0";
}
