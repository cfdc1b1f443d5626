//! Command line.
pub mod replay;
