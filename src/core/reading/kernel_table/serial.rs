//! Serial ports and USB serial adapters (drivers/usb/serial, drivers/usb/class/cdc-acm.c, drivers/tty/serial).

use super::rows;

rows! { Serial
    // The adapter is gone from the bus, or no byte comes through any more.
    DeviceFault Error ["{}: usb_serial_generic_read_bulk_callback - urb stopped", "{}: usb_serial_generic_*urb stopped",
        "{ttyUSB}: *urb stopped", "{ttyUSB}: error sending break = -", "{ttyUSB}: * - failed: -", "{ttyUSB}: failed to get modem status",
        "{ttyUSB}: failed set request", "{ttyUSB}: failed get req", "{ttyUSB}: *FAILED to ", "{ttyUSB}: *failed to submit",
        "{ttyUSB}: *submit *urb*failed", "{ttyUSB}: *usb_submit_urb failed", "{ttyUSB}: option_instat_callback: error -",
        "{ttyUSB}: *resubmit *failed", "{ttyUSB}: *nonzero urb status", "{ttyUSB}: Unable to "]
        yes "pl2303 ttyUSB0: usb_serial_generic_read_bulk_callback - urb stopped: -32" = "ttyUSB0",
            "ftdi_sio ttyUSB1: usb_serial_generic_write_bulk_callback - urb stopped: -32" = "ttyUSB1",
            "pl2303 ttyUSB0: pl2303_set_control_lines - failed: -19" = "ttyUSB0",
            "pl2303 ttyUSB0: error sending break = -19" = "ttyUSB0",
            "ftdi_sio ttyUSB0: failed to get modem status: -71" = "ttyUSB0",
            "ftdi_sio ttyUSB0: ftdi_set_termios FAILED to set databits/stopbits/parity" = "ttyUSB0",
            "cp210x ttyUSB0: failed set request 0x12 status: -110" = "ttyUSB0",
            "ch341-uart ttyUSB0: ch341_read_int_callback - usb_submit_urb failed: -19" = "ttyUSB0",
            "option1 ttyUSB2: option_instat_callback: error -108" = "ttyUSB2"
        no "usb 1-1.3: pl2303 converter now attached to ttyUSB0";
    DeviceFault Warning ["converter now disconnected from {}", "ttyACM*: USB ACM device disconnected"]
        yes "pl2303 ttyUSB0: pl2303 converter now disconnected from ttyUSB0" = "ttyUSB0",
            "option1 ttyUSB2: GSM modem (1-port) converter now disconnected from ttyUSB2" = "ttyUSB2";
    DeviceFault Error ["^cdc_acm {}: failed to set dtr/rts", "^cdc_acm {}: *usb_submit_urb*failed",
        "^cdc_acm {}: urb *failed submission with", "^cdc_acm {}: acm_*failed", "^cdc_acm {}: *nonzero urb status"]
        yes "cdc_acm 1-1.2:1.0: failed to set dtr/rts" = "1-1.2",
            "cdc_acm 1-1:1.0: acm_port_activate - usb_submit_urb(ctrl irq) failed" = "1-1",
            "cdc_acm 1-1:1.0: urb 0 failed submission with -19" = "1-1";
    // Bytes are lost: the processor is too slow for the line.
    DeviceFault Warning ["{tty}: *input overrun", "too much work for irq", "{tty}: *buffer overrun", "{tty}: *DMA transaction error",
        "{}: DMA transaction error", "{tty}: *LSR safety check engaged"]
        yes "ttyS1: 3 input overrun(s)" = "ttyS1",
            "tty ttyAMA0: ttyAMA0: 1 input overrun(s)" = "ttyAMA0",
            "serial8250: too much work for irq19" = "",
            "imx-uart 30890000.serial: DMA transaction error." = "30890000.serial";
}
