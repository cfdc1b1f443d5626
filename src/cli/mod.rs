//! Command line.
pub mod fingerprint;
pub mod replay;
