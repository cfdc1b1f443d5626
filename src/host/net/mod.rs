//! The network, as this machine uses it and as this program does.

pub mod listeners;
