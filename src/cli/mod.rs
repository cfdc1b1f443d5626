//! Command line.
pub mod fingerprint;
