//! USB devices, ports and host controllers (drivers/usb/core/hub.c, drivers/usb/host).

use super::rows;

rows! { Usb
    // A device does not come up: power, cable, hub or the device.
    DeviceFault Error ["^usb {}: device not accepting address", "^usb {}: device descriptor read/",
        "^usb {}: Device not responding to setup address", "^usb {}: unable to enumerate USB device",
        "^usb {}: can't set config", "^usb {}: can't read configurations", "^usb {}: unable to read config index",
        "^usb {}: unable to get BOS descriptor", "^usb {}: string descriptor 0 read error", "^usb {}: unable to read ",
        "^usb {}: Cannot enable. Maybe the USB cable is bad?", "^usb {}: cannot reset (err =", "^usb {}: cannot disable (err =",
        "^usb {}: attempt power cycle", "^usb {}: USB device not accepting new address",
        "^hub {}: unable to enumerate USB device on port", "^hub {}: Cannot enable port", "^hub {}: cannot reset port",
        "^hub {}: cannot disable port", "^usb {}: device no response"]
        yes "usb 1-1.4: device not accepting address 18, error -71" = "1-1.4",
            "usb 1-1.1: device descriptor read/64, error -71" = "1-1.1",
            "usb 1-1.1: device descriptor read/8, error -110" = "1-1.1",
            "usb 1-1.1: Device not responding to setup address." = "1-1.1",
            "usb usb1-port4: unable to enumerate USB device" = "1-4",
            "usb 1-1-port1: unable to enumerate USB device" = "1-1.1",
            "usb 1-1-port1: attempt power cycle" = "1-1.1",
            "usb usb2-port2: Cannot enable. Maybe the USB cable is bad?" = "2-2",
            "usb 1-1-port2: cannot reset (err = -110)" = "1-1.2",
            "usb 1-2: can't set config #1, error -71" = "1-2",
            "usb 3-1: unable to read config index 0 descriptor/start: -71" = "3-1",
            "usb 3-1: can't read configurations, error -71" = "3-1",
            "hub 1-1:1.0: unable to enumerate USB device on port 4" = "1-1",
            "hub 1-0:1.0: Cannot enable port 3.  Maybe the USB cable is bad?" = "1-0"
        no "usb 1-1.1: new high-speed USB device number 17 using xhci_hcd",
            "usb 1-1.1: USB disconnect, device number 6",
            "usb 1-1: New USB device found, idVendor=0403, idProduct=6001, bcdDevice= 6.00",
            "usb 1-1: Product: USB <-> Serial";
    DeviceFault Error ["^usb {}: over-current condition", "^hub {}: over-current condition on port",
        "^usb {}: rejected *due to insufficient available bus power", "^usb {}: Not enough bandwidth"]
        yes "usb usb1-port1: over-current condition" = "1-1",
            "hub 1-0:1.0: over-current condition on port 1" = "1-0",
            "usb 1-1.2: rejected 1 configuration due to insufficient available bus power" = "1-1.2"
        no "usb usb1-port1: over-current change #2";
    // A host controller died: every device on it is gone.
    DeviceFault Critical ["{}: HC died; cleaning up", "{}: xHCI host controller not responding, assume dead",
        "{}: WARNING: Host System Error", "{}: Host System Error", "_hcd {}: fatal error", "{}: Host controller not halted, aborting reset"]
        yes "xhci_hcd 0000:01:00.0: HC died; cleaning up" = "0000:01:00.0",
            "xhci_hcd 0000:01:00.0: xHCI host controller not responding, assume dead" = "0000:01:00.0",
            "xhci_hcd 0000:01:00.0: WARNING: Host System Error" = "0000:01:00.0",
            "xhci-hcd xhci-hcd.0.auto: Host System Error" = "xhci-hcd.0.auto",
            "ehci-pci 0000:00:1d.0: HC died; cleaning up" = "0000:00:1d.0",
            "ehci_hcd 0000:00:1d.7: fatal error" = "0000:00:1d.7";
    DeviceFault Error ["{}: xHCI host not responding to stop endpoint command", "{}: Abort failed to stop command ring",
        "{}: Host halt failed", "{}: Timeout while waiting for setup device command", "{}: can't setup: -",
        "{}: Error while assigning device slot ID", "{}: Stopped the command ring failed", "{}: init *fail, -",
        "{}: USB bus * deregistered due to error"]
        yes "xhci_hcd 0000:00:14.0: xHCI host not responding to stop endpoint command." = "0000:00:14.0",
            "xhci_hcd 0000:00:14.0: xHCI host not responding to stop endpoint command" = "0000:00:14.0",
            "xhci_hcd 0000:00:14.0: Abort failed to stop command ring: -110" = "0000:00:14.0",
            "xhci-hcd f9200000.usb: Host halt failed, -110" = "f9200000.usb",
            "xhci_hcd 0000:00:14.0: Timeout while waiting for setup device command" = "0000:00:14.0",
            "xhci-hcd f9200000.usb: can't setup: -110" = "f9200000.usb";
}
