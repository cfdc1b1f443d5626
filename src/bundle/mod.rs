//! The bundle: what is known about this box and its services, precomputed into one read-only file.
//!
//! `build` runs on a workstation or on the box; the daemon opens the result immutable, checks its seal,
//! asks it in about a millisecond, and works without it.

mod build;
mod collect;
mod cut;
mod error;
mod format;
mod gitlog;
mod index;
mod inflate;
mod inspect;
mod jsonl;
mod man;
mod moves;
mod opened;
mod report;
mod scan;
mod search;
mod source;
mod vectors;

pub use build::{BuildOptions, build};
pub use error::BundleError;
pub use inspect::{Compared, Difference, Info};
pub use moves::Authority;
pub use opened::Bundle;
pub use report::Report;

#[cfg(test)]
mod tests;
