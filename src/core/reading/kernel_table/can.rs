//! CAN controllers (drivers/net/can).

use super::rows;

rows! { Can
    // The controller has left the bus: nothing is sent or heard until somebody starts it again.
    DeviceFault Error ["{can}: bus-off", "{can}: *bus-off", "{can}: *entered bus off", "{can}: *Bus Off", "{slcan}: *bus-off"]
        yes "can0: bus-off" = "can0",
            "mcp251x spi0.0 can0: bus-off" = "can0",
            "c_can_platform 481cc000.can can0: bus-off" = "can0",
            "flexcan 2090000.flexcan can1: bus-off" = "can1",
            "mcp251xfd spi0.0 can0: bus-off" = "can0"
        no "can0: bitrate 500000", "can: controller area network core";
    DeviceFault Warning ["{can}: *error passive", "{can}: *Error Passive", "{can}: *error-passive", "{can}: *error warning",
        "{can}: *ERROR_PASSIVE"]
        yes "can0: entered error passive state" = "can0",
            "sja1000_platform fd000000.can can0: error passive interrupt" = "can0",
            "can0: Controller changed from Error Warning State (1) into Error Passive State (2)." = "can0";
    DeviceFault Error ["MCP251x didn't enter in conf mode", "{}: Cannot initialize MCP25", "{can}: *FIFO overflow",
        "{can}: *failed to enter", "Failed to detect MCP25", "{}: *CRC read error", "{can}: *usb xmit fail",
        "{can}: *Message RAM access failure", "{can}: *couldn't *device", "{can}: *Unable to set *mode", "{can}: *tx timeout",
        "{can}: failed to *TX", "{can}: *Unexpected IRQ", "{can}: *restart failed", "{can}: *setup of CAN controller"]
        yes "mcp251x spi0.0: MCP251x didn't enter in conf mode after reset" = "",
            "mcp251x spi0.0: Cannot initialize MCP2515. Wrong wiring?" = "spi0.0",
            "mcp251xfd spi0.0 can0: RX-0: FIFO overflow." = "can0",
            "mcp251xfd spi0.0 can0: Controller failed to enter mode CAN 2.0 Mode (6) and stays in Configuration Mode (4)" = "can0",
            "gs_usb 1-1:1.0 can0: usb xmit fail 5" = "can0",
            "mcp251xfd spi0.0 (unnamed net_device) (uninitialized): Failed to detect MCP251xFD" = "";
}
