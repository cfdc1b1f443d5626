//! A port: transport and number, written as `tcp/8080`.

use std::fmt;
use std::str::FromStr;

use crate::core::model::named::named;

named! {
    /// v6 is named alike, since one port is one conflict.
    Protocol "transport" {
        Tcp = "tcp",
        Udp = "udp",
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Port {
    pub protocol: Protocol,
    pub number: u16,
}

impl Port {
    pub const fn tcp(number: u16) -> Self {
        Self {
            protocol: Protocol::Tcp,
            number,
        }
    }

    pub const fn udp(number: u16) -> Self {
        Self {
            protocol: Protocol::Udp,
            number,
        }
    }
}

impl fmt::Display for Port {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.protocol, self.number)
    }
}

/// Not `tcp/NUMBER` or `udp/NUMBER`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BadPort(pub String);

impl fmt::Display for BadPort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} is not a port such as tcp/8080", self.0)
    }
}

impl std::error::Error for BadPort {}

impl FromStr for Port {
    type Err = BadPort;

    fn from_str(text: &str) -> Result<Self, BadPort> {
        let bad = || BadPort(text.to_owned());
        let (protocol, number) = text.split_once('/').ok_or_else(bad)?;
        Ok(Self {
            protocol: protocol.parse().map_err(|_| bad())?,
            number: number.parse().map_err(|_| bad())?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_and_port_are_one() {
        for port in [Port::tcp(0), Port::tcp(8080), Port::udp(u16::MAX)] {
            assert_eq!(port.to_string().parse(), Ok(port));
        }
        for bad in ["", "tcp", "tcp/", "tcp/65536", "sctp/1", "8080", "tcp/-1"] {
            assert!(bad.parse::<Port>().is_err(), "{bad}");
        }
    }
}
